//! Plans over bytes, for engines whose tensors have an element type at run time.

use core::fmt;

use alloc::boxed::Box;
use alloc::vec::Vec;

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
    plan: Box<dyn Erased>,
}

/// What [`AnyPlan`] asks of a plan, whatever its type.
trait Erased: fmt::Display + Send + Sync {
    fn clone_box(&self) -> Box<dyn Erased>;
    fn dtype(&self) -> DType;
    fn run(&self, src: &[u8], dst: &mut [u8]) -> Result<()>;
    #[cfg(feature = "rayon")]
    fn run_parallel(&self, src: &[u8], dst: &mut [u8]) -> Result<()>;
    fn tasks(&self, most: usize) -> Tasks;
    fn run_task(&self, tasks: &Tasks, task: usize, src: &[u8], part: &mut [u8]) -> Result<()>;
    fn input_len(&self) -> usize;
    fn output_len(&self) -> usize;
    fn input_shape(&self) -> &[usize];
    fn output_shape(&self) -> Vec<usize>;
    fn layout(&self) -> Layout;
    fn tier(&self) -> Tier;
    fn kernel(&self) -> &'static str;
}

impl Clone for Box<dyn Erased> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// What is wrong with bytes that are to be `need` elements of type `T`.
fn wrong_bytes<T>(what: &'static str, bytes: &[u8], need: usize) -> Error {
    let need = need.saturating_mul(size_of::<T>());
    if bytes.len() != need {
        Error::BytesLen { what, need, got: bytes.len() }
    } else {
        Error::Misaligned { what, align: align_of::<T>() }
    }
}

/// Bytes as the elements that they are, if there are `need` of them.
fn elements<T: Element>(bytes: &[u8], need: usize) -> Result<&[T]> {
    let elements = bytemuck::try_cast_slice(bytes).ok().filter(|elements: &&[T]| elements.len() == need);
    elements.ok_or_else(|| wrong_bytes::<T>("input", bytes, need))
}

/// The same for the output.
fn elements_mut<T: Element>(bytes: &mut [u8], need: usize) -> Result<&mut [T]> {
    if bytes.len() != need.saturating_mul(size_of::<T>()) {
        return Err(wrong_bytes::<T>("output", bytes, need));
    }
    let misaligned = Error::Misaligned { what: "output", align: align_of::<T>() };
    bytemuck::try_cast_slice_mut(bytes).map_err(|_| misaligned)
}

impl<T: Element> Erased for Plan<T> {
    fn clone_box(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn run(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.run(elements(src, self.input_len())?, elements_mut(dst, self.output_len())?)
    }

    #[cfg(feature = "rayon")]
    fn run_parallel(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.run_parallel(elements(src, self.input_len())?, elements_mut(dst, self.output_len())?)
    }

    fn tasks(&self, most: usize) -> Tasks {
        self.tasks(most)
    }

    fn run_task(&self, tasks: &Tasks, task: usize, src: &[u8], part: &mut [u8]) -> Result<()> {
        let src = elements(src, self.input_len())?;
        self.rows_of(tasks, task)?;
        let part = elements_mut(part, tasks.range(task).len())?;
        self.run_task(tasks, task, src, part)
    }

    fn input_len(&self) -> usize {
        self.input_len()
    }

    fn output_len(&self) -> usize {
        self.output_len()
    }

    fn input_shape(&self) -> &[usize] {
        self.input_shape()
    }

    fn output_shape(&self) -> Vec<usize> {
        self.output_shape()
    }

    fn layout(&self) -> Layout {
        self.layout()
    }

    fn tier(&self) -> Tier {
        self.tier()
    }

    fn kernel(&self) -> &'static str {
        self.kernel()
    }
}

impl<T: Element> From<Plan<T>> for AnyPlan {
    fn from(plan: Plan<T>) -> Self {
        Self { plan: Box::new(plan) }
    }
}

impl AnyPlan {
    /// Pools the tensor in `src` into `dst`, as [`Plan::run`].
    ///
    /// # Errors
    /// [`Error::BytesLen`] where a slice is not exactly as long as the plan needs, [`Error::Misaligned`] where one begins
    /// inside an element; nothing is written then.
    pub fn run(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.plan.run(src, dst)
    }

    /// Pools `src` into `dst` on the rayon pool of the calling thread, as [`Plan::run_parallel`].
    ///
    /// # Errors
    /// As for [`AnyPlan::run`].
    #[cfg(feature = "rayon")]
    pub fn run_parallel(&self, src: &[u8], dst: &mut [u8]) -> Result<()> {
        self.plan.run_parallel(src, dst)
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
        self.plan.fmt(f)
    }
}

impl fmt::Debug for AnyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyPlan({self}, {:?} to {:?})", self.input_shape(), self.output_shape())
    }
}

/// Plans a layer for the element type that is visited.
struct Planner<'a> {
    parts: &'a Parts<'a>,
    layout: Layout,
    shape: &'a [usize],
    strides: Option<[&'a [usize]; 2]>,
}

impl ElementVisitor for Planner<'_> {
    type Output = Result<AnyPlan>;

    fn visit<T: Element>(self) -> Result<AnyPlan> {
        let Self { parts, layout, shape, strides } = self;
        Ok(T::plan(parts, None, layout, shape, strides, T::bind_any)?.into())
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

    fn plan_any(
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
    dtype.visit(Planner { parts, layout, shape, strides }).unwrap_or(Err(DType::OFF))
}
