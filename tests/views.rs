//! Layers on arrays of the crate `ndarray`: the bytes of the same elements side by side, whatever the strides, without a copy, and
//! without a look at what lies between.

#[macro_use]
mod common;

use common::layer::quantizations;
use common::strides::{Placed, bits, offsets};
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use lanepool::ndarray::{Array, Array2, Array4, ArrayD, ArrayView, ArrayViewD, ArrayViewMutD, IxDyn, ShapeBuilder, s};
use lanepool::{
    AvgPool, Error, Layout, LpPool, MaxPool, MinPool, Plan, Pool, PoolOperation, QuantizedMaxPool, SumPool,
};

/// The same element of memory, seen by the strides of a tensor.
fn view<'a, T>(memory: &'a [T], shape: &[usize], strides: &[usize]) -> ArrayViewD<'a, T> {
    let reach = shape.iter().zip(strides).map(|(n, s)| (n - 1) * s).sum::<usize>();
    assert!(reach < memory.len());
    let shape = IxDyn(shape).strides(IxDyn(strides));
    // SAFETY: the last element lies in the slice, as was just found, and with it all; shared elements are only read.
    unsafe { ArrayView::from_shape_ptr(shape, memory.as_ptr()) }
}

/// A pool on two views against the same on what they hold, side by side.
fn same_bytes<O: PoolOperation, T: Sample>(pool: Pool<O, T>, layer: &Layer, strides: [&[usize]; 2], rng: &mut Rng) {
    let Ok(shape) = pool.output_shape(&layer.shape) else { return };
    let placed = |layout, shape: &[usize], strides: &[usize]| Placed {
        strides: strides.to_vec(),
        offsets: offsets(layout, shape, strides),
    };
    let [input, output] = strides;
    let extents = [(&layer.shape, input), (&shape, output)].map(|(shape, s)| placed(Layout::Nchw, shape, s).extent());
    let src = Fill::Bits.tensor::<T>(extents[0], rng);
    let x = view(&src, &layer.shape, input);
    let before: Vec<T> = (0..extents[1]).map(|_| T::from_bits(rng.bits())).collect();
    let plan = match pool.plan_views(&x, &view(&before, &shape, output)) {
        Ok(plan) => plan,
        Err(Error::Unsupported { .. }) => return,
        Err(error) => panic!("{layer}, {input:?} to {output:?}: {error}"),
    };
    let packed = pool.plan(plan.layout(), &layer.shape).expect("a valid layer");
    let (from, to) = (placed(plan.layout(), &layer.shape, input), placed(plan.layout(), &shape, output));
    let want = to.spread(&before, &packed.run_vec(&from.gather(&src)).expect("a valid run"));
    let mut dst = before.clone();
    let y = ArrayViewMutD::from_shape(IxDyn(&shape).strides(IxDyn(output)), &mut dst);
    let mut y = y.unwrap_or_else(|error| panic!("{layer}: {output:?}: {error}"));
    plan.run_views(&x, &mut y).unwrap_or_else(|error| panic!("{layer}, {input:?} to {output:?}: {error}"));
    assert_eq!(bits(&dst), bits(&want), "{layer}, {input:?} to {output:?}: {plan}");
}

