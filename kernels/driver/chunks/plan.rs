//! How a program of chunks is made: see the module above.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Chunks, Line, MOST_INPUT, MOST_PARTS, Window};
use crate::geometry::Axis;
use crate::kernels::driver::Core;
use crate::kernels::driver::divisors::Block;
use crate::kernels::driver::program::{half_base, put_index, put_mask, put_spread};
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::chunks::{NONE, Part, Record};
use crate::order::Order;

/// Planes of a group, and bytes of a program, at most.
const MOST_PLANES: usize = 8;
const MOST_BYTES: usize = 32 << 10;

/// Rows of a window, lanes of a row of outputs and taps of them.
const MOST_ROWS: usize = 32;
const MOST_LANES: usize = 256;
const MOST_TAPS: usize = 2048;

fn as_bytes(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: the lines, which are arrays of bytes.
    unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines)) }
}

/// What a program is made from.
pub(super) struct Plan<'a> {
    core: &'a Core,
    planes: usize,
    /// Lanes of a row of the input, of a plane of it, and of a row of outputs.
    row: usize,
    plane: usize,
    lanes: usize,
    /// Rows and columns of a window.
    rows: usize,
    columns: usize,
    /// The first and the last lane of each output's window, in its row of reference.
    ends: [(u16, u16); MOST_LANES],
    /// The lane of each tap: for each column, of each output. Where there is no such column, it is [`MISSING`] and
    /// another lane of the same window.
    taps: [u16; MOST_TAPS],
}

const MISSING: u16 = 1 << 15;

/// A row of outputs: where its row of reference begins, the rows that its windows have, as bits, and what it
/// contributes to the divisor.
#[derive(Clone, Copy)]
struct OutputRow {
    start: usize,
    has: u32,
    divisor: usize,
}

/// Windows that lie in `width` lanes of a row of reference's plane, from `base` on, at most so many. They go to the
/// lanes from `to` on. Tables call lane `base` `name`, and masks lane `masks` 0; lanes of a second register follow
/// those of the first.
#[derive(Clone, Copy)]
struct Place {
    base: usize,
    width: usize,
    most: usize,
    to: usize,
    name: usize,
    masks: usize,
}

impl<'a> Plan<'a> {
    pub(super) fn new(core: &'a Core) -> Option<Self> {
        let (facts, layer) = (core.facts(), &core.layer);
        let geometry = &layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let is_sliding = geometry.axes.iter().all(Axis::slides);
        let keeps_order = facts.any_order || core.order == Order::Columns;
        if !facts.tabled
            || !facts.permutes()
            || !layer.is_packed()
            || !is_sliding
            || !keeps_order
            || geometry.may_have_empty_windows()
        {
            return None;
        }
        let row = width.input.saturating_mul(geometry.inner);
        let plane = depth.input.saturating_mul(height.input).saturating_mul(row);
        let lanes = width.output.saturating_mul(geometry.inner);
        let outputs = depth.output.saturating_mul(height.output).saturating_mul(lanes);
        let (rows, columns) = (depth.kernel.saturating_mul(height.kernel), width.kernel);
        let fits = plane.saturating_mul(facts.memory) <= MOST_INPUT
            && outputs <= MOST_PARTS * facts.lanes
            && lanes <= MOST_LANES
            && rows <= MOST_ROWS
            && columns.saturating_mul(lanes) <= MOST_TAPS;
        if !fits || outputs == 0 || geometry.outer == 0 {
            return None;
        }
        let mut plan = Self {
            core,
            planes: facts.lanes.div_ceil(outputs).min(MOST_PLANES).min(geometry.outer),
            row,
            plane,
            lanes,
            rows,
            columns,
            ends: [(0, 0); MOST_LANES],
            taps: [0; MOST_TAPS],
        };
        let inner = geometry.inner;
        for x in 0..width.output {
            let taps = width.taps(x);
            let skipped = (taps.start + width.begin - x * width.stride) / width.dilation;
            let last = skipped + taps.count - 1;
            for column in 0..columns {
                let near = column.clamp(skipped, last);
                let missing = if near == column { 0 } else { MISSING };
                let lane = (taps.start + (near - skipped) * width.dilation) * inner;
                for channel in 0..inner {
                    plan.taps[column * lanes + x * inner + channel] = (lane + channel) as u16 | missing;
                }
            }
            for channel in 0..inner {
                let end = |column: usize| plan.taps[column * lanes + x * inner + channel] & !MISSING;
                plan.ends[x * inner + channel] = (end(0), end(columns - 1));
            }
        }
        Some(plan)
    }

