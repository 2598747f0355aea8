//! Quantised pooling against the specification, to the bit: every tier and layout, and what is exact.

#[macro_use]
mod common;

use common::layer::LAYOUTS;
use common::{Fill, Layer, Nan, Op, Rng, Sample, compare, oracle, share, tiers};
use lanepool::{
    AdaptiveAvgPool, IndexKind, Layout, MaxPool, Plan, Quantization, QuantizedAvgPool, QuantizedMaxPool, Tier,
};

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

impl Byte for i16 {
    const RANGE: (i64, i64) = (i16::MIN as i64, i16::MAX as i64);
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

/// "An index names the first of the largest bytes of the input": those of the maximum of plain bytes, beside the values of a
/// quantised one.
fn indexed_maxima<T: Byte>(name: &str) {
    const KINDS: [IndexKind; 4] =
        [IndexKind::Plane, IndexKind::TensorColumnMajor, IndexKind::Tap, IndexKind::ImageChannelsLast];
    let mut rng = Rng::named(name);
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(60) {
            let layer = Layer::random(Op::Max(Nan::Propagate), layout, &mut rng);
            let src: Vec<T> = Fill::Bits.tensor(layer.input_len(), &mut rng);
            let (input, output, kind) = (T::quantization(&mut rng), T::quantization(&mut rng), *rng.pick(&KINDS));
            let plain: MaxPool<T> = layer.base();
            let plain = layer.indexed_of::<_, T, i64>(plain, kind, None).expect("a valid layer");
            let (_, want) = plain.run_vec(&src).expect("a valid run");
            for tier in tiers::available() {
                let pool: QuantizedMaxPool<T> = layer.base();
                let pool = pool.quantization(input, output);
                let values = layer.plan_of(pool, Some(tier)).and_then(|plan| plan.run_vec(&src));
                let values = values.expect("a valid layer");
                let plan = layer.indexed_of::<_, T, i64>(pool, kind, Some(tier)).expect("a valid layer");
                assert_eq!(plan.run_vec(&src), Ok((values.clone(), want.clone())), "{layer} on {tier}");
                let tasks = plan.tasks(3);
                let (mut got, mut at) = (vec![T::saturated(0); values.len()], vec![i64::MIN; values.len()]);
                for task in 0..tasks.len() {
                    let part = tasks.range(task);
                    let run = plan.run_task(&tasks, task, &src, &mut got[part.clone()], &mut at[part]);
                    assert_eq!(run, Ok(()));
                }
                assert_eq!((&got, &at), (&values, &want), "{layer} on {tier}, in tasks");
                at.fill(i64::MIN);
                assert_eq!(plan.run_indices(&src, &mut at), Ok(()));
                assert_eq!(at, want, "{layer} on {tier}, indices alone");
            }
        }
    }
}

#[test]
fn indexed_maxima_of_u8() {
    indexed_maxima::<u8>("indexed maxima u8");
}

#[test]
fn indexed_maxima_of_i8() {
    indexed_maxima::<i8>("indexed maxima i8");
}

/// 10 and 12 are both 1 in steps of 10: the index is that of 12, which comes later.
#[test]
fn an_index_names_a_byte_of_the_input() {
    let pool = QuantizedMaxPool::<u8>::new([3]).stride([3]).clamp(0.0, 7.0);
    let pool = pool.quantization(Quantization::new(1.0, 0), Quantization::new(10.0, 0));
    let plan = pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 6]).expect("a valid layer");
    // Bounds are those of the result.
    assert_eq!(plan.run_vec(&[10, 12, 12, 0, 200, 100]), Ok((vec![1, 7], vec![1, 4])));
    // A window without a tap has the type's lowest value and no index.
    let pool = QuantizedMaxPool::<i8>::new([1]).padding([1]).allow_empty_windows(true);
    let pool = pool.quantization(Quantization::new(1.0, 0), Quantization::new(2.0, 5));
    let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 1]).expect("a valid layer");
    assert_eq!(plan.run_vec(&[8]), Ok((vec![-128, 9, -128], vec![-1, 0, -1])));
}

/// LiteRT's reference of `AVERAGE_POOL_2D`, of 16 bits as of 8: half of the count is added away from zero, and the division
/// cuts.
fn litert(taps: &[i64], divisor: u64) -> i64 {
    let (acc, count) = (taps.iter().sum::<i64>(), divisor.max(1) as i64);
    if acc > 0 { (acc + count / 2) / count } else { (acc - count / 2) / count }
}

/// "Both zero points are 0, both scales the same, and the result is the exact mean of the stored numbers, rounded half away
/// from zero, whatever the scale."
#[test]
fn averages_of_16_bits_are_those_of_litert() {
    let mut rng = Rng::named("averages i16");
    for (_, layout) in LAYOUTS {
        for _ in 0..share::of(150) {
            let layer = Layer::random(Op::AvgAway, layout, &mut rng);
            let fill = *rng.pick(&[Fill::Bits, Fill::Edges, Fill::Pattern]);
            let src: Vec<i16> = fill.tensor(layer.input_len(), &mut rng);
            let scale = Quantization::new(*rng.pick(&[1.0, 0.5, 3.1e-5, 7.25]), 0);
            let include_pad = rng.one_in(2);
            let want: Vec<i16> = windows(&layer, &src)
                .iter()
                .map(|(taps, declared)| litert(taps, if include_pad { *declared } else { taps.len() as u64 }))
                .map(i16::saturated)
                .collect();
            check(&layer, &src, &want, |tier| {
                let pool: QuantizedAvgPool<i16> = layer.base();
                layer.plan_of(pool.quantization(scale, scale).count_include_pad(include_pad), Some(tier))
            });
        }
    }
    // By hand: ties go away from zero, and sums leave 32 bits.
    let scale = Quantization::new(1.0 / 4096.0, 0);
    let pool = QuantizedAvgPool::<i16>::new([2]).stride([2]).quantization(scale, scale);
    let src = [0, 1, 1, 2, 0, -1, -1, -2, i16::MAX, i16::MAX, i16::MIN, i16::MIN, i16::MIN, i16::MAX];
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 14], &src), Ok(vec![1, 2, -1, -2, i16::MAX, i16::MIN, -1]));
    let long = QuantizedAvgPool::<i16>::global().quantization(scale, scale);
    assert_eq!(long.run_once(Layout::Nchw, [1, 1, 1 << 18], &vec![i16::MIN; 1 << 18]), Ok(vec![i16::MIN]));
    let max = QuantizedMaxPool::<i16>::new([2]).stride([2]).quantization(scale, scale);
    let plan = max.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 14]).expect("a valid layer");
    let largest = vec![1, 2, 0, -1, i16::MAX, i16::MIN, i16::MAX];
    assert_eq!(plan.run_vec(&src), Ok((largest, vec![1, 3, 4, 6, 8, 10, 13])));
    // Thirds that overlap: 0..2, 1..4 and 3..5 of 5.
    let adaptive = AdaptiveAvgPool::<i16>::new([3]).quantization(scale, scale);
    let plan = adaptive.plan(Layout::Nchw, [1, 1, 5]).expect("a valid layer");
    assert_eq!(plan.run_vec(&[-1, -2, 3, 7, 8]), Ok(vec![-2, 3, 8]));
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
