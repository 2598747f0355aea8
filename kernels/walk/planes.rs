//! A small planar plane at a time, as one run: windows that move by 1.
//!
//! ```text
//! for each plane:
//!     copy its rows into scratch, with the padding around them     (1)
//!     down:   fold the window's rows, the whole scratch one run    (2)
//!     across: fold the window's columns, likewise                  (2)
//!     finish and store each output row                             (3)
//! ```
//!
//! 1. The padding is written once for a run, since nothing folds in place where it lies: the first fold goes to a second
//!    area. A row's last vector is copied whole, with identities for what lies behind the row.
//! 2. A window moves by 1 on both axes, so that tap `i` of every output is `i` scratch rows, or columns, further on: no loop
//!    knows where a row ends. What is folded across the end of a row is no output and is not stored. Rows of 20 elements
//!    cost what their elements cost; `bands` begins anew at each row: 33 times the streaming bound for a maximum of 5×5 over
//!    20×20 `f32` on AVX-512, where this walk takes 6.8.
//! 3. Rows are stored in whole vectors where a later row of the run writes what they spill.
//!
//! Short windows are folded tap by tap, in the order of the contract. Long ones, of operations that may count a tap twice, grow
//! fourfold a pass: 13 taps are 4 of 4, the last of which overlaps.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::bands::{Bands, LONG, Tiling};
use super::{Caution, Io, Layer, Position, Walk, emit, until};
use crate::geometry::Geometry;
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;

/// Bytes of one of the two areas on the stack of a run.
const AREA_BYTES: usize = 16 << 10;

/// Behind an area's cells: what a whole vector at its end may reach.
const SLACK: usize = 2 * MOST_LANES;

#[repr(align(64))]
struct Scratch(MaybeUninit<[[u8; AREA_BYTES]; 2]>);

/// Columns and rows of a plane with its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padded {
    pitch: usize,
    rows: usize,
}

impl Padded {
    /// `None` for layers that are another walk's.
    pub(crate) fn of(geometry: &Geometry) -> Option<Self> {
        let [depth, height, width] = &geometry.axes;
        let is_flat = geometry.inner == 1
            && (depth.kernel, depth.stride, depth.begin, depth.end) == (1, 1, 0, 0)
            && (height.stride, width.stride) == (1, 1);
        let (rows, pitch) =
            (height.output.checked_add(height.span() - 1)?, width.output.checked_add(width.span() - 1)?);
        // Whatever the element: the walk depends on the geometry alone.
        let cells = rows.checked_mul(pitch)?.checked_add(SLACK)?;
        (is_flat && cells <= AREA_BYTES / size_of::<f64>()).then_some(Self { pitch, rows })
    }

    /// Whether an operation may fold these windows here: long ones only if it may count a tap twice.
    pub(crate) fn takes<A: Lane, S: Lanes<A>, R: Reduce<A, S>>(geometry: &Geometry) -> bool {
        let [_, height, width] = &geometry.axes;
        R::IDEMPOTENT || height.kernel.max(width.kernel) < LONG
    }
}

pub(crate) struct Planes<A, R> {
    op: R,
    layer: Layer,
    padded: Padded,
    /// For NaN.
    bands: Bands<A, R>,
}

impl<A: Lane, R> Planes<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer, padded: Padded, tiling: Tiling) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, padded, bands: Bands::new::<S>(op, layer, tiling) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Planes<A, R> {
    const KIND: WalkKind = WalkKind::Planes;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let mut scratch = Scratch(MaybeUninit::uninit());
        let from: *mut A = scratch.0.as_mut_ptr().cast();
        // SAFETY: the second area.
        let to = unsafe { from.byte_add(AREA_BYTES) };
        // SAFETY: it holds the padded plane and slack. What it holds does not matter, but that it is something.
        unsafe { self.surround(s, to) };
        // The rows that the padding was last written around.
        let mut around = None;

        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let mut done = 0;
        while done < rows.len() {
            let count = (height.output - at.y).min(rows.len() - done);
            // SAFETY: the areas hold the plane with its padding, and slack; rows `at.y` and following, `count` of them, are the
            // run's from its `done`th on, and so is their output.
            unsafe {
                let dst = io.dst.add(done * width.output);
                let mut careful = R::WATCH && caution.is_due();
                if !careful {
                    if around != Some((at.y, count)) {
                        around = Some((at.y, count));
                        self.surround(s, from);
                    }
                    let flag = self.copy_in(s, &io, &at, count, from);
                    careful = R::WATCH && caution.learn(self.op.dirty(s, flag));
                    if !careful {
                        self.fold(s, from, to, count);
                        self.copy_out(s, &io, &at, count, to, dst);
                    }
                }
                if careful {
                    let first = rows.start + done;
                    self.bands.visit_rows(s, Io { dst, ..io }, first..first + count, true);
                }
            }
            at.advance(geometry, count);
            done += count;
        }
    }
}

