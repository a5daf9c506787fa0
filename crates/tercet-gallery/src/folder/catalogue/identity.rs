//! Identifies a gallery and its current state.

use rusqlite::{OptionalExtension, params};

use super::Catalogue;
use crate::Error;
use crate::error::AtPath;

/// The number of changes that are remembered, so that a reader can decide whether its own state is
/// an earlier one of this gallery.
const REMEMBERED: i64 = 1000;

/// One state of one gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::folder) struct State {
    /// The gallery's random id; `None` where only older versions have written.
    pub(in crate::folder) id: Option<String>,
    pub(in crate::folder) generation: i64,
    /// A random number that each change gets: two galleries, or two continuations of one backup,
    /// may have the same generation.
    pub(in crate::folder) token: Option<i64>,
}

impl State {
    /// Text that differs for every state of every gallery.
    pub(in crate::folder) fn version(&self) -> String {
        let id = self.id.as_deref().unwrap_or("unnamed");
        let token = self.token.map_or_else(String::new, |token| format!("-{token:016x}"));
        format!("{id}-{}{token}", self.generation)
    }
}

impl Catalogue {
    pub(in crate::folder) fn state(&self) -> Result<State, Error> {
        let generation = self.head()?.generation;
        Ok(State { id: self.id()?, generation, token: self.token(generation)? })
    }

    fn id(&self) -> Result<Option<String>, Error> {
        if !self.additions {
            return Ok(None);
        }
        Ok(self.rows("SELECT id FROM identity", [], |row| row.get(0))?.pop())
    }

    /// Gives the gallery an id, if it has none.
    pub(super) fn name_it(&self) -> Result<(), Error> {
        self.execute("INSERT OR IGNORE INTO identity VALUES (1, lower(hex(randomblob(16))))", [])
    }

    fn token(&self, generation: i64) -> Result<Option<i64>, Error> {
        if !self.additions {
            return Ok(None);
        }
        self.sql
            .prepare_cached("SELECT token FROM changes WHERE generation = ?")
            .and_then(|mut rows| rows.query_row([generation], |row| row.get(0)).optional())
            .at(&self.path)
    }

    /// Whether `before` is an earlier state of this gallery. Returns false if its generation is no
    /// longer remembered.
    pub(in crate::folder) fn continues(&self, before: &State) -> Result<bool, Error> {
        let now = self.state()?;
        Ok(now.id == before.id
            && now.generation >= before.generation
            && self.token(before.generation)? == before.token)
    }

    /// Saves a new random token for a generation.
    pub(super) fn remember_change(&self, generation: i64) -> Result<(), Error> {
        self.execute("INSERT OR REPLACE INTO changes VALUES (?, random())", [generation])?;
        self.execute("DELETE FROM changes WHERE generation <= ?", params![generation - REMEMBERED])
    }
}
