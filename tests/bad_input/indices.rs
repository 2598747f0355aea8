//! I: indices that point nowhere, and gradients of another shape.

use lanepool::{AvgBackward, AvgPool, Error, IndexKind, Layout, LpPool, MaxBackward, MaxPool, MaxUnpool, SumPool};

use crate::common::layer::LAYOUTS;
use crate::common::oracle::offset;
use crate::says;

/// Unpools two channels of 2×2 to 4×4 with one index spoilt, and returns the error; nothing was written.
fn refused_index(layout: Layout, kind: IndexKind, at: usize, index: i64) -> Error {
    let plan = MaxUnpool::<f32>::to([4, 4]).indices(kind).plan(layout, [1, 16, 2, 2]).expect("a valid layer");
    let mut indices = [0_i64; 64];
    indices[at] = index;
    let mut dst = [7.0; 256];
    let error = plan.run(&[1.0; 64], &indices, &mut dst).expect_err("a bad index");
    assert_eq!(dst, [7.0; 256], "a refused run wrote");
    error
}

/// An index at or past the plane's end is refused before the first write, wherever it stands.
#[test]
fn i01_index_beyond_the_plane() {
    for (_, layout) in LAYOUTS {
        for (kind, len) in [
            (IndexKind::Plane, 16),
            (IndexKind::Tensor, 256),
            (IndexKind::TensorColumnMajor, 256),
            (IndexKind::ImageChannelsLast, 256),
            (IndexKind::TensorChannelsLast, 256),
        ] {
            for at in [0, 31, 63] {
                for index in [len as i64, len as i64 + 1, i64::MAX] {
                    let error = refused_index(layout, kind, at, index);
                    assert_eq!(error, Error::IndexOutOfRange { at, index, len });
                    says(&error, &[&at.to_string(), &index.to_string(), &(len - 1).to_string()]);
                }
            }
        }
    }
    // The same in a backward pass, where an index must also be one of its own window's.
    let layer = MaxPool::<f32>::new([2, 2]).stride([2, 2]);
    for (_, layout) in LAYOUTS {
        let plan = layer.backward::<i64>(IndexKind::Plane, layout, [1, 16, 4, 4]).expect("a valid layer");
        let mut indices = vec![0; 64];
        // Channels first and last alike: window (y, x) of all channels begins at 8·y + 2·x.
        for (i, index) in indices.iter_mut().enumerate() {
            let window = match layout {
                Layout::Nchw => i % 4,
                Layout::Nhwc => i / 16,
                Layout::Blocked(block) => i / block % 4,
                _ => panic!("the layout {layout} has no row here"),
            };
            *index = [0, 2, 8, 10][window];
        }
        let last: Vec<bool> = indices.iter().map(|&index| index == 10).collect();
        let is_last_window = |at: usize| last[at];
        let mut refused = |at: usize, index: i64| {
            let good = core::mem::replace(&mut indices[at], index);
            let mut grad_input = [7.0; 256];
            let error = plan.run(&[1.0; 64], &indices, &mut grad_input).expect_err("a bad index");
            assert_eq!(grad_input, [7.0; 256], "a refused run wrote");
            indices[at] = good;
            error
        };
        for at in [0, 31, 63] {
            assert_eq!(refused(at, 16), Error::IndexOutOfRange { at, index: 16, len: 16 });
            // The last position is the last window's alone, and the first the first's.
            let elsewhere = if is_last_window(at) { 0 } else { 15 };
            let error = refused(at, elsewhere);
            assert_eq!(error, Error::IndexOutsideWindow { at, index: elsewhere }, "{layout}");
            says(&error, &[&at.to_string(), &elsewhere.to_string(), "window"]);
        }
        assert_eq!(plan.run(&[1.0; 64], &indices, &mut [0.0; 256]), Ok(()));
    }
}

