//! Rows of outputs by tables, whole planes a call.
//!
//! ```text
//! for each batch of planes, or of rows of a plane:
//!     for each output row: for each segment of it: for each chunk: as the leaf says     (leaf/rows.rs)
//! ```
//!
//! 1. All that a row needs is worked out when planning: segments and tables of a row (`segments.rs`), and runs of
//!    output rows whose windows have the same taps, with the offsets of their rows.
//! 2. A window's row in the padding is another one of the window's for an extreme. For a sum it is a row of identities
//!    or, where that would be long, a run of its own with fewer taps.
//! 3. Chunks that reach behind what may be touched are computed from and to copies: those of the last rows or, where
//!    memory has gaps, the last ones of many rows.
//!
//! The driver takes every window whose span fits one register, or two where tables span two: planar rows, and pixels of
//! few channels.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::careful::Caution;
use super::segments::Segments;
use super::{Core, Driver, Io, Position, Twin, fill};
use crate::kernels::leaf::Leaf;
use crate::kernels::leaf::rows::{self, MISSING, Run, Segment};
use crate::order::Order;
use crate::strides::Gaps;

/// Bytes of input that a call gets at a time: what is done again where there is a NaN in it.
const BATCH: usize = 24 << 10;

/// Bytes of a row of identities at most, in lanes of memory.
const LONGEST_IDENTITIES: usize = 6 << 10;

/// How far ahead of its loads a run asks for lines: rows are too short for a cache's prefetchers, which follow one to
/// its end and have to begin anew. A number of steps, unless those are long.
const AHEAD: usize = 2 << 10;

/// Rows of a window at most.
const MOST_TAPS: usize = 64;

/// Runs of a plane at most, and offsets of their rows.
const MOST_RUNS: usize = 256;
const MOST_OFFSETS: usize = 1024;

/// Bytes that a chunk reads of a row at most: two registers, and an element before them.
const MOST_REACH: usize = 128 + 64;

pub(crate) struct Rows {
    segments: Segments,
    runs: Vec<Run>,
    /// Of each run: its first output row, and how far into the plane that reaches at most, or a later one where windows
    /// are cut.
    firsts: Vec<(usize, usize)>,
    offsets: Vec<usize>,
    identities: Vec<u8>,
    /// Which leaf: of windows of any size, 2×2, 3×3.
    side: usize,
    /// Slabs are planes of their own.
    by_slab: bool,
    /// Output rows of a plane, and bytes of its input.
    plane_rows: usize,
    plane_bytes: usize,
    /// Bytes from one plane to the next, where that is the same for all.
    even: Option<(usize, usize)>,
    /// Bytes from an output row to the next.
    row_out: usize,
}

