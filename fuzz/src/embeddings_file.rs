//! Whatever bytes a file of embeddings, labels or triplets holds, it is read or refused.

use std::fs;
use std::path::PathBuf;

use tercet_train::embeddings::{Embeddings, Format};

pub(crate) fn check(bytes: &[u8]) {
    for format in [Format::Npy, Format::Safetensors, Format::Parquet] {
        let Ok(embeddings) = Embeddings::from_bytes(bytes.to_vec(), format) else { continue };
        let rows = embeddings.vectors.nrows();
        for list in [&embeddings.labels, &embeddings.ids].into_iter().flatten() {
            assert_eq!(list.len(), rows);
        }
    }
    let nothing = Embeddings {
        vectors: ndarray::Array2::zeros((9, 1)),
        labels: None,
        ids: None,
        model: None,
    };
    for ending in ["npy", "txt", "safetensors", "parquet"] {
        let path = scratch(ending);
        if fs::write(&path, bytes).is_err() {
            continue;
        }
        if let Ok((embeddings, bad)) = Embeddings::load_skipping(&path, true) {
            assert!(embeddings.vectors.iter().all(|number| number.is_finite()));
            assert!(bad.is_sorted_by_key(|bad| bad.row));
        }
        for triplet in nothing.triplets_from(&path).into_iter().flatten() {
            assert!(triplet.anchor.max(triplet.positive).max(triplet.negative) < 9);
        }
        if let Ok(labelled) = nothing.clone().with_labels_from(&path) {
            assert_eq!(labelled.classes().map(|labels| labels.len()), Some(9));
        }
        // What is left behind harms nobody.
        let _ = fs::remove_file(&path);
    }
}

/// One file a process, in memory where the system has such a place.
fn scratch(ending: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("tercet-fuzz-{}.{ending}", std::process::id()))
}
