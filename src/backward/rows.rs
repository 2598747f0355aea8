//! Gradients by rows: what the windows give back is added a row of windows at a time.
//!
//! ```text
//! for each block, for each tile of columns and channels, for each row of the input:
//!     for some neighbouring sums:
//!         for each row of windows that hold it, in their order:               (1)
//!             for each tap of a row, from the last to the first:              (2)
//!                 add what the windows give, of which this tap lies in the tile
//!     round, store
//! ```
//!
//! 1. A window's gradient is divided once: what a row of windows gives is kept for the rows of the input that follow. Of a maximum
//!    its index is kept, too, as a code (`codes.rs`): a tap takes what is named by its own.
//! 2. The later a tap, the earlier the window that holds a given column by it: so each element adds its windows in their
//!    row-major order, and gets the bits that it would get alone.
//!
//! Where windows move by `s`, a tap takes to every `s`-th column. These are a phase of the tile, and lie side by side in
//! it, so that all of (2) goes from one run of numbers to another. Narrow planes lie side by side, too. A row of windows is
//! as long as what its taps can reach, with zeros where there is no window: no run begins or ends elsewhere for them. (No
//! sum is −0, since each begins with +0: so a zero more changes no bit.)

use core::ops::Range;

use super::axes::{Adjoint, Windows};
use super::codes::Coding;
use super::lanes::{CHUNK, KEPT, Lanes, Named, Pixels, Run, TAPS, TILE, fits};
use crate::geometry::Count;
use crate::order::LONGEST_CHAIN;

/// Columns of a tile for each window around them, at least, while channels are more than these.
const FEW: usize = 6;
const CHANNELS: usize = 32;

/// Rows of windows that are kept, at most.
const MOST_ROWS: usize = 16;

/// How a layer is cut into tiles. A row of a tile has the numbers of its first block, those of the second, and so on; a
/// block's are those of some neighbouring channels of its first column, its second …
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Blocks of the batch that are done side by side.
    blocks: usize,
    /// Columns of a phase, each a stride behind the one before.
    columns: usize,
    channels: usize,
    /// From one block to the next, and of all blocks: numbers of a phase, and numbers that a row of windows gives.
    pitch: usize,
    phase: usize,
    /// From the sums of one phase to those of the next, and how many of them are folded.
    sums: usize,
    folded: usize,
    stride: usize,
    /// For sliding windows, the strides from a column to the first window that may hold it, backwards, and what the last tap
    /// is away from a window's first column beyond whole strides.
    ahead: isize,
    rest: isize,
    /// How many rows of windows are kept: slabs, and rows in each.
    kept: [usize; 2],
}

/// What is the same for all rows of a tile.
#[derive(Clone, Copy)]
struct Tile {
    /// The first block, column and channel, and how many of each.
    block: usize,
    blocks: usize,
    column: usize,
    columns: usize,
    channel: usize,
    channels: usize,
    /// The first window that has a place in a row of the tile; it may lie before the first that there is.
    first: isize,
    /// The windows that may hold a column of it.
    windows: [usize; 2],
}

/// A layer whose windows give something to each of their pixels.
pub(super) struct Rows<'a> {
    pub layer: &'a Adjoint,
    pub count: Count,
    /// The divisor, where all windows have the same.
    pub equal: Option<usize>,
    /// What indices count, for maxima.
    pub coding: Option<Coding>,
}

/// Rows of windows that are kept, and wait for a row of the input to be folded.
struct Waiting {
    /// The slot of each, and the code of its first tap.
    rows: [Named; MOST_ROWS],
    count: usize,
    /// Whether sums are to begin with zeros.
    is_first: bool,
    list: [Named; TAPS],
}

