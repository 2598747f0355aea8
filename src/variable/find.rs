//! Where a maximum is, once it is known: a second look at the window, which is still in cache.
//!
//! The first valid tap that equals the maximum, in row-major scan; where the maximum is NaN, the last NaN (PyTorch's rule).

use super::{Block, Extent, Lane, Ranges, Windows, each_window};
use crate::{Element, Error, Index, IndexKind, Result};

/// Channels that are looked at at a time, on the stack.
const CHANNELS: usize = 64;

/// What an index counts: weights of the tap's coordinates, or its number in the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbering {
    /// `None` counts the taps of the window.
    weights: Option<[usize; 3]>,
    /// Of a plane.
    plane: usize,
    kind: IndexKind,
}

impl Numbering {
    /// `most_taps` is no less than any window has.
    pub(crate) fn new<I: Index>(kind: IndexKind, extent: &Extent, most_taps: usize) -> Result<Self> {
        let [depth, height, width] = extent.input;
        let pixels = extent.input_plane();
        let row_major = [height.saturating_mul(width), width, 1];
        let column_major = [1, depth, depth.saturating_mul(height)];
        let (weights, plane, places) = match kind {
            IndexKind::Plane => (Some(row_major), 0, pixels),
            IndexKind::Tensor => (Some(row_major), pixels, extent.input_len()),
            IndexKind::TensorColumnMajor => (Some(column_major), pixels, extent.input_len()),
            IndexKind::Tap => (None, 0, most_taps),
        };
        let most = places.saturating_sub(1);
        if most as u64 > I::MOST {
            return Err(Error::IndexTooNarrow { index: I::NAME, most });
        }
        Ok(Self { weights, plane, kind })
    }

    pub(crate) fn kind(&self) -> IndexKind {
        self.kind
    }

    /// The index of tap `tap` of `window` in plane `plane`.
    fn index<I: Index>(&self, plane: usize, window: &Ranges, tap: usize) -> I {
        let offset = self.weights.map_or(tap, |weights| {
            let mut rest = tap;
            let mut offset = self.plane.saturating_mul(plane);
            for (range, weight) in window.iter().zip(weights).rev() {
                let at = rest.checked_rem(range.len()).unwrap_or(0).saturating_add(range.start);
                rest = rest.checked_div(range.len()).unwrap_or(0);
                offset = offset.saturating_add(at.saturating_mul(weight));
            }
            offset
        });
        // Every index fits: `new` has compared the largest with the type.
        I::from_offset(offset).unwrap_or(I::NONE)
    }
}

/// Finds the maxima `values` of a tensor whose planes all have the same windows.
pub(crate) fn find<T: Element, I: Index, W: Windows>(
    numbering: Numbering,
    extent: &Extent,
    axes: [W; 3],
    src: &[T],
    values: &[T],
    indices: &mut [I],
) {
    let Extent { inner, input, .. } = *extent;
    let (from, to) = (extent.input_block().max(1), extent.output_block().max(1));
    let outputs = values.chunks_exact(to).zip(indices.chunks_exact_mut(to));
    for (outer, (elements, (values, indices))) in src.chunks_exact(from).zip(outputs).enumerate() {
        let block = Block { elements, input, inner };
        let first = outer.saturating_mul(inner);
        if inner == 1 {
            plane(numbering, axes, block, Lane { inner, channel: 0 }, first, values, indices);
        } else {
            pixels(numbering, axes, block, first, values, indices);
        }
    }
}

/// Finds the maxima of one plane, which has the number `number`.
pub(crate) fn plane<T: Element, I: Index, W: Windows>(
    numbering: Numbering,
    axes: [W; 3],
    block: Block<'_, T>,
    lane: Lane,
    number: usize,
    values: &[T],
    indices: &mut [I],
) {
    let step = lane.inner.max(1);
    let outputs = indices.iter_mut().zip(values).skip(lane.channel).step_by(step);
    for ((index, value), window) in outputs.zip(each_window(axes)) {
        let [slabs, rows, across] = &window;
        let want = T::key(*value);
        let start = across.start.saturating_mul(step);
        let end = across.end.saturating_mul(step);
        let rows = block.rows(slabs.clone(), rows.clone()).map(|row| row.get(start..end).unwrap_or(&[])).enumerate();
        let in_row = |(i, row): (usize, &[T])| {
            let mut taps = row.iter().skip(lane.channel).step_by(step);
            let at = if T::is_nan(want) {
                taps.rposition(|tap| T::is_nan(T::key(*tap)))
            } else if step == 1 {
                row.iter().position(|tap| T::equals(T::key(*tap), want))
            } else {
                taps.position(|tap| T::equals(T::key(*tap), want))
            };
            Some(i.saturating_mul(across.len()).saturating_add(at?))
        };
        let mut found = rows.filter_map(in_row);
        let tap = if T::is_nan(want) { found.last() } else { found.next() };
        *index = numbering.index(number, &window, tap.unwrap_or(0));
    }
}

/// Finds the maxima of the planes of a block, of which the first has the number `first`: many channels at a time.
fn pixels<T: Element, I: Index, W: Windows>(
    numbering: Numbering,
    axes: [W; 3],
    block: Block<'_, T>,
    first: usize,
    values: &[T],
    indices: &mut [I],
) {
    let inner = block.inner.max(1);
    let outputs = values.chunks_exact(inner).zip(indices.chunks_exact_mut(inner));
    for ((values, indices), window) in outputs.zip(each_window(axes)) {
        let [slabs, rows, across] = &window;
        let parts = values.chunks(CHANNELS).zip(indices.chunks_mut(CHANNELS)).enumerate();
        for (i, (values, indices)) in parts {
            let from = i.saturating_mul(CHANNELS);
            let mut found = [usize::MAX; CHANNELS];
            let mut number = 0_usize;
            for row in block.rows(slabs.clone(), rows.clone()) {
                for x in across.clone() {
                    let start = x.saturating_mul(inner).saturating_add(from);
                    let taps = row.get(start..start.saturating_add(values.len())).unwrap_or(&[]);
                    for ((found, tap), value) in found.iter_mut().zip(taps).zip(values) {
                        let (tap, want) = (T::key(*tap), T::key(*value));
                        let is_first = T::equals(tap, want) && *found == usize::MAX;
                        if is_first || (T::is_nan(tap) && T::is_nan(want)) {
                            *found = number;
                        }
                    }
                    number = number.saturating_add(1);
                }
            }
            let planes = first.saturating_add(from)..;
            for ((index, found), plane) in indices.iter_mut().zip(found).zip(planes) {
                *index = numbering.index(plane, &window, if found == usize::MAX { 0 } else { found });
            }
        }
    }
}
