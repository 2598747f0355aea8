//! `--plot`: the measurements as a picture, of layers or of a sweep over the size of the window.
//!
//! Of layers: above, each layer's ratio to the bound on each tier; below, a roofline.
//!
//! The roofline has the work of a layer per byte it moves on one axis and the work done per second on the other. A
//! straight line there is a bandwidth, and the two that are drawn are the slowest and the fastest streaming bound among
//! the layers: memory and the nearest cache that they reached. A dash marks the bound of each layer.

use std::path::Path;

use anyhow::{Result, anyhow};
use lanepool::Tier;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench::sweep::Point;
use crate::info;
use crate::timing::{Layer, Measurement};

const WIDTH: u32 = 1100;
const BAR: u32 = 11;
const GAP: u32 = 9;
const HEAD: u32 = 70;
const AXIS: u32 = 50;
const ROOFLINE: u32 = 560;
/// Of a sweep: the height of a chart, and the room at its right for the names of the curves.
const CHART: u32 = 460;
const CURVES: u32 = 150;
/// Room for the names of the layers, and for the figure behind a bar.
const NAMES: u32 = 330;
const FIGURES: i32 = 60;

const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
const FAINT: RGBColor = RGBColor(0xc9, 0xce, 0xd4);
const FONT: &str = "sans-serif";

/// The colour that stands for a tier in every picture.
pub const fn color(tier: Tier) -> [u8; 3] {
    match tier {
        Tier::Scalar => [0x8a, 0x93, 0x9d],
        Tier::Portable => [0xe0, 0x9f, 0x3e],
        Tier::Neon => [0x3a, 0x9d, 0x6e],
        Tier::Avx2 => [0x2f, 0x6f, 0xb7],
        _ => [0x8e, 0x44, 0xad],
    }
}

fn fill(tier: Tier) -> RGBColor {
    let [r, g, b] = color(tier);
    RGBColor(r, g, b)
}

type Results = [(Layer, Vec<Measurement>)];

/// Draws the results into an SVG file.
pub fn draw(file: &Path, results: &Results) -> Result<()> {
    // A picture is of one number of threads.
    let threads =
        results.iter().flat_map(|(_, measured)| measured).map(|measured| measured.threads).next().unwrap_or(1);
    let of_them = |measured: &Vec<Measurement>| measured.iter().filter(|one| one.threads == threads).cloned().collect();
    let results: Vec<_> = results.iter().map(|(layer, measured)| (layer.clone(), of_them(measured))).collect();
    let results = results.as_slice();
    let tiers = tiers(results);
    let bars = HEAD + AXIS + results.iter().map(|(_, measured)| row_height(measured)).sum::<u32>();
    write(file, bars + ROOFLINE, |root| draw_into(root, bars, results, &tiers))
}

/// Draws a sweep over the size of the window into an SVG file: a chart for each number of axes, the direct method in dashes.
pub fn draw_sweep(file: &Path, points: &[Point]) -> Result<()> {
    let mut ranks: Vec<usize> = points.iter().map(|point| point.rank).collect();
    ranks.dedup();
    write(file, HEAD + ranks.len() as u32 * CHART, |root| draw_sweep_into(root, points, &ranks))
}

/// Writes an SVG file of this height.
fn write(file: &Path, height: u32, draw: impl FnOnce(&Area) -> Drawn) -> Result<()> {
    // The SVG names a generic font; this one only tells how wide a text will be.
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| anyhow!("the built-in font is damaged"))?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let drawn = root.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&root)).and_then(|()| Ok(root.present()?));
        drawn.map_err(|error| anyhow!("{}: cannot be drawn: {error}", file.display()))?;
    }
    std::fs::write(file, svg).map_err(|error| anyhow!("{}: {error}", file.display()))
}

type Drawn<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_into(root: &Area, bars: u32, results: &Results, tiers: &[Tier]) -> Drawn {
    let (above, below) = root.split_vertically(bars);
    draw_bars(&above, results, tiers)?;
    draw_roofline(&below, results, tiers)
}

fn tiers(results: &Results) -> Vec<Tier> {
    let mut tiers: Vec<Tier> =
        results.iter().flat_map(|(_, measured)| measured).map(|measured| measured.tier).collect();
    tiers.sort();
    tiers.dedup();
    tiers
}

