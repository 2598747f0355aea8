//! How much memory a run may take. What a file declares and what a window makes of it are asked for only after they were
//! found to be sensible: a file of 69 bytes can declare a picture of ten gigabytes.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

/// A number of bytes: `1048576`, `512M`, `8G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A unit and the bytes that it stands for.
const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

impl FromStr for Bytes {
    type Err = String;

    /// Reads `512M`, in any case, also `512MB` and `512MiB`.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
        let (number, unit) = UNITS
            .iter()
            .find_map(|&(letter, bytes)| name.strip_suffix(letter).map(|number| (number, bytes)))
            .unwrap_or((name, 1));
        let bytes = number.trim().parse().ok().and_then(|number: u64| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| format!("{text:?} is no size such as 512M or 8G"))
    }
}

impl fmt::Display for Bytes {
    /// Three digits and a unit: `10.1 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, bytes)| self.0 >= *bytes) {
            Some((letter, bytes)) => write!(f, "{:.1} {letter}iB", self.0 as f64 / *bytes as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// The most that a decoded picture or a result may take.
#[derive(Clone, Copy, Debug)]
pub struct Limit(pub Bytes);

impl Limit {
    /// Refuses `what`, which takes `bytes`, if that is beyond the limit.
    pub fn check(self, what: impl fmt::Display, bytes: u128) -> Result<()> {
        let limit = self.0;
        if bytes <= u128::from(limit.0) {
            return Ok(());
        }
        let need = Bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        // The next number of whole gigabytes, which is short to type.
        let enough = need.0.div_ceil(1 << 30);
        bail!("{what} takes {need}, and the limit is {limit}: --max-memory {enough}G allows it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("3k", 3 << 10), ("512M", 512 << 20), ("8GiB", 8 << 30), ("1 TB", 1 << 40)]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for wrong in ["", "G", "-1", "1.5G", "8 X", "99999999999T"] {
            assert!(wrong.parse::<Bytes>().is_err_and(|why| why.contains(wrong)), "{wrong}");
        }
        assert_eq!(Bytes(1000).to_string(), "1000 bytes");
        assert_eq!(Bytes(10_800_000_000).to_string(), "10.1 GiB");
    }

    #[test]
    fn the_limit_is_the_most() {
        let limit = Limit(Bytes(1 << 30));
        assert!(limit.check("it", 1 << 30).is_ok());
        let error = limit.check("it", (1 << 30) + 1).unwrap_err().to_string();
        assert_eq!(error, "it takes 1.0 GiB, and the limit is 1.0 GiB: --max-memory 2G allows it");
    }
}
