//! The two interfaces that every kind of gallery has.

use std::path::Path;

use ndarray::Array2;

use crate::{
    Added, Answer, BackedUp, CodeRecall, Compacted, Duplicates, Error, Hnsw, Index, Info, Item,
    Page, Search, Settings, Vectors, Verified,
};

/// Answers questions about a gallery, from many threads at once.
pub trait ReadGallery: Send + Sync {
    /// The gallery in numbers.
    ///
    /// # Errors
    /// The store cannot be read.
    fn info(&self) -> Result<Info, Error>;

    /// What the gallery is made for; known without reading.
    fn settings(&self) -> &Settings;

    /// Sees what was written since; returns whether there was anything.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    fn refresh(&self) -> Result<bool, Error>;

    /// The nearest items of each of the vectors.
    ///
    /// # Errors
    /// Vectors of another model, of other dimensions or not finite; `k` = 0; an unreadable store.
    fn search(&self, queries: Vectors, search: &Search) -> Result<Answer, Error>;

    /// An item with its thumbnail, or none of that id.
    ///
    /// # Errors
    /// The store cannot be read.
    fn item(&self, id: &str) -> Result<Option<Item>, Error>;

    /// At most `limit` items, without thumbnails: the first ones, or those from
    /// [`Page::next`] on.
    ///
    /// # Errors
    /// The store cannot be read.
    fn items(&self, from: Option<i64>, limit: usize) -> Result<Page, Error>;

    /// The vectors of items, a row each: N×D.
    ///
    /// # Errors
    /// An id that the gallery does not hold; the store cannot be read.
    fn vectors(&self, ids: &[&str]) -> Result<Array2<f32>, Error>;

    /// The file of the model that makes the vectors, if the gallery was given it
    /// [to keep](WriteGallery::keep_model).
    ///
    /// # Errors
    /// The store cannot be read, or the file is not what was written.
    fn model(&self) -> Result<Option<Vec<u8>>, Error>;

    /// Reads everything and compares it with its checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first file that is not what was written.
    fn verify(&self) -> Result<Verified, Error>;

    /// Copies the gallery as it is now into a folder that is new or empty, while others read and
    /// write it. The copy is a gallery once the call returns; a copy that was stopped is none, and
    /// can be made again.
    ///
    /// # Errors
    /// A folder that is not empty or cannot be written; damage; a store that has other means.
    fn back_up(&self, to: &Path) -> Result<BackedUp, Error>;
}

/// Changes a gallery. When a call returns, its change is on disk; a call that fails, or is killed,
/// has changed nothing.
pub trait WriteGallery: Send {
    /// What the gallery is made for.
    fn settings(&self) -> &Settings;

    /// Adds items with their vectors, all or none.
    ///
    /// # Errors
    /// Vectors of another model, of other dimensions or not finite; items that do not pair up;
    /// an id given twice, or, unless it replaces, held already; a store that cannot be written.
    fn add(
        &mut self,
        vectors: Vectors,
        items: &[Item],
        duplicates: Duplicates,
    ) -> Result<Added, Error>;

    /// Removes items, all or none.
    ///
    /// # Errors
    /// An id that the gallery does not hold, or given twice; a store that cannot be written.
    fn remove(&mut self, ids: &[&str]) -> Result<(), Error>;

    /// Builds an HNSW graph over all items, in place of an older one, and measures it.
    ///
    /// # Errors
    /// A build without it; a store that cannot be read or written.
    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error>;

    /// Keeps the file of the model that makes the vectors, so that the gallery alone is enough to
    /// search it for something new. The caller has seen that it is the model of the
    /// [fingerprint](Settings::model): the gallery knows bytes only.
    ///
    /// # Errors
    /// A store that cannot be written.
    fn keep_model(&mut self, file: &[u8]) -> Result<(), Error>;

    /// Measures how many of the nearest the codes of a quantised gallery find, and lets them propose
    /// as many candidates as it takes; does nothing where there are no codes. Worth doing after the
    /// gallery has grown much.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    fn measure_codes(&mut self) -> Result<Option<CodeRecall>, Error>;

    /// Gives back the room of removed items, and overwrites what is left of them.
    ///
    /// # Errors
    /// A store that cannot be read or written, or is damaged.
    fn compact(&mut self) -> Result<Compacted, Error>;

    /// Empties a log that still holds what was removed, as [`remove`](Self::remove) and
    /// [`compact`](Self::compact) try to do. Returns false while a reader needs the log: until it is
    /// [refreshed](ReadGallery::refresh).
    ///
    /// # Errors
    /// A store that cannot be written.
    fn empty_log(&mut self) -> Result<bool, Error>;
}
