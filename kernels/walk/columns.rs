//! Channels last: columns of windows that go from one output to the next in rows of accumulators.
//!
//! ```text
//! for each output row, for each part of inner whose accumulators fit the scratch:
//!     fold the columns that the first window shares with none before it, keep them                     (1)
//!     for each output, or two neighbours:
//!         for each two vectors of inner:
//!             fold the window's rows at the columns that are new in it                                 (2)
//!             join what was kept with them, finish, store; keep what the next window shares            (3)
//! ```
//!
//! 1. Of a window 3 wide that moves by 1, that is its last two columns joined, and the last one; by 2, its last column.
//! 2. Rows and columns outside the input are pointers to a row of identities: no loop knows an edge.
//! 3. So each column is folded once for each output row, and what is kept is as long as a pixel, whatever the width of the row.
//!    Two neighbours at once keep half as often.
//!
//! The same joins in the same order as in `bands`, which keeps the columns of a whole tile, folds those that two tiles share once more,
//! and loads each of them for each window.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::bands::{Bands, Tiling};
use super::{Caution, Io, Layer, Position, Walk};
use crate::geometry::Geometry;
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::table::WalkKind;

/// Bytes of accumulators: half of the smallest L1 cache.
const SCRATCH: usize = 16 << 10;

/// Rows that are done again together where one of them holds a NaN.
const BAND: usize = 16;

/// New columns of an output, or of two, at most; or all that are kept.
const MOST_NEW: usize = 4;

/// Columns of a window that the next one has, too, at most.
const MOST_KEPT: usize = 4;

/// Rows and columns of the window, and how far it moves along the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    K1x3S3,
    K2x2S2,
    K3x3S1,
    K3x3S2,
    K5x5S1,
}

impl Shape {
    /// The loop for this layer, if there is one.
    pub(crate) fn of(geometry: &Geometry) -> Option<Self> {
        let [depth, height, width] = &geometry.axes;
        if depth.kernel != 1 || width.dilation != 1 {
            return None;
        }
        match (height.kernel, width.kernel, width.stride) {
            (1, 3, 3) => Some(Self::K1x3S3),
            (2, 2, 2) => Some(Self::K2x2S2),
            (3, 3, 1) => Some(Self::K3x3S1),
            (3, 3, 2) => Some(Self::K3x3S2),
            (5, 5, 1) => Some(Self::K5x5S1),
            _ => None,
        }
    }

    /// Whether a tier has the loop, for pixels of so many elements in lanes of `A`: two vectors and more.
    pub(crate) fn is_for<A: Lane, S: Lanes<A>>(self, inner: usize) -> bool {
        inner >= 2 * S::N && (!S::SPARING || !matches!(self, Self::K1x3S3 | Self::K5x5S1))
    }
}

pub(crate) struct Columns<A, R, T> {
    op: R,
    layer: Layer,
    shape: Shape,
    /// Elements of a part of inner.
    part: usize,
    /// As many identities.
    identity: Vec<T>,
    /// For NaN.
    bands: Bands<A, R>,
}

impl<A: Lane, R, T: bytemuck::Pod> Columns<A, R, T> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer, shape: Shape, tiling: Tiling) -> Self
    where
        R: Reduce<A, S, T = T>,
    {
        let inner = layer.geometry.inner;
        // Equal parts of whole pairs of vectors; the last one may overlap the one before.
        let most = row_of::<A>(kept(layer.geometry.axes[2].kernel, layer.geometry.axes[2].stride));
        let part = inner.div_ceil(inner.div_ceil(most)).next_multiple_of(2 * S::N).min(inner);
        let bands = Bands::new::<S>(op, layer, tiling);
        Self { op, layer: *layer, shape, part, identity: vec![op.identity(); part], bands }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Columns<A, R, R::T> {
    const KIND: WalkKind = WalkKind::Columns;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        // SAFETY: the same contract, for each shape.
        unsafe {
            match self.shape {
                Shape::K2x2S2 => self.rows::<S, 2, 2, 2>(s, io, rows),
                Shape::K3x3S1 => self.rows::<S, 3, 3, 1>(s, io, rows),
                Shape::K3x3S2 => self.rows::<S, 3, 3, 2>(s, io, rows),
                // A condition of constants: not compiled where they are never asked for (`Shape::is_for`).
                _ if S::SPARING => self.bands.visit_rows(s, io, rows, false),
                Shape::K1x3S3 => self.rows::<S, 1, 3, 3>(s, io, rows),
                Shape::K5x5S1 => self.rows::<S, 5, 5, 1>(s, io, rows),
            }
        }
    }
}

