//! Maxima and minima with where they are.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::erased::About;
use crate::geometry::{Count, Geometry};
use crate::index::{IndexType, IndicesMut};
use crate::kernels::{BoundFind, Clamp, Layer, Operation};
use crate::plan::{ByteMap, Facts, clamp_between, identity_of, map_bytes, no_kernel};
use crate::pool::Parts;
use crate::strides::Places;
use crate::{
    DType, Element, Error, Index, IndexKind, Layout, Max, Min, Pool, PoolOperation, QuantizedMax, Result, Tasks, Tier,
};

/// A maximum or minimum that says, beside each value, where it was found: made by
/// [`MaxPool::plan_indexed`](crate::Pool::plan_indexed), and of quantised bytes by
/// [`QuantizedMaxPool`](crate::QuantizedMaxPool), whose indices name the byte that was found before it was taken over to
/// the output's quantisation.
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
    shared: Arc<Shared>,
    types: PhantomData<fn(T) -> I>,
}

/// A plan of any elements and either type of indices, which runs over the elements' bytes: compiled once.
pub struct Shared {
    finder: BoundFind,
    clamp: Option<Clamp>,
    geometry: Geometry,
    /// What becomes of each byte of the values.
    bytes: Option<Box<ByteMap>>,
    /// What a window without a valid tap gives, where there may be one.
    empty_windows: Option<u64>,
    name: &'static str,
    dtype: DType,
    index: IndexType,
    kind: IndexKind,
    layout: Layout,
    tier: Tier,
    shape: Vec<usize>,
}

impl<T, I> Clone for IndexPlan<T, I> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

/// The largest index that a layer can have; a layer of no elements has none.
fn largest(kind: IndexKind, geometry: &Geometry) -> usize {
    let taps = || geometry.axes.iter().map(|axis| axis.kernel).fold(1, usize::saturating_mul);
    let places = kind.places(geometry.batch, geometry.channels, geometry.axes.map(|axis| axis.input));
    places.unwrap_or_else(taps).saturating_sub(1)
}

/// Everything that is checked before a kernel is chosen: code that is compiled once, not for each element. `bytes` are
/// those of an element or an index, the longer of the two: the slice of indices has a length in bytes too.
fn check_layer(
    parts: &Parts<'_>,
    kind: IndexKind,
    layout: Layout,
    shape: &[usize],
    strides: Option<[&[usize]; 2]>,
    bytes: usize,
    index: IndexType,
) -> Result<(Layer, Tier)> {
    let geometry = Geometry::new(parts.window, layout, shape, bytes)?;
    let places = Places::new(strides, layout, &geometry, bytes)?;
    index.check(largest(kind, &geometry))?;
    let tier = parts.tier.unwrap_or_else(Tier::best).check()?;
    Ok((Layer { geometry, count: Count::Valid, places }, tier))
}

/// An element's finders: a function, so that a plan of values alone names none.
pub(crate) type BindFind = fn(Tier, Operation, IndexKind, &Layer) -> Option<BoundFind>;

impl Shared {
    /// Plans for indices of a type.
    pub(crate) fn new(
        (facts, bind): (&Facts, BindFind),
        parts: &Parts<'_>,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        index: IndexType,
    ) -> Result<Arc<Self>> {
        let Parts { operation, name, bounds, .. } = *parts;
        let dtype = facts.dtype;
        let bytes = dtype.bytes().max(index.bytes());
        let (layer, tier) = check_layer(parts, kind, layout, shape, strides, bytes, index)?;
        let geometry = layer.geometry;
        let finder = bind(tier, operation, kind, &layer).ok_or_else(|| no_kernel(tier, None))?;
        let clamp = clamp_between(facts, bounds, tier)?;
        let empty_windows = identity_of(facts, operation, &geometry);
        let shape = shape.to_vec();
        Ok(Arc::new(Self {
            finder,
            clamp,
            geometry,
            bytes: parts.bytes.clone(),
            empty_windows,
            name,
            dtype,
            index,
            kind,
            layout,
            tier,
            shape,
        }))
    }
}

