//! What is no plain window, on tensors that are parts of larger ones: maxima with indices, adaptive and fractional pooling,
//! unpooling, gradients. The bytes are those of the same elements side by side, and not a byte between them.

#[macro_use]
mod common;

use common::layer::LAYOUTS;
use common::strides::{Placed, bits};
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AvgBackward, AvgPool, Error, Float, FractionalMaxPool, Index, IndexKind, Layout,
    LpPool, MaxBackward, MaxPool, MaxUnpool, MinPool, NanPolicy, Quantization, Rounding, SumPool,
};

const KINDS: [IndexKind; 6] = [
    IndexKind::Plane,
    IndexKind::Tensor,
    IndexKind::TensorColumnMajor,
    IndexKind::Tap,
    IndexKind::ImageChannelsLast,
    IndexKind::TensorChannelsLast,
];
const EXTREMES: [Op; 4] =
    [Op::Max(Nan::Propagate), Op::Max(Nan::Ignore), Op::Min(Nan::Propagate), Op::Min(Nan::Ignore)];

/// Memory that holds anything, to be written to.
fn fresh<T: Sample>(len: usize, rng: &mut Rng) -> Vec<T> {
    (0..len).map(|_| T::from_bits(rng.bits())).collect()
}

/// The same for indices: numbers that no layer here gives.
fn fresh_indices<I: Index>(len: usize) -> Vec<I> {
    (0..len).map(|i| I::from_offset(1_000_000 + i).expect("a short number")).collect()
}

/// A shape and, on each axis, a length up to its own.
fn shape_and_less(layout: Layout, rng: &mut Rng) -> (Vec<usize>, Vec<usize>) {
    let rank = rng.within(1, 3);
    let spatial: Vec<usize> = (0..rank).map(|_| rng.within(1, [40, 14, 7][rank - 1])).collect();
    let less = spatial.iter().map(|n| rng.within(1, *n)).collect();
    ([&[rng.within(1, 2), common::check::channels(layout, rng.within(1, 5))], &spatial[..]].concat(), less)
}

/// The shape of the same tensor with other lengths.
fn with_lengths(shape: &[usize], lengths: &[usize]) -> Vec<usize> {
    [&shape[..2], lengths].concat()
}

/// Values and indices of random layers, whole, in tasks, and indices alone.
fn indices_lie_as_the_values_do<T: Sample, I: Index>() {
    let mut rng = Rng::named("indexed");
    for round in 0..share::of(200) {
        let (op, kind, (_, layout)) = (*rng.pick(&EXTREMES), *rng.pick(&KINDS), *rng.pick(&LAYOUTS));
        let packed = Layer::random(op, layout, &mut rng);
        let Ok(shape) = packed.plan::<T>(None).map(|plan| plan.output_shape()) else { continue };
        let from = Placed::random(layout, &packed.shape, true, &mut rng);
        let to = Placed::random(layout, &shape, false, &mut rng);
        let layer = Layer { strides: Some([from.strides.clone(), to.strides.clone()]), ..packed.clone() };
        let is_bounded = round % 3 == 0;
        for tier in tiers::available() {
            let plan_of = |layer: &Layer| match (is_bounded, op) {
                (true, Op::Max(nan)) => {
                    let pool = (layer.base() as MaxPool<T>).nan(nan.policy()).clamp(0.0, 20.0);
                    layer.indexed_of(pool, kind, Some(tier))
                }
                _ => layer.indexed::<T, I>(kind, Some(tier)),
            };
            let plan = plan_of(&layer).unwrap_or_else(|error| panic!("{layer}: {error}"));
            assert_eq!((plan.input_len(), plan.output_len()), (from.extent(), to.extent()), "{layer}");
            let src = Fill::Nans.tensor::<T>(plan.input_len(), &mut rng);
            let like = plan_of(&packed).expect("a valid layer");
            let (values, indices) = like.run_vec(&from.gather(&src)).expect("a valid run");

            let (before, none) = (fresh::<T>(to.extent(), &mut rng), fresh_indices::<I>(to.extent()));
            let (want, at) = (to.spread(&before, &values), to.spread(&none, &indices));
            for most in [1, 2, 5, usize::MAX] {
                let (mut dst, mut found, mut alone) = (before.clone(), none.clone(), none.clone());
                if most == 1 {
                    plan.run(&src, &mut dst, &mut found).expect("a valid run");
                    plan.run_indices(&src, &mut alone).expect("a valid run");
                } else {
                    let tasks = plan.tasks(most);
                    for task in (0..tasks.len()).rev() {
                        let range = tasks.range(task);
                        let (part, of_part) = (&mut dst[range.clone()], &mut found[range.clone()]);
                        plan.run_task(&tasks, task, &src, part, of_part).expect("a valid run");
                        plan.run_indices_task(&tasks, task, &src, &mut alone[range]).expect("a valid run");
                    }
                }
                assert_eq!(bits(&dst), bits(&want), "{layer}, {kind:?}, {most} tasks: {plan:?}");
                assert_eq!((&found, &alone), (&at, &at), "{layer}, {kind:?}, {most} tasks: {plan:?}");
            }
            #[cfg(feature = "rayon")]
            {
                let (mut dst, mut found) = (before.clone(), none.clone());
                plan.run_parallel_in(7, &src, &mut dst, &mut found).expect("a valid run");
                assert_eq!((bits(&dst), found), (bits(&want), at), "{layer}: {plan:?}");
            }
        }
    }
}

