//! Maxima and minima with their indices, against the rule: "the first valid tap in row-major scan among equal maxima; with NaN,
//! the last NaN. A window of nothing but −inf names its first valid tap; a window with no valid tap gives −1."

#[macro_use]
mod common;

use common::check::poison;
use common::layer::LAYOUTS;
use common::{Fill, Layer, Nan, Op, Pad, Rng, Sample, oracle, share, tiers};
use lanepool::{Error, Index, IndexKind, Layout, MaxPool};

const KINDS: [IndexKind; 6] = [
    IndexKind::Plane,
    IndexKind::Tensor,
    IndexKind::TensorColumnMajor,
    IndexKind::Tap,
    IndexKind::ImageChannelsLast,
    IndexKind::TensorChannelsLast,
];

const EXTREMES: [Op; 4] =
    [Op::Max(Nan::Propagate), Op::Max(Nan::Ignore), Op::Min(Nan::Propagate), Op::Min(Nan::Ignore)];

/// Which of a window's taps is named; `None` where there is none.
fn named<T: Sample>(op: Op, taps: &[T]) -> Option<usize> {
    let (nan, is_max) = match op {
        Op::Max(nan) => (nan, true),
        Op::Min(nan) => (nan, false),
        _ => panic!("{op:?} names nothing"),
    };
    let last_nan = taps.iter().rposition(|tap| tap.is_nan());
    if let Some(last) = last_nan.filter(|_| nan == Nan::Propagate) {
        return Some(last);
    }
    let numbers: Vec<usize> = (0..taps.len()).filter(|i| !taps[*i].is_nan()).collect();
    let mut best = *numbers.first().or(last_nan.as_ref())?;
    for i in numbers {
        if if is_max { taps[i] > taps[best] } else { taps[i] < taps[best] } {
            best = i;
        }
    }
    Some(best)
}

/// The index of every output by the rule, in memory's order.
fn want<T: Sample>(layer: &Layer, kind: IndexKind, src: &[T]) -> Option<Vec<i64>> {
    let axes = oracle::axes(layer)?;
    let [depth, height, width] = axes;
    let (batch, channels) = (layer.shape[0], layer.shape[1]);
    let pixels: usize = layer.spatial().iter().product();
    let outputs = (depth.out * height.out * width.out) as usize;
    let mut all = vec![0; batch * channels * outputs];
    for n in 0..batch {
        for c in 0..channels {
            let mut output = 0;
            for z in 0..depth.out {
                for y in 0..height.out {
                    for x in 0..width.out {
                        let (mut places, mut numbers) = (Vec::new(), Vec::new());
                        for (i, dz) in depth.valid(z).into_iter().zip(depth.valid_numbers(z)) {
                            for (j, dy) in height.valid(y).into_iter().zip(height.valid_numbers(y)) {
                                for (k, dx) in width.valid(x).into_iter().zip(width.valid_numbers(x)) {
                                    places.push([i, j, k]);
                                    numbers.push((dz * height.k as usize + dy) * width.k as usize + dx);
                                }
                            }
                        }
                        let [h, w] = [height.n as usize, width.n as usize];
                        let row_major = |[i, j, k]: [usize; 3]| (i * h + j) * w + k;
                        let values: Vec<T> = places
                            .iter()
                            .map(|place| src[oracle::offset(layer.layout, channels, pixels, n, c, row_major(*place))])
                            .collect();
                        let index = named(layer.op, &values).map_or(-1, |best| {
                            let [i, j, k] = places[best];
                            let before = (n * channels + c) * pixels;
                            // Column-major: the first axis that the tensor has moves fastest.
                            let column_major = i + (j + k * h) * depth.n as usize;
                            (match kind {
                                IndexKind::Plane => row_major([i, j, k]),
                                IndexKind::Tensor => before + row_major([i, j, k]),
                                IndexKind::TensorColumnMajor => before + column_major,
                                IndexKind::ImageChannelsLast => row_major([i, j, k]) * channels + c,
                                IndexKind::TensorChannelsLast => (n * pixels + row_major([i, j, k])) * channels + c,
                                _ => numbers[best],
                            }) as i64
                        });
                        all[oracle::offset(layer.layout, channels, outputs, n, c, output)] = index;
                        output += 1;
                    }
                }
            }
        }
    }
    Some(all)
}

