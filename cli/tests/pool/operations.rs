//! Every operation beside plain windows: norms, adaptive windows, quantised bytes, indices; and results that are cut off.

use std::fs;

use image::RgbImage;
use tempfile::TempDir;

use crate::common::{lanepool, npy, parse_npy, stderr, stdout};
use crate::{pool_npy, refused, write};

/// Pools a line of bytes.
fn pool_bytes(line: &[u8], flags: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("|u1", false, &[line.len()], line));
    let output = folder.path().join("out.npy");
    let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    parse_npy(&fs::read(&output).unwrap()).2
}

#[test]
fn norms() {
    let line = [3.0, -4.0, 0.0, -2.0];
    let pool =
        |flags: &[&str]| pool_npy(&[4], &line, &[&["--op", "lp", "--kernel", "2", "--stride", "2"], flags].concat()).1;
    assert_eq!(pool(&[]), [5.0, 2.0]);
    assert_eq!(pool(&["--p", "1"]), [7.0, 2.0]);
    assert_eq!(pool(&["--p", "inf"]), [4.0, 2.0]);
    // √((9 + 16) / 2) and √(4 / 2).
    assert_eq!(pool(&["--power-mean"]), [12.5_f32.sqrt(), 2_f32.sqrt()]);
}

#[test]
fn adaptive_windows() {
    let line = [1.0, 5.0, 2.0, -1.0, 3.0, 0.0, 4.0];
    // 0..3, 2..5 and 4..7.
    assert_eq!(pool_npy(&[7], &line, &["--output-size", "3"]), ("3".to_owned(), vec![5.0, 3.0, 4.0]));
    let plane = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let flags = ["--output-size", "2,1", "--op", "avg", "--layout", "chw"];
    assert_eq!(pool_npy(&[1, 3, 2], &plane, &flags), ("1,2,1".to_owned(), vec![2.5, 4.5]));
    let nan = [f32::NAN, 2.0];
    assert_eq!(pool_npy(&[2], &nan, &["--output-size", "1", "--nan", "ignore"]).1, [2.0]);
}

#[test]
fn quantised_bytes() {
    // From −1 to 1, to 0 to 1: 0.25 and 0.625; −0.5 and 0.
    let line = [160, 208, 64, 128];
    let pairs = ["--kernel", "2", "--stride", "2", "--quantization", "0.0078125,128"];
    let to = ["--output-quantization", "0.00392156862745098,0"];
    assert_eq!(pool_bytes(&line, &[&pairs[..], &to, &["--op", "avg"]].concat()), [112, 0]);
    // The same bytes out as in: 184 and 96.
    assert_eq!(pool_bytes(&line, &[&pairs[..], &["--op", "avg"]].concat()), [184, 96]);
    // 0.625 is 159 of 255.
    assert_eq!(pool_bytes(&line, &[&pairs[..], &to, &["--op", "max"]].concat()), [159, 0]);
    let adaptive = ["--op", "avg", "--output-size", "2", "--quantization", "0.0078125,128"];
    assert_eq!(pool_bytes(&line, &[&adaptive[..], &to].concat()), [112, 0]);
}

/// Pools planes of f32 with indices: their shape and what they are.
fn indices(shape: &[usize], values: &[f32], flags: &[&str]) -> (String, Vec<i64>) {
    let folder = TempDir::new().unwrap();
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let input = write(&folder, "in.npy", &npy("<f4", false, shape, &data));
    let (output, at) = (folder.path().join("out.npy"), folder.path().join("at.npy"));
    let run = lanepool().arg("pool").args([&input, &output]).arg("--indices").arg(&at).args(flags).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains(" with indices that count in the "), "{}", stdout(&run));
    let (kind, shape, data) = parse_npy(&fs::read(&at).unwrap());
    let (_, values, _) = parse_npy(&fs::read(&output).unwrap());
    assert_eq!((kind.as_str(), &values), ("<i8", &shape));
    (shape, data.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect())
}

#[test]
fn indices_are_a_second_file() {
    // Two channels of 2 × 4, each pooled to 1 × 2.
    let planes = [1.0, 9.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, -1.0, -2.0, 7.0, 0.0, -3.0, -4.0, 6.0, 5.0];
    let of = |kind: &str, more: &[&str]| {
        let flags = [&["--kernel", "2", "--stride", "2", "--layout", "chw", "--index-kind", kind], more].concat();
        indices(&[2, 2, 4], &planes, &flags)
    };
    let shape = "2,1,2".to_owned();
    assert_eq!(of("plane", &[]), (shape.clone(), vec![1, 7, 0, 2]));
    assert_eq!(of("tensor", &[]), (shape.clone(), vec![1, 7, 8, 10]));
    assert_eq!(of("tensor-column-major", &[]), (shape.clone(), vec![2, 7, 8, 12]));
    assert_eq!(of("tap", &[]), (shape.clone(), vec![1, 3, 0, 0]));
    assert_eq!(of("plane", &["--op", "min"]), (shape, vec![0, 2, 5, 3]));
    // 0..3, 2..5 and 4..7.
    let line = [1.0, 5.0, 2.0, -1.0, 3.0, 0.0, 4.0];
    assert_eq!(indices(&[7], &line, &["--output-size", "3"]), ("3".to_owned(), vec![1, 4, 6]));
}

