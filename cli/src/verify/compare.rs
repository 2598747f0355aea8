//! When a result agrees with an engine's.
//!
//! Maxima, minima, indices and integers must be equal by value: −0 is +0 and any NaN is any other. Averages of floats
//! may differ by what another order of additions can change, and 16-bit floats by where they are rounded. Norms are
//! compared by what the engine's rule makes of a window that overhangs the input, quantised averages by what is exact.

use safetensors::Dtype;

use super::checks::{Operation, Pass, Work};
use super::run_variable::Variable;

/// How far a result may be from the engine's.
pub enum Rule {
    /// Equal by value.
    Exact,
    /// Indices: equal, but that a window without a valid tap has none, which is −1. It is given for each output. PyTorch names
    /// an element there that the window does not hold, or that does not exist.
    Indices { is_empty: Vec<bool> },
    /// A few units in the last place of the largest magnitude in the window, which is given for each output; and a unit of
    /// the last decimal, where the values were typed in with a few decimals.
    ///
    /// `narrow`: the engine sums 16-bit floats in their own precision, not in f32.
    Average { largest: Vec<f64>, typed: f64, narrow: bool },
    /// A few units in the last place: terms of one sign cannot cancel. Each result is multiplied by its factor before.
    Norm { factors: Vec<f64> },
    /// Equal, or 1 apart where the exact value, which is given for each output, lies next to a tie.
    Quantized { exact: Vec<f64> },
}

/// Units in the last place of the window's largest magnitude by which two averages may differ, in the format that they
/// are summed in.
const FEW: f64 = 4.0;

/// How near to a tie a quantised result may be rounded either way.
const NEAR: f64 = 1e-3;

impl Rule {
    /// The rule for a piece of work, `input` and `expected` being its tensors' elements.
    pub fn new(work: &Work<'_>, input: &[f64], expected: &[f64]) -> Self {
        match &work.pass {
            Pass::Forward => {}
            Pass::Unpool { .. } => return Self::Exact,
            // Sums of whole gradients, in the order in which everybody visits the windows.
            Pass::Backward { .. } if work.operation == Operation::Max => return Self::Exact,
            // Shares of gradients: no more windows hold an element, roughly, than a window has taps to share with.
            Pass::Backward { grad_output, .. } => {
                let gradients = grad_output.values().unwrap_or_default();
                let most = gradients.iter().fold(0.0_f64, |most, gradient| most.max(gradient.abs()));
                return Self::Average { largest: vec![most; expected.len()], typed: 0.0, narrow: false };
            }
        }
        let average = |divisor| Self::Average {
            largest: largest(work, input, divisor),
            typed: typed(input, expected),
            narrow: false,
        };
        match work.operation {
            Operation::Max | Operation::Min => Self::Exact,
            Operation::Sum | Operation::Average { .. } if Format::of(work.input.dtype).is_none() => Self::Exact,
            Operation::Variable(Variable::MaxIndices(_)) => {
                Self::Indices { is_empty: windows(work, input, |taps| taps.is_empty()) }
            }
            Operation::Variable(variable) => match variable.average_windows(work) {
                Some(windows) if Format::of(work.input.dtype).is_some() => {
                    let largest = windows_in(input, spatial(&work.input.shape), &windows, magnitude);
                    // PyTorch's adaptive average of three axes is `sum / kT / kH / kW` in the element's type; that of fewer axes
                    // accumulates in f32, as its other averages do.
                    let narrow = work.input.shape.len() == 5;
                    Self::Average { largest, typed: typed(input, expected), narrow }
                }
                _ => Self::Exact,
            },
            Operation::Sum => average(Some(1)),
            Operation::Average { divisor, .. } => average(divisor),
            Operation::Lp { p, scales_overhang } => {
                let whole = work.window.taps(&work.input.shape) as f64;
                let factor =
                    |taps: &[f64]| if scales_overhang { (whole / taps.len() as f64).powf(p.recip()) } else { 1.0 };
                Self::Norm { factors: windows(work, input, factor) }
            }
            Operation::QuantizedAverage { input: (scale, zero), output: (scale_out, zero_out), include_pad } => {
                let ratio = f64::from(scale) / f64::from(scale_out);
                // The files hold no ceil mode, so that a whole window lies within the padded input.
                let whole = work.window.taps(&work.input.shape);
                let exact = |taps: &[f64]| {
                    let divisor = if include_pad { whole } else { taps.len() };
                    let sum: f64 = taps.iter().map(|tap| tap - f64::from(zero)).sum();
                    sum * ratio / divisor as f64 + f64::from(zero_out)
                };
                Self::Quantized { exact: windows(work, input, exact) }
            }
        }
    }

