//! Adds pictures to a gallery.

use std::time::{Duration, Instant};

use tercet_gallery::{Item, Thumbnail};
use tercet_train::data::{Catalogue, DataError};
use tercet_train::{model::Model, thumbnails};

use super::choice::catalogue_label;
use super::{Choice, Filled, Filling, Into};
use crate::{General, interrupt, progress};

/// The smallest and the largest number of pictures in a batch.
const PICTURES: [usize; 2] = [16, 1024];

/// The time that a batch of pictures should take, whatever the encoder.
const PIECE: Duration = Duration::from_secs(1);

impl Filling {
    /// Adds pictures, or the texts of a source of texts. A picture is decoded once, for the model and
    /// for its thumbnail.
    pub(crate) fn add_pictures(
        &self,
        general: &General,
        into: &mut Into<'_>,
        model: &Model,
        catalogue: &Catalogue,
        choice: Choice,
    ) -> anyhow::Result<Filled> {
        for problem in &catalogue.problems {
            progress::remark(general, format!("note: {problem}"));
        }
        if catalogue.has_texts() {
            return self.add_texts(general, into, model, catalogue, &choice);
        }
        let preprocessing = model.card.preprocessing.images()?;
        let wanted: Vec<u32> = choice.items.iter().map(|&item| item as u32).collect();
        let mut filled = Filled::from(&choice);
        let bar = progress::bar(general, "adding", wanted.len());
        let (mut rest, mut piece) = (&wanted[..], PICTURES[0]);
        while !rest.is_empty() {
            let began = Instant::now();
            let (now, later) = rest.split_at(piece.min(rest.len()));
            let seen = catalogue.see(now, |image| {
                let prepared = preprocessing.apply(image)?;
                let thumbnail = (self.thumbnails > 0)
                    .then(|| thumbnails::shrink(image, self.thumbnails))
                    .transpose()?;
                Ok((prepared, thumbnail))
            });
            let (mut prepared, mut items) = (Vec::new(), Vec::new());
            for (&item, seen) in now.iter().zip(seen) {
                let (pixels, thumbnail) = match seen {
                    Ok(seen) => seen,
                    Err(bad) if self.skip_bad => {
                        progress::remark(general, format!("left out {bad}"));
                        filled.skipped.push(bad);
                        continue;
                    }
                    Err(first) => return Err(DataError::BadItems { first, more: 0 }.into()),
                };
                prepared.push(pixels);
                items.push(Item {
                    id: self.id(&catalogue.items[item as usize].id),
                    label: catalogue_label(catalogue, item as usize),
                    thumbnail: thumbnail.map(|small| Thumbnail {
                        media_type: small.media_type.to_owned(),
                        bytes: small.bytes,
                    }),
                    attributes: attributes(catalogue, item),
                });
            }
            let vectors = model.embed_prepared(&prepared)?;
            into.add(&model.fingerprint, vectors.view(), &items, &mut filled)?;
            rest = later;
            bar.set_position((wanted.len() - rest.len()) as u64);
            if !rest.is_empty() && interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(into.interrupted(wanted.len() - rest.len(), wanted.len()));
            }
            let pace = PIECE.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-3);
            piece = ((now.len() as f64 * pace) as usize).clamp(PICTURES[0], PICTURES[1]);
        }
        bar.finish_and_clear();
        Ok(filled)
    }
}

/// The attributes that the source has for an item, by name.
pub(super) fn attributes(
    catalogue: &Catalogue,
    item: u32,
) -> std::collections::BTreeMap<String, String> {
    let known = &catalogue.items[item as usize].attributes;
    let parts: Vec<&str> = known.parts.iter().map(|part| part.name()).collect();
    [
        ("camera", known.camera.clone()),
        ("sequence", known.sequence.clone()),
        ("part", (!parts.is_empty()).then(|| parts.join("+"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| !value.is_empty())?)))
    .collect()
}
