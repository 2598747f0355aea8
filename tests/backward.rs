//! Backward passes against their definitions: to the bit against a scatter over the windows, one after the other, and in
//! `f64` against finite differences.

#[macro_use]
mod common;

use common::check::poison;
use common::layer::LAYOUTS;
use common::oracle::{self, offset};
use common::{Fill, Layer, Op, Pad, Rng, Sample};
use lanepool::{
    Avg, AvgBackward, AvgPool, Float, IndexKind, Layout, Lp, LpPool, Max, MaxBackward, MaxPool, Min, MinPool,
    NanPolicy, Pool, PoolOperation, Sum, SumPool,
};

/// One window on one axis: the positions of its valid taps, their numbers in the kernel, the kernel's length, and what it
/// counts with its padding.
#[derive(Clone, Debug)]
struct AxisWindow {
    at: Vec<usize>,
    numbers: Vec<usize>,
    kernel: usize,
    padded: usize,
}

/// The windows of a layer, on each of three axes.
#[derive(Clone, Debug)]
struct Windows {
    layout: Layout,
    batch: usize,
    channels: usize,
    input: [usize; 3],
    axes: [Vec<AxisWindow>; 3],
}

/// One valid tap: the plane, the pixel of the window, that of the tap, and the tap's index of each kind.
struct Tap {
    at: usize,
    pixel: usize,
    indices: [i64; 6],
}

const KINDS: [IndexKind; 6] = [
    IndexKind::Plane,
    IndexKind::Tensor,
    IndexKind::TensorColumnMajor,
    IndexKind::Tap,
    IndexKind::ImageChannelsLast,
    IndexKind::TensorChannelsLast,
];

impl Windows {
    fn sliding(layer: &Layer) -> Option<Self> {
        let axes = oracle::axes(layer)?;
        let windows = |axis: &oracle::Axis| {
            let window = |o| AxisWindow {
                at: axis.valid(o),
                numbers: axis.valid_numbers(o),
                kernel: axis.k as usize,
                padded: axis.padded(o) as usize,
            };
            (0..axis.out).map(window).collect()
        };
        Some(Self {
            layout: layer.layout,
            batch: layer.shape[0],
            channels: layer.shape[1],
            input: axes.map(|axis| axis.n as usize),
            axes: [windows(&axes[0]), windows(&axes[1]), windows(&axes[2])],
        })
    }

    /// "Adaptive pooling of `n` to `m`: output `o` covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)`."
    fn adaptive(layout: Layout, shape: &[usize], output: &[usize]) -> Self {
        let rank = output.len();
        let (mut input, mut axes) = ([1; 3], [const { Vec::new() }; 3]);
        for axis in 0..3 {
            let (n, m) = if axis < 3 - rank { (1, 1) } else { (shape[axis + rank - 1], output[axis + rank - 3]) };
            input[axis] = n;
            axes[axis] = (0..m)
                .map(|o| {
                    let at: Vec<usize> = (o * n / m..((o + 1) * n).div_ceil(m)).collect();
                    let kernel = at.len();
                    AxisWindow { at, numbers: (0..kernel).collect(), kernel, padded: kernel }
                })
                .collect();
        }
        Self { layout, batch: shape[0], channels: shape[1], input, axes }
    }

    fn outputs(&self) -> usize {
        self.axes.iter().map(Vec::len).product()
    }

    fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    fn input_len(&self) -> usize {
        self.batch * self.channels * self.inputs()
    }

    fn output_len(&self) -> usize {
        self.batch * self.channels * self.outputs()
    }

    fn input_at(&self, n: usize, c: usize, pixel: usize) -> usize {
        offset(self.layout, self.channels, self.inputs(), n, c, pixel)
    }

