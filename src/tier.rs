//! The tiers: one set of vector instructions each.

use core::fmt;
use core::str::FromStr;

use alloc::vec::Vec;

use crate::{Error, Result, kernels};

/// A set of vector instructions that the kernels are built for. Every tier gives the same bits.
///
/// A plan takes the best available tier; [`Pool::tier`](crate::Pool::tier) forces one, and the environment variable
/// `LANEPOOL_MAX_TIER` (feature `std`) caps the choice for diagnosis. The order is from plain to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// One element at a time: the reference.
    Scalar,
    /// The crate `wide`: whatever the compilation target guarantees (SSE2 on x86-64, NEON on AArch64).
    Portable,
    /// AArch64 NEON, 128 bits.
    Neon,
    /// x86-64 AVX2 and F16C, 256 bits.
    Avx2,
    /// x86-64 AVX-512 F, BW, DQ, VL and VBMI, 512 bits: Ice Lake, Zen 4 and later.
    Avx512,
}

impl Tier {
    /// Every tier there is, on any machine.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// The tiers that this machine can run, from plain to wide. Never empty: scalar and portable run everywhere.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|tier| tier.missing().is_none()).collect()
    }

    /// What this machine lacks to run the tier, as a sentence: `None` where it can run.
    ///
    /// ```
    /// use lanepool::Tier;
    /// assert_eq!(Tier::Scalar.missing(), None);
    /// ```
    pub fn missing(self) -> Option<&'static str> {
        kernels::missing(self)
    }

    /// The tier a plan takes when none is forced: the widest available one, capped by `LANEPOOL_MAX_TIER`.
    pub fn best() -> Self {
        let cap = cap().unwrap_or(Self::Avx512);
        let fits = |tier: &Self| *tier <= cap && tier.missing().is_none();
        Self::ALL.into_iter().rev().find(fits).unwrap_or(Self::Scalar)
    }

    /// The tier itself, or the error that says why it cannot run here.
    pub(crate) fn check(self) -> Result<Self> {
        match self.missing() {
            None => Ok(self),
            Some(why) => Err(Error::TierUnavailable { tier: self, why }),
        }
    }

    /// `"scalar"`, `"portable"`, `"neon"`, `"avx2"`, `"avx512"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// The cap that the environment sets. A name that is no tier's caps nothing: a typing error in a diagnosis must not
/// change what runs, and `lanepool info` points it out.
#[cfg(feature = "std")]
fn cap() -> Option<Tier> {
    std::env::var("LANEPOOL_MAX_TIER").ok()?.parse().ok()
}

#[cfg(not(feature = "std"))]
fn cap() -> Option<Tier> {
    None
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tier {
    type Err = Error;

    /// Reads what [`Tier::name`] gives, in any case.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|tier| tier.name().eq_ignore_ascii_case(name));
        found.ok_or(Error::Unsupported { why: "no tier has this name: scalar, portable, neon, avx2 and avx512 do" })
    }
}
