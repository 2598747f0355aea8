//! AArch64 NEON: 128 bits.

use core::arch::aarch64::*;
#[cfg(feature = "half")]
use core::arch::asm;

use crate::kernels::simd::{
    Adds, FAR, Floats, Integers, Integers16, Integers32, Integers64, Lanes, Tables, Widen, Words64, dealt,
};
use crate::kernels::token::Neon;

macro_rules! memory {
    ($A:ty as $V:ty, $load:ident, $store:ident) => {
        #[inline(always)]
        unsafe fn load(self, p: *const $A) -> $V {
            // SAFETY: the token, and the trait's contract.
            unsafe { $load(p) }
        }

        #[inline(always)]
        unsafe fn store(self, p: *mut $A, v: $V) {
            // SAFETY: the token, and the trait's contract.
            unsafe { $store(p, v) }
        }
    };
}

impl Lanes<f32> for Neon {
    type V = float32x4_t;
    type M = uint32x4_t;
    const N: usize = 4;
    type Dealt = [Self::V; dealt(4)];

    memory!(f32 as float32x4_t, vld1q_f32, vst1q_f32);
    instructions! {
        fn splat(self, x: f32) -> float32x4_t { vdupq_n_f32(x) }
        fn first(self, n: usize) -> uint32x4_t { vcgtq_u32(vdupq_n_u32(n as u32), vld1q_u32([0, 1, 2, 3].as_ptr())) }
        fn pick(self, m: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t { vbslq_f32(m, yes, no) }
        fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vmaxq_f32(a, b) }
        fn greater(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t { vcgtq_f32(a, b) }
        fn or(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vorrq_u32(a, b) }
        fn xor(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
        }
        fn unzip(self, a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) { (vuzp1q_f32(a, b), vuzp2q_f32(a, b)) }
        fn back(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vextq_f32::<3>(a, b) }
        fn ahead(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vextq_f32::<1>(a, b) }
        fn splat_first(self, v: float32x4_t) -> float32x4_t { vdupq_laneq_f32::<0>(v) }
    }
}

impl Floats<f32> for Neon {
    instructions! {
        fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vdivq_f32(a, b) }
        fn sqrt(self, a: float32x4_t) -> float32x4_t { vsqrtq_f32(a) }
        fn abs(self, a: float32x4_t) -> float32x4_t { vabsq_f32(a) }
        fn unordered(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
            vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)))
        }
        fn any(self, m: uint32x4_t) -> bool { vmaxvq_u32(m) != 0 }
    }
}

impl Lanes<f64> for Neon {
    type V = float64x2_t;
    type M = uint64x2_t;
    const N: usize = 2;
    type Dealt = [Self::V; dealt(2)];

    memory!(f64 as float64x2_t, vld1q_f64, vst1q_f64);
    instructions! {
        fn splat(self, x: f64) -> float64x2_t { vdupq_n_f64(x) }
        fn first(self, n: usize) -> uint64x2_t { vcgtq_u64(vdupq_n_u64(n as u64), vld1q_u64([0, 1].as_ptr())) }
        fn pick(self, m: uint64x2_t, yes: float64x2_t, no: float64x2_t) -> float64x2_t { vbslq_f64(m, yes, no) }
        fn max(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vmaxq_f64(a, b) }
        fn greater(self, a: float64x2_t, b: float64x2_t) -> uint64x2_t { vcgtq_f64(a, b) }
        fn or(self, a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vorrq_u64(a, b) }
        fn xor(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
            vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
        }
        fn unzip(self, a: float64x2_t, b: float64x2_t) -> (float64x2_t, float64x2_t) { (vuzp1q_f64(a, b), vuzp2q_f64(a, b)) }
        fn back(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vextq_f64::<1>(a, b) }
        fn ahead(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vextq_f64::<1>(a, b) }
        fn splat_first(self, v: float64x2_t) -> float64x2_t { vdupq_laneq_f64::<0>(v) }
    }
}

impl Floats<f64> for Neon {
    instructions! {
        fn mul(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vmulq_f64(a, b) }
        fn div(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vdivq_f64(a, b) }
        fn sqrt(self, a: float64x2_t) -> float64x2_t { vsqrtq_f64(a) }
        fn abs(self, a: float64x2_t) -> float64x2_t { vabsq_f64(a) }
        fn unordered(self, a: float64x2_t, b: float64x2_t) -> uint64x2_t {{
            let ordered = vandq_u64(vceqq_f64(a, a), vceqq_f64(b, b));
            veorq_u64(ordered, vdupq_n_u64(u64::MAX))
        }}
        fn any(self, m: uint64x2_t) -> bool { vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0 }
    }
}

