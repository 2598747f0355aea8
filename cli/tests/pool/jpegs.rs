//! JPEG files as cameras, browsers and printers make them, and broken ones.

use std::fs;

use jpeg_encoder::{ColorType, Encoder};
use tempfile::TempDir;

use crate::common::{lanepool, stderr};
use crate::pngs::pool;
use crate::{refused, write};

/// Pixels that no two blocks have in common, so that the coded picture goes on to the last of them.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut rng = 12345_u32;
    let mut next = || {
        rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (rng >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A file of noise, 40 × 32, as `prepare` has the encoder make it.
pub fn jpeg(color: ColorType, channels: usize, prepare: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 90);
    prepare(&mut encoder);
    encoder.encode(&noise(40 * 32 * channels), 40, 32, color).unwrap();
    file
}

/// Every file that may be cut: sequential, with restart markers, and progressive, in colour and in grey.
fn whole_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("sequential.jpg", jpeg(ColorType::Rgb, 3, |_| {})),
        ("grey.jpg", jpeg(ColorType::Luma, 1, |_| {})),
        ("restarts.jpg", jpeg(ColorType::Rgb, 3, |encoder| encoder.set_restart_interval(2))),
        ("progressive.jpg", jpeg(ColorType::Rgb, 3, |encoder| encoder.set_progressive(true))),
    ]
}

#[test]
fn a_whole_file_is_pooled() {
    let folder = TempDir::new().unwrap();
    for (name, file) in whole_files() {
        let (input, output) = (write(&folder, name, &file), folder.path().join("out.jpg"));
        let run = lanepool().arg("pool").args([&input, &output]).args(["--kernel", "2", "--stride", "2"]).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{name}: {}", stderr(&run));
        let pooled = image::open(&output).unwrap();
        assert_eq!((pooled.width(), pooled.height()), (20, 16), "{name}");
        assert_eq!(pooled.color().has_color(), name != "grey.jpg", "{name}");
        fs::remove_file(&output).unwrap();
    }
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let folder = TempDir::new().unwrap();
    for (name, file) in whole_files() {
        // The end marker alone, half of it, a few bytes of the picture, half the file, and the headers.
        for cut in [file.len() - 2, file.len() - 1, file.len() - 30, file.len() / 2, 100] {
            let input = write(&folder, name, &file[..cut]);
            refused(&folder, &input, &["--kernel", "2"], "the file ends early");
        }
    }
}

#[test]
fn a_damaged_picture_is_no_grey_one() {
    let folder = TempDir::new().unwrap();
    let mut file = jpeg(ColorType::Rgb, 3, |_| {});
    // A code of ones alone is none of any table.
    let middle = file.len() / 2;
    for pair in file[middle..middle + 40].chunks_exact_mut(2) {
        pair.copy_from_slice(&[0xff, 0x00]);
    }
    let input = write(&folder, "damaged.jpg", &file);
    refused(&folder, &input, &["--kernel", "2"], "cannot be decoded");
}

#[test]
fn what_a_file_declares_is_weighed() {
    let folder = TempDir::new().unwrap();
    let mut file = jpeg(ColorType::Rgb, 3, |_| {});
    let frame = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].fill(0xff);
    let input = write(&folder, "bomb.jpg", &file);
    refused(&folder, &input, &["--kernel", "2"], "declares 65535×65535 pixels of 3 bytes, which takes 12.0 GiB");
}

/// The profile of a JPEG file, and its channels.
fn profile(file: &std::path::Path) -> (Option<Vec<u8>>, u8) {
    use image::ImageDecoder;
    let mut decoder = image::ImageReader::open(file).unwrap().into_decoder().unwrap();
    (decoder.icc_profile().unwrap(), decoder.color_type().channel_count())
}

#[test]
fn the_profile_is_kept() {
    let folder = TempDir::new().unwrap();
    let file = jpeg(ColorType::Rgb, 3, |encoder| encoder.add_icc_profile(b"of these colours").unwrap());
    let (output, said) = pool(&write(&folder, "in.jpg", &file));
    assert_eq!(profile(&output), (Some(b"of these colours".to_vec()), 3));
    assert_eq!(said, "");
}

#[test]
fn four_inks_become_three_colours_and_that_is_said() {
    let folder = TempDir::new().unwrap();
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let file = jpeg(color, 4, |encoder| encoder.add_icc_profile(b"of four inks").unwrap());
        let (output, said) = pool(&write(&folder, "in.jpg", &file));
        assert_eq!(profile(&output), (None, 3));
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("CMYK), and is pooled and written as RGB"), "{said}");
        assert!(said.contains("ICC profile, which is one of CMYK and is not kept"), "{said}");
    }
}

#[test]
fn pictures_behind_the_first_are_said_to_be_lost() {
    let folder = TempDir::new().unwrap();
    let one = jpeg(ColorType::Rgb, 3, |_| {});
    let (_, said) = pool(&write(&folder, "in.jpg", &[one.clone(), one].concat()));
    assert!(said.contains("holds more pictures behind the first"), "{said}");
}
