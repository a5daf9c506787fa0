use thiserror::Error;

/// A parameter with a value that is not accepted: a field, an option, a flag or a key of a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{parameter} is {got}: expected {expected}")]
pub struct ParameterError {
    /// Which parameter.
    pub parameter: &'static str,
    /// What was given.
    pub got: String,
    /// What is accepted.
    pub expected: String,
}