impl Rows {
    pub(crate) fn new(core: &Core) -> Option<Self> {
        let layer = &core.layer;
        let geometry = &layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let facts = core.facts();
        let slides = geometry.axes.iter().all(crate::geometry::Axis::slides);
        if !facts.tabled || !slides || !layer.has_whole_rows() || geometry.may_have_empty_windows() {
            return None;
        }
        if !facts.any_order && core.order != Order::Columns {
            return None;
        }
        let taps = depth.kernel.checked_mul(height.kernel)?;
        if taps > MOST_TAPS || width.kernel > 64 || geometry.outer == 0 {
            return None;
        }
        let by_slab = depth.kernel == 1 && depth.begin == 0;
        let steps = &layer.places.input;
        let (row_bytes, slab_bytes) = (steps.row.wrapping_mul(facts.memory), steps.slab.wrapping_mul(facts.memory));
        let line = width.input.checked_mul(geometry.inner * facts.memory)?;

        // Divisors of rows, each value once.
        let mut classes = Vec::new();
        let slabs = if by_slab { 1 } else { depth.output };
        let (head, tail) = height.cut_windows();
        let whole = (height.output - tail).max(head);
        let per_slab = head + (height.output - whole) + usize::from(whole > head);
        if per_slab.saturating_mul(slabs) > MOST_RUNS
            || per_slab.saturating_mul(slabs).saturating_mul(taps) > MOST_OFFSETS
        {
            return None;
        }
        let whole_slabs = depth.output - depth.cut_windows().1;
        let class = |z: usize, y: usize| core.divisors.factor(depth, z).saturating_mul(core.divisors.factor(height, y));
        for z in 0..slabs {
            for y in (0..(head + 1).min(whole)).chain(whole..height.output) {
                if !classes.contains(&class(z, y)) {
                    classes.push(class(z, y));
                }
            }
        }

        let ways = [rows::ONE, rows::TWO, rows::APART].into_iter().filter_map(|how| Segments::new(core, how, &classes));
        let segments =
            ways.chain(Segments::without_tables(core, &classes)).min_by_key(|segments| segments.cost(core))?;
        let leaves = &core.hot.leaves.rows[usize::from(segments.how)];
        let mut side = match (depth.kernel, height.kernel, width.kernel) {
            (1, 2, 2) => 1,
            (1, 3, 3) => 2,
            _ => 0,
        };
        if leaves[side].address() == leaves[0].address() {
            side = 0;
        }
        let has_identities = side > 0 && !facts.idempotent && per_slab > 1 && line <= LONGEST_IDENTITIES;
        let mut this = Self {
            segments,
            runs: Vec::new(),
            firsts: Vec::new(),
            offsets: Vec::new(),
            identities: Vec::new(),
            side,
            by_slab,
            plane_rows: slabs * height.output,
            plane_bytes: (height.input * if by_slab { 1 } else { depth.input }).saturating_mul(line),
            even: None,
            row_out: layer.places.output.row.wrapping_mul(facts.memory),
        };
        let step = height.stride.wrapping_mul(row_bytes);
        for z in 0..slabs {
            let slab_taps = depth.taps(z);
            let mut y = 0;
            while y < height.output {
                let row_taps = height.taps(y);
                let rows = if y < head || y >= whole { 1 } else { whole - y };
                let first = this.offsets.len();
                let at = |z: usize, y: usize| {
                    let slab = (slab_taps.start + z * depth.dilation).wrapping_mul(slab_bytes);
                    slab.wrapping_add((row_taps.start + y * height.dilation).wrapping_mul(row_bytes))
                };
                if side > 0 && (facts.idempotent || has_identities) {
                    // As many as the leaf is made for.
                    for i in 0..height.kernel {
                        let position = (y * height.stride + i * height.dilation).wrapping_sub(height.begin);
                        this.offsets.push(if position < height.input {
                            position.wrapping_mul(row_bytes)
                        } else if facts.idempotent {
                            at(0, 0)
                        } else {
                            MISSING
                        });
                    }
                } else {
                    for i in 0..slab_taps.count {
                        this.offsets.extend((0..row_taps.count).map(|j| at(i, j)));
                    }
                }
                // The last tap's row, or the plane's last one: never less than for a row before.
                let last = if y >= height.output - tail || z >= whole_slabs {
                    this.plane_bytes.saturating_sub(line)
                } else {
                    at(slab_taps.count - 1, row_taps.count - 1)
                };
                this.firsts.push((z * height.output + y, last));
                this.runs.push(Run {
                    offsets: first,
                    taps: this.offsets.len() - first,
                    rows,
                    step,
                    ahead: if step > 4 * AHEAD { AHEAD } else { step * AHEAD.div_ceil(step.max(1)) },
                    dst: layer.places.output.row_at(0, z, y).wrapping_mul(facts.memory),
                    divisors: classes.iter().position(|some| *some == class(z, y))? * this.segments.class_bytes,
                });
                y += rows;
            }
        }

        if this.offsets.contains(&MISSING) {
            let count = this.segments.reads.div_ceil(facts.memory);
            let count = count.max(this.segments.reach / facts.memory + 1);
            this.identities.resize(count * facts.memory, 0);
            // SAFETY: so many elements were just made.
            unsafe { fill(this.identities.as_mut_ptr(), &core.identity, facts.memory, count) };
        }
        let output = &layer.places.output;
        this.even = match (steps.even(), output.even()) {
            (Some(plane_in), Some(plane_out)) => {
                let (slab_in, slab_out) = (depth.stride.wrapping_mul(steps.slab), output.slab);
                let n = depth.output;
                if !by_slab || n == 1 {
                    Some((plane_in, plane_out))
                } else {
                    let is_even = slab_in.wrapping_mul(n) == plane_in && slab_out.wrapping_mul(n) == plane_out;
                    (is_even || geometry.outer == 1).then_some((slab_in, slab_out))
                }
            }
            _ => None,
        };
        this.even = this.even.map(|(from, to)| (from.wrapping_mul(facts.memory), to.wrapping_mul(facts.memory)));
        // Without an instruction for tables, only what needs none.
        (facts.permutes() || !this.has_tables()).then_some(this)
    }

