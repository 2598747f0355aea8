//! Maxima and minima with where they are.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::{Count, Geometry};
use crate::kernels::{BoundFind, Clamp, Layer};
use crate::plan::clamp_between;
use crate::pool::Parts;
use crate::strides::Places;
use crate::{Element, Error, Index, IndexKind, Layout, Max, Min, Pool, PoolOperation, Result, Tasks, Tier};

/// A maximum or minimum that says, beside each value, where it was found: made by
/// [`MaxPool::plan_indexed`](crate::Pool::plan_indexed).
///
/// [`IndexKind`] says what an index counts and which of equals is named. Plain maxima never pay for this: they have a
/// [`Plan`](crate::Plan) of their own.
///
/// ```
/// use lanepool::{IndexKind, Layout, MaxPool};
/// let pool = MaxPool::<f32>::new([2]).stride([2]);
/// let plan = pool.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 6])?;
/// let (values, indices) = plan.run_vec(&[1.0, 3.0, 2.0, 2.0, -1.0, f32::NAN])?;
/// assert_eq!((values[0], indices), (3.0, vec![1, 2, 5]));
/// assert!(values[2].is_nan());
/// # Ok::<(), lanepool::Error>(())
/// ```
pub struct IndexPlan<T, I> {
    shared: Arc<Shared<T>>,
    index: PhantomData<fn(&mut [I])>,
}

struct Shared<T> {
    finder: BoundFind<T>,
    clamp: Option<Clamp<T>>,
    geometry: Geometry,
    /// What a window without a valid tap gives, where there may be one.
    empty_windows: Option<T>,
    name: &'static str,
    kind: IndexKind,
    layout: Layout,
    tier: Tier,
    shape: Vec<usize>,
}

impl<T, I> Clone for IndexPlan<T, I> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), index: PhantomData }
    }
}

/// The largest index that a layer can have; a layer of no elements has none.
fn largest(kind: IndexKind, geometry: &Geometry) -> usize {
    let plane = geometry.axes.iter().map(|axis| axis.input).fold(1, usize::saturating_mul);
    let places = match kind {
        IndexKind::Plane => plane,
        IndexKind::Tensor | IndexKind::TensorColumnMajor => geometry.input_len(),
        IndexKind::Tap => geometry.axes.iter().map(|axis| axis.kernel).fold(1, usize::saturating_mul),
    };
    places.saturating_sub(1)
}

impl<T: Element, I: Index> IndexPlan<T, I> {
    fn new(
        parts: &Parts<'_>,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Self> {
        let Parts { window, operation, name, tier, bounds, .. } = *parts;
        // The slice of indices has a length in bytes too.
        let bytes = size_of::<T>().max(size_of::<I>());
        let geometry = Geometry::new(window, layout, shape, bytes)?;
        let places = Places::new(strides, layout, &geometry, bytes)?;
        let most = largest(kind, &geometry);
        if most as u64 > I::MOST {
            return Err(Error::IndexTooNarrow { index: I::NAME, most });
        }
        let tier = tier.unwrap_or_else(Tier::best).check()?;
        let layer = Layer { geometry, count: Count::Valid, places };
        let unavailable = Error::TierUnavailable { tier, why: "this build has no kernels for it" };
        let finder = T::bind_find(tier, operation, kind, &layer).ok_or(unavailable)?;
        let clamp = clamp_between(bounds, tier)?;
        let empty_windows = geometry.may_have_empty_windows().then(|| T::identity(operation));
        Ok(Self {
            shared: Arc::new(Shared {
                finder,
                clamp,
                geometry,
                empty_windows,
                name,
                kind,
                layout,
                tier,
                shape: shape.to_vec(),
            }),
            index: PhantomData,
        })
    }

    /// Pools `src` into `dst` and writes where each value was found into `indices`, which lie as the values do. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::DstLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs;
    /// nothing is written then.
    pub fn run(&self, src: &[T], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        self.check(src, indices)?;
        let (need, got) = (self.output_len(), dst.len());
        if need != got {
            return Err(Error::DstLen { need, got });
        }
        self.run_rows(src, Some(dst), indices, 0..self.shared.finder.output().rows())
    }

    /// Writes where the maxima or minima of `src` are, and not what they are.
    ///
    /// # Errors
    /// As for [`IndexPlan::run`].
    pub fn run_indices(&self, src: &[T], indices: &mut [I]) -> Result<()> {
        self.check(src, indices)?;
        self.run_rows(src, None, indices, 0..self.shared.finder.output().rows())
    }