/// The window's rows of one output row: where their column 0 is, at the first element of a part, and from a column to the next.
#[derive(Clone, Copy)]
struct Window<T, const H: usize> {
    rows: [(*const T, usize); H],
    /// For columns outside the input.
    identity: *const T,
    /// How many columns there are, and how many are before the first.
    input: usize,
    begin: usize,
    /// Rows that were watched with an output row before.
    stale: usize,
}

impl<T, const H: usize> Window<T, H> {
    /// The rows of padded column `x`.
    #[inline(always)]
    fn column(&self, x: usize) -> [*const T; H] {
        let mut column = [self.identity; H];
        let x = x.wrapping_sub(self.begin);
        if x < self.input {
            for i in 0..H {
                let (row, step) = self.rows[i];
                column[i] = row.wrapping_add(x * step);
            }
        }
        column
    }
}

/// Columns of a window that moves by `W` which the next one has, too: as many rows of accumulators. The first is of windows that have
/// all of them, the last of those that have the last one.
const fn kept(k: usize, w: usize) -> usize {
    k.saturating_sub(w)
}

/// Accumulators of one of so many rows.
const fn row_of<A>(rows: usize) -> usize {
    SCRATCH / size_of::<A>() / if rows == 0 { 1 } else { rows }
}

impl<A: Lane, R, T: bytemuck::Pod> Columns<A, R, T> {
    /// # Safety
    /// As for [`Walk::visit`]; the window is `H`×`K`, and moves by `W` along the row.
    #[inline(always)]
    unsafe fn rows<S, const H: usize, const K: usize, const W: usize>(&self, s: S, io: Io<T>, rows: Range<usize>)
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let height = geometry.axes[1].output;
        let mut scratch = MaybeUninit::<[u64; SCRATCH / 8]>::uninit();
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            let count = BAND.min(height - at.y).min(rows.len() - to);
            let mut careful = R::WATCH && caution.is_due();
            if !careful {
                let mut flag = self.op.clean(s);
                for i in 0..count {
                    // SAFETY: an output row of the run.
                    flag = unsafe { self.row::<S, H, K, W>(s, &io, &at, i, scratch.as_mut_ptr().cast(), flag) };
                }
                careful = R::WATCH && caution.learn(self.op.dirty(s, flag));
            }
            if careful {
                let first = rows.start + to;
                // SAFETY: the same rows, and their output up to the end of the run's.
                unsafe {
                    let io = Io { dst: self.layer.row(&io, &at, at.y), ..io };
                    self.bands.visit_rows(s, io, first..first + count, true);
                }
            }
            at.advance(geometry, count);
            to += count;
        }
    }

    /// Output row `ahead` of a band that begins at `at`.
    ///
    /// # Safety
    /// As for `rows`: the row is one of the run's; and the scratch holds `SCRATCH` bytes.
    #[inline(always)]
    unsafe fn row<S, const H: usize, const K: usize, const W: usize>(
        &self,
        s: S,
        io: &Io<T>,
        at: &Position,
        ahead: usize,
        scratch: *mut A,
        mut flag: R::Flag,
    ) -> R::Flag
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
    {
        let Layer { geometry, places, .. } = &self.layer;
        let [depth, height, width] = &geometry.axes;
        let (op, y, pixel) = (self.op, at.y + ahead, places.output.pixel);
        let divisors = self.bands.divisors().row::<S, R>(at.z, y);
        let is_deep = depth.taps(at.z).count > 0;
        let (top, slab) = (y * height.stride, io.src.wrapping_add(at.slab_offset(&self.layer)));
        let mut part = 0;
        loop {
            let mut rows = [(self.identity.as_ptr(), 0); H];
            for i in 0..H {
                let row = (top + i * height.dilation).wrapping_sub(height.begin);
                if is_deep && row < height.input {
                    rows[i] = (slab.wrapping_add(row.wrapping_mul(places.input.row) + part), places.input.pixel);
                }
            }
            // A row of windows without gaps has seen all rows but those that it moved on by.
            let stale = if ahead == 0 || height.dilation > 1 { 0 } else { H.saturating_sub(height.stride) };
            let (identity, input, begin) = (self.identity.as_ptr(), width.input, width.begin);
            let window = Window { rows, identity, input, begin, stale };
            let dst = self.layer.row(io, at, y).wrapping_add(part);
            // SAFETY: `self.part` elements of inner from `part` on are in every pixel of the window's rows and of the output row.
            unsafe {
                if const { kept(K, W) > 0 } {
                    let none = divisors.at(s, op, 0);
                    flag = self.group::<S, H, K, W, 0>(s, &window, 0, [dst; 2], scratch, none, flag);
                }
                let mut x = 0;
                let mut runs = self.bands.divisors().runs.iter();
                while x < width.output {
                    // Outputs that divide by the same number.
                    let end = runs.next().map_or(width.output, |run| run.end.min(width.output));
                    let divisor = divisors.at(s, op, x);
                    while x < end {
                        let to = dst.wrapping_add(x * pixel);
                        let first = x * W + kept(K, W);
                        if W == 1 && x + 1 < end {
                            let to = [to, to.wrapping_add(pixel)];
                            flag = self.group::<S, H, K, W, 2>(s, &window, first, to, scratch, divisor, flag);
                            x += 2;
                        } else {
                            flag = self.group::<S, H, K, W, 1>(s, &window, first, [to; 2], scratch, divisor, flag);
                            x += 1;
                        }
                    }
                }
            }
            if part + self.part >= geometry.inner {
                return flag;
            }
            part = (part + self.part).min(geometry.inner - self.part);
        }
    }

    /// `U` neighbouring outputs, whose new columns begin with padded column `first`; or with none, what the first output keeps of
    /// columns before its new ones.
    ///
    /// # Safety
    /// From each row of the window's columns, and from each `dst`, `self.part` elements on are the input's and the output's.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
    unsafe fn group<S, const H: usize, const K: usize, const W: usize, const U: usize>(
        &self,
        s: S,
        window: &Window<T, H>,
        first: usize,
        dst: [*mut T; 2],
        scratch: *mut A,
        divisor: R::Divisor,
        mut flag: R::Flag,
    ) -> R::Flag
    where
        S: Lanes<A>,
        R: Reduce<A, S, T = T>,
    {
        let (op, len, stale) = (self.op, self.part, window.stale);
        let new = const { if U == 0 { kept(K, W) } else { U * if K > W { W } else { K } } };
        let mut columns = [[window.identity; H]; MOST_NEW];
        for j in 0..new {
            columns[j] = window.column(first + j);
        }
        let mut slot = 0;
        while slot < len {
            // The last two vectors overlap those before, but keep their own accumulators.
            let c = slot.min(len - 2 * S::N);
            let mut v = [[s.splat(op.fill()); 2]; MOST_NEW];
            for j in 0..new {
                for i in 0..H {
                    // SAFETY: c + 2·N <= len.
                    let (a, b) = unsafe {
                        let row = columns[j][i].add(c);
                        (op.load(s, row), op.load(s, row.add(S::N)))
                    };
                    if R::WATCH && i >= stale {
                        flag = op.watch(s, flag, a, b);
                    }
                    v[j] = if i == 0 { [a, b] } else { [op.join(s, v[j][0], a), op.join(s, v[j][1], b)] };
                }
            }
            for b in 0..2 {
                let mut shared = [s.splat(op.fill()); MOST_KEPT];
                let mut out = [s.splat(op.fill()); 2];
                // SAFETY: each row of accumulators has as many as a part has elements, rounded up to two vectors.
                let accumulators = |k: usize| unsafe { scratch.add(k * row_of::<A>(kept(K, W)) + slot + b * S::N) };
                if U > 0 {
                    for k in 0..kept(K, W) {
                        // SAFETY: likewise.
                        shared[k] = unsafe { s.load(accumulators(k)) };
                    }
                }
                if W == 1 {
                    // Each new column ends a window and is in all that are kept.
                    for j in 0..new {
                        out[j % 2] = op.join(s, shared[0], v[j][b]);
                        for k in 1..kept(K, W) {
                            shared[k - 1] = op.join(s, shared[k], v[j][b]);
                        }
                        shared[kept(K, W).saturating_sub(1)] = v[j][b];
                    }
                } else {
                    // No more than the last column is kept.
                    out[0] = if kept(K, W) > 0 { op.join(s, shared[0], v[0][b]) } else { v[0][b] };
                    for j in 1..new {
                        out[0] = op.join(s, out[0], v[j][b]);
                    }
                    shared[0] = v[new.saturating_sub(1)][b];
                }
                // SAFETY: likewise; and c + 2·N <= len outputs.
                unsafe {
                    for k in 0..kept(K, W) {
                        s.store(accumulators(k), shared[k]);
                    }
                    for u in 0..U {
                        op.store(s, dst[u].add(c + b * S::N), op.finish(s, out[u], divisor));
                    }
                }
            }
            slot += 2 * S::N;
        }
        flag
    }
}
