//! The gradient of averages, by rows: what the windows give back is added a row of windows at a time.
//!
//! ```text
//! for each block, for each tile of columns and channels, for each row of the input:
//!     for each row of windows that hold it, in their order:               (1)
//!         for each tap of a row, from the last to the first:              (2)
//!             add what the windows give, of which this tap lies in the tile
//!     round, store
//! ```
//!
//! 1. A window's gradient is divided once: what a row of windows gives is kept for the rows of the input that follow.
//! 2. The later a tap, the earlier the window that holds a given column by it: so each element adds its windows in their
//!    row-major order, and gets the bits that it would get alone.
//!
//! Where windows move by `s`, a tap takes to every `s`-th column. These are a phase of the tile, and lie side by side in
//! it, so that all of (2) goes from one run of numbers to another. Narrow planes lie side by side, too. A row of windows is
//! as long as what its taps can reach, with zeros where there is no window: no run begins or ends elsewhere for them. (No
//! sum is −0, since each begins with +0: so a zero more changes no bit.)

use super::axes::{Adjoint, Windows};
use super::sealed::Sum;
use super::{Float, part, part_mut};
use crate::geometry::Count;
use crate::kernels::vectorized;
use crate::order::LONGEST_CHAIN;

/// Numbers of a tile, at most; and of the rows that are kept.
const TILE: usize = 1024;
const KEPT: usize = 4096;

/// Columns of a tile for each window around them, at least, while channels are more than these.
const FEW: usize = 6;
const CHANNELS: usize = 32;

/// Rows of windows that are kept, at most.
const MOST_ROWS: usize = 16;

/// How a layer is cut into tiles. A row of a tile has the numbers of its first block, those of the second, and so on; a
/// block's are those of some neighbouring channels of its first column, its second …
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Blocks of the batch that are done side by side.
    blocks: usize,
    /// Columns of a phase, each a stride behind the one before.
    columns: usize,
    channels: usize,
    /// From one block to the next, and of all blocks: numbers of a phase, and numbers that a row of windows gives.
    pitch: usize,
    phase: usize,
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

/// The sums of a tile's row, and what rows of windows give.
struct Scratch<A> {
    sums: [A; TILE],
    kept: [A; KEPT],
}

/// The gradient of an average.
pub(super) struct Averages<'a> {
    pub layer: &'a Adjoint,
    pub count: Count,
    /// The divisor, where all windows have the same.
    pub equal: Option<usize>,
}

/// Both gradients, for code that knows what sums are made in, but no elements.
trait Gradients<A> {
    /// Neighbouring gradients of the output from element `at` on, over a divisor.
    fn over(&self, at: usize, divisor: A, to: &mut [A]);
    /// Neighbouring sums to gradients of the input from element `at` on, rounded.
    fn store(&mut self, at: usize, sums: &[A]);
    /// The same of so many sums that take turns.
    fn store_in_turn(&mut self, at: usize, len: usize, even: &[A], odd: &[A]);
}

struct Tensors<'a, T> {
    grad_output: &'a [T],
    grad_input: &'a mut [T],
}

impl<T: Float> Gradients<T::Acc> for Tensors<'_, T> {
    fn over(&self, at: usize, divisor: T::Acc, to: &mut [T::Acc]) {
        T::over_all(part(self.grad_output, at, to.len()), divisor, to);
    }

    fn store(&mut self, at: usize, sums: &[T::Acc]) {
        T::narrowed_all(sums, part_mut(self.grad_input, at, sums.len()));
    }

    fn store_in_turn(&mut self, at: usize, len: usize, even: &[T::Acc], odd: &[T::Acc]) {
        let row = part_mut(self.grad_input, at, len);
        T::interleaved(even, odd, row);
        if let (Some(last), Some(sum)) = (row.get_mut(len & !1), even.get(len / 2)) {
            *last = T::narrowed(*sum);
        }
    }
}

impl Plan {
    /// `None` where so many windows hold an element that they are added in blocks, or the numbers of one column are too
    /// many for the scratch.
    fn new(layer: &Adjoint) -> Option<Self> {
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
        let slots = KEPT.checked_div(phase)?.min(MOST_ROWS);
        let kept = if wanted <= slots { [slabs, rows] } else { [1, rows.min(slots).max(1)] };
        Some(Self { blocks, columns, channels, pitch, phase, stride, ahead, rest, kept })
    }
}

