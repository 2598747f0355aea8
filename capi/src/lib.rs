//! The C interface of lanepool. Its users read `include/lanepool.h` and `docs/c.md`; this is how it is made.
//!
//! | file | what it is |
//! |---|---|
//! | `lib.rs` | the functions, each a `boundary` around a few lines |
//! | `status.rs` | what a call comes to |
//! | `codes.rs` | the integers that stand for enumerators |
//! | `desc.rs` | the description of a layer, and what it is checked for |
//! | `build.rs` | from a description to a plan |
//! | `layer.rs` | plans of every kind and type behind one face over bytes |
//! | `plan.rs` | the plan as C holds it, and what it tells |
//! | `memory.rs` | pointers with their lengths |
//! | `float_state.rs` | the floating-point state of a call |
//! | `parallel.rs` | the pool of threads, with the feature `rayon` |
//!
//! # Safety
//!
//! C can promise nothing to the compiler, so every function is unsafe and relies on the promises of `docs/c.md`, which its caller makes:
//!
//! 1. a pointer that is not null points to as many bytes as are given with it, or to the structure that its type names;
//! 2. for the length of a call nobody else writes what the call reads, and nobody else reads or writes what it writes;
//! 3. a plan was created and is not destroyed before the calls that use it have returned.
//!
//! Whatever can be found out without these is found out: null, misaligned, too long, of the wrong length, overlapping. A block of unsafe
//! code names what it relies on.

// Nothing panics, whatever C gives; what does after all stops at the boundary.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests panic"
    )
)]
#![allow(clippy::missing_safety_doc, reason = "one contract for all functions, above; the header's comments are for C")]

mod build;
mod codes;
mod desc;
mod float_state;
mod layer;
mod memory;
#[cfg(feature = "rayon")]
mod parallel;
mod plan;
mod status;

use core::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use codes::*;
pub use desc::lanepool_desc;
pub use memory::lanepool_text;
pub use plan::{lanepool_info, lanepool_plan};
pub use status::*;

use lanepool::Tier;
use layer::{Call, Cut, Part, buffer};
use memory::{Span, Text, apart};
use plan::Shared;
use status::Failure;

/// The version of this header: the first number.
pub const LANEPOOL_VERSION_MAJOR: u32 = 0;
/// The version of this header: the second number.
pub const LANEPOOL_VERSION_MINOR: u32 = 1;
/// The version of this header: the third number.
pub const LANEPOOL_VERSION_PATCH: u32 = 0;

/// Samples and pointers to anything are given as bytes: their alignment is looked at when their type is known.
const ANY: usize = 1;

/// The frame of every call: no panic leaves it, the floating-point state is the default inside, and what went wrong becomes a status and
/// a sentence in the caller's memory.
///
/// # Safety
/// `error` is null, or promise 1 holds for it and for its memory.
unsafe fn boundary(error: *mut lanepool_text, body: impl FnOnce() -> Result<(), Failure>) -> lanepool_status {
    // SAFETY: the same contract.
    let text = match unsafe { Text::new(error) } {
        Ok(text) => text,
        Err(status) => return status,
    };
    let outcome = quietly(body).unwrap_or_else(|| Err(Failure::internal("a panic, which was caught")));
    let (status, sentence) = match &outcome {
        Ok(()) => (LANEPOOL_OK, ""),
        Err(failure) => (failure.status, &*failure.sentence),
    };
    // SAFETY: the same contract; the slices of `body` are gone.
    unsafe { text.write(sentence) };
    status
}

/// Calls `f` in the default floating-point state. `None` where it panicked.
fn quietly<R>(f: impl FnOnce() -> R) -> Option<R> {
    float_state::with_default(|| match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // What a panic carries may panic again when it is dropped.
            core::mem::forget(payload);
            None
        }
    })
}

/// Memory that is read, and memory that is written.
fn bytes<'a>(what: &'static str, pointer: *const c_void, bytes: usize) -> Result<Span<'a>, Failure> {
    Span::new(what, pointer.cast(), bytes, ANY)
}

/// The same for elements of a plan's type, and for its indices.
fn tensor<'a>(plan: &Shared, what: &'static str, pointer: *const c_void, bytes: usize) -> Result<Span<'a>, Failure> {
    Span::new(what, pointer.cast(), bytes, plan.facts.dtype.bytes())
}

