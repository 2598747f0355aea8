//! Any attributes of a node of ONNX, PyTorch, TensorFlow Lite or TensorFlow: a builder or a sentence, never a panic.
//!
//! What an importer accepts must plan as its attributes say, by arithmetic in 128 bits; what it refuses must have something that
//! the format does not allow. Both are written down here again, from the formats' texts.
#![no_main]

#[path = "../common/bytes.rs"]
mod bytes;
#[path = "../../tests/properties/reference.rs"]
mod reference;

use bytes::Bytes;
use lanepool::import::onnx::{self, Attributes, Opset};
use lanepool::import::tflite::{self, Imported, Pool2DOptions, TensorFlow};
use lanepool::import::torch::{
    self, AvgPoolArguments, FractionalMaxPoolArguments, LpPoolArguments, MaxPoolArguments, MaxUnpoolArguments,
};
use lanepool::{Error, Layout, Pool, PoolOperation, Quantization, Result};
use libfuzzer_sys::fuzz_target;
use reference::{Padding, Request, verdict};

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    match bytes.below(4) {
        0 | 1 => of_onnx(&mut bytes),
        2 => of_torch(&mut bytes),
        _ => of_tensorflow(&mut bytes),
    }
});

/// Up to four numbers, mostly `rank` of them.
fn list(bytes: &mut Bytes<'_>, rank: usize) -> Vec<i64> {
    let count = bytes.below(32);
    let count = if count < 8 { count % 5 } else { rank };
    (0..count).map(|_| bytes.signed()).collect()
}

fn some<T>(bytes: &mut Bytes<'_>, value: impl FnOnce(&mut Bytes<'_>) -> T) -> Option<T> {
    bytes.bit().then(|| value(bytes))
}

/// Numbers as lengths, if they are.
fn lengths(numbers: &[i64], least: i64) -> Option<Vec<usize>> {
    numbers.iter().map(|n| usize::try_from(*n).ok().filter(|_| *n >= least)).collect()
}

/// A refusal is a sentence about an attribute.
fn is_sentence(error: &Error) {
    assert!(matches!(error, Error::BadAttribute { .. }), "{error:?}");
    let sentence = error.to_string();
    assert!(sentence.len() > 10 && !sentence.contains('\n'), "{sentence:?}");
}

/// What an importer made of attributes, against what they say: `None` where the format does not allow them.
fn judge<O: PoolOperation, T: lanepool::Element>(
    what: &dyn std::fmt::Debug,
    made: &Result<Pool<O, T>>,
    want: Option<Request>,
    layout: Layout,
) {
    match (made, want) {
        (Ok(pool), Some(request)) => {
            let answer = pool.output_shape(&request.shape);
            if let Err(why) = verdict(&request, size_of::<T>(), &answer) {
                panic!("{what:?} is read as {request:?} and gives {answer:?}: {why}");
            }
            if let Ok(plan) = pool.plan(layout, &request.shape) {
                assert_eq!(Ok(plan.output_shape()), answer, "{what:?}");
            }
        }
        (Err(error), None) => is_sentence(error),
        (Ok(_), None) => panic!("{what:?} is not allowed by its format, and was taken"),
        (Err(error), Some(request)) => panic!("{what:?} is {request:?}, and was refused: {error}"),
    }
}

fn shape(bytes: &mut Bytes<'_>, rank: usize) -> Vec<usize> {
    [1, bytes.within(1, 3)].into_iter().chain(bytes.numbers(rank)).collect()
}

const AUTO_PADS: [&str; 6] = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "same_upper", ""];

fn of_onnx(bytes: &mut Bytes<'_>) {
    let rank = bytes.within(1, 3);
    let (operator, version) = (bytes.below(8), bytes.within(0, 25) as i64);
    let kernel = list(bytes, rank);
    let strides = some(bytes, |bytes| list(bytes, rank));
    let pads = some(bytes, |bytes| list(bytes, 2 * rank));
    let dilations = some(bytes, |bytes| list(bytes, rank));
    let auto_pad = some(bytes, |bytes| bytes.pick(&AUTO_PADS));
    let flag = |bytes: &mut Bytes<'_>| some(bytes, |bytes| [0, 1, 1, 2, -1, i64::MIN][bytes.below(6)]);
    let attributes = Attributes {
        kernel_shape: &kernel,
        strides: strides.as_deref(),
        pads: pads.as_deref(),
        dilations: dilations.as_deref(),
        auto_pad,
        ceil_mode: flag(bytes),
        count_include_pad: flag(bytes),
        storage_order: flag(bytes),
        p: some(bytes, |bytes| f64::from_bits(bytes.wide())),
        channels_last: flag(bytes),
    };
    let opset = Opset::new(version);
    let shape = shape(bytes, rank);
    match operator {
        0 | 1 => judge(
            &attributes,
            &onnx::max_pool::<f32>(&attributes, opset),
            max_of(&attributes, version, shape),
            Layout::Nchw,
        ),
        2 | 3 => {
            let want = average_of(&attributes, version, shape);
            judge(&attributes, &onnx::average_pool::<f32>(&attributes, opset), want, Layout::Nchw);
        }
        4 => told(onnx::lp_pool::<f32>(&attributes, opset)),
        5 => told(onnx::max_unpool::<f32>(&attributes, opset)),
        6 => {
            let (from, to) = (
                Quantization::new(f32::from_bits(bytes.wide() as u32), bytes.signed() as i32),
                Quantization::new(1.0, 0),
            );
            if let Ok((pool, layout)) = onnx::q_linear_average_pool::<u8>(&attributes, from, to) {
                drop(pool.plan(layout, &shape));
            }
        }
        _ => {
            told(onnx::global_lp_pool::<f32>(&attributes, opset));
            told(onnx::index_kind(&attributes, opset));
        }
    }
}

