//! The description of a layer: the structure that C fills, and how structures of any size are exchanged.

use core::mem::offset_of;
use core::ptr;

use crate::codes;
use crate::status::{Failure, LANEPOOL_STRUCT_SIZE};

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
    /// `LANEPOOL_TIER_BEST`, or a tier that must run. Fractional pooling, unpooling and backward
    /// passes have the same code on every tier: they take any that this machine has.
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

impl lanepool_desc {
    /// The same layer for tensors without strides.
    pub(crate) fn side_by_side(self) -> Self {
        Self { strided: 0, input_strides: [0; 5], output_strides: [0; 5], ..self }
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
