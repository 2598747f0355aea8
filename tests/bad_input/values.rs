//! V: NaN, zeros of both signs, infinities, subnormals, sums that overflow.

use lanepool::{
    AdaptiveAvgPool, Any, AvgBackward, AvgPool, DType, Error, IndexKind, Layout, MaxPool, MaxUnpool, MinPool,
    NanPolicy, Rounding, SumPool,
};

use crate::common::layer::{LAYOUTS, OPS};
use crate::common::{Layer, Nan, Op, Sample, check, tiers};
use crate::says;

const NAN: u32 = 0x7fc0_0000;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Runs a layer on every tier and returns the bits, which must agree.
fn on_every_tier(layer: &Layer, src: &[f32]) -> Vec<u32> {
    let mut all = None;
    for tier in tiers::available() {
        let plan = layer.plan::<f32>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let got = bits(&plan.run_vec(src).unwrap_or_else(|error| panic!("{plan}: {error}")));
        assert_eq!(*all.get_or_insert_with(|| got.clone()), got, "{layer} on {tier}");
    }
    all.unwrap_or_default()
}

/// Layers with one window of so many taps for each channel, by every driver that gives one.
fn layers_of_one_mean(taps: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for op in [Op::Avg, Op::AvgAway] {
        layers.push(Layer::global(op, Layout::Nchw, &[1, 2, taps]));
        layers.push(Layer::global(op, Layout::Nhwc, &[1, 9, taps]));
        layers.push(Layer::new(op, Layout::Nchw, &[1, 1, taps + 2], &[taps]));
        layers.push(Layer::new(op, Layout::Nhwc, &[1, 9, taps], &[taps]));
    }
    layers
}

/// A NaN at each position of a window, in each channel, at each length of row. Other engines lose the valid maximum of
/// such a window, or the NaN, depending on where it is.
#[test]
fn v01_nan_at_every_position() {
    for (_, layout) in LAYOUTS {
        for outputs in 1..=9 {
            let channels = if let Layout::Blocked(block) = layout { block } else { 3 };
            for (_, op) in OPS {
                let layer = Layer::new(op, layout, &[1, channels, 3, 3 * outputs], &[3, 3]).stride(&[3, 3]);
                let len = layer.input_len();
                for at in 0..len {
                    // Every position for one of the lengths, and a third of them for the others.
                    if outputs != 5 && at % 3 != outputs % 3 {
                        continue;
                    }
                    let mut src: Vec<f32> = (0..len).map(f32::pattern).collect();
                    src[at] = f32::NAN;
                    check::<f32>(&layer, &src);
                }
            }
        }
    }
}

/// The result's NaN is canonical, whatever sign and payload the input's has.
#[test]
fn v02_nan_payload_and_sign() {
    for nan in [0x7fc0_0001_u32, 0xffc0_0000, 0x7fff_ffff, 0xffff_ffff, 0xffc0_1234] {
        for (name, op) in OPS {
            for (_, layout) in LAYOUTS {
                let src = vec![f32::from_bits(nan); 2 * 16 * 6];
                let layer = Layer::new(op, layout, &[1, 16, 2, 6], &[2, 2]).stride(&[2, 2]);
                assert!(on_every_tier(&layer, &src).iter().all(|bits| *bits == NAN), "{name} of {nan:#x}");
                // One tap is never compared with anything, and one window of one tap is never added.
                let layer = Layer::new(op, layout, &[1, 16, 2, 6], &[1, 1]);
                assert!(on_every_tier(&layer, &src).iter().all(|bits| *bits == NAN), "{name} of {nan:#x}, one tap");
                let layer = Layer::global(op, layout, &[1, 16, 2, 6]);
                assert!(on_every_tier(&layer, &src).iter().all(|bits| *bits == NAN), "{name} of {nan:#x}, global");
            }
        }
    }
}

/// A signalling NaN becomes the canonical quiet one.
#[test]
fn v03_signalling_nan() {
    for nan in [0x7f80_0001_u32, 0xff80_0001, 0x7fbf_ffff, 0xffbf_ffff] {
        for (name, op) in OPS {
            for kernel in [1, 2, 3] {
                let src = vec![f32::from_bits(nan); 36];
                let layer = Layer::new(op, Layout::Nchw, &[1, 1, 6, 6], &[kernel, kernel]);
                assert!(on_every_tier(&layer, &src).iter().all(|bits| *bits == NAN), "{name} of {nan:#x}");
            }
        }
    }
    // Ignored, it leaves the numbers.
    let snan = f32::from_bits(0x7f80_0001);
    let pool = MaxPool::<f32>::new([2]).stride([2]).nan(NanPolicy::Ignore);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 4], &[snan, -5.0, -7.0, snan]), Ok(vec![-5.0, -7.0]));
}

