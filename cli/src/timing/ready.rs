//! A layer that is planned: which tensors it reads and writes, how they are filled, and how it is run.
//!
//! Every operation has its own kind of plan and its own tensors. Here all of them become the same: a function over buffers
//! that are read and buffers that are written, so that what times them knows no operation and no element.

use anyhow::{Context, Result, bail};
use bytemuck::Pod;
use lanepool::{
    AdaptiveAvgPool, AdaptiveMaxPool, AdaptivePlan, Avg, AvgPool, DType, Element, ElementVisitor, Float,
    FractionalMaxPool, Index, IndexKind, Lp, LpPool, Max, MaxPool, MaxUnpool, Plan, Pool, QuantizedAvg,
    QuantizedAvgPool, QuantizedMax, QuantizedMaxPool, Tier,
};

use super::buffer::Buffer;
use super::layer::{IndexWidth, Layer, Work};
use crate::elements;
use crate::layer::{Numbers, Operation};

/// What the input of a layer is filled with.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// Random values.
    Random,
    /// Values given as the bytes of elements, over again where they are fewer than the layer needs.
    Repeated(&'a [u8]),
}

/// Where the values of tensors come from.
pub struct Source<'a> {
    pub input: Input<'a>,
    /// Draws the values.
    pub values: fastrand::Rng,
    /// Draws where buffers begin.
    pub places: fastrand::Rng,
}

impl Source<'_> {
    /// The layer's input.
    fn input<T: Element>(&mut self, len: usize) -> Vec<T> {
        match self.input {
            Input::Random => self.random(len),
            Input::Repeated(bytes) => {
                let mut values = vec![T::zeroed(); len];
                let to = bytemuck::cast_slice_mut::<T, u8>(&mut values);
                to.iter_mut().zip(bytes.iter().cycle()).for_each(|(to, from)| *to = *from);
                values
            }
        }
    }

    /// A tensor of random values, whatever the input is: a gradient.
    fn random<T: Element>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| elements::sample(&mut self.values)).collect()
    }

    fn buffer<T: Pod>(&mut self, values: &[T]) -> Buffer {
        Buffer::of(values, &mut self.places)
    }
}

/// Fills the tensors that are read.
type Fill = Box<dyn Fn(&mut Source) -> lanepool::Result<Vec<Buffer>> + Send + Sync>;

/// Runs over the tensors that are read and those that are written; on the pool of the calling thread where it is told so.
type Run = Box<dyn Fn(&[Buffer], &mut [Buffer], bool) -> lanepool::Result<()> + Send + Sync>;

/// A layer that is planned for one tier, if its code has tiers.
pub struct Ready {
    pub tier: Tier,
    /// The driver of the plan, if it has one that it names.
    pub driver: &'static str,
    /// Taps of all windows, padding included: the work that a plain implementation would do.
    pub taps: f64,
    /// Bytes of each tensor that is written.
    writes: Vec<usize>,
    fill: Fill,
    run: Run,
}

/// What stands where there is no driver to name.
const NO_DRIVER: &str = "–";

impl Ready {
    /// Plans a layer.
    pub fn new(layer: &Layer, tier: Tier) -> Result<Self> {
        if let Some(why) = tier.missing() {
            return Err(lanepool::Error::TierUnavailable { tier, why }.into());
        }
        let element = layer.element;
        if let Work::Backward(width) = layer.work {
            let ready = match element {
                DType::F32 => gradient::<f32>(layer, width, tier),
                DType::F64 => gradient::<f64>(layer, width, tier),
                DType::F16 => gradient::<half::f16>(layer, width, tier),
                DType::Bf16 => gradient::<half::bf16>(layer, width, tier),
                _ => bail!("gradients are of floats, f32, f64, f16 and bf16, and the element is {element}"),
            };
            return Ok(ready?);
        }
        let ready = element.visit(Forward { layer, tier });
        Ok(ready.with_context(|| format!("this build has no kernels for {element}"))??)
    }

    /// The tensors that are read.
    pub fn inputs(&self, source: &mut Source) -> lanepool::Result<Vec<Buffer>> {
        (self.fill)(source)
    }

    /// Memory for those that are written.
    pub fn outputs(&self, source: &mut Source) -> Vec<Buffer> {
        self.writes.iter().map(|&bytes| Buffer::new(bytes, &mut source.places)).collect()
    }

    pub fn run(&self, inputs: &[Buffer], outputs: &mut [Buffer], parallel: bool) -> lanepool::Result<()> {
        (self.run)(inputs, outputs, parallel)
    }
}

/// Plans all that is no gradient.
struct Forward<'a> {
    layer: &'a Layer,
    tier: Tier,
}

