//! How a row of outputs is cut into segments, whose chunks a leaf puts out by tables (`leaf/rows.rs`).
//!
//! ```text
//! outputs whose windows begin in the padding: a register at the row's beginning, as often as it takes
//! outputs whose windows are whole:            a register at each `put` windows
//! outputs whose windows end in the padding:   the register that ends with the row
//! ```
//!
//! What a register puts out is counted in whole pixels whose taps all lie in it, or in one of its halves where those
//! are apart. Where no window is cut, the middle is all there is.

use alloc::vec::Vec;

use super::Core;
use super::program::{half_base, put_index, put_spread};
use crate::geometry::Axis;
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::rows::{self, Segment};

/// Bytes of tables and divisors at most.
const MOST_BYTES: usize = 32 << 10;

/// Pixels of a row at most, so that no sum of positions overflows.
const LONGEST: usize = 1 << 30;

/// Segments of a row at most.
const MOST_SEGMENTS: usize = 16;

/// The segments of a layer's rows.
pub(super) struct Segments {
    pub(super) list: Vec<Segment>,
    pub(super) tables: Vec<u8>,
    pub(super) divisors: Vec<u8>,
    /// Bytes from the divisors of one class of rows to those of the next.
    pub(super) class_bytes: usize,
    /// By tables over one register, over two, or without tables: `leaf/rows.rs` has the names.
    pub(super) how: u8,
    /// Bytes that a chunk reads, and outputs that one puts out whose windows are whole.
    pub(super) reach: usize,
    pub(super) each: usize,
    /// How far a row's last chunks read and write, from its beginning.
    pub(super) reads: usize,
    pub(super) writes: usize,
}

/// Outputs that a register puts out: how many of each half, and the lane that the half's indices count from.
#[derive(Clone, Copy, Debug, Default)]
struct Fit {
    outputs: [usize; 2],
    bases: [usize; 2],
}

impl Fit {
    fn all(&self) -> usize {
        self.outputs[0] + self.outputs[1]
    }
}

/// What tables are made for.
struct Planner<'a> {
    facts: &'a Facts,
    axis: &'a Axis,
    inner: usize,
    /// By which tables, and of how many lanes they take.
    how: u8,
    lanes: usize,
}

impl Planner<'_> {
    /// The first and the last tap of an output, in pixels from the row's beginning: of a whole window, or of its valid
    /// taps.
    fn ends(&self, o: usize, is_whole: bool) -> (isize, isize) {
        let axis = self.axis;
        if is_whole {
            let first = (o * axis.stride) as isize - axis.begin as isize;
            return (first, first + axis.span() as isize - 1);
        }
        let taps = axis.taps(o);
        let first = taps.start as isize;
        (first, first + (taps.count.saturating_sub(1) * axis.dilation) as isize)
    }

    /// The pixel of tap `j` of an output: of padding, where an extreme has it, the first valid one.
    fn tap(&self, o: usize, j: usize, is_whole: bool) -> (isize, bool) {
        let axis = self.axis;
        let position = (o * axis.stride + j * axis.dilation) as isize - axis.begin as isize;
        let is_valid = is_whole || (0..axis.input as isize).contains(&position);
        (if is_valid { position } else { self.ends(o, false).0 }, is_valid)
    }

    /// The words of a register that a pixel lies in, as bits.
    fn words(&self, pixel: isize) -> u64 {
        let first = pixel as usize * self.inner * self.facts.lane;
        let end = first + self.inner * self.facts.lane;
        ((1 << end.div_ceil(4)) - 1) & !((1 << (first / 4)) - 1)
    }

    /// The outputs from `o` on, up to `end`, whose taps lie in the register that begins with pixel `base`.
    fn fit(&self, base: isize, o: usize, end: usize, is_whole: bool) -> Fit {
        let (inner, halves) = (self.inner, self.facts.halves);
        // Lanes that outputs are put out from: of a register, or of a half of one.
        let each = if self.how == rows::APART { self.lanes } else { self.lanes / halves };
        let most = self.facts.lanes / halves / inner;
        let mut fit = Fit::default();
        let mut next = o;
        for half in 0..halves {
            let Some(first) = (next < end).then(|| self.ends(next, is_whole).0 - base).filter(|first| *first >= 0)
            else {
                break;
            };
            let from =
                if halves == 1 || self.how == rows::APART { 0 } else { half_base(self.facts, first as usize * inner) };
            fit.bases[half] = from;
            let start = next;
            while next < end && fit.outputs[half] < most {
                let (first, last) = self.ends(next, is_whole);
                let is_in = first - base >= 0
                    && (first - base) as usize * inner >= from
                    && ((last - base) as usize + 1) * inner <= from + each;
                if !is_in || self.how == rows::APART && !self.spreads(base, start..next + 1, is_whole) {
                    break;
                }
                fit.outputs[half] += 1;
                next += 1;
            }
            if fit.outputs[half] == 0 {
                break;
            }
        }
        fit
    }

    /// Whether every tap of some outputs lies in as many words as a half has.
    fn spreads(&self, base: isize, outputs: core::ops::Range<usize>, is_whole: bool) -> bool {
        (0..self.axis.kernel).all(|j| {
            let words = outputs.clone().fold(0, |words, o| words | self.words(self.tap(o, j, is_whole).0 - base));
            words.count_ones() as usize <= self.facts.register() / 4 / 2
        })
    }
}

