//! Small layers for an interpreter of Rust: `scripts/miri` runs these under Miri, which sees what no result shows — a pointer that leaves its
//! allocation or was made from another, a byte that is read before it was written, two references that exclude each other.
//!
//! Every tier that the interpreter has (scalar and portable), every driver and several elements, each on slices that are allocations
//! of exactly their length. `cargo test` runs them too, on every tier, where the scalar tier's bits are what is compared.

#[macro_use]
mod common;

use std::collections::BTreeSet;
use std::mem::MaybeUninit;

use common::layer::{RELATIVES, ops};
use common::strides::strides;
use common::{Fill, Layer, Op, Rng, Sample, oracle, tiers};
use half::f16;
use lanepool::{Any, DType, Index, IndexKind, Layout, MaxPool, Plan, Tier, drivers};

/// Layers of each element: an interpreter is a thousand times slower.
const LAYERS: usize = if cfg!(miri) { 5 } else { 300 };

/// Elements of an input, and taps of all windows, at most.
const MOST_ELEMENTS: usize = if cfg!(miri) { 160 } else { 2000 };
const MOST_TAPS: i128 = if cfg!(miri) { 500 } else { 16_000 };

/// A small valid layer, of the sorts that drivers are made for.
fn random<T: Sample>(rng: &mut Rng) -> Layer {
    let ops = ops::<T>();
    loop {
        let (_, op) = *rng.pick(&ops);
        let layout = *rng.pick(&[Layout::Nchw, Layout::Nchw, Layout::Nhwc, Layout::Blocked(2), Layout::Blocked(8)]);
        let rank = *rng.pick(&[1, 2, 2, 2, 3]);
        let channels = common::check::channels(layout, rng.within(1, if layout == Layout::Nhwc { 40 } else { 3 }));
        let mut shape = vec![rng.within(1, 2), channels];
        shape.extend((0..rank).map(|_| rng.within(1, [60, 20, 6][rank - 1])));
        if shape.iter().product::<usize>() > MOST_ELEMENTS {
            continue;
        }
        if rng.one_in(8) {
            return Layer::global(op, layout, &shape);
        }
        let longest = if rng.one_in(4) { 12 } else { 3 };
        let kernel = vec![rng.within(1, longest); rank];
        let stride = if rng.one_in(2) { vec![1; rank] } else { kernel.iter().map(|k| rng.within(1, *k)).collect() };
        let padding: Vec<usize> = kernel.iter().map(|k| rng.below(*k)).collect();
        let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).padding(&padding).ceil(rng.one_in(3));
        let layer = if rng.one_in(6) { layer.dilation(&vec![2; rank]) } else { layer };
        let Some(axes) = oracle::axes(&layer) else { continue };
        let taps: i128 = axes.iter().map(|axis| axis.out * axis.k).product();
        if taps * (shape[0] * shape[1]) as i128 <= MOST_TAPS {
            return layer;
        }
    }
}

fn bits<T: Sample>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.bits()).collect()
}

/// Every way to run a plan, on allocations of exactly the length: the same bits by each.
fn runs_agree<T: Sample>(plan: &Plan<T>, src: &[T], has_gaps: bool) -> Vec<u64> {
    let fresh = || vec![T::from_bits(0x5a5a_5a5a_5a5a_5a5a); plan.output_len()].into_boxed_slice();
    let mut whole = fresh();
    plan.run(src, &mut whole).unwrap_or_else(|error| panic!("{plan}: {error}"));
    let want = bits(&whole);

    // In tasks, each with a reference of its own to its part, while the others exist.
    let mut parts = fresh();
    let tasks = plan.tasks(3);
    let (mut rest, mut at, mut cut) = (&mut parts[..], 0, Vec::new());
    for task in 0..tasks.len() {
        let range = tasks.range(task);
        let (_, behind) = rest.split_at_mut(range.start - at);
        let (part, others) = behind.split_at_mut(range.len());
        (rest, at) = (others, range.end);
        cut.push(part);
    }
    for (task, part) in cut.into_iter().enumerate().rev() {
        plan.run_task(&tasks, task, src, part).unwrap_or_else(|error| panic!("{plan}: {error}"));
    }
    assert_eq!(bits(&parts), want, "{plan} in tasks");

    // Memory that holds nothing: reading the result is a mistake unless every element was written.
    let mut empty: Box<[MaybeUninit<T>]> = vec![MaybeUninit::uninit(); plan.output_len()].into_boxed_slice();
    match plan.run_uninit(src, &mut empty) {
        Ok(written) => assert_eq!(bits(written), want, "{plan} into memory that holds nothing"),
        Err(error) => assert!(has_gaps, "{plan}: {error}"),
    }
    want
}

