//! Percentiles of norms and distances.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::distance::Points;
use crate::watch::{Steps, Watch};
use crate::{Error, Metric};

/// The 0th, 5th, 50th, 95th and 100th percentile of a set of values, in the unit of the values.
///
/// Between two values the percentile is interpolated linearly, as NumPy does by default: of n
/// sorted values v the p-th percentile has the position h = p/100 · (n − 1), and is
/// v\[⌊h⌋\] + (h − ⌊h⌋)(v\[⌊h⌋ + 1\] − v\[⌊h⌋\]).
///
/// ```
/// use tercet::Percentiles;
/// let spread = Percentiles::of((0..=100).map(|x| x as f32)).unwrap();
/// assert_eq!((spread.p0, spread.p5, spread.p50, spread.p95), (0.0, 5.0, 50.0, 95.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The smallest value.
    pub p0: f64,
    /// One value in twenty is below this.
    pub p5: f64,
    /// The median.
    pub p50: f64,
    /// One value in twenty is above this.
    pub p95: f64,
    /// The largest value.
    pub p100: f64,
}

impl Percentiles {
    /// The percentiles of the given values, or `None` if there are none.
    ///
    /// Time and memory are proportional to the number of values, because values are selected, not
    /// sorted. NaN counts as greater than every number.
    pub fn of<T: Into<f64>>(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().map(Into::into).collect();
        Some(Self {
            p0: quantile(&mut values, 0.0)?,
            p5: quantile(&mut values, 0.05)?,
            p50: quantile(&mut values, 0.5)?,
            p95: quantile(&mut values, 0.95)?,
            p100: quantile(&mut values, 1.0)?,
        })
    }

    /// The percentiles of the Euclidean norms ‖x‖₂ of the rows (N×D), or `None` without rows.
    pub fn norms(embeddings: ArrayView2<f32>) -> Option<Self> {
        let norm = |row: ndarray::ArrayView1<f32>| {
            row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
        };
        Self::of(embeddings.outer_iter().map(norm))
    }

    /// The percentiles of the distances of all N(N−1)/2 pairs of rows (N×D), or `None` with fewer
    /// than two rows.
    ///
    /// They are exact for any N. Up to 4096 rows all distances are in memory at once. With more
    /// rows, two sweeps over tiles count them by the bits of their f32 values, so that memory is
    /// one tile and a few MiB of counters per thread.
    ///
    /// # Errors
    /// Vectors that are not finite, too long, or without dimensions.
    pub fn pairwise_distances(
        embeddings: ArrayView2<f32>,
        metric: Metric,
    ) -> Result<Option<Self>, Error> {
        Self::of_pairs(embeddings, metric, None)
    }

    /// [`pairwise_distances`](Self::pairwise_distances) that reports to `watch` how many rows of
    /// its two sweeps are done. Up to 4096 rows nothing is reported.
    ///
    /// # Errors
    /// The errors of [`pairwise_distances`](Self::pairwise_distances), and [`Error::Interrupted`]
    /// when `watch` stops the work.
    pub fn pairwise_distances_watched(
        embeddings: ArrayView2<f32>,
        metric: Metric,
        watch: Watch,
    ) -> Result<Option<Self>, Error> {
        Self::of_pairs(embeddings, metric, Some(watch))
    }

    fn of_pairs(
        embeddings: ArrayView2<f32>,
        metric: Metric,
        watch: Option<Watch>,
    ) -> Result<Option<Self>, Error> {
        let points = Points::of_any_length(embeddings, metric)?;
        if points.len() > HELD_ROWS {
            let steps = Steps::new(watch, 2 * points.len());
            let spread = Self::counted(&points, &steps);
            return steps.finish().map(|()| spread);
        }
        let later = points.sweep(&points, |row, distances| distances[row + 1..].to_vec());
        Ok(Self::of(later.into_iter().flatten()))
    }

    /// Radix selection: the bits of non-negative floats as integers have the order of the values.
    /// One sweep counts the upper halves of the bits; a second sweep resolves the halves that
    /// contain the ranks needed.
    fn counted(points: &Points, steps: &Steps) -> Option<Self> {
        let rows = points.len() as u64;
        let last = (rows * rows.checked_sub(1)? / 2).checked_sub(1)?;
        let all = |row: usize, distances: &[f32], count: &mut dyn FnMut(usize, usize)| {
            for &distance in &distances[row + 1..] {
                // Adding 0 turns −0 into 0.
                let bits = (distance + 0.0).to_bits() as usize;
                count(bits >> 16, bits & 0xffff);
            }
        };
        let upper = added(points.sweep_into(
            points,
            steps,
            || vec![0_u64; 1 << 16],
            |counts, row, distances| all(row, distances, &mut |high, _| counts[high] += 1),
        ));

        // Each share is between two ranks, and the values at both are needed.
        let positions = [0.0, 0.05, 0.5, 0.95, 1.0].map(|share| share * last as f64);
        let mut ranks: Vec<u64> = positions
            .iter()
            .flat_map(|position| [position.floor() as u64, (position.floor() as u64 + 1).min(last)])
            .collect();
        ranks.sort_unstable();
        ranks.dedup();
        let found: Vec<(usize, u64)> = ranks.iter().map(|&rank| place(&upper, rank)).collect();
        let mut highs: Vec<usize> = found.iter().map(|&(high, _)| high).collect();
        highs.dedup();
        let mut table = vec![usize::MAX; 1 << 16];
        for (slot, &high) in highs.iter().enumerate() {
            table[high] = slot << 16;
        }
        let lower = added(points.sweep_into(
            points,
            steps,
            || vec![0_u64; highs.len() << 16],
            |counts, row, distances| {
                all(row, distances, &mut |high, low| {
                    if let Some(count) = counts.get_mut(table[high].saturating_add(low)) {
                        *count += 1;
                    }
                });
            },
        ));

        let value = |rank: u64| {
            let (high, within) = place(&upper, rank);
            let (low, _) = place(&lower[table[high]..][..1 << 16], within);
            f64::from(f32::from_bits((high << 16 | low) as u32))
        };
        let [p0, p5, p50, p95, p100] = positions.map(|position| {
            let rank = position.floor() as u64;
            let (lower, upper) = (value(rank), value((rank + 1).min(last)));
            lower + (position - position.floor()) * (upper - lower)
        });
        Some(Self { p0, p5, p50, p95, p100 })
    }
}

