//! What a case asks for: attributes of PyTorch, ONNX and ONNX Runtime, read into one form.
//!
//! A case gives one check for each result it holds: a maximum's values and its indices are two checks, so that the
//! one can pass while the other is unsupported. **To add an operation**: an arm in [`checks`], a variant of
//! [`Operation`], and an arm in `run.rs`; where its results may differ from the engine's, a rule in `compare.rs`.

use lanepool::IndexKind;
use safetensors::Dtype;
use serde_json::{Map, Value};

use super::cases::{self, Case, Tensor};
use super::run_variable::Variable;

/// One result of a case, to be computed and compared.
pub struct Check<'a> {
    /// The row of the report: the operation by its name in the file, and the part of its result.
    pub row: String,
    /// The element type, by its short name.
    pub element: String,
    /// What to do; `Err` says what the library lacks.
    pub work: Result<Work<'a>, String>,
}

/// An operation on a tensor, and what an engine made of it.
pub struct Work<'a> {
    pub operation: Operation,
    pub window: Window,
    pub input: &'a Tensor,
    /// The random samples of fractional pooling.
    pub samples: Option<&'a Tensor>,
    pub expected: &'a Tensor,
    pub pass: Pass<'a>,
}

/// Which way an operation is run.
#[derive(Clone, Debug)]
pub enum Pass<'a> {
    Forward,
    /// From the gradient of the output to that of the input. A maximum's comes from the indices, or from the input where
    /// there are none. `adaptive`: the windows are given by the lengths of the two.
    Backward {
        grad_output: &'a Tensor,
        indices: Option<&'a Tensor>,
        adaptive: bool,
    },
    /// Max unpooling of the input. The output's spatial lengths, where they are given: PyTorch's indices count in it, ONNX's
    /// in the plane that the window gives.
    Unpool {
        indices: &'a Tensor,
        output: Option<Vec<usize>>,
        onnx: bool,
    },
}

impl Work<'_> {
    /// The type of the result: the input's, or that of indices.
    pub fn result_dtype(&self) -> Dtype {
        match self.operation {
            Operation::Variable(variable) if variable.is_index() => Dtype::I64,
            _ => self.input.dtype,
        }
    }
}

/// What is done with the taps of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    Max,
    Min,
    Sum,
    Average {
        include_pad: bool,
        divisor: Option<usize>,
    },
    /// With `scales_overhang`, the engine scaled windows that overhang the input up to the whole kernel (PyTorch).
    Lp {
        p: f64,
        scales_overhang: bool,
    },
    /// Scale and zero point of the input, then of the output.
    QuantizedAverage {
        input: (f32, i32),
        output: (f32, i32),
        include_pad: bool,
    },
    /// Windows that are no [`Window`]: see `run_variable.rs`.
    Variable(Variable),
}

/// Where the windows lie. One number for each spatial axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// `None` is the whole plane.
    pub kernel: Option<Vec<usize>>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub padding: Padding,
    pub ceil: bool,
}

/// What surrounds the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Padding {
    Explicit { begin: Vec<usize>, end: Vec<usize> },
    SameUpper,
    SameLower,
}