impl Segments {
    pub(super) fn empty() -> Self {
        Self {
            list: Vec::new(),
            tables: Vec::new(),
            divisors: Vec::new(),
            class_bytes: 0,
            how: rows::ONE,
            reach: 0,
            each: 0,
            reads: 0,
            writes: 0,
        }
    }

    /// `None` where a register holds no window, or the tables are too many. `keeps` is how many divisors rows have.
    pub(super) fn new(core: &Core, how: u8, classes: &[usize]) -> Option<Self> {
        let geometry = &core.layer.geometry;
        let (axis, facts, inner) = (&geometry.axes[2], core.facts(), geometry.inner);
        let leaves = &core.hot.leaves.rows;
        let lanes = if how == rows::TWO { 2 * facts.lanes } else { facts.lanes };
        let planner = Planner { facts, axis, inner, how, lanes };
        let fits = axis.span().saturating_mul(inner) <= lanes && inner <= facts.lanes / facts.halves;
        if !fits || axis.stride > lanes || axis.input > LONGEST {
            return None;
        }
        let (head, tail) = axis.cut_windows();
        let whole = axis.output - tail;
        let each = planner.fit(-(axis.begin as isize), 0, usize::MAX, true);
        let mut this = Self { how, reach: lanes * facts.memory, each: each.all(), ..Self::empty() };
        let is_there = how == rows::ONE || leaves[usize::from(how)][0].address() != leaves[0][0].address();
        // Spread for each tap anew, windows that follow each other or are long take longer than bands.
        let is_slow = how == rows::APART && (axis.stride == 1 || axis.kernel > 5);
        if this.each == 0 || !is_there || is_slow {
            return None;
        }
        // First output of each segment, for its divisors.
        let mut firsts = [(0, Fit::default(), false); MOST_SEGMENTS];
        let mut add = |this: &mut Self, base: isize, o: usize, chunks: usize, fit: Fit, is_whole: bool| {
            let at = this.list.len();
            if at == MOST_SEGMENTS || fit.all() == 0 {
                return None;
            }
            firsts[at] = (o, fit, is_whole);
            this.add(&planner, base, o, chunks, fit, is_whole);
            (this.tables.len() <= MOST_BYTES).then_some(())
        };
        let mut o = 0;
        while o < head {
            let fit = planner.fit(0, o, axis.output, false);
            add(&mut this, 0, o, 1, fit, false)?;
            o += fit.all();
        }
        // The register that ends with the row, or begins with it.
        let base = axis.input.saturating_sub(lanes / inner) as isize;
        let mut right = axis.output;
        if tail > 0 {
            right = whole.max(o);
            while right > o && planner.fit(base, right - 1, axis.output, false).all() == axis.output - (right - 1) {
                right -= 1;
            }
        }
        if right > o {
            let base = (o * axis.stride - axis.begin) as isize;
            let fit = planner.fit(base, o, usize::MAX, true);
            add(&mut this, base, o, (right - o).div_ceil(fit.all().max(1)), fit, true)?;
            o = right;
        }
        while o < axis.output {
            let fit = planner.fit(base, o, axis.output, false);
            add(&mut this, base, o, 1, fit, false)?;
            o += fit.all();
        }
        let count = this.list.len();
        this.put_divisors(core, &firsts[..count], classes)?;
        Some(this)
    }

