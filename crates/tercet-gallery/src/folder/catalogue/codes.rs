//! The measured recall of the codes, as saved in the catalogue.

use rusqlite::params;

use super::Catalogue;
use crate::{CodeRecall, Error};

/// A measurement of the codes, and the number of candidates that searches use because of it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::folder) struct MeasuredCodes {
    /// The factor by which the number of candidates is multiplied.
    pub(in crate::folder) factor: usize,
    pub(in crate::folder) recall: CodeRecall,
}

impl Catalogue {
    pub(in crate::folder) fn codes(&self) -> Result<Option<MeasuredCodes>, Error> {
        if !self.additions {
            return Ok(None);
        }
        let mut found = self.rows(
            "SELECT factor, rows, recall_at_10, sample, candidates, seconds FROM codes",
            [],
            |row| {
                Ok(MeasuredCodes {
                    factor: row.get::<_, i64>(0)?.max(1) as usize,
                    recall: CodeRecall {
                        rows: row.get::<_, i64>(1)? as u64,
                        recall_at_10: row.get(2)?,
                        sample: row.get::<_, i64>(3)? as usize,
                        candidates: row.get::<_, i64>(4)? as usize,
                        seconds: row.get(5)?,
                    },
                })
            },
        )?;
        Ok(found.pop())
    }

    pub(in crate::folder) fn set_codes(&self, codes: &MeasuredCodes) -> Result<(), Error> {
        let recall = &codes.recall;
        self.execute(
            "INSERT OR REPLACE INTO codes VALUES (1, ?, ?, ?, ?, ?, ?)",
            params![
                codes.factor as i64,
                recall.rows as i64,
                recall.recall_at_10,
                recall.sample as i64,
                recall.candidates as i64,
                recall.seconds,
            ],
        )
    }
}
