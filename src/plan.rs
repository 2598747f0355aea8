//! A plan: a layer validated once, bound to a tier, run many times.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::{Count, Geometry};
use crate::index::{IndexType, IndicesMut};
use crate::kernels::{Bound, Clamp, Layer, Operation};
use crate::pool::Parts;
use crate::strides::Places;
use crate::variable::Extent;
use crate::{AdaptivePlan, DType, Element, Error, IndexKind, Layout, Result, Tasks, Tier, indexed};

/// Outputs whose divisors a plan tables at most: those whose windows padding cuts. No layer anybody runs comes near it.
const MOST_DIVISORS: usize = 1 << 24;

/// Bytes of output that are clamped at a time: they stay in a cache, and are long enough for rows to share their work.
const CLAMPED_BYTES: usize = 64 << 10;

/// What keeps outputs between bounds, if they have any.
pub(crate) fn clamp_between<T: Element>(bounds: Option<[f64; 2]>, tier: Tier) -> Result<Option<Clamp<T>>> {
    let Some([low, high]) = bounds else { return Ok(None) };
    let (least, most) = T::bounds(low, high).ok_or(Error::BadClamp { low, high })?;
    T::bind_clamp(tier, least, most).ok_or_else(|| no_kernel(tier, None)).map(Some)
}

/// Everything that is checked before a kernel is chosen: code that is compiled once, not for each element. Windows that
/// were validated by another rule than a [`Window`](crate::geometry::Window)'s are given as a geometry.
fn check_layer(
    parts: &Parts<'_>,
    geometry: Option<Geometry>,
    layout: Layout,
    shape: &[usize],
    strides: Option<[&[usize]; 2]>,
    element: DType,
    sums_fit: fn(&Layer, Operation) -> bool,
) -> Result<(Layer, Tier)> {
    let Parts { window, operation, count, tier, .. } = *parts;
    let geometry = geometry.map_or_else(|| Geometry::new(window, layout, shape, element.bytes()), Ok)?;
    if count == Count::Fixed(0) {
        return Err(Error::BadDivisor);
    }
    let places = Places::new(strides, layout, &geometry, element.bytes())?;
    let layer = Layer { geometry, count, places };
    let divides = operation.divides();
    if divides && layer.divisor_entries() > MOST_DIVISORS {
        return Err(Error::SizeOverflow {
            what: "the table of divisors: too many windows are cut by the padding, and",
        });
    }
    if divides && !sums_fit(&layer, operation) {
        let taps = geometry.axes.iter().map(|axis| axis.kernel.min(axis.input)).fold(1, usize::saturating_mul);
        // A quantised sum is exact in 32 bits before it is scaled.
        let bits = if let Operation::QuantizedMean { .. } = operation { 32 } else { 64 };
        return Err(Error::SumOverflow { element: element.name(), taps, bits });
    }
    Ok((layer, tier.unwrap_or_else(Tier::best).check()?))
}

/// Why a layer that was checked has no kernel.
pub(crate) fn no_kernel(tier: Tier, driver: Option<&str>) -> Error {
    match driver {
        Some(_) => Error::Unsupported { why: "the driver that was asked for does not take this layer" },
        None => Error::TierUnavailable { tier, why: "this build has no kernels for it" },
    }
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
    shared: Arc<Shared<T>>,
}

/// A way to run a kernel over some rows of its output: one of its methods.
trait Run<T>: Fn(&Bound<T>, &[T], &mut [T], Range<usize>) -> Option<()> {}

impl<T, F: Fn(&Bound<T>, &[T], &mut [T], Range<usize>) -> Option<()>> Run<T> for F {}

/// An operation's kernels for elements `T`: a function, so that a plan names the leaves of one operation and no others.
pub(crate) type Bind<T> = fn(Tier, Operation, &Layer, Option<&str>) -> Option<Bound<T>>;

/// Makes plans for one type of elements.
///
/// It is implemented for each type by itself, so that what plans is compiled in this crate, once, and not again in
/// every crate that asks for a plan.
pub trait Planned: Sized {
    #[doc(hidden)]
    fn plan(
        parts: &Parts<'_>,
        geometry: Option<Geometry>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind<Self>,
    ) -> Result<Plan<Self>>;

    #[doc(hidden)]
    fn plan_indexed(
        parts: &Parts<'_>,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        index: IndexType,
    ) -> Result<indexed::Found<Self>>;

    #[doc(hidden)]
    fn run_indexed(
        plan: &indexed::Shared<Self>,
        part: Option<(&Tasks, usize)>,
        src: &[Self],
        dst: Option<&mut [Self]>,
        indices: IndicesMut<'_>,
    ) -> Result<()>;

