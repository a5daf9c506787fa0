//! Backup: a copy of a gallery that others may read and write at the same time.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::catalogue::{self, Catalogue};
use super::newest::newest;
use super::segment::Segment;
use super::snapshot::Snapshot;
use super::{last_change, model};
use crate::error::AtPath;
use crate::{BackedUp, Error};

/// This file is present while a copy is being made, and lists the files that were written for it:
/// only these are removed when the copy is started again.
const UNFINISHED: &str = "backup.unfinished";

/// The name of the catalogue until all other files are written. Its final name makes the folder a
/// gallery.
const CATALOGUE: &str = "catalogue.unfinished";

/// How often a copy is started again because a writer has replaced a file in the meantime.
const ATTEMPTS: usize = 10;

/// Copies the newest state of a gallery into a folder that is new or empty.
pub(super) fn back_up(folder: &Path, to: &Path) -> Result<BackedUp, Error> {
    fs::create_dir_all(to).at(to)?;
    let mut attempt = 1;
    loop {
        clear_unfinished(to)?;
        // This reads and checks every vector. Later changes of a writer are not seen.
        let snapshot = newest(folder, None)?;
        match copy(folder, &snapshot, to) {
            // The model or the graph of this state was replaced by a newer one.
            Err(Copying::Replaced(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(Copying::Replaced(error) | Copying::Failed(error)) => return Err(error),
            Ok(done) => return Ok(done),
        }
    }
}

enum Copying {
    /// A file of the gallery is missing, or was replaced by another one.
    Replaced(Error),
    Failed(Error),
}

impl From<Error> for Copying {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn copy(folder: &Path, snapshot: &Snapshot, to: &Path) -> Result<BackedUp, Copying> {
    let model_file = snapshot.catalogue().model_file()?;
    let mut names = vec![CATALOGUE.to_owned(), catalogue::FILE.to_owned()];
    names.push(last_change::FILE.to_owned());
    names
        .extend(snapshot.parts.iter().map(|part| super::segment::name(part.segment.extent.number)));
    names.extend(snapshot.graph.iter().map(|graph| graph.file.clone()));
    names.extend(model_file.iter().map(|file| file.name.clone()));
    let previous = snapshot.catalogue().previous()?;
    if let Some(previous) = &previous {
        names.extend(previous.segments.iter().map(|of| super::segment::name(of.number)));
        names.extend(previous.model_file.iter().map(|file| file.name.clone()));
    }
    write(to, UNFINISHED, names.join("\n").as_bytes())?;

    let mut bytes = 0;
    for part in &snapshot.parts {
        bytes += part.segment.copy_to(to)?;
    }
    if let Some(graph) = &snapshot.graph {
        let path = folder.join(&graph.file);
        let file = fs::read(&path).at(&path).map_err(Copying::Replaced)?;
        if crc32c::crc32c(&file) != graph.checksum {
            let error = Error::damaged(&path, "its checksum does not match");
            return Err(Copying::Replaced(error));
        }
        write(to, &graph.file, &file)?;
        bytes += file.len() as u64;
    }
    for extent in previous.iter().flat_map(|previous| &previous.segments) {
        let dimensions = previous.as_ref().map_or(1, |previous| previous.dimensions);
        let segment = Segment::open(folder, *extent, dimensions, None);
        bytes += segment.map_err(Copying::Replaced)?.copy_to(to)?;
    }
    let before = previous.as_ref().and_then(|previous| previous.model_file.as_ref());
    for expected in model_file.iter().chain(before) {
        let file = model::read(folder, expected).map_err(Copying::Replaced)?;
        write(to, &expected.name, &file)?;
        bytes += file.len() as u64;
    }
    last_change::write(to, &snapshot.state);
    let unfinished = to.join(CATALOGUE);
    snapshot.catalogue().copy_to(&unfinished)?;
    bytes += unfinished.metadata().at(&unfinished)?.len();
    File::open(&unfinished).and_then(|file| file.sync_all()).at(&unfinished)?;
    let finished = to.join(catalogue::FILE);
    fs::rename(&unfinished, &finished).at(&finished)?;
    let mark = to.join(UNFINISHED);
    fs::remove_file(&mark).at(&mark)?;
    File::open(to).and_then(|folder| folder.sync_all()).at(to)?;
    // Open it once, as a restore will do.
    drop(Catalogue::open(to, false)?);
    let items = snapshot.head.items as u64;
    Ok(BackedUp { items, bytes, generation: snapshot.head.generation })
}

/// Writes a new file and waits until it is on disk.
fn write(to: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = to.join(name);
    let mut file = File::create_new(&path).at(&path)?;
    file.write_all(content).and_then(|()| file.sync_all()).at(&path)
}

/// Removes the files of an interrupted copy, and refuses a folder that contains anything else.
fn clear_unfinished(to: &Path) -> Result<(), Error> {
    let mark = to.join(UNFINISHED);
    match fs::read_to_string(&mark) {
        Ok(names) => {
            let beside = ["-journal", "-wal", "-shm"].map(|end| format!("{CATALOGUE}{end}"));
            let names = names.lines().map(str::to_owned).chain(beside);
            // The list may name only plain files of this folder; any other path in it is ignored.
            for name in names.filter(|name| !name.contains('/') && name != "..") {
                let path = to.join(name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed.at(&path)?,
                }
            }
            fs::remove_file(&mark).at(&mark)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).at(&mark),
    }
    match fs::read_dir(to).at(to)?.next() {
        None => Ok(()),
        Some(entry) => {
            let found = entry.at(to)?.file_name().to_string_lossy().into_owned();
            if to.join(catalogue::FILE).is_file() {
                return Err(Error::AlreadyThere { location: to.display().to_string() });
            }
            Err(Error::NotEmpty { location: to.display().to_string(), found })
        }
    }
}
