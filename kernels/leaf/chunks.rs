//! Small planes by a program of chunks: a register of outputs each, from whatever rows and planes they are of.
//!
//! ```text
//! for each group of planes, for each part of the program:
//!     v = the rows of its windows, folded: a register from each, lanes without such a row left out;
//!         or two such registers from two places                                                          (1)
//!     out[its lanes] = the columns of the windows, folded: v permuted by a table for each                (2)
//!     if it is the last of a chunk: finish out and store a whole register                                (3)
//! ```
//!
//! 1. The rows of a window lie as many bytes apart as those of any other, whichever row of outputs it is of.
//!    So a register that reaches over several rows, or planes, holds windows of each of them.
//! 2. What lanes a table names is nothing that the loop knows: strides, borders and channels are numbers in
//!    tables.
//! 3. Outputs follow each other, so what is stored behind those of a chunk the next one overwrites.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Windows that one register of the input holds, or two. Parts up to one that stores are a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where it reads, counted from its group's first byte; the second is [`NONE`] where tables take from one register.
    pub(crate) first: u32,
    pub(crate) second: u32,
    /// Where the chunk goes, likewise; [`NONE`] if it is not the last part.
    pub(crate) dst: u32,
    /// Outputs of the lower half, where halves are apart: each part is a chunk then.
    pub(crate) half: u32,
    /// Whether some window has not every row, and whether some has not every column: else there is no need to look at
    /// masks.
    pub(crate) lacks_rows: bool,
    pub(crate) lacks_columns: bool,
}

pub(crate) const NONE: u32 = u32::MAX;

/// How a part's tables and masks lie behind one another: offsets in bytes from a multiple of 64.
///
/// First a table for each column, then what is spread, then masks: for each row the lanes that have it, of
/// the one register and of the other, for each column the outputs that have it, and the part's outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) spread: usize,
    pub(crate) row_masks: usize,
    pub(crate) second_masks: usize,
    pub(crate) column_masks: usize,
    pub(crate) outputs: usize,
    pub(crate) bytes: usize,
}

impl Record {
    /// Of registers and masks of so many bytes.
    #[inline(always)]
    pub(crate) const fn new(
        register: usize,
        halves: usize,
        pairs: bool,
        mask: usize,
        rows: usize,
        columns: usize,
    ) -> Self {
        let spread = columns * register;
        let row_masks = spread + (halves - 1) * register;
        let second_masks = row_masks + rows * mask;
        let column_masks = if pairs { second_masks + rows * mask } else { second_masks };
        let outputs = column_masks + columns * mask;
        Self { spread, row_masks, second_masks, column_masks, outputs, bytes: (outputs + mask).next_multiple_of(64) }
    }
}

/// Groups of planes, and the program that is run for each.
///
/// # Safety
/// For each group from `src` on, a register is readable at every row (`offsets`, `rows` of them) of every
/// part. For each from `dst` on, a register is writable at every chunk's `dst`. `tables` has a [`Record`]
/// for each part, for as many rows and columns, of which there is one at least; its tables name lanes of its
/// registers. `divisors` has the words of a register of outputs for each chunk, `divisor_bytes` apart.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) groups: usize,
    pub(crate) group_in: usize,
    pub(crate) group_out: usize,
    pub(crate) parts: *const Part,
    pub(crate) count: usize,
    pub(crate) tables: *const u8,
    pub(crate) offsets: *const usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) divisors: *const u8,
    pub(crate) divisor_bytes: usize,
}

/// Any window.
pub(crate) struct Any;
/// A window of 2 rows and 2 columns, none of them missing anywhere: it looks at no mask.
pub(crate) struct Two;
/// A window of 3 rows and 3 columns.
pub(crate) struct Three;

macro_rules! nests {
    ($($Nest:ty: $taps:literal, masked $masked:literal);+ $(;)?) => { $(
        impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for $Nest {
            type Args = Program;

            #[inline(always)]
            unsafe fn run(s: S, op: O, args: &Program) -> bool {
                // SAFETY: the same contract.
                unsafe { run::<A, S, O, $taps, $masked>(s, op, args) }
            }
        }
    )+ };
}