    /// Every window in row-major order of `N, C, spatial…`: where its output lies in memory, its taps in scan order, and its
    /// taps with the padding.
    fn each(&self, mut work: impl FnMut(usize, &[Tap], usize)) {
        let [depth, height, width] = self.input;
        for (n, c) in (0..self.batch).flat_map(|n| (0..self.channels).map(move |c| (n, c))) {
            let mut o = 0;
            let plane = ((n * self.channels + c) * self.inputs()) as i64;
            for wz in &self.axes[0] {
                for wy in &self.axes[1] {
                    for wx in &self.axes[2] {
                        let mut taps = Vec::new();
                        for (&z, &tz) in wz.at.iter().zip(&wz.numbers) {
                            for (&y, &ty) in wy.at.iter().zip(&wy.numbers) {
                                for (&x, &tx) in wx.at.iter().zip(&wx.numbers) {
                                    let pixel = (z * height + y) * width + x;
                                    let column = z + depth * (y + height * x);
                                    let number = (tz * wy.kernel + ty) * wx.kernel + tx;
                                    let in_image = (pixel * self.channels + c) as i64;
                                    let in_tensor = (n * self.channels * self.inputs()) as i64 + in_image;
                                    let [pixel_offset, column, number] = [pixel, column, number].map(|at| at as i64);
                                    let indices = [
                                        pixel_offset,
                                        plane + pixel_offset,
                                        plane + column,
                                        number,
                                        in_image,
                                        in_tensor,
                                    ];
                                    taps.push(Tap { at: self.input_at(n, c, pixel), pixel, indices });
                                }
                            }
                        }
                        let to = offset(self.layout, self.channels, self.outputs(), n, c, o);
                        work(to, &taps, wz.padded * wy.padded * wx.padded);
                        o += 1;
                    }
                }
            }
        }
    }
}

/// Elements of gradients as the definition sees them: numbers in `f64`, and how a sum is rounded. `f64` holds the sum,
/// product and quotient of two `f32` with bits to spare, so that rounding it is as good as computing in `f32`.
trait Grad: Float + Sample {
    /// Half a unit in the last place of 1, of the type itself.
    const EPSILON: f64;
    fn wide(self) -> f64;
    fn round(sum: f64) -> f64;
    fn narrow(sum: f64) -> Self;
}

macro_rules! grads {
    ($($type:ty: $epsilon:expr, $round:expr, $wide:expr, $narrow:expr;)+) => { $(
        impl Grad for $type {
            const EPSILON: f64 = $epsilon;
            fn wide(self) -> f64 {
                $wide(self)
            }
            fn round(sum: f64) -> f64 {
                $round(sum)
            }
            fn narrow(sum: f64) -> Self {
                if sum.is_nan() { Self::NAN } else { $narrow(sum) }
            }
        }
    )+ };
}

grads! {
    f32: f32::EPSILON as f64 / 2.0, |sum| f64::from(sum as f32), f64::from, |sum| sum as f32;
    f64: f64::EPSILON / 2.0, |sum| sum, |value| value, |sum| sum;
    half::f16: 1.0 / 2048.0, |sum| f64::from(sum as f32), f64::from, |sum| half::f16::from_f32(sum as f32);
    half::bf16: 1.0 / 256.0, |sum| f64::from(sum as f32), f64::from, |sum| half::bf16::from_f32(sum as f32);
}

/// Makes sure that two tensors are the same to the bit.
fn same<T: Grad>(got: &[T], want: &[f64], what: &dyn Fn() -> String) {
    assert_eq!(got.len(), want.len());
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let want = <T as Grad>::narrow(*want);
        assert_eq!(Sample::bits(*got), Sample::bits(want), "{}: element {at}: {got:?}, not {want:?}", what());
    }
}

