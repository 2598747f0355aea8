//! PyTorch: the functions' defaults, and what they refuse.

use lanepool::import::torch::{
    self, AvgPoolArguments, FractionalMaxPoolArguments, LpPoolArguments, MaxPoolArguments, MaxUnpoolArguments,
};
use lanepool::{AttributeProblem, Error, FractionalMaxPool, Layout};

use crate::{line, ramp, refused, row, spatial, unpooled, unpooled_spatial};

#[test]
fn shapes() {
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
}

#[test]
fn norms() {
    let a = LpPoolArguments { norm_type: 2.0, kernel_size: &[2], ..Default::default() };
    let rows: &[(LpPoolArguments<'_>, &[f32], &[f32])] = &[
        // The stride is the kernel if it is not given.
        (a, &[3.0, 4.0, 0.0, 2.0], &[5.0, 2.0]),
        (LpPoolArguments { stride: &[1], ..a }, &[3.0, 4.0, 3.0], &[5.0, 5.0]),
        (LpPoolArguments { norm_type: 1.0, ..a }, &[3.0, 4.0, 0.0, 2.0], &[7.0, 2.0]),
        (LpPoolArguments { norm_type: 0.5, ..a }, &[1.0, 4.0], &[9.0]),
        (a, &[3.0, 4.0, 6.0], &[5.0]),
        // Other than in PyTorch: 6, not 6·√2, where the window overhangs; and |−4|.
        (LpPoolArguments { ceil_mode: true, ..a }, &[3.0, 4.0, 6.0], &[5.0, 6.0]),
        (LpPoolArguments { norm_type: 1.0, ..a }, &[3.0, -4.0], &[7.0]),
    ];
    for (arguments, x, want) in rows {
        assert_eq!(line(&torch::lp_pool1d(arguments).expect("valid arguments"), x), *want, "{arguments:?}");
    }
    let b = LpPoolArguments { kernel_size: &[3, 2], ..a };
    assert_eq!(spatial(&torch::lp_pool2d::<f32>(&b).expect("valid arguments"), &[7, 7]), [2, 3]);
    let b = LpPoolArguments { ceil_mode: true, ..b };
    assert_eq!(spatial(&torch::lp_pool2d::<f32>(&b).expect("valid arguments"), &[7, 7]), [3, 4]);
    assert_eq!(spatial(&torch::lp_pool3d::<f32>(&a).expect("valid arguments"), &[4, 5, 6]), [2, 2, 3]);
}

#[test]
fn unpooling() {
    let k = |kernel_size| MaxUnpoolArguments { kernel_size, ..Default::default() };
    let to = |output_size| MaxUnpoolArguments { output_size: Some(output_size), ..k(&[2]) };
    // Arguments, input, output.
    let rows: &[(MaxUnpoolArguments<'_>, &[usize], &[usize])] = &[
        // (n − 1)·stride − 2·padding + kernel; the stride is the kernel if it is not given.
        (k(&[2]), &[3], &[6]),
        (MaxUnpoolArguments { stride: &[1], ..k(&[2]) }, &[3], &[4]),
        (MaxUnpoolArguments { stride: &[2], padding: &[1], ..k(&[3]) }, &[3, 4], &[5, 7]),
        (k(&[2, 3]), &[3, 4], &[6, 12]),
        (MaxUnpoolArguments { padding: &[0, 1], ..k(&[2, 3]) }, &[3, 4], &[6, 10]),
        (k(&[2]), &[1, 2, 3], &[2, 4, 6]),
        // More than half of the kernel is no matter of these functions.
        (MaxUnpoolArguments { padding: &[2], ..k(&[3]) }, &[3], &[5]),
        (to(&[7]), &[3], &[7]),
        (to(&[7, 8]), &[3, 4], &[7, 8]),
        (to(&[3, 4, 5]), &[1, 2, 2], &[3, 4, 5]),
        // The whole shape.
        (to(&[1, 1, 7]), &[3], &[7]),
        (to(&[6, 5, 7, 8]), &[3, 4], &[7, 8]),
        (to(&[6, 5, 3, 4, 5]), &[1, 2, 2], &[3, 4, 5]),
    ];
    for (arguments, input, output) in rows {
        let unpool = match input.len() {
            1 => torch::max_unpool1d(arguments),
            2 => torch::max_unpool2d(arguments),
            _ => torch::max_unpool3d(arguments),
        };
        assert_eq!(unpooled_spatial(&unpool.expect("valid arguments"), input), *output, "{arguments:?}");
    }
    // Two channels, each with indices of its own plane, of 4 or of 5.
    let run = |arguments, indices: [i64; 4]| {
        let unpool = torch::max_unpool1d(&arguments).expect("valid arguments");
        unpooled(&unpool, &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0], &indices)
    };
    assert_eq!(run(k(&[2]), [1, 2, 0, 3]), Ok(vec![0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0]));
    assert_eq!(run(to(&[5]), [1, 4, 0, 3]), Ok(vec![0.0, 1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 4.0, 0.0]));
    assert!(matches!(run(k(&[2]), [1, 4, 0, 3]), Err(Error::IndexOutOfRange { at: 1, index: 4, len: 4 })));
    // Rows and columns: the index 5 lies in the second row of 4, and in the first of 6.
    let square = |output_size| {
        let arguments = MaxUnpoolArguments { output_size, ..k(&[2]) };
        unpooled(&torch::max_unpool2d(&arguments).expect("valid arguments"), &[1, 1, 1, 2], &[1.0, 2.0], &[0, 5])
    };
    assert_eq!(square(None), Ok(vec![1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]));
    let want = [[1.0, 0.0, 0.0, 0.0, 0.0, 2.0], [0.0; 6]].concat();
    assert_eq!(square(Some(&[2, 6])), Ok(want));
}

#[test]
fn fractional_pooling() {
    let of = |kernel_size, output_size| FractionalMaxPoolArguments { kernel_size, output_size };
    // Arguments, input, output.
    let rows: &[(FractionalMaxPoolArguments<'_>, &[usize], &[usize])] = &[
        (of(&[2], &[3]), &[7, 8], &[3, 3]),
        (of(&[2, 3], &[3, 4]), &[7, 8], &[3, 4]),
        (of(&[2], &[3, 4]), &[4, 5], &[3, 4]),
        (of(&[2], &[3]), &[7, 8, 9], &[3, 3, 3]),
        (of(&[1, 2, 3], &[4, 3, 2]), &[5, 5, 5], &[4, 3, 2]),
    ];
    let pool = |arguments: &FractionalMaxPoolArguments<'_>, axes: usize| -> FractionalMaxPool<f32> {
        let by_axes = if axes == 2 { torch::fractional_max_pool2d } else { torch::fractional_max_pool3d };
        by_axes(arguments).expect("valid arguments")
    };
    for (arguments, input, output) in rows {
        let plan = pool(arguments, input.len()).plan(Layout::Nchw, [&[1, 1][..], input].concat());
        assert_eq!(plan.expect("a layer").output_shape()[2..], **output, "{arguments:?}");
    }
    // One window ends at the end: 1 of 3 rows in windows of 2, and 2 of 4 columns in windows of 1.
    let plan = pool(&of(&[2, 1], &[1, 2]), 2).plan(Layout::Nchw, [1, 1, 3, 4]).expect("a layer");
    assert_eq!(plan.run_vec(&ramp(12), &[0.0, 0.0]), Ok(vec![9.0, 12.0]));
    // What does not fit is the plan's to say.
    let plan = pool(&of(&[3], &[4]), 2).plan(Layout::Nchw, [1, 1, 9, 5]);
    assert!(matches!(plan, Err(Error::TooManyWindows { axis, .. }) if axis.index == 3));
}

#[test]
fn adaptive_pooling() {
    /// What is asked for, input, output.
    type Row<'a> = (&'a [Option<i64>], &'a [usize], &'a [usize]);
    let rows: &[Row<'_>] = &[
        (&[Some(3)], &[7], &[3]),
        (&[Some(9)], &[7], &[9]),
        (&[None], &[7], &[7]),
        (&[Some(3)], &[7, 8], &[3, 3]),
        (&[Some(3), Some(4)], &[7, 8], &[3, 4]),
        (&[None, Some(4)], &[7, 8], &[7, 4]),
        (&[Some(3), None], &[7, 8], &[3, 8]),
        (&[None], &[7, 8], &[7, 8]),
        (&[Some(2)], &[7, 8, 9], &[2, 2, 2]),
        (&[Some(2), None, Some(4)], &[7, 8, 9], &[2, 8, 4]),
    ];
    for (output_size, input, output) in rows {
        let (max, avg) = match input.len() {
            1 => {
                (torch::adaptive_max_pool1d::<f32>(output_size, input), torch::adaptive_avg_pool1d(output_size, input))
            }
            2 => (torch::adaptive_max_pool2d(output_size, input), torch::adaptive_avg_pool2d(output_size, input)),
            _ => {
                (torch::adaptive_max_pool3d(output_size, input), torch::adaptive_avg_pool3d::<f32>(output_size, input))
            }
        };
        let shape = [&[1, 1][..], input].concat();
        let max = max.expect("valid arguments").plan(Layout::Nchw, &shape).expect("a layer");
        let avg = avg.expect("valid arguments").plan(Layout::Nchw, &shape).expect("a layer");
        assert_eq!(max.output_shape()[2..], **output, "{output_size:?}");
        assert_eq!(avg.output_shape()[2..], **output, "{output_size:?}");
    }
    // 1 2 3 / 4 5 6.
    let max = torch::adaptive_max_pool2d(&[None, Some(2)], &[2, 3]).expect("valid arguments");
    let got = max.plan(Layout::Nchw, [1, 1, 2, 3]).and_then(|plan| plan.run_vec(&ramp(6)));
    assert_eq!(got, Ok(vec![2.0, 3.0, 5.0, 6.0]));
    let avg = torch::adaptive_avg_pool2d(&[None, Some(2)], &[2, 3]).expect("valid arguments");
    let got = avg.plan(Layout::Nchw, [1, 1, 2, 3]).and_then(|plan| plan.run_vec(&ramp(6)));
    assert_eq!(got, Ok(vec![1.5, 2.5, 4.5, 5.5]));
    // An empty output is the plan's to refuse.
    let none =
        torch::adaptive_max_pool2d::<f32>(&[Some(1), Some(0)], &[2, 3]).expect("no error before there is a tensor");
    assert!(matches!(none.plan(Layout::Nchw, [1, 1, 2, 3]), Err(Error::EmptyOutput { axis }) if axis.index == 3));
}

