#![no_main]

#[path = "../src/image_file.rs"]
mod image_file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| image_file::check(bytes));
