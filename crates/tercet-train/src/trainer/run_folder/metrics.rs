//! The files to which a run writes its metrics: `metrics.jsonl` and TensorBoard's event file.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::tensorboard::EventFile;
use super::{EVENTS, Line, RunFolder};
use crate::files::{At, FileError, write_atomically};
use crate::trainer::TrainError;

impl RunFolder {
    /// All readable lines of `metrics.jsonl`. A killed run may leave an incomplete line, which is
    /// skipped.
    pub(in crate::trainer) fn lines(&self) -> Result<Vec<Line>, FileError> {
        let path = self.metrics_file();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut lines = Vec::new();
        for text in BufReader::new(File::open(&path).at("read", &path)?).split(b'\n') {
            lines.extend(serde_json::from_slice(&text.at("read", &path)?));
        }
        Ok(lines)
    }

    /// Opens `metrics.jsonl` and the event file to continue after `step` steps. Lines of later
    /// steps, which the run will do again, are removed.
    pub(in crate::trainer) fn metrics_from(&self, step: u64) -> Result<Metrics, TrainError> {
        let path = self.metrics_file();
        let mut kept = Vec::new();
        for line in self.lines()?.iter().filter(|line| line.step() <= step) {
            kept.extend(line.to_json());
        }
        write_atomically(&path, &kept)?;
        let file = OpenOptions::new().append(true).open(&path).at("write", &path)?;
        let events = EventFile::resume(&self.path().join(EVENTS), |at| at <= step)?;
        Ok(Metrics { path, file, events })
    }
}

/// `metrics.jsonl` and TensorBoard's event file, open for appending.
#[derive(Debug)]
pub(in crate::trainer) struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    pub(in crate::trainer) fn write(&mut self, line: &Line) -> Result<(), FileError> {
        self.file.write_all(&line.to_json()).at("write", &self.path)?;
        self.events.write(line)
    }
}

/// Removes the temporary files of event files. The caller must have locked the run.
pub(super) fn remove_leftovers(events: &Path) {
    for entry in fs::read_dir(events).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("events.out.tfevents.") && name.ends_with(".tmp"));
        if is_ours {
            let _ = fs::remove_file(entry.path()); // a leftover does no harm
        }
    }
}
