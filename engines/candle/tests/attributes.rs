//! What candle's own pooling does not have: padding, dilation, ceil mode, other types, other ranks; and gradients.

use candle_core::{CudaStorage, CustomOp1, DType, Device, MetalStorage, Module, Result, Tensor, Var};
use lanepool::{Any, AvgPool, MaxPool, Pool};
use lanepool_candle::{Differentiable, Pooling};

/// An axis of a window: its taps in the input, for each output.
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    ceil: bool,
}

impl Axis {
    /// Where the taps of each window are, padding too.
    fn windows(&self, length: usize) -> Vec<Vec<i64>> {
        let Self { kernel, stride, dilation, padding, ceil } = *self;
        let room = length + 2 * padding - (dilation * (kernel - 1) + 1);
        let mut count = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        if ceil && (count - 1) * stride >= length + padding {
            count -= 1;
        }
        let tap = |o: usize, i: usize| (o * stride + i * dilation) as i64 - padding as i64;
        (0..count).map(|o| (0..kernel).map(|i| tap(o, i)).collect()).collect()
    }
}

fn random_axis(rng: &mut fastrand::Rng) -> Axis {
    let (kernel, dilation) = (rng.usize(2..=3), rng.usize(1..=2));
    Axis { kernel, stride: rng.usize(1..=3), dilation, padding: rng.usize(0..=dilation), ceil: false }
}

/// A layer of two axes with every attribute.
fn layer<O: Differentiable>(axes: &[Axis; 2]) -> Pool<O, Any> {
    Pool::new(axes.each_ref().map(|axis| axis.kernel))
        .stride(axes.each_ref().map(|axis| axis.stride))
        .dilation(axes.each_ref().map(|axis| axis.dilation))
        .padding(axes.each_ref().map(|axis| axis.padding))
        .ceil_mode(axes[0].ceil)
}

/// Pools planes of `height` × `width`, one after the other, by `of`, which is given the valid taps, and how many lie inside the padding.
fn by_hand(
    x: &[f64],
    [height, width]: [usize; 2],
    axes: &[Axis; 2],
    mut of: impl FnMut(&[usize], usize) -> f64,
) -> Vec<f64> {
    let mut y = Vec::new();
    let inside = |taps: &[i64], length: usize, padding: usize| {
        taps.iter().filter(|tap| **tap < (length + padding) as i64).count()
    };
    let valid = |tap: i64, length: usize| usize::try_from(tap).ok().filter(|tap| *tap < length);
    for plane in 0..x.len() / (height * width) {
        for rows in axes[0].windows(height) {
            for columns in axes[1].windows(width) {
                let row = |row: &i64| valid(*row, height);
                let taps: Vec<usize> = rows
                    .iter()
                    .filter_map(row)
                    .flat_map(|row| columns.iter().filter_map(move |column| Some(row * width + valid(*column, width)?)))
                    .map(|tap| plane * height * width + tap)
                    .collect();
                y.push(of(&taps, inside(&rows, height, axes[0].padding) * inside(&columns, width, axes[1].padding)));
            }
        }
    }
    y
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

const TYPES: [DType; 9] = [
    DType::F32,
    DType::F64,
    DType::F16,
    DType::BF16,
    DType::U8,
    DType::I16,
    DType::I32,
    DType::U32,
    DType::I64,
];

#[test]
fn every_attribute_and_type_is_what_its_definition_says() -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(6);
    for _ in 0..300 {
        let mut axes = [random_axis(&mut rng), random_axis(&mut rng)];
        let ceil = rng.bool();
        axes.iter_mut().for_each(|axis| axis.ceil = ceil);
        let plane = [rng.usize(7..12), rng.usize(7..12)];
        let values: Vec<f64> = (0..6 * plane[0] * plane[1]).map(|_| rng.u8(0..100).into()).collect();
        let x = Tensor::from_slice(&values, (2, 3, plane[0], plane[1]), &Device::Cpu)?;
        let dtype = rng.choice(TYPES).unwrap();
        let x = x.to_dtype(dtype)?;
        let sum = |taps: &[usize]| taps.iter().map(|tap| values[*tap]).sum::<f64>();
        let largest = |taps: &[usize], _| taps.iter().map(|tap| values[*tap]).fold(f64::NEG_INFINITY, f64::max);
        let largest = by_hand(&values, plane, &axes, largest);
        assert_eq!(numbers(&Pooling::new(layer::<lanepool::Max>(&axes)).forward(&x)?)?, largest, "{dtype:?}");
        let smallest = |taps: &[usize], _| taps.iter().map(|tap| values[*tap]).fold(f64::INFINITY, f64::min);
        let smallest = by_hand(&values, plane, &axes, smallest);
        assert_eq!(numbers(&Pooling::new(layer::<lanepool::Min>(&axes)).forward(&x)?)?, smallest, "{dtype:?}");
        if dtype == DType::I64 {
            // Integers of 64 bits have no averages, and a sentence says so.
            let error = Pooling::new(layer::<lanepool::Avg>(&axes)).forward(&x).unwrap_err().to_string();
            assert!(error.starts_with("i64 and u64 have maxima and minima, but no sums or averages"), "{error}");
            continue;
        }
        for include in [false, true] {
            let mean = |taps: &[usize], inside| sum(taps) / if include { inside } else { taps.len() } as f64;
            let pool = layer::<lanepool::Avg>(&axes).count_include_pad(include);
            let got = numbers(&Pooling::new(pool).forward(&x)?)?;
            for (got, mean) in got.into_iter().zip(by_hand(&values, plane, &axes, mean)) {
                // Integers round half to even; sums of small integers are exact in f32, and the quotient is rounded once.
                let (mean, rounding) = match dtype {
                    DType::BF16 => (mean, 2_f64.powi(-8)),
                    DType::F16 => (mean, 2_f64.powi(-11)),
                    DType::F32 => (mean, 2_f64.powi(-24)),
                    DType::F64 => (mean, 2_f64.powi(-53)),
                    _ => (mean.round_ties_even(), 0.0),
                };
                assert!((got - mean).abs() <= rounding * mean * 1.001, "{dtype:?}: {got} and {mean}");
            }
        }
    }
    Ok(())
}

