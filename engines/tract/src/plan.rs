//! What a pooling node of tract's computes, and lanepool's plan for it.

use std::fmt;

use bytemuck::{cast_slice, cast_slice_mut};
use lanepool::{
    Any, AnyPlan, AvgPool, DType, Element, ElementVisitor, Index, IndexKind, Layout, MaxPool, NanPolicy, Pool,
    PoolOperation,
};
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{self, PaddingSpec, PoolSpec};

/// A pooling node as tract describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Max(cnn::MaxPool),
    /// An average, or a sum.
    Sum(cnn::SumPool),
    /// One window that is all of some neighbouring axes, which become 1 long: what tract makes of global pooling.
    Global {
        axes: TVec<usize>,
        mean: bool,
    },
}

/// A run: the bytes of the input, of the output, and of the indices where the layer gives them.
type Run = Box<dyn Fn(&[u8], &mut [u8], &mut [u8]) -> lanepool::Result<()> + Send + Sync>;

/// A layer planned for one shape.
pub(crate) struct Planned {
    pub(crate) element: DatumType,
    pub(crate) input: TVec<usize>,
    pub(crate) output: TVec<usize>,
    pub(crate) run: Run,
    /// For people: what runs, and how.
    pub(crate) text: String,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.text, self.input)
    }
}

impl Layer {
    /// The type of the second output, if there is one.
    pub(crate) fn indices(&self) -> Option<DatumType> {
        if let Self::Max(max) = self { max.with_index_outputs } else { None }
    }

    /// The window, unless it is all there is.
    pub(crate) fn window(&self) -> Option<&PoolSpec> {
        match self {
            Self::Max(max) => Some(&max.pool_spec),
            Self::Sum(sum) => Some(&sum.pool_spec),
            Self::Global { .. } => None,
        }
    }

    /// The output's shape, tract's own. Of any kind of length: a symbol is one.
    pub(crate) fn output_shape<D: DimLike>(&self, input: &[D]) -> TractResult<TVec<D>> {
        match self {
            Self::Max(cnn::MaxPool { pool_spec, .. }) | Self::Sum(cnn::SumPool { pool_spec, .. }) => {
                Ok(pool_spec.output_shape(input)?.shape)
            }
            Self::Global { axes, .. } => {
                let of = |(axis, length): (usize, &D)| if axes.contains(&axis) { D::one() } else { length.clone() };
                Ok(input.iter().enumerate().map(of).collect())
            }
        }
    }

    /// lanepool's type for the elements, where it pools them as tract does.
    ///
    /// # Errors
    /// Why it does not, as a sentence.
    pub(crate) fn element(&self, of: DatumType) -> Result<DType, String> {
        let element = match of.unquantized() {
            DatumType::F32 => DType::F32,
            DatumType::F64 => DType::F64,
            DatumType::F16 => DType::F16,
            DatumType::I8 => DType::I8,
            DatumType::U8 => DType::U8,
            DatumType::I16 => DType::I16,
            DatumType::U16 => DType::U16,
            DatumType::I32 => DType::I32,
            DatumType::U32 => DType::U32,
            DatumType::I64 => DType::I64,
            DatumType::U64 => DType::U64,
            _ => return Err(format!("lanepool does not pool elements of type {of:?}")),
        };
        let adds = matches!(self, Self::Sum(_) | Self::Global { mean: true, .. });
        if adds && !of.is_float() {
            return Err(format!(
                "tract adds {of:?} in f32 and cuts the fraction off; lanepool adds exactly and rounds"
            ));
        }
        match self.indices() {
            None | Some(DatumType::I32 | DatumType::I64) => Ok(element),
            Some(index) => Err(format!("the indices are to be {index:?}; lanepool writes I32 and I64")),
        }
    }

    /// Plans the layer for a tensor of this shape, with the axes in tract's order.
    ///
    /// # Errors
    /// Why lanepool cannot pool it as tract does, as a sentence.
    pub(crate) fn plan(&self, of: DatumType, shape: &[usize]) -> Result<Planned, String> {
        let element = self.element(of)?;
        let (layout, pooled) = self.layout(shape).map_err(|error| error.to_string())?;
        let output = self.output_shape(shape).map_err(|error| error.to_string())?;
        let bound = self.bind(element, layout, &pooled).map_err(|error| error.to_string())?;
        if self.window().is_some() {
            let (_, theirs) = self.layout(&output).map_err(|error| error.to_string())?;
            if bound.output != theirs {
                return Err(format!("tract makes the output {theirs:?}, lanepool {:?}", bound.output));
            }
        }
        Ok(Planned { element: of, input: shape.into(), output, run: bound.run, text: bound.text })
    }