    #[doc(hidden)]
    fn plan_adaptive(
        parts: Parts<'_>,
        extent: Extent,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind<Self>,
    ) -> Result<AdaptivePlan<Self>>;
}

/// Implements [`Planned`].
macro_rules! planned {
    ($type:ty) => {
        impl crate::plan::Planned for $type {
            fn plan(
                parts: &crate::pool::Parts<'_>,
                geometry: Option<crate::geometry::Geometry>,
                layout: crate::Layout,
                shape: &[usize],
                strides: Option<[&[usize]; 2]>,
                bind: crate::plan::Bind<Self>,
            ) -> crate::Result<crate::Plan<Self>> {
                crate::Plan::new(parts, geometry, layout, shape, strides, bind)
            }

            fn plan_indexed(
                parts: &crate::pool::Parts<'_>,
                kind: crate::IndexKind,
                layout: crate::Layout,
                shape: &[usize],
                strides: Option<[&[usize]; 2]>,
                index: crate::index::IndexType,
            ) -> crate::Result<crate::indexed::Found<Self>> {
                crate::indexed::find(parts, kind, layout, shape, strides, index)
            }

            fn run_indexed(
                plan: &crate::indexed::Shared<Self>,
                part: Option<(&crate::Tasks, usize)>,
                src: &[Self],
                dst: Option<&mut [Self]>,
                indices: crate::index::IndicesMut<'_>,
            ) -> crate::Result<()> {
                plan.run(part, src, dst, indices)
            }

            fn plan_adaptive(
                parts: crate::pool::Parts<'_>,
                extent: crate::variable::Extent,
                layout: crate::Layout,
                shape: &[usize],
                strides: Option<[&[usize]; 2]>,
                bind: crate::plan::Bind<Self>,
            ) -> crate::Result<crate::AdaptivePlan<Self>> {
                crate::AdaptivePlan::new(parts, extent, layout, shape, strides, bind)
            }
        }
    };
}
pub(crate) use planned;

/// A byte for each byte.
pub(crate) type ByteMap = [u8; 256];

/// Puts for each byte the one that the map has for it: elements of one byte.
pub(crate) fn map_bytes<T: Element>(map: &ByteMap, elements: &mut [T]) {
    for byte in bytemuck::cast_slice_mut::<T, u8>(elements) {
        *byte = map.get(usize::from(*byte)).copied().unwrap_or(*byte);
    }
}

struct Shared<T> {
    kernel: Bound<T>,
    clamp: Option<Clamp<T>>,
    tier: Tier,
    geometry: Geometry,
    /// What becomes of each byte of the result.
    bytes: Option<Box<ByteMap>>,
    empty_windows: Option<T>,
    name: &'static str,
    layout: Layout,
    shape: Vec<usize>,
}

impl<T> Clone for Plan<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Element> Plan<T> {
    /// To be called by [`Planned::plan`] alone.
    pub(crate) fn new(
        parts: &Parts<'_>,
        geometry: Option<Geometry>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind<T>,
    ) -> Result<Self> {
        let Parts { operation, name, bounds, driver, .. } = *parts;
        let (layer, tier) = check_layer(parts, geometry, layout, shape, strides, T::DTYPE, T::sums_fit)?;
        let kernel = bind(tier, operation, &layer, driver).ok_or_else(|| no_kernel(tier, driver))?;
        let clamp = clamp_between(bounds, tier)?;
        let geometry = layer.geometry;
        let empty_windows = geometry.may_have_empty_windows().then(|| T::identity(operation));
        Ok(Self {
            shared: Arc::new(Shared {
                kernel,
                clamp,
                tier,
                geometry,
                bytes: parts.bytes.clone(),
                empty_windows,
                name,
                layout,
                shape: shape.to_vec(),
            }),
        })
    }

    /// Pools `src` into `dst`. Allocates nothing, locks nothing; every element of `dst` is written (but for the gaps of a plan with
    /// strides). Its scratch is on the stack: 64 KiB at most.
    ///
    /// # Errors
    /// [`Error::SrcLen`] or [`Error::DstLen`] where a slice is not exactly as long as the plan needs; nothing is written
    /// then.
    pub fn run(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        self.check_src(src)?;
        let (need, got) = (self.output_len(), dst.len());
        if need != got {
            return Err(Error::DstLen { need, got });
        }
        self.run_rows(src, dst, 0..self.shared.kernel.output().rows(), Bound::run)
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
        self.check_src(src)?;
        let (need, got) = (self.output_len(), dst.len());
        if need != got {
            return Err(Error::DstLen { need, got });
        }
        let gaps = Error::Unsupported {
            why: "an output with gaps between its elements cannot be memory that holds nothing yet",
        };
        let rows = 0..self.shared.kernel.output().rows();
        let dst = self.shared.kernel.run_uninit(src, dst).ok_or(gaps)?;
        self.finish(dst, rows);
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
        if most <= 1 || dst.len() != self.output_len() {
            return self.run(src, dst);
        }
        self.check_src(src)?;
        let tasks = self.tasks(most);
        if tasks.is_empty() {
            return Ok(());
        }
        // Where there are fewer rows than tasks are wanted, a task may be cut further, within its rows.
        let pieces = most.div_ceil(tasks.len());
        self.fork(&tasks, pieces, 0..tasks.len(), src, dst)
    }