/// The checks of a case. `Err` is a case that makes no sense.
pub fn checks(case: &Case) -> Result<Vec<Check<'_>>, String> {
    let attributes = Attributes(&case.attributes);
    let op = attributes.text("op")?;
    let (input, output) = if case.attributes.contains_key("attributes") {
        (case.tensor("input0")?, case.tensor("output0")?)
    } else {
        (case.tensor("input")?, case.tensor("output")?)
    };
    if input.shape.len() < 3 || input.shape.len() > 5 || output.shape.len() != input.shape.len() {
        let (input, output) = (&input.shape, &output.shape);
        return Err(format!("shapes {input:?} and {output:?} are not N, C and the same 1 to 3 spatial axes"));
    }

    let work =
        |operation, window| Ok(Work { operation, window, input, samples: None, expected: output, pass: Pass::Forward });
    let lacking = |what: &str| Err(format!("the library has no {what} yet"));
    let average = || -> Result<Operation, String> {
        Ok(Operation::Average {
            include_pad: attributes.flag("count_include_pad")?,
            divisor: attributes.number("divisor_override")?,
        })
    };
    // Adaptive and fractional pooling have windows of their own, and all that they give is checked.
    if let Some(variable) = Variable::of(op) {
        let window = Window::global(input);
        let mut checks = Vec::new();
        for (row, role, operation) in variable.results(op) {
            if let Some(expected) = case.find(role) {
                let kernel = attributes.numbers("kernel", input.shape.len() - 2)?;
                let samples = if variable.has_samples() { Some(case.tensor("random_samples")?) } else { None };
                let work = Work {
                    operation: Operation::Variable(operation),
                    window: Window { kernel, ..window.clone() },
                    input,
                    samples,
                    expected,
                    pass: Pass::Forward,
                };
                checks.push(Check { row, element: cases::name(input.dtype), work: Ok(work) });
            }
        }
        checks.extend(gradients(case, op, attributes, input));
        return Ok(checks);
    }
    let values = match op {
        "max" => work(Operation::Max, attributes.torch(input)?),
        "min" => work(Operation::Min, attributes.torch(input)?),
        "sum" => work(Operation::Sum, attributes.torch(input)?),
        "avg" => work(average()?, attributes.torch(input)?),
        "MaxPool" | "AveragePool" => {
            let onnx = attributes.object("attributes")?;
            let include_pad = onnx.flag("count_include_pad")?;
            let average = Operation::Average { include_pad, divisor: None };
            work(if op == "MaxPool" { Operation::Max } else { average }, onnx.onnx(input)?)
        }
        "GlobalMaxPool" => work(Operation::Max, Window::global(input)),
        "GlobalAveragePool" => work(Operation::Average { include_pad: false, divisor: None }, Window::global(input)),
        "lp" => work(Operation::Lp { p: attributes.real("p")?, scales_overhang: true }, attributes.torch(input)?),
        "LpPool" | "GlobalLpPool" => {
            let onnx = attributes.object("attributes")?;
            // ONNX's default.
            let p = if onnx.0.contains_key("p") { onnx.real("p")? } else { 2.0 };
            let window = if op == "LpPool" { onnx.onnx(input)? } else { Window::global(input) };
            work(Operation::Lp { p, scales_overhang: false }, window)
        }
        "unpool" | "MaxUnpool" => attributes.unpool(case, input, output),
        "QLinearAveragePool" => work(attributes.quantized()?, attributes.torch(input)?),
        "QLinearGlobalAveragePool" => work(attributes.quantized()?, Window::global(input)),
        other => lacking(&format!("operation {other}")),
    };

    let element = cases::name(input.dtype);
    let check = |row: String, work| Check { row, element: element.clone(), work };
    let mut checks = vec![check(op.to_owned(), values)];
    // PyTorch's indices count in the plane, ONNX's in the tensor, by either order.
    let found = match op {
        "max" => case.find("indices").map(|indices| (indices, IndexKind::Plane)),
        "MaxPool" => {
            let is_column_major = attributes.object("attributes")?.flag("storage_order")?;
            let kind = if is_column_major { IndexKind::TensorColumnMajor } else { IndexKind::Tensor };
            case.find("output1").map(|indices| (indices, kind))
        }
        _ => None,
    };
    if let Some((expected, kind)) = found {
        let window =
            if op == "max" { attributes.torch(input)? } else { attributes.object("attributes")?.onnx(input)? };
        let operation = Operation::Variable(Variable::MaxIndices(kind));
        let work = Work { operation, window, input, samples: None, expected, pass: Pass::Forward };
        checks.push(check(format!("{op}, indices"), Ok(work)));
    }
    checks.extend(gradients(case, op, attributes, input));
    Ok(checks)
}

/// The checks of a case's gradient, where it has one.
fn gradients<'a>(case: &'a Case, op: &str, attributes: Attributes<'_>, input: &Tensor) -> Vec<Check<'a>> {
    let check = |row: String, work| Check { row, element: cases::name(input.dtype), work };
    let mut checks = Vec::new();
    if case.find("grad_input").is_some() {
        checks.push(check(format!("{op}, backward"), backward(case, op, attributes, true)));
        if case.find("indices").is_some() {
            checks.push(check(format!("{op}, backward from the input"), backward(case, op, attributes, false)));
        }
    }
    checks
}

