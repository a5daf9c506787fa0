//! The number of an anchor's positives from which one way of computing its row is faster than
//! another: every such constant of the objectives. All are measured by
//!
//! ```sh
//! cargo run --release -p tercet --features reference --example crossover
//! ```
//!
//! on Zen 5 with AVX-512 and one thread. The figures are ns per negative.

/// Hinge over every triplet: from here on the positives are sorted. 12 positives take 0.75 pairwise
/// and 0.79 sorted, 16 positives 0.96 and 0.79.
pub(super) const SORTED_HINGE: usize = 13;

/// Squared hinge over every triplet: the same. 2 positives take 0.68 pairwise and 1.08 sorted, 4
/// positives 1.35 and 1.09.
pub(super) const SORTED_SQUARED_HINGE: usize = 4;

/// Semi-hard triplets: the same. 12 positives take 0.71 pairwise and 0.79 sorted, 16 positives 0.94
/// and 0.83.
pub(super) const SORTED_SEMI_HARD: usize = 14;

/// Semi-hard triplets in classes of more than this many items: matrix products accumulate the
/// gradient, since most pairs have a weight.
pub(super) const DENSE_SEMI_HARD: usize = 32;

/// Counting the triplets below a threshold: from here on the positives are sorted.
pub(super) const SORTED_COUNT: usize = 12;

/// Semi-hard triplets with a fallback: from here on the negatives are sorted.
pub(super) const SORTED_FALLBACK: usize = 16;

/// Soft penalty over every triplet: one interpolation node costs as much as this many positives.
/// With eight or nine nodes, 4 positives take 0.97 by products and 1.12 by nodes, 6 positives 1.21
/// and 1.15. (One by one, a positive takes 1.06; by products 0.70.)
pub(super) const PER_NODE: f64 = 0.6;
