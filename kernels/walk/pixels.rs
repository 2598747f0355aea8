//! A pixel at a time: each lane is one of its inner elements (channels, or a block of them). For windows that `bands` has no room
//! for: spans of thousands of elements.
//!
//! ```text
//! for each tile of output rows and columns whose input fits the cache, for each of its rows,
//! for each block of vectors of inner:
//!     for each output pixel:
//!         for each column of its window:
//!             fold the column's rows                       (1)
//!         fold the columns, left to right
//!         finish, store                                    (2)
//! ```
//!
//! 1. Rows outside the input are not visited: a window has the same rows at every output of a row.
//! 2. An inner length that is no multiple of a vector ends with a vector that overlaps the one before; one shorter than
//!    a vector is one partial vector.
//!
//! The operation is one that watches nothing: the loops are too rarely run for a twin.
//!
//! Tried here: loops of their own for 2×2/2, 3×3/1 and 3×3/2 that keep the columns two windows share in registers. Channels last
//! they took 1.8 (64×112×112, 3×3/2), 3.5 (192×28×28, 3×3/1) and 2.5 (global, 1024×1024) times the streaming bound, where
//! `bands`, whose two passes read a row from its first element to its last, takes 1.4 and 2.1, and `piles` 1.2 (`f32`, AVX2,
//! Zen 3).

use core::ops::Range;

use super::divisors::{Divisors, RowDivisors};
use super::{Io, Layer, Position, RowTaps, Walk, fold_rows};
use crate::geometry::Taps;
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::table::WalkKind;

/// Input bytes of one row that a tile spans.
const RUN_BYTES: usize = 8 << 10;

/// Output rows of a tile.
const BAND: usize = 8;

pub(crate) struct Pixels<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    /// Output pixels of a tile's rows.
    run: usize,
}

impl<A: Lane, R> Pixels<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        let pixel_bytes = layer.geometry.inner * size_of::<R::T>();
        let input_pixels = (RUN_BYTES / pixel_bytes.max(1)).max(1);
        let run = (input_pixels / layer.geometry.axes[2].stride).max(1);
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer), run }
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
    divisors: RowDivisors<'a, A>,
    columns: Range<usize>,
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Pixels<A, R> {
    const KIND: WalkKind = WalkKind::Pixels;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            let count = BAND.min(height.output - at.y).min(rows.len() - to);
            let mut x = 0;
            while x < width.output {
                let columns = x..(x + self.run).min(width.output);
                x = columns.end;
                // SAFETY: by the contract of `visit`: the rows are units of the run, and the columns lie in them.
                unsafe { self.tile(s, &io, &Tile { at, count, columns }) };
            }
            at.advance(geometry, count);
            to += count;
        }
    }
}

/// Vectors of inner at a time.
const BLOCK: usize = 4;

impl<A: Lane, R> Pixels<A, R> {
    /// The outputs of one tile, all of inner.
    ///
    /// # Safety
    /// As for `visit`; the tile's rows are units of the run, of one slab, and its columns lie in them.
    #[inline(always)]
    unsafe fn tile<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, tile: &Tile)
    where
        R: Reduce<A, S>,
    {
        let inner = self.layer.geometry.inner;
        for y in tile.at.y..tile.at.y + tile.count {
            let taps = RowTaps::new(&self.layer, &tile.at, y);
            let row = Row {
                src: io.src.wrapping_add(taps.first),
                dst: self.layer.row(io, &tile.at, y),
                taps,
                divisors: self.divisors.row::<S, R>(tile.at.z, y),
                columns: tile.columns.clone(),
            };
            let mut c = 0;
            // SAFETY: the row's pointers are as `Row` says. Every block lies in `inner`: `BLOCK` vectors, then single ones, the last
            // of which overlaps or is partial.
            unsafe {
                while const { !S::SPARING } && c + BLOCK * S::N <= inner {
                    self.block::<S, BLOCK>(s, &row, c, S::N);
                    c += BLOCK * S::N;
                }
                while c < inner {
                    let from = if inner - c < S::N { inner.saturating_sub(S::N) } else { c };
                    self.block::<S, 1>(s, &row, from, inner.min(S::N));
                    c += S::N;
                }
            }
        }
    }

    /// `B` vectors of inner from `c` on, `n` lanes of each, along the row.
    ///
    /// # Safety
    /// The row is as `Row` says; `c + B·N <= inner`, or `B == 1` and `c + n <= inner`.
    #[inline(always)]
    unsafe fn block<S: Lanes<A>, const B: usize>(&self, s: S, row: &Row<'_, R::T, A>, c: usize, n: usize)
    where
        R: Reduce<A, S>,
    {
        let (op, width) = (self.op, &self.layer.geometry.axes[2]);
        for x in row.columns.clone() {
            let Taps { start, count } = width.taps(x);
            let mut folded = [s.splat(op.fill()); B];
            for i in 0..count {
                let at = start + i * width.dilation;
                // SAFETY: a valid column, in valid rows; its pixel has `inner` elements.
                let (down, _) = unsafe {
                    let p = row.src.wrapping_add(at * self.layer.places.input.pixel + c);
                    fold_rows::<A, S, R, B>(s, op, &row.taps, 0, p, n, op.clean(s))
                };
                for b in 0..B {
                    folded[b] = op.join(s, folded[b], down[b]);
                }
            }
            let divisor = row.divisors.at(s, op, x);
            for (b, v) in folded.into_iter().enumerate() {
                let v = op.finish(s, v, divisor);
                // SAFETY: an output pixel of the row, which has that many elements from `c` on.
                unsafe {
                    let q = row.dst.add(x * self.layer.places.output.pixel + c + b * S::N);
                    if n == S::N { op.store(s, q, v) } else { op.store_first(s, q, n, v) }
                }
            }
        }
    }
}
