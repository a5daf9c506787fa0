//! Sources of images without classes.

use std::collections::HashSet;
use std::path::Path;

use super::walk::{EXTENSIONS, Walk};
use super::{Catalogue, Content, DataError, Item};

/// The label of all images, because their classes are not known.
const NO_LABEL: &str = "unlabelled";

/// Lists the images below `root` at any depth, sorted by the bytes of their paths.
pub(crate) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
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
    let labels = found.iter().map(|_| NO_LABEL).collect();
    let items = found.into_iter().map(|(id, path)| Item::new(id, Content::File(path))).collect();
    Ok(Catalogue {
        labelled: false,
        problems: walk.problems(root),
        ..Catalogue::new(source, items, labels)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::GrayImage;

    use super::super::Source;

    #[test]
    fn images_without_classes_can_be_looked_at_and_not_learnt_from() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        let nothing = format!("images:{text}").parse::<Source>().unwrap().catalogue();
        assert!(nothing.unwrap_err().to_string().contains("no image"));
        for path in ["b.png", "a.png", "deep/er/1.png", ".hidden.png"] {
            GrayImage::new(2, 2).save(folder.path().join(path)).unwrap();
        }
        let all = format!("images:{text}").parse::<Source>().unwrap().catalogue().unwrap();
        assert_eq!(all.ids(), ["a.png", "b.png", "deep/er/1.png"]);
        assert!(!all.labelled && !all.select(&[1]).labelled);
        let message = all.training().unwrap_err().to_string();
        assert!(message.contains("tells no classes"), "{message}");

        // A folder without sub-folders is recognised as a source without classes.
        fs::remove_dir_all(folder.path().join("deep")).unwrap();
        let source: Source = text.parse().unwrap();
        assert_eq!(source.to_string(), format!("images:{text}"));
    }
}
