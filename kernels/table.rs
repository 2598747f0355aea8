//! Where the axes meet: tier × element × operation × walk. The only file that names more than one of them.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Range;

use super::reduce::extreme::{Ends, Largest, Number, Propagate, Smallest, Watched};
use super::reduce::mean::Mean;
use super::simd::{Lane, Lanes, MOST_LANES, Reduce, Simd};
use super::token::{Portable, Scalar};
use super::walk::bands::{Bands, Tiling};
use super::walk::divisors::Divisors;
use super::walk::global::Global;
use super::walk::pixels::Pixels;
use super::walk::rows::{Rows, Shape};
use super::walk::{Io, Layer, Walk};
use crate::Tier;
use crate::geometry::Geometry;

#[cfg(lanepool_neon)]
use super::token::Neon;
#[cfg(lanepool_x86)]
use super::token::{Avx2, Avx512};

/// What is done with the taps of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Max,
    Min,
    /// Max and min that ignore NaN.
    MaxNumber,
    MinNumber,
    /// Also the sum, which divides by 1.
    Mean,
}

/// Which walk visits the windows. Plain data: a test can ask what a shape gets without running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkKind {
    Rows,
    Bands,
    Pixels,
    Global,
}

impl WalkKind {
    /// The name of the walk's file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bands => "bands",
            Self::Pixels => "pixels",
            Self::Global => "global",
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
        let walk = if geometry.is_global() && geometry.inner == 1 {
            WalkKind::Global
        } else if Tiling::new(geometry, size_of::<f64>(), MOST_LANES).is_none() || prefers_pixels(geometry) {
            WalkKind::Pixels
        } else if Shape::of(geometry).is_some() {
            WalkKind::Rows
        } else {
            WalkKind::Bands
        };
        Self { tier, walk }
    }
}

/// Whether whole vectors of inner elements, visited pixel by pixel, beat two passes through scratch.
fn prefers_pixels(geometry: &Geometry) -> bool {
    let [depth, height, width] = &geometry.axes;
    // Two passes fold each column once; pixels fold it once for each window that shares it.
    let taps = depth.kernel.saturating_mul(height.kernel);
    let again = width.kernel.div_ceil(width.stride);
    geometry.inner >= 8 && taps.saturating_mul(again) <= 9
}

/// A layer bound to a tier: chosen once, run many times.
pub trait Kernel<T>: Send + Sync {
    /// The output in pieces that can be computed apart: each a contiguous run of `unit_len` elements.
    fn units(&self) -> usize;
    fn unit_len(&self) -> usize;

    /// # Safety
    /// As for [`Walk::visit`].
    unsafe fn run(&self, io: Io<T>, units: Range<usize>);
}

/// A kernel and the safe way to run it over slices: the one door from `src/` into the fence.
pub struct Bound<T> {
    kernel: Box<dyn Kernel<T>>,
    /// Elements of the input of the layer that the kernel was made for.
    input_len: usize,
}

impl<T> Bound<T> {
    pub(crate) fn units(&self) -> usize {
        self.kernel.units()
    }

    pub(crate) fn unit_len(&self) -> usize {
        self.kernel.unit_len()
    }

    /// Computes `units`, whose output is `dst`, from the whole input. `None` where a length is wrong.
    pub(crate) fn run(&self, src: &[T], dst: &mut [T], units: Range<usize>) -> Option<()> {
        let is_whole = src.len() == self.input_len && units.end <= self.units();
        if !is_whole || Some(dst.len()) != units.len().checked_mul(self.unit_len()) {
            return None;
        }
        let (src, dst) = (src.as_ptr_range(), dst.as_mut_ptr_range());
        let io = Io { src: src.start, src_end: src.end, dst: dst.start, dst_end: dst.end };
        // SAFETY: `src` is the whole input of the kernel's own layer and `dst`, which is borrowed mutably, exactly the output
        // of units that it has: both were just compared.
        unsafe { self.kernel.run(io, units) };
        Some(())
    }
}

struct OnTier<S, W> {
    token: S,
    walk: W,
}

impl<S: Simd, W: Walk<S>> Kernel<W::T> for OnTier<S, W> {
    fn units(&self) -> usize {
        self.walk.units()
    }

    fn unit_len(&self) -> usize {
        self.walk.unit_len()
    }

