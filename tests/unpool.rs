//! Max unpooling against nested loops: every element, layout, rank and kind of index, and indices that occur twice.

#[macro_use]
mod common;

use common::check::poison;
use common::layer::LAYOUTS;
use common::oracle::offset;
use common::{Fill, Rng, Sample};
use lanepool::{Error, Index, IndexKind, Layout, MaxUnpool};

const KINDS: [IndexKind; 5] = [
    IndexKind::Plane,
    IndexKind::Tensor,
    IndexKind::TensorColumnMajor,
    IndexKind::ImageChannelsLast,
    IndexKind::TensorChannelsLast,
];

/// Writes each value where its index points, plane by plane and in each plane row by row. `plane` are the lengths that indices
/// count in, `output` those of the output.
fn oracle<T: Sample>(
    (layout, kind): (Layout, IndexKind),
    [batch, channels]: [usize; 2],
    pooled: usize,
    (plane, output): ([usize; 3], [usize; 3]),
    src: &[T],
    indices: &[i64],
) -> Vec<T> {
    let (pixels, planes) = (output.iter().product::<usize>(), plane.iter().product::<usize>());
    let mut dst = vec![T::zeroed(); batch * channels * pixels];
    for n in 0..batch {
        for c in 0..channels {
            for pixel in 0..pooled {
                let from = offset(layout, channels, pooled, n, c, pixel);
                let index = indices[from] as usize;
                let (number, rest) = match kind {
                    IndexKind::Plane => (n * channels + c, index),
                    IndexKind::ImageChannelsLast => (n * channels + index % channels, index / channels),
                    IndexKind::TensorChannelsLast => {
                        let pixel = index / channels;
                        (pixel / planes * channels + index % channels, pixel % planes)
                    }
                    _ => (index / planes, index % planes),
                };
                let [z, y, x] = match kind {
                    IndexKind::TensorColumnMajor => {
                        [rest % plane[0], rest / plane[0] % plane[1], rest / plane[0] / plane[1]]
                    }
                    _ => [rest / plane[2] / plane[1], rest / plane[2] % plane[1], rest % plane[2]],
                };
                let to = (z * output[1] + y) * output[2] + x;
                dst[offset(layout, channels, pixels, number / channels, number % channels, to)] = src[from];
            }
        }
    }
    dst
}

fn agrees<T: Sample, I: Index>(rng: &mut Rng) {
    let (_, layout) = *rng.pick(&LAYOUTS);
    let kind = *rng.pick(&KINDS);
    let rank = rng.within(1, 3);
    let (batch, channels) = (rng.within(1, 2), common::check::channels(layout, rng.within(1, 5)));
    let (mut pooled, mut plane, mut output) = ([1; 3], [1; 3], [1; 3]);
    for axis in 3 - rank..3 {
        pooled[axis] = rng.within(1, 4);
        plane[axis] = rng.within(1, 6);
        output[axis] = plane[axis] + rng.below(3);
    }
    let count: usize = pooled.iter().product();
    let shape: Vec<usize> = [batch, channels].into_iter().chain(pooled[3 - rank..].iter().copied()).collect();
    let layer = MaxUnpool::<T>::to(&plane[3 - rank..]).padded_to(&output[3 - rank..]).indices(kind);
    let plan = layer.plan::<I>(layout, &shape).unwrap_or_else(|error| panic!("{layer:?} {shape:?}: {error}"));
    assert_eq!((plan.input_shape(), plan.output_shape()[..2].to_vec()), (&shape[..], vec![batch, channels]));
    assert_eq!(plan.output_shape()[2..], output[3 - rank..]);

    let planes: usize = plane.iter().product();
    let places = match kind {
        IndexKind::Plane => planes,
        IndexKind::ImageChannelsLast => planes * channels,
        _ => planes * batch * channels,
    };
    let src = Fill::Bits.tensor::<T>(plan.input_len(), rng);
    let indices: Vec<i64> = src.iter().map(|_| rng.below(places) as i64).collect();
    let want = oracle((layout, kind), [batch, channels], count, (plane, output), &src, &indices);
    let narrow: Vec<I> = indices.iter().map(|&index| I::from_offset(index as usize).expect("a small index")).collect();
    let mut dst = vec![poison::<T>(); plan.output_len()];
    assert_eq!(plan.run(&src, &narrow, &mut dst), Ok(()));
    let bytes = |values: &[T]| bytemuck::cast_slice::<T, u8>(values).to_vec();
    assert_eq!(bytes(&dst), bytes(&want), "{layer:?}, {layout}, {shape:?} to {output:?}");
}

