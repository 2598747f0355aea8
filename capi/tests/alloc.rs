//! "The library allocates when it plans and clones, never in a run."

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Plan, pairs};
use lanepool_capi::*;

/// Counts what the calling thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

#[test]
fn runs_do_not_allocate() {
    let (src, mut dst, mut at) = ([1.0_f32, 3.0, 2.0, 2.0, 7.0, 0.0], [0.0_f32; 3], [0_i32; 3]);
    let plan = Plan::new(&pairs(LANEPOOL_AVG, LANEPOOL_F32, 6)).expect("a valid layer");
    let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    let indexed = Plan::new(&indexed).expect("a valid layer");
    let mut memory = [0_u8; 64];
    let mut error = lanepool_text { data: memory.as_mut_ptr().cast(), bytes: memory.len(), needed: 0 };
    let (from, to) = (src.as_ptr().cast(), dst.as_mut_ptr().cast());
    let (nowhere, found) = (core::ptr::null_mut(), at.as_mut_ptr().cast());
    // SAFETY: slices with their own lengths.
    let runs = allocations(|| unsafe {
        assert_eq!(lanepool_plan_run(plan.0, from, 24, to, 12, &mut error), LANEPOOL_OK);
        let tasks = lanepool_plan_tasks(plan.0, 3);
        for task in 0..tasks {
            let status = lanepool_plan_run_task(plan.0, tasks, task, from, 24, to, 12, nowhere, 0, &mut error);
            assert_eq!(status, LANEPOOL_OK);
        }
        let status = lanepool_plan_run_with_indices(indexed.0, from, 24, to, 12, found, 12, &mut error);
        assert_eq!(status, LANEPOOL_OK);
        assert_eq!(lanepool_plan_run_indices(indexed.0, from, 24, found, 12, &mut error), LANEPOOL_OK);
    });
    assert_eq!(runs, 0, "a run allocated");
    // The count does count.
    assert!(allocations(|| drop(Plan::new(&pairs(LANEPOOL_AVG, LANEPOOL_F32, 6)))) > 0);
}
