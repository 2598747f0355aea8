//! Maxima with where they are: which taps the lanes of a register share, and what their numbers mean to the caller.
//!
//! | way | for | leaf |
//! |---|---|---|
//! | [`pixels`] | pixels of a register and more | `leaf/pick.rs`: lines of lanes with the same taps, and labels of taps |
//! | [`tiles`] | narrower pixels, and planes: a tile of the input in another order | the same |
//! | `each` | what is left: gaps between pixels, windows without a tap, windows of so many taps that a lane holds no label | `leaf/seek.rs`: one register of lanes a call, taps by number |
//!
//! What a label or a number means, an offset in the plane or the tensor, is linear in the tap's coordinates
//! ([`labels`], [`numbering`]). All of this is compiled once for all elements and tiers.

use alloc::vec::Vec;
use core::ops::Range;

pub(crate) mod labels;
mod numbering;
mod pixels;
mod tiles;

use labels::Fields;
use numbering::{Numbering, first_tap, skipped};
use pixels::Pixels;
use tiles::Tiles;

use super::driver::{Io, Layer, Position};
use super::leaf::deal::{Dealer, Deals};
use super::leaf::number::{Number, Numbers};
use super::leaf::pick::{Lines, Pick, Tap};
use super::leaf::seek::{Best, Found, Search, Seek};
use super::leaf::{Constants, Leaf};
use super::simd::{Lane, Lanes, MOST_LANES, Tables};
use crate::IndexKind;
use crate::geometry::Axis;

/// Where indices go: `i32` or `i64`, from the run's first output on.
#[derive(Clone, Copy)]
pub(crate) enum Indices {
    Short(*mut i32),
    Long(*mut i64),
}

impl Indices {
    /// # Safety
    /// `at` is one of the run's outputs.
    #[inline(always)]
    unsafe fn write(self, at: usize, index: i64) {
        // SAFETY: by this function's contract. Every index fits: `Plan` has compared the largest with the type.
        unsafe {
            match self {
                Self::Short(p) => p.add(at).write(index as i32),
                Self::Long(p) => p.add(at).write(index),
            }
        }
    }

    /// From output `at` of the run on.
    fn at(self, at: usize) -> Self {
        match self {
            Self::Short(p) => Self::Short(p.wrapping_add(at)),
            Self::Long(p) => Self::Long(p.wrapping_add(at)),
        }
    }
}

/// The longest list of taps.
const MOST_LISTED: usize = 1 << 12;

/// The taps of a whole window, with the offsets that `offset` says.
fn taps_of(axes: &[Axis; 3], fields: &Fields, offset: impl Fn([usize; 3]) -> usize) -> Vec<Tap> {
    let [_, height, width] = axes.each_ref().map(|axis| axis.kernel);
    let count = axes.iter().map(|axis| axis.kernel).product();
    let place = |tap: usize| [tap / width / height, tap / width % height, tap % width];
    (0..count).map(place).map(|at| Tap { offset: offset(at), label: fields.label(at) }).collect()
}

/// How the outputs of a layer are visited.
#[derive(Debug)]
enum Way {
    Each,
    Pixels(Pixels),
    Tiles(Tiles),
}

/// A leaf that picks, and the constants of its operation.
#[derive(Clone, Copy)]
struct Picker {
    leaf: Leaf<Lines>,
    constants: Constants,
}

/// What finds an extreme of a layer: leaves, and what their numbers mean.
pub(crate) struct Finder {
    leaf: Leaf<Search>,
    constants: Constants,
    careful: Leaf<Lines>,
    number: Number,
    dealer: Dealer,
    /// What is asked first where there is one. What it watches for is for `careful`.
    hot: Option<Picker>,
    /// Bytes of an element, and lanes of a register.
    bytes: usize,
    lanes: usize,
    /// The bytes of an element that no other is worse than.
    identity: [u8; 8],
    layer: Layer,
    numbering: Numbering,
    way: Way,
    /// The tier's token and the element, as the compiler names their types.
    #[cfg_attr(not(feature = "count-runs"), allow(dead_code, reason = "read by the count of runs alone"))]
    types: [&'static str; 2],
}

/// One run: its slices, and what is wanted.
struct Job<'a> {
    io: &'a Io,
    wants_values: bool,
    indices: Indices,
    /// Where the run's first output lies in the whole output, and elements from there to its last.
    first: usize,
    room: usize,
}

impl Job<'_> {
    /// Where a row's first output lies.
    #[inline(always)]
    fn place(&self, finder: &Finder, at: &Position) -> usize {
        finder.layer.places.output.row_at(at.outer, at.z, at.y).wrapping_sub(self.first)
    }

    /// Where its value goes, if it is wanted.
    #[inline(always)]
    fn values(&self, at: usize, bytes: usize) -> *mut u8 {
        if self.wants_values { self.io.dst.wrapping_add(at * bytes) } else { core::ptr::null_mut() }
    }
}

