//! Where windows lie: output lengths, taps, divisors. No element, no tier, no memory; all arithmetic checked.
//!
//! An axis has an input length `n`, a kernel `k`, a stride `s`, a dilation `d` and padding `(b, e)`.
//! Output `o` has taps at `o·s − b + i·d` for `i = 0..k`; those in `0..n` are *valid*, the others are padding and
//! take no part. A window of any rank is the product of its axes, so one axis is all there is to understand.
//!
//! Kernels see every tensor with three spatial axes: [`Geometry::new`] puts axes of length 1 in front.

use alloc::vec::Vec;

use crate::element::put_bits;
use crate::error::AxisName;
use crate::{Error, Layout, Result};

/// The most spatial axes a window can have.
pub(crate) const MAX_RANK: usize = 3;

/// One number for each spatial axis, in the order of the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerAxis {
    values: [usize; MAX_RANK],
    /// How many were given; more than `MAX_RANK` are counted, not kept, and refused when the plan is made.
    given: usize,
}

impl PerAxis {
    #[inline(never)]
    pub(crate) fn new(values: &[usize]) -> Self {
        let mut kept = [0; MAX_RANK];
        for (to, from) in kept.iter_mut().zip(values) {
            *to = *from;
        }
        Self { values: kept, given: values.len() }
    }

    /// The number for spatial axis `axis`, which is below `MAX_RANK`.
    pub(crate) fn at(&self, axis: usize) -> usize {
        self.values.get(axis).copied().unwrap_or(1)
    }

    pub(crate) fn check_rank(&self, what: &'static str, need: usize) -> Result<()> {
        if self.given == need { Ok(()) } else { Err(Error::Rank { what, got: self.given, need }) }
    }
}

/// What surrounds the input on each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None at all, on any number of axes.
    Valid,
    Explicit {
        begin: PerAxis,
        end: PerAxis,
    },
    /// TensorFlow's and ONNX's `SAME`: the output is `⌈n/s⌉` long; the odd element of padding goes to one end.
    Same {
        odd_at_end: bool,
    },
}

/// Which windows ceil mode keeps: see [`Pool::ceil_rule`](crate::Pool::ceil_rule).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CeilRule {
    /// Those that begin before the end of the input, or in the padding before it: PyTorch, Caffe, ONNX in its present text
    /// ("Sliding windows that would start in the right padded region are ignored").
    #[default]
    StartsInside,
    /// All that the formula `⌈(n + b + e − span) / stride⌉ + 1` counts, with the ones that begin in the padding after the
    /// input, or past it, and have no valid tap: ONNX's older text, and ONNX Runtime until
    /// [its pull request 16752](https://github.com/microsoft/onnxruntime/pull/16752).
    EveryWindow,
}

/// A window as the caller describes it, for tensors of any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `None` is global pooling: the kernel is the whole plane.
    pub(crate) kernel: Option<PerAxis>,
    pub(crate) stride: Option<PerAxis>,
    pub(crate) dilation: Option<PerAxis>,
    pub(crate) padding: Option<Padding>,
    pub(crate) ceil: bool,
    pub(crate) ceil_rule: CeilRule,
    pub(crate) allow_empty: bool,
    /// The caller asked for two kinds of padding at once.
    pub(crate) padding_conflict: bool,
}

/// Which taps an average divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The valid taps (`count_include_pad = false`).
    Valid,
    /// The taps inside the declared padded extent `[−b, n+e)`; what ceil mode adds beyond it never counts.
    Padded,
    /// The caller's number, whatever the window holds.
    Fixed(usize),
}

/// The valid taps of one output on one axis: `count` positions from `start`, `dilation` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    pub(crate) start: usize,
    pub(crate) count: usize,
}

/// One spatial axis with its window, validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) begin: usize,
    pub(crate) end: usize,
    pub(crate) windows: Windows,
}