impl<T, I> IndexPlan<T, I> {
    /// `shared` is a plan of elements `T` and indices `I`: of others, it runs on none.
    fn of(shared: Arc<Shared>) -> Self {
        Self { shared, types: PhantomData }
    }
}

impl<T: Element, I: Index> IndexPlan<T, I> {
    pub(crate) fn new(
        parts: &Parts<'_>,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Self> {
        let known = (T::FACTS, T::bind_find as BindFind);
        Ok(Self::of(Shared::new(known, parts, kind, layout, shape, strides, IndexType::of::<I>())?))
    }

    /// Pools `src` into `dst` and writes where each value was found into `indices`, which lie as the values do. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::DstLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs;
    /// nothing is written then.
    pub fn run(&self, src: &[T], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        self.run_part(None, src, Some(dst), indices)
    }

    /// Writes where the maxima or minima of `src` are, and not what they are.
    ///
    /// # Errors
    /// As for [`IndexPlan::run`].
    pub fn run_indices(&self, src: &[T], indices: &mut [I]) -> Result<()> {
        self.run_part(None, src, None, indices)
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
        let (src, dst) = (bytemuck::cast_slice(src), bytemuck::cast_slice_mut(dst));
        self.shared.run_parallel(most, src, dst, IndicesMut::new(indices))
    }

    /// Cuts values and indices into at most `most` parts that can be computed apart, as [`Plan::tasks`](crate::Plan::tasks).
    pub fn tasks(&self, most: usize) -> Tasks {
        self.shared.tasks(most)
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
        self.run_part(Some((tasks, task)), src, Some(part), indices)
    }

    /// Computes one part of the indices alone.
    ///
    /// # Errors
    /// As for [`IndexPlan::run_task`].
    pub fn run_indices_task(&self, tasks: &Tasks, task: usize, src: &[T], indices: &mut [I]) -> Result<()> {
        self.run_part(Some((tasks, task)), src, None, indices)
    }

    fn run_part(
        &self,
        part: Option<(&Tasks, usize)>,
        src: &[T],
        dst: Option<&mut [T]>,
        indices: &mut [I],
    ) -> Result<()> {
        let dst = dst.map(bytemuck::cast_slice_mut);
        self.shared.run(part, bytemuck::cast_slice(src), dst, IndicesMut::new(indices))
    }
}

impl Shared {
    /// Computes the whole or one part, with or without the values.
    pub(crate) fn run(
        &self,
        part: Option<(&Tasks, usize)>,
        src: &[u8],
        mut dst: Option<&mut [u8]>,
        indices: IndicesMut<'_>,
    ) -> Result<()> {
        let (finder, got) = (&self.finder, indices.len());
        let rows = self.check_part(part, [src.len(), got], dst.as_deref().map(<[u8]>::len))?;
        if got == 0 {
            return Ok(());
        }
        if finder.run(src, dst.as_deref_mut(), indices, rows.clone()).is_none() {
            return Err(Error::IndexLen { need: finder.output().span(rows).len(), got });
        }
        match dst {
            Some(dst) if self.bytes.is_some() || self.empty_windows.is_some() || self.clamp.is_some() => {
                let size = finder.element_bytes();
                finder.output().for_each_run(dst, size, rows, &mut |dst, first| self.finish(dst, first));
            }
            _ => {}
        }
        Ok(())
    }

    /// The rows of the whole or of a task. The lengths are the bytes of the input, how many indices there are, and the
    /// bytes of the values if there are any.
    fn check_part(
        &self,
        part: Option<(&Tasks, usize)>,
        [src, indices]: [usize; 2],
        dst: Option<usize>,
    ) -> Result<Range<usize>> {
        let (output, need, size) = (self.finder.output(), self.finder.input_len(), self.finder.element_bytes());
        let elements = |bytes: usize| bytes.checked_div(size).unwrap_or(0);
        if need.checked_mul(size) != Some(src) {
            return Err(Error::SrcLen { need, got: elements(src) });
        }
        let rows = match part {
            None => 0..output.rows(),
            Some((tasks, task)) => tasks.check(task, output)?,
        };
        let need = output.span(rows.clone()).len();
        if need != indices {
            return Err(Error::IndexLen { need, got: indices });
        }
        match dst {
            Some(bytes) if need.checked_mul(size) != Some(bytes) => Err(Error::DstLen { need, got: elements(bytes) }),
            _ => Ok(rows),
        }
    }

