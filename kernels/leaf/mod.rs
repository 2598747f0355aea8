//! Leaves: small inner loops, each compiled once for a lane operation and a tier, and reached through a table.
//!
//! A leaf is one loop nest over registers. It knows pointers, lengths and steps in bytes, and nothing
//! of windows, padding or layouts: a driver (`driver/`) has worked those out. It returns whether it
//! met what its lane operation watches for (a NaN); the driver then does the batch again with the
//! leaves of the careful twin.
//!
//! | file | leaves |
//! |---|---|
//! | [`chunks`] | small planes: a program of registers of outputs, columns of windows by tables |
//! | [`columns`] | channels last: windows that walk along a row of pixels |
//! | [`fold`] | streams folded elementwise: memory to memory, memory to scratch, scratch to memory |
//! | [`flat`] | planes without end as one run of registers |
//! | [`long`] | what long windows share: prefixes and suffixes of rows, doubling along a row; running sums of integers |
//! | [`rows`] | rows of outputs by tables: the rows of a window folded, then a permutation for each column |
//! | [`separable`] | rows of outputs in two passes: down to a line, across it |
//! | [`piles`] | pixels piled up on a row of accumulators |
//! | [`lanes16`] | a run of elements in 16 virtual lanes and their tree |
//! | [`deal`] | rows of elements copied, or even and odd ones apart |
//! | [`number`] | labels of taps made indices |
//! | [`pick`] | the best of taps that many lanes share, and which tap it is |
//! | [`seek`] | the best tap of each lane, and its number |
//!
//! # The contract of every leaf
//!
//! The arguments are plain data, and all pointers in them are the driver's word: each leaf says which
//! bytes it reads and writes. The CPU has the tier's features: a table of leaves is handed out only
//! after `detect` has found them (`table.rs`). The constants are those of the leaf's own operation.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::lane::InLanes;
use super::simd::{Lane, LaneOp, MOST_WORDS, Tables};

pub(crate) mod chunks;
pub(crate) mod columns;
pub(crate) mod deal;
pub(crate) mod flat;
pub(crate) mod fold;
pub(crate) mod lanes16;
pub(crate) mod long;
pub(crate) mod number;
pub(crate) mod pick;
pub(crate) mod piles;
pub(crate) mod rows;
pub(crate) mod seek;
pub(crate) mod separable;

/// Bytes that hold the constants of any lane operation.
const CONSTANT_BYTES: usize = 64;

/// What a lane operation is told at run time: bits to flip, a rounding, zero points. Known by its type alone.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Constants(MaybeUninit<[u8; CONSTANT_BYTES]>);

impl Constants {
    pub(crate) fn new<O: Copy>(op: O) -> Self {
        const { assert!(size_of::<O>() <= CONSTANT_BYTES && align_of::<O>() <= 16) };
        let mut bytes = Self(MaybeUninit::uninit());
        // SAFETY: the operation fits and is aligned: both were just asserted.
        unsafe { bytes.0.as_mut_ptr().cast::<O>().write(op) };
        bytes
    }

    /// # Safety
    /// They were made of an `O`.
    #[inline(always)]
    unsafe fn get<O: Copy>(&self) -> O {
        // SAFETY: by this function's contract.
        unsafe { self.0.as_ptr().cast::<O>().read() }
    }
}

/// A loop nest for any lane operation of any tier.
pub(crate) trait Nest<A: Lane, S: Tables<A>, O: LaneOp<A, S>> {
    type Args;

    /// Whether something was met that the operation watches for.
    ///
    /// # Safety
    /// The pointers of `args` are as the nest's own documentation says.
    unsafe fn run(s: S, op: O, args: &Self::Args) -> bool;
}

/// A nest compiled for one lane operation and tier.
pub(crate) struct Leaf<Args>(unsafe fn(&Constants, &Args) -> bool);

impl<Args> Clone for Leaf<Args> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Args> Copy for Leaf<Args> {}

impl<Args> Leaf<Args> {
    pub(crate) const fn of<A: Lane, S: Tables<A>, O: LaneOp<A, S>, N: Nest<A, S, O, Args = Args>>() -> Self {
        Self(enter::<A, S, O, N>)
    }

    /// Runs the leaf, and says whether it met what its operation watches for.
    ///
    /// # Safety
    /// The module's contract: the tier was detected, the constants are the operation's, and the pointers are as the
    /// nest says.
    #[inline(always)]
    pub(crate) unsafe fn call(self, constants: &Constants, args: &Args) -> bool {
        // SAFETY: the same contract.
        unsafe { (self.0)(constants, args) }
    }

