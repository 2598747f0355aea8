//! Adaptive pooling: the caller says how long the output is, and the windows follow.

use core::fmt;
use core::marker::PhantomData;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::PerAxis;
use crate::index::{IndexType, IndicesMut};
use crate::plan::Bind;
use crate::quantized::{self, Quantizations};
use crate::variable::bounded;
use crate::variable::find::{self, Numbering};
use crate::{Any, Element, Error, Index, IndexKind, Layout, NanPolicy, Quantization, Result, Rounding, Tasks, Tier};

mod shared;

pub(crate) use shared::Shared;

/// The largest value of each window, where the output's length is given and the windows follow: PyTorch's
/// `AdaptiveMaxPool1d`, `2d` and `3d`.
///
/// On an axis of `n` elements and `m` outputs, output `o` covers `⌊o·n/m⌋ .. ⌈(o+1)·n/m⌉`, in exact arithmetic. No window is empty;
/// neighbours may share an element, and `m` may be larger than `n`: elements are then repeated.
///
/// NaN, zeros and −inf are those of [`MaxPool`](crate::MaxPool); [`AdaptiveMaxPool::plan_indexed`] also says where each maximum was.
///
/// ```
/// use lanepool::{AdaptiveMaxPool, Layout};
/// let plan = AdaptiveMaxPool::<f32>::new([3]).plan(Layout::Nchw, [1, 1, 7])?;
/// // 0..3, 2..5 and 4..7.
/// assert_eq!(plan.run_vec(&[1.0, 5.0, 2.0, -1.0, 3.0, 0.0, 4.0])?, [5.0, 3.0, 4.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct AdaptiveMaxPool<T> {
    output: PerAxis,
    nan: NanPolicy,
    bounds: Option<[f64; 2]>,
    tier: Option<Tier>,
    element: PhantomData<T>,
}

/// The mean of each window, where the output's length is given and the windows follow: PyTorch's `AdaptiveAvgPool1d`, `2d` and
/// `3d`. The windows are those of [`AdaptiveMaxPool`].
///
/// - **Divisor**: the elements of the window.
/// - **Order**: that of [`AvgPool`](crate::AvgPool), where no window is long: columns are summed one by one, each in scan order, and
///   then added from left to right; a planar plane averaged whole in 16 partial sums; more than 256 taps on an axis in blocks.
/// - **Rounding**: once, at the end; integers by [`Rounding`].
///
/// ```
/// use lanepool::{AdaptiveAvgPool, Layout};
/// let plan = AdaptiveAvgPool::<f32>::new([2, 2]).plan(Layout::Nchw, [1, 1, 3, 2])?;
/// assert_eq!(plan.run_vec(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?, [2.0, 3.0, 4.0, 5.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct AdaptiveAvgPool<T> {
    output: PerAxis,
    rounding: Rounding,
    quantizations: Option<Quantizations>,
    bounds: Option<[f64; 2]>,
    tier: Option<Tier>,
    element: PhantomData<T>,
}

impl<T> AdaptiveMaxPool<T> {
    /// An output of this length on each spatial axis, in the order of the shape. Nothing is checked before a plan is made.
    pub fn new(output: impl AsRef<[usize]>) -> Self {
        Self {
            output: PerAxis::new(output.as_ref()),
            nan: NanPolicy::default(),
            bounds: None,
            tier: None,
            element: PhantomData,
        }
    }

    /// What NaN does.
    pub fn nan(mut self, policy: NanPolicy) -> Self {
        self.nan = policy;
        self
    }

    /// Runs on this tier where all windows are equal, which alone have kernels; other windows have the same code everywhere. The
    /// bits are the same.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }
}

impl<T> AdaptiveAvgPool<T> {
    /// An output of this length on each spatial axis, in the order of the shape. Nothing is checked before a plan is made.
    pub fn new(output: impl AsRef<[usize]>) -> Self {
        Self {
            output: PerAxis::new(output.as_ref()),
            rounding: Rounding::default(),
            quantizations: None,
            bounds: None,
            tier: None,
            element: PhantomData,
        }
    }

