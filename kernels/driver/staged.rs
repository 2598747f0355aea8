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
//! 3. The last tiles across overlap those before; what the last one down has too much lies outside, or is not wanted.
//!
//! So a power, which takes longer than everything else, is taken once for each element and not for each tap.

use core::fmt;
use core::ops::Range;

use super::divisors::Divisors;
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

/// Lanes of a pixel that are cut off at a time: a line of memory, or two.
const LINE: usize = 16;

/// What one more run of a tile takes, and one more tile, in lanes that are squared meanwhile.
const RUN: usize = 32;
const TILE: usize = 1024;

/// How a layer is cut into tiles.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    /// A tile as a layer: its input lies in scratch.
    pub(crate) layer: Layer,
    /// Whether it has whole planes. Else it lies in one slab of one plane.
    is_whole: bool,
    /// Outputs of which a tile's first row is a multiple.
    unit: usize,
}

impl Tiles {
    /// For lanes of so many bytes, each of which takes so long to raise. `None` where a tile of no size fits the scratch.
    pub(crate) fn new(layer: &Layer, lane: usize, time: usize) -> Option<Self> {
        let geometry = &layer.geometry;
        let room = (SCRATCH - 4 * ROOM) / lane;
        let all = |axes: &[Axis; 3], length: fn(&Axis) -> usize| axes.iter().map(length).fold(1, usize::saturating_mul);
        let [inputs, outputs]: [fn(&Axis) -> usize; 2] = [|axis| axis.input, |axis| axis.output];
        let size =
            |axes: &[Axis; 3], inner: usize| all(axes, inputs).saturating_add(all(axes, outputs)).saturating_mul(inner);
        if !geometry.axes.iter().all(Axis::slides) || geometry.outer == 0 || geometry.inner == 0 {
            return None;
        }
        let plane = size(&geometry.axes, geometry.inner);
        let [depth, height, width] = geometry.axes;
        // Rows, or pixels of some length, are what is loaded at once.
        let has_rows = (layer.places.input.pixel, layer.places.output.pixel) == (geometry.inner, geometry.inner);
        if plane <= room && (has_rows || geometry.inner >= LINE) {
            let outer = (room / plane).min(geometry.outer);
            return Some(Self {
                layer: packed(geometry, geometry.axes, outer, geometry.inner),
                is_whole: true,
                unit: 1,
            });
        }
        // Rows that windows share are cut at multiples of the kernel, counted from the layer's first.
        let is_long = matches!(Order::of(geometry), Order::Long { rows: true, .. });
        let unit = if is_long { height.kernel } else { 1 };
        let slab = part(&depth, 1);
        let mut best: Option<(usize, [Axis; 3], usize)> = None;
        let mut inner = geometry.inner;
        while has_rows && inner == geometry.inner || inner >= LINE {
            let mut columns = width.output;
            loop {
                let of = |rows: usize| [slab, part(&height, rows), part(&width, columns)];
                // The most rows that fit, or nearly.
                let (one, two) = (size(&of(1), inner), size(&of(2), inner));
                let more = room.saturating_sub(one).checked_div(two.saturating_sub(one)).unwrap_or(0);
                let rows = if size(&[slab, height, part(&width, columns)], inner) <= room {
                    height.output
                } else {
                    (more + 1).min(height.output) / unit * unit
                };
                if rows > 0 && size(&of(rows), inner) <= room {
                    // What a slab takes: to raise its tiles, whose rows, or pixels, are loaded one by one.
                    let axes = of(rows);
                    let is_cut = (columns, inner) != (width.output, geometry.inner);
                    let [inputs, _] = pixels(&axes);
                    let runs =
                        if inner < geometry.inner { inputs } else { inputs / axes[2].input * usize::from(is_cut) };
                    let tiles =
                        height.output.div_ceil(rows) * width.output.div_ceil(columns) * geometry.inner.div_ceil(inner);
                    let each = (inputs * inner * time + runs * RUN + TILE).saturating_mul(tiles);
                    if best.is_none_or(|(least, ..)| each < least) {
                        best = Some((each, axes, inner));
                    }
                }
                if columns < 16 {
                    break;
                }
                columns = columns.div_ceil(2);
            }
            // Whole lines of memory, half as many each time.
            let next = inner.div_ceil(2).next_multiple_of(LINE);
            if next >= inner {
                break;
            }
            inner = next;
        }
        let (_, axes, inner) = best?;
        Some(Self { layer: packed(geometry, axes, 1, inner), is_whole: false, unit })
    }
}

/// Of the input and of the output.
#[inline(never)]
fn pixels(axes: &[Axis; 3]) -> [usize; 2] {
    let add = |[a, b]: [usize; 2], axis: &Axis| [a.saturating_mul(axis.input), b.saturating_mul(axis.output)];
    axes.iter().fold([1, 1], add)
}

