//! Norms, in three stages: a tile of the input is raised to lanes in scratch, once; the kernel of sums adds its windows up; and
//! the sums are rooted as they are stored.
//!
//! ```text
//! for each tile of the output:
//!     lanes = |x|^p of the input that its windows hold          (1)
//!     sums = the tile, by the kernel of sums or of maxima       (2)
//!     output = sums^(1/p), of the rows that are wanted          (3)
//! ```
//!
//! 1. Padding that lies in the tile is zeros, which change no sum of terms that are not negative. An axis that a tile has whole keeps its padding.
//! 2. A layer of its own, of which every tile is one: so it has every driver there is, and the lanes of the tier, also
//!    those of elements of 16 bits. The sums are added in the order of the whole layer, or this driver declines it.
//! 3. The last tiles of an axis overlap those before: every tile is whole.
//!
//! So a power, which takes longer than everything else, is taken once for each element and not for each tap.

use core::fmt;
use core::ops::Range;

use super::divisors::{Block, Divisors};
use super::{Core, Driver, Io, Layer, Position, SCRATCH, Scratch, Twin};
use crate::geometry::{Axis, Count, Geometry};
use crate::kernels::kernel::Kernel;
use crate::kernels::lane::lp::Norm;
use crate::kernels::lane::power::{Pass, Step};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::order::Order;
use crate::strides::{Gaps, Places};

/// Bytes of a register that lie behind both parts of the scratch: leaves may load and store whole ones.
const ROOM: usize = 64;

/// What visiting one more run of a tile takes, in lanes that are moved meanwhile.
const RUN: usize = 32;

/// How a layer is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    /// A tile as a layer: its input lies in scratch.
    pub(crate) layer: Layer,
    /// Whether it has whole planes. Else it lies in one slab of one plane.
    is_whole: bool,
}

impl Tiles {
    /// For lanes of so many bytes. `None` where a tile of no size fits the scratch.
    pub(crate) fn new(layer: &Layer, lane: usize) -> Option<Self> {
        let geometry = &layer.geometry;
        let room = (SCRATCH - 4 * ROOM) / lane;
        let lengths = |axes: &[Axis; 3], length: fn(&Axis) -> usize| {
            axes.iter().map(length).try_fold(1_usize, usize::checked_mul)
        };
        let size = |axes: &[Axis; 3], inner: usize| {
            let all = lengths(axes, |axis| axis.input)?.checked_add(lengths(axes, |axis| axis.output)?)?;
            all.checked_mul(inner)
        };
        if !geometry.axes.iter().all(Axis::slides) || geometry.outer == 0 || geometry.inner == 0 {
            return None;
        }
        let plane = size(&geometry.axes, geometry.inner)?;
        let [depth, height, width] = geometry.axes;
        // Rows, and pixels where channels are cut, must be runs of some length.
        let has_rows = layer.places.input.pixel == geometry.inner && layer.places.output.pixel == geometry.inner;
        if plane <= room && (has_rows || geometry.inner >= 16) {
            let outer = (room / plane.max(1)).min(geometry.outer).max(1);
            return Some(Self { layer: packed(geometry, geometry.axes, outer, geometry.inner), is_whole: true });
        }
        let slab = part(&depth, 1);
        let mut best: Option<(usize, Geometry)> = None;
        let mut inner = geometry.inner;
        loop {
            let is_cut = inner < geometry.inner;
            let mut columns = width.output;
            while (has_rows && !is_cut) || inner >= 16 {
                let across = part(&width, columns);
                // The most rows that fit.
                let of = |rows: usize| size(&[slab, part(&height, rows), across], inner).is_some_and(|n| n <= room);
                if of(1) {
                    let (mut fits, mut over) = (1, height.output + 1);
                    while over - fits > 1 {
                        let middle = fits + (over - fits) / 2;
                        if of(middle) { fits = middle } else { over = middle }
                    }
                    let axes = [slab, part(&height, fits), across];
                    // Lanes that are moved for each that is put out, in units of 1/16.
                    let runs = lengths(&axes, |axis| axis.input)? / if is_cut { 1 } else { across.input };
                    let moved = lengths(&axes, |axis| axis.input)? * inner + runs * RUN + 8 * RUN;
                    let cost = moved.saturating_mul(64) / (lengths(&axes, |axis| axis.output)? * inner).max(1);
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, packed(geometry, axes, 1, inner).geometry));
                    }
                    break;
                }
                if columns <= 2 {
                    break;
                }
                columns = columns.div_ceil(2);
            }
            // Whole lines of memory, half as many each time.
            let next = inner.div_ceil(2).next_multiple_of(16);
            if next >= inner || inner <= 16 {
                break;
            }
            inner = next;
        }
        let (_, tile) = best?;
        // Rows that windows share are cut at multiples of the kernel, counted from the layer's first.
        let is_aligned = !matches!(Order::of(geometry), Order::Long { rows: true, .. }) || tile.axes[1] == height;
        let layer = packed(&tile, tile.axes, 1, tile.inner);
        is_aligned.then_some(Self { layer, is_whole: false })
    }
}

