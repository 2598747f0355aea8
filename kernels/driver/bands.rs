//! Down the window's columns into scratch rows, then across them.
//!
//! ```text
//! for each band of output rows, each block of inner elements, each tile of outputs:
//!     down:   scratch[y][x] = the fold of the rows that window y has in column x        (1)
//!     across: out[y][x] = the fold of the columns that window x has in scratch row y    (2)
//! ```
//!
//! 1. Columns in the padding are identities, so across knows no border. Long columns share what they fold
//!    (`leaf/long.rs`); where the stride is more than 1 and order is no matter, they do for rows that are
//!    not put out, too. Sums of integers are made of those of the row before: a tile is as high as the plane, its
//!    scratch one row. Rows too long for scratch are folded by combs (`combs.rs`).
//! 2. Neighbouring outputs are neighbouring lanes where the stride is 1. Where it is more, a table takes
//!    every `s`-th pixel of what was folded; or, where tables are slow or a register is too short for them,
//!    the pixels of each tap are copied side by side first. Long rows are doubled along before, and two taps
//!    are left of each window; or one, where sums run along.
//!
//! A tile has so many rows, columns and inner elements as make an output cheap (`bands/plan.rs`); small planes are
//! several to a tile, so that a leaf is entered once for all of them. Rows that divide by the same go across
//! in one call.
//!
//! The driver takes every window whose columns fit the scratch, and every layer with long axes.

mod across;
mod plan;

use core::ops::Range;

use across::Window;

use super::careful::Caution;
use super::combs::{self, Comb, Pixels};
use super::ends::Ends;
use super::program::{Compaction, RowTaps, Scan};
use super::{Core, Driver, Io, Position, SCRATCH, Scratch, Twin, fill};
use crate::geometry::Axis;
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::kernels::leaf::long::{Shared, Slide, Stage};

#[derive(Debug)]
pub(crate) struct Bands {
    /// Whether the windows are long down and across.
    long: [bool; 2],
    comb: Option<Comb>,
    /// Whether each row of sums is made of the one before, and how sums run along a row, if they do.
    slides: bool,
    scan: Option<Scan>,
    /// Output rows of a band, 1 of those that slide, outputs of a tile, inner elements of a block; and planes, where these are all of one.
    rows: usize,
    planes: usize,
    outputs: usize,
    inner: usize,
    /// Scratch rows from an output row's to the next one's.
    spread: usize,
    /// Outputs of a row whose windows divide by the same and are equally long. Padding is identities.
    alike: Range<usize>,
    /// Bytes of a scratch row, and lanes of it that long rows are doubled along.
    pitch: usize,
    lanes: usize,
    compaction: Option<Compaction>,
    /// Bytes of a row of gathered pixels, one row for each tap, behind the scratch rows. 0 where none are gathered.
    gathered: usize,
    /// Scratch rows of each row.
    areas: usize,
    /// What the outputs at the ends of a row divide by, where they are lanes beside each other.
    ends: Option<Ends>,
}

