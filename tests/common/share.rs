//! A part of the tests' layers, where all of them would take too long: in an emulator, under a sanitizer.
//!
//! `LANEPOOL_TEST_SHARE=n` runs about one layer in n of each long list, two if nobody says; 1 also runs all of the lists that take
//! minutes, of which it is otherwise a part. Every test still runs, for every element, operation, layout and tier; which layers it keeps depends on how
//! they print themselves and on `LANEPOOL_TEST_SEED`, a number: another seed keeps other layers, and draws other ones where they are
//! random. Without it they are the same every time. The gate takes the seed from the commit, so that what a change is tested on was
//! chosen by nobody, and comes back with the commit.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

/// What is run unless the variable says otherwise: all tests of a compiled tree in less than three minutes on two cores.
const USUAL: u64 = 2;

/// How many layers one is run of.
pub fn one_in() -> u64 {
    asked().unwrap_or(USUAL)
}

/// Whether there is less time than usual: in an emulator, under a sanitizer.
pub fn is_small() -> bool {
    one_in() > USUAL
}

/// What the variable says.
fn asked() -> Option<u64> {
    static ASKED: OnceLock<Option<u64>> = OnceLock::new();
    *ASKED.get_or_init(|| {
        let share = std::env::var("LANEPOOL_TEST_SHARE").ok()?;
        Some(share.parse().ok().filter(|n| *n > 0).expect("LANEPOOL_TEST_SHARE is a positive number"))
    })
}

/// What the layers are chosen by; 0 if nobody says.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        std::env::var("LANEPOOL_TEST_SEED").map_or(0, |seed| seed.parse().expect("LANEPOOL_TEST_SEED is a number"))
    })
}

/// Whether this is among the layers that are run.
pub fn holds(what: impl Display) -> bool {
    is_among(one_in(), what)
}

/// The same of a list that takes minutes: one in `usual` of it is run, or with the variable one in `n` of those; with 1 all are.
pub fn holds_of_many(usual: u64, what: impl Display) -> bool {
    is_among(asked().map_or(usual, |n| if n == 1 { 1 } else { n.saturating_mul(usual) }), what)
}

fn is_among(one_in: u64, what: impl Display) -> bool {
    if one_in == 1 {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    (what.to_string(), seed()).hash(&mut hasher);
    hasher.finish().is_multiple_of(one_in)
}

/// The share of so many random layers.
pub fn of(layers: u64) -> u64 {
    layers.div_ceil(one_in())
}