/// Some outputs of an axis, as an axis: all of them, or windows without padding.
fn part(axis: &Axis, outputs: usize) -> Axis {
    if outputs >= axis.output {
        return *axis;
    }
    let input = (outputs - 1).saturating_mul(axis.stride).saturating_add(axis.span());
    Axis { input, output: outputs, begin: 0, end: 0, ..*axis }
}

/// Elements of a row of the input.
fn row_in(geometry: &Geometry) -> usize {
    geometry.axes[2].input * geometry.inner
}

/// Sums of a layer whose tensors lie in scratch.
fn packed(geometry: &Geometry, axes: [Axis; 3], outer: usize, inner: usize) -> Layer {
    let geometry = Geometry { outer, inner, axes, batch: 1, ..*geometry };
    Layer { geometry, count: Count::Fixed(1), places: Places::packed(&geometry) }
}

/// The stages of a layer.
pub(crate) struct Staged {
    tiles: Tiles,
    /// Of a tile, from lanes to lanes.
    sums: Kernel,
    norm: Norm,
    pass: Pass,
    /// From elements in memory to lanes and back: the leaves of a mean.
    memory: Twin,
    /// What that mean divides by.
    ones: Divisors,
    /// Whether lanes are elements as they lie in memory.
    is_lane: bool,
    lane: usize,
}

/// Where a tile lies: its first output on each axis, and its first lane of a pixel.
#[derive(Clone, Copy)]
struct Place {
    outer: usize,
    z: usize,
    y: usize,
    x: usize,
    channel: usize,
}

impl Staged {
    pub(crate) const NAME: &str = "staged";

