//! From a tap's label to an index.
//!
//! A label is the tap's coordinates in its window, side by side in the bits of a lane. What it adds to an index is linear in
//! them; where a window lies is a table. So a row of labels becomes a row of indices without a division, in vectors
//! (`leaf/number.rs`).

use super::numbering::Numbering;
use crate::geometry::Axis;

/// How a label is made and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// Where the coordinates on height and depth begin; that on width begins at bit 0.
    pub(crate) shifts: [u32; 2],
    /// What a tap on depth, height and width adds to an index.
    pub(crate) weights: [i32; 3],
}

impl Fields {
    /// `None` where a lane of so many bytes cannot hold a label, or 32 bits what is added to the index of a row's first
    /// window, of which `inner` elements have indices of their own.
    pub(super) fn new(numbering: &Numbering, axes: &[Axis; 3], inner: usize, bytes: usize) -> Option<Self> {
        let bits = axes.each_ref().map(|axis| usize::BITS - (axis.kernel - 1).leading_zeros());
        if bits.iter().sum::<u32>() > (8 * bytes as u32).min(31) {
            return None;
        }
        let weights = numbering.tap_weights();
        let reach = |axis: usize| {
            let Axis { kernel, output, stride, begin, .. } = axes[axis];
            let windows =
                (output as u128 * stride as u128 + begin as u128) * numbering.weights[axis].unsigned_abs() as u128;
            windows + kernel as u128 * weights[axis].unsigned_abs() as u128
        };
        let all = (0..3).map(reach).sum::<u128>() + inner as u128 * numbering.plane.unsigned_abs() as u128;
        if all > i32::MAX as u128 {
            return None;
        }
        Some(Self { shifts: [bits[2], bits[2] + bits[1]], weights: weights.map(|weight| weight as i32) })
    }

    /// The label of a tap.
    pub(super) fn label(&self, [z, y, x]: [usize; 3]) -> u64 {
        (z as u64) << self.shifts[1] | (y as u64) << self.shifts[0] | x as u64
    }
}
