//! Why a run could not start or go on.

use std::path::PathBuf;

use super::ConfigError;
use crate::data::DataError;
use crate::encoder::EncoderError;
use crate::files::FileError;
use crate::model::ModelError;
use crate::pretrained::PretrainedError;

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data could not be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The batches, objective or judgement refused their input.
    #[error(transparent)]
    Core(#[from] tercet::Error),
    /// The encoder's options fit neither each other nor the images.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
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
    /// The folder is taken.
    #[error("{path} holds a run already: go on with it by `--resume {path}`, or name another folder", path = .0.display())]
    RunExists(PathBuf),
    /// Files of a run that cannot be understood.
    #[error("{} cannot be used: {reason}", path.display())]
    BadRun {
        /// File or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Other names, labels or pixels than the run began with.
    #[error("the data of {0} changed since this run began: restore it, or start a new run")]
    DataChanged(String),
    /// A loader thread ended without a word.
    #[error("the loader stopped after step {step}: go on with `--resume`")]
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
        let file = match self {
            Self::File(error) | Self::Model(ModelError::File(error)) => error,
            _ => return false,
        };
        matches!(
            file.source.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        )
    }
}
