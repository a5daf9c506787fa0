//! The rates of an [`OpenSet`], from embeddings and labels.

use std::collections::HashMap;

use ndarray::{ArrayView2, Axis};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::curve::{Curve, LEAST_EXPONENT};
use super::{Bound, OpenSet, Stored};
use crate::{Error, Labels, Metric};

/// The largest number of items that are measured, with all of their pairs.
const MOST_ITEMS: usize = 3000;

/// The smallest number of items of a class in a sample, if the class has them.
const LEAST_PER_CLASS: usize = 4;

/// The smallest ratio of the ranks of neighbouring distances of a curve.
const RANKS: f64 = 1.15;

/// The share of the different pairs whose largest distance is [`OpenSet::spread`].
const SPREAD: f64 = 0.9;

/// The smallest number of distances for Hill's estimate.
const LEAST_EVENTS: usize = 10;

/// The smallest number of independent events for Hill's estimate, if events are clustered.
const LEAST_CLUMPS: f64 = 4.0;

/// An event: a distance at which a query finds an item of another class, or the nearest item of
/// another class.
struct Event {
    distance: f32,
    classes: [u32; 2],
}

impl OpenSet {
    /// Measures the rates of strangers and of known queries, in O(H²·D + H² log H) for H ≤ 3,000
    /// items. Of more items a sample is measured, drawn with `seed`: the same number of items of
    /// every class, then whole classes.
    ///
    /// # Shapes
    /// - embeddings: H×D; labels: H
    ///
    /// # Errors
    /// A number of labels that differs from that of rows; vectors that are not finite, too long, or
    /// without dimensions; fewer than two classes, or no class with two items.
    pub fn measure(
        embeddings: ArrayView2<f32>,
        labels: &Labels,
        metric: Metric,
        bound: Bound,
        seed: u64,
    ) -> Result<Self, Error> {
        let rows = embeddings.nrows();
        if rows != labels.len() {
            return Err(Error::LabelCount { rows, labels: labels.len() });
        }
        let classes = sample(labels, seed);
        let largest = classes.iter().map(Vec::len).max().unwrap_or(0);
        if classes.len() < 2 || largest < 2 {
            return Err(Error::NotEnough {
                what: "a measurement of false matches",
                expected: "two classes, one of them with two items".to_owned(),
                got: format!("{} classes of at most {largest} items", classes.len()),
            });
        }
        let items: Vec<usize> = classes.iter().flatten().map(|&item| item as usize).collect();
        let chosen = embeddings.select(Axis(0), &items);
        let distances = metric.distances(chosen.view(), chosen.view())?;
        let mut of_items = Vec::with_capacity(items.len());
        for (class, members) in (0..).zip(&classes) {
            of_items.extend(std::iter::repeat_n(class, members.len()));
        }
        let met: Vec<Met> = (0..items.len())
            .into_par_iter()
            .map(|item| Met::by(item, &distances.row(item).to_vec(), &of_items, classes.len()))
            .collect();
        let mut same: Vec<f32> = met.iter().flat_map(|met| met.same.iter().copied()).collect();
        let mut found: Vec<f32> = met.iter().filter_map(|met| met.same_nearest).collect();
        let (mut by_item, mut by_class) = (Vec::new(), Vec::new());
        for met in met {
            by_item.extend(met.items);
            by_class.extend(met.classes);
        }
        sort(&mut by_item);
        sort(&mut by_class);
        same.sort_unstable_by(f32::total_cmp);
        found.sort_unstable_by(f32::total_cmp);
        let at_spread = (SPREAD * by_item.len() as f64) as usize;
        let spread = by_item.get(at_spread).map(|event| event.distance);
        let log_sizes = classes.iter().map(|members| (members.len() as f64).ln()).sum::<f64>();
        Ok(Self::of(Stored {
            items: items.len() as u64,
            classes: classes.len() as u64,
            items_per_class: (log_sizes / classes.len() as f64).exp(),
            spread: spread.filter(|&spread| spread > 0.0),
            item_rate: bounded(&by_item, classes.len(), bound),
            class_rate: Some(bounded(&by_class, classes.len(), bound)),
            same_rate: counted(&same),
            found_rate: counted(&found),
        }))
    }
}

/// The items that are measured, by class.
fn sample(labels: &Labels, seed: u64) -> Vec<Vec<u32>> {
    let mut classes = labels.items_by_class();
    classes.retain(|members| !members.is_empty());
    if labels.len() <= MOST_ITEMS {
        return classes;
    }
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    classes.shuffle(&mut stream);
    let each = (MOST_ITEMS / classes.len()).max(LEAST_PER_CLASS);
    for members in &mut classes {
        members.shuffle(&mut stream);
        members.truncate(each);
    }
    let mut kept = 0;
    classes.retain(|members| {
        kept += members.len();
        kept <= MOST_ITEMS
    });
    classes
}

/// The events and same-class distances of one item.
struct Met {
    /// Later items of other classes, so that each pair occurs once.
    items: Vec<Event>,
    /// The nearest item of every other class.
    classes: Vec<Event>,
    /// Later items of its own class.
    same: Vec<f32>,
    same_nearest: Option<f32>,
}

impl Met {
    fn by(item: usize, distances: &[f32], of_items: &[u32], classes: usize) -> Self {
        let own = of_items[item];
        let mut met =
            Self { items: Vec::new(), classes: Vec::new(), same: Vec::new(), same_nearest: None };
        let mut nearest = vec![f32::INFINITY; classes];
        for (other, (&distance, &class)) in distances.iter().zip(of_items).enumerate() {
            if other == item {
                continue;
            }
            let near = &mut nearest[class as usize];
            *near = near.min(distance);
            match (other > item, class == own) {
                (true, true) => met.same.push(distance),
                (true, false) => met.items.push(Event { distance, classes: [own, class] }),
                _ => {}
            }
        }
        for (class, distance) in (0..).zip(nearest) {
            if class == own {
                met.same_nearest = Some(distance).filter(|distance| distance.is_finite());
            } else if distance.is_finite() {
                let classes = [own.min(class), own.max(class)];
                met.classes.push(Event { distance, classes });
            }
        }
        met
    }
}

