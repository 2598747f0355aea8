//! The layers of `layers.json`.

use std::fmt;

use anyhow::Result;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Max,
    /// Divides by every tap of the window, padding too.
    Avg,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Layer {
    pub name: String,
    pub op: Op,
    /// N, C, spatial.
    pub shape: Vec<usize>,
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    /// Before and after each axis.
    pub pad: Vec<usize>,
    /// One window, the whole plane: an operator of its own in most engines.
    #[serde(default)]
    pub is_global: bool,
}

impl Layer {
    /// The same operation on one channel and one window: what is left is the call.
    pub fn smallest(&self) -> Self {
        let mut small = self.clone();
        small.shape = vec![1, 1];
        if self.is_global {
            small.kernel.fill(2);
            small.shape.extend(&small.kernel);
        } else {
            small
                .shape
                .extend(self.kernel.iter().zip(&self.pad).map(|(kernel, pad)| kernel.saturating_sub(2 * pad).max(1)));
        }
        small
    }

    /// Random values, the same every time.
    pub fn input(&self) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..self.shape.iter().product()).map(|_| rng.f32() * 2.0 - 1.0).collect()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/nchw/f32", self.name)
    }
}

pub fn published() -> Result<Vec<Layer>> {
    Ok(serde_json::from_str(include_str!("../../layers.json"))?)
}
