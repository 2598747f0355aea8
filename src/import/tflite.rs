//! TensorFlow Lite: `MAX_POOL_2D`, `AVERAGE_POOL_2D` and `L2_POOL_2D`; and TensorFlow's `MaxPool`, `AvgPool` and
//! `MaxPoolWithArgmax`, which mean the same by `SAME` and `VALID`.
//!
//! Tensors are NHWC, the layout that is returned beside each builder; shapes are given as `N, C, H, W` all the same. `SAME`
//! makes the output `⌈input / stride⌉` long with the odd element of padding at the end, and an average divides by the
//! valid taps. Integers of 8 and 16 bits are averaged as they are stored, rounded half away from zero, and then clamped: LiteRT
//! does not rescale them, and its quantised tensors have one scale and one zero point before and after a pooling.

use super::{AttributeProblem, Padding, Window, bad, length};
use crate::{AvgPool, IndexKind, Layout, LpPool, MaxPool, Pool, PoolOperation, Result, Rounding};

/// `Pool2DOptions` as the file holds them.
///
/// Source: [the schema](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs).
///
/// ```
/// use lanepool::import::tflite::{self, Pool2DOptions};
/// let options =
///     Pool2DOptions { stride_w: 2, stride_h: 2, filter_width: 3, filter_height: 3, ..Pool2DOptions::default() };
/// let layer = tflite::average_pool_2d::<u8>(&options)?;
/// let plan = layer.pool.plan(layer.layout, [1, 1, 3, 3])?;
/// // SAME: 2x2 outputs of 2x2 valid taps each. 12 / 4, 17 / 4, 24 / 4 and 26 / 4 = 6.5, which rounds away from zero.
/// assert_eq!(plan.run_vec(&[1, 2, 3, 4, 5, 7, 7, 8, 6])?, [3, 4, 6, 7]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool2DOptions {
    /// 0, the schema's default, is `SAME`, 1 is `VALID`.
    pub padding: i8,
    /// Columns from one output to the next.
    pub stride_w: i32,
    /// Rows from one output to the next.
    pub stride_h: i32,
    /// Columns of the window.
    pub filter_width: i32,
    /// Rows of the window.
    pub filter_height: i32,
    /// `ActivationFunctionType`: 0 none, the schema's default, 1 `RELU`, 2 `RELU_N1_TO_1`, 3 `RELU6`.
    pub fused_activation_function: i8,
}

/// Bounds of real numbers that every output is clamped to after pooling: what a fused activation is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Clamp {
    /// The least.
    pub min: f32,
    /// The most, or +inf.
    pub max: f32,
}

impl Clamp {
    /// The bounds of stored integers between `least` and `most`, the ends of their type, where `real = scale · (stored − zero_point)`:
    /// `zero_point + bound / scale` rounded half away from zero, within the type.
    ///
    /// Source: `CalculateActivationRangeQuantized` in
    /// [`kernel_util.cc`](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/kernels/kernel_util.cc).
    ///
    /// ```
    /// use lanepool::import::tflite::{self, Pool2DOptions};
    /// let options = Pool2DOptions {
    ///     stride_w: 1, stride_h: 1, filter_width: 2, filter_height: 2, fused_activation_function: 3, ..Default::default()
    /// };
    /// let relu6 = tflite::max_pool_2d::<i8>(&options)?.clamp.expect("an activation");
    /// assert_eq!(relu6.stored(0.05, -20, -128, 127), (-20, 100));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn stored(self, scale: f32, zero_point: i32, least: i32, most: i32) -> (i32, i32) {
        let stored = |bound: f32| {
            // The conversion saturates: an infinite bound is the type's end, and one of NaN is the zero point.
            let steps = bound / scale;
            let whole = steps as i64;
            let part = steps - whole as f32;
            let away = i64::from(part >= 0.5).saturating_sub(i64::from(part <= -0.5));
            let at = whole.saturating_add(away).saturating_add(i64::from(zero_point));
            i32::try_from(at.clamp(i32::MIN.into(), i32::MAX.into())).unwrap_or(zero_point).max(least).min(most)
        };
        (stored(self.min), stored(self.max))
    }
}

/// A builder, and what else a file says of the layer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Imported<P> {
    /// The builder.
    pub pool: P,
    /// How memory holds the tensors.
    pub layout: Layout,
    /// The fused activation: what to clamp every output to, by the caller.
    pub clamp: Option<Clamp>,
    /// What indices count, where the operator gives them: for [`Pool::plan_indexed`].
    pub index_kind: Option<IndexKind>,
}