/// The largest number of rows whose distances are all in memory at once.
const HELD_ROWS: usize = 4096;

fn added(counts: Vec<Vec<u64>>) -> Vec<u64> {
    counts
        .into_iter()
        .reduce(|mut left, right| {
            left.iter_mut().zip(&right).for_each(|(x, y)| *x += y);
            left
        })
        .unwrap_or_default()
}

/// The bucket that contains the value of a rank, and the value's rank within it.
fn place(counts: &[u64], mut rank: u64) -> (usize, u64) {
    for (bucket, &count) in counts.iter().enumerate() {
        if rank < count {
            return (bucket, rank);
        }
        rank -= count;
    }
    (counts.len().saturating_sub(1), 0)
}

/// The value at `share` of the way from the smallest to the largest value, interpolated linearly,
/// or `None` without values. It reorders the values.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> Option<f64> {
    let position = share * values.len().checked_sub(1)? as f64;
    let place = (position.floor() as usize).min(values.len() - 1);
    let between = position - place as f64;
    let (_, &mut lower, rest) = values.select_nth_unstable_by(place, f64::total_cmp);
    let upper = rest.iter().copied().min_by(f64::total_cmp);
    // Equal neighbours need no interpolation, and with infinite ones it would give NaN.
    Some(match upper {
        Some(upper) if between > 0.0 && upper != lower => lower + between * (upper - lower),
        _ => lower,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Percentiles::of(Vec::<f32>::new()), None);
        let one_row = array![[3.0_f32, 4.0]];
        let distances = Percentiles::pairwise_distances(one_row.view(), Metric::default());
        assert_eq!(distances, Ok(None));
    }

    #[test]
    fn one_value_is_every_percentile() {
        let norms = Percentiles::norms(array![[3.0_f32, 4.0]].view()).unwrap();
        assert_eq!((norms.p0, norms.p50, norms.p100), (5.0, 5.0, 5.0));
    }

    #[test]
    fn values_between_are_interpolated() {
        let spread = Percentiles::of([4.0_f32, 1.0, 3.0, 2.0]).unwrap();
        assert!((spread.p5 - 1.15).abs() < 1e-12);
        assert_eq!(spread.p50, 2.5);
        assert!((spread.p95 - 3.85).abs() < 1e-12);
    }

    #[test]
    fn every_pair_counts_once() {
        let points = array![[0.0_f32], [1.0], [10.0]];
        let spread = Percentiles::pairwise_distances(points.view(), Metric::default());
        let spread = spread.unwrap().unwrap();
        assert_eq!((spread.p0, spread.p50, spread.p100), (1.0, 9.0, 10.0));
    }

    #[test]
    fn counting_agrees_with_holding_all() {
        for (rows, step) in [(2, 1.0_f32), (3, 0.37), (150, 1.7e-3), (150, 0.0), (151, 1e4)] {
            let vectors = ndarray::Array2::from_shape_fn((rows, 3), |(i, j)| {
                ((i * 71 + j * 37) % 101) as f32 * step
            });
            for metric in [Metric::default(), crate::Distance::Cosine.into()] {
                let points = Points::new(vectors.view(), metric).unwrap();
                let held = Percentiles::pairwise_distances(vectors.view(), metric).unwrap();
                assert_eq!(
                    Percentiles::counted(&points, &Steps::new(None, 0)),
                    held,
                    "{rows} rows, step {step}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            values in prop::collection::vec(-5_i8..5, 1..50),
            share in 0.0_f64..=1.0,
        ) {
            let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let got = quantile(&mut values, share).unwrap();
            values.sort_unstable_by(f64::total_cmp);
            let position = share * (values.len() - 1) as f64;
            let lower = values[position.floor() as usize];
            let upper = values[position.ceil() as usize];
            prop_assert!((got - (lower + position.fract() * (upper - lower))).abs() < 1e-12);
        }
    }
}
