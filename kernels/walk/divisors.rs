//! What averages divide by, tabled at plan time.
//!
//! A divisor is a product over the axes, so it takes few values: one for each pair of distinct factors that depth and
//! height contribute (a *class* of rows), times one for each output along the row. Each entry is stored as the words the
//! operation wants, one word after another and each as a row, so that a vector of neighbouring outputs loads its words.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::Layer;
use crate::geometry::Count;
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce};

#[derive(Clone, Debug)]
pub(crate) struct Divisors<A> {
    /// `[class][word][x]`, each row followed by `MOST_LANES` more entries so that a whole vector can be loaded anywhere.
    words: Vec<A>,
    pitch: usize,
    /// Every window divides by the same number.
    uniform: bool,
    /// The class of each output on depth (in steps of the height's classes) and on height.
    depth_class: Vec<usize>,
    height_class: Vec<usize>,
    /// Runs of neighbouring outputs along the row whose divisors are equal in every class.
    pub(crate) runs: Vec<Range<usize>>,
}

impl<A: Lane> Divisors<A> {
    pub(crate) fn new<S: Lanes<A>, R: Reduce<A, S>>(op: R, layer: &Layer) -> Self {
        let [depth, height, width] = &layer.geometry.axes;
        let whole_row = 0..width.output;
        if R::WORDS == 0 {
            return Self {
                words: Vec::new(),
                pitch: 0,
                uniform: true,
                depth_class: Vec::new(),
                height_class: Vec::new(),
                runs: vec![whole_row],
            };
        }
        let factors = |axis: &crate::geometry::Axis| -> Vec<usize> {
            (0..axis.output).map(|o| axis.count(o, layer.count)).collect()
        };
        let (deep, high, wide) = (factors(depth), factors(height), factors(width));
        let (deep_kinds, depth_class) = classes(&deep);
        let (high_kinds, height_class) = classes(&high);
        let uniform = deep_kinds.len() == 1 && high_kinds.len() == 1 && wide.iter().all(|n| *n == wide[0]);
        let pitch = if uniform { 1 } else { width.output + MOST_LANES };

        let mut words = Vec::with_capacity(deep_kinds.len() * high_kinds.len() * R::WORDS * pitch);
        for deep in &deep_kinds {
            for high in &high_kinds {
                for word in 0..R::WORDS {
                    for x in 0..pitch {
                        let product = deep * high * wide[x.min(wide.len() - 1)];
                        let divisor = if let Count::Fixed(divisor) = layer.count { divisor } else { product.max(1) };
                        words.push(op.words(divisor)[word]);
                    }
                }
            }
        }
        let depth_class = depth_class.into_iter().map(|class| class * high_kinds.len()).collect();
        let runs = if uniform { vec![whole_row] } else { runs(&wide) };
        Self { words, pitch, uniform, depth_class, height_class, runs }
    }

    /// The divisors of output row `(z, y)`.
    #[inline(always)]
    pub(crate) fn row<S: Lanes<A>, R: Reduce<A, S>>(&self, z: usize, y: usize) -> RowDivisors<'_, A> {
        let class = if R::WORDS == 0 || self.uniform { 0 } else { self.depth_class[z] + self.height_class[y] };
        let from = class * R::WORDS * self.pitch;
        RowDivisors { words: &self.words[from..from + R::WORDS * self.pitch], pitch: self.pitch, uniform: self.uniform }
    }
}

/// The divisors along one output row.
#[derive(Clone, Copy)]
pub(crate) struct RowDivisors<'a, A> {
    words: &'a [A],
    pitch: usize,
    uniform: bool,
}

impl<A: Lane> RowDivisors<'_, A> {
    /// One divisor for all lanes: that of output `x`.
    #[inline(always)]
    pub(crate) fn at<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        let x = if self.uniform { 0 } else { x };
        op.divisor(
            s,
            #[inline(always)]
            |word| s.splat(self.words[word * self.pitch + x]),
        )
    }

    /// A divisor a lane: those of the outputs from `x` on.
    #[inline(always)]
    pub(crate) fn from<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        if R::WORDS == 0 || self.uniform {
            return self.at(s, op, 0);
        }
        debug_assert!(x + MOST_LANES <= self.pitch);
        op.divisor(
            s,
            #[inline(always)]
            |word| {
                let words = &self.words[word * self.pitch + x..][..S::N];
                // SAFETY: the slice holds the N entries that are loaded.
                unsafe { s.load(words.as_ptr()) }
            },
        )
    }
}

/// The distinct values of `factors`, and for each factor which of them it is.
fn classes(factors: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut kinds = Vec::new();
    let class = factors.iter().map(|factor| {
        kinds.iter().position(|kind| kind == factor).unwrap_or_else(|| {
            kinds.push(*factor);
            kinds.len() - 1
        })
    });
    let class = class.collect();
    (kinds, class)
}

/// The longest runs of equal neighbours.
fn runs(values: &[usize]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut from = 0;
    for to in 1..=values.len() {
        if to == values.len() || values[to] != values[from] {
            runs.push(from..to);
            from = to;
        }
    }
    runs
}
