//! Section 3, "no long chain", and section 5: sums of many millions.
//!
//! "No float sum (average, sum, norm, gradient; planar, channels last, blocked; sliding, dilated, adaptive, global, one tall
//! column) is one running sum of more than 2¹⁰ terms: beyond that it is cut into blocks whose sums are added as a tree of
//! neighbours. 10⁷ numbers, uniform in 0 to 1, give their mean within 10⁻⁶ of the exact one (relative) in every layout,
//! and 2²⁵ ones give 1."
//!
//! All layers read one buffer, from its first element on, and where a layout would make it longer, neighbouring inputs lie
//! on one another. Gradients are in `chains/gradients.rs`.

#[path = "chains/gradients.rs"]
mod gradients;

use lanepool::{AdaptiveAvgPool, AvgPool, Layout, LpPool, Plan, Pool, PoolOperation, SumPool, Tier};

use crate::common::{Rng, tiers};

/// As many ones as a chain of `f32` adds up to half of: 2²⁴ + 1 is 2²⁴.
const ONES: usize = 1 << 25;

/// As many numbers as must give their mean within 10⁻⁶.
const NUMBERS: usize = 10_000_000;

const NCHW: Layout = Layout::Nchw;
const NHWC: Layout = Layout::Nhwc;

/// A window, and a tensor that it is run over.
struct Case {
    name: &'static str,
    layout: Layout,
    kernel: &'static [usize],
    dilation: usize,
    shape: &'static [usize],
    /// Where the input's elements lie, if not side by side.
    strides: Option<&'static [usize]>,
}

const fn case(name: &'static str, layout: Layout, kernel: &'static [usize], shape: &'static [usize]) -> Case {
    Case { name, layout, kernel, dilation: 1, shape, strides: None }
}

const fn dilated(
    name: &'static str,
    layout: Layout,
    kernel: &'static [usize],
    dilation: usize,
    shape: &'static [usize],
) -> Case {
    Case { name, layout, kernel, dilation, shape, strides: None }
}

const fn strided(
    name: &'static str,
    layout: Layout,
    kernel: &'static [usize],
    shape: &'static [usize],
    strides: &'static [usize],
) -> Case {
    Case { name, layout, kernel, dilation: 1, shape, strides: Some(strides) }
}

/// Windows of 2²⁵ taps, less one where they slide.
const OF_ONES: [Case; 8] = [
    case("a plane", NCHW, &[1 << 13, 1 << 12], &[1, 1, 1 << 13, 1 << 12]),
    case("a row", NCHW, &[ONES], &[1, 1, ONES]),
    case("rows that slide", NCHW, &[ONES - 1], &[1, 1, ONES]),
    case("one tall column", NCHW, &[ONES, 1], &[1, 1, ONES, 1]),
    case("tall columns that slide", NCHW, &[ONES - 1, 1], &[1, 1, ONES, 1]),
    strided("a tall column, channels last", NHWC, &[ONES, 1], &[1, 2, ONES, 1], &[0, 1, 1, 1]),
    strided("channels last", NHWC, &[ONES], &[1, 2, ONES], &[0, 1, 1]),
    strided("blocked", Layout::Blocked(2), &[1 << 13, 1 << 12], &[1, 2, 1 << 13, 1 << 12], &[0, 0, 1 << 12, 1]),
];

