//! Any attributes and any shape: a plan or an error, never a panic, and always the right one.
#![no_main]

#[path = "../common/bytes.rs"]
mod bytes;
#[path = "../../tests/properties/reference.rs"]
mod reference;

use std::sync::LazyLock;

use bytes::Bytes;
use lanepool::{AvgPool, Error, Layout, LpPool, MaxPool, MinPool, Plan, Pool, PoolOperation, SumPool, Tier};
use libfuzzer_sys::fuzz_target;
use reference::{Padding, Request, verdict};

static TIERS: LazyLock<Vec<Tier>> = LazyLock::new(Tier::available);

/// What is planned beside the geometry: one operation on one tier, so that an input costs one plan.
struct Choice {
    operation: usize,
    tier: Tier,
    layout: Layout,
    divisor: usize,
}

/// One byte of flags, one for the ranks, three for what is planned, then the numbers.
fn request(bytes: &mut Bytes<'_>) -> (Request, Choice) {
    let (flags, ranks) = (bytes.byte(), bytes.byte());
    let rank = [1, 2, 3, 2, 1, 2, 0, 4][usize::from(ranks % 8)];
    // The lists have the shape's rank, but for one of them now and then.
    let odd_one = ranks >> 3;
    let (operation, tier, layout) = (bytes.below(6), bytes.pick(&TIERS), bytes.below(3));
    let mut list = |index: u8, present: bool| {
        let len = if odd_one == index + 1 { rank + 1 } else { rank };
        present.then(|| bytes.numbers(len))
    };
    let kernel = list(0, flags & 1 == 0);
    let stride = list(1, flags & 2 != 0);
    let dilation = list(2, flags & 4 != 0);
    let padding = match flags >> 3 & 3 {
        0 => Padding::Unset,
        1 => Padding::Same(flags & 0x20 != 0),
        _ => Padding::Explicit(list(3, true).unwrap_or_default(), list(4, true).unwrap_or_default()),
    };
    let (ceil, allow_empty) = (flags & 0x40 != 0, flags & 0x80 != 0);
    let shape = bytes.numbers(rank + 2 - usize::from(odd_one == 31).min(rank));
    let layout = match layout {
        0 => Layout::Nchw,
        1 => Layout::Nhwc,
        _ => Layout::Blocked(bytes.number()),
    };
    let divisor = if operation == 4 { bytes.number() } else { 1 };
    let request = Request { shape, kernel, stride, dilation, padding, ceil, allow_empty };
    (request, Choice { operation, tier, layout, divisor })
}

fn pool<O: PoolOperation>(request: &Request) -> Pool<O, f32> {
    let mut pool: Pool<O, f32> = request.kernel.as_ref().map_or_else(Pool::global, Pool::new);
    if let Some(stride) = &request.stride {
        pool = pool.stride(stride);
    }
    if let Some(dilation) = &request.dilation {
        pool = pool.dilation(dilation);
    }
    pool = match &request.padding {
        Padding::Unset => pool,
        Padding::Explicit(begin, end) => pool.padding_unequal(begin, end),
        Padding::Same(true) => pool.same_upper(),
        Padding::Same(false) => pool.same_lower(),
    };
    pool.ceil_mode(request.ceil).allow_empty_windows(request.allow_empty)
}

/// The plan of the operation that was chosen, and the output shape that its builder gives.
fn plan(request: &Request, choice: &Choice) -> (Result<Plan<f32>, Error>, Result<Vec<usize>, Error>) {
    let Choice { operation, tier, layout, divisor } = *choice;
    macro_rules! both {
        ($pool:expr) => {{
            let pool = $pool.tier(tier);
            (pool.plan(layout, &request.shape), pool.output_shape(&request.shape))
        }};
    }
    match operation {
        0 => both!(pool(request) as MaxPool<f32>),
        1 => both!(pool(request) as MinPool<f32>),
        2 => both!(pool(request) as AvgPool<f32>),
        3 => both!((pool(request) as AvgPool<f32>).count_include_pad(true)),
        4 => both!((pool(request) as AvgPool<f32>).divisor(divisor)),
        _ if choice.layout == Layout::Nhwc => both!(pool(request) as LpPool<f32>),
        _ => both!(pool(request) as SumPool<f32>),
    }
}

fuzz_target!(|data: &[u8]| {
    let (request, choice) = request(&mut Bytes(data));
    let (plan, answer) = plan(&request, &choice);
    if let Err(why) = verdict(&request, size_of::<f32>(), &answer) {
        panic!("{request:?} gives {answer:?}: {why}");
    }
    match plan {
        Ok(plan) => {
            assert_eq!(Ok(plan.output_shape()), answer, "{request:?}");
            assert_eq!(plan.tier(), choice.tier, "{request:?}");
            let sentence = if data.len() % 8 == 0 { format!("{plan:?}") } else { plan.to_string() };
            assert!(!sentence.is_empty());
            let (src, dst) = ([0.0; 3], &mut [0.0; 2]);
            assert!(plan.input_len() == 3 || plan.run(&src, dst).is_err(), "{plan}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