    /// The segments of a row without tables: `None` where windows need some.
    pub(super) fn without_tables(core: &Core, classes: &[usize]) -> Option<Self> {
        let geometry = &core.layer.geometry;
        let (axis, facts) = (&geometry.axes[2], core.facts());
        let (lanes, memory, stride) = (facts.lanes, facts.memory, axis.stride);
        // Where output 0 has its middle one of three columns, or its first of two.
        let base = match (stride, axis.kernel) {
            (2, 2) if axis.begin == 0 => 0,
            (1 | 2, 3) if axis.begin <= 1 => 1 - axis.begin,
            _ => return None,
        };
        let how = if stride == 1 { rows::EVERY } else { rows::OTHER };
        let leaves = &core.hot.leaves.rows;
        let is_there = leaves[usize::from(how)][0].address() != leaves[0][0].address();
        if !is_there || geometry.inner > 1 || axis.dilation > 1 || axis.input > LONGEST {
            return None;
        }
        let mut this = Self { how, reach: 2 * lanes * memory, each: lanes, ..Self::empty() };
        // Where divisors differ, chunks at both ends are segments of their own.
        let (head, tail) = if core.divisors.are_equal() { (0, 0) } else { axis.cut_windows() };
        let count = axis.output.div_ceil(lanes);
        let (head, whole) = (head.div_ceil(lanes).min(count), (axis.output - tail) / lanes);
        let whole = if tail > 0 { whole.clamp(head, count) } else { count };
        let mut firsts = [(0, Fit::default(), false); MOST_SEGMENTS];
        let mut chunk = 0;
        while chunk < count {
            let is_apart = chunk < head || chunk >= whole;
            let end = if is_apart { chunk + 1 } else { whole };
            let (o, last) = (chunk * lanes, (end - 1) * lanes);
            let at = this.list.len();
            if at == MOST_SEGMENTS {
                return None;
            }
            let outputs = [lanes.min(axis.output - o), 0];
            firsts[at] = (o, Fit { outputs, bases: [0; 2] }, !is_apart);
            let segment = Segment {
                src: (stride * o + base) * memory,
                dst: o * memory,
                in_step: stride * lanes * memory,
                out_step: lanes * memory,
                chunks: end - chunk,
                half: 0,
                tables: 0,
                is_masked: false,
                valid: axis.input.saturating_sub(stride * last + base),
                is_first: o == 0 && axis.begin == 1,
                divisors: 0,
                put: lanes * memory,
            };
            this.reads = segment.src + (segment.chunks - 1) * segment.in_step + this.reach;
            this.writes = segment.dst + segment.chunks * segment.out_step;
            this.list.push(segment);
            chunk = end;
        }
        let segments = this.list.len();
        this.put_divisors(core, &firsts[..segments], classes)?;
        Some(this)
    }

