//! "The same plan attributes and the same input give the same bytes … for any number of threads or tasks."

#[macro_use]
mod common;
#[cfg(target_os = "linux")]
#[path = "parallel/meeting.rs"]
mod meeting;

use common::check::{compare, poison};
use common::layer::ops;
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, Error, FractionalMaxPool, IndexKind, Layout, LpPool, MaxPool, MaxUnpool,
    Tasks, Tier,
};

/// Layers of every driver, with a prime number of rows here and there, so that parts are of unequal length.
fn layers() -> Vec<Layer> {
    use Layout::{Blocked, Nchw, Nhwc};
    let square = |layout, shape: [usize; 4], k: usize, s: usize, p: usize| {
        Layer::new(Op::Sum, layout, &shape, &[k, k]).stride(&[s, s]).padding(&[p, p])
    };
    vec![
        square(Nchw, [2, 3, 23, 29], 3, 2, 1),
        square(Nchw, [1, 5, 17, 19], 2, 2, 0),
        square(Nchw, [1, 3, 23, 19], 3, 1, 1),
        square(Nchw, [1, 3, 31, 18], 5, 1, 2),
        square(Nchw, [1, 3, 31, 18], 7, 1, 3),
        square(Nchw, [1, 2, 29, 37], 13, 1, 6),
        square(Nhwc, [1, 37, 13, 11], 3, 1, 1),
        square(Nhwc, [1, 130, 21, 5], 3, 1, 1),
        square(Nhwc, [2, 3, 19, 11], 9, 1, 4),
        square(Blocked(8), [1, 24, 11, 9], 3, 2, 1),
        square(Nchw, [1, 3, 7, 5], 1, 1, 2).allow_empty(),
        Layer::new(Op::Sum, Nchw, &[1, 2, 5, 7, 9], &[2, 3, 2]).stride(&[1, 2, 1]),
        Layer::new(Op::Sum, Nchw, &[1, 7, 1001], &[3]).stride(&[3]),
        Layer::global(Op::Sum, Nchw, &[3, 37, 9, 7]),
        // Blocks of taps.
        Layer::new(Op::Sum, Nhwc, &[1, 5, 1100, 3], &[1090, 2]),
        // Long planes, which threads share: of 2 and of 13 blocks.
        Layer::global(Op::Sum, Nchw, &[1, 3, 131, 127]),
        Layer::global(Op::Sum, Nchw, &[1, 1, 409, 503]),
        Layer::global(Op::Sum, Nhwc, &[5, 37, 4, 4]),
    ]
}

