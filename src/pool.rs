//! The builders: a window and an operation, for tensors of any size.

use core::marker::PhantomData;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::geometry::{CeilRule, Count, Geometry, Padding, PerAxis, Window};
use crate::kernels::Operation;
use crate::plan::ByteMap;
use crate::{DType, Element, Layout, Plan, Result, Tier};

/// What NaN does to a maximum or minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NanPolicy {
    /// Any NaN in the window makes the output the canonical quiet NaN: PyTorch's rule, IEEE 754-2019 `maximum`.
    #[default]
    Propagate,
    /// NaN is missing data: the output is NaN only if every valid tap is. IEEE 754-2019 `maximumNumber`.
    Ignore,
}

/// How the mean of integers is rounded where it lies exactly between two of them. Floats do not ask: they round to nearest,
/// ties to even, as all their arithmetic does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rounding {
    /// To the even one: ONNX Runtime, oneDNN, PyTorch. 0.5 is 0, 1.5 is 2, −0.5 is 0.
    #[default]
    HalfToEven,
    /// Away from zero: TensorFlow Lite. 0.5 is 1, 1.5 is 2, −0.5 is −1.
    HalfAwayFromZero,
}

/// A pooling layer without its tensor: window, operation `O`, element `T`. Named by what it does: [`MaxPool`], [`MinPool`],
/// [`AvgPool`], [`SumPool`], [`LpPool`](crate::LpPool), [`QuantizedAvgPool`](crate::QuantizedAvgPool),
/// [`QuantizedMaxPool`](crate::QuantizedMaxPool).
///
/// Every attribute takes one number for each spatial axis, in the order of the shape: `[height, width]` for images. What
/// is not set is 1 for stride and dilation and 0 for padding. Nothing is checked before [`Pool::plan`], which checks
/// everything.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct Pool<O, T> {
    window: Window,
    pub(crate) operation: O,
    tier: Option<Tier>,
    bounds: Option<[f64; 2]>,
    driver: Option<&'static str>,
    element: PhantomData<T>,
}

/// A layer without its tensor, resolved.
pub struct Parts<'a> {
    pub(crate) window: &'a Window,
    pub(crate) operation: Operation,
    pub(crate) count: Count,
    pub(crate) name: &'static str,
    pub(crate) tier: Option<Tier>,
    pub(crate) bounds: Option<[f64; 2]>,
    /// The driver that is wanted, by name, for tests.
    pub(crate) driver: Option<&'static str>,
    /// What becomes of each byte of the result.
    pub(crate) bytes: Option<Box<ByteMap>>,
}