    /// Whether output number `at` agrees.
    fn agrees(&self, dtype: Dtype, at: usize, expected: f64, got: f64) -> bool {
        let got = match self {
            Self::Norm { factors } => got * factors.get(at).copied().unwrap_or(1.0),
            Self::Indices { is_empty } if is_empty.get(at) == Some(&true) => return got == -1.0,
            _ => got,
        };
        if expected == got || expected.is_nan() && got.is_nan() {
            return true;
        }
        match (self, Format::of(dtype)) {
            (Self::Average { largest, typed, narrow }, Some(format)) if expected.is_finite() && got.is_finite() => {
                let largest = largest.get(at).copied().unwrap_or(0.0);
                // 16-bit floats are summed in f32, and rounded to their own precision at the end.
                let (sums, last) = match dtype {
                    Dtype::F16 | Dtype::BF16 if !narrow => (F32, format.ulp(expected)),
                    _ => (format, 0.0),
                };
                largest.is_finite() && (expected - got).abs() <= last + typed + FEW * sums.ulp(largest)
            }
            (Self::Norm { .. }, Some(format)) if expected.is_finite() && got.is_finite() => {
                (expected - got).abs() <= FEW * format.ulp(expected)
            }
            (Self::Quantized { exact }, None) => {
                let is_near_tie = |exact: f64| (exact - exact.floor() - 0.5).abs() <= NEAR;
                (expected - got).abs() <= 1.0 && exact.get(at).is_some_and(|exact| is_near_tie(*exact))
            }
            _ => false,
        }
    }

    /// The first output that does not agree.
    pub fn first_difference(&self, dtype: Dtype, expected: &[f64], got: &[f64]) -> Option<usize> {
        let differs =
            |(at, (&expected, &got)): (usize, (&f64, &f64))| (!self.agrees(dtype, at, expected, got)).then_some(at);
        let shorter = || (expected.len() != got.len()).then_some(expected.len().min(got.len()));
        expected.iter().zip(got).enumerate().find_map(differs).or_else(shorter)
    }
}

/// A binary floating-point format: digits of the significand, and the exponent of the smallest normal number.
#[derive(Clone, Copy)]
struct Format {
    digits: i32,
    least: i32,
}

const F32: Format = Format { digits: 24, least: -126 };

impl Format {
    /// The format of an element type; `None` for integers.
    fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F64 => Some(Self { digits: 53, least: -1022 }),
            Dtype::F32 => Some(F32),
            Dtype::F16 => Some(Self { digits: 11, least: -14 }),
            Dtype::BF16 => Some(Self { digits: 8, least: -126 }),
            _ => None,
        }
    }

    /// The unit in the last place of `value`'s magnitude.
    fn ulp(self, value: f64) -> f64 {
        // The exponent by its bits: a logarithm may round up to the next one.
        let bits = (value.abs().to_bits() >> 52) as i32;
        2.0_f64.powi((bits - 1023).max(self.least) - (self.digits - 1))
    }
}

/// The unit of the last decimal of values that were typed in by hand; 0 for values that were computed.
///
/// The ONNX node test `averagepool_2d_ceil_last_window_starts_on_pad` has numbers of four decimals for input, and averages
/// of four decimals for output. Both were rounded after the average had been computed, by half a unit each. Computed
/// values never look like that, and neither do small whole numbers and their averages.
fn typed(input: &[f64], expected: &[f64]) -> f64 {
    let decimals = |values: &[f64]| {
        let fits = |decimals: &i32| {
            let unit = 10.0_f64.powi(*decimals);
            values.iter().all(|&value| f64::from(((value * unit).round() / unit) as f32) == value)
        };
        (0..=4).find(fits)
    };
    match (decimals(input), decimals(expected)) {
        (Some(of_input @ 3..), Some(of_expected @ 3..)) => 10.0_f64.powi(-of_input.min(of_expected)),
        _ => 0.0,
    }
}

/// Depth, height and width of a shape, absent ones 1.
pub fn spatial(shape: &[usize]) -> [usize; 3] {
    let mut axes = [1; 3];
    axes[5 - shape.len()..].copy_from_slice(&shape[2..]);
    axes
}

/// The largest magnitude. `max` drops NaN, which decides nothing here: its average is NaN, and that is compared first.
fn magnitude(taps: &[f64]) -> f64 {
    taps.iter().fold(0.0, |most, tap| f64::max(most, tap.abs()))
}