/// A window of −inf gives −inf, not the lowest finite number; likewise +inf for the minimum.
#[test]
fn v04_infinite_windows() {
    for (nan, infinity) in [(Nan::Propagate, f32::INFINITY), (Nan::Ignore, f32::INFINITY)] {
        for (op, infinity) in [(Op::Max(nan), -infinity), (Op::Min(nan), infinity)] {
            for kernel in [1, 2, 3, 7] {
                let layer = Layer::new(op, Layout::Nchw, &[1, 1, 9, 9], &[kernel, kernel]).stride(&[2, 2]);
                let layer = layer.padding(&[kernel / 2, kernel / 2]);
                let got = on_every_tier(&layer, &[infinity; 81]);
                assert!(got.iter().all(|bits| *bits == infinity.to_bits()), "{layer}");
            }
        }
    }
}

/// "A zero maximum is +0, whatever the signs of the zeros in the window", in either order.
#[test]
fn v05_zeros_of_both_signs() {
    for zeros in [[-0.0, -0.0], [-0.0, 0.0], [0.0, -0.0], [0.0, 0.0]] {
        for op in [Op::Max(Nan::Propagate), Op::Max(Nan::Ignore), Op::Min(Nan::Propagate), Op::Min(Nan::Ignore)] {
            for (_, layout) in LAYOUTS {
                let src: Vec<f32> = (0..2 * 16 * 20).map(|i| zeros[i % 20 % 2]).collect();
                for kernel in [1, 2, 3] {
                    let layer = Layer::new(op, layout, &[1, 16, 2, 20], &[1, kernel]);
                    assert!(on_every_tier(&layer, &src).iter().all(|bits| *bits == 0), "{layer} of {zeros:?}");
                }
            }
        }
    }
}

/// +inf and −inf in one average are a NaN, the canonical one.
#[test]
fn v06_infinities_of_both_signs() {
    let (inf, avg) = (f32::INFINITY, AvgPool::<f32>::new([2]).stride([2]));
    let y = avg.run_once(Layout::Nchw, [1, 1, 6], &[inf, -inf, -inf, inf, inf, 1.0]).expect("a valid run");
    assert_eq!(bits(&y), [NAN, NAN, inf.to_bits()]);
    for op in [Op::Avg, Op::Sum, Op::AvgBy(3)] {
        let src: Vec<f32> = (0..64 * 5).map(|i| if i % 3 == 0 { inf } else { -inf }).collect();
        let layer = Layer::global(op, Layout::Nchw, &[1, 5, 64]);
        assert_eq!(on_every_tier(&layer, &src), [NAN; 5]);
    }
}

/// Subnormals are numbers: maxima, sums and quotients of them are exact or correctly rounded.
#[test]
fn v07_subnormals() {
    let tiny = f32::from_bits(1);
    let max = MaxPool::<f32>::new([2]).stride([2]);
    assert_eq!(max.run_once(Layout::Nchw, [1, 1, 4], &[tiny, 0.0, -tiny, -0.0]).map(|y| bits(&y)), Ok(vec![1, 0]));
    let sum = SumPool::<f32>::new([2]).stride([2]);
    assert_eq!(sum.run_once(Layout::Nchw, [1, 1, 4], &[tiny, tiny, -tiny, tiny]).map(|y| bits(&y)), Ok(vec![2, 0]));
    // 3/2 units round to the even 2, 1/2 to 0, with a divisor that is a power of two and with one that is not.
    let avg = AvgPool::<f32>::new([1]);
    let three = f32::from_bits(3);
    assert_eq!(avg.divisor(2).run_once(Layout::Nchw, [1, 1, 2], &[three, tiny]).map(|y| bits(&y)), Ok(vec![2, 0]));
    let nine = f32::from_bits(9);
    assert_eq!(avg.divisor(6).run_once(Layout::Nchw, [1, 1, 2], &[nine, three]).map(|y| bits(&y)), Ok(vec![2, 0]));
}

/// A sum beyond the largest float is infinite although the mean would be finite: sums are plain sums in the accumulator's
/// type.
#[test]
fn v10_sums_overflow_to_infinity() {
    let avg = AvgPool::<f32>::new([3, 3]);
    assert_eq!(avg.run_once(Layout::Nchw, [1, 1, 3, 4], &[f32::MAX; 12]), Ok(vec![f32::INFINITY; 2]));
    assert_eq!(avg.run_once(Layout::Nchw, [1, 1, 3, 4], &[f32::MAX / 16.0; 12]).map(|y| y[0].is_finite()), Ok(true));
}

