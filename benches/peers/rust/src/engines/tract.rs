//! tract: a model of one node, optimised. Global pooling is a reduction there, and its mean a sum with a division, as in what tract makes of
//! an ONNX model.

use std::sync::Arc;

use anyhow::{Context, Result};
use tract_core::internal::{
    DatumType, IntoRunnable, OutletId, SpecialOps, TValue, TVec, Tensor, TypedFact, TypedModel, TypedRunnableModel,
    tvec,
};
use tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::math;
use tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::Run;
use crate::layers::{Layer, Op};

struct Model {
    model: Arc<TypedRunnableModel>,
    x: TValue,
    y: Option<TValue>,
}

pub fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
    let mut model = TypedModel::default();
    let source = model.add_source("x", TypedFact::dt_shape(DatumType::F32, &layer.shape))?;
    let outputs = if layer.is_global { global(&mut model, source, layer)? } else { window(&mut model, source, layer)? };
    model.select_output_outlets(&outputs)?;
    let x = TValue::from(Tensor::from_shape(&layer.shape, x)?);
    Ok(Some(Box::new(Model { model: model.into_optimized()?.into_runnable()?, x, y: None })))
}

fn window(model: &mut TypedModel, source: OutletId, layer: &Layer) -> Result<TVec<OutletId>> {
    let pad: TVec<usize> = layer.pad.iter().copied().collect();
    let spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: layer.kernel.iter().copied().collect(),
        padding: PaddingSpec::ExplicitOnnxPool(pad.clone(), pad, false),
        dilations: None,
        strides: Some(layer.stride.iter().copied().collect()),
        input_channels: layer.shape[1],
        output_channels: layer.shape[1],
    };
    match layer.op {
        Op::Max => model.wire_node("pool", MaxPool { pool_spec: spec, with_index_outputs: None }, &[source]),
        Op::Avg => {
            model.wire_node("pool", SumPool { pool_spec: spec, count_include_pad: true, normalize: true }, &[source])
        }
    }
}

fn global(model: &mut TypedModel, source: OutletId, layer: &Layer) -> Result<TVec<OutletId>> {
    let axes: TVec<usize> = (2..layer.shape.len()).collect();
    match layer.op {
        Op::Max => model.wire_node("max", Reduce { axes, reducer: Reducer::Max }, &[source]),
        Op::Avg => {
            let sum = model.wire_node("sum", Reduce { axes, reducer: Reducer::Sum }, &[source])?;
            let taps = layer.kernel.iter().product::<usize>() as f32;
            let taps = Tensor::from_shape(&vec![1; layer.shape.len()], &[taps])?;
            let taps = model.add_const("taps", taps)?;
            model.wire_node("mean", math::div(), &[sum[0], taps])
        }
    }
}

impl Run for Model {
    fn run(&mut self) -> Result<()> {
        self.y = Some(self.model.run(tvec![self.x.clone()])?.pop().context("no output")?);
        Ok(())
    }

    fn output(&self) -> Option<Vec<f32>> {
        Some(self.y.as_ref()?.to_plain_array_view::<f32>().ok()?.iter().copied().collect())
    }
}
