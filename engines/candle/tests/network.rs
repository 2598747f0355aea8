//! A small network whose pooling is lanepool's, against the same network with candle's own on tensors padded by hand.

use candle_core::{Device, Module, Result, Tensor};
use lanepool::{AvgPool, MaxPool};
use lanepool_candle::Pooling;

fn random(rng: &mut fastrand::Rng, shape: &[usize], most: f32) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.f32() * 2.0 - 1.0) * most).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// The tensor with as much of `value` on every side of each plane.
fn padded(x: &Tensor, by: usize, value: f32) -> Result<Tensor> {
    let mut x = x.clone();
    for axis in [2, 3] {
        let mut shape = x.dims().to_vec();
        shape[axis] = by;
        let side = Tensor::full(value, shape, x.device())?;
        x = Tensor::cat(&[&side, &x, &side], axis)?;
    }
    Ok(x)
}

/// ResNet's stem, an average branch as in Inception, a transition as in DenseNet, and a head, with what pools given.
struct Network {
    weights: Vec<Tensor>,
}

impl Network {
    fn new(rng: &mut fastrand::Rng) -> Result<Self> {
        let shapes = [[16, 3, 7, 7], [24, 16, 3, 3], [24, 24, 1, 1], [10, 24, 1, 1]];
        let filter =
            |shape: &[usize; 4]| random(rng, shape, (6.0 / shape[1..].iter().product::<usize>() as f32).sqrt());
        Ok(Self { weights: shapes.iter().map(filter).collect::<Result<_>>()? })
    }

    fn forward(&self, x: &Tensor, pools: &[&dyn Fn(&Tensor) -> Result<Tensor>; 4]) -> Result<Tensor> {
        let [stem, branch, transition, head] = pools;
        // No activation before the first: with negative values, padding by zeros would show.
        let x = stem(&x.conv2d(&self.weights[0], 3, 2, 1, 1)?)?;
        let x = x.conv2d(&self.weights[1], 1, 1, 1, 1)?.relu()?;
        let x = branch(&x)?.conv2d(&self.weights[2], 0, 1, 1, 1)?.relu()?;
        head(&transition(&x)?.conv2d(&self.weights[3], 0, 1, 1, 1)?)
    }
}

#[test]
fn a_network_gives_what_it_gives_with_candles_pooling() -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(5);
    let network = Network::new(&mut rng)?;
    let stem = Pooling::new(MaxPool::new([3, 3]).stride([2, 2]).padding([1, 1]));
    let branch = Pooling::new(AvgPool::new([3, 3]).padding([1, 1]).count_include_pad(true));
    let transition = Pooling::new(AvgPool::new([2, 2]).stride([2, 2]));
    let head = Pooling::new(AvgPool::global());
    let ours: [&dyn Fn(&Tensor) -> Result<Tensor>; 4] =
        [&|x| stem.forward(x), &|x| branch.forward(x), &|x| transition.forward(x), &|x| head.forward(x)];
    let theirs: [&dyn Fn(&Tensor) -> Result<Tensor>; 4] = [
        &|x| padded(x, 1, f32::NEG_INFINITY)?.max_pool2d_with_stride(3, 2),
        &|x| padded(x, 1, 0.0)?.avg_pool2d_with_stride(3, 1),
        &|x| x.avg_pool2d(2),
        &|x| x.avg_pool2d((x.dim(2)?, x.dim(3)?)),
    ];
    for batch in [2, 1] {
        let x = random(&mut rng, &[batch, 3, 64, 80], 1.0)?;
        // The stem alone has no rounding of its own: the same bits.
        let conv = x.conv2d(&network.weights[0], 3, 2, 1, 1)?;
        let bits = |x: Tensor| -> Result<Vec<u32>> {
            Ok(x.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
        };
        assert_eq!(bits(ours[0](&conv)?)?, bits(theirs[0](&conv)?)?);

        let (got, expected) = (network.forward(&x, &ours)?, network.forward(&x, &theirs)?);
        assert_eq!(got.dims(), [batch, 10, 1, 1]);
        let largest = expected.abs()?.max_all()?.to_scalar::<f32>()?;
        let apart = (&got - &expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
        // Means of at most 64 taps, each summed in two orders.
        assert!(largest > 0.01 && apart <= 1e-5 * largest, "{got} and {expected}");
    }
    Ok(())
}
