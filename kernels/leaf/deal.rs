//! Rows of elements laid out anew, those of even places and those of odd ones apart: one leaf a tier, for all elements.

use super::fold::rolled;
use crate::kernels::simd::{Lane, Lanes, Simd, Tables};

/// What a tier can do that deals.
pub(crate) trait Deals: Simd + Tables<u8> + Tables<i16> + Tables<i32> + Tables<i64> {}

impl<S: Simd + Tables<u8> + Tables<i16> + Tables<i32> + Tables<i64>> Deals for S {}

/// Rows that are copied, or dealt to two rows each.
///
/// # Safety
/// Each row is readable, `n` elements of `bytes` each. Where `apart` is 0, as many are writable at its place of `to`; elsewhere
/// half of them, and the odd one at the first place, and half of them `apart` bytes on.
#[derive(Clone, Copy)]
pub(crate) struct Deal {
    pub(crate) from: *const u8,
    pub(crate) from_step: usize,
    pub(crate) to: *mut u8,
    pub(crate) to_step: usize,
    pub(crate) rows: usize,
    pub(crate) n: usize,
    pub(crate) bytes: usize,
    pub(crate) apart: usize,
}

/// What deals on a tier.
#[derive(Clone, Copy)]
pub(crate) struct Dealer(unsafe fn(&Deal));

impl Dealer {
    pub(crate) const fn of<S: Deals>() -> Self {
        // One lane finds its taps where they are: see `pick.rs`.
        if const { <S as Lanes<u8>>::N == 1 } { Self(|_| ()) } else { Self(enter::<S>) }
    }

    /// # Safety
    /// The tier was detected, and the rows are as their type says.
    #[inline(always)]
    pub(crate) unsafe fn run(self, deal: &Deal) {
        // SAFETY: the same contract.
        unsafe { (self.0)(deal) }
    }
}

/// # Safety
/// As for [`Dealer::run`].
unsafe fn enter<S: Deals>(a: &Deal) {
    // SAFETY: by this function's contract.
    unsafe {
        let s = S::assume();
        s.vectorize(
            #[inline(always)]
            || match (a.apart, a.bytes) {
                (0, bytes) => copy(s, a, a.n * bytes),
                (_, 1) => apart::<u8, S>(s, a),
                (_, 2) => apart::<i16, S>(s, a),
                (_, 4) => apart::<i32, S>(s, a),
                _ => apart::<i64, S>(s, a),
            },
        );
    }
}

/// Copies so many bytes of each row, and asks for as many rows more: those that will be dealt next, likely, while these are
/// worked on.
#[inline(always)]
unsafe fn copy<S: Deals>(s: S, a: &Deal, len: usize) {
    let ahead = a.rows.wrapping_mul(a.from_step);
    let lanes = <S as Lanes<u8>>::N;
    for row in 0..a.rows {
        let from = a.from.wrapping_add(row.wrapping_mul(a.from_step));
        let to = a.to.wrapping_add(row.wrapping_mul(a.to_step));
        // SAFETY: bytes of the row, by the type's contract.
        unsafe {
            if len < lanes {
                if const { <S as Tables<u8>>::MASK_BITS } {
                    Lanes::<u8>::store_first(s, to, len, Lanes::<u8>::load_first(s, from, len, 0));
                } else {
                    core::ptr::copy_nonoverlapping(from, to, len);
                }
                continue;
            }
            let mut next = 0;
            while next < len {
                let at = next.min(len - lanes);
                s.prefetch(from.wrapping_add(at).wrapping_add(ahead));
                Lanes::<u8>::store(s, to.add(at), Lanes::<u8>::load(s, from.add(at)));
                next += lanes;
            }
        }
    }
}

/// Deals the elements of each row, and asks for more likewise.
#[inline(always)]
unsafe fn apart<A: Lane, S: Tables<A>>(s: S, a: &Deal) {
    let ahead = a.rows.wrapping_mul(a.from_step);
    for row in 0..a.rows {
        let from: *const A = a.from.wrapping_add(row.wrapping_mul(a.from_step)).cast();
        let even = a.to.wrapping_add(row.wrapping_mul(a.to_step));
        let (even, odd): (*mut A, *mut A) = (even.cast(), even.wrapping_add(a.apart).cast());
        let mut at = 0;
        // SAFETY: elements of the row, by the type's contract.
        unsafe {
            while at + 2 * S::N <= a.n {
                s.prefetch(from.add(at).wrapping_byte_add(ahead));
                s.prefetch(from.add(at + S::N).wrapping_byte_add(ahead));
                let (evens, odds) = s.unzip(s.load(from.add(at)), s.load(from.add(at + S::N)));
                s.store(even.add(at / 2), evens);
                s.store(odd.add(at / 2), odds);
                at += 2 * S::N;
            }
            let left = a.n - at;
            if const { S::MASK_BITS } && left > 0 {
                let high = left.saturating_sub(S::N);
                let low = s.load_first(from.add(at), left - high, A::zeroed());
                let high = s.load_first(from.add(at + left - high), high, A::zeroed());
                let (evens, odds) = s.unzip(low, high);
                s.store_first(even.add(at / 2), left.div_ceil(2), evens);
                s.store_first(odd.add(at / 2), left / 2, odds);
                continue;
            }
            while at < a.n {
                let to = if at % 2 == 0 { even } else { odd };
                *to.add(at / 2) = *from.add(at);
                at += 1;
                rolled();
            }
        }
    }
}