    /// How lanepool sees a tensor of this shape: its layout, and `N, C, spatial…`.
    fn layout(&self, shape: &[usize]) -> TractResult<(Layout, Vec<usize>)> {
        match self {
            Self::Max(cnn::MaxPool { pool_spec, .. }) | Self::Sum(cnn::SumPool { pool_spec, .. }) => {
                let format = pool_spec.data_format;
                let shape = format.shape(shape)?;
                let layout = if format.c_is_last() { Layout::Nhwc } else { Layout::Nchw };
                Ok((layout, [&[*shape.n().unwrap_or(&1), *shape.c()], shape.hw_dims()].concat()))
            }
            // What stands before the window's axes is a batch, what stands behind them are channels.
            Self::Global { axes, .. } => {
                let (first, end) = (axes[0], axes[0] + axes.len());
                let [batch, channels] = [&shape[..first], &shape[end..]].map(|axes| axes.iter().product());
                let spatial = &shape[first..end];
                let whole = [spatial.iter().product()];
                let spatial = if spatial.len() > 3 { &whole } else { spatial };
                let layout = if channels == 1 { Layout::Nchw } else { Layout::Nhwc };
                Ok((layout, [&[batch, channels], spatial].concat()))
            }
        }
    }

    fn bind(&self, element: DType, layout: Layout, shape: &[usize]) -> lanepool::Result<Bound> {
        // A NaN never wins tract's comparison: it is left out.
        const NAN: NanPolicy = NanPolicy::Ignore;
        let plan = match self {
            Self::Max(cnn::MaxPool { pool_spec, with_index_outputs: None }) => {
                pool::<lanepool::Max>(pool_spec).nan(NAN).plan_as(element, layout, shape)
            }
            Self::Max(cnn::MaxPool { pool_spec, with_index_outputs: Some(index) }) => {
                let pool = pool::<lanepool::Max>(pool_spec).nan(NAN);
                let binder = IndexBinder { pool, index: *index, layout, shape };
                let off = lanepool::Error::Unsupported { why: "f16 needs lanepool's feature `half`, which is off" };
                return element.visit(binder).unwrap_or(Err(off));
            }
            Self::Sum(cnn::SumPool { pool_spec, count_include_pad, normalize: true }) => {
                let pool = pool::<lanepool::Avg>(pool_spec).count_include_pad(*count_include_pad);
                pool.plan_as(element, layout, shape)
            }
            Self::Sum(cnn::SumPool { pool_spec, .. }) => {
                pool::<lanepool::Sum>(pool_spec).plan_as(element, layout, shape)
            }
            Self::Global { mean: true, .. } => AvgPool::<Any>::global().plan_as(element, layout, shape),
            Self::Global { mean: false, .. } => MaxPool::<Any>::global().nan(NAN).plan_as(element, layout, shape),
        };
        plan.map(Bound::from)
    }
}

/// The layer of a window of tract's.
fn pool<O: PoolOperation>(spec: &PoolSpec) -> Pool<O, Any> {
    let pool = Pool::new(&spec.kernel_shape).stride(spec.strides()).dilation(spec.dilations());
    match &spec.padding {
        PaddingSpec::Valid => pool.valid(),
        PaddingSpec::SameUpper => pool.same_upper(),
        PaddingSpec::SameLower => pool.same_lower(),
        PaddingSpec::Explicit(begin, end) => pool.padding_unequal(begin, end),
        PaddingSpec::ExplicitOnnxPool(begin, end, ceil) => pool.padding_unequal(begin, end).ceil_mode(*ceil),
    }
}

/// A plan of lanepool's, whatever its types.
struct Bound {
    run: Run,
    output: Vec<usize>,
    text: String,
}

impl From<AnyPlan> for Bound {
    fn from(plan: AnyPlan) -> Self {
        let (output, text) = (plan.output_shape(), plan.to_string());
        Self { run: Box::new(move |src, dst, _| plan.run(src, dst)), output, text }
    }
}

/// Plans a maximum with indices for the element type that is visited.
struct IndexBinder<'a> {
    pool: MaxPool<Any>,
    index: DatumType,
    layout: Layout,
    shape: &'a [usize],
}

impl IndexBinder<'_> {
    fn bind<T: Element, I: Index>(self) -> lanepool::Result<Bound> {
        // tract counts in the plane; its importer of ONNX makes offsets in the tensor of that, in a node of their own.
        let pool = self.pool.with_element::<T>();
        let plan = pool.plan_indexed::<I>(IndexKind::Plane, self.layout, self.shape)?;
        let (output, text) = (plan.output_shape(), format!("{plan:?}"));
        // tract's tensors are aligned to their elements, so the casts do not panic.
        let run: Run = Box::new(move |src, dst, at| {
            plan.run(cast_slice(src), cast_slice_mut::<_, T>(dst), cast_slice_mut::<_, I>(at))
        });
        Ok(Bound { run, output, text })
    }
}

impl ElementVisitor for IndexBinder<'_> {
    type Output = lanepool::Result<Bound>;

    fn visit<T: Element>(self) -> Self::Output {
        if self.index == DatumType::I32 { self.bind::<T, i32>() } else { self.bind::<T, i64>() }
    }
}