    /// The tier of the sums.
    pub(crate) fn tier(&self) -> &'static str {
        self.sums.tier()
    }

    /// `None` where the kernel of sums adds in another order than the layer wants.
    pub(crate) fn new(layer: &Layer, tiles: Tiles, sums: Kernel, norm: Norm, pass: Pass, memory: Twin) -> Option<Self> {
        let keeps_order = norm.is_most || sums.order() == Order::of(&layer.geometry);
        let facts = &memory.leaves.facts;
        let (lane, is_lane) = (facts.lane, facts.lane == facts.memory);
        let ones = Divisors::new(&tiles.layer, memory.leaves, &memory.constants);
        keeps_order.then_some(Self { tiles, sums, norm, pass, memory, ones, is_lane, lane })
    }

    fn tile(&self) -> &Geometry {
        &self.tiles.layer.geometry
    }

    /// Runs of equal length in one row, or the row as one: from memory to lanes, or from lanes to memory.
    ///
    /// # Safety
    /// As for [`Fold`].
    unsafe fn moves(
        &self,
        io: &Io,
        from: *const u8,
        to: *mut u8,
        len: usize,
        runs: (usize, usize, usize),
        loads: bool,
    ) {
        let facts = &self.memory.leaves.facts;
        let mut block = Block::new();
        let (outer, outer_in, outer_out) = runs;
        let fold = Fold {
            src: from,
            dst: to,
            taps: Taps::ONE,
            outer,
            outer_in,
            outer_out,
            len,
            divisors: self.ones.words(self.memory.leaves, &self.memory.constants, 1, &mut block),
            word_bytes: facts.register(),
            lane_bytes: 0,
            chunk: None,
            readable: io.src_end,
            // Nothing behind a run: it may be another tile's.
            writable: core::ptr::null_mut(),
        };
        let leaf = if loads { self.memory.leaves.down } else { self.memory.leaves.across };
        // SAFETY: by this function's contract.
        unsafe { leaf.call(&self.memory.constants, &fold) };
    }

    /// Loads a row of a tile, from its first column on, and zeros for the columns that lie outside.
    ///
    /// # Safety
    /// The row has the elements that lie inside, and `to` takes the tile's.
    unsafe fn load_row(&self, core: &Core, io: &Io, row: *const u8, at: &Place, to: *mut u8) {
        let (width, inner) = (&core.layer.geometry.axes[2], core.layer.geometry.inner);
        let tile = self.tile();
        let pixel = core.layer.places.input.pixel * core.facts().memory;
        // Columns before the input, and of it.
        let first = at.x * width.stride;
        let begin =
            if tile.axes[2].input == width.input && tile.axes[2].output == width.output { 0 } else { width.begin };
        let before = begin.saturating_sub(first).min(tile.axes[2].input);
        let start = (first + before).saturating_sub(begin).min(width.input);
        let inside = (width.input - start).min(tile.axes[2].input - before);
        let lanes = tile.inner * self.lane;
        // SAFETY: by this function's contract.
        unsafe {
            to.write_bytes(0, before * lanes);
            let after = before + inside;
            to.add(after * lanes).write_bytes(0, (tile.axes[2].input - after) * lanes);
            if inside > 0 {
                let from = row.wrapping_add(start * pixel + at.channel * core.facts().memory);
                let to = to.add(before * lanes);
                if tile.inner == inner && core.layer.places.input.pixel == inner {
                    self.moves(io, from, to, inside * inner, (1, 0, 0), true);
                } else {
                    self.moves(io, from, to, tile.inner, (inside, pixel, lanes), true);
                }
            }
        }
    }

    /// Loads the part of a slab that a tile needs.
    ///
    /// # Safety
    /// As for `load_row`.
    unsafe fn load(&self, core: &Core, io: &Io, at: &Place, to: *mut u8) {
        let [depth, height, _] = &core.layer.geometry.axes;
        let tile = self.tile();
        let row = row_in(tile) * self.lane;
        // Padding of an axis that the tile has whole is the kernel's.
        let begin = |axis: &Axis, part: &Axis| {
            if (part.output, part.input) == (axis.output, axis.input) { 0 } else { axis.begin }
        };
        let inside = |axis: &Axis, part: &Axis, o: usize, i: usize| {
            let i = (o * axis.stride + i).checked_sub(begin(axis, part))?;
            (i < axis.input).then_some(i)
        };
        let mut to = to;
        for i in 0..tile.axes[0].input {
            for j in 0..tile.axes[1].input {
                let place = inside(depth, &tile.axes[0], at.z, i).zip(inside(height, &tile.axes[1], at.y, j));
                // SAFETY: by this function's contract.
                unsafe {
                    match place {
                        Some((z, y)) => {
                            let from = io.src.wrapping_add(core.input_row(at.outer, z, y));
                            self.load_row(core, io, from, at, to);
                        }
                        None => to.write_bytes(0, row),
                    }
                }
                to = to.wrapping_add(row);
            }
        }
    }

    /// Divides the sums of a row by the taps of their windows, where the norm is a mean.
    ///
    /// # Safety
    /// `sums` has the row's lanes from output `x` on.
    unsafe fn divide(&self, core: &Core, sums: *mut u8, at: &Position, x: Range<usize>) {
        let [depth, height, width] = &core.layer.geometry.axes;
        let count = core.layer.count;
        if let Count::Fixed(_) = count {
            return;
        }
        let rows = depth.count(at.z, count).saturating_mul(height.count(at.y, count));
        let pixel = self.tile().inner;
        let mut from = x.start;
        while from < x.end {
            let taps = width.count(from, count);
            let mut to = from + 1;
            while to < x.end && width.count(to, count) == taps {
                to += 1;
            }
            let step = Step::Divide(rows.saturating_mul(taps).max(1));
            let sums = sums.wrapping_add((from - x.start) * pixel * self.lane);
            // SAFETY: by this function's contract.
            unsafe { (self.pass)(&step, sums, sums, (to - from) * pixel) };
            from = to;
        }
    }

    /// Stores some outputs of a row, which have been rooted.
    ///
    /// # Safety
    /// `lanes` has them, and `dst`, where the row's first element lies, takes them.
    unsafe fn store_row(&self, core: &Core, io: &Io, lanes: *const u8, dst: *mut u8, x: Range<usize>, channel: usize) {
        let (inner, pixel, memory) = (core.layer.geometry.inner, core.layer.places.output.pixel, core.facts().memory);
        let own = self.tile().inner;
        let dst = dst.wrapping_add((x.start * pixel + channel) * memory);
        // SAFETY: by this function's contract.
        unsafe {
            if own == inner && pixel == inner {
                self.moves(io, lanes, dst, x.len() * inner, (1, 0, 0), false);
            } else {
                self.moves(io, lanes, dst, own, (x.len(), own * self.lane, pixel * memory), false);
            }
        }
    }

    /// Adds up rows of a tile.
    ///
    /// # Safety
    /// `lanes` has the tile's input, and `sums` takes the rows.
    unsafe fn add_up(&self, lanes: *const u8, sums: *mut u8, rows: Range<usize>) {
        let tile = self.tile();
        let input = tile.outer * tile.axes[0].input * tile.axes[1].input * row_in(tile);
        let io = Io {
            src: lanes,
            src_end: lanes.wrapping_add(input * self.lane),
            dst: sums,
            dst_end: sums.wrapping_add(rows.len() * tile.row_len() * self.lane),
        };
        // SAFETY: by this function's contract; the tier is that of this driver's kernel.
        unsafe { self.sums.run_inner(&io, rows) };
    }

    /// Tiles of whole planes.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn run_planes(&self, core: &Core, io: &Io, rows: Range<usize>, lanes: *mut u8, sums: *mut u8) {
        let tile = *self.tile();
        let geometry = &core.layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let each = depth.output * height.output;
        let plane = depth.input * height.input * row_in(&tile);
        let row = geometry.row_len();
        let memory = core.facts().memory;
        let base = core.output_row(&Position::of(geometry, rows.start));
        let is_packed = core.layer.is_packed();
        let mut is_filled = false;
        let mut at = rows.start;
        while at < rows.end {
            let first = at / each;
            let planes = tile.outer.min(geometry.outer - first).min((rows.end - first * each).div_ceil(each));
            let wanted = at..rows.end.min((first + planes) * each);
            let own = wanted.start - first * each..wanted.end - first * each;
            let n = planes * plane;
            // SAFETY: planes of the layer; scratch has a tile's.
            unsafe {
                if is_packed && self.is_lane {
                    (self.pass)(&self.norm.raise, io.src.wrapping_add(first * plane * memory), lanes, n);
                } else {
                    for i in 0..planes {
                        let place = Place { outer: first + i, z: 0, y: 0, x: 0, channel: 0 };
                        if core.layer.places.input_is_packed {
                            let from = io.src.wrapping_add((first + i) * plane * memory);
                            self.moves(io, from, lanes.wrapping_add(i * plane * self.lane), plane, (1, 0, 0), true);
                        } else {
                            self.load(core, io, &place, lanes.wrapping_add(i * plane * self.lane));
                        }
                    }
                    (self.pass)(&self.norm.raise, lanes, lanes, n);
                }
                // The kernel may read what follows, though it wants none of it.
                if !is_filled {
                    lanes.wrapping_add(n * self.lane).write_bytes(0, (tile.outer * plane - n) * self.lane);
                    is_filled = true;
                }
                self.add_up(lanes, sums, own.clone());
                let mut position = Position::of(geometry, wanted.start);
                if core.layer.count == Count::Valid {
                    let mut position = position;
                    for i in 0..wanted.len() {
                        self.divide(core, sums.wrapping_add(i * row * self.lane), &position, 0..width.output);
                        position.advance(geometry, 1);
                    }
                }
                let n = wanted.len() * row;
                let dst = |position: &Position| io.dst.wrapping_add(core.output_row(position).wrapping_sub(base));
                if core.layer.places.gaps == Gaps::None && self.is_lane {
                    (self.pass)(&self.norm.root, sums, dst(&position), n);
                } else {
                    (self.pass)(&self.norm.root, sums, sums, n);
                    if core.layer.places.gaps == Gaps::None {
                        self.moves(io, sums, dst(&position), n, (1, 0, 0), false);
                    } else {
                        for i in 0..wanted.len() {
                            let lanes = sums.wrapping_add(i * row * self.lane);
                            self.store_row(core, io, lanes, dst(&position), 0..width.output, 0);
                            position.advance(geometry, 1);
                        }
                    }
                }
            }
            at = wanted.end;
        }
    }

    /// Tiles of one slab, for some rows of it.
    ///
    /// # Safety
    /// As for `run`, of `count` rows from `at` on, whose output row lies at `dst` in bytes.
    unsafe fn run_slab(
        &self,
        core: &Core,
        io: &Io,
        at: &Position,
        count: usize,
        base: usize,
        (lanes, sums): (*mut u8, *mut u8),
    ) {
        let tile = *self.tile();
        let geometry = &core.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let [_, rows, columns] = tile.axes.map(|axis| axis.output);
        let row = tile.row_len();
        let n = tile.axes[0].input * tile.axes[1].input * row_in(&tile);
        let mut y = at.y;
        while y < at.y + count {
            let first = y.min(height.output - rows);
            let end = (first + rows).min(at.y + count);
            for x in (0..width.output).step_by(columns) {
                for channel in (0..geometry.inner).step_by(tile.inner) {
                    let place = Place {
                        outer: at.outer,
                        z: at.z,
                        y: first,
                        x: x.min(width.output - columns),
                        channel: channel.min(geometry.inner - tile.inner),
                    };
                    // SAFETY: a tile of the layer, and rows of it that the run has; scratch has a tile's.
                    unsafe {
                        self.load(core, io, &place, lanes);
                        (self.pass)(&self.norm.raise, lanes, lanes, n);
                        self.add_up(lanes, sums, y - first..end - first);
                        for i in 0..end - y {
                            let at = Position { y: y + i, ..*at };
                            let lanes = sums.wrapping_add(i * row * self.lane);
                            self.divide(core, lanes, &at, place.x..place.x + columns);
                        }
                        (self.pass)(&self.norm.root, sums, sums, (end - y) * row);
                        for i in 0..end - y {
                            let at = Position { y: y + i, ..*at };
                            let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
                            let lanes = sums.wrapping_add(i * row * self.lane);
                            self.store_row(core, io, lanes, dst, place.x..place.x + columns, place.channel);
                        }
                    }
                }
            }
            y = end;
        }
    }
}

