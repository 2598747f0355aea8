//! The streaming bound of `bound.c`.

unsafe extern "C" {
    fn peers_bound(input: *const u8, input_bytes: usize, output: *mut u8, output_bytes: usize) -> u64;
}

/// Reads all of the one, writes all of the other, once.
pub fn stream(input: &[f32], output: &mut [f32]) -> u64 {
    // SAFETY: both pointers are good for so many bytes, and any bytes are floats.
    unsafe { peers_bound(input.as_ptr().cast(), size_of_val(input), output.as_mut_ptr().cast(), size_of_val(output)) }
}