fn row_height(measured: &[Measurement]) -> u32 {
    measured.len() as u32 * BAR + GAP
}

fn text(size: u32, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK).pos(Pos::new(h, v))
}

/// The smallest and the largest of some positive numbers, a little apart.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite() && *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (1.0, 1.0) }
}

fn draw_bars(area: &Area, results: &Results, tiers: &[Tier]) -> Drawn {
    let title = text(20, HPos::Left, VPos::Center);
    area.draw(&Text::new("Time of a layer over its streaming bound", (24, 24), title))?;
    let threads = match results.iter().flat_map(|(_, measured)| measured).next() {
        Some(measured) if measured.threads > 1 => format!("{} threads, the bound on one", measured.threads),
        _ => "one thread".to_owned(),
    };
    let machine = format!("{}, {threads}", info::cpu_name());
    area.draw(&Text::new(machine, (24, 48), text(13, HPos::Left, VPos::Center)))?;
    for (i, &tier) in tiers.iter().rev().enumerate() {
        let x = WIDTH as i32 - 110 * (i as i32 + 1);
        area.draw(&Rectangle::new([(x, 18), (x + 12, 30)], fill(tier).filled()))?;
        area.draw(&Text::new(tier.name(), (x + 18, 24), text(14, HPos::Left, VPos::Center)))?;
    }

    let measured = || results.iter().flat_map(|(_, measured)| measured);
    let (low, high) = range(measured().map(|measured| measured.ratio));
    let (low, high) = (low.min(1.0) * 0.9, high.max(2.0) * 1.1);
    let height: u32 = results.iter().map(|(_, measured)| row_height(measured)).sum();
    let mut chart = ChartBuilder::on(area)
        .margin_top(HEAD)
        .margin_left(NAMES)
        .margin_right(FIGURES)
        .x_label_area_size(AXIS)
        .build_cartesian_2d((low..high).log_scale(), f64::from(height)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc("kernel / bound (1 is the limit)")
        .x_label_formatter(&|x| format!("{x}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;

    let mut y = 0;
    for (layer, measured) in results {
        let middle = f64::from(y) + f64::from(row_height(measured)) / 2.0;
        let (_, row) = chart.backend_coord(&(low, middle));
        let style = text(13, HPos::Right, VPos::Center);
        area.draw(&Text::new(layer.name.clone(), (NAMES as i32 - 8, row), style))?;
        let mut top = y + GAP / 2;
        for measured in measured {
            let (from, to) = (f64::from(top) + 1.0, f64::from(top + BAR) - 1.0);
            let bar = Rectangle::new([(low, from), (measured.ratio, to)], fill(measured.tier).filled());
            chart.draw_series([bar])?;
            let (end, middle) = chart.backend_coord(&(measured.ratio, (from + to) / 2.0));
            let figure = format!("{:.2}{}", measured.ratio, if measured.same_bits { "" } else { " DIFFERS" });
            area.draw(&Text::new(figure, (end + 4, middle), text(10, HPos::Left, VPos::Center)))?;
            top += BAR;
        }
        y += row_height(measured);
    }
    chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, f64::from(height))], INK.stroke_width(1)))?;
    Ok(())
}

