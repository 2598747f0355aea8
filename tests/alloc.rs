//! A run neither allocates nor frees: all that a plan needs, it has; and planning allocates that, and nothing else.

#[macro_use]
mod common;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;

use common::layer::{LAYOUTS, ops};
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, FractionalMaxPool, IndexKind, Layout, LpPool, MaxPool, MaxUnpool, Tier,
};

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// The most bytes that one call asked for.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that is ending has no counter any more, and runs nothing that is measured.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        count(memory.size());
        // SAFETY: the same contract.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        count(0);
        // SAFETY: the same contract.
        unsafe { System.dealloc(at, memory) }
    }

    unsafe fn alloc_zeroed(&self, memory: Memory) -> *mut u8 {
        count(memory.size());
        // SAFETY: the same contract.
        unsafe { System.alloc_zeroed(memory) }
    }

    unsafe fn realloc(&self, at: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the same contract.
        unsafe { System.realloc(at, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls to the allocator that `f` made.
fn calls<R>(f: impl FnOnce() -> R) -> (usize, R) {
    let before = CALLS.get();
    let result = f();
    (CALLS.get() - before, result)
}

/// Layers that reach every driver, with and without NaN, on every tier; and runs that are refused.
fn run_does_not_allocate<T: Sample>() {
    let mut rng = Rng::named("alloc");
    for (_, op) in ops::<T>() {
        for (_, layout) in LAYOUTS {
            let shape = [2, 16, 13, 29];
            let square =
                |k: usize, s: usize, p: usize| Layer::new(op, layout, &shape, &[k, k]).stride(&[s, s]).padding(&[p, p]);
            let layers = [
                square(2, 2, 0),
                square(3, 1, 1),
                square(3, 2, 1),
                square(5, 3, 2),
                square(9, 1, 4),
                square(1, 1, 1).allow_empty(),
                Layer::global(op, layout, &shape),
                Layer::new(op, layout, &[1, 16, 1, 2110], &[1, 2100]).padding(&[0, 2]),
                Layer::new(op, layout, &[0, 16, 9], &[3]),
            ];
            for layer in layers {
                if !share::holds(format_args!("{} {layer}", T::NAME)) {
                    continue;
                }
                for tier in tiers::available() {
                    if let Op::Max(_) = op {
                        relatives_do_not_allocate::<T>(&layer, tier, &mut rng);
                    }
                    let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                    for fill in [Fill::Pattern, Fill::Nans] {
                        let src = fill.tensor::<T>(plan.input_len(), &mut rng);
                        let mut dst = vec![T::from_bits(0); plan.output_len() + 1];
                        let len = plan.output_len();
                        let (made, result) = calls(|| plan.run(&src, &mut dst[..len]));
                        assert_eq!((made, result), (0, Ok(())), "{layer} as {plan}");
                        let (made, result) = calls(|| plan.run(&src, &mut dst));
                        assert!(made == 0 && result.is_err(), "{layer} as {plan}: {made} calls when refused");
                    }
                }
            }
        }
    }
}

/// The operations that not every element has, and indices.
fn relatives_do_not_allocate<T: Sample>(layer: &Layer, tier: Tier, rng: &mut Rng) {
    let src = Fill::Nans.tensor::<T>(layer.input_len(), rng);
    for plan in layer.relatives::<T>(Some(tier)) {
        let mut dst = vec![T::from_bits(0); plan.output_len()];
        let (made, result) = calls(|| plan.run(&src, &mut dst));
        assert_eq!((made, result), (0, Ok(())), "{layer} as {plan}");
    }
    let finder =
        layer.indexed::<T, i64>(IndexKind::Plane, Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
    let mut dst = vec![T::from_bits(0); finder.output_len()];
    let mut indices = vec![0; finder.output_len()];
    let (made, result) = calls(|| finder.run(&src, &mut dst, &mut indices));
    assert_eq!((made, result), (0, Ok(())), "{layer} as {finder:?}");
}

/// A plan is a kernel, a shape, what its clones share, its driver and what that has tabled: divisors, where lanes go,
/// and masks by the column.
/// Lists that are sorted out before they are kept are few and short: an allocation or two.
fn plan_allocates_little<T: Sample>() {
    let square = |op, k: usize, s: usize, p: usize| {
        Layer::new(op, Layout::Nchw, &[1, 8, 40, 40], &[k, k]).stride(&[s, s]).padding(&[p, p])
    };
    let max = Op::Max(Nan::Propagate);
    for layout in [Layout::Nchw, Layout::Nhwc] {
        for layer in [
            square(max, 2, 2, 0),
            square(max, 3, 1, 1),
            square(max, 13, 1, 6),
            square(Op::Avg, 2, 2, 0),
            square(Op::AvgPadded, 3, 1, 1),
            square(Op::AvgBy(7), 3, 2, 1),
            square(Op::Sum, 3, 1, 1),
            Layer::global(Op::Avg, layout, &[1, 8, 7, 7]),
        ] {
            let layer = Layer { layout, ..layer };
            if !layer.op.is_of::<T>() {
                continue;
            }
            for tier in tiers::available() {
                let (made, plan) = calls(|| layer.plan::<T>(Some(tier)));
                let plan = plan.unwrap_or_else(|error| panic!("{layer}: {error}"));
                assert!(made <= 256, "{made} calls to plan {plan}");
                let text = plan.to_string();
                let freed = calls(|| drop(plan)).0;
                assert!(freed > 0 && freed <= made, "{text}: {freed} of {made} were kept");
            }
        }
    }
}

/// No length of a tensor is the length of something that planning makes: a plan of millions of millions of channels, images or
/// columns is as small as another. (A plan of some of them is an error, and as small.)
#[test]
fn plans_of_endless_tensors_are_small() {
    /// What a plan may ask for at once.
    const MOST: usize = 1 << 20;

    fn small<P, E>(what: &str, plan: impl FnOnce() -> Result<P, E>) -> bool {
        LARGEST.set(0);
        let is_plan = plan().is_ok();
        assert!(LARGEST.get() <= MOST, "{what}: {} bytes at once", LARGEST.get());
        is_plan
    }

    // 2³⁶ where `usize` has 64 bits, 2²⁰ where it has 32.
    let endless = 1_usize << (usize::BITS / 2 + 4);
    let mut planned = 0;
    for tier in tiers::available() {
        for (_, layout) in LAYOUTS {
            for axis in 0..4 {
                let mut shape = [1, 16, 9, 11];
                shape[axis] = endless;
                for (kernel, stride, padding) in [(2, 2, 0), (3, 1, 1), (5, 3, 2)] {
                    let what = |of: &str| format!("{of} of {kernel}/{stride}+{padding}, {layout} {shape:?}, on {tier}");
                    let max = MaxPool::<f32>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]).tier(tier);
                    let avg = AvgPool::<f32>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]).tier(tier);
                    let norm = LpPool::<f32>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]).tier(tier);
                    planned += usize::from(small(&what("a maximum"), || max.plan(layout, shape)));
                    planned += usize::from(small(&what("an average"), || avg.plan(layout, shape)));
                    planned += usize::from(small(&what("a norm"), || LpPool::p(norm, 3.0).plan(layout, shape)));
                    for kind in [IndexKind::Plane, IndexKind::Tensor, IndexKind::Tap] {
                        let indices = || max.plan_indexed::<i64>(kind, layout, shape);
                        planned += usize::from(small(&what("indices"), indices));
                        let gradient = || max.backward::<i64>(kind, layout, shape);
                        planned += usize::from(small(&what("a gradient of a maximum"), gradient));
                    }
                    let gradient = || avg.backward(layout, shape);
                    planned += usize::from(small(&what("a gradient of an average"), gradient));
                }
                let what = |of: &str| format!("{of}, {layout} {shape:?}, on {tier}");
                let adaptive = || AdaptiveMaxPool::<f32>::new([4, 3]).tier(tier).plan(layout, shape);
                planned += usize::from(small(&what("an adaptive maximum"), adaptive));
                let adaptive = || AdaptiveAvgPool::<f32>::new([4, 3]).tier(tier).plan(layout, shape);
                planned += usize::from(small(&what("an adaptive average"), adaptive));
                let fractional = || FractionalMaxPool::<f32>::new([2, 2], [4, 3]).plan(layout, shape);
                planned += usize::from(small(&what("a fractional maximum"), fractional));
                let unpool = || MaxUnpool::<f32>::to([18, 22]).plan::<i64>(layout, shape);
                planned += usize::from(small(&what("unpooling"), unpool));
            }
        }
    }
    assert!(planned > 100, "only {planned} of these are plans");
}

/// The counter counts.
#[test]
fn allocations_are_counted() {
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1_u8; 100]))).0, 2);
    assert_eq!(calls(|| std::hint::black_box(1 + 1)).0, 0);
    LARGEST.set(0);
    drop(std::hint::black_box(vec![1_u8; 1000]));
    assert_eq!(LARGEST.get(), 1000);
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn run_does_not_allocate() {
                super::run_does_not_allocate::<$T>();
            }

            #[test]
            fn plan_allocates_little() {
                super::plan_allocates_little::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);
