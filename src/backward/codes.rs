//! Indices as what they are away from where their window begins: 32 bits each, whatever they count and however long they are.

use super::part;
use crate::Index;
use crate::kernels::widest;

/// Indices of either type: what is compiled for them is little, and the rest once.
#[derive(Clone, Copy)]
pub(super) enum Indices<'a> {
    Short(&'a [i32]),
    Long(&'a [i64]),
}

impl<'a> Indices<'a> {
    pub fn new<I: Index>(indices: &'a [I]) -> Self {
        if size_of::<I>() == size_of::<i32>() {
            Self::Short(bytemuck::try_cast_slice(indices).unwrap_or_default())
        } else {
            Self::Long(bytemuck::try_cast_slice(indices).unwrap_or_default())
        }
    }

    pub fn len(self) -> usize {
        match self {
            Self::Short(indices) => indices.len(),
            Self::Long(indices) => indices.len(),
        }
    }

    pub fn get(self, at: usize) -> Option<i64> {
        match self {
            Self::Short(indices) => indices.get(at).map(|index| i64::from(*index)),
            Self::Long(indices) => indices.get(at).copied(),
        }
    }

    /// The codes of neighbouring indices from number `at` on: how far each is from `first`, less what its lane lies `behind`,
    /// modulo 2³². Whether none is farther than 32 bits from `base`, which makes them exact.
    pub fn codes(self, at: usize, [base, first]: [i64; 2], behind: &[u32], to: &mut [u32]) -> bool {
        match self {
            Self::Short(indices) => codes(part(indices, at, to.len()), [base, first], behind, to),
            Self::Long(indices) => codes(part(indices, at, to.len()), [base, first], behind, to),
        }
    }

    /// The same, and whether each lies in one of three rows that begin at these codes: at most so much `more` behind its begin.
    pub fn in_rows(
        self,
        at: usize,
        from: [i64; 2],
        tables: [&[u32]; 2],
        begins: [u32; 3],
        to: &mut [u32],
    ) -> (bool, bool) {
        match self {
            Self::Short(indices) => in_rows(part(indices, at, to.len()), from, tables, begins, to),
            Self::Long(indices) => in_rows(part(indices, at, to.len()), from, tables, begins, to),
        }
    }
}

#[inline(never)]
fn codes<I: Index>(indices: &[I], [base, first]: [i64; 2], behind: &[u32], to: &mut [u32]) -> bool {
    widest(
        #[inline(always)]
        || {
            let mut distances = 0;
            for (to, (index, behind)) in to.iter_mut().zip(indices.iter().zip(behind)) {
                let index = index.to_i64();
                distances |= index.wrapping_sub(base);
                *to = (index as u32).wrapping_sub(first as u32).wrapping_sub(*behind);
            }
            distances as u64 >> 32 == 0
        },
    )
}

#[inline(never)]
fn in_rows<I: Index>(
    indices: &[I],
    [base, first]: [i64; 2],
    [behind, more]: [&[u32]; 2],
    [a, b, c]: [u32; 3],
    to: &mut [u32],
) -> (bool, bool) {
    widest(
        #[inline(always)]
        || {
            let (mut distances, mut failed) = (0, 0);
            for (to, (index, (behind, more))) in to.iter_mut().zip(indices.iter().zip(behind.iter().zip(more))) {
                let index = index.to_i64();
                distances |= index.wrapping_sub(base);
                let code = (index as u32).wrapping_sub(first as u32).wrapping_sub(*behind);
                let least = code.wrapping_sub(a).min(code.wrapping_sub(b)).min(code.wrapping_sub(c));
                failed |= u32::from(least > *more);
                *to = code;
            }
            (distances as u64 >> 32 == 0, failed == 0)
        },
    )
}
