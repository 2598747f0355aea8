//! Short planar rows in pairs: windows of 2×2 that move by 2 and leave nothing over, of numbers that may be joined in any order.
//!
//! ```text
//! for as many pairs of input rows as fit the scratch, whatever planes they are of:                    (1)
//!     fold neighbouring columns of all of them, as if they were one row, into scratch                 (2)
//!     for each pair, or as many as a vector of outputs holds:
//!         fold its two halves, finish, store                                                          (3)
//! ```
//!
//! 1. Rows and planes of even lengths follow each other without a seam: the tensor is a sequence of pairs of rows.
//! 2. So a row that is shorter than a vector, or a little longer, costs what its elements cost.
//! 3. What a vector stores behind its outputs is stored again by the next one. The last ones of a run store no more than is theirs.
//!    (Before: a vector for each pair, 7.7 times the bound at 512×14×14 where it is now 4.7.)
//!
//! Columns are folded before rows, so sums of floats would have other last bits than in `rows`: this is for integers, and for extremes
//! of 16-bit floats, which are integers here. (Before: `rows`, a vector a row with a seventh of it used: 512×14×14 `u8` took 20
//! times the streaming bound on AVX2, in the same minutes in which this took 7.5.)

use core::mem::MaybeUninit;
use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Walk, inline, until};
use crate::geometry::{Axis, Geometry};
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::table::WalkKind;

/// Bytes of scratch: a quarter of the smallest L1 cache.
const SCRATCH: usize = 8 << 10;

/// The most rows that are put into one vector of outputs.
const ROWS: usize = 8;

pub(crate) struct Pairs<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
}

impl<A: Lane, R> Pairs<A, R> {
    /// Whether a layer is of this kind, and its rows are so short that `rows` would waste half of its vectors.
    pub(crate) fn takes<S: Lanes<A>>(layer: &Layer) -> bool
    where
        R: Reduce<A, S>,
    {
        let Geometry { inner, axes: [depth, height, width], .. } = &layer.geometry;
        let halves = |axis: &Axis| {
            (axis.kernel, axis.stride, axis.dilation, axis.begin) == (2, 2, 1, 0) && axis.input == 2 * axis.output
        };
        R::ANY_ORDER
            && *inner == 1
            && (depth.kernel, depth.stride, depth.begin) == (1, 1, 0)
            && depth.input == depth.output
            && halves(height)
            && halves(width)
            && width.output < 2 * S::N
            && layer.is_packed()
    }

    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Pairs<A, R> {
    const KIND: WalkKind = WalkKind::Pairs;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let op = self.op;
        let len = self.layer.geometry.axes[2].output;
        // Every window is whole.
        let divisor = self.divisors.row::<S, R>(0, 0).at(s, op, 0);
        let mut memory = MaybeUninit::<[u64; SCRATCH / 8]>::uninit();
        let scratch: *mut A = memory.as_mut_ptr().cast();
        // Room for a vector too much, and then for one behind that.
        const { assert!(SCRATCH / size_of::<A>() >= 8 * S::N && align_of::<A>() <= 8) };
        let most = (SCRATCH / size_of::<A>() - 2 * S::N) / (2 * len);
        // Pairs whose outputs one vector holds, and the lanes before each one's.
        let each = (S::N / len).clamp(1, ROWS);
        let mut before = [s.first(0); ROWS];
        for i in 1..each {
            before[i] = s.first(i * len);
        }
        let (mut src, mut dst) = (io.src.wrapping_add(rows.start * 4 * len), io.dst);
        let mut left = rows.len();
        while left > 0 {
            let pairs = left.min(most);
            let folded = 2 * len * pairs;
            let mut i = 0;
            while i < folded {
                let (p, rest) = (src.wrapping_add(2 * i), 2 * (folded - i));
                let is_whole = rest >= 2 * S::N || io.readable(p) >= 2 * S::N;
                // SAFETY: from `p` on, `rest` elements are of these pairs; the scratch has a vector behind what is folded.
                unsafe {
                    let v = if R::RUN == 2 * S::N {
                        if is_whole { op.load_run(s, p) } else { op.load_run_first(s, p, rest, rest) }
                    } else {
                        let (a, b) = if is_whole {
                            (op.load(s, p), op.load(s, p.add(S::N)))
                        } else {
                            let first = rest.min(S::N);
                            (op.load_first(s, p, first), op.load_first(s, p.wrapping_add(first), rest - first))
                        };
                        let (even, odd) = s.unzip(a, b);
                        op.join(s, even, odd)
                    };
                    s.store(scratch.add(i), v);
                }
                i += S::N;
            }
            // SAFETY: at most a vector behind `folded`, and the scratch has another one there: what the last row is loaded with.
            unsafe { s.store(scratch.add(i), s.splat(op.fill())) };
            // Stores what `n` outputs are joined to.
            let put = inline(
                #[inline(always)]
                |at: usize, n: usize, v: S::V| {
                    let (to, v) = (dst.wrapping_add(at), op.finish(s, v, divisor));
                    // SAFETY: outputs of these pairs, which are the run's, and so is what lies behind them up to its end.
                    unsafe {
                        if until(to, io.dst_end) >= S::N {
                            op.store(s, to, v);
                        } else {
                            op.store_first(s, to, n, v);
                        }
                    }
                },
            );
            let mut halves = scratch.cast_const();
            let mut pair = 0;
            while pair < pairs {
                let count = each.min(pairs - pair);
                if count == 1 {
                    for x in (0..len).step_by(S::N) {
                        // SAFETY: a pair in the scratch, and a vector behind the last one.
                        let (upper, lower) = unsafe { (s.load(halves.add(x)), s.load(halves.add(len + x))) };
                        put(pair * len + x, S::N.min(len - x), op.join(s, upper, lower));
                    }
                } else {
                    // Behind the outputs of the first pair those of the next ones, each of which lies a row further on here than there.
                    let mut outputs = s.splat(op.fill());
                    // In pointers: with indices the compiler unrolls by `ROWS` and keeps as many addresses in memory.
                    let (mut row, mut lanes) = (halves, before.as_ptr());
                    // SAFETY: as above; and as many masks as pairs.
                    unsafe {
                        let end = lanes.add(count);
                        let mut upper = s.load(row);
                        while lanes < end {
                            row = row.add(len);
                            let lower = s.load(row);
                            outputs = s.pick(*lanes, outputs, op.join(s, upper, lower));
                            upper = lower;
                            lanes = lanes.add(1);
                        }
                    }
                    put(pair * len, count * len, outputs);
                }
                pair += count;
                halves = halves.wrapping_add(count * 2 * len);
            }
            dst = dst.wrapping_add(pairs * len);
            src = src.wrapping_add(2 * folded);
            left -= pairs;
        }
    }
}
