//! The portable tier: the crate `wide`, compiled for what the target guarantees.
//!
//! It is for correctness first: on SSE2, `wide` emulates the blend, the signed byte maximum and more.

#[cfg(feature = "half")]
use wide::u32x8;
use wide::{f32x8, f64x4, i8x16, i8x32, i16x8, i16x16, i32x8, i64x4, u8x16, u8x32, u16x16};

use crate::kernels::simd::{Adds, Floats, Integers, Integers16, Integers32, Integers64, Lanes, Tables, Widen, dealt};
use crate::kernels::token::Portable;

/// Whether `wide` takes square roots by an instruction, which rounds correctly; elsewhere it computes its own.
const ROOTS: bool = cfg!(any(target_feature = "sse2", target_feature = "simd128", target_arch = "aarch64"));

/// An array of lanes. A loop, since `core::array::from_fn` calls its closure once a lane, and some of those calls stay calls.
#[inline(always)]
fn each<T: Copy + Default, const N: usize>(lane: impl Fn(usize) -> T) -> [T; N] {
    let mut lanes = [T::default(); N];
    for i in 0..N {
        lanes[i] = lane(i);
    }
    lanes
}

/// Lanes whose vector type is `$V`, an array of `$N` lanes of `$A` to `bytemuck`. A mask is a vector of all-ones lanes.
macro_rules! lanes {
    ($($A:ty as $V:ty, $N:literal, in $Pair:ty as $Half:ty, $max:ident, $set:expr);+ $(;)?) => { $(
        impl Lanes<$A> for Portable {
            type V = $V;
            type M = $V;
            const N: usize = $N;
            type Dealt = [Self::V; dealt($N)];

            #[inline(always)]
            fn splat(self, x: $A) -> $V {
                <$V>::splat(x)
            }

            #[inline(always)]
            unsafe fn load(self, p: *const $A) -> $V {
                // SAFETY: N elements are readable by the trait's contract.
                <$V>::from(unsafe { p.cast::<[$A; $N]>().read_unaligned() })
            }

            #[inline(never)]
            unsafe fn load_first(self, p: *const $A, n: usize, fill: $A) -> $V {
                let mut whole = [fill; $N];
                // SAFETY: n <= N elements are readable by the trait's contract.
                unsafe {
                    core::ptr::copy_nonoverlapping(p, whole.as_mut_ptr(), n);
                    self.load(whole.as_ptr())
                }
            }

            #[inline(never)]
            unsafe fn store_first(self, p: *mut $A, n: usize, v: $V) {
                // SAFETY: n <= N elements are writable by the trait's contract.
                unsafe { core::ptr::copy_nonoverlapping(v.to_array().as_ptr(), p, n) };
            }

            #[inline(always)]
            unsafe fn store(self, p: *mut $A, v: $V) {
                // SAFETY: N elements are writable by the trait's contract.
                unsafe { p.cast::<[$A; $N]>().write_unaligned(v.to_array()) }
            }

            #[inline(always)]
            fn first(self, n: usize) -> $V {
                let set: $A = $set;
                <$V>::from(each::<$A, $N>(|i| if i < n { set } else { <$A>::default() }))
            }

            #[inline(always)]
            fn pick(self, m: $V, yes: $V, no: $V) -> $V {
                m.bitselect(yes, no)
            }

            #[inline(always)]
            fn unzip(self, a: $V, b: $V) -> ($V, $V) {
                // Two lanes as a word, of which the halves are kept: what a compiler makes vectors of.
                let pairs: [$Pair; $N] = bytemuck::cast([a, b]);
                let (mut low, mut high) = ([0 as $Half; $N], [0 as $Half; $N]);
                for i in 0..$N {
                    low[i] = pairs[i] as $Half;
                    high[i] = (pairs[i] >> <$Half>::BITS) as $Half;
                }
                let (low, high) = (bytemuck::cast(low), bytemuck::cast(high));
                if cfg!(target_endian = "little") { (low, high) } else { (high, low) }
            }

            #[inline(always)]
            fn back(self, a: $V, b: $V) -> $V {
                let (a, b) = (a.to_array(), b.to_array());
                let mut moved = [a[$N - 1]; $N];
                moved[1..].copy_from_slice(&b[..$N - 1]);
                <$V>::from(moved)
            }

            #[inline(always)]
            fn ahead(self, a: $V, b: $V) -> $V {
                let (a, b) = (a.to_array(), b.to_array());
                let mut moved = [b[0]; $N];
                moved[..$N - 1].copy_from_slice(&a[1..]);
                <$V>::from(moved)
            }

            #[inline(always)]
            fn max(self, a: $V, b: $V) -> $V {
                a.$max(b)
            }

            #[inline(always)]
            fn greater(self, a: $V, b: $V) -> $V {
                a.simd_gt(b)
            }

            #[inline(always)]
            fn or(self, a: $V, b: $V) -> $V {
                a | b
            }

            #[inline(always)]
            fn xor(self, a: $V, b: $V) -> $V {
                a ^ b
            }
        }
    )+ };
}

