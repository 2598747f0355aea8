//! Tensors that are parts of larger ones, and what a plan makes of them.

use lanepool::{Layout, Plan, Tier};

use super::check::{compare, poison};
use super::{Fill, Layer, Rng, Sample, oracle, tiers};

/// The axes `N, C, spatial…` from the innermost in memory to the outermost, where an index of the channels is a block.
fn axes(layout: Layout, rank: usize) -> Vec<usize> {
    let spatial = (2..rank + 2).rev();
    match layout {
        Layout::Nhwc => [1].into_iter().chain(spatial).chain([0]).collect(),
        _ => spatial.chain([1, 0]).collect(),
    }
}

/// Strides of a tensor of this shape, with gaps between the indices of some axes: in the layout's order, or for an input
/// sometimes in another one, or with indices on one another.
pub fn strides(layout: Layout, shape: &[usize], is_input: bool, rng: &mut Rng) -> Vec<usize> {
    let mut order = axes(layout, shape.len() - 2);
    let fixed = usize::from(layout == Layout::Nhwc);
    if is_input && rng.one_in(4) {
        let (a, b) = (rng.within(fixed, order.len() - 1), rng.within(fixed, order.len() - 1));
        order.swap(a, b);
    }
    let mut strides = vec![0; shape.len()];
    let mut extent = 1;
    if let Layout::Blocked(block) = layout {
        extent = block;
    }
    let gappy = rng.below(order.len() + 1);
    for (i, axis) in order.into_iter().enumerate() {
        let length = if let (1, Layout::Blocked(block)) = (axis, layout) { shape[1] / block } else { shape[axis] };
        let may_gap = !(axis == 1 && layout == Layout::Nhwc);
        let gap = if may_gap && (i == gappy || rng.one_in(3)) { rng.within(1, 9) } else { 0 };
        strides[axis] = if is_input && may_gap && rng.one_in(16) { 0 } else { extent + gap };
        extent += (length - 1) * strides[axis];
    }
    strides
}

/// Where each element of a tensor is, by its offset in one without gaps.
pub fn offsets(layout: Layout, shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let spatial = &shape[2..];
    let pixels: usize = spatial.iter().product();
    let mut offsets = vec![0; shape.iter().product()];
    for n in 0..shape[0] {
        for c in 0..shape[1] {
            for pixel in 0..pixels {
                let block = if let Layout::Blocked(block) = layout { block } else { 1 };
                let mut offset = n * strides[0] + c / block * strides[1] + c % block;
                let mut rest = pixel;
                for (length, stride) in spatial.iter().zip(&strides[2..]).rev() {
                    offset += rest % length * stride;
                    rest /= length;
                }
                offsets[oracle::offset(layout, shape[1], pixels, n, c, pixel)] = offset;
            }
        }
    }
    offsets
}

/// Where the elements of a tensor are.
#[derive(Clone, Debug)]
pub struct Placed {
    pub strides: Vec<usize>,
    pub offsets: Vec<usize>,
}

impl Placed {
    /// On random strides: see [`strides`].
    pub fn random(layout: Layout, shape: &[usize], is_input: bool, rng: &mut Rng) -> Self {
        let strides = strides(layout, shape, is_input, rng);
        Self { offsets: offsets(layout, shape, &strides), strides }
    }

    /// Elements from the first to the last.
    pub fn extent(&self) -> usize {
        self.offsets.iter().max().map_or(0, |last| last + 1)
    }

    /// The elements, out of memory.
    pub fn gather<T: Copy>(&self, memory: &[T]) -> Vec<T> {
        self.offsets.iter().map(|at| memory[*at]).collect()
    }

    /// Memory with the elements in it, that held something else before.
    pub fn spread<T: Copy>(&self, before: &[T], elements: &[T]) -> Vec<T> {
        let mut memory = before.to_vec();
        for (at, element) in self.offsets.iter().zip(elements) {
            memory[*at] = *element;
        }
        memory
    }
}

