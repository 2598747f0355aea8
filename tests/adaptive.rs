//! Adaptive pooling against the specification: `semantics.md` 1, "output `o` covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)`".
//!
//! Here a window is a list of taps, gathered one by one; values and means are those of `common/elements.rs`.

#[macro_use]
mod common;

use common::elements::{Order, Window};
use common::layer::LAYOUTS;
use common::{Fill, Layer, Nan, Op, Rng, Sample, check, oracle};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, Error, Index, IndexKind, Layout, NanPolicy, Quantization, Rounding, Tier,
};

const KINDS: [IndexKind; 6] = [
    IndexKind::Plane,
    IndexKind::Tensor,
    IndexKind::TensorColumnMajor,
    IndexKind::Tap,
    IndexKind::ImageChannelsLast,
    IndexKind::TensorChannelsLast,
];

/// The taps of output `o`, in arithmetic that cannot overflow.
fn taps(n: usize, m: usize, o: usize) -> Vec<usize> {
    let (n, m, o) = (n as u128, m as u128, o as u128);
    (o * n / m..((o + 1) * n).div_ceil(m)).map(|tap| tap as usize).collect()
}

/// Depth, height and width; absent ones are 1.
fn three(lengths: &[usize]) -> [usize; 3] {
    let mut axes = [1; 3];
    axes[3 - lengths.len()..].copy_from_slice(lengths);
    axes
}

/// Calls `each` with output offset, plane number, places of the taps in scan order, and taps in scan order.
fn each_window<T: Sample>(
    layout: Layout,
    shape: &[usize],
    output: &[usize],
    src: &[T],
    mut each: impl FnMut(usize, usize, &[[usize; 3]], &[T]),
) {
    let (input, outputs) = (three(&shape[2..]), three(output));
    let [pixels, all] = [input, outputs].map(|axes| axes.iter().product::<usize>());
    for plane in 0..shape[0] * shape[1] {
        let (n, c) = (plane / shape[1], plane % shape[1]);
        for o in 0..all {
            let at = [o / outputs[2] / outputs[1], o / outputs[2] % outputs[1], o % outputs[2]];
            let [slabs, rows, columns] = [0, 1, 2].map(|axis| taps(input[axis], outputs[axis], at[axis]));
            let mut places = Vec::new();
            for z in &slabs {
                for y in &rows {
                    places.extend(columns.iter().map(|x| [*z, *y, *x]));
                }
            }
            let element = |&[z, y, x]: &[usize; 3]| {
                src[oracle::offset(layout, shape[1], pixels, n, c, (z * input[1] + y) * input[2] + x)]
            };
            let values: Vec<T> = places.iter().map(element).collect();
            each(oracle::offset(layout, shape[1], all, n, c, o), plane, &places, &values);
        }
    }
}

/// Which of a window's taps is named.
fn named<T: Sample>(taps: &[T], policy: Nan) -> usize {
    let value = T::largest(taps, policy);
    if value.is_nan() {
        return taps.iter().rposition(|tap| tap.is_nan()).expect("a NaN");
    }
    taps.iter().position(|tap| *tap == value).expect("the maximum")
}

fn compare<T: Sample>(what: &str, got: &[T], want: &[T]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.bits(), want.bits(), "{} {what}: output {i} is {got:?}, not {want:?}", T::NAME);
    }
}

/// The maximum and its indices of every kind.
fn check_max<T: Sample>(layout: Layout, shape: &[usize], output: &[usize], src: &[T]) {
    for nan in [Nan::Propagate, Nan::Ignore] {
        let pool = AdaptiveMaxPool::<T>::new(output).nan(nan.policy());
        let plan = pool.plan(layout, shape).expect("a valid layer");
        let what = format!("{plan:?}");
        let mut want = vec![check::poison::<T>(); plan.output_len()];
        each_window(layout, shape, output, src, |at, _, _, taps| want[at] = T::largest(taps, nan));
        let mut got = vec![check::poison::<T>(); plan.output_len()];
        plan.run(src, &mut got).expect("a valid run");
        compare(&what, &got, &want);
        for kind in KINDS {
            let (input, channels) = (three(&shape[2..]), shape[1]);
            let mut indices = vec![-7; want.len()];
            each_window(layout, shape, output, src, |at, plane, places, taps| {
                let tap = named(taps, nan);
                let [z, y, x] = places[tap];
                let [d, h, w] = input;
                indices[at] = match kind {
                    IndexKind::Plane => (z * h + y) * w + x,
                    IndexKind::Tensor => ((plane * d + z) * h + y) * w + x,
                    IndexKind::TensorColumnMajor => plane * d * h * w + z + d * (y + h * x),
                    IndexKind::ImageChannelsLast => ((z * h + y) * w + x) * channels + plane % channels,
                    IndexKind::TensorChannelsLast => {
                        (((plane / channels * d + z) * h + y) * w + x) * channels + plane % channels
                    }
                    _ => tap,
                } as i64;
            });
            check_indices::<T, i32>(&pool, kind, layout, shape, src, (&want, &indices));
            check_indices::<T, i64>(&pool, kind, layout, shape, src, (&want, &indices));
        }
    }
}

