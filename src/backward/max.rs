//! The backward pass of maxima and minima: the gradient of a window goes to the one tap that won it.

use core::cmp::Ordering;
use core::marker::PhantomData;

use super::axes::{Adjoint, Taps, Windows, offset};
use super::sealed::Sum as _;
use super::{Float, LANES, channels};
use crate::geometry::MAX_RANK;
use crate::{Error, Index, IndexKind, Layout, MaxPool, MinPool, NanPolicy, Result};

/// The backward pass of [`MaxPool`], [`MinPool`] and adaptive max pooling.
///
/// `grad_input[i] = Σ grad_output[o]` over the windows `o` whose index names `i`, in the windows' row-major order. Sums are made in
/// `f32` (in `f64` for `f64`) and rounded once.
///
/// The indices come from the forward pass, PyTorch's or ONNX's, or are found again in the input. Then they follow the rule at
/// [`IndexKind`]: the first among equals; with NaN, the last NaN, or with [`NanPolicy::Ignore`] only where there is
/// nothing else.
///
/// ```
/// use lanepool::{IndexKind, Layout, MaxPool};
/// let layer = MaxPool::<f32>::new([2]).stride([1]);
/// let backward = layer.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 4])?;
/// let mut grad_input = vec![0.0; backward.input_len()];
/// backward.run(&[1.0, 2.0, 4.0], &[1, 1, 2], &mut grad_input)?;
/// assert_eq!(grad_input, [0.0, 3.0, 4.0, 0.0]);
///
/// // The same from the input: the indices are a by-product.
/// let mut indices = vec![0; backward.output_len()];
/// backward.run_from_input(&[5.0, 7.0, 6.0, 6.0], &[1.0, 2.0, 4.0], &mut indices, &mut grad_input)?;
/// assert_eq!((indices, grad_input), (vec![1, 1, 2], vec![0.0, 3.0, 4.0, 0.0]));
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaxBackward<T, I> {
    pub(super) layer: Adjoint,
    kind: IndexKind,
    /// What a value must be, compared with the best so far, to take its place: greater for a maximum.
    wins: Ordering,
    nan: NanPolicy,
    types: PhantomData<fn() -> (T, I)>,
}

impl<T: Float> MaxPool<T> {
    /// The backward pass for an input of shape `N, C, spatial…`, with indices of type `I` that count as `kind` says. The tier is
    /// not asked for: it runs on all alike.
    ///
    /// # Errors
    /// Whatever is wrong with the window or the shape, as for [`MaxPool::plan`](crate::Pool::plan);
    /// [`Error::IndexTooNarrow`] where `I` cannot hold every index.
    pub fn backward<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        let layer = Adjoint::of_window::<T>(self.window(), layout, shape.as_ref())?;
        MaxBackward::new(layer, kind, Ordering::Greater, self.operation().nan)
    }
}

impl<T: Float> MinPool<T> {
    /// As [`MaxPool::backward`], for minima.
    ///
    /// # Errors
    /// As there.
    pub fn backward<I: Index>(
        &self,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<MaxBackward<T, I>> {
        let layer = Adjoint::of_window::<T>(self.window(), layout, shape.as_ref())?;
        MaxBackward::new(layer, kind, Ordering::Less, self.operation().nan)
    }
}

impl<T: Float, I: Index> MaxBackward<T, I> {
    fn new(layer: Adjoint, kind: IndexKind, wins: Ordering, nan: NanPolicy) -> Result<Self> {
        let this = Self { layer, kind, wins, nan, types: PhantomData };
        let places = match kind {
            IndexKind::Tap => this.layer.axes.iter().map(Windows::most_taps).fold(1, usize::saturating_mul),
            _ => this.places([0; MAX_RANK]),
        };
        let most = places.saturating_sub(1);
        if most as u64 > I::MOST {
            return Err(Error::IndexTooNarrow { index: I::NAME, most });
        }
        Ok(this)
    }

