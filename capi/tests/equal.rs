//! The C interface gives the bytes of the Rust API: every operation, every element, three layouts.

mod common;

use bytemuck::Pod;
use common::{Plan, desc, given, lent, ok, told};
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AvgBackward, AvgPool, CeilRule, Element, Float, FractionalMaxPool, Index,
    IndexKind, Layout, LpPool, MaxBackward, MaxPool, MaxUnpool, MinPool, NanPolicy, Pool, PoolOperation, Quantization,
    QuantizedAvgPool, QuantizedMaxPool, Rounding, SumPool,
};
use lanepool_capi::*;

const SHAPE: [i64; 4] = [2, 16, 7, 9];
const LAYOUTS: [(i32, i64, Layout); 3] =
    [(LANEPOOL_NCHW, 0, Layout::Nchw), (LANEPOOL_NHWC, 0, Layout::Nhwc), (LANEPOOL_BLOCKED, 8, Layout::Blocked(8))];
const KINDS: [(i32, IndexKind); 6] = [
    (LANEPOOL_INDEX_PLANE, IndexKind::Plane),
    (LANEPOOL_INDEX_TENSOR, IndexKind::Tensor),
    (LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR, IndexKind::TensorColumnMajor),
    (LANEPOOL_INDEX_TAP, IndexKind::Tap),
    (LANEPOOL_INDEX_IMAGE_CHANNELS_LAST, IndexKind::ImageChannelsLast),
    (LANEPOOL_INDEX_TENSOR_CHANNELS_LAST, IndexKind::TensorChannelsLast),
];

fn shape() -> [usize; 4] {
    SHAPE.map(|length| length as usize)
}

/// Any bits, the same ones every time.
fn noise<T: Pod>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut values = vec![T::zeroed(); len];
    for byte in bytemuck::cast_slice_mut::<T, u8>(&mut values) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    values
}

fn poison<T: Pod>(len: usize) -> Vec<T> {
    let mut values = vec![T::zeroed(); len];
    bytemuck::cast_slice_mut::<T, u8>(&mut values).fill(0xa5);
    values
}

fn same<T: Pod>(what: &str, got: &[T], want: &[T]) {
    assert!(bytemuck::cast_slice::<T, u8>(got) == bytemuck::cast_slice::<T, u8>(want), "{what}: other bytes");
}

/// An element and its number.
trait Coded: Element {
    const CODE: i32;
}

macro_rules! coded {
    ($($T:ty: $code:ident),+ $(,)?) => { $( impl Coded for $T { const CODE: i32 = $code; } )+ };
}

coded! {
    f32: LANEPOOL_F32, f64: LANEPOOL_F64, half::f16: LANEPOOL_F16, half::bf16: LANEPOOL_BF16, i8: LANEPOOL_I8,
    u8: LANEPOOL_U8, i16: LANEPOOL_I16, u16: LANEPOOL_U16, i32: LANEPOOL_I32,
    u32: LANEPOOL_U32, i64: LANEPOOL_I64, u64: LANEPOOL_U64,
}

/// A window with every attribute, as C and as Rust have it.
fn window<T: Coded>(operation: i32, (layout, block, _): (i32, i64, Layout)) -> lanepool_desc {
    let mut desc = desc(operation, T::CODE, &SHAPE);
    (desc.layout, desc.block) = (layout, block);
    desc.kernel = [3, 2, 77];
    desc.stride = [2, 1, -5];
    desc.dilation = [1, 2, 0];
    desc.pad_begin = [1, 0, 0];
    desc.pad_end = [0, 1, 0];
    (desc.ceil_mode, desc.ceil_rule) = (1, LANEPOOL_CEIL_EVERY_WINDOW);
    desc.allow_empty_windows = 1;
    desc
}

fn pool<O: PoolOperation, T>() -> Pool<O, T> {
    let pool = Pool::new([3, 2]).stride([2, 1]).dilation([1, 2]).padding_unequal([1, 0], [0, 1]);
    pool.ceil_mode(true).ceil_rule(CeilRule::EveryWindow).allow_empty_windows(true)
}

/// A plain layer: the whole at once, and in tasks.
fn runs<T: Coded>(what: &str, desc: &lanepool_desc, src: &[T], want: &[T]) {
    let plan = Plan::new(desc).unwrap_or_else(|error| panic!("{what} {}: {error:?}", T::NAME));
    let mut dst = poison::<T>(want.len());
    assert_eq!(plan.run(src, &mut dst), ok(), "{what}");
    same(what, &dst, want);
    assert_eq!(plan.info().output_bytes, size_of_val(want) as u64, "{what}");
    for most in [1, 3, 1000] {
        // SAFETY: a plan.
        let tasks = unsafe { lanepool_plan_tasks(plan.0, most) };
        assert!((1..=most).contains(&tasks), "{what}");
        let mut dst = poison::<T>(want.len());
        let ((src, src_bytes), (to, bytes)) = (given(src), lent(&mut dst));
        for task in (0..tasks).rev() {
            // SAFETY: slices with their own lengths.
            let run = |error| unsafe {
                lanepool_plan_run_task(plan.0, tasks, task, src, src_bytes, to, bytes, core::ptr::null_mut(), 0, error)
            };
            assert_eq!(told(run), ok(), "{what}");
        }
        same(what, &dst, want);
    }
}

/// A layer with indices: values and indices, and the same in tasks.
fn finds<T: Coded, I: Index>(what: &str, desc: &lanepool_desc, src: &[T], (want, at): (&[T], &[I])) {
    let plan = Plan::new(desc).unwrap_or_else(|error| panic!("{what} {}: {error:?}", T::NAME));
    let (mut dst, mut indices) = (poison::<T>(want.len()), poison::<I>(at.len()));
    assert_eq!(plan.run_with_indices(src, &mut dst, &mut indices), ok(), "{what}");
    same(what, &dst, want);
    same(what, &indices, at);
    // SAFETY: a plan.
    let tasks = unsafe { lanepool_plan_tasks(plan.0, 5) };
    let (mut dst, mut indices) = (poison::<T>(want.len()), poison::<I>(at.len()));
    let ((src, src_bytes), (to, bytes), (at_to, at_bytes)) = (given(src), lent(&mut dst), lent(&mut indices));
    for task in 0..tasks {
        // SAFETY: slices with their own lengths.
        let run = |error| unsafe {
            lanepool_plan_run_task(plan.0, tasks, task, src, src_bytes, to, bytes, at_to, at_bytes, error)
        };
        assert_eq!(told(run), ok(), "{what}");
    }
    same(what, &dst, want);
    same(what, &indices, at);
}