/// Means of 16-bit floats are summed in 32 bits: a sum beyond the largest `f16` does not overflow, and one that has grown
/// large still takes small addends. A sum that is asked for as such is rounded once, to infinity if it must be.
#[test]
fn v11_sums_of_16_bit_floats() {
    let (large, one) = (half::f16::from_f32(60000.0), half::f16::ONE);
    for layer in layers_of_one_mean(64) {
        check::<half::f16>(&layer, &vec![large; layer.input_len()]);
        let plan = layer.plan::<half::f16>(None).expect("a valid layer");
        let mean = plan.run_vec(&vec![large; plan.input_len()]).expect("a valid run");
        assert!(mean.iter().all(|mean| *mean == large), "{layer} gives {mean:?}");
    }
    // In f16 the sum would stall at 2048, in bf16 at 256.
    let layer = Layer::global(Op::Avg, Layout::Nhwc, &[1, 3, 64, 64]);
    let plan = layer.plan::<half::f16>(None).expect("a valid layer");
    assert_eq!(plan.run_vec(&[one; 3 * 64 * 64]), Ok(vec![one; 3]));
    let plan = layer.plan::<half::bf16>(None).expect("a valid layer");
    assert_eq!(plan.run_vec(&[half::bf16::ONE; 3 * 64 * 64]), Ok(vec![half::bf16::ONE; 3]));
    let sum = SumPool::<half::f16>::new([2]).stride([2]);
    let got = sum.run_once(Layout::Nchw, [1, 1, 4], &[large, large, large, one]).expect("a valid run");
    assert_eq!(got, [half::f16::INFINITY, half::f16::from_f32(60001.0)]);
}

/// A gradient that many windows add to is a sum like any other: of 16-bit floats in 32 bits, and in blocks, so that it stalls in no
/// type. `contract/chains` has as many windows as an `f32` would stall at.
#[test]
fn v19_gradients_of_many_windows() {
    for (_, layout) in LAYOUTS {
        let shape = [1, 16, 1, 1];
        let half = AvgBackward::<half::f16>::adaptive([64, 64], layout, shape).expect("a valid layer");
        let (ones, mut got) = (vec![half::f16::ONE; 16 * 64 * 64], [half::f16::ZERO; 16]);
        assert_eq!(half.run(&ones, &mut got), Ok(()));
        assert_eq!(got, [half::f16::from_f32(4096.0); 16], "{layout}");
        let brain = SumPool::<half::bf16>::new([64, 64]).padding([63, 63]).backward(layout, shape);
        let (ones, mut got) = (vec![half::bf16::ONE; 16 * 64 * 64], [half::bf16::ZERO; 16]);
        assert_eq!(brain.and_then(|brain| brain.run(&ones, &mut got)), Ok(()));
        assert_eq!(got, [half::bf16::from_f32(4096.0); 16], "{layout}");
    }
}

/// Bytes are summed exactly, whatever the number of taps: also those that no 16-bit sum holds.
#[test]
fn v12_sums_of_bytes() {
    for taps in [1, 2, 126, 127, 128, 129, 256, 257, 258, 4096, 70_000] {
        for layer in layers_of_one_mean(taps) {
            for value in [i8::MIN, -1, i8::MAX] {
                check::<i8>(&layer, &vec![value; layer.input_len()]);
            }
            for value in [1, u8::MAX] {
                check::<u8>(&layer, &vec![value; layer.input_len()]);
            }
        }
    }
}

/// Longer integers are too, and a layer whose sums no 64 bits hold is refused.
#[test]
fn v13_sums_of_longer_integers() {
    for taps in [1, 2, 3, 255, 256, 257, 32_768, 32_769, 70_000] {
        for layer in layers_of_one_mean(taps) {
            for value in [i16::MIN, -1, i16::MAX] {
                check::<i16>(&layer, &vec![value; layer.input_len()]);
            }
            check::<u16>(&layer, &vec![u16::MAX; layer.input_len()]);
            for value in [i32::MIN, -1, i32::MAX] {
                check::<i32>(&layer, &vec![value; layer.input_len()]);
            }
            check::<u32>(&layer, &vec![u32::MAX; layer.input_len()]);
        }
    }
    if usize::BITS == 32 {
        // No tensor has so many.
        return;
    }
    let taps = 1 << 31;
    for tier in tiers::available() {
        let fits = Layer::global(Op::Avg, Layout::Nchw, &[1, 1, taps - 1]);
        assert!(fits.plan::<i32>(Some(tier)).is_ok(), "{fits}");
        for op in [Op::Avg, Op::AvgAway, Op::Sum] {
            let layer = Layer::global(op, Layout::Nchw, &[1, 1, taps]);
            let error = layer.plan::<i32>(Some(tier)).expect_err("sums of 2^62");
            assert_eq!(error, Error::SumOverflow { element: "i32", taps, bits: 64 }, "{layer}");
            says(&error, &["sum", "i32", "2147483648", "64 bits"]);
        }
        // An extreme has no sum.
        let layer = Layer::global(Op::Max(Nan::Propagate), Layout::Nchw, &[1, 1, taps]);
        assert!(layer.plan::<i32>(Some(tier)).is_ok(), "{layer}");
    }
}

