//! Every triplet of the semi-hard band, 0 < d_an − d_ap ≤ margin, as the miner of type `semihard` of
//! pytorch-metric-learning selects them.

use crate::objective::choose::in_band;
use crate::objective::row::{AnchorRow, RowGradient};

pub(super) fn compute(row: &AnchorRow, gradient: &mut RowGradient) {
    gradient.clear();
    let margin = row.penalty.margin();
    for positive in row.positives() {
        let d_ap = row.distances[positive];
        // No triplet of the band is violated, because d_an > d_ap.
        let threshold = d_ap + margin;
        let mut slopes = 0.0;
        for range in row.negative_ranges() {
            let distances = &row.distances[range.clone()];
            for (&d_an, weight) in distances.iter().zip(&mut gradient.weights[range]) {
                if !in_band(d_ap, d_an, margin) {
                    continue;
                }
                let (value, slope) = row.penalty.of(threshold - d_an);
                gradient.sums.value += f64::from(value);
                gradient.sums.selected += 1;
                gradient.sums.active += u64::from(value > row.penalty.active_above());
                *weight -= slope;
                slopes += f64::from(slope);
            }
        }
        gradient.weights[positive] += slopes as f32;
    }
}
