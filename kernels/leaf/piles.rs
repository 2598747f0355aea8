//! Pixels piled up on a row of accumulators.
//!
//! ```text
//! for each few registers of a pixel:
//!     fold the pixels of the list, onto what lies on the accumulators, finish where they are the last
//! ```
//!
//! Each pixel is read from end to end, several side by side, as prefetchers like it. The last register of a
//! pixel overlaps the one before, but has accumulators of its own.

use super::Nest;
use super::fold::rolled;
use crate::kernels::simd::{Lane, LaneOp, Tables};

/// Pixels of one window.
///
/// # Safety
/// From each of the `taps` offsets on, counted from `src`, `len` elements are readable, which are a register or more,
/// and from `dst` on as many are writable. `lanes` holds as many lanes and a register; `taps` is at least 1.
#[derive(Clone, Copy)]
pub(crate) struct Pile {
    pub(crate) src: *const u8,
    pub(crate) offsets: *const usize,
    pub(crate) taps: usize,
    pub(crate) lanes: *mut u8,
    pub(crate) dst: *mut u8,
    pub(crate) len: usize,
    /// Nothing lies on the accumulators yet; nothing follows.
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
    /// The pixels are added one by one to what lies there; else they are folded first.
    pub(crate) is_chain: bool,
    pub(crate) divisor: *const u8,
    pub(crate) word_bytes: usize,
}

/// The nest of [`Pile`].
pub(crate) struct Onto;

/// Registers side by side.
const BLOCK: usize = 4;

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Nest<A, S, O> for Onto {
    type Args = Pile;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Pile) -> bool {
        let mut flag = op.clean(s);
        let mut i = 0;
        while const { S::N > 1 } && i < a.len {
            // SAFETY: by this function's contract: registers that lie within a pixel.
            unsafe {
                if const { O::WALKS } && i + BLOCK * S::N <= a.len {
                    pile::<A, S, O, BLOCK>(s, op, a, i, i, &mut flag);
                    i += BLOCK * S::N;
                } else {
                    pile::<A, S, O, 1>(s, op, a, i, i.min(a.len - S::N), &mut flag);
                    i += S::N;
                }
            }
            rolled();
        }
        op.dirty(s, flag)
    }
}

/// `B` registers from element `at` of the pixels on, whose accumulators begin at lane `slot`.
///
/// # Safety
/// As for [`Pile`].
#[inline(always)]
unsafe fn pile<A, S, O, const B: usize>(s: S, op: O, a: &Pile, slot: usize, at: usize, flag: &mut O::Flag)
where
    A: Lane,
    S: Tables<A>,
    O: LaneOp<A, S>,
{
    let lanes = a.lanes.cast::<A>().wrapping_add(slot);
    let (mut before, mut all) = ([s.splat(op.fill()); B], [s.splat(op.fill()); B]);
    // SAFETY: by this function's contract.
    unsafe {
        if !a.is_first {
            for b in 0..B {
                before[b] = s.load(lanes.wrapping_add(b * S::N));
            }
        }
        if a.is_chain {
            all = before;
        }
        for tap in 0..a.taps {
            let p = a.src.wrapping_add(*a.offsets.add(tap)).cast::<O::T>().wrapping_add(at);
            let mut v = before;
            for b in 0..B {
                v[b] = op.load(s, p.wrapping_add(b * S::N));
            }
            if O::WATCH {
                for b in (0..B).step_by(2) {
                    *flag = op.watch(s, *flag, v[b], v[(b + 1) % B]);
                }
            }
            for b in 0..B {
                all[b] = op.join(s, all[b], v[b]);
            }
            rolled();
        }
        for b in 0..B {
            if !a.is_chain {
                all[b] = op.join(s, before[b], all[b]);
            }
            if !a.is_last {
                s.store(lanes.wrapping_add(b * S::N), all[b]);
            }
        }
        if a.is_last {
            let divisor = op.divisor(
                s,
                #[inline(always)]
                |word| s.load(a.divisor.wrapping_add(word * a.word_bytes).cast()),
            );
            for b in 0..B {
                let to = a.dst.cast::<O::T>().wrapping_add(at + b * S::N);
                op.store(s, to, op.finish(s, all[b], divisor));
            }
        }
    }
}
