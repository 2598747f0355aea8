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
//! 1. Down does not know the layout: a row is a run of `columns × inner` elements in all of them. Shared rows are loaded
//!    again for each output row, shared columns are folded once.
//! 2. A scratch row begins at the first *padded* column and ends after the last: what lies outside the input is the
//!    identity, written once for a tile shape, since down never stores past its own columns. So neither pass knows an
//!    edge. Rows outside the input are not visited.
//! 3. Across, a stride of 1 makes the output row one run, in every layout: tap `j` is the same scratch row, `j·d·inner`
//!    further on. Planar with a stride of 2, windows are folded at every column and every other one is kept (`even`);
//!    with a longer stride, taps are picked one by one. Otherwise a pixel at a time, lanes are its inner elements.
//! 4. A band holds several rows so that across loads what down stored some hundred cycles ago: a load right after the
//!    stores it straddles does not forward, and stalls.
//!
//! Tried and beaten: even and odd columns in two scratch rows (one load and one fold fewer an output at 3×3/2, four
//! shuffles more; within noise on AVX2).

use core::mem::MaybeUninit;
use core::ops::Range;

use super::divisors::{Divisors, RowDivisors};
use super::{Caution, Io, Layer, RowTaps, Walk, emit};
use crate::geometry::Geometry;
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};

/// Bytes of scratch on the stack of a run: half of the smallest L1 among the CPUs served, so that input rows fit beside.
const SCRATCH_BYTES: usize = 16 << 10;

/// Rows of a band at most. More would gain nothing and delay the stores.
const BAND: usize = 16;

#[repr(align(64))]
struct Scratch(MaybeUninit<[u8; SCRATCH_BYTES]>);

/// How a layer is cut so that a band's scratch rows fit. Counted in elements of scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Output columns of a tile.
    columns: usize,
    /// Inner elements of a tile: all of them, or a part where a window of whole pixels would not fit.
    inner: usize,
    /// Output rows of a band.
    band: usize,
    /// From one scratch row to the next.
    pitch: usize,
}

impl Tiling {
    /// `None` where not even one window's columns fit: a job for another walk.
    pub(crate) fn new(geometry: &Geometry, lane_bytes: usize) -> Option<Self> {
        let [_, height, width] = &geometry.axes;
        // Behind each row: what a whole vector at its end, and a second one for `even`, may read.
        let slack = 2 * MOST_LANES;
        let room = (SCRATCH_BYTES / lane_bytes).checked_sub(slack)?;
        let inner = match room / width.span() {
            0 => return None,
            fits if fits >= geometry.inner => geometry.inner,
            // Whole cache lines of every element type.
            fits => (fits / MOST_LANES * MOST_LANES).max(1),
        }
        .max(1);
        let most = (room / inner - width.span()) / width.stride + 1;
        // Equal tiles, so that no last one is narrow.
        let columns = width.output.div_ceil(width.output.div_ceil(most));
        let pitch = ((columns - 1) * width.stride + width.span()) * inner + slack;
        let pitch = pitch.next_multiple_of(MOST_LANES).min(SCRATCH_BYTES / lane_bytes);
        let band = (SCRATCH_BYTES / lane_bytes / pitch).clamp(1, BAND).min(height.output);
        Some(Self { columns, inner, band, pitch })
    }

    /// A tile is a whole output row.
    fn is_whole_row(&self, geometry: &Geometry) -> bool {
        self.columns >= geometry.axes[2].output && self.inner >= geometry.inner
    }
}

pub(crate) struct Rows<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    tiling: Tiling,
}

impl<A: Lane, R> Rows<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer, tiling: Tiling) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, divisors: Divisors::new::<S, R>(op, layer), tiling }
    }
}

/// One tile: which outputs, and where their columns lie in the input and in scratch.
#[derive(Clone, Copy)]
struct Tile {
    x: usize,
    columns: usize,
    c: usize,
    inner: usize,
    /// First valid input column, how many there are, and where the first lies in a scratch row (in columns).
    input: usize,
    valid: usize,
    at: usize,
}

