//! Fractional max pooling: windows of one length, at places that the caller's random samples choose.

use core::fmt::{self, Debug};
use core::marker::PhantomData;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::PerAxis;
use crate::index::{IndexType, IndicesMut};
use crate::variable::bounded;
use crate::variable::find::{self, Numbering};
use crate::{Any, Element, Index, IndexKind, Layout, NanPolicy, Result, Tasks};

mod samples;
mod shared;

pub use samples::Sample;
pub use shared::Plane;
pub(crate) use shared::{Known, Shared, pool_plane};

/// The largest value of each window, where windows of one length lie at places that random samples choose: Graham, *Fractional
/// Max-Pooling* (2014), as PyTorch's `FractionalMaxPool2d` and `3d` have it; also with one spatial axis.
///
/// On an axis of `n` elements with `m` windows of `k`, and a sample `s`, the window of output `o` starts at
/// `⌊(o + s)·α⌋ − ⌊s·α⌋` where `α = (n − k)/(m − 1)`, and the last at `n − k`. It is computed in the samples' type, each operation
/// rounded, as PyTorch does: the windows are PyTorch's, to the element. `m + k − 1` may be at most `n`.
///
/// Each plane has its own samples, one for each spatial axis: `N × C × axes` of them, row-major, **whatever the layout**. Their
/// order is PyTorch's: `[width, height]` with two axes, `[depth, height, width]` with three. Samples lie in `0.0 .. 1.0`.
///
/// NaN, zeros and −inf are those of [`MaxPool`](crate::MaxPool).
///
/// ```
/// use lanepool::{FractionalMaxPool, Layout};
/// let plan = FractionalMaxPool::<f32>::new([2], [3]).plan(Layout::Nchw, [1, 1, 7])?;
/// // α is 2.5: the windows start at ⌊0.5·2.5⌋ − 1 = 0, ⌊1.5·2.5⌋ − 1 = 2 and 5.
/// assert_eq!(plan.run_vec(&[1.0, 2.0, 3.0, 4.0, 0.0, 5.0, 6.0], &[0.5])?, [2.0, 4.0, 6.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct FractionalMaxPool<T> {
    kernel: PerAxis,
    output: PerAxis,
    nan: NanPolicy,
    bounds: Option<[f64; 2]>,
    element: PhantomData<T>,
}

impl<T> FractionalMaxPool<T> {
    /// Windows of `kernel` elements and `output` of them, on each spatial axis, in the order of the shape. Nothing is checked
    /// before a plan is made.
    pub fn new(kernel: impl AsRef<[usize]>, output: impl AsRef<[usize]>) -> Self {
        Self {
            kernel: PerAxis::new(kernel.as_ref()),
            output: PerAxis::new(output.as_ref()),
            nan: NanPolicy::default(),
            bounds: None,
            element: PhantomData,
        }
    }

    /// What NaN does.
    pub fn nan(mut self, policy: NanPolicy) -> Self {
        self.nan = policy;
        self
    }
}

bounded!(FractionalMaxPool);

