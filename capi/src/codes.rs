//! The numbers that stand for operations, elements, layouts and choices.
//!
//! C has no enumerations that a library could trust: every field is an integer, and every integer is looked up here.

use lanepool::{CeilRule, DType, IndexKind, NanPolicy, Rounding, Tier};

use crate::status::{Failure, LANEPOOL_UNKNOWN_VALUE};

/// The largest value of each window.
pub const LANEPOOL_MAX: i32 = 1;
/// The smallest value of each window.
pub const LANEPOOL_MIN: i32 = 2;
/// The mean of each window.
pub const LANEPOOL_AVG: i32 = 3;
/// The sum of each window.
pub const LANEPOOL_SUM: i32 = 4;
/// The p-norm of each window, or with `mean` its power mean: floats only.
pub const LANEPOOL_LP: i32 = 5;
/// The mean of quantised bytes, with scales and zero points: u8 and i8; and i16 with one scale and zero points of 0.
pub const LANEPOOL_QUANTIZED_AVG: i32 = 6;
/// The largest of quantised bytes, with scales and zero points: u8 and i8; and i16 with one scale and zero points of 0.
pub const LANEPOOL_QUANTIZED_MAX: i32 = 7;
/// The largest value of windows that follow from the output's length.
pub const LANEPOOL_ADAPTIVE_MAX: i32 = 8;
/// The mean of windows that follow from the output's length.
pub const LANEPOOL_ADAPTIVE_AVG: i32 = 9;
/// The mean of quantised bytes of windows that follow from the output's length: u8 and i8; and i16 as above.
pub const LANEPOOL_ADAPTIVE_QUANTIZED_AVG: i32 = 10;
/// The largest value of windows whose places follow from random samples.
pub const LANEPOOL_FRACTIONAL_MAX: i32 = 11;
/// Values go back to where the indices of maxima say; zero elsewhere.
pub const LANEPOOL_MAX_UNPOOL: i32 = 12;

/// The layer itself. The default.
pub const LANEPOOL_FORWARD: i32 = 0;
/// From the gradient of the output to that of the input: floats only.
pub const LANEPOOL_BACKWARD: i32 = 1;

/// `float`.
pub const LANEPOOL_F32: i32 = 1;
/// `double`.
pub const LANEPOOL_F64: i32 = 2;
/// IEEE 754 binary16.
pub const LANEPOOL_F16: i32 = 3;
/// The upper half of a `float`.
pub const LANEPOOL_BF16: i32 = 4;
/// `int8_t`.
pub const LANEPOOL_I8: i32 = 5;
/// `uint8_t`.
pub const LANEPOOL_U8: i32 = 6;
/// `int16_t`.
pub const LANEPOOL_I16: i32 = 7;
/// `uint16_t`.
pub const LANEPOOL_U16: i32 = 8;
/// `int32_t`.
pub const LANEPOOL_I32: i32 = 9;
/// `uint32_t`.
pub const LANEPOOL_U32: i32 = 10;
/// `int64_t`: maxima and minima, no sums or averages.
pub const LANEPOOL_I64: i32 = 11;
/// `uint64_t`: maxima and minima, no sums or averages.
pub const LANEPOOL_U64: i32 = 12;

/// Channels first: N, C, spatial. The default.
pub const LANEPOOL_NCHW: i32 = 0;
/// Channels last: N, spatial, C.
pub const LANEPOOL_NHWC: i32 = 1;
/// Channels in blocks of the field `block`: N, C / block, spatial, block.
pub const LANEPOOL_BLOCKED: i32 = 2;

/// The fields `pad_begin` and `pad_end`. The default.
pub const LANEPOOL_PAD_EXPLICIT: i32 = 0;
/// No padding.
pub const LANEPOOL_PAD_VALID: i32 = 1;
/// As much as makes the output ceil(input / stride) long; the odd element goes to the end.
pub const LANEPOOL_PAD_SAME_UPPER: i32 = 2;
/// The same; the odd element goes to the beginning.
pub const LANEPOOL_PAD_SAME_LOWER: i32 = 3;

/// Ceil mode drops windows that begin past the input (PyTorch, ONNX). The default.
pub const LANEPOOL_CEIL_STARTS_INSIDE: i32 = 0;
/// Ceil mode keeps every window that the formula counts (ONNX's older text).
pub const LANEPOOL_CEIL_EVERY_WINDOW: i32 = 1;

/// Any NaN of a window makes the output NaN. The default.
pub const LANEPOOL_NAN_PROPAGATE: i32 = 0;
/// NaN is missing data: the output is NaN only where everything is.
pub const LANEPOOL_NAN_IGNORE: i32 = 1;

/// Means of integers that lie between two of them go to the even one. The default.
pub const LANEPOOL_ROUND_HALF_TO_EVEN: i32 = 0;
/// They go away from zero (TensorFlow Lite).
pub const LANEPOOL_ROUND_HALF_AWAY: i32 = 1;

