//! The order in which a tile of the input waits: see `tiles.rs`.

use crate::geometry::Axis;
use crate::kernels::leaf::deal::Deal;
use crate::kernels::leaf::fold::rolled;

/// How a tile of the input is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) stride: [usize; 3],
    /// Rests that are laid out, and coordinates of one rest.
    pub(super) rests: [usize; 3],
    pub(super) lengths: [usize; 3],
    /// Coordinates of the tile.
    pub(super) input: [usize; 3],
    /// Elements of a pixel.
    pub(super) unit: usize,
}

impl Order {
    #[inline(never)]
    pub(super) fn new(axes: &[Axis; 3], tile: [usize; 3], unit: usize, is_whole: bool) -> Self {
        let input = [0, 1, 2].map(|i| (tile[i] - 1).saturating_mul(axes[i].stride).saturating_add(axes[i].span()));
        // Where each row is a run of its own, rows keep their order.
        let [depth, height, width] = axes.each_ref().map(|axis| axis.stride);
        let stride = if is_whole { [depth, height, width] } else { [1, 1, width] };
        let rests = [0, 1, 2].map(|i| stride[i].min(axes[i].span()));
        let lengths = [0, 1, 2].map(|i| (input[i] - 1) / stride[i] + 1);
        Self { stride, rests, lengths, input, unit }
    }

    /// Elements of one rest of each axis.
    pub(super) fn len(&self) -> usize {
        self.lengths.iter().fold(self.unit, |all, n| all.saturating_mul(*n))
    }

    pub(super) fn all(&self) -> usize {
        self.rests.iter().fold(self.len(), |all, n| all.saturating_mul(*n))
    }

    pub(super) fn row(&self) -> usize {
        self.lengths[2] * self.unit
    }

    /// Where the first of a pixel's elements lies.
    #[inline(never)]
    pub(super) fn at(&self, at: [usize; 3]) -> usize {
        let [z, y, x] = [0, 1, 2].map(|i| (at[i] % self.stride[i], at[i] / self.stride[i]));
        let rest = (z.0 * self.rests[1] + y.0) * self.rests[2] + x.0;
        let [_, rows, pixels] = self.lengths;
        rest * self.len() + ((z.1 * rows + y.1) * pixels + x.1) * self.unit
    }

    /// Lanes of a run that is a whole tile of so many outputs.
    pub(super) fn run(&self, [depth, height, width]: [usize; 3]) -> usize {
        let [_, rows, pixels] = self.lengths;
        let rows = (depth - 1).saturating_mul(rows).saturating_add(height - 1);
        rows.saturating_mul(pixels).saturating_add(width).saturating_mul(self.unit)
    }
}

/// Lays out the first `n` pixels of rows one by one, of which the first is number `lead`.
///
/// # Safety
/// They are readable elements `T`, and the rests of the rows are writable.
pub(super) unsafe fn deal_pixels<T: Copy>(order: &Order, rows: &Deal, lead: usize, n: usize) {
    let ([_, _, stride], [_, _, rests], unit) = (order.stride, order.rests, order.unit);
    for row in 0..rows.rows {
        let from = rows.from.wrapping_add(row.wrapping_mul(rows.from_step)).cast::<T>();
        let to = rows.to.wrapping_add(row.wrapping_mul(rows.to_step)).cast::<T>();
        for rest in 0..rests {
            // The first pixel of this rest.
            let mut pixel = (rest + stride - lead % stride) % stride;
            let mut to = to.wrapping_add(rest * order.len() + (lead + pixel) / stride * unit);
            while pixel < n {
                for c in 0..unit {
                    // SAFETY: by this function's contract.
                    unsafe { *to.add(c) = *from.add(pixel * unit + c) };
                    rolled();
                }
                (pixel, to) = (pixel + stride, to.wrapping_add(unit));
            }
        }
    }
}
