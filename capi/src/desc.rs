//! The description of a layer: the structure that C fills, and the same checked, as Rust's own types.

use core::mem::offset_of;
use core::ptr;

use lanepool::{AxisName, CeilRule, DType, IndexKind, Layout, NanPolicy, Quantization, Rounding, Tier};

use crate::codes::{self, DivideBy, IndexType, LANEPOOL_MAX_AXES, Operation, Order, Padding};
use crate::status::{Failure, LANEPOOL_GEOMETRY, LANEPOOL_SIZE_OVERFLOW, LANEPOOL_STRUCT_SIZE, LANEPOOL_UNSUPPORTED};

/// A layer and its tensor. `lanepool_desc_init` fills in the defaults; then set what differs.
///
/// Every array has a number for each spatial axis, in the order of the shape (depth, height, width); of the entries only the first
/// `spatial_axes` count. What an operation does not know must keep its default.
///
/// The structure may grow at its end. `struct_size` says which fields the caller knows, the others have their defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types, reason = "a name of C")]
pub struct lanepool_desc {
    /// `sizeof(lanepool_desc)`, set by `lanepool_desc_init`.
    pub struct_size: u64,
    /// `LANEPOOL_MAX` and the others. No default.
    pub operation: i32,
    /// `LANEPOOL_FORWARD` or `LANEPOOL_BACKWARD`.
    pub direction: i32,
    /// `LANEPOOL_F32` and the others. No default.
    pub element: i32,
    /// `LANEPOOL_NCHW`, `LANEPOOL_NHWC` or `LANEPOOL_BLOCKED`.
    pub layout: i32,
    /// Channels of a block, with `LANEPOOL_BLOCKED`. 0 otherwise.
    pub block: i64,
    /// Spatial axes: 1, 2 or 3. 2 by default.
    pub spatial_axes: i32,
    /// 1: one window, the whole plane, without any other attribute of a window.
    pub global: i32,
    /// The input's shape N, C, spatial, whatever the layout. For max unpooling the pooled tensor's.
    pub shape: [i64; 5],
    /// The window's lengths. No default.
    pub kernel: [i64; 3],
    /// How far the window moves. 1 by default.
    pub stride: [i64; 3],
    /// The distance of two taps. 1 by default.
    pub dilation: [i64; 3],
    /// Padding before each axis, with `LANEPOOL_PAD_EXPLICIT`.
    pub pad_begin: [i64; 3],
    /// Padding after each axis, with `LANEPOOL_PAD_EXPLICIT`.
    pub pad_end: [i64; 3],
    /// `LANEPOOL_PAD_EXPLICIT` and the others.
    pub padding: i32,
    /// 1: padding may be as long as the window.
    pub allow_empty_windows: i32,
    /// 1: the output's length is rounded up.
    pub ceil_mode: i32,
    /// `LANEPOOL_CEIL_STARTS_INSIDE` or `LANEPOOL_CEIL_EVERY_WINDOW`.
    pub ceil_rule: i32,
    /// `LANEPOOL_NAN_PROPAGATE` or `LANEPOOL_NAN_IGNORE`, for maxima and minima.
    pub nan_policy: i32,
    /// `LANEPOOL_ROUND_HALF_TO_EVEN` or `LANEPOOL_ROUND_HALF_AWAY`, for averages of integers.
    pub rounding: i32,
    /// `LANEPOOL_INDEX_NONE`, `LANEPOOL_INDEX_I32` or `LANEPOOL_INDEX_I64`, for maxima, minima and max unpooling.
    pub index_type: i32,
    /// `LANEPOOL_INDEX_PLANE` and the others.
    pub index_kind: i32,
    /// `LANEPOOL_TIER_BEST`, or a tier that must run.
    pub tier: i32,
    /// What an average divides by: `LANEPOOL_DIVIDE_BY_VALID` and the others.
    pub divide_by: i32,
    /// The divisor, with `LANEPOOL_DIVIDE_BY_DIVISOR`. 0 otherwise.
    pub divisor: i64,
    /// The output's lengths: of adaptive and fractional pooling, and of max unpooling with `output_is_given`.
    pub output: [i64; 3],
    /// Longer lengths to which max unpooling pads its output, with `output_is_padded`.
    pub padded_output: [i64; 3],
    /// 1: max unpooling has the lengths `output`. 0: those that follow from kernel, stride and padding.
    pub output_is_given: i32,
    /// 1: max unpooling pads its output to `padded_output`.
    pub output_is_padded: i32,
    /// The norm's p, of `LANEPOOL_LP`. 2 by default.
    pub p: f64,
    /// 1: the norm is a power mean.
    pub mean: i32,
    /// 1: every output is kept between `clamp_low` and `clamp_high`.
    pub clamp: i32,
    /// The least output.
    pub clamp_low: f64,
    /// The largest output.
    pub clamp_high: f64,
    /// The scale of the input's elements, of quantised operations. 1 by default.
    pub input_scale: f32,
    /// The element of the input that stands for 0; 0 for i16.
    pub input_zero_point: i32,
    /// The scale of the output's elements; the input's for i16. 1 by default.
    pub output_scale: f32,
    /// The element of the output that stands for 0; 0 for i16.
    pub output_zero_point: i32,
    /// 1: input and output lie where `input_strides` and `output_strides` say, as parts of larger tensors. 0: side by side.
    pub strided: i32,
    /// 0.
    pub reserved: i32,
    /// Elements from one index of an axis of the shape to the next. Channels last, channels lie side by side (1); in blocks, the
    /// stride of the channels is that from one block to the next. The stride of an axis with one index does not matter.
    ///
    /// The gradient of the input lies as the input does, and so do the indices of max unpooling.
    pub input_strides: [i64; 5],
    /// The same of the output, its gradient, and the indices of all but max unpooling.
    ///
    /// Elements of what is written lie apart from each other and in the order of the layout, and nothing is written between them; those
    /// of what is read lie in any order, or on one another. A backward plan writes the gradient of the input, and of a maximum or
    /// minimum indices.
    pub output_strides: [i64; 5],
}

