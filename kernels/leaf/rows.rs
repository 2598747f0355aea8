//! Rows of outputs by tables: the rows of a window are folded once, and each of its columns is one permutation.
//!
//! ```text
//! for each plane, each run of output rows, each row, each segment of it, each chunk:
//!     column = the fold of the window's rows, lane by lane                     (1)
//!     fold over the taps j: permute column by table j                          (2)
//!     finish, store                                                           (3)
//! ```
//!
//! 1. A chunk's input is one register of each row, or two where tables span two. Lane `i` of the fold is the column
//!    that lane `i` of memory lies in, whatever a pixel is.
//! 2. Lane `l` of table `j` names the lane of tap `j` of output `l`. So stride, dilation and channels are tables, and
//!    so is padding: of an extreme, a tap in the padding is another tap of the window; of a sum, a mask makes it the
//!    identity.
//! 3. A whole register is stored, of which the next chunk, or the next row, overwrites what is no output.
//!
//! Where a pixel is one lane, windows of three columns that are one or two apart, and of two that are two apart, need
//! no tables (`EVERY`, `OTHER`): whole registers are finished and stored, and loads lie where lines begin if rows do.
//!
//! There is no tail: a driver sees to the ends of memory.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Output rows of a plane whose windows have the same taps, each a step behind the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Which of `Rows::offsets` is the first, and how many rows a window has: so many offsets.
    pub(crate) offsets: usize,
    pub(crate) taps: usize,
    /// Output rows, and bytes of the input from one to the next.
    pub(crate) rows: usize,
    pub(crate) step: usize,
    /// How many bytes ahead of its loads a run asks for lines.
    pub(crate) ahead: usize,
    /// Bytes of the first from the beginning of the plane's output, and from the layer's divisors to those of these
    /// rows.
    pub(crate) dst: usize,
    pub(crate) divisors: usize,
}

/// The offset of a row that is not there: the identities are read.
pub(crate) const MISSING: usize = usize::MAX;

/// A part of every row of outputs: chunks with the same tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Bytes from the beginning of the row, and from one chunk to the next.
    pub(crate) src: usize,
    pub(crate) dst: usize,
    pub(crate) in_step: usize,
    pub(crate) out_step: usize,
    pub(crate) chunks: usize,
    /// Elements that the lower half puts out, where halves are apart.
    pub(crate) half: usize,
    /// Bytes into `Rows::tables`: a table a tap; a mask a tap, if there are masks. Where halves are apart, what is
    /// spread comes before the first table, or before each.
    pub(crate) tables: usize,
    pub(crate) is_masked: bool,
    /// Without tables: how many lanes lie in the row from the last chunk's first on, and whether what is before the
    /// segment is padding.
    pub(crate) valid: usize,
    pub(crate) is_first: bool,
    /// Bytes from the divisors of a row to those of the segment.
    pub(crate) divisors: usize,
    /// Bytes of outputs that a chunk puts out: known to the driver alone.
    pub(crate) put: usize,
}

/// Rows of outputs of planes.
///
/// # Safety
/// There are `planes`, `run_count` runs, `segment_count` segments, and whatever those name: offsets, tables, masks,
/// divisors. Every register of a chunk is readable in each of its rows, or in the row of identities, and a register of
/// outputs is writable for each chunk. A chunk may write behind its outputs what a later one overwrites.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) planes: usize,
    pub(crate) plane_in: usize,
    pub(crate) plane_out: usize,
    pub(crate) runs: *const Run,
    pub(crate) run_count: usize,
    /// Bytes of a tap's rows from the beginning of the plane.
    pub(crate) offsets: *const usize,
    /// Bytes from one output row of a run to the next.
    pub(crate) row_out: usize,
    pub(crate) segments: *const Segment,
    pub(crate) segment_count: usize,
    pub(crate) tables: *const u8,
    /// Columns of a window.
    pub(crate) columns: usize,
    /// A row of identities.
    pub(crate) identities: *const u8,
    /// The words of a divisor are registers one behind the other.
    pub(crate) divisors: *const u8,
}

/// How columns come to their outputs: by tables over one register; over two; over one that is spread for each tap anew,
/// where halves are apart; or without tables, every other column of two registers, or every one.
pub(crate) const ONE: u8 = 0;
pub(crate) const TWO: u8 = 1;
pub(crate) const APART: u8 = 2;
pub(crate) const OTHER: u8 = 3;
pub(crate) const EVERY: u8 = 4;

