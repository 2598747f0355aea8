//! Adaptive and fractional pooling: operations whose windows are no window with a stride.

use lanepool::{AdaptiveAvgPool, AdaptiveMaxPool, Element, FractionalMaxPool, IndexKind, Layout, Max, Result, Tier};

use super::checks::Work;
use super::compare::{Taps, spatial};
use super::run::{Direction, Outcome, bytes, elements, pool, reorder};

/// One result of one of these operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    AdaptiveMax,
    AdaptiveMaxIndices,
    AdaptiveAverage,
    FractionalMax,
    FractionalMaxIndices,
    /// Of windows with a stride.
    MaxIndices(IndexKind),
}

impl Variable {
    /// The operation of a name, by its values.
    pub fn of(op: &str) -> Option<Self> {
        Some(match op {
            "adaptive_max" => Self::AdaptiveMax,
            "adaptive_avg" => Self::AdaptiveAverage,
            "fractional_max" => Self::FractionalMax,
            _ => return None,
        })
    }

    /// What it gives: the row of the report, the role of the tensor, what computes it.
    pub fn results(self, op: &str) -> Vec<(String, &'static str, Self)> {
        let indices = match self {
            Self::AdaptiveMax => Some(Self::AdaptiveMaxIndices),
            Self::FractionalMax => Some(Self::FractionalMaxIndices),
            _ => None,
        };
        let indices = indices.map(|indices| (format!("{op}, indices"), "indices", indices));
        [(op.to_owned(), "output", self)].into_iter().chain(indices).collect()
    }

    pub fn is_index(self) -> bool {
        matches!(self, Self::AdaptiveMaxIndices | Self::FractionalMaxIndices | Self::MaxIndices(_))
    }

    pub fn has_samples(self) -> bool {
        matches!(self, Self::FractionalMax | Self::FractionalMaxIndices)
    }

    /// The taps of each output on each axis, where the result is an average of them.
    pub fn average_windows(self, work: &Work<'_>) -> Option<Taps> {
        let (input, output) = (spatial(&work.input.shape), spatial(&work.expected.shape));
        let taps = |axis: usize| {
            let (n, m) = (input[axis], output[axis]);
            (0..m).map(|o| (o * n / m..((o + 1) * n).div_ceil(m)).collect()).collect()
        };
        (self == Self::AdaptiveAverage).then(|| [taps(0), taps(1), taps(2)])
    }

    pub fn run<T: Element>(self, work: &Work<'_>, tier: Tier, layout: Layout) -> Result<Outcome> {
        let shape = &work.input.shape;
        let output = &work.expected.shape[2..];
        let kernel = work.window.kernel.as_deref().unwrap_or(&[]);
        let input = reorder(&elements::<T>(&work.input.bytes), shape, layout, Direction::Into);
        let samples = work.samples.map(|samples| elements::<T::Sample>(&samples.bytes)).unwrap_or_default();
        let kind = IndexKind::Plane;
        match self {
            Self::AdaptiveMax => {
                let plan = AdaptiveMaxPool::<T>::new(output).tier(tier).plan(layout, shape)?;
                Ok(outcome(&plan.run_vec(&input)?, plan.output_shape(), layout))
            }
            Self::AdaptiveAverage => {
                let plan = AdaptiveAvgPool::<T>::new(output).tier(tier).plan(layout, shape)?;
                Ok(outcome(&plan.run_vec(&input)?, plan.output_shape(), layout))
            }
            Self::AdaptiveMaxIndices => {
                let plan = AdaptiveMaxPool::<T>::new(output).tier(tier).plan_indexed::<i64>(kind, layout, shape)?;
                Ok(outcome(&plan.run_vec(&input)?.1, plan.values().output_shape(), layout))
            }
            Self::MaxIndices(kind) => {
                let pool = pool::<Max, T>(&work.window).tier(tier);
                let plan = pool.plan_indexed::<i64>(kind, layout, shape)?;
                Ok(outcome(&plan.run_vec(&input)?.1, plan.output_shape(), layout))
            }
            Self::FractionalMax => {
                let plan = FractionalMaxPool::<T>::new(kernel, output).plan(layout, shape)?;
                Ok(outcome(&plan.run_vec(&input, &samples)?, plan.output_shape(), layout))
            }
            Self::FractionalMaxIndices => {
                let plan = FractionalMaxPool::<T>::new(kernel, output).plan_indexed::<i64>(kind, layout, shape)?;
                Ok(outcome(&plan.run_vec(&input, &samples)?.1, plan.values().output_shape(), layout))
            }
        }
    }
}

fn outcome<T: bytemuck::Pod>(result: &[T], shape: Vec<usize>, layout: Layout) -> Outcome {
    Outcome::Output { bytes: bytes(&reorder(result, &shape, layout, Direction::OutOf)), shape }
}
