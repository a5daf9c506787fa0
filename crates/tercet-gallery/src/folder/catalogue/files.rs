//! The names of the files that the gallery has created, or is about to create: no other file of its
//! folder is ever overwritten or removed, whatever its name.

use std::collections::HashSet;

use super::Catalogue;
use crate::Error;

impl Catalogue {
    pub(in crate::folder) fn own_files(&self) -> Result<HashSet<String>, Error> {
        let names = self.rows("SELECT name FROM files", [], |row| row.get(0))?;
        Ok(names.into_iter().collect())
    }

    /// Registers the names in a transaction of its own, before the files are created.
    pub(in crate::folder) fn announce(&mut self, names: &[String]) -> Result<(), Error> {
        self.change(|catalogue| {
            names.iter().try_for_each(|name| {
                catalogue.execute("INSERT OR IGNORE INTO files VALUES (?)", [name])
            })
        })
    }

    /// Removes the name of a file that has been deleted.
    pub(in crate::folder) fn forget(&self, name: &str) -> Result<(), Error> {
        self.execute("DELETE FROM files WHERE name = ?", [name])
    }
}
