//! The average of integers, and their sum, which is an average that divides by 1: summed exactly, divided exactly, rounded
//! once, cut to the type's range.
//!
//! The lanes are the narrowest in which no window can overflow, which is known when the plan is made ([`Lanes`]):
//!
//! | lanes | for | the quotient |
//! |---|---|---|
//! | `i16` | bytes, divisors up to 127 that are at least the number of taps | a multiplication ([`Short`]) |
//! | `i32` | sums below 2³⁰ | of bytes, divisors up to 4096 that are at least the number of taps: a multiplication in `f32`, proven exact ([`reciprocals`]) |
//! | | | else a division in `f32`, proven exact below 2²²; in `f64` above ([`Long`]) |
//! | `i64` | sums below 2⁶² | a division in `f64`, proven exact below 2⁵¹; in integers, lane by lane, above |

use core::marker::PhantomData;

use super::quantized::multiplier;
use super::{unwatched, widened};
use crate::Rounding;
use crate::geometry::Count;
use crate::kernels::driver::Layer;
use crate::kernels::driver::divisors::are_odd;
use crate::kernels::isa::quotient;
use crate::kernels::simd::{
    DOUBLE, Integers16, Integers32, Integers64, LaneOp, Lanes, MOST_LANES, MOST_WORDS, SINGLE, Widen,
};

/// Integers in memory.
pub(crate) trait Integer: bytemuck::Pod + Send + Sync {
    const ZERO: Self;
    /// No element is further from 0.
    const MAGNITUDE: u64;
    const SIGNED: bool;
}

macro_rules! integer {
    ($($T:ty),+) => { $(
        impl Integer for $T {
            const ZERO: Self = 0;
            const MAGNITUDE: u64 = if <$T>::MIN == 0 { <$T>::MAX as u64 } else { (<$T>::MAX as u64) + 1 };
            const SIGNED: bool = <$T>::MIN != 0;
        }
    )+ };
}

integer!(i8, u8, i16, u16, i32, u32);

/// The difference of integers in lanes of `$A`.
macro_rules! unjoined {
    ($A:ty, $S:ty) => {
        const UNJOINS: bool = true;

        // ¬(¬a + b) is a − b, and compilers know.
        #[inline(always)]
        fn unjoin(self, s: $S, all: <$S as Lanes<$A>>::V, part: <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            let ones = s.splat(-1);
            s.xor(s.add(s.xor(all, ones), part), ones)
        }
    };
}

/// An exact sum in lanes of `$A`.
macro_rules! exact_sum {
    ($T:ty as $A:ty, $S:ty) => {
        widened!($T as $A, $S, <$T>::ZERO);
        unjoined!($A, $S);

        const RUN: usize = <$S as Widen<$T, $A>>::RUN;

        #[inline(always)]
        unsafe fn load_run(self, s: $S, p: *const $T) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_sums(p) }
        }

        #[inline(always)]
        unsafe fn load_run_first(self, s: $S, p: *const $T, n: usize, readable: usize) -> <$S as Lanes<$A>>::V {
            // SAFETY: the same contract.
            unsafe { s.load_sums_first(p, n, readable, <$T>::ZERO) }
        }

        unwatched!($S, <$S as Lanes<$A>>::V);

        #[inline(always)]
        fn fill(self) -> $A {
            0
        }

        #[inline(always)]
        fn join(self, s: $S, a: <$S as Lanes<$A>>::V, b: <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            s.add(a, b)
        }
    };
}

/// Division by a lane as wide as the sum. A divisor beyond it is cut: no sum that fits is half as large, so the mean is 0.
macro_rules! whole_divisor {
    ($A:ty, $S:ty) => {
        const WORDS: usize = 1;
        type Divisor = <$S as Lanes<$A>>::V;

        fn words(self, divisor: usize) -> [$A; MOST_WORDS] {
            [<$A>::try_from(divisor).unwrap_or(<$A>::MAX); MOST_WORDS]
        }

        #[inline(always)]
        fn divisor(self, _s: $S, word: impl Fn(usize) -> <$S as Lanes<$A>>::V) -> <$S as Lanes<$A>>::V {
            word(0)
        }
    };
}

