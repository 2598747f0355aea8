//! Where memory holds the elements of a tensor: side by side, or as a part of a larger tensor.

use core::ops::Range;

use alloc::vec::Vec;

use crate::error::AxisName;
use crate::geometry::{Axis, Geometry, MAX_RANK, check_size};
use crate::tasks::Tasks;
use crate::{Error, Layout, Result};

/// `outer × slabs × rows × pixels × inner` elements, and how far it is from one to the next. Inner elements lie side by side.
///
/// Steps of axes with one index are never taken; they are what they would be in a tensor without gaps, so that two of the same
/// meaning are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Steps {
    /// Of `outer`, where its two axes do not follow each other without a gap: planes in a batch, and from one batch to the next.
    batches: Option<(usize, usize)>,
    plane: usize,
    pub(crate) slab: usize,
    pub(crate) row: usize,
    pub(crate) pixel: usize,
}

/// How memory holds batch and channels of a layer's tensors, which is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Spatial axes of the caller's tensor.
    pub(crate) rank: usize,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) outer: usize,
    pub(crate) inner: usize,
}

impl From<&Geometry> for Split {
    fn from(geometry: &Geometry) -> Self {
        let Geometry { rank, batch, channels, outer, inner, .. } = *geometry;
        Self { rank, batch, channels, outer, inner }
    }
}

impl Split {
    /// Planes, or blocks of them, that follow each other in one index of the batch.
    fn planes(&self) -> usize {
        self.outer.checked_div(self.batch).unwrap_or(0)
    }
}

impl Steps {
    /// Of a tensor without gaps.
    pub(crate) fn packed(lengths: [usize; MAX_RANK], inner: usize) -> Self {
        let [depth, height, width] = lengths;
        let row = width.saturating_mul(inner);
        let slab = height.saturating_mul(row);
        Self { batches: None, plane: depth.saturating_mul(slab), slab, row, pixel: inner }
    }

    /// From a caller's strides, one for each axis `N, C, spatial…`. `bytes` is an element's size.
    fn given(
        what: &'static str,
        strides: &[usize],
        layout: Layout,
        split: &Split,
        lengths: [usize; MAX_RANK],
        bytes: usize,
    ) -> Result<Self> {
        let need = split.rank.saturating_add(2);
        let (&[batch, channel, ref spatial @ ..], true) = (strides, strides.len() == need) else {
            return Err(Error::StridesLen { what, got: strides.len(), need });
        };
        let Split { batch: batches, channels, inner, outer, .. } = *split;
        // The outer index counts batches, or planes (blocks of channels) of batches.
        let planes = split.planes();
        if layout == Layout::Nhwc && channels > 1 && channel != 1 {
            return Err(Error::ChannelsApart { what, stride: channel });
        }
        let packed = Self::packed(lengths, inner);
        let mut steps = [packed.slab, packed.row, packed.pixel];
        let absent = MAX_RANK.saturating_sub(split.rank);
        for ((step, length), stride) in steps.iter_mut().zip(lengths).skip(absent).zip(spatial) {
            if length > 1 {
                *step = *stride;
            }
        }
        let [slab, row, pixel] = steps;
        let plane = match (planes > 1, batches > 1) {
            (true, _) => channel,
            (false, true) => batch,
            (false, false) => packed.plane,
        };
        let is_even = planes <= 1 || batches <= 1 || planes.checked_mul(plane) == Some(batch);
        let steps = Self { batches: (!is_even).then_some((planes, batch)), plane, slab, row, pixel };
        // The last element's offset, and with it every other's, in wide arithmetic.
        let last = [(batches, if is_even { 0 } else { batch }), (if is_even { outer } else { planes }, plane)];
        let axes = last.into_iter().chain(lengths.into_iter().zip([slab, row, pixel])).chain([(inner, 1)]);
        let reach = axes.map(|(length, step)| (length.saturating_sub(1) as u128).saturating_mul(step as u128));
        let elements = reach.fold(1_u128, u128::saturating_add);
        let overflow = Error::SizeOverflow { what };
        let elements = usize::try_from(elements).map_err(|_| overflow)?;
        check_size(what, bytes, elements, 1, [1; MAX_RANK])?;
        Ok(steps)
    }

    /// Whether planes follow each other without a gap, and lie in memory without one.
    fn is_packed(&self, lengths: [usize; MAX_RANK], inner: usize) -> bool {
        *self == Self::packed(lengths, inner)
    }

