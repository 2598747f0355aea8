//! Functions that describe a layer, plan it, and tell of a plan.

use crate::build;
use crate::desc::{self, lanepool_desc};
use crate::memory::{Text, lanepool_text};
use crate::plan::{lanepool_info, lanepool_plan};
use crate::spec::Layer;
use crate::status::{Failure, LANEPOOL_NULL_POINTER, LANEPOOL_OK, lanepool_status};
use crate::{boundary, quietly};

/// Fills a description with the defaults. `desc_bytes` is `sizeof(lanepool_desc)` of the header that the caller was compiled with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_desc_init(desc: *mut lanepool_desc, desc_bytes: usize) -> lanepool_status {
    // SAFETY: no text is given.
    unsafe {
        boundary(core::ptr::null_mut(), || {
            let defaults = lanepool_desc { struct_size: desc_bytes as u64, ..lanepool_desc::default() };
            // SAFETY: promise 1 for `desc`.
            desc::give(&defaults, desc, desc_bytes)
        })
    }
}

/// Plans a layer. On success `*plan` is a plan, to be destroyed by `lanepool_plan_destroy`; otherwise it is null.
///
/// `error` may be null. Otherwise the sentence that says what is wrong is written there, and on success an empty one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_create(
    desc: *const lanepool_desc,
    plan: *mut *mut lanepool_plan,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, for `desc` and `plan`.
    unsafe {
        boundary(error, || {
            hand_over(plan, || {
                let layer = Layer::new(&desc::read(desc)?)?;
                Ok(lanepool_plan::new(build::plan(&layer)?, build::padding(&layer)?))
            })
        })
    }
}

/// Writes to `*info` what a plan of the description would tell: the output's shape, the bytes of
/// every buffer, the padding. A plan is made for it and thrown away, so that whatever is wrong is
/// said here too, and a call is as dear as `lanepool_plan_create`.
///
/// Strides are not asked for: `strided` is taken for 0, so that they can be made from the shapes.
/// The bytes are those of tensors side by side.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_desc_info(
    desc: *const lanepool_desc,
    info: *mut lanepool_info,
    info_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, for `desc` and `info`.
    unsafe {
        boundary(error, || {
            let desc = desc::read(desc)?;
            let layer = Layer::new(&desc.side_by_side())?;
            let facts = build::plan(&layer)?.facts();
            desc::give(&lanepool_info::new(&facts, &build::padding(&layer)?), info, info_bytes)
        })
    }
}

/// Makes another plan that is the same and is destroyed by itself. Cheap: they share what they are made of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_clone(
    plan: *const lanepool_plan,
    clone: *mut *mut lanepool_plan,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, for `clone`, and promise 3 for `plan`.
    unsafe {
        boundary(error, || {
            hand_over(clone, || {
                lanepool_plan::look(plan)?;
                // A plan, as was just found.
                Ok((*plan).another())
            })
        })
    }
}

/// Puts a new plan where the caller wants it, or null.
///
/// # Safety
/// `to` is null, or promise 1 holds for it.
unsafe fn hand_over(
    to: *mut *mut lanepool_plan,
    make: impl FnOnce() -> Result<lanepool_plan, Failure>,
) -> Result<(), Failure> {
    if to.is_null() {
        return Err(Failure::null("place for the plan"));
    }
    if !to.is_aligned() {
        return Err(Failure::misaligned("place for the plan", align_of::<*mut lanepool_plan>()));
    }
    // SAFETY: not null and aligned; there, by the contract.
    unsafe { to.write(core::ptr::null_mut()) };
    let plan = Box::into_raw(Box::new(make()?));
    // SAFETY: the same.
    unsafe { to.write(plan) };
    Ok(())
}

/// Destroys a plan. Null is fine. No call may be using the plan, and none may use it afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_destroy(plan: *mut lanepool_plan) {
    if !plan.is_null() {
        // SAFETY: promise 3: created, not yet destroyed, in nobody's use.
        quietly(|| unsafe { lanepool_plan::destroy(plan) });
    }
}

/// Writes the shapes, sizes and properties of a plan to `*info`. `info_bytes` is `sizeof(lanepool_info)` of the header that the caller was
/// compiled with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_info(
    plan: *const lanepool_plan,
    info: *mut lanepool_info,
    info_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, for `info`, and promise 3 for `plan`.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            desc::give(&lanepool_info::new(&plan.facts, &plan.padding), info, info_bytes)
        })
    }
}

/// Writes a description of a plan for logs, such as "max f32 nchw 3x3/2+1 -> rows, avx2" with a real arrow. Null for `text` is an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_describe(
    plan: *const lanepool_plan,
    text: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 3 for `plan`, promise 1 for `text`.
    unsafe { tell(text, || Ok(&*lanepool_plan::look(plan)?.facts.description)) }
}

/// Writes the name of the driver that visits a plan's windows, such as "rows". Null for `text` is an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_kernel(plan: *const lanepool_plan, text: *mut lanepool_text) -> lanepool_status {
    // SAFETY: promise 3 for `plan`, promise 1 for `text`.
    unsafe { tell(text, || Ok(lanepool_plan::look(plan)?.facts.kernel)) }
}

/// Writes a text that was asked for, or what went wrong, to the same place.
///
/// # Safety
/// `text` is null, or promise 1 holds for it and for its memory.
unsafe fn tell<'a>(text: *mut lanepool_text, what: impl FnOnce() -> Result<&'a str, Failure>) -> lanepool_status {
    if text.is_null() {
        return LANEPOOL_NULL_POINTER;
    }
    let mut told = "";
    // SAFETY: the same contract.
    let status = unsafe {
        boundary(text, || {
            told = what()?;
            Ok(())
        })
    };
    if status == LANEPOOL_OK {
        // SAFETY: the same contract; `boundary` has looked at it.
        if let Ok(text) = unsafe { Text::new(text) } {
            // SAFETY: the same; no slice is in use.
            unsafe { text.write(told) };
        }
    }
    status
}
