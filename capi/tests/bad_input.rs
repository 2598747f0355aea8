//! What C may get wrong, and what becomes of it: a status and a sentence, and not a byte written. Named by the rows of
//! `tests/bad_input/rows.txt` that are about the C interface.

mod common;

use core::ffi::{CStr, c_char, c_void};
use core::ptr::{null, null_mut};

use common::{NOTHING, NOWHERE, Plan, desc, given, lent, ok, pairs, told};
use lanepool_capi::*;

fn refused(desc: &lanepool_desc) -> (lanepool_status, String) {
    Plan::new(desc).expect_err("a bad description")
}

/// The status, and parts of the sentence.
fn says((status, sentence): (lanepool_status, String), want: lanepool_status, parts: &[&str]) {
    assert_eq!(status, want, "{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{sentence:?} does not say {part:?}");
    }
}

/// A plan of three outputs, its input and an output that must stay what it is.
fn working() -> (Plan, [f32; 6], [f32; 3]) {
    let plan = Plan::new(&pairs(LANEPOOL_MAX, LANEPOOL_F32, 6)).expect("a valid layer");
    (plan, [1.0, 3.0, 2.0, 2.0, 7.0, 0.0], [9.0; 3])
}

fn run(
    plan: *const lanepool_plan,
    src: (*const c_void, usize),
    dst: (*mut c_void, usize),
) -> (lanepool_status, String) {
    // SAFETY: pointers with their lengths, or such as the interface must refuse before it follows them.
    told(|error| unsafe { lanepool_plan_run(plan, src.0, src.1, dst.0, dst.1, error) })
}

#[test]
fn c01_null_pointers() {
    let (plan, src, mut dst) = working();
    let (from, to) = (given(&src), lent(&mut dst));
    says(run(null(), from, to), LANEPOOL_NULL_POINTER, &["plan"]);
    says(run(plan.0, (null(), 24), to), LANEPOOL_NULL_POINTER, &["input"]);
    says(run(plan.0, from, (null_mut(), 12)), LANEPOOL_NULL_POINTER, &["output"]);
    // Null without bytes is an empty buffer, which is too short here, and right for a batch of 0.
    says(run(plan.0, NOTHING, to), LANEPOOL_LENGTH, &["input", "0 bytes", "24"]);
    let empty = Plan::new(&lanepool_desc { kernel: [1; 3], ..desc(LANEPOOL_MAX, LANEPOOL_F32, &[0, 3, 5]) });
    let empty = empty.expect("a batch of 0");
    assert_eq!(run(empty.0, NOTHING, NOWHERE), ok());
    // SAFETY: null is what is tested; places for plans and texts.
    unsafe {
        assert_eq!(lanepool_plan_tasks(empty.0, 4), 0);
        assert_eq!(lanepool_plan_tasks(null(), 4), 0);
        assert_eq!(lanepool_desc_init(null_mut(), size_of::<lanepool_desc>()), LANEPOOL_NULL_POINTER);
        let mut made = null_mut();
        says(told(|error| lanepool_plan_create(null(), &mut made, error)), LANEPOOL_NULL_POINTER, &["description"]);
        let pairs = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
        says(told(|error| lanepool_plan_create(&pairs, null_mut(), error)), LANEPOOL_NULL_POINTER, &["place"]);
        says(told(|error| lanepool_plan_clone(null(), &mut made, error)), LANEPOOL_NULL_POINTER, &["plan"]);
        says(told(|error| lanepool_plan_clone(plan.0, null_mut(), error)), LANEPOOL_NULL_POINTER, &["place"]);
        assert!(made.is_null());
        let size = size_of::<lanepool_info>();
        says(told(|error| lanepool_plan_info(plan.0, null_mut(), size, error)), LANEPOOL_NULL_POINTER, &["tells"]);
        says(told(|error| lanepool_plan_info(null(), null_mut(), size, error)), LANEPOOL_NULL_POINTER, &["plan"]);
        says(told(|text| lanepool_plan_describe(null(), text)), LANEPOOL_NULL_POINTER, &["plan"]);
        assert_eq!(lanepool_plan_describe(plan.0, null_mut()), LANEPOOL_NULL_POINTER);
        assert_eq!(lanepool_plan_kernel(plan.0, null_mut()), LANEPOOL_NULL_POINTER);
        // A caller who does not want to read.
        assert_eq!(lanepool_plan_create(null(), &mut made, null_mut()), LANEPOOL_NULL_POINTER);
        // A text without memory.
        let mut text = lanepool_text { data: null_mut(), bytes: 5, needed: 0 };
        assert_eq!(lanepool_plan_create(&pairs, &mut made, &mut text), LANEPOOL_NULL_POINTER);
        assert!(made.is_null(), "a plan was made that nobody can destroy");
        lanepool_plan_destroy(null_mut());
    }
    drop(plan);
    assert_eq!(dst, [9.0; 3], "a refused run wrote");
}

