//! Windows of narrow pixels, which are one element where channels come first: a tile of the input is laid out anew, so
//! that a register's lanes are neighbouring outputs whatever the stride is and wherever padding cuts their windows.
//!
//! ```text
//! elements whose coordinates leave the same rest divided by the stride lie side by side:
//!     a row of stride 2:   p 1 3 5 7 | 0 2 4 6 p      p: padding, which no element is worse than
//! so tap t of all outputs of a row is one run of elements; small planes are one run whole.
//! ```

use alloc::vec::Vec;
use core::ops::Range;

use super::labels::Fields;
use super::numbering::{first_tap, valid_taps};
use super::order::{Order, deal_pixels};
use super::{Finder, Job};
use crate::geometry::Axis;
use crate::kernels::driver::{Position, SCRATCH, Scratch, fill};
use crate::kernels::leaf::deal::Deal;
use crate::kernels::leaf::number::Rows;
use crate::kernels::leaf::pick::{Labels, Lines, Tap};
use crate::kernels::simd::MOST_LANES;

/// Bytes of the input that wait in their new order, at most.
const MOST_INPUT: usize = 16 << 10;

// Labels and values are half as much each, at most.
const _: () = assert!(2 * MOST_INPUT <= SCRATCH);

/// The longest row whose outputs have tables.
const MOST_TABLED: usize = 1 << 18;

#[derive(Debug)]
pub(super) struct Tiles {
    fields: Fields,
    taps: Vec<Tap>,
    /// Whether a tile is a plane, and its outputs one run; else each row is a run of its own.
    is_whole: bool,
    /// Outputs of a tile on each axis.
    tile: [usize; 3],
    order: Order,
    /// Labels of the first and the last valid taps of the windows of a run, and their indices' offsets.
    none: Vec<u8>,
    lost: Vec<u8>,
    origins: Vec<i32>,
    /// Where labels and values begin in the scratch.
    labels_at: usize,
    values_at: usize,
}

/// Bytes that hold as many elements, whole registers and chunks of them.
fn room(elements: usize, bytes: usize) -> usize {
    elements.saturating_mul(bytes).saturating_add(16 * bytes).saturating_add(191) & !63
}

impl Tiles {
    /// `None` where a tile does not fit.
    pub(super) fn new(finder: &Finder, fields: Fields) -> Option<Self> {
        let (layer, numbering, bytes) = (&finder.layer, &finder.numbering, finder.bytes);
        let (axes, unit) = (&layer.geometry.axes, layer.geometry.inner);
        let output = axes.each_ref().map(|axis| axis.output);
        if output[2].saturating_mul(unit) > MOST_TABLED {
            return None;
        }
        let sizes = |tile: [usize; 3], is_whole: bool| {
            let order = Order::new(axes, tile, unit, is_whole);
            let outputs =
                if is_whole { order.run(tile) } else { tile.iter().fold(unit, |all, n| all.saturating_mul(*n)) };
            let (input, labels) = (room(order.all(), bytes), room(outputs, bytes));
            let values = if is_whole { labels } else { 0 };
            let fits = input <= MOST_INPUT && labels.saturating_mul(2) <= MOST_INPUT;
            fits.then_some((order, input, input + labels, values))
        };
        let is_narrow = output[2].saturating_mul(unit) < 2 * finder.lanes;
        let whole = sizes(output, true).filter(|_| is_narrow).map(|sizes| (output, sizes, true));
        let (tile, (order, labels_at, values_at, _), is_whole) = whole.or_else(|| {
            let mut width = output[2];
            let mut best = None;
            while width * unit >= finder.lanes {
                let tile = |height: usize| [1, height, width];
                let fitting = (1..=output[1]).take_while(|height| sizes(tile(*height), false).is_some()).last();
                if let Some(height) = fitting {
                    best = Some((tile(height), sizes(tile(height), false)?, false));
                    // Rows that tiles share are laid out twice.
                    if height == output[1] || height * axes[1].stride >= 2 * axes[1].span() {
                        break;
                    }
                }
                width /= 2;
            }
            best
        })?;
        let taps = super::taps_of(axes, &fields, |at| {
            order.at([0, 1, 2].map(|axis| at[axis] * axes[axis].dilation)).wrapping_mul(bytes)
        });
        let mut tiles = Self {
            fields,
            taps,
            is_whole,
            tile,
            order,
            none: Vec::new(),
            lost: Vec::new(),
            origins: Vec::new(),
            labels_at,
            values_at,
        };
        tiles.tabulate(axes, numbering, bytes);
        Some(tiles)
    }

