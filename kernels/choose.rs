//! Which driver visits the windows of a layer: an ordered list, of which the first that accepts wins.
//!
//! The choice may depend on everything that is known: it decides speed and no bit of a result, since the order of a sum
//! is the layer's own (`src/order.rs`), and each driver keeps it or declines.

use alloc::boxed::Box;

use super::driver::bands::Bands;
use super::driver::chunks::Chunks;
use super::driver::columns::Columns;
use super::driver::direct::Direct;
use super::driver::flat::Flat;
use super::driver::global::Global;
use super::driver::piles::Piles;
use super::driver::rows::Rows;
use super::driver::separable::Separable;
use super::driver::{Core, Driver};
use crate::geometry::Axis;
use crate::order::{LONG, Order};

/// Plans a layer, or declines it.
type Plan = fn(&Core) -> Option<Box<dyn Driver>>;

fn boxed<D: Driver + 'static>(driver: Option<D>) -> Option<Box<dyn Driver>> {
    driver.map(|driver| Box::new(driver) as Box<dyn Driver>)
}

/// Every driver: its name, where it is best, and for what it can do at all.
const DRIVERS: &[(&str, Plan, Plan)] = &[
    ("global", |core| boxed(Global::new(core)), |core| boxed(Global::new(core))),
    ("flat", |core| boxed(if has_small_planes(core) { Flat::new(core) } else { None }), |core| boxed(Flat::new(core))),
    (
        "chunks",
        |core| boxed(if has_short_rows(core) { Chunks::new(core) } else { None }),
        |core| boxed(Chunks::new(core)),
    ),
    (
        "separable",
        |core| boxed(if has_passes(core) { Separable::new(core) } else { None }),
        |core| boxed(Separable::new(core)),
    ),
    ("rows", |core| boxed(Rows::new(core).filter(|rows| fits_often(core, rows))), |core| boxed(Rows::new(core))),
    ("piles", |core| boxed(many_taps(core).then(|| Piles::new(core)).flatten()), |core| boxed(Piles::new(core))),
    ("columns", |core| boxed(Columns::new(core)), |core| boxed(Columns::new(core))),
    (
        "direct",
        |core| boxed(few_taps(core).then(|| Direct::new(core))),
        |core| boxed(takes_order(core).then(|| Direct::new(core))),
    ),
    ("bands", |core| boxed(Bands::new(core)), |core| boxed(Bands::new(core))),
];

/// The names of all drivers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DRIVERS.iter().map(|(name, ..)| *name)
}

/// The driver of a layer; of this name, if one is given and takes the layer.
pub(crate) fn driver(core: &Core, name: Option<&str>) -> Option<Box<dyn Driver>> {
    let geometry = &core.layer.geometry;
    if geometry.outer == 0 || geometry.inner == 0 {
        // Nothing to compute: no driver is asked about pixels without elements.
        return boxed(Some(Direct::of_nothing()));
    }
    match name {
        Some(name) => DRIVERS.iter().find(|(own, ..)| *own == name).and_then(|(_, _, able)| able(core)),
        // The last that is asked takes everything that is left.
        None => DRIVERS.iter().find_map(|(_, best, _)| best(core)).or_else(|| boxed(Some(Direct::new(core)))),
    }
}

/// Whether the sums of a layer are those of a fold tap by tap, or need none.
fn takes_order(core: &Core) -> bool {
    core.facts().any_order || matches!(core.order, Order::Columns | Order::Blocks)
}

/// Windows whose taps are loaded one by one in less time than rows wait in scratch.
fn few_taps(core: &Core) -> bool {
    let geometry = &core.layer.geometry;
    let [depth, height, width] = geometry.axes.each_ref();
    let rows = depth.kernel.min(depth.input).saturating_mul(height.kernel.min(height.input));
    let columns = width.kernel.min(width.input);
    let shares = width.output > 1 && width.stride < width.kernel;
    let is_long = geometry.inner >= core.facts().lanes;
    let is_few = rows.saturating_mul(columns) <= rows.saturating_add(columns).saturating_add(2);
    let is_short = core.order == Order::Columns;
    // In one row, each pixel is loaded by two windows at most, however long they are.
    let is_even = geometry.inner.is_multiple_of(core.facts().lanes);
    if core.facts().any_order && rows == 1 && is_long && is_even && columns <= width.stride.saturating_mul(2) {
        return true;
    }
    takes_order(core)
        && (is_short && is_few && (!core.facts().strides_slowly() || width.stride == 1 || is_long)
            || (is_short || core.order == Order::Blocks) && !shares && is_long)
}

