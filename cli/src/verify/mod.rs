//! `lanepool verify`: the kernels against the results of other engines.
//!
//! A file of golden vectors (`tests/data/README.md`) is read by `cases.rs`, its attributes are understood by `checks.rs`,
//! `run.rs` does the work with the library, `compare.rs` judges it and `report.rs` tells. Every check is run on every
//! tier and in every layout: the file's tensors are planar, and are transposed for the others.

mod cases;
mod checks;
mod compare;
mod report;
mod run;
mod run_guided;
mod run_variable;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lanepool::{Error, Layout, Tier};
use safetensors::Dtype;

pub use cases::Unreadable;
use checks::{Check, Work};
use compare::Rule;
pub use report::Report;
use report::Verdict;
use run::Outcome;

/// What `lanepool verify --help` says of the files.
const FILES: &str = "\
What a file holds
  A safetensors file: tensors named CASE/ROLE, and in the metadata (__metadata__) for each CASE a JSON object, as text. The
  key _source names the engine; others that begin with _ are skipped. Tensors are row-major, N, C and 1 to 3 spatial axes.

  In the words of PyTorch (torch_pool.safetensors):
    {\"op\": \"max\", \"kernel\": [3, 3], \"stride\": [2, 2], \"pad\": [1, 1], \"dilation\": [1, 1], \"ceil_mode\": false}
    op      max, min, sum, avg (count_include_pad, divisor_override), lp (p), adaptive_max, adaptive_avg,
            fractional_max, unpool (output: its spatial lengths)
    roles   input, output; indices; random_samples (fractional_max); grad_output and grad_input, for the gradient
  Quantised averages of ONNX Runtime (ort_quantized_avg.safetensors) are such cases, too:
    op      QLinearAveragePool, QLinearGlobalAveragePool (scale_in, zero_in, scale_out, zero_out)
  In the words of ONNX (onnx_node_pool.safetensors):
    {\"op\": \"MaxPool\", \"attributes\": {\"kernel_shape\": [3, 3], \"strides\": [2, 2], \"pads\": [1, 1, 1, 1]}}
    op      MaxPool, AveragePool, LpPool, their Global… and MaxUnpool, with the operator's own attributes
    roles   input0, input1…, output0, output1… as the operator has them

  The three files named here are in tests/data, with their sources in its README.md.

Exit status
  0 if every result agrees, 1 if one differs, 2 if a file cannot be read.";

/// Compares the kernels with results of other engines, in every layout.
///
/// A file holds tensors named `<case>/<role>` and, in its metadata, a JSON object of attributes for each case. Exits
/// with 1 if a result differs, and with 2 if a file cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_long_help = FILES)]
pub struct Args {
    /// Golden vectors.
    #[arg(required = true, value_name = "FILE.safetensors")]
    files: Vec<PathBuf>,

    /// The only tier to run; without it, every tier of this machine.
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
}

/// Verifies every file and prints a table for each.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let tiers = match args.tier {
        None => Tier::available(),
        Some(tier) => match tier.missing() {
            None => vec![tier],
            Some(why) => return Err(Error::TierUnavailable { tier, why }),
        },
    };
    let mut worst = 0;
    for path in &args.files {
        match file(path, &tiers) {
            Ok(report) => {
                println!("{report}");
                worst = worst.max(u8::from(!report.is_clean()));
            }
            Err(unreadable) => {
                eprintln!("lanepool: {unreadable}");
                worst = 2;
            }
        }
    }
    Ok(ExitCode::from(worst))
}

