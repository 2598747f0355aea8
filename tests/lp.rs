//! Lp pooling against the specification: p = 1, 2 and ∞ to the bit, other p to a few units in the last place, and every tier
//! like every other.
//!
//! The specification of a norm is that of a sum, a mean or a maximum of powers (`common/oracle.rs`), and a root.

#[macro_use]
mod common;

use common::check::{self, compare};
use common::layer::LAYOUTS;
use common::strides::strides;
use common::{Fill, Layer, Nan, Op, Rng, Sample, oracle, share, tiers};
use lanepool::{Layout, LpPool, Plan, Tier};

const INF: f64 = f64::INFINITY;

/// A float and what its sums are made of.
trait Real: Sample {
    /// Half a unit in the last place of 1, of the type and of its sums.
    const EPSILON: f64;
    fn real(self) -> f64;
    /// `(Σ |x|^p)^(1/p)`, or of the mean; "a window without a valid tap gives 0".
    fn norm(layer: &Layer, src: &[Self], p: f64, mean: bool) -> oracle::Pooled<Self>;
}

macro_rules! real {
    ($T:ty, $Acc:ty, $epsilon:expr, $widen:expr, $narrow:expr) => {
        impl Real for $T {
            const EPSILON: f64 = $epsilon;

            fn real(self) -> f64 {
                self.into()
            }

            fn norm(layer: &Layer, src: &[Self], p: f64, mean: bool) -> oracle::Pooled<Self> {
                let raised = src.iter().map(|x| {
                    let x: $Acc = ($widen)(*x);
                    match p {
                        1.0 | INF => x.abs(),
                        2.0 => x * x,
                        p => f64::from(x.abs()).powf(p) as $Acc,
                    }
                });
                let raised: Vec<$Acc> = raised.collect();
                let op = match (p, mean) {
                    (INF, _) => Op::Max(Nan::Propagate),
                    (_, true) => Op::Avg,
                    (_, false) => Op::Sum,
                };
                let pooled = oracle::pool(&Layer { op, ..layer.clone() }, &raised).expect("a valid layer");
                let rooted = pooled.values.into_iter().map(|sum| match p {
                    // No valid tap.
                    INF if sum < 0.0 => 0.0,
                    1.0 | INF => sum,
                    2.0 => sum.sqrt(),
                    p => f64::from(sum).powf(1.0 / p) as $Acc,
                });
                let narrow = |x: $Acc| if x.is_nan() { <$T>::NAN } else { ($narrow)(x) };
                oracle::Pooled { shape: pooled.shape, values: rooted.map(narrow).collect() }
            }
        }
    };
}

const F32: f64 = 1.0 / (1_u64 << 24) as f64;
real!(f32, f32, F32, |x| x, |x| x);
real!(f64, f64, 1.0 / (1_u64 << 53) as f64, |x| x, |x| x);
real!(half::f16, f32, F32 + 1.0 / (1 << 11) as f64, half::f16::to_f32, half::f16::from_f32);
real!(half::bf16, f32, F32 + 1.0 / (1 << 8) as f64, half::bf16::to_f32, half::bf16::from_f32);

fn plan<T: Sample>(layer: &Layer, p: f64, mean: bool, tier: Tier) -> Plan<T> {
    let pool = LpPool::mean(LpPool::p(layer.base(), p), mean);
    layer.plan_of(pool, Some(tier)).unwrap_or_else(|error| panic!("p = {p}, {layer}: {error}"))
}

/// On every tier, which must agree to the bit.
fn run<T: Sample>(layer: &Layer, src: &[T], p: f64, mean: bool) -> Vec<T> {
    let mut all: Option<Vec<T>> = None;
    for tier in tiers::available() {
        let plan = plan::<T>(layer, p, mean, tier);
        let got = check::run(&plan, src);
        let want = all.get_or_insert_with(|| got.clone());
        compare(layer, tier, plan.kernel(), &plan.output_shape(), &got, want);
    }
    all.expect("every machine has a tier")
}

/// Random layers in every layout, some of each kind of data, with p = 1, 2 and ∞.
fn exact<T: Real>(name: &str) {
    let mut rng = Rng::named(name);
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(120) {
            let layer = Layer::random(Op::Sum, layout, &mut rng);
            let fill = *rng.pick(&common::data::FILLS);
            let src: Vec<T> = fill.tensor(layer.input_len(), &mut rng);
            let (p, mean) = (*rng.pick(&[1.0, 2.0, INF]), rng.one_in(3));
            let want = T::norm(&layer, &src, p, mean);
            let got = run(&layer, &src, p, mean);
            let kernel = format!("any driver, p = {p}, mean {mean}");
            compare(&layer, Tier::Scalar, &kernel, &want.shape, &got, &want.values);
        }
    }
}