/// Every tier on 1, 2, 3 and 7 threads, in fewer, as many and more tasks than there are threads, rows or windows.
fn threads_and_tasks_agree<T: Sample>() {
    let mut rng = Rng::named("threads");
    let pools = [1, 2, 3, 7].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    for layer in layers() {
        for (_, op) in ops::<T>() {
            let layer = Layer { op, ..layer.clone() };
            if !share::holds(format_args!("{} {layer}", T::NAME)) {
                continue;
            }
            // Numbers whose sums show in which order they were added, and one NaN in each half.
            let mut numbers = Fill::Pattern.tensor::<T>(layer.input_len(), &mut rng);
            for number in &mut numbers {
                // The mantissa's lowest bits.
                *number = T::from_bits(number.bits() ^ (rng.bits() & 0x7f));
            }
            let with_nan = |at: usize| {
                let mut src = numbers.clone();
                src[at] = T::nan(false, 0).unwrap_or(src[at]);
                src
            };
            let nans = [with_nan(layer.input_len() / 9), with_nan(layer.input_len() / 9 * 8)];
            let scalar = layer.plan::<T>(Some(Tier::Scalar)).unwrap_or_else(|error| panic!("{layer}: {error}"));
            let check = |src: &[T], pools: &[rayon::ThreadPool], tasks: &[usize]| {
                let want = scalar.run_vec(src).expect("a valid run");
                for tier in tiers::available() {
                    let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                    for pool in pools {
                        for &tasks in tasks {
                            let mut got = vec![poison::<T>(); want.len()];
                            let done = pool.install(|| plan.run_parallel_in(tasks, src, &mut got));
                            assert_eq!(done, Ok(()), "{plan} in {tasks} tasks");
                            compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, &want);
                        }
                    }
                }
            };
            check(&Fill::Bits.tensor(layer.input_len(), &mut rng), &pools, &[0, 1, 2, 3, 7, 50, usize::MAX]);
            for src in [&numbers, &nans[0], &nans[1]] {
                check(src, &pools[2..3], &[3, 50]);
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn threads_and_tasks_agree() {
                super::threads_and_tasks_agree::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

/// Values and indices in any number of tasks, on one thread and on several.
#[test]
fn indexed_runs_agree() {
    let mut rng = Rng::named("indexed");
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
        let pool = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]);
        let plan = pool.plan_indexed::<i64>(IndexKind::Plane, layout, [2, 32, 57, 61]).expect("a valid layer");
        let src = Fill::Nans.tensor::<f32>(plan.input_len(), &mut rng);
        let (want, want_at) = plan.run_vec(&src).expect("a valid run");
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for pool in &pools {
            for tasks in [None, Some(0), Some(2), Some(7), Some(usize::MAX)] {
                let (mut got, mut at) = (vec![poison::<f32>(); want.len()], vec![-7; want.len()]);
                let done = pool.install(|| match tasks {
                    None => plan.run_parallel(&src, &mut got, &mut at),
                    Some(tasks) => plan.run_parallel_in(tasks, &src, &mut got, &mut at),
                });
                assert_eq!((done, bits(&got), &at), (Ok(()), bits(&want), &want_at), "{plan:?} in {tasks:?} tasks");
            }
        }
    }
}

/// Adaptive windows of every kind of element's sums, with bounds and without, on every tier.
#[test]
fn adaptive_runs_agree() {
    let mut rng = Rng::named("adaptive");
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
        for (shape, output) in [([2, 16, 23, 29], [6, 7]), ([1, 8, 60, 40], [3, 2]), ([3, 8, 13, 5], [1, 1])] {
            for tier in tiers::available() {
                let max = AdaptiveMaxPool::<f32>::new(output).tier(tier);
                let avg = AdaptiveAvgPool::<f32>::new(output).tier(tier);
                let plans = [
                    max.plan(layout, shape),
                    max.clamp(-0.5, 0.25).plan(layout, shape),
                    avg.plan(layout, shape),
                    avg.clamp(-0.125, 0.0).plan(layout, shape),
                ];
                for plan in plans.map(|plan| plan.expect("a valid layer")) {
                    let src = Fill::Pattern.tensor::<f32>(plan.input_len(), &mut rng);
                    let want = bits(&plan.run_vec(&src).expect("a valid run"));
                    for most in [0, 2, 7, usize::MAX] {
                        for pool in &pools {
                            let mut got = vec![poison::<f32>(); want.len()];
                            let done = pool.install(|| plan.run_parallel_in(most, &src, &mut got));
                            assert_eq!((done, bits(&got)), (Ok(()), want.clone()), "{plan} in {most} tasks");
                        }
                        let (mut got, tasks) = (vec![poison::<f32>(); want.len()], plan.tasks(most));
                        for task in (0..tasks.len()).rev() {
                            plan.run_task(&tasks, task, &src, &mut got[tasks.range(task)]).expect("a valid task");
                        }
                        assert_eq!(bits(&got), want, "{plan}, {tasks:?}");
                    }
                }
            }
        }
    }
}

