//! A planar plane as one run: windows 3 or 5 wide that move by 1 and keep the width.
//!
//! ```text
//! for each plane, for each run of its rows that have the same rows of the window inside the input:     (1)
//!     for each vector of the run, whatever rows its lanes are in:
//!         fold the window's rows                                                                     (2)
//!         left, right = the folded run one lane back and one lane on, identities where a row ends    (3)
//!         finish left + middle + right, store                                                        (4)
//! ```
//!
//! 1. Input and output have the same pitch, so that a tap is the same distance away at every output: no loop knows where
//!    a row ends, and rows of 28 or 35 cost what their elements cost. The first and the last rows are runs of their own, whose
//!    missing rows are rows of identities.
//! 2. Each vector is loaded once for each of the window's rows, and folded once: a vector's neighbours are the folds before
//!    and behind it. Windows 3 wide stay in registers; those of 5 wait in scratch, a whole plane, and are loaded from there two lanes
//!    back to two lanes on.
//! 3. Which lanes those are depends on the column of the first lane alone: the plan holds masks for each column.
//! 4. A run's last vector spills into the next run, which is stored later. The last vectors of the memory are partial.
//!
//! Before: `rows`, one row at a time in whole vectors, 6.6 (28×28, max) and 8.9 (35×35, average) times the streaming bound on
//! AVX2, `f32`, Zen 3; `planes`, which copies rows into scratch and out again, 5.5 (5×5 over 20×20, `f32`) and 16 (`u8`) where
//! this takes 3.8 and 9.7.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::bands::{Bands, Tiling};
use super::{Caution, Io, Layer, Position, Walk, inline, until};
use crate::geometry::{Axis, Geometry};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce, Simd};
use crate::kernels::table::WalkKind;

/// The longest row, for windows 3 wide: masks and divisors for each of its columns stay in the L1 cache.
const LONGEST: usize = 256;

// What `Flat::new` cuts masks from, a row and a vector, fits the scratch whatever a lane is.
const _: () = assert!(LONGEST + MOST_LANES <= SCRATCH / 8 && MOST_5 + MOST_LANES <= SCRATCH / 8);

/// The most elements of a plane, for windows 5 wide, whatever the element: folded down it waits in scratch, with four vectors around it.
const MOST_5: usize = SCRATCH / size_of::<f64>() - 4 * MOST_LANES;

/// Bytes of scratch: half of the smallest L1 cache.
const SCRATCH: usize = 16 << 10;

/// Rows and columns of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    K1x3,
    K3x3,
    K5x5,
}

impl Shape {
    /// The loop for this layer, if there is one.
    pub(crate) fn of(geometry: &Geometry) -> Option<Self> {
        let [depth, height, width] = &geometry.axes;
        let keeps = |axis: &Axis, kernel: usize| {
            (axis.kernel, axis.stride, axis.begin) == (kernel, 1, kernel / 2)
                && (axis.dilation == 1 || kernel == 1)
                && axis.input == axis.output
        };
        let is_planar = geometry.inner == 1 && depth.kernel == 1 && keeps(depth, 1);
        if !is_planar {
            None
        } else if keeps(width, 3) && width.input <= LONGEST {
            match () {
                () if keeps(height, 1) => Some(Self::K1x3),
                () if keeps(height, 3) => Some(Self::K3x3),
                () => None,
            }
        } else {
            let is_small = width.input.saturating_mul(height.input) <= MOST_5;
            (keeps(width, 5) && keeps(height, 5) && is_small).then_some(Self::K5x5)
        }
    }

    /// Whether a tier has the loop.
    pub(crate) const fn is_for<S: Simd>(self) -> bool {
        !S::SPARING || !matches!(self, Self::K5x5)
    }

    /// Columns before the middle one, and behind it.
    const fn side(self) -> usize {
        match self {
            Self::K1x3 | Self::K3x3 => 1,
            Self::K5x5 => 2,
        }
    }
}

pub(crate) struct Flat<A, R, T, M> {
    op: R,
    layer: Layer,
    shape: Shape,
    /// For each column: where lanes from there on are the first of a row, and where the last; for windows 5 wide, first where they
    /// are one of the first two, and in the end one of the last two.
    ends: Vec<M>,
    /// `[class of rows][word][column]`: a class for each row above the middle ones, one for those, and one for each below. The
    /// columns around and around, as many as a vector that begins at the last one has.
    divisors: Vec<A>,
    /// A row of identities.
    identity: Vec<T>,
    /// For NaN.
    bands: Bands<A, R>,
}