impl Bands {
    /// `None` where the columns of one window do not fit the scratch.
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let plain = Self::plan(core, false);
        let combed = if combs::takes(core) { Self::plan(core, true) } else { None };
        match (plain, combed) {
            (Some((cost, plain)), Some((other, _))) if cost <= other => Some(plain),
            (plain, combed) => combed.or(plain).map(|(_, bands)| bands),
        }
    }

    /// One tile by one of the twins; whether it met what it watches for.
    ///
    /// # Safety
    /// As for `run`, of `tile`; `scratch` has its rows.
    unsafe fn tile(&self, core: &Core, twin: &Twin, io: &Io, tile: &Tile, scratch: *mut u8) -> bool {
        let layer = &core.layer;
        let [_, _, width] = &layer.geometry.axes;
        let facts = core.facts();
        if self.slides && tile.rows > 1 {
            let mut row = Tile { rows: 1, outputs: tile.outputs.clone(), ..*tile };
            let mut met = false;
            for y in 0..tile.rows {
                (row.at.y, row.is_next) = (tile.at.y + y, y > 0);
                row.dst = tile.dst.wrapping_add(tile.row_out.wrapping_mul(y));
                // SAFETY: a row of the tile, for which scratch is as the one before has left it.
                met |= unsafe { self.tile(core, twin, io, &row, scratch) };
            }
            return met;
        }
        let first = first_tap(width, tile.outputs.start);
        let last = end_tap(width, tile.outputs.end - 1);
        // Columns in the input, none of which where all are in the padding.
        let start = first.max(0).min(last);
        let end = last.min(width.input as isize).max(start);
        let (before, inside) = ((start - first) as usize, (end - start) as usize);
        let all = (last - first) as usize;
        let lanes = tile.len;
        let pixel = lanes * facts.lane;
        let rows = tile.rows * tile.planes;
        if let Some(comb) = &self.comb {
            // SAFETY: by this function's contract.
            return unsafe { self.combs(core, twin, io, tile, comb, scratch) };
        }
        // SAFETY: the scratch has rows of `self.pitch` bytes for the tile's, which take its columns and registers behind.
        unsafe {
            let src = io.src.wrapping_add(
                (start as usize)
                    .wrapping_mul(layer.places.input.pixel)
                    .wrapping_add(tile.channel)
                    .wrapping_mul(facts.memory),
            );
            let met = self.down(core, twin, io, tile, src, scratch.add(before * pixel), scratch, inside);
            // What is around the columns comes last: the last register of a row may have been stored over it. And what is
            // behind a row may be read, a register or, doubled, three.
            let used = (before + inside) * lanes;
            let behind = if self.long[1] { self.lanes - used } else { all * lanes - used } + facts.lanes;
            let between = (self.pitch / facts.lane - used) + before * lanes;
            // Of a row that slides, it is there.
            let filled = if tile.is_next { 0..0 } else { 0..rows };
            fill(scratch, &twin.fill, facts.lane, if tile.is_next { 0 } else { before * lanes });
            for row in filled {
                let to = scratch.add(row * self.row_pitch() + used * facts.lane);
                let is_next = self.spread == 1 && row + 1 < rows;
                fill(to, &twin.fill, facts.lane, if is_next { between } else { behind });
                if self.spread > 1 && row + 1 < rows {
                    fill(scratch.add((row + 1) * self.row_pitch()), &twin.fill, facts.lane, before * lanes);
                }
            }
            let mut window = Window { begin: 0, columns: width.kernel, step: width.dilation.wrapping_mul(pixel) };
            if let Some(scan) = &self.scan {
                window = self.running(twin, scan, rows, width.kernel, lanes * width.dilation, scratch);
            } else if self.long[1] {
                window = self.double(twin, rows, width.kernel, lanes * width.dilation, scratch);
            }
            self.across(core, twin, io, tile, scratch, window);
            met
        }
    }

    /// Bytes from an output row's scratch row to the next one's.
    fn row_pitch(&self) -> usize {
        self.spread * self.pitch
    }

    /// One tile by combs; whether it met what the operation watches for.
    ///
    /// # Safety
    /// As for `tile`.
    unsafe fn combs(&self, core: &Core, twin: &Twin, io: &Io, tile: &Tile, comb: &Comb, scratch: *mut u8) -> bool {
        let (layer, facts, at) = (&core.layer, core.facts(), &tile.at);
        let width = &layer.geometry.axes[2];
        let taps = RowTaps::new(core, at.outer, at.z, at.y);
        let pixel = tile.len * facts.lane;
        let columns = (tile.outputs.len() - 1) * width.stride;
        let first = first_tap(width, tile.outputs.start);
        let mut pixels = Pixels {
            src: io.src.wrapping_add(taps.first).wrapping_add(tile.channel * facts.memory),
            inner: tile.len,
            pixel_in: layer.places.input.pixel.wrapping_mul(facts.memory),
            is_empty: taps.is_empty(),
            first,
            count: columns + comb.pixels + if facts.idempotent { comb.rest } else { 0 },
            dst: scratch,
        };
        // SAFETY: scratch has an area for what a comb of the tile's outputs spans, and two for what is left.
        unsafe {
            let (met, used) = comb.down(twin, io, width, &pixels);
            fill(scratch.add(used * pixel), &twin.fill, facts.lane, self.lanes + facts.lanes - used * tile.len);
            let mut window = self.double(twin, 1, comb.pixels, tile.len, scratch);
            window.begin = comb.offset(first) * pixel;
            if comb.rest > 0 && facts.idempotent {
                (window.columns, window.step) = (2, comb.rest * pixel);
            } else if comb.rest > 0 {
                let area = scratch.add(self.pitch);
                pixels.first = first + (comb.rows * comb.pixels) as isize;
                pixels.count = columns + comb.rest;
                pixels.dst = area;
                let (before, count) = comb.rest(twin, io, width, &pixels);
                fill(area, &twin.fill, facts.lane, before * tile.len);
                let used = (before + count) * tile.len;
                fill(area.add(used * facts.lane), &twin.fill, facts.lane, self.lanes + facts.lanes - used);
                let rest = match &self.scan {
                    Some(scan) => self.running(twin, scan, 1, comb.rest, tile.len, area),
                    None => self.double(twin, 1, comb.rest, tile.len, area),
                };
                let mut at = rest.begin;
                if rest.columns > 1 {
                    // Its two parts are one, before they are beside the comb's.
                    at = at.wrapping_add(rest.step);
                    let shift = (self.pitch - at) / facts.lane;
                    let len = shift + ((columns + 1) * tile.len).next_multiple_of(facts.lanes);
                    let parts = Stage::fold(area.add(at), len, shift, 2);
                    twin.leaves.stage.call(&twin.constants, &parts);
                }
                (window.columns, window.step) = (2, (self.pitch + at).wrapping_sub(window.begin));
            }
            self.across(core, twin, io, tile, scratch, window);
            met
        }
    }

    /// Folds the rows of the windows into scratch rows from `dst` on, for `columns` columns of the input from `src` on.
    ///
    /// # Safety
    /// As for `tile`.
    #[allow(clippy::too_many_arguments, reason = "one step of a tile, cut out so that it can be read")]
    unsafe fn down(
        &self,
        core: &Core,
        twin: &Twin,
        io: &Io,
        tile: &Tile,
        src: *const u8,
        dst: *mut u8,
        scratch: *mut u8,
        columns: usize,
    ) -> bool {
        let layer = &core.layer;
        let [depth, height, _] = &layer.geometry.axes;
        let (facts, at) = (core.facts(), &tile.at);
        let pixel = layer.places.input.pixel;
        // Pixels that follow each other are one run, in each plane.
        let is_run = pixel == tile.len;
        let (outer, len) = if is_run { (tile.planes, columns * tile.len) } else { (columns, tile.len) };
        let (outer_in, outer_out) = if is_run {
            (tile.plane_in, tile.rows * self.row_pitch())
        } else {
            (pixel.wrapping_mul(facts.memory), tile.len * facts.lane)
        };
        let mut met = false;
        if columns == 0 {
            return false;
        }
        if self.long[0] && (!self.slides || tile.is_next) {
            let slabs = depth.taps(at.z);
            let row_bytes = layer.places.input.row.wrapping_mul(facts.memory);
            let plane = core.input_row(at.outer, slabs.start, 0).wrapping_sub(height.begin.wrapping_mul(row_bytes));
            let valid = if slabs.count == 0 { 0..0 } else { height.begin..height.begin + height.input };
            if self.slides {
                // From the window before to this one: padded rows.
                let (begin, end) = ((at.y - 1) * height.stride, at.y * height.stride);
                let cut = |rows: Range<usize>| rows.start.max(valid.start)..rows.end.min(valid.end);
                let (going, coming) = (cut(begin..end), cut(begin + height.kernel..end + height.kernel));
                // Those that come together with one that goes; and what is left of either, with nothing, which is elements
                // that load as the identity.
                let both = coming.len().min(going.len());
                let nothing = scratch.wrapping_add(self.areas * self.row_pitch() * self.planes);
                let row = |y: usize| src.wrapping_add(plane).wrapping_add(y.wrapping_mul(row_bytes));
                let rest = (coming.len() - both, going.len() - both);
                let calls = [
                    ([row(coming.start), row(going.start)], both, [true, true]),
                    ([row(coming.start + both), nothing], rest.0, [true, false]),
                    ([nothing, row(going.start + both)], rest.1, [false, true]),
                ];
                for (src, rows, is_row) in calls.into_iter().filter(|(_, rows, _)| *rows > 0) {
                    let (row_bytes, outer_in) = (
                        is_row.map(|row| if row { row_bytes } else { 0 }),
                        is_row.map(|row| if row { outer_in } else { 0 }),
                    );
                    let slide = Slide { src, row_bytes, rows, dst, len, outer, outer_in, outer_out };
                    // SAFETY: valid rows of the plane, or as many elements behind the scratch rows; and the tile's scratch row,
                    // behind which there is a register.
                    unsafe {
                        if is_row != [true, true] {
                            fill(nothing, &core.identity, facts.memory, len);
                        }
                        twin.leaves.slide.call(&twin.constants, &slide);
                    }
                }
                return false;
            }
            let mut first = 0;
            let all = (tile.rows - 1) * self.spread + 1;
            while first < all {
                // The windows that share the cut `m`: those that begin in (m − k, m].
                let y = at.y * self.spread + first;
                let cut = y.div_ceil(height.kernel) * height.kernel;
                let windows = (cut + 1 - y).min(all - first);
                let shared = Shared {
                    src: src.wrapping_add(plane),
                    row_bytes,
                    dst: dst.wrapping_add(first * self.pitch),
                    pitch: self.pitch,
                    rows: y..y + windows + height.kernel - 1,
                    cut,
                    windows,
                    kernel: height.kernel,
                    valid: valid.clone(),
                    len,
                    outer,
                    outer_in,
                    outer_out,
                    readable: io.src_end,
                };
                // SAFETY: valid rows of the plane, and scratch rows of the tile.
                met |= unsafe { twin.leaves.shared.call(&twin.constants, &shared) };
                first += windows;
            }
            return met;
        }
        for row in 0..tile.rows {
            let taps = RowTaps::new(core, at.outer, at.z, at.y + row);
            let fold = Fold {
                src: src.wrapping_add(taps.first),
                dst: dst.wrapping_add(row * self.pitch),
                taps: Taps {
                    columns: usize::from(!taps.is_empty()),
                    column_bytes: 0,
                    slabs: taps.slabs,
                    slab_bytes: taps.slab_bytes,
                    rows: taps.rows,
                    row_bytes: taps.row_bytes,
                },
                outer,
                outer_in,
                outer_out,
                len,
                divisors: core::ptr::null(),
                word_bytes: 0,
                lane_bytes: 0,
                chunk: None,
                readable: io.src_end,
                writable: dst,
            };
            // SAFETY: rows of the window in columns of the input, and a scratch row of the tile.
            met |= unsafe { twin.leaves.down.call(&twin.constants, &fold) };
        }
        met
    }
}

