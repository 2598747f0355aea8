//! PyTorch: the arguments of `torch.nn.functional`'s pooling functions, and so of the modules `torch.nn.MaxPool2d` and so on.
//!
//! A list has one number for each axis, or a single one for all. The defaults are those of the
//! [functions](https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions); the checks are those of
//! [`Pool.h`](https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/Pool.h): kernel, stride and dilation are
//! positive, and padding is at most half of the kernel (rounded down, whatever the dilation). In ceil mode "sliding windows
//! that would start in the right padded region are ignored". NaN propagates, which is the builder's default. Indices, of maxima and
//! of unpooling, are offsets in the plane: [`IndexKind::Plane`](crate::IndexKind::Plane).
//!
//! A tensor without a batch, which PyTorch accepts, is one of batch 1 here.

use alloc::vec::Vec;

use super::{AttributeProblem, Padding, Window, bad, length, lengths, norm};
use crate::{AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, FractionalMaxPool, LpPool, MaxPool, MaxUnpool, Result};

/// The arguments of `max_pool1d`, `max_pool2d` and `max_pool3d`.
///
/// ```
/// use lanepool::import::torch::{self, MaxPoolArguments};
/// // torch.nn.functional.max_pool2d(x, 3, stride=2, padding=1)
/// let arguments = MaxPoolArguments { kernel_size: &[3], stride: &[2], padding: &[1], ..Default::default() };
/// let pool = torch::max_pool2d::<f32>(&arguments)?;
/// assert_eq!(pool.output_shape([1, 64, 112, 112])?, [1, 64, 56, 56]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolArguments<'a> {
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// Empty, the default, or `None` in Python, is the kernel's size.
    pub stride: &'a [i64],
    /// On both sides. Default 0.
    pub padding: &'a [i64],
    /// Default 1.
    pub dilation: &'a [i64],
    /// Default false.
    pub ceil_mode: bool,
}

impl Default for MaxPoolArguments<'_> {
    fn default() -> Self {
        Self { kernel_size: &[], stride: &[], padding: &[0], dilation: &[1], ceil_mode: false }
    }
}

/// The arguments of `avg_pool1d`, `avg_pool2d` and `avg_pool3d`.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::torch::{self, AvgPoolArguments};
/// // torch.nn.functional.avg_pool1d(x, 3, stride=1, padding=1): the padding counts in the divisor.
/// let arguments = AvgPoolArguments { kernel_size: &[3], stride: &[1], padding: &[1], ..Default::default() };
/// let pool = torch::avg_pool1d::<f32>(&arguments)?;
/// assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3], &[3.0, 6.0, 9.0])?, [3.0, 6.0, 5.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPoolArguments<'a> {
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// Empty, the default, or `None` in Python, is the kernel's size.
    pub stride: &'a [i64],
    /// On both sides. Default 0.
    pub padding: &'a [i64],
    /// Default false. What it adds beyond the padding never counts in the divisor.
    pub ceil_mode: bool,
    /// Default **true**, other than in ONNX.
    pub count_include_pad: bool,
    /// Takes the place of every other divisor. Not of `avg_pool1d`. PyTorch refuses 0 and takes negative ones; here they are
    /// refused too.
    pub divisor_override: Option<i64>,
}

impl Default for AvgPoolArguments<'_> {
    fn default() -> Self {
        Self {
            kernel_size: &[],
            stride: &[],
            padding: &[0],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }
}

