//! Confidence intervals by resampling classes.
//!
//! Queries of one class search the same items among the same neighbours, so their results are
//! dependent: resampling single queries would treat them as independent observations and give
//! intervals that are too narrow. Instead, whole classes are drawn (the cluster bootstrap of
//! Davison & Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). This also
//! answers the relevant question: what would the result have been with other classes?

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::Error;
use crate::percentiles::quantile;

/// The default number of resamples.
pub const RESAMPLES: usize = 1_000;

/// The default seed.
pub const SEED: u64 = 0;

/// The 95 % interval \[low, high\] of the mean of `values`, by the percentile bootstrap over
/// classes.
///
/// Of C classes, C are drawn with replacement, each with all its values; the statistic of a
/// resample is the mean of these values. The interval runs from the 2.5th to the 97.5th percentile
/// of the statistic over `resamples` draws ([`RESAMPLES`] by default), from a ChaCha8 stream with
/// the seed `seed` ([`SEED`] by default): the same arguments give the same interval. With one class
/// only, every resample is the same and the interval has width 0.
///
/// # Shapes
/// - values: one number per query; classes: one number per query, equal for queries of one class
///
/// # Errors
/// No values, a number of classes that differs from that of values, or 0 resamples.
///
/// ```
/// use tercet::bootstrap;
/// let [low, high] = bootstrap::over_classes(
///     &[1.0, 1.0, 0.0, 0.0, 0.5],
///     &[0, 0, 1, 1, 2],
///     bootstrap::RESAMPLES,
///     bootstrap::SEED,
/// )?;
/// assert!(low < 0.5 && 0.5 < high);
/// # Ok::<(), tercet::Error>(())
/// ```
pub fn over_classes(
    values: &[f64],
    classes: &[u32],
    resamples: usize,
    seed: u64,
) -> Result<[f64; 2], Error> {
    let intervals = over_classes_together(&[values], classes, resamples, seed)?;
    intervals.into_iter().next().ok_or_else(nothing)
}

/// [`over_classes`] for several figures of the same queries at once. Every figure is computed from
/// the same draws, and has the interval that it would have alone.
///
/// # Errors
/// The errors of [`over_classes`], for any of the columns.
pub fn over_classes_together(
    columns: &[&[f64]],
    classes: &[u32],
    resamples: usize,
    seed: u64,
) -> Result<Vec<[f64; 2]>, Error> {
    let means = resampled_means(columns, classes, resamples, seed)?;
    means.into_iter().map(interval95).collect()
}

/// The interval from the 2.5th to the 97.5th percentile.
pub(crate) fn interval95(mut statistics: Vec<f64>) -> Result<[f64; 2], Error> {
    let low = quantile(&mut statistics, 0.025).ok_or_else(nothing)?;
    let high = quantile(&mut statistics, 0.975).ok_or_else(nothing)?;
    Ok([low, high])
}

/// The mean of every column in each resample of the classes.
pub(crate) fn resampled_means(
    columns: &[&[f64]],
    classes: &[u32],
    resamples: usize,
    seed: u64,
) -> Result<Vec<Vec<f64>>, Error> {
    if let Some(column) = columns.iter().find(|column| column.len() != classes.len()) {
        return Err(Error::LabelCount { rows: column.len(), labels: classes.len() });
    }
    if resamples == 0 {
        return Err(Error::parameter("resamples", resamples.to_string(), "at least 1"));
    }
    // The sums and the count of a class are all that a mean needs.
    let totals = class_totals(columns, classes);
    if totals.is_empty() {
        return Err(nothing());
    }
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let mut means = vec![Vec::with_capacity(resamples); columns.len()];
    let mut sums = vec![0.0; columns.len()];
    for _ in 0..resamples {
        sums.fill(0.0);
        let mut count = 0.0;
        for _ in &totals {
            let class = &totals[stream.random_range(0..totals.len())];
            count += class.count;
            for (sum, class_sum) in sums.iter_mut().zip(&class.sums) {
                *sum += class_sum;
            }
        }
        for (means, sum) in means.iter_mut().zip(&sums) {
            means.push(sum / count);
        }
    }
    Ok(means)
}

fn nothing() -> Error {
    Error::NotEnough {
        what: "a bootstrap",
        expected: "at least one value".to_owned(),
        got: "none".to_owned(),
    }
}

struct ClassTotal {
    count: f64,
    /// The sum of each column.
    sums: Vec<f64>,
}

/// The totals of the classes that occur, by rising number.
fn class_totals(columns: &[&[f64]], classes: &[u32]) -> Vec<ClassTotal> {
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|&query| classes[query]);
    order
        .chunk_by(|&x, &y| classes[x] == classes[y])
        .map(|class| ClassTotal {
            count: class.len() as f64,
            sums: columns
                .iter()
                .map(|column| class.iter().map(|&query| column[query]).sum())
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 11) / 11.0).collect();
        let classes: Vec<u32> = (0..60).map(|i| i / 6).collect();
        let interval = |seed| over_classes(&values, &classes, 200, seed).unwrap();
        assert_eq!(interval(5), interval(5));
        assert_ne!(interval(5), interval(6));
        let [low, high] = interval(5);
        let mean = values.iter().sum::<f64>() / 60.0;
        assert!(low < mean && mean < high);
    }

    #[test]
    fn intervals_cover_the_truth_about_as_often_as_they_say() {
        // One fair coin is tossed for each class and decides all of its ten queries.
        let classes: Vec<u32> = (0..400).map(|query| query / 10).collect();
        let mut coins = ChaCha8Rng::seed_from_u64(1);
        let covered = (0..200)
            .filter(|&seed| {
                let faces: Vec<f64> =
                    (0..40).map(|_| f64::from(u8::from(coins.random_bool(0.5)))).collect();
                let values: Vec<f64> = classes.iter().map(|&c| faces[c as usize]).collect();
                let [low, high] = over_classes(&values, &classes, 200, seed).unwrap();
                low <= 0.5 && 0.5 <= high
            })
            .count();
        assert!((176..=200).contains(&covered), "{covered} of 200");
    }

    #[test]
    fn figures_judged_together_are_judged_as_alone() {
        let classes: Vec<u32> = (0..40).map(|i| i % 7).collect();
        let column =
            |factor: u32| -> Vec<f64> { (0..40).map(|i| f64::from(i * factor % 13)).collect() };
        let (first, second) = (column(5), column(3));
        let together = over_classes_together(&[&first, &second], &classes, 50, 3).unwrap();
        let alone = |values: &[f64]| over_classes(values, &classes, 50, 3).unwrap();
        assert_eq!(together, [alone(&first), alone(&second)]);
    }

    #[test]
    fn equal_values_leave_no_width() {
        assert_eq!(over_classes(&[0.5; 6], &[0, 0, 1, 1, 2, 2], 50, 0), Ok([0.5, 0.5]));
        assert_eq!(over_classes(&[0.0, 1.0], &[4, 4], 50, 0), Ok([0.5, 0.5]));
    }

    #[test]
    fn nothing_to_resample_is_an_error() {
        assert!(matches!(over_classes(&[], &[], 10, 0), Err(Error::NotEnough { .. })));
        assert!(matches!(over_classes(&[1.0], &[], 10, 0), Err(Error::LabelCount { .. })));
        assert!(matches!(over_classes(&[1.0], &[0], 0, 0), Err(Error::Parameter(_))));
    }
}