impl<A: Lane, R, T, M: Copy> Flat<A, R, T, M> {
    pub(crate) fn new<S: Lanes<A, M = M>>(s: S, op: R, layer: &Layer, shape: Shape, tiling: Tiling) -> Self
    where
        R: Reduce<A, S, T = T>,
        T: bytemuck::Pod,
    {
        let [_, height, width] = &layer.geometry.axes;
        let pitch = width.input;
        let side = shape.side();
        let ends = s.vectorize(
            #[inline(always)]
            || {
                let none = s.splat(A::zeroed());
                let mut ends = vec![s.greater(none, none); 2 * side * pitch];
                // Bytes of 1 are a positive number of every lane type.
                let mut mark = A::zeroed();
                bytemuck::bytes_of_mut(&mut mark).fill(1);
                // On the stack: nothing is allocated that is not kept.
                let mut row = MaybeUninit::<[u64; SCRATCH / 8]>::uninit();
                let row: *mut A = row.as_mut_ptr().cast();
                for end in 0..2 * side {
                    let some = if end < side { 0..side - end } else { pitch.saturating_sub(end + 1 - side)..pitch };
                    // The marked columns of a row, around and around: the lanes of a vector from any column on.
                    let mut column = 0;
                    for i in 0..pitch + S::N {
                        // SAFETY: a row of a layer of this walk (`Shape::of`) and a vector are no more elements than `row` has words: asserted
                        // where `LONGEST` is.
                        unsafe { row.add(i).write(if some.contains(&column) { mark } else { A::zeroed() }) };
                        column += 1;
                        column = if column == pitch { 0 } else { column };
                    }
                    for column in 0..pitch {
                        // SAFETY: `pitch + N` elements are written.
                        let marked = unsafe { s.load(row.add(column)) };
                        ends[column * 2 * side + end] = s.greater(marked, none);
                    }
                }
                ends
            },
        );
        let bands = Bands::new::<S>(op, layer, tiling);
        let above = height.kernel / 2;
        let mut divisors = Vec::with_capacity((2 * above + 1) * R::WORDS * (pitch + S::N));
        if R::WORDS > 0 {
            let below = (0..above).rev().map(|i| height.output.saturating_sub(i + 1));
            for y in (0..above).chain([height.output / 2]).chain(below) {
                let row = bands.divisors().row::<S, R>(0, y.min(height.output - 1));
                for word in 0..R::WORDS {
                    // Windows that reach neither end of a row are like the middle one.
                    let middle = row.word(pitch / 2, word);
                    for column in 0..pitch {
                        let is_inside = column >= side && column + side < pitch;
                        divisors.push(if is_inside { middle } else { row.word(column, word) });
                    }
                    // Around and around.
                    for _ in 0..S::N {
                        divisors.push(divisors[divisors.len() - pitch]);
                    }
                }
            }
        }
        Self { op, layer: *layer, shape, ends, divisors, identity: vec![op.identity(); pitch + 2 * MOST_LANES], bands }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Flat<A, R, R::T, S::M> {
    const KIND: WalkKind = WalkKind::Flat;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, rows: Range<usize>) {
        // SAFETY: the same contract, for each shape.
        unsafe {
            match self.shape {
                Shape::K1x3 => self.planes::<S, 1, 3>(s, io, rows),
                Shape::K3x3 => self.planes::<S, 3, 3>(s, io, rows),
                // A condition of constants: not compiled where it is never asked for (`Shape::is_for`).
                Shape::K5x5 if S::SPARING => self.bands.visit_rows(s, io, rows, false),
                Shape::K5x5 => self.planes::<S, 5, 5>(s, io, rows),
            }
        }
    }
}

/// A run of rows that have the same rows of the window inside the input.
struct Run<T, const H: usize> {
    /// The window's rows at the run's first output, as far as they are inside; else rows of identities, and then the run is one
    /// row.
    window: [*const T; H],
    dst: *mut T,
    /// Outputs.
    len: usize,
    /// Elements that may be read from the lowest row of the window that is inside, and written from `dst` on.
    readable: usize,
    writable: usize,
    /// Where the class of its rows begins in the table of divisors.
    divisors: usize,
}

impl<A: Lane, R, T: bytemuck::Pod, M: Copy> Flat<A, R, T, M> {
    /// # Safety
    /// As for [`Walk::visit`]; the window is `H`×`K`.
    #[inline(always)]
    unsafe fn planes<S, const H: usize, const K: usize>(&self, s: S, io: Io<T>, rows: Range<usize>)
    where
        S: Lanes<A, M = M>,
        R: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let pitch = width.input;
        // The folded rows of a plane, with a vector of identities before them, which is never written again, and room behind them.
        let mut scratch = MaybeUninit::<[u64; SCRATCH / 8]>::uninit();
        let scratch: *mut A = scratch.as_mut_ptr().cast();
        if const { K > 3 } {
            // SAFETY: the first elements of the scratch, which holds a vector.
            unsafe { s.store(scratch, s.splat(self.op.fill())) };
        }
        let mut caution = Caution::default();
        let mut at = Position::of(geometry, rows.start);
        let io = self.layer.rebased(io, &at);
        let mut to = 0;
        while to < rows.len() {
            // The rows of one plane.
            let count = (height.output - at.y).min(rows.len() - to);
            let mut careful = R::WATCH && caution.is_due();
            if !careful {
                let slab = io.src.wrapping_add(at.slab_offset(&self.layer));
                let mut flag = self.op.clean(s);
                // How many rows from `y` on have the same rows of the window inside the input, and which class they are.
                let alike = |y: usize| {
                    let below = height.input - 1 - y;
                    let rows = if y < H / 2 || below < H / 2 { 1 } else { (below + 1 - H / 2).min(at.y + count - y) };
                    (rows, if y < H / 2 { y } else { H - 1 - below.min(H / 2) })
                };
                let mut y = at.y;
                while y < at.y + count {
                    let (rows, class) = alike(y);
                    let mut window = [self.identity.as_ptr(); H];
                    for i in 0..H {
                        let row = (y + i).wrapping_sub(H / 2);
                        if row < height.input {
                            window[i] = slab.wrapping_add(row * pitch);
                        }
                    }
                    let lowest = slab.wrapping_add((y + H / 2).min(height.input - 1) * pitch);
                    let dst = self.layer.row(&io, &at, y);
                    let end = self.layer.end(&io, &at, y, dst);
                    let run = Run {
                        window,
                        dst,
                        len: rows * pitch,
                        readable: io.readable(lowest),
                        writable: until(dst, end),
                        divisors: class * R::WORDS * (pitch + S::N),
                    };
                    // SAFETY: rows of the plane, and their outputs.
                    flag = unsafe {
                        if const { K == 3 } {
                            self.run::<S, H>(s, &run, flag)
                        } else {
                            down::<A, S, R, H>(s, self.op, &run, scratch.add(S::N + (y - at.y) * pitch), flag)
                        }
                    };
                    y += rows;
                }
                let mut y = at.y;
                while const { K > 3 } && y < at.y + count {
                    // Without divisors all rows are alike now.
                    let (rows, class) = if R::WORDS == 0 { (count, 0) } else { alike(y) };
                    let dst = self.layer.row(&io, &at, y);
                    let writable = until(dst, self.layer.end(&io, &at, y, dst));
                    let divisors = class * R::WORDS * (pitch + S::N);
                    // SAFETY: rows of the plane that have been folded down, between vectors of identities, and their outputs.
                    unsafe {
                        let folded = scratch.add(S::N + (y - at.y) * pitch);
                        self.across::<S, K>(s, folded, dst, rows * pitch, writable, divisors);
                    }
                    y += rows;
                }
                // A part of a plane: the rows around it are in windows, but in the middle of none.
                if R::WATCH && H > 1 {
                    let (above, below) = (at.y.saturating_sub(H / 2), at.y + count);
                    for rows in [above..at.y, below..(below + H / 2).min(height.input)] {
                        // SAFETY: rows of the plane.
                        unsafe {
                            flag = watch_all::<A, S, R>(
                                s,
                                self.op,
                                slab.wrapping_add(rows.start * pitch),
                                rows.len() * pitch,
                                flag,
                            );
                        }
                    }
                }
                careful = R::WATCH && caution.learn(self.op.dirty(s, flag));
            }
            if careful {
                let first = rows.start + to;
                // SAFETY: the rows of the plane, and their output up to the end of the run's.
                unsafe {
                    let io = Io { dst: self.layer.row(&io, &at, at.y), ..io };
                    self.bands.visit_rows(s, io, first..first + count, true);
                }
            }
            at.advance(geometry, count);
            to += count;
        }
    }

