//! What averages divide by, tabled at plan time.
//!
//! A divisor is a product over the axes, so it takes few values: one for each pair of distinct factors that depth and
//! height contribute (a *class* of rows), times one for each output along the row. Along an axis only the windows that
//! padding cuts differ from the others, so a table holds those at both ends and some of the equal ones between
//! ([`Factors`]): it is short however long the axis. Where every window divides by the same number, as in most layers, there is
//! no table: planning a layer is a few hundred nanoseconds, and a table would be most of them.
//!
//! Each entry is stored as the words the operation wants, one word after another and each as a row, so that a vector of
//! neighbouring outputs loads its words.

use alloc::vec::Vec;
use core::ops::Range;

use super::Layer;
use crate::geometry::{Axis, Count};
use crate::kernels::simd::{Lane, Lanes, MOST_WORDS, Reduce};

/// The factors that an axis contributes: of each window that padding cuts, and of one of the others, which are equal.
fn factors(axis: &Axis, count: Count) -> impl Iterator<Item = usize> + '_ {
    // A fixed divisor does not ask what padding cuts.
    let (head, tail) = if matches!(count, Count::Fixed(_)) { (0, 0) } else { axis.cut_windows() };
    let first = (head + 1).min(axis.output);
    let last = axis.output.saturating_sub(tail).max(first);
    (0..first).chain(last..axis.output).map(move |o| axis.count(o, count))
}

/// The divisor of every window, where all have the same.
fn common(layer: &Layer, count: Count) -> Option<usize> {
    if let Count::Fixed(divisor) = count {
        return Some(divisor);
    }
    let product = layer.geometry.axes.iter().try_fold(1, |product, axis| {
        let mut factors = factors(axis, count);
        let first = factors.next()?;
        factors.all(|factor| factor == first).then_some(product * first)
    });
    // A window without a valid tap must divide by something; `Plan` writes its output.
    product.map(|divisor| divisor.max(1))
}

/// What the outputs of one axis contribute to the divisor, with a long middle of equal ones cut short.
#[derive(Clone, Debug, Default)]
struct Factors {
    values: Vec<usize>,
    /// Where the middle begins, and how many of its outputs are left out.
    head: usize,
    skipped: usize,
}

impl Factors {
    /// So much of the middle is kept that `lanes` entries fit in it.
    fn new(axis: &Axis, count: Count, lanes: usize) -> Self {
        let (head, tail) = axis.cut_windows();
        let skipped = axis.output.saturating_sub(tail).saturating_sub(head + lanes);
        let outputs = (0..axis.output - skipped).map(|i| if i < head { i } else { i + skipped });
        Self { values: outputs.map(|o| axis.count(o, count)).collect(), head, skipped }
    }

    /// The entry of output `o`. As many entries as a vector has lanes are, from there on, those of the outputs from `o` on.
    #[inline(always)]
    fn entry(&self, o: usize) -> usize {
        if o <= self.head { o } else { o.saturating_sub(self.skipped).max(self.head) }
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
    /// The words of the divisor that every window has. Then there is no table.
    common: Option<[A; MOST_WORDS]>,
    /// `[class][word][entry]`, each row followed by a vector's entries more, so that a whole one can be loaded anywhere.
    words: Vec<A>,
    pitch: usize,
    depth: Factors,
    height: Factors,
    width: Factors,
    /// The class of each entry on depth (in steps of the height's classes) and on height.
    depth_class: Vec<usize>,
    height_class: Vec<usize>,
    /// Runs of neighbouring outputs along the row whose divisors are equal in every class; where there are none, the whole row.
    pub(crate) runs: Vec<Range<usize>>,
}

impl<A: Lane> Divisors<A> {
    /// For an operation's words and a tier's vectors.
    pub(crate) fn of<S: Lanes<A>, R: Reduce<A, S>>(op: R, layer: &Layer) -> Self {
        Self::new(R::WORDS, S::N, &|divisor| op.words(divisor), layer)
    }