fn draw_roofline(area: &Area, results: &Results, tiers: &[Tier]) -> Drawn {
    let title = text(20, HPos::Left, VPos::Center);
    area.draw(&Text::new("Roofline: taps of the windows against bytes moved", (24, 28), title))?;
    let measured = || results.iter().flat_map(|(_, measured)| measured);
    let intensity = |measured: &Measurement| measured.taps / measured.bytes as f64;
    let rate = |measured: &Measurement| measured.taps / measured.kernel_ns;
    let bandwidth = |measured: &Measurement| measured.bytes as f64 / measured.bound_ns;

    let (slow, fast) = range(measured().map(bandwidth));
    let (left, right) = range(measured().map(intensity));
    let (left, right) = (left / 2.0, right * 2.0);
    let (bottom, _) = range(measured().map(rate));
    let (bottom, top) = (bottom / 1.5, fast * right * 1.3);
    let mut chart = ChartBuilder::on(area)
        .margin_top(50)
        .margin_left(24)
        .margin_right(FIGURES)
        .margin_bottom(16)
        .x_label_area_size(AXIS)
        .y_label_area_size(70)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(20)
        .x_desc("taps per byte")
        .y_desc("10⁹ taps per second")
        .x_label_formatter(&|x| format!("{x}"))
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;

    for (bandwidth, place, offset) in [(fast, VPos::Bottom, -8), (slow, VPos::Top, 18)] {
        let line = [(left, bandwidth * left), (right, bandwidth * right)];
        chart.draw_series(LineSeries::new(line, INK.stroke_width(2)))?;
        let style = text(13, HPos::Right, place);
        let label = Text::new(format!("{bandwidth:.0} GB/s"), (-6, offset), style);
        chart.draw_series([EmptyElement::at((right, bandwidth * right)) + label])?;
    }
    // From each layer's best tier a thread leads up to the layer's own bound.
    for (_, measured) in results {
        if let Some(best) = measured.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio)) {
            let (x, limit) = (intensity(best), bandwidth(best) * intensity(best));
            chart.draw_series(LineSeries::new([(x, rate(best)), (x, limit)], FAINT.stroke_width(1)))?;
            let dash = PathElement::new([(-5, 0), (5, 0)], INK.stroke_width(1));
            chart.draw_series([EmptyElement::at((x, limit)) + dash])?;
        }
    }
    for &tier in tiers {
        let points = measured().filter(|measured| measured.tier == tier);
        chart.draw_series(
            points.map(|measured| Circle::new((intensity(measured), rate(measured)), 4, fill(tier).mix(0.8).filled())),
        )?;
    }
    Ok(())
}

fn draw_sweep_into(root: &Area, points: &[Point], ranks: &[usize]) -> Drawn {
    let title = "Time of an output against the size of the window, moving by 1";
    root.draw(&Text::new(title, (24, 24), text(20, HPos::Left, VPos::Center)))?;
    let tier = points.first().map_or("", |point| point.tier);
    let machine = format!("{}, {tier}, one thread; dashed: every tap folded, in plain loops", info::cpu_name());
    root.draw(&Text::new(machine, (24, 48), text(13, HPos::Left, VPos::Center)))?;
    let (_, charts) = root.split_vertically(HEAD);
    for (area, &rank) in charts.split_evenly((ranks.len(), 1)).iter().zip(ranks) {
        let points: Vec<&Point> = points.iter().filter(|point| point.rank == rank).collect();
        draw_curves(area, &points, rank)?;
    }
    Ok(())
}

/// The curves of one number of axes.
fn draw_curves(area: &Area, points: &[&Point], rank: usize) -> Drawn {
    let (left, right) = range(points.iter().map(|point| point.kernel as f64));
    let (bottom, top) = range(points.iter().flat_map(|point| [point.ns, point.direct_ns]));
    let mut chart = ChartBuilder::on(area)
        .margin_left(24)
        .margin_right(CURVES)
        .margin_bottom(16)
        .x_label_area_size(AXIS)
        .y_label_area_size(70)
        .build_cartesian_2d((left..right).log_scale(), (bottom / 1.3..top * 1.3).log_scale())?;
    let window = ["k", "k × k", "k × k × k"].get(rank - 1).copied().unwrap_or_default();
    chart
        .configure_mesh()
        .x_labels(20)
        .x_desc(format!("taps on an axis, k, of a window of {window}"))
        .y_desc("ns for one output")
        .x_label_formatter(&|x| format!("{x}"))
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    let mut curves: Vec<String> = points.iter().map(|point| point.curve()).collect();
    curves.dedup();
    for (name, tier) in curves.iter().zip([Tier::Avx2, Tier::Portable, Tier::Avx512, Tier::Neon]) {
        let color = fill(tier);
        let curve = || points.iter().filter(|point| point.curve() == *name);
        let line: Vec<(f64, f64)> = curve().map(|point| (point.kernel as f64, point.ns)).collect();
        let direct = curve().map(|point| (point.kernel as f64, point.direct_ns));
        chart.draw_series(DashedLineSeries::new(direct, 4, 4, color.mix(0.6).stroke_width(1)))?;
        chart.draw_series(line.iter().map(|at| Circle::new(*at, 3, color.filled())))?;
        let end = line.last().copied().unwrap_or((right, bottom));
        chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
        let label = Text::new(name.clone(), (10, 0), text(13, HPos::Left, VPos::Center).color(&color));
        chart.draw_series([EmptyElement::at(end) + label])?;
    }
    Ok(())
}