    /// # Safety
    /// The run is as `Run` says.
    #[inline(always)]
    unsafe fn run<S, const H: usize>(&self, s: S, run: &Run<T, H>, mut flag: R::Flag) -> R::Flag
    where
        S: Lanes<A, M = M>,
        R: Reduce<A, S, T = T>,
    {
        // In locals: a store might change what `self` refers to, for all the compiler knows.
        let (op, pitch) = (self.op, self.layer.geometry.axes[2].input);
        let (ends, words, window) = (self.ends.as_ptr(), self.divisors.as_ptr().wrapping_add(run.divisors), run.window);
        let (dst, len) = (run.dst, run.len);
        let identity = s.splat(op.fill());
        let fold = inline(
            #[inline(always)]
            |i: usize, flag: &mut R::Flag| {
                // SAFETY: the caller asks for what may be read.
                unsafe { fold_down::<A, S, R, H>(s, op, &window, i, S::N, flag) }
            },
        );
        let last = (len - 1) / S::N;
        // The last vector, which may reach past the end of the memory.
        let fold_last = inline(
            #[inline(always)]
            |flag: &mut R::Flag| {
                let i = last * S::N;
                let n = if i + S::N <= run.readable { S::N } else { len - i };
                // SAFETY: `len - i` elements are left of each row of the run, and maybe more may be read.
                unsafe { fold_down::<A, S, R, H>(s, op, &window, i, n, flag) }
            },
        );
        // What the window at column `column` becomes.
        let finish = inline(
            #[inline(always)]
            |column: usize, left: S::V, middle: S::V, right: S::V| {
                // SAFETY: `column < pitch`; from there on each word of the table has a vector.
                let (is_first, is_last, divisor) = unsafe {
                    let words = words.wrapping_add(column);
                    let divisor = op.divisor(
                        s,
                        #[inline(always)]
                        |word| s.load(words.add(word * (pitch + S::N))),
                    );
                    (*ends.add(2 * column), *ends.add(2 * column + 1), divisor)
                };
                let (left, right) = (s.pick(is_first, identity, left), s.pick(is_last, identity, right));
                op.finish(s, op.join(s, op.join(s, left, middle), right), divisor)
            },
        );
        let step = S::N % pitch;
        let mut column = 0;
        let mut middle = if last == 0 { fold_last(&mut flag) } else { fold(0, &mut flag) };
        let mut left = s.back(identity, middle);
        for i in 0..last {
            let next = if i + 1 == last { fold_last(&mut flag) } else { fold((i + 1) * S::N, &mut flag) };
            let v = finish(column, left, middle, s.ahead(middle, next));
            // SAFETY: not the run's last vector.
            unsafe { op.store(s, dst.add(i * S::N), v) };
            (left, middle) = (s.back(middle, next), next);
            column += step;
            column -= if column >= pitch { pitch } else { 0 };
        }
        let v = finish(column, left, middle, s.ahead(middle, identity));
        let i = last * S::N;
        // SAFETY: what is left of the run, or a whole vector where so much may be written.
        unsafe {
            if i + S::N <= run.writable {
                op.store(s, dst.add(i), v);
            } else {
                op.store_first(s, dst.add(i), len - i, v);
            }
        }
        flag
    }

