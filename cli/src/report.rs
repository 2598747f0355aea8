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

/// Prints a message on the standard error: one line, whatever is in it, so that a script can tell messages apart.
pub fn complain(text: impl Display) {
    eprintln!("lanepool: {}", one_line(&text.to_string()));
}

/// A text without ends of lines; control characters of a file's name are written as escapes.
fn one_line(text: &str) -> String {
    let joined = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    joined.chars().map(shown).collect()
}

/// What the argument parser says of a mistake, which is a paragraph and how the command is used, as a message.
pub fn mistake(paragraphs: &str) -> String {
    let is_use = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines: Vec<_> = paragraphs.lines().map(str::trim).filter(|line| !line.is_empty()).filter(is_use).collect();
    let text = lines.join(" ").replace(" tip: ", "; ");
    format!("{} (--help says more)", text.strip_prefix("error: ").unwrap_or(&text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a file\n  of two lines\n\nand more"), "a file of two lines and more");
        assert_eq!(one_line("\u{1b}[2J\r.png"), "\\u{1b}[2J\\r.png");
    }

    #[test]
    fn mistakes_lose_what_help_says() {
        let text = "error: unexpected argument '--kernle' found\n\n  tip: a similar argument exists: '--kernel'\n\nUsage: \
                    lanepool pool --kernel <KERNEL> <IN> <OUT>\n\nFor more information, try '--help'.\n";
        let said = "unexpected argument '--kernle' found; a similar argument exists: '--kernel' (--help says more)";
        assert_eq!(mistake(text), said);
    }
}
