//! How a layer is cut so that a tile's scratch rows fit, and an output is cheap.

use super::{Bands, Core, SCRATCH, span};
use crate::kernels::driver::combs::Comb;
use crate::kernels::driver::ends::Ends;
use crate::kernels::driver::program::{Compaction, Scan};
use crate::order::{LONG, Order};

/// What a pass across costs that folds four elements each, and what all of them cost where a band is chosen, in registers
/// that are loaded or stored.
const PASS: f64 = 5.0;
const ACROSS: f64 = 5.0;

fn log4(n: usize) -> f64 {
    f64::from(n.ilog2()) / 2.0
}

/// What a call of a leaf costs, in registers that are loaded or stored.
const CALL: f64 = 15.0;

/// Rows that a band of short windows has at most.
const MOST_ROWS: usize = 16;

/// Rows of a window that moves by one that are faster shared than loaded again.
const SHARED: usize = 6;

/// Planes that are folded together, at most.
const MOST_PLANES: usize = 16;

/// Scratch that a layer without long axes uses, so that what streams through stays in the first-level cache.
const SHORT: usize = 24 << 10;

impl Bands {
    /// With or without combs, and about what an output costs.
    pub(super) fn plan(core: &Core, is_combed: bool) -> Option<(f64, Self)> {
        let geometry = &core.layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let facts = core.facts();
        let long = match core.order {
            Order::Lanes16 => return None,
            _ if is_combed => [false, true],
            // What has no order shares what it can: down, where all windows are loaded faster than those of every other row.
            _ if facts.any_order => {
                let is_near = height.dilation == 1 && depth.kernel == 1 && height.slides() && height.output > 1;
                let is_long = width.kernel >= LONG && width.output > 1 && width.slides();
                [is_near && height.kernel > SHARED.saturating_mul(height.stride), is_long]
            }
            Order::Long { rows, columns } => [rows, columns],
            Order::Columns => [false; 2],
            Order::Blocks => return None,
        };
        // A window along a row is made of the one before, if its pixels can be.
        let runs = |inner: usize| {
            let is_able = facts.scans || inner.saturating_mul(width.dilation) >= facts.lanes;
            long[1] && facts.unjoins && is_able
        };
        let slides = long[0] && facts.scans && !facts.plain;
        let spread = if long[0] && !slides { height.stride } else { 1 };
        let combed = |inner: usize| if is_combed { Comb::new(facts, width, inner) } else { None };
        let span = |inner: usize, outputs: usize| match combed(inner) {
            Some(comb) => comb.span((outputs - 1).saturating_mul(width.stride)),
            None => span(width, outputs),
        };
        // A register may be read behind the last lane, and doubling goes over two more.
        let pitch = |inner: usize, outputs: usize| {
            let lanes = span(inner, outputs).saturating_mul(inner).saturating_add(3 * facts.lanes);
            lanes.checked_mul(facts.lane)?.checked_next_multiple_of(64)
        };
        let areas = |inner: usize| match combed(inner) {
            _ if facts.idempotent || !long[1] => 1,
            // What is left, and its sums.
            Some(comb) if comb.rest > 0 => 3,
            Some(_) => 1,
            None => 2,
        };
        let room = if long[0] || long[1] { SCRATCH } else { SHORT };
        let is_whole = core.layer.has_whole_rows();
        let strides = width.slides() && width.stride > 1 && is_whole;
        let compaction = if strides { Compaction::new(facts, geometry.inner, width.stride) } else { None };
        let compaction = compaction.filter(|_| facts.permutes());
        let gathers = strides && compaction.is_none() && !facts.plain && geometry.inner < facts.lanes;
        // Of each tap that is left.
        let taps = if long[1] { 2 } else { width.kernel };
        let gathered = |outputs: usize| {
            let bytes =
                outputs.saturating_mul(geometry.inner).saturating_add(2 * facts.lanes).checked_mul(facts.lane)?;
            if gathers { bytes.checked_next_multiple_of(64) } else { Some(0) }
        };
        let fits = |rows: usize, inner: usize, outputs: usize, room: usize| {
            let scratch = pitch(inner, outputs).and_then(|p| p.checked_mul(rows.checked_mul(spread * areas(inner))?));
            let beside = gathered(outputs).and_then(|bytes| bytes.checked_mul(taps));
            // A row of nothing, in the place of one that goes or comes.
            let nothing = if slides { pitch(inner, outputs) } else { Some(0) };
            let all = scratch.zip(beside).and_then(|(a, b)| a.checked_add(b));
            all.zip(nothing).and_then(|(a, b)| a.checked_add(b)).is_some_and(|all| all <= room)
        };
        // As much of a pixel as leaves room for a few outputs.
        let parts = [16, 8, 4, 2, 1].map(|registers| registers * facts.lanes);
        let few = width.output.min(4);
        let mut inner = geometry.inner;
        if !fits(1, inner, few, room) && inner > facts.lanes {
            let per_lane = span(inner, few).saturating_mul(facts.lane * areas(inner)).max(1);
            inner = (room.saturating_sub(areas(inner) * 4 * facts.register()) / per_lane / facts.lanes * facts.lanes)
                .clamp(facts.lanes, inner);
        }
        let room = if fits(1, inner, 1, room) { room } else { SCRATCH };
        if !fits(1, inner, 1, room) || is_combed && combed(inner).is_none() {
            return None;
        }
        let alike = match width.cut_windows() {
            _ if !width.slides() => 0..0,
            _ if core.divisors.are_equal() => 0..width.output,
            (head, tail) => head..width.output - tail,
        };
        // The widest tile for so many rows; those of a row are equally wide.
        let widest = |rows: usize, inner: usize| {
            let (mut least, mut most) = (1, width.output);
            while least < most {
                let middle = least + (most - least).div_ceil(2);
                if fits(rows, inner, middle, room) { least = middle } else { most = middle - 1 }
            }
            width.output.div_ceil(width.output.div_ceil(least))
        };
        // What an output costs, in registers that are loaded or stored: long windows share the rows of a band, so that it
        // should be high, and fold the columns between two tiles twice, so that it should be wide; both at the price of parts
        // of a pixel, whose runs are short.
        let cost = |(rows, outputs, inner): (usize, usize, usize)| {
            let columns = span(inner, outputs);
            let taps = depth.kernel as f64 * height.kernel as f64;
            let (loads, across) = match combed(inner) {
                Some(comb) => (1.0 + (comb.rows * comb.pixels) as f64 / columns as f64, 5.0 + PASS * log4(comb.pixels)),
                None if slides => {
                    (2.0 * height.stride as f64 + 2.0 + height.kernel as f64 / height.output as f64, ACROSS)
                }
                None if long[0] => (((rows - 1) as f64 * spread as f64 + height.kernel as f64) / rows as f64, ACROSS),
                None if runs(inner) => (taps, ACROSS),
                None if long[1] => (taps, 2.0 + PASS * log4(width.kernel)),
                None => (taps, width.kernel as f64),
            };
            // The first windows of a row are added up tap by tap.
            let first =
                if runs(inner) { width.kernel as f64 * inner.max(facts.lanes) as f64 / inner as f64 } else { 0.0 };
            let across = across + first / columns as f64;
            let run = if inner < geometry.inner { inner } else { columns.saturating_mul(inner) };
            let registers = ((run.div_ceil(facts.lanes) + 4) * facts.lanes) as f64 / run as f64;
            // Windows that padding cuts are a call each, where a part of a pixel has no divisors of its own.
            let calls = (width.output - alike.len()).min(outputs) as f64;
            let calls = calls * CALL * facts.lanes as f64 / (outputs * inner) as f64;
            (loads * registers + across) * areas(inner).div_ceil(2) as f64 * columns as f64 / outputs as f64 + calls
        };
        let mut best = (1, widest(1, inner), inner);
        if long[0] || long[1] {
            for part in core::iter::once(inner).chain(parts).filter(|part| *part <= inner) {
                if is_combed && combed(part).is_none() {
                    continue;
                }
                let most = if long[0] && !slides { height.output } else { 1 };
                for rows in [1, 2, 4, 8, 16, 32].map(|rows: usize| rows.min(most)) {
                    if fits(rows, part, 1, room) {
                        let outputs = widest(rows, part);
                        // As many rows as fit beside each other so wide.
                        let more = (rows..=most.min(2 * rows)).rev().find(|rows| fits(*rows, part, outputs, room));
                        let next = (more.unwrap_or(rows), outputs, part);
                        if cost(next) < cost(best) {
                            best = next;
                        }
                    }
                }
            }
        }
        let (mut rows, outputs, inner) = best;
        if !long[0] && outputs == width.output && !is_combed {
            // Not at once, so that what a row has stored has left for the cache when it is loaded.
            let most = height.output.min(MOST_ROWS);
            rows = (1..=most).rev().find(|rows| fits(*rows, inner, outputs, room)).unwrap_or(1);
        }
        let (comb, expected) = (combed(inner), cost(best));
        // Small planes go several at a time.
        let is_plane = (if slides { height.output } else { rows }, outputs, inner)
            == (height.output, width.output, geometry.inner);
        let fit = |planes: &usize| fits(rows.saturating_mul(*planes), inner, outputs, room);
        // Outputs that are no run are put out row by row.
        let is_run = width.stride == 1 || compaction.is_some();
        let planes = if comb.is_none() && is_plane && is_run && depth.output == 1 && core.layer.is_packed() {
            (2..=geometry.outer.min(MOST_PLANES)).rev().find(fit).unwrap_or(1)
        } else {
            1
        };
        // Parts of a pixel are not side by side.
        let is_whole = is_whole && inner == geometry.inner;
        let compaction = compaction.filter(|_| is_whole);
        let gathered = gathered(outputs).filter(|_| is_whole).unwrap_or(0);
        let pitch = pitch(inner, outputs)?;
        let are_beside = width.stride == 1 || compaction.is_some() && facts.halves == 1 || gathered > 0;
        let ends = if are_beside && is_whole { Ends::new(core, inner) } else { None };
        let bands = Self {
            long,
            comb,
            slides,
            scan: runs(inner).then(|| Scan::new(facts, inner * width.dilation)),
            rows,
            spread,
            planes,
            outputs,
            inner,
            alike,
            pitch,
            lanes: span(inner, outputs) * inner + 2 * facts.lanes,
            compaction,
            gathered,
            areas: areas(inner),
            ends,
        };
        Some((expected, bands))
    }
}
