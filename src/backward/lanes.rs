//! What is done with the numbers of rows of windows: the arithmetic of `rows.rs`, which knows places only.
//!
//! A row of windows is *kept*, with what it gives; a row of the input is *folded* from kept rows, a tap after the other, and
//! stored. Sums stay in registers from the first tap to the last.

use super::lp::{Slope, Terms, add_terms};
use super::sealed::Sum;
use super::{Float, part, part_mut};
use crate::index::Indices;
use crate::kernels::widest;

/// Numbers of a tile, at most; and of the rows that are kept.
pub(super) const TILE: usize = 1536;
pub(super) const KEPT: usize = 3072;

/// Sums that there is room for, where phases are whole chunks, and kept numbers with those that a last chunk reads.
const ROOM: usize = TILE + 16 * CHUNK;
const READ: usize = KEPT + CHUNK;

/// Taps of a list, at most: as many windows as may hold an element.
pub(super) const TAPS: usize = crate::order::LONGEST_CHAIN;

/// Sums that are made together.
pub(super) const CHUNK: usize = 64;

/// A tap of a row: where what it takes begins among the kept numbers, and the code of indices that name it.
#[derive(Clone, Copy, Default)]
pub(super) struct Named {
    pub from: usize,
    pub code: u32,
}

/// Some neighbouring windows, with all that they share.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// Where in the output, and where among the kept numbers; how many there are.
    pub at: usize,
    pub place: usize,
    pub len: usize,
    /// What their gradients are divided by.
    pub divisor: usize,
    /// The index of the first window's first tap.
    pub first: i64,
}

/// Where sums go: `count` pixels of `channels` in a row of the input, `step` elements apart.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub at: usize,
    pub step: usize,
    pub channels: usize,
    pub count: usize,
}

/// The most that sums of phases take, if they are whole chunks.
pub(super) const fn fits(stride: usize, chunked: usize) -> bool {
    stride.saturating_mul(chunked) <= ROOM
}

pub(super) trait Lanes {
    /// Keeps zeros.
    fn clear(&mut self, place: usize, len: usize);
    /// Keeps what some windows give.
    fn keep(&mut self, run: &Run);
    /// Whether it reads the input.
    fn reads_input(&self) -> bool {
        false
    }
    /// Loads a row of the input, into the places of its sums.
    fn load(&mut self, _pixels: &Pixels, _place: usize) {}
    /// Adds what the taps name to sums, or makes them of it.
    fn fold(&mut self, taps: &[Named], place: usize, len: usize, is_first: bool);
    /// Adds the kept numbers of one window to the sums of its pixels.
    fn spread(&mut self, from: usize, channels: usize, place: usize, len: usize);
    /// Stores sums, each rounded once.
    fn store(&mut self, pixels: &Pixels, place: usize);
    /// The same of two rows that take turns.
    fn store_in_turn(&mut self, at: usize, len: usize, even: usize, odd: usize);
}

/// Numbers on their way from one gradient to the other.
struct Sums<'a, T: Float> {
    grad_output: &'a [T],
    /// A part of the input's gradient, and where in the whole it begins.
    grad_input: &'a mut [T],
    base: usize,
    sums: [T::Acc; ROOM],
    kept: [T::Acc; READ],
}

impl<'a, T: Float> Sums<'a, T> {
    fn new(grad_output: &'a [T], grad_input: &'a mut [T], base: usize) -> Self {
        Self { grad_output, grad_input, base, sums: [T::Acc::ZERO; ROOM], kept: [T::Acc::ZERO; READ] }
    }

    fn keep(&mut self, run: &Run) {
        let to = part_mut(&mut self.kept, run.place, run.len);
        T::over_all(part(self.grad_output, run.at, to.len()), run.divisor, to);
    }

    fn store(&mut self, pixels: &Pixels, place: usize) {
        let Pixels { at, step, channels, count } = *pixels;
        let sums = part(&self.sums, place, count.saturating_mul(channels));
        let len = count.saturating_sub(1).saturating_mul(step).saturating_add(channels);
        let to = part_mut(self.grad_input, at.wrapping_sub(self.base), len);
        if step == channels { T::narrowed_all(sums, to) } else { T::narrowed_apart(sums, to, [step, channels]) }
    }

    fn store_in_turn(&mut self, at: usize, len: usize, even: usize, odd: usize) {
        let row = part_mut(self.grad_input, at.wrapping_sub(self.base), len);
        let [even, odd] = [even, odd].map(|place| part(&self.sums, place, len.div_ceil(2)));
        T::interleaved(even, odd, row);
        if let (true, Some(last), Some(sum)) = (len % 2 == 1, row.last_mut(), even.last()) {
            *last = T::narrowed(*sum);
        }
    }
}

