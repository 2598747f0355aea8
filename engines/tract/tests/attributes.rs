//! Random windows of every attribute that tract has, against tract's own operators.

use lanepool_tract::replace_pooling;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

/// A model of one operator.
fn model(element: DatumType, shape: &[TDim], op: impl Into<Box<dyn TypedOp>>) -> TractResult<TypedModel> {
    let mut model = TypedModel::default();
    let source = model.add_source("input", element.fact(shape))?;
    let outputs = model.wire_node("pool", op, &[source])?;
    model.select_output_outlets(&outputs)?;
    Ok(model)
}

fn run(model: TypedModel, input: &Tensor) -> TractResult<TVec<TValue>> {
    model.into_optimized()?.into_runnable()?.run(tvec!(input.clone().into_tvalue()))
}

fn dims(shape: &[usize]) -> TVec<TDim> {
    shape.iter().map(|length| length.to_dim()).collect()
}

/// The numbers of a tensor of floats.
fn numbers(tensor: &Tensor) -> TractResult<Vec<f64>> {
    let tensor = tensor.cast_to::<f64>()?;
    Ok(tensor.try_as_plain_ram()?.as_slice::<f64>()?.to_vec())
}

/// Small integers, so that many are equal; never −0, nor the lowest of a type.
fn input(rng: &mut fastrand::Rng, element: DatumType, shape: &[usize]) -> TractResult<Tensor> {
    let low = if element.is_unsigned() || element.is_quantized() { 1 } else { -100 };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.i32(low..100) as f32).collect();
    Ok(Tensor::from_shape(shape, &values)?.cast_to_dt(element)?.into_owned())
}

/// A window and the shape of a tensor for it, by any rule of padding; sometimes one that does not fit.
fn window(rng: &mut fastrand::Rng) -> (PoolSpec, TVec<usize>) {
    let rank = rng.usize(1..=3);
    let mut of = |low, high| -> TVec<usize> { (0..rank).map(|_| rng.usize(low..=high)).collect() };
    let (kernel, strides, dilations, lengths) = (of(1, 4), of(1, 3), of(1, 2), of(4, 11));
    let reach = |axis: usize| (kernel[axis] - 1) * dilations[axis];
    let mut pads = || -> TVec<usize> { (0..rank).map(|axis| rng.usize(0..=reach(axis))).collect() };
    let (begin, end) = (pads(), pads());
    let padding = match rng.u8(0..6) {
        0 => PaddingSpec::Valid,
        1 => PaddingSpec::SameUpper,
        2 => PaddingSpec::SameLower,
        3 => PaddingSpec::Explicit(begin, end),
        other => PaddingSpec::ExplicitOnnxPool(begin, end, other == 4),
    };
    let format = rng.choice([DataFormat::NCHW, DataFormat::NHWC, DataFormat::CHW, DataFormat::HWC]).unwrap();
    let (batch, channels) = (rng.usize(1..=2), rng.usize(1..=5));
    let shape = format.from_n_c_hw(batch, channels, lengths).unwrap().shape;
    (PoolSpec::new(format, kernel, padding, Some(dilations), Some(strides), channels, channels), shape)
}

#[test]
fn maxima_have_the_bits_of_tract() -> TractResult<()> {
    use DatumType::*;
    let mut rng = fastrand::Rng::with_seed(1);
    let quantized = QU8(QParams::ZpScale { zero_point: 3, scale: 0.5 });
    let (mut replaced, mut indexed) = (0, 0);
    for _ in 0..2000 {
        let (pool_spec, shape) = window(&mut rng);
        if pool_spec.output_shape(&shape)?.shape.contains(&0) {
            // tract panics where the window is longer than its input.
            continue;
        }
        let element = rng.choice([F32, F64, F16, I8, U8, I16, U16, I32, U32, I64, U64, quantized]).unwrap();
        let with_index_outputs = rng.choice([None, Some(I32), Some(I64)]).unwrap();
        let op = MaxPool { pool_spec, with_index_outputs };
        let theirs = model(element, &dims(&shape), op.clone())?;
        let mut ours = theirs.clone();
        let report = replace_pooling(&mut ours)?;
        replaced += report.replaced.len();
        indexed += report.replaced.len() * usize::from(with_index_outputs.is_some());
        let input = input(&mut rng, element, &shape)?;
        assert_eq!(run(ours, &input)?, run(theirs, &input)?, "{op:?} of {shape:?}: {report}");
    }
    assert!(replaced > 1800 && indexed > 1000, "{replaced} {indexed}");
    Ok(())
}

