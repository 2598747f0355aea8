//! Times a layer on its tiers, each against the streaming bound, after checking the results against the scalar tier's.
//!
//! The bound and the kernel take turns in one process over the same two buffers, so that whatever the machine does
//! meanwhile happens to both. A round is one sample of each; a sample repeats its call until it lasts long enough for the
//! clock. A round's quotient is its ratio, and the median over the rounds is the result. The buffers begin at random
//! lines of random pages, since equal offsets of input and output cost some CPUs dear and no network promises them.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lanepool::{DType, Element, ElementVisitor, Layout, Plan, Tier};

use crate::bound::Bound;
use crate::elements;
use crate::layer::{Operation, Window, joined};

/// The rounds of a measurement, unless the command line says otherwise.
pub const ROUNDS: usize = 15;
/// The rounds of a call that takes longer than [`SLOW`], unless the command line says otherwise.
const SLOW_ROUNDS: usize = 5;
/// A call this long is far from its bound, and more rounds would cost minutes and add nothing.
const SLOW: Duration = Duration::from_millis(150);
/// The least time of a sample.
const SAMPLE: Duration = Duration::from_micros(200);
/// How long a kernel and its bound run before they are timed: some CPUs power their wide vector units only then.
const WARM_UP: Duration = Duration::from_micros(500);

/// A layer to time: a window and the tensor it is applied to.
#[derive(Clone, Debug)]
pub struct Layer {
    pub name: String,
    pub window: Window,
    pub layout: Layout,
    pub element: DType,
    /// `N, C, spatial…`, whatever the layout.
    pub shape: Vec<usize>,
}

impl Layer {
    /// Whether elements of its type have its operation at all: a norm is of floats, and integers of 64 bits have no sums.
    pub const fn has_operation(&self) -> bool {
        match self.window.operation {
            Operation::Max | Operation::Min => true,
            Operation::Avg | Operation::Sum => self.element.has_sums(),
            Operation::Lp => !self.element.is_integer(),
        }
    }

    /// The tensor and the window in a few characters: `64x112x112 3x3/2+1`.
    pub fn summary(&self) -> String {
        let rank = self.shape.len().saturating_sub(2);
        let mut text = match self.shape.as_slice() {
            [1, rest @ ..] => joined(rest),
            all => joined(all),
        };
        match &self.window.kernel {
            None => text += " global",
            Some(kernel) => text += &format!(" {}", joined(&kernel.spread(rank))),
        }
        if let Some(stride) = self.window.stride.as_ref().filter(|stride| stride.0.iter().any(|&n| n != 1)) {
            text += &format!("/{stride}");
        }
        if let Some(crate::layer::Padding::Explicit { begin, .. }) = &self.window.padding
            && begin.0.iter().any(|&n| n != 0)
        {
            text += &format!("+{begin}");
        }
        text
    }
}

/// What was measured on one tier.
#[derive(Clone, Debug)]
pub struct Measurement {
    pub tier: Tier,
    /// Threads that the kernel ran on. The bound is always one thread's.
    pub threads: usize,
    /// The driver of the plan.
    pub kernel: &'static str,
    /// Medians of the samples, for one call.
    pub kernel_ns: f64,
    pub bound_ns: f64,
    /// Median, lower and upper quartile of the rounds' ratios.
    pub ratio: f64,
    pub quartiles: (f64, f64),
    /// Bytes of input and output together.
    pub bytes: usize,
    /// Taps of all windows, for the roofline.
    pub taps: f64,
    /// Whether the bytes equal the scalar tier's.
    pub same_bits: bool,
}

impl Measurement {
    /// Input and output over time: 10⁹ bytes a second.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.kernel_ns
    }
}

/// What the input of a layer is filled with.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Random values.
    Random,
    /// Values given as the bytes of elements, over again where they are fewer than the layer needs.
    Repeated(&'a [u8]),
}

/// Measures a layer on the given tiers, on each of the numbers of threads. `rounds` overrides the number of rounds; `begun`
/// hears of each measurement before it is made.
pub fn measure(
    layer: &Layer,
    tiers: &[Tier],
    threads: &[usize],
    input: Input,
    rounds: Option<usize>,
    begun: &mut dyn FnMut(Tier),
) -> Result<Vec<Measurement>> {
    let pools = threads.iter().map(|&threads| Threads::new(threads)).collect::<Result<Vec<_>>>()?;
    let measure = Measure { layer, tiers, pools: &pools, input, rounds, begun };
    let element = layer.element;
    let measured = element.visit(measure).with_context(|| format!("this build has no kernels for {element}"))?;
    measured.with_context(|| format!("layer {:?}", layer.name))
}

/// Runs a layer once on each tier, over numbers that are the same every time.
pub fn run_once(layer: &Layer, tiers: &[Tier]) -> Result<()> {
    let element = layer.element;
    let ran =
        element.visit(Once { layer, tiers }).with_context(|| format!("this build has no kernels for {element}"))?;
    ran.with_context(|| format!("layer {:?}", layer.name))
}

struct Once<'a> {
    layer: &'a Layer,
    tiers: &'a [Tier],
}

