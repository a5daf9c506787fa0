//! The errors of this crate.

use thiserror::Error;

use crate::ParameterError;

/// The command that installs a build with every feature. Each message about a missing feature ends
/// with it.
pub const FULL_BUILD: &str = "cargo install --path crates/tercet-cli --features full";

/// Why vectors, labels or parameters were refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The number of labels is not the number of rows.
    #[error("expected one label for each of the {rows} rows, got {labels}")]
    LabelCount {
        /// Rows of the embedding matrix.
        rows: usize,
        /// The number of labels.
        labels: usize,
    },
    /// NaN or infinity among the vectors.
    #[error("row {row}, column {column} holds {value}: expected finite numbers")]
    NotFinite {
        /// First row with such a value, counted from 0.
        row: usize,
        /// Its first column with such a value.
        column: usize,
        /// The value itself.
        value: f32,
    },
    /// A vector so long that its squared norm leaves the range of f32.
    #[error(
        "row {row} is too long: its norm is {norm:e}, expected at most {limit:e}; scale the vectors down"
    )]
    TooLong {
        /// First such row, counted from 0.
        row: usize,
        /// Its Euclidean norm.
        norm: f64,
        /// The largest norm whose distances fit into f32.
        limit: f64,
    },
    /// A vector so short that squared distances to it vanish in f32.
    #[error(
        "row {row} is too short: its norm is {norm:e}, expected 0 or at least {limit:e}; scale the vectors up, or use the cosine distance"
    )]
    TooShort {
        /// First such row, counted from 0.
        row: usize,
        /// Its Euclidean norm.
        norm: f64,
        /// The smallest norm whose distances can be distinguished in f32.
        limit: f64,
    },
    /// Vectors without any component.
    #[error("the vectors have no dimensions: expected at least one column")]
    NoDimensions,
    /// Queries and gallery have different dimensions.
    #[error("queries have {queries} dimensions and the gallery {gallery}: expected the same")]
    DimensionMismatch {
        /// Columns of the query matrix.
        queries: usize,
        /// Columns of the gallery matrix.
        gallery: usize,
    },
    /// A parameter outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A name that is not one of the accepted names.
    #[error("unknown {what} `{got}`: expected one of {expected}")]
    UnknownName {
        /// What is chosen.
        what: &'static str,
        /// The given name.
        got: String,
        /// The accepted names, separated by commas.
        expected: String,
    },
    /// Something is wrong with the frozen vectors; rows are counted from their first.
    #[error("among the frozen vectors: {0}")]
    Frozen(Box<Error>),
    /// Something is wrong with the reference vectors; rows are counted from their first.
    #[error("among the reference vectors: {0}")]
    Reference(Box<Error>),
    /// A given triplet that is not valid.
    #[error(
        "triplet {place} is {triplet:?}: expected three different rows of the {rows}, counted from 0"
    )]
    Triplet {
        /// The index of the triplet among the given ones, counted from 0.
        place: usize,
        /// Its anchor, positive and negative.
        triplet: [u32; 3],
        /// Rows of the embedding matrix.
        rows: usize,
    },
    /// More triplets than a list may hold.
    #[error(
        "the selection takes more than {limit} triplets: visit them one by one, or evaluate the objective, which needs no list"
    )]
    TooManyTriplets {
        /// The largest number of triplets in a list.
        limit: u64,
    },
    /// More items than the limit of memory or time.
    #[error("{what} takes up to {limit} items, got {got}: {advice}")]
    TooManyItems {
        /// What was asked for.
        what: &'static str,
        /// The largest number of items that it takes.
        limit: usize,
        /// The number of items.
        got: usize,
        /// Why, and what to do.
        advice: &'static str,
    },
    /// Systems that were evaluated on different queries.
    #[error(
        "query {query} was judged for `{judged}` and not for `{missing}`: expected the same queries for both"
    )]
    UnevenQueries {
        /// The first such query.
        query: u32,
        /// A system that was evaluated on it.
        judged: String,
        /// One that was not.
        missing: String,
    },
    /// A cargo feature that this build does not have.
    #[error("this build has no {what}: {FULL_BUILD}")]
    NotBuilt {
        /// What the feature adds.
        what: &'static str,
    },
    /// The observer stopped the work.
    #[error("interrupted before the end")]
    Interrupted,
    /// Input with which a protocol has nothing to evaluate or a sampler has no batch.
    #[error("{what} needs {expected}, got {got}")]
    NotEnough {
        /// What was asked for.
        what: &'static str,
        /// What it needs.
        expected: String,
        /// What there is.
        got: String,
    },
}

impl Error {
    /// A parameter outside its range.
    pub(crate) fn parameter(
        parameter: &'static str,
        got: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        ParameterError { parameter, got: got.into(), expected: expected.into() }.into()
    }
}
