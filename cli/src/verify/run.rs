//! Doing a piece of work with the library, in any layout.

use lanepool::{
    Avg, DType, Element, ElementVisitor, Layout, Lp, LpPool, Max, Min, Plan, Pool, PoolOperation, Quantization,
    QuantizedAvg, QuantizedAvgPool, Sum, Tier,
};
use safetensors::Dtype;

use super::cases;
use super::checks::{Operation, Padding, Pass, Window, Work};
use super::run_guided;

/// What came of a piece of work.
pub enum Outcome {
    /// The output in the order N, C, spatial, as little-endian bytes.
    Output { shape: Vec<usize>, bytes: Vec<u8> },
    /// The library says that it cannot.
    Refused(lanepool::Error),
    /// The library has no kernels for this element type.
    Lacking,
}

/// Does `work` on a tier, with the tensors in `layout`.
pub fn run(work: &Work<'_>, tier: Tier, layout: Layout) -> Outcome {
    let dtype = DType::ALL.iter().find(|dtype| dtype.name() == cases::name(work.input.dtype));
    let outcome = dtype.and_then(|dtype| dtype.visit(Run { work, tier, layout }));
    outcome.unwrap_or(Outcome::Lacking)
}

/// Work, for the element type that is visited.
struct Run<'a> {
    work: &'a Work<'a>,
    tier: Tier,
    layout: Layout,
}

impl ElementVisitor for Run<'_> {
    type Output = Outcome;

    fn visit<T: Element>(self) -> Outcome {
        run_element::<T>(self.work, self.tier, self.layout)
    }
}

fn run_element<T: Element>(work: &Work<'_>, tier: Tier, layout: Layout) -> Outcome {
    match &work.pass {
        Pass::Forward => {}
        Pass::Unpool { .. } => return run_guided::unpool::<T>(work, layout),
        Pass::Backward { .. } => return run_guided::backward(work, layout),
    }
    if let Operation::Variable(variable) = work.operation {
        return variable.run::<T>(work, tier, layout).unwrap_or_else(Outcome::Refused);
    }
    let result = plan::<T>(work, tier, layout).and_then(|plan| {
        let input = reorder(&elements::<T>(&work.input.bytes), &work.input.shape, layout, Direction::Into);
        let output = plan.run_vec(&input)?;
        let shape = plan.output_shape();
        let output = reorder(&output, &shape, layout, Direction::OutOf);
        Ok(Outcome::Output { bytes: bytes(&output), shape })
    });
    result.unwrap_or_else(Outcome::Refused)
}

fn plan<T: Element>(work: &Work<'_>, tier: Tier, layout: Layout) -> lanepool::Result<Plan<T>> {
    let Work { operation, window, input, .. } = work;
    match *operation {
        Operation::Variable(_) => Err(lanepool::Error::Unsupported { why: "variable windows have plans of their own" }),
        Operation::Max => pool::<Max, T>(window).tier(tier).plan(layout, &input.shape),
        Operation::Min => pool::<Min, T>(window).tier(tier).plan(layout, &input.shape),
        Operation::Sum => pool::<Sum, T>(window).tier(tier).plan(layout, &input.shape),
        Operation::Average { include_pad, divisor } => {
            let average = pool::<Avg, T>(window).tier(tier).count_include_pad(include_pad);
            match divisor {
                Some(divisor) => average.divisor(divisor),
                None => average,
            }
            .plan(layout, &input.shape)
        }
        Operation::Lp { p, .. } => {
            let norm = pool::<Lp, T>(window).tier(tier);
            LpPool::p(norm, p).plan(layout, &input.shape)
        }
        Operation::QuantizedAverage { input: (scale, zero), output: (scale_out, zero_out), include_pad } => {
            let average: QuantizedAvgPool<T> = pool::<QuantizedAvg, T>(window).tier(tier);
            average
                .quantization(Quantization::new(scale, zero), Quantization::new(scale_out, zero_out))
                .count_include_pad(include_pad)
                .plan(layout, &input.shape)
        }
    }
}

