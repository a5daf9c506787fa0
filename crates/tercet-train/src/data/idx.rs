//! Sources of IDX files, the format of MNIST and its family (LeCun et al.), gzipped or not.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::decode::read;
use super::idx_image::{IdxImage, Images};
use super::walk::Walk;
use super::{
    ALLOCATION_LIMIT, Attributes, Catalogue, Content, DataError, Item, Part, Parts, SIDE_LIMIT,
};
use crate::printable::exact_name;

/// First bytes of images: unsigned bytes in three dimensions.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
/// First bytes of labels: unsigned bytes in one dimension.
const LABELS: [u8; 4] = [0, 0, 8, 1];

/// A file of images and its file of labels.
struct Pair {
    /// The part of the name before `images`: `train`, `t10k`.
    name: String,
    images: PathBuf,
    labels: PathBuf,
}

/// Whether a path is a file of images, or a folder with such files, by their names.
pub(crate) fn lies_at(path: &Path) -> bool {
    if !path.is_dir() {
        return split_name(path).is_some();
    }
    let entries = path.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| split_name(&path).is_some())
}

/// The images of a file, or of all files in a folder; a class is a label as a number. In a folder
/// with several files, `train` is the part to train on, `t10k` or `test` the one to test on.
pub(crate) fn catalogue(source: String, path: &Path) -> Result<Catalogue, DataError> {
    let (pairs, problems) = find(path)?;
    let (mut items, mut classes) = (Vec::new(), Vec::new());
    for Pair { name, images, labels } in &pairs {
        let part = match name {
            _ if pairs.len() == 1 => None,
            name if name.contains("train") => Some(Part::Train),
            name if name.contains("t10k") || name.contains("test") => Some(Part::Test),
            _ => None,
        };
        let parts: Parts = part.into_iter().collect();
        let file = Arc::new(read_images(images)?);
        let area = file.width as usize * file.height as usize;
        let (expected, values) = (file.pixels.len() / area, read_labels(labels)?);
        if values.len() != expected {
            return Err(DataError::Refused {
                path: labels.clone(),
                reason: format!(
                    "{} labels, expected {expected}, one for each image of {}",
                    values.len(),
                    images.display()
                ),
            });
        }
        for (index, label) in values.iter().enumerate() {
            let id = if name.is_empty() { index.to_string() } else { format!("{name}/{index}") };
            let content = Content::Idx(IdxImage::new(file.clone(), index));
            let attributes = Attributes { parts, ..Attributes::default() };
            items.push(Item { id, content, attributes });
            classes.push(label.to_string());
        }
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { problems, ..Catalogue::new(source, items, labels) })
}

/// The text before and after the word `images` in the name of a file of images such as
/// `train-images-idx3-ubyte.gz`; `None` for other names.
fn split_name(path: &Path) -> Option<(&str, &str)> {
    let (before, behind) = path.file_name()?.to_str()?.split_once("images")?;
    let format = behind.strip_suffix(".gz").unwrap_or(behind);
    (format.contains("idx3") && format.ends_with("ubyte")).then_some((before, behind))
}

/// The files of images with their labels, and notes about other files, one line each.
fn find(path: &Path) -> Result<(Vec<Pair>, Vec<String>), DataError> {
    if !path.is_dir() {
        return Ok((vec![pair(path)?], Vec::new()));
    }
    let mut walk = Walk::new(&[]);
    let mut pairs: Vec<Pair> = Vec::new();
    let entries = walk.entries(path)?;
    for (_, file) in &entries {
        if split_name(file).is_none() {
            continue;
        }
        let next = pair(file)?;
        if pairs.last().is_some_and(|last| last.name == next.name) {
            // Since files are sorted by name, the uncompressed one comes first.
            walk.note(format!("{} is there unpacked too: left out", file.display()));
            continue;
        }
        pairs.push(next);
    }
    let expected = "train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz], or t10k-…";
    if pairs.is_empty() {
        return Err(DataError::Nothing {
            path: path.to_owned(),
            found: "no IDX file of images".to_owned(),
            expected: expected.to_owned(),
        });
    }
    let is_of_set = |name: &str| {
        let name = name.replace("labels", "images").replace("idx1", "idx3");
        split_name(Path::new(&name)).is_some()
    };
    for (name, _) in &entries {
        let name = exact_name(name);
        if !is_of_set(&name) {
            walk.ignore(&name);
        }
    }
    let same = |word: &str| pairs.iter().filter(|pair| pair.name.contains(word)).count() > 1;
    if same("train") || same("t10k") || same("test") {
        let names: Vec<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
        return Err(DataError::Refused {
            path: path.to_owned(),
            reason: format!(
                "it holds several data sets ({}): name one file of images",
                names.join(", ")
            ),
        });
    }
    Ok((pairs, walk.problems(path)))
}

