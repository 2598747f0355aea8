//! Functions that run a plan, each for what its plans need.

use core::ffi::c_void;

use crate::layer::{Call, buffer};
use crate::memory::{apart, lanepool_text};
use crate::plan::lanepool_plan;
use crate::status::lanepool_status;
use crate::{boundary, bytes, indices_of, tensor};

/// Pools `src` into `dst`. For plans without indices and samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            apart(&[dst], &[src])?;
            plan.run(Call::Values { part: None, src: src.read(), dst: dst.write() })
        })
    }
}

/// Pools `src` into `dst` and writes where each value was found to `indices`. For plans with indices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_with_indices(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[dst, indices], &[src])?;
            let (src, dst, indices) = (src.read(), dst.write(), indices.write());
            plan.run(Call::Indexed { part: None, src, dst: Some(dst), indices })
        })
    }
}

/// Writes where the maxima or minima of `src` are, and not what they are. For plans of plain windows with indices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_indices(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[indices], &[src])?;
            plan.run(Call::Indexed { part: None, src: src.read(), dst: None, indices: indices.write() })
        })
    }
}

/// Pools `src` into `dst` with windows where `samples` say: for fractional plans. A plan without indices takes null and 0 for them.
///
/// The samples are N x C x spatial axes numbers from 0 to below 1, of the element's own type, float for integers, whatever the layout. Their
/// order is PyTorch's: width, height with two axes; depth, height, width with three.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_run_fractional(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    samples: *const c_void,
    samples_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let samples = bytes(buffer::SAMPLES, samples, samples_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            apart(&[dst, indices], &[src, samples])?;
            let wants_none = indices.is_absent() && plan.facts.index.is_none();
            plan.run(Call::Sampled {
                src: src.read(),
                samples: samples.read(),
                dst: dst.write(),
                indices: (!wants_none).then(|| indices.write()),
            })
        })
    }
}

/// Writes every value of `src` to `dst` where its index says, and zero everywhere else: for plans of max unpooling. Every index is looked
/// at before the first write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_unpool(
    plan: *const lanepool_plan,
    src: *const c_void,
    src_bytes: usize,
    indices: *const c_void,
    indices_bytes: usize,
    dst: *mut c_void,
    dst_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let src = tensor(plan, buffer::INPUT, src, src_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let dst = tensor(plan, buffer::OUTPUT, dst, dst_bytes)?;
            apart(&[dst], &[src, indices])?;
            plan.run(Call::Unpool { src: src.read(), indices: indices.read(), dst: dst.write() })
        })
    }
}

/// From the gradient of the output to that of the input: for backward plans of averages and sums.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward(
    plan: *const lanepool_plan,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[grad_output])?;
            plan.run(Call::Gradient { grad_output: grad_output.read(), grad_input: grad_input.write() })
        })
    }
}

/// The same for maxima and minima, from the indices that the forward pass gave. Every index is looked at before the first write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_max(
    plan: *const lanepool_plan,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    indices: *const c_void,
    indices_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[grad_output, indices])?;
            let (grad_output, indices, grad_input) = (grad_output.read(), indices.read(), grad_input.write());
            plan.run(Call::MaxGradient { grad_output, indices, grad_input })
        })
    }
}

/// The same from the input: the indices are found again, and written to `indices`. Those who do not
/// want them give null and 0; the library then takes memory for them for the length of the call, or
/// gives `LANEPOOL_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_max_from_input(
    plan: *const lanepool_plan,
    input: *const c_void,
    input_bytes: usize,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    indices: *mut c_void,
    indices_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let input = tensor(plan, buffer::INPUT, input, input_bytes)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let indices = indices_of(plan, indices, indices_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[indices, grad_input], &[input, grad_output])?;
            let are_unwanted = indices.is_absent();
            plan.run(Call::MaxGradientOfInput {
                input: input.read(),
                grad_output: grad_output.read(),
                indices: (!are_unwanted).then(|| indices.write()),
                grad_input: grad_input.write(),
            })
        })
    }
}

/// The same for norms and power means, which need the layer's input and output as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_plan_backward_lp(
    plan: *const lanepool_plan,
    input: *const c_void,
    input_bytes: usize,
    output: *const c_void,
    output_bytes: usize,
    grad_output: *const c_void,
    grad_output_bytes: usize,
    grad_input: *mut c_void,
    grad_input_bytes: usize,
    error: *mut lanepool_text,
) -> lanepool_status {
    // SAFETY: promise 1 for `error`; inside, promise 3 for `plan`, promises 1 and 2 for the buffers, which `apart` has compared.
    unsafe {
        boundary(error, || {
            let plan = lanepool_plan::look(plan)?;
            let input = tensor(plan, buffer::INPUT, input, input_bytes)?;
            let output = tensor(plan, buffer::OUTPUT, output, output_bytes)?;
            let grad_output = tensor(plan, buffer::GRAD_OUTPUT, grad_output, grad_output_bytes)?;
            let grad_input = tensor(plan, buffer::GRAD_INPUT, grad_input, grad_input_bytes)?;
            apart(&[grad_input], &[input, output, grad_output])?;
            plan.run(Call::LpGradient {
                input: input.read(),
                output: output.read(),
                grad_output: grad_output.read(),
                grad_input: grad_input.write(),
            })
        })
    }
}