pub fn pool<O: PoolOperation, T: Element>(window: &Window) -> Pool<O, T> {
    // A global window takes no other attribute.
    let Some(kernel) = &window.kernel else { return Pool::<O, T>::global() };
    let pool = Pool::<O, T>::new(kernel).stride(&window.stride).dilation(&window.dilation).ceil_mode(window.ceil);
    match &window.padding {
        Padding::Explicit { begin, end } => pool.padding_unequal(begin, end),
        Padding::SameUpper => pool.same_upper(),
        Padding::SameLower => pool.same_lower(),
    }
}

/// The layouts that a case is run in: planar as the file has it, channels last, and in blocks of 8 and 16 and of the
/// smallest number that divides the channels.
pub fn layouts(channels: usize) -> Vec<Layout> {
    let smallest = (2..=channels).find(|&block| channels.is_multiple_of(block)).unwrap_or(1);
    let mut blocks: Vec<usize> =
        [smallest, 8, 16].into_iter().filter(|&block| channels.is_multiple_of(block)).collect();
    blocks.dedup();
    [Layout::Nchw, Layout::Nhwc].into_iter().chain(blocks.into_iter().map(Layout::Blocked)).collect()
}

/// Which way a tensor is reordered: from N, C, spatial into a layout, or back.
#[derive(Clone, Copy)]
pub enum Direction {
    Into,
    OutOf,
}

/// Reorders a tensor of shape N, C, spatial.
pub fn reorder<T: Copy>(tensor: &[T], shape: &[usize], layout: Layout, direction: Direction) -> Vec<T> {
    let (channels, spatial) = (shape[1], shape[2..].iter().product::<usize>());
    // Every layout is blocked: channels last is one block of them all.
    let block = match layout {
        Layout::Nhwc => channels,
        Layout::Blocked(block) => block,
        _ => 1,
    };
    let mut reordered = tensor.to_vec();
    for (i, element) in tensor.iter().enumerate() {
        // Both orders agree on everything outside a block.
        let (block_of, inside) = (i / (block * spatial), i % (block * spatial));
        let swapped = match direction {
            Direction::Into => inside % spatial * block + inside / spatial,
            Direction::OutOf => inside % block * spatial + inside / block,
        };
        reordered[block_of * block * spatial + swapped] = *element;
    }
    reordered
}

/// Elements from little-endian bytes.
pub fn elements<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    let native = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if cfg!(target_endian = "big") {
            bytes.reverse();
        }
        bytemuck::pod_read_unaligned(&bytes)
    };
    bytes.chunks_exact(size_of::<T>()).map(native).collect()
}

/// Little-endian bytes of elements.
pub fn bytes<T: bytemuck::Pod>(elements: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(elements));
    for element in elements {
        let native = bytemuck::bytes_of(element);
        if cfg!(target_endian = "big") {
            bytes.extend(native.iter().rev());
        } else {
            bytes.extend(native);
        }
    }
    bytes
}

/// Why nothing ran, for an element type without kernels.
pub fn lacking(dtype: Dtype) -> String {
    format!("the library has no kernels for {} yet", cases::name(dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_divide_the_channels() {
        let names = |channels| layouts(channels).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(1), ["nchw", "nhwc", "nchw1c"]);
        assert_eq!(names(17), ["nchw", "nhwc", "nchw17c"]);
        assert_eq!(names(16), ["nchw", "nhwc", "nchw2c", "nchw8c", "nchw16c"]);
    }

    #[test]
    fn a_layout_holds_the_elements_in_its_order() {
        // Element = 100·n + 10·c + w.
        let shape = [2, 4, 3];
        let tensor: Vec<i32> = (0..24).map(|i| 100 * (i / 12) + 10 * (i / 3 % 4) + i % 3).collect();
        let of = |layout| reorder(&tensor, &shape, layout, Direction::Into);
        assert_eq!(of(Layout::Nchw), tensor);
        assert_eq!(of(Layout::Nhwc)[..12], [0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32]);
        assert_eq!(of(Layout::Nhwc)[12], 100);
        assert_eq!(of(Layout::Blocked(2))[..12], [0, 10, 1, 11, 2, 12, 20, 30, 21, 31, 22, 32]);
        for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(2), Layout::Blocked(4)] {
            assert_eq!(reorder(&of(layout), &shape, layout, Direction::OutOf), tensor, "{layout}");
        }
    }
}