impl Plan {
    /// `None` where so many windows hold an element that they are added in blocks, or the numbers of one column are too
    /// many for the scratch.
    pub fn new(layer: &Adjoint) -> Option<Self> {
        let [depth, height, width] = &layer.axes;
        let cover = [depth, height, width].map(Windows::most_covering);
        if cover.iter().fold(1, |all: usize, n| all.saturating_mul(*n)) > LONGEST_CHAIN {
            return None;
        }
        let [slabs, rows, _] = cover.map(|cover| cover.max(1));
        let split = layer.split();
        let (stride, mut ahead, mut rest) = (width.stride(), 0, 0);
        // Windows of a row of the tile: as many as it has columns of a phase, times `each`, and those around them.
        let (around, each) = match width {
            Windows::Sliding { axis, .. } => {
                let first = strides(0, axis.begin, stride)?;
                let reach = axis.kernel.checked_sub(1)?.checked_mul(axis.dilation)?;
                [ahead, rest] = strides(reach, axis.begin, stride)?;
                (usize::try_from(ahead.checked_sub(*first.first()?)?).ok()?, 1)
            }
            Windows::Adaptive { input, output } => (2, output.div_ceil((*input).max(1))),
        };
        // Some times as many columns as there are windows around them, and channels in pieces of like length.
        let inner = split.inner.max(1);
        let wide = FEW.checked_mul(around)?.checked_add(each)?.checked_mul(stride)?;
        let most = TILE.checked_div(wide)?.max(CHANNELS).min(TILE.checked_div(stride)?);
        let most = most.min(TILE.checked_div(around.checked_add(each)?)?).min(inner);
        let pieces = inner.checked_div(most).map(|_| inner.div_ceil(most))?;
        let channels = inner.div_ceil(pieces);
        let most = |rows: usize| {
            let sums = TILE.checked_div(stride.checked_mul(channels)?)?;
            KEPT.checked_div(rows.checked_mul(channels)?).map(|kept| kept.min(sums))
        };
        let columns = |rows: usize| most(rows)?.checked_sub(around)?.checked_div(each).filter(|columns| *columns > 0);
        let wanted = slabs.saturating_mul(rows);
        let columns = columns(wanted.min(8)).or_else(|| columns(1))?.min(width.input().div_ceil(stride));
        let pitch = columns.checked_mul(each)?.checked_add(around)?.checked_mul(channels)?;
        let blocks = most(wanted)?.checked_mul(channels)?.checked_div(pitch)?;
        // Windows of one length alone lie at the same places in every block.
        let is_whole = each == 1 && matches!(width, Windows::Sliding { .. });
        let blocks = if is_whole { blocks.min(split.outer).max(1) } else { 1 };
        let phase = blocks.checked_mul(pitch)?;
        let folded = phase.checked_sub(around.checked_mul(channels)?)?;
        // Sums of whole chunks, if there is room: what lies beyond the last is nothing's.
        let chunked = phase.next_multiple_of(CHUNK);
        let (sums, folded) =
            if fits(stride, chunked) { (chunked, folded.next_multiple_of(CHUNK)) } else { (phase, folded) };
        let slots = KEPT.checked_div(phase)?.min(MOST_ROWS);
        let kept = if wanted <= slots { [slabs, rows] } else { [1, rows.min(slots).max(1)] };
        Some(Self { blocks, columns, channels, pitch, phase, sums, folded, stride, ahead, rest, kept })
    }
}

/// Strides, and what is left of one, from a window's first column to that of a tap so far behind its first.
fn strides(reach: usize, begin: usize, stride: usize) -> Option<[isize; 2]> {
    let [reach, begin, stride] = [reach, begin, stride].map(isize::try_from);
    let (at, stride) = (reach.ok()?.checked_sub(begin.ok()?)?, stride.ok()?);
    Some([at.checked_div_euclid(stride)?, at.checked_rem_euclid(stride)?])
}

impl Plan {
    /// The channels of a tile.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

impl Rows<'_> {
    /// Fills the gradient of the input in some blocks.
    pub fn fill(&self, plan: &Plan, some: Range<usize>, lanes: &mut dyn Lanes) {
        let [_, _, width] = &self.layer.axes;
        let split = self.layer.split();
        let step = plan.columns.saturating_mul(plan.stride).max(1);
        for block in some.clone().step_by(plan.blocks.max(1)) {
            let blocks = plan.blocks.min(some.end.saturating_sub(block));
            for column in (0..width.input()).step_by(step) {
                let columns = step.min(width.input().saturating_sub(column));
                let windows = width.reaching(column..column.saturating_add(columns));
                let first = match width {
                    Windows::Sliding { .. } => {
                        let strides = column.checked_div(plan.stride).unwrap_or(0);
                        (strides as isize).saturating_sub(plan.ahead)
                    }
                    Windows::Adaptive { .. } => windows.start as isize,
                };
                let windows = [windows.start, windows.end];
                for channel in (0..split.inner).step_by(plan.channels.max(1)) {
                    let channels = plan.channels.min(split.inner.saturating_sub(channel));
                    let tile = Tile { block, blocks, column, columns, channel, channels, first, windows };
                    self.tile(plan, &tile, lanes);
                }
            }
        }
    }