/// An index of the next image, of another channel and of another window, where channels move fastest: refused before the
/// first write, in both images.
#[test]
fn i01_index_of_another_image_or_channel() {
    let (image, tensor) = (IndexKind::ImageChannelsLast, IndexKind::TensorChannelsLast);
    for (_, layout) in LAYOUTS {
        let unpool = MaxUnpool::<f32>::to([4]).indices(image).plan::<i64>(layout, [2, 16, 2]).expect("a valid layer");
        let mut dst = [7.0; 128];
        let mut indices = [0; 64];
        indices[40] = 64;
        let refused = Err(Error::IndexOutOfRange { at: 40, index: 64, len: 64 });
        assert_eq!(unpool.run(&[1.0; 64], &indices, &mut dst), refused);
        assert_eq!(dst, [7.0; 128], "a refused run wrote");

        for kind in [image, tensor] {
            let layer = MaxPool::<f32>::new([2]).stride([2]);
            let plan = layer.backward::<i64>(kind, layout, [2, 16, 4]).expect("a valid layer");
            let (mut indices, mut grad_input) = (vec![0; 64], [7.0; 128]);
            let place = |n, c, o| offset(layout, 16, 2, n, c, o);
            for (n, c, o) in (0..64).map(|i| (i / 32, i / 2 % 16, i % 2)) {
                let first = if kind == tensor { n * 64 } else { 0 };
                indices[place(n, c, o)] = (first + 2 * o * 16 + c) as i64;
            }
            let good = indices.clone();
            for (n, c, o) in [(0, 0, 0), (0, 15, 1), (1, 3, 1), (1, 15, 0)] {
                let at = place(n, c, o);
                let other_channel = if c == 15 { -1 } else { 1 };
                let other_window = if o == 0 { 32 } else { -32 };
                for by in [other_channel, other_window] {
                    indices[at] = good[at] + by;
                    let error = plan.run(&[1.0; 64], &indices, &mut grad_input);
                    assert_eq!(
                        error,
                        Err(Error::IndexOutsideWindow { at, index: good[at] + by }),
                        "{layout}, {kind:?}"
                    );
                }
                if kind == tensor {
                    indices[at] = good[at] + if n == 0 { 64 } else { -64 };
                    let error = plan.run(&[1.0; 64], &indices, &mut grad_input);
                    assert_eq!(error, Err(Error::IndexOutsideWindow { at, index: indices[at] }), "{layout}");
                }
                let len = if kind == tensor { 128 } else { 64 };
                indices[at] = len as i64;
                let error = plan.run(&[1.0; 64], &indices, &mut grad_input);
                assert_eq!(error, Err(Error::IndexOutOfRange { at, index: len as i64, len }), "{layout}");
                indices[at] = good[at];
            }
            assert_eq!(grad_input, [7.0; 128], "a refused run wrote");
            assert_eq!(plan.run(&[1.0; 64], &indices, &mut grad_input), Ok(()));
            assert_eq!(grad_input.iter().sum::<f32>(), 64.0);
        }
    }
}

/// −1, and whatever else is negative, is an index of nothing.
#[test]
fn i02_index_minus_one() {
    for index in [-1, i64::MIN] {
        let error = refused_index(Layout::Nchw, IndexKind::Plane, 5, index);
        assert_eq!(error, Error::IndexOutOfRange { at: 5, index, len: 16 });
        says(&error, &["5", &index.to_string(), "15"]);
    }
    // A window without a valid tap has no other index, and gives its gradient to nobody.
    let layer = MaxPool::<f32>::new([2]).padding([3]).stride([3]).allow_empty_windows(true);
    let plan = layer.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 2]).expect("a valid layer");
    assert_eq!(plan.output_len(), 3);
    let mut grad_input = [7.0; 2];
    let out_of_range = |at, index| Err(Error::IndexOutOfRange { at, index, len: 2 });
    assert_eq!(plan.run(&[1.0, 2.0, 4.0], &[-1, -1, -1], &mut grad_input), out_of_range(1, -1));
    assert_eq!(
        plan.run(&[1.0, 2.0, 4.0], &[0, 1, -1], &mut grad_input),
        Err(Error::IndexOutsideWindow { at: 0, index: 0 })
    );
    assert_eq!(grad_input, [7.0; 2]);
    assert_eq!(plan.run(&[1.0, 2.0, 4.0], &[-1, 1, -1], &mut grad_input), Ok(()));
    assert_eq!(grad_input, [0.0, 2.0]);
}

/// An index is compared in its full width: 2³² + 3 is not 3.
#[test]
fn i03_index_narrowed_before_the_check() {
    for index in [(1 << 32) + 3, (1 << 33) + 3, i64::MIN + 3, -(1 << 32) + 3] {
        let error = refused_index(Layout::Nhwc, IndexKind::Plane, 9, index);
        assert_eq!(error, Error::IndexOutOfRange { at: 9, index, len: 16 });
        says(&error, &[&index.to_string()]);
    }
}

