//! Values on their way: which blocks a task has, what is looked at before the first write, and the scatter.

use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;
use alloc::vec::Vec;
use bytemuck::Pod;

use crate::geometry::MAX_RANK;
use crate::index::Indices;
use crate::kernels::vectorized;
use crate::strides::{Split, Tensor};
use crate::{Element, Error, Index, IndexKind, Layout, Result, Tasks};

/// A max unpooling for tensors of one shape and layout. Made by [`MaxUnpool::plan`](crate::MaxUnpool::plan); allocates nothing when it runs.
#[derive(Clone, Debug)]
pub struct Unpool<T, I> {
    pub(super) layer: Arc<Places>,
    pub(super) types: PhantomData<fn() -> (T, I)>,
}

/// Where values come from and where they may go, whatever they are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) kind: IndexKind,
    pub(super) layout: Layout,
    pub(super) input: Tensor,
    /// Its planes hold the plane that the indices count in, in their first corner.
    pub(super) output: Tensor,
    /// The plane that the indices count in.
    pub(super) plane: [usize; MAX_RANK],
    pub(super) plane_len: usize,
    /// The output's plane is the plane that indices count in, in the order that they count in.
    pub(super) keeps_order: bool,
    /// Places that an index can name.
    pub(super) places: usize,
    pub(super) shape: Vec<usize>,
    pub(super) output_shape: Vec<usize>,
}

impl<T, I> Unpool<T, I> {
    /// Elements that the input slice must have, and indices: those of the shape, or where the plan was given strides, from the first to
    /// the last.
    pub fn input_len(&self) -> usize {
        self.layer.input.extent()
    }

    /// Elements that the output slice must have, likewise.
    pub fn output_len(&self) -> usize {
        self.layer.output.extent()
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> &[usize] {
        &self.layer.shape
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> &[usize] {
        &self.layer.output_shape
    }

    /// The layout of input, indices and output.
    pub fn layout(&self) -> Layout {
        self.layer.layout
    }
}

impl<T: Element, I: Index> Unpool<T, I> {
    /// Writes every value of `src` where its index points, and zero everywhere else (but not to the gaps of a plan with strides). The
    /// indices lie in memory as the values do.
    ///
    /// # Errors
    /// [`Error::SrcLen`], [`Error::IndexLen`] or [`Error::DstLen`] where a slice is not exactly as long as the plan needs, and
    /// [`Error::IndexOutOfRange`] for the first index that names no place, −1 among them. Nothing is written then.
    pub fn run(&self, src: &[T], indices: &[I], dst: &mut [T]) -> Result<()> {
        let blocks = 0..self.layer.blocks();
        self.layer.check_lens([src.len(), indices.len(), dst.len()], &blocks)?;
        self.layer.check_indices(indices, &blocks)?;
        self.scatter(src, indices, dst, blocks);
        Ok(())
    }

    /// Unpools on the rayon pool of the calling thread, as [`Plan::run_parallel`](crate::Plan::run_parallel).
    ///
    /// # Errors
    /// As for [`Unpool::run`]: every index is looked at before any thread writes.
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[T], indices: &[I], dst: &mut [T]) -> Result<()> {
        let moved = size_of_val(src).saturating_add(size_of_val(indices)).saturating_add(size_of_val(dst));
        self.run_parallel_in(crate::tasks::worth(moved), src, indices, dst)
    }

    /// [`Unpool::run_parallel`] in at most so many tasks, for tests: any number gives the same bytes.
    #[cfg(feature = "rayon")]
    #[doc(hidden)]
    pub fn run_parallel_in(&self, most: usize, src: &[T], indices: &[I], dst: &mut [T]) -> Result<()> {
        let blocks = 0..self.layer.blocks();
        self.layer.check_lens([src.len(), indices.len(), dst.len()], &blocks)?;
        self.layer.check_indices(indices, &blocks)?;
        let tasks = self.tasks(most);
        tasks.fork(0..tasks.len(), dst, 1, &|task, part| {
            self.scatter(src, indices, part, self.layer.blocks_of(&tasks, task)?);
            Ok(())
        })
    }

    /// Cuts the output into at most `most` parts that can be computed apart: planes, or channels last, images; of indices that count
    /// in the whole tensor there is one part alone. See [`Unpool::run_task`].
    pub fn tasks(&self, most: usize) -> Tasks {
        self.layer.tasks(most)
    }

    /// Writes one part of the output, the range [`Tasks::range`], from all values and indices; nothing else is written. All tasks, on any
    /// threads and in any order, give the bytes of [`Unpool::run`].
    ///
    /// ```
    /// use lanepool::{Layout, MaxUnpool};
    /// let plan = MaxUnpool::<f32>::new([2]).stride([2]).plan::<i64>(Layout::Nchw, [1, 2, 2])?;
    /// let (mut y, tasks) = ([-1.0; 8], plan.tasks(2));
    /// for task in 0..tasks.len() {
    ///     plan.run_task(&tasks, task, &[1.0, 2.0, 3.0, 4.0], &[0, 3, 1, 2], &mut y[tasks.range(task)])?;
    /// }
    /// assert_eq!(y, [1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Unpool::run`], of the part's own indices, and for [`Plan::run_task`](crate::Plan::run_task). Nothing is written then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[T], indices: &[I], part: &mut [T]) -> Result<()> {
        let blocks = self.layer.blocks_of(tasks, task)?;
        self.layer.check_lens([src.len(), indices.len(), part.len()], &blocks)?;
        self.layer.check_indices(indices, &blocks)?;
        self.scatter(src, indices, part, blocks);
        Ok(())
    }

