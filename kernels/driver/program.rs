//! What drivers work out when planning: tables that put out every `s`-th pixel, runs of outputs whose windows are
//! alike.

use alloc::vec::Vec;
use core::fmt;

use super::Core;
use crate::geometry::{Axis, Taps};
use crate::kernels::leaf::Facts;
use crate::kernels::leaf::fold::Chunk;

/// A run of outputs of an axis whose windows have the same taps, each a stride behind the one before, and the same
/// divisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputRun {
    pub(crate) len: usize,
    pub(crate) taps: Taps,
}

/// The run that begins at output `o`, up to `end` at most: every window that padding cuts is a run of its own.
#[inline]
pub(crate) fn run_from(axis: &Axis, o: usize, end: usize) -> OutputRun {
    let taps = axis.taps(o);
    let (head, tail) = if axis.slides() { axis.cut_windows() } else { (axis.output, 0) };
    let whole = axis.output - tail;
    OutputRun { len: if o < head || o >= whole { 1 } else { whole.min(end) - o }, taps }
}

/// Writes into a table that lane `from` goes to lane `to`. Where halves are apart, `from` is counted from the first
/// lane spread to the half.
pub(crate) fn put_index(facts: &Facts, table: &mut [u8], to: usize, from: usize) {
    let units = facts.lane / facts.unit;
    for j in 0..units {
        let (at, index) = ((to * units + j) * facts.unit, from * units + j);
        let unit = &mut table[at..at + facts.unit];
        match facts.unit {
            1 => unit.copy_from_slice(&(index as u8).to_ne_bytes()),
            2 => unit.copy_from_slice(&(index as u16).to_ne_bytes()),
            4 => unit.copy_from_slice(&(index as u32).to_ne_bytes()),
            _ => unit.copy_from_slice(&(index as u64).to_ne_bytes()),
        }
    }
}

/// Says yes for `count` lanes from `first` on.
pub(crate) fn put_mask(facts: &Facts, mask: &mut [u8], first: usize, count: usize) {
    if facts.mask_bits {
        let bits = (u64::MAX >> (64 - count)) << first;
        for (byte, bits) in mask.iter_mut().zip(bits.to_le_bytes()) {
            *byte |= bits;
        }
    } else {
        mask[first * facts.lane..(first + count) * facts.lane].fill(0xff);
    }
}

/// The lanes that a half takes from begin at a word of 4 bytes: the last one at or before lane `first`, as far as the
/// register has a half from there on.
pub(crate) fn half_base(facts: &Facts, first: usize) -> usize {
    let word = 4 / facts.lane.min(4);
    (first / word * word).min(facts.lanes / 2)
}

/// Writes which words are spread to a half, from lane `base` on.
pub(crate) fn put_spread(facts: &Facts, table: &mut [u8], half: usize, base: usize) {
    let words = facts.register() / 4 / 2;
    for w in 0..words {
        let at = (half * words + w) * 4;
        table[at..at + 4].copy_from_slice(&((base * facts.lane / 4 + w) as u32).to_ne_bytes());
    }
}

/// A table that keeps every `stride`-th pixel of `inner` lanes.
pub(crate) struct Compaction {
    table: Vec<u8>,
    put: usize,
    half: usize,
    inner: usize,
    stride: usize,
}

