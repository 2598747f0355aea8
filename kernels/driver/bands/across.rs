//! Across scratch rows: along them first where windows are long, then the columns that are left of each window, and the outputs.

use super::super::divisors::Block;
use super::super::program::Scan;
use super::super::{Core, Io, Twin, fill};
use super::{Bands, Tile, first_tap};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::kernels::leaf::long::Stage;

impl Bands {
    /// Folds the columns of the windows in scratch rows, and stores the outputs.
    ///
    /// # Safety
    /// As for `tile`.
    pub(super) unsafe fn across(
        &self,
        core: &Core,
        twin: &Twin,
        io: &Io,
        tile: &Tile,
        scratch: *mut u8,
        window: Window,
    ) {
        let layer = &core.layer;
        let [depth, height, width] = &layer.geometry.axes;
        let (facts, at) = (core.facts(), &tile.at);
        let (divisors, pixel_out) = (&core.divisors, layer.places.output.pixel);
        let pixel = tile.len * facts.lane;
        // Whether a row is one run.
        let is_run = tile.outputs.start == 0
            && (self.alike.len() == width.output || self.ends.as_ref().is_some_and(|ends| ends.are_all(width.output)));
        let mut block = Block::new();
        let mut row = 0;
        while row < tile.rows {
            // Rows that divide by the same are one call, where each is a run.
            let high = divisors.factor(height, at.y + row);
            let is_one = self.gathered > 0 || self.compaction.is_some() && !is_run;
            let rest = if is_one { row + 1..row + 1 } else { row + 1..tile.rows };
            let rows = 1 + rest.take_while(|row| divisors.factor(height, at.y + row) == high).count();
            let class = divisors.factor(depth, at.z).saturating_mul(high);
            let dst = tile.dst.wrapping_add(tile.row_out.wrapping_mul(row));
            // How many calls, of how many rows each, and bytes from one to the next. All rows of planes are neighbours.
            let plane = tile.rows * self.row_pitch();
            let are_whole = tile.plane_out == tile.rows.wrapping_mul(tile.row_out) || tile.planes == 1;
            let (count, repeats, each, step) = if rows == tile.rows && are_whole && !is_one {
                (1, rows * tile.planes, [self.row_pitch(), tile.row_out], [0; 2])
            } else if rows >= tile.planes {
                (tile.planes, rows, [self.row_pitch(), tile.row_out], [plane, tile.plane_out])
            } else {
                (rows, tile.planes, [plane, tile.plane_out], [self.row_pitch(), tile.row_out])
            };
            // A register may be stored over the end of its outputs where the run writes again later: not behind a part
            // of the inner elements, and not over the next row of the band, where an earlier tile may have been, nor over
            // the next plane.
            let row_bytes = layer.geometry.row_len() * facts.memory;
            let writable = match layer.end(io, at, at.y + row, dst, facts.memory) {
                _ if tile.len < layer.geometry.inner => dst,
                end if tile.outputs.start > 0 && row + 1 < tile.rows => end.min(dst.wrapping_add(row_bytes)),
                // All rows of the planes are a tile's, or one is.
                end if tile.planes > 1
                    && rows < height.output
                    && (height.output - at.y - row - rows) * row_bytes < 2 * facts.lanes * facts.memory =>
                {
                    end.min(dst.wrapping_add((height.output - at.y - row) * row_bytes))
                }
                end => end,
            };
            let mut x = tile.outputs.start;
            while x < tile.outputs.end {
                let at_end = self.ends.as_ref().and_then(|ends| ends.words(class, x, tile.outputs.end));
                let mut fold = Fold {
                    src: scratch.wrapping_add(row * self.row_pitch() + window.begin),
                    dst: dst.wrapping_add((x * pixel_out + tile.channel) * facts.memory),
                    taps: Taps { columns: window.columns, column_bytes: window.step, ..Taps::ONE },
                    outer: 1,
                    outer_in: 0,
                    outer_out: 0,
                    len: tile.len,
                    divisors: core::ptr::null(),
                    word_bytes: facts.register(),
                    lane_bytes: 0,
                    chunk: None,
                    readable: core::ptr::null(),
                    writable,
                };
                let n = if let (Some(ends), Some((words, n))) = (&self.ends, at_end) {
                    (fold.divisors, fold.word_bytes, fold.lane_bytes) = (words, ends.pitch, facts.lane);
                    n
                } else {
                    if !width.slides() {
                        fold.taps.columns = width.taps(x).count;
                    }
                    let divisor = class.saturating_mul(divisors.factor(width, x));
                    fold.divisors = divisors.words(twin.leaves, &twin.constants, divisor, &mut block);
                    if self.alike.contains(&x) { self.alike.end.min(tile.outputs.end) - x } else { 1 }
                };
                let from = (first_tap(width, x) - first_tap(width, tile.outputs.start)) as usize;
                fold.src = fold.src.wrapping_add(from * pixel);
                if x > 0 && rows * tile.planes > 1 {
                    // The beginning of the next row has been written.
                    let row_end = dst.wrapping_add(row_bytes);
                    fold.writable = if row_end < writable { row_end } else { writable };
                }
                if n > 1 && width.stride == 1 && pixel_out == tile.len {
                    fold.len = n * tile.len;
                } else if n > 1
                    && let Some(compaction) = &self.compaction
                {
                    fold.len = n * tile.len;
                    fold.chunk = Some(compaction.chunk(fold.len));
                } else if n > 1 && self.gathered > 0 {
                    let to = scratch.wrapping_add(self.areas * self.rows * self.planes * self.row_pitch());
                    for k in 0..window.columns {
                        let from = fold.src.wrapping_add(k.wrapping_mul(window.step));
                        let to = to.wrapping_add(k * self.gathered);
                        // SAFETY: pixels of a scratch row, and a row of the area behind the scratch rows; each row of
                        // either has two registers more. A run that is no register is read as one.
                        unsafe {
                            gather(from, width.stride * pixel, to, pixel, n);
                            if n * tile.len < facts.lanes {
                                fill(to.wrapping_add(n * pixel), &twin.fill, facts.lane, facts.lanes);
                            }
                        }
                    }
                    fold.src = to;
                    fold.taps.column_bytes = self.gathered;
                    fold.len = n * tile.len;
                } else {
                    fold.outer = n;
                    fold.outer_in = width.stride.wrapping_mul(pixel);
                    fold.outer_out = pixel_out * facts.memory;
                }
                let (count, step) = if fold.outer == 1 {
                    (fold.outer, [fold.outer_in, fold.outer_out]) = (repeats, each);
                    (count, step)
                } else {
                    (rows, [self.row_pitch(), tile.row_out])
                };
                for _ in 0..count {
                    // SAFETY: the windows' columns in scratch rows, and outputs of the tile.
                    unsafe { twin.leaves.across.call(&twin.constants, &fold) };
                    fold.src = fold.src.wrapping_add(step[0]);
                    fold.dst = fold.dst.wrapping_add(step[1]);
                    if x > 0 {
                        // Up to the end of the next one's rows, no further than before.
                        let next = fold.writable.wrapping_add(step[1]);
                        fold.writable = if next < io.dst_end { next } else { io.dst_end };
                    }
                }
                x += n;
            }
            row += rows;
        }
    }

