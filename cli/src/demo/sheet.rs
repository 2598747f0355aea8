//! The contact sheet: everything the demo made, on one page.

use anyhow::Result;
use image::{Rgb, RgbImage, imageops};

use super::Demo;
use super::canvas::{Anchor, Canvas, Color, FAINT, INK, QUIET, Style, heat};
use super::features::{FILTERS, Planes, TAPS};
use super::shift::{SHIFTS, Stage};
use crate::layer::joined;
use crate::timing::{Layer, Measurement};
use crate::{info, plot, report};

const WIDTH: u32 = 2000;
const MARGIN: u32 = 60;
const CONTENT: u32 = WIDTH - 2 * MARGIN;
/// From a section's heading to its picture, and from a picture to the next heading.
const HEADING: u32 = 78;
const SPACE: u32 = 64;

/// Planes in a square of pictures, dark to light, all on one scale: the brightest half per cent is white.
pub fn grid(planes: &Planes) -> RgbImage {
    let [count, height, width] = planes.shape;
    let gap = (width / 28).max(2);
    let columns = count.isqrt().max(1);
    let span = |n: usize, side: usize| (n * side + (n - 1) * gap) as u32;
    let scale = bright(&planes.data);
    let mut image =
        RgbImage::from_pixel(span(columns, width), span(count.div_ceil(columns), height), Rgb(super::canvas::PAPER));
    for (i, plane) in planes.planes().enumerate() {
        let (left, top) = (i % columns * (width + gap), i / columns * (height + gap));
        for (at, value) in plane.iter().enumerate() {
            image.put_pixel((left + at % width) as u32, (top + at / width) as u32, Rgb(heat((value / scale).sqrt())));
        }
    }
    image
}

/// The value that all but half a per cent stay below.
fn bright(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() * 199 / 200).copied().filter(|value| *value > 0.0).unwrap_or(1.0)
}

/// The global averages as a picture: a column for each filter, a row for each way its map was thinned out.
pub fn strip(averages: &Planes) -> RgbImage {
    let values = &averages.data;
    let ways = values.len() / FILTERS;
    let (halvings, phases) = (2, ways / 2);
    let scale = bright(values);
    RgbImage::from_fn(FILTERS as u32, ways as u32, |filter, way| {
        let (halving, phase) = (way as usize / phases, way as usize % phases);
        debug_assert!(halving < halvings);
        let at = (halving * FILTERS + filter as usize) * phases + phase;
        Rgb(heat(values.get(at).map_or(0.0, |value| value / scale)))
    })
}

/// The filters, grey for 0.
fn filters(bank: &[[f32; TAPS * TAPS]], cell: u32, gap: u32) -> RgbImage {
    let columns = bank.len().isqrt().max(1);
    let rows = bank.len().div_ceil(columns);
    let side = TAPS as u32 * cell;
    let span = |n: usize| n as u32 * side + (n as u32 - 1) * gap;
    let mut image = RgbImage::from_pixel(span(columns), span(rows), Rgb(super::canvas::PAPER));
    for (i, filter) in bank.iter().enumerate() {
        let (left, top) = ((i % columns) as u32 * (side + gap), (i / columns) as u32 * (side + gap));
        let most = filter.iter().fold(0.0_f32, |most, tap| most.max(tap.abs())).max(f32::MIN_POSITIVE);
        for y in 0..side {
            for x in 0..side {
                let tap = filter[(y / cell) as usize * TAPS + (x / cell) as usize];
                let grey = (127.5 + 127.5 * tap / most).round() as u8;
                image.put_pixel(left + x, top + y, Rgb([grey; 3]));
            }
        }
    }
    image
}

