//! The error of all parameters.

use thiserror::Error;

/// A parameter with a value that is not accepted: a field, an option, a flag or a key of a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{parameter} is {got}: expected {expected}")]
pub struct ParameterError {
    /// The name of the parameter.
    pub parameter: &'static str,
    /// The value given.
    pub got: String,
    /// The accepted values.
    pub expected: String,
}
