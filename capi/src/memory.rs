//! What C gives: pointers with their length in bytes, looked at before anything is read or written through them.

use core::ffi::c_char;
use core::marker::PhantomData;
use core::ops::Range;
use core::ptr;

use lanepool::Error;

use crate::status::{Failure, LANEPOOL_MISALIGNED, LANEPOOL_NULL_POINTER, LANEPOOL_OVERLAP, LANEPOOL_SIZE_OVERFLOW};

/// Memory that the caller lends for the length of a call. It is aligned, not null unless it is empty, and lies in the address
/// space as a whole; whether it is really there is the caller's word.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub what: &'static str,
    start: *mut u8,
    pub bytes: usize,
    call: PhantomData<&'a [u8]>,
}

impl<'a> Span<'a> {
    /// Looks at a pointer that must be a multiple of `align`.
    pub fn new(what: &'static str, start: *const u8, bytes: usize, align: usize) -> Result<Self, Failure> {
        let start = start.cast_mut();
        let too_long = isize::try_from(bytes).is_err() || start.addr().checked_add(bytes).is_none();
        if too_long {
            let sentence = format!("the {what}, {bytes} bytes from its pointer on, does not fit the address space");
            return Err(Failure::new(LANEPOOL_SIZE_OVERFLOW, sentence));
        }
        if bytes > 0 && start.is_null() {
            return Err(Failure::null(what));
        }
        if bytes > 0 && start.addr().checked_rem(align) != Some(0) {
            return Err(Failure::misaligned(what, align));
        }
        Ok(Self { what, start, bytes, call: PhantomData })
    }

    /// Nothing was given: a null pointer and no bytes.
    pub fn is_absent(&self) -> bool {
        self.start.is_null() && self.bytes == 0
    }

    /// Whether it is as long as the plan needs.
    pub fn check_len(&self, need: usize) -> Result<(), Failure> {
        if self.bytes == need {
            return Ok(());
        }
        Err(Error::BytesLen { what: self.what, need, got: self.bytes }.into())
    }

    /// A part of it: nothing of it beyond its end.
    pub fn part(&self, range: Range<usize>) -> Self {
        let start = range.start.min(self.bytes);
        let bytes = range.end.min(self.bytes).saturating_sub(start);
        // Stays inside the span, whose addresses `new` has found not to wrap: no need for an unsafe `add`.
        Self { start: self.start.wrapping_add(start), bytes, ..*self }
    }

    fn shares_with(&self, other: &Self) -> bool {
        let (a, b) = (self.start.addr(), other.start.addr());
        // `new` has found both ends not to wrap.
        let (a_end, b_end) = (a.saturating_add(self.bytes), b.saturating_add(other.bytes));
        self.bytes > 0 && other.bytes > 0 && a < b_end && b < a_end
    }

    /// # Safety
    /// The caller of the interface vouches for the span: as many bytes are there, and for the length of the call nobody writes them.
    pub unsafe fn read(self) -> &'a [u8] {
        if self.bytes == 0 {
            return &[];
        }
        // SAFETY: not null, in the address space as a whole and at most `isize::MAX` bytes, as `new` has found; readable and
        // not written meanwhile, by the contract.
        unsafe { core::slice::from_raw_parts(self.start, self.bytes) }
    }

    /// # Safety
    /// The caller of the interface vouches for the span: as many bytes are there, and for the length of the call nobody else reads or
    /// writes them. No other slice of this call may share memory with it: see [`apart`].
    pub unsafe fn write(self) -> &'a mut [u8] {
        if self.bytes == 0 {
            return &mut [];
        }
        // SAFETY: not null, in the address space as a whole and at most `isize::MAX` bytes, as `new` has found; writable and
        // this call's alone, by the contract.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

/// Makes sure that no output shares a byte with an input or with another output.
pub(crate) fn apart(outputs: &[Span<'_>], inputs: &[Span<'_>]) -> Result<(), Failure> {
    for (i, output) in outputs.iter().enumerate() {
        let others = outputs.iter().skip(i.saturating_add(1)).chain(inputs);
        if let Some(other) = others.into_iter().find(|other| output.shares_with(other)) {
            let sentence = format!("the {} and the {} share memory", output.what, other.what);
            return Err(Failure::new(LANEPOOL_OVERLAP, sentence));
        }
    }
    Ok(())
}

/// Whether bytes are `need` elements of `size` bytes, at a multiple of their alignment.
pub(crate) fn check_elements(what: &'static str, bytes: &[u8], need: usize, size: usize) -> Result<(), Failure> {
    // That of a float: on some 32-bit machines less than its size.
    let align = if size == size_of::<f64>() { align_of::<f64>() } else { size };
    let (need, got) = (need.saturating_mul(size), bytes.len());
    if got != need {
        return Err(Error::BytesLen { what, need, got }.into());
    }
    if got > 0 && bytes.as_ptr().addr().checked_rem(align) != Some(0) {
        return Err(Failure::misaligned(what, align));
    }
    Ok(())
}

/// Memory for a text, of the caller's: a sentence about an error, or a description.
///
/// What does not fit is cut off at the end of a character. The text always ends with a zero byte, unless `bytes` is 0.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types, reason = "a name of C")]
pub struct lanepool_text {
    /// Where the text is written, in UTF-8. May be null where `bytes` is 0.
    pub data: *mut c_char,
    /// Bytes that there are for the text and its zero byte.
    pub bytes: usize,
    /// Written by the library: bytes that the whole text needs, its zero byte included.
    pub needed: usize,
}

/// A text that was looked at.
pub(crate) struct Text(Option<*mut lanepool_text>);

impl Text {
    /// A null pointer is a caller who does not want to read.
    ///
    /// # Safety
    /// The pointer is null, or the caller of the interface vouches for the structure that it points to.
    pub unsafe fn new(text: *mut lanepool_text) -> Result<Self, i32> {
        if text.is_null() {
            return Ok(Self(None));
        }
        if !text.is_aligned() {
            return Err(LANEPOOL_MISALIGNED);
        }
        // SAFETY: not null and aligned, as was just found; there, by the contract.
        let (data, bytes) = unsafe { ((*text).data, (*text).bytes) };
        if bytes > 0 && data.is_null() {
            return Err(LANEPOOL_NULL_POINTER);
        }
        if isize::try_from(bytes).is_err() || data.addr().checked_add(bytes).is_none() {
            return Err(LANEPOOL_SIZE_OVERFLOW);
        }
        Ok(Self(Some(text)))
    }

    /// # Safety
    /// The caller of the interface vouches for the memory of the text; no slice of this call is in use any more.
    pub unsafe fn write(&self, sentence: &str) {
        let Some(text) = self.0 else { return };
        // SAFETY: `new` has found the structure, and its `data` not null where `bytes` is not 0.
        unsafe { (*text).needed = sentence.len().saturating_add(1) };
        // SAFETY: as above.
        let (data, bytes) = unsafe { ((*text).data, (*text).bytes) };
        let Some(room) = bytes.checked_sub(1) else { return };
        let fitting = (0..=room.min(sentence.len())).rev().find(|end| sentence.is_char_boundary(*end)).unwrap_or(0);
        // SAFETY: `fitting` is at most `bytes - 1` and at most the sentence's length; `data` has `bytes` bytes, by the contract,
        // and shares none with the sentence, which is Rust's.
        unsafe {
            ptr::copy_nonoverlapping(sentence.as_ptr(), data.cast::<u8>(), fitting);
            data.cast::<u8>().wrapping_add(fitting).write(0);
        }
    }
}
