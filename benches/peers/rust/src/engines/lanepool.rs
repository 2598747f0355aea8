//! lanepool itself.

use anyhow::Result;
use lanepool::{AvgPool, Layout, MaxPool, Plan};

use super::Run;
use crate::layers::{Layer, Op};

struct Pooling {
    plan: Plan<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

pub fn plan(layer: &Layer) -> lanepool::Result<Plan<f32>> {
    let Layer { op, shape, kernel, stride, pad, .. } = layer;
    match (op, layer.is_global) {
        (Op::Max, true) => MaxPool::global().plan(Layout::Nchw, shape),
        (Op::Avg, true) => AvgPool::global().plan(Layout::Nchw, shape),
        (Op::Max, false) => MaxPool::new(kernel).stride(stride).padding(pad).plan(Layout::Nchw, shape),
        (Op::Avg, false) => {
            AvgPool::new(kernel).stride(stride).padding(pad).count_include_pad(true).plan(Layout::Nchw, shape)
        }
    }
}

pub fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
    let plan = plan(layer)?;
    let y = vec![0.0; plan.output_len()];
    Ok(Some(Box::new(Pooling { plan, x: x.to_vec(), y })))
}

impl Run for Pooling {
    fn run(&mut self) -> Result<()> {
        Ok(self.plan.run_parallel(&self.x, &mut self.y)?)
    }

    fn output(&self) -> Option<Vec<f32>> {
        Some(self.y.clone())
    }
}
