//! Checkpoints: one folder per step, which is either complete or absent.

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

/// The hash of all other files of a checkpoint and their names. It is written last.
const SEAL: &str = "seal";

/// The run's configuration, from which a damaged `config.toml` can be restored.
pub(in crate::trainer) const CONFIG: &str = "config.toml";

/// Number of checkpoints that are retained: the newest, and one more in case that is damaged.
const KEEP: usize = 2;

/// A checkpoint: its state, and records by file name (`encoder.bpk`, …).
pub(in crate::trainer) struct Checkpoint {
    pub(in crate::trainer) state: State,
    pub(in crate::trainer) records: BTreeMap<String, Bytes>,
}

impl Checkpoint {
    /// Writes the checkpoint into `folder` and removes old ones. If a readable checkpoint of the
    /// same step and state exists already, it is left as it is.
    ///
    /// # Errors
    /// Files that cannot be written; earlier checkpoints are then unchanged.
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
            // An incomplete checkpoint is useless, and may be what fills the disk.
            let _ = remove(&scratch);
            return Err(error);
        }
        sync_folder(&path);

        // Checkpoints of later steps are of no use: the run could not read them when it was
        // resumed, or it returned to an earlier step after a collapse.
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
        // Burn silently initialises what it cannot find in a damaged record, so the hash is checked
        // first.
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

/// The contents of `state.json`: the state, and the names of the record files.
#[derive(Serialize, Deserialize)]
struct Described {
    #[serde(flatten)]
    state: State,
    records: Vec<String>,
    /// The hash of the records, in checkpoints of earlier versions, which have no file [`SEAL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

/// The hash of all records and their names, and of `state.json` if it is given.
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

/// Moves a complete checkpoint to its final path. An existing one is first moved aside and removed
/// afterwards, so that a kill in between loses neither.
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
    let _ = fs::remove_dir_all(&aside); // if this fails, the next start removes it
    Ok(())
}

/// The path of the checkpoint `step-N` while it is being replaced: `.step-N.old`.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.old"))
}

/// Removes the leftovers of killed processes, and restores a checkpoint that was being replaced.
/// The caller must have locked the run.
pub(in crate::trainer) fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix('.')) else { continue };
        if !name.starts_with("step-") {
            continue;
        }
        let replaced = name.strip_suffix(".old").map(|name| folder.join(name));
        match replaced {
            // If this fails, the leftover does no harm.
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
