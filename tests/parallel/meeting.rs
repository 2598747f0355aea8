//! Memory of which the first and the last page wait for each other: whoever reads one goes on when somebody else has come
//! to the other.
//!
//! So a run that reads both ends of its input with one thread never ends, and one that shares it does, however late a
//! thread is woken and whatever the number of processors: nobody measures a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Where the two pages begin, and which thread has come to each: 0 is none.
static PAGES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static READERS: [AtomicI32; 2] = [const { AtomicI32::new(0) }; 2];

/// The pages are those of one memory at a time.
static IN_USE: Mutex<()> = Mutex::new(());

/// After so many seconds a run that does not end is called one. A right one has no such moment.
const PATIENCE: u32 = 120;

fn page() -> usize {
    // SAFETY: a query without arguments in memory.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("the size of a page")
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the system gives a handler of this kind the address of what was touched.
    let touched = unsafe { (*info).si_addr() } as usize;
    let at = PAGES.iter().position(|begin| touched & !(page() - 1) == begin.load(Ordering::Acquire));
    let Some(at) = at else {
        // Somebody else's mistake: it happens again, and ends the process.
        // SAFETY: allowed in a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    };
    // SAFETY: allowed in a handler.
    READERS[at].store(unsafe { libc::gettid() }, Ordering::Release);
    while READERS[1 - at].load(Ordering::Acquire) == 0 {
        // SAFETY: allowed in a handler.
        unsafe { libc::sched_yield() };
    }
    // SAFETY: a page of the memory that `read_by` holds, which from now on can be read.
    unsafe { libc::mprotect(PAGES[at].load(Ordering::Acquire) as *mut libc::c_void, page(), libc::PROT_READ) };
}

extern "C" fn on_alarm(_signal: libc::c_int) {
    let line = b"one thread read both ends of the input, or waits for a second to read the other\n";
    // SAFETY: both are allowed in a handler; the buffer holds the bytes.
    unsafe {
        libc::write(2, line.as_ptr().cast(), line.len());
        libc::_exit(99);
    }
}

/// Which threads read the first and the last page of `values`, which lie in whole pages, when `run` is given them.
pub fn read_by<T: lanepool::Element>(values: &[T], run: impl FnOnce(&[T])) -> [i32; 2] {
    let _guard = IN_USE.lock().expect("no panic");
    let bytes = size_of_val(values);
    assert!(bytes.is_multiple_of(page()) && bytes >= 2 * page(), "whole pages");
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at no particular place; nothing existing is touched.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, private, -1, 0) };
    assert_ne!(map, libc::MAP_FAILED, "mmap of {bytes} bytes");
    // SAFETY: fresh memory of so many elements, aligned to a page; any bits are a value of an element.
    unsafe { std::slice::from_raw_parts_mut(map.cast::<T>(), values.len()) }.copy_from_slice(values);
    let ends = [map as usize, map as usize + bytes - page()];
    for ((place, reader), begin) in PAGES.iter().zip(&READERS).zip(ends) {
        place.store(begin, Ordering::Release);
        reader.store(0, Ordering::Release);
        // SAFETY: a page of the mapping made above, to which nothing refers.
        assert_eq!(unsafe { libc::mprotect(begin as *mut libc::c_void, page(), libc::PROT_NONE) }, 0, "mprotect");
    }

    // SAFETY: all zeros is a valid `sigaction`, which the next lines complete.
    let (mut action, mut before): (libc::sigaction, libc::sigaction) = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handlers call only what is allowed in one.
    unsafe {
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, &raw mut before), 0, "sigaction");
        libc::signal(libc::SIGALRM, on_alarm as *const () as libc::sighandler_t);
        libc::alarm(PATIENCE);
    }
    // SAFETY: the elements copied above; the two pages fault until both are reached, and then hold what was copied.
    run(unsafe { std::slice::from_raw_parts(map.cast::<T>(), values.len()) });
    // SAFETY: what was there before; nothing refers to the mapping any more.
    unsafe {
        libc::alarm(0);
        libc::sigaction(libc::SIGSEGV, &raw const before, std::ptr::null_mut());
        libc::munmap(map, bytes);
    }
    [0, 1].map(|at| READERS[at].load(Ordering::Acquire))
}
