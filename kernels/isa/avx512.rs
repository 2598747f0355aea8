//! AVX-512 F, BW, DQ and VL: 512 bits, and a register of masks that loads and stores obey.

use core::arch::x86_64::*;

use crate::kernels::simd::{Adds, Floats, Lanes};
use crate::kernels::token::Avx512;

/// Methods whose body is instructions of this tier.
macro_rules! instructions {
    ($( fn $name:ident(self $(, $x:ident: $X:ty)*) -> $R:ty { $body:expr } )+) => { $(
        #[inline(always)]
        fn $name(self $(, $x: $X)*) -> $R {
            #[allow(unused_unsafe, reason = "some bodies are plain arithmetic on masks")]
            // SAFETY: `self` exists only where `detect` found this tier's features.
            unsafe { $body }
        }
    )+ };
}

/// Loads and stores, whole and masked. A masked one touches only the lanes of its mask, even beside an unmapped page.
macro_rules! memory {
    ($A:ty as $V:ty, mask $M:ty, $load:ident, $store:ident, $mask_load:ident, $mask_store:ident, $splat:ident as $P:ty) => {
        #[inline(always)]
        unsafe fn load(self, p: *const $A) -> $V {
            // SAFETY: the token, and the trait's contract.
            unsafe { $load(p.cast()) }
        }

        #[inline(always)]
        unsafe fn store(self, p: *mut $A, v: $V) {
            // SAFETY: the token, and the trait's contract.
            unsafe { $store(p.cast(), v) }
        }

        #[inline(always)]
        fn first(self, n: usize) -> $M {
            if n >= <Self as Lanes<$A>>::N { <$M>::MAX } else { ((1 as $M) << n) - 1 }
        }

        #[inline(always)]
        unsafe fn load_first(self, p: *const $A, n: usize, fill: $A) -> $V {
            debug_assert!(n <= <Self as Lanes<$A>>::N);
            // SAFETY: the token; the mask covers the n elements that the trait's contract says are readable.
            unsafe { $mask_load($splat(fill as $P), Lanes::<$A>::first(self, n), p) }
        }

        #[inline(always)]
        unsafe fn store_first(self, p: *mut $A, n: usize, v: $V) {
            debug_assert!(n <= <Self as Lanes<$A>>::N);
            // SAFETY: the token; the mask covers the n elements that the trait's contract says are writable.
            unsafe { $mask_store(p, Lanes::<$A>::first(self, n), v) }
        }
    };
}

impl Lanes<f32> for Avx512 {
    type V = __m512;
    type M = __mmask16;
    const N: usize = 16;

    memory!(f32 as __m512, mask __mmask16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_mask_loadu_ps, _mm512_mask_storeu_ps, _mm512_set1_ps as f32);
    instructions! {
        fn splat(self, x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn pick(self, m: __mmask16, yes: __m512, no: __m512) -> __m512 { _mm512_mask_blend_ps(m, no, yes) }
        fn max(self, a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn min(self, a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        fn unzip(self, a: __m512, b: __m512) -> (__m512, __m512) {{
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }}
        fn back(self, a: __m512, b: __m512) -> __m512 {
            _mm512_castsi512_ps(_mm512_alignr_epi32::<15>(_mm512_castps_si512(b), _mm512_castps_si512(a)))
        }
        fn ahead(self, a: __m512, b: __m512) -> __m512 {
            _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(_mm512_castps_si512(b), _mm512_castps_si512(a)))
        }
        fn splat_first(self, v: __m512) -> __m512 { _mm512_broadcastss_ps(_mm512_castps512_ps128(v)) }
        fn upper(self, v: __m512, half: usize) -> __m512 {
            match half {
                8 => _mm512_shuffle_f32x4::<0b11_10_11_10>(v, v),
                4 => _mm512_shuffle_f32x4::<0b11_11_01_01>(v, v),
                2 => _mm512_permute_ps::<0b11_10_11_10>(v),
                _ => _mm512_permute_ps::<0b11_11_01_01>(v),
            }
        }
    }
}

impl Adds<f32> for Avx512 {
    instructions! {
        fn add(self, a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
    }
}

impl Floats<f32> for Avx512 {
    instructions! {
        fn mul(self, a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn div(self, a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fn unordered(self, a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, b) }
        fn or(self, a: __mmask16, b: __mmask16) -> __mmask16 { a | b }
        fn any(self, m: __mmask16) -> bool { m != 0 }
    }
}

impl Lanes<f64> for Avx512 {
    type V = __m512d;
    type M = __mmask8;
    const N: usize = 8;

    memory!(f64 as __m512d, mask __mmask8, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_mask_loadu_pd, _mm512_mask_storeu_pd, _mm512_set1_pd as f64);
    instructions! {
        fn splat(self, x: f64) -> __m512d { _mm512_set1_pd(x) }
        fn pick(self, m: __mmask8, yes: __m512d, no: __m512d) -> __m512d { _mm512_mask_blend_pd(m, no, yes) }
        fn max(self, a: __m512d, b: __m512d) -> __m512d { _mm512_max_pd(a, b) }
        fn min(self, a: __m512d, b: __m512d) -> __m512d { _mm512_min_pd(a, b) }
        fn unzip(self, a: __m512d, b: __m512d) -> (__m512d, __m512d) {{
            let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
            (_mm512_permutex2var_pd(a, even, b), _mm512_permutex2var_pd(a, odd, b))
        }}
        fn back(self, a: __m512d, b: __m512d) -> __m512d {
            _mm512_castsi512_pd(_mm512_alignr_epi64::<7>(_mm512_castpd_si512(b), _mm512_castpd_si512(a)))
        }
        fn ahead(self, a: __m512d, b: __m512d) -> __m512d {
            _mm512_castsi512_pd(_mm512_alignr_epi64::<1>(_mm512_castpd_si512(b), _mm512_castpd_si512(a)))
        }
        fn splat_first(self, v: __m512d) -> __m512d { _mm512_broadcastsd_pd(_mm512_castpd512_pd128(v)) }
        fn upper(self, v: __m512d, half: usize) -> __m512d {
            match half {
                4 => _mm512_shuffle_f64x2::<0b11_10_11_10>(v, v),
                2 => _mm512_shuffle_f64x2::<0b11_11_01_01>(v, v),
                _ => _mm512_permute_pd::<0b1111_1111>(v),
            }
        }
    }
}

impl Adds<f64> for Avx512 {
    instructions! {
        fn add(self, a: __m512d, b: __m512d) -> __m512d { _mm512_add_pd(a, b) }
    }
}

impl Floats<f64> for Avx512 {
    instructions! {
        fn mul(self, a: __m512d, b: __m512d) -> __m512d { _mm512_mul_pd(a, b) }
        fn div(self, a: __m512d, b: __m512d) -> __m512d { _mm512_div_pd(a, b) }
        fn unordered(self, a: __m512d, b: __m512d) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(a, b) }
        fn or(self, a: __mmask8, b: __mmask8) -> __mmask8 { a | b }
        fn any(self, m: __mmask8) -> bool { m != 0 }
    }
}
