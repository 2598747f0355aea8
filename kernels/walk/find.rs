//! Maxima with where they are: one pass that keeps, beside the best element of each lane, the number of its tap.
//!
//! The tap's number lives in lanes as wide as the element, so that the mask that picks the element picks the number too, with
//! no conversion between lanes of different widths: bytes count to 255. A longer window is visited in *chunks* of so many
//! taps; after each, lanes that found something better (whose number is not 0) have it written out as a whole number.
//! What a number means to the caller, an offset in the plane or the tensor, is linear in the tap's coordinates: a table.
//!
//! Taps are visited in row-major order, so that the first of equals is kept, and the last NaN.

use alloc::vec::Vec;
use core::ops::Range;

use super::{Io, Layer, Position};
use crate::IndexKind;
use crate::geometry::{Axis, Taps};
use crate::kernels::simd::{Lane, Lanes, MOST_LANES, Reduce, Simd};

/// An extreme that can say which of two is better.
pub(crate) trait Seek<A: Lane, S: Lanes<A>>: Reduce<A, S, T = A> {
    /// Where a tap that comes later takes the place of the best so far.
    fn beats(self, s: S, tap: S::V, best: S::V) -> S::M;
}

/// Where indices go: `i32` or `i64`, from the run's first output on.
#[derive(Clone, Copy)]
pub(crate) enum Indices {
    Short(*mut i32),
    Long(*mut i64),
}

impl Indices {
    /// # Safety
    /// `at` is one of the run's outputs.
    #[inline(always)]
    unsafe fn write(self, at: usize, index: i64) {
        // SAFETY: by this function's contract. Every index fits: `Plan` has compared the largest with the type.
        unsafe {
            match self {
                Self::Short(p) => p.add(at).write(index as i32),
                Self::Long(p) => p.add(at).write(index),
            }
        }
    }
}

/// The longest table of taps; beyond it an offset is computed.
const MOST_TABLED: usize = 1 << 12;

/// What an index counts, as weights of coordinates.
#[derive(Clone, Debug)]
struct Numbering {
    /// Of a plane.
    plane: i64,
    /// Of a coordinate on depth, height and width; all 0 where taps are counted.
    weights: [i64; 3],
    /// Taps on height and width, and the distance of two on each axis.
    kernel: [usize; 3],
    dilation: [usize; 3],
    counts_taps: bool,
    /// The offset of each tap from the window's first.
    taps: Vec<i64>,
}

impl Numbering {
    fn new(kind: IndexKind, layer: &Layer) -> Self {
        let axes = &layer.geometry.axes;
        let [depth, height, width] = axes.each_ref().map(|axis| axis.input as i64);
        let weights = match kind {
            IndexKind::Tap => [0; 3],
            IndexKind::TensorColumnMajor if layer.geometry.rank == 3 => [1, depth, depth * height],
            IndexKind::TensorColumnMajor => [0, 1, height],
            IndexKind::Plane | IndexKind::Tensor => [height * width, width, 1],
        };
        let plane =
            if matches!(kind, IndexKind::Tensor | IndexKind::TensorColumnMajor) { depth * height * width } else { 0 };
        let kernel = axes.each_ref().map(|axis| axis.kernel);
        let mut numbering = Self {
            plane,
            weights,
            kernel,
            dilation: axes.each_ref().map(|axis| axis.dilation),
            counts_taps: kind == IndexKind::Tap,
            taps: Vec::new(),
        };
        let taps = kernel.iter().product::<usize>();
        if taps <= MOST_TABLED {
            numbering.taps = (0..taps).map(|tap| numbering.offset(tap)).collect();
        }
        numbering
    }

    /// How far tap `tap` is from its window's first.
    fn offset(&self, tap: usize) -> i64 {
        if self.counts_taps {
            return tap as i64;
        }
        let [_, height, width] = self.kernel;
        let place = [tap / width / height, tap / width % height, tap % width];
        (0..3).map(|axis| (place[axis] * self.dilation[axis]) as i64 * self.weights[axis]).sum()
    }

    /// The index of tap `tap` of the window whose first tap has the index `origin`.
    #[inline(always)]
    fn index(&self, origin: i64, tap: usize) -> i64 {
        origin + self.taps.get(tap).copied().unwrap_or_else(|| self.offset(tap))
    }

    /// The index that the first tap of a window in plane `plane` has or would have, were it valid.
    #[inline(always)]
    fn origin(&self, plane: usize, first: [i64; 3]) -> i64 {
        let [z, y, x] = first;
        let [depth, height, width] = self.weights;
        plane as i64 * self.plane + z * depth + y * height + x * width
    }
}