/// Fields come in whole words, and there is no padding between them: so a part of the structure that ends at a word ends at a field,
/// and every byte of it has a value.
const WORD: usize = 8;

/// A structure of a newer header may be this long at most: a size that was never set is not followed into foreign memory.
const MOST_BYTES: usize = 4096;

const _: () = {
    assert!(size_of::<lanepool_desc>().is_multiple_of(WORD));
    let words = offset_of!(lanepool_desc, block) == 24
        && offset_of!(lanepool_desc, shape) == 40
        && offset_of!(lanepool_desc, padding) == 40 + 5 * 8 + 5 * 24
        && offset_of!(lanepool_desc, divisor) == 200 + 10 * 4
        && offset_of!(lanepool_desc, p) == 240 + 8 + 2 * 24 + 8
        && offset_of!(lanepool_desc, strided) == 304 + 8 + 8 + 2 * 8 + 16
        && size_of::<lanepool_desc>() == 352 + 8 + 2 * 5 * 8;
    assert!(words, "a field of lanepool_desc is padded");
};

impl Default for lanepool_desc {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u64,
            operation: 0,
            direction: codes::LANEPOOL_FORWARD,
            element: 0,
            layout: codes::LANEPOOL_NCHW,
            block: 0,
            spatial_axes: 2,
            global: 0,
            shape: [0; 5],
            kernel: [0; 3],
            stride: [1; 3],
            dilation: [1; 3],
            pad_begin: [0; 3],
            pad_end: [0; 3],
            padding: codes::LANEPOOL_PAD_EXPLICIT,
            allow_empty_windows: 0,
            ceil_mode: 0,
            ceil_rule: codes::LANEPOOL_CEIL_STARTS_INSIDE,
            nan_policy: codes::LANEPOOL_NAN_PROPAGATE,
            rounding: codes::LANEPOOL_ROUND_HALF_TO_EVEN,
            index_type: codes::LANEPOOL_INDEX_NONE,
            index_kind: codes::LANEPOOL_INDEX_PLANE,
            tier: codes::LANEPOOL_TIER_BEST,
            divide_by: codes::LANEPOOL_DIVIDE_BY_VALID,
            divisor: 0,
            output: [0; 3],
            padded_output: [0; 3],
            output_is_given: 0,
            output_is_padded: 0,
            p: 2.0,
            mean: 0,
            clamp: 0,
            clamp_low: 0.0,
            clamp_high: 0.0,
            input_scale: 1.0,
            input_zero_point: 0,
            output_scale: 1.0,
            output_zero_point: 0,
            strided: 0,
            reserved: 0,
            input_strides: [0; 5],
            output_strides: [0; 5],
        }
    }
}

