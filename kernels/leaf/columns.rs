//! Windows that walk along a row of pixels, a few registers of channels at a time.
//!
//! ```text
//! for each few registers of a pixel, for each output row, or two neighbours:
//!     for each output, left to right:
//!         for each column that is new in its window: fold its rows, join them to all windows that have it   (1)
//!         finish the window, store it
//! ```
//!
//! 1. As many windows are under way as have a column in common; each has a row of registers. So each column
//!    is folded once for a row of outputs, and two rows of outputs share the loads of all but two rows.
//!    Columns outside the input are identities.
//!
//! Where windows share no columns, pixels are the outer loop: a row of them is read from end to end.
//!
//! The last registers of a pixel overlap those before, so nothing that is no part of a window is read,
//! and nothing but outputs is written.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Neighbouring outputs of a row that divide by the same number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equals {
    pub(crate) outputs: usize,
    /// The words of their divisor, each a register of equal lanes.
    pub(crate) divisor: *const u8,
}

/// Rows of outputs whose windows have the same rows.
///
/// # Safety
/// Of the window of output row `y`, row `r` begins at `src + y·row_in + offsets[r]`, the first offset being 0; each has
/// `columns` pixels, `pixel_in` bytes apart, and each of those `len` readable elements. Output row `y` begins at
/// `dst + y·row_out`; it has as many pixels, `pixel_out` bytes apart, as `equals` count, and each of those `len`
/// writable elements. `len` is a register or more, `rows` is at least 1, and `kernel` from 1 to [`MOST_COLUMNS`].
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) offsets: *const usize,
    pub(crate) rows: usize,
    /// Whether the rows lie `row_in` bytes apart, as the windows of neighbouring output rows do: two of those have
    /// `rows + 1`.
    pub(crate) pairs: bool,
    /// Rows of a window that were watched with the output row before.
    pub(crate) stale: usize,
    pub(crate) outer: usize,
    pub(crate) row_in: usize,
    pub(crate) row_out: usize,
    pub(crate) pixel_in: usize,
    pub(crate) pixel_out: usize,
    pub(crate) columns: usize,
    /// Columns of the first window that lie before the input.
    pub(crate) begin: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) equals: *const Equals,
    pub(crate) runs: usize,
    pub(crate) word_bytes: usize,
    pub(crate) len: usize,
}

/// Columns of a window, at most.
pub(crate) const MOST_COLUMNS: usize = 7;

/// Windows that share columns. A column lies in `A` windows at most, or in any number of them where `A` is 0. They move
/// by `BY` columns and are square, of the least size that a column lies in so many; or move by any number, at most
/// `kernel`, where `BY` is 0.
///
/// # Safety
/// Of square windows, `stale` is 0, or at least their rows less `BY`.
pub(crate) struct Along<const A: usize, const BY: usize>;

/// Columns and rows of square windows.
const fn side(windows: usize, by: usize) -> usize {
    (windows - 1) * by + 1
}

/// Registers of a pixel that are kept side by side, at most. One where an operation is rare, so that there is less
/// code; none on the tier that has no registers.
const fn most<L: Lane, S: Tables<L>, O: LaneOp<L, S>>(windows: usize) -> usize {
    if S::N == 1 {
        0
    } else if !O::WALKS || !S::BLOCKS || windows == 0 {
        1
    } else {
        2
    }
}

impl<L: Lane, S: Tables<L>, O: LaneOp<L, S>, const A: usize, const BY: usize> Nest<L, S, O> for Along<A, BY> {
    type Args = Walk;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Walk) -> bool {
        let mut flag = op.clean(s);
        let mut i = 0;
        while const { most::<L, S, O>(A) > 0 } && i < a.len {
            // SAFETY: by this function's contract: registers that lie within a pixel.
            unsafe {
                if const { most::<L, S, O>(A) > 1 } && i + S::N < a.len && a.len >= 2 * S::N {
                    block::<L, S, O, A, BY, 2>(s, op, a, i.min(a.len - 2 * S::N), &mut flag);
                    i += 2 * S::N;
                } else {
                    block::<L, S, O, A, BY, 1>(s, op, a, i.min(a.len - S::N), &mut flag);
                    i += S::N;
                }
            }
        }
        op.dirty(s, flag)
    }
}

