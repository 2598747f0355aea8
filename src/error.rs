//! Everything that can be wrong with a pooling layer, in sentences that carry the axis and the numbers.

use core::fmt;

use crate::Tier;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// An axis of the tensor's shape `N, C, spatial…`: its position there and its common name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisName {
    /// Position in the shape, counted from 0; the first spatial axis is 2.
    pub index: usize,
    /// `"depth"`, `"height"`, `"width"`, `"batch"` or `"channels"`.
    pub name: &'static str,
}

impl AxisName {
    /// The axis at a place of the shape `N, C, spatial…` of a tensor with `rank` spatial axes.
    pub(crate) fn of(place: usize, rank: usize) -> Self {
        match place.checked_sub(2) {
            Some(spatial) => Self::spatial(spatial, rank),
            None => Self { index: place, name: if place == 0 { "batch" } else { "channels" } },
        }
    }

    /// The spatial axis number `spatial` of a tensor with `rank` spatial axes.
    pub(crate) fn spatial(spatial: usize, rank: usize) -> Self {
        let name = match rank.saturating_sub(spatial) {
            1 => "width",
            2 => "height",
            3 => "depth",
            _ => "space",
        };
        Self { index: spatial.saturating_add(2), name }
    }
}

impl fmt::Display for AxisName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "axis {} ({})", self.index, self.name)
    }
}

/// What is wrong with an attribute of a model: see [`Error::BadAttribute`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttributeProblem {
    /// It is not given, and has no default.
    Missing,
    /// The operator has no attribute of this name in any version.
    Unknown {
        /// The operator.
        operator: &'static str,
    },
    /// The operator got the attribute in a later version than the model's.
    TooNew {
        /// The operator.
        operator: &'static str,
        /// The operator set from which it has the attribute.
        since: i64,
        /// The operator set of the model.
        opset: i64,
    },
    /// A list of the wrong length.
    Length {
        /// The numbers it has.
        got: usize,
        /// The numbers it should have; 0 stands for "1 to 3".
        need: usize,
    },
    /// A number below what the attribute may be, or beyond the address space.
    Number {
        /// The number.
        got: i64,
        /// The smallest that it may be.
        least: i64,
    },
    /// A number that is no value of an enumeration or truth value.
    NoSuchValue {
        /// The number.
        got: i64,
        /// The values that there are, as words.
        values: &'static str,
    },
    /// A text that is no value of an enumeration.
    NoSuchName {
        /// The names that there are, as words.
        names: &'static str,
    },
    /// A norm that is not positive, or infinite where the format knows finite ones alone.
    Norm {
        /// The norm.
        got: f64,
    },
    /// Beside another attribute it has no meaning.
    Excludes {
        /// The other attribute.
        other: &'static str,
    },
    /// Padding that the framework refuses: more than half a kernel.
    MoreThanHalf {
        /// The padding.
        padding: usize,
        /// The kernel on the same axis.
        kernel: usize,
    },
}

impl fmt::Display for AttributeProblem {
    /// What follows "the attribute x".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not given, and has no default"),
            Self::Unknown { operator } => write!(f, "is none of {operator}"),
            Self::TooNew { operator, since, opset } => {
                write!(f, "came to {operator} with operator set {since}, and the model has operator set {opset}")
            }
            Self::Length { got, need: 0 } => {
                write!(f, "has {got} numbers where 1 to 3 are needed, one for each spatial axis")
            }
            Self::Length { got, need } => write!(f, "has {got} numbers where {need} are needed"),
            Self::Number { got, least } if got < least => write!(f, "is {got}, and {least} is the least it may be"),
            Self::Number { got, .. } => write!(f, "is {got}, which does not fit the address space"),
            Self::NoSuchValue { got, values } => write!(f, "is {got}, and its values are {values}"),
            Self::NoSuchName { names } => write!(f, "has a value of no meaning: there are {names}"),
            Self::Norm { got } if *got == f64::INFINITY => write!(f, "is {got}, and norms of this format are finite"),
            Self::Norm { got } => write!(f, "is {got}, and a norm is positive"),
            Self::Excludes { other } => write!(f, "has no meaning beside the attribute {other}"),
            Self::MoreThanHalf { padding, kernel } => {
                write!(f, "is {padding} for a kernel of {kernel}: PyTorch refuses more than half of it")
            }
        }
    }
}