/// How many ways there are.
pub(crate) const WAYS: usize = 5;

/// Windows of `SIDE` rows and columns, or of any number where that is 0.
pub(crate) struct Window<const SIDE: usize, const HOW: u8>;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The longest side that is known when compiling.
const MOST: usize = 3;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const SIDE: usize, const HOW: u8> Nest<A, S, O> for Window<SIDE, HOW> {
    type Args = Rows;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Rows) -> bool {
        let mut flag = op.clean(s);
        let (mut src, mut dst) = (a.src, a.dst);
        for _ in 0..a.planes {
            for u in 0..a.run_count {
                // SAFETY: by the contract of `Rows`.
                let run = unsafe { &*a.runs.add(u) };
                // SAFETY: a run's offsets are among those of `Rows`.
                let offsets = unsafe { a.offsets.add(run.offsets) };
                let mut taps = Taps { rows: [src; MOST], ahead: [src; 2], offsets, count: run.taps, step: run.ahead };
                for i in 0..SIDE {
                    // SAFETY: a run has as many offsets as its windows have rows.
                    let offset = unsafe { *offsets.add(i) };
                    taps.rows[i] = if offset == MISSING { a.identities } else { src.wrapping_add(offset) };
                    taps.ahead[i % 2] = taps.rows[i].wrapping_add(run.ahead);
                }
                let divisors = a.divisors.wrapping_add(run.divisors);
                let mut out = dst.wrapping_add(run.dst);
                let mut rows = run.rows;
                loop {
                    if HOW >= OTHER {
                        // SAFETY: a row of outputs of the run, and its windows' taps: the contract of `Rows`.
                        unsafe { shifted::<A, S, O, SIDE, HOW>(s, op, a, divisors, &taps, out, &mut flag) };
                    } else {
                        // SAFETY: a row of outputs of the run, and its windows' taps: the contract of `Rows`.
                        unsafe { row::<A, S, O, SIDE, HOW>(s, op, a, divisors, &taps, out, &mut flag) };
                    }
                    rows -= 1;
                    if rows == 0 {
                        break;
                    }
                    for i in 0..SIDE.max(1) {
                        taps.rows[i] = taps.rows[i].wrapping_add(run.step);
                    }
                    for i in 0..SIDE.min(2) {
                        taps.ahead[i] = taps.ahead[i].wrapping_add(run.step);
                    }
                    out = out.wrapping_add(a.row_out);
                }
            }
            (src, dst) = (src.wrapping_add(a.plane_in), dst.wrapping_add(a.plane_out));
        }
        op.dirty(s, flag)
    }
}

/// The rows of a window: where they begin, if their number is known when compiling; else their offsets from `rows[0]`.
struct Taps {
    rows: [*const u8; MOST],
    /// What to ask for of the two rows that the windows before do not have.
    ahead: [*const u8; 2],
    offsets: *const usize,
    count: usize,
    /// How far ahead that is.
    step: usize,
}