#[test]
fn c02_misaligned_pointers() {
    let (plan, src, mut dst) = working();
    let memory = [0_u64; 8];
    let odd = (memory.as_ptr().cast::<u8>().wrapping_add(1).cast(), 24);
    says(run(plan.0, odd, lent(&mut dst)), LANEPOOL_MISALIGNED, &["input", "4"]);
    let mut memory = [0_u64; 8];
    let odd = (memory.as_mut_ptr().cast::<u8>().wrapping_add(2).cast(), 12);
    says(run(plan.0, given(&src), odd), LANEPOOL_MISALIGNED, &["output", "4"]);
    assert_eq!(memory, [0; 8]);
    let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I64, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    let indexed = Plan::new(&indexed).expect("a valid layer");
    let (from, to) = (given(&src), lent(&mut dst));
    let at = memory.as_mut_ptr().cast::<u8>().wrapping_add(4).cast();
    // SAFETY: inside `memory`.
    let call = |error| unsafe { lanepool_plan_run_with_indices(indexed.0, from.0, from.1, to.0, to.1, at, 24, error) };
    says(told(call), LANEPOOL_MISALIGNED, &["indices", "8"]);
    // Structures.
    let pairs = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
    let mut made = [null_mut::<lanepool_plan>(); 2];
    let mut words = [0_u64; 64];
    let bytes = words.as_mut_ptr().cast::<u8>().wrapping_add(1);
    // SAFETY: misaligned is what is tested; there is memory behind.
    unsafe {
        says(
            told(|error| lanepool_plan_create(bytes.cast(), &mut made[0], error)),
            LANEPOOL_MISALIGNED,
            &["description"],
        );
        says(told(|error| lanepool_plan_create(&pairs, bytes.cast(), error)), LANEPOOL_MISALIGNED, &["place"]);
        assert_eq!(lanepool_plan_create(&pairs, &mut made[0], bytes.cast()), LANEPOOL_MISALIGNED);
        assert_eq!(lanepool_desc_init(bytes.cast(), size_of::<lanepool_desc>()), LANEPOOL_MISALIGNED);
        let size = size_of::<lanepool_info>();
        says(told(|error| lanepool_plan_info(plan.0, bytes.cast(), size, error)), LANEPOOL_MISALIGNED, &["tells"]);
        says(
            told(|error| lanepool_plan_run(bytes.cast(), null(), 0, null_mut(), 0, error)),
            LANEPOOL_BAD_PLAN,
            &["plan"],
        );
    }
    assert!(made[0].is_null() && words == [0; 64] && dst == [9.0; 3], "a refused call wrote");
    // Samples are looked at when their type is known.
    let mut fractional = desc(LANEPOOL_FRACTIONAL_MAX, LANEPOOL_F64, &[1, 1, 7]);
    (fractional.kernel[0], fractional.output[0]) = (2, 3);
    let fractional = Plan::new(&fractional).expect("a valid layer");
    let (src, mut dst) = ([0.0_f64; 7], [0.0_f64; 3]);
    let (from, to) = (given(&src), lent(&mut dst));
    let odd = memory.as_ptr().cast::<u8>().wrapping_add(4).cast();
    // SAFETY: inside `memory`.
    let call = |error| unsafe {
        lanepool_plan_run_fractional(fractional.0, from.0, from.1, odd, 8, to.0, to.1, null_mut(), 0, error)
    };
    says(told(call), LANEPOOL_MISALIGNED, &["samples", "8"]);
}

#[test]
fn c03_overlap() {
    let (plan, ..) = working();
    let mut memory = [5.0_f32; 16];
    let start = memory.as_mut_ptr();
    let at = |from: usize, len: usize| (start.wrapping_add(from).cast::<c_void>(), len * 4);
    for (src, dst) in [(0, 0), (0, 5), (2, 0), (4, 6), (1, 3)] {
        let (from, to) = (at(src, 6), at(dst, 3));
        says(run(plan.0, (from.0, from.1), to), LANEPOOL_OVERLAP, &["input", "output"]);
    }
    assert_eq!(memory, [5.0; 16], "a refused run wrote");
    // Side by side is not overlapping.
    for (src, dst) in [(0, 6), (3, 0)] {
        let (from, to) = (at(src, 6), at(dst, 3));
        assert_eq!(run(plan.0, (from.0, from.1), to), ok());
    }
    // Two outputs, and an output with each input.
    let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    let indexed = Plan::new(&indexed).expect("a valid layer");
    for (src, dst, indices) in [(0, 6, 8), (0, 12, 5), (6, 0, 2)] {
        let (from, to, index) = (at(src, 6), at(dst, 3), at(indices, 3));
        // SAFETY: inside `memory`.
        let call = |error| unsafe {
            lanepool_plan_run_with_indices(indexed.0, from.0, from.1, to.0, to.1, index.0, index.1, error)
        };
        says(told(call), LANEPOOL_OVERLAP, &["indices"]);
        // SAFETY: inside `memory`.
        let call = |error| unsafe {
            lanepool_plan_run_task(indexed.0, 1, 0, from.0, from.1, to.0, to.1, index.0, index.1, error)
        };
        says(told(call), LANEPOOL_OVERLAP, &["indices"]);
    }
    let from = at(0, 6);
    let index = at(3, 3);
    // SAFETY: inside `memory`.
    let call = |error| unsafe { lanepool_plan_run_indices(indexed.0, from.0, from.1, index.0, index.1, error) };
    says(told(call), LANEPOOL_OVERLAP, &["indices", "input"]);

    let unpool = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, 3) };
    let unpool = Plan::new(&unpool).expect("a valid layer");
    let back = |operation, index_type| {
        let desc = lanepool_desc { direction: LANEPOOL_BACKWARD, index_type, ..pairs(operation, LANEPOOL_F32, 6) };
        Plan::new(&desc).expect("a valid layer")
    };
    let (avg, lp) = (back(LANEPOOL_AVG, LANEPOOL_INDEX_NONE), back(LANEPOOL_LP, LANEPOOL_INDEX_NONE));
    let max = back(LANEPOOL_MAX, LANEPOOL_INDEX_I32);
    let (three, six) = (at(0, 3), at(2, 6));
    let apart = at(9, 3);
    let free = at(10, 6);
    // SAFETY: inside `memory`.
    unsafe {
        let call = |error| lanepool_plan_unpool(unpool.0, three.0, 12, apart.0, 12, six.0, 24, error);
        says(told(call), LANEPOOL_OVERLAP, &["input", "output"]);
        let call = |error| lanepool_plan_unpool(unpool.0, apart.0, 12, three.0, 12, six.0, 24, error);
        says(told(call), LANEPOOL_OVERLAP, &["indices", "output"]);
        let call = |error| lanepool_plan_backward(avg.0, three.0, 12, six.0, 24, error);
        says(told(call), LANEPOOL_OVERLAP, &["gradient"]);
        let call = |error| lanepool_plan_backward_max(max.0, apart.0, 12, three.0, 12, six.0, 24, error);
        says(told(call), LANEPOOL_OVERLAP, &["indices", "gradient"]);
        let call = |error| {
            lanepool_plan_backward_max_from_input(max.0, free.0, 24, apart.0, 12, three.0, 12, six.0, 24, error)
        };
        says(told(call), LANEPOOL_OVERLAP, &["indices", "gradient of the input"]);
        let call = |error| lanepool_plan_backward_lp(lp.0, free.0, 24, apart.0, 12, three.0, 12, six.0, 24, error);
        says(told(call), LANEPOOL_OVERLAP, &["gradient of the output", "gradient of the input"]);
    }
}

