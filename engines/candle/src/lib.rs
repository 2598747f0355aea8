#![doc = include_str!("../../../docs/candle.md")]

mod gradient;

use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{cast_slice, cast_slice_mut};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Error, MetalStorage, Module, Result, Shape, Tensor, bail};
use lanepool::{Any, AnyPlan, Element, Pool};

pub use gradient::Differentiable;
use gradient::Gradient;

/// A pooling layer for candle's tensors: a [`Module`], and an operator of its own ([`CustomOp1`]), with a gradient.
///
/// Made of any layer of lanepool's of this operation: `MaxPool`, `MinPool`, `AvgPool`, `SumPool`, with every attribute that they have.
/// A tensor is `N, C, spatial…` with 1 to 3 spatial axes, of `f32`, `f64`, `f16`, `bf16`, `u8`, `i16`, `i32`, `u32` or `i64` (of
/// which there are maxima and minima alone), on the CPU. As a module it takes a tensor of any strides, and copies one that is not
/// contiguous; as an operator it refuses that.
///
/// The layer is planned at the first tensor, and again when the shape or the type changes. Clones share the plan.
///
/// The gradient is that of the pooling alone, for floats: a layer with `clamp` does not know what its bounds have cut.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use lanepool::AvgPool;
/// use lanepool_candle::Pooling;
///
/// // One dimension, ceil mode, padding that does not count.
/// let layer = Pooling::new(AvgPool::new([2]).stride([2]).padding([1]).ceil_mode(true));
/// let x = Tensor::new(&[[[2_f32, 4.0, 6.0, 8.0]]], &Device::Cpu)?;
/// assert_eq!(layer.forward(&x)?.to_vec3::<f32>()?, [[[2.0, 5.0, 8.0]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pooling<O> {
    layer: Pool<O, Any>,
    plan: Arc<Mutex<Option<AnyPlan>>>,
}

impl<O: Differentiable> Pooling<O> {
    /// The layer for candle.
    pub fn new(layer: Pool<O, Any>) -> Self {
        Self { layer, plan: Arc::default() }
    }

    /// The plan for a tensor: the last one, if it is for the same shape and type.
    fn plan<T: Element>(&self, shape: &[usize]) -> Result<AnyPlan> {
        let mut kept = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = kept.as_ref().filter(|plan| plan.dtype() == T::DTYPE && plan.input_shape() == shape) {
            return Ok(plan.clone());
        }
        let plan = self.layer.plan_as(T::DTYPE, lanepool::Layout::Nchw, shape).map_err(Error::wrap)?;
        Ok(kept.insert(plan).clone())
    }

    fn pool<T: Element>(&self, src: &[T], shape: &[usize]) -> Result<(Vec<T>, Shape)> {
        let plan = self.plan::<T>(shape)?;
        let output = Shape::from(plan.output_shape());
        let mut dst = vec![T::zeroed(); output.elem_count()];
        plan.run(cast_slice(src), cast_slice_mut(&mut dst)).map_err(Error::wrap)?;
        Ok((dst, output))
    }
}

impl<O: Differentiable> Module for Pooling<O> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.clone())
    }
}

/// The elements of a contiguous tensor.
fn elements<'a, T>(storage: &'a [T], layout: &candle_core::Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage[start..end]),
        None => bail!(
            "lanepool pools contiguous tensors, and this one of shape {:?} has the strides {:?}: call contiguous() first",
            layout.dims(),
            layout.stride()
        ),
    }
}

fn wrong_device<T>(device: &str) -> Result<T> {
    bail!("lanepool pools on the CPU, and the tensor is on a {device} device: move it with to_device(&Device::Cpu)")
}

impl<O: Differentiable> CustomOp1 for Pooling<O> {
    fn name(&self) -> &'static str {
        O::OPERATOR
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &candle_core::Layout) -> Result<(CpuStorage, Shape)> {
        macro_rules! pooled {
            ($($variant:ident),+) => {
                match storage {
                    $(CpuStorage::$variant(all) => {
                        let (values, shape) = self.pool(elements(all, layout)?, layout.dims())?;
                        Ok((CpuStorage::$variant(values), shape))
                    })+
                    other => bail!("lanepool does not pool elements of type {:?}", other.dtype()),
                }
            };
        }
        pooled!(F32, F64, F16, BF16, U8, I16, I32, U32, I64)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &candle_core::Layout) -> Result<(CudaStorage, Shape)> {
        wrong_device("CUDA")
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &candle_core::Layout) -> Result<(MetalStorage, Shape)> {
        wrong_device("Metal")
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let gradient = Gradient { layer: self.layer };
        x.contiguous()?.apply_op2_no_bwd(&grad.contiguous()?, &gradient).map(Some)
    }
}
