//! The largest and the smallest.
//!
//! Hardware disagrees with itself about NaN and about the order of the two zeros, so nothing here asks it:
//!
//! - **Zero.** A zero maximum or minimum is +0, whatever the signs of the zeros it was chosen from: `finish` adds +0.0,
//!   which changes no other number. An exact −0 < +0 costs 16 to 38 % on AVX2 (`max(a, b) & max(b, a)`).
//! - **NaN.** The hot loop uses the bare hardware instruction and watches: one unordered compare for two fresh vectors,
//!   or-ed over a tile. A tile that met a NaN is done again by a careful twin, [`Propagate`] or [`Number`].
//!   Compare and blend at every tap was measured instead: up to +54 % (AVX-512), +93 % (AVX2), +225 % (portable) in a prototype, on Zen 5.

use core::marker::PhantomData;

use crate::kernels::simd::{Floats, Lane, Lanes, Reduce};

/// Which end of the order is wanted.
pub(crate) trait Direction<A>: Copy + Send + Sync + 'static {
    /// What no element is beyond: the identity.
    const FILL: A;
    fn of<S: Lanes<A>>(s: S, a: S::V, b: S::V) -> S::V
    where
        A: Lane;
}

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
}

#[derive(Clone, Copy)]
pub(crate) struct Largest;

impl<A: Ends> Direction<A> for Largest {
    const FILL: A = A::LOWEST;

    #[inline(always)]
    fn of<S: Lanes<A>>(s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Smallest;

impl<A: Ends> Direction<A> for Smallest {
    const FILL: A = A::HIGHEST;

    #[inline(always)]
    fn of<S: Lanes<A>>(s: S, a: S::V, b: S::V) -> S::V {
        s.min(a, b)
    }
}

/// Lanes that have a NaN and two zeros.
pub(crate) trait FloatLane: Ends {
    /// The canonical quiet NaN: positive, no payload.
    const NAN: Self;
    const ZERO: Self;
}

impl FloatLane for f32 {
    const NAN: Self = f32::from_bits(0x7fc0_0000);
    const ZERO: Self = 0.0;
}

impl FloatLane for f64 {
    const NAN: Self = f64::from_bits(0x7ff8_0000_0000_0000);
    const ZERO: Self = 0.0;
}

/// What `load` and `store` are where memory holds the very lanes: the same four bodies for every such operation.
macro_rules! as_in_memory {
    ($A:ty, $S:ty) => {
        type T = $A;
        const IDENTITY: $A = <Self as Reduce<$A, $S>>::FILL;

        #[inline(always)]
        unsafe fn load(self, s: $S, p: *const $A) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load(p) }
        }

        #[inline(always)]
        unsafe fn load_first(self, s: $S, p: *const $A, n: usize) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_first(p, n, <Self as Reduce<$A, $S>>::FILL) }
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
    };
}
pub(crate) use as_in_memory;

/// What an operation says that watches nothing: it is its own careful twin.
macro_rules! unwatched {
    ($S:ty, $V:ty) => {
        type Flag = ();
        type Careful = Self;

        #[inline(always)]
        fn clean(self, _s: $S) {}

        #[inline(always)]
        fn watch(self, _s: $S, _flag: (), _a: $V, _b: $V) {}

        #[inline(always)]
        fn dirty(self, _s: $S, _flag: ()) -> bool {
            false
        }

        #[inline(always)]
        fn careful(self) -> Self {
            self
        }
    };
}
pub(crate) use unwatched;

/// What an operation says that divides by nothing.
macro_rules! undivided {
    ($S:ty, $V:ty) => {
        type Divisor = ();

        #[inline(always)]
        fn divisor(self, _s: $S, _word: impl Fn(usize) -> $V) {}
    };
}

/// The extreme of floats while no NaN is about; `careful` says what happens when one is.
#[derive(Clone, Copy)]
pub(crate) struct Watched<D, C> {
    pub(crate) direction: PhantomData<D>,
    pub(crate) careful: C,
}

impl<A, S, D, C> Reduce<A, S> for Watched<D, C>
where
    A: FloatLane,
    S: Floats<A>,
    D: Direction<A>,
    C: Reduce<A, S, T = A>,
{
    const FILL: A = D::FILL;
    const IDEMPOTENT: bool = true;
    as_in_memory!(A, S);
    undivided!(S, S::V);

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        D::of(s, a, b)
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

    type Careful = C;

    #[inline(always)]
    fn careful(self) -> C {
        self.careful
    }
}

/// Any NaN in the window makes the canonical NaN: PyTorch's rule, IEEE 754-2019 `maximum`. One blend a tap.
#[derive(Clone, Copy)]
pub(crate) struct Propagate<D>(pub(crate) PhantomData<D>);

impl<A: FloatLane, S: Floats<A>, D: Direction<A>> Reduce<A, S> for Propagate<D> {
    const FILL: A = D::FILL;
    const IDEMPOTENT: bool = true;
    as_in_memory!(A, S);
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.pick(s.unordered(a, b), s.splat(A::NAN), D::of(s, a, b))
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        // A window of one tap was never joined: its NaN gets its canonical bits here.
        s.pick(s.unordered(v, v), s.splat(A::NAN), s.add(v, s.splat(A::ZERO)))
    }
}

/// NaN is missing data: the extreme of the numbers, NaN only where there is none. IEEE 754-2019 `maximumNumber`.
///
/// Padding is missing data too, so NaN is the identity. (A window without a valid tap is not this operation's concern:
/// `Plan` writes those itself.)
#[derive(Clone, Copy)]
pub(crate) struct Number<D>(pub(crate) PhantomData<D>);

impl<A: FloatLane, S: Floats<A>, D: Direction<A>> Reduce<A, S> for Number<D> {
    const FILL: A = A::NAN;
    const IDEMPOTENT: bool = true;
    as_in_memory!(A, S);
    unwatched!(S, S::V);
    undivided!(S, S::V);

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        let larger = s.pick(s.unordered(a, a), b, D::of(s, a, b));
        s.pick(s.unordered(b, b), a, larger)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, _divisor: ()) -> S::V {
        s.pick(s.unordered(v, v), s.splat(A::NAN), s.add(v, s.splat(A::ZERO)))
    }
}
