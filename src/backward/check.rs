//! Whether every index names a tap of its window: many at a time, before anything is written.
//!
//! An index less that of its window's first tap is a *code*, a sum of tap numbers times what a tap of each axis adds. So a
//! window's codes lie in rows, and a code is a tap's if it lies in one of them, at a multiple of what a tap adds there. Windows
//! that the border cuts have the same rows: which numbers in a row are theirs, and where the first and the last of their taps is,
//! stands in tables of as many lanes as are checked together. These are the same in every block.
//!
//! ```text
//! for each part of a row of windows, or some whole rows, or some whole planes:
//!     make the tables
//!     for each block: codes; for each row of taps: is the code in it?
//! ```
//!
//! In a row the numbers are found without a division: a number is a multiple of an odd divisor if and only if its product with
//! the inverse modulo 2³² is not beyond the largest quotient, and then that is the quotient (Granlund and Montgomery, "Division by
//! invariant integers using multiplication", 1994); powers of two are turned to the upper end.

use core::array;
use core::ops::Range;

use super::axes::{Taps, Windows};
use super::codes::Indices;
use super::max::Maxima;
use crate::geometry::MAX_RANK;
use crate::kernels::vectorized;

/// Indices that are checked together.
const LANES: usize = 512;

/// Those of them whose codes are in registers.
const CHUNK: usize = 16;

type Lanes = [u32; LANES];

/// What is known of each lane's window.
struct Tables {
    /// How far its first tap's index is behind that of the first lane's.
    behind: Lanes,
    /// The first of its taps in a row, and how many more there are.
    low: Lanes,
    more: Lanes,
    /// The code of its first tap, and how far that of its last is from it.
    from: Lanes,
    span: Lanes,
}

/// What a row of taps is searched for.
#[derive(Clone, Copy)]
struct Rows {
    /// Tap numbers of the slow and of the middle axis, and what each adds to a code.
    slow: (u32, u32),
    mid: (u32, u32),
    adds: [u32; 2],
    /// The inverse of what a tap of the fast axis adds, and its power of two.
    inverse: u32,
    twos: u32,
}

/// Windows that are checked together, of some neighbouring blocks.
#[derive(Clone)]
struct Group {
    blocks: usize,
    z: usize,
    y: Range<usize>,
    x: Range<usize>,
    channels: Range<usize>,
}

pub(super) struct Check<'a> {
    maxima: &'a Maxima<'a>,
    /// What a step on an axis adds to the index of a window's first tap, and what a tap adds to a code.
    places: [usize; MAX_RANK],
    adds: [u32; MAX_RANK],
    /// Which axes' taps are the nearest and the farthest in the count, and which is left.
    fast: usize,
    mid: usize,
    slow: usize,
    /// The largest code.
    most: u32,
}

impl<'a> Check<'a> {
    /// `None` where indices must be looked at one by one.
    pub fn new(maxima: &'a Maxima<'a>) -> Option<Self> {
        let layer = maxima.layer;
        let output = &layer.output;
        if output.extent() != output.count() || !output.has_packed_planes() {
            return None;
        }
        let is_flat = matches!(layer.axes.first(), Some(axis) if axis.input() == 1 && axis.most_taps() == 1 && axis.output() == 1);
        let is_column_major = maxima.rule.weights.is_some_and(|weights| weights.is_column_major);
        // Rows of one tile are cut differently on two axes: the third, in the middle, must have no more than one tap.
        let [fast, mid, slow] = match (is_flat, is_column_major) {
            (true, false) => [2, 0, 1],
            (true, true) => [1, 0, 2],
            (false, false) => [2, 1, 0],
            (false, true) => return None,
        };
        let (mut places, mut adds, mut most) = ([0; MAX_RANK], [0; MAX_RANK], 0_usize);
        let mut kernel = 1_usize;
        for axis in (0..MAX_RANK).rev() {
            let windows = layer.axes.get(axis)?;
            let (place, add) = match (&maxima.rule.weights, windows) {
                (Some(weights), Windows::Adaptive { .. }) => (*weights.axes.get(axis)?, *weights.axes.get(axis)?),
                (Some(weights), Windows::Sliding { axis: along, .. }) => {
                    let weight = *weights.axes.get(axis)?;
                    // Of one tap nothing is added, however far the next would be.
                    (weight, if along.kernel == 1 { weight } else { weight.checked_mul(along.dilation)? })
                }
                // Taps are counted row by row.
                (None, Windows::Sliding { .. }) => (0, kernel),
                (None, Windows::Adaptive { .. }) => return None,
            };
            kernel = kernel.checked_mul(windows.most_taps())?;
            most = most.checked_add(add.checked_mul(windows.most_taps().saturating_sub(1))?)?;
            *places.get_mut(axis)? = place;
            *adds.get_mut(axis)? = u32::try_from(add).ok().filter(|add| *add > 0)?;
        }
        let most = u32::try_from(most).ok().filter(|most| *most < u32::MAX)?;
        Some(Self { maxima, places, adds, fast, mid, slow, most })
    }