#[test]
fn averages_and_sums_are_within_the_rounding_of_their_sums() -> TractResult<()> {
    use DatumType::*;
    let mut rng = fastrand::Rng::with_seed(2);
    let mut replaced = 0;
    for _ in 0..2000 {
        let (pool_spec, shape) = window(&mut rng);
        let (element, epsilon) =
            rng.choice([(F32, f32::EPSILON.into()), (F64, f64::EPSILON), (F16, 2_f64.powi(-10))]).unwrap();
        let taps: usize = pool_spec.kernel_shape.iter().product();
        let op = SumPool { pool_spec, count_include_pad: rng.bool(), normalize: rng.u8(0..4) > 0 };
        let theirs = model(element, &dims(&shape), op.clone())?;
        let mut ours = theirs.clone();
        replaced += replace_pooling(&mut ours)?.replaced.len();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.f32() * 2.0 - 1.0).collect();
        let input = Tensor::from_shape(&shape, &values)?;
        let magnitudes = Tensor::from_shape(&shape, &values.iter().map(|value| value.abs()).collect::<Vec<f32>>())?;
        let cast = |tensor: &Tensor| -> TractResult<Tensor> { Ok(tensor.cast_to_dt(element)?.into_owned()) };
        let magnitudes = numbers(&run(theirs.clone(), &cast(&magnitudes)?)?[0])?;
        let (ours, theirs) = (run(ours, &cast(&input)?)?, run(theirs, &cast(&input)?)?);
        assert_eq!(ours[0].shape(), theirs[0].shape());
        for ((ours, theirs), magnitude) in numbers(&ours[0])?.iter().zip(numbers(&theirs[0])?).zip(magnitudes) {
            // Each of the two sums rounds once a tap, by half an epsilon, and each quotient or product once or twice.
            let bound = (taps + 2) as f64 * epsilon * magnitude;
            assert!((ours - theirs).abs() <= bound, "{op:?} of {shape:?}: {ours} and {theirs}, {bound} apart at most");
        }
    }
    assert!(replaced > 1800, "{replaced}");
    Ok(())
}

#[test]
fn what_differs_from_tract_is_what_the_documentation_says() -> TractResult<()> {
    let spec = PoolSpec::new(DataFormat::CHW, tvec![2], PaddingSpec::Valid, None, Some(tvec![2]), 1, 1);
    let theirs = model(f32::datum_type(), &dims(&[1, 8]), MaxPool { pool_spec: spec, with_index_outputs: None })?;
    let mut ours = theirs.clone();
    replace_pooling(&mut ours)?;
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let input = tensor2(&[[1.0, nan, nan, nan, -inf, -inf, -0.0, -0.0]]);
    let bits = |tensor: &Tensor| -> TractResult<Vec<u32>> {
        Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.iter().map(|value| value.to_bits()).collect())
    };
    let [ours, theirs] = [run(ours, &input)?, run(theirs, &input)?];
    assert_eq!(bits(&ours[0])?, [1.0, f32::from_bits(0x7fc0_0000), -inf, 0.0].map(f32::to_bits));
    assert_eq!(bits(&theirs[0])?, [1.0, f32::MIN, f32::MIN, -0.0].map(f32::to_bits));
    Ok(())
}

/// A mean as tract's importer of ONNX makes it: a sum and a division, which decluttering makes a product.
fn mean(shape: &[TDim], axes: &[usize], by: f32) -> TractResult<TypedModel> {
    let sum = Reduce { axes: axes.into(), reducer: Reducer::Sum };
    let mut model = model(f32::datum_type(), shape, sum)?;
    let sum = model.output_outlets()?[0];
    let by = model.add_const("by", tensor0(by).broadcast_into_rank(shape.len())?)?;
    let mean = model.wire_node("mean", math::div(), &[sum, by])?;
    model.select_output_outlets(&mean)?;
    Ok(model)
}

#[test]
fn means_and_maxima_over_neighbouring_axes_are_global_pooling() -> TractResult<()> {
    let mut rng = fastrand::Rng::with_seed(3);
    let shape = [2, 3, 4, 5, 6];
    for (axes, replaceable) in
        [(&[2, 3, 4][..], true), (&[1, 2], true), (&[3], true), (&[0, 1, 2, 3, 4], true), (&[0, 2], false)]
    {
        let taps: usize = axes.iter().map(|axis| shape[*axis]).product();
        let values: Vec<f32> = (0..720).map(|_| rng.f32()).collect();
        let input = Tensor::from_shape(&shape, &values)?;
        let max = model(f32::datum_type(), &dims(&shape), Reduce { axes: axes.into(), reducer: Reducer::Max })?;
        for (exact, theirs) in [(true, max), (false, mean(&dims(&shape), axes, taps as f32)?.into_decluttered()?)] {
            let mut ours = theirs.clone();
            assert_eq!(replace_pooling(&mut ours)?.replaced.len(), usize::from(replaceable), "{axes:?}");
            let (ours, theirs) = (run(ours, &input)?, run(theirs, &input)?);
            let bound = if exact { 0.0 } else { f64::from(f32::EPSILON) * taps as f64 };
            assert_eq!(ours[0].shape(), theirs[0].shape());
            for (ours, theirs) in numbers(&ours[0])?.iter().zip(numbers(&theirs[0])?) {
                assert!((ours - theirs).abs() <= bound, "{axes:?}: {ours} and {theirs}");
            }
        }
    }
    // Divided by something else, it is no mean; nor if somebody else reads the sum.
    let mut other = mean(&dims(&shape), &[2, 3], 21.0)?;
    assert_eq!(replace_pooling(&mut other)?.replaced, []);
    let mut read = mean(&dims(&shape), &[2, 3], 20.0)?;
    let sum = read.node_by_name("pool")?.id.into();
    let both = [read.output_outlets()?[0], sum];
    read.select_output_outlets(&both)?;
    assert_eq!(replace_pooling(&mut read)?.replaced, []);
    Ok(())
}

