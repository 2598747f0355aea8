//! A loop nest over windows of any lengths, for folds that may be done in any order.
//!
//! ```text
//! for each strip: neighbouring windows of a row, all as long, that share some columns     where they lie is computed once
//!     for each row of outputs:
//!         fold each column of the rows that its windows have                               the inner loop runs along the row
//!         for each tap across: fold the taps of all windows of the strip                   the inner loop runs along the outputs
//! ```

use core::ops::Range;

use bytemuck::Pod;

use super::{Axes, Block, for_each_row};
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

/// Columns that are folded at a time, on the stack: as many as a byte can number, so that a number of a column is one of the array's.
const COLUMNS: usize = 256;

/// Neighbouring windows of a row, all of one length, whose columns are folded together; or one window that is longer.
struct Strip {
    /// Where each window starts, counted from the first.
    starts: [u8; COLUMNS],
    windows: usize,
    /// The first window's first column, and how many columns each has.
    first: usize,
    length: usize,
    /// The number of the first window in its row.
    number: usize,
}

impl Strip {
    /// Of no window, before the one with this number.
    fn new(number: usize) -> Self {
        Self { starts: [0; COLUMNS], windows: 0, first: 0, length: 0, number }
    }

    /// Takes the next window, if it fits.
    fn takes(&mut self, across: &Range<usize>) -> bool {
        if self.windows == 0 {
            (self.first, self.length) = (across.start, across.len());
        }
        let start = across.start.wrapping_sub(self.first);
        let is_near = start.saturating_add(across.len()) <= COLUMNS || self.windows == 0;
        let (Ok(near), Some(to)) = (u8::try_from(start), self.starts.get_mut(self.windows)) else { return false };
        if !is_near || across.len() != self.length {
            return false;
        }
        *to = near;
        self.windows = self.windows.saturating_add(1);
        true
    }

    /// The columns that the windows have.
    fn columns(&self) -> Range<usize> {
        let last = self.starts.get(self.windows.saturating_sub(1)).copied().unwrap_or(0);
        let end = self.first.saturating_add(last.into()).saturating_add(self.length);
        self.first..end
    }
}

/// A plane of the input, and how it is folded.
struct Pooling<'a, T, F> {
    fold: F,
    block: Block<'a, T>,
    /// The plane of the block.
    channel: usize,
}

impl<T: Pod, F: Fold<T>> Pooling<'_, T, F> {
    /// Folds some columns of these slabs and rows, at most [`COLUMNS`].
    #[inline(never)]
    fn fill(&self, slabs: &Range<usize>, rows: &Range<usize>, columns: Range<usize>, sums: &mut [F::Sum; COLUMNS]) {
        let Self { fold, block, channel } = *self;
        let mut is_first = true;
        let mut side_by_side = [T::zeroed(); COLUMNS];
        for slab in slabs.clone() {
            for row in rows.clone() {
                let row = block.row(slab, row);
                let taps = if block.has_whole_rows() {
                    row.get(columns.clone()).unwrap_or(&[])
                } else {
                    let taps = columns.clone().filter_map(|x| block.tap(row, x, channel));
                    side_by_side.iter_mut().zip(taps).for_each(|(to, tap)| *to = *tap);
                    side_by_side.get(..columns.len()).unwrap_or(&[])
                };
                if is_first {
                    sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.first(*tap));
                } else {
                    sums.iter_mut().zip(taps).for_each(|(sum, tap)| *sum = fold.then(*sum, *tap));
                }
                is_first = false;
            }
        }
    }

    /// Pools a strip of one row of outputs, to `dst`, which begins with the strip's first.
    #[inline(never)]
    fn row(&self, strip: &Strip, slabs: &Range<usize>, rows: &Range<usize>, step: usize, dst: &mut [T]) {
        let fold = self.fold;
        let mut sums = [fold.first(T::zeroed()); COLUMNS];
        let columns = strip.columns();
        if strip.length > COLUMNS {
            // One window, piece by piece.
            let mut sum = None;
            for from in columns.clone().step_by(COLUMNS) {
                let piece = from..columns.end.min(from.saturating_add(COLUMNS));
                let len = piece.len();
                self.fill(slabs, rows, piece, &mut sums);
                for column in sums.iter().take(len) {
                    sum = Some(sum.map_or(*column, |sum| fold.join(sum, *column)));
                }
            }
            if let (Some(to), Some(sum)) = (dst.first_mut(), sum) {
                *to = fold.finish(sum);
            }
            return;
        }
        self.fill(slabs, rows, columns, &mut sums);
        let column = |number: u8| sums.get(usize::from(number)).copied();
        let outputs = dst.iter_mut().step_by(step.max(1));
        for (to, start) in outputs.zip(&strip.starts).take(strip.windows) {
            let mut number = *start;
            let Some(mut sum) = column(number) else { continue };
            for _ in 1..strip.length {
                number = number.wrapping_add(1);
                sum = column(number).map_or(sum, |column| fold.join(sum, column));
            }
            *to = fold.finish(sum);
        }
    }
}

/// Rows of outputs that are wanted of a block, and the memory that they lie in.
pub(crate) struct Part<'a, T> {
    /// Counted from the block's first.
    pub rows: Range<usize>,
    /// Where the memory begins, counted from the block's first output.
    pub from: usize,
    pub dst: &'a mut [T],
}

/// Pools one plane, `channel` of the block.
pub(crate) fn plane<T: Pod, F: Fold<T>>(
    fold: F,
    axes: Axes<'_>,
    block: Block<'_, T>,
    channel: usize,
    output: &Tensor,
    part: Part<'_, T>,
) {
    let pooling = Pooling { fold, block, channel };
    let step = output.pixel_step();
    each_strip(axes, &mut |strip| {
        let before = strip.number.saturating_mul(step).saturating_add(channel);
        let mut row = 0_usize;
        for_each_row(axes, output, &mut |slabs, rows, place: Range<usize>| {
            if part.rows.contains(&row) {
                let at = place.start.saturating_add(before).saturating_sub(part.from);
                pooling.row(strip, slabs, rows, step, part.dst.get_mut(at..).unwrap_or_default());
            }
            row = row.saturating_add(1);
        });
    });
}

/// Hands on the strips of a row, which are those of every row: compiled once.
fn each_strip([_, _, width]: Axes<'_>, work: &mut dyn FnMut(&Strip)) {
    let mut strip = Strip::new(0);
    width.each(&mut |across| {
        if strip.takes(&across) {
            return;
        }
        work(&strip);
        strip = Strip::new(strip.number.saturating_add(strip.windows));
        strip.takes(&across);
    });
    work(&strip);
}
