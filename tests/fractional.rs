//! Fractional max pooling against its definition, window by window.

#[macro_use]
mod common;

use common::layer::LAYOUTS;
use common::{Nan, Rng, Sample, check, oracle};
use lanepool::{Error, FractionalMaxPool, IndexKind, Layout};

/// PyTorch's intervals: `α = (n − k)/(m − 1)`, a start is `⌊(o + s)·α⌋ − ⌊s·α⌋`, the last is `n − k`.
macro_rules! starts {
    ($S:ty, $n:expr, $m:expr, $k:expr, $sample:expr) => {{
        let (n, m, k) = ($n, $m, $k);
        let mut starts = Vec::new();
        if m > 1 {
            let alpha = (n - k) as $S / (m - 1) as $S;
            for o in 0..m - 1 {
                starts.push(((o as $S + $sample) * alpha) as usize - ($sample * alpha) as usize);
            }
        }
        starts.push(n - k);
        starts
    }};
}

fn three(lengths: &[usize]) -> [usize; 3] {
    let mut axes = [1; 3];
    axes[3 - lengths.len()..].copy_from_slice(lengths);
    axes
}

/// Random samples for each plane and axis, in the order of the interface, and the starts they give on depth, height, width.
type Starts = Vec<[Vec<usize>; 3]>;

fn check_layer<T>(
    layout: Layout,
    shape: &[usize],
    kernel: &[usize],
    output: &[usize],
    src: &[T],
    seed: (&[T::Sample], &Starts),
) where
    T: Sample,
{
    let (samples, starts) = seed;
    let (input, outputs, window) = (three(&shape[2..]), three(output), three(kernel));
    let [pixels, all] = [input, outputs].map(|axes| axes.iter().product::<usize>());
    for (nan, kind) in [
        (Nan::Propagate, IndexKind::Tensor),
        (Nan::Ignore, IndexKind::ImageChannelsLast),
        (Nan::Propagate, IndexKind::TensorChannelsLast),
    ] {
        let pool = FractionalMaxPool::<T>::new(kernel, output).nan(nan.policy());
        let plan = pool.plan_indexed::<i64>(kind, layout, shape).expect("a valid layer");
        let (got, indices) = plan.run_vec(src, samples).expect("a valid run");
        assert_eq!(plan.values().run_vec(src, samples).map(|values| values.len()), Ok(got.len()));
        for (plane, starts) in starts.iter().enumerate() {
            let (n, c) = (plane / shape[1], plane % shape[1]);
            for o in 0..all {
                let at = [o / outputs[2] / outputs[1], o / outputs[2] % outputs[1], o % outputs[2]];
                let [z, y, x] = [0, 1, 2].map(|axis| {
                    let start = starts[axis][at[axis]];
                    start..start + window[axis]
                });
                let mut places = Vec::new();
                for (z, y) in z.flat_map(|z| y.clone().map(move |y| (z, y))) {
                    places.extend(x.clone().map(|x| (z * input[1] + y) * input[2] + x));
                }
                let element = |pixel: &usize| src[oracle::offset(layout, shape[1], pixels, n, c, *pixel)];
                let taps: Vec<T> = places.iter().map(element).collect();
                let want = T::largest(&taps, nan);
                let tap = if want.is_nan() {
                    taps.iter().rposition(|tap| tap.is_nan())
                } else {
                    taps.iter().position(|tap| *tap == want)
                };
                let pixel = places[tap.expect("the maximum")];
                let index = match kind {
                    IndexKind::Tensor => plane * pixels + pixel,
                    IndexKind::ImageChannelsLast => pixel * shape[1] + c,
                    _ => (n * pixels + pixel) * shape[1] + c,
                };
                let to = oracle::offset(layout, shape[1], all, n, c, o);
                assert_eq!(got[to].bits(), want.bits(), "{plan:?}: plane {plane}, output {o}");
                assert_eq!(indices[to], index as i64, "{plan:?}: plane {plane}, output {o}");
            }
        }
    }
}

