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

use core::mem::MaybeUninit;
use core::ops::Range;

use super::divisors::Divisors;
use super::{Io, Layer, Position, Walk, inline};
use crate::kernels::simd::{Dealt, Lane, Lanes, MOST_LANES, Reduce, VIRTUAL};
use crate::kernels::table::WalkKind;
use crate::strides::Gaps;

/// Runs whose elements are folded side by side: planes, or blocks of one.
const QUAD: usize = 4;
/// Elements of a block. Part of the contract. A quad of blocks of `f32` is what a task is worth, see `src/tasks.rs`.
const BLOCK: usize = 1 << 14;

/// Elements of what is gathered for the vectors of one run: every tier's longest run, in as many vectors as make the virtual lanes.
const GATHERED: usize = 2 * MOST_LANES;

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
        let mut first = planes.start;
        while first < planes.end {
            let count = S::N.min(VIRTUAL).min(planes.end - first);
            // SAFETY: the group lies in `planes`, the units of this run.
            unsafe { self.group(s, &io, Runs { plane: first, block: None, count }) };
            first += count;
        }
    }

    #[cfg(feature = "rayon")]
    unsafe fn visit_shared(&self, s: S, io: Io<R::T>, planes: Range<usize>, pieces: usize) -> bool {
        if self.len <= BLOCK || pieces <= 1 {
            return false;
        }
        // Subtrees of whole quads.
        let most = self.blocks().div_ceil(pieces).next_power_of_two().max(QUAD);
        // SAFETY: `src` is the whole input, which nobody changes meanwhile; any bits are an `R::T`, which is `Pod`.
        let src = unsafe { core::slice::from_raw_parts(io.src, io.readable(io.src)) };
        let io = self.layer.rebased(io, &Position { outer: planes.start, z: 0, y: 0 });
        for plane in planes {
            let folded = self.tree(s, src, plane, 0..self.blocks(), most);
            // SAFETY: the output of the plane is the run's.
            unsafe { self.put(s, &io, plane, folded) };
        }
        true
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
            // SAFETY: blocks of a plane of the input.
            return unsafe { self.subtree(s, &io, plane, blocks) };
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

    /// Neighbouring blocks of a plane, at least one, folded in pairs of neighbours. The first is a multiple of a power of two that
    /// is as great as their number, or as [`VIRTUAL`].
    ///
    /// Not inlined, but entered anew: one copy serves threads and runs.
    ///
    /// # Safety
    /// `io.src .. io.src_end` is the whole input, of which these are blocks.
    #[inline(never)]
    unsafe fn subtree<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, plane: usize, blocks: Range<usize>) -> A
    where
        R: Reduce<A, S>,
    {
        s.vectorize(
            #[inline(always)]
            // SAFETY: by this function's contract.
            || unsafe { self.pairs(s, io, plane, blocks) },
        )
    }

    /// `subtree`, inlined in it.
    ///
    /// # Safety
    /// As for `subtree`.
    #[inline(always)]
    unsafe fn pairs<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, plane: usize, blocks: Range<usize>) -> A
    where
        R: Reduce<A, S>,
    {
        let op = self.op.careful();
        // A vector of fewer lanes takes fewer blocks; the tree is the same.
        let each = VIRTUAL.min(S::N);
        // What 1, 2, 4… groups are folded to that wait for as many more: those whose bit is set in how many are done.
        let mut waiting = [R::Careful::fill(op); usize::BITS as usize];
        let (mut done, mut first) = (0_usize, blocks.start);
        loop {
            let runs = Runs { plane, block: Some(first), count: each.min(blocks.end - first) };
            // SAFETY: by this function's contract.
            let mut v = unsafe { self.lanes(s, io, runs) };
            let mut lanes = each;
            while lanes > 1 {
                lanes /= 2;
                v = halve::<A, S, R::Careful>(s, op, v, v);
            }
            let mut folded = first_lane::<A, S>(s, v, op.fill());
            first += each;
            let is_last = first >= blocks.end;
            // Whole pairs; in the end the odd ones too, from the last to the first.
            let mut level = 0;
            loop {
                let is_waiting = (done >> level) & 1 == 1;
                if is_waiting {
                    folded = join_two::<A, S, R::Careful>(s, op, waiting[level], folded);
                } else if !is_last || done >> level == 0 {
                    break;
                }
                level += 1;
            }
            if is_last {
                return folded;
            }
            waiting[level] = folded;
            done += 1;
        }
    }

    /// Finishes and stores the output of a long plane.
    ///
    /// # Safety
    /// The output of `plane` is the run's to write; `io.dst` is that of plane 0.
    #[inline(never)]
    unsafe fn put<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, plane: usize, folded: A)
    where
        R: Reduce<A, S>,
    {
        s.vectorize(
            #[inline(always)]
            || {
                let op = self.op.careful();
                let divisor = self.divisors.row::<S, R::Careful>(0, 0).at(s, op, 0);
                let v = op.finish(s, s.splat(folded), divisor);
                // SAFETY: one output.
                unsafe { op.store_first(s, io.dst.wrapping_add(self.layer.places.output.outer(plane)), 1, v) };
            },
        );
    }

    /// The outputs of neighbouring planes, at most as many as a vector has lanes.
    ///
    /// # Safety
    /// As for `visit`; the planes are units of the run.
    #[inline(always)]
    unsafe fn group<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, planes: Runs)
    where
        R: Reduce<A, S>,
    {
        let op = self.op.careful();
        // SAFETY: by this function's contract.
        let folded = unsafe { self.lanes(s, io, planes) };
        let divisor = self.divisors.row::<S, R::Careful>(0, 0).at(s, op, 0);
        let v = op.finish(s, folded, divisor);
        let Runs { plane, count, .. } = planes;
        // SAFETY: one output a plane.
        unsafe {
            if self.layer.places.gaps == Gaps::None {
                let dst = io.dst.wrapping_add(plane);
                if count == S::N { op.store(s, dst, v) } else { op.store_first(s, dst, count, v) }
            } else {
                let mut outputs = [op.identity(); MOST_LANES];
                op.store(s, outputs.as_mut_ptr(), v);
                for (plane, output) in (plane..plane + count).zip(outputs) {
                    io.dst.wrapping_add(self.layer.places.output.outer(plane)).write(output);
                }
            }
        }
    }

    /// What each run is folded to, one a lane.
    ///
    /// # Safety
    /// `io.src .. io.src_end` is the whole input, and has the runs, of which there are no more than lanes.
    #[inline(always)]
    unsafe fn lanes<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, runs: Runs) -> S::V
    where
        R: Reduce<A, S>,
    {
        // SAFETY: by this function's contract; the array holds a vector.
        unsafe {
            let (v, flag) = self.quads::<S, R, true>(s, self.op, io, runs);
            if !R::WATCH || !self.op.dirty(s, flag) {
                return v;
            }
            let mut lanes = [self.op.fill(); MOST_LANES];
            self.fold_carefully(s, io, runs, &mut lanes);
            s.load(lanes.as_ptr())
        }
    }

    /// `lanes`, by the operation's careful twin. Not inlined, but entered anew: one copy serves planes and blocks.
    ///
    /// # Safety
    /// As for `lanes`.
    #[inline(never)]
    unsafe fn fold_carefully<S: Lanes<A>>(&self, s: S, io: &Io<R::T>, runs: Runs, lanes: &mut [A; MOST_LANES])
    where
        R: Reduce<A, S>,
    {
        s.vectorize(
            #[inline(always)]
            // SAFETY: by this function's contract; the array holds a vector.
            || unsafe {
                let (v, _) = self.quads::<S, R::Careful, false>(s, self.op.careful(), io, runs);
                s.store(lanes.as_mut_ptr(), v);
            },
        );
    }

    /// What each run is folded to, one a lane, by one of the operation's twins, with a loop for four runs at a time where `QUADS` says
    /// so; and what it watched.
    ///
    /// # Safety
    /// As for `lanes`.
    #[inline(always)]
    unsafe fn quads<S: Lanes<A>, O, const QUADS: bool>(&self, s: S, op: O, io: &Io<R::T>, runs: Runs) -> (S::V, O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let halve = |a, b| halve::<A, S, O>(s, op, a, b);
        let mut quads = [s.splat(op.fill()); VIRTUAL / QUAD];
        let mut flag = op.clean(s);
        let step = if const { QUADS && !S::PLAIN } { runs.step(self) } else { None };
        for (i, quad_of) in quads.iter_mut().enumerate() {
            let first = i * QUAD;
            if first >= runs.count {
                break;
            }
            let count = QUAD.min(runs.count - first);
            let mut each = [s.splat(op.fill()); QUAD];
            // SAFETY: runs of the input, and in those of a quad, the last of which is the nearest to the input's end, as many
            // elements as the last vectors reach.
            unsafe {
                let (run, end) = (runs.run(self, io, first), runs.run(self, io, first + count - 1));
                let last = (run.len - 1) / O::RUN * O::RUN;
                if let Some(step) = step
                    && count == QUAD
                    && end.len == run.len
                    && io.readable(end.first().wrapping_add(last)) >= O::RUN
                {
                    let at = inline(
                        #[inline(always)]
                        |i: usize| run.first().wrapping_add(i.wrapping_mul(step)),
                    );
                    (each, flag) = deal::<A, S, O>(s, op, [at(0), at(1), at(2), at(3)], run.len, flag);
                } else {
                    for i in 0..count {
                        (each[i], flag) = self.deal_one::<S, O>(s, op, runs.run(self, io, first + i), flag);
                    }
                }
            }
            let [a, b, c, d] = each;
            *quad_of = match S::N {
                1 => a,
                2 => halve(a, b),
                _ => halve(halve(a, b), halve(c, d)),
            };
        }
        // Lanes that a run still has, and vectors that hold them all.
        let (mut each, mut vectors) = ((S::N / QUAD).max(1), (S::N.min(VIRTUAL) / QUAD).max(1));
        while vectors > 1 {
            (each, vectors) = (each / 2, vectors / 2);
            for i in 0..vectors {
                quads[i] = halve(quads[2 * i], quads[2 * i + 1]);
            }
        }
        let mut folded = quads[0];
        while each > 1 {
            each /= 2;
            folded = halve(folded, folded);
        }
        (folded, flag)
    }

    /// Deals the elements of a run to lanes and folds those to one. What lies apart, or ends in the midst of the
    /// vectors, is gathered first.
    ///
    /// # Safety
    /// `run` is a run of the input.
    #[inline(always)]
    unsafe fn deal_one<S: Lanes<A>, O>(&self, s: S, op: O, run: Run<R::T>, mut flag: O::Flag) -> (S::V, O::Flag)
    where
        R: Reduce<A, S>,
        O: Reduce<A, S, T = R::T>,
    {
        let vectors = <S::Dealt as Dealt<_>>::LEN;
        let turn = vectors * O::RUN;
        const { assert!(<S::Dealt as Dealt<_>>::LEN * O::RUN <= GATHERED) };
        let mut lanes = S::Dealt::splat(s.splat(op.fill()));
        let mut gathered = MaybeUninit::<[R::T; GATHERED]>::uninit();
        let to: *mut R::T = gathered.as_mut_ptr().cast();
        let mut i = 0;
        while i < run.len {
            let n = (run.len - i).min(turn);
            let mut from = run.first().wrapping_add(i);
            if !self.is_whole || n < turn {
                // SAFETY: elements of the run, and no more than the array has.
                unsafe {
                    for g in 0..turn {
                        to.add(g).write(op.identity());
                    }
                    self.gather(run.plane, run.from + i, to, n);
                }
                from = to;
            }
            for g in 0..vectors {
                // SAFETY: a turn's elements.
                let v = unsafe { op.load_run(s, from.add(g * O::RUN)) };
                if O::WATCH {
                    flag = op.watch(s, flag, v, v);
                }
                let to = &mut lanes.vectors()[g];
                *to = op.join(s, *to, v);
            }
            i += turn;
        }
        (fold_dealt::<A, S, O>(s, op, lanes), flag)
    }

    /// Copies `n` elements, from element `at` on, of the plane that begins at `plane`.
    ///
    /// # Safety
    /// The plane has them, and `to` takes them.
    #[inline(never)]
    unsafe fn gather<T>(&self, plane: *const T, at: usize, to: *mut T, n: usize) {
        let [_, height, width] = self.layer.geometry.axes.map(|axis| axis.input);
        let steps = &self.layer.places.input;
        for i in 0..n {
            let mut offset = at + i;
            if !self.is_whole {
                let (row, x) = (offset / width, offset % width);
                offset = steps.row_at(0, row / height, row % height) + x * steps.pixel;
            }
            // SAFETY: element `at + i` of the plane.
            unsafe { to.add(i).write(plane.add(offset).read()) };
        }
    }
}

