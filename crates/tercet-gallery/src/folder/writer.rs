//! The one who changes a gallery.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;

use super::catalogue::{Catalogue, Head, Listed, place};
use super::model;
use super::segment::{self, Extent};
use crate::error::AtPath;
use crate::item::{check, distinct};
use crate::{
    Added, Compacted, Duplicates, Error, Hnsw, Index, Item, Settings, Vectors, WriteGallery,
};

/// Changes a gallery in a folder. There is one writer at a time; readers are not disturbed.
///
/// When a call returns, its change is on disk. A call that fails has changed nothing, and one that
/// is killed has changed nothing or everything.
#[derive(Debug)]
pub struct Writer {
    pub(super) folder: PathBuf,
    pub(super) catalogue: Catalogue,
    settings: Settings,
    /// Held for as long as the writer lives; the system frees it with the process.
    lock: File,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A process that was just started from another thread may still hold a copy of the file:
        // closing ours alone would then leave the lock to it for a moment.
        let _ = self.lock.unlock();
    }
}

impl Writer {
    /// Makes an empty gallery in a folder, which is made too if it is not there.
    ///
    /// # Errors
    /// There is a gallery already, or another file of its name; no dimensions; a disk that cannot
    /// be written.
    pub fn create(folder: impl AsRef<Path>, settings: Settings) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if settings.dimensions == 0 {
            return Err(tercet::Error::NoDimensions.into());
        }
        fs::create_dir_all(folder).at(folder)?;
        let lock = lock(folder)?;
        let mut catalogue = Catalogue::create(folder)?;
        if catalogue.is_begun()? {
            return Err(Error::AlreadyThere { location: folder.display().to_string() });
        }
        catalogue.begin_gallery(&settings)?;
        Ok(Self { folder: folder.to_owned(), catalogue, settings, lock })
    }

    /// Opens a gallery to change it, and clears away what a stopped writer left.
    ///
    /// # Errors
    /// There is none; another writer is at work; a newer format; damage.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            return Err(Error::NotAGallery { location: folder.display().to_string() });
        }
        // Before the lock, which would leave its file in a folder that is no gallery.
        drop(Catalogue::open(folder, false)?);
        let lock = lock(folder)?;
        let catalogue = Catalogue::open(folder, true)?;
        let settings = catalogue.head()?.settings;
        let writer = Self { folder: folder.to_owned(), catalogue, settings, lock };
        writer.clear_leftovers()?;
        Ok(writer)
    }

    /// Removes files that the catalogue does not speak of, by our own names only.
    pub(super) fn clear_leftovers(&self) -> Result<(), Error> {
        let listed = self.catalogue.segments()?;
        let graph = self.catalogue.graph()?.map(|graph| graph.file);
        for entry in fs::read_dir(&self.folder).at(&self.folder)? {
            let name = entry.at(&self.folder)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_leftover = match segment::number(name) {
                Some(number) => listed.iter().all(|listed| listed.extent.number != number),
                None => {
                    name.starts_with("index-")
                        && name.ends_with(".hnsw")
                        && graph.as_deref() != Some(name)
                        || name == model::UNFINISHED
                }
            };
            if is_leftover {
                let path = self.folder.join(name);
                fs::remove_file(&path).at(&path)?;
            }
        }
        Ok(())
    }

    /// Appends rows to the last segment and begins others as they fill up; returns the place of
    /// each row. Nothing counts before the catalogue's commit.
    pub(super) fn append(
        folder: &Path,
        catalogue: &Catalogue,
        head: &mut Head,
        last: Option<Extent>,
        rows: ArrayView2<f32>,
    ) -> Result<Vec<i64>, Error> {
        let dimensions = rows.ncols();
        let capacity = segment::capacity(dimensions);
        let values = rows.as_standard_layout();
        let mut values = values.as_slice().unwrap_or(&[]);
        let mut places = Vec::with_capacity(rows.nrows());
        let mut current = last;
        while !values.is_empty() {
            let extent = match current.filter(|extent| extent.rows < capacity) {
                Some(extent) => extent,
                None => {
                    head.segments += 1;
                    segment::begin(folder, head.segments - 1, dimensions)?
                }
            };
            let count = (capacity - extent.rows).min(values.len() / dimensions);
            let (now, later) = values.split_at(count * dimensions);
            let longer = segment::append(folder, extent, dimensions, now)?;
            places.extend((extent.rows..longer.rows).map(|row| place(extent.number, row)));
            catalogue.set_segment(Listed { extent: longer, generation: head.generation })?;
            current = Some(longer);
            values = later;
        }
        Ok(places)
    }
}

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
        let folder = &self.folder;
        self.catalogue.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            let mut replaced = 0;
            for item in items {
                let Some((key, place)) = catalogue.find(&item.id)? else { continue };
                if duplicates == Duplicates::Refuse {
                    return Err(Error::DuplicateId { id: item.id.clone() });
                }
                catalogue.delete(key)?;
                catalogue.touch_segment(super::catalogue::at(place).0, head.generation)?;
                replaced += 1;
            }
            let last = catalogue.segments()?.last().map(|listed| listed.extent);
            let places = Self::append(folder, catalogue, &mut head, last, rows.view())?;
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
        self.catalogue.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            for &id in ids {
                let Some((key, place)) = catalogue.find(id)? else {
                    return Err(Error::UnknownId { id: id.into() });
                };
                catalogue.delete(key)?;
                catalogue.touch_segment(super::catalogue::at(place).0, head.generation)?;
            }
            head.items -= ids.len() as i64;
            catalogue.set_head(&head)
        })
    }

    #[cfg(feature = "hnsw")]
    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error> {
        super::hnsw::build(self, options)
    }

    #[cfg(not(feature = "hnsw"))]
    fn build_index(&mut self, _: Hnsw) -> Result<Index, Error> {
        Err(Error::Missing { what: "an HNSW index", needs: "a build with the feature `hnsw`" })
    }

    fn keep_model(&mut self, file: &[u8]) -> Result<(), Error> {
        let folder = &self.folder;
        self.catalogue.change(|catalogue| {
            let mut head = catalogue.head()?;
            head.generation += 1;
            catalogue.set_model_file(model::write(folder, file)?)?;
            catalogue.set_head(&head)
        })
    }

    fn compact(&mut self) -> Result<Compacted, Error> {
        super::compact::compact(self)
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("writer.lock");
    let file = OpenOptions::new().create(true).append(true).open(&path).at(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Locked { location: folder.display().to_string() })
        }
        // A file system without locks cannot keep a second writer away.
        Err(TryLockError::Error(source)) if source.kind() == ErrorKind::Unsupported => {
            Err(Error::Missing { what: "a gallery", needs: "a file system with file locks" })
        }
        Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
    }
}