/// Draws the sheet.
pub fn draw(demo: &Demo) -> Result<RgbImage> {
    let photograph = photograph_height(&demo.photograph);
    let maps = (CONTENT - SPACE / 2) / 2;
    let timing = timing_height(&demo.timed);
    let sections = [photograph, maps, SHIFT_HEIGHT, timing];
    let height = 150 + sections.iter().map(|section| HEADING + section + SPACE).sum::<u32>() + 20;
    let mut canvas = Canvas::new(WIDTH, height)?;

    canvas.text("lanepool", MARGIN as f32, 72.0, Anchor::Left, Style::TITLE);
    let subtitle = "max and average pooling of a photograph and its feature maps, on every tier of this machine";
    canvas.text(subtitle, MARGIN as f32, 122.0, Anchor::Left, Style::NOTE);
    canvas.text(&info::cpu_name(), (WIDTH - MARGIN) as f32, 122.0, Anchor::Right, Style::NOTE);

    let mut y = 150;
    let mut section = |height: u32| {
        let top = y;
        y += HEADING + height + SPACE;
        top
    };
    draw_photograph(&mut canvas, section(photograph), demo);
    draw_maps(&mut canvas, section(maps), maps, demo);
    draw_features(&mut canvas, section(SHIFT_HEIGHT), demo);
    draw_timing(&mut canvas, section(timing), &demo.timed);
    Ok(canvas.into_image())
}

/// A section's line, number, title and note; gives where its content begins.
fn heading(canvas: &mut Canvas, y: u32, title: &str, note: &str) -> u32 {
    canvas.rect(MARGIN as f32, y as f32, CONTENT as f32, 2.0, INK);
    canvas.text(title, MARGIN as f32, y as f32 + 36.0, Anchor::Left, Style::HEADING);
    let after = MARGIN as f32 + canvas.width(title, Style::HEADING) + 24.0;
    canvas.text(note, after, y as f32 + 38.0, Anchor::Left, Style::NOTE);
    y + HEADING
}

/// Three photographs side by side; below each, an eye with its pixels as squares.
const PANEL: u32 = (CONTENT - 2 * 40) / 3;
const CAPTION: u32 = 44;
const DETAIL_HEIGHT: u32 = 300;
/// The eye in the photograph: left, top, width, height; even, so that it is whole windows.
const DETAIL: [u32; 4] = [130, 80, 84, 42];

fn photograph_height(photograph: &RgbImage) -> u32 {
    panel_height(photograph) + 16 + DETAIL_HEIGHT + CAPTION
}

fn panel_height(photograph: &RgbImage) -> u32 {
    PANEL * photograph.height() / photograph.width()
}

fn draw_photograph(canvas: &mut Canvas, y: u32, demo: &Demo) {
    let note =
        "each output is one window of four pixels, channel by channel; the pooled pictures are shown twice as large";
    let y = heading(canvas, y, "A photograph, pooled 2×2, stride 2", note);
    let size = |image: &RgbImage| format!("{} × {}", image.width(), image.height());
    let height = panel_height(&demo.photograph);
    let panels = [(&demo.photograph, "photograph", 1), (&demo.max, "max pooled", 2), (&demo.avg, "average pooled", 2)];
    for (i, (image, title, shrunk)) in panels.into_iter().enumerate() {
        let x = MARGIN + i as u32 * (PANEL + 40);
        canvas.scaled(image, x, y, PANEL, height, true);
        let [left, top, wide, high] = DETAIL.map(|n| n / shrunk);
        let eye = imageops::crop_imm(image, left, top, wide, high).to_image();
        canvas.scaled(&eye, x, y + height + 16, PANEL, DETAIL_HEIGHT, false);
        let caption = (y + height + 16 + DETAIL_HEIGHT + CAPTION - 16) as f32;
        canvas.text(title, x as f32, caption, Anchor::Left, Style::TEXT);
        canvas.text(&size(image), (x + PANEL) as f32, caption, Anchor::Right, Style::NOTE);
    }
}

fn draw_maps(canvas: &mut Canvas, y: u32, side: u32, demo: &Demo) {
    let note = format!("the stem of a residual network: {} → {}", joined(&demo.maps.shape), joined(&demo.pooled.shape));
    let y = heading(canvas, y, "64 feature maps, max pooled 3×3, stride 2, padding 1", &note);
    canvas.scaled(&grid(&demo.maps), MARGIN, y, side, side, true);
    canvas.scaled(&grid(&demo.pooled), WIDTH - MARGIN - side, y, side, side, false);
}

