//! Sources with one folder per class and images in it at any depth, or with such folders inside of
//! parts.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{Layout, Top};
use super::walk::{EXTENSIONS, Walk, is_image};
use super::{Attributes, BadItem, Catalogue, Content, DataError, Item, LabelFrom, Part};
use crate::printable::{exact_name, printable, printable_path};

/// Lists the images below `root`. Classes and, within them, paths are sorted by the bytes of their
/// names, so the order is the same on every machine. Hidden files and folders are left out.
///
/// Folders named `train`, `val`, `test`, `query` or `gallery` that contain folders of classes are
/// parts.
///
/// # Errors
/// A folder without images; folders that are probably not classes ([`DataError::Layout`]).
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let listed = Listed::below(root, &[])?;
    let layout = Layout::of(root, &listed.tops)?;
    Ok(listed.into_catalogue(source, &layout))
}

/// Lists one folder per class without checking what the folders are. `known` are files that belong
/// beside the folders.
pub(crate) fn classes(
    source: String,
    root: &Path,
    known: &'static [&'static str],
) -> Result<Catalogue, DataError> {
    Ok(Listed::below(root, known)?.into_catalogue(source, &Layout::Classes))
}

/// Lists the images below `root` at any depth, sorted by the bytes of their paths. The class of an
/// image is taken from its name; images whose names contain none are bad items. Folders are parts
/// as in [`catalogue`].
pub(crate) fn by_name(
    source: String,
    root: &Path,
    label_from: &LabelFrom,
) -> Result<Catalogue, DataError> {
    let mut walk = Walk::new(&[]);
    let mut found = Vec::new();
    walk.images(root, "", &mut HashSet::new(), &mut found)?;
    if found.is_empty() {
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: "no image".to_owned() + &walk.ignored_files(root),
            expected: format!("images at any depth ({})", EXTENSIONS.join(", ")),
        });
    }
    let mut tops: Vec<Option<&str>> =
        found.iter().map(|(id, _)| id.split_once('/').map(|(top, _)| top)).collect();
    tops.dedup();
    let are_parts = tops.iter().copied().collect::<Option<Vec<&str>>>();
    let are_parts = are_parts.and_then(|tops| Layout::parts_alone(&tops)).is_some();
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for (id, path) in found {
        let Some(class) = label_from.class(&id) else {
            let reason =
                format!("its name tells no class: expected a match of --label-from '{label_from}'");
            bad.push(BadItem { path: exact_name(path.as_os_str()), id, reason });
            continue;
        };
        classes.push(class.to_owned());
        let part = id.split('/').next().and_then(Part::named).filter(|_| are_parts);
        items.push(of_part(id, path, part));
    }
    if let (true, Some(first)) = (items.is_empty(), bad.first()) {
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: format!("{} images, none of which --label-from '{label_from}' matches (the first is `{}`)", bad.len(), printable(&first.id)),
            expected: "an expression that matches the names of files, or their paths if it has a `/` in it".to_owned(),
        });
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, problems: walk.problems(root), ..Catalogue::new(source, items, labels) })
}

/// The images below a folder, grouped by the folders directly below it.
struct Listed<'a> {
    root: &'a Path,
    walk: Walk,
    /// The folders that contain images.
    tops: Vec<Top>,
}