    /// The output rows of a plane.
    fn output_rows(&self) -> Vec<OutputRow> {
        let [depth, height, _] = &self.core.layer.geometry.axes;
        // As bits, the rows of a window on one axis.
        let has = |axis: &Axis, o: usize| {
            let taps = axis.taps(o);
            let skipped = (taps.start + axis.begin - o * axis.stride) / axis.dilation;
            ((1_u64 << taps.count) - 1) << skipped
        };
        let divisors = &self.core.divisors;
        let mut all = Vec::with_capacity(depth.output * height.output);
        for z in 0..depth.output {
            let (slabs, class) = (has(depth, z), divisors.factor(depth, z));
            for y in 0..height.output {
                let rows = has(height, y);
                let each = (0..depth.kernel).filter(|slab| slabs >> slab & 1 == 1);
                all.push(OutputRow {
                    start: (z * depth.stride * height.input + y * height.stride) * self.row,
                    has: each.fold(0, |all, slab| all | (rows << (slab * height.kernel)) as u32),
                    divisor: class.saturating_mul(divisors.factor(height, y)),
                });
            }
        }
        all
    }

    /// The program, unless it would be too long or there is a window that no register holds.
    pub(super) fn program(&self) -> Option<Chunks> {
        let (core, facts) = (self.core, self.core.facts());
        let [depth, height, width] = &core.layer.geometry.axes;
        let record =
            Record::new(facts.register(), facts.halves, facts.pairs, facts.mask_bytes, self.rows, self.columns);
        // A part is one register of outputs at most.
        if self.lanes * depth.output * height.output * self.planes / facts.lanes * record.bytes > MOST_BYTES {
            return None;
        }
        let words = if core.divisors.are_equal() { 0 } else { facts.words * facts.register() };
        let mut builder = Builder {
            plan: self,
            record,
            words: words.div_ceil(64),
            parts: Vec::new(),
            tables: Vec::new(),
            divisors: Vec::new(),
            outputs: 0,
        };
        let rows = self.output_rows();
        let mut at = Cursor { plan: self, rows: &rows, plane: 0, row: 0, lane: 0, taken: usize::MAX, end: 0 };
        while at.next().is_some() {
            if facts.halves > 1 { builder.halves(&mut at)? } else { builder.chunk(&mut at)? }
        }
        let Builder { words, parts, tables, divisors, outputs, .. } = builder;
        let mut offsets = Vec::with_capacity(self.rows);
        for z in 0..depth.kernel {
            for y in 0..height.kernel {
                let slab = (z * depth.dilation) as isize - depth.begin as isize;
                let row = (y * height.dilation) as isize - height.begin as isize;
                offsets.push((slab * height.input as isize + row) * (self.row * facts.memory) as isize);
            }
        }
        let (lowest, highest) = (*offsets.iter().min()?, *offsets.iter().max()?);
        let all = parts.iter().flat_map(|part| [part.first, part.second]).filter(|source| *source != NONE);
        let before = (-(all.clone().min()? as isize + lowest)).max(0) as usize;
        let loaded = (facts.lanes * facts.memory) as isize;
        let reach = (all.max()? as isize + highest + loaded).max(0) as usize;
        let (plane_in, plane_out) = (self.plane * facts.memory, outputs / self.planes * facts.memory);
        if before + reach.max(self.planes * plane_in) > MOST_INPUT {
            return None;
        }
        let is_cut = |axis: &Axis| axis.cut_windows() != (0, 0);
        let any_missing = is_cut(depth) || is_cut(height) || is_cut(width) && !facts.idempotent;
        let window = match (self.rows, self.columns) {
            (2, 2) if !any_missing => Window::Two,
            (3, 3) => Window::Three,
            _ => Window::Any,
        };
        Some(Chunks {
            window,
            planes: self.planes,
            plane_in,
            plane_out,
            rows: depth.output * height.output,
            writes: parts.last()?.dst as usize + facts.lanes * facts.memory,
            parts,
            tables,
            offsets: offsets.into_iter().map(|offset| offset as usize).collect(),
            columns: self.columns,
            divisors,
            divisor_bytes: words * 64,
            before,
            reach,
        })
    }
}

