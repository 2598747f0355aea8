//! A plane as one run: one window that is the whole plane, planar.
//!
//! ```text
//! for each group of planes, as many as a vector has lanes, 16 at most:
//!     fold each plane's elements in 16 virtual lanes: element i goes to lane i mod 16      (1)
//!     fold the lanes of all of them, one behind the other, in pairs of neighbours          (2)
//!     finish and store the group                                                           (3)
//! for a plane longer than a block, instead:
//!     fold the elements of each block in 16 virtual lanes, and those, as above
//!     fold the blocks in pairs of neighbours                                               (4)
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
//! 4. A long plane has one output, and threads must be able to share it: so it is cut by its length alone, whoever folds it.
//!    Pairs of neighbours again: the step from lanes to blocks is one more of the same, four blocks are folded side by
//!    side as four planes are, and any aligned power of two of blocks is a subtree, which a thread can fold by itself.

use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Position, Walk, inline};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};
use crate::kernels::table::WalkKind;
use crate::strides::Gaps;

/// The lanes that a run is dealt to.
const VIRTUAL: usize = 16;
/// Runs whose elements are folded side by side: planes, or blocks of one.
const QUAD: usize = 4;
/// Elements of a block. Part of the contract. A quad of blocks of `f32` is what a task is worth, see `src/tasks.rs`.
const BLOCK: usize = 1 << 14;

pub(crate) struct Global<A, R> {
    op: R,
    layer: Layer,
    /// Elements of a plane.
    len: usize,
    /// Whether they lie side by side.
    is_whole: bool,
    divisors: Divisors<A>,
}

/// Elements of one plane that are folded to one lane: all of them, or a block.
#[derive(Clone, Copy)]
struct Run<T> {
    plane: *const T,
    /// The first of them.
    from: usize,
    len: usize,
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
        if self.len > BLOCK {
            for plane in planes {
                // SAFETY: all blocks of a plane of the input, and its output, which is the run's.
                unsafe {
                    let folded = self.subtree(s, &io, plane, 0..self.blocks());
                    self.put(s, &io, plane, folded);
                }
            }
            return;
        }
        let mut plane = planes.start;
        while plane < planes.end {
            let count = S::N.min(VIRTUAL).min(planes.end - plane);
            // SAFETY: the group lies in `planes`, the units of this run.
            unsafe { self.group(s, io, plane..plane + count) };
            plane += count;
        }
    }

    #[cfg(feature = "rayon")]
    const SHARES: bool = true;

    #[cfg(feature = "rayon")]
    unsafe fn visit_shared(&self, s: S, io: Io<R::T>, planes: Range<usize>, pieces: usize) {
        if self.len <= BLOCK || pieces <= 1 {
            return s.vectorize(
                #[inline(always)]
                // SAFETY: the same contract.
                || unsafe { self.visit(s, io, planes) },
            );
        }
        // Subtrees of whole quads.
        let most = self.blocks().div_ceil(pieces).next_power_of_two().max(QUAD);
        // SAFETY: `src` is the whole input, which nobody changes meanwhile; any bits are an `R::T`, which is `Pod`.
        let src = unsafe { core::slice::from_raw_parts(io.src, io.readable(io.src)) };
        let io = self.layer.rebased(io, &Position { outer: planes.start, z: 0, y: 0 });
        for plane in planes {
            let folded = self.tree(s, src, plane, 0..self.blocks(), most);
            s.vectorize(
                #[inline(always)]
                // SAFETY: the output of the plane is the run's.
                || unsafe { self.put(s, &io, plane, folded) },
            );
        }
    }
}

impl<A: Lane, R> Global<A, R> {
    /// Blocks of a plane.
    #[inline(always)]
    fn blocks(&self) -> usize {
        self.len.div_ceil(BLOCK)
    }

    /// Neighbouring blocks of a plane, folded on as many threads of the calling thread's pool as are free, `most` at a time.
    /// `src` is the whole input, and there is a block.
    #[cfg(feature = "rayon")]
    fn tree<S: Lanes<A>>(&self, s: S, src: &[R::T], plane: usize, blocks: Range<usize>, most: usize) -> A
    where
        R: Reduce<A, S>,
    {
        if blocks.len() <= most {
            let Range { start, end } = src.as_ptr_range();
            let io = Io { src: start, src_end: end, dst: core::ptr::null_mut(), dst_end: core::ptr::null_mut() };
            return s.vectorize(
                #[inline(always)]
                // SAFETY: blocks of a plane of the input.
                || unsafe { self.subtree(s, &io, plane, blocks) },
            );
        }
        // The left subtree is whole, as long as a power of two: where pairs of neighbours would have met.
        let middle = blocks.start + blocks.len().next_power_of_two() / 2;
        let (left, right) = rayon::join(
            || self.tree(s, src, plane, blocks.start..middle, most),
            || self.tree(s, src, plane, middle..blocks.end, most),
        );
        s.vectorize(
            #[inline(always)]
            || join_two::<A, S, R::Careful>(s, self.op.careful(), left, right),
        )
    }

