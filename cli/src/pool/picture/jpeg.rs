//! Reading JPEG files, whole ones alone, and writing them.
//!
//! Decoders are made to show what there is of a broken picture, and fill the rest with grey. What is pooled is to be the
//! whole picture, so the file is walked through to its end first, and then decoded in the strict mode.

use anyhow::{Context, Result, anyhow, bail};
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::png::Colours;
use super::{Picture, declared};
use crate::pool::memory::Limit;

/// Losses of the format stop being visible here.
const QUALITY: u8 = 95;

/// Decodes a file, upright.
pub fn read(bytes: &[u8], limit: Limit) -> Result<Picture> {
    let end = end_of_image(bytes)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().context(UNDECODABLE)?;
    let (width, height) = decoder.dimensions().context(UNDECODABLE)?;
    let space = decoder.input_colorspace().context(UNDECODABLE)?;
    let channels = if space == ColorSpace::Luma { 1 } else { 3 };
    let size = [u32::try_from(width)?, u32::try_from(height)?];
    declared(limit, size, channels)?;

    let mut notes = Vec::new();
    let is_cmyk = matches!(space, ColorSpace::CMYK | ColorSpace::YCCK);
    if is_cmyk {
        notes.push("is of four inks (CMYK), and is pooled and written as RGB".to_owned());
    }
    let icc_profile = decoder.icc_profile();
    if is_cmyk && icc_profile.is_some() {
        notes.push("has an ICC profile, which is one of CMYK and is not kept".to_owned());
    }
    if bytes[end..].starts_with(b"\xff\xd8") {
        notes.push("holds more pictures behind the first, which are not kept".to_owned());
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));

    if channels == 1 {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_into(&mut pixels).context(UNDECODABLE)?;
    let [width, height] = size;
    let image = match channels {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    let mut image = image.context(UNDECODABLE)?;
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    let mut colours = Colours::default();
    colours.icc_profile = icc_profile.filter(|_| !is_cmyk).map(Into::into);
    Ok(Picture { image, colours, notes })
}

/// Encodes pixels of 1 or 3 bytes.
pub fn write(colours: Colours, [width, height]: [u32; 2], channels: u8, pixels: &[u8]) -> Result<Vec<u8>> {
    if width.max(height) > u32::from(u16::MAX) {
        bail!("the result has {width}×{height} pixels, and a JPEG image has at most 65535 on a side");
    }
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    if let Some(profile) = colours.icc_profile {
        encoder.set_icc_profile(profile.into_owned()).context("its ICC profile cannot be written")?;
    }
    encoder.write_image(pixels, width, height, color).context("the result cannot be encoded")?;
    Ok(file)
}

const UNDECODABLE: &str = "cannot be decoded";

/// Where the picture ends: the place behind its marker `EOI`.
///
/// Between markers lie segments, which say how long they are, and behind `SOS` the coded picture, which does not: it goes
/// on to the next `FF` that is followed by neither 00 nor a restart marker.
fn end_of_image(bytes: &[u8]) -> Result<usize> {
    let mut at = 2;
    let mut inside = "before the picture";
    loop {
        let early = || anyhow!("the file ends early: its {} bytes end {inside}", bytes.len());
        let rest = bytes.get(at..).unwrap_or_default();
        at += rest.iter().position(|&byte| byte == 0xff).ok_or_else(early)?;
        // Any number of FF may stand before a marker.
        at += bytes[at..].iter().position(|&byte| byte != 0xff).ok_or_else(early)?;
        let marker = bytes[at];
        at += 1;
        match marker {
            0xd9 => return Ok(at),
            // A byte FF of the coded picture, restart markers, and the one reserved marker without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let &[high, low] = bytes[at..].first_chunk().ok_or_else(early)?;
                let length = usize::from(u16::from_be_bytes([high, low]));
                if length < 2 {
                    bail!("cannot be decoded: the segment at byte {at} says that it has {length} bytes");
                }
                at += length;
                if at > bytes.len() {
                    return Err(early());
                }
                if marker == 0xda {
                    inside = "inside the coded picture";
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::end_of_image;

    /// The shortest file with every kind of thing that lies between the markers.
    const WHOLE: &[u8] = &[
        0xff, 0xd8, // the beginning
        0xff, 0xfe, 0x00, 0x04, 0xff, 0xd9, // a comment that holds what would be the end
        0xff, 0xff, 0xff, 0xda, 0x00, 0x02, // a scan, after two bytes to fill
        0x12, 0xff, 0x00, 0xff, 0xd0, 0x34, // coded: a byte FF, and a restart
        0xff, 0xd9, // the end
    ];

    #[test]
    fn the_end_is_that_of_the_picture() {
        assert_eq!(end_of_image(WHOLE).unwrap(), WHOLE.len());
        let more = [WHOLE, &[0xff, 0xd8, 1, 2, 3]].concat();
        assert_eq!(end_of_image(&more).unwrap(), WHOLE.len());
    }

    #[test]
    fn every_shorter_file_ends_early() {
        for length in 2..WHOLE.len() {
            let error = end_of_image(&WHOLE[..length]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the file ends early: its {length} bytes end ")), "{error}");
            assert_eq!(error.ends_with("inside the coded picture"), length >= 14, "{error}");
        }
    }

    #[test]
    fn a_segment_holds_its_own_length() {
        assert!(end_of_image(&[0xff, 0xd8, 0xff, 0xfe, 0, 1]).unwrap_err().to_string().contains("1 bytes"));
    }
}
