//! Whatever bytes a model file holds, it is loaded or refused.

use std::fs;
use std::path::PathBuf;

use tercet_train::Model;

pub(crate) fn check(bytes: &[u8]) {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = folder.join(format!("tercet-fuzz-model-{}.safetensors", std::process::id()));
    if fs::write(&path, bytes).is_err() {
        return;
    }
    let loaded = Model::load(&path);
    assert!(loaded.is_err() || Model::is_model(&path).is_ok_and(|model| model));
    // What is left behind harms nobody.
    let _ = fs::remove_file(&path);
}
