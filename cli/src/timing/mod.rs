//! Times a layer on its tiers, each against the streaming bound, after checking the results against the scalar tier's.
//!
//! The bound and the kernel take turns in one process over the same buffers, so that whatever the machine does
//! meanwhile happens to both. A round is one sample of each; a sample repeats its call until it lasts long enough for the
//! clock. A round's quotient is its ratio, and the median over the rounds is the result. The buffers begin at random
//! lines of random pages, since equal offsets of input and output cost some CPUs dear and no network promises them.

mod buffer;
mod layer;
mod ready;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lanepool::Tier;

use crate::bound::{Bound, Pass};
use buffer::Buffer;
pub use layer::{IndexWidth, Layer, Work};
pub use ready::Input;
use ready::{Ready, Source};

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

/// What was measured on one tier.
#[derive(Clone, Debug)]
pub struct Measurement {
    pub tier: Tier,
    /// Threads that the kernel ran on. The bound is always one thread's.
    pub threads: usize,
    /// The driver of the plan, or a dash.
    pub kernel: &'static str,
    /// Medians of the samples, for one call.
    pub kernel_ns: f64,
    pub bound_ns: f64,
    /// Median, lower and upper quartile of the rounds' ratios.
    pub ratio: f64,
    pub quartiles: (f64, f64),
    /// Bytes of every tensor that is read or written.
    pub bytes: usize,
    /// Taps of all windows, for the roofline.
    pub taps: f64,
    /// Whether the bytes equal the scalar tier's; those of an operation without tiers, of another run.
    pub same_bits: bool,
}

impl Measurement {
    /// Bytes over time: 10⁹ bytes a second.
    pub fn gigabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.kernel_ns
    }
}

/// A layer by each driver that takes it on each of the tiers, if it is of those that drivers run, and as the library plans it before.
pub fn by_driver(layer: Layer, tiers: &[Tier]) -> Vec<Layer> {
    let mut layers = vec![layer.clone()];
    if let Work::Values = layer.work {
        let named = |driver| {
            let mut layer = layer.clone();
            layer.window.driver = Some(driver);
            layer
        };
        let takes = |layer: &Layer| tiers.iter().all(|&tier| Ready::new(layer, tier).is_ok());
        layers.extend(lanepool::drivers().map(named).filter(takes));
    }
    layers
}

/// The tiers, of those that are asked for, that a layer is timed on, and the numbers of threads: operations whose code has no
/// tiers are timed once, under the best one.
fn chosen<'a>(layer: &Layer, tiers: &'a [Tier], threads: &'a [usize]) -> (&'a [Tier], &'a [usize]) {
    let best = tiers.iter().max().map(std::slice::from_ref).unwrap_or_default();
    let tiers = if layer.work.has_tiers() { tiers } else { best };
    (tiers, threads)
}

/// How many measurements a layer makes.
pub fn measurements(layer: &Layer, tiers: &[Tier], threads: &[usize]) -> usize {
    let (tiers, threads) = chosen(layer, tiers, threads);
    tiers.len() * threads.len()
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
    measured(layer, tiers, threads, input, rounds, begun).with_context(|| format!("layer {:?}", layer.name))
}

fn measured(
    layer: &Layer,
    tiers: &[Tier],
    threads: &[usize],
    input: Input,
    rounds: Option<usize>,
    begun: &mut dyn FnMut(Tier),
) -> Result<Vec<Measurement>> {
    let (tiers, threads) = chosen(layer, tiers, threads);
    let pools = threads.iter().map(|&threads| Threads::new(threads)).collect::<Result<Vec<_>>>()?;
    // Every tier is planned first, so that one that is missing costs no minutes of timing.
    let layers = tiers.iter().map(|&tier| Ready::new(layer, tier)).collect::<Result<Vec<_>>>()?;
    // The layer's bits are the same by every driver, and the scalar tier's need not take it.
    let mut plain = layer.clone();
    plain.window.driver = None;
    let reference = Ready::new(&plain, Tier::Scalar)?;

    let mut source = Source { input, values: fastrand::Rng::new(), places: fastrand::Rng::new() };
    let inputs = reference.inputs(&mut source)?;
    let mut expected = reference.outputs(&mut source);
    let mut outputs = reference.outputs(&mut source);
    // What is never written differs, since it is poisoned with another byte than below.
    expected.iter_mut().for_each(|tensor| tensor.poison(0x5A));
    reference.run(&inputs, &mut expected, false)?;

    let mut measurements = Vec::new();
    for layer in &layers {
        for threads in &pools {
            begun(layer.tier);
            outputs.iter_mut().for_each(|tensor| tensor.poison(0xA5));
            threads.within(|| threads.run(layer, &inputs, &mut outputs))?;
            let same_bits = outputs.iter().zip(&expected).all(|(got, want)| got.bytes() == want.bytes());
            let samples = threads.within(|| time(layer, threads, &inputs, &mut outputs, rounds))?;
            let bytes = inputs.iter().chain(&outputs).map(|tensor| tensor.bytes().len()).sum();
            measurements.push(samples.summarise(layer, threads, bytes, same_bits));
        }
    }
    Ok(measurements)
}