    /// No leaf: the drivers that would call it have declined (`Facts::tabled`).
    pub(crate) const fn absent() -> Self {
        Self(|_, _| false)
    }

    /// Where the code is: two leaves are the same where this is.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

/// # Safety
/// As for [`Leaf::call`].
unsafe fn enter<A: Lane, S: Tables<A>, O: LaneOp<A, S>, N: Nest<A, S, O>>(
    constants: &Constants,
    args: &N::Args,
) -> bool {
    // SAFETY: by this function's contract: the tier was detected, the constants and the pointers are right.
    unsafe {
        let (s, op) = (S::assume(), constants.get::<O>());
        s.vectorize(
            #[inline(always)]
            || N::run(s, op, args),
        )
    }
}

/// What a driver knows of a lane operation on a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Bytes of an element in memory, and of a lane.
    pub(crate) memory: usize,
    pub(crate) lane: usize,
    /// Lanes of a register.
    pub(crate) lanes: usize,
    /// Tables: see [`Tables`].
    pub(crate) unit: usize,
    pub(crate) halves: usize,
    pub(crate) two: bool,
    pub(crate) pairs: bool,
    pub(crate) mask_bytes: usize,
    pub(crate) mask_bits: bool,
    /// Words of a divisor, 0 where the operation does not divide.
    pub(crate) words: usize,
    /// Loading and storing takes long: what is loaded often should wait in lanes.
    pub(crate) converts: bool,
    /// Whether a tap may be joined twice, and in any order.
    pub(crate) idempotent: bool,
    pub(crate) any_order: bool,
    /// Whether a tap can be taken out again, so that a window along a row is made of the one before; and whether this is so
    /// where pixels are shorter than a register, and down columns ([`long::Stage`], [`long::Slide`]).
    pub(crate) unjoins: bool,
    pub(crate) scans: bool,
    /// Elements that a register joins where order is no matter.
    pub(crate) run: usize,
    /// The operation has the leaves of the most common windows; else they are the general ones.
    pub(crate) fused: bool,
    /// The tier is there to be compared with: one lane, general leaves.
    pub(crate) plain: bool,
    /// There are the leaves of the drivers that are for speed alone: `flat`, `chunks`, `rows`, `columns`, `piles`.
    pub(crate) tabled: bool,
}

impl Facts {
    const fn of<A: Lane, S: Tables<A>, O: LaneOp<A, S>>() -> Self {
        Self {
            memory: size_of::<O::T>(),
            lane: size_of::<A>(),
            lanes: S::N,
            unit: S::UNIT,
            halves: S::HALVES,
            two: S::TWO,
            pairs: S::PAIRS,
            mask_bytes: S::MASK_BYTES,
            mask_bits: S::MASK_BITS,
            words: O::WORDS,
            converts: O::CONVERTS && S::FUSED,
            idempotent: O::IDEMPOTENT,
            any_order: O::ANY_ORDER || O::IDEMPOTENT,
            unjoins: O::UNJOINS,
            scans: long::scans::<A, S, O>() || O::UNJOINS && S::N == 1,
            run: O::RUN,
            fused: O::FUSED && S::FUSED,
            plain: S::N == 1,
            tabled: O::TABLED && S::TABLED,
        }
    }

    /// Whether a table is an instruction or two: else the drivers that live by tables decline.
    pub(crate) fn permutes(&self) -> bool {
        self.two || self.halves > 1
    }

    /// Whether outputs that are a stride apart are better gathered than moved together by tables.
    pub(crate) fn strides_slowly(&self) -> bool {
        !self.permutes() && !self.plain
    }

    /// Bytes of a register of lanes.
    pub(crate) fn register(&self) -> usize {
        self.lanes * self.lane
    }

    /// Bytes of a table: for tiers whose halves are apart, what is spread to them comes first.
    pub(crate) fn table(&self) -> usize {
        self.register() * self.halves
    }
}

/// The words of a divisor, each as the bytes of a lane.
pub(crate) type Words = [[u8; 8]; MOST_WORDS];

