//! The published digests: fixed layers over fixed tensors, and one number for all of their output bytes.
//!
//! Nothing here depends on the machine: tensors come from an integer generator, and bytes are folded in little-endian order
//! whatever order memory has. So a digest is one number for every tier, architecture and endianness, and is written down here.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::element::put_bits;
use crate::index::{IndexType, IndicesMut};
use crate::indexed::{self, BindFind};
use crate::plan::Facts;
use crate::{
    Any, AnyPlan, AvgPool, DType, Element, ElementVisitor, IndexKind, Layout, LpPool, MaxPool, MinPool, NanPolicy,
    Pool, PoolOperation, Quantization, QuantizedAvgPool, QuantizedMaxPool, Result, Rounding, SumPool, Tier,
};

/// What [`selftest`] found for one element type on one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digest {
    /// The element's short name, such as `"f32"`.
    pub element: &'static str,
    /// 64 bits of FNV-1a over every output, in little-endian order.
    pub found: u64,
    /// What this version of the crate gives on every tier of every machine.
    pub published: u64,
}

impl Digest {
    /// Whether the tier gave the published bits.
    pub const fn is_published(&self) -> bool {
        self.found == self.published
    }
}

/// Runs 30 small layers with every operation that has kernels on `tier` and compares digests of their output with the published ones: whether *this*
/// machine gives the bits that this version of the crate promises. One digest for each element type; takes about a tenth of a
/// second and a few hundred kilobytes.
///
/// The layers cover every operation, layout and driver, over numbers of like size, edges of the type and random bits.
/// A digest that differs means that the CPU, the compiler or the calling thread's floating-point state is not what the crate
/// counts on.
///
/// ```
/// use lanepool::{Tier, selftest};
/// for tier in Tier::available() {
///     assert!(selftest(tier)?.iter().all(|digest| digest.is_published()), "{tier} gives other bits");
/// }
/// # Ok::<(), lanepool::Error>(())
/// ```
///
/// # Errors
/// [`Error::TierUnavailable`](crate::Error::TierUnavailable) where this machine cannot run the tier.
pub fn selftest(tier: Tier) -> Result<Vec<Digest>> {
    let tier = tier.check()?;
    let digest = |input: &Input| {
        let found = digest(tier, input)?;
        Ok(Digest { element: input.dtype.name(), found, published: input.published })
    };
    ELEMENTS.iter().map(digest).collect()
}

