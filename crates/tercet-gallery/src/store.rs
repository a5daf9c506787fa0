//! The two interfaces that every kind of gallery implements.

use std::path::Path;

use ndarray::Array2;

use crate::{
    Added, Answer, BackedUp, Carried, CodeRecall, Compacted, Duplicates, Error, Hnsw, Index, Info,
    Item, Page, Search, Settings, Switched, Vectors, Verified,
};

/// The error of stores without versions.
const NO_VERSIONS: Error = Error::Missing { what: "an upgrade", needs: "a gallery in a folder" };

/// Answers queries about a gallery, from many threads at once.
pub trait ReadGallery: Send + Sync {
    /// Counts, sizes and settings of the gallery.
    ///
    /// # Errors
    /// The store cannot be read.
    fn info(&self) -> Result<Info, Error>;

    /// The settings with which the gallery was created; nothing is read from the store.
    fn settings(&self) -> &Settings;

    /// Makes the changes visible that were written since the last refresh; returns whether there
    /// were any.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    fn refresh(&self) -> Result<bool, Error>;

    /// The nearest items of each query vector.
    ///
    /// # Errors
    /// Vectors of another model, of other dimensions or not finite; `k` = 0; the store cannot be
    /// read.
    fn search(&self, queries: Vectors, search: &Search) -> Result<Answer, Error>;

    /// The item of an id, with its thumbnail; `None` if the gallery does not contain it.
    ///
    /// # Errors
    /// The store cannot be read.
    fn item(&self, id: &str) -> Result<Option<Item>, Error>;

    /// At most `limit` items, without thumbnails: the first ones, or those that start at the value
    /// of [`Page::next`].
    ///
    /// # Errors
    /// The store cannot be read.
    fn items(&self, from: Option<i64>, limit: usize) -> Result<Page, Error>;

    /// The vectors of some items, one per row: N×D.
    ///
    /// # Errors
    /// The gallery does not contain an id; the store cannot be read.
    fn vectors(&self, ids: &[&str]) -> Result<Array2<f32>, Error>;

    /// The file of the model that computes the vectors, if it was
    /// [stored](WriteGallery::keep_model).
    ///
    /// # Errors
    /// The store cannot be read, or the file differs from what was written.
    fn model(&self) -> Result<Option<Vec<u8>>, Error>;

    /// The texts that were [noted](WriteGallery::note_source) about the sources of the items; none in
    /// a kind of store that does not note them.
    ///
    /// # Errors
    /// The store cannot be read.
    fn sources(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    /// Reads everything and compares it with its checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first file that differs from what was written.
    fn verify(&self) -> Result<Verified, Error>;

    /// Copies the current state of the gallery into a folder that is new or empty, while others
    /// read and write the gallery. The copy is a gallery once the call has returned; a copy that
    /// was interrupted is not one, and can be made again.
    ///
    /// # Errors
    /// The folder is not empty or cannot be written; damage; a kind of store that is backed up by
    /// other means.
    fn back_up(&self, to: &Path) -> Result<BackedUp, Error>;
}

/// Changes a gallery. When a call returns, its change is on disk; a call that fails has changed
/// nothing, and one that is killed has changed nothing or everything.
pub trait WriteGallery: Send {
    /// The settings with which the gallery was created.
    fn settings(&self) -> &Settings;

    /// Adds items with their vectors: all of them or none.
    ///
    /// # Errors
    /// Vectors of another model, of other dimensions or not finite; another number of items than of
    /// vectors; an id given twice or, with [`Duplicates::Refuse`], an id that the gallery already
    /// contains; the store cannot be written.
    fn add(
        &mut self,
        vectors: Vectors,
        items: &[Item],
        duplicates: Duplicates,
    ) -> Result<Added, Error>;

    /// Removes items: all of them or none.
    ///
    /// # Errors
    /// An id that the gallery does not contain, or that was given twice; the store cannot be
    /// written.
    fn remove(&mut self, ids: &[&str]) -> Result<(), Error>;

    /// Builds an HNSW graph over all items, which replaces an older one, and measures its recall.
    ///
    /// # Errors
    /// A build without HNSW; the store cannot be read or written.
    fn build_index(&mut self, options: Hnsw) -> Result<Index, Error>;

    /// Stores the file of the model that computes the vectors, so that the gallery alone is enough
    /// to embed new queries. The caller has checked that the file is the model of the
    /// [fingerprint](Settings::model): the gallery does not interpret its bytes.
    ///
    /// # Errors
    /// The store cannot be written.
    fn keep_model(&mut self, file: &[u8]) -> Result<(), Error>;

    /// Notes a text about a source of the items, such as where their pictures are. Does nothing in a
    /// kind of store that does not note them.
    ///
    /// # Errors
    /// The store cannot be written.
    fn note_source(&mut self, _source: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Replaces the vectors of all items by those of the gallery `staged`, whose items are
    /// [`Staged::item`](crate::Staged::item)s, and the model by that of the staged vectors: as a
    /// whole or not at all. The previous version is kept until
    /// [`finish_upgrade`](Self::finish_upgrade) or [`roll_back`](Self::roll_back). `carried` says how
    /// staged vectors with an [`Origin`](crate::Origin) are compared; it is needed if there are any.
    /// A graph is dropped, and codes have to be measured again.
    ///
    /// # Errors
    /// An item without a staged vector, or with one of an earlier vector; a gallery that still
    /// contains a previous version; a kind of store without versions; the store cannot be read or
    /// written.
    fn switch(
        &mut self,
        _staged: &dyn ReadGallery,
        _model: &[u8],
        _carried: Option<&Carried>,
    ) -> Result<Switched, Error> {
        Err(NO_VERSIONS)
    }

    /// Makes the version before the last [`switch`](Self::switch) the current one again.
    ///
    /// # Errors
    /// There is no previous version; items that were added after the switch, which have no vectors in
    /// it; a kind of store without versions; the store cannot be read or written.
    fn roll_back(&mut self) -> Result<Switched, Error> {
        Err(NO_VERSIONS)
    }

    /// Removes the version before the last [`switch`](Self::switch).
    ///
    /// # Errors
    /// There is no previous version; a kind of store without versions; the store cannot be written.
    fn finish_upgrade(&mut self) -> Result<(), Error> {
        Err(NO_VERSIONS)
    }

    /// Measures the recall of the codes of a quantised gallery, and sets how many candidates searches
    /// use, so that they find nearly all of the nearest; does nothing where there are no codes. Call
    /// it again after the gallery has grown a lot.
    ///
    /// # Errors
    /// The store cannot be read or written.
    fn measure_codes(&mut self) -> Result<Option<CodeRecall>, Error>;

    /// Frees the space of removed items, and overwrites their data.
    ///
    /// # Errors
    /// The store cannot be read or written, or is damaged.
    fn compact(&mut self) -> Result<Compacted, Error>;

    /// Empties a write-ahead log that still contains removed data, as [`remove`](Self::remove) and
    /// [`compact`](Self::compact) try to do. Returns false while a reader needs the log, which is
    /// until that reader is [refreshed](ReadGallery::refresh).
    ///
    /// # Errors
    /// The store cannot be written.
    fn empty_log(&mut self) -> Result<bool, Error>;
}
