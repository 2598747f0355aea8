//! Operations: how taps are joined, and what a folded window becomes.
//!
//! | file | operations |
//! |---|---|
//! | [`extreme`] | max of f32, with what watches for NaN; max and min of bytes |
//! | [`keys`] | every other max and min: floats and integers of 16, 32 and 64 bits, as integers in the order of the numbers |
//! | [`mean`] | mean and sum of floats, f16 and bf16 widened |
//! | [`mean_int`] | mean and sum of integers, exact |
//! | [`quantized`] | mean of quantised bytes, to other scales |
//! | [`lp`] | p-norms of floats: means of powers |
//! | [`power`] | powers of floats, the same bits on every tier |

pub(crate) mod extreme;
pub(crate) mod keys;
pub(crate) mod lp;
pub(crate) mod mean;
pub(crate) mod mean_int;
pub(crate) mod power;
pub(crate) mod quantized;

use super::simd::{Lane, LaneOp, Lanes, Tables};

/// What `load` and `store` are where memory holds the very lanes: the same bodies for every such operation.
macro_rules! as_in_memory {
    ($A:ty, $S:ty) => {
        type T = $A;

        #[inline(always)]
        fn identity(self) -> $A {
            LaneOp::<$A, $S>::fill(self)
        }

        #[inline(always)]
        unsafe fn load(self, s: $S, p: *const $A) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load(p) }
        }

        #[inline(always)]
        unsafe fn load_first(self, s: $S, p: *const $A, n: usize) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_first(p, n, LaneOp::<$A, $S>::fill(self)) }
        }

        #[inline(always)]
        unsafe fn store(self, s: $S, p: *mut $A, v: <$S as Lanes<$A>>::V) {
            // SAFETY: the same contract.
            unsafe { s.store(p, v) }
        }

        #[inline(always)]
        unsafe fn store_first(self, s: $S, p: *mut $A, n: usize, v: <$S as Lanes<$A>>::V) {
            // SAFETY: the same contract.
            unsafe { s.store_first(p, n, v) }
        }

        #[inline(always)]
        unsafe fn store_halves(self, s: $S, p: *mut $A, apart: usize, v: <$S as Lanes<$A>>::V) {
            // SAFETY: the same contract.
            unsafe { s.store_halves(p, apart * size_of::<$A>(), v) }
        }
    };
}
use as_in_memory;

/// The same where memory holds `$T` and a lane is the wider `$A`; `$identity` loads as what changes no sum.
macro_rules! widened {
    ($T:ty as $A:ty, $S:ty, $identity:expr) => {
        type T = $T;

        #[inline(always)]
        fn identity(self) -> $T {
            $identity
        }

        #[inline(always)]
        unsafe fn load(self, s: $S, p: *const $T) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_wide(p) }
        }

        #[inline(always)]
        unsafe fn load_first(self, s: $S, p: *const $T, n: usize) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_wide_first(p, n, $identity) }
        }

        #[inline(always)]
        unsafe fn store(self, s: $S, p: *mut $T, v: <$S as Lanes<$A>>::V) {
            // SAFETY: the same contract.
            unsafe { s.store_narrow(p, v) }
        }

        #[inline(always)]
        unsafe fn store_first(self, s: $S, p: *mut $T, n: usize, v: <$S as Lanes<$A>>::V) {
            // SAFETY: the same contract.
            unsafe { s.store_narrow_first(p, n, v) }
        }
    };
}
use widened;

/// What an operation says that watches nothing.
macro_rules! unwatched {
    ($S:ty, $V:ty) => {
        type Flag = ();

        #[inline(always)]
        fn clean(self, _s: $S) {}

        #[inline(always)]
        fn watch(self, _s: $S, _flag: (), _a: $V, _b: $V) {}

        #[inline(always)]
        fn dirty(self, _s: $S, _flag: ()) -> bool {
            false
        }
    };
}
use unwatched;

/// What an operation says that divides by nothing.
macro_rules! undivided {
    ($S:ty, $V:ty) => {
        type Divisor = ();

        #[inline(always)]
        fn divisor(self, _s: $S, _word: impl Fn(usize) -> $V) {}
    };
}
use undivided;

/// An operation on lanes that have been loaded and will be finished: what is between the two.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct InLanes<O>(O);

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> LaneOp<A, S> for InLanes<O> {
    const FUSED: bool = O::FUSED;
    const ANY_ORDER: bool = O::ANY_ORDER;
    const IDEMPOTENT: bool = O::IDEMPOTENT;
    as_in_memory!(A, S);
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn fill(self) -> A {
        self.0.fill()
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        self.0.join(s, a, b)
    }

    #[inline(always)]
    fn finish(self, _s: S, v: S::V, _divisor: ()) -> S::V {
        v
    }
}