fn sort(events: &mut [Event]) {
    events.par_sort_unstable_by(|one, other| one.distance.total_cmp(&other.distance));
}

/// The ranks, counted from 1, at which a curve of `count` events has a point.
fn ranks(count: usize) -> Vec<usize> {
    let mut ranks: Vec<usize> = (1..=20).map(|step| (count * step).div_ceil(20)).collect();
    let mut rank = 1.0;
    while rank < count as f64 {
        ranks.push(rank as usize);
        rank = (rank * RANKS).max(rank + 1.0);
    }
    ranks.sort_unstable();
    ranks.dedup();
    ranks.retain(|&rank| rank > 0);
    ranks
}

/// Empirical rates of sorted distances.
fn counted(sorted: &[f32]) -> Curve {
    let count = sorted.len() as f64;
    let (mut distances, mut rates) = (Vec::new(), Vec::new());
    for rank in ranks(sorted.len()) {
        push(&mut distances, &mut rates, sorted[rank - 1], rank as f64 / count);
    }
    let lowest = (sorted.len() / 20).max(LEAST_EVENTS).min(sorted.len());
    Curve::new(distances, &rates, hill(&sorted[..lowest]).min(64.0))
}

/// Upper bounds of the rates of sorted events among their own number of trials.
///
/// Up to a distance S events have happened. With e the number of events of a pair of classes, or of
/// those that involve a class, the variance of S is estimated as V = max(Σ e²(pair),
/// Σ (e(class) − mean)² − Σ e²(pair)): the delete-one-class jackknife of a U-statistic, corrected
/// for counting each pair twice. So the events are equivalent to S²/V independent ones of size b =
/// V/S each, and the bound is b times the upper limit of a Poisson variable with S/b events.
fn bounded(sorted: &[Event], classes: usize, bound: Bound) -> Curve {
    let trials = sorted.len() as f64;
    let (mut distances, mut rates) = (Vec::new(), Vec::new());
    let mut of_pairs: HashMap<[u32; 2], f64> = HashMap::new();
    let mut of_classes = vec![0.0; classes];
    let (mut pairs, mut singles) = (0.0, 0.0);
    let mut done = 0;
    let mut exponent = f64::INFINITY;
    let mut upper = 0.0_f64;
    for rank in ranks(sorted.len()) {
        for event in &sorted[done..rank] {
            let of_pair = of_pairs.entry(event.classes).or_default();
            pairs += 2.0 * *of_pair + 1.0;
            *of_pair += 1.0;
            for class in event.classes {
                let of_class: &mut f64 = &mut of_classes[class as usize];
                singles += 2.0 * *of_class + 1.0;
                *of_class += 1.0;
            }
        }
        done = rank;
        let count = rank as f64;
        let by_class = singles - 4.0 * count * count / classes as f64 - pairs;
        let clump = (by_class.max(pairs) / count).max(1.0);
        upper = upper.max(upper_count(count, clump, bound) / trials).min(1.0);
        push(&mut distances, &mut rates, sorted[rank - 1].distance, upper);
        // Only in the lower tail, because the rest of the distribution is not a power law.
        let independent = count / clump;
        if independent >= LEAST_CLUMPS && (count <= trials / 50.0 || !exponent.is_finite()) {
            let tail = sorted[..rank].iter().map(|event| event.distance);
            let worth = 1.0 - 1.0 / independent.sqrt();
            exponent = exponent.min(worth * hill_of(tail, rank));
        }
    }
    let coincide = sorted.first().is_some_and(|event| event.distance <= 0.0);
    let exponent = match exponent.is_finite() && !coincide {
        true => exponent.clamp(LEAST_EXPONENT, 64.0),
        false if coincide => 0.0,
        false => LEAST_EXPONENT,
    };
    Curve::new(distances, &rates, exponent)
}

/// Adds a point to a curve, whose distances increase and are above 0.
fn push(distances: &mut Vec<f32>, rates: &mut Vec<f64>, distance: f32, rate: f64) {
    let distance = distance.max(f32::MIN_POSITIVE);
    match distances.last() {
        Some(&last) if last >= distance => {
            if let Some(known) = rates.last_mut() {
                *known = known.max(rate);
            }
        }
        _ => {
            distances.push(distance);
            rates.push(rate);
        }
    }
}

/// The upper limit of the expectation of a count whose events come in clumps of size `clump`: the
/// quantile of the gamma distribution by Wilson and Hilferty.
pub(super) fn upper_count(count: f64, clump: f64, bound: Bound) -> f64 {
    let shape = count / clump + 1.0;
    let root = 1.0 - 1.0 / (9.0 * shape) + bound.z() / (3.0 * shape.sqrt());
    clump * shape * root.powi(3)
}

fn hill(sorted: &[f32]) -> f64 {
    hill_of(sorted.iter().copied(), sorted.len())
}

/// Hill's estimate of k if the smallest distances are distributed as distance^k, or 0 if some are
/// 0.
fn hill_of(sorted: impl Iterator<Item = f32> + Clone, count: usize) -> f64 {
    let Some(last) = sorted.clone().last().map(f64::from) else { return 0.0 };
    let sum: f64 = sorted.map(|distance| (last / f64::from(distance)).ln()).sum();
    if sum > 0.0 { (count as f64 / sum).max(0.0) } else { f64::MAX }
}
