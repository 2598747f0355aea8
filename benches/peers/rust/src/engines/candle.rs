//! candle: it pools images, without padding. A sequence is an image of one row there; zeros in front of an average are what padding is.

use anyhow::Result;
use candle_core::{Device, Tensor};

use super::Run;
use crate::layers::{Layer, Op};

struct Pooling {
    layer: Layer,
    x: Tensor,
    y: Option<Tensor>,
}

pub fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
    let padded_max = layer.op == Op::Max && layer.pad.iter().any(|&pad| pad > 0);
    if layer.kernel.len() > 2 || padded_max {
        return Ok(None);
    }
    let x = Tensor::from_slice(x, layer.shape.as_slice(), &Device::Cpu)?;
    Ok(Some(Box::new(Pooling { layer: layer.clone(), x, y: None })))
}

impl Pooling {
    fn pool(&self) -> candle_core::Result<Tensor> {
        let Layer { op, kernel, stride, pad, .. } = &self.layer;
        if self.layer.is_global {
            let planes = self.x.flatten_from(2)?;
            return match op {
                Op::Max => planes.max(2),
                Op::Avg => planes.mean(2),
            };
        }
        let (mut x, (height, width), (down, right)) = match (kernel.as_slice(), stride.as_slice()) {
            (&[height, width], &[down, right]) => (self.x.clone(), (height, width), (down, right)),
            (kernel, stride) => (self.x.unsqueeze(2)?, (1, kernel[0]), (1, stride[0])),
        };
        for (axis, &pad) in pad.iter().enumerate().filter(|(_, pad)| **pad > 0) {
            x = x.pad_with_zeros(axis + 2, pad, pad)?;
        }
        match op {
            Op::Max => x.max_pool2d_with_stride((height, width), (down, right)),
            Op::Avg => x.avg_pool2d_with_stride((height, width), (down, right)),
        }
    }
}

impl Run for Pooling {
    fn run(&mut self) -> Result<()> {
        self.y = Some(self.pool()?);
        Ok(())
    }

    fn output(&self) -> Option<Vec<f32>> {
        self.y.as_ref()?.flatten_all().ok()?.to_vec1().ok()
    }
}
