//! The kernels against the results of PyTorch, ONNX's node tests and ONNX Runtime, on every tier of this machine.
//!
//! The test includes the module of `lanepool verify`, so that what it asserts is what the tool prints; and it runs in one
//! process, so that a static binary of it runs under an emulator.

#[allow(dead_code, reason = "the tool's arguments and printing are not needed here")]
#[path = "../src/verify/mod.rs"]
mod verify;

use std::path::{Path, PathBuf};

use lanepool::Tier;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// `all` is the number of checks in the file: every one passes, and none is unsupported.
fn verify_file(name: &str, all: usize) {
    let tiers = Tier::available();
    let report = verify::file(&data(name), &tiers).unwrap_or_else(|unreadable| panic!("{unreadable}"));
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    for tier in tiers {
        let counts = report.counts(tier);
        assert_eq!((counts.passed, counts.failed, counts.unsupported), (all, 0, 0), "{name} on {tier}");
    }
}

#[test]
fn pytorch() {
    verify_file("torch_pool.safetensors", 690);
}

#[test]
fn onnx_node_tests() {
    verify_file("onnx_node_pool.safetensors", 52);
}

#[test]
fn onnx_runtime_quantised() {
    verify_file("ort_quantized_avg.safetensors", 83);
}

/// A run on a machine that should have a tier, and that cannot run it, is a failure and no shorter list.
#[test]
fn required_tiers_are_available() {
    let required = std::env::var("LANEPOOL_REQUIRE_TIERS").unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let tier: Tier = name.parse().unwrap_or_else(|error| panic!("LANEPOOL_REQUIRE_TIERS names {name:?}: {error}"));
        assert_eq!(tier.missing(), None, "the tier {tier} is required and cannot run");
    }
}

/// The comparison can fail: one wrong bit in one expected value is found, on every tier, and named.
#[test]
fn one_wrong_bit_is_found() {
    const TENSOR: &str = "test_maxpool_2d_precomputed_pads/output0";
    let mut bytes = std::fs::read(data("onnx_node_pool.safetensors")).expect("the vectors are part of the repository");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let tensor = metadata.info(TENSOR).expect("the tensor is in the file");
    // A bit of the significand of element 7; the data begin behind the header and its length.
    let at = 8 + header + tensor.data_offsets.0 + 7 * 4 + 2;
    bytes[at] ^= 1;
    let path = std::env::temp_dir().join(format!("lanepool-golden-{}.safetensors", std::process::id()));
    std::fs::write(&path, &bytes).expect("the temporary folder can be written");
    let report = verify::file(&path, &Tier::available()).expect("the file is still well-formed");
    std::fs::remove_file(&path).expect("the file was just written");
    assert!(!report.is_clean());
    for tier in Tier::available() {
        assert_eq!(report.counts(tier).failed, 1, "{tier}");
    }
    let text = report.to_string();
    assert!(
        text.contains("test_maxpool_2d_precomputed_pads (MaxPool, f32) on scalar: nchw: element 7 [0, 0, 1, 2]"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_none_says_why() {
    let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.rs");
    let error = verify::file(&this, &[Tier::Scalar]).err().expect("this is no file of vectors").to_string();
    assert!(error.contains("golden.rs: is not a safetensors file"), "{error}");
    let absent = verify::file(Path::new("absent.safetensors"), &[Tier::Scalar]).err().expect("there is no such file");
    assert!(absent.to_string().starts_with("absent.safetensors: cannot be read: "), "{absent}");
}
