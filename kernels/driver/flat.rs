//! Planes without end as one run: windows that move by one and keep the plane's lengths.
//!
//! ```text
//! for each batch of planes, for each pass:                                            (1)
//!     for each register of the batch, whatever rows and planes its lanes are in:      (2)
//!         join the pass's taps, each where a mask of the register's phase says that it is inside
//! ```
//!
//! 1. Sums have one pass. A maximum of any length is some of three taps, each as far out as the last ones
//!    reached and one more: after `n` passes a window has up to 2ⁿ − 1 taps to every side. What is outside is left out
//!    of each pass, and so of the window. Between passes, a batch waits in scratch.
//! 2. Input and output have the same lengths, so a tap is the same distance away at every output, and a
//!    plane of 7×7 costs what its elements cost. Masks for each phase are made when planning, as are
//!    the divisors of a plane where they differ.
//!
//! The first outputs of a tensor have taps before it, the last ones behind it, and registers end behind a
//! run: those outputs go through copies. A NaN is looked for at the place of each output of a batch, which are those of
//! all its taps where a batch is whole planes. Where a run begins or ends within a plane, outputs
//! above and below are computed, too, and thrown away.

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::careful::Caution;
use super::{Core, Driver, Io, SCRATCH, Twin};
use crate::geometry::Axis;
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::flat::{Flat as Args, Tap};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::order::Order;

/// Bytes of a plane at most, and of a batch about.
const PLANE: usize = 16 << 10;
const BATCH: usize = 14 << 10;

/// Bytes of masks at most, and of divisors.
const TABLES: usize = 34 << 10;

/// Bytes on the stack: columns between the halves of a pass, two areas between passes, copies of input and output.
const COLUMNS: usize = 10 << 10;
const AREA: usize = 12 << 10;
const COPY_IN: usize = 12 << 10;
const COPY_OUT: usize = 2 << 10;

/// Bytes that are not worth two ways.
const FEW: usize = 1 << 10;
const _: () = assert!(COLUMNS + 2 * AREA + COPY_IN + COPY_OUT <= SCRATCH);

/// Taps of a sum at most, in a column and in a row, and passes of a maximum.
const MOST_ROWS: usize = 25;
const MOST_COLUMNS: usize = 7;
const MOST_PASSES: usize = 6;

pub(crate) struct Flat {
    /// Lanes of a plane, of all planes and of a batch.
    plane: usize,
    all: usize,
    batch: usize,
    passes: Vec<Pass>,
    /// The taps of all passes.
    taps: Vec<Tap>,
    /// Masks, then divisors.
    tables: Vec<u8>,
    divisors: usize,
    word_bytes: usize,
    lane_bytes: usize,
    /// Lanes that an area has before a batch and behind it.
    margins: [usize; 2],
}

/// Which leaf takes a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Around,
    Ring,
    Any,
}

