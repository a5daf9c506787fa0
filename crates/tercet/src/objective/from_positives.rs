//! All crossover constants of the objectives: the number of positives of an anchor from which one
//! way of computing its row is faster than another. They are measured by
//!
//! ```sh
//! cargo run --release -p tercet --features reference --example crossover
//! ```
//!
//! on Zen 5 with AVX-512 and one thread. The figures below are ns per negative.

/// Hinge over every triplet: from this number on, the positives are sorted. With 12 positives the
/// pairwise kernel takes 0.75 and the sorted one 0.79; with 16 positives they take 0.96 and 0.79.
pub(super) const SORTED_HINGE: usize = 13;

/// Squared hinge over every triplet: from this number on, the positives are sorted. With 2
/// positives the pairwise kernel takes 0.68 and the sorted one 1.08; with 4 positives they take
/// 1.35 and 1.09.
pub(super) const SORTED_SQUARED_HINGE: usize = 4;

/// Semi-hard triplets: from this number on, the positives are sorted. With 12 positives the
/// pairwise kernel takes 0.71 and the sorted one 0.79; with 16 positives they take 0.94 and 0.83.
pub(super) const SORTED_SEMI_HARD: usize = 14;

/// Semi-hard triplets: if a class has more items than this, matrix products accumulate the
/// gradient, because most pairs then have a weight.
pub(super) const DENSE_SEMI_HARD: usize = 32;

/// Counting the triplets below a threshold: from this number on, the positives are sorted.
pub(super) const SORTED_COUNT: usize = 12;

/// Semi-hard triplets with a fallback: from this number on, the negatives are sorted.
pub(super) const SORTED_FALLBACK: usize = 16;

/// Soft penalty over every triplet: one interpolation node costs as much as this many positives.
/// With eight or nine nodes, 4 positives take 0.97 by products and 1.12 by nodes, 6 positives take
/// 1.21 and 1.15. (A single positive takes 1.06 pairwise and 0.70 by products.)
pub(super) const PER_NODE: f64 = 0.6;
