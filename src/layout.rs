//! How memory holds a tensor: for the kernels, two numbers.

use core::fmt;

use crate::{Error, Result};

/// The order in which memory holds the axes of a tensor. The shape is always given as `N, C, spatial…`.
///
/// Every layout is `outer × spatial × inner` with `inner` contiguous, and that is all a kernel hears of it:
///
/// | layout | memory order | outer | inner |
/// |---|---|---|---|
/// | `Nchw` | N, C, spatial | N·C | 1 |
/// | `Nhwc` | N, spatial, C | N | C |
/// | `Blocked(c)` | N, C/c, spatial, c | N·C/c | c |
///
/// ```
/// use lanepool::{Layout, MaxPool};
/// // One pixel of two channels a corner: with channels last, a channel's values lie two apart.
/// let plan = MaxPool::<f32>::new([2, 2]).plan(Layout::Nhwc, [1, 2, 2, 2])?;
/// assert_eq!(plan.run_vec(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0])?, [4.0, 40.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// Channels first: each channel is a plane. ONNX, PyTorch. Also NCW and NCDHW.
    Nchw,
    /// Channels last: each pixel holds its channels side by side. TensorFlow Lite. Also NWC and NDHWC.
    Nhwc,
    /// Channels in blocks of this many, each block laid out channels-last: oneDNN's `nChw8c` and `nChw16c`.
    /// The block must divide the channels.
    Blocked(usize),
}

impl Layout {
    /// `(outer, inner)` for a tensor of `batch` × `channels`.
    pub(crate) fn split(self, batch: usize, channels: usize) -> Result<(usize, usize)> {
        let overflow = Error::SizeOverflow { what: "the product of batch and channels" };
        match self {
            Self::Nchw => Ok((batch.checked_mul(channels).ok_or(overflow)?, 1)),
            Self::Nhwc => Ok((batch, channels)),
            // No channels need no blocks, however long: nothing is held.
            Self::Blocked(1..) if channels == 0 => Ok((0, 1)),
            Self::Blocked(block) => match (channels.checked_div(block), channels.checked_rem(block)) {
                (Some(blocks), Some(0)) => Ok((batch.checked_mul(blocks).ok_or(overflow)?, block)),
                _ => Err(Error::BadBlock { block, channels }),
            },
        }
    }
}

impl fmt::Display for Layout {
    /// `nchw`, `nhwc`, `nchw8c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nchw => f.write_str("nchw"),
            Self::Nhwc => f.write_str("nhwc"),
            Self::Blocked(block) => write!(f, "nchw{block}c"),
        }
    }
}
