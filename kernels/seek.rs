//! Maxima with where they are: which taps the lanes of a register share, and what their numbers mean to the caller.
//!
//! `leaf/seek.rs` keeps, beside the best element of each lane, the number of its tap. What a number means, an offset in
//! the plane or the tensor, is linear in the tap's coordinates: a table. Compiled once for all elements and tiers.

use alloc::vec::Vec;
use core::ops::Range;

use super::driver::{Io, Layer, Position};
use super::leaf::seek::{Best, Found, Search, Seek};
use super::leaf::{Constants, Leaf};
use super::simd::{Lane, MOST_LANES, Tables};
use crate::IndexKind;
use crate::geometry::{Axis, Taps};

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
}

/// The longest table of taps; beyond it an offset is computed.
const MOST_TABLED: usize = 1 << 12;

/// What an index counts, as weights of coordinates; all 0 where taps are counted.
#[derive(Clone, Debug)]
struct Numbering {
    /// Of a plane, which is a channel of an image; planes are counted through all images.
    plane: i64,
    /// What is to be added for each image, where its planes do not follow those of the image before; and how many it
    /// has.
    image: i64,
    channels: usize,
    /// Of a coordinate on depth, height and width.
    weights: [i64; 3],
    /// Taps on height and width, and the distance of two on each axis.
    kernel: [usize; 3],
    dilation: [usize; 3],
    counts_taps: bool,
    /// The offset of each tap from the window's first.
    taps: Vec<i64>,
}

impl Numbering {
    fn new(kind: IndexKind, layer: &Layer) -> Self {
        let (axes, channels) = (&layer.geometry.axes, layer.geometry.channels);
        let counted = kind.weights(channels, axes.each_ref().map(|axis| axis.input));
        let (plane, image, weights) = counted.map_or((0, 0, [0; 3]), |weights| {
            let plane = weights.channel as i64;
            (plane, weights.image as i64 - channels as i64 * plane, weights.axes.map(|weight| weight as i64))
        });
        let kernel = axes.each_ref().map(|axis| axis.kernel);
        let mut numbering = Self {
            plane,
            image,
            channels,
            weights,
            kernel,
            dilation: axes.each_ref().map(|axis| axis.dilation),
            counts_taps: counted.is_none(),
            taps: Vec::new(),
        };
        let taps = kernel.iter().product::<usize>();
        if taps <= MOST_TABLED {
            numbering.taps = (0..taps).map(|tap| numbering.offset(tap)).collect();
        }
        numbering
    }

    /// How far tap `tap` is from its window's first.
    fn offset(&self, tap: usize) -> i64 {
        if self.counts_taps {
            return tap as i64;
        }
        let [_, height, width] = self.kernel;
        let place = [tap / width / height, tap / width % height, tap % width];
        (0..3).map(|axis| (place[axis] * self.dilation[axis]) as i64 * self.weights[axis]).sum()
    }

    /// The index of tap `tap` of the window whose first tap has the index `origin`.
    #[inline(always)]
    fn index(&self, origin: i64, tap: usize) -> i64 {
        origin + self.taps.get(tap).copied().unwrap_or_else(|| self.offset(tap))
    }

    /// The index that the first tap of a window in plane `plane` has or would have, were it valid.
    #[inline(always)]
    fn origin(&self, plane: usize, first: [i64; 3]) -> i64 {
        let [z, y, x] = first;
        let [depth, height, width] = self.weights;
        let image = if self.image == 0 { 0 } else { (plane / self.channels) as i64 };
        plane as i64 * self.plane + image * self.image + z * depth + y * height + x * width
    }
}

/// Where the first tap of output `o` lies, in the input's coordinates.
#[inline(always)]
fn first_tap(axis: &Axis, o: usize) -> i64 {
    (o * axis.stride) as i64 - axis.begin as i64
}

/// How many taps of output `o` lie before the input.
#[inline(always)]
fn skipped(axis: &Axis, o: usize, taps: Taps) -> usize {
    (taps.start + axis.begin - o * axis.stride) / axis.dilation
}

/// What finds an extreme of a layer: a leaf, and what its numbers mean.
pub(crate) struct Finder {
    leaf: Leaf<Search>,
    constants: Constants,
    /// Bytes of an element, and lanes of a register.
    bytes: usize,
    lanes: usize,
    layer: Layer,
    numbering: Numbering,
    /// The tier's token and the element, as the compiler names their types.
    #[cfg_attr(not(feature = "count-runs"), allow(dead_code, reason = "read by the count of runs alone"))]
    types: [&'static str; 2],
}

impl Finder {
    /// The extreme of an operation on a tier, whose token is given.
    pub(crate) fn new<A: Lane, S: Tables<A>, O: Seek<A, S>>(_token: S, op: O, kind: IndexKind, layer: &Layer) -> Self {
        Self {
            leaf: Best::leaf::<A, S, O>(),
            constants: Constants::new(op),
            bytes: size_of::<A>(),
            lanes: S::N,
            layer: *layer,
            numbering: Numbering::new(kind, layer),
            types: [core::any::type_name::<S>(), core::any::type_name::<A>()],
        }
    }

    /// Bytes of an element in memory.
    pub(crate) fn element_bytes(&self) -> usize {
        self.bytes
    }

    /// # Safety
    /// `io.src .. io.src_end` is the whole input, from its first element to its last; the output of `rows`, which end
    /// at or before the layer's, begins at `indices` and, where values are wanted, at `io.dst`.
    pub(crate) unsafe fn run(&self, io: &Io, wants_values: bool, indices: Indices, rows: Range<usize>) {
        #[cfg(feature = "count-runs")]
        super::runs::note([self.types[0], "seek", self.types[1]]);
        let geometry = &self.layer.geometry;
        let output = &self.layer.places.output;
        let mut at = Position::of(geometry, rows.start);
        let first = output.row_at(at.outer, at.z, at.y);
        for _ in rows {
            let to = output.row_at(at.outer, at.z, at.y).wrapping_sub(first);
            let row = Row { to, wants_values, indices };
            // SAFETY: by this function's contract; the row is one of `rows`.
            unsafe {
                if geometry.inner == 1 {
                    self.planar(io, &at, &row);
                } else {
                    self.pixels(io, &at, &row);
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
