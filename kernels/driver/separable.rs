//! Windows in two passes over whole planes: down the window's columns into a line, then across it.
//!
//! ```text
//! for each plane, each run of output rows whose windows have the same rows, each tile of a row:
//!     a line with its padding, divisors of the row's lanes
//!     all rows of the run, a batch at a time, as the leaf says      (leaf/separable.rs)
//! ```
//!
//! It differs from `bands` in that a call is many rows: nothing is worked out for each. It takes windows of up to 16
//! columns that move by one pixel, or by two of one lane, along rows of a register of outputs and more; nothing passes
//! the end of a row, so tensors with gaps between rows are like others.

use alloc::vec::Vec;
use core::ops::Range;

use super::careful::Caution;
use super::divisors::classes;
use super::program::{RowTaps, run_from};
use super::{Core, Driver, Io, Position, Scratch, fill};
use crate::kernels::leaf::fold::Taps;
use crate::kernels::leaf::separable::{Lines, MOST_COLUMNS};
use crate::order::Order;

/// Bytes of a line at most. Two of them, each with its halves, stay in the first-level cache beside the rows.
const LINE: usize = 7 << 10;

/// Bytes of input that are done again where one of them is a NaN.
const BATCH: usize = 48 << 10;

/// Bytes of divisors, at most.
const MOST_DIVISORS: usize = 32 << 10;

#[derive(Debug)]
pub(crate) struct Separable {
    /// Outputs of a tile.
    outputs: usize,
    /// Lanes of its line, in whole pairs of registers, and bytes to the line's halves; 0 where it is not split.
    padded: usize,
    split: usize,
    /// Bytes to the other line.
    other: usize,
    columns: Vec<usize>,
    /// What the lanes of a row divide by, for each of the products that depth and height contribute. Sorted; empty where
    /// all divide by the same.
    classes: Vec<usize>,
    divisors: Vec<u8>,
    word_bytes: usize,
}

impl Separable {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let layer = &core.layer;
        let geometry = &layer.geometry;
        let [_, _, width] = &geometry.axes;
        let (facts, inner) = (core.facts(), geometry.inner);
        let slides = geometry.axes.iter().all(crate::geometry::Axis::slides);
        let splits = width.stride == 2 && inner == 1;
        let takes = facts.tabled
            && slides
            && layer.has_whole_rows()
            && (facts.any_order || core.order == Order::Columns)
            && !geometry.may_have_empty_windows()
            && (width.stride == 1 || splits)
            && width.kernel <= MOST_COLUMNS;
        if !takes {
            return None;
        }
        let span =
            |outputs: usize| (outputs - 1).checked_mul(width.stride)?.checked_add(width.span())?.checked_mul(inner);
        let fits = |outputs: usize| span(outputs).is_some_and(|lanes| lanes.saturating_mul(facts.lane) <= LINE);
        let mut outputs = width.output;
        while !fits(outputs) {
            // As few tiles as may be, all of them as long.
            if outputs == 1 {
                return None;
            }
            outputs = outputs.div_ceil(2);
        }
        // The shortest tile's part of the input: the first's or the last's, less what is in the padding.
        let inside = (span(outputs)? / inner.max(1)).saturating_sub(width.begin.max(width.span())).min(width.input);
        if outputs.checked_mul(inner)? < facts.lanes || inside.checked_mul(inner)? < facts.lanes {
            return None;
        }
        let padded = span(outputs)?.next_multiple_of(2 * facts.lanes);
        let split = if splits { (padded * facts.lane).next_multiple_of(64) } else { 0 };
        let columns = (0..width.kernel).map(|k| {
            let lane = k * width.dilation * inner;
            if splits { split + lane % 2 * split + lane / 2 * facts.lane } else { lane * facts.lane }
        });
        let mut planned = Self {
            outputs,
            padded,
            split,
            other: if splits { 3 * split } else { (padded * facts.lane).next_multiple_of(64) },
            columns: columns.collect(),
            classes: Vec::new(),
            divisors: Vec::new(),
            word_bytes: facts.register(),
        };
        if facts.words > 0 && !core.divisors.are_equal() {
            planned.put_divisors(core)?;
        }
        Some(planned)
    }

    /// A row of divisors for each class. `None` where those would be too long.
    fn put_divisors(&mut self, core: &Core) -> Option<()> {
        let (facts, count, inner) = (core.facts(), core.layer.count, core.layer.geometry.inner);
        let [.., width] = &core.layer.geometry.axes;
        self.word_bytes = width.output.checked_mul(inner)?.checked_mul(facts.lane)?;
        let each = self.word_bytes.checked_mul(facts.words)?;
        self.classes = classes(&core.layer, MOST_DIVISORS.checked_div(each)?)?;
        self.divisors.resize(each * self.classes.len(), 0);
        for (class, rows) in self.classes.iter().zip(self.divisors.chunks_exact_mut(each)) {
            for x in 0..width.output {
                let divisor = class.saturating_mul(width.count(x, count)).max(1);
                let words = (core.hot.leaves.words)(&core.hot.constants, divisor);
                for (word, row) in words.iter().zip(rows.chunks_exact_mut(self.word_bytes)) {
                    let pixel = &mut row[x * inner * facts.lane..(x + 1) * inner * facts.lane];
                    for lane in pixel.chunks_exact_mut(facts.lane) {
                        lane.copy_from_slice(&word[..facts.lane]);
                    }
                }
            }
        }
        Some(())
    }
}

