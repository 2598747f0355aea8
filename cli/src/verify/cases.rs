//! Reading a file of golden vectors: tensors named `<case>/<role>`, and for each case a JSON object of attributes.
//!
//! Nothing here knows what a case means; `checks.rs` does. A file that is not what it should be is [`Unreadable`],
//! with the file and the case in the sentence.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

/// A file that cannot be read as golden vectors.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for Unreadable {}

/// A file of golden vectors.
pub struct File {
    /// The engine that made them, in its own words.
    pub source: String,
    /// In the order of their names.
    pub cases: Vec<Case>,
}

/// One call of a pooling operator: its attributes, and its tensors by role.
pub struct Case {
    pub name: String,
    pub attributes: Map<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

/// A tensor as the file holds it: little-endian bytes, row-major.
#[derive(Debug)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// The elements as `f64`, which holds those of the types that pooling knows exactly; `None` for types that it does
    /// not know. Indices are 64-bit integers far below 2⁵³; elements of 64 bits may lie beyond, and are compared as bytes.
    pub fn values(&self) -> Option<Vec<f64>> {
        values(self.dtype, &self.bytes)
    }
}

/// See [`Tensor::values`].
pub fn values(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f64>> {
    macro_rules! read {
        ($type:ty, $to_f64:expr) => {
            bytes
                .as_chunks::<{ size_of::<$type>() }>()
                .0
                .iter()
                .map(|bytes| $to_f64(<$type>::from_le_bytes(*bytes)))
                .collect()
        };
    }
    Some(match dtype {
        Dtype::F64 => read!(f64, f64::from),
        Dtype::F32 => read!(f32, f64::from),
        Dtype::F16 => read!(f16, f64::from),
        Dtype::BF16 => read!(bf16, f64::from),
        Dtype::I8 => read!(i8, f64::from),
        Dtype::U8 => read!(u8, f64::from),
        Dtype::I16 => read!(i16, f64::from),
        Dtype::U16 => read!(u16, f64::from),
        Dtype::I32 => read!(i32, f64::from),
        Dtype::U32 => read!(u32, f64::from),
        Dtype::I64 => read!(i64, |value| value as f64),
        Dtype::U64 => read!(u64, |value| value as f64),
        _ => return None,
    })
}

/// The element `at` of integers of 64 bits, in digits.
pub fn long(dtype: Dtype, bytes: &[u8], at: usize) -> String {
    let value = bytes.as_chunks().0.get(at).copied().unwrap_or_default();
    if dtype == Dtype::I64 { i64::from_le_bytes(value).to_string() } else { u64::from_le_bytes(value).to_string() }
}

/// The type's name as the library writes it: `f32`, `bf16`, `u8`.
pub fn name(dtype: Dtype) -> String {
    format!("{dtype:?}").to_lowercase()
}

impl Case {
    /// The tensor of a role, or a sentence that says it is missing.
    pub fn tensor(&self, role: &str) -> Result<&Tensor, String> {
        self.find(role).ok_or_else(|| format!("the tensor {}/{role} is missing", self.name))
    }

    /// The tensor of a role that not every case has.
    pub fn find(&self, role: &str) -> Option<&Tensor> {
        self.tensors.get(role)
    }
}

/// Reads a file of golden vectors.
pub fn read(path: &Path) -> Result<File, Unreadable> {
    parse(path).map_err(|why| Unreadable { path: path.to_owned(), why })
}

/// The error for a case of a file that was read, but whose attributes make no sense.
pub fn malformed(path: &Path, case: &str, why: &str) -> Unreadable {
    Unreadable { path: path.to_owned(), why: format!("case {case}: {why}") }
}

fn parse(path: &Path) -> Result<File, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let not_safetensors = |error| format!("is not a safetensors file: {error}");
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_safetensors)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(not_safetensors)?;
    let Some(metadata) = header.metadata() else {
        return Err("has no metadata, where the attributes of its cases should be".to_owned());
    };

    let mut source = "an unnamed source".to_owned();
    let mut cases = BTreeMap::new();
    for (name, text) in metadata {
        // Names that begin with an underscore describe the file.
        if name.starts_with('_') {
            if name == "_source" {
                source.clone_from(text);
            }
            continue;
        }
        let attributes: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("the attributes of case {name} are not a JSON object: {error}"))?;
        cases.insert(name.clone(), Case { name: name.clone(), attributes, tensors: BTreeMap::new() });
    }
    for (name, view) in tensors.iter() {
        let case = name.rsplit_once('/').and_then(|(case, role)| Some((cases.get_mut(case)?, role)));
        let Some((case, role)) = case else {
            return Err(format!("the tensor {name} belongs to no case of the metadata"));
        };
        let tensor = Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        case.tensors.insert(role.to_owned(), tensor);
    }
    if cases.is_empty() {
        return Err("holds no case, so that there is nothing to verify".to_owned());
    }
    Ok(File { source, cases: cases.into_values().collect() })
}
