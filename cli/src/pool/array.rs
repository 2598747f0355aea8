//! `.npy` arrays: their header, their elements in either byte order, and the same kind of file again.

use anyhow::{Context, Result, bail};
use lanepool::{DType as Known, Element, ElementVisitor};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr, WriteOptions, WriterBuilder};

use super::axes::Order as Axes;
use super::{Done, Job, Pooled, Tensor};
use crate::elements;
use crate::layer::Operation;

/// The pooled file and a description of what was done.
pub fn pool(job: &Job, bytes: &[u8]) -> Result<Done> {
    let (header, data) = split(bytes)?;
    let shape = header.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>()?;
    let DType::Plain(kind) = header.dtype() else { bail!("holds records, which cannot be pooled") };
    let is_bool = kind.type_char() == TypeChar::Bool && kind.size_field() == 1;
    let element = if is_bool { Some(Known::U8) } else { elements::from_npy(kind.type_char(), kind.size_field()) };
    let Some(element) = element else {
        let convert = elements::npy_nearest(kind.type_char())
            .map_or_else(String::new, |name| format!(": convert it, as by array.astype(\"{name}\")"));
        let (words, names) = (elements::npy_words(&kind), elements::npy_names());
        bail!("holds {words}, and what can be pooled is {names}{convert}");
    };
    if header.order() == Order::Fortran && shape.len() > 1 {
        bail!("is in Fortran order: save it in C order (numpy.ascontiguousarray)");
    }
    let len = shape.iter().try_fold(1_usize, |len, &n| len.checked_mul(n));
    let need = len.and_then(|len| len.checked_mul(usize::try_from(kind.size_field()).ok()?));
    if need != Some(data.len()) {
        bail!(
            "has {} bytes of data where its shape {shape:?} of {kind} needs {}",
            data.len(),
            need.map_or_else(|| "more than any file has".to_owned(), |n| n.to_string())
        );
    }
    if is_bool {
        check_truths(job, data)?;
    }
    let swapped = match kind.endianness() {
        Endianness::Little => cfg!(target_endian = "big"),
        Endianness::Big => cfg!(target_endian = "little"),
        Endianness::Irrelevant => false,
    };
    let pooling = Pooling { job, shape: &shape, data, swapped, kind: &kind };
    element.visit(pooling).with_context(|| format!("this build has no kernels for {element}"))?
}

/// Truth values are bytes of 0 and 1, whose maximum is "any of them" and whose minimum is "all of them".
fn check_truths(job: &Job, data: &[u8]) -> Result<()> {
    let is_extreme = matches!(job.windows.operation(), Operation::Max | Operation::Min) && job.quantization.is_none();
    if !is_extreme {
        bail!(
            "holds bool, whose maxima and minima are bool again; for averages, sums and quantised numbers convert it, as by \
             array.astype(\"float32\")"
        );
    }
    match data.iter().position(|&byte| byte > 1) {
        Some(at) => bail!("holds bool, and its element {at} is the byte {}, neither 0 nor 1", data[at]),
        None => Ok(()),
    }
}

/// The header and the bytes after it.
fn split(bytes: &[u8]) -> Result<(NpyHeader, &[u8])> {
    // The length of the header is read from the file and allocated: no more than the file holds.
    let length = match bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => u64::from(u16::from_le_bytes([*a, *b])),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => u64::MAX,
    };
    if length > bytes.len() as u64 {
        bail!("ends inside its header");
    }
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).context("its header cannot be read")?;
    Ok((header, rest))
}

struct Pooling<'a> {
    job: &'a Job,
    shape: &'a [usize],
    data: &'a [u8],
    /// The file's bytes are in the other order than the machine's.
    swapped: bool,
    kind: &'a TypeStr,
}

impl ElementVisitor for Pooling<'_> {
    type Output = Result<Done>;

    fn visit<T: Element>(self) -> Self::Output {
        let Self { job, shape: axes, data, swapped, kind } = self;
        let mut elements: Vec<T> = bytemuck::pod_collect_to_vec(data);
        if swapped {
            swap(&mut elements);
        }
        let order = job.order.map_or_else(|| Axes::assumed(axes), Ok)?;
        let Pooled { mut values, indices, axes, mut description, notes } =
            job.pool(&Tensor { elements: &elements, axes, order })?;
        if job.order.is_none() {
            description.push_str(", taken for granted: --layout says otherwise");
        }
        if swapped {
            swap(&mut values);
        }
        if kind.type_char() == TypeChar::Bool {
            // A minimum of no element at all is the largest byte: true, as "all of nothing" is.
            bytemuck::cast_slice_mut::<T, u8>(&mut values).iter_mut().for_each(|byte| *byte = (*byte).min(1));
        }
        let file = write(kind, &axes, bytemuck::cast_slice(&values))?;
        let indices = indices.map(|indices| write_indices(&axes, &indices)).transpose()?;
        Ok(Done { file, indices, description, notes })
    }
}

/// A file of indices.
pub fn write_indices(axes: &[usize], indices: &[i64]) -> Result<Vec<u8>> {
    let kind = if cfg!(target_endian = "big") { ">i8" } else { "<i8" };
    write(&kind.parse()?, axes, bytemuck::cast_slice(indices))
}

/// A file of elements, which lie in the bytes as its type says.
fn write(kind: &TypeStr, axes: &[usize], elements: &[u8]) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let axes: Vec<u64> = axes.iter().map(|&n| n as u64).collect();
    WriteOptions::new_header_only()
        .dtype(DType::Plain(kind.clone()))
        .shape(&axes)
        .writer(&mut file)
        .write_header_only()
        .context("the result's header cannot be written")?;
    file.extend_from_slice(elements);
    Ok(file)
}

/// Turns the bytes of every element round.
fn swap<T: Element>(values: &mut [T]) {
    for bytes in bytemuck::cast_slice_mut::<T, u8>(values).chunks_exact_mut(size_of::<T>()) {
        bytes.reverse();
    }
}
