//! Whether the difference between two systems is real, or due to chance with these queries.
//!
//! Both systems are evaluated on the same queries, so the difficulty of a query does not affect its
//! difference. The mean difference is resampled over classes, as [`bootstrap`] explains.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Error, Labels, bootstrap};

/// A figure of one system for every query, by the row of the query.
pub type Scores = BTreeMap<u32, f64>;

/// The default number of resamples: more than for an interval, because small shares must be
/// distinguished.
pub const RESAMPLES: usize = 10_000;

/// The probability of calling differences real if there is none.
const LEVEL: f64 = 0.05;

/// How the mean of one system differs from that of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The name of the first system.
    pub first: String,
    /// The name of the second system.
    pub second: String,
    /// The number of queries on which both were evaluated.
    pub queries: u64,
    /// Mean of the first.
    pub first_mean: f64,
    /// Mean of the second.
    pub second_mean: f64,
    /// `second_mean − first_mean`.
    pub difference: f64,
    /// 95 % interval \[low, high\] of the difference, by the paired bootstrap over classes.
    pub ci95: [f64; 2],
    /// The p-value: twice the share of resamples on the other side of 0, or on it, which is
    /// (1 + count)/(1 + resamples) on the rarer side, and at most 1.
    pub p: f64,
    /// The p-value corrected for the number of differences (Holm, "A simple sequentially rejective
    /// multiple test procedure", 1979).
    pub p_holm: f64,
    /// Whether the interval excludes 0 and `p_holm` is at most 0.05.
    pub real: bool,
}

/// The difference of every two of the systems, each given as `(name, scores)`, in their order.
///
/// `labels` holds the class of every query by its row. Classes are resampled as in
/// [`bootstrap::over_classes`] with `seed`, in the same way for all differences.
///
/// # Errors
/// Fewer than two systems; a query on which only some of the systems were evaluated; a query
/// without a label; queries of fewer than two classes; 0 resamples.
///
/// ```
/// use tercet::{Labels, comparison};
/// let labels = Labels::from_iter((0..40).map(|query| query / 2));
/// let old = (0..40).map(|query| (query, 0.5)).collect();
/// let new = (0..40).map(|query| (query, if query % 4 == 0 { 0.4 } else { 0.9 })).collect();
/// let systems = [("old", &old), ("new", &new)];
/// let found = comparison::compare(&systems, &labels, comparison::RESAMPLES, 0)?;
/// assert!(found[0].real && found[0].difference > 0.0);
/// # Ok::<(), tercet::Error>(())
/// ```
pub fn compare(
    systems: &[(&str, &Scores)],
    labels: &Labels,
    resamples: usize,
    seed: u64,
) -> Result<Vec<Difference>, Error> {
    let Some(((_, reference), others)) = systems.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        return Err(Error::NotEnough {
            what: "a comparison",
            expected: "two systems".to_owned(),
            got: systems.len().to_string(),
        });
    };
    for other in others {
        same_queries(systems[0], *other)?;
    }
    let classes = classes(reference, labels)?;
    let mut pairs = Vec::new();
    for (place, first) in systems.iter().enumerate() {
        pairs.extend(systems[place + 1..].iter().map(|second| (first, second)));
    }
    let columns: Vec<Vec<f64>> = pairs
        .iter()
        .map(|((_, first), (_, second))| {
            first.values().zip(second.values()).map(|(first, second)| second - first).collect()
        })
        .collect();
    let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let resampled = bootstrap::resampled_means(&slices, &classes, resamples, seed)?;
    let mut differences = Vec::new();
    for ((first, second), means) in pairs.into_iter().zip(resampled) {
        let (first_mean, second_mean) = (mean(first.1), mean(second.1));
        let p = two_sided(&means);
        differences.push(Difference {
            first: first.0.to_owned(),
            second: second.0.to_owned(),
            queries: classes.len() as u64,
            first_mean,
            second_mean,
            difference: second_mean - first_mean,
            ci95: bootstrap::interval95(means)?,
            p,
            p_holm: p,
            real: false,
        });
    }
    correct(&mut differences);
    Ok(differences)
}

fn same_queries(left: (&str, &Scores), right: (&str, &Scores)) -> Result<(), Error> {
    for (judged, other) in [(left, right), (right, left)] {
        if let Some(&query) = judged.1.keys().find(|query| !other.1.contains_key(query)) {
            let (judged, missing) = (judged.0.to_owned(), other.0.to_owned());
            return Err(Error::UnevenQueries { query, judged, missing });
        }
    }
    Ok(())
}

/// The class of every query. There must be at least two classes.
fn classes(scores: &Scores, labels: &Labels) -> Result<Vec<u32>, Error> {
    let class = |&query: &u32| {
        labels.classes().get(query as usize).copied().ok_or_else(|| {
            Error::parameter(
                "query",
                format!("{query} of {} labels", labels.len()),
                "a row with a label",
            )
        })
    };
    let classes: Vec<u32> = scores.keys().map(class).collect::<Result<_, _>>()?;
    // With one class every resample has the same mean, so any difference would look real.
    if classes.iter().all(|class| Some(class) == classes.first()) {
        return Err(Error::NotEnough {
            what: "a comparison",
            expected: "queries of two classes to draw from".to_owned(),
            got: if classes.is_empty() { "no queries" } else { "one class" }.to_owned(),
        });
    }
    Ok(classes)
}

fn mean(scores: &Scores) -> f64 {
    scores.values().sum::<f64>() / scores.len() as f64
}