impl<'a> Parts<'a> {
    /// The parts of a layer of elements that its operation takes.
    fn new<O: PoolOperation>(
        window: &'a Window,
        operation: &O,
        (tier, bounds, driver): (Option<Tier>, Option<[f64; 2]>, Option<&'static str>),
        dtype: DType,
    ) -> Result<Self> {
        operation.check(dtype)?;
        let (resolved, count) = operation.resolve(dtype);
        let bytes = operation.byte_map(dtype);
        Ok(Self { window, operation: resolved, count, name: O::NAME, tier, bounds, driver, bytes })
    }
}

/// The largest value of each window.
///
/// - **NaN**: see [`NanPolicy`]. The result's NaN is the canonical one, whatever the input's sign and payload.
/// - **Zero**: "A zero maximum is +0, whatever the signs of the zeros in the window."
/// - **Padding** takes no part, and a window of −inf gives −inf. A window without a valid tap gives the identity: −inf, or
///   the lowest integer.
///
/// ```
/// use lanepool::{Layout, MaxPool};
/// let plan = MaxPool::<f32>::new([2, 2]).stride([2, 2]).plan(Layout::Nchw, [1, 1, 2, 4])?;
/// assert_eq!(plan.run_vec(&[1.0, 2.0, 5.0, -1.0, 3.0, 4.0, 0.0, 6.0])?, [4.0, 6.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
pub type MaxPool<T> = Pool<Max, T>;

/// The smallest value of each window: the mirror image of [`MaxPool`].
///
/// "A zero minimum is +0, whatever the signs of the zeros in the window." A window without a valid tap gives +inf, or the
/// highest integer.
pub type MinPool<T> = Pool<Min, T>;

/// The mean of each window.
///
/// - **Divisor**: the number of valid taps, or with [`AvgPool::count_include_pad`] the taps inside the declared padding,
///   or [`AvgPool::divisor`]. A window without a valid tap averages to 0.
/// - **Order**: a window's columns are summed one by one, each in scan order, and then added from left to right, but
///   for three kinds of layers. A planar plane averaged whole is cut into blocks of 2¹⁴ elements; each is dealt to 16
///   partial sums (element `i` to sum `i mod 16`) of which neighbours are added until one is left: `2i` with `2i + 1`;
///   then the blocks in the same way, an odd last one waiting. Windows of `k >= 8` taps on an axis that has several
///   outputs share what they add: columns are grouped as the powers of two that `k` is made of, the smallest first and
///   from left to right, each a tree of pairs; rows that move by 1 without dilation are cut at multiples of `k` padded
///   rows, summed backward up to the cut and forward from it. (Not where a window spans more than 2900 columns, the
///   channels of up to 8 counted where they lie between columns.) What would else be a chain of more than 256
///   additions is cut into blocks of 256 taps, of which neighbours are added until one is left. The order depends on
///   the geometry and the layout, never on the tier, the thread or the position in the batch, so every tier gives the
///   same bits.
/// - **Precision**: `f64` is summed in `f64`; `f32`, `f16` and `bf16` in `f32`, and rounded once, at the end.
/// - **Integers** are summed exactly, and the exact quotient is rounded once, see [`Rounding`], and cut to the type's range,
///   which only a divisor of the caller's can make it leave. A layer whose sums could leave 2⁶² is an
///   [`Error::SumOverflow`](crate::Error::SumOverflow); of `i64` and `u64`, whose least sums could, there are no averages
///   and no sums ([`DType::has_sums`](crate::DType::has_sums)).
/// - **Error** of floats: a tap passes through `min(n, 2¹¹)` additions at most on its way into the sum of `n` taps, so to
///   first order the sum is within `min(n, 2¹¹)·ε·Σ|x|` of the exact one (`ε` is half a unit in the last place, 2⁻²⁴ for
///   `f32`), and the division rounds once more. The mean of 10⁷ numbers that are uniform in 0 to 1 is within 10⁻⁶ of the
///   exact one, relatively, in every layout.
///
/// ```
/// use lanepool::{AvgPool, Layout};
/// let plan = AvgPool::<f32>::new([2]).stride([2]).plan(Layout::Nchw, [1, 1, 4])?;
/// assert_eq!(plan.run_vec(&[1.0, 2.0, 3.0, 6.0])?, [1.5, 4.5]);
/// # Ok::<(), lanepool::Error>(())
/// ```
pub type AvgPool<T> = Pool<Avg, T>;

/// The sum of each window, in the order and the precision of [`AvgPool`]. A sum beyond the range of an integer type is cut to
/// it; one beyond that of a float is infinite.
pub type SumPool<T> = Pool<Sum, T>;

/// The operation of [`MaxPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Max {
    pub(crate) nan: NanPolicy,
}

/// The operation of [`MinPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Min {
    pub(crate) nan: NanPolicy,
}

/// The operation of [`AvgPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Avg {
    include_pad: bool,
    divisor: Option<usize>,
    rounding: Rounding,
}

/// The operation of [`SumPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(());

/// An operation that a [`Pool`] can have. Sealed: those of this crate.
pub trait PoolOperation: Copy + Default + sealed::Sealed {
    /// The operation's short name, as in a plan's description: `"max"`.
    const NAME: &'static str;
}

pub(crate) mod sealed {
    use alloc::boxed::Box;

    use crate::geometry::Count;
    use crate::kernels::{Bound, Layer, Operation};
    use crate::plan::ByteMap;
    use crate::{DType, Element, Result, Tier};

