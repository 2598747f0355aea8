//! What a call comes to: a number with a fixed sentence, and the sentence of this one failure.

use core::ffi::CStr;
use core::fmt::Display;

use lanepool::Error;

/// What a call came to: `LANEPOOL_OK` or one of the other statuses.
#[allow(non_camel_case_types, reason = "a name of C")]
pub type lanepool_status = i32;

/// Done.
pub const LANEPOOL_OK: lanepool_status = 0;
/// A pointer that must point to something is null.
pub const LANEPOOL_NULL_POINTER: lanepool_status = 1;
/// A pointer is not a multiple of the alignment of what it points to.
pub const LANEPOOL_MISALIGNED: lanepool_status = 2;
/// An output shares memory with an input or with another output.
pub const LANEPOOL_OVERLAP: lanepool_status = 3;
/// A buffer is not exactly as long as the plan needs.
pub const LANEPOOL_LENGTH: lanepool_status = 4;
/// A size does not fit the address space.
pub const LANEPOOL_SIZE_OVERFLOW: lanepool_status = 5;
/// A number is none of the values that its field has.
pub const LANEPOOL_UNKNOWN_VALUE: lanepool_status = 6;
/// The size of a structure is none that this library can read.
pub const LANEPOOL_STRUCT_SIZE: lanepool_status = 7;
/// The window does not fit the shape, or one of them is no window or no shape.
pub const LANEPOOL_GEOMETRY: lanepool_status = 8;
/// A number of the operation's is out of its range: divisor, norm, bounds, scale or zero point.
pub const LANEPOOL_BAD_NUMBER: lanepool_status = 9;
/// An index names no place, or its type cannot hold every place.
pub const LANEPOOL_BAD_INDEX: lanepool_status = 10;
/// A random sample is below 0, not below 1, or NaN.
pub const LANEPOOL_BAD_SAMPLE: lanepool_status = 11;
/// The sums of integers may not fit their accumulator.
pub const LANEPOOL_SUM_OVERFLOW: lanepool_status = 12;
/// This machine cannot run the tier.
pub const LANEPOOL_TIER_UNAVAILABLE: lanepool_status = 13;
/// There is no such combination of operation, element and attributes.
pub const LANEPOOL_UNSUPPORTED: lanepool_status = 14;
/// The function does not run plans of this kind.
pub const LANEPOOL_WRONG_FUNCTION: lanepool_status = 15;
/// There is no such task.
pub const LANEPOOL_BAD_TASK: lanepool_status = 16;
/// The pointer does not point to a plan, or the plan was destroyed.
pub const LANEPOOL_BAD_PLAN: lanepool_status = 17;
/// This machine does not give the published bits.
pub const LANEPOOL_SELFTEST_FAILED: lanepool_status = 18;
/// A mistake of the library's own.
pub const LANEPOOL_INTERNAL: lanepool_status = 19;
/// A run that needs memory of its own, which is said of it, could not have it.
pub const LANEPOOL_OUT_OF_MEMORY: lanepool_status = 20;

/// The fixed sentence of a status.
pub(crate) fn message(status: lanepool_status) -> &'static CStr {
    match status {
        LANEPOOL_OK => c"done",
        LANEPOOL_NULL_POINTER => c"a pointer that must point to something is null",
        LANEPOOL_MISALIGNED => c"a pointer is not a multiple of the alignment of what it points to",
        LANEPOOL_OVERLAP => c"an output shares memory with an input or with another output",
        LANEPOOL_LENGTH => c"a buffer is not exactly as long as the plan needs",
        LANEPOOL_SIZE_OVERFLOW => c"a size does not fit the address space",
        LANEPOOL_UNKNOWN_VALUE => c"a number is none of the values that its field has",
        LANEPOOL_STRUCT_SIZE => c"the size of a structure is none that this library can read",
        LANEPOOL_GEOMETRY => c"the window does not fit the shape, or one of them is no window or no shape",
        LANEPOOL_BAD_NUMBER => c"a divisor, norm, bound, scale or zero point is out of its range",
        LANEPOOL_BAD_INDEX => c"an index names no place, or its type cannot hold every place",
        LANEPOOL_BAD_SAMPLE => c"a random sample is below 0, not below 1, or not a number",
        LANEPOOL_SUM_OVERFLOW => c"the sums of integers may not fit their accumulator",
        LANEPOOL_TIER_UNAVAILABLE => c"this machine cannot run the tier",
        LANEPOOL_UNSUPPORTED => c"there is no such combination of operation, element and attributes",
        LANEPOOL_WRONG_FUNCTION => c"the function does not run plans of this kind",
        LANEPOOL_BAD_TASK => c"there is no such task",
        LANEPOOL_BAD_PLAN => c"the pointer does not point to a plan, or the plan was destroyed",
        LANEPOOL_SELFTEST_FAILED => c"this machine does not give the published bits",
        LANEPOOL_INTERNAL => c"a mistake of the library's own",
        LANEPOOL_OUT_OF_MEMORY => c"a run could not have the memory that it needs",
        _ => c"no status has this number",
    }
}

