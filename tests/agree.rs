//! The same bytes everywhere: on every tier, on every call, at every place in the batch, at every alignment.
//!
//! Nothing here knows what the right result is; `every_tier.rs` does. So the layers can be larger and their number
//! greater, and their tensors are random bits, in which NaN, infinities, zeros of both signs and subnormals occur.

#[macro_use]
mod common;

use common::check::{compare, poison};
use common::layer::ops;
use common::{Fill, Layer, Nan, Op, Pad, Rng, Sample, share, tiers};
use lanepool::{IndexKind, Layout, MaxPool, Plan, SumPool, Tasks, Tier};

/// A valid layer of up to some ten thousand elements.
fn random_layer<T: Sample>(rng: &mut Rng) -> Layer {
    loop {
        let (_, op) = *rng.pick(&ops::<T>());
        let rank = rng.within(1, 3);
        let layout = match rng.below(6) {
            0..=2 => Layout::Nchw,
            3 | 4 => Layout::Nhwc,
            _ => Layout::Blocked(*rng.pick(&[1, 2, 3, 4, 8, 16, 32])),
        };
        let channels = match layout {
            Layout::Blocked(block) => block * rng.within(1, 3),
            Layout::Nhwc => *rng.pick(&[1, 3, 8, 16, 17, 31, 64, 65, 130, 257]),
            _ => rng.within(1, 9),
        };
        let longest = [600, 60, 14][rank - 1];
        let mut shape = vec![rng.within(1, 3), channels];
        shape.extend((0..rank).map(|_| rng.within(1, longest)));
        if shape.iter().product::<usize>() > 40_000 {
            continue;
        }
        if rng.one_in(8) {
            return Layer::global(op, layout, &shape);
        }
        let mut each = |from: usize, to: usize| (0..rank).map(|_| rng.within(from, to)).collect::<Vec<_>>();
        let (kernel, stride) = (each(1, 7), each(1, 4));
        let dilation = if each(0, 3)[0] == 0 { each(1, 3) } else { vec![1; rank] };
        let reach: Vec<usize> = kernel.iter().zip(&dilation).map(|(k, d)| d * (k - 1)).collect();
        let padding = |rng: &mut Rng| reach.iter().map(|reach| rng.within(0, *reach)).collect::<Vec<_>>();
        let (begin, end) = (padding(rng), padding(rng));
        let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).dilation(&dilation);
        let layer = match rng.below(8) {
            0 => layer.pad(Pad::SameUpper),
            1 => layer.pad(Pad::SameLower),
            2 | 3 => layer.padding_unequal(&begin, &end).ceil(true),
            4 | 5 => layer.padding_unequal(&begin, &end),
            _ => layer,
        };
        if layer.plan::<T>(Some(Tier::Scalar)).is_ok() {
            return layer;
        }
    }
}

fn run<T: Sample>(plan: &Plan<T>, src: &[T]) -> Vec<T> {
    let mut dst = vec![poison::<T>(); plan.output_len()];
    plan.run(src, &mut dst).unwrap_or_else(|error| panic!("{plan}: {error}"));
    dst
}

fn plan<T: Sample>(layer: &Layer, tier: Tier) -> Plan<T> {
    layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer} on {tier}: {error}"))
}

/// "The same plan attributes and the same input give the same bytes on scalar, portable, AVX2, AVX-512 and NEON."
fn tiers_agree<T: Sample>() {
    let mut rng = Rng::named("tiers");
    for _ in 0..share::of(1500) {
        let layer = random_layer::<T>(&mut rng);
        let src = rng.pick(&[Fill::Bits, Fill::Numbers, Fill::Specials]).tensor::<T>(layer.input_len(), &mut rng);
        let mut first: Option<Vec<T>> = None;
        for tier in tiers::available() {
            let plan = plan::<T>(&layer, tier);
            let got = run(&plan, &src);
            let want = first.get_or_insert_with(|| got.clone());
            compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, want);
        }
    }
}