/// Channels, spatial axes, kernel, output.
/// Batch, shape, kernel and output, in the order in which they are asked for.
type Case = (usize, &'static [usize], &'static [usize], &'static [usize]);

const CASES: &[Case] = &[
    (2, &[11], &[3], &[5]),
    (1, &[700], &[300], &[9]),
    // Rows of several strips of windows, with as many outputs as there can be and as long as a strip.
    (1, &[600], &[2], &[599]),
    (1, &[530], &[256], &[40]),
    (1, &[3, 700], &[2, 3], &[2, 450]),
    (3, &[9, 13], &[2, 3], &[4, 7]),
    (5, &[6, 6], &[6, 1], &[1, 6]),
    (2, &[5, 7, 6], &[2, 3, 1], &[3, 5, 2]),
    (1, &[4, 4, 4], &[1, 2, 4], &[4, 3, 1]),
];

macro_rules! check_element {
    ($T:ty, $S:ty) => {{
        let mut rng = Rng::named(concat!("fractional ", stringify!($T)));
        for (channels, spatial, kernel, output) in CASES {
            for (_, layout) in LAYOUTS {
                let mut shape = vec![2, check::channels(layout, *channels)];
                shape.extend_from_slice(spatial);
                let (mut samples, mut starts): (Vec<$S>, Starts) = (Vec::new(), Vec::new());
                for _ in 0..shape[0] * shape[1] {
                    let mut plane: Vec<$S> =
                        spatial.iter().map(|_| rng.below(1 << 20) as $S / (1 << 20) as $S).collect();
                    samples.extend_from_slice(&plane);
                    // Two samples are those of width and height, three of depth, height and width.
                    if plane.len() == 2 {
                        plane.reverse();
                    }
                    let mut axes = [vec![0], vec![0], vec![0]];
                    for (axis, sample) in plane.iter().enumerate() {
                        axes[3 - plane.len() + axis] = starts!($S, spatial[axis], output[axis], kernel[axis], *sample);
                    }
                    starts.push(axes);
                }
                for fill in common::data::FILLS {
                    let src = fill.tensor::<$T>(shape.iter().product(), &mut rng);
                    check_layer::<$T>(layout, &shape, kernel, output, &src, (&samples, &starts));
                }
            }
        }
    }};
}

#[test]
fn floats() {
    check_element!(f32, f32);
    check_element!(f64, f64);
}

#[test]
fn integers() {
    check_element!(u8, f32);
    check_element!(i16, f32);
    check_element!(i32, f32);
    check_element!(u32, f32);
    check_element!(i64, f32);
    check_element!(u64, f32);
}

/// Starts are computed in the element's own precision: 8 bits here, in which 1 + 255/256 is 2.
#[test]
fn halves_compute_in_their_own_precision() {
    let samples = |sample: f32| [half::bf16::from_f32(sample)];
    let src: Vec<half::bf16> = (0..9).map(|i| half::bf16::from_f32(i as f32)).collect();
    let plan = FractionalMaxPool::<half::bf16>::new([1], [5]).plan(Layout::Nchw, [1, 1, 9]).expect("a valid layer");
    // α = 2; 2 + 255/256 rounds to 3, so the third start is 6 − 1, where exact arithmetic gives 5 − 1.
    let got = plan.run_vec(&src, &samples(0.996_093_75)).expect("a valid run");
    assert_eq!(got.iter().map(|y| y.to_f32()).collect::<Vec<_>>(), [0.0, 3.0, 5.0, 7.0, 8.0]);
    let src: Vec<f32> = (0..9).map(|i| i as f32).collect();
    let plan = FractionalMaxPool::<f32>::new([1], [5]).plan(Layout::Nchw, [1, 1, 9]).expect("a valid layer");
    assert_eq!(plan.run_vec(&src, &[0.996_093_75]), Ok(vec![0.0, 2.0, 4.0, 6.0, 8.0]));
}

/// Bounds hold for values, and an index names what was found.
#[test]
fn outputs_are_bounded_and_indices_are_not() {
    let src = [1.0, 2.0, 3.0, 4.0, 0.0, 9.0, 6.0];
    let pool = FractionalMaxPool::<f32>::new([2], [3]).clamp(3.0, 8.0);
    let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 7]).expect("a valid layer");
    assert_eq!(plan.run_vec(&src, &[0.5]), Ok((vec![3.0, 4.0, 8.0], vec![1, 3, 5])));
    assert_eq!(plan.values().run_vec(&src, &[0.5]), Ok(vec![3.0, 4.0, 8.0]));
}

/// Batch 0 and channels 0 run; slices of the wrong length and bad samples are refused, and nothing is written.
#[test]
fn empty_tensors_and_wrong_slices() {
    let pool = FractionalMaxPool::<f32>::new([2, 2], [3, 2]);
    for (_, layout) in LAYOUTS {
        for shape in [[0, 16, 5, 7], [2, 0, 5, 7]] {
            let plan = pool.plan_indexed::<i32>(IndexKind::Plane, layout, shape).expect("a valid layer");
            assert_eq!(plan.run(&[], &[], &mut [], &mut []), Ok(()));
        }
    }
    let plan = pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 5, 7]).expect("a valid layer");
    let (src, mut dst, mut indices) = ([9.0; 36], [77.0; 7], [77; 7]);
    let mut refused = |src: &[f32], samples: &[f32], to: usize, found: usize| {
        let error = plan.run(src, samples, &mut dst[..to], &mut indices[..found]).expect_err("a wrong slice");
        assert!(dst.iter().all(|y| *y == 77.0) && indices.iter().all(|index| *index == 77));
        error
    };
    assert_eq!(refused(&src, &[0.0; 2], 6, 6), Error::SrcLen { need: 35, got: 36 });
    assert_eq!(refused(&src[..35], &[0.0; 2], 7, 6), Error::DstLen { need: 6, got: 7 });
    assert_eq!(refused(&src[..35], &[0.0; 2], 6, 5), Error::IndexLen { need: 6, got: 5 });
    assert_eq!(refused(&src[..35], &[0.0; 3], 6, 6), Error::SampleLen { need: 2, got: 3 });
    for bad in [1.0, -0.25, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(refused(&src[..35], &[0.0, bad], 6, 6), Error::BadSample { at: 1, sample: bad.into() });
    }
    assert!(matches!(refused(&src[..35], &[f32::NAN, 0.0], 6, 6), Error::BadSample { at: 0, .. }));
}
