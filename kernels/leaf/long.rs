//! What neighbouring long windows share, so that an output's cost does not grow with its window.

use core::ops::Range;

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Windows down a column that share a cut: van Herk and Gil–Werman's algorithm.
///
/// Rows are cut at multiples of the kernel, counted from the first padded row. A window that begins at
/// row `y` is the rows up to the next cut `m >= y`, folded from the last to the first, joined with the
/// rows from there on, folded from the first to the last. Neighbouring windows share both parts, so `n`
/// of them load `n + k − 1` rows and join each output row twice. (M. van Herk, Pattern Recognition
/// Letters 13, 1992; J. Gil and M. Werman, IEEE PAMI 15, 1993.)
///
/// # Safety
/// From `src` (padded row 0) on, every valid row has `len` elements in each of `outer` repeats, and what lies before
/// `readable` may be read; so has each of the windows' scratch rows from `dst` on, each followed by a register.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) src: *const u8,
    pub(crate) row_bytes: usize,
    pub(crate) dst: *mut u8,
    pub(crate) pitch: usize,
    /// Of all windows: each has `kernel` rows and begins a row behind the one before.
    pub(crate) rows: Range<usize>,
    pub(crate) cut: usize,
    pub(crate) windows: usize,
    pub(crate) kernel: usize,
    /// Those that are in the input.
    pub(crate) valid: Range<usize>,
    pub(crate) len: usize,
    pub(crate) outer: usize,
    pub(crate) outer_in: usize,
    pub(crate) outer_out: usize,
    pub(crate) readable: *const u8,
}

/// The nest of [`Shared`].
pub(crate) struct Prefixes;

/// Registers folded side by side.
const BLOCK: usize = 4;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Prefixes {
    type Args = Shared;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Shared) -> bool {
        let mut flag = op.clean(s);
        for o in 0..a.outer {
            let src = a.src.wrapping_add(o.wrapping_mul(a.outer_in));
            let dst = a.dst.wrapping_add(o.wrapping_mul(a.outer_out));
            let mut i = 0;
            while i < a.len {
                // The last register overlaps the one before, or is partial.
                let whole = const { S::BLOCKS && O::BLOCKS } && i + BLOCK * S::N <= a.len;
                let at = if whole { i } else { i.min(a.len.saturating_sub(S::N)) };
                let (p, q) = (src.wrapping_add(at * size_of::<O::T>()), dst.wrapping_add(at * size_of::<A>()));
                // SAFETY: by this function's contract: so many lanes of the run.
                unsafe {
                    if whole {
                        columns::<A, S, O, BLOCK>(s, op, a, p, q, S::N, &mut flag);
                    } else {
                        columns::<A, S, O, 1>(s, op, a, p, q, (a.len - at).min(S::N), &mut flag);
                    }
                }
                i += if whole { BLOCK * S::N } else { S::N };
            }
        }
        op.dirty(s, flag)
    }
}

/// Folds `B` neighbouring registers of columns, or the first `n` lanes of one, for each window.
///
/// # Safety
/// As for [`Shared`]: `B·N` lanes of the run, or `n`; then `B` is 1.
#[inline(always)]
unsafe fn columns<A, S, O, const B: usize>(
    s: S,
    op: O,
    a: &Shared,
    src: *const u8,
    dst: *mut u8,
    n: usize,
    flag: &mut O::Flag,
) where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let first = a.rows.start;
    let identity = [s.splat(op.fill()); B];
    let to = |window: usize| dst.wrapping_add(window * a.pitch);
    // Backward from the cut.
    let mut fold = identity;
    for row in (first..a.cut).rev() {
        // SAFETY: a valid row, and a scratch row of the windows.
        unsafe {
            if a.valid.contains(&row) {
                let v = load::<A, S, O, B>(s, op, a, src.wrapping_add(row.wrapping_mul(a.row_bytes)), n, flag);
                for b in 0..B {
                    fold[b] = op.join(s, fold[b], v[b]);
                }
            }
            if row - first < a.windows {
                put(s, to(row - first), &fold);
            }
        }
        rolled();
    }
    if a.cut - first < a.windows {
        // SAFETY: a scratch row of the windows.
        unsafe { put(s, to(a.cut - first), &identity) };
    }
    // Forward from the cut.
    let mut fold = identity;
    for row in a.cut..a.rows.end {
        // SAFETY: a valid row, and a scratch row of the windows.
        unsafe {
            if a.valid.contains(&row) {
                let v = load::<A, S, O, B>(s, op, a, src.wrapping_add(row.wrapping_mul(a.row_bytes)), n, flag);
                for b in 0..B {
                    fold[b] = op.join(s, fold[b], v[b]);
                }
            }
            // The window that ends with this row.
            if row + 1 >= first + a.kernel {
                let to = to(row + 1 - first - a.kernel);
                let mut joined = identity;
                for b in 0..B {
                    joined[b] = op.join(s, s.load(to.cast::<A>().add(b * S::N)), fold[b]);
                }
                put(s, to, &joined);
            }
        }
        rolled();
    }
}

