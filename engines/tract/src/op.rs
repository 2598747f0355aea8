//! The operator that stands where tract's was.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::tract_core::internal::*;

use crate::plan::{Layer, Planned};

/// A pooling node that lanepool runs. It plans once for each shape, and keeps the last plan.
#[derive(Debug)]
pub(crate) struct Lanepool {
    layer: Layer,
    planned: Mutex<Option<Arc<Planned>>>,
}

impl Lanepool {
    pub(crate) fn new(layer: Layer, planned: Option<Planned>) -> Self {
        Self { layer, planned: Mutex::new(planned.map(Arc::new)) }
    }

    fn kept(&self) -> Option<Arc<Planned>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn planned(&self, input: &Tensor) -> Result<Arc<Planned>, String> {
        let fits = |planned: &Arc<Planned>| planned.element == input.datum_type() && *planned.input == *input.shape();
        if let Some(kept) = self.kept().filter(fits) {
            return Ok(kept);
        }
        let planned = Arc::new(self.layer.plan(input.datum_type(), input.shape())?);
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&planned));
        Ok(planned)
    }

    /// Pools as tract would, for a shape that lanepool refuses: the window is longer than the padded input, say.
    fn eval_as_tract(&self, context: &EvalContext, input: TValue, why: &str) -> TractResult<TVec<TValue>> {
        match &self.layer {
            Layer::Max(max) => max.eval(context, tvec!(input)),
            Layer::Sum(sum) => sum.eval(context, tvec!(input)),
            Layer::Global { .. } => bail!("{why}"),
        }
    }
}

/// A layer is what it computes, whether it is planned or not.
impl PartialEq for Lanepool {
    fn eq(&self, other: &Self) -> bool {
        self.layer == other.layer
    }
}

impl Eq for Lanepool {}

impl Clone for Lanepool {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), planned: Mutex::new(self.kept()) }
    }
}

impl Op for Lanepool {
    fn name(&self) -> StaticName {
        match &self.layer {
            Layer::Max(_) | Layer::Global { mean: false, .. } => "LanepoolMax",
            Layer::Sum(sum) if !sum.normalize => "LanepoolSum",
            Layer::Sum(_) | Layer::Global { mean: true, .. } => "LanepoolAverage",
        }
        .into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let mut info = match &self.layer {
            Layer::Global { axes, .. } => vec![format!("axes: {axes:?}")],
            layer => layer.window().map(|window| window.info()).unwrap_or_default(),
        };
        info.extend(self.kept().map(|planned| planned.text.clone()));
        Ok(info)
    }

    fn validation(&self) -> Validation {
        match self.layer {
            Layer::Max(_) | Layer::Global { mean: false, .. } => Validation::Accurate,
            Layer::Sum(_) | Layer::Global { mean: true, .. } => Validation::Rounding,
        }
    }

    op_as_typed_op!();
}

impl EvalOp for Lanepool {
    op_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let planned = match self.planned(&input) {
            Ok(planned) => planned,
            Err(why) => return self.eval_as_tract(context, input, &why),
        };
        let uninitialized = |element| {
            // SAFETY: a plan writes every element of its outputs and reads none, and nothing else sees them before.
            unsafe { Tensor::uninitialized_dt(element, &planned.output) }
        };
        let mut values = uninitialized(planned.element)?;
        let mut indices = self.layer.indices().map(uninitialized).transpose()?;
        let src = input.try_as_plain_ram()?.as_bytes();
        let mut dst = values.try_as_plain_ram_mut()?;
        let mut at = indices.as_mut().map(|indices| indices.try_as_plain_ram_mut()).transpose()?;
        let at = at.as_mut().map_or(&mut [][..], |at| at.as_bytes_mut());
        (planned.run)(src, dst.as_bytes_mut(), at).map_err(|error| format_err!("{error}"))?;
        Ok([values].into_iter().chain(indices).map(Tensor::into_tvalue).collect())
    }
}

impl TypedOp for Lanepool {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = self.layer.output_shape(&inputs[0].shape)?;
        let elements = [inputs[0].datum_type].into_iter().chain(self.layer.indices());
        Ok(elements.map(|element| element.fact(&shape)).collect())
    }

    as_op!();
}
