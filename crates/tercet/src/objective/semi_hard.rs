//! Semi-hard: FaceNet, eq. 4. Of the negatives inside the margin but farther than the positive, the
//! nearest.

use super::places::CHUNK;
use super::ranked::{Ranks, WAYS};
use super::row::Row;
use crate::simd::{LANES, vectorised};

/// Positives from which ranking beats a search for each.
const MANY: usize = 8;

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
    let places: Vec<usize> = row.positives().collect();
    for group in places.chunks(GROUP) {
        let mut above = [f32::INFINITY; GROUP];
        for (above, &positive) in above.iter_mut().zip(group) {
            *above = row.distances[positive];
        }
        let [before, after] =
            row.negatives().map(|range| smallest_above_each(&row.distances[range], above));
        for (index, &positive) in group.iter().enumerate() {
            let least = [before[index], after[index]];
            let d_an = least[0].min(least[1]);
            // Most negatives found lie behind the band: only those inside are looked for.
            if d_an < row.distances[positive] + row.penalty.margin() {
                let negative = row.negative_at(d_an, least);
                select_in_band(row, positive, negative.map(|place| (place, d_an)));
            }
        }
    }
}

vectorised! {
    /// The smallest of the values above each limit, or infinity.
    fn smallest_above_each<const N: usize>(values: &[f32], above: [f32; N]) -> [f32; N] {
        let mut least = [[f32::INFINITY; LANES]; N];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let d = chunk[lane];
                for p in 0..N {
                    let value = if d > above[p] { d } else { f32::INFINITY };
                    least[p][lane] = if value < least[p][lane] { value } else { least[p][lane] };
                }
            }
        }
        std::array::from_fn(|p| {
            let rest = rest.iter().filter(|&&value| value > above[p]);
            rest.chain(&least[p]).fold(f32::INFINITY, |least, &value| least.min(value))
        })
    }
}

fn select_in_band(row: &mut Row, positive: usize, nearest: Option<(usize, f32)>) {
    if let Some((negative, d_an)) = nearest
        && d_an < row.distances[positive] + row.penalty.margin()
    {
        row.select(positive, negative);
    }
}

/// Each negative finds its place among the sorted d_ap; of those with the same place only the
/// nearest can be chosen, and a positive chooses among the places behind its own.
pub(super) fn weigh_ranked(row: &mut Row) {
    row.sort_positives();
    let Ranks { rising, places, nearest, .. } = &mut *row.ranks;
    // d_ap < d_an exactly where the next number after d_ap is ≤ d_an.
    places.set(rising.sorted.iter().map(|d| d.next_up()));
    nearest.clear();
    nearest.resize(rising.sorted.len() + 1, [u64::MAX; WAYS]);
    let mut found = [0; CHUNK];
    for range in [0..row.class.start, row.class.end..row.distances.len()] {
        let items = row.order.items[range.clone()].chunks(CHUNK);
        for (distances, items) in row.distances[range].chunks(CHUNK).zip(items) {
            let found = &mut found[..distances.len()];
            places.find(distances, found);
            for (index, ((&place, &d), &item)) in found.iter().zip(distances).zip(items).enumerate()
            {
                // Distances are not negative: their bits rise as they do, and one integer holds
                // the order. Written in any case: whether it is nearer cannot be foretold.
                let key = u64::from(d.to_bits()) << 32 | u64::from(item);
                let least = &mut nearest[place as usize][index % WAYS];
                *least = key.min(*least);
            }
        }
    }
    // From here on nearest[k][0] is the nearest negative behind k of the positives.
    let mut least = u64::MAX;
    for ways in nearest.iter_mut().rev() {
        least = ways.iter().fold(least, |least, &key| least.min(key));
        ways[0] = least;
    }
    for (index, positive) in row.positives().enumerate() {
        // No negative has a place between equal positives, so any of their ranks will do.
        let rank = row.ranks.rising.ranks[index] as usize;
        let key = row.ranks.nearest[rank + 1][0];
        let nearest = (key < u64::MAX).then(|| {
            (row.order.ranks[key as u32 as usize] as usize, f32::from_bits((key >> 32) as u32))
        });
        select_in_band(row, positive, nearest);
    }
}