/// The same with other p. `powf` of the standard library is the specification here: any two good ones are within a unit in the
/// last place of `f64` of each other.
fn powers<T: Real>(name: &str) {
    let mut rng = Rng::named(name);
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(25) {
            let layer = Layer::random(Op::Sum, layout, &mut rng);
            let mut src: Vec<T> = Fill::Pattern.tensor(layer.input_len(), &mut rng);
            for x in &mut src {
                if rng.one_in(60) {
                    *x = *rng.pick(&T::seven());
                }
            }
            let (p, mean) = (*rng.pick(&[0.5, 1.5, 3.0, 4.0, 2.5]), rng.one_in(3));
            let want = T::norm(&layer, &src, p, mean);
            let got = run(&layer, &src, p, mean);
            for (got, want) in got.iter().zip(&want.values) {
                // The root divides the sum's error by p.
                let near = (got.real() - want.real()).abs() <= 8.0 * T::EPSILON * (1.0 + 1.0 / p) * want.real();
                assert!(got.bits() == want.bits() || near, "p = {p}, {layer}: {got:?} and {want:?}");
            }
        }
    }
}

macro_rules! for_reals {
    ($($name:ident: $T:ty),+) => { $(
        mod $name {
            #[test]
            fn norms_one_two_and_infinity_are_exact() {
                super::exact::<$T>(concat!("exact ", stringify!($name)));
            }

            #[test]
            fn other_norms_are_near() {
                super::powers::<$T>(concat!("powers ", stringify!($name)));
            }
        }
    )+ };
}

for_reals! { of_f32: f32, of_f64: f64, of_f16: half::f16, of_bf16: half::bf16 }

/// Any bits at all: the tiers agree, whatever overflows.
#[test]
fn tiers_agree_on_any_bits() {
    let mut rng = Rng::named("any bits");
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(20) {
            let layer = Layer::random(Op::Sum, layout, &mut rng);
            let p = *rng.pick(&[0.1, 1.0, 2.0, 7.5, INF]);
            run::<f32>(&layer, &Fill::Bits.tensor(layer.input_len(), &mut rng), p, false);
            run::<half::f16>(&layer, &Fill::Bits.tensor(layer.input_len(), &mut rng), p, true);
        }
    }
}

