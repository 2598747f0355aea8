//! Section 3, "no long chain", and section 5: sums of many millions.

use lanepool::{AdaptiveAvgPool, AvgPool, Layout, LpPool, Plan, SumPool};

use crate::common::{Rng, tiers};

/// As many ones as a chain of `f32` adds up to half of: 2²⁴ + 1 is 2²⁴.
const ONES: usize = 1 << 25;

/// As many numbers as must give their mean within 10⁻⁶.
const NUMBERS: usize = 10_000_000;

/// A window over a buffer that all layers share: it begins at the buffer's first element.
struct Case {
    name: &'static str,
    /// Elements from one tap to the next; the outputs' first taps are neighbours.
    step: usize,
    plan: Box<dyn Fn(lanepool::Tier) -> lanepool::Result<Plan<f32>>>,
}

fn average(
    name: &'static str,
    kernel: &'static [usize],
    dilation: usize,
    layout: Layout,
    shape: &'static [usize],
    input: Option<&'static [usize]>,
) -> Case {
    let plan = move |tier| {
        let pool = AvgPool::<f32>::new(kernel).dilation(vec![dilation; kernel.len()]).tier(tier);
        let Some(input) = input else { return pool.plan(layout, shape) };
        // Few outputs, so that any order of them lies apart.
        let output = pool.output_shape(shape)?;
        let mut strides = vec![0; shape.len()];
        let order: Vec<usize> = match layout {
            Layout::Nhwc => [1].into_iter().chain((2..shape.len()).rev()).chain([0]).collect(),
            _ => (0..shape.len()).rev().collect(),
        };
        let mut step = if let Layout::Blocked(block) = layout { block } else { 1 };
        for axis in order {
            strides[axis] = step;
            step *= if let (1, Layout::Blocked(block)) = (axis, layout) { shape[1] / block } else { output[axis] };
        }
        pool.plan_strided(layout, shape, input, strides)
    };
    let step = if layout == Layout::Nchw { dilation } else { shape[1] };
    Case { name, step, plan: Box::new(plan) }
}

/// The means of windows of so many taps, of each layout and driver; inputs that lie on one another keep the buffer
/// short.
fn averages_of_all(ones: bool) -> Vec<Case> {
    const N: usize = ONES;
    const M: usize = NUMBERS;
    if ones {
        return vec![
            average("a plane", &[1 << 13, 1 << 12], 1, Layout::Nchw, &[1, 1, 1 << 13, 1 << 12], None),
            average("a row", &[N], 1, Layout::Nchw, &[1, 1, N], None),
            average("rows that slide", &[N - 1], 1, Layout::Nchw, &[1, 1, N], None),
            average("one tall column", &[N, 1], 1, Layout::Nchw, &[1, 1, N, 1], None),
            average("tall columns that slide", &[N - 1, 1], 1, Layout::Nchw, &[1, 1, N, 1], None),
            average("a tall column, channels last", &[N, 1], 1, Layout::Nhwc, &[1, 2, N, 1], Some(&[0, 1, 1, 1])),
            average("channels last", &[N], 1, Layout::Nhwc, &[1, 2, N], Some(&[0, 1, 1])),
            average(
                "blocked",
                &[1 << 13, 1 << 12],
                1,
                Layout::Blocked(2),
                &[1, 2, 1 << 13, 1 << 12],
                Some(&[0, 0, 1 << 12, 1]),
            ),
        ];
    }
    vec![
        average("a plane", &[2500, 4000], 1, Layout::Nchw, &[1, 1, 2500, 4000], None),
        average("rows that slide", &[M], 1, Layout::Nchw, &[1, 1, M + 1], None),
        average("tall columns that slide", &[M, 1], 1, Layout::Nchw, &[1, 1, M + 1, 1], None),
        average("dilated", &[M], 3, Layout::Nchw, &[1, 1, 3 * M - 2], None),
        average("dilated columns", &[M, 1], 3, Layout::Nchw, &[1, 1, 3 * M - 2, 1], None),
        average("a plane, channels last", &[2500, 4000], 1, Layout::Nhwc, &[1, 3, 2500, 4000], None),
        average("a row, channels last", &[M], 1, Layout::Nhwc, &[1, 3, M], None),
        average("a volume, channels last", &[100, 250, 400], 1, Layout::Nhwc, &[1, 3, 100, 250, 400], None),
        average("blocked", &[M / 2, 2], 1, Layout::Blocked(3), &[1, 3, M / 2, 2], None),
    ]
}

/// "No float sum (average, sum, norm, gradient; planar, channels last, blocked; sliding, dilated, adaptive, global, one
/// tall column) is one running sum of more than 2¹⁰ terms: beyond that it is cut into blocks whose sums are added as a
/// tree of neighbours. 10⁷ numbers, uniform in 0 to 1, give their mean within 10⁻⁶ of the exact one (relative) in every
/// layout, and 2²⁵ ones give 1."
///
/// One test, so that one buffer serves.
#[test]
fn no_chain_is_long() {
    let mut buffer = vec![1.0_f32; ONES + 1];
    for tier in tiers::available() {
        for Case { name, plan, .. } in averages_of_all(true) {
            let plan = plan(tier).unwrap_or_else(|error| panic!("{name}: {error}"));
            let means = plan.run_vec(&buffer[..plan.input_len()]).expect("a valid run");
            assert!(means.iter().all(|mean| *mean == 1.0), "{name}: ones have the mean {means:?} by {plan}");
        }
        let sum = SumPool::<f32>::global().tier(tier).run_once(Layout::Nchw, [1, 1, ONES], &buffer[..ONES]);
        assert_eq!(sum, Ok(vec![ONES as f32]), "a sum on {tier}");
        let norm = LpPool::<f32>::global().p(1.0).tier(tier).run_once(Layout::Nchw, [1, 1, ONES], &buffer[..ONES]);
        assert_eq!(norm, Ok(vec![ONES as f32]), "a norm on {tier}");
    }

    let mut rng = Rng::named("uniform");
    buffer.truncate(3 * NUMBERS);
    buffer.iter_mut().for_each(|x| *x = (rng.bits() >> 40) as f32 / (1 << 24) as f32);
    for tier in tiers::available() {
        for Case { name, step, plan } in averages_of_all(false) {
            let plan = plan(tier).unwrap_or_else(|error| panic!("{name}: {error}"));
            let means = plan.run_vec(&buffer[..plan.input_len()]).expect("a valid run");
            for (i, mean) in means.iter().enumerate() {
                let exact = buffer[i..].iter().step_by(step).take(NUMBERS).map(|x| f64::from(*x)).sum::<f64>();
                is_near(&format!("{name} by {plan}"), *mean, exact / NUMBERS as f64);
            }
        }
    }
    for (layout, channels) in [(Layout::Nchw, 1), (Layout::Nhwc, 3)] {
        let plan = AdaptiveAvgPool::<f32>::new([1]).plan(layout, [1, channels, NUMBERS]).expect("a valid layer");
        let means = plan.run_vec(&buffer[..channels * NUMBERS]).expect("a valid run");
        for (c, mean) in means.iter().enumerate() {
            let exact = buffer[c..].iter().step_by(channels).take(NUMBERS).map(|x| f64::from(*x)).sum::<f64>();
            is_near(&format!("adaptive {layout}"), *mean, exact / NUMBERS as f64);
        }
    }
}

fn is_near(what: &str, mean: f32, exact: f64) {
    let error = (f64::from(mean) - exact).abs() / exact;
    assert!(error <= 1e-6, "{what}: {mean} for {exact}, {error:.2e} off");
}
