//! From a checked description to a plan.

use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, Any, AvgBackward, AvgPool, DType, Element, ElementVisitor, Float,
    FractionalMaxPool, Index, IndexPlan, LpPool, MaxBackward, MaxPool, MaxUnpool, MinPool, Pool, PoolOperation,
    QuantizedAvgPool, QuantizedMaxPool, SumPool,
};

use crate::codes::{self, IndexType, Operation};
use crate::layer;
use crate::plans::{MaxGradients, Unpooling};
use crate::spec::{Layer, Pad};
use crate::status::{Failure, LANEPOOL_UNSUPPORTED};

type Boxed = Box<dyn layer::Layer>;
type Planned = Result<Boxed, lanepool::Error>;

/// Boxes a plan of any kind: small, for it is compiled for each.
fn boxed<P: layer::Layer + 'static>(plan: Result<P, lanepool::Error>) -> Planned {
    Ok(Box::new(plan?))
}

/// Names a function of the element type, as a visitor that calls it with a layer.
macro_rules! visitor {
    ($Visitor:ident, $of:ident) => {
        struct $Visitor<'a>(&'a Layer);

        impl ElementVisitor for $Visitor<'_> {
            type Output = Planned;

            fn visit<T: Element>(self) -> Planned {
                $of::<T>(self.0)
            }
        }
    };
}

visitor!(ForIndexed, indexed);
visitor!(ForAdaptiveMax, adaptive_max);
visitor!(ForAdaptiveAvg, adaptive_avg);
visitor!(ForFractional, fractional);

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

/// Plans a layer for its element type.
fn visit(layer: &Layer, visitor: impl ElementVisitor<Output = Planned>) -> Result<Boxed, Failure> {
    let planned = layer.dtype.visit(visitor);
    let planned = planned.ok_or_else(|| unsupported(format!("this library has no kernels for {}", layer.dtype)))?;
    Ok(planned?)
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

/// The window of a layer, with its bounds and tier.
fn window<O: PoolOperation>(layer: &Layer) -> Pool<O, Any> {
    let mut pool = if layer.global { Pool::global() } else { Pool::new(layer.kernel) };
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

fn max(layer: &Layer) -> MaxPool<Any> {
    let pool: MaxPool<Any> = window(layer);
    pool.nan(layer.nan)
}

fn min(layer: &Layer) -> MinPool<Any> {
    let pool: MinPool<Any> = window(layer);
    pool.nan(layer.nan)
}

fn sum(layer: &Layer) -> SumPool<Any> {
    window(layer)
}

fn avg(layer: &Layer) -> AvgPool<Any> {
    let pool: AvgPool<Any> = window(layer);
    let pool = pool.count_include_pad(layer.include_pad).rounding(layer.rounding);
    layer.divisor.map_or(pool, |divisor| pool.divisor(divisor))
}

fn lp(layer: &Layer) -> LpPool<Any> {
    let pool: LpPool<Any> = window(layer);
    pool.p(layer.p).mean(layer.mean)
}

fn quantized_max(layer: &Layer) -> QuantizedMaxPool<Any> {
    let [input, output] = layer.quantization;
    let pool: QuantizedMaxPool<Any> = window(layer);
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
fn planned<O: PoolOperation>(layer: &Layer, pool: &Pool<O, Any>) -> Result<Boxed, Failure> {
    let (dtype, layout, shape) = (layer.dtype, layer.layout, layer.shape());
    Ok(boxed(match layer.strides() {
        Some([input, output]) => pool.plan_strided_as(dtype, layout, shape, input, output),
        None => pool.plan_as(dtype, layout, shape),
    })?)
}

/// The same with indices of either type.
fn indexed<T: Element>(layer: &Layer) -> Planned {
    match layer.index {
        Some(IndexType::I32) => boxed(indexed_by::<T, i32>(layer)),
        _ => boxed(indexed_by::<T, i64>(layer)),
    }
}

fn indexed_by<T: Element, I: Index>(layer: &Layer) -> Result<IndexPlan<T, I>, lanepool::Error> {
    if layer.operation == Operation::Min {
        return placed!(layer, min(layer).with_element::<T>(), plan_indexed or plan_indexed_strided::<I>, layer.kind);
    }
    if layer.operation == Operation::QuantizedMax {
        let pool = quantized_max(layer).with_element::<T>();
        return placed!(layer, pool, plan_indexed or plan_indexed_strided::<I>, layer.kind);
    }
    placed!(layer, max(layer).with_element::<T>(), plan_indexed or plan_indexed_strided::<I>, layer.kind)
}

/// Plans a layer for values alone, or for values with indices of either type.
macro_rules! with_or_without_indices {
    ($layer:expr, $pool:expr) => {{
        let (layer, pool): (&Layer, _) = ($layer, $pool);
        match layer.index {
            None => boxed(placed!(layer, pool, plan or plan_strided,)),
            Some(IndexType::I32) => {
                boxed(placed!(layer, pool, plan_indexed or plan_indexed_strided::<i32>, layer.kind))
            }
            Some(IndexType::I64) => {
                boxed(placed!(layer, pool, plan_indexed or plan_indexed_strided::<i64>, layer.kind))
            }
        }
    }};
}

fn adaptive_max<T: Element>(layer: &Layer) -> Planned {
    let mut pool = AdaptiveMaxPool::<T>::new(layer.output).nan(layer.nan);
    if let Some(tier) = layer.tier {
        pool = pool.tier(tier);
    }
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    with_or_without_indices!(layer, pool)
}

fn adaptive_avg<T: Element>(layer: &Layer) -> Planned {
    let mut pool = AdaptiveAvgPool::<T>::new(layer.output).rounding(layer.rounding);
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
    boxed(placed!(layer, pool, plan or plan_strided,))
}

fn fractional<T: Element>(layer: &Layer) -> Planned {
    let mut pool = FractionalMaxPool::<T>::new(layer.kernel, layer.output).nan(layer.nan);
    if let Some([low, high]) = layer.clamp {
        pool = pool.clamp(low, high);
    }
    with_or_without_indices!(layer, pool)
}

fn forward(layer: &Layer) -> Result<Boxed, Failure> {
    let [input, output] = layer.quantization;
    match layer.operation {
        Operation::Max | Operation::Min | Operation::QuantizedMax if layer.index.is_some() => {
            visit(layer, ForIndexed(layer))
        }
        Operation::Max => planned(layer, &max(layer)),
        Operation::Min => planned(layer, &min(layer)),
        Operation::Avg => planned(layer, &avg(layer)),
        Operation::Sum => planned(layer, &sum(layer)),
        Operation::Lp => planned(layer, &lp(layer)),
        Operation::QuantizedAvg => {
            let pool: QuantizedAvgPool<Any> = window(layer);
            planned(layer, &pool.quantization(input, output).count_include_pad(layer.include_pad))
        }
        Operation::QuantizedMax => planned(layer, &quantized_max(layer)),
        Operation::AdaptiveMax => visit(layer, ForAdaptiveMax(layer)),
        Operation::AdaptiveAvg | Operation::AdaptiveQuantizedAvg => visit(layer, ForAdaptiveAvg(layer)),
        Operation::FractionalMax => visit(layer, ForFractional(layer)),
        Operation::MaxUnpool if layer.index.is_none() => Err(needs_indices(layer)),
        // Values are moved, whatever they are: as elements of their length.
        Operation::MaxUnpool => Ok(match layer.dtype.bytes() {
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
