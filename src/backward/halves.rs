//! 16-bit floats without a branch, which the compiler makes vectors of. (The crate `half` decides for each element.)

/// `f16`: 5 bits of exponent.
pub(super) mod f16 {
    /// What `f32` counts its exponents from, less what `f16` does, as bits of an exponent.
    const SHIFT: u32 = (127 - 15) << 23;

    #[inline(always)]
    pub fn widened(bits: u16) -> f32 {
        let sign = u32::from(bits & 0x8000) << 16;
        let magnitude = u32::from(bits & 0x7fff) << 13;
        let number = magnitude.wrapping_add(SHIFT);
        // Below the least normal number, 2⁻¹⁴: what is added to it, exactly.
        let least = SHIFT + (1 << 23);
        let small = f32::from_bits(magnitude.wrapping_add(least)) - f32::from_bits(least);
        let small = small.to_bits() & 0x7fff_ffff;
        let bits = if magnitude < 1 << 23 { small } else { number };
        // Infinities and NaN have the largest exponent in both.
        let bits = if magnitude >= 31 << 23 { number.wrapping_add(SHIFT) } else { bits };
        f32::from_bits(bits | sign)
    }

    /// To the nearest, ties to even; of a NaN anything.
    #[inline(always)]
    pub fn narrowed(number: f32) -> u16 {
        let (sign, magnitude) = (number.to_bits() >> 16 & 0x8000, number.to_bits() & 0x7fff_ffff);
        let odd = magnitude >> 13 & 1;
        let normal = magnitude.wrapping_sub(SHIFT).wrapping_add(0xfff).wrapping_add(odd) >> 13;
        // One half has the unit of the least numbers, 2⁻²⁴: so it rounds what is added to it.
        let small = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
        let bits = if magnitude < SHIFT + (1 << 23) { small } else { normal };
        let bits = if magnitude >= (127 + 16) << 23 { 0x7c00 } else { bits };
        (bits | sign) as u16
    }
}

/// `bf16`: the upper half of an `f32`.
pub(super) mod bf16 {
    #[inline(always)]
    pub fn widened(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    /// To the nearest, ties to even; of a NaN anything.
    #[inline(always)]
    pub fn narrowed(number: f32) -> u16 {
        let bits = number.to_bits();
        (bits.wrapping_add(0x7fff).wrapping_add(bits >> 16 & 1) >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    /// All numbers of 16 bits, and those of 32 between and beside them.
    #[test]
    fn halves_are_those_of_the_crate() {
        for bits in 0..=u16::MAX {
            let (a, b) = (half::f16::from_bits(bits), half::bf16::from_bits(bits));
            if !a.is_nan() {
                assert_eq!(super::f16::widened(bits).to_bits(), a.to_f32().to_bits(), "{bits:#x}");
            }
            assert!(!a.is_nan() || super::f16::widened(bits).is_nan(), "{bits:#x}");
            assert_eq!(super::bf16::widened(bits).is_nan(), b.is_nan(), "{bits:#x}");
            assert!(b.is_nan() || super::bf16::widened(bits).to_bits() == b.to_f32().to_bits(), "{bits:#x}");
        }
        for bits in (0..=u32::MAX).step_by(509).chain((0..=u16::MAX).flat_map(|half| {
            let [near, tie] = [f32::to_bits(half::f16::from_bits(half).to_f32()), u32::from(half) << 16 | 0x8000];
            [near, near ^ 0x1000, near ^ 0xfff, near ^ 0x1001, tie, tie + 1, tie - 1, near.wrapping_add(0x1000)]
        })) {
            let number = f32::from_bits(bits);
            if !number.is_nan() {
                assert_eq!(super::f16::narrowed(number), half::f16::from_f32(number).to_bits(), "{bits:#x}");
                assert_eq!(super::bf16::narrowed(number), half::bf16::from_f32(number).to_bits(), "{bits:#x}");
            }
        }
    }
}
