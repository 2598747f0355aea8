//! What adaptive plans of every element share, compiled once: a layer that was checked, and how it runs over bytes.

use core::fmt;
use core::ops::Range;

use alloc::sync::Arc;

use super::{AdaptiveAvgPool, AdaptiveMaxPool};
use crate::erased::About;
use crate::geometry::{Geometry, MAX_RANK};
use crate::index::{IndexType, IndicesMut};
use crate::kernels::Clamp;
use crate::plan::{self, Bind, Facts, clamp_between, shown};
use crate::pool::Parts;
use crate::quantized::Quantizations;
use crate::strides::Split;
use crate::variable::find::{self, Numbering, SearchOf};
use crate::variable::{EachWindow, Extent, Windows};
use crate::{Any, AvgPool, DType, Error, IndexKind, Layout, MaxPool, Result, Tier};

/// The windows of an axis of `input` elements that is cut into `output`.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    input: usize,
    output: usize,
}

impl Windows for Cuts {
    /// Output `o` covers `⌊o·n/m⌋ .. ⌈(o+1)·n/m⌉`, here by counting `n/m` up: no product that could overflow, no division
    /// but the first, no table.
    fn windows(self) -> impl Iterator<Item = Range<usize>> {
        let Self { input: n, output: m } = self;
        let (step, more) = (n.checked_div(m).unwrap_or(0), n.checked_rem(m).unwrap_or(0));
        // o·n/m = whole + part/m.
        let (mut whole, mut part) = (0_usize, 0_usize);
        (0..m).map(move |_| {
            let start = whole;
            whole = whole.saturating_add(step);
            // Both are below m, which is at most `isize::MAX`.
            part = part.saturating_add(more);
            if let Some(carried) = part.checked_sub(m) {
                (whole, part) = (whole.saturating_add(1), carried);
            }
            start..whole.saturating_add(usize::from(part > 0))
        })
    }
}

impl Cuts {
    /// The longest window is at most this long: one element more on one side than its share.
    fn longest(self) -> usize {
        self.input.div_ceil(self.output.max(1)).saturating_add(1).min(self.input)
    }
}

