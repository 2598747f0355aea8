//! Streams folded elementwise: lane `i` of the output is the fold of lane `i` of every tap.
//!
//! ```text
//! for each of `outer` repeats, for each register of the run:
//!     for each column: fold its slabs and rows, in scan order          (1)
//!     fold the columns, left to right
//!     permute, finish, store                                          (2)
//! ```
//!
//! 1. Taps are affine on each axis, so a window is six numbers and no list of pointers.
//! 2. With a table, a register of input columns puts out the outputs that begin in it: every `s`-th
//!    pixel, whatever the stride and however wide a pixel.
//!
//! These are the only leaves that look where memory ends: they serve every layer, whatever its gaps.
//! So the last register of a run overlaps the one before, and a run shorter than a register is loaded
//! and stored lane by lane where nothing may be touched behind it.

use core::mem::MaybeUninit;

use super::Nest;
use crate::kernels::simd::{Lane, LaneOp, MOST_LANES, Tables};

/// The taps of a window: how many on each axis and how many bytes apart. No column is an empty window; else there is a
/// tap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taps {
    pub(crate) columns: usize,
    pub(crate) column_bytes: usize,
    pub(crate) slabs: usize,
    pub(crate) slab_bytes: usize,
    pub(crate) rows: usize,
    pub(crate) row_bytes: usize,
}

impl Taps {
    /// One tap a window.
    pub(crate) const ONE: Self = Self { columns: 1, column_bytes: 0, slabs: 1, slab_bytes: 0, rows: 1, row_bytes: 0 };
}

/// Outputs whose windows have the same taps.
///
/// # Safety
/// From `src` on, every tap of every lane is readable; from `dst` on, every lane's output is writable.
/// What else lies before `readable` may be read, what else lies before `writable` may be overwritten.
/// `divisors` has the words of every lane, and a table as many bytes as the operation's `Facts` say.
#[derive(Clone, Copy)]
pub(crate) struct Fold {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) taps: Taps,
    pub(crate) outer: usize,
    pub(crate) outer_in: usize,
    pub(crate) outer_out: usize,
    /// Lanes of a run.
    pub(crate) len: usize,
    /// The words of a divisor are registers one behind the other; `lane_bytes` is 0 where all lanes share them.
    pub(crate) divisors: *const u8,
    pub(crate) word_bytes: usize,
    pub(crate) lane_bytes: usize,
    /// With a table: what one register puts out.
    pub(crate) chunk: Option<Chunk>,
    pub(crate) readable: *const u8,
    pub(crate) writable: *mut u8,
}

/// Lanes that a table puts out of a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) table: *const u8,
    /// Lanes put out, at most those of the run, and lanes of the input that they need.
    pub(crate) put: usize,
    pub(crate) need: usize,
    /// Lanes that the lower half puts out, where halves are apart.
    pub(crate) half: usize,
    /// Pixels from one output's first tap to the next one's.
    pub(crate) stride: usize,
}

/// Memory to memory.
pub(crate) struct Direct;
/// Memory to scratch lanes.
pub(crate) struct Down;
/// Scratch lanes to memory.
pub(crate) struct Across;

macro_rules! nests {
    ($($Nest:ty: from lanes $from:literal, to lanes $to:literal);+ $(;)?) => { $(
        impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for $Nest {
            type Args = Fold;

            #[inline(always)]
            unsafe fn run(s: S, op: O, args: &Fold) -> bool {
                // SAFETY: the same contract.
                unsafe { fold::<A, S, O, $from, $to>(s, op, args) }
            }
        }
    )+ };
}

nests! {
    Direct: from lanes false, to lanes false;
    Down: from lanes false, to lanes true;
    Across: from lanes true, to lanes false;
}

/// Registers of a block, folded side by side.
const BLOCK: usize = 4;

/// Keeps a loop that runs two or three times from being unrolled into eight copies of itself.
#[inline(always)]
pub(crate) fn rolled() {
    #[cfg(not(any(target_arch = "wasm32", miri)))]
    // SAFETY: no instruction.
    unsafe {
        core::arch::asm!("", options(nomem, nostack, preserves_flags));
    }
}

