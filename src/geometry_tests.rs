//! The geometry against the sentences of its contract, exhaustively for small sizes.

use alloc::vec::Vec;

use super::*;

fn window(kernel: usize, stride: usize, dilation: usize, begin: usize, end: usize) -> Window {
    Window {
        kernel: Some(PerAxis::new(&[kernel])),
        stride: Some(PerAxis::new(&[stride])),
        dilation: Some(PerAxis::new(&[dilation])),
        padding: Some(Padding::Explicit { begin: PerAxis::new(&[begin]), end: PerAxis::new(&[end]) }),
        ceil: false,
        ceil_rule: CeilRule::StartsInside,
        allow_empty: false,
        padding_conflict: false,
    }
}

fn axis(n: usize, window: &Window) -> Result<Axis> {
    Geometry::new(window, Layout::Nchw, &[1, 1, n], 4).map(|geometry| geometry.axes[2])
}

/// Every small axis: `n, k, s, d, b, e, ceil`.
fn small() -> impl Iterator<Item = (usize, Window)> {
    let mut all = Vec::new();
    for n in 1..=9 {
        for k in 1..=5 {
            for s in 1..=4 {
                for d in 1..=3 {
                    for b in 0..=4 {
                        for e in 0..=4 {
                            for ceil in [false, true] {
                                all.push((n, Window { ceil, ..window(k, s, d, b, e) }));
                            }
                        }
                    }
                }
            }
        }
    }
    all.into_iter()
}