fn windows<T: Coded>() {
    let src = noise::<T>(SHAPE.iter().product::<i64>() as usize, 1);
    for layout in LAYOUTS {
        let (.., l) = layout;
        let of = |operation| window::<T>(operation, layout);
        let vec =
            |plan: lanepool::Result<lanepool::Plan<T>>| plan.and_then(|plan| plan.run_vec(&src)).expect("a valid run");
        let (max, min): (MaxPool<T>, MinPool<T>) = (pool(), pool());
        runs("max", &of(LANEPOOL_MAX), &src, &vec(max.plan(l, shape())));
        runs("min", &of(LANEPOOL_MIN), &src, &vec(min.plan(l, shape())));
        let clamp = lanepool_desc { clamp: 1, clamp_low: 1.0, clamp_high: 6.0, ..of(LANEPOOL_MIN) };
        runs("min, clamped", &clamp, &src, &vec(min.clamp(1.0, 6.0).plan(l, shape())));
        let ignore = lanepool_desc { nan_policy: LANEPOOL_NAN_IGNORE, ..of(LANEPOOL_MAX) };
        runs("max, NaN ignored", &ignore, &src, &vec(max.nan(NanPolicy::Ignore).plan(l, shape())));
        let ignore = lanepool_desc { nan_policy: LANEPOOL_NAN_IGNORE, ..of(LANEPOOL_MIN) };
        runs("min, NaN ignored", &ignore, &src, &vec(min.nan(NanPolicy::Ignore).plan(l, shape())));
        sums::<T>(layout, &src);

        let same = lanepool_desc { kernel: [3, 2, 0], stride: [2, 3, 1], ..desc(LANEPOOL_MAX, T::CODE, &SHAPE) };
        let same = lanepool_desc { layout: layout.0, block: layout.1, ..same };
        let plain = MaxPool::<T>::new([3, 2]).stride([2, 3]);
        let upper = lanepool_desc { padding: LANEPOOL_PAD_SAME_UPPER, ..same };
        runs("max, same upper", &upper, &src, &vec(plain.same_upper().plan(l, shape())));
        let lower = lanepool_desc { padding: LANEPOOL_PAD_SAME_LOWER, ..same };
        runs("max, same lower", &lower, &src, &vec(plain.same_lower().plan(l, shape())));
        let valid = lanepool_desc { padding: LANEPOOL_PAD_VALID, ..same };
        runs("max, valid", &valid, &src, &vec(plain.valid().plan(l, shape())));

        for (code, kind) in KINDS {
            indexed::<T, i32>(layout, LANEPOOL_INDEX_I32, code, kind, &src);
            indexed::<T, i64>(layout, LANEPOOL_INDEX_I64, code, kind, &src);
        }
    }
}

/// Averages and sums; of integers of 64 bits, that there are none.
fn sums<T: Coded>(layout: (i32, i64, Layout), src: &[T]) {
    let (.., l) = layout;
    let of = |operation| window::<T>(operation, layout);
    if !T::DTYPE.has_sums() {
        for operation in [LANEPOOL_AVG, LANEPOOL_SUM, LANEPOOL_ADAPTIVE_AVG] {
            let adaptive = lanepool_desc { output: [3, 4, 0], ..desc(operation, T::CODE, &SHAPE) };
            let desc = if operation == LANEPOOL_ADAPTIVE_AVG { adaptive } else { of(operation) };
            let (status, why) = Plan::new(&desc).expect_err("sums of 64 bits");
            assert_eq!(status, LANEPOOL_UNSUPPORTED, "{why}");
            assert!(why.contains("i64 and u64 have maxima and minima, but no sums or averages"), "{why}");
        }
        return;
    }
    let vec = |plan: lanepool::Result<lanepool::Plan<T>>| plan.and_then(|plan| plan.run_vec(src)).expect("a valid run");
    let (avg, sum): (AvgPool<T>, SumPool<T>) = (pool(), pool());
    runs("avg", &of(LANEPOOL_AVG), src, &vec(avg.plan(l, shape())));
    runs("sum", &of(LANEPOOL_SUM), src, &vec(sum.plan(l, shape())));
    let clamp = lanepool_desc { clamp: 1, clamp_low: 1.0, clamp_high: 6.0, ..of(LANEPOOL_SUM) };
    runs("sum, clamped", &clamp, src, &vec(sum.clamp(1.0, 6.0).plan(l, shape())));
    let padded = lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_PADDED, ..of(LANEPOOL_AVG) };
    runs("avg, padding counted", &padded, src, &vec(avg.count_include_pad(true).plan(l, shape())));
    let divisor = lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_DIVISOR, divisor: 7, ..of(LANEPOOL_AVG) };
    runs("avg over 7", &divisor, src, &vec(avg.divisor(7).plan(l, shape())));
    let away = lanepool_desc { rounding: LANEPOOL_ROUND_HALF_AWAY, ..of(LANEPOOL_AVG) };
    runs("avg, away", &away, src, &vec(avg.rounding(Rounding::HalfAwayFromZero).plan(l, shape())));
    let scalar = lanepool_desc { tier: LANEPOOL_TIER_SCALAR, ..of(LANEPOOL_AVG) };
    runs("avg, scalar", &scalar, src, &vec(avg.tier(lanepool::Tier::Scalar).plan(l, shape())));

    let global = desc(LANEPOOL_AVG, T::CODE, &SHAPE);
    let global = lanepool_desc { layout: layout.0, block: layout.1, global: 1, ..global };
    runs("global avg", &global, src, &vec(AvgPool::global().plan(l, shape())));
}

