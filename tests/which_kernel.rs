//! "The tier that is asked for is the tier that runs": not by what a plan says of itself, but by a counter in front of each
//! kernel. A forced tier enters its own kernels and no other tier's.

#[macro_use]
mod common;

use std::collections::BTreeMap;

use common::check::is_same_walk;
use common::layer::OPS;
use common::{Fill, Layer, Op, Rng, Sample, tiers};
use lanepool::{Element, IndexKind, Layout, Tier, runs};

/// A layer for each walk.
fn layers() -> [(&'static str, Layer); 11] {
    let square = |layout, k: usize| Layer::new(Op::Sum, layout, &[1, 16, 15, 17], &[k, k]).padding(&[k / 2, k / 2]);
    [
        ("flat", square(Layout::Nchw, 3)),
        ("rows", square(Layout::Nchw, 3).stride(&[2, 2])),
        // `pairs`, of integers.
        ("rows", Layer::new(Op::Sum, Layout::Nchw, &[1, 16, 14, 18], &[2, 2]).stride(&[2, 2])),
        ("flat", square(Layout::Nchw, 5)),
        ("planes", square(Layout::Nchw, 7)),
        ("bands", square(Layout::Nchw, 5).stride(&[3, 3])),
        ("columns", Layer::new(Op::Sum, Layout::Nhwc, &[1, 130, 7, 9], &[3, 3]).padding(&[1, 1])),
        ("spans", Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 4200], &[4100])),
        ("pixels", Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 3, 4100], &[2, 2]).dilation(&[1, 4000])),
        ("global", Layer::global(Op::Sum, Layout::Nchw, &[1, 16, 15, 17])),
        ("piles", Layer::global(Op::Sum, Layout::Nhwc, &[1, 16, 15, 17])),
    ]
}

/// A type's own name: `token::Avx2` and `rows::Rows<f32, …>` are `avx2` and `rows`.
fn name(path: &str) -> String {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path).to_lowercase()
}

/// Runs every walk and operation on one tier, and adds what was entered to the table.
fn run_tier<T: Sample>(tier: Tier, table: &mut BTreeMap<(String, &'static str, &'static str), usize>) {
    let mut rng = Rng::named("which kernel");
    for (walk, layer) in layers() {
        for (_, op) in OPS {
            let layer = Layer { op, ..layer.clone() };
            let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
            assert!(is_same_walk(plan.kernel(), walk), "{plan}");
            let src = Fill::Nans.tensor::<T>(plan.input_len(), &mut rng);
            assert_eq!(runs::take().values().sum::<usize>(), 0, "planning {plan} ran a kernel");
            plan.run_vec(&src).unwrap_or_else(|error| panic!("{plan}: {error}"));
            let entered = runs::take();
            assert_eq!(entered.values().sum::<usize>(), 1, "{plan} entered {entered:?}");
            for (types, count) in entered {
                let [token, walk_type, memory] = types.map(name);
                assert_eq!((&*token, &*walk_type), (tier.name(), plan.kernel()), "{plan} entered {types:?}");
                let is_own = memory == T::NAME || memory == "i16" && size_of::<T>() == 2;
                assert!(is_own, "{plan} entered {types:?}");
                *table.entry((token, plan.kernel(), T::NAME)).or_default() += count;
            }
            if matches!(op, Op::Max(_) | Op::Min(_)) {
                let finder = layer.indexed::<T, i32>(IndexKind::Plane, Some(tier)).expect("a valid layer");
                finder.run_vec(&src).unwrap_or_else(|error| panic!("{finder:?}: {error}"));
                let entered = runs::take();
                let kernels: Vec<_> = entered.iter().map(|(types, n)| (name(types[0]), name(types[1]), *n)).collect();
                assert_eq!(kernels, [(tier.name().to_owned(), "find".to_owned(), 1)], "{finder:?}");
            }
        }
    }
}

macro_rules! every_element {
    ($($name:ident: $T:ty),+ $(,)?) => {
        const ELEMENTS: &[&str] = &[$( <$T as Element>::NAME ),+];

        fn run_elements(tier: Tier, table: &mut BTreeMap<(String, &'static str, &'static str), usize>) {
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
    println!("{:10} {:8} {:8} runs", "tier", "walk", "element");
    for ((tier, walk, element), count) in &table {
        println!("{tier:10} {walk:8} {element:8} {count}");
    }
    for tier in tiers::available() {
        for element in ELEMENTS {
            let own = table.iter().filter(|((t, _, e), _)| t == tier.name() && e == element);
            let runs: usize = own.map(|(_, count)| count).sum();
            assert_eq!(runs, OPS.len() * layers().len(), "{tier} {element}");
        }
        for (walk, _) in layers()
            .into_iter()
            .filter(|(walk, _)| tier != Tier::Scalar || !matches!(*walk, "flat" | "rows" | "planes" | "columns"))
        {
            assert!(table.contains_key(&(tier.name().to_string(), walk, "f32")), "{tier} {walk}");
        }
        let has_pairs = table.contains_key(&(tier.name().to_string(), "pairs", "u8"));
        assert_eq!(has_pairs, !matches!(tier, Tier::Scalar | Tier::Portable), "{tier} pairs");
    }

    // Without a tier, the best one.
    let (_, layer) = &layers()[0];
    let plan = layer.plan::<f32>(None).expect("a valid layer");
    plan.run_vec(&vec![1.0; plan.input_len()]).expect("a valid run");
    let entered: Vec<_> = runs::take().into_keys().map(|types| name(types[0])).collect();
    assert_eq!(entered, [Tier::best().name()]);
}
