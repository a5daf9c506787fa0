//! The kinds of codes, and the codes of a block of rows.

use serde::{Deserialize, Serialize};

use crate::named;

/// How a vector is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantization {
    /// One byte a component: x ≈ m + s·c with c in −127…127; centre m and step s are fitted to each
    /// component. The query is compared with what the codes stand for.
    I8,
    /// One bit a component: whether it is above its median; several where a component has more than
    /// its share of the variance. Two codes are compared by the number of bits that differ.
    B1,
}

impl Quantization {
    /// How many rows the codes should propose so that the `k` nearest are rarely missed.
    pub fn candidates(self, k: usize) -> usize {
        match self {
            Self::I8 => 2 * k + 16,
            Self::B1 => 32 * k + 128,
        }
    }
}

named!(Quantization, "quantization", [I8 = "i8", B1 = "b1"]);

/// The codes of a block's rows.
#[derive(Debug, Clone)]
pub enum Codes {
    /// See [`Quantization::I8`].
    Bytes {
        /// N·D components.
        bytes: Vec<i8>,
    },
    /// See [`Quantization::B1`].
    Bits {
        /// As many words a row as hold its bits.
        words: Vec<u64>,
    },
}
