//! The way back: from the gradient of a layer's output to that of its input.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, bail};
use lanepool::{Any, Avg, Float, IndexKind, Layout::Nchw, Max, Min, Pool, PoolOperation, Sum};

use crate::elements;

/// The operations that [`Pooling`](crate::Pooling) has, each with its gradient.
pub trait Differentiable: PoolOperation + Send + Sync + 'static {
    /// The operator's name in candle.
    const OPERATOR: &'static str;

    /// Fills the gradient of an input of shape `N, C, spatial…` from the input and the gradient of the output.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape or the lengths.
    fn gradient<T: Float>(
        layer: &Pool<Self, T>,
        shape: &[usize],
        input: &[T],
        grad_output: &[T],
        grad_input: &mut [T],
    ) -> lanepool::Result<()>;
}

/// The gradient of an extreme goes to the element that it was: the first among equals.
macro_rules! extremes {
    ($($operation:ty: $name:literal),+) => { $(
        impl Differentiable for $operation {
            const OPERATOR: &'static str = $name;

            fn gradient<T: Float>(
                layer: &Pool<Self, T>,
                shape: &[usize],
                input: &[T],
                grad_output: &[T],
                grad_input: &mut [T],
            ) -> lanepool::Result<()> {
                let backward = layer.backward::<i64>(IndexKind::Plane, Nchw, shape)?;
                let mut indices = vec![0; backward.output_len()];
                backward.run_from_input(input, grad_output, &mut indices, grad_input)
            }
        }
    )+ };
}

/// The gradient of a mean or sum goes to all taps alike, over the divisor.
macro_rules! sums {
    ($($operation:ty: $name:literal),+) => { $(
        impl Differentiable for $operation {
            const OPERATOR: &'static str = $name;

            fn gradient<T: Float>(
                layer: &Pool<Self, T>,
                shape: &[usize],
                _input: &[T],
                grad_output: &[T],
                grad_input: &mut [T],
            ) -> lanepool::Result<()> {
                layer.backward(Nchw, shape)?.run(grad_output, grad_input)
            }
        }
    )+ };
}

extremes!(Max: "lanepool-max", Min: "lanepool-min");
sums!(Avg: "lanepool-average", Sum: "lanepool-sum");

/// The gradient of a layer as an operator of its input and of the gradient of its output.
pub(crate) struct Gradient<O> {
    pub(crate) layer: Pool<O, Any>,
}

impl<O: Differentiable> CustomOp2 for Gradient<O> {
    fn name(&self) -> &'static str {
        O::OPERATOR
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        grad: &CpuStorage,
        of_grad: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        macro_rules! gradient {
            ($($variant:ident),+) => {
                match (x, grad) {
                    $((CpuStorage::$variant(x), CpuStorage::$variant(grad)) => {
                        let (x, grad) = (elements(x, of_x)?, elements(grad, of_grad)?);
                        let mut grad_x = vec![Default::default(); x.len()];
                        O::gradient(&self.layer.with_element(), of_x.dims(), x, grad, &mut grad_x).map_err(Error::wrap)?;
                        Ok((CpuStorage::$variant(grad_x), of_x.shape().clone()))
                    })+
                    _ => bail!("{} has no gradient for elements of type {:?}", O::OPERATOR, x.dtype()),
                }
            };
        }
        gradient!(F32, F64, F16, BF16)
    }
}
