//! Each driver against the scalar tier: "the choice decides speed and no bit of a result".
//!
//! For every driver of the library and every tier, random layers of every element and operation are forced on the
//! driver, and those that it takes must give the bytes that the default plan gives on the scalar tier: whole and in
//! tasks, on packed tensors and on parts of larger ones, and without a byte beside the output. What a driver declines
//! is counted, so that none passes by declining everything.

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;

use common::check::{channels, compare, run};
use common::layer::{RELATIVES, ops};
use common::strides::strides;
use common::{Fill, Layer, Op, Rng, Sample, oracle, share, tiers};
use lanepool::{Error, Layout, Plan, Tier, drivers};

/// Layers of each element.
const LAYERS: u64 = 300;

/// Layers that a driver must take on each tier with vectors, of all those of all elements. The rarest sort that a driver
/// lives on is one layer in sixteen.
const LEAST: usize = 20;

/// Elements of an input, and taps of an output's window times outputs, at most: the scalar tier visits each.
const MOST_ELEMENTS: usize = 30_000;
const MOST_TAPS: usize = 400_000;

/// What is planned on a layer: an operation of every element, or one of its relatives.
#[derive(Clone, Copy, Debug)]
enum What {
    Op,
    Relative(usize),
}

impl What {
    fn plan<T: Sample>(self, layer: &Layer, tier: Tier) -> Result<Plan<T>, Error> {
        match self {
            Self::Op => layer.plan(Some(tier)),
            Self::Relative(which) => layer.relative(which, Some(tier)),
        }
    }
}

/// How many layers each driver took on each tier.
type Taken = BTreeMap<(&'static str, &'static str), usize>;

/// A valid layer, of the sorts that drivers are made for as often as of none.
fn random<T: Sample>(rng: &mut Rng) -> Layer {
    let ops = ops::<T>();
    loop {
        let (_, op) = *rng.pick(&ops);
        let layout = match rng.below(8) {
            0..=3 => Layout::Nchw,
            4..=5 => Layout::Nhwc,
            _ => Layout::Blocked(*rng.pick(&[1, 2, 3, 4, 8, 16, 32])),
        };
        let rank = *rng.pick(&[1, 2, 2, 2, 2, 3]);
        let most = [40, 40, 12][rank - 1];
        let channels = channels(layout, if rng.one_in(3) { rng.within(1, 140) } else { rng.within(1, 20) });
        let mut shape = vec![if rng.one_in(3) { rng.within(2, 3) } else { 1 }, channels];
        shape.extend((0..rank).map(|_| rng.within(1, most)));
        if rng.one_in(16) {
            // Thousands of taps in a column, or thousands of columns.
            let (at, length) = (rng.within(2, rank + 1), rng.within(1030, 1300));
            shape[1] = self::channels(layout, rng.within(1, 5));
            shape[2..].iter_mut().for_each(|length| *length = (*length).min(3));
            shape[at] = length;
        }
        if shape.iter().product::<usize>() > MOST_ELEMENTS {
            continue;
        }
        if rng.one_in(12) {
            return Layer::global(op, layout, &shape);
        }
        let is_long = rng.one_in(6);
        let kernel: Vec<usize> = shape[2..]
            .iter()
            .map(|length| match length {
                1030.. => rng.within(length - 20, *length),
                _ if is_long && rng.one_in(2) => rng.within(8, 31),
                _ => rng.within(1, 7),
            })
            .collect();
        // Few layers have another window on each axis.
        let kernel = if rng.one_in(2) { vec![kernel[0]; rank] } else { kernel };
        let stride: Vec<usize> = kernel.iter().map(|k| rng.within(1, (k + 1).min(9))).collect();
        let stride = match rng.below(4) {
            0 => vec![1; rank],
            1 => vec![stride[0]; rank],
            2 => kernel.clone(),
            _ => stride,
        };
        let dilation: Vec<usize> = kernel.iter().map(|_| if rng.one_in(4) { rng.within(1, 3) } else { 1 }).collect();
        let padding = |rng: &mut Rng| -> Vec<usize> {
            kernel.iter().zip(&dilation).map(|(k, d)| rng.within(0, (d * (k - 1)).min(20))).collect()
        };
        let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).dilation(&dilation);
        let layer = match rng.below(3) {
            0 => layer,
            1 => {
                let same: Vec<usize> = kernel.iter().map(|k| k / 2).collect();
                layer.padding(&same)
            }
            _ => {
                let (begin, end) = (padding(rng), padding(rng));
                layer.padding_unequal(&begin, &end)
            }
        };
        let layer = layer.ceil(rng.one_in(3));
        let layer = if rng.one_in(8) { layer.allow_empty() } else { layer };
        let Some(axes) = oracle::axes(&layer) else { continue };
        let taps: i128 = axes.iter().map(|axis| axis.out * axis.k.min(axis.n)).product();
        if taps as usize * shape[0] * shape[1] <= MOST_TAPS {
            return layer;
        }
    }
}

