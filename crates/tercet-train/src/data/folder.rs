//! One folder per class, images in it at any depth.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::walk::{EXTENSIONS, Walk, is_image};
use super::{Catalogue, Content, DataError, Item};

/// Lists the images below `root`. Classes and, within them, paths are sorted by the bytes of their
/// names, so the order is the same on every machine. Hidden files and folders do not count.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    list(source, root, &[])
}

/// As [`catalogue`], with files that are known to lie beside the folders.
pub(crate) fn list(
    source: String,
    root: &Path,
    known: &'static [&'static str],
) -> Result<Catalogue, DataError> {
    let mut walk = Walk::new(known);
    let mut found = Vec::new();
    let mut classes = Vec::new();
    let mut stray = Vec::new();
    let mut class_folders = 0;
    for (name, path) in walk.entries(root)? {
        let class = name.to_string_lossy().into_owned();
        if !path.is_dir() {
            if is_image(&class) {
                stray.push(class);
            } else {
                walk.ignore(&class);
            }
            continue;
        }
        class_folders += 1;
        if name.to_str().is_none() {
            walk.note(format!(
                "the name of class folder `{class}` is not UTF-8: unreadable parts are replaced"
            ));
        }
        let before = found.len();
        let mut entered = HashSet::new();
        entered.extend(fs::canonicalize(root));
        walk.images(&path, &class, &mut entered, &mut found)?;
        if found.len() == before {
            walk.note(format!("class folder `{class}` holds no image"));
        }
        classes.resize(found.len(), class);
    }

    let expected = format!("one folder per class with images in it ({})", EXTENSIONS.join(", "));
    if found.is_empty() {
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
        walk.note(format!(
            "images outside of any class folder, left out: {} (the first is `{first}`)",
            stray.len()
        ));
    }
    let items = found.into_iter().map(|(id, path)| Item::new(id, Content::File(path))).collect();
    let labels = classes.into_iter().collect();
    Ok(Catalogue { problems: walk.problems(), ..Catalogue::new(source, items, labels) })
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
        assert_eq!(
            all.problems,
            ["hidden files and folders, left out: 2 (the first is `.hidden`)"]
        );
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
        use std::ffi::OsStr;
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