/// What is known of a layer's sums and divisors before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Valid taps of a window, at most.
    taps: u64,
    divisor: u64,
}

/// The lanes that a layer's sums fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Short,
    Long,
    Longest,
}

impl Extent {
    pub(crate) fn new(layer: &Layer) -> Self {
        let kernel = |axis: &crate::geometry::Axis| axis.kernel as u64;
        let axes = &layer.geometry.axes;
        let all = axes.iter().map(kernel).fold(1, u64::saturating_mul);
        let taps = axes.iter().map(|axis| kernel(axis).min(axis.input as u64)).fold(1, u64::saturating_mul);
        Self { taps, divisor: if let Count::Fixed(divisor) = layer.count { divisor as u64 } else { all } }
    }

    /// No sum is further from 0.
    fn sum<T: Integer>(&self) -> u64 {
        self.taps.saturating_mul(T::MAGNITUDE)
    }

    /// Whether 32 bits hold the sums of quantised elements, which are as far from their zero point as the type is wide.
    pub(crate) fn fits_quantized<T: Integer>(&self) -> bool {
        let spread = if T::SIGNED { T::MAGNITUDE.saturating_mul(2).saturating_sub(1) } else { T::MAGNITUDE };
        self.taps.saturating_mul(spread) <= i32::MAX as u64
    }

    /// Whether no mean is further from 0 than an element: where taps are counted, there are never more of them than the
    /// divisor says.
    fn is_mean(&self, layer: &Layer) -> bool {
        !matches!(layer.count, Count::Fixed(_)) || self.taps <= self.divisor
    }

    /// `None` where a sum could overflow the widest lanes.
    pub(crate) fn width<T: Integer>(&self, layer: &Layer) -> Option<Width> {
        if T::MAGNITUDE <= 255 && self.is_mean(layer) && self.divisor <= Short::<T>::MOST {
            Some(Width::Short)
        } else if self.sum::<T>() < 1 << 30 {
            Some(Width::Long)
        } else if self.sum::<T>() < 1 << 62 {
            Some(Width::Longest)
        } else {
            None
        }
    }
}

/// The mean of bytes in 16-bit lanes.
///
/// With `c` the divisor, `n = sum + ⌊c/2⌋` (and 128·c more for signed bytes, so that nothing is negative) lies in
/// `0 ..= 255·c + c/2`, and `q = ⌊n/c⌋` is the mean with ties rounded up. The quotient is a multiplication's upper half:
///
/// ```text
/// q = (n·f · m) >> 16 >> s,   s = ⌈log₂ C⌉ − 1 for the layer's largest divisor C,
///                             f = the largest power of two with c·f ≤ 2ˢ⁺¹,   m = ⌈2¹⁶⁺ˢ / c·f⌉
/// ```
///
/// With `d = c·f` and `e = m·d − 2¹⁶⁺ˢ < d`, it is exact where `n·f·e < 2¹⁶⁺ˢ`; and `n·f·e < 255.5·2ˢ⁺¹·2ˢ⁺¹`, which is
/// less for `s ≤ 6`, so for divisors up to 127. (One `s` for all divisors, since no tier shifts lanes by different
/// amounts for less than two more instructions; `f` makes up for it.) For divisors up to 16, `s = 0` and `f = 1` are as good, and
/// one multiplication is all: `n·e < 255.5·C·C < 2¹⁶`; 1 alone has an `m` of 17 bits, and with 2¹⁶ − 1 for it and a bias of 1,
/// `q = ⌊(sum + 1)·(1 − 2⁻¹⁶)⌋ = sum`. With `s = 7`, for divisors up to 256, the excess
/// `n·f·e / (d·2¹⁶⁺ˢ)` is below 1/128, so `q` may be 1 too large and nothing else: then `n − q·c` is negative. All of `n` and `n·f` still
/// fit 16 bits, unsigned. A tie was rounded up where `q·c = n` and `c` is even; what it should have become depends on the
/// rounding. Every divisor and every sum are compared with a division in `tests` below.
#[derive(Clone, Copy)]
pub(crate) struct Short<T> {
    element: PhantomData<T>,
    rounding: Rounding,
    shift: u32,
}

impl<T: Integer> Short<T> {
    /// The largest divisor.
    const MOST: u64 = 256;

