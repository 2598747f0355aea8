//! Section 3: averages and sums.

use lanepool::{AvgPool, Layout};

use crate::common::check::check;
use crate::common::layer::OPS;
use crate::common::{Fill, Layer, Op, Rng};
use crate::{INF, bits, kernel, pool, row};

/// 2⁻²⁴, half a unit in the last place of 1: "`ε` is half a unit in the last place, 2⁻²⁴ for `f32`".
const EPSILON: f64 = 1.0 / (1 << 24) as f64;

/// "Exclude-pad: the number of valid taps."
#[test]
fn divisor_excludes_padding() {
    assert_eq!(row(Op::Avg, &[3.0, 6.0, 9.0], |layer| kernel(layer, 3).padding(&[1])), [4.5, 6.0, 7.5]);
    // The default.
    let pool = AvgPool::<f32>::new([3]).padding([1]);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 3], &[3.0, 6.0, 9.0]), Ok(vec![4.5, 6.0, 7.5]));
}

/// "Include-pad: the number of taps inside the declared padded extent `[−b, n+e)`, so ceil-mode overhang never counts
/// (PyTorch, ONNX ≥ 19)."
#[test]
fn divisor_includes_declared_padding() {
    let padded = |x: &[f32], k: usize, s: usize, b: usize, e: usize| {
        row(Op::AvgPadded, x, |layer| kernel(layer, k).stride(&[s]).padding_unequal(&[b], &[e]).ceil(true))
    };
    assert_eq!(padded(&[3.0, 6.0, 9.0], 3, 1, 1, 1), [3.0, 6.0, 5.0]);
    // Windows at −1 and 1 in the extent [−1, 3): the last has two of its three taps in it.
    assert_eq!(padded(&[3.0, 6.0, 9.0], 3, 2, 1, 0), [3.0, 7.5]);
    // With padding after the input it has all three, of which the last is a zero.
    assert_eq!(padded(&[3.0, 6.0, 9.0], 3, 2, 1, 1), [3.0, 5.0]);
    // No padding at all, an overhang of one: the divisor is 1, not 2.
    assert_eq!(padded(&[3.0, 6.0, 9.0], 2, 2, 0, 0), [4.5, 9.0]);
}

/// "Override: the caller's number."
#[test]
fn divisor_override() {
    assert_eq!(row(Op::AvgBy(8), &[2.0, 6.0], |layer| kernel(layer, 2).padding(&[1])), [0.25, 1.0, 0.75]);
    assert_eq!(row(Op::AvgBy(7), &[7.0, 14.0], |layer| kernel(layer, 2).padding(&[1])), [1.0, 3.0, 2.0]);
}

/// "A window with no valid tap averages to 0."
#[test]
fn windows_without_a_tap() {
    for op in [Op::Avg, Op::AvgPadded, Op::AvgBy(3), Op::AvgBy(4), Op::Sum] {
        let y = row(op, &[6.0], |layer| layer.padding(&[1]).allow_empty());
        assert_eq!((y[0].to_bits(), y[2].to_bits()), (0, 0), "{op:?}");
    }
}

/// "For each column of the window (fixed position on the last spatial axis), its taps are added in scan order; then the
/// columns are added left to right."
#[test]
fn order_of_additions() {
    // 2²⁴ swallows a 1 that is added to it alone, but not a 2.
    let big = 16_777_216.0;
    let sum = |x: [f32; 6], layout| {
        // Two rows of three, in one window; a second channel keeps it from being one plane averaged whole.
        let planar = Layer::new(Op::Sum, layout, &[1, 1, 2, 4], &[2, 3]).stride(&[1, 1]);
        pool(&planar, &[x[0], x[1], x[2], 0.0, x[3], x[4], x[5], 0.0])[0]
    };
    for layout in [Layout::Nchw, Layout::Nhwc] {
        // Column by column: (2²⁴ + 1) + (0 + 0) + (1 + 0): both ones are lost.
        assert_eq!(sum([big, 0.0, 1.0, 1.0, 0.0, 0.0], layout), big);
        // The ones share a column: added first, they count. Row by row they would be lost.
        assert_eq!(sum([big, 1.0, 0.0, 0.0, 1.0, 0.0], layout), big + 2.0);
        // From left to right: 2 + 2²⁴ − 2²⁴, not 2 + 0.
        assert_eq!(sum([1.0, big, -big, 0.0, 0.0, 0.0], layout), 0.0);
        assert_eq!(sum([big, -big, 1.0, 0.0, 0.0, 0.0], layout), 1.0);
    }
}

