//! Parquet files: tables of items and of embeddings.
//!
//! The libraries that read Parquet take longer to compile than most of this crate, and few programs
//! need them. This crate therefore only says what it needs of such files. A program that wants them
//! calls `tercet_parquet::enable()`, which [registers](use_files) the crate `tercet-parquet` here.

use std::path::Path;
use std::sync::OnceLock;

use tercet::FULL_BUILD;

use super::{Embeddings, OutOfRange};

/// Reads and writes Parquet files.
pub trait ParquetFiles: Send + Sync {
    /// The names of the columns of a file; empty if it is not a Parquet file.
    fn columns(&self, path: &Path) -> Vec<String>;

    /// The rows of a table as texts, from the content of a file. The cells of columns that are not
    /// `known` are empty, and so are nulls.
    ///
    /// # Errors
    /// Content that is not Parquet, or claims more than is plausible; a column of another type than
    /// texts, numbers or flags.
    fn table(&self, content: Vec<u8>, known: &[&str]) -> Result<Table, String>;

    /// Embeddings from the content of a file with the columns `embedding` and, if they exist,
    /// `label` and `id`; see [`Embeddings::from_bytes`].
    ///
    /// # Errors
    /// What is wrong with the content, and where.
    fn read(&self, content: Vec<u8>) -> Result<(Embeddings, OutOfRange), String>;

    /// The content of a file with these embeddings. The same embeddings give the same bytes.
    ///
    /// # Errors
    /// Embeddings that the format cannot store.
    fn write(&self, embeddings: &Embeddings) -> Result<Vec<u8>, String>;
}

/// The cells of a table as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of its columns.
    pub header: Vec<String>,
    /// Its rows, each with one cell per column.
    pub rows: Vec<Vec<String>>,
}

static FILES: OnceLock<&'static dyn ParquetFiles> = OnceLock::new();

/// Registers how this process reads and writes Parquet files. The first call counts.
pub fn use_files(files: &'static dyn ParquetFiles) {
    let _ = FILES.set(files);
}

/// Whether this process reads and writes Parquet files.
pub fn is_enabled() -> bool {
    FILES.get().is_some()
}

/// What was registered.
///
/// # Errors
/// Nothing was: the message says how to get a build that has it.
pub(crate) fn files() -> Result<&'static dyn ParquetFiles, String> {
    FILES.get().copied().ok_or_else(|| format!("this build has no Parquet: {FULL_BUILD}"))
}