impl Compaction {
    /// `None` where a register holds no two of those pixels, or a table moves nothing.
    pub(crate) fn new(facts: &Facts, inner: usize, stride: usize) -> Option<Self> {
        // No second pixel is in the register, or there are none.
        if stride == 1 || facts.plain || inner == 0 || stride.saturating_add(1).saturating_mul(inner) > facts.lanes {
            return None;
        }
        // Where an output lane comes from.
        let from = |lane: usize| lane / inner * stride * inner + lane % inner;
        // Nothing is allocated before it is known to be kept.
        let each = facts.lanes / 2;
        if facts.halves == 1 {
            let put = ((facts.lanes / inner).saturating_sub(1) / stride + 1) * inner;
            let mut table = alloc::vec![0; facts.table()];
            for lane in 0..put {
                put_index(facts, &mut table, lane, from(lane));
            }
            return Some(Self { table, put, half: 0, inner, stride });
        }
        let below = (0..each).take_while(|lane| from(*lane) < each).count();
        let base = half_base(facts, from(below));
        let above = (below..below + each).take_while(|lane| from(*lane) < base + each).count();
        let put = (below + above) / inner * inner;
        if from(below) < base || above == 0 || put <= inner || put <= below {
            return None;
        }
        let mut table = alloc::vec![0; facts.table()];
        let (spread, indices) = table.split_at_mut(facts.register());
        put_spread(facts, spread, 0, 0);
        put_spread(facts, spread, 1, base);
        for lane in 0..below {
            put_index(facts, indices, lane, from(lane));
        }
        for lane in 0..above {
            put_index(facts, indices, each + lane, from(below + lane) - base);
        }
        Some(Self { table, put, half: below, inner, stride })
    }

    /// For a run of `len` lanes, a whole number of pixels.
    pub(crate) fn chunk(&self, len: usize) -> Chunk {
        let put = self.put.min(len);
        Chunk {
            table: self.table.as_ptr(),
            put,
            need: (put / self.inner - 1) * self.stride * self.inner + self.inner,
            half: self.half,
            stride: self.stride,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.len()
    }
}

impl fmt::Debug for Compaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lanes of every {}th pixel", self.put, self.stride)
    }
}

/// Tables that add up pixels within a register: lane `l` becomes the sum of the lanes `l`, `l − shift`, `l − 2·shift`…
/// in as many steps as there are binary digits; and first one that takes what the register before ended with to every pixel.
pub(crate) struct Scan {
    pub(crate) tables: Vec<u8>,
    pub(crate) steps: usize,
}

impl Scan {
    /// For pixels of `shift` lanes. Where one is a register or more, there is nothing to add up.
    pub(crate) fn new(facts: &Facts, shift: usize) -> Self {
        if shift == 0 || shift >= facts.lanes {
            return Self { tables: Vec::new(), steps: 0 };
        }
        let by = core::iter::successors(Some(shift), |by| Some(2 * by)).take_while(|by| *by < facts.lanes);
        let steps = by.clone().count();
        let (register, step) = (facts.register(), facts.register() + facts.mask_bytes);
        let mut tables = alloc::vec![0; register + steps * step];
        let (carry, rest) = tables.split_at_mut(register);
        for lane in 0..facts.lanes {
            put_index(facts, carry, lane, facts.lanes - shift + lane % shift);
        }
        for (by, bytes) in by.zip(rest.chunks_exact_mut(step)) {
            let (table, mask) = bytes.split_at_mut(register);
            for lane in by..facts.lanes {
                put_index(facts, table, lane, lane - by);
            }
            put_mask(facts, mask, by, facts.lanes - by);
        }
        Self { tables, steps }
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps", self.steps)
    }
}

/// The taps of a row of outputs on depth and height, in bytes of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTaps {
    /// Of the first valid row, from the input's first element.
    pub(crate) first: usize,
    pub(crate) slabs: usize,
    pub(crate) slab_bytes: usize,
    pub(crate) rows: usize,
    pub(crate) row_bytes: usize,
}

impl RowTaps {
    /// Of output row `y` in slab `z` of plane `outer`.
    #[inline]
    pub(crate) fn new(core: &Core, outer: usize, z: usize, y: usize) -> Self {
        let [depth, height, _] = &core.layer.geometry.axes;
        let (slabs, rows) = (depth.taps(z), height.taps(y));
        let (steps, bytes) = (&core.layer.places.input, core.facts().memory);
        Self {
            first: core.input_row(outer, slabs.start, rows.start),
            slabs: slabs.count,
            // Steps of an axis with one tap are never taken; the product could wrap.
            slab_bytes: depth.dilation.wrapping_mul(steps.slab).wrapping_mul(bytes),
            rows: rows.count,
            row_bytes: height.dilation.wrapping_mul(steps.row).wrapping_mul(bytes),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slabs == 0 || self.rows == 0
    }
}
