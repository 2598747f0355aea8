//! Where the axes meet: tier × element × operation × walk. The only file that names more than one of them.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Range;

use super::bound::{Bound, BoundFind};
use super::clamp;
use super::reduce::extreme::{Careful, Ends, Flipped, Largest, Smallest, Watched, Whole};
#[cfg(feature = "half")]
use super::reduce::keys::Keys;
use super::reduce::lp::{Lp, Plain, Power};
use super::reduce::mean::Mean;
use super::reduce::mean_int::{Extent, Integer, Long, Short, Width};
use super::reduce::quantized::QuantizedMean;
use super::simd::{Floats, Integers16, Integers32, Integers64, Lane, Lanes, MOST_LANES, Reduce, Simd, Widen};
#[cfg(not(test))]
use super::token::Portable;
use super::token::Scalar;
use super::walk::bands::{Bands, Tiling};
use super::walk::columns::{self, Columns};
use super::walk::divisors::Divisors;
use super::walk::find::{self, Find, Finder, Seek};
use super::walk::flat::{self, Flat};
use super::walk::global::Global;
use super::walk::pairs::Pairs;
use super::walk::piles::Piles;
use super::walk::pixels::Pixels;
use super::walk::planes::{Padded, Planes};
use super::walk::rows::{Rows, Shape};
use super::walk::spans::{self, Spans};
use super::walk::{Io, Layer, Walk};
use crate::geometry::Geometry;
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

/// Which walk visits the windows. Plain data: a test can ask what a shape gets without running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkKind {
    Flat,
    Rows,
    Pairs,
    Planes,
    Bands,
    Columns,
    Spans,
    Pixels,
    Global,
    Piles,
}

impl WalkKind {
    /// The name of the walk's file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Rows => "rows",
            Self::Pairs => "pairs",
            Self::Planes => "planes",
            Self::Bands => "bands",
            Self::Columns => "columns",
            Self::Spans => "spans",
            Self::Pixels => "pixels",
            Self::Global => "global",
            Self::Piles => "piles",
        }
    }
}

/// How a layer will be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub(crate) tier: Tier,
    pub(crate) walk: WalkKind,
}

impl Choice {
    /// The walk depends on the geometry alone, since it could change a float sum's last bit; so every tier takes the
    /// same one.
    pub(crate) fn new(tier: Tier, geometry: &Geometry) -> Self {
        let walk = if geometry.is_global() {
            if geometry.inner == 1 { WalkKind::Global } else { WalkKind::Piles }
        } else if Tiling::new(geometry, size_of::<f64>(), MOST_LANES, false).is_none() {
            if spans::takes(geometry) { WalkKind::Spans } else { WalkKind::Pixels }
        } else if flat::Shape::of(geometry).is_some() {
            WalkKind::Flat
        } else if Shape::of(geometry).is_some() {
            WalkKind::Rows
        } else if Padded::of(geometry).is_some() {
            WalkKind::Planes
        } else {
            WalkKind::Bands
        };
        Self { tier, walk }
    }
}

/// A layer bound to a tier: chosen once, run many times.
pub trait Kernel: Send + Sync {
    /// The walk that visits the windows.
    fn walk(&self) -> WalkKind;

    /// Bytes of an element in memory.
    fn element_bytes(&self) -> usize;

    /// # Safety
    /// As for [`Walk::visit`]; the bytes of `io` are elements of `element_bytes` each.
    unsafe fn run(&self, io: Io<u8>, rows: Range<usize>);

    /// The same, with long rows shared between threads: see [`Walk::visit_shared`].
    ///
    /// # Safety
    /// As for `run`.
    #[cfg(feature = "rayon")]
    unsafe fn run_shared(&self, io: Io<u8>, rows: Range<usize>, pieces: usize);
}

struct OnTier<S, W> {
    token: S,
    walk: W,
}

impl<S: Simd, W: Walk<S>> Kernel for OnTier<S, W> {
    fn walk(&self) -> WalkKind {
        W::KIND
    }

    fn element_bytes(&self) -> usize {
        size_of::<W::T>()
    }

