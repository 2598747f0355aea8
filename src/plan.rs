//! A plan: a layer validated once, bound to a tier, run many times.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::fractional::Plane;
use crate::kernels::{Bound, Clamp, Layer, Operation};
use crate::pool::Parts;
use crate::variable::find::Search;
use crate::{DType, Element, Error, Layout, Result, Tasks, Tier};

mod shared;

pub(crate) use shared::{Shared, clamp_between, identity_of, map_bytes, no_kernel, shown};

/// An element type as a value: what code that is compiled once asks of it.
#[derive(Clone, Copy)]
pub struct Facts {
    pub(crate) dtype: DType,
    pub(crate) sums_fit: fn(&Layer, Operation) -> bool,
    pub(crate) identity: fn(Operation) -> u64,
    pub(crate) bounds: fn(f64, f64) -> Option<[u64; 2]>,
    pub(crate) bind_clamp: fn(Tier, [u64; 2]) -> Option<Clamp>,
}

/// A pooling layer for tensors of one shape and layout: validated, immutable, cheap to clone, shareable between threads.
///
/// Made by [`Pool::plan`](crate::Pool::plan). It prints itself: `max f32 nchw 64x112x112 3x3/2+1 → 56x56, rows, avx2`.
///
/// ```
/// use lanepool::{Layout, MaxPool};
/// let plan = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]).plan(Layout::Nchw, [1, 64, 112, 112])?;
/// let x = vec![1.0; plan.input_len()];
/// let mut y = vec![0.0; plan.output_len()];
/// plan.run(&x, &mut y)?;
/// assert!(y.iter().all(|y| *y == 1.0));
/// # Ok::<(), lanepool::Error>(())
/// ```
pub struct Plan<T> {
    shared: Arc<Shared>,
    element: PhantomData<fn(T) -> T>,
}

/// An operation's kernels for an element: a function, so that a plan names the leaves of one operation and no others.
pub(crate) type Bind = fn(Tier, Operation, &Layer, Option<&str>) -> Option<Bound>;

/// What planning asks of one type of elements.
///
/// It is implemented for each type by itself, so that what plans is compiled in this crate, once, and not again in
/// every crate that asks for a plan.
pub trait Planned: Sized {
    #[doc(hidden)]
    const FACTS: &'static Facts;

    /// Hands on the search for maxima among elements, whose bytes are given: the input's and the maxima.
    #[doc(hidden)]
    fn search(src: &[u8], values: &[u8], work: &mut dyn FnMut(&dyn Search));

    /// Pools one plane whose windows lie anywhere.
    #[doc(hidden)]
    fn pool_plane(src: &[u8], plane: Plane<'_>, dst: &mut [u8]);
}

/// Implements [`Planned`].
macro_rules! planned {
    ($type:ty, $dtype:expr) => {
        impl crate::plan::Planned for $type {
            const FACTS: &'static crate::plan::Facts = &crate::plan::Facts {
                dtype: $dtype,
                sums_fit: <$type as crate::kernels::Pooled>::sums_fit,
                identity: <$type as crate::kernels::Pooled>::identity,
                bounds: <$type as crate::kernels::Pooled>::bounds,
                bind_clamp: <$type as crate::kernels::Pooled>::bind_clamp,
            };

            fn search(src: &[u8], values: &[u8], work: &mut dyn FnMut(&dyn crate::variable::find::Search)) {
                crate::variable::find::with_search::<Self>(src, values, work);
            }

            fn pool_plane(src: &[u8], plane: crate::fractional::Plane<'_>, dst: &mut [u8]) {
                crate::fractional::pool_plane::<Self>(src, plane, dst);
            }
        }
    };
}
pub(crate) use planned;

/// A byte for each byte.
pub(crate) type ByteMap = [u8; 256];

impl<T> Clone for Plan<T> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

impl<T> Plan<T> {
    /// `shared` is a plan of elements `T`: of others, it runs on none.
    fn of(shared: Arc<Shared>) -> Self {
        Self { shared, element: PhantomData }
    }

    /// The plan of whatever element.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl<T: Element> Plan<T> {
    pub(crate) fn new(
        parts: &Parts<'_>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind,
    ) -> Result<Self> {
        Ok(Self::of(Shared::new(T::FACTS, parts, None, layout, shape, strides, bind)?))
    }

