//! Channels last: windows that walk along a row of pixels and keep the columns that they share in registers.
//!
//! ```text
//! for each slab of outputs, for each run of rows whose windows have the same rows, a batch at a time:
//!     a list of the window's rows, a list of outputs that divide by the same number
//!     for each few registers of a pixel: the rows of the batch, each from left to right     (1)
//! ```
//!
//! 1. In the leaf (`leaf/columns.rs`). Where a pixel is a register or more, nothing passes the end of a
//!    pixel: so tensors with gaps are like any others, and nothing is copied.

use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::program::{OutputRun, RowTaps, run_from};
use super::{Core, Driver, Io, Position};
use crate::kernels::leaf::columns::{Equals, MOST_COLUMNS, Walk};
use crate::order::Order;

/// Rows of a window in all its slabs, at most; or its taps, where they are one list.
const MOST_ROWS: usize = 64;

/// Runs of outputs that divide by the same number, at most.
const MOST_RUNS: usize = 2 * MOST_COLUMNS;

/// Bytes of input that are done again where one of them is a NaN.
const BATCH: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Columns {
    /// Whether a window has columns of the one before.
    shares: bool,
    /// Whether the taps of a window are one list, as if in a column.
    is_list: bool,
    /// Output rows of a batch.
    rows: usize,
}

impl Columns {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let geometry = &core.layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let facts = core.facts();
        let slides = geometry.axes.iter().all(crate::geometry::Axis::slides);
        let (head, tail) = width.cut_windows();
        let shares = width.stride < width.kernel && width.output > 1;
        let column = depth.kernel.saturating_mul(height.kernel);
        let takes = slides
            && (facts.any_order || core.order == Order::Columns)
            && facts.tabled
            && geometry.inner >= facts.lanes
            && !geometry.may_have_empty_windows()
            && width.dilation == 1
            && width.kernel <= MOST_COLUMNS
            && column <= MOST_ROWS
            && (core.divisors.are_equal() || core.divisors.are_tabled() && head + tail < MOST_RUNS);
        // Sums fold column by column.
        let in_order = facts.any_order || column == 1;
        let is_list = !shares && in_order && head + tail == 0 && column.saturating_mul(width.kernel) <= MOST_ROWS;
        let row = width
            .input
            .saturating_mul(geometry.inner)
            .saturating_mul(facts.memory)
            .saturating_mul(height.stride)
            .max(1);
        takes.then(|| Self { shares, is_list, rows: (BATCH / row).max(2) })
    }
}

impl Driver for Columns {
    fn name(&self) -> &'static str {
        "columns"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let layer = &core.layer;
        let geometry = &layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let (facts, divisors) = (core.facts(), &core.divisors);
        let (input, output) = (&layer.places.input, &layer.places.output);
        let (pixel_in, pixel_out) = (input.pixel.wrapping_mul(facts.memory), output.pixel.wrapping_mul(facts.memory));
        let is_cut = width.cut_windows() != (0, 0);
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let mut left = rows.len();
        while left > 0 {
            let most = left.min(height.output - at.y).min(self.rows);
            let count = run_from(height, at.y, at.y + most).len.min(most);
            let taps = RowTaps::new(core, at.outer, at.z, at.y);
            let mut offsets = [0; MOST_ROWS];
            let mut listed = 0;
            for k in 0..if self.is_list { width.kernel } else { 1 } {
                for z in 0..taps.slabs {
                    for y in 0..taps.rows {
                        let row = z.wrapping_mul(taps.slab_bytes).wrapping_add(y.wrapping_mul(taps.row_bytes));
                        offsets[listed] = row.wrapping_add(k.wrapping_mul(pixel_in));
                        listed += 1;
                    }
                }
            }
            // A tap of an extreme may be joined twice: so borders have as many rows as others.
            while facts.idempotent && self.shares && listed > 0 && listed < height.kernel && depth.kernel == 1 {
                offsets[listed] = offsets[listed - 1];
                listed += 1;
            }
            let is_plain = taps.slabs == 1 && height.dilation == 1;
            let class = divisors.factor(depth, at.z).saturating_mul(divisors.factor(height, at.y));
            let walk = Walk {
                src: io.src.wrapping_add(taps.first),
                dst: io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base)),
                offsets: offsets.as_ptr(),
                rows: listed,
                pairs: is_plain && taps.rows == height.kernel && height.stride == 1,
                stale: if is_plain { listed.saturating_sub(height.stride) } else { 0 },
                outer: count,
                row_in: height.stride.wrapping_mul(input.row).wrapping_mul(facts.memory),
                row_out: output.row.wrapping_mul(facts.memory),
                pixel_in,
                pixel_out,
                columns: width.input,
                begin: width.begin,
                kernel: if self.is_list { 1 } else { width.kernel },
                stride: width.stride,
                equals: core::ptr::null(),
                runs: 0,
                word_bytes: facts.register(),
                len: geometry.inner,
            };
            caution.run(core, |twin| {
                let mut equals = [Equals { outputs: width.output, divisor: core::ptr::null() }; MOST_RUNS];
                let mut runs = 0;
                let mut x = 0;
                let mut block = Block::new();
                while x < width.output {
                    let OutputRun { len, .. } = run_from(width, x, width.output);
                    let outputs = if divisors.are_equal() { width.output } else { len };
                    let divisor = class.saturating_mul(divisors.factor(width, x));
                    let words = divisors.words(twin.leaves, &twin.constants, divisor, &mut block);
                    equals[runs] = Equals { outputs, divisor: words };
                    (runs, x) = (runs + 1, x + outputs);
                }
                let walk = Walk { equals: equals.as_ptr(), runs, ..walk };
                let leaves = twin.leaves;
                // An operation that has no such leaf has a general one in its place.
                let square = self.shares && listed == width.kernel && is_plain && height.stride <= width.stride;
                let leaf = match (square, width.kernel, width.stride) {
                    (true, 3, 1) => leaves.along31,
                    (true, 3, 2) => leaves.along32,
                    (true, 5, 1) => leaves.along51,
                    _ if self.shares && width.kernel <= 2 * width.stride => leaves.along_2,
                    _ if self.shares && width.kernel <= 3 * width.stride => leaves.along_3,
                    _ if self.shares => leaves.along,
                    _ if width.kernel == 2 && taps.slabs * taps.rows == 2 && !is_cut => leaves.apart22,
                    _ => leaves.apart,
                };
                // SAFETY: the rows of the windows of `count` output rows, whose columns outside the input the leaf
                // leaves out, and these rows of the output. A pixel holds a register, as `new` found.
                unsafe { leaf.call(&twin.constants, &walk) }
            });
            at.advance(geometry, count);
            left -= count;
        }
    }
}
