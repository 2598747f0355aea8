//! Plans of every kind and type behind one face: over bytes, as C has them.

use lanepool::{
    AdaptiveIndexPlan, AdaptivePlan, AvgBackward, DType, Element, Float, FractionalIndexPlan, FractionalPlan, Index,
    IndexKind, IndexPlan, Layout, LpBackward, MaxBackward, Plan, Tasks, Tier, Unpool,
};

use crate::codes::IndexType;
use crate::memory::{elements, elements_mut};
use crate::status::{Failure, LANEPOOL_UNSUPPORTED, LANEPOOL_WRONG_FUNCTION};

/// What a plan is asked to do, with the memory for it.
pub(crate) enum Call<'a> {
    /// Values alone, all of them or those of one task.
    Values {
        part: Option<Part>,
        src: &'a [u8],
        dst: &'a mut [u8],
    },
    /// Values, unless they are not wanted, and indices.
    Indexed {
        part: Option<Part>,
        src: &'a [u8],
        dst: Option<&'a mut [u8]>,
        indices: &'a mut [u8],
    },
    /// Fractional pooling.
    Sampled {
        src: &'a [u8],
        samples: &'a [u8],
        dst: &'a mut [u8],
        indices: Option<&'a mut [u8]>,
    },
    Unpool {
        src: &'a [u8],
        indices: &'a [u8],
        dst: &'a mut [u8],
    },
    /// Averages, sums.
    Gradient {
        grad_output: &'a [u8],
        grad_input: &'a mut [u8],
    },
    /// Maxima and minima.
    MaxGradient {
        grad_output: &'a [u8],
        indices: &'a [u8],
        grad_input: &'a mut [u8],
    },
    /// The same, where the indices are found again.
    MaxGradientOfInput {
        input: &'a [u8],
        grad_output: &'a [u8],
        indices: &'a mut [u8],
        grad_input: &'a mut [u8],
    },
    LpGradient {
        input: &'a [u8],
        output: &'a [u8],
        grad_output: &'a [u8],
        grad_input: &'a mut [u8],
    },
}

/// One task: the memory for outputs is that of its range.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub tasks: Tasks,
    pub task: usize,
}

/// How the output of a plan is cut.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    Tasks(Tasks),
    /// One task, the whole: adaptive pooling.
    Whole,
}

impl Cut {
    pub fn len(&self, facts: &Facts) -> usize {
        match self {
            Self::Tasks(tasks) => tasks.len(),
            Self::Whole => usize::from(facts.output_len > 0),
        }
    }
}

/// What does not change for the life of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub dtype: DType,
    pub layout: Layout,
    /// `None` where every tier has the same code.
    pub tier: Option<Tier>,
    pub kernel: &'static str,
    pub input_shape: Vec<usize>,
    pub output_shape: Vec<usize>,
    pub input_len: usize,
    pub output_len: usize,
    /// The type of the indices, what they count and how many there are.
    pub index: Option<(IndexType, IndexKind, usize)>,
    /// Bytes of the samples.
    pub sample_bytes: usize,
    pub description: String,
}

impl Facts {
    pub fn input_bytes(&self) -> usize {
        self.input_len.saturating_mul(self.dtype.bytes())
    }

    pub fn output_bytes(&self) -> usize {
        self.output_len.saturating_mul(self.dtype.bytes())
    }

    pub fn index_bytes(&self) -> usize {
        self.index.map_or(0, |(index, _, len)| len.saturating_mul(index.bytes()))
    }
}

/// A plan of any kind.
pub(crate) trait Layer: Send + Sync {
    /// The facts, gathered once.
    fn facts(&self) -> Facts;

    /// How the output is cut into at most `most` tasks. `None` for plans that no task can run: they ask for more than an input and
    /// an output.
    fn cut(&self, _most: usize) -> Option<Cut> {
        None
    }

