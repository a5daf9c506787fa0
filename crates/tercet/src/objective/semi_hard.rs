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
    let mut nearest = vec![(f32::INFINITY, u32::MAX, 0_usize); positives.len() + 1];
    for range in row.negatives() {
        let distances = &row.distances[range.clone()];
        row.places.each(distances, |index, k| {
            let (d, place) = (distances[index], range.start + index);
            let best = &mut nearest[k];
            if d < best.0 || (d == best.0 && row.items[place] < best.1) {
                *best = (d, row.items[place], place);
            }
        });
    }
    let mut best = (f32::INFINITY, u32::MAX, 0);
    for k in (0..positives.len()).rev() {
        let other = nearest[k + 1];
        if other.0 < best.0 || (other.0 == best.0 && other.1 < best.1) {
            best = other;
        }
        let found = (best.1 < u32::MAX).then_some((best.2, best.0));
        let positive = positives[row.places.ids[k] as usize];
        select_in_band(row, positive, found);
    }
}
