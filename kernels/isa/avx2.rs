//! AVX2 and F16C: 256 bits.

use core::arch::x86_64::*;

use super::MAGIC_64;
use crate::kernels::simd::{
    Adds, FAR, Floats, Integers, Integers16, Integers32, Integers64, Lanes, Tables, Widen, Words64, dealt,
};
use crate::kernels::token::Avx2;

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
    type Dealt = [Self::V; dealt(8)];

    instructions! {
        fn splat(self, x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn first(self, n: usize) -> __m256 { _mm256_castsi256_ps(first_32(n)) }
        fn pick(self, m: __m256, yes: __m256, no: __m256) -> __m256 { _mm256_blendv_ps(no, yes, m) }
        fn max(self, a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        fn greater(self, a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_GT_OQ>(a, b) }
        fn or(self, a: __m256, b: __m256) -> __m256 { _mm256_or_ps(a, b) }
        fn xor(self, a: __m256, b: __m256) -> __m256 { _mm256_xor_ps(a, b) }
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

impl Floats<f32> for Avx2 {
    instructions! {
        fn mul(self, a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn div(self, a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
        fn sqrt(self, a: __m256) -> __m256 { _mm256_sqrt_ps(a) }
        fn abs(self, a: __m256) -> __m256 { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
        fn unordered(self, a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_UNORD_Q>(a, b) }
        fn any(self, m: __m256) -> bool { _mm256_movemask_ps(m) != 0 }
    }
}

impl Lanes<f64> for Avx2 {
    type V = __m256d;
    type M = __m256d;
    const N: usize = 4;
    type Dealt = [Self::V; dealt(4)];

    instructions! {
        fn splat(self, x: f64) -> __m256d { _mm256_set1_pd(x) }
        fn first(self, n: usize) -> __m256d { _mm256_castsi256_pd(first_64(n)) }
        fn pick(self, m: __m256d, yes: __m256d, no: __m256d) -> __m256d { _mm256_blendv_pd(no, yes, m) }
        fn max(self, a: __m256d, b: __m256d) -> __m256d { _mm256_max_pd(a, b) }
        fn greater(self, a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_GT_OQ>(a, b) }
        fn or(self, a: __m256d, b: __m256d) -> __m256d { _mm256_or_pd(a, b) }
        fn xor(self, a: __m256d, b: __m256d) -> __m256d { _mm256_xor_pd(a, b) }
        fn unzip(self, a: __m256d, b: __m256d) -> (__m256d, __m256d) {{
            let order = |v| _mm256_permute4x64_pd::<0b11_01_10_00>(v);
            (order(_mm256_unpacklo_pd(a, b)), order(_mm256_unpackhi_pd(a, b)))
        }}
        fn back(self, a: __m256d, b: __m256d) -> __m256d { _mm256_castsi256_pd(back::<8>(_mm256_castpd_si256(a), _mm256_castpd_si256(b))) }
        fn ahead(self, a: __m256d, b: __m256d) -> __m256d { _mm256_castsi256_pd(ahead::<8>(_mm256_castpd_si256(a), _mm256_castpd_si256(b))) }
        fn splat_first(self, v: __m256d) -> __m256d { _mm256_broadcastsd_pd(_mm256_castpd256_pd128(v)) }
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

impl Floats<f64> for Avx2 {
    instructions! {
        fn mul(self, a: __m256d, b: __m256d) -> __m256d { _mm256_mul_pd(a, b) }
        fn div(self, a: __m256d, b: __m256d) -> __m256d { _mm256_div_pd(a, b) }
        fn sqrt(self, a: __m256d) -> __m256d { _mm256_sqrt_pd(a) }
        fn abs(self, a: __m256d) -> __m256d { _mm256_andnot_pd(_mm256_set1_pd(-0.0), a) }
        fn unordered(self, a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_UNORD_Q>(a, b) }
        fn any(self, m: __m256d) -> bool { _mm256_movemask_pd(m) != 0 }
    }
}

impl Words64 for Avx2 {
    instructions! {
        fn sub(self, a: __m256d, b: __m256d) -> __m256d { _mm256_sub_pd(a, b) }
        fn min(self, a: __m256d, b: __m256d) -> __m256d { _mm256_min_pd(a, b) }
        fn and_bits(self, a: __m256d, b: __m256d) -> __m256d { _mm256_and_pd(a, b) }
        fn add_bits(self, a: __m256d, b: __m256d) -> __m256d {
            _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_castpd_si256(b)))
        }
        fn down(self, a: __m256d) -> __m256d { _mm256_castsi256_pd(_mm256_srli_epi64::<52>(_mm256_castpd_si256(a))) }
        fn up(self, a: __m256d) -> __m256d { _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(a))) }
    }
}

/// Of 8 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn first_8(n: usize) -> __m256i {
    let lane = _mm256_setr_epi8(
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
        30, 31,
    );
    _mm256_cmpgt_epi8(_mm256_set1_epi8(n as i8), lane)
}

/// Of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn first_16(n: usize) -> __m256i {
    let lane = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm256_cmpgt_epi16(_mm256_set1_epi16(n as i16), lane)
}

/// Even and odd elements of `a` then `b`, which `grouped` gathers at the bottom and top of each 128-bit half.
#[inline]
#[target_feature(enable = "avx2")]
fn unzip_by(grouped: __m256i, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let (a, b) = (_mm256_shuffle_epi8(a, grouped), _mm256_shuffle_epi8(b, grouped));
    let order = |v| _mm256_permute4x64_epi64::<0b11_01_10_00>(v);
    (order(_mm256_unpacklo_epi64(a, b)), order(_mm256_unpackhi_epi64(a, b)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn unzip_8(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let half = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    unzip_by(_mm256_broadcastsi128_si256(half), a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn unzip_16(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let half = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    unzip_by(_mm256_broadcastsi128_si256(half), a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn unzip_32(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let half = _mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15);
    unzip_by(_mm256_broadcastsi128_si256(half), a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn unzip_64(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    let order = |v| _mm256_permute4x64_epi64::<0b11_01_10_00>(v);
    (order(_mm256_unpacklo_epi64(a, b)), order(_mm256_unpackhi_epi64(a, b)))
}

// AVX2 compares 64-bit lanes but has no maximum of them.
#[inline]
#[target_feature(enable = "avx2")]
fn max_64(a: __m256i, b: __m256i) -> __m256i {
    _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn min_64(a: __m256i, b: __m256i) -> __m256i {
    _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b))
}

// Unsigned bytes are compared as signed ones with the sign bit flipped.
#[inline]
#[target_feature(enable = "avx2")]
fn greater_u8(a: __m256i, b: __m256i) -> __m256i {
    let flip = _mm256_set1_epi8(i8::MIN);
    _mm256_cmpgt_epi8(_mm256_xor_si256(a, flip), _mm256_xor_si256(b, flip))
}

macro_rules! integers {
    ($($A:ty, $N:literal of $BYTES:literal: $splat:ident as $P:ty, $first:ident, $unzip:ident, $broadcast:ident, $max:ident, $greater:ident);+ $(;)?) => { $(
        impl Lanes<$A> for Avx2 {
            type V = __m256i;
            type M = __m256i;
            const N: usize = $N;
            type Dealt = [Self::V; dealt($N)];

            instructions! {
                fn splat(self, x: $A) -> __m256i { $splat(x as $P) }
                fn first(self, n: usize) -> __m256i { $first(n) }
                fn pick(self, m: __m256i, yes: __m256i, no: __m256i) -> __m256i { _mm256_blendv_epi8(no, yes, m) }
                fn unzip(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) { $unzip(a, b) }
                fn back(self, a: __m256i, b: __m256i) -> __m256i { back::<$BYTES>(a, b) }
                fn ahead(self, a: __m256i, b: __m256i) -> __m256i { ahead::<$BYTES>(a, b) }
                fn splat_first(self, v: __m256i) -> __m256i { $broadcast(_mm256_castsi256_si128(v)) }
                fn max(self, a: __m256i, b: __m256i) -> __m256i { $max(a, b) }
                fn greater(self, a: __m256i, b: __m256i) -> __m256i { $greater(a, b) }
                fn or(self, a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
                fn xor(self, a: __m256i, b: __m256i) -> __m256i { _mm256_xor_si256(a, b) }
            }

            #[inline(always)]
            unsafe fn load(self, p: *const $A) -> __m256i {
                // SAFETY: the token, and the trait's contract.
                unsafe { _mm256_loadu_si256(p.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $A, v: __m256i) {
                // SAFETY: the token, and the trait's contract.
                unsafe { _mm256_storeu_si256(p.cast(), v) }
            }
        }
    )+ };
}

integers! {
    i8, 32 of 1: _mm256_set1_epi8 as i8, first_8, unzip_8, _mm256_broadcastb_epi8, _mm256_max_epi8, _mm256_cmpgt_epi8;
    u8, 32 of 1: _mm256_set1_epi8 as i8, first_8, unzip_8, _mm256_broadcastb_epi8, _mm256_max_epu8, greater_u8;
    i16, 16 of 2: _mm256_set1_epi16 as i16, first_16, unzip_16, _mm256_broadcastw_epi16, _mm256_max_epi16, _mm256_cmpgt_epi16;
    i32, 8 of 4: _mm256_set1_epi32 as i32, first_32, unzip_32, _mm256_broadcastd_epi32, _mm256_max_epi32, _mm256_cmpgt_epi32;
    i64, 4 of 8: _mm256_set1_epi64x as i64, first_64, unzip_64, _mm256_broadcastq_epi64, max_64, _mm256_cmpgt_epi64;
}

/// The 4-byte words of `a` and then of `b` that the table names.
#[inline]
#[target_feature(enable = "avx2")]
fn permute_two(a: __m256i, b: __m256i, t: __m256i) -> __m256i {
    let (of_a, of_b) = (_mm256_permutevar8x32_epi32(a, t), _mm256_permutevar8x32_epi32(b, t));
    // Bit 3 of an index says which of the two, and signs are what a blend looks at.
    let which = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(t));
    _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(of_a), _mm256_castsi256_ps(of_b), which))
}

/// What every table of the tier is: a vector in memory, beside masks that are vectors too.
macro_rules! in_memory {
    ($M:ty, $load_mask:ident) => {
        type Table = __m256i;
        const MASK_BYTES: usize = size_of::<$M>();
        const MASK_BITS: bool = false;

        #[inline(always)]
        unsafe fn table(self, p: *const u8) -> __m256i {
            // SAFETY: the token, and the trait's contract.
            unsafe { _mm256_loadu_si256(p.cast()) }
        }

        #[inline(always)]
        unsafe fn load_mask(self, p: *const u8) -> $M {
            // SAFETY: the token, and the trait's contract: a mask is as many bytes as a vector.
            unsafe { $load_mask(p.cast()) }
        }
    };
}

/// Lanes of one or two 4-byte words, and how they become words and are made of them.
macro_rules! tables_of_words {
    ($($A:ty as $V:ty, mask $M:ty, $load_mask:ident, |$v:ident| $words:expr, |$w:ident| $lanes:expr);+ $(;)?) => { $(
        impl Tables<$A> for Avx2 {
            const UNIT: usize = 4;
            const TWO: bool = true;
            in_memory!($M, $load_mask);

            instructions! {
                fn permute(self, $v: $V, t: __m256i) -> $V {{
                    let $w = _mm256_permutevar8x32_epi32($words, t);
                    $lanes
                }}
                fn permute_two(self, a: $V, b: $V, t: __m256i) -> $V {{
                    let $w = permute_two({ let $v = a; $words }, { let $v = b; $words }, t);
                    $lanes
                }}
            }
        }
    )+ };
}

tables_of_words! {
    f32 as __m256, mask __m256, _mm256_loadu_ps, |v| _mm256_castps_si256(v), |w| _mm256_castsi256_ps(w);
    f64 as __m256d, mask __m256d, _mm256_loadu_pd, |v| _mm256_castpd_si256(v), |w| _mm256_castsi256_pd(w);
    i32 as __m256i, mask __m256i, _mm256_loadu_si256, |v| v, |w| w;
    i64 as __m256i, mask __m256i, _mm256_loadu_si256, |v| v, |w| w;
}

/// Lanes of one or two bytes, which one instruction moves within 128-bit halves alone.
macro_rules! tables_of_bytes {
    ($($A:ty),+) => { $(
        impl Tables<$A> for Avx2 {
            const UNIT: usize = 1;
            const HALVES: usize = 2;
            const TWO: bool = false;
            in_memory!(__m256i, _mm256_loadu_si256);

            instructions! {
                fn permute(self, v: __m256i, t: __m256i) -> __m256i { _mm256_shuffle_epi8(v, t) }
            }

            // Nothing short does it: through memory. The remainders keep every index in bounds.
            #[inline(always)]
            fn permute_two(self, a: __m256i, b: __m256i, t: __m256i) -> __m256i {
                let both: [u8; 64] = bytemuck::cast([a, b]);
                let t: [u8; 32] = bytemuck::cast(t);
                let mut moved = [0; 32];
                for i in 0..32 {
                    moved[i] = both[t[i] as usize % 64];
                }
                bytemuck::cast(moved)
            }

            #[inline(always)]
            unsafe fn spread(self, v: __m256i, p: *const u8) -> __m256i {
                // SAFETY: the token, and the trait's contract: eight words are readable.
                unsafe { _mm256_permutevar8x32_epi32(v, _mm256_loadu_si256(p.cast())) }
            }

            #[inline(always)]
            unsafe fn store_halves(self, p: *mut $A, apart: usize, v: __m256i) {
                // SAFETY: the token, and the trait's contract: both places take half a vector.
                unsafe {
                    _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(v));
                    _mm_storeu_si128(p.byte_add(apart).cast(), _mm256_extracti128_si256::<1>(v));
                }
            }
        }
    )+ };
}

tables_of_bytes!(i8, u8, i16);

adds! { Avx2:
    f32 as __m256, _mm256_add_ps;
    f64 as __m256d, _mm256_add_pd;
    i16 as __m256i, _mm256_add_epi16;
    i32 as __m256i, _mm256_add_epi32;
    i64 as __m256i, _mm256_add_epi64;
}

/// The compiler takes the intrinsic apart into a product of 32 bits and, where one factor is the same all through a loop, widens
/// that one before the loop and cannot put the product together again: seven instructions for one.
#[inline]
#[target_feature(enable = "avx2")]
fn mul_high(a: __m256i, b: __m256i) -> __m256i {
    let high;
    // SAFETY: an instruction of AVX2, which reads and writes registers alone.
    unsafe {
        core::arch::asm!("vpmulhuw {}, {}, {}", lateout(ymm_reg) high, in(ymm_reg) a, in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    high
}

impl Integers16 for Avx2 {
    instructions! {
        fn mul_high(self, a: __m256i, b: __m256i) -> __m256i { mul_high(a, b) }
        fn mul_low(self, a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi16(a, b) }
        fn shift_right(self, a: __m256i, bits: u32) -> __m256i { _mm256_srl_epi16(a, _mm_cvtsi32_si128(bits as i32)) }
    }
}

macro_rules! signed {
    ($($A:ty: |$a:ident| $sign:expr, $equal:ident);+ $(;)?) => { $(
        impl Integers<$A> for Avx2 {
            instructions! {
                fn sign(self, $a: __m256i) -> __m256i { $sign }
                fn equal(self, a: __m256i, b: __m256i) -> __m256i { $equal(a, b) }
                fn and(self, a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
            }
        }
    )+ };
}

signed! {
    i16: |a| _mm256_srai_epi16::<15>(a), _mm256_cmpeq_epi16;
    i32: |a| _mm256_srai_epi32::<31>(a), _mm256_cmpeq_epi32;
    i64: |a| _mm256_cmpgt_epi64(_mm256_setzero_si256(), a), _mm256_cmpeq_epi64;
}

nearest! { "avx2":
    nearest_32: __m256, _mm256_round_ps, _mm256_add_ps, _mm256_sub_ps;
    nearest_64: __m256d, _mm256_round_pd, _mm256_add_pd, _mm256_sub_pd;
}

/// Of four words of 32 bits, by way of `f64`.
#[inline]
#[target_feature(enable = "avx2")]
fn half_quotient(sum: __m128i, divisor: __m128i, away: bool) -> __m128i {
    _mm256_cvttpd_epi32(nearest_64(_mm256_div_pd(_mm256_cvtepi32_pd(sum), _mm256_cvtepi32_pd(divisor)), away))
}

/// Words of 64 bits, below 2⁵¹, as `f64`.
#[inline]
#[target_feature(enable = "avx2")]
fn floats_64(v: __m256i) -> __m256d {
    let magic = _mm256_set1_pd(MAGIC_64);
    _mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(v, _mm256_castpd_si256(magic))), magic)
}

/// Whole numbers below 2⁵¹ as words of 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn words_64(v: __m256d) -> __m256i {
    let magic = _mm256_set1_pd(MAGIC_64);
    _mm256_sub_epi64(_mm256_castpd_si256(_mm256_add_pd(v, magic)), _mm256_castpd_si256(magic))
}

impl Integers64 for Avx2 {
    instructions! {
        fn quotient(self, sum: __m256i, divisor: __m256i, away: bool) -> __m256i {
            words_64(nearest_64(_mm256_div_pd(floats_64(sum), floats_64(divisor)), away))
        }
    }
}

impl Integers32 for Avx2 {
    instructions! {
        fn product(self, a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi32(a, b) }
        fn shifted(self, a: __m256i, bits: u32) -> __m256i { _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn quotient(self, sum: __m256i, divisor: __m256i, away: bool) -> __m256i {
            _mm256_cvttps_epi32(nearest_32(_mm256_div_ps(_mm256_cvtepi32_ps(sum), _mm256_cvtepi32_ps(divisor)), away))
        }
        fn long_quotient(self, sum: __m256i, divisor: __m256i, away: bool) -> __m256i {{
            let low = half_quotient(_mm256_castsi256_si128(sum), _mm256_castsi256_si128(divisor), away);
            let high = half_quotient(_mm256_extracti128_si256::<1>(sum), _mm256_extracti128_si256::<1>(divisor), away);
            _mm256_set_m128i(high, low)
        }}
        fn scaled(self, sum: __m256i, multiplier: __m256i) -> __m256i {{
            let product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_castsi256_ps(multiplier));
            let near = _mm256_min_ps(_mm256_max_ps(product, _mm256_set1_ps(-FAR)), _mm256_set1_ps(FAR));
            _mm256_cvttps_epi32(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(near))
        }}
    }
}

/// 16 words to bytes: both halves' results side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn low_quarters(v: __m256i) -> __m128i {
    _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b11_01_10_00>(v))
}

/// Words of 32 bits to 16, signed or not by `pack`: both halves' results side by side.
#[inline]
#[target_feature(enable = "avx2")]
fn words_i16(v: __m256i) -> __m128i {
    low_quarters(_mm256_packs_epi32(v, v))
}

/// Words of 64 bits to 32.
#[inline]
#[target_feature(enable = "avx2")]
fn words_i32(v: __m256i) -> __m128i {
    longs_between(v, i32::MIN.into(), i32::MAX.into())
}

/// The lower halves of words of 64 bits, once they lie between the bounds.
#[inline]
#[target_feature(enable = "avx2")]
fn longs_between(v: __m256i, low: i64, high: i64) -> __m128i {
    let near = min_64(max_64(v, _mm256_set1_epi64x(low)), _mm256_set1_epi64x(high));
    low_quarters(_mm256_shuffle_epi32::<0b10_00_10_00>(near))
}

/// Stores the lowest four bytes.
///
/// # Safety
/// `q .. q + 4` is writable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_4<T>(q: *mut T, v: __m128i) {
    // SAFETY: by this function's contract.
    unsafe { q.cast::<i32>().write_unaligned(_mm_cvtsi128_si32(v)) }
}

widen! { Avx2:
    u8 => i16: |p| _mm256_cvtepu8_epi16(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), low_quarters(_mm256_packus_epi16(v, v))),
        sums |w| _mm256_maddubs_epi16(w, _mm256_set1_epi8(1));
    i8 => i16: |p| _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), low_quarters(_mm256_packs_epi16(v, v))),
        sums |w| _mm256_maddubs_epi16(_mm256_set1_epi8(1), w);
    u8 => i32: |p| _mm256_cvtepu8_epi32(_mm_loadl_epi64(p.cast())),
        |q, v| _mm_storel_epi64(q.cast(), { let w = words_i16(v); _mm_packus_epi16(w, w) }),
        sums |w| _mm256_sad_epu8(w, _mm256_setzero_si256());
    i8 => i32: |p| _mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast())),
        |q, v| _mm_storel_epi64(q.cast(), { let w = words_i16(v); _mm_packs_epi16(w, w) }),
        sums |w| _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), w), _mm256_set1_epi16(1));
    i16 => i32: |p| _mm256_cvtepi16_epi32(_mm_loadu_si128(p.cast())), |q, v| _mm_storeu_si128(q.cast(), words_i16(v)),
        sums |w| _mm256_madd_epi16(w, _mm256_set1_epi16(1));
    u16 => i32: |p| _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), low_quarters(_mm256_packus_epi32(v, v)));
    i16 => i64: |p| _mm256_cvtepi16_epi64(_mm_loadl_epi64(p.cast())),
        |q, v| _mm_storel_epi64(q.cast(), { let w = words_i32(v); _mm_packs_epi32(w, w) });
    u16 => i64: |p| _mm256_cvtepu16_epi64(_mm_loadl_epi64(p.cast())),
        |q, v| _mm_storel_epi64(q.cast(), { let w = words_i32(v); _mm_packus_epi32(w, w) });
    u8 => i64: |p| _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(p.cast::<i32>().read_unaligned())),
        |q, v| store_4(q, { let w = words_i32(v); let w = _mm_packs_epi32(w, w); _mm_packus_epi16(w, w) });
    i8 => i64: |p| _mm256_cvtepi8_epi64(_mm_cvtsi32_si128(p.cast::<i32>().read_unaligned())),
        |q, v| store_4(q, { let w = words_i32(v); let w = _mm_packs_epi32(w, w); _mm_packs_epi16(w, w) });
    i32 => i64: |p| _mm256_cvtepi32_epi64(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), words_i32(v));
    f32 => f64: |p| _mm256_cvtps_pd(_mm_loadu_ps(p)), |q, v| _mm_storeu_ps(q, _mm256_cvtpd_ps(v));
    u32 => i64: |p| _mm256_cvtepu32_epi64(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), longs_between(v, 0, u32::MAX.into()));
}

#[cfg(feature = "half")]
widen! { Avx2:
    half::f16 => f32: |p| _mm256_cvtph_ps(_mm_loadu_si128(p.cast())),
        |q, v| _mm_storeu_si128(q.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
    half::bf16 => f32: |p| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))),
        |q, v| _mm_storeu_si128(q.cast(), low_quarters(_mm256_packus_epi32(round_bf16(v), round_bf16(v))));
}

/// The nearest bf16, ties to even, in the low words. The canonical NaN stays itself.
#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx2")]
fn round_bf16(v: __m256) -> __m256i {
    let bits = _mm256_castps_si256(v);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))))
}
