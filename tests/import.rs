//! The importers: one row for each set of attributes, with the output shape and what the averages divide by worked out by
//! hand; every error; and the cases of the golden vectors, whose shapes other engines computed.

use lanepool::import::onnx::{self, Attributes, Opset};
use lanepool::import::tflite::{self, Pool2DOptions, TensorFlow};
use lanepool::import::torch::{self, AvgPoolArguments, LpPoolArguments, MaxPoolArguments};
use lanepool::import::{Padding, Window};
use lanepool::{
    AttributeProblem, AvgPool, CeilRule, Element, Error, IndexKind, Layout, MaxPool, Pool, PoolOperation, Rounding,
    Tier,
};
use safetensors::SafeTensors;
use serde_json::{Map, Value};

/// No attribute.
const A: Attributes<'_> = Attributes {
    kernel_shape: &[],
    strides: None,
    pads: None,
    dilations: None,
    auto_pad: None,
    ceil_mode: None,
    count_include_pad: None,
    storage_order: None,
    p: None,
    channels_last: None,
};

fn spatial<O: PoolOperation, T: Element>(pool: &Pool<O, T>, n: &[usize]) -> Vec<usize> {
    let shape = [&[1, 1][..], n].concat();
    pool.output_shape(&shape).unwrap_or_else(|error| panic!("{n:?}: {error}"))[2..].to_vec()
}

/// The numbers from 1 on.
fn ramp(len: usize) -> Vec<f32> {
    (1..=len).map(|i| i as f32).collect()
}

/// What a layer makes of one row of them.
fn row<O: PoolOperation>(pool: &Pool<O, f32>, n: usize) -> Vec<f32> {
    pool.run_once(Layout::Nchw, [1, 1, n], &ramp(n)).unwrap_or_else(|error| panic!("{n}: {error}"))
}

