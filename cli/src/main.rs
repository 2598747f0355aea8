//! The command-line tool of lanepool: pools photographs and tensors, checks the kernels and times them.

mod bench;
mod bound;
mod demo;
mod elements;
mod info;
mod layer;
mod plot;
mod pool;
mod report;
mod selftest;
mod timing;
mod verify;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use report::complain;

/// Pools photographs and tensors, checks and times the kernels of lanepool.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pool a photograph and its feature maps, time the layers, and draw it all into a contact sheet
    Demo(demo::Args),
    /// Show the CPU's features, the tiers, and why one cannot run here
    Info,
    /// Pool a PNG or JPEG image or a .npy array, and write the same kind
    Pool(pool::Args),
    /// Time layers on every tier against the streaming bound
    Bench(bench::Args),
    /// Run the recorded results of other engines on every tier
    Verify(verify::Args),
    /// Compare the bits that this machine gives with the published digests
    Selftest(selftest::Args),
}

/// What the shell gets when the input was bad: 1 is for results that differ.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and the version, which are no mistakes, also where they were not asked for.
        Err(text) if !text.use_stderr() || text.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            text.exit()
        }
        Err(mistake) => {
            complain(report::mistake(&mistake.render().to_string()));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let done = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Info => info::run(),
        Command::Pool(args) => pool::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Verify(args) => verify::run(&args).map_err(anyhow::Error::from),
        Command::Selftest(args) => selftest::run(&args),
    };
    done.unwrap_or_else(|error| {
        complain(format_args!("{error:#}"));
        ExitCode::from(BAD_INPUT)
    })
}