/// The rule by which windows follow each other on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Windows {
    /// Output `o` has taps at `o·s − b + i·d`, for `i = 0..k`.
    Sliding,
    /// Output `o` of `m` covers
    /// `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)`: see [`adaptive_window`]. The kernel is the longest window; stride and dilation are 1, and there is no padding.
    Adaptive,
}

impl Axis {
    /// An axis that a tensor of lower rank does not have.
    const ABSENT: Self =
        Self { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, begin: 0, end: 0, windows: Windows::Sliding };

    /// The window's extent, `d·(k−1)+1`.
    pub(crate) fn span(&self) -> usize {
        // Checked in `Axis::new`; saturating keeps this total for the values it never sees.
        self.dilation.saturating_mul(self.kernel.saturating_sub(1)).saturating_add(1)
    }

    fn new(input: usize, window: &Window, axis: usize, name: AxisName) -> Result<Self> {
        let overflow = || Error::SizeOverflow { what: "the extent of the window with its padding" };
        let kernel = window.kernel.map_or(input, |kernel| kernel.at(axis));
        let stride = window.stride.map_or(1, |stride| stride.at(axis));
        let dilation = window.dilation.map_or(1, |dilation| dilation.at(axis));
        if kernel == 0 {
            return Err(if window.kernel.is_some() {
                Error::ZeroKernel { axis: name }
            } else {
                Error::EmptyInput { axis: name }
            });
        }
        if stride == 0 {
            return Err(Error::ZeroStride { axis: name });
        }
        if dilation == 0 {
            return Err(Error::ZeroDilation { axis: name });
        }
        // A dilation means nothing to a single tap; 1 keeps later arithmetic small whatever was given.
        let dilation = if kernel == 1 { 1 } else { dilation };
        let reach = dilation.checked_mul(kernel.saturating_sub(1)).ok_or_else(overflow)?;
        let span = reach.checked_add(1).ok_or_else(overflow)?;

        let (begin, end) = match window.padding {
            None | Some(Padding::Valid) => (0, 0),
            Some(Padding::Explicit { begin, end }) => (begin.at(axis), end.at(axis)),
            Some(Padding::Same { odd_at_end }) => {
                let output = input.div_ceil(stride);
                let covered = output.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(span));
                let total = covered.ok_or_else(overflow)?.saturating_sub(input);
                let half = total / 2;
                let rest = total.saturating_sub(half);
                if odd_at_end { (half, rest) } else { (rest, half) }
            }
        };
        let padded = input.checked_add(begin).and_then(|n| n.checked_add(end)).ok_or_else(overflow)?;
        if input == 0 {
            return Err(Error::EmptyInput { axis: name });
        }
        if isize::try_from(padded).is_err() {
            return Err(overflow());
        }
        let explicit = !matches!(window.padding, Some(Padding::Same { .. }));
        if explicit && !window.allow_empty && begin.max(end) >= span {
            return Err(Error::PadTooLarge { axis: name, padding: begin.max(end), span });
        }
        // In ceil mode a window may be longer than the padded input, if it overhangs it by less than a stride.
        let deficit = span.saturating_sub(padded);
        let overhangs = window.ceil && explicit && deficit < stride;
        if deficit > 0 && !overhangs {
            return Err(Error::KernelTooLarge { axis: name, kernel, span, dilation, padded });
        }

