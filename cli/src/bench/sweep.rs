//! `lanepool bench --sweep`: the time of an output against the size of the window, beside a direct method.
//!
//! Windows move by 1, as in a filter, so that neighbours share all but a column. The direct method folds every tap of every
//! window: plain loops, of which the innermost, along the row, is compiled for the widest vectors of the CPU. Its time grows
//! with the number of taps; that of a method that shares work between windows does not, from some size on.
//!
//! Both take turns in one process over the same input, and their results are compared first.

use std::hint::black_box;
use std::ops::Range;

use anyhow::{Context, Result, ensure};
use comfy_table::{Cell, CellAlignment, Table, presets};
use lanepool::{AvgPool, Element, Layout, MaxPool, Plan, Tier};
use pulp::Arch;
use serde::Serialize;

use crate::elements;
use crate::layer::Operation;
use crate::timing::{in_turn, median};

/// Sizes of the window, on each axis.
const KERNELS: [usize; 19] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 21, 25, 31, 41, 51, 63];

/// More of them, for windows with one axis.
const LONG: [usize; 8] = [127, 255, 511, 1023, 2047, 4095, 8191, 15_000];

/// Channels and outputs on each axis, whatever the size of the window: 2¹⁴ outputs, so that a call of either method is short.
const SHAPES: [&[usize]; 2] = [&[4, 4096], &[1, 128, 128]];

/// What was measured of one size, as `--json` prints it.
#[derive(Clone, Serialize)]
pub struct Point {
    /// Axes of the window.
    pub rank: usize,
    pub op: &'static str,
    pub element: &'static str,
    pub tier: &'static str,
    /// Taps of the window on each axis.
    pub kernel: usize,
    pub driver: &'static str,
    /// Nanoseconds of one output.
    pub ns: f64,
    pub direct_ns: f64,
    /// The median over the rounds of the direct method's time over this one's.
    pub ratio: f64,
}

impl Point {
    /// What the curve that it lies on is called.
    pub fn curve(&self) -> String {
        format!("{} {}", self.op, self.element)
    }
}

/// Measures every size. `begun` hears of each before it is measured.
pub fn measure(tier: Tier, rounds: Option<usize>, begun: &mut dyn FnMut(&str)) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for shape in SHAPES {
        for operation in [Operation::Max, Operation::Avg] {
            // A channel, and one axis.
            let longer = if shape.len() == 2 { &LONG[..] } else { &[] };
            let kernels = || KERNELS.iter().chain(longer).copied();
            for kernel in kernels() {
                begun(&format!("{operation} {kernel} f32"));
                points.push(point::<f32>(shape, operation, kernel, tier, rounds)?);
            }
            for kernel in kernels() {
                begun(&format!("{operation} {kernel} u8"));
                points.push(point::<u8>(shape, operation, kernel, tier, rounds)?);
            }
        }
    }
    Ok(points)
}

/// How many points there are.
pub const fn len() -> usize {
    4 * (SHAPES.len() * KERNELS.len() + LONG.len())
}

fn point<T: Direct>(
    shape: &[usize],
    operation: Operation,
    kernel: usize,
    tier: Tier,
    rounds: Option<usize>,
) -> Result<Point> {
    let (&channels, output) = shape.split_first().context("a shape has channels")?;
    let rank = output.len();
    // No padding: the input is as much longer as the window is.
    let input: Vec<usize> = output.iter().map(|length| length + kernel - 1).collect();
    let whole = [&[1, channels], input.as_slice()].concat();
    let window = vec![kernel; rank];
    let plan: Plan<T> = match operation {
        Operation::Max => MaxPool::new(window).tier(tier).plan(Layout::Nchw, whole)?,
        _ => AvgPool::new(window).tier(tier).plan(Layout::Nchw, whole)?,
    };
    let mut rng = fastrand::Rng::with_seed(1);
    let src: Vec<T> = (0..plan.input_len()).map(|_| elements::sample(&mut rng)).collect();
    let rows = |lengths: &[usize]| [lengths[..rank - 1].iter().product(), lengths[rank - 1]];
    let kernel_rows = if rank == 1 { 1 } else { kernel };
    let direct = Planes { src: &src, input: rows(&input), output: rows(output), kernel: [kernel_rows, kernel] };
    let arch = Arch::new();
    let fold = |dst: &mut Vec<T>| match operation {
        Operation::Max => arch.dispatch(
            #[inline(always)]
            || direct.max(dst),
        ),
        _ => arch.dispatch(
            #[inline(always)]
            || direct.mean(dst),
        ),
    };

    let mut dst = vec![T::zeroed(); plan.output_len()];
    fold(&mut dst);
    let is_same = plan.run_vec(&src)?.iter().zip(&dst).all(|(a, b)| a.is_near(*b));
    ensure!(is_same, "{plan}: the direct method gives other results");
    let mut pool = |dst: &mut Vec<T>| {
        let _ = black_box(plan.run(black_box(&src), black_box(dst)));
    };
    let [mut ours, mut direct] = in_turn(&mut dst, [&mut pool, &mut |dst: &mut Vec<T>| fold(black_box(dst))], rounds);
    let mut ratios: Vec<f64> = ours.iter().zip(&direct).map(|(ours, direct)| direct / ours).collect();
    let outputs = plan.output_len() as f64;
    Ok(Point {
        rank,
        op: operation.name(),
        element: T::DTYPE.name(),
        tier: plan.tier().name(),
        kernel,
        driver: plan.kernel(),
        ns: median(&mut ours) / outputs,
        direct_ns: median(&mut direct) / outputs,
        ratio: median(&mut ratios),
    })
}

