//! The traits: read this first.
//!
//! A kernel is `tier + element + operation + leaf`, each written once, and only `table.rs` puts them together:
//!
//! - a **tier** is a token, [`Simd`], that exists only on a CPU that can run it;
//! - a **lane** type is what one lane of a vector holds while windows are folded, [`Lanes`]; it may differ from the
//!   element in memory: an average of `u8` folds in `u16` lanes, a maximum of `f16` in ordered `i16` keys;
//! - an **operation**, [`LaneOp`], loads elements into lanes, joins two vectors, and finishes a folded window;
//! - a **leaf** (`leaf/`) is an inner loop over registers. Which windows it serves its driver knows (`driver/`), and it
//!   alone.
//!
//! Every lane holds another output, so the order in which a window is folded never depends on the vector's width, and
//! every tier gives the same bits by construction. The one exception is stated in `leaf/lanes16.rs`.
//!
//! Every method of these traits must be inlined into the leaf that calls it, up to the one `#[target_feature]`
//! function that [`Simd::vectorize`] enters: a call that survives costs five times the kernel's time. That is why all
//! are `#[inline(always)]`, and why `scripts/codegen` looks for such calls.

/// A tier's token: the proof that this CPU runs the tier's instructions. Zero-sized, free to copy, and made by
/// `token.rs` alone, after it has checked every feature that the tier's functions enable; or, where
/// a token cannot be handed on, by [`Simd::assume`].
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Whether leaves fold several registers side by side. Not where a vector is many instructions: there it is code
    /// and no speed.
    const BLOCKS: bool = true;

    /// Whether the tier has the leaves of the drivers that are for speed alone.
    const TABLED: bool = true;

    /// Whether it has leaves for the most common windows alone, beside those for any.
    const FUSED: bool = Self::BLOCKS;

    /// A token made anew, for a kernel that is called through a pointer to a function.
    ///
    /// # Safety
    /// The CPU has every feature of the tier, as `detect` found once.
    unsafe fn assume() -> Self;

    /// Runs `f` compiled for the tier's instructions. Entered once a call, around the outermost loop.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Asks for the cache line at an address, whatever lies there: a hint, which reads nothing.
    #[inline(always)]
    fn prefetch<T>(self, _p: *const T) {}
}

/// What one lane of a vector holds.
pub(crate) trait Lane: bytemuck::Pod + Send + Sync + 'static {}

impl Lane for f32 {}
impl Lane for f64 {}
impl Lane for i8 {}
impl Lane for u8 {}
impl Lane for i16 {}
impl Lane for i32 {}
impl Lane for i64 {}

/// The longest vector of any tier, in lanes: the size of a stack buffer that holds one.
pub(crate) const MOST_LANES: usize = 64;

/// Copies the first `n` of a vector's `most` elements: two moves that overlap, of the largest size that fits. Not
/// inlined: it serves the ends of runs alone, and in every leaf it would be most of the code.
///
/// # Safety
/// `n <= most` elements, of 64 bytes together at most, can be read at `from` and written at `to`, and they do not overlap.
#[inline(never)]
unsafe fn copy_part<T>(from: *const T, to: *mut T, n: usize, most: usize) {
    let (from, to, len) = (from.cast::<u8>(), to.cast::<u8>(), n * size_of::<T>());
    // Sizes that are no part of the vector, or of an element, are nothing that is compiled.
    let is_size = |bytes: usize| bytes >= size_of::<T>() && (bytes < most * size_of::<T>() || bytes == size_of::<T>());
    macro_rules! twice {
        ($($bytes:literal),+) => { $(
            if is_size($bytes) && len >= $bytes {
                // SAFETY: the first and the last of `len` bytes.
                unsafe {
                    let first = from.cast::<[u8; $bytes]>().read_unaligned();
                    let last = from.add(len - $bytes).cast::<[u8; $bytes]>().read_unaligned();
                    to.cast::<[u8; $bytes]>().write_unaligned(first);
                    to.add(len - $bytes).cast::<[u8; $bytes]>().write_unaligned(last);
                }
                return;
            }
        )+ };
    }
    twice!(32, 16, 8, 4, 2, 1);
}

