//! Where a maximum is, once it is known: a second look at the window, which is still in cache.
//!
//! The first valid tap that equals the maximum, in row-major scan; where the maximum is NaN, the last NaN (PyTorch's rule).
//!
//! ```text
//! for each block, for each row of outputs:                compiled once
//!     for each window:
//!         tap = the search of the element's type           compiled for each type of elements that are told apart
//!         write the number of the tap
//! ```

use core::fmt;
use core::ops::Range;

use super::{Axes, Extent, Ranges, for_each_row};
use crate::geometry::MAX_RANK;
use crate::index::{IndexType, IndicesMut, Weights};
use crate::strides::{Split, Tensor};
use crate::variable::scalar::{Order, with_order};
use crate::{Element, IndexKind, Result};

/// Channels that are looked at at a time, on the stack.
const CHANNELS: usize = 64;

/// What an index counts: weights of the tap's coordinates, or its number in the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbering {
    /// `None` counts the taps of the window.
    weights: Option<Weights>,
    kind: IndexKind,
}

impl Numbering {
    /// `most_taps` is no less than any window has.
    pub(crate) fn of(index: IndexType, kind: IndexKind, extent: &Extent, most_taps: usize) -> Result<Self> {
        let (Split { batch, channels, .. }, lengths) = (extent.split, extent.input.lengths);
        index.check(kind.places(batch, channels, lengths).unwrap_or(most_taps).saturating_sub(1))?;
        Ok(Self { weights: kind.weights(channels, lengths), kind })
    }

    pub(crate) fn kind(&self) -> IndexKind {
        self.kind
    }

    /// The index of tap `tap` of `window` in plane `plane`. It fits the indices: `new` has compared the largest with
    /// their type.
    fn index(&self, plane: usize, window: &Ranges, tap: usize) -> usize {
        let Some(weights) = self.weights else { return tap };
        let (mut rest, mut at) = (tap, [0; MAX_RANK]);
        for (at, range) in at.iter_mut().zip(window).rev() {
            *at = rest.checked_rem(range.len()).unwrap_or(0).saturating_add(range.start);
            rest = rest.checked_div(range.len()).unwrap_or(0);
        }
        weights.of_plane(plane).saturating_add(weights.of_pixel(at))
    }
}

/// Elements that a window's maximum is looked for among, and the maxima.
pub trait Search {
    /// The tap of a window that is the maximum at place `value`. `start` is where the plane begins.
    fn one(&self, input: &Tensor, start: usize, window: &Ranges, value: usize) -> usize;

    /// The same for as many neighbouring planes as `found` has places, at most [`CHANNELS`].
    fn many(&self, input: &Tensor, start: usize, window: &Ranges, value: usize, found: &mut [usize]);
}

struct Elements<'a, E, O> {
    src: &'a [E],
    values: &'a [E],
    order: O,
}

/// Hands on the rows of a window, from where its first tap lies on.
#[inline(always)]
fn rows_of(input: &Tensor, start: usize, [slabs, rows, across]: &Ranges, mut work: impl FnMut(usize) -> bool) {
    let across = start.saturating_add(across.start.saturating_mul(input.pixel_step()));
    for slab in slabs.clone() {
        for row in rows.clone() {
            if work(input.row(slab, row).start.saturating_add(across)) {
                return;
            }
        }
    }
}

impl<E: Copy, O: Order<E>> Search for Elements<'_, E, O> {
    fn one(&self, input: &Tensor, start: usize, window: &Ranges, value: usize) -> usize {
        let Some(want) = self.values.get(value) else { return 0 };
        let (order, step) = (self.order, input.pixel_step());
        let want = order.key(*want);
        let [_, _, across] = window;
        let width = across.len();
        let (mut found, mut number) = (0_usize, 0_usize);
        if order.is_nan(want) {
            rows_of(input, start, window, |row| {
                for x in 0..width {
                    let tap = self.src.get(row.saturating_add(x.saturating_mul(step)));
                    if tap.is_some_and(|tap| order.is_nan(order.key(*tap))) {
                        found = number.saturating_add(x);
                    }
                }
                number = number.saturating_add(width);
                false
            });
            return found;
        }
        let is_it = |tap: &E| order.equals(order.key(*tap), want);
        rows_of(input, start, window, |row| {
            let at = if step == 1 {
                self.src.get(row..row.saturating_add(width)).unwrap_or(&[]).iter().position(is_it)
            } else {
                let place = |x: usize| row.saturating_add(x.saturating_mul(step));
                (0..width).find(|x| self.src.get(place(*x)).is_some_and(is_it))
            };
            found = number.saturating_add(at.unwrap_or(0));
            number = number.saturating_add(width);
            at.is_some()
        });
        found
    }

    fn many(&self, input: &Tensor, start: usize, window: &Ranges, value: usize, found: &mut [usize]) {
        let order = self.order;
        let values = self.values.get(value..value.saturating_add(found.len())).unwrap_or(&[]);
        let [_, _, across] = window;
        found.fill(usize::MAX);
        let mut number = 0_usize;
        rows_of(input, start, window, |mut at| {
            for _ in across.clone() {
                let taps = self.src.get(at..at.saturating_add(found.len())).unwrap_or(&[]);
                for ((found, tap), value) in found.iter_mut().zip(taps).zip(values) {
                    let (tap, want) = (order.key(*tap), order.key(*value));
                    let is_first = order.equals(tap, want) && *found == usize::MAX;
                    if is_first || (order.is_nan(tap) && order.is_nan(want)) {
                        *found = number;
                    }
                }
                number = number.saturating_add(1);
                at = at.saturating_add(input.pixel_step());
            }
            false
        });
        for found in found {
            *found = if *found == usize::MAX { 0 } else { *found };
        }
    }
}

