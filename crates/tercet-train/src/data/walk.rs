//! Lists the files in folders of images, and records everything that is left out.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::printable::{exact_name, printable, printable_path};

/// Extensions of file names that count as images, in lower case; upper case is accepted too.
pub const EXTENSIONS: &[&str] = &[
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "pbm", "pgm", "ppm", "pnm", "gif", "tif",
    "tiff",
];

/// Extensions of pictures in formats that are not read, but that ImageMagick converts. No
/// maintained decoder of HEIC or AVIF in Rust builds without a C library or an assembler.
const CONVERTIBLE: &[&str] = &["heic", "heif", "avif", "jp2"];

/// Extensions of other pictures that are not read.
const OTHER_PICTURES: &[&str] =
    &["jxl", "psd", "svg", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2"];

/// Number of pictures left out that a message names.
const NAMED: usize = 3;

/// What was noticed while folders or the names in an archive were listed.
pub(crate) struct Walk {
    /// Names of files that belong to the source although they are not images.
    known: &'static [&'static str],
    problems: Vec<String>,
    /// Number of files left out, by extension.
    ignored: BTreeMap<String, usize>,
    /// Pictures in formats that are not read, by extension.
    unread: BTreeMap<String, Vec<String>>,
    /// Number of hidden files and folders left out, and the first of them.
    hidden: (usize, String),
}

/// An image file: its path from the root, with `/` between the parts, and its path on disk.
pub(crate) type Found = (String, PathBuf);

impl Walk {
    pub(crate) fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            problems: Vec::new(),
            ignored: BTreeMap::new(),
            unread: BTreeMap::new(),
            hidden: (0, String::new()),
        }
    }

    /// The names in a folder and their paths, sorted by the bytes of the names. Hidden ones are
    /// left out.
    pub(crate) fn entries(&mut self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, DataError> {
        let unreadable = |reason| DataError::Unreadable { path: folder.to_owned(), reason };
        let mut names: Vec<OsString> = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
            .map_err(unreadable)?;
        names.sort();
        names.retain(|name| {
            let is_hidden = is_hidden(name);
            if is_hidden {
                self.hide(&exact_name(name));
            }
            !is_hidden
        });
        Ok(names.into_iter().map(|name| (name.clone(), folder.join(name))).collect())
    }

    /// Adds the images in a folder, at any depth. `id` is the path of the folder from the root.
    /// Each folder is entered only once for the same set `entered`, so that links cannot cause an
    /// endless loop.
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
            let id = printable(id);
            self.note(format!("folder `{id}` is a link to one that was read already, left out"));
            return Ok(());
        }
        for (name, path) in self.entries(folder)? {
            let name = exact_name(&name);
            let id = if id.is_empty() { name } else { format!("{id}/{name}") };
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

    /// Counts a file whose name is not that of an image.
    pub(crate) fn ignore(&mut self, id: &str) {
        let name = id.rsplit('/').next().unwrap_or(id);
        if self.known.contains(&name) {
            return;
        }
        let extension = extension(name);
        match [CONVERTIBLE, OTHER_PICTURES].iter().any(|all| all.contains(&&*extension)) {
            true => self.unread.entry(extension).or_default().push(id.to_owned()),
            false => *self.ignored.entry(extension).or_default() += 1,
        }
    }

    /// Records images that are in no folder of a class.
    pub(crate) fn note_stray(&mut self, stray: &[String]) {
        if let Some(first) = stray.first() {
            self.note(format!(
                "images outside of any class folder, left out: {} (the first is `{}`); the kind \
                 `images:` takes all pictures, without classes",
                stray.len(),
                printable(first)
            ));
        }
    }

    /// Counts a hidden file or folder.
    pub(crate) fn hide(&mut self, name: &str) {
        if self.hidden.0 == 0 {
            self.hidden.1 = name.to_owned();
        }
        self.hidden.0 += 1;
    }

    /// The files left out below `root`, as the end of a sentence.
    pub(crate) fn ignored_files(&self, root: &Path) -> String {
        let unread = self.unread.iter().map(|(extension, ids)| (extension, ids.len()));
        let ignored = self.ignored.iter().map(|(extension, &count)| (extension, count));
        let counts: Vec<String> = ignored.chain(unread).map(counted).collect();
        match counts.is_empty() {
            true => String::new(),
            false => {
                let remedy = self.unread.keys().next().map(|extension| conversion(root, extension));
                let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
                format!(" (other files: {}{remedy})", counts.join(", "))
            }
        }
    }

    /// Everything that was noticed below `root`, one line each.
    pub(crate) fn problems(mut self, root: &Path) -> Vec<String> {
        for (extension, ids) in std::mem::take(&mut self.unread) {
            let told: Vec<String> =
                ids.iter().take(NAMED).map(|id| format!("`{}`", printable(id))).collect();
            let more = match ids.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let command = conversion(root, &extension);
            self.note(format!(
                "pictures in a format that is not read, left out: {} .{extension} ({}{more}); {command}",
                ids.len(),
                told.join(", "),
            ));
        }
        if !self.ignored.is_empty() {
            let counts: Vec<String> = self
                .ignored
                .iter()
                .map(|(extension, &count)| counted((extension, count)))
                .collect();
            self.note(format!(
                "files that are not images by their name, left out (other files: {})",
                counts.join(", ")
            ));
        }
        if let (count @ 1.., first) = &self.hidden {
            let first = printable(first);
            let hidden =
                format!("hidden files and folders, left out: {count} (the first is `{first}`)");
            self.note(hidden);
        }
        self.problems
    }
}

/// For example `3 .txt`.
fn counted((extension, count): (&String, usize)) -> String {
    match extension.as_str() {
        "" => format!("{count} without an ending"),
        extension => format!("{count} .{}", printable(extension)),
    }
}

/// Whether a file or folder is left out because its name starts with a dot.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file counts as an image, according to the extension of its name.
pub(crate) fn is_image(name: &str) -> bool {
    EXTENSIONS.contains(&extension(name).as_str())
}

/// How to convert pictures in a format that is not read.
fn conversion(root: &Path, extension: &str) -> String {
    if !CONVERTIBLE.contains(&extension) {
        return "save them as JPEG or PNG to use them".to_owned();
    }
    // A closing quote, an escaped quote and an opening quote, which a shell reads as one quote.
    let root = printable_path(root).replace('\'', r"'\''");
    format!(
        "ImageMagick converts them: find '{root}' -iname '*.{extension}' -exec mogrify -format jpg {{}} +"
    )
}

fn extension(name: &str) -> String {
    Path::new(name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}
