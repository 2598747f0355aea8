//! What came of a file of cases, as a table and as a list of failures.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use lanepool::Tier;

/// What came of one check on one tier.
pub enum Verdict {
    /// The result agrees with the engine's in every layout, and with the scalar tier's to the byte.
    Passed,
    /// It does not: the layout, the first element that differs, what was expected and what came.
    Failed(String),
    /// The library lacks something; nothing was compared.
    Unsupported(String),
}

/// How many checks came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub unsupported: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.unsupported += other.unsupported;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", self.passed, self.failed, self.unsupported)
    }
}

/// What came of a file.
pub struct Report {
    file: String,
    source: String,
    tiers: Vec<Tier>,
    /// By operation and element, then by tier as in `tiers`.
    rows: BTreeMap<(String, String), Vec<Counts>>,
    failures: Vec<String>,
    /// Reasons, and how many checks each kept from running.
    lacking: BTreeMap<String, usize>,
}

impl Report {
    pub fn new(file: String, source: String, tiers: &[Tier]) -> Self {
        let (rows, lacking) = (BTreeMap::new(), BTreeMap::new());
        Self { file, source, tiers: tiers.to_vec(), rows, failures: Vec::new(), lacking }
    }

    /// Records the verdicts of one check, one for each tier.
    pub fn record(&mut self, case: &str, row: &str, element: &str, verdicts: Vec<Verdict>) {
        let counts = self.rows.entry((row.to_owned(), element.to_owned())).or_default();
        counts.resize(self.tiers.len(), Counts::default());
        let mut reasons = Vec::new();
        for ((tier, counts), verdict) in self.tiers.iter().zip(counts).zip(verdicts) {
            match verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed(why) => {
                    counts.failed += 1;
                    self.failures.push(format!("{case} ({row}, {element}) on {tier}: {why}"));
                }
                Verdict::Unsupported(why) => {
                    counts.unsupported += 1;
                    reasons.push(why);
                }
            }
        }
        reasons.dedup();
        for why in reasons {
            *self.lacking.entry(why).or_default() += 1;
        }
    }

    /// Everything that came of one tier.
    pub fn counts(&self, tier: Tier) -> Counts {
        let mut total = Counts::default();
        if let Some(at) = self.tiers.iter().position(|&other| other == tier) {
            self.rows.values().filter_map(|row| row.get(at)).for_each(|counts| total.add(*counts));
        }
        total
    }

    /// Whether every check that could be run agreed, on every tier.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.file, self.source)?;
        writeln!(f, "passed / failed / unsupported on each tier:")?;
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let tiers = self.tiers.iter().map(ToString::to_string);
        table.set_header(["operation", "element"].into_iter().map(str::to_owned).chain(tiers));
        for ((operation, element), counts) in &self.rows {
            let counts = counts.iter().map(ToString::to_string);
            table.add_row([operation.clone(), element.clone()].into_iter().chain(counts));
        }
        let totals = self.tiers.iter().map(|&tier| self.counts(tier).to_string());
        table.add_row(["all".to_owned(), String::new()].into_iter().chain(totals));
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        for (why, checks) in &self.lacking {
            writeln!(f, "unsupported {checks}: {why}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        Ok(())
    }
}
