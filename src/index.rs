//! Where in its window, plane or tensor a maximum was found.

use core::fmt::Debug;

use crate::geometry::MAX_RANK;
use crate::{Error, Result};

/// What the index of a maximum counts.
///
/// In every kind the *first* valid tap in row-major scan is named among equal maxima; with NaN, the last NaN (PyTorch's
/// rule). A window of nothing but −inf names its first valid tap, and one without a valid tap gives −1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexKind {
    /// The offset in the channel's own plane, row-major, padding not counted: PyTorch.
    #[default]
    Plane,
    /// The offset in the whole tensor `N, C, spatial…` in row-major order, whatever the layout: ONNX, `storage_order` 0.
    Tensor,
    /// The same with each plane in column-major order: ONNX, `storage_order` 1.
    TensorColumnMajor,
    /// The tap's number in the window, row-major, taps in the padding counted.
    Tap,
    /// The offset in the image `spatial…, C` of the batch, channels moving fastest, whatever the layout:
    /// `(y·W + x)·C + c`, the argmax of TensorFlow.
    ImageChannelsLast,
    /// The offset in the whole tensor `N, spatial…, C`, whatever the layout: `((n·H + y)·W + x)·C + c`, TensorFlow's
    /// argmax with `include_batch_in_index`.
    TensorChannelsLast,
}

impl IndexKind {
    /// How an index grows in a tensor whose axes have these lengths; `None` where taps are counted.
    pub(crate) fn weights(self, channels: usize, lengths: [usize; MAX_RANK]) -> Option<Weights> {
        let [depth, height, width] = lengths;
        let pixels = lengths.iter().copied().fold(1, usize::saturating_mul);
        let row_major = [height.saturating_mul(width), width, 1];
        let tensor = pixels.saturating_mul(channels);
        let (image, channel, axes) = match self {
            Self::Plane => (0, 0, row_major),
            Self::Tensor => (tensor, pixels, row_major),
            Self::TensorColumnMajor => (tensor, pixels, [1, depth, depth.saturating_mul(height)]),
            Self::ImageChannelsLast => (0, 1, row_major.map(|weight| weight.saturating_mul(channels))),
            Self::TensorChannelsLast => (tensor, 1, row_major.map(|weight| weight.saturating_mul(channels))),
            Self::Tap => return None,
        };
        Some(Weights { channels, image, channel, axes, is_column_major: self == Self::TensorColumnMajor })
    }

    /// How many places an index can name in such a tensor; `None` where taps are counted.
    pub(crate) fn places(self, batch: usize, channels: usize, lengths: [usize; MAX_RANK]) -> Option<usize> {
        let pixels = lengths.iter().copied().fold(1, usize::saturating_mul);
        match self {
            Self::Plane => Some(pixels),
            Self::ImageChannelsLast => Some(pixels.saturating_mul(channels)),
            Self::Tensor | Self::TensorColumnMajor | Self::TensorChannelsLast => {
                Some(pixels.saturating_mul(channels).saturating_mul(batch))
            }
            Self::Tap => None,
        }
    }

    /// Whether channels move fastest.
    pub(crate) fn is_channels_last(self) -> bool {
        matches!(self, Self::ImageChannelsLast | Self::TensorChannelsLast)
    }
}

/// By how much an index grows from one element to the next: it is the sum of an element's coordinates, each times its
/// weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    /// Of the tensor.
    pub(crate) channels: usize,
    /// From one image of the batch to the next.
    pub(crate) image: usize,
    pub(crate) channel: usize,
    pub(crate) axes: [usize; MAX_RANK],
    /// Whether depth is the lightest axis, and width the heaviest.
    pub(crate) is_column_major: bool,
}

impl Weights {
    /// The index of the first element of a plane; planes are counted through all images.
    pub(crate) fn of_plane(&self, plane: usize) -> usize {
        let Self { channels, image, channel, .. } = *self;
        if image == channels.saturating_mul(channel) {
            return plane.saturating_mul(channel);
        }
        let (n, c) = (plane.checked_div(channels).unwrap_or(0), plane.checked_rem(channels).unwrap_or(0));
        n.saturating_mul(image).saturating_add(c.saturating_mul(channel))
    }

    /// How far a pixel's index is from that of its plane's first.
    pub(crate) fn of_pixel(&self, at: [usize; MAX_RANK]) -> usize {
        at.iter().zip(self.axes).map(|(at, weight)| at.saturating_mul(weight)).fold(0, usize::saturating_add)
    }

