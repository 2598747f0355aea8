//! Windows seen from the input: which of them hold a given element.
//!
//! A backward pass asks the question of the forward pass the other way round. For each axis the answer is an arithmetic
//! progression of outputs, found without a search: a sliding window by a congruence, an adaptive one by its own rule.

use core::ops::Range;

use crate::error::AxisName;
use crate::geometry::{Axis, Count, Geometry, MAX_RANK, PerAxis, adaptive_window, check_size, split_shape};
use crate::strides::{Split, Tensor};
use crate::tasks::Tasks;
use crate::{Error, Layout, Result};

/// The windows of one spatial axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Windows {
    Sliding {
        axis: Axis,
        /// Windows that hold one element lie this far apart: `d / gcd(s, d)`.
        period: usize,
        /// `gcd(s, d)`.
        common: usize,
        /// The inverse of `s / gcd(s, d)` modulo the period.
        inverse: usize,
    },
    Adaptive {
        input: usize,
        output: usize,
    },
}

/// The outputs whose windows hold one element: `count` of them from `first` on, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covering {
    pub first: usize,
    pub count: usize,
    pub step: usize,
}

impl Covering {
    const NONE: Self = Self { first: 0, count: 0, step: 1 };

    pub fn outputs(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |i| self.first.saturating_add(i.saturating_mul(self.step)))
    }
}

/// The valid taps of one window: `count` positions from `start` on, `step` apart. The first of them is tap `skipped` of
/// `kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taps {
    pub start: usize,
    pub count: usize,
    pub step: usize,
    pub skipped: usize,
    pub kernel: usize,
}

impl Taps {
    /// Position and tap number of each.
    pub fn iter(self) -> impl Iterator<Item = (usize, usize)> + Clone {
        (0..self.count)
            .map(move |i| (self.start.saturating_add(i.saturating_mul(self.step)), self.skipped.saturating_add(i)))
    }

    /// The positions of its taps from the last one back: of all, or of those before the tap at position `end`.
    pub fn before(self, end: Option<usize>) -> impl Iterator<Item = usize> {
        let steps = |end: usize| end.saturating_sub(self.start).div_ceil(self.step.max(1));
        let count = end.map_or(self.count, steps).min(self.count);
        (0..count).rev().map(move |i| self.start.saturating_add(i.saturating_mul(self.step)))
    }

    /// The number of the tap at a position.
    pub fn number(&self, position: usize) -> Option<usize> {
        let distance = position.checked_sub(self.start)?;
        let is_tap = self.step == 1 || distance.checked_rem(self.step) == Some(0);
        let i = if self.step == 1 { distance } else { distance.checked_div(self.step)? };
        (is_tap && i < self.count).then(|| self.skipped.saturating_add(i))
    }
}

impl Windows {
    fn sliding(axis: Axis) -> Self {
        // Euclid: `a` stays a multiple of s·x modulo d.
        let (mut a, mut b) = (axis.stride as i128, axis.dilation as i128);
        let (mut x, mut next) = (1_i128, 0_i128);
        while b != 0 {
            let quotient = a.checked_div(b).unwrap_or(0);
            (a, b) = (b, a.wrapping_sub(quotient.wrapping_mul(b)));
            (x, next) = (next, x.wrapping_sub(quotient.wrapping_mul(next)));
        }
        let common = usize::try_from(a).unwrap_or(1).max(1);
        let period = axis.dilation.checked_div(common).unwrap_or(1).max(1);
        let inverse = x.checked_rem_euclid(period as i128).and_then(|x| usize::try_from(x).ok()).unwrap_or(0);
        Self::Sliding { axis, period, common, inverse }
    }

    pub fn input(&self) -> usize {
        match self {
            Self::Sliding { axis, .. } => axis.input,
            Self::Adaptive { input, .. } => *input,
        }
    }

    pub fn output(&self) -> usize {
        match self {
            Self::Sliding { axis, .. } => axis.output,
            Self::Adaptive { output, .. } => *output,
        }
    }

    /// Whether every window lies in the input, so that all have as many taps.
    pub fn are_whole(&self) -> bool {
        match self {
            Self::Sliding { axis, .. } => axis.cut_windows() == (0, 0),
            Self::Adaptive { input, output } => input.checked_rem(*output) == Some(0),
        }
    }

