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
//!     for each block: codes; how far is each from the begin of a row before it?
//! ```
//!
//! As numbers modulo 2³² codes before a row's begin are the farthest from it. So of a code's distances from all begins the least one
//! says whether it lies in any row: rows have no code in common that is a tap's in both, since the table begins them where their
//! own valid taps do.
//!
//! In a row the numbers are found without a division: a number is a multiple of an odd divisor if and only if its product with
//! the inverse modulo 2³² is not beyond the largest quotient, and then that is the quotient (Granlund and Montgomery, "Division by
//! invariant integers using multiplication", 1994); powers of two are turned to the upper end.

use core::ops::Range;

use super::axes::{Taps, Windows};
use super::codes::{Coding, FARTHEST};
use super::maxima::Maxima;
use super::{part, part_mut};
use crate::geometry::MAX_RANK;
use crate::index::Indices;
use crate::kernels::widest;

/// Indices that are checked together.
const LANES: usize = 512;

/// Rows of taps that a window may have, and how many of them are looked at together.
const ROWS: usize = 63;
const TOGETHER: usize = 3;

type Lanes = [u32; LANES];

/// What is known of each lane's window.
struct Tables {
    /// How far the index of the first tap of a row is behind that of the first lane's window.
    behind: Lanes,
    /// How many more taps there are in a row.
    more: Lanes,
    /// From there to the first of all taps, and from that to the last: read where windows have different rows.
    from: Lanes,
    span: Lanes,
    codes: Lanes,
    /// How far each code is from the nearest begin of a row before it.
    least: Lanes,
}

/// The rows of the windows of a group.
struct Rows {
    /// The codes of their begins; a whole number of [`TOGETHER`].
    begins: [u32; ROWS],
    count: usize,
    /// What a tap in a row adds to a code.
    by: u32,
    /// Whether some windows do not have all rows.
    differ: bool,
}

/// What the tables say of one window, and how far its first tap is behind that of the first.
struct Known {
    values: [u32; 4],
    behind: u64,
}

