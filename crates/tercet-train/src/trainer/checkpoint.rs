//! Checkpoints: a folder a step, whole or not there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::best::Best;
use super::collapse::CollapseWatch;
use super::softening::Softening;
use super::{TrainError, Work};
use crate::files::{At, sync_folder, write_atomically};
use crate::fingerprint::Fingerprint;

const STATE: &str = "state.json";

/// Checkpoints kept: the newest, and one more should it be damaged.
const KEEP: usize = 2;

/// What is needed beside weights and optimiser to go on: sampler and schedule are functions of the
/// step alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    /// Fingerprint of the data: a run goes on with the same data only.
    pub(super) data: String,
    /// Mean and standard deviation that standardise the pixels.
    pub(super) statistics: Vec<f32>,
    /// Threads that computed: other numbers of threads round differently.
    pub(super) threads: usize,
    /// Items that go through the network at once, none if a whole batch does; other numbers round
    /// differently and give batch norm other statistics.
    pub(super) chunk: Option<usize>,
    /// What the steps looked at and learnt from.
    pub(super) work: Work,
    /// The best judgement so far.
    pub(super) best: Option<Best>,
    /// What the collapse watch saw.
    pub(super) watch: CollapseWatch,
    /// How the task was made easier.
    pub(super) softened: Vec<Softening>,
    /// The step of the newest checkpoint from which no collapse was in sight; it is kept.
    pub(super) good: Option<u64>,
}

/// A checkpoint: its state, and records by file name (`encoder.bpk`, …).
pub(super) struct Checkpoint {
    pub(super) state: State,
    pub(super) records: BTreeMap<String, Bytes>,
}

impl Checkpoint {
    /// Writes the checkpoint into `folder` and removes old ones. One of that step that can be read
    /// is the same already and stays.
    ///
    /// # Errors
    /// Files that cannot be written; the checkpoints before stay as they were then.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, TrainError> {
        let state = &self.state;
        let path = folder.join(format!("step-{:08}", state.step));
        let scratch = folder.join(format!(".step-{:08}.tmp", state.step));
        if Self::read(&path).is_ok_and(|written| written.state == *state) {
            return Ok(path);
        }
        remove(&scratch)?;
        if let Err(error) = self.write_files(&scratch).and_then(|()| {
            remove(&path)?;
            fs::rename(&scratch, &path).at("write the checkpoint", &path)?;
            Ok(())
        }) {
            // A part of a checkpoint is of no use and may be what fills the disk.
            let _ = remove(&scratch);
            return Err(error);
        }
        sync_folder(&path);

        // Later steps than this one are what a resumed run could not read.
        let (kept, useless): (Vec<_>, Vec<_>) =
            Self::list(folder)?.into_iter().partition(|(step, _)| *step <= state.step);
        let old = &kept[..kept.len().saturating_sub(KEEP)];
        for (step, path) in old.iter().chain(&useless) {
            if Some(*step) != state.good {
                remove(path)?;
            }
        }
        Ok(path)
    }

    fn write_files(&self, folder: &Path) -> Result<(), TrainError> {
        for (name, record) in &self.records {
            write_atomically(&folder.join(name), record)?;
        }
        let sealed = Sealed {
            state: self.state.clone(),
            records: self.records.keys().cloned().collect(),
            seal: seal(&self.records),
        };
        let json = serde_json::to_vec(&sealed).map_err(|error| TrainError::BadRun {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(write_atomically(&folder.join(STATE), &json)?)
    }

    /// The checkpoints of a run with their steps, oldest first.
    pub(super) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
        let mut found = Vec::new();
        if !folder.exists() {
            return Ok(found);
        }
        for entry in fs::read_dir(folder).at("read", folder)? {
            let entry = entry.at("read", folder)?;
            let name = entry.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("step-")?.parse().ok());
            found.extend(step.map(|step| (step, entry.path())));
        }
        found.sort();
        Ok(found)
    }

    pub(super) fn read(path: &Path) -> Result<Self, TrainError> {
        let bad = |error: &dyn std::fmt::Display| TrainError::BadRun {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let bytes = |name: &str| {
            let file = path.join(name);
            fs::read(&file).at("read the checkpoint", &file)
        };
        let sealed: Sealed = serde_json::from_slice(&bytes(STATE)?).map_err(|error| bad(&error))?;
        let mut records = BTreeMap::new();
        for name in sealed.records {
            let record = bytes(&name)?;
            records.insert(name, Bytes::from_bytes_vec(record));
        }
        // Burn would quietly start afresh what it cannot find in a damaged record.
        if seal(&records) != sealed.seal {
            return Err(bad(&"its files are damaged"));
        }
        Ok(Self { state: sealed.state, records })
    }

    /// Takes a record out; none if there is no such record.
    pub(super) fn take(&mut self, name: &str) -> Option<Bytes> {
        self.records.remove(name)
    }
}

/// `state.json`: the state, and what tells whether the files beside it are whole.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    state: State,
    records: Vec<String>,
    seal: String,
}

fn seal(records: &BTreeMap<String, Bytes>) -> String {
    let mut hash = Fingerprint::new();
    for (name, record) in records {
        hash.bytes(name.as_bytes());
        hash.number(record.len() as u64);
        hash.bytes(record);
    }
    hash.hex()
}

fn remove(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).at("remove", path).map_err(TrainError::from)
        }
        _ => Ok(()),
    }
}