impl<P> Imported<P> {
    fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Imported<Q> {
        Imported { pool: f(self.pool), layout: self.layout, clamp: self.clamp, index_kind: self.index_kind }
    }
}

/// Same or valid padding for a window of rows and columns.
fn window(kernel: [(&'static str, i64); 2], stride: [(&'static str, i64); 2], same: bool) -> Result<Window> {
    let positive = |(attribute, number): (&'static str, i64)| length(attribute, number, 1);
    let [height, width] = kernel;
    let mut window = Window::new(alloc::vec![positive(height)?, positive(width)?]);
    let [down, right] = stride;
    window.stride = alloc::vec![positive(down)?, positive(right)?];
    if same {
        window.padding = Padding::SameUpper;
    }
    Ok(window)
}

fn pool_2d<O: PoolOperation, T>(options: &Pool2DOptions) -> Result<Imported<Pool<O, T>>> {
    let same = match options.padding {
        0 => true,
        1 => false,
        got => {
            let why = AttributeProblem::NoSuchValue { got: got.into(), values: "0 (SAME) and 1 (VALID)" };
            return Err(bad("padding", why));
        }
    };
    let clamp = match options.fused_activation_function {
        0 => None,
        1 => Some(Clamp { min: 0.0, max: f32::INFINITY }),
        2 => Some(Clamp { min: -1.0, max: 1.0 }),
        3 => Some(Clamp { min: 0.0, max: 6.0 }),
        got => {
            let values = "0 (none), 1 (RELU), 2 (RELU_N1_TO_1) and 3 (RELU6), which are clamps";
            return Err(bad("fused_activation_function", AttributeProblem::NoSuchValue { got: got.into(), values }));
        }
    };
    let kernel = [("filter_height", options.filter_height.into()), ("filter_width", options.filter_width.into())];
    let stride = [("stride_h", options.stride_h.into()), ("stride_w", options.stride_w.into())];
    Ok(Imported { pool: window(kernel, stride, same)?.pool(), layout: Layout::Nhwc, clamp, index_kind: None })
}

/// `MAX_POOL_2D`.
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn max_pool_2d<T>(options: &Pool2DOptions) -> Result<Imported<MaxPool<T>>> {
    pool_2d(options)
}

/// `AVERAGE_POOL_2D`: valid taps are counted, and integers rounded half away from zero.
///
/// Source: [the reference kernels](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h).
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn average_pool_2d<T>(options: &Pool2DOptions) -> Result<Imported<AvgPool<T>>> {
    Ok(pool_2d(options)?.map(|pool: AvgPool<T>| pool.rounding(Rounding::HalfAwayFromZero)))
}

/// `L2_POOL_2D`: the root of the mean of squares of the valid taps. Of floats, as in TensorFlow Lite; the plan refuses others.
///
/// Source: `L2Pool` in [the reference kernels](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/kernels/internal/reference/pooling.h),
/// which divide the sum of squares by the number of taps in the input before they take the root.
///
/// ```
/// use lanepool::import::tflite::{self, Pool2DOptions};
/// let options =
///     Pool2DOptions { stride_w: 2, stride_h: 1, filter_width: 2, filter_height: 1, ..Pool2DOptions::default() };
/// let layer = tflite::l2_pool_2d::<f32>(&options)?;
/// // √((1 + 49) / 2), and √(9 / 1) where SAME lets the window overhang.
/// assert_eq!(layer.pool.run_once(layer.layout, [1, 1, 1, 3], &[1.0, -7.0, -3.0])?, [5.0, 3.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn l2_pool_2d<T>(options: &Pool2DOptions) -> Result<Imported<LpPool<T>>> {
    Ok(pool_2d(options)?.map(LpPool::rms))
}

/// The attributes of TensorFlow's `MaxPool`, `AvgPool` and `MaxPoolWithArgmax`.
///
/// Source: [tf.raw_ops.AvgPool](https://www.tensorflow.org/api_docs/python/tf/raw_ops/AvgPool) and
/// [tf.raw_ops.MaxPoolWithArgmax](https://www.tensorflow.org/api_docs/python/tf/raw_ops/MaxPoolWithArgmax).
///
/// ```
/// use lanepool::import::tflite::{self, TensorFlow};
/// let attributes = TensorFlow { ksize: &[1, 3, 3, 1], strides: &[1, 2, 2, 1], padding: "SAME", ..Default::default() };
/// let layer = tflite::tensorflow_max_pool::<f32>(&attributes)?;
/// assert_eq!(layer.pool.output_shape([1, 8, 5, 6])?, [1, 8, 3, 3]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorFlow<'a> {
    /// Four numbers in the order of `data_format`; 1 for batch and channels.
    pub ksize: &'a [i64],
    /// The same.
    pub strides: &'a [i64],
    /// `SAME` or `VALID`. `EXPLICIT`, which is `MaxPool`'s alone, is not read.
    pub padding: &'a str,
    /// `NHWC`, the default, or `NCHW`, which `MaxPoolWithArgmax` does not have.
    pub data_format: &'a str,
    /// Whether an argmax counts in the whole batch. Of `MaxPoolWithArgmax` alone; default false.
    pub include_batch_in_index: bool,
}