    pub trait Sealed {
        /// What is done with elements of this type, which were checked, and what is divided by.
        #[doc(hidden)]
        fn resolve(&self, dtype: DType) -> (Operation, Count);

        /// The operation's kernel for elements `T`: names its own leaves, and no others.
        #[doc(hidden)]
        fn bind<T: Element>(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound>;

        /// Whether the operation is one of elements of this type, and its numbers are what they must be.
        #[doc(hidden)]
        fn check(&self, _dtype: DType) -> Result<()> {
            Ok(())
        }

        /// What becomes of each byte of a result, for elements of one byte of this type, unless it stays what it is.
        #[doc(hidden)]
        fn byte_map(&self, _dtype: DType) -> Option<Box<ByteMap>> {
            None
        }
    }
}

/// The kernel of an operation is that which elements bind by this function.
macro_rules! binds {
    ($bind:ident) => {
        fn bind<T: crate::Element>(
            tier: crate::Tier,
            operation: crate::kernels::Operation,
            layer: &crate::kernels::Layer,
            driver: Option<&str>,
        ) -> Option<crate::kernels::Bound> {
            T::$bind(tier, operation, layer, driver)
        }
    };
}
pub(crate) use binds;

impl sealed::Sealed for Max {
    binds!(bind_max);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        let operation = match self.nan {
            NanPolicy::Propagate => Operation::Max,
            NanPolicy::Ignore => Operation::MaxNumber,
        };
        (operation, Count::Valid)
    }
}

impl sealed::Sealed for Min {
    binds!(bind_min);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        let operation = match self.nan {
            NanPolicy::Propagate => Operation::Min,
            NanPolicy::Ignore => Operation::MinNumber,
        };
        (operation, Count::Valid)
    }
}

impl sealed::Sealed for Avg {
    binds!(bind_mean);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        let count = match (self.divisor, self.include_pad) {
            (Some(divisor), _) => Count::Fixed(divisor),
            (None, true) => Count::Padded,
            (None, false) => Count::Valid,
        };
        (Operation::Mean(self.rounding), count)
    }
}

impl sealed::Sealed for Sum {
    binds!(bind_mean);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        (Operation::Mean(Rounding::HalfToEven), Count::Fixed(1))
    }
}

impl PoolOperation for Max {
    const NAME: &'static str = "max";
}

impl PoolOperation for Min {
    const NAME: &'static str = "min";
}

impl PoolOperation for Avg {
    const NAME: &'static str = "avg";
}

impl PoolOperation for Sum {
    const NAME: &'static str = "sum";
}

impl<O: PoolOperation, T> Pool<O, T> {
    /// A window of `kernel` taps on each axis, moving by 1, without padding.
    pub fn new(kernel: impl AsRef<[usize]>) -> Self {
        Self::of(Some(PerAxis::new(kernel.as_ref())))
    }

    /// One window that is the whole plane: the output has length 1 on every spatial axis. It takes no stride, dilation,
    /// padding or ceil mode.
    pub fn global() -> Self {
        Self::of(None)
    }

    fn of(kernel: Option<PerAxis>) -> Self {
        let window = Window {
            kernel,
            stride: None,
            dilation: None,
            padding: None,
            ceil: false,
            ceil_rule: CeilRule::default(),
            allow_empty: false,
            padding_conflict: false,
        };
        Self { window, operation: O::default(), tier: None, bounds: None, driver: None, element: PhantomData }
    }

    /// The window, for what runs over it in another way than a [`Plan`].
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// The same window and operation, and nothing else of it.
    pub(crate) fn on_any_tier(&self) -> Self {
        Self { tier: None, bounds: None, driver: None, ..*self }
    }

    /// The same window and tier with another operation: no part of the interface.
    #[doc(hidden)]
    pub fn with_operation<P: PoolOperation>(&self) -> Pool<P, T> {
        let Self { window, tier, bounds, driver, .. } = *self;
        Pool { window, operation: P::default(), tier, bounds, driver, element: PhantomData }
    }

