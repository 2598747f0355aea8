//! Which tiers a test runs on, and what a run did not run.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanepool::Tier;

/// The tiers that this machine can run.
///
/// `LANEPOOL_REQUIRE_TIERS`, a list such as `scalar,avx2`, names tiers that it must: one that is missing fails the test
/// instead of being skipped in silence.
pub fn available() -> Vec<Tier> {
    if let Some(tier) = ONLY.get() {
        return vec![tier];
    }
    let required = std::env::var("LANEPOOL_REQUIRE_TIERS").unwrap_or_default();
    if let Err(why) = require(&required) {
        panic!("{why}");
    }
    Tier::available()
}

thread_local! {
    static ONLY: Cell<Option<Tier>> = const { Cell::new(None) };
}

/// From now on this thread has one tier, as the fuzz targets do, for which every other question would be asked too often; or all
/// of them again.
pub fn only(tier: Option<Tier>) {
    ONLY.set(tier);
}

/// Whether all tiers of a comma-separated list can run here, or why not.
pub fn require(list: &str) -> Result<(), String> {
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let tier: Tier = name.parse().map_err(|error| format!("LANEPOOL_REQUIRE_TIERS names {name:?}: {error}"))?;
        if let Some(why) = tier.missing() {
            return Err(format!("LANEPOOL_REQUIRE_TIERS names {tier}, which cannot run here: {why}"));
        }
    }
    Ok(())
}

/// What was run on one tier.
#[derive(Debug)]
pub struct Count {
    pub layers: AtomicUsize,
    pub outputs: AtomicUsize,
}

static COUNTS: [Count; Tier::ALL.len()] =
    [const { Count { layers: AtomicUsize::new(0), outputs: AtomicUsize::new(0) } }; Tier::ALL.len()];

/// The count of one tier.
pub fn count(tier: Tier) -> &'static Count {
    let place = Tier::ALL.iter().position(|other| *other == tier).expect("Tier::ALL names every tier");
    &COUNTS[place]
}

/// Notes a layer that was compared on a tier.
pub fn note(tier: Tier, outputs: usize) {
    count(tier).layers.fetch_add(1, Ordering::Relaxed);
    count(tier).outputs.fetch_add(outputs, Ordering::Relaxed);
}
