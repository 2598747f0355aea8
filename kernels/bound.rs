//! The doors from `src/` into the fence: a kernel, and the lengths that make running it sound.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Range;

use super::driver::{Io, Layer};
use super::kernel::Kernel;
use super::seek::{Finder, Indices};
use crate::index::IndicesMut;
use crate::strides::Output;

/// A kernel and the safe way to run it over slices: the door from `src/` into the fence.
///
/// A kernel knows its elements by their bits: that of f16 and bf16 is the same one, told apart by numbers. So the element
/// `T` is known here, not there.
pub struct Bound<T> {
    kernel: Kernel,
    /// Of the layer that the kernel was made for.
    output: Output,
    /// Elements from the first of its input to the last.
    input_len: usize,
    #[cfg(feature = "ndarray")]
    pub(super) layer: Layer,
    element: PhantomData<fn(&[T])>,
}

impl<T: bytemuck::Pod> Bound<T> {
    /// `None` where the kernel's elements are not as long as `T`.
    pub(super) fn new(kernel: Kernel, layer: &Layer) -> Option<Self> {
        let (input_len, output) = (layer.input_extent(), layer.output());
        (kernel.element_bytes() == size_of::<T>()).then_some(Self {
            kernel,
            output,
            input_len,
            #[cfg(feature = "ndarray")]
            layer: *layer,
            element: PhantomData,
        })
    }
}

impl<T> Bound<T> {
    /// The name of the driver that visits the windows.
    pub(crate) fn driver(&self) -> &'static str {
        self.kernel.driver()
    }

    /// What the kernel is: driver, order, program.
    pub(crate) fn describe(&self) -> &dyn core::fmt::Debug {
        &self.kernel
    }

    /// Bytes that the kernel holds.
    pub(crate) fn bytes(&self) -> usize {
        self.kernel.bytes()
    }

    /// The kernel, for the other door.
    #[cfg(feature = "ndarray")]
    pub(super) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Where the output's rows lie.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Elements from the first of the input to the last.
    pub(crate) fn input_len(&self) -> usize {
        self.input_len
    }

    /// Computes output rows, which `dst` spans, from the whole input. `None` where a length is wrong.
    pub(crate) fn run(&self, src: &[T], dst: &mut [T], rows: Range<usize>) -> Option<()> {
        self.run_over(src, dst.as_mut_ptr_range(), dst.len(), rows, 1)
    }

    /// The same on the threads of the calling thread's pool, each long row in up to `pieces` pieces where the driver
    /// can do that.
    #[cfg(feature = "rayon")]
    pub(crate) fn run_shared(&self, src: &[T], dst: &mut [T], rows: Range<usize>, pieces: usize) -> Option<()> {
        self.run_over(src, dst.as_mut_ptr_range(), dst.len(), rows, pieces)
    }

    /// Computes the whole output in memory that holds nothing yet. `None` where a length is wrong, or the output has gaps.
    pub(crate) fn run_uninit<'a>(&self, src: &[T], dst: &'a mut [MaybeUninit<T>]) -> Option<&'a mut [T]> {
        if self.output.has_gaps() {
            return None;
        }
        let Range { start, end } = dst.as_mut_ptr_range();
        self.run_over(src, start.cast()..end.cast(), dst.len(), 0..self.output.rows(), 1)?;
        // SAFETY: an output without gaps, all of whose rows have been computed: every element has been written.
        Some(unsafe { core::slice::from_raw_parts_mut(dst.as_mut_ptr().cast(), dst.len()) })
    }

    /// `dst` is borrowed mutably by the caller, and `len` elements long.
    fn run_over(&self, src: &[T], dst: Range<*mut T>, len: usize, rows: Range<usize>, pieces: usize) -> Option<()> {
        let is_whole = src.len() == self.input_len && rows.end <= self.output.rows();
        if !is_whole || len != self.output.span(rows.clone()).len() {
            return None;
        }
        if rows.is_empty() {
            return Some(());
        }
        let src = src.as_ptr_range();
        let io = Io { src: src.start.cast(), src_end: src.end.cast(), dst: dst.start.cast(), dst_end: dst.end.cast() };
        // SAFETY: `src` is the whole input of the kernel's own layer and `dst`, which is borrowed mutably, exactly the output
        // of rows that it has: both were just compared. Elements of the kernel's length: `new` has compared that, and any
        // bits are a `T`, which is `Pod`.
        unsafe {
            match pieces {
                #[cfg(feature = "rayon")]
                2.. => self.kernel.run_shared(&io, rows, pieces),
                _ => self.kernel.run(&io, rows),
            }
        }
        Some(())
    }
}

/// A finder and the safe way to run it: as [`Bound`].
pub struct BoundFind<T> {
    finder: Finder,
    input_len: usize,
    output: Output,
    element: PhantomData<fn(&[T])>,
}

impl<T: bytemuck::Pod> BoundFind<T> {
    pub(super) fn new(finder: Finder, layer: &Layer) -> Option<Self> {
        let (input_len, output) = (layer.input_extent(), layer.output());
        (finder.element_bytes() == size_of::<T>()).then_some(Self { finder, input_len, output, element: PhantomData })
    }
}

impl<T> BoundFind<T> {
    /// Where the rows of values and of indices lie.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Elements from the first of the input to the last.
    pub(crate) fn input_len(&self) -> usize {
        self.input_len
    }

    /// Computes output rows, whose indices `indices` spans and whose values, where wanted, `dst`. `None` where a length is wrong.
    pub(crate) fn run(
        &self,
        src: &[T],
        dst: Option<&mut [T]>,
        indices: IndicesMut<'_>,
        rows: Range<usize>,
    ) -> Option<()> {
        let need = self.output.span(rows.clone()).len();
        let is_whole = src.len() == self.input_len && rows.end <= self.output.rows() && indices.len() == need;
        if !is_whole || dst.as_ref().is_some_and(|dst| dst.len() != need) {
            return None;
        }
        let wants_values = dst.is_some();
        let src = src.as_ptr_range();
        let dst = dst.map_or(core::ptr::null_mut()..core::ptr::null_mut(), <[T]>::as_mut_ptr_range);
        let io = Io { src: src.start.cast(), src_end: src.end.cast(), dst: dst.start.cast(), dst_end: dst.end.cast() };
        let to = match indices {
            IndicesMut::Short(indices) => Indices::Short(indices.as_mut_ptr()),
            IndicesMut::Long(indices) => Indices::Long(indices.as_mut_ptr()),
        };
        if rows.is_empty() {
            return Some(());
        }
        // SAFETY: as for `Bound::run`; and `indices`, of one of the two types, spans the same rows, so that it has an element for each
        // output, at the output's own place.
        unsafe { self.finder.run(&io, wants_values, to, rows) };
        Some(())
    }
}
