//! S: shapes with zeros, products that overflow, slices of the wrong length.

use lanepool::{AnyPlan, AvgPool, Error, IndexKind, Layout, MaxPool};

use crate::common::layer::{LAYOUTS, OPS};
use crate::common::{Fill, Layer, Rng, check, tiers};
use crate::{layer, refused, refused_run, says, working};

/// Batch 0 runs and writes nothing (CVE-2021-29573 divided by it).
#[test]
fn s01_batch_zero() {
    for (_, op) in OPS {
        for (_, layout) in LAYOUTS {
            for shape in [&[0, 16, 9][..], &[0, 16, 9, 9], &[0, 16, 9, 9, 9]] {
                let window = vec![3; shape.len() - 2];
                let global = Layer::global(op, layout, shape);
                for layer in [Layer::new(op, layout, shape, &window), global] {
                    let plan = layer.plan::<f32>(None).unwrap_or_else(|error| panic!("{layer}: {error}"));
                    assert_eq!((plan.input_len(), plan.output_len()), (0, 0), "{layer}");
                    assert_eq!(plan.output_shape()[..2], [0, 16], "{layer}");
                    assert_eq!(plan.run(&[], &mut []), Ok(()), "{layer}");
                    assert_eq!(refused_run(&plan, &[], 1), Error::DstLen { need: 0, got: 1 });
                    assert_eq!(refused_run(&plan, &[1.0], 0), Error::SrcLen { need: 0, got: 1 });
                }
            }
        }
    }
}

/// Channels 0 run and write nothing.
#[test]
fn s02_channels_zero() {
    for (_, op) in OPS {
        for (_, layout) in LAYOUTS {
            for layer in [
                Layer::new(op, layout, &[2, 0, 9, 9], &[3, 3]).padding(&[1, 1]),
                Layer::new(op, layout, &[2, 0, 9, 9], &[9, 9]).stride(&[2, 2]).padding(&[1, 1]),
                Layer::global(op, layout, &[2, 0, 9, 9]),
            ] {
                let plan = layer.plan::<f32>(None).unwrap_or_else(|error| panic!("{layer}: {error}"));
                assert_eq!((plan.input_len(), plan.output_len()), (0, 0), "{layer}");
                assert_eq!(plan.run(&[], &mut []), Ok(()), "{layer}");
            }
        }
    }
    // Every block divides no channels; whatever its length, nothing overflows.
    for block in [1, 7, 1 << 20, usize::MAX / 8, usize::MAX / 2 + 1, usize::MAX] {
        for (_, op) in OPS {
            let layer = Layer::new(op, Layout::Blocked(block), &[2, 0, 9, 9], &[3, 3]).padding(&[1, 1]);
            if let Ok(plan) = layer.plan::<f32>(None) {
                assert_eq!((plan.input_len(), plan.output_len()), (0, 0), "{layer}");
                assert_eq!(plan.run(&[], &mut []), Ok(()), "{layer}");
            } else {
                assert!(block > 1 << 20, "{layer} is refused");
            }
        }
    }
    // Blocks must divide the channels; a block of none divides nothing, not even 0.
    for (block, channels) in [(0, 16), (0, 0), (3, 16), (16, 8)] {
        let error = MaxPool::<f32>::new([2]).plan(Layout::Blocked(block), [1, channels, 4]).expect_err("a bad block");
        assert_eq!(error, Error::BadBlock { block, channels });
        says(&error, &[&block.to_string(), &channels.to_string(), "channels"]);
    }
}

/// A spatial axis of length 0 is an error whatever the padding (CVE-2021-29574, -37651).
#[test]
fn s03_spatial_axis_zero() {
    for padding in 0..3 {
        for (axis, name) in [(2, "axis 2 (height)"), (3, "axis 3 (width)")] {
            let mut shape = [1, 16, 4, 4];
            shape[axis] = 0;
            let spoilt = layer(&shape, &[3, 3]).padding(&[padding, padding]);
            for spoilt in [spoilt.clone(), spoilt.clone().ceil(true), spoilt.allow_empty()] {
                let error = refused(&spoilt);
                assert!(
                    matches!(error, Error::EmptyInput { axis: named } if named.index == axis),
                    "{spoilt}: {error:?}"
                );
                says(&error, &["0", name]);
            }
        }
    }
    let error = MaxPool::<f32>::global().plan(Layout::Nchw, [1, 2, 0]).expect_err("an empty plane");
    assert!(matches!(error, Error::EmptyInput { axis } if axis.index == 2), "{error:?}");
}