fn check_indices<T: Sample, I: Index>(
    pool: &AdaptiveMaxPool<T>,
    kind: IndexKind,
    layout: Layout,
    shape: &[usize],
    src: &[T],
    (values, indices): (&[T], &[i64]),
) {
    let plan = pool.plan_indexed::<I>(kind, layout, shape).expect("a valid layer");
    let (mut got, mut found) = (vec![check::poison::<T>(); values.len()], vec![I::NONE; values.len()]);
    plan.run(src, &mut got, &mut found).expect("a valid run");
    compare(&format!("{plan:?}"), &got, values);
    let found: Vec<i64> = found.iter().map(|index| index.to_offset().map_or(-1, |at| at as i64)).collect();
    assert_eq!(found, indices, "{plan:?}");
    assert_eq!(plan.run_vec(src).map(|(_, indices)| indices.len()), Ok(found.len()));
}

/// The order of the sums: by the longest window of each axis, which may be counted as one tap longer than it is.
fn order<'a>(shape: &[usize], output: &[usize]) -> Order<'a> {
    let (input, outputs) = (three(&shape[2..]), three(output));
    let [slabs, rows, columns] = [0, 1, 2].map(|axis| input[axis].min(input[axis].div_ceil(outputs[axis]) + 1));
    if slabs * rows > 256 || columns > 256 { Order::Blocks } else { Order::Columns }
}

/// The mean by both roundings. Windows that are all equal are the plain layer's business, which gives the order of sums.
fn check_avg<T: Sample>(layout: Layout, shape: &[usize], output: &[usize], src: &[T]) {
    let is_uniform = shape[2..].iter().zip(output).all(|(n, m)| n % m == 0);
    for (rounding, op) in [(Rounding::HalfToEven, Op::Avg), (Rounding::HalfAwayFromZero, Op::AvgAway)] {
        let plan = AdaptiveAvgPool::<T>::new(output).rounding(rounding).plan(layout, shape).expect("a valid layer");
        let got = plan.run_vec(src).expect("a valid run");
        let want = if is_uniform {
            let window: Vec<usize> = shape[2..].iter().zip(output).map(|(n, m)| n / m).collect();
            oracle::pool(&Layer::new(op, layout, shape, &window).stride(&window), src).expect("a valid layer").values
        } else {
            let mut want = vec![check::poison::<T>(); plan.output_len()];
            each_window(layout, shape, output, src, |at, _, places, taps| {
                // Column by column: a stable sort leaves each in scan order.
                let mut columns: Vec<_> = places.iter().map(|[_, _, x]| *x).zip(taps.iter().copied()).collect();
                columns.sort_by_key(|(x, _)| *x);
                let column = columns.iter().filter(|(x, _)| *x == columns[0].0).count();
                let sorted: Vec<T> = columns.iter().map(|(_, tap)| *tap).collect();
                let window = Window { taps: &sorted, column, order: order(shape, output) };
                let mean = if op == Op::Avg { T::mean } else { T::mean_away };
                want[at] = mean(&window, taps.len() as u64);
            });
            want
        };
        compare(&format!("{plan:?}"), &got, &want);
    }
}