/// The height of the third section.
const SHIFT_HEIGHT: u32 = 516;

fn draw_features(canvas: &mut Canvas, y: u32, demo: &Demo) {
    let y = heading(canvas, y, "Why pool: maps that stay when the picture moves", "");
    let bank = filters(&demo.bank, 7, 8);
    canvas.picture(&bank, MARGIN, y);
    let caption = (y + SHIFT_HEIGHT - 30) as f32;
    canvas.text("the 64 filters, 7×7", MARGIN as f32, caption, Anchor::Left, Style::TEXT);

    let averages = strip(&demo.averages);
    let (x, side) = (MARGIN + bank.width() + 56, bank.height());
    canvas.scaled(&averages, x, y, side, side, false);
    let text = format!("{} averaged globally: {} numbers", joined(&demo.head.shape), demo.averages.data.len());
    canvas.text(&text, x as f32, caption, Anchor::Left, Style::TEXT);
    canvas.text(
        "a column for each filter; above by maxima, below by averages",
        x as f32,
        caption + 28.0,
        Anchor::Left,
        Style::NOTE,
    );

    let left = (x + side + 90) as f32;
    let width = (WIDTH - MARGIN) as f32 - left;
    let plot = (width - 50.0) / 2.0;
    let most =
        demo.stages.iter().flat_map(|stage| [stage.max, stage.avg, stage.subsampled]).flatten().fold(0.1, f64::max);
    for (i, shift) in SHIFTS.into_iter().enumerate() {
        let x = left + i as f32 * (plot + 50.0);
        let title = format!("picture moved by {shift} px");
        draw_change(canvas, [x, y as f32, plot, side as f32], &title, &demo.stages, i, most as f32);
    }
    let mut x = left;
    for (name, color) in CHANGES {
        canvas.rect(x, caption + 20.0, 16.0, 16.0, color);
        canvas.text(name, x + 24.0, caption + 28.0, Anchor::Left, Style::NOTE);
        x += 24.0 + canvas.width(name, Style::NOTE) + 36.0;
    }
    canvas.text("side of the maps; change of their values, in per cent", left, caption, Anchor::Left, Style::TEXT);
}

/// The kinds of halving and their colours.
const CHANGES: [(&str, Color); 3] = [
    ("max pooled", [0x8c, 0x29, 0x81]),
    ("average pooled", [0xde, 0x49, 0x68]),
    ("every second pixel, not pooled", [0xb9, 0xbb, 0xb8]),
];

/// Bars of the change for one move: a group for each size of maps.
fn draw_change(
    canvas: &mut Canvas,
    [x, y, width, height]: [f32; 4],
    title: &str,
    stages: &[Stage],
    move_: usize,
    most: f32,
) {
    canvas.text(title, x, y + 10.0, Anchor::Left, Style::TEXT);
    let (floor, ceiling) = (y + height - 34.0, y + 60.0);
    let level = |part: f32| floor - (floor - ceiling) * part / most;
    let mut line = 0.0;
    while line <= most {
        canvas.rect(x, level(line), width, 1.0, FAINT);
        line += 0.2;
    }
    let group = width / stages.len() as f32;
    for (i, stage) in stages.iter().enumerate() {
        let left = x + i as f32 * group;
        let values = [stage.max, stage.avg, stage.subsampled].map(|change| change[move_] as f32);
        // Nothing is pooled in the first stage: one bar says it all.
        let values = if i == 0 { &values[2..] } else { &values[..] };
        let colors = if i == 0 { &CHANGES[2..] } else { &CHANGES[..] };
        let bar = (group * 0.84 / 3.0).floor();
        let start = left + (group - bar * values.len() as f32) / 2.0;
        for (j, (&value, &(_, color))) in values.iter().zip(colors).enumerate() {
            let left = start + j as f32 * bar;
            canvas.rect(left + 1.0, level(value), bar - 2.0, floor - level(value), color);
            let figure = format!("{:.0}", 100.0 * value);
            let style = Style { size: 15.0, ..Style::SMALL };
            canvas.text(&figure, left + bar / 2.0, level(value) - 11.0, Anchor::Middle, style);
        }
        canvas.text(&stage.side.to_string(), left + group / 2.0, floor + 20.0, Anchor::Middle, Style::SMALL);
    }
    canvas.rect(x, floor, width, 2.0, QUIET);
}

