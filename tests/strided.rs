//! Tensors that are parts of larger ones: the bytes of the same elements side by side, and not a byte between them.

#[macro_use]
mod common;

use common::layer::{LAYOUTS, ops};
use common::strides::{bits, offsets};
use common::{Fill, Layer, Nan, Op, Rng, Sample, share, tiers};
use lanepool::{AvgPool, Error, Layout, MaxPool};

/// Random layers on random strides, every tier.
fn strides_do_not_matter<T: Sample>() {
    let mut rng = Rng::named("strided");
    for round in 0..share::of(400) {
        let (_, op) = *rng.pick(&ops::<T>());
        let (_, layout) = *rng.pick(&LAYOUTS);
        let layer = Layer::random(op, layout, &mut rng);
        common::strides::strides_do_not_matter::<T>(&layer, round % 4 == 0, &mut rng);
    }
}

/// Rows of whole vectors, with gaps between them: a loop that may store whole vectors has such rows to itself.
fn rows_of_whole_vectors<T: Sample>() {
    let mut rng = Rng::named("whole vectors");
    for op in [Op::Max(Nan::Propagate), Op::Avg].into_iter().filter(|op| op.is_of::<T>()) {
        for (kernel, stride, pad) in [([2, 2], 2, 0), ([3, 3], 2, 1), ([3, 3], 1, 1), ([1, 2], 2, 0)] {
            let (width, rows) = (64 * stride, 5 * stride);
            let layer = Layer::new(op, Layout::Nchw, &[1, 2, rows, width], &kernel).stride(&[stride, stride]);
            let layer = layer.padding(&[if kernel[0] == 1 { 0 } else { pad }, pad]);
            for gap in [1, 7, 64] {
                let of = |rows: usize, width: usize| vec![0, rows * (width + gap), width + gap, 1];
                let both = [of(rows, width), of(rows, 64)];
                common::strides::these_strides_do_not_matter::<T>(&layer, both, false, &mut rng);
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn strides_do_not_matter() {
                super::strides_do_not_matter::<$T>();
            }

            #[test]
            fn rows_of_whole_vectors() {
                super::rows_of_whole_vectors::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

/// The branches of an Inception block, each pooled into its channels of one output: the bytes of a concatenation.
#[test]
fn branches_are_pooled_into_their_place() {
    let mut rng = Rng::named("concatenation");
    let (batch, height, width) = (2, 9, 11);
    let (first, second) = (24, 40);
    let together = first + second;
    for (layout, stride) in [
        (Layout::Nhwc, [height * width * together, 1, width * together, together]),
        (Layout::Nchw, [together * height * width, height * width, width, 1]),
    ] {
        let mut dst = vec![f32::NAN; batch * together * height * width];
        let mut want = dst.clone();
        let mut begin = 0;
        for channels in [first, second] {
            let shape = [batch, channels, height, width];
            let pool = MaxPool::<f32>::new([3, 3]).padding([1, 1]);
            let packed = pool.plan(layout, shape).expect("a valid layer");
            let src = Fill::Bits.tensor::<f32>(packed.input_len(), &mut rng);
            let own = match layout {
                Layout::Nhwc => [height * width * channels, 1, width * channels, channels],
                _ => [channels * height * width, height * width, width, 1],
            };
            let plan = pool.plan_strided(layout, shape, own, stride).expect("valid strides");
            let offset = begin * stride[1];
            plan.run(&src, &mut dst[offset..][..plan.output_len()]).expect("a valid run");

            let values = packed.run_vec(&src).expect("a valid run");
            for (value, at) in values.iter().zip(offsets(layout, &shape, &stride)) {
                want[offset + at] = *value;
            }
            begin += channels;
        }
        assert_eq!(bits(&dst), bits(&want), "{layout}");
    }
}

#[test]
fn strides_that_cannot_be_are_errors() {
    let pool = AvgPool::<u8>::new([2, 2]);
    let plan = |input: &[usize], output: &[usize]| pool.plan_strided(Layout::Nhwc, [2, 3, 4, 5], input, output);
    let (input, output) = ([60, 1, 15, 3], [36, 1, 12, 3]);
    assert!(plan(&input, &output).is_ok());
    let sentence =
        |input: &[usize], output: &[usize]| plan(input, output).map(|_| ()).expect_err("not valid").to_string();

    let error = plan(&input[1..], &output).map(|_| ());
    assert_eq!(error, Err(Error::StridesLen { what: "input", got: 3, need: 4 }));
    assert_eq!(
        sentence(&input, &[36, 1, 12, 3, 1]),
        "the strides of the output are 5 numbers where 4 are needed, one for each axis of the shape"
    );
    let error = plan(&[60, 2, 15, 3], &output).map(|_| ());
    assert_eq!(error, Err(Error::ChannelsApart { what: "input", stride: 2 }));
    assert_eq!(
        sentence(&input, &[36, 0, 12, 3]),
        "the stride of the output is 0 on axis 1 (channels): channels last, they lie side by side; a tensor \
         in another layout is reordered before or after"
    );
    let overlap = |stride: [usize; 4]| match plan(&input, &stride).map(|_| ()) {
        Err(Error::OutputsOverlap { axis, stride, need, .. }) => (axis.index, stride, need),
        other => panic!("{stride:?}: {other:?}"),
    };
    assert_eq!(overlap([36, 1, 12, 2]), (3, 2, 3));
    assert_eq!(overlap([36, 1, 11, 3]), (2, 11, 12));
    assert_eq!(overlap([35, 1, 12, 3]), (0, 35, 36));
    assert_eq!(overlap([0, 1, 12, 3]), (0, 0, 36));
    assert_eq!(
        sentence(&input, &[36, 1, 11, 3]),
        "the stride of the output is 11 on axis 2 (height), where each index takes 12 elements: what is written there \
         would overlap, or not lie in the order of the layout; an output in another layout is reordered afterwards"
    );
    for far in [usize::MAX, usize::MAX / 2, isize::MAX as usize] {
        let error = plan(&[far, 1, 15, 3], &output).map(|_| ());
        assert_eq!(error, Err(Error::SizeOverflow { what: "input" }), "{far}");
        let error = plan(&input, &[far, 1, 12, 3]).map(|_| ());
        assert_eq!(error, Err(Error::SizeOverflow { what: "output" }), "{far}");
    }
    // Planar: channels are planes, and between batches something may lie.
    let planar = MaxPool::<u8>::new([2]);
    let error = planar.plan_strided(Layout::Nchw, [2, 3, 4], [12, 4, 1], [8, 3, 1]).map(|_| ());
    assert!(matches!(error, Err(Error::OutputsOverlap { stride: 8, need: 9, .. })), "{error:?}");
    let error = planar.plan_strided(Layout::Nchw, [2, 3, 4], [12, 4, 1], [9, 2, 1]).map(|_| ());
    assert!(matches!(error, Err(Error::OutputsOverlap { stride: 2, need: 3, .. })), "{error:?}");
}

/// The stride of an axis with one index is never taken, whatever it is.
#[test]
fn strides_of_one_index_do_not_matter() {
    let pool = MaxPool::<i32>::new([2]);
    let odd = usize::MAX;
    let plan = pool.plan_strided(Layout::Nchw, [1, 1, 3], [odd, odd, 1], [odd, 0, 1]).expect("valid strides");
    assert_eq!((plan.input_len(), plan.output_len()), (3, 2));
    assert_eq!(plan.run_vec(&[1, 3, 2]), Ok(vec![3, 3]));
}

#[test]
fn memory_that_holds_nothing_yet() {
    use std::mem::MaybeUninit;
    let mut rng = Rng::named("uninit");
    for tier in tiers::available() {
        let pool = MaxPool::<f32>::new([3, 3]).stride([2, 2]).padding([1, 1]).clamp(-1.0, 1.0).tier(tier);
        let plan = pool.plan(Layout::Nchw, [2, 3, 17, 19]).expect("a valid layer");
        let src = Fill::Nans.tensor::<f32>(plan.input_len(), &mut rng);
        let mut arena = vec![MaybeUninit::uninit(); plan.output_len()];
        let got = plan.run_uninit(&src, &mut arena).expect("a valid run");
        assert_eq!(bits(got), bits(&plan.run_vec(&src).expect("a valid run")), "{plan}");

        let (need, short) = (plan.output_len(), &mut arena[1..]);
        let error = plan.run_uninit(&src, short).map(|_| ());
        assert_eq!(error, Err(Error::DstLen { need, got: need - 1 }));
        let gappy = pool.plan_strided(Layout::Nchw, [1, 1, 3, 4], [0, 0, 4, 1], [0, 0, 3, 1]).expect("valid strides");
        let mut arena = vec![MaybeUninit::uninit(); gappy.output_len()];
        assert_eq!(gappy.output_len(), 5);
        let error = gappy.run_uninit(&src[..12], &mut arena).map(|_| ());
        assert!(matches!(error, Err(Error::Unsupported { .. })), "{error:?}");
    }
}
