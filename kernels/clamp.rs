//! A clamp of outputs that were just written, hot in cache: the activation that often follows a pooling layer.
//!
//! NaN stays NaN, and a zero becomes +0 in every type.

#[cfg(feature = "half")]
use super::simd::Integers16;
use super::simd::{Floats, Lane, Lanes};

/// Changes `len` elements, a vector at a time.
///
/// # Safety
/// `p .. p + len` is readable and writable.
#[inline(always)]
unsafe fn each<A: Lane, S: Lanes<A>>(s: S, p: *mut A, len: usize, change: impl Fn(S::V) -> S::V) {
    let mut i = 0;
    // SAFETY: no more than `len` elements.
    unsafe {
        while i + S::N <= len {
            s.store(p.add(i), change(s.load(p.add(i))));
            i += S::N;
        }
        if i < len {
            s.store_first(p.add(i), len - i, change(s.load_first(p.add(i), len - i, A::zeroed())));
        }
    }
}

/// The lanes between the bounds; where a lane compares with nothing, itself.
#[inline(always)]
fn between<A: Lane, S: Lanes<A>>(s: S, v: S::V, low: S::V, high: S::V) -> S::V {
    let v = s.pick(s.greater(low, v), low, v);
    s.pick(s.greater(v, high), high, v)
}

/// Integers that are ordered once the bits of `flip` are flipped, bounds and elements alike.
pub(crate) fn integers<A: Lane, S: Lanes<A>>(s: S, dst: &mut [A], low: A, high: A, flip: A) {
    let (p, len) = (dst.as_mut_ptr(), dst.len());
    s.vectorize(
        #[inline(always)]
        // SAFETY: the slice's elements.
        || unsafe {
            let flipped = |v| s.xor(v, s.splat(flip));
            let (low, high) = (flipped(s.splat(low)), flipped(s.splat(high)));
            each(s, p, len, |v| flipped(between(s, flipped(v), low, high)));
        },
    );
}

pub(crate) fn floats<A: Lane, S: Floats<A>>(s: S, dst: &mut [A], low: A, high: A) {
    let (p, len) = (dst.as_mut_ptr(), dst.len());
    s.vectorize(
        #[inline(always)]
        // SAFETY: the slice's elements.
        || unsafe { each(s, p, len, |v| s.add(between(s, v, s.splat(low), s.splat(high)), s.splat(A::zeroed()))) },
    );
}

/// 16-bit floats as integers of the same order; `nan` are the bits of the only NaN that an output has.
#[cfg(feature = "half")]
pub(crate) fn halves<S: Integers16>(s: S, dst: &mut [i16], low: i16, high: i16, nan: i16) {
    use super::lane::keys::turn;
    let (p, len) = (dst.as_mut_ptr(), dst.len());
    s.vectorize(
        #[inline(always)]
        // SAFETY: the slice's elements.
        || unsafe {
            each(s, p, len, |bits| {
                let bound = |bits| turn(s, s.splat(bits), i16::MAX);
                let clamped = turn(s, between(s, turn(s, bits, i16::MAX), bound(low), bound(high)), i16::MAX);
                let clamped = s.pick(s.equal(clamped, s.splat(i16::MIN)), s.splat(0), clamped);
                s.pick(s.equal(bits, s.splat(nan)), bits, clamped)
            });
        },
    );
}