/// # Safety
/// As for [`Fold`].
#[inline(always)]
unsafe fn fold<A, S, O, const FROM: bool, const TO: bool>(s: S, op: O, a: &Fold) -> bool
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let (from, to) = (element::<A, S, O, FROM>(), element::<A, S, O, TO>());
    let mut flag = op.clean(s);
    for o in 0..a.outer {
        let src = a.src.wrapping_add(o.wrapping_mul(a.outer_in));
        let dst = a.dst.wrapping_add(o.wrapping_mul(a.outer_out));
        // SAFETY: by this function's contract; registers within a run, the last ones overlapping, or a run's own lanes.
        unsafe {
            let mut i = 0;
            while const { S::BLOCKS && O::BLOCKS } && i + BLOCK * S::N <= a.len && a.chunk.is_none() {
                let v = block::<A, S, O, FROM, BLOCK>(s, op, a, src.wrapping_add(i * from), S::N, &mut flag);
                for b in 0..BLOCK {
                    let at = i + b * S::N;
                    put::<A, S, O, TO>(s, op, a, dst.wrapping_add(at * to), at, v[b], S::N);
                }
                i += BLOCK * S::N;
                rolled();
            }
            // What was added up before.
            if const { FROM && !TO && O::QUICK && S::BLOCKS }
                && (a.taps.columns, a.lane_bytes) == (1, 0)
                && a.chunk.is_none()
                && op.is_quick([0, 1].map(
                    #[inline(always)]
                    |word| a.divisors.wrapping_add(word * a.word_bytes).cast::<A>().read_unaligned(),
                ))
            {
                let word = s.load(a.divisors.cast());
                while i + BLOCK * S::N <= a.len {
                    let (p, q) = (src.cast::<A>().wrapping_add(i), dst.cast::<O::T>().wrapping_add(i));
                    for b in 0..BLOCK {
                        let v = op.finish_quickly(s, s.load(p.wrapping_add(b * S::N)), word);
                        op.store(s, q.wrapping_add(b * S::N), v);
                    }
                    i += BLOCK * S::N;
                }
            }
            // Nothing is put out to scratch by tables.
            let chunk = if const { !TO && S::N > 1 } { a.chunk.as_ref() } else { None };
            let (step, stride) = chunk.map_or((S::N, 1), |chunk| (chunk.put, chunk.stride));
            while i < a.len {
                // The last one overlaps the one before.
                let at = i.min(a.len.saturating_sub(step));
                let n = if const { S::N == 1 } { 1 } else { chunk.map_or((a.len - at).min(S::N), |chunk| chunk.need) };
                let p = src.wrapping_add(at * stride * from);
                let [v] = block::<A, S, O, FROM, 1>(s, op, a, p, n, &mut flag);
                let q = dst.wrapping_add(at * to);
                match chunk {
                    Some(chunk) => put_chunk(s, op, a, q, at, v, chunk),
                    None => put::<A, S, O, TO>(s, op, a, q, at, v, n),
                }
                i += step;
                rolled();
            }
        }
    }
    op.dirty(s, flag)
}

/// Bytes from a lane's place to the next one's: in scratch, or in memory.
#[inline(always)]
fn element<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const LANES: bool>() -> usize {
    if LANES { size_of::<A>() } else { size_of::<O::T>() }
}

/// The windows of `B` neighbouring registers of lanes, or of the first `n` lanes of one.
///
/// # Safety
/// As for [`Fold`]: `B·N` lanes of its run begin at `p`, or `n`, and then `B` is 1.
#[inline(always)]
unsafe fn block<A, S, O, const FROM: bool, const B: usize>(
    s: S,
    op: O,
    a: &Fold,
    p: *const u8,
    n: usize,
    flag: &mut O::Flag,
) -> [S::V; B]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let fill = s.splat(op.fill());
    let taps = &a.taps;
    let mut all = [fill; B];
    for k in 0..taps.columns {
        let mut column = [fill; B];
        for z in 0..taps.slabs {
            let slab = k.wrapping_mul(taps.column_bytes).wrapping_add(z.wrapping_mul(taps.slab_bytes));
            let mut row = p.wrapping_add(slab);
            for _ in 0..taps.rows {
                // SAFETY: a tap of the window.
                let v = unsafe { load::<A, S, O, FROM, B>(s, op, a, row, n, flag) };
                for b in 0..B {
                    column[b] = op.join(s, column[b], v[b]);
                }
                row = row.wrapping_add(taps.row_bytes);
                rolled();
            }
        }
        for b in 0..B {
            all[b] = op.join(s, all[b], column[b]);
        }
        rolled();
    }
    all
}