nests! {
    Any: 0, masked true;
    Two: 2, masked false;
    Three: 3, masked true;
}

/// Rows of the largest window with a leaf of its own.
const MOST: usize = 3;

/// `TAPS` rows and columns, or where that is 0 as many as the arguments say.
///
/// # Safety
/// As for [`Program`].
#[inline(always)]
unsafe fn run<A, S, O, const TAPS: usize, const MASKED: bool>(s: S, op: O, a: &Program) -> bool
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let (rows, columns) = if TAPS == 0 { (a.rows, a.columns) } else { (TAPS, TAPS) };
    let register = S::N * size_of::<A>();
    let record = Record::new(register, S::HALVES, S::PAIRS, S::MASK_BYTES, rows, columns);
    let mut offsets = [0; MOST];
    for i in 0..TAPS {
        // SAFETY: `TAPS` is 0 or the rows.
        offsets[i] = unsafe { *a.offsets.add(i) };
    }
    let (mut src, mut dst) = (a.src, a.dst);
    let mut flag = op.clean(s);
    for _ in 0..a.groups {
        let (mut tables, mut divisors) = (a.tables, a.divisors);
        let mut out = s.splat(op.fill());
        for i in 0..a.count {
            // SAFETY: by this function's contract: a part of the program.
            unsafe {
                let part = &*a.parts.add(i);
                let masks = tables.wrapping_add(record.row_masks);
                let p = src.wrapping_add(part.first as usize);
                let lacks = MASKED && part.lacks_rows;
                let first = down::<A, S, O, TAPS, MASKED>(s, op, a, p, &offsets, lacks, masks, &mut flag);
                let lacks_columns = MASKED && const { !O::IDEMPOTENT } && part.lacks_columns;
                let column_masks = tables.wrapping_add(record.column_masks);
                let all = if const { S::PAIRS } && part.second != NONE {
                    let masks = tables.wrapping_add(record.second_masks);
                    let p = src.wrapping_add(part.second as usize);
                    let second = down::<A, S, O, TAPS, MASKED>(s, op, a, p, &offsets, lacks, masks, &mut flag);
                    across::<A, S, O, TAPS, MASKED, true>(s, op, a, first, second, tables, lacks_columns, column_masks)
                } else {
                    let first = s.spread(first, tables.wrapping_add(record.spread));
                    across::<A, S, O, TAPS, MASKED, false>(s, op, a, first, first, tables, lacks_columns, column_masks)
                };
                // Halves that are apart are a chunk each.
                out = if const { S::HALVES == 1 } {
                    s.pick(s.load_mask(tables.wrapping_add(record.outputs)), all, out)
                } else {
                    all
                };
                if const { S::HALVES > 1 } || part.dst != NONE {
                    let divisor = op.divisor(
                        s,
                        #[inline(always)]
                        |word| s.load(divisors.wrapping_add(word * register).cast()),
                    );
                    let out = op.finish(s, out, divisor);
                    let q = dst.wrapping_add(part.dst as usize);
                    if const { S::HALVES == 1 } {
                        op.store(s, q.cast(), out);
                    } else {
                        op.store_halves(s, q.cast(), part.half as usize, out);
                    }
                    divisors = divisors.wrapping_add(a.divisor_bytes);
                }
                tables = tables.wrapping_add(record.bytes);
                rolled();
            }
        }
        src = src.wrapping_add(a.group_in);
        dst = dst.wrapping_add(a.group_out);
    }
    op.dirty(s, flag)
}

