//! The pooling nodes of published networks in tract and in lanepool: the same results, and the time of both.
//!
//! The networks are those that the Python package `onnx` ships for its tests: the graphs are whole, the weights are to be made by
//! `ConstantOfShape`. Here they get random weights.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use lanepool_tract::replace_pooling;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cnn::MaxPool;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

/// How far a mean may be from tract's, in units of the mean magnitude of its taps and the rounding of `f32`, 2⁻²³. Both add up to 64
/// taps, each in its own order.
const MEAN_BOUND: f64 = 8.0;

/// How far the outputs of a network with averages may be from tract's, over the largest of them: what the layers behind the first
/// average make of its rounding.
const NETWORK_BOUND: f64 = 1e-4;

/// Compares and times the pooling nodes of ONNX models in tract and in lanepool.
#[derive(Parser)]
struct Arguments {
    /// Files of models whose weights are made by `ConstantOfShape`.
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Runs of each node, in tract and in lanepool by turns.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// A row for each node, too.
    #[arg(long)]
    nodes: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "model",
        "pooling nodes",
        "maxima",
        "means",
        "network",
        "tract, µs a node",
        "lanepool, µs a node",
        "ratio",
    ]);
    for path in &arguments.models {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let nodes = compare(path, arguments.rounds).with_context(|| format!("{name} is not as it was"))?;
        let count = nodes.nodes.len();
        let [theirs, ours] = [0, 1].map(|of| nodes.nodes.iter().map(|node| node.times[of]).sum::<f64>() / count as f64);
        let row = |name: &str, count: &str, max: &str, mean: &str, network: &str, theirs: f64, ours: f64| {
            let numbers = [theirs, ours, theirs / ours];
            let cells = [name, count, max, mean, network].map(str::to_string).into_iter();
            cells.chain(numbers.map(|number| format!("{number:.1}"))).collect::<Vec<String>>()
        };
        let exact = nodes.nodes.iter().filter(|node| node.mean.is_none()).count();
        let worst = nodes.nodes.iter().filter_map(|node| node.mean).reduce(f64::max);
        let means = worst.map_or_else(|| "none".into(), |worst| format!("{worst:.1}"));
        let network = if nodes.network == 0.0 { "same bits".into() } else { format!("{:.0e}", nodes.network) };
        let maxima = if exact == 0 { "none" } else { "same bits" };
        table.add_row(row(&name, &count.to_string(), maxima, &means, &network, theirs, ours));
        if arguments.nodes {
            for Node { name, text, times: [theirs, ours], .. } in &nodes.nodes {
                table.add_row(row(&format!("{name}: {text}"), "", "", "", "", *theirs, *ours));
            }
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    Ok(())
}

/// A network in tract and in lanepool.
struct Network {
    nodes: Vec<Node>,
    /// The largest difference of an output, over the largest output.
    network: f64,
}

/// A pooling node in both.
struct Node {
    name: String,
    text: String,
    /// Of a mean, the largest difference, as `MEAN_BOUND` counts it.
    mean: Option<f64>,
    /// Microseconds in tract and in lanepool.
    times: [f64; 2],
}

/// Runs a network in both, and each of its pooling nodes alone on the very inputs that it gets there.
fn compare(path: &Path, rounds: usize) -> Result<Network> {
    let mut rng = fastrand::Rng::with_seed(7);
    let onnx = tract_onnx::onnx();
    let mut proto = onnx.proto_model_for_path(path)?;
    let graph = proto.graph.as_ref().context("there is no graph")?;
    let pooling = graph.node.iter().filter(|node| node.op_type.ends_with("Pool")).count();
    randomize(&mut proto, &mut rng)?;
    let folder = path.parent().and_then(Path::to_str);
    let mut theirs = onnx.parse(&proto, folder)?.model.into_typed()?.into_decluttered()?;
    // A softmax would hide what comes before it.
    let output = theirs.output_outlets()?[0];
    let last = theirs.node(output.node);
    if last.op_is::<tract_onnx::tract_core::ops::nn::Softmax>() {
        let logits = last.inputs[0];
        theirs.select_output_outlets(&[logits])?;
        theirs.compact()?;
    }

    let mut ours = theirs.clone();
    let report = replace_pooling(&mut ours)?;
    ensure!(report.left.is_empty(), "some pooling nodes were left:\n{report}");
    ensure!(report.replaced.len() == pooling, "the file has {pooling} pooling nodes; replaced were:\n{report}");

    let shape = theirs.input_fact(0)?.shape.as_concrete().context("the input's shape has symbols")?.to_vec();
    let pixels: Vec<f32> = (0..shape.iter().product()).map(|_| rng.f32() * 2.0 - 1.0).collect();
    let image = Tensor::from_shape(&shape, &pixels)?.into_tvalue();

    // Beside the outputs, what every pooling node reads.
    let mut parts = Vec::new();
    for pooling in &report.replaced {
        let last = theirs.node_by_name(&pooling.name)?;
        let first = if last.op_is::<Reduce>() || last.op_is::<MaxPool>() || last.inputs.len() == 1 {
            last
        } else {
            let sum = last.inputs.iter().find(|input| theirs.node(input.node).op_is::<Reduce>());
            theirs.node(sum.context("a mean without a sum")?.node)
        };
        parts.push((first.id, last.id));
    }
    let mut outlets = theirs.output_outlets()?.to_vec();
    outlets.extend(parts.iter().map(|(first, _)| theirs.node(*first).inputs[0]));
    let read = theirs.clone().with_output_outlets(&outlets)?;
    let mut outlets = ours.output_outlets()?.to_vec();
    for pooling in &report.replaced {
        outlets.push(ours.node_by_name(&pooling.name)?.inputs[0]);
    }
    let ours = ours.with_output_outlets(&outlets)?;
    let ours = ours.into_optimized()?.into_runnable()?.run(tvec!(image.clone()))?;
    let read = read.into_optimized()?.into_runnable()?.run(tvec!(image))?;

    let [expected, got] = [&read[0], &ours[0]].map(|tensor| floats(tensor));
    let (expected, got) = (expected?, got?);
    let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs().into()));
    ensure!(largest > 0.0 && largest.is_finite(), "the network gives nothing but zeros, or infinities");
    let differences = expected.iter().zip(&got).map(|(expected, got)| f64::from((expected - got).abs()));
    let network = differences.fold(0.0, f64::max) / largest;

    let mut nodes = Vec::new();
    for ((pooling, (first, last)), input) in report.replaced.iter().zip(parts).zip(&read[1..]) {
        let theirs = alone(&theirs, first, last)?;
        let node = node(&theirs, input, rounds).with_context(|| format!("{} differs", pooling.name))?;
        let text = pooling.plan.clone().unwrap_or_default();
        nodes.push(Node { name: pooling.name.clone(), text, ..node });
    }
    let bound = if nodes.iter().all(|node| node.mean.is_none()) { 0.0 } else { NETWORK_BOUND };
    ensure!(network <= bound, "the outputs differ by {network:.1e} of the largest; {bound:.1e} is allowed");
    Ok(Network { nodes, network })
}