/// "long contiguous runs in 16 interleaved partial sums halved down pairwise"
#[test]
fn order_of_a_plane_averaged_whole() {
    let big = 16_777_216.0;
    let sum = |set: &[(usize, f32)]| {
        let mut x = [0.0; 40];
        for (i, value) in set {
            x[*i] = *value;
        }
        pool(&Layer::global(Op::Sum, Layout::Nchw, &[1, 1, 5, 8]), &x)[0]
    };
    // Elements 0, 16 and 32 share a partial sum: the ones are added to 2²⁴ one by one.
    assert_eq!(sum(&[(0, big), (16, 1.0), (32, 1.0)]), big);
    // Elements 1 and 17 meet first.
    assert_eq!(sum(&[(0, big), (1, 1.0), (17, 1.0)]), big + 2.0);
    // Neighbours: partial sums 8 and 9 meet first, then with those of 10 and 11, and with 2²⁴ last.
    assert_eq!(sum(&[(0, big), (8, 1.0), (9, 1.0)]), big + 2.0);
    assert_eq!(sum(&[(0, big), (8, 1.0), (10, 1.0)]), big + 2.0);
    // 1 meets 0 at once, and is lost; then 2, 4, 8 in turn.
    assert_eq!(sum(&[(0, big), (1, 1.0), (2, 1.0), (4, 1.0), (8, 1.0)]), big);
    assert_eq!(sum(&[(0, big), (4, 1.0), (6, 1.0)]), big + 2.0);
}

/// "Cut into blocks of 2¹⁴ elements …; then the blocks in the same way, an odd last one waiting"
#[test]
fn order_of_a_long_plane() {
    const BLOCK: usize = 1 << 14;
    let big = 16_777_216.0;
    let sum = |blocks: usize, set: &[(usize, f32)]| {
        let mut x = vec![0.0; (blocks - 1) * BLOCK + 5];
        for (i, value) in set {
            x[*i] = *value;
        }
        pool(&Layer::global(Op::Sum, Layout::Nchw, &[1, 1, x.len()]), &x)[0]
    };
    // Elements 0 and 16 share a partial sum; element 0 and the first of the next block do not.
    assert_eq!(sum(2, &[(0, big), (16, 1.0), (BLOCK, 1.0)]), big);
    assert_eq!(sum(2, &[(0, big), (BLOCK, 1.0), (BLOCK + 1, 1.0)]), big + 2.0);
    // Blocks 2 and 3 meet before they meet block 0.
    assert_eq!(sum(4, &[(0, big), (2 * BLOCK, 1.0), (3 * BLOCK, 1.0)]), big + 2.0);
    assert_eq!(sum(4, &[(0, big), (BLOCK, 1.0), (2 * BLOCK, 1.0)]), big);
    // Of seven, the last waits for 4 and 5: (0 to 3) + ((4 + 5) + 6).
    assert_eq!(sum(7, &[(0, big), (5 * BLOCK, 1.0), (6 * BLOCK, 1.0)]), big + 2.0);
    // Of five, it waits for all four.
    assert_eq!(sum(5, &[(0, big), (3 * BLOCK, 1.0), (4 * BLOCK, 1.0)]), big);
}

/// The same on every tier, for lengths of every kind, with and without NaN.
#[test]
fn long_planes_are_what_the_specification_says() {
    let mut rng = Rng::named("long planes");
    for len in [(1 << 14) + 1, (4 << 14) - 3, (6 << 14) + 100] {
        for (_, op) in OPS {
            for fill in [Fill::Pattern, Fill::Nans] {
                let layer = Layer::global(op, Layout::Nchw, &[1, 1, len]);
                check(&layer, &fill.tensor::<f32>(len, &mut rng));
                check(&layer, &fill.tensor::<u8>(len, &mut rng));
            }
        }
    }
}

/// "Long windows may be added in blocks": 8 taps of a row are a balanced tree, 13 are 1 + 4 + 8.
#[test]
fn order_of_long_rows() {
    let big = 16_777_216.0;
    let sum = |k: usize, set: &[(usize, f32)]| {
        let mut x = vec![0.0; k + 1];
        for (i, value) in set {
            x[*i] = *value;
        }
        row(Op::Sum, &x, |layer| kernel(layer, k))[0]
    };
    assert_eq!(sum(8, &[(0, big), (2, 1.0), (3, 1.0)]), big + 2.0);
    assert_eq!(sum(8, &[(0, big), (1, 1.0), (2, 1.0)]), big);
    assert_eq!(sum(8, &[(0, big), (4, 1.0), (6, 1.0)]), big + 2.0);
    assert_eq!(sum(13, &[(0, big), (1, 1.0), (4, 1.0)]), big + 2.0);
    assert_eq!(sum(13, &[(0, big), (1, 1.0), (5, 1.0)]), big);
    // One tap fewer than a long window: from left to right.
    assert_eq!(sum(7, &[(0, big), (2, 1.0), (3, 1.0)]), big);
}

