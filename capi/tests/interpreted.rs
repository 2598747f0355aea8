//! The Rust side of the C interface on small layers, for an interpreter of Rust: `scripts/miri` runs these under Miri, which sees what
//! becomes of the pointers that C gives. `cargo test` runs them too.

mod common;

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use common::{NOTHING, NOWHERE, Plan, desc, given, lent, ok, told};
use lanepool_capi::*;

/// A plane of 6 × 5 in two channels, 3 × 3 windows that move by 2.
fn layer(operation: i32, element: i32) -> lanepool_desc {
    let mut desc = desc(operation, element, &[1, 2, 6, 5]);
    (desc.kernel, desc.stride) = ([3, 3, 0], [2, 2, 0]);
    desc.pad_begin = [1, 1, 0];
    desc
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7 % 31) as f32 - 9.0).collect()
}

/// Values, whole and task by task, into memory that held nothing: what is read afterwards was written.
#[test]
fn values_whole_and_in_tasks() {
    for operation in [LANEPOOL_MAX, LANEPOOL_MIN, LANEPOOL_AVG, LANEPOOL_SUM, LANEPOOL_LP] {
        for layout in [LANEPOOL_NCHW, LANEPOOL_NHWC] {
            let plan = Plan::new(&lanepool_desc { layout, ..layer(operation, LANEPOOL_F32) }).expect("a valid layer");
            let src = numbers(60).into_boxed_slice();
            let mut whole = vec![0_f32; plan.info().output_bytes as usize / 4].into_boxed_slice();
            assert_eq!(plan.run(&src, &mut whole), ok());

            let mut parts: Box<[MaybeUninit<f32>]> = vec![MaybeUninit::uninit(); whole.len()].into_boxed_slice();
            let (dst, dst_bytes) = (parts.as_mut_ptr().cast::<c_void>(), size_of_val(&*parts));
            // SAFETY: a plan.
            let tasks = unsafe { lanepool_plan_tasks(plan.0, 3) };
            assert!(tasks > 1, "nothing to cut");
            for task in (0..tasks).rev() {
                let ((src, src_bytes), (none, no_bytes)) = (given(&src), NOWHERE);
                // SAFETY: buffers with their own lengths; each task writes its own part.
                let status = told(|error| unsafe {
                    lanepool_plan_run_task(plan.0, tasks, task, src, src_bytes, dst, dst_bytes, none, no_bytes, error)
                });
                assert_eq!(status, ok());
            }
            // SAFETY: every task has written its part, and together these are all.
            let parts: Vec<f32> = parts.iter().map(|value| unsafe { value.assume_init() }).collect();
            assert_eq!(parts, whole.to_vec(), "{operation} in tasks");
        }
    }
}

/// Indices, what is undone by them, and the gradient that goes back by them.
#[test]
fn indices_and_back() {
    for (index_type, bytes) in [(LANEPOOL_INDEX_I32, 4), (LANEPOOL_INDEX_I64, 8)] {
        let with_indices = lanepool_desc { index_type, ..layer(LANEPOOL_MAX, LANEPOOL_F32) };
        let plan = Plan::new(&with_indices).expect("a valid layer");
        let (src, count) = (numbers(60), plan.info().output_bytes as usize / 4);
        let (mut values, mut indices) = (vec![0_f32; count], vec![0_u64; count]);
        let indices: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut indices)[..count * bytes];
        assert_eq!(plan.run_with_indices(&src, &mut values, indices), ok());

        let back = Plan::new(&lanepool_desc { direction: LANEPOOL_BACKWARD, ..with_indices }).expect("a valid layer");
        let mut gradient = vec![1_f32; 60];
        let ((grad, grad_bytes), (found, found_bytes)) = (given(&values), given(indices));
        let (to, to_bytes) = lent(&mut gradient);
        // SAFETY: buffers with their own lengths, apart from each other.
        let status = told(|error| unsafe {
            lanepool_plan_backward_max(back.0, grad, grad_bytes, found, found_bytes, to, to_bytes, error)
        });
        assert_eq!(status, ok());
        assert_eq!(gradient.iter().sum::<f32>(), values.iter().sum::<f32>(), "what goes back is what came");
    }
    let mut backward = layer(LANEPOOL_AVG, LANEPOOL_F64);
    backward.direction = LANEPOOL_BACKWARD;
    let plan = Plan::new(&backward).expect("a valid layer");
    let (grad, mut to) = (vec![1_f64; plan.info().output_bytes as usize / 8], vec![0_f64; 60]);
    let ((from, from_bytes), (into, into_bytes)) = (given(&grad), lent(&mut to));
    let status = told(|error| {
        // SAFETY: buffers with their own lengths, apart from each other.
        unsafe { lanepool_plan_backward(plan.0, from, from_bytes, into, into_bytes, error) }
    });
    assert_eq!(status, ok());
}

