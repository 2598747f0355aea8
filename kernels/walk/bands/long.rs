//! Long windows: blocks of taps that neighbouring windows share, so that an output's cost does not grow with its window.

use core::ops::Range;

use super::{BLOCK, Strip, put};
use crate::geometry::Geometry;
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::walk::{load_block, watch_block};

/// From this many taps on an axis, a window is long: folded in blocks that neighbouring windows share.
pub(crate) const LONG: usize = 8;

/// Whether columns are folded in shared blocks. By geometry alone: it decides the order of additions.
pub(super) fn is_long_down(geometry: &Geometry) -> bool {
    let [depth, height, _] = &geometry.axes;
    height.kernel >= LONG && height.stride == 1 && height.dilation == 1 && depth.kernel == 1
}

/// Folded columns in scratch rows: the window of the output at column `x` is `taps` elements from `rows + x` on, `step`
/// apart.
#[derive(Clone, Copy)]
pub(super) struct Columns<A> {
    pub(super) rows: *mut A,
    pub(super) taps: usize,
    pub(super) step: usize,
}

impl<A> Columns<A> {
    /// The same from element `at` on.
    ///
    /// # Safety
    /// `at` is an element of the scratch.
    #[inline(always)]
    pub(super) unsafe fn row(self, at: usize) -> Self {
        // SAFETY: by this function's contract.
        Self { rows: unsafe { self.rows.add(at) }, ..self }
    }
}

/// `down_band` for a long window that moves by 1: van Herk and Gil–Werman's algorithm.
///
/// Rows are cut at multiples of the kernel `k`, counted from the first padded row. A window that begins at row `y` is the
/// rows up to the next cut `m >= y`, folded from the last to the first, joined with the rows from there on, folded from the
/// first to the last. Neighbouring windows share both parts, so a band of `count` rows loads `count + k − 1` and joins each
/// output row twice. (M. van Herk, Pattern Recognition Letters 13, 1992; J. Gil and M. Werman, IEEE PAMI 15, 1993.)
///
/// # Safety
/// As for `down_band`.
#[inline(always)]
pub(super) unsafe fn down_long<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(
    s: S,
    op: O,
    strip: &Strip<'_, O::T, A>,
    mut flag: O::Flag,
) -> O::Flag {
    let Strip { layer, at, count, from, to, pitch, pieces, piece_steps, len } = *strip;
    let [depth, height, _] = &layer.geometry.axes;
    let row_step = layer.places.input.row;
    let mut first = 0;
    while first < count {
        // The windows that share the cut `m`: those that begin in (m − k, m].
        let y = at.y + first;
        let cut = y.div_ceil(height.kernel) * height.kernel;
        let windows = (cut + 1 - y).min(count - first);
        // Padded rows are skipped: all bounds below are in padded rows, `begin` ahead of the input's.
        let valid = if depth.taps(at.z).count == 0 { 0..0 } else { height.begin..height.begin + height.input };
        // SAFETY: `at` is a position of the layer and rows in `valid` are rows of its slab; scratch rows up to `count`.
        unsafe {
            let slab = from.wrapping_add(at.slab_offset(layer)).wrapping_sub(height.begin * row_step);
            let to = to.add(first * pitch);
            let shared =
                Shared { rows: y..y + windows + height.kernel - 1, cut, windows, kernel: height.kernel, valid };
            for piece in 0..pieces {
                let (slab, to) = (slab.wrapping_add(piece * piece_steps.0), to.add(piece * piece_steps.1));
                let mut i = 0;
                while const { !O::LEAN && !S::PLAIN } && i + BLOCK * S::N <= len {
                    flag = shared.fold::<A, S, O, BLOCK>(
                        s,
                        op,
                        slab.wrapping_add(i),
                        row_step,
                        to.add(i),
                        pitch,
                        S::N,
                        flag,
                    );
                    i += BLOCK * S::N;
                }
                while i < len {
                    // The last vector overlaps the one before, or is partial.
                    let n = (len - i).min(S::N);
                    let (at, n) = if n == S::N || len < S::N { (i, n) } else { (len - S::N, S::N) };
                    flag =
                        shared.fold::<A, S, O, 1>(s, op, slab.wrapping_add(at), row_step, to.add(at), pitch, n, flag);
                    i += S::N;
                }
            }
        }
        first += windows;
    }
    flag
}

/// Windows that share a cut. Rows are counted from the first padded one.
struct Shared {
    /// Of all windows: each has `kernel` rows and begins a row behind the one before.
    rows: Range<usize>,
    cut: usize,
    windows: usize,
    kernel: usize,
    /// Those that are in the input.
    valid: Range<usize>,
}

