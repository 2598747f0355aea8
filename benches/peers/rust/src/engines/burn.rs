//! burn, on its backend for CPUs: flex.

use anyhow::Result;
use burn_backend::TensorData;
use burn_backend::ops::{FloatTensorOps, ModuleOps};
use burn_flex::{Flex, FlexDevice, FlexTensor};

use super::Run;
use crate::layers::{Layer, Op};

struct Pooling {
    layer: Layer,
    x: FlexTensor,
    y: Option<FlexTensor>,
}

pub fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
    let of_sequences = layer.op == Op::Avg && layer.kernel.len() == 1;
    if layer.kernel.len() > 2 || of_sequences {
        return Ok(None);
    }
    let x = Flex::float_from_data(TensorData::new(x.to_vec(), layer.shape.clone()), &FlexDevice);
    Ok(Some(Box::new(Pooling { layer: layer.clone(), x, y: None })))
}

impl Run for Pooling {
    fn run(&mut self) -> Result<()> {
        let Layer { op, kernel, stride, pad, .. } = &self.layer;
        // Another handle of the same memory.
        let x = self.x.clone();
        let pair = |of: &[usize]| [of[0], of[of.len() - 1]];
        self.y = Some(match (op, self.layer.is_global, kernel.len()) {
            (Op::Avg, true, _) => Flex::adaptive_avg_pool2d(x, [1, 1]),
            (Op::Max, true, axes) => (2..2 + axes).fold(x, Flex::float_max_dim),
            (Op::Max, false, 1) => Flex::max_pool1d(x, kernel[0], stride[0], pad[0], 1, false),
            (Op::Max, false, _) => Flex::max_pool2d(x, pair(kernel), pair(stride), pair(pad), [1, 1], false),
            (Op::Avg, false, _) => Flex::avg_pool2d(x, pair(kernel), pair(stride), pair(pad), true, false),
        });
        Ok(())
    }

    fn output(&self) -> Option<Vec<f32>> {
        self.y.as_ref()?.clone().into_data().try_to_vec().ok()
    }
}