/// Adaptive maxima with and without indices, and averages.
fn adaptive<T: Sample>() {
    let mut rng = Rng::named("strided adaptive");
    for round in 0..share::of(200) {
        let (_, layout) = *rng.pick(&LAYOUTS);
        let (shape, mut output) = shape_and_less(layout, &mut rng);
        if round % 5 == 0 {
            // Longer than the input: elements are repeated.
            output[0] += shape[2];
        }
        let from = Placed::random(layout, &shape, true, &mut rng);
        let to = Placed::random(layout, &with_lengths(&shape, &output), false, &mut rng);
        let src = Fill::Nans.tensor::<T>(from.extent(), &mut rng);
        let (gathered, before) = (from.gather(&src), fresh::<T>(to.extent(), &mut rng));
        let what = format!("{} {layout} {shape:?} to {output:?}, {:?} to {:?}", T::NAME, from.strides, to.strides);

        let nan = *rng.pick(&[NanPolicy::Propagate, NanPolicy::Ignore]);
        let mut max = AdaptiveMaxPool::<T>::new(&output).nan(nan);
        let mut avg =
            AdaptiveAvgPool::<T>::new(&output).rounding(*rng.pick(&[Rounding::HalfToEven, Rounding::HalfAwayFromZero]));
        if round % 3 == 0 {
            (max, avg) = (max.clamp(0.0, 20.0), avg.clamp(0.0, 20.0));
        }
        let quantised = avg.quantization(Quantization::new(0.5, 3), Quantization::new(0.75, 60));
        let plans = [
            Some((max.plan(layout, &shape), max.plan_strided(layout, &shape, &from.strides, &to.strides))),
            T::SUMS.then(|| (avg.plan(layout, &shape), avg.plan_strided(layout, &shape, &from.strides, &to.strides))),
            quantised.plan(layout, &shape).is_ok().then(|| {
                (quantised.plan(layout, &shape), quantised.plan_strided(layout, &shape, &from.strides, &to.strides))
            }),
        ];
        for (packed, plan) in plans.into_iter().flatten() {
            let (packed, plan) = (packed.expect("a valid layer"), plan.expect("valid strides"));
            assert_eq!((plan.input_len(), plan.output_len()), (from.extent(), to.extent()), "{what}");
            assert_eq!((plan.input_shape(), plan.output_shape()), (packed.input_shape(), packed.output_shape()));
            let mut dst = before.clone();
            plan.run(&src, &mut dst).expect("a valid run");
            let want = to.spread(&before, &packed.run_vec(&gathered).expect("a valid run"));
            assert_eq!(bits(&dst), bits(&want), "{what}: {plan}");
        }

        let kind = *rng.pick(&KINDS);
        let packed = max.plan_indexed::<i32>(kind, layout, &shape).expect("a valid layer");
        let plan = max.plan_indexed_strided::<i32>(kind, layout, &shape, &from.strides, &to.strides);
        let (plan, none) = (plan.expect("valid strides"), fresh_indices::<i32>(to.extent()));
        let (values, indices) = packed.run_vec(&gathered).expect("a valid run");
        let (mut dst, mut found) = (before.clone(), none.clone());
        plan.run(&src, &mut dst, &mut found).expect("a valid run");
        assert_eq!(bits(&dst), bits(&to.spread(&before, &values)), "{what}, {kind:?}");
        assert_eq!(found, to.spread(&none, &indices), "{what}, {kind:?}");
    }
}