/// # Safety
/// As for [`Rows`], of a row of outputs at `out` whose windows have these taps.
#[inline(always)]
unsafe fn row<A, S, O, const SIDE: usize, const HOW: u8>(
    s: S,
    op: O,
    a: &Rows,
    divisors: *const u8,
    taps: &Taps,
    out: *mut u8,
    flag: &mut O::Flag,
) where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let register = S::N * size_of::<A>();
    let each = if HOW == APART { 2 * register } else { register };
    let columns = if SIDE > 0 { SIDE } else { a.columns };
    let fill = s.splat(op.fill());
    let mut next = a.segments;
    // SAFETY: by this function's contract.
    let end = unsafe { next.add(a.segment_count) };
    loop {
        // SAFETY: a segment: `next` has not reached `end`.
        let segment = unsafe { &*next };
        let spread = a.tables.wrapping_add(segment.tables);
        let tables = if HOW == ONE { spread.wrapping_add((S::HALVES - 1) * register) } else { spread };
        let words = divisors.wrapping_add(segment.divisors);
        let divisor = op.divisor(
            s,
            #[inline(always)]
            // SAFETY: the words of a divisor, a register each: the contract of `Rows`.
            |word| unsafe { s.load(words.wrapping_add(word * register).cast()) },
        );
        let (mut at, mut q, mut chunks) = (segment.src, out.wrapping_add(segment.dst), segment.chunks);
        if !O::IDEMPOTENT && segment.is_masked {
            let masks = tables.wrapping_add(columns * each);
            loop {
                // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
                let mut column = unsafe { column::<A, S, O, SIDE, HOW>(s, op, taps, at, flag) };
                if HOW == ONE {
                    // SAFETY: what is spread stands ahead of the tables: the contract of `Rows`.
                    column[0] = unsafe { s.spread(column[0], spread) };
                }
                let mut v = fill;
                for j in 0..columns {
                    // SAFETY: a table a tap: the contract of `Rows`.
                    let tap = unsafe { tap::<A, S, HOW>(s, column, tables.wrapping_add(j * each)) };
                    // SAFETY: a mask a tap, behind the tables: the contract of `Rows`.
                    let mask = unsafe { s.load_mask(masks.wrapping_add(j * S::MASK_BYTES)) };
                    let tap = s.pick(mask, tap, fill);
                    v = if j == 0 { tap } else { op.join(s, v, tap) };
                    rolled();
                }
                // SAFETY: a register is writable where the chunk's outputs belong: the contract of `Rows`.
                unsafe { put::<A, S, O>(s, op, q, segment.half, op.finish(s, v, divisor)) };
                chunks -= 1;
                if chunks == 0 {
                    break;
                }
                at += segment.in_step;
                q = q.wrapping_add(segment.out_step);
            }
        } else if SIDE > 0 {
            // SAFETY: a table a tap: the contract of `Rows`.
            let mut fixed = [unsafe { s.table(tables) }; MOST];
            for j in 1..SIDE {
                // SAFETY: a table a tap: the contract of `Rows`.
                fixed[j] = unsafe { s.table(tables.wrapping_add(j * register)) };
            }
            loop {
                // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
                let mut column = unsafe { column::<A, S, O, SIDE, HOW>(s, op, taps, at, flag) };
                if HOW == ONE {
                    // SAFETY: what is spread stands ahead of the tables: the contract of `Rows`.
                    column[0] = unsafe { s.spread(column[0], spread) };
                }
                let mut v = moved::<A, S, HOW>(s, column, fixed[0]);
                for j in 1..SIDE {
                    v = op.join(s, v, moved::<A, S, HOW>(s, column, fixed[j]));
                }
                // SAFETY: a register is writable where the chunk's outputs belong: the contract of `Rows`.
                unsafe { put::<A, S, O>(s, op, q, segment.half, op.finish(s, v, divisor)) };
                chunks -= 1;
                if chunks == 0 {
                    break;
                }
                at += segment.in_step;
                q = q.wrapping_add(segment.out_step);
            }
        } else {
            loop {
                // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
                let mut column = unsafe { column::<A, S, O, SIDE, HOW>(s, op, taps, at, flag) };
                if HOW == ONE {
                    // SAFETY: what is spread stands ahead of the tables: the contract of `Rows`.
                    column[0] = unsafe { s.spread(column[0], spread) };
                }
                // SAFETY: a table a tap: the contract of `Rows`.
                let mut v = unsafe { tap::<A, S, HOW>(s, column, tables) };
                let mut table = tables;
                for _ in 1..columns {
                    table = table.wrapping_add(each);
                    // SAFETY: a table a tap: the contract of `Rows`.
                    v = op.join(s, v, unsafe { tap::<A, S, HOW>(s, column, table) });
                    rolled();
                }
                // SAFETY: a register is writable where the chunk's outputs belong: the contract of `Rows`.
                unsafe { put::<A, S, O>(s, op, q, segment.half, op.finish(s, v, divisor)) };
                chunks -= 1;
                if chunks == 0 {
                    break;
                }
                at += segment.in_step;
                q = q.wrapping_add(segment.out_step);
            }
        }
        // SAFETY: at most `end`, which is behind the last segment.
        next = unsafe { next.add(1) };
        if next == end {
            break;
        }
    }
}

