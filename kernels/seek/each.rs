//! What the other ways leave: a register of outputs at a time where they lie side by side, else one by one.
//!
//! A lane may be too narrow for the labels of a long window. So a register's window is visited in lists of so many taps
//! that a byte numbers them; the best so far is the first tap of the next list, whose label says that no other is better.

use core::ops::Range;

use super::numbering::{first_tap, valid_taps};
use super::{Finder, Job};
use crate::kernels::driver::Position;
use crate::kernels::leaf::pick::{Labels, Lines, Tap};
use crate::kernels::leaf::seek::Search;
use crate::kernels::simd::MOST_LANES;

/// Taps of a list, with the best so far.
const LIST: usize = 256;

/// A register of elements or of labels.
#[repr(align(64))]
struct Register([u8; 8 * MOST_LANES]);

/// Outputs whose windows have the same taps, at least one.
struct Outputs<'a> {
    search: Search,
    /// Elements from an output's taps to the next one's.
    apart: usize,
    /// The index of the first output's window, how much more that of the next one is, and where the first one's index and
    /// value go; elements from there to the next one's.
    origin: i64,
    step: i64,
    to: usize,
    to_step: usize,
    job: &'a Job<'a>,
}

impl Finder {
    /// # Safety
    /// As for [`Finder::run`].
    #[inline(never)]
    pub(super) unsafe fn each(&self, job: &Job<'_>, rows: Range<usize>) {
        let geometry = &self.layer.geometry;
        let mut at = Position::of(geometry, rows.start);
        let [_, _, width] = &geometry.axes;
        let (head, tail) = width.cut_windows();
        let whole = head..width.output.saturating_sub(tail).max(head);
        let is_planar = geometry.inner == 1;
        let apart = if is_planar { width.stride.wrapping_mul(self.layer.places.input.pixel) } else { 1 };
        let has_registers = self.lanes > 1 && apart == 1;
        for _ in rows {
            let mut x = 0;
            while x < width.output {
                // Lanes are neighbouring outputs, or the elements of a pixel.
                let alike = if is_planar && whole.contains(&x) { whole.end - x } else { geometry.inner };
                let registers = has_registers && alike >= self.lanes;
                let mut next = 0;
                while next < alike {
                    // The last register may hold outputs of the one before.
                    let n = if registers { self.lanes } else { alike };
                    let c = next.min(alike - n);
                    next = c + n;
                    let place = if is_planar { (x + c, 0) } else { (x, c) };
                    // SAFETY: by this function's contract; the windows of these outputs have the same taps.
                    unsafe { self.some(job, &at, place, n) };
                }
                x += if is_planar { alike } else { 1 };
            }
            at.advance(geometry, 1);
        }
    }

    /// `n` outputs from output `x`, inner element `c` on.
    ///
    /// # Safety
    /// As for [`Finder::run`], of windows that have the same taps.
    unsafe fn some(&self, job: &Job<'_>, at: &Position, (x, c): (usize, usize), n: usize) {
        let (geometry, bytes, places) = (&self.layer.geometry, self.bytes, &self.layer.places);
        let (axes, steps) = (&geometry.axes, &places.input);
        let outputs = [at.z, at.y, x];
        let windows = [0, 1, 2].map(|axis| valid_taps(&axes[axis], outputs[axis]));
        let (taps, before) = (windows.map(|(taps, _)| taps), windows.map(|(_, before)| before));
        let counts = taps.map(|taps| taps.count);
        let is_planar = geometry.inner == 1;
        let [apart, to_step, step] = if is_planar {
            let stride = axes[2].stride;
            [
                stride.wrapping_mul(steps.pixel),
                places.output.pixel,
                (stride as i64 * self.numbering.weights[2]) as usize,
            ]
        } else {
            [1, 1, self.numbering.plane as usize]
        };
        let to = job.place(self, at) + x * places.output.pixel + c;
        if counts.contains(&0) {
            for lane in 0..n {
                // SAFETY: an output of the run.
                unsafe { job.indices.write(to + lane * to_step, -1) };
            }
            return;
        }
        let first = [0, 1, 2].map(|axis| first_tap(&axes[axis], outputs[axis]));
        let kernel = [axes[1].kernel, axes[2].kernel];
        let from = steps.row_at(at.outer, taps[0].start, taps[1].start);
        let from = from.wrapping_add(taps[2].start * steps.pixel + c).wrapping_mul(bytes);
        let search = Search {
            first: job.io.src.wrapping_add(from),
            counts,
            // Steps of an axis with one tap are never taken; the products could wrap.
            steps: [
                axes[0].dilation.wrapping_mul(steps.slab).wrapping_mul(bytes),
                axes[1].dilation.wrapping_mul(steps.row).wrapping_mul(bytes),
                axes[2].dilation.wrapping_mul(steps.pixel).wrapping_mul(bytes),
            ],
            number: (before[0] * kernel[0] + before[1]) * kernel[1] + before[2],
            kernel,
            value: core::ptr::null_mut(),
            found: core::ptr::null_mut(),
        };
        let origin = self.numbering.origin(at.outer * geometry.inner + c, first);
        let some = Outputs { search, apart, origin, step: step as i64, to, to_step, job };
        // SAFETY: by this function's contract: valid taps of the outputs.
        unsafe {
            if self.lanes > 1 && n == self.lanes && apart == 1 {
                self.register(&some);
            } else {
                self.one_by_one(&some, n);
            }
        }
    }

