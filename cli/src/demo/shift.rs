//! How much maps change when the photograph moves by a pixel or two, and how pooling takes that away.
//!
//! The crop moves over the photograph, so that real pixels come in at its edge; the change is the norm of the difference
//! over the norm of the maps, the mean of a move to the right and a move down. A control goes the same way without
//! pooling: it takes every second pixel instead, so that what is gained by pooling is not confused with what is lost by
//! a smaller map.

use image::RgbImage;
use lanepool::Result;

use super::features::{Planes, TAPS, face, respond, square};
use crate::layer::Operation;

/// The moves, in pixels.
pub const SHIFTS: [u32; 2] = [1, 2];

/// The maps of one size: how much they change for each of [`SHIFTS`].
pub struct Stage {
    /// The side of the maps.
    pub side: usize,
    /// Reached by maxima of 3 × 3, stride 2, padding 1.
    pub max: [f64; 2],
    /// Reached by averages of the same windows.
    pub avg: [f64; 2],
    /// Reached by taking every second pixel.
    pub subsampled: [f64; 2],
}

/// The chain of maps from the filters down to 7 × 7. In the first stage nothing is pooled and all three are equal.
pub fn stages(photograph: &RgbImage, bank: &[[f32; TAPS * TAPS]]) -> Result<Vec<Stage>> {
    let max = changes(photograph, bank, |maps| maps.pool(&square(Operation::Max, 3, 2, 1)))?;
    let avg = changes(photograph, bank, |maps| maps.pool(&square(Operation::Avg, 3, 2, 1)))?;
    // A window of a single tap with stride 2 is every second pixel.
    let subsampled = changes(photograph, bank, |maps| maps.pool(&square(Operation::Max, 1, 2, 0)))?;
    let stages = max.into_iter().zip(avg).zip(subsampled);
    Ok(stages.map(|(((side, max), (_, avg)), (_, subsampled))| Stage { side, max, avg, subsampled }).collect())
}

/// The side of the maps and their changes, before the first halving and after each.
fn changes(
    photograph: &RgbImage,
    bank: &[[f32; TAPS * TAPS]],
    halve: impl Fn(&Planes) -> Result<Planes>,
) -> Result<Vec<(usize, [f64; 2])>> {
    let maps = |right, down| respond(&face(photograph, right, down), bank);
    let mut still = maps(0, 0);
    let mut moved = Vec::new();
    for shift in SHIFTS {
        moved.push([maps(shift, 0), maps(0, shift)]);
    }
    let mut stages = Vec::new();
    loop {
        let [_, side, _] = still.shape;
        let mut changes = [0.0; 2];
        for (change, moved) in changes.iter_mut().zip(&moved) {
            *change = moved.iter().map(|moved| relative_change(&moved.data, &still.data)).sum::<f64>() / 2.0;
        }
        stages.push((side, changes));
        if side <= 7 {
            return Ok(stages);
        }
        still = halve(&still)?;
        for maps in moved.iter_mut().flatten() {
            *maps = halve(maps)?;
        }
    }
}

/// The norm of the difference over the norm of the original.
fn relative_change(moved: &[f32], still: &[f32]) -> f64 {
    let square = |value: f64| value * value;
    let difference: f64 = moved.iter().zip(still).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let norm: f64 = still.iter().map(|value| square(f64::from(*value))).sum();
    (difference / norm).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_relative_to_the_original() {
        assert_eq!(relative_change(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(relative_change(&[0.0, 0.0], &[3.0, 4.0]), 1.0);
        assert_eq!(relative_change(&[6.0, 8.0], &[3.0, 4.0]), 1.0);
    }
}
