//! What fractional plans of every element share, compiled once: a layer that was checked, and how it runs over bytes.

use core::fmt;
use core::ops::Range;

use alloc::sync::Arc;

use super::FractionalMaxPool;
use super::samples::{Places, Samples, sealed};
use crate::erased::About;
use crate::geometry::MAX_RANK;
use crate::index::{IndexType, IndicesMut};
use crate::kernels::Clamp;
use crate::plan::{Facts, clamp_between};
use crate::strides::Split;
use crate::variable::find::{self, Numbering, SearchOf};
use crate::variable::fold::{self, Fold, Part};
use crate::variable::scalar::{Largest, with_order};
use crate::variable::{Axes, Block, EachWindow, Extent};
use crate::{Any, Element, Error, IndexKind, Layout, NanPolicy, Result, Tasks, Tier};

/// An element type and that of its samples, as values.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    facts: &'static Facts,
    samples: &'static Samples,
    pool_plane: PoolPlane,
    search: SearchOf,
}

impl Known {
    pub(crate) fn of<T: Element>() -> Self {
        let samples = <T::Sample as sealed::Sealed>::SAMPLES;
        Self { facts: T::FACTS, samples, pool_plane: T::pool_plane, search: T::search }
    }
}

/// Pools one plane of elements, whose bytes are given: see [`pool_plane`].
pub(crate) type PoolPlane = fn(&[u8], Plane<'_>, &mut [u8]);

/// A plane of a layer, and its windows.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    extent: &'a Extent,
    /// The number of its block, and its own in the block.
    number: (usize, usize),
    axes: Axes<'a>,
    nan: NanPolicy,
    /// The rows of the output that are wanted; the memory that is written begins with the first of them.
    rows: &'a Range<usize>,
}

/// Pools one plane of a type of elements.
pub(crate) fn pool_plane<T: Element>(src: &[u8], plane: Plane<'_>, dst: &mut [u8]) {
    with_order!(T::DTYPE, E, order => {
        // Integers have no NaN to ignore.
        if plane.nan == NanPolicy::Ignore && !T::DTYPE.is_integer() {
            pool_plane_by::<E, _>(Largest::<_, true>(order), src, plane, dst);
        } else {
            pool_plane_by::<E, _>(Largest::<_, false>(order), src, plane, dst);
        }
    });
}

/// Compiled once for all elements that are known as `E` and compared in the same way.
#[inline(never)]
fn pool_plane_by<E: bytemuck::Pod, F: Fold<E>>(fold: F, src: &[u8], plane: Plane<'_>, dst: &mut [u8]) {
    let Plane { extent, number: (outer, channel), axes, rows, .. } = plane;
    let Extent { input, output, .. } = *extent;
    let (Ok(src), Ok(dst)) = (bytemuck::try_cast_slice(src), bytemuck::try_cast_slice_mut::<_, E>(dst)) else { return };
    let block = Block::<E> { elements: src.get(input.block(outer)..).unwrap_or(&[]), tensor: input };
    let before = outer.saturating_mul(extent.output.rows_of_block());
    let (base, start) = (output.rows().span(rows.clone()).start, output.block(outer));
    let part = Part {
        rows: rows.start.saturating_sub(before)..rows.end.saturating_sub(before),
        from: base.saturating_sub(start),
        dst: dst.get_mut(start.saturating_sub(base)..).unwrap_or_default(),
    };
    fold::plane(fold, axes, block, channel, &output, part);
}

