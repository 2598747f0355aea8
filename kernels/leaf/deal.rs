//! Rows of elements laid out anew, those of even places and those of odd ones apart: one leaf a tier, for all elements.

use crate::kernels::simd::{Lane, Lanes, Simd};

/// What a tier can do that deals.
pub(crate) trait Deals: Simd + Lanes<u8> + Lanes<i16> + Lanes<i32> + Lanes<i64> {}

impl<S: Simd + Lanes<u8> + Lanes<i16> + Lanes<i32> + Lanes<i64>> Deals for S {}

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

/// Copies so many bytes of each row.
#[inline(always)]
unsafe fn copy<S: Deals>(s: S, a: &Deal, len: usize) {
    let lanes = <S as Lanes<u8>>::N;
    for row in 0..a.rows {
        let from = a.from.wrapping_add(row.wrapping_mul(a.from_step));
        let to = a.to.wrapping_add(row.wrapping_mul(a.to_step));
        // SAFETY: bytes of the row, by the type's contract.
        unsafe {
            if len < lanes {
                Lanes::<u8>::store_first(s, to, len, Lanes::<u8>::load_first(s, from, len, 0));
                continue;
            }
            let mut next = 0;
            while next < len {
                let at = next.min(len - lanes);
                Lanes::<u8>::store(s, to.add(at), Lanes::<u8>::load(s, from.add(at)));
                next += lanes;
            }
        }
    }
}

/// Deals the elements of each row.
#[inline(always)]
unsafe fn apart<A: Lane, S: Lanes<A>>(s: S, a: &Deal) {
    for row in 0..a.rows {
        let from: *const A = a.from.wrapping_add(row.wrapping_mul(a.from_step)).cast();
        let even = a.to.wrapping_add(row.wrapping_mul(a.to_step));
        let (even, odd): (*mut A, *mut A) = (even.cast(), even.wrapping_add(a.apart).cast());
        let mut at = 0;
        // SAFETY: elements of the row, by the type's contract.
        unsafe {
            while at + 2 * S::N <= a.n {
                let (evens, odds) = s.unzip(s.load(from.add(at)), s.load(from.add(at + S::N)));
                s.store(even.add(at / 2), evens);
                s.store(odd.add(at / 2), odds);
                at += 2 * S::N;
            }
            let left = a.n - at;
            if left > 0 {
                let low = s.load_first(from.add(at), left.min(S::N), A::zeroed());
                let high = left.saturating_sub(S::N);
                let high = s.load_first(from.add(at + left - high), high, A::zeroed());
                let (evens, odds) = s.unzip(low, high);
                s.store_first(even.add(at / 2), left.div_ceil(2), evens);
                s.store_first(odd.add(at / 2), left / 2, odds);
            }
        }
    }
}