/// The same index twice: the last value wins in unpooling, and a backward pass adds the gradients from first to last.
#[test]
fn i04_index_twice() {
    let plan = MaxUnpool::<f32>::to([4]).plan::<i32>(Layout::Nchw, [1, 1, 3]).expect("a valid layer");
    let mut dst = [7.0; 4];
    assert_eq!(plan.run(&[1.0, 2.0, 3.0], &[2, 2, 2], &mut dst), Ok(()));
    assert_eq!(dst, [0.0, 0.0, 3.0, 0.0]);

    let layer = MaxPool::<f32>::new([3]);
    let plan = layer.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, 5]).expect("a valid layer");
    let mut grad_input = [7.0; 5];
    // In another order the 1 would survive, or not: (2²⁴ + 1) − 2²⁴.
    let two_24 = 16_777_216.0;
    assert_eq!(plan.run(&[two_24, 1.0, -two_24], &[2, 2, 2], &mut grad_input), Ok(()));
    assert_eq!(grad_input, [0.0; 5]);
    assert_eq!(plan.run(&[two_24, -two_24, 1.0], &[2, 2, 2], &mut grad_input), Ok(()));
    assert_eq!(grad_input, [0.0, 0.0, 1.0, 0.0, 0.0]);
}

/// As many indices as values, no more and no fewer.
#[test]
fn i05_another_number_of_indices() {
    let unpool = MaxUnpool::<u8>::to([4]).plan::<i64>(Layout::Nchw, [1, 1, 2]).expect("a valid layer");
    let layer = MaxPool::<f32>::new([2]).stride([2]);
    let backward = layer.backward::<i64>(IndexKind::Plane, Layout::Nchw, [1, 1, 4]).expect("a valid layer");
    for got in [0, 1, 3] {
        let (mut dst, mut grad_input) = ([7; 4], [7.0; 4]);
        let error = unpool.run(&[1, 2], &[0, 1, 2][..got], &mut dst).expect_err("bad indices");
        assert_eq!(error, Error::IndexLen { need: 2, got });
        says(&error, &["2", &got.to_string(), "indices"]);
        assert_eq!(backward.run(&[1.0, 2.0], &[0, 2, 3][..got], &mut grad_input), Err(error.clone()));
        let mut found = vec![7; got];
        let again = backward.run_from_input(&[1.0; 4], &[1.0, 2.0], &mut found, &mut grad_input);
        assert_eq!(again, Err(error));
        assert_eq!((dst, grad_input, found), ([7; 4], [7.0; 4], vec![7; got]));
    }
    let mut dst = [7; 4];
    for got in [0, 1, 3] {
        assert_eq!(unpool.run(&[1, 2, 3][..got], &[0, 1], &mut dst), Err(Error::SrcLen { need: 2, got }));
    }
    for got in [3, 5] {
        assert_eq!(unpool.run(&[1, 2], &[0, 1], &mut vec![7; got]), Err(Error::DstLen { need: 4, got }));
    }
    assert_eq!(dst, [7; 4]);
}

/// A gradient that is not of the plan's shape: one batch more, one fewer, none.
#[test]
fn i06_gradient_of_another_shape() {
    let (shape, outputs, inputs) = ([5, 3, 8], 5 * 3 * 4, 5 * 3 * 8);
    let average = AvgPool::<f32>::new([2]).stride([2]).backward(Layout::Nhwc, shape).expect("a valid layer");
    let sum = SumPool::<f32>::new([2]).stride([2]).backward(Layout::Nhwc, shape).expect("a valid layer");
    let adaptive = AvgBackward::<f32>::adaptive([4], Layout::Nhwc, shape).expect("a valid layer");
    let max =
        MaxPool::<f32>::new([2]).stride([2]).backward(IndexKind::Tap, Layout::Nhwc, shape).expect("a valid layer");
    let norm = LpPool::<f32>::new([2]).stride([2]).backward(Layout::Nhwc, shape).expect("a valid layer");
    for (of, need, one) in [("output", outputs, 12), ("input", inputs, 24)] {
        for got in [0, 1, need - one, need - 1, need + 1, need + one] {
            let gradient = vec![1.0; if of == "output" { got } else { outputs }];
            let mut grad_input = vec![7.0; if of == "input" { got } else { inputs }];
            let (x, y) = (vec![1.0; inputs], vec![1.0; outputs]);
            let mut indices = vec![0_i32; outputs];
            for result in [
                average.run(&gradient, &mut grad_input),
                sum.run(&gradient, &mut grad_input),
                adaptive.run(&gradient, &mut grad_input),
                max.run(&gradient, &indices.clone(), &mut grad_input),
                max.run_from_input(&x, &gradient, &mut indices, &mut grad_input),
                norm.run(&x, &y, &gradient, &mut grad_input),
            ] {
                let error = result.expect_err("a gradient of another shape");
                assert_eq!(error, Error::GradientLen { of, need, got });
                says(&error, &[of, "gradient", &need.to_string(), &got.to_string()]);
            }
            assert!(grad_input.iter().all(|value| *value == 7.0), "a refused run wrote");
        }
    }
    let mut grad_input = vec![7.0; inputs];
    let gradient = vec![1.0; outputs];
    let short = norm.run(&[1.0], &gradient, &gradient, &mut grad_input);
    assert_eq!(short, Err(Error::SrcLen { need: inputs, got: 1 }));
    let x = vec![1.0; inputs];
    assert_eq!(norm.run(&x, &[1.0], &gradient, &mut grad_input), Err(Error::DstLen { need: outputs, got: 1 }));
    let mut indices = vec![0; outputs];
    let short = max.run_from_input(&[1.0], &gradient, &mut indices, &mut grad_input);
    assert_eq!(short, Err(Error::SrcLen { need: inputs, got: 1 }));
    assert!(grad_input.iter().all(|value| *value == 7.0), "a refused run wrote");
}

