//! G: kernels, strides, dilations and paddings that do not go together, or that overflow.

use lanepool::import::onnx::{self, Attributes};
use lanepool::{AttributeProblem, AvgPool, Error, Layout, MaxPool, SumPool};

use crate::common::layer::OPS;
use crate::common::{Fill, Layer, Op, Pad, Rng, check};
use crate::{layer, refused, says};

const HUGE: usize = isize::MAX as usize;

/// A kernel of 0 on any axis (CVE-2021-41196).
#[test]
fn g01_kernel_zero() {
    for (axis, name) in [(0, "axis 2 (depth)"), (1, "axis 3 (height)"), (2, "axis 4 (width)")] {
        let mut kernel = [2, 2, 2];
        kernel[axis] = 0;
        let error = refused(&layer(&[1, 16, 4, 4, 4], &kernel));
        assert!(matches!(error, Error::ZeroKernel { axis: named } if named.index == axis + 2), "{error:?}");
        says(&error, &["kernel", "0", name]);
    }
    let error = refused(&layer(&[1, 16, 4], &[0]));
    says(&error, &["axis 2 (width)"]);
}

/// A stride of 0 (CVE-2021-29586, CVE-2025-2953).
#[test]
fn g02_stride_zero() {
    let error = refused(&layer(&[1, 16, 4, 4], &[2, 2]).stride(&[0, 1]));
    assert!(matches!(error, Error::ZeroStride { axis } if axis.index == 2), "{error:?}");
    says(&error, &["stride", "0", "axis 2 (height)"]);
    let error = refused(&layer(&[1, 16, 4, 4], &[2, 2]).stride(&[1, 0]).pad(Pad::SameUpper));
    assert!(matches!(error, Error::ZeroStride { axis } if axis.index == 3), "{error:?}");
}

/// A dilation of 0, even where the kernel has one tap.
#[test]
fn g03_dilation_zero() {
    for kernel in [1, 2] {
        let error = refused(&layer(&[1, 16, 4, 4], &[2, kernel]).dilation(&[1, 0]));
        assert!(matches!(error, Error::ZeroDilation { axis } if axis.index == 3), "{error:?}");
        says(&error, &["dilation", "0", "axis 3 (width)"]);
    }
}

/// Negative numbers cannot be given in Rust; cast to `usize` they are above `isize::MAX`, and that is refused, not wrapped
/// (CVE-2022-35941: `ksize = 1e20` arrived negative).
#[test]
fn g04_negative_values_arrive_huge() {
    for negative in [-1_isize, -576_936_867, isize::MIN] {
        let huge = negative as usize;
        let error = refused(&layer(&[1, 16, 4], &[huge]));
        assert!(matches!(error, Error::KernelTooLarge { .. } | Error::SizeOverflow { .. }), "{error:?}");
        let error = refused(&layer(&[1, 16, 4], &[2]).padding(&[huge]));
        assert!(matches!(error, Error::PadTooLarge { .. } | Error::SizeOverflow { .. }), "{error:?}");
        let error = refused(&layer(&[huge, 16, 4], &[2]));
        assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
        // A stride that leaves the input after the first window is one window.
        let plan = MaxPool::<f32>::new([2]).stride([huge]).plan(Layout::Nchw, [1, 1, 4]).expect("one window");
        assert_eq!(plan.run_vec(&[1.0, 3.0, 9.0, 9.0]), Ok(vec![3.0]));
    }
}

