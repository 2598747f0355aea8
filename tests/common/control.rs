//! The control register of the floating-point unit: for `host_state.rs`, and for unit tests of the kernels.

use std::arch::asm;

/// Another state, by its bits in the register.
pub struct Mode {
    pub name: &'static str,
    pub bits: u64,
    /// Subnormals count as zero, as operands or as results.
    pub flushes: bool,
}

#[cfg(target_arch = "x86_64")]
pub const MODES: [Mode; 6] = [
    Mode { name: "flush to zero", bits: 1 << 15, flushes: true },
    Mode { name: "denormals are zero", bits: 1 << 6, flushes: true },
    Mode { name: "both", bits: 1 << 15 | 1 << 6, flushes: true },
    Mode { name: "down", bits: 1 << 13, flushes: false },
    Mode { name: "up", bits: 2 << 13, flushes: false },
    Mode { name: "toward zero", bits: 3 << 13, flushes: false },
];

#[cfg(target_arch = "aarch64")]
pub const MODES: [Mode; 4] = [
    Mode { name: "flush to zero", bits: 1 << 24, flushes: true },
    Mode { name: "down", bits: 2 << 22, flushes: false },
    Mode { name: "up", bits: 1 << 22, flushes: false },
    Mode { name: "toward zero", bits: 3 << 22, flushes: false },
];

/// The register without its flags, which any computation may raise.
pub fn get() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut bits = 0_u32;
        // SAFETY: stores the register to `bits`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut bits, options(nostack)) };
        u64::from(bits & !0x3f)
    }
    #[cfg(target_arch = "aarch64")]
    {
        let bits: u64;
        // SAFETY: reads the register.
        unsafe { asm!("mrs {}, fpcr", out(reg) bits, options(nomem, nostack)) };
        bits
    }
}

/// # Safety
/// The compiler counts on the default: nothing may be computed but what is under test until it is set again.
unsafe fn set(bits: u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: loads control bits that the CPU has.
    unsafe {
        asm!("ldmxcsr [{}]", in(reg) &(bits as u32), options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: writes control bits that the CPU has.
    unsafe {
        asm!("msr fpcr, {}", in(reg) bits, options(nomem, nostack));
    }
}

/// Calls `f` in another state, and makes sure that it leaves that state as it was.
pub fn with<R>(mode: &Mode, f: impl FnOnce() -> R) -> R {
    let before = get();
    // SAFETY: `f` runs a kernel, as a host that is in this state would; the default is set again after it.
    let (result, after) = unsafe {
        set(before | mode.bits);
        let result = std::hint::black_box(f)();
        let after = get();
        set(before);
        (result, after)
    };
    assert_eq!(after, before | mode.bits, "the library changed the state it was called in: {}", mode.name);
    result
}
