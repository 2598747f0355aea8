//! Small planes, whose rows are about a register long or shorter: a program of chunks for a group of planes.
//!
//! ```text
//! plan: for each output of a group of planes, in memory's order:
//!           put it into the part if a register from the part's first lane on holds its window         (1)
//!           else begin the next part with it, and the next chunk where the part would not fit
//! run:  for each group: the program                                                                   (2)
//! ```
//!
//! 1. A window is where its first row would be without padding: its *row of reference*, every stride-th.
//!    Its other rows lie as far from there as those of any other window, so a part loads a register from
//!    each row and folds them. A row may be missing for some of its lanes, which a mask leaves out.
//! 2. Registers are read and stored whole. Groups that would reach over an end of memory, planes that are no
//!    whole group, and rows that are no whole plane go through copies on the stack.
//!
//! A row of a plane is worth a call of a leaf only where it is long. Here nothing is done for a row: outputs
//! of several rows, and planes, share a register, and how they lie is in tables (`leaf/chunks.rs`).

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::careful::Caution;
use super::divisors::Block;
use super::{Core, Driver, Io, Twin};
use crate::kernels::leaf::chunks::{NONE, Part, Program};

mod plan;

/// Parts of a program, and bytes of the input of a group with what is read around it, at most.
const MOST_PARTS: usize = 128;
const MOST_INPUT: usize = 16 << 10;

/// Bytes of input that are done before the next are, should they have to be done again.
const BATCH: usize = 16 << 10;

/// A line of memory, in which tables lie.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[allow(dead_code, reason = "read as bytes")] [u8; 64]);

/// Which leaf runs the program.
#[derive(Clone, Copy, Debug)]
enum Window {
    Any,
    Two,
    Three,
}

pub(crate) struct Chunks {
    window: Window,
    /// Planes of a group, and bytes of a plane of the input and of the output.
    planes: usize,
    plane_in: usize,
    plane_out: usize,
    /// Output rows of a plane.
    rows: usize,
    parts: Vec<Part>,
    tables: Vec<Line>,
    /// Where each row of a window lies, from its row of reference, in bytes.
    offsets: Vec<usize>,
    columns: usize,
    /// The words of each chunk, or none where all outputs have the same divisor.
    divisors: Vec<Line>,
    divisor_bytes: usize,
    /// Bytes that a program reads before its group and up to where, from the group's first byte on; and up to where it
    /// writes.
    before: usize,
    reach: usize,
    writes: usize,
}