    /// Values are moved, whatever they are, and zero is zeros in every type: as integers of their length.
    fn scatter(&self, src: &[T], indices: &[I], part: &mut [T], blocks: Range<usize>) {
        match size_of::<T>() {
            1 => self.layer.scatter::<u8, I>(cast(src), indices, cast_mut(part), blocks),
            2 => self.layer.scatter::<u16, I>(cast(src), indices, cast_mut(part), blocks),
            4 => self.layer.scatter::<u32, I>(cast(src), indices, cast_mut(part), blocks),
            _ => self.layer.scatter::<u64, I>(cast(src), indices, cast_mut(part), blocks),
        }
    }
}

/// Elements as integers of the same length.
fn cast<T: Pod, U: Pod>(elements: &[T]) -> &[U] {
    bytemuck::try_cast_slice(elements).unwrap_or_default()
}

fn cast_mut<T: Pod, U: Pod>(elements: &mut [T]) -> &mut [U] {
    bytemuck::try_cast_slice_mut(elements).unwrap_or_default()
}

impl Places {
    /// The lengths are those of the values, the indices and the part of the output that these blocks are.
    fn check_lens(&self, [src, indices, dst]: [usize; 3], blocks: &Range<usize>) -> Result<()> {
        let (need, need_dst) = (self.input.extent(), self.output.rows().span(self.output.rows_of(blocks)).len());
        if src != need {
            return Err(Error::SrcLen { need, got: src });
        }
        if indices != need {
            return Err(Error::IndexLen { need, got: indices });
        }
        if dst != need_dst {
            return Err(Error::DstLen { need: need_dst, got: dst });
        }
        Ok(())
    }

    /// Blocks of channels. None without a batch or without channels, where there is no output either.
    fn blocks(&self) -> usize {
        if self.input.extent() == 0 { 0 } else { self.input.split.outer }
    }

    /// A value stays in its block where indices count in its plane, and a task is some blocks; otherwise it is all of them.
    fn tasks(&self, most: usize) -> Tasks {
        let most = if self.kind == IndexKind::Plane { most } else { 1 };
        Tasks::of_blocks(most, &self.output.rows(), self.output.rows_of_block())
    }

    fn blocks_of(&self, tasks: &Tasks, task: usize) -> Result<Range<usize>> {
        self.output.blocks_of(tasks, task)
    }

