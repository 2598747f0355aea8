//! The table of README.md that says what there is, made from what the library says there is.

use lanepool::{Any, Avg, DType, Layout, Max, Min, Pool, PoolOperation, Sum, Tier};

const README: &str = include_str!("../README.md");
const BEGIN: &str = "<!-- support table: made by tests/support_table.rs -->\n";
const END: &str = "<!-- end of the support table -->\n";

/// The layouts, and what the table calls all of them.
const LAYOUTS: [Layout; 4] = [Layout::Nchw, Layout::Nhwc, Layout::Blocked(3), Layout::Blocked(8)];
const LAYOUT_CELL: &str = "NCHW, NHWC, NCHW*c*c for any *c*; 1-D, 2-D, 3-D";

/// What a row of the table must be true of: each of its operations.
type Plans = fn(DType, Layout, &[usize], &[usize], Tier) -> bool;

/// A row of the table: its operations in words, and whether each can be planned.
const ROWS: [(&str, &[Plans]); 2] = [
    ("max, min (NaN propagates or is ignored)", &[plans::<Max>, plans::<Min>]),
    ("average (exclude pad, include pad, divisor), sum", &[plans::<Avg>, plans::<Sum>]),
];

fn plans<O: PoolOperation>(dtype: DType, layout: Layout, kernel: &[usize], shape: &[usize], tier: Tier) -> bool {
    Pool::<O, Any>::new(kernel).tier(tier).plan_as(dtype, layout, shape).is_ok()
}

/// The elements for which every operation has a plan in every layout and rank, on every tier of this machine.
fn elements(operations: &[Plans]) -> Vec<DType> {
    let has_everything = |dtype: DType| {
        operations.iter().all(|plans| {
            Tier::available().into_iter().all(|tier| {
                LAYOUTS.into_iter().all(|layout| {
                    (1..=3).all(|rank| {
                        let shape = [&[1, 24][..], &[5, 5, 5][..rank]].concat();
                        plans(dtype, layout, &[2, 2, 2][..rank], &shape, tier)
                    })
                })
            })
        })
    };
    DType::ALL.iter().copied().filter(|dtype| has_everything(*dtype)).collect()
}

/// A tier as its makers write it.
fn tier(tier: Tier) -> String {
    match tier {
        Tier::Scalar | Tier::Portable => tier.name().to_owned(),
        Tier::Avx512 => "AVX-512".to_owned(),
        _ => tier.name().to_uppercase(),
    }
}

fn table() -> String {
    let mut table = "| | elements | layouts | tiers |\n|---|---|---|---|\n".to_owned();
    let mut above = None;
    for (what, operations) in ROWS {
        let names: Vec<String> = elements(operations).iter().map(|dtype| format!("`{dtype}`")).collect();
        let tiers: Vec<String> = Tier::ALL.into_iter().map(tier).collect();
        let cells = [names.join(", "), LAYOUT_CELL.to_owned(), tiers.join(", ")];
        let same = "the same".to_owned();
        let shown = match &above {
            Some(above) => {
                let pairs = cells.iter().zip(above);
                pairs.map(|(cell, above)| if cell == above { same.clone() } else { cell.clone() }).collect::<Vec<_>>()
            }
            None => cells.to_vec(),
        };
        table += &format!("| {what} | {} |\n", shown.join(" | "));
        above = Some(cells);
    }
    table
}

#[test]
#[cfg_attr(not(feature = "half"), ignore = "the table lists f16 and bf16, which are off")]
fn the_readme_says_what_there_is() {
    let (_, rest) = README.split_once(BEGIN).expect("the marker before the table");
    let (shown, _) = rest.split_once(END).expect("the marker after the table");
    let table = table();
    assert!(shown.trim() == table.trim(), "README.md has\n\n{shown}\nwhere the library has\n\n{table}");
}