impl Shared {
    /// Folds `B` neighbouring vectors of columns, or the first `n` lanes of one, for each window, into scratch rows from `to` on.
    ///
    /// # Safety
    /// From `src`, padded row 0, on, every valid row has `B·N` elements, or `n` if `n < N`, and then `B == 1`; so has each of
    /// the windows' scratch rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one inner loop, cut out so that its constants can be seen")]
    unsafe fn fold<A: Lane, S: Lanes<A>, O: Reduce<A, S>, const B: usize>(
        &self,
        s: S,
        op: O,
        src: *const O::T,
        row_step: usize,
        to: *mut A,
        pitch: usize,
        n: usize,
        mut flag: O::Flag,
    ) -> O::Flag {
        let first = self.rows.start;
        let identity = [s.splat(op.fill()); B];
        // Backward from the cut.
        let mut fold = identity;
        for row in (first..self.cut).rev() {
            if self.valid.contains(&row) {
                // SAFETY: a valid row.
                let v = unsafe { load_ahead::<A, S, O, B>(s, op, src.wrapping_add(row * row_step), n) };
                flag = watch_block(s, op, &v, flag);
                for b in 0..B {
                    fold[b] = op.join(s, fold[b], v[b]);
                }
            }
            if row - first < self.windows {
                // SAFETY: a scratch row of the windows.
                unsafe { put_block(s, to.add((row - first) * pitch), n, &fold) };
            }
        }
        if self.cut - first < self.windows {
            // SAFETY: a scratch row of the windows.
            unsafe { put_block(s, to.add((self.cut - first) * pitch), n, &identity) };
        }
        // Forward from the cut.
        let mut fold = identity;
        for row in self.cut..self.rows.end {
            if self.valid.contains(&row) {
                // SAFETY: a valid row.
                let v = unsafe { load_ahead::<A, S, O, B>(s, op, src.wrapping_add(row * row_step), n) };
                flag = watch_block(s, op, &v, flag);
                for b in 0..B {
                    fold[b] = op.join(s, fold[b], v[b]);
                }
            }
            // The window that ends with this row.
            if row + 1 >= first + self.kernel {
                let mut joined = identity;
                // SAFETY: a scratch row of the windows, behind which a whole vector may be read.
                unsafe {
                    let to = to.add((row + 1 - first - self.kernel) * pitch);
                    for b in 0..B {
                        joined[b] = op.join(s, s.load(to.add(b * S::N)), fold[b]);
                    }
                    put_block(s, to, n, &joined);
                }
            }
        }
        flag
    }
}

/// `load_block`, and asks for the lines of the next block: rows are visited in columns, which no prefetcher follows. (31×31 over
/// 3×540×960 `f32` on AVX2, Zen 3: maxima 4.6 → 3.8 planar and 6.2 → 5.0 channels last, averages 6.4 → 6.1 and 7.3 → 6.3. Asking for the
/// lines of a later output row as well changed nothing.)
///
/// # Safety
/// As for `load_block`.
#[inline(always)]
unsafe fn load_ahead<A: Lane, S: Lanes<A>, O: Reduce<A, S>, const B: usize>(
    s: S,
    op: O,
    src: *const O::T,
    n: usize,
) -> [S::V; B] {
    if B > 1 {
        for line in (0..B * S::N * size_of::<O::T>()).step_by(64) {
            s.prefetch(src.wrapping_add(B * S::N).wrapping_byte_add(line));
        }
    }
    // SAFETY: the same contract.
    unsafe { load_block::<A, S, O, B>(s, op, src, n) }
}

/// `put` for neighbouring vectors.
///
/// # Safety
/// `B·N` elements are writable, or `n` if `n < N`; then `B == 1`.
#[inline(always)]
unsafe fn put_block<A: Lane, S: Lanes<A>, const B: usize>(s: S, to: *mut A, n: usize, v: &[S::V; B]) {
    for b in 0..B {
        // SAFETY: by this function's contract.
        unsafe { put(s, to.add(b * S::N), n, v[b]) };
    }
}

/// Folds long windows along the scratch rows by doubling: after half as many passes as `k` has binary digits, which fold four
/// elements each, every element is the fold of a power of two of elements from itself on. What is left for `across` is two taps.
///
/// An operation that may count a tap twice covers the window by two overlapping powers. A sum adds up the powers of `k`'s
/// binary digits, the smallest first and from left to right: all but the highest in the second area, in the passes that make the
/// next ones ([`Stage`]).
///
/// # Safety
/// `columns.rows` holds `len` elements; `area` elements further on, as many may be written.
#[inline(always)]
pub(super) unsafe fn double<A, S, O>(s: S, op: O, columns: Columns<A>, len: usize, area: usize) -> Columns<A>
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    let Columns { rows, taps, step } = columns;
    let mut power = 1;
    if O::IDEMPOTENT {
        while 4 * power <= taps {
            let (step, mut i) = (power * step, 0);
            while i + S::N + 3 * step <= len {
                // SAFETY: i + N + 3·step <= len.
                unsafe {
                    let at = rows.add(i);
                    let first = op.join(s, s.load(at), s.load(at.add(step)));
                    let second = op.join(s, s.load(at.add(2 * step)), s.load(at.add(3 * step)));
                    s.store(at, op.join(s, first, second));
                }
                i += S::N;
            }
            power *= 4;
        }
        while 2 * power <= taps {
            // SAFETY: `len` elements.
            unsafe { pass::<A, S, O>(s, op, rows, rows, power * step, len) };
            power *= 2;
        }
        let rest = taps - power;
        return Columns { rows, taps: if rest == 0 { 1 } else { 2 }, step: rest * step };
    }
    // In digits of base 4, each of which is two of the binary ones.
    let mut done = 0;
    let mut stage = |digit: usize, power: usize, by: usize| {
        let stage = Stage { sums: rows.wrapping_add(area), digit, done: done * step, shift: power * step, by };
        // SAFETY: `len` elements of either area, and what a stage reads is part of a window.
        unsafe { stage.run(s, op, rows, len) };
        done += digit * power;
    };
    while 4 * power <= taps {
        stage(taps / power % 4, power, 4);
        power *= 4;
    }
    match taps / power {
        3 => stage(1, power, 2),
        2 => stage(0, power, 2),
        _ => {}
    }
    // The highest power is left for `across`, beside the sums of the others.
    if done == 0 {
        Columns { rows, taps: 1, step }
    } else {
        Columns { rows: rows.wrapping_add(done * step), taps: 2, step: area - done * step }
    }
}