#[test]
fn a_picture_has_indices_too() {
    let folder = TempDir::new().unwrap();
    let (input, output, at) =
        (folder.path().join("in.png"), folder.path().join("out.png"), folder.path().join("at.npy"));
    RgbImage::from_raw(2, 1, vec![1, 50, 7, 2, 40, 7]).unwrap().save(&input).unwrap();
    let run = lanepool().arg("pool").args([&input, &output]).args(["--kernel", "1,2", "--indices"]).arg(&at).output();
    assert!(run.unwrap().status.success());
    let (_, shape, data) = parse_npy(&fs::read(&at).unwrap());
    let expected: Vec<u8> = [1_i64, 0, 0].iter().flat_map(|index| index.to_le_bytes()).collect();
    assert_eq!((shape, data), ("1,1,3".to_owned(), expected));
}

#[test]
fn sums_that_are_cut_off_are_counted() {
    let said = |element: &str, data: &[u8], len: usize, flags: &[&str]| {
        let folder = TempDir::new().unwrap();
        let input = write(&folder, "in.npy", &npy(element, false, &[len], data));
        let output = folder.path().join("out.npy");
        let kernel = if len.is_multiple_of(2) { "2" } else { "3" };
        let side_by_side = ["--kernel", kernel, "--stride", kernel];
        let run = lanepool().arg("pool").args([&input, &output]).args(side_by_side).args(flags).output().unwrap();
        assert!(run.status.success(), "{}", stderr(&run));
        (stderr(&run), parse_npy(&fs::read(&output).unwrap()).2)
    };
    // 300 is cut to 255; 255 is what it is.
    let (note, sums) = said("|u1", &[100, 200, 200, 55, 1, 2], 6, &["--op", "sum"]);
    assert_eq!(sums, [255, 255, 3]);
    assert!(note.starts_with("lanepool: note: ") && note.lines().count() == 1, "{note}");
    assert!(note.contains("in.npy has windows whose result is beyond u8, 0 to 255: 1 of 3 outputs were cut"), "{note}");
    assert_eq!(said("|u1", &[200, 55, 1, 2], 4, &["--op", "sum"]).0, "");
    assert_eq!(said("|u1", &[255, 255, 1, 2], 4, &["--op", "avg"]).0, "");
    // By a divisor of 1 an average is the sum.
    assert!(said("|i1", &[0x80, 0xff, 1, 2], 4, &["--op", "avg", "--divisor", "1"]).0.contains("1 of 2 outputs"));
    // −128.5 rounds to the even −128, and 127.5 to 128, which is beyond.
    let halves = ["--op", "avg", "--divisor", "2"];
    let (note, averages) = said("|i1", &[0x80, 0x80, 0xff, 127, 127, 1, 0, 0, 0], 9, &halves);
    assert_eq!(averages, [0x80, 127, 0]);
    assert!(note.contains("beyond i8, -128 to 127: 1 of 3"), "{note}");
    let data: Vec<u8> = [i32::MIN, -1, i32::MAX, 0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(said("<i4", &data, 4, &["--op", "sum"]).0.contains("beyond i32, -2147483648 to 2147483647: 1 of 2"));
}

#[test]
fn what_an_operation_does_not_have_is_refused() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("|u1", false, &[4], &[0; 4]));
    let at = folder.path().join("at.npy");
    let at = at.to_str().unwrap();
    for (flags, why) in [
        (&["--kernel", "2", "--p", "3"][..], "--p and --power-mean are for norms: --op is max"),
        (&["--kernel", "2", "--op", "lp"], "Lp pooling is of floats"),
        (&["--output-size", "2", "--op", "min"], "--output-size is for maximum and average: --op is min"),
        (&["--output-size", "2", "--stride", "2"], "cannot be used with"),
        (&["--output-size", "0"], "the output would have length 0 on axis 0 (width)"),
        (&["--kernel", "2", "--op", "sum", "--quantization", "1,0"], "--quantization is for maximum and average"),
        (&["--kernel", "2", "--quantization", "0,0"], "the scale of the input is 0: it must be positive"),
        (&["--kernel", "2", "--quantization", "1,-7"], "the zero point of the input is -7"),
        (&["--kernel", "2", "--quantization", "x,0"], "the scale \"x\" is no number"),
        (&["--kernel", "2", "--output-quantization", "1,0"], "--quantization"),
        (&["--kernel", "2", "--op", "avg", "--indices", at], "--indices is for maximum and minimum: --op is avg"),
        (&["--kernel", "2", "--index-kind", "tap"], "--indices"),
        (&["--output-size", "3000000000"], "the result, 3000000000 elements, takes 2.8 GiB"),
    ] {
        let output = folder.path().join("out.npy");
        let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{flags:?}: {}", stderr(&run));
        assert!(stderr(&run).contains(why), "{flags:?}: {}", stderr(&run));
        assert_eq!(stderr(&run).lines().count(), 1, "{flags:?}: {}", stderr(&run));
        assert!(!output.exists());
    }
    let float = write(&folder, "float.npy", &npy("<f4", false, &[2], &[0; 8]));
    refused(&folder, &float, &["--kernel", "2", "--quantization", "1,0"], "quantised pooling is of u8, i8 or i16");
}
