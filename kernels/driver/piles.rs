//! Channels last, many taps a window, which windows do not share: pixels piled up on a row of accumulators.
//!
//! ```text
//! for each output, for each strip of its channels:
//!     for each few taps of the window:                               (1)
//!         for each few registers of the strip: fold them, onto the accumulators
//!     finish, store
//! ```
//!
//! 1. Taps that follow each other along the rows, where order is no matter or columns have one row. Else each column has
//!    accumulators of its own, onto which go a few rows at a time, column after column: so pixels are read as they
//!    lie, and each column is a chain. An accumulator is loaded and stored once for a few taps.

use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::program::RowTaps;
use super::{Core, Driver, Io, Position, SCRATCH, Scratch, Twin};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::kernels::leaf::long::Stage;
use crate::kernels::leaf::piles::Pile;
use crate::order::Order;

/// Taps that are folded at once, at most, and where any number may be.
const MOST_TAPS: usize = 64;
const FEW: usize = 8;

/// Rows of several columns that are folded at once, at most: each is a stream to read, and the rows of a picture may be as
/// many bytes apart as a cache has sets.
const FEW_ROWS: usize = 7;

/// Bytes of accumulators of one column.
const STRIP: usize = 8 << 10;

/// The least bytes that are worth accumulators for each column, or into how many parts of a pixel: many short parts of long pixels
/// are read slower than columns of whole ones, 60x60 of 2048 channels in 1.3 of the time.
const LEAST: usize = 1536;
const MOST_PARTS: usize = 4;

#[derive(Debug)]
pub(crate) struct Piles {
    /// Whether taps are one list, in any order or one after the other.
    is_list: bool,
    /// Channels of a strip.
    strip: usize,
    /// Bytes from a column's accumulators to the next one's. 0 where all have the same.
    pitch: usize,
    /// Whether columns are added up as those of [`Order::Long`].
    pairs: bool,
}