    /// Positions that a window lies behind the one before; 1 where that differs.
    pub fn stride(&self) -> usize {
        match self {
            Self::Sliding { axis, .. } => axis.stride.max(1),
            Self::Adaptive { .. } => 1,
        }
    }

    /// The most windows that hold one position; it may be one more than that.
    pub fn most_covering(&self) -> usize {
        match self {
            Self::Sliding { axis, period, .. } => {
                let near = axis.span().div_ceil(axis.stride.max(1)).div_ceil((*period).max(1));
                near.min(axis.kernel).min(axis.output)
            }
            Self::Adaptive { input, output } => output.div_ceil((*input).max(1)).saturating_add(1).min(*output),
        }
    }

    /// The outputs whose windows lie in the input, so that all have as many taps: the middle of a row.
    pub fn whole(&self) -> core::ops::Range<usize> {
        match self {
            Self::Sliding { axis, .. } => {
                let (head, tail) = axis.cut_windows();
                head..axis.output.saturating_sub(tail).max(head)
            }
            Self::Adaptive { .. } => 0..0,
        }
    }

    /// The outputs whose windows begin before the end of these positions and end behind their begin.
    pub fn reaching(&self, at: core::ops::Range<usize>) -> core::ops::Range<usize> {
        let last = at.end.saturating_sub(1);
        match *self {
            Self::Sliding { axis, .. } => {
                let [first, last] = [at.start, last].map(|at| at.saturating_add(axis.begin));
                let least = first.saturating_sub(axis.span().saturating_sub(1)).div_ceil(axis.stride.max(1));
                let end = last.checked_div(axis.stride).unwrap_or(0).saturating_add(1).min(axis.output);
                least.min(end)..end
            }
            Self::Adaptive { input, output } => {
                adaptive_window(at.start, output, input).start..adaptive_window(last, output, input).end
            }
        }
    }

    /// The outputs whose windows have a tap at position `at`.
    pub fn covering(&self, at: usize) -> Covering {
        let (axis, period, common, inverse) = match *self {
            Self::Sliding { axis, period, common, inverse } => (axis, period, common, inverse),
            Self::Adaptive { input, output } => {
                // The rule is its own mirror image.
                let outputs = adaptive_window(at, output, input);
                return Covering { first: outputs.start, count: outputs.len(), step: 1 };
            }
        };
        // o·s + i·d = at + b, so o runs from ⌈(at + b − reach)/s⌉ to ⌊(at + b)/s⌋.
        let at = at.saturating_add(axis.begin);
        let least = at.saturating_sub(axis.span().saturating_sub(1)).div_ceil(axis.stride.max(1));
        let end = at.checked_div(axis.stride).unwrap_or(0).saturating_add(1).min(axis.output);
        if period == 1 && common == 1 {
            return Covering { first: least, count: end.saturating_sub(least), step: 1 };
        }
        // And o·s ≡ at + b modulo d.
        let (Some(residue), Some(0)) = (at.checked_div(common), at.checked_rem(common)) else { return Covering::NONE };
        let wide = (residue as u128).wrapping_mul(inverse as u128);
        let residue = wide.checked_rem(period as u128).and_then(|o| usize::try_from(o).ok()).unwrap_or(0);
        let lead = residue.saturating_add(period).saturating_sub(least.checked_rem(period).unwrap_or(0));
        let first = least.saturating_add(lead.checked_rem(period).unwrap_or(0));
        Covering { first, count: end.saturating_sub(first).div_ceil(period), step: period }
    }

    /// The valid taps of output `o`.
    pub fn taps(&self, o: usize) -> Taps {
        match self {
            Self::Sliding { axis, .. } => {
                let taps = axis.taps(o);
                let from = o.saturating_mul(axis.stride);
                let reached = taps.start.saturating_add(axis.begin).saturating_sub(from);
                let skipped = if axis.dilation == 1 { reached } else { reached.div_ceil(axis.dilation.max(1)) };
                Taps { start: taps.start, count: taps.count, step: axis.dilation, skipped, kernel: axis.kernel }
            }
            Self::Adaptive { input, output } => {
                let window = adaptive_window(o, *input, *output);
                Taps { start: window.start, count: window.len(), step: 1, skipped: 0, kernel: window.len() }
            }
        }
    }

