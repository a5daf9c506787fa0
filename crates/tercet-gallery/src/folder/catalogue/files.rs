//! The names of files that the gallery has made, or is about to make: no other file of its folder is
//! ever overwritten or removed, whatever its name.

use std::collections::HashSet;

use super::Catalogue;
use crate::Error;

impl Catalogue {
    pub(in crate::folder) fn own_files(&self) -> Result<HashSet<String>, Error> {
        let names = self.rows("SELECT name FROM files", [], |row| row.get(0))?;
        Ok(names.into_iter().collect())
    }

    /// In a change of its own, before the file is made.
    pub(in crate::folder) fn announce(&mut self, names: &[String]) -> Result<(), Error> {
        self.change(|catalogue| {
            names.iter().try_for_each(|name| {
                catalogue.execute("INSERT OR IGNORE INTO files VALUES (?)", [name])
            })
        })
    }

    /// The file has been removed.
    pub(in crate::folder) fn forget(&self, name: &str) -> Result<(), Error> {
        self.execute("DELETE FROM files WHERE name = ?", [name])
    }
}
