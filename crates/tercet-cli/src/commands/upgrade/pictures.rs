//! The pictures of a gallery's items, wherever they still exist.

use std::collections::HashMap;

use anyhow::bail;
use ndarray::Array2;
use tercet_gallery::ReadGallery;
use tercet_train::data::Catalogue;
use tercet_train::model::Model;

use crate::commands;
use crate::commands::gallery::noted::Noted;
use crate::exit::Usage;
use crate::{General, progress};

/// Items whose vectors are computed again to check that the pictures are those of the gallery.
const CHECKED: usize = 16;

/// The largest difference of a component from the stored one, as a share of the largest component.
const TOLERANCE: f32 = 1e-2;

/// The pictures of items, by their ids in the gallery.
pub(super) struct Pictures {
    catalogues: Vec<Catalogue>,
    /// For each id, the catalogue and the item in it.
    of: HashMap<String, (usize, u32)>,
}

impl Pictures {
    /// The pictures of the given sources, or else of those from which the items were added. A noted
    /// source that cannot be read any more is reported and left out.
    pub(super) fn find(
        general: &General,
        reader: &dyn ReadGallery,
        location: &str,
        given: &[String],
        prefix: &str,
    ) -> anyhow::Result<Self> {
        let mut found = Self { catalogues: Vec::new(), of: HashMap::new() };
        for text in given {
            found.add(commands::source(text, None, None)?.catalogue()?, prefix);
        }
        if !given.is_empty() {
            return Ok(found);
        }
        for noted in reader.sources()?.iter().filter_map(|text| Noted::read(text)) {
            let reached = noted.reached(location);
            let source = commands::source(&reached, None, noted.label_from.as_ref());
            match source.and_then(|source| Ok(source.catalogue()?)) {
                Ok(catalogue) => found.add(catalogue, &noted.prefix),
                Err(error) => progress::remark(
                    general,
                    format!(
                        "note: the pictures of {} cannot be read any more ({error:#}); --pictures SOURCE names another place",
                        reached
                    ),
                ),
            }
        }
        Ok(found)
    }

    fn add(&mut self, catalogue: Catalogue, prefix: &str) {
        let place = self.catalogues.len();
        for (item, known) in (0..).zip(&catalogue.items) {
            self.of.insert(format!("{prefix}{}", known.id), (place, item));
        }
        self.catalogues.push(catalogue);
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.of.contains_key(id)
    }

    /// Embeds the pictures of some items; returns the places in `ids` of those that could be read,
    /// and their vectors.
    pub(super) fn embed(
        &self,
        general: &General,
        model: &Model,
        ids: &[&str],
    ) -> anyhow::Result<(Vec<usize>, Array2<f32>)> {
        let preprocessing = model.card.preprocessing.images()?;
        let mut prepared: Vec<Option<Vec<u8>>> = vec![None; ids.len()];
        for (place, catalogue) in self.catalogues.iter().enumerate() {
            let wanted: Vec<(usize, u32)> = ids
                .iter()
                .enumerate()
                .filter_map(|(row, id)| Some((row, *self.of.get(*id)?)))
                .filter(|(_, (of, _))| *of == place)
                .map(|(row, (_, item))| (row, item))
                .collect();
            let items: Vec<u32> = wanted.iter().map(|&(_, item)| item).collect();
            for ((row, _), seen) in
                wanted.iter().zip(catalogue.see(&items, |image| preprocessing.apply(image)))
            {
                match seen {
                    Ok(pixels) => prepared[*row] = Some(pixels),
                    Err(bad) => progress::remark(general, format!("no picture any more: {bad}")),
                }
            }
        }
        let rows: Vec<usize> = (0..ids.len()).filter(|&row| prepared[row].is_some()).collect();
        let pixels: Vec<Vec<u8>> = prepared.into_iter().flatten().collect();
        if pixels.is_empty() {
            return Ok((rows, Array2::zeros((0, 0))));
        }
        Ok((rows, model.embed_prepared(&pixels)?))
    }

    /// Refuses pictures that are not those of the gallery: the gallery's own model computes the
    /// vectors of some of them, which must be the stored ones.
    pub(super) fn check(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        old: &Model,
        ids: &[&str],
    ) -> anyhow::Result<()> {
        let step = ids.len().div_ceil(CHECKED).max(1);
        let some: Vec<&str> = ids.iter().copied().step_by(step).collect();
        let (rows, vectors) = self.embed(general, old, &some)?;
        if rows.is_empty() {
            return Ok(());
        }
        let vectors = reader.settings().metric.rows(vectors.view())?;
        let some: Vec<&str> = rows.iter().map(|&row| some[row]).collect();
        let stored = reader.vectors(&some)?;
        let is_same = |(own, stored): &(ndarray::ArrayView1<f32>, ndarray::ArrayView1<f32>)| {
            let largest = stored.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
            own.iter().zip(stored).all(|(own, stored)| (own - stored).abs() <= TOLERANCE * largest)
        };
        let same = vectors.outer_iter().zip(stored.outer_iter()).filter(is_same).count();
        if 2 * same < some.len() {
            bail!(Usage(format!(
                "the pictures are not those of the gallery: {} of {} that were looked at have another vector by the gallery's own model (the first is `{}`); --pictures SOURCE names where the pictures are",
                some.len() - same,
                some.len(),
                some[0]
            )));
        }
        Ok(())
    }
}