    /// What a plan is made of, for elements of a type.
    pub(crate) fn parts(&self, dtype: DType) -> Result<Parts<'_>> {
        Parts::new(&self.window, &self.operation, (self.tier, self.bounds, self.driver), dtype)
    }

    /// What an average divides by.
    pub(crate) fn count(&self, dtype: DType) -> Count {
        self.operation.resolve(dtype).1
    }

    /// The same layer for elements of another type.
    #[inline(never)]
    pub fn with_element<U>(self) -> Pool<O, U> {
        let Self { window, operation, tier, bounds, driver, .. } = self;
        Pool { window, operation, tier, bounds, driver, element: PhantomData }
    }

    /// How far the window moves from one output to the next.
    pub fn stride(mut self, stride: impl AsRef<[usize]>) -> Self {
        self.window.stride = Some(PerAxis::new(stride.as_ref()));
        self
    }

    /// The distance between two taps of the window; 1 is a window without gaps.
    pub fn dilation(mut self, dilation: impl AsRef<[usize]>) -> Self {
        self.window.dilation = Some(PerAxis::new(dilation.as_ref()));
        self
    }

    /// Padding of the same length before and after each axis.
    pub fn padding(self, padding: impl AsRef<[usize]>) -> Self {
        let padding = padding.as_ref();
        self.padding_unequal(padding, padding)
    }

    /// Padding before (`begin`) and after (`end`) each axis.
    pub fn padding_unequal(self, begin: impl AsRef<[usize]>, end: impl AsRef<[usize]>) -> Self {
        self.pad(Padding::Explicit { begin: PerAxis::new(begin.as_ref()), end: PerAxis::new(end.as_ref()) })
    }

    /// As much padding as makes the output `⌈input / stride⌉` long; the odd element goes to the end (ONNX `SAME_UPPER`,
    /// TensorFlow `SAME`).
    pub fn same_upper(self) -> Self {
        self.pad(Padding::Same { odd_at_end: true })
    }

    /// The same with the odd element at the beginning (ONNX `SAME_LOWER`).
    pub fn same_lower(self) -> Self {
        self.pad(Padding::Same { odd_at_end: false })
    }

    /// No padding (ONNX and TensorFlow `VALID`), which is also the default.
    pub fn valid(self) -> Self {
        self.pad(Padding::Valid)
    }

    fn pad(mut self, padding: Padding) -> Self {
        let kind = core::mem::discriminant(&padding);
        self.window.padding_conflict |=
            self.window.padding.is_some_and(|before| core::mem::discriminant(&before) != kind);
        self.window.padding = Some(padding);
        self
    }

    /// Rounds the output length up instead of down: the last window may overhang the padding. One that would begin past
    /// the input is dropped (PyTorch, ONNX from opset 19), unless [`Pool::ceil_rule`] says otherwise.
    pub fn ceil_mode(mut self, ceil: bool) -> Self {
        self.window.ceil = ceil;
        self
    }

    /// Which windows ceil mode keeps. Without ceil mode it changes nothing.
    ///
    /// ```
    /// use lanepool::{CeilRule, MaxPool};
    /// // Nine elements between two and two of padding: windows begin at -2, 2, 6, and at 10, past the input.
    /// let pool = MaxPool::<f32>::new([4]).stride([4]).padding([2]).ceil_mode(true);
    /// assert_eq!(pool.output_shape([1, 1, 9])?, [1, 1, 3]);
    /// assert_eq!(pool.ceil_rule(CeilRule::EveryWindow).output_shape([1, 1, 9])?, [1, 1, 4]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn ceil_rule(mut self, rule: CeilRule) -> Self {
        self.window.ceil_rule = rule;
        self
    }

    /// Accepts padding as long as the window or longer. Windows without a valid tap then exist; what they give is said at
    /// each operation.
    pub fn allow_empty_windows(mut self, allow: bool) -> Self {
        self.window.allow_empty = allow;
        self
    }

    /// Bounds every output: the activation that often follows (XNNPACK's `output_min` and `output_max`). Values below `low`
    /// become `low`, those above `high` become `high`; NaN stays NaN, and a zero becomes +0. An infinite bound does not
    /// bind. Bounds between elements are moved inward for integers and to the nearest element for floats.
    ///
    /// ```
    /// use lanepool::{AvgPool, Layout};
    /// let relu6 = AvgPool::<f32>::new([2]).stride([2]).clamp(0.0, 6.0);
    /// assert_eq!(relu6.run_once(Layout::Nchw, [1, 1, 6], &[-3.0, 1.0, 2.0, 3.0, 7.0, 9.0])?, [0.0, 2.5, 6.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn clamp(mut self, low: f64, high: f64) -> Self {
        self.bounds = Some([low, high]);
        self
    }

    /// [`Pool::clamp`] to what is not negative.
    pub fn relu(self) -> Self {
        self.clamp(0.0, f64::INFINITY)
    }

    /// [`Pool::clamp`] from 0 to 6.
    pub fn relu6(self) -> Self {
        self.clamp(0.0, 6.0)
    }

    /// Runs on this tier, or makes [`Pool::plan`] fail with [`Error::TierUnavailable`](crate::Error::TierUnavailable).
    /// Without it the plan takes [`Tier::best`].
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Runs by this driver, or makes [`Pool::plan`] fail where it does not take the layer: for tests, and no part of
    /// the interface.
    #[doc(hidden)]
    pub fn driver(mut self, name: &'static str) -> Self {
        self.driver = Some(name);
        self
    }
}