/// The arguments of `lp_pool1d`, `lp_pool2d` and `lp_pool3d`, which have no padding and no dilation.
///
/// PyTorch computes `(avg_pool(x^p) · taps)^(1/p)` for a finite `p`. Where no element is negative and every window lies in the input, that is the
/// norm of [`LpPool`]. It differs in three ways: `x^p` keeps the sign of `x` where `p` is odd, and is NaN where `p` is a
/// fraction and `x` negative; the root of a negative sum is NaN, but for `p` of 1; and the sum of a window that overhangs in
/// ceil mode is scaled by `taps / valid taps`, its norm by the p-th root of that.
///
/// For `p` of +∞ it gives the largest `|x|` since [version 2.13](https://github.com/pytorch/pytorch/pull/183997), as [`LpPool`]
/// does. Older versions put ∞ into the formula, which gives 1 whatever the elements are ([issue
/// 170937](https://github.com/pytorch/pytorch/issues/170937)): with such a [`LpPoolArguments::version`] the layer's outputs
/// are clamped to 1. (A NaN stays one, where PyTorch made it 1.) `p` of −∞, the smallest `|x|` since the same version, is
/// no norm and is refused.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::torch::{self, LpPoolArguments};
/// // torch.nn.functional.lp_pool1d(x, 2, 2)
/// let arguments = LpPoolArguments { norm_type: 2.0, kernel_size: &[2], ..Default::default() };
/// let pool = torch::lp_pool1d::<f32>(&arguments)?;
/// assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 4], &[3.0, 4.0, 0.0, 2.0])?, [5.0, 2.0]);
/// // torch.nn.functional.lp_pool1d(x, inf, 2, 1)
/// let arguments = LpPoolArguments { norm_type: f64::INFINITY, kernel_size: &[2], stride: &[1], ..Default::default() };
/// let x = [1.0, -3.0, 2.0, 4.0];
/// let present = torch::lp_pool1d::<f32>(&arguments)?;
/// assert_eq!(present.run_once(Layout::Nchw, [1, 1, 4], &x)?, [3.0, 3.0, 4.0]);
/// let as_once = torch::lp_pool1d::<f32>(&LpPoolArguments { version: torch::Version::new(2, 12), ..arguments })?;
/// assert_eq!(as_once.run_once(Layout::Nchw, [1, 1, 4], &x)?, [1.0, 1.0, 1.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LpPoolArguments<'a> {
    /// The norm, positive; infinity is the largest `|x|`. No default.
    pub norm_type: f64,
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// Empty, the default, or `None` in Python, is the kernel's size.
    pub stride: &'a [i64],
    /// Default false.
    pub ceil_mode: bool,
    /// Whose rules are followed. Default: the newest that is known here.
    pub version: Version,
}

impl Default for LpPoolArguments<'_> {
    fn default() -> Self {
        Self { norm_type: f64::NAN, kernel_size: &[], stride: &[], ceil_mode: false, version: Version::default() }
    }
}

/// A version of PyTorch: what a function gives has changed where its arguments have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// The first that gives the largest `|x|` for a norm of infinity.
    const INFINITE_NORM: Self = Self::new(2, 13);

    /// `Version::new(2, 12)` is 2.12.0 and every 2.12 after it.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl Default for Version {
    /// 2.15. A newer one is taken for it.
    fn default() -> Self {
        Self::new(2, 15)
    }
}

/// The arguments of `max_unpool1d`, `max_unpool2d` and `max_unpool3d`: the window of the `max_pool` that is undone.
///
/// Indices count in the channel's own plane, as those of `max_pool2d(…, return_indices=True)` do. The plane is `output_size` long
/// where that is given ([`MaxUnpool::to`]), and `(n − 1)·stride − 2·padding + kernel` where it is not. PyTorch refuses an
/// `output_size` that is a whole stride or more away from that; here any is taken, and the indices are checked.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::torch::{self, MaxUnpoolArguments};
/// // torch.nn.functional.max_unpool1d(x, indices, 2, output_size=[5])
/// let arguments = MaxUnpoolArguments { kernel_size: &[2], output_size: Some(&[5]), ..Default::default() };
/// let plan = torch::max_unpool1d::<f32>(&arguments)?.plan::<i64>(Layout::Nchw, [1, 1, 2])?;
/// let mut y = [0.0; 5];
/// plan.run(&[7.0, 9.0], &[1, 4], &mut y)?;
/// assert_eq!(y, [0.0, 7.0, 0.0, 0.0, 9.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxUnpoolArguments<'a> {
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// Empty, the default, or `None` in Python, is the kernel's size.
    pub stride: &'a [i64],
    /// On both sides. Default 0.
    pub padding: &'a [i64],
    /// The output's spatial lengths, one for each axis, or its whole shape: batch and channels, if they are there, are not read.
    /// Default `None`.
    pub output_size: Option<&'a [i64]>,
}

impl Default for MaxUnpoolArguments<'_> {
    fn default() -> Self {
        Self { kernel_size: &[], stride: &[], padding: &[0], output_size: None }
    }
}

/// The arguments of `fractional_max_pool2d` and `fractional_max_pool3d`.
///
/// `output_ratio` is not among them: PyTorch makes `int(length · ratio)` of it, which needs the input's lengths, and so does the
/// caller. `_random_samples` are given to each run, in PyTorch's shape and order. With three axes PyTorch asks for
/// `output + kernel − 1` less than the input's length; here, as with two, they may be equal.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::torch::{self, FractionalMaxPoolArguments};
/// // torch.nn.functional.fractional_max_pool2d(x, 2, output_size=2, _random_samples=samples)
/// let arguments = FractionalMaxPoolArguments { kernel_size: &[2], output_size: &[2] };
/// let plan = torch::fractional_max_pool2d::<f32>(&arguments)?.plan(Layout::Nchw, [1, 1, 3, 3])?;
/// let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// assert_eq!(plan.run_vec(&x, &[0.25, 0.75])?, [5.0, 6.0, 8.0, 9.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FractionalMaxPoolArguments<'a> {
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// The output's length. No default.
    pub output_size: &'a [i64],
}

