//! A run cut into tasks, for a thread pool of the caller's.
//!
//! A kernel computes its output in rows that do not know each other. A task is a number of neighbouring rows: its part of the
//! output is one range, no two parts overlap, and whoever computes them, in whatever order, gets the bytes of one run.

use core::ops::Range;

use crate::strides::Output;
use crate::{Error, Result};

/// How the output of a plan is cut into tasks: plain numbers, made by [`Plan::tasks`](crate::Plan::tasks),
/// [`AnyPlan::tasks`](crate::AnyPlan::tasks), [`IndexPlan::tasks`](crate::IndexPlan::tasks),
/// [`AdaptivePlan::tasks`](crate::AdaptivePlan::tasks), [`FractionalPlan::tasks`](crate::FractionalPlan::tasks),
/// [`Unpool::tasks`](crate::Unpool::tasks) and those of gradients.
///
/// ```
/// use lanepool::{Layout, MaxPool};
/// let plan = MaxPool::<f32>::new([2, 2]).stride([2, 2]).plan(Layout::Nchw, [1, 8, 32, 32])?;
/// let x = vec![1.0; plan.input_len()];
/// let mut y = vec![0.0; plan.output_len()];
/// let tasks = plan.tasks(3);
/// // Any pool of threads would do.
/// std::thread::scope(|scope| {
///     let mut rest = &mut y[..];
///     for task in 0..tasks.len() {
///         let (part, others) = rest.split_at_mut(tasks.range(task).len());
///         rest = others;
///         let (plan, x) = (&plan, &x);
///         scope.spawn(move || plan.run_task(&tasks, task, x, part));
///     }
/// });
/// assert_eq!(y, plan.run_vec(&x)?);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tasks {
    output: Output,
    /// Rows of each task but the last. Never 0.
    each: usize,
}

/// Runs a task, by its number, into its part of the output.
#[cfg(feature = "rayon")]
pub(crate) type Run<'a, T> = &'a (dyn Fn(usize, &mut [T]) -> Result<()> + Sync);

impl Tasks {
    /// At most `most` tasks, of which 0 are as many as 1.
    pub(crate) fn new(most: usize, output: &Output) -> Self {
        Self { output: *output, each: output.rows().div_ceil(most.max(1)).max(1) }
    }

    /// The same where a task is whole blocks of so many rows each.
    pub(crate) fn of_blocks(most: usize, output: &Output, rows: usize) -> Self {
        let blocks = output.rows().checked_div(rows).unwrap_or(0);
        let each = blocks.div_ceil(most.max(1)).saturating_mul(rows).max(1);
        Self { output: *output, each }
    }

    /// How many tasks a run is worth that moves so many bytes, inputs and outputs together, on so many threads: what
    /// [`Plan::run_parallel`](crate::Plan#method.run_parallel) asks for, at most four a thread, and as many for each thread as for any
    /// other. 1 where more threads than the calling one would not pay.
    ///
    /// ```
    /// use lanepool::Tasks;
    /// assert_eq!((Tasks::worth(4 << 20, 2), Tasks::worth(4 << 20, 64), Tasks::worth(1000, 64)), (8, 16, 1));
    /// // Of 19 tasks, three of 16 threads would have two, and the others would wait for them.
    /// assert_eq!(Tasks::worth(19 << 18, 16), 16);
    /// ```
    pub fn worth(bytes: usize, threads: usize) -> usize {
        if threads <= 1 {
            return 1;
        }
        let most = threads.saturating_mul(TASKS_A_THREAD).min(bytes / TASK_BYTES).max(1);
        let left_over = most.checked_rem(threads).unwrap_or(0);
        if most > threads { most.saturating_sub(left_over) } else { most }
    }

    /// The number of tasks. 0 where there is no output.
    pub fn len(&self) -> usize {
        self.output.rows().div_ceil(self.each)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.output.rows() == 0
    }

    /// The output elements that a task writes, from the first to the last. The ranges of all tasks follow each other, without a gap
    /// but for those of the output's strides, and none is empty; that of a number past the last is.
    pub fn range(&self, task: usize) -> Range<usize> {
        self.output.span(self.rows_of(task))
    }

    fn rows_of(&self, task: usize) -> Range<usize> {
        let start = task.saturating_mul(self.each).min(self.output.rows());
        start..start.saturating_add(self.each).min(self.output.rows())
    }

    /// Cuts in two what some tasks write, from the first's first element to the last's last: where the later ones begin, and the two
    /// parts. A gap between them is nobody's. `part` is in units of which an output has `size`: bytes.
    #[cfg(feature = "rayon")]
    pub(crate) fn halves<'a, T>(
        &self,
        some: &Range<usize>,
        part: &'a mut [T],
        size: usize,
    ) -> (usize, &'a mut [T], &'a mut [T]) {
        let middle = some.start.midpoint(some.end);
        let base = self.range(some.start).start;
        let place = |at: usize| at.saturating_sub(base).saturating_mul(size);
        let (left, right) = part.split_at_mut(place(self.range(middle).start).min(part.len()));
        let end = place(self.range(middle.saturating_sub(1)).end);
        (middle, left.get_mut(..end).unwrap_or_default(), right)
    }

    /// Runs some tasks, half of them on whatever thread is free. `part` is the output from the first's part to the last's, in units of
    /// which an output has `size`: bytes.
    #[cfg(feature = "rayon")]
    pub(crate) fn fork<T: Send>(&self, some: Range<usize>, part: &mut [T], size: usize, run: Run<'_, T>) -> Result<()> {
        if some.len() <= 1 {
            return if some.is_empty() { Ok(()) } else { run(some.start, part) };
        }
        let (middle, left, right) = self.halves(&some, part, size);
        let (left, right) = rayon::join(
            || self.fork(some.start..middle, left, size, run),
            || self.fork(middle..some.end, right, size, run),
        );
        left.and(right)
    }

    /// The rows of a task of a plan that has this output.
    pub(crate) fn check(&self, task: usize, output: &Output) -> Result<Range<usize>> {
        if self.output != *output {
            let elements = |output: &Output| output.span(0..output.rows()).len();
            return Err(Error::ForeignTasks {
                need: elements(output),
                need_step: output.row_len(),
                got: elements(&self.output),
                got_step: self.output.row_len(),
            });
        }
        let range = self.rows_of(task);
        if range.is_empty() { Err(Error::TaskOutOfRange { task, tasks: self.len() }) } else { Ok(range) }
    }
}

/// Bytes of input and output that are worth a task of their own: some ten microseconds.
const TASK_BYTES: usize = 256 << 10;

/// Tasks for each thread at most, so that one that is held up does not hold up the others.
const TASKS_A_THREAD: usize = 4;

/// How many tasks a run on the rayon pool of the calling thread is worth.
#[cfg(feature = "rayon")]
pub(crate) fn worth(bytes: usize) -> usize {
    Tasks::worth(bytes, rayon::current_num_threads())
}