impl Tile {
    #[inline(always)]
    fn new(geometry: &Geometry, tiling: &Tiling, x: usize, c: usize) -> Self {
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

/// What the identity was last written around: nothing needs writing for a tile of the same shape.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Margins {
    at: usize,
    end: usize,
    careful: bool,
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Rows<A, R> {
    type T = R::T;

    fn units(&self) -> usize {
        self.layer.geometry.rows()
    }

    fn unit_len(&self) -> usize {
        self.layer.geometry.row_len()
    }

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let tiling = &self.tiling;
        let height = geometry.axes[1].output;
        let mut scratch = Scratch(MaybeUninit::uninit());
        let scratch: *mut A = scratch.0.as_mut_ptr().cast();
        let mut margins = None;
        let mut caution = Caution::default();

        let first = rows.start;
        let mut row = first;
        while row < rows.end {
            let band = tiling.band.min(height - row % height).min(rows.end - row);
            let mut x = 0;
            while x < geometry.axes[2].output {
                let mut c = 0;
                while c < geometry.inner {
                    let tile = Tile::new(geometry, tiling, x, c);
                    // SAFETY: by the contract of `visit`: the rows are units of the run, and the tile lies in them.
                    unsafe {
                        if caution.is_due() {
                            self.tile(
                                s,
                                self.op.careful(),
                                io,
                                row,
                                row - first,
                                band,
                                &tile,
                                scratch,
                                &mut margins,
                                true,
                            );
                        } else if self.tile(s, self.op, io, row, row - first, band, &tile, scratch, &mut margins, false)
                        {
                            caution.dirty();
                            self.tile(
                                s,
                                self.op.careful(),
                                io,
                                row,
                                row - first,
                                band,
                                &tile,
                                scratch,
                                &mut margins,
                                true,
                            );
                        } else {
                            caution.clean();
                        }
                    }
                    c += tile.inner;
                }
                x += tiling.columns;
            }
            row += band;
        }
    }
}

impl<A: Lane, R> Rows<A, R> {
    /// `band` output rows from `row` on, the run's `to`th and following, over the columns of `tile`. Says whether it met what `op` is not right for;
    /// then the outputs are not to be used.
    ///
    /// # Safety
    /// As for `visit`; the rows are units of the run, of one slab; `scratch` holds `SCRATCH_BYTES`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop, shared with its careful twin")]
    unsafe fn tile<S, O>(
        &self,
        s: S,
        op: O,
        io: Io<O::T>,
        row: usize,
        to: usize,
        band: usize,
        tile: &Tile,
        scratch: *mut A,
        margins: &mut Option<Margins>,
        careful: bool,
    ) -> bool
    where
        S: Lanes<A>,
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let geometry = &self.layer.geometry;
        let pitch = self.tiling.pitch;
        let shape = Margins { at: tile.at * tile.inner, end: (tile.at + tile.valid) * tile.inner, careful };
        if *margins != Some(shape) {
            *margins = Some(shape);
            // SAFETY: `Tiling` fits `band` rows of `pitch` elements into the scratch.
            unsafe { fill_around(scratch, pitch, self.tiling.band, shape, O::FILL) };
        }

