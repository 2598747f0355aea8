//! How a layer becomes passes: which taps each of them joins, with the masks of a plane, and the divisors of a plane.

use alloc::vec::Vec;
use core::ops::Range;

use super::{AREA, COLUMNS, COPY_IN, Core, Flat, Kind, Pass};
use crate::geometry::Axis;
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::flat::Tap;
use crate::order::Order;

/// Bytes of a plane at most, and of a batch about.
const PLANE: usize = 16 << 10;
const BATCH: usize = 14 << 10;

/// Bytes of masks at most, and of divisors.
const TABLES: usize = 34 << 10;

/// Taps of a sum at most, in a column and in a row, and passes of a maximum.
const MOST_ROWS: usize = 25;
const MOST_COLUMNS: usize = 7;
const MOST_PASSES: usize = 6;

impl Flat {
    /// Where too many masks are needed, fewer of them, in more passes.
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let most: &[usize] = if core.facts().idempotent { &[usize::MAX, 2, 1] } else { &[1] };
        most.iter().find_map(|most| Self::plan(core, *most))
    }

    /// With taps of a maximum's passes `most` away at most.
    fn plan(core: &Core, most: usize) -> Option<Self> {
        let (layer, facts) = (&core.layer, core.facts());
        let geometry = &layer.geometry;
        let takes_order = facts.any_order || core.order == Order::Columns;
        let elements = geometry.axes.iter().try_fold(geometry.inner, |all, axis| all.checked_mul(axis.input))?;
        if !facts.tabled || !takes_order || !layer.is_packed() || elements == 0 {
            return None;
        }
        let [depth, height, width] = &geometry.axes;
        let [slabs, lines, columns] = [reach(depth)?, reach(height)?, reach(width)?];
        // Slabs that share no window are planes.
        let slab_len = if slabs == [0; 2] { 1 } else { depth.input };
        let shape = Shape { lengths: [slab_len, height.input, width.input], inner: geometry.inner };
        let plane = shape.plane();
        if plane.checked_mul(facts.memory)? > PLANE || width.input * geometry.inner < 4 {
            return None;
        }
        let dilations = [depth.dilation, height.dilation, width.dilation];
        let far = |reach: [usize; 2], axis: usize| {
            let mut by = [0; 3];
            by[axis] = (reach[1] * dilations[axis]) as isize;
            shape.offset(by) as usize
        };
        let mut masks = Masks {
            facts,
            more: far(slabs, 0) + far(lines, 1) + far(columns, 2) + 1,
            known: Vec::new(),
            tables: Vec::new(),
        };
        let (mut passes, mut taps) = (Vec::new(), Vec::new());
        let slab = Shape { lengths: [1, height.input, width.input], inner: geometry.inner };
        let mut add = |masks: &mut Masks<'_>, passes: &mut Vec<Pass>, reach: [[usize; 2]; 3]| {
            // A pass within slabs does not ask which one it is in.
            let shape = if reach[0] == [0; 2] { &slab } else { &shape };
            passes.push(Pass::new(masks, &mut taps, shape, dilations, reach)?);
            Some(())
        };
        if facts.idempotent {
            let mut done = [[0; 2]; 3];
            while done[0] != slabs && passes.len() < MOST_PASSES {
                let taps = grow(&mut done[0], slabs, most);
                add(&mut masks, &mut passes, [taps, [0; 2], [0; 2]])?;
            }
            while done != [slabs, lines, columns] && passes.len() < MOST_PASSES {
                let taps = [[0; 2], grow(&mut done[1], lines, most), grow(&mut done[2], columns, most)];
                add(&mut masks, &mut passes, taps)?;
            }
            if done != [slabs, lines, columns] {
                return None;
            }
        } else {
            let taps = [slabs, lines, columns].map(|reach| reach[0] + 1 + reach[1]);
            if taps[0] * taps[1] <= MOST_ROWS && taps[2] <= MOST_COLUMNS && taps != [1; 3] {
                add(&mut masks, &mut passes, [slabs, lines, columns])?;
            }
        }
        if passes.is_empty() {
            return None;
        }
        let longest = |of: fn(&Pass) -> usize| passes.iter().map(of).max().unwrap_or(0).next_multiple_of(64);
        let margins = [longest(|pass| pass.before), longest(|pass| pass.after) + facts.lanes];
        // Room for a register of output at least, and for one of columns.
        let copies = (COPY_IN / facts.memory).checked_sub(margins[0] + margins[1])? >= facts.lanes;
        let twins = [Some(&core.hot), core.careful.as_ref()];
        let mut twins = twins.into_iter().flatten();
        let columns = twins.all(|twin| passes.iter().all(|pass| pass.registers(&twin.leaves.facts).is_some()));
        let room = if passes.len() == 1 { BATCH } else { AREA.checked_sub((margins[0] + margins[1]) * facts.memory)? };
        let batch = plane * (room / (plane * facts.memory)).max(usize::from(passes.len() == 1));
        if !copies || !columns || batch == 0 {
            return None;
        }
        let mut flat = Self {
            plane,
            all: elements.checked_mul(geometry.outer)?,
            batch,
            passes,
            taps,
            tables: masks.tables,
            divisors: 0,
            word_bytes: facts.register(),
            lane_bytes: 0,
            margins,
        };
        flat.put_divisors(core, &shape)?;
        Some(flat)
    }

    /// Appends the divisors of a plane, and of as many lanes more as a register has, where they differ.
    fn put_divisors(&mut self, core: &Core, shape: &Shape) -> Option<()> {
        let (facts, divisors) = (core.facts(), &core.divisors);
        if facts.words == 0 || divisors.are_equal() {
            return Some(());
        }
        let [depth, height, width] = &core.layer.geometry.axes;
        let word_bytes = (self.plane + facts.lanes) * facts.lane;
        if word_bytes.checked_mul(facts.words)? > TABLES {
            return None;
        }
        (self.divisors, self.word_bytes, self.lane_bytes) = (self.tables.len(), word_bytes, facts.lane);
        self.tables.resize(self.divisors + word_bytes * facts.words, 0);
        let row_bytes = width.input * shape.inner * facts.lane;
        for word in 0..facts.words {
            let to = &mut self.tables[self.divisors + word * word_bytes..][..word_bytes];
            let mut last: Option<(usize, usize)> = None;
            let mut row = 0;
            for z in 0..shape.lengths[0] {
                for y in 0..shape.lengths[1] {
                    let slab = if shape.lengths[0] == depth.input { z } else { 0 };
                    let class = divisors.factor(depth, slab).saturating_mul(divisors.factor(height, y));
                    if let Some((old, from)) = last
                        && old == class
                    {
                        to.copy_within(from..from + row_bytes, row);
                    } else {
                        let mut known = (0, [0; 8]);
                        for x in 0..width.input {
                            let divisor = class.saturating_mul(divisors.factor(width, x)).max(1);
                            if known.0 != divisor {
                                known = (divisor, (core.hot.leaves.words)(&core.hot.constants, divisor)[word]);
                            }
                            for lane in 0..shape.inner {
                                let at = row + (x * shape.inner + lane) * facts.lane;
                                to[at..at + facts.lane].copy_from_slice(&known.1[..facts.lane]);
                            }
                        }
                    }
                    last = Some((class, row));
                    row += row_bytes;
                }
            }
            // And around again.
            for at in row..word_bytes {
                to[at] = to[at - row];
            }
        }
        Some(())
    }
}