/// Fractional maxima with and without indices.
fn fractional<T: Sample>() {
    let mut rng = Rng::named("strided fractional");
    for round in 0..share::of(150) {
        let (_, layout) = *rng.pick(&LAYOUTS);
        let (shape, output) = shape_and_less(layout, &mut rng);
        let kernel: Vec<usize> = shape[2..].iter().zip(&output).map(|(n, m)| rng.within(1, n - m + 1)).collect();
        let from = Placed::random(layout, &shape, true, &mut rng);
        let to = Placed::random(layout, &with_lengths(&shape, &output), false, &mut rng);
        let src = Fill::Nans.tensor::<T>(from.extent(), &mut rng);
        let mut pool = FractionalMaxPool::<T>::new(&kernel, &output);
        if round % 3 == 0 {
            pool = pool.clamp(0.0, 20.0);
        }
        let kind = *rng.pick(&KINDS);
        let packed = pool.plan_indexed::<i64>(kind, layout, &shape).expect("a valid layer");
        let plan = pool.plan_indexed_strided::<i64>(kind, layout, &shape, &from.strides, &to.strides);
        let plan = plan.expect("valid strides");
        // Zeros, which every type of samples has.
        let mut samples = vec![<T::Sample as bytemuck::Zeroable>::zeroed(); plan.values().samples_len()];
        spread_samples(&mut samples, &mut rng);
        let (values, indices) = packed.run_vec(&from.gather(&src), &samples).expect("a valid run");
        let (before, none) = (fresh::<T>(to.extent(), &mut rng), fresh_indices::<i64>(to.extent()));
        let (mut dst, mut found) = (before.clone(), none.clone());
        plan.run(&src, &samples, &mut dst, &mut found).expect("a valid run");
        let what = format!("{plan:?}, {:?} to {:?}", from.strides, to.strides);
        let want = to.spread(&before, &values);
        assert_eq!(bits(&dst), bits(&want), "{what}");
        assert_eq!(found, to.spread(&none, &indices), "{what}");

        let plan = pool.plan_strided(layout, &shape, &from.strides, &to.strides).expect("valid strides");
        let mut dst = before.clone();
        plan.run(&src, &samples, &mut dst).expect("a valid run");
        assert_eq!(bits(&dst), bits(&want), "{what}");
    }
}

/// Samples of any type: numbers below one, by their bits.
fn spread_samples<S: bytemuck::Pod>(samples: &mut [S], rng: &mut Rng) {
    for sample in samples {
        let number = rng.below(1000) as f64 / 1000.0;
        let any: &mut dyn core::any::Any = sample;
        if let Some(sample) = any.downcast_mut::<f32>() {
            *sample = number as f32;
        } else if let Some(sample) = any.downcast_mut::<f64>() {
            *sample = number;
        } else if let Some(sample) = any.downcast_mut::<half::f16>() {
            *sample = half::f16::from_f64(number * 0.99);
        } else if let Some(sample) = any.downcast_mut::<half::bf16>() {
            *sample = half::bf16::from_f64(number * 0.99);
        }
    }
}