fn indexed<T: Coded, I: Index>(layout: (i32, i64, Layout), index: i32, code: i32, kind: IndexKind, src: &[T]) {
    let (.., l) = layout;
    let of = |operation| lanepool_desc { index_type: index, index_kind: code, ..window::<T>(operation, layout) };
    let max: MaxPool<T> = pool();
    let min: MinPool<T> = pool();
    let (values, at) = max.plan_indexed::<I>(kind, l, shape()).and_then(|plan| plan.run_vec(src)).expect("a run");
    finds("max with indices", &of(LANEPOOL_MAX), src, (&values, &at));
    let mut alone = poison::<I>(at.len());
    let plan = Plan::new(&of(LANEPOOL_MAX)).expect("a valid layer");
    let ((from, bytes), (to, to_bytes)) = (given(src), lent(&mut alone));
    // SAFETY: slices with their own lengths.
    assert_eq!(told(|error| unsafe { lanepool_plan_run_indices(plan.0, from, bytes, to, to_bytes, error) }), ok());
    same("indices alone", &alone, &at);
    let info = plan.info();
    assert_eq!((info.index_type, info.index_kind, info.index_bytes), (index, code, size_of_val(&*at) as u64));
    let (values, at) = min.plan_indexed::<I>(kind, l, shape()).and_then(|plan| plan.run_vec(src)).expect("a run");
    finds("min with indices", &of(LANEPOOL_MIN), src, (&values, &at));

    let adaptive = desc(LANEPOOL_ADAPTIVE_MAX, T::CODE, &SHAPE);
    let adaptive = lanepool_desc { layout: layout.0, block: layout.1, output: [3, 4, 0], ..adaptive };
    let adaptive = lanepool_desc { index_type: index, index_kind: code, ..adaptive };
    let pool = AdaptiveMaxPool::<T>::new([3, 4]);
    let (values, at) = pool.plan_indexed::<I>(kind, l, shape()).and_then(|plan| plan.run_vec(src)).expect("a run");
    finds("adaptive max with indices", &adaptive, src, (&values, &at));
}

fn windows_without_a_stride<T: Coded>() {
    let src = noise::<T>(SHAPE.iter().product::<i64>() as usize, 2);
    for (code, block, layout) in LAYOUTS {
        let of = |operation, output| lanepool_desc { layout: code, block, output, ..desc(operation, T::CODE, &SHAPE) };
        for output in [[3, 4], [7, 3], [9, 11]] {
            let c_output = [output[0] as i64, output[1] as i64, 0];
            let max = AdaptiveMaxPool::<T>::new(output).nan(NanPolicy::Ignore).clamp(-3.0, 100.0);
            let max = max.plan(layout, shape()).and_then(|plan| plan.run_vec(&src)).expect("a run");
            let clamp =
                lanepool_desc { clamp: 1, clamp_low: -3.0, clamp_high: 100.0, ..of(LANEPOOL_ADAPTIVE_MAX, c_output) };
            let clamp = lanepool_desc { nan_policy: LANEPOOL_NAN_IGNORE, ..clamp };
            runs("adaptive max", &clamp, &src, &max);
            if !T::DTYPE.has_sums() {
                continue;
            }
            let avg = AdaptiveAvgPool::<T>::new(output).rounding(Rounding::HalfAwayFromZero);
            let avg = avg.plan(layout, shape()).and_then(|plan| plan.run_vec(&src)).expect("a run");
            let away = lanepool_desc { rounding: LANEPOOL_ROUND_HALF_AWAY, ..of(LANEPOOL_ADAPTIVE_AVG, c_output) };
            runs("adaptive avg", &away, &src, &avg);
        }

        let samples: Vec<T::Sample> = noise::<u16>(2 * 16 * 2, 3).into_iter().map(sample::<T>).collect();
        let fractional = lanepool_desc { kernel: [2, 3, 0], ..of(LANEPOOL_FRACTIONAL_MAX, [4, 5, 0]) };
        let pool = FractionalMaxPool::<T>::new([2, 3], [4, 5]);
        let (values, at) = pool
            .plan_indexed::<i64>(IndexKind::Plane, layout, shape())
            .and_then(|plan| plan.run_vec(&src, &samples))
            .expect("a run");
        for with_indices in [false, true] {
            let index_type = if with_indices { LANEPOOL_INDEX_I64 } else { LANEPOOL_INDEX_NONE };
            let plan = Plan::new(&lanepool_desc { index_type, ..fractional }).expect("a valid layer");
            assert_eq!(plan.info().sample_bytes, size_of_val(&*samples) as u64);
            let (mut dst, mut indices) = (poison::<T>(values.len()), poison::<i64>(at.len()));
            let ((from, bytes), (samples, sample_bytes)) = (given(&src), given(&samples));
            let (to, to_bytes) = lent(&mut dst);
            let (at_to, at_bytes) = if with_indices { lent(&mut indices) } else { common::NOWHERE };
            // SAFETY: slices with their own lengths.
            let run = |error| unsafe {
                lanepool_plan_run_fractional(
                    plan.0,
                    from,
                    bytes,
                    samples,
                    sample_bytes,
                    to,
                    to_bytes,
                    at_to,
                    at_bytes,
                    error,
                )
            };
            assert_eq!(told(run), ok());
            same("fractional max", &dst, &values);
            if with_indices {
                same("fractional indices", &indices, &at);
            }
            // SAFETY: a plan.
            assert_eq!(unsafe { lanepool_plan_tasks(plan.0, 4) }, 0);
        }
        unpools::<T, i32>(code, block, layout, LANEPOOL_INDEX_I32);
        unpools::<T, i64>(code, block, layout, LANEPOOL_INDEX_I64);
    }
}

/// A sample from 0 to below 1, with few bits.
fn sample<T: Coded>(noise: u16) -> T::Sample {
    let bits = u64::from(noise >> 12);
    let sixteenths = bits as f32 / 16.0;
    let bytes: Vec<u8> = match size_of::<T::Sample>() {
        8 => f64::from(sixteenths).to_ne_bytes().to_vec(),
        4 => sixteenths.to_ne_bytes().to_vec(),
        _ if T::CODE == LANEPOOL_F16 => half::f16::from_f32(sixteenths).to_ne_bytes().to_vec(),
        _ => half::bf16::from_f32(sixteenths).to_ne_bytes().to_vec(),
    };
    bytemuck::pod_read_unaligned(&bytes)
}

