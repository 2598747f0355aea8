//! Quantised pooling against the specification, to the bit: every tier and layout, and what is exact.

#[macro_use]
mod common;

use common::layer::LAYOUTS;
use common::{Fill, Layer, Nan, Op, Rng, Sample, compare, oracle, share, tiers};
use lanepool::{Layout, Plan, Quantization, QuantizedAvgPool, QuantizedMaxPool, Tier};

/// A quantised type.
trait Byte: Sample + Into<i64> + TryFrom<i64> {
    const RANGE: (i64, i64);

    fn saturated(x: i64) -> Self {
        Self::try_from(x.clamp(Self::RANGE.0, Self::RANGE.1)).ok().expect("a number in the type's range")
    }

    fn quantization(rng: &mut Rng) -> Quantization {
        let zero_point = Self::RANGE.0 + rng.below(256) as i64;
        // From 2⁻⁸ to 2².
        let scale = (rng.below(1 << 20) + 1) as f32 / (1 << 18) as f32;
        Quantization::new(scale.max(0.0039), zero_point as i32)
    }
}

impl Byte for u8 {
    const RANGE: (i64, i64) = (0, 255);
}

impl Byte for i8 {
    const RANGE: (i64, i64) = (-128, 127);
}

/// Valid taps and declared taps of every window, in the layer's layout.
fn windows<T: Byte>(layer: &Layer, src: &[T]) -> Vec<(Vec<i64>, u64)> {
    let axes = oracle::axes(layer).expect("a valid layer");
    let (batch, channels) = (layer.shape[0], layer.shape[1]);
    let pixels = axes.iter().map(|axis| axis.n as usize).product();
    let outputs: usize = axes.iter().map(|axis| axis.out as usize).product();
    let mut windows = vec![(Vec::new(), 0); batch * channels * outputs];
    for n in 0..batch {
        for c in 0..channels {
            for output in 0..outputs {
                let [depth, height, width] = axes;
                let x = output as i128 % width.out;
                let y = output as i128 / width.out % height.out;
                let z = output as i128 / width.out / height.out;
                let mut taps = Vec::new();
                for slab in depth.valid(z) {
                    for row in height.valid(y) {
                        for column in width.valid(x) {
                            let pixel = (slab * height.n as usize + row) * width.n as usize + column;
                            taps.push(src[oracle::offset(layer.layout, channels, pixels, n, c, pixel)].into());
                        }
                    }
                }
                let declared = depth.padded(z) * height.padded(y) * width.padded(x);
                windows[oracle::offset(layer.layout, channels, outputs, n, c, output)] = (taps, declared);
            }
        }
    }
    windows
}

/// "Sum exactly in integers, subtract valid·zero_in, scale once in f32, round, add zero_out, saturate."
fn mean<T: Byte>(taps: &[i64], divisor: u64, input: Quantization, output: Quantization) -> T {
    let sum = taps.iter().sum::<i64>() - taps.len() as i64 * i64::from(input.zero_point);
    let multiplier = f64::from(input.scale) / f64::from(output.scale) / divisor.max(1) as f64;
    let scaled = sum as f32 * multiplier as f32;
    T::saturated(scaled.round_ties_even() as i64 + i64::from(output.zero_point))
}

/// Makes sure that a result is the exact one, or 1 off where that lies within 10⁻³ of a tie.
fn is_right<T: Byte>(got: T, exact: f64) {
    let rounded = T::saturated(exact.round_ties_even() as i64);
    let near_tie = (exact - exact.floor() - 0.5).abs() < 1e-3;
    let off = (got.into() - rounded.into()).abs();
    assert!(off == 0 || off == 1 && near_tie, "{got:?}, exactly {exact}");
}

/// Runs on every tier and compares with `want`.
fn check<T: Byte>(layer: &Layer, src: &[T], want: &[T], plan: impl Fn(Tier) -> Result<Plan<T>, lanepool::Error>) {
    for tier in tiers::available() {
        let plan = plan(tier).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let got = common::check::run(&plan, src);
        compare(layer, tier, plan.kernel(), &plan.output_shape(), &got, want);
    }
}

fn averages<T: Byte>(name: &str) {
    let mut rng = Rng::named(name);
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(150) {
            let layer = Layer::random(Op::Avg, layout, &mut rng);
            let src: Vec<T> = Fill::Bits.tensor(layer.input_len(), &mut rng);
            let (input, output) = (T::quantization(&mut rng), T::quantization(&mut rng));
            let include_pad = rng.one_in(2);
            let want: Vec<T> = windows(&layer, &src)
                .iter()
                .map(|(taps, declared)| {
                    let divisor = if include_pad { *declared } else { taps.len() as u64 };
                    let mean = mean(taps, divisor, input, output);
                    if !taps.is_empty() {
                        let sum: f64 = taps.iter().map(|tap| (tap - i64::from(input.zero_point)) as f64).sum();
                        let ratio = f64::from(input.scale) / f64::from(output.scale);
                        is_right::<T>(mean, sum * ratio / divisor as f64 + f64::from(output.zero_point));
                    }
                    mean
                })
                .collect();
            check(&layer, &src, &want, |tier| {
                let pool: QuantizedAvgPool<T> = layer.base();
                layer.plan_of(pool.quantization(input, output).count_include_pad(include_pad), Some(tier))
            });
        }
    }
}