/// What is compiled once, for elements that are told as values.
impl AdaptiveMaxPool<Any> {
    pub(crate) fn plan_of(
        &self,
        (facts, bind): (&Facts, Bind),
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Shared> {
        let extent = Extent::new(layout, shape, &self.output, strides, facts.dtype.bytes())?;
        let pool = MaxPool::<Any>::new([]).nan(self.nan);
        let parts = Parts { tier: self.tier, bounds: self.bounds, ..pool.parts(facts.dtype)? };
        Shared::new(facts, parts, extent, layout, shape, strides, bind)
    }

    /// Plans for indices of a type.
    pub(crate) fn plan_numbered(
        &self,
        known: (&Facts, Bind),
        (kind, index): (IndexKind, IndexType),
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<(Shared, Numbering)> {
        let (facts, _) = known;
        // The slice of indices has a length in bytes too.
        let extent = Extent::new(layout, shape, &self.output, strides, facts.dtype.bytes().max(index.bytes()))?;
        let numbering = numbering(kind, &extent, index)?;
        let mut shared = self.plan_of(known, layout, shape, strides)?;
        if let Some(clamp) = clamp_between(facts, self.bounds, shared.plan.tier())? {
            let unbounded = Self { bounds: None, ..*self }.plan_of(known, layout, shape, strides)?;
            shared.searched = Some((unbounded.plan, clamp));
        }
        Ok((shared, numbering))
    }
}

/// What is compiled once, for elements that are told as values.
impl AdaptiveAvgPool<Any> {
    /// The binds are those of the mean and of the quantised mean.
    pub(crate) fn plan_of(
        &self,
        (facts, [bind_mean, bind_quantized]): (&Facts, [Bind; 2]),
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Shared> {
        let dtype = facts.dtype;
        let extent = Extent::new(layout, shape, &self.output, strides, dtype.bytes())?;
        check_sums(&extent, self.quantizations, dtype)?;
        let pool = AvgPool::<Any>::new([]).rounding(self.rounding);
        let mut parts = Parts { tier: self.tier, bounds: self.bounds, ..pool.parts(dtype)? };
        let mut bind = bind_mean;
        if let Some(quantizations) = self.quantizations {
            (parts.operation, parts.name) = (quantizations.mean(dtype), "quantized avg");
            bind = bind_quantized;
        }
        Shared::new(facts, parts, extent, layout, shape, strides, bind)
    }
}

fn numbering(kind: IndexKind, extent: &Extent, index: IndexType) -> Result<Numbering> {
    let taps = cuts(extent).map(Cuts::longest).iter().fold(1, |all: usize, n| all.saturating_mul(*n));
    Numbering::of(index, kind, extent, taps)
}

/// Whether the elements can be averaged: quantised, or as they are.
fn check_sums(extent: &Extent, quantizations: Option<Quantizations>, dtype: DType) -> Result<()> {
    match quantizations {
        Some(quantizations) => {
            quantizations.check(dtype)?;
            // A byte is at most 255 away from its zero point; 16 bits are summed as they are.
            match dtype.bytes() {
                1 => sums_fit(extent, 255, 32, dtype),
                _ => sums_fit(extent, dtype.magnitude(), 64, dtype),
            }
        }
        None => {
            dtype.check_sums()?;
            sums_fit(extent, dtype.magnitude(), 64, dtype)
        }
    }
}

/// Whether lanes of `bits` hold the sum of every window of elements of at most that magnitude.
fn sums_fit(extent: &Extent, magnitude: u64, bits: u32, dtype: DType) -> Result<()> {
    let taps = cuts(extent).map(Cuts::longest).iter().fold(1, |all: usize, n| all.saturating_mul(*n));
    // Half the range is kept free in 64 bits, for rounding; a sum of 32 bits is scaled as it is.
    let most = if bits == 32 { i32::MAX as u64 } else { 1 << 62 };
    if (taps as u64).saturating_mul(magnitude) < most {
        return Ok(());
    }
    Err(Error::SumOverflow { element: dtype.name(), taps, bits })
}

fn cuts(extent: &Extent) -> [Cuts; MAX_RANK] {
    extent.lengths().map(|(input, output)| Cuts { input, output })
}

/// An adaptive plan of any elements, which runs over their bytes: compiled once.
pub(crate) struct Shared {
    pub(super) extent: Extent,
    name: &'static str,
    pub(super) plan: Arc<plan::Shared>,
    /// The plan without its bounds, and the bounds, where it has any and gives indices: a maximum is looked for as it is.
    searched: Option<(Arc<plan::Shared>, Clamp)>,
}

impl Shared {
    fn new(
        facts: &Facts,
        parts: Parts<'_>,
        extent: Extent,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind,
    ) -> Result<Self> {
        let tier = parts.tier.unwrap_or_else(Tier::best).check()?;
        let Split { rank, batch, channels, outer, inner } = extent.split;
        let geometry = Geometry::adaptive(extent.lengths(), (outer, inner), (rank, batch, channels));
        let parts = Parts { tier: Some(tier), ..parts };
        let plan = plan::Shared::new(facts, &parts, Some(geometry), layout, shape, strides, bind)?;
        Ok(Self { extent, name: parts.name, plan, searched: None })
    }

    /// What gives the values alone.
    pub(crate) fn values(&self) -> &plan::Shared {
        &self.plan
    }

    pub(crate) fn about(&self) -> About {
        let plan = &self.plan;
        let about = About::new(&self.extent, plan.dtype(), plan.layout(), plan.kernel());
        About { tier: Some(plan.tier()), ..about }
    }

    /// The run of the plan that gives indices, whatever their type.
    pub(crate) fn run_indexed(
        &self,
        numbering: Numbering,
        search: SearchOf,
        src: &[u8],
        dst: &mut [u8],
        mut indices: IndicesMut<'_>,
    ) -> Result<()> {
        let extent = &self.extent;
        extent.check(src, dst, self.plan.dtype())?;
        extent.check_indices(indices.len())?;
        let unbounded = self.searched.as_ref().map_or(&self.plan, |(plan, _)| plan);
        unbounded.run(src, dst)?;
        let axes = cuts(extent);
        let axes = axes.each_ref().map(|axis| axis as &dyn EachWindow);
        search(src, dst, &mut |search| find::find(numbering, extent, axes, search, &mut indices));
        if let Some((plan, clamp)) = &self.searched {
            extent.clamp(dst, plan.dtype(), &**clamp);
        }
        Ok(())
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, plan, .. } = self;
        let (dtype, layout, tier) = (plan.dtype(), plan.layout(), plan.tier());
        write!(f, "adaptive {name} {dtype} {layout} → {}, {tier}", plan.kernel())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, "AdaptivePlan", self, &self.extent.input.shape(), &self.extent.output.shape())
    }
}