fn any_strides<T: Sample>() {
    let mut rng = Rng::named("views");
    for round in 0..share::of(300) {
        let layout = *rng.pick(&[Layout::Nchw, Layout::Nhwc]);
        let layer = Layer::random(Op::Max(Nan::Propagate), layout, &mut rng);
        let Ok(shape) = (layer.base() as MaxPool<T>).output_shape(&layer.shape).and_then(|_| layer.plan::<T>(None))
        else {
            continue;
        };
        let input = common::strides::strides(layout, &layer.shape, true, &mut rng);
        let output = common::strides::strides(layout, &shape.output_shape(), false, &mut rng);
        let both = [&input[..], &output[..]];
        let tier = *rng.pick(&tiers::available());
        fn dressed<O: PoolOperation, T: Sample>(layer: &Layer, tier: lanepool::Tier) -> Pool<O, T> {
            layer.dressed(layer.base(), Some(tier))
        }
        match round % 7 {
            0 => same_bytes::<_, T>(dressed(&layer, tier) as MaxPool<T>, &layer, both, &mut rng),
            1 => same_bytes::<_, T>(
                (dressed(&layer, tier) as MinPool<T>).nan(Nan::Ignore.policy()),
                &layer,
                both,
                &mut rng,
            ),
            2 | 3 if !T::SUMS => continue,
            2 => same_bytes::<_, T>(dressed(&layer, tier) as AvgPool<T>, &layer, both, &mut rng),
            3 => same_bytes::<_, T>((dressed(&layer, tier) as SumPool<T>).clamp(0.0, 20.0), &layer, both, &mut rng),
            4 => same_bytes::<_, T>(dressed(&layer, tier) as LpPool<T>, &layer, both, &mut rng),
            5 => same_bytes::<_, T>((dressed(&layer, tier) as MaxPool<T>).relu6(), &layer, both, &mut rng),
            _ => {
                let (from, to) = quantizations::<T>();
                let pool = (dressed(&layer, tier) as QuantizedMaxPool<T>).quantization(from, to);
                same_bytes::<_, T>(pool, &layer, both, &mut rng);
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn any_strides() {
                super::any_strides::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

fn stem() -> MaxPool<f32> {
    MaxPool::new([3, 3]).stride([2, 2]).padding([1, 1])
}

/// Two layouts of the same pixels give two plans, each of its own layout; dimensions may be known at compile time or not.
#[test]
fn the_layout_follows_from_the_strides() {
    let image = Array4::from_shape_fn((2, 5, 9, 12), |(n, c, y, x)| ((n * 7 + c * 5 + y * 3 + x) % 11) as f32);
    let want = stem().run_once(Layout::Nchw, image.shape(), image.as_slice().expect("packed")).expect("a valid run");
    let want = Array::from_shape_vec((2, 5, 5, 6), want).expect("as long");

    let mut planar = Array4::<f32>::zeros((2, 5, 5, 6));
    let plan = stem().plan_views(&image, &planar).expect("valid views");
    plan.run_views(&image, &mut planar).expect("a valid run");
    assert_eq!((plan.layout(), &planar), (Layout::Nchw, &want));

    let last = image.view().permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned();
    let mut pixels = Array4::<f32>::zeros((2, 5, 6, 5));
    let (x, mut y) = (last.view().permuted_axes([0, 3, 1, 2]), pixels.view_mut().permuted_axes([0, 3, 1, 2]));
    let plan = stem().plan_views(&x, &y).expect("valid views");
    plan.run_views(&x.into_dyn(), &mut y.view_mut().into_dyn()).expect("a valid run");
    assert_eq!((plan.layout(), y.view()), (Layout::Nhwc, want.view()));

    // Out of channels last into channels first: the input may lie in any order.
    let x = last.view().permuted_axes([0, 3, 1, 2]);
    let mut planar = ArrayD::<f32>::zeros(vec![2, 5, 5, 6]);
    let plan = stem().plan_views(&x, &planar).expect("valid views");
    plan.run_views(&x, &mut planar).expect("a valid run");
    assert_eq!((plan.layout(), planar), (Layout::Nchw, want.clone().into_dyn()));
    // The other way round is not one.
    let y = pixels.view().permuted_axes([0, 3, 1, 2]);
    let error = stem().plan_views(&image, &y).map(|_| ());
    assert_eq!(error, Err(Error::ChannelsApart { what: "input", stride: 108 }));

    // A mean of whole planes has one pixel, which does not tell; the input does.
    let mut means = Array2::<f32>::zeros((2, 5));
    let mut y = means.view_mut().into_shape_with_order((2, 5, 1, 1)).expect("as long");
    let plan = AvgPool::<f32>::global().plan_views(&x, &y).expect("valid views");
    assert_eq!(plan.layout(), Layout::Nhwc);
    plan.run_views(&x, &mut y).expect("a valid run");
    let plan = AvgPool::<f32>::global().plan_views(&image, &y).expect("valid views");
    assert_eq!(plan.layout(), Layout::Nchw);
    let sums =
        image.map_axis(lanepool::ndarray::Axis(3), |row| row.sum()).map_axis(lanepool::ndarray::Axis(2), |c| c.sum());
    assert!((&sums / 108.0 - &means).iter().all(|difference| difference.abs() < 1e-5));
}

/// Any plan with the strides runs, and a broadcast image is one for a whole batch.
#[test]
fn plans_and_arrays_of_the_same_strides() {
    let image = Array4::from_shape_fn((1, 2, 4, 6), |(_, c, y, x)| (c * 100 + y * 10 + x) as f32);
    let pool = MaxPool::<f32>::new([2, 2]).stride([2, 2]);
    let mut y = Array4::<f32>::zeros((1, 2, 2, 3));
    pool.plan(Layout::Nchw, [1, 2, 4, 6]).and_then(|plan| plan.run_views(&image, &mut y)).expect("a valid run");
    assert_eq!(y.slice(s![0, 1, .., ..]), Array2::from_shape_fn((2, 3), |(y, x)| (111 + y * 20 + x * 2) as f32));

    let many = image.broadcast((5, 2, 4, 6)).expect("as long");
    let mut ys = Array4::<f32>::zeros((5, 2, 2, 3));
    pool.plan_views(&many, &ys).and_then(|plan| plan.run_views(&many, &mut ys)).expect("a valid run");
    assert!(ys.outer_iter().all(|one| one == y.slice(s![0, .., .., ..])));

    // No images.
    let (none, mut nothing) = (Array4::<f32>::zeros((0, 2, 4, 6)), Array4::<f32>::zeros((0, 2, 2, 3)));
    pool.plan_views(&none, &nothing).and_then(|plan| plan.run_views(&none, &mut nothing)).expect("a valid run");
}

#[test]
fn arrays_that_cannot_be_are_errors() {
    let pool = MaxPool::<f32>::new([2, 2]).stride([2, 2]);
    let (x, y) = (Array4::<f32>::zeros((1, 2, 4, 6)), Array4::<f32>::zeros((1, 2, 2, 3)));
    let sentence = |result: Result<Plan<f32>, Error>| result.map(|_| ()).expect_err("not valid").to_string();

    let back = x.slice(s![.., .., ..;-1, ..]);
    assert_eq!(
        sentence(pool.plan_views(&back, &y)),
        "the stride of the input is -6 on axis 2 (height): a view that goes backwards cannot be pooled; it is \
         copied before or after, from or to one that goes forwards"
    );
    let back = y.slice(s![.., ..;-1, .., ..]);
    assert_eq!(
        sentence(pool.plan_views(&x, &back)),
        "the stride of the output is -6 on axis 1 (channels): a view that goes backwards cannot be pooled; it is \
         copied before or after, from or to one that goes forwards"
    );
    assert!(matches!(pool.plan_views(&x, &back), Err(Error::NegativeStride { what: "output", stride: -6, .. })));
    // Backwards through one index is nowhere.
    let one = x.slice(s![..;-1, .., .., ..]);
    assert!(pool.plan_views(&one, &y).is_ok());
    let short = y.slice(s![.., .., .., ..2]);
    assert_eq!(
        sentence(pool.plan_views(&x, &short)),
        "the output has length 2 on axis 3 (width) where the layer has 3"
    );
    let flat = y.slice(s![0, .., .., ..]);
    assert_eq!(
        sentence(pool.plan_views(&x, &flat)),
        "the output has 3 axes where 4 are needed: batch, channels, and the spatial ones"
    );
    assert!(matches!(pool.plan_views(&x, &short), Err(Error::ViewLen { what: "output", need: 3, got: 2, .. })));
    assert!(matches!(pool.plan_views(&x, &flat), Err(Error::ViewAxes { what: "output", got: 3, need: 4 })));
    let swapped = Array4::<f32>::zeros((1, 2, 3, 2));
    assert_eq!(
        sentence(pool.plan_views(&x, &swapped.view().permuted_axes([0, 1, 3, 2]))),
        "the stride of the output is 1 on axis 2 (height), where each index takes 5 elements: what is written there would \
         overlap, or not lie in the order of the layout; an output in another layout is reordered afterwards"
    );
    assert!(matches!(pool.plan_views(&x.slice(s![0, 0, .., ..]), &y), Err(Error::Rank { what: "shape", got: 2, .. })));

    let plan = pool.plan_views(&x, &y).expect("valid views");
    let mut dst = Array4::from_elem((1, 2, 2, 3), 7.0);
    let wide = Array4::<f32>::zeros((1, 2, 4, 8));
    let run = |x: lanepool::ndarray::ArrayView4<'_, f32>, y: &mut Array4<f32>| {
        plan.run_views(&x, y).expect_err("not valid").to_string()
    };
    assert_eq!(
        run(wide.slice(s![.., .., .., ..6]), &mut dst),
        "the stride of the input is 32 on axis 1 (channels), and the plan was made for 24"
    );
    let error = plan.run_views(&wide.slice(s![.., .., .., ..6]), &mut dst);
    assert!(matches!(error, Err(Error::ViewStride { what: "input", need: 24, got: 32, .. })));
    assert_eq!(run(wide.view(), &mut dst), "the input has length 8 on axis 3 (width) where the layer has 6");
    assert_eq!(
        run(x.view(), &mut Array4::zeros((2, 2, 2, 3))),
        "the output has length 2 on axis 0 (batch) where the layer has 1"
    );
    assert_eq!(
        run(back_of(&x), &mut dst),
        "the stride of the input is -1 on axis 3 (width), and the plan was made for 1"
    );
    assert!(dst.iter().all(|y| *y == 7.0));
    // Several blocks of channels have no one stride.
    let blocks = pool.plan(Layout::Blocked(2), [1, 4, 4, 6]).expect("a valid layer");
    let (x, mut y) = (Array4::<f32>::zeros((1, 4, 4, 6)), Array4::<f32>::zeros((1, 4, 2, 3)));
    assert!(matches!(blocks.run_views(&x, &mut y), Err(Error::Unsupported { .. })));
}

fn back_of(x: &Array4<f32>) -> lanepool::ndarray::ArrayView4<'_, f32> {
    x.slice(s![.., .., .., ..;-1])
}

/// What lies between elements is not looked at, and may even not be there: rows, pixels and planes against pages that nobody may
/// touch. A fault ends the test.
#[cfg(unix)]
mod gaps {
    use super::*;
    use lanepool::ndarray::{ArrayViewMut4, Ix4};

    /// Rows of so many elements, each against the end or the beginning of a page, and a page that nobody may touch behind each.
    struct Rows {
        map: *mut u8,
        bytes: usize,
        page: usize,
        at_end: bool,
    }

    impl Rows {
        fn new(rows: usize, at_end: bool) -> Self {
            // SAFETY: a query without arguments in memory.
            let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("the size of a page");
            let bytes = (2 * rows + 1) * page;
            let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping at no particular place.
            let map = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, private, -1, 0) };
            assert_ne!(map, libc::MAP_FAILED, "mmap of {bytes} bytes");
            let map: *mut u8 = map.cast();
            for row in 0..rows {
                let both = libc::PROT_READ | libc::PROT_WRITE;
                // SAFETY: every second page of the mapping made above.
                let done = unsafe { libc::mprotect(map.add((2 * row + 1) * page).cast(), page, both) };
                assert_eq!(done, 0, "mprotect");
            }
            Self { map, bytes, page, at_end }
        }

        /// Where the first row begins, and elements from one row to the next.
        fn first<T>(&self, len: usize) -> (*mut T, usize) {
            let skip = if self.at_end { self.page - len * size_of::<T>() } else { 0 };
            (self.map.wrapping_add(self.page + skip).cast(), 2 * self.page / size_of::<T>())
        }
    }

    impl Drop for Rows {
        fn drop(&mut self) {
            // SAFETY: the mapping that `new` made, to which nothing refers any more.
            unsafe { libc::munmap(self.map.cast(), self.bytes) };
        }
    }

    /// The strides of a tensor whose index `axis` begins a new page, and whose other axes lie side by side in `order`.
    fn strides(shape: [usize; 4], axis: usize, order: &[usize], pages: usize) -> (Ix4, usize) {
        let (mut strides, mut run) = ([0; 4], 1);
        for place in order {
            strides[*place] = run;
            run *= shape[*place];
        }
        strides[axis] = pages;
        // Axes outside the paged one follow it.
        let mut outer = pages * shape[axis];
        for place in (0..4).rev().filter(|place| *place != axis && !order.contains(place)) {
            strides[place] = outer;
            outer *= shape[place];
        }
        (Ix4(strides[0], strides[1], strides[2], strides[3]), run)
    }

    fn between_pages<T: Sample>() {
        let mut rng = Rng::named("gaps");
        let longest = 2 * 64 / size_of::<T>() + 3;
        // Which axis has the gaps, and which lie inside, from the innermost on: rows, planes, images; pixels, rows, images with
        // channels last.
        let kinds: [(usize, &[usize]); 6] =
            [(2, &[3]), (1, &[3, 2]), (0, &[3, 2, 1]), (3, &[1]), (2, &[1, 3]), (0, &[1, 3, 2])];
        for (axis, order) in kinds {
            for length in (1..=longest).step_by(if share::is_small() { 7 } else { 1 }) {
                let shape = match (axis, order[0]) {
                    (3, _) => [1, length, 3, 4],
                    (_, 1) => [2, 1 + length / 3, 3, 3],
                    (0, _) => [2, 2, 3, 1 + length / 2],
                    _ => [1, 2, 5, length],
                };
                for (kernel, stride, pad) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2), (1, 2, 0), (0, 0, 0)] {
                    let windows = |pool: Pool<_, T>| pool;
                    let pool: MaxPool<T> = match kernel {
                        0 => windows(Pool::global()),
                        _ => windows(Pool::new([kernel; 2])).stride([stride; 2]).padding([pad; 2]),
                    };
                    let Ok(out) = pool.output_shape(shape) else { continue };
                    let out = [out[0], out[1], out[2], out[3]];
                    for at_end in [true, false] {
                        for tier in tiers::available() {
                            run_between(pool.tier(tier), (shape, out), (axis, order), at_end, &mut rng);
                            let sum: SumPool<T> = match kernel {
                                0 => Pool::global(),
                                _ => Pool::new([kernel; 2]).stride([stride; 2]).padding([pad; 2]),
                            };
                            run_between(sum.tier(tier), (shape, out), (axis, order), at_end, &mut rng);
                        }
                    }
                }
            }
        }
    }

    fn run_between<O: PoolOperation, T: Sample>(
        pool: Pool<O, T>,
        (shape, out): ([usize; 4], [usize; 4]),
        (axis, order): (usize, &[usize]),
        at_end: bool,
        rng: &mut Rng,
    ) {
        let pieces = |shape: [usize; 4]| {
            (0..4).filter(|place| !order.contains(place)).map(|place| shape[place]).product::<usize>()
        };
        let (from, to) = (Rows::new(pieces(shape), at_end), Rows::new(pieces(out), at_end));
        let inside = |shape: [usize; 4]| order.iter().map(|place| shape[*place]).product::<usize>();
        let ((x, apart), (y, to_apart)) = (from.first::<T>(inside(shape)), to.first::<T>(inside(out)));
        let ((input, _), (output, _)) = (strides(shape, axis, order, apart), strides(out, axis, order, to_apart));
        // SAFETY: every element lies in a page of `from` that may be read and written, and none twice.
        let mut x =
            unsafe { ArrayViewMut4::from_shape_ptr(Ix4(shape[0], shape[1], shape[2], shape[3]).strides(input), x) };
        // SAFETY: the same of `to`.
        let mut y = unsafe { ArrayViewMut4::from_shape_ptr(Ix4(out[0], out[1], out[2], out[3]).strides(output), y) };
        let values = Fill::Nans.tensor::<T>(x.len(), rng);
        x.iter_mut().zip(&values).for_each(|(x, value)| *x = *value);
        let plan = pool.plan_views(&x, &y).unwrap_or_else(|error| panic!("{shape:?} {order:?}: {error}"));
        plan.run_views(&x, &mut y).unwrap_or_else(|error| panic!("{plan}: {error}"));

        let packed = pool.plan(plan.layout(), shape).expect("a valid layer");
        let last = |view: ArrayView<'_, T, Ix4>| match plan.layout() {
            Layout::Nhwc => view.permuted_axes([0, 2, 3, 1]).iter().copied().collect::<Vec<_>>(),
            _ => view.iter().copied().collect(),
        };
        let want = packed.run_vec(&last(x.view())).expect("a valid run");
        assert_eq!(bits(&last(y.view())), bits(&want), "{plan}, {shape:?}, {order:?}");
    }

    #[test]
    fn what_lies_between_elements_is_not_touched() {
        between_pages::<f32>();
        between_pages::<u8>();
    }
}
