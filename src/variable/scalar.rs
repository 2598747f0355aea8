//! The comparisons of maxima on one element at a time, written so that a loop over neighbours vectorises.
//!
//! Elements are known by their bits, and what tells one type from another of as many bits is a number: so what is
//! generic over them is compiled once for f16 and bf16, and once for the integers of a length.

use super::fold::Fold;

/// How elements, known as `E`, are compared.
pub(crate) trait Order<E>: Copy {
    /// What elements are compared as: an order in which zeros are equal, and NaN is told by [`Order::is_nan`].
    type Key: Copy;

    fn key(self, element: E) -> Self::Key;
    /// The element of a key: zero is +0, NaN the canonical one.
    fn element(self, key: Self::Key) -> E;
    fn is_nan(self, key: Self::Key) -> bool;
    /// Whether `a` is a larger number than `b`; not to be asked of NaN, but harmless.
    fn exceeds(self, a: Self::Key, b: Self::Key) -> bool;
    fn equals(self, a: Self::Key, b: Self::Key) -> bool;
}

/// The order of floats of 32 and 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Floats;

macro_rules! floats {
    ($($T:ty),+) => { $(
        impl Order<$T> for Floats {
            type Key = $T;

            #[inline(always)]
            fn key(self, element: $T) -> $T {
                element
            }
            #[inline(always)]
            fn element(self, key: $T) -> $T {
                if key.is_nan() {
                    <$T>::NAN
                } else if key == 0.0 {
                    0.0
                } else {
                    key
                }
            }
            #[inline(always)]
            fn is_nan(self, key: $T) -> bool {
                key.is_nan()
            }
            #[inline(always)]
            fn exceeds(self, a: $T, b: $T) -> bool {
                a > b
            }
            #[inline(always)]
            fn equals(self, a: $T, b: $T) -> bool {
                a == b
            }
        }
    )+ };
}

floats!(f32, f64);

/// The order of 16-bit floats, compared as integers. The bits of infinity and of the canonical NaN tell the types apart.
#[derive(Clone, Copy)]
pub(crate) struct Halves {
    infinity: i16,
    nan: u16,
}

impl Halves {
    pub(crate) const F16: Self = Self { infinity: 0x7c00, nan: 0x7e00 };
    pub(crate) const BF16: Self = Self { infinity: 0x7f80, nan: 0x7fc0 };
}

#[cfg(feature = "half")]
const _: () = {
    assert!(half::f16::INFINITY.to_bits() == 0x7c00 && half::f16::NAN.to_bits() == 0x7e00);
    assert!(half::bf16::INFINITY.to_bits() == 0x7f80 && half::bf16::NAN.to_bits() == 0x7fc0);
};

impl Order<u16> for Halves {
    /// The bits, those of negative numbers flipped but for the sign: in the order of the numbers. No number has the
    /// key `i16::MAX`, which stands for every NaN.
    type Key = i16;

    #[inline(always)]
    fn key(self, element: u16) -> i16 {
        let bits = element as i16;
        let magnitude = bits & i16::MAX;
        if magnitude > self.infinity {
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
    fn element(self, key: i16) -> u16 {
        if key == i16::MAX { self.nan } else { (if key < 0 { key ^ i16::MAX } else { key }) as u16 }
    }
    #[inline(always)]
    fn is_nan(self, key: i16) -> bool {
        key == i16::MAX
    }
    #[inline(always)]
    fn exceeds(self, a: i16, b: i16) -> bool {
        a > b
    }
    #[inline(always)]
    fn equals(self, a: i16, b: i16) -> bool {
        a == b
    }
}

/// The order of integers: that of unsigned ones, once these bits are flipped.
#[derive(Clone, Copy)]
pub(crate) struct Integers<E>(pub(crate) E);

macro_rules! integers {
    ($($T:ty),+) => { $(
        impl Order<$T> for Integers<$T> {
            type Key = $T;

            #[inline(always)]
            fn key(self, element: $T) -> $T {
                element ^ self.0
            }
            #[inline(always)]
            fn element(self, key: $T) -> $T {
                key ^ self.0
            }
            #[inline(always)]
            fn is_nan(self, _key: $T) -> bool {
                false
            }
            #[inline(always)]
            fn exceeds(self, a: $T, b: $T) -> bool {
                a > b
            }
            #[inline(always)]
            fn equals(self, a: $T, b: $T) -> bool {
                a == b
            }
        }
    )+ };
}

integers!(u8, u16, u32, u64);

/// Does something for an element type, given as a value: `$E` is the type that its elements are known as, `$order` how
/// they are compared.
macro_rules! with_order {
    ($dtype:expr, $E:ident, $order:ident => $work:expr) => {{
        use $crate::DType;
        use $crate::variable::scalar::{Floats, Halves, Integers};
        macro_rules! with {
            ($type:ty, $value:expr) => {{
                type $E = $type;
                let $order = $value;
                $work
            }};
        }
        match $dtype {
            DType::F32 => with!(f32, Floats),
            DType::F64 => with!(f64, Floats),
            DType::F16 => with!(u16, Halves::F16),
            DType::Bf16 => with!(u16, Halves::BF16),
            DType::I8 => with!(u8, Integers(0x80)),
            DType::U8 => with!(u8, Integers(0)),
            DType::I16 => with!(u16, Integers(0x8000)),
            DType::U16 => with!(u16, Integers(0)),
            DType::I32 => with!(u32, Integers(0x8000_0000)),
            DType::U32 => with!(u32, Integers(0)),
            DType::I64 => with!(u64, Integers(0x8000_0000_0000_0000)),
            DType::U64 => with!(u64, Integers(0)),
        }
    }};
}
pub(crate) use with_order;

/// The maximum. `IGNORE`: NaN is missing data.
#[derive(Clone, Copy)]
pub(crate) struct Largest<O, const IGNORE: bool>(pub(crate) O);

impl<E, O: Order<E>, const IGNORE: bool> Fold<E> for Largest<O, IGNORE> {
    type Sum = O::Key;

    #[inline(always)]
    fn first(self, tap: E) -> O::Key {
        self.0.key(tap)
    }

    #[inline(always)]
    fn then(self, best: O::Key, tap: E) -> O::Key {
        Fold::<E>::join(self, best, self.0.key(tap))
    }

    #[inline(always)]
    fn join(self, best: O::Key, other: O::Key) -> O::Key {
        let order = self.0;
        let wins = if IGNORE {
            order.is_nan(best) || (order.exceeds(other, best) && !order.is_nan(other))
        } else {
            order.exceeds(other, best) || order.is_nan(other)
        };
        if wins { other } else { best }
    }

    #[inline(always)]
    fn finish(self, best: O::Key) -> E {
        self.0.element(best)
    }
}
