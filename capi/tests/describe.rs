//! What is told of a layer before it is planned, and of the plan: shapes, bytes, padding; and tiers, which all take alike.

mod common;

use core::ptr::{null, null_mut};

use common::{NOWHERE, Plan, desc, given, lent, ok, pairs, told};
use lanepool_capi::*;

/// What a plan would tell.
fn foretold(desc: &lanepool_desc) -> Result<lanepool_info, (lanepool_status, String)> {
    let mut info = core::mem::MaybeUninit::<lanepool_info>::zeroed();
    // SAFETY: a description, and as many bytes as the structure has.
    let told = told(|error| unsafe { lanepool_desc_info(desc, info.as_mut_ptr(), size_of::<lanepool_info>(), error) });
    // SAFETY: integers, all of them set.
    if told.0 == LANEPOOL_OK { Ok(unsafe { info.assume_init() }) } else { Err(told) }
}

/// One layer of every operation and direction: of an input of 2 × 6 × 7 × 9, or what it is pooled to.
fn every_layer() -> Vec<lanepool_desc> {
    let shape = [2, 6, 7, 9];
    let window = |operation, element| {
        let mut desc = desc(operation, element, &shape);
        (desc.kernel, desc.stride, desc.pad_begin) = ([3, 2, 0], [2, 3, 1], [1, 0, 0]);
        desc
    };
    let adaptive = |operation, element| lanepool_desc { output: [3, 4, 0], ..desc(operation, element, &shape) };
    let f32 = LANEPOOL_F32;
    let mut layers: Vec<lanepool_desc> = [LANEPOOL_MAX, LANEPOOL_MIN, LANEPOOL_AVG, LANEPOOL_SUM, LANEPOOL_LP]
        .map(|operation| window(operation, f32))
        .into();
    layers.extend([LANEPOOL_QUANTIZED_AVG, LANEPOOL_QUANTIZED_MAX].map(|operation| window(operation, LANEPOOL_U8)));
    layers.extend([LANEPOOL_ADAPTIVE_MAX, LANEPOOL_ADAPTIVE_AVG].map(|operation| adaptive(operation, f32)));
    layers.push(adaptive(LANEPOOL_ADAPTIVE_QUANTIZED_AVG, LANEPOOL_I8));
    layers.push(lanepool_desc { kernel: [2, 2, 0], ..adaptive(LANEPOOL_FRACTIONAL_MAX, LANEPOOL_F64) });
    let mut unpool = desc(LANEPOOL_MAX_UNPOOL, LANEPOOL_I16, &shape);
    (unpool.kernel, unpool.stride, unpool.index_type) = ([2, 2, 0], [2, 2, 1], LANEPOOL_INDEX_I32);
    layers.push(unpool);
    let indexed: Vec<_> = layers
        .iter()
        .filter(|desc| {
            matches!(desc.operation, LANEPOOL_MAX | LANEPOOL_MIN | LANEPOOL_ADAPTIVE_MAX | LANEPOOL_FRACTIONAL_MAX)
        })
        .map(|desc| lanepool_desc { index_type: LANEPOOL_INDEX_I64, ..*desc })
        .collect();
    layers.extend(indexed);
    let backward: Vec<_> = layers
        .iter()
        .filter(|desc| {
            let of_maximum = matches!(desc.operation, LANEPOOL_MAX | LANEPOOL_MIN | LANEPOOL_ADAPTIVE_MAX);
            let of_others = matches!(desc.operation, LANEPOOL_AVG | LANEPOOL_SUM | LANEPOOL_LP | LANEPOOL_ADAPTIVE_AVG);
            of_others || of_maximum && desc.index_type != LANEPOOL_INDEX_NONE
        })
        .map(|desc| lanepool_desc { direction: LANEPOOL_BACKWARD, ..*desc })
        .collect();
    assert_eq!(backward.len(), 7);
    layers.extend(backward);
    assert_eq!(layers.len(), 12 + 4 + 7);
    layers
}

fn told_alike(a: &lanepool_info, b: &lanepool_info) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

