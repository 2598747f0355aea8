//! A pixel at a time: each lane is one of its inner elements (channels, or a block of them).
//!
//! ```text
//! for each tile of output rows and columns whose input fits the cache, for each of its rows,
//! for each block of vectors of inner:
//!     for each output pixel:
//!         for each column of its window that the pixel before did not fold:
//!             fold the column's rows                       (1)
//!         fold the columns, left to right                  (2)
//!         finish, store                                    (3)
//! ```
//!
//! 1. Rows outside the input are not visited: a window has the same rows at every output of a row.
//! 2. The windows of most networks (2×2/2, 3×3/1, 3×3/2) have a loop of their own: a row outside the input is a row of
//!    identities, a column outside an identity in registers, and 3×3 windows keep the columns they share from one pixel to
//!    the next. All other windows fold all of their columns anew.
//! 3. An inner length that is no multiple of a vector ends with a vector that overlaps the one before; one shorter than
//!    a vector is one partial vector.
//!
//! Tiles exist for the cache: without them three input rows of 112 pixels × 64 channels fall out of L1 between two uses, and
//! each is read three times from L2 (1.9 instead of 1.2 times the streaming bound in a prototype, on Zen 5).

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::divisors::{Divisors, RowDivisors};
use super::{Caution, Io, Layer, Position, RowTaps, Walk, fold_rows, load_block, watch_block};
use crate::geometry::Taps;
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::table::WalkKind;

/// Input bytes of one row that a tile spans.
const RUN_BYTES: usize = 8 << 10;

/// The deepest pixel that the plan keeps identities for; windows of deeper ones have no loop of their own.
const DEEPEST: usize = 1 << 20;

/// Output rows of a tile.
const BAND: usize = 8;

pub(crate) struct Pixels<A, R, T> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    /// Output pixels of a tile's rows.
    run: usize,
    /// A pixel of identities.
    identity: Vec<T>,
}

impl<A: Lane, R, T: bytemuck::Pod> Pixels<A, R, T> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S, T = T>,
    {
        let pixel_bytes = layer.geometry.inner * size_of::<R::T>();
        let input_pixels = (RUN_BYTES / pixel_bytes.max(1)).max(1);
        let run = (input_pixels / layer.geometry.axes[2].stride).max(1);
        let identity = vec![op.identity(); if layer.geometry.inner <= DEEPEST { layer.geometry.inner } else { 0 }];
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer), run, identity }
    }
}

/// One tile: `count` output rows from `at` on, and the output columns.
struct Tile {
    at: Position,
    count: usize,
    columns: Range<usize>,
}

/// A tile's row: which input rows, which output row, what it divides by.
struct Row<'a, T, A> {
    src: *const T,
    dst: *mut T,
    taps: RowTaps,
    /// The first rows of the window, which the row before has watched.
    stale: usize,
    divisors: RowDivisors<'a, A>,
    columns: Range<usize>,
}

/// A row of a window of known height: where column 0 is, and how far it is to the next. A row outside the input is a pixel
/// of identities, at every column.
#[derive(Clone, Copy)]
struct Line<T> {
    first: *const T,
    step: usize,
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Pixels<A, R, R::T> {
    const KIND: WalkKind = WalkKind::Pixels;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            let count = BAND.min(height.output - at.y).min(rows.len() - to);
            let mut x = 0;
            while x < width.output {
                let columns = x..(x + self.run).min(width.output);
                x = columns.end;
                let tile = Tile { at, count, columns };
                // SAFETY: by the contract of `visit`: the rows are units of the run, and the columns lie in them.
                unsafe {
                    let suspect = R::WATCH && caution.is_due();
                    if suspect || self.tile::<S, R, false>(s, self.op, &io, &tile) {
                        if !suspect {
                            caution.dirty();
                        }
                        if R::WATCH {
                            self.tile::<S, R::Careful, true>(s, self.op.careful(), &io, &tile);
                        }
                    } else {
                        caution.clean();
                    }
                }
            }
            at.advance(geometry, count);
            to += count;
        }
    }
}