/// Why a plan cannot be made, or why a run was refused. A call that returns an error has written nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The shape and the window do not have the same number of spatial axes, or not 1 to 3 of them.
    Rank {
        /// What has the wrong number of axes: `"shape"`, `"stride"`, `"padding"`…
        what: &'static str,
        /// How many it has.
        got: usize,
        /// How many it should have; 0 stands for "1 to 3 spatial axes".
        need: usize,
    },
    /// Not one stride for each axis of the shape.
    StridesLen {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        need: usize,
    },
    /// Channels last, but not side by side.
    ChannelsApart {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The stride of the channels.
        stride: usize,
    },
    /// Strides that put two elements of a tensor that is written in one place, or in another order than the layout's.
    OutputsOverlap {
        /// `"output"`, or of a backward pass `"gradient of the input"`.
        what: &'static str,
        /// The axis whose stride is too short.
        axis: AxisName,
        /// Its stride.
        stride: usize,
        /// Elements from the first to the last of what lies at one index of the axis.
        need: usize,
    },
    /// An array that has not one axis for each of the layer's.
    ViewAxes {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// Axes of the array.
        got: usize,
        /// Axes of the layer's shape.
        need: usize,
    },
    /// An array of another length than the layer's.
    ViewLen {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The axis on which it differs.
        axis: AxisName,
        /// The length that the layer has there.
        need: usize,
        /// The array's.
        got: usize,
    },
    /// An array whose elements lie elsewhere than those that the plan was made for.
    ViewStride {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The axis on which it differs.
        axis: AxisName,
        /// The stride that the plan has there.
        need: usize,
        /// The array's.
        got: isize,
    },
    /// An array that is to be gone through backwards.
    NegativeStride {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The axis.
        axis: AxisName,
        /// Its stride.
        stride: isize,
    },
    /// A kernel of length 0.
    ZeroKernel {
        /// The axis it was given for.
        axis: AxisName,
    },
    /// A stride of 0.
    ZeroStride {
        /// The axis it was given for.
        axis: AxisName,
    },
    /// A dilation of 0.
    ZeroDilation {
        /// The axis it was given for.
        axis: AxisName,
    },
    /// Padding as long as the window, so that a window could lie wholly in it.
    PadTooLarge {
        /// The axis it was given for.
        axis: AxisName,
        /// The larger of the two paddings.
        padding: usize,
        /// The window's extent, dilation included.
        span: usize,
    },
    /// A window that is larger than the padded input.
    KernelTooLarge {
        /// The axis it was given for.
        axis: AxisName,
        /// The kernel's length.
        kernel: usize,
        /// The window's extent, `dilation · (kernel − 1) + 1`.
        span: usize,
        /// The distance between two taps.
        dilation: usize,
        /// The input's length with its padding.
        padded: usize,
    },
    /// A spatial axis of length 0.
    EmptyInput {
        /// The axis whose length is 0.
        axis: AxisName,
    },
    /// An output axis of length 0.
    EmptyOutput {
        /// The axis whose length would be 0.
        axis: AxisName,
    },
    /// An output that cannot hold the plane that indices count in.
    OutputTooSmall {
        /// The axis on which it is too short.
        axis: AxisName,
        /// The length of the plane that kernel, stride and padding give.
        need: usize,
        /// The length asked for.
        got: usize,
    },
    /// More windows than can lie at different places of the input, which those of fractional pooling do.
    TooManyWindows {
        /// The axis they were given for.
        axis: AxisName,
        /// The number of windows, the output's length.
        output: usize,
        /// The kernel's length.
        kernel: usize,
        /// The input's length.
        input: usize,
    },
    /// A size that does not fit the address space, or arithmetic that would wrap on the way to it.
    SizeOverflow {
        /// What overflows, as the subject of a sentence.
        what: &'static str,
    },
    /// An average or sum of integers whose sums no lane holds.
    SumOverflow {
        /// The element type's name.
        element: &'static str,
        /// Taps of a window, at most, that lie in the input.
        taps: usize,
        /// Bits of the widest lane this operation sums in.
        bits: u32,
    },
    /// An input slice of the wrong length.
    SrcLen {
        /// Elements the plan needs.
        need: usize,
        /// Elements the slice has.
        got: usize,
    },
    /// An output slice of the wrong length.
    DstLen {
        /// Elements the plan needs.
        need: usize,
        /// Elements the slice has.
        got: usize,
    },
    /// A slice of bytes of the wrong length, from [`AnyPlan`](crate::AnyPlan).
    BytesLen {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// Bytes the plan needs.
        need: usize,
        /// Bytes the slice has.
        got: usize,
    },
    /// A slice of bytes that begins inside an element.
    Misaligned {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The address must be a multiple of it.
        align: usize,
    },
    /// A task that there is not.
    TaskOutOfRange {
        /// The task's number.
        task: usize,
        /// The tasks there are: numbers from 0 up to here, without the end.
        tasks: usize,
    },
    /// Tasks of a plan that cuts its output in another way.
    ForeignTasks {
        /// Output elements of the plan that was to run them.
        need: usize,
        /// Elements of the pieces that its tasks are made of.
        need_step: usize,
        /// Output elements that the tasks were made for.
        got: usize,
        /// Elements of the pieces that they are made of.
        got_step: usize,
    },
    /// An index type that cannot hold every offset it may have to name.
    IndexTooNarrow {
        /// The index type's name.
        index: &'static str,
        /// The largest offset that can occur.
        most: usize,
    },
    /// A slice of indices of the wrong length.
    IndexLen {
        /// Indices the plan needs.
        need: usize,
        /// Indices the slice has.
        got: usize,
    },
    /// An index that names no place.
    IndexOutOfRange {
        /// Where in the slice of indices it stands.
        at: usize,
        /// The index.
        index: i64,
        /// The places there are: indices from 0 up to here, without the end.
        len: usize,
    },
    /// Bounds that are NaN, out of order, or have no element between them.
    BadClamp {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// An index that names a place, but none of the valid taps of its window; or any index but −1, where there are none.
    IndexOutsideWindow {
        /// Where in the slice of indices it stands.
        at: usize,
        /// The index.
        index: i64,
    },
    /// A gradient whose slice has the wrong length.
    GradientLen {
        /// `"input"` or `"output"`: what it is the gradient of.
        of: &'static str,
        /// Elements the plan needs.
        need: usize,
        /// Elements the slice has.
        got: usize,
    },
    /// A slice of random samples of the wrong length.
    SampleLen {
        /// Samples the plan needs.
        need: usize,
        /// Samples the slice has.
        got: usize,
    },
    /// A random sample that does not lie in `0.0 .. 1.0`.
    BadSample {
        /// Where in the slice of samples it stands.
        at: usize,
        /// The sample.
        sample: f64,
    },
    /// A divisor of 0.
    BadDivisor,
    /// The p of a p-norm that is not positive, or NaN.
    BadNorm {
        /// The p that was given.
        p: f64,
    },
    /// A scale of quantised elements that is not a positive normal number.
    BadScale {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The scale that was given.
        scale: f32,
    },
    /// The scales of a quantised layer of 16 bits are not the same: its stored numbers are averaged as they are.
    ScalesDiffer {
        /// The scale of the input.
        input: f32,
        /// The scale of the output.
        output: f32,
    },
    /// Scales so far apart that their ratio is no normal `f32`.
    BadScaleRatio {
        /// The input's scale.
        input: f32,
        /// The output's scale.
        output: f32,
    },
    /// A zero point that is no value of the element type.
    BadZeroPoint {
        /// `"input"` or `"output"`.
        what: &'static str,
        /// The zero point that was given.
        zero_point: i32,
        /// The type's lowest value.
        lowest: i32,
        /// The type's highest value.
        highest: i32,
    },
    /// An attribute of a model that says nothing a layer can be made of, from [`import`](crate::import).
    BadAttribute {
        /// The attribute's name in the model's format.
        attribute: &'static str,
        /// What is wrong with it.
        why: AttributeProblem,
    },
    /// A block of channels that is 0, or does not divide the channels.
    BadBlock {
        /// Channels in a block.
        block: usize,
        /// Channels of the tensor.
        channels: usize,
    },
    /// A tier that this machine or this build cannot run.
    TierUnavailable {
        /// The tier asked for.
        tier: Tier,
        /// The first thing it lacks, e.g. `"the CPU lacks avx512bw"`.
        why: &'static str,
    },
    /// Attributes that contradict each other, or that no kernel serves.
    Unsupported {
        /// The reason, as a sentence.
        why: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank { what, got, need: 0 } => {
                write!(
                    f,
                    "the {what} has {got} axes: 1 to 3 spatial axes are needed, and a shape has batch and channels before them"
                )
            }
            Self::Rank { what, got, need } => {
                write!(f, "the {what} has {got} numbers where {need} are needed, one for each spatial axis")
            }
            Self::StridesLen { what, got, need } => {
                write!(
                    f,
                    "the strides of the {what} are {got} numbers where {need} are needed, one for each axis of the shape"
                )
            }
            Self::ChannelsApart { what, stride } => {
                write!(
                    f,
                    "the stride of the {what} is {stride} on axis 1 (channels): channels last, they lie side by side; a tensor in another layout is reordered before or after"
                )
            }
            Self::OutputsOverlap { what, axis, stride, need } => {
                write!(
                    f,
                    "the stride of the {what} is {stride} on {axis}, where each index takes {need} elements: what is written there would overlap, or not lie in the order of the layout; an output in another layout is reordered afterwards"
                )
            }
            Self::ViewAxes { what, got, need } => {
                write!(f, "the {what} has {got} axes where {need} are needed: batch, channels, and the spatial ones")
            }
            Self::ViewLen { what, axis, need, got } => {
                write!(f, "the {what} has length {got} on {axis} where the layer has {need}")
            }
            Self::ViewStride { what, axis, need, got } => {
                write!(f, "the stride of the {what} is {got} on {axis}, and the plan was made for {need}")
            }
            Self::NegativeStride { what, axis, stride } => {
                write!(
                    f,
                    "the stride of the {what} is {stride} on {axis}: a view that goes backwards cannot be pooled; it is copied before or after, from or to one that goes forwards"
                )
            }
            Self::ZeroKernel { axis } => write!(f, "the kernel is 0 on {axis}: a window needs at least one tap"),
            Self::ZeroStride { axis } => write!(f, "the stride is 0 on {axis}: windows must move"),
            Self::ZeroDilation { axis } => {
                write!(f, "the dilation is 0 on {axis}: 1 is the smallest distance between two taps")
            }
            Self::PadTooLarge { axis, padding, span } => {
                write!(
                    f,
                    "the padding {padding} is not smaller than the window {span} on {axis}: a window could lie wholly in the padding"
                )
            }
            Self::KernelTooLarge { axis, kernel, span, dilation, padded } => {
                write!(f, "the window {kernel}")?;
                if span != kernel {
                    write!(f, " ({span} with dilation {dilation})")?;
                }
                write!(f, " is larger than the padded input {padded} on {axis}")
            }
            Self::EmptyInput { axis } => {
                write!(f, "the input has length 0 on {axis}: a window needs something to lie on")
            }
            Self::EmptyOutput { axis } => write!(f, "the output would have length 0 on {axis}"),
            Self::OutputTooSmall { axis, need, got } => {
                write!(f, "the output has length {got} on {axis}, and the indices count in a plane of {need}")
            }
            Self::TooManyWindows { axis, output, kernel, input } => {
                write!(
                    f,
                    "{output} windows of {kernel} do not fit an input of {input} on {axis}: each starts at a place of its own"
                )
            }
            Self::SizeOverflow { what } => write!(f, "{what} does not fit the address space"),
            Self::SumOverflow { element, taps, bits } => {
                write!(f, "the sum of {taps} elements of type {element}, which a window has, may not fit {bits} bits")
            }
            Self::SrcLen { need, got } => write!(f, "the input has {got} elements where the plan needs {need}"),
            Self::DstLen { need, got } => write!(f, "the output has {got} elements where the plan needs {need}"),
            Self::BytesLen { what, need, got } => write!(f, "the {what} has {got} bytes where the plan needs {need}"),
            Self::Misaligned { what, align } => {
                write!(
                    f,
                    "the {what}'s bytes begin at an address that is no multiple of {align}, the bytes of an element"
                )
            }
            Self::TaskOutOfRange { task, tasks } => {
                write!(f, "there is no task {task}: the output is cut into {tasks}, counted from 0")
            }
            Self::ForeignTasks { need, need_step, got, got_step } => {
                write!(
                    f,
                    "the tasks are those of another plan: they cut {got} outputs in pieces of {got_step}, and this plan has {need} in pieces of {need_step}"
                )
            }
            Self::IndexTooNarrow { index, most } => {
                write!(f, "indices of type {index} cannot hold the offset {most} that may occur: take a wider type")
            }
            Self::IndexLen { need, got } => write!(f, "there are {got} indices where the plan needs {need}"),
            Self::IndexOutOfRange { at, index, len } => {
                write!(f, "index number {at} is {index}, and only 0 to {} name a place", len.saturating_sub(1))
            }
            Self::BadClamp { low, high } => {
                write!(f, "outputs cannot be clamped to {low} to {high}: no element lies there")
            }
            Self::IndexOutsideWindow { at, index } => {
                write!(f, "index number {at} is {index}, which is no valid tap of its window")
            }
            Self::GradientLen { of, need, got } => {
                write!(f, "the gradient of the {of} has {got} elements where the plan needs {need}")
            }
            Self::SampleLen { need, got } => write!(f, "there are {got} samples where the plan needs {need}"),
            Self::BadSample { at, sample } => {
                write!(f, "sample number {at} is {sample}: samples are at least 0 and less than 1")
            }
            Self::BadDivisor => write!(f, "the divisor is 0: an average needs a positive one"),
            Self::BadNorm { p } => {
                write!(f, "the norm's p is {p}: it must be greater than 0, infinity being the maximum")
            }
            Self::BadScale { what, scale } => {
                write!(f, "the scale of the {what} is {scale}: it must be positive, finite and not subnormal")
            }
            Self::ScalesDiffer { input, output } => write!(
                f,
                "the input's scale is {input} and the output's {output}: 16 bits are pooled as they are stored, at one scale"
            ),
            Self::BadScaleRatio { input, output } => {
                write!(
                    f,
                    "the ratio of the scales, {input} of the input and {output} of the output, is beyond the normal numbers of f32"
                )
            }
            Self::BadZeroPoint { what, zero_point, lowest, highest } => {
                write!(
                    f,
                    "the zero point of the {what} is {zero_point}, where the element type goes from {lowest} to {highest}"
                )
            }
            Self::BadAttribute { attribute, why } => write!(f, "the attribute {attribute} {why}"),
            Self::BadBlock { block, channels } => {
                write!(f, "blocks of {block} channels do not divide {channels} channels")
            }
            Self::TierUnavailable { tier, why } => write!(f, "the tier {tier} cannot run here: {why}"),
            Self::Unsupported { why } => f.write_str(why),
        }
    }
}

impl core::error::Error for Error {}