/// The rows of a register's windows.
///
/// # Safety
/// As for [`Program`]: a register is readable at every row of `p`, and where some lack rows, there is a mask for each.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one step of a part, of which there may be two")]
unsafe fn down<A, S, O, const TAPS: usize, const MASKED: bool>(
    s: S,
    op: O,
    a: &Program,
    p: *const u8,
    offsets: &[usize; MOST],
    lacks: bool,
    masks: *const u8,
    flag: &mut O::Flag,
) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let rows = if TAPS == 0 { a.rows } else { TAPS };
    // SAFETY: by this function's contract, here and below.
    unsafe {
        if MASKED && lacks {
            let mut all = s.splat(op.fill());
            for i in 0..rows {
                let v = row::<A, S, O, TAPS>(s, op, a, p, offsets, i);
                if O::WATCH {
                    *flag = op.watch(s, *flag, v, v);
                }
                all = s.pick(s.load_mask(masks.wrapping_add(i * S::MASK_BYTES)), op.join(s, all, v), all);
                if TAPS == 0 {
                    rolled();
                }
            }
            return all;
        }
        // Two at a time, since two are watched at once.
        let mut all = row::<A, S, O, TAPS>(s, op, a, p, offsets, 0);
        let mut i = 1;
        let mut last = all;
        if rows % 2 == 0 {
            last = row::<A, S, O, TAPS>(s, op, a, p, offsets, 1);
            i = 2;
        }
        if O::WATCH {
            *flag = op.watch(s, *flag, all, last);
        }
        if rows % 2 == 0 {
            all = op.join(s, all, last);
        }
        while i < rows {
            let v = row::<A, S, O, TAPS>(s, op, a, p, offsets, i);
            let next = row::<A, S, O, TAPS>(s, op, a, p, offsets, i + 1);
            if O::WATCH {
                *flag = op.watch(s, *flag, v, next);
            }
            all = op.join(s, op.join(s, all, v), next);
            i += 2;
            if TAPS == 0 {
                rolled();
            }
        }
        all
    }
}

/// # Safety
/// As for `down`, of row `i`.
#[inline(always)]
unsafe fn row<A, S, O, const TAPS: usize>(
    s: S,
    op: O,
    a: &Program,
    p: *const u8,
    offsets: &[usize; MOST],
    i: usize,
) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    // SAFETY: by this function's contract.
    unsafe {
        let offset = if TAPS == 0 { *a.offsets.add(i) } else { offsets[i] };
        op.load(s, p.wrapping_add(offset).cast())
    }
}

/// The columns of a register's windows, or of two registers'.
///
/// # Safety
/// As for [`Program`]: there is a table for each column at `tables` and, where some lack columns, a mask.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one step of a part, of one register or two")]
unsafe fn across<A, S, O, const TAPS: usize, const MASKED: bool, const PAIR: bool>(
    s: S,
    op: O,
    a: &Program,
    first: S::V,
    second: S::V,
    tables: *const u8,
    lacks: bool,
    masks: *const u8,
) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let columns = if TAPS == 0 { a.columns } else { TAPS };
    // SAFETY: by this function's contract, here and below.
    unsafe {
        if MASKED && lacks {
            let mut all = s.splat(op.fill());
            for k in 0..columns {
                let tap = column::<A, S, PAIR>(s, first, second, tables, k);
                all = s.pick(s.load_mask(masks.wrapping_add(k * S::MASK_BYTES)), op.join(s, all, tap), all);
                if TAPS == 0 {
                    rolled();
                }
            }
            return all;
        }
        let mut all = column::<A, S, PAIR>(s, first, second, tables, 0);
        for k in 1..columns {
            all = op.join(s, all, column::<A, S, PAIR>(s, first, second, tables, k));
            if TAPS == 0 {
                rolled();
            }
        }
        all
    }
}

/// # Safety
/// As for `across`, of column `k`.
#[inline(always)]
unsafe fn column<A, S, const PAIR: bool>(s: S, first: S::V, second: S::V, tables: *const u8, k: usize) -> S::V
where
    A: Lane,
    S: Tables<A>,
{
    // SAFETY: by this function's contract.
    let table = unsafe { s.table(tables.wrapping_add(k * S::N * size_of::<A>())) };
    if PAIR { s.permute_two(first, second, table) } else { s.permute(first, table) }
}
