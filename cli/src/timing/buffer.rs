//! The memory of tensors that are timed.

use std::ops::Range;

use bytemuck::Pod;

/// A tensor's memory, at a random line of a page.
pub struct Buffer {
    memory: Vec<u8>,
    used: Range<usize>,
}

impl Buffer {
    const PAGE: usize = 4096;
    const LINE: usize = 64;

    /// Zeros.
    pub fn new(bytes: usize, rng: &mut fastrand::Rng) -> Self {
        let memory = vec![0; bytes + 2 * Self::PAGE];
        let start = memory.as_ptr().align_offset(Self::PAGE) + Self::LINE * rng.usize(..Self::PAGE / Self::LINE);
        Self { memory, used: start..start + bytes }
    }

    /// A copy of these values.
    pub fn of<T: Pod>(values: &[T], rng: &mut fastrand::Rng) -> Self {
        let mut buffer = Self::new(size_of_val(values), rng);
        buffer.bytes_mut().copy_from_slice(bytemuck::cast_slice(values));
        buffer
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.used.clone()]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.used.clone()]
    }

    pub fn values<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    pub fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }

    /// The memory as the bound reads it; up to three last bytes are left out.
    pub fn words(&self) -> &[u32] {
        let bytes = self.bytes();
        bytemuck::cast_slice(&bytes[..bytes.len() / 4 * 4])
    }

    pub fn words_mut(&mut self) -> &mut [u32] {
        let bytes = self.bytes_mut();
        let whole = bytes.len() / 4 * 4;
        bytemuck::cast_slice_mut(&mut bytes[..whole])
    }

    /// Makes a byte that a kernel forgets to write visible.
    pub fn poison(&mut self, with: u8) {
        self.bytes_mut().fill(with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_line_and_hold_what_they_must() {
        let mut rng = fastrand::Rng::with_seed(1);
        for len in [0, 1, 3, 1000] {
            let mut buffer = Buffer::new(len * size_of::<f32>(), &mut rng);
            assert_eq!(buffer.values::<f32>().len(), len);
            assert_eq!(buffer.bytes().as_ptr() as usize % Buffer::LINE, 0);
            buffer.poison(0xA5);
            assert!(buffer.bytes().iter().all(|&byte| byte == 0xA5));
        }
        assert_eq!(Buffer::of(&[1_i64, -1], &mut rng).values::<i64>(), [1, -1]);
    }
}
