//! The floating-point state of the calling thread: the library's own for the length of a call.
//!
//! Results are promised for the default state, rounding to nearest with subnormals kept and no exception trapped. A host may
//! have set another: many engines flush subnormals. So a call sets the default where it finds something else, and gives back
//! what it found, flags and all.

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod control {
    use core::arch::asm;

    pub(super) type Bits = u32;

    /// What the register holds when a program starts: all exceptions masked, no flag raised.
    pub(super) const DEFAULT: Bits = 0x1f80;
    /// The flags, which any computation may raise and which change no result.
    pub(super) const FLAGS: Bits = 0x3f;

    pub(super) fn get() -> Bits {
        let mut bits: Bits = 0;
        // SAFETY: the instruction stores four bytes to `bits`, which is four bytes long; every x86-64 CPU has it.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut bits, options(nostack, preserves_flags)) };
        bits
    }

    /// # Safety
    /// `bits` is [`DEFAULT`], or was given by [`get`] on this machine: reserved bits raise a fault.
    pub(super) unsafe fn set(bits: Bits) {
        // SAFETY: loads bits that the register can hold, by the contract. No `nomem`: nothing that touches memory is moved across.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &bits, options(nostack)) };
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod control {
    use core::arch::asm;

    pub(super) type Bits = u64;

    pub(super) const DEFAULT: Bits = 0;
    /// The flags are in another register.
    pub(super) const FLAGS: Bits = 0;

    pub(super) fn get() -> Bits {
        let bits: Bits;
        // SAFETY: reads a register that every AArch64 CPU has and every program may read.
        unsafe { asm!("mrs {}, fpcr", out(reg) bits, options(nostack, preserves_flags)) };
        bits
    }

    /// # Safety
    /// `bits` is [`DEFAULT`], or was given by [`get`] on this machine.
    pub(super) unsafe fn set(bits: Bits) {
        // SAFETY: writes bits that the register can hold, by the contract. No `nomem`: nothing that touches memory is moved across.
        unsafe { asm!("msr fpcr, {}", in(reg) bits, options(nostack)) };
    }
}

/// Other machines, and Miri, which knows no assembler: whatever state the thread has.
#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod control {
    pub(super) type Bits = u32;
    pub(super) const DEFAULT: Bits = 0;
    pub(super) const FLAGS: Bits = 0;

    pub(super) fn get() -> Bits {
        DEFAULT
    }

    /// # Safety
    /// None is asked for: it does nothing.
    pub(super) unsafe fn set(_: Bits) {}
}

/// Gives the state back that it holds, also where a panic passes by.
struct Restore(Option<control::Bits>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(found) = self.0 {
            // SAFETY: `found` was read from the register by `with_default`, on this thread.
            unsafe { control::set(found) };
        }
    }
}

/// Calls `f` in the default state and gives back the one that it found.
pub(crate) fn with_default<R>(f: impl FnOnce() -> R) -> R {
    let found = control::get();
    let is_default = found & !control::FLAGS == control::DEFAULT;
    let _restore = Restore((!is_default).then_some(found));
    if !is_default {
        // SAFETY: the default is a state that every CPU of the architecture has.
        unsafe { control::set(control::DEFAULT) };
    }
    // Never inlined, so that none of its arithmetic is moved to before the state is set or to after it is given back.
    opaque(f)
}

#[inline(never)]
fn opaque<R>(f: impl FnOnce() -> R) -> R {
    f()
}
