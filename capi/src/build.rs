//! From a checked description to a plan.

use lanepool::erased::{Adaptive, Fractional, Indexed, Indices, Tensor};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, Any, AvgBackward, AvgPool, DType, Element, Float, FractionalMaxPool, Index,
    LpPool, MaxBackward, MaxPool, MaxUnpool, MinPool, Pool, PoolOperation, QuantizedAvgPool, QuantizedMaxPool, SumPool,
};

use crate::codes::{self, IndexType, Operation};
use crate::layer;
use crate::plans::{Indexing, MaxGradients, Unpooling};
use crate::spec::{Layer, Pad};
use crate::status::{Failure, LANEPOOL_UNSUPPORTED};

type Boxed = Box<dyn layer::Layer>;
type Planned = Result<Boxed, lanepool::Error>;

/// Boxes a plan of any kind: small, for it is compiled for each.
fn boxed<P: layer::Layer + 'static>(plan: Result<P, lanepool::Error>) -> Planned {
    Ok(Box::new(plan?))
}

/// Calls a function of the element type that a value stands for, of those that gradients can have.
macro_rules! with_float {
    ($dtype:expr, $of:ident($($argument:expr),*)) => {
        match $dtype {
            DType::F32 => $of::<f32>($($argument),*),
            DType::F64 => $of::<f64>($($argument),*),
            DType::F16 => $of::<half::f16>($($argument),*),
            DType::Bf16 => $of::<half::bf16>($($argument),*),
            dtype => Err(unsupported(format!("gradients are those of floats, and the element is {dtype}"))),
        }
    };
}

fn unsupported(why: impl Into<String>) -> Failure {
    Failure::new(LANEPOOL_UNSUPPORTED, why)
}

/// Plans the layer.
pub(crate) fn plan(layer: &Layer) -> Result<Boxed, Failure> {
    // Said here for all: some have the same code on every tier, and would not ask.
    if let Some((tier, why)) = layer.tier.and_then(|tier| Some((tier, tier.missing()?))) {
        return Err(lanepool::Error::TierUnavailable { tier, why }.into());
    }
    if layer.backward {
        return with_float!(layer.dtype, backward(layer));
    }
    forward(layer)
}

/// The padding before and after each spatial axis that a layer's windows have in the end.
pub(crate) fn padding(layer: &Layer) -> Result<[Vec<usize>; 2], Failure> {
    use Operation as O;
    let none = || vec![0; layer.shape().len().saturating_sub(2)];
    match (layer.operation, layer.padding) {
        (O::AdaptiveMax | O::AdaptiveAvg | O::AdaptiveQuantizedAvg | O::FractionalMax, _) => Ok([none(), none()]),
        (O::MaxUnpool, Some(Pad::Explicit(begin, end))) => Ok([begin.as_ref().to_vec(), end.as_ref().to_vec()]),
        (O::MaxUnpool, _) => Ok([none(), none()]),
        // The same for every operation and element: that of the window.
        _ => Ok(max(layer).with_element::<u8>().resolved_padding(layer.shape())?),
    }
}

fn needs_indices(layer: &Layer) -> Failure {
    let (name, direction) = (codes::OPERATION.name(layer.operation), if layer.backward { " backward" } else { "" });
    unsupported(format!("{name}{direction} is run with indices: index_type must not be LANEPOOL_INDEX_NONE"))
}

/// The window of a layer, with its bounds and tier: compiled once, whatever is done with it.
#[inline(never)]
fn window(layer: &Layer) -> MaxPool<Any> {
    let mut pool = if layer.global { MaxPool::global() } else { MaxPool::new(layer.kernel) };
    if let Some(stride) = layer.stride {
        pool = pool.stride(stride);
    }
    if let Some(dilation) = layer.dilation {
        pool = pool.dilation(dilation);
    }
    pool = match layer.padding {
        None => pool,
        Some(Pad::Explicit(begin, end)) => pool.padding_unequal(begin, end),
        Some(Pad::Valid) => pool.valid(),
        Some(Pad::SameUpper) => pool.same_upper(),
        Some(Pad::SameLower) => pool.same_lower(),
    };
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    if let Some(tier) = layer.tier {
        pool = pool.tier(tier);
    }
    pool.ceil_mode(layer.ceil).ceil_rule(layer.ceil_rule).allow_empty_windows(layer.allow_empty)
}

#[inline(never)]
fn max(layer: &Layer) -> MaxPool<Any> {
    window(layer).nan(layer.nan)
}

#[inline(never)]
fn min(layer: &Layer) -> MinPool<Any> {
    let pool: MinPool<Any> = window(layer).with_operation();
    pool.nan(layer.nan)
}

