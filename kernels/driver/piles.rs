//! Channels last, many taps a window, which windows do not share: pixels piled up on a row of accumulators.
//!
//! ```text
//! for each output, for each strip of its channels:
//!     for each column of the window, or each few of its taps:        (1)
//!         for each few registers of the strip: fold them, onto the accumulators
//!     finish, store
//! ```
//!
//! 1. Where order is no matter, or columns have one row, taps are added a few at a time, so that an accumulator
//!    is loaded and stored once for all of them.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::program::RowTaps;
use super::{Core, Driver, Io, Position};
use crate::kernels::leaf::piles::Pile;
use crate::order::Order;

/// Taps that are folded at once, at most, and where any number may be.
const MOST_TAPS: usize = 64;
const FEW: usize = 8;

/// Bytes of accumulators, of which the last register may be a register more.
const STRIP: usize = 8 << 10;

#[repr(align(64))]
struct Strip(MaybeUninit<[u8; STRIP + 64]>);

#[derive(Debug)]
pub(crate) struct Piles {
    /// Whether taps are one list, in any order or one after the other.
    is_list: bool,
    /// Channels of a strip.
    strip: usize,
}

impl Piles {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let geometry = &core.layer.geometry;
        let [depth, height, _] = &geometry.axes;
        let facts = core.facts();
        let slides = geometry.axes.iter().all(crate::geometry::Axis::slides);
        let column = depth.kernel.saturating_mul(height.kernel);
        let is_list = facts.any_order || column == 1;
        let takes = slides
            && (facts.any_order || core.order == Order::Columns)
            && facts.tabled
            && geometry.inner >= facts.lanes
            && !geometry.may_have_empty_windows()
            && (is_list || column <= MOST_TAPS);
        let strip = geometry.inner.min(STRIP / facts.lane);
        takes.then_some(Self { is_list, strip })
    }

    /// One output by one of the twins; whether it met what it watches for.
    ///
    /// # Safety
    /// As for `run`, of output `x` of the row at `at`, which begins at `dst`.
    unsafe fn output(&self, core: &Core, twin: &super::Twin, io: &Io, at: &Position, x: usize, dst: *mut u8) -> bool {
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
        let mut accumulators = Strip(MaybeUninit::uninit());
        let mut met = false;
        let mut channel = 0;
        loop {
            // The last strip overlaps the one before.
            channel = channel.min(inner - self.strip);
            let mut pile = Pile {
                src: io
                    .src
                    .wrapping_add(rows.first)
                    .wrapping_add(columns.start.wrapping_mul(pixel))
                    .wrapping_add(channel * facts.memory),
                offsets: core::ptr::null(),
                taps: 0,
                lanes: accumulators.0.as_mut_ptr().cast(),
                dst: dst.wrapping_add(channel * facts.memory),
                len: self.strip,
                is_first: true,
                is_last: false,
                is_chain: self.is_list,
                divisor,
                word_bytes: facts.register(),
            };
            let mut offsets = [0; MOST_TAPS];
            let mut taps = 0;
            // A list goes along rows, columns go down.
            let (lines, line) = if self.is_list { (1, columns.count) } else { (columns.count, 1) };
            for k in 0..lines {
                for z in 0..rows.slabs {
                    for y in 0..rows.rows {
                        for x in 0..line {
                            let row = z.wrapping_mul(rows.slab_bytes).wrapping_add(y.wrapping_mul(rows.row_bytes));
                            offsets[taps] = row.wrapping_add((k + x).wrapping_mul(column_bytes));
                            taps += 1;
                            let ends = z + 1 == rows.slabs && y + 1 == rows.rows && x + 1 == line;
                            if ends || self.is_list && taps == FEW {
                                pile.is_last = ends && k + 1 == lines;
                                (pile.offsets, pile.taps) = (offsets.as_ptr(), taps);
                                // SAFETY: pixels of the window, a strip of the output's, and as many accumulators.
                                met |= unsafe { twin.leaves.piles.call(&twin.constants, &pile) };
                                (pile.is_first, taps) = (false, 0);
                            }
                        }
                    }
                }
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
        for _ in rows {
            let row = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            for x in 0..geometry.axes[2].output {
                let dst = row.wrapping_add(x.wrapping_mul(pixel));
                // SAFETY: an output of the run.
                caution.run(core, |twin| unsafe { self.output(core, twin, io, &at, x, dst) });
            }
            at.advance(geometry, 1);
        }
    }
}
