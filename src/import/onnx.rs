//! ONNX: the pooling operators of every operator set, and ONNX Runtime's quantised averages.
//!
//! The source of every default and of every "since" is the
//! [operators' changelog](https://github.com/onnx/onnx/blob/main/docs/Changelog.md); a model's operator set means, for each
//! operator, the newest version that is not newer than it:
//!
//! | operator | versions | what came with them |
//! |---|---|---|
//! | `MaxPool` | 1, 8, 10, 11, 12, 22 | 8 `storage_order` and indices, 10 `ceil_mode` and `dilations`, 12 bytes |
//! | `AveragePool` | 1, 7, 10, 11, 19, 22 | 7 `count_include_pad`, 10 `ceil_mode`, 19 `dilations` |
//! | `LpPool` | 1, 2, 11, 18, 22 | 2 `p` is an integer, 18 `ceil_mode` and `dilations` |
//! | `MaxUnpool` | 9, 11, 22 | |
//! | `Global…Pool` | 1, 2 (`GlobalLpPool`), 22 | |
//!
//! - **Lists** are one number for each spatial axis; `pads` has the begins of all axes, then the ends. Strides, dilations
//!   and pads that are not given are 1, 1 and 0. An empty list is one that is not given, as in ONNX Runtime's
//!   [`pool_attributes.h`](https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/providers/cpu/nn/pool_attributes.h).
//! - **`auto_pad`** "cannot be used simultaneously" with `pads`: beside any value but `NOTSET`, pads other than 0 are an
//!   error. `VALID` and both `SAME`s fix the output length by formulas of their own that give the same in ceil mode as in
//!   floor mode, so `ceil_mode` changes nothing beside them. (ONNX Runtime rounds up in ceil mode beside `VALID`, against
//!   the text: [issue 10083](https://github.com/microsoft/onnxruntime/issues/10083).)
//! - **Padding as long as the window**, which the text allows and ONNX Runtime refuses, is refused by
//!   [`Pool::plan`](crate::Pool::plan) unless [`Pool::allow_empty_windows`](crate::Pool::allow_empty_windows) is set.

use super::{Padding, Window, bad, kernel, lengths, norm};
use crate::{
    AttributeProblem, AvgPool, CeilRule, IndexKind, Layout, LpPool, MaxPool, MaxUnpool, Quantization, QuantizedAvgPool,
    Result,
};

/// A node's attributes as the file holds them; `None` is one that the node does not have.
///
/// ```
/// use lanepool::import::onnx::{self, Attributes};
/// let stem = Attributes {
///     kernel_shape: &[3, 3],
///     strides: Some(&[2, 2]),
///     pads: Some(&[1, 1, 1, 1]),
///     ..Attributes::default()
/// };
/// let pool = onnx::max_pool::<f32>(&stem, 12)?;
/// assert_eq!(pool.output_shape([1, 64, 112, 112])?, [1, 64, 56, 56]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attributes<'a> {
    /// Taps on each axis. Required by every operator that has it; empty is "not given".
    pub kernel_shape: &'a [i64],
    /// Default 1.
    pub strides: Option<&'a [i64]>,
    /// The begins of all axes, then the ends. Default 0.
    pub pads: Option<&'a [i64]>,
    /// Default 1.
    pub dilations: Option<&'a [i64]>,
    /// `NOTSET`, the default, `SAME_UPPER`, `SAME_LOWER` or `VALID`.
    pub auto_pad: Option<&'a str>,
    /// 0, the default, or 1.
    pub ceil_mode: Option<i64>,
    /// 0, the default, or 1.
    pub count_include_pad: Option<i64>,
    /// 0, the default: row-major, or 1: column-major.
    pub storage_order: Option<i64>,
    /// The norm of `LpPool`, an integer from operator set 2 on. Default 2.
    pub p: Option<f64>,
    /// 0, the default, or 1. Of the `com.microsoft` operators alone.
    pub channels_last: Option<i64>,
}

