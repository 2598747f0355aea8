//! Indices as what they are away from where their window begins: 32 bits each, whatever they count and however long they are.

use super::part;
use crate::Index;
use crate::kernels::vectorized;

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

    /// The codes of neighbouring indices from number `at` on: how far each is from `first`, less what its lane lies `behind`.
    /// `u32::MAX` where the index is farther than 32 bits.
    ///
    /// Short ones are exact modulo 2³² only. An index of another window does not get the code of one of this window's own taps by
    /// that: it would be 2³² away from an index that the type holds.
    pub fn codes(self, at: usize, first: i64, behind: &[u32], to: &mut [u32]) {
        match self {
            Self::Short(indices) => short_codes(part(indices, at, to.len()), first as u32, behind, to),
            Self::Long(indices) => long_codes(part(indices, at, to.len()), first, behind, to),
        }
    }
}

#[inline(never)]
fn short_codes(indices: &[i32], first: u32, behind: &[u32], to: &mut [u32]) {
    vectorized(
        #[inline(always)]
        || {
            for (to, (index, behind)) in to.iter_mut().zip(indices.iter().zip(behind)) {
                *to = (*index as u32).wrapping_sub(first).wrapping_sub(*behind);
            }
        },
    );
}

#[inline(never)]
fn long_codes(indices: &[i64], first: i64, behind: &[u32], to: &mut [u32]) {
    vectorized(
        #[inline(always)]
        || {
            for (to, (index, behind)) in to.iter_mut().zip(indices.iter().zip(behind)) {
                let distance = index.wrapping_sub(first) as u64;
                let code = (distance as u32).wrapping_sub(*behind);
                *to = if distance >> 32 == 0 { code } else { u32::MAX };
            }
        },
    );
}