/// An average divides by the taps that lie in the input. The default.
pub const LANEPOOL_DIVIDE_BY_VALID: i32 = 0;
/// It divides by the taps that lie in the input or in its padding.
pub const LANEPOOL_DIVIDE_BY_PADDED: i32 = 1;
/// It divides by the field `divisor`.
pub const LANEPOOL_DIVIDE_BY_DIVISOR: i32 = 2;

/// No indices. The default.
pub const LANEPOOL_INDEX_NONE: i32 = 0;
/// Indices are `int32_t`.
pub const LANEPOOL_INDEX_I32: i32 = 1;
/// Indices are `int64_t`.
pub const LANEPOOL_INDEX_I64: i32 = 2;

/// An index is the offset in its own plane, row-major (PyTorch). The default.
pub const LANEPOOL_INDEX_PLANE: i32 = 0;
/// The offset in the tensor N, C, spatial, row-major, whatever the layout (ONNX, storage order 0).
pub const LANEPOOL_INDEX_TENSOR: i32 = 1;
/// The same with each plane column-major (ONNX, storage order 1).
pub const LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR: i32 = 2;
/// The number of the tap in its window, row-major.
pub const LANEPOOL_INDEX_TAP: i32 = 3;
/// The offset in the image spatial, C of the batch, channels moving fastest, whatever the layout (TensorFlow's argmax).
pub const LANEPOOL_INDEX_IMAGE_CHANNELS_LAST: i32 = 4;
/// The offset in the tensor N, spatial, C, whatever the layout (TensorFlow's argmax with include_batch_in_index).
pub const LANEPOOL_INDEX_TENSOR_CHANNELS_LAST: i32 = 5;

/// The widest tier that this machine has, capped by the environment variable LANEPOOL_MAX_TIER. The default.
pub const LANEPOOL_TIER_BEST: i32 = 0;
/// One element at a time.
pub const LANEPOOL_TIER_SCALAR: i32 = 1;
/// What the compilation target guarantees.
pub const LANEPOOL_TIER_PORTABLE: i32 = 2;
/// AArch64 NEON.
pub const LANEPOOL_TIER_NEON: i32 = 3;
/// x86-64 AVX2 and F16C.
pub const LANEPOOL_TIER_AVX2: i32 = 4;
/// x86-64 AVX-512 F, BW, DQ, VL and VBMI.
pub const LANEPOOL_TIER_AVX512: i32 = 5;

/// The largest number of spatial axes.
pub const LANEPOOL_MAX_AXES: usize = 3;

/// What the field `operation` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Max,
    Min,
    Avg,
    Sum,
    Lp,
    QuantizedAvg,
    QuantizedMax,
    AdaptiveMax,
    AdaptiveAvg,
    AdaptiveQuantizedAvg,
    FractionalMax,
    MaxUnpool,
}

/// The layouts without their block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Nchw,
    Nhwc,
    Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    Explicit,
    Valid,
    SameUpper,
    SameLower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DivideBy {
    Valid,
    Padded,
    Divisor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexType {
    I32,
    I64,
}

impl IndexType {
    pub fn bytes(self) -> usize {
        match self {
            Self::I32 => size_of::<i32>(),
            Self::I64 => size_of::<i64>(),
        }
    }
}

/// The numbers that a field may have, and what they stand for.
pub(crate) struct Codes<T: 'static> {
    field: &'static str,
    rows: &'static [(i32, &'static str, T)],
}

impl<T: Copy + PartialEq> Codes<T> {
    pub fn decode(&self, code: i32) -> Result<T, Failure> {
        let row = self.rows.iter().find(|(number, ..)| *number == code);
        row.map(|(.., value)| *value).ok_or_else(|| self.unknown(code))
    }

    /// The number of a value; 0 for one that has none.
    pub fn encode(&self, value: T) -> i32 {
        self.rows.iter().find(|(.., other)| *other == value).map_or(0, |(number, ..)| *number)
    }

    /// The name of a value.
    pub fn name(&self, value: T) -> &'static str {
        self.rows.iter().find(|(.., other)| *other == value).map_or("", |(_, name, _)| name)
    }

    #[cold]
    fn unknown(&self, code: i32) -> Failure {
        unknown(self.field, code, &mut self.rows.iter().map(|(number, name, _)| (*number, *name)))
    }
}

