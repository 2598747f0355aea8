//! "The tier that is asked for is the tier that runs": not by what a plan says of itself, but by a counter in front of each
//! kernel. A forced tier enters its own leaves and no other tier's, for every element and operation.

#[macro_use]
mod common;

use std::collections::BTreeMap;

use common::layer::{RELATIVES, ops};
use common::{Fill, Layer, Op, Rng, Sample, tiers};
use lanepool::{DType, Element, IndexKind, Layout, Plan, Tier, drivers, runs};

/// A layer for each kind that has a driver of its own, or may have one.
fn layers() -> [Layer; 12] {
    let square = |layout, k: usize| Layer::new(Op::Sum, layout, &[1, 16, 15, 17], &[k, k]).padding(&[k / 2, k / 2]);
    [
        square(Layout::Nchw, 3),
        square(Layout::Nchw, 3).stride(&[2, 2]),
        Layer::new(Op::Sum, Layout::Nchw, &[1, 16, 14, 18], &[2, 2]).stride(&[2, 2]),
        square(Layout::Nchw, 5),
        square(Layout::Nchw, 9),
        square(Layout::Nchw, 5).stride(&[3, 3]),
        Layer::new(Op::Sum, Layout::Nhwc, &[1, 130, 7, 9], &[3, 3]).padding(&[1, 1]),
        square(Layout::Nhwc, 9),
        Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 4200], &[4100]),
        Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 3, 4100], &[2, 2]).dilation(&[1, 4000]),
        Layer::global(Op::Sum, Layout::Nchw, &[1, 16, 15, 17]),
        Layer::global(Op::Sum, Layout::Nhwc, &[1, 16, 15, 17]),
    ]
}

/// A type's own name: `token::Avx2` and `half::f16` are `avx2` and `f16`.
fn name(path: &str) -> String {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path).to_lowercase()
}

/// Bytes of an element of this name.
fn size(name: &str) -> usize {
    match name {
        "i8" | "u8" => 1,
        "i16" | "u16" | "f16" | "bf16" => 2,
        "i32" | "u32" | "f32" => 4,
        "i64" | "u64" | "f64" => 8,
        other => panic!("{other} is no element"),
    }
}

/// Runs by tier, driver and element.
type Table = BTreeMap<(String, &'static str, &'static str), usize>;

/// Runs a plan, which must enter one kernel: of this tier, by its driver, for its element.
fn run<T: Sample>(plan: &Plan<T>, token: Tier, table: &mut Table) {
    let src = Fill::Nans.tensor::<T>(plan.input_len(), &mut Rng::named("which kernel"));
    assert_eq!(runs::take().values().sum::<usize>(), 0, "planning {plan} ran a kernel");
    plan.run_vec(&src).unwrap_or_else(|error| panic!("{plan}: {error}"));
    let entered = runs::take();
    assert_eq!(entered.values().sum::<usize>(), 1, "{plan} entered {entered:?}");
    for (types, count) in entered {
        let [own, driver, memory] = types.map(name);
        assert_eq!((&*own, &*driver), (token.name(), plan.kernel()), "{plan} entered {types:?}");
        // Extremes see bits of the element's size: an order of f16 is one of integers.
        assert!(memory == T::NAME || size(&memory) == size_of::<T>(), "{plan} entered {types:?}");
        *table.entry((plan.tier().name().to_owned(), plan.kernel(), T::NAME)).or_default() += count;
    }
}

/// The tier whose leaves an operation runs on a tier. "An operation is asked for so rarely that a tier shares leaves with
/// another: AVX-512 runs those of AVX2, and the portable tier those of the scalar one."
fn owner<T: Sample>(tier: Tier, divides: bool) -> Tier {
    let is_rare =
        size_of::<T>() == 8 || divides && matches!(T::DTYPE, DType::I16 | DType::U16 | DType::I32 | DType::U32);
    match tier {
        Tier::Avx512 if is_rare => Tier::Avx2,
        Tier::Portable if is_rare => Tier::Scalar,
        tier => tier,
    }
}

