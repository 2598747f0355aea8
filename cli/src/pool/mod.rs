//! `lanepool pool`: pools an image or an array and writes the same kind of file.

mod array;
mod axes;
mod memory;
mod picture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use axes::Order;
use clap::ValueEnum;
use image::ImageFormat;
use lanepool::{Element, NanPolicy, Plan, Tier};
use memory::{Bytes, Limit};

use crate::layer::{Numbers, Operation, Padding, Window, joined};
use crate::report::say;

/// Arguments of `lanepool pool`.
#[derive(clap::Args)]
pub struct Args {
    /// A PNG or JPEG image, or a .npy array of 1 to 5 axes: N, C and the spatial axes in the chosen layout, or a plane
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where the result goes: the same kind of file
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// max, min, avg or sum
    #[arg(long, default_value = "max")]
    op: Operation,
    /// The window: one number for all spatial axes, or one for each, as 3,5
    #[arg(long, required_unless_present = "global")]
    kernel: Option<Numbers>,
    /// One window that is the whole plane
    #[arg(long, conflicts_with = "kernel")]
    global: bool,
    /// How far the window moves from one output to the next. Default: 1
    #[arg(long)]
    stride: Option<Numbers>,
    /// Padding before each axis, and after it unless --padding-end is given. Default: 0
    #[arg(long)]
    padding: Option<Numbers>,
    /// Padding after each axis
    #[arg(long)]
    padding_end: Option<Numbers>,
    /// The distance between two taps. Default: 1
    #[arg(long)]
    dilation: Option<Numbers>,
    /// Round the output length up
    #[arg(long)]
    ceil: bool,
    /// Pad so that the output is ⌈input / stride⌉ long; the odd element goes to the end (upper) or the beginning (lower)
    #[arg(long, conflicts_with_all = ["padding", "padding_end"])]
    same: Option<Same>,
    /// Accept padding as long as the window or longer
    #[arg(long)]
    allow_empty_windows: bool,
    /// Averages only: padding counts in the divisor
    #[arg(long)]
    count_include_pad: bool,
    /// Averages only: divide every sum by this number
    #[arg(long, value_name = "N", conflicts_with = "count_include_pad")]
    divisor: Option<usize>,
    /// Maximum and minimum only: what NaN does. Default: propagate
    #[arg(long)]
    nan: Option<Nan>,
    /// How the array holds its axes: nchw, nhwc, nchw8c, nchw16c…; with one or three spatial axes ncw, nwc, ncdhw, ndhwc;
    /// without a batch chw, hwc. Default: nchw, or one plane of 1 or 2 axes; 3 axes have none. An image is always hwc
    #[arg(long, value_parser = Order::parse)]
    layout: Option<Order>,
    /// Run on this tier. Default: the best one of this machine
    #[arg(long)]
    tier: Option<Tier>,
    /// The most memory that a decoded picture may take, or a result that is larger than its input: as 512M or 8G
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    max_memory: Bytes,
}

#[derive(Clone, Copy, ValueEnum)]
enum Same {
    Upper,
    Lower,
}

#[derive(Clone, Copy, ValueEnum)]
enum Nan {
    Propagate,
    Ignore,
}

/// The kinds of files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image(ImageFormat),
    Array,
}

impl Kind {
    /// The kind that a file's extension stands for.
    fn of(file: &Path) -> Result<Self> {
        let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "png" => Ok(Self::Image(ImageFormat::Png)),
            "jpg" | "jpeg" => Ok(Self::Image(ImageFormat::Jpeg)),
            "npy" => Ok(Self::Array),
            _ => bail!("{}: only .png, .jpg, .jpeg and .npy files can be pooled", file.display()),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Image(ImageFormat::Png) => "PNG image",
            Self::Image(_) => "JPEG image",
            Self::Array => ".npy array",
        }
    }

    /// What every file of the kind begins with.
    const fn magic(self) -> &'static [u8] {
        match self {
            Self::Image(ImageFormat::Png) => b"\x89PNG\r\n\x1a\n",
            Self::Image(_) => b"\xff\xd8\xff",
            Self::Array => b"\x93NUMPY",
        }
    }
}