/// A group of bars for each layer, in two columns.
const ROW: u32 = 26;
const GROUP_HEAD: u32 = 34;
const GROUP_SPACE: u32 = 22;
const COLUMN_SPACE: u32 = 70;
const TIER_NAME: f32 = 100.0;
const FIGURES: f32 = 330.0;

fn timing_height(timed: &[(Layer, Vec<Measurement>)]) -> u32 {
    let tallest = timed.iter().map(|(_, measured)| measured.len() as u32).max().unwrap_or(0);
    timed.len().div_ceil(2) as u32 * (GROUP_HEAD + tallest * ROW + GROUP_SPACE)
}

fn draw_timing(canvas: &mut Canvas, y: u32, timed: &[(Layer, Vec<Measurement>)]) {
    let note = "time over the streaming bound (the line): reading the input once, writing the output once; logarithmic, shorter is better";
    let y = heading(canvas, y, "How fast", note);
    let most =
        timed.iter().flat_map(|(_, measured)| measured).map(|measured| measured.ratio).fold(2.0, f64::max) as f32;
    // The scale is logarithmic and begins a little below the bound.
    let least = 0.8_f32;
    let column = (CONTENT - COLUMN_SPACE) as f32 / 2.0;
    let room = column - TIER_NAME - FIGURES;
    let place = |ratio: f32| room * (ratio.max(least) / least).ln() / (most / least).ln();
    let rows = timed.len().div_ceil(2).max(1);
    let group = timing_height(timed) / rows as u32;
    for (i, (layer, measured)) in timed.iter().enumerate() {
        let x = MARGIN as f32 + (i / rows) as f32 * (column + COLUMN_SPACE as f32);
        let top = (y + (i % rows) as u32 * group) as f32;
        let name = layer.name.replace('/', "  ");
        let style = Style { bold: true, ..Style::NOTE };
        canvas.text(&name, x, top + 12.0, Anchor::Left, Style { color: INK, ..style });
        canvas.text(&layer.summary(), x + column, top + 12.0, Anchor::Right, Style::NOTE);
        let bars = top + GROUP_HEAD as f32;
        for (j, measured) in measured.iter().enumerate() {
            let middle = bars + j as f32 * ROW as f32 + ROW as f32 / 2.0;
            canvas.text(measured.tier.name(), x + TIER_NAME - 12.0, middle, Anchor::Right, Style::SMALL);
            let length = place(measured.ratio as f32);
            canvas.rect(x + TIER_NAME, middle - 9.0, length, 18.0, plot::color(measured.tier));
            let figures = x + TIER_NAME + length + 12.0;
            let ratio = format!("{:.2}×", measured.ratio);
            canvas.text(&ratio, figures, middle, Anchor::Left, Style { bold: true, ..Style::SMALL });
            let rest = format!(
                "{}   {:.1} GB/s   {} bits",
                report::duration(measured.kernel_ns),
                measured.gigabytes_per_second(),
                report::bits(measured.same_bits)
            );
            let indent = figures + canvas.width(&ratio, Style { bold: true, ..Style::SMALL }) + 14.0;
            canvas.text(&rest, indent, middle, Anchor::Left, Style { color: QUIET, ..Style::SMALL });
        }
        canvas.rect(x + TIER_NAME + place(1.0), bars - 2.0, 2.0, measured.len() as f32 * ROW as f32 + 4.0, INK);
    }
}