pub fn bits<T: Sample>(elements: &[T]) -> Vec<u64> {
    elements.iter().map(|element| element.bits()).collect()
}

/// A run into `dst`, whole or in tasks, gives `want` at the outputs' places and leaves the others alone.
pub fn check<T: Sample>(layer: &Layer, plan: &Plan<T>, src: &[T], places: &[usize], want: &[T], rng: &mut Rng) {
    let fresh: Vec<T> = (0..plan.output_len()).map(|_| T::from_bits(rng.bits())).collect();
    for most in [1, 2, 3, 7, usize::MAX] {
        let mut dst = fresh.clone();
        if most == 1 {
            plan.run(src, &mut dst).unwrap_or_else(|error| panic!("{layer}: {error}"));
        } else {
            let tasks = plan.tasks(most);
            for task in (0..tasks.len()).rev() {
                let part = &mut dst[tasks.range(task)];
                plan.run_task(&tasks, task, src, part).unwrap_or_else(|error| panic!("{layer}: {error}"));
            }
        }
        let got: Vec<T> = places.iter().map(|at| dst[*at]).collect();
        compare(layer, plan.tier(), plan.kernel(), &plan.output_shape(), &got, want);
        for at in places {
            dst[*at] = fresh[*at];
        }
        assert_eq!(bits(&dst), bits(&fresh), "{layer}, {most} tasks: {plan} wrote between its outputs");
    }
}

/// The layer on random strides gives what it gives of the same elements side by side, on every tier; so do norms, quantised bytes and
/// bounds, whose outputs are finished one run after the other.
///
/// # Panics
/// Where it does not.
pub fn strides_do_not_matter<T: Sample>(packed: &Layer, with_relatives: bool, rng: &mut Rng) {
    let Ok(scalar) = packed.plan::<T>(Some(Tier::Scalar)) else { return };
    let (layout, shape) = (packed.layout, scalar.output_shape());
    let both = [strides(layout, &packed.shape, true, rng), strides(layout, &shape, false, rng)];
    these_strides_do_not_matter::<T>(packed, both, with_relatives, rng);
}

/// The same on given strides of input and output.
///
/// # Panics
/// Where they do.
pub fn these_strides_do_not_matter<T: Sample>(
    packed: &Layer,
    both: [Vec<usize>; 2],
    with_relatives: bool,
    rng: &mut Rng,
) {
    let scalar = packed.plan::<T>(Some(Tier::Scalar)).expect("a valid layer");
    let (layout, shape, [input, output]) = (packed.layout, scalar.output_shape(), both);
    let (from, places) = (offsets(layout, &packed.shape, &input), offsets(layout, &shape, &output));
    let layer = Layer { strides: Some([input, output]), ..packed.clone() };
    let extent = |offsets: &[usize]| offsets.iter().max().map_or(0, |last| last + 1);
    for tier in tiers::available() {
        let plans = |layer: &Layer| {
            let plan = layer.plan::<T>(Some(tier)).unwrap_or_else(|error| panic!("{layer} on {tier}: {error}"));
            let relatives = if with_relatives { layer.relatives::<T>(Some(tier)) } else { Vec::new() };
            [vec![plan], relatives].concat()
        };
        let (all, packed_all) = (plans(&layer), plans(packed));
        assert_eq!(all.len(), packed_all.len(), "{layer} on {tier}");
        for (plan, packed_plan) in all.iter().zip(&packed_all) {
            assert_eq!((plan.input_len(), plan.output_len()), (extent(&from), extent(&places)), "{layer}");
            let src = Fill::Bits.tensor::<T>(plan.input_len(), rng);
            let gathered: Vec<T> = from.iter().map(|at| src[*at]).collect();
            let mut want = vec![poison::<T>(); packed_plan.output_len()];
            packed_plan.run(&gathered, &mut want).unwrap_or_else(|error| panic!("{packed}: {error}"));
            check(&layer, plan, &src, &places, &want, rng);
        }
    }
}
