//! The backward pass of averages and sums: every tap of a window gets the window's gradient over its divisor.

use core::marker::PhantomData;

use alloc::sync::Arc;

use super::axes::{Adjoint, Blocks, Strides, Windows};
use super::lanes::Shares as Kept;
use super::rows::{Plan, Rows};
use super::sealed::Sum;
use super::{Float, Gives, LANES, Tap, part};
use crate::geometry::{Count, MAX_RANK, Window};
use crate::{AvgPool, Error, Layout, Result, SumPool, Tasks};

/// The backward pass of [`AvgPool`], [`SumPool`] and adaptive average pooling.
///
/// `grad_input[i] = Σ grad_output[o] / divisor[o]` over the windows `o` that hold `i`, each term a true division; a sum
/// divides by 1. An element that no window holds gets 0. The divisor of each window is that of the forward pass:
/// PyTorch's `avg_pool1d` to `avg_pool3d` backward.
///
/// - **Order**: the windows' row-major order, one after the other. Where more than 256 windows hold an element, they are
///   cut in that order into blocks of 256, and neighbouring blocks are added, an odd last one waiting, until one is left.
/// - **Precision**: `f64` is summed in `f64`; `f32`, `f16` and `bf16` in `f32`, and rounded once, at the end.
///
/// ```
/// use lanepool::{AvgPool, Layout};
/// let layer = AvgPool::<f32>::new([2]).stride([1]);
/// let backward = layer.backward(Layout::Nchw, [1, 1, 4])?;
/// let mut grad_input = vec![0.0; backward.input_len()];
/// backward.run(&[2.0, 4.0, 6.0], &mut grad_input)?;
/// assert_eq!(grad_input, [1.0, 3.0, 5.0, 3.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AvgBackward<T> {
    pub(super) layer: Arc<Adjoint>,
    count: Count,
    element: PhantomData<fn() -> T>,
}

impl<T: Float> AvgPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`. The tier is not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape or the divisor, as for [`AvgPool::plan`](crate::Pool::plan).
    pub fn backward(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<AvgBackward<T>> {
        AvgBackward::of(self.window(), self.count(T::DTYPE), layout, shape.as_ref(), None)
    }

    /// [`AvgPool::backward`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided). Here the gradient of the input is what is written: its elements, by the
    /// strides `input`, lie apart and in the layout's order, and nothing is written between them. The gradient of the output, by
    /// the strides `output`, may lie in any order, and on itself: a stride of 0 is one gradient for all.
    ///
    /// ```
    /// use lanepool::{AvgPool, Layout};
    /// // One gradient for all outputs; the second of two channels, channels last.
    /// let backward = AvgPool::<f32>::new([2]).backward_strided(Layout::Nhwc, [1, 1, 4], [8, 1, 2], [0, 1, 0])?;
    /// let mut grad_input = [-1.0; 8];
    /// backward.run(&[2.0], &mut grad_input[1..])?;
    /// assert_eq!(grad_input, [-1.0, 1.0, -1.0, 2.0, -1.0, 2.0, -1.0, 1.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AvgPool::backward`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn backward_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AvgBackward<T>> {
        AvgBackward::of(
            self.window(),
            self.count(T::DTYPE),
            layout,
            shape.as_ref(),
            Some([input.as_ref(), output.as_ref()]),
        )
    }
}

