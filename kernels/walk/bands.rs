//! Bands of rows: down the columns into scratch rows, then across them. Any window, any layout.
//!
//! ```text
//! for each band of output rows of one slab, for each tile of columns (and of inner) that fits the scratch:
//!     for each output row of the band:
//!         down:   scratch[c] = fold of the window's rows at input column c, for every c of the tile      (1)(2)
//!     for each output row of the band:
//!         across: out[x] = fold of scratch[x·s + j·d] for j = 0..k, finished                            (3)(4)
//! ```
//!
//! 1. Down does not know the layout: a row is a run of `columns × inner` elements in all of them. Shared columns are
//!    folded once; shared rows are loaded again for each output row, unless the window is long (`down_long`): then each
//!    output row costs two joins, however long the window.
//! 2. A scratch row begins at the first *padded* column and ends after the last: what lies outside the input is the
//!    identity, written once for a tile shape, since down never stores past its own columns. So neither pass knows an
//!    edge. Rows outside the input are not visited.
//! 3. Across, a stride of 1 makes the output row one run, in every layout: tap `j` is the same scratch row, `j·d·inner`
//!    further on. Planar with a stride of 2 or 3, windows are folded at every column and every other or third one is kept
//!    (`even`, `third`); with a longer stride, taps are picked one by one. Otherwise a pixel at a time, lanes are its inner elements.
//!    A long window is folded by doubling (`double`).
//! 4. A band holds several rows so that across loads what down stored some hundred cycles ago: a load right after the
//!    stores it straddles does not forward, and stalls.
//!
//! This walk is the general one: one body for every number of taps, and the same with a constant number for the windows of most
//! networks, 2 and 3. Layers that have a better one: planar `flat`, `rows` and `planes`, channels last `columns`.

mod long;
mod tiling;

use core::mem::MaybeUninit;
use core::ops::Range;

use super::divisors::{Divisors, RowDivisors};
use super::{Caution, Io, Layer, Position, RowTaps, Walk, emit, fold_rows, inline, load_block, until, watch_block};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;

use long::{Columns, double, down_long, is_long_down};
use tiling::{SLACK, Tile};

pub(crate) use long::LONG;
pub(super) use long::pass;
pub(super) use tiling::SCRATCH_BYTES;
pub(crate) use tiling::Tiling;

/// Vectors that are folded side by side.
const BLOCK: usize = 4;

#[repr(align(64))]
pub(super) struct Scratch(pub(super) MaybeUninit<[u8; SCRATCH_BYTES]>);

pub(crate) struct Bands<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    tiling: Tiling,
}

impl<A: Lane, R> Bands<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer, tiling: Tiling) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer), tiling }
    }
}

/// Which output rows: `count` from `at` on.
#[derive(Clone, Copy)]
struct Band {
    at: Position,
    count: usize,
}

/// A run's scratch, and what the identity was last written around in it: nothing needs writing for a tile of the same
/// shape.
struct Workspace<A> {
    rows: *mut A,
    margins: Option<(usize, usize, bool)>,
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Bands<A, R> {
    const KIND: WalkKind = WalkKind::Bands;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        // SAFETY: the same contract.
        unsafe { self.visit_rows(s, io, rows, false) }
    }
}

impl<A: Lane, R> Bands<A, R> {
    pub(super) fn divisors(&self) -> &Divisors<A> {
        &self.divisors
    }

    /// `visit`, or with `careful` the careful twin's work from the start.
    ///
    /// Not inlined, but entered anew: this walk also ends the work of others, and one copy serves all.
    ///
    /// # Safety
    /// As for [`Walk::visit`].
    #[inline(never)]
    pub(super) unsafe fn visit_rows<S: Lanes<A>>(&self, s: S, io: Io<R::T>, rows: Range<usize>, careful: bool)
    where
        R: Reduce<A, S>,
    {
        s.vectorize(
            #[inline(always)]
            // SAFETY: by this function's contract.
            || unsafe { self.bands(s, io, rows, careful) },
        );
    }