    /// Adds up every window of the scratch rows, in the second area.
    ///
    /// # Safety
    /// As for `tile`.
    pub(super) unsafe fn running(
        &self,
        twin: &Twin,
        scan: &Scan,
        rows: usize,
        taps: usize,
        step: usize,
        scratch: *mut u8,
    ) -> Window {
        let area = self.rows * self.planes * self.row_pitch();
        let stage = Stage {
            sums: scratch.wrapping_add(area),
            outer: rows,
            pitch: self.row_pitch(),
            taps,
            tables: scan.tables.as_ptr(),
            steps: scan.steps,
            ..Stage::fold(scratch, self.lanes, step, 2)
        };
        // SAFETY: both areas hold the tile's rows, and the tables are those of pixels so long.
        unsafe { twin.leaves.stage.call(&twin.constants, &stage) };
        Window { begin: area, columns: 1, step: 0 }
    }

    /// Folds along the scratch rows by doubling: after half as many passes as the kernel has binary digits, which fold
    /// four elements each, every element is the fold of a power of two of elements from itself on.
    ///
    /// An operation that may count a tap twice covers the window by two overlapping powers. A sum adds up the powers of
    /// the kernel's binary digits, the smallest first and from left to right: all but the highest in the second area,
    /// in the passes that make the next ones.
    ///
    /// # Safety
    /// As for `tile`.
    pub(super) unsafe fn double(&self, twin: &Twin, rows: usize, taps: usize, step: usize, scratch: *mut u8) -> Window {
        let facts = &twin.leaves.facts;
        let area = self.rows * self.planes * self.row_pitch();
        let (mut power, mut done) = (1, 0);
        let stage = |digit: usize, power: usize, by: usize, done: usize| {
            let stage = Stage {
                sums: scratch.wrapping_add(if facts.idempotent { 0 } else { area }),
                outer: rows,
                pitch: self.row_pitch(),
                digit,
                done: done * step,
                ..Stage::fold(scratch, self.lanes, power * step, by)
            };
            // SAFETY: both areas hold the tile's rows, and what a pass reads is part of a window.
            unsafe { twin.leaves.stage.call(&twin.constants, &stage) };
        };
        while 4 * power <= taps {
            let digit = if facts.idempotent { 0 } else { taps / power % 4 };
            stage(digit, power, 4, done);
            done += digit * power;
            power *= 4;
        }
        if taps / power >= 2 {
            let digit = usize::from(!facts.idempotent && taps / power == 3);
            stage(digit, power, 2, done);
            done += digit * power;
            power *= 2;
        }
        let bytes = step * facts.lane;
        if facts.idempotent {
            let rest = taps - power;
            Window { begin: 0, columns: if rest == 0 { 1 } else { 2 }, step: rest * bytes }
        } else if done == 0 {
            Window { begin: 0, columns: 1, step: 0 }
        } else {
            // The highest power is left, beside the sums of the others.
            Window { begin: area, columns: 2, step: (done * bytes).wrapping_sub(area) }
        }
    }
}