/// Shapes and outputs: shorter, longer, dividing, longer than the buffers of columns and channels.
const CASES: &[(usize, &[usize], &[usize])] = &[
    (3, &[7], &[3]),
    (2, &[3], &[8]),
    (1, &[613], &[2]),
    (1, &[700], &[5]),
    (2, &[12], &[4]),
    (3, &[9, 11], &[4, 5]),
    (2, &[5, 3], &[7, 2]),
    (2, &[8, 6], &[4, 3]),
    (67, &[5, 7], &[3, 2]),
    (130, &[3, 4], &[2, 4]),
    (1, &[3, 530], &[2, 3]),
    (2, &[4, 5, 6], &[3, 2, 4]),
    (2, &[2, 3, 1], &[5, 1, 2]),
    (1, &[5, 9, 8], &[1, 1, 1]),
];

macro_rules! every_element {
    ($($name:ident: $T:ty,)+) => {
        $(
            #[test]
            fn $name() {
                let mut rng = Rng::named(concat!("adaptive ", stringify!($name)));
                for (channels, spatial, output) in CASES {
                    for (_, layout) in LAYOUTS {
                        let mut shape = vec![2, check::channels(layout, *channels)];
                        shape.extend_from_slice(spatial);
                        let fills = common::data::FILLS.into_iter();
                        let drawn = fills.filter(|fill| common::share::holds(format_args!("{shape:?} {output:?} {layout} {fill:?}")));
                        for fill in drawn {
                            let src = fill.tensor::<$T>(shape.iter().product(), &mut rng);
                            check_max(layout, &shape, output, &src);
                            if <$T>::SUMS {
                                check_avg(layout, &shape, output, &src);
                            }
                        }
                    }
                }
            }
        )+
    };
}

for_elements!(every_element);

/// "Sum exactly in integers, subtract valid·zero_in, scale once in f32, round, add zero_out, saturate."
fn check_quantized<T: Sample + Into<i64> + TryFrom<i64>>((lowest, highest): (i64, i64)) {
    let mut rng = Rng::named(T::NAME);
    for (channels, spatial, output) in CASES {
        for (_, layout) in LAYOUTS {
            let mut shape = vec![2, check::channels(layout, *channels)];
            shape.extend_from_slice(spatial);
            let src = Fill::Bits.tensor::<T>(shape.iter().product(), &mut rng);
            let mut quantization = || {
                let zero = lowest + rng.below(256) as i64;
                Quantization::new((rng.below(1 << 10) + 200) as f32 / 512.0, zero as i32)
            };
            let (from, to) = (quantization(), quantization());
            let pool = AdaptiveAvgPool::<T>::new(output).quantization(from, to);
            let plan = pool.plan(layout, &shape).expect("a valid layer");
            let mut want = vec![check::poison::<T>(); plan.output_len()];
            each_window(layout, &shape, output, &src, |at, _, _, taps| {
                let sum: i64 = taps.iter().map(|tap| (*tap).into() - i64::from(from.zero_point)).sum();
                let multiplier = f64::from(from.scale) / f64::from(to.scale) / taps.len() as f64;
                let scaled = (sum as f32 * multiplier as f32).round_ties_even() as i64 + i64::from(to.zero_point);
                want[at] = T::try_from(scaled.clamp(lowest, highest)).ok().expect("a number in the type's range");
            });
            compare(&format!("{plan:?}"), &plan.run_vec(&src).expect("a valid run"), &want);
        }
    }
}

#[test]
fn quantised_means_of_bytes() {
    check_quantized::<u8>((0, 255));
    check_quantized::<i8>((-128, 127));
    let halves = AdaptiveAvgPool::<f32>::new([2]).quantization(Quantization::default(), Quantization::default());
    assert!(matches!(halves.plan(Layout::Nchw, [1, 1, 5]), Err(Error::Unsupported { .. })));
}

/// Bounds hold for windows of both kinds, and an index names what was found.
#[test]
fn outputs_are_bounded_and_indices_are_not() {
    let src: Vec<i32> = vec![-9, 3, 7, 20, -4, 5, -2, -8];
    for (output, values, indices) in
        [(vec![3], vec![6, 6, 5], vec![2, 3, 5]), (vec![4], vec![3, 6, 5, 0], vec![1, 3, 5, 6])]
    {
        let pool = AdaptiveMaxPool::<i32>::new(&output).relu6();
        let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 8]).expect("a valid layer");
        assert_eq!(plan.run_vec(&src), Ok((values.clone(), indices)));
        assert_eq!(plan.values().run_vec(&src), Ok(values));
    }
    for (output, means) in [(3, [0, 6, 0]), (1, [2, 2, 2])] {
        let plan = AdaptiveAvgPool::<i32>::new([output]).clamp(0.0, 6.0).plan(Layout::Nchw, [1, 1, 8]);
        assert_eq!(plan.expect("a valid layer").run_vec(&src), Ok(means[..output].to_vec()));
    }
    let backwards = AdaptiveAvgPool::<u8>::new([2]).clamp(3.0, 1.0).plan(Layout::Nchw, [1, 1, 5]);
    assert_eq!(backwards.err(), Some(Error::BadClamp { low: 3.0, high: 1.0 }));
}

