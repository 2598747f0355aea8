//! From the attributes of a model's file to a builder: what each format means by them, with its defaults and its errors.
//!
//! | module | format | stride not given | average's divisor | ceil mode's last window |
//! |---|---|---|---|---|
//! | [`onnx`] | ONNX, and ONNX Runtime's `com.microsoft` | 1 | valid taps, unless `count_include_pad` | an argument: [`onnx::Opset`] |
//! | [`torch`] | `torch.nn.functional` | the kernel | declared padding counts, unless told otherwise | must begin inside |
//! | [`tflite`] | TensorFlow Lite and TensorFlow | always given | valid taps | there is no ceil mode |
//!
//! Every operator has a function that returns its builder. What a format says beside the layer, such as a layout or a fused
//! activation, is returned with it.
//!
//! Numbers are taken as the formats hold them, signed; one that is negative or missing, and a list of the wrong length, is
//! [`Error::BadAttribute`], a sentence with the attribute's name. What depends on the tensor (a window larger than the
//! padded input, a kernel or stride of 0 where the format allows it) is left to the builder's `plan`, which names the axis.

pub mod onnx;
pub mod tflite;
pub mod torch;

use alloc::vec::Vec;

use crate::{AttributeProblem, CeilRule, Error, MaxUnpool, Pool, PoolOperation, Result};

/// What surrounds the input.
enum Padding {
    /// These many elements before and after each axis.
    Explicit { begin: Vec<usize>, end: Vec<usize> },
    /// As much as makes the output `⌈input / stride⌉` long, the odd element at the end.
    SameUpper,
    /// The same with the odd element at the beginning.
    SameLower,
}

/// Where the windows of a layer lie, as plain data: every list has one number for each spatial axis.
struct Window {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Padding,
    /// Whether output lengths are rounded up. Never with same padding, which fixes them.
    ceil_mode: bool,
    ceil_rule: CeilRule,
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
    fn pool<O: PoolOperation, T>(&self) -> Pool<O, T> {
        let pool = Pool::new(&self.kernel).stride(&self.stride).dilation(&self.dilation);
        let pool = match &self.padding {
            Padding::Explicit { begin, end } => pool.padding_unequal(begin, end),
            Padding::SameUpper => pool.same_upper(),
            Padding::SameLower => pool.same_lower(),
        };
        pool.ceil_mode(self.ceil_mode).ceil_rule(self.ceil_rule)
    }

    /// The builder of the unpooling that undoes a maximum with this window.
    fn unpool<T>(&self) -> MaxUnpool<T> {
        let unpool = MaxUnpool::new(&self.kernel).stride(&self.stride);
        match &self.padding {
            Padding::Explicit { begin, end } => unpool.padding_unequal(begin, end),
            // No format has it here: how much it is depends on the length that unpooling is to find.
            Padding::SameUpper | Padding::SameLower => unpool,
        }
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

/// The norm of Lp pooling. Infinity is none of ONNX's, which are integers.
fn norm(attribute: &'static str, p: f64) -> Result<f64> {
    if p.is_finite() && p > 0.0 { Ok(p) } else { Err(bad(attribute, AttributeProblem::Norm { got: p })) }
}
