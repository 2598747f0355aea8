//! The C interface as a C program would use it, for tests: pointers and lengths, and no more.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use core::ffi::{c_char, c_void};
use core::ptr::{null, null_mut};

use lanepool_capi::*;

/// A description with defaults.
pub fn desc(operation: i32, element: i32, shape: &[i64]) -> lanepool_desc {
    let mut desc = core::mem::MaybeUninit::uninit();
    // SAFETY: as many bytes as the structure has.
    let mut desc = unsafe {
        assert_eq!(lanepool_desc_init(desc.as_mut_ptr(), size_of::<lanepool_desc>()), LANEPOOL_OK);
        desc.assume_init()
    };
    (desc.operation, desc.element) = (operation, element);
    desc.spatial_axes = i32::try_from(shape.len() - 2).expect("a small number");
    desc.shape[..shape.len()].copy_from_slice(shape);
    desc
}

/// The description of a one-dimensional layer: windows of 2 that move by 2.
pub fn pairs(operation: i32, element: i32, len: i64) -> lanepool_desc {
    let mut desc = desc(operation, element, &[1, 1, len]);
    (desc.kernel[0], desc.stride[0]) = (2, 2);
    desc
}

/// What a call came to: its status and its sentence.
pub fn told(call: impl FnOnce(*mut lanepool_text) -> lanepool_status) -> (lanepool_status, String) {
    let mut memory = [0x55_u8; 1024];
    let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes: memory.len(), needed: 0 };
    let status = call(&mut text);
    let end = memory.iter().position(|byte| *byte == 0).expect("a text that ends");
    assert_eq!(text.needed, end + 1, "the whole sentence fits");
    (status, String::from_utf8(memory[..end].to_vec()).expect("UTF-8"))
}

/// A plan that is destroyed at the end.
#[derive(Debug)]
pub struct Plan(pub *mut lanepool_plan);

// SAFETY: a plan is used by many threads at a time, which is what is tested.
unsafe impl Sync for Plan {}

impl Plan {
    pub fn new(desc: &lanepool_desc) -> Result<Self, (lanepool_status, String)> {
        let mut plan = null_mut();
        // SAFETY: a description and a place for a plan.
        let told = told(|error| unsafe { lanepool_plan_create(desc, &mut plan, error) });
        assert_eq!(plan.is_null(), told.0 != LANEPOOL_OK, "{told:?}");
        if told.0 == LANEPOOL_OK { Ok(Self(plan)) } else { Err(told) }
    }

    pub fn info(&self) -> lanepool_info {
        let mut info = core::mem::MaybeUninit::uninit();
        // SAFETY: as many bytes as the structure has.
        unsafe {
            let status = lanepool_plan_info(self.0, info.as_mut_ptr(), size_of::<lanepool_info>(), null_mut());
            assert_eq!(status, LANEPOOL_OK);
            info.assume_init()
        }
    }

    pub fn run<T, U>(&self, src: &[T], dst: &mut [U]) -> (lanepool_status, String) {
        told(|error| {
            // SAFETY: slices with their own lengths.
            unsafe {
                lanepool_plan_run(
                    self.0,
                    src.as_ptr().cast(),
                    size_of_val(src),
                    dst.as_mut_ptr().cast(),
                    size_of_val(dst),
                    error,
                )
            }
        })
    }

    pub fn run_with_indices<T, U, I>(&self, src: &[T], dst: &mut [U], indices: &mut [I]) -> (lanepool_status, String) {
        told(|error| {
            // SAFETY: slices with their own lengths.
            unsafe {
                lanepool_plan_run_with_indices(
                    self.0,
                    src.as_ptr().cast(),
                    size_of_val(src),
                    dst.as_mut_ptr().cast(),
                    size_of_val(dst),
                    indices.as_mut_ptr().cast(),
                    size_of_val(indices),
                    error,
                )
            }
        })
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody uses it any more.
        unsafe { lanepool_plan_destroy(self.0) };
    }
}

/// A pointer and its bytes, as arguments.
pub fn given<T>(slice: &[T]) -> (*const c_void, usize) {
    (slice.as_ptr().cast(), size_of_val(slice))
}

pub fn lent<T>(slice: &mut [T]) -> (*mut c_void, usize) {
    (slice.as_mut_ptr().cast(), size_of_val(slice))
}

pub const NOTHING: (*const c_void, usize) = (null(), 0);
pub const NOWHERE: (*mut c_void, usize) = (null_mut(), 0);

pub fn ok() -> (lanepool_status, String) {
    (LANEPOOL_OK, String::new())
}
