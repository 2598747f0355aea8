//! A planar plane as one run, in registers: windows 3 wide that move by 1 and keep the width.
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
//!    a row ends, and rows of 28 or 35 cost what their elements cost. The first and the last row are runs of their own, whose
//!    missing row is a row of identities.
//! 2. Each vector is loaded once for each of the window's rows, and folded once: a vector's neighbours are the folds before
//!    and behind it.
//! 3. Which lanes those are depends on the column of the first lane alone: the plan holds two masks for each column.
//! 4. A run's last vector spills into the next run, which is stored later. The last vectors of the memory are partial.
//!
//! Before: `rows`, one row at a time in whole vectors, 6.6 (28×28, max) and 8.9 (35×35, average) times the streaming bound on
//! AVX2, `f32`, Zen 3.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::bands::{Bands, Tiling};
use super::{Caution, Io, Layer, Position, Walk, inline, until};
use crate::geometry::{Axis, Geometry};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;

/// The longest row: masks and divisors for each of its columns stay in the L1 cache.
const LONGEST: usize = 256;

/// Rows of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    K1x3,
    K3x3,
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
        if !is_planar || !keeps(width, 3) || width.input > LONGEST {
            None
        } else if keeps(height, 1) {
            Some(Self::K1x3)
        } else if keeps(height, 3) {
            Some(Self::K3x3)
        } else {
            None
        }
    }
}

pub(crate) struct Flat<A, R, T, M> {
    op: R,
    layer: Layer,
    shape: Shape,
    /// For each column: where lanes from there on are the first of a row, and where the last.
    ends: Vec<[M; 2]>,
    /// `[class of rows][word][column]`, the columns around and around, as many as a vector that begins at the last one has.
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
        let ends = (0..pitch).map(|column| {
            let lanes = |at: usize| {
                let mut bits = 0;
                for lane in 0..S::N {
                    bits |= u64::from((column + lane) % pitch == at) << lane;
                }
                s.mask(bits)
            };
            [lanes(0), lanes(pitch - 1)]
        });
        let ends = s.vectorize(
            #[inline(always)]
            || ends.collect(),
        );
        let bands = Bands::new::<S>(op, layer, tiling);
        let mut divisors = Vec::with_capacity(3 * R::WORDS * (pitch + MOST_LANES));
        if R::WORDS > 0 {
            for y in [0, height.output / 2, height.output - 1] {
                let row = bands.divisors().row::<S, R>(0, y);
                for word in 0..R::WORDS {
                    divisors.extend((0..pitch + MOST_LANES).map(|column| row.word(column % pitch, word)));
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
                Shape::K1x3 => self.planes::<S, 1>(s, io, rows),
                Shape::K3x3 => self.planes::<S, 3>(s, io, rows),
            }
        }
    }
}

/// A run of rows that have the same rows of the window inside the input.
struct Run<T, const H: usize> {
    /// The window's rows at the run's first output, as far as they are inside; else a row of identities, and then the run is one
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
    /// As for [`Walk::visit`]; the window has `H` rows.
    #[inline(always)]
    unsafe fn planes<S, const H: usize>(&self, s: S, io: Io<T>, rows: Range<usize>)
    where
        S: Lanes<A, M = M>,
        R: Reduce<A, S, T = T>,
    {
        let geometry = &self.layer.geometry;
        let [_, height, width] = &geometry.axes;
        let pitch = width.input;
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
                let mut y = at.y;
                while y < at.y + count {
                    let (is_top, is_bottom) = (H == 3 && y == 0, H == 3 && y + 1 == height.input);
                    let rows = match (is_top || is_bottom, H) {
                        (true, _) => 1,
                        (false, 1) => count,
                        (false, _) => (height.input - 1).min(at.y + count) - y,
                    };
                    let mut window = [self.identity.as_ptr(); H];
                    for i in 0..H {
                        if !(is_top && i == 0 || is_bottom && i + 1 == H) {
                            window[i] = slab.wrapping_add((y + i).wrapping_sub(H / 2).wrapping_mul(pitch));
                        }
                    }
                    let lowest = slab.wrapping_add((y + if is_bottom { 0 } else { H / 2 }) * pitch);
                    let dst = self.layer.row(&io, &at, y);
                    let end = self.layer.end(&io, &at, y, dst);
                    let class = if is_top {
                        0
                    } else if is_bottom {
                        2
                    } else {
                        1
                    };
                    let run = Run {
                        window,
                        dst,
                        len: rows * pitch,
                        readable: io.readable(lowest),
                        writable: until(dst, end),
                        divisors: class * R::WORDS * (pitch + MOST_LANES),
                    };
                    // SAFETY: rows of the plane, and their outputs.
                    flag = unsafe { self.run::<S, H>(s, &run, flag) };
                    y += rows;
                }
                careful = R::WATCH && self.op.dirty(s, flag);
                if careful {
                    caution.dirty();
                } else {
                    caution.clean();
                }
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
        // The rows of the window at element `i` of the run and the following, folded and watched: each element is in the middle row of
        // one.
        let fold = inline(
            #[inline(always)]
            |i: usize, flag: &mut R::Flag| {
                let mut v = [identity; H];
                for row in 0..H {
                    // SAFETY: the caller asks for what may be read.
                    v[row] = unsafe { op.load(s, window[row].add(i)) };
                }
                if R::WATCH {
                    *flag = op.watch(s, *flag, v[H / 2], v[H / 2]);
                }
                let mut down = v[0];
                for row in 1..H {
                    down = op.join(s, down, v[row]);
                }
                down
            },
        );
        let last = (len - 1) / S::N;
        // The last vector, which may reach past the end of the memory.
        let fold_last = inline(
            #[inline(always)]
            |flag: &mut R::Flag| {
                let i = last * S::N;
                if i + S::N <= run.readable {
                    return fold(i, flag);
                }
                let mut v = [identity; H];
                for row in 0..H {
                    // SAFETY: `len - i` elements are left of each row of the run.
                    v[row] = unsafe { op.load_first(s, window[row].add(i), len - i) };
                }
                if R::WATCH {
                    *flag = op.watch(s, *flag, v[H / 2], v[H / 2]);
                }
                let mut down = v[0];
                for row in 1..H {
                    down = op.join(s, down, v[row]);
                }
                down
            },
        );
        // What the window at column `column` becomes.
        let finish = inline(
            #[inline(always)]
            |column: usize, left: S::V, middle: S::V, right: S::V| {
                // SAFETY: `column < pitch`; from there on each word of the table has a vector.
                let ([is_first, is_last], divisor) = unsafe {
                    let words = words.wrapping_add(column);
                    let divisor = op.divisor(
                        s,
                        #[inline(always)]
                        |word| s.load(words.add(word * (pitch + MOST_LANES))),
                    );
                    (*ends.add(column), divisor)
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
}
