//! What averages divide by.
//!
//! A divisor is a product over the axes, so it takes few values. Their words, each as a register of equal lanes, are
//! tabled when planning; a layer that has too many makes the words of a divisor when it meets it.

use alloc::vec::Vec;

use super::Layer;
use crate::geometry::{Axis, Count};
use crate::kernels::leaf::{Constants, Facts, Leaves, Words};
use crate::kernels::simd::MOST_WORDS;

/// Values that are tabled at most.
const MOST_TABLED: usize = 64;

/// The largest divisor whose place is tabled.
const MOST_PLACES: usize = 1 << 11;

/// Bytes of the words of a divisor, each as a register, at most.
const BLOCK: usize = MOST_WORDS * 64;

/// Room for the words of a divisor that is not tabled.
#[repr(align(64))]
pub(crate) struct Block([u8; BLOCK]);

impl Block {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self([0; BLOCK])
    }
}

/// The factors that an axis contributes: of each window that padding cuts, and of one of the others, which are equal.
fn factors(axis: &Axis, count: Count) -> impl Iterator<Item = usize> + '_ {
    // A fixed divisor does not ask what padding cuts.
    let (head, tail) = match count {
        Count::Fixed(_) => (0, 0),
        _ if axis.slides() => axis.cut_windows(),
        _ => (axis.output, 0),
    };
    let first = (head + 1).min(axis.output);
    let last = axis.output.saturating_sub(tail).max(first);
    (0..first).chain(last..axis.output).map(move |o| axis.count(o, count))
}

/// Each number once; `None` where there are more than `most`.
fn distinct(numbers: impl Iterator<Item = usize>, most: usize) -> Option<Vec<usize>> {
    let mut distinct = Vec::new();
    for number in numbers {
        if !distinct.contains(&number) {
            if distinct.len() >= most {
                return None;
            }
            distinct.push(number);
        }
    }
    Some(distinct)
}

/// Products of what depth and height contribute, sorted: a row of outputs has one of them. `None` where there are more than `most`.
pub(super) fn classes(layer: &Layer, most: usize) -> Option<Vec<usize>> {
    let [depth, height, _] = &layer.geometry.axes;
    // Many windows contribute the same: products are of few, however long the axes.
    let deep = distinct(factors(depth, layer.count), most)?;
    let high = distinct(factors(height, layer.count), most)?;
    let products = deep.iter().flat_map(|deep| high.iter().map(|high| deep.saturating_mul(*high)));
    let mut classes = distinct(products, most)?;
    classes.sort_unstable();
    Some(classes)
}

/// The divisor of every window, where all have the same.
fn common(layer: &Layer) -> Option<usize> {
    if let Count::Fixed(divisor) = layer.count {
        return Some(divisor);
    }
    let product = layer.geometry.axes.iter().try_fold(1_usize, |product, axis| {
        let mut factors = factors(axis, layer.count);
        let first = factors.next()?;
        factors.all(|factor| factor == first).then_some(product.saturating_mul(first))
    });
    // A window without a valid tap must divide by something; `Plan` writes its output.
    product.map(|divisor| divisor.max(1))
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

/// Whether every divisor is odd, so that no quotient is half way between two whole numbers.
pub(crate) fn are_odd(layer: &Layer) -> bool {
    match layer.count {
        Count::Fixed(divisor) => divisor % 2 == 1,
        count => {
            let mut factors = layer.geometry.axes.iter().flat_map(|axis| factors(axis, count));
            factors.all(|factor| factor.max(1) % 2 == 1)
        }
    }
}

/// The words of a divisor, one register behind the other, each of equal lanes.
fn spread(facts: &Facts, words: &Words, to: &mut [u8]) {
    for (register, word) in to.chunks_exact_mut(facts.register()).zip(words).take(facts.words) {
        for lane in register.chunks_exact_mut(facts.lane) {
            lane.copy_from_slice(&word[..facts.lane]);
        }
    }
}

/// The divisors of a layer.
pub(crate) struct Divisors {
    /// Sorted.
    values: Vec<usize>,
    /// Where each is in `values`, by its value; `values.len()` for those that are none. Empty where they are large.
    places: Vec<u8>,
    /// The words of each.
    blocks: Vec<u8>,
    /// Every window has the first.
    is_common: bool,
    count: Count,
}

impl Divisors {
    pub(crate) fn new(layer: &Layer, leaves: &Leaves, constants: &Constants) -> Self {
        let facts = &leaves.facts;
        let mut values = Vec::new();
        let mut is_common = true;
        // An operation that does not divide has no words.
        if facts.words > 0 {
            match common(layer) {
                Some(divisor) => values.push(divisor),
                None => {
                    is_common = false;
                    let mut some = [1_usize; 1 + MOST_TABLED];
                    let mut len = 1;
                    for axis in &layer.geometry.axes {
                        let (before, old) = (some, len);
                        let mut last = usize::MAX;
                        len = 0;
                        for factor in factors(axis, layer.count) {
                            if factor == last {
                                continue;
                            }
                            last = factor;
                            for value in &before[..old] {
                                let product = value.saturating_mul(factor).max(1);
                                if len <= MOST_TABLED && !some[..len].contains(&product) {
                                    some[len] = product;
                                    len += 1;
                                }
                            }
                        }
                        len = len.min(MOST_TABLED);
                    }
                    values.extend_from_slice(&some[..len]);
                    values.sort_unstable();
                }
            }
        }
        let mut places = Vec::new();
        if !is_common && values.last().is_some_and(|largest| *largest <= MOST_PLACES) {
            places.resize(values[values.len() - 1] + 1, values.len() as u8);
            for (at, value) in values.iter().enumerate() {
                places[*value] = at as u8;
            }
        }
        let each = facts.words * facts.register();
        let mut blocks = alloc::vec![0; values.len() * each];
        if each > 0 {
            for (value, block) in values.iter().zip(blocks.chunks_exact_mut(each)) {
                spread(facts, &(leaves.words)(constants, *value), block);
            }
        }
        Self { values, places, blocks, is_common, count: layer.count }
    }

    /// Whether every window divides by the same number.
    pub(crate) fn are_equal(&self) -> bool {
        self.is_common
    }

    /// Whether the words of every divisor are tabled.
    pub(crate) fn are_tabled(&self) -> bool {
        self.values.len() < MOST_TABLED
    }

    /// What output `o` of an axis contributes.
    #[inline]
    pub(crate) fn factor(&self, axis: &Axis, o: usize) -> usize {
        if self.is_common { 1 } else { axis.count(o, self.count) }
    }

    /// The words of the divisor that every window has.
    pub(crate) fn common(&self) -> *const u8 {
        debug_assert!(self.is_common);
        self.blocks.as_ptr()
    }

    /// The words of a divisor, in `block` where they are not tabled.
    #[inline]
    pub(crate) fn words(&self, leaves: &Leaves, constants: &Constants, divisor: usize, block: &mut Block) -> *const u8 {
        if self.is_common {
            return self.blocks.as_ptr();
        }
        let facts = &leaves.facts;
        let divisor = divisor.max(1);
        // Asked for every window that padding cuts.
        let at = match self.places.get(divisor) {
            Some(at) => usize::from(*at),
            None => self.values.binary_search(&divisor).unwrap_or(self.values.len()),
        };
        if at < self.values.len() {
            return self.blocks[at * facts.words * facts.register()..].as_ptr();
        }
        spread(facts, &(leaves.words)(constants, divisor), &mut block.0);
        block.0.as_ptr()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len() + self.places.len() + size_of_val(&*self.values)
    }
}
