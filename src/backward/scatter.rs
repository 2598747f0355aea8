//! The gradient of maxima: each window's gradient is added where its index points, in the windows' row-major order.
//!
//! An element's windows come in the order in which it would add them alone, and those that name another element add
//! nothing: so the bits are those of a gather. An element must not have so many windows that they are added in blocks.
//!
//! `f32` and `f64` are their own sums. Other floats have sums of `f32` on the stack, of a part of a plane at a time: every window that
//! reaches the part adds what it names there. Channels last they are left to `rows.rs`.

use core::ops::Range;

use super::axes::{Adjoint, Blocks, Taps};
use super::codes::FARTHEST;
use super::maxima::Maxima;
use super::sealed::Sum;
use super::{Float, LANES, narrow, part, part_mut};
use crate::Index;
use crate::geometry::MAX_RANK;
use crate::index::{Indices, Weights};
use crate::kernels::widest;
use crate::order::LONGEST_CHAIN;
use crate::strides::Split;

/// Windows that are scattered together, at least.
const RUN: usize = 512;

/// Groups of rows that a plane has, at most.
const GROUPS: usize = 64;

/// Sums that lie on the stack.
const SUMS: usize = 2048;

/// Pixels of a plane that follow each other: whole rows, or a part of one.
struct Part {
    plane: usize,
    pixels: [Range<usize>; MAX_RANK],
    /// The number of the first.
    first: usize,
}

/// Indices that count pixels row by row, and so are places in the memory of a packed plane.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    layer: &'a Adjoint,
    weights: Weights,
    pixels: usize,
}

impl<'a> Numbers<'a> {
    /// `None` where indices count something else, or planes are no such.
    pub fn new(maxima: &Maxima<'a>) -> Option<Self> {
        let (layer, weights) = (maxima.layer, maxima.rule.weights?);
        let [_, height, width] = layer.input.lengths;
        let pixels = layer.input.plane_len();
        let is_row_major = weights.axes == [height.saturating_mul(width), width, 1];
        (is_row_major && pixels.saturating_mul(layer.split().inner) < FARTHEST as usize).then_some(Self {
            layer,
            weights,
            pixels,
        })
    }

    /// Fills the gradient of the input in some blocks, whose planes are packed, with elements that are their own sums.
    fn scatter<A: Sum>(&self, grad_output: &[A], indices: Indices<'_>, blocks: &Blocks, grad_input: &mut [A]) {
        let [depth, height, width] = &self.layer.axes;
        let Split { inner, .. } = self.layer.split();
        let output = &self.layer.output;
        // Rows of windows that follow each other in memory are one.
        let is_packed = output.has_packed_planes();
        let row = width.output().saturating_mul(inner);
        let rows = depth.output().saturating_mul(height.output());
        let together = RUN.div_ceil(row.max(1)).max(rows.div_ceil(GROUPS)).min(rows).max(1);
        let groups = rows.div_ceil(together);
        let len = self.pixels.saturating_mul(inner);
        // Where what a group adds to ends.
        let mut ends = [len; GROUPS];
        if groups > 1 {
            for (group, end) in ends.iter_mut().take(groups.saturating_sub(1)).enumerate() {
                let first = group.saturating_mul(together);
                let rows = first..first.saturating_add(together);
                *end = rows.map(|row| self.end(self.place(row))).fold(0, usize::max).saturating_mul(inner).min(len);
            }
        }
        for block in blocks.range.clone() {
            let start = self.layer.input.block(block).wrapping_sub(blocks.base);
            let Some(plane) = grad_input.get_mut(start..start.saturating_add(len)) else { return };
            let base = self.weights.of_plane(block.saturating_mul(inner));
            let by = [base, self.weights.channel, inner];
            // Zeros are written just before they are added to.
            let (mut zeros, mut is_finite) = (0, true);
            for (group, end) in ends.into_iter().take(groups).enumerate() {
                if let Some(plane) = plane.get_mut(zeros..end) {
                    plane.fill(A::ZERO);
                    zeros = end;
                }
                let first = group.saturating_mul(together);
                let some = first..first.saturating_add(together).min(rows);
                let mut add = |from: usize, lanes: usize| {
                    let gradients = part(grad_output, from, lanes);
                    is_finite &= A::are_finite(gradients);
                    add(plane, indices, from, gradients, by);
                };
                if is_packed {
                    add(output.block(block).saturating_add(first.saturating_mul(row)), some.len().saturating_mul(row));
                    continue;
                }
                for row in some {
                    let [z, y] = self.place(row);
                    for x in 0..width.output() {
                        add(output.block(block).saturating_add(output.pixel([z, y, x])), inner);
                    }
                }
            }
            if !is_finite {
                // A sum of finite numbers is a number.
                plane.iter_mut().filter(|sum| sum.is_nan()).for_each(|sum| *sum = A::NAN);
            }
        }
    }

