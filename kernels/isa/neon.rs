//! AArch64 NEON: 128 bits.

use core::arch::aarch64::*;

use crate::kernels::simd::{Adds, Floats, Lanes};
use crate::kernels::token::Neon;

/// Methods whose body is instructions of this tier.
macro_rules! instructions {
    ($( fn $name:ident(self $(, $x:ident: $X:ty)*) -> $R:ty { $body:expr } )+) => { $(
        #[inline(always)]
        fn $name(self $(, $x: $X)*) -> $R {
            #[allow(unused_unsafe, reason = "NEON is part of the target's baseline")]
            // SAFETY: `self` exists only where `detect` found this tier's features.
            unsafe { $body }
        }
    )+ };
}

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

    memory!(f32 as float32x4_t, vld1q_f32, vst1q_f32);
    instructions! {
        fn splat(self, x: f32) -> float32x4_t { vdupq_n_f32(x) }
        fn first(self, n: usize) -> uint32x4_t { vcgtq_u32(vdupq_n_u32(n as u32), vld1q_u32([0, 1, 2, 3].as_ptr())) }
        fn pick(self, m: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t { vbslq_f32(m, yes, no) }
        fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vmaxq_f32(a, b) }
        fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vminq_f32(a, b) }
        fn unzip(self, a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) { (vuzp1q_f32(a, b), vuzp2q_f32(a, b)) }
        fn back(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vextq_f32::<3>(a, b) }
        fn ahead(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vextq_f32::<1>(a, b) }
        fn splat_first(self, v: float32x4_t) -> float32x4_t { vdupq_laneq_f32::<0>(v) }
        fn upper(self, v: float32x4_t, half: usize) -> float32x4_t {
            match half {
                2 => vextq_f32::<2>(v, v),
                _ => vextq_f32::<1>(v, v),
            }
        }
    }
}

impl Adds<f32> for Neon {
    instructions! {
        fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
    }
}

impl Floats<f32> for Neon {
    instructions! {
        fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t { vdivq_f32(a, b) }
        fn unordered(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
            vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)))
        }
        fn or(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vorrq_u32(a, b) }
        fn any(self, m: uint32x4_t) -> bool { vmaxvq_u32(m) != 0 }
    }
}

impl Lanes<f64> for Neon {
    type V = float64x2_t;
    type M = uint64x2_t;
    const N: usize = 2;

    memory!(f64 as float64x2_t, vld1q_f64, vst1q_f64);
    instructions! {
        fn splat(self, x: f64) -> float64x2_t { vdupq_n_f64(x) }
        fn first(self, n: usize) -> uint64x2_t { vcgtq_u64(vdupq_n_u64(n as u64), vld1q_u64([0, 1].as_ptr())) }
        fn pick(self, m: uint64x2_t, yes: float64x2_t, no: float64x2_t) -> float64x2_t { vbslq_f64(m, yes, no) }
        fn max(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vmaxq_f64(a, b) }
        fn min(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vminq_f64(a, b) }
        fn unzip(self, a: float64x2_t, b: float64x2_t) -> (float64x2_t, float64x2_t) { (vuzp1q_f64(a, b), vuzp2q_f64(a, b)) }
        fn back(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vextq_f64::<1>(a, b) }
        fn ahead(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vextq_f64::<1>(a, b) }
        fn splat_first(self, v: float64x2_t) -> float64x2_t { vdupq_laneq_f64::<0>(v) }
        fn upper(self, v: float64x2_t, _half: usize) -> float64x2_t { vextq_f64::<1>(v, v) }
    }
}

impl Adds<f64> for Neon {
    instructions! {
        fn add(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vaddq_f64(a, b) }
    }
}

impl Floats<f64> for Neon {
    instructions! {
        fn mul(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vmulq_f64(a, b) }
        fn div(self, a: float64x2_t, b: float64x2_t) -> float64x2_t { vdivq_f64(a, b) }
        fn unordered(self, a: float64x2_t, b: float64x2_t) -> uint64x2_t {{
            let ordered = vandq_u64(vceqq_f64(a, a), vceqq_f64(b, b));
            veorq_u64(ordered, vdupq_n_u64(u64::MAX))
        }}
        fn or(self, a: uint64x2_t, b: uint64x2_t) -> uint64x2_t { vorrq_u64(a, b) }
        fn any(self, m: uint64x2_t) -> bool { vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0 }
    }
}