/// Outputs that are computed together.
struct Tile {
    at: Position,
    rows: usize,
    /// That many planes from there on, of `rows` each, and bytes from one to the next.
    planes: usize,
    plane_in: usize,
    plane_out: usize,
    outputs: Range<usize>,
    /// The first inner element, and how many.
    channel: usize,
    len: usize,
    /// Where the first output row begins, and bytes to the next.
    dst: *mut u8,
    row_out: usize,
    /// Whether scratch holds the sums of the row before.
    is_next: bool,
}

/// Columns that so many neighbouring outputs span. (Windows that follow a rule of their own are as long as the
/// longest.)
fn span(width: &Axis, outputs: usize) -> usize {
    if width.slides() {
        (outputs - 1).saturating_mul(width.stride).saturating_add(width.span())
    } else {
        // So many windows of an adaptive axis reach over at most so many columns.
        (outputs.saturating_mul(width.input) / width.output).saturating_add(2).min(width.input)
    }
}

/// Where the first tap of an output is, counted from the first column of the input.
fn first_tap(width: &Axis, o: usize) -> isize {
    if width.slides() { (o * width.stride) as isize - width.begin as isize } else { width.taps(o).start as isize }
}

/// Where the taps of an output end, likewise.
fn end_tap(width: &Axis, o: usize) -> isize {
    if width.slides() {
        first_tap(width, o) + width.span() as isize
    } else {
        let taps = width.taps(o);
        (taps.start + taps.count) as isize
    }
}