/// A number that stands for no value, beside those that do: compiled once for all fields.
#[inline(never)]
fn unknown(field: &str, code: i32, rows: &mut dyn Iterator<Item = (i32, &'static str)>) -> Failure {
    let values: Vec<String> = rows.map(|(number, name)| format!("{number} ({name})")).collect();
    let sentence = format!("{field} is {code}, and its values are {}", values.join(", "));
    Failure::new(LANEPOOL_UNKNOWN_VALUE, sentence)
}

macro_rules! codes {
    ($($table:ident: $field:literal, $Type:ty { $($code:ident => $value:expr,)+ })+) => { $(
        pub(crate) static $table: Codes<$Type> =
            Codes { field: $field, rows: &[$( ($code, stringify!($code), $value) ),+] };
    )+ };
}

codes! {
    OPERATION: "operation", Operation {
        LANEPOOL_MAX => Operation::Max,
        LANEPOOL_MIN => Operation::Min,
        LANEPOOL_AVG => Operation::Avg,
        LANEPOOL_SUM => Operation::Sum,
        LANEPOOL_LP => Operation::Lp,
        LANEPOOL_QUANTIZED_AVG => Operation::QuantizedAvg,
        LANEPOOL_QUANTIZED_MAX => Operation::QuantizedMax,
        LANEPOOL_ADAPTIVE_MAX => Operation::AdaptiveMax,
        LANEPOOL_ADAPTIVE_AVG => Operation::AdaptiveAvg,
        LANEPOOL_ADAPTIVE_QUANTIZED_AVG => Operation::AdaptiveQuantizedAvg,
        LANEPOOL_FRACTIONAL_MAX => Operation::FractionalMax,
        LANEPOOL_MAX_UNPOOL => Operation::MaxUnpool,
    }
    BACKWARD: "direction", bool {
        LANEPOOL_FORWARD => false,
        LANEPOOL_BACKWARD => true,
    }
    ELEMENT: "element", DType {
        LANEPOOL_F32 => DType::F32,
        LANEPOOL_F64 => DType::F64,
        LANEPOOL_F16 => DType::F16,
        LANEPOOL_BF16 => DType::Bf16,
        LANEPOOL_I8 => DType::I8,
        LANEPOOL_U8 => DType::U8,
        LANEPOOL_I16 => DType::I16,
        LANEPOOL_U16 => DType::U16,
        LANEPOOL_I32 => DType::I32,
        LANEPOOL_U32 => DType::U32,
        LANEPOOL_I64 => DType::I64,
        LANEPOOL_U64 => DType::U64,
    }
    LAYOUT: "layout", Order {
        LANEPOOL_NCHW => Order::Nchw,
        LANEPOOL_NHWC => Order::Nhwc,
        LANEPOOL_BLOCKED => Order::Blocked,
    }
    PADDING: "padding", Padding {
        LANEPOOL_PAD_EXPLICIT => Padding::Explicit,
        LANEPOOL_PAD_VALID => Padding::Valid,
        LANEPOOL_PAD_SAME_UPPER => Padding::SameUpper,
        LANEPOOL_PAD_SAME_LOWER => Padding::SameLower,
    }
    CEIL_RULE: "ceil_rule", CeilRule {
        LANEPOOL_CEIL_STARTS_INSIDE => CeilRule::StartsInside,
        LANEPOOL_CEIL_EVERY_WINDOW => CeilRule::EveryWindow,
    }
    NAN_POLICY: "nan_policy", NanPolicy {
        LANEPOOL_NAN_PROPAGATE => NanPolicy::Propagate,
        LANEPOOL_NAN_IGNORE => NanPolicy::Ignore,
    }
    ROUNDING: "rounding", Rounding {
        LANEPOOL_ROUND_HALF_TO_EVEN => Rounding::HalfToEven,
        LANEPOOL_ROUND_HALF_AWAY => Rounding::HalfAwayFromZero,
    }
    DIVIDE_BY: "divide_by", DivideBy {
        LANEPOOL_DIVIDE_BY_VALID => DivideBy::Valid,
        LANEPOOL_DIVIDE_BY_PADDED => DivideBy::Padded,
        LANEPOOL_DIVIDE_BY_DIVISOR => DivideBy::Divisor,
    }
    INDEX_TYPE: "index_type", Option<IndexType> {
        LANEPOOL_INDEX_NONE => None,
        LANEPOOL_INDEX_I32 => Some(IndexType::I32),
        LANEPOOL_INDEX_I64 => Some(IndexType::I64),
    }
    INDEX_KIND: "index_kind", IndexKind {
        LANEPOOL_INDEX_PLANE => IndexKind::Plane,
        LANEPOOL_INDEX_TENSOR => IndexKind::Tensor,
        LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR => IndexKind::TensorColumnMajor,
        LANEPOOL_INDEX_TAP => IndexKind::Tap,
        LANEPOOL_INDEX_IMAGE_CHANNELS_LAST => IndexKind::ImageChannelsLast,
        LANEPOOL_INDEX_TENSOR_CHANNELS_LAST => IndexKind::TensorChannelsLast,
    }
    TIER: "tier", Option<Tier> {
        LANEPOOL_TIER_BEST => None,
        LANEPOOL_TIER_SCALAR => Some(Tier::Scalar),
        LANEPOOL_TIER_PORTABLE => Some(Tier::Portable),
        LANEPOOL_TIER_NEON => Some(Tier::Neon),
        LANEPOOL_TIER_AVX2 => Some(Tier::Avx2),
        LANEPOOL_TIER_AVX512 => Some(Tier::Avx512),
    }
}

/// A truth value: 0 or 1, and nothing else.
pub(crate) fn flag(field: &str, value: i32) -> Result<bool, Failure> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::new(LANEPOOL_UNKNOWN_VALUE, format!("{field} is {value}, and its values are 0 and 1"))),
    }
}
