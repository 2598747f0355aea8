//! Pooling of quantised bytes: the builders' own part.
//!
//! The average is a kernel of its own (`kernels/reduce/quantized.rs`). The maximum is that of bytes: scaling by a positive number,
//! rounding and saturating keep the order of all bytes, so the results are looked up in a table afterwards.

use alloc::boxed::Box;

use crate::geometry::Count;
use crate::kernels::{Operation, multiplier, scaled_32};
use crate::plan::ByteMap;
use crate::pool::binds;
use crate::pool::sealed::Sealed;
use crate::{DType, Error, Pool, PoolOperation, Result};

/// What a quantised byte `q` stands for: the real number `scale·(q − zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// The real distance of two neighbouring bytes: positive, finite, not subnormal.
    pub scale: f32,
    /// The byte that stands for 0: a value of the element type.
    pub zero_point: i32,
}

impl Quantization {
    /// A scale and a zero point. They are checked when a plan is made.
    pub const fn new(scale: f32, zero_point: i32) -> Self {
        Self { scale, zero_point }
    }

    fn check(self, what: &'static str, (lowest, highest): (i32, i32)) -> Result<()> {
        let Self { scale, zero_point } = self;
        if !(scale.is_normal() && scale > 0.0) {
            return Err(Error::BadScale { what, scale });
        }
        if !(lowest..=highest).contains(&zero_point) {
            return Err(Error::BadZeroPoint { what, zero_point, lowest, highest });
        }
        Ok(())
    }
}

impl Default for Quantization {
    /// Bytes that stand for themselves: scale 1, zero point 0.
    fn default() -> Self {
        Self::new(1.0, 0)
    }
}

/// How the input's bytes and the output's are to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantizations {
    pub(crate) input: Quantization,
    pub(crate) output: Quantization,
}

impl Quantizations {
    /// The range of a quantised type.
    fn range(dtype: DType) -> Result<(i32, i32)> {
        match dtype {
            DType::U8 => Ok((0, 255)),
            DType::I8 => Ok((-128, 127)),
            _ => Err(Error::Unsupported { why: "quantised pooling is of bytes, u8 or i8" }),
        }
    }

    pub(crate) fn check(self, dtype: DType) -> Result<()> {
        let range = Self::range(dtype)?;
        self.input.check("input", range)?;
        self.output.check("output", range)?;
        if (self.ratio() as f32).is_normal() {
            Ok(())
        } else {
            Err(Error::BadScaleRatio { input: self.input.scale, output: self.output.scale })
        }
    }

    /// The mean from the one to the other.
    pub(crate) fn mean(self) -> Operation {
        let (zero_in, zero_out) = (self.input.zero_point, self.output.zero_point);
        Operation::QuantizedMean { zero_in, zero_out, ratio: self.ratio() }
    }

    pub(crate) fn ratio(self) -> f64 {
        f64::from(self.input.scale) / f64::from(self.output.scale)
    }
}

/// The mean of each window of quantised bytes, `u8` or `i8`, as bytes of another quantisation: ONNX Runtime's
/// `QLinearAveragePool` and `QLinearGlobalAveragePool`.
///
/// ```text
/// y = saturate(round(Σ (q − zero_in) · m) + zero_out),   m = scale_in / (divisor · scale_out)
/// ```
///
/// - The sum is over the valid taps and exact; padding counts as the real 0, which is `zero_in`.
/// - **Divisor**: the number of valid taps, or with [`QuantizedAvgPool::count_include_pad`] the taps inside the declared padding.
/// - The sum, `m` and their product are `f32`s, each rounded once; the result is rounded half to even, in every rounding mode of
///   the thread, and saturates. So it is the exact one but where that lies within about 10⁻⁴ of a tie.
/// - A window without a valid tap gives 0, which is `zero_out`.
/// - A window may have 8 421 504 valid taps: the sums are 32 bits wide.
///
/// ```
/// use lanepool::{Layout, Quantization, QuantizedAvgPool};
/// // Bytes from −1 to 1, to bytes from 0 to 1.
/// let (signed, unsigned) = (Quantization::new(1.0 / 128.0, 128), Quantization::new(1.0 / 255.0, 0));
/// let pool = QuantizedAvgPool::<u8>::new([2]).stride([2]).quantization(signed, unsigned);
/// // 0.25 and 0.625; −0.5 and 0.
/// assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 4], &[160, 208, 64, 128])?, [112, 0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
pub type QuantizedAvgPool<T> = Pool<QuantizedAvg, T>;