impl Driver for Staged {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let geometry = &core.layer.geometry;
        let mut scratch = Scratch::new();
        let lanes = scratch.start();
        let tile = self.tile();
        let input = tile.outer * tile.axes[0].input * tile.axes[1].input * row_in(tile);
        let sums = lanes.wrapping_add((input * self.lane + ROOM).next_multiple_of(64));
        if self.tiles.is_whole {
            // SAFETY: the same contract.
            return unsafe { self.run_planes(core, io, rows, lanes, sums) };
        }
        let mut at = Position::of(geometry, rows.start);
        let base = core.output_row(&at);
        let mut left = rows.len();
        while left > 0 {
            let count = left.min(geometry.axes[1].output - at.y);
            // SAFETY: rows of the run, in one slab.
            unsafe { self.run_slab(core, io, &at, count, base, (lanes, sums)) };
            at.advance(geometry, count);
            left -= count;
        }
    }

    fn bytes(&self) -> usize {
        self.sums.bytes() + self.ones.bytes()
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tile = self.tile();
        let [depth, height, width] = tile.axes.map(|axis| axis.output);
        let Geometry { outer, inner, .. } = tile;
        write!(
            f,
            "staged: tiles of {outer} × {depth}×{height}×{width} × {inner} outputs, {:?}, {:?}",
            self.norm, self.sums
        )
    }
}
