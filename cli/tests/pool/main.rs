//! `lanepool pool`: values worked out by hand, and every kind of bad input.

#[path = "../common/mod.rs"]
mod common;
mod jpegs;
mod operations;
mod outputs;
mod pngs;

use std::fs;
use std::path::{Path, PathBuf};

use common::{assert_refused, lanepool, npy, parse_npy, stderr, stdout};
use image::{DynamicImage, GrayAlphaImage, ImageBuffer, Luma, RgbImage};
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.path().join(name);
    fs::write(&file, bytes).unwrap();
    file
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Pools a `.npy` file of f32 and gives the shape and the values of the result.
fn pool_npy(shape: &[usize], values: &[f32], flags: &[&str]) -> (String, Vec<f32>) {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, shape, &le(values)));
    let output = folder.path().join("out.npy");
    let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    let (description, shape, data) = parse_npy(&fs::read(&output).unwrap());
    assert_eq!(description, "<f4");
    (shape, data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect())
}

#[test]
fn arrays_of_every_rank_keep_it() {
    let line = [1.0, 5.0, 2.0, 4.0];
    assert_eq!(pool_npy(&[4], &line, &["--kernel", "2", "--stride", "2"]), ("2".to_owned(), vec![5.0, 4.0]));
    let plane = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(pool_npy(&[2, 4], &plane, &["--kernel", "2", "--stride", "2"]), ("1,2".to_owned(), vec![6.0, 8.0]));
    assert_eq!(
        pool_npy(&[1, 2, 4], &plane, &["--kernel", "4", "--layout", "ncw"]),
        ("1,2,1".to_owned(), vec![4.0, 8.0])
    );
    assert_eq!(
        pool_npy(&[1, 1, 2, 4], &plane, &["--kernel", "2,1", "--op", "sum"]),
        ("1,1,1,4".to_owned(), vec![6.0, 8.0, 10.0, 12.0])
    );
    assert_eq!(pool_npy(&[1, 1, 2, 2, 2], &plane, &["--global", "--op", "avg"]), ("1,1,1,1,1".to_owned(), vec![4.5]));
}

#[test]
fn layouts_say_which_axes_are_channels() {
    // Two pixels of two channels: with channels last, a window of two pixels takes every second value.
    let pixels = [1.0, 10.0, 2.0, 20.0];
    let flags = ["--kernel", "2", "--layout", "nwc"];
    assert_eq!(pool_npy(&[1, 2, 2], &pixels, &flags), ("1,1,2".to_owned(), vec![2.0, 20.0]));
    // The same in one block of two channels.
    let flags = ["--kernel", "1,2", "--layout", "nchw2c"];
    assert_eq!(pool_npy(&[1, 1, 1, 2, 2], &pixels, &flags), ("1,1,1,1,2".to_owned(), vec![2.0, 20.0]));
}

#[test]
fn a_picture_in_an_array_is_pooled_by_its_rows_and_columns() {
    // Two rows of two pixels of three channels.
    let pixels = [1.0, 20.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 90.0, 10.0, 11.0, 12.0];
    let hwc = ["--kernel", "2", "--layout", "hwc"];
    assert_eq!(pool_npy(&[2, 2, 3], &pixels, &hwc), ("1,1,3".to_owned(), vec![10.0, 20.0, 90.0]));
    let chw = ["--kernel", "2", "--layout", "chw"];
    assert_eq!(pool_npy(&[3, 2, 2], &pixels, &chw), ("3,1,1".to_owned(), vec![20.0, 8.0, 90.0]));
}

#[test]
fn shapes_and_errors_count_the_axes_of_the_file() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[2, 5, 3], &le(&[0.0; 30])));
    let output = folder.path().join("out.npy");
    let flags = ["--kernel", "2,3", "--layout", "hwc", "--tier", "scalar"];
    let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
    assert!(stdout(&run).ends_with("scalar\n2x5x3 → 1x3x3: height x width x channels\n"), "{}", stdout(&run));
    refused(
        &folder,
        &input,
        &["--kernel", "3", "--layout", "hwc"],
        "window 3 is larger than the padded input 2 on axis 0 (height)",
    );
    let picture = folder.path().join("in.png");
    RgbImage::new(5, 2).save(&picture).unwrap();
    let run = lanepool().arg("pool").args([&picture, &folder.path().join("out.png")]).args(flags).output().unwrap();
    assert!(stdout(&run).ends_with("scalar\n2x5x3 → 1x3x3: height x width x channels\n"), "{}", stdout(&run));
}

