use std::fmt;
use std::str::FromStr;

use super::config::{ConfigError, as_text};

/// A number of bytes, written as a whole number with or without a unit: `512MiB`, `4GiB`.
///
/// ```
/// use tercet_train::trainer::CacheLimit;
/// assert_eq!("1536 MiB".parse::<CacheLimit>()?.to_string(), "1536MiB");
/// assert_eq!("2048MiB".parse::<CacheLimit>()?.to_string(), "2GiB");
/// assert_eq!("0".parse::<CacheLimit>()?, CacheLimit(0));
/// # Ok::<(), tercet_train::trainer::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimit(
    /// Bytes.
    pub u64,
);

impl Default for CacheLimit {
    fn default() -> Self {
        Self(4 << 30)
    }
}

const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl fmt::Display for CacheLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, bits): &&(&str, u32)| self.0 != 0 && self.0.trailing_zeros() >= bits;
        match UNITS.iter().find(fits) {
            Some((unit, bits)) => write!(f, "{}{unit}", self.0 >> bits),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for CacheLimit {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let bits = match unit.trim() {
            "" => Some(0),
            unit => UNITS
                .iter()
                .find(|(name, _)| {
                    name.eq_ignore_ascii_case(unit) || name[..1].eq_ignore_ascii_case(unit)
                })
                .map(|&(_, bits)| bits),
        };
        let bytes = bits.zip(number.parse::<u64>().ok());
        bytes.and_then(|(bits, number)| number.checked_mul(1 << bits)).map(Self).ok_or_else(|| {
            ConfigError {
                key: "cache-limit",
                got: format!("`{text}`"),
                expected: "a size such as 512MiB or 8GiB".to_owned(),
            }
        })
    }
}

as_text!(CacheLimit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_refused() {
        for (text, bytes) in [("7", 7), ("3KiB", 3072), ("2g", 2 << 30), ("1 tib", 1 << 40)] {
            assert_eq!(text.parse::<CacheLimit>().unwrap(), CacheLimit(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "4GB", "99999999999TiB"] {
            assert!(text.parse::<CacheLimit>().is_err(), "{text}");
        }
    }
}
