//! Every index that names no tap of its window is an error, which names it and its place, and every other is none.

use super::*;
use lanepool::{Error, Index};

/// Layers of more windows than are checked together: many small planes, long rows, many channels, long windows.
fn long_layer(rng: &mut Rng) -> Layer {
    let (_, layout) = *rng.pick(&LAYOUTS);
    let rows: [[&[usize]; 4]; 7] = [
        [&[3, 40, 7, 7], &[3, 3], &[1, 1], &[1, 1]],
        [&[2, 2, 61, 40], &[3, 2], &[2, 2], &[1, 0]],
        [&[1, 1, 4, 1300], &[2, 3], &[1, 1], &[1, 1]],
        [&[2, 600, 4, 3], &[3, 3], &[2, 1], &[1, 1]],
        [&[1, 3, 30, 33], &[9, 5], &[3, 1], &[4, 2]],
        [&[1, 2, 9, 14, 50], &[2, 3, 3], &[1, 2, 1], &[1, 1, 1]],
        [&[1, 4, 2000], &[5], &[1], &[2]],
    ];
    let [shape, kernel, stride, padding] = *rng.pick(&rows);
    let mut shape = shape.to_vec();
    shape[1] = common::check::channels(layout, shape[1]);
    let layer = Layer::new(Op::Avg, layout, &shape, kernel).stride(stride).padding_unequal(padding, padding);
    if rng.one_in(2) { layer.dilation(&vec![2; kernel.len()]) } else { layer }
}

fn wrong_indices_are_found<I: Index + From<i32> + TryFrom<i64>>(layer: &Layer, rng: &mut Rng) {
    let Some(windows) = Windows::sliding(layer) else { return };
    let (number, kind) = *rng.pick(&[0, 1, 2, 3, 4, 5].map(|number| (number, KINDS[number])));
    let plan = pool::<Max, f32>(layer).backward::<I>(kind, layer.layout, &layer.shape).expect("a valid layer");
    let mut named = vec![Vec::new(); windows.output_len()];
    windows.each(|o, taps, _| named[o] = taps.iter().map(|tap| tap.indices[number]).collect());
    let most = named.iter().flatten().copied().max().unwrap_or(0);
    let index = |index: i64| I::try_from(index).ok();
    let mut indices: Vec<I> =
        named.iter().map(|taps| index(if taps.is_empty() { -1 } else { *rng.pick(taps) }).unwrap()).collect();
    let gradient = vec![1.0; windows.output_len()];
    let mut got = vec![0.0; windows.input_len()];
    for _ in 0..60 {
        let o = rng.within(0, windows.output_len() - 1);
        let near = named[o].first().copied().unwrap_or(0);
        let any = rng.within(0, most as usize + 2) as i64 - 1;
        let one = match rng.within(0, 5) {
            0 => any,
            1 => near + rng.within(0, 8) as i64 - 4,
            2 => named[o].last().copied().unwrap_or(0) + rng.within(0, 8) as i64 - 4,
            3 => near + (1 << 32),
            4 => near - (1 << rng.within(30, 40)),
            _ => near + (1 << rng.within(20, 62)),
        };
        let Some(wrong) = index(one) else { continue };
        let right = core::mem::replace(&mut indices[o], wrong);
        let is_valid = named[o].contains(&one) || named[o].is_empty() && one == -1;
        got.fill(7.0);
        let what = || format!("{layer}, {kind:?}: {one} at {o}, of {:?}", named[o]);
        match plan.run(&gradient, &indices, &mut got) {
            Ok(()) => assert!(is_valid, "taken: {}", what()),
            Err(Error::IndexOutOfRange { at, index, .. } | Error::IndexOutsideWindow { at, index }) => {
                assert!(!is_valid, "refused: {}", what());
                assert_eq!((at, index), (o, one), "{}", what());
                assert!(got.iter().all(|got| *got == 7.0), "written: {}", what());
            }
            Err(error) => panic!("{error}: {}", what()),
        }
        indices[o] = right;
    }
}

#[test]
fn indices_of_no_tap_are_found() {
    let mut rng = Rng::new(77);
    for _ in 0..1200 {
        let layer = layer(&mut rng, Op::Avg);
        wrong_indices_are_found::<i64>(&layer, &mut rng);
        wrong_indices_are_found::<i32>(&layer, &mut rng);
    }
    for _ in 0..60 {
        let layer = long_layer(&mut rng);
        wrong_indices_are_found::<i64>(&layer, &mut rng);
        wrong_indices_are_found::<i32>(&layer, &mut rng);
    }
}