impl Driver for Bands {
    fn name(&self) -> &'static str {
        "bands"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let layer = &core.layer;
        let geometry = &layer.geometry;
        let [_, height, width] = &geometry.axes;
        let mut scratch = Scratch::new();
        let scratch = scratch.start();
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let plane_in = core.input_row(1, 0, 0).wrapping_sub(core.input_row(0, 0, 0));
        let plane_out = layer.geometry.row_len() * height.output * core.facts().memory;
        let mut left = rows.len();
        while left > 0 {
            let count = if self.slides { left } else { self.rows.min(left) }.min(height.output - at.y);
            let planes = if at.y == 0 { (left / height.output).clamp(1, self.planes) } else { 1 };
            let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            let mut x = 0;
            while x < width.output {
                let mut channel = 0;
                loop {
                    // The last block overlaps the one before, so that no register passes the end of a pixel.
                    channel = channel.min(geometry.inner - self.inner);
                    let tile = Tile {
                        at,
                        rows: count,
                        planes,
                        plane_in,
                        plane_out,
                        outputs: x..(x + self.outputs).min(width.output),
                        channel,
                        len: self.inner,
                        dst,
                        row_out: layer.places.output.row.wrapping_mul(core.facts().memory),
                        is_next: false,
                    };
                    // SAFETY: a tile of the run, which fits the scratch.
                    caution.run(core, |twin| unsafe { self.tile(core, twin, io, &tile, scratch) });
                    channel += self.inner;
                    if channel >= geometry.inner {
                        break;
                    }
                }
                x += self.outputs;
            }
            // All rows of the last plane but one are behind.
            at.outer += planes - 1;
            at.advance(geometry, count);
            left -= count * planes;
        }
    }

    fn bytes(&self) -> usize {
        let tables = self.scan.as_ref().map_or(0, |scan| scan.tables.len());
        tables + self.compaction.as_ref().map_or(0, Compaction::bytes) + self.ends.as_ref().map_or(0, Ends::bytes)
    }
}
