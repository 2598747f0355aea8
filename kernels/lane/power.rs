//! Powers of floats that are not negative: a pass over a run of lanes, from memory to memory.
//!
//! Every tier computes the same sequence of IEEE operations, each rounded on its own: additions, subtractions, products, quotients
//! and square roots of `f64`, and steps on its bits. Nothing is fused, so all tiers give the same bits.
//!
//! | step | `f32` | `f64` |
//! |---|---|---|
//! | `\|x\|`, `x·x`, `√x`, `x/n` | the IEEE operation | the same |
//! | exponents that are quarters, up to 32¾ | products and roots, as `f64`s | the same |
//! | any other exponent | `2^(e·log₂ x)` as `f64`s, [`single`] | the same in two `f64`s each, [`double`] |
//!
//! An `f32` is rounded once, from an `f64` that is nearer to the power than 2⁻³³ of it: so it is one of the two numbers around
//! the power, and within 0.502 units in the last place (`power_tests.rs` looks at half a million). An `f64` is within 0.8 units; by products,
//! within 2⁻⁵³ of the power for each factor and 3 more.

#![allow(clippy::excessive_precision, reason = "coefficients as FreeBSD has them")]

use super::mean::MeanLane;
use crate::kernels::leaf::fold::rolled;
use crate::kernels::simd::{Floats, Lanes, Long, MOST_LANES, Words64};

/// Vectors of `f64` that are raised side by side.
const SIDE: usize = 2;

/// What is done to every lane of a run. A canonical NaN stays one.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Step {
    Abs,
    Square,
    Root,
    /// By a count.
    Divide(usize),
    /// To a whole power up to 32, the exponent's digits of a half and of a quarter apart.
    Products {
        whole: u32,
        half: bool,
        quarter: bool,
    },
    /// To the sum of two numbers, of which the second makes up for the rounding of the first.
    Power(f64, f64),
}

/// The least exponent that products do not serve: they would take as long as any power.
const MOST_PRODUCTS: f64 = 33.0;

/// Exponents beyond have no other powers than this one: 0, 1 and infinity.
const MOST: f64 = 73_786_976_294_838_206_464.0;

impl Step {
    /// The power with a positive exponent, of magnitudes.
    pub(crate) fn raise(p: f64) -> Self {
        match p {
            1.0 | f64::INFINITY => Self::Abs,
            2.0 => Self::Square,
            p => Self::products(p).unwrap_or(Self::Power(p.min(MOST), 0.0)),
        }
    }

    /// What undoes it, of sums of such powers.
    pub(crate) fn root(p: f64) -> Self {
        let exponent = 1.0 / p;
        match p {
            1.0 | f64::INFINITY => Self::Abs,
            2.0 => Self::Root,
            _ if exponent >= MOST => Self::Power(MOST, 0.0),
            _ => {
                // What is missing in the quotient, from its remainder: exact in two halves of each.
                let rest = remainder(exponent, p);
                match Self::products(exponent) {
                    Some(step) if rest == 0.0 => step,
                    _ => Self::Power(exponent, if rest.is_finite() { rest / p } else { 0.0 }),
                }
            }
        }
    }

    /// About how long it takes, in squares of as many lanes.
    pub(crate) fn time(self) -> usize {
        match self {
            Self::Products { .. } => 4,
            Self::Power(..) => 12,
            _ => 1,
        }
    }

    fn products(exponent: f64) -> Option<Self> {
        let quarters = exponent * 4.0;
        // What is not a whole number of quarters is cut.
        let n = if quarters < 4.0 * MOST_PRODUCTS { quarters as u32 } else { 0 };
        (n > 0 && f64::from(n) == quarters).then_some(Self::Products {
            whole: n / 4,
            half: n & 2 != 0,
            quarter: n & 1 != 0,
        })
    }
}

/// `1 − a·b` for a product near 1, as far as it can be told.
fn remainder(a: f64, b: f64) -> f64 {
    let halves = |x: f64| {
        let high = f64::from_bits(x.to_bits() & HIGH);
        (high, x - high)
    };
    let ((a1, a2), (b1, b2)) = (halves(a), halves(b));
    1.0 - a1 * b1 - (a1 * b2 + a2 * b1) - a2 * b2
}

/// A pass over `n` lanes, on one tier: reads them at the first pointer and writes them at the second, which is the same or
/// where none of them lies.
///
/// # Safety
/// The CPU has the tier. So many lanes are readable at the first pointer and writable at the second.
pub(crate) type Pass = unsafe fn(step: &Step, from: *const u8, to: *mut u8, n: usize);

