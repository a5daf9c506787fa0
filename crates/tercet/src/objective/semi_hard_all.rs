//! Every triplet of the semi-hard band, 0 < d(a,n) − d(a,p) ≤ margin, as pytorch-metric-learning's
//! `TripletMarginMiner` of type `semihard` takes them.

use super::candidates::Candidates;
use super::row::Row;

/// Whether a negative lies in the band. The difference of two neighbouring floats is exact, the
/// sum d(a,p) + margin is not.
#[inline(always)]
fn in_band(d_ap: f32, d_an: f32, margin: f32) -> bool {
    let gap = d_an - d_ap;
    gap > 0.0 && gap <= margin
}

pub(super) fn weigh(row: &mut Row) {
    let margin = row.penalty.margin();
    for positive in row.positives() {
        let d_ap = row.distances[positive];
        let reach = d_ap + margin;
        let mut slopes = 0.0;
        for range in row.negatives() {
            let distances = &row.distances[range.clone()];
            for (&d_an, weight) in distances.iter().zip(&mut row.weights[range]) {
                if !in_band(d_ap, d_an, margin) {
                    continue;
                }
                let (value, slope) = row.penalty.of(reach - d_an);
                row.tally.value += f64::from(value);
                row.tally.selected += 1;
                row.tally.active += u64::from(value > row.penalty.active_above());
                *weight -= slope;
                slopes += f64::from(slope);
            }
        }
        row.weights[positive] += slopes as f32;
    }
}

pub(super) fn choose(candidates: &Candidates, take: &mut dyn FnMut(usize, usize)) {
    for positive in candidates.positives() {
        let d_ap = candidates.distances[positive];
        for negative in candidates.negatives() {
            if in_band(d_ap, candidates.distances[negative], candidates.margin) {
                take(positive, negative);
            }
        }
    }
}