/// The operator set of a model, and how its ceil mode is read. A bare number is the present reading.
///
/// Ceil mode's text changed, and not every engine follows it in the same way, so both choices are arguments:
///
/// - **The last window.** "Sliding windows that would start in the right padded region are ignored" came with
///   [ONNX's pull request 5741](https://github.com/onnx/onnx/pull/5741) into the texts that were current then, `MaxPool` 12 and `AveragePool` 19.
///   Older ones, and every `LpPool`, have the bare formula. But the same change made shape inference drop those windows for *every*
///   operator and version, and ONNX Runtime does so since
///   [16752](https://github.com/microsoft/onnxruntime/pull/16752): it is what PyTorch, from whose exporter such models
///   come, always did. That is the present reading; [`Opset::ceil_rule`] gives the other.
/// - **The divisor of a window that ceil mode lets overhang**, with `count_include_pad`. The overhang is no padding and does not count
///   (PyTorch, ONNX's reference). ONNX Runtime's kernels for operator sets below 19 divide by the whole kernel all the same
///   (16752 again): [`Opset::overhang_counts`].
///
/// ```
/// use lanepool::import::onnx::{self, Attributes, Opset};
/// use lanepool::CeilRule;
/// let attributes = Attributes {
///     kernel_shape: &[3], strides: Some(&[3]), pads: Some(&[1, 1]), ceil_mode: Some(1), ..Attributes::default()
/// };
/// let present = onnx::max_pool::<f32>(&attributes, 11)?;
/// assert_eq!(present.output_shape([1, 1, 5])?, [1, 1, 2]);
/// let as_once = onnx::max_pool::<f32>(&attributes, Opset::new(11).ceil_rule(CeilRule::EveryWindow))?;
/// assert_eq!(as_once.output_shape([1, 1, 5])?, [1, 1, 3]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opset {
    version: i64,
    ceil_rule: CeilRule,
    overhang_counts: bool,
}

impl Opset {
    /// The operator set of this number with ceil mode as it is read today. Numbers above 22 are read as 22.
    pub const fn new(version: i64) -> Self {
        Self { version, ceil_rule: CeilRule::StartsInside, overhang_counts: false }
    }

    /// Which windows ceil mode keeps.
    pub const fn ceil_rule(self, ceil_rule: CeilRule) -> Self {
        Self { ceil_rule, ..self }
    }

    /// Whether an average with `count_include_pad` divides by the whole kernel where ceil mode lets a window overhang the
    /// padding.
    pub const fn overhang_counts(self, overhang_counts: bool) -> Self {
        Self { overhang_counts, ..self }
    }
}

impl From<i64> for Opset {
    fn from(version: i64) -> Self {
        Self::new(version)
    }
}

/// An operator: its name, its first version, and since when it has the attributes that not every version of every operator
/// has; `None` is one that it does not have.
struct Operator {
    name: &'static str,
    since: i64,
    auto_pad: Option<i64>,
    dilations: Option<i64>,
    ceil_mode: Option<i64>,
    count_include_pad: Option<i64>,
    storage_order: Option<i64>,
    p: Option<i64>,
    channels_last: Option<i64>,
    /// Whether it has `kernel_shape`, `strides` and `pads`.
    windows: bool,
}

const NONE: Operator = Operator {
    name: "",
    since: 1,
    auto_pad: None,
    dilations: None,
    ceil_mode: None,
    count_include_pad: None,
    storage_order: None,
    p: None,
    channels_last: None,
    windows: false,
};

const MAX_POOL: Operator = Operator {
    name: "MaxPool",
    auto_pad: Some(1),
    dilations: Some(10),
    ceil_mode: Some(10),
    storage_order: Some(8),
    windows: true,
    ..NONE
};
const AVERAGE_POOL: Operator = Operator {
    name: "AveragePool",
    auto_pad: Some(1),
    dilations: Some(19),
    ceil_mode: Some(10),
    count_include_pad: Some(7),
    windows: true,
    ..NONE
};
const LP_POOL: Operator = Operator {
    name: "LpPool",
    auto_pad: Some(1),
    dilations: Some(18),
    ceil_mode: Some(18),
    p: Some(1),
    windows: true,
    ..NONE
};
const MAX_UNPOOL: Operator = Operator { name: "MaxUnpool", since: 9, windows: true, ..NONE };
const GLOBAL_LP_POOL: Operator = Operator { name: "GlobalLpPool", p: Some(1), ..NONE };
const Q_LINEAR_AVERAGE_POOL: Operator = Operator {
    name: "QLinearAveragePool",
    auto_pad: Some(1),
    ceil_mode: Some(1),
    count_include_pad: Some(1),
    channels_last: Some(1),
    windows: true,
    ..NONE
};
const Q_LINEAR_GLOBAL_AVERAGE_POOL: Operator =
    Operator { name: "QLinearGlobalAveragePool", channels_last: Some(1), ..NONE };