/// "floor: ⌊(n+b+e−span)/s⌋+1, needs n+b+e ≥ span; ceil: ⌈(n+b+e−span)/s⌉+1, then one less if the last window would
/// start at or past n+b".
#[test]
fn output_lengths_follow_the_formula() {
    let mut accepted = 0;
    for (n, window) in small() {
        let (k, s, d) = (window.kernel.unwrap().at(0), window.stride.unwrap().at(0), window.dilation.unwrap().at(0));
        let Some(Padding::Explicit { begin, end }) = window.padding else { unreachable!() };
        let (b, e) = (begin.at(0), end.at(0));
        let span = (d * (k - 1) + 1) as i64;
        let free = (n + b + e) as i64 - span;
        match axis(n, &window) {
            Ok(axis) => {
                assert!((b.max(e) as i64) < span);
                let mut output =
                    if window.ceil { (free + s as i64 - 1).div_euclid(s as i64) } else { free / s as i64 } + 1;
                if window.ceil && (output - 1) * s as i64 >= (n + b) as i64 {
                    output -= 1;
                }
                assert_eq!(axis.output as i64, output, "{n} {window:?}");
                accepted += 1;
            }
            Err(Error::PadTooLarge { .. }) => assert!(b.max(e) as i64 >= span),
            // "floor … needs n+b+e ≥ span"; ceil needs less than a stride of overhang, or ⌈free/s⌉ is below 0.
            Err(Error::KernelTooLarge { .. }) => assert!(if window.ceil { free <= -(s as i64) } else { free < 0 }),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(accepted > 10_000, "{accepted}");
}

/// "`EveryWindow`: all that the formula counts": the formula without its second half, and the windows it adds are empty.
#[test]
fn every_window_of_the_formula_can_be_kept() {
    let mut more = 0;
    for (n, window) in small().filter(|(_, window)| window.ceil) {
        let (kept, dropped) = (axis(n, &Window { ceil_rule: CeilRule::EveryWindow, ..window }), axis(n, &window));
        let Ok(kept) = kept else {
            assert_eq!(kept, dropped);
            continue;
        };
        let free = (n + kept.begin + kept.end) as i64 - kept.span() as i64;
        let s = kept.stride as i64;
        assert_eq!(kept.output as i64, (free + s - 1).div_euclid(s) + 1, "{n} {window:?}");
        let dropped = dropped.unwrap();
        for o in dropped.output..kept.output {
            assert_eq!(kept.taps(o).count, 0, "{kept:?} output {o}");
            more += 1;
        }
        assert_eq!(Axis { output: dropped.output, ..kept }, dropped);
    }
    assert!(more > 500, "{more}");
}

/// "Output o has taps at o·s − b + i·d for i = 0..k; those in [0, n) are valid."
#[test]
fn taps_are_the_valid_positions() {
    for (n, window) in small() {
        let Ok(axis) = axis(n, &window) else { continue };
        for o in 0..axis.output {
            let at = |i: usize| (o * axis.stride + i * axis.dilation) as i64 - axis.begin as i64;
            let valid: Vec<i64> = (0..axis.kernel).map(at).filter(|at| (0..n as i64).contains(at)).collect();
            let taps = axis.taps(o);
            let listed: Vec<i64> = (0..taps.count).map(|i| (taps.start + i * axis.dilation) as i64).collect();
            assert_eq!(listed, valid, "{axis:?} output {o}");
            let declared = -(axis.begin as i64)..(n + axis.end) as i64;
            assert_eq!(axis.count(o, Count::Valid), valid.len());
            assert_eq!(
                axis.count(o, Count::Padded),
                (0..axis.kernel).map(at).filter(|at| declared.contains(at)).count()
            );
        }
        let empty = (0..axis.output).any(|o| axis.taps(o).count == 0);
        let geometry =
            Geometry { outer: 1, inner: 1, axes: [Axis::ABSENT, Axis::ABSENT, axis], rank: 1, batch: 1, channels: 1 };
        assert!(geometry.may_have_empty_windows() || !empty, "{axis:?}");
        let (head, tail) = axis.cut_windows();
        for o in head..axis.output.saturating_sub(tail) {
            assert_eq!(axis.taps(o).count, axis.kernel, "{axis:?} output {o}");
        }
    }
}

/// "same-upper, same-lower: ⌈n/s⌉; total padding max((out−1)·s+span−n, 0); the odd one goes to the end (upper) or the
/// begin (lower)".
#[test]
fn same_padding_splits_the_odd_element() {
    for (n, mut window) in small() {
        for odd_at_end in [true, false] {
            window.padding = Some(Padding::Same { odd_at_end });
            window.ceil = false;
            let axis = axis(n, &window).unwrap();
            assert_eq!(axis.output, n.div_ceil(axis.stride));
            let total = ((axis.output - 1) * axis.stride + axis.span()).saturating_sub(n);
            let (more, less) = (total - total / 2, total / 2);
            assert_eq!((axis.begin, axis.end), if odd_at_end { (less, more) } else { (more, less) });
        }
    }
}

#[test]
fn a_global_window_is_the_plane() {
    let global = Window {
        kernel: None,
        stride: None,
        dilation: None,
        padding: None,
        ceil: false,
        ceil_rule: CeilRule::StartsInside,
        allow_empty: false,
        padding_conflict: false,
    };
    let geometry = Geometry::new(&global, Layout::Nchw, &[2, 3, 5, 7], 4).unwrap();
    assert!(geometry.is_global());
    assert_eq!(
        (geometry.output_shape().iter().product::<usize>(), geometry.axes.map(|axis| axis.count(0, Count::Valid))),
        (6, [1, 5, 7])
    );
}

/// All arithmetic is checked: whatever is given, the answer is a geometry or an error.
#[test]
fn huge_numbers_are_errors_or_exact() {
    let huge = [0, 1, 2, 3, usize::MAX / 2, usize::MAX - 1, usize::MAX, 1 << 31, (1 << 31) + 1, 1250999896764];
    for n in huge {
        for k in huge {
            for s in huge {
                for d in huge {
                    for p in huge {
                        let Ok(axis) = axis(n, &window(k, s, d, p, p)) else { continue };
                        let (n, k, s, p) = (n as u128, k as u128, s as u128, p as u128);
                        let span = if k == 1 { 1 } else { d as u128 * (k - 1) + 1 };
                        assert_eq!(axis.output as u128, (n + 2 * p - span) / s + 1);
                    }
                }
            }
        }
    }
}
