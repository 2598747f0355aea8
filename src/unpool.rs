//! Max unpooling: values go back to where the indices of maxima say they were found.

mod run;

pub use run::Unpool;

use core::marker::PhantomData;

use alloc::sync::Arc;

use crate::error::AxisName;
use crate::geometry::{MAX_RANK, PerAxis, check_size, split_shape};
use crate::index::IndexType;
use crate::strides::{Split, Tensor};
use crate::{Element, Error, Index, IndexKind, Layout, Result};
use run::Places;

/// Max unpooling without its tensor: the inverse of [`MaxPool`](crate::MaxPool) with indices. Each value is written where its
/// index points; the output is zero elsewhere.
///
/// - **Twice the same index**: "The last value in row-major order of `N, C, spatial…` wins, whatever the layout."
/// - **Indices** count as their [`IndexKind`] says: in the channel's own plane (PyTorch), in the whole tensor (ONNX), or
///   with channels last (TensorFlow), of the plane that the output has. Every one is checked in its full width before the first element is written.
/// - **Sources**: PyTorch's `max_unpool1d` to `max_unpool3d` ([`MaxUnpool::to`] is their `output_size`), ONNX `MaxUnpool`
///   ([`MaxUnpool::padded_to`] is its input `output_shape`).
///
/// ```
/// use lanepool::{Layout, MaxUnpool};
/// let plan = MaxUnpool::<f32>::new([2]).stride([2]).plan::<i64>(Layout::Nchw, [1, 1, 3])?;
/// let mut y = vec![0.0; plan.output_len()];
/// plan.run(&[1.0, 2.0, 3.0], &[0, 3, 5], &mut y)?;
/// assert_eq!(y, [1.0, 0.0, 0.0, 2.0, 0.0, 3.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct MaxUnpool<T> {
    plane: Plane,
    padded_to: Option<PerAxis>,
    kind: IndexKind,
    element: PhantomData<T>,
}

/// The plane that the indices count in.
#[derive(Clone, Copy, Debug)]
enum Plane {
    Given(PerAxis),
    /// What the pooling is the shape of: `(n−1)·stride − begin − end + kernel`.
    Computed {
        kernel: PerAxis,
        stride: Option<PerAxis>,
        padding: Option<(PerAxis, PerAxis)>,
    },
}

impl<T> MaxUnpool<T> {
    /// The output's length on each axis is computed from the window that pooled, `(n−1)·stride − begin − end + kernel`.
    /// Stride 1 and no padding, unless they are set.
    pub fn new(kernel: impl AsRef<[usize]>) -> Self {
        Self::of(Plane::Computed { kernel: PerAxis::new(kernel.as_ref()), stride: None, padding: None })
    }

    /// The output's length on each spatial axis: PyTorch's `output_size`. A pooling that rounded down or that dilated its
    /// window has several inputs for one output, and only the caller knows which it was.
    ///
    /// ```
    /// use lanepool::{Layout, MaxUnpool};
    /// let plan = MaxUnpool::<u8>::to([2, 5]).plan::<i32>(Layout::Nchw, [1, 1, 1, 2])?;
    /// let mut y = vec![0; plan.output_len()];
    /// plan.run(&[7, 9], &[1, 8], &mut y)?;
    /// assert_eq!(y, [0, 7, 0, 0, 0, 0, 0, 0, 9, 0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn to(lengths: impl AsRef<[usize]>) -> Self {
        Self::of(Plane::Given(PerAxis::new(lengths.as_ref())))
    }

    fn of(plane: Plane) -> Self {
        Self { plane, padded_to: None, kind: IndexKind::Plane, element: PhantomData }
    }

    /// How far the pooling's window moved. It has no meaning with [`MaxUnpool::to`], and is ignored there.
    pub fn stride(mut self, lengths: impl AsRef<[usize]>) -> Self {
        if let Plane::Computed { stride, .. } = &mut self.plane {
            *stride = Some(PerAxis::new(lengths.as_ref()));
        }
        self
    }

    /// The pooling's padding, the same before and after each axis.
    pub fn padding(self, padding: impl AsRef<[usize]>) -> Self {
        let padding = padding.as_ref();
        self.padding_unequal(padding, padding)
    }

    /// The pooling's padding before and after each axis. It has no meaning with [`MaxUnpool::to`], and is ignored there.
    pub fn padding_unequal(mut self, begin: impl AsRef<[usize]>, end: impl AsRef<[usize]>) -> Self {
        if let Plane::Computed { padding, .. } = &mut self.plane {
            *padding = Some((PerAxis::new(begin.as_ref()), PerAxis::new(end.as_ref())));
        }
        self
    }

    /// Makes the output longer at the end of each spatial axis, with zeros. The indices still count in the shorter plane:
    /// this is how the ONNX reference takes the input `output_shape` of `MaxUnpool`, without its batch and channels.
    pub fn padded_to(mut self, lengths: impl AsRef<[usize]>) -> Self {
        self.padded_to = Some(PerAxis::new(lengths.as_ref()));
        self
    }

    /// What the indices count; the offset in the plane, unless it is set. [`IndexKind::Tap`] is refused: where a tap lies is
    /// known to the window's own pooling only.
    pub fn indices(mut self, kind: IndexKind) -> Self {
        self.kind = kind;
        self
    }
}

