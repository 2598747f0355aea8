//! Lists of cases: layers as JSON, those of a file and the built-in ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use lanepool::{DType, Layout, Quantization};
use serde::Deserialize;
use serde_json::Value;

use crate::elements;
use crate::layer::{Numbers, Operation, Padding, Window, parse_layout};
use crate::timing::{IndexWidth, Layer, Work};

/// The built-in layers: pooling layers of published networks, and a few of image processing. The benchmarks read the same list.
const BUILT_IN: &str = include_str!("../../../benches/layers.json");

/// A case as the list has it. A number may stand for a list of one number an axis.
#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    op: String,
    /// `nchw` where none is given.
    layout: Option<String>,
    /// `f32` where none is given.
    #[serde(alias = "dtype")]
    element: Option<String>,
    /// Of the forward pass's input, also where the operation goes the other way.
    shape: Vec<usize>,
    kernel: Option<Kernel>,
    #[serde(alias = "strides")]
    stride: Option<OneOrMany>,
    #[serde(alias = "pad", alias = "pads")]
    padding: Option<OneOrMany>,
    #[serde(alias = "dilations")]
    dilation: Option<OneOrMany>,
    /// Adaptive and fractional windows: how long the output is.
    #[serde(alias = "output_size")]
    output: Option<OneOrMany>,
    /// Norms; 2 where none is given.
    p: Option<Norm>,
    /// The type of indices, `i64` where none is given.
    index: Option<String>,
    /// Quantised elements: 1 and 0 where none are given, and for the output those of the input.
    scale: Option<f32>,
    zero_point: Option<i32>,
    output_scale: Option<f32>,
    output_zero_point: Option<i32>,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a number, a list of one number an axis, or \"global\"")]
enum Kernel {
    Size(OneOrMany),
    Named(String),
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a number, or \"inf\" for the largest |x|")]
enum Norm {
    Number(f64),
    Named(String),
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a number of at least 0, or a list of one such number an axis")]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

impl From<OneOrMany> for Numbers {
    fn from(values: OneOrMany) -> Self {
        match values {
            OneOrMany::One(value) => Self(vec![value]),
            OneOrMany::Many(values) => Self(values),
        }
    }
}

/// Reads a file of cases.
pub fn read(file: &Path) -> Result<Vec<Layer>> {
    let name = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(name)?;
    parse(&text, name, Case::layer).with_context(name)
}

/// Every built-in layer in both plain layouts and every element type that has its operation, named `layer/layout/element`.
pub fn built_in() -> Result<Vec<Layer>> {
    let everywhere = |case: Case| {
        let places = [Layout::Nchw, Layout::Nhwc]
            .into_iter()
            .flat_map(|layout| DType::ALL.iter().map(move |&element| (layout, element)));
        let layers = places.map(|(layout, element)| case.clone().placed(layout, element));
        let is_there = |layer: &Result<Layer>| layer.as_ref().map_or(true, Layer::has_operation);
        layers.filter(is_there).collect::<Result<Vec<_>>>()
    };
    let layers = parse(BUILT_IN, || "the built-in layers".to_owned(), everywhere).context("the built-in layers")?;
    Ok(layers.into_iter().flatten().collect())
}

/// The built-in layer of this name, in one layout and element type.
pub fn named(name: &str, layout: Layout, element: DType) -> Result<Layer> {
    let wanted = format!("{name}/{layout}/{element}");
    let found = built_in()?.into_iter().find(|layer| layer.name == wanted);
    found.with_context(|| format!("no layer is called {wanted}"))
}

/// What `layer` makes of each case of a list; `list` is what the list is called.
fn parse<T>(text: &str, list: impl Fn() -> String, layer: impl Fn(Case) -> Result<T>) -> Result<Vec<T>> {
    let cases: Vec<Value> = serde_json::from_str(text).context("not a JSON list of cases")?;
    let case = |(i, value)| {
        let case: Case = serde_json::from_value(value)?;
        for unknown in case.unknown.keys() {
            eprintln!("lanepool: {}: case {:?}: the key {unknown:?} means nothing here", list(), case.name);
        }
        layer(case).with_context(|| format!("case {i}"))
    };
    cases.into_iter().enumerate().map(case).collect()
}

impl Case {
    /// In the layout and the element that it names.
    fn layer(self) -> Result<Layer> {
        let about = |why: String| anyhow!("{:?}: {why}", self.name);
        let layout = self.layout.as_deref().map_or(Ok(Layout::Nchw), parse_layout).map_err(about)?;
        let element = self.element.as_deref().map_or(Ok(DType::F32), elements::parse).map_err(about)?;
        self.made(layout, element)
    }

