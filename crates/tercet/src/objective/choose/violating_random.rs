//! A random violating negative, as davidsandberg/facenet selects: for each pair (a, p) where p is
//! later in the batch than a, one of the negatives with d(a,n) − d(a,p) < margin, each with the
//! same probability.

use rand::RngExt;

use super::Purpose;
use crate::objective::row::AnchorRow;

pub(super) fn triplets(row: &AnchorRow, seed: u64, take: &mut dyn FnMut(usize, usize)) {
    // An anchor that is not a candidate is neither before nor after its positives, so all of them
    // are used.
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