#[test]
fn c04_lengths_that_wrap() {
    let (plan, src, mut dst) = working();
    for bytes in [usize::MAX, isize::MAX as usize + 1] {
        says(run(plan.0, (src.as_ptr().cast(), bytes), lent(&mut dst)), LANEPOOL_SIZE_OVERFLOW, &["input"]);
        says(run(plan.0, given(&src), (dst.as_mut_ptr().cast(), bytes)), LANEPOOL_SIZE_OVERFLOW, &["output"]);
    }
    // A pointer near the end of the address space.
    let end = core::ptr::without_provenance::<c_void>(usize::MAX - 7);
    says(run(plan.0, (end, 24), lent(&mut dst)), LANEPOOL_SIZE_OVERFLOW, &["input"]);
    assert_eq!(dst, [9.0; 3]);
    let mut text = lanepool_text { data: dst.as_mut_ptr().cast(), bytes: usize::MAX, needed: 0 };
    let mut made = null_mut();
    // SAFETY: such a text is refused before it is followed.
    let status = unsafe { lanepool_plan_create(null(), &mut made, &mut text) };
    assert_eq!(status, LANEPOOL_SIZE_OVERFLOW);
}

/// A buffer that is a byte too short or too long.
#[test]
fn buffers_of_another_length() {
    let (plan, src, mut dst) = working();
    for got in [20, 23, 25] {
        says(run(plan.0, (given(&src).0, got), lent(&mut dst)), LANEPOOL_LENGTH, &["input", &got.to_string(), "24"]);
    }
    for got in [8, 11, 13] {
        let to = (lent(&mut dst).0, got);
        says(run(plan.0, given(&src), to), LANEPOOL_LENGTH, &["output", &got.to_string(), "12"]);
        let (from, none) = (given(&src), NOWHERE);
        // SAFETY: at most a byte beyond `dst`, which is refused before it is followed.
        let call =
            |error| unsafe { lanepool_plan_run_task(plan.0, 1, 0, from.0, from.1, to.0, to.1, none.0, none.1, error) };
        says(told(call), LANEPOOL_LENGTH, &["output", &got.to_string(), "12"]);
    }
    assert_eq!(dst, [9.0; 3], "a refused run wrote");
}

