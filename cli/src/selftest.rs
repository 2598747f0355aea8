//! `lanepool selftest`: whether this machine gives the bits that the library promises.

use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{Table, presets};
use lanepool::{Digest, Tier, selftest};

use crate::report::say;

/// Compares the bits that this machine gives with the published digests.
///
/// Fixed layers are run on every tier and their output is folded into one number for each element type. Exits with 1 if
/// one is not the published number, and with 2 if the tier asked for cannot run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The only tier to run; without it, every tier of this machine.
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut found = Vec::new();
    for tier in args.tier.map_or_else(Tier::available, |tier| vec![tier]) {
        found.extend(selftest(tier)?.into_iter().map(|digest| (tier, digest)));
    }
    let (table, wrong) = report(&found);
    say(table);
    if wrong > 0 {
        eprintln!(
            "lanepool: {wrong} of {} digests are not the published ones: bits differ from those promised",
            found.len()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for each digest, and how many are not the published ones.
fn report(found: &[(Tier, Digest)]) -> (Table, usize) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["tier", "element", "digest", ""]);
    for (tier, digest) in found {
        let verdict = if digest.is_published() {
            "as published".to_owned()
        } else {
            format!("DIFFERS, published is {:016x}", digest.published)
        };
        table.add_row([tier.name(), digest.element, &format!("{:016x}", digest.found), &verdict]);
    }
    (table, found.iter().filter(|(_, digest)| !digest.is_published()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_that_differs_is_counted_and_shown() {
        let mut found: Vec<_> =
            selftest(Tier::Scalar).unwrap().into_iter().map(|digest| (Tier::Scalar, digest)).collect();
        let (table, wrong) = report(&found);
        assert!(wrong == 0 && !table.to_string().contains("DIFFERS"), "{table}");
        found[0].1.found ^= 1 << 63;
        let (table, wrong) = report(&found);
        let published = format!("DIFFERS, published is {:016x}", found[0].1.published);
        assert!(wrong == 1 && table.to_string().contains(&published), "{table}");
    }
}
