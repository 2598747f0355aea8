//! `lanepool selftest`.

mod common;

use common::{lanepool, stderr, stdout};
use lanepool::Tier;

/// A row for each tier and element, each as published.
#[test]
fn every_tier_is_as_published() {
    let run = lanepool().arg("selftest").output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let table = stdout(&run);
    for tier in Tier::available() {
        let elements = lanepool::selftest(tier).unwrap();
        let rows = table.lines().filter(|line| line.contains(tier.name()) && line.contains("as published")).count();
        assert_eq!(rows, elements.len(), "{table}");
    }
}

#[test]
fn one_tier_can_be_asked_for() {
    let run = lanepool().args(["selftest", "--tier", "portable"]).output().unwrap();
    assert!(run.status.success() && !stdout(&run).contains("scalar"), "{}", stdout(&run));
    let absent = Tier::ALL.into_iter().find(|tier| tier.missing().is_some()).expect("no machine has every tier");
    let run = lanepool().args(["selftest", "--tier", absent.name()]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains(absent.missing().unwrap()), "{}", stderr(&run));
}
