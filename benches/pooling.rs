//! Times the layers of `layers.json` on every tier of this machine, for comparisons from one version to the next.
//!
//! `lanepool bench` measures the same layers against the streaming bound of the machine; this one remembers its last run, so
//! that a change shows. Each layer is there in both plain layouts and every element, `layer/layout/element/tier`, and is
//! prepared only when the filter lets it through: `cargo bench --bench pooling -- resnet50_stem_max3s2/nchw/f32`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lanepool::{
    AvgPool, DType, Element, Layout, LpPool, MaxPool, MinPool, Plan, Pool, PoolOperation, QuantizedAvgPool,
    QuantizedMaxPool, Result, SumPool, Tier,
};
use serde_json::Value;

/// A value as a network holds it, from 16 random bits.
trait Sample: Element {
    fn sample(bits: u16) -> Self;
}

/// Makes element types samples, and benches each layer for all of them.
macro_rules! elements {
    ($($type:ty: $sample:expr;)+) => {
        $(impl Sample for $type {
            fn sample(bits: u16) -> Self {
                let sample: fn(u16) -> Self = $sample;
                sample(bits)
            }
        })+

        fn every_element(criterion: &mut Criterion) {
            $(layers::<$type>(criterion);)+
        }
    };
}

elements! {
    f32: |bits| f32::from(bits) / 32768.0 - 1.0;
    f64: |bits| f64::from(bits) / 32768.0 - 1.0;
    half::f16: |bits| half::f16::from_f32(f32::from(bits) / 32768.0 - 1.0);
    half::bf16: |bits| half::bf16::from_f32(f32::from(bits) / 32768.0 - 1.0);
    i8: |bits| bits as i8;
    u8: |bits| bits as u8;
    i16: |bits| bits as i16;
    u16: |bits| bits;
    i32: |bits| i32::from(bits) - 32768;
    u32: |bits| u32::from(bits);
    i64: |bits| i64::from(bits) - 32768;
    u64: |bits| u64::from(bits);
}

/// Operations whose plan is of another kind: `lanepool bench` times them.
const TIMED_ELSEWHERE: [&str; 8] = [
    "max_indices",
    "unpool",
    "adaptive_max",
    "adaptive_avg",
    "fractional_max",
    "max_backward",
    "avg_backward",
    "lp_backward",
];

/// A layer of the list.
struct Layer {
    name: String,
    op: String,
    shape: Vec<usize>,
    /// `None` is the whole plane.
    kernel: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
    padding: Option<Vec<usize>>,
    /// Of norms.
    p: Option<f64>,
}

impl Layer {
    fn list() -> Vec<Self> {
        let rows: Vec<Value> = serde_json::from_str(include_str!("layers.json")).expect("a list of layers");
        let text = |row: &Value, key| row[key].as_str().expect("a word").to_owned();
        let numbers = |row: &Value, key| -> Option<Vec<usize>> {
            let values = row[key].as_array()?.iter();
            Some(values.map(|value| value.as_u64().expect("a length") as usize).collect())
        };
        let layer = |row: &Value| Self {
            name: text(row, "name"),
            op: text(row, "op"),
            shape: numbers(row, "shape").expect("a shape"),
            kernel: numbers(row, "kernel"),
            stride: numbers(row, "stride"),
            padding: numbers(row, "padding"),
            p: row["p"].as_f64(),
        };
        rows.iter().map(layer).filter(|layer| !TIMED_ELSEWHERE.contains(&layer.op.as_str())).collect()
    }

    /// Whether elements of this type have the operation.
    fn takes(&self, element: DType) -> bool {
        match self.op.as_str() {
            "avg" | "sum" => element.has_sums(),
            "lp" => !element.is_integer(),
            "quantized_avg" | "quantized_max" => matches!(element, DType::U8 | DType::I8 | DType::I16),
            _ => true,
        }
    }

    fn plan<T: Element>(&self, layout: Layout, tier: Tier) -> Result<Plan<T>> {
        match self.op.as_str() {
            "max" => MaxPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            "min" => MinPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            "avg" => AvgPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            "sum" => SumPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            "lp" => LpPool::<T>::p(self.pool(tier), self.p.unwrap_or(2.0)).plan(layout, &self.shape),
            "quantized_avg" => QuantizedAvgPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            "quantized_max" => QuantizedMaxPool::<T>::plan(&self.pool(tier), layout, &self.shape),
            op => panic!("no operation {op} is timed here"),
        }
    }

    fn pool<O: PoolOperation, T: Element>(&self, tier: Tier) -> Pool<O, T> {
        let pool = self.kernel.as_ref().map_or_else(Pool::global, Pool::new).tier(tier);
        let pool = self.stride.iter().fold(pool, |pool, stride| pool.stride(stride));
        self.padding.iter().fold(pool, |pool, padding| pool.padding(padding))
    }
}

fn layers<T: Sample>(criterion: &mut Criterion) {
    for layer in Layer::list().into_iter().filter(|layer| layer.takes(T::DTYPE)) {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            time::<T>(criterion, &layer, layout);
        }
    }
}

fn time<T: Sample>(criterion: &mut Criterion, layer: &Layer, layout: Layout) {
    let mut group = criterion.benchmark_group(format!("{}/{layout}/{}", layer.name, T::NAME));
    for tier in Tier::available() {
        let plan = layer.plan::<T>(layout, tier).expect("the layers are valid and the tier is available");
        let bytes = (plan.input_len() + plan.output_len()) * size_of::<T>();
        group.throughput(Throughput::Bytes(bytes as u64));
        // Criterion enters the closure for each sample, and not at all where the filter keeps the layer out.
        let mut memory = None;
        group.bench_function(tier.name(), |bencher| {
            let (src, dst) = memory.get_or_insert_with(|| (input(&plan), vec![T::zeroed(); plan.output_len()]));
            bencher.iter(|| plan.run(black_box(src), black_box(dst)));
        });
    }
    group.finish();
}

/// The same values in every run: a linear congruential generator.
fn input<T: Sample>(plan: &Plan<T>) -> Vec<T> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::sample((state >> 16) as u16)
    };
    (0..plan.input_len()).map(|_| next()).collect()
}

criterion_group!(pooling, every_element);
criterion_main!(pooling);