    /// Whether every index names a tap of its window: not the whole truth, which [`Maxima::check_indices`] tells, where it says
    /// no.
    pub fn holds(&self, indices: Indices<'_>) -> bool {
        let mut tables = Tables::new();
        let layer = self.maxima.layer;
        let [depth, height, width] = layer.output.lengths;
        let (outer, inner) = (layer.split().outer, layer.split().inner);
        let row = width.saturating_mul(inner);
        // Some pixels of a row or, of long ones, some channels.
        let columns = LANES.checked_div(inner).unwrap_or(1).clamp(1, width.max(1));
        let channels = LANES.min(inner);
        let is_flat = self.mid == 0;
        let whole_rows = if is_flat { LANES.checked_div(row).unwrap_or(0).clamp(1, height.max(1)) } else { 1 };
        let whole_planes = if whole_rows == height && depth == 1 && columns == width && self.are_even() {
            LANES.checked_div(height.saturating_mul(row)).unwrap_or(0).clamp(1, outer.max(1))
        } else {
            1
        };
        for x in (0..width).step_by(columns) {
            let x = x..x.saturating_add(columns).min(width);
            for channel in (0..inner).step_by(channels.max(1)) {
                let channels = channel..channel.saturating_add(channels).min(inner);
                for y in (0..height).step_by(whole_rows) {
                    let y = y..y.saturating_add(whole_rows).min(height);
                    let group = Group { blocks: whole_planes, z: 0, y, x: x.clone(), channels: channels.clone() };
                    // In layers of three axes a row has the tables of the one before.
                    if (is_flat || group.y.start == 0) && !self.fill(&mut tables, &group) {
                        return false;
                    }
                    for z in 0..depth {
                        let group = Group { z, ..group.clone() };
                        for block in (0..outer).step_by(whole_planes) {
                            // The last planes may be among those before, which does no harm.
                            if !self.holds_in(indices, &tables, &group, block.min(outer.saturating_sub(whole_planes))) {
                                return false;
                            }
                        }
                    }
                }
            }
        }
        true
    }

    /// Whether the first index of a block is as far from the one before in every block.
    fn are_even(&self) -> bool {
        let split = self.maxima.layer.split();
        let weights = &self.maxima.rule.weights;
        let is_even = |channels: usize, image: usize, channel: usize| {
            split.inner == channels || image == channels.saturating_mul(channel)
        };
        weights.is_none_or(|weights| is_even(weights.channels, weights.image, weights.channel))
    }

    fn taps(&self, window: [usize; MAX_RANK]) -> [Taps; MAX_RANK] {
        self.maxima.taps(window)
    }

    /// The index of a window's first tap, were there no padding: it may lie before all that there are.
    fn origin(&self, block: usize, channel: usize, taps: &[Taps; MAX_RANK]) -> i64 {
        let inner = self.maxima.layer.split().inner;
        let plane = self.maxima.rule.weights.map_or(0, |weights| {
            weights.of_plane(block.saturating_mul(inner)).wrapping_add(weights.channel.wrapping_mul(channel))
        });
        let first = |taps: &Taps| taps.start.wrapping_sub(taps.skipped.wrapping_mul(taps.step));
        let in_plane = taps.iter().zip(self.places).map(|(taps, place)| first(taps).wrapping_mul(place));
        in_plane.fold(plane, usize::wrapping_add) as i64
    }