/// The number of the table `more`, the only one that is not a sum over the axes.
const MORE: usize = 1;

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
    coding: Coding,
    /// Which axes' taps are the nearest and the farthest in the count, and which is left.
    fast: usize,
    mid: usize,
    slow: usize,
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
        Some(Self { maxima, coding: Coding::new(layer, maxima.rule.weights)?, fast, mid, slow })
    }

    /// Whether every index of some blocks names a tap of its window: not the whole truth, which [`Maxima::check_indices`] tells, where it says
    /// no.
    pub fn holds(&self, indices: Indices<'_>, some: &Range<usize>) -> bool {
        let mut tables = Tables::new();
        let layer = self.maxima.layer;
        let [depth, height, width] = layer.output.lengths;
        let (outer, inner) = (some.len(), layer.split().inner);
        let row = width.saturating_mul(inner);
        // Some pixels of a row or, of long ones, some channels.
        let columns = LANES.checked_div(inner).unwrap_or(1).clamp(1, width.max(1));
        let channels = LANES.min(inner);
        let is_flat = self.mid == 0;
        let whole = layer.axes.get(1).map_or(0..0, Windows::whole);
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
                // The rows of the group that the tables are for, if none of them is cut: then they are those of every such group.
                let mut filled = 0;
                for y in (0..height).step_by(whole_rows) {
                    let y = y..y.saturating_add(whole_rows).min(height);
                    let uncut = if whole.start <= y.start && y.end <= whole.end { y.len() } else { 0 };
                    let group = Group { blocks: whole_planes, z: 0, y, x: x.clone(), channels: channels.clone() };
                    // In layers of three axes a row has the tables of the one before.
                    let is_filled = if is_flat { uncut > 0 && uncut == filled } else { group.y.start > 0 };
                    if !is_filled && !self.fill(&mut tables, &group) {
                        return false;
                    }
                    filled = uncut;
                    for z in 0..depth {
                        let group = Group { z, ..group.clone() };
                        let Some(rows) = self.rows(&group) else { return false };
                        for block in (0..outer).step_by(whole_planes) {
                            // The last planes may be among those before, which does no harm.
                            let block = block.min(outer.saturating_sub(whole_planes)).saturating_add(some.start);
                            if !self.holds_in(indices, &mut tables, &group, &rows, block) {
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

    fn origin(&self, block: usize, channel: usize, taps: &[Taps; MAX_RANK]) -> i64 {
        let plane = block.saturating_mul(self.maxima.layer.split().inner);
        self.coding.origin(plane, channel, taps.map(Some))
    }

    /// Makes the tables of a group; `false` where a window has no taps, or is too far from the first. What is in them is a sum of
    /// what the axes give: so rows are the first one moved.
    fn fill(&self, tables: &mut Tables, group: &Group) -> bool {
        let (pixel, step) = (group.channels.len(), self.maxima.rule.weights.map_or(0, |weights| weights.channel));
        let row = group.x.len().saturating_mul(pixel);
        let corner = [group.z, group.y.start, group.x.start];
        let first = self.origin(0, group.channels.start, &self.taps(corner));
        let known = |block: usize, window| self.known(block, group.channels.start, window, first);
        let Some(start) = known(0, corner) else { return false };
        let mut lane = 0_usize;
        let (mut across, mut down) = (0, 0);
        for x in group.x.clone() {
            let Some(known) = known(0, [group.z, group.y.start, x]) else { return false };
            let lanes = lane..lane.saturating_add(pixel);
            for (table, value) in tables.all().into_iter().zip(known.values) {
                table.get_mut(lanes.clone()).unwrap_or_default().fill(value);
            }
            let behind = tables.behind.get_mut(lanes.clone()).unwrap_or_default();
            behind
                .iter_mut()
                .enumerate()
                .for_each(|(channel, to)| *to = to.wrapping_add((channel.wrapping_mul(step)) as u32));
            (lane, across) = (lanes.end, across.max(known.behind));
        }
        for block in 0..group.blocks {
            for y in group.y.clone() {
                let Some(known) = known(block, [group.z, y, group.x.start]) else { return false };
                let at = block.saturating_mul(group.y.len()).saturating_add(y.saturating_sub(group.y.start));
                let at = at.saturating_mul(row);
                down = down.max(known.behind);
                for (number, (table, (value, start))) in
                    tables.all().into_iter().zip(known.values.into_iter().zip(start.values)).enumerate()
                {
                    let (from, to) = table.split_at_mut_checked(at).unwrap_or_default();
                    let to = to.get_mut(..row).unwrap_or_default();
                    if number == MORE && self.fast != 2 {
                        // All lanes of a row have the same rows' lengths, and the first row its own.
                        to.fill(value);
                    } else {
                        let moved = value.wrapping_sub(start);
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.wrapping_add(moved));
                    }
                }
            }
        }
        let channels = pixel.saturating_mul(step) as u64;
        across.saturating_add(down).saturating_add(channels).saturating_add(u64::from(self.coding.most))
            < u64::from(FARTHEST)
    }

    /// What the tables say of a window; `None` where it has no taps.
    fn known(&self, block: usize, channel: usize, window: [usize; MAX_RANK], first: i64) -> Option<Known> {
        let taps = self.taps(window);
        if taps.iter().any(|taps| taps.count == 0) {
            return None;
        }
        let fast = taps.get(self.fast)?;
        let code = |number: fn(&Taps) -> usize| self.coding.code(taps.each_ref().map(number));
        let behind = u64::try_from(self.origin(block, channel, &taps).wrapping_sub(first)).ok()?;
        let skipped = (fast.skipped as u32).wrapping_mul(self.add(self.fast));
        let values = [
            (behind as u32).wrapping_add(skipped),
            fast.count.saturating_sub(1) as u32,
            code(|taps| taps.skipped).wrapping_sub(skipped),
            code(|taps| taps.count.saturating_sub(1)),
        ];
        Some(Known { values, behind })
    }

    fn add(&self, axis: usize) -> u32 {
        self.coding.adds.get(axis).copied().unwrap_or(1)
    }

    /// The rows of a group's windows; `None` where there are too many.
    fn rows(&self, group: &Group) -> Option<Rows> {
        let layer = self.maxima.layer;
        let taps = self.taps([group.z, group.y.start, group.x.start]);
        let valid = |taps: &Taps| taps.skipped..taps.skipped.saturating_add(taps.count);
        let (mut slow, mid) = (valid(taps.get(self.slow)?), valid(taps.get(self.mid)?));
        let mut differ = false;
        if self.mid == 0 {
            // Of windows cut differently, all rows that one may have.
            let axis = layer.axes.get(self.slow)?;
            let at = if self.slow == 1 { group.y.clone() } else { group.x.clone() };
            differ = at.clone().any(|o| valid(&axis.taps(o)) != slow);
            let all = at.map(|o| valid(&axis.taps(o)));
            slow = all.fold(slow, |all, some| all.start.min(some.start)..all.end.max(some.end));
        }
        let mut rows = Rows { begins: [0; ROWS], count: 0, by: self.add(self.fast), differ };
        let mut begin = 0;
        for slow in slow {
            for mid in mid.clone() {
                begin = (slow as u32).wrapping_mul(self.add(self.slow));
                begin = begin.wrapping_add((mid as u32).wrapping_mul(self.add(self.mid)));
                *rows.begins.get_mut(rows.count)? = begin;
                rows.count = rows.count.saturating_add(1);
            }
        }
        // The last one fills what is looked at with it.
        rows.begins.get_mut(rows.count..).unwrap_or_default().fill(begin);
        (rows.count > 0).then_some(rows)
    }

    /// Whether the indices of a group's windows name their taps, in the blocks from number `block` on.
    fn holds_in(&self, indices: Indices<'_>, tables: &mut Tables, group: &Group, rows: &Rows, block: usize) -> bool {
        let layer = self.maxima.layer;
        let window = [group.z, group.y.start, group.x.start];
        let at = layer.output.block(block).saturating_add(layer.output.pixel(window));
        let windows = group.blocks.saturating_mul(group.y.len()).saturating_mul(group.x.len());
        let lanes = windows.saturating_mul(group.channels.len()).min(LANES);
        let first = self.origin(block, group.channels.start, &self.taps(window));
        let plane = block.saturating_mul(layer.split().inner);
        let base = self.maxima.rule.weights.map_or(0, |weights| weights.of_plane(plane)) as i64;
        tables.hold(indices, at.saturating_add(group.channels.start), [base, first], lanes, rows)
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
        Self { behind: zeros, more: zeros, from: zeros, span: zeros, codes: zeros, least: zeros }
    }

    /// Those that are made of windows, in the order of [`Known::values`].
    fn all(&mut self) -> [&mut Lanes; 4] {
        let Self { behind, more, from, span, .. } = self;
        [behind, more, from, span]
    }

    /// Whether so many neighbouring indices from number `at` on are those of taps.
    fn hold(&mut self, indices: Indices<'_>, at: usize, from: [i64; 2], lanes: usize, rows: &Rows) -> bool {
        let Self { behind, more, codes, .. } = self;
        let [behind, more] = [&*behind, &*more].map(|table| part(table, 0, lanes));
        let codes = part_mut(codes, 0, lanes);
        let begins = rows.begins.as_chunks::<TOGETHER>().0.get(..rows.count.div_ceil(TOGETHER)).unwrap_or_default();
        let is_named = if let (&[begins], 1) = (begins, rows.by) {
            let (are_near, are_named) = indices.in_rows(at, from, [behind, more], begins, codes);
            are_near && are_named
        } else {
            indices.codes(at, from, behind, codes) && self.are_in(lanes, begins, rows.by)
        };
        is_named && (!rows.differ || self.are_between(lanes))
    }

    /// Whether all codes lie in rows.
    #[inline(never)]
    fn are_in(&mut self, lanes: usize, begins: &[[u32; TOGETHER]], by: u32) -> bool {
        let Self { more, codes, least, .. } = self;
        let [more, codes] = [&*more, &*codes].map(|table| part(table, 0, lanes));
        let least = part_mut(least, 0, lanes);
        let twos = by.trailing_zeros();
        let inverse = inverse(by.checked_shr(twos).unwrap_or(1));
        least.fill(u32::MAX);
        widest(
            #[inline(always)]
            || {
                for [a, b, c] in begins {
                    for (least, code) in least.iter_mut().zip(codes) {
                        let number = |begin: &u32| code.wrapping_sub(*begin).wrapping_mul(inverse).rotate_right(twos);
                        *least = (*least).min(number(a)).min(number(b)).min(number(c));
                    }
                }
                least.iter().zip(more).fold(0, |failed, (least, more)| failed | u32::from(least > more)) == 0
            },
        )
    }

    /// Whether all codes lie between those of the first and the last tap.
    #[inline(never)]
    fn are_between(&self, lanes: usize) -> bool {
        let [codes, from, span] = [&self.codes, &self.from, &self.span].map(|table| part(table, 0, lanes));
        widest(
            #[inline(always)]
            || {
                let lanes = codes.iter().zip(from.iter().zip(span));
                lanes.fold(0, |failed, (code, (from, span))| failed | u32::from(code.wrapping_sub(*from) > *span)) == 0
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_found_by_products() {
        for by in (1..2000).chain([4096, 65_535, 65_536, 65_537, 1 << 30]) {
            let twos = u32::trailing_zeros(by);
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
