//! "The same plan attributes and the same input give the same bytes … for any number of threads or tasks."

#[macro_use]
mod common;

use common::check::{compare, poison};
use common::layer::OPS;
use common::{Fill, Layer, Nan, Op, Rng, Sample, tiers};
use lanepool::{Error, IndexKind, Layout, MaxPool, Tier};

/// Layers of every walk, with a prime number of rows here and there, so that parts are of unequal length.
fn layers() -> Vec<Layer> {
    use Layout::{Blocked, Nchw, Nhwc};
    let square = |layout, shape: [usize; 4], k: usize, s: usize, p: usize| {
        Layer::new(Op::Sum, layout, &shape, &[k, k]).stride(&[s, s]).padding(&[p, p])
    };
    vec![
        square(Nchw, [2, 3, 23, 29], 3, 2, 1),
        square(Nchw, [1, 5, 17, 19], 2, 2, 0),
        square(Nchw, [1, 3, 31, 18], 5, 1, 2),
        square(Nchw, [1, 2, 29, 37], 13, 1, 6),
        square(Nhwc, [1, 37, 13, 11], 3, 1, 1),
        square(Nhwc, [2, 3, 19, 11], 9, 1, 4),
        square(Blocked(8), [1, 24, 11, 9], 3, 2, 1),
        square(Nchw, [1, 3, 7, 5], 1, 1, 2).allow_empty(),
        Layer::new(Op::Sum, Nchw, &[1, 2, 5, 7, 9], &[2, 3, 2]).stride(&[1, 2, 1]),
        Layer::new(Op::Sum, Nchw, &[1, 7, 1001], &[3]).stride(&[3]),
        Layer::global(Op::Sum, Nchw, &[3, 37, 9, 7]),
        Layer::global(Op::Sum, Nhwc, &[5, 37, 4, 4]),
    ]
}

/// Every tier on 1, 2, 3 and 7 threads, in fewer, as many and more tasks than there are threads, rows or windows.
fn threads_and_tasks_agree<T: Sample>() {
    let mut rng = Rng::named("threads");
    let pools = [1, 2, 3, 7].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    for layer in layers() {
        for (_, op) in OPS {
            let layer = Layer { op, ..layer.clone() };
            let src = Fill::Bits.tensor::<T>(layer.input_len(), &mut rng);
            let scalar = layer.plan::<T>(Some(Tier::Scalar)).unwrap_or_else(|error| panic!("{layer}: {error}"));
            let want = scalar.run_vec(&src).expect("a valid run");
            for tier in tiers::available() {
                let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                for pool in &pools {
                    for tasks in [0, 1, 2, 3, 7, 50, usize::MAX] {
                        let mut got = vec![poison::<T>(); want.len()];
                        let done = pool.install(|| plan.run_parallel_in(tasks, &src, &mut got));
                        assert_eq!(done, Ok(()), "{plan} in {tasks} tasks");
                        compare(&layer, tier, plan.kernel(), &plan.output_shape(), &got, &want);
                    }
                }
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