impl Words64 for Neon {
    instructions! {
        fn sub(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vsubq_f64(a, b) }
        fn min(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vminq_f64(a, b) }
        fn and_bits(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
            vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
        }
        fn add_bits(self, a: float64x2_t, b: float64x2_t) -> float64x2_t {
            vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
        }
        fn down(self, a: float64x2_t) -> float64x2_t { vreinterpretq_f64_u64(vshrq_n_u64::<52>(vreinterpretq_u64_f64(a))) }
        fn up(self, a: float64x2_t) -> float64x2_t { vreinterpretq_f64_u64(vshlq_n_u64::<52>(vreinterpretq_u64_f64(a))) }
    }
}

#[inline(always)]
fn max_64(a: int64x2_t, b: int64x2_t) -> int64x2_t {
    // SAFETY: NEON is part of the target's baseline.
    unsafe { vbslq_s64(vcgtq_s64(a, b), a, b) }
}

macro_rules! integers {
    ($($A:ty as $V:ident, $N:literal, mask $M:ident: $load:ident, $store:ident, $splat:ident, $pick:ident, $unzip1:ident, $unzip2:ident,
        $ext:ident, $broadcast:ident, $max:ident, $xor:ident, $greater:ident, $or:ident, $lanes:expr);+ $(;)?) => { $(
        impl Lanes<$A> for Neon {
            type V = $V;
            type M = $M;
            const N: usize = $N;
            type Dealt = [Self::V; dealt($N)];

            memory!($A as $V, $load, $store);
            instructions! {
                fn splat(self, x: $A) -> $V { $splat(x) }
                fn first(self, n: usize) -> $M {{
                    let lane: [$A; $N] = $lanes;
                    $greater($splat(n as $A), $load(lane.as_ptr()))
                }}
                fn pick(self, m: $M, yes: $V, no: $V) -> $V { $pick(m, yes, no) }
                fn unzip(self, a: $V, b: $V) -> ($V, $V) { ($unzip1(a, b), $unzip2(a, b)) }
                fn back(self, a: $V, b: $V) -> $V { $ext::<{ $N - 1 }>(a, b) }
                fn ahead(self, a: $V, b: $V) -> $V { $ext::<1>(a, b) }
                fn splat_first(self, v: $V) -> $V { $broadcast::<0>(v) }
                fn max(self, a: $V, b: $V) -> $V { $max(a, b) }
                fn greater(self, a: $V, b: $V) -> $M { $greater(a, b) }
                fn or(self, a: $M, b: $M) -> $M { $or(a, b) }
                fn xor(self, a: $V, b: $V) -> $V { $xor(a, b) }
            }
        }
    )+ };
}

integers! {
    i8 as int8x16_t, 16, mask uint8x16_t: vld1q_s8, vst1q_s8, vdupq_n_s8, vbslq_s8, vuzp1q_s8, vuzp2q_s8, vextq_s8, vdupq_laneq_s8,
        vmaxq_s8, veorq_s8, vcgtq_s8, vorrq_u8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    u8 as uint8x16_t, 16, mask uint8x16_t: vld1q_u8, vst1q_u8, vdupq_n_u8, vbslq_u8, vuzp1q_u8, vuzp2q_u8, vextq_u8, vdupq_laneq_u8,
        vmaxq_u8, veorq_u8, vcgtq_u8, vorrq_u8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    i16 as int16x8_t, 8, mask uint16x8_t: vld1q_s16, vst1q_s16, vdupq_n_s16, vbslq_s16, vuzp1q_s16, vuzp2q_s16, vextq_s16,
        vdupq_laneq_s16, vmaxq_s16, veorq_s16, vcgtq_s16, vorrq_u16, [0, 1, 2, 3, 4, 5, 6, 7];
    i32 as int32x4_t, 4, mask uint32x4_t: vld1q_s32, vst1q_s32, vdupq_n_s32, vbslq_s32, vuzp1q_s32, vuzp2q_s32, vextq_s32,
        vdupq_laneq_s32, vmaxq_s32, veorq_s32, vcgtq_s32, vorrq_u32, [0, 1, 2, 3];
    i64 as int64x2_t, 2, mask uint64x2_t: vld1q_s64, vst1q_s64, vdupq_n_s64, vbslq_s64, vuzp1q_s64, vuzp2q_s64, vextq_s64,
        vdupq_laneq_s64, max_64, veorq_s64, vcgtq_s64, vorrq_u64, [0, 1];
}