/// The lanes that a run of elements is dealt to, on every tier: element `i` to lane `i mod 16`.
pub(crate) const VIRTUAL: usize = 16;

/// How many vectors of so many lanes hold the virtual ones.
pub(crate) const fn dealt(lanes: usize) -> usize {
    if lanes < VIRTUAL { VIRTUAL / lanes } else { 1 }
}

/// An array of as many vectors as hold the virtual lanes. As a type of the tier's, not a number that a leaf is compiled
/// for: so that nothing is compiled for the numbers of other tiers.
pub(crate) trait Dealt<V>: Copy {
    const LEN: usize;
    fn splat(v: V) -> Self;
    fn vectors(&mut self) -> &mut [V];
}

impl<V: Copy, const LEN: usize> Dealt<V> for [V; LEN] {
    const LEN: usize = LEN;

    #[inline(always)]
    fn splat(v: V) -> Self {
        [v; LEN]
    }

    #[inline(always)]
    fn vectors(&mut self) -> &mut [V] {
        self
    }
}

/// What a vector of `A` can do: move, compare, join.
///
/// A mask `M` says yes or no for each lane. The bodies given here are right on every tier; a tier overrides one where
/// an instruction does better.
pub(crate) trait Lanes<A: Lane>: Simd {
    type V: Copy;
    type M: Copy + Send + Sync + 'static;
    /// Lanes of a vector.
    const N: usize;
    /// The vectors that the elements of a run are dealt to: see `leaf/lanes16.rs`.
    type Dealt: Dealt<Self::V>;

    fn splat(self, x: A) -> Self::V;

    /// # Safety
    /// `p .. p + N` is readable. No alignment is needed, here or below.
    unsafe fn load(self, p: *const A) -> Self::V;

    /// # Safety
    /// `p .. p + N` is writable.
    unsafe fn store(self, p: *mut A, v: Self::V);

    /// The mask of the first `n` lanes.
    fn first(self, n: usize) -> Self::M;

    /// `yes` where the mask says so, `no` elsewhere.
    fn pick(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V;

    /// The first `n` elements, `fill` in the other lanes.
    ///
    /// # Safety
    /// `p .. p + n` is readable and `n <= N`.
    #[inline(always)]
    unsafe fn load_first(self, p: *const A, n: usize, fill: A) -> Self::V {
        debug_assert!(n <= Self::N);
        let mut whole = [fill; MOST_LANES];
        // SAFETY: n <= N <= MOST_LANES elements are readable by this function's contract, and `whole` holds a vector.
        unsafe {
            copy_part(p, whole.as_mut_ptr(), n, Self::N);
            self.load(whole.as_ptr())
        }
    }

    /// As [`Lanes::load_first`], where `readable` elements can be read, though only `n` are wanted: a whole load if it may be.
    ///
    /// # Safety
    /// `p .. p + readable` is readable, and `n` is at most `N` and `readable`.
    #[cfg_attr(not(any(lanepool_x86, lanepool_neon)), allow(dead_code, reason = "for tiers of intrinsics"))]
    #[inline(always)]
    unsafe fn load_part(self, p: *const A, n: usize, readable: usize, fill: A) -> Self::V {
        // SAFETY: by this function's contract.
        unsafe {
            if readable >= Self::N {
                self.pick(self.first(n), self.load(p), self.splat(fill))
            } else {
                self.load_first(p, n, fill)
            }
        }
    }

    /// Stores the first `n` lanes and touches nothing else.
    ///
    /// # Safety
    /// `p .. p + n` is writable and `n <= N`.
    #[inline(always)]
    unsafe fn store_first(self, p: *mut A, n: usize, v: Self::V) {
        debug_assert!(n <= Self::N);
        let mut whole = [A::zeroed(); MOST_LANES];
        // SAFETY: `whole` holds a vector; n <= N elements are writable by this function's contract.
        unsafe {
            self.store(whole.as_mut_ptr(), v);
            copy_part(whole.as_ptr(), p, n, Self::N);
        }
    }

    /// The even and the odd elements of `a` then `b`.
    fn unzip(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);

    /// Lane 0 in every lane.
    #[inline(always)]
    fn splat_first(self, v: Self::V) -> Self::V {
        let mut whole = [A::zeroed(); MOST_LANES];
        // SAFETY: `whole` holds a vector.
        unsafe { self.store(whole.as_mut_ptr(), v) };
        self.splat(whole[0])
    }

    /// Lane `i` is lane `i − 1` of `b`; lane 0 is the last of `a`. The vector one element back.
    fn back(self, a: Self::V, b: Self::V) -> Self::V;

    /// Lane `i` is lane `i + 1` of `a`; the last lane is the first of `b`. The vector one element on.
    fn ahead(self, a: Self::V, b: Self::V) -> Self::V;

    /// The larger of two numbers. For floats: anything where either is NaN, either zero where both are zeros.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;

    /// Where `a` is the larger; nowhere where either is NaN.
    fn greater(self, a: Self::V, b: Self::V) -> Self::M;

    /// Where either mask says yes.
    fn or(self, a: Self::M, b: Self::M) -> Self::M;

    /// Bits that differ.
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
}

/// Lanes that tables move: a table names, for each lane put out, the lane that goes there.
///
/// A table lies in memory, as many bytes as a vector, in units of [`Tables::UNIT`] bytes, each an
/// integer in the CPU's byte order. A lane is `size_of::<A>() / UNIT` units, and unit `j` of lane
/// `l` holds `from·(size_of::<A>() / UNIT) + j` where lane `from` goes to lane `l`. Where a table
/// holds anything else, what is put out may differ from tier to tier.
pub(crate) trait Tables<A: Lane>: Lanes<A> {
    /// Bytes of a unit of a table.
    const UNIT: usize;

