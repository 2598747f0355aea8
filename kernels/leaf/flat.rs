//! Planes without end as one run of registers: windows that move by one and keep the plane's lengths.
//!
//! ```text
//! for each register of outputs, whatever rows and planes its lanes are in:
//!     column = the fold of the window's rows, each joined where a mask says that it is inside      (1)
//!     output = the fold of the columns around it, each joined where a mask says that it is inside  (2)
//!     finish, store
//! ```
//!
//! 1. A tap is the same distance away at every output, so no loop knows where a row or a plane ends.
//!    Which lanes have it depends on the phase alone: the place in its plane of the register's first lane.
//! 2. Columns beside each other are found in the registers before and after, moved by one lane
//!    ([`Around`]); others wait in scratch ([`Ring`], [`Any`]).
//!
//! A tap that is left out leaves the lane as it was, so nothing is an identity and no bit of a sum moves.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// A tap of a window on some axes: how far it is, and which lanes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// From the output's own place, in bytes of memory, or of scratch.
    pub(crate) offset: isize,
    /// Where its masks begin, from the first one on; [`Tap::CENTRE`] for the output's own place, which every lane has.
    pub(crate) mask: usize,
}

impl Tap {
    pub(crate) const CENTRE: usize = usize::MAX;
}

/// The outputs of consecutive places in a run of planes.
///
/// The masks of a tap are all those that begin at a phase. As bits they are 8 copies of a string with a bit for each
/// place, copy `s` moved down by `s` bits: the mask of a phase begins at a byte of copy `phase mod 8`. As lanes they
/// are a string of lanes.
///
/// # Safety
/// Every tap of every register's lanes is readable at its offset from `src` on, whether the lane has it or not;
/// likewise, without the columns, of `lead` lanes before the first register, and of so many registers behind the last
/// one as hold `right` lanes. Room for the registers' lanes is writable at `dst`. `scratch` has room for all of these.
/// Masks and divisors of all phases below `plane` are readable.
#[derive(Clone, Copy)]
pub(crate) struct Flat {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) scratch: *mut u8,
    pub(crate) registers: usize,
    /// Lanes of a plane; places of the first output and of the first column, `lead` lanes before; a register's lanes,
    /// less whole planes.
    pub(crate) plane: usize,
    pub(crate) phase: usize,
    pub(crate) phase_lead: usize,
    pub(crate) step: usize,
    pub(crate) masks: *const u8,
    pub(crate) copy_bytes: usize,
    /// Windows of at most three rows and columns: bytes to the row above and to the one below, lanes to the columns,
    /// and where the masks of these four begin.
    pub(crate) above_bytes: usize,
    pub(crate) below_bytes: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
    pub(crate) around: [usize; 4],
    /// So many lanes from the first one on, registers begin that have all rows.
    pub(crate) inside: usize,
    pub(crate) inside_lanes: usize,
    /// Any window: the taps of a column in its order, and the columns.
    pub(crate) rows: *const Tap,
    pub(crate) row_count: usize,
    pub(crate) columns: *const Tap,
    pub(crate) column_count: usize,
    /// Lanes to the first column that is folded, whole registers.
    pub(crate) lead: usize,
    /// Words of the divisors: registers one behind the other for all phases if `lane_bytes` is 0, else lanes for each.
    pub(crate) divisors: *const u8,
    pub(crate) word_bytes: usize,
    pub(crate) lane_bytes: usize,
}

/// A place in a plane, and where its masks lie.
#[derive(Clone, Copy)]
struct Phase {
    at: usize,
    mask: usize,
}

impl Phase {
    #[inline(always)]
    fn new<A: Lane, S: Tables<A>>(a: &Flat, at: usize) -> Self {
        let mask = if S::MASK_BITS { (at & 7) * a.copy_bytes + (at >> 3) } else { at * size_of::<A>() };
        Self { at, mask }
    }

    /// Some registers further on, in the same plane.
    #[inline(always)]
    fn ahead<A: Lane, S: Tables<A>>(self, registers: usize) -> Self {
        let bytes = if S::MASK_BITS { S::N / 8 } else { S::N * size_of::<A>() };
        Self { at: self.at + registers * S::N, mask: self.mask + registers * bytes }
    }

    /// Of the next register. That is rarely in the next plane, but where planes are shorter than registers.
    #[inline(always)]
    fn next<A: Lane, S: Tables<A>>(self, a: &Flat) -> Self {
        let at = self.at + a.step;
        if at < a.plane && a.step == S::N {
            self.ahead::<A, S>(1)
        } else {
            rolled();
            Self::new::<A, S>(a, if at >= a.plane { at - a.plane } else { at })
        }
    }
}

