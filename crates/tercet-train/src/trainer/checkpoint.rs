//! Checkpoints: a folder a step, whole or not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use serde::{Deserialize, Serialize};

use super::{TrainError, Work};
use crate::encoder::Encoder;
use crate::files::{At, sync_folder, write_atomically};
use crate::fingerprint::Fingerprint;

const ENCODER: &str = "encoder.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const MEMORY: &str = "memory.safetensors";
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
    /// Items that went through the network at once; other numbers round differently and give batch
    /// norm other statistics.
    #[serde(default)]
    pub(super) chunk: Option<usize>,
    /// What the steps looked at and learnt from.
    #[serde(default)]
    pub(super) work: Work,
}

/// A checkpoint that was read.
pub(super) struct Checkpoint {
    pub(super) state: State,
    encoder: ModuleRecord,
    optimizer: OptimizerRecord,
    /// Past embeddings, if there are any.
    pub(super) memory: Option<Vec<u8>>,
}

impl Checkpoint {
    /// Writes a checkpoint of the state into `folder` and removes old ones. One of that step that
    /// can be read is the same already and stays.
    pub(super) fn write(
        folder: &Path,
        state: &State,
        encoder: &Encoder,
        optimizer: &ModuleOptimizer,
        memory: Option<Vec<u8>>,
    ) -> Result<PathBuf, TrainError> {
        let path = folder.join(format!("step-{:08}", state.step));
        let scratch = folder.join(format!(".step-{:08}.tmp", state.step));
        if Self::read(&path).is_ok_and(|written| written.state == *state) {
            return Ok(path);
        }
        let bad = |error: &dyn std::fmt::Display| TrainError::BadRun {
            path: path.clone(),
            reason: error.to_string(),
        };
        // Batch norm keeps its newest running statistics apart until they are next asked for, and a
        // record does not ask: `valid` does, for all who share them.
        encoder.valid();
        let encoder = encoder.clone().into_record().into_bytes().map_err(|error| bad(&error))?;
        let optimizer = optimizer.to_record().into_bytes().map_err(|error| bad(&error))?;
        let seal = seal(&encoder, &optimizer, memory.as_deref());
        let json = serde_json::to_vec(&Sealed { state: state.clone(), seal })
            .map_err(|error| bad(&error))?;
        remove(&scratch)?;
        write_atomically(&scratch.join(ENCODER), &encoder)?;
        write_atomically(&scratch.join(OPTIMIZER), &optimizer)?;
        if let Some(memory) = &memory {
            write_atomically(&scratch.join(MEMORY), memory)?;
        }
        write_atomically(&scratch.join(STATE), &json)?;
        remove(&path)?;
        fs::rename(&scratch, &path).at("write the checkpoint", &path)?;
        sync_folder(&path);

        // Later steps than this one are what a resumed run could not read.
        let (kept, useless): (Vec<_>, Vec<_>) =
            Self::list(folder)?.into_iter().partition(|(step, _)| *step <= state.step);
        let old = &kept[..kept.len().saturating_sub(KEEP)];
        for (_, path) in old.iter().chain(&useless) {
            remove(path)?;
        }
        Ok(path)
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
        let (encoder, optimizer) = (bytes(ENCODER)?, bytes(OPTIMIZER)?);
        let memory = path.join(MEMORY).exists().then(|| bytes(MEMORY)).transpose()?;
        // Burn would quietly start afresh what it cannot find in a damaged record.
        if seal(&encoder, &optimizer, memory.as_deref()) != sealed.seal {
            return Err(bad(&"its files are damaged"));
        }
        let state = sealed.state;
        let encoder = ModuleRecord::from_bytes(Bytes::from_bytes_vec(encoder))
            .map_err(|error| bad(&error))?;
        let optimizer = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(optimizer))
            .map_err(|error| bad(&error))?;
        Ok(Self { state, encoder, optimizer, memory })
    }

    /// Puts the state into a network and an optimiser of the same configuration.
    pub(super) fn restore(
        self,
        encoder: Encoder,
        optimizer: ModuleOptimizer,
    ) -> Result<(Encoder, ModuleOptimizer), String> {
        let encoder = encoder.try_load_record(self.encoder).map_err(|error| error.to_string())?;
        Ok((encoder, optimizer.load_record(self.optimizer)))
    }
}

/// `state.json`: the state, and what tells whether the files beside it are whole.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    state: State,
    seal: String,
}

fn seal(encoder: &[u8], optimizer: &[u8], memory: Option<&[u8]>) -> String {
    let mut hash = Fingerprint::new();
    hash.bytes(encoder);
    hash.number(encoder.len() as u64);
    hash.bytes(optimizer);
    if let Some(memory) = memory {
        hash.number(optimizer.len() as u64);
        hash.bytes(memory);
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
