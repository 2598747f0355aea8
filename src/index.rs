//! Where in its window, plane or tensor a maximum was found.

use core::fmt::Debug;

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

    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether it holds the largest index that may occur.
    pub(crate) fn check(self, most: usize) -> Result<()> {
        if most as u64 > self.most { Err(Error::IndexTooNarrow { index: self.name, most }) } else { Ok(()) }
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

            fn to_i64(self) -> i64 {
                self.into()
            }
        }
    )+ };
}

indices!(i32, i64);
