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

mod plan;

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::careful::Caution;
use super::{Core, Driver, Io, SCRATCH, Twin};
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::flat::{Flat as Args, Tap};
use crate::kernels::leaf::fold::{Fold, Taps};

/// Bytes on the stack: columns between the halves of a pass, two areas between passes, copies of input and output.
const COLUMNS: usize = 10 << 10;
const AREA: usize = 12 << 10;
const COPY_IN: usize = 12 << 10;
const COPY_OUT: usize = 2 << 10;

/// Bytes that are not worth two ways.
const FEW: usize = 1 << 10;
const _: () = assert!(COLUMNS + 2 * AREA + COPY_IN + COPY_OUT <= SCRATCH);

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

impl Flat {
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
