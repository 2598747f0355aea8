//! "Every tier of the user's own CPU gives the published digest", and a tier that cannot run is an error.

#[macro_use]
mod common;

use common::tiers;
use lanepool::{Element, Error, Tier, selftest};

macro_rules! names {
    ($($name:ident: $T:ty),+ $(,)?) => {
        const NAMES: &[&str] = &[$( <$T as Element>::NAME ),+];
    };
}

for_elements!(names);

/// One digest for each element, the same on every tier, and the published one.
#[test]
fn every_tier_gives_the_published_digests() {
    let mut wrong = Vec::new();
    for tier in tiers::available() {
        let digests = selftest(tier).unwrap_or_else(|error| panic!("{tier}: {error}"));
        let elements: Vec<_> = digests.iter().map(|digest| digest.element).collect();
        assert_eq!(elements, NAMES, "the self-test has a row for each element");
        for digest in digests {
            println!("{tier:8} {:6} {:#018x}", digest.element, digest.found);
            assert_eq!(digest.is_published(), digest.found == digest.published);
            if !digest.is_published() {
                wrong.push(format!(
                    "{tier} {}: {:#018x} is not {:#018x}",
                    digest.element, digest.found, digest.published
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Elements differ in their bytes, so no digest can be another's by accident.
#[test]
fn digests_are_of_different_outputs() {
    let digests = selftest(Tier::Scalar).expect("scalar runs everywhere");
    for (i, one) in digests.iter().enumerate() {
        assert!(digests[..i].iter().all(|other| other.found != one.found), "{one:?} is another's");
    }
}

#[test]
fn a_tier_that_cannot_run_is_an_error() {
    let absent = Tier::ALL.into_iter().filter(|tier| tier.missing().is_some());
    for tier in absent {
        assert!(matches!(selftest(tier), Err(Error::TierUnavailable { tier: named, .. }) if named == tier), "{tier}");
    }
}
