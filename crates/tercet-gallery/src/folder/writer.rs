//! The writer of a gallery in a folder: its lock, its transactions and the rows that it appends.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;

use super::catalogue::{self, Catalogue, Checkpoint, Head, Listed, place};
use super::segment::{self, Extent};
use super::{last_change, model};
use crate::error::AtPath;
use crate::{Error, Settings};

const LOCK: &str = "writer.lock";

/// Changes a gallery in a folder. There is one writer at a time; readers are not disturbed.
///
/// When a call returns, its change is on disk. A call that fails has changed nothing, and one that
/// is killed has changed nothing or everything.
#[derive(Debug)]
pub struct Writer {
    pub(super) folder: PathBuf,
    pub(super) catalogue: Catalogue,
    pub(super) settings: Settings,
    /// Device and inode number of the catalogue's file: if another file has its name, another
    /// gallery has replaced this one.
    file: (u64, u64),
    /// Locked as long as the writer exists; the system releases it with the process.
    lock: File,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A process that another thread has just started may still have a copy of the file
        // descriptor: closing only ours would leave the file locked for a moment.
        let _ = self.lock.unlock();
    }
}

impl Writer {
    /// Creates an empty gallery in a folder, which is created too if it does not exist.
    ///
    /// # Errors
    /// There is a gallery already; a folder that is not empty; 0 dimensions; a disk that cannot be
    /// written.
    pub fn create(folder: impl AsRef<Path>, settings: Settings) -> Result<Self, Error> {
        Self::make(folder.as_ref(), settings, None)
    }