fn unpools<T: Coded, I: Index>(code: i32, block: i64, layout: Layout, index: i32) {
    let pooled = [2, 16, 3, 4];
    let len = pooled.iter().product::<usize>();
    let src = noise::<T>(len, 4);
    let indices: Vec<I> = (0..len).map(|i| I::from_offset(i * 7 % 48).expect("small")).collect();
    let of =
        lanepool_desc { layout: code, block, index_type: index, ..desc(LANEPOOL_MAX_UNPOOL, T::CODE, &[2, 16, 3, 4]) };
    let computed = lanepool_desc { kernel: [2, 2, 0], stride: [2, 2, 1], ..of };
    let padded = lanepool_desc { output_is_padded: 1, padded_output: [7, 9, 0], ..computed };
    let offset = lanepool_desc { kernel: [4, 4, 0], pad_begin: [1, 0, 0], pad_end: [1, 2, 0], ..computed };
    let given_output = lanepool_desc { output_is_given: 1, output: [6, 8, 0], ..of };
    let plain = MaxUnpool::<T>::new([2, 2]).stride([2, 2]);
    let shifted = MaxUnpool::<T>::new([4, 4]).stride([2, 2]).padding_unequal([1, 0], [1, 2]);
    let cases = [
        (computed, plain),
        (padded, plain.padded_to([7, 9])),
        (offset, shifted),
        (given_output, MaxUnpool::to([6, 8])),
        (
            lanepool_desc { index_kind: LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR, ..computed },
            plain.indices(IndexKind::TensorColumnMajor),
        ),
        (
            lanepool_desc { index_kind: LANEPOOL_INDEX_IMAGE_CHANNELS_LAST, ..computed },
            plain.indices(IndexKind::ImageChannelsLast),
        ),
        (
            lanepool_desc { index_kind: LANEPOOL_INDEX_TENSOR_CHANNELS_LAST, ..computed },
            plain.indices(IndexKind::TensorChannelsLast),
        ),
    ];
    for (desc, pool) in cases {
        let plan = pool.plan::<I>(layout, pooled).expect("a valid layer");
        let mut want = poison::<T>(plan.output_len());
        plan.run(&src, &indices, &mut want).expect("a valid run");
        let plan = Plan::new(&desc).expect("a valid layer");
        let info = plan.info();
        assert_eq!((info.index_bytes, info.output_bytes), (size_of_val(&*indices) as u64, size_of_val(&*want) as u64));
        let mut got = poison::<T>(want.len());
        let ((from, bytes), (at, at_bytes), (to, to_bytes)) = (given(&src), given(&indices), lent(&mut got));
        // SAFETY: slices with their own lengths.
        let run = |error| unsafe { lanepool_plan_unpool(plan.0, from, bytes, at, at_bytes, to, to_bytes, error) };
        assert_eq!(told(run), ok());
        same("unpool", &got, &want);
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn windows() {
                super::windows::<$T>();
            }

            #[test]
            fn windows_without_a_stride() {
                super::windows_without_a_stride::<$T>();
            }
        }
    )+ };
}

tests!(f32: f32, f64: f64, f16: half::f16, bf16: half::bf16, i8: i8, u8: u8, i16: i16, u16: u16, i32: i32, u32: u32, i64: i64, u64: u64);

fn norms<T: Coded>() {
    let src = noise::<T>(SHAPE.iter().product::<i64>() as usize, 5);
    for layout in LAYOUTS {
        for (p, mean) in [(1.0, 0), (2.0, 0), (2.0, 1), (3.0, 1), (f64::INFINITY, 0)] {
            let lp: LpPool<T> = pool();
            let lp = lp.p(p).mean(mean == 1).plan(layout.2, shape());
            let want = lp.and_then(|plan| plan.run_vec(&src)).expect("a valid run");
            runs("lp", &lanepool_desc { p, mean, ..window::<T>(LANEPOOL_LP, layout) }, &src, &want);
        }
    }
}

#[test]
fn norms_of_floats() {
    norms::<f32>();
    norms::<f64>();
    norms::<half::f16>();
    norms::<half::bf16>();
}

fn quantized<T: Coded>(input: Quantization, output: Quantization) {
    let with = |desc| lanepool_desc {
        input_scale: input.scale,
        input_zero_point: input.zero_point,
        output_scale: output.scale,
        output_zero_point: output.zero_point,
        ..desc
    };
    let src = noise::<T>(SHAPE.iter().product::<i64>() as usize, 6);
    for layout in LAYOUTS {
        let vec = |plan: lanepool::Result<lanepool::Plan<T>>| plan.and_then(|plan| plan.run_vec(&src)).expect("a run");
        let avg: QuantizedAvgPool<T> = pool();
        let avg = avg.quantization(input, output);
        let of = |operation| with(window::<T>(operation, layout));
        runs("quantized avg", &of(LANEPOOL_QUANTIZED_AVG), &src, &vec(avg.plan(layout.2, shape())));
        let padded = lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_PADDED, ..of(LANEPOOL_QUANTIZED_AVG) };
        runs("quantized avg", &padded, &src, &vec(avg.count_include_pad(true).plan(layout.2, shape())));
        let max: QuantizedMaxPool<T> = pool();
        let max = max.quantization(input, output);
        runs("quantized max", &of(LANEPOOL_QUANTIZED_MAX), &src, &vec(max.plan(layout.2, shape())));
        let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..of(LANEPOOL_QUANTIZED_MAX) };
        let plan = max.plan_indexed::<i32>(IndexKind::Plane, layout.2, shape());
        let (values, at) = plan.and_then(|plan| plan.run_vec(&src)).expect("a run");
        finds("quantized max with indices", &indexed, &src, (&values, &at));
        let adaptive = AdaptiveAvgPool::<T>::new([3, 4]).quantization(input, output);
        let want = adaptive.plan(layout.2, shape()).and_then(|plan| plan.run_vec(&src)).expect("a run");
        let desc = desc(LANEPOOL_ADAPTIVE_QUANTIZED_AVG, T::CODE, &SHAPE);
        let desc = lanepool_desc { layout: layout.0, block: layout.1, output: [3, 4, 0], ..desc };
        runs("adaptive quantized avg", &with(desc), &src, &want);
    }
}

