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
//!    `i + 8`, then 4, 2, 1, and stored alone: 5.5 instead of 2.2 times the streaming bound for an average of 7×7, AVX-512.)

use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Walk};
use crate::kernels::simd::{Lane, Lanes, Reduce};
use crate::kernels::table::WalkKind;

/// The lanes that a run is dealt to.
const VIRTUAL: usize = 16;
/// Planes whose elements are folded side by side.
const PLANES: usize = 4;

/// Vectors that hold the virtual lanes of a group.
const VECTORS: usize = 16;

pub(crate) struct Global<A, R> {
    op: R,
    layer: Layer,
    divisors: Divisors<A>,
}

impl<A: Lane, R> Global<A, R> {
    pub(crate) fn new<S: Lanes<A>>(op: R, layer: &Layer) -> Self
    where
        R: Reduce<A, S>,
    {
        Self { op, layer: *layer, divisors: Divisors::of::<S, R>(op, layer) }
    }
}

impl<A: Lane, S: Lanes<A>, R: Reduce<A, S>> Walk<S> for Global<A, R> {
    const KIND: WalkKind = WalkKind::Global;
    type T = R::T;

    fn layer(&self) -> &Layer {
        &self.layer
    }

    fn units(&self) -> usize {
        self.layer.geometry.outer
    }

    fn unit_len(&self) -> usize {
        1
    }

    #[inline(always)]
    unsafe fn visit(&self, s: S, io: Io<R::T>, planes: Range<usize>) {
        let mut plane = planes.start;
        while plane < planes.end {
            let count = S::N.min(VIRTUAL).min(planes.end - plane);
            // SAFETY: the group lies in `planes`, the units of this run.
            unsafe { self.group(s, io, plane..plane + count, plane - planes.start) };
            plane += count;
        }
    }
}

impl<A: Lane, R> Global<A, R> {
    /// # Safety
    /// As for `visit`; `planes`, at most as many as lanes, are units of the run, its `to`th and following.
    #[inline(always)]
    unsafe fn group<S: Lanes<A>>(&self, s: S, io: Io<R::T>, planes: Range<usize>, to: usize)
    where
        R: Reduce<A, S>,
    {
        // SAFETY: by this function's contract.
        unsafe {
            if self.fold(s, self.op, io, planes.clone(), to) && R::WATCH {
                self.fold(s, self.op.careful(), io, planes, to);
            }
        }
    }

    /// The outputs of a group. Says whether it met what `op` is not right for; then they are not to be used.
    ///
    /// # Safety
    /// As for `group`.
    #[inline(always)]
    unsafe fn fold<S: Lanes<A>, O>(&self, s: S, op: O, io: Io<R::T>, planes: Range<usize>, to: usize) -> bool
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let mut lanes = [s.splat(op.fill()); VECTORS];
        // SAFETY: by this function's contract.
        let flag = unsafe {
            match VIRTUAL / S::N {
                0 | 1 => self.deal_all::<S, O, 1>(s, op, &io, planes.clone(), &mut lanes),
                2 => self.deal_all::<S, O, 2>(s, op, &io, planes.clone(), &mut lanes),
                4 => self.deal_all::<S, O, 4>(s, op, &io, planes.clone(), &mut lanes),
                8 => self.deal_all::<S, O, 8>(s, op, &io, planes.clone(), &mut lanes),
                // One lane: sixteen vectors.
                _ => self.deal_all::<S, O, 16>(s, op, &io, planes.clone(), &mut lanes),
            }
        };
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }
        // Lanes of one plane, and vectors that hold them all.
        let (mut each, mut vectors) = (S::N.max(VIRTUAL), VECTORS);
        while vectors > 1 {
            (each, vectors) = (each / 2, vectors / 2);
            for i in 0..vectors {
                let (even, odd) = s.unzip(lanes[2 * i], lanes[2 * i + 1]);
                lanes[i] = op.join(s, even, odd);
            }
        }
        while each > 1 {
            each /= 2;
            let (even, odd) = s.unzip(lanes[0], lanes[0]);
            lanes[0] = op.join(s, even, odd);
        }
        let divisor = self.divisors.row::<S, O>(0, 0).at(s, op, 0);
        let v = op.finish(s, lanes[0], divisor);
        // SAFETY: one output a plane.
        unsafe {
            let dst = io.dst.add(to);
            if planes.len() == S::N { op.store(s, dst, v) } else { op.store_first(s, dst, planes.len(), v) }
        }
        false
    }

    /// Deals the elements of each plane to its lanes, `G` vectors of them.
    ///
    /// # Safety
    /// As for `group`.
    #[inline(always)]
    unsafe fn deal_all<S: Lanes<A>, O, const G: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        planes: Range<usize>,
        lanes: &mut [S::V; VECTORS],
    ) -> O::Flag
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let mut flag = op.clean(s);
        let (mut i, count) = (0, planes.len());
        // SAFETY: planes of the group.
        unsafe {
            while !S::PLAIN && i + PLANES <= count {
                let dealt = self.deal::<S, O, PLANES, G>(s, op, io, planes.start + i, flag);
                flag = dealt.1;
                for (p, plane) in dealt.0.into_iter().enumerate() {
                    lanes[(i + p) * G..][..G].copy_from_slice(&plane);
                }
                i += PLANES;
            }
            while i < count {
                let ([plane], seen) = self.deal::<S, O, 1, G>(s, op, io, planes.start + i, flag);
                flag = seen;
                lanes[i * G..][..G].copy_from_slice(&plane);
                i += 1;
            }
        }
        flag
    }

    /// Deals the elements of `P` planes.
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
    ) -> ([[S::V; G]; P], O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let len = self.layer.geometry.input_len() / self.layer.geometry.outer;
        // SAFETY: by this function's contract.
        let src: [*const R::T; P] = core::array::from_fn(|p| unsafe { io.src.add((plane + p) * len) });
        let mut lanes = [[s.splat(op.fill()); G]; P];
        let mut i = 0;
        while i + G * S::N <= len {
            for p in 0..P {
                for g in 0..G {
                    // SAFETY: i + G·N <= len.
                    let v = unsafe { op.load(s, src[p].add(i + g * S::N)) };
                    if O::WATCH {
                        flag = op.watch(s, flag, v, v);
                    }
                    lanes[p][g] = op.join(s, lanes[p][g], v);
                }
            }
            i += G * S::N;
        }
        for g in 0..G {
            let at = i + g * S::N;
            if at >= len {
                break;
            }
            let n = (len - at).min(S::N);
            let inside = s.first(n);
            for p in 0..P {
                // SAFETY: at most N elements, and none past the plane but where the input goes on.
                let v = unsafe {
                    let from = src[p].add(at);
                    if io.readable(from) >= S::N {
                        s.pick(inside, op.load(s, from), s.splat(op.fill()))
                    } else {
                        op.load_first(s, from, n)
                    }
                };
                if O::WATCH {
                    flag = op.watch(s, flag, v, v);
                }
                lanes[p][g] = op.join(s, lanes[p][g], v);
            }
        }
        (lanes, flag)
    }
}