/// A layer of any kind. Small, but for the channels, of which there are sometimes more than are summed side by side.
fn layer(rng: &mut Rng, op: Op) -> Layer {
    loop {
        let rank = rng.within(1, 3);
        let (_, layout) = *rng.pick(&LAYOUTS);
        let least = if rng.one_in(8) { 35 } else { rng.within(1, 3) };
        let channels = common::check::channels(layout, least);
        let most = [12, 7, 4][rank - 1];
        let mut shape = vec![rng.within(1, 2), channels];
        shape.extend((0..rank).map(|_| rng.within(1, most)));
        if rng.one_in(10) {
            return Layer::global(op, layout, &shape);
        }
        let mut numbers = |most: usize| -> Vec<usize> { (0..rank).map(|_| rng.within(1, most)).collect() };
        let (kernel, stride, dilation) = (numbers(4), numbers(4), numbers(3));
        let (begin, end) = (numbers(3), numbers(3));
        let less = |padding: Vec<usize>| padding.into_iter().map(|padding| padding - 1).collect::<Vec<_>>();
        let mut layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).dilation(&dilation);
        layer = layer.padding_unequal(&less(begin), &less(end)).ceil(rng.one_in(2));
        if rng.one_in(5) {
            layer = layer.pad(if rng.one_in(2) { Pad::SameUpper } else { Pad::SameLower }).ceil(false);
        }
        if rng.one_in(4) {
            layer = layer.allow_empty();
        }
        if oracle::axes(&layer).is_some() {
            return layer;
        }
    }
}

/// The layer's window for an operation.
fn pool<O: PoolOperation, T>(layer: &Layer) -> Pool<O, T> {
    let Some(kernel) = &layer.kernel else { return Pool::global() };
    let pool = Pool::new(kernel).stride(&layer.stride).dilation(&layer.dilation).ceil_mode(layer.ceil);
    let pool = pool.allow_empty_windows(layer.allow_empty);
    match &layer.pad {
        Pad::Explicit(begin, end) => pool.padding_unequal(begin, end),
        Pad::SameUpper => pool.same_upper(),
        Pad::SameLower => pool.same_lower(),
    }
}

/// Lengths for adaptive pooling, smaller and larger than the input's.
fn adaptive(rng: &mut Rng) -> (Layout, Vec<usize>, Vec<usize>) {
    let layer = layer(rng, Op::Avg);
    let output = layer.spatial().iter().map(|_| rng.within(1, 6)).collect();
    (layer.layout, layer.shape, output)
}

/// Averages and sums: each window adds its share to each of its taps.
fn average_is_scattered<T: Grad>(rng: &mut Rng) {
    let (layer, adaptive) = (layer(rng, Op::Avg), adaptive(rng));
    average_of::<T>(&layer, adaptive, rng);
}

fn average_of<T: Grad>(layer: &Layer, adaptive: (Layout, Vec<usize>, Vec<usize>), rng: &mut Rng) {
    let windows = Windows::sliding(layer).expect("a valid layer");
    let (layout, shape) = (layer.layout, &layer.shape);
    let average = || pool::<Avg, T>(layer);
    let divisor = rng.within(1, 9);
    let (lengths_layout, lengths_shape, lengths) = adaptive;
    let lengthy = Windows::adaptive(lengths_layout, &lengths_shape, &lengths);
    type Divisor = Box<dyn Fn(usize, usize) -> usize>;
    let rows: [(_, &Windows, Divisor); 5] = [
        (average().backward(layout, shape), &windows, Box::new(|valid, _| valid)),
        (average().count_include_pad(true).backward(layout, shape), &windows, Box::new(|_, padded| padded)),
        (average().divisor(divisor).backward(layout, shape), &windows, Box::new(move |_, _| divisor)),
        (pool::<Sum, T>(layer).backward(layout, shape), &windows, Box::new(|_, _| 1)),
        (AvgBackward::adaptive(&lengths, lengths_layout, &lengths_shape), &lengthy, Box::new(|valid, _| valid)),
    ];
    for (row, (plan, windows, divisor)) in rows.into_iter().enumerate() {
        let plan = plan.unwrap_or_else(|error| panic!("{layer}: {error}"));
        assert_eq!((plan.input_len(), plan.output_len()), (windows.input_len(), windows.output_len()));
        let fill = *rng.pick(&[Fill::Bits, Fill::Edges, Fill::Pattern]);
        let gradient = fill.tensor::<T>(windows.output_len(), rng);
        let mut want = vec![0.0; windows.input_len()];
        windows.each(|o, taps, padded| {
            let divisor = T::round(divisor(taps.len(), padded) as f64);
            for tap in taps {
                want[tap.at] = T::round(want[tap.at] + T::round(gradient[o].wide() / divisor));
            }
        });
        let mut got = vec![poison::<T>(); windows.input_len()];
        assert_eq!(plan.run(&gradient, &mut got), Ok(()));
        same(&got, &want, &|| format!("row {row} of {layer}, or {lengths:?} of {lengths_shape:?}, {lengths_layout}"));
    }
}

