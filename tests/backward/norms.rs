//! Gradients of norms: those that are exact to the bit, powers to a few units in the last place.

use super::*;

/// What a window of norm `y` gives to one of its elements `x`, of gradient `g` and by so many taps; `None` for a tap that is
/// none of the first with a norm of infinity.
fn norm_term<T: Grad>(p: f64, x: f64, y: f64, g: f64, taps: Option<f64>) -> f64 {
    let sign = if x == 0.0 || x.is_nan() { x } else { x.signum() };
    let slope = match p {
        1.0 | f64::INFINITY => sign,
        2.0 => T::round(x / y),
        _ if x == 0.0 && !y.is_nan() => 0.0,
        p if p < 1.0 => sign * T::round(T::round(y / x.abs()).powf(1.0 - p)),
        p => sign * T::round(T::round(x.abs() / y).powf(p - 1.0)),
    };
    let g = taps.map_or(g, |taps| T::round(g / T::round(taps)));
    let term = T::round(T::round(slope) * g);
    if y == 0.0 { 0.0 } else { term }
}

/// Norms: each window adds its slope, times its gradient, to each of its taps; of a norm of infinity to the first that has
/// it.
fn norm_is_scattered<T: Grad>(rng: &mut Rng) {
    let layer = layer(rng, Op::Avg);
    let windows = Windows::sliding(&layer).expect("a valid layer");
    let p = *rng.pick(&[1.0, 2.0, 2.0, f64::INFINITY, f64::INFINITY, 3.0, 0.5, 2.5]);
    let mean = rng.one_in(3);
    let plan = pool::<Lp, T>(&layer).p(p).mean(mean).backward(layer.layout, &layer.shape);
    let plan = plan.unwrap_or_else(|error| panic!("{layer}: {error}"));
    let is_exact = [1.0, 2.0, f64::INFINITY].contains(&p);
    let fill = if is_exact { *rng.pick(&[Fill::Edges, Fill::Pattern, Fill::Nans]) } else { Fill::Pattern };
    let input = fill.tensor::<T>(windows.input_len(), rng);
    let gradient = if rng.one_in(2) { Fill::Pattern } else { fill }.tensor::<T>(windows.output_len(), rng);
    let (mut output, mut want) = (vec![T::zeroed(); windows.output_len()], vec![0.0; windows.input_len()]);
    // What is added, without its signs: for the error of powers.
    let mut sizes = vec![0.0; windows.input_len()];
    windows.each(|o, taps, _| {
        let elements = || taps.iter().map(|tap| input[tap.at].wide().abs());
        let sum: f64 = elements().map(|x| x.powf(p)).sum();
        let count = (mean && p.is_finite()).then_some(taps.len() as f64);
        let norm = if p.is_finite() {
            (sum / count.unwrap_or(1.0)).powf(1.0 / p)
        } else if elements().any(f64::is_nan) {
            f64::NAN
        } else {
            elements().fold(0.0, f64::max)
        };
        output[o] = <T as Grad>::narrow(norm);
        let (y, g) = (output[o].wide(), gradient[o].wide());
        let first = elements().position(|x| x == y);
        for (number, tap) in taps.iter().enumerate() {
            let term = match p {
                f64::INFINITY if y.is_nan() => y,
                f64::INFINITY if y == 0.0 || first != Some(number) => continue,
                p => norm_term::<T>(p, input[tap.at].wide(), y, g, count),
            };
            want[tap.at] = T::round(want[tap.at] + term);
            sizes[tap.at] += term.abs();
        }
    });
    let mut got = vec![poison::<T>(); windows.input_len()];
    assert_eq!(plan.run(&input, &output, &gradient, &mut got), Ok(()));
    let what = || format!("p = {p}, mean {mean}, {layer}");
    if is_exact {
        return same(&got, &want, &what);
    }
    // Any two good powers are within two units in the last place of each other.
    let unit = 2.0 * T::EPSILON;
    for ((got, want), size) in got.iter().zip(&want).zip(&sizes) {
        let (got, narrow) = (got.wide(), <T as Grad>::narrow(*want).wide());
        assert!((got - narrow).abs() <= 4.0 * unit * size + unit * want.abs(), "{}: {got}, not {want}", what());
    }
}

every_float! { norms_are_scattered: norm_is_scattered, 300; }