/// A program as far as it is made.
struct Builder<'a> {
    plan: &'a Plan<'a>,
    record: Record,
    /// Lines of the words of a chunk's divisors.
    words: usize,
    parts: Vec<Part>,
    tables: Vec<Line>,
    divisors: Vec<Line>,
    outputs: usize,
}

impl Builder<'_> {
    /// The tables of a new part, and the words of its chunk; `None` where the program is too long.
    fn part(&mut self, first: usize, second: Option<usize>) -> Option<Writer<'_>> {
        let bytes = self.plan.core.facts().memory;
        let lines = self.record.bytes / 64;
        if self.parts.len() == MOST_PARTS || (self.tables.len() + lines + self.divisors.len()) * 64 > MOST_BYTES {
            return None;
        }
        let second = second.map_or(NONE, |second| (second * bytes) as u32);
        self.parts.push(Part {
            first: (first * bytes) as u32,
            second,
            dst: NONE,
            half: 0,
            lacks_rows: false,
            lacks_columns: false,
        });
        let (tables, words) = (self.tables.len(), self.divisors.len() - self.words);
        self.tables.resize(tables + lines, Line([0; 64]));
        let (tables, words) = (as_bytes(&mut self.tables[tables..]), as_bytes(&mut self.divisors[words..]));
        let part = self.parts.last_mut()?;
        Some(Writer { record: self.record, part, tables, words })
    }

    /// Ends a chunk of so many outputs.
    fn end(&mut self, put: usize, half: usize) {
        let bytes = self.plan.core.facts().memory;
        if let Some(last) = self.parts.last_mut() {
            (last.dst, last.half) = ((self.outputs * bytes) as u32, half as u32);
        }
        self.outputs += put;
    }

    /// A chunk where any lane goes anywhere: as many parts as have room. None is cut, since half a part is as much work
    /// as a whole.
    fn chunk(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        let facts = self.plan.core.facts();
        let n = facts.lanes;
        self.divisors.resize(self.divisors.len() + self.words, Line([0; 64]));
        let mut put = 0;
        while let Some(base) = at.next() {
            let first = Place { base, width: n, most: n, to: put, name: 0, masks: base };
            let mut behind = at.begin();
            let count = behind.part(&first, None);
            if count == 0 {
                return None;
            }
            if put + count > n {
                break;
            }
            // One register, or a second from where the next window begins, or two that follow each other, if they hold
            // more windows.
            let (mut places, mut all, mut second) = ([Some(first), None], count, None);
            if facts.pairs {
                if let Some(next) = behind.next() {
                    let place = Place { base: next, to: put + count, name: n, masks: next.wrapping_sub(n), ..first };
                    let count = count + behind.begin().part(&place, None);
                    if put + count <= n {
                        (places[1], all, second) = (Some(place), count, Some(next));
                    }
                }
                let wide = Place { width: 2 * n, most: n + 1, ..first };
                let count = at.begin().part(&wide, None);
                if put + count <= n && count > all {
                    (places, all, second) = ([Some(wide), None], count, Some(base + n));
                }
            }
            let mut writer = self.part(base, second)?;
            for place in places.iter().flatten() {
                *at = at.begin();
                at.part(place, Some(&mut writer));
            }
            // The first part gives all lanes something.
            let (from, lanes) = if put == 0 { (0, n) } else { (put, all) };
            put_mask(facts, &mut writer.tables[writer.record.outputs..][..facts.mask_bytes], from, lanes);
            put += all;
        }
        self.end(put, 0);
        Some(())
    }

    /// A chunk where each half takes lanes that are spread to it: one part.
    fn halves(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        let facts = self.plan.core.facts();
        let (n, half) = (facts.lanes, facts.lanes / 2);
        self.divisors.resize(self.divisors.len() + self.words, Line([0; 64]));
        let base = at.next()?;
        *at = at.begin();
        let mut writer = self.part(base, None)?;
        let lower = Place { base, width: half, most: half, to: 0, name: 0, masks: base };
        let below = at.part(&lower, Some(&mut writer));
        if below == 0 {
            return None;
        }
        let (mut above, mut second) = (0, 0);
        if let Some(first) = at.next()
            && (base..base + n).contains(&first)
        {
            second = half_base(facts, first - base);
            above = at.part(&Place { base: base + second, to: half, ..lower }, Some(&mut writer));
        }
        let spread = &mut writer.tables[writer.record.spread..];
        put_spread(facts, spread, 0, 0);
        put_spread(facts, spread, 1, second);
        self.end(below + above, below);
        Some(())
    }
}

