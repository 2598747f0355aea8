//! The floating-point state of a call is the library's own: whatever the caller computes in, the bits are the promised ones, and the caller
//! finds its state as it was.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

mod common;

use common::{Plan, desc, ok, pairs};
use lanepool_capi::*;

mod control {
    use std::arch::asm;

    #[cfg(target_arch = "x86_64")]
    pub const MODES: [u64; 6] = [1 << 15, 1 << 6, 1 << 15 | 1 << 6, 1 << 13, 2 << 13, 3 << 13];
    #[cfg(target_arch = "aarch64")]
    pub const MODES: [u64; 4] = [1 << 24, 1 << 22, 2 << 22, 3 << 22];

    pub fn get() -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            let mut bits = 0_u32;
            // SAFETY: stores the register to `bits`.
            unsafe { asm!("stmxcsr [{}]", in(reg) &mut bits, options(nostack)) };
            bits.into()
        }
        #[cfg(target_arch = "aarch64")]
        {
            let bits: u64;
            // SAFETY: reads the register.
            unsafe { asm!("mrs {}, fpcr", out(reg) bits, options(nostack)) };
            bits
        }
    }

    pub fn set(bits: u64) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: control bits that the CPU has.
        unsafe {
            asm!("ldmxcsr [{}]", in(reg) &(bits as u32), options(nostack));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: control bits that the CPU has.
        unsafe {
            asm!("msr fpcr, {}", in(reg) bits, options(nostack));
        }
    }

    /// Calls `f` in another state; what it gives, and whether the state is the same afterwards, flags and all.
    pub fn with<R>(mode: u64, f: impl FnOnce() -> R) -> (R, bool) {
        let before = get();
        set(before | mode);
        let result = std::hint::black_box(f)();
        let after = get();
        set(before);
        (result, after == before | mode)
    }
}

/// A subnormal maximum, a sum that is rounded, a clamp between floats, a scale: in every state the same.
#[test]
fn results_do_not_depend_on_the_callers_state() {
    let tiny = f32::from_bits(1);
    let src = [tiny, -1.0, 3.0, 0.0, 1.0, 9.313_226e-10];
    let max = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
    let clamped = lanepool_desc { clamp: 1, clamp_low: 0.1, clamp_high: 0.3, ..max };
    for tier in LANEPOOL_TIER_SCALAR..=LANEPOOL_TIER_AVX512 {
        let of = |desc: lanepool_desc| Plan::new(&lanepool_desc { tier, ..desc });
        let (Ok(max), Ok(sum)) = (of(max), of(pairs(LANEPOOL_SUM, LANEPOOL_F32, 6))) else { continue };
        let Ok(clamp) = of(clamped) else { continue };
        let run = |plan: &Plan| {
            let mut dst = [9.0_f32; 3];
            (plan.run(&src, &mut dst), dst.map(f32::to_bits))
        };
        let bits = |values: [f32; 3]| values.map(f32::to_bits);
        assert_eq!(run(&max), (ok(), bits([tiny, 3.0, 1.0])));
        assert_eq!(run(&sum), (ok(), bits([-1.0, 3.0, 1.0])));
        assert_eq!(run(&clamp), (ok(), bits([0.1, 0.3, 0.3])));
        for mode in control::MODES {
            for (plan, want) in [(&max, [tiny, 3.0, 1.0]), (&sum, [-1.0, 3.0, 1.0]), (&clamp, [0.1, 0.3, 0.3])] {
                let ((told, got), is_same) = control::with(mode, || run(plan));
                assert_eq!((told, got), (ok(), bits(want)), "tier {tier} in the state {mode:#x}");
                assert!(is_same, "the call changed the state {mode:#x}");
            }
            // Planning reads bounds and scales: it has the state too.
            let (planned, is_same) = control::with(mode, || of(clamped));
            assert!(is_same, "planning changed the state {mode:#x}");
            let planned = planned.expect("a valid layer");
            assert_eq!(run(&planned), (ok(), bits([0.1, 0.3, 0.3])), "planned in the state {mode:#x}");
        }
    }
}

/// The self-test, which fails in other states, knows none.
#[test]
fn the_self_test_has_a_state_of_its_own() {
    for mode in control::MODES {
        // SAFETY: no text is given.
        let selftest = || unsafe { lanepool_selftest(LANEPOOL_TIER_BEST, core::ptr::null_mut()) };
        assert_eq!(control::with(mode, selftest), (LANEPOOL_OK, true), "in the state {mode:#x}");
    }
}

/// Where the call is refused, and where it is a task, the state comes back too.
#[test]
fn the_state_comes_back_after_an_error() {
    let plan = Plan::new(&pairs(LANEPOOL_MAX, LANEPOOL_F32, 6)).expect("a valid layer");
    for mode in control::MODES {
        let (told, is_same) = control::with(mode, || plan.run(&[1.0_f32], &mut [0.0_f32; 3]));
        assert!(told.0 == LANEPOOL_LENGTH && is_same);
        let bad = desc(LANEPOOL_MAX, LANEPOOL_F32, &[1, 1, 6]);
        let (planned, is_same) = control::with(mode, || Plan::new(&bad).is_err());
        assert!(planned && is_same);
    }
}
