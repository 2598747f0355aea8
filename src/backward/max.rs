//! The backward pass of maxima and minima: the gradient of a window goes to the one tap that won it.

use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;

use alloc::sync::Arc;

use super::Float;
use super::axes::{Adjoint, Blocks, Strides};
use super::lanes::Winners as Kept;
use super::maxima::{Maxima, Rule, Winners};
use super::rows::Rows;
use crate::geometry::Count;
use crate::index::{IndexType, Indices, IndicesMut};
use crate::indexed::{BindFind, Shared};
use crate::kernels::Operation;
use crate::plan::Facts;
use crate::pool::Parts;
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