/// 64 bits do not hold the sums of integers of 64 bits: each entry says so, in one sentence, whatever the window. Extremes
/// are theirs at their ends, where a lane of `f64` or of the other sign would have another order.
#[test]
fn sums_of_64_bits_are_refused() {
    let sentence = "i64 and u64 have maxima and minima, but no sums or averages, which could leave 64 bits: convert them to \
                    i32, u32 or f64";
    fn refusals<T: Sample>() -> Vec<Result<(), Error>> {
        let (layout, shape, strides) = (Layout::Nchw, [1, 1, 4], [4, 4, 1]);
        let (avg, sum) = (AvgPool::<T>::new([2]), SumPool::<T>::new([2]));
        let (any_avg, any_sum) = (AvgPool::<Any>::global(), SumPool::<Any>::new([1]));
        vec![
            avg.plan(layout, shape).map(drop),
            avg.divisor(1).plan(Layout::Nhwc, [0, 1, 4]).map(drop),
            avg.plan_strided(layout, shape, strides, [3, 3, 1]).map(drop),
            avg.rounding(Rounding::HalfAwayFromZero).run_once(layout, shape, &[T::from_bits(1); 4]).map(drop),
            sum.plan(layout, shape).map(drop),
            any_avg.plan_as(T::DTYPE, layout, shape).map(drop),
            any_sum.plan_as(T::DTYPE, layout, shape).map(drop),
            // Windows that are all equal, and windows that are not.
            AdaptiveAvgPool::<T>::new([2]).plan(layout, shape).map(drop),
            AdaptiveAvgPool::<T>::new([3]).plan(layout, shape).map(drop),
        ]
    }
    for refusal in refusals::<i64>().into_iter().chain(refusals::<u64>()) {
        let error = refusal.expect_err("a sum of 64 bits");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert_eq!(error.to_string(), sentence);
    }
    for dtype in DType::ALL {
        let is_summed = SumPool::<Any>::new([1]).plan_as(*dtype, Layout::Nchw, [1, 1, 4]).is_ok();
        assert_eq!(is_summed, !matches!(dtype, DType::I64 | DType::U64), "{dtype}");
        assert_eq!(dtype.has_sums(), is_summed, "{dtype}");
    }

    for tier in tiers::available() {
        let shape = [1, 1, 6];
        let src = [i64::MIN, -1, i64::MAX - 1, i64::MAX, 1 << 53, (1 << 53) + 1];
        let max = MaxPool::<i64>::new([2]).stride([2]).tier(tier);
        let found = max.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, shape).and_then(|plan| plan.run_vec(&src));
        assert_eq!(found, Ok((vec![-1, i64::MAX, (1 << 53) + 1], vec![1, 3, 5])), "{tier}");
        let src = src.map(|x| x as u64);
        let min = MinPool::<u64>::new([2]).stride([2]).tier(tier);
        let found = min.plan_indexed::<i64>(IndexKind::Plane, Layout::Nchw, shape).and_then(|plan| plan.run_vec(&src));
        assert_eq!(found, Ok((vec![1 << 63, u64::MAX / 2 - 1, 1 << 53], vec![0, 2, 4])), "{tier}");
    }
    let back = MaxUnpool::<u64>::to([3]).plan::<i64>(Layout::Nchw, [1, 1, 1]).expect("a valid layer");
    let mut dst = [7; 3];
    assert_eq!(back.run(&[u64::MAX], &[1], &mut dst), Ok(()));
    assert_eq!(dst, [0, u64::MAX, 0]);
}

