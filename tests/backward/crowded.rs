//! Elements that many windows hold: "one window after the other in the windows' row-major order, or where there are more
//! than 256 of them, blocks of 256 windows and then neighbouring blocks, an odd last one waiting". To the bit.

use super::*;

/// The sum of what the windows that hold an element give to it; `None` of a window whose maximum is elsewhere.
fn summed<T: Grad>(terms: &[Option<f64>]) -> f64 {
    let plus = |a: f64, b: f64| T::round(a + b);
    let chain = |terms: &[Option<f64>]| terms.iter().flatten().copied().fold(0.0, plus);
    if terms.len() <= 256 {
        return chain(terms);
    }
    let mut sums: Vec<f64> = terms.chunks(256).map(chain).collect();
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| pair.iter().copied().reduce(plus).expect("no empty chunk")).collect();
    }
    sums[0]
}

/// A layer with a window far longer than its input, so that each element is held by about as many windows as it has taps.
fn layer(rng: &mut Rng) -> Layer {
    let (_, layout) = *rng.pick(&LAYOUTS);
    let channels = common::check::channels(layout, if rng.one_in(4) { 35 } else { rng.within(1, 3) });
    let shape = [&[1, channels][..], &[rng.within(1, 3), rng.within(1, 3)]].concat();
    let columns = rng.within(1, 3);
    let kernel = [*rng.pick(&[255, 256, 257, 512, 513, 1100, 3000]) / columns, columns];
    let dilation = [rng.within(1, 2), 1];
    let padding: Vec<usize> = kernel.iter().zip(dilation).map(|(kernel, dilation)| (kernel - 1) * dilation).collect();
    let layer = Layer::new(Op::Avg, layout, &shape, &kernel).dilation(&dilation).padding(&padding);
    if rng.one_in(3) { layer.stride(&[rng.within(1, 2), 1]) } else { layer }
}

/// What each element's windows give to it, in the windows' order.
fn terms(
    windows: &Windows,
    mut give: impl FnMut(usize, &[Tap], usize, &mut dyn FnMut(usize, Option<f64>)),
) -> Vec<Vec<Option<f64>>> {
    let mut terms = vec![Vec::new(); windows.input_len()];
    windows.each(|o, taps, padded| give(o, taps, padded, &mut |at, term| terms[at].push(term)));
    terms
}

fn compare<T: Grad>(got: &[T], terms: &[Vec<Option<f64>>], what: &str) {
    let want: Vec<f64> = terms.iter().map(|terms| summed::<T>(terms)).collect();
    same(got, &want, &|| what.to_owned());
}

fn crowded<T: Grad>(rng: &mut Rng) {
    let layer = layer(rng);
    let windows = Windows::sliding(&layer).expect("a valid layer");
    let (layout, shape) = (layer.layout, &layer.shape);
    let gradient = Fill::Pattern.tensor::<T>(windows.output_len(), rng);
    let input = Fill::Pattern.tensor::<T>(windows.input_len(), rng);
    let mut got = vec![poison::<T>(); windows.input_len()];

    let average = pool::<Avg, T>(&layer).backward(layout, shape).expect("a valid layer");
    assert_eq!(average.run(&gradient, &mut got), Ok(()));
    let of_average = terms(&windows, |o, taps, _, give| {
        let divisor = T::round(taps.len() as f64);
        taps.iter().for_each(|tap| give(tap.at, Some(T::round(gradient[o].wide() / divisor))));
    });
    compare(&got, &of_average, &format!("average of {layer}"));

    let max = pool::<Max, T>(&layer).backward::<i64>(IndexKind::Plane, layout, shape).expect("a valid layer");
    let mut indices = vec![7; windows.output_len()];
    assert_eq!(max.run_from_input(&input, &gradient, &mut indices, &mut got), Ok(()));
    let of_maximum = terms(&windows, |o, taps, _, give| {
        for tap in taps {
            give(tap.at, (tap.pixel as i64 == indices[o]).then(|| gradient[o].wide()));
        }
    });
    compare(&got, &of_maximum, &format!("maximum of {layer}"));

    let norm = pool::<Lp, T>(&layer);
    let output = norm.plan(layout, shape).and_then(|plan| plan.run_vec(&input)).expect("a valid run");
    let backward = norm.backward(layout, shape).expect("a valid layer");
    assert_eq!(backward.run(&input, &output, &gradient, &mut got), Ok(()));
    let of_norm = terms(&windows, |o, taps, _, give| {
        for tap in taps {
            let share = T::round(input[tap.at].wide() / output[o].wide());
            let is_zero = output[o].wide() == 0.0;
            give(tap.at, Some(if is_zero { 0.0 } else { T::round(share * gradient[o].wide()) }));
        }
    });
    compare(&got, &of_norm, &format!("norm of {layer}"));

    let lengths = [*rng.pick(&[256, 600, 3001]), rng.within(1, 2)];
    let windows = Windows::adaptive(layout, shape, &lengths);
    let adaptive = AvgBackward::<T>::adaptive(lengths, layout, shape).expect("a valid layer");
    let gradient = Fill::Pattern.tensor::<T>(windows.output_len(), rng);
    assert_eq!(adaptive.run(&gradient, &mut got), Ok(()));
    let of_adaptive = terms(&windows, |o, taps, _, give| {
        let divisor = T::round(taps.len() as f64);
        taps.iter().for_each(|tap| give(tap.at, Some(T::round(gradient[o].wide() / divisor))));
    });
    compare(&got, &of_adaptive, &format!("{lengths:?} of {shape:?}, {layout}"));
}

every_float! { crowded_elements_are_summed_in_blocks: crowded, 12; }