impl<T: Element> MaxUnpool<T> {
    /// Checks everything against a tensor of shape `N, C, spatial…`: the pooled one, which is the input here.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape or the output; [`Error::IndexTooNarrow`] where `I` cannot hold every
    /// offset; [`Error::OutputTooSmall`] where [`MaxUnpool::padded_to`] asks for less than the plane.
    pub fn plan<I: Index>(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<Unpool<T, I>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`MaxUnpool::plan`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided). The indices lie in their slice as the values do, by the input's strides;
    /// what they count does not depend on strides. Zeros are written to the output's own elements, and to nothing between them.
    ///
    /// ```
    /// use lanepool::{Layout, MaxUnpool};
    /// // Into the second of two channels, channels last.
    /// let pool = MaxUnpool::<f32>::new([2]).stride([2]);
    /// let plan = pool.plan_strided::<i64>(Layout::Nhwc, [1, 1, 2], [2, 1, 1], [8, 1, 2])?;
    /// let mut y = [-1.0; 8];
    /// plan.run(&[1.0, 2.0], &[0, 3], &mut y[1..])?;
    /// assert_eq!(y, [-1.0, 1.0, -1.0, 0.0, -1.0, 0.0, -1.0, 2.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`MaxUnpool::plan`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn plan_strided<I: Index>(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<Unpool<T, I>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_at<I: Index>(
        &self,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Unpool<T, I>> {
        let MaxUnpool { plane, padded_to, kind, .. } = *self;
        let sizes = [size_of::<T>(), size_of::<I>()];
        let layer = Places::new(plane, padded_to, kind, (layout, shape, strides), sizes, IndexType::of::<I>())?;
        Ok(Unpool { layer: Arc::new(layer), types: PhantomData })
    }
}

/// A tensor as a plan is asked for it: layout, shape, strides of input and output.
type Asked<'a> = (Layout, &'a [usize], Option<[&'a [usize]; 2]>);

impl Places {
    /// Checks everything, whatever the types: `sizes` are the bytes of an element and of an index.
    fn new(
        plane: Plane,
        padded_to: Option<PerAxis>,
        kind: IndexKind,
        (layout, shape, strides): Asked<'_>,
        [element_bytes, index_bytes]: [usize; 2],
        index: IndexType,
    ) -> Result<Self> {
        let given = plane;
        let (batch, channels, spatial) = split_shape(shape)?;
        let rank = spatial.len();
        if let Some(lengths) = &padded_to {
            lengths.check_rank("output", rank)?;
        }
        given.check_ranks(rank)?;
        let absent = MAX_RANK.saturating_sub(rank);
        let (mut plane, mut output) = ([1; MAX_RANK], [1; MAX_RANK]);
        for (axis, (&input, (plane, output))) in
            spatial.iter().zip(plane.iter_mut().zip(&mut output).skip(absent)).enumerate()
        {
            let name = AxisName::spatial(axis, rank);
            *plane = given.length(axis, name, input)?;
            *output = padded_to.map_or(*plane, |lengths| lengths.at(axis));
            if *output < *plane {
                return Err(Error::OutputTooSmall { axis: name, need: *plane, got: *output });
            }
        }
        let mut pooled = [1; MAX_RANK];
        pooled.iter_mut().skip(absent).zip(spatial).for_each(|(to, from)| *to = *from);
        let input_bytes = element_bytes.max(index_bytes);
        check_size("the input", input_bytes, batch, channels, pooled)?;
        check_size("the output", element_bytes, batch, channels, output)?;
        let (outer, inner) = layout.split(batch, channels)?;

        let plane_len: usize = plane.iter().product();
        let Some(places) = kind.places(batch, channels, plane) else {
            return Err(Error::Unsupported {
                why: "unpooling takes offsets in the plane or in the tensor: the number of a tap does not say where its window lies",
            });
        };
        index.check(places.saturating_sub(1))?;
        let split = Split { rank, batch, channels, outer, inner };
        let [from, to] = strides.map_or([None; 2], |both| both.map(Some));
        let input = Tensor::read("input", from, layout, split, pooled, input_bytes)?;
        let output = Tensor::written("output", to, layout, split, output, element_bytes)?;
        Ok(Self {
            kind,
            layout,
            plane,
            plane_len,
            keeps_order: kind != IndexKind::TensorColumnMajor && plane == output.lengths && output.has_packed_planes(),
            places,
            shape: input.shape(),
            output_shape: output.shape(),
            input,
            output,
        })
    }
}

impl Plane {
    fn check_ranks(&self, rank: usize) -> Result<()> {
        match self {
            Plane::Given(lengths) => lengths.check_rank("output", rank),
            Plane::Computed { kernel, stride, padding } => {
                kernel.check_rank("kernel", rank)?;
                stride.as_ref().map_or(Ok(()), |stride| stride.check_rank("stride", rank))?;
                padding.as_ref().map_or(Ok(()), |(begin, end)| {
                    begin.check_rank("padding", rank)?;
                    end.check_rank("padding", rank)
                })
            }
        }
    }

    /// The length of the plane that the indices count in.
    fn length(&self, axis: usize, name: AxisName, input: usize) -> Result<usize> {
        if input == 0 {
            return Err(Error::EmptyInput { axis: name });
        }
        let length = match self {
            Plane::Given(lengths) => lengths.at(axis),
            Plane::Computed { kernel, stride, padding } => {
                let kernel = kernel.at(axis);
                let stride = stride.map_or(1, |stride| stride.at(axis));
                let (begin, end) = padding.map_or((0, 0), |(begin, end)| (begin.at(axis), end.at(axis)));
                if kernel == 0 {
                    return Err(Error::ZeroKernel { axis: name });
                }
                if stride == 0 {
                    return Err(Error::ZeroStride { axis: name });
                }
                if begin.max(end) >= kernel {
                    return Err(Error::PadTooLarge { axis: name, padding: begin.max(end), span: kernel });
                }
                let covered = input.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(kernel));
                let covered = covered.ok_or(Error::SizeOverflow { what: "the extent of the windows" })?;
                covered.saturating_sub(begin).saturating_sub(end)
            }
        };
        if length == 0 { Err(Error::EmptyOutput { axis: name }) } else { Ok(length) }
    }
}
