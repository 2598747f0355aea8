//! The backward pass of Lp pooling.

use core::marker::PhantomData;

use alloc::sync::Arc;

use super::axes::{Adjoint, Blocks, Strides, Taps};
use super::lanes::Norms as Kept;
use super::rows::{Plan, Rows};
use super::sealed::Sum;
use super::{Float, Gives, LANES, Tap, part, part_mut};
use crate::geometry::{Count, MAX_RANK};
use crate::kernels::{Raise, Raising, widest};
use crate::{Error, Layout, LpPool, Result, Tasks};

/// The backward pass of Lp pooling: of `y = (Σ|x|^p)^(1/p)`, or of the power mean.
///
/// `grad_input[i] = Σ slope · grad_output[o]` over the windows `o` that hold `i`, in the order of
/// [`AvgBackward`](crate::AvgBackward), where the slope is what the norm changes with the element:
///
/// | p | slope |
/// |---|---|
/// | 2 | `x / y` |
/// | 1 | the sign of `x` |
/// | ∞ | the sign of `x` for the first tap whose magnitude is `y`, in row-major order; 0 for the others (PyTorch) |
/// | any other | `(abs(x) / y)^(p−1)` with the sign of `x` |
///
/// - **Mean**: of a power mean the gradient of a window is divided by its number of valid taps first. With p = ∞ there is no mean.
/// - **Zero**: where `x` is 0 the slope is 0, and so it is where `y` is: the gradient of least norm where there are many,
///   and 0 where p below 1 has none.
/// - **Precision**: the quotient comes first: it is at most 1, so that no term overflows that need not. Where p is below 1 it is
///   `y / abs(x)`, to the power of `1−p`. Powers are those of [`LpPool`]: of sums that are made in `f32` within 0.502 units in the last
///   place, of those in `f64` within 0.8. Sums are rounded once.
/// - **NaN** in a window, which makes its norm NaN, makes the gradients of all its elements NaN, but for p = 1, where
///   only its own is.
///
/// ```
/// use lanepool::{Layout, LpPool};
/// let backward = LpPool::<f32>::new([2]).stride([2]).backward(Layout::Nchw, [1, 1, 4])?;
/// let mut grad_input = vec![1.0; backward.input_len()];
/// backward.run(&[3.0, 4.0, 0.0, 0.0], &[5.0, 0.0], &[10.0, 1.0], &mut grad_input)?;
/// assert_eq!(grad_input, [6.0, 8.0, 0.0, 0.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LpBackward<T> {
    pub(super) layer: Arc<Adjoint>,
    slope: Slope,
    /// Whether gradients are divided by the valid taps.
    mean: bool,
    element: PhantomData<fn() -> T>,
}

/// How a norm changes with its elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slope {
    One,
    Two,
    Infinite,
    /// The quotient of the element by the norm to the power of p − 1; or `turned` round to that of 1 − p.
    Power {
        raise: Raise,
        turned: bool,
    },
}

/// Terms that are made together.
const TOGETHER: usize = 256;

