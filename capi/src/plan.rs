//! The plan as C holds it: a pointer to something it cannot look into.

use std::sync::Arc;

use lanepool::Layout;

use crate::codes::{self, LANEPOOL_MAX_AXES, Order};
use crate::desc::Versioned;
use crate::layer::{self, Call, Facts, Layer};
use crate::status::{Failure, LANEPOOL_BAD_PLAN};

/// A layer planned for tensors of one shape: made by `lanepool_plan_create`, run many times, by many threads at a time.
#[allow(non_camel_case_types, reason = "a name of C")]
pub struct lanepool_plan {
    /// [`MAGIC`], and 0 from the moment on when it is destroyed.
    magic: u64,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub layer: Box<dyn Layer>,
    pub facts: Facts,
    /// Before and after each spatial axis.
    pub padding: [Vec<usize>; 2],
}

impl Shared {
    /// Runs the plan, after a look at what it is given.
    pub fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        layer::run(&*self.layer, &self.facts, call)
    }
}

/// `lanepool` in ASCII: a pointer to something else is found out, though never with certainty.
const MAGIC: u64 = u64::from_be_bytes(*b"lanepool");

impl lanepool_plan {
    pub(crate) fn new(layer: Box<dyn Layer>, padding: [Vec<usize>; 2]) -> Self {
        let facts = layer.facts();
        Self { magic: MAGIC, shared: Arc::new(Shared { layer, facts, padding }) }
    }

    pub(crate) fn another(&self) -> Self {
        Self { magic: MAGIC, shared: Arc::clone(&self.shared) }
    }

    /// Looks at a plan of the caller's.
    ///
    /// # Safety
    /// The pointer is null, or the caller of the interface vouches for it: a plan that was created and is not destroyed before the
    /// call returns.
    pub(crate) unsafe fn look<'a>(plan: *const Self) -> Result<&'a Shared, Failure> {
        if plan.is_null() {
            return Err(Failure::null("plan"));
        }
        let no_plan =
            || Failure::new(LANEPOOL_BAD_PLAN, "the pointer does not point to a plan, or the plan was destroyed");
        if !plan.is_aligned() {
            return Err(no_plan());
        }
        // SAFETY: not null and aligned; a plan is there, by the contract. Only the first field is read, whatever it is.
        let magic = unsafe { (&raw const (*plan).magic).read() };
        if magic != MAGIC {
            return Err(no_plan());
        }
        // SAFETY: a plan, by the contract and the magic, which is shared with nobody who writes to it: only `destroy` does, and not
        // before this call has returned.
        Ok(unsafe { &(*plan).shared })
    }

    /// Gives the memory back, unless it is no plan.
    ///
    /// # Safety
    /// As for [`lanepool_plan::look`], and no other call uses the plan now or later.
    pub(crate) unsafe fn destroy(plan: *mut Self) {
        // SAFETY: the same contract.
        if unsafe { Self::look(plan) }.is_err() {
            return;
        }
        // SAFETY: a plan, as was just found, which `lanepool_plan_create` has made with `Box::into_raw`. The write is volatile, for it
        // is to be seen by those who break the contract, and who else could see it.
        unsafe {
            (&raw mut (*plan).magic).write_volatile(0);
            drop(Box::from_raw(plan));
        }
    }
}

/// What a plan tells of itself: see `lanepool_plan_info`, and `lanepool_desc_info` for what one would tell.
///
/// The shapes are N, C, spatial, whatever the layout; entries beyond `spatial_axes + 2` are 0. In a backward plan the input is that of the
/// layer, and its gradient, which is written; the output is that of the layer, and its gradient, which is read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types, reason = "a name of C")]
pub struct lanepool_info {
    /// Bytes of this structure that the library knows.
    pub struct_size: u64,
    /// Bytes of the input.
    pub input_bytes: u64,
    /// Bytes of the output.
    pub output_bytes: u64,
    /// Bytes of the buffer of indices; 0 for a plan without.
    pub index_bytes: u64,
    /// Bytes of the random samples, in the element's own type, float for integers; 0 for a plan that is not fractional.
    pub sample_bytes: u64,
    /// The input's shape.
    pub input_shape: [i64; 5],
    /// The output's shape.
    pub output_shape: [i64; 5],
    /// Spatial axes.
    pub spatial_axes: i32,
    /// `LANEPOOL_F32` and the others.
    pub element: i32,
    /// `LANEPOOL_NCHW` and the others.
    pub layout: i32,
    /// `LANEPOOL_INDEX_NONE` and the others.
    pub index_type: i32,
    /// Channels of a block, with `LANEPOOL_BLOCKED`; 0 otherwise.
    pub block: i64,
    /// `LANEPOOL_INDEX_PLANE` and the others; 0 for a plan without indices.
    pub index_kind: i32,
    /// The tier that it runs on, or `LANEPOOL_TIER_BEST` where all have the same code.
    pub tier: i32,
    /// Padding before each spatial axis: what was given, or what `LANEPOOL_PAD_SAME_UPPER` and its like came to.
    pub pad_begin: [i64; 3],
    /// Padding after each spatial axis. What ceil mode adds is none.
    pub pad_end: [i64; 3],
}

const _: () = assert!(size_of::<lanepool_info>() == 5 * 8 + 2 * 40 + 4 * 4 + 8 + 2 * 4 + 2 * 24);

// SAFETY: integers alone, in words, without padding: asserted above.
unsafe impl Versioned for lanepool_info {
    const NAME: &'static str = "structure for what a plan tells";
}

impl lanepool_info {
    pub(crate) fn new(facts: &Facts, [begin, end]: &[Vec<usize>; 2]) -> Self {
        fn numbers<const N: usize>(lengths: &[usize]) -> [i64; N] {
            let mut numbers = [0; N];
            for (to, &length) in numbers.iter_mut().zip(lengths) {
                *to = i64::try_from(length).unwrap_or(i64::MAX);
            }
            numbers
        }
        let (order, block) = match facts.layout {
            Layout::Nhwc => (Order::Nhwc, 0),
            Layout::Blocked(block) => (Order::Blocked, block),
            _ => (Order::Nchw, 0),
        };
        let rank = facts.input_shape.len().saturating_sub(2).min(LANEPOOL_MAX_AXES);
        Self {
            struct_size: size_of::<Self>() as u64,
            input_bytes: facts.input_bytes() as u64,
            output_bytes: facts.output_bytes() as u64,
            index_bytes: facts.index_bytes() as u64,
            sample_bytes: facts.sample_bytes as u64,
            input_shape: numbers(&facts.input_shape),
            output_shape: numbers(&facts.output_shape),
            spatial_axes: i32::try_from(rank).unwrap_or(0),
            element: codes::ELEMENT.encode(facts.dtype),
            layout: codes::LAYOUT.encode(order),
            index_type: codes::INDEX_TYPE.encode(facts.index.map(|(index, ..)| index)),
            block: i64::try_from(block).unwrap_or(i64::MAX),
            index_kind: facts.index.map_or(0, |(_, kind, _)| codes::INDEX_KIND.encode(kind)),
            tier: codes::TIER.encode(facts.tier),
            pad_begin: numbers(begin),
            pad_end: numbers(end),
        }
    }
}