    /// What the elements of the input and of the output stand for: the result is that of
    /// [`QuantizedAvgPool`](crate::QuantizedAvgPool), of `u8`, `i8` and symmetric `i16` alone.
    ///
    /// ```
    /// use lanepool::{AdaptiveAvgPool, Layout, Quantization};
    /// let (signed, unsigned) = (Quantization::new(1.0 / 128.0, 128), Quantization::new(1.0 / 255.0, 0));
    /// let plan = AdaptiveAvgPool::<u8>::new([2]).quantization(signed, unsigned).plan(Layout::Nchw, [1, 1, 3])?;
    /// // 0.25 and 0.625, 0.625 and −0.5.
    /// assert_eq!(plan.run_vec(&[160, 208, 64])?, [112, 16]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn quantization(mut self, input: Quantization, output: Quantization) -> Self {
        self.quantizations = Some(Quantizations { input, output });
        self
    }

    /// How integers round a mean that lies between two of them. Floats do not ask.
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// Runs on this tier where all windows are equal, which alone have kernels; other windows have the same code everywhere. The
    /// bits are the same.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }
}

bounded!(AdaptiveMaxPool);
bounded!(AdaptiveAvgPool);

impl<T: Element> AdaptiveMaxPool<T> {
    /// Checks the output's lengths against a tensor of shape `N, C, spatial…`, in any layout.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::EmptyInput`], [`Error::EmptyOutput`], [`Error::BadBlock`], [`Error::SizeOverflow`],
    /// [`Error::BadClamp`] and [`Error::TierUnavailable`].
    pub fn plan(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<AdaptivePlan<T>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`AdaptiveMaxPool::plan`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided).
    ///
    /// ```
    /// use lanepool::{AdaptiveMaxPool, Layout};
    /// // Rows of 5 elements, 8 apart, are pooled to columns 3 apart.
    /// let pool = AdaptiveMaxPool::<i32>::new([2, 2]);
    /// let plan = pool.plan_strided(Layout::Nchw, [1, 1, 2, 5], [16, 16, 8, 1], [6, 6, 3, 1])?;
    /// let x: Vec<i32> = (0..16).collect();
    /// let mut y = vec![-1; plan.output_len()];
    /// plan.run(&x[..plan.input_len()], &mut y)?;
    /// assert_eq!(y, [2, 4, -1, 10, 12]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AdaptiveMaxPool::plan`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn plan_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AdaptivePlan<T>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_at(&self, layout: Layout, shape: &[usize], strides: Option<[&[usize]; 2]>) -> Result<AdaptivePlan<T>> {
        Ok(AdaptivePlan::of(self.of_any().plan_of((T::FACTS, T::bind_max), layout, shape, strides)?))
    }

    fn of_any(&self) -> AdaptiveMaxPool<Any> {
        let Self { output, nan, bounds, tier, .. } = *self;
        AdaptiveMaxPool { output, nan, bounds, tier, element: PhantomData }
    }

    /// [`AdaptiveMaxPool::plan`] for values and their indices, of type `I` (`i32` or `i64`).
    ///
    /// # Errors
    /// As for [`AdaptiveMaxPool::plan`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
    ///
    /// ```
    /// use lanepool::{AdaptiveMaxPool, IndexKind, Layout};
    /// let pool = AdaptiveMaxPool::<f32>::new([3]);
    /// let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 7])?;
    /// let (values, indices) = plan.run_vec(&[1.0, 5.0, 2.0, -1.0, 3.0, 0.0, 4.0])?;
    /// assert_eq!((values, indices), (vec![5.0, 3.0, 4.0], vec![1, 4, 6]));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn plan_indexed<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<AdaptiveIndexPlan<T, I>> {
        self.plan_indexed_at(kind, layout, shape.as_ref(), None)
    }

    /// [`AdaptiveMaxPool::plan_indexed`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_indexed_strided`](crate::Pool::plan_indexed_strided): indices lie as the values do.
    ///
    /// # Errors
    /// As for [`AdaptiveMaxPool::plan_strided`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
    pub fn plan_indexed_strided<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AdaptiveIndexPlan<T, I>> {
        self.plan_indexed_at(kind, layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_indexed_at<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<AdaptiveIndexPlan<T, I>> {
        let (known, index) = ((T::FACTS, T::bind_max as Bind), IndexType::of::<I>());
        let (values, numbering) = self.of_any().plan_numbered(known, (kind, index), layout, shape, strides)?;
        Ok(AdaptiveIndexPlan { values: AdaptivePlan::of(values), numbering, index: PhantomData })
    }
}

impl<T: Element> AdaptiveAvgPool<T> {
    /// Checks the output's lengths against a tensor of shape `N, C, spatial…`, in any layout.
    ///
    /// # Errors
    /// As for [`AdaptiveMaxPool::plan`]; [`Error::SumOverflow`]; those of [`QuantizedAvgPool`](crate::QuantizedAvgPool)
    /// where elements are quantised.
    pub fn plan(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<AdaptivePlan<T>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`AdaptiveAvgPool::plan`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided).
    ///
    /// # Errors
    /// As for [`AdaptiveAvgPool::plan`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn plan_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AdaptivePlan<T>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_at(&self, layout: Layout, shape: &[usize], strides: Option<[&[usize]; 2]>) -> Result<AdaptivePlan<T>> {
        let Self { output, rounding, quantizations, bounds, tier, .. } = *self;
        let pool = AdaptiveAvgPool::<Any> { output, rounding, quantizations, bounds, tier, element: PhantomData };
        let binds = [T::bind_mean, quantized::bind_mean::<T>()];
        Ok(AdaptivePlan::of(pool.plan_of((T::FACTS, binds), layout, shape, strides)?))
    }
}