    /// The largest of a layer whose quotients are one multiplication.
    const MOST_AT_ONCE: u64 = 16;

    /// What is added to the taps of a signed type, each, so that none is negative.
    const OFFSET: i16 = if T::SIGNED { 128 } else { 0 };

    pub(crate) fn new(extent: Extent, rounding: Rounding) -> Self {
        let is_small = extent.divisor <= Self::MOST_AT_ONCE;
        let shift = if is_small { 0 } else { extent.divisor.next_power_of_two().trailing_zeros() - 1 };
        Self { element: PhantomData, rounding, shift }
    }
}

impl<T: Integer, S: Integers16 + Widen<T, i16>> LaneOp<i16, S> for Short<T> {
    const FUSED: bool = true;
    exact_sum!(T as i16, S);
    const ANY_ORDER: bool = true;

    const WORDS: usize = 5;
    type Divisor = [S::V; 5];

    fn words(self, divisor: usize) -> [i16; MOST_WORDS] {
        let c = divisor.clamp(1, Self::MOST as usize) as u32;
        let mut f = 1;
        while self.shift > 0 && c * f * 2 <= 2 << self.shift {
            f *= 2;
        }
        let m = (1_u32 << (16 + self.shift)).div_ceil(c * f);
        let mut bias = c / 2 + Self::OFFSET as u32 * c;
        // An `m` of 17 bits is cut by one, and the bias makes up for it.
        if self.shift == 0 && c == 1 {
            bias += 1;
        }
        let m = m.min(u16::MAX.into());
        // An odd divisor has no ties: 0 times a quotient is no sum but 0.
        let even = if c.is_multiple_of(2) { c } else { 0 };
        [bias as i16, f as i16, m as i16, even as i16, -(c as i16)]
    }

    #[inline(always)]
    fn divisor(self, _s: S, word: impl Fn(usize) -> S::V) -> [S::V; 5] {
        [word(0), word(1), word(2), word(3), word(4)]
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, [bias, f, m, even, minus_c]: [S::V; 5]) -> S::V {
        let n = s.add(v, bias);
        let q =
            if self.shift == 0 { s.mul_high(n, m) } else { s.shift_right(s.mul_high(s.mul_low(n, f), m), self.shift) };
        let q = if self.shift == 7 { s.add(q, s.sign(s.add(n, s.mul_low(q, minus_c)))) } else { q };
        let is_tie = s.equal(s.mul_low(q, even), n);
        let q = match self.rounding {
            // Of `q` and `q − 1`, the even one.
            Rounding::HalfToEven => s.pick(is_tie, s.and(q, s.splat(-2)), q),
            // Up is away from zero, but for the negative: those up to −0.5, which was rounded up to 0.
            Rounding::HalfAwayFromZero if T::SIGNED => {
                let is_negative = s.greater(s.splat(Self::OFFSET + 1), q);
                let down = s.pick(is_negative, s.add(q, s.splat(-1)), q);
                // A sum of nothing but −128, of one tap, looks like a tie.
                s.pick(is_tie, s.pick(s.greater(q, s.splat(0)), down, q), q)
            }
            Rounding::HalfAwayFromZero => q,
        };
        s.add(q, s.splat(-Self::OFFSET))
    }
}

/// Divides lane by lane, for sums beyond what `f64` divides exactly.
#[inline(always)]
fn quotients<S: Integers64>(s: S, v: S::V, divisor: S::V, away: bool) -> S::V {
    const MOST: usize = MOST_LANES / size_of::<i64>();
    let (mut sums, mut divisors) = ([0; MOST], [1; MOST]);
    // SAFETY: each array holds a vector.
    unsafe {
        s.store(sums.as_mut_ptr(), v);
        s.store(divisors.as_mut_ptr(), divisor);
        for i in 0..S::N {
            sums[i] = quotient(sums[i], divisors[i], away);
        }
        s.load(sums.as_ptr())
    }
}

/// The largest divisor whose means of bytes are a multiplication in `f32`.
const MOST_MULTIPLIED: u64 = 4096;

