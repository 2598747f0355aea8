//! A loop nest over windows of any lengths. It folds each column of a window in scan order and then the columns from
//! left to right, which is the order of the contract.
//!
//! ```text
//! for each row of outputs:
//!     for each window:
//!         fold the columns that are not held yet, as many as there is room for     the inner loop runs along the row
//!         fold the window's columns
//! ```

use core::ops::Range;

use bytemuck::Pod;

use super::{Axes, Block, Ranges, for_each_row};
use crate::strides::Tensor;

/// What is done with the taps of a window, which has at least one.
pub(crate) trait Fold<T>: Copy {
    /// What is kept of the taps so far.
    type Sum: Copy;
    fn first(self, tap: T) -> Self::Sum;
    fn then(self, sum: Self::Sum, tap: T) -> Self::Sum;
    fn join(self, sum: Self::Sum, column: Self::Sum) -> Self::Sum;
    /// The output of a window.
    fn finish(self, sum: Self::Sum) -> T;
}

/// Columns that are folded at a time, on the stack.
const COLUMNS: usize = 256;

/// The columns of the rows that a window touches, each folded: a part of them, from where windows need them on.
struct Columns<'a, T, F: Fold<T>> {
    fold: F,
    block: Block<'a, T>,
    /// The plane of the block.
    channel: usize,
    sums: [F::Sum; COLUMNS],
    held: Range<usize>,
}

impl<T: Pod, F: Fold<T>> Columns<'_, T, F> {
    /// Folds the columns from `from` on, as many as there is room for.
    #[inline(never)]
    fn fill(&mut self, [slabs, rows, _]: &Ranges, from: usize) {
        let Self { fold, block, channel, ref mut sums, .. } = *self;
        let [_, _, width] = block.tensor.lengths;
        let end = width.min(from.saturating_add(COLUMNS));
        let mut is_first = true;
        let mut side_by_side = [T::zeroed(); COLUMNS];
        for slab in slabs.clone() {
            for row in rows.clone() {
                let row = block.row(slab, row);
                let taps = if block.has_whole_rows() {
                    row.get(from..end).unwrap_or(&[])
                } else {
                    let taps = (from..end).filter_map(|x| block.tap(row, x, channel));
                    side_by_side.iter_mut().zip(taps).for_each(|(to, tap)| *to = *tap);
                    side_by_side.get(..end.saturating_sub(from)).unwrap_or(&[])
                };
                if is_first {
                    sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.first(*tap));
                } else {
                    sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.then(*sum, *tap));
                }
                is_first = false;
            }
        }
        self.held = from..end;
    }

    /// The output of a window, which has at least one column.
    #[inline(never)]
    fn window(&mut self, window: &Ranges) -> Option<T> {
        let [_, _, across] = window;
        let mut sum = None;
        let mut at = across.start;
        while at < across.end {
            if !self.held.contains(&at) {
                self.fill(window, at);
            }
            let Range { start, end } = self.held;
            let part = at.saturating_sub(start)..across.end.min(end).saturating_sub(start);
            let part = self.sums.get(part).unwrap_or(&[]);
            for column in part {
                sum = Some(sum.map_or(*column, |sum| self.fold.join(sum, *column)));
            }
            // At least one, since the columns held contain `at`; but a loop must end whatever happens.
            at = at.saturating_add(part.len().max(1));
        }
        sum.map(|sum| self.fold.finish(sum))
    }
}

/// Pools one plane, `channel` of the block. `dst` begins with the output's block.
pub(crate) fn plane<T: Pod, F: Fold<T>>(
    fold: F,
    axes: Axes<'_>,
    block: Block<'_, T>,
    channel: usize,
    output: &Tensor,
    dst: &mut [T],
) {
    let sums = [fold.first(T::zeroed()); COLUMNS];
    let mut columns = Columns { fold, block, channel, sums, held: 0..0 };
    each_window(axes, output, &mut |window, is_new_row, to| {
        if is_new_row {
            columns.held = 0..0;
        }
        let pooled = columns.window(window);
        if let (Some(pooled), Some(to)) = (pooled, dst.get_mut(to.saturating_add(channel))) {
            *to = pooled;
        }
    });
}

/// Hands on each window, whether it is the first of its row, and where its output's pixel lies in the block: compiled
/// once.
fn each_window(axes: Axes<'_>, output: &Tensor, work: &mut dyn FnMut(&Ranges, bool, usize)) {
    let [_, _, width] = axes;
    for_each_row(axes, output, &mut |slabs, rows, place: Range<usize>| {
        let mut window = [slabs.clone(), rows.clone(), 0..0];
        let (mut is_new_row, mut to) = (true, place.start);
        width.each(&mut |across| {
            let [_, _, last] = &mut window;
            *last = across;
            work(&window, is_new_row, to);
            is_new_row = false;
            to = to.saturating_add(output.pixel_step());
        });
    });
}
