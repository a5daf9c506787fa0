//! The size and checksum of the model's file, as saved in the catalogue.

use rusqlite::params;

use super::Catalogue;
use crate::Error;

/// The expected properties of the model's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::folder) struct ModelFile {
    /// Its name in the folder.
    pub(in crate::folder) name: String,
    pub(in crate::folder) bytes: u64,
    pub(in crate::folder) checksum: u32,
}

impl ModelFile {
    /// The name of the file in the folder, unless an upgrade has given it another one.
    pub(in crate::folder) const NAME: &str = "model.safetensors";
}

impl Catalogue {
    pub(in crate::folder) fn model_file(&self) -> Result<Option<ModelFile>, Error> {
        let mut found = self.rows("SELECT bytes, checksum FROM model", [], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
        })?;
        let Some((bytes, checksum)) = found.pop() else { return Ok(None) };
        let name = self.model_name()?.unwrap_or_else(|| ModelFile::NAME.to_owned());
        Ok(Some(ModelFile { name, bytes, checksum }))
    }

    pub(in crate::folder) fn set_model_file(&self, file: &ModelFile) -> Result<(), Error> {
        self.set_model_name(file)?;
        self.execute(
            "INSERT OR REPLACE INTO model VALUES (1, ?, ?)",
            params![file.bytes as i64, file.checksum],
        )
    }
}
