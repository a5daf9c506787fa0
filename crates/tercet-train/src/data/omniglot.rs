//! Omniglot (Lake et al., "Human-level concept learning through probabilistic program induction",
//! 2015): handwritten characters of many alphabets, and the authors' one-shot runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::tree::Tree;
use super::{Attributes, BadItem, Catalogue, Content, DataError, Item, Part, Parts};

/// The sets with the authors' names, as folders or zip files, and the parts that they are.
const SETS: [(&str, Part); 2] =
    [("images_background", Part::Train), ("images_evaluation", Part::Test)];

/// The one-shot runs with the authors' name, as a folder or a zip file.
pub(super) const RUNS: &str = "all_runs";

/// The file with the right answers of a run.
const ANSWERS: &str = "class_labels.txt";

/// The number of runs of the protocol.
const RUN_COUNT: usize = 20;

/// Whether a path is Omniglot: a set, the runs, or a folder that contains some of these.
pub(crate) fn lies_at(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default();
    let names = [SETS[0].0, SETS[1].0, RUNS];
    let is_one = path.exists() && names.into_iter().any(|name| stem == name);
    is_one || names.into_iter().any(|name| one(&path.join(name)).is_some())
}

/// A set or the runs: the folder of this path, or the zip file with this name.
fn one(path: &Path) -> Option<PathBuf> {
    let zip = path.with_extension("zip");
    [path, &zip].into_iter().find(|path| path.is_dir() || path.is_file()).map(Path::to_owned)
}

/// All images of the sets at a path, by alphabet and character. If both sets exist, the background
/// set is the part to train on and the evaluation set the one to test on. If there is no set, the
/// images of the one-shot runs. Zip files are read without unpacking, and give the same list as
/// folders.
pub(crate) fn catalogue(source: String, path: &Path) -> Result<Catalogue, DataError> {
    let sets: Vec<(PathBuf, Part)> =
        SETS.into_iter().filter_map(|(name, part)| Some((one(&path.join(name))?, part))).collect();
    if sets.is_empty() {
        return match find_runs(path)? {
            Some(tree) => Ok(OneShotRuns::read(source, path, tree)?.catalogue),
            None => set(source, path, Parts::default()),
        };
    }
    // A single set may be used for anything.
    let parts = |part: Part| if sets.len() == 1 { Parts::default() } else { part.into() };
    let mut all: Option<Catalogue> = None;
    for (path, part) in &sets {
        let mut next = set(source.clone(), path, parts(*part))?;
        if path.is_dir() && path.with_extension("zip").is_file() {
            next.problems.push(format!(
                "{}.zip lies beside the folder of that name: only the folder is read",
                path.display()
            ));
        }
        all = Some(match all {
            None => next,
            Some(all) => all.chain(next),
        });
    }
    all.ok_or(DataError::NoItems { what: "Omniglot" })
}

/// One set: paths end with `ALPHABET/CHARACTER/IMAGE`.
fn set(source: String, path: &Path, parts: Parts) -> Result<Catalogue, DataError> {
    let Tree { images, walk, .. } = Tree::open(path, &[])?;
    let expected = "ALPHABET/CHARACTER/IMAGE as in `Latin/character01/0683_01.png`";
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for (name, content) in images {
        let folders: Vec<&str> = name.split('/').collect();
        let [.., alphabet, character, image] = folders.as_slice() else {
            let path = format!("{}/{name}", path.display());
            let reason = format!("it lies in no folder of a character, expected {expected}");
            bad.push(BadItem { id: name, path, reason });
            continue;
        };
        classes.push(format!("{alphabet}/{character}"));
        let attributes = Attributes { parts, ..Attributes::default() };
        items.push(Item { id: format!("{alphabet}/{character}/{image}"), content, attributes });
    }
    if items.is_empty() {
        let found = match bad.len() {
            0 => "no image".to_owned() + &walk.ignored_files(path),
            images => format!("{images} images, none in a folder of a character"),
        };
        return Err(DataError::Nothing {
            path: path.to_owned(),
            found,
            expected: format!(
                "{}, {} or {RUNS} (folders or .zip files), or {expected}",
                SETS[0].0, SETS[1].0
            ),
        });
    }
    let mut seen = HashSet::new();
    for item in &items {
        if !seen.insert(item.id.as_str()) {
            return Err(DataError::Refused {
                path: path.to_owned(),
                reason: format!("`{}` is there twice: name one of the folders in it", item.id),
            });
        }
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, problems: walk.problems(path), ..Catalogue::new(source, items, labels) })
}

