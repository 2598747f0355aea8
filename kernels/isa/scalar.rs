//! The scalar tier: a vector is one element. The plainest reading of every walk, and the reference of every other tier.

use crate::kernels::simd::{Adds, Floats, Lanes};
use crate::kernels::token::Scalar;

macro_rules! lanes {
    ($($A:ty),+) => { $(
        impl Lanes<$A> for Scalar {
            type V = $A;
            type M = bool;
            const N: usize = 1;

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
            fn min(self, a: $A, b: $A) -> $A {
                if a < b { a } else { b }
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
            fn unordered(self, a: $A, b: $A) -> bool {
                a.is_nan() | b.is_nan()
            }

            #[inline(always)]
            fn or(self, a: bool, b: bool) -> bool {
                a | b
            }

            #[inline(always)]
            fn any(self, m: bool) -> bool {
                m
            }
        }
    )+ };
}

lanes!(f32, f64);
floats!(f32, f64);
