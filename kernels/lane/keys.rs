//! The largest and the smallest of floats and of integers, as signed integers in the order of the numbers.
//!
//! A float's bits are a sign and a magnitude; flipping the magnitude of negative ones makes them a signed integer of the
//! same order, with the NaNs at both ends:
//!
//! ```text
//! bits ^ ((bits >> 15) & 0x7fff):   −NaN … −inf … −0 +0 … +inf … +NaN
//! ```
//!
//! All bits flipped, the order is reversed: a minimum is a maximum. Rotating by the number of NaNs of one sign brings all
//! of them to one end, the one that wins where NaN is to propagate or the one that loses where it is to be ignored, and
//! the integers' maximum does the rest: no watching, no second pass and, for 16-bit floats, twice as many lanes as f32.
//! An integer is its own key, or one with its sign flipped.
//!
//! The format, the direction and the NaN's place are numbers at run time. So one piece of code serves every extreme of
//! elements of 16 bits; one of 32 bits serves minima of f32 and integers, and is the careful twin of the maximum of f32;
//! and one serves all elements of 64 bits.

use super::{undivided, unwatched};
use crate::kernels::leaf::seek::Seek;
use crate::kernels::simd::{Integers, Lane, LaneOp};

/// Signed integers that are keys.
pub(crate) trait Key: Lane + Ord {
    const MIN: Self;
    const MAX: Self;
    const ZERO: Self;
    const ONE: Self;
    /// All bits.
    const ALL: Self;
    /// Whether a measurement asked for leaves of its own: 16-bit floats are pooled by networks.
    const IS_COMMON: bool;
    /// Whether the drivers that are for speed alone take such lanes.
    const IS_TABLED: bool;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// The bits that flip the magnitude of a negative number and no other's.
    fn magnitude(self, mask: Self) -> Self;
}

macro_rules! key {
    ($($A:ty: common $common:literal, tabled $tabled:literal);+ $(;)?) => { $(
        impl Key for $A {
            const MIN: Self = <$A>::MIN;
            const MAX: Self = <$A>::MAX;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const ALL: Self = -1;
            const IS_COMMON: bool = $common;
            const IS_TABLED: bool = $tabled;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn xor(self, other: Self) -> Self {
                self ^ other
            }

            fn magnitude(self, mask: Self) -> Self {
                if self < 0 { mask } else { 0 }
            }
        }
    )+ };
}

key! {
    i16: common true, tabled true;
    i32: common false, tabled true;
    i64: common false, tabled false;
}

/// The extreme of numbers by their keys.
#[derive(Clone, Copy)]
pub(crate) struct Keys<A> {
    /// Flipped in a negative float, all bits but the sign's. 0 for integers.
    mask: A,
    /// Flipped then: all bits for a minimum, the sign of an unsigned integer.
    flip: A,
    /// Added then.
    rotation: A,
    /// A key above `high` or below `low` is a NaN.
    high: A,
    low: A,
    /// The bits of the canonical NaN.
    nan: A,
    /// Those of −0. For integers those of 0.
    minus_zero: A,
}

impl<A: Key> Keys<A> {
    /// Of floats whose canonical NaN and whose infinity have these bits. NaN is either the result or missing data.
    pub(crate) fn floats(nan: A, infinity: A, is_min: bool, propagates: bool) -> Self {
        // NaNs of one sign; twice as many are an end.
        let nans = A::MAX.minus(infinity);
        let end = nans.plus(nans);
        let (rotation, high, low) = if propagates {
            (A::ZERO.minus(nans), A::MAX.minus(end), A::MIN)
        } else {
            (nans, A::MAX, A::MIN.plus(end))
        };
        let flip = if is_min { A::ALL } else { A::ZERO };
        Self { mask: A::MAX, flip, rotation, high, low, nan, minus_zero: A::MIN }
    }

    /// Of integers that are ordered as signed ones once these bits are flipped.
    pub(crate) fn integers(flip: A) -> Self {
        let [mask, rotation, nan, minus_zero] = [A::ZERO; 4];
        Self { mask, flip, rotation, high: A::MAX, low: A::MIN, nan, minus_zero }
    }

    #[inline(always)]
    fn key<S: Integers<A>>(self, s: S, bits: S::V) -> S::V {
        let ordered = s.xor(turn(s, bits, self.mask), s.splat(self.flip));
        s.add(ordered, s.splat(self.rotation))
    }
}

/// Orders the bits of floats, or makes bits of ordered integers: its own inverse. `mask` has all bits but the sign's.
#[inline(always)]
pub(crate) fn turn<A: Lane, S: Integers<A>>(s: S, v: S::V, mask: A) -> S::V {
    s.flip(v, s.sign(v), s.splat(mask))
}

impl<A: Key, S: Integers<A>> LaneOp<A, S> for Keys<A> {
    const FUSED: bool = A::IS_COMMON;
    const CONVERTS: bool = A::IS_COMMON;
    const TABLED: bool = A::IS_TABLED;
    const SHIFTED: bool = A::IS_TABLED;
    type T = A;
    const ANY_ORDER: bool = true;
    const IDEMPOTENT: bool = true;
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> A {
        A::MIN
    }

    #[inline(always)]
    fn identity(self) -> A {
        let ordered = A::MIN.minus(self.rotation).xor(self.flip);
        ordered.xor(ordered.magnitude(self.mask))
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const A) -> S::V {
        // SAFETY: the same contract.
        self.key(s, unsafe { s.load(p) })
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const A, n: usize) -> S::V {
        // SAFETY: the same contract.
        self.key(s, unsafe { s.load_first(p, n, LaneOp::<A, S>::identity(self)) })
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    /// From a key to the number's bits; −0 becomes +0 and any NaN the canonical one.
    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        let ordered = s.xor(s.add(v, s.splat(A::ZERO.minus(self.rotation))), s.splat(self.flip));
        let bits = turn(s, ordered, self.mask);
        let bits = s.pick(s.equal(bits, s.splat(self.minus_zero)), s.splat(A::ZERO), bits);
        let bits = s.pick(s.greater(v, s.splat(self.high)), s.splat(self.nan), bits);
        s.pick(s.greater(s.splat(self.low), v), s.splat(self.nan), bits)
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

impl<A: Key, S: Integers<A>> Seek<A, S> for Keys<A> {
    /// A zero of the one sign becomes one of the other, so that a later one does not beat the first.
    #[inline(always)]
    fn level(self, s: S, key: S::V) -> S::V {
        // The two zeros are neighbours, whichever way the order goes. Integers have one.
        let zero = self.rotation;
        let below = if self.mask == A::ZERO { zero } else { zero.minus(A::ONE) };
        s.pick(s.equal(key, s.splat(below)), s.splat(zero), key)
    }

    /// NaN takes every place where it wins: the last NaN of a window is named.
    #[inline(always)]
    fn takes(self, s: S, tap: S::V, best: S::V) -> S::M {
        s.or(s.greater(tap, best), s.greater(tap, s.splat(self.high)))
    }

    /// And gives every place up where it is ignored.
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        s.or(self.takes(s, tap, best), s.greater(s.splat(self.low), best))
    }

    #[inline(always)]
    fn lost(self, s: S, best: S::V, label: S::V, last: S::V) -> S::V {
        if self.low == A::MIN {
            return label;
        }
        s.pick(s.greater(s.splat(self.low), best), last, label)
    }
}
