//! The backward pass of maxima and minima: the gradient of a window goes to the one tap that won it.

use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;

use super::axes::{Adjoint, Blocks, Strides, Taps, Windows, offset};
use super::check::Check;
use super::codes::Coding;
use super::lanes::Winners as Kept;
use super::rows::{Plan, Rows};
use super::sealed::Sum;
use super::{Float, Gives, LANES, Tap, part};
use crate::geometry::{Count, MAX_RANK};
use crate::index::{IndexType, Indices, IndicesMut, Weights};
use crate::indexed::{BindFind, Shared};
use crate::kernels::Operation;
use crate::plan::Facts;
use crate::pool::Parts;
use crate::strides::Split;
use crate::{Error, Index, IndexKind, Layout, MaxPool, MinPool, NanPolicy, Result, Tasks};

/// The backward pass of [`MaxPool`], [`MinPool`] and adaptive max pooling.
///
/// `grad_input[i] = Σ grad_output[o]` over the windows `o` whose index names `i`, in the order of
/// [`AvgBackward`](crate::AvgBackward): a window that holds `i` and names another element takes its place there and adds
/// nothing. Sums are made in `f32` (in `f64` for `f64`) and rounded once.
///
/// The indices come from the forward pass, PyTorch's or ONNX's, or are found again in the input. Then they follow the rule at
/// [`IndexKind`]: the first among equals; with NaN, the last NaN, or with [`NanPolicy::Ignore`] only where there is
/// nothing else.
///
/// ```
/// use lanepool::{IndexKind, Layout, MaxPool};
/// let layer = MaxPool::<f32>::new([2]).stride([1]);
/// let backward = layer.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 4])?;
/// let mut grad_input = vec![0.0; backward.input_len()];
/// backward.run(&[1.0, 2.0, 4.0], &[1, 1, 2], &mut grad_input)?;
/// assert_eq!(grad_input, [0.0, 3.0, 4.0, 0.0]);
///
/// // The same from the input: the indices are a by-product.
/// let mut indices = vec![0; backward.output_len()];
/// backward.run_from_input(&[5.0, 7.0, 6.0, 6.0], &[1.0, 2.0, 4.0], &mut indices, &mut grad_input)?;
/// assert_eq!((indices, grad_input), (vec![1, 1, 2], vec![0.0, 3.0, 4.0, 0.0]));
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaxBackward<T, I> {
    pub(super) layer: Arc<Adjoint>,
    rule: Rule,
    /// The forward pass, which finds the indices again; of windows that slide.
    finder: Option<Finder>,
    types: PhantomData<fn() -> (T, I)>,
}

/// A plan of a forward pass.
#[derive(Clone)]
struct Finder(Arc<Shared>);

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the forward pass")
    }
}

/// Which tap wins, and how an index names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    kind: IndexKind,
    /// `None` where an index counts the taps of its window.
    pub weights: Option<Weights>,
    /// What a value must be, compared with the best so far, to take its place: greater for a maximum.
    wins: Ordering,
    nan: NanPolicy,
}

/// A layer with its rule: what does not depend on types, and is compiled once.
#[derive(Clone, Copy)]
pub(super) struct Maxima<'a> {
    pub layer: &'a Adjoint,
    pub rule: Rule,
}

