//! The vectors of a backbone in place of the items of a source, computed once.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, Axis};

use super::ModelError;
use super::backbone::Backbone;
use super::vector_cache::{self, VectorCache};
use crate::data::{BadItem, Catalogue, Content, DataError, Examples, Item, PrepareOptions, Vector};
use crate::fingerprint::Fingerprint;
use crate::views::Views;

/// The number of items whose vectors are stored at once: an interruption loses no more than these.
const STORED: usize = 256;

/// A catalogue with the vectors of a backbone in place of its items.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// The items that could be used, as vectors.
    pub(crate) catalogue: Catalogue,
    /// The same items as the source has them.
    pub(crate) originals: Catalogue,
    /// The items that were left out.
    pub(crate) skipped: Vec<BadItem>,
    /// Why vectors could not be stored, if so.
    pub(crate) problem: Option<String>,
}

/// The vectors of a backbone for the items of a catalogue. Vectors that were computed before, for the
/// same content with the same backbone, are read from the cache. `preparing` and `progress` receive the
/// number of items that are decoded and embedded, of all items.
///
/// # Errors
/// The errors of [`Examples::prepare`] and of [`Backbone::embed`]. A cache that cannot be used is no
/// error.
pub(crate) fn embedded(
    catalogue: Catalogue,
    backbone: &dyn Backbone,
    options: &PrepareOptions<'_>,
    preparing: &(dyn Fn(usize, usize) + Sync),
    progress: &dyn Fn(usize, usize) -> ControlFlow<()>,
) -> Result<Embedded, ModelError> {
    let prepared = Examples::prepare(catalogue, backbone.input(), options, preparing);
    let (examples, skipped) = prepared?;
    let mut problem = None;
    let mut cache = match vector_cache::folder() {
        None => None,
        Some(folder) => {
            VectorCache::open(&folder, backbone.fingerprint()).unwrap_or_else(|error| {
                problem = Some(format!("{}: {error}", folder.display()));
                None
            })
        }
    };
    let items: Vec<u32> = (0..examples.len() as u32).collect();
    let mut vectors: Option<Array2<f32>> = None;
    for chunk in items.chunks(STORED) {
        let keys = keys(&examples, chunk)?;
        let mut found = Vec::with_capacity(chunk.len());
        for &key in &keys {
            let known = match cache.as_mut().map(|cache| cache.get(key)) {
                None => None,
                Some(Ok(known)) => known,
                Some(Err(error)) => {
                    problem = Some(error.to_string());
                    cache = None;
                    None
                }
            };
            found.push(known);
        }
        let missing: Vec<usize> = (0..chunk.len()).filter(|&at| found[at].is_none()).collect();
        if !missing.is_empty() {
            let done = chunk[0] as usize + chunk.len() - missing.len();
            let watched = |count| progress(done + count, items.len());
            let wanted: Vec<u32> = missing.iter().map(|&at| chunk[at]).collect();
            let rows = backbone.embed(&examples, &wanted, Views::Single, &watched)?;
            let missing_keys: Vec<u64> = missing.iter().map(|&at| keys[at]).collect();
            if let Some(open) = &mut cache
                && let Err(error) = open.insert(&missing_keys, rows.view())
            {
                problem = Some(error.to_string());
                cache = None;
            }
            for (&at, row) in missing.iter().zip(rows.outer_iter()) {
                found[at] = Some(row.to_vec());
            }
        }
        let dimensions = found.iter().flatten().map(Vec::len).next().unwrap_or_default();
        let all = vectors.get_or_insert_with(|| Array2::zeros((0, dimensions)));
        for row in found.iter().flatten() {
            let pushed = all.push(Axis(0), ArrayView1::from(row));
            pushed.map_err(|error| ModelError::Embed(error.to_string()))?;
        }
        let done = chunk[0] as usize + chunk.len();
        if progress(done, items.len()).is_break() {
            return Err(DataError::Interrupted.into());
        }
    }
    let originals = examples.catalogue().clone();
    let vectors = vectors.unwrap_or_default();
    let table = Arc::new((PathBuf::from(&originals.source), vectors));
    let items = originals.items.iter().enumerate().map(|(row, item)| Item {
        content: Content::Vector(Vector::new(table.clone(), row)),
        ..item.clone()
    });
    let catalogue = Catalogue { items: items.collect(), ..originals.clone() };
    Ok(Embedded { catalogue, originals, skipped, problem })
}

/// A hash of what enters the backbone, for each item.
fn keys(examples: &Examples, items: &[u32]) -> Result<Vec<u64>, DataError> {
    if let Some(texts) = examples.texts() {
        let key = |&item: &u32| {
            let mut hash = Fingerprint::new();
            hash.text(texts.text(item));
            hash.value()
        };
        return Ok(items.iter().map(key).collect());
    }
    let values = examples.batch(items)?;
    let each = values.len() / items.len().max(1);
    let key = |values: &[f32]| {
        let mut hash = Fingerprint::new();
        values.iter().for_each(|value| hash.bytes(&value.to_le_bytes()));
        hash.value()
    };
    Ok(values.chunks_exact(each.max(1)).map(key).collect())
}