/// A structure of C's that is told apart by its size: as many bytes of it as both sides know are exchanged.
///
/// # Safety
/// A structure without padding, whose words are whole fields, and of which any bits are a value.
pub(crate) unsafe trait Versioned: Copy {
    const NAME: &'static str;
}

// SAFETY: integers and floats alone, in words, without padding: asserted above.
unsafe impl Versioned for lanepool_desc {
    const NAME: &'static str = "description";
}

/// How many bytes of a structure both sides know.
fn known<S: Versioned>(bytes: u64) -> Result<usize, Failure> {
    let name = S::NAME;
    let refused = |why: String| Failure::new(LANEPOOL_STRUCT_SIZE, format!("the {name} has {bytes} bytes, {why}"));
    let size = usize::try_from(bytes).ok().filter(|size| (WORD..=MOST_BYTES).contains(size));
    let size = size.ok_or_else(|| refused(format!("where {WORD} to {MOST_BYTES} are possible")))?;
    if size.checked_rem(WORD) != Some(0) {
        return Err(refused(format!("which is not a multiple of {WORD}")));
    }
    Ok(size)
}

fn check<S: Versioned>(pointer: *const S) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::null(S::NAME));
    }
    if pointer.is_aligned() { Ok(()) } else { Err(Failure::misaligned(S::NAME, align_of::<S>())) }
}

/// Writes a structure to a caller who knows `bytes` bytes of it. What a newer header has beyond this library's is set to zero.
///
/// # Safety
/// The pointer is null, or the caller of the interface vouches for so many bytes that it points to, which are this call's alone.
pub(crate) unsafe fn give<S: Versioned>(value: &S, to: *mut S, bytes: usize) -> Result<(), Failure> {
    check(to.cast_const())?;
    let size = known::<S>(bytes as u64)?;
    let both = size.min(size_of::<S>());
    // SAFETY: `to` is not null, and has `size` bytes by the contract; both counts end within them, and `value` has `both`.
    unsafe {
        ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), to.cast::<u8>(), both);
        ptr::write_bytes(to.cast::<u8>().wrapping_add(both), 0, size.saturating_sub(both));
    }
    Ok(())
}

/// Reads the description of a caller who knows as many bytes of it as its `struct_size` says.
///
/// # Safety
/// The pointer is null, or the caller of the interface vouches for a description of as many bytes as its first field says.
pub(crate) unsafe fn read(from: *const lanepool_desc) -> Result<lanepool_desc, Failure> {
    check(from)?;
    // SAFETY: not null and aligned; the first word is there, by the contract.
    let bytes = unsafe { from.cast::<u64>().read() };
    let size = known::<lanepool_desc>(bytes)?;
    let both = size.min(size_of::<lanepool_desc>());
    let mut desc = lanepool_desc::default();
    // SAFETY: `both` bytes are there on either side, and are whole fields, of which any bits are a value (`Versioned`).
    unsafe { ptr::copy_nonoverlapping(from.cast::<u8>(), ptr::from_mut(&mut desc).cast::<u8>(), both) };
    for at in both..size {
        // SAFETY: below the size that the caller vouches for.
        let byte = unsafe { from.cast::<u8>().wrapping_add(at).read() };
        if byte != 0 {
            let sentence = format!(
                "the description is {size} bytes long, this library knows {both} of them, and byte {at} is not zero: it asks for what only a newer library can do"
            );
            return Err(Failure::new(LANEPOOL_STRUCT_SIZE, sentence));
        }
    }
    Ok(desc)
}