fn indices_of<'a>(plan: &Shared, pointer: *const c_void, bytes: usize) -> Result<Span<'a>, Failure> {
    let align = plan.facts.index.map_or(ANY, |(index, ..)| index.bytes());
    Span::new(buffer::INDICES, pointer.cast(), bytes, align)
}

/// `LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH` of the library that runs, which need not be
/// that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_version() -> u32 {
    LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH
}

/// The version of the library that runs, as a text that lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_version_string() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    CStr::from_bytes_with_nul(TEXT.as_bytes()).unwrap_or(c"").as_ptr()
}

/// The fixed sentence of a status: a text that lives for ever. Of an unknown number too.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_status_message(status: lanepool_status) -> *const c_char {
    status::message(status).as_ptr()
}

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
                let desc = desc::read(desc)?;
                Ok(lanepool_plan::new(build::plan(&desc::Layer::new(&desc)?)?))
            })
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
            desc::give(&lanepool_info::new(&plan.facts), info, info_bytes)
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

/// Writes the name of the walk that visits a plan's windows, such as "rows". Null for `text` is an error.
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

/// Pools `src` into `dst`. For plans without indices and samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            apart(&[dst], &[src])?;
            plan.layer.run(Call::Values { part: None, src: src.read(), dst: dst.write() })
        })
    }
}

/// Pools `src` into `dst` and writes where each value was found to `indices`. For plans with indices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_with_indices(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[dst, indices], &[src])?;
            let (src, dst, indices) = (src.read(), dst.write(), indices.write());
            plan.layer.run(Call::Indexed { part: None, src, dst: Some(dst), indices })
        })
    }
}

/// Writes where the maxima or minima of `src` are, and not what they are. For plans of plain windows with indices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_indices(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[indices], &[src])?;
            plan.layer.run(Call::Indexed { part: None, src: src.read(), dst: None, indices: indices.write() })
        })
    }
}

/// Pools `src` into `dst` with windows where `samples` say: for fractional plans. A plan without indices takes null and 0 for them.
///
/// The samples are N x C x spatial axes numbers from 0 to below 1, of the element's own type, float for integers, whatever the layout. Their
/// order is PyTorch's: width, height with two axes; depth, height, width with three.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_fractional(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    samples: *const c_void,
    samples_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let samples = bytes(buffer::SAMPLES, samples, samples_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[dst, indices], &[src, samples])?;
            let wants_none = indices.is_absent() && plan.facts.index.is_none();
            plan.layer.run(Call::Sampled {
                src: src.read(),
                samples: samples.read(),
                dst: dst.write(),
                indices: (!wants_none).then(|| indices.write()),
            })
        })
    }
}

/// Writes every value of `src` to `dst` where its index says, and zero everywhere else: for plans of max unpooling. Every index is looked
/// at before the first write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_unpool(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    indices: *const c_void,
    indices_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            apart(&[dst], &[src, indices])?;
            plan.layer.run(Call::Unpool { src: src.read(), indices: indices.read(), dst: dst.write() })
        })
    }
}

/// From the gradient of the output to that of the input: for backward plans of averages and sums.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward(
    plan: *const lanepool_plan,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[grad_output])?;
            plan.layer.run(Call::Gradient { grad_output: grad_output.read(), grad_input: grad_input.write() })
        })
    }
}

/// The same for maxima and minima, from the indices that the forward pass gave. Every index is looked at before the first write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_max(
    plan: *const lanepool_plan,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    indices: *const c_void,
    indices_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[grad_output, indices])?;
            let (grad_output, indices, grad_input) = (grad_output.read(), indices.read(), grad_input.write());
            plan.layer.run(Call::MaxGradient { grad_output, indices, grad_input })
        })
    }
}

/// The same from the input: the indices are found again, and written to `indices`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_max_from_input(
    plan: *const lanepool_plan,
    input: *const c_void,
    input_bytes: usize,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let input = tensor(plan, buffer::INPUT, input, input_bytes)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[indices, grad_input], &[input, grad_output])?;
            plan.layer.run(Call::MaxGradientOfInput {
                input: input.read(),
                grad_output: grad_output.read(),
                indices: indices.write(),
                grad_input: grad_input.write(),
            })
        })
    }
}