        let mut flag = op.clean(s);
        let mut seen = 0_usize;
        for i in 0..band {
            let taps = RowTaps::new(geometry, row + i);
            // The rows that the window before has not watched: what it shares with this one are its first.
            let shared = if taps.slabs == 1 && geometry.axes[1].dilation == 1 { seen } else { 0 };
            let stale = shared.saturating_sub(taps.height.start).min(taps.rows);
            seen = taps.height.start + taps.rows;
            // SAFETY: scratch row `i`; the tile's valid columns are in every row of the window.
            unsafe {
                let to = scratch.add(i * pitch + shape.at);
                let from = io.src.add(taps.first + tile.input * geometry.inner + tile.c);
                if tile.inner == geometry.inner {
                    flag = down(s, op, &io, &taps, stale, from, to, tile.valid * tile.inner, flag);
                } else {
                    for column in 0..tile.valid {
                        let (from, to) = (from.add(column * geometry.inner), to.add(column * tile.inner));
                        flag = down(s, op, &io, &taps, stale, from, to, tile.inner, flag);
                    }
                }
            }
        }
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }
        for i in 0..band {
            let taps = RowTaps::new(geometry, row + i);
            let divisors = self.divisors.row::<S, O>(taps.z, taps.y);
            // SAFETY: output row `row + i`, from the tile's first output on; scratch row `i` holds the tile's columns.
            unsafe {
                let dst = io.dst.add((to + i) * geometry.row_len() + tile.x * geometry.inner + tile.c);
                self.across(s, op, &io, tile, scratch.add(i * pitch), dst, &divisors);
            }
        }
        false
    }

    /// Folds the columns of one scratch row into one row of outputs.
    ///
    /// # Safety
    /// `from` is a scratch row that holds the tile, with its slack; `dst` is the output of the tile's first window.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn across<S, O>(
        &self,
        s: S,
        op: O,
        io: &Io<O::T>,
        tile: &Tile,
        from: *const A,
        dst: *mut O::T,
        divisors: &RowDivisors<'_, A>,
    ) where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        // SAFETY: by this function's contract, for each number of taps.
        unsafe {
            match self.layer.geometry.axes[2].kernel {
                1 => self.across_taps::<S, O, 1>(s, op, io, tile, from, dst, divisors),
                2 => self.across_taps::<S, O, 2>(s, op, io, tile, from, dst, divisors),
                3 => self.across_taps::<S, O, 3>(s, op, io, tile, from, dst, divisors),
                _ => self.across_taps::<S, O, 0>(s, op, io, tile, from, dst, divisors),
            }
        }
    }

    /// `K` columns a window, or as many as the kernel has where `K` is 0.
    ///
    /// # Safety
    /// As for `across`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn across_taps<S, O, const K: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<O::T>,
        tile: &Tile,
        from: *const A,
        dst: *mut O::T,
        divisors: &RowDivisors<'_, A>,
    ) where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        let geometry = &self.layer.geometry;
        let width = &geometry.axes[2];
        let kernel = if K > 0 { K } else { width.kernel };
        let step = width.dilation * tile.inner;
        // The window's columns folded, for N neighbouring elements of scratch.
        let fold = inline(
            #[inline(always)]
            |at: *const A| {
                // SAFETY: by this function's contract: the taps of a window of the tile, and slack for a vector.
                unsafe {
                    let mut v = s.load(at);
                    for tap in 1..kernel {
                        v = op.join(s, v, s.load(at.add(tap * step)));
                    }
                    v
                }
            },
        );
        // A run may spill over its end where a later one of this very tile, or of a later row, writes again.
        let spill = |dst: *mut O::T| if self.tiling.is_whole_row(geometry) { io.writable(dst) } else { 0 };

        if width.stride == 1 && tile.inner == geometry.inner && geometry.inner > 1 {
            for run in &self.divisors.runs {
                let (start, end) = (run.start.max(tile.x), run.end.min(tile.x + tile.columns));
                if start >= end {
                    continue;
                }
                let at = (start - tile.x) * tile.inner;
                let divisor = divisors.at(s, op, start);
                // SAFETY: the outputs start..end of the tile, whose windows begin `at` elements into the scratch row.
                unsafe {
                    let (dst, from) = (dst.add(at), from.add(at));
                    let len = (end - start) * tile.inner;
                    emit(
                        s,
                        op,
                        dst,
                        len,
                        spill(dst),
                        #[inline(always)]
                        |i| fold(from.add(i)),
                        #[inline(always)]
                        |_| divisor,
                    );
                }
            }
        } else if geometry.inner == 1 {
            let divisor = inline(
                #[inline(always)]
                |i: usize| divisors.from(s, op, tile.x + i),
            );
            // SAFETY: all outputs of the tile; output `i` has its first tap at scratch column `i · stride`.
            unsafe {
                match width.stride {
                    1 => emit(
                        s,
                        op,
                        dst,
                        tile.columns,
                        spill(dst),
                        #[inline(always)]
                        |i| fold(from.add(i)),
                        divisor,
                    ),
                    2 => {
                        let every_other = inline(
                            #[inline(always)]
                            |i: usize| {
                                let at = from.add(2 * i);
                                s.even(fold(at), fold(at.add(S::N)))
                            },
                        );
                        emit(s, op, dst, tile.columns, spill(dst), every_other, divisor);
                    }
                    stride => {
                        let picked = inline(
                            #[inline(always)]
                            |i: usize| {
                                let lanes = S::N.min(tile.columns - i);
                                let at = from.add(i * stride);
                                let mut v = pick_up(s, at, stride, lanes, O::FILL);
                                for tap in 1..kernel {
                                    v = op.join(s, v, pick_up(s, at.add(tap * step), stride, lanes, O::FILL));
                                }
                                v
                            },
                        );
                        emit(s, op, dst, tile.columns, spill(dst), picked, divisor);
                    }
                }
            }
        } else {
            for x in 0..tile.columns {
                let divisor = divisors.at(s, op, tile.x + x);
                // SAFETY: the inner elements of the tile's output `x`.
                unsafe {
                    let (dst, from) = (dst.add(x * geometry.inner), from.add(x * width.stride * tile.inner));
                    emit(
                        s,
                        op,
                        dst,
                        tile.inner,
                        spill(dst),
                        #[inline(always)]
                        |i| fold(from.add(i)),
                        #[inline(always)]
                        |_| divisor,
                    );
                }
            }
        }
    }
}

