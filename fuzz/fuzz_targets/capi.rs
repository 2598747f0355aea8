//! The C interface as a hostile program would call it: a description with any numbers, then calls with buffers that are right, too
//! short, too long, crooked, missing or shared.
//!
//! Every call returns a status and, unless it is `LANEPOOL_OK`, a sentence; a failed one leaves every output as it was; none ends in
//! `LANEPOOL_INTERNAL`, which is what a panic becomes; and AddressSanitizer sees each byte beside a buffer. The promises that
//! `docs/c.md` asks of a caller are kept: memory that is named is there.
#![no_main]

#[path = "../common/bytes.rs"]
mod bytes;

use core::ffi::{c_char, c_void};
use core::ptr::{null, null_mut};
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use bytes::Bytes;
use lanepool_capi::*;
use libfuzzer_sys::fuzz_target;

/// Bytes of the largest buffer that is worth the time.
const MOST_BYTES: u64 = 16 << 10;

/// What buffers hold before a call: no value that a test expects by accident.
const POISON: u8 = 0xa5;

static TIERS: LazyLock<Vec<i32>> = LazyLock::new(|| {
    // SAFETY: any number is allowed, and no text is asked for.
    (0..=5).filter(|tier| unsafe { lanepool_tier_missing(*tier, null_mut()) } == LANEPOOL_OK).collect()
});

/// What a call came to: a failure has a sentence that ends, a success has an empty one.
fn told(call: impl FnOnce(*mut lanepool_text) -> lanepool_status) -> lanepool_status {
    let mut memory = [0x55_u8; 600];
    let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes: memory.len(), needed: 0 };
    let status = call(&mut text);
    let end = memory.iter().position(|byte| *byte == 0).expect("a text that ends");
    let sentence = std::str::from_utf8(&memory[..end]).expect("UTF-8");
    assert_ne!(status, LANEPOOL_INTERNAL, "{sentence}");
    assert_eq!(status == LANEPOOL_OK, sentence.is_empty(), "{status}: {sentence}");
    assert_eq!(text.needed, end + 1, "{sentence}");
    status
}

/// A small layer, valid or nearly, with some of its bytes changed.
fn desc(bytes: &mut Bytes<'_>) -> lanepool_desc {
    let mut desc = MaybeUninit::uninit();
    // SAFETY: as many bytes as the structure has.
    let mut desc = unsafe {
        assert_eq!(lanepool_desc_init(desc.as_mut_ptr(), size_of::<lanepool_desc>()), LANEPOOL_OK);
        desc.assume_init()
    };
    let flags = bytes.byte();
    desc.operation = bytes.within(1, 12) as i32;
    desc.element = bytes.within(1, 12) as i32;
    desc.tier = bytes.pick(&TIERS);
    desc.layout = i32::from(flags & 3);
    desc.block = if desc.layout == LANEPOOL_BLOCKED { bytes.within(1, 16) as i64 } else { 0 };
    let axes = bytes.within(1, 3);
    desc.spatial_axes = axes as i32;
    let small = |bytes: &mut Bytes<'_>, from: usize, count: usize| bytes.within(from, count) as i64;
    desc.shape[0] = small(bytes, 1, 2);
    desc.shape[1] = small(bytes, 1, 6) * desc.block.max(1);
    desc.direction = i32::from(flags & 4 != 0);
    desc.global = i32::from(flags & 0x38 == 0x38);
    for axis in 0..axes {
        desc.shape[axis + 2] = small(bytes, 1, [100, 20, 9][axes - 1]);
        if desc.global == 0 {
            (desc.kernel[axis], desc.stride[axis]) = (small(bytes, 1, 5), small(bytes, 1, 4));
        }
        match desc.operation {
            LANEPOOL_ADAPTIVE_MAX..=LANEPOOL_FRACTIONAL_MAX => {
                desc.output[axis] = small(bytes, 1, 8);
                desc.stride[axis] = 1;
                if desc.operation != LANEPOOL_FRACTIONAL_MAX {
                    desc.kernel[axis] = 0;
                }
            }
            _ if desc.global == 0 && flags & 8 != 0 => {
                (desc.pad_begin[axis], desc.pad_end[axis]) = (small(bytes, 0, 3), small(bytes, 0, 3));
            }
            _ => {}
        }
    }
    if flags & 16 != 0 {
        (desc.index_type, desc.index_kind) = (bytes.within(1, 2) as i32, bytes.below(6) as i32);
    }
    // Any field, in halves of words, to any number: strides, scales, bounds and what nobody thought of.
    const HALVES: usize = size_of::<lanepool_desc>() / 4;
    let edits = if flags & 64 != 0 { bytes.below(8) } else { 0 };
    for _ in 0..edits {
        let (place, number) = (bytes.below(HALVES), bytes.wide());
        let at = (&raw mut desc).cast::<u8>().wrapping_add(4 * place);
        // SAFETY: inside the structure, which has integers and floats alone, without padding: any bits are a value.
        unsafe {
            if place % 2 == 0 && place + 1 < HALVES {
                at.cast::<u64>().write_unaligned(number);
            } else {
                at.cast::<u32>().write_unaligned(number as u32);
            }
        }
    }
    // A larger size would name memory that is not there, which is the caller's promise.
    desc.struct_size = desc.struct_size.min(size_of::<lanepool_desc>() as u64);
    desc
}

