//! The files that `make.py` writes.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Golden<T> {
    cases: Vec<T>,
}

/// The cases of `NAME.json`, and the values of `NAME.f32` that they point into.
pub(crate) fn golden<T: DeserializeOwned>(name: &str) -> (Vec<T>, Vec<f32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
    let bytes = std::fs::read(folder.join(name).with_extension("f32")).unwrap();
    let (values, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "an array is cut off");
    let arrays = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    (serde_json::from_str::<Golden<T>>(&text).unwrap().cases, arrays)
}
