//! No byte outside the slices is read or written, and every byte of the output is written.
//!
//! - **Guard pages.** Input and output lie flush against pages that may not be touched, at their end or at their start,
//!   and the input's own pages may not be written. Each element × tier × direction runs its list of layers in a child
//!   process; a fault names the layer. Self-tests make sure that a byte too much faults.
//!   A third of the layers run on tensors with gaps as well.
//! - **Two poisons.** An output filled with two different patterns before the run is the same after it.
//! - **Canaries.** Memory around an output that begins anywhere in a vector keeps its value.
#![cfg(unix)]

#[macro_use]
mod common;
#[path = "bounds/guarded.rs"]
mod guarded;

use std::sync::Mutex;

use common::check::{channels, compare, poison};
use common::layer::LAYOUTS;
use common::strides::{Placed, bits};
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use guarded::{Flush, Guarded};
use lanepool::{IndexKind, Layout, Tier};

/// Names what a child process is to run.
const GROUP: &str = "LANEPOOL_TEST_BOUNDS_GROUP";

/// Kernel, stride, dilation, padding: each takes another way across a row. Whole and overlapped vectors at a stride of
/// 1, de-interleaving at 2, picking up one by one at 3 and more, wide windows, gaps.
const WINDOWS: [(usize, usize, usize, usize); 14] = [
    (1, 1, 1, 0),
    (1, 2, 1, 0),
    (2, 1, 1, 0),
    (2, 2, 1, 0),
    (2, 2, 1, 1),
    (2, 5, 1, 0),
    (3, 1, 1, 1),
    (3, 1, 2, 2),
    (3, 2, 1, 0),
    (3, 2, 1, 1),
    (3, 3, 1, 0),
    (4, 3, 1, 2),
    (5, 1, 1, 2),
    (7, 2, 1, 3),
];

/// One operation of every kind of kernel: watched for NaN with both ways of starting again, and divided.
/// Elements without sums have others in their place.
const fn ops<T: Sample>() -> [Op; 4] {
    let (max, min) = (Op::Max(Nan::Propagate), Op::Min(Nan::Ignore));
    if T::SUMS { [max, min, Op::Avg, Op::Sum] } else { [max, min, Op::Max(Nan::Ignore), Op::Min(Nan::Propagate)] }
}