/// Fractional windows, of whose rows a task has some.
#[test]
fn fractional_runs_agree() {
    let mut rng = Rng::named("fractional");
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
        for (shape, output) in [([2, 16, 23, 29], [11, 13]), ([1, 8, 17, 600], [9, 291])] {
            let pool = FractionalMaxPool::<f32>::new([2, 3], output);
            for plan in [pool.plan(layout, shape), pool.clamp(-0.5, 0.25).plan(layout, shape)] {
                let plan = plan.expect("a valid layer");
                let src = Fill::Nans.tensor::<f32>(plan.input_len(), &mut rng);
                let samples: Vec<f32> = (0..plan.samples_len()).map(|_| (rng.bits() % 997) as f32 / 997.0).collect();
                let want = bits(&plan.run_vec(&src, &samples).expect("a valid run"));
                for most in [0, 2, 7, usize::MAX] {
                    for pool in &pools {
                        let mut got = vec![poison::<f32>(); want.len()];
                        let done = pool.install(|| plan.run_parallel_in(most, &src, &samples, &mut got));
                        assert_eq!((done, bits(&got)), (Ok(()), want.clone()), "{plan:?} in {most} tasks");
                    }
                    let (mut got, tasks) = (vec![poison::<f32>(); want.len()], plan.tasks(most));
                    for task in (0..tasks.len()).rev() {
                        plan.run_task(&tasks, task, &src, &samples, &mut got[tasks.range(task)]).expect("a valid task");
                    }
                    assert_eq!(bits(&got), want, "{plan:?}, {tasks:?}");
                }
            }
        }
    }
}

/// Unpooling, of which a task has some planes, or images, or all where indices count in the whole tensor.
#[test]
fn unpooled_runs_agree() {
    let mut rng = Rng::named("unpooled");
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let (shape, places) = ([5, 16, 7, 9], 15 * 20);
    for (layout, planes) in [(Layout::Nchw, 80), (Layout::Nhwc, 5), (Layout::Blocked(8), 10)] {
        for (kind, most) in [(IndexKind::Plane, planes), (IndexKind::Tensor, 1)] {
            for pool in [MaxUnpool::<u16>::to([15, 20]), MaxUnpool::to([15, 20]).padded_to([16, 20])] {
                let plan = pool.indices(kind).plan::<i32>(layout, shape).expect("a valid layer");
                let src = Fill::Bits.tensor::<u16>(plan.input_len(), &mut rng);
                let indices: Vec<i32> = src.iter().map(|_| (rng.bits() % places) as i32).collect();
                let mut want = vec![0; plan.output_len()];
                plan.run(&src, &indices, &mut want).expect("a valid run");
                assert_eq!(plan.tasks(usize::MAX).len(), most, "{plan:?}");
                for most in [0, 2, 7, usize::MAX] {
                    for pool in &pools {
                        let mut got = vec![7; want.len()];
                        let done = pool.install(|| plan.run_parallel_in(most, &src, &indices, &mut got));
                        assert_eq!((done, &got), (Ok(()), &want), "{plan:?} in {most} tasks");
                    }
                    let (mut got, tasks) = (vec![7; want.len()], plan.tasks(most));
                    for task in (0..tasks.len()).rev() {
                        plan.run_task(&tasks, task, &src, &indices, &mut got[tasks.range(task)]).expect("a valid task");
                    }
                    assert_eq!(got, want, "{plan:?}, {tasks:?}");
                }
                // A bad index is found before a thread writes; a task looks at its own.
                let (mut bad, mut got) = (indices.clone(), vec![7; want.len()]);
                bad[src.len() - 1] = i32::MAX;
                let Err(error) = plan.run_parallel_in(7, &src, &bad, &mut got) else { panic!("{plan:?}") };
                assert!(matches!(error, Error::IndexOutOfRange { at, .. } if at == src.len() - 1), "{plan:?}: {error}");
                let tasks = plan.tasks(3);
                let last = tasks.range(tasks.len() - 1);
                assert_eq!(plan.run_task(&tasks, tasks.len() - 1, &src, &bad, &mut got[last]), Err(error), "{plan:?}");
                assert!(got.iter().all(|value| *value == 7), "{plan:?}");
                let refused = plan.run_task(&tasks, tasks.len(), &src, &indices, &mut []);
                assert_eq!(refused, Err(Error::TaskOutOfRange { task: tasks.len(), tasks: tasks.len() }));
            }
        }
    }
}

