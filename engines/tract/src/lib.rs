#![doc = include_str!("../../../docs/tract.md")]

mod find;
mod op;
mod plan;

pub use find::{Left, Pooling, Replaced, replace_pooling};
