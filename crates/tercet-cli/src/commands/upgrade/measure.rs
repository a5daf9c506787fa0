//! Measures what the new model would bring, and fits adapters for the stored vectors.

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};
use tercet::calibration::Calibration;
use tercet::cross_model::Case;
use tercet::verification::Pair;
use tercet::{Adapter, CrossModel, Metric};

use super::pairs::{Division, Pairs};

/// Adapters are fitted to at least so many items.
pub(super) const LEAST_PAIRS: usize = 8;

/// The share of the variance of the fitted values that the adapter of low rank holds.
const LOW_RANK: f64 = 0.99;

/// The distance d to a carried vector is as probable as the distance `scale`·d + `shift` to a vector
/// of the new model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Comparable {
    pub(super) scale: f64,
    pub(super) shift: f64,
}

impl Comparable {
    /// Distances that are compared as they are.
    const SAME: Self = Self { scale: 1.0, shift: 0.0 };
}

/// An adapter that was tried.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    #[serde(flatten)]
    kind: tercet::adapter::Kind,
    /// Share of the variance of the new vectors that it leaves unexplained, on items to which it was
    /// not fitted; by this the adapter is chosen.
    unexplained: f64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    /// Classes and items that were measured on.
    pub(super) classes: usize,
    pub(super) items: usize,
    /// Items to which the measured adapter was fitted; none of them was measured on.
    pub(super) fitted_to: usize,
    /// Whether the measured classes were held out when the models were trained.
    pub(super) held_out: bool,
    #[serde(flatten)]
    pub(super) crossed: CrossModel,
    /// The adapters that were tried.
    pub(super) adapters: Vec<Tried>,
    /// The adapter, fitted to all items of which both vectors are known.
    #[serde(skip)]
    pub(super) adapter: Option<Adapter>,
    /// How distances to adapted vectors are compared.
    #[serde(skip)]
    pub(super) adapted: Comparable,
    /// How distances to stored vectors are compared; none if the two models have other dimensions or
    /// another metric.
    #[serde(skip)]
    pub(super) kept: Option<Comparable>,
}

/// The metrics of both models.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metrics {
    pub(super) old: Metric,
    pub(super) new: Metric,
}

/// Measures on items of held-out classes, or on half of the classes.
pub(super) fn measure(
    pairs: &Pairs,
    held_out: &BTreeSet<String>,
    metrics: Metrics,
) -> anyhow::Result<Measured> {
    let division = Division::of(&pairs.labels, held_out);
    let (on, to) = (pairs.select(&division.measured), pairs.select(&division.fitted));
    measured(&on, &to, division.held_out, metrics)
}

/// Measures on the items `on`, with adapters that are fitted to the items `to`.
pub(super) fn measured(
    on: &Pairs,
    to: &Pairs,
    held_out: bool,
    metrics: Metrics,
) -> anyhow::Result<Measured> {
    anyhow::ensure!(
        on.len() > 0,
        "there is nothing to measure on: no class has two items whose pictures exist; name a source of labelled items with --measure SOURCE"
    );
    let labels = on.classes();
    let (adapters, chosen) = tried(to, metrics)?;
    let adapted = match &chosen {
        Some(adapter) => Some(adapter.apply(on.old.view())?),
        None => None,
    };
    let (old, new) = (on.old.view(), on.new.view());
    let are_alike = metrics.old == metrics.new && old.ncols() == new.ncols();
    let case = |name, queries, gallery, metric| Case { name, queries, gallery, metric };
    let mut cases = vec![case("old_old", old, old, metrics.old)];
    if are_alike {
        cases.push(case("new_old", new, old, metrics.new));
        cases.push(case("old_new", old, new, metrics.new));
    }
    if let Some(adapted) = &adapted {
        cases.push(case("new_adapted", new, adapted.view(), metrics.new));
    }
    cases.push(case("new_new", new, new, metrics.new));
    let crossed = CrossModel::measure(&cases, &labels, 0)?;
    let reference = distances(new, new, on, metrics.new)?;
    let comparable = |gallery: ArrayView2<f32>| -> anyhow::Result<Comparable> {
        Ok(as_probable(&distances(new, gallery, on, metrics.new)?, &reference))
    };
    // What is applied later may also use the items that were measured on.
    let all = to.and(on)?;
    let adapter = match &chosen {
        Some(adapter) => Some(fit(adapter.kind(), &all)?),
        None => None,
    };
    Ok(Measured {
        classes: labels.class_count(),
        items: on.len(),
        fitted_to: if chosen.is_some() { to.len() } else { 0 },
        held_out,
        crossed,
        adapters,
        adapter,
        adapted: match &adapted {
            Some(adapted) => comparable(adapted.view())?,
            None => Comparable::SAME,
        },
        kept: if are_alike { Some(comparable(old)?) } else { None },
    })
}

