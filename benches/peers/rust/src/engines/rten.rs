//! rten: its operators, with a pool of buffers as its own runs have one.

use anyhow::Result;
use rten::{BufferPool, ExtractBuffer, ops};
use rten_tensor::{AsView, Tensor};

use super::Run;
use crate::layers::{Layer, Op};

struct Pooling {
    layer: Layer,
    buffers: BufferPool,
    x: Tensor<f32>,
    y: Option<Tensor<f32>>,
}

pub fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
    if layer.kernel.len() > 2 {
        return Ok(None);
    }
    let x = Tensor::from_data(&layer.shape, x.to_vec());
    Ok(Some(Box::new(Pooling { layer: layer.clone(), buffers: BufferPool::new(), x, y: None })))
}

impl Run for Pooling {
    fn run(&mut self) -> Result<()> {
        if let Some(buffer) = self.y.take().and_then(ExtractBuffer::extract_buffer) {
            self.buffers.add(buffer);
        }
        let Layer { op, kernel, stride, pad, .. } = &self.layer;
        let (buffers, x) = (&self.buffers, self.x.view());
        let padding = ops::Padding::Fixed(pad.iter().chain(pad).copied().collect());
        let floor = Default::default();
        self.y = Some(match (op, self.layer.is_global) {
            (Op::Max, false) => ops::max_pool(buffers, x, kernel, stride, padding, floor)?,
            (Op::Avg, false) => ops::average_pool(buffers, x, kernel, stride, padding, true, floor)?,
            (Op::Avg, true) => ops::global_average_pool(buffers, x)?,
            (Op::Max, true) => {
                let axes: Vec<i32> = (2..).take(kernel.len()).collect();
                ops::reduce_max(buffers, x, Some(&axes), true)?
            }
        });
        Ok(())
    }

    fn output(&self) -> Option<Vec<f32>> {
        Some(self.y.as_ref()?.to_vec())
    }
}
