//! One file of instructions for each tier.

#[cfg(lanepool_x86)]
pub(crate) mod avx2;
#[cfg(lanepool_x86)]
pub(crate) mod avx512;
#[cfg(lanepool_neon)]
pub(crate) mod neon;
pub(crate) mod portable;
pub(crate) mod scalar;
