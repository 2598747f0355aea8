//! Which of two taps is better; and the best of one window's taps, and its number, wherever they lie.
//!
//! Taps are visited in row-major order, so that the first of equals is kept, and the last NaN.

use super::{Leaf, Nest};
use crate::kernels::simd::{Lane, LaneOp, Lanes, Tables};
use crate::kernels::token::Scalar;

/// An extreme that can say which of two is better. What it compares are elements that were made [level](Seek::level).
pub(crate) trait Seek<A: Lane, S: Tables<A>>: LaneOp<A, S, T = A> {
    /// Loaded elements, of which equal ones have become the same.
    #[inline(always)]
    fn level(self, _s: S, v: S::V) -> S::V {
        v
    }

    /// [`LaneOp::load`], and [`Seek::level`].
    ///
    /// # Safety
    /// As for [`LaneOp::load`].
    #[inline(always)]
    unsafe fn load_level(self, s: S, p: *const A) -> S::V {
        // SAFETY: the same contract.
        self.level(s, unsafe { self.load(s, p) })
    }

    /// Where a tap that comes later takes the place of the best so far, which is joined with it. Where NaN loses, which of
    /// several is named is [`Seek::lost`]'s to say.
    fn takes(self, s: S, tap: S::V, best: S::V) -> S::M;

    /// The same, and of NaNs that lose the last one is named.
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        self.takes(s, tap, best)
    }

    /// The label of a window, or where it holds nothing but NaNs that lose, the one of the last valid tap.
    #[inline(always)]
    fn lost(self, _s: S, _best: S::V, label: S::V, _last: S::V) -> S::V {
        label
    }
}

/// A window with at least one tap.
///
/// # Safety
/// Every tap is readable; `value`, unless it is null, takes an element.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    /// The first valid tap.
    pub(crate) first: *const u8,
    /// Valid taps on depth, height and width, and the bytes from one to the next.
    pub(crate) counts: [usize; 3],
    pub(crate) steps: [usize; 3],
    /// The number of the first valid tap in the window, and taps of the whole window on height and width.
    pub(crate) number: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) value: *mut u8,
    /// Where the number of the best goes.
    pub(crate) found: *mut usize,
}

/// The nest of [`Search`]: one lane.
pub(crate) struct Best;

impl Best {
    pub(crate) const fn leaf<A: Lane, O: Seek<A, Scalar>>() -> Leaf<Search>
    where
        Scalar: Tables<A, M = bool>,
    {
        Leaf::of::<A, Scalar, O, Self>()
    }
}

impl<A: Lane, O: Seek<A, Scalar>> Nest<A, Scalar, O> for Best
where
    Scalar: Tables<A, M = bool>,
{
    type Args = Search;

    #[inline(always)]
    unsafe fn run(s: Scalar, op: O, a: &Search) -> bool {
        let [depth, height, width] = a.counts;
        // SAFETY: taps of the window, and its output, by this function's contract.
        unsafe {
            let mut best = op.load_level(s, a.first.cast());
            let mut found = a.number;
            for slab in 0..depth {
                for line in 0..height {
                    let at = slab.wrapping_mul(a.steps[0]).wrapping_add(line.wrapping_mul(a.steps[1]));
                    let mut p = a.first.wrapping_add(at);
                    let from = a.number + (slab * a.kernel[0] + line) * a.kernel[1];
                    for tap in from..from + width {
                        let v = op.load_level(s, p.cast());
                        if op.beats(s, v, best) {
                            (best, found) = (v, tap);
                        }
                        p = p.wrapping_add(a.steps[2]);
                        super::fold::rolled();
                    }
                }
            }
            *a.found = found;
            if !a.value.is_null() {
                let divisor = op.divisor(
                    s,
                    #[inline(always)]
                    |_| s.splat(A::zeroed()),
                );
                op.store(s, a.value.cast(), op.finish(s, best, divisor));
            }
        }
        false
    }
}