/// The leaves of a lane operation on a tier.
pub(crate) struct Leaves {
    pub(crate) facts: Facts,
    pub(crate) words: fn(&Constants, usize) -> Words,
    /// Memory to memory.
    pub(crate) direct: Leaf<fold::Fold>,
    /// The same where a window has thousands of taps: see [`fold::Blocks`]. Where order is no matter it is `direct`.
    pub(crate) blocks: Leaf<fold::Fold>,
    /// Memory to scratch lanes.
    pub(crate) down: Leaf<fold::Fold>,
    /// Scratch lanes to memory.
    pub(crate) across: Leaf<fold::Fold>,
    /// Rows of long windows to scratch lanes.
    pub(crate) shared: Leaf<long::Shared>,
    /// Sums of rows that are moved on by a row: where taps can be taken out again.
    pub(crate) slide: Leaf<long::Slide>,
    /// Doubling along scratch lanes, or a running sum.
    pub(crate) stage: Leaf<long::Stage>,
    /// Runs of elements, each to one lane.
    pub(crate) runs: Leaf<lanes16::Runs>,
    /// Planes without end: columns beside each other, three rows and columns anywhere, any window.
    pub(crate) around: Leaf<flat::Flat>,
    pub(crate) ring: Leaf<flat::Flat>,
    pub(crate) flat: Leaf<flat::Flat>,
    /// The same of lanes that were loaded before, and are finished later.
    pub(crate) around_lanes: Leaf<flat::Flat>,
    pub(crate) ring_lanes: Leaf<flat::Flat>,
    /// Programs for small planes: any windows, those of 2×2 without padding, of 3×3.
    pub(crate) chunks: Leaf<chunks::Program>,
    pub(crate) chunks_2: Leaf<chunks::Program>,
    pub(crate) chunks_3: Leaf<chunks::Program>,
    /// Rows of outputs, each way: of any window, of 2×2, of 3×3.
    pub(crate) rows: [[Leaf<rows::Rows>; 3]; rows::WAYS],
    /// Along a row of pixels, windows that share columns: any; any of whose columns none lies in more than 2, and 3;
    /// those of 3 by 3 and 5 by 5 taps that move by 1, of 3 by 3 that move by 2.
    pub(crate) along: Leaf<columns::Walk>,
    pub(crate) along_2: Leaf<columns::Walk>,
    pub(crate) along_3: Leaf<columns::Walk>,
    pub(crate) along31: Leaf<columns::Walk>,
    pub(crate) along51: Leaf<columns::Walk>,
    pub(crate) along32: Leaf<columns::Walk>,
    /// Windows that share none, any and those of 2 by 2 taps.
    pub(crate) apart: Leaf<columns::Walk>,
    pub(crate) apart22: Leaf<columns::Walk>,
    /// Rows of outputs in two passes.
    pub(crate) separable: Leaf<separable::Lines>,
    /// Pixels onto accumulators.
    pub(crate) piles: Leaf<piles::Pile>,
}

/// The table of one lane operation on one tier. Naming it names its leaves and no others, so that a
/// linker drops the rest.
pub(crate) struct Table<A, S, O>(PhantomData<(A, S, O)>);

impl<A: Lane, S: Tables<A>, O: LaneOp<A, S>> Table<A, S, O> {
    const IS_TABLED: bool = O::TABLED && S::TABLED;
    const IS_FUSED: bool = O::FUSED && S::FUSED;
    const PERMUTES: bool = S::TWO || S::HALVES > 1;

    pub(crate) const LEAVES: Leaves = Leaves {
        facts: Facts::of::<A, S, O>(),
        words: words::<A, S, O>,
        direct: Leaf::of::<A, S, O, fold::Direct>(),
        blocks: if const { O::ANY_ORDER || O::IDEMPOTENT } {
            Leaf::of::<A, S, O, fold::Direct>()
        } else {
            Leaf::of::<A, S, O, fold::Blocks>()
        },
        down: Leaf::of::<A, S, O, fold::Down>(),
        across: Leaf::of::<A, S, O, fold::Across>(),
        shared: Leaf::of::<A, S, O, long::Prefixes>(),
        slide: if const { long::scans::<A, S, O>() } { Leaf::of::<A, S, O, long::Sliding>() } else { Leaf::absent() },
        stage: Leaf::of::<A, S, O, long::Along>(),
        runs: Leaf::of::<A, S, O, lanes16::Dealt>(),
        around: Self::fused::<flat::Around, flat::Any>(),
        ring: Self::fused::<flat::Ring, flat::Any>(),
        flat: Self::tabled::<flat::Any>(),
        around_lanes: Self::converted::<flat::Around>(),
        ring_lanes: Self::converted::<flat::Ring>(),
        chunks: Self::permuted::<chunks::Any, chunks::Any>(),
        chunks_2: Self::permuted::<chunks::Two, chunks::Any>(),
        chunks_3: Self::permuted::<chunks::Three, chunks::Any>(),
        rows: Self::ROWS,
        along: Self::tabled::<columns::Along<0, 0>>(),
        along_2: Self::walks::<columns::Along<2, 0>, columns::Along<0, 0>>(),
        along_3: Self::walks::<columns::Along<3, 0>, columns::Along<0, 0>>(),
        along31: Self::walks_by_three::<columns::Along<3, 1>>(),
        along51: Self::fused::<columns::Along<5, 1>, columns::Along<0, 0>>(),
        along32: Self::walks_by_three::<columns::Along<2, 2>>(),
        apart: Self::tabled::<columns::Apart<0>>(),
        apart22: Self::walks::<columns::Apart<2>, columns::Apart<0>>(),
        separable: Self::tabled::<separable::Separable>(),
        piles: Self::tabled::<piles::Onto>(),
    };

