//! The files below a folder or in a zip file.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::archive::{Archive, Entry};
use super::walk::{Walk, is_hidden, is_image};
use super::{Content, DataError};
use crate::reading;

/// The images below a folder or in a zip file, with their paths from its root.
pub(crate) struct Tree {
    /// Sorted by the parts of the path, so that a folder and a zip file of it have the same order.
    pub(crate) images: Vec<(String, Content)>,
    pub(crate) walk: Walk,
    texts: Texts,
}

/// Where the other files are read from.
enum Texts {
    Folder(PathBuf),
    Zip(Vec<(String, Entry)>),
}

impl Tree {
    /// `known` are the names of other files that belong to the source.
    pub(crate) fn open(root: &Path, known: &'static [&'static str]) -> Result<Self, DataError> {
        let mut walk = Walk::new(known);
        let mut tree = if root.is_dir() {
            let mut found = Vec::new();
            walk.images(root, "", &mut HashSet::new(), &mut found)?;
            let images = found.into_iter().map(|(id, path)| (id, Content::File(path))).collect();
            Self { images, walk, texts: Texts::Folder(root.to_owned()) }
        } else {
            let (mut images, mut others) = (Vec::new(), Vec::new());
            for (name, entry) in Archive::open(root)?.entries()? {
                // Hidden files, and copies that macOS puts beside the files.
                let is_odd = |part| is_hidden(OsStr::new(part)) || part == "__MACOSX";
                if name.split('/').any(is_odd) {
                    walk.hide(&name);
                } else if is_image(&name) {
                    images.push((name, Content::Entry(entry)));
                } else {
                    walk.ignore(&name);
                    others.push((name, entry));
                }
            }
            Self { images, walk, texts: Texts::Zip(others) }
        };
        tree.images.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
        Ok(tree)
    }

    /// The content of a text file; `None` if there is none with this name.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, DataError> {
        let (path, bytes) = match &self.texts {
            Texts::Folder(root) => {
                let path = root.join(name);
                if !path.exists() {
                    return Ok(None);
                }
                let bytes = reading::read(&path)
                    .map_err(|reason| DataError::Unreadable { path: path.clone(), reason })?;
                (path, bytes)
            }
            Texts::Zip(others) => {
                let Some((_, entry)) = others.iter().find(|(other, _)| other == name) else {
                    return Ok(None);
                };
                (entry.to_string().into(), entry.bytes()?)
            }
        };
        let text = reading::text(&bytes).map(str::to_owned);
        let text = text.map_err(|reason| DataError::Refused { path, reason })?;
        Ok(Some(text))
    }
}