/// A builder or a sentence.
fn told<T>(made: Result<T>) {
    if let Err(error) = made {
        is_sentence(&error);
    }
}

/// The window of ONNX's `MaxPool` or `AveragePool`, by their texts.
fn window_of(attributes: &Attributes<'_>, shape: Vec<usize>) -> Option<Request> {
    let kernel = lengths(attributes.kernel_shape, 0)?;
    let rank = kernel.len();
    if !(1..=3).contains(&rank) {
        return None;
    }
    let given = |numbers: Option<&[i64]>, need: usize| match numbers.filter(|numbers| !numbers.is_empty()) {
        None => Some(None),
        Some(numbers) if numbers.len() == need => lengths(numbers, 0).map(Some),
        Some(_) => None,
    };
    let (stride, dilation) = (given(attributes.strides, rank)?, given(attributes.dilations, rank)?);
    let pads = given(attributes.pads, 2 * rank)?;
    let ceil = match attributes.ceil_mode.unwrap_or(0) {
        0 => false,
        1 => true,
        _ => return None,
    };
    let auto_pad = attributes.auto_pad.unwrap_or("NOTSET");
    let none = (vec![0; rank], vec![0; rank]);
    let (padding, ceil) = match auto_pad {
        "NOTSET" => {
            let (begin, end) = pads.map_or(none, |pads| (pads[..rank].to_vec(), pads[rank..].to_vec()));
            (Padding::Explicit(begin, end), ceil)
        }
        "VALID" | "SAME_UPPER" | "SAME_LOWER" if attributes.pads.is_some_and(|pads| pads.iter().any(|n| *n != 0)) => {
            return None;
        }
        "VALID" => (Padding::Explicit(none.0, none.1), false),
        "SAME_UPPER" => (Padding::Same(true), false),
        "SAME_LOWER" => (Padding::Same(false), false),
        _ => return None,
    };
    Some(Request { shape, kernel: Some(kernel), stride, dilation, padding, ceil, allow_empty: false })
}

/// `None` where one of the attributes came with a later operator set, or with none.
fn since(version: i64, given: &[(bool, Option<i64>)]) -> Option<()> {
    given.iter().all(|(is_given, since)| !is_given || since.is_some_and(|since| version >= since)).then_some(())
}

/// Source: ONNX's Changelog.md, `MaxPool` 1, 8, 10, 11, 12, 22.
fn max_of(attributes: &Attributes<'_>, version: i64, shape: Vec<usize>) -> Option<Request> {
    let later = [
        (true, Some(1)),
        (attributes.storage_order.is_some(), Some(8)),
        (attributes.dilations.is_some(), Some(10)),
        (attributes.ceil_mode.is_some(), Some(10)),
        (attributes.count_include_pad.is_some(), None),
        (attributes.p.is_some(), None),
        (attributes.channels_last.is_some(), None),
    ];
    since(version, &later)?;
    if !matches!(attributes.storage_order.unwrap_or(0), 0 | 1) {
        return None;
    }
    window_of(attributes, shape)
}

/// Source: ONNX's Changelog.md, `AveragePool` 1, 7, 10, 11, 19, 22.
fn average_of(attributes: &Attributes<'_>, version: i64, shape: Vec<usize>) -> Option<Request> {
    let later = [
        (true, Some(1)),
        (attributes.count_include_pad.is_some(), Some(7)),
        (attributes.ceil_mode.is_some(), Some(10)),
        (attributes.dilations.is_some(), Some(19)),
        (attributes.storage_order.is_some(), None),
        (attributes.p.is_some(), None),
        (attributes.channels_last.is_some(), None),
    ];
    since(version, &later)?;
    if !matches!(attributes.count_include_pad.unwrap_or(0), 0 | 1) {
        return None;
    }
    window_of(attributes, shape)
}

