//! Walks: how a loop visits the windows of a layer.
//!
//! Inner loops are loops over indices: an iterator's closure that is not inlined costs the kernel's time many times over
//! (`array::map` over rows of vectors: 8×).
//!
//! | walk | visits | chosen for |
//! |---|---|---|
//! | [`flat`] | a plane as one run | planar, 3 columns, or 5×5 and a small plane, a stride of 1, rows as long as the input's |
//! | [`rows`] | a row of outputs in registers | planar, 2 or 3 columns, a stride of 1, 2 or 3 along the row |
//! | [`pairs`] | short rows in pairs, columns first | planar, 2×2 that moves by 2, integers and extremes of 16-bit floats |
//! | [`columns`] | channels last: a row of pixels, column by column, in rows of accumulators | 2×2/2, 3×3/1, 3×3/2, 3/3 and 5×5/1, pixels of two vectors and more |
//! | [`bands`] | a band of output rows: down the window's columns into scratch rows, then across them | every other layer whose scratch row fits; long windows |
//! | [`planes`] | a small plane as one run, through scratch | planar, strides of 1, and the plane fits |
//! | [`pixels`] | a pixel at a time, lanes are its inner elements | windows with gaps that span thousands of columns |
//! | [`spans`] | what a tile's windows share, once, and then what they do not | windows of thousands of columns |
//! | [`global`] | a plane as one run | one window that is the whole plane, planar |
//! | [`piles`] | a plane, pixel by pixel, onto a row of accumulators | one window that is the whole plane, channels-last or blocked |
//! | [`find`] | a row of outputs or the inner elements of one, and keeps where | maxima and minima with indices |

pub(crate) mod bands;
pub(crate) mod columns;
pub(crate) mod divisors;
pub(crate) mod find;
pub(crate) mod flat;
pub(crate) mod global;
pub(crate) mod pairs;
pub(crate) mod piles;
pub(crate) mod pixels;
pub(crate) mod planes;
pub(crate) mod rows;
pub(crate) mod spans;

use core::ops::Range;

use crate::geometry::{Axis, Count, Geometry, Taps};
use crate::kernels::simd::{Lane, Lanes, Reduce, Simd};
use crate::kernels::table::WalkKind;
#[cfg(feature = "ndarray")]
use crate::strides::Tensor;
use crate::strides::{Gaps, Output, Places};

/// A layer as the walks see it: the windows, what an average divides by, and where memory holds both tensors.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub(crate) geometry: Geometry,
    pub(crate) count: Count,
    pub(crate) places: Places,
}

impl Layer {
    /// Neither tensor has gaps.
    pub(crate) fn is_packed(&self) -> bool {
        self.places.input_is_packed && self.places.gaps == Gaps::None
    }

    /// Pixels follow each other along the rows of both tensors.
    pub(crate) fn has_whole_rows(&self) -> bool {
        let inner = self.geometry.inner;
        (self.places.input.pixel, self.places.output.pixel) == (inner, inner)
    }

    /// Rows follow each other in the planes of both tensors.
    pub(crate) fn has_packed_rows(&self) -> bool {
        let [_, height, width] = &self.geometry.axes;
        let follow = |row: usize, len: usize, rows: usize| rows <= 1 || row == len * self.geometry.inner;
        self.has_whole_rows()
            && follow(self.places.input.row, width.input, height.input)
            && follow(self.places.output.row, width.output, height.output)
    }

    /// Elements from the first of the input to the last.
    pub(crate) fn input_extent(&self) -> usize {
        let lengths = self.geometry.axes.map(|axis| axis.input);
        self.places.input.extent(self.geometry.outer, lengths, self.geometry.inner)
    }

    /// Input and output.
    #[cfg(feature = "ndarray")]
    pub(crate) fn tensors(&self) -> [Tensor; 2] {
        self.places.tensors(&self.geometry)
    }

    /// Where the output's rows lie.
    pub(crate) fn output(&self) -> Output {
        Output::new(&self.places, &self.geometry)
    }

    /// The same memory, its output beginning where that of the layer's first unit would: what a run from unit `first` on is
    /// given begins at that unit's.
    #[inline(always)]
    fn rebased<T>(&self, io: Io<T>, first: &Position) -> Io<T> {
        let offset = self.places.output.row_at(first.outer, first.z, first.y);
        Io { dst: io.dst.wrapping_sub(offset), ..io }
    }

    /// The output row `y` of the slab of `at`, in memory that begins with the layer's first unit.
    #[inline(always)]
    fn row<T>(&self, io: &Io<T>, at: &Position, y: usize) -> *mut T {
        io.dst.wrapping_add(self.places.output.row_at(at.outer, at.z, y))
    }

    /// Up to where a run may write that writes row `y` of the slab of `at`, which is `row`: kernels may store whole vectors over the
    /// end of what they compute, where the same run writes again.
    #[inline(always)]
    fn end<T>(&self, io: &Io<T>, at: &Position, y: usize, row: *const T) -> *const T {
        let [depth, height, _] = &self.geometry.axes;
        let rows = match self.places.gaps {
            Gaps::None => return io.dst_end,
            Gaps::Planes => (depth.output - at.z) * height.output - y,
            Gaps::Rows => 1,
            Gaps::Pixels => 0,
        };
        let end = row.wrapping_add(rows * self.geometry.row_len());
        if (end as usize) < io.dst_end as usize { end } else { io.dst_end }
    }

