//! `.npy` arrays: the axes lie in the file as in memory, so the layout says which of them are the channels.

use anyhow::{Context, Result, bail};
use lanepool::{Element, ElementVisitor, Layout};
use npyz::{DType, Endianness, NpyHeader, Order, TypeStr, WriteOptions, WriterBuilder};

use super::{Done, Job, describe};
use crate::elements;

/// The pooled file and a description of what was done.
pub fn pool(job: &Job, bytes: &[u8]) -> Result<Done> {
    let (header, data) = split(bytes)?;
    let shape = header.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>()?;
    let DType::Plain(kind) = header.dtype() else { bail!("holds records, which cannot be pooled") };
    let Some(element) = elements::from_npy(kind.type_char(), kind.size_field()) else {
        bail!("holds elements of type {kind}, which cannot be pooled: {} can", elements::names());
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
    let swapped = match kind.endianness() {
        Endianness::Little => cfg!(target_endian = "big"),
        Endianness::Big => cfg!(target_endian = "little"),
        Endianness::Irrelevant => false,
    };
    let pooling = Pooling { job, shape: &shape, data, swapped, kind: &kind };
    element.visit(pooling).with_context(|| format!("this build has no kernels for {element}"))?
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
        let mut src: Vec<T> = bytemuck::pod_collect_to_vec(self.data);
        if self.swapped {
            swap(&mut src);
        }
        let layout = self.job.layout.unwrap_or(Layout::Nchw);
        let shape = to_nc(layout, self.shape)?;
        let (plan, mut dst) = self.job.pool(layout, &shape, &src)?;
        let after = from_nc(layout, &plan.output_shape(), self.shape.len());
        let description = describe(&plan, self.shape, &after);
        if self.swapped {
            swap(&mut dst);
        }
        let mut file = Vec::new();
        let axes: Vec<u64> = after.iter().map(|&n| n as u64).collect();
        WriteOptions::new_header_only()
            .dtype(DType::Plain(self.kind.clone()))
            .shape(&axes)
            .writer(&mut file)
            .write_header_only()
            .context("the result's header cannot be written")?;
        file.extend_from_slice(bytemuck::cast_slice(&dst));
        Ok(Done { file, description, notes: Vec::new() })
    }
}

/// Turns the bytes of every element round.
fn swap<T: Element>(values: &mut [T]) {
    for bytes in bytemuck::cast_slice_mut::<T, u8>(values).chunks_exact_mut(size_of::<T>()) {
        bytes.reverse();
    }
}

/// `N, C, spatial…` of an array whose axes lie as the layout says. One or two axes are a single plane.
fn to_nc(layout: Layout, axes: &[usize]) -> Result<Vec<usize>> {
    match (layout, axes) {
        (_, [] | [_, _, _, _, _, _, _, ..]) => bail!("has {} axes: 1 to 5 can be pooled", axes.len()),
        (_, [_] | [_, _]) => Ok([1, 1].iter().chain(axes).copied().collect()),
        (Layout::Nhwc, [batch, spatial @ .., channels]) if axes.len() <= 5 => Ok(chain(*batch, *channels, spatial)),
        (Layout::Blocked(block), [batch, blocks, spatial @ .., last]) if axes.len() >= 4 => {
            if *last != block {
                bail!("has a last axis of {last} where {layout} needs the {block} channels of a block");
            }
            let channels = blocks.checked_mul(block).context("its channels do not fit the address space")?;
            Ok(chain(*batch, channels, spatial))
        }
        (Layout::Nchw, [batch, channels, spatial @ ..]) if axes.len() <= 5 => Ok(chain(*batch, *channels, spatial)),
        _ => bail!("has {} axes, which {layout} cannot have", axes.len()),
    }
}

fn chain(batch: usize, channels: usize, spatial: &[usize]) -> Vec<usize> {
    [batch, channels].iter().chain(spatial).copied().collect()
}

/// The axes of the result in the order of the input's.
fn from_nc(layout: Layout, shape: &[usize], rank: usize) -> Vec<usize> {
    match (layout, shape) {
        (_, [_, _, spatial @ ..]) if rank <= 2 => spatial.to_vec(),
        (Layout::Nhwc, [batch, channels, spatial @ ..]) => {
            [*batch].iter().chain(spatial).chain([channels]).copied().collect()
        }
        (Layout::Blocked(block), [batch, channels, spatial @ ..]) => {
            [*batch, channels / block].iter().chain(spatial).chain([&block]).copied().collect()
        }
        _ => shape.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_go_to_the_shape_and_back() {
        for (layout, axes, shape) in [
            (Layout::Nchw, vec![7], vec![1, 1, 7]),
            (Layout::Nhwc, vec![5, 7], vec![1, 1, 5, 7]),
            (Layout::Nchw, vec![2, 3, 7], vec![2, 3, 7]),
            (Layout::Nhwc, vec![2, 5, 7, 3], vec![2, 3, 5, 7]),
            (Layout::Nhwc, vec![2, 4, 5, 7, 3], vec![2, 3, 4, 5, 7]),
            (Layout::Blocked(8), vec![2, 3, 5, 7, 8], vec![2, 24, 5, 7]),
        ] {
            assert_eq!(to_nc(layout, &axes).unwrap(), shape, "{layout} {axes:?}");
            assert_eq!(from_nc(layout, &shape, axes.len()), axes, "{layout} {shape:?}");
        }
    }

    #[test]
    fn other_ranks_are_refused() {
        assert!(to_nc(Layout::Nchw, &[]).is_err());
        assert!(to_nc(Layout::Nchw, &[1; 6]).is_err());
        assert!(to_nc(Layout::Blocked(8), &[1, 1, 8]).is_err());
        assert!(to_nc(Layout::Blocked(8), &[1, 1, 5, 16]).is_err());
    }
}
