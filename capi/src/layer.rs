//! Plans of every kind and type behind one face: over bytes, as C has them.
//!
//! ```text
//! check(call):  is it one for this kind of plan, is every buffer as long as it must be     compiled once
//! run(call):    the bytes as elements, the plan's own function                             compiled for each type
//! ```
//!
//! So what is compiled for nine elements and two types of indices is a cast and a call.

use core::fmt;

use bytemuck::Pod;
use lanepool::{
    AdaptiveIndexPlan, AdaptivePlan, AnyPlan, AvgBackward, DType, Element, Error, Float, FractionalIndexPlan,
    FractionalPlan, Index, IndexKind, IndexPlan, Layout, LpBackward, MaxBackward, Tasks, Tier, Unpool,
};

use crate::codes::IndexType;
use crate::memory::check_elements;
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

/// What a plan is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Values,
    Indexed,
    /// Adaptive pooling with indices, which are never found alone.
    AdaptiveIndexed,
    Fractional,
    FractionalIndexed,
    Unpool,
    Gradient,
    MaxGradient,
    LpGradient,
}

/// What does not change for the life of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub kind: Kind,
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
    /// Bytes of the samples, and of one of them.
    pub sample_bytes: usize,
    sample_size: usize,
    pub description: String,
}

/// What is written down of a plan's types and lengths, from which its facts are made.
struct About {
    kind: Kind,
    dtype: DType,
    layout: Layout,
    tier: Option<Tier>,
    kernel: &'static str,
    /// Elements of input and output.
    lens: [usize; 2],
    /// The type of the indices, and what they count.
    index: Option<(IndexType, IndexKind)>,
    /// Samples, and the bytes of one of them.
    samples: (usize, usize),
}

impl About {
    /// Of a plan without tier, indices and samples.
    fn new(kind: Kind, dtype: DType, layout: Layout, kernel: &'static str, lens: [usize; 2]) -> Self {
        Self { kind, dtype, layout, tier: None, kernel, lens, index: None, samples: (0, 1) }
    }
}

impl Facts {
    fn new(about: &About, [input_shape, output_shape]: [&[usize]; 2], shown: fmt::Arguments<'_>) -> Self {
        let About { kind, dtype, layout, tier, kernel, lens: [input_len, output_len], index, samples } = *about;
        // Unpooling takes indices with its input.
        let indices = if kind == Kind::Unpool { input_len } else { output_len };
        let (samples, sample_size) = samples;
        Self {
            kind,
            dtype,
            layout,
            tier,
            kernel,
            input_shape: input_shape.to_vec(),
            output_shape: output_shape.to_vec(),
            input_len,
            output_len,
            index: index.map(|(index, counts)| (index, counts, indices)),
            sample_bytes: samples.saturating_mul(sample_size),
            sample_size,
            description: shown.to_string(),
        }
    }

    /// The facts of a plan of values with those of its indices.
    fn indexed(self, kind: Kind, index: IndexType, counts: IndexKind, plan: &dyn fmt::Debug) -> Self {
        let index = Some((index, counts, self.output_len));
        Self { kind, index, description: format!("{plan:?}"), ..self }
    }

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