    /// How many outputs a table of divisors holds, at least: a plan asks before it makes one.
    pub(crate) fn divisor_entries(&self) -> usize {
        let of = |axis: &Axis| match self.count {
            Count::Fixed(_) => 0,
            _ => axis.cut_windows().0.saturating_add(axis.cut_windows().1),
        };
        self.geometry.axes.iter().map(of).fold(0, usize::saturating_add)
    }
}

/// The slices of one run, as pointers. `Plan` has checked both lengths against the geometry, so every tap of every
/// window lies in `src .. src_end` and every output of the units in `dst .. dst_end`.
#[derive(Clone, Copy)]
pub struct Io<T> {
    pub(crate) src: *const T,
    /// Up to here vectors may reach over what a window needs. Where it is `src`, none may: see [`Walk::visit`].
    pub(crate) src_end: *const T,
    /// The first element of the run's units.
    pub(crate) dst: *mut T,
    /// The end of their output. Kernels may store a whole vector over the end of a row, up to here, where a later row of
    /// the same run writes again.
    pub(crate) dst_end: *mut T,
}

impl<T> Io<T> {
    /// The same memory as elements of another type.
    #[inline(always)]
    pub(crate) fn cast<U>(self) -> Io<U> {
        let Self { src, src_end, dst, dst_end } = self;
        Io { src: src.cast(), src_end: src_end.cast(), dst: dst.cast(), dst_end: dst_end.cast() }
    }

    /// Elements that may be read from `p` on.
    #[inline(always)]
    fn readable(&self, p: *const T) -> usize {
        until(p, self.src_end)
    }
}

/// Elements from `p` to `end`, none if that lies before.
#[inline(always)]
fn until<T>(p: *const T, end: *const T) -> usize {
    (end as usize).saturating_sub(p as usize) / size_of::<T>()
}

/// How a loop visits the windows. It is bound to an operation; the tier comes in with the token.
pub(crate) trait Walk<S: Simd>: Send + Sync {
    /// Which one it is.
    const KIND: WalkKind;
    type T: bytemuck::Pod;

    /// The output is computed in rows, each of which can be computed apart: `io` is of `rows`.
    ///
    /// # Safety
    /// `io.src .. io.src_end` is the whole input of the layer the walk was made for, from its first element to its last, or nothing: then
    /// `io.src` is its first element, and of what follows the input's elements alone are readable.
    /// `io.dst .. io.dst_end` the output of `rows`, likewise, which end at or before the layer's; nobody else touches that output
    /// meanwhile.
    unsafe fn visit(&self, s: S, io: Io<Self::T>, rows: Range<usize>);

    /// The same for a walk that can share a row that is long to compute: in up to `pieces` pieces, on the threads of the calling
    /// thread's pool. Enters the tier's instructions by itself, on each of them. Says whether it did: else nothing has been done.
    ///
    /// # Safety
    /// As for `visit`.
    #[cfg(feature = "rayon")]
    unsafe fn visit_shared(&self, _s: S, _io: Io<Self::T>, _rows: Range<usize>, _pieces: usize) -> bool {
        false
    }
}

/// Where an output row lies: which plane, and which output on depth and height.
#[derive(Clone, Copy)]
struct Position {
    outer: usize,
    z: usize,
    y: usize,
}

impl Position {
    /// Of output row `row`.
    #[inline(always)]
    fn of(geometry: &Geometry, row: usize) -> Self {
        let [depth, height, _] = &geometry.axes;
        let slab = row / height.output;
        Self { outer: slab / depth.output, z: slab % depth.output, y: row % height.output }
    }

    /// `rows` rows further on, at most to the beginning of the next slab.
    #[inline(always)]
    fn advance(&mut self, geometry: &Geometry, rows: usize) {
        let [depth, height, _] = &geometry.axes;
        self.y += rows;
        if self.y >= height.output {
            (self.y, self.z) = (0, self.z + 1);
        }
        if self.z >= depth.output {
            (self.z, self.outer) = (0, self.outer + 1);
        }
    }

    /// Offset of row 0 of the first valid slab of the windows here, in elements of the input.
    #[inline(always)]
    fn slab_offset(&self, layer: &Layer) -> usize {
        let depth = &layer.geometry.axes[0];
        layer.places.input.row_at(self.outer, depth.taps(self.z).start, 0)
    }
}

/// Which input rows the windows of an output row fold.
#[derive(Clone, Copy)]
struct RowTaps {
    /// Offset of the first valid row, in elements of the input.
    first: usize,
    slabs: usize,
    slab_step: usize,
    rows: usize,
    row_step: usize,
    /// The same rows on the height axis, for telling fresh ones from those that an earlier output row has seen.
    height: Taps,
}

