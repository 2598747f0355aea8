//! Adaptive pooling: the caller says how long the output is, and the windows follow.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::geometry::{Geometry, MAX_RANK, PerAxis};
use crate::index::{IndexType, IndicesMut};
use crate::kernels::Clamp;
use crate::plan::{Bind, clamp_between, shown};
use crate::pool::Parts;
use crate::quantized::{self, Quantizations};
use crate::strides::Split;
use crate::variable::find::{self, Numbering};
use crate::variable::{EachWindow, Extent, Windows, bounded};
use crate::{
    AvgPool, DType, Element, Error, Index, IndexKind, Layout, MaxPool, NanPolicy, Plan, Quantization, Result, Rounding,
    Tier,
};

/// The windows of an axis of `input` elements that is cut into `output`.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    input: usize,
    output: usize,
}

impl Windows for Cuts {
    /// Output `o` covers `⌊o·n/m⌋ .. ⌈(o+1)·n/m⌉`, here by counting `n/m` up: no product that could overflow, no division
    /// but the first, no table.
    fn windows(self) -> impl Iterator<Item = Range<usize>> {
        let Self { input: n, output: m } = self;
        let (step, more) = (n.checked_div(m).unwrap_or(0), n.checked_rem(m).unwrap_or(0));
        // o·n/m = whole + part/m.
        let (mut whole, mut part) = (0_usize, 0_usize);
        (0..m).map(move |_| {
            let start = whole;
            whole = whole.saturating_add(step);
            // Both are below m, which is at most `isize::MAX`.
            part = part.saturating_add(more);
            if let Some(carried) = part.checked_sub(m) {
                (whole, part) = (whole.saturating_add(1), carried);
            }
            start..whole.saturating_add(usize::from(part > 0))
        })
    }
}

impl Cuts {
    /// The longest window is at most this long: one element more on one side than its share.
    fn longest(self) -> usize {
        self.input.div_ceil(self.output.max(1)).saturating_add(1).min(self.input)
    }
}

/// The largest value of each window, where the output's length is given and the windows follow: PyTorch's
/// `AdaptiveMaxPool1d`, `2d` and `3d`.
///
/// On an axis of `n` elements and `m` outputs, output `o` covers `⌊o·n/m⌋ .. ⌈(o+1)·n/m⌉`, in exact arithmetic. No window is empty;
/// neighbours may share an element, and `m` may be larger than `n`: elements are then repeated.
///
/// NaN, zeros and −inf are those of [`MaxPool`]; [`AdaptiveMaxPool::plan_indexed`] also says where each maximum was.
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
/// - **Order**: that of [`AvgPool`], where no window is long: columns are summed one by one, each in scan order, and
///   then added from left to right; a planar plane averaged whole in 16 partial sums; thousands of taps in blocks.
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

    #[inline(never)]
    fn plan_at(&self, layout: Layout, shape: &[usize], strides: Option<[&[usize]; 2]>) -> Result<AdaptivePlan<T>> {
        let extent = Extent::new(layout, shape, &self.output, strides, size_of::<T>())?;
        let pool = MaxPool::<T>::new([]).nan(self.nan);
        let parts = Parts { tier: self.tier, bounds: self.bounds, ..pool.parts(T::DTYPE)? };
        T::plan_adaptive(parts, extent, layout, shape, strides, T::bind_max)
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
        let (values, numbering) = self.plan_numbered(kind, layout, shape, strides, IndexType::of::<I>())?;
        Ok(AdaptiveIndexPlan { values, numbering, index: PhantomData })
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
    ) -> Result<(AdaptivePlan<T>, Numbering)> {
        // The slice of indices has a length in bytes too.
        let extent = Extent::new(layout, shape, &self.output, strides, size_of::<T>().max(index.bytes()))?;
        let numbering = numbering(kind, &extent, index)?;
        Ok((self.plan_at(layout, shape, strides)?, numbering))
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
        let extent = Extent::new(layout, shape, &self.output, strides, size_of::<T>())?;
        check_sums(&extent, self.quantizations, T::DTYPE, T::MAGNITUDE)?;
        let pool = AvgPool::<T>::new([]).rounding(self.rounding);
        let mut parts = Parts { tier: self.tier, bounds: self.bounds, ..pool.parts(T::DTYPE)? };
        if let Some(quantizations) = self.quantizations {
            (parts.operation, parts.name) = (quantizations.mean(T::DTYPE), "quantized avg");
            return T::plan_adaptive(parts, extent, layout, shape, strides, quantized::bind_mean());
        }
        T::plan_adaptive(parts, extent, layout, shape, strides, T::bind_mean)
    }
}

fn numbering(kind: IndexKind, extent: &Extent, index: IndexType) -> Result<Numbering> {
    let taps = cuts(extent).map(Cuts::longest).iter().fold(1, |all: usize, n| all.saturating_mul(*n));
    Numbering::of(index, kind, extent, taps)
}