    /// A leaf that is for speed alone.
    const fn tabled<N: Nest<A, S, O>>() -> Leaf<N::Args> {
        if const { Self::IS_TABLED } { Leaf::of::<A, S, O, N>() } else { Leaf::absent() }
    }

    /// A leaf for common windows alone, or the general one.
    const fn fused<N: Nest<A, S, O>, G: Nest<A, S, O, Args = N::Args>>() -> Leaf<N::Args> {
        if const { Self::IS_FUSED } { Leaf::of::<A, S, O, N>() } else { Self::tabled::<G>() }
    }

    /// The same where tables are instructions.
    const fn permuted<N: Nest<A, S, O>, G: Nest<A, S, O, Args = N::Args>>() -> Leaf<N::Args> {
        if const { Self::PERMUTES } { Self::fused::<N, G>() } else { Leaf::absent() }
    }

    /// A leaf along rows of pixels for windows of 3 by 3 taps, which every tier has, or the general one.
    const fn walks_by_three<N: Nest<A, S, O, Args = columns::Walk>>() -> Leaf<columns::Walk> {
        if const { O::WALKS && Self::IS_TABLED } {
            Leaf::of::<A, S, O, N>()
        } else {
            Self::tabled::<columns::Along<0, 0>>()
        }
    }

    /// The same for other common windows.
    const fn walks<N: Nest<A, S, O>, G: Nest<A, S, O, Args = N::Args>>() -> Leaf<N::Args> {
        if const { O::WALKS && S::FUSED } { Leaf::of::<A, S, O, N>() } else { Self::tabled::<G>() }
    }

    /// A leaf of lanes that wait between two passes, where loading takes long.
    const fn converted<N: Nest<A, S, InLanes<O>, Args = flat::Flat>>() -> Leaf<flat::Flat> {
        if const { O::CONVERTS && Self::IS_FUSED } { Leaf::of::<A, S, InLanes<O>, N>() } else { Leaf::absent() }
    }

    /// A way that is not there is the first one.
    const ROWS: [[Leaf<rows::Rows>; 3]; rows::WAYS] = {
        let one = if const { Self::PERMUTES } { Self::rows_by::<{ rows::ONE }>() } else { [Leaf::absent(); 3] };
        let mut ways = [one; rows::WAYS];
        if const { S::TWO && Self::IS_TABLED } {
            ways[rows::TWO as usize] = Self::rows_by::<{ rows::TWO }>();
        }
        if const { S::HALVES > 1 && Self::IS_TABLED } {
            ways[rows::APART as usize] = [Leaf::of::<A, S, O, rows::Window<0, { rows::APART }>>(); 3];
        }
        if const { O::SHIFTED && Self::IS_TABLED } {
            ways[rows::OTHER as usize] = Self::rows_by::<{ rows::OTHER }>();
            // A tier that has no others loads the columns of such windows from a line.
            if const { S::FUSED } {
                ways[rows::EVERY as usize] = Self::rows_by::<{ rows::EVERY }>();
            }
        }
        ways
    };

    const fn rows_by<const HOW: u8>() -> [Leaf<rows::Rows>; 3] {
        let any = Self::tabled::<rows::Window<0, HOW>>();
        if const { Self::IS_FUSED } {
            let two = if HOW == rows::EVERY { any } else { Leaf::of::<A, S, O, rows::Window<2, HOW>>() };
            [any, two, Leaf::of::<A, S, O, rows::Window<3, HOW>>()]
        } else {
            [any; 3]
        }
    }

    pub(crate) fn leaves() -> &'static Leaves {
        const { &Self::LEAVES }
    }
}

fn words<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(constants: &Constants, divisor: usize) -> Words {
    // SAFETY: the constants are those of the table's operation.
    let op = unsafe { constants.get::<O>() };
    let mut words = Words::default();
    for (to, word) in words.iter_mut().zip(op.words(divisor)) {
        to[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(&word));
    }
    words
}
