//! The element types as the specification sees them: what a maximum and a mean of a few values are.
//!
//! Nothing here knows a tensor. `oracle.rs` gathers the taps of a window, this file says what becomes of them.

use lanepool::Element;

use super::layer::Nan;

/// The elements under test, one row each. Calls `$callback! { name: type, … }`.
macro_rules! for_elements {
    ($callback:ident) => {
        $callback! {
            f32: f32,
            f64: f64,
            f16: half::f16,
            bf16: half::bf16,
            i8: i8,
            u8: u8,
            i16: i16,
            u16: u16,
            i32: i32,
            u32: u32,
            i64: i64,
            u64: u64,
        }
    };
}

/// The valid taps of one window, column by column: a column is a fixed position on the last spatial axis, and holds its
/// taps in scan order.
pub struct Window<'a, T> {
    pub taps: &'a [T],
    /// Taps in one column.
    pub column: usize,
    pub order: Order<'a>,
}

/// Elements of a block of a plane averaged whole.
const BLOCK: usize = 1 << 14;

/// Taps of a block of a window of thousands.
const TERMS: usize = 256;

/// The order in which floats are added.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// Each column in scan order; then the columns from left to right.
    Columns,
    /// A plane averaged whole, planar: blocks of 2¹⁴ elements, each in 16 partial sums, of which neighbours are added until one is
    /// left; then the blocks likewise.
    WholePlane,
    /// A window that is long on an axis.
    Long {
        /// Long columns: how many of a column's taps lie before the cut. They are added from the last to the first, the
        /// others from the first to the last, then both sums.
        cut: Option<usize>,
        /// Long rows: the kernel's width, and which of its columns are valid. The width is the sum of powers of two; each
        /// power of neighbouring columns is added as a balanced tree, smallest power first; then these sums from left to
        /// right.
        powers: Option<(usize, &'a [usize])>,
    },
    /// Thousands of taps: in the order of `Columns`, cut into blocks of 256, each added one after the other; then the
    /// blocks as those of `WholePlane`.
    Blocks,
}

impl<T: Copy> Window<'_, T> {
    /// Tap `i` in scan order, row by row.
    fn scan(&self, i: usize) -> T {
        let columns = self.taps.len() / self.column;
        self.taps[i % columns * self.column + i / columns]
    }
}

/// An element type, and the contract's arithmetic on it.
pub trait Sample: Element + PartialOrd {
    const FLOAT: bool;
    /// Whether there are sums and averages of it: "i64 and u64 have maxima and minima, but no sums or averages".
    const SUMS: bool;

    /// From the low bits.
    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;

    /// One of 251 values, a prime number of them: a kernel that reads the wrong element finds another value.
    fn pattern(i: usize) -> Self;

    /// A number from the bits: in −1 … 1 and as precise as the type, so that the order of a sum is seen in it; an
    /// integer is any.
    fn number(bits: u64) -> Self;

    /// Seven values whose order, signs or absence of one make trouble: for integers, their ends and the smallest steps.
    fn seven() -> [Self; 7];

    /// Values at the edges of what the type can hold.
    fn edges() -> Vec<Self>;

    /// A NaN with this sign and payload; `None` for integers.
    fn nan(negative: bool, payload: u64) -> Option<Self>;

    fn is_nan(self) -> bool;

    /// The largest tap. "Any NaN in the window makes the output the canonical quiet NaN"; "a zero maximum is +0,
    /// whatever the signs of the zeros in the window"; "a window with no valid tap gives the identity".
    fn largest(taps: &[Self], nan: Nan) -> Self;
    fn smallest(taps: &[Self], nan: Nan) -> Self;

