//! Layers that are longer than what is summed at once: long rows, many channels, many planes. To the bit.

use super::*;

/// A layer that is long on one axis, and adaptive lengths that are.
fn long(rng: &mut Rng) -> (Layer, (Layout, Vec<usize>, Vec<usize>)) {
    loop {
        let (_, layout) = *rng.pick(&LAYOUTS);
        let channels = |rng: &mut Rng, most: usize| common::check::channels(layout, rng.within(1, most));
        let shape = match rng.below(3) {
            0 => vec![rng.within(1, 2), channels(rng, 3), rng.within(1, 3), rng.within(400, 2600)],
            1 => vec![1, channels(rng, 700), rng.within(1, 4), rng.within(3, 9)],
            _ => vec![rng.within(1, 9), channels(rng, 60), rng.within(2, 8), rng.within(2, 9)],
        };
        let mut pair = |most: usize| [rng.within(1, most), rng.within(1, most)];
        let (kernel, stride, dilation) = (pair(5), pair(6), pair(3));
        let padding = kernel.map(|kernel| kernel / 2);
        let layer = Layer::new(Op::Avg, layout, &shape, &kernel).stride(&stride).dilation(&dilation);
        let layer = layer.padding(&padding).ceil(rng.one_in(2));
        if oracle::axes(&layer).is_some() {
            let lengths = shape[2..].iter().map(|n| rng.within(1, if *n > 100 { 2 * n } else { 9 })).collect();
            return (layer, (layout, shape, lengths));
        }
    }
}

fn long_average<T: Grad>(rng: &mut Rng) {
    let (layer, adaptive) = long(rng);
    average_of::<T>(&layer, adaptive, rng);
}

fn long_maximum<T: Grad>(rng: &mut Rng) {
    let (layer, adaptive) = long(rng);
    maximum_of::<T>(&layer, adaptive, rng);
}

every_float! {
    long_averages_are_scattered: long_average, 12;
    long_maxima_are_scattered: long_maximum, 12;
}