#[test]
fn every_attribute_is_a_flag() {
    let line = [1.0, 2.0, 3.0, 4.0, 5.0];
    let pool = |flags: &[&str]| pool_npy(&[5], &line, flags).1;
    assert_eq!(pool(&["--kernel", "2", "--dilation", "2", "--op", "sum"]), [4.0, 6.0, 8.0]);
    assert_eq!(pool(&["--kernel", "2", "--stride", "2", "--ceil"]), [2.0, 4.0, 5.0]);
    assert_eq!(pool(&["--kernel", "2", "--stride", "2"]), [2.0, 4.0]);
    assert_eq!(pool(&["--kernel", "3", "--stride", "3", "--padding", "1", "--op", "avg"]), [1.5, 4.0]);
    let include = ["--kernel", "3", "--stride", "3", "--padding", "1", "--op", "avg", "--count-include-pad"];
    assert_eq!(pool(&include), [1.0, 4.0]);
    assert_eq!(pool(&["--kernel", "2", "--stride", "2", "--op", "avg", "--divisor", "4"]), [0.75, 1.75]);
    // Only in front, only behind.
    assert_eq!(
        pool(&["--kernel", "2", "--stride", "2", "--padding", "1", "--padding-end", "0", "--op", "min"]),
        [1.0, 2.0, 4.0]
    );
    assert_eq!(pool(&["--kernel", "2", "--stride", "2", "--padding-end", "1", "--op", "min"]), [1.0, 3.0, 5.0]);
    // The odd element of padding: behind (upper), in front (lower).
    assert_eq!(pool(&["--kernel", "2", "--stride", "2", "--same", "upper"]), [2.0, 4.0, 5.0]);
    assert_eq!(pool(&["--kernel", "2", "--stride", "2", "--same", "lower"]), [1.0, 3.0, 5.0]);
    let empty = ["--kernel", "1", "--stride", "6", "--padding", "1", "--allow-empty-windows"];
    assert_eq!(pool(&empty), [f32::NEG_INFINITY, f32::NEG_INFINITY]);
}

#[test]
fn nan_goes_on_or_is_ignored() {
    let line = [f32::NAN, 2.0];
    let (_, propagated) = pool_npy(&[2], &line, &["--kernel", "2", "--nan", "propagate"]);
    assert!(propagated[0].is_nan());
    assert_eq!(pool_npy(&[2], &line, &["--kernel", "2", "--nan", "ignore"]).1, [2.0]);
}

#[test]
fn a_big_endian_array_stays_one() {
    let folder = TempDir::new().unwrap();
    let data: Vec<u8> = [1.0_f32, 3.0].iter().flat_map(|value| value.to_be_bytes()).collect();
    let input = write(&folder, "in.npy", &npy(">f4", false, &[2], &data));
    let output = folder.path().join("out.npy");
    lanepool().arg("pool").args([&input, &output]).args(["--kernel", "2"]).assert().success();
    assert_eq!(
        parse_npy(&fs::read(&output).unwrap()),
        (">f4".to_owned(), "1".to_owned(), 3.0_f32.to_be_bytes().to_vec())
    );
}

#[test]
fn the_plan_and_the_shapes_are_said() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[1, 1, 4, 6], &le(&[0.0; 24])));
    let output = folder.path().join("out.npy");
    let run = lanepool()
        .arg("pool")
        .args([&input, &output])
        .args(["--kernel", "3", "--stride", "2", "--padding", "1", "--tier", "scalar"])
        .output()
        .unwrap();
    let text = stdout(&run);
    assert!(text.starts_with("max f32 nchw 3x3/2+1 → "), "{text}");
    let shapes =
        "scalar\n1x1x4x6 → 1x1x2x3: batch x channels x height x width, taken for granted: --layout says otherwise\n";
    assert!(text.ends_with(shapes), "{text}");
}

/// Pools a PNG of 8 bits and gives the result.
fn pool_png(image: &DynamicImage, flags: &[&str]) -> DynamicImage {
    let folder = TempDir::new().unwrap();
    let (input, output) = (folder.path().join("in.png"), folder.path().join("out.png"));
    image.save(&input).unwrap();
    let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    image::open(&output).unwrap()
}

