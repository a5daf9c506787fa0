//! The changes that a writer offers: each of them is one transaction of the catalogue.

#[cfg(feature = "hnsw")]
use super::build_index;
use super::catalogue::{Checkpoint, at};
use super::writer::Writer;
use super::{codes, compact, model, switch};
use crate::item::{check, distinct};
use crate::{
    Added, Carried, CodeRecall, Compacted, Duplicates, Error, Hnsw, Index, Item, ReadGallery,
    Settings, Switched, Vectors, WriteGallery,
};

impl WriteGallery for Writer {
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
        if items.is_empty() {
            return Ok(Added { added: 0, replaced: 0 });
        }
        let last = self.catalogue.segments()?.last().map(|listed| listed.extent);
        let mut new = self.new_segments(rows.nrows(), last)?.into_iter();
        let folder = self.folder.clone();
        self.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            let mut replaced = 0;
            for item in items {
                let Some((key, place)) = catalogue.find(&item.id)? else { continue };
                if duplicates == Duplicates::Refuse {
                    return Err(Error::DuplicateId { id: item.id.clone() });
                }
                catalogue.delete(key)?;
                catalogue.touch_segment(at(place).0, head.generation)?;
                replaced += 1;
            }
            let last = catalogue.segments()?.last().map(|listed| listed.extent);
            let places =
                Writer::append(&folder, catalogue, &mut head, last, rows.view(), &mut new)?;
            for (item, place) in items.iter().zip(places) {
                catalogue.insert(item, place)?;
            }
            let added = items.len() - replaced;
            head.items += added as i64;
            catalogue.set_head(&head)?;
            Ok(Added { added, replaced })
        })
    }

    fn remove(&mut self, ids: &[&str]) -> Result<(), Error> {
        distinct(ids.iter().copied())?;
        if ids.is_empty() {
            return Ok(());
        }
        self.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            for &id in ids {
                let Some((key, place)) = catalogue.find(id)? else {
                    return Err(Error::UnknownId { id: id.into() });
                };
                catalogue.delete(key)?;
                catalogue.touch_segment(at(place).0, head.generation)?;
            }
            head.items -= ids.len() as i64;
            catalogue.set_head(&head)
        })?;
        // The change itself is safe. A log that cannot be emptied now is emptied after the readers
        // have been refreshed.
        let _ = self.empty_log();
        Ok(())
    }

    #[cfg(feature = "hnsw")]
    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error> {
        build_index::build(self, options)
    }

    #[cfg(not(feature = "hnsw"))]
    fn build_index(&mut self, _: Hnsw) -> Result<Index, Error> {
        Err(Error::NotBuilt { what: "HNSW index" })
    }

    fn keep_model(&mut self, file: &[u8]) -> Result<(), Error> {
        let own = self.catalogue.own_files()?;
        // The usual name may be that of the previous version's model.
        let name = match self.catalogue.previous()? {
            Some(_) => model::name_of(file),
            None => model::FILE.to_owned(),
        };
        let names = model::names_of(&name);
        for name in &names {
            let path = self.folder.join(name);
            if !own.contains(name) && path.symlink_metadata().is_ok() {
                return Err(Error::ForeignFile { path });
            }
        }
        self.catalogue.announce(&names)?;
        let folder = self.folder.clone();
        self.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            catalogue.set_model_file(&model::write(&folder, &name, file)?)?;
            catalogue.set_head(&head)
        })
    }

    fn measure_codes(&mut self) -> Result<Option<CodeRecall>, Error> {
        codes::measure(self)
    }

    fn compact(&mut self) -> Result<Compacted, Error> {
        if self.catalogue.previous()?.is_some() {
            return Err(Error::HasPrevious { location: self.folder.display().to_string() });
        }
        compact::compact(self)
    }

    fn note_source(&mut self, source: &str) -> Result<(), Error> {
        if self.catalogue.sources()?.iter().any(|known| known == source) {
            return Ok(());
        }
        self.change(|catalogue| catalogue.note_source(source))
    }

    fn switch(
        &mut self,
        staged: &dyn ReadGallery,
        model: &[u8],
        carried: Option<&Carried>,
    ) -> Result<Switched, Error> {
        switch::switch(self, staged, model, carried)
    }

    fn roll_back(&mut self) -> Result<Switched, Error> {
        switch::roll_back(self)
    }

    fn finish_upgrade(&mut self) -> Result<(), Error> {
        switch::finish(self)
    }

    fn empty_log(&mut self) -> Result<bool, Error> {
        self.catalogue.checkpoint(Checkpoint::Truncate)
    }
}