/// The shape is the plan's, and is checked there: there is no second one for a gradient to disagree with.
#[test]
fn i07_shape_that_disagrees_with_the_gradient() {
    let most = usize::MAX;
    // More together than there are addresses; an eighth of them.
    let (root, eighth) = (1 << (usize::BITS / 2 + 8), 1 << (usize::BITS - 3));
    for shape in [vec![root, root, 4], vec![most, 1, 4], vec![0, eighth, eighth], vec![1, 1, most]] {
        let errors = [
            AvgPool::<f32>::new([2]).backward(Layout::Nchw, &shape).err(),
            AvgBackward::<f32>::adaptive([2], Layout::Nchw, &shape).err(),
            MaxPool::<f32>::new([2]).backward::<i64>(IndexKind::Plane, Layout::Nchw, &shape).err(),
            MaxBackward::<f32, i64>::adaptive([2], IndexKind::Plane, Layout::Nchw, &shape).err(),
            LpPool::<f32>::new([2]).backward(Layout::Nchw, &shape).err(),
            MaxUnpool::<f32>::new([2]).plan::<i64>(Layout::Nchw, &shape).err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(Error::SizeOverflow { .. })), "{shape:?}: {error:?}");
        }
    }
    // Lengths of 0 and of another rank; an output that is too small for what its indices count in.
    for lengths in [[0, 4], [4, 0]] {
        let axis = if lengths[0] == 0 { "axis 2 (height)" } else { "axis 3 (width)" };
        let unpool = MaxUnpool::<f32>::to(lengths).plan::<i64>(Layout::Nchw, [1, 1, 2, 2]).map(|_| ());
        let adaptive = AvgBackward::<f32>::adaptive(lengths, Layout::Nchw, [1, 1, 9, 9]).map(|_| ());
        for result in [unpool, adaptive] {
            let error = result.expect_err("an empty output");
            assert!(matches!(error, Error::EmptyOutput { .. }), "{error:?}");
            says(&error, &["0", axis]);
        }
    }
    let error = MaxUnpool::<f32>::new([2, 2]).stride([2, 2]).padded_to([4, 3]).plan::<i64>(Layout::Nchw, [1, 1, 2, 2]);
    let error = error.expect_err("an output that is too small");
    assert!(matches!(error, Error::OutputTooSmall { need: 4, got: 3, axis } if axis.index == 3), "{error:?}");
    says(&error, &["axis 3 (width)", "4", "3"]);
    let plan = |layer: MaxUnpool<f32>, shape: &[usize]| layer.plan::<i64>(Layout::Nchw, shape).map(|_| ());
    let rank = |what, got, need| Err(Error::Rank { what, got, need });
    assert_eq!(plan(MaxUnpool::new([2]), &[1, 1, 2, 2]), rank("kernel", 1, 2));
    assert_eq!(plan(MaxUnpool::to([2, 2, 2]), &[1, 1, 2, 2]), rank("output", 3, 2));
    assert_eq!(plan(MaxUnpool::new([2]).stride([1, 1]), &[1, 1, 2]), rank("stride", 2, 1));
    assert_eq!(plan(MaxUnpool::new([2]).padding([1, 1]), &[1, 1, 2]), rank("padding", 2, 1));
    assert_eq!(plan(MaxUnpool::new([2]), &[1, 1]), rank("shape", 2, 0));
    assert!(matches!(plan(MaxUnpool::new([0]), &[1, 1, 2]), Err(Error::ZeroKernel { .. })));
    assert!(matches!(plan(MaxUnpool::new([1]).stride([0]), &[1, 1, 2]), Err(Error::ZeroStride { .. })));
    assert!(matches!(plan(MaxUnpool::new([1]).padding([1]), &[1, 1, 2]), Err(Error::PadTooLarge { .. })));
    assert!(matches!(plan(MaxUnpool::new([2]), &[1, 1, 0]), Err(Error::EmptyInput { .. })));
    assert!(matches!(plan(MaxUnpool::to([2]).indices(IndexKind::Tap), &[1, 1, 2]), Err(Error::Unsupported { .. })));
    for p in [0.0, -2.0, f64::NAN] {
        let norm = LpPool::<f32>::new([2]).p(p).backward(Layout::Nchw, [1, 1, 4]);
        assert!(matches!(norm, Err(Error::BadNorm { .. })), "{norm:?}");
    }
    assert_eq!(AvgPool::<f32>::new([2]).divisor(0).backward(Layout::Nchw, [1, 1, 4]).err(), Some(Error::BadDivisor));
}