impl Flat {
    /// `v`, with a tap joined to it where its mask says so, as `joined` has it.
    ///
    /// # Safety
    /// A mask is readable at `mask`.
    #[inline(always)]
    unsafe fn pick<A: Lane, S: Tables<A>>(&self, s: S, mask: usize, joined: S::V, v: S::V) -> S::V {
        // SAFETY: by this function's contract.
        unsafe { s.pick(s.load_mask(self.masks.wrapping_add(mask)), joined, v) }
    }

    /// How many of the registers behind one at a phase have all rows, `left` at most.
    #[inline(always)]
    fn inside<A: Lane, S: Tables<A>>(&self, phase: Phase, left: usize) -> usize {
        let at = (phase.at + S::N).wrapping_sub(self.inside);
        if at >= self.inside_lanes {
            return 0;
        }
        rolled();
        ((self.inside_lanes - at).div_ceil(S::N)).min(left)
    }

    /// Finishes a register and stores it.
    ///
    /// # Safety
    /// As for [`Flat`]; a register is writable at `to`.
    #[inline(always)]
    unsafe fn put<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(&self, s: S, op: O, to: *mut u8, phase: Phase, v: S::V) {
        let first = self.divisors.wrapping_add(phase.at * self.lane_bytes);
        // SAFETY: by this function's contract.
        unsafe {
            let divisor = op.divisor(
                s,
                #[inline(always)]
                |word| s.load(first.wrapping_add(word * self.word_bytes).cast()),
            );
            op.store(s, to.cast(), op.finish(s, v, divisor));
        }
    }

    /// The columns of a register's lanes, of three rows at most, or of three.
    ///
    /// # Safety
    /// As for [`Flat`], of the register at `p`, whose masks lie at `mask`.
    #[inline(always)]
    unsafe fn column<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const INSIDE: bool>(
        &self,
        s: S,
        op: O,
        p: *const u8,
        mask: usize,
        flag: &mut O::Flag,
    ) -> S::V {
        let [above, below, ..] = self.around;
        // SAFETY: by this function's contract.
        unsafe {
            let middle = op.load(s, p.cast());
            *flag = op.watch(s, *flag, middle, middle);
            let first = op.load(s, p.wrapping_sub(self.above_bytes).cast());
            let last = op.load(s, p.wrapping_add(self.below_bytes).cast());
            let v = op.join(s, first, middle);
            if INSIDE {
                return op.join(s, v, last);
            }
            let v = self.pick::<A, S>(s, above + mask, v, middle);
            self.pick::<A, S>(s, below + mask, op.join(s, v, last), v)
        }
    }

    /// Joins the columns beside a register's own, where masks say so: those at `left` and `right`.
    ///
    /// # Safety
    /// As for [`Flat`]; masks are readable there.
    #[inline(always)]
    unsafe fn beside<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(
        &self,
        s: S,
        op: O,
        [left, right]: [usize; 2],
        [before, this, after]: [S::V; 3],
    ) -> S::V {
        // SAFETY: by this function's contract.
        unsafe {
            let v = self.pick::<A, S>(s, left, op.join(s, before, this), this);
            self.pick::<A, S>(s, right, op.join(s, v, after), v)
        }
    }
}

/// Windows of three columns, one lane apart, or of one, and at most three rows. `lead` is a register.
pub(crate) struct Around;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Around {
    type Args = Flat;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Flat) -> bool {
        // A copy: for all the compiler knows, a store might change the original.
        let a = *a;
        let bytes = S::N * size_of::<O::T>();
        let mut phase = Phase::new::<A, S>(&a, a.phase);
        let lead = Phase::new::<A, S>(&a, a.phase_lead);
        // SAFETY: by this function's contract: the registers, one before and one after, with the rows above and below.
        unsafe {
            let mut flag = op.clean(s);
            let before = a.column::<A, S, O, false>(s, op, a.src.wrapping_sub(bytes), lead.mask, &mut flag);
            let this = a.column::<A, S, O, false>(s, op, a.src, phase.mask, &mut flag);
            let mut along = Along { src: a.src, dst: a.dst, before, this, flag };
            let mut left = a.registers;
            while left > 0 {
                phase = along.step::<false>(s, op, &a, phase);
                left -= 1;
                let inside = a.inside::<A, S>(phase, left);
                left -= inside;
                for i in 0..inside {
                    along.step::<true>(s, op, &a, phase.ahead::<A, S>(i));
                }
                phase = phase.ahead::<A, S>(inside);
            }
            op.dirty(s, along.flag)
        }
    }
}

