//! Where a maximum is, once it is known: a second look at the window, which is still in cache.
//!
//! The first valid tap that equals the maximum, in row-major scan; where the maximum is NaN, the last NaN (PyTorch's rule).

use super::{Block, Extent, Ranges, Windows, each_row, outputs_mut, pixels_mut};
use crate::strides::Tensor;
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
        let [depth, height, width] = extent.input.lengths;
        let pixels = extent.input.plane_len();
        let row_major = [height.saturating_mul(width), width, 1];
        let column_major = [1, depth, depth.saturating_mul(height)];
        let (weights, plane, places) = match kind {
            IndexKind::Plane => (Some(row_major), 0, pixels),
            IndexKind::Tensor => (Some(row_major), pixels, extent.input.count()),
            IndexKind::TensorColumnMajor => (Some(column_major), pixels, extent.input.count()),
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
    let Extent { split, output, .. } = extent;
    for (outer, block, to) in extent.blocks(src) {
        let (values, indices) = (values.get(to..).unwrap_or(&[]), indices.get_mut(to..).unwrap_or_default());
        let first = outer.saturating_mul(split.inner);
        if split.inner == 1 {
            plane(numbering, axes, block, (0, first), output, values, indices);
        } else {
            pixels(numbering, axes, block, first, output, values, indices);
        }
    }
}

/// Finds the maxima of one plane: that of a channel of the block, and its number. `values` and `indices` begin with the output's
/// block.
pub(crate) fn plane<T: Element, I: Index, W: Windows>(
    numbering: Numbering,
    axes: [W; 3],
    block: Block<'_, T>,
    (channel, number): (usize, usize),
    output: &Tensor,
    values: &[T],
    indices: &mut [I],
) {
    let [_, _, width] = axes;
    for (slabs, rows, at) in each_row(axes, *output) {
        let values = values.get(at.clone()).unwrap_or(&[]).iter().skip(channel).step_by(output.pixel_step().max(1));
        let outputs = outputs_mut(indices.get_mut(at).unwrap_or_default(), output, channel);
        for ((index, value), across) in outputs.zip(values).zip(width.windows()) {
            let want = T::key(*value);
            let wants_nan = T::is_nan(want);
            let is_it = |tap: &T| {
                let tap = T::key(*tap);
                if wants_nan { T::is_nan(tap) } else { T::equals(tap, want) }
            };
            let in_row = |(i, row): (usize, &[T])| {
                let at = if block.has_whole_rows() {
                    let mut taps = row.get(across.clone()).unwrap_or(&[]).iter();
                    if wants_nan { taps.rposition(is_it) } else { taps.position(is_it) }
                } else {
                    let mut taps = across.clone();
                    let is_there = |x: &usize| block.tap(row, *x, channel).is_some_and(is_it);
                    let at = if wants_nan { taps.rfind(is_there) } else { taps.find(is_there) };
                    at.map(|x| x.saturating_sub(across.start))
                };
                Some(i.saturating_mul(across.len()).saturating_add(at?))
            };
            let mut found = block.rows(slabs.clone(), rows.clone()).enumerate().filter_map(in_row);
            let tap = if wants_nan { found.last() } else { found.next() };
            let window = [slabs.clone(), rows.clone(), across.clone()];
            *index = numbering.index(number, &window, tap.unwrap_or(0));
        }
    }
}

/// Finds the maxima of the planes of a block, of which the first has the number `first`: many channels at a time. `values` and
/// `indices` begin with the output's block.
fn pixels<T: Element, I: Index, W: Windows>(
    numbering: Numbering,
    axes: [W; 3],
    block: Block<'_, T>,
    first: usize,
    output: &Tensor,
    values: &[T],
    indices: &mut [I],
) {
    let [_, _, width] = axes;
    for (slabs, rows, at) in each_row(axes, *output) {
        let values = values.get(at.clone()).unwrap_or(&[]).chunks(output.pixel_step().max(1));
        let outputs = pixels_mut(indices.get_mut(at).unwrap_or_default(), output);
        for ((indices, values), across) in outputs.zip(values).zip(width.windows()) {
            let window = [slabs.clone(), rows.clone(), across.clone()];
            let parts = values.chunks(CHANNELS).zip(indices.chunks_mut(CHANNELS)).enumerate();
            for (i, (values, indices)) in parts {
                let from = i.saturating_mul(CHANNELS);
                let mut found = [usize::MAX; CHANNELS];
                let mut number = 0_usize;
                for row in block.rows(slabs.clone(), rows.clone()) {
                    for x in across.clone() {
                        let taps = block.taps(row, x, from, indices.len());
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
}
