//! A drawing surface for the contact sheet: rectangles, pictures, text.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use anyhow::Result;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

pub type Color = [u8; 3];

pub const PAPER: Color = [0xfc, 0xfb, 0xf8];
pub const INK: Color = [0x22, 0x26, 0x2b];
pub const QUIET: Color = [0x6b, 0x72, 0x7b];
pub const FAINT: Color = [0xdd, 0xdc, 0xd6];

/// Where the given x lies in a text.
#[derive(Clone, Copy)]
pub enum Anchor {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub struct Style {
    pub size: f32,
    pub bold: bool,
    pub color: Color,
}

impl Style {
    pub const TITLE: Self = Self { size: 52.0, bold: true, color: INK };
    pub const HEADING: Self = Self { size: 30.0, bold: true, color: INK };
    pub const TEXT: Self = Self { size: 21.0, bold: false, color: INK };
    pub const NOTE: Self = Self { size: 19.0, bold: false, color: QUIET };
    pub const SMALL: Self = Self { size: 16.0, bold: false, color: INK };
}

pub struct Canvas {
    image: RgbImage,
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Result<Self> {
        let image = RgbImage::from_pixel(width, height, Rgb(PAPER));
        let regular = FontRef::try_from_slice(dejavu::sans::regular())?;
        let bold = FontRef::try_from_slice(dejavu::sans::bold())?;
        Ok(Self { image, regular, bold })
    }

    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// A filled rectangle; what lies outside the canvas is left out.
    pub fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        let (right, bottom) = self.image.dimensions();
        let edge = |at: f32, end: u32| (at.round().max(0.0) as u32).min(end);
        for y in edge(y, bottom)..edge(y + height, bottom) {
            for x in edge(x, right)..edge(x + width, right) {
                self.image.put_pixel(x, y, Rgb(color));
            }
        }
    }

    /// A picture as it is.
    pub fn picture(&mut self, picture: &RgbImage, x: u32, y: u32) {
        imageops::replace(&mut self.image, picture, i64::from(x), i64::from(y));
    }

    /// A picture scaled to a width and height: smoothly, or with its pixels as squares.
    pub fn scaled(&mut self, picture: &RgbImage, x: u32, y: u32, width: u32, height: u32, smooth: bool) {
        let filter = if smooth { FilterType::CatmullRom } else { FilterType::Nearest };
        let scaled = imageops::resize(picture, width, height, filter);
        self.picture(&scaled, x, y);
    }

    /// A line of text whose middle height is `y`.
    pub fn text(&mut self, text: &str, x: f32, y: f32, anchor: Anchor, style: Style) {
        let font = if style.bold { &self.bold } else { &self.regular };
        let (glyphs, width) = lay_out(font, text, style.size);
        let left = match anchor {
            Anchor::Left => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::Right => x - width,
        };
        // Half the height of a capital below the middle is where the letters stand.
        let baseline = y + style.size * 0.30;
        for mut glyph in glyphs {
            glyph.position = point(glyph.position.x + left, baseline);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            let image = &mut self.image;
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                let inside = |at: i64, end: u32| u32::try_from(at).ok().filter(|&at| at < end);
                if let (Some(x), Some(y)) = (inside(x, image.width()), inside(y, image.height())) {
                    let Rgb(under) = *image.get_pixel(x, y);
                    image.put_pixel(x, y, Rgb(mix(under, style.color, cover)));
                }
            });
        }
    }

    /// The width that a text will have.
    pub fn width(&self, text: &str, style: Style) -> f32 {
        lay_out(if style.bold { &self.bold } else { &self.regular }, text, style.size).1
    }
}

/// The glyphs of a line that begins at 0, and its width.
fn lay_out(font: &FontRef, text: &str, size: f32) -> (Vec<Glyph>, f32) {
    let scaled = font.as_scaled(PxScale::from(size));
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut x = 0.0;
    for character in text.chars() {
        let id = font.glyph_id(character);
        if let Some(before) = glyphs.last() {
            x += scaled.kern(before.id, id);
        }
        glyphs.push(id.with_scale_and_position(PxScale::from(size), point(x, 0.0)));
        x += scaled.h_advance(id);
    }
    (glyphs, x)
}

/// `part` of one colour over the rest of another.
pub fn mix(under: Color, over: Color, part: f32) -> Color {
    let part = part.clamp(0.0, 1.0);
    std::array::from_fn(|i| (f32::from(under[i]) + (f32::from(over[i]) - f32::from(under[i])) * part).round() as u8)
}

/// A value of 0 to 1 as a colour, dark to light, evenly to the eye.
pub fn heat(value: f32) -> Color {
    const STOPS: [Color; 6] =
        [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
    let at = value.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    mix(STOPS[below], STOPS[below + 1], at - below as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_mix_and_heat_runs_from_dark_to_light() {
        assert_eq!(mix([0; 3], [255; 3], 0.5), [128; 3]);
        assert_eq!(heat(0.0), [0, 0, 4]);
        assert_eq!(heat(1.0), [252, 253, 191]);
    }

    #[test]
    fn drawing_outside_the_canvas_is_left_out() {
        let mut canvas = Canvas::new(20, 10).unwrap();
        canvas.rect(-5.0, -5.0, 100.0, 7.0, INK);
        canvas.text("wide", -10.0, 9.0, Anchor::Left, Style::TITLE);
        let image = canvas.into_image();
        assert_eq!(image.get_pixel(0, 0).0, INK);
        assert!(image.pixels().any(|pixel| pixel.0 == PAPER));
    }
}
