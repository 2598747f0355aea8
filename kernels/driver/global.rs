//! One window that is the whole plane, planar.
//!
//! ```text
//! for each batch of planes:
//!     fold each to one lane: 16 virtual lanes and their tree (`leaf/lanes16.rs`)
//!     finish the lanes of the batch, store
//! for a plane longer than a block, instead:
//!     fold each block to one lane, and those in pairs of neighbours        (1)
//! ```
//!
//! 1. A long plane has one output, and threads must be able to share it: so it is cut by its length alone,
//!    whoever folds it. Any aligned power of two of blocks is a subtree, which a thread can fold by itself.

use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::{Core, Driver, Io, Scratch, Twin};
use crate::kernels::leaf::fold::{Fold, Taps};
use crate::kernels::leaf::lanes16::{Runs, STATE};
use crate::kernels::leaf::long::Stage;
use crate::order::Order;
use crate::strides::Gaps;

/// Elements of a block. Part of the contract. Four blocks of `f32` are what a task is worth, see `src/tasks.rs`.
const BLOCK: usize = 1 << 14;

/// Planes, or blocks of one, whose lanes wait to be finished or folded: a power of two.
const BATCH: usize = 512;

/// Elements that are gathered at a time where a plane's lie apart: a multiple of what a leaf takes in.
const PIECE: usize = 1 << 11;

/// A folded run, as the bytes of a lane.
type Lane = [u8; 8];

#[derive(Debug)]
pub(crate) struct Global {
    /// Elements of a plane, and whether they lie side by side.
    len: usize,
    is_whole: bool,
}