/// Lanes that have powers on a tier.
pub(crate) trait PowerLane<S: Words64>: MeanLane {
    /// # Safety
    /// As many lanes as a vector of `f64` has are readable.
    unsafe fn long(s: S, p: *const Self) -> Long<S>;

    /// # Safety
    /// So many lanes are writable.
    unsafe fn put(s: S, p: *mut Self, v: Long<S>);

    /// The powers of magnitudes by any exponent.
    fn power(s: S, x: [Long<S>; SIDE], high: f64, low: f64) -> [Long<S>; SIDE];
}

impl<S: Words64> PowerLane<S> for f32 {
    #[inline(always)]
    unsafe fn long(s: S, p: *const f32) -> Long<S> {
        // SAFETY: the same contract.
        unsafe { s.load_wide(p) }
    }

    #[inline(always)]
    unsafe fn put(s: S, p: *mut f32, v: Long<S>) {
        // SAFETY: the same contract.
        unsafe { s.store_narrow(p, v) }
    }

    #[inline(always)]
    fn power(s: S, x: [Long<S>; SIDE], high: f64, _low: f64) -> [Long<S>; SIDE] {
        single(s, x, high)
    }
}

impl<S: Words64> PowerLane<S> for f64 {
    #[inline(always)]
    unsafe fn long(s: S, p: *const f64) -> Long<S> {
        // SAFETY: the same contract.
        unsafe { s.load(p) }
    }

    #[inline(always)]
    unsafe fn put(s: S, p: *mut f64, v: Long<S>) {
        // SAFETY: the same contract.
        unsafe { s.store(p, v) }
    }

    #[inline(always)]
    fn power(s: S, x: [Long<S>; SIDE], high: f64, low: f64) -> [Long<S>; SIDE] {
        // Long enough as it is: one after the other, in a loop.
        let mut powers = x;
        for b in 0..SIDE {
            powers[b] = double(s, x[b], high, low);
            rolled();
        }
        powers
    }
}

/// Works on some lanes at a time, of which `$n` is a multiple.
macro_rules! each {
    ($from:expr, $to:expr, $n:expr, by $lanes:expr, |$p:ident, $q:ident| $body:expr) => {
        for i in (0..$n).step_by($lanes) {
            let ($p, $q) = ($from.wrapping_add(i), $to.wrapping_add(i));
            $body;
        }
    };
}

/// A [`Pass`] over lanes `A` on tier `S`.
///
/// # Safety
/// As for [`Pass`].
#[inline(never)]
pub(crate) unsafe fn pass<A, S>(step: &Step, from: *const u8, to: *mut u8, n: usize)
where
    A: PowerLane<S>,
    S: Words64 + Floats<A>,
{
    let (first, last) = (from.cast::<A>(), to.cast::<A>());
    let unit = SIDE * <S as Lanes<f64>>::N;
    let rest = n % unit;
    let whole = n - rest;
    // SAFETY: by this function's contract; what is left is fewer lanes than the array has.
    unsafe {
        if whole > 0 {
            let s = S::assume();
            s.vectorize(
                #[inline(always)]
                || run::<A, S>(s, step, first, last, whole),
            );
        }
        if rest > 0 {
            let mut lanes = [A::ZERO; MOST_LANES];
            core::ptr::copy_nonoverlapping(first.add(whole), lanes.as_mut_ptr(), rest);
            // One pointer for both: another borrow would end the first one.
            let lanes = lanes.as_mut_ptr();
            pass::<A, S>(step, lanes.cast_const().cast(), lanes.cast(), unit);
            core::ptr::copy_nonoverlapping(lanes, last.add(whole), rest);
        }
    }
}