/// Layers whose planes no scratch holds: tiles of rows, of columns, of channels, and those whose first row is a multiple of the kernel.
/// By the driver of norms, whole and in tasks, they have the bits of a driver that raises every tap.
#[test]
fn tiles_of_large_layers() {
    let planar = |shape: &[usize], kernel: &[usize]| Layer::new(Op::Sum, Layout::Nchw, shape, kernel);
    let last = |shape: &[usize], kernel: &[usize]| Layer::new(Op::Sum, Layout::Nhwc, shape, kernel);
    let layers = [
        planar(&[1, 2, 150, 131], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        planar(&[2, 1, 121, 130], &[3, 2]).padding_unequal(&[2, 0], &[0, 1]).ceil(true),
        planar(&[1, 1, 90, 300], &[9, 9]).padding(&[4, 4]),
        planar(&[1, 1, 60, 400], &[11, 3]).padding(&[5, 1]),
        planar(&[1, 1, 9, 6000], &[3, 3]).stride(&[1, 3]).dilation(&[2, 5]),
        planar(&[1, 1, 13_000], &[5]).stride(&[2]).padding(&[2]),
        planar(&[1, 1, 9, 50, 70], &[3, 3, 3]).stride(&[2, 1, 2]).padding(&[1, 1, 0]),
        last(&[1, 70, 30, 28], &[3, 3]).padding(&[1, 1]),
        last(&[1, 3, 90, 80], &[2, 3]).stride(&[2, 1]),
        last(&[2, 130, 9, 40], &[2, 2]).stride(&[2, 2]).ceil(true),
        last(&[1, 40, 5, 60, 9], &[2, 3, 3]).padding(&[1, 1, 1]),
    ];
    let mut rng = Rng::named("tiles");
    for layer in &layers {
        large::<f32>(layer, &mut rng);
        large::<f64>(layer, &mut rng);
        large::<half::bf16>(layer, &mut rng);
    }
}

/// One of them, by every kind of norm; and with gaps between rows or pixels.
fn large<T: Sample>(layer: &Layer, rng: &mut Rng) {
    if !share::holds(format_args!("{} {layer}", T::NAME)) {
        return;
    }
    for (p, mean) in [(2.0, true), (3.0, false), (2.3, true), (INF, false)] {
        let packed = plan::<T>(layer, p, mean, Tier::Scalar);
        let both =
            [strides(layer.layout, &layer.shape, true, rng), strides(layer.layout, &packed.output_shape(), false, rng)];
        for strides in [None, Some(both)] {
            let layer = Layer { strides, ..layer.clone() };
            let others = ["bands", "direct"].into_iter().find_map(|driver| {
                let layer = Layer { driver: Some(driver), ..layer.clone() };
                layer.plan_of::<_, T>(LpPool::mean(LpPool::p(layer.base(), p), mean), Some(Tier::Scalar)).ok()
            });
            let others = others.expect("one of them takes every layer");
            let mut src = Fill::Numbers.tensor::<T>(others.input_len(), rng);
            let at = rng.below(src.len());
            src[at] = *rng.pick(&T::seven());
            let want = check::run(&others, &src);
            for tier in tiers::available() {
                let own = plan::<T>(&layer, p, mean, tier);
                // Gaps in rows of few channels are not for tiles.
                assert!(own.kernel() == "staged" || layer.strides.is_some(), "{own}");
                let got = check::run(&own, &src);
                let differs = got.iter().zip(&want).position(|(got, want)| got.bits() != want.bits());
                assert_eq!(differs, None, "p = {p}, {layer}: {own} is not {others}");
            }
        }
    }
}

/// One window of a row.
fn one(p: f64, src: &[f32]) -> f32 {
    run(&Layer::new(Op::Sum, Layout::Nchw, &[1, 1, src.len()], &[src.len()]), src, p, false)[0]
}

/// "`(Σ |x|^p)^(1/p)` over valid taps (ONNX)": the absolute value is taken, where PyTorch's odd p lets signs cancel.
#[test]
fn norms_by_hand() {
    assert_eq!(one(1.0, &[3.0, -4.0]), 7.0);
    assert_eq!(one(2.0, &[3.0, -4.0]), 5.0);
    assert_eq!(one(INF, &[3.0, -4.0]), 4.0);
    assert_eq!(one(3.0, &[3.0, -4.0, 5.0]), 6.0);
    assert_eq!(one(0.5, &[4.0, -9.0]), 25.0);
    assert_eq!(one(1.5, &[-0.0, 0.0]).to_bits(), 0);
    for p in [1.0, 2.0, INF, 3.0] {
        assert_eq!(one(p, &[-0.0, -0.0]).to_bits(), 0, "p = {p}");
        assert_eq!(one(p, &[1.0, f32::NEG_INFINITY]), f32::INFINITY, "p = {p}");
        let nan = one(p, &[1.0, f32::from_bits(0xffc1_2345), f32::INFINITY]);
        assert_eq!(nan.to_bits(), 0x7fc0_0000, "p = {p}: the canonical NaN");
    }
}

/// "A power beyond the accumulator's range is infinite, and so is the result."
#[test]
fn powers_overflow() {
    assert_eq!(one(2.0, &[1e30, 1.0]), f32::INFINITY);
    assert_eq!(one(3.0, &[1e20, 1.0]), f32::INFINITY);
    assert_eq!(one(INF, &[1e30, 1.0]), 1e30);
}

/// The divisor is the number of valid taps; a maximum has none.
#[test]
fn power_means() {
    let layer = Layer::new(Op::Sum, Layout::Nhwc, &[1, 1, 4], &[2]).stride(&[2]).padding(&[1]);
    let src = [3.0_f32, 1.0, -7.0, 2.0];
    assert_eq!(run(&layer, &src, 2.0, true), [3.0, 5.0, 2.0]);
    assert_eq!(run(&layer, &src, 1.0, true), [3.0, 4.0, 2.0]);
    assert_eq!(run(&layer, &src, INF, true), [3.0, 7.0, 2.0]);
    let rms = LpPool::<f32>::new([2]).stride([2]).padding([1]).rms();
    assert_eq!(rms.run_once(Layout::Nchw, [1, 1, 4], &src), Ok(vec![3.0, 5.0, 2.0]));
}

/// "Window without a valid tap gives 0."
#[test]
fn windows_without_a_tap() {
    let layer = Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 1], &[1]).padding(&[1]).allow_empty();
    for (p, mean) in [(1.0, false), (2.0, false), (2.0, true), (3.0, true), (INF, false)] {
        let got: Vec<u32> = run(&layer, &[-6.0_f32], p, mean).iter().map(|y| y.to_bits()).collect();
        assert_eq!((got[0], got[2]), (0, 0), "p = {p}");
    }
}

/// The sum's order is that of the average: with squares of 2¹² and 1, 2²⁴ swallows a 1 but not a 2.
#[test]
fn order_of_additions() {
    let layer = Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 2, 4], &[2, 3]);
    // Columns: (2²⁴ + 1) + (1 + 1) + 0; row by row it would be ((2²⁴ + 1) + 0) + 1 + 1.
    let src = [4096.0_f32, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(run(&layer, &src, 2.0, false)[0], (16_777_218.0_f32).sqrt());
}