/// Whether the elements can be averaged: quantised, or as they are, where none is further from 0 than `magnitude`.
fn check_sums(extent: &Extent, quantizations: Option<Quantizations>, dtype: DType, magnitude: u64) -> Result<()> {
    match quantizations {
        Some(quantizations) => {
            quantizations.check(dtype)?;
            // A byte is at most 255 away from its zero point; 16 bits are summed as they are.
            if dtype.bytes() == 1 { sums_fit(extent, 255, 32, dtype) } else { sums_fit(extent, magnitude, 64, dtype) }
        }
        None => sums_fit(extent, magnitude, 64, dtype),
    }
}

/// Whether lanes of `bits` hold the sum of every window of elements of at most that magnitude.
fn sums_fit(extent: &Extent, magnitude: u64, bits: u32, dtype: DType) -> Result<()> {
    let taps = cuts(extent).map(Cuts::longest).iter().fold(1, |all: usize, n| all.saturating_mul(*n));
    // Half the range is kept free in 64 bits, for rounding; a sum of 32 bits is scaled as it is.
    let most = if bits == 32 { i32::MAX as u64 } else { 1 << 62 };
    if (taps as u64).saturating_mul(magnitude) < most {
        return Ok(());
    }
    Err(Error::SumOverflow { element: dtype.name(), taps, bits })
}

fn cuts(extent: &Extent) -> [Cuts; MAX_RANK] {
    extent.lengths().map(|(input, output)| Cuts { input, output })
}

/// An adaptive layer for tensors of one shape and layout: validated, immutable, cheap to clone, shareable between threads.
/// Made by [`AdaptiveMaxPool::plan`] and [`AdaptiveAvgPool::plan`].
pub struct AdaptivePlan<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    extent: Extent,
    name: &'static str,
    clamp: Option<Clamp<T>>,
    /// The values, without the bounds: a maximum is looked for as it is.
    plan: Plan<T>,
}

impl<T> Clone for AdaptivePlan<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Element> AdaptivePlan<T> {
    /// To be called by `Planned::plan_adaptive` alone.
    pub(crate) fn new(
        parts: Parts<'_>,
        extent: Extent,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind<T>,
    ) -> Result<Self> {
        let tier = parts.tier.unwrap_or_else(Tier::best).check()?;
        let clamp = clamp_between(parts.bounds, tier)?;
        let Split { rank, batch, channels, outer, inner } = extent.split;
        let geometry = Geometry::adaptive(extent.lengths(), (outer, inner), (rank, batch, channels));
        let parts = Parts { tier: Some(tier), bounds: None, ..parts };
        let plan = T::plan(&parts, Some(geometry), layout, shape, strides, bind)?;
        Ok(Self { shared: Arc::new(Shared { extent, name: parts.name, clamp, plan }) })
    }

    /// Pools `src` into `dst`. Allocates nothing; every element of `dst` is written (but for the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::SrcLen`] or [`Error::DstLen`] where a slice is not exactly as long as the plan needs; nothing is written
    /// then.
    pub fn run(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        self.pool(src, dst)?;
        self.bound(dst);
        Ok(())
    }

    /// Keeps outputs between the bounds, if there are any.
    fn bound(&self, dst: &mut [T]) {
        if let Some(clamp) = &self.shared.clamp {
            self.shared.extent.each_output(dst, |outputs| clamp(outputs));
        }
    }

    /// The run of the plan that gives indices, whatever their type.
    #[inline(never)]
    fn run_indexed(&self, numbering: Numbering, src: &[T], dst: &mut [T], mut indices: IndicesMut<'_>) -> Result<()> {
        let extent = &self.shared.extent;
        extent.check(src, dst)?;
        extent.check_indices(indices.len())?;
        self.pool(src, dst)?;
        let axes = cuts(extent);
        let axes = axes.each_ref().map(|axis| axis as &dyn EachWindow);
        find::find(numbering, extent, axes, (src, dst), &mut indices);
        self.bound(dst);
        Ok(())
    }

    /// Pools, without the bounds: a maximum is looked for as it is.
    fn pool(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        self.shared.plan.run(src, dst)
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

    /// The driver that visits the windows: see [`Plan::kernel`].
    pub fn kernel(&self) -> &'static str {
        self.shared.plan.kernel()
    }
}

impl<T: Element> fmt::Display for AdaptivePlan<T> {
    /// `adaptive max f32 nchw → bands, avx2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, layout, tier) = (self.shared.name, self.layout(), self.tier());
        write!(f, "adaptive {name} {} {layout} → {}, {tier}", T::NAME, self.kernel())
    }
}

impl<T: Element> fmt::Debug for AdaptivePlan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, "AdaptivePlan", self, &self.input_shape(), &self.output_shape())
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
        self.values.run_indexed(self.numbering, src, dst, IndicesMut::new(indices))
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
