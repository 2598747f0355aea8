//! The average of quantised bytes, `real = scale·(q − zero)`: summed exactly, scaled once, rounded, cut to the type's range.
//!
//! The zero point is taken off each byte as it is loaded, so that a tap in the padding is the real 0 that it stands for and no
//! window needs to know how many of its taps are valid. A divisor is a multiplier: `scale_in / (divisor·scale_out)`.

use core::marker::PhantomData;

use super::mean_int::Integer;
use super::unwatched;
use crate::kernels::simd::{Integers32, MOST_WORDS, Reduce, Widen};

/// What a sum of `divisor` elements is multiplied by, `ratio` being `scale_in / scale_out`: the bits of an `f32`, rounded once.
pub(crate) fn multiplier(ratio: f64, divisor: usize) -> i32 {
    ((ratio / divisor as f64) as f32).to_bits().cast_signed()
}

/// The mean of quantised elements `T`.
#[derive(Clone, Copy)]
pub(crate) struct QuantizedMean<T> {
    element: PhantomData<T>,
    /// Both zero points lie in the type's range.
    zero_in: i32,
    zero_out: i32,
    /// `scale_in / scale_out`.
    ratio: f64,
}

impl<T: Integer> QuantizedMean<T> {
    pub(crate) fn new(zero_in: i32, zero_out: i32, ratio: f64) -> Self {
        Self { element: PhantomData, zero_in, zero_out, ratio }
    }
}

impl<T: Integer + TryFrom<i32>, S: Integers32 + Widen<T, i32>> Reduce<i32, S> for QuantizedMean<T> {
    type T = T;
    const LEAN: bool = true;

    #[inline(always)]
    fn fill(self) -> i32 {
        0
    }

    #[inline(always)]
    fn identity(self) -> T {
        T::try_from(self.zero_in).unwrap_or(T::ZERO)
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const T) -> S::V {
        // SAFETY: the same contract.
        s.add(unsafe { s.load_wide(p) }, s.splat(-self.zero_in))
    }

    #[inline(always)]
    unsafe fn load_first(self, s: S, p: *const T, n: usize) -> S::V {
        // SAFETY: the same contract.
        s.add(unsafe { s.load_wide_first(p, n, Reduce::<i32, S>::identity(self)) }, s.splat(-self.zero_in))
    }

    const RUN: usize = <S as Widen<T, i32>>::RUN;

    // Every lane gives up its share of the zero points, though it may not hold its share of the sum: they are added up.
    #[inline(always)]
    unsafe fn load_run(self, s: S, p: *const T) -> S::V {
        let zeros = self.zero_in * (<S as Widen<T, i32>>::RUN / S::N) as i32;
        // SAFETY: the same contract.
        s.add(unsafe { s.load_sums(p) }, s.splat(-zeros))
    }

    #[inline(always)]
    unsafe fn load_run_first(self, s: S, p: *const T, n: usize, readable: usize) -> S::V {
        let zeros = self.zero_in * (<S as Widen<T, i32>>::RUN / S::N) as i32;
        // SAFETY: the same contract.
        let sums = unsafe { s.load_sums_first(p, n, readable, Reduce::<i32, S>::identity(self)) };
        s.add(sums, s.splat(-zeros))
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }

    const WORDS: usize = 1;
    type Divisor = S::V;

    fn words(self, divisor: usize) -> [i32; MOST_WORDS] {
        [multiplier(self.ratio, divisor); MOST_WORDS]
    }

    #[inline(always)]
    fn divisor(self, _s: S, word: impl Fn(usize) -> S::V) -> S::V {
        word(0)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, multiplier: S::V) -> S::V {
        s.add(s.scaled(v, multiplier), s.splat(self.zero_out))
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut T, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_narrow(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, s: S, p: *mut T, n: usize, v: S::V) {
        // SAFETY: the same contract.
        unsafe { s.store_narrow_first(p, n, v) }
    }

    unwatched!(S, S::V);
}
