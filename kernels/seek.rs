//! Maxima with where they are: which taps the lanes of a register share, and what their numbers mean to the caller.
//!
//! | way | for | leaf |
//! |---|---|---|
//! | [`pixels`] | pixels of a register and more | `leaf/pick.rs`: lines of lanes with the same taps, and labels of taps |
//! | [`tiles`] | narrower pixels, and planes: a tile of the input in another order | the same |
//! | [`each`] | what is left: gaps between pixels, windows without a tap, or of so many that a lane holds no label | the same, a register a call; `leaf/seek.rs`: one window |
//!
//! What a label or a number means, an offset in the plane or the tensor, is linear in the tap's coordinates
//! ([`labels`], [`numbering`]). All of this is compiled once for all elements and tiers.

use alloc::vec::Vec;
use core::ops::Range;

pub(crate) mod each;
pub(crate) mod labels;
mod numbering;
mod order;
mod pixels;
mod tiles;

use labels::Fields;
use numbering::Numbering;
use pixels::Pixels;
use tiles::Tiles;

use super::driver::{Io, Layer, Position};
use super::leaf::deal::{Dealer, Deals};
use super::leaf::number::{Number, Numbers};
use super::leaf::pick::{Lines, Pick, Tap};
use super::leaf::seek::{Best, Search, Seek};
use super::leaf::{Constants, Leaf};
use super::simd::{Lane, LaneOp, Lanes, Tables};
use super::token::Scalar;
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
    pub(crate) fn new<A: Lane, S: Tables<A> + Numbers + Deals, O: Seek<A, S> + Seek<A, Scalar>>(
        _token: S,
        op: O,
        kind: IndexKind,
        layer: &Layer,
    ) -> Self
    where
        Scalar: Tables<A, M = bool>,
    {
        const { assert!(!<O as LaneOp<A, S>>::WATCH, "who watches has a careful twin") };
        let mut identity = [0; 8];
        identity[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(&LaneOp::<A, S>::identity(op)));
        let finder = Self {
            leaf: Best::leaf::<A, O>(),
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
        // Windows that are not cut have all of their taps.
        let is_plain = |axis: &Axis| {
            let (head, tail) = axis.cut_windows();
            let mut cut = (0..head).chain(axis.output - tail..axis.output);
            axis.slides() && cut.all(|o| numbering::valid_taps(axis, o).0.count > 0)
        };
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
}
