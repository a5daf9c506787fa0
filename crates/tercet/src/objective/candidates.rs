//! One anchor's distances to its positives and negatives, to choose triplets from.

use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::row::Row;
use crate::Distance;
use crate::distance::Points;

/// What a selection looks at. Items stand in class order; `items` knows their original indices.
pub(super) struct Candidates<'a> {
    /// The anchor's place in class order.
    pub(super) anchor: usize,
    /// d(anchor, ·).
    pub(super) distances: &'a [f32],
    /// Where the anchor's class lies, the anchor included.
    pub(super) class: Range<usize>,
    /// Original index of each place: ties go to the lowest.
    pub(super) items: &'a [u32],
    /// The penalty's margin, which bounds the semi-hard band.
    pub(super) margin: f32,
    /// What the distances are.
    pub(super) distance: Distance,
    /// Components of a vector.
    pub(super) dimensions: usize,
}

impl<'a> Candidates<'a> {
    pub(super) fn of(row: &Row<'a>, points: &Points) -> Self {
        Self {
            anchor: row.anchor,
            distances: row.distances,
            class: row.class.clone(),
            items: &row.order.items,
            margin: row.penalty.margin(),
            distance: points.distance(),
            dimensions: points.dimensions(),
        }
    }

    /// The places of the positives, in rising order of place and of original index.
    pub(super) fn positives(&self) -> impl Iterator<Item = usize> + use<> {
        let anchor = self.anchor;
        self.class.clone().filter(move |&place| place != anchor)
    }

    /// The places of the negatives, in rising order of place.
    pub(super) fn negatives(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.class.start).chain(self.class.end..self.distances.len())
    }

    /// The places of the negatives in rising order of original index.
    pub(super) fn negatives_by_item(&self) -> Vec<usize> {
        let mut negatives: Vec<usize> = self.negatives().collect();
        negatives.sort_unstable_by_key(|&place| self.items[place]);
        negatives
    }

    /// The places of the negatives from the nearest to the farthest; ties by original index.
    pub(super) fn negatives_by_distance(&self) -> Vec<usize> {
        // No distance is negative, so that bits rise with values and one integer holds the order.
        let key = |place: usize| {
            u64::from(self.distances[place].to_bits()) << 32 | u64::from(self.items[place])
        };
        let mut keyed: Vec<(u64, usize)> =
            self.negatives().map(|place| (key(place), place)).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, place)| place).collect()
    }

    /// The nearest of some places; ties go to the lowest original index.
    pub(super) fn nearest(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        places.min_by(|&x, &y| {
            self.distances[x]
                .total_cmp(&self.distances[y])
                .then_with(|| self.items[x].cmp(&self.items[y]))
        })
    }

    /// The farthest of some places; ties go to the lowest original index.
    pub(super) fn farthest(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        places.min_by(|&x, &y| {
            self.distances[y]
                .total_cmp(&self.distances[x])
                .then_with(|| self.items[x].cmp(&self.items[y]))
        })
    }

    /// The nearest negative strictly farther than `above`.
    pub(super) fn nearest_negative_above(&self, above: f32) -> Option<usize> {
        self.nearest(self.negatives().filter(|&place| self.distances[place] > above))
    }

    /// A stream of random numbers of its own for this anchor and one of its positives (by place),
    /// so that draws depend neither on threads nor on the order of work.
    pub(super) fn stream(
        &self,
        seed: u64,
        purpose: Purpose,
        positive: Option<usize>,
    ) -> ChaCha8Rng {
        stream(seed, purpose, self.items[self.anchor], positive.map(|place| self.items[place]))
    }
}

/// What random numbers are drawn for: each purpose has streams of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    ViolatingRandom = 2, // 0 and 1 are the sampler's
    DistanceWeighted = 3,
    Random = 4,
}

/// The stream that belongs to an anchor and a positive, by their original indices.
pub(super) fn stream(
    seed: u64,
    purpose: Purpose,
    anchor: u32,
    positive: Option<u32>,
) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    key[16..20].copy_from_slice(&anchor.to_le_bytes());
    key[20..24].copy_from_slice(&positive.unwrap_or(u32::MAX).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
