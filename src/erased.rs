//! Plans over bytes of the kinds that [`AnyPlan`](crate::AnyPlan) is not: for the C interface, and no part of this one.
//!
//! They are what plans of known types share, so that nothing is compiled for each element here either.

use core::fmt;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::index::{IndexType, IndicesMut};
use crate::indexed::{BindFind, Extreme};
use crate::plan::{Bind, Facts};
use crate::variable::Extent;
use crate::variable::find::{self, Numbering, SearchOf};
use crate::{
    AdaptiveAvgPool, AdaptiveMaxPool, Any, DType, Element, ElementVisitor, FractionalMaxPool, IndexKind, Layout, Pool,
    Result, Tasks, Tier, adaptive, fractional, indexed, quantized,
};

/// What a layer is planned for.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    pub dtype: DType,
    pub layout: Layout,
    pub shape: &'a [usize],
    pub strides: Option<[&'a [usize]; 2]>,
}

/// Indices that are wanted: what they count, and whether they are `i64`, not `i32`.
#[derive(Clone, Copy)]
pub struct Indices {
    pub kind: IndexKind,
    pub long: bool,
}

impl Indices {
    fn types(self) -> (IndexKind, IndexType) {
        (self.kind, if self.long { IndexType::of::<i64>() } else { IndexType::of::<i32>() })
    }
}

/// What does not change for the life of a plan. Lengths count elements.
pub struct About {
    pub dtype: DType,
    pub layout: Layout,
    /// `None` where every tier has the same code.
    pub tier: Option<Tier>,
    pub kernel: &'static str,
    pub shapes: [Vec<usize>; 2],
    pub lens: [usize; 2],
    /// Samples, and the bytes of one of them.
    pub samples: (usize, usize),
}

impl About {
    pub(crate) fn new(extent: &Extent, dtype: DType, layout: Layout, kernel: &'static str) -> Self {
        let Extent { input, output, .. } = extent;
        let (shapes, lens) = ([input.shape(), output.shape()], [input.extent(), output.extent()]);
        Self { dtype, layout, tier: None, kernel, shapes, lens, samples: (0, 1) }
    }
}

/// An element type as a value.
struct Known {
    facts: &'static Facts,
    bind_max: Bind,
    bind_means: [Bind; 2],
    bind_find: BindFind,
    search: SearchOf,
    fraction: fractional::Known,
}

impl Known {
    fn of(dtype: DType) -> Result<Self> {
        dtype.visit(KnownOf).ok_or(DType::OFF)
    }
}

struct KnownOf;

impl ElementVisitor for KnownOf {
    type Output = Known;

    fn visit<T: Element>(self) -> Known {
        Known {
            facts: T::FACTS,
            bind_max: T::bind_max,
            bind_means: [T::bind_mean, quantized::bind_mean::<T>()],
            bind_find: T::bind_find,
            search: T::search,
            fraction: fractional::Known::of::<T>(),
        }
    }
}

/// An [`IndexPlan`](crate::IndexPlan).
pub struct Indexed(Arc<indexed::Shared>);

impl Indexed {
    /// As [`Pool::plan_indexed_strided`].
    pub fn new<O: Extreme>(pool: &Pool<O, Any>, tensor: Tensor<'_>, indices: Indices) -> Result<Self> {
        let Tensor { dtype, layout, shape, strides } = tensor;
        let Known { facts, bind_find, .. } = Known::of(dtype)?;
        let ((kind, index), parts) = (indices.types(), pool.parts(dtype)?);
        Ok(Self(indexed::Shared::new((facts, bind_find), &parts, kind, layout, shape, strides, index)?))
    }

    pub fn about(&self) -> About {
        self.0.about()
    }

    pub fn tasks(&self, most: usize) -> Tasks {
        self.0.tasks(most)
    }

    /// Runs the whole or one part, with or without the values.
    pub fn run(
        &self,
        part: Option<(&Tasks, usize)>,
        src: &[u8],
        dst: Option<&mut [u8]>,
        indices: &mut [u8],
    ) -> Result<()> {
        self.0.run(part, src, dst, IndicesMut::cast(self.0.index(), indices))
    }
}