    /// Pools `src` into `dst`. Allocates nothing, locks nothing; every element of `dst` is written (but for the gaps of a plan with
    /// strides). Its scratch is on the stack: 64 KiB at most, and 112 of a norm.
    ///
    /// # Errors
    /// [`Error::SrcLen`] or [`Error::DstLen`] where a slice is not exactly as long as the plan needs; nothing is written
    /// then.
    pub fn run(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        self.shared.run(bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst))
    }

    /// Pools `src` into memory that holds nothing yet, and returns it: an engine's arena need not be cleared first.
    ///
    /// ```
    /// use std::mem::MaybeUninit;
    /// use lanepool::{Layout, MaxPool};
    /// let plan = MaxPool::<f32>::new([2]).plan(Layout::Nchw, [1, 1, 3])?;
    /// let mut arena = [MaybeUninit::uninit(); 2];
    /// assert_eq!(plan.run_uninit(&[1.0, 3.0, 2.0], &mut arena)?, [3.0, 3.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Plan::run`]; [`Error::Unsupported`] where the output has gaps, which would stay without a value.
    pub fn run_uninit<'a>(&self, src: &[T], dst: &'a mut [MaybeUninit<T>]) -> Result<&'a mut [T]> {
        let shared = &*self.shared;
        shared.check_src(size_of_val(src))?;
        let rows = 0..shared.kernel.output().rows();
        shared.check_dst(size_of_val(dst), &rows)?;
        let gaps = Error::Unsupported {
            why: "an output with gaps between its elements cannot be memory that holds nothing yet",
        };
        let dst = shared.kernel.run_uninit(src, dst).ok_or(gaps)?;
        shared.finish(bytemuck::cast_slice_mut(dst), rows);
        Ok(dst)
    }

    /// Pools `src` into a new vector.
    ///
    /// # Errors
    /// [`Error::SrcLen`] where the slice is not exactly as long as the plan needs.
    pub fn run_vec(&self, src: &[T]) -> Result<Vec<T>> {
        let mut dst = alloc::vec![T::zeroed(); self.output_len()];
        self.run(src, &mut dst)?;
        Ok(dst)
    }

    /// Pools `src` into `dst` on the rayon pool of the calling thread. The same bytes as [`Plan::run`], for any number of
    /// threads; a layer too small to gain runs on the calling thread alone, and a few long planes pooled whole are shared
    /// between the threads, each of them. Floats are computed in the floating-point state of the pool's threads, see the crate's
    /// documentation.
    ///
    /// # Errors
    /// As for [`Plan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        let bytes = src.len().saturating_add(dst.len()).saturating_mul(size_of::<T>());
        self.run_parallel_in(crate::tasks::worth(bytes), src, dst)
    }

    /// [`Plan::run_parallel`] in at most about this many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, src: &[T], dst: &mut [T]) -> Result<()> {
        self.shared.run_parallel(most, bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst))
    }

    /// Cuts the output into at most `most` parts that can be computed apart, for a thread pool of the caller's: see
    /// [`Plan::run_task`]. 0 is taken for 1. A long batch is cut between planes and rows; a small layer may give fewer tasks
    /// than were asked for.
    pub fn tasks(&self, most: usize) -> Tasks {
        self.shared.tasks(most)
    }

    /// Computes one part of the output from the whole input: `part` is the range [`Tasks::range`] of the output, and nothing else
    /// is written. All tasks, on any threads and in any order, give the bytes of [`Plan::run`]. Allocates nothing, locks nothing.
    ///
    /// ```
    /// use lanepool::{Layout, SumPool};
    /// let plan = SumPool::<i32>::new([1, 2]).plan(Layout::Nchw, [1, 1, 3, 4])?;
    /// let x: Vec<i32> = (0..12).collect();
    /// let mut y = vec![0; plan.output_len()];
    /// let tasks = plan.tasks(3);
    /// for task in (0..tasks.len()).rev() {
    ///     plan.run_task(&tasks, task, &x, &mut y[tasks.range(task)])?;
    /// }
    /// assert_eq!(y, [1, 3, 5, 9, 11, 13, 17, 19, 21]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SrcLen`] and [`Error::DstLen`] where a slice is not exactly as long as it must be, [`Error::TaskOutOfRange`] where
    /// there is no such task, and [`Error::ForeignTasks`] where the tasks are those of a plan that cuts its output in another
    /// way; nothing is written then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[T], part: &mut [T]) -> Result<()> {
        self.shared.run_task(tasks, task, bytemuck::cast_slice(src), bytemuck::cast_slice_mut(part))
    }

    /// Pools one view into another, which has this plan's strides.
    #[cfg(feature = "ndarray")]
    pub(crate) fn run_on_views<D: ndarray::Dimension, E: ndarray::Dimension>(
        &self,
        src: &ndarray::ArrayView<'_, T, D>,
        dst: &mut ndarray::ArrayViewMut<'_, T, E>,
    ) -> Result<()> {
        let shared = &*self.shared;
        let piece = if shared.clamp.is_some() { shared.clamped_rows() } else { usize::MAX };
        let finish = |run: &mut [T], first| shared.finish_run(bytemuck::cast_slice_mut(run), first);
        shared.kernel.run_views(src, dst, piece, finish)
    }
}

impl<T> Plan<T> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.input_len()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.shared.output_len()
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> &[usize] {
        self.shared.input_shape()
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.shared.output_shape()
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.shared.layout()
    }

    /// The tier it runs on.
    pub fn tier(&self) -> Tier {
        self.shared.tier()
    }

    /// Bytes that the plan holds beside its shape: tables, divisors, and what it is made of.
    pub fn held_bytes(&self) -> usize {
        size_of::<Shared>().saturating_add(self.shared.kernel.bytes())
    }

    /// The driver that visits the windows, as named in the folder `kernels/driver`: for logs and tests. It decides how
    /// fast the layer is, and no bit of its result.
    pub fn kernel(&self) -> &'static str {
        self.shared.kernel()
    }
}

impl<T: Element> fmt::Display for Plan<T> {
    /// `max f32 nchw 3x3/2+1 → rows, avx2`: operation, element, layout, kernel, then `/stride`, `*dilation`, `+padding`
    /// where they are not the default (`+begin:end` where the two differ), the driver and the tier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.shared, f)
    }
}

impl<T: Element> fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.shared, f)
    }
}
