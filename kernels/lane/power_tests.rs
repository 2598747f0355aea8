//! Powers against exact references, and every tier's against the scalar one's.
//!
//! `power_vectors.txt` is made by 400 bits of mpmath: the bits of a number and of an exponent, of the nearest `f64` to the power, and how
//! far the power lies from that in units in the last place.

use super::{Pass, Step, double, pass, single};
#[cfg(lanepool_neon)]
use crate::kernels::token::Neon;
use crate::kernels::token::Scalar;
#[cfg(lanepool_x86)]
use crate::kernels::token::{Avx2, Avx512};

/// Exponents of every kind: products, roots of them, and others, also of roots.
const EXPONENTS: [f64; 24] = [
    0.5,
    1.5,
    2.5,
    3.0,
    4.0,
    7.0,
    0.25,
    8.25,
    32.0,
    33.0,
    2.3,
    0.7,
    0.1,
    1e-3,
    100.0,
    1e4,
    0.4,
    1e-300,
    1e300,
    2.000_000_1,
    17.3,
    0.01,
    5.75,
    8.125,
];

/// A number and the next, whatever they are.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// The scalar pass, and those of the other tiers that this machine has.
macro_rules! passes {
    ($lane:ty) => {{
        #[allow(unused_mut, reason = "a machine may have no other tier")]
        let mut others: Vec<Pass> = Vec::new();
        #[cfg(lanepool_x86)]
        {
            others.extend(Avx2::detect().map(|_| pass::<$lane, Avx2> as Pass));
            others.extend(Avx512::detect().map(|_| pass::<$lane, Avx512> as Pass));
        }
        #[cfg(lanepool_neon)]
        others.extend(Neon::detect().map(|_| pass::<$lane, Neon> as Pass));
        (pass::<$lane, Scalar> as Pass, others)
    }};
}

/// Runs a pass over numbers, to others and in place, which must be the same.
fn run<T: Copy + Default + bytemuck::Pod>(pass: Pass, step: &Step, from: &[T]) -> Vec<T> {
    let mut to = vec![T::default(); from.len() + 1];
    let mut place = from.to_vec();
    // SAFETY: the tier was detected, and both have as many lanes.
    unsafe {
        pass(step, from.as_ptr().cast(), to.as_mut_ptr().cast(), from.len());
        pass(step, place.as_ptr().cast(), place.as_mut_ptr().cast(), from.len());
    }
    assert_eq!(bytemuck::bytes_of(&to.pop().expect("a lane")), bytemuck::bytes_of(&T::default()), "behind the end");
    assert_eq!(bytemuck::cast_slice::<_, u8>(&to), bytemuck::cast_slice::<_, u8>(&place), "in place");
    to
}

/// Numbers of all magnitudes, those near 1, and what is special.
fn singles(rng: &mut Rng, count: usize) -> Vec<f32> {
    let specials =
        [0.0, -0.0, 1.0, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE, 1e-45, f32::MAX, -2.0, f32::NEG_INFINITY];
    let others = (0..count).map(|i| match i % 3 {
        0 => f32::from_bits(rng.next() as u32 & 0x7f7f_ffff),
        1 => f32::from_bits(0x3f80_0000_u32.wrapping_add_signed((rng.next() as i32) >> 12)),
        _ => (rng.next() >> 40) as f32 * 2.0_f32.powi(-22),
    });
    specials.into_iter().chain(others).collect()
}

fn doubles(rng: &mut Rng, count: usize) -> Vec<f64> {
    let specials =
        [0.0, -0.0, 1.0, f64::INFINITY, f64::NAN, f64::MIN_POSITIVE, 5e-324, f64::MAX, -2.0, f64::NEG_INFINITY];
    let others = (0..count).map(|i| match i % 3 {
        0 => f64::from_bits(rng.next() & 0x7fef_ffff_ffff_ffff),
        1 => f64::from_bits(0x3ff0_0000_0000_0000_u64.wrapping_add_signed((rng.next() as i64) >> 14)),
        _ => (rng.next() >> 11) as f64 * 2.0_f64.powi(-51),
    });
    specials.into_iter().chain(others).collect()
}