impl fmt::Display for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// An [`AdaptivePlan`](crate::AdaptivePlan), or with indices an [`AdaptiveIndexPlan`](crate::AdaptiveIndexPlan).
pub struct Adaptive {
    plan: Arc<adaptive::Shared>,
    found: Option<(Numbering, IndexType, SearchOf)>,
}

impl Adaptive {
    pub fn max(pool: &AdaptiveMaxPool<Any>, tensor: Tensor<'_>, indices: Option<Indices>) -> Result<Self> {
        let Tensor { dtype, layout, shape, strides } = tensor;
        let Known { facts, bind_max, search, .. } = Known::of(dtype)?;
        let known = (facts, bind_max);
        let Some((kind, index)) = indices.map(Indices::types) else {
            return Ok(Self { plan: Arc::new(pool.plan_of(known, layout, shape, strides)?), found: None });
        };
        let (plan, numbering) = pool.plan_numbered(known, (kind, index), layout, shape, strides)?;
        Ok(Self { plan: Arc::new(plan), found: Some((numbering, index, search)) })
    }

    pub fn avg(pool: &AdaptiveAvgPool<Any>, tensor: Tensor<'_>) -> Result<Self> {
        let Tensor { dtype, layout, shape, strides } = tensor;
        let Known { facts, bind_means, .. } = Known::of(dtype)?;
        Ok(Self { plan: Arc::new(pool.plan_of((facts, bind_means), layout, shape, strides)?), found: None })
    }

    pub fn about(&self) -> About {
        self.plan.about()
    }

    /// `None` with indices: they are found in one go.
    pub fn tasks(&self, most: usize) -> Option<Tasks> {
        self.found.is_none().then(|| self.plan.values().tasks(most))
    }

    /// Runs a plan of values alone where no indices are given, the whole or one part, or one of values and indices where they are.
    pub fn run(
        &self,
        part: Option<(&Tasks, usize)>,
        src: &[u8],
        dst: &mut [u8],
        indices: Option<&mut [u8]>,
    ) -> Result<()> {
        match (self.found, indices, part) {
            (Some((numbering, index, search)), Some(indices), _) => {
                self.plan.run_indexed(numbering, search, src, dst, IndicesMut::cast(index, indices))
            }
            (_, _, Some((tasks, task))) => self.plan.values().run_task(tasks, task, src, dst),
            _ => self.plan.values().run(src, dst),
        }
    }
}

impl fmt::Display for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => fmt::Display::fmt(&*self.plan, f),
            Some((numbering, index, _)) => {
                find::shown(f, "AdaptiveIndexPlan", &*self.plan, index.name(), numbering.kind())
            }
        }
    }
}

/// A [`FractionalPlan`](crate::FractionalPlan), or with indices a [`FractionalIndexPlan`](crate::FractionalIndexPlan).
pub struct Fractional {
    plan: Arc<fractional::Shared>,
    found: Option<(Numbering, IndexType)>,
}

impl Fractional {
    pub fn new(pool: &FractionalMaxPool<Any>, tensor: Tensor<'_>, indices: Option<Indices>) -> Result<Self> {
        let Tensor { dtype, layout, shape, strides } = tensor;
        let known = Known::of(dtype)?.fraction;
        let Some((kind, index)) = indices.map(Indices::types) else {
            return Ok(Self { plan: pool.plan_of(known, layout, shape, strides, 1)?, found: None });
        };
        let (plan, numbering) = pool.plan_numbered(known, (kind, index), layout, shape, strides)?;
        Ok(Self { plan, found: Some((numbering, index)) })
    }

    pub fn about(&self) -> About {
        self.plan.about()
    }

    /// Runs a plan of values alone where no indices are given, or one of values and indices where they are.
    pub fn run(&self, src: &[u8], samples: &[u8], dst: &mut [u8], indices: Option<&mut [u8]>) -> Result<()> {
        let indices = self.found.zip(indices);
        let indices = indices.map(|((numbering, index), indices)| (numbering, IndicesMut::cast(index, indices)));
        self.plan.run(src, samples, dst, indices)
    }
}

impl fmt::Display for Fractional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            None => fmt::Debug::fmt(&*self.plan, f),
            Some((numbering, index)) => {
                find::shown(f, "FractionalIndexPlan", &*self.plan, index.name(), numbering.kind())
            }
        }
    }
}