/// The operation of [`QuantizedAvgPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantizedAvg {
    quantizations: Quantizations,
    include_pad: bool,
}

/// The largest of each window of quantised bytes, `u8` or `i8`, as a byte of another quantisation:
/// `saturate(round((max q − zero_in) · scale_in / scale_out) + zero_out)`, rounded half to even.
///
/// Where both quantisations are the same it is [`MaxPool`](crate::MaxPool). Padding takes no part; a window without a valid tap
/// gives the type's lowest value.
///
/// ```
/// use lanepool::{Layout, Quantization, QuantizedMaxPool};
/// let pool = QuantizedMaxPool::<i8>::new([2]).stride([2]).quantization(Quantization::new(0.5, 0), Quantization::new(0.25, -100));
/// assert_eq!(pool.run_once(Layout::Nchw, [1, 1, 4], &[-3, 7, 120, 0])?, [-86, 127]);
/// # Ok::<(), lanepool::Error>(())
/// ```
pub type QuantizedMaxPool<T> = Pool<QuantizedMax, T>;

/// The operation of [`QuantizedMaxPool`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantizedMax {
    quantizations: Quantizations,
}

impl<T> QuantizedAvgPool<T> {
    /// What the bytes of the input and of the output stand for. Without it, themselves.
    pub fn quantization(mut self, input: Quantization, output: Quantization) -> Self {
        self.operation.quantizations = Quantizations { input, output };
        self
    }

    /// Whether padding counts in the divisor, as real zeros. What ceil mode adds beyond the declared padding never does.
    pub fn count_include_pad(mut self, include: bool) -> Self {
        self.operation.include_pad = include;
        self
    }
}

impl<T> QuantizedMaxPool<T> {
    /// What the bytes of the input and of the output stand for. Without it, themselves.
    pub fn quantization(mut self, input: Quantization, output: Quantization) -> Self {
        self.operation.quantizations = Quantizations { input, output };
        self
    }
}

impl Sealed for QuantizedAvg {
    binds!(bind_quantized);

    fn resolve(&self) -> (Operation, Count) {
        (self.quantizations.mean(), if self.include_pad { Count::Padded } else { Count::Valid })
    }

    fn check(&self, dtype: DType) -> Result<()> {
        self.quantizations.check(dtype)
    }
}

impl Sealed for QuantizedMax {
    binds!(bind_max);

    fn resolve(&self) -> (Operation, Count) {
        (Operation::Max, Count::Valid)
    }

    fn check(&self, dtype: DType) -> Result<()> {
        self.quantizations.check(dtype)
    }

    fn byte_map(&self, dtype: DType) -> Option<Box<ByteMap>> {
        let Quantizations { input, output } = self.quantizations;
        let (lowest, highest) = Quantizations::range(dtype).ok().filter(|_| input != output)?;
        let multiplier = multiplier(self.quantizations.ratio(), 1);
        let mut map = Box::new([0; 256]);
        for q in lowest..=highest {
            let real = scaled_32(q.saturating_sub(input.zero_point), multiplier);
            let mapped = real.saturating_add(output.zero_point).clamp(lowest, highest);
            // The low byte of a number is the element's only one, whatever its sign.
            let ([from, ..], [to, ..]) = (q.to_le_bytes(), mapped.to_le_bytes());
            if let Some(place) = map.get_mut(usize::from(from)) {
                *place = to;
            }
        }
        Some(map)
    }
}

impl PoolOperation for QuantizedAvg {
    const NAME: &'static str = "quantized avg";
}

impl PoolOperation for QuantizedMax {
    const NAME: &'static str = "quantized max";
}