/// # Safety
/// As for `columns`, of one row.
#[inline(always)]
unsafe fn load<A, S, O, const B: usize>(
    s: S,
    op: O,
    a: &Shared,
    p: *const u8,
    n: usize,
    flag: &mut O::Flag,
) -> [S::V; B]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut v = [s.splat(op.fill()); B];
    let bytes = S::N * size_of::<O::T>();
    // Rows are visited in columns, which no prefetcher follows: the next block's lines are asked for.
    if B > 1 {
        for line in (0..B * bytes).step_by(64) {
            s.prefetch(p.wrapping_add(B * bytes + line));
        }
    }
    // SAFETY: by this function's contract.
    unsafe {
        for b in 0..B {
            let q = p.wrapping_add(b * bytes);
            v[b] = if B > 1 || S::N == 1 || n == S::N || q.wrapping_add(bytes) <= a.readable {
                op.load(s, q.cast())
            } else {
                op.load_first(s, q.cast(), n)
            };
        }
    }
    if O::WATCH {
        for b in (0..B).step_by(2) {
            *flag = op.watch(s, *flag, v[b], v[(b + 1) % B]);
        }
    }
    v
}

/// # Safety
/// `B·N` lanes are writable: scratch has a register's room behind every row.
#[inline(always)]
unsafe fn put<A: Lane, S: Tables<A>, const B: usize>(s: S, to: *mut u8, v: &[S::V; B]) {
    for b in 0..B {
        // SAFETY: by this function's contract.
        unsafe {
            s.store(to.cast::<A>().add(b * S::N), v[b]);
        }
    }
}

/// Sums of rows in scratch, moved on to those of a later window: rows that come in are joined, as many that go are taken out.
///
/// # Safety
/// From both of `src` on, those that come and those that go, `rows` rows have `len` readable elements in each of `outer`
/// repeats. From `dst` on a scratch row has as many lanes in each, and a register behind them, of which nothing changes.
#[derive(Clone, Copy)]
pub(crate) struct Slide {
    pub(crate) src: [*const u8; 2],
    pub(crate) row_bytes: [usize; 2],
    pub(crate) rows: usize,
    pub(crate) dst: *mut u8,
    pub(crate) len: usize,
    pub(crate) outer: usize,
    pub(crate) outer_in: [usize; 2],
    pub(crate) outer_out: usize,
}

/// The nest of [`Slide`].
pub(crate) struct Sliding;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Sliding {
    type Args = Slide;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Slide) -> bool {
        for o in 0..a.outer {
            let mut i = 0;
            while i < a.len {
                let from = [0, 1].map(
                    #[inline(always)]
                    |side| {
                        a.src[side].wrapping_add(o.wrapping_mul(a.outer_in[side])).wrapping_add(i * size_of::<O::T>())
                    },
                );
                let to = a.dst.wrapping_add(o.wrapping_mul(a.outer_out)).cast::<A>().wrapping_add(i);
                // SAFETY: by this function's contract: so many elements of each row, and registers of the scratch row.
                unsafe {
                    if const { S::BLOCKS } && i + BLOCK * S::N <= a.len {
                        slide::<A, S, O, BLOCK>(s, op, a, from, to, S::N);
                        i += BLOCK * S::N;
                    } else {
                        slide::<A, S, O, 1>(s, op, a, from, to, (a.len - i).min(S::N));
                        i += S::N;
                    }
                }
            }
        }
        false
    }
}

