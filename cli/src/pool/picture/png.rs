//! Reading and writing PNG files. What says how the colours are meant (an ICC profile, a gamma, primaries) is kept.

use std::io::Cursor;

use anyhow::{Context, Error, Result, anyhow, bail};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, Pixel};
use png::{BitDepth, ColorType, Compression, Decoder, DecodingError, Encoder, Info, Transformations};

use super::{Picture, declared};
use crate::pool::memory::Limit;

/// What a file says of its colours.
pub type Colours = Info<'static>;

/// Decodes a file, upright. Palettes and grey values of less than 8 bits become bytes.
pub fn read(bytes: &[u8], limit: Limit) -> Result<Picture> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(broken)?;
    let size = [header.width, header.height];
    // Before a row is decoded, for which there is a buffer; and then as it will be, transparency being a channel.
    declared(limit, size, header.color_type.samples() * (header.bit_depth as usize).div_ceil(8))?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let (color, depth) = reader.output_color_type();
    declared(limit, size, color.samples() * (depth as usize).div_ceil(8))?;
    let notes = not_kept(reader.info());

    let mut pixels = vec![0; reader.output_buffer_size().context("declares more pixels than any memory holds")?];
    reader.next_frame(&mut pixels).map_err(broken)?;
    reader.finish().map_err(broken)?;
    let mut image = image(color, depth, size, pixels)
        .with_context(|| format!("has pixels of a kind that cannot be pooled: {color:?} of {depth:?} bits"))?;
    let info = reader.info();
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    let mut colours = Colours::default();
    colours.source_gamma = info.gama_chunk;
    colours.source_chromaticities = info.chrm_chunk;
    colours.srgb = info.srgb;
    colours.icc_profile.clone_from(&info.icc_profile);
    Ok(Picture { image, colours, notes })
}

/// What there is in a file, of which nothing was decoded yet, that the result will not have.
fn not_kept(info: &Info) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(frames) = info.animation_control.map(|animation| animation.num_frames) {
        // A picture without a frame's attributes is no part of the animation.
        notes.push(match (frames, info.frame_control) {
            (1, Some(_)) => "is an animation of one frame, and the result is none".to_owned(),
            (_, Some(_)) => format!("is an animation of {frames} frames, of which the first alone is pooled and kept"),
            (_, None) => format!("has an animation of {frames} frames beside its picture, which are not kept"),
        });
    }
    if info.color_type == ColorType::Indexed {
        notes.push("has a palette, and the result has none: its pixels are the colours themselves".to_owned());
    }
    if info.coding_independent_code_points.is_some() {
        notes.push("says by a chunk cICP how its colours are meant, and the result does not".to_owned());
    }
    notes
}

/// What a decoder's complaint means.
fn broken(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            anyhow!("the file ends early: its end marker is missing")
        }
        error => Error::from(error).context("cannot be decoded"),
    }
}

/// A decoded image; its samples of 16 bits are big-endian.
fn image(color: ColorType, depth: BitDepth, [width, height]: [u32; 2], samples: Vec<u8>) -> Option<DynamicImage> {
    fn of<P: Pixel>(width: u32, height: u32, samples: Vec<P::Subpixel>) -> Option<DynamicImage>
    where
        DynamicImage: From<ImageBuffer<P, Vec<P::Subpixel>>>,
    {
        ImageBuffer::<P, _>::from_raw(width, height, samples).map(DynamicImage::from)
    }
    let deep = |samples: Vec<u8>| samples.as_chunks().0.iter().map(|&bytes| u16::from_be_bytes(bytes)).collect();
    match (color, depth) {
        (ColorType::Grayscale, BitDepth::Eight) => of::<image::Luma<u8>>(width, height, samples),
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => of::<image::LumaA<u8>>(width, height, samples),
        (ColorType::Rgb, BitDepth::Eight) => of::<image::Rgb<u8>>(width, height, samples),
        (ColorType::Rgba, BitDepth::Eight) => of::<image::Rgba<u8>>(width, height, samples),
        (ColorType::Grayscale, BitDepth::Sixteen) => of::<image::Luma<u16>>(width, height, deep(samples)),
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => of::<image::LumaA<u16>>(width, height, deep(samples)),
        (ColorType::Rgb, BitDepth::Sixteen) => of::<image::Rgb<u16>>(width, height, deep(samples)),
        (ColorType::Rgba, BitDepth::Sixteen) => of::<image::Rgba<u16>>(width, height, deep(samples)),
        _ => None,
    }
}

/// Encodes samples, those of 16 bits in the machine's order.
pub fn write(
    mut colours: Colours,
    [width, height]: [u32; 2],
    (channels, bytes): (u8, u8),
    mut samples: Vec<u8>,
) -> Result<Vec<u8>> {
    colours.width = width;
    colours.height = height;
    (colours.color_type, colours.bit_depth) = match (channels, bytes) {
        (1, 1) => (ColorType::Grayscale, BitDepth::Eight),
        (2, 1) => (ColorType::GrayscaleAlpha, BitDepth::Eight),
        (3, 1) => (ColorType::Rgb, BitDepth::Eight),
        (4, 1) => (ColorType::Rgba, BitDepth::Eight),
        (1, 2) => (ColorType::Grayscale, BitDepth::Sixteen),
        (2, 2) => (ColorType::GrayscaleAlpha, BitDepth::Sixteen),
        (3, 2) => (ColorType::Rgb, BitDepth::Sixteen),
        (4, 2) => (ColorType::Rgba, BitDepth::Sixteen),
        _ => bail!("a PNG image cannot have {channels} channels of {bytes} bytes"),
    };
    if bytes == 2 && cfg!(target_endian = "little") {
        for sample in samples.as_chunks_mut::<2>().0 {
            sample.reverse();
        }
    }
    let mut file = Vec::new();
    let mut encoder = Encoder::with_info(&mut file, colours).context(UNENCODABLE)?;
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header().context(UNENCODABLE)?;
    writer.write_image_data(&samples).context(UNENCODABLE)?;
    writer.finish().context(UNENCODABLE)?;
    Ok(file)
}

const UNENCODABLE: &str = "the result cannot be encoded";