    /// Writes some blocks, whose memory `dst` is. Their indices were looked at.
    #[inline(never)]
    fn scatter<U: Pod, I: Index>(&self, src: &[U], indices: &[I], dst: &mut [U], blocks: Range<usize>) {
        if blocks.is_empty() {
            return;
        }
        let is_packed = self.kind == IndexKind::Plane && self.keeps_order && self.output.has_packed_planes();
        if !is_packed {
            let outputs = self.output.rows();
            outputs.for_each_run(dst, 1, self.output.rows_of(&blocks), &mut |run: &mut [U], _| run.fill(U::zeroed()));
        }
        let mut put = |from: usize, to: usize| {
            if let (Some(value), Some(to)) = (src.get(from), dst.get_mut(to)) {
                *to = *value;
            }
        };
        match self.kind {
            _ if is_packed => self.scatter_in_packed_planes(src, indices, dst, blocks),
            IndexKind::Plane => self.in_planes(Indices::new(indices), blocks, &mut put),
            _ => self.in_tensor(Indices::new(indices), &mut put),
        }
    }

    /// Whether every index of these blocks names a place.
    #[inline(never)]
    fn check_indices<I: Index>(&self, indices: &[I], blocks: &Range<usize>) -> Result<()> {
        let names_none = |index: &I| index.to_offset().is_none_or(|offset| offset >= self.places);
        let places = self.places as u64;
        let (rows, of_blocks) = (self.input.rows(), self.input.rows_of(blocks));
        let before = rows.span(of_blocks.clone()).start;
        let mut wrong = None;
        rows.each_run(of_blocks, |run, _| {
            let start = before.saturating_add(run.start);
            let run = indices.get(start..before.saturating_add(run.end)).unwrap_or(&[]);
            // Without a look at which, so that many are compared at a time. What is negative is beyond every place.
            let all_do = vectorized(
                #[inline(always)]
                || run.iter().fold(true, |all, index| all & ((index.to_i64() as u64) < places)),
            );
            if wrong.is_none() && !all_do {
                let at = run.iter().position(names_none);
                wrong = at.map(|at| start.saturating_add(at));
            }
        });
        let Some(at) = wrong else { return Ok(()) };
        let index = indices.get(at).map_or(-1, |index| index.to_i64());
        Err(Error::IndexOutOfRange { at, index, len: self.places })
    }

    /// Hands on where each row of an input block begins, in row-major order.
    fn each_row(&self, work: &mut dyn FnMut(usize)) {
        let [depth, height, _] = self.input.lengths;
        for z in 0..depth {
            for y in 0..height {
                work(self.input.pixel([z, y, 0]));
            }
        }
    }

