//! A small layer over raw bytes as its tensor, on one tier by one driver: the oracle's bits, or those of the scalar tier for norms,
//! quantised bytes, bounds and indices; and a tensor with gaps gives what it gives without them.
//!
//! The input says which tier, which driver and which of these questions: an execution asks one, and a thousand of them fit into a
//! second.
#![no_main]

#[path = "../common/bytes.rs"]
mod bytes;
#[macro_use]
#[path = "../../tests/common/mod.rs"]
mod common;

use std::sync::LazyLock;

use bytes::Bytes;
use common::check::{compare, poison, run};
use common::layer::{OPS, Op, RELATIVES};
use common::{Layer, Pad, Rng, Sample, check, strides, tiers};
use lanepool::{IndexKind, Layout, Tier};
use libfuzzer_sys::fuzz_target;

/// Elements of the largest tensor, and windows' taps that the oracle is asked to visit.
const MOST_ELEMENTS: usize = 2000;
const MOST_TAPS: i128 = 16_000;

static TIERS: LazyLock<Vec<Tier>> = LazyLock::new(Tier::available);
static DRIVERS: LazyLock<Vec<Option<&'static str>>> =
    LazyLock::new(|| std::iter::once(None).chain(lanepool::drivers().map(Some)).collect());

/// What is asked.
#[derive(Clone, Copy)]
enum Question {
    /// Whether the bits are the oracle's.
    Oracle,
    /// Whether a norm, quantised bytes or a bounded maximum are those of the scalar tier, whole and in tasks.
    Relative(usize),
    /// The same of a maximum's indices.
    Indices,
    /// Whether tensors with gaps give what those without give.
    Strides,
}

/// A layer, valid or not; `None` if it is too large to be worth the time.
fn layer(bytes: &mut Bytes<'_>) -> Option<Layer> {
    let (_, op) = bytes.pick(&OPS);
    let (choice, rank) = (bytes.below(256), bytes.within(1, 3));
    let blocks = [1, 2, 3, 4, 8, 16];
    let (layout, channels) = match choice % 4 {
        0 | 1 => (Layout::Nchw, bytes.within(1, 6)),
        2 => (Layout::Nhwc, bytes.within(1, 140)),
        _ => {
            let block = blocks[choice / 4 % blocks.len()];
            (Layout::Blocked(block), block * bytes.within(1, 3))
        }
    };
    let longest = [255, 40, 12][rank - 1];
    let mut shape = vec![bytes.within(1, 3), channels];
    shape.extend(bytes.list(rank, 1, longest));
    if shape.iter().product::<usize>() > MOST_ELEMENTS {
        return None;
    }
    let flags = bytes.below(256);
    if flags % 16 == 15 {
        return Some(Layer::global(op, layout, &shape));
    }
    let kernel = bytes.list(rank, 1, 20);
    let stride = bytes.list(rank, 1, 6);
    let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).ceil(flags & 16 != 0);
    let layer = if flags & 32 != 0 { layer.dilation(&bytes.list(rank, 1, 5)) } else { layer };
    let layer = match flags % 4 {
        0 => layer,
        1 => layer.padding_unequal(&bytes.list(rank, 0, 20), &bytes.list(rank, 0, 20)),
        2 => layer.pad(Pad::SameUpper),
        _ => layer.pad(Pad::SameLower),
    };
    let layer = if flags & 64 != 0 { layer.allow_empty() } else { layer };
    let taps = common::oracle::axes(&layer).map(|axes| axes.map(|axis| axis.out * axis.k).iter().product::<i128>());
    let taps = taps.unwrap_or(0) * (shape[0] * shape[1]) as i128;
    (taps <= MOST_TAPS).then_some(layer)
}

fn ask<T: Sample>(layer: &Layer, tier: Tier, driver: Option<&'static str>, question: Question, bytes: &[u8]) {
    // The rest of the input is the tensor, over and over.
    let size = size_of::<T>();
    let element = |i: usize| {
        let bits = (0..size).map(|b| bytes.get((i * size + b) % bytes.len().max(1)).copied().unwrap_or(0));
        T::from_bits(bits.fold(0, |bits, byte| bits << 8 | u64::from(byte)))
    };
    let src: Vec<T> = (0..layer.input_len()).map(element).collect();
    // A driver that declines the layer leaves it to the one that a plan takes by itself.
    let forced = Layer { driver, ..layer.clone() };
    let takes = driver.is_some() && forced.plan::<T>(Some(tier)).is_ok();
    let layer = if takes { &forced } else { layer };
    tiers::only(Some(tier));
    let is_valid = common::oracle::axes(layer).is_some();
    match question {
        Question::Oracle => check::<T>(layer, &src),
        _ if !is_valid => {}
        Question::Relative(which) => {
            let scalar = Layer { driver: None, ..layer.clone() }.relative::<T>(which, Some(Tier::Scalar));
            let plan = layer.relative::<T>(which, Some(tier));
            let (Ok(scalar), Ok(plan)) = (scalar, plan) else { return };
            let mut want = vec![poison::<T>(); scalar.output_len()];
            scalar.run(&src, &mut want).unwrap_or_else(|error| panic!("{scalar}: {error}"));
            compare(layer, tier, &plan.to_string(), &plan.output_shape(), &run(&plan, &src), &want);
        }
        Question::Indices if matches!(layer.op, Op::Max(_) | Op::Min(_)) => {
            let found = |tier| {
                let layer = Layer { driver: None, ..layer.clone() };
                let plan = layer.indexed::<T, i64>(IndexKind::Tensor, Some(tier)).ok()?;
                let (values, indices) = plan.run_vec(&src).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
                Some((values.iter().map(|value| value.bits()).collect::<Vec<_>>(), indices))
            };
            assert_eq!(found(tier), found(Tier::Scalar), "{} {layer} with indices on {tier}", T::NAME);
        }
        Question::Indices => check::<T>(layer, &src),
        Question::Strides => {
            // Strides by the tensor's first bytes. A driver may decline what it takes without gaps.
            let layer = Layer { driver: None, ..layer.clone() };
            let seed = bytes.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
            strides::strides_do_not_matter::<T>(&layer, seed % 4 == 0, &mut Rng::new(seed));
        }
    }
}

type Ask = fn(&Layer, Tier, Option<&'static str>, Question, &[u8]);

macro_rules! dispatch {
    ($($name:ident: $T:ty),+ $(,)?) => {
        const ASKS: &[Ask] = &[$( ask::<$T> ),+];
    };
}

for_elements!(dispatch);

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let (ask, tier, driver) = (bytes.pick(ASKS), bytes.pick(&TIERS), bytes.pick(&DRIVERS));
    let question = match bytes.below(16) {
        0..=9 => Question::Oracle,
        10 => Question::Relative(bytes.below(RELATIVES)),
        11..=12 => Question::Relative(6),
        13 => Question::Indices,
        _ => Question::Strides,
    };
    if let Some(layer) = layer(&mut bytes) {
        if std::env::var_os("LANEPOOL_FUZZ_SHOW").is_some() {
            eprintln!("{layer} on {tier} by {driver:?}");
        }
        ask(&layer, tier, driver, question, bytes.rest());
    }
});
