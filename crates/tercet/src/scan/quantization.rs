//! The kinds of codes, and the codes of a block of rows.

use serde::{Deserialize, Serialize};

use crate::named;

/// How a vector is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantization {
    /// One byte per component: x ≈ m + s·c with c in −127…127, where the centre m and the step s
    /// are fitted to each component. The query is compared with the decoded codes.
    I8,
    /// One bit per component: whether it is above its median. A component that has more than its
    /// share of the variance has several bits. Two codes are compared by the number of bits that
    /// differ.
    B1,
}

impl Quantization {
    /// The number of rows that the codes should propose so that the `k` nearest are rarely missed.
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
        /// The words of each row, as many as its bits need.
        words: Vec<u64>,
    },
}
