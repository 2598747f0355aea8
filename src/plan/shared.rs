//! What plans of every element share: a layer that was checked, its kernel, and how they run over bytes.
//!
//! All of it is compiled once. [`Plan`](crate::Plan) and [`AnyPlan`](crate::AnyPlan) are its faces.

use core::fmt;
use core::ops::Range;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Bind, ByteMap, Facts};
use crate::geometry::{Count, Geometry};
use crate::kernels::{Bound, Clamp, Layer, Operation};
use crate::pool::Parts;
use crate::strides::{Places, bytes_of};
use crate::{DType, Error, Layout, Result, Tasks, Tier};

/// Outputs whose divisors a plan tables at most: those whose windows padding cuts. No layer anybody runs comes near it.
const MOST_DIVISORS: usize = 1 << 24;

/// Bytes of output that are clamped at a time: they stay in a cache, and are long enough for rows to share their work.
const CLAMPED_BYTES: usize = 64 << 10;

/// What keeps outputs between bounds, if they have any.
pub(crate) fn clamp_between(facts: &Facts, bounds: Option<[f64; 2]>, tier: Tier) -> Result<Option<Clamp>> {
    let Some([low, high]) = bounds else { return Ok(None) };
    let bounds = (facts.bounds)(low, high).ok_or(Error::BadClamp { low, high })?;
    (facts.bind_clamp)(tier, bounds).ok_or_else(|| no_kernel(tier, None)).map(Some)
}

/// What windows without a valid tap give, where there may be one: the bits of an element.
pub(crate) fn identity_of(facts: &Facts, operation: Operation, geometry: &Geometry) -> Option<u64> {
    geometry.may_have_empty_windows().then(|| (facts.identity)(operation))
}

/// Everything that is checked before a kernel is chosen: code that is compiled once, not for each element. Windows that
/// were validated by another rule than a [`Window`](crate::geometry::Window)'s are given as a geometry.
fn check_layer(
    parts: &Parts<'_>,
    geometry: Option<Geometry>,
    layout: Layout,
    shape: &[usize],
    strides: Option<[&[usize]; 2]>,
    facts: &Facts,
) -> Result<(Layer, Tier)> {
    let element = facts.dtype;
    let Parts { window, operation, count, tier, .. } = *parts;
    let geometry = geometry.map_or_else(|| Geometry::new(window, layout, shape, element.bytes()), Ok)?;
    if count == Count::Fixed(0) {
        return Err(Error::BadDivisor);
    }
    let places = Places::new(strides, layout, &geometry, element.bytes())?;
    let layer = Layer { geometry, count, places };
    let divides = operation.divides();
    if divides {
        element.check_sums()?;
    }
    if divides && layer.divisor_entries() > MOST_DIVISORS {
        return Err(Error::SizeOverflow {
            what: "the table of divisors: too many windows are cut by the padding, and",
        });
    }
    if divides && !(facts.sums_fit)(&layer, operation) {
        let taps = geometry.axes.iter().map(|axis| axis.kernel.min(axis.input)).fold(1, usize::saturating_mul);
        // A quantised sum is exact in 32 bits before it is scaled.
        let bits = if let Operation::QuantizedMean { .. } = operation { 32 } else { 64 };
        return Err(Error::SumOverflow { element: element.name(), taps, bits });
    }
    Ok((layer, tier.unwrap_or_else(Tier::best).check()?))
}

/// Why a layer that was checked has no kernel.
pub(crate) fn no_kernel(tier: Tier, driver: Option<&str>) -> Error {
    match driver {
        Some(_) => Error::Unsupported { why: "the driver that was asked for does not take this layer" },
        None => Error::TierUnavailable { tier, why: "this build has no kernels for it" },
    }
}

/// Puts for each byte the one that the map has for it.
pub(crate) fn map_bytes(map: &ByteMap, bytes: &mut [u8]) {
    for byte in bytes {
        *byte = map.get(usize::from(*byte)).copied().unwrap_or(*byte);
    }
}

/// A plan of any elements, which runs over their bytes: compiled once.
pub(crate) struct Shared {
    pub(super) kernel: Bound,
    pub(super) clamp: Option<Clamp>,
    dtype: DType,
    tier: Tier,
    geometry: Geometry,
    /// What becomes of each byte of the result.
    bytes: Option<Box<ByteMap>>,
    empty_windows: Option<u64>,
    name: &'static str,
    layout: Layout,
    shape: Vec<usize>,
}