/// Windows whose columns are better loaded from a line than moved by tables: many, in rows of some registers; all where
/// tables are slow, but for those of two columns that share none, whose neighbours are joined at once. Long pixels and
/// what many rows share have drivers of their own.
fn has_passes(core: &Core) -> bool {
    let (facts, geometry) = (core.facts(), &core.layer.geometry);
    let [depth, height, width] = &geometry.axes;
    let (inner, kernel) = (geometry.inner, width.kernel);
    // Bands double along the row, and share rows of one plane, where that saves more than passes by the stride cost them.
    let strides = width.stride > 1 && facts.any_order;
    let is_long = kernel >= if strides { 2 * LONG } else { LONG };
    let is_high = depth.kernel == 1 && height.kernel > LONG.saturating_mul(height.stride);
    if inner >= 2 * facts.lanes || is_long || facts.any_order && is_high {
        return false;
    }
    if !facts.permutes() {
        return !(width.stride == 2 && kernel == 2);
    }
    if kernel == 1 {
        // A row is one run, whose pixels need not be whole registers.
        return inner > facts.lanes && !inner.is_multiple_of(facts.lanes);
    }
    let registers = width.output.saturating_mul(inner) / facts.lanes;
    // Where tables move bytes anywhere, they do as well for what takes long to finish.
    let is_slow = facts.halves == 1 && facts.words > 1;
    let are_many = match width.stride {
        1 if inner > 1 => kernel >= 4 || kernel == 3 && facts.lane < 4 || inner >= facts.lanes,
        1 => kernel >= 4,
        _ => kernel >= 4 && facts.halves == 2 || kernel >= 7,
    };
    registers >= 2 && are_many && !is_slow
}

/// Windows of not too many taps for one permutation each, which may be more where few windows have a column in common.
fn fits_often(core: &Core, rows: &Rows) -> bool {
    let [depth, height, width] = core.layer.geometry.axes.each_ref();
    let taps = depth.kernel.saturating_mul(height.kernel).saturating_mul(width.kernel);
    let facts = core.facts();
    let most = if facts.halves == 1 && 5 * width.stride >= 2 * width.kernel {
        15 * 15
    } else if 5 * width.stride >= if facts.lane >= 4 { 2 } else { 5 } * width.kernel {
        8 * 8
    } else {
        6 * 6
    };
    taps <= most && (rows.outputs() >= 2 || core.layer.geometry.inner > 1)
}

/// Windows of many long pixels, none of which two windows have, or few: those of an adaptive axis have at most one in common.
fn many_taps(core: &Core) -> bool {
    let geometry = &core.layer.geometry;
    let shares =
        |axis: &Axis| axis.output > 1 && if axis.slides() { axis.stride < axis.kernel } else { axis.kernel < 4 };
    let shares = geometry.axes.iter().any(shares);
    let taps = geometry.axes.iter().fold(1, |taps: usize, axis| taps.saturating_mul(axis.kernel));
    let bytes = geometry.inner.saturating_mul(core.facts().memory);
    !shares && (taps >= 24 && bytes >= 1024 || taps >= 512 && bytes >= 128)
}

/// Planes whose rows are too short for a loop of their own, or windows that span several of them.
fn has_small_planes(core: &Core) -> bool {
    let geometry = &core.layer.geometry;
    let [depth, height, width] = &geometry.axes;
    let row_bytes = width.input.saturating_mul(geometry.inner).saturating_mul(core.facts().memory);
    depth.kernel > 1 || height.kernel > 1 || row_bytes <= 512
}

/// Bytes of a row whose windows have no column in common.
const APART: usize = 128;

/// Rows of a few registers at most, of which one or two hold many windows, and windows of few taps, or of many where
/// bands of rows would be shorter than what is done for each.
fn has_short_rows(core: &Core) -> bool {
    let (facts, geometry) = (core.facts(), &core.layer.geometry);
    let [depth, height, width] = &geometry.axes;
    let (rows, columns) = (depth.kernel.saturating_mul(height.kernel), width.kernel);
    let row = width.input.saturating_mul(geometry.inner);
    let n = facts.lanes;
    let are_apart = width.stride >= columns;
    let most = match (facts.halves, facts.lane) {
        // Each chunk goes to one window alone.
        (halves, _) if are_apart && columns > if halves == 2 { 3 } else { 5 } => APART / facts.lane,
        // A half takes from half a register.
        (2, _) => (n + 2).saturating_sub(columns),
        (_, 4..) if rows.max(columns) > 3 => n,
        _ => (n * 5 / 2).min(80),
    };
    row <= most && (rows.saturating_add(columns) <= 12 || facts.any_order || are_apart)
}
