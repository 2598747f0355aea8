//! Which axis of an array is which of the layer's `N, C, spatial…`.

use std::fmt;

use anyhow::{Context, Result, bail};
use lanepool::Layout;

use crate::layer::{joined, parse_layout};

/// How an array holds its axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub layout: Layout,
    /// Spatial axes of an array without an axis for the batch: of `hwc`, 2.
    single: Option<usize>,
}

/// A place in the shape `N, C, spatial…`. Blocked layouts have two axes for the channels.
type Place = usize;

impl Order {
    /// Batch and channels before or behind the spatial axes.
    pub const fn batched(layout: Layout) -> Self {
        Self { layout, single: None }
    }

    /// One picture, as decoders give it: rows of pixels of channels.
    pub const PICTURE: Self = Self { layout: Layout::Nhwc, single: Some(2) };

    /// What is taken for granted where nothing was said of an array with these axes.
    pub fn assumed(axes: &[usize]) -> Result<Self> {
        if axes.len() == 3 {
            bail!(
                "has 3 axes, {}, and nothing says which: --layout hwc (a picture, channels last), chw (channels first), ncw \
                 (batch, channels, one spatial axis) or nwc (the same, channels last)",
                joined(axes)
            );
        }
        Ok(Self::batched(Layout::Nchw))
    }

