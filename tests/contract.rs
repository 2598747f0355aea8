//! The contract, sentence by sentence: each test quotes the one it checks.
//!
//! Small tensors with results worked out by hand wherever that is possible, on every tier; `every_tier.rs` compares
//! everything else with the oracle.

#[macro_use]
mod common;
#[path = "contract/averages.rs"]
mod averages;
#[path = "contract/chains.rs"]
mod chains;
#[path = "contract/extremes.rs"]
mod extremes;
#[path = "contract/windows.rs"]
mod windows;

use common::layer::OPS;
use common::{Fill, Layer, Op, Rng, Sample, oracle, tiers};
use lanepool::{Error, Layout, MaxPool};

const INF: f32 = f32::INFINITY;

/// Runs a layer on every tier, which must agree to the bit, and returns the result.
fn pool<T: Sample>(layer: &Layer, src: &[T]) -> Vec<T> {
    let mut all: Option<Vec<T>> = None;
    for tier in tiers::available() {
        let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
        let got = plan.run_vec(src).unwrap_or_else(|error| panic!("{plan}: {error}"));
        let want = all.get_or_insert_with(|| got.clone());
        let same = got.iter().zip(want.iter()).all(|(got, want)| got.bits() == want.bits());
        assert!(same, "{layer} on {tier}: {got:?}, on others {want:?}");
    }
    all.expect("every machine has a tier")
}

/// The same for one row of numbers.
fn row(op: Op, src: &[f32], window: impl FnOnce(Layer) -> Layer) -> Vec<f32> {
    pool(&window(Layer::new(op, Layout::Nchw, &[1, 1, src.len()], &[1])), src)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn kernel(layer: Layer, kernel: usize) -> Layer {
    Layer { kernel: Some(vec![kernel]), ..layer }
}

/// "Shapes are always `N, C, spatial…` with 1 to 3 spatial axes; `Layout` says how memory holds them."
#[test]
fn layouts_hold_the_same_tensor() {
    // Two channels of 2×4, and the same in the other layouts.
    let planar: Vec<f32> = (0..16).map(|i| (i * 7 % 16) as f32).collect();
    let at = |c: usize, y: usize, x: usize| planar[(c * 2 + y) * 4 + x];
    let last: Vec<f32> = (0..16).map(|i| at(i % 2, i / 8, i / 2 % 4)).collect();
    let layer = |layout| Layer::new(Op::Max(common::Nan::Propagate), layout, &[1, 2, 2, 4], &[2, 2]).stride(&[2, 2]);
    let (a, b) = (pool(&layer(Layout::Nchw), &planar), pool(&layer(Layout::Nhwc), &last));
    assert_eq!(a, [b[0], b[2], b[1], b[3]]);
    assert_eq!(b, pool(&layer(Layout::Blocked(2)), &last));
    assert_eq!(a, pool(&layer(Layout::Blocked(1)), &planar));
}

/// "Batch 0 or channels 0: succeeds and writes nothing. A spatial axis of 0: an error."
#[test]
fn empty_tensors() {
    for shape in [[0, 3, 4, 4], [3, 0, 4, 4]] {
        for (_, layout) in common::layer::LAYOUTS {
            let channels = if matches!(layout, Layout::Blocked(_)) { shape[1] * 16 } else { shape[1] };
            let plan = MaxPool::<f32>::new([2, 2]).plan(layout, [shape[0], channels, 4, 4]).expect("an empty tensor");
            assert_eq!(plan.run(&[], &mut []), Ok(()));
        }
    }
    let error = MaxPool::<f32>::new([2, 2]).plan(Layout::Nchw, [1, 3, 0, 4]).expect_err("an axis of 0");
    assert!(matches!(error, Error::EmptyInput { axis } if axis.index == 2), "{error:?}");
}

/// "The output is written whole: no element keeps its old value, none outside it is touched."
#[test]
fn the_output_is_written_whole() {
    for (_, op) in common::layer::OPS {
        for (k, s, p) in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (5, 3, 2), (1, 1, 2)] {
            let layer = Layer::new(op, Layout::Nchw, &[2, 3, 11, 13], &[k, k]).stride(&[s, s]).padding(&[p, p]);
            let layer = layer.allow_empty();
            let src: Vec<f32> = (0..layer.input_len()).map(f32::pattern).collect();
            for tier in tiers::available() {
                let plan = layer.plan::<f32>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                let len = plan.output_len();
                let [ones, nans] = [1.0, f32::NAN].map(|poison| {
                    let mut whole = vec![poison; len + 20];
                    assert_eq!(plan.run(&src, &mut whole[10..][..len]), Ok(()));
                    let around = whole[..10].iter().chain(&whole[10 + len..]);
                    assert!(around.copied().all(|value| value.to_bits() == poison.to_bits()), "{plan}");
                    bits(&whole[10..][..len])
                });
                assert_eq!(ones, nans, "{plan}");
            }
        }
    }
}

