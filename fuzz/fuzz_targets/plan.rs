//! Any attributes and any shape: a plan or an error, never a panic, and always the right one.
#![no_main]

#[path = "../../tests/properties/reference.rs"]
mod reference;

use lanepool::{AvgPool, Layout, Max, MaxPool, MinPool, Pool, PoolOperation, SumPool};
use libfuzzer_sys::fuzz_target;
use reference::{Padding, Request, verdict};

/// Takes numbers off the input; what is missing is 0.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> usize {
        let bytes = [(); 8].map(|()| self.byte());
        u64::from_le_bytes(bytes) as usize
    }

    fn numbers(&mut self, count: usize) -> Vec<usize> {
        (0..count).map(|_| self.number()).collect()
    }
}

/// One byte of flags, one for the ranks, then the numbers.
fn request(bytes: &mut Bytes<'_>) -> Request {
    let (flags, ranks) = (bytes.byte(), bytes.byte());
    let rank = usize::from(ranks % 8);
    // The lists have the shape's rank, but for one of them now and then.
    let odd_one = ranks >> 3;
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
    Request { shape, kernel, stride, dilation, padding, ceil, allow_empty }
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

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let request = request(&mut bytes);
    let answer = pool::<Max>(&request).output_shape(&request.shape);
    if let Err(why) = verdict(&request, size_of::<f32>(), &answer) {
        panic!("{request:?} gives {answer:?}: {why}");
    }

    let layout = match bytes.byte() % 3 {
        0 => Layout::Nchw,
        1 => Layout::Nhwc,
        _ => Layout::Blocked(bytes.number()),
    };
    let divisor = bytes.number();
    let plans = [
        (pool(&request) as MaxPool<f32>).plan(layout, &request.shape),
        (pool(&request) as MinPool<f32>).plan(layout, &request.shape),
        (pool(&request) as AvgPool<f32>).count_include_pad(true).plan(layout, &request.shape),
        (pool(&request) as AvgPool<f32>).divisor(divisor).plan(layout, &request.shape),
        (pool(&request) as SumPool<f32>).plan(layout, &request.shape),
    ];
    for plan in plans {
        match plan {
            Ok(plan) => {
                assert_eq!(Ok(plan.output_shape()), answer, "{request:?}");
                assert!(!format!("{plan} {plan:?}").is_empty());
                let (src, dst) = ([0.0; 3], &mut [0.0; 2]);
                assert!(plan.input_len() == 3 || plan.run(&src, dst).is_err(), "{plan}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
