//! What averages divide by, tabled at plan time.
//!
//! A divisor is a product over the axes, so it takes few values: one for each pair of distinct factors that depth and
//! height contribute (a *class* of rows), times one for each output along the row. Along an axis only the windows that
//! padding cuts differ from the others, so a table holds those at both ends and some of the equal ones between
//! ([`Factors`]): it is short however long the axis.
//!
//! Each entry is stored as the words the operation wants, one word after another and each as a row, so that a vector of
//! neighbouring outputs loads its words.

use alloc::vec::Vec;
use core::ops::Range;

use super::Layer;
use crate::geometry::{Axis, Count};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, MOST_WORDS, Reduce};

/// What the outputs of one axis contribute to the divisor, with a long middle of equal ones cut short.
#[derive(Clone, Debug)]
struct Factors {
    values: Vec<usize>,
    /// Where the middle begins, and how many of its outputs are left out.
    head: usize,
    skipped: usize,
}

impl Factors {
    fn new(axis: &Axis, count: Count) -> Self {
        // A fixed divisor does not ask what padding cuts.
        let (head, tail) = if matches!(count, Count::Fixed(_)) { (0, 0) } else { axis.cut_windows() };
        // So much of the middle is kept that a whole vector fits in it.
        let skipped = axis.output.saturating_sub(tail).saturating_sub(head + MOST_LANES);
        let outputs = (0..axis.output - skipped).map(|i| if i < head { i } else { i + skipped });
        Self { values: outputs.map(|o| axis.count(o, count)).collect(), head, skipped }
    }

    /// The entry of output `o`. Up to `MOST_LANES` entries from there on are those of the outputs from `o` on.
    #[inline(always)]
    fn entry(&self, o: usize) -> usize {
        if o <= self.head { o } else { o.saturating_sub(self.skipped).max(self.head) }
    }

    fn are_equal(&self) -> bool {
        self.values.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// The distinct values, and for each entry which of them it is.
    fn classes(&self) -> (Vec<usize>, Vec<usize>) {
        let mut kinds = Vec::new();
        let class = self.values.iter().map(|factor| {
            kinds.iter().position(|kind| kind == factor).unwrap_or_else(|| {
                kinds.push(*factor);
                kinds.len() - 1
            })
        });
        let class = class.collect();
        (kinds, class)
    }

    /// The longest runs of outputs with equal factors.
    fn runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut from = 0;
        for to in 1..=self.values.len() {
            if to == self.values.len() || self.values[to] != self.values[from] {
                // The left-out middle belongs to the run that reaches across its place.
                let output = |entry: usize| if entry <= self.head { entry } else { entry + self.skipped };
                runs.push(output(from)..output(to));
                from = to;
            }
        }
        runs
    }
}

/// The divisors of a whole layer.
#[derive(Clone, Debug)]
pub(crate) struct Divisors<A> {
    /// `[class][word][entry]`, each row followed by `MOST_LANES` more entries so that a whole vector can be loaded anywhere.
    words: Vec<A>,
    pitch: usize,
    /// Every window divides by the same number: one entry, and no class.
    uniform: bool,
    depth: Factors,
    height: Factors,
    width: Factors,
    /// The class of each entry on depth (in steps of the height's classes) and on height.
    depth_class: Vec<usize>,
    height_class: Vec<usize>,
    /// Runs of neighbouring outputs along the row whose divisors are equal in every class.
    pub(crate) runs: Vec<Range<usize>>,
}

impl<A: Lane> Divisors<A> {
    /// For an operation's words.
    pub(crate) fn of<S: Lanes<A>, R: Reduce<A, S>>(op: R, layer: &Layer) -> Self {
        Self::new(R::WORDS, &|divisor| op.words(divisor), layer)
    }

