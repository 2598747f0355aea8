//! PyTorch: the arguments of `torch.nn.functional`'s pooling functions, and so of the modules `torch.nn.MaxPool2d` and so on.
//!
//! A list has one number for each axis, or a single one for all. The defaults are those of the
//! [functions](https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions); the checks are those of
//! [`Pool.h`](https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/Pool.h): kernel, stride and dilation are
//! positive, and padding is at most half of the kernel (rounded down, whatever the dilation). In ceil mode "sliding windows
//! that would start in the right padded region are ignored". NaN propagates, which is the builder's default.
//!
//! A tensor without a batch, which PyTorch accepts, is one of batch 1 here.

use alloc::vec::Vec;

use super::{AttributeProblem, Padding, Window, bad, length, lengths};
use crate::{AvgPool, MaxPool, Result};

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LpPoolArguments<'a> {
    /// The norm. No default.
    pub norm_type: f64,
    /// Taps. No default.
    pub kernel_size: &'a [i64],
    /// Empty, the default, or `None` in Python, is the kernel's size.
    pub stride: &'a [i64],
    /// Default false.
    pub ceil_mode: bool,
}

impl Default for LpPoolArguments<'_> {
    fn default() -> Self {
        Self { norm_type: f64::NAN, kernel_size: &[], stride: &[], ceil_mode: false }
    }
}

/// What [`lp_pool`] reads.
///
/// PyTorch computes it as `(avg_pool(x^p) · taps)^(1/p)`, so three things differ from a plain norm: `x^p` keeps its sign for odd `p`; a negative sum gives
/// NaN; and a window that overhangs in ceil mode is scaled by `taps / valid taps`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LpPool {
    /// The window.
    pub window: Window,
    /// The norm, positive and finite.
    pub norm_type: f64,
}

/// One number for each of `rank` axes, from as many or from one.
fn per_axis(argument: &'static str, numbers: &[i64], rank: usize, least: i64) -> Result<Vec<usize>> {
    match numbers {
        [one] => Ok(alloc::vec![length(argument, *one, least)?; rank]),
        _ => lengths(argument, numbers, rank, least),
    }
}

fn window(
    kernel_size: &[i64],
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    ceil: bool,
    rank: usize,
) -> Result<Window> {
    if kernel_size.is_empty() {
        return Err(bad("kernel_size", AttributeProblem::Missing));
    }
    let mut window = Window::new(per_axis("kernel_size", kernel_size, rank, 1)?);
    window.stride = if stride.is_empty() { window.kernel.clone() } else { per_axis("stride", stride, rank, 1)? };
    window.dilation = per_axis("dilation", dilation, rank, 1)?;
    let padding = per_axis("padding", padding, rank, 0)?;
    for (&padding, &kernel) in padding.iter().zip(&window.kernel) {
        if padding > kernel / 2 {
            return Err(bad("padding", AttributeProblem::MoreThanHalf { padding, kernel }));
        }
    }
    window.padding = Padding::Explicit { begin: padding.clone(), end: padding };
    window.ceil_mode = ceil;
    Ok(window)
}

fn max_pool<T>(arguments: &MaxPoolArguments<'_>, rank: usize) -> Result<MaxPool<T>> {
    let MaxPoolArguments { kernel_size, stride, padding, dilation, ceil_mode } = *arguments;
    Ok(window(kernel_size, stride, padding, dilation, ceil_mode, rank)?.pool())
}

fn avg_pool<T>(arguments: &AvgPoolArguments<'_>, rank: usize) -> Result<AvgPool<T>> {
    let AvgPoolArguments { kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override } = *arguments;
    let pool: AvgPool<T> = window(kernel_size, stride, padding, &[1], ceil_mode, rank)?.pool();
    let pool = pool.count_include_pad(count_include_pad);
    match divisor_override {
        None => Ok(pool),
        Some(_) if rank == 1 => Err(bad("divisor_override", AttributeProblem::Unknown { operator: "avg_pool1d" })),
        Some(divisor) => Ok(pool.divisor(length("divisor_override", divisor, 1)?)),
    }
}

/// The arguments of `lp_pool1d`, `lp_pool2d` and `lp_pool3d`, by the number of spatial axes.
///
/// Source: [lp_pool2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.lp_pool2d.html).
///
/// ```
/// use lanepool::import::torch::{self, LpPoolArguments};
/// let arguments = LpPoolArguments { norm_type: 2.0, kernel_size: &[3], ..Default::default() };
/// assert_eq!(torch::lp_pool(&arguments, 2)?.window.stride, [3, 3]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn lp_pool(arguments: &LpPoolArguments<'_>, spatial_axes: usize) -> Result<LpPool> {
    let LpPoolArguments { norm_type, kernel_size, stride, ceil_mode } = *arguments;
    if !(norm_type.is_finite() && norm_type > 0.0) {
        return Err(bad("norm_type", AttributeProblem::Norm { got: norm_type }));
    }
    if !(1..=3).contains(&spatial_axes) {
        return Err(bad("kernel_size", AttributeProblem::Length { got: spatial_axes, need: 0 }));
    }
    Ok(LpPool { window: window(kernel_size, stride, &[0], &[1], ceil_mode, spatial_axes)?, norm_type })
}

macro_rules! functions {
    ($($name:ident, $arguments:ident, $pool:ident, $inner:ident, $rank:literal;)+) => { $(
        #[doc = concat!("`", stringify!($name), "`, see [`", stringify!($arguments), "`].")]
        #[doc = ""]
        #[doc = concat!(
            "Source: [", stringify!($name), "](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.",
            stringify!($name), ".html)."
        )]
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
}
