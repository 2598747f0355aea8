//! Plans of every kind and type behind one face: over bytes, as C has them.
//!
//! ```text
//! check(call):  is it one for this kind of plan, is every buffer as long as it must be     compiled once
//! run(call):    the plan's own function over bytes: `plans.rs`                             compiled once
//! ```
//!
//! Unpooling and gradients have plans of known types: what is compiled for each of them is a cast and a call.

use core::fmt;

use lanepool::{DType, Error, IndexKind, Layout, Tasks, Tier};

use crate::codes::IndexType;
use crate::memory::check_elements;
use crate::status::{Failure, LANEPOOL_OUT_OF_MEMORY, LANEPOOL_UNSUPPORTED, LANEPOOL_WRONG_FUNCTION};

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
    /// The same, where the indices are found again: in memory of the library's where the caller does not want them.
    MaxGradientOfInput {
        input: &'a [u8],
        grad_output: &'a [u8],
        indices: Option<&'a mut [u8]>,
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
    /// One task, the whole: adaptive pooling with indices.
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
pub(crate) struct About {
    pub kind: Kind,
    pub dtype: DType,
    pub layout: Layout,
    pub tier: Option<Tier>,
    pub kernel: &'static str,
    /// Elements of input and output.
    pub lens: [usize; 2],
    /// The type of the indices, and what they count.
    pub index: Option<(IndexType, IndexKind)>,
    /// Samples, and the bytes of one of them.
    pub samples: (usize, usize),
}

impl About {
    /// Of a plan without tier, indices and samples.
    pub fn new(kind: Kind, dtype: DType, layout: Layout, kernel: &'static str, lens: [usize; 2]) -> Self {
        Self { kind, dtype, layout, tier: None, kernel, lens, index: None, samples: (0, 1) }
    }
}

impl Facts {
    pub fn new(about: &About, [input_shape, output_shape]: [&[usize]; 2], shown: fmt::Arguments<'_>) -> Self {
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
    match call {
        Call::MaxGradientOfInput { input, grad_output, indices: None, grad_input } => {
            let bytes = facts.index_bytes();
            let mut memory = unwanted(bytes)?;
            let indices = bytemuck::cast_slice_mut(&mut memory).get_mut(..bytes);
            Ok(layer.run(Call::MaxGradientOfInput { input, grad_output, indices, grad_input })?)
        }
        call => Ok(layer.run(call)?),
    }
}

/// Memory for `bytes` of indices that the caller does not want, aligned for either type.
fn unwanted(bytes: usize) -> Result<Vec<i64>, Failure> {
    let len = bytes.div_ceil(size_of::<i64>());
    let mut memory = Vec::new();
    memory.try_reserve_exact(len).map_err(|_| {
        let sentence = format!("there is no memory for the {bytes} bytes of indices that are found on the way");
        Failure::new(LANEPOOL_OUT_OF_MEMORY, sentence)
    })?;
    memory.resize(len, 0);
    Ok(memory)
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
            at.as_ref().map_or(Ok(()), |at| indices(at, outputs))?;
            tensor(GRAD_INPUT, grad_input, inputs)
        }
        (Kind::MaxGradient, _) => not_mine("lanepool_plan_backward_max and lanepool_plan_backward_max_from_input"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that there is not is a status, and no end of the process.
    #[test]
    fn memory_that_cannot_be_had_is_a_status() {
        assert_eq!(unwanted(12).expect("a few bytes"), [0; 2]);
        for bytes in [usize::MAX, isize::MAX as usize] {
            let failure = unwanted(bytes).expect_err("more than there is");
            assert_eq!(failure.status, LANEPOOL_OUT_OF_MEMORY);
            assert!(failure.sentence.contains(&bytes.to_string()), "{}", failure.sentence);
        }
    }
}