    /// Pools `src` into new vectors: values and indices.
    ///
    /// # Errors
    /// [`Error::SrcLen`] where the slice is not exactly as long as the plan needs.
    pub fn run_vec(&self, src: &[T]) -> Result<(Vec<T>, Vec<I>)> {
        let (mut dst, mut indices) =
            (alloc::vec![T::zeroed(); self.output_len()], alloc::vec![I::NONE; self.output_len()]);
        self.run(src, &mut dst, &mut indices)?;
        Ok((dst, indices))
    }

    /// Pools on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`IndexPlan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[T], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        let bytes = src.len().saturating_add(dst.len()).saturating_mul(size_of::<T>());
        self.run_parallel_in(crate::tasks::worth(bytes), src, dst, indices)
    }

    /// [`IndexPlan::run_parallel`] in at most this many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, src: &[T], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        let tasks = self.tasks(most);
        if tasks.len() <= 1 || dst.len() != self.output_len() {
            return self.run(src, dst, indices);
        }
        self.check(src, indices)?;
        self.fork(&tasks, 0..tasks.len(), src, dst, indices)
    }

    /// Runs some tasks, half of them on whatever thread is free. `part` and `indices` are the outputs from the first's part to the
    /// last's.
    #[cfg(feature = "rayon")]
    fn fork(&self, tasks: &Tasks, some: Range<usize>, src: &[T], part: &mut [T], indices: &mut [I]) -> Result<()> {
        if some.len() <= 1 {
            return self.run_task(tasks, some.start, src, part, indices);
        }
        let (middle, left, right) = tasks.halves(&some, part);
        let (_, left_indices, right_indices) = tasks.halves(&some, indices);
        let (left, right) = rayon::join(
            || self.fork(tasks, some.start..middle, src, left, left_indices),
            || self.fork(tasks, middle..some.end, src, right, right_indices),
        );
        left.and(right)
    }

    /// Cuts values and indices into at most `most` parts that can be computed apart, as [`Plan::tasks`](crate::Plan::tasks).
    pub fn tasks(&self, most: usize) -> Tasks {
        let finder = &self.shared.finder;
        Tasks::new(most, finder.output())
    }

    /// Computes one part of the values and of the indices, each the range [`Tasks::range`] of its slice, as
    /// [`Plan::run_task`](crate::Plan::run_task).
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxPool};
    /// let pool = MaxPool::<f32>::new([2]).stride([2]);
    /// let plan = pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 3, 4])?;
    /// let x: Vec<f32> = (0..12).map(|i| i as f32).collect();
    /// let (mut y, mut at) = (vec![0.0; 6], vec![0; 6]);
    /// let tasks = plan.tasks(2);
    /// for task in 0..tasks.len() {
    ///     let range = tasks.range(task);
    ///     plan.run_task(&tasks, task, &x, &mut y[range.clone()], &mut at[range])?;
    /// }
    /// assert_eq!((y, at), (vec![1.0, 3.0, 5.0, 7.0, 9.0, 11.0], vec![1, 3, 1, 3, 1, 3]));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::DstLen`] and [`Error::IndexLen`] where a slice is not exactly as long as it must be,
    /// [`Error::TaskOutOfRange`] and [`Error::ForeignTasks`]; nothing is written then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[T], part: &mut [T], indices: &mut [I]) -> Result<()> {
        let rows = self.check_task(tasks, task, src, indices)?;
        let (need, got) = (indices.len(), part.len());
        if need != got {
            return Err(Error::DstLen { need, got });
        }
        self.run_rows(src, Some(part), indices, rows)
    }

    /// Computes one part of the indices alone.
    ///
    /// # Errors
    /// As for [`IndexPlan::run_task`].
    pub fn run_indices_task(&self, tasks: &Tasks, task: usize, src: &[T], indices: &mut [I]) -> Result<()> {
        let rows = self.check_task(tasks, task, src, indices)?;
        self.run_rows(src, None, indices, rows)
    }

    /// The rows of a task whose part of the indices this is.
    fn check_task(&self, tasks: &Tasks, task: usize, src: &[T], indices: &[I]) -> Result<Range<usize>> {
        self.check_src(src)?;
        let rows = tasks.check(task, self.shared.finder.output())?;
        let (need, got) = (tasks.range(task).len(), indices.len());
        if need == got { Ok(rows) } else { Err(Error::IndexLen { need, got }) }
    }

    fn check_src(&self, src: &[T]) -> Result<()> {
        let (need, got) = (self.input_len(), src.len());
        if need == got { Ok(()) } else { Err(Error::SrcLen { need, got }) }
    }

    fn check(&self, src: &[T], indices: &[I]) -> Result<()> {
        self.check_src(src)?;
        let (need, got) = (self.output_len(), indices.len());
        if need == got { Ok(()) } else { Err(Error::IndexLen { need, got }) }
    }

    fn run_rows(&self, src: &[T], mut dst: Option<&mut [T]>, indices: &mut [I], rows: Range<usize>) -> Result<()> {
        if indices.is_empty() {
            return Ok(());
        }
        let finder = &self.shared.finder;
        let need = finder.output().span(rows.clone()).len();
        let wrong = Error::IndexLen { need, got: indices.len() };
        finder.run(src, dst.as_deref_mut(), indices, rows.clone()).ok_or(wrong)?;
        let Some(dst) = dst else { return Ok(()) };
        if self.shared.empty_windows.is_none() && self.shared.clamp.is_none() {
            return Ok(());
        }
        finder.output().for_each_run(dst, rows, |dst, first| {
            if let Some(identity) = self.shared.empty_windows {
                self.shared.geometry.fill_empty(dst, first, identity);
            }
            if let Some(clamp) = &self.shared.clamp {
                clamp(dst);
            }
        });
        Ok(())
    }
}