    /// Slab and row of a row of windows.
    fn place(&self, row: usize) -> [usize; 2] {
        let [_, height, _] = self.layer.output.lengths;
        let z = row.checked_div(height).unwrap_or(0);
        [z, row.saturating_sub(z.saturating_mul(height))]
    }

    /// The same of planar layers whose sums are longer than elements.
    fn scatter_in_parts<T: Float>(
        &self,
        grad_output: &[T],
        indices: Indices<'_>,
        blocks: &Blocks,
        grad_input: &mut [T],
    ) {
        let [depth, height, width] = self.layer.input.lengths;
        // Whole rows, or a part of one.
        let (rows, columns) = (SUMS.checked_div(width).unwrap_or(1).max(1), SUMS.min(width));
        let mut sums = [T::Acc::ZERO; SUMS];
        for plane in blocks.range.clone() {
            let (mut first, start) = (0_usize, self.layer.input.block(plane).wrapping_sub(blocks.base));
            for z in 0..depth {
                for y in (0..height).step_by(rows) {
                    let y = y..height.min(y.saturating_add(rows));
                    for x in (0..width).step_by(columns) {
                        let x = x..width.min(x.saturating_add(columns));
                        let sums = sums.get_mut(..y.len().saturating_mul(x.len())).unwrap_or_default();
                        sums.fill(T::Acc::ZERO);
                        let part = Part { plane, pixels: [z..z.saturating_add(1), y.clone(), x], first };
                        self.add_part(&part, grad_output, indices, sums);
                        narrow(sums, part_mut(grad_input, start.saturating_add(first), sums.len()));
                        first = first.saturating_add(sums.len());
                    }
                }
            }
        }
    }

    /// Adds to the sums of a part what the windows that reach it give.
    fn add_part<T: Float>(&self, part_of: &Part, grad_output: &[T], indices: Indices<'_>, sums: &mut [T::Acc]) {
        let [depth, height, width] = &self.layer.axes;
        let [z, y, x] = &part_of.pixels;
        let (output, across) = (&self.layer.output, width.reaching(x.clone()));
        // Indices count from the part's first pixel on: what lies before it is beyond every sum.
        let by = [self.weights.of_plane(part_of.plane).wrapping_add(part_of.first), 0, 1];
        let step = output.pixel_step();
        let (lanes, runs) = if step == 1 { (across.len(), 1) } else { (1, across.len()) };
        for oz in depth.reaching(z.clone()) {
            for oy in height.reaching(y.clone()) {
                let mut from = output.block(part_of.plane).saturating_add(output.pixel([oz, oy, across.start]));
                for _ in 0..runs {
                    for at in (from..from.saturating_add(lanes)).step_by(LANES) {
                        let lanes = LANES.min(from.saturating_add(lanes).saturating_sub(at));
                        let mut room = [T::Acc::ZERO; LANES];
                        let gradients = T::widened_all(part(grad_output, at, lanes), &mut room);
                        add(sums, indices, at, gradients, by);
                    }
                    from = from.saturating_add(step);
                }
            }
        }
    }

