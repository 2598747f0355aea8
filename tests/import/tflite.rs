//! TensorFlow Lite and TensorFlow: padding, layouts and activations.

use lanepool::import::tflite::{self, Pool2DOptions, TensorFlow};
use lanepool::{AttributeProblem, AvgPool, Error, Layout, Rounding};

use crate::{ramp, refused, spatial};

#[test]
fn layers() {
    let a = Pool2DOptions { stride_w: 2, stride_h: 1, filter_width: 3, filter_height: 2, ..Default::default() };
    // Options, rows and columns in, rows and columns out. SAME is 0.
    for (padding, input, output) in [(0, [5, 8], [5, 4]), (1, [5, 8], [4, 3]), (0, [1, 1], [1, 1]), (1, [2, 3], [1, 1])]
    {
        let options = Pool2DOptions { padding, ..a };
        let max = tflite::max_pool_2d::<f32>(&options).expect("valid options");
        let average = tflite::average_pool_2d::<i8>(&options).expect("valid options");
        let norm = tflite::l2_pool_2d::<f32>(&options).expect("valid options");
        assert_eq!([max.layout, average.layout, norm.layout], [Layout::Nhwc; 3]);
        assert_eq!(spatial(&norm.pool, &input), output, "{options:?}");
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

    // The mean of squares, not their sum; at the end of a row by the one valid tap. The activation comes with it.
    let options = Pool2DOptions { fused_activation_function: 1, ..options };
    let layer = tflite::l2_pool_2d::<f32>(&options).expect("valid options");
    let got = layer.pool.run_once(layer.layout, [1, 2, 1, 3], &[1.0, 0.0, -7.0, 2.0, 1.0, -6.0]);
    assert_eq!(got, Ok(vec![5.0, 2.0_f32.sqrt(), 5.0, 20.0_f32.sqrt(), 1.0, 6.0]));
    assert_eq!(layer.clamp.map(|clamp| (clamp.min, clamp.max)), Some((0.0, f32::INFINITY)));
    let bytes = tflite::l2_pool_2d::<i8>(&options).expect("valid options");
    assert!(matches!(bytes.pool.plan(bytes.layout, [1, 2, 1, 3]), Err(Error::Unsupported { .. })));

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
    let a = TensorFlow { ksize: &[1, 2, 3, 1], strides: &[1, 1, 2, 1], padding: "SAME", ..Default::default() };
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

/// TensorFlow's `MaxPoolWithArgmax` of two images of 2×2 pixels and two channels: `(y·W + x)·C + c`, with and without the
/// images before.
#[test]
fn tensorflow_argmax() {
    let a = TensorFlow { ksize: &[1, 2, 2, 1], strides: &[1, 2, 2, 1], padding: "VALID", ..Default::default() };
    let src = [0.0, 9.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 4.0_f32];
    for (include_batch_in_index, argmax) in [(false, [6, 1, 2, 7]), (true, [6, 1, 10, 15])] {
        let attributes = TensorFlow { include_batch_in_index, ..a };
        let layer = tflite::tensorflow_max_pool_with_argmax::<f32>(&attributes).expect("valid attributes");
        let kind = layer.index_kind.expect("an argmax");
        let plan = layer.pool.plan_indexed::<i64>(kind, layer.layout, [2, 2, 2, 2]).expect("a valid layer");
        assert_eq!(plan.run_vec(&src), Ok((vec![3.0, 9.0, 7.0, 4.0], argmax.to_vec())));
    }
    assert_eq!(tflite::tensorflow_max_pool::<f32>(&a).map(|layer| layer.index_kind), Ok(None));
    let planar = TensorFlow { data_format: "NCHW", ..a };
    let layer = tflite::tensorflow_max_pool_with_argmax::<f32>(&planar);
    refused(layer, "data_format", AttributeProblem::NoSuchName { names: "NHWC" }, &["NHWC"]);
}

#[test]
fn errors() {
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
        refused(tflite::l2_pool_2d::<f32>(&options), "fused_activation_function", why, &[&got.to_string()]);
    }

    let a = TensorFlow { ksize: &[1, 2, 2, 1], strides: &[1, 2, 2, 1], padding: "SAME", ..Default::default() };
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