/// `B` registers of sums at `to`, or one of whose lanes the first `n` are of the run, and the first rows from `from` on.
///
/// # Safety
/// As for [`Slide`]: they are of the run, and `B` is 1 where `n` is less than a register.
#[inline(always)]
unsafe fn slide<A, S, O, const B: usize>(s: S, op: O, a: &Slide, from: [*const u8; 2], to: *mut A, n: usize)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut sums = [s.splat(op.fill()); B];
    // SAFETY: by this function's contract.
    unsafe {
        for b in 0..B {
            sums[b] = s.load(to.wrapping_add(b * S::N));
        }
        let [mut coming, mut going] = from;
        for _ in 0..a.rows {
            for b in 0..B {
                // What both load alike is gone from the difference.
                let new = some::<A, S, O, B>(s, op, coming, b, n);
                sums[b] = op.join(s, sums[b], op.unjoin(s, new, some::<A, S, O, B>(s, op, going, b, n)));
            }
            (coming, going) = (coming.wrapping_add(a.row_bytes[0]), going.wrapping_add(a.row_bytes[1]));
            rolled();
        }
        for b in 0..B {
            s.store(to.wrapping_add(b * S::N), sums[b]);
        }
    }
}

/// Register `b` of `B`, or the first `n` elements of one. What follows a run is no part of its sums: it comes as the identity.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn some<A, S, O, const B: usize>(s: S, op: O, p: *const u8, b: usize, n: usize) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let p = p.cast::<O::T>().wrapping_add(b * S::N);
    // SAFETY: by this function's contract.
    unsafe { if B > 1 || S::N == 1 || n == S::N { op.load(s, p) } else { op.load_first(s, p, n) } }
}

/// A pass along scratch lanes that makes folds of `by·power` elements out of those of `power`, and first adds some of
/// the latter to the second area: the digit of the window's length that this power stands for. See `src/order.rs`,
/// `Order::Long`.
///
/// Or, where taps can be taken out again, all of it in one pass: the second area gets the fold of `taps` pixels, each `shift`
/// lanes behind the one before, from every lane on that has so many. A window is the one a pixel before, less the
/// pixel that goes and with the one that comes; where a register holds several pixels, their differences are added up within
/// it ([`Scan`](crate::kernels::driver::program::Scan)).
///
/// # Safety
/// `rows` and `sums` hold `len` lanes in each of `outer` repeats; `done + (digit − 1)·shift` is at most
/// `(by − 1)·shift`. `tables` are those of a scan for `shift`, where that is less than a register.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) rows: *mut u8,
    pub(crate) sums: *mut u8,
    pub(crate) len: usize,
    pub(crate) outer: usize,
    pub(crate) pitch: usize,
    /// How many are added, from which element on; if that is 0, they are the first.
    pub(crate) digit: usize,
    pub(crate) done: usize,
    pub(crate) shift: usize,
    /// 2 or 4.
    pub(crate) by: usize,
    /// Of a window, 0 where folds are doubled.
    pub(crate) taps: usize,
    pub(crate) tables: *const u8,
    /// Tables that add up within a register.
    pub(crate) steps: usize,
}

impl Stage {
    /// A pass that folds `by` elements, which is 2 or 4, each `shift` lanes behind the one before, in place.
    pub(crate) fn fold(rows: *mut u8, len: usize, shift: usize, by: usize) -> Self {
        let (outer, pitch, digit, done, taps, steps) = (1, 0, 0, 0, 0, 0);
        Self { rows, sums: rows, len, outer, pitch, digit, done, shift, by, taps, tables: core::ptr::null(), steps }
    }
}

/// Whether pixels that are shorter than a register are added up by tables.
pub(crate) const fn scans<A: Lane, S: Tables<A>, O: LaneOp<A, S>>() -> bool {
    O::UNJOINS && S::TWO && S::HALVES == 1
}

/// The nest of [`Stage`].
pub(crate) struct Along;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Along {
    type Args = Stage;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Stage) -> bool {
        // Asked for in the loop, by and digit cost as much as the sums. An extreme has no digits: windows may overlap.
        // SAFETY: the same contract.
        unsafe {
            if const { O::UNJOINS } && a.taps > 0 {
                running(s, op, a);
                return false;
            }
            match (a.by, a.digit) {
                (4, 0) => pass::<A, S, O, 4, 0>(s, op, a),
                (_, 0) => pass::<A, S, O, 2, 0>(s, op, a),
                _ if const { O::IDEMPOTENT || scans::<A, S, O>() } => {}
                (4, 1) => pass::<A, S, O, 4, 1>(s, op, a),
                (4, 2) => pass::<A, S, O, 4, 2>(s, op, a),
                (4, _) => pass::<A, S, O, 4, 3>(s, op, a),
                _ => pass::<A, S, O, 2, 1>(s, op, a),
            }
        }
        false
    }
}