/// One for each of `rank` axes, from as many or from one.
fn spread<N: Copy>(argument: &'static str, given: &[N], rank: usize) -> Result<Vec<N>> {
    match given {
        [one] => Ok(alloc::vec![*one; rank]),
        _ if given.len() == rank => Ok(given.to_vec()),
        _ => Err(bad(argument, AttributeProblem::Length { got: given.len(), need: rank })),
    }
}

/// One number for each axis.
fn per_axis(argument: &'static str, numbers: &[i64], rank: usize, least: i64) -> Result<Vec<usize>> {
    lengths(argument, &spread(argument, numbers, rank)?, rank, least)
}

/// The same of an argument that has no default: positive numbers.
fn required(argument: &'static str, numbers: &[i64], rank: usize) -> Result<Vec<usize>> {
    if numbers.is_empty() {
        return Err(bad(argument, AttributeProblem::Missing));
    }
    per_axis(argument, numbers, rank, 1)
}

/// What a pooling and the unpooling that undoes it have in common.
fn window(kernel_size: &[i64], stride: &[i64], padding: &[i64], rank: usize) -> Result<Window> {
    let mut window = Window::new(required("kernel_size", kernel_size, rank)?);
    window.stride = if stride.is_empty() { window.kernel.clone() } else { per_axis("stride", stride, rank, 1)? };
    let padding = per_axis("padding", padding, rank, 0)?;
    window.padding = Padding::Explicit { begin: padding.clone(), end: padding };
    Ok(window)
}

/// The window of a pooling. Unpooling does not ask for half of the kernel: its plan refuses padding as long as the whole.
fn pooling_window(
    kernel_size: &[i64],
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
    rank: usize,
) -> Result<Window> {
    let window = window(kernel_size, stride, padding, rank)?;
    if let Padding::Explicit { begin, .. } = &window.padding {
        for (&padding, &kernel) in begin.iter().zip(&window.kernel) {
            if padding > kernel / 2 {
                return Err(bad("padding", AttributeProblem::MoreThanHalf { padding, kernel }));
            }
        }
    }
    Ok(Window { dilation: per_axis("dilation", dilation, rank, 1)?, ceil_mode, ..window })
}

fn max_pool<T>(arguments: &MaxPoolArguments<'_>, rank: usize) -> Result<MaxPool<T>> {
    let MaxPoolArguments { kernel_size, stride, padding, dilation, ceil_mode } = *arguments;
    Ok(pooling_window(kernel_size, stride, padding, dilation, ceil_mode, rank)?.pool())
}

fn avg_pool<T>(arguments: &AvgPoolArguments<'_>, rank: usize) -> Result<AvgPool<T>> {
    let AvgPoolArguments { kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override } = *arguments;
    let pool: AvgPool<T> = pooling_window(kernel_size, stride, padding, &[1], ceil_mode, rank)?.pool();
    let pool = pool.count_include_pad(count_include_pad);
    match divisor_override {
        None => Ok(pool),
        Some(_) if rank == 1 => Err(bad("divisor_override", AttributeProblem::Unknown { operator: "avg_pool1d" })),
        Some(divisor) => Ok(pool.divisor(length("divisor_override", divisor, 1)?)),
    }
}

fn lp_pool<T>(arguments: &LpPoolArguments<'_>, rank: usize) -> Result<LpPool<T>> {
    let LpPoolArguments { norm_type, kernel_size, stride, ceil_mode, version } = *arguments;
    let pool: LpPool<T> = pooling_window(kernel_size, stride, &[0], &[1], ceil_mode, rank)?.pool();
    if norm_type != f64::INFINITY {
        return Ok(pool.p(norm("norm_type", norm_type)?));
    }
    let pool = pool.p(norm_type);
    // Older versions take the root of order ∞ of whatever the sum is: its power 0, which is 1.
    Ok(if version < Version::INFINITE_NORM { pool.clamp(1.0, 1.0) } else { pool })
}

fn max_unpool<T>(arguments: &MaxUnpoolArguments<'_>, rank: usize) -> Result<MaxUnpool<T>> {
    let MaxUnpoolArguments { kernel_size, stride, padding, output_size } = *arguments;
    let unpool = window(kernel_size, stride, padding, rank)?.unpool();
    let Some(shape) = output_size else { return Ok(unpool) };
    let spatial = match shape {
        [_batch, _channels, spatial @ ..] if spatial.len() == rank => spatial,
        spatial => spatial,
    };
    Ok(MaxUnpool::to(lengths("output_size", spatial, rank, 1)?))
}