/// A unit in the last place of an `f32` of this magnitude.
fn unit(x: f64) -> f64 {
    let exponent = x.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    2.0_f64.powi(exponent as i32 - 23)
}

/// "It is one of the two numbers around the power, and within 0.502 units in the last place."
#[test]
fn powers_of_singles_are_faithful() {
    let mut rng = Rng(7);
    let (scalar, _) = passes!(f32);
    let count = if cfg!(miri) { 20 } else { 20_000 };
    let mut worst: f64 = 0.0;
    for e in EXPONENTS {
        let from = singles(&mut rng, count);
        for (x, y) in from.iter().zip(run(scalar, &Step::raise(e), &from)) {
            let x = f64::from(x.abs());
            let want = libm::pow(x, e);
            if want.is_nan() || want >= f64::from(f32::MAX) {
                assert_eq!(y.to_bits(), (want as f32).to_bits(), "{x:e}^{e}");
                continue;
            }
            let off = (f64::from(y) - want).abs() / unit(want);
            assert!(off <= 0.502, "{x:e}^{e} is {want:e}, not {y:e}: {off} units");
            worst = worst.max(off);
        }
    }
    assert!(cfg!(miri) || worst > 0.49, "the test has looked at nothing near: {worst}");
}

/// "Nearer to the power than 2⁻³³ of it", for the whole range of the accumulator.
#[test]
fn the_power_before_it_is_rounded() {
    let mut rng = Rng(9);
    let count = if cfg!(miri) { 20 } else { 100_000 };
    let token = Scalar::detect().expect("every machine has it");
    let mut worst: f64 = 0.0;
    for e in EXPONENTS {
        for x in singles(&mut rng, count / EXPONENTS.len()) {
            let x = f64::from(x.abs());
            let want = libm::pow(x, e);
            // Within the range of an `f32`, subnormal ones too.
            if x > 0.0 && x.is_finite() && want < 3.5e38 && want > 7e-46 {
                let [got] = single(token, [x], e);
                worst = worst.max((got / want - 1.0).abs());
            }
        }
    }
    assert!(worst < 2.0_f64.powi(-33), "2^{}", worst.log2());
}

/// "An `f64` is within 0.8 units by any other exponent."
#[test]
fn powers_of_doubles_are_near() {
    let token = Scalar::detect().expect("every machine has it");
    let mut worst: f64 = 0.0;
    for row in include_str!("power_vectors.txt").lines() {
        let words: Vec<&str> = row.split(' ').collect();
        let bits = |at: usize| u64::from_str_radix(words[at], 16).expect("bits");
        let (x, e, want) = (f64::from_bits(bits(0)), f64::from_bits(bits(1)), f64::from_bits(bits(2)));
        let off: f64 = words[3].parse().expect("a number");
        let got = double(token, x, e, 0.0);
        let units = (got.to_bits() as i64 - want.to_bits() as i64) as f64 - off;
        worst = worst.max(units.abs());
        assert!(units.abs() < 0.8, "{x:e}^{e:e} is {want:e}, not {got:e}: {units} units");
    }
    assert!(worst > 0.4, "the test has looked at nothing near: {worst}");
}

/// Products are within a unit for each factor and some more, and every other power near that of `libm`, which is within 0.7.
#[test]
fn powers_of_doubles_are_those_of_libm_or_nearly() {
    let mut rng = Rng(13);
    let (scalar, _) = passes!(f64);
    let count = if cfg!(miri) { 20 } else { 5000 };
    for e in EXPONENTS {
        let from = doubles(&mut rng, count);
        let step = Step::raise(e);
        let most = match step {
            Step::Products { whole, .. } => f64::from(whole) + 4.0,
            _ => 1.5,
        };
        for (x, y) in from.iter().zip(run(scalar, &step, &from)) {
            let want = libm::pow(x.abs(), e);
            let off = (y.to_bits() as i64).abs_diff(want.to_bits() as i64) as f64;
            // Products of numbers that are subnormal meanwhile have few digits.
            let is_rough = matches!(step, Step::Products { .. }) && want < 1e-290;
            assert!(off <= most || is_rough, "{x:e}^{e} is {want:e}, not {y:e}");
        }
    }
}

