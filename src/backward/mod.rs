//! Backward passes: from the gradient of a layer's output to the gradient of its input.
//!
//! An element of the input adds what the windows that hold it give back, in the windows' own row-major order, beginning with
//! +0: so the order of a sum is fixed by the geometry, no two elements share one, and any division of the work among threads
//! would give the same bits. Where more than 256 windows hold an element, they are added in blocks and the blocks as a tree
//! (`src/order.rs`). `axes.rs` finds the windows.
//!
//! | way | elements take their sums | for |
//! |---|---|---|
//! | `rows.rs` | a row of windows after the other; `lanes.rs` has the arithmetic | averages, sums, norms, adaptive averages; maxima whose indices count something else than pixels, and of 16-bit floats with channels side by side |
//! | `scatter.rs` | where the indices point, a window after the other | maxima whose indices count pixels |
//! | [`gather`](Adjoint::gather) | one by one | what is left: norms of infinity, elements that more than 256 windows hold |
//!
//! Indices are checked many at a time (`check.rs`), as what they are away from their windows' first taps (`codes.rs`).
//!
//! Sums are made in `f32` for `f32`, `f16` and `bf16` and in `f64` for `f64`, and rounded once. A NaN is the canonical one.

mod average;
mod axes;
mod check;
mod codes;
#[cfg(feature = "half")]
mod halves;
mod lanes;
mod lp;
mod max;
mod maxima;
mod rows;
mod scatter;
mod tree;

pub use average::AvgBackward;
pub use lp::LpBackward;
pub use max::MaxBackward;

use alloc::vec::Vec;

use crate::geometry::{Geometry, MAX_RANK, Window};
use crate::kernels::{vectorized, widest};
use crate::order::{BLOCK, LONGEST_CHAIN};
use crate::strides::Split;
use crate::{Element, Error, Layout, Result};
use axes::{Adjoint, Blocks, Covering, Strides};
use tree::Tree;

/// An element type that gradients can have: `f32`, `f64`, and with the feature `half` `f16` and `bf16`. Sealed.
pub trait Float: Element + sealed::Sealed {
    /// What gradients are summed in: `f64` for `f64`, `f32` for the others.
    #[doc(hidden)]
    type Acc: sealed::Sum;
    #[doc(hidden)]
    fn widened(self) -> Self::Acc;
    /// At most [`LANES`] elements, widened: `room` is for those that are not what they are summed in.
    #[doc(hidden)]
    fn widened_all<'a>(elements: &'a [Self], room: &'a mut [Self::Acc; LANES]) -> &'a [Self::Acc];
    /// Elements that are what they are summed in, as such.
    #[doc(hidden)]
    fn as_sums<'a>(read: &'a [Self], written: &'a mut [Self]) -> sealed::Both<'a, Self::Acc> {
        let _ = (read, written);
        None
    }
    /// To the nearest, ties to even; any NaN to the canonical one.
    #[doc(hidden)]
    fn narrowed(sum: Self::Acc) -> Self;
    /// Elements over a divisor: a power of two by a product, which is exact.
    #[doc(hidden)]
    #[inline(never)]
    fn over_all(elements: &[Self], divisor: usize, to: &mut [Self::Acc]) {
        use sealed::Sum;
        let by = Self::Acc::of(divisor);
        if divisor.is_power_of_two() {
            let by = Self::Acc::of(1).over(by);
            return widest(
                #[inline(always)]
                || {
                    for (to, from) in to.iter_mut().zip(elements) {
                        *to = from.widened().times(by);
                    }
                },
            );
        }
        widest(
            #[inline(always)]
            || {
                for (to, from) in to.iter_mut().zip(elements) {
                    *to = from.widened().over(by);
                }
            },
        );
    }
    /// Sums of pixels as elements, each rounded once, with `step` elements from one pixel to the next.
    #[doc(hidden)]
    #[inline(never)]
    fn narrowed_apart(sums: &[Self::Acc], to: &mut [Self], [step, channels]: [usize; 2]) {
        widest(
            #[inline(always)]
            || {
                if channels == 1 {
                    for (to, sum) in to.iter_mut().step_by(step.max(1)).zip(sums) {
                        *to = Self::narrowed(*sum);
                    }
                    return;
                }
                for (to, sums) in to.chunks_mut(step.max(1)).zip(sums.chunks_exact(channels.max(1))) {
                    for (to, sum) in to.iter_mut().zip(sums) {
                        *to = Self::narrowed(*sum);
                    }
                }
            },
        );
    }
    /// Elements of pixels with `step` from one to the next, side by side.
    #[doc(hidden)]
    #[inline(never)]
    fn widened_together(from: &[Self], to: &mut [Self::Acc], [step, channels]: [usize; 2]) {
        vectorized(
            #[inline(always)]
            || match (step, channels) {
                (2, 1) => {
                    let (pairs, last) = from.as_chunks::<2>();
                    let (to, rest) = to.split_at_mut_checked(pairs.len()).unwrap_or_default();
                    for (to, [from, _]) in to.iter_mut().zip(pairs) {
                        *to = from.widened();
                    }
                    rest.iter_mut().zip(last).for_each(|(to, from)| *to = from.widened());
                }
                _ => {
                    for (to, from) in to.chunks_mut(channels.max(1)).zip(from.chunks(step.max(1))) {
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.widened());
                    }
                }
            },
        );
    }
    /// Sums as elements, each rounded once.
    #[doc(hidden)]
    #[inline(never)]
    fn narrowed_all(sums: &[Self::Acc], to: &mut [Self]) {
        vectorized(
            #[inline(always)]
            || {
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = Self::narrowed(*sum);
                }
            },
        );
    }
    /// The same of sums that take turns, as many as there are whole pairs.
    #[doc(hidden)]
    #[inline(never)]
    fn interleaved(even: &[Self::Acc], odd: &[Self::Acc], to: &mut [Self]) {
        vectorized(
            #[inline(always)]
            || {
                for (pair, (even, odd)) in to.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
                    if let [to_even, to_odd] = pair {
                        (*to_even, *to_odd) = (Self::narrowed(*even), Self::narrowed(*odd));
                    }
                }
            },
        );
    }
}

