//! What every tier must do alike, asked of each that this CPU has, lane by lane.

#[allow(dead_code, reason = "which mode flushes is what another test asks")]
#[path = "../../tests/common/control.rs"]
mod control;

use alloc::vec;
use alloc::vec::Vec;

use super::quotient;
use crate::kernels::simd::{DOUBLE, Integers32, Integers64, Lane, Lanes, MOST_LANES, SINGLE, Tables, Widen};
use crate::kernels::token::*;
use control::{MODES, Mode};

/// Calls a test with the token of each tier that this CPU has.
macro_rules! each_tier {
    ($($Token:ident),+: |$s:ident| $test:expr) => { $(
        if let Some($s) = $Token::detect() {
            $test;
        }
    )+ };
    (|$s:ident| $test:expr) => {
        each_tier!(Scalar, Portable: |$s| $test);
        #[cfg(lanepool_x86)]
        each_tier!(Avx2, Avx512: |$s| $test);
        #[cfg(lanepool_neon)]
        each_tier!(Neon: |$s| $test);
    };
}

/// The same numbers in every run.
fn randoms() -> impl FnMut() -> i64 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 13) as i64
    }
}

/// Sums and divisors below `bound`: all small ones; sums beside whole and half quotients, of any size; and any.
fn cases(bound: i64) -> Vec<(i64, i64)> {
    let mut random = randoms();
    let mut cases = Vec::new();
    for c in 1..=50 {
        cases.extend((-300..=300).map(|sum| (sum, c)));
    }
    let mut divisors = vec![bound - 1, bound - 2, bound / 2, bound / 2 + 1, bound / 2 - 1, bound / 3];
    for bits in 0..bound.ilog2() {
        divisors.extend([1 << bits, (1 << bits) + 1, (1 << bits) | random() & ((1 << bits) - 1)]);
    }
    for c in divisors {
        let most = 2 * i128::from(bound) / i128::from(c);
        let halves: Vec<_> =
            (0..40).map(|i| if i < 20 { most - i } else { i128::from(random()) % (most + 1) }).collect();
        let near = halves.into_iter().flat_map(|half| (-2..=2).map(move |off| half * i128::from(c) / 2 + off));
        let any = [1 - bound, bound - 1, random() % bound, -(random() % bound)];
        let sums = near.flat_map(|sum| [sum, -sum]).filter_map(|sum| i64::try_from(sum).ok());
        cases.extend(sums.chain(any).filter(|sum| sum.abs() < bound).map(|sum| (sum, c)));
    }
    for _ in 0..20_000 {
        let mut size = || bound >> (random() % i64::from(bound.ilog2()));
        let (sums, divisors) = (size(), size());
        cases.push((1 - sums + random() % (2 * sums - 1), 1 + random() % (divisors - 1)));
    }
    // Whole vectors, whatever the tier.
    cases.resize(cases.len().next_multiple_of(MOST_LANES), (0, 1));
    cases
}

/// In every state of the thread.
fn compare<A: Lane, S: Lanes<A>>(
    s: S,
    divide: impl Fn(S::V, S::V, bool) -> S::V + Copy,
    cases: &[(i64, i64)],
    lane: fn(i64) -> A,
) where
    i64: From<A>,
{
    let sums: Vec<A> = cases.iter().map(|case| lane(case.0)).collect();
    let divisors: Vec<A> = cases.iter().map(|case| lane(case.1)).collect();
    let mut quotients = vec![A::zeroed(); cases.len()];
    for mode in MODES.into_iter().chain([Mode { name: "default", bits: 0, flushes: false }]) {
        for away in [false, true] {
            let run = |quotients: &mut [A]| {
                for from in (0..cases.len()).step_by(S::N) {
                    // SAFETY: N more elements: their number is a multiple of that.
                    unsafe {
                        let (sum, divisor) = (s.load(sums.as_ptr().add(from)), s.load(divisors.as_ptr().add(from)));
                        s.store(quotients.as_mut_ptr().add(from), divide(sum, divisor, away));
                    }
                }
            };
            control::with(&mode, || s.vectorize(|| run(&mut quotients)));
            for ((sum, c), got) in cases.iter().zip(&quotients) {
                let tier = core::any::type_name::<S>();
                assert_eq!(i64::from(*got), quotient(*sum, *c, away), "{sum} / {c}, {}, {away}, {tier}", mode.name);
            }
        }
    }
}

fn compare_32<S: Integers32>(s: S, single: &[(i64, i64)], any: &[(i64, i64)]) {
    compare(s, |sum, divisor, away| s.quotient(sum, divisor, away), single, |x| x as i32);
    compare(s, |sum, divisor, away| s.long_quotient(sum, divisor, away), any, |x| x as i32);
}

