//! Real tensors out of one photograph: feature maps as a network's first layer makes them, and what pooling makes of them.

use image::RgbImage;
use image::imageops::{self, FilterType};
use lanepool::{Layout, Result};

use crate::layer::{Numbers, Operation, Padding, Window};

/// The photograph: a cat, by Stéfan van der Walt, CC0.
const PHOTOGRAPH: &[u8] = include_bytes!("../../assets/chelsea.png");

/// The side of the crop that the filters see, as of ImageNet's networks.
const CROP: u32 = 224;
/// The height that the photograph is scaled to, and where the crop begins, so that it holds the face and can move.
const SCALED_HEIGHT: u32 = 240;
const CORNER: (u32, u32) = (84, 8);

/// Filters of the bank: 8 orientations × 4 wavelengths × 2 phases, 7 × 7 taps each, stride 2, padding 3.
pub const FILTERS: usize = 64;
pub const TAPS: usize = 7;
const STRIDE: usize = 2;
const MARGIN: usize = 3;

/// Planes of equal size, channels first.
#[derive(Clone)]
pub struct Planes {
    pub data: Vec<f32>,
    /// Channels, height, width.
    pub shape: [usize; 3],
}

impl Planes {
    /// The shape of the tensor, with a batch of 1.
    pub fn tensor_shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.shape;
        [1, channels, height, width]
    }

    /// Each plane.
    pub fn planes(&self) -> impl Iterator<Item = &[f32]> {
        let [_, height, width] = self.shape;
        self.data.chunks_exact(height * width)
    }

    /// The planes pooled on the best tier.
    pub fn pool(&self, window: &Window) -> Result<Self> {
        let plan = window.plan::<f32>(Layout::Nchw, &self.tensor_shape(), None)?;
        let data = plan.run_vec(&self.data)?;
        let shape = plan.output_shape();
        Ok(Self { data, shape: [shape[1], shape[2], shape[3]] })
    }

    /// The same tensor, channels last.
    pub fn channels_last(&self) -> Vec<f32> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        (0..plane).flat_map(|at| (0..channels).map(move |channel| self.data[channel * plane + at])).collect()
    }
}

/// A square window that moves by `stride`, with padding on all sides.
pub fn square(operation: Operation, kernel: usize, stride: usize, padding: usize) -> Window {
    let mut window = Window::new(operation, Some(Numbers(vec![kernel])));
    window.stride = Some(Numbers(vec![stride]));
    window.padding = Some(Padding::Explicit { begin: Numbers(vec![padding]), end: Numbers(vec![padding]) });
    window
}

/// The photograph, decoded.
pub fn photograph() -> image::ImageResult<RgbImage> {
    Ok(image::load_from_memory(PHOTOGRAPH)?.into_rgb8())
}

/// Brightness, 0 to 1, of the face in a photograph, the crop moved right and down by some pixels.
pub fn face(photograph: &RgbImage, right: u32, down: u32) -> Planes {
    let width = photograph.width() * SCALED_HEIGHT / photograph.height();
    let scaled = imageops::resize(photograph, width, SCALED_HEIGHT, FilterType::CatmullRom);
    let crop = imageops::crop_imm(&scaled, CORNER.0 + right, CORNER.1 + down, CROP, CROP).to_image();
    let luma = |[r, g, b]: [u8; 3]| (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) / 255.0;
    Planes { data: crop.pixels().map(|pixel| luma(pixel.0)).collect(), shape: [1, CROP as usize, CROP as usize] }
}

/// A bank of Gabor filters: what the first layers of trained networks come to look like. Each has mean 0 and norm 1.
pub fn bank() -> Vec<[f32; TAPS * TAPS]> {
    let mut bank = Vec::with_capacity(FILTERS);
    for wavelength in [3.0_f64, 4.2, 6.0, 8.5] {
        for phase in [0.0, std::f64::consts::FRAC_PI_2] {
            for orientation in 0..8 {
                let (sine, cosine) = (f64::from(orientation) * std::f64::consts::PI / 8.0).sin_cos();
                let spread = (0.5 * wavelength).min(2.4);
                let tap = |i: usize| {
                    let (x, y) = ((i % TAPS) as f64 - 3.0, (i / TAPS) as f64 - 3.0);
                    let along = x * cosine + y * sine;
                    let envelope = (-(x * x + y * y) / (2.0 * spread * spread)).exp();
                    envelope * (std::f64::consts::TAU * along / wavelength + phase).cos()
                };
                let mut taps: [f64; TAPS * TAPS] = std::array::from_fn(tap);
                let mean = taps.iter().sum::<f64>() / taps.len() as f64;
                taps.iter_mut().for_each(|tap| *tap -= mean);
                let norm = taps.iter().map(|tap| tap * tap).sum::<f64>().sqrt();
                bank.push(taps.map(|tap| (tap / norm) as f32));
            }
        }
    }
    bank
}

