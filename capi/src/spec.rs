//! A description that was checked, as Rust's own types: every number looked up, every field one that its operation has.

use lanepool::{AxisName, CeilRule, DType, IndexKind, Layout, NanPolicy, Quantization, Rounding, Tier};

use crate::codes::{self, DivideBy, IndexType, LANEPOOL_MAX_AXES, Operation, Order, Padding};
use crate::desc::lanepool_desc;
use crate::status::{Failure, LANEPOOL_GEOMETRY, LANEPOOL_SIZE_OVERFLOW, LANEPOOL_UNSUPPORTED};

/// Numbers of some axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axes<const N: usize> {
    numbers: [usize; N],
    len: usize,
}

impl<const N: usize> Axes<N> {
    /// The first `len` numbers of an array. Those from number `spatial` on belong to spatial axes.
    fn new(field: &str, from: &[i64; N], len: usize, spatial: usize) -> Result<Self, Failure> {
        let mut numbers = [0; N];
        for (place, (to, &number)) in numbers.iter_mut().zip(from).take(len).enumerate() {
            *to = usize::try_from(number).map_err(|_| {
                let axis = axis_name(place, spatial, len);
                if number < 0 {
                    let sentence = format!("{field} is {number} on {axis}: it must not be negative");
                    Failure::new(LANEPOOL_GEOMETRY, sentence)
                } else {
                    let sentence = format!("{field} is {number} on {axis}, which does not fit the address space");
                    Failure::new(LANEPOOL_SIZE_OVERFLOW, sentence)
                }
            })?;
        }
        Ok(Self { numbers, len })
    }
}

impl<const N: usize> AsRef<[usize]> for Axes<N> {
    fn as_ref(&self) -> &[usize] {
        self.numbers.get(..self.len).unwrap_or(&self.numbers)
    }
}

fn axis_name(place: usize, spatial: usize, len: usize) -> AxisName {
    let name = match (place, spatial, len.saturating_sub(place)) {
        (0, 2, _) => "batch",
        (1, 2, _) => "channels",
        (_, _, 1) => "width",
        (_, _, 2) => "height",
        _ => "depth",
    };
    // Arrays without batch and channels begin with axis 2.
    AxisName { index: place.saturating_add(2_usize.saturating_sub(spatial)), name }
}

/// A tensor that is gone through from its end.
fn backwards(field: &str, axis: AxisName, stride: Option<i64>) -> Failure {
    let stride = stride.unwrap_or(0);
    let sentence = format!(
        "{field} is {stride} on {axis}, and a stride must not be negative: a tensor that goes backwards is copied before or after, from or to one that goes forwards"
    );
    Failure::new(LANEPOOL_GEOMETRY, sentence)
}

/// A description whose numbers were looked up. Whether they make a layer is for the builders to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub operation: Operation,
    pub backward: bool,
    pub dtype: DType,
    pub layout: Layout,
    pub shape: Axes<5>,
    pub global: bool,
    pub kernel: Axes<3>,
    pub stride: Option<Axes<3>>,
    pub dilation: Option<Axes<3>>,
    pub padding: Option<Pad>,
    pub allow_empty: bool,
    pub ceil: bool,
    pub ceil_rule: CeilRule,
    pub nan: NanPolicy,
    pub rounding: Rounding,
    pub index: Option<IndexType>,
    pub kind: IndexKind,
    pub tier: Option<Tier>,
    pub include_pad: bool,
    pub divisor: Option<usize>,
    pub output: Axes<3>,
    pub output_is_given: bool,
    pub padded_output: Option<Axes<3>>,
    pub p: f64,
    pub mean: bool,
    pub clamp: Option<[f64; 2]>,
    pub quantization: [Quantization; 2],
    /// Of input and output.
    pub strides: Option<[Axes<5>; 2]>,
}

impl Layer {
    pub fn shape(&self) -> &[usize] {
        self.shape.as_ref()
    }

