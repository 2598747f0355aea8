//! Layers as plain data, and how they are asked for through the public interface.

use std::fmt;

use lanepool::{
    AvgPool, DType, Element, Error, Extreme, Index, IndexKind, IndexPlan, Layout, LpPool, MaxPool, MinPool, NanPolicy,
    Plan, Pool, PoolOperation, Quantization, QuantizedAvgPool, QuantizedMaxPool, Rounding, SumPool, Tier,
};

use super::check::channels;
use super::data::Rng;
use super::elements::Sample;
use super::oracle;

/// What NaN does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nan {
    Propagate,
    Ignore,
}

impl Nan {
    pub fn policy(self) -> NanPolicy {
        match self {
            Self::Propagate => NanPolicy::Propagate,
            Self::Ignore => NanPolicy::Ignore,
        }
    }
}

/// The operations under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Max(Nan),
    Min(Nan),
    /// Divides by the valid taps.
    Avg,
    /// The same with integers rounded half away from zero.
    AvgAway,
    /// Divides by the taps inside the declared padding.
    AvgPadded,
    /// Divides by this number.
    AvgBy(usize),
    Sum,
}

impl Op {
    /// Whether these elements have it.
    pub fn is_of<T: Sample>(self) -> bool {
        T::SUMS || matches!(self, Self::Max(_) | Self::Min(_))
    }

    /// Whether it is an operation of its own for these elements: integers have no NaN, and floats one way to round.
    pub fn is_distinct<T: Sample>(self) -> bool {
        match self {
            Self::Max(Nan::Ignore) | Self::Min(Nan::Ignore) => T::FLOAT,
            Self::AvgAway => T::SUMS && !T::FLOAT,
            _ => self.is_of::<T>(),
        }
    }
}

/// One row for each operation and option that changes a result.
pub const OPS: [(&str, Op); 10] = [
    ("max", Op::Max(Nan::Propagate)),
    ("max_number", Op::Max(Nan::Ignore)),
    ("min", Op::Min(Nan::Propagate)),
    ("min_number", Op::Min(Nan::Ignore)),
    ("avg", Op::Avg),
    ("avg_away", Op::AvgAway),
    ("avg_padded", Op::AvgPadded),
    ("avg_by_7", Op::AvgBy(7)),
    ("avg_by_8", Op::AvgBy(8)),
    ("sum", Op::Sum),
];

/// Those that these elements have.
pub fn ops<T: Sample>() -> Vec<(&'static str, Op)> {
    OPS.into_iter().filter(|(_, op)| op.is_of::<T>()).collect()
}

/// How many relatives a layer has at most: see [`Layer::relatives`].
pub const RELATIVES: usize = 7;