/// What a sum of bytes is multiplied by, as an `f32`, so that the product, rounded to the nearest whole number, is its quotient by
/// `c`, whose ties are rounded away from zero by the first and towards zero by the second. Odd divisors have no ties: both are
/// the same.
///
/// They are `(1 ± e)/c` with `e` from 1.25·2⁻²³ to 2.25·2⁻²³. A mean of bytes is at most 255.
///
/// - Where the true quotient `x` is half way between two whole numbers, it is an `f32`, and the product before it is rounded is
///   `|x|·1.25·2⁻²³` or more away from it on the right side, which is more than the distance to the next `f32`: the rounded
///   product is not `x` in any rounding mode.
/// - Any other `x` is at least `1/2c` away from all that is half way, and the rounded product, at most `255·3.25·2⁻²³` away
///   from `x`, is less: `255·3.25·2⁻²³ < 1/8192`. So it lies between the same two halves.
fn reciprocals(c: usize) -> [i32; 2] {
    let exact = 1.0 / c as f64;
    let e = 1.25 * f64::from(f32::EPSILON);
    let toward = if c.is_multiple_of(2) { -1.0 } else { 1.0 };
    [1.0, toward].map(|sign| {
        let far = exact * (1.0 + sign * e);
        let near = far as f32;
        // The next `f32` on that side, or itself.
        let is_short = (f64::from(near) - far) * sign < 0.0;
        near.to_bits() as i32 + if is_short { sign as i32 } else { 0 }
    })
}

/// The means of sums of bytes by the [`reciprocals`] of their divisors: by the first, or by both, so that ties go to even.
#[inline(always)]
fn multiplied<S: Integers32>(s: S, v: S::V, [away, toward]: [S::V; 2], both: bool) -> S::V {
    let mean = s.scaled(v, away);
    if !both {
        return mean;
    }
    // Of a tie the even one; else both are the same.
    let odd = s.equal(s.and(mean, s.splat(1)), s.splat(1));
    s.pick(odd, s.scaled(v, toward), mean)
}

/// How a sum in lanes of 32 or 64 bits becomes the mean.
#[derive(Clone, Copy)]
enum Quotient {
    /// A multiplication by one of [`reciprocals`]; where ties go to even, and there may be some, by both. A division of `f32`s
    /// where that is faster: it would serve, too.
    Multiplied {
        both: bool,
    },
    /// Sums and divisors are such that a quotient of `f32`s serves, or one of `f64`s, or neither.
    Single,
    Double,
    Whole,
    /// A multiplication by what stands in the divisor's place, and the zero point of the output: see `quantized.rs`.
    Scaled {
        zero_out: i32,
        ratio: f64,
    },
}

/// The mean of integers in lanes of 32 or 64 bits, quantised bytes among them.
#[derive(Clone, Copy)]
pub(crate) struct Long<T> {
    element: PhantomData<T>,
    away: bool,
    /// Taken off each element, so that padding is 0.
    zero_in: i32,
    quotient: Quotient,
}

impl<T: Integer> Long<T> {
    const IS_BYTE: bool = T::MAGNITUDE <= 255;

    pub(crate) fn new(extent: Extent, rounding: Rounding, layer: &Layer) -> Self {
        if Self::IS_BYTE && extent.divisor <= MOST_MULTIPLIED && extent.is_mean(layer) {
            let both = rounding == Rounding::HalfToEven && !are_odd(layer);
            return Self { quotient: Quotient::Multiplied { both }, ..Self::divided(extent, rounding) };
        }
        Self::divided(extent, rounding)
    }

    fn divided(extent: Extent, rounding: Rounding) -> Self {
        let longest = extent.sum::<T>().max(extent.divisor);
        let quotient = match longest {
            0..SINGLE => Quotient::Single,
            SINGLE..DOUBLE => Quotient::Double,
            _ => Quotient::Whole,
        };
        let away = rounding == Rounding::HalfAwayFromZero;
        Self { element: PhantomData, away, zero_in: 0, quotient }
    }

    /// The mean of quantised bytes. Both zero points lie in the type's range; `ratio` is `scale_in / scale_out`.
    pub(crate) fn quantized(zero_in: i32, zero_out: i32, ratio: f64) -> Self {
        Self { element: PhantomData, away: false, zero_in, quotient: Quotient::Scaled { zero_out, ratio } }
    }
}