    /// The backward pass of adaptive max pooling to `output` lengths, for an input of shape `N, C, spatial…`: output `o` of `m`
    /// covers `[⌊o·n/m⌋, ⌈(o+1)·n/m⌉)` of `n` inputs (PyTorch).
    ///
    /// ```
    /// use lanepool::{IndexKind, Layout, MaxBackward};
    /// let backward = MaxBackward::<f32, i64>::adaptive([2], IndexKind::Plane, Layout::Nchw, [1, 1, 3])?;
    /// let mut grad_input = [0.0; 3];
    /// backward.run(&[2.0, 4.0], &[1, 1], &mut grad_input)?;
    /// assert_eq!(grad_input, [0.0, 6.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the shape or the output's lengths, of which none may be 0; [`Error::IndexTooNarrow`] where `I`
    /// cannot hold every index.
    pub fn adaptive(
        output: impl AsRef<[usize]>,
        kind: IndexKind,
        layout: Layout,
        shape: impl AsRef<[usize]>,
    ) -> Result<Self> {
        let layer = Adjoint::adaptive(output.as_ref(), layout, shape.as_ref(), size_of::<T>())?;
        Self::new(layer, kind, Ordering::Greater, NanPolicy::Propagate)
    }

    /// Computes the gradient of the input from that of the output and the indices of the forward pass, which lie in memory as
    /// the output does. Allocates nothing; every element is written. Every index is checked before the first write.
    ///
    /// # Errors
    /// [`Error::GradientLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs;
    /// [`Error::IndexOutOfRange`] or [`Error::IndexOutsideWindow`] for the first index that no forward pass of this layer could
    /// have given. −1 is an index of windows without a valid tap, and of no others. Nothing is written then.
    pub fn run(&self, grad_output: &[T], indices: &[I], grad_input: &mut [T]) -> Result<()> {
        self.layer.check_gradients(grad_output, grad_input)?;
        self.check_index_len(indices)?;
        self.check_indices(indices)?;
        self.gather(grad_output, indices, grad_input);
        Ok(())
    }

    /// The same from the input instead of its indices, which are found again and written to `indices`.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::GradientLen`] or [`Error::IndexLen`] where a slice is not exactly as long as the plan needs.
    /// Nothing is written then.
    pub fn run_from_input(
        &self,
        input: &[T],
        grad_output: &[T],
        indices: &mut [I],
        grad_input: &mut [T],
    ) -> Result<()> {
        let need = self.layer.input_len();
        if input.len() != need {
            return Err(Error::SrcLen { need, got: input.len() });
        }
        self.layer.check_gradients(grad_output, grad_input)?;
        self.check_index_len(indices)?;
        self.find(input, indices);
        self.gather(grad_output, indices, grad_input);
        Ok(())
    }

    fn check_index_len(&self, indices: &[I]) -> Result<()> {
        let (need, got) = (self.layer.output_len(), indices.len());
        if need == got { Ok(()) } else { Err(Error::IndexLen { need, got }) }
    }

    /// How many places an index of this window can name.
    fn places(&self, window: [usize; MAX_RANK]) -> usize {
        match self.kind {
            IndexKind::Plane => self.layer.input_plane(),
            IndexKind::Tensor | IndexKind::TensorColumnMajor => self.layer.input_len(),
            IndexKind::Tap => self.taps(window).iter().map(|taps| taps.kernel).fold(1, usize::saturating_mul),
        }
    }

    fn taps(&self, [z, y, x]: [usize; MAX_RANK]) -> [Taps; MAX_RANK] {
        let [depth, height, width] = &self.layer.axes;
        [depth.taps(z), height.taps(y), width.taps(x)]
    }