/// A walk along a run of registers, with the columns of the last one and of the one at `src`.
struct Along<A: Lane, S: Tables<A>, O: LaneOp<A, S>> {
    src: *const u8,
    dst: *mut u8,
    before: S::V,
    this: S::V,
    flag: O::Flag,
}

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Along<A, S, O> {
    /// Puts out the register at a phase. The next one has all rows if it is `INSIDE`, and is then in the same plane.
    ///
    /// # Safety
    /// As for [`Flat`].
    #[inline(always)]
    unsafe fn step<const INSIDE: bool>(&mut self, s: S, op: O, a: &Flat, phase: Phase) -> Phase {
        let bytes = S::N * size_of::<O::T>();
        let next = if INSIDE { phase } else { phase.next::<A, S>(a) };
        self.src = self.src.wrapping_add(bytes);
        // SAFETY: by this function's contract.
        unsafe {
            let after = a.column::<A, S, O, INSIDE>(s, op, self.src, next.mask, &mut self.flag);
            let columns = [s.back(self.before, self.this), self.this, s.ahead(self.this, after)];
            // As lanes, the masks to the right are those to the left, a lane on: a register less that holds where they
            // begin.
            let left = a.around[2] + phase.mask;
            let right = if S::MASK_BITS { a.around[3] + phase.mask } else { left + size_of::<A>() };
            a.put::<A, S, O>(s, op, self.dst, phase, a.beside::<A, S, O>(s, op, [left, right], columns));
            (self.before, self.this) = (self.this, after);
        }
        self.dst = self.dst.wrapping_add(bytes);
        next
    }
}

/// Windows of at most three rows and three columns, wherever they are.
pub(crate) struct Ring;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Ring {
    type Args = Flat;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Flat) -> bool {
        let a = *a;
        let bytes = S::N * size_of::<O::T>();
        let mut flag = op.clean(s);
        // SAFETY: by this function's contract: the columns of all registers and around them, which scratch has room
        // for.
        unsafe {
            let mut src = a.src.wrapping_sub(a.lead * size_of::<O::T>());
            let mut phase = Phase::new::<A, S>(&a, a.phase_lead);
            let mut to: *mut A = a.scratch.cast();
            let mut left = a.lead / S::N + a.registers + a.right.div_ceil(S::N);
            while left > 0 {
                s.store(to, a.column::<A, S, O, false>(s, op, src, phase.mask, &mut flag));
                left -= 1;
                let inside = a.inside::<A, S>(phase, left);
                left -= inside;
                for _ in 0..inside {
                    (src, to) = (src.wrapping_add(bytes), to.wrapping_add(S::N));
                    s.store(to, a.column::<A, S, O, true>(s, op, src, 0, &mut flag));
                }
                phase = phase.ahead::<A, S>(inside);
                (src, to) = (src.wrapping_add(bytes), to.wrapping_add(S::N));
                phase = phase.next::<A, S>(&a);
            }
            let (mut dst, mut at) = (a.dst, a.scratch.cast::<A>().wrapping_add(a.lead));
            phase = Phase::new::<A, S>(&a, a.phase);
            for _ in 0..a.registers {
                let columns = [s.load(at.wrapping_sub(a.left)), s.load(at), s.load(at.wrapping_add(a.right))];
                let masks = [a.around[2] + phase.mask, a.around[3] + phase.mask];
                a.put::<A, S, O>(s, op, dst, phase, a.beside::<A, S, O>(s, op, masks, columns));
                (dst, at) = (dst.wrapping_add(bytes), at.wrapping_add(S::N));
                phase = phase.next::<A, S>(&a);
            }
        }
        op.dirty(s, flag)
    }
}

/// Any window.
pub(crate) struct Any;

