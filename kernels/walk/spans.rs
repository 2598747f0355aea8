//! Windows longer than any scratch row: what a tile's windows share is folded once.
//!
//! ```text
//! for each output row, for each part of inner, for each tile of T outputs, whose windows begin a stride apart:
//!     columns  ├── left ──┼────────── core ──────────┼── right ──┤
//!     core:    in every window of the tile: folded down and along, in 256 piles, and those in halves          (1)
//!     left:    its first windows begin here: each column becomes the fold of itself and those behind it        (2)
//!     right:   its last windows end here: each column becomes the fold of itself and those before it
//!     out[x] = left where the window begins, core, right where it ends, joined in this order; finished
//! ```
//!
//! 1. Column `i` of the core goes to pile `i mod 256` (fewer columns a pile where a pixel has several elements); then the upper half of
//!    the piles is joined to the lower one, until one is left. Vectors lie along the piles, so the order is the same on every tier.
//! 2. By doubling: after the pass of shift 1, 2, 4… each column is the fold of 2, 4, 8… columns.
//!
//! A window costs its share of the core, `kernel/T` columns, and two times `log2 T` joins, where `pixels` folds it tap by tap: see
//! docs/performance.md. The operation is one that watches nothing: the loops are too rarely run for a twin.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::bands::{SCRATCH_BYTES, Scratch, Strip, down_band, pass, pick_up};
use super::divisors::Divisors;
use super::{Io, Layer, Position, Walk, emit, inline};
use crate::geometry::Geometry;
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;

/// Inner elements of a part.
const PART: usize = 16;

/// Elements of the piles.
const PILES: usize = 256;

/// Elements of `left`, and of `right`: with the piles, what is piled up next, and a vector around each, they fill the scratch, of the longest
/// elements. The same for all, since it decides the order of additions.
const SIDE: usize = (SCRATCH_BYTES / size_of::<f64>() - 2 * PILES - 5 * MOST_LANES) / 2;

pub(crate) struct Spans<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
    /// Inner elements of a part, and columns of the piles.
    part: usize,
    piles: usize,
    /// Outputs of a tile.
    tile: usize,
}

impl<A: Lane, R> Spans<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        let width = &layer.geometry.axes[2];
        let part = layer.geometry.inner.clamp(1, PART);
        // The tile's first and last window have a column in common.
        let tile = (SIDE / part).min(width.kernel - 1) / width.stride + 1;
        let divisors = Divisors::of::<S, R>(op, layer);
        Self { op, layer: *layer, divisors, part, piles: PILES >> part.next_power_of_two().trailing_zeros(), tile }
    }
}

/// Whether the walk has loops for the layer.
pub(crate) fn takes(geometry: &Geometry) -> bool {
    geometry.axes[2].dilation == 1
}

/// Where a tile is folded, each area with a vector of identities before and behind it.
struct Areas<A> {
    left: *mut A,
    right: *mut A,
    piles: *mut A,
    next: *mut A,
}

/// An output row, and a part of its inner elements, `c .. c + len`.
#[derive(Clone, Copy)]
struct Row {
    at: Position,
    c: usize,
    len: usize,
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Spans<A, R> {
    const KIND: WalkKind = WalkKind::Spans;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let mut scratch = Scratch(MaybeUninit::uninit());
        let first: *mut A = scratch.0.as_mut_ptr().cast();
        let area = |before: usize| first.wrapping_add(before);
        let areas = Areas {
            left: area(MOST_LANES),
            right: area(2 * MOST_LANES + SIDE),
            piles: area(3 * MOST_LANES + 2 * SIDE),
            next: area(4 * MOST_LANES + 2 * SIDE + PILES),
        };
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        for _ in rows {
            let (mut x, mut c) = (0, 0);
            while x < geometry.axes[2].output {
                let row = Row { at, c, len: self.part.min(geometry.inner - c) };
                let outputs = x..(x + self.tile).min(geometry.axes[2].output);
                // SAFETY: by the contract of `visit`: the row is one of the run's, and the outputs lie in it. The areas fit: see `SIDE`.
                unsafe { self.tile(s, &io, row, outputs, &areas) };
                c += self.part;
                if c >= geometry.inner {
                    (x, c) = (x + self.tile, 0);
                }
            }
            at.advance(geometry, 1);
        }
    }
}

