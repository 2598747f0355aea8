//! The command-line tool of lanepool.

use std::process::ExitCode;

use clap::Parser;

mod verify;

#[derive(Parser)]
enum Command {
    Verify(verify::Args),
}

fn main() -> ExitCode {
    let Command::Verify(args) = Command::parse();
    verify::run(&args).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