    /// The pixel that is so far from its plane's first: `None` where the distance is no sum of its coordinates, which may
    /// lie beyond the plane. The reverse of [`Weights::of_pixel`].
    pub(crate) fn pixel(&self, distance: usize) -> Option<[usize; MAX_RANK]> {
        let [depth, height, width] = self.axes;
        let split =
            |offset: usize, by: usize| (offset.checked_div(by).unwrap_or(0), offset.checked_rem(by).unwrap_or(0));
        // The heaviest axis first.
        let (at, rest) = if self.is_column_major {
            let (x, rest) = split(distance, width);
            let (y, rest) = split(rest, height);
            let (z, rest) = split(rest, depth);
            ([z, y, x], rest)
        } else {
            let (z, rest) = split(distance, depth);
            let (y, rest) = split(rest, height);
            let (x, rest) = split(rest, width);
            ([z, y, x], rest)
        };
        (rest == 0).then_some(at)
    }
}

/// An index type as a value: what code that is compiled once asks of it.
#[derive(Clone, Copy, Debug)]
pub struct IndexType {
    name: &'static str,
    most: u64,
    bytes: usize,
}

impl IndexType {
    pub(crate) fn of<I: Index>() -> Self {
        Self { name: I::NAME, most: I::MOST, bytes: size_of::<I>() }
    }

    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether it holds the largest index that may occur.
    pub(crate) fn check(self, most: usize) -> Result<()> {
        if most as u64 > self.most { Err(Error::IndexTooNarrow { index: self.name, most }) } else { Ok(()) }
    }
}

/// Indices to be read, of either type, where they are looked at one by one: compiled once for both.
#[derive(Clone, Copy)]
pub(crate) enum Indices<'a> {
    Short(&'a [i32]),
    Long(&'a [i64]),
}

impl<'a> Indices<'a> {
    pub(crate) fn new<I: Index>(indices: &'a [I]) -> Self {
        if size_of::<I>() == size_of::<i32>() {
            Self::Short(bytemuck::try_cast_slice(indices).unwrap_or_default())
        } else {
            Self::Long(bytemuck::try_cast_slice(indices).unwrap_or_default())
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Short(indices) => indices.len(),
            Self::Long(indices) => indices.len(),
        }
    }

    pub(crate) fn get(self, at: usize) -> Option<i64> {
        match self {
            Self::Short(indices) => indices.get(at).map(|index| i64::from(*index)),
            Self::Long(indices) => indices.get(at).copied(),
        }
    }

    /// The index at a place; `None` where it is negative.
    pub(crate) fn offset(self, at: usize) -> Option<usize> {
        usize::try_from(self.get(at)?).ok()
    }
}

/// Indices to be written, of either type.
pub enum IndicesMut<'a> {
    Short(&'a mut [i32]),
    Long(&'a mut [i64]),
}

impl<'a> IndicesMut<'a> {
    pub(crate) fn new<I: Index>(indices: &'a mut [I]) -> Self {
        if size_of::<I>() == size_of::<i32>() {
            Self::Short(bytemuck::try_cast_slice_mut(indices).unwrap_or_default())
        } else {
            Self::Long(bytemuck::try_cast_slice_mut(indices).unwrap_or_default())
        }
    }

    /// Of bytes that are indices of a type: none where they are no such.
    pub(crate) fn cast(index: IndexType, bytes: &'a mut [u8]) -> Self {
        if index.bytes == size_of::<i32>() {
            Self::Short(bytemuck::try_cast_slice_mut(bytes).unwrap_or_default())
        } else {
            Self::Long(bytemuck::try_cast_slice_mut(bytes).unwrap_or_default())
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Short(indices) => indices.len(),
            Self::Long(indices) => indices.len(),
        }
    }

    /// Writes an index, or where it does not fit the type or is `usize::MAX`, "none".
    pub(crate) fn set(&mut self, at: usize, index: usize) {
        fn put<I: Index>(indices: &mut [I], at: usize, index: usize) {
            if let Some(to) = indices.get_mut(at) {
                *to = I::from_offset(index).filter(|_| index != usize::MAX).unwrap_or(I::NONE);
            }
        }
        match self {
            Self::Short(indices) => put(indices, at, index),
            Self::Long(indices) => put(indices, at, index),
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

/// An integer type that indices are written as: `i32` or `i64`. −1 stands for "none".
pub trait Index: bytemuck::Pod + Debug + PartialEq + Send + Sync + sealed::Sealed {
    /// The type's short name: `"i32"`.
    const NAME: &'static str;
    /// The largest index that it holds.
    const MOST: u64;
    /// No tap.
    const NONE: Self;

    /// `None` where it does not fit.
    fn from_offset(offset: usize) -> Option<Self>;

    /// `None` where it is negative, or beyond the address space.
    fn to_offset(self) -> Option<usize>;

    /// The number as it stands, for messages.
    fn to_i64(self) -> i64;
}

macro_rules! indices {
    ($($type:ident),+) => { $(
        impl Index for $type {
            const NAME: &'static str = stringify!($type);
            const MOST: u64 = <$type>::MAX as u64;
            const NONE: Self = -1;

            fn from_offset(offset: usize) -> Option<Self> {
                offset.try_into().ok()
            }

            fn to_offset(self) -> Option<usize> {
                self.try_into().ok()
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self.into()
            }
        }
    )+ };
}

indices!(i32, i64);