    /// Makes the tables of a run.
    #[inline(never)]
    fn tabulate(&mut self, axes: &[Axis; 3], numbering: &super::numbering::Numbering, bytes: usize) {
        let unit = self.order.unit;
        let output = axes.each_ref().map(|axis| axis.output);
        let n = if self.is_whole { self.order.run(output) } else { output[2] * unit };
        let n = n + MOST_LANES;
        (self.none, self.lost) = (alloc::vec![0; n * bytes], alloc::vec![0; n * bytes]);
        self.origins = alloc::vec![0; n];
        let rows = if self.is_whole { [output[0], output[1]] } else { [1, 1] };
        let step = [0, 1, 2].map(|axis| (axes[axis].stride as i64).wrapping_mul(numbering.weights[axis]));
        for z in 0..rows[0] {
            for y in 0..rows[1] {
                for x in 0..output[2] {
                    let at = ((z * self.order.lengths[1] + y) * self.order.lengths[2] + x) * unit;
                    let mut ends = [[0; 3]; 2];
                    for (axis, o) in [z, y, x].into_iter().enumerate().skip(if self.is_whole { 0 } else { 2 }) {
                        let (taps, skipped) = valid_taps(&axes[axis], o);
                        ends[0][axis] = skipped;
                        ends[1][axis] = skipped + taps.count - 1;
                    }
                    let [none, lost] = ends.map(|end| self.fields.label(end).to_ne_bytes());
                    let (none, lost) = if cfg!(target_endian = "little") {
                        ([&none[..bytes]], [&lost[..bytes]])
                    } else {
                        ([&none[8 - bytes..]], [&lost[8 - bytes..]])
                    };
                    for c in 0..unit {
                        let from = (at + c) * bytes;
                        self.none[from..from + bytes].copy_from_slice(none[0]);
                        self.lost[from..from + bytes].copy_from_slice(lost[0]);
                        let origin = z as i64 * step[0] + y as i64 * step[1] + x as i64 * step[2];
                        self.origins[at + c] = (origin + c as i64 * numbering.plane) as i32;
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`Finder::run`].
    pub(super) unsafe fn run(&self, finder: &Finder, job: &Job<'_>, rows: Range<usize>) {
        let mut scratch = Scratch::new();
        let scratch = scratch.start();
        let geometry = &finder.layer.geometry;
        let [depth, height, width] = geometry.axes.each_ref().map(|axis| axis.output);
        // SAFETY: the scratch holds the tile; elsewhere by this function's contract.
        unsafe {
            let pad = || fill(scratch, &finder.identity, finder.bytes, self.labels_at / finder.bytes);
            pad();
            // A register of labels may reach behind the last of them, where there must be something.
            scratch.add(self.labels_at).write_bytes(0, self.values_at - self.labels_at);
            let mut row = rows.start;
            while row < rows.end {
                let at = Position::of(geometry, row);
                if self.is_whole {
                    let plane = at.outer * depth * height;
                    let end = rows.end.min(plane + depth * height);
                    self.load(finder, job, at.outer, [0; 3], scratch);
                    self.find_plane(finder, job, scratch);
                    self.put_plane(finder, job, at.outer, row - plane..end - plane, scratch);
                    row = end;
                    continue;
                }
                let end = (at.y + self.tile[1]).min(height).min(at.y + rows.end - row);
                let mut x = 0;
                while x < width {
                    let from = x.min(width - self.tile[2]);
                    if width > self.tile[2] {
                        pad();
                    }
                    self.load(finder, job, at.outer, [at.z, at.y, from], scratch);
                    self.find_rows(finder, job, &at, end, from, scratch);
                    x = from + self.tile[2];
                }
                row += end - at.y;
            }
        }
    }

    /// Lays out the input of the tile that begins at these outputs.
    ///
    /// # Safety
    /// As for [`Finder::run`]; the scratch has room for a tile, all of which is padding where the input has ends on the last axis.
    #[inline(never)]
    unsafe fn load(&self, finder: &Finder, job: &Job<'_>, outer: usize, outputs: [usize; 3], scratch: *mut u8) {
        let (bytes, order) = (finder.bytes, &self.order);
        let axes = &finder.layer.geometry.axes;
        let steps = &finder.layer.places.input;
        let first = [0, 1, 2].map(|axis| first_tap(&axes[axis], outputs[axis]));
        // Coordinates of the tile on an axis that lie in the input.
        let inside = |axis: usize| {
            let [from, to] =
                [0, axes[axis].input as i64].map(|end| (end - first[axis]).clamp(0, order.input[axis] as i64));
            from as usize..to as usize
        };
        let (slabs, rows, pixels) = (inside(0), inside(1), inside(2));
        let (stride, rests) = (order.stride[1], order.rests[1]);
        for z in (0..order.input[0]).filter(|z| z % order.stride[0] < order.rests[0]) {
            for rest in 0..rests {
                let all = (order.input[1] - rest).div_ceil(stride);
                let [from, to] = [rows.start, rows.end].map(|end| end.saturating_sub(rest).div_ceil(stride).min(all));
                let some = if slabs.contains(&z) { from..to.max(from) } else { 0..0 };
                let start = scratch.wrapping_add(order.at([z, rest, 0]) * bytes);
                let row = order.row() * bytes;
                // SAFETY: by this function's contract: pixels of rows of the input, and room for them in the tile.
                unsafe {
                    if !some.is_empty() {
                        let at = [0, 1, 2]
                            .map(|axis| [z, rest + some.start * stride, pixels.start][axis] as i64 + first[axis]);
                        let src = steps.row_at(outer, at[0] as usize, at[1] as usize) + at[2] as usize * steps.pixel;
                        let deal = Deal {
                            from: job.io.src.wrapping_add(src * bytes),
                            from_step: (stride * steps.row).wrapping_mul(bytes),
                            to: start.wrapping_add(some.start * row),
                            to_step: row,
                            rows: some.len(),
                            n: pixels.len(),
                            bytes,
                            apart: 0,
                        };
                        self.deal(finder, &deal, pixels.start);
                    }
                    if !self.is_whole {
                        for y in (0..all).filter(|y| !some.contains(y)) {
                            for rest in 0..order.rests[2] {
                                let to = start.wrapping_add(y * row + rest * order.len() * bytes);
                                fill(to, &finder.identity, bytes, order.row());
                            }
                        }
                    }
                }
            }
        }
    }

    /// Lays out rows whose first pixel is number `lead`.
    ///
    /// # Safety
    /// As for [`Deal`], of pixels; there is room for a row's rests.
    #[inline(never)]
    unsafe fn deal(&self, finder: &Finder, rows: &Deal, lead: usize) {
        let order = &self.order;
        let ([_, _, stride], [_, _, rests], unit) = (order.stride, order.rests, order.unit);
        let (bytes, apart) = (rows.bytes, order.len() * rows.bytes);
        let is_paired = (stride, rests, unit) == (2, 2, 1);
        // The first of pairs is an even one.
        let alone = if is_paired { (lead % 2).min(rows.n) } else { rows.n };
        // SAFETY: by this function's contract.
        unsafe {
            if stride == 1 {
                let to = rows.to.wrapping_add(lead * unit * bytes);
                return finder.dealer.run(&Deal { to, n: rows.n * unit, ..*rows });
            }
            if alone > 0 {
                match bytes {
                    1 => deal_pixels::<u8>(order, rows, lead, alone),
                    2 => deal_pixels::<u16>(order, rows, lead, alone),
                    4 => deal_pixels::<u32>(order, rows, lead, alone),
                    _ => deal_pixels::<u64>(order, rows, lead, alone),
                }
            }
            if is_paired {
                let (from, to) = (alone * bytes, (lead + alone) / 2 * bytes);
                let (from, to) = (rows.from.wrapping_add(from), rows.to.wrapping_add(to));
                finder.dealer.run(&Deal { from, to, n: rows.n - alone, apart, ..*rows });
            }
        }
    }

    /// The outputs of a plane, one run, into the scratch.
    ///
    /// # Safety
    /// As for [`Finder::run`], of a plane that is laid out.
    #[inline(never)]
    unsafe fn find_plane(&self, finder: &Finder, job: &Job<'_>, scratch: *mut u8) {
        let table = |lanes: &[u8]| Labels { lanes: lanes.as_ptr(), own: true, flip: 0 };
        let taps = self.taps.len();
        let task = Lines {
            src: scratch,
            src_step: 0,
            lines: 1,
            n: self.order.run(self.tile),
            taps: self.taps.as_ptr(),
            counts: [1, 1, taps],
            pitches: [0; 2],
            none: table(&self.none),
            lost: table(&self.lost),
            values: if job.wants_values { scratch.wrapping_add(self.values_at) } else { core::ptr::null_mut() },
            values_step: 0,
            labels: scratch.wrapping_add(self.labels_at),
            labels_step: 0,
        };
        // SAFETY: by this function's contract; the scratch has room for whole registers behind each of its parts.
        unsafe { finder.pick(&task) };
    }

    /// Rows of a plane from the scratch to the output.
    ///
    /// # Safety
    /// As for [`Finder::run`], of a plane that [`Tiles::find_plane`] has found.
    #[inline(never)]
    unsafe fn put_plane(&self, finder: &Finder, job: &Job<'_>, outer: usize, rows: Range<usize>, scratch: *mut u8) {
        let (layer, bytes, order) = (&finder.layer, finder.bytes, &self.order);
        let axes = &layer.geometry.axes;
        let height = axes[1].output;
        let first = axes.each_ref().map(|axis| first_tap(axis, 0));
        let base = finder.numbering.origin(outer * order.unit, first);
        let is_dense = order.lengths[2] == axes[2].output && layer.is_packed();
        let mut row = rows.start;
        while row < rows.end {
            let at = Position { outer, z: row / height, y: row % height };
            let count = (height - at.y).min(rows.end - row);
            let from = (at.z * order.lengths[1] + at.y) * order.row();
            let to = job.place(finder, &at);
            let (lines, n) = (count, axes[2].output * order.unit);
            let (lines, n) = if is_dense { (1, lines * n) } else { (lines, n) };
            let room = job.room.saturating_sub(to);
            let indices = Rows {
                fields: self.fields,
                labels: scratch.wrapping_add(self.labels_at + from * bytes),
                bytes,
                labels_step: order.row() * bytes,
                rows: lines,
                n,
                origins: self.origins[from..].as_ptr(),
                origins_step: order.row(),
                base,
                base_step: 0,
                to: job.indices.at(to),
                to_step: layer.places.output.row,
                room,
            };
            // SAFETY: by this function's contract: rows of the output, and of the scratch.
            unsafe {
                finder.number.write(&indices);
                if job.wants_values {
                    let values = scratch.wrapping_add(self.values_at + from * bytes);
                    let steps = [order.row(), layer.places.output.row].map(|step| step * bytes);
                    copy(values, job.values(to, bytes), [lines, n * bytes], steps, room * bytes);
                }
            }
            row += count;
        }
    }

    /// Rows of one slab from `at` to `end`, from output `x` on.
    ///
    /// # Safety
    /// As for [`Finder::run`], of a tile that is laid out.
    #[inline(never)]
    unsafe fn find_rows(&self, finder: &Finder, job: &Job<'_>, at: &Position, end: usize, x: usize, scratch: *mut u8) {
        let (layer, numbering, bytes, order) = (&finder.layer, &finder.numbering, finder.bytes, &self.order);
        let (axes, unit) = (&layer.geometry.axes, order.unit);
        let n = self.tile[2] * unit;
        let (taps, front) = valid_taps(&axes[0], at.z);
        // The first and the last valid taps of a row's windows on depth and height.
        let ends = |y: usize| {
            let (rows, top) = valid_taps(&axes[1], y);
            [[front, top, 0], [front + taps.count - 1, top + rows.count - 1, 0]]
        };
        let mut y = at.y;
        while y < end {
            let these = ends(y);
            let count = 1 + (y + 1..end).take_while(|y| ends(*y) == these).count();
            let to = job.place(finder, &Position { y, ..*at }) + x * unit;
            let labels = scratch.wrapping_add(self.labels_at);
            let [none, lost] = these.map(|end| self.fields.label(end));
            let table = |lanes: &[u8], flip| Labels { lanes: lanes[x * unit * bytes..].as_ptr(), own: true, flip };
            let step = axes[1].stride * order.row() * bytes;
            let task = Lines {
                src: scratch.wrapping_add((y - at.y) * step),
                src_step: step,
                lines: count,
                n,
                taps: self.taps.as_ptr(),
                counts: [1, 1, self.taps.len()],
                pitches: [0; 2],
                none: table(&self.none, none),
                lost: table(&self.lost, lost),
                values: job.values(to, bytes),
                values_step: layer.places.output.row.wrapping_mul(bytes),
                labels,
                labels_step: n * bytes,
            };
            let first = [first_tap(&axes[0], at.z), first_tap(&axes[1], y), first_tap(&axes[2], 0)];
            let indices = Rows {
                fields: self.fields,
                labels,
                bytes,
                labels_step: n * bytes,
                rows: count,
                n,
                origins: self.origins[x * unit..].as_ptr(),
                origins_step: 0,
                base: numbering.origin(at.outer * unit, first),
                base_step: axes[1].stride as i64 * numbering.weights[1],
                to: job.indices.at(to),
                to_step: layer.places.output.row,
                room: if n == axes[2].output * unit { job.room.saturating_sub(to) } else { 0 },
            };
            // SAFETY: by this function's contract: valid taps and padding, and rows of a register and more.
            unsafe {
                finder.pick(&task);
                finder.number.write(&indices);
            }
            y += count;
        }
    }
}

/// Copies rows of so many bytes, in whole pieces where they may reach over a row's end, `room` bytes behind `to` at most.
///
/// # Safety
/// The rows are readable, the last one 32 bytes beyond its end, and writable.
unsafe fn copy(from: *const u8, to: *mut u8, [rows, n]: [usize; 2], [from_step, to_step]: [usize; 2], room: usize) {
    for row in 0..rows {
        let start = row.wrapping_mul(to_step);
        let (from, to) = (from.wrapping_add(row.wrapping_mul(from_step)), to.wrapping_add(start));
        let pieces = n.div_ceil(32);
        // SAFETY: by this function's contract.
        unsafe {
            if start + 32 * pieces > room {
                core::ptr::copy_nonoverlapping(from, to, n);
                continue;
            }
            for piece in 0..pieces {
                // Without a type: what lies behind the last value in the scratch may be nothing yet, and a later row writes over it.
                core::ptr::copy_nonoverlapping(from.add(32 * piece), to.add(32 * piece), 32);
            }
        }
    }
}
