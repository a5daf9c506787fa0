//! The sources of the items, so that their pictures can be found again.

use super::Catalogue;
use crate::Error;

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

impl Catalogue {
    pub(in crate::folder) fn sources(&self) -> Result<Vec<String>, Error> {
        match self.has_table("sources")? {
            true => self.rows("SELECT source FROM sources ORDER BY source", [], |row| row.get(0)),
            false => Ok(Vec::new()),
        }
    }

    pub(in crate::folder) fn note_source(&self, source: &str) -> Result<(), Error> {
        self.run(TABLE)?;
        self.execute("INSERT OR IGNORE INTO sources VALUES (?)", [source])
    }
}