/// The layers of one element. Lengths run over two vectors of the longest tier and a bit, so that in every tier rows and
/// pixels shorter than a vector, partial, whole and overlapped last vectors occur.
fn layers<T: Sample>() -> Vec<Layer> {
    let longest = 2 * 64 / size_of::<T>() + 3;
    let ops = ops::<T>();
    let mut layers = Vec::new();
    for (i, (kernel, stride, dilation, padding)) in WINDOWS.into_iter().enumerate() {
        for (_, layout) in LAYOUTS {
            let lengths = match layout {
                Layout::Blocked(block) => longest.div_ceil(block) + 1,
                _ => longest,
            };
            for length in 1..=lengths {
                let op = ops[(length + i) % ops.len()];
                let mut add = |shape: &[usize]| {
                    let rank = shape.len() - 2;
                    let each = |n: usize| vec![n; rank];
                    let layer = Layer::new(op, layout, shape, &each(kernel)).stride(&each(stride));
                    let layer = layer.dilation(&each(dilation)).padding(&each(padding));
                    layers.push(layer.clone());
                    layers.push(layer.ceil(true));
                };
                if layout == Layout::Nhwc {
                    add(&[1, length, 1 + i % 5]);
                    add(&[1, length, 3, 1 + length % 7]);
                    add(&[2, length, 2, 2, 3]);
                } else {
                    let c = channels(layout, 1);
                    add(&[1, c, length]);
                    add(&[1, 2 * c, 1 + length % 5, length]);
                    add(&[2, c, 2, 3, length]);
                }
            }
        }
    }
    for (_, layout) in LAYOUTS {
        for size in 1..=70 {
            let op = ops[size % ops.len()];
            layers.push(Layer::global(op, layout, &[1, channels(layout, 1 + size % 6), size]));
            layers.push(Layer::global(op, layout, &[1, channels(layout, 1 + size % 3), size, 3]));
        }
        // Rows and pixels that do not fit the scratch space in one piece.
        for op in ops {
            let (c, wide) = (channels(layout, 3), 40_000 / size_of::<T>());
            let width = wide / channels(layout, 1) + 1;
            layers.push(Layer::new(op, layout, &[1, c, 3, width], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]));
            layers.push(Layer::new(op, layout, &[1, c, 2, width], &[2, 5]).padding(&[1, 2]));
            layers.push(Layer::new(op, layout, &[1, c, 3, 9], &[1, 2]).dilation(&[1, 7]).padding(&[0, 5]));
        }
        layers.push(Layer::new(ops[2], layout, &[1, channels(layout, 2), 2100], &[2000]).padding(&[50]));
        // Windows that fit no scratch space.
        for (i, op) in ops.into_iter().enumerate() {
            let wide = Layer::new(op, layout, &[1, channels(layout, 1 + i % 3), 2, 4150], &[1 + i % 2, 4100]);
            layers.push(wide.clone().stride(&[1, 9 + i]));
            layers.push(wide.padding(&[0, 60]).stride(&[2, 40]));
            layers.push(Layer::new(op, layout, &[1, channels(layout, 1), 4200], &[2]).dilation(&[4150 + i]));
        }
        // Windows, rows and slabs of them that lie in the padding: what is computed for them may read nothing.
        for op in ops {
            for kernel in [[1, 12, 1], [1, 2, 2], [1, 3, 3], [2, 3, 3], [1, 1, 1], [1, 2, 9], [3, 9, 2]] {
                for stride in [1, 2, 6] {
                    let layer =
                        Layer::new(op, layout, &[1, channels(layout, 2), 1, 2, 3], &kernel).stride(&[stride; 3]);
                    layers.push(layer.clone().padding(&kernel).allow_empty());
                    let (begin, end) = ([0, 15, 19], [12, 13, 8]);
                    layers.push(layer.clone().padding_unequal(&begin, &end).ceil(true).allow_empty());
                    layers.push(layer.padding_unequal(&end, &begin).allow_empty());
                }
            }
        }
    }
    // Pixels of two vectors and more, of which each is loaded and stored whole.
    for op in ops {
        for (kernel, stride) in
            [([3, 3], [1, 1]), ([3, 3], [2, 2]), ([2, 2], [2, 2]), ([1, 3], [2, 3]), ([5, 5], [1, 1])]
        {
            for (channels, padding) in [(128, 0), (131, 1), (17_000 / size_of::<T>() + 1, 1)] {
                let layer = Layer::new(op, Layout::Nhwc, &[1, channels, 4, 5], &kernel).stride(&stride);
                let padding = kernel.map(|k| padding.min(k / 2));
                layers.push(layer.clone().padding(&padding));
                layers.push(layer.padding_unequal(&[0, 7], &[9, 0]).ceil(true).allow_empty());
            }
        }
    }
    for op in ops {
        layers.push(Layer::new(op, Layout::Nhwc, &[1, 9000 / size_of::<T>() + 1, 5, 6], &[5, 5]).padding(&[2, 2]));
    }
    layers
}