/// Numbers of some axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axes<const N: usize> {
    numbers: [usize; N],
    len: usize,
}

impl<const N: usize> Axes<N> {
    /// The first `len` numbers of an array. Those from number `spatial` on belong to spatial axes.
    fn new(field: &str, from: &[i64; N], len: usize, spatial: usize) -> Result<Self, Failure> {
        let mut numbers = [0; N];
        for (place, (to, &number)) in numbers.iter_mut().zip(from).take(len).enumerate() {
            *to = usize::try_from(number).map_err(|_| {
                let axis = axis_name(place, spatial, len);
                if number < 0 {
                    let sentence = format!("{field} is {number} on {axis}: it must not be negative");
                    Failure::new(LANEPOOL_GEOMETRY, sentence)
                } else {
                    let sentence = format!("{field} is {number} on {axis}, which does not fit the address space");
                    Failure::new(LANEPOOL_SIZE_OVERFLOW, sentence)
                }
            })?;
        }
        Ok(Self { numbers, len })
    }
}

impl<const N: usize> AsRef<[usize]> for Axes<N> {
    fn as_ref(&self) -> &[usize] {
        self.numbers.get(..self.len).unwrap_or(&self.numbers)
    }
}

fn axis_name(place: usize, spatial: usize, len: usize) -> AxisName {
    let name = match (place, spatial, len.saturating_sub(place)) {
        (0, 2, _) => "batch",
        (1, 2, _) => "channels",
        (_, _, 1) => "width",
        (_, _, 2) => "height",
        _ => "depth",
    };
    // Arrays without batch and channels begin with axis 2.
    AxisName { index: place.saturating_add(2_usize.saturating_sub(spatial)), name }
}

/// A description whose numbers were looked up. Whether they make a layer is for the builders to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub operation: Operation,
    pub backward: bool,
    pub dtype: DType,
    pub layout: Layout,
    pub shape: Axes<5>,
    pub global: bool,
    pub kernel: Axes<3>,
    pub stride: Option<Axes<3>>,
    pub dilation: Option<Axes<3>>,
    pub padding: Option<Pad>,
    pub allow_empty: bool,
    pub ceil: bool,
    pub ceil_rule: CeilRule,
    pub nan: NanPolicy,
    pub rounding: Rounding,
    pub index: Option<IndexType>,
    pub kind: IndexKind,
    pub tier: Option<Tier>,
    pub include_pad: bool,
    pub divisor: Option<usize>,
    pub output: Axes<3>,
    pub output_is_given: bool,
    pub padded_output: Option<Axes<3>>,
    pub p: f64,
    pub mean: bool,
    pub clamp: Option<[f64; 2]>,
    pub quantization: [Quantization; 2],
    /// Of input and output.
    pub strides: Option<[Axes<5>; 2]>,
}

impl Layer {
    pub fn shape(&self) -> &[usize] {
        self.shape.as_ref()
    }

