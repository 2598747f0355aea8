//! Plans over bytes, for engines whose tensors have an element type at run time.

use core::fmt;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::plan::{Bind, Facts, Shared};
use crate::pool::Parts;
use crate::{DType, Element, ElementVisitor, Error, Layout, Plan, Pool, PoolOperation, Result, Tasks, Tier};

/// Stands for an element type that is not known yet: `MaxPool::<Any>` is a layer for tensors of any type, see
/// [`Pool::plan_as`].
#[derive(Clone, Copy, Debug)]
pub enum Any {}

/// A [`Plan`] over bytes, whose element type is a value: a [`DType`].
///
/// Made by [`Pool::plan_as`], or from a plan of a known type. The bytes are elements in the machine's own order, and begin at a
/// multiple of an element's bytes.
///
/// ```
/// use lanepool::{Any, DType, Layout, MaxPool};
/// let layer = MaxPool::<Any>::new([2]).stride([2]);
/// let plan = layer.plan_as(DType::U8, Layout::Nchw, [1, 1, 6])?;
/// let mut y = [0; 3];
/// plan.run(&[1, 2, 9, 8, 200, 100], &mut y)?;
/// assert_eq!(y, [2, 9, 200]);
/// # Ok::<(), lanepool::Error>(())
/// ```
#[derive(Clone)]
pub struct AnyPlan {
    plan: Arc<Shared>,
}

impl<T: Element> From<Plan<T>> for AnyPlan {
    fn from(plan: Plan<T>) -> Self {
        Self { plan: Arc::clone(plan.shared()) }
    }
}

/// What is wrong with so many bytes that are to be `need`.
#[cold]
fn wrong_bytes(what: &'static str, got: usize, need: usize, align: usize) -> Error {
    if got == need { Error::Misaligned { what, align } } else { Error::BytesLen { what, need, got } }
}

impl AnyPlan {
    /// Pools the tensor in `src` into `dst`, as [`Plan::run`].
    ///
    /// # Errors
    /// [`Error::BytesLen`] where a slice is not exactly as long as the plan needs, [`Error::Misaligned`] where one begins
    /// inside an element; nothing is written then.
    pub fn run(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.check("input", src, self.plan.input_len())?;
        self.check("output", dst, self.plan.output_len())?;
        self.plan.run_whole(src, dst)
    }

    /// Whether bytes are `need` elements.
    #[inline(always)]
    fn check(&self, what: &'static str, bytes: &[u8], need: usize) -> Result<()> {
        let (need, align) = (need.saturating_mul(self.plan.size()), self.plan.align());
        // A power of two: a division would take longer than the rest of a small layer's call.
        let is_aligned = bytes.as_ptr().addr() & align.wrapping_sub(1) == 0;
        if bytes.len() == need && is_aligned { Ok(()) } else { Err(wrong_bytes(what, bytes.len(), need, align)) }
    }