/// Runs a layer on every tier, with either index type, for values and indices and for indices alone.
fn check<T: Sample>(layer: &Layer, kind: IndexKind, src: &[T]) {
    let Some(want) = want(layer, kind, src) else {
        assert!(layer.indexed::<T, i64>(kind, None).is_err(), "{layer} was accepted");
        return;
    };
    for tier in tiers::available() {
        let values = layer.plan::<T>(Some(tier)).and_then(|plan| plan.run_vec(src)).expect("a valid layer");
        let plan = layer.indexed::<T, i64>(kind, Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let (mut got, mut indices) = (vec![poison::<T>(); values.len()], vec![i64::MIN; values.len()]);
        plan.run(src, &mut got, &mut indices).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        assert_eq!(indices, want, "{} {layer}, {kind:?} on {tier}", T::NAME);
        let bits = |values: &[T]| values.iter().map(|value| value.bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got), bits(&values), "{} {layer} on {tier}: the values", T::NAME);

        let plan = layer.indexed::<T, i32>(kind, Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let mut short = vec![i32::MIN; values.len()];
        plan.run_indices(src, &mut short).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        assert!(short.iter().map(|index| i64::from(*index)).eq(want.iter().copied()), "{layer} on {tier}: i32, alone");
    }
}

/// Layers of every rank: windows cut by padding, gaps, strides of 1 to 4, rows around the lengths of vectors.
fn layers(layout: Layout, rng: &mut Rng) -> Vec<Layer> {
    let channels = match layout {
        Layout::Nhwc => *rng.pick(&[1, 2, 7, 16, 33, 70]),
        Layout::Blocked(block) => 2 * block,
        _ => 2,
    };
    let op = *rng.pick(&EXTREMES);
    let mut layers = Vec::new();
    for rank in 1..=3 {
        let longest = [150, 20, 6][rank - 1];
        let mut shape = vec![rng.within(1, 2), channels];
        shape.extend((0..rank).map(|_| rng.within(1, longest)));
        let mut each = |from, to| (0..rank).map(|_| rng.within(from, to)).collect::<Vec<_>>();
        let (kernel, stride, begin, end) = (each(1, 5), each(1, 4), each(0, 3), each(0, 3));
        let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride);
        layers.push(layer.clone());
        layers.push(layer.clone().padding_unequal(&begin, &end).ceil(true).allow_empty());
        layers.push(layer.clone().padding_unequal(&begin, &end).dilation(&vec![2; rank]));
        layers.push(layer.pad(Pad::SameUpper));
        layers.push(Layer::global(op, layout, &shape));
    }
    layers
}

fn by_the_rule<T: Sample>() {
    let mut rng = Rng::named("indices");
    for _ in 0..share::of(12) {
        for (_, layout) in LAYOUTS {
            for (i, layer) in layers(layout, &mut rng).into_iter().enumerate() {
                for fill in [Fill::Edges, Fill::Nans, Fill::Bits] {
                    let src = fill.tensor::<T>(layer.input_len(), &mut rng);
                    check::<T>(&layer, KINDS[(i + rng.below(6)) % 6], &src);
                }
            }
        }
    }
}