impl<T: Float> LpPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`. The tier is not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape or p, as for [`LpPool::plan`](crate::Pool::plan).
    pub fn backward(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<LpBackward<T>> {
        self.backward_at(layout, shape.as_ref(), None)
    }

    /// [`LpPool::backward`] for tensors that are parts of larger ones, as
    /// [`AvgPool::backward_strided`](crate::AvgPool::backward_strided): the layer's input lies as its gradient does, by the strides
    /// `input`, and so do the output and its gradient, by the strides `output`.
    ///
    /// # Errors
    /// As for [`LpPool::backward`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn backward_strided(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<LpBackward<T>> {
        self.backward_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn backward_at(&self, layout: Layout, shape: &[usize], both: Option<[&[usize]; 2]>) -> Result<LpBackward<T>> {
        let (p, count) = self.norm(T::DTYPE)?;
        let slope = match p {
            1.0 => Slope::One,
            2.0 => Slope::Two,
            f64::INFINITY => Slope::Infinite,
            p => Slope::Power { raise: T::Acc::raise((p - 1.0).abs()), turned: p < 1.0 },
        };
        let strides = Strides { both, writes_indices: false };
        let layer = Adjoint::of_window(self.window(), layout, shape, strides, size_of::<T>())?;
        Ok(LpBackward { layer: Arc::new(layer), slope, mean: count == Count::Valid, element: PhantomData })
    }
}

impl<T: Float> LpBackward<T> {
    /// Computes the gradient of the input from the input, the output that the forward pass gave, and the output's gradient.
    /// Allocates nothing; every element is written (but for the gaps of a plan with strides).
    ///
    /// # Errors
    /// [`Error::SrcLen`] for the input, [`Error::DstLen`] for the output and [`Error::GradientLen`] where a slice is not exactly as
    /// long as the plan needs; nothing is written then.
    pub fn run(&self, input: &[T], output: &[T], grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        self.run_blocks(&self.layer.blocks(), [input, output, grad_output], grad_input)
    }

    /// The same on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`LpBackward::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, input: &[T], output: &[T], grad_output: &[T], grad_input: &mut [T]) -> Result<()> {
        // The output is as long as its gradient, and the input as its own.
        let moved = size_of_val(grad_output).saturating_add(size_of_val(grad_input)).saturating_mul(2);
        self.run_parallel_in(crate::tasks::worth(moved), [input, output, grad_output], grad_input)
    }

    /// [`LpBackward::run_parallel`] of input, output and its gradient in at most so many tasks, for tests: any number gives the same
    /// bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, read: [&[T]; 3], grad_input: &mut [T]) -> Result<()> {
        self.check(read, grad_input, &self.layer.blocks())?;
        let tasks = self.tasks(most);
        tasks.fork(0..tasks.len(), grad_input, 1, &|task, part| {
            self.run_blocks(&self.layer.blocks_of(&tasks, task)?, read, part)
        })
    }

    /// Cuts the gradient of the input into at most `most` parts that can be computed apart: planes, or channels last, images. See
    /// [`LpBackward::run_task`].
    pub fn tasks(&self, most: usize) -> Tasks {
        self.layer.tasks(most)
    }

    /// Computes one part of the input's gradient, the range [`Tasks::range`], from the whole input, output and gradient of the
    /// output; nothing else is written. All tasks, on any threads and in any order, give the bytes of [`LpBackward::run`].
    ///
    /// ```
    /// use lanepool::{Layout, LpPool};
    /// let backward = LpPool::<f32>::new([2]).stride([2]).backward(Layout::Nchw, [1, 2, 2])?;
    /// let (mut grad_input, tasks) = ([-1.0; 4], backward.tasks(2));
    /// for task in 0..tasks.len() {
    ///     let (input, output) = (&[3.0, 4.0, 0.0, 0.0], &[5.0, 0.0]);
    ///     backward.run_task(&tasks, task, input, output, &[10.0, 1.0], &mut grad_input[tasks.range(task)])?;
    /// }
    /// assert_eq!(grad_input, [6.0, 8.0, 0.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`LpBackward::run`] and for [`Plan::run_task`](crate::Plan::run_task). Nothing is written then.
    pub fn run_task(
        &self,
        tasks: &Tasks,
        task: usize,
        input: &[T],
        output: &[T],
        grad_output: &[T],
        part: &mut [T],
    ) -> Result<()> {
        self.run_blocks(&self.layer.blocks_of(tasks, task)?, [input, output, grad_output], part)
    }

    fn check(&self, [input, output, grad_output]: [&[T]; 3], grad_input: &[T], blocks: &Blocks) -> Result<()> {
        let (need, need_dst) = (self.layer.input_len(), self.layer.output_len());
        if input.len() != need {
            return Err(Error::SrcLen { need, got: input.len() });
        }
        if output.len() != need_dst {
            return Err(Error::DstLen { need: need_dst, got: output.len() });
        }
        self.layer.check_gradients(grad_output, grad_input, blocks)
    }

    fn run_blocks(&self, blocks: &Blocks, read: [&[T]; 3], grad_input: &mut [T]) -> Result<()> {
        self.check(read, grad_input, blocks)?;
        let (layer, slope, [input, output, grad_output]) = (&*self.layer, self.slope, read);
        let count = if self.mean { Count::Valid } else { Count::Fixed(1) };
        // Which tap is the first that has a norm of infinity, only the whole window tells.
        let plan = if matches!(slope, Slope::Infinite) { None } else { Plan::new(layer) };
        match plan {
            Some(plan) => {
                let rows = Rows { layer, count, equal: layer.equal(count), coding: None };
                rows.fill(&plan, blocks.range.clone(), &mut Kept::new(read, grad_input, blocks.base, slope));
            }
            None => layer.gather(blocks, grad_input, Slopes { layer, slope, count, input, output, grad_output }),
        }
        Ok(())
    }
}

