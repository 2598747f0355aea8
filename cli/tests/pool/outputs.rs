//! Where results go: folders that are not there, and files that would be lost.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::common::{assert_refused, lanepool, npy};
use crate::write;

fn pool(input: &Path, output: &Path, more: &[&str]) -> assert_cmd::Command {
    let mut command = lanepool();
    command.arg("pool").args([input, output]).args(["--kernel", "2"]).args(more);
    command
}

#[test]
fn a_missing_folder_is_the_outputs() {
    let folder = TempDir::new().unwrap();
    // Not even an array: nothing of it is read before.
    let input = write(&folder, "in.npy", b"nothing");
    let output = folder.path().join("absent").join("out.npy");
    let why = "the folder of the output, ";
    assert_refused(&mut pool(&input, &output, &[]), &output, why, &output);
    let inside = input.join("out.npy");
    assert_refused(&mut pool(&input, &inside, &[]), &inside, why, &inside);
    let good = folder.path().join("out.npy");
    let indices = ["--indices", output.to_str().unwrap()];
    assert_refused(&mut pool(&input, &good, &indices), &output, "the folder of the file of indices, ", &good);
    fs::create_dir(&good).unwrap();
    let run = pool(&input, &good, &[]).output().unwrap();
    assert!(String::from_utf8(run.stderr).unwrap().contains("the output is a folder"));
}

#[test]
fn the_input_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let file = npy("<f4", false, &[2], &[0; 8]);
    let input = write(&folder, "in.npy", &file);
    let around = folder.path().join(".").join("in.npy");
    let hard = folder.path().join("hard.npy");
    fs::hard_link(&input, &hard).unwrap();
    let mut names = vec![input.clone(), around, hard];
    #[cfg(unix)]
    {
        let soft = folder.path().join("soft.npy");
        std::os::unix::fs::symlink(&input, &soft).unwrap();
        names.push(soft);
    }
    let good = folder.path().join("out.npy");
    for name in names {
        let why = "is the same file as the input, which would be lost";
        assert_refused(&mut pool(&input, &name, &[]), &name, why, &good);
        let indices = ["--indices", name.to_str().unwrap()];
        assert_refused(&mut pool(&input, &good, &indices), &name, why, &good);
        assert_eq!(fs::read(&input).unwrap(), file);
    }
    let indices = ["--indices", good.to_str().unwrap()];
    assert_refused(&mut pool(&input, &good, &indices), &good, "is the same file as the output", &good);
}

#[test]
fn an_older_result_is_replaced() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[2], &[0; 8]));
    let output = write(&folder, "out.npy", b"older");
    pool(&input, &output, &[]).assert().success();
    assert!(fs::read(&output).unwrap().starts_with(b"\x93NUMPY"));
}