/// The same of the operations that not every element has, and of indices.
fn relatives_agree<T: Sample>() {
    let mut rng = Rng::named("relatives");
    for _ in 0..share::of(200) {
        let layer = random_layer::<T>(&mut rng);
        let src = Fill::Bits.tensor::<T>(layer.input_len(), &mut rng);
        common::relatives_agree(&layer, &src);
    }
}

/// The second run of a plan, a run of its clone, a run on another thread and a run of a plan made anew give the bytes
/// of the first.
fn runs_repeat<T: Sample>() {
    let mut rng = Rng::named("repeat");
    for _ in 0..share::of(200) {
        let layer = random_layer::<T>(&mut rng);
        let src = Fill::Nans.tensor::<T>(layer.input_len(), &mut rng);
        for tier in tiers::available() {
            let plan = plan::<T>(&layer, tier);
            let want = run(&plan, &src);
            let clone = plan.clone();
            let elsewhere = std::thread::scope(|scope| scope.spawn(|| run(&clone, &src)).join());
            let others = [
                run(&plan, &src),
                run(&clone, &src),
                elsewhere.expect("no panic"),
                run(&self::plan(&layer, tier), &src),
            ];
            for got in others {
                compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, &want);
            }
        }
    }
}

/// "...and any batch position": a tensor gives the same bytes alone and as any one of a batch, whatever its neighbours.
fn batch_positions_agree<T: Sample>() {
    let mut rng = Rng::named("batch");
    for _ in 0..share::of(200) {
        let mut layer = random_layer::<T>(&mut rng);
        layer.shape[0] = 1;
        let one = layer.input_len();
        let src = Fill::Bits.tensor::<T>(one, &mut rng);
        let batch = rng.within(2, 6);
        let many = Layer { shape: [&[batch], &layer.shape[1..]].concat(), ..layer.clone() };
        for tier in tiers::available() {
            let want = run(&plan::<T>(&layer, tier), &src);
            let plan = plan::<T>(&many, tier);
            for place in 0..batch {
                let mut all = Fill::Nans.tensor::<T>(many.input_len(), &mut rng);
                all[place * one..][..one].copy_from_slice(&src);
                let got = run(&plan, &all);
                let got = &got[place * want.len()..][..want.len()];
                compare(&layer, tier, plan.kernel(), &[&[1], &plan.output_shape()[1..]].concat(), got, &want);
            }
        }
    }
}

/// Slices that begin anywhere in a cache line give the bytes that aligned ones give.
fn alignment_does_not_matter<T: Sample>() {
    let mut rng = Rng::named("alignment");
    for _ in 0..share::of(40) {
        let layer = random_layer::<T>(&mut rng);
        let len = layer.input_len();
        let src = Fill::Bits.tensor::<T>(len, &mut rng);
        for tier in tiers::available() {
            let plan = plan::<T>(&layer, tier);
            let want = run(&plan, &src);
            let mut from = vec![poison::<T>(); len + 64];
            let mut to = vec![poison::<T>(); want.len() + 64];
            for start in 1..64 {
                // The output starts elsewhere than the input.
                let at = start * 29 % 64;
                from[start..][..len].copy_from_slice(&src);
                let dst = &mut to[at..][..want.len()];
                dst.fill(poison::<T>());
                plan.run(&from[start..][..len], dst).unwrap_or_else(|error| panic!("{plan}: {error}"));
                compare(&layer, tier, plan.kernel(), &plan.output_shape(), dst, &want);
            }
        }
    }
}