    /// 1: any lane goes anywhere. 2: `permute` moves lanes within halves of the vector. The indices
    /// of each half count from the half's first lane, and [`Tables::spread`] must have put into the
    /// half what they name.
    const HALVES: usize = 1;

    /// Whether `permute_two` is a few cheap instructions, so that two registers are worth it.
    const TWO: bool;

    /// Whether `permute_two` costs no more than two times `permute` and a pick.
    const PAIRS: bool = Self::TWO;

    type Table: Copy;

    /// # Safety
    /// As many bytes as a vector has are readable at `p`. No alignment is needed, here or below.
    unsafe fn table(self, p: *const u8) -> Self::Table;

    /// Lane `l` is the lane of `v` that the table names for it.
    fn permute(self, v: Self::V, t: Self::Table) -> Self::V;

    /// Lane `l` is the lane that the table names for it, of the lanes of `a` and then those of `b`:
    /// indices count on from the one to the other, and never within halves.
    fn permute_two(self, a: Self::V, b: Self::V, t: Self::Table) -> Self::V;

    /// Where `HALVES` is 2, the eight 4-byte words of `v` that the eight `u32`s at `p` name.
    /// Elsewhere it is `v`, and nothing is read.
    ///
    /// # Safety
    /// 32 bytes are readable at `p` where `HALVES` is 2.
    #[inline(always)]
    unsafe fn spread(self, v: Self::V, _p: *const u8) -> Self::V {
        v
    }

    /// Bytes of a mask in memory.
    const MASK_BYTES: usize;

    /// Whether a mask in memory is bits, one a lane with lane 0 the lowest, and a byte at least.
    /// The alternative is a vector whose lanes are all ones, or all zeros.
    const MASK_BITS: bool;

    /// # Safety
    /// `p .. p + MASK_BYTES` is readable, and nothing else is read.
    unsafe fn load_mask(self, p: *const u8) -> Self::M;

