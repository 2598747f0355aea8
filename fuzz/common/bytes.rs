//! Numbers taken off the input, so that few bytes say much: a fuzzer changes a byte at a time.

/// What is left of the input; what is missing is 0.
pub struct Bytes<'a>(pub &'a [u8]);

#[allow(dead_code, reason = "each target takes what it needs")]
impl<'a> Bytes<'a> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn bit(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// One of `count`, from 0 on.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// From `from` on, one of `count`.
    pub fn within(&mut self, from: usize, count: usize) -> usize {
        from + self.below(count)
    }

    pub fn list(&mut self, len: usize, from: usize, count: usize) -> Vec<usize> {
        (0..len).map(|_| self.within(from, count)).collect()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn raw<const N: usize>(&mut self) -> [u8; N] {
        [(); N].map(|()| self.byte())
    }

    /// Any number of 64 bits: a small one in one byte, one of 16 bits in three, one beside a power of two in two, and every other in
    /// nine.
    pub fn wide(&mut self) -> u64 {
        match self.byte() {
            small @ ..224 => small.into(),
            224..240 => u16::from_le_bytes(self.raw()).into(),
            kind @ 240..248 => {
                let power = 1_u64 << (self.byte() % 64);
                // From 3 below to 4 above.
                power.wrapping_add(u64::from(kind - 240)).wrapping_sub(3)
            }
            248.. => u64::from_le_bytes(self.raw()),
        }
    }

    /// The same of as many bits as an address has.
    pub fn number(&mut self) -> usize {
        self.wide() as usize
    }

    pub fn numbers(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.number()).collect()
    }

    /// The same with a sign.
    pub fn signed(&mut self) -> i64 {
        self.wide() as i64
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
