//! A random violator, as davidsandberg/facenet selects: for each pair (a, p) with p later than a,
//! one of the negatives with d(a,n) − d(a,p) < margin, each with the same probability.

use rand::RngExt;

use super::Purpose;
use crate::objective::row::AnchorRow;

pub(super) fn triplets(row: &AnchorRow, seed: u64, take: &mut dyn FnMut(usize, usize)) {
    // An anchor that is no candidate has no earlier and no later positives: all of them count.
    let later = |&at: &usize| row.own.is_none() || row.order.items[at] > row.item;
    let negatives = row.negatives_by_distance();
    for positive in row.positives().filter(later) {
        let d_ap = row.distances[positive];
        let violators =
            negatives.partition_point(|&at| row.distances[at] - d_ap < row.penalty.margin());
        if violators > 0 {
            let mut stream = row.stream(seed, Purpose::ViolatingRandom, Some(positive));
            take(positive, negatives[stream.random_range(0..violators)]);
        }
    }
}