/// Random layers of one element on every driver and tier.
fn drivers_agree<T: Sample>(taken: &Mutex<Taken>) {
    let mut rng = Rng::named("drivers");
    // Not the same layers for each element.
    for _ in 0..T::NAME.bytes().map(u64::from).sum::<u64>() {
        rng.bits();
    }
    let mut own = Taken::new();
    for i in 0..share::of(LAYERS) {
        let packed = random::<T>(&mut rng);
        let what = if rng.one_in(3) { What::Relative(rng.below(RELATIVES)) } else { What::Op };
        // Not every element has every relative.
        let Ok(scalar) = what.plan::<T>(&packed, Tier::Scalar) else { continue };
        let layer = if rng.one_in(6) {
            let both = [
                strides(packed.layout, &packed.shape, true, &mut rng),
                strides(packed.layout, &scalar.output_shape(), false, &mut rng),
            ];
            Layer { strides: Some(both), ..packed }
        } else {
            packed
        };
        let scalar = what.plan::<T>(&layer, Tier::Scalar).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let fill =
            [Fill::Pattern, Fill::Numbers, Fill::Specials, Fill::Bits, Fill::Numbers, Fill::Specials, Fill::Nans]
                [i as usize % 7];
        let src = fill.tensor::<T>(scalar.input_len(), &mut rng);
        // Whole and in tasks, between canaries.
        let want = run(&scalar, &src);
        for tier in tiers::available() {
            for driver in drivers().map(Some).chain([None]) {
                let layer = Layer { driver, ..layer.clone() };
                let plan = match what.plan::<T>(&layer, tier) {
                    Ok(plan) => plan,
                    Err(Error::Unsupported { .. }) if driver.is_some() => continue,
                    Err(error) => panic!("{layer} on {tier}: {error}"),
                };
                assert_eq!(plan.tier(), tier, "{layer}");
                let Some(driver) = driver else {
                    same(&layer, what, &plan, &run(&plan, &src), &want);
                    continue;
                };
                assert_eq!(plan.kernel(), driver, "{layer} on {tier}");
                *own.entry((driver, tier.name())).or_default() += 1;
                same(&layer, what, &plan, &run(&plan, &src), &want);
            }
        }
    }
    let mut taken = taken.lock().expect("no panic");
    for (key, count) in own {
        *taken.entry(key).or_default() += count;
    }
}

/// The bits of one run are those of the other, gaps included.
fn same<T: Sample>(layer: &Layer, what: What, plan: &Plan<T>, got: &[T], want: &[T]) {
    if layer.strides.is_none() {
        let by = format!("{plan} ({what:?})");
        return compare(layer, plan.tier(), &by, &plan.output_shape(), got, want);
    }
    let first = got.iter().zip(want).position(|(got, want)| got.bits() != want.bits());
    assert_eq!(first, None, "{} {layer}: {plan} ({what:?}) differs from the scalar tier at this element", T::NAME);
}

macro_rules! every_element {
    ($($name:ident: $T:ty),+ $(,)?) => {
        /// All at once; those of one element one after the other.
        fn run_elements(taken: &Mutex<Taken>) {
            std::thread::scope(|scope| {
                $( std::thread::Builder::new()
                    .name(stringify!($name).to_owned())
                    .spawn_scoped(scope, || drivers_agree::<$T>(taken))
                    .expect("a thread"); )+
            });
        }
    };
}

for_elements!(every_element);

/// Every driver gives the bytes of the scalar tier wherever it can be forced, and none declines everything.
#[test]
fn every_driver_on_every_tier() {
    let taken = Mutex::new(Taken::new());
    run_elements(&taken);
    let taken = taken.into_inner().expect("no panic");
    println!("{:10} {:10} layers", "driver", "tier");
    for driver in drivers() {
        for tier in tiers::available() {
            let count = taken.get(&(driver, tier.name())).copied().unwrap_or_default();
            println!("{driver:10} {tier:10} {count}");
            // A driver may be no gain without vectors, and say so.
            let has_vectors = !matches!(tier, Tier::Scalar | Tier::Portable);
            // A small share of the layers may have none that a rare driver takes.
            let least = LEAST / share::one_in() as usize;
            assert!(!has_vectors || count >= least, "{driver} took {count} layers on {tier}, not {least}");
        }
    }
}