/// Every way that a finder goes, on every tier: pixels of many registers and of a few elements; planes that are one run, rows
/// that are cut into tiles both ways; windows of so many taps that a byte does not number them.
fn every_way<T: Sample>() {
    let mut rng = Rng::named("every way");
    let op = |i: usize| EXTREMES[i % 4];
    let last = |i, shape: &[usize], kernel: &[usize]| Layer::new(op(i), Layout::Nhwc, shape, kernel);
    let first = |i, shape: &[usize], kernel: &[usize]| Layer::new(op(i), Layout::Nchw, shape, kernel);
    for (i, layer) in [
        last(0, &[2, 130, 5, 7], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        last(1, &[1, 70, 4, 9], &[2, 3]).padding_unequal(&[1, 2], &[0, 1]).dilation(&[2, 2]),
        last(2, &[1, 4200, 2, 3], &[2, 2]),
        last(3, &[1, 3, 20, 120], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        last(0, &[1, 5, 9, 11], &[3, 2]).stride(&[1, 3]).padding(&[1, 0]),
        last(1, &[1, 67, 19, 18], &[17, 17]).padding(&[1, 1]),
        first(2, &[2, 3, 14, 14], &[2, 2]).stride(&[2, 2]),
        first(3, &[1, 3, 7, 7], &[3, 3]).padding(&[1, 1]),
        first(0, &[1, 2, 13, 31], &[3, 3]).stride(&[3, 2]).padding(&[1, 1]),
        first(1, &[1, 1, 90, 140], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        first(2, &[1, 1, 6, 9000], &[2, 3]).stride(&[1, 2]).padding(&[1, 1]),
        first(3, &[1, 1, 8, 9000], &[3, 3]).padding(&[1, 1]),
        first(0, &[1, 1, 5, 6, 150], &[2, 3, 3]).stride(&[2, 1, 1]).padding(&[1, 1, 1]),
        first(1, &[1, 2, 5, 6, 7], &[3, 2, 3]).stride(&[1, 2, 2]).padding(&[1, 1, 1]),
        first(2, &[1, 1, 20, 160], &[17, 17]).padding(&[2, 3]),
    ]
    .into_iter()
    .enumerate()
    {
        if !share::holds(format_args!("{} {layer}", T::NAME)) {
            continue;
        }
        let inverse = Layer { op: op(i + 1), ..layer.clone() };
        let len = layer.input_len();
        let [edges, nans] = [Fill::Edges, Fill::Nans].map(|fill| fill.tensor::<T>(len, &mut rng));
        // Nothing but one element: the first valid tap is named, or the last NaN.
        let numbers = || edges.iter().copied().filter(|x| !x.is_nan());
        let lowest = numbers().reduce(|a, b| if b < a { b } else { a });
        let highest = numbers().reduce(|a, b| if b > a { b } else { a });
        let nan = nans.iter().copied().find(|x| x.is_nan());
        let same = [lowest, highest, nan].into_iter().flatten().map(|x| vec![x; len]);
        for src in same.chain([edges.clone(), nans.clone()]) {
            check::<T>(&layer, KINDS[i % 6], &src);
            check::<T>(&inverse, KINDS[(i + 3) % 6], &src);
        }
    }
}

/// Windows of more taps than lanes of the element can count, with the best anywhere.
fn long_windows<T: Sample>() {
    let mut rng = Rng::named("long windows");
    let (low, high) = (T::pattern(0), T::pattern(1));
    for op in EXTREMES {
        for (layout, channels) in [(Layout::Nchw, 2), (Layout::Nhwc, 3)] {
            for (height, width) in [(1, 254), (1, 255), (1, 256), (1, 511), (20, 26), (1, 65_536), (260, 260)] {
                let layer = Layer::global(op, layout, &[1, channels, height, width]);
                if !share::holds(format_args!("{} {layer}", T::NAME)) {
                    continue;
                }
                let len = layer.input_len();
                let mut src = vec![low; len];
                for _ in 0..3 {
                    src[rng.below(len)] = high;
                }
                check::<T>(&layer, IndexKind::Plane, &src);
                // A window beside it, so that it is not the plane.
                let layer = Layer::new(op, layout, &[1, channels, height, width], &[height, width.div_ceil(2)]);
                if height * width < 1000 {
                    check::<T>(&layer, IndexKind::Tap, &src);
                }
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn by_the_rule() {
                super::by_the_rule::<$T>();
            }

            #[test]
            fn every_way() {
                super::every_way::<$T>();
            }

            #[test]
            fn long_windows() {
                super::long_windows::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

/// Slices of a wrong length are refused, and nothing is written.
#[test]
fn wrong_lengths_are_refused() {
    let plan = MaxPool::<f32>::new([2]).plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 6]).expect("valid");
    let src = [0.0; 6];
    let (mut dst, mut indices) = ([7.0; 6], [7; 6]);
    for (src_len, dst_len, index_len, error) in [
        (5, 5, 5, Error::SrcLen { need: 6, got: 5 }),
        (6, 4, 5, Error::DstLen { need: 5, got: 4 }),
        (6, 5, 4, Error::IndexLen { need: 5, got: 4 }),
        (6, 5, 6, Error::IndexLen { need: 5, got: 6 }),
    ] {
        let got = plan.run(&src[..src_len], &mut dst[..dst_len], &mut indices[..index_len]);
        assert_eq!(got, Err(error));
        assert_eq!((dst, indices), ([7.0; 6], [7; 6]));
    }
    assert_eq!(plan.run_indices(&src, &mut indices[..2]), Err(Error::IndexLen { need: 5, got: 2 }));
    assert_eq!(plan.run(&src, &mut dst[..5], &mut indices[..5]), Ok(()));
    assert_eq!(indices, [0, 1, 2, 3, 4, 7]);
}

/// An index type that cannot name every place is refused when the plan is made.
#[test]
fn i08_narrow_indices_are_refused() {
    let pool = MaxPool::<u8>::new([2, 2]).stride([2, 2]);
    let shape = [2, 1, 1 << 15, 1 << 16];
    let most = (1_usize << 31) - 1;
    assert!(pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, shape).is_ok());
    assert!(pool.plan_indexed::<i32>(IndexKind::Tap, Layout::Nchw, shape).is_ok());
    let error = pool.plan_indexed::<i32>(IndexKind::Tensor, Layout::Nchw, shape).expect_err("2^32 elements");
    assert_eq!(error, Error::IndexTooNarrow { index: <i32 as Index>::NAME, most: 2 * most + 1 });
    assert!(error.to_string().contains("i32") && error.to_string().contains("4294967295"), "{error}");
    assert!(pool.plan_indexed::<i64>(IndexKind::Tensor, Layout::Nchw, shape).is_ok());
}

/// The last NaN of a window is named, and otherwise the first of equals; PyTorch's examples.
#[test]
fn i09_windows_of_nan_and_of_equals() {
    let nan = f32::NAN;
    let src = [nan, 1.0, nan, 5.0, 5.0, 5.0, -0.0, 0.0, -0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
    for tier in tiers::available() {
        let pool = MaxPool::<f32>::new([3]).stride([3]).tier(tier);
        let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 12]).expect("valid");
        assert_eq!(plan.run_vec(&src).map(|(_, indices)| indices), Ok(vec![2, 3, 6, 9]));
        let pool = pool.nan(lanepool::NanPolicy::Ignore);
        let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 12]).expect("valid");
        assert_eq!(plan.run_vec(&src).map(|(_, indices)| indices), Ok(vec![1, 3, 6, 9]));
    }
}

/// TensorFlow's `testMaxPoolingWithArgmax`: two images of 3×3, windows of 2×2 that move by 1; and the formula, with more
/// than one channel, in every layout.
#[test]
fn an_argmax_is_that_of_tensorflow() {
    let src = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0_f32];
    for (kind, argmax) in [
        (IndexKind::ImageChannelsLast, [0, 1, 3, 5, 0, 2, 6, 8]),
        (IndexKind::TensorChannelsLast, [0, 1, 3, 5, 9, 11, 15, 17]),
    ] {
        let pool = MaxPool::<f32>::new([2, 2]);
        let plan = pool.plan_indexed::<i64>(kind, Layout::Nhwc, [2, 1, 3, 3]).expect("valid");
        assert_eq!(plan.run_vec(&src), Ok((vec![1.0; 8], argmax.to_vec())));
    }
    // The last pixel of image 1 of 2×3 pixels and 16 channels.
    for (_, layout) in LAYOUTS {
        let at = |n, c, pixel| oracle::offset(layout, 16, 6, n, c, pixel);
        let mut src = [0_u8; 2 * 16 * 6];
        src[at(1, 5, 5)] = 9;
        let named = |kind| {
            let plan = MaxPool::<u8>::global().plan_indexed::<i32>(kind, layout, [2, 16, 2, 3]).expect("valid");
            plan.run_vec(&src).expect("valid").1[oracle::offset(layout, 16, 1, 1, 5, 0)]
        };
        let (y, x, c) = (1, 2, 5);
        assert_eq!(named(IndexKind::ImageChannelsLast), (y * 3 + x) * 16 + c, "{layout}");
        assert_eq!(named(IndexKind::TensorChannelsLast), ((2 + y) * 3 + x) * 16 + c, "{layout}");
    }
}

/// Padding does not count in the index of a plane or a tensor; in the window it does.
#[test]
fn i10_padding_does_not_count() {
    let src = [4.0, 3.0, 2.0, 9.0];
    let pool = MaxPool::<f32>::new([2, 2]).stride([2, 2]).padding([1, 1]);
    let named = |kind| {
        let plan = pool.plan_indexed::<i32>(kind, Layout::Nchw, [1, 1, 2, 2]).expect("valid");
        plan.run_vec(&src).map(|(_, indices)| indices)
    };
    assert_eq!(named(IndexKind::Plane), Ok(vec![0, 1, 2, 3]));
    assert_eq!(named(IndexKind::TensorColumnMajor), Ok(vec![0, 2, 1, 3]));
    assert_eq!(named(IndexKind::Tap), Ok(vec![3, 2, 1, 0]));
}
