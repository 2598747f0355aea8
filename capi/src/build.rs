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

/// Calls a function that plans for tensors side by side, or its namesake for those that lie as their strides say.
macro_rules! placed {
    ($layer:expr, $on:expr, $packed:ident or $strided:ident $(::<$I:ty>)?, $($argument:expr),*) => {
        match $layer.strides {
            Some([input, output]) => $on.$strided $(::<$I>)? ($($argument,)* $layer.layout, $layer.shape, input, output)?,
            None => $on.$packed $(::<$I>)? ($($argument,)* $layer.layout, $layer.shape)?,
        }
    };
}

fn planned<O: PoolOperation, T: Element>(layer: &Layer, pool: &Pool<O, T>) -> Result<Boxed, Failure> {
    Ok(Box::new(placed!(layer, pool, plan or plan_strided,)))
}

/// Plans a layer for values alone, or for values with indices of either type.
macro_rules! with_or_without_indices {
    ($layer:expr, $pool:expr) => {{
        let (layer, pool): (&Layer, _) = ($layer, $pool);
        match layer.index {
            None => Box::new(placed!(layer, pool, plan or plan_strided,)) as Boxed,
            Some(IndexType::I32) => {
                Box::new(placed!(layer, pool, plan_indexed or plan_indexed_strided::<i32>, layer.kind))
            }
            Some(IndexType::I64) => {
                Box::new(placed!(layer, pool, plan_indexed or plan_indexed_strided::<i64>, layer.kind))
            }
        }
    }};
}

fn forward<T: Element>(layer: &Layer) -> Result<Boxed, Failure> {
    let [input, output] = layer.quantization;
    Ok(match layer.operation {
        Operation::Max => with_or_without_indices!(layer, max::<T>(layer)),
        Operation::Min => with_or_without_indices!(layer, min::<T>(layer)),
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
            with_or_without_indices!(layer, pool)
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
            Box::new(placed!(layer, pool, plan or plan_strided,))
        }
        Operation::FractionalMax => {
            let mut pool = FractionalMaxPool::<T>::new(layer.kernel, layer.output).nan(layer.nan);
            if let Some([low, high]) = layer.clamp {
                pool = pool.clamp(low, high);
            }
            with_or_without_indices!(layer, pool)
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
    let plan = placed!(layer, pool.indices(layer.kind), plan or plan_strided::<I>,);
    Ok(Box::new(Unpooling { plan, kind: layer.kind }))
}

fn backward<T: Float>(layer: &Layer) -> Result<Boxed, Failure> {
    let (layout, shape) = (layer.layout, layer.shape);
    Ok(match (layer.operation, layer.index) {
        (Operation::Avg, _) => Box::new(placed!(layer, avg::<T>(layer), backward or backward_strided,)),
        (Operation::Sum, _) => Box::new(placed!(layer, sum::<T>(layer), backward or backward_strided,)),
        (Operation::AdaptiveAvg, _) => Box::new(match layer.strides {
            Some([i, o]) => AvgBackward::<T>::adaptive_strided(layer.output, layout, shape, i, o)?,
            None => AvgBackward::<T>::adaptive(layer.output, layout, shape)?,
        }),
        (Operation::Lp, _) => Box::new(placed!(layer, lp::<T>(layer), backward or backward_strided,)),
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
        Operation::Min => placed!(layer, min::<T>(layer), backward or backward_strided::<I>, kind),
        Operation::AdaptiveMax => match layer.strides {
            Some([i, o]) => MaxBackward::<T, I>::adaptive_strided(layer.output, kind, layout, shape, i, o)?,
            None => MaxBackward::<T, I>::adaptive(layer.output, kind, layout, shape)?,
        },
        _ => placed!(layer, max::<T>(layer), backward or backward_strided::<I>, kind),
    };
    Ok(Box::new(MaxGradients { plan, kind }))
}
