//! Files of embeddings that the fuzzer started from or found are read or refused without a panic.

#![allow(clippy::unwrap_used)] // tests may panic

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/embeddings_file.rs"]
mod embeddings_file;

#[test]
fn embeddings() {
    tercet_parquet::enable();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["fuzz/corpus/embeddings_file", "crates/tercet-parquet/tests/files"] {
        let mut checked = 0;
        for file in fs::read_dir(root.join(folder)).unwrap() {
            embeddings_file::check(&fs::read(file.unwrap().path()).unwrap());
            checked += 1;
        }
        assert!(checked > 0, "{folder}");
    }
}