    /// Does what it is asked for, or says that it is not what it does.
    fn run(&self, call: Call<'_>) -> Result<(), Failure>;
}

/// The functions that run plans of a kind, where another one was called.
fn not_mine(functions: &str) -> Result<(), Failure> {
    Err(Failure::new(LANEPOOL_WRONG_FUNCTION, format!("a plan of this kind is run by {functions}")))
}

fn index_type<I: Index>() -> IndexType {
    if size_of::<I>() == size_of::<i32>() { IndexType::I32 } else { IndexType::I64 }
}

/// The output elements of a call: all, or those of its part.
fn len_of(part: Option<Part>, all: usize) -> usize {
    part.map_or(all, |part| part.tasks.range(part.task).len())
}

/// The names under which messages know the buffers.
pub(crate) mod buffer {
    pub const INPUT: &str = "input";
    pub const OUTPUT: &str = "output";
    pub const INDICES: &str = "buffer of indices";
    pub const SAMPLES: &str = "buffer of samples";
    pub const GRAD_INPUT: &str = "gradient of the input";
    pub const GRAD_OUTPUT: &str = "gradient of the output";
}
use buffer::{GRAD_INPUT, GRAD_OUTPUT, INDICES, INPUT, OUTPUT, SAMPLES};

impl<T: Element> Layer for Plan<T> {
    fn facts(&self) -> Facts {
        Facts {
            dtype: T::DTYPE,
            layout: self.layout(),
            tier: Some(self.tier()),
            kernel: self.kernel(),
            input_shape: self.input_shape().to_vec(),
            output_shape: self.output_shape(),
            input_len: self.input_len(),
            output_len: self.output_len(),
            index: None,
            sample_bytes: 0,
            description: self.to_string(),
        }
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(Cut::Tasks(self.tasks(most)))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Values { part, src, dst } = call else {
            return not_mine(VALUES);
        };
        let src = elements(INPUT, src, self.input_len())?;
        let dst = elements_mut(OUTPUT, dst, len_of(part, self.output_len()))?;
        match part {
            None => self.run(src, dst)?,
            Some(Part { tasks, task }) => self.run_task(&tasks, task, src, dst)?,
        }
        Ok(())
    }
}

const VALUES: &str = "lanepool_plan_run, lanepool_plan_run_task and lanepool_plan_run_parallel";
const INDEXED: &str =
    "lanepool_plan_run_with_indices, lanepool_plan_run_indices, lanepool_plan_run_task and lanepool_plan_run_parallel";

impl<T: Element, I: Index> Layer for IndexPlan<T, I> {
    fn facts(&self) -> Facts {
        Facts {
            dtype: T::DTYPE,
            layout: self.layout(),
            tier: Some(self.tier()),
            kernel: "find",
            input_shape: self.input_shape().to_vec(),
            output_shape: self.output_shape(),
            input_len: self.input_len(),
            output_len: self.output_len(),
            index: Some((index_type::<I>(), self.kind(), self.output_len())),
            sample_bytes: 0,
            description: format!("{self:?}"),
        }
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(Cut::Tasks(self.tasks(most)))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Indexed { part, src, dst, indices } = call else { return not_mine(INDEXED) };
        let len = len_of(part, self.output_len());
        let src = elements(INPUT, src, self.input_len())?;
        let dst = dst.map(|dst| elements_mut(OUTPUT, dst, len)).transpose()?;
        let indices = elements_mut(INDICES, indices, len)?;
        match (part, dst) {
            (None, Some(dst)) => self.run(src, dst, indices)?,
            (None, None) => self.run_indices(src, indices)?,
            (Some(Part { tasks, task }), Some(dst)) => self.run_task(&tasks, task, src, dst, indices)?,
            (Some(Part { tasks, task }), None) => self.run_indices_task(&tasks, task, src, indices)?,
        }
        Ok(())
    }
}

impl<T: Element> Layer for AdaptivePlan<T> {
    fn facts(&self) -> Facts {
        Facts {
            dtype: T::DTYPE,
            layout: self.layout(),
            tier: Some(self.tier()),
            kernel: self.kernel(),
            input_shape: self.input_shape(),
            output_shape: self.output_shape(),
            input_len: self.input_len(),
            output_len: self.output_len(),
            index: None,
            sample_bytes: 0,
            description: self.to_string(),
        }
    }