/// Lanes that bytes move, and how they become bytes and are made of them.
macro_rules! tables {
    ($($A:ty as $V:ty, mask $M:ty, $load_mask:ident, |$v:ident| $bytes:expr, |$w:ident| $lanes:expr);+ $(;)?) => { $(
        impl Tables<$A> for Neon {
            const UNIT: usize = 1;
            const TWO: bool = true;
            type Table = uint8x16_t;
            const MASK_BYTES: usize = size_of::<$M>();
            const MASK_BITS: bool = false;

            #[inline(always)]
            unsafe fn table(self, p: *const u8) -> uint8x16_t {
                // SAFETY: the token, and the trait's contract.
                unsafe { vld1q_u8(p) }
            }

            #[inline(always)]
            unsafe fn load_mask(self, p: *const u8) -> $M {
                // SAFETY: the token, and the trait's contract: a mask is as many bytes as a vector.
                unsafe { $load_mask(p.cast()) }
            }

            instructions! {
                fn permute(self, $v: $V, t: uint8x16_t) -> $V {{
                    let $w = vqtbl1q_u8($bytes, t);
                    $lanes
                }}
                fn permute_two(self, a: $V, b: $V, t: uint8x16_t) -> $V {{
                    let $w = vqtbl2q_u8(uint8x16x2_t({ let $v = a; $bytes }, { let $v = b; $bytes }), t);
                    $lanes
                }}
            }
        }
    )+ };
}

tables! {
    f32 as float32x4_t, mask uint32x4_t, vld1q_u32, |v| vreinterpretq_u8_f32(v), |w| vreinterpretq_f32_u8(w);
    f64 as float64x2_t, mask uint64x2_t, vld1q_u64, |v| vreinterpretq_u8_f64(v), |w| vreinterpretq_f64_u8(w);
    i8 as int8x16_t, mask uint8x16_t, vld1q_u8, |v| vreinterpretq_u8_s8(v), |w| vreinterpretq_s8_u8(w);
    u8 as uint8x16_t, mask uint8x16_t, vld1q_u8, |v| v, |w| w;
    i16 as int16x8_t, mask uint16x8_t, vld1q_u16, |v| vreinterpretq_u8_s16(v), |w| vreinterpretq_s16_u8(w);
    i32 as int32x4_t, mask uint32x4_t, vld1q_u32, |v| vreinterpretq_u8_s32(v), |w| vreinterpretq_s32_u8(w);
    i64 as int64x2_t, mask uint64x2_t, vld1q_u64, |v| vreinterpretq_u8_s64(v), |w| vreinterpretq_s64_u8(w);
}

adds! { Neon:
    f32 as float32x4_t, vaddq_f32;
    f64 as float64x2_t, vaddq_f64;
    i16 as int16x8_t, vaddq_s16;
    i32 as int32x4_t, vaddq_s32;
    i64 as int64x2_t, vaddq_s64;
}

impl Integers16 for Neon {
    instructions! {
        fn mul_high(self, a: int16x8_t, b: int16x8_t) -> int16x8_t {{
            let (a, b) = (vreinterpretq_u16_s16(a), vreinterpretq_u16_s16(b));
            let low = vreinterpretq_u16_u32(vmull_u16(vget_low_u16(a), vget_low_u16(b)));
            let high = vreinterpretq_u16_u32(vmull_high_u16(a, b));
            vreinterpretq_s16_u16(vuzp2q_u16(low, high))
        }}
        fn mul_low(self, a: int16x8_t, b: int16x8_t) -> int16x8_t { vmulq_s16(a, b) }
        fn shift_right(self, a: int16x8_t, bits: u32) -> int16x8_t {
            vreinterpretq_s16_u16(vshlq_u16(vreinterpretq_u16_s16(a), vdupq_n_s16(-(bits as i16))))
        }
    }
}