    /// Reads the names of [`parse_layout`], and those without a batch: `chw`, `hwc`, `cdhw`, `dhwc`, `cw`, `wc`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let single = |layout, spatial| Ok(Self { layout, single: Some(spatial) });
        match name.as_str() {
            "cw" => single(Layout::Nchw, 1),
            "chw" => single(Layout::Nchw, 2),
            "cdhw" => single(Layout::Nchw, 3),
            "wc" => single(Layout::Nhwc, 1),
            "hwc" => single(Layout::Nhwc, 2),
            "dhwc" => single(Layout::Nhwc, 3),
            _ => parse_layout(text).map(Self::batched).map_err(|why| format!("{why}; without a batch, chw and hwc")),
        }
    }

    /// What each of `rank` axes of an array is. One or two axes are a single plane, unless the layout has no batch.
    fn places(self, rank: usize) -> Result<Vec<Place>> {
        let spatial = |count: usize| 2..2 + count;
        let wrong = || format!("has {rank} axes, which {self} cannot have");
        let places = match (self.layout, self.single) {
            _ if rank == 0 || rank > 6 => bail!("has {rank} axes: 1 to 5 can be pooled"),
            (_, Some(count)) if count + 1 != rank => bail!(wrong()),
            (Layout::Nhwc, Some(count)) => spatial(count).chain([1]).collect(),
            (_, Some(count)) => [1].into_iter().chain(spatial(count)).collect(),
            (_, None) if rank <= 2 => spatial(rank).collect(),
            (Layout::Blocked(_), None) if rank >= 4 => (0..rank - 1).chain([1]).collect(),
            (Layout::Blocked(_), None) => bail!(wrong()),
            _ if rank == 6 => bail!("has {rank} axes: 1 to 5 can be pooled"),
            (Layout::Nhwc, None) => [0].into_iter().chain(spatial(rank - 2)).chain([1]).collect(),
            _ => (0..rank).collect(),
        };
        Ok(places)
    }

    /// `N, C, spatial…` of an array with these axes.
    pub fn shape(self, axes: &[usize]) -> Result<Vec<usize>> {
        let places = self.places(axes.len())?;
        if let (Layout::Blocked(block), 3.., Some(last)) = (self.layout, axes.len(), axes.last())
            && *last != block
        {
            bail!("has a last axis of {last} where {self} needs the {block} channels of a block");
        }
        let mut shape = vec![1_usize; places.iter().max().map_or(0, |last| last + 1)];
        for (place, length) in places.into_iter().zip(axes) {
            shape[place] = shape[place].checked_mul(*length).context("its channels do not fit the address space")?;
        }
        Ok(shape)
    }

    /// The axes of a result, in the order of the input's `rank`.
    pub fn axes(self, shape: &[usize], rank: usize) -> Result<Vec<usize>> {
        let mut axes: Vec<usize> = self.places(rank)?.into_iter().map(|place| shape[place]).collect();
        if let (Layout::Blocked(block), [_, blocks, .., last]) = (self.layout, axes.as_mut_slice())
            && rank > 2
        {
            (*blocks, *last) = (shape[1] / block, block);
        }
        Ok(axes)
    }

    /// The names of an array's axes: `batch x channels x height x width`.
    pub fn names(self, rank: usize) -> Result<String> {
        let places = self.places(rank)?;
        let last = places.iter().max().copied().unwrap_or(0);
        let name = |place: Place| match (place, last - place) {
            (0, _) => "batch",
            (1, _) => "channels",
            (_, 0) => "width",
            (_, 1) => "height",
            _ => "depth",
        };
        let mut names: Vec<&str> = places.iter().copied().map(name).collect();
        if let (Layout::Blocked(_), [_, blocks, .., last]) = (self.layout, names.as_mut_slice())
            && rank > 2
        {
            (*blocks, *last) = ("blocks", "channels of a block");
        }
        Ok(names.join(" x "))
    }

    /// An error that counts the axes as the array does, where the library counted those of `N, C, spatial…`.
    pub fn in_file(self, mut error: lanepool::Error, rank: usize) -> lanepool::Error {
        use lanepool::Error::*;
        if let ZeroKernel { axis }
        | ZeroStride { axis }
        | ZeroDilation { axis }
        | PadTooLarge { axis, .. }
        | KernelTooLarge { axis, .. }
        | EmptyInput { axis }
        | EmptyOutput { axis } = &mut error
            && let Ok(places) = self.places(rank)
            && let Some(at) = places.iter().position(|place| *place == axis.index)
        {
            axis.index = at;
        }
        error
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layout, self.single) {
            (layout, None) => write!(f, "{layout}"),
            (Layout::Nhwc, Some(1)) => f.write_str("wc"),
            (Layout::Nhwc, Some(2)) => f.write_str("hwc"),
            (Layout::Nhwc, Some(_)) => f.write_str("dhwc"),
            (_, Some(1)) => f.write_str("cw"),
            (_, Some(2)) => f.write_str("chw"),
            (_, Some(_)) => f.write_str("cdhw"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_go_to_the_shape_and_back() {
        for (order, axes, shape, names) in [
            ("nchw", vec![7], vec![1, 1, 7], "width"),
            ("nhwc", vec![5, 7], vec![1, 1, 5, 7], "height x width"),
            ("ncw", vec![2, 3, 7], vec![2, 3, 7], "batch x channels x width"),
            ("nwc", vec![2, 7, 3], vec![2, 3, 7], "batch x width x channels"),
            ("hwc", vec![5, 7, 3], vec![1, 3, 5, 7], "height x width x channels"),
            ("chw", vec![3, 5, 7], vec![1, 3, 5, 7], "channels x height x width"),
            ("wc", vec![7, 3], vec![1, 3, 7], "width x channels"),
            ("cdhw", vec![3, 4, 5, 7], vec![1, 3, 4, 5, 7], "channels x depth x height x width"),
            ("nhwc", vec![2, 5, 7, 3], vec![2, 3, 5, 7], "batch x height x width x channels"),
            ("ndhwc", vec![2, 4, 5, 7, 3], vec![2, 3, 4, 5, 7], "batch x depth x height x width x channels"),
            ("nchw8c", vec![2, 3, 5, 7, 8], vec![2, 24, 5, 7], "batch x blocks x height x width x channels of a block"),
        ] {
            let order = Order::parse(order).unwrap();
            assert_eq!(order.shape(&axes).unwrap(), shape, "{order} {axes:?}");
            assert_eq!(order.axes(&shape, axes.len()).unwrap(), axes, "{order} {shape:?}");
            assert_eq!(order.names(axes.len()).unwrap(), names);
        }
    }

    #[test]
    fn other_ranks_are_refused() {
        let refused = |order: &str, axes: &[usize]| Order::parse(order).unwrap().shape(axes).unwrap_err().to_string();
        assert_eq!(refused("nchw", &[]), "has 0 axes: 1 to 5 can be pooled");
        assert_eq!(refused("nchw", &[1; 6]), "has 6 axes: 1 to 5 can be pooled");
        assert_eq!(refused("nchw8c", &[1, 1, 8]), "has 3 axes, which nchw8c cannot have");
        assert!(refused("nchw8c", &[1, 1, 5, 16]).contains("a last axis of 16 where nchw8c needs the 8 channels"));
        assert_eq!(refused("hwc", &[1, 5, 7, 3]), "has 4 axes, which hwc cannot have");
        assert_eq!(refused("cw", &[5]), "has 1 axes, which cw cannot have");
    }

    #[test]
    fn three_axes_may_be_anything() {
        for rank in [1, 2, 4, 5] {
            assert_eq!(Order::assumed(&vec![7; rank]).unwrap(), Order::batched(Layout::Nchw));
        }
        let error = Order::assumed(&[300, 451, 3]).unwrap_err().to_string();
        for needed in ["300x451x3", "--layout hwc", "chw", "ncw", "nwc"] {
            assert!(error.contains(needed), "{error}");
        }
    }

    #[test]
    fn errors_count_the_axes_of_the_file() {
        let error = || {
            let pool = lanepool::MaxPool::<f32>::new([1, 9]);
            pool.plan(Layout::Nchw, [1, 3, 5, 7]).unwrap_err()
        };
        for (order, rank, axis) in [("nchw", 4, 3), ("nhwc", 4, 2), ("hwc", 3, 1), ("chw", 3, 2), ("nchw", 2, 1)] {
            let order = Order::parse(order).unwrap();
            let counted = order.in_file(error(), rank).to_string();
            assert!(counted.ends_with(&format!("on axis {axis} (width)")), "{order}: {counted}");
        }
    }
}
