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

#[cfg(feature = "half")]
use core::marker::PhantomData;
use core::mem::MaybeUninit;

#[cfg(feature = "half")]
use super::mean::Mean;
use super::power::{PowerLane, Step, pass};
use super::unwatched;
#[cfg(feature = "half")]
use crate::kernels::simd::Widen;
use crate::kernels::simd::{Adds, Floats, LaneOp, Lanes, MOST_LANES, MOST_WORDS, Words64};

/// How elements become terms, and the folded terms the result. Told apart at run time: one piece of code for all norms.
#[derive(Clone, Copy)]
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

/// A step that takes long, on one vector: a pass of its own, through memory, which is called and not inlined.
#[inline(always)]
fn apart<A: PowerLane<S>, S: Words64 + Floats<A>>(s: S, step: &Step, v: <S as Lanes<A>>::V) -> <S as Lanes<A>>::V {
    let mut lanes = MaybeUninit::<[A; MOST_LANES]>::uninit();
    let p = lanes.as_mut_ptr().cast::<A>();
    // SAFETY: the array holds a vector, and the token is the tier's.
    unsafe {
        Lanes::<A>::store(s, p, v);
        pass::<A, S>(step, p.cast_const().cast(), p.cast(), <S as Lanes<A>>::N);
        Lanes::<A>::load(s, p)
    }
}

impl Norm {
    #[inline(always)]
    fn raise<A: PowerLane<S>, S: Words64 + Floats<A>>(&self, s: S, v: <S as Lanes<A>>::V) -> <S as Lanes<A>>::V {
        match &self.raise {
            Step::Abs => Floats::<A>::abs(s, v),
            Step::Square => Floats::<A>::mul(s, v, v),
            step => apart::<A, S>(s, step, v),
        }
    }

    #[inline(always)]
    fn root<A: PowerLane<S>, S: Words64 + Floats<A>>(&self, s: S, v: <S as Lanes<A>>::V) -> <S as Lanes<A>>::V {
        match &self.root {
            Step::Abs => v,
            Step::Root => Floats::<A>::sqrt(s, v),
            step => apart::<A, S>(s, step, v),
        }
    }
}

/// The norm of elements whose mean is `M`.
#[derive(Clone, Copy)]
pub(crate) struct Lp<M> {
    pub(crate) mean: M,
    pub(crate) norm: Norm,
}

impl<A, S, M> LaneOp<A, S> for Lp<M>
where
    A: PowerLane<S>,
    S: Floats<A> + Words64,
    M: LaneOp<A, S>,
{
    type T = M::T;

    /// No term is less than 0, so that is the identity of a sum and of a maximum.
    #[inline(always)]
    fn fill(self) -> A {
        A::ZERO
    }

    /// A zero of either sign, which is raised to +0.
    #[inline(always)]
    fn identity(self) -> M::T {
        self.mean.identity()
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const M::T) -> <S as Lanes<A>>::V {
        // SAFETY: the same contract.
        self.norm.raise::<A, S>(s, unsafe { self.mean.load(s, p) })
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const M::T, n: usize) -> <S as Lanes<A>>::V {
        // SAFETY: the same contract.
        self.norm.raise::<A, S>(s, unsafe { self.mean.load_first(s, p, n) })
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

    const WORDS: usize = M::WORDS;
    type Divisor = M::Divisor;

    fn words(self, divisor: usize) -> [A; MOST_WORDS] {
        self.mean.words(divisor)
    }

    #[inline(always)]
    fn divisor(self, s: S, word: impl Fn(usize) -> <S as Lanes<A>>::V) -> Self::Divisor {
        self.mean.divisor(s, word)
    }

    #[inline(always)]
    fn finish(self, s: S, v: <S as Lanes<A>>::V, divisor: Self::Divisor) -> <S as Lanes<A>>::V {
        self.norm.root::<A, S>(s, self.mean.finish(s, v, divisor))
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut M::T, v: <S as Lanes<A>>::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store(s, p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut M::T, n: usize, v: <S as Lanes<A>>::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store_first(s, p, n, v) }
    }

    unwatched!(S, <S as Lanes<A>>::V);
}

/// The mean of both kinds of 16-bit floats, told apart at run time, with one piece of code for both: for rare leaves.
#[cfg(feature = "half")]
#[derive(Clone, Copy)]
pub(crate) struct Halves {
    is_bf16: bool,
    exact_reciprocal: bool,
}

#[cfg(feature = "half")]
impl From<Mean<half::f16>> for Halves {
    fn from(mean: Mean<half::f16>) -> Self {
        Self { is_bf16: false, exact_reciprocal: mean.exact_reciprocal }
    }
}

#[cfg(feature = "half")]
impl From<Mean<half::bf16>> for Halves {
    fn from(mean: Mean<half::bf16>) -> Self {
        Self { is_bf16: true, exact_reciprocal: mean.exact_reciprocal }
    }
}

#[cfg(feature = "half")]
impl Halves {
    #[inline(always)]
    fn as_f16(self) -> Mean<half::f16> {
        Mean { element: PhantomData, exact_reciprocal: self.exact_reciprocal }
    }

    #[inline(always)]
    fn as_bf16(self) -> Mean<half::bf16> {
        Mean { element: PhantomData, exact_reciprocal: self.exact_reciprocal }
    }
}

#[cfg(feature = "half")]
impl<S> LaneOp<f32, S> for Halves
where
    S: Floats<f32> + Widen<half::f16, f32> + Widen<half::bf16, f32>,
{
    /// Or `bf16`, whose zeros have the same bits.
    type T = half::f16;

    #[inline(always)]
    fn fill(self) -> f32 {
        LaneOp::<f32, S>::fill(self.as_f16())
    }

    #[inline(always)]
    fn identity(self) -> half::f16 {
        LaneOp::<f32, S>::identity(self.as_f16())
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const half::f16) -> S::V {
        // SAFETY: the same contract.
        unsafe { if self.is_bf16 { self.as_bf16().load(s, p.cast()) } else { self.as_f16().load(s, p) } }
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const half::f16, n: usize) -> S::V {
        // SAFETY: the same contract.
        unsafe {
            if self.is_bf16 { self.as_bf16().load_first(s, p.cast(), n) } else { self.as_f16().load_first(s, p, n) }
        }
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        self.as_f16().join(s, a, b)
    }

    const WORDS: usize = <Mean<half::f16> as LaneOp<f32, S>>::WORDS;
    type Divisor = <Mean<half::f16> as LaneOp<f32, S>>::Divisor;

    fn words(self, divisor: usize) -> [f32; MOST_WORDS] {
        LaneOp::<f32, S>::words(self.as_f16(), divisor)
    }

    #[inline(always)]
    fn divisor(self, s: S, word: impl Fn(usize) -> S::V) -> Self::Divisor {
        self.as_f16().divisor(s, word)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, divisor: Self::Divisor) -> S::V {
        self.as_f16().finish(s, v, divisor)
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut half::f16, v: S::V) {
        // SAFETY: the same contract.
        unsafe { if self.is_bf16 { self.as_bf16().store(s, p.cast(), v) } else { self.as_f16().store(s, p, v) } }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut half::f16, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe {
            if self.is_bf16 {
                self.as_bf16().store_first(s, p.cast(), n, v)
            } else {
                self.as_f16().store_first(s, p, n, v)
            }
        }
    }

    unwatched!(S, S::V);
}
