//! A plane as one window, channels last or blocked: pixels piled up on a row of accumulators.
//!
//! ```text
//! for each plane, for each strip of its inner elements:
//!     for each column of pixels:
//!         for each vector of the strip: fold the column, then onto its accumulator       (1)(2)
//!     finish, store                                                                      (3)
//! ```
//!
//! 1. Each row of pixels is read from its first element to its last, as many rows side by side as a column is high: what a
//!    cache's prefetchers like. (Before: a block of 256 bytes of inner at all pixels, then the next block: 2.5 times the streaming
//!    bound for a maximum of 1024 pixels of 1024 `f32`, AVX2, Zen 3, since every pixel begins in the same set of the L1 cache.)
//! 2. Columns of one pixel are piled up four at a time, so that an accumulator is loaded and stored once for four of them.
//! 3. A strip's last vector may be partial; its accumulators are a whole vector.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Position, Walk, load_block, watch_block};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;

/// Bytes of accumulators on the stack of a run.
const STRIP_BYTES: usize = 8 << 10;

#[repr(align(64))]
struct Strip(MaybeUninit<[u8; STRIP_BYTES]>);

pub(crate) struct Piles<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
}

impl<A: Lane, R> Piles<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Piles<A, R> {
    const KIND: WalkKind = WalkKind::Piles;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, planes: Range<usize>) {
        let inner = self.layer.geometry.inner;
        // A plane has one output, its row.
        let io = self.layer.rebased(io, &Position { outer: planes.start, z: 0, y: 0 });
        let mut strip = Strip(MaybeUninit::uninit());
        let to: *mut A = strip.0.as_mut_ptr().cast();
        let longest = STRIP_BYTES / size_of::<A>();
        for plane in planes {
            let mut c = 0;
            while c < inner {
                let channels = c..(c + longest).min(inner);
                c = channels.end;
                // SAFETY: the strip's inner elements of a plane of the run; the strip holds them in whole vectors.
                unsafe {
                    if self.strip(s, self.op, &io, plane, channels.clone(), to) && R::WATCH {
                        self.strip(s, self.op.careful(), &io, plane, channels, to);
                    }
                }
            }
        }
    }
}

impl<A: Lane, R> Piles<A, R> {
    /// The outputs of some inner elements of a plane. Says whether it met what `op` is not right for; then they are not to be used.
    ///
    /// # Safety
    /// As for [`Walk::visit`]; `plane` is a unit of the run, and `to` holds the channels in whole vectors.
    #[inline(always)]
    unsafe fn strip<S: Lanes<A>, O>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        plane: usize,
        channels: Range<usize>,
        to: *mut A,
    ) -> bool
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        const _: () = assert!(STRIP_BYTES.is_multiple_of(MOST_LANES * size_of::<u64>()));
        let [depth, height, width] = self.layer.geometry.axes.each_ref().map(|axis| axis.input);
        let steps = self.layer.places.input;
        let len = channels.len();
        let src = io.src.wrapping_add(steps.outer(plane) + channels.start);
        let mut flag = op.clean(s);
        let mut x = 0;
        while x < width {
            // Columns piled up at once: neighbours, in their order.
            let piled = if depth * height == 1 && x + 4 <= width { 4 } else { 1 };
            let column = Column {
                first: src.wrapping_add(x * steps.pixel),
                slabs: depth,
                slab_step: steps.slab,
                rows: height,
                row_step: steps.row,
                piled,
                pixel: steps.pixel,
                is_first: x == 0,
            };
            let mut i = 0;
            // SAFETY: `len` elements of each pixel, and their accumulators.
            unsafe {
                while const { !S::PLAIN } && i + 4 * S::N <= len {
                    flag = column.pile::<A, S, O, 4>(s, op, i, S::N, to, flag);
                    i += 4 * S::N;
                }
                while i < len {
                    flag = column.pile::<A, S, O, 1>(s, op, i, (len - i).min(S::N), to, flag);
                    i += S::N;
                }
            }
            x += piled;
        }
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }
        let divisor = self.divisors.row::<S, O>(0, 0).at(s, op, 0);
        let dst = self.layer.row(io, &Position { outer: plane, z: 0, y: 0 }, 0).wrapping_add(channels.start);
        let mut i = 0;
        while i < len {
            // SAFETY: accumulators that have been stored, and their outputs.
            unsafe {
                let v = op.finish(s, s.load(to.add(i)), divisor);
                if i + S::N <= len { op.store(s, dst.add(i), v) } else { op.store_first(s, dst.add(i), len - i, v) }
            }
            i += S::N;
        }
        false
    }
}

/// Pixels of a column, on top of each other, or columns of one pixel, side by side.
struct Column<T> {
    first: *const T,
    slabs: usize,
    slab_step: usize,
    rows: usize,
    row_step: usize,
    piled: usize,
    pixel: usize,
    /// There is nothing on the accumulators yet.
    is_first: bool,
}

impl<T> Column<T> {
    /// Folds `B` neighbouring vectors of the column from element `i` of its pixels on, or the first `n` lanes of one, and joins them
    /// to their accumulators.
    ///
    /// # Safety
    /// The pixels have `B·N` elements from `i` on, or `n` if `n < N`; then `B == 1`. `to.add(i)` holds `B` vectors.
    #[inline(always)]
    unsafe fn pile<A, S, O, const B: usize>(
        &self,
        s: S,
        op: O,
        i: usize,
        n: usize,
        to: *mut A,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        A: Lane,
        S: Lanes<A>,
        O: Reduce<A, S, T = T>,
    {
        let identity = [s.splat(op.fill()); B];
        let mut pile = identity;
        if !self.is_first {
            for b in 0..B {
                // SAFETY: by this function's contract; the column before has stored it.
                pile[b] = unsafe { s.load(to.add(i + b * S::N)) };
            }
        }
        let first = self.first.wrapping_add(i);
        if self.piled == 1 {
            let mut folded = identity;
            for slab in 0..self.slabs {
                for row in 0..self.rows {
                    let p = first.wrapping_add(slab * self.slab_step + row * self.row_step);
                    // SAFETY: a pixel of the column.
                    let v = unsafe { load_block::<A, S, O, B>(s, op, p, n) };
                    flag = watch_block(s, op, &v, flag);
                    for b in 0..B {
                        folded[b] = op.join(s, folded[b], v[b]);
                    }
                }
            }
            for b in 0..B {
                pile[b] = op.join(s, pile[b], folded[b]);
            }
        } else {
            for column in 0..self.piled {
                let p = first.wrapping_add(column * self.pixel);
                // SAFETY: the pixel of the column.
                let v = unsafe { load_block::<A, S, O, B>(s, op, p, n) };
                flag = watch_block(s, op, &v, flag);
                for b in 0..B {
                    pile[b] = op.join(s, pile[b], v[b]);
                }
            }
        }
        for b in 0..B {
            // SAFETY: by this function's contract.
            unsafe { s.store(to.add(i + b * S::N), pile[b]) };
        }
        flag
    }
}