    /// The outputs of windows `K` wide at `len` elements that have been folded down.
    ///
    /// # Safety
    /// `folded` holds `len` elements, a vector before them and two behind; from `dst` on, `len` and `writable` elements
    /// are the run's to write; `divisors` is where a class begins.
    #[inline(always)]
    unsafe fn across<S, const K: usize>(
        &self,
        s: S,
        folded: *const A,
        dst: *mut T,
        len: usize,
        writable: usize,
        divisors: usize,
    ) where
        S: Lanes<A, M = M>,
        R: Reduce<A, S, T = T>,
    {
        const { assert!(S::PLAIN || K / 2 <= S::N) };
        let (op, pitch) = (self.op, self.layer.geometry.axes[2].input);
        let (ends, words) = (self.ends.as_ptr(), self.divisors.as_ptr().wrapping_add(divisors));
        let identity = s.splat(op.fill());
        let step = S::N % pitch;
        let (mut i, mut column) = (0, 0);
        while i < len {
            // SAFETY: `column < pitch`, from which on each word of the table has a vector, and which has as many masks as a window has
            // columns around its middle.
            let v = unsafe {
                let words = words.wrapping_add(column);
                let divisor = op.divisor(
                    s,
                    #[inline(always)]
                    |word| s.load(words.add(word * (pitch + S::N))),
                );
                let (ends, first) = (ends.add((K - 1) * column), folded.add(i).sub(K / 2));
                let mut v = s.pick(*ends, identity, s.load(first));
                for tap in 1..K {
                    let mut tapped = s.load(first.add(tap));
                    if tap != K / 2 {
                        let end = *ends.add(if tap < K / 2 { tap } else { tap - 1 });
                        tapped = s.pick(end, identity, tapped);
                    }
                    v = op.join(s, v, tapped);
                }
                op.finish(s, v, divisor)
            };
            // SAFETY: what is left of the outputs, or a whole vector where so much may be written.
            unsafe {
                let dst = dst.add(i);
                if i + S::N <= writable {
                    op.store(s, dst, v);
                } else {
                    op.store_first(s, dst, len - i, v);
                }
            }
            i += S::N;
            column += step;
            column -= if column >= pitch { pitch } else { 0 };
        }
    }
}

