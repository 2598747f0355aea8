//! The engines: one module each, with a function that makes a layer ready to run.

mod burn;
mod candle;
mod lanepool;
mod rten;
mod tract;

use anyhow::Result;
use clap::ValueEnum;

use crate::bound;
use crate::layers::Layer;

/// A layer made ready to run, over and over, on one input.
pub trait Run {
    /// Runs it, as a network would: what the engine allocates for its output is its own business.
    fn run(&mut self) -> Result<()>;

    /// What the last run computed; `None` where that is not the layer's output.
    fn output(&self) -> Option<Vec<f32>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    Bound,
    Lanepool,
    Tract,
    Candle,
    Rten,
    Burn,
}

impl Engine {
    /// What all are compared with.
    pub const ALWAYS: [Self; 2] = [Self::Bound, Self::Lanepool];
    pub const PEERS: [Self; 4] = [Self::Tract, Self::Candle, Self::Rten, Self::Burn];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Lanepool => "lanepool",
            Self::Tract => "tract",
            Self::Candle => "candle",
            Self::Rten => "rten",
            Self::Burn => "burn",
        }
    }

    /// As `Cargo.toml` has it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Bound => "every byte once",
            Self::Lanepool => "0.1.0",
            // A knob of tract's own, which it reads from the environment.
            Self::Tract if std::env::var_os("TRACT_AVGPOOL_SEPARABLE").is_some() => "0.23.9 (averages axis by axis)",
            Self::Tract => "0.23.9",
            Self::Candle => "0.11.1",
            Self::Rten => "0.27.0",
            Self::Burn => "0.22.1 (flex)",
        }
    }

    /// `None` where the engine has no such layer.
    pub fn prepare(self, layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
        match self {
            Self::Bound => Stream::prepare(layer, x),
            Self::Lanepool => lanepool::prepare(layer, x),
            Self::Tract => tract::prepare(layer, x),
            Self::Candle => candle::prepare(layer, x),
            Self::Rten => rten::prepare(layer, x),
            Self::Burn => burn::prepare(layer, x),
        }
    }
}

/// The streaming bound, over buffers as long as the layer's.
struct Stream {
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Stream {
    fn prepare(layer: &Layer, x: &[f32]) -> Result<Option<Box<dyn Run>>> {
        let plan = lanepool::plan(layer)?;
        Ok(Some(Box::new(Self { x: x.to_vec(), y: vec![0.0; plan.output_len()] })))
    }
}

impl Run for Stream {
    fn run(&mut self) -> Result<()> {
        std::hint::black_box(bound::stream(&self.x, &mut self.y));
        Ok(())
    }

    fn output(&self) -> Option<Vec<f32>> {
        None
    }
}