    /// Runs some tasks, half of them on whatever thread is free. `part` is the output from the first's part to the last's.
    #[cfg(feature = "rayon")]
    fn fork(&self, tasks: &Tasks, pieces: usize, some: Range<usize>, src: &[T], part: &mut [T]) -> Result<()> {
        if some.len() <= 1 {
            let rows = self.rows_of(tasks, some.start)?;
            let shared = |kernel: &Bound<T>, src: &[T], dst: &mut [T], rows| kernel.run_shared(src, dst, rows, pieces);
            return self.run_rows(src, part, rows, shared);
        }
        let (middle, left, right) = tasks.halves(&some, part);
        let (left, right) = rayon::join(
            || self.fork(tasks, pieces, some.start..middle, src, left),
            || self.fork(tasks, pieces, middle..some.end, src, right),
        );
        left.and(right)
    }

    /// Cuts the output into at most `most` parts that can be computed apart, for a thread pool of the caller's: see
    /// [`Plan::run_task`]. 0 is taken for 1. A long batch is cut between planes and rows; a small layer may give fewer tasks
    /// than were asked for.
    pub fn tasks(&self, most: usize) -> Tasks {
        Tasks::new(most, self.shared.kernel.output())
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
        self.check_src(src)?;
        let rows = self.rows_of(tasks, task)?;
        let (need, got) = (tasks.range(task).len(), part.len());
        if need != got {
            return Err(Error::DstLen { need, got });
        }
        self.run_rows(src, part, rows, Bound::run)
    }

    /// The rows of a task of this plan's.
    pub(crate) fn rows_of(&self, tasks: &Tasks, task: usize) -> Result<Range<usize>> {
        tasks.check(task, self.shared.kernel.output())
    }

    fn check_src(&self, src: &[T]) -> Result<()> {
        let (need, got) = (self.input_len(), src.len());
        if need == got { Ok(()) } else { Err(Error::SrcLen { need, got }) }
    }

    /// Computes rows of the output into `dst`, which is their part of it and nothing else, by a method of the kernel. A layer with
    /// bounds is computed piece by piece, so that each is clamped while the cache holds it.
    fn run_rows(&self, src: &[T], dst: &mut [T], rows: Range<usize>, run: impl Run<T>) -> Result<()> {
        let shared = &*self.shared;
        if shared.clamp.is_none() {
            return self.run_piece(src, dst, rows, &run);
        }
        let (output, piece) = (shared.kernel.output(), self.clamped_rows());
        let base = output.span(rows.clone()).start;
        let mut first = rows.start;
        while first < rows.end {
            let end = first.saturating_add(piece).min(rows.end);
            let span = output.span(first..end);
            let span = span.start.saturating_sub(base)..span.end.saturating_sub(base);
            self.run_piece(src, dst.get_mut(span).unwrap_or_default(), first..end, &run)?;
            first = end;
        }
        Ok(())
    }

    /// Rows that are clamped at a time.
    fn clamped_rows(&self) -> usize {
        let row_bytes = self.shared.kernel.output().row_len().saturating_mul(size_of::<T>());
        CLAMPED_BYTES.checked_div(row_bytes).unwrap_or(0).max(1)
    }

    /// Pools one view into another, which has this plan's strides.
    #[cfg(feature = "ndarray")]
    pub(crate) fn run_on_views<D: ndarray::Dimension, E: ndarray::Dimension>(
        &self,
        src: &ndarray::ArrayView<'_, T, D>,
        dst: &mut ndarray::ArrayViewMut<'_, T, E>,
    ) -> Result<()> {
        let piece = if self.shared.clamp.is_some() { self.clamped_rows() } else { usize::MAX };
        self.shared.kernel.run_views(src, dst, piece, |run, first| self.finish_run(run, first))
    }

    fn run_piece(&self, src: &[T], dst: &mut [T], rows: Range<usize>, run: &impl Run<T>) -> Result<()> {
        if dst.is_empty() {
            return Ok(());
        }
        let kernel = &self.shared.kernel;
        if run(kernel, src, dst, rows.clone()).is_none() {
            return Err(Error::DstLen { need: kernel.output().span(rows).len(), got: dst.len() });
        }
        self.finish(dst, rows);
        Ok(())
    }

