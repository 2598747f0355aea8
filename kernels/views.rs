//! A second door into the fence, for arrays of the crate `ndarray`.
//!
//! A slice owns all that lies between its ends. A view with gaps does not: between its elements lies what another view may hold, and
//! another thread may write. So no slice is made of it, here or elsewhere, and of its memory only its own elements are touched: the
//! kernel is given no end of the input ([`Io::src_end`]), so that no vector reaches over what is asked for.

use core::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use super::bound::Bound;
use super::driver::Io;
use crate::{Error, Result};

impl Bound {
    /// Computes the whole output from the whole input, `piece` rows at a time, of which `finish` then gets each run of outputs and
    /// the number of its first one in an output without gaps.
    ///
    /// # Errors
    /// Those of [`Tensor::check`](crate::strides::Tensor::check), and nothing is written.
    pub(crate) fn run_views<T: bytemuck::Pod, D: Dimension, E: Dimension>(
        &self,
        src: &ArrayView<'_, T, D>,
        dst: &mut ArrayViewMut<'_, T, E>,
        piece: usize,
        finish: impl Fn(&mut [T], usize),
    ) -> Result<()> {
        if size_of::<T>() != self.element_bytes() {
            return Err(Error::Unsupported { why: "the elements are not those of the plan" });
        }
        let [input, output] = self.layer.tensors();
        input.check("input", src.shape(), src.strides())?;
        output.check("output", dst.shape(), dst.strides())?;
        let (from, to, rows) = (src.as_ptr(), dst.as_mut_ptr(), self.output().rows());
        // An array without gaps is all its own.
        let readable = if src.as_slice_memory_order().is_some() { self.input_len() } else { 0 };
        let mut first = 0;
        while first < rows {
            let some = first..first.saturating_add(piece.max(1)).min(rows);
            let Range { start, end } = self.output().span(some.clone());
            let at = to.wrapping_add(start);
            let io = Io {
                src: from.cast(),
                src_end: from.wrapping_add(readable).cast(),
                dst: at.cast(),
                dst_end: to.wrapping_add(end).cast(),
            };
            // SAFETY: every element of input and output lies where the layer that the kernel was made for has it, counted from the
            // views' first elements: their lengths and strides were just compared with the layer's. The views borrow them for so
            // long, the output mutably; of what lies between inputs nothing is asked for, unless there is nothing between them. The
            // rows are the layer's. Elements of the kernel's length, as was just compared, and any bits are a `T`.
            unsafe { self.kernel().run(&io, some.clone()) };
            self.output().each_run(some, |run, number| {
                // SAFETY: a run of outputs, which are elements of the view, beside each other; it borrows them mutably, and no
                // other reference to them is alive.
                let outputs = unsafe { core::slice::from_raw_parts_mut(at.add(run.start), run.len()) };
                finish(outputs, number);
            });
            first += piece.max(1);
        }
        Ok(())
    }
}
