//! Every kind of plan as a [`Layer`].

use core::fmt;

use bytemuck::Pod;
use lanepool::erased::{self, Adaptive, Fractional, Indexed};
use lanepool::{AnyPlan, AvgBackward, DType, Element, Error, Float, Index, IndexKind, LpBackward, MaxBackward, Unpool};

use crate::codes::IndexType;
use crate::layer::{About, Call, Cut, Facts, Kind, Layer, Part};

fn index_type<I: Index>() -> IndexType {
    if size_of::<I>() == size_of::<i32>() { IndexType::I32 } else { IndexType::I64 }
}

/// Bytes as the elements that `layer::check` has found them to be.
fn cast<T: Pod>(bytes: &[u8]) -> &[T] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

/// The same to write to.
fn cast_mut<T: Pod>(bytes: &mut [u8]) -> &mut [T] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}

/// What `layer::check` never lets through.
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

/// The facts of a plan that is told of by the library. `index` is the type of its indices, and what they count.
fn facts_of(
    kind: Kind,
    about: &erased::About,
    index: Option<(IndexType, IndexKind)>,
    shown: &dyn fmt::Display,
) -> Facts {
    let erased::About { dtype, layout, tier, kernel, lens, samples, shapes: [input, output] } = about;
    let about = About::new(kind, *dtype, *layout, kernel, *lens);
    Facts::new(&About { tier: *tier, index, samples: *samples, ..about }, [input, output], format_args!("{shown}"))
}

/// A plan of values that may give indices.
pub(crate) struct Indexing<P> {
    pub plan: P,
    /// The type of the indices, if it gives them, and what they count.
    pub index: Option<(IndexType, IndexKind)>,
}

impl Layer for Indexing<Indexed> {
    fn facts(&self) -> Facts {
        facts_of(Kind::Indexed, &self.plan.about(), self.index, &self.plan)
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(Cut::Tasks(self.plan.tasks(most)))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Indexed { part, src, dst, indices } = call else { return unchecked() };
        self.plan.run(part.as_ref().map(|part| (&part.tasks, part.task)), src, dst, indices)
    }
}

impl Layer for Indexing<Adaptive> {
    fn facts(&self) -> Facts {
        let kind = if self.index.is_some() { Kind::AdaptiveIndexed } else { Kind::Values };
        facts_of(kind, &self.plan.about(), self.index, &self.plan)
    }

    fn cut(&self, most: usize) -> Option<Cut> {
        Some(self.plan.tasks(most).map_or(Cut::Whole, Cut::Tasks))
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        match (self.index, call) {
            (None, Call::Values { part, src, dst }) => {
                self.plan.run(part.as_ref().map(|part| (&part.tasks, part.task)), src, dst, None)
            }
            (Some(_), Call::Indexed { src, dst: Some(dst), indices, .. }) => {
                self.plan.run(None, src, dst, Some(indices))
            }
            _ => unchecked(),
        }
    }
}

impl Layer for Indexing<Fractional> {
    fn facts(&self) -> Facts {
        let kind = if self.index.is_some() { Kind::FractionalIndexed } else { Kind::Fractional };
        facts_of(kind, &self.plan.about(), self.index, &self.plan)
    }

    fn run(&self, call: Call<'_>) -> Result<(), Error> {
        let Call::Sampled { src, samples, dst, indices } = call else { return unchecked() };
        self.plan.run(src, samples, dst, indices)
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
                let Some(indices) = indices else { return unchecked() };
                self.plan.run_from_input(cast(input), cast(grad_output), cast_mut(indices), cast_mut(grad_input))
            }
            _ => unchecked(),
        }
    }
}