/// A model's file can hold them: its importer names the attribute, before anything is cast.
#[test]
fn g04_negative_numbers_of_a_model() {
    for (negative, text) in [(-1, "-1"), (-576_936_867, "-576936867"), (i64::MIN, "-9223372036854775808")] {
        let two: &[i64] = &[2, 2];
        let list = [2, negative];
        let pads = [0, 0, 0, negative];
        let attributes = Attributes { kernel_shape: two, ..Attributes::default() };
        let bad = [
            ("kernel_shape", Attributes { kernel_shape: &list, ..attributes }),
            ("strides", Attributes { strides: Some(&list), ..attributes }),
            ("dilations", Attributes { dilations: Some(&list), ..attributes }),
            ("pads", Attributes { pads: Some(&pads), ..attributes }),
        ];
        for (name, attributes) in bad {
            let error = onnx::max_pool::<f32>(&attributes, 22).expect_err("a negative number");
            let why = AttributeProblem::Number { got: negative, least: 0 };
            assert_eq!(error, Error::BadAttribute { attribute: name, why });
            says(&error, &[name, text]);
        }
    }
}

/// `k = 536870912, d = 1879048192`: the span fits 64 bits and is named; one that does not is an overflow.
#[test]
fn g05_dilation_overflow() {
    let error = refused(&layer(&[1, 16, 4, 4], &[536_870_912, 1]).dilation(&[1_879_048_192, 1]));
    if usize::BITS == 64 {
        let span = 536_870_911_u64 * 1_879_048_192 + 1;
        assert!(matches!(error, Error::KernelTooLarge { .. }), "{error:?}");
        says(&error, &["536870912", "1879048192", &span.to_string(), "axis 2 (height)"]);
    } else {
        assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
    }
    let half = 1 << (usize::BITS / 2);
    let error = refused(&layer(&[1, 16, 4, 4], &[half + 1, 1]).dilation(&[half, 1]));
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
    says(&error, &["window"]);
}

/// `k = d = 1250999896764`: their product wraps to something that passes a check made after it.
#[cfg(target_pointer_width = "64")]
#[test]
fn g06_dilation_wraps_to_something_small() {
    let error = refused(&layer(&[1, 16, 40, 40], &[1_250_999_896_764, 2]).dilation(&[1_250_999_896_764, 1]));
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
    // Any wrap at all: (k − 1)·d = 2^64 + 2, so that the span would be 3.
    let (kernel, dilation) = ((1 << 32) + 2, (1_usize << 32) - 1);
    let error = refused(&layer(&[1, 16, 4], &[kernel]).dilation(&[dilation + 2]));
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
}

/// `k = s = i64::MAX`: a division in 32 bits made one output of it.
#[test]
fn g07_kernel_and_stride_huge() {
    let error = refused(&layer(&[1, 16, 4, 4], &[2, HUGE]).stride(&[2, HUGE]));
    assert!(matches!(error, Error::KernelTooLarge { axis, .. } if axis.index == 3), "{error:?}");
    says(&error, &[&HUGE.to_string(), "4", "axis 3 (width)"]);
}

/// A dilation means nothing to one tap: it may be anything, and no counter steps by it.
#[test]
fn g08_dilation_of_one_tap_is_ignored() {
    let mut rng = Rng::named("g08");
    for dilation in [i32::MAX as usize, HUGE, usize::MAX] {
        for (_, op) in OPS {
            for (kernel, shape) in [([1, 1], [1, 2, 5, 9]), ([3, 1], [1, 2, 5, 9])] {
                let dilated = Layer::new(op, Layout::Nchw, &shape, &kernel).dilation(&[1, dilation]).stride(&[1, 2]);
                let plan = dilated.plan::<f32>(None).unwrap_or_else(|error| panic!("{dilated}: {error}"));
                let plain = dilated.clone().dilation(&[1, 1]).plan::<f32>(None).expect("a valid layer");
                let src = Fill::Edges.tensor::<f32>(plan.input_len(), &mut rng);
                let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                assert_eq!(plan.run_vec(&src).map(bits), plain.run_vec(&src).map(bits), "{dilated}");
            }
        }
    }
}

