//! Outputs kept between bounds: "values below `low` become `low`, those above `high` become `high`; NaN stays NaN, and a zero
//! becomes +0. Bounds between elements are moved inward for integers."

#[macro_use]
mod common;

use common::layer::LAYOUTS;
use common::{Fill, Nan, Rng, Sample, tiers};
use lanepool::{Any, AvgPool, DType, Error, IndexKind, Layout, MaxPool};

/// Every output is the unbounded one, or a bound that it lies beyond; `element` makes a small number an element.
fn outputs_are_between<T: Sample>(element: impl Fn(f64) -> T) {
    let mut rng = Rng::named("clamp");
    let inf = f64::INFINITY;
    for (low, high) in [(0.0, inf), (0.0, 6.0), (0.5, 6.5), (-inf, 3.0), (1.0, 1.0), (-inf, inf)] {
        let (least, most) = if T::FLOAT { (low, high) } else { (low.ceil(), high.floor()) };
        let bounded = |free: T| {
            if low.is_finite() && free < element(least) {
                element(least)
            } else if high.is_finite() && free > element(most) {
                element(most)
            } else {
                free
            }
        };
        for (_, layout) in LAYOUTS {
            for len in [1, 5, 16, 67, 300] {
                let shape = [2, 16, len];
                for fill in [Fill::Edges, Fill::Nans, Fill::Bits] {
                    let src = fill.tensor::<T>(2 * 16 * len, &mut rng);
                    let free = MaxPool::<T>::new([1]).run_once(layout, shape, &src).expect("a valid layer");
                    for tier in tiers::available() {
                        let pool = MaxPool::<T>::new([1]).clamp(low, high).tier(tier);
                        let got = pool.run_once(layout, shape, &src).expect("a valid layer");
                        let indexed = pool.plan_indexed::<i32>(IndexKind::Tap, layout, shape).expect("a valid layer");
                        let (values, indices) = indexed.run_vec(&src).expect("a valid run");
                        assert!(indices.iter().all(|index| *index == 0));
                        for ((free, got), value) in free.iter().zip(&got).zip(&values) {
                            let want = bounded(*free);
                            assert_eq!(got.bits(), want.bits(), "{} on {tier}, {low} to {high}: {free:?}", T::NAME);
                            assert_eq!(value.bits(), want.bits(), "{} on {tier}: with its index", T::NAME);
                        }
                    }
                }
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $element:expr),+ $(,)?) => { $(
        #[test]
        fn $name() {
            outputs_are_between($element);
        }
    )+ };
}

tests! {
    f32: |x| x as f32,
    f64: |x| x,
    f16: half::f16::from_f64,
    bf16: half::bf16::from_f64,
    i8: |x| x as i8,
    u8: |x| x as u8,
    i16: |x| x as i16,
    u16: |x| x as u16,
    i32: |x| x as i32,
    u32: |x| x as u32,
    i64: |x| x as i64,
    u64: |x| x as u64,
}

/// "Bounds between elements are moved inward for integers": bounds at, within and beyond the ends of each type, where an
/// `f64` has no neighbour at a distance of 1. Here the integers between them are counted in 128 bits.
fn bounds_near_the_ends<T: Sample + Into<i128> + TryFrom<i128>>() {
    let two = |power: i32| 2.0_f64.powi(power);
    let far = [two(15), two(31), two(32), two(53), two(63), two(64), two(127), f64::MAX, f64::INFINITY];
    let near =
        [0.0, -0.0, 0.5, 0.7, 1.0, two(31) - 0.5, two(32) - 1.0, two(53) + 2.0, two(63) - 1024.0, two(64) - 2048.0];
    let mut bounds: Vec<f64> = far.into_iter().chain(near).flat_map(|bound| [bound, -bound]).collect();
    bounds.push(-two(63) - 2048.0);
    let src = [T::edges(), T::seven().to_vec()].concat();
    let shape = [1, 1, src.len()];
    let mut refused = 0;
    for low in &bounds {
        for high in &bounds {
            let (least, most) = (low.ceil() as i128, high.floor() as i128);
            let [first, last]: [i128; 2] =
                [T::smallest(&src, Nan::Propagate), T::largest(&src, Nan::Propagate)].map(T::into);
            let is_empty = least > most || least > last || most < first;
            for tier in tiers::available() {
                let got = MaxPool::<T>::new([1]).clamp(*low, *high).tier(tier).run_once(Layout::Nchw, shape, &src);
                if is_empty {
                    let error = got.map(|y| y.len());
                    assert_eq!(error, Err(Error::BadClamp { low: *low, high: *high }), "{} {low} to {high}", T::NAME);
                    refused += 1;
                    continue;
                }
                for (x, y) in src.iter().zip(got.expect("bounds with an element between them")) {
                    let want = (*x).into().max(least).min(most);
                    assert_eq!(y.into(), want, "{} on {tier}: {x:?} in {low} to {high}", T::NAME);
                }
            }
        }
    }
    assert!(refused > bounds.len());
}

#[test]
fn integers_between_bounds_near_the_ends() {
    bounds_near_the_ends::<i8>();
    bounds_near_the_ends::<u8>();
    bounds_near_the_ends::<i16>();
    bounds_near_the_ends::<u16>();
    bounds_near_the_ends::<i32>();
    bounds_near_the_ends::<u32>();
    bounds_near_the_ends::<i64>();
    bounds_near_the_ends::<u64>();
}

/// An average between bounds, in many pieces: the first and last of each are as they should be.
#[test]
fn long_outputs_are_clamped_whole() {
    let shape = [3, 5, 301, 203];
    let src: Vec<f32> = (0..3 * 5 * 301 * 203).map(|i| (i * 37 % 101) as f32 - 50.0).collect();
    let pool = AvgPool::<f32>::new([3, 3]).padding([1, 1]);
    for (_, layout) in LAYOUTS.into_iter().take(2) {
        let free = pool.run_once(layout, shape, &src).expect("a valid layer");
        for tier in tiers::available() {
            let got = pool.relu6().tier(tier).run_once(layout, shape, &src).expect("a valid layer");
            assert!(free.iter().zip(&got).all(|(free, got)| free.clamp(0.0, 6.0) == *got), "{layout} on {tier}");
        }
        assert!(free.iter().any(|free| *free < 0.0) && free.iter().any(|free| *free > 6.0));
    }
}

/// Bounds that are NaN, out of order, or without an element between them are refused with both.
#[test]
fn v18_clamps_out_of_order() {
    let nan = f64::NAN;
    for (low, high) in [(1.0, 0.0), (nan, 1.0), (0.0, nan), (nan, nan), (f64::INFINITY, f64::NEG_INFINITY)] {
        for dtype in DType::ALL {
            let pool = MaxPool::<Any>::new([2]).clamp(low, high);
            let error = pool.plan_as(*dtype, Layout::Nchw, [1, 1, 4]).expect_err("bad bounds");
            let Error::BadClamp { low: l, high: h } = &error else { panic!("{error:?}") };
            assert_eq!((l.to_bits(), h.to_bits()), (low.to_bits(), high.to_bits()));
            assert!(error.to_string().contains(&format!("{low} to {high}")), "{error}");
        }
    }
    // No integer lies there, but floats do.
    for (low, high) in [(0.2, 0.8), (300.0, 400.0)] {
        assert!(MaxPool::<u8>::new([2]).clamp(low, high).plan(Layout::Nchw, [1, 1, 4]).is_err());
        assert!(MaxPool::<f32>::new([2]).clamp(low, high).plan(Layout::Nchw, [1, 1, 4]).is_ok());
    }
    let error = MaxPool::<u8>::new([2]).clamp(0.2, 0.8).plan(Layout::Nchw, [1, 1, 4]).map(|plan| plan.to_string());
    assert_eq!(error, Err(Error::BadClamp { low: 0.2, high: 0.8 }));
}
