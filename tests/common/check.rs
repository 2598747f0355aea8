//! A layer on every tier against the specification, to the bit.

use lanepool::{IndexKind, Layout, Plan, Tier};

use super::elements::Sample;
use super::layer::{Layer, Op};
use super::{oracle, share, tiers};

/// What output slices are filled with before a run: no result that a test expects by accident.
pub fn poison<T: Sample>() -> T {
    T::from_bits(0xa5a5_a5a5_a5a5_a5a5)
}

/// Runs `layer` on every available tier and compares each output's bits with the oracle's.
///
/// # Panics
/// Where one differs, or where library and oracle do not agree that the layer is valid.
pub fn check<T: Sample>(layer: &Layer, src: &[T]) {
    if !share::holds(format_args!("{} {layer}", T::NAME)) {
        return;
    }
    let want = if layer.op.is_of::<T>() { oracle::pool(layer, src) } else { None };
    for tier in tiers::available() {
        let plan = match (layer.plan::<T>(Some(tier)), &want) {
            (Ok(plan), Some(_)) => plan,
            (Err(_), None) => continue,
            (Ok(plan), None) => panic!("{layer}: the contract makes this an error, the plan is {plan:?}"),
            (Err(error), Some(want)) => {
                panic!("{layer}: the contract gives an output of {:?}, the plan fails: {error}", want.shape)
            }
        };
        let Some(want) = &want else { continue };
        assert_eq!(plan.output_shape(), want.shape, "{layer}");
        assert_eq!(plan.tier(), tier, "{layer}");
        let mut got = vec![poison::<T>(); plan.output_len()];
        plan.run(src, &mut got).unwrap_or_else(|error| panic!("{plan}: {error}"));
        compare(layer, tier, plan.kernel(), &want.shape, &got, &want.values);
        tiers::note(tier, got.len());
    }
}

/// Runs a plan whole and in parts, which must give the same bytes and touch nothing beside their output.
///
/// # Panics
/// Where they do not.
pub fn run<T: Sample>(plan: &Plan<T>, src: &[T]) -> Vec<T> {
    const MARGIN: usize = 70;
    let len = plan.output_len();
    let within = |run: &dyn Fn(&mut [T])| {
        let mut memory = vec![poison::<T>(); len + 2 * MARGIN];
        run(&mut memory[MARGIN..MARGIN + len]);
        let (before, rest) = memory.split_at(MARGIN);
        let (inside, behind) = rest.split_at(len);
        let is_untouched = before.iter().chain(behind).all(|x| x.bits() == poison::<T>().bits());
        assert!(is_untouched, "{plan} wrote beside its output");
        inside.to_vec()
    };
    let whole = within(&|dst| plan.run(src, dst).unwrap_or_else(|error| panic!("{plan}: {error}")));
    let parts = within(&|dst| {
        let tasks = plan.tasks(3);
        for task in 0..tasks.len() {
            let part = &mut dst[tasks.range(task)];
            plan.run_task(&tasks, task, src, part).unwrap_or_else(|error| panic!("{plan}: {error}"));
        }
    });
    let is_same = whole.iter().zip(&parts).all(|(whole, part)| whole.bits() == part.bits());
    assert!(is_same, "{plan} in parts gives other bytes");
    whole
}

/// Runs the layer's relatives (norms, quantised bytes, a bounded maximum) and its indices on every tier, which must give the bits
/// of the scalar one. What those are is for tests of their own.
///
/// # Panics
/// Where they do not.
pub fn relatives_agree<T: Sample>(layer: &Layer, src: &[T]) {
    let bits = |values: &[T]| values.iter().map(|value| value.bits()).collect::<Vec<_>>();
    let scalar = layer.relatives::<T>(Some(Tier::Scalar));
    let is_extreme = matches!(layer.op, Op::Max(_) | Op::Min(_));
    let found = |tier| {
        let plan = is_extreme.then(|| layer.indexed::<T, i64>(IndexKind::Tensor, Some(tier)).ok()).flatten()?;
        let (values, indices) = plan.run_vec(src).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        Some((bits(&values), indices))
    };
    let first = found(Tier::Scalar);
    for tier in tiers::available() {
        let plans = layer.relatives::<T>(Some(tier));
        assert_eq!(plans.len(), scalar.len(), "{layer} on {tier}");
        for (plan, scalar) in plans.iter().zip(&scalar) {
            let want = scalar.run_vec(src).unwrap_or_else(|error| panic!("{scalar}: {error}"));
            compare(layer, tier, &plan.to_string(), &plan.output_shape(), &run(plan, src), &want);
        }
        assert_eq!(found(tier), first, "{} {layer} with indices on {tier}", T::NAME);
    }
}

/// Compares bits and says where the first difference is.
///
/// # Panics
/// Where two elements differ, or the lengths do.
pub fn compare<T: Sample>(layer: &Layer, tier: Tier, kernel: &str, shape: &[usize], got: &[T], want: &[T]) {
    assert_eq!(got.len(), want.len(), "{layer} on {tier}");
    let Some(at) = got.iter().zip(want).position(|(got, want)| got.bits() != want.bits()) else { return };
    let wrong = got.iter().zip(want).filter(|(got, want)| got.bits() != want.bits()).count();
    let pixels: usize = shape[2..].iter().product();
    let [n, c, pixel] = (0..shape[0] * shape[1] * pixels)
        .map(|i| [i / pixels / shape[1], i / pixels % shape[1], i % pixels])
        .find(|&[n, c, pixel]| oracle::offset(layer.layout, shape[1], pixels, n, c, pixel) == at)
        .expect("every offset belongs to an output");
    let mut place = vec![0; shape.len() - 2];
    let mut rest = pixel;
    for (place, length) in place.iter_mut().zip(&shape[2..]).rev() {
        (*place, rest) = (rest % length, rest / length);
    }
    panic!(
        "{} {layer}\non {tier} by {kernel}: {wrong} of {} outputs differ, first batch {n} channel {c} at {place:?}: \
         got {:?} ({:#x}), want {:?} ({:#x})",
        T::NAME,
        got.len(),
        got[at],
        got[at].bits(),
        want[at],
        want[at].bits()
    );
}

/// A channel count that the layout can hold, at least `least`.
pub fn channels(layout: Layout, least: usize) -> usize {
    match layout {
        Layout::Blocked(block) => least.next_multiple_of(block),
        _ => least,
    }
}
