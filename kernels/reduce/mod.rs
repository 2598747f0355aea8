//! Operations: how taps are joined, and what a folded window becomes.

pub(crate) mod extreme;
pub(crate) mod mean;