    /// In a layout and an element of the caller's, which become part of its name.
    fn placed(mut self, layout: Layout, element: DType) -> Result<Layer> {
        self.name = format!("{}/{layout}/{element}", self.name);
        self.made(layout, element)
    }

    fn made(self, layout: Layout, element: DType) -> Result<Layer> {
        let name = self.name.clone();
        let (work, window) = self.work().map_err(|why| anyhow!("{name:?}: {why}"))?;
        Ok(Layer { name, work, window, layout, element, shape: self.shape })
    }

    /// What is computed, with which windows.
    fn work(&self) -> Result<(Work, Window), String> {
        let (kind, operation) = Kind::parse(&self.op)?;
        self.refuse_needless(kind, operation)?;
        let mut window = Window::new(operation, self.kernel(kind)?);
        window.stride = self.stride.clone().map(Numbers::from);
        window.dilation = self.dilation.clone().map(Numbers::from);
        window.padding = self.padding();
        match &self.p {
            Some(Norm::Number(p)) => window.p = *p,
            Some(Norm::Named(name)) if name == "inf" => window.p = f64::INFINITY,
            Some(Norm::Named(name)) => return Err(format!("p is {name:?} where a number or \"inf\" is needed")),
            None => {}
        }
        let index = || self.index.as_deref().map_or(Ok(IndexWidth::I64), str::parse);
        let output = || self.output.clone().map(Numbers::from).ok_or("missing field `output`");
        let work = match kind {
            Kind::Values => Work::Values,
            Kind::Quantized => Work::Quantized(self.quantization()),
            Kind::Indices => Work::Indices(index()?),
            Kind::Adaptive => Work::Adaptive(output()?),
            Kind::Fractional => Work::Fractional(output()?),
            Kind::Unpool => Work::Unpool(index()?),
            Kind::Backward => Work::Backward(index()?),
        };
        Ok((work, window))
    }

    /// Refuses a key that other operations have: whoever wrote it measures something else than he means to.
    fn refuse_needless(&self, kind: Kind, operation: Operation) -> Result<(), String> {
        let slides = !matches!(kind, Kind::Adaptive | Kind::Fractional);
        let has_indices =
            matches!(kind, Kind::Indices | Kind::Unpool) || (kind == Kind::Backward && operation == Operation::Max);
        let is_quantized = kind == Kind::Quantized;
        for (key, is_given, is_known) in [
            ("kernel", self.kernel.is_some(), kind != Kind::Adaptive),
            ("stride", self.stride.is_some(), slides),
            ("padding", self.padding.is_some(), slides),
            ("dilation", self.dilation.is_some(), slides),
            ("output", self.output.is_some(), !slides),
            ("p", self.p.is_some(), operation == Operation::Lp),
            ("index", self.index.is_some(), has_indices),
            ("scale", self.scale.is_some(), is_quantized),
            ("zero_point", self.zero_point.is_some(), is_quantized),
            ("output_scale", self.output_scale.is_some(), is_quantized),
            ("output_zero_point", self.output_zero_point.is_some(), is_quantized),
        ] {
            if is_given && !is_known {
                return Err(format!("the operation {:?} has no `{key}`", self.op));
            }
        }
        Ok(())
    }

    /// `None` is the whole plane, and what adaptive windows have.
    fn kernel(&self, kind: Kind) -> Result<Option<Numbers>, String> {
        match &self.kernel {
            None if kind == Kind::Adaptive => Ok(None),
            None => Err("missing field `kernel`".to_owned()),
            Some(Kernel::Size(size)) => Ok(Some(size.clone().into())),
            Some(Kernel::Named(name)) if name.eq_ignore_ascii_case("global") && kind != Kind::Fractional => Ok(None),
            Some(Kernel::Named(name)) => {
                let or_global = if kind == Kind::Fractional { "" } else { " or \"global\"" };
                Err(format!("the kernel is {name:?} where numbers{or_global} are needed"))
            }
        }
    }