mod sealed {
    use crate::kernels::Raising;

    pub trait Sealed {}

    /// What is read and what is written.
    pub type Both<'a, A> = Option<(&'a [A], &'a mut [A])>;

    /// What gradients are summed in.
    #[allow(private_interfaces, reason = "the module is private: nobody outside names the trait")]
    pub trait Sum: Raising + PartialOrd {
        const ZERO: Self;
        const NAN: Self;
        /// The nearest to a count.
        fn of(count: usize) -> Self;
        fn plus(self, other: Self) -> Self;
        fn times(self, other: Self) -> Self;
        fn over(self, other: Self) -> Self;
        fn magnitude(self) -> Self;
        /// 1 or −1; of a zero or a NaN itself.
        fn sign(self) -> Self;
        fn is_nan(self) -> bool;
        fn are_finite(all: &[Self]) -> bool;
    }
}

use sealed::Sum;

macro_rules! sums {
    ($($type:ident),+) => { $(
        impl Sum for $type {
            const ZERO: Self = 0.0;
            const NAN: Self = $type::NAN;
            fn of(count: usize) -> Self {
                count as Self
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                self / other
            }
            fn magnitude(self) -> Self {
                self.abs()
            }
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self
                }
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
            #[inline(never)]
            fn are_finite(all: &[Self]) -> bool {
                let finite = |all: &[Self]| all.iter().fold(0, |failed, one| failed | u32::from(!one.is_finite())) == 0;
                vectorized(
                    #[inline(always)]
                    || finite(all),
                )
            }
        }

        impl sealed::Sealed for $type {}
        impl Float for $type {
            type Acc = Self;
            #[inline(always)]
            fn widened(self) -> Self {
                self
            }
            fn widened_all<'a>(elements: &'a [Self], _room: &'a mut [Self; LANES]) -> &'a [Self] {
                elements
            }
            fn as_sums<'a>(read: &'a [Self], written: &'a mut [Self]) -> Option<(&'a [Self], &'a mut [Self])> {
                Some((read, written))
            }
            #[inline(always)]
            fn narrowed(sum: Self) -> Self {
                if sum.is_nan() { Self::NAN } else { sum }
            }
        }
    )+ };
}

sums!(f32, f64);

#[cfg(feature = "half")]
macro_rules! halves {
    ($($type:ident),+) => { $(
        impl sealed::Sealed for half::$type {}
        impl Float for half::$type {
            type Acc = f32;
            #[inline(always)]
            fn widened(self) -> f32 {
                halves::$type::widened(self.to_bits())
            }
            #[inline(never)]
            fn widened_all<'a>(elements: &'a [Self], room: &'a mut [f32; LANES]) -> &'a [f32] {
                room.iter_mut().zip(elements).for_each(|(to, from)| *to = from.widened());
                room.get(..elements.len()).unwrap_or_default()
            }
            #[inline(always)]
            fn narrowed(sum: f32) -> Self {
                let bits = halves::$type::narrowed(sum);
                if sum.is_nan() { Self::NAN } else { Self::from_bits(bits) }
            }
        }
    )+ };
}

