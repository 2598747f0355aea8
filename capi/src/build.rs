//! From a checked description to a plan.

use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AvgBackward, AvgPool, DType, Element, ElementVisitor, Float, FractionalMaxPool,
    Index, LpPool, MaxBackward, MaxPool, MaxUnpool, MinPool, Pool, PoolOperation, QuantizedAvgPool, QuantizedMaxPool,
    SumPool,
};

use crate::codes::{self, IndexType, Operation};
use crate::desc::{Layer, Pad};
use crate::layer::{self, MaxGradients, Unpooling};
use crate::status::{Failure, LANEPOOL_UNSUPPORTED};

type Boxed = Box<dyn layer::Layer>;

/// Plans a forward layer for the element type that is visited.
struct Forward<'a>(&'a Layer);

impl ElementVisitor for Forward<'_> {
    type Output = Result<Boxed, Failure>;

    fn visit<T: Element>(self) -> Self::Output {
        forward::<T>(self.0)
    }
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
    if layer.backward {
        return with_float!(layer.dtype, backward(layer));
    }
    let planned = layer.dtype.visit(Forward(layer));
    planned.unwrap_or_else(|| Err(unsupported(format!("this library has no kernels for {}", layer.dtype))))
}

fn needs_indices(layer: &Layer) -> Failure {
    let (name, direction) = (codes::OPERATION.name(layer.operation), if layer.backward { " backward" } else { "" });
    unsupported(format!("{name}{direction} is run with indices: index_type must not be LANEPOOL_INDEX_NONE"))
}