/// The tables and masks of a part, and the words of its chunk, if it needs any.
struct Writer<'a> {
    record: Record,
    part: &'a mut Part,
    tables: &'a mut [u8],
    words: &'a mut [u8],
}

/// The next output of a group.
#[derive(Clone)]
struct Cursor<'a> {
    plan: &'a Plan<'a>,
    rows: &'a [OutputRow],
    plane: usize,
    row: usize,
    lane: usize,
    /// The last row of outputs whose lanes the part has, and where they end: those of another row must lie behind them.
    taken: usize,
    end: usize,
}

impl Cursor<'_> {
    /// The same output, the first of a part.
    fn begin(&self) -> Self {
        Self { taken: usize::MAX, ..self.clone() }
    }

    /// The first lane of the next output's window.
    fn next(&self) -> Option<usize> {
        let start = self.rows[self.row].start + self.plane * self.plan.plane;
        (self.plane < self.plan.planes).then(|| start + self.plan.ends[self.lane].0 as usize)
    }

    /// Goes over the outputs that a place takes, says how many they are, and writes where they come from.
    fn part(&mut self, place: &Place, mut writer: Option<&mut Writer<'_>>) -> usize {
        let plan = self.plan;
        let mut put = 0;
        while self.plane < plan.planes {
            let row = &self.rows[self.row];
            let start = row.start + self.plane * plan.plane;
            // Those of a row, and the lanes of all of them.
            let ends = &plan.ends[self.lane..plan.lanes];
            let (mut count, mut low, mut high) = (0, usize::MAX, 0);
            for (first, last) in ends.iter().take(place.most - put) {
                let (first, last) = (start + *first as usize, start + *last as usize);
                if first < place.base || last >= place.base + place.width {
                    break;
                }
                (low, high, count) = (low.min(first), high.max(last), count + 1);
            }
            let id = self.plane * self.rows.len() + self.row;
            if count == 0 || self.taken != usize::MAX && self.taken != id && low < self.end {
                break;
            }
            (self.taken, self.end) = (id, high + 1);
            if let Some(writer) = &mut writer {
                let lanes = self.lane..self.lane + count;
                writer.put(plan, row, lanes, put, low..high + 1, start, place);
            }
            put += count;
            self.lane += count;
            if self.lane < plan.lanes {
                break;
            }
            (self.lane, self.row) = (0, self.row + 1);
            if self.row == self.rows.len() {
                (self.row, self.plane) = (0, self.plane + 1);
            }
        }
        put
    }
}