/// Sums of taps, some lanes at a time. `add` adds what one tap gives to the lanes from a place on.
#[inline(always)]
fn fold<A: Sum>(
    taps: &[Named],
    sums: &mut [A],
    is_first: bool,
    add: impl Fn(&mut [A; CHUNK], Named, usize) + Copy,
    add_one: impl Fn(&mut [A; 1], Named, usize) + Copy,
) {
    let (chunks, rest) = sums.as_chunks_mut::<CHUNK>();
    let mut lane = 0;
    for chunk in chunks {
        fold_chunk(taps, chunk, lane, is_first, add);
        lane = lane.wrapping_add(CHUNK);
    }
    for one in rest.as_chunks_mut::<1>().0 {
        fold_chunk(taps, one, lane, is_first, add_one);
        lane = lane.wrapping_add(1);
    }
}

#[inline(always)]
fn fold_chunk<A: Sum, const N: usize>(
    taps: &[Named],
    to: &mut [A; N],
    lane: usize,
    is_first: bool,
    add: impl Fn(&mut [A; N], Named, usize),
) {
    let mut sums = if is_first { [A::ZERO; N] } else { *to };
    for tap in taps {
        add(&mut sums, *tap, lane);
    }
    *to = sums;
}

/// As many neighbouring numbers as a chunk has.
#[inline(always)]
fn chunk<A, const N: usize>(all: &[A], from: usize) -> Option<&[A; N]> {
    all.get(from..)?.first_chunk::<N>()
}

/// The gradient of averages: every tap takes its share.
pub(super) struct Shares<'a, T: Float>(Sums<'a, T>);

impl<'a, T: Float> Shares<'a, T> {
    pub fn new(grad_output: &'a [T], grad_input: &'a mut [T], base: usize) -> Self {
        Self(Sums::new(grad_output, grad_input, base))
    }
}

#[inline(always)]
fn add_shares<A: Sum, const N: usize>(kept: &[A], sums: &mut [A; N], tap: Named, lane: usize) {
    let Some(shares) = chunk::<_, N>(kept, tap.from.wrapping_add(lane)) else { return };
    for (sum, share) in sums.iter_mut().zip(shares) {
        *sum = sum.plus(*share);
    }
}

#[inline(never)]
fn fold_shares<A: Sum>(kept: &[A], taps: &[Named], sums: &mut [A], is_first: bool) {
    widest(
        #[inline(always)]
        || {
            fold(
                taps,
                sums,
                is_first,
                #[inline(always)]
                |sums, tap, lane| add_shares(kept, sums, tap, lane),
                #[inline(always)]
                |sums, tap, lane| add_shares(kept, sums, tap, lane),
            )
        },
    );
}

/// Adds one number to some sums, or the numbers of some channels to those of some pixels.
#[inline(never)]
fn spread<A: Sum>(shares: &[A], sums: &mut [A]) {
    if let [share] = shares {
        return sums.iter_mut().for_each(|sum| *sum = sum.plus(*share));
    }
    for sums in sums.chunks_exact_mut(shares.len().max(1)) {
        sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum = sum.plus(*share));
    }
}

impl<T: Float> Lanes for Shares<'_, T> {
    fn clear(&mut self, place: usize, len: usize) {
        part_mut(&mut self.0.kept, place, len).fill(T::Acc::ZERO);
    }

    fn keep(&mut self, run: &Run) {
        self.0.keep(run);
    }

    fn fold(&mut self, taps: &[Named], place: usize, len: usize, is_first: bool) {
        fold_shares(&self.0.kept, taps, part_mut(&mut self.0.sums, place, len), is_first);
    }

    fn spread(&mut self, from: usize, channels: usize, place: usize, len: usize) {
        spread(part(&self.0.kept, from, channels), part_mut(&mut self.0.sums, place, len));
    }

    fn store(&mut self, pixels: &Pixels, place: usize) {
        self.0.store(pixels, place);
    }

    fn store_in_turn(&mut self, at: usize, len: usize, even: usize, odd: usize) {
        self.0.store_in_turn(at, len, even, odd);
    }
}

/// The gradient of norms: every tap takes its share of the norm.
pub(super) struct Norms<'a, T: Float> {
    sums: Sums<'a, T>,
    input: &'a [T],
    output: &'a [T],
    slope: Slope,
    /// The norms of windows that are kept, and the elements of a row.
    norms: [T::Acc; READ],
    row: [T::Acc; ROOM],
}

impl<'a, T: Float> Norms<'a, T> {
    /// Reads input, output and the output's gradient.
    pub fn new([input, output, grad_output]: [&'a [T]; 3], grad_input: &'a mut [T], base: usize, slope: Slope) -> Self {
        let (norms, row) = ([T::Acc::ZERO; READ], [T::Acc::ZERO; ROOM]);
        Self { sums: Sums::new(grad_output, grad_input, base), input, output, slope, norms, row }
    }
}

impl<T: Float> Lanes for Norms<'_, T> {
    fn clear(&mut self, place: usize, len: usize) {
        // A norm of 0 gives nothing.
        part_mut(&mut self.norms, place, len).fill(T::Acc::ZERO);
    }