#[test]
fn quantized_bytes() {
    let (input, output) = (Quantization::new(0.0625, 3), Quantization::new(0.1, 100));
    quantized::<u8>(input, output);
    quantized::<i8>(input, output);
    let symmetric = Quantization::new(0.0625, 0);
    quantized::<i16>(symmetric, symmetric);
}

/// Runs a backward plan by a function of the interface.
fn gradient<T: Coded>(
    desc: &lanepool_desc,
    want: &[T],
    run: impl FnOnce(&Plan, &mut [T]) -> (lanepool_status, String),
) {
    let desc = lanepool_desc { direction: LANEPOOL_BACKWARD, ..*desc };
    let plan = Plan::new(&desc).expect("a valid layer");
    let info = plan.info();
    assert_eq!((info.input_bytes, info.tier), (size_of_val(want) as u64, LANEPOOL_TIER_BEST));
    let mut got = poison::<T>(want.len());
    assert_eq!(run(&plan, &mut got), ok());
    same("gradient", &got, want);
}

fn gradients<T: Coded + Float, I: Index>(index: i32) {
    let input_len = SHAPE.iter().product::<i64>() as usize;
    let src = noise::<T>(input_len, 7);
    for layout in LAYOUTS {
        let (.., l) = layout;
        let of = |operation| window::<T>(operation, layout);
        let grad_output = |len| noise::<T>(len, 8);

        let mut want = poison::<T>(input_len);
        let plain = |plan: &Plan, dy: &[T], dx: &mut [T]| {
            let ((dy, dy_bytes), (dx, dx_bytes)) = (given(dy), lent(dx));
            // SAFETY: slices with their own lengths.
            told(|error| unsafe { lanepool_plan_backward(plan.0, dy, dy_bytes, dx, dx_bytes, error) })
        };
        let avg: AvgPool<T> = pool();
        let avg = avg.count_include_pad(true).backward(l, shape()).expect("a valid layer");
        let dy = grad_output(avg.output_len());
        avg.run(&dy, &mut want).expect("a valid run");
        let padded = lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_PADDED, ..of(LANEPOOL_AVG) };
        gradient(&padded, &want, |plan, dx| plain(plan, &dy, dx));
        let sum: SumPool<T> = pool();
        sum.backward(l, shape()).expect("a valid layer").run(&dy, &mut want).expect("a valid run");
        gradient(&of(LANEPOOL_SUM), &want, |plan, dx| plain(plan, &dy, dx));
        let adaptive = AvgBackward::<T>::adaptive([3, 4], l, shape()).expect("a valid layer");
        let dy_of_12 = grad_output(adaptive.output_len());
        adaptive.run(&dy_of_12, &mut want).expect("a valid run");
        let adaptive = |operation| lanepool_desc {
            layout: layout.0,
            block: layout.1,
            output: [3, 4, 0],
            ..desc(operation, T::CODE, &SHAPE)
        };
        gradient(&adaptive(LANEPOOL_ADAPTIVE_AVG), &want, |plan, dx| plain(plan, &dy_of_12, dx));

        let lp: LpPool<T> = pool();
        let y = lp.run_once(l, shape(), &src).expect("a valid run");
        lp.backward(l, shape()).expect("a valid layer").run(&src, &y, &dy, &mut want).expect("a valid run");
        gradient(&of(LANEPOOL_LP), &want, |plan, dx| {
            let ((x, x_bytes), (y, y_bytes), (dy, dy_bytes)) = (given(&src), given(&y), given(&dy));
            let (dx, dx_bytes) = lent(dx);
            // SAFETY: slices with their own lengths.
            told(|error| unsafe {
                lanepool_plan_backward_lp(plan.0, x, x_bytes, y, y_bytes, dy, dy_bytes, dx, dx_bytes, error)
            })
        });

        for (code, kind) in KINDS {
            let (max, min): (MaxPool<T>, MinPool<T>) = (pool(), pool());
            let cases = [
                (LANEPOOL_MAX, max.backward::<I>(kind, l, shape()).expect("a valid layer"), &dy),
                (LANEPOOL_MIN, min.backward::<I>(kind, l, shape()).expect("a valid layer"), &dy),
                (
                    LANEPOOL_ADAPTIVE_MAX,
                    MaxBackward::<T, I>::adaptive([3, 4], kind, l, shape()).expect("a valid layer"),
                    &dy_of_12,
                ),
            ];
            for (operation, rust, dy) in cases {
                let mut at = poison::<I>(rust.output_len());
                rust.run_from_input(&src, dy, &mut at, &mut want).expect("a valid run");
                let desc = if operation == LANEPOOL_ADAPTIVE_MAX { adaptive(operation) } else { of(operation) };
                let desc = lanepool_desc { index_type: index, index_kind: code, ..desc };
                gradient(&desc, &want, |plan, dx| {
                    let ((dy, dy_bytes), (at, at_bytes), (dx, dx_bytes)) = (given(dy), given(&at), lent(dx));
                    // SAFETY: slices with their own lengths.
                    told(|error| unsafe {
                        lanepool_plan_backward_max(plan.0, dy, dy_bytes, at, at_bytes, dx, dx_bytes, error)
                    })
                });
                let mut found = poison::<I>(at.len());
                gradient(&desc, &want, |plan, dx| {
                    let ((x, x_bytes), (dy, dy_bytes)) = (given(&src), given(dy));
                    let ((at, at_bytes), (dx, dx_bytes)) = (lent(&mut found), lent(dx));
                    // SAFETY: slices with their own lengths.
                    told(|error| unsafe {
                        lanepool_plan_backward_max_from_input(
                            plan.0, x, x_bytes, dy, dy_bytes, at, at_bytes, dx, dx_bytes, error,
                        )
                    })
                });
                same("indices found again", &found, &at);
            }
        }
    }
}

#[test]
fn gradients_of_floats() {
    gradients::<f32, i32>(LANEPOOL_INDEX_I32);
    gradients::<f64, i64>(LANEPOOL_INDEX_I64);
    gradients::<half::f16, i64>(LANEPOOL_INDEX_I64);
    gradients::<half::bf16, i32>(LANEPOOL_INDEX_I32);
}