    /// Whether a plane's elements lie side by side, in their order.
    pub(crate) fn has_packed_planes(&self, lengths: [usize; MAX_RANK], inner: usize) -> bool {
        let packed = Self::packed(lengths, inner);
        (self.slab, self.row, self.pixel) == (packed.slab, packed.row, packed.pixel)
    }

    /// Where a plane begins.
    #[inline(always)]
    pub(crate) fn outer(&self, outer: usize) -> usize {
        match self.batches {
            None => outer.wrapping_mul(self.plane),
            Some((planes, batch)) => {
                let (n, plane) = (outer.checked_div(planes).unwrap_or(0), outer.checked_rem(planes).unwrap_or(0));
                n.wrapping_mul(batch).wrapping_add(plane.wrapping_mul(self.plane))
            }
        }
    }

    /// Elements from one plane to the next, where that is the same for all of them.
    #[inline(always)]
    pub(crate) fn even(&self) -> Option<usize> {
        self.batches.is_none().then_some(self.plane)
    }

    /// Where a row begins, counted from the beginning of its plane.
    #[inline(always)]
    fn row_in_block(&self, z: usize, y: usize) -> usize {
        z.wrapping_mul(self.slab).wrapping_add(y.wrapping_mul(self.row))
    }

    /// Where a row begins.
    #[inline(always)]
    pub(crate) fn row_at(&self, outer: usize, z: usize, y: usize) -> usize {
        self.outer(outer).wrapping_add(self.row_in_block(z, y))
    }

    /// Elements from the first of a row to its last.
    fn row_extent(&self, width: usize, inner: usize) -> usize {
        width.checked_sub(1).map_or(0, |last| last.saturating_mul(self.pixel).saturating_add(inner))
    }

    /// Elements from the first to the last.
    pub(crate) fn extent(&self, outer: usize, lengths: [usize; MAX_RANK], inner: usize) -> usize {
        let [depth, height, width] = lengths;
        match (outer.checked_sub(1), depth.checked_sub(1), height.checked_sub(1)) {
            (Some(outer), Some(z), Some(y)) if width > 0 && inner > 0 => {
                self.row_at(outer, z, y).saturating_add(self.row_extent(width, inner))
            }
            _ => 0,
        }
    }
}

/// A tensor: how long it is on each axis, and where memory holds its elements. A plane of `outer`, with its `inner` elements a
/// pixel, is a *block*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub(crate) split: Split,
    pub(crate) lengths: [usize; MAX_RANK],
    steps: Steps,
}

impl Tensor {
    /// Without gaps.
    pub(crate) fn packed(split: Split, lengths: [usize; MAX_RANK]) -> Self {
        Self { split, lengths, steps: Steps::packed(lengths, split.inner) }
    }

    /// Where a caller's strides say, for each axis `N, C, spatial…`, in any order and on one another: to be read. `bytes` is an
    /// element's size. No strides: without gaps.
    pub(crate) fn read(
        what: &'static str,
        strides: Option<&[usize]>,
        layout: Layout,
        split: Split,
        lengths: [usize; MAX_RANK],
        bytes: usize,
    ) -> Result<Self> {
        let Some(strides) = strides else { return Ok(Self::packed(split, lengths)) };
        let steps = Steps::given(what, strides, layout, &split, lengths, bytes)?;
        Ok(Self { split, lengths, steps })
    }

    /// The same to be written: each element has its own place, in the order of the layout.
    pub(crate) fn written(
        what: &'static str,
        strides: Option<&[usize]>,
        layout: Layout,
        split: Split,
        lengths: [usize; MAX_RANK],
        bytes: usize,
    ) -> Result<Self> {
        let tensor = Self::read(what, strides, layout, split, lengths, bytes)?;
        if strides.is_some() {
            check_apart(what, &tensor.steps, layout, &split, lengths)?;
        }
        Ok(tensor)
    }

    /// Elements from the first to the last: those that a slice must have.
    pub(crate) fn extent(&self) -> usize {
        self.steps.extent(self.split.outer, self.lengths, self.split.inner)
    }

    /// Elements of a plane.
    pub(crate) fn plane_len(&self) -> usize {
        self.lengths.iter().fold(1, |all, n| all.saturating_mul(*n))
    }