/// "A plan fails where the driver that was asked for does not take the layer": and so it does for a name that is none.
#[test]
fn a_driver_that_declines_is_an_error() {
    let sliding = Layer::new(Op::Avg, Layout::Nchw, &[1, 1, 9, 9], &[3, 3]);
    for (driver, layer) in [("global", &sliding), ("no such driver", &sliding)] {
        for tier in tiers::available() {
            let layer = Layer { driver: Some(driver), ..layer.clone() };
            let error = layer.plan::<f32>(Some(tier)).expect_err("a driver that declines");
            assert!(matches!(error, Error::Unsupported { .. }), "{layer} on {tier}: {error:?}");
        }
    }
}

/// Those that the first test does not try by chance: rows that are long enough for several of a driver's tiles, and
/// bands of them.
#[test]
fn wide_layers() {
    let mut rng = Rng::named("wide");
    let layers = [
        // Two tiles of a band of several rows, the last as narrow as an output: a register stored over its end is the
        // next row's.
        Layer::new(Op::Avg, Layout::Nhwc, &[1, 16, 18, 18], &[10, 16])
            .stride(&[1, 2])
            .padding_unequal(&[9, 15], &[7, 2]),
        Layer::new(Op::Avg, Layout::Nchw, &[1, 3, 21, 1500], &[9, 9]).padding(&[4, 4]),
        Layer::new(Op::Avg, Layout::Nchw, &[1, 1, 20, 2100], &[9, 3]).stride(&[1, 2]),
        Layer::new(Op::Sum, Layout::Nhwc, &[1, 5, 15, 400], &[8, 12]).dilation(&[1, 2]),
        // A long row that fits with 8 inner elements at a time, and what is left of a pixel.
        Layer::new(Op::Avg, Layout::Nhwc, &[1, 37, 3, 380], &[2, 350]),
        Layer::new(Op::Max(common::Nan::Propagate), Layout::Nhwc, &[1, 67, 12, 300], &[9, 200]),
        Layer::new(Op::Avg, Layout::Nchw, &[1, 1, 12, 2890], &[9, 1024]),
        // Columns that are long, in rows that no scratch holds.
        Layer::new(Op::Avg, Layout::Nchw, &[1, 1, 12, 17_000], &[8, 3]).dilation(&[1, 8000]),
        Layer::new(Op::Avg, Layout::Nchw, &[1, 1, 12, 15_000], &[8, 600]).dilation(&[1, 25]),
        Layer::new(Op::Max(common::Nan::Propagate), Layout::Nchw, &[1, 2, 3, 4100], &[2, 2]).dilation(&[1, 4000]),
        Layer::new(Op::Avg, Layout::Nchw, &[1, 2, 8000], &[3]).stride(&[2]).padding(&[1]),
        Layer::new(Op::Avg, Layout::Nhwc, &[1, 130, 9, 70], &[3, 3]).padding(&[1, 1]),
        // Pixels piled up, each column for itself, in strips of channels: columns that are added up as a tree, and one after the
        // other.
        Layer::new(Op::Avg, Layout::Nhwc, &[1, 1300, 9, 23], &[4, 11]).stride(&[4, 12]),
        Layer::new(Op::Avg, Layout::Nhwc, &[1, 77, 30, 14], &[12, 4]).stride(&[12, 5]).padding(&[3, 2]),
    ];
    for layer in layers {
        wide::<f32>(&layer, &mut rng);
        wide::<f64>(&layer, &mut rng);
        wide::<i8>(&layer, &mut rng);
        wide::<half::bf16>(&layer, &mut rng);
    }
}

/// One of them, against the oracle.
fn wide<T: Sample>(layer: &Layer, rng: &mut Rng) {
    if !share::holds(format_args!("{} {layer}", T::NAME)) {
        return;
    }
    let src = Fill::Numbers.tensor::<T>(layer.input_len(), rng);
    let want = oracle::pool(layer, &src).expect("a valid layer");
    for tier in tiers::available() {
        for driver in drivers().map(Some).chain([None]) {
            let layer = Layer { driver, ..layer.clone() };
            match layer.plan::<T>(Some(tier)) {
                Ok(plan) => compare(&layer, tier, plan.kernel(), &want.shape, &run(&plan, &src), &want.values),
                Err(error) => assert!(driver.is_some(), "{layer} on {tier}: {error}"),
            }
        }
    }
}
