//! What is to be done with a tensor, whatever the file that holds it.

use anyhow::Result;
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, Element, IndexKind, IndexPlan, Layout, Max, MaxPool, Min, MinPool, NanPolicy,
    Quantization, QuantizedAvg, QuantizedAvgPool, QuantizedMax, QuantizedMaxPool, Tier,
};

use super::axes::Order;
use super::memory::Limit;
use crate::elements;
use crate::layer::{Numbers, Operation, Window, joined};

/// A layer, and how its tensors lie in the file.
pub struct Job {
    pub windows: Windows,
    /// Quantisation of the input and of the output: averages and maxima of real numbers that bytes stand for.
    pub quantization: Option<[Quantization; 2]>,
    /// What indices count, where they are wanted.
    pub indices: Option<IndexKind>,
    pub order: Option<Order>,
    pub tier: Option<Tier>,
    pub limit: Limit,
}

/// Where the windows lie.
pub enum Windows {
    /// A kernel that moves, or the whole plane.
    Sliding(Window),
    /// As many as the output is long.
    Adaptive { operation: Operation, output: Numbers, nan: NanPolicy },
}

impl Windows {
    /// What is done with each window.
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Sliding(window) => window.operation,
            Self::Adaptive { operation, .. } => *operation,
        }
    }
}

/// What a file holds: its elements, and the axes as it counts them.
pub struct Tensor<'a, T> {
    pub elements: &'a [T],
    pub axes: &'a [usize],
    pub order: Order,
}

/// A result.
pub struct Pooled<T> {
    pub values: Vec<T>,
    pub indices: Option<Vec<i64>>,
    /// In the order of the input's.
    pub axes: Vec<usize>,
    /// What was done.
    pub description: String,
    /// What of the input is lost in the result, as what follows the input's name.
    pub notes: Vec<String>,
}

/// What a plan gave: its name, the output's shape `N, C, spatial…`, values and indices.
struct Ran<T> {
    plan: String,
    shape: Vec<usize>,
    values: Vec<T>,
    indices: Option<Vec<i64>>,
}

impl Job {
    /// Pools a tensor, and says how.
    pub fn pool<T: Element>(&self, tensor: &Tensor<T>) -> Result<Pooled<T>> {
        let Tensor { elements, axes, order } = *tensor;
        let shape = order.shape(axes)?;
        let in_file = |error| order.in_file(error, axes.len());
        self.check_size::<T>(&self.output_shape::<T>(&shape).map_err(in_file)?, elements.len())?;
        let Ran { plan, shape: output, values, indices } = self.run(order.layout, &shape, elements).map_err(in_file)?;
        let after = order.axes(&output, axes.len())?;
        let description = format!("{plan}\n{} → {}: {}", joined(axes), joined(&after), order.names(axes.len())?);
        let notes = self.cut_off(order.layout, &shape, elements, &values)?.into_iter().collect();
        Ok(Pooled { values, indices, axes: after, description, notes })
    }

    /// The output's shape, `N, C, spatial…`.
    fn output_shape<T: Element>(&self, shape: &[usize]) -> lanepool::Result<Vec<usize>> {
        match &self.windows {
            // Every operation gives the same.
            Windows::Sliding(window) => window.pool::<Max, T>(shape.len().saturating_sub(2), None).output_shape(shape),
            Windows::Adaptive { output, .. } => {
                let (batch, spatial) = shape.split_at(shape.len().min(2));
                Ok([batch, &output.spread(spatial.len())].concat())
            }
        }
    }

    /// Refuses an output that is larger than the limit, unless the input was as large.
    fn check_size<T>(&self, output: &[usize], input: usize) -> Result<()> {
        let elements = output.iter().fold(1_u128, |all, &n| all.saturating_mul(n as u128));
        let element = size_of::<T>() + if self.indices.is_some() { size_of::<i64>() } else { 0 };
        if elements <= input as u128 {
            return Ok(());
        }
        let what = if self.indices.is_some() { ", each with its index," } else { "," };
        self.limit
            .check(format_args!("the result, {elements} elements{what}"), elements.saturating_mul(element as u128))
    }