    fn tile(&self, plan: &Plan, tile: &Tile, lanes: &mut dyn Lanes) {
        let [depth, height, _] = &self.layer.axes;
        let mut rows = [[usize::MAX; 2]; MOST_ROWS];
        let none = Named::default();
        let mut waiting = Waiting { rows: [none; MOST_ROWS], count: 0, is_first: true, list: [none; TAPS] };
        let [slabs, each] = plan.kept;
        for z in 0..depth.input() {
            let over_z = depth.covering(z);
            for y in 0..height.input() {
                let over_y = height.covering(y);
                waiting.is_first = true;
                if lanes.reads_input() {
                    self.load([z, y], plan, tile, lanes);
                }
                for oz in over_z.outputs() {
                    for oy in over_y.outputs() {
                        let slot = oz.checked_rem(slabs).unwrap_or(0).saturating_mul(each);
                        let slot = slot.saturating_add(oy.checked_rem(each).unwrap_or(0));
                        let from = slot.saturating_mul(plan.phase);
                        if let Some(row) = rows.get_mut(slot).filter(|row| **row != [oz, oy]) {
                            if waiting.holds(from) {
                                self.fold(plan, tile, &mut waiting, lanes);
                            }
                            *row = [oz, oy];
                            self.keep([oz, oy], plan, tile, from, lanes);
                        }
                        let code = self.coding.as_ref().map_or(0, |coding| {
                            let number = |windows: &Windows, o, at| windows.taps(o).number(at).unwrap_or(0);
                            coding.code([number(depth, oz, z), number(height, oy, y), 0])
                        });
                        waiting.push(Named { from, code });
                    }
                }
                self.fold(plan, tile, &mut waiting, lanes);
                self.store([z, y], plan, tile, lanes);
            }
        }
    }

    /// Keeps what a row of windows gives: 0 where there is no window.
    #[inline(never)]
    fn keep(&self, [oz, oy]: [usize; 2], plan: &Plan, tile: &Tile, from: usize, lanes: &mut dyn Lanes) {
        let [depth, height, width] = &self.layer.axes;
        let [first, end] = tile.windows;
        let rows = depth.count(oz, self.count).saturating_mul(height.count(oy, self.count));
        let each = |ox: usize| self.equal.unwrap_or_else(|| rows.saturating_mul(width.count(ox, self.count)));
        // Windows in the middle of a row have the same count.
        let middle = if self.equal.is_some() { first..end } else { width.whole() };
        let [begin, to] = [middle.start, middle.end].map(|at| at.clamp(first, end.max(first)));
        // What is kept of a tile with fewer windows before is not of this one.
        let around = end.saturating_sub(first).saturating_mul(tile.channels) < plan.pitch;
        if around || tile.blocks < plan.blocks {
            lanes.clear(from, plan.phase);
        }
        for ox in (first..begin).chain(to.max(begin)..end) {
            self.keep_run([oz, oy], plan, tile, [ox, ox.saturating_add(1)], [each(ox), from], lanes);
        }
        if begin < to {
            self.keep_run([oz, oy], plan, tile, [begin, to], [each(begin), from], lanes);
        }
    }

    /// The same of neighbouring windows with one divisor, in every block.
    fn keep_run(
        &self,
        [oz, oy]: [usize; 2],
        plan: &Plan,
        tile: &Tile,
        [from, to]: [usize; 2],
        [divisor, row]: [usize; 2],
        lanes: &mut dyn Lanes,
    ) {
        let output = &self.layer.output;
        let (step, n) = (output.pixel_step(), tile.channels);
        let place = (from as isize).saturating_sub(tile.first).max(0) as usize;
        let windows = to.saturating_sub(from);
        let (windows, runs) = if step == n { (windows, 1) } else { (1, windows) };
        let in_block = output.pixel([oz, oy, from]).saturating_add(tile.channel);
        for block in 0..tile.blocks {
            let at = output.block(tile.block.saturating_add(block)).saturating_add(in_block);
            let in_row = block.saturating_mul(plan.pitch).saturating_add(place.saturating_mul(n));
            let mut run =
                Run { at, place: row.saturating_add(in_row), len: windows.saturating_mul(n), divisor, first: 0 };
            for ox in 0..runs {
                if let Some(coding) = &self.coding {
                    let window = [oz, oy, from.saturating_add(ox)];
                    let taps = [0, 1, 2].map(|axis: usize| {
                        let axis = self.layer.axes.get(axis).zip(window.get(axis));
                        axis.map(|(axis, o)| axis.taps(*o))
                    });
                    let block = tile.block.saturating_add(block);
                    run.first = coding.origin(block.saturating_mul(self.layer.split().inner), tile.channel, taps);
                }
                lanes.keep(&run);
                run.at = run.at.saturating_add(step);
                run.place = run.place.saturating_add(n);
            }
        }
    }