/// Fits every kind of adapter to half of the items, and chooses the one with the least error on the
/// other half; that kind is fitted to all of them.
fn tried(to: &Pairs, metrics: Metrics) -> anyhow::Result<(Vec<Tried>, Option<Adapter>)> {
    if to.len() < LEAST_PAIRS {
        return Ok((Vec::new(), None));
    }
    let (half, rest): (Vec<usize>, Vec<usize>) = (0..to.len()).partition(|row| row % 2 == 0);
    let (half, rest) = (to.select(&half), to.select(&rest));
    let (old, new) = (half.old.view(), half.new.view());
    let mut adapters =
        vec![Adapter::affine(old, new, None)?, Adapter::low_rank(old, new, None, LOW_RANK)?];
    if new.ncols() >= old.ncols() {
        adapters.insert(0, Adapter::procrustes(old, new)?);
    }
    let target = metrics.new.rows(rest.new.view())?;
    let mut tried = Vec::new();
    for adapter in &adapters {
        let adapted = adapter.apply(rest.old.view())?;
        let unexplained = unexplained(&metrics.new.rows(adapted.view())?, &target);
        tried.push(Tried { kind: adapter.kind(), unexplained });
    }
    let best = tried.iter().min_by(|x, y| x.unexplained.total_cmp(&y.unexplained));
    let chosen = best.map(|best| fit(best.kind, to)).transpose()?;
    Ok((tried, chosen))
}

/// Fits an adapter of this kind.
fn fit(kind: tercet::adapter::Kind, to: &Pairs) -> anyhow::Result<Adapter> {
    use tercet::adapter::Kind;
    let (old, new) = (to.old.view(), to.new.view());
    Ok(match kind {
        Kind::Procrustes => Adapter::procrustes(old, new)?,
        Kind::LowRank { .. } => Adapter::low_rank(old, new, None, LOW_RANK)?,
        Kind::Affine { .. } => Adapter::affine(old, new, None)?,
    })
}

/// Σ‖got − expected‖² / Σ‖expected − mean‖².
fn unexplained(got: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    let mean = expected.sum_axis(ndarray::Axis(0)) / expected.nrows().max(1) as f32;
    let squares = |rows: Array2<f32>| rows.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let variance = squares(expected - &mean);
    squares(got - expected) / variance.max(f64::MIN_POSITIVE)
}

/// The distances of pairs of different items, a query in each row of `queries` and an item in each
/// row of `gallery`: for each query the next item of its class, and one of another class.
fn distances(
    queries: ArrayView2<f32>,
    gallery: ArrayView2<f32>,
    on: &Pairs,
    metric: Metric,
) -> anyhow::Result<Vec<Pair>> {
    let (queries, gallery) = (metric.rows(queries)?, metric.rows(gallery)?);
    let count = on.len();
    let others = |row: usize| (1..count).map(move |step| (row + step) % count);
    let mut pairs = Vec::new();
    for row in 0..count {
        for same in [true, false] {
            // The search for another class starts elsewhere for each query.
            let start = if same { 0 } else { row * 7919 % count };
            let mut candidates = others(row).cycle().skip(start).take(count);
            let found = candidates
                .find(|&other| other != row && (on.labels[other] == on.labels[row]) == same);
            let Some(other) = found else { continue };
            let difference = &queries.slice(s![row, ..]) - &gallery.slice(s![other, ..]);
            let squared = difference.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            let distance = metric.from_squared(squared as f32);
            pairs.push(Pair { distance, same, fold: 0 });
        }
    }
    Ok(pairs)
}

