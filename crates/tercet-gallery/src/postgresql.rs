//! The same gallery in a PostgreSQL-compatible database with pgvector, for what one machine cannot
//! hold.
//!
//! Two tables in the schema that the address leads to (`?options=-csearch_path%3Dfaces` chooses
//! another, and so another gallery): `tercet_gallery` with one row of settings, `tercet_items` with
//! a row an item: id, label, attributes as JSON, thumbnail, and the vector. Distances are taken by
//! the database, by differences. It answers from its newest committed state, and guards its own
//! pages: turn its data checksums on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ndarray::Array2;
use pgvector::Vector;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use postgres::{Client, GenericClient, NoTls, Row, Transaction};
use tercet::Metric;

use crate::item::{at_least_one, check, distinct};
use crate::{
    Added, Answer, Compacted, Duplicates, Error, Filter, Hit, Hnsw, Index, Info, Item, Method,
    Page, ReadGallery, Search, Settings, Thumbnail, Vectors, Verified, WriteGallery,
};

const FORMAT: i64 = 1;

/// Queries on which a new graph is measured.
const SAMPLE: i64 = 100;

const SCHEMA: &str = "
CREATE TABLE tercet_gallery (
    one INTEGER PRIMARY KEY CHECK (one = 1), format BIGINT NOT NULL,
    dimensions BIGINT NOT NULL, distance TEXT NOT NULL, normalize BOOLEAN NOT NULL,
    model TEXT NOT NULL, generation BIGINT NOT NULL, expansion_search BIGINT,
    index_rows BIGINT, index_recall DOUBLE PRECISION, index_sample BIGINT,
    index_seconds DOUBLE PRECISION
);
CREATE TABLE tercet_items (
    item BIGSERIAL PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT, attributes JSONB NOT NULL,
    media_type TEXT, thumbnail BYTEA, embedding VECTOR(DIMENSIONS) NOT NULL
);
CREATE INDEX tercet_items_by_label ON tercet_items (label);
CREATE INDEX tercet_items_by_attribute ON tercet_items USING gin (attributes jsonb_path_ops);
";

/// Changes a gallery in a database.
pub struct PostgresWriter {
    client: Client,
    settings: Settings,
}

/// Reads a gallery in a database, over as many connections as there are threads that ask.
pub struct PostgresReader {
    address: String,
    settings: Settings,
    idle: Mutex<Vec<Client>>,
    generation: AtomicI64,
}

impl PostgresWriter {
    /// Makes an empty gallery in the database.
    ///
    /// # Errors
    /// There is one already; a quantization, which this kind of store leaves to the database; a
    /// server that cannot be reached, has no pgvector, or does not allow it.
    pub fn create(address: &str, settings: Settings) -> Result<Self, Error> {
        if settings.dimensions == 0 {
            return Err(tercet::Error::NoDimensions.into());
        }
        if settings.quantization.is_some() {
            return Err(Error::Missing { what: "quantization", needs: "a gallery in a folder" });
        }
        let mut client = Client::connect(address, NoTls)?;
        lock(&mut client, address)?;
        if is_gallery(&mut client)? {
            return Err(Error::AlreadyThere { location: public(address) });
        }
        let mut change = client.transaction()?;
        change.batch_execute("CREATE EXTENSION IF NOT EXISTS vector")?;
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

    /// Opens a gallery to change it.
    ///
    /// # Errors
    /// There is none; another writer is at work; a newer format; a server that cannot be reached.
    pub fn open(address: &str) -> Result<Self, Error> {
        let mut client = Client::connect(address, NoTls)?;
        let (settings, _) = settings(&mut client, address)?;
        lock(&mut client, address)?;
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
            return Err(Error::DuplicateId { id: held.get(0) });
        }
        let replaced = change.execute("DELETE FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
        let vector =
            change.prepare("SELECT embedding FROM tercet_items")?.columns()[0].type_().clone();
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
            return Err(Error::UnknownId { id: unknown.get(0) });
        }
        change.execute("DELETE FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
        count_change(&mut change)?;
        Ok(change.commit()?)
    }

    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error> {
        let begun = Instant::now();
        let mut change = self.client.transaction()?;
        change.batch_execute(&format!(
            "DROP INDEX IF EXISTS tercet_items_hnsw; \
             CREATE INDEX tercet_items_hnsw ON tercet_items USING hnsw (embedding vector_l2_ops) \
             WITH (m = {}, ef_construction = {})",
            options.connectivity, options.expansion_add
        ))?;
        let seconds = begun.elapsed().as_secs_f64();
        let (recall_at_10, sample) = measure(&mut change, options.expansion_search)?;
        let rows: i64 = change.query_one("SELECT count(*) FROM tercet_items", &[])?.get(0);
        change.execute(
            "UPDATE tercet_gallery SET expansion_search = $1, index_rows = $2, index_recall = $3, \
             index_sample = $4, index_seconds = $5",
            &[&(options.expansion_search as i64), &rows, &recall_at_10, &(sample as i64), &seconds],
        )?;
        count_change(&mut change)?;
        change.commit()?;
        Ok(Index { rows: rows as u64, recall_at_10, sample, seconds })
    }

    fn compact(&mut self) -> Result<Compacted, Error> {
        let before = size(&mut self.client)?;
        let dead = self
            .client
            .query_one("SELECT pg_stat_get_dead_tuples('tercet_items'::REGCLASS)", &[])?
            .get::<_, i64>(0);
        self.client.batch_execute("VACUUM tercet_items")?;
        let bytes = before.saturating_sub(size(&mut self.client)?);
        Ok(Compacted { rows: dead as u64, bytes })
    }
}

impl PostgresReader {
    /// Opens a gallery to read it.
    ///
    /// # Errors
    /// There is none; a newer format; a server that cannot be reached.
    pub fn open(address: &str) -> Result<Self, Error> {
        let mut client = Client::connect(address, NoTls)?;
        let (settings, generation) = settings(&mut client, address)?;
        let (idle, generation) = (Mutex::new(vec![client]), AtomicI64::new(generation));
        Ok(Self { address: address.into(), settings, idle, generation })
    }

