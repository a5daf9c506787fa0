//! Some of an anchor's triplets, drawn without regard to distances: the baseline of every miner.

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

/// `count` different numbers below `total`, every set of them with the same probability, in rising
/// order; all of them if there are no more. Floyd's algorithm: one draw a number.
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