    /// Folds what waits into the sums of a tile's columns.
    #[inline(never)]
    fn fold(&self, plan: &Plan, tile: &Tile, waiting: &mut Waiting, lanes: &mut dyn Lanes) {
        let [_, _, width] = &self.layer.axes;
        let rows = waiting.rows.get(..waiting.count).unwrap_or_default();
        let Windows::Sliding { axis, .. } = width else {
            if waiting.is_first {
                lanes.fold(&[], 0, plan.phase, true);
            }
            for row in rows {
                let ([first, end], n) = (tile.windows, tile.channels);
                let mut from = row.from;
                for ox in first..end {
                    let taps = width.taps(ox);
                    let start = taps.start.max(tile.column).saturating_sub(tile.column);
                    let to = taps.start.saturating_add(taps.count).saturating_sub(tile.column).min(tile.columns);
                    lanes.spread(from, n, start.saturating_mul(n), to.saturating_sub(start).saturating_mul(n));
                    from = from.saturating_add(n);
                }
            }
            return waiting.clear();
        };
        let by = [axis.dilation.checked_div(plan.stride), axis.dilation.checked_rem(plan.stride)];
        let [by, rest] = by.map(|by| by.unwrap_or(0));
        for number in 0..plan.stride {
            let list = &mut waiting.list;
            let (mut listed, mut is_first) = (0_usize, waiting.is_first);
            let place = number.saturating_mul(plan.sums);
            for row in rows {
                let (mut behind, mut phase) = (0_usize, plan.rest);
                for tap in (0..axis.kernel).rev() {
                    if phase as usize == number {
                        // Column `j` of this phase belongs to the window at place `j + behind` of the row.
                        let from = row.from.saturating_add(behind.saturating_mul(tile.channels));
                        let code = self.coding.as_ref().map_or(0, |coding| coding.code([0, 0, tap]));
                        if listed == TAPS {
                            lanes.fold(&*list, place, plan.folded, is_first);
                            (listed, is_first) = (0, false);
                        }
                        if let Some(to) = list.get_mut(listed) {
                            *to = Named { from, code: row.code.wrapping_add(code) };
                            listed = listed.saturating_add(1);
                        }
                    }
                    behind = behind.saturating_add(by);
                    phase = phase.saturating_sub(rest as isize);
                    if phase < 0 {
                        (phase, behind) = (phase.saturating_add(plan.stride as isize), behind.saturating_add(1));
                    }
                }
            }
            let list = list.get(..listed).unwrap_or_default();
            if is_first || !list.is_empty() {
                lanes.fold(list, place, plan.folded, is_first);
            }
        }
        waiting.clear();
    }

    /// Rows of the input to the places of their sums.
    #[inline(never)]
    fn load(&self, at: [usize; 2], plan: &Plan, tile: &Tile, lanes: &mut dyn Lanes) {
        self.each_phase(at, plan, tile, &mut |pixels, place| lanes.load(pixels, place));
    }

    /// The sums of a tile's columns to rows of the input's gradient.
    #[inline(never)]
    fn store(&self, at: [usize; 2], plan: &Plan, tile: &Tile, lanes: &mut dyn Lanes) {
        let input = &self.layer.input;
        if (input.pixel_step(), tile.channels, plan.stride) != (1, 1, 2) {
            return self.each_phase(at, plan, tile, &mut |pixels, place| lanes.store(pixels, place));
        }
        let [z, y] = at;
        let in_block = input.pixel([z, y, tile.column]).saturating_add(tile.channel);
        for block in 0..tile.blocks {
            let at = input.block(tile.block.saturating_add(block)).saturating_add(in_block);
            let of_block = block.saturating_mul(plan.pitch);
            lanes.store_in_turn(at, tile.columns, of_block, plan.sums.saturating_add(of_block));
        }
    }

    /// Calls `work` for the columns of each phase in a row of each block, and with the place of their sums.
    fn each_phase(&self, [z, y]: [usize; 2], plan: &Plan, tile: &Tile, work: &mut dyn FnMut(&Pixels, usize)) {
        let input = &self.layer.input;
        let in_block = input.pixel([z, y, tile.column]).saturating_add(tile.channel);
        let (step, channels) = (input.pixel_step(), tile.channels);
        for block in 0..tile.blocks {
            let at = input.block(tile.block.saturating_add(block)).saturating_add(in_block);
            let of_block = block.saturating_mul(plan.pitch);
            for phase in 0..plan.stride.min(tile.columns) {
                let count = tile.columns.saturating_sub(phase).div_ceil(plan.stride.max(1));
                let at = at.saturating_add(phase.saturating_mul(step));
                let pixels = Pixels { at, step: step.saturating_mul(plan.stride), channels, count };
                work(&pixels, phase.saturating_mul(plan.sums).saturating_add(of_block));
            }
        }
    }
}

impl Waiting {
    /// Whether a row in this slot waits.
    fn holds(&self, from: usize) -> bool {
        self.rows.iter().take(self.count).any(|row| row.from == from)
    }

    fn push(&mut self, row: Named) {
        if let Some(to) = self.rows.get_mut(self.count) {
            *to = row;
            self.count = self.count.saturating_add(1);
        }
    }

    fn clear(&mut self) {
        (self.count, self.is_first) = (0, false);
    }
}
