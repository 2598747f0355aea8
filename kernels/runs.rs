//! Which kernels have run, by the types that they are made of. With the feature `count-runs`, for one test.
//!
//! A plan says which tier and walk it has chosen; this says which code was entered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use alloc::collections::BTreeMap;

/// A tier's token and an element in memory, as the compiler names their types, and between them the driver's name. (f16
/// and bf16 share kernels, which see `i16`.)
pub type Types = [&'static str; 3];

/// Off until it is asked for: a note allocates, and runs do not.
static IS_ON: AtomicBool = AtomicBool::new(false);
static RUNS: Mutex<BTreeMap<Types, usize>> = Mutex::new(BTreeMap::new());

/// Notes a run.
pub(super) fn note(types: Types) {
    if !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = runs.entry(types).or_default();
    *count = count.saturating_add(1);
}

/// Notes every run of this process from now on.
pub fn start() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// What has run since this was asked last, and how often.
pub fn take() -> BTreeMap<Types, usize> {
    core::mem::take(&mut *RUNS.lock().unwrap_or_else(PoisonError::into_inner))
}