/// What a root by `1/p` makes up for: the rounding of the quotient, which a large sum would show.
#[test]
fn roots_make_up_for_the_quotient() {
    let (scalar, _) = passes!(f64);
    for p in [3.0, 7.0, 1.9, 0.3] {
        for x in [1.5e100_f64, 3.25e-90, 1.1e10] {
            // The power is not exact, and its error is divided by p; so is that of the root, by nothing.
            let Step::Power(high, low) = Step::root(p) else { panic!("{p} has a root of two parts") };
            assert!((low / high).abs() < f64::EPSILON, "{p}");
            let raised = libm::pow(x, p);
            if !raised.is_normal() {
                continue;
            }
            let root = run(scalar, &Step::root(p), &[raised])[0];
            let units = (root.to_bits() as i64).abs_diff(x.to_bits() as i64) as f64;
            assert!(units <= 1.0 + 1.0 / p, "{x:e}, p = {p}: {units} units");
        }
    }
}

/// "So all tiers give the same bits": any step of any numbers, in runs of any length.
#[test]
fn tiers_agree() {
    let mut rng = Rng(11);
    let count = if cfg!(miri) { 10 } else { 3000 };
    let powers = EXPONENTS.iter().flat_map(|e| [Step::raise(*e), Step::root(*e)]);
    let steps: Vec<Step> = powers.chain([Step::Abs, Step::Square, Step::Root, Step::Divide(7)]).collect();
    for (i, step) in steps.iter().enumerate() {
        let (scalar, others) = passes!(f32);
        let from = singles(&mut rng, count + i);
        // A square root of a negative number is none that a norm takes.
        let from: Vec<f32> = from.iter().map(|x| if *step == Step::Root { x.abs() } else { *x }).collect();
        let want = run(scalar, step, &from);
        for other in others {
            assert_eq!(
                bytemuck::cast_slice::<_, u32>(&run(other, step, &from)),
                bytemuck::cast_slice::<_, u32>(&want),
                "{step:?}"
            );
        }
        let (scalar, others) = passes!(f64);
        let from = doubles(&mut rng, count + i);
        let from: Vec<f64> = from.iter().map(|x| if *step == Step::Root { x.abs() } else { *x }).collect();
        let want = run(scalar, step, &from);
        for other in others {
            assert_eq!(
                bytemuck::cast_slice::<_, u64>(&run(other, step, &from)),
                bytemuck::cast_slice::<_, u64>(&want),
                "{step:?}"
            );
        }
    }
}

/// Which exponents are products, and of how many.
#[test]
fn exponents_that_are_products() {
    let products = |whole, half, quarter| Step::Products { whole, half, quarter };
    assert_eq!(Step::raise(3.0), products(3, false, false));
    assert_eq!(Step::raise(2.5), products(2, true, false));
    assert_eq!(Step::raise(0.75), products(0, true, true));
    assert_eq!(Step::raise(32.75), products(32, true, true));
    assert_eq!(Step::raise(8.125), Step::Power(8.125, 0.0));
    assert_eq!(Step::raise(33.0), Step::Power(33.0, 0.0));
    assert_eq!(Step::raise(0.125), Step::Power(0.125, 0.0));
    assert_eq!(Step::root(0.5), products(2, false, false));
    assert_eq!(Step::root(4.0), products(0, false, true));
    // 1/(1/3) is rounded to 3, which it is not.
    assert!(matches!(Step::root(1.0 / 3.0), Step::Power(3.0, _)));
}