/// Lake's one-shot classification. In each run, a few classes have one training image each, and
/// each test image is assigned to the class of one of these, independently of the other test
/// images.
#[derive(Debug, Clone)]
pub struct OneShotRuns {
    /// The images of all runs; a class is one character in one run.
    pub catalogue: Catalogue,
    /// The runs, in the order of their names. The protocol has 20.
    pub runs: Vec<OneShotRun>,
}

/// One run: 20 classes of one alphabet, 20 test images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneShotRun {
    /// Its name, for example `run01`.
    pub name: String,
    /// The training images, one per class, as items of the catalogue.
    pub training: Vec<u32>,
    /// The test images, as items of the catalogue.
    pub test: Vec<u32>,
    /// For each test image, the index of the right answer in [`training`](Self::training).
    pub truth: Vec<u32>,
}

impl OneShotRuns {
    /// The runs at a path, which is `all_runs`, `all_runs.zip` or a folder that contains one of
    /// these.
    pub(super) fn at(source: String, path: &Path) -> Result<Self, DataError> {
        match find_runs(path)? {
            Some(tree) => Self::read(source, path, tree),
            None => Err(DataError::Nothing {
                path: path.to_owned(),
                found: "no one-shot runs".to_owned(),
                expected: format!("{RUNS} or {RUNS}.zip with run01/{ANSWERS} … in it"),
            }),
        }
    }

    fn read(source: String, path: &Path, tree: Tree) -> Result<Self, DataError> {
        let (mut items, mut classes, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for folder in run_folders(&tree) {
            let name = folder.rsplit('/').next().unwrap_or(&folder).to_owned();
            let training = images(&tree, &folder, "training");
            let test = images(&tree, &folder, "test");
            let truth = answers(path, &tree, &folder, &training, &test)?;
            let class = |(image, _): &(String, Content)| {
                let file = image.rsplit('/').next().unwrap_or(image);
                format!("{name}/{}", file.split('.').next().unwrap_or(file))
            };
            classes.extend(training.iter().map(class));
            classes.extend(truth.iter().map(|&place| class(&training[place as usize])));
            let mut add = |images: Vec<(String, Content)>, part: Part| -> Vec<u32> {
                let first = items.len() as u32;
                items.extend(images.into_iter().map(|(image, content)| {
                    let attributes = Attributes { parts: part.into(), ..Attributes::default() };
                    Item { id: format!("{name}/{image}"), content, attributes }
                }));
                (first..items.len() as u32).collect()
            };
            let training = add(training, Part::Gallery);
            let test = add(test, Part::Query);
            runs.push(OneShotRun { name, training, test, truth });
        }
        let mut problems = tree.walk.problems(path);
        if runs.len() != RUN_COUNT {
            problems.push(format!("one-shot runs: {}, the protocol has {RUN_COUNT}", runs.len()));
        }
        let labels = classes.into_iter().collect();
        Ok(Self {
            catalogue: Catalogue { problems, ..Catalogue::new(source, items, labels) },
            runs,
        })
    }
}

/// The runs at a path or in a folder below it; `None` if there are none.
fn find_runs(path: &Path) -> Result<Option<Tree>, DataError> {
    let below = one(&path.join(RUNS));
    let tree = Tree::open(below.as_deref().unwrap_or(path), &[ANSWERS])?;
    Ok((!run_folders(&tree).is_empty()).then_some(tree))
}

/// The folders of the runs, as paths in the tree.
fn run_folders(tree: &Tree) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    for (image, _) in &tree.images {
        // …/run01/training/class01.png
        let mut parts = image.rsplitn(3, '/');
        let (_, list, folder) = (parts.next(), parts.next(), parts.next());
        if let (Some("training"), Some(folder)) = (list, folder)
            && folders.last().is_none_or(|last| last != folder)
        {
            folders.push(folder.to_owned());
        }
    }
    folders
}

/// The images of one list of a run, with their paths relative to the run's folder.
fn images(tree: &Tree, run: &str, list: &str) -> Vec<(String, Content)> {
    let below = format!("{run}/{list}/");
    tree.images
        .iter()
        .filter_map(|(image, content)| {
            Some((format!("{list}/{}", image.strip_prefix(&below)?), content.clone()))
        })
        .collect()
}