/// The layouts under test, by the number of inner elements they give: planar, whole channels, blocks.
pub const LAYOUTS: [(&str, Layout); 5] = [
    ("nchw", Layout::Nchw),
    ("nhwc", Layout::Nhwc),
    ("nchw2c", Layout::Blocked(2)),
    ("nchw8c", Layout::Blocked(8)),
    ("nchw16c", Layout::Blocked(16)),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pad {
    Explicit(Vec<usize>, Vec<usize>),
    SameUpper,
    SameLower,
}

/// A layer and the tensor it is for.
#[derive(Clone, Debug)]
pub struct Layer {
    pub op: Op,
    pub layout: Layout,
    /// `N, C, spatial…`.
    pub shape: Vec<usize>,
    /// `None` is global pooling.
    pub kernel: Option<Vec<usize>>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub pad: Pad,
    pub ceil: bool,
    pub allow_empty: bool,
    /// Of input and output, where there may be gaps.
    pub strides: Option<[Vec<usize>; 2]>,
    /// The driver that a plan must have, by name.
    pub driver: Option<&'static str>,
}

/// Scales and zero points that quantised elements can have. 16 bits have one scale and zero points of 0, as in TensorFlow Lite.
pub fn quantizations<T: Element>() -> (Quantization, Quantization) {
    if T::DTYPE == DType::I16 {
        return (Quantization::new(0.5, 0), Quantization::new(0.5, 0));
    }
    (Quantization::new(0.5, 3), Quantization::new(0.75, 60))
}

impl Layer {
    /// Stride 1, dilation 1, no padding.
    pub fn new(op: Op, layout: Layout, shape: &[usize], kernel: &[usize]) -> Self {
        let rank = kernel.len();
        Self {
            op,
            layout,
            shape: shape.to_vec(),
            kernel: Some(kernel.to_vec()),
            stride: vec![1; rank],
            dilation: vec![1; rank],
            pad: Pad::Explicit(vec![0; rank], vec![0; rank]),
            ceil: false,
            allow_empty: false,
            strides: None,
            driver: None,
        }
    }

    pub fn global(op: Op, layout: Layout, shape: &[usize]) -> Self {
        Self { kernel: None, ..Self::new(op, layout, shape, &vec![1; shape.len() - 2]) }
    }

    pub fn stride(self, stride: &[usize]) -> Self {
        Self { stride: stride.to_vec(), ..self }
    }

    pub fn dilation(self, dilation: &[usize]) -> Self {
        Self { dilation: dilation.to_vec(), ..self }
    }

    pub fn padding(self, padding: &[usize]) -> Self {
        self.padding_unequal(padding, padding)
    }

    pub fn padding_unequal(self, begin: &[usize], end: &[usize]) -> Self {
        self.pad(Pad::Explicit(begin.to_vec(), end.to_vec()))
    }

    pub fn pad(self, pad: Pad) -> Self {
        Self { pad, ..self }
    }

    pub fn ceil(self, ceil: bool) -> Self {
        Self { ceil, ..self }
    }

    pub fn allow_empty(self) -> Self {
        Self { allow_empty: true, ..self }
    }

    /// A valid layer of any rank and any attributes, with windows that are short, long, or the whole plane.
    pub fn random(op: Op, layout: Layout, rng: &mut Rng) -> Self {
        loop {
            let rank = rng.within(1, 3);
            let spatial: Vec<usize> = (0..rank).map(|_| rng.within(1, [40, 14, 7][rank - 1])).collect();
            let channels = channels(layout, rng.within(1, 5));
            let shape = [&[rng.within(1, 2), channels], &spatial[..]].concat();
            if rng.one_in(8) {
                return Self::global(op, layout, &shape);
            }
            let mut axis = |most: usize| (0..rank).map(|_| rng.within(0, most)).collect::<Vec<_>>();
            let kernel: Vec<usize> = axis([10, 8, 3][rank - 1]).iter().map(|k| k + 1).collect();
            let stride: Vec<usize> = axis(2).iter().map(|s| s + 1).collect();
            let (begin, end) = (axis(2), axis(2));
            let layer = Self::new(op, layout, &shape, &kernel).stride(&stride).padding_unequal(&begin, &end);
            let layer = if rng.one_in(4) { layer.dilation(&vec![2; rank]) } else { layer };
            let layer = layer.ceil(rng.one_in(3));
            let layer = if rng.one_in(4) { layer.allow_empty() } else { layer };
            if oracle::axes(&layer).is_some() {
                return layer;
            }
        }
    }

    pub fn spatial(&self) -> &[usize] {
        &self.shape[2..]
    }

    pub fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The length of the contiguous run that a pixel is.
    pub fn inner(&self) -> usize {
        match self.layout {
            Layout::Nhwc => self.shape[1],
            Layout::Blocked(block) => block,
            _ => 1,
        }
    }

    /// The plan for it, through the public interface, with nothing set that has its default value.
    pub fn plan<T: Element>(&self, tier: Option<Tier>) -> Result<Plan<T>, Error> {
        match self.op {
            Op::Max(Nan::Propagate) => self.plan_of(self.base() as MaxPool<T>, tier),
            Op::Max(nan) => self.plan_of((self.base() as MaxPool<T>).nan(nan.policy()), tier),
            Op::Min(Nan::Propagate) => self.plan_of(self.base() as MinPool<T>, tier),
            Op::Min(nan) => self.plan_of((self.base() as MinPool<T>).nan(nan.policy()), tier),
            Op::Avg => self.plan_of(self.base() as AvgPool<T>, tier),
            Op::AvgAway => self.plan_of((self.base() as AvgPool<T>).rounding(Rounding::HalfAwayFromZero), tier),
            Op::AvgPadded => self.plan_of((self.base() as AvgPool<T>).count_include_pad(true), tier),
            Op::AvgBy(divisor) => self.plan_of((self.base() as AvgPool<T>).divisor(divisor), tier),
            Op::Sum => self.plan_of(self.base() as SumPool<T>, tier),
        }
    }

    /// The plan of a maximum or minimum with its indices.
    ///
    /// # Panics
    /// For other operations.
    pub fn indexed<T: Element, I: Index>(&self, kind: IndexKind, tier: Option<Tier>) -> Result<IndexPlan<T, I>, Error> {
        match self.op {
            Op::Max(nan) => self.indexed_of((self.base() as MaxPool<T>).nan(nan.policy()), kind, tier),
            Op::Min(nan) => self.indexed_of((self.base() as MinPool<T>).nan(nan.policy()), kind, tier),
            other => panic!("{other:?} finds nothing"),
        }
    }

    /// The same of a pool that was made by [`Layer::base`].
    pub fn indexed_of<O: Extreme, T: Element, I: Index>(
        &self,
        pool: Pool<O, T>,
        kind: IndexKind,
        tier: Option<Tier>,
    ) -> Result<IndexPlan<T, I>, Error> {
        let (pool, layout, shape) = (self.dressed(pool, tier), self.layout, &self.shape);
        match &self.strides {
            Some([input, output]) => pool.plan_indexed_strided(kind, layout, shape, input, output),
            None => pool.plan_indexed(kind, layout, shape),
        }
    }

    /// Plans on this layer's window of what not every element has, norms and quantised bytes; and of a bounded maximum.
    pub fn relatives<T: Element>(&self, tier: Option<Tier>) -> Vec<Plan<T>> {
        (0..RELATIVES).filter_map(|which| self.relative(which, tier).ok()).collect()
    }

    /// One of them.
    ///
    /// # Panics
    /// Where `which` is not below [`RELATIVES`].
    pub fn relative<T: Element>(&self, which: usize, tier: Option<Tier>) -> Result<Plan<T>, Error> {
        let norm = |p| self.plan_of((self.base() as LpPool<T>).p(p), tier);
        let (from, to) = quantizations::<T>();
        match which {
            0 => norm(1.0),
            1 => norm(2.0),
            2 => norm(3.0),
            3 => norm(f64::INFINITY),
            4 => self.plan_of((self.base() as QuantizedAvgPool<T>).quantization(from, to), tier),
            5 => self.plan_of((self.base() as QuantizedMaxPool<T>).quantization(from, to), tier),
            6 => self.plan_of((self.base() as MaxPool<T>).relu6(), tier),
            _ => panic!("there are {RELATIVES} relatives"),
        }
    }

    /// Its window without its attributes.
    pub fn base<O: PoolOperation, T: Element>(&self) -> Pool<O, T> {
        self.kernel.as_ref().map_or_else(Pool::global, Pool::new)
    }

    /// The plan of a pool that was made by [`Layer::base`].
    pub fn plan_of<O: PoolOperation, T: Element>(
        &self,
        pool: Pool<O, T>,
        tier: Option<Tier>,
    ) -> Result<Plan<T>, Error> {
        let pool = self.dressed(pool, tier);
        match &self.strides {
            Some([input, output]) => pool.plan_strided(self.layout, &self.shape, input, output),
            None => pool.plan(self.layout, &self.shape),
        }
    }

    /// The builder with every attribute of the layer.
    pub fn dressed<O: PoolOperation, T: Element>(&self, mut pool: Pool<O, T>, tier: Option<Tier>) -> Pool<O, T> {
        if self.stride.iter().any(|s| *s != 1) {
            pool = pool.stride(&self.stride);
        }
        if self.dilation.iter().any(|d| *d != 1) {
            pool = pool.dilation(&self.dilation);
        }
        pool = match &self.pad {
            Pad::Explicit(begin, end) if begin == end && begin.iter().all(|p| *p == 0) => pool,
            Pad::Explicit(begin, end) if begin == end => pool.padding(begin),
            Pad::Explicit(begin, end) => pool.padding_unequal(begin, end),
            Pad::SameUpper => pool.same_upper(),
            Pad::SameLower => pool.same_lower(),
        };
        pool = pool.ceil_mode(self.ceil).allow_empty_windows(self.allow_empty);
        if let Some(tier) = tier {
            pool = pool.tier(tier);
        }
        if let Some(driver) = self.driver {
            pool = pool.driver(driver);
        }
        pool
    }
}

impl fmt::Display for Layer {
    /// What a failing test prints: enough to write the layer down again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}, kernel ", self.op, self.layout, self.shape)?;
        match &self.kernel {
            Some(kernel) => write!(f, "{kernel:?}")?,
            None => f.write_str("global")?,
        }
        write!(f, ", stride {:?}, dilation {:?}, {:?}", self.stride, self.dilation, self.pad)?;
        write!(
            f,
            "{}{}",
            if self.ceil { ", ceil" } else { "" },
            if self.allow_empty { ", empty windows allowed" } else { "" }
        )?;
        if let Some([input, output]) = &self.strides {
            write!(f, ", strides {input:?} and {output:?}")?;
        }
        match self.driver {
            Some(driver) => write!(f, ", by {driver}"),
            None => Ok(()),
        }
    }
}
