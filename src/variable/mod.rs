//! Windows that differ from output to output: a start and an end for each output on each axis.
//!
//! The kernels know windows that move by a stride. Adaptive and fractional pooling have others ([`Windows`]), walked here in
//! safe code that leaves the vectorising to the compiler: `fold.rs` has two walks whose inner loop is contiguous and free
//! of windows, `find.rs` looks for a maximum where it was found, `scalar.rs` is the arithmetic on one element. No tier is
//! asked for: every machine runs the same operations in the same order.

use core::ops::Range;

use alloc::vec::Vec;

use crate::error::AxisName;
use crate::geometry::{MAX_RANK, PerAxis};
use crate::{Error, Layout, Result};

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

/// One window, as a range on each axis.
pub(crate) type Ranges = [Range<usize>; MAX_RANK];

/// How many taps that are. Not more than the input has elements.
pub(crate) fn taps(window: &Ranges) -> usize {
    window.iter().map(Range::len).fold(1, usize::saturating_mul)
}

/// The windows of all outputs, the last axis fastest.
pub(crate) fn each_window<W: Windows>(axes: [W; MAX_RANK]) -> impl Iterator<Item = Ranges> {
    let [depth, height, width] = axes;
    depth.windows().flat_map(move |slabs| {
        height.windows().flat_map(move |rows| {
            let slabs = slabs.clone();
            width.windows().map(move |columns| [slabs.clone(), rows.clone(), columns])
        })
    })
}

/// A layer that is given by its input's and its output's lengths: `outer × spatial × inner`, axes of length 1 in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) outer: usize,
    pub(crate) inner: usize,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) rank: usize,
    pub(crate) input: [usize; MAX_RANK],
    pub(crate) output: [usize; MAX_RANK],
}

impl Extent {
    /// Validates lengths against a tensor of shape `N, C, spatial…`. `bytes` is the longest element written or read.
    pub(crate) fn new(layout: Layout, shape: &[usize], output: &PerAxis, bytes: usize) -> Result<Self> {
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
        Ok(Self { outer, inner, batch: *batch, channels: *channels, rank, input: inputs, output: outputs })
    }

    /// The name of axis `axis` of the three, for errors.
    pub(crate) fn name(&self, axis: usize) -> AxisName {
        AxisName::spatial(axis.saturating_sub(MAX_RANK.saturating_sub(self.rank)), self.rank)
    }

    /// Elements of the input in one block: all pixels with their inner elements.
    pub(crate) fn input_block(&self) -> usize {
        self.input_plane().saturating_mul(self.inner)
    }

    /// Elements of the output in one block.
    pub(crate) fn output_block(&self) -> usize {
        self.output.iter().fold(self.inner, |all, n| all.saturating_mul(*n))
    }

    /// Pixels of the input.
    pub(crate) fn input_plane(&self) -> usize {
        self.input.iter().fold(1, |all, n| all.saturating_mul(*n))
    }

    pub(crate) fn input_len(&self) -> usize {
        self.input_block().saturating_mul(self.outer)
    }

    pub(crate) fn output_len(&self) -> usize {
        self.output_block().saturating_mul(self.outer)
    }

    /// `N, C, spatial…` of the output.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
        self.shape(&self.output)
    }

    /// `N, C, spatial…` of the input.
    pub(crate) fn input_shape(&self) -> Vec<usize> {
        self.shape(&self.input)
    }

    fn shape(&self, lengths: &[usize; MAX_RANK]) -> Vec<usize> {
        let spatial = lengths.iter().skip(MAX_RANK.saturating_sub(self.rank)).copied();
        [self.batch, self.channels].into_iter().chain(spatial).collect()
    }

    /// Whether the slices of a run are as long as they must be.
    pub(crate) fn check<T>(&self, src: &[T], dst: &[T]) -> Result<()> {
        let (need, got) = (self.input_len(), src.len());
        if need != got {
            return Err(Error::SrcLen { need, got });
        }
        let (need, got) = (self.output_len(), dst.len());
        if need == got { Ok(()) } else { Err(Error::DstLen { need, got }) }
    }

    /// The same for indices.
    pub(crate) fn check_indices<I>(&self, indices: &[I]) -> Result<()> {
        let (need, got) = (self.output_len(), indices.len());
        if need == got { Ok(()) } else { Err(Error::IndexLen { need, got }) }
    }
}

/// One plane among the planes of a block: `inner` of them lie side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) inner: usize,
    pub(crate) channel: usize,
}

/// The taps of one plane: its block, and where in it the plane lies.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, T> {
    pub(crate) elements: &'a [T],
    pub(crate) input: [usize; MAX_RANK],
    pub(crate) inner: usize,
}

impl<'a, T: Copy> Block<'a, T> {
    /// The elements of a row of pixels: contiguous.
    #[inline(always)]
    pub(crate) fn row(&self, slab: usize, row: usize) -> &'a [T] {
        let [_, height, width] = self.input;
        let len = width.saturating_mul(self.inner);
        let start = slab.saturating_mul(height).saturating_add(row).saturating_mul(len);
        self.elements.get(start..start.saturating_add(len)).unwrap_or(&[])
    }

    /// The rows that a window touches, in scan order.
    #[inline(always)]
    pub(crate) fn rows(&self, slabs: Range<usize>, rows: Range<usize>) -> impl DoubleEndedIterator<Item = &'a [T]> {
        let block = *self;
        slabs.flat_map(move |slab| rows.clone().map(move |row| block.row(slab, row)))
    }
}