/// A zero beside a huge number: the zero does not hide that the rest overflows.
#[cfg(target_pointer_width = "64")]
#[test]
fn s04_zero_does_not_hide_an_overflow() {
    let huge = 4_634_247_419_717_959_497;
    for shape in [&[0, 2, 2, huge][..], &[0, huge, 2, 2], &[2, 0, 2, huge], &[0, 2, 2, 2, huge]] {
        let error = refused(&layer(shape, &vec![2; shape.len() - 2]));
        assert!(matches!(error, Error::SizeOverflow { .. }), "{shape:?}: {error:?}");
    }
    // The shape as it was reported has too many axes; with one less, its zero is a spatial one.
    let error = refused(&layer(&[12, 2, 2, 2, 0, huge], &[2; 4]));
    assert!(matches!(error, Error::Rank { .. }), "{error:?}");
    let error = refused(&layer(&[2, 2, 2, 0, huge], &[2; 3]));
    assert!(matches!(error, Error::EmptyInput { .. } | Error::SizeOverflow { .. }), "{error:?}");
}

/// A row of windows that no memory holds, nearly all of them padding: planned without an overflow on every tier.
#[cfg(target_pointer_width = "64")]
#[test]
fn rows_of_padding_do_not_overflow() {
    for (_, op) in OPS {
        for tier in tiers::available() {
            for bits in [40, 55, 60, 61, 62] {
                for inner in [1, 2, 7] {
                    let layer = Layer::new(op, Layout::Blocked(inner), &[2, inner, 100, 2, 2], &[208, 146, 80])
                        .stride(&[40, 2, 212])
                        .padding_unequal(&[208, 146, 40], &[2, 2, 1 << bits])
                        .ceil(true)
                        .allow_empty();
                    match layer.plan::<f32>(Some(tier)) {
                        Ok(plan) => assert_eq!(plan.output_shape()[..2], [2, inner], "{layer}"),
                        Err(error) => assert!(matches!(error, Error::SizeOverflow { .. }), "{layer}: {error:?}"),
                    }
                }
            }
        }
    }
}

/// Padding makes two axes long: planning looks at each of their windows, not at each pair (that would take hours).
#[cfg(target_pointer_width = "64")]
#[test]
fn two_long_axes_of_padding_are_not_multiplied() {
    for (_, op) in OPS {
        for tier in tiers::available() {
            for width in [40, 400] {
                let layer = Layer::new(op, Layout::Nchw, &[2, 3, 7, 9, width], &[91, 2, 9])
                    .padding_unequal(&[1 << 18, 1 << 18, 4], &[2, 2, 4])
                    .ceil(true)
                    .allow_empty();
                let plan = layer.plan::<f32>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                assert!(plan.output_shape()[2] > 1 << 17, "{layer}");
            }
        }
    }
}

/// A product of sizes that wraps, in elements or in bytes: 2⁶² + 1 elements of 4 bytes wrap to 4.
#[cfg(target_pointer_width = "64")]
#[test]
fn s05_size_of_the_input_overflows() {
    for shape in [
        &[1, 1, (1 << 62) + 1][..],
        &[1, 1, 1 << 61],
        &[1 << 31, 1 << 31, 1 << 31],
        &[1, 1 << 40, 1 << 20, 4],
        &[usize::MAX, usize::MAX, 1],
        &[1 << 32, 1 << 32, 1, 1],
        &[1, 1, 1 << 30, 1 << 31],
    ] {
        let error = refused(&layer(shape, &vec![1; shape.len() - 2]));
        assert!(matches!(error, Error::SizeOverflow { .. }), "{shape:?}: {error:?}");
        says(&error, &["does not fit the address space"]);
    }
    // One less fits: 2⁶¹ − 1 elements are 2⁶³ − 4 bytes.
    let plan = layer(&[1, 1, (1 << 61) - 1], &[1]).plan::<f32>(None).expect("the largest tensor there can be");
    assert_eq!(plan.input_len(), (1 << 61) - 1);
    assert_eq!(refused_run(&plan, &[1.0], 3), Error::SrcLen { need: (1 << 61) - 1, got: 1 });
}

/// An output that overflows although the input does not.
#[cfg(target_pointer_width = "64")]
#[test]
fn s06_size_of_the_output_overflows() {
    let error = refused(&layer(&[1 << 30, 1 << 29, 1], &[4]).padding(&[3]));
    assert!(matches!(error, Error::SizeOverflow { what } if what.contains("output")), "{error:?}");
    says(&error, &["the output", "does not fit the address space"]);
}