impl ElementVisitor for Forward<'_> {
    type Output = lanepool::Result<Ready>;

    fn visit<T: Element>(self) -> Self::Output {
        let Self { layer, tier } = self;
        let Layer { layout, ref shape, ref window, .. } = *layer;
        let (rank, taps) = (rank(layer), window_taps(layer));
        match &layer.work {
            Work::Quantized([input, output]) if window.operation == Operation::Max => {
                let pool: QuantizedMaxPool<T> = window.pool::<QuantizedMax, T>(rank, Some(tier));
                Ok(values(pool.quantization(*input, *output).plan(layout, shape)?, taps))
            }
            Work::Quantized([input, output]) => {
                let pool: QuantizedAvgPool<T> = window.pool::<QuantizedAvg, T>(rank, Some(tier));
                Ok(values(pool.quantization(*input, *output).plan(layout, shape)?, taps))
            }
            Work::Indices(IndexWidth::I32) => indices::<T, i32>(layer, tier),
            Work::Indices(IndexWidth::I64) => indices::<T, i64>(layer, tier),
            Work::Adaptive(output) => {
                let lengths = output.spread(rank);
                let plan = if window.operation == Operation::Max {
                    AdaptiveMaxPool::<T>::new(&lengths).tier(tier).plan(layout, shape)?
                } else {
                    AdaptiveAvgPool::<T>::new(&lengths).tier(tier).plan(layout, shape)?
                };
                Ok(adaptive(plan, &lengths))
            }
            Work::Fractional(output) => fractional::<T>(layer, output, tier),
            Work::Unpool(IndexWidth::I32) => unpool::<T, i32>(layer, tier),
            Work::Unpool(IndexWidth::I64) => unpool::<T, i64>(layer, tier),
            Work::Values | Work::Backward(_) => Ok(values(window.plan::<T>(layout, shape, Some(tier))?, taps)),
        }
    }
}

/// Spatial axes.
fn rank(layer: &Layer) -> usize {
    layer.shape.len().saturating_sub(2)
}

/// Taps of one window.
fn window_taps(layer: &Layer) -> f64 {
    let spatial = layer.shape.get(2..).unwrap_or_default();
    let window = layer.window.kernel.as_ref().map_or_else(|| spatial.to_vec(), |kernel| kernel.spread(spatial.len()));
    window.iter().map(|&taps| taps as f64).product()
}

/// The maximum of the layer's window.
fn maxima<T: Element>(layer: &Layer, tier: Tier) -> MaxPool<T> {
    layer.window.pool::<Max, T>(rank(layer), Some(tier))
}

