//! Divisors of the outputs at a row's ends, whose windows padding cuts: a lane each, so that they are one run and not
//! one by one.

use alloc::vec::Vec;

use super::Core;
use super::divisors::classes;

/// Lanes that are tabled at most: the words of a long window's borders are made once, which takes less than one run does
/// that makes them output by output.
const MOST: usize = 1 << 16;

/// Lanes and registers of a row whose every lane is tabled.
const MOST_WHOLE: usize = 1 << 13;
const SHORT: usize = 8;

#[derive(Debug)]
pub(crate) struct Ends {
    /// Outputs at the beginning of a row, and the first of those at its end.
    head: usize,
    tail: usize,
    inner: usize,
    /// Products of what depth and height contribute, sorted: a row has one of them.
    classes: Vec<usize>,
    /// Bytes from a word to the next, and of all words of a class: first those of the head's lanes, then those of the
    /// tail's.
    pub(crate) pitch: usize,
    each: usize,
    lane: usize,
    table: Vec<u8>,
}

impl Ends {
    /// `None` where no output is cut, nothing is divided by, or too much would be tabled.
    pub(crate) fn new(core: &Core, inner: usize) -> Option<Self> {
        let (facts, count) = (core.facts(), core.layer.count);
        let [.., width] = &core.layer.geometry.axes;
        let (head, tail) = width.cut_windows();
        let cut = head.saturating_add(tail);
        if facts.words == 0 || core.divisors.are_equal() || cut == 0 || !width.slides() {
            return None;
        }
        let classes_of = |cut: usize, most: usize| {
            let lanes = cut.checked_mul(inner)?.checked_add(facts.lanes)?;
            let most = most.checked_div(lanes.saturating_mul(facts.words))?;
            Some((lanes, classes(&core.layer, most)?))
        };
        // A short row is one run, whatever its windows have.
        let is_short = width.output.saturating_mul(inner) <= SHORT * facts.lanes;
        let whole = if is_short { classes_of(width.output, MOST_WHOLE) } else { None };
        let (head, tail) = if whole.is_some() { (width.output, 0) } else { (head, tail) };
        if head.saturating_add(tail) > width.output {
            return None;
        }
        let (lanes, classes) = whole.or_else(|| classes_of(head + tail, MOST))?;
        let cut = head + tail;
        let pitch = lanes * facts.lane;
        let each = facts.words * pitch;
        let mut table = alloc::vec![0; classes.len() * each];
        let tail = width.output - tail;
        for (class, rows) in classes.iter().zip(table.chunks_exact_mut(each)) {
            for (at, x) in (0..head).chain(tail..width.output).enumerate() {
                let divisor = class.saturating_mul(width.count(x, count)).max(1);
                let words = (core.hot.leaves.words)(&core.hot.constants, divisor);
                for (word, row) in words.iter().zip(rows.chunks_exact_mut(pitch)) {
                    let from = at * inner * facts.lane;
                    for lane in row[from..from + inner * facts.lane].chunks_exact_mut(facts.lane) {
                        lane.copy_from_slice(&word[..facts.lane]);
                    }
                }
            }
            // Lanes behind the last output divide by something too.
            for row in rows.chunks_exact_mut(pitch) {
                let (lanes, behind) = row.split_at_mut(cut * inner * facts.lane);
                let last = &lanes[lanes.len() - facts.lane..];
                for lane in behind.chunks_exact_mut(facts.lane) {
                    lane.copy_from_slice(last);
                }
            }
        }
        Some(Self { head, tail, inner, classes, pitch, each, lane: facts.lane, table })
    }

    /// The words of output `x` and of those of the same end that follow it, and how many these are up to output `end`.
    /// `None` where it is in the middle of the row.
    pub(crate) fn words(&self, class: usize, x: usize, end: usize) -> Option<(*const u8, usize)> {
        let (at, n) = if x < self.head {
            (x, self.head.min(end) - x)
        } else if x >= self.tail {
            (self.head + (x - self.tail), end - x)
        } else {
            return None;
        };
        let class = self.classes.binary_search(&class).ok()?;
        Some((self.table[class * self.each + at * self.inner * self.lane..].as_ptr(), n))
    }

    /// Whether all outputs of a row are tabled.
    pub(crate) fn are_all(&self, outputs: usize) -> bool {
        self.head == outputs
    }

    pub(crate) fn bytes(&self) -> usize {
        self.table.len() + size_of_val(&*self.classes)
    }
}
