//! Gradients that many windows add to: elements of an input that is far shorter than the windows.

use lanepool::{AvgBackward, AvgPool, IndexKind, Layout, LpPool, MaxPool, SumPool};

use super::{NCHW, NHWC, NUMBERS, ONES, fill_uniformly, is_near, side_by_side};

/// An input of one pixel, a kernel whose every tap meets it once, and the layout.
struct Case {
    layout: Layout,
    channels: usize,
    kernel: &'static [usize],
    dilation: usize,
}

const CASES: [Case; 5] = [
    Case { layout: NCHW, channels: 1, kernel: &[NUMBERS], dilation: 1 },
    Case { layout: NCHW, channels: 2, kernel: &[1250, 4000], dilation: 1 },
    Case { layout: NHWC, channels: 3, kernel: &[NUMBERS / 3, 1], dilation: 1 },
    Case { layout: Layout::Blocked(4), channels: 8, kernel: &[100, 100, 125], dilation: 1 },
    // Its windows that miss the input do not count.
    Case { layout: NCHW, channels: 1, kernel: &[15_000], dilation: 2 },
];

/// What the outputs of each channel sum to.
fn exact(layout: Layout, shape: &[usize], gradient: &[f32], counts: impl Fn(usize) -> bool) -> Vec<f64> {
    let strides = side_by_side(layout, shape);
    let pixels = shape[2..].iter().product::<usize>();
    let step = strides[shape.len() - 1];
    (0..shape[1])
        .map(|channel| {
            let (first, _) = super::channel_offsets(layout, channel, strides[1], 0);
            (0..pixels).filter(|pixel| counts(*pixel)).map(|pixel| f64::from(gradient[first + pixel * step])).sum()
        })
        .collect()
}

#[test]
fn gradients_are_no_long_chain() {
    let mut gradient = vec![0.0_f32; NUMBERS];
    fill_uniformly(&mut gradient, "gradients");
    for case in CASES {
        let Case { layout, channels, kernel, dilation } = case;
        let rank = kernel.len();
        let shape = [&[1, channels][..], &vec![1; rank]].concat();
        let reach: Vec<usize> = kernel.iter().map(|kernel| (kernel - 1) * dilation).collect();
        let average = AvgPool::<f32>::new(kernel).padding(&reach).dilation(vec![dilation; rank]);
        let output = average.output_shape(&shape).expect("a valid window");
        let gradient = &gradient[..output.iter().product()];
        let sums = exact(layout, &output, gradient, |pixel| pixel % dilation == 0);
        let taps = kernel.iter().product::<usize>();
        let mut got = vec![0.0; channels];
        let check = |what: &str, got: &[f32], scale: f64| {
            for (got, exact) in got.iter().zip(&sums) {
                is_near(&format!("{what} of {kernel:?}, {layout}"), *got, exact / scale);
            }
        };

        let backward = average.count_include_pad(true).backward(layout, &shape).expect("a valid layer");
        assert_eq!(backward.run(gradient, &mut got), Ok(()));
        check("average", &got, taps as f64);

        let sum = SumPool::<f32>::new(kernel).padding(&reach).dilation(vec![dilation; rank]);
        assert_eq!(sum.backward(layout, &shape).and_then(|sum| sum.run(gradient, &mut got)), Ok(()));
        check("sum", &got, 1.0);

        // The norm of one element is its magnitude.
        let norm = LpPool::<f32>::new(kernel).padding(&reach).dilation(vec![dilation; rank]);
        let norms = vec![0.75; gradient.len()];
        let backward = norm.backward(layout, &shape).expect("a valid layer");
        assert_eq!(backward.run(&vec![0.75; channels], &norms, gradient, &mut got), Ok(()));
        check("norm", &got, 1.0);
        drop(norms);

        let max = MaxPool::<f32>::new(kernel).padding(&reach).dilation(vec![dilation; rank]);
        let is_dilated = dilation > 1;
        let max = max.backward::<i32>(IndexKind::Plane, layout, &shape).expect("a valid layer");
        let mut indices = vec![0; gradient.len()];
        if is_dilated {
            indices.iter_mut().skip(1).step_by(2).for_each(|index| *index = -1);
        }
        assert_eq!(max.run(gradient, &indices, &mut got), Ok(()));
        check("maximum", &got, 1.0);
    }
    for (layout, channels) in [(NCHW, 1), (NHWC, 3), (Layout::Blocked(2), 4)] {
        let shape = [1, channels, 2];
        let lengths = NUMBERS / channels;
        let backward = AvgBackward::<f32>::adaptive([lengths], layout, shape).expect("a valid layer");
        let output = [1, channels, lengths];
        let mut got = vec![0.0; 2 * channels];
        let gradient = &gradient[..channels * lengths];
        assert_eq!(backward.run(gradient, &mut got), Ok(()));
        let [first, second] =
            [true, false].map(|is_first| {
                exact(layout, &output, gradient, |pixel| {
                    if is_first { pixel < lengths.div_ceil(2) } else { pixel >= lengths / 2 }
                })
            });
        let strides = side_by_side(layout, &shape);
        for channel in 0..channels {
            let (at, _) = super::channel_offsets(layout, channel, strides[1], 0);
            // A window in the middle has both elements, where there is one.
            let shared = if lengths % 2 == 1 {
                let strides = side_by_side(layout, &output);
                let (at, _) = super::channel_offsets(layout, channel, strides[1], 0);
                f64::from(gradient[at + lengths / 2 * strides[2]]) / 2.0
            } else {
                0.0
            };
            is_near(&format!("adaptive, {layout}"), got[at], first[channel] - shared);
            is_near(&format!("adaptive, {layout}"), got[at + strides[2]], second[channel] - shared);
        }
    }
}

/// "2²⁵ ones onto one input": a chain gives 16 777 216.
#[test]
fn many_ones_go_to_one_element() {
    // One gradient for all windows.
    let backward = AvgBackward::<f32>::adaptive_strided([ONES], NCHW, [1, 1, 1], [1, 1, 1], [0, 0, 0]);
    let mut got = [0.0];
    assert_eq!(backward.and_then(|backward| backward.run(&[1.0], &mut got)), Ok(()));
    assert_eq!(got, [ONES as f32]);
    let average = AvgPool::<f32>::new([ONES]).padding([ONES - 1]).count_include_pad(true);
    let backward = average.backward_strided(NHWC, [1, 1, 1], [1, 1, 1], [0, 1, 0]);
    assert_eq!(backward.and_then(|backward| backward.run(&[1.0], &mut got)), Ok(()));
    assert_eq!(got, [1.0]);
}