/// Verifies a file of golden vectors on some tiers.
pub fn file(path: &Path, tiers: &[Tier]) -> Result<Report, Unreadable> {
    let file = cases::read(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut report = Report::new(name, file.source, tiers);
    for case in &file.cases {
        let checks = checks::checks(case).map_err(|why| cases::malformed(path, &case.name, &why))?;
        for Check { row, element, work } in checks {
            let verdicts = match work {
                Ok(work) => judge(&work, tiers),
                Err(why) => tiers.iter().map(|_| Verdict::Unsupported(why.clone())).collect(),
            };
            report.record(&case.name, &row, &element, verdicts);
        }
    }
    Ok(report)
}

/// Runs a piece of work on each tier, in every layout.
fn judge(work: &Work<'_>, tiers: &[Tier]) -> Vec<Verdict> {
    let layouts = run::layouts(work.input.shape[1]);
    // Every tier must give the bytes of the scalar tier, whether or not that one is asked for.
    let scalar: Vec<Outcome> = layouts.iter().map(|&layout| run::run(work, Tier::Scalar, layout)).collect();
    let on_tier = |&tier: &Tier| {
        for (&layout, scalar) in layouts.iter().zip(&scalar) {
            match judge_one(work, run::run(work, tier, layout), scalar, layout) {
                Verdict::Passed => {}
                other => return other,
            }
        }
        Verdict::Passed
    };
    tiers.iter().map(on_tier).collect()
}

fn judge_one(work: &Work<'_>, outcome: Outcome, scalar: &Outcome, layout: Layout) -> Verdict {
    let failed = |why: String| Verdict::Failed(format!("{layout}: {why}"));
    let (shape, bytes) = match outcome {
        Outcome::Output { shape, bytes } => (shape, bytes),
        Outcome::Lacking => return Verdict::Unsupported(run::lacking(work.input.dtype)),
        Outcome::Refused(error) => return failed(format!("no result: {error}")),
    };
    let dtype = work.result_dtype();
    if shape != work.expected.shape || work.expected.dtype != dtype {
        let (need, dtype) = (&work.expected.shape, cases::name(work.expected.dtype));
        return failed(format!("the output has shape {shape:?}, where {dtype} of shape {need:?} was expected"));
    }
    let (Some(input), Some(expected), Some(got)) =
        (work.input.values(), work.expected.values(), cases::values(dtype, &bytes))
    else {
        return Verdict::Unsupported(run::lacking(dtype));
    };
    // Elements of 64 bits are equal or not, whatever `f64` makes of them.
    let is_long = work.input.dtype == dtype && matches!(dtype, Dtype::I64 | Dtype::U64);
    let difference = if is_long {
        work.expected.bytes.chunks(8).zip(bytes.chunks(8)).position(|(expected, got)| expected != got)
    } else {
        Rule::new(work, &input, &expected).first_difference(dtype, &expected, &got)
    };
    if let Some(at) = difference {
        let value = |values: &[f64], bytes: &[u8]| match values.get(at) {
            Some(_) if is_long => cases::long(dtype, bytes, at),
            Some(value) => format!("{value:?}"),
            None => "nothing".to_owned(),
        };
        let (expected, got) = (value(&expected, &work.expected.bytes), value(&got, &bytes));
        let index = index(at, &shape);
        return failed(format!("element {at} {index:?}: expected {expected}, got {got}"));
    }
    if let Outcome::Output { bytes: of_scalar, .. } = scalar
        && *of_scalar != bytes
    {
        let at = of_scalar.iter().zip(&bytes).position(|(a, b)| a != b).unwrap_or(0)
            / (bytes.len() / got.len().max(1)).max(1);
        let index = index(at, &shape);
        return failed(format!("element {at} {index:?}: bytes differ from those of the scalar tier"));
    }
    Verdict::Passed
}

/// The index of element `at` of a row-major tensor.
fn index(at: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = at;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let position = rest % length.max(1);
            rest /= length.max(1);
            position
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn an_index_counts_the_last_axis_fastest() {
        assert_eq!(index(0, &[2, 3, 4]), [0, 0, 0]);
        assert_eq!(index(5, &[2, 3, 4]), [0, 1, 1]);
        assert_eq!(index(23, &[2, 3, 4]), [1, 2, 3]);
    }
}
