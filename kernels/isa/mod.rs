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

#[cfg(lanepool_x86)]
pub(crate) mod avx2;
#[cfg(lanepool_x86)]
pub(crate) mod avx512;
#[cfg(lanepool_neon)]
pub(crate) mod neon;
pub(crate) mod portable;
pub(crate) mod scalar;

/// Stores 64-bit lanes as a narrower integer, saturating, one by one, for tiers that have no instruction for it: only sums
/// too long for 32 bits come here.
///
/// # Safety
/// `q .. q + N` is writable.
#[cfg(any(lanepool_x86, lanepool_neon))]
#[inline(always)]
unsafe fn narrow_64<T: TryFrom<i64> + super::reduce::mean_int::Integer, const N: usize>(q: *mut T, v: [i64; N]) {
    for (i, v) in v.into_iter().enumerate() {
        let narrow = T::try_from(v).unwrap_or(if v < 0 { T::LOWEST } else { T::HIGHEST });
        // SAFETY: i < N.
        unsafe { q.add(i).write_unaligned(narrow) };
    }
}

/// One lane of [`Integers32::quotient`](super::simd::Integers32::quotient).
#[inline(always)]
fn quotient_32(sum: i32, divisor: i32, away: bool) -> i32 {
    let magnitude = sum.wrapping_abs();
    let q = (magnitude as f32 / divisor as f32) as i32;
    // Up where twice the rest exceeds the divisor, or equals it and `q` is odd or ties go up.
    let rest = magnitude.wrapping_sub(q.wrapping_mul(divisor));
    let up = rest.wrapping_mul(2).wrapping_sub(divisor).wrapping_add((q | i32::from(away)) & 1) > 0;
    let q = q.wrapping_add(up.into());
    if sum < 0 { -q } else { q }
}

/// One lane of [`Integers32::scaled`](super::simd::Integers32::scaled).
#[inline(always)]
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
        libm::sqrtf(self)
    }
}

impl Root for f64 {
    #[inline(never)]
    fn root(self) -> Self {
        libm::sqrt(self)
    }
}
