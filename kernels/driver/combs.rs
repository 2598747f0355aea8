//! Windows along a row that are too long for scratch, of operations for which order is no matter.
//!
//! ```text
//! k = q·p + rest, p a few registers of pixels: scratch[i] = the fold of pixels i, i + p, … i + (q − 1)·p     (1)
//! across: the fold of the p pixels from i on is that of the q·p pixels of the row from i on                  (2)
//! ```
//!
//! 1. The row is seen as an image, `p` pixels wide, whose rows follow each other: its windows are `q` rows high
//!    and share what they load (`leaf/long.rs`), whatever they overlap in the row.
//! 2. By doubling, as in every long window. An extreme takes the window from two of them that overlap; a sum
//!    folds the rest in an area of its own.
//!
//! So a pixel costs about as much for a window of 10⁵ pixels as for one of 10³.

use super::{Core, Io, Twin};
use crate::geometry::Axis;
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::kernels::leaf::long::Shared;

/// Registers that a row of `p` pixels has at least: what the leaf folds side by side.
const BLOCK: usize = 4;

/// Rows of the longest windows that are not worth it.
const FEW: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Comb {
    /// Pixels of a row, a power of two, rows of a window, and pixels that are left.
    pub(super) pixels: usize,
    pub(super) rows: usize,
    pub(super) rest: usize,
    /// Rows that are before the first pixel of the input.
    before: usize,
}

/// The pixels of a tile: where they are, and where scratch is to hold them.
pub(super) struct Pixels {
    /// Of the input's row, from its first pixel; the first inner element.
    pub(super) src: *const u8,
    /// Inner elements, and bytes from a pixel to the next.
    pub(super) inner: usize,
    pub(super) pixel_in: usize,
    /// Whether there is such a row.
    pub(super) is_empty: bool,
    /// The first pixel, counted from the input's first, and how many.
    pub(super) first: isize,
    pub(super) count: usize,
    pub(super) dst: *mut u8,
}

impl Comb {
    /// For parts of `inner` elements. `None` where windows have other rows or few of these.
    pub(super) fn new(facts: &Facts, width: &Axis, inner: usize) -> Option<Self> {
        let pixels = (BLOCK * facts.lanes).div_ceil(inner.max(1)).next_power_of_two();
        let rows = width.kernel / pixels;
        let rest = width.kernel % pixels;
        (rows >= FEW).then(|| Self { pixels, rows, rest, before: width.begin.div_ceil(pixels) })
    }

    /// Pixels of scratch that so many columns of the input need.
    pub(super) fn span(&self, columns: usize) -> usize {
        columns.saturating_add(3 * self.pixels).saturating_add(self.rest)
    }

    /// How many pixels of scratch are before the first one.
    pub(super) fn offset(&self, first: isize) -> usize {
        (first + (self.before * self.pixels) as isize) as usize % self.pixels
    }

    /// Folds the combs of `pixels`, and of some before them. Says whether it met what the operation watches for, and how
    /// many pixels it wrote.
    ///
    /// # Safety
    /// The pixels of the input's row are readable; scratch has room for `span`.
    pub(super) unsafe fn down(&self, twin: &Twin, io: &Io, width: &Axis, pixels: &Pixels) -> (bool, usize) {
        let facts = &twin.leaves.facts;
        let (p, q, inner) = (self.pixels, self.rows, pixels.inner);
        let pixel_out = inner * facts.lane;
        // Rows of the image are counted from one in the padding.
        let begin = (pixels.first + (self.before * p) as isize) as usize;
        let (start, end) = (begin / p, (begin + pixels.count).div_ceil(p));
        let is_run = pixels.pixel_in == inner * facts.memory;
        let whole = self.before + width.input / p;
        let part = width.input % p;
        let mut met = false;
        let mut y = start;
        while y < end {
            // The windows that share the cut `m`: those that begin in (m − q, m].
            let cut = y.div_ceil(q) * q;
            let windows = (cut + 1 - y).min(end - y);
            let rows = y..y + windows + q - 1;
            let mut call = |from: usize, to: usize, valid_end: usize| {
                let (outer, len) = if is_run { (1, (to - from) * inner) } else { (to - from, inner) };
                let shared = Shared {
                    src: pixels
                        .src
                        .wrapping_sub((self.before * p).wrapping_mul(pixels.pixel_in))
                        .wrapping_add(from.wrapping_mul(pixels.pixel_in)),
                    row_bytes: p.wrapping_mul(pixels.pixel_in),
                    dst: pixels.dst.wrapping_add(((y - start) * p + from) * pixel_out),
                    pitch: p * pixel_out,
                    rows: rows.clone(),
                    cut,
                    windows,
                    kernel: q,
                    valid: if pixels.is_empty { 0..0 } else { self.before..valid_end },
                    len,
                    outer,
                    outer_in: pixels.pixel_in,
                    outer_out: pixel_out,
                    readable: io.src_end,
                };
                // SAFETY: valid rows of the input, and rows of scratch, a register behind each of which is written again.
                met |= unsafe { twin.leaves.shared.call(&twin.constants, &shared) };
            };
            if part == 0 || rows.end <= whole {
                call(0, p, whole);
            } else if part * inner < facts.lanes {
                // A register is stored over the end of the shorter part.
                call(0, part, whole + 1);
                call(part, p, whole);
            } else {
                call(part, p, whole);
                call(0, part, whole + 1);
            }
            y += windows;
        }
        (met, (end - start) * p)
    }

    /// Loads `pixels` as they are: a sum's rest. Those in the padding are left out: how many are before, and how many are
    /// loaded.
    ///
    /// # Safety
    /// As for `down`.
    pub(super) unsafe fn rest(&self, twin: &Twin, io: &Io, width: &Axis, pixels: &Pixels) -> (usize, usize) {
        let facts = &twin.leaves.facts;
        let pixel_out = pixels.inner * facts.lane;
        let last = pixels.first + pixels.count as isize;
        let start = pixels.first.max(0).min(last);
        let end = last.min(width.input as isize).max(start);
        let (before, count) = ((start - pixels.first) as usize, (end - start) as usize);
        if count == 0 || pixels.is_empty {
            return (before, 0);
        }
        let is_run = pixels.pixel_in == pixels.inner * facts.memory;
        let (outer, len) = if is_run { (1, count * pixels.inner) } else { (count, pixels.inner) };
        let dst = pixels.dst.wrapping_add(before * pixel_out);
        let fold = Fold {
            src: pixels.src.wrapping_add((start as usize).wrapping_mul(pixels.pixel_in)),
            dst,
            taps: Taps::ONE,
            outer,
            outer_in: pixels.pixel_in,
            outer_out: pixel_out,
            len,
            divisors: core::ptr::null(),
            word_bytes: 0,
            lane_bytes: 0,
            chunk: None,
            readable: io.src_end,
            writable: dst,
        };
        // SAFETY: pixels of the input, and scratch for them.
        unsafe { twin.leaves.down.call(&twin.constants, &fold) };
        (before, count)
    }
}

/// Whether a layer's windows are rows that may be folded in any order.
pub(super) fn takes(core: &Core) -> bool {
    let [depth, height, width] = &core.layer.geometry.axes;
    let is_row = depth.kernel == 1 && height.kernel == 1 && depth.slides() && height.slides();
    // A register is not stored over the end of a pixel.
    let is_long = core.layer.has_whole_rows() || core.layer.geometry.inner >= core.facts().lanes;
    core.facts().any_order && is_row && is_long && width.slides() && width.dilation == 1 && width.output > 1
}
