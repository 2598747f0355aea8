//! `lanepool demo`: what pooling is for and what this library makes of it, on a photograph.

mod canvas;
mod features;
mod sheet;
mod shift;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use image::RgbImage;
use lanepool::{DType, Layout, Tier};

use self::features::{Planes, square};
use crate::bench::cases;
use crate::layer::{Operation, joined};
use crate::report::{self, say};
use crate::timing::{self, Input, Layer, Measurement, Work};

/// Arguments of `lanepool demo`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder for the pictures
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Rounds of bound and kernel in turn, for each layer and tier
    #[arg(long, default_value_t = timing::ROUNDS as u32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
}

/// All that the demo made, for the contact sheet.
struct Demo {
    photograph: RgbImage,
    max: RgbImage,
    avg: RgbImage,
    bank: Vec<[f32; features::TAPS * features::TAPS]>,
    /// 64 × 112 × 112, and pooled to 64 × 56 × 56.
    maps: Planes,
    pooled: Planes,
    /// 2048 × 7 × 7, and averaged to 2048 × 1 × 1.
    head: Planes,
    averages: Planes,
    stages: Vec<shift::Stage>,
    timed: Vec<(Layer, Vec<Measurement>)>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let out = args.out.as_path();
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;

    let photograph = features::photograph().context("the built-in photograph cannot be decoded")?;
    say("The photograph, pooled");
    let max = pool_photograph(&photograph, Operation::Max)?;
    let avg = pool_photograph(&photograph, Operation::Avg)?;
    save(&photograph, out, "photograph.png")?;
    save(&max, out, "photograph_max_2x2.png")?;
    save(&avg, out, "photograph_avg_2x2.png")?;

    say(
        "\nFeature maps: 64 Gabor filters of 7x7, stride 2, on a crop of 224x224, then a residual network's two poolings",
    );
    let bank = features::bank();
    let maps = features::respond(&features::face(&photograph, 0, 0), &bank);
    let pooled = maps.pool(&square(Operation::Max, 3, 2, 1))?;
    say(format!("  max 3x3/2+1: {} → {}", joined(&maps.shape), joined(&pooled.shape)));
    let head = features::head(&pooled)?;
    let averages = head.pool(&crate::layer::Window::new(Operation::Avg, None))?;
    say(format!("  avg global:  {} → {}", joined(&head.shape), joined(&averages.shape)));
    save(&sheet::grid(&maps), out, "feature_maps.png")?;
    save(&sheet::grid(&pooled), out, "feature_maps_max_3x3.png")?;
    save(&sheet::strip(&averages), out, "global_averages.png")?;

    let stages = shift::stages(&photograph, &bank)?;
    say(shift_table(&stages));
    say(shift_verdict(&stages));

    let timed = time(&photograph, &maps, &head, args.rounds as usize)?;
    say("\nTime on each tier, on the data above (over again where a layer is larger), against the streaming bound");
    say(report::table(timed.iter().map(|(layer, measured)| (layer, measured.as_slice()))));
    let same = timed.iter().flat_map(|(_, measured)| measured).all(|measured| measured.same_bits);