/// For each output the largest magnitude in its window, times what a divisor smaller than the window makes of it.
fn largest(work: &Work<'_>, input: &[f64], divisor: Option<usize>) -> Vec<f64> {
    windows(work, input, |taps| {
        let gain = divisor.map_or(1.0, |divisor| (taps.len() as f64 / divisor as f64).max(1.0));
        magnitude(taps) * gain
    })
}

/// For each output, what `of` makes of the valid taps of its window.
fn windows<R>(work: &Work<'_>, input: &[f64], of: impl Fn(&[f64]) -> R) -> Vec<R> {
    let absent = 5 - work.input.shape.len();
    let [depth, height, width] = spatial(&work.input.shape);
    let outputs = spatial(&work.expected.shape);
    let taps = |axis: usize, o: usize| -> Vec<usize> {
        match axis.checked_sub(absent) {
            Some(present) => work.window.axis(present, work.input.shape[present + 2]).taps(o).collect(),
            None => vec![0],
        }
    };
    let taps = [0, 1, 2].map(|axis| (0..outputs[axis]).map(|o| taps(axis, o)).collect::<Vec<_>>());
    windows_in(input, [depth, height, width], &taps, of)
}

/// The taps of each output, on each of three axes.
pub type Taps = [Vec<Vec<usize>>; 3];