#[test]
fn divisors() {
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

/// PyTorch's pull request 183997, of version 2.13: "lp_pool1d([1, -3, 2, 4], inf, 2, 1)" is 3, 3, 4, where its older
/// formula gives 1 whatever the elements are (issue 170937).
#[test]
fn m01_infinite_norms() {
    use lanepool::import::torch::Version;
    let infinite = LpPoolArguments { norm_type: f64::INFINITY, kernel_size: &[2], stride: &[1], ..Default::default() };
    let x = [1.0, -3.0, 2.0, 4.0];
    let run = |arguments: LpPoolArguments<'_>, x: &[f32]| {
        let pool = torch::lp_pool1d::<f32>(&arguments).expect("valid arguments");
        pool.run_once(Layout::Nchw, [1, 1, x.len()], x).expect("a valid layer")
    };
    assert_eq!(run(infinite, &x), [3.0, 3.0, 4.0]);
    for (major, minor, want) in [
        (1, 13, [1.0; 3]),
        (2, 12, [1.0; 3]),
        (2, 13, [3.0, 3.0, 4.0]),
        (2, 14, [3.0, 3.0, 4.0]),
        (3, 0, [3.0, 3.0, 4.0]),
    ] {
        let version = Version::new(major, minor);
        assert_eq!(run(LpPoolArguments { version, ..infinite }, &x), want, "{version:?}");
        // Other norms are the same in all of them.
        assert_eq!(run(LpPoolArguments { norm_type: 1.0, version, ..infinite }, &x), [4.0, 5.0, 6.0], "{version:?}");
    }
    // The sums of powers overflow, vanish or are 0; the root was 1 all the same.
    let once = LpPoolArguments { version: Version::new(2, 12), ..infinite };
    assert_eq!(run(once, &[0.0, -0.0, 0.25, f32::INFINITY, -1.0]), [1.0; 4]);
    // In ceil mode the largest |x| is not scaled.
    let ceil = LpPoolArguments { kernel_size: &[3], stride: &[3], ceil_mode: true, ..infinite };
    assert_eq!(run(ceil, &x), [3.0, 4.0]);
    let planes = torch::lp_pool2d::<f64>(&infinite)
        .and_then(|pool| pool.run_once(Layout::Nhwc, [1, 1, 2, 2], &[1.0, -5.0, 2.0, 0.5]));
    assert_eq!(planes, Ok(vec![5.0]));
}

