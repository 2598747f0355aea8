//! A small layer over raw bytes as its tensor: every tier gives the oracle's bits, and those of the scalar tier for norms, quantised
//! bytes, bounds and indices; and a tensor with gaps gives what it gives without them.
#![no_main]

#[macro_use]
#[path = "../../tests/common/mod.rs"]
mod common;

use common::layer::OPS;
use common::{Layer, Pad, Rng, Sample, check, relatives_agree, strides};
use lanepool::Layout;
use libfuzzer_sys::fuzz_target;

/// Elements of the largest tensor, and windows' taps that the oracle is asked to visit.
const MOST_ELEMENTS: usize = 3000;
const MOST_TAPS: usize = 60_000;

/// Takes bytes off the input; what is missing is 0.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    /// From `from` on, `count` different numbers.
    fn within(&mut self, from: usize, count: usize) -> usize {
        from + self.byte() % count
    }

    fn numbers(&mut self, len: usize, from: usize, count: usize) -> Vec<usize> {
        (0..len).map(|_| self.within(from, count)).collect()
    }
}

/// A layer, valid or not; `None` if it is too large to be worth the time.
fn layer(bytes: &mut Bytes<'_>) -> Option<Layer> {
    let (_, op) = OPS[bytes.byte() % OPS.len()];
    let (choice, rank) = (bytes.byte(), bytes.within(1, 3));
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
    shape.extend(bytes.numbers(rank, 1, longest));
    if shape.iter().product::<usize>() > MOST_ELEMENTS {
        return None;
    }
    let flags = bytes.byte();
    if flags % 16 == 15 {
        return Some(Layer::global(op, layout, &shape));
    }
    let kernel = bytes.numbers(rank, 1, 20);
    let stride = bytes.numbers(rank, 1, 6);
    let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).ceil(flags & 16 != 0);
    let layer = if flags & 32 != 0 { layer.dilation(&bytes.numbers(rank, 1, 5)) } else { layer };
    let layer = match flags % 4 {
        0 => layer,
        1 => layer.padding_unequal(&bytes.numbers(rank, 0, 20), &bytes.numbers(rank, 0, 20)),
        2 => layer.pad(Pad::SameUpper),
        _ => layer.pad(Pad::SameLower),
    };
    let layer = if flags & 64 != 0 { layer.allow_empty() } else { layer };
    let taps = common::oracle::axes(&layer).map(|axes| axes.map(|axis| axis.out * axis.k).iter().product::<i128>());
    let taps = taps.unwrap_or(0) * (shape[0] * shape[1]) as i128;
    (taps <= MOST_TAPS as i128).then_some(layer)
}

fn run<T: Sample>(layer: &Layer, bytes: &[u8]) {
    // The rest of the input is the tensor, over and over.
    let size = size_of::<T>();
    let element = |i: usize| {
        let bits = (0..size).map(|b| bytes.get((i * size + b) % bytes.len().max(1)).copied().unwrap_or(0));
        T::from_bits(bits.fold(0, |bits, byte| bits << 8 | u64::from(byte)))
    };
    let src: Vec<T> = (0..layer.input_len()).map(element).collect();
    check::<T>(layer, &src);
    if common::oracle::axes(layer).is_some() {
        relatives_agree::<T>(layer, &src);
        // Strides by the tensor's first bytes.
        let seed = bytes.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        strides::strides_do_not_matter::<T>(layer, seed % 2 == 0, &mut Rng::new(seed));
    }
}

macro_rules! dispatch {
    ($($name:ident: $T:ty),+ $(,)?) => {
        const RUNS: &[fn(&Layer, &[u8])] = &[$( run::<$T> ),+];
    };
}

for_elements!(dispatch);

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let run = RUNS[bytes.byte() % RUNS.len()];
    if let Some(layer) = layer(&mut bytes) {
        if std::env::var_os("LANEPOOL_FUZZ_SHOW").is_some() {
            eprintln!("{layer}");
        }
        run(&layer, bytes.0);
    }
});
