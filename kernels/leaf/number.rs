//! Rows of labels (`pick.rs`) made rows of indices: one leaf a tier, for all elements.
//!
//! ```text
//! index = base + origins[i] + x·weights[2] + y·weights[1] + z·weights[0]        label: z y x, in bits
//! ```

use crate::kernels::seek::Indices;
use crate::kernels::seek::labels::Fields;
use crate::kernels::simd::{Adds, Integers, Integers32, Integers64, Lanes, MOST_LANES, Simd, Widen};

/// What a tier can do that makes indices.
pub(crate) trait Numbers:
    Simd + Integers<i32> + Integers32 + Integers64 + Widen<u8, i32> + Widen<u16, i32> + Widen<i32, i64>
{
}

impl<S: Simd + Integers<i32> + Integers32 + Integers64 + Widen<u8, i32> + Widen<u16, i32> + Widen<i32, i64>> Numbers
    for S
{
}

/// Rows of labels, and where their indices go.
///
/// # Safety
/// Labels and origins can be read, and `to` written, for each of the `n` indices of each row; where `n` is less than a
/// register has lanes, labels and origins for that many, and `to` as many as `room` says from its first on.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) fields: Fields,
    pub(crate) labels: *const u8,
    /// Bytes of a label, and from one row to the next.
    pub(crate) bytes: usize,
    pub(crate) labels_step: usize,
    pub(crate) rows: usize,
    /// Indices of a row.
    pub(crate) n: usize,
    /// What is added to each index of a row; and how far the next row's are.
    pub(crate) origins: *const i32,
    pub(crate) origins_step: usize,
    /// What is added to all indices of a row, and how much more to those of the next.
    pub(crate) base: i64,
    pub(crate) base_step: i64,
    pub(crate) to: Indices,
    pub(crate) to_step: usize,
    /// Up to here registers may be stored over a row's end, where a later row follows.
    pub(crate) room: usize,
}

/// What makes indices on a tier.
#[derive(Clone, Copy)]
pub(crate) struct Number(unsafe fn(&Rows));

impl Number {
    pub(crate) const fn of<S: Numbers>() -> Self {
        // One lane has no labels: see `pick.rs`.
        if const { <S as Lanes<i32>>::N == 1 } { Self(|_| ()) } else { Self(enter::<S>) }
    }

    /// Writes the indices.
    ///
    /// # Safety
    /// The tier was detected, and the rows are as their type says.
    #[inline(always)]
    pub(crate) unsafe fn write(self, rows: &Rows) {
        // SAFETY: the same contract.
        unsafe { (self.0)(rows) }
    }
}

/// # Safety
/// As for [`Number::write`].
unsafe fn enter<S: Numbers>(a: &Rows) {
    // SAFETY: by this function's contract.
    unsafe {
        let s = S::assume();
        s.vectorize(
            #[inline(always)]
            || run(s, a),
        );
    }
}

#[inline(always)]
unsafe fn run<S: Numbers>(s: S, a: &Rows) {
    let lanes = <S as Lanes<i32>>::N;
    let [height, depth] = a.fields.shifts;
    let (x_bits, y_bits) = (splat(s, (1 << height) - 1), splat(s, (1 << (depth - height)) - 1));
    let [z, y, x] = a.fields.weights;
    let (z_weight, y_weight, x_weight) = (splat(s, z), splat(s, y), splat(s, x));
    let mut base = a.base;
    for row in 0..a.rows {
        let labels = a.labels.wrapping_add(row.wrapping_mul(a.labels_step));
        let origins = a.origins.wrapping_add(row.wrapping_mul(a.origins_step));
        let start = row.wrapping_mul(a.to_step);
        let mut next = 0;
        while next < a.n {
            let at = next.min(a.n.saturating_sub(lanes));
            // SAFETY: by the type's contract.
            unsafe {
                let label = read(s, labels.wrapping_add(at * a.bytes), a.bytes);
                let mut offset = s.product(s.and(label, x_bits), x_weight);
                offset = add(s, offset, s.product(s.and(s.shifted(label, height), y_bits), y_weight));
                if z != 0 {
                    offset = add(s, offset, s.product(s.shifted(label, depth), z_weight));
                }
                offset = add(s, offset, <S as Lanes<i32>>::load(s, origins.wrapping_add(at)));
                let is_whole = a.n >= lanes || start + lanes <= a.room;
                match a.to {
                    Indices::Short(to) => {
                        let v = add(s, offset, splat(s, base as i32));
                        let to = to.wrapping_add(start + at);
                        if is_whole {
                            Lanes::<i32>::store(s, to, v);
                        } else {
                            Lanes::<i32>::store_first(s, to, a.n, v);
                        }
                    }
                    Indices::Long(to) => {
                        let mut short = [0_i32; MOST_LANES];
                        let mut long = [0_i64; MOST_LANES];
                        Lanes::<i32>::store(s, short.as_mut_ptr(), offset);
                        let to = to.wrapping_add(start + at);
                        let target = if is_whole { to } else { long.as_mut_ptr() };
                        let mut i = 0;
                        while i < lanes {
                            let wide = Widen::<i32, i64>::load_wide(s, short.as_ptr().add(i));
                            let v = Adds::<i64>::add(s, wide, <S as Lanes<i64>>::splat(s, base));
                            Lanes::<i64>::store(s, target.add(i), v);
                            i += <S as Lanes<i64>>::N;
                        }
                        if !is_whole {
                            core::ptr::copy_nonoverlapping(long.as_ptr(), to, a.n);
                        }
                    }
                }
            }
            next += lanes;
        }
        base += a.base_step;
    }
}

#[inline(always)]
fn splat<S: Numbers>(s: S, x: i32) -> <S as Lanes<i32>>::V {
    Lanes::<i32>::splat(s, x)
}

#[inline(always)]
fn add<S: Numbers>(s: S, a: <S as Lanes<i32>>::V, b: <S as Lanes<i32>>::V) -> <S as Lanes<i32>>::V {
    Adds::<i32>::add(s, a, b)
}

/// A register of labels of so many bytes.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn read<S: Numbers>(s: S, from: *const u8, bytes: usize) -> <S as Lanes<i32>>::V {
    // SAFETY: by this function's contract.
    unsafe {
        match bytes {
            1 => Widen::<u8, i32>::load_wide(s, from),
            2 => Widen::<u16, i32>::load_wide(s, from.cast()),
            4 => Lanes::<i32>::load(s, from.cast()),
            _ => {
                let from = from.cast::<i32>();
                let (low, high) = (Lanes::<i32>::load(s, from), Lanes::<i32>::load(s, from.add(<S as Lanes<i32>>::N)));
                let (even, odd) = Lanes::<i32>::unzip(s, low, high);
                if cfg!(target_endian = "little") { even } else { odd }
            }
        }
    }
}
