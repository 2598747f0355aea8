//! `lanepool pool`: pools an image or an array and writes the same kind of file.
//!
//! `args.rs` reads the command line into a [`Job`], `array.rs` and `picture/` turn a file into a tensor and back,
//! `job.rs` pools it, `output.rs` looks after the files that are written.

mod args;
mod array;
mod axes;
mod job;
mod memory;
mod output;
mod picture;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
pub use args::Args;
use image::ImageFormat;
use job::{Job, Pooled, Tensor};

use crate::report::{complain, say};

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

/// A job that is done.
struct Done {
    file: Vec<u8>,
    /// The array of indices, where they were wanted.
    indices: Option<Vec<u8>>,
    /// What was done.
    description: String,
    /// What of the input the result lacks, as what follows the input's name.
    notes: Vec<String>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let (input, output, indices) = (args.input.clone(), args.output.clone(), args.indices.clone());
    let kind = check_files(&input, &output, indices.as_deref())?;
    let job = args.job()?;
    let name = || input.display().to_string();
    let bytes = fs::read(&input).with_context(name)?;
    if !bytes.starts_with(kind.magic()) {
        bail!("{}: is not a {}: it does not begin as one", input.display(), kind.name());
    }
    let done = match kind {
        Kind::Image(format) => picture::pool(&job, &bytes, format),
        Kind::Array => array::pool(&job, &bytes),
    }
    .with_context(name)?;
    output::write(&output, &done.file)?;
    if let (Some(file), Some(bytes)) = (indices, done.indices) {
        output::write(&file, &bytes)?;
    }
    say(done.description);
    for note in done.notes {
        complain(format_args!("note: {} {note}", input.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The kind of the files, if they can be what they are to be.
fn check_files(input: &Path, output: &Path, indices: Option<&Path>) -> Result<Kind> {
    let (kind, into) = (Kind::of(input)?, Kind::of(output)?);
    if kind != into {
        bail!(
            "{}: would be a {} while the input is a {}; the kind must stay",
            output.display(),
            into.name(),
            kind.name()
        );
    }
    let input = ("the input", input);
    output::check("the output", output, &[input])?;
    if let Some(indices) = indices {
        if !matches!(Kind::of(indices), Ok(Kind::Array)) {
            bail!("{}: indices are written as a .npy array alone", indices.display());
        }
        output::check("the file of indices", indices, &[input, ("the output", output)])?;
    }
    Ok(kind)
}