/// Runs a gradient whole, in tasks from the last to the first, and on pools: always the same bytes, and nothing between them.
macro_rules! gradient_agrees {
    ($plan:expr, $pools:expr, $run:ident by [$($each:expr),+], parallel by $parallel:expr) => {{
        let (plan, len) = (&$plan, $plan.input_len());
        let bits = |values: &[_]| bytemuck::cast_slice::<_, u8>(values).to_vec();
        let mut want = vec![poison(); len];
        plan.$run($($each,)+ &mut want).expect("a valid run");
        for most in [0, 2, 7, usize::MAX] {
            for pool in $pools {
                let mut got = vec![poison(); len];
                let done = pool.install(|| $parallel(most, &mut got));
                assert_eq!((done, bits(&got)), (Ok(()), bits(&want)), "{plan:?} in {most} tasks");
            }
            let (mut got, tasks) = (vec![poison(); len], plan.tasks(most));
            for task in (0..tasks.len()).rev() {
                plan.run_task(&tasks, task, $($each,)+ &mut got[tasks.range(task)]).expect("a valid task");
            }
            assert_eq!(bits(&got), bits(&want), "{plan:?}, {tasks:?}");
        }
        let tasks = plan.tasks(3);
        let refused = plan.run_task(&tasks, tasks.len(), $($each,)+ &mut []);
        assert_eq!(refused, Err(Error::TaskOutOfRange { task: tasks.len(), tasks: tasks.len() }));
        let refused = plan.run_task(&tasks, 0, $($each,)+ &mut []);
        let need = tasks.range(0).len();
        assert_eq!(refused, Err(Error::GradientLen { of: "input", need, got: 0 }));
    }};
}

/// Gradients, of which a task has some planes, or images: by rows, by a scatter and one by one.
fn gradients_agree<T: Sample + lanepool::Float>() {
    let mut rng = Rng::named(&format!("gradients of {}", T::NAME));
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let shape = [3, 16, 11, 13];
    for (layout, planes) in [(Layout::Nchw, 48), (Layout::Nhwc, 3), (Layout::Blocked(8), 6)] {
        for (kernel, stride, padding) in [(3, 2, 1), (2, 2, 0), (3, 1, 1)] {
            // Pixels, rows and planes with something between them, and none.
            let strides = |[height, width]: [usize; 2]| match layout {
                Layout::Nchw => [16 * (height * (width + 2) + 5) + 3, height * (width + 2) + 5, width + 2, 1],
                Layout::Nhwc => [height * (width + 1) * 17 + 4, 1, (width + 1) * 17, 17],
                _ => [2 * height * width * 8 + 9, height * width * 8, width * 8, 8],
            };
            let output = [11, 13].map(|n| (n + 2 * padding - kernel) / stride + 1);
            for both in [None, Some((strides([11, 13]), strides(output)))] {
                let what = format!("{layout}, {kernel}/{stride}+{padding}, {both:?}");
                let numbers = |len| Fill::Pattern.tensor::<T>(len, &mut Rng::named(&what));
                let max = MaxPool::<T>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]);
                for kind in [IndexKind::Plane, IndexKind::Tensor, IndexKind::Tap] {
                    let plan = match both {
                        None => max.backward::<i32>(kind, layout, shape),
                        Some((input, output)) => max.backward_strided::<i32>(kind, layout, shape, input, output),
                    };
                    let plan = plan.expect("a valid layer");
                    assert_eq!(plan.tasks(usize::MAX).len(), planes, "{what}");
                    let (input, gradient) = (numbers(plan.input_len()), numbers(plan.output_len()));
                    let (mut indices, mut first) = (vec![0; plan.output_len()], vec![poison(); plan.input_len()]);
                    plan.run_from_input(&input, &gradient, &mut indices, &mut first).expect("a valid run");
                    gradient_agrees!(plan, &pools, run by [&gradient, &indices], parallel by |most, got: &mut Vec<T>| {
                        plan.run_parallel_in(most, &gradient, &indices, got)
                    });
                    // A bad index is found before a thread writes; a task looks at its own.
                    let (mut bad, mut got) = (indices.clone(), vec![poison::<T>(); plan.input_len()]);
                    *bad.last_mut().expect("some indices") = i32::MAX;
                    let Err(error) = plan.run_parallel_in(7, &gradient, &bad, &mut got) else { panic!("{what}") };
                    assert!(
                        matches!(error, Error::IndexOutOfRange { at, .. } if at == bad.len() - 1),
                        "{what}: {error}"
                    );
                    let tasks = plan.tasks(3);
                    let last = tasks.range(tasks.len() - 1);
                    let done = plan.run_task(&tasks, tasks.len() - 1, &gradient, &bad, &mut got[last]);
                    assert_eq!(done, Err(error), "{what}");
                    let clean = poison::<T>().bits();
                    assert!(got.iter().all(|value| value.bits() == clean), "{what}");
                    let first = tasks.range(0);
                    assert_eq!(plan.run_task(&tasks, 0, &gradient, &bad, &mut got[first]), Ok(()), "{what}");
                }
                let avg = AvgPool::<T>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]);
                let plan = match both {
                    None => avg.backward(layout, shape),
                    Some((input, output)) => avg.backward_strided(layout, shape, input, output),
                };
                let plan = plan.expect("a valid layer");
                let gradient = numbers(plan.output_len());
                gradient_agrees!(plan, &pools, run by [&gradient], parallel by |most, got: &mut Vec<T>| {
                    plan.run_parallel_in(most, &gradient, got)
                });
                for p in [1.0, 2.0, 3.0, 0.5, f64::INFINITY] {
                    let norm = LpPool::<T>::new([kernel; 2]).stride([stride; 2]).padding([padding; 2]).p(p);
                    let plan = match both {
                        None => norm.backward(layout, shape),
                        Some((input, output)) => norm.backward_strided(layout, shape, input, output),
                    };
                    let plan = plan.expect("a valid layer");
                    let (input, gradient) = (numbers(plan.input_len()), numbers(plan.output_len()));
                    let output = Fill::Pattern.tensor::<T>(plan.output_len(), &mut rng);
                    gradient_agrees!(plan, &pools, run by [&input, &output, &gradient], parallel by |most, got: &mut Vec<T>| {
                        plan.run_parallel_in(most, [&input, &output, &gradient], got)
                    });
                }
            }
        }
    }
}

