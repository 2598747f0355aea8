//! How a layer is cut so that a band's scratch rows fit.

use super::long::{LONG, is_long_down};
use crate::geometry::Geometry;
use crate::kernels::simd::MOST_LANES;

/// Bytes of scratch on the stack of a run: half of the smallest L1 among the CPUs served, so that input rows fit beside.
pub(in crate::kernels::walk) const SCRATCH_BYTES: usize = 32 << 10;

/// Of short windows: the rows of a 3×3 window fit the L1 cache beside their fold. (3×3/2 over 64×112×112 `f32` channels last took
/// 1.8 times the streaming bound with `SCRATCH_BYTES`, 1.4 with these; AVX2, Zen 3.)
const SMALL_BYTES: usize = 8 << 10;

/// Rows of a band at most: enough to part `down` and `across` by some hundred cycles on the narrowest planes.
const BAND: usize = 16;

/// What it costs to fold a vector of a long window's scratch row across, in vectors that are folded down. (Left out, tiles were too high
/// and too narrow for it: 31×31 of three channels last `f32`, maxima 5.2 times the streaming bound for 4.6, averages 6.7 for 5.6; AVX2,
/// Zen 3.)
const ACROSS: f64 = 5.0;

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
    pub(crate) fn new(geometry: &Geometry, lane_bytes: usize, lanes: usize, is_idempotent: bool) -> Option<Self> {
        let is_long = is_long_down(geometry);
        let small = (!is_long && geometry.axes[2].kernel < LONG)
            .then(|| Self::within(SMALL_BYTES, geometry, lane_bytes, lanes, 1, &[1]))
            .flatten();
        let bands: &[usize] = if is_long { &[1, 4, 8, 16, 32] } else { &[1] };
        // Doubling keeps its sums beside what it doubles; an extreme has none.
        let areas = if geometry.axes[2].kernel >= LONG && !is_idempotent { 2 } else { 1 };
        small.or_else(|| Self::within(SCRATCH_BYTES, geometry, lane_bytes, lanes, areas, bands))
    }

    /// The tiling of least cost whose scratch has so many bytes, with bands of one of these heights at least.
    fn within(
        bytes: usize,
        geometry: &Geometry,
        lane_bytes: usize,
        lanes: usize,
        areas: usize,
        bands: &[usize],
    ) -> Option<Self> {
        let width = &geometry.axes[2];
        // Behind each area: what a whole vector at its end, and the further ones of `even` and `third`, may read.
        let capacity = (bytes / lane_bytes / areas).checked_sub(SLACK * lanes)?;
        let whole = geometry.inner.max(1);
        let inner = match capacity / width.span() {
            0 => return None,
            fits if fits >= whole => whole,
            // Whole cache lines of every element type.
            fits => (fits / MOST_LANES * MOST_LANES).max(1),
        };
        // A long window's rows are shared by the rows of a band, so that a tile should be as high as it is wide; the columns
        // that two tiles share are folded twice, so that it should be wide. Both at the price of parts of inner.
        let parts = [inner, whole, 16 * lanes, 8 * lanes, 4 * lanes, 2 * lanes, lanes];
        let sizes = parts
            .into_iter()
            .filter(|part| *part <= whole)
            .flat_map(|part| bands.iter().map(move |band| (*band, part)));
        let tilings = sizes.filter_map(|(band, part)| Self::of(geometry, capacity, band, part));
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

    /// About how many vectors are loaded and stored for each that is put out.
    fn cost(&self, geometry: &Geometry, lanes: usize) -> f64 {
        let [_, height, width] = &geometry.axes;
        // Short windows share no rows.
        let rows = if is_long_down(geometry) { (self.band + height.kernel - 1) as f64 / self.band as f64 } else { 1.0 };
        let columns = (self.pitch / self.inner) as f64 / self.columns as f64;
        // Long windows are folded along the scratch rows, too, however high a tile is.
        let passes = if is_long_down(geometry) && width.kernel >= LONG { ACROSS } else { 0.0 };
        // A run that is no multiple of a vector ends in a vector more, and beginning it costs about one; parts of inner are one
        // run each pixel.
        let run = if self.inner >= geometry.inner { self.pitch } else { self.inner };
        let vectors = (run.div_ceil(lanes) + 4) as f64 * lanes as f64 / run as f64;
        // The passes run over all of a tile at once, whatever its runs.
        (rows * vectors + passes) * columns
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
