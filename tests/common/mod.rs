//! What the test files share: the specification, layers as data, test tensors, tiers.
//!
//! A new element type is one row in `elements.rs`, a new operation one arm in `layer.rs` and one row of [`layer::OPS`],
//! a new tier nothing: every file takes its lists from here.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test file uses a part of it")]

#[macro_use]
pub mod elements;
pub mod again;
pub mod check;
pub mod data;
pub mod layer;
pub mod oracle;
pub mod share;
pub mod strides;
pub mod tiers;

pub use check::{check, compare, relatives_agree};
pub use data::{Fill, Rng};
pub use elements::Sample;
pub use layer::{Layer, Nan, Op, Pad};