/// Writes the identity into every scratch row around the columns that `down` will fill.
///
/// # Safety
/// `scratch` holds `rows` rows of `pitch` elements.
#[inline(never)]
unsafe fn fill_around<A: Lane>(scratch: *mut A, pitch: usize, rows: usize, shape: Margins, fill: A) {
    for row in 0..rows {
        for i in (0..shape.at).chain(shape.end..pitch) {
            // SAFETY: row < rows and i < pitch.
            unsafe { scratch.add(row * pitch + i).write(fill) };
        }
    }
}

/// `lanes` elements `stride` apart, `fill` in the lanes above.
///
/// # Safety
/// The last of them, `(lanes − 1)·stride` elements from `p`, is readable.
#[inline(always)]
unsafe fn pick_up<A: Lane, S: Lanes<A>>(s: S, p: *const A, stride: usize, lanes: usize, fill: A) -> S::V {
    if lanes == S::N {
        // SAFETY: by this function's contract.
        return unsafe { s.load_strided(p, stride) };
    }
    let mut whole = [fill; MOST_LANES];
    for (i, lane) in whole.iter_mut().enumerate().take(lanes) {
        // SAFETY: i < lanes.
        *lane = unsafe { p.add(i * stride).read() };
    }
    // SAFETY: `whole` holds a vector.
    unsafe { s.load(whole.as_ptr()) }
}

/// Folds the rows of a window, `len` neighbouring elements of each, into scratch.
///
/// The first `stale` rows were watched by the output row before. Returns the flag with everything else watched.
///
/// # Safety
/// `from .. from + len` is readable in every row of the window; `to` has room for `len` elements, or a vector.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop")]
unsafe fn down<A, S, O>(
    s: S,
    op: O,
    io: &Io<O::T>,
    taps: &RowTaps,
    stale: usize,
    from: *const O::T,
    to: *mut A,
    len: usize,
    flag: O::Flag,
) -> O::Flag
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    // SAFETY: by this function's contract, for each number of rows. The last row of a window lies highest in memory.
    unsafe {
        let row = |i: usize| from.add(i * taps.row_step);
        match (taps.slabs, taps.rows) {
            (1, 1) => down_rows::<A, S, O, 1>(s, op, io, [row(0)], stale, to, len, flag),
            (1, 2) => down_rows::<A, S, O, 2>(s, op, io, [row(0), row(1)], stale, to, len, flag),
            (1, 3) => down_rows::<A, S, O, 3>(s, op, io, [row(0), row(1), row(2)], stale, to, len, flag),
            _ => down_any(s, op, taps, stale, from, to, len, flag),
        }
    }
}