impl ElementVisitor for Once<'_> {
    type Output = Result<()>;

    fn visit<T: Element>(self) -> Result<()> {
        let Self { layer, tiers } = self;
        for &tier in tiers {
            let plan = layer.window.plan::<T>(layer.layout, &layer.shape, Some(tier))?;
            let mut rng = fastrand::Rng::with_seed(1);
            let src: Vec<T> = (0..plan.input_len()).map(|_| elements::sample(&mut rng)).collect();
            black_box(plan.run_vec(&src)?);
        }
        Ok(())
    }
}

struct Measure<'a> {
    layer: &'a Layer,
    tiers: &'a [Tier],
    pools: &'a [Threads],
    input: Input<'a>,
    rounds: Option<usize>,
    begun: &'a mut dyn FnMut(Tier),
}

impl ElementVisitor for Measure<'_> {
    type Output = Result<Vec<Measurement>>;

    fn visit<T: Element>(self) -> Self::Output {
        let Self { layer, tiers, pools, input, rounds, begun } = self;
        let plan = |tier| layer.window.plan::<T>(layer.layout, &layer.shape, Some(tier));
        // Every tier is planned first, so that one that is missing costs no minutes of timing.
        let plans = tiers.iter().map(|&tier| plan(tier)).collect::<lanepool::Result<Vec<_>>>()?;
        let reference = plan(Tier::Scalar)?;

        let mut rng = fastrand::Rng::new();
        let mut src = Buffer::new::<T>(reference.input_len(), &mut rng);
        match input {
            Input::Random => src.values_mut().fill_with(|| elements::sample::<T>(&mut rng)),
            Input::Repeated(bytes) => {
                let repeated = bytes.iter().cycle();
                src.bytes_mut().iter_mut().zip(repeated).for_each(|(to, from)| *to = *from);
            }
        }
        let mut dst = Buffer::new::<T>(reference.output_len(), &mut rng);
        let expected = reference.run_vec(src.values())?;

        let taps = taps(layer, &reference);
        let mut measurements = Vec::new();
        for (plan, &tier) in plans.iter().zip(tiers) {
            for threads in pools {
                begun(tier);
                dst.poison();
                threads.within(|| threads.run(plan, &src, &mut dst))?;
                let same_bits = dst.bytes() == bytemuck::cast_slice::<T, u8>(&expected);
                let samples = threads.within(|| time(plan, threads, &src, &mut dst, rounds))?;
                measurements.push(samples.summarise(plan, threads, taps, same_bits));
            }
        }
        Ok(measurements)
    }
}

/// What a kernel runs on.
enum Threads {
    /// The calling thread.
    One,
    Many(rayon::ThreadPool),
}

impl Threads {
    fn new(threads: usize) -> Result<Self> {
        if threads == 1 {
            return Ok(Self::One);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self::Many(pool.with_context(|| format!("{threads} threads cannot be had"))?))
    }

    fn count(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Many(pool) => pool.current_num_threads(),
        }
    }

    fn run<T: Element>(&self, plan: &Plan<T>, src: &Buffer, dst: &mut Buffer) -> lanepool::Result<()> {
        let (src, dst) = (black_box(src.values()), black_box(dst.values_mut()));
        match self {
            Self::One => plan.run(src, dst),
            Self::Many(_) => plan.run_parallel(src, dst),
        }
    }

    /// Does something on a thread of the pool, as an engine that has one runs its layers: from any other thread, waking the
    /// pool would cost each call some ten microseconds.
    fn within<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::One => work(),
            Self::Many(pool) => pool.install(work),
        }
    }
}

/// Taps of all windows, padding included: the work that a plain implementation would do.
fn taps<T: Element>(layer: &Layer, plan: &Plan<T>) -> f64 {
    let spatial = plan.input_shape().get(2..).unwrap_or_default();
    let window = match &layer.window.kernel {
        Some(kernel) => kernel.spread(spatial.len()),
        None => spatial.to_vec(),
    };
    window.iter().map(|&taps| taps as f64).product::<f64>() * plan.output_len() as f64
}

/// Times of the bound and the kernel for one call, round by round.
struct Samples {
    bound: Vec<f64>,
    kernel: Vec<f64>,
}

impl Samples {
    fn summarise<T: Element>(self, plan: &Plan<T>, threads: &Threads, taps: f64, same_bits: bool) -> Measurement {
        let mut ratios: Vec<f64> = self.kernel.iter().zip(&self.bound).map(|(kernel, bound)| kernel / bound).collect();
        let [low, ratio, high] = quartiles(&mut ratios);
        let [kernel_ns, bound_ns] = [self.kernel, self.bound].map(|mut each| median(&mut each));
        let bytes = (plan.input_len() + plan.output_len()) * size_of::<T>();
        let (tier, kernel) = (plan.tier(), plan.kernel());
        let threads = threads.count();
        Measurement {
            tier,
            threads,
            kernel,
            kernel_ns,
            bound_ns,
            ratio,
            quartiles: (low, high),
            bytes,
            taps,
            same_bits,
        }
    }
}

