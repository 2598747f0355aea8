//! The largest and the smallest, of lanes that memory holds as they are.
//!
//! Integers are as plain as they look. For floats, hardware disagrees with itself about NaN and about the order of the two zeros, so nothing here asks it:
//!
//! - **Zero.** A zero maximum or minimum is +0, whatever the signs of the zeros it was chosen from: `finish` adds +0.0,
//!   which changes no other number. An exact −0 < +0 costs 16 to 38 % on AVX2 (`max(a, b) & max(b, a)`).
//! - **NaN.** The hot loop uses the bare hardware instruction and watches: one unordered compare for two fresh vectors,
//!   or-ed over a tile. A tile that met a NaN is done again by a careful twin, [`Careful`].
//!   Compare and blend at every tap was measured instead: up to +54 % (AVX-512), +93 % (AVX2), +225 % (portable) in a prototype, on Zen 5.

use super::{as_in_memory, undivided, unwatched};
use crate::kernels::leaf::seek::Seek;
use crate::kernels::simd::{Floats, Lane, LaneOp, Lanes, Tables};

/// The lanes' ends: −inf and +inf for floats, never the lowest and highest finite number.
pub(crate) trait Ends: Lane {
    const LOWEST: Self;
    const HIGHEST: Self;
}

macro_rules! ends {
    ($($lane:ty: $lowest:expr, $highest:expr);+ $(;)?) => { $(
        impl Ends for $lane {
            const LOWEST: Self = $lowest;
            const HIGHEST: Self = $highest;
        }
    )+ };
}

ends! {
    f32: f32::NEG_INFINITY, f32::INFINITY;
    f64: f64::NEG_INFINITY, f64::INFINITY;
    i8: i8::MIN, i8::MAX;
    u8: u8::MIN, u8::MAX;
    i16: i16::MIN, i16::MAX;
    i32: i32::MIN, i32::MAX;
}

/// Lanes that have a NaN and two zeros.
pub(crate) trait FloatLane: Ends {
    fn is_negative(self) -> bool;
    /// The canonical quiet NaN: positive, no payload.
    const NAN: Self;
    const ZERO: Self;
    /// The bits of the sign alone.
    const SIGN: Self;
}

impl FloatLane for f32 {
    fn is_negative(self) -> bool {
        self.is_sign_negative()
    }

    const NAN: Self = f32::from_bits(0x7fc0_0000);
    const ZERO: Self = 0.0;
    const SIGN: Self = -0.0;
}

impl FloatLane for f64 {
    fn is_negative(self) -> bool {
        self.is_sign_negative()
    }

    const NAN: Self = f64::from_bits(0x7ff8_0000_0000_0000);
    const ZERO: Self = 0.0;
    const SIGN: Self = -0.0;
}

/// The largest of floats while no NaN is about.
#[derive(Clone, Copy)]
pub(crate) struct Watched<A>(pub(crate) Careful<A>);

impl<A: FloatLane, S: Floats<A>> LaneOp<A, S> for Watched<A> {
    const TABLED: bool = true;
    // Networks pool f32; f64 goes through the general leaves.
    const FUSED: bool = size_of::<A>() == 4;
    const IDEMPOTENT: bool = true;
    as_in_memory!(A, S);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> A {
        A::LOWEST
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        s.add(v, s.splat(A::ZERO))
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

    type Careful = Careful<A>;

    #[inline(always)]
    fn careful(self) -> Careful<A> {
        self.0
    }
}

/// The extreme of any floats, at one blend a tap or two. Direction and policy are numbers at run time: one piece of code for all.
#[derive(Clone, Copy)]
pub(crate) struct Careful<A> {
    /// The sign bit for a minimum, which is the maximum of the numbers with their signs flipped; else 0.
    flip: A,
    /// NaN is missing data: the extreme of the numbers, NaN only where there is none, IEEE 754-2019 `maximumNumber`.
    /// Otherwise any NaN in the window makes the canonical NaN: PyTorch's rule, IEEE 754-2019 `maximum`.
    ignore: bool,
}

impl<A: FloatLane> Careful<A> {
    pub(crate) fn largest(ignore: bool) -> Self {
        Self { flip: A::ZERO, ignore }
    }

