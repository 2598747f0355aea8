//! The doors from `src/` into the fence: a kernel, and the lengths that make running it sound.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::driver::{Io, Layer};
use super::kernel::Kernel;
use super::seek::{Finder, Indices};
use crate::index::IndicesMut;
use crate::strides::Output;

/// A kernel and the safe way to run it over the bytes of slices: the door from `src/` into the fence.
///
/// A kernel knows its elements by their bits: that of f16 and bf16 is the same one, told apart by numbers. So does what
/// is planned around it, which is compiled once for all elements. The types that its callers see know the element.
pub struct Bound {
    kernel: Kernel,
    /// Of the layer that the kernel was made for.
    output: Output,
    /// Elements from the first of its input to the last.
    input_len: usize,
    element: Bytes,
    #[cfg(feature = "ndarray")]
    pub(super) layer: Layer,
}

/// An element in memory.
#[derive(Clone, Copy)]
struct Bytes {
    size: usize,
    align: usize,
}

impl Bytes {
    fn of<T: bytemuck::Pod>() -> Self {
        Self { size: size_of::<T>(), align: align_of::<T>() }
    }

    /// Whether so many bytes from an address on are `len` elements.
    #[inline(always)]
    fn are(self, start: *const u8, bytes: usize, len: usize) -> bool {
        // An alignment is a power of two.
        len.checked_mul(self.size) == Some(bytes) && start.addr() & (self.align - 1) == 0
    }
}

impl Bound {
    /// `None` where the kernel's elements are not as long as `T`.
    pub(super) fn new<T: bytemuck::Pod>(kernel: Kernel, layer: &Layer) -> Option<Self> {
        Self::of(kernel, layer, Bytes::of::<T>())
    }

    fn of(kernel: Kernel, layer: &Layer, element: Bytes) -> Option<Self> {
        let (input_len, output) = (layer.input_extent(), layer.output());
        (kernel.element_bytes() == element.size).then_some(Self {
            kernel,
            output,
            input_len,
            element,
            #[cfg(feature = "ndarray")]
            layer: *layer,
        })
    }
}

impl Bound {
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

    /// Bytes of an element.
    pub(crate) fn element_bytes(&self) -> usize {
        self.element.size
    }

    /// What an element's address is a multiple of.
    pub(crate) fn element_align(&self) -> usize {
        self.element.align
    }

    /// Computes output rows, which `dst` spans, from the whole input. `None` where a length or an alignment is wrong.
    pub(crate) fn run(&self, src: &[u8], dst: &mut [u8], rows: Range<usize>) -> Option<()> {
        self.run_over(src, dst.as_mut_ptr_range(), dst.len(), rows, 1)
    }

    /// The same on the threads of the calling thread's pool, each long row in up to `pieces` pieces where the driver
    /// can do that.
    #[cfg(feature = "rayon")]
    pub(crate) fn run_shared(&self, src: &[u8], dst: &mut [u8], rows: Range<usize>, pieces: usize) -> Option<()> {
        self.run_over(src, dst.as_mut_ptr_range(), dst.len(), rows, pieces)
    }

    /// Computes the whole output in memory that holds nothing yet. `None` where a length is wrong, the output has gaps, or
    /// the elements are not the kernel's.
    pub(crate) fn run_uninit<'a, T: bytemuck::Pod>(
        &self,
        src: &[T],
        dst: &'a mut [MaybeUninit<T>],
    ) -> Option<&'a mut [T]> {
        if self.output.has_gaps() || size_of::<T>() != self.element.size {
            return None;
        }
        let Range { start, end } = dst.as_mut_ptr_range();
        let bytes = size_of_val(dst);
        self.run_over(bytemuck::cast_slice(src), start.cast()..end.cast(), bytes, 0..self.output.rows(), 1)?;
        // SAFETY: an output without gaps, all of whose rows have been computed: every element has been written. Any bits are
        // a `T`, which is `Pod`.
        Some(unsafe { core::slice::from_raw_parts_mut(dst.as_mut_ptr().cast(), dst.len()) })
    }

    /// `dst` is borrowed mutably by the caller, and `bytes` long.
    fn run_over(&self, src: &[u8], dst: Range<*mut u8>, bytes: usize, rows: Range<usize>, pieces: usize) -> Option<()> {
        let is_whole = self.element.are(src.as_ptr(), src.len(), self.input_len) && rows.end <= self.output.rows();
        if !is_whole || !self.element.are(dst.start, bytes, self.output.span(rows.clone()).len()) {
            return None;
        }
        if rows.is_empty() {
            return Some(());
        }
        let src = src.as_ptr_range();
        let io = Io { src: src.start, src_end: src.end, dst: dst.start, dst_end: dst.end };
        // SAFETY: `src` is the whole input of the kernel's own layer and `dst`, which is borrowed mutably, exactly the output
        // of rows that it has: both were just compared, and begin at a multiple of an element's alignment. Elements of the
        // kernel's length: `new` has compared that, and any bits are an element, which is `Pod`.
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
pub struct BoundFind {
    finder: Finder,
    input_len: usize,
    output: Output,
    element: Bytes,
}

impl BoundFind {
    pub(super) fn new<T: bytemuck::Pod>(finder: Finder, layer: &Layer) -> Option<Self> {
        Self::of(finder, layer, Bytes::of::<T>())
    }

    #[inline(never)]
    fn of(finder: Finder, layer: &Layer, element: Bytes) -> Option<Self> {
        let (input_len, output) = (layer.input_extent(), layer.output());
        (finder.element_bytes() == element.size).then_some(Self { finder, input_len, output, element })
    }

    /// Where the rows of values and of indices lie.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Elements from the first of the input to the last.
    pub(crate) fn input_len(&self) -> usize {
        self.input_len
    }

    /// Bytes of an element.
    pub(crate) fn element_bytes(&self) -> usize {
        self.element.size
    }

    /// Computes output rows, whose indices `indices` spans and whose values, where wanted, `dst`. `None` where a length or an
    /// alignment is wrong.
    pub(crate) fn run(
        &self,
        src: &[u8],
        dst: Option<&mut [u8]>,
        indices: IndicesMut<'_>,
        rows: Range<usize>,
    ) -> Option<()> {
        let (element, need) = (self.element, self.output.span(rows.clone()).len());
        let is_whole = element.are(src.as_ptr(), src.len(), self.input_len) && rows.end <= self.output.rows();
        let has_values = dst.as_ref().is_none_or(|dst| element.are(dst.as_ptr(), dst.len(), need));
        if !is_whole || !has_values || indices.len() != need {
            return None;
        }
        let wants_values = dst.is_some();
        let src = src.as_ptr_range();
        let dst = dst.map_or(core::ptr::null_mut()..core::ptr::null_mut(), <[u8]>::as_mut_ptr_range);
        let io = Io { src: src.start, src_end: src.end, dst: dst.start, dst_end: dst.end };
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
