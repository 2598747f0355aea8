//! Drivers: loop nests over windows, compiled once for all tiers, elements and operations.
//!
//! A driver knows bytes, lengths and steps. What it can work out when planning it keeps as plain data
//! that prints itself; what a register is, only its leaves know (`leaf/`).
//!
//! | driver | for |
//! |---|---|
//! | [`global`] | one window that is the whole plane, planar: runs in 16 virtual lanes |
//! | [`flat`] | windows that move by one and keep the lengths of small planes: planes without end as one run |
//! | [`chunks`] | small planes, whose rows are about a register long: a program for a group of planes |
//! | [`rows`] | windows whose span fits a register, or two: planar rows, pixels of few channels |
//! | [`separable`] | windows that move by one pixel or two along rows of a register and more: two passes, whole planes a call |
//! | [`columns`] | channels last, a pixel a register or more: few columns a window, kept in registers |
//! | [`piles`] | channels last: many taps a window, which windows do not share, or hardly |
//! | [`direct`] | few taps a window, or windows that share nothing; sums of thousands of floats; takes every layer |
//! | [`bands`] | every other layer: down the window's columns into a scratch row, then across it; long windows |
//! | [`staged`] | norms: a tile raised once, then added up by one of the others |
//!
//! `choose.rs` has the order in which they are asked.

use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::leaf::{Constants, Facts, Leaves};
use crate::geometry::{Axis, Count, Geometry};
use crate::order::Order;
#[cfg(feature = "ndarray")]
use crate::strides::Tensor;
use crate::strides::{Gaps, Output, Places};

pub(crate) mod bands;
pub(crate) mod careful;
pub(crate) mod chunks;
pub(crate) mod columns;
mod combs;
pub(crate) mod direct;
pub(crate) mod divisors;
pub(crate) mod ends;
pub(crate) mod flat;
pub(crate) mod global;
pub(crate) mod piles;
pub(crate) mod program;
pub(crate) mod rows;
mod segments;
pub(crate) mod separable;
pub(crate) mod staged;

/// A layer as the drivers see it: the windows, what an average divides by, and where memory holds both tensors.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub(crate) geometry: Geometry,
    pub(crate) count: Count,
    pub(crate) places: Places,
}

impl Layer {
    /// Neither tensor has gaps.
    pub(crate) fn is_packed(&self) -> bool {
        self.places.input_is_packed && self.places.gaps == Gaps::None
    }

    /// Pixels follow each other along the rows of both tensors.
    pub(crate) fn has_whole_rows(&self) -> bool {
        let inner = self.geometry.inner;
        (self.places.input.pixel, self.places.output.pixel) == (inner, inner)
    }

    /// Elements from the first of the input to the last.
    pub(crate) fn input_extent(&self) -> usize {
        let lengths = self.geometry.axes.map(|axis| axis.input);
        self.places.input.extent(self.geometry.outer, lengths, self.geometry.inner)
    }

    /// Input and output.
    #[cfg(feature = "ndarray")]
    pub(crate) fn tensors(&self) -> [Tensor; 2] {
        self.places.tensors(&self.geometry)
    }

    /// Where the output's rows lie.
    pub(crate) fn output(&self) -> Output {
        Output::new(&self.places, &self.geometry)
    }

    /// How many outputs' divisors are tabled, at least: a plan asks before it makes one.
    pub(crate) fn divisor_entries(&self) -> usize {
        let of = |axis: &Axis| match self.count {
            Count::Fixed(_) => 0,
            _ => axis.cut_windows().0.saturating_add(axis.cut_windows().1),
        };
        self.geometry.axes.iter().map(of).fold(0, usize::saturating_add)
    }

    /// Up to where a run may write that writes row `y` of the slab of `at`, which is `row`: registers may be stored
    /// over the end of what is computed, where the same run writes again. `bytes` is an element's size.
    pub(crate) fn end(&self, io: &Io, at: &Position, y: usize, row: *mut u8, bytes: usize) -> *mut u8 {
        let [depth, height, _] = &self.geometry.axes;
        let rows = match self.places.gaps {
            Gaps::None => return io.dst_end,
            Gaps::Planes => (depth.output - at.z) * height.output - y,
            Gaps::Rows => 1,
            Gaps::Pixels => 0,
        };
        let end = row.wrapping_add(rows * self.geometry.row_len() * bytes);
        if (end as usize) < io.dst_end as usize { end } else { io.dst_end }
    }
}

/// The slices of one run, as bytes. `Bound` has checked both lengths against the geometry, so every tap of every window
/// lies in `src .. src_end` and every output of the units in `dst .. dst_end`.
#[derive(Clone, Copy)]
pub struct Io {
    pub(crate) src: *const u8,
    /// Up to here registers may reach over what a window needs. Where it is `src`, none may.
    pub(crate) src_end: *const u8,
    /// The first element of the run's units.
    pub(crate) dst: *mut u8,
    /// The end of their output. A register may be stored over the end of a row, up to here, where a later row of the
    /// same run writes again.
    pub(crate) dst_end: *mut u8,
}