    /// About how many instructions a row of outputs takes, in quarters.
    pub(super) fn cost(&self, core: &Core) -> usize {
        let [depth, height, width] = &core.layer.geometry.axes;
        let (facts, taps) = (core.facts(), depth.kernel * height.kernel);
        let registers = if self.how == rows::TWO || self.how == rows::OTHER { 2 } else { 1 };
        // What each way takes for the columns of a chunk, but for what joins them.
        let columns = match self.how {
            rows::ONE => width.kernel + 2 * (facts.halves - 1),
            rows::TWO => width.kernel * if facts.mask_bits { 1 } else { 4 },
            rows::APART => 3 * width.kernel + 1,
            rows::OTHER => {
                if facts.mask_bits {
                    4
                } else {
                    4 * facts.halves + 1
                }
            }
            _ => 4,
        };
        let finish = if facts.words > 1 { 14 } else { 4 };
        let bytes = facts.lanes * facts.memory;
        let chunk = |segment: &Segment| {
            // A load that lies across two lines is two of them.
            let load = if (segment.src | segment.in_step).is_multiple_of(bytes) { 4 } else { 4 + 4 * bytes / 64 };
            taps * registers * (load + 4) + 4 * (columns + width.kernel + finish)
        };
        // A segment has tables to load, or a column before it.
        let each = 24
            + if self.how < rows::OTHER {
                4 * width.kernel
            } else if width.begin == 0 && width.kernel > 2 {
                12 * taps
            } else {
                0
            };
        self.list
            .iter()
            .map(|segment| segment.chunks.saturating_mul(chunk(segment)).saturating_add(each))
            .fold(0, usize::saturating_add)
    }

    /// A segment of `chunks` registers, the first of which begins with pixel `base` and puts out the outputs from `o`
    /// on.
    #[allow(clippy::too_many_arguments, reason = "one step of `new`, cut out so that it can be read")]
    fn add(&mut self, planner: &Planner, base: isize, o: usize, chunks: usize, fit: Fit, is_whole: bool) {
        let Planner { facts, axis, inner, .. } = *planner;
        let pixel = inner * facts.memory;
        let (register, put) = (facts.register(), fit.all());
        let (src, dst) = (base as usize * pixel, o * pixel);
        let (in_step, out_step) = (put * axis.stride * pixel, put * pixel);
        let mut segment = Segment {
            src,
            dst,
            in_step,
            out_step,
            chunks,
            half: fit.outputs[0] * inner,
            tables: self.tables.len(),
            is_masked: false,
            valid: 0,
            is_first: false,
            divisors: 0,
            put: out_step,
        };
        self.reads = self.reads.max(src + (chunks - 1) * in_step + self.reach);
        self.writes = self.writes.max(dst + (chunks - 1) * out_step + Self::chunk_writes(facts, &segment));
        let is_apart = self.how == rows::APART;
        // Bytes before the first table, and from one to the next.
        let spread = if is_apart { 0 } else { (facts.halves - 1) * register };
        let each = if is_apart { 2 * register } else { register };
        let masks = self.tables.len() + spread + axis.kernel * each;
        self.tables.resize(masks + axis.kernel * facts.mask_bytes, 0);
        let mut next = o;
        for half in 0..facts.halves {
            let outputs = next..next + fit.outputs[half];
            if facts.halves > 1 && !is_apart {
                put_spread(facts, &mut self.tables[segment.tables..], half, fit.bases[half]);
            }
            for j in 0..axis.kernel {
                let at = segment.tables + spread + j * each;
                let (mut words, mut table) = (u64::MAX, at);
                if is_apart {
                    words =
                        outputs.clone().fold(0, |words, o| words | planner.words(planner.tap(o, j, is_whole).0 - base));
                    let mut some = words;
                    for w in 0..register / 4 / 2 {
                        let to = at + (half * register / 4 / 2 + w) * 4;
                        self.tables[to..to + 4].copy_from_slice(&(some.trailing_zeros() % 32).to_ne_bytes());
                        some &= some.wrapping_sub(1);
                    }
                    table += register;
                }
                for (p, o) in outputs.clone().enumerate() {
                    let (tap, is_valid) = planner.tap(o, j, is_whole);
                    segment.is_masked |= !is_valid;
                    let from = (tap - base) as usize * inner - fit.bases[half];
                    let to = half * (facts.lanes / 2) + p * inner;
                    for channel in 0..inner {
                        let mut from = from + channel;
                        if is_apart {
                            // Its word is as many words behind the half's first as are before it.
                            let word = from * facts.lane / 4;
                            let before = (words & ((1 << word) - 1)).count_ones() as usize;
                            from = (before * 4 + from * facts.lane % 4) / facts.lane;
                        }
                        put_index(facts, &mut self.tables[table..table + register], to + channel, from);
                    }
                    if is_valid {
                        let at = masks + j * facts.mask_bytes;
                        keep(facts, &mut self.tables[at..at + facts.mask_bytes], to..to + inner);
                    }
                }
            }
            next = outputs.end;
        }
        // An extreme joins a valid tap again, and a segment without padding has no use for masks.
        segment.is_masked &= !facts.idempotent;
        if !segment.is_masked {
            self.tables.truncate(masks);
        }
        self.list.push(segment);
    }

