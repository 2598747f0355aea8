//! One file of instructions for each tier.

/// Methods whose body is instructions of the tier that `self` is the token of.
#[cfg(any(lanepool_x86, lanepool_neon))]
macro_rules! instructions {
    ($( fn $name:ident(self $(, $x:ident: $X:ty)*) -> $R:ty { $body:expr } )+) => { $(
        #[inline(always)]
        fn $name(self $(, $x: $X)*) -> $R {
            #[allow(unused_unsafe, reason = "some bodies are plain arithmetic, and NEON is part of its target's baseline")]
            // SAFETY: `self` exists only where `detect` found this tier's features.
            unsafe { $body }
        }
    )+ };
}

/// Lanes that one instruction adds.
#[cfg(any(lanepool_x86, lanepool_neon))]
macro_rules! adds {
    ($Token:ident: $($A:ty as $V:ty, $add:ident);+ $(;)?) => { $(
        impl Adds<$A> for $Token {
            instructions! {
                fn add(self, a: $V, b: $V) -> $V { $add(a, b) }
            }
        }
    )+ };
}

/// What a tier says whose vectors of `$T` are added up to lanes of `$A`.
#[cfg(any(lanepool_x86, lanepool_neon))]
macro_rules! sums {
    ($T:ty as $A:ty, |$whole:ident| $sums:expr) => {
        const RUN: usize = <Self as Lanes<$T>>::N;

        #[inline(always)]
        unsafe fn load_sums(self, p: *const $T) -> <Self as Lanes<$A>>::V {
            // SAFETY: the token, and the trait's contract.
            unsafe {
                let $whole = Lanes::<$T>::load(self, p);
                $sums
            }
        }

        #[inline(always)]
        unsafe fn load_sums_first(self, p: *const $T, n: usize, readable: usize, fill: $T) -> <Self as Lanes<$A>>::V {
            // SAFETY: the token, and the trait's contract.
            unsafe {
                let $whole = Lanes::<$T>::load_part(self, p, n, readable, fill);
                $sums
            }
        }
    };
}

/// Loads that widen and stores that narrow, saturating; and what adds the neighbours of a whole vector of elements, where it
/// takes fewer instructions than to widen them all.
#[cfg(any(lanepool_x86, lanepool_neon))]
macro_rules! widen {
    ($Token:ident: $($T:ty => $A:ty: |$p:ident| $load:expr, |$q:ident, $v:ident| $store:expr
        $(, sums |$whole:ident| $sums:expr)?);+ $(;)?) => { $(
        impl Widen<$T, $A> for $Token {
            #[inline(always)]
            unsafe fn load_wide(self, $p: *const $T) -> <Self as Lanes<$A>>::V {
                // SAFETY: the token, and the trait's contract.
                unsafe { $load }
            }

            #[inline(always)]
            unsafe fn store_narrow(self, $q: *mut $T, $v: <Self as Lanes<$A>>::V) {
                // SAFETY: the token, and the trait's contract.
                unsafe { $store }
            }

            $( sums!($T as $A, |$whole| $sums); )?
        }
    )+ };
}

/// The nearest whole numbers of floats, in every rounding mode of the thread: ties to even, or away from zero. Away from zero,
/// a number is cut, and gets what twice the rest is when it is cut: ±1 from a half on, and nothing below. All of it is exact.
#[cfg(lanepool_x86)]
macro_rules! nearest {
    ($feature:literal: $($name:ident: $V:ty, $round:ident, $add:ident, $sub:ident);+ $(;)?) => { $(
        #[inline]
        #[target_feature(enable = $feature)]
        fn $name(q: $V, away: bool) -> $V {
            if away {
                let whole = $round::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(q);
                let rest = $sub(q, whole);
                $add(whole, $round::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>($add(rest, rest)))
            } else {
                $round::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(q)
            }
        }
    )+ };
}

#[cfg(lanepool_x86)]
pub(crate) mod avx2;
#[cfg(lanepool_x86)]
pub(crate) mod avx512;
#[cfg(lanepool_neon)]
pub(crate) mod neon;
pub(crate) mod portable;
pub(crate) mod scalar;
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;

/// 1.5·2⁵², whose last bit counts ones. So a whole number below 2⁵¹ in magnitude is added to it as an `f64`, or to its bits
/// as an integer, and the bits of the sum are the same: an integer becomes a float, and a whole float an integer, on tiers
/// without an instruction for it. Nothing is rounded.
const MAGIC_64: f64 = 6_755_399_441_055_744.0;

/// 1.5·2²³: the same for `f32` and numbers below 2²².
const MAGIC_32: f32 = 12_582_912.0;

/// One lane of a quotient by a positive divisor, rounded to nearest, in integers alone: ties to even, or away from zero.
#[inline(never)]
pub(crate) fn quotient(sum: i64, divisor: i64, away: bool) -> i64 {
    let (q, rest) = (sum / divisor, (sum % divisor).abs());
    let up = match rest.cmp(&(divisor - rest)) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => away || q & 1 != 0,
        core::cmp::Ordering::Greater => true,
    };
    q + if up { sum.signum() } else { 0 }
}

/// One lane of [`Integers32::scaled`](super::simd::Integers32::scaled).
#[inline(never)]
pub(crate) fn scaled_32(sum: i32, multiplier: i32) -> i32 {
    let x = (sum as f32 * f32::from_bits(multiplier as u32)).clamp(-super::simd::FAR, super::simd::FAR);
    // Cut, so that the rest is exact, whatever the rounding mode.
    let whole = x as i32;
    let rest = x - whole as f32;
    if rest.abs() > 0.5 || rest.abs() == 0.5 && whole & 1 != 0 {
        whole + if rest < 0.0 { -1 } else { 1 }
    } else {
        whole
    }
}

/// The square root of one lane, correctly rounded: `core` has none. Apart from the loops: only tiers that are not for speed
/// come here. (`libm` takes the CPU's instruction where it has one, so a thread's rounding mode holds as on other tiers.)
trait Root {
    fn root(self) -> Self;
}

impl Root for f32 {
    #[inline(never)]
    fn root(self) -> Self {
        // Miri knows no assembly, which `libm` takes roots by.
        #[cfg(all(miri, feature = "std"))]
        return self.sqrt();
        #[cfg(not(all(miri, feature = "std")))]
        libm::sqrtf(self)
    }
}

impl Root for f64 {
    #[inline(never)]
    fn root(self) -> Self {
        // Miri knows no assembly, which `libm` takes roots by.
        #[cfg(all(miri, feature = "std"))]
        return self.sqrt();
        #[cfg(not(all(miri, feature = "std")))]
        libm::sqrt(self)
    }
}