/// Runs every layer of one element on one tier between guard pages.
fn run_guarded<T: Sample>(tier: Tier, flush: Flush) {
    let mut layers = layers::<T>();
    layers.retain(|layer| share::holds_of_many(10, format_args!("{tier} {layer}")));
    let longest = |len: fn(&lanepool::Plan<T>) -> usize| {
        layers.iter().filter_map(|layer| layer.plan::<T>(Some(tier)).ok()).map(|plan| len(&plan)).max().unwrap_or(0)
    };
    let mut input = Guarded::<T>::new(longest(|plan| plan.input_len()));
    let mut output = Guarded::<T>::new(longest(|plan| plan.output_len()));
    let mut indices = Guarded::<i32>::new(longest(|plan| plan.output_len()));
    let mut rng = Rng::new(1);
    let mut ran = 0;
    for layer in &layers {
        // Windows larger than a short row: `every_tier.rs` checks that they are refused rightly.
        let Ok(plan) = layer.plan::<T>(Some(tier)) else { continue };
        let fill = if ran % 2 == 0 { Fill::Pattern } else { Fill::Nans };
        let src = fill.tensor::<T>(plan.input_len(), &mut rng);
        let mut want = vec![poison::<T>(); plan.output_len()];
        guarded::say(&format!("{} {layer} as {plan} on plain memory", T::NAME));
        plan.run(&src, &mut want).unwrap_or_else(|error| panic!("{plan}: {error}"));

        guarded::say(&format!("{} {layer} as {plan}, flush {flush:?}", T::NAME));
        input.slice(src.len(), flush).copy_from_slice(&src);
        input.protect();
        for poison in [poison::<T>(), T::from_bits(!poison::<T>().bits())] {
            let dst = output.slice(want.len(), flush);
            dst.fill(poison);
            plan.run(input.read(src.len(), flush), dst).unwrap_or_else(|error| panic!("{plan}: {error}"));
            compare(layer, tier, plan.kernel(), &plan.output_shape(), dst, &want);
        }
        match ran % 3 {
            0 => {
                let relatives = layer.relatives::<T>(Some(tier));
                let plan = &relatives[ran / 3 % relatives.len()];
                let mut want = vec![poison::<T>(); plan.output_len()];
                guarded::say(&format!("{} {layer} as {plan}, flush {flush:?}", T::NAME));
                plan.run(&src, &mut want).unwrap_or_else(|error| panic!("{plan}: {error}"));
                let dst = output.slice(want.len(), flush);
                dst.fill(T::from_bits(!poison::<T>().bits()));
                plan.run(input.read(src.len(), flush), dst).unwrap_or_else(|error| panic!("{plan}: {error}"));
                compare(layer, tier, plan.kernel(), &plan.output_shape(), dst, &want);
            }
            1 if matches!(layer.op, Op::Max(_) | Op::Min(_)) => {
                let plan = layer.indexed::<T, i32>(IndexKind::Plane, Some(tier)).expect("a valid layer");
                guarded::say(&format!("{} {layer} as {plan:?}, flush {flush:?}", T::NAME));
                let mut found = vec![i32::MIN; want.len()];
                plan.run_indices(&src, &mut found).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
                let (dst, at) = (output.slice(want.len(), flush), indices.slice(want.len(), flush));
                dst.fill(poison::<T>());
                at.fill(i32::MAX);
                plan.run(input.read(src.len(), flush), dst, at).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
                compare(layer, tier, "find", &plan.output_shape(), dst, &want);
                assert_eq!(at, found, "{layer} as {plan:?}");
            }
            _ => run_with_gaps::<T>(layer, tier, flush, &src, &want, &mut rng),
        }
        input.unprotect();
        ran += 1;
    }
    assert!(ran > layers.len() / 2, "only {ran} of {} layers are valid", layers.len());
}

