//! Labeled Faces in the Wild (Huang et al., 2007): one folder per person, and the list `pairs.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Catalogue, DataError, Item, folder};
use crate::printable::{exact_name, printable, printable_path};

/// The lists beside the folders in the distribution.
const LISTS: &[&str] = &[
    PAIRS,
    "pairsDevTest.txt",
    "pairsDevTrain.txt",
    "people.txt",
    "peopleDevTest.txt",
    "peopleDevTrain.txt",
    "lfw-names.txt",
    "README.txt",
];

const PAIRS: &str = "pairs.txt";

/// Whether there are lists of pairs, and folders of people whose images contain their names.
pub(crate) fn lies_at(root: &Path) -> bool {
    pairs_file(root).is_some() && holds_people(root)
}

/// Whether the images of one of the folders are named after the folder.
fn holds_people(root: &Path) -> bool {
    let is_person = |folder: &Path| {
        let Some(name) = folder.file_name() else { return false };
        let images = fs::read_dir(folder).into_iter().flatten().flatten();
        images
            .map(|image| image.file_name())
            .any(|image| number(&exact_name(name), &exact_name(&image)).is_some())
    };
    folders(root).iter().any(|folder| is_person(folder))
}

/// The folders in a folder, sorted by name; those that cannot be read are left out.
fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The folder of the people, if it is up to two levels below a path, or the parent of it.
fn nearby(root: &Path) -> Option<PathBuf> {
    let below = folders(root);
    let deeper: Vec<PathBuf> = below.iter().flat_map(|folder| folders(folder)).collect();
    let above = match root.parent() {
        Some(above) if !above.as_os_str().is_empty() && root.file_name().is_some() => above.into(),
        _ => root.join(".."),
    };
    below.into_iter().chain(deeper).chain([above]).find(|folder| holds_people(folder))
}

/// The path of `pairs.txt` in the folder or beside it.
pub(crate) fn pairs_file(root: &Path) -> Option<PathBuf> {
    let inside = root.join(PAIRS);
    // `..` also works for `.`, whose parent path is empty.
    let beside = root.join("..").join(PAIRS);
    [inside, beside].into_iter().find(|path| path.is_file())
}

/// Lists the people like a folder of classes, sorted by name.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let is_named = |item: &&Item| {
        let mut parts = item.id.split('/');
        let (Some(person), Some(image)) = (parts.next(), parts.next_back()) else { return false };
        number(person, image).is_some()
    };
    let listed = folder::classes(source, root, LISTS);
    let named = listed.iter().flat_map(|all| &all.items).filter(is_named).count();
    if named == 0
        && let Some(people) = nearby(root)
    {
        return Err(DataError::Layout {
            path: root.to_owned(),
            found: "no folders of people".to_owned(),
            remedy: format!("they are in another folder, use lfw:{}", printable_path(&people)),
        });
    }
    let mut all = listed?;
    if named == 0 {
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: format!("{} images, none of which is named after its folder", all.len()),
            expected: "one folder a person, images in it as in `Ann_Lee/Ann_Lee_0001.jpg`"
                .to_owned(),
        });
    }
    if let Some(first) = all.items.iter().find(|item| !is_named(item)) {
        all.problems.push(format!(
            "images that are not named after their person, which no pair can name: {} (the first is `{}`)",
            all.len() - named,
            printable(&first.id)
        ));
    }
    Ok(all)
}

/// The number in `Ann_Lee_0012.jpg` of the person `Ann_Lee`.
fn number(person: &str, image: &str) -> Option<u32> {
    let stem = image.rsplit_once('.')?.0;
    stem.strip_prefix(person)?.strip_prefix('_')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use image::GrayImage;

    use super::*;

    fn put(root: &Path, paths: &[&str]) {
        for path in paths {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::new(4, 4).save(path).unwrap();
        }
    }

    #[test]
    fn people_with_pairs_inside_or_beside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lfw");
        put(&root, &["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg", "Bo/Bo_0001.jpg"]);
        assert!(!lies_at(&root));
        for place in [folder.path(), &root] {
            fs::write(place.join(PAIRS), "1\t1\n").unwrap();
            assert!(lies_at(&root));
            assert!(pairs_file(&root).unwrap().is_file());
        }
        let all = catalogue("lfw:x".to_owned(), &root).unwrap();
        assert_eq!(all.labels, ["Ann_Lee", "Ann_Lee", "Bo"].into_iter().collect());
        assert!(all.problems.is_empty(), "{:?}", all.problems);

        put(&root, &["Bo/portrait.jpg"]);
        let problems = catalogue("lfw:x".to_owned(), &root).unwrap().problems;
        assert!(problems[0].contains("1 (the first is `Bo/portrait.jpg`)"), "{problems:?}");
    }

    #[test]
    fn folders_of_something_else_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &["x/a/1.jpg", "x/b/1.jpg"]);
        let message = catalogue("lfw:x".to_owned(), &folder.path().join("x")).unwrap_err();
        assert!(message.to_string().contains("Ann_Lee/Ann_Lee_0001.jpg"), "{message}");
    }

    #[test]
    fn a_path_above_or_below_names_the_right_folder() {
        let folder = tempfile::tempdir().unwrap();
        let people = folder.path().join("in/lfw");
        put(&people, &["Ann_Lee/Ann_Lee_0001.jpg", "Bo/Bo_0001.jpg"]);
        fs::write(folder.path().join("in").join(PAIRS), "1\t1\n").unwrap();
        let remedy = format!("use lfw:{}", people.display());
        for wrong in ["", "in", "in/lfw/Ann_Lee"] {
            let root = folder.path().join(wrong);
            assert!(!lies_at(&root));
            let message = catalogue("lfw:x".to_owned(), &root).unwrap_err().to_string();
            assert!(message.ends_with(&remedy), "{message}");
        }
        assert_eq!(catalogue("lfw:x".to_owned(), &people).unwrap().len(), 2);
    }
}