    /// The strides of input and output, if there are any.
    pub fn strides(&self) -> Option<[&[usize]; 2]> {
        self.strides.as_ref().map(|both| both.each_ref().map(|axes| axes.as_ref()))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pad {
    Explicit(Axes<3>, Axes<3>),
    Valid,
    SameUpper,
    SameLower,
}

impl Layer {
    pub fn new(desc: &lanepool_desc) -> Result<Self, Failure> {
        let operation = codes::OPERATION.decode(desc.operation)?;
        let backward = codes::BACKWARD.decode(desc.direction)?;
        let dtype = codes::ELEMENT.decode(desc.element)?;
        let order = codes::LAYOUT.decode(desc.layout)?;
        let rank = usize::try_from(desc.spatial_axes).ok().filter(|axes| (1..=LANEPOOL_MAX_AXES).contains(axes));
        let rank = rank.ok_or_else(|| {
            let sentence = format!("spatial_axes is {}: a tensor has 1 to 3 of them", desc.spatial_axes);
            Failure::new(LANEPOOL_GEOMETRY, sentence)
        })?;
        let spatial = |field: &'static str, numbers: &[i64; 3]| Axes::new(field, numbers, rank, 0);
        let whole = |field: &str, number: i64| Axes::new(field, &[number], 1, 0).map(|axes| axes.numbers[0]);
        // What is not set is not passed on: a global window takes none of it.
        let unless = |field: &'static str, numbers: &[i64; 3], default: i64| {
            let axes = spatial(field, numbers)?;
            let is_set = numbers.iter().take(rank).any(|number| *number != default);
            Ok::<_, Failure>(is_set.then_some(axes))
        };
        let padding = codes::PADDING.decode(desc.padding)?;
        let explicit = (unless("pad_begin", &desc.pad_begin, 0)?, unless("pad_end", &desc.pad_end, 0)?);
        let padding = match (padding, explicit) {
            (Padding::Explicit, (None, None)) => None,
            (Padding::Explicit, _) => {
                Some(Pad::Explicit(spatial("pad_begin", &desc.pad_begin)?, spatial("pad_end", &desc.pad_end)?))
            }
            (_, (Some(_), _) | (_, Some(_))) => {
                let why = "pad_begin and pad_end have no meaning beside a padding that is not LANEPOOL_PAD_EXPLICIT";
                return Err(Failure::new(LANEPOOL_UNSUPPORTED, why));
            }
            (Padding::Valid, _) => Some(Pad::Valid),
            (Padding::SameUpper, _) => Some(Pad::SameUpper),
            (Padding::SameLower, _) => Some(Pad::SameLower),
        };
        let block = whole("block", desc.block)?;
        let layout = match order {
            Order::Nchw => Layout::Nchw,
            Order::Nhwc => Layout::Nhwc,
            Order::Blocked => Layout::Blocked(block),
        };
        let divisor = whole("divisor", desc.divisor)?;
        let divide_by = codes::DIVIDE_BY.decode(desc.divide_by)?;
        let strided = codes::flag("strided", desc.strided)?;
        let strides = |field: &str, numbers: &[i64; 5]| Axes::new(field, numbers, rank.saturating_add(2), 2);
        let has_strides = desc.input_strides.iter().chain(&desc.output_strides).any(|stride| *stride != 0);
        let needless = [
            (order != Order::Blocked && block != 0, "block", "layout is LANEPOOL_BLOCKED"),
            (divide_by != DivideBy::Divisor && divisor != 0, "divisor", "divide_by is LANEPOOL_DIVIDE_BY_DIVISOR"),
            (!strided && has_strides, "input_strides or output_strides", "strided is 1"),
            (desc.reserved != 0, "reserved", "a newer library is asked"),
        ];
        if let Some((_, field, unless)) = needless.into_iter().find(|(is_needless, ..)| *is_needless) {
            return Err(Failure::new(LANEPOOL_UNSUPPORTED, format!("{field} has no meaning unless {unless}")));
        }
        let layer = Self {
            operation,
            backward,
            dtype,
            layout,
            shape: Axes::new("shape", &desc.shape, rank.saturating_add(2), 2)?,
            global: codes::flag("global", desc.global)?,
            kernel: spatial("kernel", &desc.kernel)?,
            stride: unless("stride", &desc.stride, 1)?,
            dilation: unless("dilation", &desc.dilation, 1)?,
            padding,
            allow_empty: codes::flag("allow_empty_windows", desc.allow_empty_windows)?,
            ceil: codes::flag("ceil_mode", desc.ceil_mode)?,
            ceil_rule: codes::CEIL_RULE.decode(desc.ceil_rule)?,
            nan: codes::NAN_POLICY.decode(desc.nan_policy)?,
            rounding: codes::ROUNDING.decode(desc.rounding)?,
            index: codes::INDEX_TYPE.decode(desc.index_type)?,
            kind: codes::INDEX_KIND.decode(desc.index_kind)?,
            tier: codes::TIER.decode(desc.tier)?,
            include_pad: divide_by == DivideBy::Padded,
            divisor: (divide_by == DivideBy::Divisor).then_some(divisor),
            output: spatial("output", &desc.output)?,
            output_is_given: codes::flag("output_is_given", desc.output_is_given)?,
            padded_output: codes::flag("output_is_padded", desc.output_is_padded)?
                .then(|| spatial("padded_output", &desc.padded_output))
                .transpose()?,
            p: desc.p,
            mean: codes::flag("mean", desc.mean)?,
            clamp: codes::flag("clamp", desc.clamp)?.then_some([desc.clamp_low, desc.clamp_high]),
            quantization: [
                Quantization::new(desc.input_scale, desc.input_zero_point),
                Quantization::new(desc.output_scale, desc.output_zero_point),
            ],
            strides: if strided {
                Some([strides("input_strides", &desc.input_strides)?, strides("output_strides", &desc.output_strides)?])
            } else {
                None
            },
        };
        layer.refuse_needless()?;
        Ok(layer)
    }

    /// An attribute that the operation does not have would be ignored in silence: it is refused.
    fn refuse_needless(&self) -> Result<(), Failure> {
        use Operation as O;
        let operation = self.operation;
        let adaptive = matches!(operation, O::AdaptiveMax | O::AdaptiveAvg | O::AdaptiveQuantizedAvg);
        let (fractional, unpool) = (operation == O::FractionalMax, operation == O::MaxUnpool);
        let windowed = !(adaptive || fractional || unpool);
        let extreme = matches!(operation, O::Max | O::Min | O::AdaptiveMax) || fractional;
        let indexed = extreme || unpool || operation == O::QuantizedMax;
        let zeros = |axes: &Axes<3>| axes.as_ref().iter().all(|number| *number == 0);
        let plain = Quantization::default();
        let quantized = matches!(operation, O::QuantizedAvg | O::QuantizedMax | O::AdaptiveQuantizedAvg);
        let explicit = matches!(self.padding, None | Some(Pad::Explicit(..)));
        // Field, whether it has its default, whether the operation has it.
        let fields = [
            ("global", !self.global, windowed),
            (
                "kernel",
                zeros(&self.kernel),
                (windowed && !self.global) || fractional || unpool && !self.output_is_given,
            ),
            ("stride", self.stride.is_none(), windowed || unpool && !self.output_is_given),
            ("dilation", self.dilation.is_none(), windowed),
            ("padding", self.padding.is_none(), windowed || unpool && explicit && !self.output_is_given),
            ("allow_empty_windows", !self.allow_empty, windowed),
            ("ceil_mode", !self.ceil, windowed),
            ("ceil_rule", self.ceil_rule == CeilRule::default(), windowed),
            ("nan_policy", self.nan == NanPolicy::default(), extreme && !(self.backward && adaptive)),
            ("rounding", self.rounding == Rounding::default(), matches!(operation, O::Avg | O::AdaptiveAvg)),
            ("index_type", self.index.is_none(), indexed),
            ("index_kind", self.kind == IndexKind::default(), indexed && self.index.is_some()),
            (
                "divide_by",
                !self.include_pad && self.divisor.is_none(),
                operation == O::Avg || operation == O::QuantizedAvg && self.divisor.is_none(),
            ),
            ("output", zeros(&self.output), adaptive || fractional || unpool && self.output_is_given),
            ("output_is_given", !self.output_is_given, unpool),
            ("output_is_padded", self.padded_output.is_none(), unpool),
            ("p", self.p == 2.0, operation == O::Lp),
            ("mean", !self.mean, operation == O::Lp),
            ("clamp", self.clamp.is_none(), !unpool && !self.backward),
            ("input_scale", self.quantization == [plain; 2], quantized),
            ("tier", self.tier.is_none(), !fractional && !unpool && !self.backward),
        ];
        match fields.into_iter().find(|(_, is_default, has_it)| !is_default && !has_it) {
            None => Ok(()),
            Some((field, ..)) => {
                let name = codes::OPERATION.name(operation);
                let direction = if self.backward { " backward" } else { "" };
                let sentence =
                    format!("{field} has no meaning for {name}{direction} as it is described: leave it at its default");
                Err(Failure::new(LANEPOOL_UNSUPPORTED, sentence))
            }
        }
    }
}
