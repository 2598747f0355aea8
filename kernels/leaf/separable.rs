//! Windows in two passes, a row of outputs at a time: down the window's columns, then across them.
//!
//! ```text
//! for each output row, whose line was made a row before:
//!     next line = the fold of the window's rows, lane by lane         (1)
//!     split the even lanes of the line from the odd ones              (2)
//!     for each register of outputs:
//!         fold the columns of this line, a load each, finish, store   (3)
//! ```
//!
//! 1. Each tap of a column is loaded, widened or made a key once for all windows of the row. Around the
//!    line lie identities: padding. A load that spans two stores must wait until they have left the CPU's
//!    store buffer: hence a row before.
//! 2. Where windows move by two pixels of one lane. Then the lanes of a column's outputs are neighbours.
//! 3. The last register of a row overlaps the one before, so nothing passes the end of a row.

use super::Nest;
use super::fold::{Taps, rolled};
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Columns of a window, at most.
pub(crate) const MOST_COLUMNS: usize = 16;

/// Rows of outputs whose windows have the same taps, each a step behind the one before.
///
/// # Safety
/// From `src` on, every tap of `taps` of `len` elements is readable in each of `rows` rows, `row_in` bytes apart; from
/// `dst` on, `outputs` elements are writable in each, `row_out` bytes apart. Both lengths are a register or more.
/// `line` has `before` lanes, these `len`, and others up to `padded`, a multiple of two registers; all lanes hold
/// something. With `split`, as many bytes behind `line` there is room for half as many, and as far behind those for the
/// other half. Every lane of every column's outputs lies in one of these. `other` bytes behind all this there is the same
/// again. `divisors` has the words of every lane.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) line: *mut u8,
    pub(crate) rows: usize,
    pub(crate) row_in: usize,
    pub(crate) row_out: usize,
    /// Of a column; the taps on the last axis are not among them.
    pub(crate) taps: Taps,
    pub(crate) before: usize,
    pub(crate) len: usize,
    /// Lanes of the line with its padding, and bytes to the half with its even lanes; 0 where it is not split.
    pub(crate) padded: usize,
    pub(crate) split: usize,
    pub(crate) other: usize,
    /// Of each column: the lane of the first output, in bytes.
    pub(crate) columns: [usize; MOST_COLUMNS],
    pub(crate) column_count: usize,
    pub(crate) outputs: usize,
    /// The words of a divisor are `word_bytes` apart; `lane_bytes` is 0 where all lanes share them.
    pub(crate) divisors: *const u8,
    pub(crate) word_bytes: usize,
    pub(crate) lane_bytes: usize,
}

/// The nest of [`Lines`].
pub(crate) struct Separable;

/// Registers folded side by side.
const BLOCK: usize = 4;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Separable {
    type Args = Lines;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Lines) -> bool {
        // A copy: for all the compiler knows, a store might change the original.
        let a = *a;
        let mut flag = op.clean(s);
        let (mut src, mut dst) = (a.src, a.dst);
        // Step `y` makes line `y` and uses the one before.
        for y in 0..a.rows + 1 {
            let lines = [y & 1, (y & 1) ^ 1].map(|which| a.line.wrapping_add(which * a.other));
            // SAFETY: by this function's contract: registers within a row of either tensor, the last overlapping the
            // one before, and within the lines.
            unsafe {
                let mut i = 0;
                while y < a.rows && i < a.len {
                    if S::BLOCKS && i + BLOCK * S::N <= a.len {
                        down::<A, S, O, BLOCK>(s, op, &a, src, lines[0], i, &mut flag);
                        i += BLOCK * S::N;
                    } else {
                        down::<A, S, O, 1>(s, op, &a, src, lines[0], i.min(a.len - S::N), &mut flag);
                        i += S::N;
                    }
                    rolled();
                }
                if a.split > 0 {
                    halve::<A, S>(s, &a, lines[0]);
                }
                i = 0;
                while y > 0 && i < a.outputs {
                    if S::BLOCKS && i + 2 * S::N <= a.outputs {
                        across::<A, S, O, 2>(s, op, &a, lines[1], dst, i);
                        i += 2 * S::N;
                    } else {
                        across::<A, S, O, 1>(s, op, &a, lines[1], dst, i.min(a.outputs - S::N));
                        i += S::N;
                    }
                    rolled();
                }
            }
            if y > 0 {
                dst = dst.wrapping_add(a.row_out);
            }
            src = src.wrapping_add(a.row_in);
        }
        op.dirty(s, flag)
    }
}