/// Random layers of one element on every tier by every driver that takes them; says which did.
fn element<T: Sample>() -> BTreeSet<(&'static str, &'static str)> {
    let mut rng = Rng::named(T::NAME);
    let mut taken = BTreeSet::new();
    for i in 0..LAYERS {
        let packed = random::<T>(&mut rng);
        let which = rng.one_in(3).then(|| rng.below(RELATIVES));
        let plan = |layer: &Layer, tier| match which {
            None => layer.plan::<T>(Some(tier)),
            Some(which) => layer.relative::<T>(which, Some(tier)),
        };
        let Ok(scalar) = plan(&packed, Tier::Scalar) else { continue };
        let has_gaps = rng.one_in(5);
        let layer = if has_gaps {
            let input = strides(packed.layout, &packed.shape, true, &mut rng);
            let output = strides(packed.layout, &scalar.output_shape(), false, &mut rng);
            Layer { strides: Some([input, output]), ..packed }
        } else {
            packed
        };
        let scalar = plan(&layer, Tier::Scalar).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let fill = [Fill::Numbers, Fill::Specials, Fill::Bits][i % 3];
        let src = fill.tensor::<T>(scalar.input_len(), &mut rng).into_boxed_slice();
        let want = runs_agree(&scalar, &src, has_gaps);
        // One driver of those that take it, another each time.
        let names: Vec<_> = drivers().collect();
        let driver = (0..names.len())
            .map(|k| names[(i + k) % names.len()])
            .find(|name| plan(&Layer { driver: Some(name), ..layer.clone() }, Tier::Scalar).is_ok());
        for tier in tiers::available() {
            for driver in [None, driver] {
                let layer = Layer { driver, ..layer.clone() };
                let Ok(plan) = plan(&layer, tier) else {
                    assert!(driver.is_some(), "{layer} on {tier}");
                    continue;
                };
                assert_eq!(runs_agree(&plan, &src, has_gaps), want, "{} {layer}: {plan} on {tier}", T::NAME);
                taken.insert((plan.kernel(), tier.name()));
            }
        }
        if matches!(layer.op, Op::Max(_) | Op::Min(_)) && which.is_none() {
            indices_agree::<T, i64>(&layer, &src);
        }
    }
    taken
}

/// Values and indices, both into memory of exactly the length.
fn indices_agree<T: Sample, I: Index + PartialEq + std::fmt::Debug>(layer: &Layer, src: &[T]) {
    let found = |tier| {
        let plan = layer.indexed::<T, I>(IndexKind::Plane, Some(tier)).ok()?;
        let (values, indices) = plan.run_vec(src).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        Some((bits(&values), indices))
    };
    let want = found(Tier::Scalar);
    for tier in tiers::available() {
        assert_eq!(found(tier), want, "{} {layer} with indices on {tier}", T::NAME);
    }
}

macro_rules! elements {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        #[test]
        fn $name() {
            let taken = element::<$T>();
            println!("{taken:?}");
            // More than one driver, or the layers are of one sort.
            assert!(taken.len() >= if cfg!(miri) { 1 } else { 2 } * tiers::available().len(), "{taken:?}");
        }
    )+ };
}

elements!(floats: f32, doubles: f64, halves: f16, bytes: u8, words: i16, integers: i32, unsigned: u32, long: u64);

/// A plane longer than a block, whose blocks are folded apart and then in pairs.
#[test]
fn a_long_plane() {
    for op in [Op::Sum, Op::Avg] {
        let layer = Layer::global(op, Layout::Nchw, &[1, 1, 128, 130]);
        let src = Fill::Numbers.tensor::<f32>(layer.input_len(), &mut Rng::named("a long plane"));
        let want = layer.plan::<f32>(Some(Tier::Scalar)).and_then(|plan| plan.run_vec(&src)).expect("a valid layer");
        for tier in tiers::available() {
            let plan = layer.plan::<f32>(Some(tier)).expect("a valid layer");
            assert_eq!(bits(&plan.run_vec(&src).expect("a valid run")), bits(&want), "{plan}");
        }
    }
}

/// Plans over bytes, whose slices may be aligned for their element or not.
#[test]
fn bytes_of_any_element() {
    for dtype in [DType::F32, DType::U8, DType::I16] {
        let plan = MaxPool::<Any>::new([2]).plan_as(dtype, Layout::Nchw, [1, 1, 9]).expect("a valid layer");
        let memory: Vec<u64> = vec![0x0102_0304_0506_0708; plan.input_bytes().div_ceil(8) + 1];
        let src: &[u8] = bytemuck::cast_slice(&memory);
        let mut room = vec![0_u64; plan.output_bytes().div_ceil(8) + 1];
        for skip in 0..4 {
            let (src, dst) = (&src[skip..][..plan.input_bytes()], bytemuck::cast_slice_mut::<_, u8>(&mut room));
            let dst = &mut dst[skip..][..plan.output_bytes()];
            // An error where it is not aligned, and never a read of a float at an odd address.
            let aligned = skip.is_multiple_of(dtype.bytes());
            assert_eq!(plan.run(src, dst).is_ok(), aligned, "{dtype:?} from byte {skip} on");
        }
    }
}