/// Runs that are folded to one lane each.
#[derive(Clone, Copy)]
struct Runs {
    plane: usize,
    /// The first of neighbouring blocks of the plane; without, neighbouring planes from this one on.
    block: Option<usize>,
    count: usize,
}

impl Runs {
    /// Elements from one to the next, where that is the same for all of them and each one's lie side by side.
    #[inline(always)]
    fn step<A, R>(self, walk: &Global<A, R>) -> Option<usize> {
        match self.block {
            _ if !walk.is_whole => None,
            None => walk.layer.places.input.even(),
            Some(_) => Some(BLOCK),
        }
    }

    #[inline(always)]
    fn run<A, R, T>(self, walk: &Global<A, R>, io: &Io<T>, i: usize) -> Run<T> {
        let steps = &walk.layer.places.input;
        match self.block {
            None => Run { plane: io.src.wrapping_add(steps.outer(self.plane + i)), from: 0, len: walk.len },
            Some(block) => {
                let from = (block + i) * BLOCK;
                let plane = io.src.wrapping_add(steps.outer(self.plane));
                Run { plane, from, len: BLOCK.min(walk.len - from) }
            }
        }
    }
}

/// Elements of one plane that are folded to one lane: all of them, or a block.
#[derive(Clone, Copy)]
struct Run<T> {
    plane: *const T,
    /// The first of them.
    from: usize,
    len: usize,
}