/// One and three spatial axes.
#[test]
fn other_ranks() {
    let (one, three) = ([2, 3, 40], [1, 2, 5, 6, 7]);
    let line = noise::<f32>(240, 9);
    let mut desc1 = desc(LANEPOOL_MAX, LANEPOOL_F32, &[2, 3, 40]);
    (desc1.kernel[0], desc1.stride[0]) = (3, 2);
    let want = MaxPool::<f32>::new([3]).stride([2]).run_once(Layout::Nchw, one, &line).expect("a run");
    runs("1-D", &desc1, &line, &want);
    let cube = noise::<f32>(420, 10);
    let mut desc3 = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 2, 5, 6, 7]);
    desc3.kernel = [2, 3, 2];
    let want = MaxPool::<f32>::new([2, 3, 2]).run_once(Layout::Nchw, three, &cube).expect("a run");
    runs("3-D", &desc3, &cube, &want);
    let info = Plan::new(&desc3).expect("a valid layer").info();
    assert_eq!((info.input_shape, info.output_shape, info.spatial_axes), ([1, 2, 5, 6, 7], [1, 2, 4, 4, 6], 3));
}

/// A slice of the channels, channels last, pooled to its place in a wider output: nothing else is written, whole or in tasks.
#[test]
fn strided() {
    let (channels, wide, at) = (5_usize, 8_usize, 2_usize);
    let src = noise::<f32>(7 * 6 * wide, 12);
    let mut desc = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, channels as i64, 7, 6]);
    desc.layout = LANEPOOL_NHWC;
    desc.kernel = [3, 3, 0];
    desc.strided = 1;
    let of = |width: usize| [(7 * width * wide) as i64, 1, (width * wide) as i64, wide as i64, 0];
    (desc.input_strides, desc.output_strides) = (of(6), of(4));
    let plan = Plan::new(&desc).expect("a valid layer");
    let info = plan.info();
    let elements = |bytes: u64| bytes as usize / size_of::<f32>();
    let (need, len) = (elements(info.input_bytes), elements(info.output_bytes));
    assert_eq!((need, len), (7 * 6 * wide - (wide - channels), 5 * 4 * wide - (wide - channels)));

    let gathered: Vec<f32> = src.chunks(wide).flat_map(|pixel| &pixel[at..][..channels]).copied().collect();
    let values = MaxPool::<f32>::new([3, 3]).run_once(Layout::Nhwc, [1, channels, 7, 6], &gathered).expect("a run");
    let fresh = noise::<f32>(5 * 4 * wide, 13);
    let mut want = fresh.clone();
    for (to, from) in want.chunks_mut(wide).zip(values.chunks(channels)) {
        to[..channels].copy_from_slice(from);
    }
    let src = &src[at..][..need];
    let mut dst = fresh.clone();
    assert_eq!(plan.run(src, &mut dst[..len]), ok());
    same("strided", &dst, &want);
    let mut dst = fresh;
    // SAFETY: a plan.
    let tasks = unsafe { lanepool_plan_tasks(plan.0, 3) };
    assert_eq!(tasks, 3);
    let ((src, src_bytes), (to, bytes)) = (given(src), lent(&mut dst[..len]));
    for task in (0..tasks).rev() {
        // SAFETY: slices with their own lengths.
        let run = |error| unsafe {
            lanepool_plan_run_task(plan.0, tasks, task, src, src_bytes, to, bytes, core::ptr::null_mut(), 0, error)
        };
        assert_eq!(told(run), ok());
    }
    same("strided in tasks", &dst, &want);
}

/// Where elements of a slice of 5 channels of 8 are, channels last; and its strides.
fn slice_of_channels([batch, channels, height, width]: [usize; 4], wide: usize) -> (Vec<usize>, [i64; 5]) {
    let mut places = Vec::new();
    for pixel in 0..batch * height * width {
        places.extend((0..channels).map(|c| pixel * wide + c));
    }
    let strides = [height * width * wide, 1, width * wide, wide, 0].map(|stride| stride as i64);
    (places, strides)
}

fn gathered<T: Copy>(memory: &[T], places: &[usize]) -> Vec<T> {
    places.iter().map(|at| memory[*at]).collect()
}

fn spread<T: Copy>(memory: &[T], places: &[usize], elements: &[T]) -> Vec<T> {
    let mut memory = memory.to_vec();
    places.iter().zip(elements).for_each(|(at, element)| memory[*at] = *element);
    memory
}