/// Some outputs of an axis, as an axis: all of them, or windows without padding.
#[inline(never)]
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
#[inline(never)]
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

    /// Runs of equal length, in bytes apart: from memory to lanes, or from lanes to memory.
    ///
    /// # Safety
    /// As for [`Fold`].
    #[inline(never)]
    unsafe fn moves(
        &self,
        io: &Io,
        from: *const u8,
        to: *mut u8,
        len: usize,
        runs: (usize, usize, usize),
        loads: bool,
    ) {
        let (outer, outer_in, outer_out) = runs;
        let fold = Fold {
            src: from,
            dst: to,
            taps: Taps::ONE,
            outer,
            outer_in,
            outer_out,
            len,
            divisors: self.ones.common(),
            word_bytes: self.memory.leaves.facts.register(),
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

    /// Elements that follow each other, to raised lanes.
    ///
    /// # Safety
    /// `from` has them, and `to` takes the lanes.
    unsafe fn take(&self, io: &Io, from: *const u8, to: *mut u8, n: usize) {
        // SAFETY: by this function's contract.
        unsafe {
            let mut from = from;
            if !self.is_lane {
                self.moves(io, from, to, n, (1, 0, 0), true);
                from = to;
            }
            (self.pass)(&self.norm.raise, from, to, n);
        }
    }

    /// Sums, to elements that follow each other.
    ///
    /// # Safety
    /// `sums` has the lanes, which may be changed, and `to` takes the elements.
    unsafe fn give(&self, io: &Io, sums: *mut u8, to: *mut u8, n: usize) {
        // SAFETY: by this function's contract.
        unsafe {
            (self.pass)(&self.norm.root, sums, if self.is_lane { to } else { sums }, n);
            if !self.is_lane {
                self.moves(io, sums, to, n, (1, 0, 0), false);
            }
        }
    }

    /// Whether a tile has whole rows of the layer, so that rows that follow each other do so in the tile.
    fn has_rows(&self, core: &Core) -> bool {
        let (tile, geometry) = (self.tile(), &core.layer.geometry);
        (tile.axes[2], tile.inner) == (geometry.axes[2], geometry.inner)
    }

    /// Raises a part of one slab or more, with zeros for what lies outside the input.
    ///
    /// # Safety
    /// As for `run`, of the tile at `at`, whose lanes `to` takes.
    unsafe fn load(&self, core: &Core, io: &Io, at: &Place, to: *mut u8) {
        let ([depth, height, width], tile) = (&core.layer.geometry.axes, self.tile());
        let (steps, inner, memory) = (&core.layer.places.input, core.layer.geometry.inner, core.facts().memory);
        let row = row_in(tile) * self.lane;
        // What lies inside, of the input of a tile: first in the tile, then in the layer, and how many.
        let inside = |axis: &Axis, part: &Axis, o: usize| {
            // The padding of an axis that the tile has whole is the kernel's.
            let begin = if part == axis { 0 } else { axis.begin };
            let first = o * axis.stride;
            let before = begin.saturating_sub(first).min(part.input);
            let start = (first + before).saturating_sub(begin).min(axis.input);
            (before, start, (axis.input - start).min(part.input - before))
        };
        let slabs = inside(depth, &tile.axes[0], at.z);
        let rows = inside(height, &tile.axes[1], at.y);
        let columns = inside(width, &tile.axes[2], at.x);
        let is_whole = self.has_rows(core) && steps.pixel == inner && steps.row == row_in(&core.layer.geometry);
        // SAFETY: by this function's contract: what lies inside is of the layer, and the rest of the tile is its scratch.
        unsafe {
            let all = tile.axes[0].input * tile.axes[1].input;
            if [slabs, rows, columns].iter().zip(&tile.axes).any(|((_, _, n), axis)| *n < axis.input) {
                to.write_bytes(0, all * row);
            }
            for z in 0..slabs.2 {
                let slab = to.add(((slabs.0 + z) * tile.axes[1].input + rows.0) * row);
                let from = |y: usize| io.src.wrapping_add(core.input_row(at.outer, slabs.1 + z, rows.1 + y));
                if is_whole {
                    self.take(io, from(0), slab, rows.2 * row_in(tile));
                    continue;
                }
                for y in 0..rows.2 {
                    let from = from(y).wrapping_add((columns.1 * steps.pixel + at.channel) * memory);
                    let to = slab.add(y * row + columns.0 * tile.inner * self.lane);
                    if tile.inner == inner && steps.pixel == inner {
                        self.moves(io, from, to, columns.2 * inner, (1, 0, 0), true);
                    } else {
                        let runs = (columns.2, steps.pixel * memory, tile.inner * self.lane);
                        self.moves(io, from, to, tile.inner, runs, true);
                    }
                }
            }
            if !is_whole {
                (self.pass)(&self.norm.raise, to, to, all * row_in(tile));
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

    /// Roots rows that follow each other in a slab, and stores them.
    ///
    /// # Safety
    /// As for `run`, of `rows` rows from `first` on at `x` and `channel`, whose sums `sums` has; `base` is where the run's first
    /// row lies.
    #[allow(clippy::too_many_arguments, reason = "where some rows of a tile lie")]
    unsafe fn store(
        &self,
        core: &Core,
        io: &Io,
        sums: *mut u8,
        base: usize,
        first: &Position,
        rows: usize,
        (x, channel): (usize, usize),
    ) {
        let (steps, geometry, memory) = (&core.layer.places.output, &core.layer.geometry, core.facts().memory);
        let tile = self.tile();
        let (row, columns) = (tile.row_len(), tile.axes[2].output);
        let place = |y: usize| {
            let at = Position { y: first.y + y, ..*first };
            let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
            (at, dst.wrapping_add((x * steps.pixel + channel) * memory))
        };
        // SAFETY: by this function's contract.
        unsafe {
            if core.layer.count == Count::Valid {
                for y in 0..rows {
                    self.divide(core, sums.add(y * row * self.lane), &place(y).0, x..x + columns);
                }
            }
            if self.has_rows(core) && steps.pixel == geometry.inner && steps.row == row {
                return self.give(io, sums, place(0).1, rows * row);
            }
            (self.pass)(&self.norm.root, sums, sums, rows * row);
            for y in 0..rows {
                let (lanes, dst) = (sums.add(y * row * self.lane), place(y).1);
                if tile.inner == geometry.inner && steps.pixel == geometry.inner {
                    self.moves(io, lanes, dst, row, (1, 0, 0), false);
                } else {
                    let runs = (columns, tile.inner * self.lane, steps.pixel * memory);
                    self.moves(io, lanes, dst, tile.inner, runs, false);
                }
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
        let (tile, geometry) = (self.tile(), &core.layer.geometry);
        let [depth, height, _] = &geometry.axes;
        let each = depth.output * height.output;
        let plane = depth.input * height.input * row_in(tile);
        let row = geometry.row_len();
        let base = core.output_row(&Position::of(geometry, rows.start));
        let mut at = rows.start;
        while at < rows.end {
            let first = at / each;
            let planes = tile.outer.min((rows.end - first * each).div_ceil(each));
            let wanted = at..rows.end.min((first + planes) * each);
            // SAFETY: planes of the layer and rows of the run; scratch has a tile's.
            unsafe {
                if core.layer.places.input_is_packed {
                    self.take(io, io.src.wrapping_add(first * plane * core.facts().memory), lanes, planes * plane);
                } else {
                    for i in 0..planes {
                        let place = Place { outer: first + i, z: 0, y: 0, x: 0, channel: 0 };
                        self.load(core, io, &place, lanes.add(i * plane * self.lane));
                    }
                }
                // The kernel may read what follows, though it wants none of it.
                lanes.add(planes * plane * self.lane).write_bytes(0, (tile.outer - planes) * plane * self.lane);
                self.add_up(lanes, sums, wanted.start - first * each..wanted.end - first * each);
                let (position, n) = (Position::of(geometry, wanted.start), wanted.len());
                if core.layer.places.gaps == Gaps::None && core.layer.count != Count::Valid {
                    let dst = io.dst.wrapping_add(core.output_row(&position).wrapping_sub(base));
                    self.give(io, sums, dst, n * row);
                } else {
                    // Slab by slab.
                    let (mut position, mut done) = (position, 0);
                    while done < n {
                        let some = (height.output - position.y).min(n - done);
                        self.store(core, io, sums.add(done * row * self.lane), base, &position, some, (0, 0));
                        position.advance(geometry, some);
                        done += some;
                    }
                }
            }
            at = wanted.end;
        }
    }

    /// Tiles of one slab, for `count` rows of it from `at` on.
    ///
    /// # Safety
    /// As for `run`, whose first row lies at `base`.
    unsafe fn run_slab(
        &self,
        core: &Core,
        io: &Io,
        at: &Position,
        count: usize,
        base: usize,
        (lanes, sums): (*mut u8, *mut u8),
    ) {
        let (tile, geometry) = (self.tile(), &core.layer.geometry);
        let width = &geometry.axes[2];
        let [_, rows, columns] = tile.axes.map(|axis| axis.output);
        let mut y = at.y;
        while y < at.y + count {
            let first = y - y % self.tiles.unit;
            // A tile that has the axis whole begins where that does.
            let first = if tile.axes[1] == geometry.axes[1] { 0 } else { first };
            let end = (first + rows).min(at.y + count);
            for x in (0..width.output).step_by(columns) {
                for channel in (0..geometry.inner).step_by(tile.inner) {
                    // The last tiles across overlap those before.
                    let (x, channel) = (x.min(width.output - columns), channel.min(geometry.inner - tile.inner));
                    let place = Place { outer: at.outer, z: at.z, y: first, x, channel };
                    // SAFETY: a tile of the layer, and rows of it that the run has; scratch has a tile's.
                    unsafe {
                        self.load(core, io, &place, lanes);
                        self.add_up(lanes, sums, y - first..end - first);
                        self.store(core, io, sums, base, &Position { y, ..*at }, end - y, (x, channel));
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
        write!(f, "staged: tiles of {outer} × {depth}×{height}×{width} × {inner} outputs, {:?}", self.sums)
    }
}