impl<T, I> IndexPlan<T, I> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.finder.input_len()
    }

    /// Elements that the output and the index slice must have, likewise.
    pub fn output_len(&self) -> usize {
        let output = self.shared.finder.output();
        output.span(0..output.rows()).len()
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> &[usize] {
        &self.shared.shape
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.shared.geometry.output_shape()
    }

    /// The layout of input, output and indices.
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    /// The tier it runs on.
    pub fn tier(&self) -> Tier {
        self.shared.tier
    }

    /// What the indices count.
    pub fn kind(&self) -> IndexKind {
        self.shared.kind
    }
}

impl<T: Element, I: Index> fmt::Debug for IndexPlan<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { name, kind, layout, tier, shape, .. } = &*self.shared;
        let (element, index) = (T::NAME, I::NAME);
        write!(f, "IndexPlan({name} {element} {layout} with {index} of {kind:?} on {tier}, {shape:?} to ")?;
        write!(f, "{:?})", self.output_shape())
    }
}

/// The operations that find what they give: maximum and minimum.
pub trait Extreme: PoolOperation {}

impl Extreme for Max {}
impl Extreme for Min {}

impl<O: Extreme, T: Element> Pool<O, T> {
    /// [`Pool::plan`] for values and their indices, of type `I` (`i32` or `i64`).
    ///
    /// # Errors
    /// As for [`Pool::plan`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
    pub fn plan_indexed<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<IndexPlan<T, I>> {
        IndexPlan::new(&self.parts(), kind, layout, shape.as_ref(), None)
    }

    /// [`Pool::plan_indexed`] for tensors that are parts of larger ones, by the rules of [`Pool::plan_strided`].
    ///
    /// - **Indices** lie in their slice as the values do in theirs: by the output's strides, which count elements, whatever their
    ///   type. Their slice is as long; nothing is written between them.
    /// - **What they count** does not depend on strides: offsets are those of the same elements side by side.
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxPool};
    /// // Channels 1 and 2 of 4, channels last, are pooled to channels 0 and 1 of 3.
    /// let pool = MaxPool::<i32>::new([2]).stride([2]);
    /// let (input, output) = ([16, 1, 4], [6, 1, 3]);
    /// let plan = pool.plan_indexed_strided::<i64>(IndexKind::Plane, Layout::Nhwc, [1, 2, 4], input, output)?;
    /// let x: Vec<i32> = (0..16).collect();
    /// let (mut y, mut at) = (vec![-1; 6], vec![-7; 6]);
    /// let len = plan.output_len();
    /// plan.run(&x[1..][..plan.input_len()], &mut y[..len], &mut at[..len])?;
    /// assert_eq!((y, at), (vec![5, 6, -1, 13, 14, -1], vec![1, 1, -7, 3, 3, -7]));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Pool::plan_strided`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
    pub fn plan_indexed_strided<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<IndexPlan<T, I>> {
        let strides = Some([input.as_ref(), output.as_ref()]);
        IndexPlan::new(&self.parts(), kind, layout, shape.as_ref(), strides)
    }
}
