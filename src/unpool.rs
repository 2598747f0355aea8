//! Max unpooling: values go back to where the indices of maxima say they were found.

use core::marker::PhantomData;
use core::ops::Range;

use alloc::sync::Arc;
use alloc::vec::Vec;
use bytemuck::Pod;

use crate::error::AxisName;
use crate::geometry::{MAX_RANK, PerAxis, check_size, split_shape};
use crate::index::{IndexType, Indices};
use crate::kernels::vectorized;
use crate::strides::{Split, Tensor};
use crate::{Element, Error, Index, IndexKind, Layout, Result, Tasks};

/// Max unpooling without its tensor: the inverse of [`MaxPool`](crate::MaxPool) with indices. Each value is written where its
/// index points; the output is zero elsewhere.
///
/// - **Twice the same index**: "The last value in row-major order of `N, C, spatial…` wins, whatever the layout."
/// - **Indices** count as their [`IndexKind`] says: in the channel's own plane (PyTorch), in the whole tensor (ONNX), or
///   with channels last (TensorFlow), of the plane that the output has. Every one is checked in its full width before the first element is written.
/// - **Sources**: PyTorch's `max_unpool1d` to `max_unpool3d` ([`MaxUnpool::to`] is their `output_size`), ONNX `MaxUnpool`
///   ([`MaxUnpool::padded_to`] is its input `output_shape`).
///
/// ```
/// use lanepool::{Layout, MaxUnpool};
/// let plan = MaxUnpool::<f32>::new([2]).stride([2]).plan::<i64>(Layout::Nchw, [1, 1, 3])?;
/// let mut y = vec![0.0; plan.output_len()];
/// plan.run(&[1.0, 2.0, 3.0], &[0, 3, 5], &mut y)?;
/// assert_eq!(y, [1.0, 0.0, 0.0, 2.0, 0.0, 3.0]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `plan` is called"]
pub struct MaxUnpool<T> {
    plane: Plane,
    padded_to: Option<PerAxis>,
    kind: IndexKind,
    element: PhantomData<T>,
}

/// The plane that the indices count in.
#[derive(Clone, Copy, Debug)]
enum Plane {
    Given(PerAxis),
    /// What the pooling is the shape of: `(n−1)·stride − begin − end + kernel`.
    Computed {
        kernel: PerAxis,
        stride: Option<PerAxis>,
        padding: Option<(PerAxis, PerAxis)>,
    },
}

impl<T> MaxUnpool<T> {
    /// The output's length on each axis is computed from the window that pooled, `(n−1)·stride − begin − end + kernel`.
    /// Stride 1 and no padding, unless they are set.
    pub fn new(kernel: impl AsRef<[usize]>) -> Self {
        Self::of(Plane::Computed { kernel: PerAxis::new(kernel.as_ref()), stride: None, padding: None })
    }

    /// The output's length on each spatial axis: PyTorch's `output_size`. A pooling that rounded down or that dilated its
    /// window has several inputs for one output, and only the caller knows which it was.
    ///
    /// ```
    /// use lanepool::{Layout, MaxUnpool};
    /// let plan = MaxUnpool::<u8>::to([2, 5]).plan::<i32>(Layout::Nchw, [1, 1, 1, 2])?;
    /// let mut y = vec![0; plan.output_len()];
    /// plan.run(&[7, 9], &[1, 8], &mut y)?;
    /// assert_eq!(y, [0, 7, 0, 0, 0, 0, 0, 0, 9, 0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    pub fn to(lengths: impl AsRef<[usize]>) -> Self {
        Self::of(Plane::Given(PerAxis::new(lengths.as_ref())))
    }

    fn of(plane: Plane) -> Self {
        Self { plane, padded_to: None, kind: IndexKind::Plane, element: PhantomData }
    }

    /// How far the pooling's window moved. It has no meaning with [`MaxUnpool::to`], and is ignored there.
    pub fn stride(mut self, lengths: impl AsRef<[usize]>) -> Self {
        if let Plane::Computed { stride, .. } = &mut self.plane {
            *stride = Some(PerAxis::new(lengths.as_ref()));
        }
        self
    }

    /// The pooling's padding, the same before and after each axis.
    pub fn padding(self, padding: impl AsRef<[usize]>) -> Self {
        let padding = padding.as_ref();
        self.padding_unequal(padding, padding)
    }

    /// The pooling's padding before and after each axis. It has no meaning with [`MaxUnpool::to`], and is ignored there.
    pub fn padding_unequal(mut self, begin: impl AsRef<[usize]>, end: impl AsRef<[usize]>) -> Self {
        if let Plane::Computed { padding, .. } = &mut self.plane {
            *padding = Some((PerAxis::new(begin.as_ref()), PerAxis::new(end.as_ref())));
        }
        self
    }

    /// Makes the output longer at the end of each spatial axis, with zeros. The indices still count in the shorter plane:
    /// this is how the ONNX reference takes the input `output_shape` of `MaxUnpool`, without its batch and channels.
    pub fn padded_to(mut self, lengths: impl AsRef<[usize]>) -> Self {
        self.padded_to = Some(PerAxis::new(lengths.as_ref()));
        self
    }

    /// What the indices count; the offset in the plane, unless it is set. [`IndexKind::Tap`] is refused: where a tap lies is
    /// known to the window's own pooling only.
    pub fn indices(mut self, kind: IndexKind) -> Self {
        self.kind = kind;
        self
    }
}