/// The columns of a window in its scratch row.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) begin: usize,
    pub(super) columns: usize,
    pub(super) step: usize,
}

/// Copies `count` pixels of `bytes` bytes, each `step` bytes behind the one before, side by side.
///
/// # Safety
/// All of them are readable and writable, and as many bytes behind the last as make the next power of two. Both areas are
/// written before they are read.
unsafe fn gather(from: *const u8, step: usize, to: *mut u8, bytes: usize, count: usize) {
    macro_rules! copied {
        ($($longest:literal as $T:ty),+) => { $(
            if bytes <= $longest {
                for i in 0..count {
                    // SAFETY: by this function's contract. What a pixel's copy writes behind it the next one's writes over.
                    unsafe {
                        let pixel = from.wrapping_add(i * step).cast::<$T>().read_unaligned();
                        to.wrapping_add(i * bytes).cast::<$T>().write_unaligned(pixel);
                    }
                }
                return;
            }
        )+ };
    }
    copied!(1 as u8, 2 as u16, 4 as u32, 8 as u64, 16 as u128, 32 as [u128; 2], 64 as [u128; 4]);
    for i in 0..count {
        // SAFETY: by this function's contract.
        unsafe { core::ptr::copy_nonoverlapping(from.wrapping_add(i * step), to.wrapping_add(i * bytes), bytes) };
    }
}
