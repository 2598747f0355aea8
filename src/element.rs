//! The element types a tensor can hold.

use crate::kernels;

/// An element type of a tensor. Sealed: the kernels know these types and no others.
pub trait Element: kernels::Pooled + bytemuck::Pod + PartialEq + core::fmt::Debug + Send + Sync + 'static {
    /// The type's short name, as in a plan's description: `"f32"`.
    const NAME: &'static str;
}

/// Makes types elements, each with its name.
macro_rules! elements {
    ($($type:ty: $name:literal),+ $(,)?) => { $(
        impl Element for $type {
            const NAME: &'static str = $name;
        }
    )+ };
}

elements! { f32: "f32", f64: "f64" }