impl<T: Integer + TryFrom<i32>, S: Integers32 + Widen<T, i32>> LaneOp<i32, S> for Long<T> {
    type T = T;
    unwatched!(S, S::V);
    unjoined!(i32, S);
    const ANY_ORDER: bool = true;

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
        s.add(unsafe { s.load_wide_first(p, n, LaneOp::<i32, S>::identity(self)) }, s.splat(-self.zero_in))
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
        let sums = unsafe { s.load_sums_first(p, n, readable, LaneOp::<i32, S>::identity(self)) };
        s.add(sums, s.splat(-zeros))
    }

    #[inline(always)]
    fn join(self, s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }

    const WORDS: usize = 2;
    type Divisor = [S::V; 2];

    fn words(self, divisor: usize) -> [i32; MOST_WORDS] {
        let mut words = [0; MOST_WORDS];
        words[..2].copy_from_slice(&match self.quotient {
            Quotient::Multiplied { .. } if S::SCALES => reciprocals(divisor),
            Quotient::Scaled { ratio, .. } => [multiplier(ratio, divisor); 2],
            _ => [i32::try_from(divisor).unwrap_or(i32::MAX); 2],
        });
        words
    }

    #[inline(always)]
    fn divisor(self, _s: S, word: impl Fn(usize) -> S::V) -> [S::V; 2] {
        [word(0), word(1)]
    }

    const QUICK: bool = Self::IS_BYTE && S::SCALES;

    fn is_quick(self, words: [i32; 2]) -> bool {
        matches!(self.quotient, Quotient::Multiplied { both } if !both || words[0] == words[1])
    }

    #[inline(always)]
    fn finish_quickly(self, s: S, v: S::V, word: S::V) -> S::V {
        s.scaled(v, word)
    }

    #[inline(always)]
    fn finish(self, s: S, v: S::V, [divisor, toward]: [S::V; 2]) -> S::V {
        match self.quotient {
            Quotient::Multiplied { both } if Self::IS_BYTE && S::SCALES => multiplied(s, v, [divisor, toward], both),
            Quotient::Multiplied { .. } if Self::IS_BYTE => s.quotient(v, divisor, self.away),
            Quotient::Single => s.quotient(v, divisor, self.away),
            Quotient::Scaled { zero_out, .. } => s.add(s.scaled(v, divisor), s.splat(zero_out)),
            _ => s.long_quotient(v, divisor, self.away),
        }
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
}

impl<T: Integer, S: Integers64 + Widen<T, i64>> LaneOp<i64, S> for Long<T> {
    exact_sum!(T as i64, S);
    const ANY_ORDER: bool = true;
    whole_divisor!(i64, S);