    /// Does what it is asked for, by a call that [`check`] has let through.
    fn run(&self, call: Call<'_>) -> Result<(), Error>;
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

const VALUES: &str = "lanepool_plan_run, lanepool_plan_run_task and lanepool_plan_run_parallel";
const INDEXED: &str =
    "lanepool_plan_run_with_indices, lanepool_plan_run_indices, lanepool_plan_run_task and lanepool_plan_run_parallel";
const ADAPTIVE_INDEXED: &str = "lanepool_plan_run_with_indices, lanepool_plan_run_task and lanepool_plan_run_parallel";

/// Indices alone are found by plain maxima and minima.
fn values_wanted() -> Failure {
    Failure::new(LANEPOOL_UNSUPPORTED, "adaptive pooling gives indices together with its values, never alone")
}

/// Runs a plan, after a look at what it is given: whether it is one for the call, and each buffer as many elements as
/// it needs.
pub(crate) fn run(layer: &dyn Layer, facts: &Facts, call: Call<'_>) -> Result<(), Failure> {
    check(facts, &call)?;
    Ok(layer.run(call)?)
}

fn check(facts: &Facts, call: &Call<'_>) -> Result<(), Failure> {
    let (inputs, outputs, size) = (facts.input_len, facts.output_len, facts.dtype.bytes());
    let tensor = |what, bytes: &[u8], need| check_elements(what, bytes, need, size);
    let indices =
        |bytes: &[u8], need| check_elements(INDICES, bytes, need, facts.index.map_or(1, |(index, ..)| index.bytes()));
    let samples = |bytes: &[u8]| {
        let need = facts.sample_bytes.checked_div(facts.sample_size).unwrap_or(0);
        check_elements(SAMPLES, bytes, need, facts.sample_size)
    };
    match (facts.kind, call) {
        (Kind::Values, Call::Values { part, src, dst }) => {
            tensor(INPUT, src, inputs)?;
            tensor(OUTPUT, dst, len_of(*part, outputs))
        }
        (Kind::Values, _) => not_mine(VALUES),
        (Kind::AdaptiveIndexed, Call::Indexed { dst: None, .. }) => Err(values_wanted()),
        (Kind::Indexed | Kind::AdaptiveIndexed, Call::Indexed { part, src, dst, indices: at }) => {
            let len = len_of(*part, outputs);
            tensor(INPUT, src, inputs)?;
            dst.as_ref().map_or(Ok(()), |dst| tensor(OUTPUT, dst, len))?;
            indices(at, len)
        }
        (Kind::Indexed, _) => not_mine(INDEXED),
        (Kind::AdaptiveIndexed, _) => not_mine(ADAPTIVE_INDEXED),
        (Kind::Fractional, Call::Sampled { src, samples: random, dst, indices: None }) => {
            tensor(INPUT, src, inputs)?;
            samples(random)?;
            tensor(OUTPUT, dst, outputs)
        }
        (Kind::Fractional, _) => not_mine("lanepool_plan_run_fractional, without a buffer of indices"),
        (Kind::FractionalIndexed, Call::Sampled { src, samples: random, dst, indices: Some(at) }) => {
            tensor(INPUT, src, inputs)?;
            samples(random)?;
            tensor(OUTPUT, dst, outputs)?;
            indices(at, outputs)
        }
        (Kind::FractionalIndexed, _) => not_mine("lanepool_plan_run_fractional, with a buffer of indices"),
        (Kind::Unpool, Call::Unpool { src, indices: at, dst }) => {
            tensor(INPUT, src, inputs)?;
            indices(at, inputs)?;
            tensor(OUTPUT, dst, outputs)
        }
        (Kind::Unpool, _) => not_mine("lanepool_plan_unpool"),
        (Kind::Gradient, Call::Gradient { grad_output, grad_input }) => {
            tensor(GRAD_OUTPUT, grad_output, outputs)?;
            tensor(GRAD_INPUT, grad_input, inputs)
        }
        (Kind::Gradient, _) => not_mine("lanepool_plan_backward"),
        (Kind::LpGradient, Call::LpGradient { input, output, grad_output, grad_input }) => {
            tensor(INPUT, input, inputs)?;
            tensor(OUTPUT, output, outputs)?;
            tensor(GRAD_OUTPUT, grad_output, outputs)?;
            tensor(GRAD_INPUT, grad_input, inputs)
        }
        (Kind::LpGradient, _) => not_mine("lanepool_plan_backward_lp"),
        (Kind::MaxGradient, Call::MaxGradient { grad_output, indices: at, grad_input }) => {
            tensor(GRAD_OUTPUT, grad_output, outputs)?;
            indices(at, outputs)?;
            tensor(GRAD_INPUT, grad_input, inputs)
        }
        (Kind::MaxGradient, Call::MaxGradientOfInput { input, grad_output, indices: at, grad_input }) => {
            tensor(INPUT, input, inputs)?;
            tensor(GRAD_OUTPUT, grad_output, outputs)?;
            indices(at, outputs)?;
            tensor(GRAD_INPUT, grad_input, inputs)
        }
        (Kind::MaxGradient, _) => not_mine("lanepool_plan_backward_max and lanepool_plan_backward_max_from_input"),
    }
}

/// Bytes as the elements that [`check`] has found them to be.
fn cast<T: Pod>(bytes: &[u8]) -> &[T] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// The same to write to.
fn cast_mut<T: Pod>(bytes: &mut [u8]) -> &mut [T] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// What [`check`] never lets through.
fn unchecked() -> Result<(), Error> {
    Err(Error::Unsupported { why: "a call for another kind of plan" })
}

impl Layer for AnyPlan {
    fn facts(&self) -> Facts {
        let dtype = self.dtype();
        let lens = [self.input_bytes(), self.output_bytes()].map(|n| n.checked_div(dtype.bytes()).unwrap_or(0));
        let about = About::new(Kind::Values, dtype, self.layout(), self.kernel(), lens);
        let about = About { tier: Some(self.tier()), ..about };
        Facts::new(&about, [self.input_shape(), &self.output_shape()], format_args!("{self}"))
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(Cut::Tasks(self.tasks(most)))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Values { part, src, dst } = call else { return unchecked() };
        match part {
            // Memory of no bytes has no alignment.
            None if dst.is_empty() => Ok(()),
            None => self.run(src, dst),
            Some(Part { tasks, task }) => self.run_task(&tasks, task, src, dst),
        }
    }
}

impl<T: Element, I: Index> Layer for IndexPlan<T, I> {
    fn facts(&self) -> Facts {
        let lens = [self.input_len(), self.output_len()];
        let about = About::new(Kind::Indexed, T::DTYPE, self.layout(), "find", lens);
        let about = About { tier: Some(self.tier()), index: Some((index_type::<I>(), self.kind())), ..about };
        Facts::new(&about, [self.input_shape(), &self.output_shape()], format_args!("{self:?}"))
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(Cut::Tasks(self.tasks(most)))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Indexed { part, src, dst, indices } = call else { return unchecked() };
        let (src, dst, indices) = (cast(src), dst.map(cast_mut), cast_mut(indices));
        match (part, dst) {
            (None, Some(dst)) => self.run(src, dst, indices),
            (None, None) => self.run_indices(src, indices),
            (Some(Part { tasks, task }), Some(dst)) => self.run_task(&tasks, task, src, dst, indices),
            (Some(Part { tasks, task }), None) => self.run_indices_task(&tasks, task, src, indices),
        }
    }
}

impl<T: Element> Layer for AdaptivePlan<T> {
    fn facts(&self) -> Facts {
        let lens = [self.input_len(), self.output_len()];
        let about = About::new(Kind::Values, T::DTYPE, self.layout(), self.kernel(), lens);
        let about = About { tier: Some(self.tier()), ..about };
        Facts::new(&about, [&self.input_shape(), &self.output_shape()], format_args!("{self}"))
    }

    fn cut(&self, _most: usize) -> Option<Cut> {
        Some(Cut::Whole)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Values { src, dst, .. } = call else { return unchecked() };
        self.run(cast(src), cast_mut(dst))
    }
}

impl<T: Element, I: Index> Layer for AdaptiveIndexPlan<T, I> {
    fn facts(&self) -> Facts {
        Layer::facts(self.values()).indexed(Kind::AdaptiveIndexed, index_type::<I>(), self.kind(), self)
    }

    fn cut(&self, _most: usize) -> Option<Cut> {
        Some(Cut::Whole)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Indexed { src, dst: Some(dst), indices, .. } = call else { return unchecked() };
        self.run(cast(src), cast_mut(dst), cast_mut(indices))
    }
}

impl<T: Element> Layer for FractionalPlan<T> {
    fn facts(&self) -> Facts {
        let lens = [self.input_len(), self.output_len()];
        let about = About::new(Kind::Fractional, T::DTYPE, self.layout(), "variable", lens);
        let about = About { samples: (self.samples_len(), size_of::<T::Sample>()), ..about };
        Facts::new(&about, [&self.input_shape(), &self.output_shape()], format_args!("{self:?}"))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Sampled { src, samples, dst, .. } = call else { return unchecked() };
        self.run(cast(src), cast(samples), cast_mut(dst))
    }
}

impl<T: Element, I: Index> Layer for FractionalIndexPlan<T, I> {
    fn facts(&self) -> Facts {
        Layer::facts(self.values()).indexed(Kind::FractionalIndexed, index_type::<I>(), self.kind(), self)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Sampled { src, samples, dst, indices: Some(indices) } = call else { return unchecked() };
        self.run(cast(src), cast(samples), cast_mut(dst), cast_mut(indices))
    }
}

/// An unpooling with what its indices count, which it does not tell itself.
pub(crate) struct Unpooling<T, I> {
    pub plan: Unpool<T, I>,
    pub kind: IndexKind,
    /// The caller's elements, which are as long as `T`.
    pub dtype: DType,
}

impl<T: Element, I: Index> Layer for Unpooling<T, I> {
    fn facts(&self) -> Facts {
        let plan = &self.plan;
        let lens = [plan.input_len(), plan.output_len()];
        let about = About::new(Kind::Unpool, self.dtype, plan.layout(), "scatter", lens);
        unpooling_facts(
            &About { index: Some((index_type::<I>(), self.kind)), ..about },
            [plan.input_shape(), plan.output_shape()],
        )
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Unpool { src, indices, dst } = call else { return unchecked() };
        self.plan.run(cast(src), cast(indices), cast_mut(dst))
    }
}

fn unpooling_facts(about: &About, shapes @ [input, _]: [&[usize]; 2]) -> Facts {
    Facts::new(about, shapes, format_args!("max unpool {} {} of {input:?}", about.dtype.name(), about.layout))
}

/// The facts of a backward pass.
fn backward_facts(about: &About, what: &str, [input, output]: [Vec<usize>; 2]) -> Facts {
    let (element, layout) = (about.dtype.name(), about.layout);
    Facts::new(about, [&input, &output], format_args!("backward {what} {element} {layout} of {input:?}"))
}

/// What is written down of a backward pass, and its shapes.
macro_rules! about_backward {
    ($plan:expr, $kind:ident, $T:ident) => {{
        let plan = $plan;
        let lens = [plan.input_len(), plan.output_len()];
        let about = About::new(Kind::$kind, $T::DTYPE, plan.layout(), "gather", lens);
        (about, [plan.input_shape(), plan.output_shape()])
    }};
}

impl<T: Float> Layer for AvgBackward<T> {
    fn facts(&self) -> Facts {
        let (about, shapes) = about_backward!(self, Gradient, T);
        backward_facts(&about, "avg", shapes)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Gradient { grad_output, grad_input } = call else { return unchecked() };
        self.run(cast(grad_output), cast_mut(grad_input))
    }
}

impl<T: Float> Layer for LpBackward<T> {
    fn facts(&self) -> Facts {
        let (about, shapes) = about_backward!(self, LpGradient, T);
        backward_facts(&about, "lp", shapes)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::LpGradient { input, output, grad_output, grad_input } = call else { return unchecked() };
        self.run(cast(input), cast(output), cast(grad_output), cast_mut(grad_input))
    }
}

/// The backward pass of maxima or minima with what its indices count.
pub(crate) struct MaxGradients<T, I> {
    pub plan: MaxBackward<T, I>,
    pub kind: IndexKind,
}

impl<T: Float, I: Index> Layer for MaxGradients<T, I> {
    fn facts(&self) -> Facts {
        let (about, shapes) = about_backward!(&self.plan, MaxGradient, T);
        backward_facts(&About { index: Some((index_type::<I>(), self.kind)), ..about }, "max", shapes)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        match call {
            Call::MaxGradient { grad_output, indices, grad_input } => {
                self.plan.run(cast(grad_output), cast(indices), cast_mut(grad_input))
            }
            Call::MaxGradientOfInput { input, grad_output, indices, grad_input } => {
                self.plan.run_from_input(cast(input), cast(grad_output), cast_mut(indices), cast_mut(grad_input))
            }
            _ => unchecked(),
        }
    }
}