macro_rules! gradient_tests {
    ($($name:ident: $T:ty),+ $(,)?) => {
        mod gradients_agree {
            $(
                #[test]
                fn $name() {
                    super::gradients_agree::<$T>();
                }
            )+
        }
    };
}

gradient_tests! { f32: f32, f64: f64, bf16: half::bf16 }

/// Layers long enough for `run_parallel` to cut them by itself.
#[test]
fn large_layers_are_cut() {
    let mut rng = Rng::named("large");
    for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
        let square = |op, k: usize, s: usize, p: usize| {
            Layer::new(op, layout, &[2, 64, 57, 61], &[k, k]).stride(&[s, s]).padding(&[p, p])
        };
        for layer in [
            square(Op::Max(Nan::Propagate), 3, 2, 1),
            square(Op::Avg, 3, 1, 1),
            square(Op::Avg, 13, 1, 6),
            Layer::global(Op::Avg, layout, &[2, 512, 33, 35]),
            Layer::global(Op::Avg, layout, &[1, 8, 701, 353]),
            Layer::global(Op::Max(Nan::Propagate), layout, &[1, 8, 701, 353]),
        ] {
            let src = Fill::Bits.tensor::<f32>(layer.input_len(), &mut rng);
            let plan = layer.plan::<f32>(None).unwrap_or_else(|error| panic!("{layer}: {error}"));
            let want = plan.run_vec(&src).expect("a valid run");
            for threads in [1, 2, 3, 7] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut got = vec![poison::<f32>(); want.len()];
                assert_eq!(pool.install(|| plan.run_parallel(&src, &mut got)), Ok(()));
                compare(&layer, plan.tier(), plan.kernel(), &plan.output_shape(), &got, &want);
            }
        }
    }
}

