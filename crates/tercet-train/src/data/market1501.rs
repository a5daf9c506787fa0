//! Re-identification in the layout of Market-1501 (Zheng et al., "Scalable Person
//! Re-identification: A Benchmark", 2015).

use std::path::Path;

use super::walk::{Walk, is_image};
use super::{Attributes, BadItem, Catalogue, Content, DataError, Item, Part, Parts};
use crate::printable::exact_name;

/// The folders and the parts that they are.
const FOLDERS: [(&str, Part); 3] =
    [("bounding_box_train", Part::Train), ("query", Part::Query), (GALLERY, Part::Gallery)];

const GALLERY: &str = "bounding_box_test";

/// The format of file names.
const PATTERN: &str =
    "IDENTITY_cCAMERAsSEQUENCE_FRAME_BOX.jpg as in `0002_c1s1_000451_03.jpg`, identity -1 for junk";

/// Files that Windows creates; they are also in the archive of the authors.
const LEFT_BEHIND: &[&str] = &["Thumbs.db"];

/// Whether the folders of the layout exist: the one for training, or the two for evaluation.
pub(crate) fn lies_at(root: &Path) -> bool {
    let there = FOLDERS.map(|(folder, _)| root.join(folder).is_dir());
    there[0] || (there[1] && there[2])
}

/// All images of all folders, each with its camera, sequence and part. A class is an identity as it
/// is written in the name; `-1` is junk and `0` are the distractors, which are none of the
/// identities.
///
/// Junk and distractors are never trained on: those in `bounding_box_train` are not in any part.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let mut walk = Walk::new(LEFT_BEHIND);
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut not_trained = 0;
    for (folder, part) in FOLDERS {
        if !root.join(folder).is_dir() {
            continue;
        }
        for (name, path) in walk.entries(&root.join(folder))? {
            let name = exact_name(&name);
            if !is_image(&name) {
                walk.ignore(&name);
                continue;
            }
            let id = format!("{folder}/{name}");
            let Some(Name { identity, camera, sequence }) = Name::parse(&name) else {
                let reason = format!("its name does not tell what it shows, expected {PATTERN}");
                bad.push(BadItem { id, path: exact_name(path.as_os_str()), reason });
                continue;
            };
            let is_nobody = identity == "-1" || identity == "0";
            let parts = match part {
                Part::Train if is_nobody => Parts::default(),
                part => part.into(),
            };
            not_trained += usize::from(parts.is_empty());
            let attributes = Attributes {
                parts,
                camera: Some(camera.to_owned()),
                sequence: Some(sequence.to_owned()),
                crop: None,
            };
            items.push(Item { id, content: Content::File(path), attributes });
            classes.push(identity.to_owned());
        }
    }
    if items.is_empty() && bad.is_empty() {
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: "no image in these folders".to_owned() + &walk.ignored_files(root),
            expected: format!("{} with images named {PATTERN}", FOLDERS.map(|(f, _)| f).join(", ")),
        });
    }
    if not_trained > 0 {
        walk.note(format!(
            "junk and distractors in {}, not trained on: {not_trained}",
            FOLDERS[0].0
        ));
    }
    for (folder, _) in FOLDERS {
        if !root.join(folder).is_dir() {
            walk.note(format!("there is no folder `{folder}`"));
        }
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, problems: walk.problems(root), ..Catalogue::new(source, items, labels) })
}

