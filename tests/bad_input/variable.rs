//! Adaptive and fractional pooling: output lengths and samples that broke other engines.

use lanepool::{AdaptiveAvgPool, AdaptiveMaxPool, Error, FractionalMaxPool, IndexKind, Layout};

use crate::says;

/// Adaptive outputs of length 0 and huge ones are errors; longer than the input is legal.
#[test]
fn g24_adaptive_output_lengths() {
    for (output, index, name) in [([0, 2], 2, "axis 2 (height)"), ([2, 0], 3, "axis 3 (width)")] {
        let errors = [
            AdaptiveMaxPool::<f32>::new(output).plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("an output of 0"),
            AdaptiveAvgPool::<u8>::new(output).plan(Layout::Nhwc, [0, 0, 4, 4]).expect_err("an output of 0"),
            FractionalMaxPool::<f32>::new([1, 1], output).plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("an output of 0"),
        ];
        for error in errors {
            assert!(matches!(error, Error::EmptyOutput { axis } if axis.index == index), "{error:?}");
            says(&error, &["output", "0", name]);
        }
    }
    let plan = AdaptiveMaxPool::<i32>::new([5]).plan(Layout::Nchw, [1, 1, 2]).expect("longer than the input");
    assert_eq!(plan.run_vec(&[1, 2]), Ok(vec![1, 1, 2, 2, 2]));
    for huge in [9_132_760_301_568_586_890_u64 as usize, usize::MAX, isize::MAX as usize, 1 << (usize::BITS - 3)] {
        for shape in [[1, 1, 4], [0, 1, 4], [1, 0, 4]] {
            let error = AdaptiveMaxPool::<f32>::new([huge]).plan(Layout::Nchw, shape).expect_err("huge");
            assert_eq!(error, Error::SizeOverflow { what: "the output" });
            let error = AdaptiveAvgPool::<f32>::new([huge]).plan(Layout::Nchw, shape).expect_err("huge");
            assert_eq!(error, Error::SizeOverflow { what: "the output" });
        }
    }
    // As long as the address space just holds: a plan is small however long the axis.
    let most = (1 << (usize::BITS - 4)) - 1;
    let plan = AdaptiveMaxPool::<u8>::new([most]).plan(Layout::Nchw, [1, 1, 4]);
    assert_eq!(plan.map(|plan| plan.output_len()), Ok(most));
    // Other mistakes are those of every layer.
    let error = AdaptiveMaxPool::<f32>::new([2]).plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("a wrong rank");
    assert_eq!(error, Error::Rank { what: "output size", got: 1, need: 2 });
    let error = AdaptiveMaxPool::<f32>::new([2, 2]).plan(Layout::Nchw, [1, 1, 0, 4]).expect_err("an empty axis");
    assert!(matches!(error, Error::EmptyInput { axis } if axis.index == 2), "{error:?}");
    if usize::BITS == 32 {
        // No tensor has so many places that an index of 32 bits is too narrow.
        return;
    }
    let plan = AdaptiveMaxPool::<u8>::new([1, 1]).plan_indexed::<i32>(
        IndexKind::Tensor,
        Layout::Nchw,
        [2, 1, 1 << 15, 1 << 15],
    );
    assert!(plan.is_ok(), "{plan:?}");
    let plan = AdaptiveMaxPool::<u8>::new([1, 1]).plan_indexed::<i32>(
        IndexKind::Tensor,
        Layout::Nchw,
        [3, 1, 1 << 15, 1 << 15],
    );
    assert_eq!(plan.map(|_| ()), Err(Error::IndexTooNarrow { index: "i32", most: (3 << 30) - 1 }));
}

/// Starts and ends in floats or 32 bits are wrong by one at these lengths, which crashed PyTorch.
#[test]
fn g25_adaptive_windows_are_exact() {
    for (n, m) in [(5877_usize, 2855_usize), (3697, 2855), ((1 << 24) + 1, 3), (1 << 20, (1 << 20) - 1), (7, 100_003)] {
        let src: Vec<i32> = (0..n as i32).collect();
        let pool = AdaptiveMaxPool::<i32>::new([m]);
        let plan = pool.plan_indexed::<i64>(IndexKind::Tap, Layout::Nchw, [1, 1, n]).expect("a valid layer");
        let (last, number) = plan.run_vec(&src).expect("a valid run");
        for o in 0..m {
            let (n, m, o) = (n as u128, m as u128, o as u128);
            let (start, end) = (o * n / m, ((o + 1) * n).div_ceil(m));
            let got = (last[o as usize] as u128 + 1, number[o as usize] as u128 + 1);
            assert_eq!(got, (end, end - start), "{n} to {m}: output {o}");
        }
    }
}

/// Fractional windows that cannot lie at different places, and samples out of range (CVE-2022-41900, CVE-2021-29550).
#[test]
fn fractional_windows_and_samples() {
    let pool = FractionalMaxPool::<f32>::new([2, 2], [4, 2]);
    let error = pool.plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("too many windows");
    let Error::TooManyWindows { axis, output, kernel, input } = error.clone() else { panic!("{error:?}") };
    assert_eq!((axis.index, output, kernel, input), (2, 4, 2, 4));
    says(&error, &["4 windows of 2", "axis 2 (height)"]);
    let error =
        FractionalMaxPool::<f32>::new([0, 2], [2, 2]).plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("a kernel of 0");
    assert!(matches!(error, Error::ZeroKernel { axis } if axis.index == 2), "{error:?}");
    let error = FractionalMaxPool::<f32>::new([usize::MAX], [usize::MAX / 64]).plan(Layout::Nchw, [1, 1, 4]);
    assert!(matches!(error, Err(Error::TooManyWindows { .. })), "{error:?}");
    let error = FractionalMaxPool::<f32>::new([2], [2, 2]).plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("a wrong rank");
    assert_eq!(error, Error::Rank { what: "kernel", got: 1, need: 2 });

    let plan = FractionalMaxPool::<f32>::new([2], [2]).plan(Layout::Nchw, [1, 1, 4]).expect("a valid layer");
    let mut dst = [7.0; 2];
    let error = plan.run(&[0.0; 4], &[], &mut dst).expect_err("no samples");
    assert_eq!(error, Error::SampleLen { need: 1, got: 0 });
    says(&error, &["0 samples", "1"]);
    let error = plan.run(&[0.0; 4], &[1.5], &mut dst).expect_err("a sample of 1.5");
    assert_eq!(error, Error::BadSample { at: 0, sample: 1.5 });
    says(&error, &["1.5", "less than 1"]);
    assert_eq!(dst, [7.0; 2]);
}
