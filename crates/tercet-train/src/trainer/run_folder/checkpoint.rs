//! Checkpoints: a folder a step, whole or not there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use crate::files::{At, sync_folder, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::trainer::TrainError;
use crate::trainer::state::State;

const STATE: &str = "state.json";

/// The hash of all other files of a checkpoint, with their names: written last.
const SEAL: &str = "seal";

/// The run's configuration, from which a damaged `config.toml` of the run can be restored.
pub(in crate::trainer) const CONFIG: &str = "config.toml";

/// Checkpoints kept: the newest, and one more should it be damaged.
const KEEP: usize = 2;

/// A checkpoint: its state, and records by file name (`encoder.bpk`, …).
pub(in crate::trainer) struct Checkpoint {
    pub(in crate::trainer) state: State,
    pub(in crate::trainer) records: BTreeMap<String, Bytes>,
}

impl Checkpoint {
    /// Writes the checkpoint into `folder` and removes old ones. One of that step that can be read
    /// is the same already and stays.
    ///
    /// # Errors
    /// Files that cannot be written; the checkpoints before stay as they were then.
    pub(in crate::trainer) fn write(&self, folder: &Path) -> Result<PathBuf, TrainError> {
        let state = &self.state;
        let path = folder.join(format!("step-{:08}", state.step));
        let scratch = folder.join(format!(".step-{:08}.tmp", state.step));
        if Self::read(&path).is_ok_and(|written| written.state == *state) {
            return Ok(path);
        }
        remove(&scratch)?;
        if let Err(error) = self.write_files(&scratch).and_then(|()| {
            replace(&scratch, &path).at("write the checkpoint", &path)?;
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
        let described = Described {
            state: self.state.clone(),
            records: self.records.keys().cloned().collect(),
            seal: None,
        };
        let json = serde_json::to_vec(&described).map_err(|error| TrainError::BadRun {
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        write_atomically(&folder.join(STATE), &json)?;
        Ok(write_atomically(&folder.join(SEAL), seal(&self.records, Some(&json)).as_bytes())?)
    }

    /// The run's configuration; none in checkpoints of earlier versions.
    pub(in crate::trainer) fn config(&self) -> Option<&str> {
        std::str::from_utf8(self.records.get(CONFIG)?).ok()
    }

    /// The checkpoints of a run with their steps, oldest first.
    pub(in crate::trainer) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
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

    pub(in crate::trainer) fn read(path: &Path) -> Result<Self, TrainError> {
        let bad = |error: &dyn std::fmt::Display| TrainError::BadRun {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let bytes = |name: &str| {
            let file = path.join(name);
            fs::read(&file).at("read the checkpoint", &file)
        };
        let json = bytes(STATE)?;
        let described: Described = serde_json::from_slice(&json).map_err(|error| bad(&error))?;
        let mut records = BTreeMap::new();
        for name in described.records {
            let record = bytes(&name)?;
            records.insert(name, Bytes::from_bytes_vec(record));
        }
        // Burn would quietly start afresh what it cannot find in a damaged record.
        let is_whole = match described.seal {
            Some(expected) => seal(&records, None) == expected,
            None => seal(&records, Some(&json)).as_bytes() == bytes(SEAL)?,
        };
        if !is_whole {
            return Err(bad(&"its files are damaged"));
        }
        Ok(Self { state: described.state, records })
    }

    /// Takes a record out; none if there is no such record.
    pub(in crate::trainer) fn take(&mut self, name: &str) -> Option<Bytes> {
        self.records.remove(name)
    }
}

/// `state.json`: the state, and the names of the files beside it.
#[derive(Serialize, Deserialize)]
struct Described {
    #[serde(flatten)]
    state: State,
    records: Vec<String>,
    /// The hash of the records in checkpoints of earlier versions, which have no file [`SEAL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

/// The hash of all records, and of `state.json` where that is covered.
fn seal(records: &BTreeMap<String, Bytes>, state: Option<&[u8]>) -> String {
    let mut hash = Fingerprint::new();
    let records = records.iter().map(|(name, record)| (name.as_str(), &record[..]));
    for (name, record) in records.chain(state.map(|state| (STATE, state))) {
        hash.bytes(name.as_bytes());
        hash.number(record.len() as u64);
        hash.bytes(record);
    }
    hash.hex()
}

/// Moves a whole checkpoint to its place. One that is there already is moved aside before and
/// removed after, so that a kill in between loses neither.
fn replace(scratch: &Path, path: &Path) -> io::Result<()> {
    let aside = aside(path);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Err(error) = fs::rename(scratch, path) {
        let _ = fs::rename(&aside, path); // the first error is the one to report
        return Err(error);
    }
    let _ = fs::remove_dir_all(&aside); // the next start removes it otherwise
    Ok(())
}

/// Where the checkpoint `step-N` is while it is replaced: `.step-N.old`.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.old"))
}

/// Removes what killed processes left of writing checkpoints, and puts a checkpoint back that was
/// about to be replaced. The caller holds the lock of the run.
pub(in crate::trainer) fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else { continue };
        if !name.starts_with("step-") {
            continue;
        }
        let replaced = name.strip_suffix(".old").map(|name| folder.join(name));
        match replaced {
            // What stays does no harm.
            Some(path) if !path.exists() => drop(fs::rename(entry.path(), path)),
            None if !name.ends_with(".tmp") => {}
            _ => drop(fs::remove_dir_all(entry.path())),
        }
    }
}

fn remove(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).at("remove", path).map_err(TrainError::from)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::collapse::CollapseWatch;

    fn checkpoint(step: u64) -> Checkpoint {
        let state = serde_json::json!({
            "step": step, "data": "d", "statistics": [0.5], "threads": 2, "chunk": null,
            "work": { "items": 7, "backward": 3 }, "best": null, "watch": CollapseWatch::default(),
            "softened": [], "good": null,
        });
        let records = [("encoder.bpk", "weights"), (CONFIG, "seed = 0\n")];
        let record = |text: &str| Bytes::from_bytes_vec(text.as_bytes().to_vec());
        Checkpoint {
            state: serde_json::from_value(state).unwrap(),
            records: records.map(|(name, text)| (name.to_owned(), record(text))).into(),
        }
    }

    #[test]
    fn a_changed_byte_of_any_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = checkpoint(3).write(folder.path()).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!((read.state.step, read.config()), (3, Some("seed = 0\n")));
        for file in [STATE, SEAL, CONFIG, "encoder.bpk"] {
            let file = path.join(file);
            let whole = fs::read(&file).unwrap();
            for place in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[place] ^= 1;
                fs::write(&file, &bytes).unwrap();
                assert!(Checkpoint::read(&path).is_err(), "{} at {place}", file.display());
                fs::write(&file, &whole[..place]).unwrap();
                assert!(Checkpoint::read(&path).is_err(), "{} cut", file.display());
            }
            fs::write(&file, &whole).unwrap();
        }
        fs::remove_file(path.join(SEAL)).unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }

