//! An item that is a text: a row of a table, or a file.

use std::path::Path;
use std::sync::Arc;

/// A text of a source, and where it is written. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    file: Arc<Path>,
    text: Arc<str>,
}

impl Text {
    pub(in crate::data) fn new(file: Arc<Path>, text: &str) -> Self {
        Self { file, text: text.into() }
    }

    /// The text, without white space at both ends.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path of the file that contains it.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }
}
