//! Which driver and which tier a layer gets, and what a plan says of itself, without running it.

mod common;

use common::layer::LAYOUTS;
use common::{Layer, Nan, Op, tiers};
use lanepool::{AvgPool, Error, Layout, MaxPool, MinPool, NanPolicy, Plan, SumPool, Tier};

const MAX: Op = Op::Max(Nan::Propagate);

fn kernel(layer: &Layer, tier: Tier) -> &'static str {
    layer.plan::<f32>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}")).kernel()
}

/// Layers of well-known networks, and the driver that each gets: on tiers with vectors, on the portable one, on the
/// scalar one.
#[test]
fn known_layers() {
    let square = |layout, shape: &[usize], k: usize, s: usize, p: usize| {
        Layer::new(MAX, layout, shape, &[k, k]).stride(&[s, s]).padding(&[p, p])
    };
    use Layout::{Blocked, Nchw, Nhwc};
    let stem = [1, 64, 112, 112];
    let cases = [
        ("ResNet-50 stem", square(Nchw, &stem, 3, 2, 1), ["rows", "rows", "separable", "bands"]),
        ("ResNet-50 stem", square(Nhwc, &stem, 3, 2, 1), ["columns", "columns", "columns", "bands"]),
        ("ResNet-50 stem", square(Blocked(32), &stem, 3, 2, 1), ["columns", "columns", "columns", "bands"]),
        (
            "ResNet-50 stem, pixels of less than two vectors",
            square(Blocked(2), &stem, 3, 2, 1),
            ["rows", "rows", "bands", "bands"],
        ),
        ("VGG pool", square(Nchw, &[1, 64, 224, 224], 2, 2, 0), ["rows", "rows", "rows", "direct"]),
        ("VGG pool", square(Nhwc, &[1, 64, 224, 224], 2, 2, 0), ["columns", "columns", "columns", "direct"]),
        ("GoogLeNet branch", square(Nchw, &[1, 192, 28, 28], 3, 1, 1), ["flat", "flat", "flat", "bands"]),
        ("GoogLeNet branch", square(Nhwc, &[1, 192, 28, 28], 3, 1, 1), ["columns", "columns", "columns", "bands"]),
        ("ResNet-50 head", Layer::global(Op::Avg, Nchw, &[1, 2048, 7, 7]), ["global"; 4]),
        ("ResNet-50 head, by its kernel", Layer::new(Op::Avg, Nchw, &[1, 2048, 7, 7], &[7, 7]), ["global"; 4]),
        (
            "ResNet-50 head, channels last",
            Layer::global(Op::Avg, Nhwc, &[1, 2048, 7, 7]),
            ["piles", "piles", "piles", "direct"],
        ),
        ("PointNet", Layer::global(MAX, Nchw, &[1, 1024, 1024]), ["global"; 4]),
        ("PointNet, channels last", Layer::global(MAX, Nhwc, &[1, 1024, 1024]), ["piles", "piles", "piles", "direct"]),
        (
            "windows of ten columns that share none, channels last",
            square(Nhwc, &[1, 512, 60, 60], 10, 10, 0),
            ["piles", "piles", "piles", "bands"],
        ),
        (
            "GoogLeNet branch, without padding",
            square(Nchw, &[1, 192, 28, 28], 3, 1, 0),
            ["chunks", "rows", "separable", "bands"],
        ),
        ("a long row", square(Nchw, &[1, 1, 9, 300], 3, 1, 1), ["flat", "flat", "flat", "bands"]),
        ("audio", Layer::new(MAX, Nchw, &[1, 128, 19_683], &[3]).stride(&[3]), ["rows", "rows", "bands", "direct"]),
        (
            "audio, channels last",
            Layer::new(MAX, Nhwc, &[1, 128, 19_683], &[3]).stride(&[3]),
            ["columns", "columns", "columns", "direct"],
        ),
        (
            "C3D pool 1",
            Layer::new(MAX, Nhwc, &[1, 64, 16, 112, 112], &[1, 2, 2]).stride(&[1, 2, 2]),
            ["columns", "columns", "columns", "direct"],
        ),
        ("YOLOv5 SPPF", square(Nchw, &[1, 256, 20, 20], 5, 1, 2), ["flat", "flat", "flat", "bands"]),
        ("YOLOv5 SPPF, larger", square(Nchw, &[1, 256, 48, 40], 5, 1, 2), ["flat", "flat", "flat", "bands"]),
        (
            "YOLOv5 SPPF, channels last",
            square(Nhwc, &[1, 256, 20, 20], 5, 1, 2),
            ["columns", "columns", "columns", "bands"],
        ),
        ("YOLOv3 SPP", square(Nchw, &[1, 512, 19, 19], 13, 1, 6), ["flat", "flat", "flat", "bands"]),
        ("YOLOv3 SPP", square(Nhwc, &[1, 512, 19, 19], 13, 1, 6), ["bands"; 4]),
        (
            "C3D pool 2",
            Layer::new(MAX, Nchw, &[1, 128, 16, 56, 56], &[2, 2, 2]).stride(&[2, 2, 2]),
            ["rows", "rows", "rows", "direct"],
        ),
        (
            "halved bytes in short rows",
            square(Nchw, &[1, 512, 14, 14], 2, 2, 0),
            ["chunks", "chunks", "rows", "direct"],
        ),
        ("dilated", square(Nchw, &[1, 3, 30, 30], 3, 1, 1).dilation(&[2, 2]), ["chunks", "rows", "separable", "bands"]),
        (
            "dilated, a larger plane",
            square(Nchw, &[1, 3, 50, 50], 3, 1, 1).dilation(&[2, 2]),
            ["rows", "rows", "separable", "bands"],
        ),
        (
            "a blurred photograph",
            square(Nhwc, &[1, 3, 224, 224], 5, 1, 2),
            ["separable", "separable", "separable", "bands"],
        ),
        ("windows beside each other", square(Nchw, &[1, 64, 28, 28], 7, 7, 0), ["chunks", "chunks", "bands", "direct"]),
        ("the same, of a larger plane", square(Nchw, &[1, 8, 224, 224], 8, 8, 0), ["rows", "bands", "bands", "bands"]),
        (
            "long windows by twos",
            square(Nhwc, &[1, 1, 540, 960], 7, 2, 3),
            ["separable", "separable", "separable", "bands"],
        ),
        ("sound", Layer::new(MAX, Nhwc, &[1, 64, 16_000], &[64]).stride(&[64]), ["direct"; 4]),
        (
            "a video",
            Layer::new(MAX, Nhwc, &[1, 16, 8, 28, 28], &[3; 3]).padding(&[1; 3]),
            ["separable", "columns", "columns", "bands"],
        ),
        ("a window of thousands of columns", Layer::new(MAX, Nchw, &[1, 1, 9000], &[5000]), ["bands"; 4]),
        ("the same, channels last", Layer::new(MAX, Nhwc, &[1, 3, 9000], &[5000]), ["bands"; 4]),
        ("an average of thousands of columns", Layer::new(Op::Avg, Nchw, &[1, 1, 9000], &[5000]), ["direct"; 4]),
        ("an average that just fits", Layer::new(Op::Avg, Nchw, &[1, 1, 9000], &[2900]), ["bands"; 4]),
        ("with gaps", Layer::new(MAX, Nchw, &[1, 1, 9000], &[5]).dilation(&[1200]), ["direct"; 4]),
    ];
    let mut wrong = Vec::new();
    for (name, layer, [avx512, avx2, portable, scalar]) in cases {
        for tier in tiers::available() {
            let want = match tier {
                Tier::Scalar => scalar,
                Tier::Portable => portable,
                Tier::Avx2 => avx2,
                Tier::Avx512 => avx512,
                // Registers of other lengths: what fits them is not tabled here.
                _ => continue,
            };
            let got = kernel(&layer, tier);
            if got != want {
                wrong.push(format!("{name}: {layer} on {tier} by {got}, not by {want}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// "It prints itself": operation, element, layout, window, and after the arrow the driver and the tier.
#[test]
fn plans_print_themselves() {
    fn text<T: lanepool::Element>(plan: lanepool::Result<Plan<T>>) -> String {
        plan.expect("a valid layer").to_string()
    }
    let tier = Tier::Scalar;
    // Which driver takes a layer is no part of what is looked at here.
    let by = "bands";
    let stem = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]).tier(tier).driver(by);
    let shape = [1, 64, 112, 112];
    assert_eq!(text(stem.plan(Layout::Nchw, shape)), "max f32 nchw 3x3/2+1 → bands, scalar");
    assert_eq!(text(stem.plan(Layout::Nhwc, shape)), "max f32 nhwc 3x3/2+1 → bands, scalar");
    assert_eq!(text(stem.plan(Layout::Blocked(8), shape)), "max f32 nchw8c 3x3/2+1 → bands, scalar");
    let plain = MinPool::<f32>::new([4]).tier(tier).driver(by).nan(NanPolicy::Ignore);
    assert_eq!(text(plain.plan(Layout::Nchw, [1, 1, 9])), "min f32 nchw 4 → bands, scalar");
    let avg = AvgPool::<f32>::new([3, 5]).stride([1, 2]).dilation([2, 1]).padding_unequal([1, 0], [2, 0]);
    let avg = avg.tier(tier).driver(by);
    assert_eq!(text(avg.plan(Layout::Nchw, [1, 1, 9, 9])), "avg f32 nchw 3x5/1x2*2x1+1x0:2x0 → bands, scalar");
    let sum = SumPool::<f32>::global().tier(tier);
    assert_eq!(text(sum.plan(Layout::Nchw, [1, 1, 7, 7])), "sum f32 nchw global → global, scalar");
    for tier in tiers::available() {
        let plan = stem.tier(tier).plan(Layout::Nchw, shape).expect("a valid layer");
        assert!(plan.to_string().ends_with(tier.name()), "{plan}");
        // What the kernel says of itself follows, for whoever reads a log.
        let (all, start) = (format!("{plan:?}"), format!("Plan({plan}, [1, 64, 112, 112] to [1, 64, 56, 56])"));
        assert!(all.starts_with(&start), "{all}");
    }
}

/// A plan says what it was made for.
#[test]
fn plans_know_their_shapes() {
    for (_, layout) in LAYOUTS {
        let pool = MaxPool::<f32>::new([3, 2]).stride([2, 1]);
        let plan = pool.plan(layout, [3, 32, 9, 7]).expect("a valid layer");
        assert_eq!(plan.input_shape(), [3, 32, 9, 7]);
        assert_eq!(plan.output_shape(), [3, 32, 4, 6]);
        assert_eq!(pool.output_shape([3, 32, 9, 7]), Ok(vec![3, 32, 4, 6]));
        assert_eq!((plan.input_len(), plan.output_len()), (3 * 32 * 9 * 7, 3 * 32 * 4 * 6));
        assert_eq!(plan.layout(), layout);
    }
}

/// A tier that is forced is the tier that runs.
#[test]
fn forced_tiers_are_taken() {
    for tier in tiers::available() {
        let pool = MaxPool::<f32>::new([2]).tier(tier);
        let plan = pool.plan(Layout::Nchw, [1, 1, 8]).unwrap_or_else(|error| panic!("{tier}: {error}"));
        assert_eq!(plan.tier(), tier);
        assert_eq!(plan.clone().tier(), tier);
    }
}

/// No machine has both NEON and AVX2: what it lacks is an error that says what is missing.
#[test]
fn unavailable_tiers_are_errors() {
    let absent: &[Tier] = if cfg!(target_arch = "x86_64") { &[Tier::Neon] } else { &[Tier::Avx2, Tier::Avx512] };
    for &tier in absent {
        let error = MaxPool::<f32>::new([2]).tier(tier).plan(Layout::Nchw, [1, 1, 8]).expect_err("an absent tier");
        let Error::TierUnavailable { tier: named, why } = error else { panic!("{error:?}") };
        assert_eq!(named, tier);
        assert!(
            !why.is_empty() && error.to_string().contains(why) && error.to_string().contains(tier.name()),
            "{error}"
        );
        assert!(!tiers::available().contains(&tier));
    }
    // A shape that is wrong as well is still an error.
    assert!(MaxPool::<f32>::new([0]).tier(absent[0]).plan(Layout::Nchw, [1, 1, 8]).is_err());
}

/// Names are read back, in any case.
#[test]
fn tiers_have_names() {
    for tier in Tier::ALL {
        assert_eq!(tier.name().parse(), Ok(tier));
        assert_eq!(tier.name().to_uppercase().parse(), Ok(tier));
        assert_eq!(format!("{tier:>10}"), format!("{:>10}", tier.name()));
    }
    for wrong in ["", "avx", "avx2 ", "sse2"] {
        assert!(matches!(wrong.parse::<Tier>(), Err(Error::Unsupported { .. })), "{wrong:?}");
    }
    assert!(Tier::ALL.is_sorted());
}

/// Not a test of its own: prints the best tier and that of a plan, for the tests of the environment.
#[test]
fn child_prints_the_best_tier() {
    if std::env::var_os("LANEPOOL_TEST_PRINT_TIER").is_none() {
        return;
    }
    let plan = MaxPool::<f32>::new([2]).plan(Layout::Nchw, [1, 1, 8]).expect("a valid layer");
    let forced = MaxPool::<f32>::new([2]).tier(Tier::Portable).plan(Layout::Nchw, [1, 1, 8]).expect("a valid layer");
    println!("best={} plan={} forced={}.", Tier::best(), plan.tier(), forced.tier());
}

/// `LANEPOOL_MAX_TIER` caps what is chosen and not what is forced; a name that is no tier's caps nothing. Each in a
/// process of its own, since the environment belongs to the whole process.
#[cfg(feature = "std")]
#[test]
fn the_environment_caps_the_tier() {
    let available = Tier::available();
    let widest = *available.last().expect("scalar runs everywhere");
    let best_under = |cap: Tier| available.iter().copied().filter(|tier| *tier <= cap).max().unwrap_or(Tier::Scalar);
    let cases = Tier::ALL.map(|cap| (Some(cap.name()), best_under(cap)));
    let others = [(None, widest), (Some("AVX2"), best_under(Tier::Avx2)), (Some("sse9"), widest), (Some(""), widest)];
    for (cap, want) in cases.into_iter().chain(others) {
        let mut child = common::again::this_program();
        child.args(["--exact", "child_prints_the_best_tier", "--nocapture"]).env("LANEPOOL_TEST_PRINT_TIER", "1");
        match cap {
            Some(cap) => child.env("LANEPOOL_MAX_TIER", cap),
            None => child.env_remove("LANEPOOL_MAX_TIER"),
        };
        let output = child.output().expect("a child process");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&format!("best={want} plan={want} forced=portable.")), "capped by {cap:?}: {said}");
    }
}

/// `LANEPOOL_REQUIRE_TIERS` makes a missing tier a failure.
#[test]
fn required_tiers_must_be_there() {
    assert_eq!(tiers::require(""), Ok(()));
    assert_eq!(tiers::require("scalar, portable"), Ok(()));
    for tier in Tier::ALL {
        match (tiers::require(&format!("scalar,{tier}")), tier.missing()) {
            (Ok(()), None) => {}
            (Err(said), Some(why)) => assert!(said.contains(tier.name()) && said.contains(why), "{said}"),
            (got, missing) => panic!("{tier}: {got:?}, missing {missing:?}"),
        }
    }
    assert!(tiers::require("avx3").is_err_and(|said| said.contains("avx3")));
}
