//! The folder of a run: configuration, metrics, checkpoints, report, model.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::monitor::Line;
use super::tensorboard::EventFile;
use super::{TrainConfig, TrainError};
use crate::files::{At, FileError, write_atomically};

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether the run began earlier, so that it goes on from its checkpoints.
    resumed: bool,
}

impl RunFolder {
    /// Names the folder of a fresh run. It is made once the run's data and settings have proved
    /// usable, so that a start that fails leaves nothing behind.
    ///
    /// # Errors
    /// A folder that holds a run, or checkpoints of one, already.
    pub fn fresh(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned(), resumed: false };
        if run.has_begun() || !Checkpoint::list(&run.checkpoints())?.is_empty() {
            return Err(TrainError::RunExists(path.to_owned()));
        }
        Ok(run)
    }

    /// Whether there is a run to go on with.
    pub fn has_begun(&self) -> bool {
        self.config_file().exists()
    }

    /// Makes the folder of a fresh run with its `config.toml`. Two runs that start at the same time
    /// cannot both get it.
    pub(super) fn begin(&self, config: &TrainConfig) -> Result<(), TrainError> {
        if self.resumed {
            return Ok(());
        }
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).at("make the folder", &checkpoints)?;
        let file = self.config_file();
        let text = toml::to_string(config).map_err(|error| TrainError::BadRun {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        match File::create_new(&file).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(TrainError::RunExists(self.path.clone()))
            }
            written => Ok(written.at("write", &file)?),
        }
    }

    /// Opens the folder of an earlier run with its configuration.
    ///
    /// # Errors
    /// No run there, or a `config.toml` that cannot be understood.
    pub fn open(path: &Path) -> Result<(Self, TrainConfig), TrainError> {
        let run = Self { path: path.to_owned(), resumed: true };
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

    /// The model of the latest of `base/NAME-1`, `base/NAME-2`… that has come to its end.
    pub fn newest_model(base: &Path, name: &str) -> Option<PathBuf> {
        let runs = (1_u64..).map(|number| base.join(format!("{name}-{number}")));
        let models = runs.take_while(|run| run.exists()).map(|path| Self { path, resumed: true });
        models.map(|run| run.model_file()).filter(|model| model.is_file()).last()
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

    /// Tries the checkpoints of a resumed run, newest first, until `restore` takes one; those that
    /// cannot be used are told to `warn`. None where the run has no checkpoint yet.
    ///
    /// # Errors
    /// Checkpoints of which none can be used: starting over would throw their work away.
    pub(super) fn restore_newest<T>(
        &self,
        restore: impl Fn(Checkpoint) -> Result<T, TrainError>,
        warn: &dyn Fn(String),
    ) -> Result<Option<T>, TrainError> {
        if !self.resumed {
            return Ok(None);
        }
        let all = Checkpoint::list(&self.checkpoints())?;
        for (_, path) in all.iter().rev() {
            match Checkpoint::read(path).and_then(&restore) {
                Ok(restored) => return Ok(Some(restored)),
                Err(error @ TrainError::DataChanged(_)) => return Err(error),
                Err(error) => warn(format!("{error}; trying the checkpoint before")),
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        Err(TrainError::BadRun {
            path: self.checkpoints(),
            reason: format!("none of its {} checkpoints can be read", all.len()),
        })
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

    /// Opens `metrics.jsonl` and the event file to go on after `step` steps: lines of what the run
    /// will do again are dropped.
    pub(super) fn metrics_from(&self, step: u64) -> Result<Metrics, TrainError> {
        let path = self.metrics_file();
        let mut kept = Vec::new();
        for line in self.lines()?.iter().filter(|line| line.step() <= step) {
            kept.extend(line.to_json());
        }
        write_atomically(&path, &kept)?;
        let file = OpenOptions::new().append(true).open(&path).at("write", &path)?;
        let events = EventFile::resume(&self.path.join("tensorboard"), |at| at <= step)?;
        Ok(Metrics { path, file, events })
    }

    /// The checkpoint of a step, if it is there and can be read.
    pub(super) fn checkpoint_of(&self, step: u64) -> Option<Checkpoint> {
        let all = Checkpoint::list(&self.checkpoints()).ok()?;
        let (_, path) = all.into_iter().find(|(at, _)| *at == step)?;
        Checkpoint::read(&path).ok()
    }
}

/// `metrics.jsonl` and TensorBoard's event file, open for more lines.
#[derive(Debug)]
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    pub(super) fn write(&mut self, line: &Line) -> Result<(), FileError> {
        self.file.write_all(&line.to_json()).at("write", &self.path)?;
        self.events.write(line)
    }
}