    /// Elements of the tensor, without what lies between them.
    pub(crate) fn count(&self) -> usize {
        self.plane_len().saturating_mul(self.split.outer).saturating_mul(self.split.inner)
    }

    /// `N, C, spatial…`.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let Split { rank, batch, channels, .. } = self.split;
        let spatial = self.lengths.iter().skip(MAX_RANK.saturating_sub(rank)).copied();
        [batch, channels].into_iter().chain(spatial).collect()
    }

    /// Where a block begins.
    #[inline(always)]
    pub(crate) fn block(&self, outer: usize) -> usize {
        self.steps.outer(outer)
    }

    /// Where a pixel begins, counted from the beginning of its block.
    #[inline(always)]
    pub(crate) fn pixel(&self, [z, y, x]: [usize; MAX_RANK]) -> usize {
        self.steps.row_in_block(z, y).wrapping_add(x.wrapping_mul(self.steps.pixel))
    }

    /// From one pixel of a row to the next.
    #[inline(always)]
    pub(crate) fn pixel_step(&self) -> usize {
        self.steps.pixel
    }

    /// The elements from the first of a row to its last, counted from the beginning of its block.
    #[inline(always)]
    pub(crate) fn row(&self, z: usize, y: usize) -> Range<usize> {
        let [_, _, width] = self.lengths;
        let start = self.steps.row_in_block(z, y);
        start..start.saturating_add(self.steps.row_extent(width, self.split.inner))
    }

    /// Whether a plane's pixels follow each other, in their order.
    pub(crate) fn has_packed_planes(&self) -> bool {
        self.steps.has_packed_planes(self.lengths, self.split.inner)
    }

    /// Its rows, to be gone through one after the other.
    pub(crate) fn rows(&self) -> Output {
        let Self { split: Split { outer, inner, .. }, lengths, steps } = *self;
        let [depth, height, width] = lengths;
        let scattered = Scattered { steps, depth, height, inner, extent: steps.row_extent(width, inner) };
        let rows = outer.saturating_mul(depth).saturating_mul(height);
        Output {
            scattered: (!steps.is_packed(lengths, inner)).then_some(scattered),
            ..Output::packed(rows, width.saturating_mul(inner))
        }
    }

    /// How many of them a block has.
    pub(crate) fn rows_of_block(&self) -> usize {
        let [depth, height, _] = self.lengths;
        depth.saturating_mul(height)
    }

    /// The blocks of a task that is whole blocks.
    pub(crate) fn blocks_of(&self, tasks: &Tasks, task: usize) -> Result<Range<usize>> {
        let rows = tasks.check(task, &self.rows())?;
        let block = |row: usize| row.checked_div(self.rows_of_block()).unwrap_or(0);
        Ok(block(rows.start)..block(rows.end))
    }

    /// Those of some blocks.
    pub(crate) fn rows_of(&self, blocks: &Range<usize>) -> Range<usize> {
        let each = self.rows_of_block();
        blocks.start.saturating_mul(each)..blocks.end.saturating_mul(each)
    }
}

#[cfg(feature = "ndarray")]
impl Tensor {
    /// Whether an array with an axis for each of `N, C, spatial…` has these lengths, and its elements lie as this tensor's do.
    pub(crate) fn check(&self, what: &'static str, shape: &[usize], strides: &[isize]) -> Result<()> {
        let Split { rank, batch, channels, inner, .. } = self.split;
        let (Steps { batches, plane, slab, row, pixel }, planes) = (self.steps, self.split.planes());
        if planes > 1 && inner > 1 {
            return Err(Error::Unsupported {
                why: "channels in blocks have no one stride: arrays with an axis for each of N, C, spatial are planar, or have channels last",
            });
        }
        let (need, got) = (rank.saturating_add(2), shape.len());
        if need != got {
            return Err(Error::ViewAxes { what, got, need });
        }
        let batch_stride = batches.map_or_else(|| plane.saturating_mul(planes.max(1)), |(_, batch)| batch);
        let outer = [(batch, batch_stride), (channels, if planes > 1 { plane } else { 1 })];
        let spatial = self.lengths.into_iter().zip([slab, row, pixel]).skip(MAX_RANK.saturating_sub(rank));
        let axes = || outer.into_iter().chain(spatial.clone()).enumerate();
        for ((place, (need, _)), &got) in axes().zip(shape) {
            if need != got {
                return Err(Error::ViewLen { what, axis: AxisName::of(place, rank), need, got });
            }
        }
        // The stride of an axis with one index is never taken, and of an array without elements none is.
        let is_empty = self.count() == 0;
        for ((place, (length, need)), &got) in axes().zip(strides) {
            if length > 1 && !is_empty && usize::try_from(got) != Ok(need) {
                return Err(Error::ViewStride { what, axis: AxisName::of(place, rank), need, got });
            }
        }
        Ok(())
    }
}