/// Folds the rows of `B` registers of a line, from its element `i` on.
///
/// # Safety
/// As for [`Lines`]: `i + B·N <= len`, in the row of outputs whose windows begin at `src`.
#[inline(always)]
unsafe fn down<A, S, O, const B: usize>(
    s: S,
    op: O,
    a: &Lines,
    src: *const u8,
    line: *mut u8,
    i: usize,
    flag: &mut O::Flag,
) where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut v = [s.splat(op.fill()); B];
    let mut slab = src.wrapping_add(i * size_of::<O::T>());
    for _ in 0..a.taps.slabs {
        let mut row = slab;
        for _ in 0..a.taps.rows {
            let mut x = v;
            for b in 0..B {
                // SAFETY: by this function's contract.
                x[b] = unsafe { op.load(s, row.wrapping_add(b * S::N * size_of::<O::T>()).cast()) };
                v[b] = op.join(s, v[b], x[b]);
            }
            if O::WATCH {
                for b in (0..B).step_by(2) {
                    *flag = op.watch(s, *flag, x[b], x[(b + 1) % B]);
                }
            }
            row = row.wrapping_add(a.taps.row_bytes);
            rolled();
        }
        slab = slab.wrapping_add(a.taps.slab_bytes);
        rolled();
    }
    let to = line.cast::<A>().wrapping_add(a.before + i);
    for b in 0..B {
        // SAFETY: by this function's contract.
        unsafe { s.store(to.wrapping_add(b * S::N), v[b]) };
    }
}

/// Splits a line into its even lanes and its odd ones.
///
/// # Safety
/// As for [`Lines`], whose `split` is not 0.
#[inline(always)]
unsafe fn halve<A: Lane, S: Tables<A>>(s: S, a: &Lines, line: *mut u8) {
    let from = line.cast::<A>();
    let even = line.wrapping_add(a.split).cast::<A>();
    let odd = even.wrapping_byte_add(a.split);
    let mut i = 0;
    while i < a.padded {
        // SAFETY: by this function's contract.
        unsafe {
            let (x, y) = (s.load(from.wrapping_add(i)), s.load(from.wrapping_add(i + S::N)));
            let (x, y) = s.unzip(x, y);
            s.store(even.wrapping_add(i / 2), x);
            s.store(odd.wrapping_add(i / 2), y);
        }
        i += 2 * S::N;
        rolled();
    }
}

/// Folds the columns of `B` registers of outputs, from element `i` of the row at `dst` on, and stores them.
///
/// # Safety
/// As for [`Lines`]: `i + B·N <= outputs`.
#[inline(always)]
unsafe fn across<A, S, O, const B: usize>(s: S, op: O, a: &Lines, line: *const u8, dst: *mut u8, i: usize)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let from = line.cast::<A>().wrapping_add(i);
    let mut v = [s.splat(op.fill()); B];
    for k in 0..a.column_count {
        // SAFETY: by this function's contract; no more columns than there are places.
        unsafe {
            let p = from.wrapping_byte_add(*a.columns.get_unchecked(k));
            for b in 0..B {
                v[b] = op.join(s, v[b], s.load(p.wrapping_add(b * S::N)));
            }
        }
        rolled();
    }
    for b in 0..B {
        let first = a.divisors.wrapping_add((i + b * S::N) * a.lane_bytes);
        let to = dst.cast::<O::T>().wrapping_add(i + b * S::N);
        // SAFETY: by this function's contract.
        unsafe {
            let divisor = op.divisor(
                s,
                #[inline(always)]
                |word| s.load(first.wrapping_add(word * a.word_bytes).cast()),
            );
            op.store(s, to, op.finish(s, v[b], divisor));
        }
        // Where finishing is long, there is one copy of it.
        if O::WORDS > 1 {
            rolled();
        }
    }
}