#[test]
fn a_symbolic_shape_is_planned_when_it_runs() -> TractResult<()> {
    let mut rng = fastrand::Rng::with_seed(4);
    let symbols = SymbolScope::default();
    let (batch, width) = (symbols.sym("N"), symbols.sym("W"));
    let shape = [batch.to_dim(), 3.to_dim(), 8.to_dim(), width.to_dim()];
    let padding = PaddingSpec::ExplicitOnnxPool(tvec![1, 1], tvec![1, 1], true);
    let spec = PoolSpec::new(DataFormat::NCHW, tvec![3, 5], padding, None, Some(tvec![2, 2]), 3, 3);
    let theirs = model(f32::datum_type(), &shape, MaxPool { pool_spec: spec, with_index_outputs: None })?;
    let mut ours = theirs.clone();
    let report = replace_pooling(&mut ours)?;
    assert_eq!(report.to_string(), "pool: planned when it runs\n");
    let [ours, theirs] = [ours.into_optimized()?.into_runnable()?, theirs.into_optimized()?.into_runnable()?];
    // The window is longer than the last one with its padding, where tract makes one output.
    for shape in [[1, 3, 8, 8], [2, 3, 8, 8], [2, 3, 8, 8], [1, 3, 8, 15], [1, 3, 8, 2]] {
        let input = input(&mut rng, DatumType::F32, &shape)?.into_tvalue();
        assert_eq!(ours.run(tvec!(input.clone()))?, theirs.run(tvec!(input))?, "{shape:?}");
    }
    Ok(())
}

#[test]
fn what_is_left_says_why() -> TractResult<()> {
    let spec = |kernel: &[usize]| PoolSpec::new(DataFormat::NCHW, kernel.into(), PaddingSpec::Valid, None, None, 1, 1);
    let max = |kernel| MaxPool { pool_spec: spec(kernel), with_index_outputs: None };
    let left = |mut model: TypedModel| -> TractResult<String> {
        let report = replace_pooling(&mut model)?;
        assert_eq!(report.replaced, []);
        Ok(report.left.into_iter().map(|left| format!("{}: {}", left.name, left.why)).collect())
    };
    let (f32, shape) = (f32::datum_type(), &dims(&[1, 1, 2, 6])[..]);
    assert_eq!(
        left(model(bool::datum_type(), shape, max(&[1, 2]))?)?,
        "pool: lanepool does not pool elements of type Bool"
    );
    assert_eq!(
        left(model(
            u8::datum_type(),
            shape,
            SumPool { pool_spec: spec(&[1, 2]), count_include_pad: false, normalize: true }
        )?)?,
        "pool: tract adds U8 in f32 and cuts the fraction off; lanepool adds exactly and rounds"
    );
    let tall = lanepool::MaxPool::<f32>::new([3, 2]).output_shape([1, 1, 2, 6]).unwrap_err();
    assert_eq!(left(model(f32, shape, max(&[3, 2]))?)?, format!("pool: {tall}"));
    let four = lanepool::MaxPool::<f32>::new([2; 4]).output_shape([1, 1, 4, 4, 4, 4]).unwrap_err();
    assert_eq!(left(model(f32, &dims(&[1, 1, 4, 4, 4, 4]), max(&[2; 4]))?)?, format!("pool: {four}"));
    let index = MaxPool { pool_spec: spec(&[1, 2]), with_index_outputs: Some(DatumType::I16) };
    assert_eq!(left(model(f32, shape, index)?)?, "pool: the indices are to be I16; lanepool writes I32 and I64");
    let late = left(model(f32, shape, max(&[1, 2]))?.into_optimized()?)?;
    assert!(late.ends_with("the model is already optimised: replace before that"), "{late}");
    Ok(())
}
