//! The task of `tercet loss`: an objective over all triplets that its selection takes, or over
//! given triplets.

use std::fmt;
use std::str::FromStr;

use ndarray::ArrayView2;
use tercet::{
    Error, FalseNegatives, Labels, Metric, Objective, Outcome, Selection, Triplet, TripletLoss,
    Watch,
};

/// The name that selects the triplets of a file.
const EXPLICIT: &str = "explicit";

/// The value of `--selection`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// A selection.
    Rule(Selection),
    /// `explicit`: the triplets of a file.
    Explicit,
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == EXPLICIT {
            return Ok(Self::Explicit);
        }
        text.parse().map(Self::Rule).map_err(|error| match error {
            Error::UnknownName { what: what @ "selection", got, expected } => {
                Error::UnknownName { what, got, expected: format!("{expected}, {EXPLICIT}") }
            }
            error => error,
        })
    }
}

/// An objective over items with labels.
pub(super) struct Rule {
    pub(super) objective: Objective,
    pub(super) labels: Labels,
    pub(super) false_negatives: Option<FalseNegatives>,
    /// The lengths of the prefixes that are evaluated; none for the whole vectors.
    pub(super) prefixes: Vec<usize>,
}

pub(super) enum Task {
    /// All triplets that the objective selects.
    Rule(Rule),
    /// These triplets, whatever the labels.
    Given(TripletLoss, Vec<Triplet>),
}

impl Task {
    pub(super) fn metric(&self) -> Metric {
        match self {
            Self::Rule(rule) => rule.objective.metric(),
            Self::Given(loss, _) => loss.metric,
        }
    }

    pub(super) fn evaluate(
        &self,
        vectors: ArrayView2<f32>,
        watch: Watch,
    ) -> Result<Outcome, Error> {
        match self {
            Self::Rule(Rule { objective, labels, false_negatives, prefixes }) => {
                let evaluation = objective.evaluation(vectors, labels).progress(watch);
                let evaluation = match false_negatives {
                    Some(rule) => evaluation.without_false_negatives(*rule),
                    None => evaluation,
                };
                evaluation.prefixes(prefixes).run()
            }
            Self::Given(loss, triplets) => {
                let outcome = loss.evaluate_triplets(vectors, triplets)?;
                let all = triplets.len() as u64;
                if watch(all, all).is_break() { Err(Error::Interrupted) } else { Ok(outcome) }
            }
        }
    }
}

/// Selection, penalty and reduction, without the distance.
impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.objective.fmt(f),
            Self::Given(loss, _) => write!(f, "{EXPLICIT}, {}, {}", loss.penalty, loss.reduction),
        }
    }
}