impl<A: Lane, R> Planes<A, R> {
    /// Fills an area with identities.
    ///
    /// # Safety
    /// The area holds the padded plane and slack.
    #[inline(always)]
    unsafe fn surround<S: Lanes<A>>(&self, s: S, area: *mut A)
    where
        R: Reduce<A, S>,
    {
        let identity = s.splat(self.op.fill());
        let mut i = 0;
        // A vector more: what is read behind the last cell is some number, too.
        while i < self.padded.pitch * self.padded.rows + S::N {
            // SAFETY: the last vector begins at most N − 1 cells behind the plane and a vector, and ends in the slack.
            unsafe { s.store(area.add(i), identity) };
            i += S::N;
        }
    }

    /// Copies the input rows of `count` output rows from `at` on into an area that is padded, and watches them.
    ///
    /// # Safety
    /// As for [`Walk::visit`]; the area holds the padded plane and slack.
    #[inline(always)]
    unsafe fn copy_in<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, at: &Position, count: usize, area: *mut A) -> R::Flag
    where
        R: Reduce<A, S>,
    {
        let (op, geometry, pitch) = (self.op, &self.layer.geometry, self.padded.pitch);
        let [_, height, width] = &geometry.axes;
        // Rows and columns of the padded plane, of which the first rows are those of output `at.y`.
        let rows = height.begin.saturating_sub(at.y)
            ..(count + height.span() - 1).min((height.begin + height.input).saturating_sub(at.y));
        let len = width.input.min(pitch.saturating_sub(width.begin));
        let identity = s.splat(op.fill());
        let (whole, rest) = (len / S::N * S::N, len % S::N);
        let inside = s.first(rest);
        let mut flag = op.clean(s);
        let slab = at.slab_offset(&self.layer);
        for row in rows {
            // SAFETY: an input row of the plane; `pitch` cells from a row of the area on are in it.
            let (src, to) = unsafe {
                let y = row + at.y - height.begin;
                (io.src.add(slab + y * width.input), area.add(row * pitch + width.begin))
            };
            let mut i = 0;
            // SAFETY: whole vectors of the row; the last one is read past its end only where the input goes on, and
            // writes identities past it: into padding, or where the next row is copied to.
            unsafe {
                while i < whole {
                    let v = op.load(s, src.add(i));
                    flag = op.watch(s, flag, v, v);
                    s.store(to.add(i), v);
                    i += S::N;
                }
                if rest > 0 {
                    let v = if io.readable(src) >= whole + S::N {
                        s.pick(inside, op.load(s, src.add(i)), identity)
                    } else {
                        op.load_first(s, src.add(i), rest)
                    };
                    flag = op.watch(s, flag, v, v);
                    s.store(to.add(i), v);
                }
            }
        }
        flag
    }

    /// Folds down and then across.
    ///
    /// # Safety
    /// Both areas hold the padded plane and slack; `from` is written as far as `count` output rows need it.
    #[inline(always)]
    unsafe fn fold<S: Lanes<A>>(&self, s: S, from: *mut A, to: *mut A, count: usize)
    where
        R: Reduce<A, S>,
    {
        let [_, height, width] = &self.layer.geometry.axes;
        let pitch = self.padded.pitch;
        // SAFETY: `count` rows of the plane, from which the window's other rows are in it; and the outputs of those, from
        // which the window's other columns are.
        unsafe {
            fold_run(s, self.op, from, to, count * pitch, height.kernel, height.dilation * pitch);
            fold_run(s, self.op, to, to, (count - 1) * pitch + width.output, width.kernel, width.dilation);
        }
    }

    /// Finishes and stores `count` output rows.
    ///
    /// # Safety
    /// As for [`Walk::visit`]; `dst` is their output; the area holds them, folded.
    #[inline(always)]
    unsafe fn copy_out<S: Lanes<A>>(
        &self,
        s: S,
        io: &Io<R::T>,
        at: &Position,
        count: usize,
        area: *mut A,
        dst: *mut R::T,
    ) where
        R: Reduce<A, S>,
    {
        let len = self.layer.geometry.axes[2].output;
        for i in 0..count {
            let divisors = self.bands.divisors().row::<S, R>(at.z, at.y + i);
            // SAFETY: an output row of the run; its columns are in the area, a vector from the last one on in its slack.
            unsafe {
                let (from, dst) = (area.add(i * self.padded.pitch), dst.add(i * len));
                emit::<A, S, R>(
                    s,
                    self.op,
                    dst,
                    len,
                    until(dst, io.dst_end),
                    #[inline(always)]
                    |x| s.load(from.add(x)),
                    #[inline(always)]
                    |x| divisors.from(s, self.op, x),
                );
            }
        }
    }
}

