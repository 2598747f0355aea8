//! Runs the tool, and makes the small files it is run on.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;

/// The tool, in an environment that caps nothing.
pub fn lanepool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanepool"));
    command.env_remove("LANEPOOL_MAX_TIER");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts that the tool refused: exit code 2, one line that names the file and says why, and nothing written.
#[allow(dead_code, reason = "not every test file has bad input")]
pub fn assert_refused(command: &mut Command, file: &Path, why: &str, unwritten: &Path) {
    let output = command.output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains(&*file.to_string_lossy()), "{file:?} is not named: {message}");
    assert!(message.contains(why), "{why:?} is not said: {message}");
    assert!(!unwritten.exists(), "{unwritten:?} was written");
}

/// A `.npy` file of version 1 with this description, shape and data.
#[allow(dead_code, reason = "not every test file has arrays")]
pub fn npy(description: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{description}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// The description, the shape as written, and the data of a `.npy` file of version 1.
#[allow(dead_code, reason = "not every test file has arrays")]
pub fn parse_npy(file: &[u8]) -> (String, String, Vec<u8>) {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = std::str::from_utf8(&file[10..10 + length]).unwrap();
    let after = |key: &str| header.split_once(key).unwrap_or_else(|| panic!("no {key} in {header}")).1;
    let description = after("'descr': '").split('\'').next().unwrap().to_owned();
    let shape = after("'shape': (").split(')').next().unwrap().replace(' ', "");
    assert!(after("'fortran_order': ").starts_with("False"));
    (description, shape.trim_end_matches(',').to_owned(), file[10 + length..].to_vec())
}
