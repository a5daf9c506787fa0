//! The size and checksum of the model's file, as saved in the catalogue.

use rusqlite::params;

use super::Catalogue;
use crate::Error;

/// The expected properties of the model's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::folder) struct ModelFile {
    pub(in crate::folder) bytes: u64,
    pub(in crate::folder) checksum: u32,
}

impl ModelFile {
    /// The name of the file in the folder.
    pub(in crate::folder) const NAME: &str = "model.safetensors";
}

impl Catalogue {
    pub(in crate::folder) fn model_file(&self) -> Result<Option<ModelFile>, Error> {
        let mut found = self.rows("SELECT bytes, checksum FROM model", [], |row| {
            Ok(ModelFile { bytes: row.get::<_, i64>(0)? as u64, checksum: row.get(1)? })
        })?;
        Ok(found.pop())
    }

    pub(in crate::folder) fn set_model_file(&self, file: ModelFile) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO model VALUES (1, ?, ?)",
            params![file.bytes as i64, file.checksum],
        )
    }
}