#[inline(never)]
fn sum(layer: &Layer) -> SumPool<Any> {
    window(layer).with_operation()
}

#[inline(never)]
fn avg(layer: &Layer) -> AvgPool<Any> {
    let pool: AvgPool<Any> = window(layer).with_operation();
    let pool = pool.count_include_pad(layer.include_pad).rounding(layer.rounding);
    layer.divisor.map_or(pool, |divisor| pool.divisor(divisor))
}

#[inline(never)]
fn lp(layer: &Layer) -> LpPool<Any> {
    let pool: LpPool<Any> = window(layer).with_operation();
    pool.p(layer.p).mean(layer.mean)
}

fn quantized_max(layer: &Layer) -> QuantizedMaxPool<Any> {
    let [input, output] = layer.quantization;
    let pool: QuantizedMaxPool<Any> = window(layer).with_operation();
    pool.quantization(input, output)
}

/// Calls a function that plans for tensors side by side, or its namesake for those that lie as their strides say.
macro_rules! placed {
    ($layer:expr, $on:expr, $packed:ident or $strided:ident $(::<$I:ty>)?, $($argument:expr),*) => {
        match $layer.strides() {
            Some([input, output]) => {
                $on.$strided $(::<$I>)? ($($argument,)* $layer.layout, $layer.shape(), input, output)
            }
            None => $on.$packed $(::<$I>)? ($($argument,)* $layer.layout, $layer.shape()),
        }
    };
}

/// Plans windows that move by a stride, for values alone.
#[inline(never)]
fn planned<O: PoolOperation>(layer: &Layer, pool: &Pool<O, Any>) -> Result<Boxed, Failure> {
    Ok(boxed(pool.plan_any(layer.dtype, layer.layout, layer.shape(), layer.strides()))?)
}

/// A plan, with the type of the indices that it gives and what they count.
fn indexing<P>(layer: &Layer, plan: Result<P, lanepool::Error>) -> Planned
where
    Indexing<P>: layer::Layer + 'static,
{
    boxed(plan.map(|plan| Indexing { plan, index: layer.index.map(|index| (index, layer.kind)) }))
}

/// Where the tensors lie.
fn tensor(layer: &Layer) -> Tensor<'_> {
    Tensor { dtype: layer.dtype, layout: layer.layout, shape: layer.shape(), strides: layer.strides() }
}

/// The indices that are wanted.
fn indices(layer: &Layer) -> Option<Indices> {
    layer.index.map(|index| Indices { kind: layer.kind, long: index == IndexType::I64 })
}

fn adaptive_max(layer: &Layer) -> Planned {
    let mut pool = AdaptiveMaxPool::<Any>::new(layer.output).nan(layer.nan);
    if let Some(tier) = layer.tier {
        pool = pool.tier(tier);
    }
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    indexing(layer, Adaptive::max(&pool, tensor(layer), indices(layer)))
}

fn adaptive_avg(layer: &Layer) -> Planned {
    let mut pool = AdaptiveAvgPool::<Any>::new(layer.output).rounding(layer.rounding);
    if layer.operation == Operation::AdaptiveQuantizedAvg {
        let [input, output] = layer.quantization;
        pool = pool.quantization(input, output);
    }
    if let Some(tier) = layer.tier {
        pool = pool.tier(tier);
    }
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    boxed(Adaptive::avg(&pool, tensor(layer)).map(|plan| Indexing { plan, index: None }))
}

fn fractional(layer: &Layer) -> Planned {
    let mut pool = FractionalMaxPool::<Any>::new(layer.kernel, layer.output).nan(layer.nan);
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    indexing(layer, Fractional::new(&pool, tensor(layer), indices(layer)))
}

