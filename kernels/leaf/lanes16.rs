//! Long contiguous runs, each with one output: planes pooled whole, or blocks of a long one.
//!
//! ```text
//! for each group of runs, as many as a register has lanes, 16 at most:
//!     fold each run's elements in 16 virtual lanes: element i goes to lane i mod 16      (1)
//!     fold the lanes of all of them, one behind the other, in pairs of neighbours        (2)
//!     store the group's lanes side by side
//! ```
//!
//! 1. This is the one place where lanes are not outputs, so their number must not be the register's: 16 on
//!    every tier, in `16 / N` registers where those are shorter. Integers and extremes do not care and
//!    use whole registers. Four runs at a time keep four chains of additions in flight.
//! 2. The tree is part of the contract; the operation is the same on every tier, so the bits are. Neighbours
//!    are what two registers are unzipped into, so that one step halves the lanes of two registers at a
//!    time, whatever runs they are of. After four steps the group's runs lie side by side, one a lane.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Dealt as _, Lane, LaneOp, MOST_LANES, Tables, VIRTUAL};

/// Runs that are folded side by side.
const QUAD: usize = 4;

/// Elements of what is copied for the registers of a run's end: every tier's longest, in as many registers as make the
/// virtual lanes.
const COPIED: usize = 2 * MOST_LANES;

/// Bytes of the lanes that wait between two pieces of a run: [`Runs::state`].
pub(crate) const STATE: usize = 256;

/// Runs of `len` elements, `step` bytes apart.
///
/// # Safety
/// From `src` on, every run is readable, and what lies before `readable`. `dst` takes a lane for each run, and a
/// register more; `state`, if it is asked for, [`STATE`] bytes.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    pub(crate) src: *const u8,
    pub(crate) step: usize,
    pub(crate) count: usize,
    pub(crate) len: usize,
    pub(crate) readable: *const u8,
    pub(crate) dst: *mut u8,
    /// Where the lanes of one run wait, whose elements come in pieces of a multiple of [`COPIED`] elements but the
    /// last.
    pub(crate) state: *mut u8,
    /// This piece is not the first, not the last.
    pub(crate) resumes: bool,
    pub(crate) continues: bool,
}

/// The nest of [`Runs`].
pub(crate) struct Dealt;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Dealt {
    type Args = Runs;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Runs) -> bool {
        let mut flag = op.clean(s);
        let group = S::N.min(VIRTUAL);
        let mut first = 0;
        while first < a.count {
            let count = group.min(a.count - first);
            // SAFETY: runs of the call; the output of the first and of a register behind it.
            unsafe {
                let v = lanes::<A, S, O>(s, op, a, first, count, &mut flag);
                s.store(a.dst.cast::<A>().add(first), v);
            }
            first += count;
        }
        op.dirty(s, flag)
    }
}

/// What `count` runs from `first` on are folded to, one a lane.
///
/// # Safety
/// As for [`Runs`].
#[inline(always)]
unsafe fn lanes<A, S, O>(s: S, op: O, a: &Runs, first: usize, count: usize, flag: &mut O::Flag) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let fill = s.splat(op.fill());
    let mut quads = [fill; VIRTUAL / QUAD];
    for (i, quad_of) in quads.iter_mut().enumerate() {
        let at = i * QUAD;
        if at >= count {
            break;
        }
        let run = |i: usize| a.src.wrapping_add((first + at + i).wrapping_mul(a.step));
        let mut each = [fill; QUAD];
        // SAFETY: runs of the call, and in those of a quad, the last of which is the nearest to the end, as many
        // elements as the last registers reach.
        unsafe {
            let reach = (a.len.saturating_sub(1) / O::RUN + 1) * O::RUN * size_of::<O::T>();
            if const { S::BLOCKS && O::BLOCKS } && count - at >= QUAD && run(QUAD - 1).wrapping_add(reach) <= a.readable
            {
                each = deal::<A, S, O>(s, op, [run(0), run(1), run(2), run(3)], a.len, flag);
            } else {
                for i in 0..QUAD.min(count - at) {
                    each[i] = deal_one::<A, S, O>(s, op, a, run(i), flag);
                }
            }
        }
        let [x, y, z, w] = each;
        *quad_of = match S::N {
            1 => x,
            2 => halve::<A, S, O>(s, op, x, y),
            _ => halve::<A, S, O>(s, op, halve::<A, S, O>(s, op, x, y), halve::<A, S, O>(s, op, z, w)),
        };
    }
    // Lanes that a run still has, and registers that hold them all.
    let (mut each, mut registers) = ((S::N / QUAD).max(1), (S::N.min(VIRTUAL) / QUAD).max(1));
    while registers > 1 {
        (each, registers) = (each / 2, registers / 2);
        for i in 0..registers {
            quads[i] = halve::<A, S, O>(s, op, quads[2 * i], quads[2 * i + 1]);
        }
    }
    let mut folded = quads[0];
    while each > 1 {
        each /= 2;
        folded = halve::<A, S, O>(s, op, folded, folded);
    }
    folded
}

