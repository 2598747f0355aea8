//! Geometry against arithmetic that cannot wrap, for any numbers whatever.
//!
//! Attributes and shapes are drawn small, huge, and one off every power of two. What the library accepts must have exactly
//! the output shape of the formulas in 128 bits; what it refuses must be wrong in the way the error says. Nothing may panic:
//! these tests are built with overflow checks and debug assertions.

#[path = "common/mod.rs"]
mod common;
#[path = "properties/reference.rs"]
mod reference;

use lanepool::{AvgPool, Layout, MaxPool, MinPool, Pool, PoolOperation, SumPool};
use proptest::prelude::*;
use reference::{Request, verdict};

/// Numbers that break arithmetic: around 0, around every power of two, the ends, and small ones most of the time.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0_usize..12,
        3 => 0_usize..300,
        2 => (0_u32..usize::BITS, -2_isize..=2).prop_map(|(bit, off)| (1_usize << bit).wrapping_add_signed(off)),
        1 => (0_usize..5).prop_map(|below| usize::MAX - below),
        1 => any::<usize>(),
    ]
}

/// Mostly as many numbers as there are axes.
fn numbers(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        30 => prop::collection::vec(number(), rank),
        1 => prop::collection::vec(number(), 0..6),
    ]
}

fn requests() -> impl Strategy<Value = Request> {
    (1_usize..=3).prop_flat_map(|rank| {
        let shape = prop_oneof![
            30 => prop::collection::vec(number(), rank + 2),
            1 => prop::collection::vec(number(), 0..8),
        ];
        let list = move || prop::option::weighted(0.6, numbers(rank));
        let kernel = prop::option::weighted(0.9, numbers(rank));
        let padding = prop_oneof![
            2 => Just(reference::Padding::Unset),
            5 => (numbers(rank), numbers(rank)).prop_map(|(begin, end)| reference::Padding::Explicit(begin, end)),
            2 => any::<bool>().prop_map(reference::Padding::Same),
        ];
        (shape, kernel, list(), list(), padding, any::<bool>(), any::<bool>()).prop_map(
            |(shape, kernel, stride, dilation, padding, ceil, allow_empty)| Request {
                shape,
                kernel,
                stride,
                dilation,
                padding,
                ceil,
                allow_empty,
            },
        )
    })
}

/// A window that is huge only where that is legal: large kernels on small inputs with as much padding as they need.
fn deep_padding() -> impl Strategy<Value = Request> {
    (1_usize..=3, 1..usize::BITS - 2, 1..usize::BITS - 2).prop_flat_map(|(rank, big, step)| {
        let axis = (1_usize..40, 0_usize..3, 0_usize..3);
        prop::collection::vec(axis, rank).prop_map(move |axes| {
            let kernel: Vec<usize> = axes.iter().map(|(_, off, _)| (1_usize << big) + off).collect();
            let most: Vec<usize> =
                axes.iter().zip(&kernel).map(|((.., off), kernel)| kernel - 1 - off.min(&(kernel - 1))).collect();
            Request {
                shape: [1, 1].into_iter().chain(axes.iter().map(|(n, ..)| *n)).collect(),
                stride: Some(vec![1_usize << step; axes.len()]),
                kernel: Some(kernel),
                dilation: None,
                padding: reference::Padding::Explicit(most.clone(), most),
                ceil: big % 2 == 0,
                allow_empty: step % 2 == 0,
            }
        })
    })
}

/// A request through the public interface.
fn pool<O: PoolOperation>(request: &Request) -> Pool<O, f32> {
    let mut pool: Pool<O, f32> = match &request.kernel {
        Some(kernel) => Pool::new(kernel),
        None => Pool::global(),
    };
    if let Some(stride) = &request.stride {
        pool = pool.stride(stride);
    }
    if let Some(dilation) = &request.dilation {
        pool = pool.dilation(dilation);
    }
    pool = match &request.padding {
        reference::Padding::Unset => pool,
        reference::Padding::Explicit(begin, end) => pool.padding_unequal(begin, end),
        reference::Padding::Same(true) => pool.same_upper(),
        reference::Padding::Same(false) => pool.same_lower(),
    };
    pool.ceil_mode(request.ceil).allow_empty_windows(request.allow_empty)
}

