//! A gallery in a PostgreSQL-compatible database with pgvector, for galleries that are too large
//! for one machine.
//!
//! The gallery consists of three tables in the first schema of the address's search path
//! (`?options=-csearch_path%3Dfaces` chooses another schema, and so another gallery):
//! `tercet_gallery` with one row of settings, `tercet_items` with one row per item (id, label,
//! attributes as JSON, thumbnail and vector), and `tercet_model` with the model's file if there is
//! one. The database computes the distances, from differences. A reader sees the newest committed
//! state. The database protects its own pages: turn its data checksums on.
//!
//! `address` parses the address, with `tls` and `password`; `connection` opens one connection, and
//! `pool` shares a few of them among a reader's threads.

mod address;
mod connection;
mod password;
mod pool;
mod reader;
mod search;
mod tls;
mod writer;

pub use reader::PostgresReader;
pub use writer::PostgresWriter;

use std::collections::BTreeMap;

use postgres::{GenericClient, Row};
use tercet::Metric;

use crate::{Error, Item, Settings};

const FORMAT: i64 = 1;

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
CREATE TABLE tercet_model (one INTEGER PRIMARY KEY CHECK (one = 1), file BYTEA NOT NULL);
CREATE INDEX tercet_items_by_label ON tercet_items (label);
CREATE INDEX tercet_items_by_attribute ON tercet_items USING gin (attributes jsonb_path_ops);
";

fn is_gallery(client: &mut impl GenericClient) -> Result<bool, Error> {
    // Look in this schema only: a table of another schema on the search path is another gallery.
    let table = client.query_one(
        "SELECT to_regclass(quote_ident(current_schema()) || '.tercet_gallery') IS NOT NULL",
        &[],
    )?;
    Ok(table.try_get(0)?)
}

fn settings(client: &mut impl GenericClient, location: &str) -> Result<(Settings, i64), Error> {
    let location = || location.to_owned();
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

/// Identifies a gallery of the database and its current state.
struct Identity {
    gallery: String,
    transaction: String,
}

impl Identity {
    /// Text that differs for every state of every gallery.
    fn version(&self, generation: i64) -> String {
        format!("{}-{generation}-{}", self.gallery, self.transaction)
    }
}

/// The identity consists of the number (OID) of the gallery's table, and of the transaction of its
/// last change.
fn identity(client: &mut impl GenericClient) -> Result<Identity, Error> {
    let row = client.query_one(
        "SELECT 'tercet_gallery'::REGCLASS::OID::TEXT, xmin::TEXT FROM tercet_gallery",
        &[],
    )?;
    Ok(Identity { gallery: row.try_get(0)?, transaction: row.try_get(1)? })
}

fn size(client: &mut impl GenericClient) -> Result<u64, Error> {
    let bytes = client.query_one("SELECT pg_total_relation_size('tercet_items')", &[])?;
    Ok(bytes.try_get::<_, i64>(0)? as u64)
}

/// The item of a row whose first columns are id, label and attributes.
fn item(row: &Row) -> Result<Item, Error> {
    let attributes: serde_json::Value = row.try_get(2)?;
    let attributes = attributes.as_object().into_iter().flatten();
    let attributes = attributes
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    Ok(Item { id: row.try_get(0)?, label: row.try_get(1)?, attributes, thumbnail: None })
}

fn json(attributes: &BTreeMap<String, String>) -> serde_json::Value {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), serde_json::Value::String(value.clone())))
        .collect()
}