/// What is wrong is found before anything is read or written through it.
#[test]
fn wrong_buffers_are_not_touched() {
    let plan = Plan::new(&layer(LANEPOOL_MAX, LANEPOOL_F32)).expect("a valid layer");
    let count = plan.info().output_bytes as usize / 4;
    let (src, mut dst) = (numbers(60), vec![7_f32; count]);
    assert_eq!(plan.run(&src[1..], &mut dst).0, LANEPOOL_LENGTH);
    assert_eq!(plan.run(&src, &mut dst[1..]).0, LANEPOOL_LENGTH);
    // Bytes from an odd address on.
    let odd: Vec<u8> = vec![0; 60 * 4 + 8];
    let skip = (1..5).find(|skip| !odd[*skip..].as_ptr().addr().is_multiple_of(4)).expect("an odd address");
    assert_eq!(plan.run(&odd[skip..skip + 240], &mut dst).0, LANEPOOL_MISALIGNED);
    for (src, src_bytes) in [NOTHING, (NOTHING.0, 240)] {
        let (to, to_bytes) = lent(&mut dst);
        // SAFETY: null is what is to be found out.
        let (status, _) = told(|error| unsafe { lanepool_plan_run(plan.0, src, src_bytes, to, to_bytes, error) });
        assert!(status == LANEPOOL_LENGTH || status == LANEPOOL_NULL_POINTER, "{status}");
    }
    // One memory for both.
    let mut both = numbers(60);
    let (to, _) = lent(&mut both);
    // SAFETY: the overlap is what is to be found out.
    let (status, _) = told(|error| unsafe { lanepool_plan_run(plan.0, to, 240, to, count * 4, error) });
    assert_eq!(status, LANEPOOL_OVERLAP);
    assert!(dst.iter().all(|value| *value == 7.0) && both == numbers(60), "a refused run wrote");
}

/// Plans are shared, cloned and destroyed; texts end where their memory does; structures may be shorter than this header's.
#[test]
fn plans_and_texts() {
    let plan = Plan::new(&layer(LANEPOOL_AVG, LANEPOOL_U8)).expect("a valid layer");
    let mut clone = null_mut();
    // SAFETY: a plan, and a place for another.
    assert_eq!(told(|error| unsafe { lanepool_plan_clone(plan.0, &mut clone, error) }), ok());
    let clone = Plan(clone);
    drop(plan);
    let mut memory = [0x55_u8; 24];
    for room in 0..memory.len() {
        let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes: room, needed: 0 };
        // SAFETY: a plan, and a text with its memory.
        assert_eq!(unsafe { lanepool_plan_describe(clone.0, &mut text) }, LANEPOOL_OK);
        assert!(memory[room..].iter().all(|byte| *byte == 0x55), "written beyond {room} bytes");
        assert!(room == 0 || memory[room - 1] == 0 || text.needed < room, "no end within {room} bytes");
        memory.fill(0x55);
    }
    let mut dst = vec![0_u8; clone.info().output_bytes as usize];
    assert_eq!(clone.run(&[9_u8; 60], &mut dst), ok());
    assert!(dst.iter().all(|value| *value == 9));
    // A header that knows less: no field of the structure behind its end is read.
    let whole = layer(LANEPOOL_MAX, LANEPOOL_I32);
    let words = size_of::<lanepool_desc>() / 8;
    for known in [words - 1, words - 10, words - 12] {
        let mut short = vec![0_u64; known].into_boxed_slice();
        // SAFETY: both are at least so long, and the structure has no padding.
        unsafe { core::ptr::copy_nonoverlapping((&raw const whole).cast::<u64>(), short.as_mut_ptr(), known) };
        short[0] = known as u64 * 8;
        let mut made = null_mut();
        // SAFETY: as much of a description as its size says, and a place for a plan.
        let status = told(|error| unsafe { lanepool_plan_create(short.as_ptr().cast(), &mut made, error) });
        assert!(status == ok() || status.0 == LANEPOOL_STRUCT_SIZE, "{known} words: {status:?}");
        if status == ok() {
            drop(Plan(made));
        }
    }
}
