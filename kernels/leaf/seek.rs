//! The best of a window's taps in each lane, and the number of its tap.
//!
//! The tap's number lives in lanes as wide as the element, so that the mask that picks the element picks the
//! number too, with no conversion between lanes of different widths: bytes count to 255. A longer window is
//! visited in *chunks* of so many taps; after each, lanes that found something better (whose number is not
//! 0) have it written out as a whole number.
//!
//! Taps are visited in row-major order, so that the first of equals is kept, and the last NaN.

use super::{Leaf, Nest};
use crate::kernels::simd::{Lane, LaneOp, MOST_LANES, Tables};

/// An extreme that can say which of two is better. What it compares are elements that were made [level](Seek::level).
pub(crate) trait Seek<A: Lane, S: Tables<A>>: LaneOp<A, S, T = A> {
    /// Loaded elements, of which equal ones have become the same.
    #[inline(always)]
    fn level(self, _s: S, v: S::V) -> S::V {
        v
    }

    /// [`LaneOp::load`], and [`Seek::level`].
    ///
    /// # Safety
    /// As for [`LaneOp::load`].
    #[inline(always)]
    unsafe fn load_level(self, s: S, p: *const A) -> S::V {
        // SAFETY: the same contract.
        self.level(s, unsafe { self.load(s, p) })
    }

    /// Where a tap that comes later takes the place of the best so far, which is joined with it. Where NaN loses, which of
    /// several is named is [`Seek::lost`]'s to say.
    fn takes(self, s: S, tap: S::V, best: S::V) -> S::M;

    /// The same, and of NaNs that lose the last one is named.
    #[inline(always)]
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M {
        self.takes(s, tap, best)
    }

    /// The label of a window, or where it holds nothing but NaNs that lose, the one of the last valid tap.
    #[inline(always)]
    fn lost(self, _s: S, _best: S::V, label: S::V, _last: S::V) -> S::V {
        label
    }
}

/// What lanes found: the number of the best tap of each.
pub(crate) type Found = [usize; MOST_LANES];

/// Lanes whose windows have the same taps, at least one.
///
/// # Safety
/// From `first` on, every tap of every lane is readable, and what lies before `readable`; `values`, unless it is null,
/// takes an element for each lane. No more lanes than a register has.
#[derive(Clone, Copy)]
pub(crate) struct Search {
    /// The first valid tap of the first lane.
    pub(crate) first: *const u8,
    /// Valid taps on depth, height and width, and the bytes from one to the next.
    pub(crate) counts: [usize; 3],
    pub(crate) steps: [usize; 3],
    /// Bytes from a lane's tap to the next lane's, and elements.
    pub(crate) apart: usize,
    pub(crate) lanes: usize,
    /// The number of the first valid tap in the window, and taps of the whole window on height and width.
    pub(crate) number: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) readable: *const u8,
    pub(crate) values: *mut u8,
    pub(crate) found: *mut Found,
}

/// The nest of [`Search`].
pub(crate) struct Best;

impl Best {
    pub(crate) const fn leaf<A: Lane, S: Tables<A>, O: Seek<A, S>>() -> Leaf<Search> {
        Leaf::of::<A, S, O, Self>()
    }
}

