//! Numbers for tests: a seeded generator, and tensors filled with what finds bugs.

use super::elements::Sample;
use super::share;

/// SplitMix64: the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by a text, such as a test's name, and by the seed of the whole run.
    pub fn named(name: &str) -> Self {
        // FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(hash ^ share::seed().wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A number from `from` to `to`, both included.
    pub fn within(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What a tensor is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Values with the prime period 251: whatever is read in place of the right element is another value.
    Pattern,
    /// Any bits: NaN, infinities and subnormals occur, and most sums are rounded.
    Bits,
    /// The edges of the type without NaN: zeros of both signs, infinities, subnormals.
    Edges,
    /// The same with a NaN of some sign and payload here and there.
    Nans,
    /// Numbers of like size, whose sums are rounded: another order of the taps is another sum.
    Numbers,
    /// The same, with NaN, infinities, zeros of both signs or the ends of an integer type among them.
    Specials,
}

/// All of them.
pub const FILLS: [Fill; 6] = [Fill::Pattern, Fill::Bits, Fill::Edges, Fill::Nans, Fill::Numbers, Fill::Specials];

impl Fill {
    pub fn tensor<T: Sample>(self, len: usize, rng: &mut Rng) -> Vec<T> {
        let start = rng.below(251);
        let (edges, seven) = (T::edges(), T::seven());
        (0..len)
            .map(|i| match self {
                Self::Pattern => T::pattern(start + i),
                Self::Bits => T::from_bits(rng.bits()),
                Self::Nans if rng.one_in(40) => {
                    let bits = rng.bits();
                    T::nan(bits & 1 == 1, bits >> 1).unwrap_or_else(|| T::from_bits(bits))
                }
                Self::Specials if rng.one_in(7) => *rng.pick(&seven),
                Self::Numbers | Self::Specials => T::number(rng.bits()),
                Self::Edges | Self::Nans => *rng.pick(&edges),
            })
            .collect()
    }
}