impl Global {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let lengths = core.layer.geometry.axes.map(|axis| axis.input);
        let is_whole = core.layer.places.input.has_packed_planes(lengths, 1);
        (core.order == Order::Lanes16).then(|| Self { len: lengths.iter().product(), is_whole })
    }

    /// Folds neighbouring runs of a plane (blocks from `first` on), or neighbouring planes (`first` too), to lanes from
    /// `to` on.
    ///
    /// # Safety
    /// As for `run`; `to` takes a lane for each, and a register more; `gathered` holds [`PIECE`] elements.
    #[allow(clippy::too_many_arguments, reason = "what is folded, and where to")]
    unsafe fn fold(
        &self,
        core: &Core,
        io: &Io,
        plane: usize,
        from: usize,
        len: usize,
        count: usize,
        to: *mut u8,
        gathered: *mut u8,
        caution: &mut Caution,
    ) {
        let (facts, steps) = (core.facts(), &core.layer.places.input);
        let begin = |plane: usize| io.src.wrapping_add(steps.outer(plane).wrapping_mul(facts.memory));
        let runs = Runs {
            src: begin(plane).wrapping_add(from * facts.memory),
            step: 0,
            count,
            len,
            readable: io.src_end,
            dst: to,
            state: core::ptr::null_mut(),
            resumes: false,
            continues: false,
        };
        // Blocks follow each other; so do planes, unless they lie apart.
        let step = if len == BLOCK && self.len > BLOCK { Some(BLOCK) } else { steps.even() };
        if self.is_whole
            && let Some(step) = step
        {
            let runs = Runs { step: step.wrapping_mul(facts.memory), ..runs };
            // SAFETY: runs of the input; lanes for all of them.
            return caution.run(core, |twin| unsafe {
                let met = twin.leaves.runs.call(&twin.constants, &runs);
                settle(core, twin, to, count);
                met
            });
        }
        for i in 0..count {
            let (plane, from) = if self.len > BLOCK { (plane, from + i * BLOCK) } else { (plane + i, from) };
            let to = to.wrapping_add(i * facts.lane);
            caution.run(core, |twin| {
                let mut state = State([0; STATE]);
                let (mut done, mut met) = (0, false);
                while done < len {
                    let n = if self.is_whole { len } else { PIECE.min(len - done) };
                    let mut src = begin(plane).wrapping_add((from + done) * facts.memory);
                    // SAFETY: elements of the plane, in their order, and a piece's room.
                    unsafe {
                        if !self.is_whole {
                            self.gather(core, begin(plane), from + done, n, gathered);
                            src = gathered;
                        }
                        let readable = if self.is_whole { io.src_end } else { src };
                        let runs = Runs { src, step: 0, count: 1, len: n, readable, dst: to, ..runs };
                        let (resumes, continues) = (done > 0, done + n < len);
                        let runs = Runs { state: state.0.as_mut_ptr(), resumes, continues, ..runs };
                        met |= twin.leaves.runs.call(&twin.constants, &runs);
                    }
                    done += n;
                }
                // SAFETY: one lane.
                unsafe { settle(core, twin, to, 1) };
                met
            });
        }
    }

    /// Copies `n` elements, from element `at` on, of a plane whose elements lie apart.
    ///
    /// # Safety
    /// The plane has them, and `to` takes them.
    unsafe fn gather(&self, core: &Core, plane: *const u8, at: usize, n: usize, to: *mut u8) {
        let [_, height, width] = core.layer.geometry.axes.map(|axis| axis.input);
        let (steps, bytes) = (&core.layer.places.input, core.facts().memory);
        let mut done = 0;
        while done < n {
            let (row, x) = ((at + done) / width, (at + done) % width);
            let some = (width - x).min(n - done);
            let offset = steps.row_at(0, row / height, row % height).wrapping_add(x * steps.pixel);
            let from = plane.wrapping_add(offset.wrapping_mul(bytes));
            // SAFETY: elements of one row of the plane.
            unsafe {
                if steps.pixel == 1 {
                    core::ptr::copy_nonoverlapping(from, to.add(done * bytes), some * bytes);
                } else {
                    for i in 0..some {
                        let from = from.wrapping_add(i * steps.pixel * bytes);
                        core::ptr::copy_nonoverlapping(from, to.add((done + i) * bytes), bytes);
                    }
                }
            }
            done += some;
        }
    }

    /// Finishes lanes and stores them as the outputs of planes from `plane` on, the first at `dst`.
    ///
    /// # Safety
    /// As for `run`: outputs of it; `lanes` has them, and a register more.
    unsafe fn finish(&self, core: &Core, io: &Io, lanes: *const u8, count: usize, dst: *mut u8, plane: usize) {
        let facts = core.facts();
        // A NaN among lanes of the hot twin is no number that it may join: they are elements of its careful twin.
        let (twin, leaf) = match &core.careful {
            Some(careful) => (careful, careful.leaves.direct),
            None => (&core.hot, core.hot.leaves.across),
        };
        let is_packed = core.layer.places.gaps == Gaps::None;
        let mut block = Block::new();
        let [depth, height, width] = &core.layer.geometry.axes;
        let factor = |axis| core.divisors.factor(axis, 0);
        let divisor = factor(depth).saturating_mul(factor(height)).saturating_mul(factor(width));
        let mut fold = Fold {
            src: lanes,
            dst,
            taps: Taps::ONE,
            outer: 1,
            outer_in: 0,
            outer_out: 0,
            len: count,
            divisors: core.divisors.words(core.hot.leaves, &core.hot.constants, divisor, &mut block),
            word_bytes: facts.register(),
            lane_bytes: 0,
            chunk: None,
            readable: core::ptr::null(),
            writable: io.dst_end,
        };
        // SAFETY: lanes of this call, and their outputs; where outputs lie apart, one at a time and nothing between
        // them.
        unsafe {
            if is_packed {
                leaf.call(&twin.constants, &fold);
                return;
            }
            fold.len = 1;
            fold.writable = dst;
            let outputs = &core.layer.places.output;
            let first = outputs.outer(plane);
            for i in 0..count {
                let apart = outputs.outer(plane + i).wrapping_sub(first).wrapping_mul(facts.memory);
                let one = Fold { src: lanes.wrapping_add(i * facts.lane), dst: dst.wrapping_add(apart), ..fold };
                let one = Fold { writable: one.dst, ..one };
                leaf.call(&twin.constants, &one);
            }
        }
    }

    /// Neighbouring blocks of a plane, at least one, folded in pairs of neighbours.
    ///
    /// # Safety
    /// As for `run`: blocks of a plane of the input.
    #[inline(never)]
    unsafe fn subtree(&self, core: &Core, io: &Io, plane: usize, blocks: Range<usize>, caution: &mut Caution) -> Lane {
        if blocks.len() > BATCH {
            // The left subtree is whole, as long as a power of two.
            let middle = blocks.start + blocks.len().next_power_of_two() / 2;
            // SAFETY: the same blocks.
            unsafe {
                let left = self.subtree(core, io, plane, blocks.start..middle, caution);
                let right = self.subtree(core, io, plane, middle..blocks.end, caution);
                return join(core, left, right);
            }
        }
        let facts = core.facts();
        let mut scratch = Scratch::new();
        let lanes = scratch.start();
        let gathered = lanes.wrapping_add((BATCH + 64) * 8);
        let whole = blocks.len() - usize::from(blocks.end * BLOCK > self.len);
        // SAFETY: blocks of the plane; lanes for a batch and registers behind, and a piece.
        unsafe {
            if whole > 0 {
                self.fold(core, io, plane, blocks.start * BLOCK, BLOCK, whole, lanes, gathered, caution);
            }
            if whole < blocks.len() {
                let from = (blocks.start + whole) * BLOCK;
                let to = lanes.add(whole * facts.lane);
                self.fold(core, io, plane, from, self.len - from, 1, to, gathered, caution);
            }
            let (twin, mut count) = (&core.hot, blocks.len());
            if let Some(careful) = &core.careful {
                return extreme(core, careful, lanes, count);
            }
            super::fill(lanes.add(count * facts.lane), &twin.fill, facts.lane, 2 * facts.lanes);
            while count > 1 {
                let mut odd = Lane::default();
                let last = lanes.add((count - 1) * facts.lane);
                core::ptr::copy_nonoverlapping(last, odd.as_mut_ptr(), facts.lane);
                pairs(twin, lanes, count + 2 * facts.lanes);
                for i in 1..count / 2 {
                    let from = lanes.add(2 * i * facts.lane);
                    core::ptr::copy_nonoverlapping(from, lanes.add(i * facts.lane), facts.lane);
                }
                if count % 2 == 1 {
                    core::ptr::copy_nonoverlapping(odd.as_ptr(), lanes.add(count / 2 * facts.lane), facts.lane);
                }
                count = count.div_ceil(2);
            }
            let mut lane = Lane::default();
            core::ptr::copy_nonoverlapping(lanes, lane.as_mut_ptr(), facts.lane);
            lane
        }
    }

    /// The same on as many threads of the calling thread's pool as are free, `most` at a time.
    #[cfg(feature = "rayon")]
    fn tree(&self, core: &Core, io: &Shared, plane: usize, blocks: Range<usize>, most: usize) -> Lane {
        if blocks.len() <= most {
            // SAFETY: blocks of a plane of the input, which nobody changes meanwhile: the contract of `run_shared`.
            return unsafe { self.subtree(core, &io.0, plane, blocks, &mut Caution::default()) };
        }
        let middle = blocks.start + blocks.len().next_power_of_two() / 2;
        let (left, right) = rayon::join(
            || self.tree(core, io, plane, blocks.start..middle, most),
            || self.tree(core, io, plane, middle..blocks.end, most),
        );
        // SAFETY: the tier is the core's.
        unsafe { join(core, left, right) }
    }
}

