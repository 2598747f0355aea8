//! Times pooling layers on lanepool and on the inference engines of Rust, all in turn in one process, against the streaming bound.
//!
//! The layers are those of `benches/layers.json` in channels-first `f32`. What a call costs that computes next to nothing, one window of one
//! channel, is measured in the same way and subtracted from every engine's time alike. What is written is what `report.py` reads.

mod bound;
mod engines;
mod layers;
mod timing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Serialize;

use crate::engines::{Engine, Run};
use crate::layers::Layer;
use crate::timing::{alternately, median};

/// Times pooling layers on lanepool and on tract, candle, rten and burn, against the streaming bound.
#[derive(Parser)]
struct Args {
    /// Only layers whose name/layout/element has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Which peers.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Engine::PEERS)]
    engines: Vec<Engine>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where to write what was measured.
    #[arg(long)]
    json: PathBuf,
}

#[derive(Serialize)]
struct Measured {
    engines: BTreeMap<&'static str, &'static str>,
    threads: usize,
    rounds: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    layer: String,
    layout: &'static str,
    element: &'static str,
    engine: &'static str,
    us: f64,
    call_us: f64,
    over_bound: f64,
    over_lanepool: f64,
    note: &'static str,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // Every engine here takes its threads from the rayon pool that it is called in.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build()?;
    let measured = pool.install(|| measure(&args))?;
    let json = serde_json::to_string_pretty(&measured)? + "\n";
    std::fs::write(&args.json, json).with_context(|| format!("cannot write {}", args.json.display()))
}

fn measure(args: &Args) -> Result<Measured> {
    let engines: Vec<Engine> = Engine::ALWAYS
        .into_iter()
        .chain(args.engines.iter().copied().filter(|engine| !Engine::ALWAYS.contains(engine)))
        .collect();
    let mut rows = Vec::new();
    for layer in layers::published()?.iter().filter(|layer| layer.to_string().contains(&args.only)) {
        let begin = rows.len();
        rows.extend(of_layer(layer, &engines, args.rounds).with_context(|| layer.to_string())?);
        let told: Vec<_> = rows[begin..].iter().map(|row| format!("{} {:.1}", row.engine, row.us)).collect();
        eprintln!("{layer}: {}", told.join(", "));
    }
    let engines = engines.iter().map(|engine| (engine.name(), engine.version())).collect();
    Ok(Measured { engines, threads: args.threads, rounds: args.rounds, rows })
}

/// A row for each engine that has the layer.
fn of_layer(layer: &Layer, engines: &[Engine], rounds: usize) -> Result<Vec<Row>> {
    let mut ready = prepare(layer, engines)?;
    let notes = compare(&mut ready)?;
    let names: Vec<Engine> = ready.iter().map(|(engine, _)| *engine).collect();
    let mut smallest = prepare(&layer.smallest(), &names)?;
    ensure!(smallest.len() == ready.len(), "an engine has the layer, but not the smallest one of its kind");

    let calls: Vec<f64> =
        alternately(&mut smallest, timing::CALL_ROUNDS.max(rounds))?.iter().map(|each| median(each.clone())).collect();
    let seconds = alternately(&mut ready, rounds)?;
    let net: Vec<Vec<f64>> = seconds
        .iter()
        .zip(&calls)
        .map(|(each, call)| each.iter().map(|one| (one - call).max(1e-9)).collect())
        .collect();
    let over = |own: &[f64], other: Engine| {
        let other = names.iter().position(|name| *name == other).map_or(&[][..], |place| &net[place]);
        median(own.iter().zip(other).map(|(a, b)| a / b).collect())
    };
    Ok(names
        .iter()
        .zip(&net)
        .zip(calls.iter().zip(notes))
        .map(|((engine, own), (call, note))| Row {
            layer: layer.name.clone(),
            layout: "nchw",
            element: "f32",
            engine: engine.name(),
            us: median(own.clone()) * 1e6,
            call_us: call * 1e6,
            over_bound: over(own, Engine::Bound),
            over_lanepool: over(own, Engine::Lanepool),
            note,
        })
        .collect())
}

type Ready = Vec<(Engine, Box<dyn Run>)>;

fn prepare(layer: &Layer, engines: &[Engine]) -> Result<Ready> {
    let x = layer.input();
    let mut ready = Vec::new();
    for &engine in engines {
        if let Some(run) = engine.prepare(layer, &x).with_context(|| engine.name())? {
            ready.push((engine, run));
        }
    }
    Ok(ready)
}

/// Runs every engine, and notes whose output is not lanepool's: such a one has not done the same work.
fn compare(ready: &mut Ready) -> Result<Vec<&'static str>> {
    for (_, run) in ready.iter_mut() {
        run.run()?;
    }
    let want = ready
        .iter()
        .find(|(engine, _)| *engine == Engine::Lanepool)
        .and_then(|(_, run)| run.output())
        .context("no output")?;
    let same = |got: &[f32]| got.len() == want.len() && got.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-4);
    Ok(ready.iter().map(|(_, run)| if run.output().is_none_or(|got| same(&got)) { "" } else { "WRONG" }).collect())
}