#[test]
fn an_image_keeps_its_channels() {
    let image =
        RgbImage::from_raw(3, 2, vec![1, 50, 7, 2, 40, 8, 99, 99, 99, 3, 30, 9, 4, 20, 255, 99, 99, 99]).unwrap();
    let flags = ["--kernel", "2", "--stride", "2"];
    // The third column is left over: lengths round down.
    let pooled = pool_png(&image.clone().into(), &flags);
    assert_eq!(pooled, RgbImage::from_raw(1, 1, vec![4, 50, 255]).unwrap().into());
    // (1+2+3+4)/4 = 2.5 rounds to the even 2; 140/4 = 35; (7+8+9+255)/4 = 69.75.
    let pooled = pool_png(&image.into(), &["--kernel", "2", "--stride", "2", "--op", "avg"]);
    assert_eq!(pooled, RgbImage::from_raw(1, 1, vec![2, 35, 70]).unwrap().into());
}

#[test]
fn alpha_and_16_bits_are_kept() {
    let grey = GrayAlphaImage::from_raw(2, 1, vec![10, 255, 20, 0]).unwrap();
    let pooled = pool_png(&grey.into(), &["--kernel", "1,2"]);
    assert_eq!(pooled, GrayAlphaImage::from_raw(1, 1, vec![20, 255]).unwrap().into());
    let deep: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(2, 1, vec![1000_u16, 65535]).unwrap();
    let pooled = pool_png(&deep.into(), &["--kernel", "1,2", "--op", "min"]);
    let expected: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(1, 1, vec![1000_u16]).unwrap();
    assert_eq!(pooled, expected.into());
}

#[test]
fn a_jpeg_becomes_a_jpeg() {
    let folder = TempDir::new().unwrap();
    let (input, output) = (folder.path().join("in.jpg"), folder.path().join("out.JPEG"));
    RgbImage::from_pixel(8, 6, image::Rgb([200, 100, 50])).save(&input).unwrap();
    lanepool().arg("pool").args([&input, &output]).args(["--kernel", "2", "--stride", "2"]).assert().success();
    assert!(fs::read(&output).unwrap().starts_with(b"\xff\xd8\xff"));
    let pooled = image::open(&output).unwrap().into_rgb8();
    assert_eq!(pooled.dimensions(), (4, 3));
    for (got, sent) in pooled.get_pixel(2, 1).0.into_iter().zip([200_u8, 100, 50]) {
        assert!(got.abs_diff(sent) <= 4, "{got} {sent}");
    }
}

/// Asserts that pooling `input` is refused.
fn refused(folder: &TempDir, input: &Path, flags: &[&str], why: &str) {
    let output = folder.path().join("refused").with_extension(input.extension().unwrap_or_default());
    assert_refused(lanepool().arg("pool").args([input, &output]).args(flags), input, why, &output);
}

#[test]
fn unreadable_files_are_named() {
    let folder = TempDir::new().unwrap();
    let flags = ["--kernel", "2"];
    refused(&folder, &folder.path().join("absent.png"), &flags, "No such file");
    refused(&folder, &write(&folder, "a.png", b"GIF89a"), &flags, "not a PNG image");
    refused(&folder, &write(&folder, "cut.png", b"\x89PNG\r\n\x1a\n"), &flags, "the file ends early");
    refused(&folder, &write(&folder, "a.jpg", b""), &flags, "not a JPEG image");
    refused(&folder, &write(&folder, "a.npy", b"PK\x03\x04"), &flags, "not a .npy array");
    refused(&folder, &write(&folder, "a.bmp", b"BM"), &flags, "only .png, .jpg, .jpeg and .npy");
    refused(&folder, &write(&folder, "short.npy", b"\x93NUMPY\x01\x00\xff\xff"), &flags, "ends inside its header");
    refused(&folder, &write(&folder, "text.npy", b"\x93NUMPY\x01\x00\x02\x00{}"), &flags, "header cannot be read");
}

