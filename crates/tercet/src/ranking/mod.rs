//! The ranked gallery of one query, where ties count with their expected value.
//!
//! Gallery items at the same distance have no order, so every figure here is its mean over all
//! orderings of the tied items, in closed form. A group of n tied items of which r are relevant,
//! after s nearer items of which c are relevant, has at its j-th rank (counted from 1)
//!
//! - a relevant item with probability r/n,
//! - E\[rel · P(s+j)\] = r/n · (c + 1 + (j−1)(r−1)/(n−1)) / (s+j), with P the precision,
//! - the first relevant item with probability C(n−j, r−1) / C(n, r),
//! - the last one with probability C(j−1, r−1) / C(n, r).
//!
//! (McSherry & Najork, "Computing Information Retrieval Performance Measures Efficiently in the
//! Presence of Tied Scores", ECIR 2008.) Groups without a relevant item only shift ranks.

mod count;
mod figures;

use count::count;

/// Items at one distance, at least one of them relevant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tied {
    /// The number of items nearer to the query than these.
    before: usize,
    /// The number of relevant items among those.
    hits_before: usize,
    /// The number of items at this distance.
    size: usize,
    /// The number of relevant items among these, at least 1.
    relevant: usize,
}

/// The ranks of the relevant items of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranking {
    groups: Vec<Tied>,
    relevant: usize,
}

impl Ranking {
    /// Ranks `distances` around those of the relevant columns, or returns `None` without a relevant
    /// column.
    ///
    /// A column that is left out (the query itself) has an infinite distance.
    pub(crate) fn new(distances: &[f32], relevant: impl Iterator<Item = usize>) -> Option<Self> {
        let mut hits: Vec<f32> = relevant.map(|column| distances[column]).collect();
        if hits.is_empty() {
            return None;
        }
        hits.sort_unstable_by(f32::total_cmp);
        let places: Vec<f32> = hits.chunk_by(|x, y| x == y).map(|tied| tied[0]).collect();
        let counts = count(distances, &places);
        let mut hits_before = 0;
        let groups = hits
            .chunk_by(|x, y| x == y)
            .zip(counts)
            .map(|(tied, (before, size))| {
                let relevant = tied.len();
                hits_before += relevant;
                Tied { before, hits_before: hits_before - relevant, size, relevant }
            })
            .collect();
        Some(Self { groups, relevant: hits.len() })
    }

    /// R, the number of relevant items.
    pub(crate) fn relevant(&self) -> usize {
        self.relevant
    }
}

#[cfg(test)]
mod tests;
