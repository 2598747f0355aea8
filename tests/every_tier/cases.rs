//! The layers, chosen for the places where kernels differ: ends of vectors, tiles, bands, borders.

use lanepool::Layout;

use crate::common::check::{channels, compare, poison};
use crate::common::data::FILLS;
use crate::common::elements::{Order, Window};
use crate::common::layer::{Layer, Op, Pad};
use crate::common::{Fill, Rng, Sample, check, share, tiers};

/// Elements of the longest vector of any tier.
fn lanes<T>() -> usize {
    64 / size_of::<T>()
}

/// Kernel, stride, padding of windows that take different ways through the kernels.
const WINDOWS: [(usize, usize, usize); 14] = [
    (1, 1, 0),
    (1, 2, 0),
    (2, 1, 0),
    (2, 1, 1),
    (2, 2, 0),
    (2, 3, 1),
    (3, 1, 1),
    (3, 2, 0),
    (3, 2, 1),
    (3, 3, 0),
    (4, 1, 3),
    (5, 1, 2),
    (5, 2, 2),
    (7, 4, 3),
];

/// A shape of `rank` spatial axes that ends in `width`, with few channels and rows.
fn shape(layout: Layout, rank: usize, width: usize) -> Vec<usize> {
    match rank {
        1 => vec![2, channels(layout, 3), width],
        2 => vec![1, channels(layout, 2), 5, width],
        _ => vec![1, channels(layout, 1), 3, 4, width],
    }
}

/// Every length of the run that vectors follow, up to four vectors and one element: widths for planar data, channels
/// for channels-last.
pub fn lengths<T: Sample>(op: Op, layout: Layout, rank: usize, seed: &str) {
    let mut rng = Rng::named(seed);
    let most = 4 * lanes::<T>() + 1;
    let longest = match layout {
        Layout::Blocked(block) => most.div_ceil(block) + 1,
        _ => most,
    };
    for length in 1..=longest {
        for (i, (kernel, stride, padding)) in WINDOWS.into_iter().enumerate() {
            // Around the ends of vectors every window; between them, a third.
            let near = matches!(length % 8, 0 | 1 | 7) && length <= 2 * lanes::<T>() + 1;
            if !near && i % 3 != length % 3 {
                continue;
            }
            let shape = match layout {
                Layout::Nhwc => {
                    let spatial = [&[5][..], &[3, 4], &[2, 3, 3]][rank - 1];
                    [&[1, length], spatial].concat()
                }
                _ => shape(layout, rank, length),
            };
            let padding = vec![padding; rank];
            let layer =
                Layer::new(op, layout, &shape, &vec![kernel; rank]).stride(&vec![stride; rank]).padding(&padding);
            let fill = FILLS[(length + i) % FILLS.len()];
            check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
        }
    }
}

/// One axis of the sweep over attributes.
#[derive(Clone, Copy)]
struct Attributes {
    n: usize,
    k: usize,
    s: usize,
    d: usize,
    b: usize,
    e: usize,
}

/// Kernels 1 to 7, the input, the padded input; stride 1 to k + 1; dilation 1, 2, n; padding 0, 1, span − 1, unequal.
fn axes() -> Vec<Attributes> {
    let mut axes = Vec::new();
    for n in [1, 2, 5, 9, 18] {
        for k in (1..=7).chain([n, n + 2]) {
            for s in 1..=k + 1 {
                for d in [1, 2, n] {
                    let most = d * (k - 1);
                    for (b, e) in [(0, 0), (1, 1), (most, most), (0, 1), (1, 0), (most, 0), (0, most)] {
                        axes.push(Attributes { n, k, s, d, b, e });
                    }
                }
            }
        }
    }
    axes
}

