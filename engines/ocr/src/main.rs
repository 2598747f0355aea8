//! PP-OCR's text recogniser and its classifier of orientation in tract, with lanepool's pooling: they read what ONNX Runtime reads.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lanepool_tract::replace_pooling;
use serde::Deserialize;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// How far a probability of an orientation may be from ONNX Runtime's: both multiply and add in orders of their own.
const ORIENTATION_BOUND: f32 = 1e-3;

/// Reads the lines that `lines.py` has prepared, and compares with what ONNX Runtime has read.
#[derive(Parser)]
struct Arguments {
    /// The folder that lines.py has filled.
    folder: PathBuf,
}

/// What lines.py has written.
#[derive(Deserialize)]
struct Results {
    recogniser: PathBuf,
    classifier: PathBuf,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    source: String,
    text: String,
    /// The best character of each step.
    steps: Vec<usize>,
    orientation: [f32; 2],
}

fn main() -> Result<()> {
    let Arguments { folder } = Arguments::parse();
    let results = File::open(folder.join("lines.json")).context("lines.py has not been run")?;
    let Results { recogniser, classifier, lines } = serde_json::from_reader(BufReader::new(results))?;
    ensure!(!lines.is_empty(), "there are no lines");
    let (mut recogniser, mut classifier) = (Model::load(&recogniser)?, Model::load(&classifier)?);
    let characters = recogniser.characters()?;
    for Line { name, source, text, steps, orientation } in &lines {
        let read = recogniser.run(&folder.join(format!("{name}-line.npy")))?;
        let best = best(&read)?;
        let got = decode(&best, &characters)?;
        let turned = classifier.run(&folder.join(format!("{name}-upright.npy")))?;
        let turned = turned.try_as_plain_ram()?.as_slice::<f32>()?;
        println!("{source:14} {:3}° {got}", if turned[1] > turned[0] { 180 } else { 0 });
        ensure!(got == *text, "ONNX Runtime reads {text}");
        ensure!(best == *steps, "{name}: not every step has the character that it has in ONNX Runtime");
        let apart =
            turned.iter().zip(orientation).fold(0.0, |most: f32, (got, expected)| most.max((got - expected).abs()));
        ensure!(
            apart <= ORIENTATION_BOUND,
            "{name}: the orientation is {turned:?} and in ONNX Runtime {orientation:?}"
        );
    }
    println!(
        "{} lines, the same characters as in ONNX Runtime; {} pooling nodes of the recogniser and {} of the classifier on lanepool",
        lines.len(),
        recogniser.pooling.len(),
        classifier.pooling.len()
    );
    Ok(())
}

/// A model of ONNX, planned for each shape that comes.
struct Model {
    file: ModelProto,
    /// The names of its pooling nodes.
    pooling: Vec<String>,
    plans: HashMap<Vec<usize>, Arc<TypedRunnableModel>>,
}

impl Model {
    fn load(path: &Path) -> Result<Self> {
        let file = tract_onnx::onnx().proto_model_for_path(path)?;
        let graph = file.graph.as_ref().context("there is no graph")?;
        let pooling = graph.node.iter().filter(|node| node.op_type.ends_with("Pool"));
        let pooling: Vec<String> = pooling.map(|node| node.name.clone()).collect();
        ensure!(!pooling.is_empty(), "{} has no pooling nodes", path.display());
        Ok(Self { file, pooling, plans: HashMap::new() })
    }

    /// The characters that the recogniser's classes are: none, those in the model, and a space.
    fn characters(&self) -> Result<Vec<String>> {
        let list = self.file.metadata_props.iter().find(|property| property.key == "character");
        let list = &list.context("the model has no list of characters")?.value;
        Ok([""].into_iter().chain(list.lines()).chain([" "]).map(str::to_string).collect())
    }

    /// The first output for the input in a .npy file.
    fn run(&mut self, path: &Path) -> Result<TValue> {
        let file = File::open(path).with_context(|| format!("there is no {}", path.display()))?;
        let array = npyz::NpyFile::new(BufReader::new(file))?;
        let shape: Vec<usize> = array.shape().iter().map(|length| *length as usize).collect();
        let input = Tensor::from_shape(&shape, &array.into_vec::<f32>()?)?;
        if !self.plans.contains_key(&shape) {
            let plan = self.plan(&shape)?;
            self.plans.insert(shape.clone(), plan);
        }
        Ok(self.plans[&shape].run(tvec!(input.into_tvalue()))?.remove(0))
    }

    fn plan(&self, shape: &[usize]) -> Result<Arc<TypedRunnableModel>> {
        let model = tract_onnx::onnx().model_for_proto_model(&self.file)?;
        let mut model = model.with_input_fact(0, f32::fact(shape).into())?.into_typed()?.into_decluttered()?;
        let report = replace_pooling(&mut model)?;
        for node in &self.pooling {
            // tract's importer makes several nodes of one, and gives each a suffix.
            let part =
                |name: &str| name.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            ensure!(report.replaced.iter().any(|pooling| part(&pooling.name)), "{node} is not replaced:\n{report}");
        }
        Ok(model.into_optimized()?.into_runnable()?)
    }
}

/// The likeliest class of each step, of probabilities of shape 1, steps, classes.
fn best(probabilities: &Tensor) -> Result<Vec<usize>> {
    let classes = *probabilities.shape().last().context("the recogniser gives a single number")?;
    let steps = probabilities.try_as_plain_ram()?.as_slice::<f32>()?.chunks_exact(classes);
    let likeliest = |step: &[f32]| (0..classes).max_by(|a, b| step[*a].total_cmp(&step[*b])).unwrap_or(0);
    Ok(steps.map(likeliest).collect())
}

/// The text of the likeliest classes: repeats are one character, and class 0 is none.
fn decode(steps: &[usize], characters: &[String]) -> Result<String> {
    let mut text = String::new();
    let mut before = 0;
    for &step in steps {
        if step != before && step != 0 {
            text += characters.get(step).with_context(|| format!("there is no character {step}"))?;
        }
        before = step;
    }
    Ok(text)
}