#[test]
fn quotients_of_32_bits_are_exact_in_every_state() {
    let (single, mut any) = (cases(SINGLE as i64), cases(1 << 31));
    let lowest = i64::from(i32::MIN);
    any.extend((0..MOST_LANES as i64).map(|i| (lowest, if i < 32 { 1 + i } else { i64::from(i32::MAX) - i })));
    each_tier!(|s| compare_32(s, &single, &any));
}

fn compare_64<S: Integers64>(s: S, cases: &[(i64, i64)]) {
    compare(s, |sum, divisor, away| s.quotient(sum, divisor, away), cases, |x| x);
}

#[test]
fn quotients_of_64_bits_are_exact_in_every_state() {
    let cases = cases(DOUBLE as i64);
    each_tier!(|s| compare_64(s, &cases));
}

/// Lanes of 64 bits are stored as the nearest number of the narrower type.
fn compare_stores<S>(s: S)
where
    S: Widen<i32, i64> + Widen<u32, i64> + Widen<i16, i64> + Widen<u16, i64> + Widen<i8, i64> + Widen<u8, i64>,
{
    let ends = [
        u32::MAX.into(),
        i32::MAX.into(),
        i32::MIN.into(),
        0x7fff,
        -0x8000,
        0xffff,
        0x7f,
        -0x80,
        0xff,
        0,
        1 << 32,
        i64::MAX,
        i64::MIN,
    ];
    let near = ends.into_iter().flat_map(|end: i64| [-1, 0, 1].map(|off| end.saturating_add(off)));
    let far = (0..63).flat_map(|bits| [1 << bits, -(1 << bits), i64::MAX >> bits, !(i64::MAX >> bits)]);
    let mut lanes: Vec<i64> = near.chain(far).collect();
    lanes.resize(lanes.len().next_multiple_of(MOST_LANES), 0);
    macro_rules! compare {
        ($($T:ty),+) => { $(
            let mut narrow: Vec<$T> = vec![0; lanes.len()];
            s.vectorize(|| for from in (0..lanes.len()).step_by(S::N) {
                // SAFETY: N more elements of both: their number is a multiple of that.
                unsafe {
                    let v = s.load(lanes.as_ptr().add(from));
                    Widen::<$T, i64>::store_narrow(s, narrow.as_mut_ptr().add(from), v);
                }
            });
            for (lane, got) in lanes.iter().zip(&narrow) {
                let want = *lane.clamp(&<$T>::MIN.into(), &<$T>::MAX.into()) as $T;
                let tier = core::any::type_name::<S>();
                assert_eq!(*got, want, "{lane} as {}, {tier}", stringify!($T));
            }
        )+ };
    }
    compare!(i32, u32, i16, u16, i8, u8);
}

#[test]
fn stores_of_64_bits_saturate() {
    each_tier!(|s| compare_stores(s));
}

/// The bytes of a table that names a lane for each lane, one byte on: nothing is aligned.
fn table<A: Lane, S: Tables<A>>(from: &[usize]) -> Vec<u8> {
    let units = size_of::<A>() / S::UNIT;
    let mut bytes = vec![0];
    for index in from.iter().flat_map(|from| (0..units).map(move |j| from * units + j)) {
        match S::UNIT {
            1 => bytes.extend((index as u8).to_ne_bytes()),
            2 => bytes.extend((index as u16).to_ne_bytes()),
            4 => bytes.extend((index as u32).to_ne_bytes()),
            _ => bytes.extend((index as u64).to_ne_bytes()),
        }
    }
    assert_eq!(bytes.len(), 1 + S::N * size_of::<A>());
    bytes
}

/// The bytes of a mask, one byte on.
fn mask<A: Lane, S: Tables<A>>(yes: &[bool]) -> Vec<u8> {
    let mut bytes = vec![0];
    if S::MASK_BITS {
        bytes.extend(yes.chunks(8).map(|lanes| lanes.iter().rfold(0, |bits, yes| bits << 1 | u8::from(*yes))));
    } else {
        bytes.extend(yes.iter().flat_map(|yes| vec![if *yes { 0xff } else { 0 }; size_of::<A>()]));
    }
    assert_eq!(bytes.len(), 1 + S::MASK_BYTES);
    bytes
}

