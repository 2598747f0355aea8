//! Pooling kernels for inference engines: every operation that a model format knows, hand-vectorised for x86-64 (AVX2, AVX-512)
//! and AArch64 (NEON), chosen at run time, with the same bits on every CPU.
//!
//! | what | made by |
//! |---|---|
//! | maximum, minimum | [`MaxPool`], [`MinPool`]; with indices [`Pool::plan_indexed`] |
//! | average, sum | [`AvgPool`], [`SumPool`] |
//! | norms | [`LpPool`] |
//! | quantised elements | [`QuantizedAvgPool`], [`QuantizedMaxPool`] |
//! | an output of a given length | [`AdaptiveAvgPool`], [`AdaptiveMaxPool`] |
//! | windows at random places | [`FractionalMaxPool`] |
//! | the way back from indices | [`MaxUnpool`] |
//! | gradients | [`MaxBackward`], [`AvgBackward`], [`LpBackward`] |
//! | from a model's attributes | [`import`] |
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
//! is, to the bit, stands at the operations: [`MaxPool`], [`MinPool`], [`AvgPool`], [`SumPool`], [`LpPool`], [`QuantizedAvgPool`],
//! [`QuantizedMaxPool`]. Elements are the types that
//! [`DType`] lists: a [`Plan`] knows its type, an [`AnyPlan`] is told at run time and pools bytes. No public function
//! panics; every mistake is an [`Error`] that says what is wrong, with the axis and the numbers.
//!
//! # Floating-point state
//!
//! Integers do not depend on it, but for the product of a quantised average. Results of floats are promised for the default
//! state of the floating-point unit: rounding to nearest, subnormals kept. The crate neither reads nor writes that state: Rust's own arithmetic counts on the default, and a program that has changed it
//! (through a C library, say) gets what its CPU makes of it:
//!
//! - A maximum or minimum of floats is the same in every state, unless it is zero or subnormal: flush-to-zero and
//!   denormals-are-zero may make it zero, and that zero may be −0, as it may when rounding down.
//! - A float average, sum or norm is computed in the state of the thread that runs it. All tiers still agree with each other on
//!   numbers that are not flushed.
//! - `Plan::run_parallel` computes in the state of the pool's threads, whatever the calling thread's is; a layer too small
//!   to be cut runs on the calling thread. A pool's threads keep the state that they were started in.
//!
//! [`selftest`] tells whether the calling thread's state gives the promised bits.

#![cfg_attr(not(feature = "std"), no_std)]
// On docs.rs, which builds with a compiler that has it: what needs a feature says so.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
// Nothing panics and nothing wraps, whatever a caller gives: every index and every sum is checked where it is written.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests panic"
    )
)]

extern crate alloc;

mod adaptive;
mod any;
mod backward;
mod element;
#[doc(hidden)]
#[allow(missing_docs, reason = "no part of the interface")]
pub mod erased;
mod error;
mod fractional;
mod geometry;
pub mod import;
mod index;
mod indexed;
#[allow(unsafe_code, reason = "the fence: all unsafe code is in there")]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the lengths that `src/` has checked bound every index and offset"
)]
#[path = "../kernels/mod.rs"]
mod kernels;
mod layout;
mod lp;
mod order;
mod plan;
mod pool;
mod quantized;
mod selftest;
mod strides;
mod tasks;
mod tier;
mod unpool;
mod variable;
#[cfg(feature = "ndarray")]
mod views;

#[cfg(feature = "ndarray")]
pub use ndarray;

pub use adaptive::{AdaptiveAvgPool, AdaptiveIndexPlan, AdaptiveMaxPool, AdaptivePlan};
pub use any::{Any, AnyPlan};
pub use backward::{AvgBackward, Float, LpBackward, MaxBackward};
pub use element::{DType, Element, ElementVisitor};
pub use error::{AttributeProblem, AxisName, Error, Result};
pub use fractional::{FractionalIndexPlan, FractionalMaxPool, FractionalPlan, Sample};
pub use geometry::CeilRule;
pub use index::{Index, IndexKind};
pub use indexed::{Extreme, IndexPlan};
pub use layout::Layout;
pub use lp::{Lp, LpPool};
pub use plan::Plan;
pub use pool::{Avg, AvgPool, Max, MaxPool, Min, MinPool, NanPolicy, Pool, PoolOperation, Rounding, Sum, SumPool};
pub use quantized::{Quantization, QuantizedAvg, QuantizedAvgPool, QuantizedMax, QuantizedMaxPool};
pub use selftest::{Digest, selftest};
pub use tasks::Tasks;
pub use tier::Tier;
pub use unpool::{MaxUnpool, Unpool};

/// The examples of the guide, which are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/rust.md")]
pub struct Guide;

/// Those of the guide to arrays.
#[cfg(all(doctest, feature = "ndarray"))]
#[doc = include_str!("../docs/ndarray.md")]
pub struct ArraysGuide;

/// The names of the drivers, for tests that try each: no part of the interface.
#[doc(hidden)]
pub fn drivers() -> impl Iterator<Item = &'static str> {
    kernels::drivers()
}

/// Which kernels have run, for the test of that: no part of the interface.
#[cfg(feature = "count-runs")]
#[doc(hidden)]
pub use kernels::runs;
