//! Upgrades of a gallery: the switch to vectors of another model, the way back, and the end.
//!
//! The new vectors are first collected in a gallery of their own, the staged one, while this gallery
//! is used as before. The switch copies them into new segments of this gallery and commits the
//! catalogue once: before the commit all searches use the old vectors, afterwards the new ones. The
//! old segments and the old model remain as the previous version until the upgrade is finished or
//! rolled back, each again by one commit.

use ndarray::ArrayView1;

use super::catalogue::at;
use super::model;
use super::segment::Segment;
use super::writer::Writer;
use crate::{Carried, Error, ReadGallery, Settings, Staged, Switched, Vectors};

/// Items whose vectors are copied at once.
const CHUNK: usize = 4096;

/// Replaces the vectors of all items by staged ones.
pub(super) fn switch(
    writer: &mut Writer,
    staged: &dyn ReadGallery,
    model_file: &[u8],
    carried: Option<&Carried>,
) -> Result<Switched, Error> {
    let settings =
        Settings { quantization: writer.settings.quantization, ..staged.settings().clone() };
    let folder = writer.folder.clone();
    let location = folder.display().to_string();
    if writer.catalogue.previous()?.is_some() {
        return Err(Error::HasPrevious { location });
    }
    let items = writer.catalogue.head()?.items as usize;
    let mut new = writer.new_segments_of(items, None, settings.dimensions)?.into_iter();
    let name = model::name_of(model_file);
    writer.catalogue.announce(&model::names_of(&name))?;
    let file = model::write(&folder, &name, model_file)?;
    let switched = writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation += 1;
        let old_dimensions = head.settings.dimensions;
        let listed = catalogue.segments()?;
        catalogue.prepare_versions()?;
        catalogue.set_aside(&head)?;
        head.settings = settings.clone();
        catalogue.set_model_file(&file)?;
        let mut switched = Switched::default();
        for listed in listed {
            let old = Segment::open(&folder, listed.extent, old_dimensions, None)?;
            for places in catalogue.places(listed.extent.number)?.chunks(CHUNK) {
                let ids = places.iter().map(|&(_, key)| Ok(catalogue.item(key)?.id));
                let ids: Vec<String> = ids.collect::<Result<_, Error>>()?;
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let found = Staged::read(staged, &ids, &location)?;
                for ((place, _), staged) in places.iter().zip(&found.of) {
                    let row = old.row(at(*place).1);
                    if Staged::fingerprint(ArrayView1::from(row)) != *staged {
                        return Err(Error::NotStaged { location: location.clone() });
                    }
                }
                let vectors = Vectors { model: &settings.model, rows: found.vectors.view() };
                let rows = settings.accept(vectors)?;
                let last = catalogue.segments()?.last().map(|listed| listed.extent);
                let moved =
                    Writer::append(&folder, catalogue, &mut head, last, rows.view(), &mut new)?;
                for (((from, key), to), origin) in places.iter().zip(moved).zip(found.origins) {
                    catalogue.move_item(*key, *from, to)?;
                    match origin {
                        None => switched.computed += 1,
                        Some(_) => {
                            catalogue.mark_carried(*key)?;
                            switched.carried += 1;
                        }
                    }
                }
            }
        }
        match carried {
            Some(carried) if switched.carried > 0 => catalogue.set_carried_by(carried)?,
            None if switched.carried > 0 => {
                return Err(Error::NotStaged { location: location.clone() });
            }
            _ => {}
        }
        catalogue.set_head(&head)?;
        Ok(switched)
    })?;
    writer.settings = settings;
    writer.clear_leftovers()?;
    Ok(switched)
}

/// Makes the previous version the current one again.
pub(super) fn roll_back(writer: &mut Writer) -> Result<Switched, Error> {
    let location = || writer.folder.display().to_string();
    let Some(previous) = writer.catalogue.previous()? else {
        return Err(Error::NoPrevious { location: location() });
    };
    if let (items, Some(first)) = writer.catalogue.newer_items()? {
        return Err(Error::NewerItems { location: location(), items, first });
    }
    let settings = previous.settings(&writer.settings);
    let restored = settings.clone();
    let items = writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation += 1;
        catalogue.bring_back(&previous, head.generation)?;
        head.settings = restored;
        catalogue.set_head(&head)?;
        Ok(head.items as u64)
    })?;
    writer.settings = settings;
    writer.clear_leftovers()?;
    let carried = writer.catalogue.carried_places()?.len() as u64;
    Ok(Switched { computed: items - carried.min(items), carried })
}

/// Removes the previous version.
pub(super) fn finish(writer: &mut Writer) -> Result<(), Error> {
    if writer.catalogue.previous()?.is_none() {
        return Err(Error::NoPrevious { location: writer.folder.display().to_string() });
    }
    writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation += 1;
        catalogue.drop_previous()?;
        catalogue.set_head(&head)
    })?;
    writer.clear_leftovers()
}