impl Pass {
    /// Of taps so far to either side, on each axis.
    fn new(
        masks: &mut Masks<'_>,
        taps: &mut Vec<Tap>,
        shape: &Shape,
        dilations: [usize; 3],
        reach: [[usize; 2]; 3],
    ) -> Option<Self> {
        let facts = masks.facts;
        let by = |axis: usize, tap: isize| {
            let mut by = [0; 3];
            by[axis] = tap * dilations[axis] as isize;
            by
        };
        let lanes = |axis: usize, side: usize| shape.offset(by(axis, reach[axis][side] as isize)) as usize;
        let (above, below) = (lanes(0, 0) + lanes(1, 0), lanes(0, 1) + lanes(1, 1));
        let (mut left, mut right) = (lanes(2, 0), lanes(2, 1));
        // Sums of a few taps, and all passes of a maximum, have one tap to every side.
        let [slabs, lines, columns] = reach;
        let is_one = |reach: [usize; 2]| facts.idempotent || reach[0].max(reach[1]) <= 1;
        let is_ring = is_one(columns) && (slabs == [0; 2] && is_one(lines) || lines == [0; 2] && is_one(slabs));
        let kind = match () {
            () if !is_ring => Kind::Any,
            () if left == right && left <= 1 => Kind::Around,
            () => Kind::Ring,
        };
        if kind == Kind::Around {
            (left, right) = (1, 1);
        }
        // All taps, or the outermost ones of a ring and the output's own.
        let along = |axis: usize| {
            let [before, after] = reach[axis].map(|reach| reach as isize);
            (-before..=after).filter(move |tap| !is_ring || *tap == 0 || *tap == -before || *tap == after)
        };
        let mut around = [None; 4];
        let first = taps.len();
        for z in along(0) {
            for y in along(1) {
                let by = [by(0, z)[0], by(1, y)[1], 0];
                let mask = if (z, y) == (0, 0) { Tap::CENTRE } else { masks.of(shape, by)? };
                taps.push(Tap { offset: shape.offset(by) * facts.memory as isize, mask });
                if (z, y) != (0, 0) {
                    around[usize::from((z, y) > (0, 0))] = Some(mask);
                }
            }
        }
        let middle = taps.len();
        for x in along(2) {
            let mask = if x == 0 { Tap::CENTRE } else { masks.of(shape, by(2, x))? };
            taps.push(Tap { offset: shape.offset(by(2, x)) * facts.lane as isize, mask });
            if x != 0 {
                around[2 + usize::from(x > 0)] = Some(mask);
            }
        }
        // Taps that a ring has not are of no lane.
        let none = if is_ring && around.contains(&None) { masks.none(shape)? } else { 0 };
        let lead = left.next_multiple_of(facts.lanes);
        // Rows follow each other through the plane, unless slabs are folded, too; a tap that a sum has not is no tap
        // twice.
        let last = shape.plane().checked_sub(below + facts.lanes).map_or(0, |last| last + 1);
        let all = facts.idempotent || around[0].is_some() && around[1].is_some();
        let is_one_axis = slabs == [0; 2] || lines == [0; 2];
        let are_some = is_one_axis && (all || !is_ring) && last >= above + 4 * facts.lanes;
        Some(Self {
            kind,
            plane: shape.plane(),
            copy_bytes: shape.copy_bytes(facts),
            inside: above,
            inside_lanes: if are_some { last - above } else { 0 },
            above,
            below,
            left,
            right,
            lead,
            before: above + lead,
            after: below + right.next_multiple_of(facts.lanes),
            around: around.map(|mask| mask.unwrap_or(none)),
            rows: first..middle,
            columns: middle..taps.len(),
        })
    }