/// What lies between the rows of an output that are not a run's to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// Nothing.
    None,
    /// A plane's rows follow each other; something lies between planes.
    Planes,
    /// A row's pixels follow each other.
    Rows,
    /// Something lies between pixels.
    Pixels,
}

/// Where memory holds the input and the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) input: Steps,
    pub(crate) output: Steps,
    pub(crate) input_is_packed: bool,
    pub(crate) gaps: Gaps,
}

impl Places {
    /// From a caller's strides of input and output, or without gaps.
    pub(crate) fn new(
        strides: Option<[&[usize]; 2]>,
        layout: Layout,
        geometry: &Geometry,
        bytes: usize,
    ) -> Result<Self> {
        let [inputs, outputs] = [geometry.axes.map(|axis| axis.input), geometry.axes.map(|axis| axis.output)];
        let (split, [input, output]) = (Split::from(geometry), strides.map_or([None; 2], |both| both.map(Some)));
        let input = Tensor::read("input", input, layout, split, inputs, bytes)?.steps;
        let output = Tensor::written("output", output, layout, split, outputs, bytes)?.steps;
        let gaps = if output.is_packed(outputs, geometry.inner) {
            Gaps::None
        } else if output.has_packed_planes(outputs, geometry.inner) {
            Gaps::Planes
        } else if output.pixel == geometry.inner {
            Gaps::Rows
        } else {
            Gaps::Pixels
        };
        Ok(Self { input, output, input_is_packed: input.is_packed(inputs, geometry.inner), gaps })
    }

    /// Without gaps.
    pub(crate) fn packed(geometry: &Geometry) -> Self {
        let steps = |length: fn(&Axis) -> usize| Steps::packed(geometry.axes.map(|axis| length(&axis)), geometry.inner);
        let (input, output) = (steps(|axis| axis.input), steps(|axis| axis.output));
        Self { input, output, input_is_packed: true, gaps: Gaps::None }
    }
}

/// Whether each element has its own place, in the order of the layout: then no row lies within another, and neighbouring rows can
/// be computed by different threads.
fn check_apart(
    what: &'static str,
    steps: &Steps,
    layout: Layout,
    split: &Split,
    lengths: [usize; MAX_RANK],
) -> Result<()> {
    let Split { inner, rank, batch, outer, .. } = *split;
    let planes = split.planes();
    let spatial = |axis: usize| AxisName::spatial(axis.saturating_sub(MAX_RANK.saturating_sub(rank)), rank);
    let (batches, channels) = (AxisName::of(0, rank), AxisName::of(1, rank));
    let [depth, height, width] = lengths;
    // From the inside to the outside: an index's length is what lies between its first and last element.
    let mut need = inner;
    let outermost = if layout == Layout::Nhwc { batches } else { channels };
    let axes = [
        (spatial(2), width, steps.pixel),
        (spatial(1), height, steps.row),
        (spatial(0), depth, steps.slab),
        match steps.batches {
            None => (outermost, outer, steps.plane),
            Some(_) => (channels, planes, steps.plane),
        },
        (batches, steps.batches.map_or(1, |_| batch), steps.batches.map_or(0, |(_, step)| step)),
    ];
    for (axis, length, step) in axes {
        if length > 1 {
            if step < need {
                return Err(Error::OutputsOverlap { what, axis, stride: step, need });
            }
            need = length.saturating_sub(1).saturating_mul(step).saturating_add(need);
        }
    }
    Ok(())
}

#[cfg(feature = "ndarray")]
impl Places {
    /// Input and output.
    pub(crate) fn tensors(&self, geometry: &Geometry) -> [Tensor; 2] {
        let split = Split::from(geometry);
        let of = |lengths, steps| Tensor { split, lengths, steps };
        [of(geometry.axes.map(|axis| axis.input), self.input), of(geometry.axes.map(|axis| axis.output), self.output)]
    }
}

