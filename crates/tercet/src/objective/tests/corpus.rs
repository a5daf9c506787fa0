//! The fuzzer's corpus: the inputs from which it started and those that it found.

use std::fs;

#[path = "../../../../../fuzz/src/evaluate.rs"]
mod fuzzed;

#[test]
fn the_corpus_agrees_with_the_reference() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/evaluate");
    let mut checked = 0;
    for file in fs::read_dir(corpus).unwrap() {
        fuzzed::check(&fs::read(file.unwrap().path()).unwrap());
        checked += 1;
    }
    assert!(checked >= 22);
}