impl Chunks {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        plan::Plan::new(core)?.program()
    }

    /// The program for some groups.
    fn program(
        &self,
        core: &Core,
        twin: &Twin,
        src: *const u8,
        dst: *mut u8,
        groups: usize,
        block: &mut Block,
    ) -> Program {
        let common = core.divisors.words(twin.leaves, &twin.constants, 1, block);
        Program {
            src,
            dst,
            groups,
            group_in: self.planes * self.plane_in,
            group_out: self.planes * self.plane_out,
            parts: self.parts.as_ptr(),
            count: self.parts.len(),
            tables: self.tables.as_ptr().cast(),
            offsets: self.offsets.as_ptr(),
            rows: self.offsets.len(),
            columns: self.columns,
            divisors: if self.divisor_bytes == 0 { common } else { self.divisors.as_ptr().cast() },
            divisor_bytes: self.divisor_bytes,
        }
    }

    /// # Safety
    /// As for [`Program`].
    unsafe fn call(&self, twin: &Twin, program: &Program) -> bool {
        let leaves = twin.leaves;
        let leaf = match self.window {
            Window::Any => leaves.chunks,
            Window::Two => leaves.chunks_2,
            Window::Three => leaves.chunks_3,
        };
        // SAFETY: the same contract.
        unsafe { leaf.call(&twin.constants, program) }
    }

    /// Some planes, at most a group, through copies on the stack; of their output, from the first plane's first byte
    /// on, the bytes `wanted` go to `dst`.
    ///
    /// # Safety
    /// The planes are readable from `src` on, and `dst` is writable for so many bytes.
    #[inline(never)]
    unsafe fn apart(
        &self,
        core: &Core,
        caution: &mut Caution,
        src: *const u8,
        dst: *mut u8,
        planes: usize,
        wanted: Range<usize>,
    ) {
        const REGISTER: usize = 512;
        let mut input = MaybeUninit::<[u8; MOST_INPUT]>::uninit();
        let mut output = MaybeUninit::<[u8; MOST_PARTS * 64 + REGISTER]>::uninit();
        let (input, output) = (input.as_mut_ptr().cast::<u8>(), output.as_mut_ptr().cast::<u8>());
        // Of a chunk that begins behind the last plane, no output is wanted.
        let end = planes * self.plane_out;
        let count = self
            .parts
            .iter()
            .rposition(|part| part.dst != NONE && (part.dst as usize) < end)
            .map_or(0, |last| last + 1);
        let len = planes * self.plane_in;
        // SAFETY: the planes, with what is read around a group, fit the input, and what is written for a group the
        // output: the plan has seen to it.
        unsafe {
            input.write_bytes(0, self.before);
            core::ptr::copy_nonoverlapping(src, input.add(self.before), len);
            input.add(self.before + len).write_bytes(0, self.reach.saturating_sub(len));
            caution.run(core, |twin| {
                let mut block = Block::new();
                let mut program = self.program(core, twin, input.add(self.before), output, 1, &mut block);
                program.count = count;
                self.call(twin, &program)
            });
            core::ptr::copy_nonoverlapping(output.add(wanted.start), dst, wanted.len());
        }
    }
}

impl Driver for Chunks {
    fn name(&self) -> &'static str {
        "chunks"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let row_out = self.plane_out / self.rows;
        let input_len = core.layer.geometry.outer * self.plane_in;
        let (group_in, group_out) = (self.planes * self.plane_in, self.planes * self.plane_out);
        let batch = (BATCH / group_in).max(1);
        let mut caution = Caution::default();
        let mut row = rows.start;
        while row < rows.end {
            let (plane, skipped) = (row / self.rows, row % self.rows);
            let from = plane * self.plane_in;
            let src = io.src.wrapping_add(from);
            let dst = io.dst.wrapping_add((row - rows.start) * row_out);
            let planes = (rows.end - row) / self.rows;
            // SAFETY: planes of the layer and their output. A group that is not copied reads nothing but the input and
            // writes nothing but the run's output.
            unsafe {
                if skipped > 0 || planes == 0 {
                    let end = (skipped + rows.end - row).min(self.rows);
                    self.apart(core, &mut caution, src, dst, 1, skipped * row_out..end * row_out);
                    row += end - skipped;
                    continue;
                }
                // Groups from here on that may read and write whole registers.
                let room =
                    |bytes: usize, need: usize, step: usize| bytes.checked_sub(need).map_or(0, |more| more / step + 1);
                let groups = if from < self.before { 0 } else { planes / self.planes };
                let groups = groups
                    .min(room(input_len - from, self.reach, group_in))
                    .min(room(io.dst_end as usize - dst as usize, self.writes, group_out))
                    .min(batch);
                if groups == 0 {
                    let planes = planes.min(self.planes);
                    self.apart(core, &mut caution, src, dst, planes, 0..planes * self.plane_out);
                    row += planes * self.rows;
                } else {
                    caution.run(core, |twin| {
                        let mut block = Block::new();
                        self.call(twin, &self.program(core, twin, src, dst, groups, &mut block))
                    });
                    row += groups * self.planes * self.rows;
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.parts)
            + size_of_val(&*self.tables)
            + size_of_val(&*self.offsets)
            + size_of_val(&*self.divisors)
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = self.parts.iter().filter(|part| part.dst != NONE).count();
        let (parts, planes) = (self.parts.len(), self.planes);
        let (rows, columns) = (self.offsets.len(), self.columns);
        write!(f, "chunks: {chunks} of {parts} parts for {planes} planes, {rows} rows and {columns} columns a window")
    }
}
