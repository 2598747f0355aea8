//! Which nodes of a model are pooling, and their replacement.

use std::fmt;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{MaxPool, OptMaxPool, OptSumPool, SumPool};
use tract_onnx::tract_core::ops::math::{Div, Mul};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use crate::op::Lanepool;
use crate::plan::Layer;

/// What [`replace_pooling`] has done. It prints itself, a node a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaced {
    /// The nodes that lanepool runs now.
    pub replaced: Vec<Pooling>,
    /// The pooling nodes that are tract's as before.
    pub left: Vec<Left>,
}

/// A pooling node that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pooling {
    /// The node's name, before and after. Of several nodes that were one mean, the last.
    pub name: String,
    /// lanepool's plan for it, as [`lanepool::Plan`] prints itself; `None` where the shape has symbols, so that it is planned when
    /// it runs.
    pub plan: Option<String>,
}

/// A pooling node that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The node's name in the model.
    pub name: String,
    /// Why, as a sentence.
    pub why: String,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Pooling { name, plan } in &self.replaced {
            writeln!(f, "{name}: {}", plan.as_deref().unwrap_or("planned when it runs"))?;
        }
        self.left.iter().try_for_each(|Left { name, why }| writeln!(f, "{name}: left to tract: {why}"))
    }
}

/// Gives the pooling nodes of a model to lanepool: call it on a decluttered model, before it is optimised.
///
/// Those are `MaxPool`, with or without indices, `SumPool`, which is tract's average too, and what tract makes of global pooling:
/// the maximum over neighbouring axes, and the sum over them that is then divided by their product. (The mean in a layer norm looks
/// like the latter and is replaced, too.) The bodies of loops are not looked into.
///
/// A node with symbols in its shape is planned when it runs, and again when the shape changes. Should lanepool refuse such a shape,
/// tract's own operator pools it.
///
/// # Errors
/// Those of tract's graph.
pub fn replace_pooling(model: &mut TypedModel) -> TractResult<Replaced> {
    let mut report = Replaced::default();
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.op_is::<OptMaxPool>() || node.op_is::<OptSumPool>() {
            let why = "the model is already optimised: replace before that".into();
            report.left.push(Left { name: node.name.clone(), why });
            continue;
        }
        let Some((layer, last)) = pooling(model, node)? else { continue };
        let name = model.node(last).name.clone();
        let fact = model.outlet_fact(node.inputs[0])?;
        let planned = match fact.shape.as_concrete() {
            Some(shape) => layer.plan(fact.datum_type, shape).map(Some),
            None => layer.element(fact.datum_type).map(|_| None),
        };
        match planned {
            Ok(planned) => {
                report.replaced.push(Pooling { name, plan: planned.as_ref().map(|planned| planned.text.clone()) });
                replace(model, id, last, Lanepool::new(layer, planned))?;
            }
            Err(why) => report.left.push(Left { name, why }),
        }
    }
    model.compact()?;
    Ok(report)
}

/// Puts the operator where the nodes from `first` to `last` are, of which each but the last feeds the next alone.
fn replace(model: &mut TypedModel, first: usize, last: usize, op: Lanepool) -> TractResult<()> {
    let mut patch = TypedModelPatch::default();
    let inputs = patch.taps(model, &model.node(first).inputs[..1])?;
    let outputs = patch.wire_node(&model.node(last).name, op, &inputs)?;
    for (slot, output) in outputs.into_iter().enumerate() {
        patch.shunt_outside(model, OutletId::new(last, slot), output)?;
    }
    patch.apply(model)
}

/// The pooling layer that begins at a node, and the node that it ends with.
fn pooling(model: &TypedModel, node: &TypedNode) -> TractResult<Option<(Layer, usize)>> {
    if let Some(max) = node.op_as::<MaxPool>() {
        return Ok(Some((Layer::Max(max.clone()), node.id)));
    }
    if let Some(sum) = node.op_as::<SumPool>() {
        return Ok(Some((Layer::Sum(sum.clone()), node.id)));
    }
    let Some(Reduce { axes, reducer }) = node.op_as::<Reduce>() else { return Ok(None) };
    if axes.is_empty() || axes.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        return Ok(None);
    }
    let global = |mean| Layer::Global { axes: axes.clone(), mean };
    match reducer {
        Reducer::Max => Ok(Some((global(false), node.id))),
        Reducer::Sum => Ok(division(model, node, axes)?.map(|last| (global(true), last))),
        _ => Ok(None),
    }
}

/// The node that makes a mean of the sum over `axes`: it divides by their product, or multiplies with its inverse.
fn division(model: &TypedModel, sum: &TypedNode, axes: &[usize]) -> TractResult<Option<usize>> {
    rule_if!(!model.output_outlets()?.contains(&sum.id.into()));
    rule_if_some!(next = model.single_succ(sum.id)?);
    rule_if_some!(TypedBinOp(op, _) = next.op_as::<TypedBinOp>());
    let slot = usize::from(next.inputs[0].node == sum.id);
    rule_if_some!(constant = &model.outlet_fact(next.inputs[slot])?.konst);
    rule_if!(constant.volume() == 1);
    let input = model.outlet_fact(sum.inputs[0])?;
    let taps: TDim = axes.iter().map(|axis| &input.shape[*axis]).product();
    rule_if_some!(taps = taps.as_i64());
    let taps = taps as f64;
    let constant: f64 = constant.cast_to_scalar()?;
    let of_one = if op.is::<Mul>() {
        constant * taps
    } else if op.is::<Div>() && slot == 1 {
        constant / taps
    } else {
        return Ok(None);
    };
    // The inverse is rounded to the element type.
    let rounding = if input.datum_type == DatumType::F16 { 1e-3 } else { 1e-6 };
    Ok(((of_one - 1.0).abs() < rounding).then_some(next.id))
}