/// Every field that is an enumerator or a truth value, with a number that is none.
#[test]
fn c05_unknown_enumerators() {
    type Field = (&'static str, fn(&mut lanepool_desc) -> &mut i32);
    let fields: [Field; 18] = [
        ("operation", |desc| &mut desc.operation),
        ("direction", |desc| &mut desc.direction),
        ("element", |desc| &mut desc.element),
        ("layout", |desc| &mut desc.layout),
        ("padding", |desc| &mut desc.padding),
        ("ceil_rule", |desc| &mut desc.ceil_rule),
        ("nan_policy", |desc| &mut desc.nan_policy),
        ("rounding", |desc| &mut desc.rounding),
        ("index_type", |desc| &mut desc.index_type),
        ("index_kind", |desc| &mut desc.index_kind),
        ("tier", |desc| &mut desc.tier),
        ("divide_by", |desc| &mut desc.divide_by),
        ("global", |desc| &mut desc.global),
        ("allow_empty_windows", |desc| &mut desc.allow_empty_windows),
        ("ceil_mode", |desc| &mut desc.ceil_mode),
        ("output_is_given", |desc| &mut desc.output_is_given),
        ("output_is_padded", |desc| &mut desc.output_is_padded),
        ("clamp", |desc| &mut desc.clamp),
    ];
    for (name, field) in fields {
        for value in [-1, 99, i32::MAX, i32::MIN] {
            let mut desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
            *field(&mut desc) = value;
            says(refused(&desc), LANEPOOL_UNKNOWN_VALUE, &[name, &value.to_string()]);
        }
    }
    let mut desc = pairs(LANEPOOL_LP, LANEPOOL_F32, 6);
    desc.mean = 2;
    says(refused(&desc), LANEPOOL_UNKNOWN_VALUE, &["mean", "2"]);
    // What was never set.
    says(refused(&pairs(0, LANEPOOL_F32, 6)), LANEPOOL_UNKNOWN_VALUE, &["operation is 0", "LANEPOOL_MAX_UNPOOL"]);
    says(refused(&pairs(LANEPOOL_MAX, 0, 6)), LANEPOOL_UNKNOWN_VALUE, &["element is 0", "LANEPOOL_BF16"]);
    for axes in [0, 4, -1, i32::MIN] {
        let desc = lanepool_desc { spatial_axes: axes, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
        says(refused(&desc), LANEPOOL_GEOMETRY, &["spatial_axes", &axes.to_string()]);
    }
    // SAFETY: numbers, and a text that is there.
    unsafe {
        assert!(lanepool_tier_name(6).is_null() && lanepool_tier_name(-1).is_null());
        says(told(|why| lanepool_tier_missing(77, why)), LANEPOOL_UNKNOWN_VALUE, &["tier is 77"]);
        says(told(|why| lanepool_selftest(77, why)), LANEPOOL_UNKNOWN_VALUE, &["tier is 77"]);
    }
}

/// The sizes of structures: older ones have defaults for what they lack, newer ones may not ask for what is unknown.
#[test]
fn c06_structures_of_another_size() {
    let known = size_of::<lanepool_desc>();
    for size in [0, 4, 7, 12, known as u64 + 1, known as u64 + 4, 4104, u64::MAX] {
        let desc = lanepool_desc { struct_size: size, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
        says(refused(&desc), LANEPOOL_STRUCT_SIZE, &["description", &size.to_string()]);
    }
    // An older header, which ends before `padding`: what follows is not read.
    let older = core::mem::offset_of!(lanepool_desc, padding) as u64;
    let desc = lanepool_desc { struct_size: older, ceil_mode: 77, tier: 77, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    let plan = Plan::new(&desc).expect("an older description");
    let mut dst = [0.0_f32; 3];
    assert_eq!(plan.run(&[1.0_f32, 3.0, 2.0, 2.0, 7.0, 0.0], &mut dst), ok());
    assert_eq!(dst, [3.0, 2.0, 7.0]);
    // The first word alone: an operation that was not given.
    let desc = lanepool_desc { struct_size: 8, ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    says(refused(&desc), LANEPOOL_UNKNOWN_VALUE, &["operation"]);

    // A newer header.
    #[repr(C)]
    struct Newer {
        desc: lanepool_desc,
        more: [u8; 16],
    }
    let mut newer = Newer { desc: pairs(LANEPOOL_MAX, LANEPOOL_F32, 6), more: [0x55; 16] };
    newer.desc.struct_size = size_of::<Newer>() as u64;
    says(refused(&newer.desc), LANEPOOL_STRUCT_SIZE, &["newer"]);
    newer.more = [0; 16];
    newer.more[15] = 1;
    let mut made = null_mut();
    let from = (&raw const newer).cast();
    // SAFETY: the whole structure is there.
    says(
        told(|error| unsafe { lanepool_plan_create(from, &mut made, error) }),
        LANEPOOL_STRUCT_SIZE,
        &["newer", &format!("byte {}", size_of::<Newer>() - 1)],
    );
    newer.more[15] = 0;
    let from = (&raw const newer).cast();
    // SAFETY: the whole structure is there.
    assert_eq!(told(|error| unsafe { lanepool_plan_create(from, &mut made, error) }), ok());
    // SAFETY: a plan, destroyed once.
    unsafe { lanepool_plan_destroy(made) };

    // What is filled in: no byte more than asked for, and zero in what is not known.
    newer.more = [0x55; 16];
    newer.desc.output_strides[4] = 0x55;
    let to: *mut lanepool_desc = (&raw mut newer).cast();
    // SAFETY: the whole structure is there.
    unsafe {
        assert_eq!(lanepool_desc_init(to, size_of::<Newer>()), LANEPOOL_OK);
        assert_eq!(((*to).struct_size, newer.more), (size_of::<Newer>() as u64, [0; 16]));
        newer.more = [0x55; 16];
        newer.desc.output_strides[4] = 0x55;
        assert_eq!(lanepool_desc_init((&raw mut newer).cast(), known - 8), LANEPOOL_OK);
        assert_eq!((newer.desc.output_strides[4], newer.desc.struct_size), (0x55, known as u64 - 8));
        for size in [0, 4, known + 1, 4104, usize::MAX] {
            assert_eq!(lanepool_desc_init((&raw mut newer).cast(), size), LANEPOOL_STRUCT_SIZE);
        }
        assert_eq!(newer.more, [0x55; 16]);
    }
    let (plan, ..) = working();
    let mut info = [0x55_u64; 40];
    // SAFETY: as many bytes as are said.
    unsafe {
        assert_eq!(lanepool_plan_info(plan.0, info.as_mut_ptr().cast(), 16, null_mut()), LANEPOOL_OK);
        assert_eq!(info[..3], [size_of::<lanepool_info>() as u64, 24, 0x55]);
        assert_eq!(lanepool_plan_info(plan.0, info.as_mut_ptr().cast(), 320, null_mut()), LANEPOOL_OK);
        assert_eq!(info[size_of::<lanepool_info>() / 8..].iter().sum::<u64>(), 0);
        let call = |error| lanepool_plan_info(plan.0, info.as_mut_ptr().cast(), 12, error);
        says(told(call), LANEPOOL_STRUCT_SIZE, &["12"]);
    }
}

/// What is not a plan is told from one, as far as can be seen; a destroyed one leaves no mark that says "plan".
#[test]
fn c07_what_is_no_plan() {
    let memory = [0_u64; 8];
    let (_, src, mut dst) = working();
    says(run(memory.as_ptr().cast(), given(&src), lent(&mut dst)), LANEPOOL_BAD_PLAN, &["destroyed"]);
    // SAFETY: memory that is there and is no plan: it is left alone.
    unsafe { lanepool_plan_destroy(memory.as_ptr().cast_mut().cast()) };
    // SAFETY: the same.
    assert_eq!(unsafe { lanepool_plan_tasks(memory.as_ptr().cast(), 3) }, 0);
}

/// One plan in many threads, each with its own output; clones outlive what they were made from.
#[test]
fn one_plan_on_many_threads() {
    let (plan, src, _) = working();
    let mut clone = null_mut();
    // SAFETY: a plan, and a place for one.
    assert_eq!(told(|error| unsafe { lanepool_plan_clone(plan.0, &mut clone, error) }), ok());
    let plans = [plan, Plan(clone)];
    std::thread::scope(|scope| {
        for i in 0..8 {
            let plan = &plans[i % 2];
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut dst = [0.0_f32; 3];
                    assert_eq!(plan.run(&src, &mut dst), ok());
                    assert_eq!(dst, [3.0, 2.0, 7.0]);
                }
            });
        }
    });
    let [plan, clone] = plans;
    drop(plan);
    let mut dst = [0.0_f32; 3];
    assert_eq!(clone.run(&src, &mut dst), ok());
}

/// The sentence is in the caller's memory, whole or cut off at a character, and always ends.
#[test]
fn c14_texts_are_the_callers() {
    let bad = lanepool_desc { kernel: [0; 3], ..pairs(LANEPOOL_MAX, LANEPOOL_F32, 6) };
    let (status, whole) = refused(&bad);
    says((status, whole.clone()), LANEPOOL_GEOMETRY, &["kernel", "width"]);
    let mut made = null_mut();
    for bytes in 0..=whole.len() + 2 {
        let mut memory = vec![0x55_u8; whole.len() + 8];
        let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes, needed: 0 };
        // SAFETY: as many bytes as are said.
        let status = unsafe { lanepool_plan_create(&bad, &mut made, &mut text) };
        assert_eq!((status, text.needed), (LANEPOOL_GEOMETRY, whole.len() + 1));
        assert!(memory[bytes..].iter().all(|byte| *byte == 0x55), "written beyond {bytes} bytes");
        if bytes > 0 {
            let told = CStr::from_bytes_until_nul(&memory).expect("a text that ends").to_str().expect("UTF-8");
            assert_eq!(told, &whole[..(bytes - 1).min(whole.len())]);
        }
    }
    // A description has an arrow of three bytes: it is written whole or not at all.
    let (plan, ..) = working();
    // SAFETY: a plan.
    let (status, whole) = told(|text| unsafe { lanepool_plan_describe(plan.0, text) });
    assert_eq!(status, LANEPOOL_OK);
    assert!(whole.starts_with("max f32 nchw 2/2 → "), "{whole}");
    let arrow = whole.find('→').expect("an arrow");
    for cut in 1..4 {
        let mut memory = [0x55_u8; 256];
        let bytes = arrow + cut;
        let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes, needed: 0 };
        // SAFETY: as many bytes as are said.
        assert_eq!(unsafe { lanepool_plan_describe(plan.0, &mut text) }, LANEPOOL_OK);
        let told = CStr::from_bytes_until_nul(&memory).expect("a text that ends").to_str().expect("UTF-8");
        assert_eq!((told, text.needed), (&whole[..arrow], whole.len() + 1));
    }
    // SAFETY: a plan.
    let (status, kernel) = told(|text| unsafe { lanepool_plan_kernel(plan.0, text) });
    assert!(status == LANEPOOL_OK && whole.contains(&kernel) && !kernel.is_empty(), "{kernel}");
    // Success leaves an empty sentence, not the last one.
    let desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
    // SAFETY: a description and a place for a plan.
    assert_eq!(told(|error| unsafe { lanepool_plan_create(&desc, &mut made, error) }), ok());
    // SAFETY: a plan, destroyed once.
    unsafe { lanepool_plan_destroy(made) };
}