/// An index type that cannot hold the plane is refused when the plan is made. With 32 bits there is no such plane.
#[cfg(target_pointer_width = "64")]
#[test]
fn i08_index_type_too_narrow() {
    let most = i32::MAX as usize;
    for (lengths, fits) in [([most + 1], true), ([most + 2], false)] {
        let narrow = MaxUnpool::<u8>::to(lengths).plan::<i32>(Layout::Nchw, [1, 1, 2]).map(|_| ());
        let pool = MaxPool::<f32>::new([2]);
        let backward = pool.backward::<i32>(IndexKind::Plane, Layout::Nchw, [1, 1, lengths[0]]).map(|_| ());
        for result in [narrow, backward] {
            match (result, fits) {
                (Ok(()), true) => {}
                (Err(error), false) => {
                    assert_eq!(error, Error::IndexTooNarrow { index: "i32", most: most + 1 });
                    says(&error, &["i32", &(most + 1).to_string()]);
                }
                (result, _) => panic!("{lengths:?}: {result:?}"),
            }
        }
        assert!(MaxUnpool::<u8>::to(lengths).plan::<i64>(Layout::Nchw, [1, 1, 2]).is_ok());
        // The number of a tap is small, whatever the plane.
        assert!(pool.backward::<i32>(IndexKind::Tap, Layout::Nchw, [1, 1, lengths[0]]).is_ok());
    }
    // In the image and not in the plane; in the tensor and not in the image.
    let pool = MaxPool::<u8>::new([2, 2]);
    let shape = [2, 1 << 11, 1 << 10, 1 << 10];
    for (kind, batch, most) in [
        (IndexKind::Plane, 2, None),
        (IndexKind::ImageChannelsLast, 2, None),
        (IndexKind::TensorChannelsLast, 1, None),
        (IndexKind::TensorChannelsLast, 2, Some((1_usize << 32) - 1)),
    ] {
        let plan = pool.plan_indexed::<i32>(kind, Layout::Nchw, [batch, shape[1], shape[2], shape[3]]).err();
        assert_eq!(plan, most.map(|most| Error::IndexTooNarrow { index: "i32", most }), "{kind:?} of {batch}");
    }
    let wider = pool.plan_indexed::<i32>(IndexKind::ImageChannelsLast, Layout::Nhwc, [1, 1 << 12, 1 << 10, 1 << 10]);
    assert_eq!(wider.err(), Some(Error::IndexTooNarrow { index: "i32", most: (1 << 32) - 1 }));
    // In the tensor, not in the plane.
    let layer = MaxUnpool::<u8>::to([1 << 20]).indices(IndexKind::Tensor);
    let error = layer.plan::<i32>(Layout::Nchw, [1, 1 << 12, 2]).map(|_| ());
    assert_eq!(error, Err(Error::IndexTooNarrow { index: "i32", most: (1 << 32) - 1 }));
}