    fn padding(&self) -> Option<Padding> {
        let Numbers(all) = self.padding.clone()?.into();
        let rank = self.shape.len().saturating_sub(2);
        // As in ONNX, twice as many numbers are those of every beginning and then of every end.
        let (begin, end) =
            if rank > 0 && all.len() == 2 * rank { all.split_at(rank) } else { (all.as_slice(), all.as_slice()) };
        Some(Padding::Explicit { begin: Numbers(begin.to_vec()), end: Numbers(end.to_vec()) })
    }

    /// What the integers of the input and of the output stand for.
    fn quantization(&self) -> [Quantization; 2] {
        let input = Quantization::new(self.scale.unwrap_or(1.0), self.zero_point.unwrap_or(0));
        let output = Quantization::new(
            self.output_scale.unwrap_or(input.scale),
            self.output_zero_point.unwrap_or(input.zero_point),
        );
        [input, output]
    }
}

/// A family of operations, by what surrounds the operation's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Values,
    Quantized,
    Indices,
    Adaptive,
    Fractional,
    Unpool,
    Backward,
}

impl Kind {
    /// What stands before and behind the operation's name, and the operations that the family has.
    const FAMILIES: [(Self, &str, &str, &[Operation]); 5] = [
        (Self::Quantized, "quantized", "", &[Operation::Avg, Operation::Max]),
        (Self::Indices, "", "indices", &[Operation::Max]),
        (Self::Adaptive, "adaptive", "", &[Operation::Max, Operation::Avg]),
        (Self::Fractional, "fractional", "", &[Operation::Max]),
        (Self::Backward, "", "backward", &[Operation::Max, Operation::Avg, Operation::Lp]),
    ];