/// Every tap gets the window's gradient by its share of the norm.
struct Slopes<'a, T: Float> {
    layer: &'a Adjoint,
    slope: Slope,
    /// What gradients are divided by.
    count: Count,
    input: &'a [T],
    output: &'a [T],
    grad_output: &'a [T],
}

impl<T: Float> Slopes<'_, T> {
    /// Whether no tap of the window before this one, in channel `channel` of those that the tap stands for, has the
    /// magnitude of the norm. Looked for backwards: all such taps of a window together look at each of its taps once.
    #[inline(never)]
    fn is_first(&self, tap: &Tap, channel: usize, norm: T::Acc) -> bool {
        let from = &self.layer.input;
        let first = tap.input.saturating_sub(from.pixel(tap.at)).saturating_add(channel);
        let is_it = |at: [usize; MAX_RANK]| {
            let x = self.input.get(first.saturating_add(from.pixel(at)));
            x.is_some_and(|x| x.widened().magnitude() == norm)
        };
        let axes = self.layer.axes.iter().zip(tap.window).map(|(axis, o)| axis.taps(o));
        let mut taps = [Taps { start: 0, count: 1, step: 1, skipped: 0, kernel: 1 }; MAX_RANK];
        taps.iter_mut().zip(axes).for_each(|(to, from)| *to = from);
        let [depth, height, width] = taps;
        let [z, y, x] = tap.at;
        let in_row = |z: usize, y: usize, end: Option<usize>| width.before(end).any(|x| is_it([z, y, x]));
        let in_slab = |z: usize, end: Option<usize>| height.before(end).any(|y| in_row(z, y, None));
        !(in_row(z, y, Some(x)) || in_slab(z, Some(y)) || depth.before(Some(z)).any(|z| in_slab(z, None)))
    }

    /// Adds the terms of a norm of infinity: those of the first taps that have it.
    #[inline(never)]
    fn add_firsts(&self, tap: &Tap, sums: &mut [T::Acc], terms: Terms<'_, T::Acc>) {
        let each = terms.x.iter().zip(terms.y).zip(terms.gradient);
        for (channel, (sum, ((x, y), gradient))) in sums.iter_mut().zip(each).enumerate() {
            if y.is_nan() {
                *sum = sum.plus(*y);
            } else if x.magnitude() == *y && *y > T::Acc::ZERO && self.is_first(tap, channel, *y) {
                *sum = sum.plus(x.sign().times(*gradient));
            }
        }
    }
}