/// The same for the 2-norm, which needs the layer's input and output as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_lp(
    plan: *const lanepool_plan,
    input: *const c_void,
    input_bytes: usize,
    output: *const c_void,
    output_bytes: usize,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let input = tensor(plan, buffer::INPUT, input, input_bytes)?;
            let output = tensor(plan, buffer::OUTPUT, output, output_bytes)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[input, output, grad_output])?;
            plan.layer.run(Call::LpGradient {
                input: input.read(),
                output: output.read(),
                grad_output: grad_output.read(),
                grad_input: grad_input.write(),
            })
        })
    }
}

/// The buffers of a run that is cut, looked at as wholes.
#[derive(Clone, Copy)]
struct Buffers<'a> {
    src: Span<'a>,
    dst: Option<Span<'a>>,
    indices: Option<Span<'a>>,
}

impl<'a> Buffers<'a> {
    fn new(
        plan: &Shared,
        (src, src_bytes): (*const c_void, usize),
        (dst, dst_bytes): (*mut c_void, usize),
        (indices, indices_bytes): (*mut c_void, usize),
    ) -> Result<Self, Failure> {
        let facts = &plan.facts;
        let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
        let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
        let indices = indices_of(plan, indices, indices_bytes)?;
        apart(&[dst, indices], &[src])?;
        src.check_len(facts.input_bytes())?;
        let has_indices = facts.index.is_some();
        // With indices, the values may be left out; without, there is no place for indices.
        let wants_values = !(has_indices && dst.is_absent());
        if wants_values {
            dst.check_len(facts.output_bytes())?;
        }
        indices.check_len(facts.index_bytes())?;
        Ok(Self { src, dst: wants_values.then_some(dst), indices: has_indices.then_some(indices) })
    }

    /// Runs one task. Its outputs are parts that no other task of the same cut touches, made from the pointers themselves: no reference to
    /// a whole output ever exists, so several threads may do this at a time.
    ///
    /// # Safety
    /// Promises 1 and 2 for the buffers, the latter for this task's parts of the outputs alone.
    unsafe fn run_task(&self, plan: &Shared, cut: &Cut, task: usize) -> Result<(), Failure> {
        let Self { src, dst, indices } = *self;
        let part = match cut {
            Cut::Tasks(tasks) => Some(Part { tasks: *tasks, task }),
            Cut::Whole => None,
        };
        if task >= cut.len(&plan.facts) {
            return Err(lanepool::Error::TaskOutOfRange { task, tasks: cut.len(&plan.facts) }.into());
        }
        let own = |whole: Span<'a>, bytes: usize| match part {
            None => whole,
            Some(Part { tasks, task }) => {
                let range = tasks.range(task);
                whole.part(range.start.saturating_mul(bytes)..range.end.saturating_mul(bytes))
            }
        };
        let dst = dst.map(|dst| own(dst, plan.facts.dtype.bytes()));
        let indices = indices.zip(plan.facts.index).map(|(indices, (index, ..))| own(indices, index.bytes()));
        // SAFETY: readable and not written by anybody, by the contract.
        let src = unsafe { src.read() };
        // SAFETY: parts of the outputs that are this task's alone, by the contract; they share no memory with the input or with each
        // other, as `new` has found of the wholes.
        let (dst, indices) = unsafe { (dst.map(|dst| dst.write()), indices.map(|indices| indices.write())) };
        plan.layer.run(match (dst, indices) {
            (dst, Some(indices)) => Call::Indexed { part, src, dst, indices },
            (Some(dst), None) => Call::Values { part, src, dst },
            (None, None) => return Err(Failure::internal("a run without an output")),
        })
    }
}

/// Into how many tasks the output is cut if it should be at most `most`: what `lanepool_plan_run_task` takes for `tasks`. Any number of tasks
/// gives the same bytes. 0 where there is no output, and for what no task can run: fractional pooling, unpooling, backward passes, no plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_tasks(plan: *const lanepool_plan, most: usize) -> usize {
    let tasks = quietly(|| {
        // SAFETY: promise 3 for `plan`.
        let plan = unsafe { lanepool_plan::look(plan) }.ok()?;
        Some(plan.layer.cut(most)?.len(&plan.facts))
    });
    tasks.flatten().unwrap_or(0)
}

