//! Placeholder for the subcommand `verify`: replaced by the real file when the branches are merged.

use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

/// Says that it is not there yet.
pub fn run(_: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this build has no `verify` yet")
}
