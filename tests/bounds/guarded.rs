//! Memory between two pages that nobody may touch, and a report of who did.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Which end of the memory a slice lies against.
#[derive(Clone, Copy, Debug)]
pub enum Flush {
    Start,
    End,
}

/// Room for elements, with an inaccessible page before and behind it.
pub struct Guarded<T> {
    /// The first accessible byte.
    base: *mut u8,
    /// Accessible bytes, whole pages.
    bytes: usize,
    element: PhantomData<T>,
}

fn page() -> usize {
    // SAFETY: a query without arguments in memory.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("the size of a page")
}

impl<T: lanepool::Element> Guarded<T> {
    /// Room for `len` elements or more.
    pub fn new(len: usize) -> Self {
        let bytes = (len * size_of::<T>()).next_multiple_of(page()).max(page());
        let whole = bytes + 2 * page();
        let readable = libc::PROT_READ | libc::PROT_WRITE;
        // Without reserve: pages that are never written take no memory, however many they are.
        let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at no particular place; nothing existing is touched.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, private, -1, 0) };
        assert_ne!(map, libc::MAP_FAILED, "mmap of {whole} bytes");
        // SAFETY: one page into the mapping, which has two pages and more.
        let base = unsafe { map.cast::<u8>().add(page()) };
        // SAFETY: the pages between the first and the last of the mapping made above, which nobody refers to yet.
        let done = unsafe { libc::mprotect(base.cast(), bytes, readable) };
        assert_eq!(done, 0, "mprotect");
        Self { base, bytes, element: PhantomData }
    }

    fn start(&self, len: usize, flush: Flush) -> *mut T {
        let used = len * size_of::<T>();
        assert!(used <= self.bytes);
        let skip = match flush {
            Flush::Start => 0,
            Flush::End => self.bytes - used,
        };
        // Pages are aligned for every element, and so is what is whole elements before the end of one.
        self.base.wrapping_add(skip).cast()
    }

    /// `len` elements against one end.
    pub fn slice(&mut self, len: usize, flush: Flush) -> &mut [T] {
        // SAFETY: `start` checked that they lie in the accessible pages and are aligned; any bits are a value of an
        // element; the
        // borrow of `self` keeps others away.
        unsafe { std::slice::from_raw_parts_mut(self.start(len, flush), len) }
    }

    /// The same to read.
    pub fn read(&self, len: usize, flush: Flush) -> &[T] {
        // SAFETY: as for `slice`; both protections allow reading.
        unsafe { std::slice::from_raw_parts(self.start(len, flush), len) }
    }

    /// From now on a write faults.
    pub fn protect(&mut self) {
        self.set(libc::PROT_READ);
    }

    /// Ends that.
    pub fn unprotect(&mut self) {
        self.set(libc::PROT_READ | libc::PROT_WRITE);
    }

    fn set(&mut self, protection: libc::c_int) {
        // SAFETY: this value's own pages, to which the borrow of `self` leaves no other reference.
        assert_eq!(unsafe { libc::mprotect(self.base.cast(), self.bytes, protection) }, 0, "mprotect");
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, with its two guard pages; nothing refers to it any more.
        unsafe { libc::munmap(self.base.sub(page()).cast(), self.bytes + 2 * page()) };
    }
}

/// What is running, for the fault handler: it may neither lock nor allocate.
static RUNNING: [AtomicU8; 400] = [const { AtomicU8::new(0) }; 400];
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Notes what is running.
pub fn say(what: &str) {
    let mut length = 0;
    for (to, byte) in RUNNING.iter().zip(what.bytes()) {
        to.store(byte, Ordering::Relaxed);
        length += 1;
    }
    LENGTH.store(length, Ordering::Release);
}

extern "C" fn on_fault(_signal: libc::c_int) {
    let mut line = [0; RUNNING.len() + 16];
    let prefix = b"fault in ";
    line[..prefix.len()].copy_from_slice(prefix);
    let length = LENGTH.load(Ordering::Acquire).min(RUNNING.len());
    for (to, from) in line[prefix.len()..].iter_mut().zip(&RUNNING[..length]) {
        *to = from.load(Ordering::Relaxed);
    }
    line[prefix.len() + length] = b'\n';
    // SAFETY: `write` and `_exit` are allowed in signal handlers; the buffer holds the bytes.
    unsafe {
        libc::write(2, line.as_ptr().cast(), prefix.len() + length + 1);
        libc::_exit(99);
    }
}

/// From now on a fault prints what was running and ends the process.
pub fn report_faults() {
    // SAFETY: all zeros is a valid `sigaction`, which the next lines complete.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler calls only what is allowed in one.
        assert_eq!(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }, 0, "sigaction");
    }
}

/// What the self-test does that must fault.
pub const TOUCHES: [&str; 5] = ["read-behind", "read-before", "write-behind", "write-before", "write-input"];

/// Does one of them, or nothing.
pub fn touch(what: &str) {
    say(what);
    let mut memory = Guarded::<f32>::new(5);
    let (len, flush) = (5, if what.ends_with("behind") { Flush::End } else { Flush::Start });
    memory.slice(len, flush).fill(1.0);
    let p = memory.slice(len, flush).as_mut_ptr();
    let place = if what.ends_with("behind") { p.wrapping_add(len) } else { p.wrapping_sub(1) };
    match what {
        // SAFETY: none: these lie in the guard pages, and that the process ends here is what is tested. Volatile, so that
        // the compiler lets it happen.
        "read-behind" | "read-before" => drop(unsafe { place.read_volatile() }),
        // SAFETY: none, likewise.
        "write-behind" | "write-before" => unsafe { place.write_volatile(2.0) },
        "write-input" => {
            memory.protect();
            // SAFETY: none: the page is read-only now, and the fault is what is tested.
            unsafe { p.write_volatile(2.0) };
        }
        "nothing" => assert_eq!(memory.read(len, flush), [1.0; 5]),
        other => panic!("no self-test is called {other}"),
    }
}