#[test]
fn one_and_three_dimensions() -> Result<()> {
    let x = Tensor::arange(0_f32, 24.0, &Device::Cpu)?;
    let line = Pooling::new(MaxPool::new([4]).stride([4])).forward(&x.reshape((1, 2, 12))?)?;
    assert_eq!(line.to_vec3::<f32>()?, [[[3.0, 7.0, 11.0], [15.0, 19.0, 23.0]]]);
    let room = Pooling::new(AvgPool::new([2, 3, 2]).stride([2, 3, 2])).forward(&x.reshape((1, 1, 2, 3, 4))?)?;
    assert_eq!((room.dims(), numbers(&room)?), (&[1, 1, 1, 1, 2][..], vec![10.5, 12.5]));
    Ok(())
}

#[test]
fn a_module_takes_any_strides_and_an_operator_says_what_it_takes() -> Result<()> {
    let x = Tensor::arange(0_f32, 12.0, &Device::Cpu)?.reshape((1, 1, 3, 4))?;
    let (turned, part) = (x.transpose(2, 3)?, x.narrow(2, 1, 2)?);
    let layer = Pooling::new(MaxPool::new([2, 2]));
    assert_eq!(numbers(&layer.forward(&turned)?)?, [5.0, 9.0, 6.0, 10.0, 7.0, 11.0]);
    // Contiguous, but not from the beginning of its storage.
    assert_eq!(numbers(&part.apply_op1(layer.clone())?)?, [9.0, 10.0, 11.0]);
    let error = turned.apply_op1(layer).unwrap_err().to_string();
    let says = "lanepool pools contiguous tensors, and this one of shape [1, 1, 4, 3] has the strides [12, 12, 1, 4]";
    assert!(error.starts_with(says), "{error}");
    Ok(())
}