impl<O: PoolOperation, T: Element> Pool<O, T> {
    /// The output's shape for a tensor of shape `N, C, spatial…`, without making a plan.
    ///
    /// ```
    /// use lanepool::MaxPool;
    /// let stem = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]);
    /// assert_eq!(stem.output_shape([1, 64, 112, 112])?, [1, 64, 56, 56]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Pool::plan`], but for layout, divisor and tier.
    pub fn output_shape(&self, shape: impl AsRef<[usize]>) -> Result<Vec<usize>> {
        let geometry = Geometry::new(&self.window, Layout::Nchw, shape.as_ref(), size_of::<T>())?;
        Ok(geometry.output_shape())
    }

    /// The padding before and after each spatial axis of a tensor of shape `N, C, spatial…`: what was given, or what
    /// [`Pool::same_upper`] and [`Pool::same_lower`] come to. What ceil mode adds is no padding.
    ///
    /// ```
    /// use lanepool::MaxPool;
    /// let pool = MaxPool::<f32>::new([3, 2]).stride([2, 2]);
    /// assert_eq!(pool.same_upper().resolved_padding([1, 8, 6, 5])?, [[0, 0], [1, 1]]);
    /// assert_eq!(pool.same_lower().resolved_padding([1, 8, 6, 5])?, [[1, 1], [0, 0]]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Pool::output_shape`].
    pub fn resolved_padding(&self, shape: impl AsRef<[usize]>) -> Result<[Vec<usize>; 2]> {
        let geometry = Geometry::new(&self.window, Layout::Nchw, shape.as_ref(), size_of::<T>())?;
        let (begin, end) = geometry.spatial().map(|axis| (axis.begin, axis.end)).unzip();
        Ok([begin, end])
    }