impl Writer<'_> {
    /// Writes that outputs `lanes` of a row, which begins at lane `start`, are those of a place from the `put`th on.
    /// Their windows are in the lanes `inside`.
    #[allow(clippy::too_many_arguments, reason = "a step of one loop")]
    fn put(
        &mut self,
        plan: &Plan<'_>,
        row: &OutputRow,
        lanes: Range<usize>,
        put: usize,
        inside: Range<usize>,
        start: usize,
        place: &Place,
    ) {
        let facts = plan.core.facts();
        let (to, name) = (place.to + put, place.name.wrapping_add(start).wrapping_sub(place.base));
        self.part.lacks_rows |= row.has.count_ones() as usize != plan.rows;
        for i in 0..plan.rows {
            if row.has >> i & 1 == 1 {
                let (start, end) = (inside.start.wrapping_sub(place.masks), inside.end.wrapping_sub(place.masks));
                let masks = [self.record.row_masks, self.record.second_masks];
                for (register, masks) in masks.into_iter().enumerate() {
                    let (before, n) = (register * facts.lanes, facts.lanes);
                    let (start, end) = (start.max(before) - before, end.min(before + n).saturating_sub(before));
                    if start < end {
                        put_mask(
                            facts,
                            &mut self.tables[masks + i * facts.mask_bytes..][..facts.mask_bytes],
                            start,
                            end - start,
                        );
                    }
                }
            }
        }
        for column in 0..plan.columns {
            let taps = &plan.taps[column * plan.lanes..][lanes.clone()];
            put_names(facts, &mut self.tables[column * facts.register()..][..facts.register()], to, taps, name);
            if !facts.idempotent {
                let mask = &mut self.tables[self.record.column_masks + column * facts.mask_bytes..][..facts.mask_bytes];
                put_columns(facts, mask, to, taps);
                self.part.lacks_columns |= taps.iter().any(|tap| tap & MISSING != 0);
            }
        }
        if !self.words.is_empty() {
            self.put_divisors(plan.core, to, row.divisor, lanes);
        }
    }

    /// Writes the words of the divisors of a row's outputs to the lanes from `to` on.
    fn put_divisors(&mut self, core: &Core, to: usize, class: usize, lanes: Range<usize>) {
        let (facts, geometry) = (core.facts(), &core.layer.geometry);
        let register = facts.register();
        let mut block = Block::new();
        // A chunk's first output gives its divisor to all lanes: those without an output are divided too.
        let count = if to == 0 { facts.lanes } else { lanes.len() };
        for (i, lane) in (0..count).zip(lanes.clone().chain(core::iter::repeat(lanes.start))) {
            let divisor = class.saturating_mul(core.divisors.factor(&geometry.axes[2], lane / geometry.inner));
            let from = core.divisors.words(core.hot.leaves, &core.hot.constants, divisor, &mut block);
            for word in 0..facts.words {
                // SAFETY: a divisor's words are a register each, of equal lanes.
                let lane = unsafe { core::slice::from_raw_parts(from.add(word * register), facts.lane) };
                self.words[word * register + (to + i) * facts.lane..][..facts.lane].copy_from_slice(lane);
            }
        }
    }
}

/// Says yes for the lanes from `to` on whose tap is not missing.
fn put_columns(facts: &Facts, mask: &mut [u8], to: usize, taps: &[u16]) {
    let mut i = 0;
    while i < taps.len() {
        let count = taps[i..].iter().take_while(|tap| **tap & MISSING == 0).count();
        if count > 0 {
            put_mask(facts, mask, to + i, count);
        }
        i += count + 1;
    }
}

/// Writes into a table which lanes go to those from `to` on: `taps`, plus `name`.
fn put_names(facts: &Facts, table: &mut [u8], to: usize, taps: &[u16], name: usize) {
    let lane = |tap: &u16| name.wrapping_add((*tap & !MISSING) as usize);
    match (facts.unit, facts.lane) {
        (1, 1) => {
            for (index, tap) in table[to..].iter_mut().zip(taps) {
                *index = lane(tap) as u8;
            }
        }
        (4, 4) => {
            for (index, tap) in table[4 * to..].chunks_exact_mut(4).zip(taps) {
                index.copy_from_slice(&(lane(tap) as u32).to_ne_bytes());
            }
        }
        _ => {
            for (i, tap) in taps.iter().enumerate() {
                put_index(facts, table, to + i, lane(tap));
            }
        }
    }
}