/// A status for everything that the library refuses, with its own sentence.
#[test]
fn every_status_is_given() {
    let pairs = |operation| pairs(operation, LANEPOOL_F32, 6);
    let max = pairs(LANEPOOL_MAX);
    // Numbers of C's that no Rust function takes.
    let negative = |change: fn(&mut lanepool_desc)| {
        let mut desc = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 1, 6, 6]);
        desc.kernel = [2, 2, 0];
        change(&mut desc);
        refused(&desc)
    };
    says(negative(|desc| desc.kernel[0] = -1), LANEPOOL_GEOMETRY, &["kernel is -1", "axis 2 (height)"]);
    says(negative(|desc| desc.stride[1] = i64::MIN), LANEPOOL_GEOMETRY, &["stride", "axis 3 (width)"]);
    says(negative(|desc| desc.dilation[1] = -2), LANEPOOL_GEOMETRY, &["dilation is -2"]);
    says(negative(|desc| desc.pad_begin[0] = -1), LANEPOOL_GEOMETRY, &["pad_begin is -1"]);
    says(negative(|desc| desc.pad_end[1] = -1), LANEPOOL_GEOMETRY, &["pad_end is -1"]);
    says(negative(|desc| desc.shape[0] = -1), LANEPOOL_GEOMETRY, &["shape is -1", "axis 0 (batch)"]);
    says(negative(|desc| desc.shape[1] = -1), LANEPOOL_GEOMETRY, &["axis 1 (channels)"]);
    says(negative(|desc| desc.shape[3] = -1), LANEPOOL_GEOMETRY, &["axis 3 (width)"]);
    says(negative(|desc| desc.block = -8), LANEPOOL_GEOMETRY, &["block is -8"]);
    says(negative(|desc| desc.divisor = -8), LANEPOOL_GEOMETRY, &["divisor is -8"]);
    says(negative(|desc| desc.stride[0] = 0), LANEPOOL_GEOMETRY, &["stride", "height"]);
    says(negative(|desc| desc.kernel[1] = 9), LANEPOOL_GEOMETRY, &["9", "6", "width"]);
    says(negative(|desc| desc.pad_begin[1] = 2), LANEPOOL_GEOMETRY, &["padding 2"]);
    says(negative(|desc| desc.shape[2] = 0), LANEPOOL_GEOMETRY, &["length 0", "height"]);
    says(negative(|desc| (desc.layout, desc.block) = (LANEPOOL_BLOCKED, 3)), LANEPOOL_GEOMETRY, &["3", "1 channels"]);
    says(negative(|desc| desc.shape[0] = i64::MAX), LANEPOOL_SIZE_OVERFLOW, &["address space"]);

    let avg = lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_DIVISOR, ..pairs(LANEPOOL_AVG) };
    says(refused(&avg), LANEPOOL_BAD_NUMBER, &["divisor is 0"]);
    says(refused(&lanepool_desc { p: f64::NAN, ..pairs(LANEPOOL_LP) }), LANEPOOL_BAD_NUMBER, &["NaN"]);
    let clamp = lanepool_desc { clamp: 1, clamp_low: 2.0, clamp_high: 1.0, ..max };
    says(refused(&clamp), LANEPOOL_BAD_NUMBER, &["2 to 1"]);
    let quantized = common::pairs(LANEPOOL_QUANTIZED_AVG, LANEPOOL_U8, 6);
    says(
        refused(&lanepool_desc { output_scale: 0.0, ..quantized }),
        LANEPOOL_BAD_NUMBER,
        &["scale of the output is 0"],
    );
    says(refused(&lanepool_desc { input_zero_point: 256, ..quantized }), LANEPOOL_BAD_NUMBER, &["256", "255"]);

    let mut wide = desc(LANEPOOL_SUM, LANEPOOL_I32, &[1, 1, 1 << 59]);
    wide.global = 1;
    says(refused(&wide), LANEPOOL_SUM_OVERFLOW, &["i32"]);
    let mut far = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 1, 1 << 40]);
    (far.kernel[0], far.index_type) = (1, LANEPOOL_INDEX_I32);
    says(refused(&far), LANEPOOL_BAD_INDEX, &["i32", &((1_u64 << 40) - 1).to_string()]);

    for tier in LANEPOOL_TIER_SCALAR..=LANEPOOL_TIER_AVX512 {
        // SAFETY: no text is given.
        if unsafe { lanepool_tier_missing(tier, null_mut()) } != LANEPOOL_OK {
            let missing = refused(&lanepool_desc { tier, ..max });
            says(missing, LANEPOOL_TIER_UNAVAILABLE, &["cannot run here"]);
            // SAFETY: a number, and a text that is there.
            says(told(|why| unsafe { lanepool_tier_missing(tier, why) }), LANEPOOL_TIER_UNAVAILABLE, &[]);
            // SAFETY: the same.
            says(told(|why| unsafe { lanepool_selftest(tier, why) }), LANEPOOL_TIER_UNAVAILABLE, &["cannot run here"]);
        }
    }

    // Combinations that there are not.
    let unsupported = |desc: lanepool_desc, parts: &[&str]| says(refused(&desc), LANEPOOL_UNSUPPORTED, parts);
    unsupported(common::pairs(LANEPOOL_LP, LANEPOOL_I8, 6), &["floats"]);
    unsupported(common::pairs(LANEPOOL_QUANTIZED_MAX, LANEPOOL_F32, 6), &["u8, i8 or i16"]);
    unsupported(
        lanepool_desc { direction: LANEPOOL_BACKWARD, element: LANEPOOL_I8, ..pairs(LANEPOOL_AVG) },
        &["floats", "i8"],
    );
    unsupported(lanepool_desc { direction: LANEPOOL_BACKWARD, ..max }, &["LANEPOOL_MAX backward", "index_type"]);
    let no_norm = lanepool_desc { direction: LANEPOOL_BACKWARD, p: -3.0, ..pairs(LANEPOOL_LP) };
    says(refused(&no_norm), LANEPOOL_BAD_NUMBER, &["-3"]);
    let wider = lanepool_desc { input_scale: 0.5, ..common::pairs(LANEPOOL_QUANTIZED_AVG, LANEPOOL_I16, 6) };
    says(refused(&wider), LANEPOOL_BAD_NUMBER, &["0.5", "16 bits"]);
    unsupported(
        lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..common::pairs(LANEPOOL_QUANTIZED_AVG, LANEPOOL_U8, 6) },
        &["index_type", "LANEPOOL_QUANTIZED_AVG"],
    );
    let quantized_back = lanepool_desc { direction: LANEPOOL_BACKWARD, ..pairs(LANEPOOL_QUANTIZED_AVG) };
    unsupported(quantized_back, &["LANEPOOL_QUANTIZED_AVG", "no backward"]);
    unsupported(pairs(LANEPOOL_MAX_UNPOOL), &["LANEPOOL_MAX_UNPOOL", "index_type"]);
    unsupported(
        lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_AVG) },
        &["index_type", "LANEPOOL_AVG"],
    );
    let missing =
        ["index_kind is LANEPOOL_INDEX_TAP", "index_type is missing", "LANEPOOL_INDEX_I32 or LANEPOOL_INDEX_I64"];
    for operation in [LANEPOOL_MAX, LANEPOOL_MIN, LANEPOOL_MAX_UNPOOL] {
        unsupported(lanepool_desc { index_kind: LANEPOOL_INDEX_TAP, ..pairs(operation) }, &missing);
    }
    // An operation that has no indices has no kind of them either.
    let avg = lanepool_desc { index_kind: LANEPOOL_INDEX_TAP, ..pairs(LANEPOOL_AVG) };
    unsupported(avg, &["index_kind has no meaning for LANEPOOL_AVG"]);
    let tap =
        lanepool_desc { index_kind: LANEPOOL_INDEX_TAP, index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX_UNPOOL) };
    unsupported(tap, &["tap"]);
    unsupported(lanepool_desc { global: 1, kernel: [0; 3], ..max }, &["global"]);
    unsupported(lanepool_desc { global: 1, stride: [1; 3], ..max }, &["kernel"]);
    unsupported(lanepool_desc { padding: LANEPOOL_PAD_SAME_UPPER, pad_end: [1; 3], ..max }, &["pad_end"]);
    unsupported(lanepool_desc { block: 8, ..max }, &["block", "LANEPOOL_BLOCKED"]);
    // Strides: not where nothing is strided, and not so that outputs overlap, indices among them.
    let strides = |output: i64| lanepool_desc {
        strided: 1,
        input_strides: [96, 96, 8, 1, 0],
        output_strides: [96, 96, output, 1, 0],
        ..pairs(LANEPOOL_MAX)
    };
    unsupported(lanepool_desc { strided: 0, ..strides(8) }, &["input_strides", "strided is 1"]);
    unsupported(lanepool_desc { reserved: 1, ..pairs(LANEPOOL_MAX) }, &["reserved"]);
    let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..strides(0) };
    says(refused(&indexed), LANEPOOL_GEOMETRY, &["the stride of the output is 0 on axis 2 (width)"]);
    says(refused(&lanepool_desc { strided: 2, ..strides(8) }), LANEPOOL_UNKNOWN_VALUE, &["strided is 2"]);
    says(refused(&strides(0)), LANEPOOL_GEOMETRY, &["the stride of the output is 0 on axis 2 (width)"]);
    // What cannot be done yet names the way round.
    let backwards =
        ["output_strides is -1 on axis 2 (width)", "copied before or after, from or to one that goes forwards"];
    says(refused(&strides(-1)), LANEPOOL_GEOMETRY, &backwards);
    let turned = lanepool_desc { input_strides: [6, -6, 1, 0, 0], output_strides: [3, 3, 1, 0, 0], ..strides(1) };
    says(refused(&turned), LANEPOOL_GEOMETRY, &["input_strides is -6 on axis 1 (channels)", "goes backwards"]);
    let mut planar = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 3, 4, 4]);
    (planar.kernel, planar.stride, planar.strided) = ([2, 2, 0], [2, 2, 1], 1);
    (planar.input_strides, planar.output_strides) = ([48, 16, 4, 1, 0], [12, 1, 6, 3, 0]);
    let out = ["the output is 1 on axis 1 (channels)", "an output in another layout is reordered afterwards"];
    says(refused(&planar), LANEPOOL_GEOMETRY, &out);
    let last = lanepool_desc { layout: LANEPOOL_NHWC, ..planar };
    let side = ["the input is 16 on axis 1 (channels)", "a tensor in another layout is reordered before or after"];
    says(refused(&last), LANEPOOL_GEOMETRY, &side);
    unsupported(lanepool_desc { divisor: 8, ..pairs(LANEPOOL_AVG) }, &["divisor", "LANEPOOL_DIVIDE_BY_DIVISOR"]);
    let needless: [(&str, lanepool_desc); 11] = [
        ("nan_policy", lanepool_desc { nan_policy: LANEPOOL_NAN_IGNORE, ..pairs(LANEPOOL_SUM) }),
        ("rounding", lanepool_desc { rounding: LANEPOOL_ROUND_HALF_AWAY, ..max }),
        ("divide_by", lanepool_desc { divide_by: LANEPOOL_DIVIDE_BY_PADDED, ..pairs(LANEPOOL_SUM) }),
        ("output", lanepool_desc { output: [3; 3], ..max }),
        ("output_is_given", lanepool_desc { output_is_given: 1, ..max }),
        ("output_is_padded", lanepool_desc { output_is_padded: 1, ..max }),
        ("p ", lanepool_desc { p: 3.0, ..max }),
        ("mean", lanepool_desc { mean: 1, ..max }),
        ("clamp", lanepool_desc { clamp: 1, direction: LANEPOOL_BACKWARD, ..pairs(LANEPOOL_AVG) }),
        ("input_scale", lanepool_desc { input_scale: 2.0, ..max }),
        ("kernel", lanepool_desc { output: [3; 3], ..pairs(LANEPOOL_ADAPTIVE_MAX) }),
    ];
    for (field, desc) in needless {
        unsupported(desc, &[field, "no meaning"]);
    }
}