#[test]
fn onnx_shapes() {
    let k = |kernel_shape| Attributes { kernel_shape, ..A };
    // Attributes, operator set, input, output.
    let rows: &[(Attributes<'_>, i64, &[usize], &[usize])] = &[
        // Strides are 1 if they are not given: not the kernel, as in PyTorch.
        (k(&[2]), 1, &[7], &[6]),
        (k(&[3, 2]), 8, &[7, 7], &[5, 6]),
        (k(&[3, 3, 3]), 22, &[7, 8, 9], &[5, 6, 7]),
        (Attributes { strides: Some(&[2, 3]), ..k(&[3, 3]) }, 1, &[7, 9], &[3, 3]),
        // Begins of all axes, then ends.
        (Attributes { pads: Some(&[1, 0, 0, 2]), ..k(&[3, 3]) }, 1, &[5, 5], &[4, 5]),
        (Attributes { dilations: Some(&[2]), ..k(&[3]) }, 10, &[9], &[5]),
        (Attributes { ceil_mode: Some(0), strides: Some(&[2]), ..k(&[3]) }, 10, &[6], &[2]),
        (Attributes { ceil_mode: Some(1), strides: Some(&[2]), ..k(&[3]) }, 10, &[6], &[3]),
        // An empty list is one that is not given.
        (Attributes { strides: Some(&[]), pads: Some(&[]), dilations: Some(&[]), ..k(&[2]) }, 12, &[7], &[6]),
        (Attributes { auto_pad: Some("NOTSET"), pads: Some(&[1, 1]), ..k(&[3]) }, 11, &[5], &[5]),
        (Attributes { auto_pad: Some("VALID"), strides: Some(&[2]), ..k(&[3]) }, 11, &[8], &[3]),
        (Attributes { auto_pad: Some("SAME_UPPER"), strides: Some(&[2]), ..k(&[3]) }, 1, &[8], &[4]),
        (Attributes { auto_pad: Some("SAME_LOWER"), strides: Some(&[3]), ..k(&[2]) }, 11, &[8], &[3]),
        // Zeros are no padding, whatever is beside them.
        (Attributes { auto_pad: Some("SAME_UPPER"), pads: Some(&[0, 0]), ..k(&[3]) }, 11, &[8], &[8]),
        // "VALID: ceil((input − kernel + 1) / stride)", in ceil mode too.
        (Attributes { auto_pad: Some("VALID"), ceil_mode: Some(1), strides: Some(&[2]), ..k(&[3]) }, 11, &[8], &[3]),
        (
            Attributes { auto_pad: Some("SAME_UPPER"), ceil_mode: Some(1), strides: Some(&[2]), ..k(&[3]) },
            11,
            &[7],
            &[4],
        ),
        // The last window would begin in the padding at the end.
        (Attributes { ceil_mode: Some(1), strides: Some(&[3]), pads: Some(&[1, 1]), ..k(&[3]) }, 22, &[5], &[2]),
        (Attributes { ceil_mode: Some(1), strides: Some(&[3]), pads: Some(&[1, 1]), ..k(&[3]) }, 10, &[5], &[2]),
        // Beyond the newest version that is known, and huge.
        (k(&[2]), i64::MAX, &[7], &[6]),
    ];
    for (attributes, opset, input, output) in rows {
        let pool = onnx::max_pool::<f32>(attributes, *opset).unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(spatial(&pool, input), *output, "{attributes:?} at {opset}");
        // An average has the same windows, and dilations from 19 on.
        let opset = if attributes.dilations.is_some() { 19.max(*opset) } else { *opset };
        let pool =
            onnx::average_pool::<f32>(attributes, opset).unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(spatial(&pool, input), *output, "{attributes:?} at {opset}");
    }
    assert_eq!(spatial(&onnx::global_max_pool::<f32>(), &[5, 6]), [1, 1]);
    assert_eq!(spatial(&onnx::global_average_pool::<f32>(), &[5, 6, 7]), [1, 1, 1]);
}

#[test]
fn onnx_same_padding_goes_to_its_end() {
    let same = |auto_pad| Attributes { kernel_shape: &[2], auto_pad: Some(auto_pad), ..A };
    let max = |auto_pad| row(&onnx::max_pool(&same(auto_pad), 1).expect("a valid node"), 4);
    assert_eq!(max("SAME_UPPER"), [2.0, 3.0, 4.0, 4.0]);
    assert_eq!(max("SAME_LOWER"), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn onnx_divisors() {
    let padded = Attributes { kernel_shape: &[3], pads: Some(&[1, 1]), ..A };
    let ceil = Attributes { strides: Some(&[4]), ceil_mode: Some(1), pads: Some(&[1, 0]), ..padded };
    let include = |attributes| Attributes { count_include_pad: Some(1), ..attributes };
    // 1, 2, 3, 4 in windows of 3.
    let rows: &[(Attributes<'_>, Opset, usize, &[f32])] = &[
        (padded, Opset::new(1), 4, &[1.5, 2.0, 3.0, 3.5]),
        (Attributes { count_include_pad: Some(0), ..padded }, Opset::new(7), 4, &[1.5, 2.0, 3.0, 3.5]),
        (include(padded), Opset::new(7), 4, &[1.0, 2.0, 3.0, 7.0 / 3.0]),
        // The last window holds 4, and two taps that ceil mode lets hang over the end: they are no padding.
        (ceil, Opset::new(10), 4, &[1.5, 4.0]),
        (include(ceil), Opset::new(10), 4, &[1.0, 4.0]),
        (include(ceil), Opset::new(22), 4, &[1.0, 4.0]),
        (include(ceil), Opset::new(11).overhang_counts(true), 4, &[1.0, 4.0 / 3.0]),
        // Without `count_include_pad` or ceil mode there is nothing that could count.
        (ceil, Opset::new(11).overhang_counts(true), 4, &[1.5, 4.0]),
        (padded, Opset::new(11).overhang_counts(true), 4, &[1.5, 2.0, 3.0, 3.5]),
    ];
    for (attributes, opset, n, want) in rows {
        let pool = onnx::average_pool(attributes, *opset).unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(row(&pool, *n), *want, "{attributes:?} {opset:?}");
    }
}

/// A window without a valid tap gives the identity of a maximum, and 0 on average.
#[test]
fn onnx_last_windows() {
    let attributes =
        Attributes { kernel_shape: &[3], strides: Some(&[3]), pads: Some(&[1, 1]), ceil_mode: Some(1), ..A };
    let every = Opset::new(10).ceil_rule(CeilRule::EveryWindow);
    let max = |opset: Opset| row(&onnx::max_pool(&attributes, opset).expect("a valid node"), 5);
    assert_eq!(max(10.into()), [2.0, 5.0]);
    assert_eq!(max(every), [2.0, 5.0, f32::NEG_INFINITY]);
    for include in [0, 1] {
        let attributes = Attributes { count_include_pad: Some(include), ..attributes };
        let pool = onnx::average_pool(&attributes, every).expect("a valid node");
        assert_eq!(row(&pool, 5), [if include == 1 { 1.0 } else { 1.5 }, 4.0, 0.0]);
    }
}

/// Ceil mode that keeps every window is floor mode with as much padding as that takes, on every tier and layout.
#[test]
fn every_window_is_more_padding() {
    fn check<T: Element>(of: impl Fn(usize) -> T) {
        for tier in Tier::available() {
            for (layout, channels) in [(Layout::Nchw, 1), (Layout::Nhwc, 19), (Layout::Blocked(8), 8)] {
                for (n, k, s, b, e) in
                    [(5_usize, 3, 3, 1, 1), (9, 4, 4, 2, 2), (2, 1, 3, 0, 0), (40, 2, 5, 1, 1), (6, 3, 4, 2, 2)]
                {
                    let out = (n + b + e - k).div_ceil(s) + 1;
                    let end = (out - 1) * s + k - n - b;
                    let src: Vec<T> = (0..n * n * channels).map(&of).collect();
                    let shape = [1, channels, n, n];
                    macro_rules! same {
                        ($pool:expr) => {{
                            let pool = $pool.stride([s, s]).tier(tier);
                            let ceil =
                                pool.padding_unequal([b, b], [e, e]).ceil_mode(true).ceil_rule(CeilRule::EveryWindow);
                            let floor = pool.padding_unequal([b, b], [end, end]).allow_empty_windows(true);
                            let run = |pool: Pool<_, T>| pool.run_once(layout, shape, &src);
                            let (ceil, floor) = (run(ceil), run(floor));
                            assert!(ceil.is_ok(), "{ceil:?}");
                            assert_eq!(ceil, floor, "{n} {k}/{s}+{b}:{e} {layout} {tier}");
                        }};
                    }
                    same!(MaxPool::<T>::new([k, k]));
                    same!(AvgPool::<T>::new([k, k]));
                    same!(AvgPool::<T>::new([k, k]).divisor(7));
                    // What is declared differs: here the overhang must not count, and a window of it alone gives 0.
                    let padded = AvgPool::<T>::new([k, k]).stride([s, s]).tier(tier).padding_unequal([b, b], [e, e]);
                    let padded = padded.count_include_pad(true).ceil_mode(true);
                    let run = |rule| padded.ceil_rule(rule).run_once(Layout::Nchw, [1, 1, n, n], &src[..n * n]);
                    let (every, inside) = (run(CeilRule::EveryWindow), run(CeilRule::StartsInside));
                    let (every, inside) = (every.expect("every window"), inside.expect("windows inside"));
                    let kept = inside.len().isqrt();
                    for (at, value) in every.iter().enumerate() {
                        let (y, x) = (at / out, at % out);
                        let zero = of(0);
                        let want = if y < kept && x < kept { inside[y * kept + x] } else { zero };
                        assert_eq!(*value, want, "{n} {k}/{s}+{b}:{e} {tier}");
                    }
                }
            }
        }
    }
    check(|i| (i * 7 % 23) as f32);
    check(|i| (i * 7 % 23) as i8);
    check(|i| (i * 7 % 23) as u16);
}

#[test]
fn onnx_other_operators() {
    let attributes = Attributes { kernel_shape: &[2, 3], strides: Some(&[2, 1]), pads: Some(&[0, 1, 1, 2]), ..A };
    let check = |window: &Window| {
        assert_eq!(
            (&window.kernel[..], &window.stride[..], &window.dilation[..]),
            (&[2, 3][..], &[2, 1][..], &[1, 1][..])
        );
        assert_eq!(window.padding, Padding::Explicit { begin: vec![0, 1], end: vec![1, 2] });
        assert!(!window.ceil_mode);
    };
    let lp = onnx::lp_pool(&attributes, 2).expect("a valid node");
    check(lp.window.as_ref().expect("a window"));
    assert_eq!(lp.p, 2.0);
    assert_eq!(onnx::lp_pool(&Attributes { p: Some(1.5), ..attributes }, 1).map(|lp| lp.p), Ok(1.5));
    let lp = onnx::lp_pool(&Attributes { ceil_mode: Some(1), dilations: Some(&[2, 2]), ..attributes }, 18);
    assert!(lp.is_ok_and(|lp| lp.window.is_some_and(|window| window.ceil_mode && window.dilation == [2, 2])));
    let global = onnx::global_lp_pool(&A, 22).expect("a valid node");
    assert_eq!((global.window, global.p), (None, 2.0));
    assert_eq!(onnx::global_lp_pool(&Attributes { p: Some(3.0), ..A }, 1).map(|lp| lp.p), Ok(3.0));

    check(&onnx::max_unpool(&attributes, 9).expect("a valid node"));

    let quantised = onnx::q_linear_average_pool(&attributes).expect("a valid node");
    check(quantised.window.as_ref().expect("a window"));
    assert_eq!((quantised.count_include_pad, quantised.layout), (false, Layout::Nchw));
    let all = Attributes { channels_last: Some(1), count_include_pad: Some(1), ceil_mode: Some(1), ..attributes };
    let quantised = onnx::q_linear_average_pool(&all).expect("a valid node");
    assert_eq!((quantised.count_include_pad, quantised.layout), (true, Layout::Nhwc));
    assert!(quantised.window.is_some_and(|window| window.ceil_mode));
    let global = onnx::q_linear_global_average_pool(&Attributes { channels_last: Some(1), ..A }).expect("a valid node");
    assert_eq!((global.window, global.layout), (None, Layout::Nhwc));

    for (order, kind) in
        [(None, IndexKind::Tensor), (Some(0), IndexKind::Tensor), (Some(1), IndexKind::TensorColumnMajor)]
    {
        assert_eq!(onnx::index_kind(&Attributes { storage_order: order, ..attributes }, 8), Ok(kind));
    }
}

/// Checks which error it is, and that its sentence names the attribute and the numbers.
#[track_caller]
fn refused<P>(answer: Result<P, Error>, attribute: &'static str, why: AttributeProblem, parts: &[&str]) {
    let error = answer.err().expect("an error");
    assert_eq!(error, Error::BadAttribute { attribute, why });
    let sentence = error.to_string();
    for part in [&[attribute][..], parts].concat() {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

#[test]
fn onnx_errors() {
    use AttributeProblem::{Excludes, Length, Missing, NoSuchName, NoSuchValue, Norm, Number, TooNew, Unknown};
    let k = Attributes { kernel_shape: &[2, 2], ..A };
    let max = |attributes, opset: i64| onnx::max_pool::<f32>(&attributes, opset);
    let average = |attributes, opset: i64| onnx::average_pool::<f32>(&attributes, opset);

    refused(max(A, 1), "kernel_shape", Missing, &["not given"]);
    refused(
        max(Attributes { kernel_shape: &[1; 4], ..A }, 1),
        "kernel_shape",
        Length { got: 4, need: 0 },
        &["4", "1 to 3"],
    );
    refused(max(Attributes { strides: Some(&[1]), ..k }, 1), "strides", Length { got: 1, need: 2 }, &["1", "2"]);
    refused(max(Attributes { pads: Some(&[1, 1]), ..k }, 1), "pads", Length { got: 2, need: 4 }, &["2", "4"]);
    refused(
        max(Attributes { dilations: Some(&[1; 3]), ..k }, 10),
        "dilations",
        Length { got: 3, need: 2 },
        &["3", "2"],
    );
    refused(max(Attributes { pads: Some(&[0, 0, -1, 0]), ..k }, 1), "pads", Number { got: -1, least: 0 }, &["-1", "0"]);
    if usize::BITS < 64 {
        let number = Number { got: i64::MAX, least: 0 };
        refused(max(Attributes { strides: Some(&[i64::MAX; 2]), ..k }, 1), "strides", number, &["address space"]);
    }

    let names = "NOTSET, SAME_UPPER, SAME_LOWER and VALID";
    for text in ["SAME", "", "same_upper", "notset"] {
        refused(max(Attributes { auto_pad: Some(text), ..k }, 1), "auto_pad", NoSuchName { names }, &["SAME_UPPER"]);
    }
    for auto_pad in ["VALID", "SAME_UPPER", "SAME_LOWER"] {
        let both = Attributes { auto_pad: Some(auto_pad), pads: Some(&[0, 1, 0, 0]), ..k };
        refused(max(both, 22), "pads", Excludes { other: "auto_pad" }, &["auto_pad"]);
    }
    let flags = |got| NoSuchValue { got, values: "0 and 1" };
    refused(max(Attributes { ceil_mode: Some(2), ..k }, 10), "ceil_mode", flags(2), &["2"]);
    refused(max(Attributes { storage_order: Some(-1), ..k }, 8), "storage_order", flags(-1), &["-1"]);
    refused(average(Attributes { count_include_pad: Some(3), ..k }, 7), "count_include_pad", flags(3), &["3"]);

    // An attribute in the version before the one that brought it.
    let too_new = |operator, since| TooNew { operator, since, opset: since - 1 };
    let dilated = Attributes { dilations: Some(&[1, 1]), ..k };
    let ceil = Attributes { ceil_mode: Some(0), ..k };
    refused(max(dilated, 9), "dilations", too_new("MaxPool", 10), &["MaxPool", "10", "9"]);
    refused(max(ceil, 9), "ceil_mode", too_new("MaxPool", 10), &[]);
    refused(max(Attributes { storage_order: Some(0), ..k }, 7), "storage_order", too_new("MaxPool", 8), &[]);
    refused(average(dilated, 18), "dilations", too_new("AveragePool", 19), &["19", "18"]);
    refused(average(ceil, 9), "ceil_mode", too_new("AveragePool", 10), &[]);
    let include = Attributes { count_include_pad: Some(0), ..k };
    refused(average(include, 6), "count_include_pad", too_new("AveragePool", 7), &[]);
    refused(onnx::lp_pool(&dilated, 17), "dilations", too_new("LpPool", 18), &[]);
    refused(onnx::lp_pool(&ceil, 17), "ceil_mode", too_new("LpPool", 18), &[]);
    refused(onnx::max_unpool(&k, 8), "kernel_shape", too_new("MaxUnpool", 9), &["MaxUnpool"]);
    refused(max(k, 0), "kernel_shape", too_new("MaxPool", 1), &[]);
    refused(max(k, i64::MIN), "kernel_shape", TooNew { operator: "MaxPool", since: 1, opset: i64::MIN }, &[]);

    // An attribute of another operator.
    let unknown = |operator| Unknown { operator };
    refused(max(include, 22), "count_include_pad", unknown("MaxPool"), &["MaxPool"]);
    refused(average(Attributes { storage_order: Some(0), ..k }, 22), "storage_order", unknown("AveragePool"), &[]);
    refused(average(Attributes { p: Some(2.0), ..k }, 22), "p", unknown("AveragePool"), &[]);
    refused(max(Attributes { channels_last: Some(0), ..k }, 22), "channels_last", unknown("MaxPool"), &[]);
    let auto = Attributes { auto_pad: Some("VALID"), ..k };
    refused(onnx::max_unpool(&auto, 22), "auto_pad", unknown("MaxUnpool"), &[]);
    refused(onnx::global_lp_pool(&k, 22), "kernel_shape", unknown("GlobalLpPool"), &[]);
    refused(onnx::q_linear_average_pool(&dilated), "dilations", unknown("QLinearAveragePool"), &[]);
    let operator = "QLinearGlobalAveragePool";
    refused(onnx::q_linear_global_average_pool(&k), "kernel_shape", unknown(operator), &[]);
    refused(onnx::index_kind(&Attributes { storage_order: Some(2), ..k }, 8), "storage_order", flags(2), &[]);
    let last = Attributes { channels_last: Some(2), ..A };
    refused(onnx::q_linear_global_average_pool(&last), "channels_last", flags(2), &[]);

    for p in [0.0, -1.0, f64::INFINITY] {
        let answer = onnx::lp_pool(&Attributes { p: Some(p), ..k }, 1);
        refused(answer, "p", Norm { got: p }, &[&p.to_string()]);
    }
    assert!(onnx::global_lp_pool(&Attributes { p: Some(f64::NAN), ..A }, 1).is_err());

    // What depends on the tensor is the plan's to say, with the axis.
    let pool = max(Attributes { kernel_shape: &[2, 0], ..A }, 1).expect("no error before there is a tensor");
    assert!(matches!(pool.output_shape([1, 1, 4, 4]), Err(Error::ZeroKernel { axis }) if axis.index == 3));
    let wide = max(Attributes { pads: Some(&[2, 0, 0, 0]), ..k }, 1).expect("no error before there is a tensor");
    assert!(matches!(wide.output_shape([1, 1, 4, 4]), Err(Error::PadTooLarge { padding: 2, span: 2, .. })));
}

#[test]
fn torch_shapes() {
    let a = MaxPoolArguments::default();
    let k = |kernel_size| MaxPoolArguments { kernel_size, ..a };
    // Arguments, input, output.
    let rows: &[(MaxPoolArguments<'_>, &[usize], &[usize])] = &[
        // The stride is the kernel if it is not given; one number is for every axis.
        (k(&[2]), &[7], &[3]),
        (k(&[3]), &[7, 8], &[2, 2]),
        (k(&[3, 2]), &[7, 8], &[2, 4]),
        (k(&[2]), &[7, 8, 9], &[3, 4, 4]),
        (MaxPoolArguments { stride: &[1], ..k(&[3]) }, &[7], &[5]),
        (MaxPoolArguments { stride: &[2], padding: &[1, 0], ..k(&[3]) }, &[7, 7], &[4, 3]),
        (MaxPoolArguments { stride: &[1], dilation: &[2], ..k(&[3]) }, &[9], &[5]),
        (MaxPoolArguments { ceil_mode: true, ..k(&[2]) }, &[7], &[4]),
        // Half of the kernel, rounded down, is the most padding.
        (MaxPoolArguments { padding: &[1], stride: &[1], ..k(&[2]) }, &[4], &[5]),
        // "Sliding windows that would start in the right padded region are ignored" (PyTorch's issue 116420).
        (MaxPoolArguments { padding: &[2], ceil_mode: true, ..k(&[4]) }, &[9, 9], &[3, 3]),
    ];
    for (arguments, input, output) in rows {
        let pool = match input.len() {
            1 => torch::max_pool1d::<f32>(arguments),
            2 => torch::max_pool2d(arguments),
            _ => torch::max_pool3d(arguments),
        };
        assert_eq!(spatial(&pool.expect("valid arguments"), input), *output, "{arguments:?}");
        if arguments.dilation == [1] {
            let MaxPoolArguments { kernel_size, stride, padding, ceil_mode, .. } = *arguments;
            let arguments = AvgPoolArguments { kernel_size, stride, padding, ceil_mode, ..Default::default() };
            let pool = match input.len() {
                1 => torch::avg_pool1d::<f32>(&arguments),
                2 => torch::avg_pool2d(&arguments),
                _ => torch::avg_pool3d(&arguments),
            };
            assert_eq!(spatial(&pool.expect("valid arguments"), input), *output, "{arguments:?}");
        }
    }
    let lp = LpPoolArguments { norm_type: 1.5, kernel_size: &[3, 2], ceil_mode: true, ..Default::default() };
    let lp = torch::lp_pool(&lp, 2).expect("valid arguments");
    assert_eq!((lp.norm_type, &lp.window.stride[..], lp.window.ceil_mode), (1.5, &[3, 2][..], true));
}

#[test]
fn torch_divisors() {
    let a = AvgPoolArguments { kernel_size: &[3], stride: &[1], padding: &[1], ..Default::default() };
    let one = |arguments| row(&torch::avg_pool1d(&arguments).expect("valid arguments"), 4);
    // Padding counts unless told otherwise.
    assert_eq!(one(a), [1.0, 2.0, 3.0, 7.0 / 3.0]);
    assert_eq!(one(AvgPoolArguments { count_include_pad: false, ..a }), [1.5, 2.0, 3.0, 3.5]);
    // 1 2 3 4 between 0 and 0: the last window has 4, a padded 0 and an overhang that does not count.
    let ceil = AvgPoolArguments { kernel_size: &[3], stride: &[4], padding: &[1], ceil_mode: true, ..a };
    assert_eq!(one(ceil), [1.0, 2.0]);
    assert_eq!(one(AvgPoolArguments { count_include_pad: false, ..ceil }), [1.5, 4.0]);
    // The caller's divisor, in the place of both others.
    for count_include_pad in [true, false] {
        let by = AvgPoolArguments { count_include_pad, divisor_override: Some(2), ..a };
        let pool = torch::avg_pool2d::<f32>(&by).expect("valid arguments");
        let sums = [12.0, 21.0, 16.0, 27.0, 45.0, 33.0, 24.0, 39.0, 28.0];
        assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3, 3], &ramp(9)), Ok(sums.map(|sum| sum / 2.0).to_vec()));
        assert!(torch::avg_pool3d::<f32>(&by).is_ok());
    }
}

#[test]
fn torch_errors() {
    use AttributeProblem::{Length, Missing, MoreThanHalf, Norm, Number, Unknown};
    let a = MaxPoolArguments { kernel_size: &[3, 4], ..Default::default() };
    let max = |arguments| torch::max_pool2d::<f32>(&arguments);
    let number = |got, least| Number { got, least };
    refused(max(MaxPoolArguments::default()), "kernel_size", Missing, &[]);
    refused(torch::max_pool3d::<f32>(&a), "kernel_size", Length { got: 2, need: 3 }, &["2", "3"]);
    refused(max(MaxPoolArguments { kernel_size: &[0], ..a }), "kernel_size", number(0, 1), &["0", "1"]);
    refused(max(MaxPoolArguments { kernel_size: &[3, -3], ..a }), "kernel_size", number(-3, 1), &["-3"]);
    refused(max(MaxPoolArguments { stride: &[1, 0], ..a }), "stride", number(0, 1), &["0"]);
    refused(max(MaxPoolArguments { stride: &[1; 3], ..a }), "stride", Length { got: 3, need: 2 }, &["3"]);
    refused(max(MaxPoolArguments { dilation: &[0], ..a }), "dilation", number(0, 1), &["0"]);
    refused(max(MaxPoolArguments { padding: &[-1], ..a }), "padding", number(-1, 0), &["-1"]);
    refused(max(MaxPoolArguments { padding: &[], ..a }), "padding", Length { got: 0, need: 2 }, &[]);
    // Whatever the dilation, it is half of the kernel that counts.
    let half = MoreThanHalf { padding: 2, kernel: 3 };
    refused(max(MaxPoolArguments { padding: &[2], dilation: &[5], ..a }), "padding", half, &["2", "3", "half"]);

    let avg = AvgPoolArguments { kernel_size: &[2], ..Default::default() };
    for divisor in [0, -1, i64::MIN] {
        let by = AvgPoolArguments { divisor_override: Some(divisor), ..avg };
        refused(torch::avg_pool2d::<f32>(&by), "divisor_override", number(divisor, 1), &[&divisor.to_string()]);
    }
    let by = AvgPoolArguments { divisor_override: Some(2), ..avg };
    refused(torch::avg_pool1d::<f32>(&by), "divisor_override", Unknown { operator: "avg_pool1d" }, &["avg_pool1d"]);

    let lp = LpPoolArguments { norm_type: -1.0, kernel_size: &[2], ..Default::default() };
    refused(torch::lp_pool(&lp, 1), "norm_type", Norm { got: -1.0 }, &["-1"]);
    assert!(torch::lp_pool(&LpPoolArguments { kernel_size: &[2], ..Default::default() }, 1).is_err());
    for rank in [0, 4, usize::MAX] {
        let why = Length { got: rank, need: 0 };
        refused(torch::lp_pool(&LpPoolArguments { norm_type: 2.0, ..lp }, rank), "kernel_size", why, &["1 to 3"]);
    }
}

#[test]
fn tflite_layers() {
    let a = Pool2DOptions { stride_w: 2, stride_h: 1, filter_width: 3, filter_height: 2, ..Default::default() };
    // Options, rows and columns in, rows and columns out. SAME is 0.
    for (padding, input, output) in [(0, [5, 8], [5, 4]), (1, [5, 8], [4, 3]), (0, [1, 1], [1, 1]), (1, [2, 3], [1, 1])]
    {
        let options = Pool2DOptions { padding, ..a };
        let max = tflite::max_pool_2d::<f32>(&options).expect("valid options");
        let average = tflite::average_pool_2d::<i8>(&options).expect("valid options");
        assert_eq!((max.layout, average.layout), (Layout::Nhwc, Layout::Nhwc));
        assert_eq!(spatial(&max.pool, &input), output, "{options:?}");
        assert_eq!(spatial(&average.pool, &input), output, "{options:?}");
    }
    // 2 rows and 2 columns of 2 channels, SAME: the odd padding is at the end, valid taps divide, −0.5 rounds to −1.
    let options = Pool2DOptions { stride_w: 1, stride_h: 1, filter_width: 2, filter_height: 1, ..Default::default() };
    let layer = tflite::average_pool_2d::<i8>(&options).expect("valid options");
    let got = layer.pool.run_once(layer.layout, [1, 2, 2, 2], &[0, 0, 1, -1, 5, -5, 6, -6]);
    assert_eq!(got, Ok(vec![1, -1, 1, -1, 6, -6, 6, -6]));
    let even = AvgPool::<i8>::new([1, 2]).same_upper().rounding(Rounding::HalfToEven);
    assert_ne!(even.run_once(layer.layout, [1, 2, 2, 2], &[0, 0, 1, -1, 5, -5, 6, -6]), got);

    let clamp = |fused_activation_function| {
        let layer =
            tflite::max_pool_2d::<i8>(&Pool2DOptions { fused_activation_function, ..a }).expect("valid options");
        layer.clamp
    };
    assert_eq!(clamp(0), None);
    // Bounds of reals, and of bytes with scale 0.1 and zero point −28.
    for (function, min, max, stored) in
        [(1, 0.0, f32::INFINITY, (-28, 127)), (2, -1.0, 1.0, (-38, -18)), (3, 0.0, 6.0, (-28, 32))]
    {
        let clamp = clamp(function).expect("an activation");
        assert_eq!((clamp.min, clamp.max), (min, max));
        assert_eq!(clamp.stored(0.1, -28, -128, 127), stored, "activation {function}");
        // Nonsense neither panics nor leaves the type.
        for scale in [0.0, -1.0, f32::NAN, f32::MIN_POSITIVE, f32::INFINITY] {
            let (low, high) = clamp.stored(scale, i32::MAX, -128, 127);
            assert!((-128..=127).contains(&low) && (-128..=127).contains(&high));
        }
    }
    // A bound between two steps is rounded half away from zero: 6 / 4 = 1.5 and −1 / 2 = −0.5.
    let bounds = |function, scale| clamp(function).expect("an activation").stored(scale, 0, -128, 127);
    assert_eq!((bounds(3, 4.0), bounds(2, 2.0)), ((0, 2), (-1, 1)));
}

#[test]
fn tensorflow_layers() {
    let a = TensorFlow { ksize: &[1, 2, 3, 1], strides: &[1, 1, 2, 1], padding: "SAME", data_format: "NHWC" };
    let planar = TensorFlow { ksize: &[1, 1, 2, 3], strides: &[1, 1, 1, 2], data_format: "NCHW", ..a };
    for (attributes, layout) in [(a, Layout::Nhwc), (planar, Layout::Nchw)] {
        for (padding, output) in [("SAME", [5, 4]), ("VALID", [4, 3])] {
            let attributes = TensorFlow { padding, ..attributes };
            let max = tflite::tensorflow_max_pool::<f32>(&attributes).expect("valid attributes");
            let avg = tflite::tensorflow_avg_pool::<f32>(&attributes).expect("valid attributes");
            assert_eq!((max.layout, avg.layout, max.clamp), (layout, layout, None));
            assert_eq!((spatial(&max.pool, &[5, 8]), spatial(&avg.pool, &[5, 8])), (output.to_vec(), output.to_vec()));
        }
    }
    // 1 2 / 3 4 in windows of 2×2: valid taps divide.
    let square = TensorFlow { ksize: &[1, 2, 2, 1], strides: &[1, 1, 1, 1], ..a };
    let layer = tflite::tensorflow_avg_pool::<f32>(&square).expect("valid attributes");
    assert_eq!(layer.pool.run_once(layer.layout, [1, 1, 2, 2], &ramp(4)), Ok(vec![2.5, 3.0, 3.5, 4.0]));
}

#[test]
fn tflite_errors() {
    use AttributeProblem::{Length, NoSuchName, NoSuchValue, Number};
    let a = Pool2DOptions { stride_w: 1, stride_h: 1, filter_width: 1, filter_height: 1, ..Default::default() };
    let number = |got| Number { got, least: 1 };
    for got in [0, -1, i32::MIN] {
        let why = number(got.into());
        let text = got.to_string();
        let max = |options| tflite::max_pool_2d::<f32>(&options);
        refused(max(Pool2DOptions { stride_w: got, ..a }), "stride_w", why, &[&text]);
        refused(max(Pool2DOptions { stride_h: got, ..a }), "stride_h", why, &[&text]);
        refused(max(Pool2DOptions { filter_width: got, ..a }), "filter_width", why, &[&text]);
        let options = Pool2DOptions { filter_height: got, ..a };
        refused(tflite::average_pool_2d::<f32>(&options), "filter_height", why, &[&text]);
    }
    for got in [-1, 2, 127] {
        let why = NoSuchValue { got: got.into(), values: "0 (SAME) and 1 (VALID)" };
        refused(tflite::max_pool_2d::<f32>(&Pool2DOptions { padding: got, ..a }), "padding", why, &[&got.to_string()]);
    }
    // 4 is TANH and 5 SIGN_BIT.
    for got in [-1, 4, 5] {
        let values = "0 (none), 1 (RELU), 2 (RELU_N1_TO_1) and 3 (RELU6), which are clamps";
        let options = Pool2DOptions { fused_activation_function: got, ..a };
        let why = NoSuchValue { got: got.into(), values };
        refused(tflite::average_pool_2d::<u8>(&options), "fused_activation_function", why, &[&got.to_string()]);
    }

    let a = TensorFlow { ksize: &[1, 2, 2, 1], strides: &[1, 2, 2, 1], padding: "SAME", data_format: "NHWC" };
    let max = |attributes| tflite::tensorflow_max_pool::<f32>(&attributes);
    refused(
        max(TensorFlow { padding: "EXPLICIT", ..a }),
        "padding",
        NoSuchName { names: "SAME and VALID" },
        &["VALID"],
    );
    let names = "NHWC and NCHW";
    refused(max(TensorFlow { data_format: "NCHW_VECT_C", ..a }), "data_format", NoSuchName { names }, &["NHWC"]);
    refused(max(TensorFlow { ksize: &[2, 2], ..a }), "ksize", Length { got: 2, need: 4 }, &["2", "4"]);
    refused(max(TensorFlow { strides: &[1, 0, 1, 1], ..a }), "strides", number(0), &["0"]);
    refused(max(TensorFlow { ksize: &[1, -2, 1, 1], ..a }), "ksize", number(-2), &["-2"]);
    let values = "1 for batch and channels, which no window of these kernels spans";
    refused(max(TensorFlow { ksize: &[1, 1, 1, 2], ..a }), "ksize", NoSuchValue { got: 2, values }, &["2"]);
    refused(max(TensorFlow { strides: &[3, 1, 1, 1], ..a }), "strides", NoSuchValue { got: 3, values }, &["3"]);
}

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

/// Values of an `f32` tensor.
fn floats(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    let tensor = tensors.tensor(name).ok()?;
    let bytes = tensor.data().as_chunks::<4>().0;
    (tensor.dtype() == safetensors::Dtype::F32).then(|| bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Runs a layer on the input of a case, and holds the shape against the output's; for `f32` also the values.
fn compare<O: PoolOperation>(name: &str, pool: Pool<O, f32>, tensors: &SafeTensors<'_>, roles: [&str; 2]) {
    let [input, output] = roles.map(|role| format!("{name}/{role}"));
    let shape = |name: &str| tensors.tensor(name).expect("a tensor").shape().to_vec();
    let got = pool.output_shape(shape(&input)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(got, shape(&output), "{name}");
    if let (Some(x), Some(want)) = (floats(tensors, &input), floats(tensors, &output)) {
        let got = pool.run_once(Layout::Nchw, shape(&input), &x).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (got, want) in got.iter().zip(&want) {
            let is_close = (got - want).abs() <= 1e-4 * want.abs().max(1.0);
            assert!(got == want || got.is_nan() && want.is_nan() || is_close, "{name}: {got} for {want}");
        }
    }
}

#[test]
fn onnx_golden_cases() {
    let mut cases = 0;
    golden(include_bytes!("data/onnx_node_pool.safetensors"), |name, case, tensors| {
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
        cases += 1;
        match case["op"].as_str().expect("a name") {
            "MaxPool" => compare(name, onnx::max_pool(&attributes, opset).expect(name), tensors, roles),
            "AveragePool" => compare(name, onnx::average_pool(&attributes, opset).expect(name), tensors, roles),
            "GlobalMaxPool" => compare(name, onnx::global_max_pool(), tensors, roles),
            "GlobalAveragePool" => compare(name, onnx::global_average_pool(), tensors, roles),
            "LpPool" => {
                // The operation is another's; its windows are those of a maximum.
                let lp = onnx::lp_pool(&attributes, opset).expect(name);
                let pool: MaxPool<f64> = lp.window.expect("a window").pool();
                let shape = |role| tensors.tensor(&format!("{name}/{role}")).expect("a tensor").shape().to_vec();
                assert_eq!(pool.output_shape(shape("input0")), Ok(shape("output0")), "{name}");
            }
            "MaxUnpool" => assert!(onnx::max_unpool(&attributes, opset).is_ok(), "{name}"),
            other => panic!("{name}: {other}"),
        }
    });
    assert_eq!(cases, 50);
}

#[test]
fn torch_golden_cases() {
    let mut cases = 0;
    golden(include_bytes!("data/torch_pool.safetensors"), |name, case, tensors| {
        let op = case["op"].as_str().expect("a name");
        if !["max", "avg", "lp"].contains(&op) {
            return;
        }
        cases += 1;
        let [kernel_size, stride, padding, dilation] =
            ["kernel", "stride", "pad", "dilation"].map(|key| list(case, key).expect("a list"));
        let flag = |key: &str| case.get(key).and_then(Value::as_bool);
        let rank = kernel_size.len();
        let ceil_mode = flag("ceil_mode").unwrap_or(false);
        let roles = ["input", "output"];
        match op {
            "max" => {
                let arguments = MaxPoolArguments {
                    kernel_size: &kernel_size,
                    stride: &stride,
                    padding: &padding,
                    dilation: &dilation,
                    ceil_mode,
                };
                let by_rank = [torch::max_pool1d, torch::max_pool2d, torch::max_pool3d];
                compare(name, by_rank[rank - 1](&arguments).expect(name), tensors, roles);
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
                compare(name, by_rank[rank - 1](&arguments).expect(name), tensors, roles);
            }
            _ => {
                let norm_type = case["p"].as_f64().expect("a norm");
                let arguments = LpPoolArguments { norm_type, kernel_size: &kernel_size, stride: &stride, ceil_mode };
                let pool: MaxPool<f64> = torch::lp_pool(&arguments, rank).expect(name).window.pool();
                let shape = |role| tensors.tensor(&format!("{name}/{role}")).expect("a tensor").shape().to_vec();
                assert_eq!(pool.output_shape(shape("input")), Ok(shape("output")), "{name}");
            }
        }
    });
    assert!(cases > 200, "{cases}");
}
