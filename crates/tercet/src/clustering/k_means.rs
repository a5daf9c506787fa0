//! k-means: groups around means (Lloyd 1982; start of Arthur & Vassilvitskii, "k-means++", 2007).

use ndarray::{Array2, ArrayView2};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::Groups;
use crate::distance::Points;
use crate::matrix::squared_difference;
use crate::{Distance, Error};

/// The largest number of rounds, even if items still change groups.
const ROUNDS: usize = 300;

/// Groups the vectors that the metric compares by squared Euclidean distance, for which the mean is
/// the centre.
pub(super) fn group(points: &Points, clusters: usize, seed: u64) -> Result<Groups, Error> {
    let rows = Array2::from_shape_fn((points.len(), points.dimensions()), |(row, column)| {
        points.row(row)[column]
    });
    let points = Points::of_any_length(rows.view(), Distance::SquaredEuclidean.into())?;
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut centres = start(&points, rows.view(), clusters, &mut stream);
    let mut nearest: Vec<(u32, f32)> = Vec::new();
    for _ in 0..ROUNDS {
        let measured = points.beside(centres.view())?;
        let found = points.sweep(&measured, |_, distances| least(distances));
        let moved = found.len() != nearest.len()
            || found.iter().zip(&nearest).any(|(new, old)| new.0 != old.0);
        nearest = found;
        if !moved {
            break;
        }
        centres = means(rows.view(), &mut nearest, clusters);
    }
    Ok(nearest.into_iter().map(|(centre, _)| Some(centre)).collect())
}

/// The smallest distance and its index. Ties go to the lowest index.
fn least(distances: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::INFINITY);
    for (centre, &distance) in distances.iter().enumerate() {
        if distance < best.1 {
            best = (centre as u32, distance);
        }
    }
    best
}

/// The means of the groups. A group without items takes the item that is farthest from its centre,
/// so that no group vanishes.
fn means(rows: ArrayView2<f32>, nearest: &mut [(u32, f32)], clusters: usize) -> Array2<f32> {
    let mut counts = vec![0_usize; clusters];
    for &(centre, _) in &*nearest {
        counts[centre as usize] += 1;
    }
    for empty in 0..clusters {
        if counts[empty] > 0 {
            continue;
        }
        let spare = nearest.iter().enumerate().filter(|(_, near)| counts[near.0 as usize] > 1);
        let farthest = spare.max_by(|(_, x), (_, y)| x.1.total_cmp(&y.1)).map(|(item, _)| item);
        if let Some(item) = farthest {
            counts[nearest[item].0 as usize] -= 1;
            counts[empty] = 1;
            nearest[item] = (empty as u32, 0.0);
        }
    }
    let mut sums = Array2::<f64>::zeros((clusters, rows.ncols()));
    for (row, &(centre, _)) in rows.outer_iter().zip(&*nearest) {
        let mut sum = sums.row_mut(centre as usize);
        sum.zip_mut_with(&row, |sum, &x| *sum += f64::from(x));
    }
    Array2::from_shape_fn(sums.dim(), |(centre, column)| {
        (sums[[centre, column]] / counts[centre].max(1) as f64) as f32
    })
}

/// Greedy k-means++: candidates for a new centre are drawn among the items with probabilities
/// proportional to the squared distance from the centres so far. Of 2 + ln K candidates, the one
/// that lowers the sum of squared distances most is chosen.
fn start(
    points: &Points,
    rows: ArrayView2<f32>,
    clusters: usize,
    stream: &mut ChaCha8Rng,
) -> Array2<f32> {
    let items = points.len();
    let draws = 2 + (clusters as f64).ln() as usize;
    let mut chosen = vec![stream.random_range(0..items)];
    let mut nearest = vec![f32::INFINITY; items];
    closer(points, chosen[0], &mut nearest);
    while chosen.len() < clusters {
        let mut best: Option<(f64, usize, Vec<f32>)> = None;
        for _ in 0..draws {
            let item = draw(&nearest, stream);
            let mut after = nearest.clone();
            let sum = closer(points, item, &mut after);
            if best.as_ref().is_none_or(|(least, ..)| sum < *least) {
                best = Some((sum, item, after));
            }
        }
        let Some((_, item, after)) = best else { break };
        chosen.push(item);
        nearest = after;
    }
    rows.select(ndarray::Axis(0), &chosen)
}

/// Replaces the squared distances by those from `centre` where these are smaller, and returns their
/// sum.
fn closer(points: &Points, centre: usize, nearest: &mut [f32]) -> f64 {
    nearest.par_iter_mut().enumerate().with_min_len(1024).for_each(|(item, distance)| {
        *distance = distance.min(squared_difference(points.row(item), points.row(centre)));
    });
    nearest.iter().map(|&distance| f64::from(distance)).sum()
}

/// Draws an item with a probability proportional to its weight, or uniformly if all weights are 0.
fn draw(weights: &[f32], stream: &mut ChaCha8Rng) -> usize {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    if total <= 0.0 {
        return stream.random_range(0..weights.len());
    }
    let mut left = stream.random::<f64>() * total;
    let mut last = 0;
    for (item, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            last = item;
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
    }
    last
}