impl<'a> Listed<'a> {
    fn below(root: &'a Path, known: &'static [&'static str]) -> Result<Self, DataError> {
        let mut walk = Walk::new(known);
        let mut tops = Vec::new();
        let mut stray = Vec::new();
        let mut class_folders = 0;
        for (name, path) in walk.entries(root)? {
            let name = exact_name(&name);
            if !path.is_dir() {
                match is_image(&name) {
                    true => stray.push(name),
                    false => walk.ignore(&name),
                }
                continue;
            }
            class_folders += 1;
            let mut images = Vec::new();
            let mut entered = HashSet::new();
            entered.extend(fs::canonicalize(root));
            walk.images(&path, &name, &mut entered, &mut images)?;
            match images.is_empty() {
                true => walk.note(format!("class folder `{}` holds no image", printable(&name))),
                false => tops.push(Top { name, images }),
            }
        }
        if tops.is_empty() {
            let found = match (class_folders, stray.len()) {
                (0, 0) => "no folder and no image".to_owned(),
                (0, images) => format!(
                    "{images} images without class folders (images:{} takes them without classes)",
                    printable_path(root)
                ),
                (1, _) => "one folder without any image in it".to_owned(),
                (folders, _) => format!("{folders} folders without any image in them"),
            };
            return Err(DataError::Nothing {
                path: root.to_owned(),
                found: found + &walk.ignored_files(root),
                expected: format!(
                    "one folder per class with images in it ({})",
                    EXTENSIONS.join(", ")
                ),
            });
        }
        walk.note_stray(&stray);
        Ok(Self { root, walk, tops })
    }

    fn into_catalogue(mut self, source: String, layout: &Layout) -> Catalogue {
        let (mut items, mut classes, mut stray) = (Vec::new(), Vec::new(), Vec::new());
        let parts: &[Part] = match layout {
            Layout::Classes => &[],
            Layout::Parts(parts) => parts,
        };
        for (place, Top { name, images }) in self.tops.into_iter().enumerate() {
            let part = parts.get(place).copied();
            for (id, path) in images {
                let class = match part {
                    None => Some(name.clone()),
                    // PART/CLASS/…/IMAGE
                    Some(_) => {
                        let mut names = id.split('/').skip(1);
                        names.next().filter(|_| names.next().is_some()).map(str::to_owned)
                    }
                };
                match class {
                    Some(class) => {
                        classes.push(class);
                        items.push(of_part(id, path, part));
                    }
                    None => stray.push(id),
                }
            }
        }
        self.walk.note_stray(&stray);
        let labels = classes.into_iter().collect();
        let problems = self.walk.problems(self.root);
        Catalogue { problems, ..Catalogue::new(source, items, labels) }
    }
}

fn of_part(id: String, path: PathBuf, part: Option<Part>) -> Item {
    let attributes = Attributes { parts: part.into_iter().collect(), ..Attributes::default() };
    Item { id, content: Content::File(path), attributes }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = GrayImage::from_pixel(3, 2, Luma([9]));
        // The extension is in upper case, so `save` would not recognise the format.
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
            "1 without an ending, 1 .txt",
            "1 .heic (`a/raw.HEIC`)",
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
        fs::write(folder.path().join("a/x.avif"), "").unwrap();
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("one folder without any image"), "{message}");
        assert!(message.contains("1 .avif"), "{message}");
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
        assert_eq!(ids(&all), ["a/1.png", r"a/\xFF.png"]);
        assert!(all.image(1).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn classes_in_other_encodings_stay_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        // 中 and 文 in GBK, é and è in Latin-1: with replacement characters, all four names would be
        // one class.
        let names = [&b"\xd6\xd0"[..], b"\xce\xc4", b"\xe9", b"\xe8"];
        for name in names {
            let class = folder.path().join(OsStr::from_bytes(name));
            if fs::create_dir(&class).is_err() {
                return; // this file system refuses such names
            }
            GrayImage::new(2, 2).save(class.join("1.png")).unwrap();
        }
        let all = list(folder.path()).unwrap();
        assert_eq!(all.labels, [r"\xCE\xC4", r"\xD6\xD0", r"\xE8", r"\xE9"].into_iter().collect());
        assert!((0..4).all(|item| all.image(item).is_ok()));
    }

    #[test]
    fn parts_hold_the_folders_of_classes() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "train/b/1.png",
            "train/a/deep/1.png",
            "train/a/2.png",
            "Val/a/3.png",
            "TEST/c/4.png",
            "TEST/stray.png",
        ] {
            put(folder.path(), path);
        }
        let all = list(folder.path()).unwrap();
        let parts: Vec<_> = all.items.iter().map(|item| item.attributes.parts).collect();
        assert_eq!(
            ids(&all),
            ["TEST/c/4.png", "Val/a/3.png", "train/a/2.png", "train/a/deep/1.png", "train/b/1.png"]
        );
        assert_eq!(parts[..2], [Part::Test.into(), Part::Validation.into()]);
        assert_eq!(all.labels, ["c", "a", "a", "a", "b"].into_iter().collect());
        assert_eq!(all.training().unwrap().labels, ["a", "a", "b"].into_iter().collect());
        assert_eq!(ids(&all.judging()), ["TEST/c/4.png"]);
        assert!(all.problems.join("\n").contains("1 (the first is `TEST/stray.png`)"));
    }

    #[test]
    fn names_of_files_tell_classes() {
        let folder = tempfile::tempdir().unwrap();
        let by_name = |pattern: &str| {
            let pattern = pattern.parse().unwrap();
            by_name("images:x".to_owned(), folder.path(), &pattern)
        };
        assert!(by_name("^(a)").unwrap_err().to_string().contains("no image"));
        for path in ["0001_a.png", "0002_b.png", "me.png"] {
            put(folder.path(), path);
        }
        let all = by_name(r"^(\d+)_").unwrap();
        assert_eq!((ids(&all), all.labelled), (vec!["0001_a.png", "0002_b.png"], true));
        assert_eq!(all.labels, ["0001", "0002"].into_iter().collect());
        let bad = all.bad[0].to_string();
        assert!(bad.contains("me.png") && bad.contains(r"--label-from '^(\d+)_'"), "{bad}");
        let none = by_name(r"^(x+)_").unwrap_err().to_string();
        assert!(none.contains("3 images, none") && none.contains("0001_a.png"), "{none}");

        for file in ["0001_a.png", "0002_b.png", "me.png"] {
            fs::remove_file(folder.path().join(file)).unwrap();
        }
        for path in ["train/1_a.png", "train/2_a.png", "test/deep/1_b.png"] {
            put(folder.path(), path);
        }
        let all = by_name(r"^(\d+)_").unwrap();
        assert_eq!(ids(&all.training().unwrap()), ["train/1_a.png", "train/2_a.png"]);
        assert_eq!(ids(&all.judging()), ["test/deep/1_b.png"]);
        // The advice for folds is an expression with a slash, which is matched with the whole path.
        let all = by_name(r"^([^/]+)/").unwrap();
        assert_eq!(all.labels, ["test", "train", "train"].into_iter().collect());
    }
}