    /// Where `HALVES` is 2, stores the lower half at `p` and then the upper one `apart` bytes on.
    /// Elsewhere it stores the whole vector at `p`.
    ///
    /// # Safety
    /// Half a vector is writable at both places where `HALVES` is 2, and `p .. p + N` elsewhere.
    #[inline(always)]
    unsafe fn store_halves(self, p: *mut A, _apart: usize, v: Self::V) {
        // SAFETY: HALVES is 1, unless a tier has said otherwise together with a body of its own.
        unsafe { self.store(p, v) }
    }
}

/// Lanes that add: wrapping integers, or IEEE floats.
pub(crate) trait Adds<A: Lane>: Tables<A> {
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
}

/// Lanes that hold IEEE floats.
pub(crate) trait Floats<A: Lane>: Adds<A> {
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root, correctly rounded.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The sign bit cleared, that of a NaN too.
    fn abs(self, a: Self::V) -> Self::V;
    /// Where either is NaN.
    fn unordered(self, a: Self::V, b: Self::V) -> Self::M;
    fn any(self, m: Self::M) -> bool;
}

/// Floats of 64 bits as such and as words: what powers are made of. Memory may hold them as `f32`.
pub(crate) trait Words64: Floats<f64> + Widen<f32, f64> {
    fn sub(self, a: Long<Self>, b: Long<Self>) -> Long<Self>;
    /// The smaller of two numbers: see [`Lanes::max`].
    fn min(self, a: Long<Self>, b: Long<Self>) -> Long<Self>;
    /// Bits that both have.
    fn and_bits(self, a: Long<Self>, b: Long<Self>) -> Long<Self>;
    /// The bits as integers, added with wrapping.
    fn add_bits(self, a: Long<Self>, b: Long<Self>) -> Long<Self>;
    /// The bits, moved down by 52: those of sign and exponent, where the last ones of the fraction were.
    fn down(self, a: Long<Self>) -> Long<Self>;
    /// The bits, moved up by 52: the last ones, where sign and exponent were.
    fn up(self, a: Long<Self>) -> Long<Self>;
}

/// A tier's vector of `f64`.
pub(crate) type Long<S> = <S as Lanes<f64>>::V;

/// Signed integers whose bits are looked at: what ordered keys are made of.
pub(crate) trait Integers<A: Lane>: Adds<A> {
    /// −1 where negative, 0 elsewhere.
    fn sign(self, a: Self::V) -> Self::V;
    fn equal(self, a: Self::V, b: Self::V) -> Self::M;
    fn and(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a`, with the bits flipped that are set in both `b` and `c`.
    #[inline(always)]
    fn flip(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.xor(a, self.and(b, c))
    }
}

/// Words of 16 bits: what a small integer mean is made of.
pub(crate) trait Integers16: Integers<i16> {
    /// The upper 16 bits of the product of two *unsigned* words.
    fn mul_high(self, a: Self::V, b: Self::V) -> Self::V;
    /// The lower 16 bits of the product.
    fn mul_low(self, a: Self::V, b: Self::V) -> Self::V;
    /// A logical shift, by fewer than 16 bits.
    fn shift_right(self, a: Self::V, bits: u32) -> Self::V;
}

/// Sums and divisors below this have quotients that [`Integers32::quotient`] divides as `f32`.
pub(crate) const SINGLE: u64 = 1 << 22;

/// Sums and divisors below this have quotients that [`Integers64::quotient`] divides as `f64`.
pub(crate) const DOUBLE: u64 = 1 << 51;

/// Words of 32 bits: what a larger integer mean is made of.
pub(crate) trait Integers32: Integers<i32> {
    /// The quotient of each sum by a positive divisor, both below [`SINGLE`] in magnitude, rounded to nearest: ties to even, or
    /// away from zero.
    ///
    /// It is the quotient `q` of two `f32`s, rounded to a whole number, and that is right in every rounding mode of the thread.
    /// With `p = 24` the bits of an `f32`, sums and divisors below 2ᵖ⁻², and the halves up to 2ᵖ⁻² (0, 1/2, 1, 3/2 and so on),
    /// are `f32`s. Where the true quotient `x = sum/c` is one of the halves, `q = x`. Any other `x` is at least `1/2c` away
    /// from the two halves beside it, and the error of `q`, below a unit in the last place of a normal number, is less:
    ///
    /// ```text
    /// |q − x| < |x|·2¹⁻ᵖ = |sum|·2¹⁻ᵖ/c < 2ᵖ⁻²·2¹⁻ᵖ/c = 1/2c
    /// ```
    ///
    /// So `q` lies between the same two halves, neither of which it is, and rounds to the whole number that `x` rounds to.
    /// Nothing else is inexact: what follows the division is exact, or has its rounding in the instruction. No step could be
    /// fused with another to another result.
    fn quotient(self, sum: Self::V, divisor: Self::V, away: bool) -> Self::V;

    /// The same of any sum and any positive divisor, divided as `f64`: see [`Integers64::quotient`].
    fn long_quotient(self, sum: Self::V, divisor: Self::V, away: bool) -> Self::V;

    /// Whether `scaled` is a few instructions, so that it takes less time than a division.
    const SCALES: bool = true;

    /// Each sum as an `f32` times the `f32` whose bits stand in the lane of `multiplier`, which is no NaN: cut to ±[`FAR`],
    /// then rounded to nearest, ties to even, in every rounding mode of the thread.
    fn scaled(self, sum: Self::V, multiplier: Self::V) -> Self::V;

    /// The lower 32 bits of the product.
    fn product(self, a: Self::V, b: Self::V) -> Self::V;

    /// A shift to the right of numbers that are not negative, by fewer than 32 bits.
    fn shifted(self, a: Self::V, bits: u32) -> Self::V;
}

/// Words of 64 bits: what the mean of the longest integers is made of.
pub(crate) trait Integers64: Adds<i64> {
    /// The quotient of each sum by a positive divisor, both below [`DOUBLE`] in magnitude, rounded to nearest: ties to even, or
    /// away from zero.
    ///
    /// Divided as `f64`, by the proof of [`Integers32::quotient`] with `p = 53`.
    fn quotient(self, sum: Self::V, divisor: Self::V, away: bool) -> Self::V;
}

/// Beyond every byte, whatever zero point is added: see [`Integers32::scaled`].
pub(crate) const FAR: f32 = 1024.0;

/// Lanes of `A` that memory holds as `T`.
pub(crate) trait Widen<T: bytemuck::Pod, A: Lane>: Tables<A> {
    /// # Safety
    /// `p .. p + N` is readable.
    unsafe fn load_wide(self, p: *const T) -> Self::V;