/// The layer on tensors with gaps between rows, planes or pixels, whose last element, or first one, lies against a page that nobody may
/// touch; and its indices, which lie as its values do.
fn run_with_gaps<T: Sample>(layer: &Layer, tier: Tier, flush: Flush, src: &[T], want: &[T], rng: &mut Rng) {
    let shape = layer.plan::<T>(Some(tier)).expect("a valid layer").output_shape();
    let from = Placed::random(layer.layout, &layer.shape, true, rng);
    let to = Placed::random(layer.layout, &shape, false, rng);
    let layer = Layer { strides: Some([from.strides.clone(), to.strides.clone()]), ..layer.clone() };
    let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
    guarded::say(&format!("{} {layer} as {plan}, flush {flush:?}", T::NAME));
    let mut input = Guarded::<T>::new(from.extent());
    let mut output = Guarded::<T>::new(to.extent());
    let x = input.slice(from.extent(), flush);
    x.fill(poison::<T>());
    // Elements may lie on one another: then the last one counts, and the values are those of what is there.
    let on_one_another = from.strides.contains(&0) && !src.is_empty();
    from.offsets.iter().zip(src).for_each(|(at, element)| x[*at] = *element);
    let gathered = from.gather(x);
    let mut there = want.to_vec();
    if on_one_another {
        let packed = Layer { strides: None, ..layer.clone() }.plan::<T>(Some(tier)).expect("a valid layer");
        packed.run(&gathered, &mut there).unwrap_or_else(|error| panic!("{packed}: {error}"));
    }
    input.protect();
    let before = vec![T::from_bits(!poison::<T>().bits()); to.extent()];
    let whole = to.spread(&before, &there);
    let y = output.slice(to.extent(), flush);
    y.copy_from_slice(&before);
    plan.run(input.read(from.extent(), flush), y).unwrap_or_else(|error| panic!("{plan}: {error}"));
    compare(&layer, tier, plan.kernel(), &shape, &to.gather(y), &there);
    assert_eq!(bits(y), bits(&whole), "{layer} as {plan}: wrote between its outputs");

    if matches!(layer.op, Op::Max(_) | Op::Min(_)) {
        let plan = layer.indexed::<T, i32>(IndexKind::Plane, Some(tier)).expect("a valid layer");
        guarded::say(&format!("{} {layer} as {plan:?}, flush {flush:?}", T::NAME));
        let packed = Layer { strides: None, ..layer.clone() };
        let packed = packed.indexed::<T, i32>(IndexKind::Plane, Some(tier)).expect("a valid layer");
        let (_, found) = packed.run_vec(&gathered).unwrap_or_else(|error| panic!("{packed:?}: {error}"));
        let mut indices = Guarded::<i32>::new(to.extent());
        let at = indices.slice(to.extent(), flush);
        at.fill(i32::MAX);
        y.copy_from_slice(&before);
        plan.run(input.read(from.extent(), flush), y, at).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        assert_eq!(bits(y), bits(&whole), "{layer} as {plan:?}");
        assert_eq!(at, to.spread(&vec![i32::MAX; to.extent()], &found), "{layer} as {plan:?}");
    }
}

/// What a child process can be asked for, by name.
macro_rules! groups {
    ($($name:ident: $T:ty),+ $(,)?) => {
        fn run_group(element: &str, tier: Tier, flush: Flush) {
            match element {
                $( stringify!($name) => run_guarded::<$T>(tier, flush), )+
                other => panic!("no element is called {other}"),
            }
        }

        const ELEMENTS: &[&str] = &[$( stringify!($name) ),+];
    };
}

for_elements!(groups);

/// Not a test of its own: the entry of the child processes.
#[test]
fn child() {
    let Ok(group) = std::env::var(GROUP) else { return };
    guarded::report_faults();
    match group.split('/').collect::<Vec<_>>()[..] {
        ["selftest", touch] => guarded::touch(touch),
        [element, tier, flush] => {
            let tier = tier.parse().expect("a tier's name");
            run_group(element, tier, if flush == "end" { Flush::End } else { Flush::Start });
        }
        _ => panic!("no group is called {group}"),
    }
}

/// Runs a group in a process of its own: whether it ended well, and what it wrote.
fn in_child(group: &str) -> (bool, String) {
    let child = common::again::this_program().args(["--exact", "child", "--nocapture"]).env(GROUP, group).output();
    let child = child.expect("a child process");
    (child.status.success(), String::from_utf8_lossy(&child.stderr).into_owned())
}