/// The backward pass of a case of PyTorch's: a maximum's from the indices, if it is to be, or from the input.
fn backward<'a>(case: &'a Case, op: &str, attributes: Attributes<'_>, from_indices: bool) -> Result<Work<'a>, String> {
    let (input, expected, grad_output) =
        (case.tensor("input")?, case.tensor("grad_input")?, case.tensor("grad_output")?);
    let indices = case.find("indices").filter(|_| from_indices);
    let average = |include_pad, divisor| -> Result<_, String> { Ok(Operation::Average { include_pad, divisor }) };
    let (operation, adaptive) = match op {
        "max" => (Operation::Max, false),
        "avg" => (average(attributes.flag("count_include_pad")?, attributes.number("divisor_override")?)?, false),
        "adaptive_max" => (Operation::Max, true),
        "adaptive_avg" => (average(false, None)?, true),
        other => return Err(format!("the library has no backward pass of {other} yet")),
    };
    let window = if adaptive { Window::global(input) } else { attributes.torch(input)? };
    Ok(Work {
        operation,
        window,
        input,
        samples: None,
        expected,
        pass: Pass::Backward { grad_output, indices, adaptive },
    })
}

impl Window {
    fn global(input: &Tensor) -> Self {
        let spatial = input.shape.len() - 2;
        Self {
            kernel: None,
            stride: vec![1; spatial],
            dilation: vec![1; spatial],
            padding: Padding::Explicit { begin: vec![0; spatial], end: vec![0; spatial] },
            ceil: false,
        }
    }

    /// Taps of a whole window on a tensor of `shape`, valid or not.
    pub fn taps(&self, shape: &[usize]) -> usize {
        self.kernel.as_deref().unwrap_or(&shape[2..]).iter().product()
    }

    /// The window's length, stride, dilation and padding before the input on one spatial axis of `input` elements.
    pub fn axis(&self, axis: usize, input: usize) -> AxisWindow {
        let kernel = self.kernel.as_ref().map_or(input, |kernel| kernel[axis]);
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        let begin = match &self.padding {
            Padding::Explicit { begin, .. } => begin[axis],
            same => {
                let span = dilation * (kernel - 1) + 1;
                let total = ((input.div_ceil(stride) - 1) * stride + span).saturating_sub(input);
                if *same == Padding::SameUpper { total / 2 } else { total.div_ceil(2) }
            }
        };
        AxisWindow { input, kernel, stride, dilation, begin }
    }
}

/// A window on one axis.
#[derive(Clone, Copy, Debug)]
pub struct AxisWindow {
    pub input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    begin: usize,
}

impl AxisWindow {
    /// The positions of the valid taps of output `o`.
    pub fn taps(self, o: usize) -> impl Iterator<Item = usize> + Clone {
        let Self { input, kernel, stride, dilation, begin } = self;
        (0..kernel)
            .filter_map(move |tap| (o * stride + tap * dilation).checked_sub(begin))
            .filter(move |&position| position < input)
    }
}

/// A JSON object of attributes, read with the defaults of the engine that wrote it.
#[derive(Clone, Copy)]
struct Attributes<'a>(&'a Map<String, Value>);

impl<'a> Attributes<'a> {
    /// PyTorch's arguments: padding is the same on both sides.
    fn torch(self, input: &Tensor) -> Result<Window, String> {
        let spatial = input.shape.len() - 2;
        let padding = self.numbers("pad", spatial)?.unwrap_or_else(|| vec![0; spatial]);
        self.window(
            ("kernel", "stride", "dilation"),
            spatial,
            Padding::Explicit { begin: padding.clone(), end: padding },
        )
    }

    /// ONNX's attributes: `pads` holds the begins of all axes, then the ends; `auto_pad` takes their place.
    fn onnx(self, input: &Tensor) -> Result<Window, String> {
        let spatial = input.shape.len() - 2;
        let padding = match self.0.get("auto_pad").map_or(Some("NOTSET"), Value::as_str) {
            Some("NOTSET") => {
                let mut begin = self.numbers("pads", 2 * spatial)?.unwrap_or_else(|| vec![0; 2 * spatial]);
                let end = begin.split_off(spatial);
                Padding::Explicit { begin, end }
            }
            Some("VALID") => Padding::Explicit { begin: vec![0; spatial], end: vec![0; spatial] },
            Some("SAME_UPPER") => Padding::SameUpper,
            Some("SAME_LOWER") => Padding::SameLower,
            _ => return Err(format!("the attribute auto_pad is {}", self.0["auto_pad"])),
        };
        let mut window = self.window(("kernel_shape", "strides", "dilations"), spatial, padding)?;
        // The output length of SAME does not depend on how a division rounds.
        window.ceil &= matches!(window.padding, Padding::Explicit { .. });
        Ok(window)
    }