/// # Safety
/// As for [`Stage`].
#[inline(always)]
unsafe fn pass<A, S, O, const BY: usize, const DIGIT: usize>(s: S, op: O, a: &Stage)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let (done, shift) = (a.done, a.shift);
    for o in 0..a.outer {
        let rows: *mut A = a.rows.wrapping_add(o * a.pitch).cast();
        let sums: *mut A = a.sums.wrapping_add(o * a.pitch).cast();
        let mut i = 0;
        while i + S::N + (BY - 1) * shift <= a.len {
            // SAFETY: i + N + (BY − 1)·shift <= len.
            unsafe {
                let at = rows.add(i);
                let mut v = [s.splat(op.fill()); 4];
                for tap in 0..BY {
                    v[tap] = s.load(at.add(tap * shift));
                }
                let mut fold = op.join(s, v[0], v[1]);
                if BY == 4 {
                    fold = op.join(s, fold, op.join(s, v[2], v[3]));
                }
                if DIGIT > 0 {
                    let (to, first) = (sums.add(i), at.add(done));
                    let mut sum = if done == 0 { s.splat(op.fill()) } else { s.load(to) };
                    if DIGIT != 2 {
                        sum = op.join(s, sum, s.load(first));
                    }
                    if DIGIT > 1 {
                        let pair = first.add((DIGIT - 2) * shift);
                        sum = op.join(s, sum, op.join(s, s.load(pair), s.load(pair.add(shift))));
                    }
                    s.store(to, sum);
                }
                s.store(at, fold);
            }
            i += S::N;
            rolled();
        }
    }
}

/// The sums of all windows.
///
/// # Safety
/// As for [`Stage`].
#[inline(always)]
unsafe fn running<A, S, O>(s: S, op: O, a: &Stage)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let shift = a.shift;
    let last = (a.taps - 1) * shift;
    for o in 0..a.outer {
        let rows: *const A = a.rows.wrapping_add(o * a.pitch).cast();
        let sums: *mut A = a.sums.wrapping_add(o * a.pitch).cast();
        let mut lane = 0;
        // SAFETY: a register that is loaded or stored begins at or before `len − N`, and at or behind 0.
        unsafe {
            while lane < shift {
                // The last register of a pixel overlaps the one before.
                let mut i = if shift < S::N { 0 } else { lane.min(shift - S::N) };
                if i + S::N + last > a.len {
                    break;
                }
                let mut all = s.splat(op.fill());
                for tap in 0..a.taps {
                    all = op.join(s, all, s.load(rows.add(i + tap * shift)));
                    rolled();
                }
                s.store(sums.add(i), all);
                if shift >= S::N {
                    while i + shift + S::N + last <= a.len {
                        all = op.unjoin(s, op.join(s, all, s.load(rows.add(i + shift + last))), s.load(rows.add(i)));
                        i += shift;
                        s.store(sums.add(i), all);
                        rolled();
                    }
                } else if const { scans::<A, S, O>() } {
                    i += S::N;
                    while i + BLOCK * S::N + last <= a.len {
                        all = scan::<A, S, O, BLOCK>(s, op, a, rows.add(i), sums.add(i), all);
                        i += BLOCK * S::N;
                    }
                    while i + S::N + last <= a.len {
                        all = scan::<A, S, O, 1>(s, op, a, rows.add(i), sums.add(i), all);
                        i += S::N;
                    }
                }
                lane += S::N;
            }
        }
    }
}

/// `B` registers of sums, behind the register `before`; the last of them.
///
/// # Safety
/// As for [`Stage`]: the lanes of their windows lie behind `rows`, and a pixel before it.
#[inline(always)]
unsafe fn scan<A, S, O, const B: usize>(s: S, op: O, a: &Stage, rows: *const A, sums: *mut A, before: S::V) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let register = S::N * size_of::<A>();
    let none = s.splat(op.fill());
    let (mut v, mut all) = ([none; B], before);
    // SAFETY: by this function's contract.
    unsafe {
        let (coming, going) = (rows.add((a.taps - 1) * a.shift), rows.sub(a.shift));
        for b in 0..B {
            v[b] = op.unjoin(s, s.load(coming.add(b * S::N)), s.load(going.add(b * S::N)));
        }
        let mut at = a.tables.wrapping_add(register);
        for _ in 0..a.steps {
            let (table, mask) = (s.table(at), s.load_mask(at.wrapping_add(register)));
            for b in 0..B {
                v[b] = op.join(s, v[b], s.pick(mask, s.permute(v[b], table), none));
            }
            at = at.wrapping_add(register + S::MASK_BYTES);
            rolled();
        }
        let carry = s.table(a.tables);
        for b in 0..B {
            all = op.join(s, v[b], s.permute(all, carry));
            s.store(sums.add(b * S::N), all);
        }
    }
    all
}