/// A buffer, and how the call is told of it.
struct Buffer {
    /// Aligned for every element.
    memory: Vec<u64>,
    skip: usize,
    len: usize,
    is_null: bool,
}

impl Buffer {
    /// `need` bytes, or what a wrong program makes of them.
    fn new(need: u64, wrong: u8, fill: impl Fn(usize) -> u8) -> Self {
        let need = usize::try_from(need).expect("a small number");
        let (len, skip, is_null) = match wrong {
            1 => (need.saturating_sub(1), 0, false),
            2 => (need + 1, 0, false),
            3 => (need, 1, false),
            4 => (need, 0, true),
            5 => (0, 0, true),
            6 => (need / 2, 0, false),
            _ => (need, 0, false),
        };
        // The end is flush with the memory's, to the word: the sanitizer guards what lies behind.
        let mut memory = vec![0_u64; (len + skip).div_ceil(8)];
        let words = memory.len();
        for at in 0..words {
            memory[at] = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| fill(at * 8 + i)));
        }
        Self { memory, skip, len, is_null }
    }

    fn read(&self) -> (*const c_void, usize) {
        let start = self.memory.as_ptr().cast::<u8>().wrapping_add(self.skip);
        (if self.is_null { null() } else { start.cast() }, self.len)
    }

    fn write(&mut self) -> (*mut c_void, usize) {
        let start = self.memory.as_mut_ptr().cast::<u8>().wrapping_add(self.skip);
        (if self.is_null { null_mut() } else { start.cast() }, self.len)
    }

    fn is_poison(&self) -> bool {
        self.memory.iter().all(|word| *word == u64::from_le_bytes([POISON; 8]))
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let desc = desc(&mut bytes);
    let mut plan = null_mut();
    // SAFETY: a description and a place for a plan.
    let status = told(|error| unsafe { lanepool_plan_create(&desc, &mut plan, error) });
    assert_eq!(plan.is_null(), status != LANEPOOL_OK);
    // What a plan would tell is told, or refused, as a plan is; strides it is not asked for.
    let has_none = desc.strided == 0 && [desc.input_strides, desc.output_strides] == [[0; 5]; 2];
    let mut would = MaybeUninit::<lanepool_info>::uninit();
    if has_none {
        // SAFETY: a description, and as many bytes as the structure has.
        let told =
            told(|error| unsafe { lanepool_desc_info(&desc, would.as_mut_ptr(), size_of::<lanepool_info>(), error) });
        assert_eq!(told, status, "of what a plan would tell");
    }
    if status != LANEPOOL_OK {
        return;
    }
    let mut info = MaybeUninit::<lanepool_info>::uninit();
    // SAFETY: a plan, and as many bytes as the structure has.
    let info = unsafe {
        assert_eq!(lanepool_plan_info(plan, info.as_mut_ptr(), size_of::<lanepool_info>(), null_mut()), LANEPOOL_OK);
        info.assume_init()
    };
    if has_none {
        // SAFETY: written by the call above, which came to the same as the plan.
        let would = unsafe { would.assume_init() };
        let bytes = |info: &lanepool_info| [info.input_bytes, info.output_bytes, info.index_bytes, info.sample_bytes];
        assert_eq!((bytes(&would), would.output_shape), (bytes(&info), info.output_shape));
    }
    // SAFETY: a plan, and texts that are there, of any length.
    unsafe {
        let mut memory = [0x55_u8; 64];
        let room = bytes.below(64);
        let mut text = lanepool_text { data: memory.as_mut_ptr().cast::<c_char>(), bytes: room, needed: 0 };
        assert_eq!(lanepool_plan_describe(plan, &mut text), LANEPOOL_OK);
        assert!(text.needed > 1 && memory[room..].iter().all(|byte| *byte == 0x55));
    }
    if [info.input_bytes, info.output_bytes, info.index_bytes, info.sample_bytes].iter().all(|n| *n <= MOST_BYTES) {
        call(plan, &info, bytes);
    }
    // SAFETY: made above, and nobody uses it any more.
    unsafe { lanepool_plan_destroy(plan) };
});