/// A function that does not run a plan names those that do.
#[test]
fn the_wrong_function_names_the_right_one() {
    let (plan, src, mut dst) = working();
    let mut at = [7_i32; 3];
    says(plan.run_with_indices(&src, &mut dst, &mut at), LANEPOOL_WRONG_FUNCTION, &["lanepool_plan_run,"]);
    let indexed = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MIN, LANEPOOL_F32, 6) };
    let indexed = Plan::new(&indexed).expect("a valid layer");
    says(indexed.run(&src, &mut dst), LANEPOOL_WRONG_FUNCTION, &["lanepool_plan_run_with_indices"]);
    let unpool = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, 3) };
    let unpool = Plan::new(&unpool).expect("a valid layer");
    says(unpool.run(&dst.clone(), &mut src.clone()), LANEPOOL_WRONG_FUNCTION, &["lanepool_plan_unpool"]);
    for (operation, index_type, name) in [
        (LANEPOOL_AVG, LANEPOOL_INDEX_NONE, "lanepool_plan_backward"),
        (LANEPOOL_LP, LANEPOOL_INDEX_NONE, "lanepool_plan_backward_lp"),
        (LANEPOOL_MAX, LANEPOOL_INDEX_I64, "lanepool_plan_backward_max_from_input"),
    ] {
        let desc = lanepool_desc { direction: LANEPOOL_BACKWARD, index_type, ..pairs(operation, LANEPOOL_F32, 6) };
        let back = Plan::new(&desc).expect("a valid layer");
        says(back.run(&src, &mut dst), LANEPOOL_WRONG_FUNCTION, &[name]);
        // SAFETY: a plan.
        assert_eq!(unsafe { lanepool_plan_tasks(back.0, 4) }, 0);
        let (from, to) = (given(&src), lent(&mut dst));
        // SAFETY: slices with their own lengths.
        let call = |error| unsafe { lanepool_plan_run_task(back.0, 1, 0, from.0, 24, to.0, 12, null_mut(), 0, error) };
        says(told(call), LANEPOOL_WRONG_FUNCTION, &["tasks"]);
    }
    let mut fractional = desc(LANEPOOL_FRACTIONAL_MAX, LANEPOOL_F32, &[1, 1, 6]);
    (fractional.kernel[0], fractional.output[0]) = (2, 3);
    let fractional = Plan::new(&fractional).expect("a valid layer");
    says(fractional.run(&src, &mut dst), LANEPOOL_WRONG_FUNCTION, &["lanepool_plan_run_fractional"]);
    let sample = [f32::NAN];
    let (from, to) = (given(&src), lent(&mut dst));
    // SAFETY: slices with their own lengths.
    let call = |error| unsafe {
        let sample = given(&sample);
        lanepool_plan_run_fractional(fractional.0, from.0, 24, sample.0, 4, to.0, 12, null_mut(), 0, error)
    };
    says(told(call), LANEPOOL_BAD_SAMPLE, &["sample number 0", "NaN"]);
    let mut adaptive = desc(LANEPOOL_ADAPTIVE_MAX, LANEPOOL_F32, &[1, 1, 6]);
    (adaptive.output[0], adaptive.index_type) = (3, LANEPOOL_INDEX_I32);
    let adaptive = Plan::new(&adaptive).expect("a valid layer");
    let index = lent(&mut at);
    // SAFETY: slices with their own lengths.
    let call = |error| unsafe { lanepool_plan_run_indices(adaptive.0, from.0, 24, index.0, 12, error) };
    says(told(call), LANEPOOL_UNSUPPORTED, &["adaptive", "alone"]);
    assert_eq!((dst, at), ([9.0; 3], [7; 3]), "a refused run wrote");
}

