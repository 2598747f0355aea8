//! Sums of blocks, added as a tree of neighbours.

use super::LANES;
use super::sealed::Sum;

/// As many levels as there are bits in the number of blocks.
const LEVELS: usize = usize::BITS as usize;

/// The sums of some blocks of terms, for some neighbouring channels, on their way to one.
///
/// Blocks `2i` and `2i + 1` are added, then pairs, then pairs of pairs; an odd last one waits for the next level. Here
/// that is a binary counter: level `l` holds the sum of `2^l` blocks where bit `l` of their number is set, and a block
/// that comes is a carry.
pub(super) struct Tree<A> {
    levels: [[A; LANES]; LEVELS],
    blocks: usize,
}

impl<A: Sum> Tree<A> {
    pub(super) fn new() -> Self {
        Self { levels: [[A::ZERO; LANES]; LEVELS], blocks: 0 }
    }

    /// Takes the sums of one more block, and leaves zeros.
    pub(super) fn push(&mut self, sums: &mut [A]) {
        let carried = self.blocks.trailing_ones() as usize;
        for level in self.levels.iter().take(carried) {
            add_before(level, sums);
        }
        if let Some(level) = self.levels.get_mut(carried) {
            level.iter_mut().zip(sums.iter()).for_each(|(to, from)| *to = *from);
        }
        self.blocks = self.blocks.wrapping_add(1);
        sums.fill(A::ZERO);
    }

    /// The sums of all blocks, of which there is at least one.
    pub(super) fn sum(&self, sums: &mut [A]) {
        let mut is_first = true;
        for (bit, level) in self.levels.iter().enumerate() {
            if self.blocks.checked_shr(bit as u32).unwrap_or(0) & 1 == 0 {
                continue;
            }
            if is_first {
                sums.iter_mut().zip(level).for_each(|(to, from)| *to = *from);
            } else {
                add_before(level, sums);
            }
            is_first = false;
        }
    }
}

/// Adds sums of blocks that came before to those that came after.
fn add_before<A: Sum>(before: &[A; LANES], after: &mut [A]) {
    for (before, after) in before.iter().zip(after) {
        *after = before.plus(*after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level by level: neighbours are added, an odd last one waits.
    fn by_levels(mut sums: Vec<f32>) -> f32 {
        while sums.len() > 1 {
            sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(|a, b| a + b).unwrap()).collect();
        }
        sums[0]
    }

    #[test]
    fn a_tree_adds_neighbours() {
        // Numbers of very different sizes: any other order rounds otherwise.
        let term = |i: usize| 1.0 + ((i * 7919) % 1009) as f32 * 1.0e-4 * if i.is_multiple_of(3) { -9.0 } else { 1.0 };
        let mut others = 0;
        for blocks in 1..300 {
            let terms: Vec<f32> = (0..blocks).map(term).collect();
            let mut tree = Tree::new();
            let mut sums = [0.0; 3];
            for term in &terms {
                sums = [*term, 1.0, -term];
                tree.push(&mut sums);
                assert_eq!(sums, [0.0; 3]);
            }
            tree.sum(&mut sums);
            let want = by_levels(terms.clone());
            assert_eq!(sums, [want, blocks as f32, -want], "{blocks} blocks");
            others += usize::from(want != terms.iter().sum::<f32>());
        }
        assert!(others > 100, "a chain of additions is told apart in {others} of 299 sums");
    }
}
