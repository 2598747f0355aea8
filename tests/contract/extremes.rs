//! Section 2: maxima and minima.

use lanepool::{Layout, MaxPool, MinPool, NanPolicy};

use crate::common::{Layer, Nan, Op, Sample};
use crate::{INF, bits, kernel, pool, row};

const NAN: u32 = 0x7fc0_0000;
const MAX: Op = Op::Max(Nan::Propagate);
const MIN: Op = Op::Min(Nan::Propagate);

fn every_two(op: Op, x: &[f32]) -> Vec<f32> {
    row(op, x, |layer| kernel(layer, 2).stride(&[2]))
}

/// "Any NaN in the window makes the output the canonical quiet NaN of the type (PyTorch, IEEE 754-2019 `maximum`)."
#[test]
fn nan_propagates() {
    let (nan, other) = (f32::NAN, f32::from_bits(0xffc0_0007));
    for op in [MAX, MIN] {
        let got = every_two(op, &[nan, 1.0, 1.0, nan, other, INF, -INF, other, nan, other, 1.0, 1.0]);
        assert_eq!(bits(&got), [NAN, NAN, NAN, NAN, NAN, 1.0_f32.to_bits()]);
    }
    // The default.
    let y = MaxPool::<f32>::new([2]).run_once(Layout::Nchw, [1, 1, 2], &[nan, 1.0]).map(|y| bits(&y));
    assert_eq!(y, Ok(vec![NAN]));
}

/// "`NanPolicy::Ignore` (IEEE `maximumNumber`) is an option: NaN only if every valid tap is NaN."
#[test]
fn nan_is_ignored() {
    let (nan, other) = (f32::NAN, f32::from_bits(0xffc0_0007));
    let x = [nan, 1.0, 2.0, nan, other, INF, -INF, other, nan, other];
    for op in [Op::Max(Nan::Ignore), Op::Min(Nan::Ignore)] {
        let want = [1.0, 2.0, INF, -INF, f32::from_bits(NAN)];
        assert_eq!(bits(&every_two(op, &x)), bits(&want));
        // Padding is not a tap: a window of padding and NaN is NaN.
        let padded = row(op, &[nan, nan, 3.0], |layer| kernel(layer, 2).padding(&[1]));
        assert_eq!(bits(&padded), bits(&[f32::from_bits(NAN), f32::from_bits(NAN), 3.0, 3.0]));
    }
    let pool = MinPool::<f32>::new([2]).nan(NanPolicy::Ignore);
    assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 2], &[nan, 1.0]), Ok(vec![1.0]));
}

/// "A zero maximum is +0, whatever the signs of the zeros in the window.": `MaxPool`'s documented rule.
#[test]
fn zero_maximum() {
    documented("A zero maximum is +0, whatever the signs of the zeros in the window.");
    for (a, b) in [(-0.0, -0.0), (-0.0, 0.0), (0.0, -0.0), (-0.0, -1.0), (-1.0, -0.0)] {
        for op in [MAX, Op::Max(Nan::Ignore)] {
            assert_eq!(bits(&every_two(op, &[a, b, b, a])), [0, 0], "{a} and {b}");
        }
    }
    assert_eq!(bits(&row(MAX, &[-0.0, 0.0], |layer| layer)), [0, 0], "one tap");
    // Also beside a NaN that is ignored, and beside one that starts the tile again.
    assert_eq!(bits(&every_two(Op::Max(Nan::Ignore), &[f32::NAN, -0.0, -0.0, -0.0])), [0, 0]);
    assert_eq!(bits(&every_two(MAX, &[f32::NAN, -0.0, -0.0, -0.0])), [NAN, 0]);
}

/// "A zero minimum is +0, whatever the signs of the zeros in the window.": `MinPool`'s documented rule.
#[test]
fn zero_minimum() {
    documented("A zero minimum is +0, whatever the signs of the zeros in the window.");
    for (a, b) in [(-0.0, -0.0), (-0.0, 0.0), (0.0, -0.0), (-0.0, 1.0), (1.0, -0.0)] {
        for op in [MIN, Op::Min(Nan::Ignore)] {
            assert_eq!(bits(&every_two(op, &[a, b, b, a])), [0, 0], "{a} and {b}");
        }
    }
    assert_eq!(bits(&row(MIN, &[-0.0, 0.0], |layer| layer)), [0, 0], "one tap");
}

/// "(min is its mirror image)"
#[test]
fn minimum_mirrors_maximum() {
    let x: Vec<f32> = (0..9 * 17).map(|i| f32::pattern(i) + 0.5).collect();
    let negative: Vec<f32> = x.iter().map(|x| -x).collect();
    for (max, min) in [(MAX, MIN), (Op::Max(Nan::Ignore), Op::Min(Nan::Ignore))] {
        for (k, s, p) in [(2, 2, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (9, 1, 4)] {
            let layer = Layer::new(max, Layout::Nchw, &[1, 1, 9, 17], &[k, k]).stride(&[s, s]).padding(&[p, p]);
            let largest = pool(&layer, &x);
            let smallest = pool(&Layer { op: min, ..layer }, &negative);
            assert_eq!(largest, smallest.iter().map(|x| -x).collect::<Vec<_>>());
        }
    }
}

/// "`−inf` for floats and `MIN` for integers; never the lowest finite float. A window of `−inf` gives `−inf`."
#[test]
fn infinite_windows() {
    assert_eq!(every_two(MAX, &[-INF, -INF, -INF, f32::MIN]), [-INF, f32::MIN]);
    assert_eq!(every_two(MIN, &[INF, INF, INF, f32::MAX]), [INF, f32::MAX]);
    let padded = |op, x: f32| row(op, &[x; 3], |layer| kernel(layer, 3).padding(&[2]));
    assert_eq!(padded(MAX, -INF), [-INF; 5]);
    assert_eq!(padded(MIN, INF), [INF; 5]);
}

/// "A window with no valid tap gives the identity."
#[test]
fn windows_without_a_tap() {
    let empty = |op, x: f32| row(op, &[x], |layer| layer.padding(&[1]).allow_empty());
    for nan in [Nan::Propagate, Nan::Ignore] {
        assert_eq!(empty(Op::Max(nan), 2.0), [-INF, 2.0, -INF]);
        assert_eq!(empty(Op::Min(nan), 2.0), [INF, 2.0, INF]);
        assert_eq!(bits(&empty(Op::Max(nan), f32::NAN)), bits(&[-INF, f32::from_bits(NAN), -INF]));
    }
    // A dilation that steps over the whole input: taps −3 and 0, −2 and 1, −1 and 2, 0 and 3 of one element.
    let over = row(MAX, &[5.0], |layer| kernel(layer, 2).dilation(&[3]).padding(&[3]));
    assert_eq!(over, [5.0, -INF, -INF, 5.0]);
}

/// The sentence stands in the documentation of `MaxPool` and `MinPool`.
fn documented(sentence: &str) {
    assert!(include_str!("../../src/pool.rs").contains(sentence), "src/pool.rs no longer says: {sentence}");
}
