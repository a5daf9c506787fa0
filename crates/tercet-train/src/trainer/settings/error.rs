//! A setting that cannot be used.

use crate::encoder::EncoderError;

/// A setting that makes no run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} is {got}: expected {expected}")]
pub struct ConfigError {
    /// The flag or key.
    pub key: &'static str,
    /// What was given.
    pub got: String,
    /// What is accepted.
    pub expected: String,
}

impl From<EncoderError> for ConfigError {
    fn from(EncoderError::Option { option, got, expected }: EncoderError) -> Self {
        Self { key: option, got, expected }
    }
}
