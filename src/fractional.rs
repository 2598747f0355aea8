//! Fractional max pooling: windows of one length, at places that the caller's random samples choose.

use core::fmt::{self, Debug};
use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::{MAX_RANK, PerAxis};
use crate::index::{IndexType, IndicesMut};
use crate::kernels::Clamp;
use crate::plan::clamp_between;
use crate::strides::Split;
use crate::variable::find::{self, Numbering};
use crate::variable::fold;
use crate::variable::scalar::Largest;
use crate::variable::{Axes, Block, EachWindow, Extent, Windows, bounded};
use crate::{Element, Error, Index, IndexKind, Layout, NanPolicy, Result, Tier};

/// A type of random samples. Sealed: the float elements.
pub trait Sample: bytemuck::Pod + Debug + PartialEq + Send + Sync + sealed::Sealed {}

mod sealed {
    pub trait Sealed: Copy {
        /// Where the window of output `o` starts, if `free` positions are left and `last` is the last output, which is not
        /// asked for: `⌊(o + sample)·α⌋ − ⌊sample·α⌋` with `α = free/last`, each operation rounded to this type.
        #[doc(hidden)]
        fn start(self, o: usize, free: usize, last: usize) -> usize;
        #[doc(hidden)]
        fn value(self) -> f64;
    }
}

macro_rules! samples {
    ($($T:ty: $from:expr, $floor:expr);+ $(;)?) => { $(
        impl Sample for $T {}
        impl sealed::Sealed for $T {
            #[allow(clippy::arithmetic_side_effects, reason = "floats")]
            fn start(self, o: usize, free: usize, last: usize) -> usize {
                let (from, floor) = ($from, $floor);
                let alpha: $T = from(free) / from(last);
                floor((from(o) + self) * alpha).saturating_sub(floor(self * alpha))
            }
            fn value(self) -> f64 {
                self.into()
            }
        }
    )+ };
}

// `as` cuts the fraction off, and saturates.
samples! {
    f32: |n: usize| n as f32, |x: f32| x as usize;
    f64: |n: usize| n as f64, |x: f64| x as usize;
}

#[cfg(feature = "half")]
samples! {
    half::f16: |n: usize| half::f16::from_f32(n as f32), |x: half::f16| x.to_f32() as usize;
    half::bf16: |n: usize| half::bf16::from_f32(n as f32), |x: half::bf16| x.to_f32() as usize;
}

/// The windows of one axis of one plane.
#[derive(Clone, Copy, Debug)]
struct Places<S> {
    input: usize,
    output: usize,
    kernel: usize,
    sample: S,
}

impl<S: Sample> Windows for Places<S> {
    fn windows(self) -> impl Iterator<Item = Range<usize>> {
        let Self { input, output, kernel, sample } = self;
        let (free, last) = (input.saturating_sub(kernel), output.saturating_sub(1));
        (0..output).map(move |o| {
            // Rounding may carry a start past the last place.
            let start = if o == last { free } else { sample.start(o, free, last).min(free) };
            start..start.saturating_add(kernel)
        })
    }
}

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
    /// [`Error::Rank`], [`Error::ZeroKernel`], [`Error::EmptyInput`], [`Error::EmptyOutput`], [`Error::TooManyWindows`],
    /// [`Error::BadBlock`], [`Error::BadClamp`] and [`Error::SizeOverflow`].
    pub fn plan(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<FractionalPlan<T>> {
        self.plan_at(layout, shape.as_ref(), None, size_of::<T>())
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
    /// As for [`FractionalMaxPool::plan`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn plan_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<FractionalPlan<T>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]), size_of::<T>())
    }

    /// [`FractionalMaxPool::plan`] for values and their indices, of type `I` (`i32` or `i64`).
    ///
    /// # Errors
    /// As for [`FractionalMaxPool::plan`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
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
    /// As for [`FractionalMaxPool::plan_strided`], and [`Error::IndexTooNarrow`] where `I` cannot hold every index that may occur.
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
        let (values, numbering) = self.plan_numbered(kind, layout, shape, strides, IndexType::of::<I>())?;
        Ok(FractionalIndexPlan { values, numbering, index: PhantomData })
    }

    /// Plans for indices of a type.
    #[inline(never)]
    fn plan_numbered(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        index: IndexType,
    ) -> Result<(FractionalPlan<T>, Numbering)> {
        // The slice of indices has a length in bytes too.
        let values = self.plan_at(layout, shape, strides, size_of::<T>().max(index.bytes()))?;
        let numbering = values.layer.numbering(kind, index)?;
        Ok((values, numbering))
    }

    /// `bytes`: the longest element written.
    #[inline(never)]
    fn plan_at(
        &self,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<FractionalPlan<T>> {
        let bytes = bytes.max(size_of::<T::Sample>());
        let mut layer = Fraction::new(self, layout, shape, strides, bytes)?;
        let clamp = clamp_between(self.bounds, Tier::best())?.map(Arc::new);
        layer.count_samples(bytes)?;
        Ok(FractionalPlan { layer: Arc::new(layer), clamp })
    }
}