    /// The divisors of every lane, for every class of rows.
    fn put_divisors(&mut self, core: &Core, firsts: &[(usize, Fit, bool)], classes: &[usize]) -> Option<()> {
        let facts = core.facts();
        let each = facts.words * facts.register();
        if each == 0 {
            return Some(());
        }
        let (axis, inner) = (&core.layer.geometry.axes[2], core.layer.geometry.inner);
        let (leaves, constants) = (core.hot.leaves, &core.hot.constants);
        let common = core.divisors.are_equal();
        // Where all are equal, all segments share one.
        self.class_bytes = if common { each } else { each * self.list.len() };
        let all = if common { each } else { self.class_bytes.checked_mul(classes.len())? };
        if all > MOST_BYTES {
            return None;
        }
        self.divisors.resize(all, 0);
        if common {
            let mut block = super::divisors::Block::new();
            let words = core.divisors.words(leaves, constants, 1, &mut block);
            // SAFETY: the words of the divisor that all windows have, as the operation's facts say.
            self.divisors.copy_from_slice(unsafe { core::slice::from_raw_parts(words, each) });
            return Some(());
        }
        for (c, class) in classes.iter().enumerate() {
            for (g, (o, fit, is_whole)) in firsts.iter().enumerate() {
                self.list[g].divisors = g * each;
                let block = &mut self.divisors[c * self.class_bytes + g * each..][..each];
                let mut last = (0, [[0; 8]; crate::kernels::simd::MOST_WORDS]);
                for lane in 0..facts.lanes {
                    let (half, of) = if facts.halves == 1 || self.how >= rows::OTHER {
                        (0, lane)
                    } else {
                        (lane * 2 / facts.lanes, lane % (facts.lanes / 2))
                    };
                    let p = of / inner;
                    let output = if *is_whole || p >= fit.outputs[half] { *o } else { o + half * fit.outputs[0] + p };
                    let divisor = class.saturating_mul(core.divisors.factor(axis, output)).max(1);
                    if last.0 != divisor {
                        last = (divisor, (leaves.words)(constants, divisor));
                    }
                    for w in 0..facts.words {
                        let at = w * facts.register() + lane * facts.lane;
                        block[at..at + facts.lane].copy_from_slice(&last.1[w][..facts.lane]);
                    }
                }
            }
        }
        Some(())
    }

    /// Bytes that a chunk writes: a register, or one half and another behind its outputs.
    pub(super) fn chunk_writes(facts: &Facts, segment: &Segment) -> usize {
        (if segment.half == 0 || facts.halves == 1 { facts.lanes } else { segment.half + facts.lanes / 2 })
            * facts.memory
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.list) + self.tables.len() + self.divisors.len()
    }
}

/// Says yes in a mask, for some lanes.
fn keep(facts: &Facts, mask: &mut [u8], lanes: core::ops::Range<usize>) {
    for lane in lanes {
        if facts.mask_bits {
            mask[lane / 8] |= 1 << (lane % 8);
        } else {
            mask[lane * facts.lane..(lane + 1) * facts.lane].fill(0xff);
        }
    }
}
