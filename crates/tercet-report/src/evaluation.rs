//! The data of the report of an evaluation.

use serde::Serialize;

use crate::map::EmbeddingMap;
use crate::parts::{ConfusedPair, DistanceHistogram, FigureTable, Measured, Strip};

/// Everything that the page about an evaluation shows.
///
/// Each field may be empty; its part of the page is then left out. Where several systems are
/// compared, every part that takes a list has one entry per system, in the same order and with the
/// same name as its row in [`figures`](Self::figures), so that a system has the same colour
/// everywhere.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EvaluationReport {
    /// The heading of the page: what was evaluated, e.g. `model.safetensors on omniglot`.
    pub title: String,
    /// The protocol, e.g. `verification`; shown above the heading.
    pub protocol: String,
    /// Facts about the evaluation as name and value: model or file, source, items, classes,
    /// distance.
    pub summary: Vec<(String, String)>,
    /// The conventions that the figures follow, one sentence each.
    pub conventions: Vec<String>,
    /// The headline figures, one row per system. The first row of the first table is also shown in
    /// large type.
    pub figures: Vec<FigureTable>,
    /// Differences between systems, paired over the same items.
    pub differences: Vec<Difference>,
    /// ROC curves.
    pub roc: Vec<RocCurve>,
    /// Cumulative matching characteristic: how often each system finds the right identity within
    /// the first ranks.
    pub cmc: Vec<RankCurve>,
    /// Precision as a function of recall.
    pub precision_recall: Vec<Curve>,
    /// Distances within and between classes, one histogram per system.
    pub distances: Vec<Distances>,
    /// The calibration from distances to probabilities, and its reliability.
    pub calibration: Vec<Calibration>,
    /// The figures of single classes.
    pub classes: Option<ClassFigures>,
    /// Pairs of classes that are confused, the most confused first.
    pub confused: Vec<ConfusedPair>,
    /// Errors of one-shot runs.
    pub one_shot: Vec<OneShot>,
    /// Clustering: one row per algorithm.
    pub clustering: Option<FigureTable>,
    /// A map of the embeddings.
    pub map: Option<EmbeddingMap>,
    /// The queries with the lowest average precision, worst first.
    pub worst: Vec<Strip>,
    /// The queries with the highest average precision, best first.
    pub best: Vec<Strip>,
    /// The census of the triplets of the whole set.
    pub census: Vec<TripletCensus>,
    /// Warnings, skipped items and other remarks, one sentence each.
    pub notes: Vec<String>,
}

/// The difference of two systems in one measure, paired over the same items.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Difference {
    /// The measure, e.g. `MAP@R`.
    pub measure: String,
    /// The system from whose value the other one is subtracted.
    pub system: String,
    /// The system whose value is subtracted.
    pub against: String,
    /// Value of `system` minus value of `against`, both shares, with its paired 95 % interval.
    pub difference: Measured,
    /// Whether the caller's test finds the difference significant.
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

/// ROC curve: what a system accepts, over all thresholds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RocCurve {
    /// The system.
    pub name: String,
    /// False accept rate (FAR) and validation rate (share of same-class pairs accepted) at each
    /// threshold. The curve is drawn as steps: at each FAR it has the best rate that needs no more
    /// false accepts.
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

/// A histogram of distances, and the decision threshold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Distances {
    /// The histogram, named after its system.
    pub histogram: DistanceHistogram,
    /// The distance below which a pair counts as the same class.
    pub threshold: Option<f64>,
}

/// The calibration from distances to the probability that two items are of one class.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Calibration {
    /// The system.
    pub name: String,
    /// Distance and calibrated probability, by ascending distance.
    pub probability: Vec<(f64, f64)>,
    /// Pairs that were not used for the calibration, grouped by the predicted probability.
    pub reliability: Vec<Reliability>,
}

/// A group of pairs with similar predicted probabilities.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Reliability {
    /// The mean predicted probability.
    pub foretold: f64,
    /// The share of the pairs that are of one class.
    pub observed: f64,
    /// The number of pairs in the group.
    pub pairs: u64,
}

/// The figures of single classes in one measure.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClassFigures {
    /// The measure, a share, e.g. `MAP@R`; more is better.
    pub measure: String,
    /// The classes, in any order.
    pub classes: Vec<ClassFigure>,
}

/// The figure of one class.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ClassFigure {
    /// The class.
    pub name: String,
    /// The number of its items that were evaluated.
    pub items: u64,
    /// The mean of the measure over these items, from 0 to 1.
    pub value: f64,
}

/// Errors of one-shot classification.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OneShot {
    /// The system.
    pub name: String,
    /// Share of wrong answers, from 0 to 1, one per run.
    pub errors: Vec<f64>,
}

/// The census of the triplets of the whole set under one objective.
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
    /// Items that can be anchors: with a positive and a negative.
    pub anchors: u64,
    /// Items without another item of their class.
    pub anchors_without_positive: u64,
    /// Items without an item of another class.
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
    /// The counts.
    pub counts: CensusCounts,
}
