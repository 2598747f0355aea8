//! How a layer is cut so that a band's scratch rows fit.

use super::long::{LONG, is_long_down};
use crate::geometry::Geometry;
use crate::kernels::simd::MOST_LANES;

/// Bytes of scratch on the stack of a run: half of the smallest L1 among the CPUs served, so that input rows fit beside.
pub(super) const SCRATCH_BYTES: usize = 16 << 10;

/// Rows of a band at most: enough to part `down` and `across` by some hundred cycles on the narrowest planes.
const BAND: usize = 16;

/// Rows of a band of long windows, which share the window's rows.
const LONG_BAND: usize = 32;

/// Vectors behind the last scratch row.
pub(super) const SLACK: usize = 3;

/// How a layer is cut so that a band's scratch rows fit. Counted in elements of scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Output columns of a tile.
    pub(super) columns: usize,
    /// Inner elements of a tile: all of them, or a part where a window of whole pixels would not fit.
    pub(super) inner: usize,
    /// Output rows of a band.
    pub(super) band: usize,
    /// From one scratch row to the next.
    pub(super) pitch: usize,
}

impl Tiling {
    /// `None` where not even one window's columns fit: a job for another walk. `lanes` is a vector's.
    pub(crate) fn new(geometry: &Geometry, lane_bytes: usize, lanes: usize) -> Option<Self> {
        let width = &geometry.axes[2];
        // Doubling keeps its sums beside what it doubles. Behind each area: what a whole vector at its end, and the
        // further ones of `even` and `third`, may read.
        let areas = if width.kernel >= LONG { 2 } else { 1 };
        let capacity = (SCRATCH_BYTES / lane_bytes / areas).checked_sub(SLACK * lanes)?;
        let whole = geometry.inner.max(1);
        let inner = match capacity / width.span() {
            0 => return None,
            fits if fits >= whole => whole,
            // Whole cache lines of every element type.
            fits => (fits / MOST_LANES * MOST_LANES).max(1),
        };
        // A band of one row, as wide as it gets; a long window's rows are shared by the rows of a band, so that there a tile
        // should be as high as it is wide, whatever part of inner that leaves.
        let of = |band: usize, inner: usize| Self::of(geometry, capacity, band, inner);
        if !is_long_down(geometry) {
            return of(1, inner);
        }
        let parts = [inner, whole, 8 * lanes, 4 * lanes, 2 * lanes, lanes];
        let sizes =
            parts.into_iter().filter(|part| *part <= whole).flat_map(|part| [1, 4, 8, 16, 32].map(|band| (band, part)));
        let tilings = sizes.filter_map(|(band, part)| of(band, part));
        tilings.min_by(|a, b| f64::total_cmp(&a.cost(geometry, lanes), &b.cost(geometry, lanes)))
    }

    /// The widest tile of at least `band` rows of `inner`.
    fn of(geometry: &Geometry, capacity: usize, band: usize, inner: usize) -> Option<Self> {
        let [_, height, width] = &geometry.axes;
        let room = capacity / band / inner;
        let most = room.checked_sub(width.span())? / width.stride + 1;
        // Equal tiles, so that no last one is narrow.
        let columns = width.output.div_ceil(width.output.div_ceil(most));
        let pitch = ((columns - 1) * width.stride + width.span()) * inner;
        let most = if is_long_down(geometry) { LONG_BAND } else { BAND };
        let band = (capacity / pitch).clamp(1, most).min(height.output);
        Some(Self { columns, inner, band, pitch })
    }

    /// About how many vectors are loaded for each that is put out.
    fn cost(&self, geometry: &Geometry, lanes: usize) -> f64 {
        let height = &geometry.axes[1];
        let rows = (self.band + height.kernel - 1) as f64 / self.band as f64;
        let columns = (self.pitch / self.inner) as f64 / self.columns as f64;
        // A run that is no multiple of a vector ends in a vector more; parts of inner are one run each pixel.
        let run = if self.inner >= geometry.inner { self.pitch } else { self.inner };
        let vectors = run.div_ceil(lanes) as f64 * lanes as f64 / run as f64;
        rows * columns * vectors
    }

    /// A tile is a whole output row.
    pub(super) fn is_whole_row(&self, geometry: &Geometry) -> bool {
        self.columns >= geometry.axes[2].output && self.inner >= geometry.inner
    }
}

/// Which outputs of a row, and where their columns lie in the input and in scratch.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) x: usize,
    pub(super) columns: usize,
    pub(super) c: usize,
    pub(super) inner: usize,
    /// First valid input column, how many there are, and where the first lies in a scratch row (in columns).
    pub(super) input: usize,
    pub(super) valid: usize,
    pub(super) at: usize,
}

impl Tile {
    pub(super) fn new(geometry: &Geometry, tiling: &Tiling, x: usize, c: usize) -> Self {
        let width = &geometry.axes[2];
        let columns = tiling.columns.min(width.output - x);
        let inner = tiling.inner.min(geometry.inner - c);
        let from = x * width.stride;
        let to = from + (columns - 1) * width.stride + width.span();
        let input = from.saturating_sub(width.begin).min(width.input);
        let end = to.saturating_sub(width.begin).min(width.input);
        let at = width.begin.saturating_sub(from).min(to - from);
        Self { x, columns, c, inner, input, valid: end - input, at }
    }
}