macro_rules! signed {
    ($($A:ty as $V:ty, mask $M:ty: |$a:ident| $sign:expr, $equal:ident, $and:ident);+ $(;)?) => { $(
        impl Integers<$A> for Neon {
            instructions! {
                fn sign(self, $a: $V) -> $V { $sign }
                fn equal(self, a: $V, b: $V) -> $M { $equal(a, b) }
                fn and(self, a: $V, b: $V) -> $V { $and(a, b) }
            }
        }
    )+ };
}

signed! {
    i16 as int16x8_t, mask uint16x8_t: |a| vshrq_n_s16::<15>(a), vceqq_s16, vandq_s16;
    i32 as int32x4_t, mask uint32x4_t: |a| vshrq_n_s32::<31>(a), vceqq_s32, vandq_s32;
    i64 as int64x2_t, mask uint64x2_t: |a| vshrq_n_s64::<63>(a), vceqq_s64, vandq_s64;
}

#[inline(always)]
fn quotient_64(sum: int64x2_t, divisor: int64x2_t, away: bool) -> int64x2_t {
    // SAFETY: NEON is part of the target's baseline.
    unsafe {
        let q = vdivq_f64(vcvtq_f64_s64(sum), vcvtq_f64_s64(divisor));
        if away { vcvtaq_s64_f64(q) } else { vcvtnq_s64_f64(q) }
    }
}

impl Integers64 for Neon {
    instructions! {
        fn quotient(self, sum: int64x2_t, divisor: int64x2_t, away: bool) -> int64x2_t { quotient_64(sum, divisor, away) }
    }
}

impl Integers32 for Neon {
    instructions! {
        fn product(self, a: int32x4_t, b: int32x4_t) -> int32x4_t { vmulq_s32(a, b) }
        fn shifted(self, a: int32x4_t, bits: u32) -> int32x4_t { vshlq_s32(a, vdupq_n_s32(-(bits as i32))) }
        fn quotient(self, sum: int32x4_t, divisor: int32x4_t, away: bool) -> int32x4_t {{
            let q = vdivq_f32(vcvtq_f32_s32(sum), vcvtq_f32_s32(divisor));
            if away { vcvtaq_s32_f32(q) } else { vcvtnq_s32_f32(q) }
        }}
        fn long_quotient(self, sum: int32x4_t, divisor: int32x4_t, away: bool) -> int32x4_t {{
            let low = quotient_64(vmovl_s32(vget_low_s32(sum)), vmovl_s32(vget_low_s32(divisor)), away);
            let high = quotient_64(vmovl_high_s32(sum), vmovl_high_s32(divisor), away);
            vmovn_high_s64(vmovn_s64(low), high)
        }}
        fn scaled(self, sum: int32x4_t, multiplier: int32x4_t) -> int32x4_t {{
            let product = vmulq_f32(vcvtq_f32_s32(sum), vreinterpretq_f32_s32(multiplier));
            vcvtnq_s32_f32(vminq_f32(vmaxq_f32(product, vdupq_n_f32(-FAR)), vdupq_n_f32(FAR)))
        }}
    }
}

/// Four bytes from memory, in the lower half of an 8-byte vector, and back.
#[inline(always)]
unsafe fn load_4(p: *const u8) -> uint8x8_t {
    // SAFETY: 4 bytes are readable by the caller's contract.
    unsafe { vcreate_u8(u64::from(p.cast::<u32>().read_unaligned())) }
}

#[inline(always)]
unsafe fn store_4(q: *mut u8, v: uint8x8_t) {
    // SAFETY: 4 bytes are writable by the caller's contract.
    unsafe { q.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(v))) }
}

/// # Safety
/// `p .. p + 2` is readable.
#[inline(always)]
unsafe fn load_64<T: Copy + Into<i64>>(p: *const T) -> int64x2_t {
    // SAFETY: by this function's contract; the array holds a vector.
    unsafe { vld1q_s64([p.read_unaligned().into(), p.add(1).read_unaligned().into()].as_ptr()) }
}

/// Words of 64 bits to 16, in the lower half of a vector.
#[inline(always)]
fn words_i16(v: int64x2_t) -> int16x4_t {
    // SAFETY: NEON is part of the target's baseline.
    unsafe {
        let w = vqmovn_s64(v);
        vqmovn_s32(vcombine_s32(w, w))
    }
}

