//! The definitions of the distances, one pair at a time in f64. Tests compare the tiles with them.

use super::{Distance, Metric};

pub(crate) fn distance(metric: Metric, x: &[f32], y: &[f32]) -> f64 {
    let unit = |v: &[f32]| -> Vec<f64> {
        let norm = v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let scale = if metric.on_sphere() && norm > 0.0 { 1.0 / norm } else { 1.0 };
        v.iter().map(|&x| f64::from(x) * scale).collect()
    };
    distance_f64(metric.distance, &unit(x), &unit(y))
}

/// The distance of vectors that are already normalised if the metric requires it.
pub(crate) fn distance_f64(distance: Distance, x: &[f64], y: &[f64]) -> f64 {
    let squared: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
    match distance {
        Distance::Euclidean => squared.sqrt(),
        Distance::SquaredEuclidean => squared,
        Distance::Cosine => 1.0 - x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>(),
    }
}
