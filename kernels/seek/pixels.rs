//! Windows of pixels that are a register of channels and more: their taps are read where they are.

use alloc::vec::Vec;
use core::ops::Range;

use super::labels::Fields;
use super::numbering::first_tap;
use super::numbering::valid_taps;
use super::{Finder, Job};
use crate::geometry::Taps;
use crate::kernels::driver::{Layer, Position, Scratch};
use crate::kernels::leaf::number::Rows;
use crate::kernels::leaf::pick::{Labels, Lines, Tap};
use crate::kernels::simd::MOST_LANES;

/// A register of zeros.
static ZEROS: Zeros = Zeros([0; 64]);

#[repr(align(64))]
struct Zeros([u8; 64]);

/// Bytes of labels that wait for their indices.
const WAITING: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct Pixels {
    fields: Fields,
    /// Every tap of a whole window, from its first.
    taps: Vec<Tap>,
    /// What the channels add to an index that are labelled together: to each of them the same, whichever is the first.
    origins: Vec<i32>,
    /// What the next channel adds.
    plane: i64,
}

impl Pixels {
    pub(super) fn new(layer: &Layer, fields: Fields, plane: i64, bytes: usize) -> Self {
        let steps = layer.places.input;
        let steps = [steps.slab, steps.row, steps.pixel];
        let axes = &layer.geometry.axes;
        let taps = super::taps_of(axes, &fields, |at| {
            let by = |axis: usize| at[axis].wrapping_mul(axes[axis].dilation).wrapping_mul(steps[axis]);
            by(0).wrapping_add(by(1)).wrapping_add(by(2)).wrapping_mul(bytes)
        });
        let most = layer.geometry.inner.min(WAITING / bytes);
        let origins = (0..most + MOST_LANES).map(|c| (c as i64).wrapping_mul(plane) as i32).collect();
        Self { fields, taps, origins, plane }
    }

    /// # Safety
    /// As for [`Finder::run`].
    pub(super) unsafe fn run(&self, finder: &Finder, job: &Job<'_>, rows: Range<usize>) {
        let mut scratch = Scratch::new();
        let geometry = &finder.layer.geometry;
        let mut at = Position::of(geometry, rows.start);
        let (head, tail) = geometry.axes[2].cut_windows();
        let output = geometry.axes[2].output;
        let whole = head..(output - tail).max(head);
        for _ in rows {
            let mut x = 0;
            while x < output {
                let some = if whole.contains(&x) { x..whole.end } else { x..x + 1 };
                x = some.end;
                // SAFETY: by this function's contract; the windows of `some` have the same taps.
                unsafe { self.some(finder, job, &at, some, &mut scratch) };
            }
            at.advance(geometry, 1);
        }
    }

    /// Pixels of one row whose windows have the same taps.
    ///
    /// # Safety
    /// As for [`Finder::run`].
    unsafe fn some(&self, finder: &Finder, job: &Job<'_>, at: &Position, some: Range<usize>, scratch: &mut Scratch) {
        let (layer, numbering, bytes) = (&finder.layer, &finder.numbering, finder.bytes);
        let geometry = &layer.geometry;
        let (axes, inner) = (&geometry.axes, geometry.inner);
        let place = [at.z, at.y, some.start];
        let windows = [0, 1, 2].map(|axis| valid_taps(&axes[axis], place[axis]));
        let (taps, skipped): ([Taps; 3], [usize; 3]) =
            (windows.map(|(taps, _)| taps), windows.map(|(_, skipped)| skipped));
        let kernel = axes.each_ref().map(|axis| axis.kernel);
        let first = [0, 1, 2].map(|axis| first_tap(&axes[axis], place[axis]));
        let last = [0, 1, 2].map(|axis| skipped[axis] + taps[axis].count - 1);
        let steps = &layer.places.input;
        let row = (first[0] as usize)
            .wrapping_mul(steps.slab)
            .wrapping_add((first[1] as usize).wrapping_mul(steps.row))
            .wrapping_add((first[2] as usize).wrapping_mul(steps.pixel))
            .wrapping_add(steps.row_at(at.outer, 0, 0));
        let origin = numbering.origin(at.outer * inner, first);
        let same = |flip| Labels { lanes: ZEROS.0.as_ptr(), own: false, flip };
        let pitches = [kernel[1] * kernel[2], kernel[2]];
        let to = job.place(finder, at) + some.start * inner;
        let stride = axes[2].stride;
        let mut c = 0;
        while c < inner {
            // The last channels are a register at least.
            let most = (WAITING / bytes).min(inner);
            let from = c.min(inner - finder.lanes);
            let n = (inner - from).min(most);
            let together = (WAITING / (n * bytes)).max(1);
            let mut x = 0;
            while x < some.len() {
                let lines = (some.len() - x).min(together);
                let to = to + x * inner + from;
                let src = row.wrapping_add((x * stride).wrapping_mul(steps.pixel)).wrapping_add(from);
                let labels = scratch.start();
                let task = Lines {
                    src: job.io.src.wrapping_add(src.wrapping_mul(bytes)),
                    src_step: stride.wrapping_mul(steps.pixel).wrapping_mul(bytes),
                    lines,
                    n,
                    taps: self.taps[skipped[0] * pitches[0] + skipped[1] * pitches[1] + skipped[2]..].as_ptr(),
                    counts: taps.map(|taps| taps.count),
                    pitches,
                    none: same(self.fields.label(skipped)),
                    lost: same(self.fields.label(last)),
                    values: job.values(to, bytes),
                    values_step: inner * bytes,
                    labels,
                    labels_step: n * bytes,
                };
                let indices = Rows {
                    fields: self.fields,
                    labels,
                    bytes,
                    labels_step: n * bytes,
                    rows: lines,
                    n,
                    origins: self.origins.as_ptr(),
                    origins_step: 0,
                    base: origin + from as i64 * self.plane + (x * stride) as i64 * numbering.weights[2],
                    base_step: stride as i64 * numbering.weights[2],
                    to: job.indices.at(to),
                    to_step: inner,
                    room: job.room.saturating_sub(to),
                };
                // SAFETY: valid taps of the pixels and their outputs, by this function's contract; the scratch holds
                // `lines` rows of labels and a chunk more.
                unsafe {
                    if n < MOST_LANES {
                        // A register of labels reaches behind the last of them, where there must be something.
                        labels.add(lines * n * bytes).write_bytes(0, MOST_LANES * bytes);
                    }
                    finder.pick(&task);
                    finder.number.write(&indices);
                }
                x += lines;
            }
            c = from + n;
        }
    }
}