    unsafe fn run(&self, io: Io<u8>, rows: Range<usize>) {
        #[cfg(feature = "count-runs")]
        super::runs::note::<S, W, W::T>();
        let Self { token, walk } = self;
        token.vectorize(
            #[inline(always)]
            // SAFETY: the same contract.
            || unsafe { walk.visit(*token, io.cast(), rows) },
        );
    }

    #[cfg(feature = "rayon")]
    unsafe fn run_shared(&self, io: Io<u8>, rows: Range<usize>, pieces: usize) {
        // SAFETY: the same contract.
        unsafe {
            if !self.walk.visit_shared(self.token, io.cast(), rows.clone(), pieces) {
                return self.run(io, rows);
            }
        }
        #[cfg(feature = "count-runs")]
        super::runs::note::<S, W, W::T>();
    }
}

/// Puts an operation on a walk.
fn walk<A, S, R>(token: S, op: R, layer: &Layer, kind: WalkKind) -> Box<dyn Kernel>
where
    A: Lane,
    S: Lanes<A>,
    R: Reduce<A, S>,
{
    let geometry = &layer.geometry;
    let tiling = Tiling::new(geometry, size_of::<A>(), S::N, R::IDEMPOTENT);
    // Loops of their own for common windows: not for what is rarely run, and not on the tier that is there to be compared with.
    // A condition of constants, so that nothing is compiled for those.
    if const { !R::LEAN && !S::PLAIN } {
        if let (WalkKind::Flat, Some(shape), Some(tiling)) = (kind, flat::Shape::of(geometry), tiling)
            && shape.is_for::<S>()
            && layer.has_packed_rows()
        {
            return Box::new(OnTier { token, walk: Flat::<A, R, R::T, S::M>::new(token, op, layer, shape, tiling) });
        }
        if const { R::ANY_ORDER && !S::SPARING } && kind == WalkKind::Rows && Pairs::<A, R>::takes::<S>(layer) {
            return Box::new(OnTier { token, walk: Pairs::new::<S>(op, layer) });
        }
        match (kind, Shape::of(geometry), Padded::of(geometry), tiling) {
            (WalkKind::Flat | WalkKind::Rows, Some(shape), _, Some(tiling))
                if shape.is_for::<S>() && layer.has_whole_rows() =>
            {
                return Box::new(OnTier { token, walk: Rows::new::<S>(op, layer, shape, tiling) });
            }
            (WalkKind::Flat | WalkKind::Planes, _, Some(padded), Some(tiling))
                if Padded::takes::<A, S, R>(geometry) && layer.is_packed() =>
            {
                return Box::new(OnTier { token, walk: Planes::new::<S>(op, layer, padded, tiling) });
            }
            (WalkKind::Bands, _, _, Some(tiling)) => {
                if let Some(shape) = columns::Shape::of(geometry)
                    && shape.is_for::<A, S>(geometry.inner)
                {
                    return Box::new(OnTier { token, walk: Columns::new::<S>(op, layer, shape, tiling) });
                }
            }
            _ => {}
        }
    }
    match (kind, tiling) {
        (WalkKind::Global, _) => Box::new(OnTier { token, walk: Global::new::<S>(op, layer) }),
        (WalkKind::Piles, _) => Box::new(OnTier { token, walk: Piles::new::<S>(op, layer) }),
        (
            WalkKind::Flat | WalkKind::Rows | WalkKind::Pairs | WalkKind::Planes | WalkKind::Bands | WalkKind::Columns,
            Some(tiling),
        ) => Box::new(OnTier { token, walk: Bands::new::<S>(op, layer, tiling) }),
        // The twin that is right for everything: these walks are too rare to be compiled for both.
        (WalkKind::Spans, _) => Box::new(OnTier { token, walk: Spans::new::<S>(op.careful(), layer) }),
        _ => Box::new(OnTier { token, walk: Pixels::new::<S>(op.careful(), layer) }),
    }
}

/// Bounds of a layer's outputs, and the tier's way to keep them.
pub type Clamp<T> = Box<dyn Fn(&mut [T]) + Send + Sync>;

/// Puts an extreme on the walk that finds it.
fn find<A, S, R>(token: S, walk: Find<R>) -> Box<dyn Finder>
where
    A: Lane,
    S: Lanes<A>,
    R: Seek<A, S>,
{
    Box::new(find::OnTier::<A, S, R> { token, walk, lane: PhantomData })
}