/// Attributes in every combination on one axis, others on the others. Each test takes its own sample of them; all
/// tests together take each many times.
pub fn attributes<T: Sample>(op: Op, layout: Layout, rank: usize, seed: &str) {
    let mut rng = Rng::named(seed);
    let axes = axes();
    for main in &axes {
        if !rng.one_in(12) {
            continue;
        }
        let place = rng.below(rank);
        let chosen: Vec<Attributes> = (0..rank)
            .map(|axis| {
                if axis == place {
                    return *main;
                }
                // The other axes stay short: their windows multiply the work.
                loop {
                    let other = *rng.pick(&axes);
                    if other.n <= 5 && other.k <= 5 {
                        return other;
                    }
                }
            })
            .collect();
        let all = |of: fn(&Attributes) -> usize| chosen.iter().map(of).collect::<Vec<_>>();
        let least = match layout {
            Layout::Nhwc => rng.within(1, lanes::<T>() / 2 + 2),
            _ => rng.within(1, 2),
        };
        let shape = [vec![rng.within(1, 2), channels(layout, least)], all(|axis| axis.n)].concat();
        let layer = Layer::new(op, layout, &shape, &all(|axis| axis.k))
            .stride(&all(|axis| axis.s))
            .dilation(&all(|axis| axis.d))
            .padding_unequal(&all(|axis| axis.b), &all(|axis| axis.e));
        let layer = match rng.below(8) {
            0 | 1 => layer.ceil(true),
            2 => layer.pad(Pad::SameUpper),
            3 => layer.pad(Pad::SameLower),
            4 => with_empty_windows(layer, &mut rng),
            _ => layer,
        };
        let fill = *rng.pick(&FILLS);
        check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
    }
}

/// The layer with padding up to twice the window on some axes, so that windows, whole rows and whole slabs of them lie
/// in it.
fn with_empty_windows(layer: Layer, rng: &mut Rng) -> Layer {
    let kernel = layer.kernel.clone().unwrap_or_default();
    let padding = |rng: &mut Rng| -> Vec<usize> {
        let axes = kernel.iter().zip(&layer.dilation);
        axes.map(|(k, d)| if rng.one_in(3) { 0 } else { rng.within(0, (2 * (d * (k - 1) + 1)).min(24)) }).collect()
    };
    let (begin, end) = (padding(rng), padding(rng));
    let ceil = rng.one_in(2);
    layer.padding_unequal(&begin, &end).ceil(ceil).allow_empty()
}

/// Windows of which many hold nothing, with every kind of kernel on each axis, long ones among them.
pub fn empty_windows<T: Sample>(op: Op, layout: Layout, seed: &str) {
    let mut rng = Rng::named(seed);
    for _ in 0..60 {
        let rank = rng.within(1, 3);
        let mut each = |choices: &[usize]| (0..rank).map(|_| *rng.pick(choices)).collect::<Vec<_>>();
        let (kernel, stride) = (each(&[1, 1, 2, 3, 9, 12]), each(&[1, 1, 2, 5]));
        let (dilation, lengths) = (each(&[1, 1, 1, 2, 7]), each(&[1, 1, 2, 5, 9]));
        let shape = [vec![rng.within(1, 2), channels(layout, rng.within(1, 3))], lengths].concat();
        let layer = Layer::new(op, layout, &shape, &kernel).stride(&stride).dilation(&dilation);
        let layer = with_empty_windows(layer, &mut rng);
        // The oracle visits every tap of every window.
        let Some(axes) = crate::common::oracle::axes(&layer) else { continue };
        let taps: i128 = axes.iter().map(|axis| axis.out * axis.k).product();
        if taps * shape[0] as i128 * shape[1] as i128 > 200_000 {
            continue;
        }
        check::<T>(&layer, &FILLS[shape[2] % FILLS.len()].tensor(layer.input_len(), &mut rng));
    }
}

