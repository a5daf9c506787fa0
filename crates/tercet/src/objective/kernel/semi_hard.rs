//! Semi-hard triplets: for each positive the nearest negative with d_ap < d_an < d_ap + margin.
//! FaceNet (arXiv 1503.03832), eq. 4.

use super::nearest::{nearest_beyond, position_of};
use crate::objective::row::{AnchorRow, RowGradient};
use crate::sorted_lookup::{CHUNK, SortedLookup, Threshold, WAYS};

/// Positives that are compared with a negative at a time. Their distances stay in registers.
const GROUP: usize = 4;

/// For each position among the sorted positives, the nearest negative at this position, as a key of
/// its distance and index.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    nearest: Vec<[u64; WAYS]>,
}

/// Searches all negatives for each positive, [`GROUP`] positives at a time.
pub(super) fn pairwise(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.clear();
    let mut positives = row.positives();
    loop {
        let mut group = [0; GROUP];
        let taken = group.iter_mut().zip(&mut positives).map(|(slot, p)| *slot = p).count();
        match group[..taken] {
            [a] => search(row, [a], gradient),
            [a, b] => search(row, [a, b], gradient),
            [a, b, c] => search(row, [a, b, c], gradient),
            [a, b, c, d] => search(row, [a, b, c, d], gradient),
            _ => return,
        }
    }
}

fn search<const N: usize>(row: &AnchorRow, positives: [usize; N], gradient: &mut RowGradient) {
    let above = positives.map(|positive| row.distances[positive]);
    let nearest = nearest_beyond(row, above);
    for ((positive, above), nearest) in positives.into_iter().zip(above).zip(nearest) {
        // Most of the negatives found are beyond the band, and only those in the band need a
        // position.
        if nearest.distance < above + row.penalty.margin()
            && let Some(negative) = position_of(row, nearest)
        {
            gradient.select(row, positive, negative);
        }
    }
}

/// Looks up each negative among the sorted d_ap. Of the negatives between the same two positives
/// only the nearest can be selected, and a positive selects among the negatives at positions after
/// its rank.
pub(super) fn sorted(
    row: &AnchorRow,
    lookup: &mut SortedLookup,
    scratch: &mut Scratch,
    gradient: &mut RowGradient,
) {
    gradient.clear();
    lookup.sort(row.positive_distances());
    lookup.set_thresholds(Threshold::Itself);
    let nearest = &mut scratch.nearest;
    nearest.clear();
    nearest.resize(lookup.sorted().len() + 1, [u64::MAX; WAYS]);
    let mut found = [0; CHUNK];
    for range in row.negative_ranges() {
        let items = row.order.items[range.clone()].chunks(CHUNK);
        for (distances, items) in row.distances[range].chunks(CHUNK).zip(items) {
            let found = &mut found[..distances.len()];
            lookup.find(distances, found);
            keep_nearest(found, distances, items, nearest);
        }
    }
    // From here on nearest[k][0] is the nearest negative at position k or later.
    let mut least = u64::MAX;
    for ways in nearest.iter_mut().rev() {
        // The ways are combined first, so that only one operation waits for the previous position.
        let [a, b, c, d] = *ways;
        least = a.min(b).min(c.min(d)).min(least);
        ways[0] = least;
    }
    for (positive, &rank) in row.positives().zip(lookup.ranks()) {
        // No negative is found between equal positives, so each of their ranks gives the same
        // result.
        let key = nearest[rank as usize + 1][0];
        let d_an = f32::from_bits((key >> 32) as u32);
        if key < u64::MAX && d_an < row.distances[positive] + row.penalty.margin() {
            let negative = row.order.ranks[key as u32 as usize] as usize;
            gradient.select(row, positive, negative);
        }
    }
}

/// Stores the smallest key at each position.
fn keep_nearest(found: &[u32], distances: &[f32], items: &[u32], nearest: &mut [[u64; WAYS]]) {
    let mut take = |way: usize, position: u32, d: f32, item: u32| {
        // Distances are not negative, so their bits as integers have the order of the distances,
        // and one integer sorts by distance and then by index. The store is unconditional, because
        // a branch could not be predicted.
        let key = u64::from(d.to_bits()) << 32 | u64::from(item);
        let least = &mut nearest[position as usize][way];
        *least = key.min(*least);
    };
    let (groups, last_found) = found.as_chunks::<WAYS>();
    let (distance_groups, last_distances) = distances.as_chunks::<WAYS>();
    let (item_groups, last_items) = items.as_chunks::<WAYS>();
    for ((positions, distances), items) in groups.iter().zip(distance_groups).zip(item_groups) {
        for way in 0..WAYS {
            take(way, positions[way], distances[way], items[way]);
        }
    }
    for ((&position, &d), &item) in last_found.iter().zip(last_distances).zip(last_items) {
        take(0, position, d, item);
    }
}
