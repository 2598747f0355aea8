//! A pixel at a time: each lane is one of its inner elements (channels, or a block of them).
//!
//! ```text
//! for each output row, for each run of columns that fits the cache, for each block of vectors of inner:
//!     for each output pixel of the run:
//!         for each column of its window:
//!             fold the column's rows                       (1)
//!         fold the columns, left to right                  (2)
//!         finish, store                                    (3)
//! ```
//!
//! 1. Rows outside the input are not visited: every row of a window is the same for the whole output row.
//! 2. Columns outside the input are not visited either. A column that two neighbouring windows share is folded twice
//!    here; `rows` folds it once and is chosen where that pays.
//! 3. An inner length that is no multiple of a vector ends with a vector that overlaps the one before; one shorter than
//!    a vector is one partial vector.
//!
//! The run of columns exists for the cache: without it three input rows of 112 pixels × 64 channels fall out of L1
//! between two uses, and each is read three times from L2 (1.9 instead of 1.2 times the streaming bound).

use core::ops::Range;

use super::divisors::Divisors;
use super::{Caution, Io, Layer, RowTaps, Walk};
use crate::geometry::Taps;
use crate::kernels::simd::{Lane, Lanes, Reduce};

/// Input bytes of one row that a run of columns spans.
const RUN_BYTES: usize = 8 << 10;

pub(crate) struct Pixels<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    /// Output pixels of a run.
    run: usize,
}

impl<A: Lane, R> Pixels<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        let pixel_bytes = layer.geometry.inner * size_of::<R::T>();
        let input_pixels = (RUN_BYTES / pixel_bytes.max(1)).max(1);
        let run = (input_pixels / layer.geometry.axes[2].stride).max(1);
        Self { op, layer: *layer, divisors: Divisors::new::<S, R>(op, layer), run }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Pixels<A, R> {
    type T = R::T;

    fn units(&self) -> usize {
        self.layer.geometry.rows()
    }

    fn unit_len(&self) -> usize {
        self.layer.geometry.row_len()
    }

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let mut caution = Caution::default();
        for (i, row) in rows.enumerate() {
            let taps = RowTaps::new(geometry, row);
            // SAFETY: `row` is one of the run's units, so its output is writable.
            let dst = unsafe { io.dst.add(i * geometry.row_len()) };
            let mut x = 0;
            while x < geometry.axes[2].output {
                let columns = x..(x + self.run).min(geometry.axes[2].output);
                // SAFETY: by the contract of `visit`; `dst` is the row's output and `columns` lie in it.
                unsafe {
                    if caution.is_due() {
                        self.strip(s, self.op.careful(), io, &taps, dst, columns.clone());
                    } else if self.strip(s, self.op, io, &taps, dst, columns.clone()) {
                        caution.dirty();
                        self.strip(s, self.op.careful(), io, &taps, dst, columns.clone());
                    } else {
                        caution.clean();
                    }
                }
                x = columns.end;
            }
        }
    }
}

impl<A: Lane, R> Pixels<A, R> {
    /// A run of output pixels of one row, all of inner. Says whether it met what `op` is not right for.
    ///
    /// # Safety
    /// As for `visit`; `dst` is the row's output and `columns` lie in it.
    #[inline(always)]
    unsafe fn strip<S, O>(
        &self,
        s: S,
        op: O,
        io: Io<O::T>,
        taps: &RowTaps,
        dst: *mut O::T,
        columns: Range<usize>,
    ) -> bool
    where
        S: Lanes<A>,
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let inner = self.layer.geometry.inner;
        let mut flag = op.clean(s);
        let mut c = 0;
        // SAFETY: all blocks lie in `inner`: 4 vectors, then single ones, the last of which overlaps or is partial.
        unsafe {
            while c + 4 * S::N <= inner {
                flag = self.block::<4, S, O>(s, op, io, taps, dst, columns.clone(), c, S::N, flag);
                c += 4 * S::N;
            }
            while c + S::N <= inner {
                flag = self.block::<1, S, O>(s, op, io, taps, dst, columns.clone(), c, S::N, flag);
                c += S::N;
            }
            if c < inner {
                let (from, n) = if inner >= S::N { (inner - S::N, S::N) } else { (c, inner - c) };
                flag = self.block::<1, S, O>(s, op, io, taps, dst, columns, from, n, flag);
            }
        }
        O::WATCH && op.dirty(s, flag)
    }

    /// `B` vectors of inner from `c` on, `n` lanes of each (all, but for an inner shorter than a vector).
    ///
    /// # Safety
    /// As for `strip`; `c + B·N <= inner`, or `B == 1` and `c + n <= inner`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that it is written once for two widths")]
    unsafe fn block<const B: usize, S, O>(
        &self,
        s: S,
        op: O,
        io: Io<O::T>,
        taps: &RowTaps,
        dst: *mut O::T,
        columns: Range<usize>,
        c: usize,
        n: usize,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        S: Lanes<A>,
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let geometry = &self.layer.geometry;
        let width = &geometry.axes[2];
        let divisors = self.divisors.row::<S, O>(taps.z, taps.y);
        let whole = n == S::N;
        for x in columns {
            let Taps { start, count } = width.taps(x);
            let mut folded = [s.splat(O::FILL); B];
            for column in 0..count {
                let at = taps.first + (start + column * width.dilation) * geometry.inner + c;
                let mut down = [s.splat(O::FILL); B];
                for slab in 0..taps.slabs {
                    for row in 0..taps.rows {
                        // SAFETY: a valid tap: its pixel lies in the input, which `visit` was given whole.
                        let p = unsafe { io.src.add(at + slab * taps.slab_step + row * taps.row_step) };
                        for b in 0..B {
                            // SAFETY: the pixel has `inner` elements from `p − c` on, and c + (b+1)·N <= inner, or
                            // c + n <= inner.
                            let v = unsafe { if whole { op.load(s, p.add(b * S::N)) } else { op.load_first(s, p, n) } };
                            if O::WATCH {
                                flag = op.watch(s, flag, v, v);
                            }
                            down[b] = op.join(s, down[b], v);
                        }
                    }
                }
                for b in 0..B {
                    folded[b] = op.join(s, folded[b], down[b]);
                }
            }
            let divisor = divisors.at(s, op, x);
            // SAFETY: the output pixel `x` of this row, from inner element `c` on.
            let q = unsafe { dst.add(x * geometry.inner + c) };
            for b in 0..B {
                let v = op.finish(s, folded[b], divisor);
                // SAFETY: as for the loads.
                unsafe { if whole { op.store(s, q.add(b * S::N), v) } else { op.store_first(s, q, n, v) } }
            }
        }
        flag
    }
}