    /// # Safety
    /// As for [`Walk::visit`].
    #[inline(always)]
    unsafe fn bands<S: Lanes<A>>(&self, s: S, io: Io<R::T>, rows: Range<usize>, careful: bool)
    where
        R: Reduce<A, S>,
    {
        let geometry = &self.layer.geometry;
        let (tiling, height) = (&self.tiling, geometry.axes[1].output);
        let mut scratch = Scratch(MaybeUninit::uninit());
        let mut workspace = Workspace { rows: scratch.0.as_mut_ptr().cast(), margins: None };
        let mut caution = Caution::default();

        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            let count = tiling.band.min(height - at.y).min(rows.len() - to);
            let band = Band { at, count };
            let (mut x, mut c) = (0, 0);
            while x < geometry.axes[2].output {
                let tile = Tile::new(geometry, tiling, x, c);
                // SAFETY: by the contract of `visit`: the rows are units of the run, and the tile lies in them.
                unsafe {
                    let mut suspect = careful || caution.is_due();
                    if !suspect {
                        suspect = caution.learn(self.tile(s, self.op, &io, &band, &tile, &mut workspace, false));
                    }
                    if R::WATCH && suspect {
                        self.tile(s, self.op.careful(), &io, &band, &tile, &mut workspace, true);
                    }
                }
                c += tile.inner;
                if c >= geometry.inner {
                    (x, c) = (x + tiling.columns, 0);
                }
            }
            at.advance(geometry, count);
            to += count;
        }
    }

    /// The outputs of one tile in a band of rows. Says whether it met what `op` is not right for; then the outputs are
    /// not to be used.
    ///
    /// # Safety
    /// As for `visit`; the band's rows are units of the run, of one slab; the workspace holds `SCRATCH_BYTES`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop, shared with its careful twin")]
    unsafe fn tile<S, O>(
        &self,
        s: S,
        op: O,
        io: &Io<O::T>,
        band: &Band,
        tile: &Tile,
        workspace: &mut Workspace<A>,
        careful: bool,
    ) -> bool
    where
        S: Lanes<A>,
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let geometry = &self.layer.geometry;
        let (pitch, scratch) = (self.tiling.pitch, workspace.rows);
        let (left, right) = (tile.at * tile.inner, (tile.at + tile.valid) * tile.inner);
        if workspace.margins != Some((left, right, careful)) {
            workspace.margins = Some((left, right, careful));
            // SAFETY: `Tiling` fits `tiling.band` rows of `pitch` elements and `SLACK` vectors into the scratch.
            unsafe { fill_around(scratch, pitch, self.tiling.band, left, right, SLACK * S::N, op.fill()) };
        }

        // A tile's columns are one run of the input row, or one for each pixel where a tile is a part of inner.
        let pixel = self.layer.places.input.pixel;
        let whole = tile.inner == pixel;
        let (pieces, len) = if whole { (1, tile.valid * tile.inner) } else { (tile.valid, tile.inner) };
        let strip = Strip {
            layer: &self.layer,
            at: band.at,
            count: band.count,
            from: io.src.wrapping_add(tile.input * pixel + tile.c),
            to: scratch.wrapping_add(left),
            pitch,
            pieces,
            piece_steps: (pixel, tile.inner),
            len,
        };
        let flag = op.clean(s);
        // SAFETY: the valid columns of the tile are in every row of the input, and in every scratch row from `left` on.
        let flag = unsafe {
            if is_long_down(geometry) { down_long(s, op, &strip, flag) } else { down_band(s, op, &strip, flag) }
        };
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }

        let width = &geometry.axes[2];
        let mut folded = Columns { rows: scratch, taps: width.kernel, step: width.dilation * tile.inner };
        if width.kernel >= LONG {
            // A vector more, so that the last one is folded whole.
            let (len, area) = (band.count * pitch + S::N, self.tiling.band * pitch + SLACK * S::N);
            // SAFETY: two areas of `tiling.band` rows of `pitch` elements and two vectors; the first holds the identity or a
            // folded column in every row.
            folded = unsafe { double(s, op, folded, len, area) };
            // It folded columns into the identities around them.
            workspace.margins = None;
        }
        let mut at = band.at;
        for i in 0..band.count {
            let divisors = self.divisors.row::<S, O>(at.z, at.y);
            // SAFETY: output row `i` of the band, from the tile's first output on; scratch row `i` holds the tile's columns.
            unsafe {
                let row = self.layer.row(io, &at, at.y);
                let end = self.layer.end(io, &at, at.y, row);
                let dst = row.add(tile.x * self.layer.places.output.pixel + tile.c);
                self.across(s, op, end, tile, folded.row(i * pitch), dst, &divisors);
            }
            at.y += 1;
        }
        false
    }

    /// Folds the columns of one scratch row into one row of outputs.
    ///
    /// # Safety
    /// `from` is a scratch row that holds the tile, with its slack; `dst` is the output of the tile's first window; up to `end` the
    /// run may write.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn across<S, O>(
        &self,
        s: S,
        op: O,
        end: *const O::T,
        tile: &Tile,
        from: Columns<A>,
        dst: *mut O::T,
        divisors: &RowDivisors<'_, A>,
    ) where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        let geometry = &self.layer.geometry;
        let width = &geometry.axes[2];
        // The window's columns folded, for N neighbouring elements of scratch from element `i` on.
        let fold = inline(
            #[inline(always)]
            |i: usize| {
                // SAFETY: by this function's contract: the taps of a window of the tile, and slack for a vector.
                unsafe {
                    let at = from.rows.add(i);
                    let mut v = s.load(at);
                    for tap in 1..from.taps {
                        v = op.join(s, v, s.load(at.add(tap * from.step)));
                    }
                    v
                }
            },
        );
        // A run may spill over its end where a later one of this very tile, or of a later row, writes again.
        let spill = |dst: *mut O::T| if self.tiling.is_whole_row(geometry) { until(dst, end) } else { 0 };
        let pixel = self.layer.places.output.pixel;

        if geometry.inner == 1 && pixel == 1 {
            let divisor = inline(
                #[inline(always)]
                |i: usize| divisors.from(s, op, tile.x + i),
            );
            let folded = inline(
                #[inline(always)]
                |i: usize| match width.stride {
                    1 => fold(i),
                    2 => s.even(fold(2 * i), fold(2 * i + S::N)),
                    3 => s.third(fold(3 * i), fold(3 * i + S::N), fold(3 * i + 2 * S::N)),
                    // SAFETY: the first taps of the outputs `i` and following, those of this tile.
                    stride => unsafe {
                        let lanes = S::N.min(tile.columns - i);
                        let at = from.rows.add(i * stride);
                        let mut v = pick_up(s, at, stride, lanes, op.fill());
                        for tap in 1..from.taps {
                            v = op.join(s, v, pick_up(s, at.add(tap * from.step), stride, lanes, op.fill()));
                        }
                        v
                    },
                },
            );
            // SAFETY: all outputs of the tile; output `i` has its first tap at scratch column `i · stride`.
            unsafe { emit(s, op, dst, tile.columns, spill(dst), folded, divisor) };
            return;
        }
        // SAFETY: the same contract.
        unsafe {
            match from.taps {
                2 if const { !O::LEAN && !S::PLAIN } => self.pixels::<S, O, 2>(s, op, end, tile, from, dst, divisors),
                3 if const { !O::LEAN && !S::PLAIN } => self.pixels::<S, O, 3>(s, op, end, tile, from, dst, divisors),
                _ => self.pixels::<S, O, 0>(s, op, end, tile, from, dst, divisors),
            }
        }
    }

    /// `across` where inner elements are the lanes; windows of `K` columns, or of any number where that is 0.
    ///
    /// # Safety
    /// As for `across`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn pixels<S, O, const K: usize>(
        &self,
        s: S,
        op: O,
        end: *const O::T,
        tile: &Tile,
        from: Columns<A>,
        dst: *mut O::T,
        divisors: &RowDivisors<'_, A>,
    ) where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        let geometry = &self.layer.geometry;
        let (stride, pixel) = (geometry.axes[2].stride, self.layer.places.output.pixel);
        let is_whole_row = self.tiling.is_whole_row(geometry);
        let taps = if K == 0 { from.taps } else { K };
        // Neighbouring outputs are one run where windows move by 1 and a tile has all of inner; else each pixel is one.
        let is_run = stride == 1 && tile.inner == pixel;
        let mut x = 0;
        let mut runs = self.divisors.runs.iter();
        while x < tile.columns {
            let mut next = x + 1;
            if is_run {
                match runs.next() {
                    Some(run) if run.end <= tile.x + x => continue,
                    Some(run) => next = (run.end - tile.x).min(tile.columns),
                    None => next = tile.columns,
                }
            }
            let divisor = divisors.at(s, op, tile.x + x);
            let (dst, len) = (dst.wrapping_add(x * pixel), (next - x) * tile.inner);
            let first = from.rows.wrapping_add(x * stride * tile.inner);
            let folded = inline(
                #[inline(always)]
                |i: usize| {
                    let at = first.wrapping_add(i);
                    // SAFETY: the inner elements of the tile's outputs `x .. next`, whose windows begin at scratch column
                    // `x · stride`: the taps of a window of the tile, and slack for a vector.
                    let mut v = unsafe { s.load(at) };
                    for tap in 1..taps {
                        // SAFETY: likewise.
                        v = op.join(s, v, unsafe { s.load(at.add(tap * from.step)) });
                    }
                    op.finish(s, v, divisor)
                },
            );
            // SAFETY: `len` elements of output; more where a later one of this very tile, or of a later row, writes again.
            unsafe {
                let mut i = 0;
                while i + BLOCK * S::N <= len {
                    let mut v = [s.splat(op.fill()); BLOCK];
                    for b in 0..BLOCK {
                        v[b] = folded(i + b * S::N);
                    }
                    for b in 0..BLOCK {
                        op.store(s, dst.add(i + b * S::N), v[b]);
                    }
                    i += BLOCK * S::N;
                }
                // The last vector overlaps the one before, or is partial.
                let room = if is_whole_row && len < S::N { until(dst, end) } else { len };
                while i < len {
                    let at = if i + S::N <= len { i } else { len.saturating_sub(S::N) };
                    let v = folded(at);
                    if room >= S::N {
                        op.store(s, dst.add(at), v)
                    } else {
                        op.store_first(s, dst, len, v)
                    }
                    i += S::N;
                }
            }
            x = next;
        }
    }
}

