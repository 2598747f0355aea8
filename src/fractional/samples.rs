//! The types of random samples, and where they put windows.

use core::fmt::Debug;
use core::ops::Range;

use crate::variable::Windows;

/// A type of random samples. Sealed: the float elements.
pub trait Sample: bytemuck::Pod + Debug + PartialEq + Send + Sync + sealed::Sealed {}

pub(super) mod sealed {
    use super::Samples;

    pub trait Sealed: Copy {
        #[doc(hidden)]
        const SAMPLES: &'static Samples;
    }
}

/// A type of samples as a value: code that is compiled once knows a sample as an f64, which holds every one exactly.
pub struct Samples {
    /// Of a sample.
    pub(super) bytes: usize,
    /// The sample at a place of the samples, whose bytes are given.
    pub(super) value: fn(&[u8], usize) -> Option<f64>,
    /// Where the window of output `o` starts, if `free` positions are left and `last` is the last output, which is not
    /// asked for: `⌊(o + sample)·α⌋ − ⌊sample·α⌋` with `α = free/last`, each operation rounded to the samples' type.
    start: fn(f64, usize, usize, usize) -> usize,
}

macro_rules! samples {
    ($($T:ty: $from:expr, $floor:expr, $narrow:expr);+ $(;)?) => { $(
        impl Sample for $T {}
        impl sealed::Sealed for $T {
            const SAMPLES: &'static Samples = {
                fn value(samples: &[u8], at: usize) -> Option<f64> {
                    bytemuck::try_cast_slice::<u8, $T>(samples).ok()?.get(at).map(|sample| (*sample).into())
                }

                #[allow(clippy::arithmetic_side_effects, reason = "floats")]
                fn start(sample: f64, o: usize, free: usize, last: usize) -> usize {
                    let (from, floor, sample): (_, _, $T) = ($from, $floor, $narrow(sample));
                    let alpha: $T = from(free) / from(last);
                    floor((from(o) + sample) * alpha).saturating_sub(floor(sample * alpha))
                }

                &Samples { bytes: size_of::<$T>(), value, start }
            };
        }
    )+ };
}

// `as` cuts the fraction off, and saturates. Samples were narrow before: narrowing gives them back.
samples! {
    f32: |n: usize| n as f32, |x: f32| x as usize, |sample: f64| sample as f32;
    f64: |n: usize| n as f64, |x: f64| x as usize, |sample: f64| sample;
}

#[cfg(feature = "half")]
samples! {
    half::f16: |n: usize| half::f16::from_f32(n as f32), |x: half::f16| x.to_f32() as usize, half::f16::from_f64;
    half::bf16: |n: usize| half::bf16::from_f32(n as f32), |x: half::bf16| x.to_f32() as usize, half::bf16::from_f64;
}

/// The windows of one axis of one plane.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub sample: f64,
    pub samples: &'static Samples,
}

impl Windows for Places {
    fn windows(self) -> impl Iterator<Item = Range<usize>> {
        let Self { input, output, kernel, sample, samples } = self;
        let (free, last) = (input.saturating_sub(kernel), output.saturating_sub(1));
        (0..output).map(move |o| {
            // Rounding may carry a start past the last place.
            let start = if o == last { free } else { (samples.start)(sample, o, free, last).min(free) };
            start..start.saturating_add(kernel)
        })
    }
}