impl Driver for Separable {
    fn name(&self) -> &'static str {
        "separable"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let layer = &core.layer;
        let geometry = &layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let (facts, inner) = (core.facts(), geometry.inner);
        let (row_in, row_out) = (layer.places.input.row, layer.places.output.row);
        let step = height.stride.wrapping_mul(row_in).wrapping_mul(facts.memory);
        let batch = (BATCH / (width.input * inner * facts.memory * height.stride).max(1)).max(1);
        let mut columns = [0; MOST_COLUMNS];
        columns[..self.columns.len()].copy_from_slice(&self.columns);
        let mut scratch = Scratch::new();
        let line = scratch.start();
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let mut left = rows.len();
        // Which lanes of the line hold padding of which twin.
        let mut filled = None;
        while left > 0 {
            let most = left.min(height.output - at.y).min(batch);
            let count = run_from(height, at.y, at.y + most).len.min(most);
            let taps = RowTaps::new(core, at.outer, at.z, at.y);
            let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            let mut divisors = core.divisors.are_equal().then(|| core.divisors.common());
            if !self.classes.is_empty() {
                let class = core.divisors.factor(depth, at.z).saturating_mul(core.divisors.factor(height, at.y));
                let place = self.classes.binary_search(&class).unwrap_or(0);
                divisors = Some(self.divisors[place * facts.words * self.word_bytes..].as_ptr());
            }
            let mut x = 0;
            loop {
                // The last tile overlaps the one before.
                x = x.min(width.output - self.outputs);
                let first = (x * width.stride) as isize - width.begin as isize;
                let end = first + ((self.outputs - 1) * width.stride + width.span()) as isize;
                let start = first.max(0);
                let inside = (end.min(width.input as isize) - start) as usize;
                let before = (start - first) as usize * inner;
                let lane_bytes = if self.classes.is_empty() { 0 } else { facts.lane };
                let lines = Lines {
                    src: io.src.wrapping_add(taps.first).wrapping_add(start as usize * inner * facts.memory),
                    dst: dst.wrapping_add(x * inner * facts.memory),
                    line,
                    rows: count,
                    row_in: step,
                    row_out: row_out.wrapping_mul(facts.memory),
                    taps: Taps {
                        columns: 1,
                        column_bytes: 0,
                        slabs: taps.slabs,
                        slab_bytes: taps.slab_bytes,
                        rows: taps.rows,
                        row_bytes: taps.row_bytes,
                    },
                    before,
                    len: inside * inner,
                    padded: self.padded,
                    split: self.split,
                    other: self.other,
                    columns,
                    column_count: self.columns.len(),
                    outputs: self.outputs * inner,
                    divisors: divisors.unwrap_or(core::ptr::null()).wrapping_add(x * inner * lane_bytes),
                    word_bytes: self.word_bytes,
                    lane_bytes,
                };
                caution.run(core, |twin| {
                    let needs = (twin.fill, before, inside);
                    if filled != Some(needs) {
                        // SAFETY: the scratch holds both lines.
                        unsafe {
                            fill(line, &twin.fill, facts.lane, self.padded);
                            fill(line.add(self.other), &twin.fill, facts.lane, self.padded);
                        }
                        filled = Some(needs);
                    }
                    // SAFETY: rows of windows and of outputs of the run, whose tile has a register of either, as `new`
                    // found; the scratch holds two lines of `padded` lanes and the halves of each.
                    unsafe { twin.leaves.separable.call(&twin.constants, &lines) }
                });
                x += self.outputs;
                if x >= width.output {
                    break;
                }
            }
            at.advance(geometry, count);
            left -= count;
        }
    }

    fn bytes(&self) -> usize {
        self.divisors.len() + size_of_val(&*self.classes) + size_of_val(&*self.columns)
    }
}
