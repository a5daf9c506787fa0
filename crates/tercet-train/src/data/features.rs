//! Sources of vectors, which another network computed from its items.

use std::path::Path;
use std::sync::Arc;

use super::{BadItem, Catalogue, Content, DataError, Item, Vector};
use crate::embeddings::{BadRow, Embeddings, labels_beside};
use crate::printable::exact_name;

/// The rows of a file, with labels from another file, from the file itself, or from a file
/// `NAME.labels.txt` or `NAME.labels.npy` beside it.
pub(crate) fn catalogue(
    source: String,
    file: &Path,
    labels: Option<&Path>,
) -> Result<Catalogue, DataError> {
    let (mut embeddings, bad_rows) = Embeddings::load_all(file).map_err(DataError::Embeddings)?;
    let labels = match labels {
        Some(labels) => Some(labels.to_owned()),
        None if embeddings.labels.is_some() => None,
        None => labels_beside(file),
    };
    if let Some(labels) = &labels {
        embeddings = embeddings.with_labels_from(labels).map_err(DataError::Embeddings)?;
    }
    let Embeddings { vectors, labels, ids, .. } = embeddings;
    let Some(labels) = labels else {
        return Err(DataError::Refused {
            path: file.to_owned(),
            reason: "it holds no labels: name a file of them with --labels".to_owned(),
        });
    };
    let refuse = |found: &str| DataError::Nothing {
        path: file.to_owned(),
        found: found.to_owned(),
        expected: "a vector of one component or more for each item".to_owned(),
    };
    match vectors.dim() {
        (0, _) => return Err(refuse("no vectors")),
        (_, 0) => return Err(refuse("vectors without components")),
        _ => {}
    }

    let table = Arc::new((file.to_owned(), vectors));
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut bad_rows = bad_rows.into_iter().peekable();
    for (row, label) in labels.into_iter().enumerate() {
        let id = ids.as_ref().and_then(|ids| ids.get(row).cloned());
        let id = id.unwrap_or_else(|| row.to_string());
        if let Some(BadRow { reason, .. }) = bad_rows.next_if(|bad| bad.row == row) {
            let path = format!("row {row} of {}", exact_name(file.as_os_str()));
            bad.push(BadItem { id, path, reason });
            continue;
        }
        items.push(Item::new(id, Content::Vector(Vector::new(table.clone(), row))));
        classes.push(label);
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, ..Catalogue::new(source, items, labels) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::array;

    use super::*;
    use crate::data::{Pixels, PrepareOptions, Preprocessing, Source};

    fn save(path: &Path, labels: Option<&[&str]>) {
        let labels = labels.map(|labels| labels.iter().map(|&label| label.to_owned()).collect());
        let vectors = array![[1.0, 2.0], [3.0, 4.0], [5.0, f32::NAN]];
        let embeddings = Embeddings { vectors, labels, ids: None, model: None };
        embeddings.save(path).unwrap();
    }

    #[test]
    fn rows_are_items_and_rows_that_are_no_numbers_are_bad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.safetensors");
        save(&path, Some(&["a", "b", "a"]));
        let all = Source::Features { path: path.clone(), labels: None }.catalogue().unwrap();
        assert_eq!(all.labels, ["a", "b"].into_iter().collect());
        assert_eq!(all.vectors().unwrap(), array![[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(all.select(&[1]).vectors().unwrap(), array![[3.0, 4.0]]);
        let (first, mut other) = (all.select(&[0]), all.select(&[0]));
        other.items[0].content = all.items[1].content.clone();
        assert_ne!(first.fingerprint(), other.fingerprint());
        let bad = all.bad[0].to_string();
        assert!(bad.contains("row 2 of") && bad.contains("component 1 is NaN"), "{bad}");
        assert_eq!(Source::Glyphs.catalogue().unwrap().vectors(), None);
        assert!(all.image(0).is_err());
        let preprocessing = Preprocessing::new(8, 8, 1);
        let options = PrepareOptions { skip_bad: true, ..PrepareOptions::default() };
        let error = Pixels::prepare(all, &preprocessing, &options, &|_, _| {}).unwrap_err();
        assert!(error.to_string().contains("vectors, not images"), "{error}");
    }

    #[test]
    fn labels_from_a_file_named_or_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        save(&path, None);
        let list = |labels| {
            let source = Source::Features { path: path.clone(), labels };
            source.catalogue().map(|all| all.labels).map_err(|error| error.to_string())
        };
        assert!(list(None).unwrap_err().contains("--labels"));
        fs::write(folder.path().join("v.labels.txt"), "x\ny\nz\n").unwrap();
        assert_eq!(list(None).unwrap(), ["x", "y"].into_iter().collect());
        let other = folder.path().join("other.txt");
        fs::write(&other, "q\nq\nq\n").unwrap();
        assert_eq!(list(Some(other.clone())).unwrap(), ["q", "q"].into_iter().collect());
        fs::write(&other, "q\n").unwrap();
        assert!(list(Some(other)).unwrap_err().contains("1 labels: expected 3"));
    }
}