fn of_torch(bytes: &mut Bytes<'_>) {
    let rank = bytes.within(1, 3);
    let function = bytes.below(7);
    let (kernel, stride, padding, dilation) =
        (list(bytes, rank), list(bytes, rank), list(bytes, rank), list(bytes, rank));
    let (ceil_mode, count_include_pad) = (bytes.bit(), bytes.bit());
    let divisor_override = some(bytes, |bytes| bytes.signed());
    let shape = shape(bytes, rank);
    macro_rules! by_rank {
        ($one:ident, $two:ident, $three:ident, $T:ty, $arguments:expr) => {
            match rank {
                1 => torch::$one::<$T>($arguments),
                2 => torch::$two::<$T>($arguments),
                _ => torch::$three::<$T>($arguments),
            }
        };
    }
    match function {
        0 | 1 => {
            let arguments = MaxPoolArguments {
                kernel_size: &kernel,
                stride: &stride,
                padding: &padding,
                dilation: &dilation,
                ceil_mode,
            };
            let made = by_rank!(max_pool1d, max_pool2d, max_pool3d, f32, &arguments);
            let want = torch_window(&kernel, &stride, &padding, &dilation, ceil_mode, shape);
            judge(&arguments, &made, want, Layout::Nchw);
        }
        2 | 3 => {
            let arguments = AvgPoolArguments {
                kernel_size: &kernel,
                stride: &stride,
                padding: &padding,
                ceil_mode,
                count_include_pad,
                divisor_override,
            };
            let made = by_rank!(avg_pool1d, avg_pool2d, avg_pool3d, f32, &arguments);
            // Negative divisors PyTorch takes and the library does not.
            let is_allowed = divisor_override.is_none_or(|divisor| rank > 1 && divisor > 0);
            let want = torch_window(&kernel, &stride, &padding, &[1], ceil_mode, shape).filter(|_| is_allowed);
            judge(&arguments, &made, want, Layout::Nchw);
        }
        4 => {
            let norm_type = f64::from_bits(bytes.wide());
            let version = torch::Version::new(2, bytes.within(10, 5) as u32);
            let arguments = LpPoolArguments { norm_type, kernel_size: &kernel, stride: &stride, ceil_mode, version };
            let made = by_rank!(lp_pool1d, lp_pool2d, lp_pool3d, f32, &arguments);
            // Infinity too, which is not NaN.
            let is_allowed = norm_type > 0.0;
            let want = torch_window(&kernel, &stride, &[0], &[1], ceil_mode, shape).filter(|_| is_allowed);
            judge(&arguments, &made, want, Layout::Nchw);
        }
        5 => {
            let output_size = some(bytes, |bytes| list(bytes, rank));
            let arguments = MaxUnpoolArguments {
                kernel_size: &kernel,
                stride: &stride,
                padding: &padding,
                output_size: output_size.as_deref(),
            };
            let made = by_rank!(max_unpool1d, max_unpool2d, max_unpool3d, f32, &arguments);
            match made {
                Ok(unpool) => drop(unpool.plan::<i64>(Layout::Nchw, &shape)),
                Err(error) => is_sentence(&error),
            }
        }
        _ => {
            let arguments = FractionalMaxPoolArguments { kernel_size: &kernel, output_size: &stride };
            let made = match rank {
                3 => torch::fractional_max_pool3d::<f32>(&arguments),
                _ => torch::fractional_max_pool2d::<f32>(&arguments),
            };
            match made {
                Ok(pool) => drop(pool.plan(Layout::Nchw, &shape)),
                Err(error) => is_sentence(&error),
            }
            let sizes: Vec<Option<i64>> = kernel.iter().map(|n| (*n != 7).then_some(*n)).collect();
            match torch::adaptive_avg_pool2d::<f32>(&sizes, shape.get(2..).unwrap_or_default()) {
                Ok(pool) => drop(pool.plan(Layout::Nchw, &shape)),
                Err(error) => is_sentence(&error),
            }
        }
    }
}

