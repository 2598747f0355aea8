//! The largest and the smallest of f16 and bf16, without widening: as 16-bit integers in the order of the numbers.
//!
//! A float's bits are a sign and a magnitude; flipping the magnitude of negative ones makes them a signed integer of the
//! same order, with the NaNs at both ends:
//!
//! ```text
//! bits ^ ((bits >> 15) & 0x7fff):   −NaN … −inf … −0 +0 … +inf … +NaN
//! ```
//!
//! Rotating by the number of NaNs of one sign brings all of them to one end, the one that wins where NaN is to propagate or
//! the one that loses where it is to be ignored, and `i16`'s maximum does the rest: no watching, no second pass, twice
//! as many lanes as f32. The format and the NaN's place are numbers at run time, so one piece of code serves both
//! types and both policies.

use core::marker::PhantomData;

use super::{undivided, unwatched};
use crate::kernels::leaf::seek::Seek;
use crate::kernels::simd::{Integers16, LaneOp};

/// Which end of the order is wanted.
pub(crate) trait Direction: Copy + Send + Sync + 'static {
    /// What no key is beyond.
    const FILL: i16;
    /// Whether it has fused leaves: no model format pools minima.
    const FUSED: bool;
    fn of<S: Integers16>(s: S, a: S::V, b: S::V) -> S::V;
    /// Where `a` is strictly further that way than `b`.
    fn beyond<S: Integers16>(s: S, a: S::V, b: S::V) -> S::M;
}

#[derive(Clone, Copy)]
pub(crate) struct Largest;

impl Direction for Largest {
    const FILL: i16 = i16::MIN;
    const FUSED: bool = true;

    #[inline(always)]
    fn of<S: Integers16>(s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }

    #[inline(always)]
    fn beyond<S: Integers16>(s: S, a: S::V, b: S::V) -> S::M {
        s.greater(a, b)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Smallest;

impl Direction for Smallest {
    const FILL: i16 = i16::MAX;
    const FUSED: bool = false;

    #[inline(always)]
    fn of<S: Integers16>(s: S, a: S::V, b: S::V) -> S::V {
        s.min(a, b)
    }

    #[inline(always)]
    fn beyond<S: Integers16>(s: S, a: S::V, b: S::V) -> S::M {
        s.greater(b, a)
    }
}

/// The extreme of 16-bit floats.
#[derive(Clone, Copy)]
pub(crate) struct Keys<D> {
    direction: PhantomData<D>,
    /// Added to the ordered integer.
    rotation: i16,
    /// A key above `high` or below `low` is a NaN.
    high: i16,
    low: i16,
    /// The bits of the canonical NaN.
    nan: i16,
    /// NaN is at the end that wins.
    wins: bool,
}

impl<D> Keys<D> {
    /// For a format whose canonical NaN and whose infinity have these bits. `is_high` puts NaN at the upper end, where it
    /// `wins` a maximum and loses a minimum.
    pub(crate) fn new(nan: u16, infinity: u16, is_high: bool, wins: bool) -> Self {
        // NaNs of one sign.
        let nans = (0x7fff - infinity) as i16;
        let end = 2 * nans;
        let (rotation, high, low) =
            if is_high { (-nans, i16::MAX - end, i16::MIN) } else { (nans, i16::MAX, i16::MIN + end) };
        Self { direction: PhantomData, rotation, high, low, nan: nan as i16, wins }
    }
}

/// Orders the bits of floats, or makes bits of ordered integers: its own inverse.
#[inline(always)]
pub(crate) fn turn<S: Integers16>(s: S, v: S::V) -> S::V {
    s.flip(v, s.sign(v), s.splat(0x7fff))
}

impl<D: Direction, S: Integers16> LaneOp<i16, S> for Keys<D> {
    const FUSED: bool = D::FUSED;
    const CONVERTS: bool = D::FUSED;
    type T = i16;
    const ANY_ORDER: bool = true;
    const IDEMPOTENT: bool = true;
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> i16 {
        D::FILL
    }

    #[inline(always)]
    fn identity(self) -> i16 {
        let ordered = D::FILL.wrapping_sub(self.rotation);
        ordered ^ ((ordered >> 15) & 0x7fff)
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const i16) -> S::V {
        // SAFETY: the same contract.
        let bits = unsafe { s.load(p) };
        s.add(turn(s, bits), s.splat(self.rotation))
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const i16, n: usize) -> S::V {
        // SAFETY: the same contract.
        let bits = unsafe { s.load_first(p, n, LaneOp::<i16, S>::identity(self)) };
        s.add(turn(s, bits), s.splat(self.rotation))
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        D::of(s, a, b)
    }

    /// From a key to the float's bits; −0 becomes +0 and any NaN the canonical one.
    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        let bits = turn(s, s.add(v, s.splat(self.rotation.wrapping_neg())));
        let bits = s.pick(s.equal(bits, s.splat(i16::MIN)), s.splat(0), bits);
        let bits = s.pick(s.greater(v, s.splat(self.high)), s.splat(self.nan), bits);
        s.pick(s.greater(s.splat(self.low), v), s.splat(self.nan), bits)
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut i16, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut i16, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_first(p, n, v) }
    }

    #[inline(always)]
    unsafe fn store_halves(self, s: S, p: *mut i16, apart: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_halves(p, apart * size_of::<i16>(), v) }
    }
}

/// Keys of which the two zeros are one: a later zero of the other sign does not beat the first.
#[inline(always)]
fn level<S: Integers16>(s: S, key: S::V, rotation: i16) -> S::V {
    let negative_zero = s.splat(rotation.wrapping_sub(1));
    s.pick(s.equal(key, negative_zero), s.splat(rotation), key)
}

impl<D: Direction, S: Integers16> Seek<i16, S> for Keys<D> {
    /// NaN takes every place or, where it is ignored, gives every place up: the last NaN of a window is named.
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        // NaN is at the end that wins, of the newcomer's, or at the end that loses, of the best's.
        let weak = if self.wins { tap } else { best };
        let is_nan = s.or(s.greater(weak, s.splat(self.high)), s.greater(s.splat(self.low), weak));
        let beyond = D::beyond(s, level(s, tap, self.rotation), level(s, best, self.rotation));
        s.or(beyond, is_nan)
    }
}