    unsafe fn run(&self, io: Io<W::T>, units: Range<usize>) {
        #[cfg(feature = "count-runs")]
        super::runs::note::<S, W, W::T>();
        let Self { token, walk } = self;
        token.vectorize(
            #[inline(always)]
            // SAFETY: the same contract.
            || unsafe { walk.visit(*token, io, units) },
        );
    }
}

/// Puts an operation on a walk.
fn walk<A, S, R>(token: S, op: R, layer: &Layer, kind: WalkKind) -> Box<dyn Kernel<R::T>>
where
    A: Lane,
    S: Lanes<A>,
    R: Reduce<A, S>,
{
    let tiling = Tiling::new(&layer.geometry, size_of::<A>(), S::N);
    match (kind, Shape::of(&layer.geometry), tiling) {
        (WalkKind::Global, ..) => Box::new(OnTier { token, walk: Global::new::<S>(op, layer) }),
        (WalkKind::Rows, Some(shape), Some(tiling)) => {
            Box::new(OnTier { token, walk: Rows::new::<S>(op, layer, shape, tiling) })
        }
        (WalkKind::Rows | WalkKind::Bands, _, Some(tiling)) => {
            Box::new(OnTier { token, walk: Bands::new::<S>(op, layer, tiling) })
        }
        _ => Box::new(OnTier { token, walk: Pixels::new::<S>(op, layer) }),
    }
}

/// Elements that have kernels. Sealed: implemented below.
pub trait Pooled: Sized {
    #[doc(hidden)]
    fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>>;

    /// What a window without a valid tap gives.
    #[doc(hidden)]
    fn identity(operation: Operation) -> Self;
}

/// Enters the tier of `choice` with its token. `None` where the CPU does not have it, which `Plan` has asked before.
macro_rules! on_tier {
    ($choice:expr, $bind:ident($($argument:expr),*)) => {
        match $choice.tier {
            Tier::Scalar => $bind(Scalar::detect()?, $($argument),*),
            Tier::Portable => $bind(Portable::detect()?, $($argument),*),
            #[cfg(lanepool_x86)]
            Tier::Avx2 => $bind(Avx2::detect()?, $($argument),*),
            #[cfg(lanepool_x86)]
            Tier::Avx512 => $bind(Avx512::detect()?, $($argument),*),
            #[cfg(lanepool_neon)]
            Tier::Neon => $bind(Neon::detect()?, $($argument),*),
            #[cfg(not(all(lanepool_x86, lanepool_neon)))]
            _ => return None,
        }
    };
}

macro_rules! floats {
    ($($type:ty: $bind:ident),+ $(,)?) => { $(
        fn $bind<S: super::simd::Floats<$type>>(s: S, walk_kind: WalkKind, operation: Operation, layer: &Layer) -> Box<dyn Kernel<$type>> {
            type Element = $type;
            macro_rules! watched {
                ($direction:ty, $careful:ident) => {
                    Watched { direction: PhantomData::<$direction>, careful: $careful(PhantomData::<$direction>) }
                };
            }
            match operation {
                Operation::Max => walk::<Element, S, _>(s, watched!(Largest, Propagate), layer, walk_kind),
                Operation::Min => walk::<Element, S, _>(s, watched!(Smallest, Propagate), layer, walk_kind),
                Operation::MaxNumber => walk::<Element, S, _>(s, watched!(Largest, Number), layer, walk_kind),
                Operation::MinNumber => walk::<Element, S, _>(s, watched!(Smallest, Number), layer, walk_kind),
                Operation::Mean => {
                    let exact_reciprocal = Divisors::<Element>::are_powers_of_two(layer);
                    walk::<Element, S, _>(s, Mean { element: PhantomData, exact_reciprocal }, layer, walk_kind)
                }
            }
        }

        impl Pooled for $type {
            fn bind(choice: Choice, operation: Operation, layer: &Layer) -> Option<Bound<Self>> {
                let kernel = on_tier!(choice, $bind(choice.walk, operation, layer));
                Some(Bound { kernel, input_len: layer.geometry.input_len() })
            }

            fn identity(operation: Operation) -> Self {
                match operation {
                    Operation::Max | Operation::MaxNumber => <$type as Ends>::LOWEST,
                    Operation::Min | Operation::MinNumber => <$type as Ends>::HIGHEST,
                    Operation::Mean => bytemuck::Zeroable::zeroed(),
                }
            }
        }
    )+ };
}

floats! {
    f32: bind_f32,
    f64: bind_f64,
}