    /// Makes the tables of a group; `false` where a window has no taps, or is too far from the first.
    fn fill(&self, tables: &mut Tables, group: &Group) -> bool {
        let mut lane = 0;
        let mut all = true;
        let first = self.origin(0, group.channels.start, &self.taps([group.z, group.y.start, group.x.start]));
        for block in 0..group.blocks {
            for y in group.y.clone() {
                for x in group.x.clone() {
                    let taps = self.taps([group.z, y, x]);
                    all &= self.fill_pixel(tables, lane, &taps, group, (first, block));
                    lane = lane.saturating_add(group.channels.len());
                }
            }
        }
        let end = lane.next_multiple_of(CHUNK);
        for (table, value) in [(&mut tables.more, u32::MAX), (&mut tables.span, u32::MAX)] {
            // Lanes that are none hold whatever they have.
            table.get_mut(lane..end).unwrap_or_default().fill(value);
        }
        all
    }

    fn fill_pixel(
        &self,
        tables: &mut Tables,
        lane: usize,
        taps: &[Taps; MAX_RANK],
        group: &Group,
        (first, block): (i64, usize),
    ) -> bool {
        // Without a tap there is no last one.
        let (Some(fast), true) = (taps.get(self.fast), taps.iter().all(|taps| taps.count > 0)) else { return false };
        let code = |number: &dyn Fn(&Taps) -> usize| {
            let code = taps.iter().zip(self.adds).map(|(taps, add)| (number(taps) as u32).wrapping_mul(add));
            code.fold(0, u32::wrapping_add)
        };
        let (mut from, mut span) = (code(&|taps| taps.skipped), code(&|taps| taps.count.saturating_sub(1)));
        if self.mid != 0 {
            // The rows that are searched say it all.
            (from, span) = (0, u32::MAX);
        }
        let lanes = lane..lane.saturating_add(group.channels.len());
        let behind = self.origin(block, group.channels.start, taps).wrapping_sub(first);
        let step = self.maxima.rule.weights.map_or(0, |weights| weights.channel);
        let last = (group.channels.len().saturating_sub(1)).saturating_mul(step);
        let is_near = behind >= 0
            && (behind as u64).saturating_add(last as u64).saturating_add(u64::from(self.most)) < u64::from(u32::MAX);
        let mut lane_behind = behind as u32;
        for to in tables.behind.get_mut(lanes.clone()).unwrap_or_default() {
            *to = lane_behind;
            lane_behind = lane_behind.wrapping_add(step as u32);
        }
        for (table, value) in [
            (&mut tables.low, fast.skipped as u32),
            (&mut tables.more, fast.count.saturating_sub(1) as u32),
            (&mut tables.from, from),
            (&mut tables.span, span),
        ] {
            table.get_mut(lanes.clone()).unwrap_or_default().fill(value);
        }
        is_near
    }

    /// Whether the indices of a group's windows name their taps, in the blocks from number `block` on.
    fn holds_in(&self, indices: Indices<'_>, tables: &Tables, group: &Group, block: usize) -> bool {
        let output = &self.maxima.layer.output;
        let window = [group.z, group.y.start, group.x.start];
        let at = output.block(block).saturating_add(output.pixel(window)).saturating_add(group.channels.start);
        let windows = group.blocks.saturating_mul(group.y.len()).saturating_mul(group.x.len());
        let lanes = windows.saturating_mul(group.channels.len()).min(LANES);
        let taps = self.taps(window);
        let (Some(mid), Some(slow)) = (taps.get(self.mid), taps.get(self.slow)) else { return false };
        let valid = |taps: &Taps| (taps.skipped as u32, taps.skipped.saturating_add(taps.count) as u32);
        let axes = &self.maxima.layer.axes;
        let (mid, slow) = if self.mid == 0 {
            // Windows of several rows: all rows that one of them may have.
            ((0, 1), (0, axes.get(self.slow).map_or(0, Windows::most_taps) as u32))
        } else {
            (valid(mid), valid(slow))
        };
        let add = |axis: usize| self.adds.get(axis).copied().unwrap_or(1);
        let by = add(self.fast);
        let twos = by.trailing_zeros();
        let adds = [add(self.slow), add(self.mid)];
        let rows = Rows { slow, mid, adds, inverse: inverse(by.checked_shr(twos).unwrap_or(1)), twos };
        let mut codes = [0; LANES];
        let first = self.origin(block, group.channels.start, &taps);
        indices.codes(at, first, &tables.behind, codes.get_mut(..lanes).unwrap_or_default());
        if by == 1 { tables.hold(&codes, lanes, &rows) } else { tables.hold_multiples(&codes, lanes, &rows) }
    }
}