    /// Reads `max`, `max_indices`, `AdaptiveAvgPool2d`, `MaxUnpool`, `lp_backward`…
    fn parse(text: &str) -> Result<(Self, Operation), String> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        if matches!(plain.trim_end_matches("1d").trim_end_matches("2d").trim_end_matches("3d"), "unpool" | "maxunpool")
        {
            return Ok((Self::Unpool, Operation::Max));
        }
        let family = |(kind, before, behind, operations): (Self, &str, &str, &[Operation])| {
            let operation = plain.strip_prefix(before)?.strip_suffix(behind)?.parse().ok()?;
            operations.contains(&operation).then_some((kind, operation))
        };
        if let Some(found) = Self::FAMILIES.into_iter().find_map(family) {
            return Ok(found);
        }
        text.parse().map(|operation| (Self::Values, operation)).map_err(|_| {
            format!(
                "no operation is called {text:?}: max, min, avg, sum, lp, quantized_avg, quantized_max, max_indices, \
                 adaptive_max, adaptive_avg, fractional_max, unpool, max_backward, avg_backward and lp_backward are"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(case: Value) -> Result<Layer> {
        serde_json::from_value::<Case>(case)?.layer()
    }

    #[test]
    fn missing_attributes_have_defaults() {
        let layer = parse(json!({"name": "a", "op": "max", "shape": [1, 2, 8], "kernel": [3]})).unwrap();
        let plan = layer.window.plan::<f32>(layer.layout, &layer.shape, None).unwrap();
        assert_eq!(plan.output_shape(), [1, 2, 6]);
    }

    #[test]
    fn every_attribute_arrives() {
        let layer = parse(json!({"name": "a", "op": "AveragePool", "layout": "NHWC", "element": "float32",
            "shape": [1, 2, 16, 20], "kernel": [3, 2], "stride": [2, 3], "padding": [1, 0], "dilation": [2, 1]}))
        .unwrap();
        let plan = layer.window.plan::<f32>(layer.layout, &layer.shape, Some(lanepool::Tier::Scalar)).unwrap();
        assert!(plan.to_string().starts_with("avg f32 nhwc 3x2/2x3*2x1+1x0 → "), "{plan}");
        assert_eq!(plan.output_shape(), [1, 2, 7, 7]);
    }

    #[test]
    fn a_kernel_may_be_global_and_padding_unequal() {
        let layer = parse(json!({"name": "a", "op": "avg", "shape": [2, 3, 4, 5], "kernel": "global"})).unwrap();
        assert_eq!(layer.window.plan::<f32>(layer.layout, &layer.shape, None).unwrap().output_shape(), [2, 3, 1, 1]);
        let padded = json!({"name": "a", "op": "avg", "shape": [1, 1, 4, 4], "kernel": 2, "padding": [1, 0, 0, 0]});
        let layer = parse(padded).unwrap();
        assert_eq!(layer.window.plan::<f32>(layer.layout, &layer.shape, None).unwrap().output_shape(), [1, 1, 4, 3]);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |case| format!("{:#}", parse(case).unwrap_err());
        assert!(error(json!({"name": "a", "op": "median", "shape": [1, 1, 4], "kernel": 2})).contains("\"median\""));
        assert!(error(json!({"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": "all"})).contains("\"all\""));
        assert!(error(json!({"name": "a", "op": "max", "shape": [1, 1, 4], "kernel": -2})).contains("global"));
        assert!(error(json!({"op": "max", "shape": [1, 1, 4], "kernel": 2})).contains("name"));
    }

    /// Every operation, by the name that the list calls it and by those of the model formats, with what it alone has.
    #[test]
    fn operations_are_read() {
        for (op, more, read) in [
            ("sum", json!({"kernel": 2}), "1x6x6 2x2"),
            ("lp", json!({"kernel": 2, "p": 3}), "1x6x6 2x2"),
            ("lp_pool", json!({"kernel": 2, "p": "inf"}), "1x6x6 2x2"),
            ("quantized_avg", json!({"kernel": 2, "scale": 0.5}), "1x6x6 2x2 quantized_avg"),
            ("QuantizedMaxPool2d", json!({"kernel": 2, "zero_point": 3}), "1x6x6 2x2 quantized_max"),
            ("max_indices", json!({"kernel": 2, "index": "i32"}), "1x6x6 2x2 max_indices i32"),
            ("adaptive_max", json!({"output": [2, 3]}), "1x6x6 → 2x3 adaptive_max"),
            ("AdaptiveAvgPool2d", json!({"output_size": 2}), "1x6x6 → 2x2 adaptive_avg"),
            ("fractional_max", json!({"kernel": 2, "output": 4}), "1x6x6 2x2 → 4x4 fractional_max"),
            ("unpool", json!({"kernel": 2, "stride": 2}), "1x6x6 2x2/2 unpool i64"),
            ("MaxUnpool2d", json!({"kernel": 2, "stride": 2, "index": "int32"}), "1x6x6 2x2/2 unpool i32"),
            ("max_backward", json!({"kernel": 3, "padding": 1}), "1x6x6 3x3+1 max_backward i64"),
            ("avg_pool2d_backward", json!({"kernel": "global"}), "1x6x6 global avg_backward"),
            ("lp_backward", json!({"kernel": 2, "p": 1}), "1x6x6 2x2 lp_backward"),
        ] {
            let mut case = json!({"name": "a", "op": op, "shape": [1, 1, 6, 6]});
            case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(parse(case).unwrap().summary(), read, "{op}");
        }
        let norm = parse(json!({"name": "a", "op": "lp", "p": "inf", "shape": [1, 1, 6], "kernel": 2})).unwrap();
        assert_eq!(norm.window.p, f64::INFINITY);
        let scales = json!({"name": "a", "op": "quantized_avg", "shape": [1, 1, 6], "kernel": 2, "scale": 0.5, "zero_point": 7,
            "output_scale": 0.25});
        let expected = [Quantization::new(0.5, 7), Quantization::new(0.25, 7)];
        assert!(matches!(parse(scales).unwrap().work, Work::Quantized(both) if both == expected));
    }

    /// The list of the documentation.
    #[test]
    fn the_example_is_a_list_of_cases() {
        let page = include_str!("../../../docs/performance.md");
        let (_, list) = page.split_once("an object each:\n\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        let layers = super::parse(list, || "the example".to_owned(), Case::layer).unwrap();
        let summaries: Vec<String> = layers.iter().map(Layer::summary).collect();
        let expected = ["64x112x112 3x3/2+1", "512x14x14 → 7x7 adaptive_avg", "64x112x112 2x2/2 max_backward i32"];
        assert_eq!(summaries, expected);
    }

    #[test]
    fn what_an_operation_lacks_or_has_not_is_named() {
        for (op, more, why) in [
            ("adaptive_avg", json!({}), "missing field `output`"),
            ("fractional_max", json!({"kernel": 2}), "missing field `output`"),
            ("fractional_max", json!({"output": 2}), "missing field `kernel`"),
            ("fractional_max", json!({"output": 2, "kernel": "global"}), "\"global\" where numbers are needed"),
            ("unpool", json!({}), "missing field `kernel`"),
            ("max", json!({"kernel": 2, "p": 2}), "the operation \"max\" has no `p`"),
            ("max_backward", json!({"kernel": 2, "p": 2}), "the operation \"max_backward\" has no `p`"),
            ("avg", json!({"kernel": 2, "output": 2}), "has no `output`"),
            ("adaptive_max", json!({"output": 2, "kernel": 2}), "has no `kernel`"),
            ("adaptive_max", json!({"output": 2, "stride": 2}), "has no `stride`"),
            ("fractional_max", json!({"output": 2, "kernel": 2, "padding": 1}), "has no `padding`"),
            ("avg_backward", json!({"kernel": 2, "index": "i32"}), "has no `index`"),
            ("max", json!({"kernel": 2, "scale": 1}), "has no `scale`"),
            ("max_indices", json!({"kernel": 2, "index": "u8"}), "the index is \"u8\" where"),
            ("lp", json!({"kernel": 2, "p": "two"}), "p is \"two\" where"),
            ("adaptive_sum", json!({"output": 2}), "no operation is called \"adaptive_sum\""),
            ("min_backward", json!({"kernel": 2}), "no operation is called \"min_backward\""),
        ] {
            let mut case = json!({"name": "this one", "op": op, "shape": [1, 1, 6, 6]});
            case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let error = format!("{:#}", parse(case).unwrap_err());
            assert!(error.contains(why) && error.contains("\"this one\""), "{op}: {error}");
        }
    }

    /// Each layer's output shape, worked out by hand from the layer's paper.
    #[test]
    fn layers_have_the_shapes_of_their_networks() {
        let output = |name| {
            let layer = named(name, Layout::Nchw, DType::F32).unwrap();
            layer.window.plan::<f32>(layer.layout, &layer.shape, None).unwrap().output_shape()
        };
        assert_eq!(output("resnet50_stem_max3s2"), [1, 64, 56, 56]);
        assert_eq!(output("resnet50_gap7"), [1, 2048, 1, 1]);
        assert_eq!(output("alexnet_max3s2"), [1, 64, 27, 27]);
        assert_eq!(output("googlenet_branch_max3s1"), [1, 192, 28, 28]);
        assert_eq!(output("yolov3_spp_max13s1"), [1, 512, 19, 19]);
        assert_eq!(output("pointnet_gmax1d"), [1, 1024, 1]);
        assert_eq!(output("audio1d_max3s3"), [1, 128, 6561]);
        assert_eq!(output("c3d_pool1_max122"), [1, 64, 16, 56, 56]);
        assert_eq!(output("morph_max31s1"), [1, 3, 540, 960]);
    }

    #[test]
    fn every_layer_stands_in_both_layouts_and_every_element() {
        let layers = built_in().unwrap();
        // By the types that each has: every one, those with sums, floats, and quantised ones.
        let [sums, floats] = [DType::has_sums as fn(DType) -> bool, |element| !element.is_integer()]
            .map(|has: fn(DType) -> bool| DType::ALL.iter().filter(|element| has(**element)).count());
        assert_eq!(layers.len(), 2 * (19 * DType::ALL.len() + 10 * sums + 6 * floats + 2 * 3));
        assert!(named("resnet50_gap7", Layout::Nhwc, DType::U64).is_err());
        assert!(named("resnet50_stem_b32", Layout::Nhwc, DType::U64).is_ok());
        let mut names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), layers.len());
        assert!(named("resnet50_gap7", Layout::Nhwc, DType::I8).unwrap().window.kernel.is_none());
        assert!(
            named("resnet51_gap7", Layout::Nhwc, DType::I8)
                .is_err_and(|why| why.to_string().contains("resnet51_gap7/nhwc/i8"))
        );
    }
}