/// A window by the documentation of `torch.nn.functional`: one number stands for every axis, no stride is the kernel's, and padding is at
/// most half of the kernel.
fn torch_window(
    kernel: &[i64],
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    ceil: bool,
    shape: Vec<usize>,
) -> Option<Request> {
    let rank = shape.len() - 2;
    let spread = |numbers: &[i64], least: i64| match numbers {
        [one] => lengths(&vec![*one; rank], least),
        _ if numbers.len() == rank => lengths(numbers, least),
        _ => None,
    };
    let kernel = spread(kernel, 1)?;
    let stride = if stride.is_empty() { kernel.clone() } else { spread(stride, 1)? };
    let (padding, dilation) = (spread(padding, 0)?, spread(dilation, 1)?);
    if padding.iter().zip(&kernel).any(|(padding, kernel)| *padding > kernel / 2) {
        return None;
    }
    let padding = Padding::Explicit(padding.clone(), padding);
    let (stride, dilation) = (Some(stride), Some(dilation));
    Some(Request { shape, kernel: Some(kernel), stride, dilation, padding, ceil, allow_empty: false })
}

fn of_tensorflow(bytes: &mut Bytes<'_>) {
    if bytes.bit() {
        let options = Pool2DOptions {
            padding: bytes.within(0, 3) as i8,
            stride_w: bytes.signed() as i32,
            stride_h: bytes.signed() as i32,
            filter_width: bytes.signed() as i32,
            filter_height: bytes.signed() as i32,
            fused_activation_function: bytes.within(0, 6) as i8,
        };
        let shape = shape(bytes, 2);
        let (kernel, stride) = (
            [i64::from(options.filter_height), i64::from(options.filter_width)],
            [i64::from(options.stride_h), i64::from(options.stride_w)],
        );
        let is_allowed = matches!(options.padding, 0 | 1) && matches!(options.fused_activation_function, 0..=3);
        let want = same_or_valid(&kernel, &stride, options.padding == 0, shape).filter(|_| is_allowed);
        match bytes.below(3) {
            0 => judge_imported(&options, tflite::max_pool_2d::<f32>(&options), want),
            1 => judge_imported(&options, tflite::average_pool_2d::<i8>(&options), want),
            _ => judge_imported(&options, tflite::l2_pool_2d::<f32>(&options), want),
        }
        if let Ok(Imported { clamp: Some(clamp), .. }) = tflite::max_pool_2d::<i8>(&options) {
            let (low, high) = clamp.stored(f32::from_bits(bytes.wide() as u32), bytes.signed() as i32, -128, 127);
            assert!((-128..=127).contains(&low) && (-128..=127).contains(&high), "{low} {high}");
        }
    } else {
        let (ksize, strides) = (list(bytes, 4), list(bytes, 4));
        let attributes = TensorFlow {
            ksize: &ksize,
            strides: &strides,
            padding: bytes.pick(&["SAME", "VALID", "EXPLICIT", ""]),
            data_format: bytes.pick(&["NHWC", "NCHW", "NCHW_VECT_C", ""]),
            include_batch_in_index: strides.get(1).is_some_and(|n| n % 2 == 0),
        };
        let shape = shape(bytes, 2);
        let spatial = |numbers: &[i64]| {
            let &[batch, a, b, c] = numbers else { return None };
            let (channels, spatial) = if attributes.data_format == "NCHW" { (a, [b, c]) } else { (c, [a, b]) };
            (batch == 1 && channels == 1).then_some(spatial)
        };
        let is_allowed =
            matches!(attributes.padding, "SAME" | "VALID") && matches!(attributes.data_format, "NHWC" | "NCHW");
        let want = spatial(&ksize)
            .zip(spatial(&strides))
            .filter(|_| is_allowed)
            .and_then(|(kernel, stride)| same_or_valid(&kernel, &stride, attributes.padding == "SAME", shape));
        match bytes.below(3) {
            0 => judge_imported(&attributes, tflite::tensorflow_avg_pool::<f32>(&attributes), want),
            1 => judge_imported(&attributes, tflite::tensorflow_max_pool::<f32>(&attributes), want),
            _ => {
                let want = want.filter(|_| attributes.data_format == "NHWC");
                judge_imported(&attributes, tflite::tensorflow_max_pool_with_argmax::<f32>(&attributes), want);
            }
        }
    }
}

fn same_or_valid(kernel: &[i64; 2], stride: &[i64; 2], same: bool, shape: Vec<usize>) -> Option<Request> {
    let (kernel, stride) = (lengths(kernel, 1)?, lengths(stride, 1)?);
    let padding = if same { Padding::Same(true) } else { Padding::Explicit(vec![0, 0], vec![0, 0]) };
    let (kernel, stride) = (Some(kernel), Some(stride));
    Some(Request { shape, kernel, stride, dilation: None, padding, ceil: false, allow_empty: false })
}

fn judge_imported<O: PoolOperation, T: lanepool::Element>(
    what: &dyn std::fmt::Debug,
    made: Result<Imported<Pool<O, T>>>,
    want: Option<Request>,
) {
    let layout = made.as_ref().map_or(Layout::Nhwc, |made| made.layout);
    judge(what, &made.map(|made| made.pool), want, layout);
}