/// Writes the identity into every scratch row around the columns that down will fill, and behind the last row.
///
/// # Safety
/// `scratch` holds `rows` rows of `pitch` elements and `slack` more.
#[inline(never)]
unsafe fn fill_around<A: Lane>(
    scratch: *mut A,
    pitch: usize,
    rows: usize,
    left: usize,
    right: usize,
    slack: usize,
    fill: A,
) {
    // What lies between two rows' columns is one run.
    let (mut from, mut to) = (0, left);
    for row in 1..=rows {
        for i in from..to {
            // SAFETY: i < rows · pitch.
            unsafe { scratch.add(i).write(fill) };
        }
        (from, to) = ((row - 1) * pitch + right, row * pitch + left);
    }
    for i in from..rows * pitch + slack {
        // SAFETY: i < rows · pitch + slack.
        unsafe { scratch.add(i).write(fill) };
    }
}

/// `lanes` elements `stride` apart, `fill` in the lanes above.
///
/// # Safety
/// The last of them, `(lanes − 1)·stride` elements from `p`, is readable.
#[inline(always)]
pub(super) unsafe fn pick_up<A: Lane, S: Lanes<A>>(s: S, p: *const A, stride: usize, lanes: usize, fill: A) -> S::V {
    let mut whole = [fill; MOST_LANES];
    for (i, lane) in whole.iter_mut().enumerate().take(lanes) {
        // SAFETY: i < lanes.
        *lane = unsafe { p.add(i * stride).read() };
    }
    // SAFETY: `whole` holds a vector.
    unsafe { s.load(whole.as_ptr()) }
}

