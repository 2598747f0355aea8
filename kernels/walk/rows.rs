//! Planar rows in registers: windows of 2 or 3 taps a row that move by 1, 2 or 3, the pooling layers of most networks.
//!
//! ```text
//! for each output row:
//!     for each block of N outputs:
//!         load the block's input columns from each of the window's rows, and fold the rows        (1)(2)
//!         take each window's columns out of the folded block and its neighbours, and fold them    (3)
//!         finish, store                                                                            (4)
//! ```
//!
//! 1. A row outside the input is a row of identities, kept in the plan: no row is an edge.
//! 2. Only the last block of a row reaches past it: there the lanes outside are replaced by the identity.
//! 3. With a stride of 2 a block is two vectors, separated into even and odd columns. The column before an odd one is
//!    the odd column of the window before, one lane back; before the first lies padding, or the input's first column.
//! 4. The last block is loaded and stored whole although the row ends in it: what is loaded from the next row is masked,
//!    and what is stored into the next output row is written again by that row. So it needs a next row: the last rows
//!    of a run, where there is none, are left to `bands`. So is a plane that turned out to hold a NaN.
//!
//! Everything is a constant of the window but the number of rows and columns, so a row costs a handful of instructions
//! beside its blocks; that is what small planes are made of. (Before: `bands` alone, whose two passes cost 90 cycles a row
//! at 14×14.)

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::bands::{Bands, Tiling};
use super::divisors::RowDivisors;
use super::{Caution, Io, Layer, Position, Walk, inline, until};
use crate::geometry::{Axis, Geometry};
use crate::kernels::simd::{Lane, Lanes, Reduce, Simd};
use crate::kernels::table::WalkKind;
use crate::strides::Gaps;

/// The longest row that the plan keeps a row of identities for.
const LONGEST: usize = 1 << 20;

/// The windows that the walk has a loop for: rows and columns of the kernel, and the stride along the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    K1x2S2,
    K1x3S1,
    K1x3S2,
    K1x3S3,
    K2x2S2,
    K3x3S1,
    K3x3S2,
    /// Two slabs of two rows.
    K2x2x2S2,
}

impl Shape {
    /// The loop for this layer, if there is one.
    pub(crate) fn of(geometry: &Geometry) -> Option<Self> {
        let [depth, height, width] = &geometry.axes;
        // The column before the first window's middle one is at most one; a kernel of 2 has none. The last window's middle
        // column (its first, of 2) lies in the input, so that only the right one can be padding.
        let most_begin = width.kernel.saturating_sub(2);
        let middle = (width.output - 1) * width.stride + most_begin;
        let is_inside = |axis: &Axis| axis.cut_windows() == (0, 0);
        let plain = (depth.dilation, height.dilation, width.dilation) == (1, 1, 1)
            && is_inside(depth)
            && geometry.inner == 1
            // The plan keeps a row of identities.
            && width.output <= LONGEST
            && width.begin <= most_begin
            && middle < width.input + width.begin;
        if !plain {
            return None;
        }
        if (depth.kernel, depth.stride) != (1, 1) {
            let is_pairs = [depth, height, width].iter().all(|axis| (axis.kernel, axis.stride) == (2, 2));
            return (is_pairs && is_inside(height)).then_some(Self::K2x2x2S2);
        }
        match (height.kernel, width.kernel, width.stride) {
            (1, 2, 2) => Some(Self::K1x2S2),
            (1, 3, 1) => Some(Self::K1x3S1),
            (1, 3, 2) => Some(Self::K1x3S2),
            (1, 3, 3) if is_inside(width) => Some(Self::K1x3S3),
            (2, 2, 2) => Some(Self::K2x2S2),
            (3, 3, 1) => Some(Self::K3x3S1),
            (3, 3, 2) => Some(Self::K3x3S2),
            _ => None,
        }
    }

    /// Whether a tier has the loop.
    pub(crate) const fn is_for<S: Simd>(self) -> bool {
        !S::SPARING || matches!(self, Self::K2x2S2 | Self::K3x3S1 | Self::K3x3S2)
    }
}

pub(crate) struct Rows<A, R, T> {
    op: R,
    layer: Layer,
    shape: Shape,
    /// A row of identities, as long as the last block reaches.
    identity: Vec<T>,
    /// For the last rows and for NaN.
    bands: Bands<A, R>,
}

