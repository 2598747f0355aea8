//! The arithmetic of maxima and means on one element at a time, written so that a loop over neighbours vectorises.

use core::marker::PhantomData;

use super::fold::Fold;
use crate::Rounding;
use crate::kernels::{multiplier, scaled_32};

/// What an element is compared and summed as. No function takes `self`, so that code which is generic over elements finds no
/// method of this trait among its own.
pub trait Scalar: Copy {
    /// What elements are compared as: an order in which zeros are equal, and NaN is told by [`Scalar::is_nan`].
    #[doc(hidden)]
    type Key: Copy;
    /// What elements are summed in.
    #[doc(hidden)]
    type Sum: Copy;
    /// No element of an integer type is further from 0; 0 for floats, whose sums cannot wrap.
    #[doc(hidden)]
    const MAGNITUDE: u64;

    #[doc(hidden)]
    fn key(element: Self) -> Self::Key;
    /// The element of a key: zero is +0, NaN the canonical one.
    #[doc(hidden)]
    fn from_key(key: Self::Key) -> Self;
    #[doc(hidden)]
    fn is_nan(key: Self::Key) -> bool;
    /// Whether `a` is a larger number than `b`; not to be asked of NaN, but harmless.
    #[doc(hidden)]
    fn exceeds(a: Self::Key, b: Self::Key) -> bool;
    #[doc(hidden)]
    fn equals(a: Self::Key, b: Self::Key) -> bool;

    #[doc(hidden)]
    fn widen(element: Self) -> Self::Sum;
    #[doc(hidden)]
    fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    /// The sum divided, rounded once.
    #[doc(hidden)]
    fn divided(sum: Self::Sum, taps: usize, rounding: Rounding) -> Self;
    /// The sum of quantised elements as their mean in another quantisation. `None`: floats are not quantised.
    #[doc(hidden)]
    fn requantized(sum: Self::Sum, taps: usize, by: Requantize) -> Option<Self>;
}

/// From the sum of a window of quantised elements to its mean in the output's quantisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requantize {
    pub(crate) zero_in: i32,
    pub(crate) zero_out: i32,
    /// `scale_in / scale_out`.
    pub(crate) ratio: f64,
}

impl Requantize {
    /// As `kernels/reduce/quantized.rs` has it: the sum above the zero point, in 32 bits as the plan has found, times one
    /// multiplier.
    fn mean(self, sum: i64, taps: usize) -> i32 {
        let zero = i64::from(self.zero_in).saturating_mul(taps as i64);
        let sum = sum.saturating_sub(zero) as i32;
        scaled_32(sum, multiplier(self.ratio, taps)).saturating_add(self.zero_out)
    }
}

macro_rules! floats {
    ($($T:ty),+) => { $(
        impl Scalar for $T {
            type Key = Self;
            type Sum = Self;
            const MAGNITUDE: u64 = 0;

            #[inline(always)]
            fn key(element: Self) -> Self {
                element
            }
            #[inline(always)]
            fn from_key(key: Self) -> Self {
                if key.is_nan() {
                    Self::NAN
                } else if key == 0.0 {
                    0.0
                } else {
                    key
                }
            }
            #[inline(always)]
            fn is_nan(key: Self) -> bool {
                key.is_nan()
            }
            #[inline(always)]
            fn exceeds(a: Self, b: Self) -> bool {
                a > b
            }
            #[inline(always)]
            fn equals(a: Self, b: Self) -> bool {
                a == b
            }
            #[inline(always)]
            fn widen(element: Self) -> Self {
                element
            }
            #[inline(always)]
            fn add(a: Self, b: Self) -> Self {
                a + b
            }
            #[inline(always)]
            fn divided(sum: Self, taps: usize, _rounding: Rounding) -> Self {
                let mean = sum / taps as Self;
                if mean.is_nan() { Self::NAN } else { mean }
            }
            #[inline(always)]
            fn requantized(_sum: Self, _taps: usize, _by: Requantize) -> Option<Self> {
                None
            }
        }
    )+ };
}

floats!(f32, f64);

/// 16-bit floats: compared as integers, summed in f32.
#[cfg(feature = "half")]
macro_rules! halves {
    ($($T:ty),+) => { $(
        impl Scalar for $T {
            /// The bits, those of negative numbers flipped but for the sign: in the order of the numbers. No number has the
            /// key `i16::MAX`, which stands for every NaN.
            type Key = i16;
            type Sum = f32;
            const MAGNITUDE: u64 = 0;

            #[inline(always)]
            fn key(element: Self) -> i16 {
                let bits = element.to_bits() as i16;
                let magnitude = bits & i16::MAX;
                if magnitude > <$T>::INFINITY.to_bits() as i16 {
                    i16::MAX
                } else if magnitude == 0 {
                    0
                } else if bits < 0 {
                    bits ^ i16::MAX
                } else {
                    bits
                }
            }
            #[inline(always)]
            fn from_key(key: i16) -> Self {
                if key == i16::MAX {
                    Self::NAN
                } else {
                    Self::from_bits((if key < 0 { key ^ i16::MAX } else { key }) as u16)
                }
            }
            #[inline(always)]
            fn is_nan(key: i16) -> bool {
                key == i16::MAX
            }
            #[inline(always)]
            fn exceeds(a: i16, b: i16) -> bool {
                a > b
            }
            #[inline(always)]
            fn equals(a: i16, b: i16) -> bool {
                a == b
            }
            #[inline(always)]
            fn widen(element: Self) -> f32 {
                element.to_f32()
            }
            #[inline(always)]
            fn add(a: f32, b: f32) -> f32 {
                a + b
            }
            #[inline(always)]
            fn divided(sum: f32, taps: usize, _rounding: Rounding) -> Self {
                let mean = sum / taps as f32;
                if mean.is_nan() { Self::NAN } else { Self::from_f32(mean) }
            }
            #[inline(always)]
            fn requantized(_sum: f32, _taps: usize, _by: Requantize) -> Option<Self> {
                None
            }
        }
    )+ };
}