/// Lanes that loops move, whose tables are arrays of indices `$I`.
macro_rules! tables {
    ($($A:ty as $V:ty, $N:literal by $I:ty);+ $(;)?) => { $(
        impl Tables<$A> for Portable {
            const UNIT: usize = size_of::<$A>();
            const TWO: bool = false;
            type Table = [$I; $N];
            const MASK_BYTES: usize = size_of::<$V>();
            const MASK_BITS: bool = false;

            #[inline(always)]
            unsafe fn table(self, p: *const u8) -> [$I; $N] {
                // SAFETY: as many bytes as a vector has are readable by the trait's contract.
                unsafe { p.cast::<[$I; $N]>().read_unaligned() }
            }

            // The remainders say to the compiler that no index is out of bounds.
            #[inline(never)]
            fn permute(self, v: $V, t: [$I; $N]) -> $V {
                let v = v.to_array();
                let mut moved = [<$A>::default(); $N];
                for i in 0..$N {
                    moved[i] = v[t[i] as usize % $N];
                }
                <$V>::from(moved)
            }

            #[inline(never)]
            fn permute_two(self, a: $V, b: $V, t: [$I; $N]) -> $V {
                let both = [a.to_array(), b.to_array()];
                let mut moved = [<$A>::default(); $N];
                for i in 0..$N {
                    moved[i] = both[t[i] as usize / $N % 2][t[i] as usize % $N];
                }
                <$V>::from(moved)
            }

            #[inline(always)]
            unsafe fn load_mask(self, p: *const u8) -> $V {
                // SAFETY: a mask is a vector, and its bytes are readable by the trait's contract.
                unsafe { self.load(p.cast::<$A>()) }
            }
        }
    )+ };
}

macro_rules! floats {
    ($($A:ty as $V:ty);+ $(;)?) => { $(
        impl Adds<$A> for Portable {
            #[inline(always)]
            fn add(self, a: $V, b: $V) -> $V {
                a + b
            }
        }

        impl Floats<$A> for Portable {
            #[inline(always)]
            fn mul(self, a: $V, b: $V) -> $V {
                a * b
            }

            #[inline(always)]
            fn div(self, a: $V, b: $V) -> $V {
                a / b
            }

            #[inline(always)]
            fn sqrt(self, a: $V) -> $V {
                if ROOTS {
                    a.sqrt()
                } else {
                    <$V>::from(a.to_array().map(super::Root::root))
                }
            }

            #[inline(always)]
            fn abs(self, a: $V) -> $V {
                a & <$V>::splat(<$A>::from_bits(!0 >> 1))
            }

            #[inline(always)]
            fn unordered(self, a: $V, b: $V) -> $V {
                // `wide` has no unordered compare; a sum is NaN where a term is, and where infinities cancel, so the
                // two are asked apart.
                a.is_nan() | b.is_nan()
            }

            #[inline(always)]
            fn any(self, m: $V) -> bool {
                m.any()
            }
        }
    )+ };
}

