//! Where memory holds the elements of a tensor: side by side, or as a part of a larger tensor.

use core::ops::Range;

use crate::error::AxisName;
use crate::geometry::{Geometry, MAX_RANK, check_size};
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
        geometry: &Geometry,
        lengths: [usize; MAX_RANK],
        bytes: usize,
    ) -> Result<Self> {
        let need = geometry.rank.saturating_add(2);
        let (&[batch, channel, ref spatial @ ..], true) = (strides, strides.len() == need) else {
            return Err(Error::StridesLen { what, got: strides.len(), need });
        };
        let Geometry { batch: batches, channels, inner, outer, .. } = *geometry;
        // The outer index counts batches, or planes (blocks of channels) of batches.
        let planes = if layout == Layout::Nhwc { 1 } else { outer.checked_div(batches).unwrap_or(0) };
        if layout == Layout::Nhwc && channels > 1 && channel != 1 {
            return Err(Error::ChannelsApart { what, stride: channel });
        }
        let packed = Self::packed(lengths, inner);
        let mut steps = [packed.slab, packed.row, packed.pixel];
        let absent = MAX_RANK.saturating_sub(geometry.rank);
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

    /// Where a row begins.
    #[inline(always)]
    pub(crate) fn row_at(&self, outer: usize, z: usize, y: usize) -> usize {
        let slab = self.outer(outer).wrapping_add(z.wrapping_mul(self.slab));
        slab.wrapping_add(y.wrapping_mul(self.row))
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
    /// Of two tensors without gaps.
    pub(crate) fn packed(geometry: &Geometry) -> Self {
        let steps = |lengths| Steps::packed(lengths, geometry.inner);
        let [input, output] = [geometry.axes.map(|axis| axis.input), geometry.axes.map(|axis| axis.output)];
        Self { input: steps(input), output: steps(output), input_is_packed: true, gaps: Gaps::None }
    }

    /// From a caller's strides.
    pub(crate) fn given(
        input: &[usize],
        output: &[usize],
        layout: Layout,
        geometry: &Geometry,
        bytes: usize,
    ) -> Result<Self> {
        let [inputs, outputs] = [geometry.axes.map(|axis| axis.input), geometry.axes.map(|axis| axis.output)];
        let input = Steps::given("input", input, layout, geometry, inputs, bytes)?;
        let output = Steps::given("output", output, layout, geometry, outputs, bytes)?;
        check_apart(&output, layout, geometry, outputs)?;
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
}

/// Whether each output has its own place, in the order of the layout: then no row lies within another, and neighbouring rows can
/// be computed by different threads.
fn check_apart(steps: &Steps, layout: Layout, geometry: &Geometry, lengths: [usize; MAX_RANK]) -> Result<()> {
    let Geometry { inner, rank, batch, outer, .. } = *geometry;
    let planes = outer.checked_div(batch).unwrap_or(0);
    let spatial = |axis: usize| AxisName::spatial(axis.saturating_sub(MAX_RANK.saturating_sub(rank)), rank);
    let (batches, channels) = (AxisName { index: 0, name: "batch" }, AxisName { index: 1, name: "channels" });
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
                return Err(Error::OutputsOverlap { axis, stride: step, need });
            }
            need = length.saturating_sub(1).saturating_mul(step).saturating_add(need);
        }
    }
    Ok(())
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
        let [depth, height, width] = geometry.axes.map(|axis| axis.output);
        let (steps, inner) = (places.output, geometry.inner);
        let scattered = Scattered { steps, depth, height, inner, extent: steps.row_extent(width, inner) };
        Self {
            scattered: (places.gaps != Gaps::None).then_some(scattered),
            ..Self::packed(geometry.rows(), geometry.row_len())
        }
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
    /// tensor without gaps.
    pub(crate) fn for_each_run<T>(&self, dst: &mut [T], rows: Range<usize>, mut run: impl FnMut(&mut [T], usize)) {
        let Some(scattered) = &self.scattered else {
            return run(dst, rows.start.saturating_mul(self.row_len));
        };
        let first = scattered.start(rows.start);
        for row in rows {
            let start = scattered.start(row).saturating_sub(first);
            let Some(of_row) = dst.get_mut(start..start.saturating_add(scattered.extent)) else { return };
            let number = row.saturating_mul(self.row_len);
            for (pixel, elements) in of_row.chunks_mut(scattered.steps.pixel.max(1)).enumerate() {
                let len = scattered.inner.min(elements.len());
                let number = number.saturating_add(pixel.saturating_mul(scattered.inner));
                run(elements.get_mut(..len).unwrap_or_default(), number);
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