/// The fields of a file name.
#[derive(Debug, PartialEq)]
struct Name<'a> {
    /// As written, but `-1` for junk and `0` for distractors, however many digits they have.
    identity: &'a str,
    camera: &'a str,
    sequence: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let mut fields = name.split('.').next()?.split('_');
        let mut next = || fields.next();
        let (identity, place, frame, number) = (next()?, next()?, next()?, next()?);
        let (camera, sequence) = place.strip_prefix('c')?.split_once('s')?;
        let is_number = |text: &str| {
            !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let identity = match identity.strip_prefix('-') {
            Some(junk) => (junk.trim_start_matches('0') == "1").then_some("-1")?,
            None if !is_number(identity) => return None,
            None if identity.bytes().all(|digit| digit == b'0') => "0",
            None => identity,
        };
        let rest = [camera, sequence, frame, number];
        (rest.into_iter().all(is_number) && next().is_none()).then_some(Self {
            identity,
            camera,
            sequence,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::GrayImage;

    use super::*;

    fn put(root: &Path, paths: &[&str]) {
        for path in paths {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::new(4, 8).save(path).unwrap();
        }
    }

    #[test]
    fn names_tell_identity_camera_and_sequence() {
        let name = |identity, camera, sequence| Some(Name { identity, camera, sequence });
        for (text, expected) in [
            ("0002_c1s1_000451_03.jpg", name("0002", "1", "1")),
            ("1501_c6s4_001902_01.jpg.jpg", name("1501", "6", "4")),
            ("-1_c3s12_000401_00.jpg", name("-1", "3", "12")),
            ("0000_c1s1_000151_01.jpg", name("0", "1", "1")),
            ("0002_c1s1_000451.jpg", None),
            ("0002_c1s1_000451_03_1.jpg", None),
            ("0002_c1_f000451_03.jpg", None),
            ("-2_c1s1_000451_03.jpg", None),
            ("a002_c1s1_000451_03.jpg", None),
            ("0002_cs1_000451_03.jpg", None),
            ("photo.jpg", None),
        ] {
            assert_eq!(Name::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn folders_are_parts_and_nobody_is_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(
            root,
            &[
                "bounding_box_train/0002_c1s1_000451_03.jpg",
                "bounding_box_train/0002_c2s1_000451_03.jpg",
                "bounding_box_train/0000_c2s1_000451_03.jpg",
                "query/0003_c1s1_000001_00.jpg",
                "bounding_box_test/-1_c1s1_000001_00.jpg",
                "bounding_box_test/0000_c1s1_000001_00.jpg",
                "bounding_box_test/0003_c4s2_000001_00.jpg",
                "bounding_box_test/me.jpg",
            ],
        );
        fs::write(root.join("query/Thumbs.db"), "").unwrap();
        fs::write(root.join("query/list.txt"), "").unwrap();
        assert!(lies_at(root));
        let all = catalogue("market1501:x".to_owned(), root).unwrap();
        assert_eq!(all.len(), 7);
        assert_eq!(all.training().unwrap().labels, ["0002", "0002"].into_iter().collect());
        assert_eq!(all.subset(Part::Query).ids(), ["query/0003_c1s1_000001_00.jpg"]);
        assert_eq!(all.subset(Part::Gallery).labels, ["-1", "0", "0003"].into_iter().collect());
        assert_eq!(all.subset(Part::Gallery).cameras().unwrap().name(1), "4");
        assert_eq!(all.judging().len(), 4);
        assert_eq!(all.bad.len(), 1);
        let bad = all.bad[0].to_string();
        assert!(bad.contains("me.jpg") && bad.contains("0002_c1s1_000451_03.jpg"), "{bad}");
        let problems = all.problems.join("\n");
        assert!(problems.contains("1 .txt") && !problems.contains(".db"), "{problems}");
        assert!(problems.contains("not trained on: 1"), "{problems}");
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &["query/0003_c1s1_000001_00.jpg"]);
        assert!(!lies_at(folder.path()));
        let all = catalogue("market1501:x".to_owned(), folder.path()).unwrap();
        assert_eq!(all.problems.len(), 2, "{:?}", all.problems);
        assert!(all.training().is_err());
        fs::remove_dir_all(folder.path().join("query")).unwrap();
        let message = catalogue("market1501:x".to_owned(), folder.path()).unwrap_err().to_string();
        assert!(message.contains("bounding_box_train, query, bounding_box_test"), "{message}");
    }
}
