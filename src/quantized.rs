//! Pooling of quantised elements: the builders' own part.
//!
//! The average of bytes is a kernel of its own (`kernels/lane/quantized.rs`). The maximum is that of bytes: scaling by a
//! positive number, rounding and saturating keep the order of all bytes, so the results are looked up in a table
//! afterwards. Of 16 bits both are those of the stored numbers, as in LiteRT, which does not rescale them.

use alloc::boxed::Box;

use crate::geometry::Count;
use crate::kernels::{Bound, Layer, Operation, multiplier, scaled_32};
use crate::plan::{Bind, ByteMap};
use crate::pool::binds;
use crate::pool::sealed::Sealed;
use crate::{DType, Element, Error, Pool, PoolOperation, Result, Rounding, Tier};

/// What a quantised element `q` stands for: the real number `scale·(q − zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// The real distance of two neighbouring elements: positive, finite, not subnormal.
    pub scale: f32,
    /// The element that stands for 0: a value of the element type, and of 16 bits 0.
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
    /// Elements that stand for themselves: scale 1, zero point 0.
    fn default() -> Self {
        Self::new(1.0, 0)
    }
}

/// How the input's elements and the output's are to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantizations {
    pub(crate) input: Quantization,
    pub(crate) output: Quantization,
}

impl Quantizations {
    /// The zero points that a quantised type can have: of bytes, all of them; 16 bits are symmetric.
    fn zero_points(dtype: DType) -> Result<(i32, i32)> {
        match dtype {
            DType::U8 => Ok((0, 255)),
            DType::I8 => Ok((-128, 127)),
            DType::I16 => Ok((0, 0)),
            _ => Err(Error::Unsupported { why: "quantised pooling is of u8, i8 or i16" }),
        }
    }

    pub(crate) fn check(self, dtype: DType) -> Result<()> {
        let range = Self::zero_points(dtype)?;
        self.input.check("input", range)?;
        self.output.check("output", range)?;
        let scales = (self.input.scale, self.output.scale);
        if dtype == DType::I16 && scales.0 != scales.1 {
            return Err(Error::ScalesDiffer { input: scales.0, output: scales.1 });
        }
        if (self.ratio() as f32).is_normal() {
            Ok(())
        } else {
            Err(Error::BadScaleRatio { input: self.input.scale, output: self.output.scale })
        }
    }

    /// The mean from the one to the other, of elements that were checked. Of 16 bits it is that of the stored numbers,
    /// rounded as LiteRT does.
    pub(crate) fn mean(self, dtype: DType) -> Operation {
        if dtype == DType::I16 {
            return Operation::Mean(Rounding::HalfAwayFromZero);
        }
        let (zero_in, zero_out) = (self.input.zero_point, self.output.zero_point);
        Operation::QuantizedMean { zero_in, zero_out, ratio: self.ratio() }
    }

    pub(crate) fn ratio(self) -> f64 {
        f64::from(self.input.scale) / f64::from(self.output.scale)
    }
}

/// The mean of each window of quantised bytes, `u8` or `i8`, as bytes of another quantisation: ONNX Runtime's
/// `QLinearAveragePool` and `QLinearGlobalAveragePool`. And of symmetric 16 bits, see below.
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
/// - **16 bits**, `i16`, are those of LiteRT: both zero points are 0, both scales the same ([`Error::ScalesDiffer`]), and the
///   result is the exact mean of the stored numbers, rounded half away from zero, whatever the scale. The sums are 64
///   bits wide.
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
/// Where both quantisations are the same it is [`MaxPool`](crate::MaxPool), as always with `i16`, by the rule of
/// [`QuantizedAvgPool`]. [`QuantizedMaxPool::plan_indexed`](crate::Pool::plan_indexed) also says where: an index names the first of the
/// largest bytes of the input, not the first whose result is as large. Padding takes no part; a window without a valid tap
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
    /// What the elements of the input and of the output stand for. Without it, themselves.
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
    /// What the elements of the input and of the output stand for. Without it, themselves.
    pub fn quantization(mut self, input: Quantization, output: Quantization) -> Self {
        self.operation.quantizations = Quantizations { input, output };
        self
    }
}

impl Sealed for QuantizedAvg {
    fn bind<T: Element>(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
        bind_mean::<T>()(tier, operation, layer, driver)
    }

    fn resolve(&self, dtype: DType) -> (Operation, Count) {
        (self.quantizations.mean(dtype), if self.include_pad { Count::Padded } else { Count::Valid })
    }

    fn check(&self, dtype: DType) -> Result<()> {
        self.quantizations.check(dtype)
    }
}

/// The kernels of a quantised mean: of bytes one that scales, of 16 bits that of integers. So a plan names those alone that
/// its elements can have.
pub(crate) fn bind_mean<T: Element>() -> Bind {
    if size_of::<T>() == 1 { T::bind_quantized } else { T::bind_mean }
}

impl Sealed for QuantizedMax {
    binds!(bind_max);

    fn resolve(&self, _dtype: DType) -> (Operation, Count) {
        (Operation::Max, Count::Valid)
    }

    fn check(&self, dtype: DType) -> Result<()> {
        self.quantizations.check(dtype)
    }

    fn byte_map(&self, dtype: DType) -> Option<Box<ByteMap>> {
        let Quantizations { input, output } = self.quantizations;
        let (lowest, highest) = Quantizations::zero_points(dtype).ok().filter(|_| input != output)?;
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
