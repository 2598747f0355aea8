//! `lanepool bench --overhead`: what is left of a call, and of planning, when there is next to nothing to pool.

use std::hint::black_box;

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table, presets};
use lanepool::{AvgPool, Element, ElementVisitor, Layout, MaxPool, Plan, Tier};
use serde::Serialize;

use super::cases;
use crate::info;
use crate::report::{self, say};
use crate::timing::{Layer, Work, in_turn, median};

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
    /// What the plan holds.
    plan_bytes: usize,
}

/// What planning a layer of the built-in list costs, of those with a plain plan, as `--json` prints it.
#[derive(Serialize)]
struct Planned {
    name: String,
    layout: String,
    element: &'static str,
    tier: &'static str,
    driver: &'static str,
    plan_ns: f64,
    plan_bytes: usize,
}

/// A layer that is planned for one tier, over and over.
struct Planning<'a> {
    layer: &'a Layer,
    tier: Tier,
    rounds: Option<usize>,
}

impl ElementVisitor for Planning<'_> {
    type Output = Result<Planned>;

    fn visit<T: Element>(self) -> Result<Planned> {
        let Self { layer, tier, rounds } = self;
        let make = || layer.window.plan::<T>(layer.layout, &layer.shape, Some(black_box(tier)));
        let plan = make()?;
        let [mut plans] = in_turn(&mut (), [&mut |()| drop(black_box(make()))], rounds);
        Ok(Planned {
            name: layer.name.clone(),
            layout: layer.layout.to_string(),
            element: T::NAME,
            tier: tier.name(),
            driver: plan.kernel(),
            plan_ns: median(&mut plans),
            plan_bytes: plan.held_bytes(),
        })
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    calls: Vec<Record>,
    plans: Vec<Planned>,
}

pub fn run(tiers: &[Tier], rounds: Option<usize>, json: bool) -> Result<()> {
    let mut records = Vec::new();
    for case in &CASES {
        for &tier in tiers {
            records.push(measure(case, tier, rounds)?);
        }
    }
    let mut plans = Vec::new();
    let layers = cases::built_in()?;
    // Plans that say what they hold.
    for layer in layers.iter().filter(|layer| matches!(layer.work, Work::Values)) {
        for &tier in tiers {
            let planning = Planning { layer, tier, rounds: Some(rounds.unwrap_or(PLANNING_ROUNDS)) };
            let element = layer.element;
            plans.push(element.visit(planning).with_context(|| format!("this build has no kernels for {element}"))??);
        }
    }
    if json {
        say(serde_json::to_string_pretty(&Report { calls: records, plans })?);
        return Ok(());
    }
    say(info::cpu_name());
    say(table(&records));
    say(planning_table(&plans));
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
    Ok(Record { name: case.name, tier: tier.name(), call_ns, plan_ns, plan_bytes: plan.held_bytes() })
}

/// Rounds for each layer of the list: there are hundreds, and a median of few is enough to tell microseconds.
const PLANNING_ROUNDS: usize = 5;

/// For each tier and driver: how many layers of the built-in list it takes, and the costliest of their plans.
fn planning_table(plans: &[Planned]) -> Table {
    let mut kinds: Vec<(&str, &str)> = plans.iter().map(|planned| (planned.tier, planned.driver)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["tier", "driver", "layers", "longest to plan", "", "most bytes held", ""]);
    for (tier, driver) in kinds {
        let own = || plans.iter().filter(|planned| (planned.tier, planned.driver) == (tier, driver));
        let of = |planned: &Planned| format!("{} {} {}", planned.name, planned.element, planned.layout);
        let longest = own().max_by(|a, b| a.plan_ns.total_cmp(&b.plan_ns));
        let largest = own().max_by_key(|planned| planned.plan_bytes);
        if let (Some(longest), Some(largest)) = (longest, largest) {
            table.add_row([
                Cell::new(tier),
                Cell::new(driver),
                Cell::new(own().count()),
                Cell::new(report::duration(longest.plan_ns)),
                Cell::new(of(longest)),
                Cell::new(largest.plan_bytes),
                Cell::new(of(largest)),
            ]);
        }
    }
    table
}

fn table(records: &[Record]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["layer", "tier", "a call", "a plan, made and dropped", "bytes held"]);
    for column in [2, 3, 4] {
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
            Cell::new(record.plan_bytes),
        ]);
    }
    table
}