    /// Pools `src` into `dst` on the rayon pool of the calling thread, as [`Plan::run_parallel`].
    ///
    /// # Errors
    /// As for [`AnyPlan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.check("input", src, self.plan.input_len())?;
        self.check("output", dst, self.plan.output_len())?;
        self.plan.run_parallel(crate::tasks::worth(src.len().saturating_add(dst.len())), src, dst)
    }

    /// Cuts the output into at most `most` parts that can be computed apart, as [`Plan::tasks`]. A range counts elements, of
    /// which each is [`DType::bytes`] long.
    pub fn tasks(&self, most: usize) -> Tasks {
        self.plan.tasks(most)
    }

    /// Computes one part of the output from the whole input, as [`Plan::run_task`].
    ///
    /// ```
    /// use lanepool::{Any, DType, Layout, MaxPool};
    /// let plan = MaxPool::<Any>::new([2]).plan_as(DType::I16, Layout::Nchw, [1, 2, 3])?;
    /// let x: Vec<u64> = vec![0x0003_0002_0001_0000, 0x0005_0004];
    /// let x = &bytemuck::cast_slice::<u64, u8>(&x)[..plan.input_bytes()];
    /// let mut y = vec![0_u16; 4];
    /// let tasks = plan.tasks(2);
    /// for task in 0..tasks.len() {
    ///     plan.run_task(&tasks, task, x, bytemuck::cast_slice_mut(&mut y[tasks.range(task)]))?;
    /// }
    /// # if cfg!(target_endian = "little") {
    /// assert_eq!(y, [1, 2, 4, 5]);
    /// # }
    /// # Ok::<(), lanepool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AnyPlan::run`]; [`Error::TaskOutOfRange`] and [`Error::ForeignTasks`]; nothing is written then.
    pub fn run_task(&self, tasks: &Tasks, task: usize, src: &[u8], part: &mut [u8]) -> Result<()> {
        self.check("input", src, self.plan.input_len())?;
        self.plan.rows_of(tasks, task)?;
        self.check("output", part, tasks.range(task).len())?;
        self.plan.run_task(tasks, task, src, part)
    }

    /// The element type of input and output.
    pub fn dtype(&self) -> DType {
        self.plan.dtype()
    }

    /// Bytes that the input must have.
    pub fn input_bytes(&self) -> usize {
        self.plan.input_len().saturating_mul(self.dtype().bytes())
    }

    /// Bytes that the output must have.
    pub fn output_bytes(&self) -> usize {
        self.plan.output_len().saturating_mul(self.dtype().bytes())
    }

    /// The input's shape, `N, C, spatial…`, whatever the layout.
    pub fn input_shape(&self) -> &[usize] {
        self.plan.input_shape()
    }

    /// The output's shape, `N, C, spatial…`, whatever the layout.
    pub fn output_shape(&self) -> Vec<usize> {
        self.plan.output_shape()
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.plan.layout()
    }

    /// The tier it runs on.
    pub fn tier(&self) -> Tier {
        self.plan.tier()
    }

    /// The driver that visits the windows: see [`Plan::kernel`].
    pub fn kernel(&self) -> &'static str {
        self.plan.kernel()
    }
}

impl fmt::Display for AnyPlan {
    /// As a [`Plan`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.plan, f)
    }
}

impl fmt::Debug for AnyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyPlan({self}, {:?} to {:?})", self.input_shape(), self.output_shape())
    }
}

/// What is known of the element type that is visited, and its kernels.
struct Known;

impl ElementVisitor for Known {
    type Output = (&'static Facts, Bind);

    fn visit<T: Element>(self) -> Self::Output {
        (T::FACTS, T::bind_any)
    }
}

impl<O: PoolOperation> Pool<O, Any> {
    /// [`Pool::plan`] for tensors of the element type `dtype`.
    ///
    /// # Errors
    /// As for [`Pool::plan`]; [`Error::Unsupported`] where the type belongs to a feature that is off.
    pub fn plan_as(&self, dtype: DType, layout: Layout, shape: impl AsRef<[usize]>) -> Result<AnyPlan> {
        self.plan_any(dtype, layout, shape.as_ref(), None)
    }

    /// [`Pool::plan_strided`] for tensors of the element type `dtype`. Strides count elements; lengths of slices count bytes.
    ///
    /// # Errors
    /// As for [`Pool::plan_strided`]; [`Error::Unsupported`] where the type belongs to a feature that is off.
    pub fn plan_strided_as(
        &self,
        dtype: DType,
        layout: Layout,
        shape: impl AsRef<[usize]>,
        input: impl AsRef<[usize]>,
        output: impl AsRef<[usize]>,
    ) -> Result<AnyPlan> {
        let strides = Some([input.as_ref(), output.as_ref()]);
        self.plan_any(dtype, layout, shape.as_ref(), strides)
    }

    /// Either of the two: no part of the interface.
    #[doc(hidden)]
    pub fn plan_any(
        &self,
        dtype: DType,
        layout: Layout,
        shape: &[usize],
        strides: Option<[&[usize]; 2]>,
    ) -> Result<AnyPlan> {
        dtype.check()?;
        plan_parts(dtype, &self.parts(dtype)?, layout, shape, strides)
    }
}

/// Plans a layer that was taken to its parts: compiled here, once, and not where its operation is known.
#[inline(never)]
fn plan_parts(
    dtype: DType,
    parts: &Parts<'_>,
    layout: Layout,
    shape: &[usize],
    strides: Option<[&[usize]; 2]>,
) -> Result<AnyPlan> {
    let (facts, bind) = dtype.visit(Known).ok_or(DType::OFF)?;
    Ok(AnyPlan { plan: Shared::new(facts, parts, None, layout, shape, strides, bind)? })
}