/// A dilation around and beyond the input's length, with padding: windows whose taps step over the whole input.
#[test]
fn g09_dilation_beyond_the_input() {
    let mut rng = Rng::named("g09");
    for n in 1..=9 {
        for dilation in [n - 1, n, n + 1, 3 * n] {
            for kernel in [2, 3] {
                for padding in [0, 1, dilation, dilation * (kernel - 1)] {
                    if dilation == 0 {
                        continue;
                    }
                    for (_, op) in OPS {
                        let layer = Layer::new(op, Layout::Nchw, &[1, 2, 3, n], &[1, kernel])
                            .dilation(&[1, dilation])
                            .padding(&[0, padding]);
                        check::<f32>(&layer, &Fill::Edges.tensor(layer.input_len(), &mut rng));
                        let along = Layer::new(op, Layout::Nchw, &[1, 2, n, 3], &[kernel, 1])
                            .dilation(&[dilation, 1])
                            .padding(&[padding, 0]);
                        check::<f32>(&along, &Fill::Edges.tensor(along.input_len(), &mut rng));
                    }
                }
            }
        }
    }
}

/// Padding as long as the window, so that a window could lie wholly in it; with `allow_empty_windows` it does, and gives the
/// identity.
#[test]
fn g10_padding_not_smaller_than_the_window() {
    let spoilt = layer(&[1, 16, 4, 4], &[2, 3]).padding(&[1, 3]);
    let error = refused(&spoilt);
    assert!(matches!(error, Error::PadTooLarge { axis, padding: 3, span: 3 } if axis.index == 3), "{error:?}");
    says(&error, &["padding 3", "window 3", "axis 3 (width)"]);
    let error = refused(&layer(&[1, 16, 4, 4], &[2, 3]).padding_unequal(&[0, 0], &[2, 0]));
    assert!(matches!(error, Error::PadTooLarge { axis, padding: 2, span: 2 } if axis.index == 2), "{error:?}");

    for (_, op) in OPS {
        let allowed = Layer { op, ..spoilt.clone() }.allow_empty();
        check::<f32>(&allowed, &Fill::Pattern.tensor(allowed.input_len(), &mut Rng::named("g10")));
    }
    let max = MaxPool::<f32>::new([1]).padding([1]).allow_empty_windows(true);
    assert_eq!(max.run_once(Layout::Nchw, [1, 1, 1], &[5.0]), Ok(vec![f32::NEG_INFINITY, 5.0, f32::NEG_INFINITY]));
}

/// Padding so long that its sum with the input wraps.
#[test]
fn g11_padding_wraps() {
    for padding in [usize::MAX, usize::MAX - 3, HUGE] {
        for spoilt in [
            layer(&[1, 16, 4, 4], &[2, 2]).padding(&[0, padding]),
            layer(&[1, 16, 4, 4], &[2, 2]).padding_unequal(&[0, padding], &[0, 0]),
            layer(&[1, 16, 4, 4], &[2, 2]).padding_unequal(&[0, 0], &[0, padding]),
            layer(&[1, 16, 4, 4], &[2, 2]).padding(&[0, padding]).allow_empty(),
            layer(&[1, 16, 4, 4], &[2, padding]).padding(&[0, padding - 1]),
        ] {
            let error = refused(&spoilt);
            assert!(matches!(error, Error::SizeOverflow { .. } | Error::PadTooLarge { .. }), "{spoilt}: {error:?}");
        }
    }
    let error = refused(&layer(&[1, 16, 4, 4], &[2, 2]).padding(&[0, usize::MAX]));
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
    says(&error, &["does not fit the address space"]);
}

