//! Going through folders of images, with a note of all that is left out.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;

/// Endings of the file names that count as images, in lower case; upper case is accepted too.
pub const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "pgm", "ppm", "pnm", "gif"];

/// What was noticed on the way through folders or the names of an archive.
pub(crate) struct Walk {
    /// Names of files that belong there although they are no images.
    known: &'static [&'static str],
    problems: Vec<String>,
    /// Files left out, by the ending of their names.
    ignored: BTreeMap<String, usize>,
    /// Hidden files and folders left out, and the first of them.
    hidden: (usize, String),
}

/// An image file by its path from the root, with `/` between the parts, and its path on disk.
pub(crate) type Found = (String, PathBuf);

impl Walk {
    pub(crate) fn new(known: &'static [&'static str]) -> Self {
        Self { known, problems: Vec::new(), ignored: BTreeMap::new(), hidden: (0, String::new()) }
    }

    /// The names in a folder and their paths, sorted by the bytes of the names. Hidden ones do not
    /// count.
    pub(crate) fn entries(&mut self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, DataError> {
        let unreadable = |reason| DataError::Unreadable { path: folder.to_owned(), reason };
        let mut names: Vec<OsString> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .map_err(unreadable)?;
        names.sort();
        names.retain(|name| {
            let is_hidden = is_hidden(name);
            if is_hidden {
                self.hide(&name.to_string_lossy());
            }
            !is_hidden
        });
        Ok(names.into_iter().map(|name| (name.clone(), folder.join(name))).collect())
    }

    /// Adds the images in a folder, at any depth. `id` is the path of the folder from the root;
    /// each folder is entered once for one set of `entered`, so that links cannot lead round in
    /// circles.
    pub(crate) fn images(
        &mut self,
        folder: &Path,
        id: &str,
        entered: &mut HashSet<PathBuf>,
        found: &mut Vec<Found>,
    ) -> Result<(), DataError> {
        let real = fs::canonicalize(folder)
            .map_err(|reason| DataError::Unreadable { path: folder.to_owned(), reason })?;
        if !entered.insert(real) {
            self.note(format!("folder `{id}` is a link to one that was read already, left out"));
            return Ok(());
        }
        for (name, path) in self.entries(folder)? {
            let name = name.to_string_lossy();
            let id = if id.is_empty() { name.into_owned() } else { format!("{id}/{name}") };
            if path.is_dir() {
                self.images(&path, &id, entered, found)?;
            } else if is_image(&id) {
                found.push((id, path));
            } else {
                self.ignore(&id);
            }
        }
        Ok(())
    }

    pub(crate) fn note(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Counts a file that is no image by its name.
    pub(crate) fn ignore(&mut self, id: &str) {
        let name = id.rsplit('/').next().unwrap_or(id);
        if self.known.contains(&name) {
            return;
        }
        *self.ignored.entry(extension(name)).or_default() += 1;
    }

    /// Counts a hidden file or folder.
    pub(crate) fn hide(&mut self, name: &str) {
        if self.hidden.0 == 0 {
            self.hidden.1 = name.to_owned();
        }
        self.hidden.0 += 1;
    }

    /// The files left out, as the end of a sentence.
    pub(crate) fn ignored_files(&self) -> String {
        let counts: Vec<String> = self
            .ignored
            .iter()
            .map(|(extension, count)| match extension.as_str() {
                "" => format!("{count} without an ending"),
                extension => format!("{count} .{extension}"),
            })
            .collect();
        match counts.is_empty() {
            true => String::new(),
            false => format!(" (other files: {})", counts.join(", ")),
        }
    }

    /// All that was noticed, one line each.
    pub(crate) fn problems(mut self) -> Vec<String> {
        if !self.ignored.is_empty() {
            let ignored = self.ignored_files();
            self.note(format!("files that are not images by their name, left out{ignored}"));
        }
        if let (count @ 1.., first) = &self.hidden {
            let hidden =
                format!("hidden files and folders, left out: {count} (the first is `{first}`)");
            self.note(hidden);
        }
        self.problems
    }
}

/// Whether a file or folder is left out because of the dot before its name.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file counts as an image by the ending of its name.
pub(crate) fn is_image(name: &str) -> bool {
    EXTENSIONS.contains(&extension(name).as_str())
}

fn extension(name: &str) -> String {
    Path::new(name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}
