//! Doing work that takes more tensors than an input: max unpooling and backward passes.

use half::{bf16, f16};
use lanepool::{Avg, AvgBackward, Element, Error, Float, IndexKind, Layout, Max, MaxBackward, MaxUnpool, Result};
use safetensors::Dtype;

use super::cases::Tensor;
use super::checks::{Operation, Padding, Pass, Work};
use super::run::{Direction, Outcome, bytes, elements, pool, reorder};

/// A tensor of the file in a layout.
fn tensor<T: bytemuck::Pod>(tensor: &Tensor, layout: Layout) -> Vec<T> {
    reorder(&elements::<T>(&tensor.bytes), &tensor.shape, layout, Direction::Into)
}

/// A result in the file's order.
fn outcome<T: bytemuck::Pod>(result: Result<(Vec<usize>, Vec<T>)>, layout: Layout) -> Outcome {
    match result {
        Ok((shape, output)) => {
            let output = reorder(&output, &shape, layout, Direction::OutOf);
            Outcome::Output { bytes: bytes(&output), shape }
        }
        Err(error) => Outcome::Refused(error),
    }
}

/// Max unpooling. The same on every tier: it has nothing to compute.
pub fn unpool<T: Element>(work: &Work<'_>, layout: Layout) -> Outcome {
    let Pass::Unpool { indices, output, onnx } = &work.pass else { return Outcome::Lacking };
    let layer = match (output, &work.window.kernel) {
        (Some(output), _) if !onnx => MaxUnpool::<T>::to(output),
        (_, None) => return Outcome::Lacking,
        (output, Some(kernel)) => {
            let layer = MaxUnpool::<T>::new(kernel).stride(&work.window.stride);
            let layer = match &work.window.padding {
                Padding::Explicit { begin, end } => layer.padding_unequal(begin, end),
                _ => layer,
            };
            match output {
                Some(output) => layer.padded_to(output),
                None => layer,
            }
        }
    };
    let kind = if *onnx { IndexKind::Tensor } else { IndexKind::Plane };
    let run = || {
        let plan = layer.indices(kind).plan::<i64>(layout, &work.input.shape)?;
        let mut output = vec![T::zeroed(); plan.output_len()];
        plan.run(&tensor(work.input, layout), &tensor(indices, layout), &mut output)?;
        Ok((plan.output_shape().to_vec(), output))
    };
    outcome(run(), layout)
}

/// A backward pass. The same on every tier: it is portable code.
pub fn backward(work: &Work<'_>, layout: Layout) -> Outcome {
    match work.input.dtype {
        Dtype::F32 => outcome(gradient::<f32>(work, layout), layout),
        Dtype::F64 => outcome(gradient::<f64>(work, layout), layout),
        Dtype::F16 => outcome(gradient::<f16>(work, layout), layout),
        Dtype::BF16 => outcome(gradient::<bf16>(work, layout), layout),
        _ => Outcome::Lacking,
    }
}

fn gradient<T: Float>(work: &Work<'_>, layout: Layout) -> Result<(Vec<usize>, Vec<T>)> {
    let Work { operation, window, input, .. } = work;
    let why = "a backward pass that the library has not";
    let Pass::Backward { grad_output, indices, adaptive } = &work.pass else { return Err(Error::Unsupported { why }) };
    let (gradient, lengths) = (tensor::<T>(grad_output, layout), &grad_output.shape[2..]);
    let mut result = vec![T::zeroed(); input.shape.iter().product()];
    match *operation {
        Operation::Max => {
            let plan: MaxBackward<T, i64> = if *adaptive {
                MaxBackward::adaptive(lengths, IndexKind::Plane, layout, &input.shape)?
            } else {
                pool::<Max, T>(window).backward(IndexKind::Plane, layout, &input.shape)?
            };
            match indices {
                Some(indices) => plan.run(&gradient, &tensor(indices, layout), &mut result)?,
                None => {
                    let mut indices = vec![0; plan.output_len()];
                    plan.run_from_input(&tensor(input, layout), &gradient, &mut indices, &mut result)?;
                }
            }
            Ok((plan.input_shape(), result))
        }
        Operation::Average { include_pad, divisor } => {
            let plan = if *adaptive {
                AvgBackward::adaptive(lengths, layout, &input.shape)?
            } else {
                let layer = pool::<Avg, T>(window).count_include_pad(include_pad);
                match divisor {
                    Some(divisor) => layer.divisor(divisor),
                    None => layer,
                }
                .backward(layout, &input.shape)?
            };
            plan.run(&gradient, &mut result)?;
            Ok((plan.input_shape(), result))
        }
        _ => Err(Error::Unsupported { why }),
    }
}
