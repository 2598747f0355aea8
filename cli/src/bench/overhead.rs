//! `lanepool bench --overhead`: what is left of a call, and of planning, when there is next to nothing to pool.

use std::hint::black_box;

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets};
use lanepool::{AvgPool, Layout, MaxPool, Plan, Tier};
use serde::Serialize;

use crate::info;
use crate::report::{self, say};
use crate::timing::{in_turn, median};

/// A layer that is planned.
struct Case {
    name: &'static str,
    plan: fn(Tier) -> lanepool::Result<Plan<f32>>,
    /// It has one output: running it is all call.
    is_smallest: bool,
}

const CASES: [Case; 7] = [
    Case {
        name: "max 2x2, 1x1x2x2",
        plan: |tier| MaxPool::new([2, 2]).stride([2, 2]).tier(tier).plan(Layout::Nchw, [1, 1, 2, 2]),
        is_smallest: true,
    },
    Case {
        name: "avg 2x2, 1x1x2x2",
        plan: |tier| AvgPool::new([2, 2]).stride([2, 2]).tier(tier).plan(Layout::Nchw, [1, 1, 2, 2]),
        is_smallest: true,
    },
    Case {
        name: "max 2x2, 1x1x2x2, nhwc",
        plan: |tier| MaxPool::new([2, 2]).stride([2, 2]).tier(tier).plan(Layout::Nhwc, [1, 1, 2, 2]),
        is_smallest: true,
    },
    Case {
        name: "avg global, 1x1x2x2",
        plan: |tier| AvgPool::global().tier(tier).plan(Layout::Nchw, [1, 1, 2, 2]),
        is_smallest: true,
    },
    Case {
        name: "max 3x3/2+1, 1x64x112x112",
        plan: |tier| {
            MaxPool::new([3, 3]).stride([2, 2]).padding([1, 1]).tier(tier).plan(Layout::Nchw, [1, 64, 112, 112])
        },
        is_smallest: false,
    },
    Case {
        name: "avg 3x3+1, 1x288x35x35",
        plan: |tier| AvgPool::new([3, 3]).padding([1, 1]).tier(tier).plan(Layout::Nchw, [1, 288, 35, 35]),
        is_smallest: false,
    },
    Case {
        name: "max 13x13+6, 1x512x19x19, nhwc",
        plan: |tier| MaxPool::new([13, 13]).padding([6, 6]).tier(tier).plan(Layout::Nhwc, [1, 512, 19, 19]),
        is_smallest: false,
    },
];

/// What was measured of one layer on one tier, as `--json` prints it.
#[derive(Serialize)]
struct Record {
    name: &'static str,
    tier: &'static str,
    /// One run of the plan, where that is all call.
    call_ns: Option<f64>,
    plan_ns: f64,
}

pub fn run(tiers: &[Tier], rounds: Option<usize>, json: bool) -> Result<()> {
    let mut records = Vec::new();
    for case in &CASES {
        for &tier in tiers {
            records.push(measure(case, tier, rounds)?);
        }
    }
    if json {
        say(serde_json::to_string_pretty(&records)?);
        return Ok(());
    }
    say(info::cpu_name());
    say(table(&records));
    let [mut choices] = in_turn(&mut (), [&mut |()| _ = black_box(Tier::best())], rounds);
    say(format!("A plan without a tier of its own chooses one in {:.0} ns more.", median(&mut choices)));
    Ok(())
}

fn measure(case: &Case, tier: Tier, rounds: Option<usize>) -> Result<Record> {
    let plan = (case.plan)(tier)?;
    let src = vec![1.0; plan.input_len()];
    let mut dst = vec![0.0; plan.output_len()];
    // Checked here: the timed calls are the same.
    plan.run(&src, &mut dst)?;
    let mut call = |dst: &mut Vec<f32>| {
        let _ = black_box(plan.run(black_box(&src), black_box(dst)));
    };
    let mut make = |_: &mut Vec<f32>| drop(black_box((case.plan)(black_box(tier))));
    let (call_ns, plan_ns) = if case.is_smallest {
        let [mut calls, mut plans] = in_turn(&mut dst, [&mut call, &mut make], rounds);
        (Some(median(&mut calls)), median(&mut plans))
    } else {
        let [mut plans] = in_turn(&mut dst, [&mut make], rounds);
        (None, median(&mut plans))
    };
    Ok(Record { name: case.name, tier: tier.name(), call_ns, plan_ns })
}

fn table(records: &[Record]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["layer", "tier", "a call", "a plan, made and dropped"]);
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for record in records {
        table.add_row([
            Cell::new(record.name),
            Cell::new(record.tier),
            Cell::new(record.call_ns.map(report::duration).unwrap_or_default()),
            Cell::new(report::duration(record.plan_ns)),
        ]);
    }
    table
}
