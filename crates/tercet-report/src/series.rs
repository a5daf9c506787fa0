//! Prepares series for drawing: removes invalid values, reduces the number of points, and smooths.

use crate::scale::is_drawable;

/// One value per step, or per value of another horizontal axis.
pub(crate) type Points = Vec<(f64, f64)>;

/// A series without the values that cannot be drawn, sorted by step.
#[derive(Debug, Clone)]
pub(crate) struct Clean<Value> {
    pub(crate) points: Vec<(f64, Value)>,
    /// How many points were left out because they are not finite.
    pub(crate) skipped: usize,
}

/// Sorts single values by step and removes those that are not finite.
pub(crate) fn clean(raw: &[(u64, f64)]) -> Clean<f64> {
    clean_by(raw, |value| is_drawable(*value))
}

/// Sorts percentiles by step and removes those that contain a value that is not finite.
pub(crate) fn clean_percentiles(raw: &[(u64, [f64; 5])]) -> Clean<[f64; 5]> {
    clean_by(raw, |values| values.iter().all(|value| is_drawable(*value)))
}

fn clean_by<Value: Copy>(raw: &[(u64, Value)], drawable: impl Fn(&Value) -> bool) -> Clean<Value> {
    let kept = raw.iter().filter(|(_, value)| drawable(value));
    let mut points: Vec<(f64, Value)> = kept.map(|(step, value)| (*step as f64, *value)).collect();
    let skipped = raw.len() - points.len();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    Clean { points, skipped }
}

/// Reduces points, sorted by step, to at most about two per column: the lowest and the highest of
/// each column of steps, so that spikes remain visible, and both ends.
pub(crate) fn thin(points: &[(f64, f64)], columns: usize) -> Points {
    if points.len() <= columns * 2 {
        return points.to_vec();
    }
    let mut thinned = Points::new();
    for column in by_column(points, columns) {
        let mut lowest = 0;
        let mut highest = 0;
        for (index, (_, value)) in column.iter().enumerate() {
            if *value < column[lowest].1 {
                lowest = index;
            }
            if *value > column[highest].1 {
                highest = index;
            }
        }
        thinned.push(column[lowest.min(highest)]);
        if lowest != highest {
            thinned.push(column[lowest.max(highest)]);
        }
    }
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        if thinned.first() != Some(first) {
            thinned.insert(0, *first);
        }
        if thinned.last() != Some(last) {
            thinned.push(*last);
        }
    }
    thinned
}

/// Percentiles over a range of steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) first_step: f64,
    pub(crate) last_step: f64,
    pub(crate) values: [f64; 5],
}

/// Reduces percentiles to at most `columns` entries: for each column of steps, the minimum of the
/// lowest, the maximum of the highest, and the means of the percentiles between them.
pub(crate) fn thin_percentiles(points: &[(f64, [f64; 5])], columns: usize) -> Vec<Percentiles> {
    let gathered = if points.len() <= columns {
        points.chunks(1).collect()
    } else {
        by_column(points, columns)
    };
    gathered
        .into_iter()
        .filter_map(|column| {
            let (first, last) = (column.first()?, column.last()?);
            let count = column.len() as f64;
            let mut values = first.1;
            for (_, next) in &column[1..] {
                values[0] = values[0].min(next[0]);
                values[4] = values[4].max(next[4]);
                for middle in 1..4 {
                    values[middle] += next[middle];
                }
            }
            for middle in &mut values[1..4] {
                *middle /= count;
            }
            Some(Percentiles { first_step: first.0, last_step: last.0, values })
        })
        .collect()
}

/// The running mean over one fortieth of the series; `None` if the series is shorter than 80
/// points.
pub(crate) fn smooth(points: &[(f64, f64)], columns: usize) -> Option<Points> {
    const SHORTEST: usize = 80;
    if points.len() < SHORTEST {
        return None;
    }
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for (_, value) in points {
        sum += value;
        sums.push(sum);
    }
    let reach = points.len() / SHORTEST;
    let stride = points.len().div_ceil(columns);
    let last = points.len() - 1;
    let places = (0..last).step_by(stride).chain([last]);
    Some(
        places
            .map(|index| {
                // The window is truncated at both ends.
                let from = index.saturating_sub(reach);
                let to = (index + reach + 1).min(points.len());
                let mean = (sums[to] - sums[from]) / (to - from) as f64;
                (points[index].0, mean)
            })
            .collect(),
    )
}

/// Divides points, sorted by step, into columns of equally many steps; empty columns are left out.
fn by_column<Value>(points: &[(f64, Value)], columns: usize) -> Vec<&[(f64, Value)]> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let span = last.0 - first.0;
    let column = |step: f64| {
        if span > 0.0 { ((step - first.0) / span * columns as f64) as usize } else { 0 }
    };
    points.chunk_by(|one, next| column(one.0) == column(next.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_spikes() {
        let mut points: Points = (0..100_000).map(|step| (f64::from(step), 0.5)).collect();
        points[54_321].1 = 9.0;
        points[77_777].1 = -9.0;
        let thinned = thin(&points, 240);
        assert!(thinned.len() <= 2 * 241 + 2);
        assert_eq!(thinned.first(), points.first());
        assert_eq!(thinned.last(), points.last());
        assert!(thinned.contains(&(54_321.0, 9.0)) && thinned.contains(&(77_777.0, -9.0)));
        assert!(thinned.is_sorted_by_key(|(step, _)| *step));
    }

    #[test]
    fn percentiles_keep_the_extremes() {
        let mut points: Vec<(f64, [f64; 5])> =
            (0..10_000).map(|step| (f64::from(step), [1.0, 2.0, 3.0, 4.0, 5.0])).collect();
        points[5000].1 = [0.0, 2.0, 3.0, 4.0, 6.0];
        let thinned = thin_percentiles(&points, 100);
        assert!(thinned.len() <= 101);
        assert!(thinned.iter().any(|column| column.values[0] == 0.0));
        assert!(thinned.iter().any(|column| column.values[4] == 6.0));
        assert!(thinned.iter().all(|column| column.values[2] == 3.0));
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let cleaned = clean(&[(2, 1.0), (1, f64::NAN), (0, 3.0), (3, f64::INFINITY)]);
        assert_eq!(cleaned.points, [(0.0, 3.0), (2.0, 1.0)]);
        assert_eq!(cleaned.skipped, 2);
    }

    #[test]
    fn many_points_at_one_step_are_one_column() {
        let points: Points = (0..1000).map(|value| (7.0, f64::from(value))).collect();
        assert!(thin(&points, 100).len() <= 4);
        assert!(smooth(&points, 100).is_some());
    }
}