lanes! {
    f32 as f32x8, 8, in u64 as u32, fast_max, f32::from_bits(u32::MAX);
    f64 as f64x4, 4, in u128 as u64, fast_max, f64::from_bits(u64::MAX);
    i8 as i8x32, 32, in u16 as u8, max, -1;
    u8 as u8x32, 32, in u16 as u8, max, u8::MAX;
    i16 as i16x16, 16, in u32 as u16, max, -1;
    i32 as i32x8, 8, in u64 as u32, max, -1;
    i64 as i64x4, 4, in u128 as u64, max, -1;
}
tables! {
    f32 as f32x8, 8 by u32;
    f64 as f64x4, 4 by u64;
    i8 as i8x32, 32 by u8;
    u8 as u8x32, 32 by u8;
    i16 as i16x16, 16 by u16;
    i32 as i32x8, 8 by u32;
    i64 as i64x4, 4 by u64;
}
floats! {
    f32 as f32x8;
    f64 as f64x4;
}

macro_rules! adds {
    ($($A:ty as $V:ty);+ $(;)?) => { $(
        impl Adds<$A> for Portable {
            #[inline(always)]
            fn add(self, a: $V, b: $V) -> $V {
                a + b
            }
        }
    )+ };
}

adds! {
    i16 as i16x16;
    i32 as i32x8;
    i64 as i64x4;
}

impl Integers16 for Portable {
    #[inline(always)]
    fn mul_high(self, a: i16x16, b: i16x16) -> i16x16 {
        let (a, b): (u16x16, u16x16) = (bytemuck::cast(a), bytemuck::cast(b));
        bytemuck::cast(a.mul_keep_high(b))
    }

    #[inline(always)]
    fn mul_low(self, a: i16x16, b: i16x16) -> i16x16 {
        a * b
    }

    #[inline(always)]
    fn shift_right(self, a: i16x16, bits: u32) -> i16x16 {
        bytemuck::cast(bytemuck::cast::<_, u16x16>(a).unbounded_shr_scalar(bits))
    }
}

macro_rules! signed {
    ($($A:ty as $V:ty);+ $(;)?) => { $(
        impl Integers<$A> for Portable {
            #[inline(always)]
            fn sign(self, a: $V) -> $V {
                <$V>::splat(0).simd_gt(a)
            }

            #[inline(always)]
            fn equal(self, a: $V, b: $V) -> $V {
                a.simd_eq(b)
            }

            #[inline(always)]
            fn and(self, a: $V, b: $V) -> $V {
                a & b
            }
        }
    )+ };
}

signed! {
    i16 as i16x16;
    i32 as i32x8;
    i64 as i64x4;
}

impl Integers32 for Portable {
    const SCALES: bool = false;

    #[inline(always)]
    fn product(self, a: i32x8, b: i32x8) -> i32x8 {
        a * b
    }

    #[inline(always)]
    fn shifted(self, a: i32x8, bits: u32) -> i32x8 {
        a >> bits
    }

    #[inline(always)]
    fn quotient(self, sum: i32x8, divisor: i32x8, away: bool) -> i32x8 {
        quotient_32(sum, divisor, away)
    }

    #[inline(never)]
    fn long_quotient(self, sum: i32x8, divisor: i32x8, away: bool) -> i32x8 {
        let (sum, divisor) = (sum.to_array(), divisor.to_array());
        let half = |v: [i32; 8], from: usize| i64x4::from(each::<i64, 4>(|i| v[from + i].into()));
        let quarter = |from: usize| quotient_64(half(sum, from), half(divisor, from), away).to_array();
        let (low, high) = (quarter(0), quarter(4));
        i32x8::from(each::<i32, 8>(|i| if i < 4 { low[i] as i32 } else { high[i - 4] as i32 }))
    }

