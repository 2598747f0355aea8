//! Indices as what they are away from where their window begins: 32 bits each, whatever they count and however long they are.

use super::axes::{Adjoint, Taps, Windows};
use super::part;
use crate::Index;
use crate::geometry::MAX_RANK;
use crate::index::{Indices, Weights};
use crate::kernels::widest;

/// What codes and distances must be below, so that no two are the same modulo 2³².
pub(super) const FARTHEST: u32 = 1 << 31;

/// What indices count, as codes of a layer.
#[derive(Clone, Copy)]
pub(super) struct Coding {
    weights: Option<Weights>,
    /// What a step on an axis adds to the index of a window's first tap, and what a tap adds to a code.
    pub places: [usize; MAX_RANK],
    pub adds: [u32; MAX_RANK],
    /// The largest code.
    pub most: u32,
}

impl Coding {
    /// `None` where codes are too long, or each window has its own.
    pub fn new(layer: &Adjoint, weights: Option<Weights>) -> Option<Self> {
        let (mut places, mut adds, mut most) = ([0; MAX_RANK], [0; MAX_RANK], 0_usize);
        let mut kernel = 1_usize;
        for axis in (0..MAX_RANK).rev() {
            let windows = layer.axes.get(axis)?;
            let (place, add) = match (&weights, windows) {
                (Some(weights), Windows::Adaptive { .. }) => (*weights.axes.get(axis)?, *weights.axes.get(axis)?),
                (Some(weights), Windows::Sliding { axis: along, .. }) => {
                    let weight = *weights.axes.get(axis)?;
                    // Of one tap nothing is added, however far the next would be.
                    (weight, if along.kernel == 1 { weight } else { weight.checked_mul(along.dilation)? })
                }
                // Taps are counted row by row.
                (None, Windows::Sliding { .. }) => (0, kernel),
                (None, Windows::Adaptive { .. }) => return None,
            };
            kernel = kernel.checked_mul(windows.most_taps())?;
            most = most.checked_add(add.checked_mul(windows.most_taps().saturating_sub(1))?)?;
            *places.get_mut(axis)? = place;
            *adds.get_mut(axis)? = u32::try_from(add).ok().filter(|add| *add > 0)?;
        }
        let most = u32::try_from(most).ok().filter(|most| *most < FARTHEST)?;
        // What a plane's last index is from its first.
        let last = layer.input.lengths.map(|length| length.saturating_sub(1));
        let reach = weights.map_or(0, |weights| {
            weights.of_pixel(last).saturating_add(weights.channel.saturating_mul(layer.split().inner))
        });
        (reach < FARTHEST as usize).then_some(Self { weights, places, adds, most })
    }

    /// What the index of a window's first tap grows by from one window of a row to the next, and from one channel to the next.
    pub fn steps(&self, layer: &Adjoint) -> [u32; 2] {
        let ([.., width], [.., place]) = (&layer.axes, self.places);
        let channel = self.weights.map_or(0, |weights| weights.channel);
        [width.stride().wrapping_mul(place) as u32, channel as u32]
    }

    /// The index of the first tap of a window with these taps, were there no padding: it may lie before all that there are.
    pub fn origin(&self, plane: usize, channel: usize, taps: [Option<Taps>; MAX_RANK]) -> i64 {
        let plane = self
            .weights
            .map_or(0, |weights| weights.of_plane(plane).wrapping_add(weights.channel.wrapping_mul(channel)));
        let first = |taps: Taps| taps.start.wrapping_sub(taps.skipped.wrapping_mul(taps.step));
        let in_plane = taps.into_iter().flatten().zip(self.places).map(|(taps, place)| first(taps).wrapping_mul(place));
        in_plane.fold(plane, usize::wrapping_add) as i64
    }

    /// The code of a tap.
    pub fn code(&self, numbers: [usize; MAX_RANK]) -> u32 {
        let code = numbers.iter().zip(self.adds).map(|(number, add)| (*number as u32).wrapping_mul(add));
        code.fold(0, u32::wrapping_add)
    }
}

impl Indices<'_> {
    /// The codes of neighbouring indices from number `at` on: how far each is from `first`, less what its lane lies `behind`,
    /// modulo 2³². Whether none is farther than 32 bits from `base`, which makes them exact.
    pub(super) fn codes(self, at: usize, [base, first]: [i64; 2], behind: &[u32], to: &mut [u32]) -> bool {
        match self {
            Self::Short(indices) => codes(part(indices, at, to.len()), [base, first], behind, to),
            Self::Long(indices) => codes(part(indices, at, to.len()), [base, first], behind, to),
        }
    }

    /// The same, and whether each lies in one of three rows that begin at these codes: at most so much `more` behind its begin.
    pub(super) fn in_rows(
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