    /// The taps of the longest window, padding counted; for adaptive windows as many or one more.
    pub fn most_taps(&self) -> usize {
        match self {
            Self::Sliding { axis, .. } => axis.kernel,
            Self::Adaptive { input, output } => input.div_ceil((*output).max(1)).saturating_add(1).min(*input),
        }
    }

    /// What output `o` contributes to the divisor.
    pub fn count(&self, o: usize, count: Count) -> usize {
        match (self, count) {
            (Self::Sliding { axis, .. }, count) => axis.count(o, count),
            (Self::Adaptive { .. }, Count::Fixed(_)) => 1,
            (Self::Adaptive { input, output }, _) => adaptive_window(o, *input, *output).len(),
        }
    }
}

/// The strides of the layer's input and output, if there are any, and whether what lies as the output does is written too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strides<'a> {
    pub both: Option<[&'a [usize]; 2]>,
    pub writes_indices: bool,
}

/// Neighbouring blocks, and where their part of the input's gradient begins in the whole of it.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub range: Range<usize>,
    pub base: usize,
}

/// A whole layer, seen from the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adjoint {
    pub axes: [Windows; MAX_RANK],
    pub layout: Layout,
    /// Where the layer's input and its gradient lie.
    pub input: Tensor,
    /// Where its output, its gradient and its indices lie.
    pub output: Tensor,
}

impl Adjoint {
    pub fn sliding(geometry: &Geometry, layout: Layout, strides: Strides<'_>, bytes: usize) -> Result<Self> {
        Self::new(geometry.axes.map(Windows::sliding), Split::from(geometry), layout, strides, bytes)
    }

    /// Adaptive windows: `output` lengths for a tensor of shape `N, C, spatial…`.
    pub fn adaptive(
        output: &[usize],
        layout: Layout,
        shape: &[usize],
        strides: Strides<'_>,
        bytes: usize,
    ) -> Result<Self> {
        let (batch, channels, spatial) = split_shape(shape)?;
        let rank = spatial.len();
        PerAxis::new(output).check_rank("output", rank)?;
        let absent = MAX_RANK.saturating_sub(rank);
        let mut axes = [Windows::Adaptive { input: 1, output: 1 }; MAX_RANK];
        for (axis, (to, (&input, &output))) in axes.iter_mut().skip(absent).zip(spatial.iter().zip(output)).enumerate()
        {
            let name = AxisName::spatial(axis, rank);
            if input == 0 {
                return Err(Error::EmptyInput { axis: name });
            }
            if output == 0 {
                return Err(Error::EmptyOutput { axis: name });
            }
            *to = Windows::Adaptive { input, output };
        }
        check_size("the input", bytes, batch, channels, axes.map(|axis| axis.input()))?;
        check_size("the output", bytes, batch, channels, axes.map(|axis| axis.output()))?;
        let (outer, inner) = layout.split(batch, channels)?;
        Self::new(axes, Split { rank, batch, channels, outer, inner }, layout, strides, bytes)
    }

    fn new(
        axes: [Windows; MAX_RANK],
        split: Split,
        layout: Layout,
        strides: Strides<'_>,
        bytes: usize,
    ) -> Result<Self> {
        let [inputs, outputs] = [axes.map(|axis| axis.input()), axes.map(|axis| axis.output())];
        let [input, output] = strides.both.map_or([None; 2], |both| both.map(Some));
        let of_output = if strides.writes_indices { Tensor::written } else { Tensor::read };
        Ok(Self {
            axes,
            layout,
            input: Tensor::written("input", input, layout, split, inputs, bytes)?,
            output: of_output("output", output, layout, split, outputs, bytes)?,
        })
    }

    pub fn split(&self) -> Split {
        self.input.split
    }

    pub fn input_shape(&self) -> alloc::vec::Vec<usize> {
        self.input.shape()
    }

    pub fn output_shape(&self) -> alloc::vec::Vec<usize> {
        self.output.shape()
    }

    /// Elements that the input and its gradient must have.
    pub fn input_len(&self) -> usize {
        self.input.extent()
    }

