//! The scalar tier: a vector is one element. The plainest reading of every leaf, and the reference of every other tier.

use crate::kernels::simd::{
    Adds, Floats, Integers, Integers16, Integers32, Integers64, Lanes, Tables, Widen, Words64, dealt,
};
use crate::kernels::token::Scalar;

macro_rules! lanes {
    ($($A:ty),+) => { $(
        impl Lanes<$A> for Scalar {
            type V = $A;
            type M = bool;
            const N: usize = 1;
            type Dealt = [Self::V; dealt(1)];

            #[inline(always)]
            fn splat(self, x: $A) -> $A {
                x
            }

            #[inline(always)]
            unsafe fn load(self, p: *const $A) -> $A {
                // SAFETY: one element is readable by the trait's contract.
                unsafe { p.read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $A, v: $A) {
                // SAFETY: one element is writable by the trait's contract.
                unsafe { p.write_unaligned(v) }
            }

            #[inline(always)]
            fn first(self, n: usize) -> bool {
                n > 0
            }

            #[inline(always)]
            fn pick(self, m: bool, yes: $A, no: $A) -> $A {
                if m { yes } else { no }
            }

            // One lane: the even element of two is the first, the odd one the second.
            #[inline(always)]
            fn unzip(self, a: $A, b: $A) -> ($A, $A) {
                (a, b)
            }

            #[inline(always)]
            fn back(self, a: $A, _b: $A) -> $A {
                a
            }

            #[inline(always)]
            fn ahead(self, _a: $A, b: $A) -> $A {
                b
            }

            #[inline(always)]
            fn splat_first(self, v: $A) -> $A {
                v
            }

            #[inline(always)]
            fn max(self, a: $A, b: $A) -> $A {
                if a > b { a } else { b }
            }

            #[inline(always)]
            fn greater(self, a: $A, b: $A) -> bool {
                a > b
            }

            #[inline(always)]
            fn or(self, a: bool, b: bool) -> bool {
                a | b
            }

            #[inline(always)]
            fn xor(self, a: $A, b: $A) -> $A {
                <$A>::from_ne_bytes(core::array::from_fn(|i| a.to_ne_bytes()[i] ^ b.to_ne_bytes()[i]))
            }
        }
    )+ };
}

macro_rules! tables {
    ($($A:ty),+) => { $(
        impl Tables<$A> for Scalar {
            const UNIT: usize = size_of::<$A>();
            const TWO: bool = false;
            type Table = [u8; size_of::<$A>()];
            const MASK_BYTES: usize = 1;
            const MASK_BITS: bool = true;

            #[inline(always)]
            unsafe fn table(self, p: *const u8) -> Self::Table {
                // SAFETY: as many bytes as an element has are readable by the trait's contract.
                unsafe { p.cast::<Self::Table>().read_unaligned() }
            }

            #[inline(always)]
            fn permute(self, v: $A, _t: Self::Table) -> $A {
                v
            }

            // Two lanes: index 0 is the first, index 1 the second.
            #[inline(always)]
            fn permute_two(self, a: $A, b: $A, t: Self::Table) -> $A {
                if t == [0; size_of::<$A>()] { a } else { b }
            }

            #[inline(always)]
            unsafe fn load_mask(self, p: *const u8) -> bool {
                // SAFETY: one byte is readable by the trait's contract.
                unsafe { p.read() & 1 != 0 }
            }
        }
    )+ };
}

macro_rules! floats {
    ($($A:ty),+) => { $(
        impl Adds<$A> for Scalar {
            #[inline(always)]
            fn add(self, a: $A, b: $A) -> $A {
                a + b
            }
        }

        impl Floats<$A> for Scalar {
            #[inline(always)]
            fn mul(self, a: $A, b: $A) -> $A {
                a * b
            }

            #[inline(always)]
            fn div(self, a: $A, b: $A) -> $A {
                a / b
            }

            #[inline(always)]
            fn sqrt(self, a: $A) -> $A {
                super::Root::root(a)
            }

            #[inline(always)]
            fn abs(self, a: $A) -> $A {
                a.abs()
            }

            #[inline(always)]
            fn unordered(self, a: $A, b: $A) -> bool {
                a.is_nan() | b.is_nan()
            }

            #[inline(always)]
            fn any(self, m: bool) -> bool {
                m
            }
        }
    )+ };
}

lanes!(f32, f64, i8, u8, i16, i32, i64);
tables!(f32, f64, i8, u8, i16, i32, i64);
floats!(f32, f64);

macro_rules! integers {
    ($($A:ty),+) => { $(
        impl Adds<$A> for Scalar {
            #[inline(always)]
            fn add(self, a: $A, b: $A) -> $A {
                a.wrapping_add(b)
            }
        }

        impl Integers<$A> for Scalar {
            #[inline(always)]
            fn sign(self, a: $A) -> $A {
                -<$A>::from(a < 0)
            }

            #[inline(always)]
            fn equal(self, a: $A, b: $A) -> bool {
                a == b
            }

            #[inline(always)]
            fn and(self, a: $A, b: $A) -> $A {
                a & b
            }
        }
    )+ };
}

integers!(i16, i32, i64);

impl Integers16 for Scalar {
    #[inline(always)]
    fn mul_high(self, a: i16, b: i16) -> i16 {
        ((a as u16 as u32 * b as u16 as u32) >> 16) as i16
    }

    #[inline(always)]
    fn mul_low(self, a: i16, b: i16) -> i16 {
        a.wrapping_mul(b)
    }

    #[inline(always)]
    fn shift_right(self, a: i16, bits: u32) -> i16 {
        (a as u16 >> bits) as i16
    }
}

impl Integers32 for Scalar {
    const SCALES: bool = false;

    #[inline(always)]
    fn product(self, a: i32, b: i32) -> i32 {
        a.wrapping_mul(b)
    }

    #[inline(always)]
    fn shifted(self, a: i32, bits: u32) -> i32 {
        a >> bits
    }

    #[inline(always)]
    fn quotient(self, sum: i32, divisor: i32, away: bool) -> i32 {
        self.long_quotient(sum, divisor, away)
    }

    #[inline(always)]
    fn long_quotient(self, sum: i32, divisor: i32, away: bool) -> i32 {
        super::quotient(sum.into(), divisor.into(), away) as i32
    }

    #[inline(always)]
    fn scaled(self, sum: i32, multiplier: i32) -> i32 {
        super::scaled_32(sum, multiplier)
    }
}

impl Integers64 for Scalar {
    #[inline(always)]
    fn quotient(self, sum: i64, divisor: i64, away: bool) -> i64 {
        super::quotient(sum, divisor, away)
    }
}

macro_rules! widen {
    ($($T:ty => $A:ty),+ $(,)?) => { $(
        impl Widen<$T, $A> for Scalar {
            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> $A {
                // SAFETY: one element is readable by the trait's contract.
                <$A>::from(unsafe { p.read_unaligned() })
            }

            #[inline(always)]
            unsafe fn store_narrow(self, q: *mut $T, v: $A) {
                let narrow = v.clamp(<$T>::MIN.into(), <$T>::MAX.into()) as $T;
                // SAFETY: one element is writable by the trait's contract.
                unsafe { q.write_unaligned(narrow) }
            }
        }
    )+ };
}

widen! { u8 => i16, i8 => i16, u8 => i32, i8 => i32, i16 => i32, u16 => i32, i16 => i64, u16 => i64, i32 => i64, u32 => i64, u8 => i64, i8 => i64 }

impl Widen<f32, f64> for Scalar {
    #[inline(always)]
    unsafe fn load_wide(self, p: *const f32) -> f64 {
        // SAFETY: one element is readable by the trait's contract.
        unsafe { p.read_unaligned() }.into()
    }

    #[inline(always)]
    unsafe fn store_narrow(self, q: *mut f32, v: f64) {
        // SAFETY: one element is writable by the trait's contract.
        unsafe { q.write_unaligned(v as f32) }
    }
}

impl Words64 for Scalar {
    #[inline(always)]
    fn sub(self, a: f64, b: f64) -> f64 {
        a - b
    }

    #[inline(always)]
    fn min(self, a: f64, b: f64) -> f64 {
        if a < b { a } else { b }
    }

    #[inline(always)]
    fn and_bits(self, a: f64, b: f64) -> f64 {
        f64::from_bits(a.to_bits() & b.to_bits())
    }

    #[inline(always)]
    fn add_bits(self, a: f64, b: f64) -> f64 {
        f64::from_bits(a.to_bits().wrapping_add(b.to_bits()))
    }

    #[inline(always)]
    fn down(self, a: f64) -> f64 {
        f64::from_bits(a.to_bits() >> 52)
    }

    #[inline(always)]
    fn up(self, a: f64) -> f64 {
        f64::from_bits(a.to_bits() << 52)
    }
}

/// Keeps a conversion, which is long, out of the loops: this tier is not for speed.
#[cfg(feature = "half")]
#[inline(never)]
fn apart<T, U>(x: T, convert: impl Fn(T) -> U) -> U {
    convert(x)
}

#[cfg(feature = "half")]
macro_rules! half {
    ($($T:ty),+) => { $(
        impl Widen<$T, f32> for Scalar {
            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> f32 {
                // SAFETY: one element is readable by the trait's contract.
                apart(unsafe { p.read_unaligned() }, <$T>::to_f32_const)
            }

            #[inline(always)]
            unsafe fn store_narrow(self, q: *mut $T, v: f32) {
                // SAFETY: one element is writable by the trait's contract.
                unsafe { q.write_unaligned(apart(v, <$T>::from_f32_const)) }
            }
        }
    )+ };
}

#[cfg(feature = "half")]
half!(half::f16, half::bf16);
