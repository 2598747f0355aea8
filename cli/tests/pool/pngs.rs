//! PNG files with all that the format has, and files that declare more than they hold.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Decoder, Encoder, Info, ScaledFloat};
use tempfile::TempDir;

use crate::common::{lanepool, npy, stderr};
use crate::jpegs::noise;
use crate::{refused, write};

/// What a decoder says of a file, and its samples as they are stored.
fn decoded(file: &Path) -> (Info<'static>, Vec<u8>) {
    let mut reader = Decoder::new(BufReader::new(File::open(file).unwrap())).read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    (reader.info().clone(), samples)
}

/// Writes a PNG of these samples, as `prepare` has the encoder make it.
fn png(file: &Path, info: Info<'_>, samples: &[u8], prepare: impl FnOnce(&mut Encoder<'_, File>)) {
    let mut encoder = Encoder::with_info(File::create(file).unwrap(), info).unwrap();
    prepare(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
}

fn info(width: u32, height: u32, color: ColorType, depth: BitDepth) -> Info<'static> {
    let mut info = Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (color, depth);
    info
}

/// Pools pairs of pixels; gives the result and what was said of it.
pub fn pool(input: &Path) -> (PathBuf, String) {
    let output = input.with_file_name("out").with_extension(input.extension().unwrap());
    let run = lanepool().arg("pool").args([input, &output]).args(["--kernel", "1,2", "--stride", "1,2"]).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    (output, stderr(&run))
}

#[test]
fn sixteen_bits_and_the_meaning_of_the_colours_are_kept() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.png");
    let mut profile = info(4, 1, ColorType::Rgb, BitDepth::Sixteen);
    profile.icc_profile = Some(Cow::Borrowed(b"what a profile says is not looked at"));
    // Of each pair of pixels the second is the larger one, by its low byte alone.
    let samples =
        [[1, 2], [3, 4], [5, 6], [1, 3], [3, 5], [5, 7], [9, 9], [0, 0], [7, 1], [9, 8], [0, 1], [7, 2]].concat();
    png(&input, profile, &samples, |_| {});
    let (output, said) = pool(&input);
    let (info, samples) = decoded(&output);
    assert_eq!((info.width, info.height, info.bit_depth), (2, 1, BitDepth::Sixteen));
    assert_eq!(samples, [[1, 3], [3, 5], [5, 7], [9, 9], [0, 1], [7, 2]].concat());
    assert_eq!(info.icc_profile.as_deref(), Some(&b"what a profile says is not looked at"[..]));
    assert_eq!(said, "");
}

#[test]
fn gamma_is_kept() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.png");
    let linear = info(2, 1, ColorType::Grayscale, BitDepth::Eight);
    png(&input, linear, &[3, 8], |encoder| encoder.set_source_gamma(ScaledFloat::new(1.0)));
    let (info, samples) = decoded(&pool(&input).0);
    assert_eq!((info.gama_chunk, samples), (Some(ScaledFloat::new(1.0)), vec![8]));
}

#[test]
fn further_frames_are_said_to_be_lost() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.png");
    let mut encoder = Encoder::new(File::create(&input).unwrap(), 2, 1);
    encoder.set_animated(3, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for frame in [[1, 2], [30, 4], [5, 60]] {
        writer.write_image_data(&frame).unwrap();
    }
    writer.finish().unwrap();
    let (output, said) = pool(&input);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("lanepool: note: ") && said.contains("in.png"), "{said}");
    assert!(said.contains("animation of 3 frames, of which the first alone is pooled"), "{said}");
    let (info, samples) = decoded(&output);
    assert!(info.animation_control.is_none());
    assert_eq!(samples, [2]);
}

#[test]
fn a_palette_becomes_colours_and_that_is_said() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.png");
    png(&input, info(2, 1, ColorType::Indexed, BitDepth::Eight), &[1, 0], |encoder| {
        encoder.set_palette(vec![10, 20, 30, 5, 25, 30]);
    });
    let (output, said) = pool(&input);
    let (info, samples) = decoded(&output);
    assert_eq!((info.color_type, samples), (ColorType::Rgb, vec![10, 25, 30]));
    assert!(said.contains("has a palette, and the result has none"), "{said}");
}

#[test]
fn every_cut_file_ends_early() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole.png");
    png(&whole, info(16, 16, ColorType::Rgb, BitDepth::Eight), &noise(16 * 16 * 3), |_| {});
    let file = fs::read(&whole).unwrap();
    for cut in [20, 40, file.len() / 2, file.len() - 13, file.len() - 12, file.len() - 1] {
        let input = write(&folder, "cut.png", &file[..cut]);
        refused(&folder, &input, &["--kernel", "2"], "the file ends early");
    }
}

/// A chunk with its length and its checksum.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [name.as_slice(), data].concat();
    let shifted = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let crc = !named.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shifted));
    [&(data.len() as u32).to_be_bytes(), named.as_slice(), &crc.to_be_bytes()].concat()
}

#[test]
fn what_a_file_declares_is_weighed_before_memory_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let side = 60_000_u32.to_be_bytes();
    let header = [&side[..], &side[..], &[8, 2, 0, 0, 0]].concat();
    let file = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &[0x78, 1, 1, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1]),
        chunk(b"IEND", &[]),
    ]
    .concat();
    assert_eq!(file.len(), 69);
    let input = write(&folder, "bomb.png", &file);
    let flags = ["--kernel", "2"];
    refused(&folder, &input, &flags, "declares 60000×60000 pixels of 3 bytes, which takes 10.1 GiB");
    refused(&folder, &input, &flags, "the limit is 1.0 GiB: --max-memory 11G allows it");
}

#[test]
fn the_limit_can_be_set() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in.png");
    png(&input, info(100, 100, ColorType::Grayscale, BitDepth::Sixteen), &noise(20_000), |_| {});
    let flags = |limit| ["--kernel", "2", "--max-memory", limit];
    refused(&folder, &input, &flags("19999"), "declares 100×100 pixels of 2 bytes, which takes 19.5 KiB");
    let output = folder.path().join("out.png");
    lanepool().arg("pool").args([&input, &output]).args(flags("20K")).assert().success();
}

#[test]
fn a_result_that_grows_is_weighed_too() {
    let folder = TempDir::new().unwrap();
    let input = write(&folder, "in.npy", &npy("<f4", false, &[1], &[0; 4]));
    let padding = ["--kernel", "1", "--padding", "3000000000", "--allow-empty-windows"];
    refused(&folder, &input, &padding, "the result, 6000000001 elements, takes 22.4 GiB");
}