/// A window of `K` rows.
///
/// # Safety
/// As for `down`; the rows ascend in memory.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop")]
unsafe fn down_rows<A, S, O, const K: usize>(
    s: S,
    op: O,
    io: &Io<O::T>,
    rows: [*const O::T; K],
    stale: usize,
    to: *mut A,
    len: usize,
    mut flag: O::Flag,
) -> O::Flag
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    // The two newest rows are watched as a pair wherever they are loaded; an older fresh one, on its own.
    let watch_all = O::WATCH && K > stale + 2;
    let fold = inline(
        #[inline(always)]
        |v: [S::V; K], mut flag: O::Flag| {
            if O::WATCH {
                flag = op.watch(s, flag, v[K - 1], v[K.max(2) - 2]);
                if watch_all {
                    for i in 0..K.max(2) - 2 {
                        flag = op.watch(s, flag, v[i], v[i]);
                    }
                }
            }
            let mut down = v[0];
            for v in &v[1..] {
                down = op.join(s, down, *v);
            }
            (down, flag)
        },
    );
    if len >= S::N {
        let mut i = 0;
        loop {
            // SAFETY: i + N <= len elements are readable in every row, and writable in scratch.
            unsafe {
                let (down, seen) = fold(
                    rows.map(
                        #[inline(always)]
                        |row| op.load(s, row.add(i)),
                    ),
                    flag,
                );
                flag = seen;
                s.store(to.add(i), down);
            }
            i += S::N;
            if i + S::N > len {
                if i >= len {
                    break;
                }
                i = len - S::N;
            }
        }
    } else if len > 0 {
        // A row shorter than a vector: whole loads while the input goes on behind it, the lanes behind it masked off.
        let whole = io.readable(rows[K - 1]) >= S::N;
        let mask = s.first(len);
        let identity = s.splat(O::FILL);
        // SAFETY: len elements are readable in every row, N in all of them if in the last; scratch has room for a vector.
        unsafe {
            let v = rows.map(
                #[inline(always)]
                |row| if whole { s.pick(mask, op.load(s, row), identity) } else { op.load_first(s, row, len) },
            );
            let (down, seen) = fold(v, flag);
            flag = seen;
            s.store(to, down);
        }
    }
    flag
}

/// A window of any number of rows, in any number of slabs: four vectors of columns at a time.
///
/// # Safety
/// As for `down`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop")]
unsafe fn down_any<A, S, O>(
    s: S,
    op: O,
    taps: &RowTaps,
    stale: usize,
    from: *const O::T,
    to: *mut A,
    len: usize,
    mut flag: O::Flag,
) -> O::Flag
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let mut i = 0;
    // SAFETY: every block lies in `len`; its last vector overlaps the one before, or is partial.
    unsafe {
        while i + 4 * S::N <= len {
            flag = down_block::<A, S, O, 4>(s, op, taps, stale, from.add(i), to.add(i), S::N, flag);
            i += 4 * S::N;
        }
        while i + S::N <= len {
            flag = down_block::<A, S, O, 1>(s, op, taps, stale, from.add(i), to.add(i), S::N, flag);
            i += S::N;
        }
        if i < len {
            let (i, n) = if len >= S::N { (len - S::N, S::N) } else { (i, len - i) };
            flag = down_block::<A, S, O, 1>(s, op, taps, stale, from.add(i), to.add(i), n, flag);
        }
    }
    flag
}

/// `B` vectors of columns, `n` lanes of each.
///
/// # Safety
/// In every row `B·N` elements are readable, or `n` if `B == 1`; `to` has room for `B·N`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one inner loop")]
unsafe fn down_block<A, S, O, const B: usize>(
    s: S,
    op: O,
    taps: &RowTaps,
    stale: usize,
    from: *const O::T,
    to: *mut A,
    n: usize,
    mut flag: O::Flag,
) -> O::Flag
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let mut down = [s.splat(O::FILL); B];
    for slab in 0..taps.slabs {
        for row in 0..taps.rows {
            let offset = slab * taps.slab_step + row * taps.row_step;
            // SAFETY: a row of the window.
            let v: [S::V; B] = core::array::from_fn(
                #[inline(always)]
                |b| unsafe {
                    let p = from.add(offset + b * S::N);
                    if n == S::N { op.load(s, p) } else { op.load_first(s, p, n) }
                },
            );
            if O::WATCH && row >= stale {
                for b in (0..B).step_by(2) {
                    flag = op.watch(s, flag, v[b], v[(b + 1) % B]);
                }
            }
            for b in 0..B {
                down[b] = op.join(s, down[b], v[b]);
            }
        }
    }
    for (b, down) in down.into_iter().enumerate() {
        // SAFETY: room for B vectors.
        unsafe { s.store(to.add(b * S::N), down) };
    }
    flag
}

/// A closure that must be inlined but is bound to a name first: the attribute is allowed on an argument only.
#[inline(always)]
fn inline<F>(f: F) -> F {
    f
}