#[test]
fn arrays_that_cannot_be_pooled_are_named() {
    let folder = TempDir::new().unwrap();
    let flags = ["--kernel", "1"];
    let refused = |name: &str, file: Vec<u8>, flags: &[&str], why: &str| {
        refused(&folder, &write(&folder, name, &file), flags, why)
    };
    refused(
        "complex.npy",
        npy("<c8", false, &[1], &[0; 8]),
        &flags,
        "holds complex64 (8 bytes, little-endian, written '<c8')",
    );
    let wide = npy("<f16", false, &[1], &[0; 16]);
    refused(
        "wide.npy",
        wide.clone(),
        &flags,
        "holds float128 (16 bytes, little-endian, written '<f16'), and what can be pooled",
    );
    refused(
        "wide.npy",
        wide.clone(),
        &flags,
        "is float32, float64, float16, bfloat16 (2 bytes of raw data), int8, uint8, int16, uint16, int32, uint32, int64, \
         uint64, bool: convert it",
    );
    refused("wide.npy", wide, &flags, "convert it, as by array.astype(\"float64\")");
    refused("times.npy", npy("<M8[ns]", false, &[1], &[0; 8]), &flags, "holds datetime64 (8 bytes");
    let long = npy("<i8", false, &[1], &[0; 8]);
    for op in ["avg", "sum"] {
        refused(
            "long.npy",
            long.clone(),
            &["--kernel", "1", "--op", op],
            "i64 and u64 have maxima and minima, but no sums",
        );
    }
    let truths = npy("|b1", false, &[3], &[0, 1, 1]);
    for flags in [
        &["--kernel", "1", "--op", "avg"][..],
        &["--kernel", "1", "--op", "sum"],
        &["--kernel", "1", "--op", "lp"],
        &["--output-size", "2", "--op", "avg"],
        &["--kernel", "1", "--quantization", "1,0"],
    ] {
        let why = "holds bool, whose maxima and minima are bool again";
        refused("truths.npy", truths.clone(), flags, why);
    }
    refused("truths.npy", npy("|b1", false, &[3], &[0, 1, 2]), &flags, "its element 2 is the byte 2, neither 0 nor 1");
    refused("fortran.npy", npy("<f4", true, &[2, 2], &[0; 16]), &flags, "Fortran order");
    refused("scalar.npy", npy("<f4", false, &[], &[0; 4]), &flags, "0 axes");
    refused("six.npy", npy("<f4", false, &[1; 6], &[0; 4]), &flags, "6 axes");
    refused("cut.npy", npy("<f4", false, &[2, 3], &[0; 20]), &flags, "20 bytes of data");
    refused("long.npy", npy("<f4", false, &[2], &[0; 12]), &flags, "12 bytes of data");
    refused("huge.npy", npy("<f4", false, &[1 << 31, 1 << 31], &[0; 4]), &flags, "more than any file has");
    refused(
        "block.npy",
        npy("<f4", false, &[1, 1, 4, 4], &[0; 64]),
        &["--kernel", "1", "--layout", "nchw8c"],
        "last axis of 4",
    );
    refused("empty.npy", npy("<f4", false, &[1, 1, 2, 0], &[]), &flags, "on axis 3 (width)");
    refused(
        "three.npy",
        npy("<f4", false, &[5, 7, 3], &[0; 420]),
        &flags,
        "has 3 axes, 5x7x3, and nothing says which: --layout hwc",
    );
}

/// Integers of 32 and 64 bits stay what they are, in either byte order, where `f64` would round them.
#[test]
fn long_integers_are_pooled_exactly() {
    let folder = TempDir::new().unwrap();
    let pooled = |kind: &str, data: Vec<u8>, op: &str| {
        let input = write(&folder, "in.npy", &npy(kind, false, &[4], &data));
        let output = folder.path().join("out.npy");
        let run = lanepool()
            .arg("pool")
            .args([&input, &output])
            .args(["--kernel", "2", "--stride", "2", "--op", op])
            .output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", stderr(&run));
        let (description, shape, data) = parse_npy(&fs::read(&output).unwrap());
        assert_eq!((&*description, &*shape), (kind, "2"));
        data
    };
    let signed = [i64::MIN, -1, (1 << 53) + 1, 1 << 53];
    let little = |all: &[i64]| all.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(pooled("<i8", little(&signed), "max"), little(&[-1, (1 << 53) + 1]));
    assert_eq!(pooled("<i8", little(&signed), "min"), little(&[i64::MIN, 1 << 53]));
    let big = |all: &[u64]| all.iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<u8>>();
    let unsigned = [1 << 63, u64::MAX, 7, 1 << 63];
    assert_eq!(pooled(">u8", big(&unsigned), "max"), big(&[u64::MAX, 1 << 63]));
    assert_eq!(pooled(">u8", big(&unsigned), "min"), big(&[1 << 63, 7]));
    let short = |all: &[u32]| all.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(pooled("<u4", short(&[u32::MAX, 1, 4, u32::MAX]), "max"), short(&[u32::MAX; 2]));
    assert_eq!(pooled("<u4", short(&[u32::MAX, 1, 4, u32::MAX - 1]), "avg"), short(&[1 << 31, (1 << 31) + 1]));
}