/// All rows of `U` registers from element `lane` of a pixel on.
///
/// # Safety
/// As for [`Walk`]: `lane + U·N <= len`.
#[inline(always)]
unsafe fn block<L, S, O, const A: usize, const BY: usize, const U: usize>(
    s: S,
    op: O,
    a: &Walk,
    lane: usize,
    flag: &mut O::Flag,
) where
    L: Lane,
    S: Tables<L>,
    O: LaneOp<L, S>,
{
    let mut y = 0;
    while y < a.outer {
        let src = a.src.wrapping_add(y.wrapping_mul(a.row_in)).wrapping_add(lane * size_of::<O::T>());
        let dst = a.dst.wrapping_add(y.wrapping_mul(a.row_out)).wrapping_add(lane * size_of::<O::T>());
        let stale = if y == 0 { 0 } else { a.stale };
        // SAFETY: by this function's contract.
        unsafe {
            // One register of a pair is not worth its code; two of five windows need the registers of tiers with masks
            // of bits.
            if const { BY == 1 && U > 1 && (A <= 3 || S::MASK_BITS) } && a.pairs && y + 1 < a.outer {
                row::<L, S, O, A, BY, U, 2>(s, op, a, src, dst, stale, flag);
                y += 2;
            } else {
                row::<L, S, O, A, BY, U, 1>(s, op, a, src, dst, stale, flag);
                y += 1;
            }
        }
    }
}

/// `P` neighbouring output rows.
///
/// # Safety
/// As for `block`.
#[inline(always)]
unsafe fn row<L, S, O, const A: usize, const BY: usize, const U: usize, const P: usize>(
    s: S,
    op: O,
    a: &Walk,
    src: *const u8,
    mut dst: *mut u8,
    stale: usize,
    flag: &mut O::Flag,
) where
    L: Lane,
    S: Tables<L>,
    O: LaneOp<L, S>,
{
    let &Walk { kernel, stride, pixel_in, pixel_out, row_out, .. } = a;
    let (kernel, stride) = if BY > 0 { (side(A, BY), BY) } else { (kernel, stride) };
    let windows = if A > 0 { A } else { kernel.div_ceil(stride) };
    // Of the columns that are new in a window, the last window that has any has those from this one on.
    let late = windows * stride - kernel;
    // The first steps are of windows before the first; those end where it has the columns that it shares with them.
    let mut before = windows - 1;
    let mut x = 0_usize.wrapping_sub(a.begin + late);
    // SAFETY: the same contract.
    let rows = unsafe { Rows::new::<A, BY>(a, src.wrapping_add(x.wrapping_mul(pixel_in))) };
    let mut src = rows.first;
    let mut sums = [[[s.splat(op.fill()); U]; P]; MOST_COLUMNS];
    for run in 0..a.runs {
        // SAFETY: by this function's contract; columns outside the input are not read.
        unsafe {
            let run = &*a.equals.add(run);
            let divisor = divisor::<L, S, O>(s, op, a, run);
            for _ in 0..run.outputs + before {
                for column in 0..stride {
                    let new = rows.column::<L, S, O, A, BY, U, P>(s, op, src, x, stale, flag);
                    (src, x) = (src.wrapping_add(pixel_in), x.wrapping_add(1));
                    for i in 0..windows - 1 {
                        sums[i] = join::<L, S, O, U, P>(s, op, sums[i], new);
                    }
                    if column == late {
                        sums[windows - 1] = new;
                    } else if column > late {
                        sums[windows - 1] = join::<L, S, O, U, P>(s, op, sums[windows - 1], new);
                    }
                    if BY == 0 {
                        rolled();
                    }
                }
                if before > 0 {
                    before -= 1;
                } else {
                    for p in 0..P {
                        let to = dst.wrapping_add(p.wrapping_mul(row_out)).cast::<O::T>();
                        put::<L, S, O, U>(s, op, to, &sums[0][p], divisor);
                    }
                    dst = dst.wrapping_add(pixel_out);
                }
                for i in 1..windows {
                    sums[i - 1] = sums[i];
                    if A == 0 {
                        rolled();
                    }
                }
                rolled();
            }
        }
    }
}

#[inline(always)]
fn join<L, S, O, const U: usize, const P: usize>(
    s: S,
    op: O,
    mut sums: [[S::V; U]; P],
    new: [[S::V; U]; P],
) -> [[S::V; U]; P]
where
    L: Lane,
    S: Tables<L>,
    O: LaneOp<L, S>,
{
    for p in 0..P {
        for u in 0..U {
            sums[p][u] = op.join(s, sums[p][u], new[p][u]);
        }
    }
    sums
}

/// What a run of outputs divides by.
///
/// # Safety
/// As for [`Walk`].
#[inline(always)]
unsafe fn divisor<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, a: &Walk, run: &Equals) -> O::Divisor {
    op.divisor(
        s,
        #[inline(always)]
        // SAFETY: by this function's contract.
        |word| unsafe { s.load(run.divisor.wrapping_add(word * a.word_bytes).cast()) },
    )
}