/// Every other operation on the same slices: the bytes of tensors side by side, and what lies between as it was.
#[test]
fn strided_in_every_operation() {
    let (shape, wide, last) = ([2, 5, 7, 6], 8, Layout::Nhwc);
    let (from, input_strides) = slice_of_channels(shape, wide);
    let src = noise::<f32>(from.last().expect("elements") + 1, 14);
    let x = gathered(&src, &from);
    let described = |operation: i32, out: [usize; 2], kernel: [i64; 3]| {
        let (to, output_strides) = slice_of_channels([2, 5, out[0], out[1]], wide);
        let desc = desc(operation, LANEPOOL_F32, &shape.map(|length| length as i64));
        let desc = lanepool_desc { layout: LANEPOOL_NHWC, kernel, strided: 1, input_strides, output_strides, ..desc };
        (desc, to)
    };
    let fresh = |to: &[usize]| poison::<f32>(to.last().expect("elements") + 1);
    let fresh_at = |to: &[usize]| poison::<i64>(to.last().expect("elements") + 1);

    // Values with indices, of windows and adaptive ones, whole and in tasks.
    let indexed = MaxPool::<f32>::new([3, 3]).plan_indexed::<i64>(IndexKind::Tensor, last, shape);
    let (values, at) = indexed.and_then(|plan| plan.run_vec(&x)).expect("a valid run");
    let (plain, to) = described(LANEPOOL_MAX, [5, 4], [3, 3, 0]);
    let plain = lanepool_desc { index_type: LANEPOOL_INDEX_I64, index_kind: LANEPOOL_INDEX_TENSOR, ..plain };
    finds("max", &plain, &src, (&spread(&fresh(&to), &to, &values), &spread(&fresh_at(&to), &to, &at)));
    let adaptive = AdaptiveMaxPool::<f32>::new([3, 4]).plan_indexed::<i64>(IndexKind::Plane, last, shape);
    let (values, at) = adaptive.and_then(|plan| plan.run_vec(&x)).expect("a valid run");
    let (of, to_of_12) = described(LANEPOOL_ADAPTIVE_MAX, [3, 4], [0; 3]);
    let of = lanepool_desc { output: [3, 4, 0], index_type: LANEPOOL_INDEX_I64, ..of };
    let (want, want_at) = (spread(&fresh(&to_of_12), &to_of_12, &values), spread(&fresh_at(&to_of_12), &to_of_12, &at));
    finds("adaptive max", &of, &src, (&want, &want_at));
    let avg = AdaptiveAvgPool::<f32>::new([3, 4]).plan(last, shape).and_then(|plan| plan.run_vec(&x)).expect("a run");
    let (of, to) = described(LANEPOOL_ADAPTIVE_AVG, [3, 4], [0; 3]);
    runs("adaptive avg", &lanepool_desc { output: [3, 4, 0], ..of }, &src, &spread(&fresh(&to), &to, &avg));

    // Fractional maxima.
    let pool = FractionalMaxPool::<f32>::new([2, 2], [4, 3]).plan_indexed::<i64>(IndexKind::Plane, last, shape);
    let pool = pool.expect("a valid layer");
    let samples: Vec<f32> = (0..pool.values().samples_len()).map(|i| (i % 10) as f32 / 10.0).collect();
    let (values, at) = pool.run_vec(&x, &samples).expect("a valid run");
    let (of, to) = described(LANEPOOL_FRACTIONAL_MAX, [4, 3], [2, 2, 0]);
    let of = lanepool_desc { output: [4, 3, 0], index_type: LANEPOOL_INDEX_I64, ..of };
    let plan = Plan::new(&of).expect("a valid layer");
    let (mut dst, mut found) = (fresh(&to), fresh_at(&to));
    let ((from_x, bytes), (s, s_bytes)) = (given(&src), given(&samples));
    let ((y, y_bytes), (i, i_bytes)) = (lent(&mut dst), lent(&mut found));
    // SAFETY: slices with their own lengths.
    let run = |error| unsafe {
        lanepool_plan_run_fractional(plan.0, from_x, bytes, s, s_bytes, y, y_bytes, i, i_bytes, error)
    };
    assert_eq!(told(run), ok());
    same("fractional max", &dst, &spread(&fresh(&to), &to, &values));
    same("fractional max", &found, &spread(&fresh_at(&to), &to, &at));

    // Unpooling: the input is the pooled tensor, and its indices lie as it does.
    let pooled = [2, 5, 3, 3];
    let (from_pooled, input_strides) = slice_of_channels(pooled, wide);
    let (to, output_strides) = slice_of_channels(shape, wide);
    let pooled_src = noise::<f32>(from_pooled.last().expect("elements") + 1, 15);
    let indices: Vec<i32> = (0..pooled_src.len()).map(|i| (i * 5 % 42) as i32).collect();
    let mut want = poison::<f32>(shape.iter().product());
    let unpool = MaxUnpool::<f32>::to([7, 6]).plan::<i32>(last, pooled).expect("a valid layer");
    let packed = (gathered(&pooled_src, &from_pooled), gathered(&indices, &from_pooled));
    unpool.run(&packed.0, &packed.1, &mut want).expect("a valid run");
    let of = lanepool_desc {
        layout: LANEPOOL_NHWC,
        index_type: LANEPOOL_INDEX_I32,
        output_is_given: 1,
        output: [7, 6, 0],
        strided: 1,
        input_strides,
        output_strides,
        ..desc(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, &pooled.map(|length| length as i64))
    };
    let plan = Plan::new(&of).expect("a valid layer");
    let mut dst = fresh(&to);
    let ((x, x_bytes), (i, i_bytes), (y, y_bytes)) = (given(&pooled_src), given(&indices), lent(&mut dst));
    // SAFETY: slices with their own lengths.
    let run = |error| unsafe { lanepool_plan_unpool(plan.0, x, x_bytes, i, i_bytes, y, y_bytes, error) };
    assert_eq!(told(run), ok());
    same("unpool", &dst, &spread(&fresh(&to), &to, &want));
}

