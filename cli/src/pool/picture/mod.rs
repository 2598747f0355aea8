//! Images: one tensor of 1 × channels × height × width, channels last, alpha a channel like the others.

mod jpeg;
mod png;

use anyhow::{Result, bail};
use image::{DynamicImage, ImageFormat};
use lanepool::{Element, Layout};
use png::Colours;

use super::axes::Order;
use super::memory::Limit;
use super::{Done, Job, describe};

/// What a file holds.
struct Picture {
    /// Upright: the orientation is a note in the file that the result does not carry, so it is carried out.
    image: DynamicImage,
    /// How the colours are meant, which pooling does not change.
    colours: Colours,
    /// What the result will lack, as what follows the file's name.
    notes: Vec<String>,
}

/// Refuses a picture that is declared to be larger than the limit, before there is memory for it.
fn declared(limit: Limit, [width, height]: [u32; 2], pixel: usize) -> Result<()> {
    let bytes = u128::from(width) * u128::from(height) * pixel as u128;
    limit.check(format_args!("declares {width}×{height} pixels of {pixel} bytes, which"), bytes)
}

/// The pooled file, what was done, and what was lost.
pub fn pool(job: &Job, bytes: &[u8], format: ImageFormat) -> Result<Done> {
    if job.order.is_some_and(|order| order != Order::PICTURE && order != Order::batched(Layout::Nhwc)) {
        bail!("an image holds its channels last: --layout can only be hwc or nhwc");
    }
    let Picture { image, colours, notes } = match format {
        ImageFormat::Jpeg => jpeg::read(bytes, job.limit)?,
        _ => png::read(bytes, job.limit)?,
    };

    let color = image.color();
    let (channels, sample) = (color.channel_count(), color.bytes_per_pixel() / color.channel_count());
    let shape = [1, usize::from(channels), image.height() as usize, image.width() as usize];
    let (pixels, size, description) = match sample {
        1 => pool_pixels::<u8>(job, shape, image.as_bytes())?,
        2 => pool_pixels::<u16>(job, shape, image.as_bytes())?,
        _ => bail!("has pixels of type {color:?}: only 8 and 16 bits a channel can be pooled"),
    };
    let file = match format {
        ImageFormat::Jpeg => jpeg::write(colours, size, channels, &pixels)?,
        _ => png::write(colours, size, (channels, sample), pixels)?,
    };
    Ok(Done { file, description, notes })
}

/// The pooled pixels as bytes, their width and height, and a description.
fn pool_pixels<P: Element>(job: &Job, shape: [usize; 4], bytes: &[u8]) -> Result<(Vec<u8>, [u32; 2], String)> {
    let (order, rank) = (Order::PICTURE, 3);
    let (plan, pixels) = job.pool(order, rank, &shape, &bytemuck::pod_collect_to_vec::<u8, P>(bytes))?;
    let (before, after) = (order.axes(&shape, rank)?, order.axes(&plan.output_shape(), rank)?);
    let description = describe(&plan, &before, &after, &order.names(rank)?);
    match after[..] {
        [height, width, _] => {
            let size = [u32::try_from(width)?, u32::try_from(height)?];
            Ok((bytemuck::cast_slice(&pixels).to_vec(), size, description))
        }
        _ => bail!("the plan of an image gave the shape {after:?}"),
    }
}