/// Elements that have kernels. Sealed: implemented below.
pub trait Pooled: Sized {
    /// `None` where this build has no kernels for the tier, no lane holds the sums, or the operation is none of this element.
    #[doc(hidden)]
    fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>>;

    /// `None` where this build has no kernels for the tier, or the operation is no extreme.
    #[doc(hidden)]
    fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind<Self>>;

    /// `None` where this build has no kernels for the tier.
    #[doc(hidden)]
    fn bind_clamp(tier: Tier, low: Self, high: Self) -> Option<Clamp<Self>>;

    /// The least element from `low` on and the greatest up to `high`; floats: the nearest ones. `None` where nothing lies
    /// between them.
    #[doc(hidden)]
    fn bounds(low: f64, high: f64) -> Option<(Self, Self)>;

    /// Whether some lane holds the sum of every window.
    #[doc(hidden)]
    fn sums_fit(_layer: &Layer, _operation: Operation) -> bool {
        true
    }

    /// What a window without a valid tap gives.
    #[doc(hidden)]
    fn identity(operation: Operation) -> Self;
}

/// Enters a tier with its token. `None` where the CPU does not have it, which `Plan` has asked before.
///
/// The unit tests run no plan (the tests of `tests/` do): their build has the scalar kernels alone, since all of them would take it
/// as long as the library itself.
macro_rules! on_tier {
    ($tier:expr, $bind:ident($($argument:expr),*)) => {
        match $tier {
            Tier::Scalar => $bind(Scalar::detect()?, $($argument),*),
            #[cfg(not(test))]
            Tier::Portable => $bind(Portable::detect()?, $($argument),*),
            #[cfg(all(lanepool_x86, not(test)))]
            Tier::Avx2 => $bind(Avx2::detect()?, $($argument),*),
            #[cfg(all(lanepool_x86, not(test)))]
            Tier::Avx512 => $bind(Avx512::detect()?, $($argument),*),
            #[cfg(all(lanepool_neon, not(test)))]
            Tier::Neon => $bind(Neon::detect()?, $($argument),*),
            #[cfg(not(all(lanepool_x86, lanepool_neon, not(test))))]
            _ => return None,
        }
    };
}

/// The p-norm of elements whose mean, in lanes `$lane`, is `$mean`.
macro_rules! lp {
    ($lane:ty, $S:ty, $s:expr, $p:expr, $mean:expr, $layer:expr, $kind:expr) => {{
        let mean = $mean;
        let norm = match $p {
            1.0 => Plain::Sum,
            2.0 => Plain::Squares,
            f64::INFINITY => Plain::Most,
            // Powers take their time on every tier: all run the scalar one's code.
            p => return Some(walk::<$lane, Scalar, _>(Scalar::detect()?, Lp { mean, norm: Power(p) }, $layer, $kind)),
        };
        walk::<$lane, $S, _>($s, Lp { mean, norm }, $layer, $kind)
    }};
}

