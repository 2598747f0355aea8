//! What an index counts.

use alloc::vec::Vec;

use crate::IndexKind;
use crate::geometry::{Axis, Taps};
use crate::kernels::driver::Layer;

/// The longest table of taps; beyond it an offset is computed.
const MOST_TABLED: usize = 1 << 12;

/// What an index counts, as weights of coordinates; all 0 where taps are counted.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    /// Of a plane, which is a channel of an image; planes are counted through all images.
    pub(super) plane: i64,
    /// What is to be added for each image, where its planes do not follow those of the image before; and how many it
    /// has.
    image: i64,
    channels: usize,
    /// Of a coordinate on depth, height and width.
    pub(super) weights: [i64; 3],
    /// Taps on height and width, and the distance of two on each axis.
    kernel: [usize; 3],
    dilation: [usize; 3],
    counts_taps: bool,
    /// The offset of each tap from the window's first.
    taps: Vec<i64>,
}

impl Numbering {
    pub(super) fn new(kind: IndexKind, layer: &Layer) -> Self {
        let (axes, channels) = (&layer.geometry.axes, layer.geometry.channels);
        let counted = kind.weights(channels, axes.each_ref().map(|axis| axis.input));
        let (plane, image, weights) = counted.map_or((0, 0, [0; 3]), |weights| {
            let plane = weights.channel as i64;
            (plane, weights.image as i64 - channels as i64 * plane, weights.axes.map(|weight| weight as i64))
        });
        let kernel = axes.each_ref().map(|axis| axis.kernel);
        let mut numbering = Self {
            plane,
            image,
            channels,
            weights,
            kernel,
            dilation: axes.each_ref().map(|axis| axis.dilation),
            counts_taps: counted.is_none(),
            taps: Vec::new(),
        };
        let taps = kernel.iter().product::<usize>();
        if taps <= MOST_TABLED {
            numbering.taps = (0..taps).map(|tap| numbering.offset(tap)).collect();
        }
        numbering
    }

    /// How far tap `tap` is from its window's first.
    fn offset(&self, tap: usize) -> i64 {
        if self.counts_taps {
            return tap as i64;
        }
        let [_, height, width] = self.kernel;
        let place = [tap / width / height, tap / width % height, tap % width];
        (0..3).map(|axis| (place[axis] * self.dilation[axis]) as i64 * self.weights[axis]).sum()
    }

    /// What a tap on each axis adds to the index of its window's first.
    pub(super) fn tap_weights(&self) -> [i64; 3] {
        if self.counts_taps {
            let [_, height, width] = self.kernel;
            return [(height * width) as i64, width as i64, 1];
        }
        [0, 1, 2].map(|axis| (self.dilation[axis] as i64).wrapping_mul(self.weights[axis]))
    }

    /// The index of tap `tap` of the window whose first tap has the index `origin`.
    #[inline(always)]
    pub(super) fn index(&self, origin: i64, tap: usize) -> i64 {
        origin + self.taps.get(tap).copied().unwrap_or_else(|| self.offset(tap))
    }

    /// The index that the first tap of a window in plane `plane` has or would have, were it valid.
    #[inline(always)]
    pub(super) fn origin(&self, plane: usize, first: [i64; 3]) -> i64 {
        let [z, y, x] = first;
        let [depth, height, width] = self.weights;
        let image = if self.image == 0 { 0 } else { (plane / self.channels) as i64 };
        plane as i64 * self.plane + image * self.image + z * depth + y * height + x * width
    }
}

/// Where the first tap of output `o` lies, in the input's coordinates.
#[inline(always)]
pub(super) fn first_tap(axis: &Axis, o: usize) -> i64 {
    (o * axis.stride) as i64 - axis.begin as i64
}

/// The valid taps of output `o`, and how many more lie before the input. A function of its own, of much code that is asked for
/// in many places.
#[inline(never)]
pub(super) fn valid_taps(axis: &Axis, o: usize) -> (Taps, usize) {
    let taps = axis.taps(o);
    (taps, (taps.start + axis.begin - o * axis.stride) / axis.dilation)
}