        let free = padded.saturating_sub(span);
        let output = match window.padding {
            Some(Padding::Same { .. }) => input.div_ceil(stride),
            _ if window.ceil => {
                let steps = free.div_ceil(stride);
                // Drop a last window that would start at or past the end of the input, if the rule says so.
                let starts_outside = steps.checked_mul(stride).is_none_or(|start| start >= input.saturating_add(begin));
                if starts_outside && steps > 0 && window.ceil_rule == CeilRule::StartsInside {
                    steps
                } else {
                    steps.checked_add(1).ok_or_else(overflow)?
                }
            }
            _ => free.checked_div(stride).and_then(|steps| steps.checked_add(1)).ok_or_else(overflow)?,
        };
        let last_end = output.saturating_sub(1).checked_mul(stride).and_then(|start| start.checked_add(span));
        if last_end.is_none_or(|end| isize::try_from(end).is_err()) {
            return Err(overflow());
        }
        Ok(Self { input, output, kernel, stride, dilation, begin, end, windows: Windows::Sliding })
    }

    /// How many of the taps of output `o` lie before virtual position `limit`, where 0 is the first padded element.
    fn taps_before(&self, o: usize, limit: usize) -> usize {
        let start = o.saturating_mul(self.stride);
        let free = limit.saturating_sub(start);
        // Asked for every output: spare it the division where there is nothing to divide.
        let taps = if self.dilation > 1 { free.div_ceil(self.dilation) } else { free };
        taps.min(self.kernel)
    }

    /// The valid taps of output `o`.
    #[inline(always)]
    pub(crate) fn taps(&self, o: usize) -> Taps {
        if self.windows == Windows::Adaptive {
            let window = adaptive_window(o, self.input, self.output);
            return Taps { start: window.start, count: window.len() };
        }
        let skipped = self.taps_before(o, self.begin);
        let inside = self.taps_before(o, self.begin.saturating_add(self.input));
        let first = o.saturating_mul(self.stride).saturating_add(skipped.saturating_mul(self.dilation));
        Taps { start: first.saturating_sub(self.begin), count: inside.saturating_sub(skipped) }
    }

    /// What output `o` contributes to the divisor: a factor, since a window is a product of its axes.
    pub(crate) fn count(&self, o: usize, count: Count) -> usize {
        match count {
            Count::Padded if self.windows == Windows::Adaptive => self.taps(o).count,
            Count::Valid => self.taps(o).count,
            Count::Padded => self.taps_before(o, self.begin.saturating_add(self.input).saturating_add(self.end)),
            Count::Fixed(_) => 1,
        }
    }

    /// Outputs whose window begins before the input, and outputs whose window ends after it: those, at the two ends, whose
    /// count may differ from the others'.
    pub(crate) fn cut_windows(&self) -> (usize, usize) {
        if self.windows == Windows::Adaptive {
            return (0, self.output);
        }
        let head = self.begin.div_ceil(self.stride.max(1)).min(self.output);
        // Windows `o` with o·s + span <= n + b end inside.
        let inside = self.begin.saturating_add(self.input).checked_sub(self.span());
        let whole =
            inside.map_or(0, |last| last.checked_div(self.stride).unwrap_or(0).saturating_add(1)).min(self.output);
        (head, self.output.saturating_sub(whole))
    }

    /// Whether each window lies a stride behind the one before.
    pub(crate) fn slides(&self) -> bool {
        self.windows == Windows::Sliding
    }

    /// An axis whose output has this length, of which the windows follow: plain ones, where all are equal.
    pub(crate) fn adaptive(input: usize, output: usize) -> Self {
        if let (Some(0), Some(length)) = (input.checked_rem(output), input.checked_div(output)) {
            return Self { input, output, kernel: length, stride: length, ..Self::ABSENT };
        }
        // One element more on one side than its share.
        let kernel = input.div_ceil(output.max(1)).saturating_add(1).min(input);
        Self { input, output, kernel, windows: Windows::Adaptive, ..Self::ABSENT }
    }

    /// The window is the whole axis, once.
    pub(crate) fn is_global(&self) -> bool {
        let taps = self.taps(0);
        self.output == 1 && taps == (Taps { start: 0, count: self.input }) && (self.dilation == 1 || taps.count == 1)
    }
}

/// Batch, channels and the 1 to 3 spatial lengths of a shape `N, C, spatial…`.
pub(crate) fn split_shape(shape: &[usize]) -> Result<(usize, usize, &[usize])> {
    match shape {
        [batch, channels, spatial @ ..] if (1..=MAX_RANK).contains(&spatial.len()) => Ok((*batch, *channels, spatial)),
        _ => Err(Error::Rank { what: "shape", got: shape.len(), need: 0 }),
    }
}