    #[inline(never)]
    fn scaled(self, sum: i32x8, multiplier: i32x8) -> i32x8 {
        let (sum, multiplier) = (sum.to_array(), multiplier.to_array());
        i32x8::from(each::<i32, 8>(|i| super::scaled_32(sum[i], multiplier[i])))
    }
}

impl Integers64 for Portable {
    #[inline(always)]
    fn quotient(self, sum: i64x4, divisor: i64x4, away: bool) -> i64x4 {
        quotient_64(sum, divisor, away)
    }
}

/// Quotients of integers `$I` as floats `$F`. The rounding to a whole number is spelled out, since SSE2 has none that does
/// not depend on the thread's mode.
macro_rules! quotients {
    ($($name:ident: $I:ty as $F:ty, $magic:expr);+ $(;)?) => { $(
        // Not inlined, as all that is long: the tier is to be right everywhere and small.
        #[inline(never)]
        fn $name(sum: $I, divisor: $I, away: bool) -> $I {
            let (magic, one) = (<$F>::splat($magic), <$I>::splat(1));
            let bits = |v: $F| bytemuck::cast::<$F, $I>(v);
            let float = |v: $I| bytemuck::cast::<$I, $F>(v + bits(magic)) - magic;
            let q = float(sum) / float(divisor);
            let sign = q & <$F>::splat(-0.0);
            let q = q ^ sign;
            // The addition rounds up or down, as the thread does: what has become too large loses 1.
            let near = (q + magic) - magic;
            let whole = near - (near.simd_gt(q) & <$F>::splat(1.0));
            // Up where the rest exceeds a half; or the number before it, where a tie goes up: `whole` is odd, or ties go away from 0.
            let on_tie = (bits(whole + magic) | <$I>::splat(away.into())) & one;
            let limit = bytemuck::cast::<$I, $F>(bits(<$F>::splat(0.5)) - on_tie);
            let up = (q - whole).simd_gt(limit);
            let q = whole + (up & <$F>::splat(1.0));
            bits((q ^ sign) + magic) - bits(magic)
        }
    )+ };
}

quotients! {
    quotient_32: i32x8 as f32x8, super::MAGIC_32;
    quotient_64: i64x4 as f64x4, super::MAGIC_64;
}

/// Conversions lane by lane, which the compiler turns into what the target has.
macro_rules! widen {
    ($($T:ty => $A:ty as $V:ty, $N:literal);+ $(;)?) => { $(
        impl Widen<$T, $A> for Portable {
            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> $V {
                // SAFETY: N elements are readable by the trait's contract.
                let narrow = unsafe { p.cast::<[$T; $N]>().read_unaligned() };
                <$V>::from(each::<$A, $N>(|i| narrow[i].into()))
            }

            #[inline(always)]
            unsafe fn store_narrow(self, q: *mut $T, v: $V) {
                let v = v.to_array();
                let narrow: [$T; $N] = each(|i| v[i].clamp(<$T>::MIN.into(), <$T>::MAX.into()) as $T);
                // SAFETY: N elements are writable by the trait's contract.
                unsafe { q.cast::<[$T; $N]>().write_unaligned(narrow) }
            }
        }
    )+ };
}

/// Conversions of bytes, by what `wide` has for them: a loop over so many lanes becomes none of its instructions.
macro_rules! widen_bytes {
    ($($T:ty => $A:ty as $V:ty, $N:literal: |$p:ident| $load:expr, |$v:ident| $narrow:expr);+ $(;)?) => { $(
        impl Widen<$T, $A> for Portable {
            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> $V {
                // SAFETY: N elements are readable by the trait's contract.
                let $p = unsafe { p.cast::<[$T; $N]>().read_unaligned() };
                $load
            }

            #[inline(always)]
            unsafe fn store_narrow(self, q: *mut $T, $v: $V) {
                let narrow = $narrow.to_array();
                // SAFETY: N elements are writable by the trait's contract, and the vector has as many or more.
                unsafe { q.cast::<[$T; $N]>().write_unaligned(narrow.as_ptr().cast::<[$T; $N]>().read()) }
            }
        }
    )+ };
}

