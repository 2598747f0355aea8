//! Where the axes meet: tier × element × operation. The only file that names more than one of them.

use alloc::boxed::Box;
use core::marker::PhantomData;

use super::bound::{Bound, BoundFind};
use super::clamp;
use super::driver::divisors::are_powers_of_two;
use super::driver::staged::{Staged, Tiles};
use super::driver::{Layer, Twin};
use super::kernel::{Kernel, twin_on};
use super::lane::extreme::{Flipped, FloatLane, Watched, Whole};
use super::lane::keys::Keys;
#[cfg(feature = "half")]
use super::lane::lp::Halves;
use super::lane::lp::{Lp, Norm};
use super::lane::mean::Mean;
use super::lane::mean_int::{Extent, Integer, Long, Short, Width};
use super::lane::power::{Pass, PowerLane, Step, pass};
use super::seek::Finder;
#[cfg(feature = "half")]
use super::simd::Integers16;
use super::simd::{Floats, Lane, Tables, Words64};
#[cfg(not(test))]
use super::token::Portable;
use super::token::Scalar;
use crate::{IndexKind, Rounding, Tier};

#[cfg(all(lanepool_neon, not(test)))]
use super::token::Neon;
#[cfg(all(lanepool_x86, not(test)))]
use super::token::{Avx2, Avx512};

/// What is done with the taps of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    Max,
    Min,
    /// Max and min that ignore NaN.
    MaxNumber,
    MinNumber,
    /// Also the sum, which divides by 1. Only integers have ties to be rounded one way or the other.
    Mean(Rounding),
    /// `(Σ |x|^p / divisor)^(1/p)` for a positive p, infinity too. Of floats.
    Lp(f64),
    /// The mean of bytes `ratio·(q − zero_in)`, rounded, plus `zero_out`. Both zero points lie in the element's range.
    QuantizedMean {
        zero_in: i32,
        zero_out: i32,
        ratio: f64,
    },
}

impl Operation {
    /// Whether it divides by a number that the layer's count says.
    pub(crate) const fn divides(self) -> bool {
        matches!(self, Self::Mean(_) | Self::Lp(_) | Self::QuantizedMean { .. })
    }
}

/// Whether NaN wins.
fn propagates(operation: Operation) -> bool {
    matches!(operation, Operation::Max | Operation::Min)
}

/// Bounds of a layer's outputs, and the tier's way to keep them.
pub type Clamp = Box<dyn Bounds>;

/// What keeps elements between bounds.
pub trait Bounds: Send + Sync {
    /// Changes the elements that these bytes are.
    fn keep(&self, elements: &mut [u8]);
}

/// The bounds of floats.
struct FloatBounds<S, A> {
    tier: S,
    low: A,
    high: A,
}

impl<A: Lane, S: Floats<A>> Bounds for FloatBounds<S, A> {
    fn keep(&self, elements: &mut [u8]) {
        let elements = bytemuck::try_cast_slice_mut(elements).unwrap_or_default();
        clamp::floats(self.tier, elements, self.low, self.high);
    }
}

/// The bounds of 16-bit floats, and their only NaN.
#[cfg(feature = "half")]
struct HalfBounds<S> {
    tier: S,
    low: i16,
    high: i16,
    nan: i16,
}

#[cfg(feature = "half")]
impl<S: Integers16> Bounds for HalfBounds<S> {
    fn keep(&self, elements: &mut [u8]) {
        let elements = bytemuck::try_cast_slice_mut(elements).unwrap_or_default();
        clamp::halves(self.tier, elements, self.low, self.high, self.nan);
    }
}

/// The bounds of integers in lanes of their length, which are ordered once the bits of `flip` are flipped.
struct IntegerBounds<S, A> {
    tier: S,
    low: A,
    high: A,
    flip: A,
}

impl<A: Lane, S: Tables<A>> Bounds for IntegerBounds<S, A> {
    fn keep(&self, elements: &mut [u8]) {
        let elements = bytemuck::try_cast_slice_mut(elements).unwrap_or_default();
        clamp::integers(self.tier, elements, self.low, self.high, self.flip);
    }
}

