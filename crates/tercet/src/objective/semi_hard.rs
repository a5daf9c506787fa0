//! Semi-hard: FaceNet, eq. 4. Of the negatives inside the margin but farther than the positive, the
//! nearest.

use super::places::{CHUNK, Reach};
use super::ranked::{Ranks, WAYS};
use super::row::Row;

/// Positives from which ranking beats a search for each. Measured by `examples/crossover.rs` on Zen 5
/// with AVX-512, one thread, in ns a negative: 12 positives 0.71 searched, 0.79 ranked; 16 positives
/// 0.94 and 0.83.
const MANY: usize = 14;

/// Positives that are compared with a negative at a time: their limits stay in registers.
const GROUP: usize = 4;

pub(super) fn weigh(row: &mut Row) {
    if row.class.len() > MANY {
        weigh_ranked(row);
    } else {
        weigh_each(row);
    }
}

/// A search for each positive, some of them at a time.
pub(super) fn weigh_each(row: &mut Row) {
    let mut places = row.positives();
    loop {
        let mut group = [0; GROUP];
        let taken = group.iter_mut().zip(&mut places).map(|(slot, place)| *slot = place).count();
        match group[..taken] {
            [a] => search(row, [a]),
            [a, b] => search(row, [a, b]),
            [a, b, c] => search(row, [a, b, c]),
            [a, b, c, d] => search(row, [a, b, c, d]),
            _ => return,
        }
    }
}

fn search<const N: usize>(row: &mut Row, positives: [usize; N]) {
    let mut above = [0.0; N];
    for (above, &positive) in above.iter_mut().zip(&positives) {
        *above = row.distances[positive];
    }
    let nearest = row.nearest_beyond(above);
    for ((positive, above), nearest) in positives.into_iter().zip(above).zip(nearest) {
        // Most negatives found lie behind the band: only of those inside is the place looked for.
        if nearest.distance < above + row.penalty.margin()
            && let Some(negative) = row.place_of(nearest)
        {
            row.select(positive, negative);
        }
    }
}

/// Each negative finds its place among the sorted d_ap; of those with the same place only the
/// nearest can be chosen, and a positive chooses among the places behind its own.
pub(super) fn weigh_ranked(row: &mut Row) {
    row.sort_positives();
    let Ranks { places, nearest, .. } = &mut *row.ranks;
    places.aim(Reach::Itself);
    nearest.clear();
    nearest.resize(places.sorted().len() + 1, [u64::MAX; WAYS]);
    let mut found = [0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let items = row.order.items[range.clone()].chunks(CHUNK);
        for (distances, items) in row.distances[range].chunks(CHUNK).zip(items) {
            let found = &mut found[..distances.len()];
            places.find(distances, found);
            keep_nearest(found, distances, items, nearest);
        }
    }
    // From here on nearest[k][0] is the nearest negative behind k of the positives.
    let mut least = u64::MAX;
    for ways in nearest.iter_mut().rev() {
        // The ways first, so that a place waits for the one behind it only once.
        let [a, b, c, d] = *ways;
        least = a.min(b).min(c.min(d)).min(least);
        ways[0] = least;
    }
    for (index, positive) in row.positives().enumerate() {
        // No negative has a place between equal positives, so any of their ranks will do.
        let rank = row.ranks.places.ranks()[index] as usize;
        let key = row.ranks.nearest[rank + 1][0];
        let d_an = f32::from_bits((key >> 32) as u32);
        if key < u64::MAX && d_an < row.distances[positive] + row.penalty.margin() {
            let negative = row.order.ranks[key as u32 as usize] as usize;
            row.select(positive, negative);
        }
    }
}

/// Keeps the least key of each place.
fn keep_nearest(found: &[u32], distances: &[f32], items: &[u32], nearest: &mut [[u64; WAYS]]) {
    let mut meet = |way: usize, place: u32, d: f32, item: u32| {
        // Distances are not negative: their bits rise as they do, and one integer holds the order.
        // Written in any case: whether it is nearer cannot be foretold.
        let key = u64::from(d.to_bits()) << 32 | u64::from(item);
        let least = &mut nearest[place as usize][way];
        *least = key.min(*least);
    };
    let (groups, last_found) = found.as_chunks::<WAYS>();
    let (distance_groups, last_distances) = distances.as_chunks::<WAYS>();
    let (item_groups, last_items) = items.as_chunks::<WAYS>();
    for ((places, distances), items) in groups.iter().zip(distance_groups).zip(item_groups) {
        for way in 0..WAYS {
            meet(way, places[way], distances[way], items[way]);
        }
    }
    for ((&place, &d), &item) in last_found.iter().zip(last_distances).zip(last_items) {
        meet(0, place, d, item);
    }
}