/// A kernel larger than the padded input. `src 2, ker 3, stride 2` is accepted where a division of −1 by 2 gives 0.
#[test]
fn g12_kernel_larger_than_the_padded_input() {
    let error = refused(&layer(&[1, 16, 4, 2], &[3, 3]).stride(&[2, 2]));
    assert!(
        matches!(error, Error::KernelTooLarge { axis, kernel: 3, span: 3, dilation: 1, padded: 2 } if axis.index == 3),
        "{error:?}"
    );
    says(&error, &["window 3", "padded input 2", "axis 3 (width)"]);
    let error = refused(&layer(&[1, 16, 10, 8], &[7, 2]).dilation(&[2, 1]));
    assert!(matches!(error, Error::KernelTooLarge { axis, .. } if axis.index == 2), "{error:?}");
    says(&error, &["window 7", "13 with dilation 2", "padded input 10", "axis 2 (height)"]);
    // Ceil mode lets a window overhang by less than a stride, and not by a whole one.
    let ceil = layer(&[1, 16, 4, 2], &[3, 3]).ceil(true);
    assert_eq!(ceil.clone().stride(&[2, 2]).plan::<f32>(None).map(|plan| plan.output_shape()), Ok(vec![1, 16, 2, 1]));
    let error = refused(&ceil.stride(&[2, 1]));
    assert!(matches!(error, Error::KernelTooLarge { .. }), "{error:?}");
}

/// A stride longer than the kernel leaves gaps; one longer than the input leaves one window.
#[test]
fn g13_stride_longer_than_the_kernel() {
    let mut rng = Rng::named("g13");
    for stride in [2, 3, 7, 9, 10, 100, HUGE, usize::MAX] {
        for (_, op) in OPS {
            for kernel in [1, 2, 3] {
                for ceil in [false, true] {
                    let layer = Layer::new(op, Layout::Nchw, &[1, 2, 9, 9], &[kernel, kernel])
                        .stride(&[stride, stride])
                        .ceil(ceil);
                    check::<f32>(&layer, &Fill::Pattern.tensor(layer.input_len(), &mut rng));
                }
            }
        }
    }
}