/// The lanes that wait between two pieces of a run.
#[repr(align(64))]
struct State([u8; STATE]);

/// The input of a run, read by several threads.
#[cfg(feature = "rayon")]
struct Shared(Io);

// SAFETY: the input alone is read through it, which nobody changes meanwhile: the contract of `run_shared`.
#[cfg(feature = "rayon")]
unsafe impl Sync for Shared {}

/// Makes lanes of `twin` those of the hot one. The careful twin's are finished: then they are elements in memory, and so
/// are the other's.
///
/// # Safety
/// `lanes` holds `count` of them.
unsafe fn settle(core: &Core, twin: &Twin, lanes: *mut u8, count: usize) {
    if !core.careful.as_ref().is_some_and(|careful| core::ptr::eq(careful, twin)) {
        return;
    }
    let bytes = core.facts().lane;
    for i in 0..count {
        // As aligned as the longest of elements.
        let mut element = 0_u64;
        let to: *mut u8 = (&raw mut element).cast();
        let fold = Fold {
            src: lanes.wrapping_add(i * bytes),
            dst: to,
            taps: Taps::ONE,
            outer: 1,
            outer_in: 0,
            outer_out: 0,
            len: 1,
            divisors: core::ptr::null(),
            word_bytes: 0,
            lane_bytes: 0,
            chunk: None,
            readable: core::ptr::null(),
            writable: core::ptr::null_mut(),
        };
        // SAFETY: a lane of the twin, and room for one.
        unsafe {
            twin.leaves.across.call(&twin.constants, &fold);
            core::ptr::copy_nonoverlapping(to, lanes.add(i * bytes), bytes);
        }
    }
}

/// The extreme of lanes of the hot twin, NaN among them.
///
/// # Safety
/// `lanes` holds `count` of them.
unsafe fn extreme(core: &Core, careful: &Twin, lanes: *const u8, count: usize) -> Lane {
    let mut state = State([0; STATE]);
    let to = state.0.as_mut_ptr();
    let runs = Runs {
        src: lanes,
        step: 0,
        count: 1,
        len: count,
        readable: lanes,
        dst: to,
        state: core::ptr::null_mut(),
        resumes: false,
        continues: false,
    };
    let mut lane = Lane::default();
    // SAFETY: elements, as many; room for a lane and a register more.
    unsafe {
        careful.leaves.runs.call(&careful.constants, &runs);
        settle(core, careful, to, 1);
        core::ptr::copy_nonoverlapping(to, lane.as_mut_ptr(), core.facts().lane);
    }
    lane
}

