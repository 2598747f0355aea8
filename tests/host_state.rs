//! "Results are promised for the default state of the floating-point unit": what another state changes, and what it does not.
//!
//! Every instruction obeys the control register of the thread that runs it, and the crate does not touch that register. So a
//! host that computes with flush-to-zero or another rounding mode gets what is written down here and in
//! `docs/semantics.md`, no worse.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[macro_use]
mod common;
#[path = "common/control.rs"]
mod control;

use common::check::compare;
use common::layer::{LAYOUTS, ops};
use common::{Fill, Layer, Op, Rng, Sample, share, tiers};
use lanepool::{Layout, MaxPool, SumPool, selftest};

/// Layers for every driver.
fn layers(op: Op) -> Vec<Layer> {
    let of = |(_, layout): (&str, Layout)| {
        let square = |k: usize, s: usize, p: usize| {
            Layer::new(op, layout, &[1, 16, 11, 21], &[k, k]).stride(&[s, s]).padding(&[p, p])
        };
        [
            square(2, 2, 0),
            square(3, 1, 1),
            square(5, 1, 2),
            square(9, 1, 4),
            // Means of bytes in lanes of 32 bits.
            square(17, 1, 8),
            Layer::global(op, layout, &[1, 16, 11, 21]),
        ]
    };
    LAYOUTS.into_iter().flat_map(of).collect()
}

/// Whether a float is zero or subnormal; never for integers.
fn is_tiny<T: Sample>(value: T) -> bool {
    // Infinity is an exponent of ones, whose lowest bit is the smallest normal number.
    let infinity = T::seven()[6].bits();
    let normal = infinity & infinity.wrapping_neg();
    T::FLOAT && value.bits() & (infinity | (normal - 1)) < normal
}

/// "A maximum or minimum is the same in every state, unless it is zero or subnormal: it may be flushed to zero, and that
/// zero may be −0."
fn extremes_are_the_same<T: Sample>() {
    let mut rng = Rng::named("host state");
    for (_, op) in ops::<T>().into_iter().filter(|(_, op)| matches!(op, Op::Max(_) | Op::Min(_))) {
        for layer in layers(op).into_iter().filter(|layer| share::holds(format_args!("{} {layer}", T::NAME))) {
            for fill in [Fill::Pattern, Fill::Bits, Fill::Edges, Fill::Nans] {
                let src = fill.tensor::<T>(layer.input_len(), &mut rng);
                for tier in tiers::available() {
                    let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                    let mut want = plan.run_vec(&src).expect("a valid run");
                    for mode in control::MODES {
                        let mut got = vec![T::from_bits(0); want.len()];
                        let done = control::with(&mode, || plan.run(&src, &mut got));
                        assert_eq!(done, Ok(()), "{plan}");
                        for (got, want) in got.iter_mut().zip(&mut want) {
                            let is_zero = *got == T::from_bits(0);
                            if is_tiny(*want) && is_zero && (mode.flushes || *want == T::from_bits(0)) {
                                *got = *want;
                            }
                        }
                        compare(&layer, tier, mode.name, &plan.output_shape(), &got, &want);
                    }
                }
            }
        }
    }
}

/// "An average or sum is computed in the calling thread's state, the same on every tier." Floats of like size, none
/// of whose sums is zero or subnormal. Integers have no state: theirs, of any size, are those of the default one.
/// (NEON's conversion to `f16` rounds as the thread does, others to the nearest: there only the states that flush are
/// compared.)
fn averages_agree_in_every_state<T: Sample>() {
    let mut rng = Rng::named("host state");
    let one = T::seven()[5].bits();
    for (_, op) in ops::<T>().into_iter().filter(|(_, op)| !matches!(op, Op::Max(_) | Op::Min(_))) {
        for layer in layers(op).into_iter().filter(|layer| share::holds(format_args!("{} {layer}", T::NAME))) {
            let element = |rng: &mut Rng| T::from_bits(if T::FLOAT { one | rng.bits() & 0x3f } else { rng.bits() });
            let src: Vec<T> = (0..layer.input_len()).map(|_| element(&mut rng)).collect();
            let rounds_otherwise = cfg!(target_arch = "aarch64") && T::NAME == "f16";
            for mode in control::MODES.into_iter().filter(|mode| mode.flushes || !rounds_otherwise) {
                let mut first: Option<Vec<T>> = None;
                for tier in tiers::available() {
                    let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer}: {error}"));
                    if !T::FLOAT {
                        first = Some(plan.run_vec(&src).expect("a valid run"));
                    }
                    let mut got = vec![T::from_bits(0); plan.output_len()];
                    assert_eq!(control::with(&mode, || plan.run(&src, &mut got)), Ok(()), "{plan}");
                    let want = first.get_or_insert_with(|| got.clone());
                    compare(&layer, tier, mode.name, &plan.output_shape(), &got, want);
                }
            }
        }
    }
}

