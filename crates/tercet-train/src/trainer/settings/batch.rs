//! How many items a step trains on, how many candidates it chooses from, and how many go through
//! the network at once.

use std::fmt;
use std::str::FromStr;

use tercet::ParameterError;

use super::text::as_text;

/// More items than this in one batch are taken for a typing error.
const LARGEST_BATCH: usize = 1 << 16;

/// The shape of a batch, P classes × K items, written `16x4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchShape {
    /// P, the classes of a batch.
    pub p: usize,
    /// K, the items of each class.
    pub k: usize,
}

impl BatchShape {
    /// The number of items, P·K.
    pub fn items(self) -> usize {
        self.p * self.k
    }

    fn parse(text: &str) -> Option<Self> {
        let (p, k) = text.split_once(['x', 'X', '×'])?;
        let shape = Self { p: p.trim().parse().ok()?, k: k.trim().parse().ok()? };
        let items = shape.p.checked_mul(shape.k)?;
        (shape.p >= 2 && shape.k >= 2 && items <= LARGEST_BATCH).then_some(shape)
    }
}

impl fmt::Display for BatchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.p, self.k)
    }
}

impl FromStr for BatchShape {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        Self::parse(text).ok_or_else(|| ParameterError { parameter: "batch", got: format!("`{text}`"), expected: format!(
                "PxK such as 16x4: at least 2 classes and 2 items of each, at most {LARGEST_BATCH} items"
            ) })
    }
}

/// The candidates of a step, of which it trains on those with the largest gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// This many classes with this many items each.
    Shape(BatchShape),
    /// This many items, in classes of the batch's K items.
    Items(usize),
}

impl Pool {
    /// The shape of the candidates, if the batch has the given shape.
    pub fn shape(self, batch: BatchShape) -> BatchShape {
        match self {
            Self::Shape(shape) => shape,
            Self::Items(items) => BatchShape { p: items / batch.k, k: batch.k },
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(shape) => shape.fmt(f),
            Self::Items(items) => items.fmt(f),
        }
    }
}

impl FromStr for Pool {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let items = || text.parse().ok().filter(|items| (4..=LARGEST_BATCH).contains(items));
        let pool = BatchShape::parse(text).map(Self::Shape);
        pool.or_else(|| items().map(Self::Items)).ok_or_else(|| ParameterError {
            parameter: "pool",
            got: format!("`{text}`"),
            expected: format!(
                "PxK such as 450x4, or a number of items from 4 to {LARGEST_BATCH} such as 1800"
            ),
        })
    }
}

/// How many items go through the network at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chunk {
    /// As many as fit into memory; the whole batch if it fits.
    #[default]
    Auto,
    /// This many.
    Items(usize),
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Items(items) => items.fmt(f),
        }
    }
}

impl FromStr for Chunk {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(items)) if items >= 2 => Ok(Self::Items(items)),
            _ => Err(ParameterError {
                parameter: "chunk",
                got: format!("`{text}`"),
                expected: "a number of items of at least 2, or `auto`".to_owned(),
            }),
        }
    }
}

/// A number of bytes, written `8G`, `512M` or `1000000`; K, M, G and T are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bits)| self.0 > 0 && self.0.trailing_zeros() >= *bits);
        match whole {
            Some((unit, bits)) => write!(f, "{}{unit}", self.0 >> bits),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Bytes {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let letters = text.trim().trim_end_matches(['B', 'b']).trim_end_matches(['i', 'I']);
        let unit = UNITS.iter().find_map(|(unit, bits)| {
            Some((letters.strip_suffix([*unit, unit.to_ascii_lowercase()])?, *bits))
        });
        let (number, bits) = unit.unwrap_or((letters, 0));
        let bytes = number.trim().parse::<f64>().ok().map(|number| number * f64::from(bits).exp2());
        bytes
            .filter(|bytes| (0.0..=(1_u64 << 50) as f64).contains(bytes))
            .map(|bytes| Self(bytes as u64))
            .ok_or_else(|| ParameterError {
                parameter: "size",
                got: format!("`{text}`"),
                expected: "a number of bytes such as 8G or 512M".to_owned(),
            })
    }
}

as_text!(BatchShape);
as_text!(Pool);
as_text!(Chunk);
as_text!(Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_pools_chunks_and_bytes_go_there_and_back() {
        let batch = BatchShape { p: 16, k: 4 };
        assert_eq!("16x4".parse(), Ok(batch));
        for text in ["16", "1x4", "4x1", "70000x2", "9223372036854775807x4"] {
            assert!(text.parse::<BatchShape>().is_err(), "{text}");
        }
        for (text, shape) in [("450x4", (450, 4)), ("1800", (450, 4)), ("1801", (450, 4))] {
            let pool: Pool = text.parse().unwrap();
            assert_eq!(pool.to_string(), text);
            assert_eq!((pool.shape(batch).p, pool.shape(batch).k), shape);
        }
        assert!("3".parse::<Pool>().is_err() && "many".parse::<Pool>().is_err());
        assert_eq!("auto".parse(), Ok(Chunk::Auto));
        assert_eq!("64".parse(), Ok(Chunk::Items(64)));
        assert!("1".parse::<Chunk>().is_err() && "all".parse::<Chunk>().is_err());
        for (text, bytes) in [("8G", 8 << 30), ("1.5GiB", 3 << 29), ("512m", 1 << 29), ("77", 77)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "nan", "inf", "9e99", "8X"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