/// Strides, and what is left of one, from a window's first column to that of a tap so far behind its first.
fn strides(reach: usize, begin: usize, stride: usize) -> Option<[isize; 2]> {
    let [reach, begin, stride] = [reach, begin, stride].map(isize::try_from);
    let (at, stride) = (reach.ok()?.checked_sub(begin.ok()?)?, stride.ok()?);
    Some([at.checked_div_euclid(stride)?, at.checked_rem_euclid(stride)?])
}

impl Adjoint {
    /// Fills the gradient of the input of an average; whether it did.
    pub(super) fn averages<T: Float>(&self, averages: &Averages<'_>, grad_output: &[T], grad_input: &mut [T]) -> bool {
        // No batch or no channels, of which there may be endlessly many.
        if grad_input.is_empty() {
            return true;
        }
        averages.fill(&mut Tensors { grad_output, grad_input })
    }
}

impl Averages<'_> {
    fn fill<A: Sum>(&self, gradients: &mut dyn Gradients<A>) -> bool {
        let Some(plan) = Plan::new(self.layer) else { return false };
        let [_, _, width] = &self.layer.axes;
        let split = self.layer.split();
        let step = plan.columns.saturating_mul(plan.stride).max(1);
        let mut scratch = Scratch { sums: [A::ZERO; TILE], kept: [A::ZERO; KEPT] };
        for block in (0..split.outer).step_by(plan.blocks.max(1)) {
            let blocks = plan.blocks.min(split.outer.saturating_sub(block));
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
                    self.tile(&plan, &tile, &mut scratch, gradients);
                }
            }
        }
        true
    }

    fn tile<A: Sum>(&self, plan: &Plan, tile: &Tile, scratch: &mut Scratch<A>, gradients: &mut dyn Gradients<A>) {
        let [depth, height, _] = &self.layer.axes;
        let Scratch { sums, kept } = scratch;
        let mut rows = [[usize::MAX; 2]; MOST_ROWS];
        let sums = part_mut(sums, 0, plan.phase.saturating_mul(plan.stride));
        let [slabs, each] = plan.kept;
        for z in 0..depth.input() {
            let over_z = depth.covering(z);
            for y in 0..height.input() {
                let over_y = height.covering(y);
                sums.fill(A::ZERO);
                for oz in over_z.outputs() {
                    for oy in over_y.outputs() {
                        let slot = oz.checked_rem(slabs).unwrap_or(0).saturating_mul(each);
                        let slot = slot.saturating_add(oy.checked_rem(each).unwrap_or(0));
                        let shares = part_mut(kept, slot.saturating_mul(plan.phase), plan.phase);
                        if let Some(row) = rows.get_mut(slot).filter(|row| **row != [oz, oy]) {
                            *row = [oz, oy];
                            self.divide([oz, oy], plan, tile, gradients, shares);
                        }
                        self.add(plan, tile, shares, sums);
                    }
                }
                self.store([z, y], plan, tile, sums, gradients);
            }
        }
    }

    /// What a row of windows gives: 0 where there is no window.
    #[inline(never)]
    fn divide<A: Sum>(
        &self,
        [oz, oy]: [usize; 2],
        plan: &Plan,
        tile: &Tile,
        gradients: &dyn Gradients<A>,
        shares: &mut [A],
    ) {
        let [depth, height, width] = &self.layer.axes;
        let [first, end] = tile.windows;
        let rows = depth.count(oz, self.count).saturating_mul(height.count(oy, self.count));
        let each = |ox: usize| self.equal.unwrap_or_else(|| rows.saturating_mul(width.count(ox, self.count)));
        // Windows in the middle of a row have the same count.
        let middle = if self.equal.is_some() { first..end } else { width.whole() };
        let [from, to] = [middle.start, middle.end].map(|at| at.clamp(first, end.max(first)));
        shares.fill(A::ZERO);
        let mut over = |from: usize, to: usize| {
            let shares = &mut *shares;
            self.over(
                [oz, oy],
                plan,
                tile,
                [from, to],
                &mut |at, to| gradients.over(at, A::of(each(from)), to),
                shares,
            );
        };
        (first..from).for_each(|ox| over(ox, ox.saturating_add(1)));
        if from < to {
            over(from, to);
        }
        (to.max(from)..end).for_each(|ox| over(ox, ox.saturating_add(1)));
    }

    /// The gradients of neighbouring windows over a divisor, in every block.
    fn over<A>(
        &self,
        [oz, oy]: [usize; 2],
        plan: &Plan,
        tile: &Tile,
        [from, to]: [usize; 2],
        over: &mut dyn FnMut(usize, &mut [A]),
        shares: &mut [A],
    ) {
        let output = &self.layer.output;
        let (step, n) = (output.pixel_step(), tile.channels);
        let place = (from as isize).saturating_sub(tile.first).max(0) as usize;
        let lanes = to.saturating_sub(from).saturating_mul(n);
        let in_block = output.pixel([oz, oy, from]).saturating_add(tile.channel);
        for (block, shares) in shares.chunks_mut(plan.pitch.max(1)).take(tile.blocks).enumerate() {
            let shares = part_mut(shares, place.saturating_mul(n), lanes);
            let mut at = output.block(tile.block.saturating_add(block)).saturating_add(in_block);
            if step == n {
                over(at, shares);
            } else {
                for shares in shares.chunks_exact_mut(n.max(1)) {
                    over(at, shares);
                    at = at.saturating_add(step);
                }
            }
        }
    }

    /// Adds what a row of windows gives to the columns of a tile.
    #[inline(never)]
    fn add<A: Sum>(&self, plan: &Plan, tile: &Tile, shares: &[A], sums: &mut [A]) {
        let [_, _, width] = &self.layer.axes;
        match width {
            Windows::Sliding { axis, .. } => {
                let by = [axis.dilation.checked_div(plan.stride), axis.dilation.checked_rem(plan.stride)];
                let [by, rest] = by.map(|by| by.unwrap_or(0));
                let (mut behind, mut phase) = (0_usize, plan.rest);
                for _ in 0..axis.kernel {
                    // Column `j` of this phase belongs to the window at place `j + behind` of the row.
                    let skipped = behind.saturating_mul(tile.channels);
                    let sums = part_mut(sums, (phase as usize).saturating_mul(plan.phase), plan.phase);
                    plus(sums, shares.get(skipped..).unwrap_or_default());
                    behind = behind.saturating_add(by);
                    phase = phase.saturating_sub(rest as isize);
                    if phase < 0 {
                        (phase, behind) = (phase.saturating_add(plan.stride as isize), behind.saturating_add(1));
                    }
                }
            }
            Windows::Adaptive { .. } => {
                let ([first, end], n) = (tile.windows, tile.channels.max(1));
                for (ox, share) in (first..end).zip(shares.chunks_exact(n)) {
                    let taps = width.taps(ox);
                    let from = taps.start.max(tile.column).saturating_sub(tile.column);
                    let to = taps.start.saturating_add(taps.count).saturating_sub(tile.column).min(tile.columns);
                    let sums = part_mut(sums, from.saturating_mul(n), to.saturating_sub(from).saturating_mul(n));
                    match share {
                        [share] => sums.iter_mut().for_each(|sum| *sum = sum.plus(*share)),
                        share => sums.chunks_exact_mut(n).for_each(|sums| plus(sums, share)),
                    }
                }
            }
        }
    }

    /// The sums of a tile's columns, rounded, to rows of the input's gradient.
    #[inline(never)]
    fn store<A: Sum>(
        &self,
        [z, y]: [usize; 2],
        plan: &Plan,
        tile: &Tile,
        sums: &[A],
        gradients: &mut dyn Gradients<A>,
    ) {
        let input = &self.layer.input;
        let in_block = input.pixel([z, y, tile.column]).saturating_add(tile.channel);
        let (step, n) = (input.pixel_step(), tile.channels);
        let columns = tile.columns;
        for block in 0..tile.blocks {
            let start = input.block(tile.block.saturating_add(block)).saturating_add(in_block);
            let of_block = block.saturating_mul(plan.pitch);
            let mut phases = sums.chunks_exact(plan.phase.max(1)).map(|sums| sums.get(of_block..).unwrap_or_default());
            if step == n && plan.stride == 1 {
                gradients.store(start, part(phases.next().unwrap_or_default(), 0, columns.saturating_mul(n)));
            } else if step == 1 && n == 1 && plan.stride == 2 {
                let (even, odd) = (phases.next().unwrap_or_default(), phases.next().unwrap_or_default());
                gradients.store_in_turn(start, columns, even, odd);
            } else {
                for (phase, sums) in phases.enumerate() {
                    let columns = (phase..columns).step_by(plan.stride.max(1));
                    for (column, sums) in columns.zip(sums.chunks_exact(n.max(1))) {
                        let at = start.saturating_add(column.saturating_mul(step));
                        gradients.store(at, sums);
                    }
                }
            }
        }
    }
}

#[inline(never)]
fn plus<A: Sum>(sums: &mut [A], shares: &[A]) {
    vectorized(
        #[inline(always)]
        || {
            for (sum, share) in sums.iter_mut().zip(shares) {
                *sum = sum.plus(*share);
            }
        },
    );
}