/// "A failing call writes nothing."
#[test]
fn a_failing_call_writes_nothing() {
    let plan = MaxPool::<f32>::new([2]).plan(Layout::Nchw, [1, 1, 4]).expect("a valid layer");
    for (src, dst) in [(3, 3), (5, 3), (4, 2), (4, 4), (0, 3)] {
        let mut out = vec![-7.0; dst];
        assert!(plan.run(&vec![1.0; src], &mut out).is_err());
        assert!(out.iter().all(|value| *value == -7.0));
    }
}

/// "The same plan attributes and the same input give the same bytes", also on `n`-fold repetition; the rest of the sentence
/// (tiers, batch positions) is in `agree.rs`.
#[test]
fn results_repeat() {
    let layer = Layer::new(Op::Avg, Layout::Nhwc, &[1, 19, 9, 9], &[3, 3]).padding(&[1, 1]);
    let src: Vec<f32> = (0..layer.input_len()).map(|i| 1.0 / (i as f32 + 0.3)).collect();
    let want = bits(&pool(&layer, &src));
    for _ in 0..20 {
        assert_eq!(bits(&pool(&layer, &src)), want);
    }
}

/// "Options that change the result are arguments, never environment variables."
#[test]
fn the_environment_does_not_change_results() {
    // The library reads one variable, and that one chooses among tiers that give the same bytes.
    let mut read = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("kernels")];
    if !folders.iter().all(|folder| folder.is_dir()) {
        // Run away from the sources, as under an emulator.
        return;
    }
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let lines = text.lines().filter(|line| line.contains("env::var"));
                read.extend(lines.map(|line| line.trim().to_owned()));
            }
        }
    }
    assert!(read.iter().all(|line| line.contains("\"LANEPOOL_MAX_TIER\"")), "{read:?}");
    assert_eq!(read.len(), 1, "{read:?}");
}

/// "The taps in the order of `Columns`, cut into blocks of 256, each added one after the other; then neighbouring
/// blocks, `2i` with `2i + 1`, an odd last one waiting, until one is left": hundreds of columns and hundreds of rows,
/// cut by padding at either end; and rows just short enough to share what they add.
fn windows_of_hundreds_of_taps<T: Sample>() {
    use oracle::Rule;
    let mut rng = Rng::named("hundreds");
    let long = Rule::Long { rows: false, columns: true };
    let layers = [
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 4401], &[4101])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 6001], &[4100]).stride(&[3]).padding(&[2050])),
        (
            Rule::Blocks,
            Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 10_000], &[4100])
                .stride(&[900])
                .padding_unequal(&[30], &[4000])
                .ceil(true),
        ),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 20_000], &[5000]).stride(&[5000])),
        (
            Rule::Blocks,
            Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 4, 4300], &[3, 4200]).stride(&[1, 3]).padding(&[1, 70]),
        ),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nhwc, &[1, 37, 4230], &[4099]).stride(&[5]).padding(&[9])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Blocked(16), &[1, 32, 410], &[363])),
        // One output has no neighbour to share with.
        (Rule::Blocks, Layer::global(Op::Sum, Layout::Nhwc, &[1, 3, 2100])),
        (Rule::Blocks, Layer::global(Op::Sum, Layout::Nhwc, &[1, 3, 257])),
        (Rule::Columns, Layer::global(Op::Sum, Layout::Nhwc, &[1, 3, 256])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nchw, &[1, 2, 400, 3], &[257, 2]).padding(&[90, 1])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nhwc, &[1, 5, 35, 9, 4], &[32, 9, 3]).padding(&[2, 3, 1])),
        (Rule::Columns, Layer::new(Op::Sum, Layout::Nhwc, &[1, 5, 32, 8, 4], &[40, 16, 3]).padding(&[4, 4, 1])),
        (long, Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 2, 3000], &[2, 2900])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 2, 3000], &[2, 2901])),
        (long, Layer::new(Op::Sum, Layout::Nhwc, &[1, 40, 400], &[362])),
        (Rule::Blocks, Layer::new(Op::Sum, Layout::Nhwc, &[1, 40, 400], &[363])),
        (Rule::Columns, Layer::new(Op::Sum, Layout::Nhwc, &[1, 40, 400], &[182]).dilation(&[2])),
    ];
    for (rule, layer) in layers {
        let axes = oracle::axes(&layer).expect("a valid layer");
        assert_eq!(Rule::of(&layer, &axes), rule, "{layer}");
        // The contract is slow at windows so long: one operation a layer, another each time.
        let (_, op) = OPS[rng.below(OPS.len())];
        for (op, fill) in [(Op::Avg, Fill::Numbers), (op, Fill::Specials)] {
            let layer = Layer { op, ..layer.clone() };
            common::check(&layer, &fill.tensor::<T>(layer.input_len(), &mut rng));
        }
    }
}

/// Of one element for each way to add: the oracle takes its time.
mod hundreds {
    #[test]
    fn f32() {
        super::windows_of_hundreds_of_taps::<f32>();
    }

    #[test]
    fn f64() {
        super::windows_of_hundreds_of_taps::<f64>();
    }

    #[test]
    fn f16() {
        super::windows_of_hundreds_of_taps::<half::f16>();
    }

    #[test]
    fn u8() {
        super::windows_of_hundreds_of_taps::<u8>();
    }
}