/// A pass that makes sums of `by·power` elements out of those of `power`, and first adds some of the latter to the second area.
struct Stage<A> {
    sums: *mut A,
    /// How many are added, from which element on; if that is 0, they are the first.
    digit: usize,
    done: usize,
    shift: usize,
    /// 2 or 4.
    by: usize,
}

impl<A: Lane> Stage<A> {
    /// Not inlined, but entered anew: a pass is long.
    ///
    /// # Safety
    /// `rows` and `sums` hold `len` elements; `done + (digit − 1)·shift` is at most `(by − 1)·shift`.
    #[inline(never)]
    unsafe fn run<S, O>(&self, s: S, op: O, rows: *mut A, len: usize)
    where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        s.vectorize(
            #[inline(always)]
            // SAFETY: the same contract.
            || unsafe {
                match (self.by, self.digit) {
                    (4, 0) => self.folds::<S, O, 4, 0>(s, op, rows, len),
                    (4, 1) => self.folds::<S, O, 4, 1>(s, op, rows, len),
                    (4, 2) => self.folds::<S, O, 4, 2>(s, op, rows, len),
                    (4, _) => self.folds::<S, O, 4, 3>(s, op, rows, len),
                    (_, 0) => self.folds::<S, O, 2, 0>(s, op, rows, len),
                    (..) => self.folds::<S, O, 2, 1>(s, op, rows, len),
                }
            },
        );
    }

    /// `run` for `BY` and `DIGIT`. (Asked for in the loop, they cost as much as the sums: averages of 31×31 took a quarter longer.)
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn folds<S, O, const BY: usize, const DIGIT: usize>(&self, s: S, op: O, rows: *mut A, len: usize)
    where
        S: Lanes<A>,
        O: Reduce<A, S>,
    {
        let Self { sums, done, shift, .. } = *self;
        let mut i = 0;
        while i + S::N + (BY - 1) * shift <= len {
            // SAFETY: i + N + (BY − 1)·shift <= len.
            unsafe {
                let at = rows.add(i);
                let mut v = [s.splat(op.fill()); 4];
                for tap in 0..BY {
                    v[tap] = s.load(at.add(tap * shift));
                }
                let mut fold = op.join(s, v[0], v[1]);
                if BY == 4 {
                    fold = op.join(s, fold, op.join(s, v[2], v[3]));
                }
                if DIGIT > 0 {
                    let (to, first) = (sums.add(i), at.add(done));
                    let mut sum = if done == 0 { s.splat(op.fill()) } else { s.load(to) };
                    if DIGIT != 2 {
                        sum = op.join(s, sum, s.load(first));
                    }
                    if DIGIT > 1 {
                        let pair = first.add((DIGIT - 2) * shift);
                        sum = op.join(s, sum, op.join(s, s.load(pair), s.load(pair.add(shift))));
                    }
                    s.store(to, sum);
                }
                s.store(at, fold);
            }
            i += S::N;
        }
    }
}

/// `to[i]` becomes `to[i]` joined with `from[i + shift]`, for every `i` for which there are both.
///
/// Not inlined, but entered anew: a pass is long.
///
/// # Safety
/// Both hold `len` elements.
#[inline(never)]
pub(in crate::kernels::walk) unsafe fn pass<A, S, O>(s: S, op: O, to: *mut A, from: *const A, shift: usize, len: usize)
where
    A: Lane,
    S: Lanes<A>,
    O: Reduce<A, S>,
{
    s.vectorize(
        #[inline(always)]
        || {
            let mut i = 0;
            while i + 2 * S::N + shift <= len {
                // SAFETY: i + 2·N + shift <= len.
                unsafe {
                    let (to, from) = (to.add(i), from.add(i + shift));
                    let first = op.join(s, s.load(to), s.load(from));
                    let second = op.join(s, s.load(to.add(S::N)), s.load(from.add(S::N)));
                    s.store(to, first);
                    s.store(to.add(S::N), second);
                }
                i += 2 * S::N;
            }
            if i + S::N + shift <= len {
                // SAFETY: i + N + shift <= len.
                unsafe { s.store(to.add(i), op.join(s, s.load(to.add(i)), s.load(from.add(i + shift)))) };
            }
        },
    );
}