/// As `row`, without tables: the middle one of three columns is in the output's own lane, of every column or of the
/// even ones.
///
/// # Safety
/// As for `row`. Segments begin where the ones before them end.
#[inline(always)]
unsafe fn shifted<A, S, O, const SIDE: usize, const HOW: u8>(
    s: S,
    op: O,
    a: &Rows,
    divisors: *const u8,
    taps: &Taps,
    out: *mut u8,
    flag: &mut O::Flag,
) where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let register = S::N * size_of::<A>();
    let columns = if SIDE > 0 { SIDE } else { a.columns };
    let fill = s.splat(op.fill());
    // Lanes from one chunk's first to the next one's.
    let each = if HOW == EVERY { S::N } else { 2 * S::N };
    let mut next = a.segments;
    // SAFETY: by this function's contract.
    let (end, first) = unsafe { (next.add(a.segment_count), &*next) };
    let mut at = first.src;
    // The columns before the chunk, of which the last matters, and those of the chunk.
    let (mut before, mut these) = (fill, fill);
    if columns > 2 && !first.is_first {
        // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
        before = s.splat_first(unsafe { column::<A, S, O, SIDE, ONE>(s, op, taps, at - size_of::<O::T>(), flag) }[0]);
    }
    if HOW == EVERY {
        // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
        these = unsafe { column::<A, S, O, SIDE, ONE>(s, op, taps, at, flag) }[0];
        let left = first.valid + (first.chunks - 1) * S::N;
        if left < S::N {
            these = s.pick(s.first(left), these, fill);
        }
        at += S::N * size_of::<O::T>();
    }
    loop {
        // SAFETY: a segment: `next` has not reached `end`.
        let segment = unsafe { &*next };
        let words = divisors.wrapping_add(segment.divisors);
        let divisor = op.divisor(
            s,
            #[inline(always)]
            // SAFETY: the words of a divisor, a register each: the contract of `Rows`.
            |word| unsafe { s.load(words.wrapping_add(word * register).cast()) },
        );
        let (mut q, mut chunks) = (out.wrapping_add(segment.dst), segment.chunks);
        // Lanes of the row from the chunk's first on.
        let mut left = segment.valid + (chunks - 1) * each;
        loop {
            let v;
            if HOW == EVERY {
                let mut those = fill;
                if left > S::N {
                    // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
                    those = unsafe { column::<A, S, O, SIDE, ONE>(s, op, taps, at, flag) }[0];
                    if left < 2 * S::N {
                        those = s.pick(s.first(left - S::N), those, fill);
                    }
                }
                v = op.join(s, op.join(s, s.back(before, these), these), s.ahead(these, those));
                (before, these) = (these, those);
            } else if SIDE == 2 && O::RUN == 2 * S::N {
                // SAFETY: by the contract of `Rows`.
                v = unsafe { pairs::<A, S, O>(s, op, taps, at, left) };
            } else {
                // SAFETY: registers of every row of the chunk's windows, readable by the contract of `Rows`.
                let [mut a, mut b] = unsafe { column::<A, S, O, SIDE, HOW>(s, op, taps, at, flag) };
                if left < 2 * S::N {
                    a = s.pick(s.first(left), a, fill);
                    b = s.pick(s.first(left.saturating_sub(S::N)), b, fill);
                }
                let (even, odd) = s.unzip(a, b);
                v = if columns > 2 {
                    let first = s.back(before, odd);
                    before = odd;
                    op.join(s, op.join(s, first, even), odd)
                } else {
                    op.join(s, even, odd)
                };
            }
            // SAFETY: by the contract of `Rows`.
            unsafe { op.store(s, q.cast(), op.finish(s, v, divisor)) };
            left = left.wrapping_sub(each);
            at += segment.in_step;
            q = q.wrapping_add(segment.out_step);
            chunks -= 1;
            if chunks == 0 {
                break;
            }
        }
        // SAFETY: at most `end`, which is behind the last segment.
        next = unsafe { next.add(1) };
        if next == end {
            break;
        }
    }
}

