//! From the attributes of a model's file to a builder: what each format means by them, with its defaults and its errors.
//!
//! | module | format | stride not given | average's divisor | ceil mode's last window |
//! |---|---|---|---|---|
//! | [`onnx`] | ONNX, and ONNX Runtime's `com.microsoft` | 1 | valid taps, unless `count_include_pad` | an argument: [`onnx::Opset`] |
//! | [`torch`] | `torch.nn.functional` | the kernel | declared padding counts, unless told otherwise | must begin inside |
//! | [`tflite`] | TensorFlow Lite and TensorFlow | always given | valid taps | there is no ceil mode |
//!
//! Numbers are taken as the formats hold them, signed; one that is negative or missing, and a list of the wrong length, is
//! [`Error::BadAttribute`], a sentence with the attribute's name. What depends on the tensor (a window larger than the
//! padded input, a kernel or stride of 0) is left to [`Pool::plan`], which names the axis.

pub mod onnx;
pub mod tflite;
pub mod torch;

use alloc::vec::Vec;

use crate::{AttributeProblem, CeilRule, Error, Pool, PoolOperation, Result};

/// What surrounds the input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// These many elements before and after each axis.
    Explicit {
        /// Before each axis.
        begin: Vec<usize>,
        /// After each axis.
        end: Vec<usize>,
    },
    /// As much as makes the output `⌈input / stride⌉` long, the odd element at the end.
    SameUpper,
    /// The same with the odd element at the beginning.
    SameLower,
}

/// Where the windows of a layer lie, as plain data: every list has one number for each spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Taps.
    pub kernel: Vec<usize>,
    /// How far the window moves from one output to the next.
    pub stride: Vec<usize>,
    /// The distance between two taps.
    pub dilation: Vec<usize>,
    /// What surrounds the input.
    pub padding: Padding,
    /// Whether output lengths are rounded up. Never with same padding, which fixes them.
    pub ceil_mode: bool,
    /// Which windows are kept where they are.
    pub ceil_rule: CeilRule,
}

impl Window {
    /// A window that moves by 1 without padding.
    fn new(kernel: Vec<usize>) -> Self {
        let rank = kernel.len();
        Self {
            kernel,
            stride: alloc::vec![1; rank],
            dilation: alloc::vec![1; rank],
            padding: Padding::Explicit { begin: alloc::vec![0; rank], end: alloc::vec![0; rank] },
            ceil_mode: false,
            ceil_rule: CeilRule::default(),
        }
    }

    /// The builder of a layer with this window.
    pub fn pool<O: PoolOperation, T>(&self) -> Pool<O, T> {
        let pool = Pool::new(&self.kernel).stride(&self.stride).dilation(&self.dilation);
        let pool = match &self.padding {
            Padding::Explicit { begin, end } => pool.padding_unequal(begin, end),
            Padding::SameUpper => pool.same_upper(),
            Padding::SameLower => pool.same_lower(),
        };
        pool.ceil_mode(self.ceil_mode).ceil_rule(self.ceil_rule)
    }
}

fn bad(attribute: &'static str, why: AttributeProblem) -> Error {
    Error::BadAttribute { attribute, why }
}

/// A number as a length.
fn length(attribute: &'static str, number: i64, least: i64) -> Result<usize> {
    let fits = usize::try_from(number).ok().filter(|_| number >= least);
    fits.ok_or(bad(attribute, AttributeProblem::Number { got: number, least }))
}

/// Numbers as lengths, one for each of `need` places.
fn lengths(attribute: &'static str, numbers: &[i64], need: usize, least: i64) -> Result<Vec<usize>> {
    if numbers.len() != need {
        return Err(bad(attribute, AttributeProblem::Length { got: numbers.len(), need }));
    }
    numbers.iter().map(|number| length(attribute, *number, least)).collect()
}

/// A kernel, which says how many spatial axes there are.
fn kernel(attribute: &'static str, numbers: &[i64]) -> Result<Vec<usize>> {
    match numbers.len() {
        0 => Err(bad(attribute, AttributeProblem::Missing)),
        rank @ 1..=3 => lengths(attribute, numbers, rank, 0),
        got => Err(bad(attribute, AttributeProblem::Length { got, need: 0 })),
    }
}