/// Where the first tap of output `o` lies, in the input's coordinates.
#[inline(always)]
fn first_tap(axis: &Axis, o: usize) -> i64 {
    (o * axis.stride) as i64 - axis.begin as i64
}

/// How many taps of output `o` lie before the input.
#[inline(always)]
fn skipped(axis: &Axis, o: usize, taps: Taps) -> usize {
    (taps.start + axis.begin - o * axis.stride) / axis.dilation
}

/// The walk, bound to an operation.
pub(crate) struct Find<R> {
    op: R,
    layer: Layer,
    numbering: Numbering,
}

/// The valid taps that the lanes of one vector share.
struct Shared<A> {
    /// The first valid tap of the first lane.
    first: *const A,
    depth: usize,
    height: usize,
    width: usize,
    /// Elements from a tap to the next on each axis.
    steps: [usize; 3],
    /// Elements from a lane's tap to the next lane's.
    apart: usize,
    /// The number of the first valid tap in the window.
    number: usize,
}

/// What a lane found: the number of its best tap.
type Found = [usize; MOST_LANES];

impl<R> Find<R> {
    pub(crate) fn new(op: R, kind: IndexKind, layer: &Layer) -> Self {
        Self { op, layer: *layer, numbering: Numbering::new(kind, layer) }
    }

    /// # Safety
    /// `io.src .. io.src_end` is the whole input, from its first element to its last; the output of `rows`, which end at or before
    /// the layer's, begins at `indices` and, where values are wanted, at `io.dst`.
    #[inline(always)]
    pub(crate) unsafe fn visit<A: Lane, S: Lanes<A>>(
        &self,
        s: S,
        io: Io<A>,
        wants_values: bool,
        indices: Indices,
        rows: Range<usize>,
    ) where
        R: Seek<A, S>,
    {
        let geometry = &self.layer.geometry;
        let output = &self.layer.places.output;
        let mut at = Position::of(geometry, rows.start);
        let first = output.row_at(at.outer, at.z, at.y);
        for _ in 0..rows.len() {
            let to = output.row_at(at.outer, at.z, at.y) - first;
            let row = Row { to, pixel: output.pixel, wants_values, indices };
            // SAFETY: by this function's contract; the row is one of `rows`.
            unsafe {
                if geometry.inner == 1 {
                    self.planar(s, &io, &at, &row);
                } else {
                    self.pixels(s, &io, &at, &row);
                }
            }
            at.advance(geometry, 1);
        }
    }

    /// A row whose lanes are neighbouring outputs. Outputs whose windows padding cuts have taps of their own and are found one
    /// by one.
    ///
    /// # Safety
    /// As for `visit`, of the row at `at`.
    #[inline(always)]
    unsafe fn planar<A: Lane, S: Lanes<A>>(&self, s: S, io: &Io<A>, at: &Position, row: &Row)
    where
        R: Seek<A, S>,
    {
        let width = &self.layer.geometry.axes[2];
        let (head, tail) = width.cut_windows();
        let whole = head..width.output.saturating_sub(tail).max(head);
        let mut x = 0;
        while x < width.output {
            let left = if whole.contains(&x) { whole.end - x } else { 1 };
            let n = left.min(S::N);
            // SAFETY: the windows of `n` outputs from `x` on have the same taps: one window, or windows that are not cut.
            unsafe {
                let (taps, mut origin) = self.shared(io, at, x, 0);
                let to = x * row.pixel;
                let found = if taps.depth * taps.height * taps.width == 0 {
                    None
                } else {
                    Some(self.fold(s, io, &taps, n, row.values(io, to, row.pixel)))
                };
                for lane in 0..n {
                    let index = found.as_ref().map_or(-1, |found| self.numbering.index(origin, found[lane]));
                    row.indices.write(row.to + to + lane * row.pixel, index);
                    origin += width.stride as i64 * self.numbering.weights[2];
                }
            }
            x += n;
        }
    }

    /// A row whose lanes are the inner elements of one output pixel.
    ///
    /// # Safety
    /// As for `visit`, of the row at `at`.
    #[inline(always)]
    unsafe fn pixels<A: Lane, S: Lanes<A>>(&self, s: S, io: &Io<A>, at: &Position, row: &Row)
    where
        R: Seek<A, S>,
    {
        let inner = self.layer.geometry.inner;
        for x in 0..self.layer.geometry.axes[2].output {
            let mut c = 0;
            while c < inner {
                let n = (inner - c).min(S::N);
                let to = x * row.pixel + c;
                // SAFETY: every inner element of a pixel has its window's taps.
                unsafe {
                    let (taps, mut origin) = self.shared(io, at, x, c);
                    let found = if taps.depth * taps.height * taps.width == 0 {
                        None
                    } else {
                        Some(self.fold(s, io, &taps, n, row.values(io, to, 1)))
                    };
                    for lane in 0..n {
                        let index = found.as_ref().map_or(-1, |found| self.numbering.index(origin, found[lane]));
                        row.indices.write(row.to + to + lane, index);
                        origin += self.numbering.plane;
                    }
                }
                c += n;
            }
        }
    }