/// Same padding with a window shorter than the stride would be negative: it is 0.
#[test]
fn g14_same_padding_is_never_negative() {
    for same in [Pad::SameUpper, Pad::SameLower] {
        for n in 1..=9 {
            for stride in 2..=5 {
                let layer =
                    Layer::new(Op::Avg, Layout::Nchw, &[1, 2, 3, n], &[1, 1]).stride(&[2, stride]).pad(same.clone());
                check::<f32>(&layer, &Fill::Pattern.tensor(layer.input_len(), &mut Rng::named("g14")));
            }
        }
    }
    let plan = MaxPool::<f32>::new([1]).stride([3]).same_upper().plan(Layout::Nchw, [1, 1, 7]).expect("a valid layer");
    assert_eq!(plan.run_vec(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Ok(vec![0.0, 3.0, 6.0]));
}

/// Same padding and explicit padding together, in either order; same padding and ceil mode; a global window that moves.
#[test]
fn g15_contradictions() {
    let pool = MaxPool::<f32>::new([2, 2]);
    for (spoilt, word) in [
        (pool.padding([1, 1]).same_upper(), "padding"),
        (pool.same_lower().padding([1, 1]), "padding"),
        (pool.same_upper().ceil_mode(true), "ceil"),
        (MaxPool::<f32>::global().stride([2, 2]), "global"),
        (MaxPool::<f32>::global().dilation([2, 2]), "global"),
        (MaxPool::<f32>::global().padding([1, 1]), "global"),
        (MaxPool::<f32>::global().same_upper(), "global"),
        (MaxPool::<f32>::global().ceil_mode(true), "global"),
    ] {
        let error = spoilt.plan(Layout::Nchw, [1, 1, 4, 4]).expect_err("a contradiction");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert_eq!(spoilt.output_shape([1, 1, 4, 4]), Err(error.clone()));
        says(&error, &[word]);
    }
    // What is said last of one kind holds.
    assert!(pool.padding([3, 3]).padding([1, 1]).plan(Layout::Nchw, [1, 1, 4, 4]).is_ok());
    assert!(pool.same_upper().same_lower().plan(Layout::Nchw, [1, 1, 4, 4]).is_ok());
}

/// 65536 × 65536 is 0 in 32 bits, and 65536 × 65537 is 65536: the number of taps is computed wider.
#[cfg(target_pointer_width = "64")]
#[test]
fn g16_taps_beyond_32_bits() {
    for (high, wide) in [(65_536, 65_536), (65_536, 65_537)] {
        let layer = Layer::new(Op::AvgPadded, Layout::Nchw, &[1, 1, 1, 1], &[high, wide])
            .padding(&[high - 1, wide - 1])
            .stride(&[1 << 20, 1 << 20]);
        let plan = layer.plan::<f32>(None).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let want = 3.0e12 / (high as u64 * wide as u64) as f32;
        assert_eq!(plan.run_vec(&[3.0e12]), Ok(vec![want]), "{layer}");
    }
    // Beyond 64 bits they cannot be counted, whether or not the operation counts them.
    for kernel in [[1 << 22; 3], [1 << 40, 1 << 40, 1], [1 << 32, 1 << 32, 1]] {
        let padding = kernel.map(|k| k - 1);
        let spoilt = layer(&[1, 1, 1, 1, 1], &kernel).padding(&padding).stride(&kernel);
        let error = refused(&spoilt);
        assert!(matches!(error, Error::SizeOverflow { .. }), "{error:?}");
        says(&error, &["taps"]);
    }
    // The most there can be: 2⁶² of them, one of which is valid.
    for (op, want) in
        [(Op::Max(crate::common::Nan::Propagate), 7.0), (Op::Sum, 7.0), (Op::Avg, 7.0), (Op::AvgBy(2), 3.5)]
    {
        let layer = Layer::new(op, Layout::Nchw, &[1, 1, 1, 1], &[1 << 31, 1 << 31]).padding(&[1 << 30; 2]);
        let plan = layer.stride(&[1 << 31; 2]).plan::<f32>(None);
        assert_eq!(plan.and_then(|plan| plan.run_vec(&[7.0])), Ok(vec![want]));
    }
}

/// Ceil mode: a last window that would begin in the padding is dropped, so that every window holds a real element.
#[test]
fn g17_ceil_mode_drops_windows_in_the_padding() {
    for n in 1..=12 {
        for kernel in 1..=5 {
            for stride in 1..=6 {
                for padding in 0..kernel {
                    let pool = MaxPool::<f32>::new([kernel]).stride([stride]).padding([padding]).ceil_mode(true);
                    let Ok(y) = pool.run_once(Layout::Nchw, [1, 1, n], &vec![1.0; n]) else { continue };
                    assert!(y.iter().all(|y| *y == 1.0), "{n} elements, kernel {kernel}/{stride}+{padding}: {y:?}");
                }
            }
        }
    }
    // Windows at −1, 1, 3 of 4 elements; the one at 5 would begin past them.
    let pool = MaxPool::<f32>::new([2]).stride([2]).padding([1]).ceil_mode(true);
    assert_eq!(pool.output_shape([1, 1, 4]), Ok(vec![1, 1, 3]));
}

/// Ceil mode counts in the window's extent, dilation included.
#[test]
fn g18_ceil_mode_with_dilation() {
    // Span 5 in 8: starts 0, 2 and, rounded up, 4, whose taps are 4, 6 and 8.
    let pool = SumPool::<f32>::new([3]).stride([2]).dilation([2]).ceil_mode(true);
    let x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 8], &x), Ok(vec![21.0, 84.0, 80.0]));
    assert_eq!(pool.ceil_mode(false).run_once(Layout::Nchw, [1, 1, 8], &x), Ok(vec![21.0, 84.0]));
}

