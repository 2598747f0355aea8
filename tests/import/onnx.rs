//! ONNX: windows, divisors, norms, unpooling and quantised averages by the versions of the operators.

use lanepool::import::onnx::{self, Attributes, Opset};
use lanepool::{
    AttributeProblem, AvgPool, CeilRule, Element, Error, IndexKind, Layout, MaxPool, MaxUnpool, Pool, Quantization,
    Tier,
};

use crate::{line, refused, row, spatial, unpooled, unpooled_spatial};

/// No attribute.
pub const A: Attributes<'_> = Attributes {
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

#[test]
fn shapes() {
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
fn same_padding_goes_to_its_end() {
    let same = |auto_pad| Attributes { kernel_shape: &[2], auto_pad: Some(auto_pad), ..A };
    let max = |auto_pad| row(&onnx::max_pool(&same(auto_pad), 1).expect("a valid node"), 4);
    assert_eq!(max("SAME_UPPER"), [2.0, 3.0, 4.0, 4.0]);
    assert_eq!(max("SAME_LOWER"), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn divisors() {
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

/// ONNX Runtime's issue 10083: `VALID` and `SAME` fix the output's length by formulas of their own, so that ceil mode beside them
/// changes nothing.
#[test]
fn m02_ceil_mode_beside_automatic_padding() {
    for auto_pad in ["VALID", "SAME_UPPER", "SAME_LOWER"] {
        for (n, k, s) in [(8, 3, 2), (7, 3, 2), (9, 2, 4), (5, 5, 3), (10, 3, 3)] {
            let (kernel, strides) = ([k], [s]);
            let floor = Attributes { kernel_shape: &kernel, strides: Some(&strides), auto_pad: Some(auto_pad), ..A };
            let ceil = Attributes { ceil_mode: Some(1), ..floor };
            let [floor, ceil] =
                [floor, ceil].map(|node| row(&onnx::max_pool(&node, 12).expect("a valid node"), n as usize));
            assert_eq!(floor, ceil, "{auto_pad} {n} {k}/{s}");
            let length = if auto_pad == "VALID" { (n - k + 1 + s - 1) / s } else { (n + s - 1) / s };
            assert_eq!(ceil.len() as i64, length, "{auto_pad} {n} {k}/{s}");
        }
    }
}

/// Windows past the input, which the texts before ONNX's pull request 5741 and ONNX Runtime's 16752 count.
/// A window without a valid tap gives the identity of a maximum, and 0 on average.
#[test]
fn m03_last_windows() {
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
fn norms() {
    let k = Attributes { kernel_shape: &[2], ..A };
    let ceil = Attributes { strides: Some(&[3]), ceil_mode: Some(1), ..k };
    let rows: &[(Attributes<'_>, Opset, &[f32], &[f32])] = &[
        // The norm is 2 and the stride 1 if they are not given.
        (k, Opset::new(1), &[3.0, -4.0, 3.0], &[5.0, 5.0]),
        (k, Opset::new(22), &[3.0, -4.0, 3.0], &[5.0, 5.0]),
        (Attributes { p: Some(1.0), strides: Some(&[2]), ..k }, Opset::new(2), &[3.0, -4.0, 0.0, -2.0], &[7.0, 2.0]),
        (Attributes { p: Some(3.0), ..k }, Opset::new(2), &[1.0, -1.0, 0.0], &[2.0_f32.cbrt(), 1.0]),
        // √1 + √4, squared.
        (Attributes { p: Some(0.5), ..k }, Opset::new(1), &[1.0, -4.0], &[9.0]),
        // Padding takes no part.
        (Attributes { pads: Some(&[1, 0]), strides: Some(&[2]), ..k }, Opset::new(11), &[3.0, 4.0, -3.0], &[3.0, 5.0]),
        (Attributes { auto_pad: Some("SAME_UPPER"), ..k }, Opset::new(11), &[3.0, 4.0], &[5.0, 4.0]),
        (Attributes { dilations: Some(&[2]), ..k }, Opset::new(18), &[3.0, 6.0, 4.0, 8.0], &[5.0, 10.0]),
        (Attributes { ceil_mode: Some(0), ..ceil }, Opset::new(18), &[3.0, 4.0, 0.0, -2.0], &[5.0]),
        // What overhangs is no tap: PyTorch would scale it.
        (ceil, Opset::new(18), &[3.0, 4.0, 0.0, -2.0], &[5.0, 2.0]),
        (
            Attributes { kernel_shape: &[3], pads: Some(&[1, 1]), ..ceil },
            Opset::new(18).ceil_rule(CeilRule::EveryWindow),
            &[3.0, 4.0, 0.0, -3.0, 4.0],
            &[5.0, 5.0, 0.0],
        ),
    ];
    for (attributes, opset, x, want) in rows {
        let pool = onnx::lp_pool(attributes, *opset).unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(line(&pool, x), *want, "{attributes:?} {opset:?}");
    }
    for (p, opset, want) in [(None, 22, 5.0), (Some(1.0), 1, 7.0), (Some(2.0), 2, 5.0)] {
        let pool = onnx::global_lp_pool(&Attributes { p, ..A }, opset).expect("a valid node");
        assert_eq!(line(&pool, &[3.0, -4.0, 0.0]), [want], "{p:?}");
    }
}

#[test]
fn unpooling() {
    let k = |kernel_shape| Attributes { kernel_shape, ..A };
    // Attributes, operator set, input, output.
    let rows: &[(Attributes<'_>, i64, &[usize], &[usize])] = &[
        // (n − 1)·stride + kernel − begin − end; the stride is 1 if it is not given.
        (k(&[2]), 9, &[3], &[4]),
        (Attributes { strides: Some(&[2, 3]), ..k(&[2, 3]) }, 11, &[3, 2], &[6, 6]),
        (Attributes { strides: Some(&[2]), pads: Some(&[1, 0]), ..k(&[3]) }, 22, &[3], &[6]),
        (Attributes { strides: Some(&[2, 1]), pads: Some(&[0, 1, 1, 2]), ..k(&[2, 4]) }, 11, &[2, 6], &[3, 6]),
        (Attributes { strides: Some(&[]), pads: Some(&[]), ..k(&[2, 2, 2]) }, 11, &[1, 2, 3], &[2, 3, 4]),
    ];
    for (attributes, opset, input, output) in rows {
        let unpool = onnx::max_unpool(attributes, *opset).unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(unpooled_spatial(&unpool, input), *output, "{attributes:?}");
    }
    // Two channels: the second one's plane begins at 4, so that an index of the tensor is none of a plane.
    let unpool = onnx::max_unpool(&Attributes { strides: Some(&[2]), ..k(&[2]) }, 11).expect("a valid node");
    let (shape, x, indices) = ([1, 2, 2], [1.0, 2.0, 3.0, 4.0], [1, 2, 4, 7]);
    assert_eq!(unpooled(&unpool, &shape, &x, &indices), Ok(vec![0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0]));
}

/// ONNX Runtime's pull request 2193: `output_shape` is a longer plane in which the indices count, where the reference pads
/// the one that was pooled.
#[test]
fn m04_unpooling_to_a_longer_output() {
    let attributes = Attributes { kernel_shape: &[2], strides: Some(&[2]), ..A };
    let unpool = onnx::max_unpool(&attributes, 11).expect("a valid node");
    let (shape, x, indices) = ([1, 2, 2], [1.0, 2.0, 3.0, 4.0], [1, 2, 4, 7]);
    // `output_shape` is 1, 2, 5: the reference counts in planes of 4, ONNX Runtime in planes of 5.
    let reference = unpool.padded_to([5]);
    let want = vec![0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 4.0, 0.0];
    assert_eq!(unpooled(&reference, &shape, &x, &indices), Ok(want));
    let runtime = MaxUnpool::to([5]).indices(IndexKind::Tensor);
    let want = vec![0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 0.0, 4.0, 0.0, 0.0];
    assert_eq!(unpooled(&runtime, &shape, &x, &indices), Ok(want));
}

#[test]
fn quantised_averages() {
    // Steps of a half from 0 to steps of a quarter from 10: a mean of x becomes 2·x + 10.
    let (input, output) = (Quantization::new(0.5, 0), Quantization::new(0.25, 10));
    let k = Attributes { kernel_shape: &[3], pads: Some(&[1, 1]), ..A };
    let ceil = Attributes { strides: Some(&[4]), ceil_mode: Some(1), pads: Some(&[1, 0]), ..k };
    let include = |attributes| Attributes { count_include_pad: Some(1), ..attributes };
    // Of 1, 2, 3 and 6.
    let rows: &[(Attributes<'_>, &[u8])] = &[
        (k, &[13, 14, 17, 19]),
        (include(k), &[12, 14, 17, 16]),
        (Attributes { ceil_mode: Some(0), ..ceil }, &[13]),
        // What ceil mode lets overhang does not count: 6, not a third of it.
        (ceil, &[13, 22]),
        (include(ceil), &[12, 22]),
        (Attributes { auto_pad: Some("VALID"), pads: None, ..k }, &[14, 17]),
        // The window that would begin past the input is dropped.
        (Attributes { strides: Some(&[5]), pads: Some(&[1, 1]), ceil_mode: Some(1), ..k }, &[13]),
    ];
    for (attributes, want) in rows {
        let (pool, layout) = onnx::q_linear_average_pool::<u8>(attributes, input, output)
            .unwrap_or_else(|error| panic!("{attributes:?}: {error}"));
        assert_eq!(layout, Layout::Nchw);
        assert_eq!(line(&pool, &[1, 2, 3, 6]), *want, "{attributes:?}");
    }
    // ONNX Runtime's own results, of a whole kernel of 3: the overhang is declared.
    let (pool, _) = onnx::q_linear_average_pool::<u8>(&include(ceil), input, output).expect("a valid node");
    assert_eq!(line(&pool.ceil_mode(false).padding_unequal([1], [2]), &[1, 2, 3, 6]), [12, 14]);

    // Two pixels of two channels, signed.
    let (input, output) = (Quantization::new(1.0, -3), Quantization::new(1.0, 1));
    let last = |channels_last| Attributes { channels_last: Some(channels_last), ..A };
    let pair = |attributes| Attributes { kernel_shape: &[2], ..attributes };
    for (channels_last, layout, want) in [(0, Layout::Nchw, [6, 26]), (1, Layout::Nhwc, [15, 17])] {
        let window = onnx::q_linear_average_pool::<i8>(&pair(last(channels_last)), input, output);
        let global = onnx::q_linear_global_average_pool::<i8>(&last(channels_last), input, output);
        for answer in [window, global] {
            let (pool, got) = answer.expect("a valid node");
            assert_eq!(got, layout);
            // A mean is 3 more than that of the bytes, and 1 more is its byte: 0 and 4 give 2 + 3 + 1.
            assert_eq!(pool.run_once(got, [1, 2, 2], &[0, 4, 22, 22]), Ok(want.to_vec()));
        }
    }
    let (_, layout) = onnx::q_linear_global_average_pool::<i8>(&A, input, output).expect("a valid node");
    assert_eq!(layout, Layout::Nchw);
    // Scales and zero points are the plan's to check.
    let (pool, layout) =
        onnx::q_linear_global_average_pool::<i8>(&A, Quantization::new(0.0, 0), output).expect("a node");
    assert!(matches!(pool.plan(layout, [1, 1, 2]), Err(Error::BadScale { what: "input", .. })));
}

#[test]
fn index_kinds() {
    for (storage_order, kind) in
        [(None, IndexKind::Tensor), (Some(0), IndexKind::Tensor), (Some(1), IndexKind::TensorColumnMajor)]
    {
        assert_eq!(onnx::index_kind(&Attributes { kernel_shape: &[2, 3], storage_order, ..A }, 8), Ok(kind));
    }
}

#[test]
fn errors() {
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
    let lp = |attributes, opset: i64| onnx::lp_pool::<f32>(&attributes, opset);
    let unpool = |attributes, opset: i64| onnx::max_unpool::<f32>(&attributes, opset);
    let q = Quantization::default();
    let quantised = |attributes| onnx::q_linear_average_pool::<u8>(&attributes, q, q);
    let quantised_global = |attributes| onnx::q_linear_global_average_pool::<u8>(&attributes, q, q);
    refused(lp(dilated, 17), "dilations", too_new("LpPool", 18), &[]);
    refused(lp(ceil, 17), "ceil_mode", too_new("LpPool", 18), &[]);
    refused(unpool(k, 8), "kernel_shape", too_new("MaxUnpool", 9), &["MaxUnpool"]);
    refused(max(k, 0), "kernel_shape", too_new("MaxPool", 1), &[]);
    refused(max(k, i64::MIN), "kernel_shape", TooNew { operator: "MaxPool", since: 1, opset: i64::MIN }, &[]);

    // An attribute of another operator.
    let unknown = |operator| Unknown { operator };
    refused(max(include, 22), "count_include_pad", unknown("MaxPool"), &["MaxPool"]);
    refused(average(Attributes { storage_order: Some(0), ..k }, 22), "storage_order", unknown("AveragePool"), &[]);
    refused(average(Attributes { p: Some(2.0), ..k }, 22), "p", unknown("AveragePool"), &[]);
    refused(max(Attributes { channels_last: Some(0), ..k }, 22), "channels_last", unknown("MaxPool"), &[]);
    let auto = Attributes { auto_pad: Some("VALID"), ..k };
    refused(unpool(auto, 22), "auto_pad", unknown("MaxUnpool"), &[]);
    refused(unpool(dilated, 22), "dilations", unknown("MaxUnpool"), &["MaxUnpool"]);
    refused(unpool(A, 22), "kernel_shape", Missing, &[]);
    refused(lp(A, 22), "kernel_shape", Missing, &[]);
    refused(unpool(Attributes { pads: Some(&[0; 3]), ..k }, 9), "pads", Length { got: 3, need: 4 }, &["3", "4"]);
    refused(onnx::global_lp_pool::<f32>(&k, 22), "kernel_shape", unknown("GlobalLpPool"), &[]);
    refused(quantised(dilated), "dilations", unknown("QLinearAveragePool"), &[]);
    let operator = "QLinearGlobalAveragePool";
    refused(quantised_global(k), "kernel_shape", unknown(operator), &[]);
    refused(onnx::index_kind(&Attributes { storage_order: Some(2), ..k }, 8), "storage_order", flags(2), &[]);
    let last = Attributes { channels_last: Some(2), ..A };
    refused(quantised_global(last), "channels_last", flags(2), &["2"]);
    refused(quantised(Attributes { channels_last: Some(-1), ..k }), "channels_last", flags(-1), &["-1"]);
    refused(quantised(Attributes { count_include_pad: Some(2), ..k }), "count_include_pad", flags(2), &["2"]);
    refused(quantised(A), "kernel_shape", Missing, &[]);

    for p in [0.0, -1.0, f64::INFINITY] {
        refused(lp(Attributes { p: Some(p), ..k }, 1), "p", Norm { got: p }, &[&p.to_string()]);
        let global = onnx::global_lp_pool::<f32>(&Attributes { p: Some(p), ..A }, 1);
        refused(global, "p", Norm { got: p }, &[&p.to_string()]);
    }
    assert!(onnx::global_lp_pool::<f32>(&Attributes { p: Some(f64::NAN), ..A }, 1).is_err());

    // What depends on the tensor is the plan's to say, with the axis.
    let pool = max(Attributes { kernel_shape: &[2, 0], ..A }, 1).expect("no error before there is a tensor");
    assert!(matches!(pool.output_shape([1, 1, 4, 4]), Err(Error::ZeroKernel { axis }) if axis.index == 3));
    let wide = max(Attributes { pads: Some(&[2, 0, 0, 0]), ..k }, 1).expect("no error before there is a tensor");
    assert!(matches!(wide.output_shape([1, 1, 4, 4]), Err(Error::PadTooLarge { padding: 2, span: 2, .. })));
}