/// A file of images and the file of labels beside it, compressed or not.
fn pair(images: &Path) -> Result<Pair, DataError> {
    let Some((before, behind)) = split_name(images) else {
        return Err(DataError::Refused {
            path: images.to_owned(),
            reason: "its name does not tell where its labels are, expected a name such as \
                     train-images-idx3-ubyte.gz"
                .to_owned(),
        });
    };
    let plain = behind.strip_suffix(".gz").unwrap_or(behind).replace("idx3", "idx1");
    let candidates = [
        images.with_file_name(format!("{before}labels{plain}")),
        images.with_file_name(format!("{before}labels{plain}.gz")),
    ];
    match candidates.iter().find(|labels| labels.is_file()) {
        Some(labels) => Ok(Pair {
            name: before.trim_end_matches(['-', '_', '.']).to_owned(),
            images: images.to_owned(),
            labels: labels.clone(),
        }),
        None => Err(DataError::Refused {
            path: images.to_owned(),
            reason: format!(
                "there are no labels beside it, expected {}[.gz]",
                candidates[0].display()
            ),
        }),
    }
}

/// The images of one file.
fn read_images(path: &Path) -> Result<Images, DataError> {
    let mut bytes = unpack(path)?;
    let [count, height, width] = header(path, &bytes, IMAGES, "images")?;
    let refuse = |reason| DataError::Refused { path: path.to_owned(), reason };
    let sides = 1..=SIDE_LIMIT;
    if !sides.contains(&width) || !sides.contains(&height) {
        return Err(refuse(format!(
            "its images have {width} x {height} pixels, expected 1 to {SIDE_LIMIT} a side"
        )));
    }
    bytes.drain(..16);
    let expected = u128::from(count) * u128::from(width) * u128::from(height);
    if bytes.len() as u128 != expected {
        return Err(refuse(format!(
            "{} bytes behind its header, expected {expected} for {count} images of {width} x {height} pixels",
            bytes.len()
        )));
    }
    Ok(Images { path: path.to_owned(), width, height, pixels: bytes })
}

