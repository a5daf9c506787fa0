//! Parquet files for Tercet: tables of items or texts, and embeddings.
//!
//! [`tercet_train`] reads manifests, texts and embeddings from Parquet, and writes embeddings to it, once
//! a program has called [`enable`]. The code is a crate of its own because the libraries under it
//! take long to compile. What a file claims to contain is checked before memory is allocated for it.

mod claims;
mod embeddings;
mod table;

use std::path::Path;

use tercet_train::embeddings::parquet::{self, ParquetFiles, Table};
use tercet_train::embeddings::{Embeddings, OutOfRange};

/// Lets `tercet_train` read and write Parquet files in this process.
pub fn enable() {
    parquet::use_files(&Files);
}

struct Files;

impl ParquetFiles for Files {
    fn columns(&self, path: &Path) -> Vec<String> {
        table::columns(path)
    }

    fn table(&self, content: Vec<u8>, known: &[&str]) -> Result<Table, String> {
        table::read(content, known)
    }

    fn read(&self, content: Vec<u8>) -> Result<(Embeddings, OutOfRange), String> {
        embeddings::read(content)
    }

    fn write(&self, embeddings: &Embeddings) -> Result<Vec<u8>, String> {
        embeddings::write(embeddings)
    }
}

/// Compiles the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
