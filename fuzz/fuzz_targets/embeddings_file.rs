#![no_main]

#[path = "../src/embeddings_file.rs"]
mod embeddings_file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| embeddings_file::check(bytes));