    #[inline(always)]
    fn finish(self, s: S, v: S::V, divisor: S::V) -> S::V {
        match self.quotient {
            Quotient::Single | Quotient::Double => s.quotient(v, divisor, self.away),
            _ => quotients(s, v, divisor, self.away),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::token::{Portable, Scalar};

    /// Every divisor up to 256, every sum that so many bytes can have, in layers of every largest divisor: against a division.
    fn compare_with_division<T: Integer>(lowest: i64, highest: i64)
    where
        Scalar: Integers16 + Widen<T, i16>,
    {
        let s = Scalar::detect().expect("every CPU has it");
        let number = |v| {
            let mut lanes = [0_i16; MOST_LANES];
            // SAFETY: an array of the longest vector's length.
            unsafe { Lanes::<i16>::store(s, lanes.as_mut_ptr(), v) };
            i64::from(lanes[0])
        };
        for rounding in [Rounding::HalfToEven, Rounding::HalfAwayFromZero] {
            for c in 1..=Short::<T>::MOST {
                for largest in
                    (0..8).map(|bits| 1 << bits | 1).chain([16, Short::<T>::MOST]).filter(|largest| *largest >= c)
                {
                    let op = Short::<T>::new(Extent { taps: c, divisor: largest }, rounding);
                    let words = LaneOp::<i16, Scalar>::words(op, c as usize);
                    let divisor = op.divisor(s, |i| Lanes::<i16>::splat(s, words[i]));
                    for sum in lowest * c as i64..=highest * c as i64 {
                        let got = number(op.finish(s, Lanes::<i16>::splat(s, sum as i16), divisor));
                        let want = quotient(sum, c as i64, rounding == Rounding::HalfAwayFromZero);
                        assert_eq!(got, want, "{sum} / {c}, {rounding:?}, the largest divisor {largest}");
                    }
                }
            }
        }
    }

    #[test]
    fn short_means_of_unsigned_bytes_are_exact() {
        compare_with_division::<u8>(0, 255);
    }

    #[test]
    fn short_means_of_signed_bytes_are_exact() {
        compare_with_division::<i8>(-128, 127);
    }

    /// Quotients that only just are no ties, of sums on both sides of what floats divide exactly.
    #[test]
    fn long_means_are_exact_whatever_divides() {
        let s = Portable::detect().expect("every CPU has it");
        let sums = |bits: u32, c: i64| {
            let most = 2 * ((1_i64 << bits) - 1) / c;
            // Of an odd divisor there are no ties: the nearest are half of it and 1/2 more, or less.
            let near = (0..8).flat_map(move |i| [-1, 1].map(|off| (((most - i) | 1) * c + off) / 2));
            near.flat_map(|sum| [sum, -sum])
        };
        for rounding in [Rounding::HalfToEven, Rounding::HalfAwayFromZero] {
            for bits in [21, 22, 23, 24, 30, 50, 51, 52, 53, 54, 60] {
                for c in (1..bits).map(|bits| (1_i64 << bits) + 1) {
                    for sum in sums(bits, c) {
                        let want = quotient(sum, c, rounding == Rounding::HalfAwayFromZero);
                        // So many taps of the highest element as there must be at least.
                        let extent = Extent { taps: sum.unsigned_abs().div_ceil(255), divisor: c as u64 };
                        let op = Long::<u8>::divided(extent, rounding);
                        let (v, divisor) = (Lanes::<i64>::splat(s, sum), Lanes::<i64>::splat(s, c));
                        let got = LaneOp::<i64, _>::finish(op, s, v, divisor).to_array()[0];
                        assert_eq!(got, want, "{sum} / {c}, {rounding:?}, in 64 bits");
                        if let (Ok(sum), Ok(c)) = (i32::try_from(sum), i32::try_from(c)) {
                            let (v, divisor) = (Lanes::<i32>::splat(s, sum), [Lanes::<i32>::splat(s, c); 2]);
                            let got = LaneOp::<i32, _>::finish(op, s, v, divisor).to_array()[0];
                            assert_eq!(i64::from(got), want, "{sum} / {c}, {rounding:?}, in 32 bits");
                        }
                    }
                }
            }
        }
    }

    /// Of every divisor, every tie, the sums beside it and those of whole quotients.
    #[test]
    fn means_of_bytes_are_exact_by_multiplication() {
        let s = Portable::detect().expect("every CPU has it");
        for c in 1..=MOST_MULTIPLIED as i64 {
            let [away, toward] = reciprocals(c as usize).map(|word| Lanes::<i32>::splat(s, word));
            for half in -256..=510 {
                for sum in (half * c).div_euclid(2) - 1..=(half * c).div_euclid(2) + 2 {
                    if !(-128 * c..=255 * c).contains(&sum) {
                        continue;
                    }
                    let v = Lanes::<i32>::splat(s, sum as i32);
                    for (both, rounds_away) in [(false, true), (true, false)] {
                        let got = multiplied(s, v, [away, toward], both).to_array()[0];
                        assert_eq!(i64::from(got), quotient(sum, c, rounds_away), "{sum} / {c}, {both}");
                    }
                }
            }
        }
    }

    /// The division itself, against the definition.
    #[test]
    fn quotients_are_rounded_to_nearest() {
        for c in 1..40_i64 {
            for sum in -400..=400_i64 {
                let floor = sum.div_euclid(c);
                let twice = 2 * sum.rem_euclid(c);
                let up = |on_tie: bool| floor + i64::from(twice > c || twice == c && on_tie);
                assert_eq!(quotient(sum, c, false), up(floor % 2 != 0), "{sum} / {c}");
                assert_eq!(quotient(sum, c, true), up(sum > 0), "{sum} / {c}");
            }
        }
    }
}