/// The maximum of truth values is "any", the minimum "all": bool again, and indices beside it.
#[test]
fn truth_values_are_pooled_as_bytes() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("|b1", false, &[6], &[0, 0, 0, 1, 1, 1]));
    let (output, at) = (folder.path().join("out.npy"), folder.path().join("at.npy"));
    let pooled = |flags: &[&str]| {
        let run =
            lanepool().arg("pool").args([&input, &output]).args(flags).arg("--indices").arg(&at).output().unwrap();
        assert!(run.status.success(), "{}", stderr(&run));
        let (description, _, data) = parse_npy(&fs::read(&output).unwrap());
        assert_eq!(description, "|b1");
        data
    };
    assert_eq!(pooled(&["--kernel", "2", "--stride", "2"]), [0, 1, 1]);
    let indices: Vec<u8> = [0_i64, 3, 4].iter().flat_map(|index| index.to_le_bytes()).collect();
    assert_eq!(parse_npy(&fs::read(&at).unwrap()).2, indices);
    assert_eq!(pooled(&["--kernel", "2", "--stride", "2", "--op", "min"]), [0, 0, 1]);
    assert_eq!(pooled(&["--output-size", "4"]), [0, 0, 1, 1]);
    // Of no element at all, "any" is false and "all" is true.
    let beyond = ["--kernel", "1", "--stride", "3", "--padding", "1", "--allow-empty-windows"];
    assert_eq!(pooled(&beyond), [0, 0, 1]);
    assert_eq!(pooled(&[&beyond[..], &["--op", "min"]].concat()), [1, 0, 1]);
}

#[test]
fn the_librarys_errors_are_passed_on() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[1, 1, 4, 4], &le(&[0.0; 16])));
    refused(&folder, &input, &["--kernel", "5"], "window 5 is larger than the padded input 4 on axis 2 (height)");
    refused(&folder, &input, &["--kernel", "0"], "kernel is 0 on axis 2 (height)");
    refused(&folder, &input, &["--kernel", "2", "--stride", "1,0"], "stride is 0 on axis 3 (width)");
    refused(&folder, &input, &["--kernel", "2,2,2"], "3 numbers where 2 are needed");
    refused(&folder, &input, &["--kernel", "2", "--padding", "2"], "padding 2 is not smaller than the window 2");
    refused(&folder, &input, &["--kernel", "2", "--op", "avg", "--divisor", "0"], "divisor is 0");
}

#[test]
fn flags_that_contradict_are_refused() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[4], &le(&[0.0; 4])));
    let output = folder.path().join("out.npy");
    for (flags, why) in [
        (&["--kernel", "2", "--divisor", "3"][..], "--divisor are for averages"),
        (&["--kernel", "2", "--op", "avg", "--nan", "ignore"], "--nan is for maximum and minimum"),
        (&["--kernel", "2", "--global"], "cannot be used with"),
        (&["--kernel", "2", "--same", "upper", "--padding", "1"], "cannot be used with"),
        (&["--kernel", "two"], "\"two\" is not a whole number"),
        (&["--kernel", "2", "--op", "median"], "\"median\""),
        (&["--kernel", "2", "--tier", "sse9"], "no tier has this name"),
        (&["--kernel", "2", "--layout", "chwn"], "\"chwn\""),
        (&[], "--kernel"),
    ] {
        let run = lanepool().arg("pool").args([&input, &output]).args(flags).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&run).contains(why), "{flags:?}: {}", stderr(&run));
        assert_eq!(stderr(&run).lines().count(), 1, "{flags:?}: {}", stderr(&run));
        assert!(!output.exists());
    }
    let picture = folder.path().join("out.png");
    assert_refused(
        lanepool().arg("pool").args([&input, &picture]).args(["--kernel", "2"]),
        &picture,
        "the kind must stay",
        &picture,
    );
}