/// Stores a vector into a scratch row, or its first `n` lanes: what lies behind is another row's.
///
/// # Safety
/// `n` elements are writable.
#[inline(always)]
unsafe fn put<A: Lane, S: Lanes<A>>(s: S, to: *mut A, n: usize, v: S::V) {
    // SAFETY: by this function's contract.
    unsafe { if n == S::N { s.store(to, v) } else { s.store_first(to, n, v) } }
}

/// What `down` folds: pieces of `len` neighbouring elements of each input row, for `count` output rows from `at` on.
pub(super) struct Strip<'a, T, A> {
    pub(super) layer: &'a Layer,
    pub(super) at: Position,
    pub(super) count: usize,
    /// Row 0 of slab 0 of plane 0 of the input, shifted along the row: `len` elements from each piece's beginning are in every
    /// row.
    pub(super) from: *const T,
    /// Room for `count` scratch rows of `pitch` elements, `len` in each; a whole vector behind the last may be read.
    pub(super) to: *mut A,
    pub(super) pitch: usize,
    pub(super) pieces: usize,
    /// From one piece to the next, in the input and in scratch.
    pub(super) piece_steps: (usize, usize),
    pub(super) len: usize,
}

/// Folds the window's rows for each output row of the strip. Returns the flag with everything watched that it was not
/// watched before.
///
/// # Safety
/// The strip's pointers are as it says.
#[inline(always)]
pub(super) unsafe fn down_band<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(
    s: S,
    op: O,
    strip: &Strip<'_, O::T, A>,
    mut flag: O::Flag,
) -> O::Flag {
    let Strip { layer, at, count, from, to, pitch, pieces, piece_steps, len } = *strip;
    let height = &layer.geometry.axes[1];
    let mut seen = 0_usize;
    for i in 0..count {
        let taps = RowTaps::new(layer, &at, at.y + i);
        let stale = taps.stale(height, seen);
        seen = taps.height.start + taps.rows;
        for piece in 0..pieces {
            // A window wholly in padding may begin past the input: it has no rows to be read.
            let from = from.wrapping_add(taps.first.wrapping_add(piece * piece_steps.0));
            // SAFETY: by this function's contract. The last vector overlaps the one before, or is partial.
            unsafe {
                let to = to.add(i * pitch + piece * piece_steps.1);
                let mut i = 0;
                if const { !O::LEAN && !S::PLAIN } {
                    (i, flag) = match (taps.slabs, taps.rows) {
                        (1, 1) => down_blocks::<A, S, O, 1>(s, op, &taps, stale, from, to, len, flag),
                        (1, 2) => down_blocks::<A, S, O, 2>(s, op, &taps, stale, from, to, len, flag),
                        (1, 3) => down_blocks::<A, S, O, 3>(s, op, &taps, stale, from, to, len, flag),
                        _ => (0, flag),
                    };
                }
                while i + BLOCK * S::N <= len {
                    let (folded, seen) =
                        fold_rows::<A, S, O, BLOCK>(s, op, &taps, stale, from.wrapping_add(i), S::N, flag);
                    flag = seen;
                    for (b, v) in folded.into_iter().enumerate() {
                        s.store(to.add(i + b * S::N), v);
                    }
                    i += BLOCK * S::N;
                }
                while i < len {
                    let (at, n) = if i + S::N <= len {
                        (i, S::N)
                    } else if len >= S::N {
                        (len - S::N, S::N)
                    } else {
                        (i, len - i)
                    };
                    let ([folded], seen) = fold_rows::<A, S, O, 1>(s, op, &taps, stale, from.wrapping_add(at), n, flag);
                    flag = seen;
                    put(s, to.add(at), n, folded);
                    i += S::N;
                }
            }
        }
    }
    flag
}

