//! Windows that differ from output to output: a start and an end for each output on each axis.
//!
//! The kernels know windows that move by a stride. Fractional pooling, and adaptive pooling with indices, have others
//! ([`Windows`]), visited here in safe code that leaves the vectorising to the compiler: `fold.rs` has a loop nest
//! whose inner loop is contiguous and free of windows, `find.rs` looks for a maximum where it was found, `scalar.rs` is
//! the arithmetic on one element. No tier is asked for: every machine runs the same operations in the same order.

use core::ops::Range;

use crate::error::AxisName;
use crate::geometry::{MAX_RANK, PerAxis};
use crate::kernels::Bounds;
use crate::strides::{Split, Tensor};
use crate::{DType, Error, Layout, Result};

/// Bounds for the outputs of a builder that keeps them as `bounds`.
macro_rules! bounded {
    ($Builder:ident) => {
        impl<T> $Builder<T> {
            /// Bounds every output, as [`Pool::clamp`](crate::Pool::clamp). An index still names the element that was found,
            /// whatever its value became.
            pub fn clamp(mut self, low: f64, high: f64) -> Self {
                self.bounds = Some([low, high]);
                self
            }

            /// A clamp to what is not negative.
            pub fn relu(self) -> Self {
                self.clamp(0.0, f64::INFINITY)
            }

            /// A clamp from 0 to 6.
            pub fn relu6(self) -> Self {
                self.clamp(0.0, 6.0)
            }
        }
    };
}
pub(crate) use bounded;

pub(crate) mod find;
pub(crate) mod fold;
pub(crate) mod scalar;

/// The windows on one axis.
pub(crate) trait Windows: Copy {
    /// The taps of each output in turn: never none, all inside the input.
    fn windows(self) -> impl Iterator<Item = Range<usize>>;
}

/// [`Windows`] of any kind, for code that is compiled once.
pub(crate) trait EachWindow {
    /// Hands on the taps of each output in turn.
    fn each(&self, work: &mut dyn FnMut(Range<usize>));
}

impl<W: Windows> EachWindow for W {
    fn each(&self, work: &mut dyn FnMut(Range<usize>)) {
        self.windows().for_each(work);
    }
}

/// The windows of three axes, whatever their kind.
pub(crate) type Axes<'a> = [&'a dyn EachWindow; MAX_RANK];

/// What is done with a row of outputs: the slabs and the rows that its windows have, and where it lies in its block.
pub(crate) type RowWork<'a> = dyn FnMut(&Range<usize>, &Range<usize>, Range<usize>) + 'a;

/// Hands on the rows of outputs of one block, each with its place in the block, in row-major order.
pub(crate) fn for_each_row([depth, height, _]: Axes<'_>, output: &Tensor, work: &mut RowWork<'_>) {
    let mut z = 0_usize;
    depth.each(&mut |slabs| {
        let mut y = 0_usize;
        height.each(&mut |rows| {
            work(&slabs, &rows, output.row(z, y));
            y = y.saturating_add(1);
        });
        z = z.saturating_add(1);
    });
}

/// One window, as a range on each axis.
pub(crate) type Ranges = [Range<usize>; MAX_RANK];

/// A layer that is given by its input's and its output's lengths: `outer × spatial × inner`, axes of length 1 in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub(crate) split: Split,
    pub(crate) input: Tensor,
    pub(crate) output: Tensor,
}