    /// The valid taps of the window at `x`, inner element `c`, and the index of its first tap.
    ///
    /// # Safety
    /// `io.src` is the whole input.
    #[inline(always)]
    unsafe fn shared<A: Lane>(&self, io: &Io<A>, at: &Position, x: usize, c: usize) -> (Shared<A>, i64) {
        let geometry = &self.layer.geometry;
        let [depth, height, width] = &geometry.axes;
        let (z_taps, y_taps, x_taps) = (depth.taps(at.z), height.taps(at.y), width.taps(x));
        let number = (skipped(depth, at.z, z_taps) * height.kernel + skipped(height, at.y, y_taps)) * width.kernel
            + skipped(width, x, x_taps);
        let steps = &self.layer.places.input;
        let offset = steps.row_at(at.outer, z_taps.start, y_taps.start).wrapping_add(x_taps.start * steps.pixel + c);
        let taps = Shared {
            first: io.src.wrapping_add(offset),
            depth: z_taps.count,
            height: y_taps.count,
            width: x_taps.count,
            // Steps of an axis with one tap are never taken; the products could wrap.
            steps: [
                depth.dilation.wrapping_mul(steps.slab),
                height.dilation.wrapping_mul(steps.row),
                width.dilation.wrapping_mul(steps.pixel),
            ],
            apart: if geometry.inner == 1 { width.stride.wrapping_mul(steps.pixel) } else { 1 },
            number,
        };
        let first = [first_tap(depth, at.z), first_tap(height, at.y), first_tap(width, x)];
        (taps, self.numbering.origin(at.outer * geometry.inner + c, first))
    }

    /// Finds the best of the taps in each of the first `n` lanes, and stores it where asked: an element, and how far it is to the next
    /// lane's.
    ///
    /// # Safety
    /// There is a tap, every tap of every lane lies in the input, and `values`, if any, take `n` elements.
    #[inline(always)]
    unsafe fn fold<A: Lane, S: Lanes<A>>(
        &self,
        s: S,
        io: &Io<A>,
        taps: &Shared<A>,
        n: usize,
        values: Option<(*mut A, usize)>,
    ) -> Found
    where
        R: Seek<A, S>,
    {
        let op = self.op;
        let [_, kernel_height, kernel_width] = self.numbering.kernel;
        let most = most_counted::<A>();
        let last = taps.first.wrapping_add(
            (taps.depth - 1) * taps.steps[0] + (taps.height - 1) * taps.steps[1] + (taps.width - 1) * taps.steps[2],
        );
        // A stride of 2 is two vectors' even elements, where the second may be read whole.
        let stride = taps.apart;
        let is_even = stride == 2 && n == S::N && io.readable(last) >= 2 * S::N;
        let mut found = [0; MOST_LANES];
        // SAFETY: the first tap.
        let mut best = unsafe { load(s, op, taps.first, stride, n, is_even) };
        let mut number = s.splat(counted(1));
        let mut base = taps.number;
        for slab in 0..taps.depth {
            for line in 0..taps.height {
                let p = taps.first.wrapping_add(slab * taps.steps[0] + line * taps.steps[1]);
                let from = taps.number + (slab * kernel_height + line) * kernel_width;
                for column in 0..taps.width {
                    let tap = from + column;
                    if tap - base >= most {
                        write_out(s, number, base, &mut found);
                        (base, number) = (tap, s.splat(counted(0)));
                    }
                    // SAFETY: a tap of every lane.
                    let v = unsafe { load(s, op, p.wrapping_add(column * taps.steps[2]), stride, n, is_even) };
                    let beats = op.beats(s, v, best);
                    best = s.pick(beats, v, best);
                    number = s.pick(beats, s.splat(counted(tap - base + 1)), number);
                }
            }
        }
        write_out(s, number, base, &mut found);
        if let Some((to, apart)) = values {
            let divisor = op.divisor(s, |_| s.splat(A::zeroed()));
            let v = op.finish(s, best, divisor);
            // SAFETY: by this function's contract; the array holds a vector.
            unsafe {
                if apart != 1 && n > 1 {
                    let mut all = [A::zeroed(); MOST_LANES];
                    op.store(s, all.as_mut_ptr(), v);
                    for lane in 0..n {
                        to.add(lane * apart).write(all[lane]);
                    }
                } else if n == S::N {
                    op.store(s, to, v);
                } else {
                    op.store_first(s, to, n, v);
                }
            }
        }
        found
    }
}