/// Planes longer than a block, of 2¹⁴ elements, pooled whole: their blocks are folded in one order on every tier, whether a plane's
/// elements lie side by side or not, and wherever a NaN is that only some of the blocks have to be careful about.
fn long_planes_agree<T: Sample>() {
    let mut rng = Rng::named("long planes");
    for len in [(1 << 14) - 1, 1 << 14, (1 << 14) + 1, (3 << 14) + 5, 4 << 14, (9 << 14) + 17] {
        for (_, op) in ops::<T>() {
            let layer = Layer::global(op, Layout::Nchw, &[1, 2, len]);
            let mut src = Fill::Numbers.tensor::<T>(2 * len, &mut rng);
            if let Some(nan) = T::nan(true, 2) {
                // In the second plane only.
                src[len + rng.below(len)] = nan;
            }
            // The same elements, each fourth of a longer row.
            let mut spread = vec![poison::<T>(); 8 * len - 3];
            spread.iter_mut().step_by(4).zip(&src).for_each(|(to, from)| *to = *from);
            let want = run(&plan::<T>(&layer, Tier::Scalar), &src);
            for tier in tiers::available() {
                let plan = plan::<T>(&layer, tier);
                let shape = plan.output_shape();
                compare(&layer, tier, plan.kernel(), &shape, &run(&plan, &src), &want);
                let apart = [8 * len, 4 * len, 4];
                let strided = match op {
                    Op::Sum => SumPool::global().tier(tier).plan_strided(Layout::Nchw, [1, 2, len], apart, [2, 1, 1]),
                    Op::Max(Nan::Propagate) => {
                        MaxPool::global().tier(tier).plan_strided(Layout::Nchw, [1, 2, len], apart, [2, 1, 1])
                    }
                    _ => continue,
                };
                let strided = strided.unwrap_or_else(|error| panic!("{layer} on {tier}: {error}"));
                compare(&layer, tier, strided.kernel(), &shape, &run(&strided, &spread), &want);
            }
        }
    }
}

/// What can be planned on one tier can be planned on every other, with the same shape.
fn plans_agree<T: Sample>() {
    let mut rng = Rng::named("plans");
    for _ in 0..share::of(300) {
        let layer = random_layer::<T>(&mut rng);
        let scalar = plan::<T>(&layer, Tier::Scalar);
        for tier in tiers::available() {
            let plan = plan::<T>(&layer, tier);
            assert_eq!(plan.output_shape(), scalar.output_shape(), "{layer} on {tier}");
            assert_eq!((plan.input_len(), plan.output_len()), (scalar.input_len(), scalar.output_len()), "{layer}");
        }
    }
}

/// At most `most` tasks, whose ranges are the output, one after the other; as many of them are cut the same way again.
fn cut<T: Sample>(plan: &Plan<T>, most: usize) -> Tasks {
    let tasks = plan.tasks(most);
    assert!((1..=most.max(1)).contains(&tasks.len()) && !tasks.is_empty(), "{plan}: {tasks:?} of at most {most}");
    let mut end = 0;
    for range in (0..tasks.len()).map(|task| tasks.range(task)) {
        assert!(range.start == end && !range.is_empty(), "{plan}: {tasks:?} has {range:?} after {end}");
        end = range.end;
    }
    assert_eq!(end, plan.output_len(), "{plan}: {tasks:?}");
    assert!(tasks.range(tasks.len()).is_empty() && tasks.range(usize::MAX).is_empty(), "{plan}: {tasks:?}");
    assert_eq!(plan.tasks(tasks.len()), tasks, "{plan}");
    tasks
}