/// Registers folded side by side.
const BLOCK: usize = 4;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Any {
    type Args = Flat;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Flat) -> bool {
        let a = *a;
        let mut flag = op.clean(s);
        // SAFETY: by this function's contract: the columns of all registers and around them, which scratch has room
        // for.
        unsafe {
            let registers = a.lead / S::N + a.registers + a.right.div_ceil(S::N);
            let mut phase = Phase::new::<A, S>(&a, a.phase_lead);
            let mut i = 0;
            while i < registers {
                if S::BLOCKS && i + BLOCK <= registers {
                    down::<A, S, O, BLOCK>(s, op, &a, i, &mut phase, &mut flag);
                    i += BLOCK;
                } else {
                    down::<A, S, O, 1>(s, op, &a, i, &mut phase, &mut flag);
                    i += 1;
                }
            }
            phase = Phase::new::<A, S>(&a, a.phase);
            i = 0;
            while i < a.registers {
                if S::BLOCKS && i + BLOCK <= a.registers {
                    across::<A, S, O, BLOCK>(s, op, &a, i, &mut phase);
                    i += BLOCK;
                } else {
                    across::<A, S, O, 1>(s, op, &a, i, &mut phase);
                    i += 1;
                }
            }
        }
        op.dirty(s, flag)
    }
}

/// The phases of `B` registers.
#[inline(always)]
fn phases<A: Lane, S: Tables<A>, const B: usize>(a: &Flat, phase: &mut Phase) -> [Phase; B] {
    let mut all = [*phase; B];
    for b in 0..B {
        all[b] = *phase;
        *phase = phase.next::<A, S>(a);
    }
    all
}

/// Folds the rows of `B` registers of columns, from the `i`th on, into scratch.
///
/// # Safety
/// As for [`Flat`].
#[inline(always)]
unsafe fn down<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const B: usize>(
    s: S,
    op: O,
    a: &Flat,
    i: usize,
    phase: &mut Phase,
    flag: &mut O::Flag,
) {
    let element = size_of::<O::T>();
    let phases = phases::<A, S, B>(a, phase);
    let src = a.src.wrapping_sub(a.lead * element).wrapping_add(i * S::N * element);
    let mut v = [s.splat(op.fill()); B];
    let inside = phases[0].at.wrapping_sub(a.inside).saturating_add((B - 1) * S::N) < a.inside_lanes;
    // SAFETY: by this function's contract.
    unsafe {
        for tap in 0..a.row_count {
            let tap = *a.rows.add(tap);
            let p = src.wrapping_offset(tap.offset);
            let mut x = v;
            for b in 0..B {
                x[b] = op.load(s, p.wrapping_add(b * S::N * element).cast());
            }
            if tap.mask == Tap::CENTRE {
                for b in 0..B {
                    if O::WATCH && b % 2 == 0 {
                        *flag = op.watch(s, *flag, x[b], x[(b + 1) % B]);
                    }
                    v[b] = op.join(s, v[b], x[b]);
                }
            } else if inside {
                for b in 0..B {
                    v[b] = op.join(s, v[b], x[b]);
                }
            } else {
                for b in 0..B {
                    v[b] = a.pick::<A, S>(s, tap.mask + phases[b].mask, op.join(s, v[b], x[b]), v[b]);
                }
            }
            rolled();
        }
        for b in 0..B {
            s.store(a.scratch.cast::<A>().wrapping_add((i + b) * S::N), v[b]);
        }
    }
}

/// Folds the columns of `B` registers of outputs, from the `i`th on, and stores them.
///
/// # Safety
/// As for [`Flat`]; the columns wait in scratch.
#[inline(always)]
unsafe fn across<A: Lane, S: Tables<A>, O: LaneOp<A, S>, const B: usize>(
    s: S,
    op: O,
    a: &Flat,
    i: usize,
    phase: &mut Phase,
) {
    let phases = phases::<A, S, B>(a, phase);
    let mut v = [s.splat(op.fill()); B];
    let from = a.scratch.cast::<A>().wrapping_add(i * S::N + a.lead);
    // SAFETY: by this function's contract.
    unsafe {
        for tap in 0..a.column_count {
            let tap = *a.columns.add(tap);
            let p: *const A = from.wrapping_byte_offset(tap.offset);
            if tap.mask == Tap::CENTRE {
                for b in 0..B {
                    v[b] = op.join(s, v[b], s.load(p.wrapping_add(b * S::N)));
                }
            } else {
                for b in 0..B {
                    let x = s.load(p.wrapping_add(b * S::N));
                    v[b] = a.pick::<A, S>(s, tap.mask + phases[b].mask, op.join(s, v[b], x), v[b]);
                }
            }
            rolled();
        }
        for b in 0..B {
            let to = a.dst.wrapping_add((i + b) * S::N * size_of::<O::T>());
            a.put::<A, S, O>(s, op, to, phases[b], v[b]);
        }
    }
}