/// The same of a multiple of the lanes that are raised at a time.
///
/// # Safety
/// As for [`Pass`].
#[inline(always)]
unsafe fn run<A, S>(s: S, step: &Step, from: *const A, to: *mut A, n: usize)
where
    A: PowerLane<S>,
    S: Words64 + Floats<A>,
{
    let (by, long) = (<S as Lanes<A>>::N, <S as Lanes<f64>>::N);
    // SAFETY: by this function's contract: lanes of the run.
    unsafe {
        match *step {
            Step::Abs => each!(from, to, n, by by, |p, q| {
                Lanes::<A>::store(s, q, Floats::<A>::abs(s, Lanes::<A>::load(s, p)))
            }),
            Step::Square => each!(from, to, n, by by, |p, q| {
                let v = Lanes::<A>::load(s, p);
                Lanes::<A>::store(s, q, Floats::<A>::mul(s, v, v))
            }),
            Step::Root => each!(from, to, n, by by, |p, q| {
                Lanes::<A>::store(s, q, Floats::<A>::sqrt(s, Lanes::<A>::load(s, p)))
            }),
            Step::Divide(count) => {
                let count = Lanes::<A>::splat(s, A::from_count(count));
                each!(from, to, n, by by, |p, q| {
                    Lanes::<A>::store(s, q, Floats::<A>::div(s, Lanes::<A>::load(s, p), count))
                });
            }
            Step::Products { whole, half, quarter } => each!(from, to, n, by SIDE * long, |p, q| {
                let powers = products(s, read::<A, S>(s, p), whole, [half, quarter]);
                for b in 0..SIDE {
                    A::put(s, q.wrapping_add(b * long), powers[b]);
                }
            }),
            Step::Power(high, low) => each!(from, to, n, by SIDE * long, |p, q| {
                let x = read::<A, S>(s, p);
                let powers = A::power(s, x, high, low);
                for b in 0..SIDE {
                    A::put(s, q.wrapping_add(b * long), own(s, x[b], powers[b]));
                }
            }),
        }
    }
}

/// The magnitudes of as many lanes as are raised at a time.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn read<A: PowerLane<S>, S: Words64>(s: S, p: *const A) -> [Long<S>; SIDE] {
    let mut x = [s.splat(0.0); SIDE];
    for b in 0..SIDE {
        // SAFETY: by this function's contract.
        x[b] = s.abs(unsafe { A::long(s, p.wrapping_add(b * <S as Lanes<f64>>::N)) });
    }
    x
}

/// The product of a whole power and of the roots that are wanted: the second, the fourth.
#[inline(always)]
fn products<S: Words64>(s: S, x: [Long<S>; SIDE], whole: u32, roots: [bool; 2]) -> [Long<S>; SIDE] {
    let mut all = if whole == 0 { [s.splat(1.0); SIDE] } else { x };
    // From the power's second digit on.
    for bit in (0..whole.max(1).ilog2()).rev() {
        let is_set = whole >> bit & 1 != 0;
        for b in 0..SIDE {
            all[b] = s.mul(all[b], all[b]);
            if is_set {
                all[b] = s.mul(all[b], x[b]);
            }
        }
        rolled();
    }
    if roots != [false; 2] {
        let mut root = x;
        for is_wanted in roots {
            for b in 0..SIDE {
                root[b] = s.sqrt(root[b]);
                if is_wanted {
                    all[b] = s.mul(all[b], root[b]);
                }
            }
            rolled();
        }
    }
    all
}

/// A power, but for those that a zero, an infinity and a NaN are themselves.
#[inline(always)]
fn own<S: Words64>(s: S, x: Long<S>, power: Long<S>) -> Long<S> {
    let power = s.pick(s.greater(x, s.splat(0.0)), power, x);
    s.pick(s.greater(x, s.splat(f64::MAX)), x, power)
}

/// 1.5·2⁵²: what is added to it is rounded to a whole number, which its last bits are.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// The bits of 1 less those of a bound, so that what begins at the bound has the exponent of 1.
const fn below_one(bound: f64) -> f64 {
    f64::from_bits(0x3ff0_0000_0000_0000 - bound.to_bits())
}

/// The root of 1/2, about.
const HALF_ROOT: f64 = core::f64::consts::FRAC_1_SQRT_2;

/// The bits of a fraction.
const FRACTION: f64 = f64::from_bits((1 << 52) - 1);

/// 2⁵², whose last bits are a whole number that is added to them; and what is then too much, with the exponent of 1.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// `x = m·2ⁿ` with `m` from a bound on up to twice the bound, for normal numbers above 0: `n`, `m`.
#[inline(always)]
fn split<S: Words64>(s: S, x: Long<S>, bound: f64) -> (Long<S>, Long<S>) {
    let from_bound = s.add_bits(x, s.splat(below_one(bound)));
    let n = s.sub(s.add_bits(s.down(from_bound), s.splat(WHOLE)), s.splat(WHOLE + 1023.0));
    let m = s.add_bits(s.and_bits(from_bound, s.splat(FRACTION)), s.splat(bound));
    (n, m)
}

