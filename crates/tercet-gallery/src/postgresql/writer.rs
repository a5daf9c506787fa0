//! The writer of a gallery in a database.

use std::time::Instant;

use pgvector::Vector;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::Type;
use postgres::{Client, Transaction};

use super::address::Address;
use super::connection::{self, Connection, WRITING};
use super::search::{nearest, prepare_search};
use super::{FORMAT, SCHEMA, is_gallery, json, settings, size};
use crate::item::{check, distinct};
use crate::{
    Added, CodeRecall, Compacted, Duplicates, Error, Filter, Hnsw, Index, Item, Settings, Vectors,
    WriteGallery,
};

/// Queries on which the recall of a new graph is measured.
const SAMPLE: i64 = 100;

/// Changes a gallery in a database.
pub struct PostgresWriter {
    client: Client,
    settings: Settings,
}

impl PostgresWriter {
    /// Creates an empty gallery in the database.
    ///
    /// # Errors
    /// There is a gallery already; a quantization, which this kind of store does not support; an
    /// invalid address, or a schema that does not exist; a server that cannot be reached, has no
    /// pgvector, or does not allow to install it.
    pub fn create(address: &str, settings: Settings) -> Result<Self, Error> {
        if settings.dimensions == 0 {
            return Err(tercet::Error::NoDimensions.into());
        }
        if settings.quantization.is_some() {
            return Err(Error::Missing { what: "quantization", needs: "a gallery in a folder" });
        }
        let address = Address::parse(address)?;
        let Connection { mut client, schema } = connection::open(&address, WRITING)?;
        lock(&mut client, &address)?;
        if is_gallery(&mut client)? {
            return Err(Error::AlreadyThere { location: address.shown });
        }
        install_pgvector(&mut client)?;
        connection::enter(&mut client, &schema)?;
        let mut change = client.transaction()?;
        change.batch_execute(&SCHEMA.replace("DIMENSIONS", &settings.dimensions.to_string()))?;
        change.execute(
            "INSERT INTO tercet_gallery VALUES (1, $1, $2, $3, $4, $5, 1)",
            &[
                &FORMAT,
                &(settings.dimensions as i64),
                &settings.metric.distance.name(),
                &settings.metric.normalize,
                &settings.model,
            ],
        )?;
        change.commit()?;
        Ok(Self { client, settings })
    }

    /// Opens a gallery for writing.
    ///
    /// # Errors
    /// There is no gallery; another writer is active; a newer format; an invalid address; a server
    /// that cannot be reached.
    pub fn open(address: &str) -> Result<Self, Error> {
        let address = Address::parse(address)?;
        let Connection { mut client, .. } = connection::open(&address, WRITING)?;
        let (settings, _) = settings(&mut client, &address.shown)?;
        lock(&mut client, &address)?;
        Ok(Self { client, settings })
    }
}