/// Small windows with other attributes on each axis: what a kernel made for 2×2/2 or 3×3 must not take for its own.
pub fn near_misses<T: Sample>(op: Op, layout: Layout, seed: &str) {
    let mut rng = Rng::named(seed);
    let mut axes = Vec::new();
    for k in 1..=3 {
        for s in 1..=3 {
            for d in 1..=2 {
                for (b, e) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    axes.push([k, s, d, b, e]);
                }
            }
        }
    }
    for main in &axes {
        for rank in [2, 3] {
            for place in 0..rank {
                // Mostly one axis differs from a window that has a kernel of its own.
                let usual = [*rng.pick(&[2, 3]), *rng.pick(&[1, 2]), 1, rng.below(2), rng.below(2)];
                let all: Vec<[usize; 5]> = (0..rank)
                    .map(|axis| match (axis == place, rank - axis) {
                        (true, _) => *main,
                        (false, 3) => [1, 1, 1, 0, 0],
                        (false, _) if rng.one_in(8) => *rng.pick(&axes),
                        (false, _) => usual,
                    })
                    .collect();
                let each = |i: usize| all.iter().map(|axis| axis[i]).collect::<Vec<_>>();
                let lengths: Vec<usize> =
                    (0..rank).map(|axis| rng.within(1, if rank - axis == 3 { 3 } else { 9 })).collect();
                let least = if layout == Layout::Nhwc { rng.within(1, lanes::<T>() + 2) } else { rng.within(1, 3) };
                let shape = [vec![rng.within(1, 2), channels(layout, least)], lengths].concat();
                let layer = Layer::new(op, layout, &shape, &each(0)).stride(&each(1)).dilation(&each(2));
                let layer = match rng.below(6) {
                    0 => layer.pad(Pad::SameUpper),
                    1 => layer.pad(Pad::SameLower),
                    2 => layer.padding_unequal(&each(3), &each(4)).ceil(true),
                    _ => layer.padding_unequal(&each(3), &each(4)),
                };
                let fill = *rng.pick(&FILLS);
                check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
            }
        }
    }
}

/// Windows of four taps over every order of seven values, with repetition, in every lane of every length of row: what
/// a row's last vector does to NaN, zeros and infinities is what its first does.
///
/// The results are tabled first: 7⁴ windows. Then output `i` of the layer gets window `i + turn`, so that over the turns
/// windows visit other lanes.
pub fn four_taps<T: Sample>(op: Op, layout: Layout) {
    let seven = T::seven();
    let windows: Vec<[T; 4]> = (0..7 * 7 * 7 * 7).map(|i| [1, 7, 49, 343].map(|power| seven[i / power % 7])).collect();
    let value = |taps: [T; 4], column: usize| {
        let window = Window { taps: &taps, column, order: Order::Columns };
        match op {
            Op::Max(nan) => T::largest(&taps, nan),
            Op::Min(nan) => T::smallest(&taps, nan),
            Op::Avg | Op::AvgPadded => T::mean(&window, 4),
            Op::AvgAway => T::mean_away(&window, 4),
            Op::AvgBy(divisor) => T::mean(&window, divisor as u64),
            Op::Sum => T::mean(&window, 1),
        }
    };
    let inner = match layout {
        Layout::Blocked(block) => block,
        _ => 1,
    };
    // Taps of a window: how many columns by how many rows.
    for (wide, high) in [(2, 2), (4, 1), (1, 4)] {
        // Taps in the order of the oracle: column by column.
        let want: Vec<T> = windows.iter().map(|window| value(*window, high)).collect();
        let most = 2 * lanes::<T>() + 1;
        for row in 1..=most.div_ceil(inner) {
            // Every output has two pixels or more, so that no plane is one window.
            let (width, channels, lanes) = match layout {
                Layout::Nhwc => (2, row, row),
                _ => (row.max(2), inner, row.max(2) * inner),
            };
            let outputs_of_one = width * channels;
            let batch = windows.len().div_ceil(outputs_of_one);
            let shape = [batch, channels, high, width * wide];
            let layer = Layer::new(op, layout, &shape, &[high, wide]).stride(&[high, wide]);
            if !share::holds(format_args!("{} {layer}", T::NAME)) {
                continue;
            }
            let plans: Vec<_> = tiers::available()
                .into_iter()
                .map(|tier| layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}")))
                .collect();
            // Extremes of floats have the most to fear from a lane; the others take fewer turns.
            let turns = match op {
                Op::Max(_) | Op::Min(_) if T::FLOAT => 12,
                _ => 3,
            };
            for turn in (0..lanes).step_by(lanes.div_ceil(turns)) {
                let turn = turn + row % lanes.div_ceil(turns);
                let window = |output: usize| (output + turn) % windows.len();
                let mut src = vec![T::from_bits(0); layer.input_len()];
                for (at, tap) in src.iter_mut().enumerate() {
                    // Memory is n, row, column, inner (a batch of one block or of all channels).
                    let (pixel, c) = (at / channels, at % channels);
                    let (line, column) = (pixel / (width * wide), pixel % (width * wide));
                    let (n, row) = (line / high, line % high);
                    let output = (n * width + column / wide) * channels + c;
                    *tap = windows[window(output)][column % wide * high + row];
                }
                let expected: Vec<T> = (0..batch * outputs_of_one).map(|output| want[window(output)]).collect();
                for plan in &plans {
                    let mut got = vec![poison::<T>(); plan.output_len()];
                    plan.run(&src, &mut got).unwrap_or_else(|error| panic!("{plan}: {error}"));
                    compare(&layer, plan.tier(), plan.kernel(), &plan.output_shape(), &got, &expected);
                    tiers::note(plan.tier(), got.len());
                }
            }
        }
    }
}