fn read_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = unpack(path)?;
    let [count] = header(path, &bytes, LABELS, "labels")?;
    bytes.drain(..8);
    if bytes.len() != count as usize {
        let reason = format!("{} bytes behind its header, expected {count} labels", bytes.len());
        return Err(DataError::Refused { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// The sizes of the dimensions, which follow the first bytes, which contain the type.
fn header<const D: usize>(
    path: &Path,
    bytes: &[u8],
    magic: [u8; 4],
    what: &str,
) -> Result<[u32; D], DataError> {
    let refuse = |reason| DataError::Refused { path: path.to_owned(), reason };
    if !bytes.starts_with(&magic) {
        let first = bytes.get(..4).unwrap_or(bytes);
        return Err(refuse(format!(
            "its first bytes are {first:02x?}, expected {magic:02x?} of an IDX file of {what}"
        )));
    }
    let (sizes, _) = bytes[4..].as_chunks::<4>();
    let sizes: Vec<u32> = sizes.iter().take(D).map(|&size| u32::from_be_bytes(size)).collect();
    sizes
        .try_into()
        .map_err(|_| refuse(format!("it ends inside its header of {} bytes", 4 + 4 * D)))
}

/// The content of a file, uncompressed if its first bytes are those of gzip.
fn unpack(path: &Path) -> Result<Vec<u8>, DataError> {
    let refuse = |reason| DataError::Refused { path: path.to_owned(), reason };
    let bytes = read(path).map_err(refuse)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(ALLOCATION_LIMIT + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| refuse(format!("it cannot be unpacked: {error}")))?;
    if unpacked.len() as u64 > ALLOCATION_LIMIT {
        return Err(refuse(format!("it unpacks to more than {ALLOCATION_LIMIT} bytes")));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// Images of 3 x 2 pixels; all pixels of the i-th image have the value i.
    fn images(count: u8) -> Vec<u8> {
        let sizes = [u32::from(count), 2, 3].map(u32::to_be_bytes).concat();
        let pixels: Vec<u8> = (0..count).flat_map(|image| [image; 6]).collect();
        [&IMAGES[..], &sizes, &pixels].concat()
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        [&LABELS[..], &(labels.len() as u32).to_be_bytes(), labels].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn put(root: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            fs::write(root.join(name), bytes).unwrap();
        }
    }

    fn list(path: &Path) -> Result<Catalogue, String> {
        catalogue("idx:x".to_owned(), path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_of_train_and_test_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(
            root,
            &[
                ("train-images-idx3-ubyte.gz", &gzip(&images(3))),
                ("train-labels-idx1-ubyte", &labels(&[7, 0, 7])),
                ("t10k-images.idx3-ubyte", &images(2)),
                ("t10k-labels.idx1-ubyte.gz", &gzip(&labels(&[0, 9]))),
                ("t10k-images.idx3-ubyte.gz", &gzip(&images(2))),
                ("readme.txt", b""),
            ],
        );
        assert!(lies_at(root) && lies_at(&root.join("train-images-idx3-ubyte.gz")));
        assert!(!lies_at(&root.join("readme.txt")));
        let all = list(root).unwrap();
        assert_eq!(all.ids(), ["t10k/0", "t10k/1", "train/0", "train/1", "train/2"]);
        assert_eq!(all.labels, ["0", "9", "7", "0", "7"].into_iter().collect());
        assert_eq!((all.training().unwrap().len(), all.judging().len()), (3, 2));
        let image = all.image(4).unwrap().to_luma8();
        assert_eq!((image.dimensions(), image.get_pixel(2, 1).0[0]), ((3, 2), 2));
        let problems = all.problems.join("\n");
        assert!(problems.contains("t10k-images.idx3-ubyte.gz is there unpacked too"), "{problems}");
        assert!(problems.contains("1 .txt"), "{problems}");

        let one = list(&root.join("t10k-images.idx3-ubyte")).unwrap();
        assert_eq!(one.ids(), ["t10k/0", "t10k/1"]);
        assert_eq!(one.training().unwrap().len(), 2);
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let whole = images(3);
        let three = labels(&[1, 2, 3]);
        for (images, labels, part) in [
            (
                &b"\x89PNG"[..],
                &three[..],
                "images-idx3-ubyte: its first bytes are [89, 50, 4e, 47]",
            ),
            (b"", &three, "its first bytes are []"),
            (&whole[..9], &three, "ends inside its header of 16 bytes"),
            (&whole[..20], &three, "4 bytes behind its header, expected 18 for 3 images of 3 x 2"),
            (&gzip(&whole)[..20], &three, "cannot be unpacked"),
            (&[&whole[..], &[0]].concat(), &three, "19 bytes behind its header, expected 18"),
            (&[&IMAGES[..], &[0; 12]].concat(), &three, "0 x 0 pixels"),
            (&whole, &whole, "labels-idx1-ubyte: its first bytes are [00, 00, 08, 03]"),
            (&whole, &three[..10], "2 bytes behind its header, expected 3 labels"),
            (&whole, &labels(&[1, 2]), "2 labels, expected 3, one for each image of"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), &[("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)]);
            let message = list(folder.path()).unwrap_err();
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn missing_labels_and_mixed_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(list(root).unwrap_err().contains("no IDX file of images"));
        put(root, &[("a-train-images-idx3-ubyte", &images(1))]);
        let message = list(root).unwrap_err();
        assert!(message.contains("expected") && message.contains("a-train-labels-idx1-ubyte[.gz]"));
        put(
            root,
            &[
                ("a-train-labels-idx1-ubyte", &labels(&[0])),
                ("b-train-images-idx3-ubyte", &images(1)),
                ("b-train-labels-idx1-ubyte", &labels(&[0])),
            ],
        );
        let message = list(root).unwrap_err();
        assert!(message.contains("several data sets (a-train, b-train)"), "{message}");
        let message = list(&root.join("a-train-labels-idx1-ubyte")).unwrap_err();
        assert!(message.contains("name does not tell"), "{message}");
    }
}
