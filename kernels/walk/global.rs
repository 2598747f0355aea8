//! A plane as one run: one window that is the whole plane, planar.
//!
//! ```text
//! for each group of planes, as many as a vector has lanes, 16 at most:
//!     fold each plane's elements in 16 virtual lanes: element i goes to lane i mod 16      (1)
//!     fold the lanes of all of them, one behind the other, in pairs of neighbours          (2)
//!     finish and store the group                                                           (3)
//! ```
//!
//! 1. This is the one place where lanes are not outputs, so their number must not be the vector's: 16 on every tier, in
//!    `16 / N` vectors where those are shorter. Integers and extremes do not care and use whole vectors.
//!    Four planes at a time keep four chains of additions in flight. The last elements of a plane are a partial vector
//!    filled with the identity.
//! 2. The tree is part of the contract; the operation is the same on every tier, so the bits are. Neighbours are what two
//!    vectors are unzipped into, so that one step halves the lanes of two vectors at a time, whatever planes they are of.
//! 3. After four steps the group's planes lie side by side, one a lane. (Before: each plane folded by itself, lane `i` with
//!    `i + 8`, then 4, 2, 1, and stored alone: 5.5 instead of 2.2 times the streaming bound for an average of 7×7, AVX-512.
//!    And all lanes of a group in an array that each plane fills, folded in the end: it goes through memory where a plane has
//!    two vectors, 9.7 on AVX2.)

use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Position, Walk};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;
use crate::strides::Gaps;

/// The lanes that a run is dealt to.
const VIRTUAL: usize = 16;
/// Planes whose elements are folded side by side.
const PLANES: usize = 4;

pub(crate) struct Global<A, R> {
    op: R,
    layer: Layer,
    /// Elements of a plane.
    len: usize,
    /// Whether they lie side by side.
    is_whole: bool,
    divisors: Divisors<A>,
}

impl<A: Lane, R> Global<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        let lengths = layer.geometry.axes.map(|axis| axis.input);
        let len = lengths.iter().product();
        let is_whole = layer.places.input.has_packed_planes(lengths, 1);
        Self { op, layer: *layer, len, is_whole, divisors: Divisors::of::<S, R>(op, layer) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Global<A, R> {
    const KIND: WalkKind = WalkKind::Global;
    type T = R::T;

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, planes: Range<usize>) {
        // A plane has one output, its row.
        let io = self.layer.rebased(io, &Position { outer: planes.start, z: 0, y: 0 });
        let mut plane = planes.start;
        while plane < planes.end {
            let count = S::N.min(VIRTUAL).min(planes.end - plane);
            // SAFETY: the group lies in `planes`, the units of this run.
            unsafe { self.group(s, io, plane..plane + count) };
            plane += count;
        }
    }
}

impl<A: Lane, R> Global<A, R> {
    /// # Safety
    /// As for `visit`; `planes`, at most as many as lanes, are units of the run.
    #[inline(always)]
    unsafe fn group<S: Lanes<A>>(&self, s: S, io: Io<R::T>, planes: Range<usize>)
    where
        R: Reduce<A, S>,
    {
        // SAFETY: by this function's contract.
        unsafe {
            if self.fold(s, self.op, io, planes.clone()) && R::WATCH {
                self.fold(s, self.op.careful(), io, planes);
            }
        }
    }