/// The rows of a window, or of two neighbours: copied, so that nothing that is stored can change them.
struct Rows {
    /// The first of them, at the column where a walk begins.
    first: *const u8,
    offsets: *const usize,
    rows: usize,
    /// From the first to each, where their number is known.
    known: [usize; MOST_COLUMNS],
    row_in: usize,
    columns: usize,
}

impl Rows {
    /// # Safety
    /// As for [`Walk`].
    #[inline(always)]
    unsafe fn new<const A: usize, const BY: usize>(a: &Walk, src: *const u8) -> Self {
        let mut known = [0; MOST_COLUMNS];
        if BY > 0 {
            for r in 1..side(A, BY) {
                // SAFETY: as many rows are listed.
                known[r] = unsafe { *a.offsets.add(r) };
            }
        }
        Self { first: src, offsets: a.offsets, rows: a.rows, known, row_in: a.row_in, columns: a.columns }
    }

    /// Column `x`, which begins at `src`, folded: for each of `P` neighbouring output rows.
    ///
    /// # Safety
    /// As for `block`.
    #[inline(always)]
    unsafe fn column<L, S, O, const A: usize, const BY: usize, const U: usize, const P: usize>(
        &self,
        s: S,
        op: O,
        src: *const u8,
        x: usize,
        stale: usize,
        flag: &mut O::Flag,
    ) -> [[S::V; U]; P]
    where
        L: Lane,
        S: Tables<L>,
        O: LaneOp<L, S>,
    {
        let mut all = [[s.splat(op.fill()); U]; P];
        if x >= self.columns {
            return all;
        }
        // SAFETY: a pixel of each row of the windows.
        unsafe {
            if BY == 0 {
                for r in 0..self.rows {
                    let row = src.wrapping_add(*self.offsets.add(r));
                    let v = load::<L, S, O, U>(s, op, row, r >= stale, flag);
                    for u in 0..U {
                        all[0][u] = if r == 0 { v[u] } else { op.join(s, all[0][u], v[u]) };
                    }
                    rolled();
                }
                return all;
            }
            // The rows of `P` square windows, one below the other. The last ones are watched always, the others once.
            let rows = const { if BY > 0 { side(A, BY) } else { 0 } };
            let new = rows + P - 1 - BY * P;
            if O::WATCH && opaque(stale) == 0 {
                for r in 0..new {
                    load::<L, S, O, U>(s, op, src.wrapping_add(*self.offsets.add(r)), true, flag);
                    rolled();
                }
            }
            if P == 1 {
                for r in 0..rows {
                    let v = load::<L, S, O, U>(s, op, src.wrapping_add(self.known[r]), r >= new, flag);
                    for u in 0..U {
                        all[0][u] = if r == 0 { v[u] } else { op.join(s, all[0][u], v[u]) };
                    }
                }
                return all;
            }
            // The first row is the upper window's alone, the last one the lower one's.
            let is_shared = const { O::ANY_ORDER || O::IDEMPOTENT };
            let mut p = src;
            for r in 0..rows + 1 {
                let v = load::<L, S, O, U>(s, op, p, r >= new, flag);
                for u in 0..U {
                    if r == 0 {
                        all[0][u] = v[u];
                    } else if r == 1 {
                        all[1][u] = v[u];
                    } else if r < rows || !is_shared {
                        all[1][u] = op.join(s, all[1][u], v[u]);
                    }
                    if 0 < r && r < rows && !is_shared {
                        all[0][u] = op.join(s, all[0][u], v[u]);
                    }
                    if r == rows && is_shared {
                        all[0][u] = op.join(s, all[0][u], all[1][u]);
                        all[1][u] = op.join(s, all[1][u], v[u]);
                    }
                }
                p = p.wrapping_add(self.row_in);
            }
        }
        all
    }
}

/// The same number, of which the compiler knows nothing: so that it makes no copy of a loop for each of its values.
#[inline(always)]
fn opaque(number: usize) -> usize {
    #[cfg(not(any(target_arch = "wasm32", miri)))]
    {
        let mut number = number;
        // SAFETY: no instruction.
        unsafe {
            core::arch::asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags));
        }
        number
    }
    #[cfg(any(target_arch = "wasm32", miri))]
    number
}

/// `U` registers of a pixel, which are watched where they are new.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn load<A, S, O, const U: usize>(s: S, op: O, p: *const u8, is_new: bool, flag: &mut O::Flag) -> [S::V; U]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut v = [s.splat(op.fill()); U];
    for u in 0..U {
        // SAFETY: by this function's contract.
        v[u] = unsafe { op.load(s, p.cast::<O::T>().wrapping_add(u * S::N)) };
    }
    if O::WATCH && is_new {
        for u in (0..U).step_by(2) {
            *flag = op.watch(s, *flag, v[u], v[(u + 1) % U]);
        }
    }
    v
}