    /// Asks over an idle connection, or another one.
    fn ask<T>(&self, question: impl FnOnce(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop().filter(|client| !client.is_closed());
        let mut client = match known {
            Some(client) => client,
            None => Client::connect(&self.address, NoTls)?,
        };
        let answer = question(&mut client);
        idle().push(client);
        answer
    }
}

impl ReadGallery for PostgresReader {
    fn info(&self) -> Result<Info, Error> {
        self.ask(|client| {
            let (settings, generation) = settings(client, &self.address)?;
            let labels = client.query(
                "SELECT label, count(*) FROM tercet_items WHERE label IS NOT NULL GROUP BY label",
                &[],
            )?;
            let count = |row: &Row| (row.get(0), row.get::<_, i64>(1) as u64);
            let items: i64 = client.query_one("SELECT count(*) FROM tercet_items", &[])?.get(0);
            Ok(Info {
                location: public(&self.address),
                settings,
                items: items as u64,
                removed: 0,
                labels: labels.iter().map(count).collect(),
                bytes: size(client)?,
                generation,
                index: index(client)?.map(|(index, _)| index),
            })
        })
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn refresh(&self) -> Result<bool, Error> {
        let (_, now) = self.ask(|client| settings(client, &self.address))?;
        Ok(self.generation.swap(now, Relaxed) != now)
    }

    fn search(&self, queries: Vectors, search: &Search) -> Result<Answer, Error> {
        let queries = self.settings.accept(queries)?;
        at_least_one(search.k)?;
        self.ask(|client| {
            let mut moment = client.build_transaction().read_only(true).start()?;
            let graph = index(&mut moment)?.filter(|_| !search.exact);
            let method = prepare_search(&mut moment, search.k, graph.map(|(_, ef)| ef))?;
            let mut hits = Vec::with_capacity(queries.nrows());
            for query in queries.outer_iter() {
                let query = Vector::from(query.to_vec());
                let rows = nearest(&mut moment, &query, search.k, &search.filter)?;
                let hit = |row: &Row| {
                    let distance: f64 = row.get(3);
                    let distance = self.settings.metric.from_squared((distance * distance) as f32);
                    Hit { item: item(row), distance }
                };
                hits.push(rows.iter().map(hit).collect());
            }
            Ok(Answer { hits, method })
        })
    }

    fn item(&self, id: &str) -> Result<Option<Item>, Error> {
        self.ask(|client| {
            let row = client.query_opt(
                "SELECT id, label, attributes, media_type, thumbnail FROM tercet_items \
                 WHERE id = $1",
                &[&id],
            )?;
            Ok(row.map(|row| {
                let media_type: Option<String> = row.get(3);
                let bytes: Option<Vec<u8>> = row.get(4);
                let thumbnail = media_type.zip(bytes);
                let thumbnail =
                    thumbnail.map(|(media_type, bytes)| Thumbnail { media_type, bytes });
                Item { thumbnail, ..item(&row) }
            }))
        })
    }

    fn items(&self, from: Option<i64>, limit: usize) -> Result<Page, Error> {
        self.ask(|client| {
            let ask_for = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let mut rows = client.query(
                "SELECT id, label, attributes, item FROM tercet_items WHERE item >= $1 \
                 ORDER BY item LIMIT $2",
                &[&from.unwrap_or(0), &ask_for],
            )?;
            let more = (rows.len() > limit).then(|| rows.pop()).flatten();
            let next = more.map(|row| row.get(3));
            Ok(Page { items: rows.iter().map(item).collect(), next })
        })
    }

    fn vectors(&self, ids: &[&str]) -> Result<Array2<f32>, Error> {
        self.ask(|client| {
            let rows = client
                .query("SELECT id, embedding FROM tercet_items WHERE id = ANY($1)", &[&ids])?;
            let known: BTreeMap<String, Vector> =
                rows.iter().map(|row| (row.get(0), row.get(1))).collect();
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

    /// Reads every row; the database itself compares its pages with their checksums, if it keeps
    /// any.
    fn verify(&self) -> Result<Verified, Error> {
        self.ask(|client| {
            let dimensions = self.settings.dimensions as i64;
            let row = client.query_one(
                "SELECT count(*), count(*) FILTER (WHERE vector_dims(embedding) <> $1), \
                 count(length(thumbnail)) FROM tercet_items",
                &[&(dimensions as i32)],
            )?;
            let (rows, odd): (i64, i64) = (row.get(0), row.get(1));
            if odd > 0 {
                let location = public(&self.address);
                let what = format!("{odd} vectors have not {dimensions} dimensions");
                return Err(Error::damaged(Path::new(&location), what));
            }
            let bytes = (rows * 4 * dimensions) as u64;
            Ok(Verified { rows: rows as u64, items: rows as u64, bytes })
        })
    }
}

fn is_gallery(client: &mut impl GenericClient) -> Result<bool, Error> {
    let table = client.query_one("SELECT to_regclass('tercet_gallery') IS NOT NULL", &[])?;
    Ok(table.get(0))
}

fn settings(client: &mut impl GenericClient, address: &str) -> Result<(Settings, i64), Error> {
    let location = || public(address);
    if !is_gallery(client)? {
        return Err(Error::NotAGallery { location: location() });
    }
    let head = client.query_opt("SELECT * FROM tercet_gallery", &[])?;
    let Some(head) = head else { return Err(Error::NotAGallery { location: location() }) };
    let found: i64 = head.try_get("format")?;
    if found > FORMAT {
        return Err(Error::NewerFormat { location: location(), found, known: FORMAT });
    }
    let settings = Settings {
        dimensions: head.try_get::<_, i64>("dimensions")? as usize,
        metric: Metric {
            distance: head.try_get::<_, String>("distance")?.parse()?,
            normalize: head.try_get("normalize")?,
        },
        model: head.try_get("model")?,
        quantization: None,
    };
    Ok((settings, head.try_get("generation")?))
}

/// One writer a schema, for as long as its connection lives.
fn lock(client: &mut Client, address: &str) -> Result<(), Error> {
    let held = client.query_one(
        "SELECT pg_try_advisory_lock(hashtextextended('tercet ' || current_schema(), 0))",
        &[],
    )?;
    if held.get(0) {
        return Ok(());
    }
    Err(Error::Locked { location: public(address) })
}

fn count_change(change: &mut Transaction) -> Result<(), Error> {
    change.execute("UPDATE tercet_gallery SET generation = generation + 1", &[])?;
    Ok(())
}

fn size(client: &mut impl GenericClient) -> Result<u64, Error> {
    let bytes = client.query_one("SELECT pg_total_relation_size('tercet_items')", &[])?;
    Ok(bytes.get::<_, i64>(0) as u64)
}

/// The HNSW graph and how many candidates its searches keep.
fn index(client: &mut impl GenericClient) -> Result<Option<(Index, i64)>, Error> {
    let row = client.query_one(
        "SELECT expansion_search, index_rows, index_recall, index_sample, index_seconds \
         FROM tercet_gallery",
        &[],
    )?;
    let Some(expansion_search) = row.get::<_, Option<i64>>(0) else { return Ok(None) };
    let index = Index {
        rows: row.get::<_, i64>(1) as u64,
        recall_at_10: row.get(2),
        sample: row.get::<_, i64>(3) as usize,
        seconds: row.get(4),
    };
    Ok(Some((index, expansion_search)))
}

/// Makes the searches of this transaction walk the graph, or pass it over.
fn prepare_search(
    moment: &mut Transaction,
    k: usize,
    expansion_search: Option<i64>,
) -> Result<Method, Error> {
    let Some(expansion_search) = expansion_search else {
        // Not even a tiny gallery is then searched through the graph.
        moment.batch_execute("SET LOCAL enable_indexscan = off")?;
        return Ok(Method::Exact);
    };
    // pgvector keeps at most 1000; beyond that its iterative scan goes on where it stopped.
    let candidates = expansion_search.max(i64::try_from(k).unwrap_or(i64::MAX)).clamp(1, 1000);
    moment.batch_execute(&format!(
        "SET LOCAL hnsw.ef_search = {candidates}; SET LOCAL hnsw.iterative_scan = strict_order; \
         SET LOCAL enable_seqscan = off"
    ))?;
    Ok(Method::Hnsw)
}

fn nearest(
    moment: &mut Transaction,
    query: &Vector,
    k: usize,
    filter: &Filter,
) -> Result<Vec<Row>, Error> {
    let k = i64::try_from(k).unwrap_or(i64::MAX);
    let attributes = json(&filter.attributes);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![query, &k];
    let mut conditions = String::new();
    let mut also = |condition: &str, value| {
        values.push(value);
        let word = if values.len() == 3 { " WHERE " } else { " AND " };
        conditions += &format!("{word}{}", condition.replace('?', &format!("${}", values.len())));
    };
    if !filter.labels.is_empty() {
        also("label = ANY(?)", &filter.labels);
    }
    if !filter.attributes.is_empty() {
        also("attributes @> ?", &attributes);
    }
    if !filter.without.is_empty() {
        also("id <> ALL(?)", &filter.without);
    }
    let statement = format!(
        "SELECT id, label, attributes, embedding <-> $1 FROM tercet_items{conditions} \
         ORDER BY embedding <-> $1 LIMIT $2"
    );
    Ok(moment.query(&statement, &values)?)
}

/// The share of the ten nearest that the graph finds. Queries are vectors of the gallery, moved a
/// tenth of the way to another one.
fn measure(change: &mut Transaction, expansion_search: usize) -> Result<(f64, usize), Error> {
    let sample = change.query(
        "SELECT embedding FROM tercet_items ORDER BY hashtext(id), id LIMIT $1",
        &[&SAMPLE],
    )?;
    let sample: Vec<Vec<f32>> = sample.iter().map(|row| row.get::<_, Vector>(0).to_vec()).collect();
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
            ids.push(rows.iter().map(|row| row.get(0)).collect());
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

/// An item of a row that begins with its id, label and attributes.
fn item(row: &Row) -> Item {
    let attributes: serde_json::Value = row.get(2);
    let attributes = attributes.as_object().into_iter().flatten();
    let attributes = attributes
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    Item { id: row.get(0), label: row.get(1), attributes, thumbnail: None }
}

fn json(attributes: &BTreeMap<String, String>) -> serde_json::Value {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), serde_json::Value::String(value.clone())))
        .collect()
}

/// The address without user and password.
fn public(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
            let rest = rest[host..].split('?').next().unwrap_or_default();
            format!("{scheme}://{rest}")
        }
        None => "the database".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_told() {
        assert_eq!(public("postgres://ann:secret@host:5432/faces"), "postgres://host:5432/faces");
        assert_eq!(public("postgres://host/faces?password=secret"), "postgres://host/faces");
        assert_eq!(public("postgres://ann:sec@ret@host"), "postgres://host");
        assert_eq!(public("host=x password=secret"), "the database");
    }
}