/// A slice that is one element too short, too long, or empty; an error names both lengths and nothing is written.
#[test]
fn s09_slices_of_the_wrong_length() {
    let (plan, src) = working();
    let (need, out) = (plan.input_len(), plan.output_len());
    let long = [&src[..], &[1.0]].concat();
    for wrong in [&src[..need - 1], &long, &[]] {
        let got = wrong.len();
        let error = refused_run(&plan, wrong, out);
        assert_eq!(error, Error::SrcLen { need, got });
        says(&error, &["input", &need.to_string(), &got.to_string()]);
        assert_eq!(plan.run_vec(wrong), Err(error));
    }
    for got in [out - 1, out + 1, 0] {
        let error = refused_run(&plan, &src, got);
        assert_eq!(error, Error::DstLen { need: out, got });
        says(&error, &["output", &out.to_string(), &got.to_string()]);
    }
}

/// Empty slices, whose pointers dangle, are fine where nothing is needed.
#[test]
fn s10_empty_slices() {
    let plan = AvgPool::<f32>::new([2, 2]).plan(Layout::Nhwc, [0, 3, 4, 4]).expect("an empty batch");
    let nothing: Vec<f32> = Vec::new();
    assert_eq!(plan.run(&nothing, &mut Vec::new()), Ok(()));
    assert_eq!(plan.run_vec(&nothing), Ok(vec![]));
}

/// Slices that begin at any element: `agree.rs` does it for every element type and many layers.
#[test]
fn s11_misaligned_slices() {
    let (plan, src) = working();
    let want = plan.run_vec(&src).expect("a valid run");
    for start in 0..64 {
        let from = [vec![f32::NAN; start], src.clone(), vec![f32::NAN; 64]].concat();
        let mut to = vec![0.0; start + want.len()];
        assert_eq!(plan.run(&from[start..][..src.len()], &mut to[start..]), Ok(()));
        assert_eq!(to[start..], want[..], "from element {start}");
    }
}

/// Slices flush against unmapped pages: `bounds.rs` does it for every kernel. Here: that it does.
#[test]
fn s12_slices_beside_unmapped_pages() {
    let bounds = include_str!("../bounds.rs");
    for test in ["fn nothing_outside_the_slices_is_touched()", "fn a_byte_outside_faults()"] {
        assert!(bounds.contains(&format!("#[test]\n{test}")), "bounds.rs has lost {test}");
    }
}

/// More than 2³² elements: no offset is counted in 32 bits. Many gigabytes of address space, little memory: `bounds.rs`,
/// in the long run only. Here: that a plan of such a size has the right lengths.
#[cfg(target_pointer_width = "64")]
#[test]
fn s07_more_than_32_bits_of_elements() {
    for (_, layout) in LAYOUTS {
        let plan =
            Layer::new(crate::Op::Sum, layout, &[3, 16, 70_000, 70_001], &[2, 2]).stride(&[2, 2]).plan::<f32>(None);
        let plan = plan.expect("a large tensor");
        assert_eq!(plan.input_len(), 3 * 16 * 70_000 * 70_001);
        assert_eq!(plan.output_len(), 3 * 16 * 35_000 * 35_000);
    }
}

/// The plan of one shape refuses the tensor of another, and still serves its own.
#[test]
fn s15_plan_of_another_shape() {
    let pool = MaxPool::<f32>::new([2, 2]);
    let plan = pool.plan(Layout::Nchw, [1, 2, 5, 7]).expect("a valid layer");
    let other = pool.plan(Layout::Nchw, [2, 2, 5, 7]).expect("a valid layer");
    let src = vec![1.0; other.input_len()];
    assert_eq!(refused_run(&plan, &src, other.output_len()), Error::SrcLen { need: 70, got: 140 });
    let layer = layer(&[1, 2, 5, 7], &[2, 2]);
    check::<f32>(&layer, &Fill::Pattern.tensor(70, &mut Rng::named("s15")));
    assert!(plan.run(&src[..70], &mut vec![0.0; plan.output_len()]).is_ok());
}