/// Folds the window's rows of a run into scratch, and puts two vectors of identities behind it.
///
/// # Safety
/// The run is as `Run` says; `to` has room for it and three vectors.
#[inline(always)]
unsafe fn down<A: Lane, S: Lanes<A>, R: Reduce<A, S>, const H: usize>(
    s: S,
    op: R,
    run: &Run<R::T, H>,
    to: *mut A,
    mut flag: R::Flag,
) -> R::Flag {
    let mut i = 0;
    while i < run.len {
        let n = if i + S::N <= run.readable { S::N } else { (run.len - i).min(S::N) };
        // SAFETY: elements of the run, or that may be read; and room in scratch.
        unsafe { s.store(to.add(i), fold_down::<A, S, R, H>(s, op, &run.window, i, n, &mut flag)) };
        i += S::N;
    }
    // SAFETY: less than a vector behind the run, and room for two others.
    unsafe {
        s.store(to.add(i), s.splat(op.fill()));
        s.store(to.add(i + S::N), s.splat(op.fill()));
    }
    flag
}

/// Watches `len` elements.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn watch_all<A: Lane, S: Lanes<A>, R: Reduce<A, S>>(
    s: S,
    op: R,
    from: *const R::T,
    len: usize,
    mut flag: R::Flag,
) -> R::Flag {
    let mut i = 0;
    while i < len {
        let n = (len - i).min(S::N);
        // SAFETY: by this function's contract.
        let v = unsafe {
            let from = from.add(i);
            if n == S::N { op.load(s, from) } else { op.load_first(s, from, n) }
        };
        flag = op.watch(s, flag, v, v);
        i += S::N;
    }
    flag
}

/// The rows of the window at `n` elements from `i` on, folded and watched: each element is in the middle row of one.
///
/// # Safety
/// `n` elements are readable in each row.
#[inline(always)]
unsafe fn fold_down<A: Lane, S: Lanes<A>, R: Reduce<A, S>, const H: usize>(
    s: S,
    op: R,
    window: &[*const R::T; H],
    i: usize,
    n: usize,
    flag: &mut R::Flag,
) -> S::V {
    let mut v = [s.splat(op.fill()); H];
    for row in 0..H {
        // SAFETY: by this function's contract.
        v[row] = unsafe {
            let row = window[row].add(i);
            if n == S::N { op.load(s, row) } else { op.load_first(s, row, n) }
        };
    }
    if R::WATCH {
        *flag = op.watch(s, *flag, v[H / 2], v[H / 2]);
    }
    let mut down = v[0];
    for row in 1..H {
        down = op.join(s, down, v[row]);
    }
    down
}
