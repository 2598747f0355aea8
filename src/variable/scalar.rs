//! The comparisons of maxima on one element at a time, written so that a loop over neighbours vectorises.

use super::fold::Fold;

/// What an element is compared as. No function takes `self`, so that code which is generic over elements finds no
/// method of this trait among its own.
pub trait Scalar: Copy {
    /// What elements are compared as: an order in which zeros are equal, and NaN is told by [`Scalar::is_nan`].
    #[doc(hidden)]
    type Key: Copy;
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
}

macro_rules! floats {
    ($($T:ty),+) => { $(
        impl Scalar for $T {
            type Key = Self;
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
        }
    )+ };
}

#[cfg(feature = "half")]
halves!(half::f16, half::bf16);

macro_rules! integers {
    ($($T:ty),+) => { $(
        impl Scalar for $T {
            type Key = Self;
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