    /// What is done to outputs that the kernel has computed. Rare, so no kernel knows.
    fn finish(&self, dst: &mut [T], rows: Range<usize>) {
        let shared = &*self.shared;
        if shared.bytes.is_none() && shared.empty_windows.is_none() && shared.clamp.is_none() {
            return;
        }
        shared.kernel.output().for_each_run(dst, rows, &mut |run: &mut [T], first| self.finish_run(run, first));
    }

    /// The same for outputs side by side, of which the first has the number `first` in an output without gaps.
    #[inline(never)]
    fn finish_run(&self, run: &mut [T], first: usize) {
        let shared = &*self.shared;
        if let Some(map) = &shared.bytes {
            map_bytes(map, run);
        }
        if let Some(identity) = shared.empty_windows {
            shared.geometry.fill_empty(run, first, identity);
        }
        if let Some(clamp) = &shared.clamp {
            clamp(run);
        }
    }
}

impl<T> Plan<T> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.shared.kernel.input_len()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        let output = self.shared.kernel.output();
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

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    /// The tier it runs on.
    pub fn tier(&self) -> Tier {
        self.shared.tier
    }

    /// Bytes that the plan holds beside its shape: tables, divisors, and what it is made of.
    pub fn held_bytes(&self) -> usize {
        size_of::<Shared<T>>().saturating_add(self.shared.kernel.bytes())
    }

    /// The driver that visits the windows, as named in the folder `kernels/driver`: for logs and tests. It decides how
    /// fast the layer is, and no bit of its result.
    pub fn kernel(&self) -> &'static str {
        self.shared.kernel.driver()
    }
}

/// A plan with its shapes, for `Debug`.
pub(crate) fn shown(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    plan: &dyn fmt::Display,
    input: &[usize],
    output: &[usize],
) -> fmt::Result {
    write!(f, "{name}({plan}, {input:?} to {output:?})")
}

/// Numbers joined by `x`: `64x112x112`.
fn joined(numbers: impl Iterator<Item = usize>) -> String {
    use fmt::Write;
    let mut text = String::new();
    for (i, number) in numbers.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{number}", if i > 0 { "x" } else { "" });
    }
    text
}

/// A number for each axis, or one for all where they are equal.
fn compact(numbers: impl Iterator<Item = usize> + Clone) -> String {
    let mut rest = numbers.clone();
    match rest.next() {
        Some(first) if rest.all(|n| n == first) => joined([first].into_iter()),
        _ => joined(numbers),
    }
}

/// What a plan tells of itself.
struct About<'a> {
    geometry: &'a Geometry,
    layout: Layout,
    name: &'static str,
    tier: Tier,
    driver: &'static str,
}

impl<T> Shared<T> {
    fn about(&self) -> About<'_> {
        let Self { geometry, layout, name, tier, kernel, .. } = self;
        About { geometry, layout: *layout, name, tier: *tier, driver: kernel.driver() }
    }
}

impl<T: Element> fmt::Display for Plan<T> {
    /// `max f32 nchw 3x3/2+1 → rows, avx2`: operation, element, layout, kernel, then `/stride`, `*dilation`, `+padding`
    /// where they are not the default (`+begin:end` where the two differ), the driver and the tier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.about().describe(f, T::NAME)
    }
}

impl About<'_> {
    fn describe(&self, f: &mut fmt::Formatter<'_>, element: &str) -> fmt::Result {
        let Self { geometry, layout, name, tier, driver } = self;
        let axes = || geometry.spatial();
        write!(f, "{name} {element} {layout} ")?;
        if geometry.is_global() {
            f.write_str("global")?;
        } else {
            f.write_str(&joined(axes().map(|axis| axis.kernel)))?;
            if axes().any(|axis| axis.stride != 1) {
                write!(f, "/{}", compact(axes().map(|axis| axis.stride)))?;
            }
            if axes().any(|axis| axis.dilation != 1) {
                write!(f, "*{}", compact(axes().map(|axis| axis.dilation)))?;
            }
            if axes().any(|axis| axis.begin != axis.end) {
                write!(f, "+{}:{}", compact(axes().map(|axis| axis.begin)), compact(axes().map(|axis| axis.end)))?;
            } else if axes().any(|axis| axis.begin != 0) {
                write!(f, "+{}", compact(axes().map(|axis| axis.begin)))?;
            }
        }
        write!(f, " → {driver}, {tier}")
    }
}

impl<T: Element> fmt::Debug for Plan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, "Plan", self, self.input_shape(), &self.output_shape())?;
        write!(f, ": {:?}", self.shared.kernel.describe())
    }
}