/// Indices that point nowhere are refused before the first write.
#[test]
fn indices_that_name_no_place() {
    let unpool = lanepool_desc { index_type: LANEPOOL_INDEX_I32, ..pairs(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, 3) };
    let unpool = Plan::new(&unpool).expect("a valid layer");
    let (src, mut dst) = ([1.0_f32, 2.0, 3.0], [9.0_f32; 6]);
    for bad in [-1, 6, i32::MIN, i32::MAX] {
        let at = [0, 3, bad];
        let (from, index, to) = (given(&src), given(&at), lent(&mut dst));
        // SAFETY: slices with their own lengths.
        let call = |error| unsafe { lanepool_plan_unpool(unpool.0, from.0, 12, index.0, 12, to.0, 24, error) };
        says(told(call), LANEPOOL_BAD_INDEX, &["index number 2", &bad.to_string(), "5"]);
    }
    assert_eq!(dst, [9.0; 6], "a refused run wrote");
}

#[test]
fn tasks_that_there_are_not() {
    let plan = lanepool_desc { kernel: [1; 3], ..desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 5, 3]) };
    let plan = Plan::new(&plan).expect("a valid layer");
    let (src, mut dst) = ([1.0_f32; 15], [9.0_f32; 15]);
    let (from, to) = (given(&src), lent(&mut dst));
    // SAFETY: a plan.
    let tasks = unsafe { lanepool_plan_tasks(plan.0, 4) };
    assert_eq!(tasks, 3, "five rows in pieces of two");
    let run = |tasks, task| {
        // SAFETY: slices with their own lengths.
        told(|error| unsafe { lanepool_plan_run_task(plan.0, tasks, task, from.0, 60, to.0, 60, null_mut(), 0, error) })
    };
    for task in [3, 4, usize::MAX] {
        says(run(3, task), LANEPOOL_BAD_TASK, &[&task.to_string(), "3"]);
    }
    for tasks in [0, 4, 6, usize::MAX] {
        says(run(tasks, 0), LANEPOOL_BAD_TASK, &[&tasks.to_string(), "lanepool_plan_tasks"]);
    }
    assert_eq!(dst, [9.0; 15], "a refused task wrote");
    // One task writes its part and nothing else.
    let (from, to) = (given(&src), lent(&mut dst));
    // SAFETY: slices with their own lengths.
    let call = |error| unsafe { lanepool_plan_run_task(plan.0, 3, 1, from.0, 60, to.0, 60, null_mut(), 0, error) };
    assert_eq!(told(call), ok());
    let written: Vec<bool> = dst.iter().map(|y| *y == 1.0).collect();
    assert_eq!(written, [[false; 6].as_slice(), &[true; 6], &[false; 3]].concat());
}