impl Operator {
    /// Refuses attributes that the operator does not have in this version.
    fn check(&self, attributes: &Attributes<'_>, opset: i64) -> Result<()> {
        if opset < self.since {
            let why = AttributeProblem::TooNew { operator: self.name, since: self.since, opset };
            return Err(bad("kernel_shape", why));
        }
        let windows = self.windows.then_some(self.since);
        let given = [
            ("kernel_shape", !attributes.kernel_shape.is_empty(), windows),
            ("strides", attributes.strides.is_some(), windows),
            ("pads", attributes.pads.is_some(), windows),
            ("auto_pad", attributes.auto_pad.is_some(), self.auto_pad),
            ("dilations", attributes.dilations.is_some(), self.dilations),
            ("ceil_mode", attributes.ceil_mode.is_some(), self.ceil_mode),
            ("count_include_pad", attributes.count_include_pad.is_some(), self.count_include_pad),
            ("storage_order", attributes.storage_order.is_some(), self.storage_order),
            ("p", attributes.p.is_some(), self.p),
            ("channels_last", attributes.channels_last.is_some(), self.channels_last),
        ];
        for (attribute, is_given, since) in given {
            let operator = self.name;
            match since {
                _ if !is_given => {}
                None => return Err(bad(attribute, AttributeProblem::Unknown { operator })),
                Some(since) if opset < since => {
                    return Err(bad(attribute, AttributeProblem::TooNew { operator, since, opset }));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The window that the attributes describe.
    fn window(&self, attributes: &Attributes<'_>, opset: Opset) -> Result<Window> {
        self.check(attributes, opset.version)?;
        let mut window = Window::new(kernel("kernel_shape", attributes.kernel_shape)?);
        let rank = window.kernel.len();
        let given = |list: Option<_>| list.filter(|list: &&[i64]| !list.is_empty());
        if let Some(strides) = given(attributes.strides) {
            window.stride = lengths("strides", strides, rank, 0)?;
        }
        if let Some(dilations) = given(attributes.dilations) {
            window.dilation = lengths("dilations", dilations, rank, 0)?;
        }
        if let Some(pads) = given(attributes.pads) {
            let mut begin = lengths("pads", pads, rank.saturating_mul(2), 0)?;
            let end = begin.drain(rank..).collect();
            window.padding = Padding::Explicit { begin, end };
        }
        window.ceil_mode = flag("ceil_mode", attributes.ceil_mode)?;
        window.ceil_rule = opset.ceil_rule;
        let same = match attributes.auto_pad.unwrap_or("NOTSET") {
            "NOTSET" => return Ok(window),
            "VALID" => None,
            "SAME_UPPER" => Some(Padding::SameUpper),
            "SAME_LOWER" => Some(Padding::SameLower),
            _ => {
                let names = "NOTSET, SAME_UPPER, SAME_LOWER and VALID";
                return Err(bad("auto_pad", AttributeProblem::NoSuchName { names }));
            }
        };
        if attributes.pads.is_some_and(|pads| pads.iter().any(|pad| *pad != 0)) {
            return Err(bad("pads", AttributeProblem::Excludes { other: "auto_pad" }));
        }
        window.padding = same.unwrap_or(window.padding);
        window.ceil_mode = false;
        Ok(window)
    }
}

/// An attribute that is 0 or 1, and 0 if it is not given.
fn flag(attribute: &'static str, value: Option<i64>) -> Result<bool> {
    match value.unwrap_or(0) {
        0 => Ok(false),
        1 => Ok(true),
        got => Err(bad(attribute, AttributeProblem::NoSuchValue { got, values: "0 and 1" })),
    }
}

/// `MaxPool`. NaN is not in ONNX's text; the builder's default propagates it, as PyTorch does.
///
/// `storage_order` says how the second output counts: see [`index_kind`].
///
/// Source: [MaxPool](https://onnx.ai/onnx/operators/onnx__MaxPool.html).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn max_pool<T>(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<MaxPool<T>> {
    flag("storage_order", attributes.storage_order)?;
    Ok(MAX_POOL.window(attributes, opset.into())?.pool())
}

/// What the second output of `MaxPool` counts: offsets in the whole tensor, "the indices do not consider padding".
///
/// ```
/// use lanepool::IndexKind;
/// use lanepool::import::onnx::{Attributes, index_kind};
/// let attributes = Attributes { kernel_shape: &[2, 2], storage_order: Some(1), ..Attributes::default() };
/// assert_eq!(index_kind(&attributes, 12)?, IndexKind::TensorColumnMajor);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn index_kind(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<IndexKind> {
    MAX_POOL.check(attributes, opset.into().version)?;
    let column_major = flag("storage_order", attributes.storage_order)?;
    Ok(if column_major { IndexKind::TensorColumnMajor } else { IndexKind::Tensor })
}

/// `AveragePool`. The divisor is the number of valid taps; with `count_include_pad` the declared padding counts too.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::onnx::{self, Attributes};
/// let attributes = Attributes { kernel_shape: &[2], pads: Some(&[1, 0]), ..Attributes::default() };
/// let valid = onnx::average_pool::<f32>(&attributes, 7)?;
/// assert_eq!(valid.run_once(Layout::Nchw, [1, 1, 2], &[4.0, 8.0])?, [4.0, 6.0]);
/// let padded = onnx::average_pool::<f32>(&Attributes { count_include_pad: Some(1), ..attributes }, 7)?;
/// assert_eq!(padded.run_once(Layout::Nchw, [1, 1, 2], &[4.0, 8.0])?, [2.0, 6.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// Source: [AveragePool](https://onnx.ai/onnx/operators/onnx__AveragePool.html).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn average_pool<T>(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<AvgPool<T>> {
    let opset = opset.into();
    let (window, include_pad) = average(&AVERAGE_POOL, attributes, opset)?;
    let pool: AvgPool<T> = window.pool();
    let pool = pool.count_include_pad(include_pad);
    if !(include_pad && opset.overhang_counts && window.ceil_mode) {
        return Ok(pool);
    }
    // Every tap of every window counts, so the divisor is one for all. One that overflows is no window's: the plan says so.
    Ok(pool.divisor(window.kernel.iter().fold(1, |taps, kernel| taps.saturating_mul(*kernel))))
}

/// The window of an average, and whether declared padding counts in its divisor.
fn average(operator: &Operator, attributes: &Attributes<'_>, opset: Opset) -> Result<(Window, bool)> {
    let window = operator.window(attributes, opset)?;
    Ok((window, flag("count_include_pad", attributes.count_include_pad)?))
}

/// `GlobalMaxPool`, which has no attributes.
///
/// Source: [GlobalMaxPool](https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html).
pub fn global_max_pool<T>() -> MaxPool<T> {
    MaxPool::global()
}

/// `GlobalAveragePool`, which has no attributes.
///
/// Source: [GlobalAveragePool](https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html).
pub fn global_average_pool<T>() -> AvgPool<T> {
    AvgPool::global()
}

/// `LpPool`: `(Σ |x|^p)^(1/p)` over the valid taps, `p` being 2 if it is not given.
///
/// Source: [LpPool](https://onnx.ai/onnx/operators/onnx__LpPool.html). `kernel_shape`, optional in operator set 1 without a
/// default, is required here as in ONNX Runtime.
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::onnx::{self, Attributes};
/// let attributes = Attributes { kernel_shape: &[2], strides: Some(&[2]), ..Attributes::default() };
/// let norms = onnx::lp_pool::<f32>(&attributes, 2)?;
/// assert_eq!(norms.run_once(Layout::Nchw, [1, 1, 4], &[3.0, -4.0, 0.0, -2.0])?, [5.0, 2.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn lp_pool<T>(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<LpPool<T>> {
    let pool: LpPool<T> = LP_POOL.window(attributes, opset.into())?.pool();
    Ok(pool.p(p(attributes)?))
}

