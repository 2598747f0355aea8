//! The table of README.md that says what there is, made from what the library says there is. With `half`, whose elements it lists.

#![cfg(feature = "half")]

use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, Any, Avg, AvgBackward, AvgPool, DType, Extreme, FractionalMaxPool, IndexKind,
    Layout, Lp, LpPool, Max, MaxPool, MaxUnpool, Min, Pool, PoolOperation, QuantizedAvg, QuantizedMax, Sum, Tier,
};

const README: &str = include_str!("../README.md");
const BEGIN: &str = "<!-- support table: made by tests/support_table.rs -->\n";
const END: &str = "<!-- end of the support table -->\n";

/// The layouts, and what the table calls all of them.
const LAYOUTS: [Layout; 4] = [Layout::Nchw, Layout::Nhwc, Layout::Blocked(3), Layout::Blocked(8)];
const LAYOUT_CELL: &str = "NCHW, NHWC, NCHW*c*c for any *c*; 1-D, 2-D, 3-D";

/// Whether an operation can be planned.
type Plans = fn(DType, Layout, &[usize], &[usize], Tier) -> bool;

/// What code a row's operations run.
enum Code {
    /// Kernels of each tier.
    Kernels,
    /// The same safe code on every machine.
    Safe(&'static str),
}

/// What visits the windows of whatever a kernel computes.
const DRIVERS: &str = "every [driver](kernels/README.md)";

/// A row of the table: its operations in words, whether each can be planned, what code they run, and which drivers and leaves.
const ROWS: [(&str, &[Plans], Code, &str); 10] = [
    ("max, min (NaN propagates or is ignored)", &[plans::<Max>, plans::<Min>], Code::Kernels, DRIVERS),
    (
        "max and min with indices, or indices alone",
        &[indexed::<Max>, indexed::<Min>],
        Code::Kernels,
        "[three ways](kernels/seek.rs) to pick from a list of taps",
    ),
    ("average (exclude pad, include pad, divisor), sum", &[plans::<Avg>, plans::<Sum>], Code::Kernels, DRIVERS),
    (
        "Lp norm (any p), power mean, RMS",
        &[plans::<Lp>],
        Code::Kernels,
        "[powers of a tile](kernels/driver/staged.rs), then the drivers of sums and maxima",
    ),
    (
        "quantised average and maximum (scales, zero points), maximum with indices",
        &[plans::<QuantizedAvg>, plans::<QuantizedMax>, indexed::<QuantizedMax>],
        Code::Kernels,
        "every driver; indices as above",
    ),
    (
        "adaptive max, with indices",
        &[adaptive_max],
        Code::Safe("kernels; with indices, where the output does not divide the input, portable code"),
        "every driver of windows that do not slide; indices by [a second look](src/variable/find.rs)",
    ),
    ("adaptive average", &[adaptive_average], Code::Safe("kernels"), "every driver of windows that do not slide"),
    (
        "fractional max, with indices",
        &[fractional],
        Code::Safe("portable code"),
        "[strips of columns](src/variable/fold.rs), folded once; indices by a second look",
    ),
    (
        "max unpooling",
        &[unpool],
        Code::Safe("portable code"),
        "[indices checked many at a time](src/unpool/run.rs), then a scatter, a plane at a time",
    ),
    (
        "backward of max, average, adaptive and Lp (any p, power mean, RMS)",
        &[backward],
        Code::Safe("portable code"),
        "[rows folded tap by tap](src/backward/rows.rs), maxima by [a scatter](src/backward/scatter.rs), norms of infinity element by element",
    ),
];

fn plans<O: PoolOperation>(dtype: DType, layout: Layout, kernel: &[usize], shape: &[usize], tier: Tier) -> bool {
    Pool::<O, Any>::new(kernel).tier(tier).plan_as(dtype, layout, shape).is_ok()
}

/// Declares probes that need the element as a type: of all of them, or of those that an operation has a trait for.
macro_rules! probes {
    ($($name:ident$(<$O:ident>)?: $($variant:ident)|+ => |$layout:ident, $kernel:ident, $shape:ident, $tier:ident| $plan:expr;)+) => { $(
        fn $name$(<$O: Extreme>)?(dtype: DType, $layout: Layout, $kernel: &[usize], $shape: &[usize], $tier: Tier) -> bool {
            match dtype {
                $( DType::$variant => {
                    type T = types::$variant;
                    $plan.is_ok()
                } )+
                #[allow(unreachable_patterns, reason = "some probes are of all elements")]
                _ => false,
            }
        }
    )+ };
}

/// The elements by the names of their values.
mod types {
    pub type F32 = f32;
    pub type F64 = f64;
    pub type F16 = half::f16;
    pub type Bf16 = half::bf16;
    pub type I8 = i8;
    pub type U8 = u8;
    pub type I16 = i16;
    pub type U16 = u16;
    pub type I32 = i32;
    pub type U32 = u32;
    pub type I64 = i64;
    pub type U64 = u64;
}

probes! {
    indexed<O>: F32 | F64 | F16 | Bf16 | I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 => |layout, kernel, shape, tier|
        Pool::<O, T>::new(kernel).tier(tier).plan_indexed::<i64>(IndexKind::Plane, layout, shape);
    adaptive_max: F32 | F64 | F16 | Bf16 | I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 => |layout, kernel, shape, tier|
        AdaptiveMaxPool::<T>::new(kernel).tier(tier).plan_indexed::<i64>(IndexKind::Plane, layout, shape);
    adaptive_average: F32 | F64 | F16 | Bf16 | I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 => |layout, kernel, shape, tier|
        AdaptiveAvgPool::<T>::new(kernel).tier(tier).plan(layout, shape);
    fractional: F32 | F64 | F16 | Bf16 | I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 => |layout, kernel, shape, _tier|
        FractionalMaxPool::<T>::new(kernel, kernel).plan_indexed::<i64>(IndexKind::Plane, layout, shape);
    unpool: F32 | F64 | F16 | Bf16 | I8 | U8 | I16 | U16 | I32 | U32 | I64 | U64 => |layout, kernel, shape, _tier|
        MaxUnpool::<T>::new(kernel).plan::<i64>(layout, shape);
    backward: F32 | F64 | F16 | Bf16 => |layout, kernel, shape, _tier| {
        let max = MaxPool::<T>::new(kernel).backward::<i64>(IndexKind::Plane, layout, shape).map(drop);
        let average = AvgPool::<T>::new(kernel).backward(layout, shape).map(drop);
        let adaptive = AvgBackward::<T>::adaptive(kernel, layout, shape).map(drop);
        let norm = |p: f64| LpPool::<T>::new(kernel).p(p).mean(p < 2.0).backward(layout, shape).map(drop);
        let norms = norm(0.5).and(norm(1.0)).and(norm(2.0)).and(norm(3.0)).and(norm(f64::INFINITY));
        max.and(average).and(adaptive).and(norms)
    };
}

/// The elements for which every operation has a plan in every layout and rank, on every tier of this machine.
fn elements(operations: &[Plans]) -> Vec<DType> {
    let has_everything = |dtype: DType| {
        operations.iter().all(|plans| {
            Tier::available().into_iter().all(|tier| {
                LAYOUTS.into_iter().all(|layout| {
                    (1..=3).all(|rank| {
                        let shape = [&[1, 24][..], &[5, 5, 5][..rank]].concat();
                        plans(dtype, layout, &[2, 2, 2][..rank], &shape, tier)
                    })
                })
            })
        })
    };
    DType::ALL.iter().copied().filter(|dtype| has_everything(*dtype)).collect()
}

/// A tier as its makers write it.
fn tier(tier: Tier) -> String {
    match tier {
        Tier::Scalar | Tier::Portable => tier.name().to_owned(),
        Tier::Avx512 => "AVX-512".to_owned(),
        _ => tier.name().to_uppercase(),
    }
}

fn table() -> String {
    let mut table = "| | elements | layouts | code | drivers and leaves |\n|---|---|---|---|---|\n".to_owned();
    let mut above = None;
    for (what, operations, code, leaves) in ROWS {
        let names: Vec<String> = elements(operations).iter().map(|dtype| format!("`{dtype}`")).collect();
        let tiers: Vec<String> = Tier::ALL.into_iter().map(tier).collect();
        let code = match code {
            Code::Kernels => tiers.join(", "),
            Code::Safe(what) => what.to_owned(),
        };
        let cells = [names.join(", "), LAYOUT_CELL.to_owned(), code, leaves.to_owned()];
        let same = "the same".to_owned();
        let shown = match &above {
            Some(above) => {
                let pairs = cells.iter().zip(above);
                pairs.map(|(cell, above)| if cell == above { same.clone() } else { cell.clone() }).collect::<Vec<_>>()
            }
            None => cells.to_vec(),
        };
        table += &format!("| {what} | {} |\n", shown.join(" | "));
        above = Some(cells);
    }
    table
}

/// The files that the table points at are there.
#[test]
fn links_lead_to_code() {
    for (what, .., leaves) in ROWS {
        for link in leaves.split("](").skip(1) {
            let path = link.split(')').next().unwrap_or_default();
            let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            assert!(file.is_file(), "{what}: there is no {path}");
        }
    }
}

#[test]
fn the_readme_says_what_there_is() {
    let (_, rest) = README.split_once(BEGIN).expect("the marker before the table");
    let (shown, _) = rest.split_once(END).expect("the marker after the table");
    let table = table();
    assert!(shown.trim() == table.trim(), "README.md has\n\n{shown}\nwhere the library has\n\n{table}");
}