/// Every lane joined with its right neighbour.
///
/// # Safety
/// `lanes` holds `len` of them.
unsafe fn pairs(twin: &Twin, lanes: *mut u8, len: usize) {
    let stage = Stage::fold(lanes, len, 1, 2);
    // SAFETY: by this function's contract.
    unsafe { twin.leaves.stage.call(&twin.constants, &stage) };
}

/// Two lanes joined.
///
/// # Safety
/// The CPU has the tier of `core`.
unsafe fn join(core: &Core, left: Lane, right: Lane) -> Lane {
    let facts = core.facts();
    let mut lanes = State([0; STATE]);
    let to = lanes.0.as_mut_ptr();
    let mut joined = Lane::default();
    // SAFETY: the array holds two registers and a lane.
    unsafe {
        super::fill(to, &core.hot.fill, facts.lane, facts.lanes + 1);
        core::ptr::copy_nonoverlapping(left.as_ptr(), to, facts.lane);
        core::ptr::copy_nonoverlapping(right.as_ptr(), to.add(facts.lane), facts.lane);
        if let Some(careful) = &core.careful {
            return extreme(core, careful, to, 2);
        }
        pairs(&core.hot, to, facts.lanes + 1);
        core::ptr::copy_nonoverlapping(to, joined.as_mut_ptr(), facts.lane);
    }
    joined
}

impl Driver for Global {
    fn name(&self) -> &'static str {
        "global"
    }

    unsafe fn run(&self, core: &Core, io: &Io, planes: Range<usize>) {
        let (facts, outputs) = (core.facts(), &core.layer.places.output);
        let mut caution = Caution::default();
        let base = outputs.outer(planes.start);
        let dst =
            |plane: usize| io.dst.wrapping_add(outputs.outer(plane).wrapping_sub(base).wrapping_mul(facts.memory));
        if self.len > BLOCK {
            for plane in planes {
                // SAFETY: all blocks of a plane of the input, and its output, which is the run's.
                unsafe {
                    let folded = self.subtree(core, io, plane, 0..self.len.div_ceil(BLOCK), &mut caution);
                    self.put(core, io, folded, dst(plane), plane);
                }
            }
            return;
        }
        let mut scratch = Scratch::new();
        let lanes = scratch.start();
        let gathered = lanes.wrapping_add((BATCH + 64) * 8);
        let mut first = planes.start;
        while first < planes.end {
            let count = BATCH.min(planes.end - first);
            // SAFETY: the batch lies in `planes`, the units of this run; lanes for it and registers behind, and a
            // piece.
            unsafe {
                self.fold(core, io, first, 0, self.len, count, lanes, gathered, &mut caution);
                super::fill(lanes.add(count * facts.lane), &core.hot.fill, facts.lane, facts.lanes);
                self.finish(core, io, lanes, count, dst(first), first);
            }
            first += count;
        }
    }

    #[cfg(feature = "rayon")]
    unsafe fn run_shared(&self, core: &Core, io: &Io, planes: Range<usize>, pieces: usize) -> bool {
        if self.len <= BLOCK || pieces <= 1 {
            return false;
        }
        let blocks = self.len.div_ceil(BLOCK);
        // Subtrees of at least four blocks.
        let most = blocks.div_ceil(pieces).next_power_of_two().max(4);
        let (outputs, bytes) = (&core.layer.places.output, core.facts().memory);
        let base = outputs.outer(planes.start);
        for plane in planes {
            let folded = self.tree(core, &Shared(*io), plane, 0..blocks, most);
            let dst = io.dst.wrapping_add(outputs.outer(plane).wrapping_sub(base).wrapping_mul(bytes));
            // SAFETY: the output of the plane is the run's.
            unsafe { self.put(core, io, folded, dst, plane) };
        }
        true
    }
}

impl Global {
    /// Finishes and stores the output of a long plane.
    ///
    /// # Safety
    /// As for `finish`.
    unsafe fn put(&self, core: &Core, io: &Io, folded: Lane, dst: *mut u8, plane: usize) {
        let mut lanes = State([0; STATE]);
        lanes.0[..folded.len()].copy_from_slice(&folded);
        // SAFETY: one lane, and a register behind it.
        unsafe { self.finish(core, io, lanes.0.as_ptr(), 1, dst, plane) };
    }
}