impl<T: Float> Gives<T> for Slopes<'_, T> {
    type Known = ();

    #[inline(always)]
    fn known(&self, _plane: usize, _at: [usize; MAX_RANK]) {}

    #[inline(always)]
    fn one(&self, (): (), tap: &Tap, mut sum: T::Acc) -> T::Acc {
        self.many((), tap, core::slice::from_mut(&mut sum));
        sum
    }

    #[inline(always)]
    fn many(&self, (): (), tap: &Tap, sums: &mut [T::Acc]) {
        let lanes = sums.len();
        let (mut a, mut b, mut c) = ([T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES]);
        T::over_all(part(self.grad_output, tap.output, lanes), self.layer.divisor(self.count, tap.window), &mut c);
        let terms = Terms {
            x: T::widened_all(part(self.input, tap.input, lanes), &mut a),
            y: T::widened_all(part(self.output, tap.output, lanes), &mut b),
            gradient: part(&c, 0, lanes),
        };
        if let Slope::Infinite = self.slope {
            self.add_firsts(tap, sums, terms);
        } else {
            add_terms(sums, terms, &self.slope);
        }
    }
}

/// Elements, and the norms and gradients of a window of each.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a, A> {
    pub x: &'a [A],
    pub y: &'a [A],
    pub gradient: &'a [A],
}

/// Adds what windows give to elements, for any finite p: their slopes without signs are made first, but for p = 2.
pub(super) fn add_terms<A: Sum>(sums: &mut [A], terms: Terms<'_, A>, slope: &Slope) {
    if let Slope::Two = slope {
        return add_quotients(sums, terms);
    }
    let mut from = 0;
    for sums in sums.chunks_mut(TOGETHER) {
        let [x, y, gradient] = [terms.x, terms.y, terms.gradient].map(|all| part(all, from, sums.len()));
        let mut slopes = [A::of(1); TOGETHER];
        let slopes = part_mut(&mut slopes, 0, sums.len());
        match slope {
            Slope::One | Slope::Two | Slope::Infinite => {}
            Slope::Power { raise, turned } => {
                divide(slopes, x, y, *turned);
                raise.all(slopes);
            }
        }
        add_some(sums, Terms { x, y, gradient }, slopes);
        from = from.wrapping_add(TOGETHER);
    }
}

/// Adds the terms of p = 2, which a norm of 0 has none of.
#[inline(never)]
fn add_quotients<A: Sum>(sums: &mut [A], terms: Terms<'_, A>) {
    widest(
        #[inline(always)]
        || {
            for (sum, ((x, y), gradient)) in sums.iter_mut().zip(terms.x.iter().zip(terms.y).zip(terms.gradient)) {
                let term = x.over(*y).times(*gradient);
                *sum = sum.plus(if *y == A::ZERO { A::ZERO } else { term });
            }
        },
    );
}

/// The magnitudes of elements by norms, or `turned` round.
#[inline(never)]
fn divide<A: Sum>(to: &mut [A], x: &[A], y: &[A], turned: bool) {
    widest(
        #[inline(always)]
        || {
            for (to, (x, y)) in to.iter_mut().zip(x.iter().zip(y)) {
                let x = x.magnitude();
                let (over, under) = if turned { (*y, x) } else { (x, *y) };
                *to = over.over(under);
            }
        },
    );
}

/// Adds the terms of some elements whose slopes are known but for their signs. A norm of 0 gives nothing.
#[inline(never)]
fn add_some<A: Sum>(sums: &mut [A], terms: Terms<'_, A>, slopes: &[A]) {
    widest(
        #[inline(always)]
        || {
            let terms = terms.x.iter().zip(terms.y).zip(terms.gradient);
            for ((sum, slope), ((x, y), gradient)) in sums.iter_mut().zip(slopes).zip(terms) {
                // Below p = 1 the power of 0 is infinite.
                let slope = if *x == A::ZERO && !y.is_nan() { *x } else { x.sign().times(*slope) };
                let term = slope.times(*gradient);
                *sum = sum.plus(if *y == A::ZERO { A::ZERO } else { term });
            }
        },
    );
}
