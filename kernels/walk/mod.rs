//! Walks: how a loop visits the windows of a layer.
//!
//! | walk | visits | chosen for |
//! |---|---|---|
//! | [`rows`] | a band of output rows: down the window's columns into scratch rows, then across them | every layer whose scratch row fits, planar ones above all |
//! | [`pixels`] | a pixel at a time, lanes are its inner elements | channels-last and blocked; whatever `rows` cannot hold |
//! | [`global`] | a plane as one run | one window that is the whole plane, planar |

pub(crate) mod divisors;
pub(crate) mod global;
pub(crate) mod pixels;
pub(crate) mod rows;

use core::ops::Range;

use crate::geometry::{Axis, Count, Geometry, Taps};
use crate::kernels::simd::{Lane, Lanes, Reduce, Simd};

/// A layer as the walks see it: the windows, and what an average divides by.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub(crate) geometry: Geometry,
    pub(crate) count: Count,
}

impl Layer {
    /// Whether every divisor is a power of two, so that its reciprocal is exact.
    pub(crate) fn divides_by_powers_of_two(&self) -> bool {
        match self.count {
            Count::Fixed(divisor) => divisor.is_power_of_two(),
            // A product is a power of two where its factors are.
            count => self
                .geometry
                .axes
                .iter()
                .all(|axis| (0..axis.output).all(|o| axis.count(o, count).max(1).is_power_of_two())),
        }
    }
}

/// The slices of one run, as pointers. `Plan` has checked both lengths against the geometry, so every tap of every
/// window lies in `src .. src_end` and every output of the units in `dst .. dst_end`.
#[derive(Clone, Copy)]
pub struct Io<T> {
    pub(crate) src: *const T,
    pub(crate) src_end: *const T,
    /// The first element of the run's units.
    pub(crate) dst: *mut T,
    /// The end of their output. Kernels may store a whole vector over the end of a row, up to here, where a later row of
    /// the same run writes again.
    pub(crate) dst_end: *mut T,
}

impl<T> Io<T> {
    /// Elements that may be read from `p` on.
    #[inline(always)]
    fn readable(&self, p: *const T) -> usize {
        (self.src_end as usize).wrapping_sub(p as usize) / size_of::<T>()
    }

    /// Elements that may be written from `p` on.
    #[inline(always)]
    fn writable(&self, p: *mut T) -> usize {
        (self.dst_end as usize).wrapping_sub(p as usize) / size_of::<T>()
    }
}

/// How a loop visits the windows. It is bound to an operation; the tier comes in with the token.
pub(crate) trait Walk<S: Simd>: Send + Sync {
    type T: bytemuck::Pod;

    /// The output in pieces that can be computed apart: each a contiguous run of [`Walk::unit_len`] elements.
    fn units(&self) -> usize;

    /// Elements of the output in one unit.
    fn unit_len(&self) -> usize;

    /// # Safety
    /// `io.src .. io.src_end` is the whole input of the layer the walk was made for, `io.dst .. io.dst_end` the output of
    /// `units`, which end at or before [`Walk::units`]; nobody else touches that output meanwhile.
    unsafe fn visit(&self, s: S, io: Io<Self::T>, units: Range<usize>);
}

/// Where output row `row` lies and which input rows its windows fold.
#[derive(Clone, Copy)]
struct RowTaps {
    /// Output indices on depth and height.
    z: usize,
    y: usize,
    /// Offset of the first valid row of the window, in elements of the input.
    first: usize,
    slabs: usize,
    slab_step: usize,
    rows: usize,
    row_step: usize,
    /// Input rows of the window on the height axis, for telling fresh ones from those that an earlier row has seen.
    height: Taps,
}

impl RowTaps {
    #[inline(always)]
    fn new(geometry: &Geometry, row: usize) -> Self {
        let [depth, height, width] = &geometry.axes;
        let (slab, y) = (row / height.output, row % height.output);
        let (o, z) = (slab / depth.output, slab % depth.output);
        Self::at(geometry, depth, height, width, o, z, y)
    }

    #[inline(always)]
    fn at(geometry: &Geometry, depth: &Axis, height: &Axis, width: &Axis, o: usize, z: usize, y: usize) -> Self {
        let row_len = width.input * geometry.inner;
        let slab_len = height.input * row_len;
        let plane_len = depth.input * slab_len;
        let (slabs, rows) = (depth.taps(z), height.taps(y));
        Self {
            z,
            y,
            first: o * plane_len + slabs.start * slab_len + rows.start * row_len,
            slabs: slabs.count,
            slab_step: depth.dilation.wrapping_mul(slab_len),
            rows: rows.count,
            row_step: height.dilation.wrapping_mul(row_len),
            height: rows,
        }
    }

    fn taps(&self) -> usize {
        self.slabs * self.rows
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

    #[inline(always)]
    fn clean(&mut self) {
        self.next = 0;
    }

    #[inline(always)]
    fn dirty(&mut self) {
        self.next = (self.next * 2).clamp(1, 64);
        self.left = self.next;
    }
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
    if len >= S::N {
        let mut i = 0;
        while i + S::N <= len {
            // SAFETY: i + N <= len elements are writable by this function's contract.
            unsafe { op.store(s, dst.add(i), op.finish(s, folded(i), divisor(i))) };
            i += S::N;
        }
        if i < len {
            let i = len - S::N;
            // SAFETY: i + N == len elements are writable by this function's contract.
            unsafe { op.store(s, dst.add(i), op.finish(s, folded(i), divisor(i))) };
        }
    } else {
        let v = op.finish(s, folded(0), divisor(0));
        // SAFETY: spill >= N elements, or else len < N elements, are writable by this function's contract.
        unsafe {
            if spill >= S::N {
                op.store(s, dst, v);
            } else {
                op.store_first(s, dst, len, v);
            }
        }
    }
}