    /// Checks the window against a tensor of shape `N, C, spatial…`, in any layout, and chooses how it will be run.
    ///
    /// Batch 0 and channels 0 are fine: such a plan runs and writes nothing.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape, the operation's numbers, the element type or the tier: see [`Error`](crate::Error).
    pub fn plan(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<Plan<T>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`Pool::plan`] for tensors that are parts of larger ones: strides say how many elements it is from one index of an axis to
    /// the next, for each axis of the shape. So a slice of the channels can be pooled straight to its place in a concatenated
    /// output, or a crop of an image without a copy. The results are those of the same elements without gaps, to the bit.
    ///
    /// - [`Plan::input_len`] and [`Plan::output_len`] count from the first element to the last, and so must the slices. What lies
    ///   between two outputs is not written; what lies between inputs may be read, and does not matter.
    /// - Channels last, channels lie side by side; in blocks, the stride of the channels is that from one block to the next, and
    ///   a block's channels lie side by side. The stride of an axis with one index does not matter.
    /// - Inputs may lie in any order, and on one another. Outputs lie apart from each other and in the layout's order.
    /// - Rows without gaps between their pixels have the same loops as tensors without any. Planes in several pieces have no loop
    ///   of their own.
    ///
    /// ```
    /// use lanepool::{Layout, MaxPool};
    /// // Channels 1 and 2 of 4, channels last, are pooled to channels 0 and 1 of 3.
    /// let pool = MaxPool::<i32>::new([2]).stride([2]);
    /// let plan = pool.plan_strided(Layout::Nhwc, [1, 2, 4], [16, 1, 4], [6, 1, 3])?;
    /// let x: Vec<i32> = (0..16).collect();
    /// let mut y = vec![-1; 6];
    /// plan.run(&x[1..][..plan.input_len()], &mut y[..plan.output_len()])?;
    /// assert_eq!(y, [5, 6, -1, 13, 14, -1]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Pool::plan`]; [`Error::StridesLen`](crate::Error::StridesLen) where there is not one stride for each axis of the
    /// shape, [`Error::ChannelsApart`](crate::Error::ChannelsApart), [`Error::OutputsOverlap`](crate::Error::OutputsOverlap), and
    /// [`Error::SizeOverflow`](crate::Error::SizeOverflow) where a tensor does not fit the address space.
    pub fn plan_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<Plan<T>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    /// Plans for tensors that lie where the strides of input and output say, if there are any.
    pub(crate) fn plan_at(&self, layout: Layout, shape: &[usize], strides: Option<[&[usize]; 2]>) -> Result<Plan<T>> {
        Plan::new(&self.parts(T::DTYPE)?, layout, shape, strides, O::bind::<T>)
    }

    /// Plans and runs in one step: for scripts and tests. An engine plans once and runs many times.
    ///
    /// # Errors
    /// As for [`Pool::plan`] and [`Plan::run`].
    pub fn run_once(&self, layout: Layout, shape: impl AsRef<[usize]>, src: &[T]) -> Result<Vec<T>> {
        self.plan(layout, shape)?.run_vec(src)
    }
}

impl<T> MaxPool<T> {
    /// What NaN does.
    pub fn nan(mut self, policy: NanPolicy) -> Self {
        self.operation.nan = policy;
        self
    }
}

impl<T> MinPool<T> {
    /// What NaN does.
    pub fn nan(mut self, policy: NanPolicy) -> Self {
        self.operation.nan = policy;
        self
    }
}

impl<T> AvgPool<T> {
    /// Whether padding counts in the divisor, as zeros. What ceil mode adds beyond the declared padding never does
    /// (PyTorch, ONNX from opset 19).
    pub fn count_include_pad(mut self, include: bool) -> Self {
        self.operation.include_pad = include;
        self
    }

    /// How integers round a mean that lies exactly between two of them. Floats do not ask.
    ///
    /// ```
    /// use lanepool::{AvgPool, Layout, Rounding};
    /// let (pool, src) = (AvgPool::<i8>::new([2]).stride([2]), [-2, -1, 0, 1, 2, 3]);
    /// assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 6], &src)?, [-2, 0, 2]);
    /// let away = pool.rounding(Rounding::HalfAwayFromZero);
    /// assert_eq!(away.run_once(Layout::Nchw, [1, 1, 6], &src)?, [-2, 1, 3]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.operation.rounding = rounding;
        self
    }

    /// Divides every sum by this number, whatever the window holds (PyTorch's `divisor_override`).
    pub fn divisor(mut self, divisor: usize) -> Self {
        self.operation.divisor = Some(divisor);
        self
    }
}
