//! One folder per class, images in it at any depth.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Catalogue, Content, DataError, Item};

/// Endings of the file names that count as images, in lower case; upper case is accepted too.
pub const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "pgm", "ppm", "pnm", "gif"];

/// Lists the images below `root`. Classes and, within them, paths are sorted by the bytes of their
/// names, so the order is the same on every machine. Hidden files and folders do not count.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let mut walk = Walk::default();
    let mut items = Vec::new();
    let mut classes = Vec::new();
    let mut stray = Vec::new();
    let mut class_folders = 0;
    for name in names(root)? {
        let path = root.join(&name);
        if !path.is_dir() {
            if is_image(&name) {
                stray.push(name.to_string_lossy().into_owned());
            } else {
                walk.ignore(&name);
            }
            continue;
        }
        class_folders += 1;
        let class = name.to_string_lossy().into_owned();
        if name.to_str().is_none() {
            walk.problems.push(format!(
                "the name of class folder `{class}` is not UTF-8: unreadable parts are replaced"
            ));
        }
        let before = items.len();
        // Each folder is entered once a class, so that links cannot lead round in circles.
        let mut entered = HashSet::new();
        entered.extend(fs::canonicalize(root));
        walk.descend(&path, &class, &mut entered, &mut items)?;
        if items.len() == before {
            walk.problems.push(format!("class folder `{class}` holds no image"));
        }
        classes.resize(items.len(), class);
    }

    let expected = format!("one folder per class with images in it ({})", EXTENSIONS.join(", "));
    if items.is_empty() {
        let found = match (class_folders, stray.len()) {
            (0, 0) => "no folder and no image".to_owned(),
            (0, images) => format!("{images} images without class folders"),
            (folders, _) => format!("{folders} folders without any image in them"),
        };
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: found + &walk.ignored_files(),
            expected,
        });
    }
    if let Some(first) = stray.first() {
        walk.problems.push(format!(
            "images outside of any class folder, left out: {} (the first is `{first}`)",
            stray.len()
        ));
    }
    if !walk.ignored.is_empty() {
        let ignored = walk.ignored_files();
        walk.problems.push(format!("files that are not images by their name, left out{ignored}"));
    }
    Ok(Catalogue { source, items, labels: classes.into_iter().collect(), problems: walk.problems })
}

/// Whether a file or folder is left out because of the dot before its name.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// What was noticed on the way.
#[derive(Default)]
struct Walk {
    problems: Vec<String>,
    /// Number of files left out, by the ending of their names.
    ignored: BTreeMap<String, usize>,
}

impl Walk {
    fn descend(
        &mut self,
        folder: &Path,
        id: &str,
        entered: &mut HashSet<PathBuf>,
        items: &mut Vec<Item>,
    ) -> Result<(), DataError> {
        let real = fs::canonicalize(folder).map_err(|reason| unreadable(folder, reason))?;
        if !entered.insert(real) {
            self.problems
                .push(format!("folder `{id}` is a link to one that was read already, left out"));
            return Ok(());
        }
        for name in names(folder)? {
            let path = folder.join(&name);
            let id = format!("{id}/{}", name.to_string_lossy());
            if path.is_dir() {
                self.descend(&path, &id, entered, items)?;
            } else if is_image(&name) {
                let content = Content::File(path);
                items.push(Item { id, content });
            } else {
                self.ignore(&name);
            }
        }
        Ok(())
    }

    fn ignore(&mut self, name: &OsStr) {
        *self.ignored.entry(extension(name)).or_default() += 1;
    }

    /// The files left out, as the end of a sentence.
    fn ignored_files(&self) -> String {
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
}

/// The names in a folder, sorted, without the hidden ones.
fn names(folder: &Path) -> Result<Vec<OsString>, DataError> {
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(|reason| unreadable(folder, reason))?;
    names.retain(|name| !is_hidden(name));
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, reason: std::io::Error) -> DataError {
    DataError::Unreadable { path: path.to_owned(), reason }
}

fn extension(name: &OsStr) -> String {
    Path::new(name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

fn is_image(name: &OsStr) -> bool {
    EXTENSIONS.contains(&extension(name).as_str())
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = GrayImage::from_pixel(3, 2, Luma([9]));
        // Names in upper case hide the format from `save`.
        image.save_with_format(path, image::ImageFormat::Png).unwrap();
    }

    fn list(root: &Path) -> Result<Catalogue, DataError> {
        catalogue(format!("folder:{}", root.display()), root)
    }

    fn ids(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.items.iter().map(|item| item.id.as_str()).collect()
    }

    #[test]
    fn images_at_any_depth_in_sorted_order() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b/2.JPG", "b/1.png", "a/deep/er/x.gif", "a/z.pgm", "a b/q.webp", "B/1.bmp"] {
            put(folder.path(), path);
        }
        put(folder.path(), ".hidden/1.png");
        put(folder.path(), "a/.1.png");
        let all = list(folder.path()).unwrap();
        assert_eq!(
            ids(&all),
            ["B/1.bmp", "a/deep/er/x.gif", "a/z.pgm", "a b/q.webp", "b/1.png", "b/2.JPG"]
        );
        assert_eq!(all.labels.class_sizes(), [1, 2, 1, 2]);
        assert_eq!(all.labels.name(2), "a b");
        assert!(all.problems.is_empty(), "{:?}", all.problems);
        assert_eq!(all.image(0).unwrap().width(), 3);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a/1.png");
        put(folder.path(), "lost.png");
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::write(folder.path().join("a/notes.txt"), "").unwrap();
        fs::write(folder.path().join("a/raw.HEIC"), "").unwrap();
        fs::write(folder.path().join("README"), "").unwrap();
        let problems = list(folder.path()).unwrap().problems.join("\n");
        for part in [
            "`empty` holds no image",
            "1 (the first is `lost.png`)",
            "1 without an ending, 1 .heic, 1 .txt",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }

    #[test]
    fn a_folder_without_classes_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no folder and no image"), "{message}");
        put(folder.path(), "1.png");
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("1 images without class folders"), "{message}");
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/x.tiff"), "").unwrap();
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("1 folders without any image"), "{message}");
        assert!(message.contains("1 .tiff"), "{message}");
        let message = list(&folder.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("cannot read") && message.contains("none"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        put(elsewhere.path(), "2.png");
        put(folder.path(), "a/1.png");
        symlink(elsewhere.path(), folder.path().join("a/linked")).unwrap();
        symlink(folder.path(), folder.path().join("a/root")).unwrap();
        symlink(folder.path().join("a"), elsewhere.path().join("back")).unwrap();
        symlink("nowhere", folder.path().join("a/broken.png")).unwrap();
        let all = list(folder.path()).unwrap();
        assert_eq!(ids(&all), ["a/1.png", "a/broken.png", "a/linked/2.png"]);
        assert_eq!(all.problems.len(), 2, "{:?}", all.problems);
        assert!(all.image(1).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a/1.png");
        let odd = folder.path().join("a").join(OsStr::from_bytes(b"\xff.png"));
        if fs::copy(folder.path().join("a/1.png"), odd).is_err() {
            return; // this file system refuses such names
        }
        let all = list(folder.path()).unwrap();
        assert_eq!(ids(&all), ["a/1.png", "a/\u{fffd}.png"]);
        assert!(all.image(1).is_ok());
    }
}
