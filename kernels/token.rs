//! Tokens: which tiers this CPU can run, one list of features each.
//!
//! A token is the safety argument of its whole tier. It is made by `detect`, which checks every
//! feature that the tier's functions enable, or by `assume`, whose caller knows that `detect` did:
//! so whoever holds one may run them. The lists stand here once; `vectorize` and `detect` are
//! stamped from the same line and cannot drift apart.

use super::simd::Simd;
use crate::Tier;

/// Work in plain Rust, for the compiler to vectorise with what this CPU has: for loops whose results are the same
/// however long a vector is. What is called in it must be inlined.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(lanepool_x86)]
    if let Some(token) = Avx2::detect() {
        return token.vectorize(work);
    }
    work()
}

/// The same with the longest vectors that there are: for loops that are long and do little else. It is compiled once more.
#[inline(always)]
pub(crate) fn widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(lanepool_x86)]
    if let Some(token) = Avx512::detect() {
        return token.vectorize(work);
    }
    vectorized(work)
}

/// What this machine lacks to run `tier`; `None` where it can run.
pub(crate) fn missing(tier: Tier) -> Option<&'static str> {
    match tier {
        Tier::Scalar | Tier::Portable => None,
        #[cfg(lanepool_x86)]
        Tier::Avx2 => Avx2::missing(),
        #[cfg(lanepool_x86)]
        Tier::Avx512 => Avx512::missing(),
        #[cfg(lanepool_neon)]
        Tier::Neon => Neon::missing(),
        #[cfg(not(lanepool_x86))]
        Tier::Avx2 | Tier::Avx512 => Some("this build is not for x86-64"),
        #[cfg(not(lanepool_neon))]
        Tier::Neon => Some("this build is not for little-endian AArch64"),
    }
}

/// A tier whose instructions every build of the crate may use.
macro_rules! everywhere {
    ($(#[$doc:meta])* $Token:ident, tabled: $tabled:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $Token(());

        impl $Token {
            pub(crate) fn detect() -> Option<Self> {
                Some(Self(()))
            }
        }

        impl Simd for $Token {
            const BLOCKS: bool = false;
            const TABLED: bool = $tabled;

            #[inline(always)]
            unsafe fn assume() -> Self {
                Self(())
            }

            #[inline(always)]
            fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
                f()
            }
        }
    };
}

everywhere! {
    /// One lane.
    Scalar, tabled: false
}
everywhere! {
    /// The crate `wide`, compiled for what the target guarantees.
    Portable, tabled: true
}

/// A tier whose features are found at run time, each by the function beside it.
///
/// The token has a module of its own, since the compiler makes a unit of what a module's types are made for: so each tier is
/// one, and several are optimised at a time.
#[cfg(any(lanepool_x86, lanepool_neon))]
macro_rules! detected {
    ($(#[$doc:meta])* $module:ident::$Token:ident: $($feature:literal by $has:path),+) => {
        mod $module {
            use super::*;

            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $Token(());

            impl $Token {
                pub(crate) fn missing() -> Option<&'static str> {
                    $( if !$has() { return Some(concat!("the CPU lacks ", $feature)); } )+
                    None
                }

                pub(crate) fn detect() -> Option<Self> {
                    Self::missing().is_none().then_some(Self(()))
                }
            }

            impl Simd for $Token {
                #[inline(always)]
                unsafe fn assume() -> Self {
                    Self(())
                }

                #[inline(always)]
                fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
                    #[inline]
                    $( #[target_feature(enable = $feature)] )+
                    fn inner<R>(f: impl FnOnce() -> R) -> R {
                        f()
                    }
                    // SAFETY: `self` exists, so `detect` has found every feature that `inner` enables.
                    unsafe { inner(f) }
                }

                #[cfg(lanepool_x86)]
                #[inline(always)]
                fn prefetch<T>(self, p: *const T) {
                    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                    // SAFETY: every x86-64 CPU has the instruction, which never faults.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
                }
            }
        }
        pub(crate) use $module::$Token;
    };
}

#[cfg(lanepool_x86)]
mod x86 {
    //! CPU features by the crate `cpufeatures`, which also asks whether the system saves the wide registers.
    //! One answer a module: that is how the crate caches it.

    use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

    macro_rules! features {
        ($($name:ident: $feature:tt),+) => { $(
            mod $name {
                cpufeatures::new!(cached, $feature);
                pub(super) fn found() -> bool {
                    cached::get()
                }
            }
            pub(super) fn $name() -> bool {
                $name::found()
            }
        )+ };
    }
    features! {
        avx2: "avx2",
        avx512f: "avx512f", avx512bw: "avx512bw", avx512dq: "avx512dq", avx512vl: "avx512vl",
        avx512vbmi: "avx512vbmi"
    }

    /// `cpufeatures` does not know F16C: bit 29 of ECX of CPUID leaf 1. It works on 256-bit registers, whose saving by
    /// the system `avx2` has asked about.
    ///
    /// Every plan asks, so the answer is kept, as `cpufeatures` does: a virtual machine traps CPUID, which then takes tens of
    /// microseconds. Threads that ask at once all store the same answer, and nothing else hangs on it.
    pub(super) fn f16c() -> bool {
        const UNKNOWN: u8 = 2;
        static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
        let answer = match ANSWER.load(Relaxed) {
            UNKNOWN => {
                #[allow(unused_unsafe, reason = "safe since Rust 1.94")]
                // SAFETY: every x86-64 CPU has CPUID with leaf 1.
                let leaf = unsafe { core::arch::x86_64::__cpuid(1) };
                let answer = u8::from(leaf.ecx & (1 << 29) != 0);
                ANSWER.store(answer, Relaxed);
                answer
            }
            known => known,
        };
        avx2() && answer == 1
    }
}

#[cfg(lanepool_x86)]
detected! {
    /// 256 bits: Haswell, Zen and later.
    avx2::Avx2: "avx2" by x86::avx2, "f16c" by x86::f16c
}
#[cfg(lanepool_x86)]
detected! {
    /// 512 bits: Ice Lake, Zen 4 and later.
    avx512::Avx512: "avx512f" by x86::avx512f, "avx512bw" by x86::avx512bw, "avx512dq" by x86::avx512dq,
        "avx512vl" by x86::avx512vl, "avx512vbmi" by x86::avx512vbmi, "avx2" by x86::avx2, "f16c" by x86::f16c
}

#[cfg(lanepool_neon)]
mod aarch64 {
    /// NEON is part of every AArch64 target that has floats.
    pub(super) fn neon() -> bool {
        cfg!(target_feature = "neon")
    }
}

#[cfg(lanepool_neon)]
detected! {
    /// 128 bits, in every AArch64 CPU.
    neon::Neon: "neon" by aarch64::neon
}
