//! A kernel: a driver with its program, and the leaves of one lane operation on one tier.

use alloc::boxed::Box;
use core::any::type_name;
use core::fmt;
use core::ops::Range;

use super::choose;
use super::driver::divisors::Divisors;
use super::driver::staged::Staged;
use super::driver::{Core, Driver, Io, Layer, Twin};
use super::leaf::{Constants, Table};
use super::simd::{Lane, LaneOp, Tables};
use crate::order::Order;

/// A layer bound to a tier: chosen once, run many times.
pub(crate) struct Kernel {
    core: Core,
    driver: Box<dyn Driver>,
    /// The tier's token and the element in memory, as the compiler names their types.
    types: [&'static str; 2],
}

impl Kernel {
    /// An operation on a layer, by the first driver that takes it, or by the one of this name if it does. What depends
    /// on the lane operation's type is this little, and its leaves.
    pub(crate) fn new<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(
        _token: S,
        op: O,
        layer: &Layer,
        driver: Option<&str>,
    ) -> Option<Self> {
        const { assert!(!O::WATCH, "who watches has a careful twin") };
        Self::of::<A, S, O>(op, None, layer, driver)
    }

    /// The same where the operation watches for inputs that `careful` is for.
    ///
    /// A lane of the operation is an element in memory, and the twin's are as long: so both follow the same program.
    pub(crate) fn watched<
        A: Lane,
        S: Tables<A> + Tables<B>,
        O: LaneOp<A, S, T = A>,
        B: Lane,
        C: LaneOp<B, S, T = B>,
    >(
        _token: S,
        op: O,
        careful: C,
        layer: &Layer,
        driver: Option<&str>,
    ) -> Option<Self> {
        const { assert!(O::WATCH && !C::WATCH && size_of::<A>() == size_of::<B>()) };
        Self::of::<A, S, O>(op, Some(twin::<B, S, C>(careful)), layer, driver)
    }

    fn of<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(
        op: O,
        careful: Option<Twin>,
        layer: &Layer,
        driver: Option<&str>,
    ) -> Option<Self> {
        let hot = twin::<A, S, O>(op);
        let mut identity = [0; 8];
        identity[..size_of::<O::T>()].copy_from_slice(bytemuck::bytes_of(&op.identity()));
        Self::plan(hot, careful, identity, layer, driver, [type_name::<S>(), type_name::<O::T>()])
    }

    fn plan(
        hot: Twin,
        careful: Option<Twin>,
        identity: [u8; 8],
        layer: &Layer,
        driver: Option<&str>,
        types: [&'static str; 2],
    ) -> Option<Self> {
        let divisors = Divisors::new(layer, hot.leaves, &hot.constants);
        let core = Core { layer: *layer, order: Order::of(&layer.geometry), hot, careful, divisors, identity };
        let driver = choose::driver(&core, driver)?;
        Some(Self { core, driver, types })
    }

    /// The same layer by the driver of norms, which has the kernel of another operation on lanes of its own.
    pub(crate) fn staged(self, stages: Staged) -> Self {
        let types = [stages.tier(), self.types[1]];
        Self { driver: Box::new(stages), types, ..self }
    }

    /// As the compiler names its type.
    pub(crate) fn tier(&self) -> &'static str {
        self.types[0]
    }

    /// In which order sums are added.
    pub(crate) fn order(&self) -> Order {
        self.core.order
    }

    /// The name of the driver.
    pub(crate) fn driver(&self) -> &'static str {
        self.driver.name()
    }

    /// Bytes of an element in memory.
    pub(crate) fn element_bytes(&self) -> usize {
        self.core.facts().memory
    }

    /// Bytes that the kernel holds, itself and what it points to.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.core.divisors.bytes() + self.driver.bytes()
    }

    /// # Safety
    /// As for [`Driver::run`], but for the tier, which a token has shown.
    // A function of its own, where `scripts/instructions` begins to count.
    #[inline(never)]
    pub(crate) unsafe fn run(&self, io: &Io, rows: Range<usize>) {
        self.note();
        // SAFETY: the same contract, and `new` was given the tier's token.
        unsafe { self.driver.run(&self.core, io, rows) };
    }

    /// The same for a part of another kernel's run.
    ///
    /// # Safety
    /// As for `run`.
    pub(crate) unsafe fn run_inner(&self, io: &Io, rows: Range<usize>) {
        // SAFETY: the same contract.
        unsafe { self.driver.run(&self.core, io, rows) };
    }

    /// The same as `run`, with long rows shared between threads: see [`Driver::run_shared`].
    ///
    /// # Safety
    /// As for `run`.
    #[cfg(feature = "rayon")]
    pub(crate) unsafe fn run_shared(&self, io: &Io, rows: Range<usize>, pieces: usize) {
        // SAFETY: the same contract, and `new` was given the tier's token.
        unsafe {
            if !self.driver.run_shared(&self.core, io, rows.clone(), pieces) {
                return self.run(io, rows);
            }
        }
        self.note();
    }

    fn note(&self) {
        #[cfg(feature = "count-runs")]
        super::runs::note([self.types[0], self.driver.name(), self.types[1]]);
    }
}

/// A lane operation on the tier of a token, as a driver knows it.
pub(crate) fn twin_on<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(_token: S, op: O) -> Twin {
    twin::<A, S, O>(op)
}

fn twin<A: Lane, S: Tables<A>, O: LaneOp<A, S>>(op: O) -> Twin {
    let mut fill = [0; 8];
    fill[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(&op.fill()));
    Twin { leaves: Table::<A, S, O>::leaves(), constants: Constants::new(op), fill }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [tier, element] = self.types;
        write!(f, "{element} in {} on {tier}: {:?}", self.core.order.name(), self.driver)
    }
}