impl Shared {
    pub(crate) fn new(
        facts: &Facts,
        parts: &Parts<'_>,
        geometry: Option<Geometry>,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
        bind: Bind,
    ) -> Result<Arc<Self>> {
        let Parts { operation, name, bounds, driver, .. } = *parts;
        let (layer, tier) = check_layer(parts, geometry, layout, shape, strides, facts)?;
        let kernel = bind(tier, operation, &layer, driver).ok_or_else(|| no_kernel(tier, driver))?;
        let clamp = clamp_between(facts, bounds, tier)?;
        let geometry = layer.geometry;
        Ok(Arc::new(Self {
            kernel,
            clamp,
            dtype: facts.dtype,
            tier,
            geometry,
            bytes: parts.bytes.clone(),
            empty_windows: identity_of(facts, operation, &geometry),
            name,
            layout,
            shape: shape.to_vec(),
        }))
    }

    /// As [`Plan::run`](crate::Plan::run), over the bytes of elements.
    pub(crate) fn run(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.check_src(src.len())?;
        self.check_dst(dst.len(), &(0..self.kernel.output().rows()))?;
        self.run_whole(src, dst)
    }

    /// The same for lengths that were checked.
    pub(crate) fn run_whole(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.run_rows(src, dst, 0..self.kernel.output().rows(), 1)
    }

    /// As [`Plan::run_task`](crate::Plan::run_task).
    pub(crate) fn run_task(&self, tasks: &Tasks, task: usize, src: &[u8], part: &mut [u8]) -> Result<()> {
        self.check_src(src.len())?;
        let rows = self.rows_of(tasks, task)?;
        self.check_dst(part.len(), &rows)?;
        self.run_rows(src, part, rows, 1)
    }

    /// As [`Plan::run_parallel_in`](crate::Plan#method.run_parallel_in).
    #[cfg(feature = "rayon")]
    pub(crate) fn run_parallel(&self, most: usize, src: &[u8], dst: &mut [u8]) -> Result<()> {
        if most <= 1 {
            return self.run(src, dst);
        }
        self.check_src(src.len())?;
        self.check_dst(dst.len(), &(0..self.kernel.output().rows()))?;
        let tasks = self.tasks(most);
        if tasks.is_empty() {
            return Ok(());
        }
        // Where there are fewer rows than tasks are wanted, a task may be cut further, within its rows.
        let pieces = most.div_ceil(tasks.len());
        tasks.fork(0..tasks.len(), dst, self.size(), &|task, part| {
            self.run_rows(src, part, self.rows_of(&tasks, task)?, pieces)
        })
    }

    pub(crate) fn tasks(&self, most: usize) -> Tasks {
        Tasks::new(most, self.kernel.output())
    }

    /// Bytes of an element.
    pub(crate) fn size(&self) -> usize {
        self.kernel.element_bytes()
    }

    /// What a tensor's address is a multiple of.
    pub(crate) fn align(&self) -> usize {
        self.kernel.element_align()
    }

    /// The rows of a task of this plan's.
    pub(crate) fn rows_of(&self, tasks: &Tasks, task: usize) -> Result<Range<usize>> {
        tasks.check(task, self.kernel.output())
    }

    /// Whether so many bytes are the input. Elements are counted in the messages.
    pub(super) fn check_src(&self, bytes: usize) -> Result<()> {
        let need = self.input_len();
        if need.checked_mul(self.size()) == Some(bytes) {
            return Ok(());
        }
        Err(Error::SrcLen { need, got: self.elements(bytes) })
    }

    /// Whether so many bytes are the output's part that these rows span.
    pub(super) fn check_dst(&self, bytes: usize, rows: &Range<usize>) -> Result<()> {
        let need = self.kernel.output().span(rows.clone()).len();
        if need.checked_mul(self.size()) == Some(bytes) {
            return Ok(());
        }
        Err(Error::DstLen { need, got: self.elements(bytes) })
    }

    #[cold]
    fn elements(&self, bytes: usize) -> usize {
        bytes.checked_div(self.size()).unwrap_or(0)
    }

    /// Computes rows of the output into `dst`, which is their part of it and nothing else, where `pieces` is more than 1
    /// on several threads. A layer with bounds is computed piece by piece, so that each is clamped while the cache holds
    /// it.
    fn run_rows(&self, src: &[u8], dst: &mut [u8], rows: Range<usize>, pieces: usize) -> Result<()> {
        if self.clamp.is_none() {
            return self.run_piece(src, dst, rows, pieces);
        }
        let (output, piece, size) = (self.kernel.output(), self.clamped_rows(), self.size());
        let base = output.span(rows.clone()).start;
        let mut first = rows.start;
        while first < rows.end {
            let end = first.saturating_add(piece).min(rows.end);
            let span = bytes_of(output.span(first..end), base, size);
            self.run_piece(src, dst.get_mut(span).unwrap_or_default(), first..end, pieces)?;
            first = end;
        }
        Ok(())
    }