/// A layer that was checked, whatever its element: compiled once.
#[derive(Clone, Copy)]
struct Fraction {
    extent: Extent,
    kernel: [usize; MAX_RANK],
    samples: usize,
    nan: NanPolicy,
    layout: Layout,
}

impl Fraction {
    fn new<T>(
        pool: &FractionalMaxPool<T>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<Self> {
        Self::check(&pool.kernel, &pool.output, pool.nan, layout, shape, strides, bytes)
    }

    fn check(
        lengths: &PerAxis,
        output: &PerAxis,
        nan: NanPolicy,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<Self> {
        let extent = Extent::new(layout, shape, output, strides, bytes)?;
        let rank = extent.split.rank;
        lengths.check_rank("kernel", rank)?;
        let mut kernel = [1; MAX_RANK];
        let absent = MAX_RANK.saturating_sub(rank);
        for (axis, length) in kernel.iter_mut().skip(absent).enumerate() {
            *length = lengths.at(axis);
        }
        for (axis, (&kernel, (input, output))) in kernel.iter().zip(extent.lengths()).enumerate() {
            let axis = extent.name(axis);
            if kernel == 0 {
                return Err(Error::ZeroKernel { axis });
            }
            if output.checked_add(kernel.saturating_sub(1)).is_none_or(|all| all > input) {
                return Err(Error::TooManyWindows { axis, output, kernel, input });
            }
        }
        Ok(Self { extent, kernel, samples: 0, nan, layout })
    }

    fn count_samples(&mut self, bytes: usize) -> Result<()> {
        let Split { rank, batch, channels, .. } = self.extent.split;
        let samples = batch.checked_mul(channels).and_then(|planes| planes.checked_mul(rank));
        let samples = samples.and_then(|samples| Some((samples, samples.checked_mul(bytes)?)));
        match samples {
            Some((samples, bytes)) if isize::try_from(bytes).is_ok() => {
                self.samples = samples;
                Ok(())
            }
            _ => Err(Error::SizeOverflow { what: "the number of samples" }),
        }
    }

    fn numbering(&self, kind: IndexKind, index: IndexType) -> Result<Numbering> {
        let taps = self.kernel.iter().fold(1, |all: usize, n| all.saturating_mul(*n));
        Numbering::of(index, kind, &self.extent, taps)
    }

    #[inline(never)]
    fn check_samples<S: Sample>(&self, samples: &[S]) -> Result<()> {
        let (need, got) = (self.samples, samples.len());
        if need != got {
            return Err(Error::SampleLen { need, got });
        }
        let values = samples.iter().map(|sample| sealed::Sealed::value(*sample)).enumerate();
        match values.into_iter().find(|(_, sample)| !(0.0..1.0).contains(sample)) {
            Some((at, sample)) => Err(Error::BadSample { at, sample }),
            None => Ok(()),
        }
    }

    /// Hands on each plane, as its block's number and its own in the block, and its windows.
    #[inline(never)]
    fn each_plane<S: Sample>(&self, samples: &[S], work: &mut dyn FnMut((usize, usize), Axes<'_>)) {
        let inner = self.extent.split.inner;
        for outer in 0..self.extent.block_count() {
            for channel in 0..inner {
                let Some(places) = self.places(samples, outer.saturating_mul(inner).saturating_add(channel)) else {
                    return;
                };
                work((outer, channel), places.each_ref().map(|axis| axis as &dyn EachWindow));
            }
        }
    }

    /// The windows of a plane.
    fn places<S: Sample>(&self, samples: &[S], plane: usize) -> Option<[Places<S>; MAX_RANK]> {
        let [(a, x), (b, y), (c, z)] = self.extent.lengths();
        let rank = self.extent.split.rank;
        let first = plane.saturating_mul(rank);
        let samples = samples.get(first..first.saturating_add(rank))?;
        // PyTorch takes them in the order of the axes in space, and the other way round in the plane.
        let [depth, height, width] = match *samples {
            [depth, height, width] => [depth, height, width],
            [width, height] => [width, height, width],
            [width] => [width; MAX_RANK],
            _ => return None,
        };
        let [k, l, m] = self.kernel;
        Some([
            Places { input: a, output: x, kernel: k, sample: depth },
            Places { input: b, output: y, kernel: l, sample: height },
            Places { input: c, output: z, kernel: m, sample: width },
        ])
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, element: &str) -> fmt::Result {
        let Self { layout, kernel, extent, .. } = self;
        write!(f, "FractionalPlan(max {element} {layout} {kernel:?}, ")?;
        write!(f, "{:?} to {:?})", extent.input.shape(), extent.output.shape())
    }
}

/// A fractional layer for tensors of one shape and layout: validated, immutable, shareable between threads. Made by
/// [`FractionalMaxPool::plan`]. The samples are given to each run.
#[derive(Clone)]
pub struct FractionalPlan<T> {
    layer: Arc<Fraction>,
    clamp: Option<Arc<Clamp<T>>>,
}

impl<T: Element> FractionalPlan<T> {
    /// Pools `src` into `dst`, with windows where `samples` say. Allocates nothing; every element of `dst` is written
    /// (but for the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::DstLen`] or [`Error::SampleLen`] where a slice is not exactly as long as the plan needs, and
    /// [`Error::BadSample`] where a sample does not lie in `0.0 .. 1.0`; nothing is written then.
    pub fn run(&self, src: &[T], samples: &[T::Sample], dst: &mut [T]) -> Result<()> {
        self.run_by(src, samples, dst, None)
    }

    /// Keeps outputs between the bounds, if there are any.
    /// Computes values, and where they are wanted, indices.
    #[inline(never)]
    fn run_by(
        &self,
        src: &[T],
        samples: &[T::Sample],
        dst: &mut [T],
        indices: Option<(Numbering, IndicesMut<'_>)>,
    ) -> Result<()> {
        self.check(src, samples, dst)?;
        if let Some((_, indices)) = &indices {
            self.layer.extent.check_indices(indices.len())?;
        }
        self.pool(src, samples, dst);
        if let Some((numbering, mut indices)) = indices {
            self.layer.each_plane(samples, &mut |number, axes| {
                find::find_plane(numbering, &self.layer.extent, axes, number, (src, dst), &mut indices);
            });
        }
        self.bound(dst);
        Ok(())
    }

    fn bound(&self, dst: &mut [T]) {
        if let Some(clamp) = &self.clamp {
            self.layer.extent.each_output(dst, |outputs| clamp(outputs));
        }
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

    fn check(&self, src: &[T], samples: &[T::Sample], dst: &[T]) -> Result<()> {
        self.layer.extent.check(src, dst)?;
        self.layer.check_samples(samples)
    }

    fn pool(&self, src: &[T], samples: &[T::Sample], dst: &mut [T]) {
        self.layer.each_plane(samples, &mut |number, axes| self.pool_plane(src, number, axes, dst));
    }

    #[inline(never)]
    fn pool_plane(&self, src: &[T], (outer, channel): (usize, usize), axes: Axes<'_>, dst: &mut [T]) {
        let Extent { input, output, .. } = self.layer.extent;
        let block = Block { elements: src.get(input.block(outer)..).unwrap_or(&[]), tensor: input };
        let dst = dst.get_mut(output.block(outer)..).unwrap_or_default();
        // Integers have no NaN to ignore.
        if self.layer.nan == NanPolicy::Ignore && !T::DTYPE.is_integer() {
            fold::plane(Largest::<true>, axes, block, channel, &output, dst);
        } else {
            fold::plane(Largest::<false>, axes, block, channel, &output, dst);
        }
    }
}

impl<T> FractionalPlan<T> {
    /// Elements that the input slice must have: those of the shape, or where the plan was given strides, from the first to the last.
    pub fn input_len(&self) -> usize {
        self.layer.extent.input.extent()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.layer.extent.output.extent()
    }

    /// Samples that a run needs: `N · C ·` spatial axes.
    pub fn samples_len(&self) -> usize {
        self.layer.samples
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> Vec<usize> {
        self.layer.extent.input.shape()
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.layer.extent.output.shape()
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.layer.layout
    }
}

impl<T: Element> fmt::Debug for FractionalPlan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.describe(f, T::NAME)
    }
}

/// A fractional maximum that says, beside each value, where it was found: made by [`FractionalMaxPool::plan_indexed`].
///
/// [`IndexKind`] says what an index counts and which of equals is named.
#[derive(Clone)]
pub struct FractionalIndexPlan<T, I> {
    values: FractionalPlan<T>,
    numbering: Numbering,
    index: PhantomData<fn(&mut [I])>,
}

impl<T: Element, I: Index> FractionalIndexPlan<T, I> {
    /// Pools `src` into `dst` and writes where each value was found into `indices`, which lie as the values do. Allocates nothing.
    ///
    /// # Errors
    /// As for [`FractionalPlan::run`], and [`Error::IndexLen`]; nothing is written then.
    pub fn run(&self, src: &[T], samples: &[T::Sample], dst: &mut [T], indices: &mut [I]) -> Result<()> {
        self.values.run_by(src, samples, dst, Some((self.numbering, IndicesMut::new(indices))))
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
