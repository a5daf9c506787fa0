//! Some of an anchor's triplets, drawn uniformly and independently of distances: the baseline of
//! the other selections.

use std::collections::BTreeSet;

use rand::RngExt;

use super::Purpose;
use crate::objective::row::AnchorRow;

pub(super) fn triplets(row: &AnchorRow, count: u32, seed: u64, take: &mut dyn FnMut(usize, usize)) {
    let positives: Vec<usize> = row.positives().collect();
    let negatives = row.negatives_by_item();
    let width = negatives.len() as u64;
    let mut stream = row.stream(seed, Purpose::Random, None);
    for number in distinct(&mut stream, positives.len() as u64 * width, u64::from(count)) {
        take(positives[(number / width) as usize], negatives[(number % width) as usize]);
    }
}

/// `count` different numbers below `total` in rising order, where every set of them has the same
/// probability, or all numbers if there are not more. Floyd's algorithm needs one draw per number.
pub(in crate::objective) fn distinct(
    stream: &mut impl RngExt,
    total: u64,
    count: u64,
) -> BTreeSet<u64> {
    let mut drawn = BTreeSet::new();
    for bound in total.saturating_sub(count)..total {
        let number = stream.random_range(0..=bound);
        if !drawn.insert(number) {
            drawn.insert(bound);
        }
    }
    drawn
}