fn time<T: Element>(
    plan: &Plan<T>,
    threads: &Threads,
    src: &Buffer,
    dst: &mut Buffer,
    rounds: Option<usize>,
) -> Result<Samples> {
    let bound = Bound::new();
    // Checked once: the timed calls are the same call and cannot fail where this one does not.
    threads.run(plan, src, dst)?;
    let mut stream = |dst: &mut Buffer| bound.stream(black_box(src.words()), black_box(dst.words_mut()));
    let mut pool = |dst: &mut Buffer| {
        let _ = black_box(threads.run(plan, src, dst));
    };
    let [bound, kernel] = in_turn(dst, [&mut stream, &mut pool], rounds);
    Ok(Samples { bound, kernel })
}

/// Nanoseconds of one call of each of some calls that take turns, round by round. All of them work on `state`.
pub fn in_turn<S, const N: usize>(
    state: &mut S,
    mut calls: [&mut dyn FnMut(&mut S); N],
    rounds: Option<usize>,
) -> [Vec<f64>; N] {
    let repeats = calls.each_mut().map(|call| repeats(state, call));
    let mut slowest = || calls.iter_mut().map(|call| sample(state, 1, call)).fold(0.0, f64::max);
    let usual = |slowest: f64| if slowest > SLOW.as_nanos() as f64 { SLOW_ROUNDS } else { ROUNDS };
    let rounds = rounds.unwrap_or_else(|| usual(slowest())).max(1);
    let mut samples = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for ((samples, call), repeats) in samples.iter_mut().zip(&mut calls).zip(repeats) {
            samples.push(sample(state, repeats, call));
        }
    }
    samples
}

/// Nanoseconds of one call, from a sample of many.
fn sample<S>(state: &mut S, repeats: u32, call: &mut dyn FnMut(&mut S)) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        call(state);
    }
    start.elapsed().as_nanos() as f64 / f64::from(repeats)
}

/// Warms the call up and says how many of it make a sample.
fn repeats<S>(state: &mut S, call: &mut dyn FnMut(&mut S)) -> u32 {
    let start = Instant::now();
    let mut done = 0;
    while done == 0 || start.elapsed() < WARM_UP {
        call(state);
        done += 1;
    }
    let one = start.elapsed() / done;
    // Zero only where the clock is coarser than the whole warm-up.
    let repeats = SAMPLE.as_nanos().div_ceil(one.as_nanos().max(1));
    u32::try_from(repeats).unwrap_or(u32::MAX)
}

/// The median. Sorts.
pub fn median(values: &mut [f64]) -> f64 {
    let [_, median, _] = quartiles(values);
    median
}

/// The lower quartile, the median and the upper quartile. Sorts.
fn quartiles(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    [0.25, 0.5, 0.75].map(|part| {
        let at = last * part;
        let value = |at: f64| values.get(at as usize).copied().unwrap_or(f64::NAN);
        let (below, above) = (value(at.floor()), value(at.ceil()));
        below + (above - below) * at.fract()
    })
}

/// A tensor's memory, at a random line of a page.
struct Buffer {
    memory: Vec<u8>,
    used: Range<usize>,
}

impl Buffer {
    const PAGE: usize = 4096;
    const LINE: usize = 64;

    fn new<T: Element>(len: usize, rng: &mut fastrand::Rng) -> Self {
        let bytes = len * size_of::<T>();
        let memory = vec![0; bytes + 2 * Self::PAGE];
        let start = memory.as_ptr().align_offset(Self::PAGE) + Self::LINE * rng.usize(..Self::PAGE / Self::LINE);
        Self { memory, used: start..start + bytes }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.used.clone()]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.used.clone()]
    }

    fn values<T: Element>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    fn values_mut<T: Element>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }

    /// The memory as the bound reads it; up to three last bytes are left out.
    fn words(&self) -> &[u32] {
        let bytes = self.bytes();
        bytemuck::cast_slice(&bytes[..bytes.len() / 4 * 4])
    }

    fn words_mut(&mut self) -> &mut [u32] {
        let bytes = self.bytes_mut();
        let whole = bytes.len() / 4 * 4;
        bytemuck::cast_slice_mut(&mut bytes[..whole])
    }

    /// Makes a byte that a kernel forgets to write visible.
    fn poison(&mut self) {
        self.bytes_mut().fill(0xA5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_interpolate() {
        assert_eq!(quartiles(&mut [4.0, 1.0, 3.0, 2.0, 5.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(&mut [1.0, 2.0]), [1.25, 1.5, 1.75]);
        assert_eq!(quartiles(&mut [7.0]), [7.0; 3]);
    }

    #[test]
    fn buffers_begin_at_a_line_and_hold_what_they_must() {
        let mut rng = fastrand::Rng::with_seed(1);
        for len in [0, 1, 3, 1000] {
            let mut buffer = Buffer::new::<f32>(len, &mut rng);
            assert_eq!(buffer.values::<f32>().len(), len);
            assert_eq!(buffer.bytes().as_ptr() as usize % Buffer::LINE, 0);
            buffer.poison();
            assert!(buffer.bytes().iter().all(|&byte| byte == 0xA5));
        }
    }
}