/// What the direct method has to know of an element.
trait Direct: Element + PartialOrd {
    /// What a sum is held in.
    type Total: Copy + Default + std::ops::AddAssign + From<Self>;
    fn mean(sum: Self::Total, taps: usize) -> Self;
    /// Whether two results are equal, but for the order in which floats were added.
    fn is_near(self, other: Self) -> bool;
}

impl Direct for f32 {
    type Total = f32;

    fn mean(sum: f32, taps: usize) -> f32 {
        sum / taps as f32
    }

    fn is_near(self, other: f32) -> bool {
        (self - other).abs() <= 1e-4
    }
}

impl Direct for u8 {
    type Total = u32;

    /// Rounded half to even.
    fn mean(sum: u32, taps: usize) -> u8 {
        let taps = taps as u32;
        let (quotient, rest) = (sum / taps, sum % taps);
        let up = 2 * rest > taps || (2 * rest == taps && quotient % 2 == 1);
        (quotient + u32::from(up)) as u8
    }

    fn is_near(self, other: u8) -> bool {
        self == other
    }
}

/// Planes and a window that moves over them by 1: rows and columns.
struct Planes<'a, T> {
    src: &'a [T],
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
}

impl<T: Direct> Planes<'_, T> {
    #[inline(always)]
    fn max(&self, dst: &mut [T]) {
        for (i, row) in dst.chunks_exact_mut(self.output[1]).enumerate() {
            row.copy_from_slice(&self.src[self.taps(i, 0, 0)]);
            self.for_each_tap(
                i,
                #[inline(always)]
                |taps| {
                    for (y, x) in row.iter_mut().zip(taps) {
                        *y = if *x > *y { *x } else { *y };
                    }
                },
            );
        }
    }

    #[inline(always)]
    fn mean(&self, dst: &mut [T]) {
        let [height, width] = self.kernel;
        let mut sums = vec![T::Total::default(); self.output[1]];
        for (i, row) in dst.chunks_exact_mut(self.output[1]).enumerate() {
            sums.fill(T::Total::default());
            self.for_each_tap(
                i,
                #[inline(always)]
                |taps| {
                    for (sum, x) in sums.iter_mut().zip(taps) {
                        *sum += T::Total::from(*x);
                    }
                },
            );
            for (y, sum) in row.iter_mut().zip(&sums) {
                *y = T::mean(*sum, height * width);
            }
        }
    }

    /// For each tap of the windows of output row `i`, those of all its outputs.
    #[inline(always)]
    fn for_each_tap(&self, i: usize, mut visit: impl FnMut(&[T])) {
        for row in 0..self.kernel[0] {
            for column in 0..self.kernel[1] {
                visit(&self.src[self.taps(i, row, column)]);
            }
        }
    }

    #[inline(always)]
    fn taps(&self, i: usize, row: usize, column: usize) -> Range<usize> {
        let (plane, y) = (i / self.output[0], i % self.output[0]);
        let start = (plane * self.input[0] + y + row) * self.input[1] + column;
        start..start + self.output[1]
    }
}

/// A row for each size, curve by curve.
pub fn table(points: &[Point]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "windows",
        "tier",
        "kernel",
        "driver",
        "ns an output",
        "direct: ns an output",
        "direct / lanepool",
    ]);
    for column in [2, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for point in points {
        table.add_row([
            Cell::new(format!("{}-D {}", point.rank, point.curve())),
            Cell::new(point.tier),
            Cell::new(point.kernel),
            Cell::new(point.driver),
            Cell::new(format!("{:.3}", point.ns)),
            Cell::new(format!("{:.3}", point.direct_ns)),
            Cell::new(format!("{:.2}", point.ratio)),
        ]);
    }
    table
}