fn forward(layer: &Layer) -> Result<Boxed, Failure> {
    let [input, output] = layer.quantization;
    match (layer.operation, indices(layer)) {
        (Operation::Max, Some(indices)) => Ok(indexing(layer, Indexed::new(&max(layer), tensor(layer), indices))?),
        (Operation::Min, Some(indices)) => Ok(indexing(layer, Indexed::new(&min(layer), tensor(layer), indices))?),
        (Operation::QuantizedMax, Some(indices)) => {
            Ok(indexing(layer, Indexed::new(&quantized_max(layer), tensor(layer), indices))?)
        }
        (Operation::Max, _) => planned(layer, &max(layer)),
        (Operation::Min, _) => planned(layer, &min(layer)),
        (Operation::Avg, _) => planned(layer, &avg(layer)),
        (Operation::Sum, _) => planned(layer, &sum(layer)),
        (Operation::Lp, _) => planned(layer, &lp(layer)),
        (Operation::QuantizedAvg, _) => {
            let pool: QuantizedAvgPool<Any> = window(layer).with_operation();
            planned(layer, &pool.quantization(input, output).count_include_pad(layer.include_pad))
        }
        (Operation::QuantizedMax, _) => planned(layer, &quantized_max(layer)),
        (Operation::AdaptiveMax, _) => Ok(adaptive_max(layer)?),
        (Operation::AdaptiveAvg | Operation::AdaptiveQuantizedAvg, _) => Ok(adaptive_avg(layer)?),
        (Operation::FractionalMax, _) => Ok(fractional(layer)?),
        (Operation::MaxUnpool, None) => Err(needs_indices(layer)),
        // Values are moved, whatever they are: as elements of their length.
        (Operation::MaxUnpool, Some(_)) => Ok(match layer.dtype.bytes() {
            1 => unpool::<u8>(layer),
            2 => unpool::<u16>(layer),
            4 => unpool::<i32>(layer),
            _ => unpool::<f64>(layer),
        }?),
    }
}

fn unpool<T: Element>(layer: &Layer) -> Planned {
    let mut pool = if layer.output_is_given { MaxUnpool::<T>::to(layer.output) } else { MaxUnpool::new(layer.kernel) };
    if let Some(stride) = layer.stride {
        pool = pool.stride(stride);
    }
    if let Some(Pad::Explicit(begin, end)) = layer.padding {
        pool = pool.padding_unequal(begin, end);
    }
    if let Some(lengths) = layer.padded_output {
        pool = pool.padded_to(lengths);
    }
    let (pool, kind) = (pool.indices(layer.kind), layer.kind);
    match layer.index {
        Some(IndexType::I32) => {
            let plan = placed!(layer, pool, plan or plan_strided::<i32>,);
            boxed(plan.map(|plan| Unpooling { plan, kind, dtype: layer.dtype }))
        }
        _ => {
            let plan = placed!(layer, pool, plan or plan_strided::<i64>,);
            boxed(plan.map(|plan| Unpooling { plan, kind, dtype: layer.dtype }))
        }
    }
}

fn backward<T: Float>(layer: &Layer) -> Result<Boxed, Failure> {
    let (layout, shape) = (layer.layout, layer.shape());
    Ok(match (layer.operation, layer.index) {
        (Operation::Avg, _) => boxed(placed!(layer, avg(layer).with_element::<T>(), backward or backward_strided,)),
        (Operation::Sum, _) => boxed(placed!(layer, sum(layer).with_element::<T>(), backward or backward_strided,)),
        (Operation::AdaptiveAvg, _) => boxed(match layer.strides() {
            Some([i, o]) => AvgBackward::<T>::adaptive_strided(layer.output, layout, shape, i, o),
            None => AvgBackward::<T>::adaptive(layer.output, layout, shape),
        }),
        (Operation::Lp, _) => boxed(placed!(layer, lp(layer).with_element::<T>(), backward or backward_strided,)),
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, None) => return Err(needs_indices(layer)),
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, Some(IndexType::I32)) => {
            backward_max::<T, i32>(layer)
        }
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, Some(IndexType::I64)) => {
            backward_max::<T, i64>(layer)
        }
        (
            Operation::QuantizedAvg
            | Operation::QuantizedMax
            | Operation::AdaptiveQuantizedAvg
            | Operation::FractionalMax
            | Operation::MaxUnpool,
            _,
        ) => return Err(unsupported(format!("{} has no backward pass", codes::OPERATION.name(layer.operation)))),
    }?)
}

fn backward_max<T: Float, I: Index>(layer: &Layer) -> Planned {
    let (kind, layout, shape) = (layer.kind, layer.layout, layer.shape());
    let of_min = min(layer).with_element::<T>();
    let of_max = max(layer).with_element::<T>();
    let plan = match (layer.operation, layer.strides()) {
        (Operation::Min, Some([i, o])) => of_min.backward_strided::<I>(kind, layout, shape, i, o),
        (Operation::Min, None) => of_min.backward::<I>(kind, layout, shape),
        (Operation::AdaptiveMax, Some([i, o])) => {
            MaxBackward::<T, I>::adaptive_strided(layer.output, kind, layout, shape, i, o)
        }
        (Operation::AdaptiveMax, None) => MaxBackward::<T, I>::adaptive(layer.output, kind, layout, shape),
        (_, Some([i, o])) => of_max.backward_strided::<I>(kind, layout, shape, i, o),
        (_, None) => of_max.backward::<I>(kind, layout, shape),
    };
    boxed(plan.map(|plan| MaxGradients { plan, kind }))
}
