//! `lanepool verify`: that its help is enough to make a file by.

mod common;

use std::collections::HashMap;

use common::{lanepool, stderr, stdout};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use tempfile::TempDir;

/// The attributes that help has on a line of their own, of the engine that it names first or second.
fn example(help: &str, number: usize) -> String {
    help.lines().map(str::trim).filter(|line| line.starts_with("{\"op\"")).nth(number).unwrap().to_owned()
}

#[test]
fn a_file_by_the_words_of_help_is_verified() {
    let help = stdout(&lanepool().args(["verify", "--help"]).output().unwrap());
    for word in ["What a file holds", "CASE/ROLE", "_source", "grad_output", "QLinearAveragePool", "MaxUnpool"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let metadata = HashMap::from([
        ("torch".to_owned(), example(&help, 0)),
        ("onnx".to_owned(), example(&help, 1)),
        ("_source".to_owned(), "a test".to_owned()),
    ]);
    // A plane of 3 × 3, pooled by windows of 3 × 3 that move by 2 over one of padding: the largest of each quarter.
    let input: Vec<u8> = (1..=9_u8).map(f32::from).flat_map(f32::to_le_bytes).collect();
    for (corner, status) in [(9.0, 0), (8.0, 1)] {
        let output: Vec<u8> = [5.0, 6.0, 8.0, corner].into_iter().flat_map(f32::to_le_bytes).collect();
        let view = |shape: usize, data| TensorView::new(Dtype::F32, vec![1, 1, shape, shape], data).unwrap();
        let tensors = [
            ("torch/input", view(3, input.as_slice())),
            ("torch/output", view(2, output.as_slice())),
            ("onnx/input0", view(3, input.as_slice())),
            ("onnx/output0", view(2, output.as_slice())),
        ];
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("cases.safetensors");
        serialize_to_file(tensors, Some(metadata.clone()), &file).unwrap();
        let run = lanepool().arg("verify").arg(&file).output().unwrap();
        assert_eq!(run.status.code(), Some(status), "{}{}", stdout(&run), stderr(&run));
        assert!(stdout(&run).contains("a test"), "{}", stdout(&run));
    }
}

#[test]
fn a_file_that_is_none_is_one_line() {
    let run = lanepool().args(["verify", "absent.safetensors"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).starts_with("lanepool: absent.safetensors: cannot be read: "), "{}", stderr(&run));
    assert_eq!(stderr(&run).lines().count(), 1);
}
