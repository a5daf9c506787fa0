//! The results of a protocol for one system, in the form that table, document and page share.

use serde::Serialize;
use serde_json::Value;
use tercet::comparison::Scores;
use tercet::reidentification::SingleShot;
use tercet::verification::Pair;
use tercet::{Calibration, Labels, Reidentification, Retrieval, Verification, one_shot};

/// The results of a protocol for one system.
pub(super) struct Verdict {
    /// The keys of the JSON document.
    pub(super) document: Value,
    /// The headline figures, in the order of the table's columns.
    pub(super) figures: Vec<Figure>,
    /// The conventions that the figures follow, one sentence each.
    pub(super) conventions: Vec<String>,
    /// The figures of single queries, by which systems are compared; `None` if the protocol has
    /// none.
    pub(super) scores: Option<Judgements>,
    /// The curves and queries from which the figures were computed.
    pub(super) detail: Detail,
}

/// A headline figure.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) quantity: Quantity,
}

/// The kind of a figure, which decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// A share; higher is better.
    Share,
    /// A share of errors.
    Error,
    /// A distance.
    Distance,
    /// A whole number.
    Count,
}

/// The figures of single queries, and the classes by which they are resampled.
pub(super) struct Judgements {
    pub(super) by_figure: Vec<(&'static str, Scores)>,
    pub(super) classes: Labels,
}

/// The data from which the figures were computed.
pub(super) enum Detail {
    Retrieval(Box<Retrieval>),
    Reid(Box<Reidentification>, Option<SingleShot>),
    Verification(Box<Verified>),
    OneShot(one_shot::OneShot),
    Episodes,
    Clustering,
}

/// A verification with its pairs.
pub(super) struct Verified {
    pub(super) judged: Verification,
    pub(super) pairs: Vec<Pair>,
    pub(super) calibrations: Vec<Calibrated>,
}

/// A calibration that was fitted on every second fold, and evaluated on the others.
pub(super) struct Calibrated {
    pub(super) name: &'static str,
    pub(super) calibration: Calibration,
    pub(super) quality: tercet::calibration::Quality,
}

impl Figure {
    pub(super) fn share(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, interval: None, quantity: Quantity::Share }
    }

    pub(super) fn of(self, quantity: Quantity) -> Self {
        Self { quantity, ..self }
    }

    pub(super) fn within(self, interval: [f64; 2]) -> Self {
        Self { interval: Some(interval), ..self }
    }
}

/// A value as the JSON value of its keys.
pub(super) fn document(value: &impl Serialize) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(value)?)
}