    /// Whether its leaves permute lanes by tables.
    fn has_tables(&self) -> bool {
        self.segments.how < crate::kernels::leaf::rows::OTHER
    }

    /// Outputs that a chunk puts out.
    pub(crate) fn outputs(&self) -> usize {
        self.segments.each
    }

    /// Where output row `row` of the layer lies: its plane's input and output from the tensors' beginnings, and its
    /// number in the plane.
    fn place(&self, core: &Core, row: usize) -> Place {
        let [depth, ..] = &core.layer.geometry.axes;
        let (plane, y) = (row / self.plane_rows, row % self.plane_rows);
        let (outer, z) = if self.by_slab { (plane / depth.output, plane % depth.output) } else { (plane, 0) };
        Place { src: core.input_row(outer, z * depth.stride, 0), dst: core.output_row(&Position { outer, z, y: 0 }), y }
    }

    /// The run of a plane's row.
    fn run_of(&self, y: usize) -> usize {
        self.firsts.partition_point(|(first, _)| *first <= y) - 1
    }

    fn leaf(&self, twin: &Twin, run: &Run) -> Leaf<rows::Rows> {
        let leaves = &twin.leaves.rows[usize::from(self.segments.how)];
        leaves[if self.side > 0 && run.taps == self.side + 1 { self.side } else { 0 }]
    }

    /// Planes of all runs, or what of it is filled in.
    fn args(&self, core: &Core, src: *const u8, dst: *mut u8, runs: &[Run], segments: &[Segment]) -> rows::Rows {
        rows::Rows {
            src,
            dst,
            planes: 1,
            plane_in: 0,
            plane_out: 0,
            runs: runs.as_ptr(),
            run_count: runs.len(),
            offsets: self.offsets.as_ptr(),
            row_out: self.row_out,
            segments: segments.as_ptr(),
            segment_count: segments.len(),
            tables: self.segments.tables.as_ptr(),
            columns: core.layer.geometry.axes[2].kernel,
            identities: self.identities.as_ptr(),
            divisors: self.segments.divisors.as_ptr(),
        }
    }

    /// Output rows of a plane, a batch at a time.
    ///
    /// # Safety
    /// As for `run`: nothing that they touch lies behind what may be touched.
    unsafe fn part(&self, core: &Core, caution: &mut Caution, src: *const u8, dst: *mut u8, rows: Range<usize>) {
        let mut y = rows.start;
        let mut u = if rows.is_empty() { 0 } else { self.run_of(y) };
        while y < rows.end {
            let (run, first) = (&self.runs[u], self.firsts[u].0);
            let end = (first + run.rows).min(rows.end);
            let batch = (BATCH / run.step.clamp(1, BATCH)).max(1);
            while y < end {
                let n = batch.min(end - y);
                let some = [Run { rows: n, dst: run.dst + (y - first) * self.row_out, ..*run }];
                let src = src.wrapping_add((y - first).wrapping_mul(run.step));
                let args = self.args(core, src, dst, &some, &self.segments.list);
                // SAFETY: rows of a run of the plane, by this function's contract.
                caution.run(core, |twin| unsafe { self.leaf(twin, run).call(&twin.constants, &args) });
                y += n;
            }
            u += 1;
        }
    }

