//! The p-norm: `(Σ |x|^p)^(1/p)`, a [`Mean`] whose elements are raised as they are loaded and whose result is rooted.
//!
//! Everything else, the order of the sum, the divisor (1, or the valid taps of a power mean) and the canonical NaN, is the
//! mean's. What differs between the norms is a [`Norm`]:
//!
//! | norm | raised | joined | rooted |
//! |---|---|---|---|
//! | [`Plain`], p = 1, 2, ∞ | `\|x\|`, `x·x`, `\|x\|` | sum, sum, maximum | not, square root, not |
//! | [`Power`], any other p | `\|x\|^p` in `f64` | sum | `s^(1/p)` in `f64` |

use super::mean::{Mean, MeanLane};
use super::unwatched;
use crate::kernels::simd::{Floats, LaneOp, MOST_WORDS};
use crate::kernels::token::Scalar;

/// How elements become terms, and the folded terms the result.
pub(crate) trait Norm<A: MeanLane, S: Floats<A>>: Copy + Send + Sync + 'static {
    fn raise(self, s: S, v: S::V) -> S::V;
    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
    /// NaN is given as the canonical one and must stay it.
    fn root(self, s: S, v: S::V) -> S::V;
}

/// The norms that need nothing but IEEE operations. Told apart at run time: one piece of code for all three.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// p = 1.
    Sum,
    /// p = 2.
    Squares,
    /// p = ∞.
    Most,
}

impl<A: MeanLane, S: Floats<A>> Norm<A, S> for Plain {
    #[inline(always)]
    fn raise(self, s: S, v: S::V) -> S::V {
        if self == Self::Squares { s.mul(v, v) } else { s.abs(v) }
    }

    /// A NaN stays NaN in every sum; a maximum must be told.
    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        if self == Self::Most { s.pick(s.unordered(a, b), s.splat(A::NAN), s.max(a, b)) } else { s.add(a, b) }
    }

    #[inline(always)]
    fn root(self, s: S, v: S::V) -> S::V {
        if self == Self::Squares { s.sqrt(v) } else { v }
    }
}

/// Any other norm. A power takes longer than everything else in a kernel and no tier has an instruction for it, so this is for
/// the scalar tier alone, which stands in for every other one (`table.rs`): the same bits, and little code.
///
/// Powers are those of the crate `libm`: pure Rust, the same bits on every CPU, within a unit in the last place of `f64`.
#[derive(Clone, Copy)]
pub(crate) struct Power(pub(crate) f64);

/// A power of a lane that is not negative, in `f64`, rounded once. Apart from the loops, whose time it is anyway.
#[inline(never)]
fn power<A: MeanLane>(x: A, exponent: f64) -> A {
    let x = x.to_f64();
    if x.is_nan() { A::NAN } else { A::from_f64(libm::pow(x, exponent)) }
}

impl<A: MeanLane> Norm<A, Scalar> for Power
where
    Scalar: Floats<A, V = A>,
{
    #[inline(always)]
    fn raise(self, s: Scalar, v: A) -> A {
        power(s.abs(v), self.0)
    }

    #[inline(always)]
    fn root(self, _s: Scalar, v: A) -> A {
        power(v, 1.0 / self.0)
    }
}

/// The norm `N` of elements `T`.
#[derive(Clone, Copy)]
pub(crate) struct Lp<T, N> {
    pub(crate) mean: Mean<T>,
    pub(crate) norm: N,
}

impl<A, S, T, N> LaneOp<A, S> for Lp<T, N>
where
    A: MeanLane,
    S: Floats<A>,
    T: bytemuck::Pod + Send + Sync,
    N: Norm<A, S>,
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
    unsafe fn load(self, s: S, p: *const T) -> S::V {
        // SAFETY: the same contract.
        self.norm.raise(s, unsafe { self.mean.load(s, p) })
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const T, n: usize) -> S::V {
        // SAFETY: the same contract.
        self.norm.raise(s, unsafe { self.mean.load_first(s, p, n) })
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        self.norm.join(s, a, b)
    }

    const WORDS: usize = <Mean<T> as LaneOp<A, S>>::WORDS;
    type Divisor = <Mean<T> as LaneOp<A, S>>::Divisor;

    fn words(self, divisor: usize) -> [A; MOST_WORDS] {
        self.mean.words(divisor)
    }

    #[inline(always)]
    fn divisor(self, s: S, word: impl Fn(usize) -> S::V) -> Self::Divisor {
        self.mean.divisor(s, word)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, divisor: Self::Divisor) -> S::V {
        self.norm.root(s, self.mean.finish(s, v, divisor))
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut T, v: S::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store(s, p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut T, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { self.mean.store_first(s, p, n, v) }
    }

    unwatched!(S, S::V);
}