    /// Plans and runs.
    fn run<T: Element>(&self, layout: Layout, shape: &[usize], src: &[T]) -> lanepool::Result<Ran<T>> {
        let rank = shape.len().saturating_sub(2);
        let tier = self.tier;
        match &self.windows {
            Windows::Sliding(window) => match (self.quantization, self.indices, window.operation) {
                (Some([input, output]), _, Operation::Max) => {
                    let pool: QuantizedMaxPool<T> = window.pool::<QuantizedMax, T>(rank, tier);
                    values(&pool.quantization(input, output).plan(layout, shape)?, src)
                }
                (Some([input, output]), ..) => {
                    let pool: QuantizedAvgPool<T> = window.pool::<QuantizedAvg, T>(rank, tier);
                    let pool = pool.quantization(input, output).count_include_pad(window.count_include_pad);
                    values(&pool.plan(layout, shape)?, src)
                }
                (None, Some(kind), Operation::Min) => {
                    let pool = MinPool::nan(window.pool::<Min, T>(rank, tier), window.nan);
                    indexed(&window.plan::<T>(layout, shape, tier)?, &pool.plan_indexed(kind, layout, shape)?, src)
                }
                (None, Some(kind), _) => {
                    let pool = MaxPool::nan(window.pool::<Max, T>(rank, tier), window.nan);
                    indexed(&window.plan::<T>(layout, shape, tier)?, &pool.plan_indexed(kind, layout, shape)?, src)
                }
                (None, None, _) => values(&window.plan::<T>(layout, shape, tier)?, src),
            },
            Windows::Adaptive { operation: Operation::Max, output, nan } => {
                let pool = AdaptiveMaxPool::<T>::new(output.spread(rank)).nan(*nan);
                let pool = tier.map_or(pool, |tier| pool.tier(tier));
                let Some(kind) = self.indices else { return adaptive(&pool.plan(layout, shape)?, src) };
                let plan = pool.plan_indexed(kind, layout, shape)?;
                let (values, indices) = plan.run_vec(src)?;
                let plan = plan.values();
                let name = with_indices(&plan.to_string(), kind, plan.tier());
                Ok(Ran { plan: name, shape: plan.output_shape(), values, indices: Some(indices) })
            }
            Windows::Adaptive { output, .. } => {
                let pool = AdaptiveAvgPool::<T>::new(output.spread(rank));
                let pool = self.quantization.map_or(pool, |[input, output]| pool.quantization(input, output));
                let pool = tier.map_or(pool, |tier| pool.tier(tier));
                adaptive(&pool.plan(layout, shape)?, src)
            }
        }
    }

    /// A note on results that lay beyond the range of an integer type and were cut to it: sums, and averages by a divisor of
    /// the caller's.
    fn cut_off<T: Element>(&self, layout: Layout, shape: &[usize], src: &[T], values: &[T]) -> Result<Option<String>> {
        let Windows::Sliding(window) = &self.windows else { return Ok(None) };
        let sums = window.operation == Operation::Sum || window.divisor.is_some();
        let Some((lowest, highest)) = elements::range(T::DTYPE).filter(|_| sums && self.quantization.is_none()) else {
            return Ok(None);
        };
        // Most results are inside the range, and need no second look.
        let may_be = |&value: &f64| value == lowest || value == highest;
        if !elements::to_f64(values).iter().any(may_be) {
            return Ok(None);
        }
        // Exact below 2⁵³, which no window of less than two million elements reaches. Halves round to the even number: down at
        // the lowest one, which is even, and up at the highest.
        let exact = window.plan::<f64>(layout, shape, self.tier)?.run_vec(&elements::to_f64(src))?;
        let beyond = exact.iter().filter(|&&value| value < lowest - 0.5 || value >= highest + 0.5).count();
        if beyond == 0 {
            return Ok(None);
        }
        let (all, element) = (exact.len(), T::DTYPE);
        Ok(Some(format!(
            "has windows whose result is beyond {element}, {lowest} to {highest}: {beyond} of {all} outputs were cut to it"
        )))
    }
}

/// A plan's values.
fn values<T: Element>(plan: &lanepool::Plan<T>, src: &[T]) -> lanepool::Result<Ran<T>> {
    Ok(Ran { plan: plan.to_string(), shape: plan.output_shape(), values: plan.run_vec(src)?, indices: None })
}

fn adaptive<T: Element>(plan: &lanepool::AdaptivePlan<T>, src: &[T]) -> lanepool::Result<Ran<T>> {
    Ok(Ran { plan: plan.to_string(), shape: plan.output_shape(), values: plan.run_vec(src)?, indices: None })
}

/// Values and indices by one plan, described as the plan of the values alone.
fn indexed<T: Element>(values: &lanepool::Plan<T>, plan: &IndexPlan<T, i64>, src: &[T]) -> lanepool::Result<Ran<T>> {
    let name = with_indices(&values.to_string(), plan.kind(), plan.tier());
    let (values, indices) = plan.run_vec(src)?;
    Ok(Ran { plan: name, shape: plan.output_shape(), values, indices: Some(indices) })
}

/// What a plan says of itself up to its driver, which indices have another of.
fn with_indices(plan: &str, kind: IndexKind, tier: Tier) -> String {
    let layer = plan.split(" → ").next().unwrap_or(plan);
    format!("{layer} with indices that count in the {} → {tier}", counted(kind))
}

/// What indices count in, as a word.
const fn counted(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Plane => "plane",
        IndexKind::Tensor => "tensor",
        IndexKind::TensorColumnMajor => "tensor, planes column by column",
        _ => "window",
    }
}