macro_rules! every_element {
    ($($name:ident: $type:ty),+ $(,)?) => {
        #[test]
        fn every_element_goes_where_its_index_points() {
            let mut rng = Rng::named("unpool");
            for _ in 0..400 {
                $( agrees::<$type, i32>(&mut rng); agrees::<$type, i64>(&mut rng); )+
            }
        }
    };
}

for_elements! { every_element }

/// What the docs say of [`MaxUnpool`], in every layout: the last value in row-major order wins.
#[test]
fn the_last_of_two_equal_indices_wins() {
    for (_, layout) in LAYOUTS {
        let plan = MaxUnpool::<i32>::to([2]).plan::<i64>(layout, [1, 16, 3]).expect("a valid layer");
        let at = |c, pixel| offset(layout, 16, 3, 0, c, pixel);
        let (mut src, mut indices) = ([0; 48], [0_i64; 48]);
        for c in 0..16 {
            for pixel in 0..3 {
                src[at(c, pixel)] = (10 * c + pixel + 1) as i32;
                indices[at(c, pixel)] = i64::from(pixel == 2);
            }
        }
        let mut dst = [-1; 32];
        assert_eq!(plan.run(&src, &indices, &mut dst), Ok(()));
        for c in 0..16 {
            assert_eq!(dst[offset(layout, 16, 2, 0, c, 0)], (10 * c + 2) as i32, "{layout}");
            assert_eq!(dst[offset(layout, 16, 2, 0, c, 1)], (10 * c + 3) as i32, "{layout}");
        }
    }
}

/// The ONNX node test `maxunpool_export_with_output_shape`: indices count in the plane of 4×4, the output has 5×5.
#[test]
fn an_output_shape_pads_as_onnx_has_it() {
    let layer = MaxUnpool::<f32>::new([2, 2]).stride([2, 2]).indices(IndexKind::Tensor);
    let plan = layer.padded_to([5, 5]).plan::<i64>(Layout::Nchw, [1, 1, 2, 2]).expect("a valid layer");
    let mut dst = [9.0; 25];
    assert_eq!(plan.run(&[1.0, 2.0, 3.0, 4.0], &[5, 7, 13, 15], &mut dst), Ok(()));
    let mut want = [0.0; 25];
    (want[6], want[8], want[16], want[18]) = (1.0, 2.0, 3.0, 4.0);
    assert_eq!(dst, want);
}

#[test]
fn the_output_is_what_was_pooled() {
    let length =
        |layer: MaxUnpool<f32>, n| Ok::<_, Error>(layer.plan::<i64>(Layout::Nchw, [1, 1, n])?.output_shape()[2]);
    assert_eq!(length(MaxUnpool::new([3]).stride([2]).padding([1]), 4), Ok(7));
    assert_eq!(length(MaxUnpool::new([3]).stride([2]).padding_unequal([1], [0]), 4), Ok(8));
    assert_eq!(length(MaxUnpool::new([5]), 1), Ok(5));
    // What has no meaning with a given length changes nothing.
    assert_eq!(length(MaxUnpool::to([9]).stride([0]).padding([100]), 4), Ok(9));
}

#[test]
fn no_batch_and_no_channels_are_fine() {
    for (_, layout) in LAYOUTS {
        for shape in [[0, 16, 3], [2, 0, 3]] {
            for kind in KINDS {
                let plan = MaxUnpool::<u8>::to([4]).indices(kind).plan::<i32>(layout, shape).expect("a valid layer");
                assert_eq!((plan.input_len(), plan.output_len(), plan.layout()), (0, 0, layout));
                assert_eq!(plan.run(&[], &[], &mut []), Ok(()));
            }
        }
    }
}