    /// Neighbouring blocks of a plane, at least one, folded in pairs of neighbours. The first is a multiple of [`QUAD`].
    ///
    /// # Safety
    /// `io.src .. io.src_end` is the whole input, of which these are blocks.
    #[inline(always)]
    unsafe fn subtree<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, plane: usize, blocks: Range<usize>) -> A
    where
        R: Reduce<A, S>,
    {
        let join = inline(
            #[inline(always)]
            |a, b| join_two::<A, S, R::Careful>(s, self.op.careful(), a, b),
        );
        // What 1, 2, 4… groups are folded to that wait for as many more: those whose bit is set in how many are done.
        let mut waiting = [R::Careful::fill(self.op.careful()); usize::BITS as usize];
        let mut done = 0_usize;
        // A vector of fewer lanes takes fewer blocks; the tree is the same.
        let each = QUAD.min(S::N);
        let mut first = blocks.start;
        while first < blocks.end {
            let group = first..blocks.end.min(first + each);
            // SAFETY: by this function's contract.
            let mut folded = unsafe {
                match self.leaf(s, self.op, io, plane, group.clone()) {
                    Ok(folded) => folded,
                    // The careful twin watches nothing.
                    Err(_) => self.leaf(s, self.op.careful(), io, plane, group).unwrap_or_else(|folded| folded),
                }
            };
            let mut level = 0;
            while done >> level & 1 == 1 {
                folded = join(waiting[level], folded);
                level += 1;
            }
            waiting[level] = folded;
            (done, first) = (done + 1, first + each);
        }
        // The odd ones, from the last to the first.
        let mut level = done.trailing_zeros() as usize;
        let mut folded = waiting[level];
        loop {
            level += 1;
            match done >> level {
                0 => return folded,
                rest if rest & 1 == 1 => folded = join(waiting[level], folded),
                _ => {}
            }
        }
    }

    /// Neighbouring blocks of a plane, at most as many as are folded side by side, in one lane: not to be used where `op` is not
    /// right for what it met, which is the error.
    ///
    /// # Safety
    /// As for `subtree`.
    #[inline(always)]
    unsafe fn leaf<S: Lanes<A>, O>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        plane: usize,
        blocks: Range<usize>,
    ) -> core::result::Result<A, A>
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        // SAFETY: a plane of the input.
        let plane = unsafe { io.src.add(self.layer.places.input.outer(plane)) };
        let count = blocks.len();
        let run = inline(
            #[inline(always)]
            |i: usize| {
                let from = (blocks.start + i) * BLOCK;
                Run { plane, from, len: BLOCK.min(self.len - from) }
            },
        );
        let are_equal = run(count - 1).len == BLOCK;
        // SAFETY: elements of the plane.
        let (mut v, flag) = unsafe { self.quad(s, op, io, count, are_equal, run, op.clean(s)) };
        let mut lanes = S::N;
        while lanes > 1 {
            lanes /= 2;
            v = halve::<A, S, O>(s, op, v, v);
        }
        let folded = first_lane::<A, S>(s, v, op.fill());
        if O::WATCH && op.dirty(s, flag) { Err(folded) } else { Ok(folded) }
    }

    /// Finishes and stores the output of a long plane.
    ///
    /// # Safety
    /// The output of `plane` is the run's to write; `io.dst` is that of plane 0.
    #[inline(always)]
    unsafe fn put<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, plane: usize, folded: A)
    where
        R: Reduce<A, S>,
    {
        let op = self.op.careful();
        let divisor = self.divisors.row::<S, R::Careful>(0, 0).at(s, op, 0);
        let v = op.finish(s, s.splat(folded), divisor);
        // SAFETY: one output.
        unsafe { op.store_first(s, io.dst.wrapping_add(self.layer.places.output.outer(plane)), 1, v) };
    }

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
        let mut quads = [s.splat(op.fill()); VIRTUAL / QUAD];
        let mut flag = op.clean(s);
        for (quad, first) in quads.iter_mut().zip(planes.clone().step_by(QUAD)) {
            let run = inline(
                #[inline(always)]
                |i: usize| {
                    // SAFETY: a plane of the input.
                    let plane = unsafe { io.src.add(self.layer.places.input.outer(first + i)) };
                    Run { plane, from: 0, len: self.len }
                },
            );
            // SAFETY: by this function's contract.
            (*quad, flag) = unsafe { self.quad(s, op, &io, QUAD.min(planes.end - first), true, run, flag) };
        }
        if O::WATCH && op.dirty(s, flag) {
            return true;
        }
        // Lanes that a plane still has, and vectors that hold them all.
        let (mut each, mut vectors) = ((S::N / QUAD).max(1), (S::N.min(VIRTUAL) / QUAD).max(1));
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

    /// The first `count` of four runs in one vector: the lanes of all of them, folded as often as that takes.
    ///
    /// # Safety
    /// The runs are elements of planes of the input, and where they are said to be, of equal length.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn quad<S: Lanes<A>, O>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        count: usize,
        are_equal: bool,
        run: impl Fn(usize) -> Run<R::T>,
        flag: O::Flag,
    ) -> (S::V, O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        // SAFETY: by this function's contract.
        unsafe {
            match VIRTUAL / S::N {
                0 | 1 => self.quad_of::<S, O, 1>(s, op, io, count, are_equal, run, flag),
                2 => self.quad_of::<S, O, 2>(s, op, io, count, are_equal, run, flag),
                4 => self.quad_of::<S, O, 4>(s, op, io, count, are_equal, run, flag),
                8 => self.quad_of::<S, O, 8>(s, op, io, count, are_equal, run, flag),
                // One lane: sixteen vectors.
                _ => self.quad_of::<S, O, 16>(s, op, io, count, are_equal, run, flag),
            }
        }
    }

    /// The same, each run dealt to `G` vectors.
    ///
    /// # Safety
    /// As for `quad`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the state of one loop")]
    unsafe fn quad_of<S: Lanes<A>, O, const G: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        count: usize,
        are_equal: bool,
        run: impl Fn(usize) -> Run<R::T>,
        mut flag: O::Flag,
    ) -> (S::V, O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let mut each = [s.splat(op.fill()); QUAD];
        // SAFETY: by this function's contract.
        unsafe {
            if count == QUAD && are_equal && !S::PLAIN {
                let runs = [run(0), run(1), run(2), run(3)];
                (each, flag) = self.deal::<S, O, QUAD, G>(s, op, io, runs, flag);
            } else {
                for (i, v) in each.iter_mut().enumerate().take(count) {
                    ([*v], flag) = self.deal::<S, O, 1, G>(s, op, io, [run(i)], flag);
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

    /// Deals the elements of `P` runs of one length to `G` vectors of lanes each and folds those to one.
    ///
    /// # Safety
    /// As for `quad`.
    #[inline(always)]
    unsafe fn deal<S: Lanes<A>, O, const P: usize, const G: usize>(
        &self,
        s: S,
        op: O,
        io: &Io<R::T>,
        runs: [Run<R::T>; P],
        mut flag: O::Flag,
    ) -> ([S::V; P], O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let len = runs[0].len;
        let mut src = [io.src; P];
        for p in 0..P {
            // Where elements do not lie side by side, this is not where the run begins, and not used.
            src[p] = runs[p].plane.wrapping_add(runs[p].from);
        }
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
                        gather(&self.layer, runs[p].plane, runs[p].from + at, &mut gathered[..n]);
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
        let mut folded = [s.splat(op.fill()); P];
        for p in 0..P {
            folded[p] = lanes[p][0];
        }
        (folded, flag)
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

/// The first lane of a vector.
#[inline(always)]
fn first_lane<A: Lane, S: Lanes<A>>(s: S, v: S::V, fill: A) -> A {
    let mut lanes = [fill; MOST_LANES];
    // SAFETY: the array holds a vector.
    unsafe { s.store(lanes.as_mut_ptr(), v) };
    lanes[0]
}

/// Joins two numbers.
#[inline(always)]
fn join_two<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(s: S, op: O, a: A, b: A) -> A {
    first_lane::<A, S>(s, op.join(s, s.splat(a), s.splat(b)), a)
}