/// `GlobalLpPool`: the same over the whole plane.
///
/// Source: [GlobalLpPool](https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn global_lp_pool<T>(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<LpPool<T>> {
    GLOBAL_LP_POOL.check(attributes, opset.into().version)?;
    Ok(LpPool::global().p(p(attributes)?))
}

fn p(attributes: &Attributes<'_>) -> Result<f64> {
    norm("p", attributes.p.unwrap_or(2.0))
}

/// `MaxUnpool`, with the window of the `MaxPool` that it undoes. Indices count in the tensor, row-major.
///
/// Without the input `output_shape`, an axis of `n` becomes `(n − 1)·stride + kernel − begin − end` long, and the indices count
/// in that. With it there are two readings, which differ where it is longer than that:
///
/// - [`MaxUnpool::padded_to`] with its spatial part is that of ONNX's
///   [reference](https://github.com/onnx/onnx/blob/main/onnx/reference/ops/op_max_unpool.py) and node tests: the indices count in
///   the shorter plane.
/// - [`MaxUnpool::to`] with its spatial part, and [`IndexKind::Tensor`], is that of ONNX Runtime since
///   [2193](https://github.com/microsoft/onnxruntime/pull/2193): the indices count in the output, as those of a `MaxPool` of
///   such a tensor do.
///
/// Source: [MaxUnpool](https://onnx.ai/onnx/operators/onnx__MaxUnpool.html).
///
/// ```
/// use lanepool::Layout;
/// use lanepool::import::onnx::{self, Attributes};
/// let attributes = Attributes { kernel_shape: &[2], strides: Some(&[2]), ..Attributes::default() };
/// let unpool = onnx::max_unpool::<f32>(&attributes, 11)?;
/// // Two channels. The second one's plane begins at 4.
/// let plan = unpool.plan::<i64>(Layout::Nchw, [1, 2, 2])?;
/// let mut y = vec![0.0; plan.output_len()];
/// plan.run(&[1.0, 2.0, 3.0, 4.0], &[1, 2, 4, 7], &mut y)?;
/// assert_eq!(y, [0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0]);
/// // `output_shape` is 1, 2, 5.
/// let plan = unpool.padded_to([5]).plan::<i64>(Layout::Nchw, [1, 2, 2])?;
/// assert_eq!(plan.output_shape(), [1, 2, 5]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn max_unpool<T>(attributes: &Attributes<'_>, opset: impl Into<Opset>) -> Result<MaxUnpool<T>> {
    Ok(MAX_UNPOOL.window(attributes, opset.into())?.unpool().indices(IndexKind::Tensor))
}

