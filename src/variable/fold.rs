//! Two walks over windows of any lengths. Both fold each column of a window in scan order and then the columns from left to
//! right, which is the order of the contract; they differ in what lies side by side in memory.

use core::ops::Range;

use super::{Block, Extent, Ranges, Windows, each_row, outputs_mut, pixels_mut, taps};
use crate::Element;
use crate::strides::Tensor;

/// What is done with the taps of a window, which has at least one.
pub(crate) trait Fold<T>: Copy {
    /// What is kept of the taps so far.
    type Sum: Copy;
    fn first(self, tap: T) -> Self::Sum;
    fn then(self, sum: Self::Sum, tap: T) -> Self::Sum;
    fn join(self, sum: Self::Sum, column: Self::Sum) -> Self::Sum;
    /// The output of a window of so many taps.
    fn finish(self, sum: Self::Sum, taps: usize) -> T;
}

/// Columns that are folded at a time, on the stack.
const COLUMNS: usize = 256;

/// Channels that are folded at a time, on the stack.
const CHANNELS: usize = 64;

/// Pools a tensor whose planes all have the same windows.
pub(crate) fn pool<T: Element, F: Fold<T>, W: Windows>(
    fold: F,
    extent: &Extent,
    axes: [W; 3],
    src: &[T],
    dst: &mut [T],
) {
    for (_, block, to) in extent.blocks(src) {
        let dst = dst.get_mut(to..).unwrap_or_default();
        if extent.split.inner == 1 {
            plane(fold, axes, block, 0, &extent.output, dst);
        } else {
            pixels(fold, axes, block, &extent.output, dst);
        }
    }
}

/// The columns of the rows that a window touches, each folded: a part of them, from where windows need them on.
struct Columns<S> {
    sums: [S; COLUMNS],
    held: Range<usize>,
}

impl<S: Copy> Columns<S> {
    /// Folds the columns from `from` on, as many as there is room for. The inner loop runs along the row.
    #[inline(always)]
    fn fill<T: Element, F: Fold<T, Sum = S>>(
        &mut self,
        fold: F,
        block: Block<'_, T>,
        channel: usize,
        window: &Ranges,
        from: usize,
    ) {
        let [slabs, rows, _] = window;
        let [_, _, width] = block.tensor.lengths;
        let end = width.min(from.saturating_add(COLUMNS));
        for (i, row) in block.rows(slabs.clone(), rows.clone()).enumerate() {
            if block.has_whole_rows() {
                fold_row(fold, i == 0, &mut self.sums, row.get(from..end).unwrap_or(&[]).iter());
            } else {
                fold_row(fold, i == 0, &mut self.sums, (from..end).filter_map(|x| block.tap(row, x, channel)));
            }
        }
        self.held = from..end;
    }
}

#[inline(always)]
fn fold_row<'a, T: Element, F: Fold<T>>(
    fold: F,
    is_first: bool,
    sums: &mut [F::Sum],
    taps: impl Iterator<Item = &'a T>,
) {
    if is_first {
        sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.first(*tap));
    } else {
        sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.then(*sum, *tap));
    }
}

/// Pools one plane, `channel` of the block: columns are folded once for a row of outputs, many at a time, then each window folds
/// its columns. `dst` begins with the output's block.
pub(crate) fn plane<T: Element, F: Fold<T>, W: Windows>(
    fold: F,
    axes: [W; 3],
    block: Block<'_, T>,
    channel: usize,
    output: &Tensor,
    dst: &mut [T],
) {
    let mut columns = Columns { sums: [fold.first(T::zeroed()); COLUMNS], held: 0..0 };
    let [_, _, width] = axes;
    for (slabs, rows, at) in each_row(axes, *output) {
        columns.held = 0..0;
        let outputs = outputs_mut(dst.get_mut(at).unwrap_or_default(), output, channel);
        for (output, across) in outputs.zip(width.windows()) {
            let window = [slabs.clone(), rows.clone(), across.clone()];
            let mut sum = None;
            let mut at = across.start;
            while at < across.end {
                if !columns.held.contains(&at) {
                    columns.fill(fold, block, channel, &window, at);
                }
                let Range { start, end } = columns.held;
                let part = at.saturating_sub(start)..across.end.min(end).saturating_sub(start);
                let part = columns.sums.get(part).unwrap_or(&[]);
                for column in part {
                    sum = Some(sum.map_or(*column, |sum| fold.join(sum, *column)));
                }
                // At least one, since the columns held contain `at`; but a loop must end whatever happens.
                at = at.saturating_add(part.len().max(1));
            }
            if let Some(sum) = sum {
                *output = fold.finish(sum, taps(&window));
            }
        }
    }
}

/// Pools the planes of a block, which lie side by side: each window for many channels at a time. `dst` begins with the output's
/// block.
fn pixels<T: Element, F: Fold<T>, W: Windows>(
    fold: F,
    axes: [W; 3],
    block: Block<'_, T>,
    output: &Tensor,
    dst: &mut [T],
) {
    let [_, _, width] = axes;
    for (slabs, rows, at) in each_row(axes, *output) {
        let outputs = pixels_mut(dst.get_mut(at).unwrap_or_default(), output);
        for (pixel, across) in outputs.zip(width.windows()) {
            let count = taps(&[slabs.clone(), rows.clone(), across.clone()]);
            for (i, part) in pixel.chunks_mut(CHANNELS).enumerate() {
                let from = i.saturating_mul(CHANNELS);
                let mut sums = [fold.first(T::zeroed()); CHANNELS];
                let mut column = sums;
                for (j, x) in across.clone().enumerate() {
                    for (k, row) in block.rows(slabs.clone(), rows.clone()).enumerate() {
                        fold_row(fold, k == 0, &mut column, block.taps(row, x, from, part.len()).iter());
                    }
                    if j == 0 {
                        sums = column;
                    } else {
                        sums.iter_mut().zip(&column).for_each(|(sum, column)| *sum = fold.join(*sum, *column));
                    }
                }
                part.iter_mut().zip(&sums).for_each(|(output, sum)| *output = fold.finish(*sum, count));
            }
        }
    }
}
