//! How a command ends: status and last words.

use std::process::ExitCode;

use tercet_train::data::DataError;
use tercet_train::embeddings::EmbeddingsError;
use tercet_train::model::ModelError;
use tercet_train::trainer::{ConfigError, TrainError};

/// Status of a command that was called wrongly.
const WRONG_USAGE: u8 = 2;

/// Status of an interrupted command.
pub(crate) const INTERRUPTED: u8 = 130;

/// The command was called wrongly; the message says what to do.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// The command was interrupted; the message says how to go on.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) String);

macro_rules! message {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::error::Error for $type {}
    };
}
message!(Usage);
message!(Interrupted);

/// Tells an error and gives the status that belongs to it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<Interrupted>() || broken_off(error) {
        eprintln!("{error:#}");
        return ExitCode::from(INTERRUPTED);
    }
    eprintln!("error: {error:#}");
    if wrong_usage(error) { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
}

fn broken_off(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(tercet::Error::Interrupted))
        || matches!(error.downcast_ref(), Some(DataError::Interrupted))
        || matches!(error.downcast_ref(), Some(ModelError::Data(DataError::Interrupted)))
}

fn wrong_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>()
        || error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(TrainError::Config(_)))
        || matches!(error.downcast_ref(), Some(EmbeddingsError::UnknownFormat(_)))
}