    /// Floats are rounded to nearest, ties to even, and a NaN among them is the canonical one; integers saturate.
    ///
    /// # Safety
    /// `p .. p + N` is writable.
    unsafe fn store_narrow(self, p: *mut T, v: Self::V);

    /// Elements that [`Widen::load_sums`] takes in.
    const RUN: usize = Self::N;

    /// Lanes that add up to the sum of `RUN` elements, which of them to which does not matter: where order is no matter,
    /// one instruction widens, adds neighbours and takes a whole vector of elements. No lane sums more than 8. Where `RUN` is
    /// twice `N`, lane `i` is the sum of elements `2i` and `2i + 1`.
    ///
    /// # Safety
    /// `p .. p + RUN` is readable.
    #[inline(always)]
    unsafe fn load_sums(self, p: *const T) -> Self::V {
        // SAFETY: RUN is N, unless a tier has said otherwise together with a body of its own.
        unsafe { self.load_wide(p) }
    }

    /// The same for the first `n` elements, of which `readable` and more can be read, and `fill` for the others.
    ///
    /// # Safety
    /// `p .. p + readable` is readable, and `n` is at most `RUN` and `readable`.
    #[inline(always)]
    unsafe fn load_sums_first(self, p: *const T, n: usize, _readable: usize, fill: T) -> Self::V {
        // SAFETY: by this function's contract.
        unsafe { self.load_wide_first(p, n, fill) }
    }