#[test]
fn a_description_tells_what_its_plan_does() {
    for layer in every_layer() {
        for layout in [(LANEPOOL_NCHW, 0), (LANEPOOL_NHWC, 0), (LANEPOOL_BLOCKED, 3)] {
            let layer = lanepool_desc { layout: layout.0, block: layout.1, ..layer };
            let (foretold, plan) =
                (foretold(&layer).expect("a valid layer"), Plan::new(&layer).expect("a valid layer"));
            assert!(told_alike(&foretold, &plan.info()), "{layer:?}: {foretold:?} and {:?}", plan.info());
        }
    }
    // Worked out by hand: 7 rows with one of padding before them, by 3 that move by 2; 9 columns by 2 that move by 3.
    let max = foretold(&every_layer()[0]).expect("a valid layer");
    assert_eq!((max.output_shape, max.output_bytes), ([2, 6, 3, 3, 0], 2 * 6 * 3 * 3 * 4));
    assert_eq!((max.pad_begin, max.pad_end), ([1, 0, 0], [0; 3]));
}

/// Strides that are not there yet are no mistake: they are what the shape was asked for.
#[test]
fn strides_are_not_asked_for() {
    let mut layer = pairs(LANEPOOL_MAX, LANEPOOL_F32, 7);
    layer.strided = 1;
    assert_eq!(Plan::new(&layer).expect_err("outputs in one place").0, LANEPOOL_GEOMETRY);
    let info = foretold(&layer).expect("a valid layer");
    assert_eq!((info.output_shape, info.input_bytes, info.output_bytes), ([1, 1, 3, 0, 0], 28, 12));
    (layer.input_strides[2], layer.output_strides[2]) = (2, 5);
    assert!(told_alike(&foretold(&layer).expect("a valid layer"), &info));
    // Those of the plan are of elements with their gaps: 6 steps of 2, and 2 of 5.
    let plan = Plan::new(&layer).expect("a valid layer").info();
    assert_eq!((plan.input_bytes, plan.output_bytes), (13 * 4, 11 * 4));
    layer.output_strides[2] = -5;
    assert!(foretold(&layer).is_ok());
}

#[test]
fn what_is_wrong_is_said_before() {
    let good = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
    let wrong = |desc: lanepool_desc| {
        let foretold = foretold(&desc).expect_err("a bad description");
        assert_eq!(foretold, Plan::new(&desc).expect_err("a bad description"));
        foretold.0
    };
    assert_eq!(wrong(lanepool_desc { kernel: [9; 3], ..good }), LANEPOOL_GEOMETRY);
    assert_eq!(wrong(lanepool_desc { operation: 0, ..good }), LANEPOOL_UNKNOWN_VALUE);
    assert_eq!(wrong(lanepool_desc { divisor: 3, ..good }), LANEPOOL_UNSUPPORTED);
    assert_eq!(wrong(lanepool_desc { reserved: 3, ..good }), LANEPOOL_UNSUPPORTED);
    let mut info = foretold(&good).expect("a valid layer");
    let size = size_of::<lanepool_info>();
    // SAFETY: null is what is tested.
    unsafe {
        let (status, sentence) = told(|error| lanepool_desc_info(null(), &mut info, size, error));
        assert!(status == LANEPOOL_NULL_POINTER && sentence.contains("description"), "{sentence}");
        let (status, sentence) = told(|error| lanepool_desc_info(&good, null_mut(), size, error));
        assert!(status == LANEPOOL_NULL_POINTER && sentence.contains("tells"), "{sentence}");
        let (status, _) = told(|error| lanepool_desc_info(&good, &mut info, 7, error));
        assert_eq!(status, LANEPOOL_STRUCT_SIZE);
        assert_eq!(lanepool_desc_info(&good, &mut info, size, null_mut()), LANEPOOL_OK);
    }
}

/// A program of the time before the padding was told.
#[test]
fn an_older_structure_is_filled_as_far_as_it_goes() {
    let older = core::mem::offset_of!(lanepool_info, pad_begin);
    let good = lanepool_desc { padding: LANEPOOL_PAD_SAME_UPPER, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 5) };
    let mut info = foretold(&good).expect("a valid layer");
    assert_eq!(info.pad_end, [1, 0, 0]);
    (info.output_bytes, info.pad_end) = (0, [77; 3]);
    // SAFETY: fewer bytes than there are.
    assert_eq!(told(|error| unsafe { lanepool_desc_info(&good, &mut info, older, error) }), ok());
    assert_eq!((info.output_bytes, info.pad_end), (12, [77; 3]));
}