impl RowTaps {
    /// Of output row `y` in the slab of `at`.
    #[inline(always)]
    fn new(layer: &Layer, at: &Position, y: usize) -> Self {
        let [depth, height, _] = &layer.geometry.axes;
        let steps = &layer.places.input;
        let rows = height.taps(y);
        Self {
            first: at.slab_offset(layer).wrapping_add(rows.start.wrapping_mul(steps.row)),
            slabs: depth.taps(at.z).count,
            // Steps of an axis with one tap are never taken; the product could wrap.
            slab_step: depth.dilation.wrapping_mul(steps.slab),
            rows: rows.count,
            row_step: height.dilation.wrapping_mul(steps.row),
            height: rows,
        }
    }

    /// How many of the window's rows, its first, were watched already by an output row before it in the same tile, which
    /// has watched all rows below `seen`. Where windows have gaps or slabs, none can be told.
    #[inline(always)]
    fn stale(&self, height: &Axis, seen: usize) -> usize {
        if self.slabs != 1 || height.dilation != 1 {
            return 0;
        }
        seen.saturating_sub(self.height.start).min(self.rows)
    }
}

/// Decides tile by tile whether to start with the careful twin: after a NaN the next tiles probably hold more, and
/// doing each of them twice is what makes NaN-heavy input slow. Doubles its patience with every bad tile.
#[derive(Clone, Copy, Default)]
struct Caution {
    left: u32,
    next: u32,
}

impl Caution {
    #[inline(always)]
    fn is_due(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// Takes note of whether a tile was dirty, and says so.
    #[inline(always)]
    fn learn(&mut self, dirty: bool) -> bool {
        if dirty {
            self.next = (self.next * 2).clamp(1, 64);
            self.left = self.next;
        } else {
            self.next = 0;
        }
        dirty
    }
}

/// Folds the window's rows at `B` neighbouring vectors of columns from `p` on, or at the first `n` lanes of one, and watches
/// those rows that are not stale.
///
/// # Safety
/// In every row of the window, counted from `p` as its first, `B·N` elements are readable, or `n` if `n < N`; then
/// `B == 1`.
#[inline(always)]
unsafe fn fold_rows<A, S, O, const B: usize>(
    s: S,
    op: O,
    taps: &RowTaps,
    stale: usize,
    p: *const O::T,
    n: usize,
    mut flag: O::Flag,
) -> ([S::V; B], O::Flag)
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let mut down = [s.splat(op.fill()); B];
    for slab in 0..taps.slabs {
        for row in 0..taps.rows {
            // SAFETY: a row of the window.
            let v = unsafe {
                let p = p.add(slab * taps.slab_step + row * taps.row_step);
                load_block::<A, S, O, B>(s, op, p, n)
            };
            if row >= stale {
                flag = watch_block(s, op, &v, flag);
            }
            for b in 0..B {
                down[b] = op.join(s, down[b], v[b]);
            }
        }
    }
    (down, flag)
}

/// `B` neighbouring vectors, or the first `n` lanes of one.
///
/// # Safety
/// `B·N` elements are readable, or `n` if `n < N`; then `B == 1`.
#[inline(always)]
unsafe fn load_block<A, S, O, const B: usize>(s: S, op: O, p: *const O::T, n: usize) -> [S::V; B]
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let mut v = [s.splat(op.fill()); B];
    for b in 0..B {
        // SAFETY: by this function's contract.
        v[b] = unsafe { if n == S::N { op.load(s, p.add(b * S::N)) } else { op.load_first(s, p, n) } };
    }
    v
}

/// Watches `B` vectors, two for one compare.
#[inline(always)]
fn watch_block<A, S, O, const B: usize>(s: S, op: O, v: &[S::V; B], mut flag: O::Flag) -> O::Flag
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    if O::WATCH {
        for b in (0..B).step_by(2) {
            flag = op.watch(s, flag, v[b], v[(b + 1) % B]);
        }
    }
    flag
}

/// Writes `len` folded vectors' worth of output: whole vectors, the last one overlapping the one before.
///
/// A run shorter than a vector may spill over its end where `spill` elements are writable and will be written again.
///
/// # Safety
/// `dst .. dst + len.max(spill)` is writable, and `folded(i)` is sound for every `i` with `i + N <= len`, and for 0.
#[inline(always)]
unsafe fn emit<A, S, R>(
    s: S,
    op: R,
    dst: *mut R::T,
    len: usize,
    spill: usize,
    folded: impl Fn(usize) -> S::V,
    divisor: impl Fn(usize) -> R::Divisor,
) where
    A: Lane,
    S: Lanes<A>,
    R: Reduce<A, S>,
{
    let mut i = 0;
    while i < len {
        let at = if i + S::N <= len { i } else { len.saturating_sub(S::N) };
        let v = op.finish(s, folded(at), divisor(at));
        // SAFETY: at + N <= len elements are writable by this function's contract, or spill >= N, or len < N.
        unsafe {
            if len.max(spill) >= S::N {
                op.store(s, dst.add(at), v);
            } else {
                op.store_first(s, dst, len, v);
            }
        }
        i += S::N;
    }
}

/// A closure that must be inlined but is bound to a name first: the attribute is allowed on an argument only.
#[inline(always)]
fn inline<F>(f: F) -> F {
    f
}