/// Reads the right answers of a run; each line has a test image and the training image of its
/// class. Returns, for each test image, the index of its answer among the training images.
fn answers(
    path: &Path,
    tree: &Tree,
    folder: &str,
    training: &[(String, Content)],
    test: &[(String, Content)],
) -> Result<Vec<u32>, DataError> {
    let file = format!("{folder}/{ANSWERS}");
    let path = path.join(&file);
    let Some(text) = tree.text(&file)? else {
        return Err(DataError::Refused {
            path,
            reason: "there is no such file: expected the right answers of the run".to_owned(),
        });
    };
    let run = folder.rsplit('/').next().unwrap_or(folder);
    let place = |images: &[(String, Content)], name: &str| {
        let name = name.strip_prefix(run)?.strip_prefix('/')?;
        images.iter().position(|(image, _)| image == name)
    };
    let mut truth = vec![None; test.len()];
    for (line, text) in (1..).zip(text.lines()) {
        let refuse = |reason| DataError::Line { path: path.clone(), line, reason };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[item, class] = fields.as_slice() else {
            if fields.is_empty() {
                continue;
            }
            let expected = format!("expected `{run}/test/ITEM.png {run}/training/CLASS.png`");
            return Err(refuse(format!("`{text}` is no answer: {expected}")));
        };
        let lacking = |name| refuse(format!("there is no image `{name}`"));
        let item_place = place(test, item).ok_or_else(|| lacking(item))?;
        let class_place = place(training, class).ok_or_else(|| lacking(class))?;
        if truth[item_place].replace(class_place as u32).is_some() {
            return Err(refuse(format!("`{item}` has its second answer")));
        }
    }
    match truth.iter().position(Option::is_none) {
        Some(item) => Err(DataError::Refused {
            path,
            reason: format!("`{run}/{}` has no answer", test[item].0),
        }),
        None => Ok(truth.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use image::{GrayImage, ImageFormat, Luma};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::data::Source;

    fn png(light: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = GrayImage::from_pixel(5, 5, Luma([light]));
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn put(root: &Path, files: &[(&str, Vec<u8>)]) {
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn zip(path: &Path, files: &[(&str, Vec<u8>)]) {
        let mut zip = ZipWriter::new(File::create(path).unwrap());
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    fn set_files() -> Vec<(&'static str, Vec<u8>)> {
        // Sorted by folders, "A b" follows "A"; sorted by the bytes of whole paths, it precedes it.
        ["A/c1/1.png", "A/c2/1.png", "A b/c1/1.png", "A b/c1/2.png"].map(|p| (p, png(7))).to_vec()
    }

    fn run_files() -> Vec<(&'static str, Vec<u8>)> {
        let answers = "run01/test/item01.png run01/training/class02.png\n\
                       run01/test/item02.png run01/training/class01.png\n";
        vec![
            ("run01/class_labels.txt", answers.into()),
            ("run01/test/item01.png", png(1)),
            ("run01/test/item02.png", png(2)),
            ("run01/training/class01.png", png(3)),
            ("run01/training/class02.png", png(4)),
        ]
    }

    fn list(path: &Path) -> Result<Catalogue, DataError> {
        Source::Omniglot(path.to_owned()).catalogue()
    }

    #[test]
    fn a_zip_file_lists_the_same_as_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(&root.join("images_background"), &set_files());
        let inside: Vec<(String, Vec<u8>)> = set_files()
            .into_iter()
            .map(|(name, content)| (format!("images_background/{name}"), content))
            .collect();
        let inside: Vec<(&str, Vec<u8>)> =
            inside.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
        zip(&root.join("images_background.zip"), &inside);

        let unpacked = list(&root.join("images_background")).unwrap();
        let zipped = list(&root.join("images_background.zip")).unwrap();
        assert_eq!(unpacked.ids(), ["A/c1/1.png", "A/c2/1.png", "A b/c1/1.png", "A b/c1/2.png"]);
        assert_eq!(unpacked.labels, ["A/c1", "A/c2", "A b/c1", "A b/c1"].into_iter().collect());
        assert_eq!(unpacked.fingerprint(), zipped.fingerprint());
        assert_eq!(unpacked.image(2).unwrap(), zipped.image(2).unwrap());
        assert!(unpacked.problems.is_empty() && zipped.problems.is_empty());
        assert_eq!(unpacked.training().unwrap().len(), 4);

        let both = list(root).unwrap();
        assert_eq!(both.fingerprint(), zipped.fingerprint());
        assert!(both.problems[0].contains("only the folder is read"), "{:?}", both.problems);
    }

    #[test]
    fn background_trains_and_evaluation_judges() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(&root.join("images_background"), &set_files());
        zip(&root.join("images_evaluation.zip"), &[("images_evaluation/Z/c1/1.png", png(9))]);
        zip(&root.join("all_runs.zip"), &run_files());
        let all = list(root).unwrap();
        assert_eq!((all.training().unwrap().len(), all.judging().ids()), (4, vec!["Z/c1/1.png"]));
        assert_eq!(OneShotRuns::of(&Source::Omniglot(root.to_owned())).unwrap().runs.len(), 1);
    }

    #[test]
    fn runs_from_a_folder_or_a_zip_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        put(&root.join("all_runs"), &run_files());
        zip(&root.join("runs.zip"), &run_files());
        for path in [root.join("all_runs"), root.join("runs.zip"), root.to_owned()] {
            let source = Source::Omniglot(path);
            let OneShotRuns { catalogue, runs } = OneShotRuns::of(&source).unwrap();
            let run = OneShotRun {
                name: "run01".to_owned(),
                training: vec![0, 1],
                test: vec![2, 3],
                truth: vec![1, 0],
            };
            assert_eq!(runs, [run]);
            let classes = ["run01/class01", "run01/class02", "run01/class02", "run01/class01"];
            assert_eq!(catalogue.labels, classes.into_iter().collect());
            assert_eq!(catalogue.items[2].id, "run01/test/item01.png");
            assert_eq!(catalogue.image(2).unwrap().to_luma8().get_pixel(0, 0).0[0], 1);
            assert_eq!(catalogue.part(&[Part::Query]), [2, 3]);
            assert_eq!(catalogue.problems, ["one-shot runs: 1, the protocol has 20"]);
            assert!(source.catalogue().unwrap().training().is_err());
        }
    }

    #[test]
    fn answers_that_do_not_fit_name_file_and_line() {
        let first = "run01/test/item01.png run01/training/class02.png";
        for (second, part) in [
            (
                "run01/test/item03.png run01/training/class01.png",
                ":2: there is no image `run01/test",
            ),
            ("run01/test/item02.png run01/training/class9.png", ":2: there is no image `run01/tra"),
            ("run01/test/item02.png", ":2: `run01/test/item02.png` is no answer"),
            ("run01/test/item01.png run01/training/class01.png", "has its second answer"),
            ("", "`run01/test/item02.png` has no answer"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), &run_files());
            put(
                folder.path(),
                &[("run01/class_labels.txt", format!("{first}\n{second}\n").into())],
            );
            let message = list(folder.path()).unwrap_err().to_string();
            assert!(message.contains("run01/class_labels.txt"), "{message}");
            assert!(message.contains(part), "{part}: {message}");
        }
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &run_files()[1..]);
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("there is no such file"), "{message}");
    }

    #[test]
    fn other_layouts_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(list(root).unwrap_err().to_string().contains("images_background"));
        put(root, &[("a/1.png", png(1))]);
        assert!(list(root).unwrap_err().to_string().contains("1 images, none in"));
        put(root, &[("a/b/c/1.png", png(1)), ("z/b/c/1.png", png(1))]);
        assert!(list(root).unwrap_err().to_string().contains("`b/c/1.png` is there twice"));
        fs::write(root.join("x.zip"), "no zip").unwrap();
        let message = list(&root.join("x.zip")).unwrap_err().to_string();
        assert!(message.contains("x.zip: expected a zip file"), "{message}");
        let message = OneShotRuns::of(&Source::Glyphs).unwrap_err().to_string();
        assert!(message.contains("omniglot:PATH"), "{message}");
    }

    #[test]
    fn a_damaged_entry_is_a_bad_item() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images_background.zip");
        zip(&path, &[("A/c1/1.png", png(1)), ("A/c1/2.png", png(2))]);
        let mut bytes = fs::read(&path).unwrap();
        let data = bytes.windows(10).position(|part| part == b"A/c1/1.png").unwrap() + 12;
        bytes[data..data + 20].fill(0xAA);
        fs::write(&path, bytes).unwrap();
        let all = list(&path).unwrap();
        let message = all.image(0).unwrap_err().to_string();
        assert!(message.contains("images_background.zip/A/c1/1.png"), "{message}");
        assert!(all.image(1).is_ok());
    }
}