/// The rows of a window folded, in the lanes from `at` bytes on.
///
/// # Safety
/// As for `row`: one register is readable there in each row, or two.
#[inline(always)]
unsafe fn column<A, S, O, const SIDE: usize, const HOW: u8>(
    s: S,
    op: O,
    taps: &Taps,
    at: usize,
    flag: &mut O::Flag,
) -> [S::V; 2]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let register = S::N * size_of::<O::T>();
    let mut all = [s.splat(op.fill()); 2];
    // SAFETY: by this function's contract.
    unsafe {
        if SIDE > 0 {
            let mut fresh = [all; MOST];
            for i in 0..SIDE {
                fresh[i] = load::<A, S, O, HOW>(s, op, taps.rows[i].wrapping_add(at));
            }
            for ahead in taps.ahead {
                s.prefetch(ahead.wrapping_add(at));
                if is_two(HOW) && register >= LINE {
                    s.prefetch(ahead.wrapping_add(at + register));
                }
            }
            *flag = watch::<A, S, O, HOW>(s, op, *flag, fresh[0], fresh[1]);
            if SIDE > 2 {
                *flag = op.watch(s, *flag, fresh[2][0], fresh[2][if is_two(HOW) { 1 } else { 0 }]);
            }
            all = fresh[0];
            for i in 1..SIDE {
                all = join::<A, S, O, HOW>(s, op, all, fresh[i]);
            }
        } else {
            let base = taps.rows[0].wrapping_add(at);
            let mut offset = taps.offsets;
            let end = offset.add(taps.count);
            let row = base.wrapping_add(*offset);
            s.prefetch(row.wrapping_add(taps.step));
            all = load::<A, S, O, HOW>(s, op, row);
            *flag = op.watch(s, *flag, all[0], all[if is_two(HOW) { 1 } else { 0 }]);
            offset = offset.add(1);
            while offset != end {
                let row = base.wrapping_add(*offset);
                s.prefetch(row.wrapping_add(taps.step));
                let v = load::<A, S, O, HOW>(s, op, row);
                *flag = op.watch(s, *flag, v[0], v[if is_two(HOW) { 1 } else { 0 }]);
                all = join::<A, S, O, HOW>(s, op, all, v);
                offset = offset.add(1);
                rolled();
            }
        }
    }
    all
}

/// Two rows folded whose neighbours are joined when they are loaded.
///
/// # Safety
/// As for `column`, of two registers, of whose lanes `valid` lie in the row.
#[inline(always)]
unsafe fn pairs<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, taps: &Taps, at: usize, valid: usize) -> S::V {
    let [p, q] = [taps.rows[0].wrapping_add(at), taps.rows[1].wrapping_add(at)];
    for ahead in taps.ahead {
        s.prefetch(ahead.wrapping_add(at));
    }
    // SAFETY: by this function's contract.
    unsafe {
        if valid < O::RUN {
            let v = op.load_run_first(s, p.cast(), valid, O::RUN);
            return op.join(s, v, op.load_run_first(s, q.cast(), valid, O::RUN));
        }
        op.join(s, op.load_run(s, p.cast()), op.load_run(s, q.cast()))
    }
}

const fn is_two(how: u8) -> bool {
    how == TWO || how == OTHER
}

/// # Safety
/// One register is readable at `p`, or two.
#[inline(always)]
unsafe fn load<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const HOW: u8>(s: S, op: O, p: *const u8) -> [S::V; 2] {
    // SAFETY: by this function's contract.
    unsafe {
        let first = op.load(s, p.cast());
        [first, if is_two(HOW) { op.load(s, p.wrapping_add(S::N * size_of::<O::T>()).cast()) } else { first }]
    }
}

#[inline(always)]
fn join<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const HOW: u8>(s: S, op: O, a: [S::V; 2], b: [S::V; 2]) -> [S::V; 2] {
    let first = op.join(s, a[0], b[0]);
    [first, if is_two(HOW) { op.join(s, a[1], b[1]) } else { first }]
}

#[inline(always)]
fn watch<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const HOW: u8>(
    s: S,
    op: O,
    flag: O::Flag,
    a: [S::V; 2],
    b: [S::V; 2],
) -> O::Flag {
    let flag = op.watch(s, flag, a[0], b[0]);
    if is_two(HOW) { op.watch(s, flag, a[1], b[1]) } else { flag }
}

#[inline(always)]
fn moved<A: Lane, S: Tables<A>, const HOW: u8>(s: S, column: [S::V; 2], table: S::Table) -> S::V {
    if HOW == TWO { s.permute_two(column[0], column[1], table) } else { s.permute(column[0], table) }
}

/// A tap by its table.
///
/// # Safety
/// The tables of a tap are readable at `p`.
#[inline(always)]
unsafe fn tap<A: Lane, S: Tables<A>, const HOW: u8>(s: S, column: [S::V; 2], p: *const u8) -> S::V {
    // SAFETY: by this function's contract.
    unsafe {
        if HOW == APART {
            return s.permute(s.spread(column[0], p), s.table(p.wrapping_add(S::N * size_of::<A>())));
        }
        moved::<A, S, HOW>(s, column, s.table(p))
    }
}

/// # Safety
/// A register of outputs is writable at `q`, or its halves.
#[inline(always)]
unsafe fn put<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, q: *mut u8, half: usize, v: S::V) {
    // SAFETY: by this function's contract.
    unsafe {
        if S::HALVES == 1 {
            op.store(s, q.cast(), v);
        } else {
            op.store_halves(s, q.cast(), half, v);
        }
    }
}