/// The window of a layer, with its bounds and tier.
fn window<O: PoolOperation, T>(layer: &Layer) -> Pool<O, T> {
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

fn max<T: Element>(layer: &Layer) -> MaxPool<T> {
    let pool: MaxPool<T> = window(layer);
    pool.nan(layer.nan)
}

fn min<T: Element>(layer: &Layer) -> MinPool<T> {
    let pool: MinPool<T> = window(layer);
    pool.nan(layer.nan)
}

fn sum<T: Element>(layer: &Layer) -> SumPool<T> {
    window(layer)
}

fn avg<T: Element>(layer: &Layer) -> AvgPool<T> {
    let pool: AvgPool<T> = window(layer);
    let pool = pool.count_include_pad(layer.include_pad).rounding(layer.rounding);
    layer.divisor.map_or(pool, |divisor| pool.divisor(divisor))
}

fn lp<T: Element>(layer: &Layer) -> LpPool<T> {
    let pool: LpPool<T> = window(layer);
    pool.p(layer.p).mean(layer.mean)
}

fn boxed(plan: impl layer::Layer + 'static) -> Boxed {
    Box::new(plan)
}

/// Plans a layer for tensors that lie side by side or as their strides say.
fn planned<O: PoolOperation, T: Element>(layer: &Layer, pool: &Pool<O, T>) -> Result<Boxed, Failure> {
    Ok(Box::new(match layer.strides {
        Some([input, output]) => pool.plan_strided(layer.layout, layer.shape, input, output)?,
        None => pool.plan(layer.layout, layer.shape)?,
    }))
}

/// Plans a layer for values alone, or for values with indices of either type.
macro_rules! with_or_without_indices {
    ($layer:expr, $pool:expr, |$by:ident| $values:expr) => {{
        let (layer, pool) = ($layer, $pool);
        let $by = &pool;
        match layer.index {
            None => $values?,
            Some(IndexType::I32) => Box::new(pool.plan_indexed::<i32>(layer.kind, layer.layout, layer.shape)?),
            Some(IndexType::I64) => Box::new(pool.plan_indexed::<i64>(layer.kind, layer.layout, layer.shape)?),
        }
    }};
}

fn forward<T: Element>(layer: &Layer) -> Result<Boxed, Failure> {
    let (layout, shape) = (layer.layout, layer.shape);
    let [input, output] = layer.quantization;
    Ok(match layer.operation {
        Operation::Max => with_or_without_indices!(layer, max::<T>(layer), |pool| planned(layer, pool)),
        Operation::Min => with_or_without_indices!(layer, min::<T>(layer), |pool| planned(layer, pool)),
        Operation::Avg => planned(layer, &avg::<T>(layer))?,
        Operation::Sum => planned(layer, &sum::<T>(layer))?,
        Operation::Lp => planned(layer, &lp::<T>(layer))?,
        Operation::QuantizedAvg => {
            let pool: QuantizedAvgPool<T> = window(layer);
            planned(layer, &pool.quantization(input, output).count_include_pad(layer.include_pad))?
        }
        Operation::QuantizedMax => {
            let pool: QuantizedMaxPool<T> = window(layer);
            planned(layer, &pool.quantization(input, output))?
        }
        Operation::AdaptiveMax => {
            let mut pool = AdaptiveMaxPool::<T>::new(layer.output).nan(layer.nan);
            if let Some(tier) = layer.tier {
                pool = pool.tier(tier);
            }
            if let Some([low, high]) = layer.clamp {
                pool = pool.clamp(low, high);
            }
            with_or_without_indices!(layer, pool, |pool| pool.plan(layout, shape).map(boxed))
        }
        Operation::AdaptiveAvg | Operation::AdaptiveQuantizedAvg => {
            let mut pool = AdaptiveAvgPool::<T>::new(layer.output).rounding(layer.rounding);
            if layer.operation == Operation::AdaptiveQuantizedAvg {
                pool = pool.quantization(input, output);
            }
            if let Some(tier) = layer.tier {
                pool = pool.tier(tier);
            }
            if let Some([low, high]) = layer.clamp {
                pool = pool.clamp(low, high);
            }
            Box::new(pool.plan(layout, shape)?)
        }
        Operation::FractionalMax => {
            let mut pool = FractionalMaxPool::<T>::new(layer.kernel, layer.output).nan(layer.nan);
            if let Some([low, high]) = layer.clamp {
                pool = pool.clamp(low, high);
            }
            with_or_without_indices!(layer, pool, |pool| pool.plan(layout, shape).map(boxed))
        }
        Operation::MaxUnpool => match layer.index {
            None => return Err(needs_indices(layer)),
            Some(IndexType::I32) => unpool::<T, i32>(layer)?,
            Some(IndexType::I64) => unpool::<T, i64>(layer)?,
        },
    })
}

fn unpool<T: Element, I: Index>(layer: &Layer) -> Result<Boxed, Failure> {
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
    let plan = pool.indices(layer.kind).plan::<I>(layer.layout, layer.shape)?;
    Ok(Box::new(Unpooling { plan, kind: layer.kind }))
}

fn backward<T: Float>(layer: &Layer) -> Result<Boxed, Failure> {
    let (layout, shape) = (layer.layout, layer.shape);
    Ok(match (layer.operation, layer.index) {
        (Operation::Avg, _) => Box::new(avg::<T>(layer).backward(layout, shape)?),
        (Operation::Sum, _) => Box::new(sum::<T>(layer).backward(layout, shape)?),
        (Operation::AdaptiveAvg, _) => Box::new(AvgBackward::<T>::adaptive(layer.output, layout, shape)?),
        (Operation::Lp, _) => Box::new(lp::<T>(layer).backward(layout, shape)?),
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, None) => return Err(needs_indices(layer)),
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, Some(IndexType::I32)) => {
            backward_max::<T, i32>(layer)?
        }
        (Operation::Max | Operation::Min | Operation::AdaptiveMax, Some(IndexType::I64)) => {
            backward_max::<T, i64>(layer)?
        }
        (
            Operation::QuantizedAvg
            | Operation::QuantizedMax
            | Operation::AdaptiveQuantizedAvg
            | Operation::FractionalMax
            | Operation::MaxUnpool,
            _,
        ) => return Err(unsupported(format!("{} has no backward pass", codes::OPERATION.name(layer.operation)))),
    })
}

fn backward_max<T: Float, I: Index>(layer: &Layer) -> Result<Boxed, Failure> {
    let (kind, layout, shape) = (layer.kind, layer.layout, layer.shape);
    let plan = match layer.operation {
        Operation::Min => min::<T>(layer).backward::<I>(kind, layout, shape)?,
        Operation::AdaptiveMax => MaxBackward::<T, I>::adaptive(layer.output, kind, layout, shape)?,
        _ => max::<T>(layer).backward::<I>(kind, layout, shape)?,
    };
    Ok(Box::new(MaxGradients { plan, kind }))
}