impl Default for TensorFlow<'_> {
    fn default() -> Self {
        Self { ksize: &[], strides: &[], padding: "", data_format: "NHWC", include_batch_in_index: false }
    }
}

fn tensorflow<O: PoolOperation, T>(attributes: &TensorFlow<'_>) -> Result<Imported<Pool<O, T>>> {
    let layout = match attributes.data_format {
        "NHWC" => Layout::Nhwc,
        "NCHW" => Layout::Nchw,
        _ => return Err(bad("data_format", AttributeProblem::NoSuchName { names: "NHWC and NCHW" })),
    };
    let same = match attributes.padding {
        "SAME" => true,
        "VALID" => false,
        _ => return Err(bad("padding", AttributeProblem::NoSuchName { names: "SAME and VALID" })),
    };
    let spatial = |attribute: &'static str, numbers: &[i64]| {
        let &[batch, a, b, c] = numbers else {
            return Err(bad(attribute, AttributeProblem::Length { got: numbers.len(), need: 4 }));
        };
        let (channels, height, width) = if layout == Layout::Nchw { (a, b, c) } else { (c, a, b) };
        let values = "1 for batch and channels, which no window of these kernels spans";
        match [batch, channels].into_iter().find(|number| *number != 1) {
            Some(got) => Err(bad(attribute, AttributeProblem::NoSuchValue { got, values })),
            None => Ok([(attribute, height), (attribute, width)]),
        }
    };
    let kernel = spatial("ksize", attributes.ksize)?;
    let stride = spatial("strides", attributes.strides)?;
    Ok(Imported { pool: window(kernel, stride, same)?.pool(), layout, clamp: None, index_kind: None })
}

/// TensorFlow's `MaxPool`.
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn tensorflow_max_pool<T>(attributes: &TensorFlow<'_>) -> Result<Imported<MaxPool<T>>> {
    tensorflow(attributes)
}

/// TensorFlow's `MaxPoolWithArgmax`: the argmax at row `y`, column `x` and channel `c` of an image is `(y·W + x)·C + c`, or with
/// `include_batch_in_index` `((n·H + y)·W + x)·C + c`. Of equals the first is named, as TensorFlow does. Its type, `Targmax`,
/// is [`Pool::plan_indexed`]'s: `i64` where the node does not say.
///
/// ```
/// use lanepool::import::tflite::{self, TensorFlow};
/// let attributes = TensorFlow { ksize: &[1, 1, 2, 1], strides: &[1, 1, 2, 1], padding: "VALID", ..Default::default() };
/// let layer = tflite::tensorflow_max_pool_with_argmax::<f32>(&attributes)?;
/// let kind = layer.index_kind.expect("an argmax");
/// // A row of two pixels of two channels.
/// let plan = layer.pool.plan_indexed::<i64>(kind, layer.layout, [1, 2, 1, 2])?;
/// assert_eq!(plan.run_vec(&[1.0, 8.0, 3.0, 4.0])?, (vec![3.0, 8.0], vec![2, 1]));
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn tensorflow_max_pool_with_argmax<T>(attributes: &TensorFlow<'_>) -> Result<Imported<MaxPool<T>>> {
    if attributes.data_format != "NHWC" {
        return Err(bad("data_format", AttributeProblem::NoSuchName { names: "NHWC" }));
    }
    let kind = match attributes.include_batch_in_index {
        true => IndexKind::TensorChannelsLast,
        false => IndexKind::ImageChannelsLast,
    };
    Ok(Imported { index_kind: Some(kind), ..tensorflow(attributes)? })
}

/// TensorFlow's `AvgPool`: valid taps are counted.
///
/// # Errors
/// [`Error::BadAttribute`](crate::Error::BadAttribute).
pub fn tensorflow_avg_pool<T>(attributes: &TensorFlow<'_>) -> Result<Imported<AvgPool<T>>> {
    tensorflow(attributes)
}