/// Deals the elements of one run, or of a piece of it, to lanes and folds those to one register.
///
/// # Safety
/// As for [`Runs`], of the run at `src`.
#[inline(always)]
unsafe fn deal_one<A, S, O>(s: S, op: O, a: &Runs, src: *const u8, flag: &mut O::Flag) -> S::V
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let registers = <S::Dealt as crate::kernels::simd::Dealt<_>>::LEN;
    let turn = registers * O::RUN;
    const { assert!(<S::Dealt as crate::kernels::simd::Dealt<_>>::LEN * O::RUN <= COPIED) };
    const { assert!(<S::Dealt as crate::kernels::simd::Dealt<_>>::LEN * S::N * size_of::<A>() <= STATE) };
    let mut lanes = S::Dealt::splat(s.splat(op.fill()));
    let state = a.state.cast::<A>();
    if a.resumes {
        for g in 0..registers {
            // SAFETY: the state's bytes, written by the piece before.
            lanes.vectors()[g] = unsafe { s.load(state.add(g * S::N)) };
        }
    }
    let mut copied = [op.identity(); COPIED];
    let mut i = 0;
    while i < a.len {
        let n = (a.len - i).min(turn);
        let mut from: *const O::T = src.cast::<O::T>().wrapping_add(i);
        if n < turn {
            // SAFETY: elements of the run, and no more than the array has.
            unsafe { core::ptr::copy_nonoverlapping(from, copied.as_mut_ptr(), n) };
            from = copied.as_ptr();
        }
        for g in 0..registers {
            // SAFETY: a turn's elements.
            let v = unsafe { op.load_run(s, from.add(g * O::RUN)) };
            if O::WATCH {
                *flag = op.watch(s, *flag, v, v);
            }
            let to = &mut lanes.vectors()[g];
            *to = op.join(s, *to, v);
        }
        i += turn;
        rolled();
    }
    if a.continues {
        for g in 0..registers {
            // SAFETY: the state's bytes.
            unsafe { s.store(state.add(g * S::N), lanes.vectors()[g]) };
        }
    }
    fold_dealt::<A, S, O>(s, op, lanes)
}

/// Deals the `len` elements of each of four runs to lanes and folds those to one register a run.
///
/// # Safety
/// `len` elements are readable in each, and as many more as the last register of `RUN` reaches.
#[inline(always)]
unsafe fn deal<A, S, O>(s: S, op: O, src: [*const u8; QUAD], len: usize, flag: &mut O::Flag) -> [S::V; QUAD]
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let registers = <S::Dealt as crate::kernels::simd::Dealt<_>>::LEN;
    let turn = registers * O::RUN;
    let mut lanes = [S::Dealt::splat(s.splat(op.fill())); QUAD];
    let mut i = 0;
    while i + turn <= len {
        for p in 0..QUAD {
            for g in 0..registers {
                // SAFETY: i + turn <= len.
                let v = unsafe { op.load_run(s, src[p].cast::<O::T>().add(i + g * O::RUN)) };
                if O::WATCH {
                    *flag = op.watch(s, *flag, v, v);
                }
                let to = &mut lanes[p].vectors()[g];
                *to = op.join(s, *to, v);
            }
        }
        i += turn;
        rolled();
    }
    for g in 0..registers {
        let at = i + g * O::RUN;
        if at >= len {
            break;
        }
        let n = (len - at).min(O::RUN);
        for p in 0..QUAD {
            // SAFETY: by this function's contract.
            let v = unsafe { op.load_run_first(s, src[p].cast::<O::T>().add(at), n, O::RUN) };
            if O::WATCH {
                *flag = op.watch(s, *flag, v, v);
            }
            let to = &mut lanes[p].vectors()[g];
            *to = op.join(s, *to, v);
        }
    }
    let mut folded = [s.splat(op.fill()); QUAD];
    for p in 0..QUAD {
        folded[p] = fold_dealt::<A, S, O>(s, op, lanes[p]);
    }
    folded
}

/// Folds the registers of a run to one, in pairs of neighbouring lanes.
#[inline(always)]
fn fold_dealt<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, mut lanes: S::Dealt) -> S::V {
    let lanes = lanes.vectors();
    let mut count = <S::Dealt as crate::kernels::simd::Dealt<_>>::LEN;
    while count > 1 {
        count /= 2;
        for g in 0..count {
            lanes[g] = halve::<A, S, O>(s, op, lanes[2 * g], lanes[2 * g + 1]);
        }
    }
    lanes[0]
}

/// Joins neighbours: the lanes of `a` then `b`, half as many.
#[inline(always)]
fn halve<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(s: S, op: O, a: S::V, b: S::V) -> S::V {
    let (even, odd) = s.unzip(a, b);
    op.join(s, even, odd)
}