    /// As [`IndexPlan::run_parallel_in`].
    #[cfg(feature = "rayon")]
    fn run_parallel(&self, most: usize, src: &[u8], dst: &mut [u8], indices: IndicesMut<'_>) -> Result<()> {
        let tasks = self.tasks(most);
        if tasks.len() <= 1 {
            return self.run(None, src, Some(dst), indices);
        }
        self.check_part(None, [src.len(), indices.len()], Some(dst.len()))?;
        self.fork(&tasks, 0..tasks.len(), src, dst, indices)
    }

    /// Runs some tasks, half of them on whatever thread is free. `part` and `indices` are the outputs from the first's part to the
    /// last's.
    #[cfg(feature = "rayon")]
    fn fork(
        &self,
        tasks: &Tasks,
        some: Range<usize>,
        src: &[u8],
        part: &mut [u8],
        indices: IndicesMut<'_>,
    ) -> Result<()> {
        if some.len() <= 1 {
            return self.run(Some((tasks, some.start)), src, Some(part), indices);
        }
        let (middle, left, right) = tasks.halves(&some, part, self.finder.element_bytes());
        let [left_indices, right_indices] = match indices {
            IndicesMut::Short(indices) => {
                let (_, left, right) = tasks.halves(&some, indices, 1);
                [left, right].map(IndicesMut::Short)
            }
            IndicesMut::Long(indices) => {
                let (_, left, right) = tasks.halves(&some, indices, 1);
                [left, right].map(IndicesMut::Long)
            }
        };
        let (left, right) = rayon::join(
            || self.fork(tasks, some.start..middle, src, left, left_indices),
            || self.fork(tasks, middle..some.end, src, right, right_indices),
        );
        left.and(right)
    }

    pub(crate) fn tasks(&self, most: usize) -> Tasks {
        Tasks::new(most, self.finder.output())
    }

    /// What is done to values that the kernel has found.
    #[inline(never)]
    fn finish(&self, dst: &mut [u8], first: usize) {
        if let Some(map) = &self.bytes {
            map_bytes(map, dst);
        }
        if let Some(identity) = self.empty_windows {
            self.geometry.fill_empty(dst, self.finder.element_bytes(), first, identity);
        }
        if let Some(clamp) = &self.clamp {
            clamp.keep(dst);
        }
    }

    fn input_len(&self) -> usize {
        self.finder.input_len()
    }

    pub(crate) fn index(&self) -> IndexType {
        self.index
    }

    pub(crate) fn about(&self) -> About {
        let Self { dtype, layout, tier, .. } = *self;
        let shapes = [self.shape.clone(), self.geometry.output_shape()];
        let lens = [self.input_len(), self.output_len()];
        About { dtype, layout, tier: Some(tier), kernel: "find", shapes, lens, samples: (0, 1) }
    }

    pub(crate) fn output_len(&self) -> usize {
        let output = self.finder.output();
        output.span(0..output.rows()).len()
    }
}

impl<T, I> IndexPlan<T, I> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.input_len()
    }

    /// Elements that the output and the index slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.shared.output_len()
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
        fmt::Debug::fmt(&*self.shared, f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dtype, index, kind, layout, tier, shape, geometry, .. } = self;
        let (index, output) = (index.name(), geometry.output_shape());
        write!(f, "IndexPlan({name} {dtype} {layout} with {index} of {kind:?} on {tier}, {shape:?} to {output:?})")
    }
}

/// The operations that find what they give: maximum and minimum, and the maximum of quantised bytes.
pub trait Extreme: PoolOperation {}

impl Extreme for Max {}
impl Extreme for Min {}
impl Extreme for QuantizedMax {}

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
        self.plan_indexed_at(kind, layout, shape.as_ref(), None)
    }

    #[inline(never)]
    fn plan_indexed_at<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<IndexPlan<T, I>> {
        IndexPlan::new(&self.parts(T::DTYPE)?, kind, layout, shape, strides)
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
        self.plan_indexed_at(kind, layout, shape.as_ref(), strides)
    }
}