/// Every element on every tier, flush against either end.
#[test]
fn nothing_outside_the_slices_is_touched() {
    let mut groups = Vec::new();
    for element in ELEMENTS {
        for tier in tiers::available() {
            groups.extend(["end", "start"].map(|flush| format!("{element}/{tier}/{flush}")));
        }
    }
    // As many children at a time as there are processors.
    let (groups, failures) = (Mutex::new(groups), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(group) = groups.lock().expect("no panic").pop() else { break };
                    let (ok, said) = in_child(&group);
                    if !ok {
                        failures.lock().expect("no panic").push(format!("{group}: {said}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The guard works: one element too far, read or written, before or behind, and a write to the input end the process,
/// and the report names what was running.
#[test]
fn a_byte_outside_faults() {
    for touch in guarded::TOUCHES {
        let (ok, said) = in_child(&format!("selftest/{touch}"));
        assert!(!ok, "{touch} went unnoticed");
        assert!(said.contains("fault") && said.contains(touch), "{touch} was reported as: {said}");
    }
    let (ok, said) = in_child("selftest/nothing");
    assert!(ok, "touching nothing failed: {said}");
}

/// Every element of the output is written, none is read first, and none outside it is touched: with two poisons, at
/// every start below one vector, between canaries.
fn canaries_survive<T: Sample>() {
    let lanes = 64 / size_of::<T>();
    let mut rng = Rng::named("canaries");
    let canaries = [poison::<T>(), T::from_bits(0x3c3c_3c3c_3c3c_3c3c)];
    for layer in layers::<T>() {
        // Fewer than between guard pages: each is run at every start.
        if layer.input_len() > 10_000 || !share::holds_of_many(20, &layer) {
            continue;
        }
        for tier in tiers::available() {
            let Ok(plan) = layer.plan::<T>(Some(tier)) else { continue };
            let src = Fill::Nans.tensor::<T>(plan.input_len(), &mut rng);
            let len = plan.output_len();
            let mut want = vec![poison::<T>(); len];
            plan.run(&src, &mut want).unwrap_or_else(|error| panic!("{plan}: {error}"));
            for start in 0..lanes {
                for canary in canaries {
                    let mut whole = vec![canary; len + 3 * lanes];
                    let dst = &mut whole[lanes + start..][..len];
                    plan.run(&src, dst).unwrap_or_else(|error| panic!("{plan}: {error}"));
                    compare(&layer, tier, plan.kernel(), &plan.output_shape(), dst, &want);
                    let (before, rest) = whole.split_at(lanes + start);
                    let around = before.iter().chain(&rest[len..]);
                    let harmed = around.filter(|value| value.bits() != canary.bits()).count();
                    assert_eq!(harmed, 0, "{layer} as {plan}: wrote outside its output, which began at {start}");
                }
            }
        }
    }
}

/// More than 2³² elements, 16 GiB of which almost none is ever written: no offset is counted in 32 bits. The few values
/// that are not zero lie around and beyond the boundaries.
#[cfg(target_pointer_width = "64")]
#[test]
#[ignore = "reads 16 GiB of zeros once for each layer: for the long run"]
fn s07_more_than_32_bits_of_elements() {
    let max = Op::Max(Nan::Propagate);
    let tier = tiers::available().into_iter().max().expect("every machine has a tier");
    let shapes: [(Layout, [usize; 4]); 2] =
        [(Layout::Nchw, [1, 1, 65_600, 65_536]), (Layout::Nhwc, [1, 64, 8224, 8192])];
    for (layout, shape) in shapes {
        let layer = Layer::new(max, layout, &shape, &[64, 64]).stride(&[64, 64]);
        let plan = layer.plan::<f32>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
        assert!(plan.input_len() > 1 << 32);
        let mut input = Guarded::<f32>::new(plan.input_len());
        let src = input.slice(plan.input_len(), Flush::End);
        let inner = layer.inner();
        let mut want = vec![0.0; plan.output_len()];
        let places = [0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, plan.input_len() - 1];
        for (i, place) in places.into_iter().enumerate() {
            src[place] = 1.0 + i as f32;
            let (pixel, c) = (place / inner, place % inner);
            let (row, column) = (pixel / shape[3] / 64, pixel % shape[3] / 64);
            if row < plan.output_shape()[2] {
                let at = (row * plan.output_shape()[3] + column) * inner + c;
                want[at] = f32::max(want[at], 1.0 + i as f32);
            }
        }
        let mut got = vec![poison::<f32>(); want.len()];
        plan.run(input.read(plan.input_len(), Flush::End), &mut got).unwrap_or_else(|error| panic!("{plan}: {error}"));
        compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, &want);
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn canaries_survive() {
                super::canaries_survive::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);