impl<A: Lane, R> Spans<A, R> {
    /// The outputs of one tile.
    ///
    /// # Safety
    /// As for [`Walk::visit`]; `row` is one of the run's, `outputs` a tile of it, and the areas have room for it.
    #[inline(always)]
    unsafe fn tile<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, row: Row, outputs: Range<usize>, areas: &Areas<A>)
    where
        R: Reduce<A, S>,
    {
        let (op, width) = (self.op, &self.layer.geometry.axes[2]);
        let (first, count) = (outputs.start * width.stride, outputs.len());
        // Elements of `left` and `right`.
        let (columns, side) = ((count - 1) * width.stride, (count - 1) * width.stride * row.len);
        let piled = self.piles * row.len;
        // SAFETY: elements of the areas, and of the vectors around them.
        unsafe {
            fill(areas.left, side, op.fill());
            fill(areas.right, side, op.fill());
            fill(areas.piles, piled, op.fill());
            self.down(s, io, row, first..first + columns, areas.left);
            self.down(s, io, row, first + width.kernel..first + width.kernel + columns, areas.right);

            let mut from = first + columns;
            let end = first + width.kernel;
            while from < end {
                let to = end.min(from + self.piles);
                fill(areas.next, piled, op.fill());
                self.down(s, io, row, from..to, areas.next);
                let mut i = 0;
                while i < piled {
                    let piles = areas.piles.add(i);
                    s.store(piles, op.join(s, s.load(piles), s.load(areas.next.add(i))));
                    i += S::N;
                }
                from = to;
            }
            let mut half = self.piles / 2;
            while half > 0 {
                let shift = half * row.len;
                pass::<A, S, R>(s, op, areas.piles, areas.piles, shift, 2 * shift + S::N);
                half /= 2;
            }

            let mut shift = row.len;
            while shift < side {
                pass::<A, S, R>(s, op, areas.left, areas.left, shift, side + S::N);
                // From the last to the first, so that what is read has not been joined yet.
                let mut i = side;
                while i > shift {
                    // What would be before the area is the identity.
                    let at = areas.right.wrapping_add(i).wrapping_sub(S::N);
                    let before = s.load(at.wrapping_sub(shift));
                    s.store(at, op.join(s, before, s.load(at)));
                    i = i.saturating_sub(S::N);
                }
                shift *= 2;
            }
            self.put(s, io, row, outputs, areas);
        }
    }

    /// Folds the window's rows at some columns, counted from the first padded one, into an area that holds the identity where they lie in padding.
    ///
    /// # Safety
    /// As for `tile`; the area has room for the columns.
    #[inline(always)]
    unsafe fn down<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, row: Row, columns: Range<usize>, area: *mut A)
    where
        R: Reduce<A, S>,
    {
        let (width, pixel) = (&self.layer.geometry.axes[2], self.layer.places.input.pixel);
        let valid = columns.start.max(width.begin)..columns.end.min(width.begin + width.input);
        if valid.is_empty() {
            return;
        }
        let is_run = row.len == pixel;
        let (pieces, len) = if is_run { (1, valid.len() * row.len) } else { (valid.len(), row.len) };
        let strip = Strip {
            layer: &self.layer,
            at: row.at,
            count: 1,
            from: io.src.wrapping_add((valid.start - width.begin) * pixel + row.c),
            to: area.wrapping_add((valid.start - columns.start) * row.len),
            pitch: 0,
            pieces,
            piece_steps: (pixel, row.len),
            len,
        };
        // SAFETY: valid columns of the window's rows, and room for them.
        unsafe { down_band(s, self.op, &strip, self.op.clean(s)) };
    }

    /// Joins the parts of each window, finishes and stores it.
    ///
    /// # Safety
    /// As for `tile`; the areas hold the three parts.
    #[inline(always)]
    unsafe fn put<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, row: Row, outputs: Range<usize>, areas: &Areas<A>)
    where
        R: Reduce<A, S>,
    {
        let (op, stride) = (self.op, self.layer.geometry.axes[2].stride);
        let pixel = self.layer.places.output.pixel;
        let divisors = self.divisors.row::<S, R>(row.at.z, row.at.y);
        let dst = self.layer.row(io, &row.at, row.at.y).wrapping_add(outputs.start * pixel + row.c);
        // Right of a window is what ends a column before it.
        let (left, right, core) = (areas.left, areas.right.wrapping_sub(row.len), areas.piles);
        if (row.len, pixel) == (1, 1) {
            // SAFETY: the first pile.
            let core = s.splat(unsafe { core.read() });
            let load = inline(
                #[inline(always)]
                |from: *const A, i: usize| {
                    let from = from.wrapping_add(i * stride);
                    // SAFETY: columns of the tile's windows from output `i` on; or a vector behind the last.
                    unsafe {
                        if stride == 1 {
                            s.load(from)
                        } else {
                            pick_up(s, from, stride, S::N.min(outputs.len() - i), op.fill())
                        }
                    }
                },
            );
            let folded = inline(
                #[inline(always)]
                |i: usize| op.join(s, op.join(s, load(left, i), core), load(right, i)),
            );
            let divisor = inline(
                #[inline(always)]
                |i: usize| divisors.from(s, op, outputs.start + i),
            );
            // SAFETY: the outputs of the tile.
            unsafe { emit(s, op, dst, outputs.len(), 0, folded, divisor) };
            return;
        }
        for (i, x) in outputs.enumerate() {
            let divisor = divisors.at(s, op, x);
            let mut e = 0;
            while e < row.len {
                let at = i * stride * row.len + e;
                // SAFETY: columns of the window, or a vector around them; elements of its output.
                unsafe {
                    let v = op.join(s, s.load(left.add(at)), s.load(core.add(e)));
                    let v = op.finish(s, op.join(s, v, s.load(right.wrapping_add(at))), divisor);
                    let (dst, n) = (dst.add(i * pixel + e), row.len - e);
                    if n >= S::N { op.store(s, dst, v) } else { op.store_first(s, dst, n, v) }
                }
                e += S::N;
            }
        }
    }
}

/// Writes the identity into an area of `len` elements, and a vector before and behind it.
///
/// # Safety
/// They are writable.
#[inline(never)]
unsafe fn fill<A: Lane>(area: *mut A, len: usize, identity: A) {
    for i in 0..len + 2 * MOST_LANES {
        // SAFETY: by this function's contract.
        unsafe { area.wrapping_sub(MOST_LANES).add(i).write(identity) };
    }
}