/// Elements that have kernels. Sealed: implemented below.
///
/// A kernel is bound by the operation's own function, so that a program which plans maxima alone has no other leaves.
/// `None` where this build has no kernels for the tier, no lane holds the sums, the operation is none of this element
/// or not the function's own, or the driver that was asked for declines.
pub trait Pooled: Sized {
    #[doc(hidden)]
    fn bind_max(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound>;

    #[doc(hidden)]
    fn bind_min(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound>;

    #[doc(hidden)]
    fn bind_mean(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound>;

    #[doc(hidden)]
    fn bind_norm(_tier: Tier, _operation: Operation, _layer: &Layer, _driver: Option<&str>) -> Option<Bound> {
        None
    }

    #[doc(hidden)]
    fn bind_quantized(_tier: Tier, _operation: Operation, _layer: &Layer, _driver: Option<&str>) -> Option<Bound> {
        None
    }

    /// Any operation of the element's: names all of their leaves.
    #[doc(hidden)]
    fn bind_any(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
        let bind = match operation {
            Operation::Max | Operation::MaxNumber => Self::bind_max,
            Operation::Min | Operation::MinNumber => Self::bind_min,
            Operation::Mean(_) => Self::bind_mean,
            Operation::Lp(_) => Self::bind_norm,
            Operation::QuantizedMean { .. } => Self::bind_quantized,
        };
        bind(tier, operation, layer, driver)
    }

    /// `None` where this build has no kernels for the tier, or the operation is no extreme.
    #[doc(hidden)]
    fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind>;

    /// Between two elements, given by their bits. `None` where this build has no kernels for the tier.
    #[doc(hidden)]
    fn bind_clamp(tier: Tier, bounds: [u64; 2]) -> Option<Clamp>;

    /// The bits of the least element from `low` on and of the greatest up to `high`; floats: of the nearest ones. `None`
    /// where nothing lies between them.
    #[doc(hidden)]
    fn bounds(low: f64, high: f64) -> Option<[u64; 2]>;

    /// Whether some lane holds the sum of every window.
    #[doc(hidden)]
    fn sums_fit(_layer: &Layer, _operation: Operation) -> bool {
        true
    }

    /// What a window without a valid tap gives: its bits, of which as many low ones count as the element has.
    #[doc(hidden)]
    fn identity(operation: Operation) -> u64;
}

/// An expression with the token of a tier. `None` where the CPU does not have it, which `Plan` has asked before.
///
/// The unit tests run no plan (the tests of `tests/` do): their build has the scalar kernels alone.
macro_rules! on_tier {
    ($tier:expr, $s:ident => $bound:expr) => {
        match $tier {
            Tier::Scalar => {
                let $s = Scalar::detect()?;
                $bound
            }
            #[cfg(not(test))]
            Tier::Portable => {
                let $s = Portable::detect()?;
                $bound
            }
            #[cfg(all(lanepool_x86, not(test)))]
            Tier::Avx2 => {
                let $s = Avx2::detect()?;
                $bound
            }
            #[cfg(all(lanepool_x86, not(test)))]
            Tier::Avx512 => {
                let $s = Avx512::detect()?;
                $bound
            }
            #[cfg(all(lanepool_neon, not(test)))]
            Tier::Neon => {
                let $s = Neon::detect()?;
                $bound
            }
            #[allow(unreachable_patterns, reason = "a build has the tiers of its architecture")]
            _ => return None,
        }
    };
}

/// The same for operations that are asked for so rarely that a tier shares leaves with another: AVX-512 runs those of
/// AVX2, and the portable tier those of the scalar one. It saves a third of the code; what such a layer takes more is at
/// most twice the time, where it is not memory that it waits for.
macro_rules! on_shared_tier {
    ($tier:expr, $s:ident => $bound:expr) => {
        match $tier {
            Tier::Scalar | Tier::Portable => {
                let $s = Scalar::detect()?;
                $bound
            }
            #[cfg(all(lanepool_x86, not(test)))]
            Tier::Avx2 | Tier::Avx512 => {
                let $s = Avx2::detect()?;
                $bound
            }
            #[cfg(all(lanepool_neon, not(test)))]
            Tier::Neon => {
                let $s = Neon::detect()?;
                $bound
            }
            #[allow(unreachable_patterns, reason = "a build has the tiers of its architecture")]
            _ => return None,
        }
    };
}

/// Kernels of lane operations that several elements or operations share: bound by functions that are compiled once.
macro_rules! shared {
    ($($name:ident, $find:ident: $op:ty as $lane:ty, $on:ident);+ $(;)?) => { $(
        fn $name(tier: Tier, op: $op, layer: &Layer, driver: Option<&str>) -> Option<Kernel> {
            $on!(tier, s => Kernel::new::<$lane, _, _>(s, op, layer, driver))
        }

        fn $find(tier: Tier, op: $op, kind: IndexKind, layer: &Layer) -> Option<Finder> {
            Some($on!(tier, s => Finder::new::<$lane, _, _>(s, op, kind, layer)))
        }
    )+ };
}

shared! {
    flipped, find_flipped: Flipped as u8, on_tier;
    words, find_words: Keys<i16> as i16, on_tier;
    longs, find_longs: Keys<i32> as i32, on_tier;
    doubles, find_doubles: Keys<i64> as i64, on_shared_tier;
}

/// One operation of an element, by a function that binds its lane operation.
macro_rules! bound_by {
    ($name:ident $by:ident: |$operation:ident| $op:expr) => {
        fn $name(tier: Tier, $operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            Bound::new::<Self>($by(tier, $op, layer, driver)?, layer)
        }
    };
}

/// One operation of an element: its lane operation, in lanes `$lane`, on the tiers that `$on` says.
macro_rules! bound {
    ($name:ident $on:ident, $lane:ty: |$operation:ident, $layer:ident| $op:expr) => {
        fn $name(tier: Tier, $operation: Operation, $layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let op = $op;
            Bound::new::<Self>($on!(tier, s => Kernel::new::<$lane, _, _>(s, op, $layer, driver))?, $layer)
        }
    };
}

/// The maximum or the minimum with where it is, by a function that binds its lane operation.
macro_rules! found {
    ($by:ident: |$operation:ident| max $max:expr, min $min:expr) => {
        fn bind_find(tier: Tier, $operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind> {
            let op = match $operation {
                Operation::Max | Operation::MaxNumber => $max,
                Operation::Min | Operation::MinNumber => $min,
                _ => return None,
            };
            BoundFind::new::<Self>($by(tier, op, kind, layer)?, layer)
        }
    };
}

/// The mean of floats `$type`.
macro_rules! mean {
    ($type:ty, $layer:expr) => {
        Mean { element: PhantomData::<$type>, exact_reciprocal: are_powers_of_two($layer) }
    };
}

/// The keys of floats, `$key` as long.
macro_rules! keys {
    ($type:ty as $key:ty, $operation:expr) => {
        Keys::<$key>::floats(
            <$type>::NAN.to_bits() as $key,
            <$type>::INFINITY.to_bits() as $key,
            matches!($operation, Operation::Min | Operation::MinNumber),
            propagates($operation),
        )
    };
}

/// The norm of elements whose mean, in lanes `$lane` and on the tiers that `$on` says, is `$mean`: in stages, where the driver for
/// that takes the layer.
macro_rules! norm {
    ($lane:ty, $on:ident: |$layer:ident| $mean:expr $(, as $rare:ty)?) => {
        fn bind_norm(tier: Tier, operation: Operation, $layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let Operation::Lp(p) = operation else { return None };
            let (mean, norm) = ($mean, Norm::new(p));
            let others = driver.filter(|name| *name != Staged::NAME);
            let op = Lp { mean: $( <$rare>::from )? (mean), norm };
            let mut kernel = on_shared_tier!(tier, s => Kernel::new::<$lane, _, _>(s, op, $layer, others))?;
            if others.is_none() {
                let memory = $on!(tier, s => twin_on::<$lane, _, _>(s, mean));
                kernel = match <$lane>::stages(tier, norm, $layer, memory) {
                    Some(stages) => kernel.staged(stages),
                    None if driver.is_none() => kernel,
                    None => return None,
                };
            }
            Bound::new::<Self>(kernel, $layer)
        }
    };
}

/// A [`Pass`] on the tier of a token.
fn pass_on<A: PowerLane<S>, S: Words64 + Floats<A>>(_token: S) -> Pass {
    pass::<A, S>
}

/// Lanes in which norms are added up by other operations' kernels.
trait Staging: Sized {
    /// What raises and roots them. The portable tier's own would be no faster than the scalar one, which is vectorised as well.
    fn pass(tier: Tier) -> Option<Pass>;

    /// The stages of a layer, the mean of whose elements is `memory`.
    fn stages(tier: Tier, norm: Norm, layer: &Layer, memory: Twin) -> Option<Staged>;
}

macro_rules! staging {
    ($($lane:ty, means $on:ident: |$tier:ident, $tile:ident| $most:expr);+ $(;)?) => { $(
        impl Staging for $lane {
            fn pass(tier: Tier) -> Option<Pass> {
                #[cfg(all(lanepool_x86, not(test)))]
                if tier == Tier::Avx512 {
                    return Avx512::detect().map(pass_on::<Self, _>);
                }
                Some(on_shared_tier!(tier, s => pass_on::<Self, _>(s)))
            }

            fn stages(tier: Tier, norm: Norm, layer: &Layer, memory: Twin) -> Option<Staged> {
                let tiles = Tiles::new(layer, size_of::<Self>(), norm.raise.time())?;
                let ($tier, $tile) = (tier, &tiles.layer);
                let sums = if norm.is_most {
                    $most
                } else {
                    let mean = mean!(Self, $tile);
                    $on!(tier, s => Kernel::new::<Self, _, _>(s, mean, $tile, None))
                };
                Staged::new(layer, tiles, sums?, norm, Self::pass(tier)?, memory)
            }
        }
    )+ };
}

/// Magnitudes raised to a power, on the tier that a plan takes: for gradients, whose code has no tiers.
#[derive(Clone, Copy)]
pub struct Raise {
    step: Step,
    pass: Pass,
    /// Bytes of a lane.
    lane: usize,
}

/// Lanes that can be raised so.
pub trait Raising: bytemuck::Pod {
    /// To a positive power.
    fn raise(power: f64) -> Raise;
}

macro_rules! raising {
    ($($lane:ty),+) => { $(
        impl Raising for $lane {
            fn raise(power: f64) -> Raise {
                // The scalar tier is on every machine.
                let pass = <$lane as Staging>::pass(Tier::best()).unwrap_or(pass::<$lane, Scalar>);
                Raise { step: Step::raise(power), pass, lane: size_of::<Self>() }
            }
        }
    )+ };
}

raising!(f32, f64);

impl Raise {
    /// Raises each of them, which are lanes that it was made for.
    pub(crate) fn all<A: Raising>(&self, magnitudes: &mut [A]) {
        // Which was made for lanes of another length reads none of these.
        let magnitudes = if size_of::<A>() == self.lane { magnitudes } else { &mut [] };
        let (at, n) = (magnitudes.as_mut_ptr(), magnitudes.len());
        // SAFETY: the pass is for lanes of this length, on a tier that this machine was found to have; they are readable and
        // writable.
        unsafe { (self.pass)(&self.step, at.cast_const().cast(), at.cast(), n) }
    }
}

impl core::fmt::Debug for Raise {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a power")
    }
}

staging! {
    f32, means on_tier: |tier, tile| {
        on_tier!(tier, s => Kernel::watched(s, Watched, keys!(f32 as i32, Operation::Max), tile, None))
    };
    f64, means on_shared_tier: |tier, tile| doubles(tier, keys!(f64 as i64, Operation::Max), tile, None);
}

/// f32 and f64: element and lane, keys and what binds them, the tiers of means, and how the maximum is bound and found.
macro_rules! floats {
    ($($type:ty as $key:ty: $by:ident, means $on:ident, $max:item, $found:item);+ $(;)?) => { $(
        impl Pooled for $type {
            $max
            // No model format pools minima: keys are enough.
            bound_by!(bind_min $by: |operation| keys!($type as $key, operation));
            bound!(bind_mean $on, $type: |_operation, layer| mean!($type, layer));
            norm!($type, $on: |layer| mean!($type, layer));
            $found

            fn bind_clamp(tier: Tier, bounds: [u64; 2]) -> Option<Clamp> {
                let [low, high] = bounds.map(|bits| <$type>::from_bits(bits as _));
                Some(on_tier!(tier, tier => Box::new(FloatBounds { tier, low, high })))
            }

            fn bounds(low: f64, high: f64) -> Option<[u64; 2]> {
                (low <= high).then_some([low, high].map(|bound| (bound as $type).to_bits().into()))
            }

            fn identity(operation: Operation) -> u64 {
                let identity = match operation {
                    Operation::Max | Operation::MaxNumber => <$type as FloatLane>::LOWEST,
                    Operation::Min | Operation::MinNumber => <$type as FloatLane>::HIGHEST,
                    Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => 0.0,
                };
                identity.to_bits().into()
            }
        }
    )+ };
}

floats! {
    f32 as i32: longs, means on_tier,
        fn bind_max(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let careful = keys!(f32 as i32, operation);
            Bound::new::<Self>(on_tier!(tier, s => Kernel::watched(s, Watched, careful, layer, driver))?, layer)
        },
        fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind> {
            let finder = match operation {
                // Where NaN is ignored it is not so rare that it should cost a second pass.
                Operation::Max => {
                    let careful = find_longs(tier, keys!(f32 as i32, operation), kind, layer)?;
                    on_tier!(tier, s => careful.watched::<f32, _, _>(s, Watched))
                }
                Operation::Min | Operation::MinNumber | Operation::MaxNumber => {
                    find_longs(tier, keys!(f32 as i32, operation), kind, layer)?
                }
                _ => return None,
            };
            BoundFind::new::<Self>(finder, layer)
        };
    f64 as i64: doubles, means on_shared_tier,
        bound_by! { bind_max doubles: |operation| keys!(f64 as i64, operation) },
        found! { find_doubles: |operation| max keys!(f64 as i64, operation), min keys!(f64 as i64, operation) };
}

/// The 16-bit floats: extremes in one integer kernel for both, means in f32 lanes.
#[cfg(feature = "half")]
macro_rules! halves {
    ($($type:ty),+ $(,)?) => { $(
        impl Pooled for $type {
            bound_by!(bind_max words: |operation| keys!($type as i16, operation));
            bound_by!(bind_min words: |operation| keys!($type as i16, operation));
            bound!(bind_mean on_tier, f32: |_operation, layer| mean!($type, layer));
            norm!(f32, on_tier: |layer| mean!($type, layer), as Halves);
            found!(find_words: |operation| max keys!($type as i16, operation), min keys!($type as i16, operation));

            fn bind_clamp(tier: Tier, bounds: [u64; 2]) -> Option<Clamp> {
                bind_clamp_of_halves(tier, bounds, <$type>::NAN.to_bits())
            }

            fn bounds(low: f64, high: f64) -> Option<[u64; 2]> {
                (low <= high).then_some([low, high].map(|bound| <$type>::from_f64_const(bound).to_bits().into()))
            }

            fn identity(operation: Operation) -> u64 {
                let identity = match operation {
                    Operation::Max | Operation::MaxNumber => <$type>::NEG_INFINITY,
                    Operation::Min | Operation::MinNumber => <$type>::INFINITY,
                    Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => <$type>::ZERO,
                };
                identity.to_bits().into()
            }
        }
    )+ };
}

#[cfg(feature = "half")]
halves!(half::f16, half::bf16);

#[cfg(feature = "half")]
fn bind_clamp_of_halves(tier: Tier, bounds: [u64; 2], nan: u16) -> Option<Clamp> {
    let ([low, high], nan) = (bounds.map(|bits| bits as i16), nan as i16);
    Some(on_tier!(tier, tier => Box::new(HalfBounds { tier, low, high, nan })))
}

/// The clamp of integers of as many bits as a lane has; the bits of `flip` put them in the order of lanes.
macro_rules! clamps_of_integers {
    ($($name:ident: $lane:ty, $on:ident);+ $(;)?) => { $(
        fn $name(tier: Tier, bounds: [u64; 2], flip: u64) -> Option<Clamp> {
            let ([low, high], flip) = (bounds.map(|bits| bits as $lane), flip as $lane);
            Some($on!(tier, tier => Box::new(IntegerBounds { tier, low, high, flip })))
        }
    )+ };
}

clamps_of_integers! {
    bind_clamp_of_bytes: u8, on_tier;
    bind_clamp_of_words: i16, on_tier;
    bind_clamp_of_longs: i32, on_tier;
    bind_clamp_of_doubles: i64, on_shared_tier;
}

/// Which sums the lanes of means of integers hold.
macro_rules! sums_fit {
    ($type:ty) => {
        fn sums_fit(layer: &Layer, operation: Operation) -> bool {
            let extent = Extent::new(layer);
            match operation {
                Operation::QuantizedMean { .. } => extent.fits_quantized::<$type>(),
                _ => extent.width::<$type>(layer).is_some(),
            }
        }
    };
}

/// The mean of bytes: in the narrowest lanes that hold every sum.
macro_rules! mean_of_bytes {
    ($type:ty) => {
        sums_fit!($type);

        fn bind_mean(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let Operation::Mean(rounding) = operation else { return None };
            let extent = Extent::new(layer);
            let Width::Short = extent.width::<$type>(layer)? else {
                return mean_of_words::<$type>(tier, rounding, layer, driver);
            };
            let op = Short::<$type>::new(extent, rounding);
            Bound::new::<Self>(on_tier!(tier, s => Kernel::new::<i16, _, _>(s, op, layer, driver))?, layer)
        }

        fn bind_quantized(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let Operation::QuantizedMean { zero_in, zero_out, ratio } = operation else { return None };
            if !Extent::new(layer).fits_quantized::<$type>() {
                return None;
            }
            let op = Long::<$type>::quantized(zero_in, zero_out, ratio);
            Bound::new::<Self>(on_tier!(tier, s => Kernel::new::<i32, _, _>(s, op, layer, driver))?, layer)
        }
    };
}

/// The mean of words of 16 bits.
macro_rules! mean_of_words {
    ($type:ty) => {
        sums_fit!($type);

        fn bind_mean(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let Operation::Mean(rounding) = operation else { return None };
            mean_of_words::<$type>(tier, rounding, layer, driver)
        }
    };
}

/// The mean of words of 32 bits.
macro_rules! mean_of_longs {
    ($type:ty) => {
        sums_fit!($type);

        fn bind_mean(tier: Tier, operation: Operation, layer: &Layer, driver: Option<&str>) -> Option<Bound> {
            let Operation::Mean(rounding) = operation else { return None };
            let extent = Extent::new(layer);
            extent.width::<$type>(layer)?;
            let op = Long::<$type>::new(extent, rounding, layer);
            Bound::new::<Self>(on_shared_tier!(tier, s => Kernel::new::<i64, _, _>(s, op, layer, driver))?, layer)
        }
    };
}

/// Words of 64 bits have no mean: no lane holds their sums. `DType::check_sums` has said so.
macro_rules! no_mean {
    ($type:ty) => {
        fn bind_mean(_tier: Tier, _operation: Operation, _layer: &Layer, _driver: Option<&str>) -> Option<Bound> {
            None
        }
    };
}

/// The mean of integers whose sums may need 32 bits or 64.
fn mean_of_words<T>(tier: Tier, rounding: Rounding, layer: &Layer, driver: Option<&str>) -> Option<Bound>
where
    T: Integer + MeanOfWords,
{
    let extent = Extent::new(layer);
    let op = Long::<T>::new(extent, rounding, layer);
    let kernel = match extent.width::<T>(layer)? {
        // Windows of more than 65 536 taps: too rare for a kernel on every tier.
        Width::Longest => T::longest(op, layer, driver)?,
        Width::Short | Width::Long => T::long(tier, op, layer, driver)?,
    };
    Bound::new::<T>(kernel, layer)
}

/// Integers whose means have lanes of 32 bits on every tier, and of 64 on the scalar one.
trait MeanOfWords: Sized {
    fn long(tier: Tier, op: Long<Self>, layer: &Layer, driver: Option<&str>) -> Option<Kernel>;
    fn longest(op: Long<Self>, layer: &Layer, driver: Option<&str>) -> Option<Kernel>;
}

macro_rules! means_of_words {
    ($($type:ty, $on:ident);+ $(;)?) => { $(
        impl MeanOfWords for $type {
            fn long(tier: Tier, op: Long<Self>, layer: &Layer, driver: Option<&str>) -> Option<Kernel> {
                $on!(tier, s => Kernel::new::<i32, _, _>(s, op, layer, driver))
            }

            fn longest(op: Long<Self>, layer: &Layer, driver: Option<&str>) -> Option<Kernel> {
                Kernel::new::<i64, _, _>(Scalar::detect()?, op, layer, driver)
            }
        }
    )+ };
}

means_of_words! {
    i8, on_tier;
    u8, on_tier;
    i16, on_shared_tier;
    u16, on_shared_tier;
}

/// The bits of the ends of the integers that lie between the bounds and between the ends of their type.
fn bounds_of_integers([low, high]: [f64; 2], [first, last]: [i128; 2]) -> Option<[u64; 2]> {
    // `as` cuts towards zero, saturates beyond every type here, and makes 0 of NaN, which is between no bounds.
    let is_range = low <= high;
    let (least, most) = (low as i128, high as i128);
    let least = if (least as f64) < low { least.saturating_add(1) } else { least }.max(first);
    let most = if most as f64 > high { most.saturating_sub(1) } else { most }.min(last);
    (is_range && least <= most).then_some([least as u64, most as u64])
}

/// Integers: an extreme is the largest of lanes `$lane` after flipping bits, which `$by` and `$find` bind. The maximum of
/// `u8`, which quantised networks are full of, has leaves of its own, which flip nothing.
macro_rules! integers {
    ($($type:ty as $lane:ty: $by:ident, $find:ident, max { $max:item }, min $min:expr, find $seek:expr, mean by $mean:ident,
        clamp by $clamp:ident);+ $(;)?) => { $(
        impl Pooled for $type {
            $max
            bound_by!(bind_min $by: |_operation| $min);
            $mean!($type);
            found!($find: |operation| max $seek, min $min);

            fn bind_clamp(tier: Tier, bounds: [u64; 2]) -> Option<Clamp> {
                $clamp(tier, bounds, ((<$type>::MIN as $lane) ^ <$lane>::MIN) as u64)
            }

            fn bounds(low: f64, high: f64) -> Option<[u64; 2]> {
                bounds_of_integers([low, high], [<$type>::MIN.into(), <$type>::MAX.into()])
            }

            fn identity(operation: Operation) -> u64 {
                match operation {
                    Operation::Max | Operation::MaxNumber => <$type>::MIN as u64,
                    Operation::Min | Operation::MinNumber => <$type>::MAX as u64,
                    Operation::Mean(_) | Operation::Lp(_) => 0,
                    // The real 0, in the range of the element.
                    Operation::QuantizedMean { zero_out, .. } => zero_out as u64,
                }
            }
        }
    )+ };
}

integers! {
    i8 as u8: flipped, find_flipped, max { bound_by!(bind_max flipped: |_operation| Flipped(0x80)); },
        min Flipped(0x7f), find Flipped(0x80), mean by mean_of_bytes, clamp by bind_clamp_of_bytes;
    u8 as u8: flipped, find_flipped, max { bound!(bind_max on_tier, u8: |_operation, layer| Whole); },
        min Flipped(0xff), find Flipped(0), mean by mean_of_bytes, clamp by bind_clamp_of_bytes;
    i16 as i16: words, find_words, max { bound_by!(bind_max words: |_operation| Keys::integers(0)); },
        min Keys::integers(-1), find Keys::integers(0), mean by mean_of_words, clamp by bind_clamp_of_words;
    u16 as i16: words, find_words, max { bound_by!(bind_max words: |_operation| Keys::integers(i16::MIN)); },
        min Keys::integers(i16::MAX), find Keys::integers(i16::MIN), mean by mean_of_words, clamp by bind_clamp_of_words;
    i32 as i32: longs, find_longs, max { bound_by!(bind_max longs: |_operation| Keys::integers(0)); },
        min Keys::integers(-1), find Keys::integers(0), mean by mean_of_longs, clamp by bind_clamp_of_longs;
    u32 as i32: longs, find_longs, max { bound_by!(bind_max longs: |_operation| Keys::integers(i32::MIN)); },
        min Keys::integers(i32::MAX), find Keys::integers(i32::MIN), mean by mean_of_longs, clamp by bind_clamp_of_longs;
    i64 as i64: doubles, find_doubles, max { bound_by!(bind_max doubles: |_operation| Keys::integers(0)); },
        min Keys::integers(-1), find Keys::integers(0), mean by no_mean, clamp by bind_clamp_of_doubles;
    u64 as i64: doubles, find_doubles, max { bound_by!(bind_max doubles: |_operation| Keys::integers(i64::MIN)); },
        min Keys::integers(i64::MAX), find Keys::integers(i64::MIN), mean by no_mean, clamp by bind_clamp_of_doubles;
}