    /// Registers whose columns fit the scratch.
    pub(super) fn registers(&self, facts: &Facts) -> Option<usize> {
        if self.kind == Kind::Around && facts.fused {
            return Some(usize::MAX);
        }
        let around = self.lead + self.right.next_multiple_of(facts.lanes);
        let lanes = (COLUMNS / facts.lane).checked_sub(around)?;
        Some(lanes / facts.lanes).filter(|registers| *registers > 0)
    }
}

/// Which lanes of a plane have a tap: those whose index on each axis, moved by so much, is inside.
struct Shape {
    lengths: [usize; 3],
    inner: usize,
}

impl Shape {
    fn plane(&self) -> usize {
        self.lengths.iter().product::<usize>() * self.inner
    }

    /// Bytes of a copy of a string of bits, with a word that may be read behind it.
    fn copy_bytes(&self, facts: &Facts) -> usize {
        ((self.plane() + facts.lanes).div_ceil(8) + 8).next_multiple_of(8)
    }

    fn offset(&self, by: [isize; 3]) -> isize {
        let [_, height, width] = self.lengths.map(|n| n as isize);
        ((by[0] * height + by[1]) * width + by[2]) * self.inner as isize
    }

    /// Calls `put` with each range of lanes, of a run of planes `len` long, that have the tap.
    fn each(&self, by: [isize; 3], len: usize, mut put: impl FnMut(Range<usize>)) {
        let [depth, height, width] = self.lengths;
        let inside = |length: usize, by: isize| {
            let start = by.min(0).unsigned_abs().min(length);
            start..length.saturating_sub(by.max(0) as usize).max(start)
        };
        let [slabs, rows, columns] = [inside(depth, by[0]), inside(height, by[1]), inside(width, by[2])];
        let row = width * self.inner;
        let (slab, plane) = (height * row, self.plane());
        let mut first = 0;
        while first < len {
            for z in slabs.clone() {
                let at = first + z * slab;
                if columns.len() == width {
                    put((at + rows.start * row).min(len)..(at + rows.end * row).min(len));
                    continue;
                }
                for y in rows.clone() {
                    let at = at + y * row;
                    if at >= len {
                        break;
                    }
                    put((at + columns.start * self.inner).min(len)..(at + columns.end * self.inner).min(len));
                }
            }
            first += plane;
        }
    }