impl<T: Float> MaxPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`, with indices of type `I` that count as `kind` says. The tier is
    /// not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window or the shape, as for [`MaxPool::plan`](crate::Pool::plan);
    /// [`Error::IndexTooNarrow`] where `I` cannot hold every index.
    pub fn backward<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        MaxBackward::of(&self.on_any_tier().parts(T::DTYPE)?, kind, layout, shape.as_ref(), None)
    }

    /// [`MaxPool::backward`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided): the input and its gradient lie where the strides `input` say, the indices
    /// and the gradient of the output where `output` says. Gradients of the input and indices are written, so that both lie apart and
    /// in the layout's order; nothing is written between. What indices count does not depend on strides.
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxPool};
    /// let layer = MaxPool::<f32>::new([2]).stride([2]);
    /// // The second of two channels, channels last.
    /// let (input, output) = ([8, 1, 2], [4, 1, 2]);
    /// let backward = layer.backward_strided::<i32>(IndexKind::Plane, Layout::Nhwc, [1, 1, 4], input, output)?;
    /// let mut grad_input = [-1.0; 8];
    /// backward.run(&[1.0, -1.0, 2.0], &[1, -1, 2], &mut grad_input[1..])?;
    /// assert_eq!(grad_input, [-1.0, 0.0, -1.0, 1.0, -1.0, 2.0, -1.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`MaxPool::backward`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn backward_strided<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        MaxBackward::of(
            &self.on_any_tier().parts(T::DTYPE)?,
            kind,
            layout,
            shape.as_ref(),
            Some([input.as_ref(), output.as_ref()]),
        )
    }
}

impl<T: Float> MinPool<T> {
    /// As [`MaxPool::backward`], for minima.
    ///
    /// # Errors
    /// As there.
    pub fn backward<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        MaxBackward::of(&self.on_any_tier().parts(T::DTYPE)?, kind, layout, shape.as_ref(), None)
    }

    /// As [`MaxPool::backward_strided`], for minima.
    ///
    /// # Errors
    /// As there.
    pub fn backward_strided<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        MaxBackward::of(
            &self.on_any_tier().parts(T::DTYPE)?,
            kind,
            layout,
            shape.as_ref(),
            Some([input.as_ref(), output.as_ref()]),
        )
    }
}

impl<T: Float, I: Index> MaxBackward<T, I> {
    /// Of windows that slide.
    fn of(
        parts: &Parts<'_>,
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        both: Option<[&[usize]; 2]>,
    ) -> Result<Self> {
        let known = (T::FACTS, T::bind_find as BindFind);
        let (layer, rule, finder) = sliding(parts, known, IndexType::of::<I>(), kind, layout, shape, both)?;
        Ok(Self { layer, rule, finder, types: PhantomData })
    }

    /// The backward pass of adaptive max pooling to `output` lengths, for an input of shape `N, C, spatial…`: output `o` of `m`
    /// covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)` of `n` inputs (PyTorch).
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxBackward};
    /// let backward = MaxBackward::<f32, i64>::adaptive([2], IndexKind::Plane, Layout::Nchw, [1, 1, 3])?;
    /// let mut grad_input = [0.0; 3];
    /// backward.run(&[2.0, 4.0], &[1, 1], &mut grad_input)?;
    /// assert_eq!(grad_input, [0.0, 6.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the shape or the output's lengths, of which none may be 0; [`Error::IndexTooNarrow`] where `I`
    /// cannot hold every index.
    pub fn adaptive(
        output: impl AsRef<[usize]>,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<Self> {
        Self::adaptive_at(output.as_ref(), kind, layout, shape.as_ref(), None)
    }

    /// [`MaxBackward::adaptive`] to `lengths` for tensors that are parts of larger ones, as [`MaxPool::backward_strided`].
    ///
    /// # Errors
    /// As for [`MaxBackward::adaptive`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn adaptive_strided(
        lengths: impl AsRef<[usize]>,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<Self> {
        let both = Some([input.as_ref(), output.as_ref()]);
        Self::adaptive_at(lengths.as_ref(), kind, layout, shape.as_ref(), both)
    }

    fn adaptive_at(
        lengths: &[usize],
        kind: IndexKind,
        layout: Layout,
        shape: &[usize],
        both: Option<[&[usize]; 2]>,
    ) -> Result<Self> {
        let strides = Strides { both, writes_indices: true };
        let bytes = size_of::<T>().max(size_of::<I>());
        let layer = Adjoint::adaptive(lengths, layout, shape, strides, bytes)?;
        let (layer, rule) = ruled(layer, kind, (Ordering::Greater, NanPolicy::Propagate), IndexType::of::<I>())?;
        Ok(Self { layer, rule, finder: None, types: PhantomData })
    }

    /// Computes the gradient of the input from that of the output and the indices of the forward pass, which lie in memory as
    /// the output does. Allocates nothing; every element is written (but for the gaps of a plan with strides). Every index is checked before the first write.
    ///
    /// # Errors
    /// [`Error::GradientLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs;
    /// [`Error::IndexOutOfRange`] or [`Error::IndexOutsideWindow`] for the first index that no forward pass of this layer could
    /// have given. −1 is an index of windows without a valid tap, and of no others. Nothing is written then.
    pub fn run(&self, grad_output: &[T], indices: &[I], grad_input: &mut [T]) -> Result<()> {
        self.run_blocks(&self.layer.blocks(), grad_output, indices, grad_input)
    }

    /// The same on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`MaxBackward::run`]: every index is looked at before any thread writes.
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, grad_output: &[T], indices: &[I], grad_input: &mut [T]) -> Result<()> {
        let read = size_of_val(grad_output).saturating_add(size_of_val(indices));
        let most = crate::tasks::worth(read.saturating_add(size_of_val(grad_input)));
        self.run_parallel_in(most, grad_output, indices, grad_input)
    }

    /// [`MaxBackward::run_parallel`] in at most so many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, grad_output: &[T], indices: &[I], grad_input: &mut [T]) -> Result<()> {
        let all = self.layer.blocks();
        self.layer.check_gradients(grad_output, grad_input, &all)?;
        self.check_index_len(indices)?;
        self.maxima().check_indices(Indices::new(indices), &all.range)?;
        let tasks = self.tasks(most);
        tasks.fork(0..tasks.len(), grad_input, 1, &|task, part| {
            self.gather(&self.layer.blocks_of(&tasks, task)?, grad_output, indices, part);
            Ok(())
        })
    }

    /// Cuts the gradient of the input into at most `most` parts that can be computed apart: planes, or channels last, images. See
    /// [`MaxBackward::run_task`].
    pub fn tasks(&self, most: usize) -> Tasks {
        self.layer.tasks(most)
    }

    /// Computes one part of the input's gradient, the range [`Tasks::range`], from the whole gradient of the output and all indices;
    /// nothing else is written. All tasks, on any threads and in any order, give the bytes of [`MaxBackward::run`].
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxPool};
    /// let layer = MaxPool::<f32>::new([2]).stride([2]);
    /// let backward = layer.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 2, 4])?;
    /// let (mut grad_input, tasks) = ([-1.0; 8], backward.tasks(2));
    /// for task in 0..tasks.len() {
    ///     let part = &mut grad_input[tasks.range(task)];
    ///     backward.run_task(&tasks, task, &[1.0, 2.0, 3.0, 4.0], &[0, 3, 1, 2], part)?;
    /// }
    /// assert_eq!(grad_input, [1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`MaxBackward::run`], of the part's own indices, and for [`Plan::run_task`](crate::Plan::run_task). Nothing is written
    /// then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, grad_output: &[T], indices: &[I], part: &mut [T]) -> Result<()> {
        self.run_blocks(&self.layer.blocks_of(tasks, task)?, grad_output, indices, part)
    }

    fn run_blocks(&self, blocks: &Blocks, grad_output: &[T], indices: &[I], grad_input: &mut [T]) -> Result<()> {
        self.layer.check_gradients(grad_output, grad_input, blocks)?;
        self.check_index_len(indices)?;
        self.maxima().check_indices(Indices::new(indices), &blocks.range)?;
        self.gather(blocks, grad_output, indices, grad_input);
        Ok(())
    }

    /// The same from the input instead of its indices, which are found again and written to `indices`.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::GradientLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs.
    /// Nothing is written then.
    pub fn run_from_input(
        &self,
        input: &[T],
        grad_output: &[T],
        indices: &mut [I],
        grad_input: &mut [T],
    ) -> Result<()> {
        let (need, got) = (self.layer.input_len(), input.len());
        if need != got {
            return Err(Error::SrcLen { need, got });
        }
        let blocks = self.layer.blocks();
        self.layer.check_gradients(grad_output, grad_input, &blocks)?;
        self.check_index_len(indices)?;
        match &self.finder {
            Some(Finder(shared)) => shared.run(None, bytemuck::cast_slice(input), None, IndicesMut::new(indices))?,
            None => self.maxima().find(input, IndicesMut::new(indices)),
        }
        self.gather(&blocks, grad_output, indices, grad_input);
        Ok(())
    }

    fn check_index_len(&self, indices: &[I]) -> Result<()> {
        let (need, got) = (self.layer.output_len(), indices.len());
        if need == got { Ok(()) } else { Err(Error::IndexLen { need, got }) }
    }

    fn maxima(&self) -> Maxima<'_> {
        Maxima { layer: &self.layer, rule: self.rule }
    }

    fn gather(&self, blocks: &Blocks, grad_output: &[T], indices: &[I], grad_input: &mut [T]) {
        let (maxima, named) = (self.maxima(), Indices::new(indices));
        if maxima.scatter(grad_output, named, blocks, grad_input) {
            return;
        }
        match maxima.rows() {
            Some((plan, coding)) => {
                let rows = Rows { layer: &self.layer, count: Count::Fixed(1), equal: Some(1), coding: Some(coding) };
                let steps = coding.steps(&self.layer);
                let to = (grad_input, blocks.base);
                let mut kept = Kept::new(grad_output, named, to, steps, plan.channels());
                rows.fill(&plan, blocks.range.clone(), &mut kept);
            }
            None => self.layer.gather(blocks, grad_input, Winners { maxima, grad_output, indices: named }),
        }
    }
}