/// # Safety
/// `q .. q + 2` is writable.
#[inline(always)]
unsafe fn store_2(q: *mut u8, v: uint8x8_t) {
    // SAFETY: by this function's contract.
    unsafe { q.cast::<u16>().write_unaligned(vget_lane_u16::<0>(vreinterpret_u16_u8(v))) }
}

widen! { Neon:
    u8 => i16: |p| vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p))), |q, v| vst1_u8(q, vqmovun_s16(v)),
        sums |w| vreinterpretq_s16_u16(vpaddlq_u8(w));
    i8 => i16: |p| vmovl_s8(vld1_s8(p)), |q, v| vst1_s8(q, vqmovn_s16(v)),
        sums |w| vpaddlq_s8(w);
    u8 => i32: |p| vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_4(p))))),
        |q, v| store_4(q, { let w = vqmovn_s32(v); vqmovun_s16(vcombine_s16(w, w)) }),
        sums |w| vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(w)));
    i8 => i32: |p| vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_4(p.cast()))))),
        |q, v| store_4(q.cast(), { let w = vqmovn_s32(v); vreinterpret_u8_s8(vqmovn_s16(vcombine_s16(w, w))) }),
        sums |w| vpaddlq_s16(vpaddlq_s8(w));
    i16 => i32: |p| vmovl_s16(vld1_s16(p)), |q, v| vst1_s16(q, vqmovn_s32(v)),
        sums |w| vpaddlq_s16(w);
    u16 => i32: |p| vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p))), |q, v| vst1_u16(q, vqmovun_s32(v));
    f32 => f64: |p| vcvt_f64_f32(vld1_f32(p)), |q, v| vst1_f32(q, vcvt_f32_f64(v));
    i16 => i64: |p| load_64(p), |q, v| store_4(q.cast(), vreinterpret_u8_s16(words_i16(v)));
    u16 => i64: |p| load_64(p), |q, v| store_4(q.cast(), { let w = vqmovn_s64(v); vreinterpret_u8_u16(vqmovun_s32(vcombine_s32(w, w))) });
    u8 => i64: |p| load_64(p), |q, v| store_2(q, { let w = words_i16(v); vqmovun_s16(vcombine_s16(w, w)) });
    i8 => i64: |p| load_64(p), |q, v| store_2(q.cast(), { let w = words_i16(v); vreinterpret_u8_s8(vqmovn_s16(vcombine_s16(w, w))) });
    i32 => i64: |p| vmovl_s32(vld1_s32(p)), |q, v| vst1_s32(q, vqmovn_s64(v));
    u32 => i64: |p| vreinterpretq_s64_u64(vmovl_u32(vld1_u32(p))), |q, v| vst1_u32(q, vqmovun_s64(v));
}

/// `fcvtl`: exact. The intrinsics for it need Rust 1.94; the instruction is part of the baseline.
#[cfg(feature = "half")]
#[inline(always)]
fn widen_f16(v: uint16x4_t) -> float32x4_t {
    let wide;
    // SAFETY: NEON is part of the target's baseline; nothing but registers is touched.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) v, options(pure, nomem, nostack, preserves_flags))
    };
    wide
}

/// `fcvtn`: the nearest f16, ties to even. The canonical NaN becomes the canonical NaN.
#[cfg(feature = "half")]
#[inline(always)]
fn narrow_f16(v: float32x4_t) -> uint16x4_t {
    let narrow;
    // SAFETY: as for `widen_f16`.
    unsafe {
        asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) narrow, in(vreg) v, options(pure, nomem, nostack, preserves_flags))
    };
    narrow
}

#[cfg(feature = "half")]
widen! { Neon:
    half::f16 => f32: |p| widen_f16(vld1_u16(p.cast())), |q, v| vst1_u16(q.cast(), narrow_f16(v));
    half::bf16 => f32: |p| vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p.cast()))), |q, v| vst1_u16(q.cast(), round_bf16(v));
}

/// The nearest bf16, ties to even. The canonical NaN stays itself.
#[cfg(feature = "half")]
#[inline(always)]
fn round_bf16(v: float32x4_t) -> uint16x4_t {
    // SAFETY: NEON is part of the target's baseline.
    unsafe {
        let bits = vreinterpretq_u32_f32(v);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        vshrn_n_u32::<16>(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))))
    }
}