    let demo = Demo { photograph, max, avg, bank, maps, pooled, head, averages, stages, timed };
    save(&sheet::draw(&demo)?, out, "contact_sheet.png")?;
    say(format!(
        "The pictures are in {}; the contact sheet is {}",
        out.display(),
        out.join("contact_sheet.png").display()
    ));
    if !same {
        eprintln!("lanepool: a tier's bytes differ from the scalar tier's");
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn save(image: &RgbImage, folder: &Path, name: &str) -> Result<()> {
    let file = folder.join(name);
    image.save(&file).with_context(|| file.display().to_string())
}

/// The photograph, 2 × 2 windows apart by 2: as the bytes that it is, and as floats beside it, which must come to the same.
fn pool_photograph(photograph: &RgbImage, operation: Operation) -> Result<RgbImage> {
    let shape = [1, 3, photograph.height() as usize, photograph.width() as usize];
    let window = square(operation, 2, 2, 0);
    let plan = window.plan::<u8>(Layout::Nhwc, &shape, None)?;
    let pixels = plan.run_vec(photograph.as_raw())?;
    let after = plan.output_shape();
    say(format!("  {plan}: {} → {}", joined(&shape), joined(&after)));
    let plan = window.plan::<f32>(Layout::Nhwc, &shape, None)?;
    let floats = plan.run_vec(&as_f32(photograph))?;
    let same = floats.iter().zip(&pixels).filter(|(float, byte)| float.round_ties_even() == f32::from(**byte)).count();
    say(format!("  {plan}: the same in {same} of {} channels of pixels, rounded", pixels.len()));
    match after[..] {
        [_, _, height, width] => RgbImage::from_raw(u32::try_from(width)?, u32::try_from(height)?, pixels),
        _ => None,
    }
    .context("the pooled photograph has a shape that no picture has")
}

fn as_f32(photograph: &RgbImage) -> Vec<f32> {
    photograph.as_raw().iter().copied().map(f32::from).collect()
}

/// Times the layers of the table on every tier of this machine.
fn time(photograph: &RgbImage, maps: &Planes, head: &Planes, rounds: usize) -> Result<Vec<(Layer, Vec<Measurement>)>> {
    let shape = vec![1, 3, photograph.height() as usize, photograph.width() as usize];
    let photo_layer = |operation: Operation, element: DType| Layer {
        name: format!("photograph_{operation}2s2/nhwc/{element}"),
        work: Work::Values,
        window: square(operation, 2, 2, 0),
        layout: Layout::Nhwc,
        element,
        shape: shape.clone(),
    };
    let floats: Vec<u8> = bytemuck::cast_slice(&as_f32(photograph)).to_vec();
    let mut jobs = Vec::new();
    for operation in [Operation::Max, Operation::Avg] {
        jobs.push((photo_layer(operation, DType::U8), photograph.as_raw().clone()));
        jobs.push((photo_layer(operation, DType::F32), floats.clone()));
    }
    for (name, planes) in [
        ("resnet50_stem_max3s2", maps),
        ("resnet50_gap7", head),
        ("vgg_pool1_max2s2", maps),
        ("googlenet_branch_max3s1", maps),
    ] {
        for (layout, data) in [(Layout::Nchw, planes.data.clone()), (Layout::Nhwc, planes.channels_last())] {
            let layer = cases::named(name, layout, DType::F32)?;
            jobs.push((layer, bytemuck::cast_slice(&data).to_vec()));
        }
    }
    let tiers = Tier::available();
    let bar = report::progress(jobs.len() * tiers.len());
    let mut timed = Vec::new();
    for (layer, data) in jobs {
        let mut begun = |tier| {
            bar.set_message(format!("{} {tier}", layer.name));
            bar.inc(1);
        };
        let input = Input::Repeated(&data);
        let measured = timing::measure(&layer, &tiers, &[1], input, Some(rounds), &mut begun)?;
        timed.push((layer, measured));
    }
    bar.finish_and_clear();
    Ok(timed)
}

/// The change of the maps, stage by stage.
fn shift_table(stages: &[shift::Stage]) -> String {
    let mut text = String::from(
        "\nShift: how much the maps change when the photograph moves (norm of the difference over norm of the maps)\n",
    );
    let [one, two] = shift::SHIFTS;
    text += &format!("  {:>9}  {:^23}  {:^23}\n", "", format!("moved by {one} px"), format!("moved by {two} px"));
    let heads = format!("{:>7} {:>7} {:>7}", "max", "avg", "1 in 4");
    text += &format!("  {:>9}  {heads}  {heads}", "maps");
    for stage in stages {
        let figures = |i: usize| {
            format!(
                "{:>6.1}% {:>6.1}% {:>6.1}%",
                100.0 * stage.max[i],
                100.0 * stage.avg[i],
                100.0 * stage.subsampled[i]
            )
        };
        text += &format!("\n  {:>9}  {}  {}", format!("{0}x{0}", stage.side), figures(0), figures(1));
    }
    text
}

/// What the figures say, in a sentence made from them.
fn shift_verdict(stages: &[shift::Stage]) -> String {
    let (Some(first), Some(once), Some(last)) = (stages.first(), stages.get(1), stages.last()) else {
        return String::new();
    };
    let percent = |value: f64| format!("{:.0} %", 100.0 * value);
    format!(
        "  Moved by {} px, the maps change by {} unpooled, by {} after one max pooling and by {} after all; taking one\n  pixel in four as often, without pooling, leaves {}.",
        shift::SHIFTS[0],
        percent(first.max[0]),
        percent(once.max[0]),
        percent(last.max[0]),
        percent(last.subsampled[0]),
    )
}