    #[test]
    fn checkpoints_of_earlier_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = checkpoint(3).write(folder.path()).unwrap();
        fs::remove_file(path.join(SEAL)).unwrap();
        let mut state: serde_json::Value =
            serde_json::from_slice(&fs::read(path.join(STATE)).unwrap()).unwrap();
        let object = state.as_object_mut().unwrap();
        object.remove("collapsed");
        object.remove("unfinished");
        object.insert("records".to_owned(), serde_json::json!(["encoder.bpk"]));
        let mut records = checkpoint(3).records;
        records.remove(CONFIG);
        object.insert("seal".to_owned(), seal(&records, None).into());
        fs::write(path.join(STATE), state.to_string()).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap().config(), None);
        fs::write(path.join("encoder.bpk"), "damaged").unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }

    #[test]
    fn what_a_kill_leaves_is_put_back_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let path = checkpoint(3).write(folder.path()).unwrap();
        fs::rename(&path, at(".step-00000003.old")).unwrap();
        fs::create_dir(at(".step-00000004.tmp")).unwrap();
        fs::create_dir(at(".other.tmp")).unwrap();
        remove_leftovers(folder.path());
        assert_eq!(Checkpoint::read(&path).unwrap().state.step, 3);
        assert!(at(".other.tmp").exists() && !at(".step-00000004.tmp").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
