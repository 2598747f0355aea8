//! Every kind of plan as a [`Layer`]: what is compiled for each element and type of indices.

use bytemuck::Pod;
use lanepool::{
    AdaptiveIndexPlan, AdaptivePlan, AnyPlan, AvgBackward, DType, Element, Error, Float, FractionalIndexPlan,
    FractionalPlan, Index, IndexKind, IndexPlan, LpBackward, MaxBackward, Unpool,
};

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
                let Some(indices) = indices else { return unchecked() };
                self.plan.run_from_input(cast(input), cast(grad_output), cast_mut(indices), cast_mut(grad_input))
            }
            _ => unchecked(),
        }
    }
}
