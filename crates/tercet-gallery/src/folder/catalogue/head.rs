//! The row of the table `gallery`: settings and counters.

use rusqlite::params;
use tercet::Metric;

use super::Catalogue;
use super::checksum::Checksum;
use crate::{Error, Settings};

/// The row of the table `gallery`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::folder) struct Head {
    pub(in crate::folder) settings: Settings,
    pub(in crate::folder) generation: i64,
    pub(in crate::folder) items: i64,
    /// The number of segments that were ever started, which is the number of the next one.
    pub(in crate::folder) segments: u32,
}

impl Head {
    fn checksum(&self) -> i64 {
        let settings = &self.settings;
        let mut sum = Checksum::default();
        sum.number(settings.dimensions as i64).text(settings.metric.distance.name());
        sum.number(i64::from(settings.metric.normalize)).text(&settings.model);
        sum.text(settings.quantization.map_or("", |kind| kind.name()));
        sum.number(self.generation).number(self.items).number(i64::from(self.segments));
        sum.value()
    }
}

impl Catalogue {
    pub(in crate::folder) fn head(&self) -> Result<Head, Error> {
        let (head, checksum) = self
            .sql
            .prepare_cached(
                "SELECT dimensions, distance, normalize, model, quantization, generation, items, \
                 segments, checksum FROM gallery",
            )
            .and_then(|mut rows| {
                rows.query_row([], |row| {
                    let name: String = row.get(1)?;
                    let quantization: Option<String> = row.get(4)?;
                    let settings = Settings {
                        dimensions: row.get::<_, i64>(0)? as usize,
                        metric: Metric {
                            distance: name.parse().map_err(|error| unreadable(1, error))?,
                            normalize: row.get(2)?,
                        },
                        model: row.get(3)?,
                        quantization: quantization
                            .map(|name| name.parse().map_err(|error| unreadable(4, error)))
                            .transpose()?,
                    };
                    let head = Head {
                        settings,
                        generation: row.get(5)?,
                        items: row.get(6)?,
                        segments: row.get(7)?,
                    };
                    Ok((head, row.get::<_, i64>(8)?))
                })
            })
            .map_err(|error| self.unreadable("its settings", error))?;
        if head.checksum() != checksum || head.settings.dimensions == 0 {
            return Err(Error::damaged(&self.path, "the checksum of its settings does not match"));
        }
        Ok(head)
    }

    pub(in crate::folder) fn set_head(&self, head: &Head) -> Result<(), Error> {
        let settings = &head.settings;
        self.execute(
            "INSERT OR REPLACE INTO gallery VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                settings.dimensions as i64,
                settings.metric.distance.name(),
                settings.metric.normalize,
                settings.model,
                settings.quantization.map(|kind| kind.name()),
                head.generation,
                head.items,
                head.segments,
                head.checksum(),
            ],
        )?;
        self.remember_change(head.generation)
    }
}

fn unreadable(column: usize, error: tercet::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
