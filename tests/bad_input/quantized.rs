//! Q: scales and zero points. And the p of a norm.

use lanepool::{
    Any, DType, Element, Error, Layout, LpPool, Plan, Quantization, QuantizedAvgPool, QuantizedMaxPool, Result,
};

use crate::says;

/// A plan of every quantised operation, for elements `T`; they must agree.
fn plan<T: Element>(input: Quantization, output: Quantization) -> Result<Plan<T>> {
    let shape = [1, 2, 4];
    let average = QuantizedAvgPool::<T>::new([2]).quantization(input, output).plan(Layout::Nchw, shape);
    let global = QuantizedAvgPool::<T>::global().quantization(input, output).plan(Layout::Nhwc, shape);
    let max = QuantizedMaxPool::<T>::new([2]).quantization(input, output).plan(Layout::Nchw, shape);
    // As sentences: a scale of NaN is not equal to itself.
    let sentence = |plan: &Result<Plan<T>>| plan.as_ref().err().map(ToString::to_string);
    assert_eq!(sentence(&average), sentence(&global));
    assert_eq!(sentence(&average), sentence(&max));
    average
}

/// A scale that a division or a logarithm would choke on, on either side.
#[test]
fn q01_scales_that_are_not_positive_and_normal() {
    let good = Quantization::new(0.5, 3);
    let subnormal = f32::MIN_POSITIVE / 2.0;
    for bad in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, subnormal, -subnormal] {
        for (side, input, output) in
            [("input", Quantization::new(bad, 3), good), ("output", good, Quantization::new(bad, 3))]
        {
            let error = plan::<u8>(input, output).expect_err("a bad scale");
            let Error::BadScale { what, scale } = &error else { panic!("{error:?}") };
            assert_eq!((*what, scale.to_bits()), (side, bad.to_bits()));
            says(&error, &[side, &bad.to_string()]);
        }
    }
    // The least and the largest that there are.
    for scale in [f32::MIN_POSITIVE, f32::MAX] {
        let same = Quantization::new(scale, 3);
        assert!(plan::<u8>(same, same).is_ok(), "{scale}");
    }
}

#[test]
fn q02_zero_points_out_of_range() {
    let at = |zero_point| Quantization::new(1.0, zero_point);
    for zero_point in [i32::MIN, -1, 256, i32::MAX] {
        let error = plan::<u8>(at(zero_point), at(0)).expect_err("a zero point that is no u8");
        assert_eq!(error, Error::BadZeroPoint { what: "input", zero_point, lowest: 0, highest: 255 });
        says(&error, &["input", &zero_point.to_string(), "0", "255"]);
    }
    for zero_point in [i32::MIN, -129, 128, 255, i32::MAX] {
        let error = plan::<i8>(at(0), at(zero_point)).expect_err("a zero point that is no i8");
        assert_eq!(error, Error::BadZeroPoint { what: "output", zero_point, lowest: -128, highest: 127 });
        says(&error, &["output", &zero_point.to_string(), "-128", "127"]);
    }
    assert!(plan::<u8>(at(255), at(0)).is_ok() && plan::<i8>(at(-128), at(127)).is_ok());
    // 16 bits are symmetric.
    for zero_point in [i32::MIN, -1, 1, 32_767] {
        let error = plan::<i16>(at(0), at(zero_point)).expect_err("a zero point of 16 bits");
        assert_eq!(error, Error::BadZeroPoint { what: "output", zero_point, lowest: 0, highest: 0 });
    }
}

/// Two scales, each fine, whose ratio is infinite or loses its digits; and ratios just inside, which saturate.
#[test]
fn q03_ratios_that_overflow() {
    let (least, most) = (f32::MIN_POSITIVE, f32::MAX);
    for (input, output) in [(most, least), (least, most), (least, 2.0), (1.0, most)] {
        let error = plan::<i8>(Quantization::new(input, 0), Quantization::new(output, 0)).expect_err("a bad ratio");
        assert_eq!(error, Error::BadScaleRatio { input, output });
        says(&error, &[&input.to_string(), &output.to_string()]);
    }
    for (input, output, want) in [(most, 1.0, [-128, 127]), (1.0, most / 8.0, [5, 5]), (1.0, least * 4.0, [-128, 127])]
    {
        let pool = QuantizedAvgPool::<i8>::new([2])
            .stride([2])
            .quantization(Quantization::new(input, 0), Quantization::new(output, 5));
        assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 4], &[-1, -1, 1, 1]), Ok(want.to_vec()));
        let max = QuantizedMaxPool::<i8>::new([2])
            .stride([2])
            .quantization(Quantization::new(input, 0), Quantization::new(output, 5));
        assert_eq!(max.run_once(Layout::Nchw, [1, 1, 4], &[-1, -1, 1, 1]), Ok(want.to_vec()));
    }
}