    /// The index of a pixel in a window: of channels in one plane after the other, the first one's, and how much further each
    /// next one's is. `numbers` are the pixel's tap numbers, read for [`IndexKind::Tap`] only.
    fn index(
        &self,
        plane: usize,
        at: [usize; MAX_RANK],
        numbers: impl FnOnce() -> ([usize; MAX_RANK], [usize; MAX_RANK]),
    ) -> (usize, usize) {
        let inputs @ [depth, height, _] = self.layer.axes.map(|axis| axis.input());
        let in_tensor = |place: usize| {
            let plane_len = self.layer.input_plane();
            (plane.saturating_mul(plane_len).saturating_add(place), plane_len)
        };
        match self.kind {
            IndexKind::Plane => (offset(at, inputs), 0),
            IndexKind::Tensor => in_tensor(offset(at, inputs)),
            IndexKind::TensorColumnMajor => {
                let [z, y, x] = at;
                in_tensor(offset([x, y, z], [0, height, depth]))
            }
            IndexKind::Tap => {
                let (numbers, kernel) = numbers();
                (offset(numbers, kernel), 0)
            }
        }
    }

    /// Whether an index in range names a valid tap of a window of plane `plane`.
    fn names_a_tap(&self, index: usize, plane: usize, taps: &[Taps; MAX_RANK]) -> bool {
        let split =
            |offset: usize, by: usize| (offset.checked_div(by).unwrap_or(0), offset.checked_rem(by).unwrap_or(0));
        let [depth, height, width] = self.layer.axes.map(|axis| axis.input());
        let in_plane = |index: usize| {
            let plane_len = self.layer.input_plane();
            index.checked_sub(plane.saturating_mul(plane_len)).filter(|offset| *offset < plane_len)
        };
        let row_major = |offset: usize, height: usize, width: usize| {
            let (rest, x) = split(offset, width);
            let (z, y) = split(rest, height);
            [z, y, x]
        };
        let is_tap = |at: [usize; MAX_RANK]| taps.iter().zip(at).all(|(taps, at)| taps.number(at).is_some());
        match self.kind {
            IndexKind::Plane => is_tap(row_major(index, height, width)),
            IndexKind::Tensor => in_plane(index).is_some_and(|offset| is_tap(row_major(offset, height, width))),
            IndexKind::TensorColumnMajor => in_plane(index).is_some_and(|offset| {
                let [x, y, z] = row_major(offset, height, depth);
                is_tap([z, y, x])
            }),
            IndexKind::Tap => {
                let [_, height, width] = taps;
                let numbers = row_major(index, height.kernel, width.kernel);
                let is_valid = |(taps, number): (&Taps, usize)| {
                    number.checked_sub(taps.skipped).is_some_and(|number| number < taps.count)
                };
                taps.iter().zip(numbers).all(is_valid)
            }
        }
    }