/// An output row: where it is in the run's output, and what is wanted of it.
struct Row {
    to: usize,
    /// From one pixel to the next.
    pixel: usize,
    wants_values: bool,
    indices: Indices,
}

impl Row {
    /// Where values go, from the row's element `at` on, and how far it is from one to the next.
    #[inline(always)]
    fn values<A>(&self, io: &Io<A>, at: usize, apart: usize) -> Option<(*mut A, usize)> {
        self.wants_values.then(|| (io.dst.wrapping_add(self.to + at), apart))
    }
}

/// How many taps lanes of `A` count.
const fn most_counted<A>() -> usize {
    match size_of::<A>() {
        1 => u8::MAX as usize,
        2 => u16::MAX as usize,
        _ => u32::MAX as usize >> 1,
    }
}

/// A small number as the bits of a lane.
#[inline(always)]
fn counted<A: Lane>(number: usize) -> A {
    match size_of::<A>() {
        1 => bytemuck::cast(number as u8),
        2 => bytemuck::cast(number as u16),
        4 => bytemuck::cast(number as u32),
        _ => bytemuck::cast(number as u64),
    }
}

/// Notes what the lanes found since `base`.
#[inline(always)]
fn write_out<A: Lane, S: Lanes<A>>(s: S, number: S::V, base: usize, found: &mut Found) {
    let mut numbers = [A::zeroed(); MOST_LANES];
    // SAFETY: the array holds a vector.
    unsafe { s.store(numbers.as_mut_ptr(), number) };
    for lane in 0..S::N {
        let number = match size_of::<A>() {
            1 => bytemuck::cast::<A, u8>(numbers[lane]).into(),
            2 => bytemuck::cast::<A, u16>(numbers[lane]).into(),
            4 => bytemuck::cast::<A, u32>(numbers[lane]) as usize,
            _ => bytemuck::cast::<A, u64>(numbers[lane]) as usize,
        };
        if number > 0 {
            found[lane] = base + number - 1;
        }
    }
}

/// The elements of `n` lanes, `stride` apart.
///
/// # Safety
/// `(n − 1)·stride + 1` elements are readable from `p` on; `2·N` where `is_even`.
#[inline(always)]
unsafe fn load<A: Lane, S: Lanes<A>, R: Seek<A, S>>(
    s: S,
    op: R,
    p: *const A,
    stride: usize,
    n: usize,
    is_even: bool,
) -> S::V {
    // SAFETY: by this function's contract; the array holds a vector.
    unsafe {
        if stride == 1 || n == 1 {
            return if n == S::N { op.load(s, p) } else { op.load_first(s, p, n) };
        }
        if is_even {
            return s.even(op.load(s, p), op.load(s, p.add(S::N)));
        }
        let mut apart = [A::zeroed(); MOST_LANES];
        for lane in 0..n {
            apart[lane] = *p.add(lane * stride);
        }
        op.load(s, apart.as_ptr())
    }
}

/// A walk bound to a tier.
pub(crate) trait Finder: Send + Sync {
    /// Bytes of an element in memory.
    fn element_bytes(&self) -> usize;

    /// # Safety
    /// As for [`Find::visit`]; the bytes of `io` are elements of `element_bytes` each.
    unsafe fn run(&self, io: Io<u8>, wants_values: bool, indices: Indices, rows: Range<usize>);
}

/// The token, the walk, and what its lanes are.
pub(crate) struct OnTier<A, S, R> {
    pub(crate) token: S,
    pub(crate) walk: Find<R>,
    pub(crate) lane: core::marker::PhantomData<fn(A)>,
}

impl<A: Lane, S: Lanes<A> + Simd, R: Seek<A, S>> Finder for OnTier<A, S, R> {
    fn element_bytes(&self) -> usize {
        size_of::<A>()
    }

    unsafe fn run(&self, io: Io<u8>, wants_values: bool, indices: Indices, rows: Range<usize>) {
        #[cfg(feature = "count-runs")]
        crate::kernels::runs::note::<S, Find<R>, A>();
        let Self { token, walk, .. } = self;
        token.vectorize(
            #[inline(always)]
            // SAFETY: the same contract.
            || unsafe { walk.visit(*token, io.cast(), wants_values, indices, rows) },
        );
    }
}