impl Finder {
    /// The extreme of an operation on a tier, whose token is given.
    pub(crate) fn new<A: Lane, S: Tables<A> + Numbers + Deals, O: Seek<A, S>>(
        _token: S,
        op: O,
        kind: IndexKind,
        layer: &Layer,
    ) -> Self {
        const { assert!(!O::WATCH, "who watches has a careful twin") };
        let mut identity = [0; 8];
        identity[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(&op.identity()));
        let finder = Self {
            leaf: Best::leaf::<A, S, O>(),
            constants: Constants::new(op),
            careful: Pick::leaf::<A, S, O>(),
            number: Number::of::<S>(),
            dealer: Dealer::of::<S>(),
            hot: None,
            bytes: size_of::<A>(),
            lanes: <S as Lanes<A>>::N,
            identity,
            layer: *layer,
            numbering: Numbering::new(kind, layer),
            way: Way::Each,
            types: [core::any::type_name::<S>(), core::any::type_name::<A>()],
        };
        finder.planned()
    }

    /// The same where `hot` is to be asked first: an operation on the same elements, to which the same one is the worst.
    pub(crate) fn watched<A: Lane, S: Tables<A>, O: Seek<A, S>>(self, _token: S, hot: O) -> Self {
        let hot = Picker { leaf: Pick::leaf::<A, S, O>(), constants: Constants::new(hot) };
        Self { hot: Some(hot), ..self }
    }

    /// Chooses the way.
    #[inline(never)]
    fn planned(mut self) -> Self {
        let (axes, inner) = (&self.layer.geometry.axes, self.layer.geometry.inner);
        let taps = axes.iter().map(|axis| axis.kernel).fold(1, usize::saturating_mul);
        let is_plain = |axis: &Axis| axis.slides() && (0..axis.output).all(|o| axis.taps(o).count > 0);
        if self.lanes == 1
            || taps > MOST_LISTED
            || inner == 0
            || !self.layer.has_whole_rows()
            || !axes.iter().all(|axis| axis.output > 0 && is_plain(axis))
        {
            return self;
        }
        let Some(fields) = Fields::new(&self.numbering, axes, inner, self.bytes) else { return self };
        self.way = if inner >= self.lanes {
            Way::Pixels(Pixels::new(&self.layer, fields, self.numbering.plane, self.bytes))
        } else {
            Tiles::new(&self, fields).map_or(Way::Each, Way::Tiles)
        };
        self
    }

    /// Bytes of an element in memory.
    pub(crate) fn element_bytes(&self) -> usize {
        self.bytes
    }

    /// # Safety
    /// As for [`Lines`].
    unsafe fn pick(&self, lines: &Lines) {
        // SAFETY: by this function's contract; the constants are the leaves' own.
        unsafe {
            let is_done = self.hot.is_some_and(|hot| !hot.leaf.call(&hot.constants, lines));
            if !is_done {
                self.careful.call(&self.constants, lines);
            }
        }
    }

    /// # Safety
    /// `io.src .. io.src_end` is the whole input, from its first element to its last; the output of `rows`, which end
    /// at or before the layer's, begins at `indices` and, where values are wanted, at `io.dst`, and nobody else touches it
    /// meanwhile.
    pub(crate) unsafe fn run(&self, io: &Io, wants_values: bool, indices: Indices, rows: Range<usize>) {
        #[cfg(feature = "count-runs")]
        super::runs::note([self.types[0], "seek", self.types[1]]);
        let output = self.layer.output().span(rows.clone());
        // Registers may reach over a row's end where another row of the run follows it.
        let room = if self.layer.is_packed() { output.len() } else { 0 };
        let job = Job { io, wants_values, indices, first: output.start, room };
        // SAFETY: by this function's contract.
        unsafe {
            match &self.way {
                Way::Each => self.each(&job, rows),
                Way::Pixels(pixels) => pixels.run(self, &job, rows),
                Way::Tiles(tiles) => tiles.run(self, &job, rows),
            }
        }
    }

    /// # Safety
    /// As for [`Finder::run`].
    unsafe fn each(&self, job: &Job<'_>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let mut at = Position::of(geometry, rows.start);
        for _ in rows {
            let row = Row { to: job.place(self, &at), wants_values: job.wants_values, indices: job.indices };
            // SAFETY: by this function's contract; the row is one of `rows`.
            unsafe {
                if geometry.inner == 1 {
                    self.planar(job.io, &at, &row);
                } else {
                    self.pixels(job.io, &at, &row);
                }
            }
            at.advance(geometry, 1);
        }
    }

