//! An item that is a vector: a row of a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, ArrayView1};

/// One row of a file of vectors, which is in memory as a whole. Cheap to clone.
#[derive(Clone)]
pub struct Vector {
    table: Arc<(PathBuf, Array2<f32>)>,
    row: usize,
}

impl Vector {
    /// A row of a table that was read from this file.
    pub(crate) fn new(table: Arc<(PathBuf, Array2<f32>)>, row: usize) -> Self {
        Self { table, row }
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.table.0
    }

    /// The components.
    pub fn values(&self) -> ArrayView1<'_, f32> {
        self.table.1.row(self.row)
    }
}

impl PartialEq for Vector {
    fn eq(&self, other: &Self) -> bool {
        self.table.0 == other.table.0 && self.row == other.row
    }
}

impl Eq for Vector {}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vector").field(&self.table.0).field(&self.row).finish()
    }
}