    /// The same where an index is a place in memory, but for the channels between: a plane is zeroed when it is its turn, and
    /// waits in the cache.
    fn scatter_in_packed_planes<U: Pod, I: Index>(
        &self,
        src: &[U],
        indices: &[I],
        dst: &mut [U],
        blocks: Range<usize>,
    ) {
        let inner = self.input.split.inner;
        let [depth, height, width] = self.input.lengths;
        let (len, step) = (self.output.plane_len().saturating_mul(inner), self.input.pixel_step());
        let base = self.output.block(blocks.start);
        for block in blocks {
            let (from, to) = (self.input.block(block), self.output.block(block).saturating_sub(base));
            let plane = dst.get_mut(to..to.saturating_add(len)).unwrap_or_default();
            plane.fill(U::zeroed());
            // Pixels that follow each other are one run, whose channels take turns.
            let is_run = step == inner;
            let rows = (0..depth).flat_map(|z| (0..height).map(move |y| self.input.pixel([z, y, 0])));
            for row in rows {
                let (pixels, lanes) = if is_run { (1, width.saturating_mul(inner)) } else { (width, inner) };
                for pixel in 0..pixels {
                    let at = from.saturating_add(row).saturating_add(pixel.saturating_mul(step));
                    let run = at..at.saturating_add(lanes);
                    let (values, indices) = (src.get(run.clone()).unwrap_or(&[]), indices.get(run).unwrap_or(&[]));
                    if inner == 1 {
                        for (value, index) in values.iter().zip(indices) {
                            if let Some(to) = plane.get_mut(index.to_i64() as usize) {
                                *to = *value;
                            }
                        }
                        continue;
                    }
                    for (values, indices) in values.chunks_exact(inner.max(1)).zip(indices.chunks_exact(inner.max(1))) {
                        for (channel, (value, index)) in values.iter().zip(indices).enumerate() {
                            let to = (index.to_i64() as usize).saturating_mul(inner).saturating_add(channel);
                            if let Some(to) = plane.get_mut(to) {
                                *to = *value;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Hands on where each value lies and where it goes, each block of channels by itself, a pixel's channels side by side: a value never
    /// leaves its plane, so that this keeps the order in every plane.
    fn in_planes(&self, indices: Indices<'_>, blocks: Range<usize>, work: &mut dyn FnMut(usize, usize)) {
        let inner = self.input.split.inner;
        let [_, _, width] = self.input.lengths;
        let base = self.output.block(blocks.start);
        for block in blocks {
            let (from, to) = (self.input.block(block), self.output.block(block).saturating_sub(base));
            self.each_row(&mut |row| {
                for x in 0..width {
                    let pixel = from.saturating_add(row).saturating_add(x.saturating_mul(self.input.pixel_step()));
                    for channel in 0..inner {
                        let at = pixel.saturating_add(channel);
                        if let Some(offset) = indices.offset(at) {
                            work(at, to.saturating_add(self.place(offset)).saturating_add(channel));
                        }
                    }
                }
            });
        }
    }

    /// The same plane by plane, as two values of different planes may have one index.
    fn in_tensor(&self, indices: Indices<'_>, work: &mut dyn FnMut(usize, usize)) {
        let Split { outer, inner, .. } = self.input.split;
        let [_, _, width] = self.input.lengths;
        for block in 0..outer {
            let from = self.input.block(block);
            for channel in 0..inner {
                let plane = block.saturating_mul(inner).saturating_add(channel);
                let image = plane.checked_div(self.input.split.channels).unwrap_or(0);
                self.each_row(&mut |row| {
                    let mut at = from.saturating_add(row).saturating_add(channel);
                    for _ in 0..width {
                        let offset = indices.offset(at);
                        if let Some(to) = offset.and_then(|offset| self.place_in_tensor(offset, image)) {
                            work(at, to);
                        }
                        at = at.saturating_add(self.input.pixel_step());
                    }
                });
            }
        }
    }

    /// Where in memory the element lies that an index names, of a value of image `image`. Layouts differ within a block of
    /// channels only, and blocks follow each other as the planes do: plane `p` is channel `p mod inner` of block
    /// `p / inner`.
    #[inline(always)]
    fn place_in_tensor(&self, index: usize, image: usize) -> Option<usize> {
        let Split { channels, inner, .. } = self.output.split;
        let (plane, offset) = if self.kind.is_channels_last() {
            let (pixel, channel) = (index.checked_div(channels)?, index.checked_rem(channels)?);
            // An offset in the image is in the value's own.
            let is_own = self.kind == IndexKind::ImageChannelsLast;
            let image = if is_own { image } else { pixel.checked_div(self.plane_len)? };
            (image.saturating_mul(channels).saturating_add(channel), pixel.checked_rem(self.plane_len)?)
        } else {
            (index.checked_div(self.plane_len)?, index.checked_rem(self.plane_len)?)
        };
        let (block, channel) = (plane.checked_div(inner)?, plane.checked_rem(inner)?);
        Some(self.output.block(block).saturating_add(self.place(offset)).saturating_add(channel))
    }

    /// Where in its block of the output the pixel lies that has this offset in the plane that indices count in.
    #[inline(always)]
    fn place(&self, offset: usize) -> usize {
        if self.keeps_order {
            return offset.saturating_mul(self.output.pixel_step());
        }
        let [depth, height, width] = self.plane;
        let split =
            |offset: usize, by: usize| (offset.checked_div(by).unwrap_or(0), offset.checked_rem(by).unwrap_or(0));
        self.output.pixel(if self.kind == IndexKind::TensorColumnMajor {
            let (rest, z) = split(offset, depth);
            let (x, y) = split(rest, height);
            [z, y, x]
        } else {
            let (rest, x) = split(offset, width);
            let (z, y) = split(rest, height);
            [z, y, x]
        })
    }
}
