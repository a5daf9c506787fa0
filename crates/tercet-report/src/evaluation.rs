//! What the report of an evaluation shows, as plain data.

use serde::Serialize;

use crate::map::EmbeddingMap;
use crate::parts::{ConfusedPair, DistanceHistogram, FigureTable, Measured, Strip};

/// Everything that the page about an evaluation shows.
///
/// Each field may be empty; its part of the page is then left out. Where several systems are
/// compared, every part that takes a list has one entry a system, named like its row in
/// [`figures`](Self::figures) and in the same order, so that a system keeps its colour.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EvaluationReport {
    /// The heading of the page: what was evaluated, e.g. `model.safetensors on omniglot`.
    pub title: String,
    /// The protocol, e.g. `verification`; stands above the heading.
    pub protocol: String,
    /// What was evaluated as name and value: model or file, source, items, classes, distance.
    pub summary: Vec<(String, String)>,
    /// The conventions that the figures follow, a sentence each.
    pub conventions: Vec<String>,
    /// The headline figures, a row a system. The first row of the first table is also shown large.
    pub figures: Vec<FigureTable>,
    /// How systems differ, paired over the same items.
    pub differences: Vec<Difference>,
    /// ROC curves.
    pub roc: Vec<RocCurve>,
    /// How often each system finds the right identity within the first ranks.
    pub cmc: Vec<RankCurve>,
    /// Precision by recall.
    pub precision_recall: Vec<Curve>,
    /// Distances within and between classes, one histogram a system.
    pub distances: Vec<Distances>,
    /// From distances to probabilities, and whether those hold.
    pub calibration: Vec<Calibration>,
    /// How well single classes fare.
    pub classes: Option<ClassFigures>,
    /// Pairs of classes that are taken for each other, the most confused first.
    pub confused: Vec<ConfusedPair>,
    /// Errors of one-shot runs.
    pub one_shot: Vec<OneShot>,
    /// Clustering: a row an algorithm.
    pub clustering: Option<FigureTable>,
    /// A map of the embeddings.
    pub map: Option<EmbeddingMap>,
    /// The queries that fared worst, worst first.
    pub worst: Vec<Strip>,
    /// The queries that fared best, best first.
    pub best: Vec<Strip>,
    /// The triplets of the whole set.
    pub census: Vec<TripletCensus>,
    /// Warnings, skipped items and whatever else a reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// By how much one system differs from another in one measure, paired over the same items.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Difference {
    /// The measure, e.g. `MAP@R`.
    pub measure: String,
    /// The system whose value is counted.
    pub system: String,
    /// The system whose value is taken off.
    pub against: String,
    /// Value of `system` minus value of `against`, as shares, with its paired 95 % interval.
    pub difference: Measured,
    /// Whether the caller's test tells the two apart.
    pub real: bool,
}

/// A curve through points, from left to right.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Curve {
    /// The system.
    pub name: String,
    /// The points; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// What a system accepts, over all thresholds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RocCurve {
    /// The system.
    pub name: String,
    /// False accept rate and validation rate (share of same pairs accepted) at each threshold.
    /// Drawn as steps: at a FAR stands the best rate that needs no more false accepts.
    pub points: Vec<(f64, f64)>,
    /// Rates at target FARs: the target and the validation rate reached.
    pub targets: Vec<(f64, f64)>,
}

/// Cumulative matching characteristic.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RankCurve {
    /// The system.
    pub name: String,
    /// Share of the queries with a right match within the first 1, 2, 3 … ranks.
    pub rates: Vec<f64>,
}

/// A histogram of distances with the threshold that decides.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Distances {
    /// The histogram, named after its system.
    pub histogram: DistanceHistogram,
    /// The distance below which a pair counts as the same class.
    pub threshold: Option<f64>,
}

/// From distances to the probability that two items are of one class.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Calibration {
    /// The system.
    pub name: String,
    /// Distance and calibrated probability, along the distance.
    pub probability: Vec<(f64, f64)>,
    /// Pairs that were not calibrated on, grouped by the probability foretold.
    pub reliability: Vec<Reliability>,
}

/// A group of pairs with about the same probability foretold.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Reliability {
    /// The mean probability foretold.
    pub foretold: f64,
    /// The share of the pairs that are of one class.
    pub observed: f64,
    /// Pairs in the group.
    pub pairs: u64,
}

/// How well single classes fare in one measure.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClassFigures {
    /// The measure, a share, e.g. `MAP@R`; more is better.
    pub measure: String,
    /// The classes in any order.
    pub classes: Vec<ClassFigure>,
}

/// How well one class fares.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClassFigure {
    /// The class.
    pub name: String,
    /// Its items that were evaluated.
    pub items: u64,
    /// The mean of the measure over them, from 0 to 1.
    pub value: f64,
}

/// Errors of one-shot classification.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OneShot {
    /// The system.
    pub name: String,
    /// Share of wrong answers, from 0 to 1, run by run.
    pub errors: Vec<f64>,
}

/// The triplets of the whole set under one objective.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CensusCounts {
    /// Valid triplets.
    pub triplets: u64,
    /// Triplets that the objective selects.
    pub selected: u64,
    /// Selected triplets with a positive penalty.
    pub active: u64,
    /// Selected triplets whose negative is not farther than the positive.
    pub violated: u64,
    /// Items that can be anchors.
    pub anchors: u64,
    /// Items without another of their class.
    pub anchors_without_positive: u64,
    /// Items without one of another class.
    pub anchors_without_negative: u64,
    /// Mean distance from anchor to positive over the selected triplets.
    pub mean_positive_distance: f64,
    /// Mean distance from anchor to negative over the selected triplets.
    pub mean_negative_distance: f64,
}

/// A column of the table of triplets.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TripletCensus {
    /// The system or the objective, e.g. `all triplets, margin 0.2`.
    pub name: String,
    /// What was counted.
    pub counts: CensusCounts,
}
