//! Lists of cases: layers as JSON, those of a file and the built-in ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use lanepool::{DType, Layout};
use serde::Deserialize;
use serde_json::Value;

use crate::elements;
use crate::layer::{Numbers, Padding, Window, parse_layout};
use crate::timing::Layer;

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
    shape: Vec<usize>,
    kernel: Kernel,
    #[serde(alias = "strides")]
    stride: Option<OneOrMany>,
    #[serde(alias = "pad", alias = "pads")]
    padding: Option<OneOrMany>,
    #[serde(alias = "dilations")]
    dilation: Option<OneOrMany>,
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
        let about = |why: String| anyhow!("{:?}: {why}", self.name);
        let rank = self.shape.len().saturating_sub(2);
        let kernel = match self.kernel {
            Kernel::Size(size) => Some(size.into()),
            Kernel::Named(name) if name.eq_ignore_ascii_case("global") => None,
            Kernel::Named(name) => {
                return Err(about(format!("the kernel is {name:?} where numbers or \"global\" are needed")));
            }
        };
        let mut window = Window::new(self.op.parse().map_err(about)?, kernel);
        window.stride = self.stride.map(Numbers::from);
        window.dilation = self.dilation.map(Numbers::from);
        window.padding = self.padding.map(|padding| {
            let Numbers(all) = padding.into();
            // As in ONNX, twice as many numbers are those of every beginning and then of every end.
            let (begin, end) =
                if rank > 0 && all.len() == 2 * rank { all.split_at(rank) } else { (all.as_slice(), all.as_slice()) };
            Padding::Explicit { begin: Numbers(begin.to_vec()), end: Numbers(end.to_vec()) }
        });
        Ok(Layer { name: self.name, window, layout, element, shape: self.shape })
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
        // Four of them are averages, which integers of 64 bits do not have.
        assert_eq!(layers.len(), 18 * 2 * DType::ALL.len() - 4 * 2 * 2);
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