/// A task that there is not, tasks of another plan, and a part of another length: an error each, and nothing is written.
#[test]
fn tasks_must_be_the_plans_own() {
    let pool = MaxPool::<f32>::new([2, 2]).stride([2, 2]);
    let plan = pool.plan(Layout::Nchw, [1, 3, 8, 8]).expect("a valid layer");
    let other = pool.plan(Layout::Nchw, [1, 3, 8, 6]).expect("a valid layer");
    let indexed = pool.plan_indexed::<i32>(IndexKind::Plane, Layout::Nchw, [1, 3, 8, 8]).expect("a valid layer");
    let (tasks, foreign) = (plan.tasks(4), other.tasks(4));
    let (src, len) = (vec![1.0; plan.input_len()], tasks.range(0).len());
    let mut part = vec![7.0; len + 1];
    let mut at = vec![7; len + 1];
    let any = AnyPlan::from(plan.clone());

    for task in [tasks.len(), usize::MAX] {
        let want = Error::TaskOutOfRange { task, tasks: tasks.len() };
        says(&want, &[&task.to_string(), &tasks.len().to_string()]);
        assert_eq!(plan.run_task(&tasks, task, &src, &mut part[..len]), Err(want.clone()));
        assert_eq!(plan.run_task(&tasks, task, &src, &mut []), Err(want.clone()));
        let bytes = bytemuck::cast_slice_mut(&mut part[..len]);
        assert_eq!(any.run_task(&tasks, task, bytemuck::cast_slice(&src), bytes), Err(want));
        let tasks = indexed.tasks(4);
        let task = task.max(tasks.len());
        let want = Error::TaskOutOfRange { task, tasks: tasks.len() };
        assert_eq!(indexed.run_task(&tasks, task, &src, &mut part[..len], &mut at[..len]), Err(want.clone()));
        assert_eq!(indexed.run_indices_task(&tasks, task, &src, &mut at[..len]), Err(want));
    }

    let refused = [
        plan.run_task(&foreign, 0, &src, &mut part[..len]),
        any.run_task(&foreign, 0, bytemuck::cast_slice(&src), bytemuck::cast_slice_mut(&mut part[..len])),
        indexed.run_task(&foreign, 0, &src, &mut part[..len], &mut at[..len]),
    ];
    // Pieces of another length, or as long and more of them.
    let taller = pool.plan(Layout::Nchw, [1, 3, 10, 8]).expect("a valid layer").tasks(4);
    let error =
        plan.run_task(&taller, 0, &src, &mut part[..taller.range(0).len().min(len)]).expect_err("a taller plan");
    assert!(matches!(error, Error::ForeignTasks { need: 48, got: 60, need_step: 4, got_step: 4 }), "{error:?}");
    for error in refused {
        let Err(error) = error else { panic!("tasks of another plan were run") };
        assert!(matches!(error, Error::ForeignTasks { need: 48, got: 36, .. }), "{error:?}");
        says(&error, &["another plan", "48", "36"]);
    }

    for got in [0, len - 1, len + 1] {
        let want = Err(Error::DstLen { need: len, got });
        assert_eq!(plan.run_task(&tasks, 0, &src, &mut part[..got]), want);
        let tasks = indexed.tasks(4);
        let len = tasks.range(0).len();
        let mut at = vec![7; len];
        let mut values = vec![7.0; got];
        if got != len {
            let want = Err(Error::DstLen { need: len, got });
            assert_eq!(indexed.run_task(&tasks, 0, &src, &mut values, &mut at), want);
            let want = Err(Error::IndexLen { need: len, got });
            assert_eq!(indexed.run_task(&tasks, 0, &src, &mut values, &mut vec![7; got]), want);
            assert_eq!(indexed.run_indices_task(&tasks, 0, &src, &mut vec![7; got]), want);
        }
    }
    let (need, got) = (src.len(), src.len() - 1);
    assert_eq!(plan.run_task(&tasks, 0, &src[1..], &mut part[..len]), Err(Error::SrcLen { need, got }));
    assert!(part.iter().all(|y| *y == 7.0) && at.iter().all(|i| *i == 7), "a refused task wrote");
}

/// No output is no task.
#[test]
fn no_output_is_no_task() {
    for shape in [[0, 3, 8, 8], [2, 0, 8, 8]] {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let plan = MaxPool::<f32>::new([2, 2]).plan(layout, shape).expect("a valid layer");
            let tasks = plan.tasks(4);
            assert_eq!((tasks.len(), tasks.is_empty(), tasks.range(0)), (0, true, 0..0));
            assert_eq!(plan.run_task(&tasks, 0, &[], &mut []), Err(Error::TaskOutOfRange { task: 0, tasks: 0 }));
        }
    }
}