/// One pooling node in tract and in lanepool, by turns.
fn node(theirs: &TypedModel, input: &TValue, rounds: usize) -> Result<Node> {
    let mut ours = theirs.clone();
    ensure!(replace_pooling(&mut ours)?.replaced.len() == 1, "it is not replaced when it is alone");
    let is_max = theirs.nodes.iter().any(|node| {
        node.op_is::<MaxPool>() || node.op_as::<Reduce>().is_some_and(|reduce| reduce.reducer == Reducer::Max)
    });
    let both = [theirs.clone(), ours].map(|model| model.into_optimized()?.into_runnable());
    let [theirs, ours] = both;
    let (theirs, ours) = (theirs?, ours?);
    let (expected, got) = (theirs.run(tvec!(input.clone()))?, ours.run(tvec!(input.clone()))?);
    ensure!(expected[0].shape() == got[0].shape(), "shapes {:?} and {:?}", expected[0].shape(), got[0].shape());
    let (expected, got) = (floats(&expected[0])?, floats(&got[0])?);
    let mean = if is_max {
        let same = expected.iter().zip(&got).all(|(expected, got)| expected.to_bits() == got.to_bits());
        ensure!(same, "a maximum has other bits");
        None
    } else {
        let magnitudes: Vec<f32> = floats(input)?.iter().map(|value| value.abs()).collect();
        let magnitudes = Tensor::from_shape(input.shape(), &magnitudes)?.into_tvalue();
        let magnitudes = floats(&theirs.run(tvec!(magnitudes))?[0])?;
        let apart = |((expected, got), of): ((&f32, &f32), &f32)| {
            let apart = f64::from((expected - got).abs());
            if apart == 0.0 { 0.0 } else { apart / f64::from(f32::EPSILON * of) }
        };
        let worst = expected.iter().zip(&got).zip(&magnitudes).map(apart).fold(0.0, f64::max);
        ensure!(worst <= MEAN_BOUND, "a mean is off by {worst:.1}; {MEAN_BOUND} is allowed");
        Some(worst)
    };

    let mut times = [const { Vec::new() }; 2];
    for _ in 0..rounds.max(1) {
        for (times, plan) in times.iter_mut().zip([&theirs, &ours]) {
            let input = tvec!(input.clone());
            let start = Instant::now();
            plan.run(input)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    let times = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    Ok(Node { name: String::new(), text: String::new(), mean, times })
}

/// A model of the nodes from `first` to `last` alone.
fn alone(model: &TypedModel, first: usize, last: usize) -> Result<TypedModel> {
    let mut part = TypedModel::default();
    let (first, last) = (model.node(first), model.node(last));
    let input = part.add_source("input", model.outlet_fact(first.inputs[0])?.without_value())?;
    let mut output = part.wire_node(&first.name, first.op.clone(), &[input])?;
    if first.id != last.id {
        let mut inputs = output.clone();
        inputs.clear();
        for outlet in &last.inputs {
            inputs.push(match &model.outlet_fact(*outlet)?.konst {
                Some(constant) => part.add_const("constant", Arc::clone(constant))?,
                None => output[0],
            });
        }
        output = part.wire_node(&last.name, last.op.clone(), &inputs)?;
    }
    Ok(part.with_output_outlets(&output)?)
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
}

/// Gives the weights that `ConstantOfShape` makes random values: those of a filter such that the signal neither grows nor dies, a scale
/// or shift from 0.5 to 1.5.
fn randomize(model: &mut ModelProto, rng: &mut fastrand::Rng) -> Result<()> {
    let graph = model.graph.as_mut().context("there is no graph")?;
    let mut shapes: HashMap<String, Vec<i64>> = HashMap::new();
    for tensor in graph.initializer.iter().filter(|tensor| tensor.data_type == DataType::Int64 as i32) {
        let raw = tensor.raw_data.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        shapes.insert(tensor.name.clone(), raw.chain(tensor.int64_data.iter().copied()).collect());
    }
    let mut weights = Vec::new();
    for node in graph.node.iter().filter(|node| node.op_type == "ConstantOfShape") {
        let dims = shapes.get(&node.input[0]).with_context(|| format!("{} has no shape", node.output[0]))?;
        let taps: i64 = dims.iter().skip(1).product();
        let most = (6.0 / taps as f32).sqrt();
        let values = (0..dims.iter().product())
            .map(|_| if dims.len() > 1 { (rng.f32() * 2.0 - 1.0) * most } else { rng.f32() + 0.5 });
        let raw_data = values.flat_map(f32::to_le_bytes).collect();
        let (name, dims) = (node.output[0].clone(), dims.clone());
        weights.push(TensorProto { name, dims, data_type: DataType::Float as i32, raw_data, ..TensorProto::default() });
    }
    ensure!(!weights.is_empty(), "no weight is made by ConstantOfShape");
    graph.node.retain(|node| node.op_type != "ConstantOfShape");
    graph.initializer.extend(weights);
    Ok(())
}