    fn cut(&self, _most: usize) -> Option<Cut> {
        Some(Cut::Whole)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Values { part: None, src, dst } = call else { return not_mine(VALUES) };
        let src = elements(INPUT, src, self.input_len())?;
        Ok(self.run(src, elements_mut(OUTPUT, dst, self.output_len())?)?)
    }
}

impl<T: Element, I: Index> Layer for AdaptiveIndexPlan<T, I> {
    fn facts(&self) -> Facts {
        let values = Layer::facts(self.values());
        let index = Some((index_type::<I>(), self.kind(), values.output_len));
        Facts { index, description: format!("{self:?}"), ..values }
    }

    fn cut(&self, _most: usize) -> Option<Cut> {
        Some(Cut::Whole)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Indexed { part: None, src, dst, indices } = call else {
            return not_mine("lanepool_plan_run_with_indices, lanepool_plan_run_task and lanepool_plan_run_parallel");
        };
        let Some(dst) = dst else { return Err(values_wanted()) };
        let src = elements(INPUT, src, self.values().input_len())?;
        let len = self.values().output_len();
        Ok(self.run(src, elements_mut(OUTPUT, dst, len)?, elements_mut(INDICES, indices, len)?)?)
    }
}

/// Indices alone are found by plain maxima and minima.
fn values_wanted() -> Failure {
    Failure::new(LANEPOOL_UNSUPPORTED, "adaptive pooling gives indices together with its values, never alone")
}

impl<T: Element> Layer for FractionalPlan<T> {
    fn facts(&self) -> Facts {
        Facts {
            dtype: T::DTYPE,
            layout: self.layout(),
            tier: None,
            kernel: "variable",
            input_shape: self.input_shape(),
            output_shape: self.output_shape(),
            input_len: self.input_len(),
            output_len: self.output_len(),
            index: None,
            sample_bytes: self.samples_len().saturating_mul(size_of::<T::Sample>()),
            description: format!("{self:?}"),
        }
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Sampled { src, samples, dst, indices: None } = call else {
            return not_mine("lanepool_plan_run_fractional, without a buffer of indices");
        };
        let src = elements(INPUT, src, self.input_len())?;
        let samples = elements(SAMPLES, samples, self.samples_len())?;
        Ok(self.run(src, samples, elements_mut(OUTPUT, dst, self.output_len())?)?)
    }
}

impl<T: Element, I: Index> Layer for FractionalIndexPlan<T, I> {
    fn facts(&self) -> Facts {
        let values = Layer::facts(self.values());
        let index = Some((index_type::<I>(), self.kind(), values.output_len));
        Facts { index, description: format!("{self:?}"), ..values }
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Sampled { src, samples, dst, indices: Some(indices) } = call else {
            return not_mine("lanepool_plan_run_fractional, with a buffer of indices");
        };
        let values = self.values();
        let src = elements(INPUT, src, values.input_len())?;
        let samples = elements(SAMPLES, samples, values.samples_len())?;
        let dst = elements_mut(OUTPUT, dst, values.output_len())?;
        Ok(self.run(src, samples, dst, elements_mut(INDICES, indices, values.output_len())?)?)
    }
}

/// An unpooling with what its indices count, which it does not tell itself.
pub(crate) struct Unpooling<T, I> {
    pub plan: Unpool<T, I>,
    pub kind: IndexKind,
}

impl<T: Element, I: Index> Layer for Unpooling<T, I> {
    fn facts(&self) -> Facts {
        let plan = &self.plan;
        let description = format!("max unpool {} {} of {:?}", T::NAME, plan.layout(), plan.input_shape());
        Facts {
            dtype: T::DTYPE,
            layout: plan.layout(),
            tier: None,
            kernel: "scatter",
            input_shape: plan.input_shape().to_vec(),
            output_shape: plan.output_shape().to_vec(),
            input_len: plan.input_len(),
            output_len: plan.output_len(),
            index: Some((index_type::<I>(), self.kind, plan.input_len())),
            sample_bytes: 0,
            description,
        }
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Unpool { src, indices, dst } = call else { return not_mine("lanepool_plan_unpool") };
        let len = self.plan.input_len();
        let (src, indices) = (elements(INPUT, src, len)?, elements(INDICES, indices, len)?);
        Ok(self.plan.run(src, indices, elements_mut(OUTPUT, dst, self.plan.output_len())?)?)
    }
}

/// The facts of a backward pass.
macro_rules! backward_facts {
    ($plan:expr, $T:ident, $what:literal, $index:expr) => {{
        let plan = $plan;
        Facts {
            dtype: $T::DTYPE,
            layout: plan.layout(),
            tier: None,
            kernel: "gather",
            input_shape: plan.input_shape(),
            output_shape: plan.output_shape(),
            input_len: plan.input_len(),
            output_len: plan.output_len(),
            index: $index,
            sample_bytes: 0,
            description: format!("backward {} {} {} of {:?}", $what, $T::NAME, plan.layout(), plan.input_shape()),
        }
    }};
}

impl<T: Float> Layer for AvgBackward<T> {
    fn facts(&self) -> Facts {
        backward_facts!(self, T, "avg", None)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::Gradient { grad_output, grad_input } = call else { return not_mine("lanepool_plan_backward") };
        let grad_output = elements(GRAD_OUTPUT, grad_output, self.output_len())?;
        Ok(self.run(grad_output, elements_mut(GRAD_INPUT, grad_input, self.input_len())?)?)
    }
}

impl<T: Float> Layer for LpBackward<T> {
    fn facts(&self) -> Facts {
        backward_facts!(self, T, "lp", None)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let Call::LpGradient { input, output, grad_output, grad_input } = call else {
            return not_mine("lanepool_plan_backward_lp");
        };
        let (input, output) = (elements(INPUT, input, self.input_len())?, elements(OUTPUT, output, self.output_len())?);
        let grad_output = elements(GRAD_OUTPUT, grad_output, self.output_len())?;
        Ok(self.run(input, output, grad_output, elements_mut(GRAD_INPUT, grad_input, self.input_len())?)?)
    }
}

/// The backward pass of maxima or minima with what its indices count.
pub(crate) struct MaxGradients<T, I> {
    pub plan: MaxBackward<T, I>,
    pub kind: IndexKind,
}

impl<T: Float, I: Index> Layer for MaxGradients<T, I> {
    fn facts(&self) -> Facts {
        let index = Some((index_type::<I>(), self.kind, self.plan.output_len()));
        backward_facts!(&self.plan, T, "max", index)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Failure> {
        let plan = &self.plan;
        let (input_len, len) = (plan.input_len(), plan.output_len());
        match call {
            Call::MaxGradient { grad_output, indices, grad_input } => {
                let (grad_output, indices) =
                    (elements(GRAD_OUTPUT, grad_output, len)?, elements(INDICES, indices, len)?);
                plan.run(grad_output, indices, elements_mut(GRAD_INPUT, grad_input, input_len)?)?;
            }
            Call::MaxGradientOfInput { input, grad_output, indices, grad_input } => {
                let input = elements(INPUT, input, input_len)?;
                let grad_output = elements(GRAD_OUTPUT, grad_output, len)?;
                let indices = elements_mut(INDICES, indices, len)?;
                plan.run_from_input(input, grad_output, indices, elements_mut(GRAD_INPUT, grad_input, input_len)?)?;
            }
            _ => return not_mine("lanepool_plan_backward_max and lanepool_plan_backward_max_from_input"),
        }
        Ok(())
    }
}
