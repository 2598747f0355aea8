//! The p-norm: `(Σ |x|^p)^(1/p)`, a [`Mean`] whose elements are raised as they are loaded and whose result is rooted.
//!
//! Everything else, the order of the sum, the divisor (1, or the valid taps of a power mean) and the canonical NaN, is the
//! mean's. What a [`Norm`] does to one lane is a [`Step`] of [`power`](super::power):
//!
//! | p | raised | joined | rooted |
//! |---|---|---|---|
//! | 1, 2, ∞ | `\|x\|`, `x·x`, `\|x\|` | sum, sum, maximum | not, square root, not |
//! | any other | `\|x\|^p` | sum | `s^(1/p)` |
//!
//! Its leaves are for windows that the driver [`staged`](crate::kernels::driver::staged) declines, which raises a tile of the input
//! once and has the mean's own kernels add it up: large ones.

use super::mean::{Mean, MeanLane};
use super::power::{PowerLane, Step, pass};
use super::unwatched;
use crate::kernels::simd::{Adds, Floats, LaneOp, Lanes, MOST_LANES, MOST_WORDS, Words64};

/// How elements become terms, and the folded terms the result. Told apart at run time: one piece of code for all norms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    pub(crate) raise: Step,
    pub(crate) root: Step,
    /// p = ∞: the largest term is wanted, not the sum.
    pub(crate) is_most: bool,
}

impl Norm {
    pub(crate) fn new(p: f64) -> Self {
        Self { raise: Step::raise(p), root: Step::root(p), is_most: p == f64::INFINITY }
    }
}

/// A step on one vector. What takes long is a pass of its own, through memory: it is called, not inlined.
#[inline(always)]
fn step<A: PowerLane<S>, S: Words64 + Floats<A>>(s: S, step: &Step, v: <S as Lanes<A>>::V) -> <S as Lanes<A>>::V {
    match step {
        Step::Abs => Floats::<A>::abs(s, v),
        Step::Square => Floats::<A>::mul(s, v, v),
        Step::Root => Floats::<A>::sqrt(s, v),
        step => {
            let mut lanes = [A::ZERO; MOST_LANES];
            let p = lanes.as_mut_ptr();
            // SAFETY: the array holds a vector, and the token is the tier's.
            unsafe {
                Lanes::<A>::store(s, p, v);
                pass::<A, S>(step, p.cast_const().cast(), p.cast(), <S as Lanes<A>>::N);
                Lanes::<A>::load(s, p)
            }
        }
    }
}

/// The norm of elements `T`.
#[derive(Clone, Copy)]
pub(crate) struct Lp<T> {
    pub(crate) mean: Mean<T>,
    pub(crate) norm: Norm,
}

impl<A, S, T> LaneOp<A, S> for Lp<T>
where
    A: MeanLane + PowerLane<S>,
    S: Floats<A> + Words64,
    T: bytemuck::Pod + Send + Sync,
    Mean<T>: LaneOp<A, S, T = T>,
{
    type T = T;

    /// No term is less than 0, so that is the identity of a sum and of a maximum.
    #[inline(always)]
    fn fill(self) -> A {
        A::ZERO
    }

    /// A zero of either sign, which is raised to +0.
    #[inline(always)]
    fn identity(self) -> T {
        self.mean.identity()
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const T) -> <S as Lanes<A>>::V {
        // SAFETY: the same contract.
        step::<A, S>(s, &self.norm.raise, unsafe { self.mean.load(s, p) })
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const T, n: usize) -> <S as Lanes<A>>::V {
        // SAFETY: the same contract.
        step::<A, S>(s, &self.norm.raise, unsafe { self.mean.load_first(s, p, n) })
    }

    /// A NaN stays NaN in every sum; a maximum must be told.
    #[inline(always)]
    fn join(self, s: S, a: <S as Lanes<A>>::V, b: <S as Lanes<A>>::V) -> <S as Lanes<A>>::V {
        if self.norm.is_most {
            Lanes::<A>::pick(s, Floats::<A>::unordered(s, a, b), s.splat(A::NAN), Lanes::<A>::max(s, a, b))
        } else {
            Adds::<A>::add(s, a, b)
        }
    }

    const WORDS: usize = <Mean<T> as LaneOp<A, S>>::WORDS;
    type Divisor = <Mean<T> as LaneOp<A, S>>::Divisor;

    fn words(self, divisor: usize) -> [A; MOST_WORDS] {
        self.mean.words(divisor)
    }

    #[inline(always)]
    fn divisor(self, s: S, word: impl Fn(usize) -> <S as Lanes<A>>::V) -> Self::Divisor {
        self.mean.divisor(s, word)
    }

    #[inline(always)]
    fn finish(self, s: S, v: <S as Lanes<A>>::V, divisor: Self::Divisor) -> <S as Lanes<A>>::V {
        step::<A, S>(s, &self.norm.root, self.mean.finish(s, v, divisor))
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut T, v: <S as Lanes<A>>::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store(s, p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut T, n: usize, v: <S as Lanes<A>>::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store_first(s, p, n, v) }
    }

    unwatched!(S, <S as Lanes<A>>::V);
}