    /// # Safety
    /// As for [`Finder::some`].
    unsafe fn one_by_one(&self, some: &Outputs<'_>, n: usize) {
        for lane in 0..n {
            let to = some.to + lane * some.to_step;
            let mut found = 0;
            let search = Search {
                first: some.search.first.wrapping_add((lane * some.apart).wrapping_mul(self.bytes)),
                value: some.job.values(to, self.bytes),
                found: &mut found,
                ..some.search
            };
            // SAFETY: by this function's contract: a window of the lane, and its output.
            unsafe {
                self.leaf.call(&self.constants, &search);
                some.job.indices.write(to, self.numbering.index(some.origin + lane as i64 * some.step, found));
            }
        }
    }

    /// The same of a whole register of outputs whose taps lie side by side.
    ///
    /// # Safety
    /// As for [`Finder::some`].
    unsafe fn register(&self, some: &Outputs<'_>) {
        let mut best = Register([0; 8 * MOST_LANES]);
        let mut found = [0; MOST_LANES];
        let Search { first, counts: [depth, height, width], steps, number, kernel, .. } = some.search;
        let kept = (best.0.as_mut_ptr() as usize).wrapping_sub(first as usize);
        let kept = Tap { offset: kept, label: 0 };
        let mut list = [kept; LIST];
        let mut numbers = [0; LIST];
        // A label is a place in the list. In the first one the first tap of the window is what is kept.
        let (mut len, mut from) = (1, 1);
        for slab in 0..depth {
            for line in 0..height {
                for x in 0..width {
                    if len == LIST {
                        // SAFETY: by this function's contract.
                        unsafe { self.visit(first, &list[from..len], &mut best, &numbers, &mut found) };
                        (len, from) = (1, 0);
                    }
                    let by = |axis: usize, at: usize| steps[axis].wrapping_mul(at);
                    let offset = by(0, slab).wrapping_add(by(1, line)).wrapping_add(by(2, x));
                    list[len] = Tap { offset, label: len as u64 };
                    numbers[len] = number + (slab * kernel[0] + line) * kernel[1] + x;
                    len += 1;
                }
            }
        }
        // SAFETY: by this function's contract: outputs of the run.
        unsafe {
            self.visit(first, &list[from..len], &mut best, &numbers, &mut found);
            for lane in 0..self.lanes {
                let to = some.to + lane * some.to_step;
                let index = self.numbering.index(some.origin + lane as i64 * some.step, found[lane]);
                some.job.indices.write(to, index);
                if some.job.wants_values {
                    let value = best.0.as_ptr().add(lane * self.bytes);
                    core::ptr::copy_nonoverlapping(value, some.job.values(to, self.bytes), self.bytes);
                }
            }
        }
    }

    /// Visits a list of taps, the first of which gives way to none of those that are as good.
    ///
    /// # Safety
    /// The taps are readable from `first` on, for a register of lanes.
    unsafe fn visit(
        &self,
        first: *const u8,
        list: &[Tap],
        best: &mut Register,
        numbers: &[usize; LIST],
        found: &mut [usize; MOST_LANES],
    ) {
        let zeros = Register([0; 8 * MOST_LANES]);
        let mut labels = Register([0; 8 * MOST_LANES]);
        let same = |flip| Labels { lanes: zeros.0.as_ptr(), own: false, flip };
        let lines = Lines {
            src: first,
            src_step: 0,
            lines: 1,
            n: self.lanes,
            taps: list.as_ptr(),
            counts: [1, 1, list.len()],
            pitches: [0; 2],
            none: same(list.first().map_or(0, |tap| tap.label)),
            lost: same(list.last().map_or(0, |tap| tap.label)),
            values: best.0.as_mut_ptr(),
            values_step: 0,
            labels: labels.0.as_mut_ptr(),
            labels_step: 0,
        };
        // SAFETY: by this function's contract; a register holds an element, and a label, for each lane.
        unsafe { self.careful.call(&self.constants, &lines) };
        for (lane, label) in labels.0.chunks_exact(self.bytes).take(self.lanes).enumerate() {
            // A byte of the label is all of it.
            let label = if cfg!(target_endian = "little") { label[0] } else { label[self.bytes - 1] };
            if label > 0 {
                found[lane] = numbers[usize::from(label)];
            }
        }
    }
}