/// One window that is the whole plane: every size up to four runs of 16 and more, every number of planes that a kernel
/// may take together and what is left over.
pub fn global<T: Sample>(op: Op, layout: Layout, seed: &str) {
    let mut rng = Rng::named(seed);
    let sizes = (1..=70).chain([127, 128, 129, 257, 1000, 4099]);
    for (i, size) in sizes.enumerate() {
        let count = match layout {
            Layout::Nhwc => rng.within(1, 2 * lanes::<T>() + 1),
            _ => rng.within(1, 9),
        };
        let batch = if size > 300 { 1 } else { 1 + i % 2 };
        let shapes = [
            vec![batch, channels(layout, count), size],
            vec![batch, channels(layout, count), size.div_ceil(3), 3],
            vec![1, channels(layout, 1), 2, size.div_ceil(4), 2],
        ];
        for (rank, shape) in shapes.into_iter().enumerate() {
            let fill = FILLS[(i + rank) % FILLS.len()];
            let layer = Layer::global(op, layout, &shape);
            check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
            // The same windows asked for with a kernel, some of which hang over the plane.
            let over: Vec<usize> = shape[2..].iter().map(|n| n + 1).collect();
            let begin = vec![1; over.len()];
            let layer = Layer::new(op, layout, &shape, &over).padding_unequal(&begin, &vec![0; over.len()]);
            check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
        }
    }
}

/// A layer that is large in one way, without its operation; a number of bytes scales it to the element.
type LargeCase = fn(usize) -> Layer;

const ANY: Op = Op::Sum;