/// Slices of the wrong length are refused before any task starts: nothing is written.
#[test]
fn a_refused_run_writes_nothing() {
    let layer = Layer::new(Op::Avg, Layout::Nchw, &[2, 64, 57, 61], &[3, 3]);
    let plan = layer.plan::<f32>(None).expect("a valid layer");
    let src = vec![1.0; plan.input_len()];
    let (need, len) = (plan.input_len(), plan.output_len());
    let mut dst = vec![poison::<f32>(); len + 1];
    assert_eq!(plan.run_parallel(&src[1..], &mut dst[1..]), Err(Error::SrcLen { need, got: need - 1 }));
    for got in [len - 1, len + 1, 0] {
        assert_eq!(plan.run_parallel(&src, &mut dst[..got]), Err(Error::DstLen { need: len, got }));
    }
    assert!(dst.iter().all(|y| y.to_bits() == poison::<f32>().to_bits()));
}

/// One plane pooled whole has one output, and still more than one thread computes it: each end of the plane can be read only
/// while another thread reads the other.
#[cfg(target_os = "linux")]
#[test]
fn threads_share_a_long_plane() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    for op in [Op::Avg, Op::Max(Nan::Propagate)] {
        let layer = Layer::global(op, Layout::Nchw, &[1, 1, 2048, 2048]);
        let plan = layer.plan::<f32>(None).expect("a valid layer");
        let mut dst = [0.0];
        let [first, last] = meeting::read_by(&vec![1.0_f32; plan.input_len()], |src| {
            assert_eq!(pool.install(|| plan.run_parallel(src, &mut dst)), Ok(()));
        });
        assert_eq!(dst, [1.0], "{plan}");
        assert!(first != last && first != 0 && last != 0, "{plan}: threads {first} and {last}");
    }
}

/// On paper, how well the layers of the benchmarks fill 64 threads: the tasks of a run, and the share of the threads' time that
/// is work where every row takes as long and an idle thread takes the next task. `--nocapture` prints the table.
#[test]
fn large_layers_fill_64_threads() {
    const THREADS: usize = 64;
    let list: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../benches/layers.json")).expect("a list of layers");
    let numbers = |layer: &serde_json::Value, key: &str| -> Option<Vec<usize>> {
        let values = layer[key].as_array()?.iter();
        values.map(|value| value.as_u64().map(|value| value as usize)).collect()
    };
    println!("{:28} {:>5} {:>8} {:>5} {:>6} {:>5}", "layer", "", "bytes", "tasks", "filled", "used");
    // Whatever a plain window computes is cut as a maximum is.
    let is_plain = |case: &&serde_json::Value| ["max", "min", "avg", "sum"].iter().any(|op| case["op"] == *op);
    for case in list.iter().filter(is_plain) {
        let name = case["name"].as_str().expect("a name");
        let pool = numbers(case, "kernel").map_or_else(MaxPool::<f32>::global, MaxPool::new);
        let pool = numbers(case, "stride").iter().fold(pool, |pool, stride| pool.stride(stride));
        let pool = numbers(case, "padding").iter().fold(pool, |pool, padding| pool.padding(padding));
        let shape = numbers(case, "shape").expect("a shape");
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let plan = pool.plan(layout, &shape).expect("a valid layer");
            let bytes = (plan.input_len() + plan.output_len()) * size_of::<f32>();
            let worth = Tasks::worth(bytes, THREADS);
            let tasks = plan.tasks(worth);
            let longest = tasks.range(0).len();
            let rounds = tasks.len().div_ceil(THREADS);
            // Of the threads that have a task at all, and of all 64.
            let ideal = plan.output_len() as f64 / (rounds * longest) as f64;
            let (busy, used) = (ideal / tasks.len().min(THREADS) as f64, ideal / THREADS as f64);
            println!("{name:28} {layout} {bytes:8} {:5} {busy:6.2} {used:5.2}", tasks.len());
            assert!(tasks.len() <= worth && worth <= 4 * THREADS, "{name} {layout}");
            assert!(bytes / tasks.len() >= 256 << 10 || tasks.len() == 1, "{name} {layout}: tasks too small to pay");
            // Tasks are as even as whole rows allow.
            assert!(tasks.len() < 2 || busy >= 0.7, "{name} {layout}: {} tasks fill {busy}", tasks.len());
        }
    }
}
