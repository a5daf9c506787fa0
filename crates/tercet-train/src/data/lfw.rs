//! Labeled Faces in the Wild (Huang et al., 2007): one folder a person, `pairs.txt` beside.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Catalogue, DataError, Item, folder};

/// The lists that lie beside the folders in the distribution.
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

/// Whether there are lists of pairs and folders of people whose images carry their names.
pub(crate) fn lies_at(root: &Path) -> bool {
    let is_person = |folder: &Path| {
        let Some(name) = folder.file_name() else { return false };
        let images = fs::read_dir(folder).into_iter().flatten().flatten();
        images
            .map(|image| image.file_name())
            .any(|image| number(&name.to_string_lossy(), &image.to_string_lossy()).is_some())
    };
    pairs_file(root).is_some()
        && fs::read_dir(root).into_iter().flatten().flatten().any(|entry| is_person(&entry.path()))
}

/// `pairs.txt` in the folder or beside it.
pub(crate) fn pairs_file(root: &Path) -> Option<PathBuf> {
    let inside = root.join(PAIRS);
    // `..` is right for `.` too, where the parent of the path is empty.
    let beside = root.join("..").join(PAIRS);
    [inside, beside].into_iter().find(|path| path.is_file())
}

/// Lists the people in the order of their names, as a folder of classes.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let mut all = folder::list(source, root, LISTS)?;
    let is_named = |item: &&Item| {
        let mut parts = item.id.split('/');
        let (Some(person), Some(image)) = (parts.next(), parts.next_back()) else { return false };
        number(person, image).is_some()
    };
    let named = all.items.iter().filter(is_named).count();
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
            first.id
        ));
    }
    Ok(all)
}

/// The number in `Ann_Lee_0012.jpg`, for the person `Ann_Lee`.
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
        put(folder.path(), &["lfw/Ann_Lee/Ann_Lee_0001.jpg", "lfw/Bo/Bo_0001.jpg"]);
        fs::write(folder.path().join(PAIRS), "1\t1\n").unwrap();
        assert!(!lies_at(folder.path()));
        let message = catalogue("lfw:x".to_owned(), folder.path()).unwrap_err().to_string();
        assert!(message.contains("Ann_Lee/Ann_Lee_0001.jpg"), "{message}");
    }
}