/// A polynomial, its highest coefficient last, from the inside out.
#[inline(always)]
fn polynomial<S: Words64, const N: usize>(s: S, x: Long<S>, coefficients: [f64; N]) -> Long<S> {
    let mut sum = s.splat(coefficients[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.add(s.mul(sum, x), s.splat(coefficients[i]));
    }
    sum
}

/// Two neighbouring coefficients of a polynomial.
#[inline(always)]
fn two<S: Words64>(s: S, x: Long<S>, low: f64, high: f64) -> Long<S> {
    s.add(s.mul(s.splat(high), x), s.splat(low))
}

/// Between two bounds.
#[inline(always)]
fn within<S: Words64>(s: S, x: Long<S>, bound: f64) -> Long<S> {
    s.min(s.max(x, s.splat(-bound)), s.splat(bound))
}

/// `log₂ m = t·P(t²)` with `t = (m − 1)/(m + 1)` and `m` between the roots of 1/2 and 2: the least error relative to it, 2⁻⁴⁵.
const LOG: [f64; 6] = [
    2.88539008177785,
    0.9617966941134019,
    0.5770779423465943,
    0.41220925433664757,
    0.31990561173358695,
    0.28290144570830644,
];

/// `2^x = P(x)` between −1/2 and 1/2: the least error relative to it, 2⁻³⁴·⁵.
const EXP: [f64; 8] = [
    0.999999999961682,
    0.6931471807284456,
    0.24022651198157208,
    0.055504103534532084,
    0.009618027253711369,
    0.0013333922559077525,
    0.0001546929113080106,
    1.5201922641975562e-05,
];

/// A power of a number whose magnitude is that of an `f32`, and which is above 0, for the nearest `f32`: off by less than 2⁻³³ of it.
/// What is beyond the range of an `f32` is beyond it here, and not exact.
#[inline(always)]
fn single<S: Words64, const B: usize>(s: S, x: [Long<S>; B], exponent: f64) -> [Long<S>; B] {
    let one = s.splat(1.0);
    // Each line for all vectors, which do not wait for each other; and of a polynomial two coefficients at once, then four.
    let (mut n, mut t) = (x, x);
    for b in 0..B {
        let (whole, m) = split(s, x[b], HALF_ROOT);
        (n[b], t[b]) = (whole, s.div(s.sub(m, one), s.add(m, one)));
    }
    let mut y = x;
    for b in 0..B {
        let z = s.mul(t[b], t[b]);
        let (square, c) = (s.mul(z, z), LOG);
        let upper = s.add(s.mul(two(s, z, c[4], c[5]), square), two(s, z, c[2], c[3]));
        let log = s.mul(t[b], s.add(s.mul(upper, square), two(s, z, c[0], c[1])));
        y[b] = within(s, s.mul(s.add(log, n[b]), s.splat(exponent)), 300.0);
    }
    for b in 0..B {
        let whole = s.add(y[b], s.splat(MAGIC));
        let x = s.sub(y[b], s.sub(whole, s.splat(MAGIC)));
        let (square, c) = (s.mul(x, x), EXP);
        let fourth = s.mul(square, square);
        let lower = s.add(s.mul(two(s, x, c[2], c[3]), square), two(s, x, c[0], c[1]));
        let upper = s.add(s.mul(two(s, x, c[6], c[7]), square), two(s, x, c[4], c[5]));
        y[b] = s.add_bits(s.add(s.mul(upper, fourth), lower), s.up(whole));
    }
    y
}

/// The upper 32 bits, of which 21 are the fraction's: products of two such numbers are exact.
const HIGH: u64 = 0xffff_ffff_0000_0000;

/// A number of 21 bits about this one.
#[inline(always)]
fn upper<S: Words64>(s: S, x: Long<S>) -> Long<S> {
    s.and_bits(x, s.splat(f64::from_bits(HIGH)))
}

/// What the logarithm of [`double`] is made of: `2/3·log₂ e`, once whole and once in two; and the coefficients of
/// `log m`, of `2^x` and `ln 2` likewise.
const CP: f64 = 9.61796693925975554329e-01;
const CP_HIGH: f64 = 9.61796700954437255859e-01;
const CP_LOW: f64 = -7.02846165095275826516e-09;
const DOUBLE_LOG: [f64; 6] = [
    5.99999999999994648725e-01,
    4.28571428578550184252e-01,
    3.33333329818377432918e-01,
    2.72728123808534006489e-01,
    2.30660745775561754067e-01,
    2.06975017800338417784e-01,
];
const DOUBLE_EXP: [f64; 5] = [
    1.66666666666666019037e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
];
const LN2: f64 = core::f64::consts::LN_2;
const LN2_HIGH: f64 = 6.93147182464599609375e-01;
const LN2_LOW: f64 = -1.90465429995776804525e-09;

/// A power of any finite `f64` above 0, by the sum of two exponents: the method of FreeBSD's `pow`, whose logarithm has two parts.
/// Off by less than 0.8 units in the last place.
#[inline(always)]
fn double<S: Words64>(s: S, x: Long<S>, exponent: f64, low: f64) -> Long<S> {
    let (one, three) = (s.splat(1.0), s.splat(3.0));

    // Subnormal numbers are made normal. Then m lies between about √3/2 and √3, nearer to 1 or to 3/2.
    let is_small = s.greater(s.splat(f64::MIN_POSITIVE), x);
    let x = s.pick(is_small, s.mul(x, s.splat(9_007_199_254_740_992.0)), x);
    let (n, m) = split(s, x, f64::from_bits(0x3feb_b67a_0000_0000));
    let n = s.sub(n, s.pick(is_small, s.splat(53.0), s.splat(0.0)));
    let is_one = s.greater(s.splat(f64::from_bits(0x3ff3_988f_0000_0000)), m);
    let near = s.pick(is_one, one, s.splat(1.5));
    let near_high = s.pick(is_one, s.splat(0.0), s.splat(5.84962487220764160156e-01));
    let near_low = s.pick(is_one, s.splat(0.0), s.splat(1.35003920212974897128e-08));

    // t = (m − near)/(m + near), in two parts.
    let u = s.sub(m, near);
    let sum = s.add(m, near);
    let v = s.div(one, sum);
    let t = s.mul(u, v);
    let t_high = upper(s, t);
    let sum_high = upper(s, sum);
    let sum_low = s.sub(m, s.sub(sum_high, near));
    let t_low = s.mul(v, s.sub(s.sub(u, s.mul(t_high, sum_high)), s.mul(t_high, sum_low)));

    // 3/2·ln(m/near) = t·(3 + t² + …), in two parts.
    let square = s.mul(t, t);
    let r = s.mul(s.mul(square, square), polynomial(s, square, DOUBLE_LOG));
    let r = s.add(r, s.mul(t_low, s.add(t_high, t)));
    let square = s.mul(t_high, t_high);
    let f_high = upper(s, s.add(s.add(three, square), r));
    let f_low = s.sub(r, s.sub(s.sub(f_high, three), square));
    let u = s.mul(t_high, f_high);
    let v = s.add(s.mul(t_low, f_high), s.mul(f_low, t));
    let p_high = upper(s, s.add(u, v));
    let p_low = s.sub(v, s.sub(p_high, u));

    // log₂ x, in two parts.
    let z_high = s.mul(s.splat(CP_HIGH), p_high);
    let z_low = s.add(s.add(s.mul(s.splat(CP_LOW), p_high), s.mul(p_low, s.splat(CP))), near_low);
    let log_high = upper(s, s.add(s.add(s.add(z_high, z_low), near_high), n));
    let log_low = s.sub(z_low, s.sub(s.sub(s.sub(log_high, n), near_high), z_high));

    // y = exponent·log₂ x, in two parts; what is far beyond the range stays so.
    let exponent_high = f64::from_bits(exponent.to_bits() & HIGH);
    let rest = s.mul(s.splat(exponent - exponent_high + low), log_high);
    let y_low = s.add(rest, s.mul(s.splat(exponent), log_low));
    let y_high = s.mul(s.splat(exponent_high), log_high);
    let is_far = s.greater(s.abs(y_high), s.splat(1200.0));
    let y_high = within(s, y_high, 1200.0);
    let y_low = s.pick(is_far, s.splat(0.0), y_low);

    // 2^y, of which a whole number is left to the exponent.
    let whole = s.sub(s.add(s.add(y_low, y_high), s.splat(MAGIC)), s.splat(MAGIC));
    let y_high = s.sub(y_high, whole);
    let t = upper(s, s.add(y_low, y_high));
    let u = s.mul(t, s.splat(LN2_HIGH));
    let v = s.add(s.mul(s.sub(y_low, s.sub(t, y_high)), s.splat(LN2)), s.mul(t, s.splat(LN2_LOW)));
    let z = s.add(u, v);
    let w = s.sub(v, s.sub(z, u));
    let t = s.mul(z, z);
    let t = s.sub(z, s.mul(t, polynomial(s, t, DOUBLE_EXP)));
    let r = s.sub(s.div(s.mul(z, t), s.sub(t, s.splat(2.0))), s.add(w, s.mul(z, w)));
    let z = s.sub(one, s.sub(r, z));

    // In two steps, the first exact: so a subnormal result is rounded once.
    let half = s.add(s.mul(whole, s.splat(0.5)), s.splat(MAGIC));
    let other = s.add(s.sub(whole, s.sub(half, s.splat(MAGIC))), s.splat(MAGIC));
    s.mul(s.mul(z, s.add_bits(one, s.up(half))), s.add_bits(one, s.up(other)))
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "power_tests.rs"]
mod tests;