#[cfg(feature = "half")]
halves!(f16, bf16);

/// Channels that are summed side by side, where they lie side by side.
const LANES: usize = 32;

/// A pixel of the input, and the windows that hold it.
struct Pixel {
    /// Where its first channel lies in the input.
    place: usize,
    /// Where the output's block begins.
    output: usize,
    /// The plane of the first channel.
    plane: usize,
    at: [usize; MAX_RANK],
    windows: [Covering; MAX_RANK],
}

impl Pixel {
    /// Whether so many windows hold it that they are added in blocks.
    fn is_crowded(&self) -> bool {
        self.windows.iter().map(|windows| windows.count).fold(1, usize::saturating_mul) > LONGEST_CHAIN
    }
}

/// One window that holds one pixel of the input, for some neighbouring channels.
#[derive(Clone, Copy, Debug)]
struct Tap {
    /// Where in the input the first channel of the pixel lies, and the first channel of the window's output in the output.
    input: usize,
    output: usize,
    /// The pixel.
    at: [usize; MAX_RANK],
    /// The window.
    window: [usize; MAX_RANK],
}

/// What windows give back to the pixels that they hold.
trait Gives<T: Float> {
    /// What is the same for all windows of a pixel.
    type Known: Copy;
    /// For a pixel, of which the first channel belongs to plane `plane`.
    fn known(&self, plane: usize, at: [usize; MAX_RANK]) -> Self::Known;
    /// The sum with what one window gives.
    fn one(&self, known: Self::Known, tap: &Tap, sum: T::Acc) -> T::Acc;
    /// Adds what one window gives to the sums of some neighbouring channels, at most [`LANES`].
    fn many(&self, known: Self::Known, tap: &Tap, sums: &mut [T::Acc]);
}

impl Adjoint {
    /// Fills the gradient of the input in some blocks. For every window that holds a pixel, in row-major order, something is added to
    /// the sums of some neighbouring channels.
    fn gather<T: Float>(&self, blocks: &Blocks, grad_input: &mut [T], gives: impl Gives<T>) {
        if self.split().inner == 1 {
            self.each_pixel(blocks, &mut |pixel| {
                if pixel.is_crowded() {
                    self.gather_many(pixel, blocks.base, grad_input, &gives);
                } else {
                    self.gather_one(pixel, blocks.base, grad_input, &gives);
                }
            });
        } else {
            self.each_pixel(blocks, &mut |pixel| self.gather_many(pixel, blocks.base, grad_input, &gives));
        }
    }

    /// Hands on the pixels of some blocks: compiled once.
    fn each_pixel(&self, blocks: &Blocks, work: &mut dyn FnMut(&Pixel)) {
        let [depth, height, width] = &self.axes;
        let Split { inner, .. } = self.split();
        for outer in blocks.range.clone() {
            let (input, output) = (self.input.block(outer), self.output.block(outer));
            for z in 0..depth.input() {
                let over_z = depth.covering(z);
                for y in 0..height.input() {
                    let over_y = height.covering(y);
                    for x in 0..width.input() {
                        let at = [z, y, x];
                        work(&Pixel {
                            place: input.saturating_add(self.input.pixel(at)),
                            output,
                            plane: outer.saturating_mul(inner),
                            at,
                            windows: [over_z, over_y, width.covering(x)],
                        });
                    }
                }
            }
        }
    }

    /// Hands on the windows that hold a pixel, for its channels from number `channel` on.
    #[inline(always)]
    fn each_tap(&self, pixel: &Pixel, channel: usize, mut work: impl FnMut(&Tap)) {
        let Pixel { place, output, at, windows: [over_z, over_y, over_x], .. } = *pixel;
        let (input, output) = (place.saturating_add(channel), output.saturating_add(channel));
        for oz in over_z.outputs() {
            for oy in over_y.outputs() {
                for ox in over_x.outputs() {
                    let window = [oz, oy, ox];
                    work(&Tap { input, output: output.saturating_add(self.output.pixel(window)), at, window });
                }
            }
        }
    }

    /// Fills a pixel of one channel. Compiled for each element and operation, as is [`Adjoint::gather_many`].
    #[inline(never)]
    fn gather_one<T: Float>(&self, pixel: &Pixel, base: usize, grad_input: &mut [T], gives: &impl Gives<T>) {
        let known = gives.known(pixel.plane, pixel.at);
        let mut sum = T::Acc::ZERO;
        self.each_tap(pixel, 0, |tap| sum = gives.one(known, tap, sum));
        if let Some(to) = grad_input.get_mut(pixel.place.wrapping_sub(base)) {
            *to = T::narrowed(sum);
        }
    }