fn values<T: Element>(plan: Plan<T>, taps: f64) -> Ready {
    let filled = plan.clone();
    Ready {
        tier: plan.tier(),
        driver: plan.kernel(),
        taps: taps * plan.output_len() as f64,
        writes: vec![plan.output_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let input = source.input::<T>(filled.input_len());
            Ok(vec![source.buffer(&input)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (src, dst) = (from[0].values(), to[0].values_mut());
            if parallel { plan.run_parallel(src, dst) } else { plan.run(src, dst) }
        }),
    }
}

fn indices<T: Element, I: Index>(layer: &Layer, tier: Tier) -> lanepool::Result<Ready> {
    let plan = maxima::<T>(layer, tier).plan_indexed::<I>(IndexKind::Plane, layer.layout, &layer.shape)?;
    let (input, output) = (plan.input_len(), plan.output_len());
    Ok(Ready {
        tier: plan.tier(),
        driver: NO_DRIVER,
        taps: window_taps(layer) * output as f64,
        writes: vec![output * size_of::<T>(), output * size_of::<I>()],
        fill: Box::new(move |source| {
            let input = source.input::<T>(input);
            Ok(vec![source.buffer(&input)])
        }),
        run: Box::new(move |from, to, parallel| {
            let [values, indices] = to else { return Ok(()) };
            let (src, values, indices) = (from[0].values(), values.values_mut(), indices.values_mut());
            if parallel { plan.run_parallel(src, values, indices) } else { plan.run(src, values, indices) }
        }),
    })
}

fn adaptive<T: Element>(plan: AdaptivePlan<T>, lengths: &[usize]) -> Ready {
    let shape = plan.input_shape();
    // Of each axis, those of all its windows.
    let taps = |(&input, &output): (&usize, &usize)| -> f64 {
        (0..output).map(|o| (((o + 1) * input).div_ceil(output) - o * input / output) as f64).sum()
    };
    let (batch, spatial) = shape.split_at(2.min(shape.len()));
    let planes: f64 = batch.iter().map(|&n| n as f64).product();
    let filled = plan.clone();
    Ready {
        tier: plan.tier(),
        driver: plan.kernel(),
        taps: planes * spatial.iter().zip(lengths).map(taps).product::<f64>(),
        writes: vec![plan.output_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let input = source.input::<T>(filled.input_len());
            Ok(vec![source.buffer(&input)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (src, dst) = (from[0].values(), to[0].values_mut());
            if parallel { plan.run_parallel(src, dst) } else { plan.run(src, dst) }
        }),
    }
}

fn fractional<T: Element>(layer: &Layer, output: &Numbers, tier: Tier) -> lanepool::Result<Ready> {
    let rank = rank(layer);
    let kernel = layer.window.kernel.as_ref().map(|kernel| kernel.spread(rank)).unwrap_or_default();
    let plan = FractionalMaxPool::<T>::new(kernel, output.spread(rank)).plan(layer.layout, &layer.shape)?;
    let filled = plan.clone();
    Ok(Ready {
        tier,
        driver: NO_DRIVER,
        taps: window_taps(layer) * plan.output_len() as f64,
        writes: vec![plan.output_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let input = source.input::<T>(filled.input_len());
            let samples: Vec<T::Sample> =
                (0..filled.samples_len()).map(|_| elements::fraction::<T>(&mut source.values)).collect();
            Ok(vec![source.buffer(&input), source.buffer(&samples)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (src, samples, dst) = (from[0].values(), from[1].values(), to[0].values_mut());
            if parallel { plan.run_parallel(src, samples, dst) } else { plan.run(src, samples, dst) }
        }),
    })
}

fn unpool<T: Element, I: Index>(layer: &Layer, tier: Tier) -> lanepool::Result<Ready> {
    let Layer { layout, ref shape, .. } = *layer;
    let forward = maxima::<T>(layer, tier).plan_indexed::<I>(IndexKind::Plane, layout, shape)?;
    let spatial = shape.get(2..).unwrap_or_default();
    let plan = MaxUnpool::<T>::to(spatial).plan::<I>(layout, forward.output_shape())?;
    Ok(Ready {
        tier,
        driver: NO_DRIVER,
        taps: plan.input_len() as f64,
        writes: vec![plan.output_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let (values, indices) = forward.run_vec(&source.input::<T>(forward.input_len()))?;
            Ok(vec![source.buffer(&values), source.buffer(&indices)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (src, indices, dst) = (from[0].values(), from[1].values(), to[0].values_mut());
            if parallel { plan.run_parallel(src, indices, dst) } else { plan.run(src, indices, dst) }
        }),
    })
}

fn gradient<T: Float>(layer: &Layer, width: IndexWidth, tier: Tier) -> lanepool::Result<Ready> {
    match (layer.window.operation, width) {
        (Operation::Lp, _) => lp_gradient::<T>(layer, tier),
        (Operation::Avg, _) => avg_gradient::<T>(layer, tier),
        (_, IndexWidth::I32) => max_gradient::<T, i32>(layer, tier),
        (_, IndexWidth::I64) => max_gradient::<T, i64>(layer, tier),
    }
}

fn max_gradient<T: Float, I: Index>(layer: &Layer, tier: Tier) -> lanepool::Result<Ready> {
    let Layer { layout, ref shape, .. } = *layer;
    let pool = maxima::<T>(layer, tier);
    let forward = pool.plan_indexed::<I>(IndexKind::Plane, layout, shape)?;
    let plan = pool.backward::<I>(IndexKind::Plane, layout, shape)?;
    Ok(Ready {
        tier,
        driver: NO_DRIVER,
        taps: window_taps(layer) * plan.output_len() as f64,
        writes: vec![plan.input_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let (_, indices) = forward.run_vec(&source.input::<T>(forward.input_len()))?;
            let gradient = source.random::<T>(forward.output_len());
            Ok(vec![source.buffer(&gradient), source.buffer(&indices)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (gradient, indices, dst) = (from[0].values(), from[1].values(), to[0].values_mut());
            if parallel { plan.run_parallel(gradient, indices, dst) } else { plan.run(gradient, indices, dst) }
        }),
    })
}

fn avg_gradient<T: Float>(layer: &Layer, tier: Tier) -> lanepool::Result<Ready> {
    let pool: AvgPool<T> = layer.window.pool::<Avg, T>(rank(layer), Some(tier));
    let plan = pool.backward(layer.layout, &layer.shape)?;
    let output = plan.output_len();
    Ok(Ready {
        tier,
        driver: NO_DRIVER,
        taps: window_taps(layer) * output as f64,
        writes: vec![plan.input_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let gradient = source.random::<T>(output);
            Ok(vec![source.buffer(&gradient)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (gradient, dst) = (from[0].values(), to[0].values_mut());
            if parallel { plan.run_parallel(gradient, dst) } else { plan.run(gradient, dst) }
        }),
    })
}

fn lp_gradient<T: Float>(layer: &Layer, tier: Tier) -> lanepool::Result<Ready> {
    let Layer { layout, ref shape, ref window, .. } = *layer;
    let pool: Pool<Lp, T> = window.pool(rank(layer), Some(tier));
    let pool = LpPool::p(pool, window.p);
    let (forward, plan) = (pool.plan(layout, shape)?, pool.backward(layout, shape)?);
    Ok(Ready {
        tier,
        driver: NO_DRIVER,
        taps: window_taps(layer) * plan.output_len() as f64,
        writes: vec![plan.input_len() * size_of::<T>()],
        fill: Box::new(move |source| {
            let input = source.input::<T>(forward.input_len());
            let output = forward.run_vec(&input)?;
            let gradient = source.random::<T>(output.len());
            Ok(vec![source.buffer(&input), source.buffer(&output), source.buffer(&gradient)])
        }),
        run: Box::new(move |from, to, parallel| {
            let (input, output, gradient) = (from[0].values(), from[1].values(), from[2].values());
            let dst = to[0].values_mut();
            if parallel {
                plan.run_parallel(input, output, gradient, dst)
            } else {
                plan.run(input, output, gradient, dst)
            }
        }),
    })
}