/// The divisor that counts padding is cut at the declared padding: what ceil mode adds beyond it never counts.
#[test]
fn g19_divisor_at_the_ragged_edge() {
    let pool = AvgPool::<f32>::new([3]).stride([2]).padding([1]).ceil_mode(true).count_include_pad(true);
    // Windows −1..2, 1..4, 3..6; the declared extent is −1..5, so the last divides by 2.
    let y = pool.run_once(Layout::Nchw, [1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(y, Ok(vec![1.0, 3.0, 2.0]));
    let exclude = pool.count_include_pad(false).run_once(Layout::Nchw, [1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(exclude, Ok(vec![1.5, 3.0, 4.0]));
}

/// A divisor of 0 is an error; any other wins over both ways of counting.
#[test]
fn g20_divisor_override() {
    let pool = AvgPool::<f32>::new([2]).padding([1]);
    let error = pool.divisor(0).plan(Layout::Nchw, [1, 1, 3]).expect_err("a divisor of 0");
    assert_eq!(error, Error::BadDivisor);
    says(&error, &["divisor", "0"]);
    for include in [false, true] {
        let pool = pool.count_include_pad(include).divisor(4);
        assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3], &[4.0, 8.0, 12.0]), Ok(vec![1.0, 3.0, 5.0, 3.0]));
        let pool = pool.divisor(usize::MAX).divisor(4).count_include_pad(include);
        assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3], &[4.0, 8.0, 12.0]), Ok(vec![1.0, 3.0, 5.0, 3.0]));
    }
    let pool = pool.divisor(usize::MAX);
    let want = [4.0, 12.0, 8.0].map(|sum| sum / usize::MAX as f32);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 2], &[4.0, 8.0]), Ok(want.to_vec()));
}

/// Padding that differs between the two ends. Negative padding cannot be written in Rust.
#[test]
fn g21_unequal_padding() {
    let x = [1.0, 2.0, 3.0];
    let pool = SumPool::<f32>::new([2]);
    assert_eq!(pool.padding_unequal([1], [0]).run_once(Layout::Nchw, [1, 1, 3], &x), Ok(vec![1.0, 3.0, 5.0]));
    assert_eq!(pool.padding_unequal([0], [1]).run_once(Layout::Nchw, [1, 1, 3], &x), Ok(vec![3.0, 5.0, 3.0]));
}

/// Kernel, stride, dilation, padding and shape must have the same number of axes; a list without a number has none.
#[test]
fn g22_ranks_differ() {
    let shape = [1, 16, 8, 8];
    let pool = MaxPool::<f32>::new([2, 2]);
    let (none, one, three): (&[usize], &[usize], &[usize]) = (&[], &[1], &[1, 1, 1]);
    for wrong in [none, one, three, &[1; 4], &[1; 9]] {
        for (spoilt, what) in [
            (MaxPool::<f32>::new(wrong), "kernel"),
            (pool.stride(wrong), "stride"),
            (pool.dilation(wrong), "dilation"),
            (pool.padding(wrong), "padding"),
            (pool.padding_unequal(wrong, [0, 0]), "padding"),
            (pool.padding_unequal([0, 0], wrong), "padding"),
        ] {
            let error = spoilt.plan(Layout::Nchw, shape).expect_err("a wrong number of axes");
            let Error::Rank { what: named, got, need } = error else { panic!("{what} of {wrong:?}: {error:?}") };
            assert_eq!((named, got, need), (what, wrong.len(), 2));
            says(&error, &[what, &wrong.len().to_string(), "2"]);
            assert_eq!(spoilt.output_shape(shape), Err(error));
        }
    }
}

/// Shapes without a spatial axis, without channels, without anything, or with too many axes.
#[test]
fn g23_shapes_of_the_wrong_rank() {
    for shape in [&[][..], &[3], &[1, 3], &[1, 1, 4, 4, 4, 4], &[1; 9]] {
        for pool in [MaxPool::<f32>::new(vec![2; shape.len().saturating_sub(2)]), MaxPool::<f32>::global()] {
            let error = pool.plan(Layout::Nchw, shape).expect_err("a shape of the wrong rank");
            assert!(
                matches!(error, Error::Rank { what: "shape", got, .. } if got == shape.len()),
                "{shape:?}: {error:?}"
            );
            says(&error, &["shape", &shape.len().to_string(), "1 to 3"]);
        }
    }
}