/// Where the bytes of a range of elements lie, counted from the element `base` on.
pub(crate) fn bytes_of(range: Range<usize>, base: usize, size: usize) -> Range<usize> {
    let [start, end] = [range.start, range.end].map(|at| at.saturating_sub(base).saturating_mul(size));
    start..end
}

/// The rows of an output, in the order of memory: each can be computed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Output {
    rows: usize,
    /// Elements of a row.
    row_len: usize,
    /// Where there are gaps.
    scattered: Option<Scattered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Scattered {
    steps: Steps,
    depth: usize,
    height: usize,
    inner: usize,
    /// Elements from the first of a row to its last.
    extent: usize,
}

impl Output {
    /// Without gaps.
    pub(crate) fn packed(rows: usize, row_len: usize) -> Self {
        Self { rows: if row_len == 0 { 0 } else { rows }, row_len, scattered: None }
    }

    pub(crate) fn new(places: &Places, geometry: &Geometry) -> Self {
        let lengths = geometry.axes.map(|axis| axis.output);
        Tensor { split: Split::from(geometry), lengths, steps: places.output }.rows()
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn has_gaps(&self) -> bool {
        self.scattered.is_some()
    }

    /// Elements of a row.
    pub(crate) fn row_len(&self) -> usize {
        self.row_len
    }

    /// The elements from the first of these rows to the last. Those of neighbours do not overlap.
    pub(crate) fn span(&self, rows: Range<usize>) -> Range<usize> {
        let Some(scattered) = &self.scattered else {
            // Both products are at most the output's length.
            return rows.start.saturating_mul(self.row_len)..rows.end.saturating_mul(self.row_len);
        };
        let start = scattered.start(rows.start);
        match rows.end.checked_sub(1) {
            Some(last) if rows.start <= last => start..scattered.start(last).saturating_add(scattered.extent),
            _ => start..start,
        }
    }

    /// Hands on each run of elements without a gap in `dst`, which these rows span, and the number of its first element in a
    /// tensor without gaps. `dst` is in units of which an element has `size`: bytes.
    pub(crate) fn for_each_run<T>(
        &self,
        dst: &mut [T],
        size: usize,
        rows: Range<usize>,
        run: &mut dyn FnMut(&mut [T], usize),
    ) {
        self.each_run_by(rows, &mut |range, number| {
            run(dst.get_mut(bytes_of(range, 0, size)).unwrap_or_default(), number);
        });
    }

    /// Hands on where each run of elements without a gap lies, counted from the first element of these rows, and the number of its
    /// first element in a tensor without gaps. Together the runs are all elements of the rows, and nothing else.
    pub(crate) fn each_run(&self, rows: Range<usize>, mut run: impl FnMut(Range<usize>, usize)) {
        self.each_run_by(rows, &mut run);
    }

    /// Compiled once, whatever is done with the runs.
    #[inline(never)]
    fn each_run_by(&self, rows: Range<usize>, run: &mut dyn FnMut(Range<usize>, usize)) {
        let Some(scattered) = &self.scattered else {
            let span = self.span(rows);
            return run(0..span.len(), span.start);
        };
        let Scattered { steps, inner, .. } = *scattered;
        let first = scattered.start(rows.start);
        // Pixels that follow each other are one run.
        let (pixels, len) = match self.row_len.checked_div(inner) {
            Some(_) if steps.pixel == inner => (1, self.row_len),
            Some(pixels) => (pixels, inner),
            None => return,
        };
        for row in rows {
            let start = scattered.start(row).saturating_sub(first);
            let number = row.saturating_mul(self.row_len);
            for pixel in 0..pixels {
                let at = start.saturating_add(pixel.saturating_mul(steps.pixel));
                run(at..at.saturating_add(len), number.saturating_add(pixel.saturating_mul(inner)));
            }
        }
    }
}

impl Scattered {
    /// Where a row begins.
    fn start(&self, row: usize) -> usize {
        let (slab, y) = (row.checked_div(self.height).unwrap_or(0), row.checked_rem(self.height).unwrap_or(0));
        let (outer, z) = (slab.checked_div(self.depth).unwrap_or(0), slab.checked_rem(self.depth).unwrap_or(0));
        self.steps.row_at(outer, z, y)
    }
}