/// An adaptive layer for tensors of one shape and layout: validated, immutable, cheap to clone, shareable between threads.
/// Made by [`AdaptiveMaxPool::plan`] and [`AdaptiveAvgPool::plan`].
pub struct AdaptivePlan<T> {
    shared: Arc<Shared>,
    element: PhantomData<fn(T) -> T>,
}

impl<T> Clone for AdaptivePlan<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), element: PhantomData }
    }
}

impl<T> AdaptivePlan<T> {
    /// `shared` is a plan of elements `T`: of others, it runs on none.
    fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), element: PhantomData }
    }
}

impl<T: Element> AdaptivePlan<T> {
    /// Pools `src` into `dst`. Allocates nothing; every element of `dst` is written (but for the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::SrcLen`] or [`Error::DstLen`] where a slice is not exactly as long as the plan needs; nothing is written
    /// then.
    pub fn run(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        self.shared.values().run(bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst))
    }

    /// Pools on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`AdaptivePlan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        let bytes = src.len().saturating_add(dst.len()).saturating_mul(size_of::<T>());
        self.run_parallel_in(crate::tasks::worth(bytes), src, dst)
    }

    /// [`AdaptivePlan::run_parallel`] in at most about this many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, src: &[T], dst: &mut [T]) -> Result<()> {
        self.shared.values().run_parallel(most, bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst))
    }

    /// Cuts the output into at most `most` parts that can be computed apart, as [`Plan::tasks`](crate::Plan::tasks).
    pub fn tasks(&self, most: usize) -> Tasks {
        self.shared.values().tasks(most)
    }

    /// Computes one part of the output from the whole input, as [`Plan::run_task`](crate::Plan::run_task).
    ///
    /// ```
    /// use lanepool::{AdaptiveAvgPool, Layout};
    /// let plan = AdaptiveAvgPool::<f32>::new([2]).plan(Layout::Nchw, [1, 2, 3])?;
    /// let x = [1.0, 2.0, 6.0, 3.0, 5.0, 7.0];
    /// let mut y = [0.0; 4];
    /// let tasks = plan.tasks(2);
    /// for task in 0..tasks.len() {
    ///     plan.run_task(&tasks, task, &x, &mut y[tasks.range(task)])?;
    /// }
    /// assert_eq!(y, [1.5, 4.0, 4.0, 6.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Plan::run_task`](crate::Plan::run_task).
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[T], part: &mut [T]) -> Result<()> {
        self.shared.values().run_task(tasks, task, bytemuck::cast_slice(src), bytemuck::cast_slice_mut(part))
    }

    /// Pools `src` into a new vector.
    ///
    /// # Errors
    /// [`Error::SrcLen`] where the slice is not exactly as long as the plan needs.
    pub fn run_vec(&self, src: &[T]) -> Result<Vec<T>> {
        let (need, got) = (self.input_len(), src.len());
        if need != got {
            return Err(Error::SrcLen { need, got });
        }
        let mut dst = alloc::vec![T::zeroed(); self.output_len()];
        self.run(src, &mut dst)?;
        Ok(dst)
    }
}