/// Whether a tensor fits the address space. Zeros count as ones, so that an empty batch never hides the overflow of the rest.
pub(crate) fn check_size(
    what: &'static str,
    bytes: usize,
    batch: usize,
    channels: usize,
    lengths: [usize; MAX_RANK],
) -> Result<()> {
    let sizes = [bytes, batch, channels].into_iter().chain(lengths);
    let total = sizes.map(|n| n.max(1)).try_fold(1_usize, usize::checked_mul);
    if total.is_none_or(|total| isize::try_from(total).is_err()) { Err(Error::SizeOverflow { what }) } else { Ok(()) }
}

/// The interval that output `o` of adaptive pooling covers, `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)` for `n` inputs and `m` outputs: never
/// empty where neither is 0. As PyTorch has it, in arithmetic that no length overflows.
///
/// The rule is its own mirror image: the outputs whose interval holds input `i` are `adaptive_window(i, m, n)`.
pub(crate) fn adaptive_window(o: usize, input: usize, output: usize) -> core::ops::Range<usize> {
    // ⌊a·b/c⌋, or rounded up. The product of two lengths may need 128 bits; a division of 64 is many times faster.
    let scaled = |a: usize, up: bool| {
        if let Some(product) = a.checked_mul(input) {
            let quotient = if up { Some(product.div_ceil(output.max(1))) } else { product.checked_div(output) };
            return quotient.unwrap_or(0);
        }
        let (product, by) = ((a as u128).saturating_mul(input as u128), output.max(1) as u128);
        let quotient = if up { product.div_ceil(by) } else { product.checked_div(by).unwrap_or(0) };
        usize::try_from(quotient).unwrap_or(usize::MAX)
    };
    scaled(o, false)..scaled(o.saturating_add(1), true)
}

/// A whole layer: `outer × spatial × inner` and the window on each of three spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub(crate) outer: usize,
    pub(crate) inner: usize,
    /// Depth, height, width; absent axes have length 1.
    pub(crate) axes: [Axis; MAX_RANK],
    /// How many spatial axes the caller's tensor has; they are the last of `axes`.
    pub(crate) rank: usize,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
}

impl Geometry {
    /// Validates a window against a tensor of shape `N, C, spatial…`. `bytes` is an element's size.
    pub(crate) fn new(window: &Window, layout: Layout, shape: &[usize], bytes: usize) -> Result<Self> {
        let (batch, channels, spatial) = split_shape(shape)?;
        let rank = spatial.len();
        for (what, given) in [("kernel", window.kernel), ("stride", window.stride), ("dilation", window.dilation)] {
            given.map_or(Ok(()), |given| given.check_rank(what, rank))?;
        }
        if let Some(Padding::Explicit { begin, end }) = window.padding {
            begin.check_rank("padding", rank)?;
            end.check_rank("padding", rank)?;
        }
        if window.padding_conflict {
            return Err(Error::Unsupported {
                why: "explicit and same padding were both asked for: one window has one kind of padding",
            });
        }
        if window.ceil && matches!(window.padding, Some(Padding::Same { .. })) {
            return Err(Error::Unsupported {
                why: "ceil mode has no meaning with same padding, whose output length is fixed",
            });
        }
        let moves = window.stride.is_some() || window.dilation.is_some() || window.padding.is_some() || window.ceil;
        if window.kernel.is_none() && moves {
            return Err(Error::Unsupported {
                why: "a global window is the whole plane, once: it takes no stride, dilation, padding or ceil mode",
            });
        }

        let mut axes = [Axis::ABSENT; MAX_RANK];
        let absent = MAX_RANK.saturating_sub(rank);
        for ((axis, to), &input) in axes.iter_mut().skip(absent).enumerate().zip(spatial) {
            *to = Axis::new(input, window, axis, AxisName::spatial(axis, rank))?;
        }
        let (outer, inner) = layout.split(batch, channels)?;
        let geometry = Self { outer, inner, axes, rank, batch, channels };
        let taps = axes.iter().try_fold(1_usize, |taps, axis| taps.checked_mul(axis.kernel));
        if taps.is_none_or(|taps| isize::try_from(taps).is_err()) {
            return Err(Error::SizeOverflow { what: "the number of taps of a window" });
        }
        for (what, lengths) in
            [("the input", axes.map(|axis| axis.input)), ("the output", axes.map(|axis| axis.output))]
        {
            check_size(what, bytes, batch, channels, lengths)?;
        }
        Ok(geometry)
    }

