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
//! Tried here: loops of their own for 2×2/2, 3×3/1 and 3×3/2 that keep the columns two windows share in registers. Channels last
//! they took 1.8 (64×112×112, 3×3/2), 3.5 (192×28×28, 3×3/1) and 2.5 (global, 1024×1024) times the streaming bound, where
//! `bands`, whose two passes read a row from its first element to its last, takes 1.4 and 2.1, and `piles` 1.2 (`f32`, AVX2,
//! Zen 3).

use core::ops::Range;

use super::divisors::{Divisors, RowDivisors};
use super::{Caution, Io, Layer, Position, RowTaps, Walk, fold_rows};
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
    /// The first rows of the window, which the row before has watched.
    stale: usize,
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
                    if suspect || self.tile(s, self.op, &io, &tile) {
                        if !suspect {
                            caution.dirty();
                        }
                        if R::WATCH {
                            self.tile(s, self.op.careful(), &io, &tile);
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

/// Vectors of inner at a time.
const BLOCK: usize = 8;

impl<A: Lane, R> Pixels<A, R> {
    /// The outputs of one tile, all of inner. Says whether it met what `op` is not right for; then they are not to be used.
    ///
    /// # Safety
    /// As for `visit`; the tile's rows are units of the run, of one slab, and its columns lie in them.
    #[inline(always)]
    unsafe fn tile<S, O>(&self, s: S, op: O, io: &Io<O::T>, tile: &Tile) -> bool
    where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        let (inner, height) = (self.layer.geometry.inner, &self.layer.geometry.axes[1]);
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
            let mut c = 0;
            // SAFETY: the row's pointers are as `Row` says. Every block lies in `inner`: `BLOCK` vectors, then single ones, the last
            // of which overlaps or is partial.
            unsafe {
                while c + BLOCK * S::N <= inner {
                    flag = self.any::<S, O, BLOCK>(s, op, &row, c, S::N, flag);
                    c += BLOCK * S::N;
                }
                while c < inner {
                    let (from, n) = match (inner - c >= S::N, inner >= S::N) {
                        (true, _) => (c, S::N),
                        (false, true) => (inner - S::N, S::N),
                        (false, false) => (c, inner - c),
                    };
                    flag = self.any::<S, O, 1>(s, op, &row, from, n, flag);
                    c += S::N;
                }
            }
        }
        O::WATCH && op.dirty(s, flag)
    }

    /// `B` vectors of inner from `c` on, `n` lanes of each, along the row.
    ///
    /// # Safety
    /// The row is as `Row` says; `c + B·N <= inner`, or `B == 1` and `c + n <= inner`.
    #[inline(always)]
    unsafe fn any<S, O, const B: usize>(
        &self,
        s: S,
        op: O,
        row: &Row<'_, O::T, A>,
        c: usize,
        n: usize,
        mut flag: O::Flag,
    ) -> O::Flag
    where
        S: Lanes<A>,
        O: Reduce<A, S>,
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
        row: &Row<'_, O::T, A>,
        x: usize,
        c: usize,
        n: usize,
        folded: [S::V; B],
    ) where
        S: Lanes<A>,
        O: Reduce<A, S>,
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