impl<T> AdaptivePlan<T> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.extent.input.extent()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.shared.extent.output.extent()
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> Vec<usize> {
        self.shared.extent.input.shape()
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.shared.extent.output.shape()
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.shared.plan.layout()
    }

    /// The tier it was planned for.
    pub fn tier(&self) -> Tier {
        self.shared.plan.tier()
    }

    /// The driver that visits the windows: see [`Plan::kernel`](crate::Plan::kernel).
    pub fn kernel(&self) -> &'static str {
        self.shared.plan.kernel()
    }
}

impl<T: Element> fmt::Display for AdaptivePlan<T> {
    /// `adaptive max f32 nchw → bands, avx2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.shared, f)
    }
}

impl<T: Element> fmt::Debug for AdaptivePlan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.shared, f)
    }
}

/// An adaptive maximum that says, beside each value, where it was found: made by [`AdaptiveMaxPool::plan_indexed`].
///
/// [`IndexKind`] says what an index counts and which of equals is named. The tap of [`IndexKind::Tap`] is counted in its own
/// window, row-major.
pub struct AdaptiveIndexPlan<T, I> {
    values: AdaptivePlan<T>,
    numbering: Numbering,
    index: PhantomData<fn(&mut [I])>,
}

impl<T, I> Clone for AdaptiveIndexPlan<T, I> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), numbering: self.numbering, index: PhantomData }
    }
}

impl<T: Element, I: Index> AdaptiveIndexPlan<T, I> {
    /// Pools `src` into `dst` and writes where each value was found into `indices`, which lie as the values do. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::DstLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs;
    /// nothing is written then.
    pub fn run(&self, src: &[T], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        let (src, dst, indices) = (bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst), IndicesMut::new(indices));
        self.values.shared.run_indexed(self.numbering, T::search, src, dst, indices)
    }

    /// Pools `src` into new vectors: values and indices.
    ///
    /// # Errors
    /// [`Error::SrcLen`] where the slice is not exactly as long as the plan needs.
    pub fn run_vec(&self, src: &[T]) -> Result<(Vec<T>, Vec<I>)> {
        let (need, got) = (self.values.input_len(), src.len());
        if need != got {
            return Err(Error::SrcLen { need, got });
        }
        let len = self.values.output_len();
        let (mut dst, mut indices) = (alloc::vec![T::zeroed(); len], alloc::vec![I::NONE; len]);
        self.run(src, &mut dst, &mut indices)?;
        Ok((dst, indices))
    }
}

impl<T, I> AdaptiveIndexPlan<T, I> {
    /// The plan of the values alone.
    pub fn values(&self) -> &AdaptivePlan<T> {
        &self.values
    }

    /// What the indices count.
    pub fn kind(&self) -> IndexKind {
        self.numbering.kind()
    }
}

impl<T: Element, I: Index> fmt::Debug for AdaptiveIndexPlan<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        find::shown(f, "AdaptiveIndexPlan", &self.values, I::NAME, self.kind())
    }
}
