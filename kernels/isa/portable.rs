//! The portable tier: the crate `wide`, compiled for what the target guarantees.
//!
//! It is for correctness first: on SSE2, `wide` emulates the blend, the signed byte maximum and more.

use wide::{f32x8, f64x4};

use crate::kernels::simd::{Adds, Floats, Lanes};
use crate::kernels::token::Portable;

/// Lanes whose vector type is `$V`, an array of `$N` lanes of `$A` to `bytemuck`. A mask is a vector of all-ones lanes.
macro_rules! lanes {
    ($($A:ty as $V:ty, $N:literal, $max:ident, $min:ident, $set:expr);+ $(;)?) => { $(
        impl Lanes<$A> for Portable {
            type V = $V;
            type M = $V;
            const N: usize = $N;

            #[inline(always)]
            fn splat(self, x: $A) -> $V {
                <$V>::splat(x)
            }

            #[inline(always)]
            unsafe fn load(self, p: *const $A) -> $V {
                // SAFETY: N elements are readable by the trait's contract.
                <$V>::from(unsafe { p.cast::<[$A; $N]>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $A, v: $V) {
                // SAFETY: N elements are writable by the trait's contract.
                unsafe { p.cast::<[$A; $N]>().write_unaligned(v.to_array()) }
            }

            #[inline(always)]
            fn first(self, n: usize) -> $V {
                let set: $A = $set;
                <$V>::from(core::array::from_fn::<$A, $N, _>(|i| if i < n { set } else { <$A>::default() }))
            }

            #[inline(always)]
            fn pick(self, m: $V, yes: $V, no: $V) -> $V {
                m.bitselect(yes, no)
            }

            #[inline(always)]
            fn unzip(self, a: $V, b: $V) -> ($V, $V) {
                let (a, b) = (a.to_array(), b.to_array());
                let every_other = |odd: usize| {
                    <$V>::from(core::array::from_fn::<$A, $N, _>(|i| {
                        if i < $N / 2 { a[2 * i + odd] } else { b[2 * i + odd - $N] }
                    }))
                };
                (every_other(0), every_other(1))
            }

            #[inline(always)]
            fn back(self, a: $V, b: $V) -> $V {
                let (a, b) = (a.to_array(), b.to_array());
                <$V>::from(core::array::from_fn::<$A, $N, _>(|i| if i == 0 { a[$N - 1] } else { b[i - 1] }))
            }

            #[inline(always)]
            fn ahead(self, a: $V, b: $V) -> $V {
                let (a, b) = (a.to_array(), b.to_array());
                <$V>::from(core::array::from_fn::<$A, $N, _>(|i| if i == $N - 1 { b[0] } else { a[i + 1] }))
            }

            #[inline(always)]
            fn upper(self, v: $V, half: usize) -> $V {
                let v = v.to_array();
                <$V>::from(core::array::from_fn::<$A, $N, _>(|i| if i < half { v[i + half] } else { v[i] }))
            }

            #[inline(always)]
            fn max(self, a: $V, b: $V) -> $V {
                a.$max(b)
            }

            #[inline(always)]
            fn min(self, a: $V, b: $V) -> $V {
                a.$min(b)
            }
        }
    )+ };
}

macro_rules! floats {
    ($($A:ty as $V:ty);+ $(;)?) => { $(
        impl Adds<$A> for Portable {
            #[inline(always)]
            fn add(self, a: $V, b: $V) -> $V {
                a + b
            }
        }

        impl Floats<$A> for Portable {
            #[inline(always)]
            fn mul(self, a: $V, b: $V) -> $V {
                a * b
            }

            #[inline(always)]
            fn div(self, a: $V, b: $V) -> $V {
                a / b
            }

            #[inline(always)]
            fn unordered(self, a: $V, b: $V) -> $V {
                // `wide` has no unordered compare; a sum is NaN where a term is, and where infinities cancel, so the
                // two are asked apart.
                a.is_nan() | b.is_nan()
            }

            #[inline(always)]
            fn or(self, a: $V, b: $V) -> $V {
                a | b
            }

            #[inline(always)]
            fn any(self, m: $V) -> bool {
                m.any()
            }
        }
    )+ };
}

lanes! {
    f32 as f32x8, 8, fast_max, fast_min, f32::from_bits(u32::MAX);
    f64 as f64x4, 4, fast_max, fast_min, f64::from_bits(u64::MAX);
}
floats! {
    f32 as f32x8;
    f64 as f64x4;
}
