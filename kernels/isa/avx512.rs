//! AVX-512 F, BW, DQ, VL and VBMI: 512 bits, and a register of masks that loads and stores obey.

use core::arch::x86_64::*;

use crate::kernels::simd::{
    Adds, FAR, Floats, Integers, Integers16, Integers32, Integers64, Lanes, Tables, Widen, Words64, dealt,
};
use crate::kernels::token::Avx512;

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
    type Dealt = [Self::V; dealt(16)];

    memory!(f32 as __m512, mask __mmask16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_mask_loadu_ps, _mm512_mask_storeu_ps, _mm512_set1_ps as f32);
    instructions! {
        fn splat(self, x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn pick(self, m: __mmask16, yes: __m512, no: __m512) -> __m512 { _mm512_mask_blend_ps(m, no, yes) }
        fn max(self, a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn greater(self, a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
        fn or(self, a: __mmask16, b: __mmask16) -> __mmask16 { a | b }
        fn xor(self, a: __m512, b: __m512) -> __m512 { _mm512_xor_ps(a, b) }
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
    }
}

impl Floats<f32> for Avx512 {
    instructions! {
        fn mul(self, a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn div(self, a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fn sqrt(self, a: __m512) -> __m512 { _mm512_sqrt_ps(a) }
        fn abs(self, a: __m512) -> __m512 { _mm512_abs_ps(a) }
        fn unordered(self, a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, b) }
        fn any(self, m: __mmask16) -> bool { m != 0 }
    }
}

impl Lanes<f64> for Avx512 {
    type V = __m512d;
    type M = __mmask8;
    const N: usize = 8;
    type Dealt = [Self::V; dealt(8)];

    memory!(f64 as __m512d, mask __mmask8, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_mask_loadu_pd, _mm512_mask_storeu_pd, _mm512_set1_pd as f64);
    instructions! {
        fn splat(self, x: f64) -> __m512d { _mm512_set1_pd(x) }
        fn pick(self, m: __mmask8, yes: __m512d, no: __m512d) -> __m512d { _mm512_mask_blend_pd(m, no, yes) }
        fn max(self, a: __m512d, b: __m512d) -> __m512d { _mm512_max_pd(a, b) }
        fn greater(self, a: __m512d, b: __m512d) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b) }
        fn or(self, a: __mmask8, b: __mmask8) -> __mmask8 { a | b }
        fn xor(self, a: __m512d, b: __m512d) -> __m512d { _mm512_xor_pd(a, b) }
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
    }
}

impl Floats<f64> for Avx512 {
    instructions! {
        fn mul(self, a: __m512d, b: __m512d) -> __m512d { _mm512_mul_pd(a, b) }
        fn div(self, a: __m512d, b: __m512d) -> __m512d { _mm512_div_pd(a, b) }
        fn sqrt(self, a: __m512d) -> __m512d { _mm512_sqrt_pd(a) }
        fn abs(self, a: __m512d) -> __m512d { _mm512_abs_pd(a) }
        fn unordered(self, a: __m512d, b: __m512d) -> __mmask8 { _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(a, b) }
        fn any(self, m: __mmask8) -> bool { m != 0 }
    }
}

impl Words64 for Avx512 {
    instructions! {
        fn sub(self, a: __m512d, b: __m512d) -> __m512d { _mm512_sub_pd(a, b) }
        fn min(self, a: __m512d, b: __m512d) -> __m512d { _mm512_min_pd(a, b) }
        fn and_bits(self, a: __m512d, b: __m512d) -> __m512d { _mm512_and_pd(a, b) }
        fn add_bits(self, a: __m512d, b: __m512d) -> __m512d {
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)))
        }
        fn down(self, a: __m512d) -> __m512d { _mm512_castsi512_pd(_mm512_srli_epi64::<52>(_mm512_castpd_si512(a))) }
        fn up(self, a: __m512d) -> __m512d { _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(a))) }
    }
}

/// `b` moved up by one element of `16 − SHIFT` bytes, the last of `a` below it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn back<const SHIFT: i32>(a: __m512i, b: __m512i) -> __m512i {
    // A byte shift works within quarters: what enters each is the quarter before it.
    _mm512_alignr_epi8::<SHIFT>(b, _mm512_alignr_epi64::<6>(b, a))
}

