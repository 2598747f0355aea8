//! The specification: which taps each window has, and in which order. Nested loops, no cleverness.
//!
//! Written from the contract, not from the library: it shares no code with it, and where the two disagree one of them
//! is wrong. All arithmetic is in `i128`, so that nothing can wrap before it is compared.

use lanepool::Layout;

use super::elements::{Order, Sample, Window};
use super::layer::{Layer, Op, Pad};

/// One axis of a window: "an axis has input length `n`, kernel `k`, stride `s`, dilation `d`, padding `(b, e)`".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub n: i128,
    pub k: i128,
    pub s: i128,
    pub d: i128,
    pub b: i128,
    pub e: i128,
    pub out: i128,
}

/// What surrounds one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisPad {
    Explicit(i128, i128),
    SameUpper,
    SameLower,
}

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

impl Axis {
    /// `None` where the contract says that such an axis is an error.
    pub fn new(n: i128, k: i128, s: i128, d: i128, pad: AxisPad, ceil: bool, allow_empty: bool) -> Option<Self> {
        if n == 0 || k == 0 || s == 0 || d == 0 {
            return None;
        }
        // "span = d·(k−1)+1"
        let span = d * (k - 1) + 1;
        let (b, e, out) = match pad {
            AxisPad::Explicit(b, e) => {
                // "padding not smaller than the span (unless allow_empty_windows asked for it)"
                if !allow_empty && (b >= span || e >= span) {
                    return None;
                }
                let out = if ceil {
                    // "⌈(n+b+e−span)/s⌉+1, then one less if the last window would start at or past n+b": a window may be
                    // larger than the padded input by less than a stride.
                    let out = ceil_div(n + b + e - span, s) + 1;
                    if (out - 1) * s >= n + b { out - 1 } else { out }
                } else {
                    // "⌊(n+b+e−span)/s⌋+1, needs n+b+e ≥ span"
                    if n + b + e < span { 0 } else { (n + b + e - span).div_euclid(s) + 1 }
                };
                if out < 1 {
                    return None;
                }
                (b, e, out)
            }
            AxisPad::SameUpper | AxisPad::SameLower => {
                // "⌈n/s⌉; total padding max((out−1)·s+span−n, 0); the odd one goes to the end (upper) or the begin (lower)"
                let out = ceil_div(n, s);
                let total = ((out - 1) * s + span - n).max(0);
                let (less, more) = (total / 2, total - total / 2);
                if pad == AxisPad::SameUpper { (less, more, out) } else { (more, less, out) }
            }
        };
        Some(Self { n, k, s, d, b, e, out })
    }

    /// "Output `o` has taps at `o·s − b + i·d` for `i = 0..k`".
    fn taps(&self, o: i128) -> impl Iterator<Item = i128> {
        let Self { k, s, d, b, .. } = *self;
        (0..k).map(move |i| o * s - b + i * d)
    }

    /// "those in `[0, n)` are valid".
    pub fn valid(&self, o: i128) -> Vec<usize> {
        self.taps(o).filter(|tap| (0..self.n).contains(tap)).map(|tap| tap as usize).collect()
    }

    /// Which of the window's taps those are, counted from 0.
    pub fn valid_numbers(&self, o: i128) -> Vec<usize> {
        let numbered = self.taps(o).enumerate().filter(|(_, tap)| (0..self.n).contains(tap));
        numbered.map(|(number, _)| number).collect()
    }

    /// "the number of taps inside the declared padded extent `[−b, n+e)`".
    pub fn padded(&self, o: i128) -> u64 {
        self.taps(o).filter(|tap| (-self.b..self.n + self.e).contains(tap)).count() as u64
    }
}

/// Depth, height and width of a layer; axes it does not have have one tap of one.
pub fn axes(layer: &Layer) -> Option<[Axis; 3]> {
    let absent = Axis::new(1, 1, 1, 1, AxisPad::Explicit(0, 0), false, false)?;
    let mut axes = [absent; 3];
    let rank = layer.spatial().len();
    for i in 0..rank {
        let n = layer.spatial()[i] as i128;
        let k = layer.kernel.as_ref().map_or(n, |kernel| kernel[i] as i128);
        let pad = match &layer.pad {
            Pad::Explicit(b, e) => AxisPad::Explicit(b[i] as i128, e[i] as i128),
            Pad::SameUpper => AxisPad::SameUpper,
            Pad::SameLower => AxisPad::SameLower,
        };
        let (s, d) = (layer.stride[i] as i128, layer.dilation[i] as i128);
        axes[3 - rank + i] = Axis::new(n, k, s, d, pad, layer.ceil, layer.allow_empty)?;
    }
    // Same padding fixes the output length, so ceil mode beside it is refused.
    (!layer.ceil || matches!(layer.pad, Pad::Explicit(..))).then_some(axes)
}

/// Where memory holds element `(n, c, pixel)` of a tensor with `channels` and `pixels`.
pub fn offset(layout: Layout, channels: usize, pixels: usize, n: usize, c: usize, pixel: usize) -> usize {
    match layout {
        Layout::Nchw => (n * channels + c) * pixels + pixel,
        Layout::Nhwc => (n * pixels + pixel) * channels + c,
        Layout::Blocked(block) => ((n * (channels / block) + c / block) * pixels + pixel) * block + c % block,
        _ => panic!("the layout {layout} has no row here"),
    }
}

/// Taps from which a window is long on an axis.
const LONG: i128 = 8;

