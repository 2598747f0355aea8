//! Images: one tensor of 1 × channels × height × width, channels last, alpha a channel like the others.

mod jpeg;

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader};
use lanepool::{Element, Layout};

use super::{Job, describe};

/// JPEG is lossy anyway; this is where its losses stop being visible.
const JPEG_QUALITY: u8 = 95;

/// What a file holds.
struct Picture {
    /// Upright: the orientation is a note in the file that the result does not carry, so it is carried out.
    image: DynamicImage,
}

/// The pooled file and a description of what was done.
pub fn pool(job: &Job, bytes: &[u8], format: ImageFormat) -> Result<(Vec<u8>, String)> {
    if job.layout.is_some_and(|layout| layout != Layout::Nhwc) {
        bail!("an image holds its channels last: --layout can only be nhwc");
    }
    let Picture { image } = match format {
        ImageFormat::Jpeg => jpeg::read(bytes)?,
        _ => read_png(bytes)?,
    };

    let color = image.color();
    let channels = usize::from(color.channel_count());
    let shape = [1, channels, image.height() as usize, image.width() as usize];
    let (pixels, height, width, description) = match color.bytes_per_pixel() / color.channel_count() {
        1 => pool_pixels::<u8>(job, shape, image.as_bytes())?,
        2 => pool_pixels::<u16>(job, shape, image.as_bytes())?,
        _ => bail!("has pixels of type {color:?}: only 8 and 16 bits a channel can be pooled"),
    };

    let mut file = Vec::new();
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    match format {
        ImageFormat::Jpeg => {
            JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY).write_image(&pixels, width, height, color.into())
        }
        _ => PngEncoder::new(&mut file).write_image(&pixels, width, height, color.into()),
    }
    .context("the result cannot be encoded")?;
    Ok((file, description))
}

fn read_png(bytes: &[u8]) -> Result<Picture> {
    let mut decoder =
        ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png).into_decoder().context("cannot be decoded")?;
    let orientation = decoder.orientation().context("cannot be decoded")?;
    let mut image = DynamicImage::from_decoder(decoder).context("cannot be decoded")?;
    image.apply_orientation(orientation);
    Ok(Picture { image })
}

/// The pooled pixels as bytes, their height and width, and a description.
fn pool_pixels<P: Element>(job: &Job, shape: [usize; 4], bytes: &[u8]) -> Result<(Vec<u8>, usize, usize, String)> {
    let (plan, pixels) = job.pool(Layout::Nhwc, &shape, &bytemuck::pod_collect_to_vec::<u8, P>(bytes))?;
    let after = plan.output_shape();
    let description = describe(&plan, &shape, &after);
    match after[..] {
        [_, _, height, width] => Ok((bytemuck::cast_slice(&pixels).to_vec(), height, width, description)),
        _ => bail!("the plan of an image gave the shape {after:?}"),
    }
}
