//! The C interface of lanepool. Its users read `include/lanepool.h` and `docs/c.md`; this is how it is made.
//!
//! | file | what it is |
//! |---|---|
//! | `lib.rs` | the `boundary` that every function is, and the versions |
//! | `planning.rs`, `runs.rs`, `tasks.rs`, `tiers.rs` | the functions, each a boundary around a few lines |
//! | `status.rs` | what a call comes to |
//! | `codes.rs` | the integers that stand for enumerators |
//! | `desc.rs` | the description of a layer, and structures of any size |
//! | `spec.rs` | the description checked, as Rust's own types |
//! | `build.rs` | from a description to a plan |
//! | `layer.rs`, `plans.rs` | plans of every kind and type behind one face over bytes |
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
mod planning;
mod plans;
mod runs;
mod spec;
mod status;
mod tasks;
mod tiers;

use core::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use codes::*;
pub use desc::lanepool_desc;
pub use memory::lanepool_text;
pub use plan::{lanepool_info, lanepool_plan};
pub use planning::*;
pub use runs::*;
pub use status::*;
pub use tasks::*;
pub use tiers::*;

use layer::buffer;
use memory::{Span, Text};
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
    let mut body = Some(body);
    let mut once = || body.take().map_or_else(|| Err(Failure::internal("a call that ran twice")), |body| body());
    // SAFETY: the same contract.
    unsafe { framed(error, &mut once) }
}

/// [`boundary`], compiled once for all calls.
///
/// # Safety
/// The same.
unsafe fn framed(error: *mut lanepool_text, body: &mut dyn FnMut() -> Result<(), Failure>) -> lanepool_status {
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
            LANEPOOL_OUT_OF_MEMORY,
        ];
        assert!(all.into_iter().eq(0..21), "a status changed its number");
    }
}