/// `B` neighbouring registers, or one of whose lanes the first `n` matter; watched where memory is read.
///
/// # Safety
/// As for `block`, of one tap.
#[inline(always)]
unsafe fn load<A, S, O, const FROM: bool, const B: usize>(
    s: S,
    op: O,
    a: &Fold,
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
    // SAFETY: by this function's contract.
    unsafe {
        for b in 0..B {
            let q = p.wrapping_add(b * S::N * element::<A, S, O, FROM>());
            v[b] = if FROM {
                s.load(q.cast())
            } else if B > 1 || S::N == 1 || n == S::N || q.wrapping_add(S::N * size_of::<O::T>()) <= a.readable {
                op.load(s, q.cast())
            } else {
                op.load_first(s, q.cast(), n)
            };
        }
    }
    if O::WATCH && !FROM {
        for b in (0..B).step_by(2) {
            *flag = op.watch(s, *flag, v[b], v[(b + 1) % B]);
        }
    }
    v
}

/// The divisor of the lanes from `lane` on.
///
/// # Safety
/// As for [`Fold`].
#[inline(always)]
unsafe fn divisor<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, a: &Fold, lane: usize) -> O::Divisor {
    let first = a.divisors.wrapping_add(lane * a.lane_bytes);
    op.divisor(
        s,
        #[inline(always)]
        // SAFETY: by this function's contract.
        |word| unsafe { s.load(first.wrapping_add(word * a.word_bytes).cast()) },
    )
}

/// Stores the first `n` lanes of a fold: to scratch as they are, to memory finished.
///
/// # Safety
/// As for [`Fold`]: `q` is the place of lane `lane` of a run, and of `n − 1` more.
#[inline(always)]
unsafe fn put<A, S, O, const TO: bool>(s: S, op: O, a: &Fold, q: *mut u8, lane: usize, v: S::V, n: usize)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    // SAFETY: by this function's contract.
    unsafe {
        if TO {
            if n == S::N {
                s.store(q.cast(), v)
            } else {
                s.store_first(q.cast(), n, v)
            }
            return;
        }
        let v = op.finish(s, v, divisor::<A, S, O>(s, op, a, lane));
        if S::N == 1 || n == S::N || q.wrapping_add(S::N * size_of::<O::T>()) <= a.writable {
            op.store(s, q.cast(), v);
        } else {
            op.store_first(s, q.cast(), n, v);
        }
    }
}

/// Permutes a folded register by a chunk's table, finishes and stores what it puts out.
///
/// # Safety
/// As for [`Fold`]: the chunk's outputs belong at `q`.
#[inline(always)]
unsafe fn put_chunk<A, S, O>(s: S, op: O, a: &Fold, q: *mut u8, lane: usize, v: S::V, chunk: &Chunk)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let q: *mut O::T = q.cast();
    // SAFETY: by this function's contract; the array holds a register.
    unsafe {
        let v = s.spread(v, chunk.table);
        let table = s.table(chunk.table.wrapping_add((S::HALVES - 1) * S::N * size_of::<A>()));
        let v = op.finish(s, s.permute(v, table), divisor::<A, S, O>(s, op, a, lane));
        let has_room = q.wrapping_add(S::N + chunk.half).cast() <= a.writable;
        if S::HALVES == 1 {
            if has_room { op.store(s, q, v) } else { op.store_first(s, q, chunk.put, v) }
        } else if has_room {
            op.store_halves(s, q, chunk.half, v);
        } else {
            let mut halves = [op.identity(); MOST_LANES];
            op.store(s, halves.as_mut_ptr(), v);
            core::ptr::copy_nonoverlapping(halves.as_ptr(), q, chunk.half.min(chunk.put));
            let above = chunk.put.saturating_sub(chunk.half);
            core::ptr::copy_nonoverlapping(halves.as_ptr().add(S::N / 2), q.wrapping_add(chunk.half), above);
        }
    }
}