    /// A row whose lanes are neighbouring outputs. Outputs whose windows padding cuts have taps of their own and are
    /// found one by one.
    ///
    /// # Safety
    /// As for `run`, of the row at `at`.
    unsafe fn planar(&self, io: &Io, at: &Position, row: &Row) {
        let width = &self.layer.geometry.axes[2];
        let pixel = self.layer.places.output.pixel;
        let (head, tail) = width.cut_windows();
        let whole = head..width.output.saturating_sub(tail).max(head);
        let step = width.stride as i64 * self.numbering.weights[2];
        let mut x = 0;
        while x < width.output {
            let left = if whole.contains(&x) { whole.end - x } else { 1 };
            let n = left.min(self.lanes);
            // SAFETY: the windows of `n` outputs from `x` on have the same taps: one window, or windows that are not
            // cut.
            unsafe { self.find(io, at, row, (x, 0), n, x * pixel, pixel, step) };
            x += n;
        }
    }

    /// A row whose lanes are the inner elements of one output pixel.
    ///
    /// # Safety
    /// As for `run`, of the row at `at`.
    unsafe fn pixels(&self, io: &Io, at: &Position, row: &Row) {
        let (inner, pixel) = (self.layer.geometry.inner, self.layer.places.output.pixel);
        for x in 0..self.layer.geometry.axes[2].output {
            let mut c = 0;
            while c < inner {
                let n = (inner - c).min(self.lanes);
                // SAFETY: every inner element of a pixel has its window's taps.
                unsafe { self.find(io, at, row, (x, c), n, x * pixel + c, 1, self.numbering.plane) };
                c += n;
            }
        }
    }

    /// `n` lanes from output `x`, inner element `c` on, whose windows have the same taps: their outputs lie from `to`
    /// on, `apart` elements apart, and the indices of their first taps are `step` apart.
    ///
    /// # Safety
    /// As for `run`: outputs of the row at `at`.
    #[allow(clippy::too_many_arguments, reason = "which lanes, and where their outputs go")]
    unsafe fn find(
        &self,
        io: &Io,
        at: &Position,
        row: &Row,
        (x, c): (usize, usize),
        n: usize,
        to: usize,
        apart: usize,
        step: i64,
    ) {
        let geometry = &self.layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let (z_taps, y_taps, x_taps) = (depth.taps(at.z), height.taps(at.y), width.taps(x));
        let first = [first_tap(depth, at.z), first_tap(height, at.y), first_tap(width, x)];
        let mut origin = self.numbering.origin(at.outer * geometry.inner + c, first);
        let counts = [z_taps.count, y_taps.count, x_taps.count];
        let has_taps = counts.iter().all(|count| *count > 0);
        let mut found: Found = [0; MOST_LANES];
        let mut values = Values([0; 8 * MOST_LANES]);
        let dst = io.dst.wrapping_add((row.to + to) * self.bytes);
        let is_apart = apart != 1 && n > 1;
        if has_taps {
            let number = (skipped(depth, at.z, z_taps) * height.kernel + skipped(height, at.y, y_taps)) * width.kernel
                + skipped(width, x, x_taps);
            let steps = &self.layer.places.input;
            let apart_in = if geometry.inner == 1 { width.stride.wrapping_mul(steps.pixel) } else { 1 };
            let offset =
                steps.row_at(at.outer, z_taps.start, y_taps.start).wrapping_add(x_taps.start * steps.pixel + c);
            let search = Search {
                first: io.src.wrapping_add(offset.wrapping_mul(self.bytes)),
                counts,
                // Steps of an axis with one tap are never taken; the products could wrap.
                steps: [
                    depth.dilation.wrapping_mul(steps.slab).wrapping_mul(self.bytes),
                    height.dilation.wrapping_mul(steps.row).wrapping_mul(self.bytes),
                    width.dilation.wrapping_mul(steps.pixel).wrapping_mul(self.bytes),
                ],
                apart: apart_in.wrapping_mul(self.bytes),
                lanes: n,
                number,
                kernel: [height.kernel, width.kernel],
                readable: io.src_end,
                values: match (row.wants_values, is_apart) {
                    (false, _) => core::ptr::null_mut(),
                    (true, false) => dst,
                    (true, true) => values.0.as_mut_ptr(),
                },
                found: &mut found,
            };
            // SAFETY: by this function's contract: valid taps of the lanes, and their outputs or as much room.
            unsafe {
                self.leaf.call(&self.constants, &search);
                if row.wants_values && is_apart {
                    for lane in 0..n {
                        let from = values.0.as_ptr().add(lane * self.bytes);
                        let to = dst.wrapping_add(lane * apart * self.bytes);
                        core::ptr::copy_nonoverlapping(from, to, self.bytes);
                    }
                }
            }
        }
        for lane in 0..n {
            let index = if has_taps { self.numbering.index(origin, found[lane]) } else { -1 };
            // SAFETY: an output of the run.
            unsafe { row.indices.write(row.to + to + lane * apart, index) };
            origin += step;
        }
    }
}

/// Room for the values of a register's lanes.
#[repr(align(64))]
struct Values([u8; 8 * MOST_LANES]);

/// An output row: where it is in the run's output, and what is wanted of it.
struct Row {
    to: usize,
    wants_values: bool,
    indices: Indices,
}
