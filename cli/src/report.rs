//! What the tool says: tables and progress.

use std::fmt::Display;
use std::io::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::timing::{Layer, Measurement};

/// Prints a line. A reader that went away (`| head`) ends the tool without a complaint.
pub fn say(text: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("lanepool: cannot write to the standard output: {error}");
        }
        std::process::exit(if gone { 0 } else { 2 });
    }
}

/// A bar of `steps` steps on the standard error; nothing where that is not a terminal.
pub fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (left {eta})  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// Layer × tier: time, throughput, ratio, bits.
pub fn table<'a>(rows: impl IntoIterator<Item = (&'a Layer, &'a [Measurement])>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "layer",
        "shape and window",
        "tier",
        "threads",
        "driver",
        "time",
        "GB/s",
        "× bound",
        "quartiles",
        "bits",
    ]);
    for column in [3, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (layer, measurements) in rows {
        for (i, measured) in measurements.iter().enumerate() {
            let (name, summary) = if i == 0 { (layer.name.clone(), layer.summary()) } else { Default::default() };
            let (low, high) = measured.quartiles;
            table.add_row([
                Cell::new(name),
                Cell::new(summary),
                Cell::new(measured.tier),
                Cell::new(measured.threads),
                Cell::new(measured.kernel),
                Cell::new(duration(measured.kernel_ns)),
                Cell::new(format!("{:.1}", measured.gigabytes_per_second())),
                Cell::new(format!("{:.2}", measured.ratio)),
                Cell::new(format!("{low:.2}–{high:.2}")),
                Cell::new(bits(measured.same_bits)),
            ]);
        }
    }
    table
}

/// Whether the bytes equal the scalar tier's, in a word.
pub const fn bits(same: bool) -> &'static str {
    if same { "same" } else { "DIFFER" }
}

/// A time in the unit that suits it.
pub fn duration(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e6 => format!("{:.1} µs", ns / 1e3),
        ..1e9 => format!("{:.2} ms", ns / 1e6),
        _ => format!("{:.2} s", ns / 1e9),
    }
}
