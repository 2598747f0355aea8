//! The element types a tensor can hold.

use core::fmt;

use crate::kernels;
use crate::plan;
use crate::{Error, Result, Sample};

/// An element type of a tensor. Sealed: the kernels know these types and no others.
pub trait Element:
    kernels::Pooled + plan::Planned + bytemuck::Pod + PartialEq + fmt::Debug + Send + Sync + 'static
{
    /// The type as a value.
    const DTYPE: DType;
    /// The type's short name, as in a plan's description: `"f32"`.
    const NAME: &'static str = Self::DTYPE.name();
    /// The random samples of [fractional pooling](crate::FractionalMaxPool): the element itself for floats, as in PyTorch, and `f32`
    /// for integers, which PyTorch does not pool fractionally.
    type Sample: Sample;
}

/// What is to be done with an element type that is known only at run time: see [`DType::visit`].
pub trait ElementVisitor {
    /// What the work gives.
    type Output;
    /// The work, for the element type `T`.
    fn visit<T: Element>(self) -> Self::Output;
}

/// Makes types elements. A row: the value, the type, its name, its bytes, whether it is an integer, its samples, what it is.
macro_rules! elements {
    ($($variant:ident: $(#[$feature:meta])? $type:ty, $name:literal, $bytes:literal, $integer:literal, $sample:ty, $what:literal;)+) => {
        /// An element type as a value, for engines whose tensors have a type at run time: see [`AnyPlan`](crate::AnyPlan).
        ///
        /// Truth values are pooled as bytes, without a copy: their maximum is "any of them", their minimum "all of them". Of
        /// zeros and ones every extreme is 0 or 1, so that the result can be read as `bool` again. (Only where windows may be
        /// [empty](crate::Pool::allow_empty_windows) is a minimum 255, the identity, unless it is clamped to 0 and 1.)
        ///
        /// ```
        /// use lanepool::{Layout, MaxPool};
        ///
        /// let mask = [false, false, false, true, true, true];
        /// let plan = MaxPool::<u8>::new([2]).stride([2]).plan(Layout::Nchw, [1, 1, 6])?;
        /// let mut bytes = [0; 3];
        /// plan.run(bytemuck::cast_slice::<bool, u8>(&mask), &mut bytes)?;
        /// let any = bytemuck::checked::try_cast_slice::<u8, bool>(&bytes).expect("zeros and ones");
        /// assert_eq!(any, [false, true, true]);
        /// # Ok::<(), lanepool::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DType {
            $(
                #[doc = $what]
                $variant,
            )+
        }

        impl DType {
            /// Every element type, those of a feature that is off too.
            pub const ALL: &[Self] = &[$( Self::$variant ),+];

            /// The short name: `"f32"`.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )+
                }
            }

            /// Bytes of an element, to which a tensor must be aligned.
            pub const fn bytes(self) -> usize {
                match self {
                    $( Self::$variant => $bytes, )+
                }
            }

            /// Whether it is an integer, whose means have ties to be [rounded](crate::Rounding) one way or the other.
            pub const fn is_integer(self) -> bool {
                match self {
                    $( Self::$variant => $integer, )+
                }
            }

            /// Does the visitor's work for the type that this stands for. `None` where that is of a feature that is off.
            ///
            /// ```
            /// use lanepool::{DType, Element, ElementVisitor};
            ///
            /// struct Zeros(usize);
            /// impl ElementVisitor for Zeros {
            ///     type Output = Vec<u8>;
            ///     fn visit<T: Element>(self) -> Vec<u8> {
            ///         vec![0; self.0 * size_of::<T>()]
            ///     }
            /// }
            /// assert_eq!(DType::I16.visit(Zeros(3)), Some(vec![0; 6]));
            /// ```
            pub fn visit<V: ElementVisitor>(self, visitor: V) -> Option<V::Output> {
                match self {
                    $(
                        $(#[$feature])?
                        Self::$variant => Some(visitor.visit::<$type>()),
                    )+
                    #[cfg(not(feature = "half"))]
                    Self::F16 | Self::Bf16 => None,
                }
            }
        }

        $(
            $(#[$feature])?
            plan::planned!($type, DType::$variant);

            $(#[$feature])?
            impl Element for $type {
                const DTYPE: DType = DType::$variant;
                type Sample = $sample;
            }
        )+
    };
}

elements! {
    F32: f32, "f32", 4, false, f32, "32-bit floats.";
    F64: f64, "f64", 8, false, f64, "64-bit floats.";
    F16: #[cfg(feature = "half")] half::f16, "f16", 2, false, half::f16, "16-bit floats: IEEE 754 binary16. Feature `half`.";
    Bf16: #[cfg(feature = "half")] half::bf16, "bf16", 2, false, half::bf16, "The upper half of 32-bit floats. Feature `half`.";
    I8: i8, "i8", 1, true, f32, "Signed bytes.";
    U8: u8, "u8", 1, true, f32, "Unsigned bytes.";
    I16: i16, "i16", 2, true, f32, "Signed 16-bit integers.";
    U16: u16, "u16", 2, true, f32, "Unsigned 16-bit integers.";
    I32: i32, "i32", 4, true, f32, "Signed 32-bit integers.";
    U32: u32, "u32", 4, true, f32, "Unsigned 32-bit integers.";
    I64: i64, "i64", 8, true, f32, "Signed 64-bit integers: maxima and minima, no sums or averages.";
    U64: u64, "u64", 8, true, f32, "Unsigned 64-bit integers: maxima and minima, no sums or averages.";
}

impl DType {
    /// Whether there are sums and averages of it, exact ones for integers. There are none of integers of 64 bits: no lane
    /// is longer than that, and a sum of two of them may be.
    pub const fn has_sums(self) -> bool {
        !matches!(self, Self::I64 | Self::U64)
    }

    /// No element of an integer type is further from 0; 0 for floats, whose sums cannot wrap.
    pub(crate) const fn magnitude(self) -> u64 {
        match self {
            Self::F32 | Self::F64 | Self::F16 | Self::Bf16 => 0,
            Self::I8 => 1 << 7,
            Self::U8 => u8::MAX as u64,
            Self::I16 => 1 << 15,
            Self::U16 => u16::MAX as u64,
            Self::I32 => 1 << 31,
            Self::U32 => u32::MAX as u64,
            Self::I64 => 1 << 63,
            Self::U64 => u64::MAX,
        }
    }

    /// Refuses elements without sums.
    pub(crate) fn check_sums(self) -> Result<()> {
        if self.has_sums() {
            return Ok(());
        }
        Err(Error::Unsupported {
            why: "i64 and u64 have maxima and minima, but no sums or averages, which could leave 64 bits: \
                  convert them to i32, u32 or f64",
        })
    }

    pub(crate) const OFF: Error =
        Error::Unsupported { why: "f16 and bf16 need the crate's feature `half`, which is off" };

    /// Whether this build has the type.
    pub(crate) fn check(self) -> Result<()> {
        let is_half = matches!(self, Self::F16 | Self::Bf16);
        if is_half && cfg!(not(feature = "half")) { Err(Self::OFF) } else { Ok(()) }
    }
}

/// Makes an element whose little-endian bytes are the low ones of `bits`.
pub(crate) fn put_bits(element: &mut [u8], bits: u64) {
    for (to, from) in element.iter_mut().zip(bits.to_le_bytes()) {
        *to = from;
    }
    if cfg!(target_endian = "big") {
        element.reverse();
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
