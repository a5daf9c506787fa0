//! A random violator, as davidsandberg/facenet selects: for each pair (a, p) with p later than a,
//! one of the negatives with d(a,n) − d(a,p) < margin, each with the same probability.

use rand::RngExt;

use super::candidates::{Candidates, Purpose};

pub(super) fn choose(candidates: &Candidates, seed: u64, take: &mut dyn FnMut(usize, usize)) {
    let own = candidates.items[candidates.anchor];
    let negatives = candidates.negatives_by_distance();
    for positive in candidates.positives().filter(|&place| candidates.items[place] > own) {
        let d_ap = candidates.distances[positive];
        let violators = negatives
            .partition_point(|&place| candidates.distances[place] - d_ap < candidates.margin);
        if violators > 0 {
            let mut stream = candidates.stream(seed, Purpose::ViolatingRandom, Some(positive));
            take(positive, negatives[stream.random_range(0..violators)]);
        }
    }
}