/// A layer of windows that slide, its rule, and the forward pass that finds its indices, where there is one. Knows no types, and is
/// compiled once.
fn sliding(
    parts: &Parts<'_>,
    known: (&Facts, BindFind),
    index: IndexType,
    kind: IndexKind,
    layout: Layout,
    shape: &[usize],
    both: Option<[&[usize]; 2]>,
) -> Result<(Arc<Adjoint>, Rule, Option<Finder>)> {
    let by = match parts.operation {
        Operation::Min => (Ordering::Less, NanPolicy::Propagate),
        Operation::MinNumber => (Ordering::Less, NanPolicy::Ignore),
        Operation::MaxNumber => (Ordering::Greater, NanPolicy::Ignore),
        _ => (Ordering::Greater, NanPolicy::Propagate),
    };
    let bytes = known.0.dtype.bytes().max(index.bytes());
    let strides = Strides { both, writes_indices: true };
    let layer = Adjoint::of_window(parts.window, layout, shape, strides, bytes)?;
    let (layer, rule) = ruled(layer, kind, by, index)?;
    let forward = Shared::new(known, parts, kind, layout, shape, both, index);
    Ok((layer, rule, forward.ok().map(Finder)))
}

/// A layer and its rule, whose indices fit this type.
fn ruled(
    layer: Adjoint,
    kind: IndexKind,
    (wins, nan): (Ordering, NanPolicy),
    index: IndexType,
) -> Result<(Arc<Adjoint>, Rule)> {
    let weights = kind.weights(layer.split().channels, layer.input.lengths);
    let rule = Rule { kind, weights, wins, nan };
    Maxima { layer: &layer, rule }.check(index)?;
    Ok((Arc::new(layer), rule))
}