/// The filters' responses, negative ones cut off (ReLU): 64 maps of 112 × 112 from a plane of 224 × 224.
pub fn respond(face: &Planes, bank: &[[f32; TAPS * TAPS]]) -> Planes {
    let [_, height, width] = face.shape;
    // One padded copy keeps the loops free of borders; filtering is not what this tool measures.
    let row = width + 2 * MARGIN;
    let mut padded = vec![0.0; (height + 2 * MARGIN) * row];
    for (y, from) in face.data.chunks_exact(width).enumerate() {
        padded[(y + MARGIN) * row + MARGIN..][..width].copy_from_slice(from);
    }
    let out = |n: usize| (n + 2 * MARGIN - TAPS) / STRIDE + 1;
    let (out_height, out_width) = (out(height), out(width));
    let mut data = Vec::with_capacity(bank.len() * out_height * out_width);
    for filter in bank {
        for y in 0..out_height {
            for x in 0..out_width {
                let corner = y * STRIDE * row + x * STRIDE;
                let rows = filter.chunks_exact(TAPS).zip(padded[corner..].chunks(row));
                let sum: f32 = rows.flat_map(|(taps, pixels)| taps.iter().zip(pixels)).map(|(a, b)| a * b).sum();
                data.push(sum.max(0.0));
            }
        }
    }
    Planes { data, shape: [bank.len(), out_height, out_width] }
}

/// A tensor of 2048 × 7 × 7 out of 64 maps of 56 × 56, the shape before ResNet-50's global average.
///
/// The maps are halved twice over, by maximum and by average: 128 maps of 28 × 28. Every fourth pixel of a map in either
/// direction then makes a map of 7 × 7, sixteen of them from each.
pub fn head(maps: &Planes) -> Result<Planes> {
    const STEP: usize = 4;
    let mut data = Vec::new();
    let mut channels = 0;
    let mut side = 0;
    for operation in [Operation::Max, Operation::Avg] {
        let halved = maps.pool(&square(operation, 2, 2, 0))?;
        let [_, height, width] = halved.shape;
        side = height / STEP;
        for plane in halved.planes() {
            for (down, right) in (0..STEP * STEP).map(|phase| (phase / STEP, phase % STEP)) {
                let pixel = |y: usize, x: usize| plane[(y * STEP + down) * width + x * STEP + right];
                data.extend((0..side).flat_map(|y| (0..side).map(move |x| pixel(y, x))));
                channels += 1;
            }
        }
    }
    Ok(Planes { data, shape: [channels, side, side] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_mean_0_and_norm_1_and_differ() {
        let bank = bank();
        assert_eq!(bank.len(), FILTERS);
        for (i, filter) in bank.iter().enumerate() {
            assert!(filter.iter().sum::<f32>().abs() < 1e-5, "{i}");
            assert!((filter.iter().map(|tap| tap * tap).sum::<f32>() - 1.0).abs() < 1e-5, "{i}");
            let twin = |other: &[f32; TAPS * TAPS]| filter.iter().zip(other).map(|(a, b)| a * b).sum::<f32>() > 0.999;
            assert!(!bank[..i].iter().any(twin), "filter {i} repeats an earlier one");
        }
    }

    #[test]
    fn responses_are_a_strided_padded_convolution() {
        // One lit pixel under a filter of one tap: it can be seen only where the stride lets the tap fall on it.
        let mut face = Planes { data: vec![0.0; 8 * 8], shape: [1, 8, 8] };
        face.data[4 * 8 + 6] = 2.0;
        let mut filter = [0.0; TAPS * TAPS];
        filter[3 * TAPS + 3] = 0.5;
        let out = respond(&face, &[filter]);
        assert_eq!(out.shape, [1, 4, 4]);
        let mut expected = vec![0.0; 16];
        expected[2 * 4 + 3] = 1.0;
        assert_eq!(out.data, expected);
    }

    #[test]
    fn the_head_holds_every_pixel_of_the_halved_maps() {
        let maps = Planes { data: (0..2 * 56 * 56).map(|i| (i % 251) as f32).collect(), shape: [2, 56, 56] };
        let head = head(&maps).unwrap();
        assert_eq!(head.shape, [64, 7, 7]);
        let mut expected: Vec<f32> = [Operation::Max, Operation::Avg]
            .into_iter()
            .flat_map(|operation| maps.pool(&square(operation, 2, 2, 0)).unwrap().data)
            .collect();
        let mut got = head.data;
        expected.sort_by(f32::total_cmp);
        got.sort_by(f32::total_cmp);
        assert_eq!(got, expected);
    }

    #[test]
    fn channels_go_last() {
        let planes = Planes { data: vec![1.0, 2.0, 10.0, 20.0], shape: [2, 1, 2] };
        assert_eq!(planes.channels_last(), [1.0, 10.0, 2.0, 20.0]);
    }
}