    /// Calls `work` for every window, in the order of memory: the plane of its first channel, and where it lies.
    fn each_window<E>(
        &self,
        mut work: impl FnMut(usize, [usize; MAX_RANK]) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        let [depth, height, width] = self.layer.axes.map(|axis| axis.output());
        for outer in 0..self.layer.outer {
            for z in 0..depth {
                for y in 0..height {
                    for x in 0..width {
                        work(outer.saturating_mul(self.layer.inner), [z, y, x])?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_indices(&self, indices: &[I]) -> Result<()> {
        if indices.is_empty() {
            return Ok(());
        }
        let mut windows = indices.chunks_exact(self.layer.inner.max(1)).enumerate();
        self.each_window(|plane, window| {
            let Some((number, indices)) = windows.next() else { return Ok(()) };
            let (taps, len) = (self.taps(window), self.places(window));
            let is_empty = taps.iter().any(|taps| taps.count == 0);
            for (channel, &index) in indices.iter().enumerate() {
                let at = || number.saturating_mul(self.layer.inner).saturating_add(channel);
                if is_empty && index == I::NONE {
                    continue;
                }
                let offset = index.to_offset().filter(|offset| *offset < len);
                let Some(offset) = offset else {
                    return Err(Error::IndexOutOfRange { at: at(), index: index.to_i64(), len });
                };
                if !self.names_a_tap(offset, plane.saturating_add(channel), &taps) {
                    return Err(Error::IndexOutsideWindow { at: at(), index: index.to_i64() });
                }
            }
            Ok(())
        })
    }

    /// Adds to each pixel the gradients of the windows that name it.
    fn gather(&self, grad_output: &[T], indices: &[I], grad_input: &mut [T]) {
        self.layer.gather(grad_input, |tap, sums| {
            let numbers = || {
                let taps = self.taps(tap.window);
                let mut numbers = [0; MAX_RANK];
                for (number, (taps, at)) in numbers.iter_mut().zip(taps.iter().zip(tap.at)) {
                    *number = taps.number(at).unwrap_or(usize::MAX);
                }
                (numbers, taps.map(|taps| taps.kernel))
            };
            let (first, step) = self.index(tap.plane, tap.at, numbers);
            let lanes = sums.len();
            let outputs = channels(indices, tap.output, lanes).iter().zip(channels(grad_output, tap.output, lanes));
            let add = |sum: &mut T::Acc, is_named: bool, gradient: &T| {
                let more = sum.plus(gradient.widened());
                *sum = if is_named { more } else { *sum };
            };
            if step == 0 {
                let Some(here) = I::from_offset(first) else { return };
                for (sum, (index, gradient)) in sums.iter_mut().zip(outputs) {
                    add(sum, *index == here, gradient);
                }
            } else {
                for (channel, (sum, (index, gradient))) in sums.iter_mut().zip(outputs).enumerate() {
                    let here = I::from_offset(first.saturating_add(channel.saturating_mul(step)));
                    add(sum, Some(*index) == here, gradient);
                }
            }
        });
    }

    /// Whether `value` takes the place of `best`, which came before it.
    fn replaces(&self, value: T::Acc, best: T::Acc) -> bool {
        let wins = value.partial_cmp(&best) == Some(self.wins);
        match self.nan {
            // The last NaN: once there is one, nothing else is greater.
            NanPolicy::Propagate => wins || value.is_nan(),
            // Anything is better than NaN, and a later NaN takes the place of an earlier one.
            NanPolicy::Ignore => wins || best.is_nan(),
        }
    }

    /// Finds the index of every window, some neighbouring channels at a time.
    fn find(&self, input: &[T], indices: &mut [I]) {
        if indices.is_empty() {
            return;
        }
        let inner = self.layer.inner;
        let inputs = self.layer.axes.map(|axis| axis.input());
        let mut windows = indices.chunks_exact_mut(inner.max(1));
        let _: core::result::Result<(), core::convert::Infallible> = self.each_window(|plane, window| {
            let Some(indices) = windows.next() else { return Ok(()) };
            let taps = self.taps(window);
            let kernel = taps.map(|taps| taps.kernel);
            let [depth, height, width] = taps;
            let block = plane.checked_div(inner).unwrap_or(0).saturating_mul(self.layer.input_plane());
            let mut channel = 0_usize;
            for indices in indices.chunks_mut(LANES) {
                indices.fill(I::NONE);
                let mut best = [T::Acc::ZERO; LANES];
                let mut is_first = true;
                for (z, tz) in depth.iter() {
                    for (y, ty) in height.iter() {
                        for (x, tx) in width.iter() {
                            let at = [z, y, x];
                            let (first, step) =
                                self.index(plane.saturating_add(channel), at, || ([tz, ty, tx], kernel));
                            let pixel = block.saturating_add(offset(at, inputs));
                            let from = pixel.saturating_mul(inner).saturating_add(channel);
                            let values = channels(input, from, indices.len());
                            for (lane, ((index, best), value)) in
                                indices.iter_mut().zip(&mut best).zip(values).enumerate()
                            {
                                let value = value.widened();
                                if is_first || self.replaces(value, *best) {
                                    *best = value;
                                    let here = first.saturating_add(lane.saturating_mul(step));
                                    *index = I::from_offset(here).unwrap_or(I::NONE);
                                }
                            }
                            is_first = false;
                        }
                    }
                }
                channel = channel.saturating_add(LANES);
            }
            Ok(())
        });
    }
}