impl<A: Lane, R, T: bytemuck::Pod> Pixels<A, R, T> {
    /// The outputs of one tile, all of inner. Says whether it met what `op` is not right for; then they are not to be
    /// used. What is rarely run (the careful twin, lean operations) has no loop of
    /// its own for any window.
    ///
    /// # Safety
    /// As for `visit`; the tile's rows are units of the run, of one slab, and its columns lie in them.
    #[inline(always)]
    unsafe fn tile<S, O, const CAREFUL: bool>(&self, s: S, op: O, io: &Io<T>, tile: &Tile) -> bool
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
        O: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let height = &geometry.axes[1];
        let mut flag = op.clean(s);
        let mut seen = 0;
        for i in 0..tile.count {
            let y = tile.at.y + i;
            let taps = RowTaps::new(&self.layer, &tile.at, y);
            let stale = taps.stale(height, seen);
            seen = taps.height.start + taps.height.count;
            let row = Row {
                src: io.src.wrapping_add(taps.first),
                dst: self.layer.row(io, &tile.at, y),
                taps,
                stale,
                divisors: self.divisors.row::<S, O>(tile.at.z, y),
                columns: tile.columns.clone(),
            };
            let window = geometry.axes.each_ref().map(|axis| (axis.kernel, axis.stride, axis.dilation));
            // SAFETY: the row's pointers are as `Row` says.
            flag = unsafe {
                // A loop of its own takes rows that are in the input for rows of the slab, so there must be one.
                if CAREFUL || O::LEAN || S::PLAIN || row.taps.slabs == 0 || geometry.inner > DEEPEST {
                    self.row::<S, O, 0, 0, 0, 8>(s, op, &row, y, flag)
                } else {
                    // 256 bytes at a time, whatever a vector has.
                    macro_rules! own {
                        ($H:literal, $K:literal, $W:literal) => {
                            if size_of::<S::V>() < 64 {
                                self.row::<S, O, $H, $K, $W, 8>(s, op, &row, y, flag)
                            } else {
                                self.row::<S, O, $H, $K, $W, 4>(s, op, &row, y, flag)
                            }
                        };
                    }
                    match window {
                        [(1, ..), (2, 2, 1), (2, 2, 1)] => own!(2, 2, 2),
                        [(1, ..), (3, 1, 1), (3, 1, 1)] => own!(3, 3, 1),
                        [(1, ..), (3, 2, 1), (3, 2, 1)] => own!(3, 3, 2),
                        _ => self.row::<S, O, 0, 0, 0, 8>(s, op, &row, y, flag),
                    }
                }
            };
        }
        O::WATCH && op.dirty(s, flag)
    }

    /// One row of a tile, for windows of `H`×`K` that move by `W` along the row; 0 for all others. `B` vectors of inner at a
    /// time: 256 bytes. With 128 bytes 3×3/2 took 2.9 and 3.5 times the streaming bound on AVX-512 and AVX2, with 256 1.7 and 2.1,
    /// with 512 3.1 on AVX-512 (64×112×112 `f32`, Zen 4): a cache's prefetchers like longer runs, and registers end.
    ///
    /// # Safety
    /// The pixels of the row's windows and outputs have `inner` elements each; so have those of the identity.
    #[inline(always)]
    unsafe fn row<S, O, const H: usize, const K: usize, const W: usize, const B: usize>(
        &self,
        s: S,
        op: O,
        row: &Row<'_, T, A>,
        y: usize,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        S: Lanes<A>,
        O: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let (inner, height) = (geometry.inner, &geometry.axes[1]);
        // The window's rows, and which of them are fresh: of three that move by less than three, the last ones.
        let lines: [Line<T>; H] = core::array::from_fn(|i| {
            let at = (y * height.stride + i).wrapping_sub(height.begin);
            if at < height.input {
                let down = at - row.taps.height.start;
                Line { first: row.src.wrapping_add(down * row.taps.row_step), step: self.layer.places.input.pixel }
            } else {
                Line { first: self.identity.as_ptr(), step: 0 }
            }
        });
        let is_first_fresh = row.stale == 0;
        let mut c = 0;
        // SAFETY: every block lies in `inner`: `B` vectors, then single ones, the last of which overlaps or is partial.
        unsafe {
            while c < inner {
                let rest = inner - c;
                if rest >= B * S::N {
                    flag = if H > 0 {
                        self.own::<S, O, H, K, W, B>(s, op, row, &lines, is_first_fresh, c, S::N, flag)
                    } else {
                        self.any::<S, O, B>(s, op, row, c, S::N, flag)
                    };
                    c += B * S::N;
                    continue;
                }
                let (from, n) = match (rest >= S::N, inner >= S::N) {
                    (true, _) => (c, S::N),
                    (false, true) => (inner - S::N, S::N),
                    (false, false) => (c, rest),
                };
                flag = if H > 0 {
                    self.own::<S, O, H, K, W, 1>(s, op, row, &lines, is_first_fresh, from, n, flag)
                } else {
                    self.any::<S, O, 1>(s, op, row, from, n, flag)
                };
                c += S::N;
            }
        }
        flag
    }

    /// Windows of `H`×`K` that move by `W`: `B` vectors of inner from `c` on, `n` lanes of each, along the row.
    ///
    /// # Safety
    /// As for `row`; `c + B·N <= inner`, or `B == 1` and `c + n <= inner`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
    unsafe fn own<S, O, const H: usize, const K: usize, const W: usize, const B: usize>(
        &self,
        s: S,
        op: O,
        row: &Row<'_, T, A>,
        lines: &[Line<T>; H],
        is_first_fresh: bool,
        c: usize,
        n: usize,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        S: Lanes<A>,
        O: Reduce<A, S, T = T>,
    {
        let width = &self.layer.geometry.axes[2];
        let mut columns = [[s.splat(op.fill()); B]; K];
        for (i, x) in row.columns.clone().enumerate() {
            let kept = if i > 0 && K > W { K - W } else { 0 };
            for j in 0..K {
                if j < kept {
                    columns[j] = columns[(j + W) % K];
                    continue;
                }
                let at = (x * W + j).wrapping_sub(width.begin);
                if at >= width.input {
                    columns[j] = [s.splat(op.fill()); B];
                    continue;
                }
                let mut v = [[s.splat(op.fill()); B]; H];
                for i in 0..H {
                    let line = &lines[i];
                    // SAFETY: a valid column of each line, `inner` elements; the identity's is as long.
                    v[i] = unsafe { load_block::<A, S, O, B>(s, op, line.first.add(at * line.step + c), n) };
                }
                if O::WATCH {
                    for b in 0..B {
                        flag = op.watch(s, flag, v[H - 1][b], v[H.max(2) - 2][b]);
                    }
                    if H > 2 && is_first_fresh {
                        flag = watch_block(s, op, &v[0], flag);
                    }
                }
                columns[j] = v[0];
                for i in 1..H {
                    columns[j] = join_blocks(s, op, columns[j], v[i]);
                }
            }
            let mut folded = columns[0];
            for j in 1..K {
                folded = join_blocks(s, op, folded, columns[j]);
            }
            // SAFETY: an output pixel of the row.
            unsafe { self.put(s, op, row, x, c, n, folded) };
        }
        flag
    }

    /// Any window: `B` vectors of inner from `c` on, `n` lanes of each, along the row.
    ///
    /// # Safety
    /// As for `row`; `c + B·N <= inner`, or `B == 1` and `c + n <= inner`.
    #[inline(always)]
    unsafe fn any<S, O, const B: usize>(
        &self,
        s: S,
        op: O,
        row: &Row<'_, T, A>,
        c: usize,
        n: usize,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        S: Lanes<A>,
        O: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let width = &geometry.axes[2];
        for x in row.columns.clone() {
            let Taps { start, count } = width.taps(x);
            let mut folded = [s.splat(op.fill()); B];
            for i in 0..count {
                let at = start + i * width.dilation;
                // SAFETY: a valid column, in valid rows; its pixel has `inner` elements.
                let (down, seen) = unsafe {
                    let p = row.src.wrapping_add(at * self.layer.places.input.pixel + c);
                    fold_rows::<A, S, O, B>(s, op, &row.taps, row.stale, p, n, flag)
                };
                flag = seen;
                folded = join_blocks(s, op, folded, down);
            }
            // SAFETY: an output pixel of the row.
            unsafe { self.put(s, op, row, x, c, n, folded) };
        }
        flag
    }

    /// Finishes and stores `B` vectors of output pixel `x`, or `n` lanes of one.
    ///
    /// # Safety
    /// `x` is an output of the row and its pixel has that many elements from `c` on.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the end of two inner loops")]
    unsafe fn put<S, O, const B: usize>(
        &self,
        s: S,
        op: O,
        row: &Row<'_, T, A>,
        x: usize,
        c: usize,
        n: usize,
        folded: [S::V; B],
    ) where
        S: Lanes<A>,
        O: Reduce<A, S, T = T>,
    {
        let divisor = row.divisors.at(s, op, x);
        for (b, v) in folded.into_iter().enumerate() {
            let v = op.finish(s, v, divisor);
            // SAFETY: by this function's contract.
            unsafe {
                let q = row.dst.add(x * self.layer.places.output.pixel + c + b * S::N);
                if n == S::N { op.store(s, q, v) } else { op.store_first(s, q, n, v) }
            }
        }
    }
}

/// Joins vector by vector.
#[inline(always)]
fn join_blocks<A, S, O, const B: usize>(s: S, op: O, a: [S::V; B], b: [S::V; B]) -> [S::V; B]
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let mut joined = a;
    for i in 0..B {
        joined[i] = op.join(s, a[i], b[i]);
    }
    joined
}
