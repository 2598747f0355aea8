//! Section 1: where windows lie.

use lanepool::{Error, Layout, MaxPool, SumPool};

use crate::common::oracle::{Axis, AxisPad};
use crate::common::{Layer, Nan, Op, Pad};
use crate::{kernel, pool, row};

/// Powers of two: a sum names its taps.
const POWERS: [f32; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Every product of one value of each, the last changing fastest.
fn product(deep: &[f32], high: &[f32], wide: &[f32]) -> Vec<f32> {
    let mut all = Vec::new();
    for z in deep {
        for y in high {
            all.extend(wide.iter().map(|x| z * y * x));
        }
    }
    all
}

fn lengths(pool: MaxPool<f32>, n: usize) -> Option<usize> {
    pool.output_shape([1, 1, n]).ok().map(|shape| shape[2])
}

/// "span = d·(k−1)+1"
#[test]
fn span() {
    for (k, d, span) in [(1, 1, 1), (1, 9, 1), (2, 1, 2), (2, 3, 4), (3, 2, 5), (7, 4, 25)] {
        let pool = MaxPool::<f32>::new([k]).dilation([d]);
        assert_eq!(lengths(pool, span), Some(1), "{k} taps, {d} apart");
        assert_eq!(lengths(pool, span + 1), Some(2), "{k} taps, {d} apart");
        if span > 1 {
            assert_eq!(lengths(pool, span - 1), None, "{k} taps, {d} apart");
        }
    }
}

/// "floor: ⌊(n+b+e−span)/s⌋+1, needs n+b+e ≥ span"
#[test]
fn floor_rounding() {
    for (n, k, s, b, e, out) in [
        (112, 3, 2, 1, 1, Some(56)),
        (5, 2, 2, 0, 0, Some(2)),
        (6, 2, 2, 0, 0, Some(3)),
        (5, 2, 2, 1, 0, Some(3)),
        (2, 3, 1, 0, 0, None),
        (2, 3, 1, 0, 1, Some(1)),
        (2, 3, 1, 1, 1, Some(2)),
        (7, 3, 9, 0, 0, Some(1)),
    ] {
        let pool = MaxPool::<f32>::new([k]).stride([s]).padding_unequal([b], [e]);
        assert_eq!(lengths(pool, n), out, "{n} elements, kernel {k}/{s}+{b}:{e}");
    }
}

/// "ceil: ⌈(n+b+e−span)/s⌉+1, then one less if the last window would start at or past n+b"
#[test]
fn ceil_rounding() {
    for (n, k, s, b, e, out) in [
        (5, 2, 2, 0, 0, Some(3)),
        (6, 2, 2, 0, 0, Some(3)),
        (112, 3, 2, 0, 0, Some(56)),
        // ⌈(4+2−2)/2⌉+1 = 3 windows, at 0, 2 and 4 of the padded input: 4 < 4+1 stays.
        (4, 2, 2, 1, 1, Some(3)),
        // ⌈(3+2−2)/2⌉+1 = 3 windows, the last at 4 = 3+1: dropped.
        (3, 2, 2, 1, 1, Some(2)),
        (1, 1, 2, 0, 0, Some(1)),
        (4, 1, 3, 0, 0, Some(2)),
        // Larger than the padded input by less than a stride, and by a stride.
        (2, 3, 2, 0, 0, Some(1)),
        (2, 4, 2, 0, 0, None),
    ] {
        let pool = MaxPool::<f32>::new([k]).stride([s]).padding_unequal([b], [e]).ceil_mode(true);
        assert_eq!(lengths(pool, n), out, "{n} elements, kernel {k}/{s}+{b}:{e} in ceil mode");
    }
}

/// "same-upper, same-lower: ⌈n/s⌉; total padding max((out−1)·s+span−n, 0); the odd one goes to the end (upper) or the begin
/// (lower)"
#[test]
fn same_padding() {
    let same =
        |pad: Pad, k: usize, s: usize, x: &[f32]| row(Op::Sum, x, |layer| kernel(layer, k).stride(&[s]).pad(pad));
    let x = &POWERS[..5];
    // Total 1: at the end, or at the begin.
    assert_eq!(same(Pad::SameUpper, 2, 1, x), [3.0, 6.0, 12.0, 24.0, 16.0]);
    assert_eq!(same(Pad::SameLower, 2, 1, x), [1.0, 3.0, 6.0, 12.0, 24.0]);
    // Total 2: both alike.
    assert_eq!(same(Pad::SameUpper, 3, 1, x), same(Pad::SameLower, 3, 1, x));
    assert_eq!(same(Pad::SameUpper, 3, 1, x), [3.0, 7.0, 14.0, 28.0, 24.0]);
    // ⌈5/2⌉ = 3; total (3−1)·2+2−5 = 1.
    assert_eq!(same(Pad::SameUpper, 2, 2, x), [3.0, 12.0, 16.0]);
    assert_eq!(same(Pad::SameLower, 2, 2, x), [1.0, 6.0, 24.0]);
    // Never negative: ⌈5/3⌉ = 2, (2−1)·3+1−5 < 0.
    assert_eq!(same(Pad::SameUpper, 1, 3, x), [1.0, 8.0]);
    for n in 1..40 {
        for s in 1..6 {
            let pool = MaxPool::<f32>::new([4]).stride([s]);
            assert_eq!(lengths(pool.same_upper(), n), Some(n.div_ceil(s)));
            assert_eq!(lengths(pool.same_lower(), n), Some(n.div_ceil(s)));
        }
    }
}

/// "All arithmetic is checked: an overflow is an error, never a wrap."
#[test]
fn arithmetic_is_checked() {
    for huge in [usize::MAX, usize::MAX - 1, usize::MAX / 2 + 1, usize::MAX / 2] {
        for pool in [
            MaxPool::<f32>::new([huge]),
            MaxPool::<f32>::new([2]).dilation([huge]),
            MaxPool::<f32>::new([huge]).dilation([huge]),
            MaxPool::<f32>::new([2]).padding([huge]),
            MaxPool::<f32>::new([huge]).padding([huge - 1]),
            MaxPool::<f32>::new([huge]).padding([huge / 2 + 1]),
            MaxPool::<f32>::new([2]).padding([huge]).ceil_mode(true).allow_empty_windows(true),
            MaxPool::<f32>::new([huge]).same_upper().stride([huge]).dilation([huge]),
        ] {
            let error = pool.plan(Layout::Nchw, [1, 1, 9]).expect_err("a huge number");
            assert!(
                matches!(error, Error::SizeOverflow { .. } | Error::KernelTooLarge { .. } | Error::PadTooLarge { .. }),
                "{error:?}"
            );
        }
        assert!(MaxPool::<f32>::new([1]).plan(Layout::Nchw, [1, huge, huge]).is_err());
    }
}

/// "Output `o` has taps at `o·s − b + i·d` for `i = 0..k`; those in `[0, n)` are valid."
#[test]
fn taps() {
    let sums = |k: usize, s: usize, d: usize, b: usize, e: usize| {
        row(Op::Sum, &POWERS, |layer| kernel(layer, k).stride(&[s]).dilation(&[d]).padding_unequal(&[b], &[e]))
    };
    assert_eq!(sums(2, 1, 1, 0, 0), [3.0, 6.0, 12.0, 24.0, 48.0, 96.0, 192.0]);
    // −2, 1, 4 | 0, 3, 6 | 2, 5, 8
    assert_eq!(sums(3, 2, 3, 2, 1), [2.0 + 16.0, 1.0 + 8.0 + 64.0, 4.0 + 32.0]);
    // −1, 4 | 4, 9
    assert_eq!(sums(2, 5, 5, 1, 2), [16.0, 16.0]);
    // The oracle's own taps, since everything else rests on them.
    let axis = Axis::new(8, 3, 2, 3, AxisPad::Explicit(2, 1), false, false).expect("a valid axis");
    assert_eq!((axis.out, axis.valid(0), axis.valid(1), axis.valid(2)), (3, vec![1, 4], vec![0, 3, 6], vec![2, 5]));
    assert_eq!((axis.padded(0), axis.padded(2), axis.valid_numbers(0)), (3, 3, vec![1, 2]));
}

/// "A window of any rank is the product of its axes."
#[test]
fn windows_are_products() {
    // The value at (z, y, x) is the product of one factor an axis, so a window's sum is the product of the axes' sums.
    let (deep, high, wide) = ([1.0, 2.0, 4.0], [1.0, 8.0, 64.0, 512.0], [1.0, 3.0, 9.0, 27.0, 81.0]);
    let x = product(&deep, &high, &wide);
    let layer = Layer::new(Op::Sum, Layout::Nchw, &[1, 1, 3, 4, 5], &[2, 3, 2]);
    let layer = layer.stride(&[1, 2, 3]).padding_unequal(&[1, 1, 0], &[0, 1, 0]);
    let got = pool(&layer, &x);
    let axis = |values: &[f32], k: usize, s: usize, b: usize, e: usize| {
        row(Op::Sum, values, |layer| kernel(layer, k).stride(&[s]).padding_unequal(&[b], &[e]))
    };
    let (deep, high, wide) = (axis(&deep, 2, 1, 1, 0), axis(&high, 3, 2, 1, 1), axis(&wide, 2, 3, 0, 0));
    assert_eq!(got, product(&deep, &high, &wide));
}

/// "Global: one window, the whole plane."
#[test]
fn global_windows() {
    let x: Vec<f32> = (1..=24).map(|i| i as f32).collect();
    for (shape, want) in
        [([1, 2, 3, 4], vec![78.0, 222.0]), ([2, 1, 4, 3], vec![78.0, 222.0]), ([1, 1, 6, 4], vec![300.0])]
    {
        let layer = Layer::global(Op::Sum, Layout::Nchw, &shape);
        assert_eq!(pool(&layer, &x), want);
        let plan = layer.plan::<f32>(None).expect("a valid layer");
        assert_eq!(plan.output_shape()[2..], [1, 1]);
    }
    let max = Layer::global(Op::Max(Nan::Propagate), Layout::Nhwc, &[1, 2, 3, 4]);
    assert_eq!(pool(&max, &x), [23.0, 24.0]);
}

/// "padding not smaller than the span (unless `allow_empty_windows` asked for it)"
#[test]
fn empty_windows_are_asked_for() {
    let pool = SumPool::<f32>::new([2]).padding([2]);
    assert!(matches!(pool.plan(Layout::Nchw, [1, 1, 3]), Err(Error::PadTooLarge { padding: 2, span: 2, .. })));
    let allowed = pool.allow_empty_windows(true);
    let want = vec![0.0, 1.0, 3.0, 6.0, 4.0, 0.0];
    assert_eq!(allowed.run_once(Layout::Nchw, [1, 1, 3], &POWERS[..3]), Ok(want));
}
