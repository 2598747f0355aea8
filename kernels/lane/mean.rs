//! The average of floats, and their sum, which is an average that divides by 1.
//!
//! The accumulator is `f32` for f32, f16 and bf16 and `f64` for f64. Additions follow the order of the contract, with
//! no fused multiply-add, so every tier rounds alike. The result is divided, truly: a multiplication by the reciprocal
//! is used only where it gives the same bits, which is where every divisor of the layer is a power of two. (A reciprocal
//! everywhere would gain 2 to 10 % on 3×3/1 planes, and round differently.)

use core::marker::PhantomData;

use super::extreme::FloatLane;
#[cfg(feature = "half")]
use super::widened;
use super::{as_in_memory, unwatched};
#[cfg(feature = "half")]
use crate::kernels::simd::Widen;
use crate::kernels::simd::{Floats, LaneOp, Lanes, MOST_WORDS};

/// Lanes that a divisor converts to.
pub(crate) trait MeanLane: FloatLane {
    /// −0.0: `x + −0.0` is `x` to the bit, for every `x`.
    const NOTHING: Self;
    fn from_count(count: usize) -> Self;
    fn reciprocal(self) -> Self;
}

macro_rules! mean_lane {
    ($($lane:ty),+) => { $(
        impl MeanLane for $lane {
            const NOTHING: Self = -0.0;
            fn from_count(count: usize) -> Self {
                count as $lane
            }
            fn reciprocal(self) -> Self {
                1.0 / self
            }
        }
    )+ };
}

mean_lane!(f32, f64);

/// The mean of elements `T`.
#[derive(Clone, Copy)]
pub(crate) struct Mean<T> {
    pub(crate) element: PhantomData<T>,
    /// Every divisor of the layer is a power of two: multiply.
    pub(crate) exact_reciprocal: bool,
}

/// Everything about a float mean but how it is loaded and stored.
macro_rules! float_mean {
    ($A:ty, $S:ty) => {
        #[inline(always)]
        fn fill(self) -> $A {
            <$A as MeanLane>::NOTHING
        }

        const WORDS: usize = 1;
        type Divisor = <$S as Lanes<$A>>::V;
        unwatched!($S, <$S as Lanes<$A>>::V);

        #[inline(always)]
        fn join(self, s: $S, a: <$S as Lanes<$A>>::V, b: <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            s.add(a, b)
        }

        fn words(self, divisor: usize) -> [$A; MOST_WORDS] {
            let divisor = <$A>::from_count(divisor);
            [if self.exact_reciprocal { divisor.reciprocal() } else { divisor }; MOST_WORDS]
        }

        #[inline(always)]
        fn divisor(self, _s: $S, word: impl Fn(usize) -> <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            word(0)
        }

        #[inline(always)]
        fn finish(self, s: $S, v: <$S as Lanes<$A>>::V, divisor: <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            let mean = if self.exact_reciprocal { s.mul(v, divisor) } else { s.div(v, divisor) };
            s.pick(s.unordered(mean, mean), s.splat(<$A>::NAN), mean)
        }
    };
}

impl<A: MeanLane, S: Floats<A>> LaneOp<A, S> for Mean<A> {
    const TABLED: bool = true;
    const FUSED: bool = size_of::<A>() == 4;
    as_in_memory!(A, S);
    float_mean!(A, S);
}

#[cfg(feature = "half")]
macro_rules! half_means {
    ($($T:ty),+) => { $(
        impl<S: Floats<f32> + Widen<$T, f32>> LaneOp<f32, S> for Mean<$T> {
            const WALKS: bool = true;
            const TABLED: bool = true;
            const SHIFTED: bool = true;
            widened!($T as f32, S, <$T>::NEG_ZERO);
            float_mean!(f32, S);
        }
    )+ };
}

#[cfg(feature = "half")]
half_means!(half::f16, half::bf16);