    /// The one place that knows neither the operation nor the tier, so that it is compiled once.
    fn new(words_each: usize, lanes: usize, words_of: &dyn Fn(usize) -> [A; MOST_WORDS], layer: &Layer) -> Self {
        // An operation that does not divide is one that divides by the same number everywhere.
        let count = if words_each == 0 { Count::Fixed(1) } else { layer.count };
        if let Some(divisor) = common(layer, count) {
            return Self {
                common: Some(words_of(divisor)),
                words: Vec::new(),
                pitch: 1,
                depth: Factors::default(),
                height: Factors::default(),
                width: Factors::default(),
                depth_class: Vec::new(),
                height_class: Vec::new(),
                runs: Vec::new(),
            };
        }
        let [depth, height, width] = layer.geometry.axes.each_ref().map(|axis| Factors::new(axis, count, lanes));
        let (deep_kinds, depth_class) = depth.classes();
        let (high_kinds, height_class) = height.classes();
        let pitch = width.values.len() + lanes;

        let mut words = alloc::vec![A::zeroed(); deep_kinds.len() * high_kinds.len() * words_each * pitch];
        let mut classes = words.chunks_exact_mut(words_each * pitch);
        for deep in &deep_kinds {
            for (high, class) in high_kinds.iter().zip(&mut classes) {
                // Neighbours mostly divide by the same number, and making its words may take divisions.
                let mut made = (0, [A::zeroed(); MOST_WORDS]);
                for x in 0..pitch {
                    // A window without a valid tap must divide by something; `Plan` writes its output.
                    let divisor = (deep * high * width.values[x.min(width.values.len() - 1)]).max(1);
                    if made.0 != divisor {
                        made = (divisor, words_of(divisor));
                    }
                    for word in 0..words_each {
                        class[word * pitch + x] = made.1[word];
                    }
                }
            }
        }
        let depth_class = depth_class.into_iter().map(|class| class * high_kinds.len()).collect();
        let runs = width.runs();
        Self { common: None, words, pitch, depth, height, width, depth_class, height_class, runs }
    }

    /// Whether every divisor is a power of two, so that its reciprocal is exact.
    pub(crate) fn are_powers_of_two(layer: &Layer) -> bool {
        match layer.count {
            Count::Fixed(divisor) => divisor.is_power_of_two(),
            // A product is a power of two where its factors are.
            count => {
                let mut factors = layer.geometry.axes.iter().flat_map(|axis| factors(axis, count));
                factors.all(|factor| factor.max(1).is_power_of_two())
            }
        }
    }

    /// The divisors of output row `(z, y)`.
    #[inline(always)]
    pub(crate) fn row<S: Lanes<A>, R: Reduce<A, S>>(&self, z: usize, y: usize) -> RowDivisors<'_, A> {
        let words = match &self.common {
            Some(words) => &words[..],
            None => {
                let class = self.depth_class[self.depth.entry(z)] + self.height_class[self.height.entry(y)];
                let from = class * R::WORDS * self.pitch;
                &self.words[from..from + R::WORDS * self.pitch]
            }
        };
        RowDivisors { words, pitch: self.pitch, is_common: self.common.is_some(), width: &self.width }
    }
}

/// The divisors along one output row.
#[derive(Clone, Copy)]
pub(crate) struct RowDivisors<'a, A> {
    words: &'a [A],
    pitch: usize,
    /// One entry is that of every output.
    is_common: bool,
    width: &'a Factors,
}

impl<A: Lane> RowDivisors<'_, A> {
    /// Whether every output divides by the same number.
    #[inline(always)]
    pub(crate) fn are_equal(&self) -> bool {
        self.is_common
    }

    /// Word `word` of the divisor of output `x`.
    pub(crate) fn word(&self, x: usize, word: usize) -> A {
        let entry = if self.is_common { 0 } else { self.width.entry(x) };
        self.words[word * self.pitch + entry]
    }

    /// One divisor for all lanes: that of output `x`.
    #[inline(always)]
    pub(crate) fn at<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        let entry = if R::WORDS == 0 || self.is_common { 0 } else { self.width.entry(x) };
        op.divisor(
            s,
            #[inline(always)]
            |word| s.splat(self.words[word * self.pitch + entry]),
        )
    }

    /// A divisor a lane: those of the outputs from `x` on.
    #[inline(always)]
    pub(crate) fn from<S: Lanes<A>, R: Reduce<A, S>>(&self, s: S, op: R, x: usize) -> R::Divisor {
        if R::WORDS == 0 || self.is_common {
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