impl WriteGallery for PostgresWriter {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn add(
        &mut self,
        vectors: Vectors,
        items: &[Item],
        duplicates: Duplicates,
    ) -> Result<Added, Error> {
        let rows = self.settings.accept(vectors)?;
        check(items, rows.nrows())?;
        let ids: Vec<&str> = items.iter().map(|item| &item.id[..]).collect();
        let mut change = self.client.transaction()?;
        if duplicates == Duplicates::Refuse
            && let Some(held) = change
                .query_opt("SELECT id FROM tercet_items WHERE id = ANY($1) LIMIT 1", &[&ids])?
        {
            return Err(Error::DuplicateId { id: held.try_get(0)? });
        }
        let replaced = change.execute("DELETE FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
        let vector = change.prepare("SELECT embedding FROM tercet_items")?;
        let vector =
            vector.columns().first().map_or(Type::UNKNOWN, |column| column.type_().clone());
        let copy = change.copy_in(
            "COPY tercet_items (id, label, attributes, media_type, thumbnail, embedding) \
             FROM STDIN BINARY",
        )?;
        let types = [Type::TEXT, Type::TEXT, Type::JSONB, Type::TEXT, Type::BYTEA, vector];
        let mut copy = BinaryCopyInWriter::new(copy, &types);
        for (item, row) in items.iter().zip(rows.outer_iter()) {
            let thumbnail = item.thumbnail.as_ref();
            copy.write(&[
                &item.id,
                &item.label,
                &json(&item.attributes),
                &thumbnail.map(|thumbnail| &thumbnail.media_type),
                &thumbnail.map(|thumbnail| &thumbnail.bytes),
                &Vector::from(row.to_vec()),
            ])?;
        }
        copy.finish()?;
        count_change(&mut change)?;
        change.commit()?;
        let replaced = replaced as usize;
        Ok(Added { added: items.len() - replaced, replaced })
    }

    fn remove(&mut self, ids: &[&str]) -> Result<(), Error> {
        distinct(ids.iter().copied())?;
        let mut change = self.client.transaction()?;
        let unknown = change.query_opt(
            "SELECT id FROM unnest($1::TEXT[]) AS given (id) \
             WHERE NOT EXISTS (SELECT FROM tercet_items WHERE tercet_items.id = given.id) LIMIT 1",
            &[&ids],
        )?;
        if let Some(unknown) = unknown {
            return Err(Error::UnknownId { id: unknown.try_get(0)? });
        }
        change.execute("DELETE FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
        count_change(&mut change)?;
        Ok(change.commit()?)
    }

    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error> {
        let begun = Instant::now();
        let mut change = self.client.transaction()?;
        change.batch_execute(&format!(
            "SET LOCAL statement_timeout = 0; DROP INDEX IF EXISTS tercet_items_hnsw; \
             CREATE INDEX tercet_items_hnsw ON tercet_items USING hnsw (embedding vector_l2_ops) \
             WITH (m = {}, ef_construction = {})",
            options.connectivity, options.expansion_add
        ))?;
        let seconds = begun.elapsed().as_secs_f64();
        let (recall_at_10, sample) = measure(&mut change, options.expansion_search)?;
        let rows: i64 = change.query_one("SELECT count(*) FROM tercet_items", &[])?.try_get(0)?;
        change.execute(
            "UPDATE tercet_gallery SET expansion_search = $1, index_rows = $2, index_recall = $3, \
             index_sample = $4, index_seconds = $5",
            &[&(options.expansion_search as i64), &rows, &recall_at_10, &(sample as i64), &seconds],
        )?;
        count_change(&mut change)?;
        change.commit()?;
        Ok(Index { rows: rows as u64, recall_at_10, sample, seconds })
    }

    fn keep_model(&mut self, file: &[u8]) -> Result<(), Error> {
        let mut change = self.client.transaction()?;
        change.execute(
            "INSERT INTO tercet_model VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET file = $1",
            &[&file],
        )?;
        count_change(&mut change)?;
        Ok(change.commit()?)
    }

    /// Returns `None`: this kind of store has no codes.
    fn measure_codes(&mut self) -> Result<Option<CodeRecall>, Error> {
        Ok(None)
    }

    /// The database manages its own log.
    fn empty_log(&mut self) -> Result<bool, Error> {
        Ok(true)
    }

    fn compact(&mut self) -> Result<Compacted, Error> {
        let before = size(&mut self.client)?;
        let dead = self
            .client
            .query_one("SELECT pg_stat_get_dead_tuples('tercet_items'::REGCLASS)", &[])?
            .try_get::<_, i64>(0)?;
        let limit = self.client.query_one("SELECT current_setting('statement_timeout')", &[])?;
        // This may take any time, and cannot be part of a transaction.
        self.client.batch_execute("SET statement_timeout = 0")?;
        let vacuumed = self.client.batch_execute("VACUUM tercet_items");
        self.client.execute(
            "SELECT set_config('statement_timeout', $1, false)",
            &[&limit.try_get::<_, String>(0)?],
        )?;
        vacuumed?;
        let bytes = before.saturating_sub(size(&mut self.client)?);
        Ok(Compacted { rows: dead as u64, bytes })
    }
}

/// Installs pgvector, which all schemas of a database share: it is installed where all users find
/// it, and not in the schema of the first gallery, with which it would be dropped.
fn install_pgvector(client: &mut Client) -> Result<(), Error> {
    let row = client.query_one(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'), \
         has_schema_privilege(to_regnamespace('public'), 'CREATE')",
        &[],
    )?;
    if row.try_get(0)? {
        return Ok(());
    }
    let public = row.try_get::<_, Option<bool>>(1)? == Some(true);
    let place = if public { " SCHEMA public" } else { "" };
    client.batch_execute(&format!("CREATE EXTENSION IF NOT EXISTS vector{place}"))?;
    Ok(())
}

/// Takes the lock of the schema: one writer at a time, whatever address was used, as long as its
/// connection is open.
fn lock(client: &mut Client, address: &Address) -> Result<(), Error> {
    let held = client.query_one(
        "SELECT pg_try_advisory_lock(hashtextextended('tercet ' || current_schema(), 0))",
        &[],
    )?;
    if held.try_get(0)? {
        return Ok(());
    }
    Err(Error::Locked { location: address.shown.clone() })
}

fn count_change(change: &mut Transaction) -> Result<(), Error> {
    change.execute("UPDATE tercet_gallery SET generation = generation + 1", &[])?;
    Ok(())
}

/// The share of the ten nearest that the graph finds. A query is x + 0.1 (y − x) with two vectors
/// x, y of the gallery.
fn measure(change: &mut Transaction, expansion_search: usize) -> Result<(f64, usize), Error> {
    let sample = change.query(
        "SELECT embedding FROM tercet_items ORDER BY hashtext(id), id LIMIT $1",
        &[&SAMPLE],
    )?;
    let sample = sample.iter().map(|row| Ok(row.try_get::<_, Vector>(0)?.to_vec()));
    let sample = sample.collect::<Result<Vec<Vec<f32>>, Error>>()?;
    let queries: Vec<Vector> = (0..sample.len())
        .map(|at| {
            let (own, other) = (&sample[at], &sample[(at + 1) % sample.len()]);
            let moved: Vec<f32> =
                own.iter().zip(other).map(|(own, other)| 0.9 * own + 0.1 * other).collect();
            Vector::from(moved)
        })
        .collect();
    let mut found = |graph: Option<i64>| -> Result<Vec<Vec<String>>, Error> {
        let mut part = change.transaction()?;
        prepare_search(&mut part, 10, graph)?;
        let mut ids = Vec::with_capacity(queries.len());
        for query in &queries {
            let rows = nearest(&mut part, query, 10, &Filter::default())?;
            ids.push(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?);
        }
        part.rollback()?;
        Ok(ids)
    };
    let (exact, by_graph) = (found(None)?, found(Some(expansion_search as i64))?);
    let wanted: usize = exact.iter().map(Vec::len).sum();
    let pairs = exact.iter().zip(&by_graph);
    let shared = pairs.flat_map(|(exact, found)| exact.iter().filter(|id| found.contains(id)));
    let recall = if wanted == 0 { 1.0 } else { shared.count() as f64 / wanted as f64 };
    Ok((recall, sample.len()))
}
