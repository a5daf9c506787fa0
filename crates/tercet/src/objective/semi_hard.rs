//! Semi-hard: FaceNet, eq. 4. Of the negatives inside the margin but farther than the positive, the
//! nearest.

use super::row::Row;

pub(super) fn weigh(row: &mut Row) {
    for positive in row.positives() {
        let d_ap = row.distances[positive];
        if let Some((negative, d_an)) = row.nearest_negative(d_ap)
            && d_an < d_ap + row.penalty.margin()
        {
            row.select(positive, negative);
        }
    }
}