/// The same where the taps are given.
fn windows_in<R>(input: &[f64], axes: [usize; 3], taps: &Taps, of: impl Fn(&[f64]) -> R) -> Vec<R> {
    let [depth, height, width] = axes;
    let plane = depth * height * width;
    let (mut results, mut window) = (Vec::new(), Vec::new());
    for plane in input.chunks_exact(plane.max(1)) {
        for z in &taps[0] {
            for y in &taps[1] {
                for x in &taps[2] {
                    window.clear();
                    for (z, y) in z.iter().flat_map(|z| y.iter().map(move |y| (z, y))) {
                        let row = &plane[(z * height + y) * width..][..width];
                        window.extend(x.iter().map(|&x| row[x]));
                    }
                    results.push(of(&window));
                }
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    fn average(largest: f64) -> Rule {
        Rule::Average { largest: vec![largest], typed: 0.0, narrow: false }
    }

    #[test]
    fn zeros_are_equal_and_so_are_nans() {
        assert!(Rule::Exact.agrees(Dtype::F32, 0, 0.0, -0.0));
        assert!(Rule::Exact.agrees(Dtype::F32, 0, f64::NAN, -f64::NAN));
        assert!(!Rule::Exact.agrees(Dtype::F32, 0, f64::NAN, 1.0));
        assert!(!Rule::Exact.agrees(Dtype::F32, 0, 1.0, f64::NAN));
        assert!(!Rule::Exact.agrees(Dtype::F32, 0, f64::INFINITY, f64::NEG_INFINITY));
        assert!(!Rule::Exact.agrees(Dtype::F32, 0, 1.0, 1.0 + f64::from(f32::EPSILON)));
    }

    #[test]
    fn an_index_is_exact_and_a_window_without_a_tap_has_none() {
        let rule = Rule::Indices { is_empty: vec![false, true] };
        assert!(rule.agrees(Dtype::I64, 0, 7.0, 7.0) && !rule.agrees(Dtype::I64, 0, 7.0, -1.0));
        assert!(rule.agrees(Dtype::I64, 1, 16.0, -1.0) && !rule.agrees(Dtype::I64, 1, 16.0, 16.0));
    }

    #[test]
    fn an_average_may_differ_by_a_few_units_of_the_largest_magnitude_and_by_no_more() {
        let ulp = f64::from(f32::EPSILON);
        assert!(average(1.0).agrees(Dtype::F32, 0, 0.5, 0.5 + 4.0 * ulp));
        assert!(!average(1.0).agrees(Dtype::F32, 0, 0.5, 0.5 + 4.5 * ulp));
        assert!(!average(1.0).agrees(Dtype::F64, 0, 0.5, 0.5 + ulp));
        // Cancellation: the sum is small, its terms were not.
        assert!(average(1e6).agrees(Dtype::F32, 0, 0.0, 0.1));
    }

    #[test]
    fn infinity_is_no_licence() {
        assert!(!average(f64::INFINITY).agrees(Dtype::F32, 0, 1.0, 2.0));
        assert!(!average(f64::INFINITY).agrees(Dtype::F32, 0, f64::INFINITY, 2.0));
        assert!(!average(f64::INFINITY).agrees(Dtype::F32, 0, f64::NAN, f64::INFINITY));
    }

    #[test]
    fn sixteen_bit_averages_may_differ_by_one_unit() {
        for (dtype, ulp) in [(Dtype::F16, 2.0_f64.powi(-10)), (Dtype::BF16, 2.0_f64.powi(-7))] {
            assert!(average(1.0).agrees(dtype, 0, 1.0, 1.0 + ulp));
            assert!(!average(1.0).agrees(dtype, 0, 1.0, 1.0 + 2.0 * ulp));
        }
    }

    #[test]
    fn norms_are_compared_by_the_engines_rule_and_closely() {
        let ulp = f64::from(f32::EPSILON);
        let norm = |factor| Rule::Norm { factors: vec![factor] };
        assert!(norm(1.0).agrees(Dtype::F32, 0, 1.0, 1.0 + 4.0 * ulp));
        assert!(!norm(1.0).agrees(Dtype::F32, 0, 1.0, 1.0 + 5.0 * ulp));
        assert!(norm(1.5).agrees(Dtype::F32, 0, 3.0, 2.0));
        assert!(!norm(1.5).agrees(Dtype::F32, 0, 2.0, 2.0));
        assert!(!norm(1.0).agrees(Dtype::F32, 0, f64::INFINITY, 2.0));
    }

    #[test]
    fn quantised_results_may_differ_by_one_beside_a_tie_only() {
        let near = |exact, expected, got| Rule::Quantized { exact: vec![exact] }.agrees(Dtype::U8, 0, expected, got);
        assert!(near(2.4995, 2.0, 3.0) && near(2.5005, 3.0, 2.0) && near(-2.5, -3.0, -2.0));
        assert!(!near(2.49, 2.0, 3.0) && !near(3.0, 3.0, 4.0));
        assert!(!near(2.5, 2.0, 4.0));
    }

    #[test]
    fn an_engine_that_sums_in_16_bits_may_differ_by_a_few_of_their_units() {
        let rule = Rule::Average { largest: vec![1.0], typed: 0.0, narrow: true };
        let ulp = 2.0_f64.powi(-10);
        assert!(rule.agrees(Dtype::F16, 0, 0.25, 0.25 + 4.0 * ulp));
        assert!(!rule.agrees(Dtype::F16, 0, 0.25, 0.25 + 4.25 * ulp));
    }

    #[test]
    fn typed_decimals_are_told_from_computed_ones() {
        let f32s = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        assert_eq!(typed(&f32s(&[0.858, 0.0786, 0.2692]), &f32s(&[0.1511, 0.2841])), 1e-4);
        // Exact averages of short numbers.
        assert_eq!(typed(&[1.0, 2.0], &[1.5]), 0.0);
        assert_eq!(typed(&[0.25, 0.5], &[0.375]), 0.0);
        // Numbers that were computed, before or after.
        assert_eq!(typed(&f32s(&[0.858, 1.0 / 3.0]), &f32s(&[0.5957])), 0.0);
        assert_eq!(typed(&f32s(&[0.858, 0.0786]), &f32s(&[0.858 / 3.0, 1.0 / 7.0])), 0.0);
        assert_eq!(typed(&[0.5, f64::NAN], &[f64::NAN]), 0.0);
    }

    #[test]
    fn the_unit_in_the_last_place_is_that_of_the_format() {
        let f16 = Format::of(Dtype::F16).unwrap();
        assert_eq!(f16.ulp(1.0), 2.0_f64.powi(-10));
        assert_eq!(f16.ulp(-1.999), 2.0_f64.powi(-10));
        assert_eq!(f16.ulp(2.0), 2.0_f64.powi(-9));
        // Subnormal numbers all have the same.
        assert_eq!(f16.ulp(1e-6), 2.0_f64.powi(-24));
        assert_eq!(f16.ulp(0.0), 2.0_f64.powi(-24));
    }

    #[test]
    fn the_first_difference_is_found_and_so_is_a_missing_end() {
        assert_eq!(Rule::Exact.first_difference(Dtype::U8, &[1.0, 2.0, 3.0], &[1.0, 5.0, 6.0]), Some(1));
        assert_eq!(Rule::Exact.first_difference(Dtype::U8, &[1.0, 2.0], &[1.0]), Some(1));
        assert_eq!(Rule::Exact.first_difference(Dtype::U8, &[1.0, 2.0], &[1.0, 2.0]), None);
    }
}
