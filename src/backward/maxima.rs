//! A layer of maxima or minima with its rule: what its indices mean, whether they are right, how they are found again, and what
//! they give to the elements that they name.

use core::cmp::Ordering;
use core::ops::Range;

use super::axes::{Adjoint, Taps, Windows, offset};
use super::check::Check;
use super::codes::Coding;
use super::rows::Plan;
use super::sealed::Sum;
use super::{Float, Gives, LANES, Tap, part};
use crate::geometry::MAX_RANK;
use crate::index::{IndexType, Indices, IndicesMut, Weights};
use crate::strides::Split;
use crate::{Error, Index, IndexKind, NanPolicy, Result};

/// Which tap wins, and how an index names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub kind: IndexKind,
    /// `None` where an index counts the taps of its window.
    pub weights: Option<Weights>,
    /// What a value must be, compared with the best so far, to take its place: greater for a maximum.
    pub wins: Ordering,
    pub nan: NanPolicy,
}

/// A layer with its rule: what does not depend on types, and is compiled once.
#[derive(Clone, Copy)]
pub(super) struct Maxima<'a> {
    pub layer: &'a Adjoint,
    pub rule: Rule,
}

impl Maxima<'_> {
    /// How a layer whose indices have codes is cut into tiles.
    pub fn rows(&self) -> Option<(Plan, Coding)> {
        let [.., width] = &self.layer.axes;
        let coding = Coding::new(self.layer, self.rule.weights)?;
        matches!(width, Windows::Sliding { .. }).then_some((Plan::new(self.layer)?, coding))
    }

    /// The most windows that hold one element.
    pub fn cover(&self) -> usize {
        self.layer.axes.iter().map(Windows::most_covering).fold(1, usize::saturating_mul)
    }

    /// Whether an index type holds every index that may occur.
    pub fn check(&self, index: IndexType) -> Result<()> {
        let taps = || self.layer.axes.iter().map(Windows::most_taps).fold(1, usize::saturating_mul);
        index.check(self.places_in_tensor().unwrap_or_else(taps).saturating_sub(1))
    }

    /// How many places an index can name; `None` where that is the window's to say.
    fn places_in_tensor(&self) -> Option<usize> {
        let Split { batch, channels, .. } = self.layer.split();
        self.rule.kind.places(batch, channels, self.layer.input.lengths)
    }

    /// How many places an index of a window with these taps can name.
    fn places(&self, taps: &[Taps; MAX_RANK]) -> usize {
        let taps = || taps.iter().map(|taps| taps.kernel).fold(1, usize::saturating_mul);
        self.places_in_tensor().unwrap_or_else(taps)
    }

    pub fn taps(&self, [z, y, x]: [usize; MAX_RANK]) -> [Taps; MAX_RANK] {
        let [depth, height, width] = &self.layer.axes;
        [depth.taps(z), height.taps(y), width.taps(x)]
    }

    /// The index of a pixel in a window: of channels in one plane after the other, the first one's, and how much further each
    /// next one's is. `numbers` are the pixel's tap numbers, read for [`IndexKind::Tap`] only.
    fn index(
        &self,
        plane: usize,
        at: [usize; MAX_RANK],
        numbers: &dyn Fn() -> ([usize; MAX_RANK], [usize; MAX_RANK]),
    ) -> (usize, usize) {
        match &self.rule.weights {
            Some(weights) => (weights.of_plane(plane).saturating_add(weights.of_pixel(at)), weights.channel),
            None => {
                let (numbers, kernel) = numbers();
                (offset(numbers, kernel), 0)
            }
        }
    }

    /// Whether an index in range names a valid tap of a window of plane `plane`.
    fn names_a_tap(&self, index: usize, plane: usize, taps: &[Taps; MAX_RANK]) -> bool {
        if let Some(weights) = &self.rule.weights {
            // No tap is a pixel beyond the plane.
            let pixel = index.checked_sub(weights.of_plane(plane)).and_then(|distance| weights.pixel(distance));
            return pixel.is_some_and(|at| taps.iter().zip(at).all(|(taps, at)| taps.number(at).is_some()));
        }
        let split =
            |offset: usize, by: usize| (offset.checked_div(by).unwrap_or(0), offset.checked_rem(by).unwrap_or(0));
        let [_, height, width] = taps;
        let (rest, x) = split(index, width.kernel);
        let (z, y) = split(rest, height.kernel);
        let is_valid =
            |(taps, number): (&Taps, usize)| number.checked_sub(taps.skipped).is_some_and(|number| number < taps.count);
        taps.iter().zip([z, y, x]).all(is_valid)
    }

    /// Calls `work` for every window of some blocks, in the order of memory: its block, and which output of a plane it is.
    fn each_window(
        &self,
        blocks: Range<usize>,
        work: &mut dyn FnMut(usize, [usize; MAX_RANK]) -> Result<()>,
    ) -> Result<()> {
        let [depth, height, width] = self.layer.output.lengths;
        for outer in blocks {
            for z in 0..depth {
                for y in 0..height {
                    for x in 0..width {
                        work(outer, [z, y, x])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the indices of a window's channels lie.
    fn indices_of(&self, outer: usize, window: [usize; MAX_RANK]) -> core::ops::Range<usize> {
        let output = &self.layer.output;
        let start = output.block(outer).saturating_add(output.pixel(window));
        start..start.saturating_add(output.split.inner)
    }

    pub fn check_indices(&self, indices: Indices<'_>, blocks: &Range<usize>) -> Result<()> {
        if indices.len() == 0 || Check::new(self).is_some_and(|check| check.holds(indices, blocks)) {
            return Ok(());
        }
        let Split { inner, .. } = self.layer.split();
        self.each_window(blocks.clone(), &mut |outer, window| {
            let place = self.indices_of(outer, window);
            let (start, plane) = (place.start, outer.saturating_mul(inner));
            let taps = self.taps(window);
            let len = self.places(&taps);
            let is_empty = taps.iter().any(|taps| taps.count == 0);
            for at in place {
                let Some(index) = indices.get(at).filter(|index| !is_empty || *index != -1) else { continue };
                let offset = usize::try_from(index).ok().filter(|offset| *offset < len);
                let Some(offset) = offset else { return Err(Error::IndexOutOfRange { at, index, len }) };
                if !self.names_a_tap(offset, plane.saturating_add(at.saturating_sub(start)), &taps) {
                    return Err(Error::IndexOutsideWindow { at, index });
                }
            }
            Ok(())
        })
    }

    /// Whether `value` takes the place of `best`, which came before it.
    #[inline(always)]
    fn replaces<A: Sum>(&self, value: A, best: A) -> bool {
        let wins = value.partial_cmp(&best) == Some(self.rule.wins);
        match self.rule.nan {
            // The last NaN: once there is one, nothing else is greater.
            NanPolicy::Propagate => wins || value.is_nan(),
            // Anything is better than NaN, and a later NaN takes the place of an earlier one.
            NanPolicy::Ignore => wins || best.is_nan(),
        }
    }

    /// Finds the index of every window, some neighbouring channels at a time.
    pub fn find<T: Float>(&self, input: &[T], mut indices: IndicesMut<'_>) {
        if self.layer.output_len() == 0 {
            return;
        }
        let Split { inner, outer, .. } = self.layer.split();
        // Never an error: the work has none.
        let _ = self.each_window(0..outer, &mut |outer, window| {
            let taps = self.taps(window);
            let mut place = self.indices_of(outer, window).start;
            for channel in (0..inner).step_by(LANES) {
                let mut found = [usize::MAX; LANES];
                let found = found.get_mut(..inner.saturating_sub(channel).min(LANES)).unwrap_or_default();
                let step = self.find_some(input, (outer, channel), &taps, found);
                for (lane, index) in found.iter().enumerate() {
                    indices.set(place, index.saturating_add(lane.saturating_mul(step)));
                    place = place.saturating_add(1);
                }
            }
            Ok(())
        });
    }

    /// Finds the maxima of one window for some neighbouring channels, from number `channel` of the block on: the index
    /// of each as it would be in the first of them, `usize::MAX` where there is none, and what is to be added from one
    /// to the next.
    #[inline(never)]
    fn find_some<T: Float>(
        &self,
        input: &[T],
        (outer, channel): (usize, usize),
        taps: &[Taps; MAX_RANK],
        found: &mut [usize],
    ) -> usize {
        let from = &self.layer.input;
        let plane = outer.saturating_mul(from.split.inner).saturating_add(channel);
        let block = from.block(outer).saturating_add(channel);
        let kernel = taps.each_ref().map(|taps| taps.kernel);
        let [depth, height, width] = taps;
        let mut best = [T::Acc::ZERO; LANES];
        let (mut is_first, mut step) = (true, 0);
        for (z, tz) in depth.iter() {
            for (y, ty) in height.iter() {
                for (x, tx) in width.iter() {
                    let at = [z, y, x];
                    let first;
                    (first, step) = self.index(plane, at, &|| ([tz, ty, tx], kernel));
                    let values = part(input, block.saturating_add(from.pixel(at)), found.len());
                    for ((found, best), value) in found.iter_mut().zip(&mut best).zip(values) {
                        let value = value.widened();
                        if is_first || self.replaces(value, *best) {
                            (*best, *found) = (value, first);
                        }
                    }
                    is_first = false;
                }
            }
        }
        step
    }
}

/// The gradient of a window goes to the tap that its index names.
pub(super) struct Winners<'a, T> {
    pub maxima: Maxima<'a>,
    pub grad_output: &'a [T],
    pub indices: Indices<'a>,
}

impl<T: Float> Gives<T> for Winners<'_, T> {
    /// The index of the pixel in the first channel, and from one channel to the next; none where each window has its
    /// own.
    type Known = Option<(usize, usize)>;

    #[inline(always)]
    fn known(&self, plane: usize, at: [usize; MAX_RANK]) -> Self::Known {
        let is_own = self.maxima.rule.weights.is_none();
        (!is_own).then(|| self.maxima.index(plane, at, &Default::default))
    }

    #[inline(always)]
    fn one(&self, known: Self::Known, tap: &Tap, sum: T::Acc) -> T::Acc {
        let (here, _) = known.unwrap_or_else(|| (self.maxima.number(tap), 0));
        let outputs = self.indices.get(tap.output).zip(self.grad_output.get(tap.output));
        let Some((index, gradient)) = outputs else { return sum };
        let more = sum.plus(gradient.widened());
        if is_at(index, here) { more } else { sum }
    }

    #[inline(always)]
    fn many(&self, known: Self::Known, tap: &Tap, sums: &mut [T::Acc]) {
        let (first, step) = known.unwrap_or_else(|| (self.maxima.number(tap), 0));
        let lanes = sums.len();
        let mut room = [T::Acc::ZERO; LANES];
        let gradients = T::widened_all(part(self.grad_output, tap.output, lanes), &mut room);
        match self.indices {
            Indices::Short(indices) => add_named(sums, part(indices, tap.output, lanes), gradients, (first, step)),
            Indices::Long(indices) => add_named(sums, part(indices, tap.output, lanes), gradients, (first, step)),
        }
    }
}

/// Whether an index names a place, which fits its type.
#[inline(always)]
fn is_at(index: i64, place: usize) -> bool {
    usize::try_from(index) == Ok(place)
}

/// Adds the gradients whose index is `first` in the first lane, and `step` more from one to the next.
#[inline(never)]
fn add_named<A: Sum, I: Index>(sums: &mut [A], indices: &[I], gradients: &[A], (first, step): (usize, usize)) {
    let outputs = sums.iter_mut().zip(indices.iter().zip(gradients));
    let add = |sum: &mut A, is_named: bool, gradient: A| {
        let more = sum.plus(gradient);
        *sum = if is_named { more } else { *sum };
    };
    if step == 0 {
        let Some(here) = I::from_offset(first) else { return };
        for (sum, (index, gradient)) in outputs {
            add(sum, *index == here, *gradient);
        }
    } else {
        for (channel, (sum, (index, gradient))) in outputs.enumerate() {
            let here = I::from_offset(first.saturating_add(channel.saturating_mul(step)));
            add(sum, Some(*index) == here, *gradient);
        }
    }
}

impl Maxima<'_> {
    /// The number of a tap in its window.
    fn number(&self, tap: &Tap) -> usize {
        let taps = self.taps(tap.window);
        let mut numbers = [0; MAX_RANK];
        for (number, (taps, at)) in numbers.iter_mut().zip(taps.iter().zip(tap.at)) {
            *number = taps.number(at).unwrap_or(usize::MAX);
        }
        offset(numbers, taps.map(|taps| taps.kernel))
    }
}