/// Every sum of two and of three small numbers, by either rounding: ties and negative means.
#[test]
fn v14_ties_and_negative_means() {
    for op in [Op::Avg, Op::AvgAway, Op::AvgBy(2), Op::AvgBy(7), Op::AvgBy(8)] {
        for taps in [2, 3, 4] {
            let layer = Layer::new(op, Layout::Nchw, &[1, 1, 21 * taps], &[taps]).stride(&[taps]);
            for shift in -2..=2 {
                let window = |i: usize| (i / taps) as i8 - 10;
                let bytes: Vec<i8> = (0..layer.input_len()).map(|i| window(i) + shift * (i % 2) as i8).collect();
                check::<i8>(&layer, &bytes);
                check::<i16>(&layer, &bytes.iter().map(|x| i16::from(*x)).collect::<Vec<_>>());
                check::<i32>(&layer, &bytes.iter().map(|x| i32::from(*x)).collect::<Vec<_>>());
                check::<u8>(&layer, &bytes.iter().map(|x| x.unsigned_abs()).collect::<Vec<_>>());
            }
        }
    }
    // −2.5, −1.5, −0.5, 0.5, 1.5, 2.5.
    let src: [i8; 12] = [-3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3];
    let avg = AvgPool::<i8>::new([2]).stride([2]);
    assert_eq!(avg.run_once(Layout::Nchw, [1, 1, 12], &src), Ok(vec![-2, -2, 0, 0, 2, 2]));
    let away = avg.rounding(Rounding::HalfAwayFromZero);
    assert_eq!(away.run_once(Layout::Nchw, [1, 1, 12], &src), Ok(vec![-3, -2, -1, 1, 2, 3]));
}

/// Sums are divided, not addends: four ones are a mean of 1, and the mean of 127 and 126 is not their halves' sum.
#[test]
fn v15_division_after_addition() {
    let avg = AvgPool::<i8>::new([4]).stride([4]);
    assert_eq!(avg.run_once(Layout::Nchw, [1, 1, 8], &[1, 1, 1, 1, 127, 127, 126, 126]), Ok(vec![1, 126]));
    let avg = AvgPool::<i32>::new([3]);
    assert_eq!(avg.run_once(Layout::Nchw, [1, 1, 3], &[i32::MAX, i32::MAX, i32::MAX - 1]), Ok(vec![i32::MAX]));
}

/// Padding never takes part: a maximum below every padding value that other engines use is still itself.
#[test]
fn v16_padding_takes_no_part() {
    for value in [f32::NEG_INFINITY, f32::MIN, -1.0e30, -1.0] {
        for kernel in [2, 3, 5, 9] {
            let max = Op::Max(Nan::Propagate);
            let layer =
                Layer::new(max, Layout::Nchw, &[1, 1, 9, 9], &[kernel, kernel]).padding(&[kernel - 1, kernel - 1]);
            assert!(on_every_tier(&layer, &[value; 81]).iter().all(|bits| *bits == value.to_bits()), "{layer}");
            let layer = Layer { op: Op::Min(Nan::Ignore), ..layer };
            assert!(on_every_tier(&layer, &[-value; 81]).iter().all(|bits| *bits == (-value).to_bits()), "{layer}");
            let layer = Layer { op: Op::Avg, ..layer };
            assert!(on_every_tier(&layer, &[-1.5; 81]).iter().all(|bits| *bits == (-1.5_f32).to_bits()), "{layer}");
        }
    }
}

/// A window without a valid tap: the identity of a maximum or minimum, 0 for an average and a sum, never 0/0.
#[test]
fn v17_windows_without_a_tap() {
    let x = [f32::NAN, 5.0];
    let wide = |op| Layer::new(op, Layout::Nchw, &[1, 1, 2], &[1]).padding(&[2]).allow_empty();
    let inf = f32::INFINITY;
    for (op, empty, nan) in [
        (Op::Max(Nan::Propagate), -inf, f32::NAN),
        (Op::Max(Nan::Ignore), -inf, f32::NAN),
        (Op::Min(Nan::Propagate), inf, f32::NAN),
        (Op::Min(Nan::Ignore), inf, f32::NAN),
        (Op::Avg, 0.0, f32::NAN),
        (Op::AvgPadded, 0.0, f32::NAN),
        (Op::Sum, 0.0, f32::NAN),
        (Op::AvgBy(1), 0.0, f32::NAN),
    ] {
        assert_eq!(on_every_tier(&wide(op), &x), bits(&[empty, empty, nan, 5.0, empty, empty]), "{op:?}");
    }
    let min = MinPool::<f32>::new([1]).padding([1]).allow_empty_windows(true);
    assert_eq!(min.run_once(Layout::Nhwc, [1, 1, 1], &[3.0]), Ok(vec![inf, 3.0, inf]));
}