/// f32 and f64: `$type` is element and lane.
macro_rules! floats {
    ($($type:ty: $bind:ident, $find:ident);+ $(;)?) => { $(
        fn $find<S: Floats<$type>>(s: S, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<Box<dyn Finder>> {
            let ignore = !propagates(operation);
            Some(match operation {
                Operation::Max | Operation::MaxNumber => {
                    find::<$type, S, _>(s, Find::new(Careful::<Largest>::new(ignore), kind, layer))
                }
                Operation::Min | Operation::MinNumber => {
                    find::<$type, S, _>(s, Find::new(Careful::<Smallest>::new(ignore), kind, layer))
                }
                Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => return None,
            })
        }

        fn $bind<S: Floats<$type>>(
            s: S, kind: WalkKind, operation: Operation, layer: &Layer,
        ) -> Option<Box<dyn Kernel>> {
            type Element = $type;
            let mean = || {
                let exact_reciprocal = Divisors::<Element>::are_powers_of_two(layer);
                Mean { element: PhantomData::<Element>, exact_reciprocal }
            };
            let ignore = !propagates(operation);
            Some(match operation {
                Operation::Max | Operation::MaxNumber => {
                    let careful = Careful::<Largest>::new(ignore);
                    if S::PLAIN {
                        walk::<Element, S, _>(s, careful, layer, kind)
                    } else {
                        walk::<Element, S, _>(s, Watched(careful), layer, kind)
                    }
                }
                // No model format pools minima: one twin is enough.
                Operation::Min | Operation::MinNumber => {
                    walk::<Element, S, _>(s, Careful::<Smallest>::new(ignore), layer, kind)
                }
                Operation::Mean(_) => walk::<Element, S, _>(s, mean(), layer, kind),
                Operation::Lp(p) => lp!(Element, S, s, p, mean(), layer, kind),
                Operation::QuantizedMean { .. } => return None,
            })
        }

        impl Pooled for $type {
            fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>> {
                Bound::new(on_tier!(choice.tier, $bind(choice.walk, operation, layer))?, layer)
            }

            fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind<Self>> {
                BoundFind::new(on_tier!(tier, $find(operation, kind, layer))?, layer)
            }

            fn bind_clamp(tier: Tier, low: Self, high: Self) -> Option<Clamp<Self>> {
                fn bind<S: Floats<$type>>(s: S, low: $type, high: $type) -> Clamp<$type> {
                    Box::new(move |dst| clamp::floats(s, dst, low, high))
                }
                Some(on_tier!(tier, bind(low, high)))
            }

            fn bounds(low: f64, high: f64) -> Option<(Self, Self)> {
                (low <= high).then_some((low as $type, high as $type))
            }

            fn identity(operation: Operation) -> Self {
                match operation {
                    Operation::Max | Operation::MaxNumber => <$type as Ends>::LOWEST,
                    Operation::Min | Operation::MinNumber => <$type as Ends>::HIGHEST,
                    Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => 0.0,
                }
            }
        }
    )+ };
}

floats! {
    f32: bind_f32, find_f32;
    f64: bind_f64, find_f64;
}

/// The 16-bit floats: extremes in one integer kernel for both, means in f32 lanes.
#[cfg(feature = "half")]
macro_rules! halves {
    ($($type:ty: $bind:ident, $find:ident);+ $(;)?) => { $(
        fn $find<S: Integers16>(s: S, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<Box<dyn Finder>> {
            let (nan, infinity) = (<$type>::NAN.to_bits(), <$type>::INFINITY.to_bits());
            let wins = propagates(operation);
            Some(match operation {
                Operation::Max | Operation::MaxNumber => {
                    let keys = Keys::<Largest>::new(nan, infinity, wins, wins);
                    find::<i16, S, _>(s, Find::new(keys, kind, layer))
                }
                Operation::Min | Operation::MinNumber => {
                    let keys = Keys::<Smallest>::new(nan, infinity, !wins, wins);
                    find::<i16, S, _>(s, Find::new(keys, kind, layer))
                }
                Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => return None,
            })
        }

        fn $bind<S: Integers16 + Floats<f32> + Widen<$type, f32>>(
            s: S, kind: WalkKind, operation: Operation, layer: &Layer,
        ) -> Option<Box<dyn Kernel>> {
            let mean = || {
                let exact_reciprocal = Divisors::<f32>::are_powers_of_two(layer);
                Mean { element: PhantomData::<$type>, exact_reciprocal }
            };
            let (nan, infinity) = (<$type>::NAN.to_bits(), <$type>::INFINITY.to_bits());
            Some(match operation {
                Operation::Max | Operation::MaxNumber => {
                    let keys = Keys::<Largest>::new(nan, infinity, propagates(operation), propagates(operation));
                    walk::<i16, S, _>(s, keys, layer, kind)
                }
                Operation::Min | Operation::MinNumber => {
                    let keys = Keys::<Smallest>::new(nan, infinity, !propagates(operation), propagates(operation));
                    walk::<i16, S, _>(s, keys, layer, kind)
                }
                Operation::Mean(_) => walk::<f32, S, _>(s, mean(), layer, kind),
                Operation::Lp(p) => lp!(f32, S, s, p, mean(), layer, kind),
                Operation::QuantizedMean { .. } => return None,
            })
        }

        impl Pooled for $type {
            fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>> {
                Bound::new(on_tier!(choice.tier, $bind(choice.walk, operation, layer))?, layer)
            }

            fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind<Self>> {
                BoundFind::new(on_tier!(tier, $find(operation, kind, layer))?, layer)
            }

            fn bind_clamp(tier: Tier, low: Self, high: Self) -> Option<Clamp<Self>> {
                fn bind<S: Integers16>(s: S, low: $type, high: $type) -> Clamp<$type> {
                    let [low, high, nan] = [low, high, <$type>::NAN].map(|x| x.to_bits() as i16);
                    Box::new(move |dst| clamp::halves(s, bytemuck::cast_slice_mut(dst), low, high, nan))
                }
                Some(on_tier!(tier, bind(low, high)))
            }

            fn bounds(low: f64, high: f64) -> Option<(Self, Self)> {
                (low <= high).then_some((<$type>::from_f64_const(low), <$type>::from_f64_const(high)))
            }

            fn identity(operation: Operation) -> Self {
                match operation {
                    Operation::Max | Operation::MaxNumber => <$type>::NEG_INFINITY,
                    Operation::Min | Operation::MinNumber => <$type>::INFINITY,
                    Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => <$type>::ZERO,
                }
            }
        }
    )+ };
}

#[cfg(feature = "half")]
halves! {
    half::f16: bind_f16, find_f16;
    half::bf16: bind_bf16, find_bf16;
}

/// The mean of long integers.
fn longest_mean<T, S>(s: S, kind: WalkKind, rounding: Rounding, layer: &Layer) -> Option<Box<dyn Kernel>>
where
    T: Integer,
    S: Integers64 + Widen<T, i64>,
{
    let extent = Extent::new(layer);
    extent.width::<T>(layer)?;
    Some(walk::<i64, S, _>(s, Long::<T>::new(extent, rounding), layer, kind))
}

/// The mean of shorter ones.
fn long_mean<T, S>(s: S, kind: WalkKind, rounding: Rounding, layer: &Layer) -> Option<Box<dyn Kernel>>
where
    T: Integer,
    S: Integers32 + Widen<T, i32>,
    Scalar: Widen<T, i64>,
{
    let extent = Extent::new(layer);
    match extent.width::<T>(layer)? {
        Width::Short | Width::Long => Some(walk::<i32, S, _>(s, Long::<T>::new(extent, rounding), layer, kind)),
        // Windows of more than 65 536 taps: too rare for a kernel on every tier.
        Width::Longest => longest_mean::<T, Scalar>(Scalar::detect()?, kind, rounding, layer),
    }
}

/// The mean of bytes.
fn short_mean<T, S>(s: S, kind: WalkKind, rounding: Rounding, layer: &Layer) -> Option<Box<dyn Kernel>>
where
    T: Integer,
    S: Integers16 + Widen<T, i16> + Integers32 + Widen<T, i32>,
    Scalar: Widen<T, i64>,
{
    let extent = Extent::new(layer);
    match extent.width::<T>(layer)? {
        Width::Short => Some(walk::<i16, S, _>(s, Short::<T>::new(extent, rounding), layer, kind)),
        _ => long_mean::<T, S>(s, kind, rounding, layer),
    }
}

/// The mean of quantised bytes; of other integers there is none.
fn quantized_mean<T, S>(s: S, kind: WalkKind, operation: Operation, layer: &Layer) -> Option<Box<dyn Kernel>>
where
    T: Integer + TryFrom<i32>,
    S: Integers32 + Widen<T, i32>,
{
    let Operation::QuantizedMean { zero_in, zero_out, ratio } = operation else { return None };
    Extent::new(layer).fits_quantized::<T>().then(|| {
        let mean = QuantizedMean::<T>::new(zero_in, zero_out, ratio);
        walk::<i32, S, _>(s, mean, layer, kind)
    })
}

/// Integers: an extreme is the largest of lanes `$lane` after flipping bits, those of `$max` or `$min`. The maximum of bytes,
/// which quantised networks are full of, has code of its own.
macro_rules! integers {
    ($($type:ty: $bind:ident, $find:ident, max by $max:expr, min by $min:expr, $lane:ty, mean by $mean:ident in $($sum:ty)|+
        $(, quantized by $quantized:ident)?);+ $(;)?) => { $(
        fn $find<S: Lanes<$lane>>(s: S, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<Box<dyn Finder>> {
            Some(match operation {
                Operation::Max | Operation::MaxNumber => find::<$lane, S, _>(s, Find::new($max, kind, layer)),
                Operation::Min | Operation::MinNumber => find::<$lane, S, _>(s, Find::new($min, kind, layer)),
                Operation::Mean(_) | Operation::Lp(_) | Operation::QuantizedMean { .. } => return None,
            })
        }

        fn $bind<S>(s: S, kind: WalkKind, operation: Operation, layer: &Layer) -> Option<Box<dyn Kernel>>
        where
            S: Lanes<i8> + Lanes<u8> + Integers16 + Integers32 + Integers64,
            $( S: Widen<$type, $sum> ),+,
        {
            match operation {
                Operation::Max | Operation::MaxNumber => Some(walk::<$lane, S, _>(s, $max, layer, kind)),
                Operation::Min | Operation::MinNumber => Some(walk::<$lane, S, _>(s, $min, layer, kind)),
                Operation::Mean(rounding) => $mean::<$type, S>(s, kind, rounding, layer),
                Operation::Lp(_) => None,
                Operation::QuantizedMean { .. } => None$( .or_else(|| $quantized::<$type, S>(s, kind, operation, layer)) )?,
            }
        }

        impl Pooled for $type {
            fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>> {
                Bound::new(on_tier!(choice.tier, $bind(choice.walk, operation, layer))?, layer)
            }

            fn bind_find(tier: Tier, operation: Operation, kind: IndexKind, layer: &Layer) -> Option<BoundFind<Self>> {
                BoundFind::new(on_tier!(tier, $find(operation, kind, layer))?, layer)
            }

            fn bind_clamp(tier: Tier, low: Self, high: Self) -> Option<Clamp<Self>> {
                fn bind<S: Lanes<$lane>>(s: S, low: $type, high: $type) -> Clamp<$type> {
                    let (low, high, flip) = (low as $lane, high as $lane, (<$type>::MIN as $lane) ^ <$lane>::MIN);
                    Box::new(move |dst| clamp::integers::<$lane, S>(s, bytemuck::cast_slice_mut(dst), low, high, flip))
                }
                Some(on_tier!(tier, bind(low, high)))
            }

            fn bounds(low: f64, high: f64) -> Option<(Self, Self)> {
                // `as` cuts towards zero and saturates.
                let (least, most) = (low as $type, high as $type);
                let least = if f64::from(least) < low { least.saturating_add(1) } else { least };
                let most = if f64::from(most) > high { most.saturating_sub(1) } else { most };
                (f64::from(least) >= low && f64::from(most) <= high && least <= most).then_some((least, most))
            }

            fn sums_fit(layer: &Layer, operation: Operation) -> bool {
                let extent = Extent::new(layer);
                match operation {
                    Operation::QuantizedMean { .. } => extent.fits_quantized::<$type>(),
                    _ => extent.width::<$type>(layer).is_some(),
                }
            }

            fn identity(operation: Operation) -> Self {
                match operation {
                    Operation::Max | Operation::MaxNumber => <$type>::MIN,
                    Operation::Min | Operation::MinNumber => <$type>::MAX,
                    Operation::Mean(_) | Operation::Lp(_) => 0,
                    // The real 0.
                    Operation::QuantizedMean { zero_out, .. } => zero_out.try_into().unwrap_or(0),
                }
            }
        }
    )+ };
}

integers! {
    i8: bind_i8, find_i8, max by Whole(PhantomData::<Largest>), min by Flipped(-1), i8, mean by short_mean in i16 | i32 | i64, quantized by quantized_mean;
    u8: bind_u8, find_u8, max by Whole(PhantomData::<Largest>), min by Flipped(0xff), u8, mean by short_mean in i16 | i32 | i64, quantized by quantized_mean;
    i16: bind_i16, find_i16, max by Flipped(0), min by Flipped(-1), i16, mean by long_mean in i32 | i64;
    u16: bind_u16, find_u16, max by Flipped(i16::MIN), min by Flipped(i16::MAX), i16, mean by long_mean in i32 | i64;
    i32: bind_i32, find_i32, max by Flipped(0), min by Flipped(-1), i32, mean by longest_mean in i64;
}
