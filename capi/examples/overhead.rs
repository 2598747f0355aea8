//! What a call through the C interface costs beside the same call in Rust: a layer so small that the call is all there is.
//!
//!     cargo run --release -p lanepool-capi --example overhead

use std::hint::black_box;
use std::ptr::null_mut;
use std::time::Instant;

use lanepool::{Layout, MaxPool};
use lanepool_capi::*;

const CALLS: u32 = 1_000_000;

/// Nanoseconds of one call: the best of several rounds.
fn time(mut call: impl FnMut()) -> f64 {
    let rounds = (0..9).map(|_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn main() {
    let (x, mut y) = ([1.0_f32, 2.0, 3.0, 4.0], [0.0_f32]);
    let rust = MaxPool::<f32>::new([2, 2]).plan(Layout::Nchw, [1, 1, 2, 2]).expect("a valid layer");
    let in_rust = time(|| rust.run(black_box(&x), black_box(&mut y)).expect("a valid run"));

    let mut plan = null_mut();
    // SAFETY: a description with its size, and a place for the plan.
    unsafe {
        let mut desc = core::mem::zeroed();
        assert_eq!(lanepool_desc_init(&mut desc, size_of::<lanepool_desc>()), LANEPOOL_OK);
        (desc.operation, desc.element) = (LANEPOOL_MAX, LANEPOOL_F32);
        desc.shape[..4].copy_from_slice(&[1, 1, 2, 2]);
        desc.kernel = [2, 2, 0];
        assert_eq!(lanepool_plan_create(&desc, &mut plan, null_mut()), LANEPOOL_OK);
    }
    let through_c = time(|| {
        let (src, dst) = (black_box(&x).as_ptr(), black_box(&mut y).as_mut_ptr());
        // SAFETY: a plan, and slices with their own lengths.
        let status = unsafe { lanepool_plan_run(black_box(plan), src.cast(), 16, dst.cast(), 4, null_mut()) };
        assert_eq!(status, LANEPOOL_OK);
    });
    // SAFETY: a plan, destroyed once.
    unsafe { lanepool_plan_destroy(plan) };
    println!("1x1x2x2: {in_rust:.1} ns in Rust, {through_c:.1} ns through C, {:.1} ns more", through_c - in_rust);
}