/// Eight bytes, and eight more that matter to nobody.
#[inline(always)]
fn beside_zeros<T: Copy + Default>(bytes: [T; 8]) -> [T; 16] {
    let mut all = [T::default(); 16];
    all[..8].copy_from_slice(&bytes);
    all
}

/// The lower and the upper half of words.
#[inline(always)]
fn halves(v: i16x16) -> [i16x8; 2] {
    bytemuck::cast(v)
}

widen_bytes! {
    u8 => i16 as i16x16, 16: |p| i16x16::from(u8x16::from(p)),
        |v| u8x16::narrow_i16x8(halves(v)[0], halves(v)[1]);
    i8 => i16 as i16x16, 16: |p| i16x16::from_i8x16(i8x16::from(p)), |v| i8x16::from_i16x16_saturate(v);
    u8 => i32 as i32x8, 8: |p| i32x8::from_i16x8(i16x8::from_u8x16_low(u8x16::from(beside_zeros(p)))),
        |v| { let words = i16x8::from_i32x8_saturate(v); u8x16::narrow_i16x8(words, words) };
    i8 => i32 as i32x8, 8: |p| i32x8::from_i16x8(halves(i16x16::from_i8x16(i8x16::from(beside_zeros(p))))[0]),
        |v| {
            let words = i16x8::from_i32x8_saturate(v);
            i8x16::from_i16x16_saturate(bytemuck::cast([words, words]))
        };
}

widen! {
    i16 => i32 as i32x8, 8;
    u16 => i32 as i32x8, 8;
    i16 => i64 as i64x4, 4;
    u16 => i64 as i64x4, 4;
    i32 => i64 as i64x4, 4;
    u32 => i64 as i64x4, 4;
    u8 => i64 as i64x4, 4;
    i8 => i64 as i64x4, 4;
}

/// 16-bit floats by integer arithmetic on their bits.
#[cfg(feature = "half")]
macro_rules! half {
    ($($T:ty: $widen:ident, $narrow:ident);+ $(;)?) => { $(
        impl Widen<$T, f32> for Portable {

            #[inline(always)]
            unsafe fn load_wide(self, p: *const $T) -> f32x8 {
                // SAFETY: N elements are readable by the trait's contract.
                let bits = unsafe { p.cast::<[u16; 8]>().read_unaligned() };
                bytemuck::cast($widen(u32x8::from(each::<u32, 8>(|i| bits[i].into()))))
            }

            #[inline(always)]
            unsafe fn store_narrow(self, q: *mut $T, v: f32x8) {
                let bits = $narrow(bytemuck::cast(v)).to_array();
                // SAFETY: N elements are writable by the trait's contract.
                unsafe { q.cast::<[u16; 8]>().write_unaligned(each(|i| bits[i] as u16)) }
            }
        }
    )+ };
}

#[cfg(feature = "half")]
half! {
    half::f16: widen_f16, narrow_f16;
    half::bf16: widen_bf16, narrow_bf16;
}

/// The bits of `f32`s that have the values of `f16`s with these bits. A fraction moved to its place in an `f32` has the value
/// but for the exponent's bias, which a multiplication makes up for, subnormals included; infinities and NaN get the
/// exponent that says so.
#[cfg(feature = "half")]
#[inline(never)]
fn widen_f16(bits: u32x8) -> u32x8 {
    let magnitude: u32x8 = (bits & u32x8::splat(0x7fff)) << 13;
    let scaled: f32x8 = bytemuck::cast::<_, f32x8>(magnitude) * f32x8::splat(f32::from_bits((127 + 127 - 15) << 23));
    let is_special = magnitude.simd_gt(u32x8::splat(0x7bff << 13));
    let exponent = is_special & u32x8::splat(0x7f80_0000);
    bytemuck::cast::<_, u32x8>(scaled) | exponent | ((bits & u32x8::splat(0x8000)) << 16)
}

