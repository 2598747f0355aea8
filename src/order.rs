//! In which order the taps of a float's sum are added: data, from geometry and layout alone.
//!
//! Floating-point addition is not associative, so the order is part of every result. It is decided here, once, and
//! asked by the drivers; it never depends on the tier, the element, the thread, the task or the position in the batch.
//! Integers and extremes have the same result in any order.
//!
//! A window is `K` columns (taps on the last spatial axis), each of `R` taps: its rows in every slab, in scan order.
//! Taps outside the input are left out.
//!
//! | order | the sum | for |
//! |---|---|---|
//! | [`Order::Columns`] | each column in scan order, then the columns from left to right | most layers |
//! | [`Order::Long`] | long axes in blocks that neighbouring windows share | 8 taps and more on an axis |
//! | [`Order::Lanes16`] | element `i` to sum `i mod 16`, then neighbours | a planar plane pooled whole |
//! | [`Order::Blocks`] | blocks of 256 taps, then neighbours | more than 256 taps down or across |
//!
//! No sum is one chain of more than [`LONGEST_CHAIN`] additions.
//!
//! The gradient of an element is such a sum, too, of what the windows that hold it give back: one window after the other
//! in the windows' row-major order, or where there are more than [`LONGEST_CHAIN`] of them, in the manner of
//! [`Order::Blocks`], blocks of [`BLOCK`] windows and then neighbouring blocks. A maximum's windows that name another
//! element are counted like those that name this one, and add nothing.

use crate::geometry::{Axis, Geometry};

/// From this many taps on an axis, windows share what they add.
pub(crate) const LONG: usize = 8;

/// The most terms that are added one after the other. Each addition is off by at most half a unit in the last place, and
/// over a chain of `n` uniform numbers these errors come to some √(n/18)·2⁻²⁴ of the sum, and one in a hundred to
/// more than twice that: with 1024 terms, a mean of 10⁶ numbers was 1.05·10⁻⁶ off.
pub(crate) const LONGEST_CHAIN: usize = BLOCK;

/// The terms of a block, where a sum is cut into blocks.
pub(crate) const BLOCK: usize = 256;

/// Columns of inner elements that the sums of a window with a long axis are made of, at most: two rows of them fit
/// every driver's scratch, in the longest lanes.
const MOST_SHARED: usize = 2900;

/// The order of a layer's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// ```text
    /// sum = 0
    /// for each column k, left to right:
    ///     column = 0
    ///     for each slab, for each row: column += x[slab, row, k]
    ///     sum += column
    /// ```
    Columns,
    /// Columns that are long down (`rows`), or rows of columns that are long across (`columns`), or both.
    ///
    /// Down, rows are cut at multiples of the kernel, counted from the first padded row. Of a window, `m` is the cut
    /// that lies in it or at its begin:
    /// ```text
    /// column = (x[m−1] + x[m−2] + … + x[first]) + (x[m] + x[m+1] + … + x[last])
    /// ```
    /// Across, the kernel is a sum of powers of two. Its columns are taken in that many groups, the smallest power
    /// first, from left to right; each group is a tree of pairs of neighbours, and the groups are added from left to
    /// right. (Columns in the padding are zeros of the tree.)
    Long { rows: bool, columns: bool },
    /// A plane is cut into blocks of 2¹⁴ elements. In each, element `i` is added to sum `i mod 16`; then neighbours are
    /// added, `2i` with `2i + 1`, until one sum is left; then the blocks in the same way, an odd last one waiting.
    Lanes16,
    /// The taps in the order of `Columns`, cut into blocks of 256, each added one after the other; then neighbouring
    /// blocks, `2i` with `2i + 1`, an odd last one waiting, until one is left.
    Blocks,
}

impl Order {
    /// The order of a layer.
    pub(crate) fn of(geometry: &Geometry) -> Self {
        let [depth, height, width] = &geometry.axes;
        if geometry.inner == 1 && geometry.is_global() {
            return Self::Lanes16;
        }
        // No window has more valid taps than the input has elements.
        let taps = |axis: &Axis| axis.kernel.min(axis.input);
        if taps(depth).saturating_mul(taps(height)) > LONGEST_CHAIN {
            return Self::Blocks;
        }
        let is_shared = |axis: &Axis| axis.kernel >= LONG && axis.output > 1 && axis.slides();
        // Rows are shared in scratch, too, however short the window is across.
        let fits = width.span().saturating_mul(geometry.inner.min(8)) <= MOST_SHARED;
        let rows = is_shared(height) && height.stride == 1 && height.dilation == 1 && depth.kernel == 1 && fits;
        let columns = is_shared(width) && fits;
        match (rows, columns) {
            (_, false) if taps(width) > LONGEST_CHAIN => Self::Blocks,
            (false, false) => Self::Columns,
            _ => Self::Long { rows, columns },
        }
    }

    /// The order's name, as in documentation and tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Long { rows: true, columns: false } => "long rows",
            Self::Long { rows: false, .. } => "long columns",
            Self::Long { .. } => "long",
            Self::Lanes16 => "lanes16",
            Self::Blocks => "blocks",
        }
    }
}