    /// Whether nothing that a row touches lies behind what may be touched.
    fn is_safe(&self, core: &Core, io: &Io, base: usize, row: usize) -> bool {
        let (place, layer, memory) = (self.place(core, row), &core.layer, core.facts().memory);
        let u = self.run_of(place.y);
        let (run, (first, last)) = (&self.runs[u], self.firsts[u]);
        let from = place.src.wrapping_add((place.y - first).wrapping_mul(run.step));
        let length = io.src_end as usize - io.src as usize;
        let fits = |offset: usize| from.wrapping_add(offset).saturating_add(self.segments.reads) <= length;
        let is_readable = if layer.places.input_is_packed {
            fits(last)
        } else {
            let taps = &self.offsets[run.offsets..run.offsets + run.taps];
            taps.iter().all(|offset| *offset == MISSING || fits(*offset))
        };
        let at = Position::of(&layer.geometry, row);
        let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
        let end = layer.end(io, &at, at.y, dst, memory);
        is_readable && dst as usize + self.segments.writes <= end as usize
    }

    /// A row of outputs of which some chunks reach behind what may be touched.
    ///
    /// # Safety
    /// As for `run`, of a row.
    #[inline(never)]
    unsafe fn edge(&self, core: &Core, twin: &Twin, io: &Io, base: usize, row: usize) -> bool {
        let (place, layer, memory) = (self.place(core, row), &core.layer, core.facts().memory);
        let u = self.run_of(place.y);
        let run = &self.runs[u];
        let src = io.src.wrapping_add(place.src).wrapping_add((place.y - self.firsts[u].0).wrapping_mul(run.step));
        let at = Position::of(&layer.geometry, row);
        let dst = io.dst.wrapping_add(core.output_row(&at).wrapping_sub(base));
        let writable = layer.end(io, &at, at.y, dst, memory) as usize;
        let geometry = &layer.geometry;
        let row_end = dst as usize + geometry.row_len() * memory;
        let line = geometry.axes[2].input * geometry.inner * memory;
        let taps = &self.offsets[run.offsets..run.offsets + run.taps];
        // Up to where a tap's row may be read.
        let readable =
            |offset: usize| if io.src_end == io.src { src as usize + offset + line } else { io.src_end as usize };
        let reach = self.segments.reach;
        let leaf = self.leaf(twin, run);
        let mut met = false;
        let (mut from, mut to) = ([0_u8; MOST_TAPS * MOST_REACH], [0_u8; MOST_REACH]);
        let copied: [usize; MOST_TAPS] = core::array::from_fn(|i| i * MOST_REACH);
        for segment in &self.segments.list {
            // Chunks that touch nothing else.
            let writes = Segments::chunk_writes(core.facts(), segment);
            let fitting = |at: usize, need: usize, end: usize, step: usize| match end.checked_sub(at + need) {
                Some(free) => free / step.max(1) + 1,
                None => 0,
            };
            let mut safe = segment.chunks.min(fitting(dst as usize + segment.dst, writes, writable, segment.out_step));
            for offset in taps.iter().filter(|offset| **offset != MISSING) {
                let first = src as usize + offset + segment.src;
                safe = safe.min(fitting(first, reach, readable(*offset), segment.in_step));
            }
            let one = [Run { rows: 1, dst: 0, ..*run }];
            if safe > 0 {
                let valid = segment.valid + (segment.chunks - safe) * segment.in_step / memory;
                let some = [Segment { chunks: safe, valid, ..*segment }];
                // SAFETY: chunks of the row that touch what may be touched.
                met |= unsafe { leaf.call(&twin.constants, &self.args(core, src, dst, &one, &some)) };
            }
            for i in safe..segment.chunks {
                // Without tables, the column before is read too.
                let is_first = segment.is_first && i == 0;
                let lead =
                    if self.segments.how >= rows::OTHER && segment.src + i * segment.in_step > 0 { memory } else { 0 };
                let in_at = segment.src + i * segment.in_step - lead;
                for (t, offset) in taps.iter().enumerate() {
                    let (p, n) = if *offset == MISSING {
                        (self.identities.as_ptr(), reach + lead)
                    } else {
                        let p = src.wrapping_add(*offset).wrapping_add(in_at);
                        (p, readable(*offset).saturating_sub(p as usize).min(reach + lead))
                    };
                    // SAFETY: bytes of a row of the input, or of the identities, which are as many as a row's chunks
                    // read.
                    unsafe { core::ptr::copy_nonoverlapping(p, from.as_mut_ptr().add(t * MOST_REACH), n) };
                }
                let valid = segment.valid + (segment.chunks - 1 - i) * segment.in_step / memory;
                let some = [Segment { src: lead, dst: 0, chunks: 1, valid, is_first, ..*segment }];
                let alone = [Run { offsets: 0, ..one[0] }];
                let mut args = self.args(core, from.as_ptr(), to.as_mut_ptr(), &alone, &some);
                args.offsets = copied.as_ptr();
                let out = dst.wrapping_add(segment.dst + i * segment.out_step);
                // SAFETY: a chunk in copies that take its registers; then those of its outputs that are the row's.
                unsafe {
                    met |= leaf.call(&twin.constants, &args);
                    core::ptr::copy_nonoverlapping(to.as_ptr(), out, segment.put.min(row_end - out as usize));
                }
            }
        }
        met
    }
}