    /// Elements of one output row: the last spatial axis with its inner elements. Contiguous in every layout. Checked by
    /// [`Geometry::new`], like every product below.
    pub(crate) fn row_len(&self) -> usize {
        let [_, _, width] = self.axes;
        width.output.saturating_mul(self.inner)
    }

    /// The present spatial axes.
    pub(crate) fn spatial(&self) -> impl Iterator<Item = &Axis> + Clone {
        self.axes.iter().skip(MAX_RANK.saturating_sub(self.rank))
    }

    /// `N, C, spatial…` of the output.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
        [self.batch, self.channels].into_iter().chain(self.spatial().map(|axis| axis.output)).collect()
    }

    /// Whether every window is the whole plane.
    pub(crate) fn is_global(&self) -> bool {
        self.axes.iter().all(Axis::is_global)
    }

    /// Windows that follow from the lengths of input and output, of a layer whose lengths were validated. `outer` and
    /// `inner` are those of its layout.
    pub(crate) fn adaptive(
        lengths: [(usize, usize); MAX_RANK],
        (outer, inner): (usize, usize),
        (rank, batch, channels): (usize, usize, usize),
    ) -> Self {
        Self { outer, inner, axes: lengths.map(|(n, m)| Axis::adaptive(n, m)), rank, batch, channels }
    }

    /// Whether some window may have no valid tap. Cheap, and true for some layers that have none.
    pub(crate) fn may_have_empty_windows(&self) -> bool {
        self.axes.iter().any(Axis::may_be_empty)
    }

    /// Gives windows without a valid tap what the contract says: of `dst`, the bytes of outputs from element `first` on, each
    /// of `size`. Rare, so it is a pass of its own and no kernel knows.
    pub(crate) fn fill_empty(&self, dst: &mut [u8], size: usize, first: usize, identity: u64) {
        for (i, y) in dst.chunks_mut(size.max(1)).enumerate() {
            if self.window_is_empty(first.saturating_add(i)) {
                put_bits(y, identity);
            }
        }
    }

    /// Whether the window of the output element at offset `at` of memory has no valid tap.
    #[inline(never)]
    fn window_is_empty(&self, at: usize) -> bool {
        let mut rest = at.checked_div(self.inner).unwrap_or(0);
        self.axes.iter().rev().any(|axis| {
            let o = rest.checked_rem(axis.output).unwrap_or(0);
            rest = rest.checked_div(axis.output).unwrap_or(0);
            axis.taps(o).count == 0
        })
    }
}

impl Axis {
    /// Whether a window could be empty at all, cheaply: it lies wholly in padding, or steps over a short input.
    fn may_be_empty(&self) -> bool {
        // No adaptive window is.
        self.slides()
            && (self.begin.max(self.end) >= self.span() || self.dilation > self.input
            // What ceil mode appends begins inside the input, unless its rule keeps every window; one that begins in
            // the end padding is empty.
            || self.output.saturating_sub(1).saturating_mul(self.stride) >= self.begin.saturating_add(self.input))
    }
}

#[cfg(test)]
#[path = "geometry_tests.rs"]
mod tests;