/// Taps that are joined in one go over a batch.
#[derive(Clone, Debug)]
struct Pass {
    kind: Kind,
    /// Lanes after which masks repeat, and bytes of a copy of them.
    plane: usize,
    copy_bytes: usize,
    /// Lanes to the topmost tap and to the lowest one, and to the columns.
    above: usize,
    below: usize,
    left: usize,
    right: usize,
    /// Lanes before a register that columns are folded from on, and lanes that must be readable before the first
    /// register and behind the last one.
    lead: usize,
    before: usize,
    after: usize,
    around: [usize; 4],
    /// From where on, and for how many lanes, registers begin that have all rows.
    inside: usize,
    inside_lanes: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Lanes of memory: where lane 0 of all planes lies, or would lie, and which ones there are.
#[derive(Clone)]
struct Source {
    first: *const u8,
    readable: Range<isize>,
}

/// Bytes on the stack.
#[repr(align(64))]
struct Room<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

impl<const BYTES: usize> Room<BYTES> {
    #[inline(always)]
    fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[inline(always)]
    fn start(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
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

    /// Whether elements are converted once, before several passes, and back after them.
    fn waits_in_lanes(&self, facts: &Facts) -> bool {
        facts.converts && facts.memory == facts.lane && self.passes.len() > 1
    }

    /// The outputs of `registers` from lane `at` of all planes on.
    ///
    /// # Safety
    /// `src` and `dst` are the places of that lane; `before` lanes before it and `after` behind the last register are
    /// readable, and whole registers are writable.
    unsafe fn call(
        &self,
        core: &Core,
        twin: &Twin,
        pass: &Pass,
        at: usize,
        [src, dst]: [*mut u8; 2],
        registers: usize,
    ) -> bool {
        let facts = core.facts();
        let mut scratch = Room::<COLUMNS>::new();
        let divisors =
            if self.lane_bytes == 0 { core.divisors.common() } else { self.tables[self.divisors..].as_ptr() };
        let leaf = match (pass.kind, self.waits_in_lanes(facts)) {
            (Kind::Around, false) => twin.leaves.around,
            (Kind::Ring, false) => twin.leaves.ring,
            (Kind::Around, true) => twin.leaves.around_lanes,
            (Kind::Ring, true) => twin.leaves.ring_lanes,
            (Kind::Any, _) => twin.leaves.flat,
        };
        let most = pass.registers(&twin.leaves.facts).unwrap_or(1);
        let mut met = false;
        let mut done = 0;
        while done < registers {
            let lanes = done * facts.lanes;
            let phase = (at + lanes) % pass.plane;
            let args = Args {
                src: src.wrapping_add(lanes * facts.memory),
                dst: dst.wrapping_add(lanes * facts.memory),
                scratch: scratch.start(),
                registers: most.min(registers - done),
                plane: pass.plane,
                phase,
                phase_lead: (phase + pass.plane - pass.lead % pass.plane) % pass.plane,
                step: facts.lanes % pass.plane,
                masks: self.tables.as_ptr(),
                copy_bytes: pass.copy_bytes,
                above_bytes: pass.above * facts.memory,
                below_bytes: pass.below * facts.memory,
                left: pass.left,
                right: pass.right,
                around: pass.around,
                inside: pass.inside,
                inside_lanes: pass.inside_lanes,
                rows: self.taps[pass.rows.clone()].as_ptr(),
                row_count: pass.rows.len(),
                columns: self.taps[pass.columns.clone()].as_ptr(),
                column_count: pass.columns.len(),
                lead: pass.lead,
                divisors,
                word_bytes: self.word_bytes,
                lane_bytes: self.lane_bytes,
            };
            // SAFETY: by this function's contract; the tables have every phase, the scratch has the columns of so many
            // registers.
            met |= unsafe { leaf.call(&twin.constants, &args) };
            done += args.registers;
        }
        met
    }

    /// The outputs of lanes `some` through copies; they are stored from `dst` on, or nowhere.
    ///
    /// # Safety
    /// As for `pass`.
    #[inline(never)]
    unsafe fn copied(
        &self,
        core: &Core,
        twin: &Twin,
        pass: &Pass,
        from: &Source,
        dst: Option<*mut u8>,
        some: Range<usize>,
    ) -> bool {
        let facts = core.facts();
        let (mut copy_in, mut copy_out) = (Room::<COPY_IN>::new(), Room::<COPY_OUT>::new());
        let (copy_in, copy_out) = (copy_in.start(), copy_out.start());
        let room = (COPY_OUT / facts.memory).min(COPY_IN / facts.memory - pass.before - pass.after);
        let mut met = false;
        let mut at = some.start;
        while at < some.end {
            let registers = (some.end - at).div_ceil(facts.lanes).min(room / facts.lanes);
            let lanes = (registers * facts.lanes).min(some.end - at);
            // What of the lanes that are read is there; the others are in no window.
            let behind = at + registers * facts.lanes + pass.after;
            let before = at as isize - pass.before as isize;
            let (first, end) = (before.max(from.readable.start), (behind as isize).min(from.readable.end));
            let skipped = (first - before) as usize * facts.memory;
            let copied = (end - first) as usize * facts.memory;
            let missing = (behind as isize - end) as usize * facts.memory;
            // SAFETY: lanes of the source; `copy_in` has room for them all, `copy_out` for so many registers.
            unsafe {
                copy_in.write_bytes(0, skipped);
                copy_in
                    .add(skipped)
                    .copy_from_nonoverlapping(from.first.wrapping_offset(first * facts.memory as isize), copied);
                copy_in.add(skipped + copied).write_bytes(0, missing);
                let src = copy_in.add(pass.before * facts.memory);
                met |= self.call(core, twin, pass, at, [src, copy_out], registers);
                if let Some(dst) = dst {
                    let to = dst.wrapping_add((at - some.start) * facts.memory);
                    to.copy_from_nonoverlapping(copy_out, lanes * facts.memory);
                }
            }
            at += lanes;
        }
        met
    }

    /// The outputs of lanes `some`, which belong at `dst`: in place as far as registers fit, through copies elsewhere.
    /// They may be stored up to lane `end`.
    ///
    /// # Safety
    /// The lanes are in the source, and what of their windows is in their planes. The lanes up to `end` are writable.
    #[allow(clippy::too_many_arguments, reason = "what is passed over, and where to")]
    unsafe fn pass(
        &self,
        core: &Core,
        twin: &Twin,
        pass: &Pass,
        from: &Source,
        dst: *mut u8,
        some: Range<usize>,
        end: usize,
    ) -> bool {
        let facts = core.facts();
        let mut met = false;
        let place = |at: usize| dst.wrapping_add((at - some.start) * facts.memory);
        let source = |at: usize| from.first.wrapping_add(at * facts.memory).cast_mut();
        // Registers that are stored across lines of the cache cost twice.
        let askew = |at: usize| place(at).align_offset(facts.lanes * facts.memory) / facts.memory;
        let mut at = some.start;
        let least = (from.readable.start + pass.before as isize).max(0) as usize;
        let most = (from.readable.end.max(0) as usize).saturating_sub(pass.after).min(end);
        let lanes = some.len().next_multiple_of(facts.lanes);
        let fits = at >= least && at + lanes <= most;
        if !fits && some.len() * facts.memory <= FEW && (lanes + pass.before + pass.after) * facts.memory <= COPY_IN {
            // SAFETY: by this function's contract.
            return unsafe { self.copied(core, twin, pass, from, Some(dst), some) };
        }
        // SAFETY: in place, `before` and `after` lanes are in the source, and whole registers are in the output.
        unsafe {
            if at < least {
                let stop = (least + askew(least)).min(some.end);
                met |= self.copied(core, twin, pass, from, Some(dst), at..stop);
                at = stop;
            }
            if askew(at) != 0 && at + facts.lanes <= most {
                met |= self.call(core, twin, pass, at, [source(at), place(at)], 1);
                at = (at + askew(at)).min(some.end);
            }
            let registers = (some.end - at).div_ceil(facts.lanes).min(most.saturating_sub(at) / facts.lanes);
            if registers > 0 {
                met |= self.call(core, twin, pass, at, [source(at), place(at)], registers);
                at += registers * facts.lanes;
            }
            if at < some.end {
                met |= self.copied(core, twin, pass, from, Some(place(at)), at..some.end);
            }
        }
        met
    }

    /// The outputs of lanes `some` of a run up to lane `end`, all of them of one batch, in one pass.
    ///
    /// # Safety
    /// As for `run`; the outputs belong at `dst`.
    unsafe fn once(
        &self,
        core: &Core,
        twin: &Twin,
        input: &Source,
        dst: *mut u8,
        some: Range<usize>,
        end: usize,
    ) -> bool {
        let pass = &self.passes[0];
        // SAFETY: by this function's contract: the planes of the batch are in the source.
        unsafe {
            let mut met = self.pass(core, twin, pass, input, dst, some.clone(), end);
            if core.careful.is_some() {
                // What windows have above and below a part of a plane.
                let begin = some.start - some.start % self.plane;
                let stop = some.end.next_multiple_of(self.plane);
                let above = some.start.saturating_sub(pass.above).max(begin)..some.start;
                let below = some.end..(some.end + pass.below).min(stop);
                met |= self.copied(core, twin, pass, input, None, above);
                met |= self.copied(core, twin, pass, input, None, below);
            }
            met
        }
    }

    /// The same in several passes, between which whole planes wait in two areas.
    ///
    /// # Safety
    /// As for `once`; `areas` has room for both, and their margins hold something.
    unsafe fn often(
        &self,
        core: &Core,
        twin: &Twin,
        [input, areas]: [&Source; 2],
        dst: *mut u8,
        some: Range<usize>,
        end: usize,
    ) -> bool {
        let facts = core.facts();
        let begin = some.start - some.start % self.plane;
        let whole = begin..some.end.next_multiple_of(self.plane);
        let area = |number: usize| {
            let first = areas.first.wrapping_add(number * AREA + self.margins[0] * facts.memory);
            let readable = begin as isize - self.margins[0] as isize..(whole.end + self.margins[1]) as isize;
            (first.cast_mut(), Source { first: first.wrapping_sub(begin * facts.memory), readable })
        };
        let (mut from, mut used) = (input.clone(), 0);
        let in_lanes = self.waits_in_lanes(facts);
        let place = |source: &Source, at: usize| source.first.wrapping_add(at * facts.memory);
        let mut fold = Fold {
            src: place(input, begin),
            dst,
            taps: Taps::ONE,
            outer: 1,
            outer_in: 0,
            outer_out: 0,
            len: whole.len(),
            divisors: core.divisors.common(),
            word_bytes: facts.register(),
            lane_bytes: 0,
            chunk: None,
            readable: place(input, self.all),
            writable: dst,
        };
        if in_lanes {
            let (to, next) = area(0);
            (fold.dst, from, used) = (to, next, 1);
            // SAFETY: planes of the source, for which an area has room.
            unsafe { twin.leaves.down.call(&twin.constants, &fold) };
        }
        let mut met = false;
        for (i, pass) in self.passes.iter().enumerate() {
            // SAFETY: by this function's contract: planes of the source, or of an area.
            unsafe {
                if i + 1 == self.passes.len() && !in_lanes {
                    self.pass(core, twin, pass, &from, dst, some.clone(), end);
                    break;
                }
                let (to, next) = area((i + used) % 2);
                let found = self.pass(core, twin, pass, &from, to, whole.clone(), whole.end + facts.lanes);
                // The first pass has seen every element.
                met |= found && i == 0;
                from = next;
            }
        }
        if in_lanes {
            (fold.src, fold.dst, fold.len) = (place(&from, some.start), dst, some.len());
            fold.writable = dst.wrapping_add((end - some.start) * facts.memory);
            // SAFETY: lanes of an area, and their outputs.
            unsafe { twin.leaves.across.call(&twin.constants, &fold) };
        }
        met
    }

    /// All batches of lanes `all`.
    ///
    /// # Safety
    /// As for `run`; `areas` as for `often`, if there are several passes.
    #[inline(always)]
    unsafe fn batches(&self, core: &Core, io: &Io, areas: Option<*mut u8>, all: Range<usize>) {
        let input = Source { first: io.src, readable: 0..(self.all) as isize };
        let mut caution = Caution::default();
        let mut at = all.start;
        while at < all.end {
            let stop = (at - at % self.plane + self.batch).min(all.end);
            let dst = io.dst.wrapping_add((at - all.start) * core.facts().memory);
            // SAFETY: lanes of the run.
            caution.run(core, |twin| unsafe {
                match areas {
                    None => self.once(core, twin, &input, dst, at..stop, all.end),
                    Some(areas) => {
                        let areas = Source { first: areas, readable: 0..0 };
                        self.often(core, twin, [&input, &areas], dst, at..stop, all.end)
                    }
                }
            });
            at = stop;
        }
    }

    /// `run` in several passes, for the sake of its stack.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(never)]
    unsafe fn run_often(&self, core: &Core, io: &Io, all: Range<usize>) {
        let mut areas = Room::<{ 2 * AREA }>::new();
        let memory = core.facts().memory;
        let planes = all.end.div_ceil(self.plane) - all.start / self.plane;
        let batch = self.batch.min(planes * self.plane);
        for area in 0..2 {
            // SAFETY: the areas have room for a batch and its margins.
            unsafe {
                let area = areas.start().add(area * AREA);
                area.write_bytes(0, self.margins[0] * memory);
                let behind = (self.margins[0] + batch) * memory;
                area.add(behind).write_bytes(0, self.margins[1] * memory);
            }
        }
        // SAFETY: by this function's contract.
        unsafe { self.batches(core, io, Some(areas.start()), all) }
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
    fn registers(&self, facts: &Facts) -> Option<usize> {
        if self.kind == Kind::Around && facts.fused {
            return Some(usize::MAX);
        }
        let around = self.lead + self.right.next_multiple_of(facts.lanes);
        let lanes = (COLUMNS / facts.lane).checked_sub(around)?;
        Some(lanes / facts.lanes).filter(|registers| *registers > 0)
    }
}

impl Driver for Flat {
    fn name(&self) -> &'static str {
        "flat"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let row = core.layer.geometry.row_len();
        let all = rows.start * row..rows.end * row;
        // SAFETY: by this function's contract.
        unsafe {
            if self.passes.len() == 1 {
                self.batches(core, io, None, all);
            } else {
                self.run_often(core, io, all);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.tables.len() + size_of_val(&*self.passes) + size_of_val(&*self.taps)
    }
}

impl fmt::Debug for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flat, planes of {}:", self.plane)?;
        for pass in &self.passes {
            write!(f, " {:?} {}x{}", pass.kind, pass.rows.len(), pass.columns.len())?;
        }
        Ok(())
    }
}