    /// Appends the masks of a tap, of so many lanes.
    fn put(&self, facts: &Facts, by: [isize; 3], len: usize, tables: &mut Vec<u8>) {
        let (begin, copy_bytes) = (tables.len(), self.copy_bytes(facts));
        if !facts.mask_bits {
            tables.resize(begin + len * facts.lane, 0);
            self.each(by, len, |some| {
                tables[begin + some.start * facts.lane..begin + some.end * facts.lane].fill(0xFF);
            });
            return;
        }
        // The string, with a word more than a copy has; then the copies, from words that are put together of two.
        let words = copy_bytes / 8 + 1;
        let mut string = alloc::vec![0_u64; words];
        self.each(by, len, |some| {
            let (first, last) = (some.start / 64, some.end.saturating_sub(1) / 64);
            let (from, to) = (!0_u64 << (some.start % 64), !0_u64 >> (63 - some.end.saturating_sub(1) % 64));
            if some.is_empty() {
            } else if first == last {
                string[first] |= from & to;
            } else {
                string[first] |= from;
                string[first + 1..last].fill(!0);
                string[last] |= to;
            }
        });
        tables.resize(begin + 8 * copy_bytes, 0);
        for (bits, copy) in tables[begin..].chunks_exact_mut(copy_bytes).enumerate() {
            for (to, pair) in copy.chunks_exact_mut(8).zip(string.windows(2)) {
                // Shifted twice: by 64 bits at once is no shift.
                let word = pair[0] >> bits | pair[1] << 1 << (63 - bits);
                to.copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// The masks that a plan has.
struct Masks<'a> {
    facts: &'a Facts,
    /// Lanes that strings of lanes are longer than a plane and a register.
    more: usize,
    /// The tap and the plane's lanes.
    known: Vec<([isize; 3], usize, usize)>,
    tables: Vec<u8>,
}

impl Masks<'_> {
    /// Where the masks of a tap begin. `None` where there are too many.
    fn of(&mut self, shape: &Shape, by: [isize; 3]) -> Option<usize> {
        if self.facts.mask_bits {
            return self.find(shape, by);
        }
        // A lane has the tap after it where the one at that place has the tap before it: one string is for both.
        let ahead = shape.offset(by.map(|by| by.max(0))) as usize;
        Some(self.find(shape, by.map(|by| -by.abs()))? + ahead * self.facts.lane)
    }

    fn find(&mut self, shape: &Shape, by: [isize; 3]) -> Option<usize> {
        let plane = shape.plane();
        if let Some((.., at)) = self.known.iter().find(|(known, lanes, _)| (*known, *lanes) == (by, plane)) {
            return Some(*at);
        }
        let (at, len, copy_bytes) = (self.tables.len(), plane + self.facts.lanes, shape.copy_bytes(self.facts));
        let (len, bytes) = if self.facts.mask_bits {
            (len, 8 * copy_bytes)
        } else {
            (len + self.more, (len + self.more) * self.facts.lane)
        };
        if at + bytes > TABLES {
            return None;
        }
        self.known.push((by, plane, at));
        shape.put(self.facts, by, len, &mut self.tables);
        Some(at)
    }

    /// The masks of a tap that no lane has.
    fn none(&mut self, shape: &Shape) -> Option<usize> {
        self.of(shape, shape.lengths.map(|n| -(n as isize)))
    }
}

/// How far the taps of an axis are to either side, if its windows move by one and keep its length, and one of the taps
/// is the output's own place.
fn reach(axis: &Axis) -> Option<[usize; 2]> {
    let keeps = axis.slides() && axis.input == axis.output && (axis.stride == 1 || axis.output == 1);
    let (begin, dilation) = (axis.begin, axis.dilation);
    let before = begin / dilation;
    if !keeps || !begin.is_multiple_of(dilation) || before >= axis.kernel {
        return None;
    }
    // Taps that no output has are left out.
    let within = |taps: usize| taps.min((axis.input - 1) / dilation);
    Some([within(before), within(axis.kernel - 1 - before)])
}

/// The next pass of a maximum over a window that has been folded as far as `done`, with taps `most` away at most.
fn grow(done: &mut [usize; 2], reach: [usize; 2], most: usize) -> [usize; 2] {
    let mut taps = [0; 2];
    for side in 0..2 {
        taps[side] = (done[side] + 1).min(reach[side] - done[side]).min(most);
        done[side] += taps[side];
    }
    taps
}