/// `down_band` for one output row whose windows have `H` rows: whole blocks of four vectors. Returns how many elements it
/// has done.
///
/// # Safety
/// As for `down_band`: `len` elements of each of the rows are readable, and as many of `to` writable.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
unsafe fn down_blocks<A: Lane, S: Lanes<A>, O: Reduce<A, S>, const H: usize>(
    s: S,
    op: O,
    taps: &RowTaps,
    stale: usize,
    from: *const O::T,
    to: *mut A,
    len: usize,
    mut flag: O::Flag,
) -> (usize, O::Flag) {
    let mut rows = [from; H];
    for row in 0..H {
        rows[row] = from.wrapping_add(row * taps.row_step);
    }
    let mut i = 0;
    while i + BLOCK * S::N <= len {
        let mut v = [[s.splat(op.fill()); BLOCK]; H];
        for row in 0..H {
            // SAFETY: i + BLOCK·N <= len.
            v[row] = unsafe { load_block::<A, S, O, BLOCK>(s, op, rows[row].add(i), S::N) };
        }
        if O::WATCH {
            for row in 0..H {
                if row >= stale {
                    flag = watch_block(s, op, &v[row], flag);
                }
            }
        }
        let mut down = v[0];
        for row in 1..H {
            for b in 0..BLOCK {
                down[b] = op.join(s, down[b], v[row][b]);
            }
        }
        for b in 0..BLOCK {
            // SAFETY: i + BLOCK·N <= len.
            unsafe { s.store(to.add(i + b * S::N), down[b]) };
        }
        i += BLOCK * S::N;
    }
    (i, flag)
}