/// The bits of the `f16`s nearest to `f32`s with these bits, ties to even. NaN becomes a quiet one without payload.
#[cfg(feature = "half")]
#[inline(never)]
fn narrow_f16(bits: u32x8) -> u32x8 {
    let magnitude = bits & u32x8::splat(0x7fff_ffff);
    // Normal: the bias is exchanged, and the 13 bits that go are rounded; a carry into the exponent is as it should be.
    let odd = (magnitude >> 13) & u32x8::splat(1);
    let rebias = 0_u32.wrapping_sub((127 - 15) << 23);
    let normal = (magnitude + u32x8::splat(rebias.wrapping_add(0xfff)) + odd) >> 13;
    // Subnormal: beside 1/2, whose last place is the unit of subnormal `f16`s, the addition itself rounds.
    let half = f32x8::splat(0.5);
    let beside: u32x8 = bytemuck::cast(bytemuck::cast::<_, f32x8>(magnitude) + half);
    let subnormal = beside - bytemuck::cast::<_, u32x8>(half);
    let result = u32x8::splat(113 << 23).simd_gt(magnitude).bitselect(subnormal, normal);
    let result = magnitude.simd_gt(u32x8::splat((143 << 23) - 1)).bitselect(u32x8::splat(0x7c00), result);
    let result = magnitude.simd_gt(u32x8::splat(0x7f80_0000)).bitselect(u32x8::splat(0x7e00), result);
    result | ((bits & u32x8::splat(0x8000_0000)) >> 16)
}

#[cfg(feature = "half")]
#[inline(always)]
fn widen_bf16(bits: u32x8) -> u32x8 {
    bits << 16
}

/// The bits of the nearest `bf16`s, ties to even: the upper half, rounded. A quiet NaN without payload stays one.
#[cfg(feature = "half")]
#[inline(never)]
fn narrow_bf16(bits: u32x8) -> u32x8 {
    let odd = (bits >> 16) & u32x8::splat(1);
    (bits + u32x8::splat(0x7fff) + odd) >> 16
}

#[cfg(all(test, feature = "half"))]
mod tests {
    use super::*;

    /// Every 16-bit float, there and back, against the crate `half`; and the numbers between each two of them.
    #[test]
    fn halves_convert_as_they_should() {
        let one = |f: fn(u32x8) -> u32x8, bits: u32| f(u32x8::splat(bits)).to_array()[0];
        for bits in 0..=u16::MAX {
            let (f, b) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            let wide = [one(widen_f16, bits.into()), one(widen_bf16, bits.into())];
            if !f.is_nan() {
                assert_eq!(wide[0], f.to_f32_const().to_bits(), "{bits:#x}");
            }
            if !b.is_nan() {
                assert_eq!(wide[1], b.to_f32_const().to_bits(), "{bits:#x}");
            }
            assert_eq!(f.is_nan(), f32::from_bits(wide[0]).is_nan(), "{bits:#x}");
            for step in [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x7fff, 0x8000, 0x8001, 0xffff] {
                for wide in wide {
                    let number = f32::from_bits(wide.wrapping_add(step));
                    if number.is_nan() {
                        continue;
                    }
                    let f = half::f16::from_f32_const(number).to_bits();
                    assert_eq!(one(narrow_f16, number.to_bits()), u32::from(f), "{number:e}");
                    let b = half::bf16::from_f32_const(number).to_bits();
                    assert_eq!(one(narrow_bf16, number.to_bits()), u32::from(b), "{number:e}");
                }
            }
        }
        assert_eq!(one(narrow_f16, f32::NAN.to_bits()), u32::from(half::f16::NAN.to_bits()));
        assert_eq!(one(narrow_bf16, f32::NAN.to_bits()), u32::from(half::bf16::NAN.to_bits()));
    }
}