macro_rules! tests {
    ($($name:ident: $T:ty),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn extremes_are_the_same() {
                super::extremes_are_the_same::<$T>();
            }

            #[test]
            fn averages_agree_in_every_state() {
                super::averages_agree_in_every_state::<$T>();
            }
        }
    )+ };
}

for_elements!(tests);

/// 1 + 2⁻³⁰ is rounded, and the way it is rounded is the thread's.
const ROUNDED: [f32; 2] = [1.0, 9.313_226e-10];

fn mode(name: &str) -> control::Mode {
    control::MODES.into_iter().find(|mode| mode.name == name).expect("a mode of this name")
}

/// A subnormal result is flushed to zero by each of the states that flush; a normal one is not.
#[test]
fn v08_subnormals_are_flushed_by_the_thread() {
    let tiny = f32::from_bits(1);
    let src = [tiny, -1.0, 3.0, 0.0];
    for tier in tiers::available() {
        let plan =
            MaxPool::<f32>::new([2]).stride([2]).tier(tier).plan(Layout::Nchw, [1, 1, 4]).expect("a valid layer");
        let mut dst = [0.0; 2];
        assert_eq!(plan.run(&src, &mut dst), Ok(()));
        assert_eq!(dst, [tiny, 3.0]);
        for mode in control::MODES.into_iter().filter(|mode| mode.flushes) {
            assert_eq!(control::with(&mode, || plan.run(&src, &mut dst)), Ok(()));
            assert_eq!(dst, [0.0, 3.0], "{tier}: {}", mode.name);
        }
    }
}

/// A sum takes the calling thread's rounding mode, and the self-test notices.
#[test]
fn v09_sums_take_the_rounding_mode_of_the_thread() {
    let tiers = tiers::available();
    for &tier in &tiers {
        let plan = SumPool::<f32>::new([2]).tier(tier).plan(Layout::Nchw, [1, 1, 2]).expect("a valid layer");
        let mut dst = [0.0; 1];
        assert_eq!(plan.run(&ROUNDED, &mut dst), Ok(()));
        assert_eq!(dst, [1.0]);
        assert_eq!(control::with(&mode("up"), || plan.run(&ROUNDED, &mut dst)), Ok(()));
        assert_eq!(dst, [1.0 + f32::EPSILON], "{tier}");
    }
    // A self-test takes its time: each state on one tier, and each tier in a state or more.
    for (i, mode) in control::MODES.into_iter().enumerate() {
        let tier = tiers[i % tiers.len()];
        let digests = control::with(&mode, || selftest(tier)).expect("an available tier");
        let float = digests.iter().find(|digest| digest.element == "f32").expect("a digest of f32");
        assert!(!float.is_published(), "{tier}: the self-test did not notice: {}", mode.name);
    }
}

/// "`run_parallel` computes in the state of the pool's threads", which is the one they were born with, whatever the calling
/// thread's is.
#[cfg(feature = "rayon")]
#[test]
fn parallel_runs_take_the_state_of_the_workers() {
    let plan = SumPool::<f32>::new([2]).stride([2]).plan(Layout::Nchw, [1, 7, 2]).expect("a valid layer");
    let src: Vec<f32> = ROUNDED.into_iter().cycle().take(14).collect();
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    let run = |pool: &rayon::ThreadPool| {
        let mut dst = [0.0; 7];
        assert_eq!(pool.install(|| plan.run_parallel_in(7, &src, &mut dst)), Ok(()));
        dst
    };
    let early = pool();
    assert_eq!(run(&early), [1.0; 7]);
    let (with_early, late) = control::with(&mode("up"), || (run(&early), pool()));
    assert_eq!(with_early, [1.0; 7]);
    // On Linux a thread inherits the state of the one that starts it.
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert_eq!(run(&late), [1.0 + f32::EPSILON; 7]);
    }
}