/// Kernels cut a layer in tiles that fit 8 KiB of scratch, or 32: these layers fit neither in one way or another.
pub const LARGE: [(&str, LargeCase); 38] = [
    ("wide_3s1", |bytes| Layer::new(ANY, Layout::Nchw, &[1, 1, 4, 40_000 / bytes + 5], &[3, 3]).padding(&[1, 1])),
    ("wide_3s2", |bytes| {
        Layer::new(ANY, Layout::Nchw, &[1, 1, 5, 50_000 / bytes + 6], &[3, 3]).stride(&[2, 2]).padding(&[1, 1])
    }),
    ("wide_2s2", |bytes| Layer::new(ANY, Layout::Nchw, &[1, 1, 4, 50_000 / bytes + 3], &[2, 2]).stride(&[2, 2])),
    ("wide_4s3", |bytes| Layer::new(ANY, Layout::Nchw, &[1, 1, 4, 60_000 / bytes + 1], &[4, 4]).stride(&[3, 3])),
    ("wide_1d", |bytes| Layer::new(ANY, Layout::Nchw, &[1, 2, 70_000 / bytes + 11], &[3]).stride(&[3])),
    ("wide_dilated", |bytes| {
        Layer::new(ANY, Layout::Nchw, &[1, 1, 3, 40_000 / bytes], &[2, 3]).dilation(&[1, 50]).padding(&[0, 60])
    }),
    ("bands_3s1", |_| Layer::new(ANY, Layout::Nchw, &[1, 2, 70, 9], &[3, 3]).padding(&[1, 1])),
    ("bands_3s2", |_| Layer::new(ANY, Layout::Nchw, &[1, 2, 81, 21], &[3, 3]).stride(&[2, 2]).padding(&[1, 1])),
    ("bands_5s1", |_| Layer::new(ANY, Layout::Nchw, &[1, 1, 55, 37], &[5, 5]).padding(&[2, 2])),
    ("bands_3d", |_| Layer::new(ANY, Layout::Nchw, &[1, 1, 5, 40, 6], &[3, 3, 3]).padding(&[1, 1, 1])),
    ("bands_blocked", |_| Layer::new(ANY, Layout::Blocked(8), &[1, 16, 40, 11], &[5, 5]).padding(&[2, 2])),
    ("long_pixels", |bytes| Layer::new(ANY, Layout::Nhwc, &[1, 24, 3, 2000 / bytes], &[3, 3]).padding(&[1, 1])),
    ("long_pixels_s2", |bytes| {
        Layer::new(ANY, Layout::Nhwc, &[1, 33, 4, 2000 / bytes], &[2, 2]).stride(&[2, 2]).padding(&[1, 0])
    }),
    ("long_pixels_5s1", |bytes| Layer::new(ANY, Layout::Nhwc, &[1, 19, 4, 2000 / bytes], &[5, 5]).padding(&[2, 2])),
    ("many_channels", |bytes| Layer::new(ANY, Layout::Nhwc, &[1, 8000 / bytes, 4, 5], &[5, 5]).padding(&[2, 2])),
    ("many_channels_s2", |bytes| {
        Layer::new(ANY, Layout::Nhwc, &[1, 9000 / bytes + 1, 5, 6], &[5, 4]).stride(&[2, 2]).padding(&[2, 1])
    }),
    ("many_channels_dilated", |_| {
        Layer::new(ANY, Layout::Nhwc, &[1, 100, 2, 170], &[2, 5]).dilation(&[1, 40]).padding(&[1, 1])
    }),
    ("kernel_1900", |_| Layer::new(ANY, Layout::Nchw, &[1, 2, 2000], &[1900]).padding(&[7])),
    ("kernel_5000", |_| Layer::new(ANY, Layout::Nchw, &[1, 1, 5020], &[5000]).padding(&[3])),
    ("dilation_4000", |_| {
        Layer::new(ANY, Layout::Nchw, &[1, 2, 3, 4100], &[2, 2]).dilation(&[1, 4000]).padding(&[0, 9])
    }),
    ("kernel_31", |_| Layer::new(ANY, Layout::Nchw, &[1, 1, 33, 36], &[31, 31]).padding(&[15, 15])),
    // Rows of which too many divisors would be tabled whole, and borders that have as many.
    ("wide_15", |_| Layer::new(ANY, Layout::Nhwc, &[1, 1, 17, 256], &[15, 15]).padding(&[7, 7])),
    ("borders_31", |_| Layer::new(ANY, Layout::Nhwc, &[1, 9, 33, 34], &[31, 31]).padding(&[15, 15])),
    // Rows in pairs, several a vector or a few vectors a row, more of them than are folded at a time.
    ("pairs", |_| Layer::new(ANY, Layout::Nchw, &[3, 29, 8, 14], &[2, 2]).stride(&[2, 2])),
    ("pairs_of_two", |_| Layer::new(ANY, Layout::Nchw, &[1, 1111, 2, 2], &[2, 2]).stride(&[2, 2])),
    ("pairs_of_vectors", |_| Layer::new(ANY, Layout::Nchw, &[2, 3, 24, 126], &[2, 2]).stride(&[2, 2])),
    ("pairs_3d", |_| Layer::new(ANY, Layout::Nchw, &[2, 5, 3, 6, 22], &[1, 2, 2]).stride(&[1, 2, 2])),
    // Pixels of two vectors and a rest on every tier, more rows than are done again together, or pixels longer than the scratch.
    ("columns_3s1", |_| Layer::new(ANY, Layout::Nhwc, &[1, 139, 19, 6], &[3, 3]).padding(&[1, 1])),
    ("columns_3s2", |_| Layer::new(ANY, Layout::Nhwc, &[1, 131, 37, 8], &[3, 3]).stride(&[2, 2]).padding(&[1, 1])),
    ("flat_5s1", |_| Layer::new(ANY, Layout::Nchw, &[2, 2, 44, 37], &[5, 5]).padding(&[2, 2])),
    ("flat_5s1_low", |_| Layer::new(ANY, Layout::Nchw, &[1, 9, 3, 31], &[5, 5]).padding(&[2, 2])),
    ("columns_5s1", |_| Layer::new(ANY, Layout::Nhwc, &[1, 137, 18, 5], &[5, 5]).padding(&[2, 2])),
    ("columns_2s2", |_| Layer::new(ANY, Layout::Nhwc, &[2, 128, 7, 5], &[2, 2]).stride(&[2, 2])),
    ("columns_1d", |_| Layer::new(ANY, Layout::Nhwc, &[2, 150, 31], &[3]).stride(&[3]).padding(&[1])),
    ("columns_3d", |_| Layer::new(ANY, Layout::Nhwc, &[1, 130, 3, 4, 5], &[1, 3, 3]).padding(&[0, 1, 2])),
    ("columns_in_parts", |bytes| {
        Layer::new(ANY, Layout::Nhwc, &[1, 17_000 / bytes + 9, 3, 4], &[3, 3]).padding(&[1, 1])
    }),
    ("columns_dilated", |_| {
        Layer::new(ANY, Layout::Blocked(129), &[1, 258, 8, 6], &[3, 3])
            .stride(&[1, 2])
            .dilation(&[2, 1])
            .padding(&[2, 1])
    }),
    ("narrow_rows", |_| Layer::new(ANY, Layout::Nchw, &[3, 29, 9, 3], &[3, 2]).stride(&[2, 1]).padding(&[1, 1])),
];