    fn keep(&mut self, run: &Run) {
        self.sums.keep(run);
        T::over_all(part(self.output, run.at, run.len), 1, part_mut(&mut self.norms, run.place, run.len));
    }

    fn reads_input(&self) -> bool {
        true
    }

    fn load(&mut self, pixels: &Pixels, place: usize) {
        let Pixels { at, step, channels, count } = *pixels;
        let to = part_mut(&mut self.row, place, count.saturating_mul(channels));
        if step == channels {
            return T::over_all(part(self.input, at, to.len()), 1, to);
        }
        let len = count.saturating_sub(1).saturating_mul(step).saturating_add(channels);
        T::widened_together(part(self.input, at, len), to, [step, channels]);
    }

    fn fold(&mut self, taps: &[Named], place: usize, len: usize, is_first: bool) {
        let Sums { sums, kept, .. } = &mut self.sums;
        let (sums, x) = (part_mut(sums, place, len), part(&self.row, place, len));
        if is_first {
            sums.fill(T::Acc::ZERO);
        }
        for tap in taps {
            let [y, gradient] = [&self.norms, &*kept].map(|kept| part(kept, tap.from, len));
            add_terms(sums, Terms { x, y, gradient }, &self.slope);
        }
    }

    fn spread(&mut self, _from: usize, _channels: usize, _place: usize, _len: usize) {}

    fn store(&mut self, pixels: &Pixels, place: usize) {
        self.sums.store(pixels, place);
    }

    fn store_in_turn(&mut self, at: usize, len: usize, even: usize, odd: usize) {
        self.sums.store_in_turn(at, len, even, odd);
    }
}

/// The gradient of maxima: the tap that an index names takes all.
pub(super) struct Winners<'a, T: Float> {
    sums: Sums<'a, T>,
    indices: Indices<'a>,
    /// Where the first tap of each window of a run is behind that of the first window.
    behind: [u32; KEPT],
    codes: [u32; READ],
}

impl<'a, T: Float> Winners<'a, T> {
    /// Windows are so far apart in the count, and the `channels` of a tile.
    pub fn new(
        grad_output: &'a [T],
        indices: Indices<'a>,
        (grad_input, base): (&'a mut [T], usize),
        [window, channel]: [u32; 2],
        channels: usize,
    ) -> Self {
        let mut behind = [0; KEPT];
        let mut pixel = 0_u32;
        for lanes in behind.chunks_mut(channels.max(1)) {
            let mut lane = pixel;
            for to in lanes {
                *to = lane;
                lane = lane.wrapping_add(channel);
            }
            pixel = pixel.wrapping_add(window);
        }
        Self { sums: Sums::new(grad_output, grad_input, base), indices, behind, codes: [0; READ] }
    }
}

#[inline(always)]
fn add_named<A: Sum, const N: usize>(kept: &[A], codes: &[u32], sums: &mut [A; N], tap: Named, lane: usize) {
    let from = tap.from.wrapping_add(lane);
    let (Some(gradients), Some(codes)) = (chunk::<_, N>(kept, from), chunk::<_, N>(codes, from)) else { return };
    for (sum, (gradient, code)) in sums.iter_mut().zip(gradients.iter().zip(codes)) {
        // No sum is −0, since each begins with +0: so a zero more changes no bit.
        *sum = sum.plus(if *code == tap.code { *gradient } else { A::ZERO });
    }
}

#[inline(never)]
fn fold_named<A: Sum>(kept: &[A], codes: &[u32], taps: &[Named], sums: &mut [A], is_first: bool) {
    widest(
        #[inline(always)]
        || {
            fold(
                taps,
                sums,
                is_first,
                #[inline(always)]
                |sums, tap, lane| add_named(kept, codes, sums, tap, lane),
                #[inline(always)]
                |sums, tap, lane| add_named(kept, codes, sums, tap, lane),
            )
        },
    );
}

impl<T: Float> Lanes for Winners<'_, T> {
    fn clear(&mut self, place: usize, len: usize) {
        part_mut(&mut self.sums.kept, place, len).fill(T::Acc::ZERO);
    }

    fn keep(&mut self, run: &Run) {
        self.sums.keep(run);
        // Of indices that were checked, or found: none is far from the first.
        let codes = part_mut(&mut self.codes, run.place, run.len);
        self.indices.codes(run.at, [run.first; 2], &self.behind, codes);
    }

    fn fold(&mut self, taps: &[Named], place: usize, len: usize, is_first: bool) {
        let Sums { sums, kept, .. } = &mut self.sums;
        fold_named(kept, &self.codes, taps, part_mut(sums, place, len), is_first);
    }

    fn spread(&mut self, _from: usize, _channels: usize, _place: usize, _len: usize) {}

    fn store(&mut self, pixels: &Pixels, place: usize) {
        self.sums.store(pixels, place);
    }

    fn store_in_turn(&mut self, at: usize, len: usize, even: usize, odd: usize) {
        self.sums.store_in_turn(at, len, even, odd);
    }
}