    /// The outputs of a group. Says whether it met what `op` is not right for; then they are not to be used.
    ///
    /// # Safety
    /// As for `group`.
    #[inline(always)]
    unsafe fn fold<S: Lanes<A>, O>(&self, s: S, op: O, io: Io<R::T>, planes: Range<usize>) -> bool
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let mut quads = [s.splat(op.fill()); VIRTUAL / PLANES];
        let mut flag = op.clean(s);
        for (quad, first) in quads.iter_mut().zip(planes.clone().step_by(PLANES)) {
            let planes = first..planes.end.min(first + PLANES);
            // SAFETY: by this function's contract.
            (*quad, flag) = unsafe {
                match VIRTUAL / S::N {
                    0 | 1 => self.quad::<S, O, 1>(s, op, &io, planes, flag),
                    2 => self.quad::<S, O, 2>(s, op, &io, planes, flag),
                    4 => self.quad::<S, O, 4>(s, op, &io, planes, flag),
                    8 => self.quad::<S, O, 8>(s, op, &io, planes, flag),
                    // One lane: sixteen vectors.
                    _ => self.quad::<S, O, 16>(s, op, &io, planes, flag),
                }
            };
        }
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }
        // Lanes that a plane still has, and vectors that hold them all.
        let (mut each, mut vectors) = ((S::N / PLANES).max(1), (S::N.min(VIRTUAL) / PLANES).max(1));
        while vectors > 1 {
            (each, vectors) = (each / 2, vectors / 2);
            for i in 0..vectors {
                quads[i] = halve::<A, S, O>(s, op, quads[2 * i], quads[2 * i + 1]);
            }
        }
        let mut folded = quads[0];
        while each > 1 {
            each /= 2;
            folded = halve::<A, S, O>(s, op, folded, folded);
        }
        let divisor = self.divisors.row::<S, O>(0, 0).at(s, op, 0);
        let v = op.finish(s, folded, divisor);
        // SAFETY: one output a plane.
        unsafe {
            if self.layer.places.gaps == Gaps::None {
                let dst = io.dst.wrapping_add(planes.start);
                if planes.len() == S::N { op.store(s, dst, v) } else { op.store_first(s, dst, planes.len(), v) }
            } else {
                let mut outputs = [op.identity(); MOST_LANES];
                op.store(s, outputs.as_mut_ptr(), v);
                for (plane, output) in planes.zip(outputs) {
                    io.dst.wrapping_add(self.layer.places.output.outer(plane)).write(output);
                }
            }
        }
        false
    }

    /// Up to four planes of `G` vectors each, in one vector: the lanes of all of them, folded as often as that takes.
    ///
    /// # Safety
    /// As for `group`.
    #[inline(always)]
    unsafe fn quad<S: Lanes<A>, O, const G: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        planes: Range<usize>,
        mut flag: O::Flag,
    ) -> (S::V, O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let mut each = [s.splat(op.fill()); PLANES];
        // SAFETY: planes of the group.
        unsafe {
            if planes.len() == PLANES && !S::PLAIN {
                (each, flag) = self.deal::<S, O, PLANES, G>(s, op, io, planes.start, flag);
            } else {
                for (v, plane) in each.iter_mut().zip(planes) {
                    ([*v], flag) = self.deal::<S, O, 1, G>(s, op, io, plane, flag);
                }
            }
        }
        let [a, b, c, d] = each;
        let halve = |a, b| halve::<A, S, O>(s, op, a, b);
        let quad = match S::N {
            1 => a,
            2 => halve(a, b),
            _ => halve(halve(a, b), halve(c, d)),
        };
        (quad, flag)
    }

    /// Deals the elements of `P` planes to `G` vectors of lanes each and folds those to one.
    ///
    /// # Safety
    /// The planes from `plane` on are planes of the input.
    #[inline(always)]
    unsafe fn deal<S: Lanes<A>, O, const P: usize, const G: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        plane: usize,
        mut flag: O::Flag,
    ) -> ([S::V; P], O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let len = self.len;
        // SAFETY: by this function's contract.
        let src: [*const R::T; P] =
            core::array::from_fn(|p| unsafe { io.src.add(self.layer.places.input.outer(plane + p)) });
        let mut lanes = [[s.splat(op.fill()); G]; P];
        let mut i = 0;
        while self.is_whole && i + G * O::RUN <= len {
            for p in 0..P {
                for g in 0..G {
                    // SAFETY: i + G·RUN <= len.
                    let v = unsafe { op.load_run(s, src[p].add(i + g * O::RUN)) };
                    if O::WATCH {
                        flag = op.watch(s, flag, v, v);
                    }
                    lanes[p][g] = op.join(s, lanes[p][g], v);
                }
            }
            i += G * O::RUN;
        }
        for g in 0..G {
            let at = i + g * O::RUN;
            if at >= len || !self.is_whole {
                break;
            }
            let n = (len - at).min(O::RUN);
            for p in 0..P {
                // SAFETY: at most RUN elements, and none past the plane but where the input goes on.
                let v = unsafe {
                    let from = src[p].add(at);
                    op.load_run_first(s, from, n, io.readable(from).max(n))
                };
                if O::WATCH {
                    flag = op.watch(s, flag, v, v);
                }
                lanes[p][g] = op.join(s, lanes[p][g], v);
            }
        }
        // A plane with gaps is gathered first, as many elements as the lanes take.
        while !self.is_whole && i < len {
            for p in 0..P {
                let mut at = i;
                for g in 0..G {
                    let mut gathered = [op.identity(); MOST_LANES];
                    let n = S::N.min(len - at);
                    // SAFETY: elements of the plane; the array holds a vector.
                    let v = unsafe {
                        gather(&self.layer, src[p], at, &mut gathered[..n]);
                        op.load(s, gathered.as_ptr())
                    };
                    flag = op.watch(s, flag, v, v);
                    lanes[p][g] = op.join(s, lanes[p][g], v);
                    at += n;
                }
            }
            i += G * S::N;
        }
        let halve = |a, b| halve::<A, S, O>(s, op, a, b);
        let mut count = G;
        while count > 1 {
            count /= 2;
            for plane in &mut lanes {
                for g in 0..count {
                    plane[g] = halve(plane[2 * g], plane[2 * g + 1]);
                }
            }
        }
        (lanes.map(|plane| plane[0]), flag)
    }
}

/// The elements from element `at` on of a plane with gaps that begins at `src`.
///
/// # Safety
/// The plane has so many elements.
#[inline(never)]
unsafe fn gather<T: Copy>(layer: &Layer, src: *const T, at: usize, to: &mut [T]) {
    let [_, height, width] = layer.geometry.axes.map(|axis| axis.input);
    let steps = &layer.places.input;
    for (i, to) in to.iter_mut().enumerate() {
        let (row, x) = ((at + i) / width, (at + i) % width);
        // SAFETY: element `at + i` of the plane.
        *to = unsafe { src.add(steps.row_at(0, row / height, row % height) + x * steps.pixel).read() };
    }
}

/// Joins neighbours: the lanes of `a` then `b`, half as many.
#[inline(always)]
fn halve<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(s: S, op: O, a: S::V, b: S::V) -> S::V {
    let (even, odd) = s.unzip(a, b);
    op.join(s, even, odd)
}