impl<A: Lane, R, T> Rows<A, R, T> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer, shape: Shape, tiling: Tiling) -> Self
    where
        R: Reduce<A, S, T = T>,
        T: bytemuck::Pod,
    {
        let width = &layer.geometry.axes[2];
        let blocks = width.output.div_ceil(S::N) + 1;
        let identity = vec![op.identity(); 2 + blocks * S::N * width.stride];
        Self { op, layer: *layer, shape, identity, bands: Bands::new::<S>(op, layer, tiling) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Rows<A, R, R::T> {
    const KIND: WalkKind = WalkKind::Rows;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        // SAFETY: the same contract, for each shape.
        unsafe {
            match self.shape {
                Shape::K2x2S2 => self.planes::<S, 2, 2, 2>(s, io, rows),
                Shape::K3x3S1 => self.planes::<S, 3, 3, 1>(s, io, rows),
                Shape::K3x3S2 => self.planes::<S, 3, 3, 2>(s, io, rows),
                // A condition of constants: the others are not compiled, and never asked for (`Shape::is_for`).
                _ if S::SPARING => self.bands.visit_rows(s, io, rows, false),
                Shape::K1x2S2 => self.planes::<S, 1, 2, 2>(s, io, rows),
                Shape::K1x3S1 => self.planes::<S, 1, 3, 1>(s, io, rows),
                Shape::K1x3S2 => self.planes::<S, 1, 3, 2>(s, io, rows),
                Shape::K1x3S3 => self.planes::<S, 1, 3, 3>(s, io, rows),
                Shape::K2x2x2S2 => self.planes::<S, 4, 2, 2>(s, io, rows),
            }
        }
    }
}

/// How far ahead of its loads a run asks for lines: rows are too short for a cache's prefetchers, which follow one to its end and
/// have to begin anew. 2×2/2 over 64×224×224 `f32` took 1.8 times the streaming bound without, 1.0 with (AVX2, Zen 3).
const AHEAD_BYTES: usize = 2 << 10;

/// The elements from a row to that which a run will load about [`AHEAD_BYTES`] later, if it moves on by `step` elements a row.
#[inline(always)]
fn ahead<T>(step: usize) -> usize {
    let least = AHEAD_BYTES / size_of::<T>();
    // A long row is a run of its own.
    if step > 4 * least { least } else { step * least.div_ceil(step.max(1)) }
}

/// What every row of a layer shares, worked out once a run.
#[derive(Clone, Copy)]
struct Row<M> {
    /// Blocks of N outputs.
    blocks: usize,
    /// Where the blocks begin: at column 1 where there is no padding before column 0, which then is `before`.
    shift: usize,
    /// The lanes inside the row: of the last block's one or two vectors, and of the one behind it.
    inside: [M; 2],
    behind: M,
    /// Whether there is a column behind the last block; and in the second of its two vectors.
    is_behind: bool,
    is_second: bool,
    /// Whether a window reaches past the row: else no output depends on what lies there.
    is_cut: bool,
    /// From a row to that which a run will load about [`AHEAD_BYTES`] later, in elements.
    ahead: usize,
}

impl<A: Lane, R, T> Rows<A, R, T> {
    /// # Safety
    /// As for [`Walk::visit`]; the window is `H`×`K`, and moves by `W` along the row.
    #[inline(always)]
    unsafe fn planes<S, const H: usize, const K: usize, const W: usize>(&self, s: S, io: Io<T>, rows: Range<usize>)
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
        T: bytemuck::Pod,
    {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let (w, len) = (width.input, width.output);
        let (row_step, out_step) = (self.layer.places.input.row, self.layer.places.output.row);
        // Four rows are two of each of two slabs.
        let each = if H == 4 { 2 } else { H };
        let slab_step = self.layer.places.input.slab;
        let blocks = len.div_ceil(S::N);
        let shift = if K == 3 && W < 3 { 1 - width.begin } else { 0 };
        // Columns from the last block's beginning to the end of the row.
        let last = w - shift - ((blocks - 1) * S::N * W).min(w - shift);
        let row = Row {
            blocks,
            shift,
            inside: [s.first(last.min(S::N)), s.first(last.saturating_sub(S::N).min(S::N))],
            behind: s.first(last.saturating_sub(S::N * W).min(S::N)),
            is_behind: last > S::N * W,
            is_second: last > S::N,
            is_cut: width.cut_windows().1 > 0,
            ahead: ahead::<T>(height.stride * row_step),
        };
        // What the last block loads and stores.
        let reach =
            shift + (blocks + usize::from(K == 3 && W == 1 && row.is_behind)) * S::N * W + if W == 3 { 2 } else { 0 };
        let overshoot = blocks * S::N;
        // Where rows have gaps between them, none may store past its end.
        let has_gaps = matches!(self.layer.places.gaps, Gaps::Rows | Gaps::Pixels);

        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            // The rows of one plane.
            let count = (height.output - at.y).min(rows.len() - to);
            let mut careful = R::WATCH && caution.is_due();
            let mut done = 0;
            if !careful {
                // The window's first slab; there are none in padding.
                let depth = &geometry.axes[0];
                let slab = io.src.wrapping_add(self.layer.places.input.row_at(at.outer, at.z * depth.stride, 0));
                let mut flag = self.op.clean(s);
                let mut dst = self.layer.row(&io, &at, at.y);
                let end = self.layer.end(&io, &at, at.y, dst);
                // The rows that may load and store whole blocks: all but the last ones of the run.
                let is_free = inline(
                    #[inline(always)]
                    |row: usize| {
                        let lowest = ((at.y + row) * height.stride + each - 1).saturating_sub(height.begin);
                        let below = slab.wrapping_add((H / each - 1) * slab_step);
                        let below = below.wrapping_add(lowest.min(height.input - 1) * row_step);
                        let room = if has_gaps { len } else { until(dst.wrapping_add(row * out_step), end) };
                        io.readable(below) >= reach && room >= overshoot
                    },
                );
                let mut free = count;
                while free > 0 && !is_free(free - 1) {
                    free -= 1;
                }
                // The window's first row, which may lie in the padding.
                let mut y = (at.y * height.stride).wrapping_sub(height.begin);
                let mut top = slab.wrapping_add(y.wrapping_mul(row_step));
                while done < free {
                    let mut window = [top; H];
                    for i in 0..H {
                        window[i] = top.wrapping_add(i / each * slab_step + i % each * row_step);
                    }
                    if y.wrapping_add(each) > height.input || y > height.input {
                        for i in 0..H {
                            let is_inside = y.wrapping_add(i % each) < height.input;
                            window[i] = if is_inside { window[i] } else { self.identity.as_ptr() };
                        }
                    }
                    let divisors = self.bands.divisors().row::<S, R>(at.z, at.y + done);
                    // Of three rows, the first was watched as one of the last two of the window before.
                    let is_first_fresh = done == 0 || height.stride > 2;
                    // SAFETY: `reach` elements are readable in the lowest row, so in all; the row of identities is as long;
                    // and `overshoot` elements of output are this run's.
                    flag = unsafe { self.row::<S, H, K, W>(s, &row, window, dst, divisors, is_first_fresh, flag) };
                    done += 1;
                    y = y.wrapping_add(height.stride);
                    top = top.wrapping_add(height.stride * row_step);
                    dst = dst.wrapping_add(out_step);
                }
                careful = R::WATCH && caution.learn(self.op.dirty(s, flag));
                done = if careful { 0 } else { done };
            }
            if done < count {
                let first = to + done;
                // SAFETY: the rest of the plane's rows, and their output up to the end of the run's.
                unsafe {
                    let io = Io { dst: self.layer.row(&io, &at, at.y + done), ..io };
                    self.bands.visit_rows(s, io, rows.start + first..rows.start + to + count, careful);
                }
            }
            at.advance(geometry, count);
            to += count;
        }
    }

    /// One row of outputs, in whole blocks.
    ///
    /// # Safety
    /// In every row of `window`, `reach` elements are readable; from `dst` on, `blocks·N` are writable.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
    unsafe fn row<S, const H: usize, const K: usize, const W: usize>(
        &self,
        s: S,
        row: &Row<S::M>,
        window: [*const T; H],
        dst: *mut T,
        divisors: RowDivisors<'_, A>,
        is_first_fresh: bool,
        mut flag: R::Flag,
    ) -> R::Flag
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
        T: bytemuck::Pod,
    {
        let op = self.op;
        let identity = s.splat(op.fill());
        // A vector is a cache line of its own.
        let is_line = size_of::<S::V>() >= 64;
        // A vector of columns from column `c` on, its rows folded and watched; `is_ahead` asks for what a later row will load.
        let fold = inline(
            #[inline(always)]
            |c: usize, is_ahead: bool, flag: &mut R::Flag| {
                let mut v = [identity; H];
                for i in 0..H {
                    // SAFETY: by this function's contract.
                    v[i] = unsafe { op.load(s, window[i].add(c)) };
                    if is_ahead && i + 2 >= H {
                        s.prefetch(window[i].wrapping_add(c + row.ahead));
                    }
                }
                if R::WATCH {
                    *flag = op.watch(s, *flag, v[H - 1], v[H.max(2) - 2]);
                    if H == 4 {
                        *flag = op.watch(s, *flag, v[0], v[1]);
                    } else if H > 2 && is_first_fresh {
                        *flag = op.watch(s, *flag, v[0], v[0]);
                    }
                }
                let mut down = v[0];
                for i in 1..H {
                    down = op.join(s, down, v[i]);
                }
                down
            },
        );
        // The column before the first middle one: padding, or the input's first.
        let mut before = identity;
        if K == 3 && W < 3 && row.shift == 1 {
            before = s.splat_first(fold(0, false, &mut flag));
        }
        let mut next = identity;
        if W == 1 {
            next = fold(row.shift, false, &mut flag);
            if row.blocks == 1 {
                next = s.pick(row.inside[0], next, identity);
            }
        }
        // One divisor for all, made ready once; else one a lane.
        let uniform = divisors.are_equal().then(|| divisors.at(s, op, 0));
        // One block. Only the last one reaches past the row.
        let mut visit = inline(
            #[inline(always)]
            |block: usize, is_last: bool| {
                let c = row.shift + block * S::N * W;
                let v = if W == 3 {
                    // Windows at every column, of which every third is kept: all of them lie in the row, but for those that nobody asks
                    // for.
                    let mut v = [identity; 3];
                    for i in 0..3 {
                        let at = c + i * S::N;
                        // Watched as the first ones.
                        let mut watched = op.clean(s);
                        let second = fold(at + 1, false, &mut watched);
                        let third = fold(at + 2, false, &mut watched);
                        v[i] = op.join(s, op.join(s, fold(at, is_line || i != 1, &mut flag), second), third);
                    }
                    s.third(v[0], v[1], v[2])
                } else if W == 2 {
                    let (mut a, mut b) = (fold(c, true, &mut flag), identity);
                    if !is_last || row.is_second {
                        b = fold(c + S::N, is_line, &mut flag);
                    }
                    if is_last && row.is_cut {
                        a = s.pick(row.inside[0], a, identity);
                        b = s.pick(row.inside[1], b, identity);
                    }
                    let (even, odd) = s.unzip(a, b);
                    if K == 2 {
                        op.join(s, even, odd)
                    } else {
                        let left = s.back(before, odd);
                        before = odd;
                        op.join(s, op.join(s, left, even), odd)
                    }
                } else {
                    let this = next;
                    next = identity;
                    if !is_last {
                        next = fold(c + S::N, true, &mut flag);
                        if block + 2 == row.blocks {
                            next = s.pick(row.inside[0], next, identity);
                        }
                    } else if row.is_behind {
                        next = s.pick(row.behind, fold(c + S::N, false, &mut flag), identity);
                    }
                    let left = s.back(before, this);
                    before = this;
                    op.join(s, op.join(s, left, this), s.ahead(this, next))
                };
                let divisor = match uniform {
                    Some(divisor) => divisor,
                    None => divisors.from(s, op, block * S::N),
                };
                let v = op.finish(s, v, divisor);
                // SAFETY: by this function's contract.
                unsafe { op.store(s, dst.add(block * S::N), v) };
            },
        );
        let last = row.blocks - 1;
        for block in 0..last {
            visit(block, false);
        }
        visit(last, true);
        flag
    }
}