/// The tap that wins: "the first valid tap in row-major scan among equal maxima; with NaN, the last NaN".
fn winner(taps: &[f64], minimum: bool, nan: NanPolicy) -> Option<usize> {
    let last_nan = taps.iter().rposition(|tap| tap.is_nan());
    let numbers = || taps.iter().enumerate().filter(|(_, tap)| !tap.is_nan());
    if last_nan.is_some() && (nan == NanPolicy::Propagate || numbers().next().is_none()) {
        return last_nan;
    }
    let best = numbers().map(|(_, tap)| *tap).reduce(if minimum { f64::min } else { f64::max })?;
    taps.iter().position(|tap| *tap == best)
}

/// Maxima and minima: each window gives its gradient to the tap that won.
fn maximum_is_scattered<T: Grad>(rng: &mut Rng) {
    let (layer, adaptive) = (layer(rng, Op::Avg), adaptive(rng));
    maximum_of::<T>(&layer, adaptive, rng);
}

fn maximum_of<T: Grad>(layer: &Layer, adaptive: (Layout, Vec<usize>, Vec<usize>), rng: &mut Rng) {
    let sliding = Windows::sliding(layer).expect("a valid layer");
    let (lengths_layout, lengths_shape, lengths) = adaptive;
    let lengthy = Windows::adaptive(lengths_layout, &lengths_shape, &lengths);
    let (number, kind) = *rng.pick(&[0, 1, 2, 3, 4, 5].map(|number| (number, KINDS[number])));
    let (layout, shape) = (layer.layout, &layer.shape);
    let (propagate, ignore) = (NanPolicy::Propagate, NanPolicy::Ignore);
    let (max, min) = (|nan| pool::<Max, T>(layer).nan(nan), |nan| pool::<Min, T>(layer).nan(nan));
    let rows = [
        (max(propagate).backward::<i64>(kind, layout, shape), &sliding, false, propagate),
        (max(ignore).backward(kind, layout, shape), &sliding, false, ignore),
        (min(propagate).backward(kind, layout, shape), &sliding, true, propagate),
        (min(ignore).backward(kind, layout, shape), &sliding, true, ignore),
        (MaxBackward::adaptive(&lengths, kind, lengths_layout, &lengths_shape), &lengthy, false, propagate),
    ];
    for (row, (plan, windows, minimum, nan)) in rows.into_iter().enumerate() {
        let plan = plan.unwrap_or_else(|error| panic!("{layer}: {error}"));
        let what = || format!("row {row} of {layer}, or {lengths:?} of {lengths_shape:?}, {lengths_layout}, {kind:?}");
        let fill = *rng.pick(&[Fill::Nans, Fill::Edges, Fill::Pattern]);
        let input = fill.tensor::<T>(windows.input_len(), rng);
        let gradient = Fill::Bits.tensor::<T>(windows.output_len(), rng);
        let (mut want, mut indices) = (vec![0.0; windows.input_len()], vec![0; windows.output_len()]);
        windows.each(|o, taps, _| {
            let values: Vec<f64> = taps.iter().map(|tap| input[tap.at].wide()).collect();
            indices[o] = -1;
            if let Some(tap) = winner(&values, minimum, nan).map(|at| &taps[at]) {
                assert!(tap.pixel < windows.inputs());
                indices[o] = tap.indices[number];
                want[tap.at] = T::round(want[tap.at] + gradient[o].wide());
            }
        });
        let mut got = vec![poison::<T>(); windows.input_len()];
        assert_eq!(plan.run(&gradient, &indices, &mut got), Ok(()), "{}", what());
        same(&got, &want, &what);
        let (mut got, mut found) = (vec![poison::<T>(); windows.input_len()], vec![77; windows.output_len()]);
        assert_eq!(plan.run_from_input(&input, &gradient, &mut found, &mut got), Ok(()));
        assert_eq!(found, indices, "{}", what());
        same(&got, &want, &what);
    }
}