/// What is compiled once, for elements that are told as values.
impl FractionalMaxPool<Any> {
    /// Plans for indices of a type.
    pub(crate) fn plan_numbered(
        &self,
        known: Known,
        (kind, index): (IndexKind, IndexType),
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<(Arc<Shared>, Numbering)> {
        // The slice of indices has a length in bytes too.
        let values = self.plan_of(known, layout, shape, strides, index.bytes())?;
        let numbering = values.layer.numbering(kind, index)?;
        Ok((values, numbering))
    }

    /// `bytes`: the longest thing written beside an element.
    pub(crate) fn plan_of(
        &self,
        known: Known,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<Arc<Shared>> {
        let Known { facts, samples, .. } = known;
        let bytes = bytes.max(facts.dtype.bytes()).max(samples.bytes);
        let mut layer = Fraction::new(self, layout, shape, strides, bytes)?;
        let clamp = clamp_between(facts, self.bounds, Tier::best())?;
        layer.count_samples(bytes)?;
        Ok(Arc::new(Shared { layer, clamp, known }))
    }
}

/// A layer that was checked, whatever its element.
#[derive(Clone, Copy)]
pub(super) struct Fraction {
    pub extent: Extent,
    kernel: [usize; MAX_RANK],
    pub samples: usize,
    nan: NanPolicy,
    pub layout: Layout,
}

impl Fraction {
    fn new(
        pool: &FractionalMaxPool<Any>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bytes: usize,
    ) -> Result<Self> {
        let FractionalMaxPool { kernel: lengths, output, nan, .. } = pool;
        let extent = Extent::new(layout, shape, output, strides, bytes)?;
        let rank = extent.split.rank;
        lengths.check_rank("kernel", rank)?;
        let mut kernel = [1; MAX_RANK];
        let absent = MAX_RANK.saturating_sub(rank);
        for (axis, length) in kernel.iter_mut().skip(absent).enumerate() {
            *length = lengths.at(axis);
        }
        for (axis, (&kernel, (input, output))) in kernel.iter().zip(extent.lengths()).enumerate() {
            let axis = extent.name(axis);
            if kernel == 0 {
                return Err(Error::ZeroKernel { axis });
            }
            if output.checked_add(kernel.saturating_sub(1)).is_none_or(|all| all > input) {
                return Err(Error::TooManyWindows { axis, output, kernel, input });
            }
        }
        Ok(Self { extent, kernel, samples: 0, nan: *nan, layout })
    }

    fn count_samples(&mut self, bytes: usize) -> Result<()> {
        let Split { rank, batch, channels, .. } = self.extent.split;
        let samples = batch.checked_mul(channels).and_then(|planes| planes.checked_mul(rank));
        let samples = samples.and_then(|samples| Some((samples, samples.checked_mul(bytes)?)));
        match samples {
            Some((samples, bytes)) if isize::try_from(bytes).is_ok() => {
                self.samples = samples;
                Ok(())
            }
            _ => Err(Error::SizeOverflow { what: "the number of samples" }),
        }
    }

    fn numbering(&self, kind: IndexKind, index: IndexType) -> Result<Numbering> {
        let taps = self.kernel.iter().fold(1, |all: usize, n| all.saturating_mul(*n));
        Numbering::of(index, kind, &self.extent, taps)
    }

    fn check_samples(&self, samples: &[u8], of: &Samples) -> Result<()> {
        let (need, got) = (self.samples, samples.len().checked_div(of.bytes).unwrap_or(0));
        if need != got {
            return Err(Error::SampleLen { need, got });
        }
        let values = (0..need).map_while(|at| Some((at, (of.value)(samples, at)?)));
        match values.into_iter().find(|(_, sample)| !(0.0..1.0).contains(sample)) {
            Some((at, sample)) => Err(Error::BadSample { at, sample }),
            None => Ok(()),
        }
    }

    /// Hands on each plane of these rows of outputs, as its block's number and its own in the block, and its windows.
    fn each_plane(
        &self,
        rows: &Range<usize>,
        (samples, of): (&[u8], &'static Samples),
        work: &mut dyn FnMut((usize, usize), Axes<'_>),
    ) {
        let inner = self.extent.split.inner;
        let each = self.extent.output.rows_of_block().max(1);
        for outer in rows.start.checked_div(each).unwrap_or(0)..rows.end.div_ceil(each) {
            for channel in 0..inner {
                let plane = outer.saturating_mul(inner).saturating_add(channel);
                let Some(places) = self.places(samples, of, plane) else { return };
                work((outer, channel), places.each_ref().map(|axis| axis as &dyn EachWindow));
            }
        }
    }

    /// The windows of a plane.
    fn places(&self, samples: &[u8], of: &'static Samples, plane: usize) -> Option<[Places; MAX_RANK]> {
        let [(a, x), (b, y), (c, z)] = self.extent.lengths();
        let rank = self.extent.split.rank;
        let first = plane.saturating_mul(rank);
        let sample = |number: usize| (of.value)(samples, first.saturating_add(number));
        // PyTorch takes them in the order of the axes in space, and the other way round in the plane.
        let [depth, height, width] = match rank {
            3 => [sample(0)?, sample(1)?, sample(2)?],
            2 => [sample(0)?, sample(1)?, sample(0)?],
            _ => [sample(0)?; MAX_RANK],
        };
        let [k, l, m] = self.kernel;
        let places = |input, output, kernel, sample| Places { input, output, kernel, sample, samples: of };
        Some([places(a, x, k, depth), places(b, y, l, height), places(c, z, m, width)])
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, element: &str) -> fmt::Result {
        let Self { layout, kernel, extent, .. } = self;
        write!(f, "FractionalPlan(max {element} {layout} {kernel:?}, ")?;
        write!(f, "{:?} to {:?})", extent.input.shape(), extent.output.shape())
    }
}

/// A fractional plan of any elements, which runs over their bytes: compiled once.
pub(crate) struct Shared {
    pub(super) layer: Fraction,
    clamp: Option<Clamp>,
    known: Known,
}

impl Shared {
    /// Computes values, and where they are wanted, indices.
    pub(crate) fn run(
        &self,
        src: &[u8],
        samples: &[u8],
        dst: &mut [u8],
        indices: Option<(Numbering, IndicesMut<'_>)>,
    ) -> Result<()> {
        let (layer, Known { facts, samples: of, search, .. }) = (&self.layer, self.known);
        let (extent, dtype) = (&layer.extent, facts.dtype);
        let rows = 0..extent.output.rows().rows();
        self.check(src, samples, dst, &rows)?;
        if let Some((_, indices)) = &indices {
            extent.check_indices(indices.len())?;
        }
        self.pool(src, samples, dst, &rows);
        if let Some((numbering, mut indices)) = indices {
            search(src, dst, &mut |search| {
                layer.each_plane(&rows, (samples, of), &mut |number, axes| {
                    find::plane(numbering, extent, axes, search, number, &mut indices);
                });
            });
        }
        if let Some(clamp) = &self.clamp {
            extent.clamp(dst, dtype, &**clamp);
        }
        Ok(())
    }

    pub(crate) fn tasks(&self, most: usize) -> Tasks {
        Tasks::new(most, &self.layer.extent.output.rows())
    }

    /// Computes the values of one part.
    pub(crate) fn run_task(
        &self,
        (tasks, task): (&Tasks, usize),
        src: &[u8],
        samples: &[u8],
        part: &mut [u8],
    ) -> Result<()> {
        let rows = tasks.check(task, &self.layer.extent.output.rows())?;
        self.check(src, samples, part, &rows)?;
        self.run_rows(src, samples, part, rows);
        Ok(())
    }

    /// Computes the values in at most `most` parts, on the threads of the caller's rayon pool.
    #[cfg(feature = "rayon")]
    pub(crate) fn run_parallel(&self, most: usize, src: &[u8], samples: &[u8], dst: &mut [u8]) -> Result<()> {
        let output = self.layer.extent.output.rows();
        self.check(src, samples, dst, &(0..output.rows()))?;
        let tasks = self.tasks(most);
        tasks.fork(0..tasks.len(), dst, self.known.facts.dtype.bytes(), &|task, part| {
            self.run_rows(src, samples, part, tasks.check(task, &output)?);
            Ok(())
        })
    }

    fn check(&self, src: &[u8], samples: &[u8], part: &[u8], rows: &Range<usize>) -> Result<()> {
        let Known { facts, samples: of, .. } = self.known;
        self.layer.extent.check_part(src, part, rows, facts.dtype)?;
        self.layer.check_samples(samples, of)
    }

    fn run_rows(&self, src: &[u8], samples: &[u8], part: &mut [u8], rows: Range<usize>) {
        self.pool(src, samples, part, &rows);
        if let Some(clamp) = &self.clamp {
            self.layer.extent.clamp_rows(part, rows, self.known.facts.dtype, &**clamp);
        }
    }

    /// The values of some rows, which `part` is, without bounds.
    fn pool(&self, src: &[u8], samples: &[u8], part: &mut [u8], rows: &Range<usize>) {
        let (layer, Known { samples: of, pool_plane, .. }) = (&self.layer, self.known);
        layer.each_plane(rows, (samples, of), &mut |number, axes| {
            pool_plane(src, Plane { extent: &layer.extent, number, axes, nan: layer.nan, rows }, part);
        });
    }
}

impl Shared {
    pub(crate) fn about(&self) -> About {
        let (layer, Known { facts, samples, .. }) = (&self.layer, self.known);
        let about = About::new(&layer.extent, facts.dtype, layer.layout, "variable");
        About { samples: (layer.samples, samples.bytes), ..about }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.describe(f, self.known.facts.dtype.name())
    }
}