#[test]
fn errors() {
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

    let lp = LpPoolArguments { norm_type: 2.0, kernel_size: &[2], ..Default::default() };
    for got in [-1.0, 0.0, f64::NEG_INFINITY] {
        let arguments = LpPoolArguments { norm_type: got, ..lp };
        refused(torch::lp_pool1d::<f32>(&arguments), "norm_type", Norm { got }, &[&got.to_string()]);
    }
    // Neither has a default.
    assert!(torch::lp_pool1d::<f32>(&LpPoolArguments { kernel_size: &[2], ..Default::default() }).is_err());
    refused(torch::lp_pool2d::<f32>(&LpPoolArguments { kernel_size: &[], ..lp }), "kernel_size", Missing, &[]);
    let arguments = LpPoolArguments { kernel_size: &[2, 2], ..lp };
    refused(torch::lp_pool3d::<f32>(&arguments), "kernel_size", Length { got: 2, need: 3 }, &["2", "3"]);
    refused(torch::lp_pool2d::<f32>(&LpPoolArguments { stride: &[0], ..lp }), "stride", number(0, 1), &["0"]);
}

#[test]
fn unpooling_errors() {
    use AttributeProblem::{Length, Missing, Number};
    let a = MaxUnpoolArguments { kernel_size: &[2], ..Default::default() };
    let unpool = |arguments| torch::max_unpool2d::<f32>(&arguments);
    let number = |got, least| Number { got, least };
    refused(unpool(MaxUnpoolArguments::default()), "kernel_size", Missing, &["not given"]);
    refused(
        unpool(MaxUnpoolArguments { kernel_size: &[2; 3], ..a }),
        "kernel_size",
        Length { got: 3, need: 2 },
        &["3"],
    );
    refused(unpool(MaxUnpoolArguments { kernel_size: &[0], ..a }), "kernel_size", number(0, 1), &["0"]);
    refused(unpool(MaxUnpoolArguments { stride: &[1, -2], ..a }), "stride", number(-2, 1), &["-2"]);
    refused(unpool(MaxUnpoolArguments { padding: &[-1], ..a }), "padding", number(-1, 0), &["-1"]);
    for size in [&[][..], &[5], &[5; 3], &[5; 5]] {
        let why = Length { got: size.len(), need: 2 };
        let arguments = MaxUnpoolArguments { output_size: Some(size), ..a };
        refused(unpool(arguments), "output_size", why, &[&size.len().to_string(), "2"]);
    }
    for size in [&[0, 5][..], &[1, 1, 0, 5]] {
        refused(unpool(MaxUnpoolArguments { output_size: Some(size), ..a }), "output_size", number(0, 1), &["0"]);
    }
    // The window is read beside `output_size` too.
    let both = MaxUnpoolArguments { stride: &[0], output_size: Some(&[5, 5]), ..a };
    refused(unpool(both), "stride", number(0, 1), &["0"]);
    // Padding as long as the kernel is the plan's to refuse.
    let padded = unpool(MaxUnpoolArguments { padding: &[2], ..a }).expect("no error before there is a tensor");
    let plan = padded.plan::<i64>(Layout::Nchw, [1, 1, 3, 3]);
    assert!(matches!(plan, Err(Error::PadTooLarge { padding: 2, span: 2, .. })));
}