/// Windows of hundreds of taps, whose sums would be one long chain: blocks of [`TERMS`] taps in the window's order,
/// column by column, each a chain, and the blocks as a tree of neighbours: 2i with 2i + 1, and an odd last one waiting.
pub(crate) struct Blocks;

/// Taps of a block: part of the contract (`src/order.rs`).
pub(crate) const TERMS: usize = 256;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Blocks {
    type Args = Fold;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Fold) -> bool {
        let (from, to) = (size_of::<O::T>(), size_of::<O::T>());
        let mut flag = op.clean(s);
        for o in 0..a.outer {
            let src = a.src.wrapping_add(o.wrapping_mul(a.outer_in));
            let dst = a.dst.wrapping_add(o.wrapping_mul(a.outer_out));
            let mut i = 0;
            // SAFETY: by this function's contract: registers within a run, the last one overlapping, or a run's own lanes.
            unsafe {
                while const { S::N > 1 && O::BLOCKS } && i + BLOCK * S::N <= a.len {
                    let v = tree::<A, S, O, BLOCK>(s, op, a, src.wrapping_add(i * from), S::N, &mut flag);
                    for b in 0..BLOCK {
                        let at = i + b * S::N;
                        put::<A, S, O, false>(s, op, a, dst.wrapping_add(at * to), at, v[b], S::N);
                    }
                    i += BLOCK * S::N;
                    rolled();
                }
                while i < a.len {
                    let at = i.min(a.len.saturating_sub(S::N));
                    let n = if const { S::N == 1 } { 1 } else { (a.len - at).min(S::N) };
                    let [v] = tree::<A, S, O, 1>(s, op, a, src.wrapping_add(at * from), n, &mut flag);
                    put::<A, S, O, false>(s, op, a, dst.wrapping_add(at * to), at, v, n);
                    i += S::N;
                }
            }
        }
        op.dirty(s, flag)
    }
}

/// The windows of `B` neighbouring registers of lanes, or of the first `n` lanes of one.
///
/// # Safety
/// As for [`Fold`]: `B·N` lanes of its run begin at `p`, or `n`, and then `B` is 1.
#[inline(always)]
unsafe fn tree<A, S, O, const B: usize>(s: S, op: O, a: &Fold, p: *const u8, n: usize, flag: &mut O::Flag) -> [S::V; B]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let fill = [s.splat(op.fill()); B];
    // What 1, 2, 4… blocks are folded to that wait for as many more: those whose bit is set in `done`.
    let mut waiting = [const { MaybeUninit::uninit() }; usize::BITS as usize];
    let (mut done, mut terms, mut chain) = (0_usize, 0, fill);
    for k in 0..a.taps.columns {
        for z in 0..a.taps.slabs {
            for y in 0..a.taps.rows {
                let tap = p
                    .wrapping_add(k.wrapping_mul(a.taps.column_bytes))
                    .wrapping_add(z.wrapping_mul(a.taps.slab_bytes))
                    .wrapping_add(y.wrapping_mul(a.taps.row_bytes));
                // SAFETY: a tap of the window.
                let v = unsafe { load::<A, S, O, false, B>(s, op, a, tap, n, flag) };
                chain = join::<A, S, O, B>(s, op, chain, v);
                terms += 1;
                rolled();
                if terms == TERMS {
                    let (mut carried, mut level) = (chain, 0);
                    while (done >> level) & 1 == 1 {
                        // SAFETY: a level whose bit is set has been written.
                        carried = join::<A, S, O, B>(s, op, unsafe { waiting[level].assume_init() }, carried);
                        level += 1;
                    }
                    waiting[level] = MaybeUninit::new(carried);
                    (done, terms, chain) = (done + 1, 0, fill);
                }
            }
        }
    }
    // What is left is the last block; then every block that waits, from the last to the first.
    for level in 0..usize::BITS as usize {
        if (done >> level) & 1 == 1 {
            // SAFETY: a level whose bit is set has been written.
            chain = join::<A, S, O, B>(s, op, unsafe { waiting[level].assume_init() }, chain);
        }
    }
    chain
}

/// The join of `B` registers with as many.
#[inline(always)]
fn join<A, S, O, const B: usize>(s: S, op: O, left: [S::V; B], right: [S::V; B]) -> [S::V; B]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let mut both = left;
    for b in 0..B {
        both[b] = op.join(s, left[b], right[b]);
    }
    both
}
