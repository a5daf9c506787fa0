//! Errors of a training run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tercet::ParameterError;

use crate::data::DataError;
use crate::files::FileError;
use crate::model::ModelError;
use crate::pretrained::PretrainedError;
use crate::shell;

/// Why a run could not start or continue.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting outside its range.
    #[error(transparent)]
    Config(#[from] ParameterError),
    /// The data could not be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The sampler, the objective or the evaluation refused its input.
    #[error(transparent)]
    Core(#[from] tercet::Error),
    /// The encoder's options do not fit each other or the input.
    #[error(transparent)]
    Encoder(ParameterError),
    /// Pretrained weights that cannot be used.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// The model could not be created or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The report could not be created.
    #[error("cannot make the report: {0}")]
    Report(String),
    /// The folder holds a run already.
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
    /// Another process uses the folder.
    #[error(
        "{path} is in use by another training process{process}: wait until it ends, or stop it, then try again",
        path = path.display(),
        process = process.map_or_else(String::new, |number| format!(" (process {number})"))
    )]
    RunInUse {
        /// The folder.
        path: PathBuf,
        /// The process number, where it is known.
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
        /// The path of an intact copy in a checkpoint.
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
        /// Its value when the checkpoint was written.
        then: String,
        /// The path of a copy of the configuration in a checkpoint.
        copy: Option<PathBuf>,
    },
    /// Files of a run that cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    BadRun {
        /// File or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The model file that the run started from, or its backbone, has changed.
    #[error("{path} changed since this run started from it: restore the file, or start a new run", path = .0.display())]
    StartChanged(PathBuf),
    /// The older model with which the run stays compatible has changed.
    #[error("the model {path} of --compatible changed since this run began: restore the file, or start a new run", path = .0.display())]
    CompatibleChanged(PathBuf),
    /// Too few classes to train on, however many are held out.
    #[error(
        "cannot train on {source_text}: {pairs} of its {classes} classes have two items or more, and a triplet needs two such classes: add classes or items"
    )]
    TooFewClasses {
        /// The source.
        source_text: String,
        /// Number of its classes.
        classes: usize,
        /// Number of those with two items or more.
        pairs: usize,
    },
    /// The run has no steps left, and no larger number of steps was requested.
    #[error("the run has made {done} steps: a larger number than {done} as --steps continues it")]
    NothingToAdd {
        /// Steps done.
        done: u64,
    },
    /// Names, labels or pixels differ from those with which the run began.
    #[error("the data of {0} changed since this run began: restore it, or start a new run")]
    DataChanged(String),
    /// A loader thread ended without an error.
    #[error("the threads that prepare batches stopped after step {step}")]
    LoaderStopped {
        /// Steps done.
        step: u64,
    },
    /// The run collapsed, and `on-collapse` is `stop`.
    #[error(
        "collapsed at step {since} (noticed at {step}): all embeddings became equal; start a new run with `--objective facenet`, `--on-collapse soften` or a lower --learning-rate"
    )]
    Collapsed {
        /// Steps done.
        step: u64,
        /// The step with which it began.
        since: u64,
    },
    /// Embeddings became infinite, NaN or too large.
    #[error("training diverged at step {step}: lower --learning-rate (now {learning_rate})")]
    Diverged {
        /// The step that gave values that are not finite or too large, counted from 1.
        step: u64,
        /// The learning rate of this step.
        learning_rate: f64,
    },
}

impl TrainError {
    /// Whether a file could not be written because the disk is full.
    pub fn lacks_room(&self) -> bool {
        let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        self.file().is_some_and(|file| kinds.contains(&file.source.kind()))
    }

    /// Whether resuming the run helps once the cause of the error is removed: a file could not be
    /// read or written, or a thread stopped.
    pub fn can_be_resumed(&self) -> bool {
        let of_data = matches!(
            self,
            Self::Data(DataError::Unreadable { .. } | DataError::Undecodable { .. })
        );
        of_data || self.file().is_some() || matches!(self, Self::LoaderStopped { .. })
    }

    /// Whether the error is about the run as a whole and not about one of its checkpoints, so that
    /// trying an older checkpoint would not help.
    pub(super) fn is_about_the_run(&self) -> bool {
        matches!(
            self,
            Self::DataChanged(_)
                | Self::StartChanged(_)
                | Self::CompatibleChanged(_)
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

/// What the user can do about a damaged configuration.
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