impl<T> Run<T> {
    /// The first of them, where a plane's elements lie side by side.
    #[inline(always)]
    fn first(&self) -> *const T {
        self.plane.wrapping_add(self.from)
    }
}

/// Deals the `len` elements of each of four runs to lanes and folds those to one vector a run.
///
/// # Safety
/// `len` elements are readable in each, and as many more as the last vector of `RUN` reaches.
#[inline(always)]
unsafe fn deal<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(
    s: S,
    op: O,
    src: [*const O::T; QUAD],
    len: usize,
    mut flag: O::Flag,
) -> ([S::V; QUAD], O::Flag) {
    let vectors = <S::Dealt as Dealt<_>>::LEN;
    let turn = vectors * O::RUN;
    let mut lanes = [S::Dealt::splat(s.splat(op.fill())); QUAD];
    let mut i = 0;
    while i + turn <= len {
        for p in 0..QUAD {
            for g in 0..vectors {
                // SAFETY: i + turn <= len.
                let v = unsafe { op.load_run(s, src[p].add(i + g * O::RUN)) };
                if O::WATCH {
                    flag = op.watch(s, flag, v, v);
                }
                let to = &mut lanes[p].vectors()[g];
                *to = op.join(s, *to, v);
            }
        }
        i += turn;
    }
    for g in 0..vectors {
        let at = i + g * O::RUN;
        if at >= len {
            break;
        }
        let n = (len - at).min(O::RUN);
        for p in 0..QUAD {
            // SAFETY: by this function's contract.
            let v = unsafe { op.load_run_first(s, src[p].add(at), n, O::RUN) };
            if O::WATCH {
                flag = op.watch(s, flag, v, v);
            }
            let to = &mut lanes[p].vectors()[g];
            *to = op.join(s, *to, v);
        }
    }
    let mut folded = [s.splat(op.fill()); QUAD];
    for p in 0..QUAD {
        folded[p] = fold_dealt::<A, S, O>(s, op, lanes[p]);
    }
    (folded, flag)
}

/// Folds the vectors of a run to one, in pairs of neighbouring lanes.
#[inline(always)]
fn fold_dealt<A: Lane, S: Lanes<A>, O: Reduce<A, S>>(s: S, op: O, mut lanes: S::Dealt) -> S::V {
    let lanes = lanes.vectors();
    let mut count = <S::Dealt as Dealt<_>>::LEN;
    while count > 1 {
        count /= 2;
        for g in 0..count {
            lanes[g] = halve::<A, S, O>(s, op, lanes[2 * g], lanes[2 * g + 1]);
        }
    }
    lanes[0]
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
