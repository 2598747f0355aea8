//! The maxima and averages of `benches/layers.json`.

use std::fmt;

use anyhow::{Result, bail};
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Max,
    /// Divides by every tap of the window, padding too.
    Avg,
}

#[derive(Clone, Debug)]
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
    pub is_global: bool,
}

/// A layer as the list has it, in the form of `lanepool bench --cases`.
#[derive(Deserialize)]
struct Row {
    name: String,
    op: Op,
    shape: Vec<usize>,
    kernel: Kernel,
    stride: Option<Vec<usize>>,
    padding: Option<Vec<usize>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Kernel {
    Sizes(Vec<usize>),
    /// `"global"`.
    Named(String),
}

impl TryFrom<Row> for Layer {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { name, op, shape, kernel, stride, padding } = row;
        let (kernel, is_global) = match kernel {
            Kernel::Sizes(sizes) => (sizes, false),
            Kernel::Named(word) if word == "global" => (shape.get(2..).unwrap_or_default().to_vec(), true),
            Kernel::Named(word) => bail!("{name}: the kernel is {word:?} where sizes or \"global\" are needed"),
        };
        let stride = stride.unwrap_or_else(|| vec![1; kernel.len()]);
        let pad = padding.unwrap_or_else(|| vec![0; kernel.len()]);
        Ok(Self { name, op, shape, kernel, stride, pad, is_global })
    }
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
    let rows: Vec<serde_json::Value> = serde_json::from_str(include_str!("../../../layers.json"))?;
    // What every engine has an operator for; the list has other operations too.
    let rows = rows.into_iter().filter(|row| row["op"] == "max" || row["op"] == "avg");
    let layer = |row| -> Result<Layer> { serde_json::from_value::<Row>(row)?.try_into() };
    rows.map(layer).collect()
}