/// One call of a function that runs plans: the right one for this plan, or any.
fn call(plan: *mut lanepool_plan, info: &lanepool_info, mut bytes: Bytes<'_>) {
    let (function, wrong) = (bytes.below(11), bytes.byte());
    // One buffer of five is wrong, in half of the calls.
    let how = |which: u8| if wrong & 0x80 != 0 && wrong % 5 == which { wrong >> 3 & 7 } else { 0 };
    let overlaps = wrong == 0xff;
    let (tasks, task) = (bytes.below(5), bytes.below(5));
    let rest = bytes.rest();
    let tensor = |at: usize| rest.get(at % rest.len().max(1)).copied().unwrap_or(0);
    let poison = |_| POISON;

    let input = Buffer::new(info.input_bytes, how(0), tensor);
    let grad_output = Buffer::new(info.output_bytes, how(1), tensor);
    // Samples of floats between 0 and 1, more often than not.
    let samples = Buffer::new(info.sample_bytes, how(2), |at| if at % 2 == 1 { tensor(at) & 0x3f } else { tensor(at) });
    // Small indices, little ends first, most of them in range.
    let width = if info.index_type == LANEPOOL_INDEX_I32 { 4 } else { 8 };
    let indices_in = Buffer::new(info.index_bytes, how(3), |at| if at % width == 0 { tensor(at) % 16 } else { 0 });
    let mut output = Buffer::new(info.output_bytes, how(1), poison);
    let mut indices = Buffer::new(info.index_bytes, how(3), poison);
    let mut grad_input = Buffer::new(info.input_bytes, how(4), poison);

    let (src, grad, sample, found) = (input.read(), grad_output.read(), samples.read(), indices_in.read());
    let (mut dst, mut places, mut back) = (output.write(), indices.write(), grad_input.write());
    if overlaps {
        // All on one memory, which is as long as the longest asks.
        (dst.0, places.0, back.0) = (src.0.cast_mut(), src.0.cast_mut(), src.0.cast_mut());
        (dst.1, places.1, back.1) = (dst.1.min(src.1), places.1.min(src.1), back.1.min(src.1));
    }
    // SAFETY: a plan; every buffer is as long as is said, or null; an overlap is what the library must find out.
    let status = told(|error| unsafe {
        match function {
            0 => lanepool_plan_run(plan, src.0, src.1, dst.0, dst.1, error),
            1 => lanepool_plan_run_with_indices(plan, src.0, src.1, dst.0, dst.1, places.0, places.1, error),
            2 => lanepool_plan_run_indices(plan, src.0, src.1, places.0, places.1, error),
            3 => lanepool_plan_run_fractional(
                plan, src.0, src.1, sample.0, sample.1, dst.0, dst.1, places.0, places.1, error,
            ),
            4 => lanepool_plan_unpool(plan, src.0, src.1, found.0, found.1, dst.0, dst.1, error),
            5 => lanepool_plan_backward(plan, grad.0, grad.1, back.0, back.1, error),
            6 => lanepool_plan_backward_max(plan, grad.0, grad.1, found.0, found.1, back.0, back.1, error),
            7 => lanepool_plan_backward_max_from_input(
                plan, src.0, src.1, grad.0, grad.1, places.0, places.1, back.0, back.1, error,
            ),
            8 => lanepool_plan_backward_lp(plan, src.0, src.1, grad.0, grad.1, grad.0, grad.1, back.0, back.1, error),
            9 => {
                let cut = lanepool_plan_tasks(plan, tasks);
                // Now and then another number than the plan gave.
                let tasks = if wrong % 7 == 6 { tasks } else { cut };
                lanepool_plan_run_task(plan, tasks, task, src.0, src.1, dst.0, dst.1, places.0, places.1, error)
            }
            _ => {
                // A clone does what the plan does.
                let mut clone = null_mut();
                assert_eq!(lanepool_plan_clone(plan, &mut clone, null_mut()), LANEPOOL_OK);
                let status = lanepool_plan_run(clone, src.0, src.1, dst.0, dst.1, error);
                lanepool_plan_destroy(clone);
                status
            }
        }
    });
    if status != LANEPOOL_OK {
        let untouched = output.is_poison() && indices.is_poison() && grad_input.is_poison();
        assert!(untouched, "status {status} of function {function}, and an output was written");
    } else if !overlaps && matches!(function, 0 | 10) && info.output_bytes > 0 {
        // The same bytes from the second run, over what the first has written.
        let first = output.memory.clone();
        let (dst, src) = (output.write(), input.read());
        // SAFETY: as above.
        let again = unsafe { lanepool_plan_run(plan, src.0, src.1, dst.0, dst.1, null_mut()) };
        assert!(again == LANEPOOL_OK && output.memory == first, "a second run gives other bytes");
    }
}