    /// Like [`create`](Self::create), and also stores the file of the model that computes the
    /// vectors, so that the gallery contains it from its first moment.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_with_model(
        folder: impl AsRef<Path>,
        settings: Settings,
        model: &[u8],
    ) -> Result<Self, Error> {
        Self::make(folder.as_ref(), settings, Some(model))
    }

    fn make(folder: &Path, settings: Settings, model: Option<&[u8]>) -> Result<Self, Error> {
        if settings.dimensions == 0 {
            return Err(tercet::Error::NoDimensions.into());
        }
        fs::create_dir_all(folder).at(folder)?;
        // Check before taking the lock, which would create a file in a folder that contains
        // something else.
        refuse_other_files(folder)?;
        let lock = lock(folder)?;
        let mut catalogue = Catalogue::create(folder)?;
        if catalogue.is_begun()? {
            return Err(Error::AlreadyThere { location: folder.display().to_string() });
        }
        catalogue.prepare()?;
        let model = model
            .map(|model| {
                catalogue.announce(&model::names_of(model::FILE))?;
                model::write(folder, model::FILE, model)
            })
            .transpose()?;
        catalogue.begin_gallery(&settings, model)?;
        let file = file_number(folder)?;
        let writer = Self { folder: folder.to_owned(), catalogue, settings, file, lock };
        // Even if the log is lost later, the catalogue's own file then shows that there is a
        // gallery.
        writer.catalogue.checkpoint(Checkpoint::Truncate)?;
        last_change::write(folder, &writer.catalogue.state()?);
        Ok(writer)
    }

    /// Opens a gallery for writing, and removes what an interrupted writer left.
    ///
    /// # Errors
    /// There is no gallery; another writer is active; a newer format; damage.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            return Err(Error::NotAGallery { location: folder.display().to_string() });
        }
        // Check before taking the lock, which would create a file in a folder that is not a
        // gallery.
        drop(Catalogue::open(folder, false)?);
        let lock = lock(folder)?;
        let last = last_change::read(folder);
        let mut catalogue = Catalogue::open(folder, true)?;
        last_change::check(folder, last.as_ref(), &catalogue.state()?)?;
        catalogue.complete()?;
        let settings = catalogue.head()?.settings;
        let file = file_number(folder)?;
        let mut writer = Self { folder: folder.to_owned(), catalogue, settings, file, lock };
        writer.clear_leftovers()?;
        Ok(writer)
    }

    /// Makes a change as one transaction, and records it as the last change.
    pub(super) fn change<T>(
        &mut self,
        steps: impl FnOnce(&mut Catalogue) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if file_number(&self.folder).ok() != Some(self.file) {
            return Err(Error::Replaced { location: self.folder.display().to_string() });
        }
        let (done, state) = self.catalogue.change(|catalogue| {
            let done = steps(catalogue)?;
            Ok((done, catalogue.state()?))
        })?;
        last_change::write(&self.folder, &state);
        Ok(done)
    }

    /// Removes the gallery's own files that are no longer used.
    pub(super) fn clear_leftovers(&mut self) -> Result<(), Error> {
        let mut counts: HashSet<String> = self
            .catalogue
            .segments()?
            .iter()
            .map(|listed| segment::name(listed.extent.number))
            .collect();
        counts.extend(self.catalogue.graph()?.map(|graph| graph.file));
        counts.extend(self.catalogue.model_file()?.map(|file| file.name));
        if let Some(previous) = self.catalogue.previous()? {
            counts.extend(previous.segments.iter().map(|extent| segment::name(extent.number)));
            counts.extend(previous.model_file.map(|file| file.name));
        }
        let own = self.catalogue.own_files()?;
        let leftovers: Vec<&String> = own.difference(&counts).collect();
        if leftovers.is_empty() {
            return Ok(());
        }
        for name in &leftovers {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.at(&path)?,
            }
        }
        self.catalogue
            .change(|catalogue| leftovers.iter().try_for_each(|name| catalogue.forget(name)))
    }

    /// The numbers of the segments that `rows` further rows need after `last`, registered as the
    /// gallery's own files. Numbers whose file names are used by other files are skipped.
    pub(super) fn new_segments(
        &mut self,
        rows: usize,
        last: Option<Extent>,
    ) -> Result<Vec<u32>, Error> {
        self.new_segments_of(rows, last, self.settings.dimensions)
    }

    /// [`new_segments`](Self::new_segments) for rows of other dimensions.
    pub(super) fn new_segments_of(
        &mut self,
        rows: usize,
        last: Option<Extent>,
        dimensions: usize,
    ) -> Result<Vec<u32>, Error> {
        let capacity = segment::capacity(dimensions);
        let room = last.map_or(0, |last| capacity.saturating_sub(last.rows));
        let needed = rows.saturating_sub(room).div_ceil(capacity);
        if needed == 0 {
            return Ok(Vec::new());
        }
        let own = self.catalogue.own_files()?;
        let is_free = |&number: &u32| {
            let name = segment::name(number);
            own.contains(&name) || self.folder.join(name).symlink_metadata().is_err()
        };
        let first = self.catalogue.head()?.segments;
        let numbers: Vec<u32> = (first..).filter(is_free).take(needed).collect();
        let names: Vec<String> = numbers.iter().map(|&number| segment::name(number)).collect();
        self.catalogue.announce(&names)?;
        Ok(numbers)
    }

    /// Appends rows to the last segment and, when it is full, to new ones with the
    /// [registered](Self::new_segments) numbers; returns the place of each row. The rows are not
    /// valid before the catalogue is committed.
    pub(super) fn append(
        folder: &Path,
        catalogue: &Catalogue,
        head: &mut Head,
        last: Option<Extent>,
        rows: ArrayView2<f32>,
        new: &mut impl Iterator<Item = u32>,
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
                    let number = new.next().unwrap_or(head.segments);
                    head.segments = number + 1;
                    segment::begin(folder, number, dimensions)?
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

fn file_number(folder: &Path) -> Result<(u64, u64), Error> {
    let path = folder.join(catalogue::FILE);
    let file = path.metadata().at(&path)?;
    Ok((file.dev(), file.ino()))
}

/// Refuses a folder with files that were created neither by a gallery nor by an interrupted
/// creation.
fn refuse_other_files(folder: &Path) -> Result<(), Error> {
    let path = folder.join(catalogue::FILE);
    let mut own = vec![LOCK.to_owned(), last_change::FILE.to_owned()];
    own.extend(["", "-wal", "-shm", "-journal"].map(|end| format!("{}{end}", catalogue::FILE)));
    let refuse = |found: &str| {
        let location = folder.display().to_string();
        Err(Error::NotEmpty { location, found: found.to_owned() })
    };
    if path.is_file() {
        let catalogue = match Catalogue::create(folder) {
            Ok(catalogue) => catalogue,
            Err(_) => return refuse(catalogue::FILE),
        };
        match catalogue.is_begun().and_then(|begun| Ok((begun, catalogue.unfinished()?))) {
            // The error that there is a gallery already follows under the lock.
            Ok((true, Some(_))) => return Ok(()),
            Ok((_, Some(announced))) => own.extend(announced),
            Ok((_, None)) | Err(_) => return refuse(catalogue::FILE),
        }
    }
    for entry in fs::read_dir(folder).at(folder)? {
        let name = entry.at(folder)?.file_name();
        let name = name.to_string_lossy();
        if !own.iter().any(|own| *own == name) {
            return refuse(&name);
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&path).at(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Locked { location: folder.display().to_string() })
        }
        // A file system without locks cannot exclude a second writer.
        Err(TryLockError::Error(source)) if source.kind() == ErrorKind::Unsupported => {
            Err(Error::Missing { what: "a gallery", needs: "a file system with file locks" })
        }
        Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
    }
}
