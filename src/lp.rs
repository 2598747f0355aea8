//! Lp pooling: the builder's own part, what its numbers must be and what they come to.

use crate::geometry::Count;
use crate::kernels::Operation;
use crate::pool::binds;
use crate::pool::sealed::Sealed;
use crate::{DType, Error, Pool, PoolOperation, Result};

/// The p-norm of each window, `(Σ |x|^p)^(1/p)` over its valid taps: ONNX `LpPool` and `GlobalLpPool`. Of floats.
///
/// - **p**: any number above 0, and infinity, which gives the largest `|x|`; 2 where [`LpPool::p`] is not called.
/// - **Exact paths**: p = 1, 2 and ∞ use nothing but IEEE operations, each rounded correctly: `|x|`, `x·x`, sums, and one square root
///   at the end.
/// - **Any other p** is a power of each tap, and one of the sum: the same IEEE operations on every tier, none fused, so the bits are the
///   same everywhere. Where p or 1/p is a whole number of quarters below 33, powers are products and roots, else `2^(p·log₂ x)`. Of `f32`, `f16` and `bf16` each
///   is computed in `f64` and rounded once: it is one of the two `f32`s around the true power, within 0.502 units in the last place.
///   Of `f64` it is within 0.8 units, and by products within some p; the root divides that by p.
/// - **Accumulator** (`f32` for f32, f16 and bf16; `f64` for f64) **and order** are those of [`AvgPool`](crate::AvgPool). A power
///   beyond the accumulator's range is infinite, and so is the result, as in ONNX Runtime and PyTorch; one below it is lost.
/// - **NaN** in a window gives the canonical quiet NaN, for every p.
/// - A window without a valid tap gives 0.
///
/// PyTorch's `lp_pool` of a finite p differs twice: it takes no absolute value, so that an odd p lets negative elements cancel positive ones and
/// a fraction of them is NaN; and with `ceil_mode` it scales a window that overhangs the input up to the whole kernel, by
/// `(kernel / valid taps)^(1/p)`.
///
/// ```
/// use lanepool::{Layout, LpPool};
/// let norms = LpPool::<f32>::new([2]).stride([2]);
/// let x = [3.0, -4.0, 0.0, -2.0];
/// assert_eq!(norms.run_once(Layout::Nchw, [1, 1, 4], &x)?, [5.0, 2.0]);
/// assert_eq!(norms.p(1.0).run_once(Layout::Nchw, [1, 1, 4], &x)?, [7.0, 2.0]);
/// assert_eq!(norms.p(f64::INFINITY).run_once(Layout::Nchw, [1, 1, 4], &x)?, [4.0, 2.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
pub type LpPool<T> = Pool<Lp, T>;

/// The operation of [`LpPool`].
#[derive(Clone, Copy, Debug)]
pub struct Lp {
    p: f64,
    mean: bool,
}

impl Default for Lp {
    fn default() -> Self {
        Self { p: 2.0, mean: false }
    }
}

impl<T> LpPool<T> {
    /// The norm's p: positive, infinity allowed.
    pub fn p(mut self, p: f64) -> Self {
        self.operation.p = p;
        self
    }

    /// Divides the sum of powers by the number of valid taps before the root is taken: the power mean
    /// `(Σ |x|^p / n)^(1/p)`. With p = ∞ it changes nothing.
    pub fn mean(mut self, mean: bool) -> Self {
        self.operation.mean = mean;
        self
    }

    /// The root of the mean of squares: p = 2 and [`LpPool::mean`]. The divisor is the number of valid taps.
    ///
    /// ```
    /// use lanepool::{Layout, LpPool};
    /// let rms = LpPool::<f32>::new([2]).stride([2]).padding([1]).rms();
    /// // The first and the last window have one tap each: padding does not count.
    /// assert_eq!(rms.run_once(Layout::Nchw, [1, 1, 4], &[3.0, 1.0, -7.0, 2.0])?, [3.0, 5.0, 2.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn rms(self) -> Self {
        self.p(2.0).mean(true)
    }
}

impl<T> LpPool<T> {
    /// The norm's p, once it is checked, and what the sum of powers is divided by.
    pub(crate) fn norm(&self, dtype: DType) -> Result<(f64, Count)> {
        self.operation.check(dtype)?;
        Ok((self.operation.p, self.operation.resolve(dtype).1))
    }
}

impl Sealed for Lp {
    binds!(bind_norm);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        // A maximum is not divided, whatever it was the maximum of.
        let divides = self.mean && self.p.is_finite();
        (Operation::Lp(self.p), if divides { Count::Valid } else { Count::Fixed(1) })
    }

    fn check(&self, dtype: DType) -> Result<()> {
        if dtype.is_integer() {
            return Err(Error::Unsupported {
                why: "Lp pooling is of floats: the norm of integers is none, so convert them first",
            });
        }
        // NaN is not.
        if self.p > 0.0 { Ok(()) } else { Err(Error::BadNorm { p: self.p }) }
    }
}

impl PoolOperation for Lp {
    const NAME: &'static str = "lp";
}