impl<T: Element> FractionalMaxPool<T> {
    /// Checks the windows against a tensor of shape `N, C, spatial…`, in any layout.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank), [`Error::ZeroKernel`](crate::Error::ZeroKernel),
    /// [`Error::EmptyInput`](crate::Error::EmptyInput),
    /// [`Error::EmptyOutput`](crate::Error::EmptyOutput),
    /// [`Error::TooManyWindows`](crate::Error::TooManyWindows),
    /// [`Error::BadBlock`](crate::Error::BadBlock), [`Error::BadClamp`](crate::Error::BadClamp) and
    /// [`Error::SizeOverflow`](crate::Error::SizeOverflow).
    pub fn plan(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<FractionalPlan<T>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`FractionalMaxPool::plan`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided). The samples lie side by side.
    ///
    /// ```
    /// use lanepool::{FractionalMaxPool, Layout};
    /// // The first of two channels, channels last, into the second of two.
    /// let pool = FractionalMaxPool::<f32>::new([2], [3]);
    /// let plan = pool.plan_strided(Layout::Nhwc, [1, 1, 7], [14, 1, 2], [6, 1, 2])?;
    /// let x = [1.0, -1.0, 2.0, -1.0, 3.0, -1.0, 4.0, -1.0, 0.0, -1.0, 5.0, -1.0, 6.0];
    /// let mut y = [0.0; 6];
    /// plan.run(&x, &[0.5], &mut y[1..])?;
    /// assert_eq!(y, [0.0, 2.0, 0.0, 4.0, 0.0, 6.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`FractionalMaxPool::plan`]; [`Error::StridesLen`](crate::Error::StridesLen),
    /// [`Error::ChannelsApart`](crate::Error::ChannelsApart) and
    /// [`Error::OutputsOverlap`](crate::Error::OutputsOverlap).
    pub fn plan_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<FractionalPlan<T>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    /// [`FractionalMaxPool::plan`] for values and their indices, of type `I` (`i32` or `i64`).
    ///
    /// # Errors
    /// As for [`FractionalMaxPool::plan`], and
    /// [`Error::IndexTooNarrow`](crate::Error::IndexTooNarrow) where `I` cannot hold every index
    /// that may occur.
    ///
    /// ```
    /// use lanepool::{FractionalMaxPool, IndexKind, Layout};
    /// let pool = FractionalMaxPool::<f32>::new([2], [3]);
    /// let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 7])?;
    /// let (values, indices) = plan.run_vec(&[1.0, 2.0, 3.0, 4.0, 0.0, 5.0, 6.0], &[0.5])?;
    /// assert_eq!((values, indices), (vec![2.0, 4.0, 6.0], vec![1, 3, 6]));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn plan_indexed<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<FractionalIndexPlan<T, I>> {
        self.plan_indexed_at(kind, layout, shape.as_ref(), None)
    }

    /// [`FractionalMaxPool::plan_indexed`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_indexed_strided`](crate::Pool::plan_indexed_strided): indices lie as the values do.
    ///
    /// # Errors
    /// As for [`FractionalMaxPool::plan_strided`], and
    /// [`Error::IndexTooNarrow`](crate::Error::IndexTooNarrow) where `I` cannot hold every index
    /// that may occur.
    pub fn plan_indexed_strided<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<FractionalIndexPlan<T, I>> {
        self.plan_indexed_at(kind, layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_indexed_at<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<FractionalIndexPlan<T, I>> {
        let index = IndexType::of::<I>();
        let (values, numbering) =
            self.of_any().plan_numbered(Known::of::<T>(), (kind, index), layout, shape, strides)?;
        Ok(FractionalIndexPlan { values: FractionalPlan::of(values), numbering, index: PhantomData })
    }

    fn plan_at(&self, layout: Layout, shape: &[usize], strides: Option<[&[usize]; 2]>) -> Result<FractionalPlan<T>> {
        Ok(FractionalPlan::of(self.of_any().plan_of(Known::of::<T>(), layout, shape, strides, 1)?))
    }

    fn of_any(&self) -> FractionalMaxPool<Any> {
        let Self { kernel, output, nan, bounds, .. } = *self;
        FractionalMaxPool { kernel, output, nan, bounds, element: PhantomData }
    }
}

/// A fractional layer for tensors of one shape and layout: validated, immutable, shareable between threads. Made by
/// [`FractionalMaxPool::plan`]. The samples are given to each run.
pub struct FractionalPlan<T> {
    shared: Arc<Shared>,
    element: PhantomData<fn(T) -> T>,
}

impl<T> Clone for FractionalPlan<T> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

impl<T> FractionalPlan<T> {
    /// `shared` is a plan of elements `T`: of others, it runs on none.
    fn of(shared: Arc<Shared>) -> Self {
        Self { shared, element: PhantomData }
    }
}

impl<T: Element> FractionalPlan<T> {
    /// Pools `src` into `dst`, with windows where `samples` say. Allocates nothing; every element of `dst` is written
    /// (but for the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::SrcLen`](crate::Error::SrcLen), [`Error::DstLen`](crate::Error::DstLen) or
    /// [`Error::SampleLen`](crate::Error::SampleLen) where a slice is not exactly as long as the
    /// plan needs, and [`Error::BadSample`](crate::Error::BadSample) where a sample does not lie in
    /// `0.0 .. 1.0`; nothing is written then.
    pub fn run(&self, src: &[T], samples: &[T::Sample], dst: &mut [T]) -> Result<()> {
        self.shared.run(bytemuck::cast_slice(src), bytemuck::cast_slice(samples), bytemuck::cast_slice_mut(dst), None)
    }

    /// Pools on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[T], samples: &[T::Sample], dst: &mut [T]) -> Result<()> {
        let bytes = src.len().saturating_add(dst.len()).saturating_mul(size_of::<T>());
        self.run_parallel_in(crate::tasks::worth(bytes), src, samples, dst)
    }

    /// [`FractionalPlan::run_parallel`] in at most so many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, src: &[T], samples: &[T::Sample], dst: &mut [T]) -> Result<()> {
        let (src, samples) = (bytemuck::cast_slice(src), bytemuck::cast_slice(samples));
        self.shared.run_parallel(most, src, samples, bytemuck::cast_slice_mut(dst))
    }

    /// Cuts the output into at most `most` parts that can be computed apart, as [`Plan::tasks`](crate::Plan::tasks).
    pub fn tasks(&self, most: usize) -> Tasks {
        self.shared.tasks(most)
    }

    /// Computes one part of the output from the whole input and all samples, as [`Plan::run_task`](crate::Plan::run_task).
    ///
    /// ```
    /// use lanepool::{FractionalMaxPool, Layout};
    /// let plan = FractionalMaxPool::<f32>::new([2], [3]).plan(Layout::Nchw, [1, 2, 5])?;
    /// let (x, samples) = ([1.0, 4.0, 2.0, 3.0, 0.0, 5.0, 6.0, 7.0, 8.0, 9.0], [0.5, 0.1]);
    /// let (mut y, tasks) = ([0.0; 6], plan.tasks(2));
    /// for task in 0..tasks.len() {
    ///     plan.run_task(&tasks, task, &x, &samples, &mut y[tasks.range(task)])?;
    /// }
    /// assert_eq!(y.to_vec(), plan.run_vec(&x, &samples)?);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`] and [`Plan::run_task`](crate::Plan::run_task).
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[T], samples: &[T::Sample], part: &mut [T]) -> Result<()> {
        let (src, samples) = (bytemuck::cast_slice(src), bytemuck::cast_slice(samples));
        self.shared.run_task((tasks, task), src, samples, bytemuck::cast_slice_mut(part))
    }

    /// Pools `src` into a new vector.
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`].
    pub fn run_vec(&self, src: &[T], samples: &[T::Sample]) -> Result<Vec<T>> {
        let mut dst = alloc::vec![T::zeroed(); self.output_len()];
        self.run(src, samples, &mut dst)?;
        Ok(dst)
    }
}

impl<T> FractionalPlan<T> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.layer.extent.input.extent()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.shared.layer.extent.output.extent()
    }

    /// Samples that a run needs: `N · C ·` spatial axes.
    pub fn samples_len(&self) -> usize {
        self.shared.layer.samples
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> Vec<usize> {
        self.shared.layer.extent.input.shape()
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.shared.layer.extent.output.shape()
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.shared.layer.layout
    }
}

impl<T: Element> fmt::Debug for FractionalPlan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.shared, f)
    }
}

/// A fractional maximum that says, beside each value, where it was found: made by [`FractionalMaxPool::plan_indexed`].
///
/// [`IndexKind`] says what an index counts and which of equals is named.
pub struct FractionalIndexPlan<T, I> {
    values: FractionalPlan<T>,
    numbering: Numbering,
    index: PhantomData<fn(&mut [I])>,
}

impl<T, I> Clone for FractionalIndexPlan<T, I> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), numbering: self.numbering, index: PhantomData }
    }
}

impl<T: Element, I: Index> FractionalIndexPlan<T, I> {
    /// Pools `src` into `dst` and writes where each value was found into `indices`, which lie as the values do. Allocates nothing.
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`], and [`Error::IndexLen`](crate::Error::IndexLen); nothing is
    /// written then.
    pub fn run(&self, src: &[T], samples: &[T::Sample], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        let indices = Some((self.numbering, IndicesMut::new(indices)));
        let (src, samples, dst) =
            (bytemuck::cast_slice(src), bytemuck::cast_slice(samples), bytemuck::cast_slice_mut(dst));
        self.values.shared.run(src, samples, dst, indices)
    }

    /// Pools `src` into new vectors: values and indices.
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`].
    pub fn run_vec(&self, src: &[T], samples: &[T::Sample]) -> Result<(Vec<T>, Vec<I>)> {
        let len = self.values.output_len();
        let (mut dst, mut indices) = (alloc::vec![T::zeroed(); len], alloc::vec![I::NONE; len]);
        self.run(src, samples, &mut dst, &mut indices)?;
        Ok((dst, indices))
    }
}

impl<T, I> FractionalIndexPlan<T, I> {
    /// The plan of the values alone.
    pub fn values(&self) -> &FractionalPlan<T> {
        &self.values
    }

    /// What the indices count.
    pub fn kind(&self) -> IndexKind {
        self.numbering.kind()
    }
}

impl<T: Element, I: Index> Debug for FractionalIndexPlan<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        find::shown(f, "FractionalIndexPlan", &self.values, I::NAME, self.kind())
    }
}