/// What tables and masks do to lanes of any bits, NaN of every kind among them.
fn compare_tables<A: Lane, S: Tables<A>>(_detected: S) {
    let what = (core::any::type_name::<S>(), core::any::type_name::<A>());
    // SAFETY: there is a token already.
    let s = unsafe { S::assume() };
    let (n, size) = (S::N, size_of::<A>());
    let vector = n * size;
    let mut random = randoms();
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..2 * vector).map(|_| random() as u8).collect();
        let lane = |from: usize| &bytes[from * size..][..size];
        let lanes = |from: &[usize]| from.iter().flat_map(|from| lane(*from).to_vec()).collect::<Vec<u8>>();
        let (a, b) = (bytes.as_ptr().cast::<A>(), bytes[vector..].as_ptr().cast::<A>());
        let mut put = vec![0_u8; vector];
        let out = put.as_mut_ptr().cast::<A>();

        let half = n / S::HALVES;
        let from: Vec<_> = (0..n).map(|_| random() as usize % half).collect();
        let t = table::<A, S>(&from);
        // SAFETY: `bytes` holds two vectors, `t` one from its second byte on, and `put` one.
        s.vectorize(|| unsafe { s.store(out, s.permute(s.load(a), s.table(t[1..].as_ptr()))) });
        let want: Vec<_> = from.iter().enumerate().map(|(l, from)| l / half * half + from).collect();
        assert_eq!(put, lanes(&want), "permute {from:?}, {what:?}");

        let from: Vec<_> = (0..n).map(|_| random() as usize % (2 * n)).collect();
        let t = table::<A, S>(&from);
        // SAFETY: as before.
        s.vectorize(|| unsafe { s.store(out, s.permute_two(s.load(a), s.load(b), s.table(t[1..].as_ptr()))) });
        assert_eq!(put, lanes(&from), "permute_two {from:?}, {what:?}");

        let yes: Vec<_> = (0..n).map(|_| random() & 1 != 0).collect();
        let m = mask::<A, S>(&yes);
        // SAFETY: as before, and `m` holds a mask from its second byte on.
        s.vectorize(|| unsafe { s.store(out, s.pick(s.load_mask(m[1..].as_ptr()), s.load(a), s.load(b))) });
        let want: Vec<_> = yes.iter().enumerate().map(|(l, yes)| if *yes { l } else { n + l }).collect();
        assert_eq!(put, lanes(&want), "load_mask {yes:?}, {what:?}");

        let words: Vec<_> = (0..8).map(|_| random() as usize % 8).collect();
        let w: Vec<u8> = [0].into_iter().chain(words.iter().flat_map(|word| (*word as u32).to_ne_bytes())).collect();
        // SAFETY: as before, and `w` holds eight words from its second byte on.
        s.vectorize(|| unsafe { s.store(out, s.spread(s.load(a), w[1..].as_ptr())) });
        let want = if S::HALVES == 1 {
            bytes[..vector].to_vec()
        } else {
            words.iter().flat_map(|word| bytes[4 * word..][..4].to_vec()).collect()
        };
        assert_eq!(put, want, "spread {words:?}, {what:?}");

        // Beyond the lower half, or right behind it, at any byte.
        let (half, apart) = (vector / S::HALVES, vector / S::HALVES + random() as usize % 40);
        let mut put = vec![0x5a_u8; vector + 48];
        let mut want = put.clone();
        let out = put[1..].as_mut_ptr().cast::<A>();
        // SAFETY: `put` holds a vector from its second byte on, its halves at most 39 bytes apart.
        s.vectorize(|| unsafe { s.store_halves(out, apart, s.load(a)) });
        for part in 0..S::HALVES {
            want[1 + part * apart..][..half].copy_from_slice(&bytes[part * half..][..half]);
        }
        assert_eq!(put, want, "store_halves {apart}, {what:?}");

        // Not by a table on every tier, but a fixed one on some.
        let (mut even, mut odd) = (vec![0_u8; vector], vec![0_u8; vector]);
        let (evens, odds) = (even.as_mut_ptr().cast::<A>(), odd.as_mut_ptr().cast::<A>());
        // SAFETY: each holds a vector.
        s.vectorize(|| unsafe {
            let (even, odd) = s.unzip(s.load(a), s.load(b));
            s.store(evens, even);
            s.store(odds, odd);
        });
        let want = [0, 1].map(|odd| lanes(&(0..n).map(|i| 2 * i + odd).collect::<Vec<_>>()));
        assert_eq!([even, odd], want, "unzip, {what:?}");
    }
}

#[test]
fn tables_move_the_lanes_they_name() {
    each_tier!(|s| {
        compare_tables::<f32, _>(s);
        compare_tables::<f64, _>(s);
        compare_tables::<i8, _>(s);
        compare_tables::<u8, _>(s);
        compare_tables::<i16, _>(s);
        compare_tables::<i32, _>(s);
        compare_tables::<i64, _>(s);
    });
}