fn maxima<T: Byte>(name: &str) {
    let mut rng = Rng::named(name);
    for (_, layout) in LAYOUTS {
        for i in 0..share::of(60) {
            let layer = Layer::random(Op::Max(Nan::Propagate), layout, &mut rng);
            let src: Vec<T> = Fill::Bits.tensor(layer.input_len(), &mut rng);
            let input = T::quantization(&mut rng);
            let output = if i % 4 == 0 { input } else { T::quantization(&mut rng) };
            let want: Vec<T> = windows(&layer, &src)
                .iter()
                .map(|(taps, _)| match taps.iter().max() {
                    None => T::saturated(i64::MIN),
                    Some(max) if input == output => T::saturated(*max),
                    // A mean of one.
                    Some(max) => mean(&[*max], 1, input, output),
                })
                .collect();
            check(&layer, &src, &want, |tier| {
                let pool: QuantizedMaxPool<T> = layer.base();
                layer.plan_of(pool.quantization(input, output), Some(tier))
            });
        }
    }
}

#[test]
fn averages_of_u8() {
    averages::<u8>("averages u8");
}

#[test]
fn averages_of_i8() {
    averages::<i8>("averages i8");
}

#[test]
fn maxima_of_u8() {
    maxima::<u8>("maxima u8");
}

#[test]
fn maxima_of_i8() {
    maxima::<i8>("maxima i8");
}

/// A row of means of two on every tier.
fn row(src: &[i8], input: Quantization, output: Quantization) -> Vec<i8> {
    let mut all = None;
    for tier in tiers::available() {
        let pool = QuantizedAvgPool::<i8>::new([2]).stride([2]).quantization(input, output).tier(tier);
        let got = pool.run_once(Layout::Nchw, [1, 1, src.len()], src).expect("a valid layer");
        assert_eq!(*all.get_or_insert_with(|| got.clone()), got, "{tier}");
    }
    all.expect("every machine has a tier")
}

/// "Round half to even", "saturate".
#[test]
fn ties_go_to_the_even_one_and_ends_saturate() {
    let one = Quantization::new(1.0, 0);
    assert_eq!(row(&[0, 1, 1, 2, 0, -1, -1, -2, 2, 3], one, one), [0, 2, 0, -2, 2]);
    // The zero point is added after rounding.
    assert_eq!(row(&[0, 1, 1, 2, 0, -1], one, Quantization::new(1.0, 1)), [1, 3, 1]);
    assert_eq!(row(&[127, 127, -128, -128], one, Quantization::new(0.5, 0)), [127, -128]);
    assert_eq!(row(&[127, 127, -128, -128], Quantization::new(1.0, -128), one), [127, 0]);
    assert_eq!(row(&[127, 127, -128, -128], one, Quantization::new(1e-30, 127)), [127, -128]);
}

/// "Padding counts as real 0": with the divisor of the whole window, the byte that stands for 0 is what padding is.
#[test]
fn padding_is_the_real_zero() {
    let q = Quantization::new(0.25, 100);
    let pool = QuantizedAvgPool::<u8>::new([2]).padding([1]).quantization(q, q).count_include_pad(true);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 2], &[110, 90]), Ok(vec![105, 100, 95]));
    let pool = pool.count_include_pad(false);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 2], &[110, 90]), Ok(vec![110, 100, 90]));
    // A window of nothing but padding.
    let empty = QuantizedAvgPool::<u8>::new([1]).padding([1]).allow_empty_windows(true);
    let empty = empty.quantization(q, Quantization::new(0.5, 7));
    assert_eq!(empty.run_once(Layout::Nchw, [1, 1, 1], &[104]), Ok(vec![7, 9, 7]));
}

/// A whole plane too long for sums of 16 bits, and for exact `f32`s.
#[test]
fn long_planes() {
    let src = vec![255_u8; 1 << 20];
    let to = Quantization::new(2.0, 3);
    for tier in tiers::available() {
        let pool = QuantizedAvgPool::<u8>::global().quantization(Quantization::new(1.0, 5), to).tier(tier);
        assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 1 << 10, 1 << 10], &src), Ok(vec![128]), "{tier}");
    }
}
