//! The average of quantised bytes, `real = scale·(q − zero)`: summed exactly, scaled once, rounded, cut to the type's
//! range.
//!
//! The zero point is taken off each byte as it is loaded, so that a tap in the padding is the real 0 that it stands for
//! and no window needs to know how many of its taps are valid. A divisor is a multiplier:
//! `scale_in / (divisor·scale_out)`. The sum is that of [`Long`](super::mean_int::Long), in 32 bits; this file has what
//! is its own.

/// What a sum of `divisor` elements is multiplied by, `ratio` being `scale_in / scale_out`: the bits of an `f32`,
/// rounded once.
pub(crate) fn multiplier(ratio: f64, divisor: usize) -> i32 {
    ((ratio / divisor as f64) as f32).to_bits().cast_signed()
}