impl<T: Float> SumPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`. The tier is not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window or the shape, as for [`SumPool::plan`](crate::Pool::plan).
    pub fn backward(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<AvgBackward<T>> {
        AvgBackward::of(self.window(), self.count(T::DTYPE), layout, shape.as_ref(), None)
    }

    /// [`SumPool::backward`] for tensors that are parts of larger ones, as [`AvgPool::backward_strided`].
    ///
    /// # Errors
    /// As for [`AvgPool::backward_strided`].
    pub fn backward_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AvgBackward<T>> {
        AvgBackward::of(
            self.window(),
            self.count(T::DTYPE),
            layout,
            shape.as_ref(),
            Some([input.as_ref(), output.as_ref()]),
        )
    }
}

impl<T: Float> AvgBackward<T> {
    fn of(window: &Window, count: Count, layout: Layout, shape: &[usize], both: Option<[&[usize]; 2]>) -> Result<Self> {
        let strides = Strides { both, writes_indices: false };
        Self::new(Adjoint::of_window(window, layout, shape, strides, size_of::<T>())?, count)
    }

    fn new(layer: Adjoint, count: Count) -> Result<Self> {
        if count == Count::Fixed(0) {
            return Err(Error::BadDivisor);
        }
        Ok(Self { layer: Arc::new(layer), count, element: PhantomData })
    }

    /// The backward pass of adaptive average pooling to `output` lengths, for an input of shape `N, C, spatial…`: output `o` of
    /// `m` covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)` of `n` inputs (PyTorch).
    ///
    /// ```
    /// use lanepool::{AvgBackward, Layout};
    /// // Three inputs to two outputs: the one in the middle belongs to both.
    /// let backward = AvgBackward::<f64>::adaptive([2], Layout::Nchw, [1, 1, 3])?;
    /// let mut grad_input = [0.0; 3];
    /// backward.run(&[2.0, 4.0], &mut grad_input)?;
    /// assert_eq!(grad_input, [1.0, 3.0, 2.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the shape or the output's lengths, of which none may be 0.
    pub fn adaptive(output: impl AsRef<[usize]>, layout: Layout, shape: impl AsRef<[usize]>) -> Result<Self> {
        Self::adaptive_at(output.as_ref(), layout, shape.as_ref(), Strides::default())
    }

    /// [`AvgBackward::adaptive`] to `lengths` for tensors that are parts of larger ones, as [`AvgPool::backward_strided`].
    ///
    /// # Errors
    /// As for [`AvgBackward::adaptive`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn adaptive_strided(
        lengths: impl AsRef<[usize]>,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<Self> {
        let both = Some([input.as_ref(), output.as_ref()]);
        Self::adaptive_at(lengths.as_ref(), layout, shape.as_ref(), Strides { both, writes_indices: false })
    }

    fn adaptive_at(lengths: &[usize], layout: Layout, shape: &[usize], strides: Strides<'_>) -> Result<Self> {
        Self::new(Adjoint::adaptive(lengths, layout, shape, strides, size_of::<T>())?, Count::Valid)
    }

    /// Computes the gradient of the input from that of the output. Allocates nothing; every element is written (but for
    /// the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::GradientLen`] where a slice is not exactly as long as the plan needs; nothing is written then.
    pub fn run(&self, grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        self.run_blocks(&self.layer.blocks(), grad_output, grad_input)
    }

    /// The same on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`AvgBackward::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        let moved = size_of_val(grad_output).saturating_add(size_of_val(grad_input));
        self.run_parallel_in(crate::tasks::worth(moved), grad_output, grad_input)
    }

    /// [`AvgBackward::run_parallel`] in at most so many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        self.layer.check_gradients(grad_output, grad_input, &self.layer.blocks())?;
        let tasks = self.tasks(most);
        tasks.fork(0..tasks.len(), grad_input, 1, &|task, part| self.run_task(&tasks, task, grad_output, part))
    }

    /// Cuts the gradient of the input into at most `most` parts that can be computed apart: planes, or channels last, images. See
    /// [`AvgBackward::run_task`].
    pub fn tasks(&self, most: usize) -> Tasks {
        self.layer.tasks(most)
    }

    /// Computes one part of the input's gradient, the range [`Tasks::range`], from the whole gradient of the output; nothing else is
    /// written. All tasks, on any threads and in any order, give the bytes of [`AvgBackward::run`].
    ///
    /// ```
    /// use lanepool::{AvgPool, Layout};
    /// let backward = AvgPool::<f32>::new([2]).stride([2]).backward(Layout::Nchw, [1, 2, 4])?;
    /// let (mut grad_input, tasks) = ([-1.0; 8], backward.tasks(2));
    /// for task in 0..tasks.len() {
    ///     backward.run_task(&tasks, task, &[2.0, 4.0, 6.0, 8.0], &mut grad_input[tasks.range(task)])?;
    /// }
    /// assert_eq!(grad_input, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AvgBackward::run`] and for [`Plan::run_task`](crate::Plan::run_task). Nothing is written then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, grad_output: &[T], part: &mut [T]) -> Result<()> {
        self.run_blocks(&self.layer.blocks_of(tasks, task)?, grad_output, part)
    }

    fn run_blocks(&self, blocks: &Blocks, grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        self.layer.check_gradients(grad_output, grad_input, blocks)?;
        let (layer, count, equal) = (&*self.layer, self.count, self.layer.equal(self.count));
        match Plan::new(layer) {
            Some(plan) => {
                let rows = Rows { layer, count, equal, coding: None };
                let mut kept = Kept::new(grad_output, grad_input, blocks.base);
                rows.fill(&plan, blocks.range.clone(), &mut kept);
            }
            None => layer.gather(blocks, grad_input, Shares { layer, count, equal, grad_output }),
        }
        Ok(())
    }
}

/// Every tap gets its share of a window's gradient.
struct Shares<'a, T> {
    layer: &'a Adjoint,
    count: Count,
    /// The divisor, where all windows have the same.
    equal: Option<usize>,
    grad_output: &'a [T],
}

impl<T> Shares<'_, T> {
    #[inline(always)]
    fn divisor(&self, window: [usize; MAX_RANK]) -> usize {
        self.equal.unwrap_or_else(|| self.layer.divisor(self.count, window))
    }
}

impl<T: Float> Gives<T> for Shares<'_, T> {
    type Known = ();

    #[inline(always)]
    fn known(&self, _plane: usize, _at: [usize; MAX_RANK]) {}

    #[inline(always)]
    fn one(&self, (): (), tap: &Tap, sum: T::Acc) -> T::Acc {
        let divisor = T::Acc::of(self.divisor(tap.window));
        self.grad_output.get(tap.output).map_or(sum, |gradient| sum.plus(gradient.widened().over(divisor)))
    }

    #[inline(always)]
    fn many(&self, (): (), tap: &Tap, sums: &mut [T::Acc]) {
        let divisor = T::Acc::of(self.divisor(tap.window));
        let mut room = [T::Acc::ZERO; LANES];
        add_shares(sums, T::widened_all(part(self.grad_output, tap.output, sums.len()), &mut room), divisor);
    }
}

#[inline(never)]
fn add_shares<A: Sum>(sums: &mut [A], gradients: &[A], divisor: A) {
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        *sum = sum.plus(gradient.over(divisor));
    }
}

impl Adjoint {
    /// What all windows divide by, where that is one number.
    pub(super) fn equal(&self, count: Count) -> Option<usize> {
        let is_equal = matches!(count, Count::Fixed(_)) || self.axes.iter().all(Windows::are_whole);
        is_equal.then(|| self.divisor(count, [0; MAX_RANK]))
    }

    /// What the gradient of a window is divided by.
    pub(super) fn divisor(&self, count: Count, window: [usize; MAX_RANK]) -> usize {
        if let Count::Fixed(divisor) = count {
            return divisor;
        }
        let axes = self.axes.iter().zip(window);
        axes.map(|(axis, o)| axis.count(o, count)).fold(1, usize::saturating_mul)
    }
}