/// What is to be done, whatever the file.
struct Job {
    window: Window,
    order: Option<Order>,
    tier: Option<Tier>,
    limit: Limit,
}

/// A job that is done.
struct Done {
    file: Vec<u8>,
    /// What was done.
    description: String,
    /// What of the input the result lacks, as what follows the input's name.
    notes: Vec<String>,
}

impl Job {
    /// Pools a tensor of shape `N, C, spatial…`, and says how.
    ///
    /// The file holds it by an order of its `rank` axes, which errors keep to.
    fn pool<T: Element>(&self, order: Order, rank: usize, shape: &[usize], src: &[T]) -> Result<(Plan<T>, Vec<T>)> {
        let plan = self.window.plan::<T>(order.layout, shape, self.tier).map_err(|error| order.in_file(error, rank))?;
        if plan.output_len() > src.len() {
            let bytes = plan.output_len() as u128 * size_of::<T>() as u128;
            self.limit.check(format_args!("the result, {} elements,", plan.output_len()), bytes)?;
        }
        let dst = plan.run_vec(src)?;
        Ok((plan, dst))
    }
}

/// Says which plan ran on which shapes, whose axes have names.
fn describe<T: Element>(plan: &Plan<T>, before: &[usize], after: &[usize], names: &str) -> String {
    format!("{plan}\n{} → {}: {names}", joined(before), joined(after))
}

pub fn run(args: Args) -> Result<ExitCode> {
    let (input, output) = (args.input.clone(), args.output.clone());
    let (kind, into) = (Kind::of(&input)?, Kind::of(&output)?);
    if kind != into {
        bail!(
            "{}: would be a {} while the input is a {}; the kind must stay",
            output.display(),
            into.name(),
            kind.name()
        );
    }
    let job = job(args)?;
    let name = || input.display().to_string();
    let bytes = fs::read(&input).with_context(name)?;
    if !bytes.starts_with(kind.magic()) {
        bail!("{}: is not a {}: it does not begin as one", input.display(), kind.name());
    }
    let Done { file, description, notes } = match kind {
        Kind::Image(format) => picture::pool(&job, &bytes, format),
        Kind::Array => array::pool(&job, &bytes),
    }
    .with_context(name)?;
    fs::write(&output, file).with_context(|| output.display().to_string())?;
    say(description);
    for note in notes {
        eprintln!("lanepool: note: {} {note}", input.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn job(args: Args) -> Result<Job> {
    let averages = args.op == Operation::Avg;
    if !averages && (args.count_include_pad || args.divisor.is_some()) {
        bail!("--count-include-pad and --divisor are for averages: --op is {}", args.op);
    }
    if !matches!(args.op, Operation::Max | Operation::Min) && args.nan.is_some() {
        bail!("--nan is for maximum and minimum: --op is {}", args.op);
    }
    let padding = match args.same {
        Some(Same::Upper) => Some(Padding::SameUpper),
        Some(Same::Lower) => Some(Padding::SameLower),
        None if args.padding.is_none() && args.padding_end.is_none() => None,
        None => {
            let begin = args.padding.unwrap_or(Numbers(vec![0]));
            let end = args.padding_end.unwrap_or_else(|| begin.clone());
            Some(Padding::Explicit { begin, end })
        }
    };
    let nan = match args.nan {
        Some(Nan::Ignore) => NanPolicy::Ignore,
        Some(Nan::Propagate) | None => NanPolicy::Propagate,
    };
    let window = Window {
        stride: args.stride,
        dilation: args.dilation,
        padding,
        ceil: args.ceil,
        allow_empty: args.allow_empty_windows,
        nan,
        count_include_pad: args.count_include_pad,
        divisor: args.divisor,
        ..Window::new(args.op, args.kernel)
    };
    Ok(Job { window, order: args.layout, tier: args.tier, limit: Limit(args.max_memory) })
}