/// Folds `taps` taps, `step` cells apart, for each of `len` cells. In place if `to` is `from`: a cell is read no more once it
/// was written.
///
/// # Safety
/// `len + (taps − 1)·step` cells of `from` are readable, and a vector behind them; as many of `to` are writable.
#[inline(always)]
unsafe fn fold_run<A, S, R>(s: S, op: R, from: *const A, to: *mut A, len: usize, taps: usize, step: usize)
where
    A: Lane,
    S: Lanes<A>,
    R: Reduce<A, S>,
{
    // SAFETY: by this function's contract. What a pass folds reaches no further than the window that it is a part of.
    unsafe {
        let (mut from, mut done) = (from, 1);
        while taps >= LONG && R::IDEMPOTENT && 4 * done <= taps {
            pass::<A, S, R, 4>(s, op, from, to, len + (taps - 4 * done) * step, done * step, 3 * done * step);
            (from, done) = (to, 4 * done);
        }
        // The last of them ends with the window, and may overlap the one before.
        let (step, last) = (done * step, (taps - done) * step);
        match taps.div_ceil(done) {
            1 if core::ptr::eq(from, to) => {}
            1 => pass::<A, S, R, 1>(s, op, from, to, len, step, last),
            2 => pass::<A, S, R, 2>(s, op, from, to, len, step, last),
            3 => pass::<A, S, R, 3>(s, op, from, to, len, step, last),
            4 => pass::<A, S, R, 4>(s, op, from, to, len, step, last),
            5 => pass::<A, S, R, 5>(s, op, from, to, len, step, last),
            6 => pass::<A, S, R, 6>(s, op, from, to, len, step, last),
            _ => pass::<A, S, R, 7>(s, op, from, to, len, step, last),
        }
    }
}

/// Folds `K` cells for each of `len`: `step` apart, but for the last one, which is `last` from the first.
///
/// # Safety
/// `len + last` cells of `from` are readable and `len` of `to` writable, and a vector behind each.
#[inline(always)]
unsafe fn pass<A, S, R, const K: usize>(s: S, op: R, from: *const A, to: *mut A, len: usize, step: usize, last: usize)
where
    A: Lane,
    S: Lanes<A>,
    R: Reduce<A, S>,
{
    let mut i = 0;
    while i < len {
        // SAFETY: by this function's contract: i < len.
        unsafe {
            let from = from.add(i);
            let mut v = s.load(from);
            for k in 1..K {
                v = op.join(s, v, s.load(from.add(if k + 1 == K { last } else { k * step })));
            }
            s.store(to.add(i), v);
        }
        i += S::N;
    }
}