fn fractional_max_pool<T>(arguments: &FractionalMaxPoolArguments<'_>, rank: usize) -> Result<FractionalMaxPool<T>> {
    let kernel = required("kernel_size", arguments.kernel_size, rank)?;
    Ok(FractionalMaxPool::new(kernel, required("output_size", arguments.output_size, rank)?))
}

/// The output's lengths of an adaptive pooling.
fn adaptive(output_size: &[Option<i64>], input: &[usize], rank: usize) -> Result<Vec<usize>> {
    if input.len() != rank {
        return Err(bad("input", AttributeProblem::Length { got: input.len(), need: rank }));
    }
    let output = spread("output_size", output_size, rank)?;
    output
        .into_iter()
        .zip(input)
        .map(|(output, input)| output.map_or(Ok(*input), |output| length("output_size", output, 0)))
        .collect()
}

/// Where a function is documented.
macro_rules! source {
    ($name:ident) => {
        concat!(
            "Source: [",
            stringify!($name),
            "](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.",
            stringify!($name),
            ".html)."
        )
    };
}

macro_rules! functions {
    ($($name:ident, $arguments:ident, $pool:ident, $inner:ident, $rank:literal;)+) => { $(
        #[doc = concat!("`", stringify!($name), "`, see [`", stringify!($arguments), "`].")]
        ///
        #[doc = source!($name)]
        ///
        /// # Errors
        /// [`Error::BadAttribute`](crate::Error::BadAttribute).
        pub fn $name<T>(arguments: &$arguments<'_>) -> Result<$pool<T>> {
            $inner(arguments, $rank)
        }
    )+ };
}

functions! {
    max_pool1d, MaxPoolArguments, MaxPool, max_pool, 1;
    max_pool2d, MaxPoolArguments, MaxPool, max_pool, 2;
    max_pool3d, MaxPoolArguments, MaxPool, max_pool, 3;
    avg_pool1d, AvgPoolArguments, AvgPool, avg_pool, 1;
    avg_pool2d, AvgPoolArguments, AvgPool, avg_pool, 2;
    avg_pool3d, AvgPoolArguments, AvgPool, avg_pool, 3;
    lp_pool1d, LpPoolArguments, LpPool, lp_pool, 1;
    lp_pool2d, LpPoolArguments, LpPool, lp_pool, 2;
    lp_pool3d, LpPoolArguments, LpPool, lp_pool, 3;
    max_unpool1d, MaxUnpoolArguments, MaxUnpool, max_unpool, 1;
    max_unpool2d, MaxUnpoolArguments, MaxUnpool, max_unpool, 2;
    max_unpool3d, MaxUnpoolArguments, MaxUnpool, max_unpool, 3;
    fractional_max_pool2d, FractionalMaxPoolArguments, FractionalMaxPool, fractional_max_pool, 2;
    fractional_max_pool3d, FractionalMaxPoolArguments, FractionalMaxPool, fractional_max_pool, 3;
}

macro_rules! adaptive_functions {
    ($($(#[$example:meta])* $name:ident, $pool:ident, $rank:literal;)+) => { $(
        #[doc = concat!("`", stringify!($name), "` of an input that has these spatial lengths.")]
        ///
        /// `None` in `output_size` keeps the input's length on its axis, and a single one stands for every axis. A length of 0
        /// is refused by the plan.
        $(#[$example])*
        ///
        #[doc = source!($name)]
        ///
        /// # Errors
        /// [`Error::BadAttribute`](crate::Error::BadAttribute), also where `input` has not one length for each spatial axis.
        pub fn $name<T>(output_size: &[Option<i64>], input: &[usize]) -> Result<$pool<T>> {
            Ok($pool::new(adaptive(output_size, input, $rank)?))
        }
    )+ };
}

adaptive_functions! {
    adaptive_max_pool1d, AdaptiveMaxPool, 1;
    adaptive_max_pool2d, AdaptiveMaxPool, 2;
    adaptive_max_pool3d, AdaptiveMaxPool, 3;
    adaptive_avg_pool1d, AdaptiveAvgPool, 1;
    ///
    /// ```
    /// use lanepool::Layout;
    /// use lanepool::import::torch;
    /// // torch.nn.functional.adaptive_avg_pool2d(x, (1, None)), x being of 2 rows and 3 columns.
    /// let pool = torch::adaptive_avg_pool2d::<f32>(&[Some(1), None], &[2, 3])?;
    /// let x = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0];
    /// assert_eq!(pool.plan(Layout::Nchw, [1, 1, 2, 3])?.run_vec(&x)?, [3.0, 4.0, 5.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    adaptive_avg_pool2d, AdaptiveAvgPool, 2;
    adaptive_avg_pool3d, AdaptiveAvgPool, 3;
}