impl Extent {
    /// Validates lengths against a tensor of shape `N, C, spatial…`, whose elements lie where the strides of input and output say,
    /// if there are any. `bytes` is the longest element written or read.
    pub(crate) fn new(
        layout: Layout,
        shape: &[usize],
        output: &PerAxis,
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<Self> {
        let wrong_rank = Error::Rank { what: "shape", got: shape.len(), need: 0 };
        let [batch, channels, spatial @ ..] = shape else { return Err(wrong_rank) };
        let rank = spatial.len();
        if rank == 0 || rank > MAX_RANK {
            return Err(wrong_rank);
        }
        output.check_rank("output size", rank)?;
        let (mut inputs, mut outputs) = ([1; MAX_RANK], [1; MAX_RANK]);
        let absent = MAX_RANK.saturating_sub(rank);
        for ((axis, &length), (input, to)) in
            spatial.iter().enumerate().zip(inputs.iter_mut().zip(&mut outputs).skip(absent))
        {
            let name = AxisName::spatial(axis, rank);
            if length == 0 {
                return Err(Error::EmptyInput { axis: name });
            }
            (*input, *to) = (length, output.at(axis));
            if *to == 0 {
                return Err(Error::EmptyOutput { axis: name });
            }
        }
        let (outer, inner) = layout.split(*batch, *channels)?;
        for (what, lengths) in [("the input", inputs), ("the output", outputs)] {
            // Zeros count as ones, so that an empty batch never hides the overflow of the rest.
            let sizes = [bytes, *batch, *channels].into_iter().chain(lengths);
            let total = sizes.map(|n| n.max(1)).try_fold(1_usize, usize::checked_mul);
            if total.is_none_or(|total| isize::try_from(total).is_err()) {
                return Err(Error::SizeOverflow { what });
            }
        }
        let split = Split { rank, batch: *batch, channels: *channels, outer, inner };
        let [from, to] = strides.map_or([None; 2], |both| both.map(Some));
        Ok(Self {
            split,
            input: Tensor::read("input", from, layout, split, inputs, bytes)?,
            output: Tensor::written("output", to, layout, split, outputs, bytes)?,
        })
    }

    /// The name of axis `axis` of the three, for errors.
    pub(crate) fn name(&self, axis: usize) -> AxisName {
        let rank = self.split.rank;
        AxisName::spatial(axis.saturating_sub(MAX_RANK.saturating_sub(rank)), rank)
    }

    /// Input and output lengths of each axis.
    pub(crate) fn lengths(&self) -> [(usize, usize); MAX_RANK] {
        let ([a, b, c], [x, y, z]) = (self.input.lengths, self.output.lengths);
        [(a, x), (b, y), (c, z)]
    }

    /// Whether the slices of a run, the bytes of elements, are as long as they must be.
    pub(crate) fn check(&self, src: &[u8], dst: &[u8], dtype: DType) -> Result<()> {
        self.check_part(src, dst, &(0..self.output.rows().rows()), dtype)
    }

    /// The same where `dst` is the part of the output that these rows span.
    pub(crate) fn check_part(&self, src: &[u8], dst: &[u8], rows: &Range<usize>, dtype: DType) -> Result<()> {
        let elements = |bytes: &[u8]| bytes.len().checked_div(dtype.bytes()).unwrap_or(0);
        let (need, got) = (self.input.extent(), elements(src));
        if need != got {
            return Err(Error::SrcLen { need, got });
        }
        let (need, got) = (self.output.rows().span(rows.clone()).len(), elements(dst));
        if need == got { Ok(()) } else { Err(Error::DstLen { need, got }) }
    }

    /// The same for so many indices, which lie as the outputs do.
    pub(crate) fn check_indices(&self, got: usize) -> Result<()> {
        let need = self.output.extent();
        if need == got { Ok(()) } else { Err(Error::IndexLen { need, got }) }
    }

    /// Blocks of the input that have an output.
    pub(crate) fn block_count(&self) -> usize {
        if self.output.count() == 0 { 0 } else { self.split.outer }
    }

    /// Keeps the outputs of `dst`, the bytes of elements, between bounds, and leaves alone what lies between them.
    pub(crate) fn clamp(&self, dst: &mut [u8], dtype: DType, bounds: &dyn Bounds) {
        self.clamp_rows(dst, 0..self.output.rows().rows(), dtype, bounds);
    }

    /// The same of some rows, which `dst` is.
    pub(crate) fn clamp_rows(&self, dst: &mut [u8], rows: Range<usize>, dtype: DType, bounds: &dyn Bounds) {
        self.output.rows().for_each_run(dst, dtype.bytes(), rows, &mut |run, _| bounds.keep(run));
    }
}

/// The taps of one block: the input's elements from its first one on, and how they lie.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, T> {
    pub(crate) elements: &'a [T],
    pub(crate) tensor: Tensor,
}

impl<'a, T: Copy> Block<'a, T> {
    /// A row of pixels, from its first element to its last.
    #[inline(always)]
    pub(crate) fn row(&self, slab: usize, row: usize) -> &'a [T] {
        self.elements.get(self.tensor.row(slab, row)).unwrap_or(&[])
    }

    /// Whether a plane's pixels lie side by side along a row.
    #[inline(always)]
    pub(crate) fn has_whole_rows(&self) -> bool {
        self.tensor.pixel_step() == 1
    }

    /// The tap of a row at a pixel, in plane `channel` of the block.
    #[inline(always)]
    pub(crate) fn tap(&self, row: &'a [T], x: usize, channel: usize) -> Option<&'a T> {
        row.get(x.saturating_mul(self.tensor.pixel_step()).saturating_add(channel))
    }
}
