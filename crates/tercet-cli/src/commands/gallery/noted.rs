//! What a gallery notes about the sources of its items, so that their pictures can be found again.
//!
//! A gallery is copied and given away, so it contains no absolute path: a source is noted as it is
//! reached from the folder of the gallery. In a database there is no such folder, and if gallery and
//! source have only the root in common, the way between them contains the absolute path: then only the
//! name of the source is noted.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tercet_gallery::WriteGallery;
use tercet_train::data::{LabelFrom, Source};
use tercet_train::sharing::source_name;

/// A source whose pictures were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// The source, as `kind:PATH` with the path from the gallery; galleries of earlier versions have
    /// the whole path.
    pub(crate) source: String,
    /// What was put before the ids of its items.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label_from: Option<LabelFrom>,
}

impl Noted {
    /// A source whose pictures are added to the gallery at `location`.
    pub(crate) fn of(
        source: &Source,
        location: &str,
        prefix: &str,
        label_from: Option<&LabelFrom>,
    ) -> Self {
        let written = source.path().map(|path| match from(location, path) {
            Some(path) => format!("{}:{}", source.kind(), path.display()),
            None => source_name(&source.to_string()),
        });
        Self {
            source: written.unwrap_or_else(|| source.to_string()),
            prefix: prefix.to_owned(),
            label_from: label_from.cloned(),
        }
    }

    /// The source as it is reached from here, if it was noted in the gallery at `location`.
    pub(crate) fn reached(&self, location: &str) -> String {
        match self.source.split_once(':') {
            Some((kind, path)) if Path::new(path).is_relative() && folder(location).is_some() => {
                format!("{kind}:{}", Path::new(location).join(path).display())
            }
            _ => self.source.clone(),
        }
    }

    /// Writes it into the gallery.
    pub(crate) fn write(&self, writer: &mut dyn WriteGallery) -> anyhow::Result<()> {
        Ok(writer.note_source(&serde_json::to_string(self)?)?)
    }

    /// Reads it from a text that a gallery has noted; `None` if another version wrote it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The whole path of a gallery's folder; none if it is in a database.
fn folder(location: &str) -> Option<PathBuf> {
    Path::new(location).canonicalize().ok()
}

/// The path from the folder of a gallery to `path`; none if there is none.
fn from(location: &str, path: &Path) -> Option<PathBuf> {
    let (folder, path) = (folder(location)?, path.canonicalize().ok()?);
    let (from, to): (Vec<Component>, Vec<Component>) =
        (folder.components().collect(), path.components().collect());
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    // On another drive there is no way. A way over the root would contain the absolute path.
    let is_below_the_root = from[..common].iter().any(|part| matches!(part, Component::Normal(_)));
    is_below_the_root.then(|| {
        let up = from[common..].iter().map(|_| Component::ParentDir);
        up.chain(to[common..].iter().copied()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_reached_from_its_gallery_and_no_folder_above_both_is_noted() {
        let world = tempfile::tempdir().unwrap();
        let [photos, gallery] =
            ["work/photos", "work/galleries/photos"].map(|name| world.path().join(name));
        for folder in [&photos, &gallery] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let source: Source = format!("folder:{}", photos.display()).parse().unwrap();
        let location = gallery.to_str().unwrap();
        let noted = Noted::of(&source, location, "", None);
        assert_eq!(noted.source, "folder:../../photos");
        let reached = noted.reached(location);
        let (kind, path) = reached.split_once(':').unwrap();
        assert_eq!(kind, "folder");
        assert_eq!(Path::new(path).canonicalize().unwrap(), photos.canonicalize().unwrap());
        // The way over the root would contain the absolute path.
        let elsewhere = Noted::of(&source, "/", "", None);
        assert_eq!(elsewhere.source, "folder:photos");
        let in_database = Noted::of(&source, "postgres://host/faces", "", None);
        assert_eq!(in_database.source, "folder:photos");
        assert_eq!(in_database.reached("postgres://host/faces"), "folder:photos");
    }
}
