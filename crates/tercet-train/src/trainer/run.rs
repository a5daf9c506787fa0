//! The folder of a run: configuration, metrics, checkpoints, report, model.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::monitor::Line;
use super::{TrainConfig, TrainError};
use crate::files::{At, FileError, write_atomically};

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Names the folder of a fresh run. It is made once the run's data and settings have proved
    /// usable, so that a start that fails leaves nothing behind.
    ///
    /// # Errors
    /// A folder that holds a run already.
    pub fn fresh(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        if run.has_begun() {
            return Err(TrainError::RunExists(path.to_owned()));
        }
        Ok(run)
    }

    /// Whether there is a run to go on with.
    pub fn has_begun(&self) -> bool {
        self.config_file().exists()
    }

    /// Makes the folder with its `config.toml`, unless the run has begun before.
    pub(super) fn begin(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).at("make the folder", &checkpoints)?;
        if self.has_begun() {
            return Ok(());
        }
        let text = toml::to_string(config).map_err(|error| TrainError::BadRun {
            path: self.config_file(),
            reason: error.to_string(),
        })?;
        Ok(write_atomically(&self.config_file(), text.as_bytes())?)
    }

    /// Opens the folder of an earlier run with its configuration.
    ///
    /// # Errors
    /// No run there, or a `config.toml` that cannot be understood.
    pub fn open(path: &Path) -> Result<(Self, TrainConfig), TrainError> {
        let run = Self { path: path.to_owned() };
        let file = run.config_file();
        let text = fs::read_to_string(&file).at("read", &file)?;
        let config = toml::from_str(&text)
            .map_err(|error| TrainError::BadRun { path: file, reason: error.to_string() })?;
        Ok((run, config))
    }

    /// The first of `base/NAME-1`, `base/NAME-2`… that is still free.
    pub fn free_path(base: &Path, name: &str) -> PathBuf {
        let mut number = 1_u64;
        loop {
            let path = base.join(format!("{name}-{number}"));
            if !path.exists() {
                return path;
            }
            number += 1;
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trained model.
    pub fn model_file(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The report.
    pub fn report_file(&self) -> PathBuf {
        self.path.join("report.html")
    }

    fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The newest checkpoint that can be read; damaged ones are told to `warn` and passed over.
    pub(super) fn newest_checkpoint(
        &self,
        warn: &dyn Fn(String),
    ) -> Result<Option<Checkpoint>, TrainError> {
        for path in Checkpoint::list(&self.checkpoints())?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => warn(format!("{error}; trying the one before")),
            }
        }
        Ok(None)
    }

    /// All lines of `metrics.jsonl` that can be read: a killed run may leave half a line.
    pub(super) fn lines(&self) -> Result<Vec<Line>, FileError> {
        let path = self.metrics_file();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut lines = Vec::new();
        for text in BufReader::new(File::open(&path).at("read", &path)?).lines() {
            lines.extend(serde_json::from_str(&text.at("read", &path)?));
        }
        Ok(lines)
    }

    /// Opens `metrics.jsonl` to go on after `step` steps: lines of later steps, which the run will
    /// do again, are dropped.
    pub(super) fn metrics_from(&self, step: u64) -> Result<Metrics, TrainError> {
        let path = self.metrics_file();
        let mut kept = Vec::new();
        for line in self.lines()?.iter().filter(|line| line.step() <= step) {
            kept.extend(line.to_json());
        }
        write_atomically(&path, &kept)?;
        let file = OpenOptions::new().append(true).open(&path).at("write", &path)?;
        Ok(Metrics { path, file })
    }
}

/// `metrics.jsonl`, open for more lines.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    pub(super) fn write(&mut self, line: &Line) -> Result<(), FileError> {
        self.file.write_all(&line.to_json()).at("write", &self.path)
    }
}