/// Computes task number `task` of `tasks`, counted from 0. The buffers are the whole ones; only the task's own part of the outputs is
/// written, so that several threads may run the tasks of one output at a time, in any order. `tasks` is what `lanepool_plan_tasks` gave.
///
/// A plan without indices takes null and 0 for them; one with indices may take null and 0 for `dst`, if its windows are plain.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_task(
    plan: *const lanepool_plan,
    tasks: usize,
    task: usize,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, of the outputs for this task's part.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let cut = plan.layer.cut(tasks).ok_or_else(no_tasks)?;
            let buffers = Buffers::new(plan, (src, src_bytes), (dst, dst_bytes), (indices, indices_bytes))?;
            if cut.len(&plan.facts) != tasks {
                let sentence =
                    format!("this plan cannot be cut into {tasks} tasks: lanepool_plan_tasks says into how many");
                return Err(Failure::new(LANEPOOL_BAD_TASK, sentence));
            }
            buffers.run_task(plan, &cut, task)
        })
    }
}

fn no_tasks() -> Failure {
    Failure::new(LANEPOOL_WRONG_FUNCTION, "fractional pooling, unpooling and backward passes are not cut into tasks")
}

/// Runs a plan on several threads of the library's own. The same bytes as on one. The buffers are those of `lanepool_plan_run_task`.
///
/// For a library with the feature `rayon`; another one gives `LANEPOOL_UNSUPPORTED`. A layer too small to gain runs on the calling thread,
/// as do all in a child process that was forked after a parallel run, whose threads are its parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_parallel(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let buffers = Buffers::new(plan, (src, src_bytes), (dst, dst_bytes), (indices, indices_bytes))?;
            run_parallel(plan, buffers)
        })
    }
}

/// # Safety
/// Promises 1 and 2 for the buffers.
#[cfg(feature = "rayon")]
unsafe fn run_parallel(plan: &Shared, buffers: Buffers<'_>) -> Result<(), Failure> {
    /// Buffers that several threads run tasks of.
    struct Lent<'a>(Buffers<'a>);

    // SAFETY: plain addresses. Threads use them in `Buffers::run_task` alone, each for a task of its own, whose parts of the outputs no
    // other task touches; the input nobody writes.
    unsafe impl Sync for Lent<'_> {}
    // SAFETY: the same.
    unsafe impl Send for Lent<'_> {}

    impl<'a> Lent<'a> {
        /// As a method: a closure would otherwise take the field out of its wrapping.
        fn buffers(&self) -> &Buffers<'a> {
            &self.0
        }
    }

    let facts = &plan.facts;
    let bytes = facts.input_bytes().saturating_add(facts.output_bytes()).saturating_add(facts.index_bytes());
    let cut = plan.layer.cut(parallel::worth(bytes)).ok_or_else(no_tasks)?;
    let lent = Lent(buffers);
    parallel::each(cut.len(&plan.facts), |task| {
        // A pool's thread has a floating-point state of its own.
        // SAFETY: the contract; `each` runs every task once.
        float_state::with_default(|| unsafe { lent.buffers().run_task(plan, &cut, task) })
    })
}

/// # Safety
/// None is asked for.
#[cfg(not(feature = "rayon"))]
unsafe fn run_parallel(_: &Shared, _: Buffers<'_>) -> Result<(), Failure> {
    Err(Failure::new(LANEPOOL_UNSUPPORTED, "this library was built without the feature rayon: it starts no threads"))
}

/// The name of a tier, such as "avx2": a text that lives for ever. Null for a number that is no tier's.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_tier_name(tier: i32) -> *const c_char {
    let name = match TIER.decode(tier) {
        Ok(None) => c"best",
        Ok(Some(Tier::Scalar)) => c"scalar",
        Ok(Some(Tier::Portable)) => c"portable",
        Ok(Some(Tier::Neon)) => c"neon",
        Ok(Some(Tier::Avx2)) => c"avx2",
        Ok(Some(Tier::Avx512)) => c"avx512",
        _ => return core::ptr::null(),
    };
    name.as_ptr()
}

