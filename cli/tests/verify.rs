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

/// Elements of 64 bits are compared as they are, where `f64` would take neighbours for equal.
#[test]
fn long_integers_are_compared_to_the_last_bit() {
    let help = stdout(&lanepool().args(["verify", "--help"]).output().unwrap());
    let metadata = HashMap::from([("torch".to_owned(), example(&help, 0))]);
    let bytes = |all: &[i64]| all.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let far = (1 << 62) + 1;
    for (corner, status) in [(far, 0), (far - 1, 1)] {
        let (input, output) = (bytes(&[1, 2, 3, 4, 5, 6, 7, 8, far]), bytes(&[5, 6, 8, corner]));
        let unsigned = Dtype::U64;
        for dtype in [Dtype::I64, unsigned] {
            let tensors = [
                ("torch/input", TensorView::new(dtype, vec![1, 1, 3, 3], &input).unwrap()),
                ("torch/output", TensorView::new(dtype, vec![1, 1, 2, 2], &output).unwrap()),
            ];
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("cases.safetensors");
            serialize_to_file(tensors, Some(metadata.clone()), &file).unwrap();
            let run = lanepool().arg("verify").arg(&file).output().unwrap();
            let said = stdout(&run);
            assert_eq!(run.status.code(), Some(status), "{said}{}", stderr(&run));
            let differs = said.contains(&format!("expected {corner}, got {far}"));
            assert_eq!(differs, status == 1, "{said}");
        }
    }
}

#[test]
fn a_file_that_is_none_is_one_line() {
    let run = lanepool().args(["verify", "absent.safetensors"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).starts_with("lanepool: absent.safetensors: cannot be read: "), "{}", stderr(&run));
    assert_eq!(stderr(&run).lines().count(), 1);
}
