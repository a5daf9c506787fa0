#![no_main]

#[path = "../src/evaluate.rs"]
mod evaluate;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evaluate::check(bytes));
