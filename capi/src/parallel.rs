//! Runs on a pool of threads of the library's own: the feature `rayon`.
//!
//! The pool starts with the first parallel run, has as many threads as rayon finds right, and lives as long as the process. A child
//! that was forked has its parent's pool without its threads, and would wait for them for ever: it runs on its calling thread alone,
//! as does a process that cannot have a pool.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use lanepool::Tasks;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::status::Failure;

/// The process that started the pool; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();

/// The pool, where this process has one.
fn pool() -> Option<&'static ThreadPool> {
    let this = process::id();
    let owner = OWNER.compare_exchange(0, this, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|owner| owner);
    // Asked before the lock: a fork may have happened while another thread of the parent's held it.
    if owner != 0 && owner != this {
        return None;
    }
    POOL.get_or_init(|| ThreadPoolBuilder::new().thread_name(|i| format!("lanepool {i}")).build().ok()).as_ref()
}

/// How many tasks a run that moves so many bytes is worth. One that no two threads would gain by starts no pool.
pub(crate) fn worth(bytes: usize) -> usize {
    if Tasks::worth(bytes, 2) == 1 {
        return 1;
    }
    Tasks::worth(bytes, pool().map_or(1, ThreadPool::current_num_threads))
}

/// Runs so many tasks, on the pool if there is one.
pub(crate) fn each(tasks: usize, run: impl Fn(usize) -> Result<(), Failure> + Sync + Send) -> Result<(), Failure> {
    match pool().filter(|_| tasks > 1) {
        Some(pool) => pool.install(|| (0..tasks).into_par_iter().try_for_each(run)),
        None => (0..tasks).try_for_each(run),
    }
}