    /// The one place that knows neither the operation nor the tier, so that it is compiled once.
    fn new(words_each: usize, words_of: &dyn Fn(usize) -> [A; MOST_WORDS], layer: &Layer) -> Self {
        // An operation that does not divide is one that divides by the same number everywhere.
        let count = if words_each == 0 { Count::Fixed(1) } else { layer.count };
        let [depth, height, width] = layer.geometry.axes.each_ref().map(|axis| Factors::new(axis, count));
        let (deep_kinds, depth_class) = depth.classes();
        let (high_kinds, height_class) = height.classes();
        let uniform = deep_kinds.len() <= 1 && high_kinds.len() <= 1 && width.are_equal();
        let pitch = if uniform { 1 } else { width.values.len() + MOST_LANES };

        let mut words = Vec::with_capacity(deep_kinds.len() * high_kinds.len() * words_each * pitch);
        for deep in &deep_kinds {
            for high in &high_kinds {
                for word in 0..words_each {
                    for x in 0..pitch {
                        let product = deep * high * width.values[x.min(width.values.len() - 1)];
                        // A window without a valid tap must divide by something; `Plan` writes its output.
                        let divisor = if let Count::Fixed(divisor) = count { divisor } else { product.max(1) };
                        words.push(words_of(divisor)[word]);
                    }
                }
            }
        }
        let depth_class = depth_class.into_iter().map(|class| class * high_kinds.len()).collect();
        let whole_row = 0..layer.geometry.axes[2].output;
        let runs = if uniform { Vec::from([whole_row]) } else { width.runs() };
        Self { words, pitch, uniform, depth, height, width, depth_class, height_class, runs }
    }

    /// Whether every divisor is a power of two, so that its reciprocal is exact.
    pub(crate) fn are_powers_of_two(layer: &Layer) -> bool {
        let is_power = |factor: &usize| (*factor).max(1).is_power_of_two();
        match layer.count {
            Count::Fixed(divisor) => divisor.is_power_of_two(),
            // A product is a power of two where its factors are.
            count => layer.geometry.axes.iter().all(|axis| Factors::new(axis, count).values.iter().all(is_power)),
        }
    }

    /// The divisors of output row `(z, y)`.
    #[inline(always)]
    pub(crate) fn row<S: Lanes<A>, R: Reduce<A, S>>(&self, z: usize, y: usize) -> RowDivisors<'_, A> {
        let class = if R::WORDS == 0 || self.uniform {
            0
        } else {
            self.depth_class[self.depth.entry(z)] + self.height_class[self.height.entry(y)]
        };
        let from = class * R::WORDS * self.pitch;
        let words = &self.words[from..from + R::WORDS * self.pitch];
        RowDivisors { words, pitch: self.pitch, uniform: self.uniform, width: &self.width }
    }
}

/// The divisors along one output row.
#[derive(Clone, Copy)]
pub(crate) struct RowDivisors<'a, A> {
    words: &'a [A],
    pitch: usize,
    uniform: bool,
    width: &'a Factors,
}

impl<A: Lane> RowDivisors<'_, A> {
    /// Whether every output divides by the same number.
    #[inline(always)]
    pub(crate) fn uniform(&self) -> bool {
        self.uniform
    }

    /// Word `word` of the divisor of output `x`.
    pub(crate) fn word(&self, x: usize, word: usize) -> A {
        let entry = if self.uniform { 0 } else { self.width.entry(x) };
        self.words[word * self.pitch + entry]
    }

    /// One divisor for all lanes: that of output `x`.
    #[inline(always)]
    pub(crate) fn at<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        let entry = if R::WORDS == 0 || self.uniform { 0 } else { self.width.entry(x) };
        op.divisor(
            s,
            #[inline(always)]
            |word| s.splat(self.words[word * self.pitch + entry]),
        )
    }

    /// A divisor a lane: those of the outputs from `x` on.
    #[inline(always)]
    pub(crate) fn from<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        if R::WORDS == 0 || self.uniform {
            return self.at(s, op, 0);
        }
        let entry = self.width.entry(x);
        op.divisor(
            s,
            #[inline(always)]
            |word| {
                let words = &self.words[word * self.pitch + entry..][..S::N];
                // SAFETY: the slice holds the N entries that are loaded.
                unsafe { s.load(words.as_ptr()) }
            },
        )
    }
}