    /// Fills the channels of one pixel.
    #[inline(never)]
    fn gather_many<T: Float>(&self, pixel: &Pixel, base: usize, grad_input: &mut [T], gives: &impl Gives<T>) {
        let channels = part_mut(grad_input, pixel.place.wrapping_sub(base), self.split().inner);
        let mut channel = 0_usize;
        for block in channels.chunks_mut(LANES) {
            let known = gives.known(pixel.plane.saturating_add(channel), pixel.at);
            let mut sums = [T::Acc::ZERO; LANES];
            let sums = sums.get_mut(..block.len()).unwrap_or_default();
            if pixel.is_crowded() {
                self.add_in_blocks(pixel, channel, sums, &mut |tap, sums| gives.many(known, tap, sums));
            } else {
                self.each_tap(pixel, channel, |tap| gives.many(known, tap, sums));
            }
            narrow(sums, block);
            channel = channel.saturating_add(LANES);
        }
    }

    /// Adds what the windows that hold a pixel give, in blocks of windows, and the blocks as a tree. Rare: compiled once for
    /// all operations.
    #[inline(never)]
    fn add_in_blocks<A: Sum>(
        &self,
        pixel: &Pixel,
        channel: usize,
        sums: &mut [A],
        add: &mut dyn FnMut(&Tap, &mut [A]),
    ) {
        let mut tree = Tree::new();
        let mut left = BLOCK;
        self.each_tap(pixel, channel, |tap| {
            if left == 0 {
                tree.push(sums);
                left = BLOCK;
            }
            add(tap, sums);
            left = left.saturating_sub(1);
        });
        tree.push(sums);
        tree.sum(sums);
    }

    fn check_gradients<T>(&self, grad_output: &[T], grad_input: &[T], blocks: &Blocks) -> Result<()> {
        let need = if blocks.range.len() == self.split().outer { self.input_len() } else { self.part_len(blocks) };
        self.check_gradient_lens(grad_output.len(), [grad_input.len(), need])
    }

    fn check_gradient_lens(&self, output: usize, [input, need]: [usize; 2]) -> Result<()> {
        for (of, got, need) in [("output", output, self.output_len()), ("input", input, need)] {
            if got != need {
                return Err(Error::GradientLen { of, need, got });
            }
        }
        Ok(())
    }

    /// `bytes`: the longest element.
    fn of_window(window: &Window, layout: Layout, shape: &[usize], strides: Strides<'_>, bytes: usize) -> Result<Self> {
        Self::sliding(&Geometry::new(window, layout, shape, bytes)?, layout, strides, bytes)
    }
}

/// The sums as elements, each rounded once.
#[inline(never)]
fn narrow<T: Float>(sums: &[T::Acc], to: &mut [T]) {
    for (to, sum) in to.iter_mut().zip(sums) {
        *to = T::narrowed(*sum);
    }
}

/// Some neighbouring elements, those of a pixel's channels for example; none where they are not there, which the lengths
/// exclude.
fn part<T>(all: &[T], from: usize, len: usize) -> &[T] {
    all.get(from..from.saturating_add(len)).unwrap_or_default()
}

fn part_mut<T>(all: &mut [T], from: usize, len: usize) -> &mut [T] {
    all.get_mut(from..from.saturating_add(len)).unwrap_or_default()
}

/// What every backward pass tells of itself.
macro_rules! shapes {
    ($type:ident<$($generic:ident),+>) => {
        impl<$($generic),+> $type<$($generic),+> {
            /// Elements of the layer's input, and of its gradient: those of the shape, or where the plan was given strides, from
            /// the first to the last.
            pub fn input_len(&self) -> usize {
                self.layer.input_len()
            }

            /// Elements of the layer's output, and of its gradient, likewise.
            pub fn output_len(&self) -> usize {
                self.layer.output_len()
            }

            /// The shape of the layer's input, `N, C, spatial…`, whatever the layout.
            pub fn input_shape(&self) -> Vec<usize> {
                self.layer.input_shape()
            }

            /// The shape of the layer's output, `N, C, spatial…`, whatever the layout.
            pub fn output_shape(&self) -> Vec<usize> {
                self.layer.output_shape()
            }

            /// The layout of all tensors.
            pub fn layout(&self) -> Layout {
                self.layer.layout
            }
        }
    };
}

shapes!(AvgBackward<T>);
shapes!(LpBackward<T>);
shapes!(MaxBackward<T, I>);
