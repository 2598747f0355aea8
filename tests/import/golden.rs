//! The golden vectors by way of the importers: the attributes that a file holds, and the values that another engine computed.

use std::collections::BTreeMap;

use lanepool::import::onnx::{self, Attributes};
use lanepool::import::torch::{
    self, AvgPoolArguments, FractionalMaxPoolArguments, LpPoolArguments, MaxPoolArguments, MaxUnpoolArguments,
};
use lanepool::{Layout, Pool, PoolOperation, Quantization, SumPool};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

use crate::onnx::A;
use crate::{unpooled, unpooled_spatial};

/// Each case of a file of golden vectors: its attributes, and its tensors by role.
fn golden(bytes: &[u8], mut case: impl FnMut(&str, &Map<String, Value>, &SafeTensors<'_>)) {
    let (_, header) = SafeTensors::read_metadata(bytes).expect("a safetensors file");
    let tensors = SafeTensors::deserialize(bytes).expect("a safetensors file");
    for (name, text) in header.metadata().as_ref().expect("cases").iter().filter(|(name, _)| !name.starts_with('_')) {
        let attributes: Value = serde_json::from_str(text).expect("attributes");
        case(name, attributes.as_object().expect("an object"), &tensors);
    }
}

fn list(attributes: &Map<String, Value>, key: &str) -> Option<Vec<i64>> {
    let numbers = attributes.get(key)?.as_array()?;
    Some(numbers.iter().map(|number| number.as_i64().expect("an integer")).collect())
}

fn shape(tensors: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    tensors.tensor(name).expect("a tensor").shape().to_vec()
}

/// Values of an `f32` tensor, or those of an `f64` tensor as `f32`.
fn floats(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    let tensor = tensors.tensor(name).ok()?;
    match tensor.dtype() {
        Dtype::F32 => Some(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        Dtype::F64 => Some(tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()),
        _ => None,
    }
}

/// Indices, and shapes that are tensors.
fn integers(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<i64>> {
    let tensor = tensors.tensor(name).ok()?;
    assert_eq!(tensor.dtype(), Dtype::I64, "{name}");
    Some(tensor.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
}

/// Holds values against an engine's.
#[track_caller]
fn close(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (got, want) in got.iter().zip(want) {
        let is_close = (got - want).abs() <= 1e-4 * want.abs().max(1.0);
        assert!(got == want || got.is_nan() && want.is_nan() || is_close, "{name}: {got} for {want}");
    }
}

/// Runs a layer on the input of a case, and holds the shape against the output's; for `f32` and `f64` also the values, of which
/// the engine's are `factors` times what this crate's should be. Whether there were values.
fn compare_scaled<O: PoolOperation>(
    name: &str,
    pool: &Pool<O, f32>,
    tensors: &SafeTensors<'_>,
    roles: [&str; 2],
    factors: Option<&[f32]>,
) -> bool {
    let [input, output] = roles.map(|role| format!("{name}/{role}"));
    let from = shape(tensors, &input);
    let got = pool.output_shape(&from).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(got, shape(tensors, &output), "{name}");
    let (Some(x), Some(want)) = (floats(tensors, &input), floats(tensors, &output)) else { return false };
    let mut got = pool.run_once(Layout::Nchw, &from, &x).unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(factors) = factors {
        assert_eq!(got.len(), factors.len(), "{name}");
        got.iter_mut().zip(factors).for_each(|(got, factor)| *got *= factor);
    }
    close(name, &got, &want);
    true
}

fn compare<O: PoolOperation>(name: &str, pool: Pool<O, f32>, tensors: &SafeTensors<'_>, roles: [&str; 2]) -> bool {
    compare_scaled(name, &pool, tensors, roles, None)
}

#[test]
fn onnx_node_tests() {
    let mut cases = 0;
    golden(include_bytes!("../data/onnx_node_pool.safetensors"), |name, case, tensors| {
        let given = case["attributes"].as_object().expect("attributes");
        let lists = ["kernel_shape", "strides", "pads", "dilations"].map(|key| list(given, key));
        let [kernel_shape, strides, pads, dilations] = lists.each_ref().map(Option::as_deref);
        let number = |key| given.get(key).and_then(Value::as_i64);
        let attributes = Attributes {
            kernel_shape: kernel_shape.unwrap_or(&[]),
            strides,
            pads,
            dilations,
            auto_pad: given.get("auto_pad").and_then(Value::as_str),
            ceil_mode: number("ceil_mode"),
            count_include_pad: number("count_include_pad"),
            storage_order: number("storage_order"),
            p: given.get("p").and_then(Value::as_f64),
            channels_last: None,
        };
        let opset = case["opset"].as_i64().expect("a number");
        let roles = ["input0", "output0"];
        let compared = match case["op"].as_str().expect("a name") {
            "MaxPool" => compare(name, onnx::max_pool(&attributes, opset).expect(name), tensors, roles),
            "AveragePool" => compare(name, onnx::average_pool(&attributes, opset).expect(name), tensors, roles),
            "GlobalMaxPool" => compare(name, onnx::global_max_pool(), tensors, roles),
            "GlobalAveragePool" => compare(name, onnx::global_average_pool(), tensors, roles),
            "LpPool" => compare(name, onnx::lp_pool(&attributes, opset).expect(name), tensors, roles),
            "MaxUnpool" => {
                let [x, indices, to, y] =
                    ["input0", "input1", "input2", "output0"].map(|role| format!("{name}/{role}"));
                let mut unpool = onnx::max_unpool(&attributes, opset).expect(name);
                if let Some(to) = integers(tensors, &to) {
                    let lengths: Vec<usize> = to[2..].iter().map(|length| *length as usize).collect();
                    unpool = unpool.padded_to(lengths);
                }
                let (shape, indices) = (shape(tensors, &x), integers(tensors, &indices).expect("indices"));
                let got = unpooled(&unpool, &shape, &floats(tensors, &x).expect("values"), &indices);
                assert_eq!(got.ok(), floats(tensors, &y), "{name}");
                true
            }
            other => panic!("{name}: {other}"),
        };
        cases += usize::from(compared);
    });
    // One has bytes.
    assert_eq!(cases, 49);
}

/// The quantised averages of ONNX Runtime. A result beside a tie may be rounded either way: how near it must be is not what is
/// tested here.
#[test]
fn onnx_runtime_averages() {
    let (mut cases, mut different, mut all) = (0, 0, 0);
    golden(include_bytes!("../data/ort_quantized_avg.safetensors"), |name, case, tensors| {
        let quantization = |scale: &str, zero: &str| {
            let (scale, zero) = (case[scale].as_f64(), case[zero].as_i64());
            Quantization::new(scale.expect("a scale") as f32, zero.expect("a zero point") as i32)
        };
        let (input, output) = (quantization("scale_in", "zero_in"), quantization("scale_out", "zero_out"));
        let [kernel, strides, pad] = ["kernel", "stride", "pad"].map(|key| list(case, key).expect("a list"));
        let pads = [&pad[..], &pad].concat();
        let include = i64::from(case["count_include_pad"].as_bool().expect("a flag"));
        let window = Attributes {
            kernel_shape: &kernel,
            strides: Some(&strides),
            pads: Some(&pads),
            count_include_pad: Some(include),
            ..A
        };
        let is_global = case["op"] == "QLinearGlobalAveragePool";
        let [x, y] = ["input", "output"].map(|role| format!("{name}/{role}"));
        let (from, to) = (tensors.tensor(&x).expect("a tensor"), tensors.tensor(&y).expect("a tensor"));
        macro_rules! run {
            ($T:ty) => {{
                let node = if is_global {
                    onnx::q_linear_global_average_pool::<$T>(&A, input, output)
                } else {
                    onnx::q_linear_average_pool::<$T>(&window, input, output)
                };
                let (pool, layout) = node.expect(name);
                assert_eq!(pool.output_shape(from.shape()).as_deref(), Ok(to.shape()), "{name}");
                let x: Vec<_> = from.data().iter().map(|byte| *byte as $T).collect();
                let got = pool.run_once(layout, from.shape(), &x).expect(name);
                for (got, want) in got.into_iter().zip(to.data()) {
                    let off = i32::from(got).abs_diff(i32::from(*want as $T));
                    assert!(off <= 1, "{name}: {got} for {want}");
                    (all, different) = (all + 1, different + off);
                }
            }};
        }
        cases += 1;
        match from.dtype() {
            Dtype::U8 => run!(u8),
            _ => run!(i8),
        }
    });
    assert_eq!(cases, 83);
    assert!(different * 1000 < all, "{different} of {all}");
}

/// How often the engine's norm is the crate's where windows overhang: PyTorch scales a sum up to the whole kernel.
fn overhang(kernel: &[i64], stride: &[i64], ceil: bool, shape: &[usize], p: f64) -> Vec<f32> {
    let lengths = |numbers: &[i64]| numbers.iter().map(|number| *number as usize).collect::<Vec<_>>();
    let (kernel, stride) = (lengths(kernel), lengths(stride));
    let ones = vec![1.0; shape.iter().product()];
    let valid = SumPool::<f32>::new(&kernel).stride(&stride).ceil_mode(ceil).run_once(Layout::Nchw, shape, &ones);
    let whole = kernel.iter().product::<usize>() as f64;
    valid.expect("a layer").iter().map(|valid| (whole / f64::from(*valid)).powf(p.recip()) as f32).collect()
}

#[test]
fn torch_cases() {
    let (mut compared, mut scaled) = (BTreeMap::new(), 0);
    golden(include_bytes!("../data/torch_pool.safetensors"), |name, case, tensors| {
        let op = case["op"].as_str().expect("a name");
        let numbers = |key: &str| list(case, key).unwrap_or_default();
        let [kernel_size, stride, padding, dilation] = ["kernel", "stride", "pad", "dilation"].map(numbers);
        let flag = |key: &str| case.get(key).and_then(Value::as_bool);
        let ceil_mode = flag("ceil_mode").unwrap_or(false);
        let roles = ["input", "output"];
        let [input, output, indices, samples] =
            ["input", "output", "indices", "random_samples"].map(|role| format!("{name}/{role}"));
        let from = shape(tensors, &input);
        let rank = from.len() - 2;
        let output_size = list(case, "output");
        let has_values = match op {
            "max" => {
                let arguments = MaxPoolArguments {
                    kernel_size: &kernel_size,
                    stride: &stride,
                    padding: &padding,
                    dilation: &dilation,
                    ceil_mode,
                };
                let by_rank = [torch::max_pool1d, torch::max_pool2d, torch::max_pool3d];
                compare(name, by_rank[rank - 1](&arguments).expect(name), tensors, roles)
            }
            "avg" => {
                let arguments = AvgPoolArguments {
                    kernel_size: &kernel_size,
                    stride: &stride,
                    padding: &padding,
                    ceil_mode,
                    count_include_pad: flag("count_include_pad").expect("a flag"),
                    divisor_override: case.get("divisor_override").and_then(Value::as_i64),
                };
                let by_rank = [torch::avg_pool1d, torch::avg_pool2d, torch::avg_pool3d];
                compare(name, by_rank[rank - 1](&arguments).expect(name), tensors, roles)
            }
            "lp" => {
                let norm_type = case["p"].as_f64().expect("a norm");
                let arguments = LpPoolArguments {
                    norm_type,
                    kernel_size: &kernel_size,
                    stride: &stride,
                    ceil_mode,
                    ..Default::default()
                };
                let by_rank = [torch::lp_pool1d, torch::lp_pool2d, torch::lp_pool3d];
                // Where p is odd or a fraction, the files have no negative elements.
                let factors = overhang(&kernel_size, &stride, ceil_mode, &from, norm_type);
                scaled += usize::from(factors.iter().any(|factor| *factor > 1.0));
                let pool = by_rank[rank - 1](&arguments).expect(name);
                compare_scaled(name, &pool, tensors, roles, Some(&factors))
            }
            "unpool" => {
                let arguments = MaxUnpoolArguments {
                    kernel_size: &kernel_size,
                    stride: &stride,
                    padding: &padding,
                    output_size: output_size.as_deref(),
                };
                let by_rank = [torch::max_unpool1d, torch::max_unpool2d, torch::max_unpool3d];
                let unpool = by_rank[rank - 1](&arguments).expect(name);
                let (x, want) = (floats(tensors, &input).expect(name), floats(tensors, &output).expect(name));
                let indices = integers(tensors, &indices).expect(name);
                assert_eq!(unpooled(&unpool, &from, &x, &indices), Ok(want.clone()), "{name}");
                // The window alone gives the same where it gives the same length.
                let unpool = by_rank[rank - 1](&MaxUnpoolArguments { output_size: None, ..arguments }).expect(name);
                if unpooled_spatial(&unpool, &from[2..]) == shape(tensors, &output)[2..] {
                    assert_eq!(unpooled(&unpool, &from, &x, &indices), Ok(want), "{name}");
                }
                true
            }
            "adaptive_max" | "adaptive_avg" => {
                let asked: Vec<_> = output_size.expect(name).into_iter().map(Some).collect();
                let spatial = &from[2..];
                let plan = if op == "adaptive_max" {
                    let by_rank = [torch::adaptive_max_pool1d, torch::adaptive_max_pool2d, torch::adaptive_max_pool3d];
                    by_rank[rank - 1](&asked, spatial).expect(name).plan(Layout::Nchw, &from)
                } else {
                    let by_rank = [torch::adaptive_avg_pool1d, torch::adaptive_avg_pool2d, torch::adaptive_avg_pool3d];
                    by_rank[rank - 1](&asked, spatial).expect(name).plan(Layout::Nchw, &from)
                };
                let plan = plan.expect(name);
                assert_eq!(plan.output_shape(), shape(tensors, &output), "{name}");
                let values = floats(tensors, &input).zip(floats(tensors, &output));
                values.as_ref().inspect(|(x, want)| close(name, &plan.run_vec(x).expect(name), want));
                values.is_some()
            }
            "fractional_max" => {
                let output_size = output_size.expect(name);
                let arguments = FractionalMaxPoolArguments { kernel_size: &kernel_size, output_size: &output_size };
                // Places are computed in the type of the elements.
                macro_rules! run {
                    ($T:ty) => {{
                        let read = |name: &str| -> Vec<$T> {
                            let tensor = tensors.tensor(name).expect("a tensor");
                            tensor.data().as_chunks().0.iter().map(|bytes| <$T>::from_le_bytes(*bytes)).collect()
                        };
                        let plan = torch::fractional_max_pool2d::<$T>(&arguments).expect(name);
                        let plan = plan.plan(Layout::Nchw, &from).expect(name);
                        let got = plan.run_vec(&read(&input), &read(&samples)).expect(name);
                        let want = read(&output);
                        let is_equal = |(got, want): (&$T, &$T)| got == want || got.is_nan() && want.is_nan();
                        assert!(got.len() == want.len() && got.iter().zip(&want).all(is_equal), "{name}");
                    }};
                }
                match tensors.tensor(&input).expect("a tensor").dtype() {
                    Dtype::F32 => run!(f32),
                    _ => run!(f64),
                }
                true
            }
            other => panic!("{name}: {other}"),
        };
        *compared.entry(op.to_owned()).or_insert(0) += usize::from(has_values);
    });
    let compared: Vec<_> = compared.iter().map(|(op, cases)| (op.as_str(), *cases)).collect();
    let want = [
        ("adaptive_avg", 36),
        ("adaptive_max", 33),
        ("avg", 95),
        ("fractional_max", 11),
        ("lp", 26),
        ("max", 81),
        ("unpool", 13),
    ];
    assert_eq!(compared, want);
    assert!(scaled > 0, "no window overhangs");
}