#[test]
fn mistakes_are_sentences() -> Result<()> {
    let layer = Pooling::new(MaxPool::new([2, 2]));
    let says = |x: Tensor| layer.forward(&x).unwrap_err().to_string();
    let tiny = says(Tensor::zeros((1, 1, 4, 4), DType::F8E4M3, &Device::Cpu)?);
    assert!(tiny.starts_with("lanepool does not pool elements of type F8E4M3"), "{tiny}");
    let short = lanepool::MaxPool::<f32>::new([2, 2]).output_shape([1, 1, 1, 4]).unwrap_err().to_string();
    let got = says(Tensor::zeros((1, 1, 1, 4), DType::F32, &Device::Cpu)?);
    assert!(got.starts_with(&short), "{got}");
    let layout = candle_core::Layout::contiguous((1, 1, 4, 4));
    let cuda = layer.cuda_fwd(&CudaStorage, &layout).unwrap_err().to_string();
    assert!(cuda.starts_with("lanepool pools on the CPU, and the tensor is on a CUDA device"), "{cuda}");
    let metal = layer.metal_fwd(&MetalStorage, &layout).unwrap_err().to_string();
    assert!(metal.starts_with("lanepool pools on the CPU, and the tensor is on a Metal device"), "{metal}");
    Ok(())
}

/// The gradient of `Σ y·g` that candle's backward pass finds, and the one that follows from the layer's linear form: each output's `g`
/// times the weight of each tap.
fn gradients<O: Differentiable>(
    layer: Pool<O, Any>,
    x: &Tensor,
    g: &Tensor,
    axes: &[Axis; 2],
    weigh: impl Fn(&[usize]) -> Vec<f64>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let x = Var::from_tensor(x)?;
    let y = Pooling::new(layer).forward(&x)?;
    let loss = (y * g)?.sum_all()?;
    let got = numbers(loss.backward()?.get(&x).expect("x has a gradient"))?;
    let (values, g) = (numbers(&x)?, numbers(g)?);
    let mut expected = vec![0.0; values.len()];
    let mut windows = Vec::new();
    by_hand(&values, [x.dim(2)?, x.dim(3)?], axes, |taps, _| {
        windows.push(taps.to_vec());
        0.0
    });
    for (taps, g) in windows.iter().zip(g) {
        for (tap, weight) in taps.iter().zip(weigh(taps)) {
            expected[*tap] += weight * g;
        }
    }
    Ok((got, expected))
}

#[test]
fn gradients_go_where_the_values_came_from() -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..50 {
        let axes = [random_axis(&mut rng), random_axis(&mut rng)];
        let plane = [rng.usize(7..12), rng.usize(7..12)];
        // All different, so that one tap is the largest.
        let mut values: Vec<f64> = (0..2 * plane[0] * plane[1]).map(|value| value as f64).collect();
        rng.shuffle(&mut values);
        let x = Tensor::from_slice(&values, (1, 2, plane[0], plane[1]), &Device::Cpu)?;
        let g: Vec<f64> = by_hand(&values, plane, &axes, |_, _| f64::from(rng.f32()));
        let g = Tensor::from_vec(g, Pooling::new(layer::<lanepool::Max>(&axes)).forward(&x)?.dims(), &Device::Cpu)?;
        let at = |taps: &[usize], chosen: Option<&usize>| {
            taps.iter().map(|tap| f64::from(u8::from(Some(tap) == chosen))).collect()
        };
        let by_value = |a: &&usize, b: &&usize| values[**a].total_cmp(&values[**b]);
        let max =
            gradients(layer::<lanepool::Max>(&axes), &x, &g, &axes, |taps| at(taps, taps.iter().max_by(by_value)))?;
        let min =
            gradients(layer::<lanepool::Min>(&axes), &x, &g, &axes, |taps| at(taps, taps.iter().min_by(by_value)))?;
        let mean = |taps: &[usize]| vec![1.0 / taps.len() as f64; taps.len()];
        let mean = gradients(layer::<lanepool::Avg>(&axes), &x, &g, &axes, mean)?;
        let sum = gradients(layer::<lanepool::Sum>(&axes), &x, &g, &axes, |taps| vec![1.0; taps.len()])?;
        for (name, (got, expected)) in [("max", max), ("min", min), ("mean", mean), ("sum", sum)] {
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() <= 1e-12, "{name}: {got} and {expected}");
            }
        }
    }
    let x = Tensor::zeros((1, 1, 4, 4), DType::U8, &Device::Cpu)?;
    let error = Pooling::new(MaxPool::new([2, 2])).bwd(&x, &x, &x).unwrap_err().to_string();
    assert!(error.starts_with("lanepool-max has no gradient for elements of type U8"), "{error}");
    Ok(())
}