/// Windows of 10⁷ taps, of as many as a dilated or a shared one has, and of as many as are added without blocks.
const OF_NUMBERS: [Case; 19] = [
    case("a plane", NCHW, &[2500, 4000], &[1, 1, 2500, 4000]),
    case("a plane of two channels", NCHW, &[2500, 2000], &[1, 2, 2500, 2000]),
    case("rows that slide", NCHW, &[NUMBERS], &[1, 1, NUMBERS + 1]),
    case("tall columns that slide", NCHW, &[NUMBERS, 1], &[1, 1, NUMBERS + 1, 1]),
    case("a volume that slides", NCHW, &[100, 250, 400], &[1, 1, 100, 250, 401]),
    case("long both ways", NCHW, &[256, 2800], &[1, 1, 257, 2801]),
    case("columns and rows of 256", NCHW, &[256, 256], &[1, 1, 256, 257]),
    case("columns and rows of 256, channels last", NHWC, &[256, 256], &[1, 3, 256, 257]),
    case("columns and rows of 1024, channels last", NHWC, &[1024, 1024], &[1, 3, 1024, 1025]),
    dilated("dilated", NCHW, &[NUMBERS], 3, &[1, 1, 3 * NUMBERS - 2]),
    dilated("dilated columns", NCHW, &[NUMBERS, 1], 3, &[1, 1, 3 * NUMBERS - 2, 1]),
    dilated("dilated, 15 000 taps", NCHW, &[15_000], 2, &[1, 1, 30_020]),
    dilated("dilated, 15 000 rows", NCHW, &[15_000, 2], 2, &[1, 1, 30_001, 20]),
    dilated("dilated, 15 000 taps, channels last", NHWC, &[15_000], 2, &[1, 17, 30_001]),
    dilated("dilated, 15 000 rows, blocked", Layout::Blocked(4), &[15_000, 1], 2, &[1, 8, 30_001, 2]),
    case("a plane, channels last", NHWC, &[2500, 4000], &[1, 3, 2500, 4000]),
    case("a row, channels last", NHWC, &[NUMBERS], &[1, 3, NUMBERS]),
    case("a volume, channels last", NHWC, &[100, 250, 400], &[1, 3, 100, 250, 400]),
    case("blocked", Layout::Blocked(3), &[NUMBERS / 2, 2], &[1, 3, NUMBERS / 2, 2]),
];