/// A large layer with each fill; and where a NaN makes a kernel start again, with a single NaN in places where it is
/// easily missed: the first and last row of a band, the last tile of a row, either side of a tile's end.
pub fn large<T: Sample>(op: Op, case: Layer, seed: &str) {
    let mut rng = Rng::named(seed);
    let layer = Layer { op, ..case };
    let extreme = matches!(op, Op::Max(_) | Op::Min(_));
    for fill in [Fill::Pattern, if extreme { Fill::Nans } else { Fill::Bits }] {
        check::<T>(&layer, &fill.tensor(layer.input_len(), &mut rng));
    }
    let watches = extreme && T::nan(false, 0).is_some();
    if !watches {
        return;
    }
    let numbers: Vec<T> = Fill::Pattern.tensor(layer.input_len(), &mut rng);
    let width = layer.shape.last().copied().unwrap_or(1) * layer.inner();
    let rows = layer.input_len() / width;
    let (mut row, mut turn) = (0, 0);
    while row < rows {
        let ends = [0, width - 1, width / 2, width - width.min(2), 16_384 / size_of::<T>() % width];
        let mut src = numbers.clone();
        // Two places at a time: one in this row, one far from it in another.
        src[row * width + ends[turn % ends.len()]] = T::nan(turn % 2 == 0, turn as u64).unwrap_or(src[0]);
        check::<T>(&layer, &src);
        let far = (row + rows / 2) % rows;
        src[far * width + ends[(turn + 2) % ends.len()]] = T::nan(turn % 2 == 1, 4).unwrap_or(src[0]);
        check::<T>(&layer, &src);
        turn += 1;
        row += if rows > 12 { rows.div_ceil(12) } else { 1 };
    }
}