/// Where an output row lies: which plane, and which output on depth and height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) outer: usize,
    pub(crate) z: usize,
    pub(crate) y: usize,
}

impl Position {
    /// Of output row `row`.
    pub(crate) fn of(geometry: &Geometry, row: usize) -> Self {
        let [depth, height, _] = &geometry.axes;
        let slab = row / height.output;
        Self { outer: slab / depth.output, z: slab % depth.output, y: row % height.output }
    }

    /// `rows` rows further on, at most to the beginning of the next slab.
    pub(crate) fn advance(&mut self, geometry: &Geometry, rows: usize) {
        let [depth, height, _] = &geometry.axes;
        self.y += rows;
        if self.y >= height.output {
            (self.y, self.z) = (0, self.z + 1);
        }
        if self.z >= depth.output {
            (self.z, self.outer) = (0, self.outer + 1);
        }
    }
}

/// A lane operation on a tier: its leaves and what they are told.
#[derive(Clone, Copy)]
pub(crate) struct Twin {
    pub(crate) leaves: &'static Leaves,
    pub(crate) constants: Constants,
    /// The bytes of a lane that is the identity of the join.
    pub(crate) fill: [u8; 8],
}

/// What every driver of a layer knows.
pub(crate) struct Core {
    pub(crate) layer: Layer,
    pub(crate) order: Order,
    pub(crate) hot: Twin,
    /// The twin that is right for every input, where `hot` watches for some. Its lanes are others than those of `hot`,
    /// which are elements in memory; both have the same lengths.
    pub(crate) careful: Option<Twin>,
    pub(crate) divisors: divisors::Divisors,
    /// The bytes of an element that loads as the identity of the join.
    pub(crate) identity: [u8; 8],
}

impl Core {
    pub(crate) fn facts(&self) -> &'static Facts {
        &self.hot.leaves.facts
    }

    /// Of input row `(z, y)` in plane `outer`, from the input's first element, in bytes.
    pub(crate) fn input_row(&self, outer: usize, z: usize, y: usize) -> usize {
        self.layer.places.input.row_at(outer, z, y).wrapping_mul(self.facts().memory)
    }

    /// Of output row `at`, likewise.
    pub(crate) fn output_row(&self, at: &Position) -> usize {
        self.layer.places.output.row_at(at.outer, at.z, at.y).wrapping_mul(self.facts().memory)
    }
}

/// A way to visit the windows of a layer.
pub(crate) trait Driver: Send + Sync + fmt::Debug {
    /// The name of the driver's file.
    fn name(&self) -> &'static str;

    /// The output is computed in rows, each of which can be computed apart: `io` is of `rows`.
    ///
    /// # Safety
    /// The CPU has the tier of `core`. `io.src .. io.src_end` is the whole input of the layer the driver was planned
    /// for, from its first element to its last, or nothing: then `io.src` is its first element, and of what follows the
    /// input's elements alone are readable. `io.dst .. io.dst_end` is the output of `rows`, likewise, which end at or
    /// before the layer's; nobody else touches that output meanwhile.
    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>);

    /// The same for a driver that can share a row that is long to compute: in up to `pieces` pieces, on the threads of
    /// the calling thread's pool. Says whether it did: else nothing has been done.
    ///
    /// # Safety
    /// As for `run`.
    #[cfg(feature = "rayon")]
    unsafe fn run_shared(&self, _core: &Core, _io: &Io, _rows: Range<usize>, _pieces: usize) -> bool {
        false
    }

    /// Bytes that the driver holds beside itself.
    fn bytes(&self) -> usize {
        0
    }
}

/// Bytes of scratch on the stack: what the first-level caches of today's CPUs hold beside what streams through.
pub(crate) const SCRATCH: usize = 48 << 10;

/// Scratch rows.
#[repr(align(64))]
pub(crate) struct Scratch(MaybeUninit<[u8; SCRATCH]>);

impl Scratch {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// Fills memory with a lane, or an element, of `size` bytes.
///
/// # Safety
/// `count` of them are writable at `to`.
pub(crate) unsafe fn fill(to: *mut u8, lane: &[u8; 8], size: usize, count: usize) {
    macro_rules! as_word {
        ($T:ty, $bytes:literal) => {{
            let mut word = [0; $bytes];
            word.copy_from_slice(&lane[..$bytes]);
            let word = <$T>::from_ne_bytes(word);
            for i in 0..count {
                // SAFETY: by this function's contract.
                unsafe { to.cast::<$T>().add(i).write_unaligned(word) };
            }
        }};
    }
    match size {
        1 => as_word!(u8, 1),
        2 => as_word!(u16, 2),
        4 => as_word!(u32, 4),
        _ => as_word!(u64, 8),
    }
}
