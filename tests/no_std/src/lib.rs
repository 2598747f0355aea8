//! A layer planned and run with `core` and `alloc` alone, for a C program to call.

#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout as Memory};
use core::panic::PanicInfo;

use lanepool::{Layout, MaxPool, Tier};

unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn free(memory: *mut u8);
    fn abort() -> !;
}

struct C;

// SAFETY: C's own allocator.
unsafe impl GlobalAlloc for C {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        let align = memory.align().max(16);
        // SAFETY: a power of two, and a size that is a multiple of it.
        unsafe { aligned_alloc(align, memory.size().next_multiple_of(align)) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Memory) {
        // SAFETY: given out by `alloc`.
        unsafe { free(memory) }
    }
}

#[global_allocator]
static ALLOCATOR: C = C;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // SAFETY: always there.
    unsafe { abort() }
}

/// Pools `0, 1, 2, …` of 3 channels of 9×10, 2×2, on every tier that this CPU has. Returns how many tiers gave what is right, or a
/// negative number.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_without_std() -> i32 {
    let mut tiers = 0;
    for tier in Tier::ALL {
        if tier.missing().is_some() {
            continue;
        }
        let pool = MaxPool::<i32>::new([2, 2]).stride([2, 2]).tier(tier);
        let Ok(plan) = pool.plan(Layout::Nchw, [1, 3, 9, 10]) else { return -1 };
        let x: alloc::vec::Vec<i32> = (0..270).collect();
        let Ok(y) = plan.run_vec(&x) else { return -2 };
        // The largest of a window is its last.
        let right = |(i, y): (usize, &i32)| {
            let (plane, row, column) = (i / 20, i / 5 % 4, i % 5);
            *y as usize == plane * 90 + (2 * row + 1) * 10 + 2 * column + 1
        };
        if y.len() != 60 || !y.iter().enumerate().all(right) {
            return -3;
        }
        tiers += 1;
    }
    tiers
}
