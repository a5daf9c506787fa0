//! Why a run could not start or go on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tercet::ParameterError;

use crate::data::DataError;
use crate::files::FileError;
use crate::model::ModelError;
use crate::pretrained::PretrainedError;
use crate::shell;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting outside its range.
    #[error(transparent)]
    Config(#[from] ParameterError),
    /// The data could not be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The batches, objective or judgement refused their input.
    #[error(transparent)]
    Core(#[from] tercet::Error),
    /// The encoder's options fit neither each other nor the images.
    #[error(transparent)]
    Encoder(ParameterError),
    /// Pretrained weights that cannot be used.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The model could not be made or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The report could not be made.
    #[error("cannot make the report: {0}")]
    Report(String),
    /// The folder holds a run.
    #[error(
        "{path} holds a run already: resume it with: tercet train --resume {word}; or name another folder with --run",
        path = .0.display(),
        word = shell::word(.0)
    )]
    RunExists(PathBuf),
    /// The folder holds files that a run would overwrite.
    #[error("{path} holds `{name}` already, which a run would overwrite: name another folder with --run", path = path.display())]
    FolderTaken {
        /// The folder.
        path: PathBuf,
        /// The first of these files.
        name: &'static str,
    },
    /// Another process works in the folder.
    #[error(
        "{path} is in use by another training process{process}: wait until it ends, or stop it, then try again",
        path = path.display(),
        process = process.map_or_else(String::new, |number| format!(" (process {number})"))
    )]
    RunInUse {
        /// The folder.
        path: PathBuf,
        /// The number of that process, where it is known.
        process: Option<u32>,
    },
    /// There is no run to resume.
    #[error("{path} holds no run: it has no config.toml; `tercet runs` lists the runs in the folder `runs`", path = .0.display())]
    NoRun(PathBuf),
    /// The configuration of a run is incomplete or cannot be understood.
    #[error("{path} cannot be used: {reason}; {remedy}", path = path.display(), remedy = restore(path, copy.as_deref()))]
    BadConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// A copy in a checkpoint.
        copy: Option<PathBuf>,
    },
    /// The configuration of a run was changed since its newest checkpoint.
    #[error(
        "{path} was changed: `{key}` is {now}, and was {then} when the run wrote its newest checkpoint; {remedy}",
        path = path.display(),
        remedy = restore(path, copy.as_deref())
    )]
    ConfigChanged {
        /// The file.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value now.
        now: String,
        /// Its value then.
        then: String,
        /// A copy of the configuration in a checkpoint.
        copy: Option<PathBuf>,
    },
    /// Files of a run that cannot be understood.
    #[error("{} cannot be used: {reason}", path.display())]
    BadRun {
        /// File or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another file than the one that the run started from.
    #[error("the model {path} changed since this run started from it: restore the file, or start a new run", path = .0.display())]
    StartChanged(PathBuf),
    /// Too few classes to train on, whatever is held out.
    #[error(
        "cannot train on {source_text}: {pairs} of its {classes} classes have two items or more, and a triplet needs two such classes: add classes or items"
    )]
    TooFewClasses {
        /// The source.
        source_text: String,
        /// Its classes.
        classes: usize,
        /// Those with two items or more.
        pairs: usize,
    },
    /// The run has no steps left, and was asked for no more.
    #[error("the run has made {done} steps: a larger number than {done} as --steps continues it")]
    NothingToAdd {
        /// Steps done.
        done: u64,
    },
    /// Other names, labels or pixels than the run began with.
    #[error("the data of {0} changed since this run began: restore it, or start a new run")]
    DataChanged(String),
    /// A loader thread ended without an error.
    #[error("the threads that prepare batches stopped after step {step}")]
    LoaderStopped {
        /// Steps done.
        step: u64,
    },
    /// The run collapsed, and was asked to stop then.
    #[error(
        "collapsed at step {since} (noticed at {step}): all embeddings became equal; start a new run with `--objective facenet`, `--on-collapse soften` or a lower --learning-rate"
    )]
    Collapsed {
        /// Steps done.
        step: u64,
        /// The step with which it began.
        since: u64,
    },
    /// The embeddings left the range of numbers.
    #[error("training diverged at step {step}: lower --learning-rate (now {learning_rate})")]
    Diverged {
        /// The step that gave values that are not finite, counted from 1.
        step: u64,
        /// The learning rate then.
        learning_rate: f64,
    },
}

impl TrainError {
    /// Whether a file could not be written because the disk is full.
    pub fn lacks_room(&self) -> bool {
        let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        self.file().is_some_and(|file| kinds.contains(&file.source.kind()))
    }

    /// Whether resuming the run is what helps, once the cause of the error is gone: a file could
    /// not be read or written, or a thread stopped.
    pub fn can_be_resumed(&self) -> bool {
        let of_data = matches!(
            self,
            Self::Data(DataError::Unreadable { .. } | DataError::Undecodable { .. })
        );
        of_data || self.file().is_some() || matches!(self, Self::LoaderStopped { .. })
    }

    /// Whether the error is about the run and not about one of its checkpoints, so that an older
    /// checkpoint does not help.
    pub(super) fn is_about_the_run(&self) -> bool {
        matches!(
            self,
            Self::DataChanged(_)
                | Self::StartChanged(_)
                | Self::ConfigChanged { .. }
                | Self::NothingToAdd { .. }
        )
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.file().is_some_and(|file| file.source.kind() == ErrorKind::NotFound)
    }

    fn file(&self) -> Option<&FileError> {
        match self {
            Self::File(error) | Self::Model(ModelError::File(error)) => Some(error),
            _ => None,
        }
    }
}

/// What to do about a damaged configuration.
fn restore(path: &Path, copy: Option<&Path>) -> String {
    match copy {
        Some(copy) => format!(
            "restore it with: cp {} {}; then resume the run",
            shell::word(copy),
            shell::word(path)
        ),
        None => "no checkpoint holds a copy of it, so this run cannot be resumed: start a new run"
            .to_owned(),
    }
}