/// The inverse of an odd number modulo 2³².
fn inverse(odd: u32) -> u32 {
    // Correct in the lowest three bits; each step doubles them.
    (0..4).fold(odd, |x, _| x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x))))
}

impl Tables {
    fn new() -> Self {
        let zeros = [0; LANES];
        Self { behind: zeros, low: zeros, more: zeros, from: zeros, span: zeros }
    }

    /// Whether all codes are those of taps, where neighbouring taps have neighbouring codes.
    #[inline(never)]
    fn hold(&self, codes: &Lanes, lanes: usize, rows: &Rows) -> bool {
        vectorized(
            #[inline(always)]
            || self.hold_by(codes, lanes, rows, |code| code, |number| number),
        )
    }

    /// The same where they lie apart.
    #[inline(never)]
    fn hold_multiples(&self, codes: &Lanes, lanes: usize, rows: &Rows) -> bool {
        let (inverse, twos) = (rows.inverse, rows.twos);
        vectorized(
            #[inline(always)]
            || self.hold_by(codes, lanes, rows, |code| code.wrapping_mul(inverse), |number| number.rotate_right(twos)),
        )
    }

    #[inline(always)]
    fn hold_by(
        &self,
        codes: &Lanes,
        lanes: usize,
        rows: &Rows,
        times: impl Fn(u32) -> u32,
        turned: impl Fn(u32) -> u32,
    ) -> bool {
        let chunks = lanes.div_ceil(CHUNK);
        let [codes, low, more, from, span] = [codes, &self.low, &self.more, &self.from, &self.span]
            .map(|table| table.as_chunks::<CHUNK>().0.get(..chunks).unwrap_or_default());
        let mut failed = [0; CHUNK];
        for ((code, (low, more)), (from, span)) in codes.iter().zip(low.iter().zip(more)).zip(from.iter().zip(span)) {
            let mut is_tap = [0; CHUNK];
            let numbers = code.map(&times);
            for slow in rows.slow.0..rows.slow.1 {
                for mid in rows.mid.0..rows.mid.1 {
                    let [by_slow, by_mid] = rows.adds;
                    let begin = times(slow.wrapping_mul(by_slow).wrapping_add(mid.wrapping_mul(by_mid)));
                    let lanes = is_tap.iter_mut().zip(&numbers).zip(low.iter().zip(more));
                    for ((is_tap, number), (low, more)) in lanes {
                        let is_in = turned(number.wrapping_sub(begin)).wrapping_sub(*low) <= *more;
                        *is_tap |= if is_in { u32::MAX } else { 0 };
                    }
                }
            }
            let reached: [u32; CHUNK] = array::from_fn(|lane| {
                let (code, from, span) = (code.get(lane), from.get(lane), span.get(lane));
                let (code, from) = (code.copied().unwrap_or(0), from.copied().unwrap_or(0));
                if code.wrapping_sub(from) <= span.copied().unwrap_or(0) { u32::MAX } else { 0 }
            });
            for (failed, (is_tap, reached)) in failed.iter_mut().zip(is_tap.iter().zip(&reached)) {
                *failed |= !(is_tap & reached);
            }
        }
        failed == [0; CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_found_by_products() {
        for by in (1..2000).chain([4096, 65_535, 65_536, 65_537, 1 << 30]) {
            let twos = (by as u32).trailing_zeros();
            let inverse = inverse(by >> twos);
            let most = u32::MAX / by;
            for number in (0..40).chain([by - 1, by, by + 1, most * by, most.saturating_mul(by).saturating_sub(1)]) {
                let quotient = number.wrapping_mul(inverse).rotate_right(twos);
                let want = if number % by == 0 { Some(number / by) } else { None };
                assert_eq!((quotient <= most).then_some(quotient), want, "{number} by {by}");
            }
        }
    }
}