    /// Max unpooling, by PyTorch's attributes or ONNX's.
    fn unpool<'b>(self, case: &'b Case, input: &'b Tensor, expected: &'b Tensor) -> Result<Work<'b>, String> {
        let spatial = input.shape.len() - 2;
        let (window, pass) = if self.0.contains_key("attributes") {
            // The input `output_shape` is N, C, spatial.
            let lengths =
                |tensor: &Tensor| tensor.values().map(|all| all.iter().skip(2).map(|&n| n as usize).collect());
            let output = case.find("input2").and_then(lengths);
            let window = self.object("attributes")?.onnx(input)?;
            (window, Pass::Unpool { indices: case.tensor("input1")?, output, onnx: true })
        } else {
            let output = self.numbers("output", spatial)?;
            (self.torch(input)?, Pass::Unpool { indices: case.tensor("indices")?, output, onnx: false })
        };
        Ok(Work { operation: Operation::Max, window, input, samples: None, expected, pass })
    }

    fn window(
        self,
        (kernel, stride, dilation): (&str, &str, &str),
        spatial: usize,
        padding: Padding,
    ) -> Result<Window, String> {
        let missing = || format!("the attribute {kernel} is missing");
        Ok(Window {
            kernel: Some(self.numbers(kernel, spatial)?.ok_or_else(missing)?),
            stride: self.numbers(stride, spatial)?.unwrap_or_else(|| vec![1; spatial]),
            dilation: self.numbers(dilation, spatial)?.unwrap_or_else(|| vec![1; spatial]),
            padding,
            ceil: self.flag("ceil_mode")?,
        })
    }

    fn text(self, key: &str) -> Result<&'a str, String> {
        self.0.get(key).and_then(Value::as_str).ok_or_else(|| format!("the attribute {key} is not a text"))
    }

    fn object(self, key: &str) -> Result<Attributes<'a>, String> {
        let object = self.0.get(key).and_then(Value::as_object);
        object.map(Attributes).ok_or_else(|| format!("the attribute {key} is not an object"))
    }

    /// A truth value: `true` in one file, 1 in the other. False where it is not given.
    fn flag(self, key: &str) -> Result<bool, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::Number(number)) if number.as_u64().is_some_and(|number| number < 2) => {
                Ok(number.as_u64() == Some(1))
            }
            Some(other) => Err(format!("the attribute {key} is {other}, which is no truth value")),
        }
    }

    fn real(self, key: &str) -> Result<f64, String> {
        self.0.get(key).and_then(Value::as_f64).ok_or_else(|| format!("the attribute {key} is not a number"))
    }

    /// ONNX Runtime's quantised average.
    fn quantized(self) -> Result<Operation, String> {
        let pair = |scale: &str, zero: &str| -> Result<(f32, i32), String> {
            let zero_point = self.0.get(zero).and_then(Value::as_i64).and_then(|zero| i32::try_from(zero).ok());
            let zero_point = zero_point.ok_or_else(|| format!("the attribute {zero} is not a whole number"))?;
            Ok((self.real(scale)? as f32, zero_point))
        };
        Ok(Operation::QuantizedAverage {
            input: pair("scale_in", "zero_in")?,
            output: pair("scale_out", "zero_out")?,
            include_pad: self.flag("count_include_pad")?,
        })
    }

    fn number(self, key: &str) -> Result<Option<usize>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => count(value).map(Some).ok_or_else(|| format!("the attribute {key} is {value}")),
        }
    }

    /// One number for each of `need` axes.
    fn numbers(self, key: &str, need: usize) -> Result<Option<Vec<usize>>, String> {
        let Some(value) = self.0.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let numbers: Option<Vec<usize>> = value.as_array().and_then(|list| list.iter().map(count).collect());
        match numbers {
            Some(numbers) if numbers.len() == need => Ok(Some(numbers)),
            _ => Err(format!("the attribute {key} is {value}, where a list of {need} numbers is needed")),
        }
    }
}

/// A count or length; anything that could overflow the arithmetic on windows is none.
fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).and_then(|number| usize::try_from(number).ok())
}