fn two_sided(means: &[f64]) -> f64 {
    let share = |count: usize| (1 + count) as f64 / (1 + means.len()) as f64;
    let below = share(means.iter().filter(|&&mean| mean <= 0.0).count());
    let above = share(means.iter().filter(|&&mean| mean >= 0.0).count());
    (2.0 * below.min(above)).min(1.0)
}

/// Holm: the i-th smallest of n p-values is multiplied by n − i + 1, and is at least the one
/// before.
fn correct(differences: &mut [Difference]) {
    let mut order: Vec<usize> = (0..differences.len()).collect();
    order.sort_by(|&x, &y| differences[x].p.total_cmp(&differences[y].p));
    let mut least = 0.0_f64;
    for (place, &at) in order.iter().enumerate() {
        let difference = &mut differences[at];
        least = least.max(difference.p * (order.len() - place) as f64).min(1.0);
        difference.p_holm = least;
        let [low, high] = difference.ci95;
        difference.real = (low > 0.0 || high < 0.0) && least <= LEVEL;
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn by_classes(count: u32, each: u32) -> Labels {
        (0..count * each).map(|query| query / each).collect()
    }

    /// Scores whose class effects are shared and large, with noise and an advantage.
    fn noisy(stream: &mut ChaCha8Rng, advantage: f64) -> Scores {
        (0..200)
            .map(|query| {
                let class = f64::from(query / 5 * 7 % 11) / 11.0;
                (query, class + advantage + stream.random_range(-0.1..0.1))
            })
            .collect()
    }

    #[test]
    fn pairing_sees_what_single_intervals_hide() {
        let mut stream = ChaCha8Rng::seed_from_u64(3);
        let (first, second) = (noisy(&mut stream, 0.0), noisy(&mut stream, 0.05));
        let labels = by_classes(40, 5);
        let found = compare(&[("a", &first), ("b", &second)], &labels, 2_000, 1).unwrap();
        assert_eq!((found[0].first.as_str(), found[0].queries), ("a", 200));
        assert!(found[0].real && found[0].ci95[0] > 0.02 && found[0].ci95[1] < 0.08);
        let interval = |scores: &Scores| {
            let values: Vec<f64> = scores.values().copied().collect();
            bootstrap::over_classes(&values, labels.classes(), 1_000, 0).unwrap()
        };
        assert!(interval(&first)[1] > interval(&second)[0], "alone they overlap");
    }

    #[test]
    fn equal_systems_are_rarely_called_different() {
        let mut stream = ChaCha8Rng::seed_from_u64(4);
        let labels = by_classes(40, 5);
        let real = (0..200)
            .filter(|&seed| {
                let (first, second) = (noisy(&mut stream, 0.0), noisy(&mut stream, 0.0));
                compare(&[("a", &first), ("b", &second)], &labels, 400, seed).unwrap()[0].real
            })
            .count();
        assert!(real <= 22, "{real} of 200");
    }

    #[test]
    fn several_differences_are_corrected() {
        let mut stream = ChaCha8Rng::seed_from_u64(5);
        let [a, b, c] = [0.0, 0.005, 0.2].map(|advantage| noisy(&mut stream, advantage));
        let labels = by_classes(40, 5);
        let found = compare(&[("a", &a), ("b", &b), ("c", &c)], &labels, 2_000, 0).unwrap();
        let names: Vec<(&str, &str)> =
            found.iter().map(|d| (d.first.as_str(), d.second.as_str())).collect();
        assert_eq!(names, [("a", "b"), ("a", "c"), ("b", "c")]);
        assert!(!found[0].real && found[1].real && found[2].real);
        assert_eq!(found[1].p, 2.0 / 2_001.0);
        assert_eq!(found[1].p_holm, 3.0 * found[1].p);
        assert!(found.iter().all(|d| d.p_holm >= d.p && d.p_holm <= 1.0));
    }

    #[test]
    fn a_system_does_not_differ_from_itself() {
        let scores: Scores = (0..4).map(|query| (query, f64::from(query))).collect();
        let found = compare(&[("a", &scores), ("b", &scores)], &by_classes(2, 2), 100, 0).unwrap();
        assert_eq!((found[0].p, found[0].ci95, found[0].real), (1.0, [0.0, 0.0], false));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let scores = |queries: &[u32]| -> Scores { queries.iter().map(|&q| (q, 0.5)).collect() };
        let message = |first: &Scores, second: &Scores, labels: &Labels| {
            compare(&[("a", first), ("b", second)], labels, 10, 0).unwrap_err().to_string()
        };
        let (some, fewer) = (scores(&[0, 1, 3]), scores(&[0, 3]));
        assert_eq!(
            message(&fewer, &some, &by_classes(4, 1)),
            "query 1 was judged for `b` and not for `a`: expected the same queries for both"
        );
        assert_eq!(
            message(&some, &some, &by_classes(3, 1)),
            "query is 3 of 3 labels: expected a row with a label"
        );
        assert_eq!(
            message(&some, &some, &by_classes(1, 4)),
            "a comparison needs queries of two classes to draw from, got one class"
        );
        let nothing = Scores::new();
        assert!(message(&nothing, &nothing, &by_classes(1, 4)).ends_with("got no queries"));
        assert!(compare(&[("a", &some)], &by_classes(4, 1), 10, 0).is_err());
        assert!(compare(&[("a", &some), ("b", &some)], &by_classes(4, 1), 0, 0).is_err());
    }
}