/// Finishes and stores `U` registers of an output.
///
/// # Safety
/// They are writable.
#[inline(always)]
unsafe fn put<A, S, O, const U: usize>(s: S, op: O, to: *mut O::T, sums: &[S::V; U], divisor: O::Divisor)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    for u in 0..U {
        // SAFETY: by this function's contract.
        unsafe { op.store(s, to.wrapping_add(u * S::N), op.finish(s, sums[u], divisor)) };
        // Where finishing is long, there is one copy of it.
        if O::WORDS > 1 {
            rolled();
        }
    }
}

/// Windows that share no columns. `T` is 2 where each has 2 columns of 2 rows, all in the input; 0 otherwise.
pub(crate) struct Apart<const T: usize>;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const T: usize> Nest<A, S, O> for Apart<T> {
    type Args = Walk;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Walk) -> bool {
        let mut flag = op.clean(s);
        let step = a.stride.wrapping_mul(a.pixel_in);
        let outer = if const { most::<A, S, O>(1) > 0 } { a.outer } else { 0 };
        for y in 0..outer {
            let mut src = a.src.wrapping_add(y.wrapping_mul(a.row_in)).wrapping_sub(a.begin.wrapping_mul(a.pixel_in));
            let mut dst = a.dst.wrapping_add(y.wrapping_mul(a.row_out));
            let mut x = 0_usize.wrapping_sub(a.begin);
            for run in 0..a.runs {
                // SAFETY: by this function's contract; columns outside the input are not read.
                unsafe {
                    let run = &*a.equals.add(run);
                    let divisor = divisor::<A, S, O>(s, op, a, run);
                    for _ in 0..run.outputs {
                        let mut i = 0;
                        while i < a.len {
                            let left = a.len - i;
                            if const { most::<A, S, O>(1) > 1 } && left > 2 * S::N && a.len >= 4 * S::N {
                                let at = i.min(a.len - 4 * S::N);
                                window::<A, S, O, T, 4>(s, op, a, src, dst, x, at, divisor, &mut flag);
                                i += 4 * S::N;
                            } else if const { most::<A, S, O>(1) > 1 } && left > S::N && a.len >= 2 * S::N {
                                let at = i.min(a.len - 2 * S::N);
                                window::<A, S, O, T, 2>(s, op, a, src, dst, x, at, divisor, &mut flag);
                                i += 2 * S::N;
                            } else {
                                let at = i.min(a.len - S::N);
                                window::<A, S, O, T, 1>(s, op, a, src, dst, x, at, divisor, &mut flag);
                                i += S::N;
                            }
                            rolled();
                        }
                        (src, dst) = (src.wrapping_add(step), dst.wrapping_add(a.pixel_out));
                        x = x.wrapping_add(a.stride);
                    }
                }
            }
        }
        op.dirty(s, flag)
    }
}

/// `U` registers of one window, from element `lane` of its pixels on.
///
/// # Safety
/// As for [`Walk`]: `lane + U·N <= len`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
unsafe fn window<A, S, O, const T: usize, const U: usize>(
    s: S,
    op: O,
    a: &Walk,
    src: *const u8,
    dst: *mut u8,
    x: usize,
    lane: usize,
    divisor: O::Divisor,
    flag: &mut O::Flag,
) where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut src = src.wrapping_add(lane * size_of::<O::T>());
    let mut all = [s.splat(op.fill()); U];
    // SAFETY: by this function's contract; columns outside the input are not read.
    unsafe {
        if T == 2 {
            let below = *a.offsets.add(1);
            for k in 0..2 {
                let p = src.wrapping_add(k * a.pixel_in);
                let upper = load::<A, S, O, U>(s, op, p, true, flag);
                let lower = load::<A, S, O, U>(s, op, p.wrapping_add(below), true, flag);
                for u in 0..U {
                    let column = op.join(s, upper[u], lower[u]);
                    all[u] = if k == 0 { column } else { op.join(s, all[u], column) };
                }
            }
        } else {
            for k in 0..a.kernel {
                if x.wrapping_add(k) < a.columns {
                    let mut column = load::<A, S, O, U>(s, op, src, true, flag);
                    for r in 1..a.rows {
                        let v = load::<A, S, O, U>(s, op, src.wrapping_add(*a.offsets.add(r)), true, flag);
                        for u in 0..U {
                            column[u] = op.join(s, column[u], v[u]);
                        }
                        rolled();
                    }
                    for u in 0..U {
                        all[u] = op.join(s, all[u], column[u]);
                    }
                }
                src = src.wrapping_add(a.pixel_in);
                rolled();
            }
        }
        put::<A, S, O, U>(s, op, dst.cast::<O::T>().wrapping_add(lane), &all, divisor);
    }
}