/// The kinds that say where a tap lies without its window.
const UNPOOLED: [IndexKind; 5] = [KINDS[0], KINDS[1], KINDS[2], KINDS[4], KINDS[5]];

/// Values go back to where they were found.
fn unpool<T: Sample>() {
    let mut rng = Rng::named("strided unpool");
    for round in 0..share::of(150) {
        let (kind, (_, layout)) = (UNPOOLED[round as usize % 5], *rng.pick(&LAYOUTS));
        let (plane, shorter) = shape_and_less(layout, &mut rng);
        let output =
            if rng.one_in(3) { plane[2..].iter().map(|n| n + rng.below(3)).collect() } else { plane[2..].to_vec() };
        let shape = with_lengths(&plane, &shorter);
        let from = Placed::random(layout, &shape, true, &mut rng);
        let to = Placed::random(layout, &with_lengths(&shape, &output), false, &mut rng);
        let src = Fill::Nans.tensor::<T>(from.extent(), &mut rng);
        let pixels: usize = plane[2..].iter().product();
        let places = match kind {
            IndexKind::Plane => pixels,
            IndexKind::ImageChannelsLast => pixels * plane[1],
            _ => pixels * plane[0] * plane[1],
        };
        // What lies between indices need not be one.
        let mut indices = vec![-5_i32; from.extent()];
        for at in &from.offsets {
            indices[*at] = rng.below(places) as i32;
        }
        let pool = MaxUnpool::<T>::to(&plane[2..]).padded_to(&output).indices(kind);
        let packed = pool.plan::<i32>(layout, &shape).expect("a valid layer");
        let plan = pool.plan_strided::<i32>(layout, &shape, &from.strides, &to.strides).expect("valid strides");
        assert_eq!((plan.input_len(), plan.output_len()), (from.extent(), to.extent()));
        let mut want = fresh::<T>(packed.output_len(), &mut rng);
        packed.run(&from.gather(&src), &from.gather(&indices), &mut want).expect("a valid run");
        let before = fresh::<T>(to.extent(), &mut rng);
        let mut dst = before.clone();
        plan.run(&src, &indices, &mut dst).expect("a valid run");
        let what = format!("{} {layout} {kind:?} {shape:?} to {plane:?} in {output:?}", T::NAME);
        assert_eq!(bits(&dst), bits(&to.spread(&before, &want)), "{what}, {:?} to {:?}", from.strides, to.strides);

        // An index that names no place is found where it lies, and nothing is written.
        let at = *rng.pick(&from.offsets);
        indices[at] = places as i32;
        let mut dst = before.clone();
        let error = plan.run(&src, &indices, &mut dst);
        let index = places as i64;
        assert_eq!(error, Err(Error::IndexOutOfRange { at, index, len: places }), "{what}");
        assert_eq!(bits(&dst), bits(&before), "{what}");
    }
}