    /// The first `n` elements, `fill` in the other lanes.
    ///
    /// # Safety
    /// `p .. p + n` is readable and `n <= N`.
    #[inline(always)]
    unsafe fn load_wide_first(self, p: *const T, n: usize, fill: T) -> Self::V {
        debug_assert!(n <= Self::N);
        let mut whole = [fill; MOST_LANES];
        // SAFETY: n <= N <= MOST_LANES elements are readable by this function's contract, and `whole` holds a vector.
        unsafe {
            copy_part(p, whole.as_mut_ptr(), n, Self::N);
            self.load_wide(whole.as_ptr())
        }
    }

    /// Stores the first `n` lanes and touches nothing else.
    ///
    /// # Safety
    /// `p .. p + n` is writable and `n <= N`.
    #[inline(always)]
    unsafe fn store_narrow_first(self, p: *mut T, n: usize, v: Self::V) {
        debug_assert!(n <= Self::N);
        let mut whole = [T::zeroed(); MOST_LANES];
        // SAFETY: `whole` holds a vector; n <= N elements are writable by this function's contract.
        unsafe {
            self.store_narrow(whole.as_mut_ptr(), v);
            copy_part(whole.as_ptr(), p, n, Self::N);
        }
    }
}

/// An operation, with no opinion on where the window is.
///
/// A leaf folds each window in the order of the contract, column by column and each column in scan order, with
/// [`LaneOp::join`]; taps outside the input are [`LaneOp::fill`], the identity of `join`, so that no edge needs a code
/// of its own. The accumulator is an ordinary vector of lanes, so it can wait in a scratch row between two passes.
pub(crate) trait LaneOp<A: Lane, S: Lanes<A>>: Copy + Send + Sync + 'static {
    /// The element in memory.
    type T: bytemuck::Pod + Send + Sync;

    /// The identity of `join`. For a mean of floats that is −0.0: `x + −0.0` is `x` to the bit.
    fn fill(self) -> A;
    /// An element that loads as `fill`.
    fn identity(self) -> Self::T;

    /// Whether it has the leaves of the drivers that are for speed alone. Others run through the general ones.
    const TABLED: bool = Self::FUSED;

    /// Whether it has leaves without tables for windows of two and three columns: a fused operation, and its careful
    /// twin.
    const SHIFTED: bool = Self::FUSED;

    /// Whether loading and storing takes so long that what is loaded several times should wait in lanes.
    const CONVERTS: bool = false;

    /// Whether it has fused leaves, with loops of constant length for the most common windows: for operations that a
    /// measurement asked for. Others run through the general leaves.
    const FUSED: bool = false;

    /// Whether it has loops for the most common windows along a row of pixels, and several registers side by side.
    const WALKS: bool = Self::FUSED;

    /// Whether its leaves fold several registers side by side, where the tier's do. A rare operation does without.
    const BLOCKS: bool = Self::TABLED;

    /// Whether taps may be joined in any order, with the same bits: integers, and floats that are compared as such.
    const ANY_ORDER: bool = false;

    /// Whether a tap may be joined twice: an extreme does not mind, a sum does.
    const IDEMPOTENT: bool = false;

    /// # Safety
    /// `p .. p + N` is readable.
    unsafe fn load(self, s: S, p: *const Self::T) -> S::V;

    /// The first `n` elements, `fill` in the other lanes.
    ///
    /// # Safety
    /// `p .. p + n` is readable and `n <= N`.
    unsafe fn load_first(self, s: S, p: *const Self::T, n: usize) -> S::V;

    /// Elements that [`LaneOp::load_run`] takes in.
    const RUN: usize = S::N;

    /// Lanes that join to what `RUN` elements join to, whatever lane each is in: for runs whose lanes are joined in the end. Where
    /// `RUN` is twice `N`, lane `i` joins elements `2i` and `2i + 1`.
    ///
    /// # Safety
    /// `p .. p + RUN` is readable.
    #[inline(always)]
    unsafe fn load_run(self, s: S, p: *const Self::T) -> S::V {
        // SAFETY: RUN is N, unless an operation has said otherwise together with a body of its own.
        unsafe { self.load(s, p) }
    }