impl Piles {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let geometry = &core.layer.geometry;
        let [depth, height, _] = &geometry.axes;
        let facts = core.facts();
        let column = depth.kernel.saturating_mul(height.kernel);
        let is_list = facts.any_order || column == 1;
        let width = &geometry.axes[2];
        let is_able = facts.tabled && geometry.inner >= facts.lanes && !geometry.may_have_empty_windows();
        // Of what has no order a list is as good.
        let is_long = core.order == Order::Long { rows: false, columns: true };
        let pairs = !facts.any_order && is_long && width.cut_windows() == (0, 0);
        if !is_able || !facts.any_order && core.order != Order::Columns && !pairs {
            return None;
        }
        // Channels whose accumulators fit, in parts that are about equally long.
        let strip = |bytes: usize| {
            let most = (bytes / facts.register()).saturating_sub(1) * facts.lanes;
            let parts = geometry.inner.div_ceil(most.max(1));
            let strip = geometry.inner.div_ceil(parts).next_multiple_of(facts.lanes);
            // The last one overlaps the one before, where it is shorter.
            if strip <= geometry.inner {
                strip
            } else {
                geometry.inner.div_ceil(parts + 1).next_multiple_of(facts.lanes)
            }
        };
        let columns = if is_list { 1 } else { width.kernel.min(width.input) };
        let apart = (SCRATCH / columns).min(STRIP);
        let least = LEAST.min(geometry.inner.saturating_mul(facts.lane) / MOST_PARTS);
        let are_long = if pairs { apart > 8 * facts.register() } else { apart >= least && column > FEW_ROWS };
        if columns > 1 && are_long {
            let strip = strip(apart);
            return Some(Self { is_list, strip, pitch: strip * facts.lane + facts.register(), pairs });
        }
        let strip = geometry.inner.min(STRIP / facts.lane);
        (!pairs && (is_list || column <= MOST_TAPS)).then_some(Self { is_list, strip, pitch: 0, pairs })
    }

    /// Adds up the accumulators of so many columns; says where the sum is.
    ///
    /// # Safety
    /// As for `output`.
    unsafe fn settle(&self, twin: &Twin, columns: usize, scratch: *mut u8) -> *mut u8 {
        let shift = self.pitch / twin.leaves.facts.lane;
        // Column `to` gets the sum of `by` columns, each `step` columns behind the one before.
        let add = |to: usize, step: usize, by: usize| {
            let stage = Stage::fold(
                scratch.wrapping_add(to * self.pitch),
                self.strip + (by - 1) * step * shift,
                step * shift,
                by,
            );
            // SAFETY: accumulators of the window's columns.
            unsafe { twin.leaves.stage.call(&twin.constants, &stage) };
        };
        let (mut begin, mut sum) = (0, None);
        for digit in (0..usize::BITS).filter(|digit| columns >> digit & 1 == 1) {
            let (size, mut step) = (1 << digit, 1);
            while step < size {
                let by = if 4 * step <= size { 4 } else { 2 };
                for column in (0..size).step_by(by * step) {
                    add(begin + column, step, by);
                }
                step *= by;
            }
            match sum {
                None => sum = Some(begin),
                Some(sum) => add(sum, begin - sum, 2),
            }
            begin += size;
        }
        scratch.wrapping_add(sum.unwrap_or(0) * self.pitch)
    }

    /// One output by one of the twins; whether it met what it watches for.
    ///
    /// # Safety
    /// As for `run`, of output `x` of the row at `at`, which begins at `dst`; `scratch` has the accumulators.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "one output, cut out so that it can be done twice")]
    unsafe fn output(
        &self,
        core: &Core,
        twin: &Twin,
        io: &Io,
        at: &Position,
        x: usize,
        dst: *mut u8,
        scratch: *mut u8,
    ) -> bool {
        let layer = &core.layer;
        let [depth, height, width] = &layer.geometry.axes;
        let (facts, divisors, inner) = (core.facts(), &core.divisors, layer.geometry.inner);
        let rows = RowTaps::new(core, at.outer, at.z, at.y);
        let columns = width.taps(x);
        let pixel = layer.places.input.pixel.wrapping_mul(facts.memory);
        let column_bytes = width.dilation.wrapping_mul(pixel);
        let class = divisors.factor(depth, at.z).saturating_mul(divisors.factor(height, at.y));
        let mut block = Block::new();
        let divisor = class.saturating_mul(divisors.factor(width, x));
        let divisor = divisors.words(twin.leaves, &twin.constants, divisor, &mut block);
        // The taps of a column, or of all of them.
        let mut offsets = [0; MOST_TAPS];
        let column = rows.slabs * rows.rows;
        let mut met = false;
        let mut channel = 0;
        loop {
            // The last strip overlaps the one before.
            channel = channel.min(inner - self.strip);
            let first = rows.first.wrapping_add(columns.start.wrapping_mul(pixel)).wrapping_add(channel * facts.memory);
            let mut pile = Pile {
                src: io.src.wrapping_add(first),
                offsets: offsets.as_ptr(),
                taps: 0,
                lanes: scratch,
                dst: dst.wrapping_add(channel * facts.memory),
                len: self.strip,
                is_first: true,
                is_last: false,
                is_chain: self.is_list || self.pitch > 0,
                divisor,
                word_bytes: facts.register(),
            };
            let all = if self.is_list { column * columns.count } else { column };
            let few = match self.pitch {
                0 if self.is_list => FEW,
                0 => MOST_TAPS,
                _ => column.div_ceil(column.div_ceil(FEW_ROWS)),
            };
            let (lines, across) = if self.is_list { (1, columns.count) } else { (columns.count, 1) };
            // With accumulators of their own, columns are the inner loop.
            let (outer, inner_lines) = if self.pitch > 0 { (1, lines) } else { (lines, 1) };
            for line in 0..outer {
                let (mut tap, mut at) = (0, [0_usize; 3]);
                while tap < all {
                    pile.taps = few.min(all - tap);
                    for offset in &mut offsets[..pile.taps] {
                        let [z, y, k] = at;
                        let row = z.wrapping_mul(rows.slab_bytes).wrapping_add(y.wrapping_mul(rows.row_bytes));
                        *offset = row.wrapping_add((line + k).wrapping_mul(column_bytes));
                        // A list goes along rows, columns go down.
                        at = match at {
                            [z, y, k] if k + 1 < across => [z, y, k + 1],
                            [z, y, _] if y + 1 < rows.rows => [z, y + 1, 0],
                            [z, ..] => [z + 1, 0, 0],
                        };
                    }
                    pile.offsets = offsets.as_ptr();
                    tap += pile.taps;
                    pile.is_last = self.pitch == 0 && tap == all && line + 1 == outer;
                    for k in 0..inner_lines {
                        pile.src = io.src.wrapping_add(first).wrapping_add(k.wrapping_mul(column_bytes));
                        pile.lanes = scratch.wrapping_add(k * self.pitch);
                        // SAFETY: pixels of the window, a strip of the output's, and as many accumulators.
                        met |= unsafe { twin.leaves.piles.call(&twin.constants, &pile) };
                    }
                    pile.is_first = false;
                }
            }
            if self.pitch > 0 {
                let (src, left) = if self.pairs {
                    // SAFETY: every column has its accumulators.
                    let sum = unsafe { self.settle(twin, columns.count, scratch) };
                    (sum, 1)
                } else {
                    (scratch, columns.count)
                };
                let fold = Fold {
                    src,
                    dst: pile.dst,
                    taps: Taps { columns: left, column_bytes: self.pitch, ..Taps::ONE },
                    outer: 1,
                    outer_in: 0,
                    outer_out: 0,
                    len: self.strip,
                    divisors: divisor,
                    word_bytes: facts.register(),
                    lane_bytes: 0,
                    chunk: None,
                    readable: core::ptr::null(),
                    writable: core::ptr::null_mut(),
                };
                // SAFETY: every column's accumulators, of which there are a register or more, and as much of the output.
                unsafe { twin.leaves.across.call(&twin.constants, &fold) };
            }
            channel += self.strip;
            if channel >= inner {
                return met;
            }
        }
    }
}

impl Driver for Piles {
    fn name(&self) -> &'static str {
        "piles"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let geometry = &core.layer.geometry;
        let pixel = core.layer.places.output.pixel.wrapping_mul(core.facts().memory);
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let mut caution = Caution::default();
        let mut scratch = Scratch::new();
        let scratch = scratch.start();
        for _ in rows {
            let row = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            for x in 0..geometry.axes[2].output {
                let dst = row.wrapping_add(x.wrapping_mul(pixel));
                // SAFETY: an output of the run.
                caution.run(core, |twin| unsafe { self.output(core, twin, io, &at, x, dst, scratch) });
            }
            at.advance(geometry, 1);
        }
    }
}
