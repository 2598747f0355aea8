//! Functions that run a plan in tasks, on the caller's threads or on the library's own.

use core::ffi::c_void;

#[cfg(feature = "rayon")]
use crate::float_state;
use crate::layer::{Call, Cut, Part, buffer};
use crate::memory::{Span, apart, lanepool_text};
#[cfg(feature = "rayon")]
use crate::parallel;
use crate::plan::{Shared, lanepool_plan};
#[cfg(not(feature = "rayon"))]
use crate::status::LANEPOOL_UNSUPPORTED;
use crate::status::{Failure, LANEPOOL_BAD_TASK, LANEPOOL_WRONG_FUNCTION, lanepool_status};
use crate::{boundary, indices_of, quietly, tensor};

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
        plan.run(match (dst, indices) {
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