/// Runs a layer once on each tier, over numbers that are the same every time.
pub fn run_once(layer: &Layer, tiers: &[Tier]) -> Result<()> {
    let once = |&tier: &Tier| -> Result<()> {
        let ready = Ready::new(layer, tier)?;
        let seeded = || fastrand::Rng::with_seed(1);
        let mut source = Source { input: Input::Random, values: seeded(), places: seeded() };
        let (inputs, mut outputs) = (ready.inputs(&mut source)?, ready.outputs(&mut source));
        ready.run(&inputs, &mut outputs, false)?;
        black_box(&outputs);
        Ok(())
    };
    let (tiers, _) = chosen(layer, tiers, &[1]);
    tiers.iter().try_for_each(once).with_context(|| format!("layer {:?}", layer.name))
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

    fn run(&self, layer: &Ready, inputs: &[Buffer], outputs: &mut [Buffer]) -> lanepool::Result<()> {
        layer.run(black_box(inputs), black_box(outputs), matches!(self, Self::Many(_)))
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

/// Times of the bound and the kernel for one call, round by round.
struct Samples {
    bound: Vec<f64>,
    kernel: Vec<f64>,
}

impl Samples {
    fn summarise(self, layer: &Ready, threads: &Threads, bytes: usize, same_bits: bool) -> Measurement {
        let mut ratios: Vec<f64> = self.kernel.iter().zip(&self.bound).map(|(kernel, bound)| kernel / bound).collect();
        let [low, ratio, high] = quartiles(&mut ratios);
        let [kernel_ns, bound_ns] = [self.kernel, self.bound].map(|mut each| median(&mut each));
        Measurement {
            tier: layer.tier,
            threads: threads.count(),
            kernel: layer.driver,
            kernel_ns,
            bound_ns,
            ratio,
            quartiles: (low, high),
            bytes,
            taps: layer.taps,
            same_bits,
        }
    }
}

fn time(
    layer: &Ready,
    threads: &Threads,
    inputs: &[Buffer],
    outputs: &mut [Buffer],
    rounds: Option<usize>,
) -> Result<Samples> {
    let bound = Bound::new();
    let words = |tensors: &[Buffer]| tensors.iter().map(|tensor| tensor.words().len()).collect::<Vec<_>>();
    let pass = Pass::new(&words(inputs), &words(outputs));
    // Checked once: the timed calls are the same call and cannot fail where this one does not.
    threads.run(layer, inputs, outputs)?;
    let mut stream = |outputs: &mut &mut [Buffer]| {
        for part in pass.parts() {
            let (from, to) = (black_box(inputs), black_box(&mut **outputs));
            let src = from.get(part.read.tensor).map_or(&[][..], |tensor| &tensor.words()[part.read.words()]);
            let dst = to
                .get_mut(part.written.tensor)
                .map_or(&mut [][..], |tensor| &mut tensor.words_mut()[part.written.words()]);
            bound.stream(src, dst);
        }
    };
    let mut pool = |outputs: &mut &mut [Buffer]| {
        let _ = black_box(threads.run(layer, inputs, outputs));
    };
    let mut outputs = outputs;
    let [bound, kernel] = in_turn(&mut outputs, [&mut stream, &mut pool], rounds);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_interpolate() {
        assert_eq!(quartiles(&mut [4.0, 1.0, 3.0, 2.0, 5.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(&mut [1.0, 2.0]), [1.25, 1.5, 1.75]);
        assert_eq!(quartiles(&mut [7.0]), [7.0; 3]);
    }
}
