//! What the fuzzer started from and found is read or refused without a panic.

#![allow(clippy::unwrap_used)] // tests may panic

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/image_file.rs"]
mod image_file;
#[path = "../../../fuzz/src/model_file.rs"]
mod model_file;

fn replay(folder: &str, check: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut checked = 0;
    for file in fs::read_dir(root.join(folder)).unwrap() {
        check(&fs::read(file.unwrap().path()).unwrap());
        checked += 1;
    }
    assert!(checked > 0, "{folder}");
}

#[test]
fn models() {
    replay("fuzz/corpus/model_file", model_file::check);
}

#[test]
fn images() {
    replay("fuzz/corpus/image_file", image_file::check);
}
