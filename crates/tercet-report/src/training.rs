//! The data of the report of a training run.

use serde::Serialize;

use crate::parts::{ConfusedPair, DistanceHistogram, Measured, Strip};

/// Everything that the page about a training run shows.
///
/// Each field may be empty; its part of the page is then left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TrainingReport {
    /// The heading of the page, e.g. `glyphs · batch-hard`.
    pub title: String,
    /// The result of the run in one sentence; shown below the heading.
    pub verdict: String,
    /// Facts about the run as name and value: source, classes, encoder, objective, seed, duration.
    pub summary: Vec<(String, String)>,
    /// The rows of the table of evaluations. The last row is the trained model, the rows before it
    /// are its baselines.
    pub judged: Vec<Judged>,
    /// The loss by step.
    pub loss: Vec<(u64, f64)>,
    /// The share of triplets that still have a gradient by step, from 0 to 1.
    pub active_share: Vec<(u64, f64)>,
    /// The share of triplets whose negative is not farther than the positive by step, from 0 to 1.
    pub violated_share: Vec<(u64, f64)>,
    /// The learning rate by step.
    pub learning_rate: Vec<(u64, f64)>,
    /// The classes that are evaluated during the run; if empty, the page calls them held-out
    /// classes.
    pub judged_on: String,
    /// Recall@1 on those classes by step, from 0 to 1.
    pub recall_at_1: Vec<(u64, f64)>,
    /// MAP@R on those classes by step, from 0 to 1.
    pub map_at_r: Vec<(u64, f64)>,
    /// The percentiles 0, 5, 50, 95 and 100 of the embedding norms by step.
    pub norms: Vec<(u64, [f64; 5])>,
    /// The percentiles 0, 5, 50, 95 and 100 of the pairwise distances in the batch by step.
    pub distances: Vec<(u64, [f64; 5])>,
    /// Distances within and between classes, usually one histogram before and one after training.
    pub histograms: Vec<DistanceHistogram>,
    /// The distance below which a pair counts as the same class; drawn into the last histogram.
    pub threshold: Option<f64>,
    /// Facts about verification as name and value: accuracy, AUC, EER, VAL at a FAR.
    pub verification: Vec<(String, String)>,
    /// Pairs of classes that are confused, the most confused first.
    pub confused: Vec<ConfusedPair>,
    /// Queries with their nearest neighbours.
    pub strips: Vec<Strip>,
    /// Conventions, warnings and skipped files, one sentence each.
    pub notes: Vec<String>,
}

/// One row of the table of evaluations: the retrieval figures of one set of embeddings.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Judged {
    /// What was evaluated, e.g. `pixels`, `untrained` or `trained`.
    pub name: String,
    /// Recall@1: the share of queries whose nearest neighbour has their class.
    pub recall_at_1: Measured,
    /// Recall@5: the share of queries with at least one item of their class among the five nearest.
    pub recall_at_5: Measured,
    /// R-precision: the share of the R nearest that have the class of the query; R is the number of
    /// other items of that class.
    pub r_precision: Measured,
    /// MAP@R: mean average precision over the R nearest (Musgrave, Belongie and Lim, “A Metric
    /// Learning Reality Check”, ECCV 2020).
    pub map_at_r: Measured,
    /// Mean average precision over the whole ranking (mAP).
    pub map: Measured,
    /// Mean reciprocal rank of the first neighbour of the query's class (MRR).
    pub mrr: Measured,
}