/// The map from distances of `carried` to those of `reference` at which a pair is the same with the
/// same probability, by logistic calibrations 1/(1 + e^{slope·d + intercept}) of both. With too few
/// pairs, or pairs whose distance says nothing, distances are compared as they are.
fn as_probable(carried: &[Pair], reference: &[Pair]) -> Comparable {
    let logistic = |pairs: &[Pair]| match Calibration::logistic(pairs) {
        Ok(Calibration::Logistic(logistic)) if logistic.slope > 0.0 => Some(logistic),
        _ => None,
    };
    match (logistic(carried), logistic(reference)) {
        (Some(carried), Some(reference)) => Comparable {
            scale: carried.slope / reference.slope,
            shift: (carried.intercept - reference.intercept) / reference.slope,
        },
        _ => Comparable::SAME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: Metric = Metric { distance: tercet::Distance::Euclidean, normalize: false };

    /// Items of twelve classes; the new vectors are the old ones, turned by 90 degrees, with less
    /// noise.
    fn pairs(noise: f32) -> Pairs {
        let drawn = |row: usize, column: usize| {
            ((row * 37 + column * 101 + row * row * 7) % 89) as f32 / 44.5 - 1.0
        };
        let centre = |row: usize| [(row % 12 % 4) as f32, (row % 12 / 4) as f32];
        Pairs {
            labels: (0..96).map(|row| Some(format!("{}", row % 12))).collect(),
            old: Array2::from_shape_fn((96, 2), |(row, column)| {
                centre(row)[column] + noise * drawn(row, column)
            }),
            new: Array2::from_shape_fn((96, 2), |(row, column)| {
                let [x, y] = centre(row);
                [-y, x][column] + 0.05 * drawn(row, column + 5)
            }),
        }
    }

    #[test]
    fn a_turned_space_is_found_by_adapters_and_not_by_the_stored_vectors() {
        let metrics = Metrics { old: METRIC, new: METRIC };
        let found = measure(&pairs(0.4), &BTreeSet::new(), metrics).unwrap();
        let map = |case: &str| found.crossed.table[case].map_at_r();
        assert!(map("new_new") > 0.95 && map("new_adapted") > 0.5, "{:?}", found.adapters);
        assert!(map("new_old") < map("old_old") && map("old_old") < map("new_new"));
        assert_eq!((found.classes, found.items, found.fitted_to), (6, 48, 48));
        assert_eq!(found.adapters.len(), 3);
        let least = found.adapters.iter().map(|tried| tried.unexplained).fold(f64::MAX, f64::min);
        assert!(least < 0.5, "{:?}", found.adapters);
        // The adapter to be applied maps onto the new vectors.
        let pairs = pairs(0.0);
        let adapted = found.adapter.unwrap().apply(pairs.old.view()).unwrap();
        assert!(unexplained(&adapted, &pairs.new) < 0.1);
    }

    #[test]
    fn distances_of_equal_probability_are_comparable() {
        // Carried distances are twice as long, plus one.
        let near = |at: usize| 0.2 + (at % 7) as f32 * 0.1;
        let far = |at: usize| 0.6 + (at % 9) as f32 * 0.1;
        let pairs = |change: fn(f32) -> f32| -> Vec<Pair> {
            let of = |distance, same| Pair { distance: change(distance), same, fold: 0 };
            (0..40).flat_map(|at| [of(near(at), true), of(far(at), false)]).collect()
        };
        let found = as_probable(&pairs(|d| 2.0 * d + 1.0), &pairs(|d| d));
        assert!((found.scale - 0.5).abs() < 1e-3 && (found.shift + 0.5).abs() < 1e-3, "{found:?}");
        assert_eq!(as_probable(&[], &pairs(|d| d)), Comparable::SAME);
    }

    #[test]
    fn other_dimensions_are_measured_without_crossing_them() {
        let mut pairs = pairs(0.4);
        pairs.new = pairs.new.slice(s![.., ..1]).to_owned();
        let metrics = Metrics { old: METRIC, new: METRIC };
        let found = measure(&pairs, &BTreeSet::new(), metrics).unwrap();
        let cases: Vec<&str> = found.crossed.table.keys().copied().collect();
        assert_eq!(cases, ["new_adapted", "new_new", "old_old"]);
        assert!(found.kept.is_none());
        assert_eq!(found.adapters.len(), 2, "an orthogonal map needs as many dimensions");
        assert_eq!(found.adapter.unwrap().outputs(), 1);
    }

    #[test]
    fn nothing_to_measure_on_is_refused() {
        let pairs = pairs(0.4).select(&[0, 1, 2]);
        let metrics = Metrics { old: METRIC, new: METRIC };
        let error = measure(&pairs, &BTreeSet::new(), metrics).unwrap_err().to_string();
        assert!(error.contains("--measure SOURCE"), "{error}");
    }
}