/// The tier that a plan takes when none is forced: the widest one that this machine has, capped by the environment variable
/// LANEPOOL_MAX_TIER.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_tier_best() -> i32 {
    quietly(|| TIER.encode(Some(Tier::best()))).unwrap_or(LANEPOOL_TIER_SCALAR)
}

/// `LANEPOOL_OK` where this machine can run a tier; otherwise `LANEPOOL_TIER_UNAVAILABLE`, and why not is written to `why`, which may be
/// null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_tier_missing(tier: i32, why: *mut lanepool_text) -> lanepool_status {
    // SAFETY: promise 1 for `why`.
    unsafe {
        boundary(why, || match TIER.decode(tier)?.and_then(|tier| tier.missing()) {
            None => Ok(()),
            Some(why) => Err(Failure::new(LANEPOOL_TIER_UNAVAILABLE, why)),
        })
    }
}

/// Runs small layers of every kind and element on a tier and compares their bits with the published ones: a tenth of a second. Otherwise
/// `LANEPOOL_SELFTEST_FAILED`, with the elements that differ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_selftest(tier: i32, error: *mut lanepool_text) -> lanepool_status {
    // SAFETY: promise 1 for `error`.
    unsafe {
        boundary(error, || {
            let tier = TIER.decode(tier)?.unwrap_or_else(Tier::best);
            let digests = lanepool::selftest(tier)?;
            let wrong: Vec<&str> =
                digests.iter().filter(|digest| !digest.is_published()).map(|digest| digest.element).collect();
            if wrong.is_empty() {
                return Ok(());
            }
            let sentence =
                format!("on the tier {tier} this machine does not give the published bits of {}", wrong.join(", "));
            Err(Failure::new(LANEPOOL_SELFTEST_FAILED, sentence))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// c09: a panic becomes a status, with its sentence in the caller's memory; the floating-point state is the caller's again.
    #[test]
    fn a_panic_stops_at_the_boundary() {
        let mut memory = [0x55_u8; 128];
        let mut text = lanepool_text { data: memory.as_mut_ptr().cast(), bytes: memory.len(), needed: 0 };
        // SAFETY: a text with its memory.
        let status = unsafe { boundary(&mut text, || panic!("on purpose")) };
        assert_eq!(status, LANEPOOL_INTERNAL);
        let told = CStr::from_bytes_until_nul(&memory).expect("a text that ends").to_str().expect("UTF-8");
        assert!(told.contains("panic"), "{told}");
        assert_eq!(quietly(|| panic!("on purpose")), None::<()>);
        /// What a panic carries, and panics itself when it is dropped.
        struct Twice;
        impl Drop for Twice {
            fn drop(&mut self) {
                panic!("twice");
            }
        }
        // SAFETY: no text.
        let status = unsafe { boundary(core::ptr::null_mut(), || std::panic::panic_any(Twice)) };
        assert_eq!(status, LANEPOOL_INTERNAL);
    }

    /// The self-test's status, which no machine in order gives, has its place in the list.
    #[test]
    fn statuses_are_stable() {
        let all = [
            LANEPOOL_OK,
            LANEPOOL_NULL_POINTER,
            LANEPOOL_MISALIGNED,
            LANEPOOL_OVERLAP,
            LANEPOOL_LENGTH,
            LANEPOOL_SIZE_OVERFLOW,
            LANEPOOL_UNKNOWN_VALUE,
            LANEPOOL_STRUCT_SIZE,
            LANEPOOL_GEOMETRY,
            LANEPOOL_BAD_NUMBER,
            LANEPOOL_BAD_INDEX,
            LANEPOOL_BAD_SAMPLE,
            LANEPOOL_SUM_OVERFLOW,
            LANEPOOL_TIER_UNAVAILABLE,
            LANEPOOL_UNSUPPORTED,
            LANEPOOL_WRONG_FUNCTION,
            LANEPOOL_BAD_TASK,
            LANEPOOL_BAD_PLAN,
            LANEPOOL_SELFTEST_FAILED,
            LANEPOOL_INTERNAL,
        ];
        assert!(all.into_iter().eq(0..20), "a status changed its number");
    }
}