    /// Elements that the output and its gradient must have.
    pub fn output_len(&self) -> usize {
        self.output.extent()
    }

    /// All blocks: none without a batch or without channels, of which there may be endlessly many.
    pub fn blocks(&self) -> Blocks {
        Blocks { range: 0..if self.input_len() == 0 { 0 } else { self.split().outer }, base: 0 }
    }

    /// The gradient of the input in parts that are some blocks each.
    pub fn tasks(&self, most: usize) -> Tasks {
        Tasks::of_blocks(most, &self.input.rows(), self.input.rows_of_block())
    }

    /// The blocks of a task.
    pub fn blocks_of(&self, tasks: &Tasks, task: usize) -> Result<Blocks> {
        let range = self.input.blocks_of(tasks, task)?;
        Ok(Blocks { base: self.input.block(range.start), range })
    }

    /// Elements of the gradient from the first to the last of some blocks.
    pub fn part_len(&self, blocks: &Blocks) -> usize {
        self.input.rows().span(self.input.rows_of(&blocks.range)).len()
    }
}

/// The offset of a place on three axes, row-major.
pub(super) fn offset([z, y, x]: [usize; MAX_RANK], [_, height, width]: [usize; MAX_RANK]) -> usize {
    z.saturating_mul(height).saturating_add(y).saturating_mul(width).saturating_add(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Padding, Window};

    fn window(kernel: usize, stride: usize, dilation: usize, padding: usize, ceil: bool) -> Window {
        let one = |value| PerAxis::new(&[value]);
        Window {
            kernel: Some(one(kernel)),
            stride: Some(one(stride)),
            dilation: Some(one(dilation)),
            padding: Some(Padding::Explicit { begin: one(padding), end: one(padding / 2) }),
            ceil,
            ceil_rule: Default::default(),
            allow_empty: true,
            padding_conflict: false,
        }
    }

    /// Both views of an axis agree: an output covers a position if and only if that is one of its taps.
    fn agrees(windows: Windows) {
        for at in 0..windows.input() {
            let covering: Vec<usize> = windows.covering(at).outputs().collect();
            let want: Vec<usize> = (0..windows.output()).filter(|&o| windows.taps(o).number(at).is_some()).collect();
            assert_eq!(covering, want, "{windows:?} at {at}");
        }
        for o in 0..windows.output() {
            for (at, number) in windows.taps(o).iter() {
                assert_eq!(windows.taps(o).number(at), Some(number));
                assert!(at < windows.input() && number < windows.taps(o).kernel);
            }
        }
    }

    #[test]
    fn a_sliding_window_covers_what_it_taps() {
        let mut layers = 0;
        for input in 1..12 {
            for (kernel, stride, dilation) in
                (1..6).flat_map(|k| (1..8).flat_map(move |s| (1..8).map(move |d| (k, s, d))))
            {
                for (padding, ceil) in [(0, false), (1, true), (3, false), (4, true)] {
                    let window = window(kernel, stride, dilation, padding, ceil);
                    let Ok(geometry) = Geometry::new(&window, Layout::Nchw, &[1, 1, input], 4) else { continue };
                    let [_, _, axis] = geometry.axes;
                    let windows = Windows::sliding(axis);
                    agrees(windows);
                    // Tap numbers count the padding.
                    for o in 0..axis.output {
                        for (at, number) in windows.taps(o).iter() {
                            assert_eq!(o * axis.stride + number * axis.dilation, at + axis.begin);
                        }
                    }
                    layers += 1;
                }
            }
        }
        assert!(layers > 5000, "{layers}");
    }

    #[test]
    fn an_adaptive_window_covers_what_it_taps() {
        for input in 1..40 {
            for output in 1..40 {
                agrees(Windows::Adaptive { input, output });
            }
        }
    }

    #[test]
    fn an_adaptive_window_of_any_length_is_exact() {
        let most = isize::MAX as usize;
        assert_eq!(adaptive_window(0, most, 1), 0..most);
        assert_eq!(adaptive_window(most - 1, most, most), most - 1..most);
        assert_eq!(adaptive_window(most - 1, most - 1, most), most - 2..most - 1);
    }
}