fn layout(attributes: &Attributes<'_>) -> Result<Layout> {
    Ok(if flag("channels_last", attributes.channels_last)? { Layout::Nhwc } else { Layout::Nchw })
}

/// `QLinearAveragePool` of the domain `com.microsoft`, version 1, and the layout of its tensors by `channels_last`. Scales and
/// zero points are inputs of the node; the plan checks them.
///
/// Ceil mode is read as today: windows that begin past the input are dropped. With `count_include_pad`, what ceil mode lets
/// overhang does not count, as in [`average_pool`] without [`Opset::overhang_counts`]. ONNX Runtime drops the same windows, but its
/// [kernel](https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/contrib_ops/cpu/quantization/qlinear_pool.cc) divides
/// by the whole kernel then, as its kernels of `AveragePool` below operator set 19 do. [`QuantizedAvgPool`] has no divisor of the
/// caller's, so who needs those results declares the overhang as padding at the end, without ceil mode:
///
/// ```
/// use lanepool::Quantization;
/// use lanepool::import::onnx::{self, Attributes};
/// let attributes = Attributes {
///     kernel_shape: &[3], strides: Some(&[4]), pads: Some(&[1, 0]), ceil_mode: Some(1), count_include_pad: Some(1),
///     ..Attributes::default()
/// };
/// let (input, output) = (Quantization::new(0.5, 0), Quantization::new(0.25, 10));
/// let (pool, layout) = onnx::q_linear_average_pool::<u8>(&attributes, input, output)?;
/// // The mean of 0 (padding), 1 and 2, and that of 6 alone; then 6 / 3.
/// assert_eq!(pool.run_once(layout, [1, 1, 4], &[2, 4, 6, 12])?, [14, 34]);
/// let runtime = pool.ceil_mode(false).padding_unequal([1], [2]);
/// assert_eq!(runtime.run_once(layout, [1, 1, 4], &[2, 4, 6, 12])?, [14, 18]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// Source: [ONNX Runtime's contributed operators](https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearAveragePool).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn q_linear_average_pool<T>(
    attributes: &Attributes<'_>,
    input: Quantization,
    output: Quantization,
) -> Result<(QuantizedAvgPool<T>, Layout)> {
    let (window, include_pad) = average(&Q_LINEAR_AVERAGE_POOL, attributes, Opset::new(1))?;
    let pool: QuantizedAvgPool<T> = window.pool();
    Ok((pool.quantization(input, output).count_include_pad(include_pad), layout(attributes)?))
}

/// `QLinearGlobalAveragePool` of the domain `com.microsoft`, version 1, and the layout of its tensors by `channels_last`.
///
/// Source: [ONNX Runtime's contributed operators](https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearGlobalAveragePool).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn q_linear_global_average_pool<T>(
    attributes: &Attributes<'_>,
    input: Quantization,
    output: Quantization,
) -> Result<(QuantizedAvgPool<T>, Layout)> {
    Q_LINEAR_GLOBAL_AVERAGE_POOL.check(attributes, 1)?;
    Ok((QuantizedAvgPool::global().quantization(input, output), layout(attributes)?))
}
