//! Layers on arrays of the crate `ndarray`, without a copy: the feature `ndarray`.

use alloc::vec::Vec;

use ndarray::{ArrayBase, Data, DataMut, Dimension, RawData};

use crate::error::AxisName;
use crate::{Element, Error, Layout, Plan, Pool, PoolOperation, Result};

/// An array's strides as a plan takes them.
fn strides<A: RawData, D: Dimension>(what: &'static str, array: &ArrayBase<A, D>) -> Result<Vec<usize>> {
    let rank = array.ndim().saturating_sub(2);
    let axes = array.strides().iter().zip(array.shape()).enumerate();
    axes.map(|(place, (&stride, &length))| match usize::try_from(stride) {
        Ok(stride) => Ok(stride),
        // Never taken.
        Err(_) if length <= 1 => Ok(0),
        Err(_) => Err(Error::NegativeStride { what, axis: AxisName::of(place, rank), stride }),
    })
    .collect()
}

impl<O: PoolOperation, T: Element> Pool<O, T> {
    /// [`Pool::plan_strided`] for two arrays: views of any number of dimensions known at compile time or not, or arrays that own
    /// their elements. Their axes are `N, C, spatial…`, whatever their strides: an array whose channels come last is seen so
    /// through `permuted_axes`, which copies nothing. The plan runs on arrays with the same strides, see [`Plan::run_views`].
    ///
    /// The layout follows from the strides, and with it the order of float sums. It is channels last where the channels of the
    /// output, if there is more than one, lie side by side; an output of one pixel, whose strides do not tell, is channels last
    /// where those of the input lie side by side too. Otherwise it is channels first: then an input may lie in any order, and an
    /// output in the order of its axes.
    ///
    /// ```
    /// use lanepool::{MaxPool, ndarray::{Array4, s}};
    /// // Two branches, each pooled into its channels of one output: NHWC arrays of 4×4 pixels.
    /// let mut y = Array4::<f32>::zeros((1, 4, 4, 8));
    /// for (channels, place) in [(3, 0..3), (5, 3..8)] {
    ///     let x = Array4::from_elem((1, 4, 4, channels), channels as f32);
    ///     let x = x.view().permuted_axes([0, 3, 1, 2]);
    ///     let mut y = y.slice_mut(s![.., .., .., place]).permuted_axes([0, 3, 1, 2]);
    ///     let plan = MaxPool::<f32>::new([3, 3]).padding([1, 1]).plan_views(&x, &y)?;
    ///     plan.run_views(&x, &mut y)?;
    /// }
    /// assert!(y.rows().into_iter().all(|pixel| pixel.iter().eq(&[3.0, 3.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0])));
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Pool::plan_strided`]; [`Error::ViewAxes`] and [`Error::ViewLen`] where the output has not the shape that the layer
    /// gives, and [`Error::NegativeStride`] where an axis of more than one index goes backwards.
    pub fn plan_views<A, B, D, E>(&self, input: &ArrayBase<A, D>, output: &ArrayBase<B, E>) -> Result<Plan<T>>
    where
        A: RawData<Elem = T>,
        B: RawData<Elem = T>,
        D: Dimension,
        E: Dimension,
    {
        let shape = self.output_shape(input.shape())?;
        let (need, got) = (shape.len(), output.ndim());
        if need != got {
            return Err(Error::ViewAxes { what: "output", got, need });
        }
        for (place, (&need, &got)) in shape.iter().zip(output.shape()).enumerate() {
            if need != got {
                return Err(Error::ViewLen {
                    what: "output",
                    axis: AxisName::of(place, shape.len().saturating_sub(2)),
                    need,
                    got,
                });
            }
        }
        let (from, to) = (strides("input", input)?, strides("output", output)?);
        let side_by_side = |strides: &[usize]| strides.get(1) == Some(&1);
        let has_channels = shape.get(1).is_some_and(|channels| *channels > 1);
        let is_pixel = shape.iter().skip(2).all(|length| *length == 1);
        let is_last = has_channels && side_by_side(&to) && (!is_pixel || side_by_side(&from));
        let layout = if is_last { Layout::Nhwc } else { Layout::Nchw };
        // An array without elements has no strides to speak of.
        let is_empty = input.is_empty() || output.is_empty();
        self.plan_at(layout, input.shape(), (!is_empty).then_some([&from, &to]))
    }
}

impl<T: Element> Plan<T> {
    /// Pools one array into another, without a copy: what [`Plan::run`] does for slices. Nothing but the output's own elements is
    /// written, and nothing but the input's own is read: what lies between them may be another view's.
    ///
    /// The plan is one of [`Pool::plan_views`] for arrays with these strides, or any other plan that has them.
    ///
    /// ```
    /// use lanepool::{AvgPool, ndarray::{Array4, s}};
    /// let mut images = Array4::from_shape_fn((2, 1, 4, 6), |(n, _, y, x)| (n * 100 + y * 10 + x) as f32);
    /// // The left half of each image is averaged into the corner of its right half.
    /// let (left, mut right) = images.multi_slice_mut((s![.., .., .., ..4], s![.., .., ..2, 4..]));
    /// let plan = AvgPool::<f32>::new([2, 2]).stride([2, 2]).plan_views(&left, &right)?;
    /// plan.run_views(&left, &mut right)?;
    /// assert_eq!(images.slice(s![1, 0, .., 4..]).into_iter().copied().collect::<Vec<_>>(), [
    ///     105.5, 107.5, 125.5, 127.5, 124.0, 125.0, 134.0, 135.0
    /// ]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ViewAxes`], [`Error::ViewLen`] or [`Error::ViewStride`] where an array is not what the plan was made for, and
    /// [`Error::Unsupported`] where channels lie in several blocks, which views of `N, C, spatial…` do not; nothing is written then.
    pub fn run_views<A, B, D, E>(&self, input: &ArrayBase<A, D>, output: &mut ArrayBase<B, E>) -> Result<()>
    where
        A: Data<Elem = T>,
        B: DataMut<Elem = T>,
        D: Dimension,
        E: Dimension,
    {
        self.run_on_views(&input.view(), &mut output.view_mut())
    }
}
