//! "The same plan attributes and the same input give the same bytes … for any number of threads or tasks."

mod common;

use common::Rng;
use lanepool::{AvgPool, Layout, MaxPool, Plan, Result};

fn same_bytes(plan: Result<Plan<f32>>) {
    let plan = plan.expect("a plan");
    let mut rng = Rng::new(7);
    let src: Vec<f32> = (0..plan.input_len()).map(|_| f32::from_bits(rng.bits() as u32)).collect();
    let want: Vec<u32> = plan.run_vec(&src).expect("a run").into_iter().map(f32::to_bits).collect();
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let mut dst = vec![-1.0; plan.output_len()];
        pool.install(|| plan.run_parallel(&src, &mut dst)).expect("a run");
        assert!(dst.iter().map(|y| y.to_bits()).eq(want.iter().copied()), "{plan} on {threads} threads");
        assert!(pool.install(|| plan.run_parallel(&src, &mut dst[1..])).is_err());
    }
}

#[test]
fn threads_give_the_same_bytes() {
    for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8)] {
        let shape = [2, 64, 57, 61];
        same_bytes(MaxPool::new([3, 3]).stride([2, 2]).padding([1, 1]).plan(layout, shape));
        same_bytes(AvgPool::new([3, 3]).padding([1, 1]).plan(layout, shape));
        same_bytes(AvgPool::new([13, 13]).padding([6, 6]).plan(layout, shape));
        same_bytes(AvgPool::global().plan(layout, [2, 512, 33, 35]));
    }
}