/// [`with_search`] for a type of elements.
pub(crate) type SearchOf = fn(&[u8], &[u8], &mut dyn FnMut(&dyn Search));

/// Hands on the search among elements, whose bytes are given.
pub(crate) fn with_search<T: Element>(src: &[u8], values: &[u8], work: &mut dyn FnMut(&dyn Search)) {
    with_order!(T::DTYPE, E, order => among::<E, _>(order, src, values, work));
}

/// Compiled once for all elements that are known as `E` and compared in the same way.
#[inline(never)]
fn among<E: bytemuck::Pod, O: Order<E>>(order: O, src: &[u8], values: &[u8], work: &mut dyn FnMut(&dyn Search)) {
    let [src, values] = [src, values].map(|bytes| bytemuck::try_cast_slice(bytes).unwrap_or(&[]));
    work(&Elements::<E, O> { src, values, order });
}

/// Finds maxima of a tensor whose planes all have the same windows.
pub(crate) fn find(
    numbering: Numbering,
    extent: &Extent,
    axes: Axes<'_>,
    search: &dyn Search,
    indices: &mut IndicesMut<'_>,
) {
    for outer in 0..extent.block_count() {
        if extent.split.inner == 1 {
            plane(numbering, extent, axes, search, (outer, 0), indices);
        } else {
            pixels(numbering, extent, axes, search, outer, indices);
        }
    }
}

/// Hands on each window of a block and where its output's pixel lies.
fn each_window(extent: &Extent, axes: Axes<'_>, outer: usize, work: &mut dyn FnMut(&Ranges, usize)) {
    let output = &extent.output;
    let (block, [_, _, width]) = (output.block(outer), axes);
    for_each_row(axes, output, &mut |slabs, rows, place: Range<usize>| {
        let mut window = [slabs.clone(), rows.clone(), 0..0];
        let mut to = block.saturating_add(place.start);
        width.each(&mut |across| {
            let [_, _, last] = &mut window;
            *last = across;
            work(&window, to);
            to = to.saturating_add(output.pixel_step());
        });
    });
}

/// Finds the maxima of one plane, whose number is that of its block and its own in the block.
#[inline(never)]
pub(crate) fn plane(
    numbering: Numbering,
    extent: &Extent,
    axes: Axes<'_>,
    search: &dyn Search,
    (outer, channel): (usize, usize),
    indices: &mut IndicesMut<'_>,
) {
    let number = outer.saturating_mul(extent.split.inner).saturating_add(channel);
    let start = extent.input.block(outer).saturating_add(channel);
    each_window(extent, axes, outer, &mut |window, to| {
        let to = to.saturating_add(channel);
        let tap = search.one(&extent.input, start, window, to);
        indices.set(to, numbering.index(number, window, tap));
    });
}

/// Finds the maxima of the planes of a block, many channels at a time.
#[inline(never)]
fn pixels(
    numbering: Numbering,
    extent: &Extent,
    axes: Axes<'_>,
    search: &dyn Search,
    outer: usize,
    indices: &mut IndicesMut<'_>,
) {
    let inner = extent.split.inner;
    let (first, start) = (outer.saturating_mul(inner), extent.input.block(outer));
    each_window(extent, axes, outer, &mut |window, to| {
        let mut found = [0; CHANNELS];
        for from in (0..inner).step_by(CHANNELS) {
            let found = found.get_mut(..inner.saturating_sub(from).min(CHANNELS)).unwrap_or_default();
            let to = to.saturating_add(from);
            search.many(&extent.input, start.saturating_add(from), window, to, found);
            let plane = first.saturating_add(from);
            for (i, tap) in found.iter().enumerate() {
                indices.set(to.saturating_add(i), numbering.index(plane.saturating_add(i), window, *tap));
            }
        }
    });
}

/// A plan of values and indices, for `Debug`.
pub(crate) fn shown(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    values: &dyn fmt::Debug,
    index: &str,
    kind: IndexKind,
) -> fmt::Result {
    write!(f, "{name}({values:?} with {index} of {kind:?})")
}