impl<T: Element> MaxUnpool<T> {
    /// Checks everything against a tensor of shape `N, C, spatial…`: the pooled one, which is the input here.
    ///
    /// # Errors
    /// Whatever is wrong with the window, the shape or the output; [`Error::IndexTooNarrow`] where `I` cannot hold every
    /// offset; [`Error::OutputTooSmall`] where [`MaxUnpool::padded_to`] asks for less than the plane.
    pub fn plan<I: Index>(&self, layout: Layout, shape: impl AsRef<[usize]>) -> Result<Unpool<T, I>> {
        self.plan_at(layout, shape.as_ref(), None)
    }

    /// [`MaxUnpool::plan`] for tensors that are parts of larger ones, by the rules of
    /// [`Pool::plan_strided`](crate::Pool::plan_strided). The indices lie in their slice as the values do, by the input's strides;
    /// what they count does not depend on strides. Zeros are written to the output's own elements, and to nothing between them.
    ///
    /// ```
    /// use lanepool::{Layout, MaxUnpool};
    /// // Into the second of two channels, channels last.
    /// let pool = MaxUnpool::<f32>::new([2]).stride([2]);
    /// let plan = pool.plan_strided::<i64>(Layout::Nhwc, [1, 1, 2], [2, 1, 1], [8, 1, 2])?;
    /// let mut y = [-1.0; 8];
    /// plan.run(&[1.0, 2.0], &[0, 3], &mut y[1..])?;
    /// assert_eq!(y, [-1.0, 1.0, -1.0, 0.0, -1.0, 0.0, -1.0, 2.0]);
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`MaxUnpool::plan`]; [`Error::StridesLen`], [`Error::ChannelsApart`] and [`Error::OutputsOverlap`].
    pub fn plan_strided<I: Index>(
        &self,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<Unpool<T, I>> {
        self.plan_at(layout, shape.as_ref(), Some([input.as_ref(), output.as_ref()]))
    }

    fn plan_at<I: Index>(
        &self,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<Unpool<T, I>> {
        let MaxUnpool { plane, padded_to, kind, .. } = *self;
        let sizes = [size_of::<T>(), size_of::<I>()];
        let layer = Places::new(plane, padded_to, kind, (layout, shape, strides), sizes, IndexType::of::<I>())?;
        Ok(Unpool { layer: Arc::new(layer), types: PhantomData })
    }
}

/// A tensor as a plan is asked for it: layout, shape, strides of input and output.
type Asked<'a> = (Layout, &'a [usize], Option<[&'a [usize]; 2]>);

impl Places {
    /// Checks everything, whatever the types: `sizes` are the bytes of an element and of an index.
    fn new(
        plane: Plane,
        padded_to: Option<PerAxis>,
        kind: IndexKind,
        (layout, shape, strides): Asked<'_>,
        [element_bytes, index_bytes]: [usize; 2],
        index: IndexType,
    ) -> Result<Self> {
        let given = plane;
        let (batch, channels, spatial) = split_shape(shape)?;
        let rank = spatial.len();
        if let Some(lengths) = &padded_to {
            lengths.check_rank("output", rank)?;
        }
        given.check_ranks(rank)?;
        let absent = MAX_RANK.saturating_sub(rank);
        let (mut plane, mut output) = ([1; MAX_RANK], [1; MAX_RANK]);
        for (axis, (&input, (plane, output))) in
            spatial.iter().zip(plane.iter_mut().zip(&mut output).skip(absent)).enumerate()
        {
            let name = AxisName::spatial(axis, rank);
            *plane = given.length(axis, name, input)?;
            *output = padded_to.map_or(*plane, |lengths| lengths.at(axis));
            if *output < *plane {
                return Err(Error::OutputTooSmall { axis: name, need: *plane, got: *output });
            }
        }
        let mut pooled = [1; MAX_RANK];
        pooled.iter_mut().skip(absent).zip(spatial).for_each(|(to, from)| *to = *from);
        let input_bytes = element_bytes.max(index_bytes);
        check_size("the input", input_bytes, batch, channels, pooled)?;
        check_size("the output", element_bytes, batch, channels, output)?;
        let (outer, inner) = layout.split(batch, channels)?;

        let plane_len: usize = plane.iter().product();
        let Some(places) = kind.places(batch, channels, plane) else {
            return Err(Error::Unsupported {
                why: "unpooling takes offsets in the plane or in the tensor: the number of a tap does not say where its window lies",
            });
        };
        index.check(places.saturating_sub(1))?;
        let split = Split { rank, batch, channels, outer, inner };
        let [from, to] = strides.map_or([None; 2], |both| both.map(Some));
        let input = Tensor::read("input", from, layout, split, pooled, input_bytes)?;
        let output = Tensor::written("output", to, layout, split, output, element_bytes)?;
        Ok(Self {
            kind,
            layout,
            plane,
            plane_len,
            keeps_order: kind != IndexKind::TensorColumnMajor && plane == output.lengths && output.has_packed_planes(),
            places,
            shape: input.shape(),
            output_shape: output.shape(),
            input,
            output,
        })
    }
}

impl Plane {
    fn check_ranks(&self, rank: usize) -> Result<()> {
        match self {
            Plane::Given(lengths) => lengths.check_rank("output", rank),
            Plane::Computed { kernel, stride, padding } => {
                kernel.check_rank("kernel", rank)?;
                stride.as_ref().map_or(Ok(()), |stride| stride.check_rank("stride", rank))?;
                padding.as_ref().map_or(Ok(()), |(begin, end)| {
                    begin.check_rank("padding", rank)?;
                    end.check_rank("padding", rank)
                })
            }
        }
    }

    /// The length of the plane that the indices count in.
    fn length(&self, axis: usize, name: AxisName, input: usize) -> Result<usize> {
        if input == 0 {
            return Err(Error::EmptyInput { axis: name });
        }
        let length = match self {
            Plane::Given(lengths) => lengths.at(axis),
            Plane::Computed { kernel, stride, padding } => {
                let kernel = kernel.at(axis);
                let stride = stride.map_or(1, |stride| stride.at(axis));
                let (begin, end) = padding.map_or((0, 0), |(begin, end)| (begin.at(axis), end.at(axis)));
                if kernel == 0 {
                    return Err(Error::ZeroKernel { axis: name });
                }
                if stride == 0 {
                    return Err(Error::ZeroStride { axis: name });
                }
                if begin.max(end) >= kernel {
                    return Err(Error::PadTooLarge { axis: name, padding: begin.max(end), span: kernel });
                }
                let covered = input.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(kernel));
                let covered = covered.ok_or(Error::SizeOverflow { what: "the extent of the windows" })?;
                covered.saturating_sub(begin).saturating_sub(end)
            }
        };
        if length == 0 { Err(Error::EmptyOutput { axis: name }) } else { Ok(length) }
    }
}

/// A max unpooling for tensors of one shape and layout. Made by [`MaxUnpool::plan`]; allocates nothing when it runs.
#[derive(Clone, Debug)]
pub struct Unpool<T, I> {
    layer: Arc<Places>,
    types: PhantomData<fn() -> (T, I)>,
}

/// Where values come from and where they may go, whatever they are.
#[derive(Clone, Debug)]
struct Places {
    kind: IndexKind,
    layout: Layout,
    input: Tensor,
    /// Its planes hold the plane that the indices count in, in their first corner.
    output: Tensor,
    /// The plane that the indices count in.
    plane: [usize; MAX_RANK],
    plane_len: usize,
    /// The output's plane is the plane that indices count in, in the order that they count in.
    keeps_order: bool,
    /// Places that an index can name.
    places: usize,
    shape: Vec<usize>,
    output_shape: Vec<usize>,
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
        let rows = tasks.check(task, &self.output.rows())?;
        let each = self.output.rows_of_block();
        let block = |row: usize| row.checked_div(each).unwrap_or(0);
        Ok(block(rows.start)..block(rows.end))
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
