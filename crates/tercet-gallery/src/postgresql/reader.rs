//! The reader of a gallery in a database.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use pgvector::Vector;
use postgres::Row;

use super::address::Address;
use super::connection::{self, Connection, READING};
use super::pool::Pool;
use super::search::{index, nearest, prepare_search};
use super::{identity, item, settings, size};
use crate::item::at_least_one;
use crate::{
    Answer, BackedUp, Error, Hit, Info, Item, Page, ReadGallery, Search, Settings, Thumbnail,
    Vectors, Verified,
};

/// Reads a gallery in a database, over as many connections as there are concurrent queries, up to
/// 8.
pub struct PostgresReader {
    pool: Pool,
    settings: Settings,
    /// The version of the gallery at the last refresh.
    version: Mutex<String>,
}

impl PostgresReader {
    /// Opens a gallery for reading.
    ///
    /// # Errors
    /// There is no gallery; a newer format; an invalid address; a server that cannot be reached.
    pub fn open(address: &str) -> Result<Self, Error> {
        let address = Address::parse(address)?;
        let Connection { mut client, .. } = connection::open(&address, READING)?;
        let (settings, generation) = settings(&mut client, &address.shown)?;
        let version = Mutex::new(identity(&mut client)?.version(generation));
        Ok(Self { pool: Pool::new(address, client), settings, version })
    }
}

impl ReadGallery for PostgresReader {
    fn info(&self) -> Result<Info, Error> {
        self.pool.ask(|client| {
            let (settings, generation) = settings(client, self.pool.location())?;
            let id = identity(client)?;
            let labels = client.query(
                "SELECT label, count(*) FROM tercet_items WHERE label IS NOT NULL GROUP BY label",
                &[],
            )?;
            let count = |row: &Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)? as u64));
            let items = client.query_one("SELECT count(*) FROM tercet_items", &[])?;
            let model = client.query_one("SELECT EXISTS (SELECT FROM tercet_model)", &[])?;
            Ok(Info {
                location: self.pool.location().to_owned(),
                settings,
                has_model: model.try_get(0)?,
                items: items.try_get::<_, i64>(0)? as u64,
                removed: 0,
                labels: labels.iter().map(count).collect::<Result<_, Error>>()?,
                bytes: size(client)?,
                log_bytes: 0,
                version: id.version(generation),
                id: Some(id.gallery),
                generation,
                carried: None,
                previous_model: None,
                index: index(client)?.map(|(index, _)| index),
                codes: None,
            })
        })
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn refresh(&self) -> Result<bool, Error> {
        let (settings, version) = self.pool.ask(|client| {
            let (settings, generation) = settings(client, self.pool.location())?;
            Ok((settings, identity(client)?.version(generation)))
        })?;
        if settings != self.settings {
            return Err(Error::Replaced { location: self.pool.location().to_owned() });
        }
        let mut seen = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != version;
        *seen = version;
        Ok(changed)
    }

    fn search(&self, queries: Vectors, search: &Search) -> Result<Answer, Error> {
        let queries = self.settings.accept(queries)?;
        at_least_one(search.k)?;
        self.pool.ask(|client| {
            let mut moment = client.build_transaction().read_only(true).start()?;
            let graph = index(&mut moment)?.filter(|_| !search.exact);
            let method = prepare_search(&mut moment, search.k, graph.map(|(_, ef)| ef))?;
            let mut hits = Vec::with_capacity(queries.nrows());
            for query in queries.outer_iter() {
                let query = Vector::from(query.to_vec());
                let rows = nearest(&mut moment, &query, search.k, &search.filter)?;
                let hit = |row: &Row| {
                    let distance: f64 = row.try_get(3)?;
                    let distance = self.settings.metric.from_squared((distance * distance) as f32);
                    Ok(Hit { item: item(row)?, distance, origin: None })
                };
                hits.push(rows.iter().map(hit).collect::<Result<_, Error>>()?);
            }
            Ok(Answer { hits, method, carried: None })
        })
    }

    fn item(&self, id: &str) -> Result<Option<Item>, Error> {
        self.pool.ask(|client| {
            let row = client.query_opt(
                "SELECT id, label, attributes, media_type, thumbnail FROM tercet_items \
                 WHERE id = $1",
                &[&id],
            )?;
            let Some(row) = row else { return Ok(None) };
            let media_type: Option<String> = row.try_get(3)?;
            let thumbnail = media_type.zip(row.try_get(4)?);
            let thumbnail = thumbnail.map(|(media_type, bytes)| Thumbnail { media_type, bytes });
            Ok(Some(Item { thumbnail, ..item(&row)? }))
        })
    }

    fn items(&self, from: Option<i64>, limit: usize) -> Result<Page, Error> {
        self.pool.ask(|client| {
            let ask_for = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let mut rows = client.query(
                "SELECT id, label, attributes, item FROM tercet_items WHERE item >= $1 \
                 ORDER BY item LIMIT $2",
                &[&from.unwrap_or(0), &ask_for],
            )?;
            let more = (rows.len() > limit).then(|| rows.pop()).flatten();
            let next = more.map(|row| row.try_get(3)).transpose()?;
            Ok(Page { items: rows.iter().map(item).collect::<Result<_, Error>>()?, next })
        })
    }

    fn vectors(&self, ids: &[&str]) -> Result<Array2<f32>, Error> {
        self.pool.ask(|client| {
            let rows = client
                .query("SELECT id, embedding FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
            let known = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            let known = known.collect::<Result<BTreeMap<String, Vector>, Error>>()?;
            let mut vectors = Array2::zeros((ids.len(), self.settings.dimensions));
            for (mut out, &id) in vectors.outer_iter_mut().zip(ids) {
                let Some(vector) = known.get(id) else {
                    return Err(Error::UnknownId { id: id.into() });
                };
                out.iter_mut().zip(vector.as_slice()).for_each(|(out, &x)| *out = x);
            }
            Ok(vectors)
        })
    }

    fn model(&self) -> Result<Option<Vec<u8>>, Error> {
        self.pool.ask(|client| {
            let row = client.query_opt("SELECT file FROM tercet_model", &[])?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })
    }

    /// Reads every row, without a time limit; the database itself compares its pages with their
    /// checksums, if these are enabled.
    fn verify(&self) -> Result<Verified, Error> {
        self.pool.ask(|client| {
            let dimensions = self.settings.dimensions as i64;
            let mut moment = client.build_transaction().read_only(true).start()?;
            moment.batch_execute("SET LOCAL statement_timeout = 0")?;
            let row = moment.query_one(
                "SELECT count(*), count(*) FILTER (WHERE vector_dims(embedding) <> $1), \
                 count(length(thumbnail)) FROM tercet_items",
                &[&(dimensions as i32)],
            )?;
            let (rows, odd): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if odd > 0 {
                let what = format!("{odd} vectors have not {dimensions} dimensions");
                return Err(Error::damaged(Path::new(self.pool.location()), what));
            }
            let bytes = (rows * 4 * dimensions) as u64;
            Ok(Verified { rows: rows as u64, items: rows as u64, bytes })
        })
    }

    fn back_up(&self, _: &Path) -> Result<BackedUp, Error> {
        Err(Error::Missing { what: "a backup of a gallery in a database", needs: "pg_dump" })
    }
}
