//! Semi-hard: FaceNet, eq. 4. Of the negatives inside the margin but farther than the positive, the
//! nearest.

use super::row::Row;

/// Positives from which ranking beats a search for each.
const MANY: usize = 8;

pub(super) fn weigh(row: &mut Row) {
    if row.class.len() > MANY {
        return weigh_ranked(row);
    }
    for positive in row.positives() {
        let nearest = row.nearest_negative(row.distances[positive]);
        select_in_band(row, positive, nearest);
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
fn weigh_ranked(row: &mut Row) {
    let positives: Vec<usize> = row.positives().collect();
    // d_ap < d_an exactly where the next number after d_ap is ≤ d_an.
    row.places.sort(positives.iter().map(|&place| row.distances[place].next_up()));
    // Distances are not negative: their bits rise as they do, and one integer holds the order.
    let key = |d: f32, item: u32| u64::from(d.to_bits()) << 32 | u64::from(item);
    let mut nearest = vec![(u64::MAX, 0_usize); positives.len() + 1];
    for range in row.negatives() {
        let (distances, items) = (&row.distances[range.clone()], &row.items[range.clone()]);
        row.places.each(distances, |index, k| {
            let own = key(distances[index], items[index]);
            // Written in any case: whether it is nearer cannot be foretold.
            let (best, place) = nearest[k];
            let nearer = own < best;
            nearest[k] = (best.min(own), if nearer { range.start + index } else { place });
        });
    }
    let mut best = (u64::MAX, 0);
    for k in (0..positives.len()).rev() {
        best = best.min(nearest[k + 1]);
        let found = (best.0 < u64::MAX).then(|| (best.1, row.distances[best.1]));
        let positive = positives[row.places.ids[k] as usize];
        select_in_band(row, positive, found);
    }
}