/// Gradients of every operation that has them.
fn backward<T: Sample + Float>() {
    let mut rng = Rng::named("strided backward");
    for _ in 0..share::of(150) {
        let (kind, (_, layout)) = (*rng.pick(&KINDS), *rng.pick(&LAYOUTS));
        let packed = Layer::random(*rng.pick(&EXTREMES), layout, &mut rng);
        let (shape, Ok(output)) = (&packed.shape, packed.plan::<T>(None).map(|plan| plan.output_shape())) else {
            continue;
        };
        // What is written lies apart.
        let from = Placed::random(layout, shape, false, &mut rng);
        let [to, apart] = [true, false].map(|is_input| Placed::random(layout, &output, is_input, &mut rng));
        let what = format!("{} {packed}, {:?} and {:?} or {:?}", T::NAME, from.strides, to.strides, apart.strides);
        let before = fresh::<T>(from.extent(), &mut rng);
        let input = Fill::Nans.tensor::<T>(from.extent(), &mut rng);
        let (i, o, a) = (&from.strides, &to.strides, &apart.strides);
        let pooled = |len: usize, rng: &mut Rng| Fill::Edges.tensor::<T>(len, rng);

        // Averages, sums: the windows of the random layer.
        let (avg, sum): (AvgPool<T>, SumPool<T>) =
            (packed.dressed(packed.base(), None), packed.dressed(packed.base(), None));
        let lengths = &output[2..];
        let averages = [
            (avg.backward(layout, shape), avg.backward_strided(layout, shape, i, o)),
            (sum.backward(layout, shape), sum.backward_strided(layout, shape, i, o)),
            (
                AvgBackward::adaptive(lengths, layout, shape),
                AvgBackward::adaptive_strided(lengths, layout, shape, i, o),
            ),
        ];
        for (like, plan) in averages {
            let (like, plan) = (like.expect("a valid layer"), plan.expect("valid strides"));
            assert_eq!((plan.input_len(), plan.output_len()), (from.extent(), to.extent()), "{what}");
            let grad_output = pooled(to.extent(), &mut rng);
            let mut want = vec![T::from_bits(0); like.input_len()];
            like.run(&to.gather(&grad_output), &mut want).expect("a valid run");
            let mut grad_input = before.clone();
            plan.run(&grad_output, &mut grad_input).expect("a valid run");
            assert_eq!(bits(&grad_input), bits(&from.spread(&before, &want)), "{what}: {plan:?}");
        }

        // Norms.
        let lp: LpPool<T> = packed.dressed(packed.base(), None);
        let like = lp.backward(layout, shape).expect("a valid layer");
        let plan = lp.backward_strided(layout, shape, i, o).expect("valid strides");
        let (pooled_output, grad_output) = (pooled(to.extent(), &mut rng), pooled(to.extent(), &mut rng));
        let mut want = vec![T::from_bits(0); like.input_len()];
        let gathered = (from.gather(&input), to.gather(&pooled_output), to.gather(&grad_output));
        like.run(&gathered.0, &gathered.1, &gathered.2, &mut want).expect("a valid run");
        let mut grad_input = before.clone();
        plan.run(&input, &pooled_output, &grad_output, &mut grad_input).expect("a valid run");
        assert_eq!(bits(&grad_input), bits(&from.spread(&before, &want)), "{what}: {plan:?}");

        // Maxima and minima, from the input and from its indices.
        let (max, min): (MaxPool<T>, MinPool<T>) =
            (packed.dressed(packed.base(), None), packed.dressed(packed.base(), None));
        let extremes = [
            (max.backward::<i32>(kind, layout, shape), max.backward_strided(kind, layout, shape, i, a)),
            (min.backward::<i32>(kind, layout, shape), min.backward_strided(kind, layout, shape, i, a)),
            (
                MaxBackward::adaptive(lengths, kind, layout, shape),
                MaxBackward::adaptive_strided(lengths, kind, layout, shape, i, a),
            ),
        ];
        for (like, plan) in extremes {
            let (like, plan) = (like.expect("a valid layer"), plan.expect("valid strides"));
            let grad_output = pooled(apart.extent(), &mut rng);
            let (mut want, mut at) = (vec![T::from_bits(0); like.input_len()], vec![0; like.output_len()]);
            let gathered = (from.gather(&input), apart.gather(&grad_output));
            like.run_from_input(&gathered.0, &gathered.1, &mut at, &mut want).expect("a valid run");
            let want = from.spread(&before, &want);
            let (mut grad_input, none) = (before.clone(), fresh_indices::<i32>(apart.extent()));
            let mut found = none.clone();
            plan.run_from_input(&input, &grad_output, &mut found, &mut grad_input).expect("a valid run");
            assert_eq!(bits(&grad_input), bits(&want), "{what}: {plan:?}");
            assert_eq!(found, apart.spread(&none, &at), "{what}: {plan:?}");

            let mut grad_input = before.clone();
            plan.run(&grad_output, &found, &mut grad_input).expect("a valid run");
            assert_eq!(bits(&grad_input), bits(&want), "{what}: {plan:?}");

            // An index that no forward pass gives is found where it lies.
            let wrong = *rng.pick(&apart.offsets);
            found[wrong] = i32::MAX;
            let error = plan.run(&grad_output, &found, &mut grad_input);
            assert!(matches!(error, Err(Error::IndexOutOfRange { at, .. }) if at == wrong), "{what}: {error:?}");
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn indices_lie_as_the_values_do() {
                super::indices_lie_as_the_values_do::<$T, i32>();
                super::indices_lie_as_the_values_do::<$T, i64>();
            }

            #[test]
            fn adaptive() {
                super::adaptive::<$T>();
            }

            #[test]
            fn fractional() {
                super::fractional::<$T>();
            }

            #[test]
            fn unpool() {
                super::unpool::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

#[test]
fn backward_of_every_float() {
    backward::<f32>();
    backward::<f64>();
    backward::<half::f16>();
    backward::<half::bf16>();
}

/// One gradient for every output, as the gradient of a sum is: a stride of 0.
#[test]
fn a_gradient_may_be_one_for_all() {
    let pool = AvgPool::<f32>::new([2, 2]).stride([2, 2]);
    let (shape, input) = ([2, 3, 4, 4], [48, 16, 4, 1]);
    let plan = pool.backward_strided(Layout::Nchw, shape, input, [0; 4]).expect("valid strides");
    let mut grad_input = vec![0.0; plan.input_len()];
    assert_eq!(plan.output_len(), 1);
    plan.run(&[8.0], &mut grad_input).expect("a valid run");
    assert_eq!(grad_input, [2.0; 96]);
    // Indices lie as that gradient does, and are written: each needs a place of its own.
    let max = MaxPool::<f32>::new([2, 2]).stride([2, 2]);
    let error = max.backward_strided::<i32>(IndexKind::Plane, Layout::Nchw, shape, input, [0; 4]).map(|_| ());
    assert!(matches!(error, Err(Error::OutputsOverlap { what: "output", stride: 0, .. })), "{error:?}");
}

/// What is written must lie apart, and the sentence says where it does not.
#[test]
fn strides_that_cannot_be_are_errors() {
    let (packed, short) = ([60, 1, 15, 3], [36, 1, 11, 3]);
    let shape = [2, 3, 4, 5];
    let wrong = |result: Result<(), Error>| result.expect_err("not valid").to_string();
    let nhwc = Layout::Nhwc;
    let output = "the stride of the output is 11 on axis 2 (height), where each index takes 12 elements: what is written there \
                  would overlap, or not lie in the order of the layout; an output in another layout is reordered afterwards";
    let plane = IndexKind::Plane;
    let max = MaxPool::<u8>::new([2, 2]);
    assert_eq!(wrong(max.plan_indexed_strided::<i32>(plane, nhwc, shape, packed, short).map(|_| ())), output);
    let (adaptive, avg) = (AdaptiveMaxPool::<u8>::new([3, 4]), AdaptiveAvgPool::<u8>::new([3, 4]));
    assert_eq!(wrong(adaptive.plan_strided(nhwc, shape, packed, short).map(|_| ())), output);
    assert_eq!(wrong(adaptive.plan_indexed_strided::<i32>(plane, nhwc, shape, packed, short).map(|_| ())), output);
    assert_eq!(wrong(avg.plan_strided(nhwc, shape, packed, short).map(|_| ())), output);
    let fractional = FractionalMaxPool::<u8>::new([2, 2], [3, 4]);
    assert_eq!(wrong(fractional.plan_strided(nhwc, shape, packed, short).map(|_| ())), output);
    assert_eq!(wrong(fractional.plan_indexed_strided::<i32>(plane, nhwc, shape, packed, short).map(|_| ())), output);
    let unpool = MaxUnpool::<u8>::to([3, 4]);
    assert_eq!(wrong(unpool.plan_strided::<i32>(nhwc, [2, 3, 2, 2], [12, 1, 6, 3], short).map(|_| ())), output);

    let input = "the stride of the input is 14 on axis 2 (height), where each index takes 15 elements: what is written there would \
                 overlap, or not lie in the order of the layout; an output in another layout is reordered afterwards";
    let (small, out) = ([60, 1, 14, 3], [36, 1, 12, 3]);
    assert_eq!(wrong(AvgPool::<f32>::new([2, 2]).backward_strided(nhwc, shape, small, out).map(|_| ())), input);
    assert_eq!(wrong(SumPool::<f32>::new([2, 2]).backward_strided(nhwc, shape, small, out).map(|_| ())), input);
    assert_eq!(wrong(LpPool::<f32>::new([2, 2]).backward_strided(nhwc, shape, small, out).map(|_| ())), input);
    let backward = MaxPool::<f32>::new([2, 2]).backward_strided::<i32>(plane, nhwc, shape, small, out);
    assert_eq!(wrong(backward.map(|_| ())), input);

    let apart = Error::ChannelsApart { what: "input", stride: 2 };
    assert_eq!(adaptive.plan_strided(nhwc, shape, [60, 2, 15, 3], out).map(|_| ()), Err(apart));
    let none = Error::StridesLen { what: "output", got: 3, need: 4 };
    assert_eq!(fractional.plan_strided(nhwc, shape, packed, [36, 1, 12]).map(|_| ()), Err(none));
    // In wide arithmetic, for the longest element that lies there: here an index.
    let far = isize::MAX as usize / 4;
    let error =
        MaxPool::<u8>::new([2]).plan_indexed_strided::<i64>(plane, Layout::Nchw, [2, 1, 3], [3, 3, 1], [far, 2, 1]);
    assert_eq!(error.map(|_| ()), Err(Error::SizeOverflow { what: "output" }));
    let error = AdaptiveMaxPool::<u8>::new([2]).plan_strided(Layout::Nchw, [2, 1, 3], [usize::MAX, 3, 1], [2, 2, 1]);
    assert_eq!(error.map(|_| ()), Err(Error::SizeOverflow { what: "input" }));
}

/// Nothing is held, however long a batch of no channels is: nothing is gone through.
#[test]
fn a_long_batch_of_nothing() {
    let shape = [1 << (usize::BITS - 14), 0, 2, 2];
    for layout in [Layout::Nhwc, Layout::Nchw, Layout::Blocked(8)] {
        let adaptive = AdaptiveMaxPool::<u8>::new([1, 1]).plan_indexed::<i64>(IndexKind::Plane, layout, shape);
        assert_eq!(adaptive.and_then(|plan| plan.run_vec(&[])), Ok((vec![], vec![])));
        let adaptive = AdaptiveAvgPool::<u8>::new([3, 1]).plan(layout, shape);
        assert_eq!(adaptive.and_then(|plan| plan.run_vec(&[])), Ok(vec![]));
        let fractional = FractionalMaxPool::<u8>::new([1, 1], [1, 1]).plan(layout, shape);
        assert_eq!(fractional.and_then(|plan| plan.run_vec(&[], &[])), Ok(vec![]));
        let unpool = MaxUnpool::<u8>::to([2, 2]).plan::<i64>(layout, shape);
        assert_eq!(unpool.and_then(|plan| plan.run(&[], &[], &mut [])), Ok(()));
        let backward = AvgPool::<f32>::new([1, 1]).backward(layout, shape);
        assert_eq!(backward.and_then(|plan| plan.run(&[], &mut [])), Ok(()));
        let backward = MaxPool::<f32>::new([1, 1]).backward::<i64>(IndexKind::Plane, layout, shape);
        assert_eq!(backward.clone().and_then(|plan| plan.run(&[], &[], &mut [])), Ok(()));
        assert_eq!(backward.and_then(|plan| plan.run_from_input(&[], &[], &mut [], &mut [])), Ok(()));
    }
}