    /// The same for the first `n` elements, of which `readable` and more can be read.
    ///
    /// # Safety
    /// `p .. p + readable` is readable, and `n` is at most `RUN` and `readable`.
    #[inline(always)]
    unsafe fn load_run_first(self, s: S, p: *const Self::T, n: usize, readable: usize) -> S::V {
        // SAFETY: by this function's contract.
        unsafe {
            if readable >= S::N {
                s.pick(s.first(n), self.load(s, p), s.splat(self.fill()))
            } else {
                self.load_first(s, p, n)
            }
        }
    }

    fn join(self, s: S, a: S::V, b: S::V) -> S::V;

    /// Whether what was joined can be taken out again, to the bit: sums of integers alone.
    const UNJOINS: bool = false;

    /// What `all` is without `part`, which was joined to it.
    #[inline(always)]
    fn unjoin(self, _s: S, all: S::V, _part: S::V) -> S::V {
        all
    }

    /// Lane words that describe one divisor, or 0 where the operation does not divide.
    const WORDS: usize = 0;

    /// A divisor made ready for vectors: hoisted out of a run of windows that share it.
    type Divisor: Copy;

    /// The words of a divisor, at plan time.
    fn words(self, _divisor: usize) -> [A; MOST_WORDS] {
        [A::zeroed(); MOST_WORDS]
    }

    /// A divisor from its words, one vector each: splats for a run of windows with equal divisors, loads otherwise.
    fn divisor(self, s: S, word: impl Fn(usize) -> S::V) -> Self::Divisor;

    /// What a folded window becomes, still in lanes.
    fn finish(self, s: S, v: S::V, divisor: Self::Divisor) -> S::V;

    /// Whether there are divisors by which folds become what they do in a few instructions; and whether this is one, by the first
    /// lanes of two of its words.
    const QUICK: bool = false;
    fn is_quick(self, _words: [A; 2]) -> bool {
        false
    }

    /// As [`LaneOp::finish`], of such a divisor: its first word.
    #[inline(always)]
    fn finish_quickly(self, _s: S, v: S::V, _word: S::V) -> S::V {
        v
    }

    /// # Safety
    /// `p .. p + N` is writable.
    unsafe fn store(self, s: S, p: *mut Self::T, v: S::V);

    /// Stores the first `n` lanes and touches nothing else.
    ///
    /// # Safety
    /// `p .. p + n` is writable and `n <= N`.
    unsafe fn store_first(self, s: S, p: *mut Self::T, n: usize, v: S::V);

    /// Stores the lower half of a vector's lanes at `p` and the upper half `apart` elements on, in this order: for
    /// tables that put out halves, see [`Tables::HALVES`].
    ///
    /// # Safety
    /// `p .. p + N/2`, and as much `apart` elements on, is writable.
    #[inline(always)]
    unsafe fn store_halves(self, s: S, p: *mut Self::T, apart: usize, v: S::V) {
        let mut whole = [self.identity(); MOST_LANES];
        // SAFETY: the array holds a vector; both halves are writable by this function's contract.
        unsafe {
            self.store(s, whole.as_mut_ptr(), v);
            core::ptr::copy_nonoverlapping(whole.as_ptr(), p, S::N / 2);
            core::ptr::copy_nonoverlapping(whole.as_ptr().add(S::N / 2), p.add(apart), S::N / 2);
        }
    }

    /// Whether inputs must be watched: `join` is only right while [`LaneOp::dirty`] has not become true. A tile that
    /// became dirty is done again by a careful twin, another operation that is right for every input. It keeps NaN out
    /// of the hot loops: one compare for two fresh vectors instead of two instructions for every tap.
    const WATCH: bool = false;
    /// What watching remembers.
    type Flag: Copy;
    fn clean(self, s: S) -> Self::Flag;
    fn watch(self, s: S, flag: Self::Flag, a: S::V, b: S::V) -> Self::Flag;
    fn dirty(self, s: S, flag: Self::Flag) -> bool;
}

/// The most words a divisor needs (the integer mean by multiplication).
pub(crate) const MOST_WORDS: usize = 5;