#[test]
fn the_padding_of_same_is_told() {
    let same = |padding, element, operation| {
        let mut desc = desc(operation, element, &[1, 2, 6, 5]);
        (desc.kernel, desc.stride, desc.padding) = ([3, 2, 0], [2, 2, 1], padding);
        Plan::new(&desc).expect("a valid layer").info()
    };
    for (operation, element) in
        [(LANEPOOL_MAX, LANEPOOL_F32), (LANEPOOL_AVG, LANEPOOL_I8), (LANEPOOL_QUANTIZED_MAX, LANEPOOL_U8)]
    {
        // 3 outputs: windows of 3 that move by 2 cover 7 rows of 6; windows of 2 that move by 2 cover 6 columns of 5.
        let info = same(LANEPOOL_PAD_SAME_UPPER, element, operation);
        assert_eq!((info.pad_begin, info.pad_end), ([0; 3], [1, 1, 0]));
        let info = same(LANEPOOL_PAD_SAME_LOWER, element, operation);
        assert_eq!((info.pad_begin, info.pad_end), ([1, 1, 0], [0; 3]));
        let info = same(LANEPOOL_PAD_VALID, element, operation);
        assert_eq!((info.pad_begin, info.pad_end), ([0; 3], [0; 3]));
    }
    // What was given to unpooling, whose window counts in its output.
    let mut unpool = desc(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, &[1, 1, 4]);
    (unpool.kernel[0], unpool.stride[0], unpool.index_type) = (3, 2, LANEPOOL_INDEX_I32);
    (unpool.pad_begin[0], unpool.pad_end[0]) = (1, 0);
    let info = Plan::new(&unpool).expect("a valid layer").info();
    assert_eq!((info.output_shape[2], info.pad_begin, info.pad_end), (8, [1, 0, 0], [0; 3]));
}

/// A tier that this machine has is taken by every operation, and one that it lacks by none.
#[test]
fn tiers_are_alike_for_all() {
    for layer in every_layer() {
        for tier in LANEPOOL_TIER_SCALAR..=LANEPOOL_TIER_AVX512 {
            // SAFETY: no text is given.
            let missing = unsafe { lanepool_tier_missing(tier, null_mut()) };
            let plan = Plan::new(&lanepool_desc { tier, ..layer });
            match plan {
                Ok(plan) => {
                    assert_eq!(missing, LANEPOOL_OK, "{layer:?}");
                    let info = plan.info();
                    assert!(info.tier == tier || info.tier == LANEPOOL_TIER_BEST, "{layer:?}: {}", info.tier);
                }
                Err((status, sentence)) => {
                    assert_eq!((status, missing), (LANEPOOL_TIER_UNAVAILABLE, status), "{layer:?}: {sentence}");
                    assert!(sentence.contains("cannot run here"), "{sentence}");
                }
            }
        }
    }
}

/// Those who do not want the indices need no memory for them.
#[test]
fn a_gradient_from_the_input_needs_no_indices() {
    for index_type in [LANEPOOL_INDEX_I32, LANEPOOL_INDEX_I64] {
        let layer = lanepool_desc { direction: LANEPOOL_BACKWARD, index_type, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
        let plan = Plan::new(&layer).expect("a valid layer");
        let (x, dy, mut dx) = ([1.0_f32, 3.0, 2.0, 2.0, 7.0, 0.0], [10.0_f32, 20.0, 30.0], [9.0_f32; 6]);
        let run = |dx: &mut [f32], indices: (*mut core::ffi::c_void, usize)| {
            let (input, of_output, of_input) = (given(&x), given(&dy), lent(dx));
            // SAFETY: slices with their own lengths, and no indices.
            told(|error| unsafe {
                lanepool_plan_backward_max_from_input(
                    plan.0,
                    input.0,
                    input.1,
                    of_output.0,
                    of_output.1,
                    indices.0,
                    indices.1,
                    of_input.0,
                    of_input.1,
                    error,
                )
            })
        };
        assert_eq!(run(&mut dx, NOWHERE), ok());
        assert_eq!(dx, [0.0, 10.0, 20.0, 0.0, 30.0, 0.0]);
        // A buffer that is there has its length.
        let mut short = [0_i64; 1];
        let (status, sentence) = run(&mut [9.0; 6], lent(&mut short));
        assert!(status == LANEPOOL_LENGTH && sentence.contains("indices"), "{sentence}");
        let (status, _) = run(&mut [9.0; 6], (null_mut(), 12));
        assert_eq!(status, LANEPOOL_NULL_POINTER);
    }
}
