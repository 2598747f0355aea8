//! The backward pass of Lp pooling with p = 2.

use core::marker::PhantomData;

use alloc::sync::Arc;

use super::axes::{Adjoint, Strides};
use super::sealed::Sum;
use super::{Float, Gives, LANES, Tap, channels};
use crate::geometry::MAX_RANK;
use crate::{Error, Layout, LpPool, Result};

/// The backward pass of Lp pooling with `p = 2`: of `y = √Σx²`.
///
/// `grad_input[i] = Σ (input[i] / output[o]) · grad_output[o]` over the windows `o` that hold `i`, in the order of
/// [`AvgBackward`](crate::AvgBackward).
/// Where `output[o]` is 0 the term is 0, the gradient of least norm where there are many. The quotient comes first: it is at most 1, so that no
/// term overflows that need not. Sums are made in `f32` (in `f64` for `f64`) and rounded once.
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
    element: PhantomData<fn() -> T>,
}

impl<T: Float> LpPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`. The tier is not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window or the shape, as for [`LpPool::plan`](crate::Pool::plan); [`Error::Unsupported`] where p is
    /// not 2 or the powers are averaged.
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
        if !self.is_euclidean() {
            return Err(Error::Unsupported { why: "Lp pooling has a backward pass for p = 2 alone, without a mean" });
        }
        let strides = Strides { both, writes_indices: false };
        let layer = Adjoint::of_window(self.window(), layout, shape, strides, size_of::<T>())?;
        Ok(LpBackward { layer: Arc::new(layer), element: PhantomData })
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
        let (need, need_dst) = (self.layer.input_len(), self.layer.output_len());
        if input.len() != need {
            return Err(Error::SrcLen { need, got: input.len() });
        }
        if output.len() != need_dst {
            return Err(Error::DstLen { need: need_dst, got: output.len() });
        }
        self.layer.check_gradients(grad_output, grad_input)?;
        self.layer.gather(grad_input, Slopes { input, output, grad_output });
        Ok(())
    }
}

/// Every tap gets the window's gradient by its share of the norm.
struct Slopes<'a, T> {
    input: &'a [T],
    output: &'a [T],
    grad_output: &'a [T],
}

impl<T: Float> Gives<T> for Slopes<'_, T> {
    type Known = ();

    #[inline(always)]
    fn known(&self, _plane: usize, _at: [usize; MAX_RANK]) {}

    #[inline(always)]
    fn one(&self, (): (), tap: &Tap, sum: T::Acc) -> T::Acc {
        let outputs = self.output.get(tap.output).zip(self.grad_output.get(tap.output));
        match (self.input.get(tap.input), outputs) {
            (Some(x), Some((y, gradient))) => sum.plus(term(x.widened(), y.widened(), gradient.widened())),
            _ => sum,
        }
    }

    #[inline(always)]
    fn many(&self, (): (), tap: &Tap, sums: &mut [T::Acc]) {
        let lanes = sums.len();
        let (mut a, mut b, mut c) = ([T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES], [T::Acc::ZERO; LANES]);
        let x = T::widened_all(channels(self.input, tap.input, lanes), &mut a);
        let y = T::widened_all(channels(self.output, tap.output, lanes), &mut b);
        let gradient = T::widened_all(channels(self.grad_output, tap.output, lanes), &mut c);
        add_terms(sums, x, y, gradient);
    }
}

/// What one window of norm `y` gives to one of its elements.
#[inline(always)]
fn term<A: Sum>(x: A, y: A, gradient: A) -> A {
    let term = x.over(y).times(gradient);
    if y == A::ZERO { A::ZERO } else { term }
}

#[inline(never)]
fn add_terms<A: Sum>(sums: &mut [A], x: &[A], y: &[A], gradients: &[A]) {
    for ((sum, x), (y, gradient)) in sums.iter_mut().zip(x).zip(y.iter().zip(gradients)) {
        *sum = sum.plus(term(*x, *y, *gradient));
    }
}