fn agrees(request: &Request) -> Result<(), TestCaseError> {
    let got = pool::<lanepool::Max>(request).output_shape(&request.shape);
    if let Err(why) = verdict(request, size_of::<f32>(), &got) {
        return Err(TestCaseError::fail(format!("{request:?} gives {got:?}: {why}")));
    }
    Ok(())
}

/// Plans are made of it or refused, without a panic, for every operation and layout; and what a plan says of its shape
/// is what `output_shape` said.
fn plans(request: &Request) -> Result<(), TestCaseError> {
    let layouts =
        [Layout::Nchw, Layout::Nhwc, Layout::Blocked(8), Layout::Blocked(request.shape.first().copied().unwrap_or(0))];
    for layout in layouts {
        let shape = pool::<lanepool::Max>(request).output_shape(&request.shape);
        let plans = [
            (pool(request) as MaxPool<f32>).plan(layout, &request.shape),
            (pool(request) as MinPool<f32>).plan(layout, &request.shape),
            (pool(request) as AvgPool<f32>).count_include_pad(request.ceil).plan(layout, &request.shape),
            (pool(request) as SumPool<f32>).plan(layout, &request.shape),
        ];
        for plan in plans {
            match plan {
                Ok(plan) => {
                    prop_assert_eq!(Ok(plan.output_shape()), shape.clone());
                    prop_assert_eq!(plan.input_len(), request.shape.iter().product::<usize>());
                    prop_assert_eq!(plan.output_len(), plan.output_shape().iter().product::<usize>());
                    let texts = [plan.to_string(), format!("{plan:?}")];
                    prop_assert!(texts.iter().all(|text| !text.is_empty()));
                    // A tensor of the wrong length is refused whatever the plan.
                    prop_assert!(plan.input_len() == 3 || plan.run(&[0.0; 3], &mut [0.0; 2]).is_err());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60_000, max_global_rejects: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn output_shapes_are_exact(request in requests()) {
        agrees(&request)?;
    }

    #[test]
    fn output_shapes_are_exact_in_deep_padding(request in deep_padding()) {
        agrees(&request)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, max_global_rejects: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_when_planning(request in requests()) {
        plans(&request)?;
    }

    #[test]
    fn nothing_panics_when_planning_in_deep_padding(request in deep_padding()) {
        plans(&request)?;
    }

    /// Names and errors of tiers.
    #[test]
    fn nothing_panics_when_reading_a_tier(name in ".*") {
        if let Ok(tier) = name.parse::<lanepool::Tier>() {
            prop_assert!(tier.name().eq_ignore_ascii_case(&name));
        }
    }

    /// Small layers that are accepted run.
    #[test]
    fn small_layers_run(
        shape in prop::collection::vec(0_usize..7, 3..=5),
        numbers in prop::collection::vec((1_usize..5, 1_usize..4, 1_usize..4, 0_usize..5, 0_usize..5), 3),
        ceil: bool, allow_empty: bool,
        bits: u64,
    ) {
        let rank = shape.len() - 2;
        let each = |of: fn(&(usize, usize, usize, usize, usize)) -> usize| numbers[..rank].iter().map(of).collect::<Vec<_>>();
        let request = Request {
            shape,
            kernel: Some(each(|axis| axis.0)),
            stride: Some(each(|axis| axis.1)),
            dilation: Some(each(|axis| axis.2)),
            padding: reference::Padding::Explicit(each(|axis| axis.3), each(|axis| axis.4)),
            ceil,
            allow_empty,
        };
        for layout in [Layout::Nchw, Layout::Nhwc, Layout::Blocked(2)] {
            let Ok(plan) = (pool(&request) as AvgPool<f32>).plan(layout, &request.shape) else { continue };
            let src = common::Fill::Bits.tensor::<f32>(plan.input_len(), &mut common::Rng::new(bits));
            prop_assert_eq!(plan.run_vec(&src).map(|y| y.len()), Ok(plan.output_len()));
        }
    }
}
