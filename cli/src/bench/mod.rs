//! `lanepool bench`: times layers on every tier against the streaming bound.

pub mod cases;
mod overhead;
pub mod sweep;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lanepool::{DType, Layout, Tier};
use serde::Serialize;

use crate::elements;
use crate::layer::parse_layout;
use crate::timing::{self, Input, Layer, Measurement};
use crate::{info, plot, report};

/// Arguments of `lanepool bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Only layers whose name contains this; may be repeated
    #[arg(long, value_name = "SUBSTR")]
    only: Vec<String>,
    /// A tier to time; may be repeated. Default: every tier of this machine
    #[arg(long)]
    tier: Vec<Tier>,
    /// Threads the kernel runs on, against the bound of one; may be repeated. Default: 1
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Vec<usize>,
    /// Only this element type; may be repeated
    #[arg(long, value_parser = elements::parse)]
    element: Vec<DType>,
    /// Only this layout: nchw, nhwc, nchw8c…; may be repeated
    #[arg(long, value_parser = parse_layout)]
    layout: Vec<Layout>,
    /// Rounds of bound and kernel in turn. Default: 15, or 5 where one call takes longer than 150 ms
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: Option<u32>,
    /// Run each layer once on each tier, over the same numbers every time, and print nothing: for tools that count instructions
    #[arg(long, conflicts_with_all = ["json", "plot", "rounds", "threads"])]
    once: bool,
    /// Also time each layer by every driver that takes it on all of the tiers, to see what the choice of one costs: values of windows
    /// alone
    #[arg(long, conflicts_with_all = ["plot"])]
    drivers: bool,
    /// Print a JSON list of the results instead of a table
    #[arg(long)]
    json: bool,
    /// Layers to time instead of the built-in ones: a JSON list of objects with name, op, shape and more
    ///
    /// Each has name, op, shape (N, C, spatial…, of the forward pass's input), and if need be layout (nchw) and element (f32).
    ///
    /// op is max, min, avg, sum, lp (with p: 2, or "inf"), quantized_avg or quantized_max (with scale: 1, zero_point: 0,
    /// output_scale, output_zero_point: the input's), max_indices, unpool or max_backward (with index: i64 or i32), avg_backward or
    /// lp_backward (with p): these have kernel (numbers or "global"), stride, padding, dilation.
    ///
    /// adaptive_max and adaptive_avg have output (numbers) instead of a kernel; fractional_max has output and kernel.
    ///
    /// Of fractional_max, unpool and gradients, whose code has no tiers, there is one result, under the best of the tiers.
    #[arg(long, value_name = "FILE.json")]
    cases: Option<PathBuf>,
    /// Also draw the results: bars against the bound and a roofline; of a sweep, its curves
    #[arg(long, value_name = "OUT.svg")]
    plot: Option<PathBuf>,
    /// Instead of layers, time what is left of a call and of planning when there is next to nothing to pool
    #[arg(long, conflicts_with_all = ["only", "threads", "element", "layout", "once", "cases", "plot"])]
    overhead: bool,
    /// Instead of layers, time windows of 2 to 63 taps an axis that move by 1, and with one axis of up to 15 000, of f32 and
    /// u8, beside a direct method: on the best tier, or the one that is named
    #[arg(long, conflicts_with_all = ["only", "threads", "element", "layout", "once", "cases", "overhead"])]
    sweep: bool,
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("a number of threads from 1 to 1024 is needed".to_owned()),
    }
}

/// A result as `--json` prints it.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    tier: &'static str,
    threads: usize,
    driver: &'static str,
    kernel_ns: f64,
    bound_ns: f64,
    ratio: f64,
    same_bits: bool,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let rounds = args.rounds.map(|rounds| rounds as usize);
    if args.overhead {
        let tiers = if args.tier.is_empty() { Tier::available() } else { args.tier };
        overhead::run(&tiers, rounds, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.sweep {
        run_sweep(&args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut layers = match &args.cases {
        Some(file) => cases::read(file)?,
        None => cases::built_in()?,
    };
    let wanted = |layer: &Layer| {
        let named = args.only.is_empty() || args.only.iter().any(|part| layer.name.contains(part.as_str()));
        let element = args.element.is_empty() || args.element.contains(&layer.element);
        let layout = args.layout.is_empty() || args.layout.contains(&layer.layout);
        named && element && layout
    };
    layers.retain(wanted);
    if layers.is_empty() {
        bail!("no layer is left to time: --only, --element and --layout exclude every one");
    }
    let tiers = if args.tier.is_empty() { Tier::available() } else { args.tier };
    if args.drivers {
        layers = layers.into_iter().flat_map(|layer| timing::by_driver(layer, &tiers)).collect();
    }

    if args.once {
        for layer in &layers {
            timing::run_once(layer, &tiers)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let threads = if args.threads.is_empty() { vec![1] } else { args.threads };

    let steps = layers.iter().map(|layer| timing::measurements(layer, &tiers, &threads)).sum();
    let bar = report::progress(steps);
    let mut results: Vec<(Layer, Vec<Measurement>)> = Vec::new();
    for layer in layers {
        let mut begun = |tier| {
            bar.set_message(format!("{} {tier}", layer.name));
            bar.inc(1);
        };
        let measured = timing::measure(&layer, &tiers, &threads, Input::Random, rounds, &mut begun);
        let measured = match &args.cases {
            Some(file) => measured.with_context(|| file.display().to_string())?,
            None => measured?,
        };
        results.push((layer, measured));
    }
    bar.finish_and_clear();

    if args.json {
        let record = |layer, measured| record(layer, measured);
        let records: Vec<Record> = results
            .iter()
            .flat_map(|(layer, measured)| measured.iter().map(move |measured| record(layer, measured)))
            .collect();
        report::say(serde_json::to_string_pretty(&records)?);
    } else {
        report::say(info::cpu_name());
        report::say(report::table(results.iter().map(|(layer, measured)| (layer, measured.as_slice()))));
    }
    if let Some(file) = &args.plot {
        plot::draw(file, &results)?;
    }
    let same = results.iter().flat_map(|(_, measured)| measured).all(|measured| measured.same_bits);
    if !same {
        eprintln!(
            "lanepool: bytes differ from the scalar tier's, or those of an operation without tiers from run to run"
        );
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_sweep(args: &Args) -> Result<()> {
    let tiers = match args.tier.as_slice() {
        [] => &[Tier::best()],
        some => some,
    };
    let bar = report::progress(tiers.len() * sweep::len());
    let mut begun = |what: &str| {
        bar.set_message(what.to_owned());
        bar.inc(1);
    };
    let mut points = Vec::new();
    for &tier in tiers {
        points.extend(sweep::measure(tier, args.rounds.map(|rounds| rounds as usize), &mut begun)?);
    }
    bar.finish_and_clear();
    if args.json {
        report::say(serde_json::to_string_pretty(&points)?);
    } else {
        report::say(info::cpu_name());
        report::say(sweep::table(&points));
    }
    // A picture is of one tier.
    let drawn = |file| plot::draw_sweep(file, &points[..sweep::len()]);
    args.plot.as_deref().map_or(Ok(()), drawn)
}

fn record<'a>(layer: &'a Layer, measured: &Measurement) -> Record<'a> {
    Record {
        name: &layer.name,
        tier: measured.tier.name(),
        threads: measured.threads,
        driver: measured.kernel,
        kernel_ns: measured.kernel_ns,
        bound_ns: measured.bound_ns,
        ratio: measured.ratio,
        same_bits: measured.same_bits,
    }
}