    pub(crate) fn smallest(ignore: bool) -> Self {
        Self { flip: A::SIGN, ignore }
    }
}

impl<A: FloatLane, S: Floats<A>> LaneOp<A, S> for Careful<A> {
    type T = A;
    // It stands in for the hot twin in every driver.
    const TABLED: bool = true;
    const SHIFTED: bool = true;
    const IDEMPOTENT: bool = true;
    unwatched!(S, S::V);
    undivided!(S, S::V);

    /// Padding is missing data too, so where NaN is ignored it is the identity. (A window without a valid tap is not this
    /// operation's concern: `Plan` writes those itself.)
    #[inline(always)]
    fn fill(self) -> A {
        if self.ignore { A::NAN } else { A::LOWEST }
    }

    #[inline(always)]
    fn identity(self) -> A {
        match (self.ignore, self.flip.is_negative()) {
            (true, _) => A::NAN,
            (false, true) => A::HIGHEST,
            (false, false) => A::LOWEST,
        }
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const A) -> S::V {
        // SAFETY: the same contract.
        s.xor(unsafe { s.load(p) }, s.splat(self.flip))
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const A, n: usize) -> S::V {
        // SAFETY: the same contract.
        let v = unsafe { s.load_first(p, n, LaneOp::<A, S>::identity(self)) };
        s.xor(v, s.splat(self.flip))
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        let best = s.max(a, b);
        if self.ignore {
            s.pick(s.unordered(b, b), a, s.pick(s.unordered(a, a), b, best))
        } else {
            s.pick(s.unordered(a, b), s.splat(A::NAN), best)
        }
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        // A window of one tap was never joined: its NaN gets its canonical bits here.
        let v = s.add(s.xor(v, s.splat(self.flip)), s.splat(A::ZERO));
        s.pick(s.unordered(v, v), s.splat(A::NAN), v)
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut A, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut A, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_first(p, n, v) }
    }

    #[inline(always)]
    unsafe fn store_halves(self, s: S, p: *mut A, apart: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_halves(p, apart * size_of::<A>(), v) }
    }
}

impl<A: FloatLane, S: Floats<A>> Seek<A, S> for Careful<A> {
    /// NaN takes every place or, where it is ignored, gives every place up: the last NaN of a window is named.
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        let weak = if self.ignore { best } else { tap };
        s.or(s.greater(tap, best), s.unordered(weak, weak))
    }
}

/// The largest of integers.
#[derive(Clone, Copy)]
pub(crate) struct Whole;

impl<A: Ends, S: Tables<A>> LaneOp<A, S> for Whole {
    const FUSED: bool = true;
    const ANY_ORDER: bool = true;
    const IDEMPOTENT: bool = true;
    as_in_memory!(A, S);
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> A {
        A::LOWEST
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

/// The largest integer after some bits of each were flipped, which are flipped back at the end.
///
/// All bits: the smallest. The sign bit: the order of the other signedness. So one piece of code serves the extremes that
/// are rarely asked for, at the price of one instruction a load.
#[derive(Clone, Copy)]
pub(crate) struct Flipped<A>(pub(crate) A);

impl<A: Ends + core::ops::BitXor<Output = A>, S: Tables<A>> LaneOp<A, S> for Flipped<A> {
    const TABLED: bool = true;
    // Signed bytes of quantised networks; longer integers go through the general leaves.
    const FUSED: bool = size_of::<A>() == 1;
    type T = A;
    const IDEMPOTENT: bool = true;
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> A {
        A::LOWEST
    }

    #[inline(always)]
    fn identity(self) -> A {
        A::LOWEST ^ self.0
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const A) -> S::V {
        // SAFETY: the same contract.
        s.xor(unsafe { s.load(p) }, s.splat(self.0))
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const A, n: usize) -> S::V {
        // SAFETY: the same contract.
        s.xor(unsafe { s.load_first(p, n, A::LOWEST ^ self.0) }, s.splat(self.0))
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
    unsafe fn store(self, s: S, p: *mut A, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut A, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_first(p, n, v) }
    }

    #[inline(always)]
    unsafe fn store_halves(self, s: S, p: *mut A, apart: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_halves(p, apart * size_of::<A>(), v) }
    }
}

impl<A: Ends + core::ops::BitXor<Output = A>, S: Tables<A>> Seek<A, S> for Flipped<A> {
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        s.greater(tap, best)
    }
}