/// Why a call was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    pub status: lanepool_status,
    pub sentence: String,
}

impl Failure {
    pub fn new(status: lanepool_status, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    pub fn null(what: impl Display) -> Self {
        Self::new(LANEPOOL_NULL_POINTER, format!("the pointer to the {what} is null"))
    }

    pub fn misaligned(what: impl Display, align: usize) -> Self {
        Self::new(LANEPOOL_MISALIGNED, format!("the address of the {what} is not a multiple of {align}"))
    }

    /// A mistake of the library's own.
    pub fn internal(what: impl Display) -> Self {
        Self::new(LANEPOOL_INTERNAL, format!("a mistake of the library's own: {what}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Rank { .. }
            | Error::ZeroKernel { .. }
            | Error::ZeroStride { .. }
            | Error::ZeroDilation { .. }
            | Error::PadTooLarge { .. }
            | Error::KernelTooLarge { .. }
            | Error::EmptyInput { .. }
            | Error::EmptyOutput { .. }
            | Error::OutputTooSmall { .. }
            | Error::TooManyWindows { .. }
            | Error::BadBlock { .. }
            | Error::StridesLen { .. }
            | Error::ChannelsApart { .. }
            | Error::OutputsOverlap { .. }
            | Error::ViewAxes { .. }
            | Error::ViewLen { .. }
            | Error::ViewStride { .. }
            | Error::NegativeStride { .. } => LANEPOOL_GEOMETRY,
            Error::SizeOverflow { .. } => LANEPOOL_SIZE_OVERFLOW,
            Error::SumOverflow { .. } => LANEPOOL_SUM_OVERFLOW,
            Error::SrcLen { .. }
            | Error::DstLen { .. }
            | Error::BytesLen { .. }
            | Error::IndexLen { .. }
            | Error::GradientLen { .. }
            | Error::SampleLen { .. } => LANEPOOL_LENGTH,
            Error::Misaligned { .. } => LANEPOOL_MISALIGNED,
            Error::TaskOutOfRange { .. } | Error::ForeignTasks { .. } => LANEPOOL_BAD_TASK,
            Error::IndexTooNarrow { .. } | Error::IndexOutOfRange { .. } | Error::IndexOutsideWindow { .. } => {
                LANEPOOL_BAD_INDEX
            }
            Error::BadSample { .. } => LANEPOOL_BAD_SAMPLE,
            Error::BadClamp { .. }
            | Error::BadDivisor
            | Error::BadNorm { .. }
            | Error::BadScale { .. }
            | Error::ScalesDiffer { .. }
            | Error::BadScaleRatio { .. }
            | Error::BadZeroPoint { .. } => LANEPOOL_BAD_NUMBER,
            Error::TierUnavailable { .. } => LANEPOOL_TIER_UNAVAILABLE,
            Error::BadAttribute { .. } | Error::Unsupported { .. } => LANEPOOL_UNSUPPORTED,
            // The enumeration is open; a test of this crate sees to it that no variant is missing here.
            _ => LANEPOOL_UNSUPPORTED,
        };
        Self::new(status, error.to_string())
    }
}
