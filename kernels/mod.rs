//! The vectorised inner loops, and the only unsafe code of the crate. `README.md` beside this file is the map.
//!
//! The fence: `src/` checks every length against the geometry before it calls [`Kernel::run`], the one unsafe door;
//! behind it, a pointer is sound because it is a valid tap of that geometry or an output of it, and an instruction is
//! sound because a token exists (`token.rs`).

#![allow(clippy::needless_range_loop, reason = "inner loops count: see walk/mod.rs")]

mod bound;
mod choose;
mod clamp;
mod driver;
mod isa;
mod kernel;
mod lane;
mod leaf;
#[cfg(feature = "count-runs")]
pub mod runs;
mod seek;
mod simd;
mod table;
mod token;
#[cfg(feature = "ndarray")]
mod views;

pub(crate) use bound::{Bound, BoundFind};
pub(crate) use choose::names as drivers;
pub(crate) use driver::Layer;
pub(crate) use isa::scaled_32;
pub(crate) use lane::quantized::multiplier;
pub(crate) use table::{Bounds, Clamp, Operation, Pooled, Raise, Raising};
pub(crate) use token::{missing, vectorized, widest};