    /// The strides of input and output, if there are any.
    pub fn strides(&self) -> Option<[&[usize]; 2]> {
        self.strides.as_ref().map(|both| both.each_ref().map(|axes| axes.as_ref()))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pad {
    Explicit(Axes<3>, Axes<3>),
    Valid,
    SameUpper,
    SameLower,
}

impl Layer {
    pub fn new(desc: &lanepool_desc) -> Result<Self, Failure> {
        let operation = codes::OPERATION.decode(desc.operation)?;
        let backward = codes::BACKWARD.decode(desc.direction)?;
        let dtype = codes::ELEMENT.decode(desc.element)?;
        let order = codes::LAYOUT.decode(desc.layout)?;
        let rank = usize::try_from(desc.spatial_axes).ok().filter(|axes| (1..=LANEPOOL_MAX_AXES).contains(axes));
        let rank = rank.ok_or_else(|| {
            let sentence = format!("spatial_axes is {}: a tensor has 1 to 3 of them", desc.spatial_axes);
            Failure::new(LANEPOOL_GEOMETRY, sentence)
        })?;
        let spatial = |field: &'static str, numbers: &[i64; 3]| Axes::new(field, numbers, rank, 0);
        let whole = |field: &str, number: i64| Axes::new(field, &[number], 1, 0).map(|axes| axes.numbers[0]);
        // What is not set is not passed on: a global window takes none of it.
        let unless = |field: &'static str, numbers: &[i64; 3], default: i64| {
            let axes = spatial(field, numbers)?;
            let is_set = numbers.iter().take(rank).any(|number| *number != default);
            Ok::<_, Failure>(is_set.then_some(axes))
        };
        let padding = codes::PADDING.decode(desc.padding)?;
        let explicit = (unless("pad_begin", &desc.pad_begin, 0)?, unless("pad_end", &desc.pad_end, 0)?);
        let padding = match (padding, explicit) {
            (Padding::Explicit, (None, None)) => None,
            (Padding::Explicit, _) => {
                Some(Pad::Explicit(spatial("pad_begin", &desc.pad_begin)?, spatial("pad_end", &desc.pad_end)?))
            }
            (_, (Some(_), _) | (_, Some(_))) => {
                let why = "pad_begin and pad_end have no meaning beside a padding that is not LANEPOOL_PAD_EXPLICIT";
                return Err(Failure::new(LANEPOOL_UNSUPPORTED, why));
            }
            (Padding::Valid, _) => Some(Pad::Valid),
            (Padding::SameUpper, _) => Some(Pad::SameUpper),
            (Padding::SameLower, _) => Some(Pad::SameLower),
        };
        let block = whole("block", desc.block)?;
        let layout = match order {
            Order::Nchw => Layout::Nchw,
            Order::Nhwc => Layout::Nhwc,
            Order::Blocked => Layout::Blocked(block),
        };
        let divisor = whole("divisor", desc.divisor)?;
        let divide_by = codes::DIVIDE_BY.decode(desc.divide_by)?;
        let strided = codes::flag("strided", desc.strided)?;
        let strides = |field: &str, numbers: &[i64; 5]| {
            let axes = rank.saturating_add(2);
            match numbers.iter().take(axes).position(|stride| *stride < 0) {
                Some(place) => Err(backwards(field, axis_name(place, 2, axes), numbers.get(place).copied())),
                None => Axes::new(field, numbers, axes, 2),
            }
        };
        let has_strides = desc.input_strides.iter().chain(&desc.output_strides).any(|stride| *stride != 0);
        let needless = [
            (order != Order::Blocked && block != 0, "block", "layout is LANEPOOL_BLOCKED"),
            (divide_by != DivideBy::Divisor && divisor != 0, "divisor", "divide_by is LANEPOOL_DIVIDE_BY_DIVISOR"),
            (!strided && has_strides, "input_strides or output_strides", "strided is 1"),
            (desc.reserved != 0, "reserved", "a newer library is asked"),
        ];
        if let Some((_, field, unless)) = needless.into_iter().find(|(is_needless, ..)| *is_needless) {
            return Err(Failure::new(LANEPOOL_UNSUPPORTED, format!("{field} has no meaning unless {unless}")));
        }
        let layer = Self {
            operation,
            backward,
            dtype,
            layout,
            shape: Axes::new("shape", &desc.shape, rank.saturating_add(2), 2)?,
            global: codes::flag("global", desc.global)?,
            kernel: spatial("kernel", &desc.kernel)?,
            stride: unless("stride", &desc.stride, 1)?,
            dilation: unless("dilation", &desc.dilation, 1)?,
            padding,
            allow_empty: codes::flag("allow_empty_windows", desc.allow_empty_windows)?,
            ceil: codes::flag("ceil_mode", desc.ceil_mode)?,
            ceil_rule: codes::CEIL_RULE.decode(desc.ceil_rule)?,
            nan: codes::NAN_POLICY.decode(desc.nan_policy)?,
            rounding: codes::ROUNDING.decode(desc.rounding)?,
            index: codes::INDEX_TYPE.decode(desc.index_type)?,
            kind: codes::INDEX_KIND.decode(desc.index_kind)?,
            tier: codes::TIER.decode(desc.tier)?,
            include_pad: divide_by == DivideBy::Padded,
            divisor: (divide_by == DivideBy::Divisor).then_some(divisor),
            output: spatial("output", &desc.output)?,
            output_is_given: codes::flag("output_is_given", desc.output_is_given)?,
            padded_output: codes::flag("output_is_padded", desc.output_is_padded)?
                .then(|| spatial("padded_output", &desc.padded_output))
                .transpose()?,
            p: desc.p,
            mean: codes::flag("mean", desc.mean)?,
            clamp: codes::flag("clamp", desc.clamp)?.then_some([desc.clamp_low, desc.clamp_high]),
            quantization: [
                Quantization::new(desc.input_scale, desc.input_zero_point),
                Quantization::new(desc.output_scale, desc.output_zero_point),
            ],
            strides: if strided {
                Some([strides("input_strides", &desc.input_strides)?, strides("output_strides", &desc.output_strides)?])
            } else {
                None
            },
        };
        layer.refuse_needless()?;
        Ok(layer)
    }

    /// An attribute that the operation does not have would be ignored in silence: it is refused.
    fn refuse_needless(&self) -> Result<(), Failure> {
        use Operation as O;
        let operation = self.operation;
        let adaptive = matches!(operation, O::AdaptiveMax | O::AdaptiveAvg | O::AdaptiveQuantizedAvg);
        let (fractional, unpool) = (operation == O::FractionalMax, operation == O::MaxUnpool);
        let windowed = !(adaptive || fractional || unpool);
        let extreme = matches!(operation, O::Max | O::Min | O::AdaptiveMax) || fractional;
        let indexed = extreme || unpool || operation == O::QuantizedMax;
        let zeros = |axes: &Axes<3>| axes.as_ref().iter().all(|number| *number == 0);
        let plain = Quantization::default();
        if indexed && self.index.is_none() && self.kind != IndexKind::default() {
            let kind = codes::INDEX_KIND.name(self.kind);
            let sentence = format!(
                "index_kind is {kind}, and index_type is missing: it is LANEPOOL_INDEX_NONE, which is no indices, and must be LANEPOOL_INDEX_I32 or LANEPOOL_INDEX_I64"
            );
            return Err(Failure::new(LANEPOOL_UNSUPPORTED, sentence));
        }
        let quantized = matches!(operation, O::QuantizedAvg | O::QuantizedMax | O::AdaptiveQuantizedAvg);
        let explicit = matches!(self.padding, None | Some(Pad::Explicit(..)));
        // Field, whether it has its default, whether the operation has it.
        let fields = [
            ("global", !self.global, windowed),
            (
                "kernel",
                zeros(&self.kernel),
                (windowed && !self.global) || fractional || unpool && !self.output_is_given,
            ),
            ("stride", self.stride.is_none(), windowed || unpool && !self.output_is_given),
            ("dilation", self.dilation.is_none(), windowed),
            ("padding", self.padding.is_none(), windowed || unpool && explicit && !self.output_is_given),
            ("allow_empty_windows", !self.allow_empty, windowed),
            ("ceil_mode", !self.ceil, windowed),
            ("ceil_rule", self.ceil_rule == CeilRule::default(), windowed),
            ("nan_policy", self.nan == NanPolicy::default(), extreme && !(self.backward && adaptive)),
            ("rounding", self.rounding == Rounding::default(), matches!(operation, O::Avg | O::AdaptiveAvg)),
            ("index_type", self.index.is_none(), indexed),
            ("index_kind", self.kind == IndexKind::default(), indexed && self.index.is_some()),
            (
                "divide_by",
                !self.include_pad && self.divisor.is_none(),
                operation == O::Avg || operation == O::QuantizedAvg && self.divisor.is_none(),
            ),
            ("output", zeros(&self.output), adaptive || fractional || unpool && self.output_is_given),
            ("output_is_given", !self.output_is_given, unpool),
            ("output_is_padded", self.padded_output.is_none(), unpool),
            ("p", self.p == 2.0, operation == O::Lp),
            ("mean", !self.mean, operation == O::Lp),
            ("clamp", self.clamp.is_none(), !unpool && !self.backward),
            ("input_scale", self.quantization == [plain; 2], quantized),
        ];
        match fields.into_iter().find(|(_, is_default, has_it)| !is_default && !has_it) {
            None => Ok(()),
            Some((field, ..)) => {
                let name = codes::OPERATION.name(operation);
                let direction = if self.backward { " backward" } else { "" };
                let sentence =
                    format!("{field} has no meaning for {name}{direction} as it is described: leave it at its default");
                Err(Failure::new(LANEPOOL_UNSUPPORTED, sentence))
            }
        }
    }
}
