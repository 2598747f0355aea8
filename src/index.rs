//! Where in its window, plane or tensor a maximum was found.

use core::fmt::Debug;

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