    /// Rows that are clamped at a time.
    pub(super) fn clamped_rows(&self) -> usize {
        let row_bytes = self.kernel.output().row_len().saturating_mul(self.size());
        CLAMPED_BYTES.checked_div(row_bytes).unwrap_or(0).max(1)
    }

    fn run_piece(&self, src: &[u8], dst: &mut [u8], rows: Range<usize>, pieces: usize) -> Result<()> {
        if dst.is_empty() {
            return Ok(());
        }
        let done = match pieces {
            #[cfg(feature = "rayon")]
            2.. => self.kernel.run_shared(src, dst, rows.clone(), pieces),
            _ => self.kernel.run(src, dst, rows.clone()),
        };
        if done.is_none() {
            let need = self.kernel.output().span(rows).len();
            return Err(Error::DstLen { need, got: self.elements(dst.len()) });
        }
        self.finish(dst, rows);
        Ok(())
    }

    /// What is done to outputs that the kernel has computed. Rare, so no kernel knows.
    pub(super) fn finish(&self, dst: &mut [u8], rows: Range<usize>) {
        if self.bytes.is_none() && self.empty_windows.is_none() && self.clamp.is_none() {
            return;
        }
        let output = self.kernel.output();
        output.for_each_run(dst, self.size(), rows, &mut |run, first| self.finish_run(run, first));
    }

    /// The same for outputs side by side, of which the first has the number `first` in an output without gaps.
    #[inline(never)]
    pub(super) fn finish_run(&self, run: &mut [u8], first: usize) {
        if let Some(map) = &self.bytes {
            map_bytes(map, run);
        }
        if let Some(identity) = self.empty_windows {
            self.geometry.fill_empty(run, self.size(), first, identity);
        }
        if let Some(clamp) = &self.clamp {
            clamp.keep(run);
        }
    }

    pub(crate) fn input_len(&self) -> usize {
        self.kernel.input_len()
    }

    pub(crate) fn output_len(&self) -> usize {
        let output = self.kernel.output();
        output.span(0..output.rows()).len()
    }

    pub(crate) fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn output_shape(&self) -> Vec<usize> {
        self.geometry.output_shape()
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn tier(&self) -> Tier {
        self.tier
    }

    pub(crate) fn kernel(&self) -> &'static str {
        self.kernel.driver()
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { geometry, layout, name, tier, dtype, kernel, .. } = self;
        let (element, driver) = (dtype.name(), kernel.driver());
        let axes = || geometry.spatial();
        write!(f, "{name} {element} {layout} ")?;
        if geometry.is_global() {
            f.write_str("global")?;
        } else {
            f.write_str(&joined(axes().map(|axis| axis.kernel)))?;
            if axes().any(|axis| axis.stride != 1) {
                write!(f, "/{}", compact(axes().map(|axis| axis.stride)))?;
            }
            if axes().any(|axis| axis.dilation != 1) {
                write!(f, "*{}", compact(axes().map(|axis| axis.dilation)))?;
            }
            if axes().any(|axis| axis.begin != axis.end) {
                write!(f, "+{}:{}", compact(axes().map(|axis| axis.begin)), compact(axes().map(|axis| axis.end)))?;
            } else if axes().any(|axis| axis.begin != 0) {
                write!(f, "+{}", compact(axes().map(|axis| axis.begin)))?;
            }
        }
        write!(f, " → {driver}, {tier}")
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, "Plan", self, &self.shape, &self.output_shape())?;
        write!(f, ": {:?}", self.kernel.describe())
    }
}

/// A plan with its shapes, for `Debug`.
pub(crate) fn shown(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    plan: &dyn fmt::Display,
    input: &[usize],
    output: &[usize],
) -> fmt::Result {
    write!(f, "{name}({plan}, {input:?} to {output:?})")
}

/// Numbers joined by `x`: `64x112x112`.
fn joined(numbers: impl Iterator<Item = usize>) -> String {
    use fmt::Write;
    let mut text = String::new();
    for (i, number) in numbers.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{number}", if i > 0 { "x" } else { "" });
    }
    text
}

/// A number for each axis, or one for all where they are equal.
fn compact(numbers: impl Iterator<Item = usize> + Clone) -> String {
    let mut rest = numbers.clone();
    match rest.next() {
        Some(first) if rest.all(|n| n == first) => joined([first].into_iter()),
        _ => joined(numbers),
    }
}