    /// The sum of the taps in the contract's order, divided, rounded once.
    fn mean(window: &Window<'_, Self>, divisor: u64) -> Self;

    /// The same with integer ties rounded away from zero.
    fn mean_away(window: &Window<'_, Self>, divisor: u64) -> Self {
        Self::mean(window, divisor)
    }
}

/// The extreme of floats: `$beyond` is `>` for the maximum.
macro_rules! float_extreme {
    ($name:ident, $beyond:tt, $identity:expr, $nan:expr) => {
        fn $name(taps: &[Self], nan: Nan) -> Self {
            let numbers = || taps.iter().copied().filter(|tap| !tap.is_nan());
            let has_nan = numbers().count() < taps.len();
            if has_nan && (nan == Nan::Propagate || numbers().count() == 0) {
                return <Self as Sample>::from_bits($nan);
            }
            let best = numbers().fold($identity, |best, tap| if tap $beyond best { tap } else { best });
            // Compares equal to zero: either zero.
            let zero = <Self as Sample>::from_bits(0);
            if best == zero { zero } else { best }
        }
    };
}

/// A float whose bits are a `$Bits` with `$mantissa` bits of fraction, summed in `$Acc`.
macro_rules! float_sample {
    ($T:ty, $Bits:ty, $mantissa:literal, $Acc:ty, $widen:expr, $narrow:expr) => {
        impl Sample for $T {
            const FLOAT: bool = true;
            const SUMS: bool = true;

            fn from_bits(bits: u64) -> Self {
                <$T>::from_bits(bits as $Bits)
            }

            fn bits(self) -> u64 {
                self.to_bits().into()
            }

            fn pattern(i: usize) -> Self {
                ($narrow)(((i * 97 % 251) as $Acc - 125.0) * 0.375)
            }

            fn number(bits: u64) -> Self {
                ($narrow)((bits >> 11) as $Acc / (1_u64 << 52) as $Acc - 1.0)
            }

            fn seven() -> [Self; 7] {
                let number = |x: $Acc| ($narrow)(x);
                [
                    <Self as Sample>::nan(false, 1).unwrap_or_default(),
                    <Self as Sample>::nan(true, 2).unwrap_or_default(),
                    number(<$Acc>::NEG_INFINITY),
                    number(-0.0),
                    number(0.0),
                    number(1.0),
                    number(<$Acc>::INFINITY),
                ]
            }

            fn edges() -> Vec<Self> {
                let exponent: $Bits = (!0 >> 1) & !((1 << $mantissa) - 1);
                let normal: $Bits = 1 << $mantissa;
                let magnitudes = [0, 1, normal - 1, normal, normal + 1, exponent - 1, exponent];
                let fractions = [1.0, 1.5, 0.1, 3.0].map(|x: $Acc| ($narrow)(x).to_bits());
                let positive = magnitudes.into_iter().chain(fractions);
                positive.flat_map(|bits| [bits, bits | !(!0 >> 1)]).map(<$T>::from_bits).collect()
            }

            fn nan(negative: bool, payload: u64) -> Option<Self> {
                // An even payload is quiet, an odd one signalling: both occur in tensors.
                let exponent: $Bits = (!0 >> 1) & !((1 << $mantissa) - 1);
                let quiet: $Bits = if payload % 2 == 0 { 1 << ($mantissa - 1) } else { 0 };
                let payload = payload as $Bits & ((1 << ($mantissa - 1)) - 1);
                let sign: $Bits = if negative { !(!0 >> 1) } else { 0 };
                Some(<$T>::from_bits(sign | exponent | quiet | payload.max(1)))
            }

            fn is_nan(self) -> bool {
                <$T>::is_nan(self)
            }

            float_extreme!(largest, >, <$T>::NEG_INFINITY, Self::CANONICAL_NAN);
            float_extreme!(smallest, <, <$T>::INFINITY, Self::CANONICAL_NAN);

            fn mean(window: &Window<'_, Self>, divisor: u64) -> Self {
                if window.taps.is_empty() {
                    return <Self as Sample>::from_bits(0);
                }
                let widen = |tap: $T| -> $Acc { ($widen)(tap) };
                let columns = window.taps.chunks_exact(window.column);
                let columns = columns.map(|column| column.iter().map(|tap| widen(*tap)).collect::<Vec<$Acc>>());
                let add = |a: $Acc, b: $Acc| a + b;
                let sum = match window.order {
                    // "a window's columns are summed one by one, each in scan order, and then added from left to right"
                    Order::Columns => {
                        columns.filter_map(|column| column.into_iter().reduce(add)).reduce(add).unwrap_or(0.0)
                    }
                    // "cut into blocks of 2¹⁴ elements; each is dealt to 16 partial sums (element `i` to sum `i mod 16`) of
                    // which neighbours are added until one is left …; then the blocks in the same way, an odd last one waiting"
                    Order::WholePlane => {
                        let block = |from: usize| {
                            let mut partial: [$Acc; 16] = [-0.0; 16];
                            for i in from..window.taps.len().min(from + BLOCK) {
                                partial[i % 16] += widen(window.scan(i));
                            }
                            for half in [8, 4, 2, 1] {
                                for lane in 0..half {
                                    partial[lane] = partial[2 * lane] + partial[2 * lane + 1];
                                }
                            }
                            partial[0]
                        };
                        neighbours(add, (0..window.taps.len()).step_by(BLOCK).map(block).collect())
                    }
                    // "the taps in the order of `Columns`, cut into blocks of 256, each added one after the other; then
                    // neighbouring blocks, `2i` with `2i + 1`, an odd last one waiting, until one is left"
                    Order::Blocks => {
                        let blocks = window.taps.chunks(TERMS);
                        let blocks = blocks.filter_map(|block| block.iter().map(|tap| widen(*tap)).reduce(add));
                        neighbours(add, blocks.collect())
                    }
                    Order::Long { cut, powers } => {
                        let columns = columns.map(|column| {
                            let (before, after) = column.split_at(cut.unwrap_or(0));
                            let before = before.iter().copied().rev().reduce(add);
                            join(add, before, after.iter().copied().reduce(add))
                        });
                        match powers {
                            None => columns.flatten().reduce(add).unwrap_or(0.0),
                            Some((kernel, valid)) => {
                                let mut all = vec![None; kernel];
                                for (column, sum) in valid.iter().zip(columns) {
                                    all[*column] = sum;
                                }
                                powers_of_two(add, &all).unwrap_or(0.0)
                            }
                        }
                    }
                };
                let mean = sum / divisor as $Acc;
                if mean.is_nan() { <Self as Sample>::from_bits(Self::CANONICAL_NAN) } else { ($narrow)(mean) }
            }
        }

        impl CanonicalNan for $T {
            // Positive, quiet, no payload: all ones from the exponent to the first bit of the fraction.
            const CANONICAL_NAN: u64 = {
                let all: $Bits = !0 >> 1;
                (all & !((1 << ($mantissa - 1)) - 1)) as u64
            };
        }
    };
}

/// The sum of two, where what is absent adds nothing.
fn join<A: Copy>(add: impl Fn(A, A) -> A, a: Option<A>, b: Option<A>) -> Option<A> {
    match (a, b) {
        (Some(a), Some(b)) => Some(add(a, b)),
        (a, b) => a.or(b),
    }
}

/// Neighbours, `2i` with `2i + 1`, an odd last one waiting, until one is left.
fn neighbours<A: Copy>(add: impl Fn(A, A) -> A, mut sums: Vec<A>) -> A {
    while sums.len() > 1 {
        sums = sums.chunks(2).map(|pair| pair[1..].iter().fold(pair[0], |sum, other| add(sum, *other))).collect();
    }
    sums[0]
}

/// A balanced tree over a power of two of neighbours.
fn tree<A: Copy>(add: impl Fn(A, A) -> A + Copy, all: &[Option<A>]) -> Option<A> {
    match all {
        [one] => *one,
        _ => {
            let (left, right) = all.split_at(all.len() / 2);
            join(add, tree(add, left), tree(add, right))
        }
    }
}

/// The powers of two that make up the length, smallest first, each a tree; their sums from left to right.
fn powers_of_two<A: Copy>(add: impl Fn(A, A) -> A + Copy, mut all: &[Option<A>]) -> Option<A> {
    let mut sum = None;
    while !all.is_empty() {
        let (power, rest) = all.split_at(1 << all.len().trailing_zeros());
        sum = join(add, sum, tree(add, power));
        all = rest;
    }
    sum
}

pub trait CanonicalNan {
    const CANONICAL_NAN: u64;
}

float_sample!(f32, u32, 23, f32, |x| x, |x| x);
float_sample!(f64, u64, 52, f64, |x| x, |x| x);
float_sample!(half::f16, u16, 10, f32, half::f16::to_f32_const, half::f16::from_f32_const);
float_sample!(half::bf16, u16, 7, f32, half::bf16::to_f32_const, half::bf16::from_f32_const);

/// The quotient rounded to nearest, ties away from zero.
fn half_away_from_zero(sum: i128, divisor: i128) -> i128 {
    sum.signum() * ((2 * sum.abs() + divisor) / (2 * divisor))
}

/// The quotient rounded to nearest, ties to even.
fn half_to_even(sum: i128, divisor: i128) -> i128 {
    let (floor, rest) = (sum.div_euclid(divisor), sum.rem_euclid(divisor));
    match (2 * rest).cmp(&divisor) {
        core::cmp::Ordering::Less => floor,
        core::cmp::Ordering::Greater => floor + 1,
        core::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}

macro_rules! integer_sample {
    ($($T:ty: $Bits:ty),+ $(,)?) => { $(
        impl Sample for $T {
            const FLOAT: bool = false;
            const SUMS: bool = size_of::<$T>() < 8;

            fn from_bits(bits: u64) -> Self {
                bits as $Bits as $T
            }

            fn bits(self) -> u64 {
                (self as $Bits).into()
            }

            fn pattern(i: usize) -> Self {
                // Spread over the whole range, so that sums of a few of them leave the type.
                let step = (<$Bits>::MAX / 251).max(1);
                ((i * 97 % 251) as $Bits).wrapping_mul(step).wrapping_add(<$T>::MIN as $Bits) as $T
            }

            fn number(bits: u64) -> Self {
                <Self as Sample>::from_bits(bits)
            }

            fn seven() -> [Self; 7] {
                let middle = <$T>::MAX / 2;
                [<$T>::MIN, <$T>::MIN + 1, middle, middle + 1, (0 as $T).wrapping_sub(1), <$T>::MAX - 1, <$T>::MAX]
            }

            fn edges() -> Vec<Self> {
                vec![<$T>::MIN, <$T>::MIN + 1, 0, 1, 2, 3, 127, (0 as $T).wrapping_sub(1), <$T>::MAX - 1, <$T>::MAX]
            }

            fn nan(_negative: bool, _payload: u64) -> Option<Self> {
                None
            }

            fn is_nan(self) -> bool {
                false
            }

            fn largest(taps: &[Self], _nan: Nan) -> Self {
                taps.iter().copied().max().unwrap_or(<$T>::MIN)
            }

            fn smallest(taps: &[Self], _nan: Nan) -> Self {
                taps.iter().copied().min().unwrap_or(<$T>::MAX)
            }

            fn mean(window: &Window<'_, Self>, divisor: u64) -> Self {
                let sum: i128 = window.taps.iter().map(|tap| i128::from(*tap)).sum();
                half_to_even(sum, divisor.into()).clamp(<$T>::MIN.into(), <$T>::MAX.into()) as $T
            }

            fn mean_away(window: &Window<'_, Self>, divisor: u64) -> Self {
                let sum: i128 = window.taps.iter().map(|tap| i128::from(*tap)).sum();
                half_away_from_zero(sum, divisor.into()).clamp(<$T>::MIN.into(), <$T>::MAX.into()) as $T
            }
        }
    )+ };
}

integer_sample!(i8: u8, u8: u8, i16: u16, u16: u16, i32: u32, u32: u32, i64: u64, u64: u64);
