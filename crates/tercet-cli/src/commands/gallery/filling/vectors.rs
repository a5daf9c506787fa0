//! Adds vectors to a gallery.

use anyhow::Context;
use ndarray::{Array2, s};
use tercet_gallery::Item;
use tercet_train::embeddings::Embeddings;

use super::choice::row_id;
use super::{Choice, Filled, Filling, Into};
use crate::{General, interrupt, progress};

/// Number of vectors in a batch.
const VECTORS: usize = 8192;

impl Filling {
    /// Adds vectors without change; `model` is the fingerprint of the model that computed them.
    pub(crate) fn add_vectors(
        &self,
        general: &General,
        into: &mut Into<'_>,
        model: &str,
        embeddings: &Embeddings,
        choice: Choice,
    ) -> anyhow::Result<Filled> {
        let mut filled = Filled::from(&choice);
        for bad in &filled.skipped {
            progress::remark(general, format!("left out {bad}"));
        }
        let dimensions = embeddings.vectors.ncols();
        let rows = choice.items.len();
        let bar = progress::bar(general, "adding", rows);
        for start in (0..rows).step_by(VECTORS) {
            let end = rows.min(start + VECTORS);
            let (mut values, mut items) = (Vec::new(), Vec::new());
            for &row in &choice.items[start..end] {
                values.extend(embeddings.vectors.slice(s![row, ..]));
                items.push(Item {
                    id: self.id(&row_id(embeddings, row)),
                    label: embeddings.labels.as_ref().map(|labels| labels[row].clone()),
                    ..Item::default()
                });
            }
            let part = Array2::from_shape_vec((items.len(), dimensions), values)
                .context("vectors of different lengths")?;
            into.add(model, part.view(), &items, &mut filled)?;
            bar.set_position(end as u64);
            if end < rows && interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(into.interrupted(end, rows));
            }
        }
        bar.finish_and_clear();
        Ok(filled)
    }
}
