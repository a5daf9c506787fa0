//! Hard triplets by rank, for data with wrong labels: the hardest triplets are often wrong labels,
//! while those of the next ranks are useful.

use crate::objective::row::AnchorRow;
use crate::objective::rule::Ranks;

pub(super) fn triplets(
    row: &AnchorRow,
    positives: Ranks,
    negatives: Ranks,
    take: &mut dyn FnMut(usize, usize),
) {
    let negatives = nearest(row, negatives, row.negatives().collect());
    for positive in farthest(row, positives) {
        negatives.iter().for_each(|&negative| take(positive, negative));
    }
}

/// The positives of these ranks, the farthest first.
pub(super) fn farthest(row: &AnchorRow, ranks: Ranks) -> Vec<usize> {
    let (d, items) = (row.distances, &row.order.items);
    of_ranks(ranks, row.positives().collect(), |&x: &usize, &y: &usize| {
        d[y].total_cmp(&d[x]).then_with(|| items[x].cmp(&items[y]))
    })
}

/// Of the given negatives those of these ranks, the nearest first.
pub(super) fn nearest(row: &AnchorRow, ranks: Ranks, negatives: Vec<usize>) -> Vec<usize> {
    let (d, items) = (row.distances, &row.order.items);
    of_ranks(ranks, negatives, |&x: &usize, &y: &usize| {
        d[x].total_cmp(&d[y]).then_with(|| items[x].cmp(&items[y]))
    })
}

/// The positions of these ranks after sorting by `order`, without ranks beyond the last.
fn of_ranks(
    ranks: Ranks,
    mut positions: Vec<usize>,
    order: impl Fn(&usize, &usize) -> std::cmp::Ordering,
) -> Vec<usize> {
    let (from, to) = (ranks.from as usize, ranks.to as usize);
    if to < positions.len() {
        positions.select_nth_unstable_by(to, &order);
        positions.truncate(to);
    }
    positions.sort_unstable_by(&order);
    positions.split_off(from.min(positions.len()))
}