/// Of norms: in stages they are sums of the tier's own; else rare for every element.
fn owner_of_norms<T: Sample>(tier: Tier, driver: &str) -> Tier {
    if driver == "staged" { owner::<T>(tier, true) } else { owner::<f64>(tier, true) }
}

/// Runs every layer, operation and driver on one tier, and adds what was entered to the table.
fn run_tier<T: Sample>(tier: Tier, table: &mut Table) {
    for layer in layers() {
        for (_, op) in ops::<T>() {
            for driver in [None].into_iter().chain(drivers().map(Some)) {
                let layer = Layer { op, driver, ..layer.clone() };
                match layer.plan::<T>(Some(tier)) {
                    Ok(plan) => run(&plan, owner::<T>(tier, !matches!(op, Op::Max(_) | Op::Min(_))), table),
                    Err(error) => assert!(driver.is_some(), "{layer}: {error}"),
                }
            }
            if matches!(op, Op::Max(_) | Op::Min(_)) {
                let layer = Layer { op, ..layer.clone() };
                let finder = layer.indexed::<T, i32>(IndexKind::Plane, Some(tier)).expect("a valid layer");
                let src = vec![T::from_bits(1); layer.input_len()];
                finder.run_vec(&src).unwrap_or_else(|error| panic!("{finder:?}: {error}"));
                let entered = runs::take();
                let kernels: Vec<_> = entered.iter().map(|(types, n)| (name(types[0]), name(types[1]), *n)).collect();
                let own = owner::<T>(tier, false).name().to_owned();
                assert_eq!(kernels, [(own, "seek".to_owned(), 1)], "{finder:?}");
            }
        }
        for which in 0..RELATIVES {
            let Ok(plan) = layer.relative::<T>(which, Some(tier)) else { continue };
            let token = match which {
                0..=3 => owner_of_norms::<T>(tier, plan.kernel()),
                which => owner::<T>(tier, which == 4),
            };
            run(&plan, token, table);
        }
    }
}

macro_rules! every_element {
    ($($name:ident: $T:ty),+ $(,)?) => {
        /// Each element, and how many operations it has.
        fn elements() -> Vec<(&'static str, usize)> {
            vec![$( (<$T as Element>::NAME, ops::<$T>().len()) ),+]
        }

        fn run_elements(tier: Tier, table: &mut Table) {
            $( run_tier::<$T>(tier, table); )+
        }
    };
}

for_elements!(every_element);

/// The counter is one for the whole process, so this is one test.
#[test]
fn a_forced_tier_runs_its_own_kernels() {
    runs::start();
    let mut table = BTreeMap::new();
    for tier in tiers::available() {
        run_elements(tier, &mut table);
    }
    println!("{:10} {:8} {:8} runs", "tier", "driver", "element");
    for ((tier, driver, element), count) in &table {
        println!("{tier:10} {driver:8} {element:8} {count}");
    }
    for tier in tiers::available() {
        for (element, ops) in elements() {
            let own = table.iter().filter(|((t, _, e), _)| t == tier.name() && *e == element);
            let runs: usize = own.map(|(_, count)| count).sum();
            assert!(runs >= ops * layers().len(), "{tier} {element}: {runs}");
        }
        // A driver may be no gain without vectors, and say so.
        let sparing = matches!(tier, Tier::Scalar | Tier::Portable);
        for driver in drivers().filter(|driver| !sparing || ["direct", "bands", "global"].contains(driver)) {
            assert!(table.contains_key(&(tier.name().to_string(), driver, "f32")), "{tier} {driver}");
        }
    }

    // Without a tier, the best one.
    let layer = &layers()[0];
    let plan = layer.plan::<f32>(None).expect("a valid layer");
    plan.run_vec(&vec![1.0; plan.input_len()]).expect("a valid run");
    let entered: Vec<_> = runs::take().into_keys().map(|types| name(types[0])).collect();
    assert_eq!(entered, [plan.tier().name()]);
    assert_eq!(plan.tier(), Tier::best());
}
