//! The one-shot runs of a source.

use super::{DataError, OneShotRuns, Source, omniglot};

impl OneShotRuns {
    /// The runs that lie at an `omniglot` source, as `all_runs`, `all_runs.zip` or in a folder of
    /// this.
    ///
    /// # Errors
    /// A source of another kind, or without runs; a line of a `class_labels.txt` that names an
    /// image that is not there; a test image without an answer. Each names file and line.
    pub fn of(source: &Source) -> Result<Self, DataError> {
        match source {
            Source::Omniglot(path) => Self::at(source.to_string(), path),
            other => Err(DataError::Malformed {
                text: other.to_string(),
                expected: format!(
                    "one-shot runs are those of `omniglot:PATH` with {} in it",
                    omniglot::RUNS
                ),
            }),
        }
    }
}
