//! The largest of f32 and of bytes, whose lanes memory holds as they are. Every other extreme is found by keys (`keys.rs`).
//!
//! Bytes are as plain as they look. For floats, hardware disagrees with itself about NaN and about the order of the two
//! zeros, so nothing here asks it:
//!
//! - **Zero.** A zero maximum is +0, whatever the signs of the zeros it was chosen from: `finish` adds +0.0, which
//!   changes no other number. An exact −0 < +0 costs 16 to 38 % on AVX2 (`max(a, b) & max(b, a)`).
//! - **NaN.** The hot loop uses the bare hardware instruction and watches: one unordered compare for two fresh vectors,
//!   or-ed over a tile. A tile that met a NaN is done again by a careful twin, [`Keys`](super::keys::Keys). Compare and
//!   blend at every tap was measured instead: up to +54 % (AVX-512), +93 % (AVX2), +225 % (portable) in a prototype, on
//!   Zen 5.

use super::{as_in_memory, undivided, unwatched};
use crate::kernels::leaf::seek::Seek;
use crate::kernels::simd::{Floats, Lane, LaneOp, Lanes, Tables};

/// Lanes that have a NaN, infinities and two zeros.
pub(crate) trait FloatLane: Lane {
    const LOWEST: Self;
    const HIGHEST: Self;
    /// The canonical quiet NaN: positive, no payload.
    const NAN: Self;
    const ZERO: Self;
}

macro_rules! float_lane {
    ($($lane:ident, NaN $nan:literal);+ $(;)?) => { $(
        impl FloatLane for $lane {
            const LOWEST: Self = $lane::NEG_INFINITY;
            const HIGHEST: Self = $lane::INFINITY;
            const NAN: Self = $lane::from_bits($nan);
            const ZERO: Self = 0.0;
        }
    )+ };
}

float_lane! {
    f32, NaN 0x7fc0_0000;
    f64, NaN 0x7ff8_0000_0000_0000;
}

/// The largest of floats while no NaN is about.
#[derive(Clone, Copy)]
pub(crate) struct Watched;

impl<S: Floats<f32>> LaneOp<f32, S> for Watched {
    const FUSED: bool = true;
    const IDEMPOTENT: bool = true;
    as_in_memory!(f32, S);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> f32 {
        f32::NEG_INFINITY
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        s.add(v, s.splat(0.0))
    }

    const WATCH: bool = true;
    type Flag = S::M;

    #[inline(always)]
    fn clean(self, s: S) -> S::M {
        s.first(0)
    }

    #[inline(always)]
    fn watch(self, s: S, flag: S::M, a: S::V, b: S::V) -> S::M {
        s.or(flag, s.unordered(a, b))
    }

    #[inline(always)]
    fn dirty(self, s: S, flag: S::M) -> bool {
        s.any(flag)
    }
}

impl<S: Floats<f32>> Seek<f32, S> for Watched {
    #[inline(always)]
    fn takes(self, s: S, tap: S::V, best: S::V) -> S::M {
        s.greater(tap, best)
    }
}

/// The largest of unsigned bytes.
#[derive(Clone, Copy)]
pub(crate) struct Whole;

impl<S: Tables<u8>> LaneOp<u8, S> for Whole {
    const FUSED: bool = true;
    const ANY_ORDER: bool = true;
    const IDEMPOTENT: bool = true;
    as_in_memory!(u8, S);
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> u8 {
        0
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    #[inline(always)]
    fn finish(self, _s: S, v: S::V, _divisor: ()) -> S::V {
        v
    }
}

/// The largest byte after some bits of each were flipped, which are flipped back at the end.
///
/// All bits: the smallest. The sign bit: the order of signed bytes. So one piece of code serves the extremes of bytes that
/// are asked for less often, at the price of one instruction a load.
#[derive(Clone, Copy)]
pub(crate) struct Flipped(pub(crate) u8);

impl<S: Tables<u8>> LaneOp<u8, S> for Flipped {
    const FUSED: bool = true;
    type T = u8;
    const ANY_ORDER: bool = true;
    const IDEMPOTENT: bool = true;
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> u8 {
        0
    }

    #[inline(always)]
    fn identity(self) -> u8 {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const u8) -> S::V {
        // SAFETY: the same contract.
        s.xor(unsafe { s.load(p) }, s.splat(self.0))
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const u8, n: usize) -> S::V {
        // SAFETY: the same contract.
        s.xor(unsafe { s.load_first(p, n, self.0) }, s.splat(self.0))
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        s.xor(v, s.splat(self.0))
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut u8, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut u8, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_first(p, n, v) }
    }

    #[inline(always)]
    unsafe fn store_halves(self, s: S, p: *mut u8, apart: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_halves(p, apart, v) }
    }
}

impl<S: Tables<u8>> Seek<u8, S> for Flipped {
    #[inline(always)]
    fn takes(self, s: S, tap: S::V, best: S::V) -> S::M {
        s.greater(tap, best)
    }
}