impl Case {
    fn plan<O: PoolOperation>(&self, pool: impl Fn(Pool<O, f32>) -> Pool<O, f32>, tier: Tier) -> Plan<f32> {
        let window = Pool::new(self.kernel).dilation(vec![self.dilation; self.kernel.len()]).tier(tier);
        let pool = pool(window);
        let plan = match self.strides {
            None => pool.plan(self.layout, self.shape),
            Some(input) => {
                let shape = pool.output_shape(self.shape).expect("a valid window");
                pool.plan_strided(self.layout, self.shape, input, side_by_side(self.layout, &shape))
            }
        };
        plan.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Of each output, in the order of memory, what its taps and their squares sum to.
    fn exact(&self, buffer: &[f32]) -> Vec<[f64; 2]> {
        let output: Vec<usize> =
            self.shape[2..].iter().zip(self.kernel).map(|(n, k)| n - (k - 1) * self.dilation).collect();
        let output = [&self.shape[..2], &output[..]].concat();
        let strides = self.strides.map_or_else(|| side_by_side(self.layout, self.shape), <[usize]>::to_vec);
        let to = side_by_side(self.layout, &output);
        let mut sums = vec![[0.0; 2]; output.iter().product()];
        let (channels, outputs) = (output[1], &padded(&output[2..]));
        let [kernel, from, to_axes] = [self.kernel, &strides[2..], &to[2..]].map(padded_zero);
        for channel in 0..channels {
            let (channel_from, channel_to) = channel_offsets(self.layout, channel, strides[1], to[1]);
            for_each(outputs, |at| {
                let place = |axes: &[usize; 3]| (0..3).map(|axis| at[axis] * axes[axis]).sum::<usize>();
                let first = channel_from + place(&from);
                let [mut sum, mut squares] = [0.0; 2];
                for_each(&kernel.map(|taps| taps.max(1)), |tap| {
                    let tap = (0..3).map(|axis| tap[axis] * self.dilation * from[axis]).sum::<usize>();
                    let x = f64::from(buffer[first + tap]);
                    sum += x;
                    squares += x * x;
                });
                sums[channel_to + place(&to_axes)] = [sum, squares];
            });
        }
        sums
    }
}

/// Strides of a tensor of one batch whose elements lie side by side. Of a blocked one the channels' is that of a block.
fn side_by_side(layout: Layout, shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let order: Vec<usize> = match layout {
        Layout::Nhwc => [1].into_iter().chain((2..shape.len()).rev()).chain([0]).collect(),
        _ => (0..shape.len()).rev().collect(),
    };
    let mut step = if let Layout::Blocked(block) = layout { block } else { 1 };
    for axis in order {
        strides[axis] = step;
        step *= if let (1, Layout::Blocked(block)) = (axis, layout) { shape[1] / block } else { shape[axis] };
    }
    strides
}

/// Where a channel begins, in two tensors with these strides of channels.
fn channel_offsets(layout: Layout, channel: usize, from: usize, to: usize) -> (usize, usize) {
    match layout {
        Layout::Blocked(block) => (channel / block * from + channel % block, channel / block * to + channel % block),
        _ => (channel * from, channel * to),
    }
}

/// Three lengths, of which the first are 1 where there are fewer.
fn padded(lengths: &[usize]) -> [usize; 3] {
    padded_zero(lengths).map(|length| length.max(1))
}

fn padded_zero(lengths: &[usize]) -> [usize; 3] {
    let mut three = [0; 3];
    three[3 - lengths.len()..].copy_from_slice(lengths);
    three
}

fn for_each(&[depth, height, width]: &[usize; 3], mut work: impl FnMut([usize; 3])) {
    for z in 0..depth {
        for y in 0..height {
            for x in 0..width {
                work([z, y, x]);
            }
        }
    }
}

/// Numbers that are uniform in 0 to 1.
fn fill_uniformly(buffer: &mut [f32], name: &str) {
    let mut rng = Rng::named(name);
    buffer.iter_mut().for_each(|x| *x = (rng.bits() >> 40) as f32 / (1 << 24) as f32);
}

fn is_near(what: &str, got: f32, exact: f64) {
    let error = (f64::from(got) - exact).abs() / exact;
    assert!(error <= 1e-6, "{what}: {got} for {exact}, {error:.2e} off");
}

fn are_near(plan: &Plan<f32>, buffer: &[f32], what: &str, exact: impl Iterator<Item = f64>) {
    let got = plan.run_vec(&buffer[..plan.input_len()]).expect("a valid run");
    for (got, exact) in got.iter().zip(exact) {
        is_near(&format!("{what} by {plan}"), *got, exact);
    }
}

/// One test, so that one buffer serves.
#[test]
fn no_chain_is_long() {
    // One more than a window: inputs lie on one another, an element apart.
    let mut buffer = vec![1.0_f32; ONES + 1];
    for tier in tiers::available() {
        for case in OF_ONES {
            let plan = case.plan(|average: AvgPool<f32>| average, tier);
            let means = plan.run_vec(&buffer[..plan.input_len()]).expect("a valid run");
            assert!(means.iter().all(|mean| *mean == 1.0), "{}: ones have the mean {means:?} by {plan}", case.name);
        }
        let sum = SumPool::<f32>::global().tier(tier).run_once(NCHW, [1, 1, ONES], &buffer[..ONES]);
        assert_eq!(sum, Ok(vec![ONES as f32]), "a sum on {tier}");
        let norm = LpPool::<f32>::global().p(1.0).tier(tier).run_once(NCHW, [1, 1, ONES], &buffer[..ONES]);
        assert_eq!(norm, Ok(vec![ONES as f32]), "a norm on {tier}");
    }

    buffer.truncate(3 * NUMBERS);
    fill_uniformly(&mut buffer, "uniform");
    for case in OF_NUMBERS {
        let exact = case.exact(&buffer);
        let taps = case.kernel.iter().product::<usize>() as f64;
        let sums = || exact.iter().map(|[sum, _]| *sum);
        let squares = || exact.iter().map(|[_, squares]| *squares);
        let (name, best) = (case.name, Tier::best());
        for tier in tiers::available() {
            are_near(&case.plan(|mean: AvgPool<f32>| mean, tier), &buffer, name, sums().map(|sum| sum / taps));
        }
        // Every tier has their bits, too, as other tests prove.
        are_near(&case.plan(|sum: SumPool<f32>| sum, best), &buffer, name, sums());
        are_near(&case.plan(|norm: LpPool<f32>| norm.p(1.0), best), &buffer, name, sums());
        are_near(&case.plan(|norm: LpPool<f32>| norm, best), &buffer, name, squares().map(f64::sqrt));
    }
    adaptive_averages_are_near(&buffer);
}

/// Any other p takes powers one by one, two hundred times slower: a few shorter layers, of each order.
#[test]
fn powers_are_no_long_chain() {
    let cases = [
        case("a plane", NCHW, &[250, 400], &[1, 1, 250, 400]),
        case("rows that slide", NCHW, &[100_000], &[1, 1, 100_001]),
        case("a tall column, channels last", NHWC, &[100_000, 1], &[1, 2, 100_000, 1]),
        dilated("dilated, 15 000 taps, blocked", Layout::Blocked(4), &[15_000], 2, &[1, 4, 30_000]),
    ];
    let mut buffer = vec![0.0; 200_000];
    fill_uniformly(&mut buffer, "powers");
    let cubes: Vec<f32> = buffer.iter().map(|x| x * x * x).collect();
    for case in cases {
        let plan = case.plan(|norm: LpPool<f32>| norm.p(3.0), Tier::best());
        are_near(&plan, &buffer, case.name, case.exact(&cubes).into_iter().map(|[sum, _]| sum.cbrt()));
    }
}

/// Windows of 10⁷ taps, of a third of it, and of as many rows; those that all are equal, and those that are not.
fn adaptive_averages_are_near(buffer: &[f32]) {
    type Row = (Layout, &'static [usize], &'static [usize]);
    const THIRDS: usize = 3_000_001;
    let rows: [Row; 10] = [
        (NCHW, &[1, 1, NUMBERS], &[1]),
        (NHWC, &[1, 3, NUMBERS], &[1]),
        (NCHW, &[1, 1, THIRDS], &[3]),
        (NCHW, &[1, 1, 3 * THIRDS], &[3]),
        (NHWC, &[1, 5, THIRDS], &[3]),
        (Layout::Blocked(4), &[1, 8, THIRDS], &[3]),
        (NCHW, &[1, 1, THIRDS, 1], &[3, 1]),
        (NHWC, &[1, 2, THIRDS, 1], &[3, 1]),
        (NCHW, &[1, 1, 3001, 2001], &[2, 3]),
        (Layout::Blocked(2), &[1, 2, 301, 201, 101], &[2, 1, 3]),
    ];
    for (layout, shape, output) in rows {
        let output_shape = [&shape[..2], output].concat();
        let (from, to) = (side_by_side(layout, shape), side_by_side(layout, &output_shape));
        let (inputs, outputs) = (padded(&shape[2..]), padded(output));
        let [from_axes, to_axes] = [&from[2..], &to[2..]].map(padded_zero);
        for tier in [Tier::Scalar, Tier::best()] {
            let plan = AdaptiveAvgPool::<f32>::new(output).tier(tier).plan(layout, shape).expect("a valid layer");
            let means = plan.run_vec(&buffer[..plan.input_len()]).expect("a valid run");
            for channel in 0..shape[1] {
                let (channel_from, channel_to) = channel_offsets(layout, channel, from[1], to[1]);
                for_each(&outputs, |o| {
                    let start: [usize; 3] = std::array::from_fn(|axis| o[axis] * inputs[axis] / outputs[axis]);
                    let end = |axis: usize| ((o[axis] + 1) * inputs[axis]).div_ceil(outputs[axis]);
                    let taps: [usize; 3] = std::array::from_fn(|axis| end(axis) - start[axis]);
                    let mut sum = 0.0;
                    for_each(&taps, |tap| {
                        let at = (0..3).map(|axis| (start[axis] + tap[axis]) * from_axes[axis]).sum::<usize>();
                        sum += f64::from(buffer[channel_from + at]);
                    });
                    let at = channel_to + (0..3).map(|axis| o[axis] * to_axes[axis]).sum::<usize>();
                    let exact = sum / taps.iter().product::<usize>() as f64;
                    is_near(&format!("{output:?} of {shape:?}, {layout}, {}, {tier}", plan.kernel()), means[at], exact);
                });
            }
        }
    }
}