/// Where a row of outputs lies.
struct Place {
    /// Bytes from the tensors' beginnings to its plane's.
    src: usize,
    dst: usize,
    /// Its number in the plane.
    y: usize,
}

impl Driver for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    unsafe fn run(&self, core: &Core, io: &Io, rows: Range<usize>) {
        let layer = &core.layer;
        let base = core.output_row(&Position::of(&layer.geometry, rows.start));
        let is_packed = layer.places.input_is_packed && layer.places.gaps == Gaps::None && io.src_end != io.src;
        let mut caution = Caution::default();
        let mut safe_end = rows.end;
        if is_packed {
            while safe_end > rows.start && !self.is_safe(core, io, base, safe_end - 1) {
                safe_end -= 1;
            }
        }
        let is_uniform = self.runs.iter().all(|run| self.side == 0 || run.taps == self.side + 1);
        let planes_a_batch = BATCH / self.plane_bytes.clamp(1, BATCH);
        let mut row = rows.start;
        while row < rows.end {
            let place = self.place(core, row);
            let (src, dst) = (io.src.wrapping_add(place.src), io.dst.wrapping_add(place.dst.wrapping_sub(base)));
            let plane_end = row - place.y + self.plane_rows;
            // Rows from here on that touch nothing else.
            let mut end = safe_end.max(row);
            if !is_packed {
                end = row;
                while end < rows.end.min(plane_end) && self.is_safe(core, io, base, end) {
                    end += 1;
                }
            }
            let planes = (end - row) / self.plane_rows;
            if let Some((plane_in, plane_out)) = self.even
                && place.y == 0
                && planes > 0
                && is_uniform
                && self.plane_bytes <= 2 * BATCH
            {
                let n = planes_a_batch.clamp(1, planes);
                let mut args = self.args(core, src, dst, &self.runs, &self.segments.list);
                (args.planes, args.plane_in, args.plane_out) = (n, plane_in, plane_out);
                // SAFETY: whole planes, which touch nothing else.
                caution.run(core, |twin| unsafe { self.leaf(twin, &self.runs[0]).call(&twin.constants, &args) });
                row += n * self.plane_rows;
            } else if end > row {
                let end = end.min(plane_end);
                // SAFETY: rows of a plane, which touch nothing else.
                unsafe { self.part(core, &mut caution, src, dst, place.y..place.y + end - row) };
                row = end;
            } else {
                // SAFETY: a row of the run.
                caution.run(core, |twin| unsafe { self.edge(core, twin, io, base, row) });
                row += 1;
            }
        }
    }

    fn bytes(&self) -> usize {
        self.segments.bytes()
            + size_of_val(&*self.runs)
            + size_of_val(&*self.firsts)
            + size_of_val(&*self.offsets)
            + self.identities.len()
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = [
            "by tables",
            "by tables over two registers",
            "by tables of halves",
            "of every other column",
            "of every column",
        ][usize::from(self.segments.how)];
        write!(
            f,
            "{} runs of rows, {} segments, {} outputs a chunk {how}",
            self.runs.len(),
            self.segments.list.len(),
            self.segments.each
        )
    }
}
