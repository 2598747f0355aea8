//! Where results go: looked at before any work is done, and never the input.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use same_file::is_same_file;

/// Whether `file`, the command line's `name`, can be written, as far as that can be known before.
pub fn check(name: &str, file: &Path, inputs: &[(&str, &Path)]) -> Result<()> {
    if file.is_dir() {
        bail!("{}: {name} is a folder, and a file is needed", file.display());
    }
    let folder = match file.parent() {
        // A name alone lies in the folder where the tool was started.
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => bail!("{}: {name} is no name of a file", file.display()),
    };
    match fs::metadata(folder) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => bail!("{}: the folder of {name}, {}, is a file", file.display(), folder.display()),
        Err(why) => {
            bail!("{}: the folder of {name}, {}, cannot be written to: {why}", file.display(), folder.display())
        }
    }
    for (other, path) in inputs {
        // Two names of one file: by a link, another way to it, or in another case. One that is not there is no other's.
        if file == *path || is_same_file(file, path).unwrap_or(false) {
            bail!("{}: {name} is the same file as {other}, which would be lost", file.display());
        }
    }
    Ok(())
}

/// Writes a result.
pub fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("{}: the result cannot be written", file.display()))
}
