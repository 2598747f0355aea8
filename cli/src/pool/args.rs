//! The command line of `lanepool pool`, and what of it goes together.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::ValueEnum;
use lanepool::{IndexKind, NanPolicy, Quantization, Tier};

use super::axes::Order;
use super::job::{Job, Windows};
use super::memory::{Bytes, Limit};
use crate::layer::{Numbers, Operation, Padding, Window};

/// Arguments of `lanepool pool`.
#[derive(clap::Args)]
pub struct Args {
    /// A PNG or JPEG image, or a .npy array of 1 to 5 axes: N, C and the spatial axes in the chosen layout, or a plane
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where the result goes: the same kind of file, in a folder that exists; another file than the input
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// max, min, avg, sum or lp (norms)
    #[arg(long, default_value = "max")]
    op: Operation,
    /// The window: one number for all spatial axes, or one for each, as 3,5
    #[arg(long, required_unless_present_any = ["global", "output_size"])]
    kernel: Option<Numbers>,
    /// One window that is the whole plane
    #[arg(long, conflicts_with = "kernel")]
    global: bool,
    /// Maximum and average: adaptive windows, as many as the output is to be long on all spatial axes, or on each, as 7,7
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = [
            "kernel", "global", "stride", "padding", "padding_end", "dilation", "ceil", "same", "allow_empty_windows",
            "count_include_pad", "divisor",
        ]
    )]
    output_size: Option<Numbers>,
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
    /// Norms only: the p of (Σ|x|^p)^(1/p), above 0; inf is the largest |x|. Default: 2
    #[arg(long)]
    p: Option<f64>,
    /// Norms only: divide the sum of powers by the number of taps in the input before the root; of p 2, the root mean square
    #[arg(long)]
    power_mean: bool,
    /// Averages and maxima of u8, i8 and i16: the input's integers stand for SCALE · (integer − ZERO)
    #[arg(long, value_name = "SCALE,ZERO", conflicts_with = "divisor", allow_hyphen_values = true)]
    quantization: Option<Quantized>,
    /// What the result's integers stand for. Default: the same
    #[arg(long, value_name = "SCALE,ZERO", requires = "quantization", allow_hyphen_values = true)]
    output_quantization: Option<Quantized>,
    /// Maximum and minimum only: write where each value was found to this .npy array of i64, in the order of the result
    #[arg(long, value_name = "FILE.npy", conflicts_with = "quantization")]
    pub indices: Option<PathBuf>,
    /// What indices count: the channel's plane, the whole tensor N, C, spatial (row by row, or each plane column by column), or
    /// the taps of the window. Default: plane
    #[arg(long, value_name = "WHAT", requires = "indices")]
    index_kind: Option<Counted>,
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

#[derive(Clone, Copy, ValueEnum)]
enum Counted {
    Plane,
    Tensor,
    TensorColumnMajor,
    Tap,
}

/// A scale and a zero point.
#[derive(Clone, Copy)]
struct Quantized(Quantization);

impl FromStr for Quantized {
    type Err = String;

    /// Reads `0.0078125,128`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scale, zero) = text.split_once(',').unwrap_or((text, "0"));
        let scale = scale.trim().parse().map_err(|_| format!("the scale {scale:?} is no number"))?;
        let zero = zero.trim().parse().map_err(|_| format!("the zero point {zero:?} is no whole number"))?;
        Ok(Self(Quantization::new(scale, zero)))
    }
}

impl Args {
    /// What is to be done, if the arguments go together.
    pub fn job(self) -> Result<Job> {
        self.check()?;
        let indices = self.indices.is_some().then_some(match self.index_kind {
            Some(Counted::Tensor) => IndexKind::Tensor,
            Some(Counted::TensorColumnMajor) => IndexKind::TensorColumnMajor,
            Some(Counted::Tap) => IndexKind::Tap,
            Some(Counted::Plane) | None => IndexKind::Plane,
        });
        let quantization = self.quantization.map(|Quantized(input)| {
            let output = self.output_quantization.map_or(input, |Quantized(output)| output);
            [input, output]
        });
        let (order, tier, limit) = (self.layout, self.tier, Limit(self.max_memory));
        Ok(Job { windows: self.windows(), quantization, indices, order, tier, limit })
    }

    /// What the argument parser does not know: which arguments an operation has.
    fn check(&self) -> Result<()> {
        use Operation::{Avg, Lp, Max, Min, Sum};
        let op = self.op;
        let quantized = self.quantization.is_some();
        for (given, allowed, what) in [
            (
                self.count_include_pad || self.divisor.is_some(),
                &[Avg][..],
                "--count-include-pad and --divisor are for averages",
            ),
            (self.nan.is_some(), &[Max, Min], "--nan is for maximum and minimum"),
            (self.p.is_some() || self.power_mean, &[Lp], "--p and --power-mean are for norms"),
            (self.output_size.is_some(), &[Max, Avg], "--output-size is for maximum and average"),
            (quantized, &[Max, Avg], "--quantization is for maximum and average"),
            (self.indices.is_some(), &[Max, Min], "--indices is for maximum and minimum"),
        ] {
            debug_assert!(!allowed.contains(&Sum), "a sum has no arguments of its own");
            if given && !allowed.contains(&op) {
                bail!("{what}: --op is {op}");
            }
        }
        if quantized && self.nan.is_some() {
            bail!("--nan means nothing beside --quantization: integers are never NaN");
        }
        if quantized && self.output_size.is_some() && op == Max {
            bail!("--output-size with --quantization is for averages: --op is {op}");
        }
        Ok(())
    }

    fn windows(self) -> Windows {
        let nan = match self.nan {
            Some(Nan::Ignore) => NanPolicy::Ignore,
            Some(Nan::Propagate) | None => NanPolicy::Propagate,
        };
        if let Some(output) = self.output_size {
            return Windows::Adaptive { operation: self.op, output, nan };
        }
        let padding = match self.same {
            Some(Same::Upper) => Some(Padding::SameUpper),
            Some(Same::Lower) => Some(Padding::SameLower),
            None if self.padding.is_none() && self.padding_end.is_none() => None,
            None => {
                let begin = self.padding.unwrap_or(Numbers(vec![0]));
                let end = self.padding_end.unwrap_or_else(|| begin.clone());
                Some(Padding::Explicit { begin, end })
            }
        };
        let mut window = Window::new(self.op, self.kernel);
        window.stride = self.stride;
        window.dilation = self.dilation;
        window.padding = padding;
        window.ceil = self.ceil;
        window.allow_empty = self.allow_empty_windows;
        window.nan = nan;
        window.count_include_pad = self.count_include_pad;
        window.divisor = self.divisor;
        window.p = self.p.unwrap_or(window.p);
        window.power_mean = self.power_mean;
        Windows::Sliding(window)
    }
}
