//! Pooling kernels for inference engines: max, min, average and sum over sliding windows, hand-vectorised for x86-64
//! (AVX2, AVX-512) and AArch64 (NEON), chosen at run time, with the same bits on every CPU.
//!
//! A layer is planned once and run many times:
//!
//! ```
//! use lanepool::{Layout, MaxPool};
//!
//! // ResNet-50's stem: 3×3 windows, stride 2, padding 1.
//! let plan = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]).plan(Layout::Nchw, [1, 64, 112, 112])?;
//! let x = vec![0.5; plan.input_len()];
//! let mut y = vec![0.0; plan.output_len()];
//! plan.run(&x, &mut y)?;
//! assert_eq!(plan.output_shape(), [1, 64, 56, 56]);
//! # Ok::<(), lanepool::Error>(())
//! ```
//!
//! Shapes are always `N, C, spatial…` with 1 to 3 spatial axes; [`Layout`] says how memory holds them. What every result
//! is, to the bit, stands at the operations: [`MaxPool`], [`MinPool`], [`AvgPool`], [`SumPool`]. No public function
//! panics; every mistake is an [`Error`] that says what is wrong, with the axis and the numbers.
//!
//! # Floating-point state
//!
//! Results are promised for the default state of the floating-point unit: rounding to nearest, subnormals kept. A thread
//! that runs with flush-to-zero, denormals-are-zero or another rounding mode gets what its CPU makes of it, as with
//! all of Rust's arithmetic.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod element;
mod error;
mod geometry;
#[allow(unsafe_code, reason = "the fence: all unsafe code is in there")]
#[path = "../kernels/mod.rs"]
mod kernels;
mod layout;
mod plan;
mod pool;
mod tier;

pub use element::Element;
pub use error::{AxisName, Error, Result};
pub use layout::Layout;
pub use plan::Plan;
pub use pool::{Avg, AvgPool, Max, MaxPool, Min, MinPool, NanPolicy, Pool, PoolOperation, Rounding, Sum, SumPool};
pub use tier::Tier;
