//! How a command ends: its exit status and its error message.

use std::io::Write;
use std::process::ExitCode;

use tercet::ParameterError;
use tercet_train::data::DataError;
use tercet_train::embeddings::EmbeddingsError;
use tercet_train::model::ModelError;
use tercet_train::printable::printable_text;
use tercet_train::trainer::TrainError;

use crate::terminal::{stderr_width, wrapped};

/// The status of a command with wrong arguments.
const WRONG_USAGE: u8 = 2;

/// The status of a command that failed.
const FAILED: u8 = 1;

/// The status of an interrupted command.
pub(crate) const INTERRUPTED: u8 = 130;

/// The arguments are wrong; the message says what to change.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// The command was interrupted; the message says how to resume.
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

/// Reports an error and returns the matching status.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(status_of(error))
}

/// Reports an error and exits the process immediately, also from a thread other than the main one.
pub(crate) fn leave(error: &anyhow::Error) -> ! {
    std::process::exit(i32::from(status_of(error)))
}

fn status_of(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() || broken_off(error) {
        say(&told(error));
        return INTERRUPTED;
    }
    say(&format!("error: {}", told(error)));
    if wrong_usage(error) { WRONG_USAGE } else { FAILED }
}

/// Writes a message to standard error, wrapped to the width of the terminal. If standard error is
/// closed, the status of the command does not change.
pub(crate) fn say(text: &str) {
    let text = wrapped(text, stderr_width());
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The message of an error with its causes, except those with which the message before them already
/// ends.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    printable_text(&told).into_owned()
}

fn broken_off(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(tercet::Error::Interrupted))
        || matches!(error.downcast_ref(), Some(DataError::Interrupted))
        || matches!(error.downcast_ref(), Some(ModelError::Data(DataError::Interrupted)))
}

fn wrong_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>()
        || error.is::<ParameterError>()
        || matches!(
            error.downcast_ref(),
            Some(TrainError::Config(_) | TrainError::NothingToAdd { .. })
        )
        || matches!(error.downcast_ref(), Some(EmbeddingsError::UnknownFormat(_)))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use tercet_train::embeddings::Embeddings;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = Embeddings::load(std::path::Path::new("none.npy")).unwrap_err();
        let alone = error.to_string();
        assert!(alone.starts_with("cannot read none.npy: "), "{alone}");
        let error = anyhow::Error::from(error);
        assert_eq!(told(&error), alone);
        let error = Err::<(), _>(error).context("no vectors").unwrap_err();
        assert_eq!(told(&error), format!("no vectors: {alone}"));
    }
}
