//! Functions about this machine: which tiers it runs, and whether it gives the published bits.

use core::ffi::c_char;

use lanepool::Tier;

use crate::codes::{LANEPOOL_TIER_SCALAR, TIER};
use crate::memory::lanepool_text;
use crate::status::{Failure, LANEPOOL_SELFTEST_FAILED, LANEPOOL_TIER_UNAVAILABLE, lanepool_status};
use crate::{boundary, quietly};

/// The name of a tier, such as "avx2": a text that lives for ever. Null for a number that is no tier's.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_tier_name(tier: i32) -> *const c_char {
    let name = match TIER.decode(tier) {
        Ok(None) => c"best",
        Ok(Some(Tier::Scalar)) => c"scalar",
        Ok(Some(Tier::Portable)) => c"portable",
        Ok(Some(Tier::Neon)) => c"neon",
        Ok(Some(Tier::Avx2)) => c"avx2",
        Ok(Some(Tier::Avx512)) => c"avx512",
        _ => return core::ptr::null(),
    };
    name.as_ptr()
}

/// The tier that a plan takes when none is forced: the widest one that this machine has, capped by the environment variable
/// LANEPOOL_MAX_TIER.
#[unsafe(no_mangle)]
pub extern "C" fn lanepool_tier_best() -> i32 {
    quietly(|| TIER.encode(Some(Tier::best()))).unwrap_or(LANEPOOL_TIER_SCALAR)
}

/// `LANEPOOL_OK` where this machine can run a tier; otherwise `LANEPOOL_TIER_UNAVAILABLE`, and why not is written to `why`, which may be
/// null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_tier_missing(tier: i32, why: *mut lanepool_text) -> lanepool_status {
    // SAFETY: promise 1 for `why`.
    unsafe {
        boundary(why, || match TIER.decode(tier)?.and_then(|tier| tier.missing()) {
            None => Ok(()),
            Some(why) => Err(Failure::new(LANEPOOL_TIER_UNAVAILABLE, why)),
        })
    }
}

/// Runs small layers of every kind and element on a tier and compares their bits with the published ones: a tenth of a second. Otherwise
/// `LANEPOOL_SELFTEST_FAILED`, with the elements that differ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanepool_selftest(tier: i32, error: *mut lanepool_text) -> lanepool_status {
    // SAFETY: promise 1 for `error`.
    unsafe {
        boundary(error, || {
            let tier = TIER.decode(tier)?.unwrap_or_else(Tier::best);
            let digests = lanepool::selftest(tier)?;
            let wrong: Vec<&str> =
                digests.iter().filter(|digest| !digest.is_published()).map(|digest| digest.element).collect();
            if wrong.is_empty() {
                return Ok(());
            }
            let sentence =
                format!("on the tier {tier} this machine does not give the published bits of {}", wrong.join(", "));
            Err(Failure::new(LANEPOOL_SELFTEST_FAILED, sentence))
        })
    }
}