/// `a` moved down by one element of `BYTES`, the first of `b` above it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn ahead<const BYTES: i32>(a: __m512i, b: __m512i) -> __m512i {
    _mm512_alignr_epi8::<BYTES>(_mm512_alignr_epi64::<2>(b, a), a)
}

/// The indices 0, 2, 4… of the even bytes of two vectors.
const EVEN_8: [i8; 64] = {
    let mut even = [0; 64];
    let mut i = 0;
    while i < 64 {
        even[i] = 2 * i as i8;
        i += 1;
    }
    even
};

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn unzip_8(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    // SAFETY: the array holds a vector.
    let even = unsafe { _mm512_loadu_si512(EVEN_8.as_ptr().cast()) };
    let odd = _mm512_add_epi8(even, _mm512_set1_epi8(1));
    (_mm512_permutex2var_epi8(a, even, b), _mm512_permutex2var_epi8(a, odd, b))
}

/// The indices 0, 2, 4… of the even words of two vectors.
const EVEN_16: [i16; 32] = {
    let mut even = [0; 32];
    let mut i = 0;
    while i < 32 {
        even[i] = 2 * i as i16;
        i += 1;
    }
    even
};

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unzip_16(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    // SAFETY: the array holds a vector.
    let even = unsafe { _mm512_loadu_si512(EVEN_16.as_ptr().cast()) };
    let odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
    (_mm512_permutex2var_epi16(a, even, b), _mm512_permutex2var_epi16(a, odd, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unzip_32(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    (_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unzip_64(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    (_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b))
}

macro_rules! integers {
    ($($A:ty, $N:literal of $BYTES:literal / $REST:literal, mask $M:ty: $splat:ident as $P:ty, $mask_load:ident, $mask_store:ident, $blend:ident, $unzip:ident, $broadcast:ident, $max:ident, $greater:ident);+ $(;)?) => { $(
        impl Lanes<$A> for Avx512 {
            type V = __m512i;
            type M = $M;
            const N: usize = $N;
            type Dealt = [Self::V; dealt($N)];

            #[inline(always)]
            unsafe fn load(self, p: *const $A) -> __m512i {
                // SAFETY: the token, and the trait's contract.
                unsafe { _mm512_loadu_si512(p.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $A, v: __m512i) {
                // SAFETY: the token, and the trait's contract.
                unsafe { _mm512_storeu_si512(p.cast(), v) }
            }

            #[inline(always)]
            fn first(self, n: usize) -> $M {
                if n >= $N { <$M>::MAX } else { ((1 as $M) << n) - 1 }
            }

            #[inline(always)]
            unsafe fn load_first(self, p: *const $A, n: usize, fill: $A) -> __m512i {
                debug_assert!(n <= $N);
                // SAFETY: the token; the mask covers the n elements that the trait's contract says are readable.
                unsafe { $mask_load($splat(fill as $P), Lanes::<$A>::first(self, n), p.cast()) }
            }

            // The mask guards the rest: nothing is gained by a whole load.
            #[inline(always)]
            unsafe fn load_part(self, p: *const $A, n: usize, _readable: usize, fill: $A) -> __m512i {
                // SAFETY: the same contract, and more.
                unsafe { self.load_first(p, n, fill) }
            }

            #[inline(always)]
            unsafe fn store_first(self, p: *mut $A, n: usize, v: __m512i) {
                debug_assert!(n <= $N);
                // SAFETY: the token; the mask covers the n elements that the trait's contract says are writable.
                unsafe { $mask_store(p.cast(), Lanes::<$A>::first(self, n), v) }
            }

            instructions! {
                fn splat(self, x: $A) -> __m512i { $splat(x as $P) }
                fn pick(self, m: $M, yes: __m512i, no: __m512i) -> __m512i { $blend(m, no, yes) }
                fn unzip(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) { $unzip(a, b) }
                fn back(self, a: __m512i, b: __m512i) -> __m512i { back::<$REST>(a, b) }
                fn ahead(self, a: __m512i, b: __m512i) -> __m512i { ahead::<$BYTES>(a, b) }
                fn splat_first(self, v: __m512i) -> __m512i { $broadcast(_mm512_castsi512_si128(v)) }
                fn max(self, a: __m512i, b: __m512i) -> __m512i { $max(a, b) }
                fn greater(self, a: __m512i, b: __m512i) -> $M { $greater(a, b) }
                fn or(self, a: $M, b: $M) -> $M { a | b }
                fn xor(self, a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
            }
        }
    )+ };
}

integers! {
    i8, 64 of 1 / 15, mask __mmask64: _mm512_set1_epi8 as i8, _mm512_mask_loadu_epi8, _mm512_mask_storeu_epi8,
        _mm512_mask_blend_epi8, unzip_8, _mm512_broadcastb_epi8, _mm512_max_epi8, _mm512_cmpgt_epi8_mask;
    u8, 64 of 1 / 15, mask __mmask64: _mm512_set1_epi8 as i8, _mm512_mask_loadu_epi8, _mm512_mask_storeu_epi8,
        _mm512_mask_blend_epi8, unzip_8, _mm512_broadcastb_epi8, _mm512_max_epu8, _mm512_cmpgt_epu8_mask;
    i16, 32 of 2 / 14, mask __mmask32: _mm512_set1_epi16 as i16, _mm512_mask_loadu_epi16, _mm512_mask_storeu_epi16,
        _mm512_mask_blend_epi16, unzip_16, _mm512_broadcastw_epi16, _mm512_max_epi16, _mm512_cmpgt_epi16_mask;
    i32, 16 of 4 / 12, mask __mmask16: _mm512_set1_epi32 as i32, _mm512_mask_loadu_epi32, _mm512_mask_storeu_epi32,
        _mm512_mask_blend_epi32, unzip_32, _mm512_broadcastd_epi32, _mm512_max_epi32, _mm512_cmpgt_epi32_mask;
    i64, 8 of 8 / 8, mask __mmask8: _mm512_set1_epi64 as i64, _mm512_mask_loadu_epi64, _mm512_mask_storeu_epi64,
        _mm512_mask_blend_epi64, unzip_64, _mm512_broadcastq_epi64, _mm512_max_epi64, _mm512_cmpgt_epi64_mask;
}

macro_rules! tables {
    ($($A:ty as $V:ty, unit $UNIT:literal, mask $M:ty, two $TWO:literal: $permute:ident, $permute_two:ident);+ $(;)?) => { $(
        impl Tables<$A> for Avx512 {
            const UNIT: usize = $UNIT;
            const TWO: bool = $TWO;
            const PAIRS: bool = true;
            type Table = __m512i;
            const MASK_BYTES: usize = size_of::<$M>();
            const MASK_BITS: bool = true;

            #[inline(always)]
            unsafe fn table(self, p: *const u8) -> __m512i {
                // SAFETY: the token, and the trait's contract.
                unsafe { _mm512_loadu_si512(p.cast()) }
            }

            #[inline(always)]
            unsafe fn load_mask(self, p: *const u8) -> $M {
                // SAFETY: the bytes of a mask are readable by the trait's contract.
                unsafe { p.cast::<$M>().read_unaligned() }
            }

            instructions! {
                fn permute(self, v: $V, t: __m512i) -> $V { $permute(t, v) }
                fn permute_two(self, a: $V, b: $V, t: __m512i) -> $V { $permute_two(a, t, b) }
            }
        }
    )+ };
}

// Words move as bytes, by the same tables: one vector of them costs the same. Two vectors of bytes
// or words are several instructions' work to some CPUs.
tables! {
    f32 as __m512, unit 4, mask __mmask16, two true: _mm512_permutexvar_ps, _mm512_permutex2var_ps;
    f64 as __m512d, unit 8, mask __mmask8, two true: _mm512_permutexvar_pd, _mm512_permutex2var_pd;
    i8 as __m512i, unit 1, mask __mmask64, two true: _mm512_permutexvar_epi8, _mm512_permutex2var_epi8;
    u8 as __m512i, unit 1, mask __mmask64, two true: _mm512_permutexvar_epi8, _mm512_permutex2var_epi8;
    i16 as __m512i, unit 1, mask __mmask32, two true: _mm512_permutexvar_epi8, _mm512_permutex2var_epi8;
    i32 as __m512i, unit 4, mask __mmask16, two true: _mm512_permutexvar_epi32, _mm512_permutex2var_epi32;
    i64 as __m512i, unit 8, mask __mmask8, two true: _mm512_permutexvar_epi64, _mm512_permutex2var_epi64;
}

adds! { Avx512:
    f32 as __m512, _mm512_add_ps;
    f64 as __m512d, _mm512_add_pd;
    i16 as __m512i, _mm512_add_epi16;
    i32 as __m512i, _mm512_add_epi32;
    i64 as __m512i, _mm512_add_epi64;
}

/// See `mul_high` of AVX2.
#[inline]
#[target_feature(enable = "avx512bw")]
fn mul_high(a: __m512i, b: __m512i) -> __m512i {
    let high;
    // SAFETY: an instruction of AVX-512 BW, which reads and writes registers alone.
    unsafe {
        core::arch::asm!("vpmulhuw {}, {}, {}", lateout(zmm_reg) high, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    high
}

impl Integers16 for Avx512 {
    instructions! {
        fn mul_high(self, a: __m512i, b: __m512i) -> __m512i { mul_high(a, b) }
        fn mul_low(self, a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi16(a, b) }
        fn shift_right(self, a: __m512i, bits: u32) -> __m512i { _mm512_srl_epi16(a, _mm_cvtsi32_si128(bits as i32)) }
    }
}

macro_rules! signed {
    ($($A:ty, mask $M:ty: |$a:ident| $sign:expr, $equal:ident);+ $(;)?) => { $(
        impl Integers<$A> for Avx512 {
            instructions! {
                fn sign(self, $a: __m512i) -> __m512i { $sign }
                fn equal(self, a: __m512i, b: __m512i) -> $M { $equal(a, b) }
                fn and(self, a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
                // Spelt as two instructions, it becomes three, of which two wait for the one port that knows masks.
                fn flip(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i { _mm512_ternarylogic_epi32::<0x78>(a, b, c) }
            }
        }
    )+ };
}

signed! {
    i16, mask __mmask32: |a| _mm512_srai_epi16::<15>(a), _mm512_cmpeq_epi16_mask;
    i32, mask __mmask16: |a| _mm512_srai_epi32::<31>(a), _mm512_cmpeq_epi32_mask;
    i64, mask __mmask8: |a| _mm512_srai_epi64::<63>(a), _mm512_cmpeq_epi64_mask;
}

nearest! { "avx512f":
    nearest_32: __m512, _mm512_roundscale_ps, _mm512_add_ps, _mm512_sub_ps;
    nearest_64: __m512d, _mm512_roundscale_pd, _mm512_add_pd, _mm512_sub_pd;
}

/// Of eight words of 32 bits, by way of `f64`.
#[inline]
#[target_feature(enable = "avx512f")]
fn half_quotient(sum: __m256i, divisor: __m256i, away: bool) -> __m256i {
    _mm512_cvttpd_epi32(nearest_64(_mm512_div_pd(_mm512_cvtepi32_pd(sum), _mm512_cvtepi32_pd(divisor)), away))
}

impl Integers64 for Avx512 {
    instructions! {
        fn quotient(self, sum: __m512i, divisor: __m512i, away: bool) -> __m512i {
            _mm512_cvttpd_epi64(nearest_64(_mm512_div_pd(_mm512_cvtepi64_pd(sum), _mm512_cvtepi64_pd(divisor)), away))
        }
    }
}

impl Integers32 for Avx512 {
    instructions! {
        fn product(self, a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi32(a, b) }
        fn shifted(self, a: __m512i, bits: u32) -> __m512i { _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn quotient(self, sum: __m512i, divisor: __m512i, away: bool) -> __m512i {
            _mm512_cvttps_epi32(nearest_32(_mm512_div_ps(_mm512_cvtepi32_ps(sum), _mm512_cvtepi32_ps(divisor)), away))
        }
        fn long_quotient(self, sum: __m512i, divisor: __m512i, away: bool) -> __m512i {{
            let low = half_quotient(_mm512_castsi512_si256(sum), _mm512_castsi512_si256(divisor), away);
            let high = half_quotient(_mm512_extracti64x4_epi64::<1>(sum), _mm512_extracti64x4_epi64::<1>(divisor), away);
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
        }}
        fn scaled(self, sum: __m512i, multiplier: __m512i) -> __m512i {{
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_castsi512_ps(multiplier));
            let near = _mm512_min_ps(_mm512_max_ps(product, _mm512_set1_ps(-FAR)), _mm512_set1_ps(FAR));
            _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(near)
        }}
    }
}

/// Narrower elements in memory, as many as a vector has lanes, loaded and stored whole or in part.
macro_rules! narrow {
    ($($name:ident: $V:ty, $load:ident, $store:ident, $splat:ident as $P:ty, mask $M:ty, $mask_load:ident, $mask_store:ident);+ $(;)?) => { $(
        mod $name {
            use core::arch::x86_64::*;

            pub(super) use core::arch::x86_64::{$load as load, $store as store};

            fn first(n: usize) -> $M {
                ((1_u64 << n) - 1) as $M
            }

            /// # Safety
            /// `p .. p + n` is readable, and `n` is no more than a vector of these.
            #[inline]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
            pub(super) unsafe fn load_first<T>(p: *const T, n: usize, fill: $P) -> $V {
                // SAFETY: the mask covers the n elements that are readable by this function's contract.
                unsafe { $mask_load($splat(fill), first(n), p.cast()) }
            }

            /// # Safety
            /// `p .. p + n` is writable, and `n` is no more than a vector of these.
            #[inline]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
            pub(super) unsafe fn store_first<T>(p: *mut T, n: usize, v: $V) {
                // SAFETY: the mask covers the n elements that are writable by this function's contract.
                unsafe { $mask_store(p.cast(), first(n), v) }
            }
        }
    )+ };
}

narrow! {
    bytes_32: __m256i, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi8 as i8, mask __mmask32, _mm256_mask_loadu_epi8, _mm256_mask_storeu_epi8;
    bytes_16: __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_set1_epi8 as i8, mask __mmask16, _mm_mask_loadu_epi8, _mm_mask_storeu_epi8;
    bytes_8: __m128i, _mm_loadl_epi64, _mm_storel_epi64, _mm_set1_epi8 as i8, mask __mmask16, _mm_mask_loadu_epi8, _mm_mask_storeu_epi8;
    words_16: __m256i, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi16 as i16, mask __mmask16, _mm256_mask_loadu_epi16, _mm256_mask_storeu_epi16;
    words_8: __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_set1_epi16 as i16, mask __mmask8, _mm_mask_loadu_epi16, _mm_mask_storeu_epi16;
    longs_8: __m256i, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_set1_epi32 as i32, mask __mmask8, _mm256_mask_loadu_epi32, _mm256_mask_storeu_epi32;
}

/// Loads that widen and stores that narrow, saturating, whole or in part; and what adds the neighbours of a whole vector of
/// elements, where it takes fewer instructions than to widen them all.
macro_rules! widen {
    ($($T:ty => $A:ty: $narrow:ident, |$w:ident| $load:expr, |$v:ident| $store:expr $(, sums |$whole:ident| $sums:expr)?);+ $(;)?) => { $(
        impl Widen<$T, $A> for Avx512 {
            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> <Self as Lanes<$A>>::V {
                // SAFETY: the token, and the trait's contract.
                unsafe {
                    let $w = $narrow::load(p.cast());
                    $load
                }
            }

            #[inline(always)]
            unsafe fn store_narrow(self, p: *mut $T, $v: <Self as Lanes<$A>>::V) {
                // SAFETY: the token, and the trait's contract.
                unsafe { $narrow::store(p.cast(), $store) }
            }

            #[inline(always)]
            unsafe fn load_wide_first(self, p: *const $T, n: usize, fill: $T) -> <Self as Lanes<$A>>::V {
                debug_assert!(n <= <Self as Lanes<$A>>::N);
                // SAFETY: the token, and the trait's contract.
                unsafe {
                    let $w = $narrow::load_first(p, n, bytemuck::cast(fill));
                    $load
                }
            }

            #[inline(always)]
            unsafe fn store_narrow_first(self, p: *mut $T, n: usize, $v: <Self as Lanes<$A>>::V) {
                debug_assert!(n <= <Self as Lanes<$A>>::N);
                // SAFETY: the token, and the trait's contract.
                unsafe { $narrow::store_first(p, n, $store) }
            }

            $( sums!($T as $A, |$whole| $sums); )?
        }
    )+ };
}

// The narrowing instructions that saturate as unsigned take their source as unsigned: below 0 is cut off first.
widen! {
    u8 => i16: bytes_32, |w| _mm512_cvtepu8_epi16(w),
        |v| _mm512_cvtusepi16_epi8(_mm512_max_epi16(v, _mm512_setzero_si512())),
        sums |w| _mm512_maddubs_epi16(w, _mm512_set1_epi8(1));
    i8 => i16: bytes_32, |w| _mm512_cvtepi8_epi16(w), |v| _mm512_cvtsepi16_epi8(v),
        sums |w| _mm512_maddubs_epi16(_mm512_set1_epi8(1), w);
    u8 => i32: bytes_16, |w| _mm512_cvtepu8_epi32(w),
        |v| _mm512_cvtusepi32_epi8(_mm512_max_epi32(v, _mm512_setzero_si512())),
        sums |w| _mm512_sad_epu8(w, _mm512_setzero_si512());
    i8 => i32: bytes_16, |w| _mm512_cvtepi8_epi32(w), |v| _mm512_cvtsepi32_epi8(v),
        sums |w| _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_set1_epi8(1), w), _mm512_set1_epi16(1));
    i16 => i32: words_16, |w| _mm512_cvtepi16_epi32(w), |v| _mm512_cvtsepi32_epi16(v),
        sums |w| _mm512_madd_epi16(w, _mm512_set1_epi16(1));
    u16 => i32: words_16, |w| _mm512_cvtepu16_epi32(w),
        |v| _mm512_cvtusepi32_epi16(_mm512_max_epi32(v, _mm512_setzero_si512()));
    i16 => i64: words_8, |w| _mm512_cvtepi16_epi64(w), |v| _mm512_cvtsepi64_epi16(v);
    u16 => i64: words_8, |w| _mm512_cvtepu16_epi64(w),
        |v| _mm512_cvtusepi64_epi16(_mm512_max_epi64(v, _mm512_setzero_si512()));
    u8 => i64: bytes_8, |w| _mm512_cvtepu8_epi64(w),
        |v| _mm512_cvtusepi64_epi8(_mm512_max_epi64(v, _mm512_setzero_si512()));
    i8 => i64: bytes_8, |w| _mm512_cvtepi8_epi64(w), |v| _mm512_cvtsepi64_epi8(v);
    f32 => f64: longs_8, |w| _mm512_cvtps_pd(_mm256_castsi256_ps(w)), |v| _mm256_castps_si256(_mm512_cvtpd_ps(v));
    i32 => i64: longs_8, |w| _mm512_cvtepi32_epi64(w), |v| _mm512_cvtsepi64_epi32(v);
    u32 => i64: longs_8, |w| _mm512_cvtepu32_epi64(w),
        |v| _mm512_cvtusepi64_epi32(_mm512_max_epi64(v, _mm512_setzero_si512()));
}

#[cfg(feature = "half")]
widen! {
    half::f16 => f32: words_16, |w| _mm512_cvtph_ps(w),
        |v| _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v);
    half::bf16 => f32: words_16, |w| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(w))),
        |v| _mm512_cvtepi32_epi16(round_bf16(v));
}

/// The nearest bf16, ties to even, in the low words. The canonical NaN stays itself.
#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round_bf16(v: __m512) -> __m512i {
    let bits = _mm512_castps_si512(v);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))))
}