#[test]
fn variable_window_errors() {
    use AttributeProblem::{Length, Missing, Number};
    let a = FractionalMaxPoolArguments { kernel_size: &[2], output_size: &[3] };
    let fractional = |arguments| torch::fractional_max_pool2d::<f32>(&arguments);
    let number = |got, least| Number { got, least };
    refused(fractional(FractionalMaxPoolArguments { kernel_size: &[], ..a }), "kernel_size", Missing, &[]);
    refused(fractional(FractionalMaxPoolArguments { output_size: &[], ..a }), "output_size", Missing, &[]);
    let three = FractionalMaxPoolArguments { output_size: &[3; 3], ..a };
    refused(fractional(three), "output_size", Length { got: 3, need: 2 }, &["3", "2"]);
    let two = FractionalMaxPoolArguments { kernel_size: &[2; 2], ..a };
    refused(torch::fractional_max_pool3d::<f32>(&two), "kernel_size", Length { got: 2, need: 3 }, &["2", "3"]);
    for (size, got) in [(&[0][..], 0), (&[2, -1], -1)] {
        let kernel = FractionalMaxPoolArguments { kernel_size: size, ..a };
        refused(fractional(kernel), "kernel_size", number(got, 1), &[&got.to_string()]);
        let output = FractionalMaxPoolArguments { output_size: size, ..a };
        refused(fractional(output), "output_size", number(got, 1), &[&got.to_string()]);
    }

    let adaptive = torch::adaptive_avg_pool2d::<f32>;
    refused(adaptive(&[Some(1), Some(-1)], &[4, 4]), "output_size", number(-1, 0), &["-1"]);
    refused(adaptive(&[], &[4, 4]), "output_size", Length { got: 0, need: 2 }, &["0", "2"]);
    refused(adaptive(&[None; 3], &[4, 4]), "output_size", Length { got: 3, need: 2 }, &["3", "2"]);
    refused(adaptive(&[None; 2], &[4]), "input", Length { got: 1, need: 2 }, &["1", "2"]);
    refused(torch::adaptive_max_pool1d::<f32>(&[Some(1)], &[]), "input", Length { got: 0, need: 1 }, &["0", "1"]);
    let max = torch::adaptive_max_pool3d::<f32>(&[Some(1)], &[1, 1, 2, 2, 2]);
    refused(max, "input", Length { got: 5, need: 3 }, &["5", "3"]);
}