/// "which of the three applies depends on the geometry alone: never on the tier, the thread, the task or the position in
/// the batch": a value changes no order, and neither does a neighbour.
#[test]
fn order_does_not_depend_on_values() {
    let mut rng = Rng::named("order");
    for (k, s, p) in [(2, 2, 0), (3, 1, 1), (5, 1, 2), (9, 1, 4), (13, 2, 6)] {
        let layer = Layer::new(Op::Avg, Layout::Nchw, &[1, 3, 20, 23], &[k, k]).stride(&[s, s]).padding(&[p, p]);
        let plane = Fill::Bits.tensor::<f32>(20 * 23, &mut rng);
        let with = |other: f32| {
            let around = vec![other; 20 * 23];
            let y = pool(&layer, &[&around[..], &plane, &around].concat());
            bits(&y[y.len() / 3..y.len() / 3 * 2])
        };
        assert_eq!(with(0.0), with(f32::NAN));
        assert_eq!(with(1.0), with(-INF));
    }
}

/// "the error of a float average against exact arithmetic is bounded; the docs state the bound and a test checks it": "to
/// first order the sum is within `min(n, 2¹¹)·ε·Σ|x|` of the exact one, and the division rounds once more."
#[test]
fn error_is_bounded() {
    let mut rng = Rng::named("error");
    let docs = include_str!("../../src/pool.rs");
    assert!(docs.contains("`min(n, 2¹¹)·ε·Σ|x|`") && docs.contains("2⁻²⁴ for"), "src/pool.rs states another bound");
    for k in [1_usize, 2, 3, 5, 7, 8, 11, 16, 31, 60] {
        for global in [false, true] {
            let side = if global { k } else { k + 3 };
            let shape = [1, 2, side, side];
            let layer = Layer::new(Op::Avg, Layout::Nchw, &shape, &[k, k]);
            // 24 bits of fraction in f64: sums of thousands are exact.
            let x: Vec<f32> =
                (0..layer.input_len()).map(|_| (rng.below(1 << 24) as f32 / (1 << 23) as f32) - 1.0).collect();
            let got = pool(&layer, &x);
            let (n, out) = ((k * k) as f64, side - k + 1);
            // What is not of the first order is less than a thousandth of it.
            let additions = n.min(2048.0) * 1.001;
            for (i, got) in got.iter().enumerate() {
                let (c, y, col) = (i / (out * out), i / out % out, i % out);
                let tap = |j: usize| f64::from(x[(c * side + y + j / k) * side + col + j % k]);
                let exact = (0..k * k).map(tap).sum::<f64>() / n;
                let bound = additions * EPSILON * (0..k * k).map(|j| tap(j).abs()).sum::<f64>() / n;
                let error = (f64::from(*got) - exact).abs();
                assert!(error <= bound + exact.abs() * EPSILON + 1e-12, "{layer}: {error} is more than {bound}");
            }
        }
    }
}

/// "By a true division, or by a reciprocal where that is exact (a power of two). The same on every tier. No fused
/// multiply-add."
#[test]
fn division_is_true() {
    for divisor in [1_usize, 2, 3, 5, 7, 9, 10, 16, 25, 49, 100, 1 << 20, (1 << 24) + 1] {
        let mut rng = Rng::named("division");
        let x: Vec<f32> = (0..64).map(|_| f32::from_bits(rng.bits() as u32)).filter(|x| x.is_finite()).collect();
        let want: Vec<f32> = x.iter().map(|x| x / divisor as f32).collect();
        assert_eq!(bits(&row(Op::AvgBy(divisor), &x, |layer| layer)), bits(&want), "divided by {divisor}");
    }
    // A window of 3×3 multiplies by no ninth: 9 times x is summed and divided back exactly where the sum is exact.
    for x in [1.0, 3.0, 7.0, 1.5, 1e30_f32] {
        let y = pool(&Layer::new(Op::Avg, Layout::Nchw, &[1, 2, 4, 4], &[3, 3]), &[x; 32]);
        let sum = (x + x + x) + (x + x + x) + (x + x + x);
        assert!(y.iter().all(|y| *y == sum / 9.0));
    }
}