macro_rules! every_float {
    ($($test:ident: $check:ident, $times:literal;)+) => { $(
        #[test]
        fn $test() {
            let mut rng = Rng::named(stringify!($test));
            for _ in 0..$times {
                $check::<f32>(&mut rng);
                $check::<f64>(&mut rng);
                $check::<half::f16>(&mut rng);
                $check::<half::bf16>(&mut rng);
            }
        }
    )+ };
}

#[path = "backward/crowded.rs"]
mod crowded;
#[path = "backward/indices.rs"]
mod indices;
#[path = "backward/norms.rs"]
mod norms;
#[path = "backward/tiles.rs"]
mod tiles;

every_float! {
    averages_and_sums_are_scattered: average_is_scattered, 300;
    maxima_and_minima_are_scattered: maximum_is_scattered, 300;
}

/// A gradient is the limit of difference quotients: `Σ g·f(x)` is differentiated by every element of `x`.
fn is_the_derivative(input: &[f64], gradient: &[f64], got: &[f64], pool: impl Fn(&[f64]) -> Vec<f64>) {
    let value = |x: &[f64]| -> f64 { pool(x).iter().zip(gradient).map(|(y, g)| y * g).sum() };
    let mut x = input.to_vec();
    const STEP: f64 = 1.0 / 65536.0;
    for at in 0..x.len() {
        let mut moved = |by: f64| {
            x[at] = input[at] + by;
            let value = value(&x);
            x[at] = input[at];
            value
        };
        let quotient = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!((quotient - got[at]).abs() < 1e-6, "element {at}: {} is not {quotient}", got[at]);
    }
}

fn smooth(rng: &mut Rng, len: usize) -> Vec<f64> {
    (0..len).map(|_| rng.within(1, 2000) as f64 / 1000.0 - 1.0).collect()
}