/// "Output `o` covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)`": every length up to 64 to every length up to 64.
#[test]
fn every_window_of_short_axes() {
    for n in 1..=64 {
        // Rising numbers: the maximum is the last element, and its tap's number how many there are.
        let src: Vec<i32> = (0..n as i32).collect();
        for m in 1..=64 {
            let pool = AdaptiveMaxPool::<i32>::new([m]);
            let plan = pool.plan_indexed::<i64>(IndexKind::Tap, Layout::Nchw, [1, 1, n]).expect("a valid layer");
            let (last, count) = plan.run_vec(&src).expect("a valid run");
            for o in 0..m {
                let taps = taps(n, m, o);
                let got = (last[o] as usize, count[o] as usize + 1);
                assert_eq!(got, (taps[taps.len() - 1], taps.len()), "{n} to {m}: output {o}");
            }
        }
    }
}

/// Equal windows are the plain layer, whose bits no tier changes; others do not ask for the tier, and name it.
#[test]
fn tiers_give_the_same_bits() {
    let src = Fill::Bits.tensor::<f32>(2 * 16 * 96, &mut Rng::named("tiers"));
    for output in [[4, 6], [5, 6]] {
        for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
            let mut all: Option<Vec<u32>> = None;
            for tier in Tier::available() {
                let pool = AdaptiveAvgPool::<f32>::new(output).tier(tier);
                let plan = pool.plan(layout, [2, 16, 8, 12]).expect("a valid layer");
                assert_eq!(plan.tier(), tier);
                let got = plan.run_vec(&src).expect("a valid run").iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                assert_eq!(all.get_or_insert_with(|| got.clone()), &got, "{plan}");
            }
        }
    }
}

/// Batch 0 and channels 0 run and write nothing; slices of the wrong length are refused, and nothing is written.
#[test]
fn empty_tensors_and_wrong_slices() {
    for (_, layout) in LAYOUTS {
        for shape in [[0, 16, 5, 7], [2, 0, 5, 7]] {
            let plan = AdaptiveMaxPool::<f32>::new([2, 3]).plan(layout, shape).expect("a valid layer");
            assert_eq!(plan.run(&[], &mut []), Ok(()));
            assert_eq!(plan.output_shape(), [shape[0], shape[1], 2, 3]);
            let pool = AdaptiveMaxPool::<f32>::new([2, 3]);
            let plan = pool.plan_indexed::<i32>(IndexKind::Tensor, layout, shape).expect("a valid layer");
            assert_eq!(plan.run(&[], &mut [], &mut []), Ok(()));
            let plan = AdaptiveAvgPool::<u8>::new([2, 3]).plan(layout, shape).expect("a valid layer");
            assert_eq!(plan.run(&[], &mut []), Ok(()));
        }
    }
    let pool = AdaptiveMaxPool::<u8>::new([2]).nan(NanPolicy::Ignore);
    let plan = pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 5]).expect("a valid layer");
    let (src, mut dst, mut indices) = ([9; 6], [77; 3], [77; 3]);
    assert_eq!(plan.run(&src[..4], &mut dst[..2], &mut indices[..2]), Err(Error::SrcLen { need: 5, got: 4 }));
    assert_eq!(plan.run(&src[..5], &mut dst, &mut indices[..2]), Err(Error::DstLen { need: 2, got: 3 }));
    assert_eq!(plan.run(&src[..5], &mut dst[..2], &mut indices), Err(Error::IndexLen { need: 2, got: 3 }));
    assert_eq!(plan.values().run(&src, &mut dst[..2]), Err(Error::SrcLen { need: 5, got: 6 }));
    assert_eq!((dst, indices), ([77; 3], [77; 3]));
}