/// Every status has a sentence of its own, and unknown ones have one too.
#[test]
fn statuses_have_messages() {
    let mut all = std::collections::BTreeSet::new();
    for status in LANEPOOL_OK..=LANEPOOL_OUT_OF_MEMORY {
        // SAFETY: a text that ends and lives for ever.
        let message = unsafe { CStr::from_ptr(lanepool_status_message(status)) }.to_str().expect("UTF-8");
        assert!(!message.is_empty() && !message.contains("no status"), "{status}: {message}");
        assert!(all.insert(message), "{message}");
    }
    for status in [-1, LANEPOOL_OUT_OF_MEMORY + 1, i32::MAX, i32::MIN] {
        // SAFETY: the same.
        let message = unsafe { CStr::from_ptr(lanepool_status_message(status)) };
        assert_eq!(message.to_str(), Ok("no status has this number"));
    }
}

/// Tiers are named as the library names them, and the best one is one that can run.
#[test]
fn c15_tiers() {
    for (i, tier) in lanepool::Tier::ALL.into_iter().enumerate() {
        let code = LANEPOOL_TIER_SCALAR + i as i32;
        // SAFETY: a text that ends and lives for ever.
        let name = unsafe { CStr::from_ptr(lanepool_tier_name(code)) };
        assert_eq!(name.to_str(), Ok(tier.name()));
        // SAFETY: a text that is there.
        let (status, why) = told(|why| unsafe { lanepool_tier_missing(code, why) });
        assert_eq!((status == LANEPOOL_OK, &*why), (tier.missing().is_none(), tier.missing().unwrap_or_default()));
    }
    let best = lanepool_tier_best();
    assert_eq!(lanepool::Tier::ALL[(best - LANEPOOL_TIER_SCALAR) as usize], lanepool::Tier::best());
    // SAFETY: texts that are there.
    unsafe {
        assert_eq!(told(|why| lanepool_tier_missing(best, why)), ok());
        assert_eq!(told(|why| lanepool_tier_missing(LANEPOOL_TIER_BEST, why)), ok());
        assert_eq!(told(|why| lanepool_selftest(best, why)), ok());
        assert_eq!(told(|why| lanepool_selftest(LANEPOOL_TIER_BEST, why)), ok());
    }
}