/// Makes the list of elements. A row: the type; for numbers of like size, the bits that are drawn and the bits that are
/// set; edges of the type; the published digest.
macro_rules! elements {
    ($($(#[$attribute:meta])* $dtype:ident: $drawn:expr, $set:expr, $edges:expr => $published:expr;)+) => {
        static ELEMENTS: &[Input] = &[$(
            $(#[$attribute])*
            Input { dtype: DType::$dtype, drawn: $drawn, set: $set, edges: &$edges, published: $published }
        ),+];
    };
}

elements! {
    // ±0, ±1, ±1.5, both ends of the subnormals and of the normal numbers, ±inf, and a signalling NaN.
    F32: 0x80ff_ffff, 0x3f00_0000, [
        0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x3fc0_0000, 0xbfc0_0000, 0x0000_0001, 0x8000_0001, 0x007f_ffff, 0x807f_ffff,
        0x0080_0000, 0x7f7f_ffff, 0xff7f_ffff, 0x7f80_0000, 0xff80_0000, 0xff80_0001,
    ] => 0x9285_aa5b_036c_b7da;
    F64: 0x801f_ffff_ffff_ffff, 0x3fe0_0000_0000_0000, [
        0, 0x8000_0000_0000_0000, 0x3ff0_0000_0000_0000, 0xbff0_0000_0000_0000, 0x3ff8_0000_0000_0000, 0xbff8_0000_0000_0000,
        0x0000_0000_0000_0001, 0x8000_0000_0000_0001, 0x000f_ffff_ffff_ffff, 0x800f_ffff_ffff_ffff, 0x0010_0000_0000_0000,
        0x7fef_ffff_ffff_ffff, 0xffef_ffff_ffff_ffff, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0xfff0_0000_0000_0001,
    ] => 0xf490_aafa_c4c5_48f6;
    #[cfg(feature = "half")]
    F16: 0x83ff, 0x3800, [
        0, 0x8000, 0x3c00, 0xbc00, 0x3e00, 0xbe00, 0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0xfc01,
    ] => 0x1ab4_ffb4_d411_14e0;
    #[cfg(feature = "half")]
    Bf16: 0x80ff, 0x3f00, [
        0, 0x8000, 0x3f80, 0xbf80, 0x3fc0, 0xbfc0, 0x0001, 0x8001, 0x007f, 0x807f, 0x0080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0xff81,
    ] => 0x6860_4711_f88a_5f7d;
    // Both ends, and numbers whose sums over few taps are ties.
    I8: 0x8f, 0, [0, 1, 2, 3, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff] => 0x0b02_1c4e_c27c_cd38;
    U8: 0x0f, 0, [0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff] => 0x21b2_0109_d269_c508;
    I16: 0x800f, 0, [0, 1, 2, 3, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff] => 0xb2d2_0932_4fa0_3d52;
    U16: 0x000f, 0, [0, 1, 2, 3, 0x7fff, 0x8000, 0xfffe, 0xffff] => 0x2d92_32e5_0b08_b46b;
    I32: 0x8000_000f, 0, [0, 1, 2, 3, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff] => 0x3c74_fea8_7f53_f042;
    U32: 0x0000_000f, 0, [0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff] => 0x76d3_1198_9d3e_6d87;
    I64: 0x8000_0000_0000_000f, 0, [
        0, 1, 2, 3, 0x7fff_ffff_ffff_fffe, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0x8000_0000_0000_0001,
        0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff,
    ] => 0x1e1c_e0a5_4caa_d439;
    U64: 0x0000_0000_0000_000f, 0, [
        0, 1, 2, 3, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff,
    ] => 0x3c22_aa8f_f05e_f7e4;
}

/// What an element's tensors are made of, as bits.
struct Input {
    dtype: DType,
    drawn: u64,
    set: u64,
    edges: &'static [u64],
    published: u64,
}

/// How a tensor is filled.
#[derive(Clone, Copy)]
enum Fill {
    /// Numbers of like size and both signs: every addition rounds, so their order shows.
    Near,
    /// Edges of the type.
    Edges,
    /// Any bits at all.
    Bits,
}

impl Input {
    /// The bits of an element, of which as many low ones count as the element has.
    fn draw(&self, fill: Fill, random: u64) -> u64 {
        match fill {
            Fill::Near => random & self.drawn | self.set,
            Fill::Edges => {
                let index = (random >> 32).checked_rem(self.edges.len() as u64).unwrap_or(0);
                self.edges.get(index as usize).copied().unwrap_or(0)
            }
            Fill::Bits => random,
        }
    }
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Memory for elements of any type, which all find their alignment in it.
#[derive(Default)]
struct Memory(Vec<u64>);

impl Memory {
    /// As many zeros, in the memory that there is already where that is enough.
    fn zeros(&mut self, bytes: usize) -> &mut [u8] {
        self.0.clear();
        self.0.resize(bytes.div_ceil(size_of::<u64>()), 0);
        bytemuck::cast_slice_mut(&mut self.0).get_mut(..bytes).unwrap_or_default()
    }
}

/// FNV-1a with 64 bits.
struct Fnv(u64);

impl Fnv {
    const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }

    /// Folds an element or an index, its least significant byte first.
    fn element(&mut self, bytes: &[u8]) {
        let bytes = bytes.iter().copied();
        if cfg!(target_endian = "big") {
            bytes.rev().for_each(|byte| self.byte(byte))
        } else {
            bytes.for_each(|byte| self.byte(byte))
        }
    }
}

fn digest(tier: Tier, input: &Input) -> Result<u64> {
    let mut digest = Fnv::EMPTY;
    let mut random = Random(0);
    let dtype = input.dtype;
    let size = dtype.bytes();
    let (mut src, mut dst, mut indices) = (Memory::default(), Memory::default(), Vec::new());
    for layer in LAYERS {
        let plans = layer.plans(dtype, tier)?;
        let finders = layer.finders(dtype, tier)?;
        for fill in [Fill::Near, Fill::Edges, Fill::Bits] {
            let src = src.zeros(layer.input_len().saturating_mul(size));
            src.chunks_mut(size).for_each(|element| put_bits(element, input.draw(fill, random.next())));
            for plan in &plans {
                let dst = dst.zeros(plan.output_bytes());
                plan.run(src, dst)?;
                dst.chunks(size).for_each(|value| digest.element(value));
            }
            for finder in &finders {
                indices.clear();
                indices.resize(finder.output_len(), 0_i32);
                finder.run(None, src, None, IndicesMut::new(&mut indices))?;
                indices.iter().for_each(|index| digest.element(bytemuck::bytes_of(index)));
            }
        }
    }
    Ok(digest.0)
}

/// What is known of the element type that is visited, and its finders.
struct Known;

impl ElementVisitor for Known {
    type Output = (&'static Facts, BindFind);

    fn visit<T: Element>(self) -> Self::Output {
        (T::FACTS, T::bind_find)
    }
}

/// A layer of the self-test, for every operation. An empty list is an attribute that is not set.
struct Layer {
    layout: Layout,
    /// `N, C, spatial…`.
    shape: &'static [usize],
    /// Empty: global.
    kernel: &'static [usize],
    stride: &'static [usize],
    dilation: &'static [usize],
    pad: Pad,
    ceil: bool,
}

#[derive(Clone, Copy)]
enum Pad {
    None,
    /// Before and after each axis.
    Unequal(&'static [usize], &'static [usize]),
    /// Longer than the window, so that some windows are empty.
    BeyondTheWindow(&'static [usize]),
    SameUpper,
    SameLower,
}

impl Layer {
    const fn new(layout: Layout, shape: &'static [usize], kernel: &'static [usize]) -> Self {
        Self { layout, shape, kernel, stride: &[], dilation: &[], pad: Pad::None, ceil: false }
    }

    const fn stride(self, stride: &'static [usize]) -> Self {
        Self { stride, ..self }
    }

    const fn dilation(self, dilation: &'static [usize]) -> Self {
        Self { dilation, ..self }
    }

    const fn padding(self, padding: &'static [usize]) -> Self {
        self.pad(Pad::Unequal(padding, padding))
    }

    const fn pad(self, pad: Pad) -> Self {
        Self { pad, ..self }
    }

    const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    fn input_len(&self) -> usize {
        self.shape.iter().copied().fold(1, usize::saturating_mul)
    }

    fn pool(&self, tier: Tier) -> MaxPool<Any> {
        let mut pool = if self.kernel.is_empty() { Pool::global() } else { Pool::new(self.kernel) };
        if !self.stride.is_empty() {
            pool = pool.stride(self.stride);
        }
        if !self.dilation.is_empty() {
            pool = pool.dilation(self.dilation);
        }
        pool = match self.pad {
            Pad::None => pool,
            Pad::Unequal(begin, end) => pool.padding_unequal(begin, end),
            Pad::BeyondTheWindow(padding) => pool.padding(padding).allow_empty_windows(true),
            Pad::SameUpper => pool.same_upper(),
            Pad::SameLower => pool.same_lower(),
        };
        pool.ceil_mode(self.ceil).tier(tier)
    }

    /// The layer with every operation of the element and every option that changes a result.
    fn plans(&self, dtype: DType, tier: Tier) -> Result<Vec<AnyPlan>> {
        let max = self.pool(tier);
        let min: MinPool<Any> = max.with_operation();
        let (signed, other) = (Quantization::new(0.0625, 3), Quantization::new(0.1, 100));
        let mut plans = Vec::new();
        let to = &mut plans;
        self.add(dtype, max, to)?;
        self.add(dtype, max.nan(NanPolicy::Ignore), to)?;
        self.add(dtype, min, to)?;
        self.add(dtype, min.nan(NanPolicy::Ignore), to)?;
        if dtype.has_sums() {
            self.add_sums(dtype, max.with_operation(), to)?;
        }
        match dtype {
            DType::I8 | DType::U8 => {
                let average: QuantizedAvgPool<Any> = max.with_operation();
                let largest: QuantizedMaxPool<Any> = max.with_operation();
                self.add(dtype, average.quantization(signed, other), to)?;
                self.add(dtype, average.quantization(other, signed).count_include_pad(true), to)?;
                self.add(dtype, largest.quantization(signed, other), to)?;
            }
            dtype if dtype.is_integer() => {}
            _ => {
                let norm: LpPool<Any> = max.with_operation();
                for p in [1.0, 2.0, 3.0, f64::INFINITY] {
                    self.add(dtype, norm.p(p), to)?;
                }
                self.add(dtype, norm.rms(), to)?;
            }
        }
        self.add(dtype, max.clamp(1.0, 6.0), to)?;
        Ok(plans)
    }

    /// Averages, and the sum.
    fn add_sums(&self, dtype: DType, avg: AvgPool<Any>, to: &mut Vec<AnyPlan>) -> Result<()> {
        let sum: SumPool<Any> = avg.with_operation();
        self.add(dtype, avg, to)?;
        self.add(dtype, avg.count_include_pad(true), to)?;
        // A divisor with an exact reciprocal, and one without.
        self.add(dtype, avg.divisor(8), to)?;
        self.add(dtype, avg.divisor(7), to)?;
        self.add(dtype, sum, to)?;
        if dtype.is_integer() {
            let avg = avg.rounding(Rounding::HalfAwayFromZero);
            self.add(dtype, avg, to)?;
            self.add(dtype, avg.divisor(6), to)?;
            self.add(dtype, avg.divisor(300), to)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn add<O: PoolOperation>(&self, dtype: DType, pool: Pool<O, Any>, to: &mut Vec<AnyPlan>) -> Result<()> {
        to.push(pool.plan_as(dtype, self.layout, self.shape)?);
        Ok(())
    }

    /// The layer with both extremes and what indices may count.
    fn finders(&self, dtype: DType, tier: Tier) -> Result<Vec<Arc<indexed::Shared>>> {
        let max = self.pool(tier);
        let min: MinPool<Any> = max.with_operation();
        let ignoring = max.nan(NanPolicy::Ignore);
        let finders = [
            (max.parts(dtype)?, IndexKind::Plane),
            (ignoring.parts(dtype)?, IndexKind::Tap),
            (min.parts(dtype)?, IndexKind::TensorColumnMajor),
        ];
        let known = dtype.visit(Known).ok_or(DType::OFF)?;
        let (Self { layout, shape, .. }, index) = (self, IndexType::of::<i32>());
        let find = |(parts, kind)| indexed::Shared::new(known, &parts, kind, *layout, shape, None, index);
        finders.into_iter().map(find).collect()
    }
}

/// Every driver, with the windows that each has loops of its own for; rows that are shorter and longer than the widest
/// vectors, of 64 lanes, and no multiple of them.
static LAYERS: &[Layer] = {
    const PLANAR: Layout = Layout::Nchw;
    const LAST: Layout = Layout::Nhwc;
    &[
        // In registers.
        Layer::new(PLANAR, &[2, 2, 6, 139], &[2, 2]).stride(&[2, 2]),
        Layer::new(PLANAR, &[1, 3, 5, 83], &[3, 3]).padding(&[1, 1]),
        Layer::new(PLANAR, &[1, 3, 7, 149], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        Layer::new(PLANAR, &[3, 5, 9, 7], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]).ceil(),
        Layer::new(PLANAR, &[1, 2, 211], &[3]).padding(&[1]),
        Layer::new(PLANAR, &[1, 2, 211], &[3]).stride(&[2]).pad(Pad::SameUpper),
        Layer::new(PLANAR, &[1, 2, 211], &[2]).stride(&[2]).ceil(),
        // Bands of rows.
        Layer::new(PLANAR, &[1, 2, 9, 71], &[5, 5]).padding(&[2, 2]),
        Layer::new(PLANAR, &[1, 2, 11, 37], &[3, 3]).dilation(&[2, 3]).pad(Pad::Unequal(&[0, 2], &[3, 1])),
        Layer::new(PLANAR, &[1, 1, 8, 90], &[2, 4]).stride(&[3, 5]).pad(Pad::SameLower),
        Layer::new(PLANAR, &[1, 2, 4, 5, 19], &[2, 3, 2]).stride(&[2, 1, 2]).padding(&[1, 1, 0]),
        Layer::new(PLANAR, &[1, 3, 100], &[3]).stride(&[3]).ceil(),
        // Long windows, on either axis and on both.
        Layer::new(PLANAR, &[1, 2, 17, 23], &[9, 9]).padding(&[4, 4]),
        Layer::new(PLANAR, &[1, 1, 30, 9], &[13, 2]).pad(Pad::Unequal(&[6, 0], &[5, 1])),
        Layer::new(PLANAR, &[1, 1, 2, 130], &[1, 37]).padding(&[0, 18]),
        Layer::new(LAST, &[1, 19, 14, 13], &[11, 9]).padding(&[5, 4]),
        // A pixel at a time: whole vectors of channels, and less than one.
        Layer::new(LAST, &[1, 131, 5, 6], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]),
        Layer::new(LAST, &[2, 67, 6, 4], &[2, 2]).stride(&[2, 2]),
        Layer::new(LAST, &[1, 9, 7, 8], &[3, 3]).padding(&[1, 1]),
        Layer::new(LAST, &[1, 3, 6, 20], &[3, 3]).stride(&[2, 2]).pad(Pad::SameUpper),
        Layer::new(LAST, &[1, 33, 4, 3, 5], &[2, 2, 2]).padding(&[1, 0, 1]),
        Layer::new(LAST, &[2, 21, 5, 5], &[]),
        Layer::new(Layout::Blocked(4), &[1, 12, 5, 9], &[3, 3]).padding(&[1, 1]),
        Layer::new(Layout::Blocked(8), &[1, 16, 6, 7], &[3, 3]).stride(&[2, 2]).padding(&[1, 1]).ceil(),
        Layer::new(Layout::Blocked(16), &[1, 32, 5, 6], &[2, 3]).dilation(&[2, 1]).padding(&[1, 1]),
        // Whole planes.
        Layer::new(PLANAR, &[1, 5, 7, 7], &[]),
        Layer::new(PLANAR, &[2, 3, 13, 21], &[]),
        Layer::new(PLANAR, &[1, 4, 3], &[]),
        // Windows without a valid tap.
        Layer::new(PLANAR, &[1, 2, 4, 6], &[2, 1]).pad(Pad::BeyondTheWindow(&[2, 3])),
        Layer::new(LAST, &[1, 18, 3, 3], &[1, 2]).pad(Pad::BeyondTheWindow(&[1, 2])),
    ]
};

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    /// The layers reach every driver that the scalar tier has: else a digest proves less than it says.
    #[test]
    fn layers_reach_every_driver() {
        let mut drivers = BTreeSet::new();
        for layer in LAYERS {
            for plan in layer.plans(DType::F32, Tier::Scalar).expect("valid layers") {
                drivers.insert(plan.kernel());
            }
        }
        assert_eq!(drivers.into_iter().collect::<Vec<_>>(), ["bands", "direct", "global", "staged"]);
    }

    /// FNV-1a's published values, and elements folded from their least significant byte on.
    #[test]
    fn the_hash_is_fnv_1a() {
        let of = |bytes: &[u8]| {
            let mut hash = Fnv::EMPTY;
            bytes.iter().for_each(|byte| hash.byte(*byte));
            hash.0
        };
        assert_eq!(
            (of(b""), of(b"a"), of(b"foobar")),
            (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8)
        );
        let mut hash = Fnv::EMPTY;
        hash.element(&0x0403_0201_u32.to_ne_bytes());
        assert_eq!(hash.0, of(&[1, 2, 3, 4]));
    }

    /// Bits become the same number in either byte order.
    #[test]
    fn elements_are_made_of_low_bits() {
        let (mut single, mut double) = ([0; 4], [0; 8]);
        put_bits(&mut single, 0xdead_beef_3fc0_0000);
        put_bits(&mut double, 1.5_f64.to_bits());
        assert_eq!((f32::from_ne_bytes(single), f64::from_ne_bytes(double)), (1.5, 1.5));
    }
}
