//! AVX2 and F16C: 256 bits.

use core::arch::x86_64::*;

use crate::kernels::simd::{Adds, Floats, Lanes};
use crate::kernels::token::Avx2;

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

/// The mask of the first `n` lanes of 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn first_32(n: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// Of 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn first_64(n: usize) -> __m256i {
    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3))
}

/// `b` moved up by one element of `BYTES`, the last of `a` below it.
#[inline]
#[target_feature(enable = "avx2")]
fn back<const BYTES: i32>(a: __m256i, b: __m256i) -> __m256i {
    // A byte shift works within 128-bit halves: what enters each half is the half before it.
    let before = _mm256_permute2x128_si256::<0x21>(a, b);
    match BYTES {
        1 => _mm256_alignr_epi8::<15>(b, before),
        2 => _mm256_alignr_epi8::<14>(b, before),
        4 => _mm256_alignr_epi8::<12>(b, before),
        _ => _mm256_alignr_epi8::<8>(b, before),
    }
}

/// `a` moved down by one element of `BYTES`, the first of `b` above it.
#[inline]
#[target_feature(enable = "avx2")]
fn ahead<const BYTES: i32>(a: __m256i, b: __m256i) -> __m256i {
    let after = _mm256_permute2x128_si256::<0x21>(a, b);
    _mm256_alignr_epi8::<BYTES>(after, a)
}

impl Lanes<f32> for Avx2 {
    type V = __m256;
    type M = __m256;
    const N: usize = 8;

    instructions! {
        fn splat(self, x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn first(self, n: usize) -> __m256 { _mm256_castsi256_ps(first_32(n)) }
        fn pick(self, m: __m256, yes: __m256, no: __m256) -> __m256 { _mm256_blendv_ps(no, yes, m) }
        fn max(self, a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        fn min(self, a: __m256, b: __m256) -> __m256 { _mm256_min_ps(a, b) }
        fn unzip(self, a: __m256, b: __m256) -> (__m256, __m256) {{
            // Within 128-bit halves: a0 a2 b0 b2 | a4 a6 b4 b6; then the middle quarters change places.
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            let order = |v| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(v));
            (order(even), order(odd))
        }}
        fn back(self, a: __m256, b: __m256) -> __m256 { _mm256_castsi256_ps(back::<4>(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
        fn ahead(self, a: __m256, b: __m256) -> __m256 { _mm256_castsi256_ps(ahead::<4>(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
        fn splat_first(self, v: __m256) -> __m256 { _mm256_broadcastss_ps(_mm256_castps256_ps128(v)) }
        fn upper(self, v: __m256, half: usize) -> __m256 {
            match half {
                4 => _mm256_permute2f128_ps::<0x11>(v, v),
                2 => _mm256_permute_ps::<0b11_10_11_10>(v),
                _ => _mm256_permute_ps::<0b11_11_01_01>(v),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: the token, and the trait's contract.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        // SAFETY: the token, and the trait's contract.
        unsafe { _mm256_storeu_ps(p, v) }
    }

    // A masked load touches only the lanes of its mask; a masked store would, too, but costs some 40 µops on Zen.
    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize, fill: f32) -> __m256 {
        debug_assert!(n <= 8);
        // SAFETY: the token; the mask covers the n elements that the trait's contract says are readable.
        unsafe {
            let mask = first_32(n);
            _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask))
        }
    }
}

impl Adds<f32> for Avx2 {
    instructions! {
        fn add(self, a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
    }
}

impl Floats<f32> for Avx2 {
    instructions! {
        fn mul(self, a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn div(self, a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
        fn unordered(self, a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_UNORD_Q>(a, b) }
        fn or(self, a: __m256, b: __m256) -> __m256 { _mm256_or_ps(a, b) }
        fn any(self, m: __m256) -> bool { _mm256_movemask_ps(m) != 0 }
    }
}

impl Lanes<f64> for Avx2 {
    type V = __m256d;
    type M = __m256d;
    const N: usize = 4;

    instructions! {
        fn splat(self, x: f64) -> __m256d { _mm256_set1_pd(x) }
        fn first(self, n: usize) -> __m256d { _mm256_castsi256_pd(first_64(n)) }
        fn pick(self, m: __m256d, yes: __m256d, no: __m256d) -> __m256d { _mm256_blendv_pd(no, yes, m) }
        fn max(self, a: __m256d, b: __m256d) -> __m256d { _mm256_max_pd(a, b) }
        fn min(self, a: __m256d, b: __m256d) -> __m256d { _mm256_min_pd(a, b) }
        fn unzip(self, a: __m256d, b: __m256d) -> (__m256d, __m256d) {{
            let order = |v| _mm256_permute4x64_pd::<0b11_01_10_00>(v);
            (order(_mm256_unpacklo_pd(a, b)), order(_mm256_unpackhi_pd(a, b)))
        }}
        fn back(self, a: __m256d, b: __m256d) -> __m256d { _mm256_castsi256_pd(back::<8>(_mm256_castpd_si256(a), _mm256_castpd_si256(b))) }
        fn ahead(self, a: __m256d, b: __m256d) -> __m256d { _mm256_castsi256_pd(ahead::<8>(_mm256_castpd_si256(a), _mm256_castpd_si256(b))) }
        fn splat_first(self, v: __m256d) -> __m256d { _mm256_broadcastsd_pd(_mm256_castpd256_pd128(v)) }
        fn upper(self, v: __m256d, half: usize) -> __m256d {
            match half {
                2 => _mm256_permute2f128_pd::<0x11>(v, v),
                _ => _mm256_permute_pd::<0b1111>(v),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f64) -> __m256d {
        // SAFETY: the token, and the trait's contract.
        unsafe { _mm256_loadu_pd(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f64, v: __m256d) {
        // SAFETY: the token, and the trait's contract.
        unsafe { _mm256_storeu_pd(p, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, p: *const f64, n: usize, fill: f64) -> __m256d {
        debug_assert!(n <= 4);
        // SAFETY: the token; the mask covers the n elements that the trait's contract says are readable.
        unsafe {
            let mask = first_64(n);
            _mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask))
        }
    }
}

impl Adds<f64> for Avx2 {
    instructions! {
        fn add(self, a: __m256d, b: __m256d) -> __m256d { _mm256_add_pd(a, b) }
    }
}

impl Floats<f64> for Avx2 {
    instructions! {
        fn mul(self, a: __m256d, b: __m256d) -> __m256d { _mm256_mul_pd(a, b) }
        fn div(self, a: __m256d, b: __m256d) -> __m256d { _mm256_div_pd(a, b) }
        fn unordered(self, a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_UNORD_Q>(a, b) }
        fn or(self, a: __m256d, b: __m256d) -> __m256d { _mm256_or_pd(a, b) }
        fn any(self, m: __m256d) -> bool { _mm256_movemask_pd(m) != 0 }
    }
}
