//! The best of taps that are the same for many lanes, and which tap it is.
//!
//! ```text
//! for each line, for each block of registers:
//!     for each tap: load, compare; where it is better, take the element and the tap's label
//!     store the elements and the labels
//! ```
//!
//! A label lives in a lane as wide as the element, so that the mask that takes the element takes the label too. What it
//! means is the driver's business (`kernels/seek.rs`): the leaf copies it from the list of taps.
//!
//! Taps are visited in row-major order, so that the first of equals is kept, and the last NaN.

use super::seek::Seek;
use super::{Leaf, Nest};
use crate::kernels::simd::{Lane, Tables};

/// A tap of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// Bytes from where the window begins; they may wrap.
    pub(crate) offset: usize,
    /// The bits of its label, as many low ones as a lane has.
    pub(crate) label: u64,
}

/// Labels, one for each lane or one for all of them.
#[derive(Clone, Copy)]
pub(crate) struct Labels {
    /// As many lanes as the line is long, or a register of them.
    pub(crate) lanes: *const u8,
    /// Whether each lane has its own; else the first register of `lanes` is for all.
    pub(crate) own: bool,
    /// Flipped in each.
    pub(crate) flip: u64,
}

/// Lines of lanes whose windows have the same taps.
///
/// # Safety
/// `counts` are not 0. Every tap of the list is readable at its offset from every lane of every line; `labels`, and
/// `values` unless it is null, take an element for each lane, and `none` and `lost` have a label for each. Lines of fewer
/// lanes than a register has are taken for a register long, in all of these.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) src: *const u8,
    /// Bytes from one line to the next.
    pub(crate) src_step: usize,
    pub(crate) lines: usize,
    /// Lanes of a line.
    pub(crate) n: usize,
    pub(crate) taps: *const Tap,
    /// Taps on depth, height and width, and how far it is in the list from one slab to the next, and from row to row.
    pub(crate) counts: [usize; 3],
    pub(crate) pitches: [usize; 2],
    /// The label where no tap is better than the first one, and where all are NaN that loses.
    pub(crate) none: Labels,
    pub(crate) lost: Labels,
    pub(crate) values: *mut u8,
    pub(crate) values_step: usize,
    pub(crate) labels: *mut u8,
    pub(crate) labels_step: usize,
}

/// The nest of [`Lines`].
pub(crate) struct Pick;

impl Pick {
    pub(crate) const fn leaf<A: Lane, S: Tables<A>, O: Seek<A, S>>() -> Leaf<Lines> {
        // One lane is `leaf/seek.rs`'s: it is there to be compared with.
        if const { S::N == 1 } { Leaf::absent() } else { Leaf::of::<A, S, O, Self>() }
    }
}

impl<A: Lane, S: Tables<A>, O: Seek<A, S>> Nest<A, S, O> for Pick {
    type Args = Lines;

    #[inline(always)]
    unsafe fn run(s: S, op: O, a: &Lines) -> bool {
        let mut flag = op.clean(s);
        for line in 0..a.lines {
            let mut at = 0;
            // SAFETY: lanes of the line, by this function's contract; a line that is shorter than a register is as good
            // as one.
            unsafe {
                if const { S::BLOCKS } {
                    while at + 2 * S::N <= a.n {
                        flag = block::<A, S, O, 2>(s, op, a, line, at, flag);
                        at += 2 * S::N;
                    }
                }
                while at < a.n {
                    let from = at.min(a.n.saturating_sub(S::N));
                    flag = block::<A, S, O, 1>(s, op, a, line, from, flag);
                    at += S::N;
                }
            }
        }
        op.dirty(s, flag)
    }
}

/// # Safety
/// As for [`Lines`]: `U` registers of the line from lane `at` on.
#[inline(always)]
unsafe fn block<A: Lane, S: Tables<A>, O: Seek<A, S>, const U: usize>(
    s: S,
    op: O,
    a: &Lines,
    line: usize,
    at: usize,
    mut flag: O::Flag,
) -> O::Flag {
    let register = S::N * size_of::<A>();
    let first = at * size_of::<A>();
    let src = a.src.wrapping_add(line.wrapping_mul(a.src_step).wrapping_add(first));
    // SAFETY: by this function's contract.
    unsafe {
        let mut best = [s.splat(A::zeroed()); U];
        let mut label = best;
        for i in 0..U {
            best[i] = op.load_level(s, src.wrapping_add((*a.taps).offset.wrapping_add(i * register)).cast());
            label[i] = labels(s, &a.none, first + i * register);
        }
        flag = watch(s, op, flag, &best);
        let [depth, height, width] = a.counts;
        let mut x = 1;
        for slab in 0..depth {
            for row in 0..height {
                let taps = a.taps.add(slab * a.pitches[0] + row * a.pitches[1]);
                while x < width {
                    let tap = &*taps.add(x);
                    let number = s.splat(as_lane(tap.label));
                    let from = src.wrapping_add(tap.offset);
                    let mut fresh = best;
                    for i in 0..U {
                        fresh[i] = op.load_level(s, from.wrapping_add(i * register).cast());
                        label[i] = s.pick(op.takes(s, fresh[i], best[i]), number, label[i]);
                        best[i] = op.join(s, best[i], fresh[i]);
                    }
                    flag = watch(s, op, flag, &fresh);
                    x += 1;
                    super::fold::rolled();
                }
                x = 0;
            }
        }
        let to = a.labels.wrapping_add(line.wrapping_mul(a.labels_step).wrapping_add(first));
        for i in 0..U {
            let lost = labels(s, &a.lost, first + i * register);
            s.store(to.wrapping_add(i * register).cast(), op.lost(s, best[i], label[i], lost));
        }
        if !a.values.is_null() {
            let divisor = op.divisor(
                s,
                #[inline(always)]
                |_| s.splat(A::zeroed()),
            );
            let to = a.values.wrapping_add(line.wrapping_mul(a.values_step).wrapping_add(first));
            for i in 0..U {
                op.store(s, to.wrapping_add(i * register).cast(), op.finish(s, best[i], divisor));
            }
        }
    }
    flag
}

/// A register of labels, from so many bytes on.
///
/// # Safety
/// As for [`Labels`]: they are readable.
#[inline(always)]
unsafe fn labels<A: Lane, S: Tables<A>>(s: S, of: &Labels, at: usize) -> S::V {
    // SAFETY: by this function's contract.
    let lanes = unsafe { s.load(of.lanes.wrapping_add(if of.own { at } else { 0 }).cast()) };
    s.xor(lanes, s.splat(as_lane(of.flip)))
}

#[inline(always)]
fn watch<A: Lane, S: Tables<A>, O: Seek<A, S>, const U: usize>(
    s: S,
    op: O,
    mut flag: O::Flag,
    v: &[S::V; U],
) -> O::Flag {
    for i in (0..U).step_by(2) {
        flag = op.watch(s, flag, v[i], v[if i + 1 < U { i + 1 } else { i }]);
    }
    flag
}

/// The low bits as a lane.
#[inline(always)]
fn as_lane<A: Lane>(bits: u64) -> A {
    match size_of::<A>() {
        1 => bytemuck::cast(bits as u8),
        2 => bytemuck::cast(bits as u16),
        4 => bytemuck::cast(bits as u32),
        _ => bytemuck::cast(bits),
    }
}