/// The most columns of inner elements, of which 8 at most are counted, that an output of a long window may be made of.
const MOST_SHARED: i128 = 2900;

/// The most terms that are added one after the other.
const LONGEST_CHAIN: i128 = 256;

/// In which order a layer's sums are added: see `elements::Order`, which is of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Columns,
    /// "Columns that are long down (`rows`), or rows of columns that are long across (`columns`), or both."
    Long {
        rows: bool,
        columns: bool,
    },
    WholePlane,
    Blocks,
}

impl Rule {
    /// "It is decided by geometry and layout alone; it never depends on the tier, the element, the thread, the task or
    /// the position in the batch."
    pub fn of(layer: &Layer, axes: &[Axis; 3]) -> Self {
        let [depth, height, width] = axes;
        let inner = layer.inner() as i128;
        // "A planar plane pooled whole": one window, and every pixel is in it.
        if inner == 1 && axes.iter().all(|axis| axis.out == 1 && axis.valid(0).len() as i128 == axis.n) {
            return Self::WholePlane;
        }
        // "More than 256 taps down or across": no window has more valid ones than its axis has elements.
        let most = |axis: &Axis| axis.k.min(axis.n);
        if most(depth) * most(height) > LONGEST_CHAIN {
            return Self::Blocks;
        }
        // "8 taps and more on an axis", where there is a neighbour to share them with.
        let is_shared = |axis: &Axis| axis.k >= LONG && axis.out > 1;
        let span = width.d * (width.k - 1) + 1;
        let fits = span * inner.min(8) <= MOST_SHARED;
        let rows = is_shared(height) && height.s == 1 && height.d == 1 && depth.k == 1 && fits;
        let columns = is_shared(width) && fits;
        if !columns && most(width) > LONGEST_CHAIN {
            return Self::Blocks;
        }
        if rows || columns { Self::Long { rows, columns } } else { Self::Columns }
    }
}

/// What the contract says of a whole layer.
pub struct Pooled<T> {
    /// `N, C, spatial…`.
    pub shape: Vec<usize>,
    /// In the layer's layout.
    pub values: Vec<T>,
}

/// `None` where the contract says that the layer is an error.
pub fn pool<T: Sample>(layer: &Layer, src: &[T]) -> Option<Pooled<T>> {
    let (batch, channels) = (layer.shape[0], layer.shape[1]);
    if let Layout::Blocked(block) = layer.layout
        && (block == 0 || channels % block != 0)
    {
        return None;
    }
    let axes = axes(layer)?;
    let [depth, height, width] = axes;
    let pixels = (depth.n * height.n * width.n) as usize;
    let outputs = axes.iter().map(|axis| axis.out).product::<i128>() as usize;
    let valid = axes.map(|axis| (0..axis.out).map(|o| axis.valid(o)).collect::<Vec<_>>());
    let padded = axes.map(|axis| (0..axis.out).map(|o| axis.padded(o)).collect::<Vec<_>>());
    let numbers = (0..width.out).map(|o| width.valid_numbers(o)).collect::<Vec<_>>();
    let rule = Rule::of(layer, &axes);

    let mut values = vec![T::from_bits(0); batch * channels * outputs];
    let mut taps = Vec::new();
    for n in 0..batch {
        for c in 0..channels {
            for output in 0..outputs {
                let x = output % valid[2].len();
                let y = output / valid[2].len() % valid[1].len();
                let z = output / valid[2].len() / valid[1].len();
                taps.clear();
                for &column in &valid[2][x] {
                    for &slab in &valid[0][z] {
                        for &row in &valid[1][y] {
                            let pixel = (slab * height.n as usize + row) * width.n as usize + column;
                            taps.push(src[offset(layer.layout, channels, pixels, n, c, pixel)]);
                        }
                    }
                }
                let column = valid[0][z].len() * valid[1][y].len();
                let order = match rule {
                    Rule::Columns => Order::Columns,
                    Rule::WholePlane => Order::WholePlane,
                    Rule::Blocks => Order::Blocks,
                    Rule::Long { rows, columns } => {
                        // Rows are cut at multiples of the kernel, counted from the first padded row.
                        let cut = ceil_div(y as i128, height.k) * height.k - height.b;
                        let before = valid[1][y].iter().filter(|row| (**row as i128) < cut).count();
                        let powers = columns.then(|| (width.k as usize, &numbers[x][..]));
                        Order::Long { cut: rows.then_some(before), powers }
                    }
                };
                let window = Window { taps: &taps, column, order };
                let at = offset(layer.layout, channels, outputs, n, c, output);
                values[at] = match layer.op {
                    Op::Max(nan) => T::largest(&taps, nan),
                    Op::Min(nan) => T::smallest(&taps, nan),
                    Op::Avg => T::mean(&window, (taps.len() as u64).max(1)),
                    Op::AvgAway => T::mean_away(&window, (taps.len() as u64).max(1)),
                    Op::AvgPadded => T::mean(&window, (padded[0][z] * padded[1][y] * padded[2][x]).max(1)),
                    Op::AvgBy(divisor) => T::mean(&window, divisor as u64),
                    Op::Sum => T::mean(&window, 1),
                };
            }
        }
    }
    let spatial = axes.iter().skip(3 - layer.spatial().len()).map(|axis| axis.out as usize);
    Some(Pooled { shape: [batch, channels].into_iter().chain(spatial).collect(), values })
}
