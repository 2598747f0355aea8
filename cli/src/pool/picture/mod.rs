//! Images: one tensor of 1 × channels × height × width, channels last, alpha a channel like the others.

mod jpeg;
mod png;

use anyhow::{Result, bail};
use image::{DynamicImage, ImageFormat};
use lanepool::{Element, Layout};
use png::Colours;

use super::array::write_indices;
use super::axes::Order;
use super::memory::Limit;
use super::{Done, Job, Pooled, Tensor};

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
    let Picture { image, colours, mut notes } = match format {
        ImageFormat::Jpeg => jpeg::read(bytes, job.limit)?,
        _ => png::read(bytes, job.limit)?,
    };

    let color = image.color();
    let (channels, sample) = (color.channel_count(), color.bytes_per_pixel() / color.channel_count());
    let axes = [image.height() as usize, image.width() as usize, usize::from(channels)];
    let Pooled { values, indices, axes, description, notes: more } = match sample {
        1 => pool_samples::<u8>(job, axes, image.as_bytes())?,
        2 => pool_samples::<u16>(job, axes, image.as_bytes())?,
        _ => bail!("has pixels of type {color:?}: only 8 and 16 bits a channel can be pooled"),
    };
    let [height, width, _] = axes[..] else { bail!("the plan of an image gave the axes {axes:?}") };
    let size = [u32::try_from(width)?, u32::try_from(height)?];
    let file = match format {
        ImageFormat::Jpeg => jpeg::write(colours, size, channels, &values)?,
        _ => png::write(colours, size, (channels, sample), values)?,
    };
    notes.extend(more);
    let indices = indices.map(|indices| write_indices(&axes, &indices)).transpose()?;
    Ok(Done { file, indices, description, notes })
}

/// Pools samples that are bytes in the machine's order, as the results are again.
fn pool_samples<P: Element>(job: &Job, axes: [usize; 3], bytes: &[u8]) -> Result<Pooled<u8>> {
    let elements: Vec<P> = bytemuck::pod_collect_to_vec(bytes);
    let Pooled { values, indices, axes, description, notes } =
        job.pool(&Tensor { elements: &elements, axes: &axes, order: Order::PICTURE })?;
    Ok(Pooled { values: bytemuck::cast_slice(&values).to_vec(), indices, axes, description, notes })
}