#[test]
fn gradients_are_derivatives() {
    let mut rng = Rng::named("derivatives");
    for _ in 0..60 {
        let layer = layer(&mut rng, Op::Avg);
        if layer.input_len() > 300 {
            continue;
        }
        let windows = Windows::sliding(&layer).expect("a valid layer");
        let (layout, shape) = (layer.layout, &layer.shape);
        let (input, gradient) = (smooth(&mut rng, windows.input_len()), smooth(&mut rng, windows.output_len()));
        let mut got = vec![7.0; input.len()];
        for layer in [
            pool::<Avg, f64>(&layer),
            pool::<Avg, f64>(&layer).count_include_pad(true),
            pool::<Avg, f64>(&layer).divisor(3),
        ] {
            layer.backward(layout, shape).and_then(|plan| plan.run(&gradient, &mut got)).expect("a valid run");
            let plan = layer.plan(layout, shape).expect("a valid layer");
            is_the_derivative(&input, &gradient, &got, |x| plan.run_vec(x).expect("a valid run"));
        }
        let sum: SumPool<f64> = pool(&layer);
        sum.backward(layout, shape).and_then(|plan| plan.run(&gradient, &mut got)).expect("a valid run");
        let plan = sum.plan(layout, shape).expect("a valid layer");
        is_the_derivative(&input, &gradient, &got, |x| plan.run_vec(x).expect("a valid run"));

        // Away from 0, where the root has no derivative, nor |x|; and where no other is as large.
        let large: Vec<f64> = input.iter().map(|x| if x.abs() < 0.1 { x.signum() * 0.1 } else { *x }).collect();
        let signed: Vec<f64> = (0..input.len()).map(|i| (i + 8) as f64 / 64.0 * input[i].signum()).collect();
        for (p, mean) in [(2.0, false), (2.0, true), (1.0, false), (1.0, true), (3.0, false), (1.5, true), (0.5, false)]
        {
            let norm: LpPool<f64> = pool::<Lp, f64>(&layer).p(p).mean(mean);
            let plan = norm.plan(layout, shape).expect("a valid layer");
            let norms = |x: &[f64]| plan.run_vec(x).expect("a valid run");
            let backward = norm.backward(layout, shape).expect("a valid layer");
            // Roots of sums of roots are steep.
            let tame: Vec<f64> = gradient.iter().map(|g| if p < 1.0 { g / 256.0 } else { *g }).collect();
            backward.run(&large, &norms(&large), &tame, &mut got).expect("a valid run");
            is_the_derivative(&large, &tame, &got, norms);
        }
        let norm: LpPool<f64> = pool::<Lp, f64>(&layer).p(f64::INFINITY);
        let plan = norm.plan(layout, shape).expect("a valid layer");
        let norms = |x: &[f64]| plan.run_vec(x).expect("a valid run");
        let backward = norm.backward(layout, shape).expect("a valid layer");
        backward.run(&signed, &norms(&signed), &gradient, &mut got).expect("a valid run");
        is_the_derivative(&signed, &gradient, &got, norms);

        // Values that a step does not bring past each other.
        let mut apart: Vec<f64> = (0..input.len()).map(|i| i as f64 / 64.0).collect();
        (0..apart.len()).for_each(|i| apart.swap(i, rng.below(input.len())));
        let max: MaxPool<f64> = pool(&layer);
        let min: MinPool<f64> = pool(&layer);
        let mut indices = vec![0_i32; gradient.len()];
        let kind = IndexKind::Plane;
        let backward = [max.backward(kind, layout, shape), min.backward(kind, layout, shape)];
        let plans = [max.plan(layout, shape), min.plan(layout, shape)];
        for (backward, plan) in backward.into_iter().zip(plans) {
            let (backward, plan) = (backward.expect("a valid layer"), plan.expect("a valid layer"));
            backward.run_from_input(&apart, &gradient, &mut indices, &mut got).expect("a valid run");
            // What is infinite in a window without a tap stays so.
            let finite = |y: Vec<f64>| y.into_iter().map(|y| if y.is_finite() { y } else { 0.0 }).collect();
            is_the_derivative(&apart, &gradient, &got, |x| finite(plan.run_vec(x).expect("a valid run")));
        }
    }
    for _ in 0..60 {
        let (layout, shape, output) = adaptive(&mut rng);
        let windows = Windows::adaptive(layout, &shape, &output);
        if windows.input_len() > 300 {
            continue;
        }
        let (input, gradient) = (smooth(&mut rng, windows.input_len()), smooth(&mut rng, windows.output_len()));
        let mut got = vec![7.0; input.len()];
        let plan = AvgBackward::adaptive(&output, layout, &shape).expect("a valid layer");
        assert_eq!((plan.input_shape(), &plan.output_shape()[2..]), (shape, &output[..]));
        plan.run(&gradient, &mut got).expect("a valid run");
        is_the_derivative(&input, &gradient, &got, |x| {
            let mut y = vec![0.0; windows.output_len()];
            windows.each(|o, taps, _| y[o] = taps.iter().map(|tap| x[tap.at]).sum::<f64>() / taps.len() as f64);
            y
        });
    }
}

#[test]
fn no_batch_and_no_channels_are_fine() {
    for (_, layout) in LAYOUTS {
        for shape in [[0, 16, 3], [2, 0, 3]] {
            let average = AvgPool::<f32>::new([2]).backward(layout, shape).expect("a valid layer");
            assert_eq!((average.input_len(), average.run(&[], &mut [])), (0, Ok(())));
            for kind in KINDS {
                let max = MaxPool::<f32>::new([2]).backward::<i32>(kind, layout, shape).expect("a valid layer");
                assert_eq!(max.run(&[], &[], &mut []), Ok(()));
                assert_eq!(max.run_from_input(&[], &[], &mut [], &mut []), Ok(()));
            }
            let norm = LpPool::<f64>::new([2]).backward(layout, shape).expect("a valid layer");
            assert_eq!((norm.layout(), norm.run(&[], &[], &[], &mut [])), (layout, Ok(())));
        }
    }
}