impl<A: Lane, S: Tables<A>, O: Seek<A, S>> Nest<A, S, O> for Best {
    type Args = Search;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Search) -> bool {
        let most = most_counted::<A>();
        let [depth, height, width] = a.counts;
        let last = a.first.wrapping_add(
            (depth - 1)
                .wrapping_mul(a.steps[0])
                .wrapping_add((height - 1).wrapping_mul(a.steps[1]))
                .wrapping_add((width - 1).wrapping_mul(a.steps[2])),
        );
        let n = if const { S::N == 1 } { 1 } else { a.lanes };
        // A stride of 2 is two registers' even elements, where the second may be read whole.
        let pair = 2 * S::N * size_of::<A>();
        let is_even =
            const { S::N > 1 } && a.apart == 2 * size_of::<A>() && n == S::N && last.wrapping_add(pair) <= a.readable;
        // SAFETY: taps of the lanes, and their outputs, by this function's contract.
        unsafe {
            let found = &mut *a.found;
            let mut best = op.level(s, load(s, op, a.first, a, n, is_even));
            let mut number = s.splat(counted(1));
            let mut base = a.number;
            for slab in 0..depth {
                for line in 0..height {
                    let at = slab.wrapping_mul(a.steps[0]).wrapping_add(line.wrapping_mul(a.steps[1]));
                    let mut p = a.first.wrapping_add(at);
                    let from = a.number + (slab * a.kernel[0] + line) * a.kernel[1];
                    for tap in from..from + width {
                        if tap - base >= most {
                            write_out(s, number, base, found);
                            (base, number) = (tap, s.splat(counted(0)));
                        }
                        let v = op.level(s, load(s, op, p, a, n, is_even));
                        let beats = op.beats(s, v, best);
                        best = s.pick(beats, v, best);
                        number = s.pick(beats, s.splat(counted(tap - base + 1)), number);
                        p = p.wrapping_add(a.steps[2]);
                        super::fold::rolled();
                    }
                }
            }
            write_out(s, number, base, found);
            if !a.values.is_null() {
                let divisor = op.divisor(s, |_| s.splat(A::zeroed()));
                let v = op.finish(s, best, divisor);
                if n == S::N { op.store(s, a.values.cast(), v) } else { op.store_first(s, a.values.cast(), n, v) }
            }
        }
        false
    }
}

/// How many taps lanes of `A` count.
const fn most_counted<A>() -> usize {
    match size_of::<A>() {
        1 => u8::MAX as usize,
        2 => u16::MAX as usize,
        _ => u32::MAX as usize >> 1,
    }
}

/// A small number as the bits of a lane.
#[inline(always)]
fn counted<A: Lane>(number: usize) -> A {
    match size_of::<A>() {
        1 => bytemuck::cast(number as u8),
        2 => bytemuck::cast(number as u16),
        4 => bytemuck::cast(number as u32),
        _ => bytemuck::cast(number as u64),
    }
}

/// Notes what the lanes found since `base`.
#[inline(always)]
fn write_out<A: Lane, S: Tables<A>>(s: S, number: S::V, base: usize, found: &mut Found) {
    let mut numbers = [A::zeroed(); MOST_LANES];
    // SAFETY: the array holds a register.
    unsafe { s.store(numbers.as_mut_ptr(), number) };
    note(bytemuck::cast_slice(&numbers[..S::N]), size_of::<A>(), base, found);
}

/// The same of lanes of so many bytes: compiled once.
#[inline(never)]
fn note(numbers: &[u8], bytes: usize, base: usize, found: &mut Found) {
    for (found, number) in found.iter_mut().zip(numbers.chunks_exact(bytes)) {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(number);
        let number = usize::try_from(u64::from_le_bytes(if cfg!(target_endian = "little") {
            word
        } else {
            reversed(word, bytes)
        }));
        if let Ok(number @ 1..) = number {
            *found = base + number - 1;
        }
    }
}

/// The first bytes of a word in the other order.
fn reversed(mut word: [u8; 8], bytes: usize) -> [u8; 8] {
    word[..bytes].reverse();
    word
}

/// The elements of `n` lanes.
///
/// # Safety
/// They are readable from `p` on, as far apart as the search says; `2·N` side by side where `is_even`.
#[inline(always)]
unsafe fn load<A: Lane, S: Tables<A>, O: Seek<A, S>>(
    s: S,
    op: O,
    p: *const u8,
    a: &Search,
    n: usize,
    is_even: bool,
) -> S::V {
    let p: *const A = p.cast();
    // SAFETY: by this function's contract; the array holds a register.
    unsafe {
        if S::N == 1 || n == S::N && a.apart == size_of::<A>() {
            return op.load(s, p);
        }
        if is_even {
            return s.even(op.load(s, p), op.load(s, p.add(S::N)));
        }
        let mut apart = [A::zeroed(); MOST_LANES];
        for lane in 0..n {
            apart[lane] = *p.wrapping_byte_add(lane.wrapping_mul(a.apart));
        }
        op.load(s, apart.as_ptr())
    }
}