#[cfg(feature = "half")]
halves!(half::f16, half::bf16);

macro_rules! integers {
    ($($T:ty),+) => { $(
        impl Scalar for $T {
            type Key = Self;
            type Sum = i64;
            const MAGNITUDE: u64 = if Self::MIN == 0 { Self::MAX as u64 } else { (Self::MAX as u64) + 1 };

            #[inline(always)]
            fn key(element: Self) -> Self {
                element
            }
            #[inline(always)]
            fn from_key(key: Self) -> Self {
                key
            }
            #[inline(always)]
            fn is_nan(_key: Self) -> bool {
                false
            }
            #[inline(always)]
            fn exceeds(a: Self, b: Self) -> bool {
                a > b
            }
            #[inline(always)]
            fn equals(a: Self, b: Self) -> bool {
                a == b
            }
            #[inline(always)]
            fn widen(element: Self) -> i64 {
                element.into()
            }
            #[inline(always)]
            fn add(a: i64, b: i64) -> i64 {
                // Never wraps: the plan has compared the longest window with 2⁶².
                a.wrapping_add(b)
            }
            #[inline(always)]
            fn divided(sum: i64, taps: usize, rounding: Rounding) -> Self {
                let divisor = i64::try_from(taps).unwrap_or(i64::MAX).max(1);
                // The divisor is positive: both are there.
                let q = sum.checked_div(divisor).unwrap_or(0);
                let r = sum.checked_rem(divisor).unwrap_or(0).wrapping_abs();
                let is_up = match r.cmp(&divisor.wrapping_sub(r)) {
                    core::cmp::Ordering::Less => false,
                    core::cmp::Ordering::Equal => rounding == Rounding::HalfAwayFromZero || q & 1 != 0,
                    core::cmp::Ordering::Greater => true,
                };
                // A mean lies between its elements.
                q.wrapping_add(if is_up { sum.signum() } else { 0 }) as Self
            }
            #[inline(always)]
            fn requantized(sum: i64, taps: usize, by: Requantize) -> Option<Self> {
                Some(by.mean(sum, taps).clamp(Self::MIN.into(), Self::MAX.into()) as Self)
            }
        }
    )+ };
}

integers!(i8, u8, i16, u16, i32);

/// The maximum. `IGNORE`: NaN is missing data.
#[derive(Clone, Copy)]
pub(crate) struct Largest<const IGNORE: bool>;

impl<T: Scalar, const IGNORE: bool> Fold<T> for Largest<IGNORE> {
    type Sum = T::Key;

    #[inline(always)]
    fn first(self, tap: T) -> T::Key {
        T::key(tap)
    }

    #[inline(always)]
    fn then(self, best: T::Key, tap: T) -> T::Key {
        Fold::<T>::join(self, best, T::key(tap))
    }

    #[inline(always)]
    fn join(self, best: T::Key, other: T::Key) -> T::Key {
        let wins = if IGNORE {
            T::is_nan(best) || (T::exceeds(other, best) && !T::is_nan(other))
        } else {
            T::exceeds(other, best) || T::is_nan(other)
        };
        if wins { other } else { best }
    }

    #[inline(always)]
    fn finish(self, best: T::Key, _taps: usize) -> T {
        T::from_key(best)
    }
}

/// The mean.
#[derive(Clone, Copy)]
pub(crate) struct Mean<T> {
    rounding: Rounding,
    /// Of quantised elements.
    requantize: Option<Requantize>,
    element: PhantomData<T>,
}

impl<T> Mean<T> {
    pub(crate) fn new(rounding: Rounding) -> Self {
        Self { rounding, requantize: None, element: PhantomData }
    }

    pub(crate) fn quantized(by: Requantize) -> Self {
        Self { rounding: Rounding::default(), requantize: Some(by), element: PhantomData }
    }
}

impl<T: Scalar> Fold<T> for Mean<T> {
    type Sum = T::Sum;

    #[inline(always)]
    fn first(self, tap: T) -> T::Sum {
        T::widen(tap)
    }

    #[inline(always)]
    fn then(self, sum: T::Sum, tap: T) -> T::Sum {
        T::add(sum, T::widen(tap))
    }

    #[inline(always)]
    fn join(self, sum: T::Sum, other: T::Sum) -> T::Sum {
        T::add(sum, other)
    }

    #[inline(always)]
    fn finish(self, sum: T::Sum, taps: usize) -> T {
        let requantized = self.requantize.and_then(|by| T::requantized(sum, taps, by));
        requantized.unwrap_or_else(|| T::divided(sum, taps, self.rounding))
    }
}