/// The same of backward passes.
#[test]
fn strided_gradients() {
    let (shape, wide, last) = ([2, 5, 7, 6], 8, Layout::Nhwc);
    let (from, input_strides) = slice_of_channels(shape, wide);
    let of = |operation: i32, out: [usize; 2], window: bool| {
        let (to, output_strides) = slice_of_channels([2, 5, out[0], out[1]], wide);
        let desc = desc(operation, LANEPOOL_F32, &shape.map(|length| length as i64));
        let desc = lanepool_desc { layout: LANEPOOL_NHWC, strided: 1, input_strides, output_strides, ..desc };
        let desc = if window {
            lanepool_desc { kernel: [3, 3, 0], ..desc }
        } else {
            lanepool_desc { output: [3, 4, 0], ..desc }
        };
        let dy = noise::<f32>(to.last().expect("elements") + 1, 16);
        (desc, to, dy)
    };
    let src = noise::<f32>(from.last().expect("elements") + 1, 17);
    let fresh = poison::<f32>(src.len());
    let mut want = poison::<f32>(from.len());
    let x = gathered(&src, &from);
    let plain = |plan: &Plan, dy: &[f32], dx: &mut [f32]| {
        let ((dy, dy_bytes), (dx, dx_bytes)) = (given(dy), lent(dx));
        // SAFETY: slices with their own lengths.
        told(|error| unsafe { lanepool_plan_backward(plan.0, dy, dy_bytes, dx, dx_bytes, error) })
    };
    let averages = [
        (LANEPOOL_AVG, AvgPool::<f32>::new([3, 3]).backward(last, shape)),
        (LANEPOOL_SUM, SumPool::<f32>::new([3, 3]).backward(last, shape)),
        (LANEPOOL_ADAPTIVE_AVG, AvgBackward::<f32>::adaptive([3, 4], last, shape)),
    ];
    for (operation, rust) in averages {
        let is_window = operation != LANEPOOL_ADAPTIVE_AVG;
        let (desc, to, dy) = of(operation, if is_window { [5, 4] } else { [3, 4] }, is_window);
        rust.expect("a valid layer").run(&gathered(&dy, &to), &mut want).expect("a valid run");
        gradient(&desc, &spread(&fresh, &from, &want), |plan, dx| plain(plan, &dy, dx));
    }

    for (p, mean) in [(2.0, false), (2.0, true), (1.0, false), (3.0, false), (f64::INFINITY, false)] {
        let (desc, to, dy) = of(LANEPOOL_LP, [5, 4], true);
        let desc = lanepool_desc { p, mean: i32::from(mean), ..desc };
        let y = noise::<f32>(dy.len(), 18);
        let rust = LpPool::<f32>::new([3, 3]).p(p).mean(mean).backward(last, shape).expect("a valid layer");
        rust.run(&x, &gathered(&y, &to), &gathered(&dy, &to), &mut want).expect("a valid run");
        gradient(&desc, &spread(&fresh, &from, &want), |plan, dx| {
            let ((x, x_bytes), (y, y_bytes), (dy, dy_bytes)) = (given(&src), given(&y), given(&dy));
            let (dx, dx_bytes) = lent(dx);
            // SAFETY: slices with their own lengths.
            told(|error| unsafe {
                lanepool_plan_backward_lp(plan.0, x, x_bytes, y, y_bytes, dy, dy_bytes, dx, dx_bytes, error)
            })
        });
    }

    let kind = IndexKind::Plane;
    let extremes = [
        (LANEPOOL_MAX, MaxPool::<f32>::new([3, 3]).backward::<i32>(kind, last, shape)),
        (LANEPOOL_MIN, MinPool::<f32>::new([3, 3]).backward::<i32>(kind, last, shape)),
        (LANEPOOL_ADAPTIVE_MAX, MaxBackward::<f32, i32>::adaptive([3, 4], kind, last, shape)),
    ];
    for (operation, rust) in extremes {
        let (rust, is_window) = (rust.expect("a valid layer"), operation != LANEPOOL_ADAPTIVE_MAX);
        let (desc, to, dy) = of(operation, if is_window { [5, 4] } else { [3, 4] }, is_window);
        let desc = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..desc };
        let mut at = poison::<i32>(to.len());
        rust.run_from_input(&x, &gathered(&dy, &to), &mut at, &mut want).expect("a valid run");
        let (want, none) = (spread(&fresh, &from, &want), poison::<i32>(dy.len()));
        let mut found = none.clone();
        gradient(&desc, &want, |plan, dx| {
            let ((x, x_bytes), (dy, dy_bytes)) = (given(&src), given(&dy));
            let ((at, at_bytes), (dx, dx_bytes)) = (lent(&mut found), lent(dx));
            // SAFETY: slices with their own lengths.
            told(|error| unsafe {
                lanepool_plan_backward_max_from_input(
                    plan.0, x, x_bytes, dy, dy_bytes, at, at_bytes, dx, dx_bytes, error,
                )
            })
        });
        same("indices", &found, &spread(&none, &to, &at));
        gradient(&desc, &want, |plan, dx| {
            let ((dy, dy_bytes), (at, at_bytes), (dx, dx_bytes)) = (given(&dy), given(&found), lent(dx));
            // SAFETY: slices with their own lengths.
            told(|error| unsafe { lanepool_plan_backward_max(plan.0, dy, dy_bytes, at, at_bytes, dx, dx_bytes, error) })
        });
    }
}

/// Every tier that this machine has gives the same bytes, and is the one that is named.
#[test]
fn every_tier_runs() {
    let src = noise::<f32>(SHAPE.iter().product::<i64>() as usize, 11);
    let want: AvgPool<f32> = pool();
    let want = want.run_once(Layout::Nchw, shape(), &src).expect("a run");
    for tier in LANEPOOL_TIER_SCALAR..=LANEPOOL_TIER_AVX512 {
        let desc = lanepool_desc { tier, ..window::<f32>(LANEPOOL_AVG, LAYOUTS[0]) };
        // SAFETY: no text is given.
        let missing = unsafe { lanepool_tier_missing(tier, core::ptr::null_mut()) };
        match Plan::new(&desc) {
            Ok(plan) => {
                assert_eq!((missing, plan.info().tier), (LANEPOOL_OK, tier));
                runs("avg", &desc, &src, &want);
            }
            Err((status, sentence)) => {
                assert_eq!((missing, status), (LANEPOOL_TIER_UNAVAILABLE, LANEPOOL_TIER_UNAVAILABLE), "{sentence}");
            }
        }
    }
}

/// On threads of the library's own, where it has them: the same bytes, with indices and without. Large enough to be cut.
#[test]
fn parallel_runs_give_the_same_bytes() {
    let shape = [4, 64, 57, 61];
    let src = noise::<f32>(shape.iter().product::<i64>() as usize, 12);
    let layer = lanepool_desc { kernel: [3, 3, 0], stride: [2, 2, 1], ..desc(LANEPOOL_MAX, LANEPOOL_F32, &shape) };
    for index_type in [LANEPOOL_INDEX_NONE, LANEPOOL_INDEX_I32] {
        let plan = Plan::new(&lanepool_desc { index_type, ..layer }).expect("a valid layer");
        let info = plan.info();
        let (len, found) = (info.output_bytes as usize / 4, info.index_bytes as usize / 4);
        let (mut want, mut at) = (poison::<f32>(len), poison::<i32>(found));
        let whole =
            if found == 0 { plan.run(&src, &mut want) } else { plan.run_with_indices(&src, &mut want, &mut at) };
        assert_eq!(whole, ok());
        let (mut got, mut got_at) = (poison::<f32>(len), poison::<i32>(found));
        let ((from, bytes), (to, to_bytes)) = (given(&src), lent(&mut got));
        let (at_to, at_bytes) = if found == 0 { common::NOWHERE } else { lent(&mut got_at) };
        // SAFETY: slices with their own lengths.
        let run =
            |error| unsafe { lanepool_plan_run_parallel(plan.0, from, bytes, to, to_bytes, at_to, at_bytes, error) };
        if cfg!(feature = "rayon") {
            assert_eq!(told(run), ok());
            same("values in parallel", &got, &want);
            same("indices in parallel", &got_at, &at);
        } else {
            let (status, sentence) = told(run);
            assert!(status == LANEPOOL_UNSUPPORTED && sentence.contains("rayon"), "{sentence}");
            same("values of a refused run", &got, &poison::<f32>(len));
        }
    }
}