impl Maxima<'_> {
    /// How a layer whose indices have codes is cut into tiles.
    fn rows(&self) -> Option<(Plan, Coding)> {
        let [.., width] = &self.layer.axes;
        let coding = Coding::new(self.layer, self.rule.weights)?;
        matches!(width, Windows::Sliding { .. }).then_some((Plan::new(self.layer)?, coding))
    }

    /// The most windows that hold one element.
    pub fn cover(&self) -> usize {
        self.layer.axes.iter().map(Windows::most_covering).fold(1, usize::saturating_mul)
    }

    /// Whether an index type holds every index that may occur.
    fn check(&self, index: IndexType) -> Result<()> {
        let taps = || self.layer.axes.iter().map(Windows::most_taps).fold(1, usize::saturating_mul);
        index.check(self.places_in_tensor().unwrap_or_else(taps).saturating_sub(1))
    }

    /// How many places an index can name; `None` where that is the window's to say.
    fn places_in_tensor(&self) -> Option<usize> {
        let Split { batch, channels, .. } = self.layer.split();
        self.rule.kind.places(batch, channels, self.layer.input.lengths)
    }

    /// How many places an index of a window with these taps can name.
    fn places(&self, taps: &[Taps; MAX_RANK]) -> usize {
        let taps = || taps.iter().map(|taps| taps.kernel).fold(1, usize::saturating_mul);
        self.places_in_tensor().unwrap_or_else(taps)
    }

    pub fn taps(&self, [z, y, x]: [usize; MAX_RANK]) -> [Taps; MAX_RANK] {
        let [depth, height, width] = &self.layer.axes;
        [depth.taps(z), height.taps(y), width.taps(x)]
    }

    /// The index of a pixel in a window: of channels in one plane after the other, the first one's, and how much further each
    /// next one's is. `numbers` are the pixel's tap numbers, read for [`IndexKind::Tap`] only.
    fn index(
        &self,
        plane: usize,
        at: [usize; MAX_RANK],
        numbers: &dyn Fn() -> ([usize; MAX_RANK], [usize; MAX_RANK]),
    ) -> (usize, usize) {
        match &self.rule.weights {
            Some(weights) => (weights.of_plane(plane).saturating_add(weights.of_pixel(at)), weights.channel),
            None => {
                let (numbers, kernel) = numbers();
                (offset(numbers, kernel), 0)
            }
        }
    }

    /// Whether an index in range names a valid tap of a window of plane `plane`.
    fn names_a_tap(&self, index: usize, plane: usize, taps: &[Taps; MAX_RANK]) -> bool {
        if let Some(weights) = &self.rule.weights {
            // No tap is a pixel beyond the plane.
            let pixel = index.checked_sub(weights.of_plane(plane)).and_then(|distance| weights.pixel(distance));
            return pixel.is_some_and(|at| taps.iter().zip(at).all(|(taps, at)| taps.number(at).is_some()));
        }
        let split =
            |offset: usize, by: usize| (offset.checked_div(by).unwrap_or(0), offset.checked_rem(by).unwrap_or(0));
        let [_, height, width] = taps;
        let (rest, x) = split(index, width.kernel);
        let (z, y) = split(rest, height.kernel);
        let is_valid =
            |(taps, number): (&Taps, usize)| number.checked_sub(taps.skipped).is_some_and(|number| number < taps.count);
        taps.iter().zip([z, y, x]).all(is_valid)
    }

    /// Calls `work` for every window of some blocks, in the order of memory: its block, and which output of a plane it is.
    fn each_window(
        &self,
        blocks: Range<usize>,
        work: &mut dyn FnMut(usize, [usize; MAX_RANK]) -> Result<()>,
    ) -> Result<()> {
        let [depth, height, width] = self.layer.output.lengths;
        for outer in blocks {
            for z in 0..depth {
                for y in 0..height {
                    for x in 0..width {
                        work(outer, [z, y, x])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the indices of a window's channels lie.
    fn indices_of(&self, outer: usize, window: [usize; MAX_RANK]) -> core::ops::Range<usize> {
        let output = &self.layer.output;
        let start = output.block(outer).saturating_add(output.pixel(window));
        start..start.saturating_add(output.split.inner)
    }

    fn check_indices(&self, indices: Indices<'_>, blocks: &Range<usize>) -> Result<()> {
        if indices.len() == 0 || Check::new(self).is_some_and(|check| check.holds(indices, blocks)) {
            return Ok(());
        }
        let Split { inner, .. } = self.layer.split();
        self.each_window(blocks.clone(), &mut |outer, window| {
            let place = self.indices_of(outer, window);
            let (start, plane) = (place.start, outer.saturating_mul(inner));
            let taps = self.taps(window);
            let len = self.places(&taps);
            let is_empty = taps.iter().any(|taps| taps.count == 0);
            for at in place {
                let Some(index) = indices.get(at).filter(|index| !is_empty || *index != -1) else { continue };
                let offset = usize::try_from(index).ok().filter(|offset| *offset < len);
                let Some(offset) = offset else { return Err(Error::IndexOutOfRange { at, index, len }) };
                if !self.names_a_tap(offset, plane.saturating_add(at.saturating_sub(start)), &taps) {
                    return Err(Error::IndexOutsideWindow { at, index });
                }
            }
            Ok(())
        })
    }

    /// Whether `value` takes the place of `best`, which came before it.
    #[inline(always)]
    fn replaces<A: Sum>(&self, value: A, best: A) -> bool {
        let wins = value.partial_cmp(&best) == Some(self.rule.wins);
        match self.rule.nan {
            // The last NaN: once there is one, nothing else is greater.
            NanPolicy::Propagate => wins || value.is_nan(),
            // Anything is better than NaN, and a later NaN takes the place of an earlier one.
            NanPolicy::Ignore => wins || best.is_nan(),
        }
    }

    /// Finds the index of every window, some neighbouring channels at a time.
    fn find<T: Float>(&self, input: &[T], mut indices: IndicesMut<'_>) {
        if self.layer.output_len() == 0 {
            return;
        }
        let Split { inner, outer, .. } = self.layer.split();
        // Never an error: the work has none.
        let _ = self.each_window(0..outer, &mut |outer, window| {
            let taps = self.taps(window);
            let mut place = self.indices_of(outer, window).start;
            for channel in (0..inner).step_by(LANES) {
                let mut found = [usize::MAX; LANES];
                let found = found.get_mut(..inner.saturating_sub(channel).min(LANES)).unwrap_or_default();
                let step = self.find_some(input, (outer, channel), &taps, found);
                for (lane, index) in found.iter().enumerate() {
                    indices.set(place, index.saturating_add(lane.saturating_mul(step)));
                    place = place.saturating_add(1);
                }
            }
            Ok(())
        });
    }

    /// Finds the maxima of one window for some neighbouring channels, from number `channel` of the block on: the index
    /// of each as it would be in the first of them, `usize::MAX` where there is none, and what is to be added from one
    /// to the next.
    #[inline(never)]
    fn find_some<T: Float>(
        &self,
        input: &[T],
        (outer, channel): (usize, usize),
        taps: &[Taps; MAX_RANK],
        found: &mut [usize],
    ) -> usize {
        let from = &self.layer.input;
        let plane = outer.saturating_mul(from.split.inner).saturating_add(channel);
        let block = from.block(outer).saturating_add(channel);
        let kernel = taps.each_ref().map(|taps| taps.kernel);
        let [depth, height, width] = taps;
        let mut best = [T::Acc::ZERO; LANES];
        let (mut is_first, mut step) = (true, 0);
        for (z, tz) in depth.iter() {
            for (y, ty) in height.iter() {
                for (x, tx) in width.iter() {
                    let at = [z, y, x];
                    let first;
                    (first, step) = self.index(plane, at, &|| ([tz, ty, tx], kernel));
                    let values = part(input, block.saturating_add(from.pixel(at)), found.len());
                    for ((found, best), value) in found.iter_mut().zip(&mut best).zip(values) {
                        let value = value.widened();
                        if is_first || self.replaces(value, *best) {
                            (*best, *found) = (value, first);
                        }
                    }
                    is_first = false;
                }
            }
        }
        step
    }
}

/// The gradient of a window goes to the tap that its index names.
struct Winners<'a, T> {
    maxima: Maxima<'a>,
    grad_output: &'a [T],
    indices: Indices<'a>,
}

impl<T: Float> Gives<T> for Winners<'_, T> {
    /// The index of the pixel in the first channel, and from one channel to the next; none where each window has its
    /// own.
    type Known = Option<(usize, usize)>;

    #[inline(always)]
    fn known(&self, plane: usize, at: [usize; MAX_RANK]) -> Self::Known {
        let is_own = self.maxima.rule.weights.is_none();
        (!is_own).then(|| self.maxima.index(plane, at, &Default::default))
    }

    #[inline(always)]
    fn one(&self, known: Self::Known, tap: &Tap, sum: T::Acc) -> T::Acc {
        let (here, _) = known.unwrap_or_else(|| (self.maxima.number(tap), 0));
        let outputs = self.indices.get(tap.output).zip(self.grad_output.get(tap.output));
        let Some((index, gradient)) = outputs else { return sum };
        let more = sum.plus(gradient.widened());
        if is_at(index, here) { more } else { sum }
    }

    #[inline(always)]
    fn many(&self, known: Self::Known, tap: &Tap, sums: &mut [T::Acc]) {
        let (first, step) = known.unwrap_or_else(|| (self.maxima.number(tap), 0));
        let lanes = sums.len();
        let mut room = [T::Acc::ZERO; LANES];
        let gradients = T::widened_all(part(self.grad_output, tap.output, lanes), &mut room);
        match self.indices {
            Indices::Short(indices) => add_named(sums, part(indices, tap.output, lanes), gradients, (first, step)),
            Indices::Long(indices) => add_named(sums, part(indices, tap.output, lanes), gradients, (first, step)),
        }
    }
}

/// Whether an index names a place, which fits its type.
#[inline(always)]
fn is_at(index: i64, place: usize) -> bool {
    usize::try_from(index) == Ok(place)
}

/// Adds the gradients whose index is `first` in the first lane, and `step` more from one to the next.
#[inline(never)]
fn add_named<A: Sum, I: Index>(sums: &mut [A], indices: &[I], gradients: &[A], (first, step): (usize, usize)) {
    let outputs = sums.iter_mut().zip(indices.iter().zip(gradients));
    let add = |sum: &mut A, is_named: bool, gradient: A| {
        let more = sum.plus(gradient);
        *sum = if is_named { more } else { *sum };
    };
    if step == 0 {
        let Some(here) = I::from_offset(first) else { return };
        for (sum, (index, gradient)) in outputs {
            add(sum, *index == here, *gradient);
        }
    } else {
        for (channel, (sum, (index, gradient))) in outputs.enumerate() {
            let here = I::from_offset(first.saturating_add(channel.saturating_mul(step)));
            add(sum, Some(*index) == here, *gradient);
        }
    }
}

impl Maxima<'_> {
    /// The number of a tap in its window.
    fn number(&self, tap: &Tap) -> usize {
        let taps = self.taps(tap.window);
        let mut numbers = [0; MAX_RANK];
        for (number, (taps, at)) in numbers.iter_mut().zip(taps.iter().zip(tap.at)) {
            *number = taps.number(at).unwrap_or(usize::MAX);
        }
        offset(numbers, taps.map(|taps| taps.kernel))
    }
}
