//! Windows folded straight from memory, every tap of each.
//!
//! ```text
//! for each output row, for each run of outputs with the same taps:
//!     fold all taps of all lanes of the run, finish, store
//! ```
//!
//! For windows of few taps, and for those that share nothing. It takes every layer: its plan is a table at
//! most, and what a row needs is worked out when it is run. Windows of thousands of taps go through a leaf
//! that adds them in blocks.

use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::program::{Compaction, OutputRun, RowTaps, run_from};
use super::{Core, Driver, Io, Position, Twin};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::order::Order;

#[derive(Debug)]
pub(crate) struct Direct {
    compaction: Option<Compaction>,
}

impl Direct {
    pub(crate) fn new(core: &Core) -> Self {
        let geometry = &core.layer.geometry;
        let width = &geometry.axes[2];
        let takes = core.order != Order::Blocks && width.slides() && core.layer.has_whole_rows();
        let compaction = if takes { Compaction::new(core.facts(), geometry.inner, width.stride) } else { None };
        Self { compaction }
    }

    /// For a layer without outputs.
    pub(crate) fn of_nothing() -> Self {
        Self { compaction: None }
    }

    /// One output row by one of the twins; whether it met what it watches for.
    ///
    /// # Safety
    /// As for `run`, of the row at `at`, which begins at `dst`.
    unsafe fn row(&self, core: &Core, twin: &Twin, io: &Io, at: &Position, dst: *mut u8) -> bool {
        let layer = &core.layer;
        let [depth, height, width] = &layer.geometry.axes;
        let (facts, inner) = (core.facts(), layer.geometry.inner);
        let (pixel_in, pixel_out) = (layer.places.input.pixel, layer.places.output.pixel);
        let is_whole = layer.has_whole_rows();
        let rows = RowTaps::new(core, at.outer, at.z, at.y);
        let leaf = if core.order == Order::Blocks { twin.leaves.blocks } else { twin.leaves.direct };
        let divisors = &core.divisors;
        let class = divisors.factor(depth, at.z).saturating_mul(divisors.factor(height, at.y));
        let mut block = Block::new();
        let mut met = false;
        let mut x = 0;
        while x < width.output {
            let OutputRun { len: n, taps } = run_from(width, x, width.output);
            let divisor = class.saturating_mul(divisors.factor(width, x));
            let mut fold = Fold {
                src: io.src.wrapping_add(rows.first).wrapping_add(taps.start.wrapping_mul(pixel_in * facts.memory)),
                dst: dst.wrapping_add(x * pixel_out * facts.memory),
                taps: Taps {
                    columns: if rows.is_empty() { 0 } else { taps.count },
                    column_bytes: width.dilation.wrapping_mul(pixel_in).wrapping_mul(facts.memory),
                    slabs: rows.slabs,
                    slab_bytes: rows.slab_bytes,
                    rows: rows.rows,
                    row_bytes: rows.row_bytes,
                },
                outer: 1,
                outer_in: 0,
                outer_out: 0,
                len: inner,
                divisors: divisors.words(twin.leaves, &twin.constants, divisor, &mut block),
                word_bytes: facts.register(),
                lane_bytes: 0,
                chunk: None,
                readable: io.src_end,
                writable: layer.end(io, at, at.y, dst, facts.memory),
            };
            if n > 1 && is_whole && width.stride == 1 {
                fold.len = n * inner;
            } else if n > 1
                && let Some(compaction) = &self.compaction
            {
                fold.len = n * inner;
                fold.chunk = Some(compaction.chunk(fold.len));
            } else {
                fold.outer = n;
                fold.outer_in = width.stride.wrapping_mul(pixel_in).wrapping_mul(facts.memory);
                fold.outer_out = pixel_out * facts.memory;
            }
            // SAFETY: every tap of the run's windows is one of the layer's, and its outputs are the row's; `words` and
            // `chunk` give as many bytes as the leaves' own facts say.
            met |= unsafe { leaf.call(&twin.constants, &fold) };
            x += n;
        }
        met
    }
}

impl Driver for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let geometry = &core.layer.geometry;
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let mut caution = Caution::default();
        for _ in rows {
            let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            // SAFETY: a row of the run.
            caution.run(core, |twin| unsafe { self.row(core, twin, io, &at, dst) });
            at.advance(geometry, 1);
        }
    }

    fn bytes(&self) -> usize {
        self.compaction.as_ref().map_or(0, Compaction::bytes)
    }
}