    /// Behind the last pixel of the last row that windows of this row hold.
    fn end(&self, [z, y]: [usize; 2]) -> usize {
        let [depth, in_height, _] = &self.layer.axes;
        let [_, height, width] = self.layer.input.lengths;
        let last =
            |taps: Taps| taps.count.checked_sub(1).map(|i| taps.start.saturating_add(i.saturating_mul(taps.step)));
        let (Some(z), Some(y)) = (last(depth.taps(z)), last(in_height.taps(y))) else { return 0 };
        z.saturating_mul(height).saturating_add(y).saturating_add(1).saturating_mul(width)
    }
}

/// Adds gradients where the indices from number `at` on point.
fn add<A: Sum>(sums: &mut [A], indices: Indices<'_>, at: usize, gradients: &[A], by: [usize; 3]) {
    match indices {
        Indices::Short(indices) => add_named(sums, part(indices, at, gradients.len()), gradients, by),
        Indices::Long(indices) => add_named(sums, part(indices, at, gradients.len()), gradients, by),
    }
}

/// Adds gradients where their indices point: an index counts pixels from `base`, and from a further `channel` each for the `inner`
/// channels of a pixel.
#[inline(never)]
fn add_named<A: Sum, I: Index>(sums: &mut [A], indices: &[I], gradients: &[A], [base, channel, inner]: [usize; 3]) {
    // What lies beyond the sums is "none", or in another part.
    if inner == 1 {
        for (index, gradient) in indices.iter().zip(gradients) {
            if let Some(sum) = sums.get_mut((index.to_i64() as usize).wrapping_sub(base)) {
                *sum = sum.plus(*gradient);
            }
        }
        return;
    }
    widest(
        #[inline(always)]
        || {
            for (indices, gradients) in indices.chunks_exact(inner.max(1)).zip(gradients.chunks_exact(inner.max(1))) {
                let mut first = 0_usize;
                for (indices, gradients) in indices.chunks(LANES).zip(gradients.chunks(LANES)) {
                    let mut places = [0; LANES];
                    find(&mut places, indices, [base, channel, inner, first]);
                    for (place, gradient) in places.iter().zip(gradients) {
                        if let Some(sum) = sums.get_mut(*place as usize) {
                            *sum = sum.plus(*gradient);
                        }
                    }
                    first = first.wrapping_add(LANES);
                }
            }
        },
    );
}

/// Where indices of neighbouring channels point, from channel `first` on: in a plane of fewer than 2³¹ elements, or beyond it.
#[inline(always)]
fn find<I: Index>(places: &mut [u32; LANES], indices: &[I], [base, channel, inner, first]: [usize; 4]) {
    let mut at = first as u32;
    let mut base = (base as u32).wrapping_add((channel as u32).wrapping_mul(at));
    for (place, index) in places.iter_mut().zip(indices) {
        *place = (index.to_i64() as u32).wrapping_sub(base).wrapping_mul(inner as u32).wrapping_add(at);
        (at, base) = (at.wrapping_add(1), base.wrapping_add(channel as u32));
    }
}

impl Maxima<'_> {
    /// Fills the gradient of the input in some blocks by what the indices name; whether it did.
    pub(super) fn scatter<T: Float>(
        &self,
        grad_output: &[T],
        indices: Indices<'_>,
        blocks: &Blocks,
        grad_input: &mut [T],
    ) -> bool {
        if self.cover() > LONGEST_CHAIN || !self.layer.input.has_packed_planes() {
            return false;
        }
        let Some(numbers) = Numbers::new(self) else { return false };
        if let Some((grad_output, grad_input)) = T::as_sums(grad_output, grad_input) {
            numbers.scatter(grad_output, indices, blocks, grad_input);
        } else if self.layer.split().inner == 1 {
            numbers.scatter_in_parts(grad_output, indices, blocks, grad_input);
        } else {
            return false;
        }
        true
    }
}