/// 16 bits are pooled as they are stored, so that another scale would be another number.
#[test]
fn q03_scales_of_16_bits_that_differ() {
    let at = |scale| Quantization::new(scale, 0);
    for (input, output) in [(0.5, 0.25), (1.0, 1.0 + f32::EPSILON), (f32::MIN_POSITIVE, f32::MAX)] {
        let error = plan::<i16>(at(input), at(output)).expect_err("two scales of 16 bits");
        assert_eq!(error, Error::ScalesDiffer { input, output });
        says(&error, &[&input.to_string(), &output.to_string(), "16 bits"]);
    }
    assert!(plan::<i16>(at(3.1e-5), at(3.1e-5)).is_ok());
    assert!(matches!(plan::<i16>(at(f32::NAN), at(f32::NAN)), Err(Error::BadScale { what: "input", .. })));
}

/// A range is two scalars by its type: there is no tensor whose rank could be wrong.
#[test]
fn q04_ranges_are_scalars() {
    let _: fn(f32, i32) -> Quantization = Quantization::new;
    // Left out, bytes stand for themselves.
    let pool = QuantizedAvgPool::<u8>::new([2]);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3], &[1, 2, 255]), Ok(vec![2, 128]));
}

/// Quantised elements are bytes or 16 bits, norms are floats: everything else says so.
#[test]
fn operations_of_other_elements_are_refused() {
    for &dtype in DType::ALL {
        let shape = [1, 1, 4];
        let quantized = matches!(dtype, DType::U8 | DType::I8 | DType::I16);
        let average = QuantizedAvgPool::<Any>::new([2]).plan_as(dtype, Layout::Nchw, shape);
        let max = QuantizedMaxPool::<Any>::new([2]).plan_as(dtype, Layout::Nchw, shape);
        let norms = [1.0, 2.0, 3.0, f64::INFINITY]
            .map(|p| LpPool::<Any>::new([2]).p(p).plan_as(dtype, Layout::Nchw, shape).map(drop));
        for (is_fine, result) in [(quantized, average.map(drop)), (quantized, max.map(drop))]
            .into_iter()
            .chain(norms.map(|norm| (!dtype.is_integer(), norm)))
        {
            assert_eq!(result.is_ok(), is_fine, "{dtype}: {result:?}");
            assert!(is_fine || matches!(result, Err(Error::Unsupported { .. })), "{dtype}: {result:?}");
        }
    }
}

#[test]
fn norms_of_nothing() {
    for bad in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN, -f64::MIN_POSITIVE] {
        let error = LpPool::<f32>::new([2]).p(bad).plan(Layout::Nchw, [1, 1, 4]).expect_err("a bad p");
        let Error::BadNorm { p } = &error else { panic!("{error:?}") };
        assert_eq!(p.to_bits(), bad.to_bits());
        says(&error, &[&bad.to_string()]);
    }
    // The least p there is: every number but 0 to its power is 1, and two of them have an infinite root.
    let least = LpPool::<f32>::new([2]).p(f64::from_bits(1));
    assert_eq!(least.run_once(Layout::Nchw, [1, 1, 4], &[0.0, 0.0, 0.0, 7.0]), Ok(vec![0.0, 0.0, 1.0]));
    assert_eq!(least.run_once(Layout::Nchw, [1, 1, 2], &[5.0, 7.0]), Ok(vec![f32::INFINITY]));
}

/// Sums of 32 bits hold 8 421 504 taps of 255, and no more.
#[test]
fn windows_too_large_for_their_sums() {
    for taps in [8_421_504, 8_421_505] {
        let plan = QuantizedAvgPool::<i8>::global().plan(Layout::Nchw, [1, 1, taps]);
        match plan {
            Ok(_) => assert_eq!(taps, 8_421_504),
            Err(error) => {
                assert_eq!(taps, 8_421_505);
                assert_eq!(error, Error::SumOverflow { element: "i8", taps, bits: 32 });
                says(&error, &["8421505", "i8", "32 bits"]);
            }
        }
    }
}