/// "...for any number of threads or tasks": an output computed in parts, by any number of threads, is the output computed
/// at once. Each part is computed over another poison and last parts first, since a kernel may store past a row's end where
/// a later row of the same part writes again, and nowhere else.
fn splits_agree<T: Sample>() {
    let mut rng = Rng::named("splits");
    for _ in 0..share::of(150) {
        let layer = random_layer::<T>(&mut rng);
        let src = rng.pick(&[Fill::Bits, Fill::Numbers, Fill::Specials]).tensor::<T>(layer.input_len(), &mut rng);
        let mut first: Option<Vec<T>> = None;
        for tier in tiers::available() {
            let plan = plan::<T>(&layer, tier);
            let want = first.get_or_insert_with(|| run(&plan, &src));
            for tasks in [1, 2, 3, 7, rng.within(8, 40), usize::MAX] {
                let tasks = cut(&plan, tasks);
                let mut got: Vec<T> = (0..want.len()).map(|_| T::from_bits(rng.bits())).collect();
                for task in (0..tasks.len()).rev() {
                    let part = &mut got[tasks.range(task)];
                    plan.run_task(&tasks, task, &src, part).unwrap_or_else(|error| panic!("{plan}: {error}"));
                }
                compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, want);
            }
            for threads in [1, 2, 3, 7] {
                let tasks = cut(&plan, rng.within(1, 20));
                let mut got = vec![poison::<T>(); want.len()];
                let parts = got.chunks_mut(tasks.range(0).len().max(1)).enumerate();
                let parts = std::sync::Mutex::new(parts);
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            loop {
                                let Some((task, part)) = parts.lock().expect("no panic").next() else { break };
                                plan.run_task(&tasks, task, &src, part)
                                    .unwrap_or_else(|error| panic!("{plan}: {error}"));
                            }
                        });
                    }
                });
                compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, want);
            }
        }
    }
}

/// The same of values with indices, and of indices alone.
fn indexed_splits_agree<T: Sample>() {
    let mut rng = Rng::named("indexed splits");
    for (layout, channels) in [(Layout::Nchw, 3), (Layout::Nhwc, 19), (Layout::Blocked(8), 16)] {
        let shape = [2, channels, 9, 23];
        let pool = MaxPool::<T>::new([3, 2]).stride([2, 1]).padding([1, 1]).clamp(-5.0, 90.0);
        for tier in tiers::available() {
            let plan = pool.tier(tier).plan_indexed::<i32>(IndexKind::Tensor, layout, shape).expect("a valid layer");
            let src = Fill::Nans.tensor::<T>(plan.input_len(), &mut rng);
            let (want, want_at) = plan.run_vec(&src).expect("a valid run");
            for most in [0, 1, 2, 3, 7, 40, usize::MAX] {
                let tasks = plan.tasks(most);
                assert!((1..=most.max(1)).contains(&tasks.len()), "{plan:?}: {tasks:?} of at most {most}");
                let mut got: Vec<T> = want.iter().map(|_| T::from_bits(rng.bits())).collect();
                let (mut at, mut alone) = (vec![-7; want.len()], vec![-7; want.len()]);
                for task in (0..tasks.len()).rev() {
                    let range = tasks.range(task);
                    let (part, at) = (&mut got[range.clone()], &mut at[range.clone()]);
                    assert_eq!(plan.run_task(&tasks, task, &src, part, at), Ok(()), "{plan:?}");
                    assert_eq!(plan.run_indices_task(&tasks, task, &src, &mut alone[range]), Ok(()), "{plan:?}");
                }
                let bits = |values: &[T]| values.iter().map(|value| value.bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&want), "{plan:?} in {tasks:?}");
                assert_eq!((&at, &alone), (&want_at, &want_at), "{plan:?} in {tasks:?}");
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn tiers_agree() {
                super::tiers_agree::<$T>();
            }

            #[test]
            fn runs_repeat() {
                super::runs_repeat::<$T>();
            }

            #[test]
            fn batch_positions_agree() {
                super::batch_positions_agree::<$T>();
            }

            #[test]
            fn alignment_does_not_matter() {
                super::alignment_does_not_matter::<$T>();
            }

            #[test]
            fn splits_agree() {
                super::splits_agree::<$T>();
            }

            #[test]
            fn indexed_splits_agree() {
                super::indexed_splits_agree::<$T>();
            }

            #[test]
            fn relatives_agree() {
                super::relatives_agree::<$T>();
            }

            #[test]
            fn plans_agree() {
                super::plans_agree::<$T>();
            }

            #[test]
            fn long_planes_agree() {
                super::long_planes_agree::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);
