//! A gallery that follows a source of pictures: it is created first, and updated afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tercet_gallery::{Duplicates, Error, ReadGallery, Settings, WriteGallery};
use tercet_train::data::{Catalogue, Content, LabelFrom, Source};

use super::filling::{Again, Contents, Filled, Filling, Into};
use super::model::{self, Chosen};
use crate::exit::{Interrupted, Usage};
use crate::table::count;
use crate::{General, progress};

/// The folder in which these galleries are created.
const FOLDER: &str = "galleries";

/// Items that are removed at once.
const CHUNK: usize = 1000;

/// The state of the source from which a gallery was made: a stamp for each item, which changes when
/// the item changes.
///
/// It is written after outdated items were removed from the gallery, and before new ones are added:
/// an item of the gallery with the right stamp is up to date, even if the work was interrupted at
/// any point.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    items: BTreeMap<String, String>,
}

/// Creates a gallery of the pictures of a source, or updates the existing one; returns its folder.
/// There is one gallery for each combination of source and model.
pub(crate) fn gallery_of(
    general: &General,
    text: &str,
    source: &Source,
    model: Option<&Path>,
    label_from: Option<LabelFrom>,
    skip_bad: bool,
) -> anyhow::Result<PathBuf> {
    let filling = Filling::of(text, label_from, skip_bad);
    let contents = filling.contents()?;
    let Contents::Pictures { catalogue, .. } = &contents else {
        bail!(Usage(format!(
            "{text} holds vectors, not pictures: make a gallery with `tercet gallery create GALLERY \
             {text}` and serve that"
        )));
    };
    let chosen = Chosen::for_source(general, model, source)?;
    let folder = folder(source, &chosen.model.fingerprint);
    let location = folder.display().to_string();
    progress::remark(general, format!("the gallery of {text} is {location}"));
    let mut writer = opened(&folder, &chosen)?;
    let reader = tercet_gallery::reader(&location)?;
    model::check(&*reader, &chosen.model)?;
    if reader.model()?.is_none() {
        writer.keep_model(&chosen.file)?;
    }
    let record = Record::of(source, catalogue);
    let removed = remove_outdated(&folder, &*reader, &mut *writer, &record)?;
    record.write(&folder)?;
    reader.refresh()?;
    let choice = filling.choose(&contents, chosen.model.metric(), Some(&*reader))?;
    let again = Again::new(&location, &filling);
    filling.note_source(&contents, &location, &mut *writer)?;
    let mut into = Into { writer: &mut *writer, duplicates: Duplicates::Refuse, again: &again };
    let filled = filling.add_pictures(general, &mut into, &chosen.model, catalogue, choice);
    let filled = filled.map_err(|error| match error.is::<Interrupted>() {
        true => Interrupted(
            "interrupted: the same command continues with the pictures that are left".to_owned(),
        )
        .into(),
        false => error.context("what was added so far is kept; the same command continues"),
    })?;
    reader.refresh()?;
    let info = reader.info()?;
    if info.removed > info.items {
        writer.compact()?;
    }
    progress::remark(general, summary(info.items, &filled, removed));
    Ok(folder)
}

/// The folder of the gallery: the name of the source, and a hash that distinguishes sources of the
/// same name, and models.
fn folder(source: &Source, fingerprint: &str) -> PathBuf {
    let path = source.path().map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let mark = hash(&(source.kind(), path, fingerprint));
    Path::new(FOLDER).join(format!("{}-{:08x}", source.name(), mark >> 32))
}

fn opened(folder: &Path, chosen: &Chosen) -> anyhow::Result<Box<dyn WriteGallery>> {
    let model = &chosen.model;
    let settings = Settings {
        dimensions: model.card.dimensions(),
        metric: model.metric(),
        model: model.fingerprint.clone(),
        quantization: None,
    };
    fs::create_dir_all(FOLDER).with_context(|| {
        format!("cannot make the folder {FOLDER} for the gallery here: start in another folder")
    })?;
    let location = folder.display().to_string();
    match tercet_gallery::create_with_model(&location, settings, &chosen.file) {
        Err(Error::AlreadyThere { .. }) => Ok(tercet_gallery::writer(&location)?),
        created => Ok(created?),
    }
}

/// Removes items that the source no longer contains or that have changed; returns the number of the
/// former.
fn remove_outdated(
    folder: &Path,
    reader: &dyn ReadGallery,
    writer: &mut dyn WriteGallery,
    record: &Record,
) -> anyhow::Result<usize> {
    let before = Record::read(folder)?;
    let mut outdated = Vec::new();
    let mut from = None;
    loop {
        let page = reader.items(from, CHUNK)?;
        let is_outdated = |id: &String| match record.items.get(id) {
            Some(stamp) => before.items.get(id) != Some(stamp),
            None => true,
        };
        outdated.extend(page.items.into_iter().map(|item| item.id).filter(is_outdated));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    for chunk in outdated.chunks(CHUNK) {
        let ids: Vec<&str> = chunk.iter().map(String::as_str).collect();
        writer.remove(&ids)?;
    }
    // Changed items are added again, so they do not count as removed.
    Ok(outdated.iter().filter(|id| !record.items.contains_key(*id)).count())
}

fn summary(items: u64, filled: &Filled, removed: usize) -> String {
    let counts = [
        ("added or changed", filled.added),
        ("removed", removed),
        ("left out", filled.skipped.len()),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|&(_, number)| number > 0)
        .map(|(what, number)| format!("{} {what}", count(number)))
        .collect();
    match counts.is_empty() {
        true => format!("{} items, up to date", count(items as usize)),
        false => format!("{} items: {}", count(items as usize), counts.join(", ")),
    }
}

impl Record {
    /// The stamps of the current items.
    fn of(source: &Source, catalogue: &Catalogue) -> Self {
        // Items without files of their own change when the file that contains them changes.
        let container = source.path().map(container_stamp);
        let stamps = (0..).zip(&catalogue.items).map(|(index, item): (usize, _)| {
            let class = catalogue.labels.classes()[index];
            let label = catalogue.labelled.then(|| catalogue.labels.name(class));
            let file = match &item.content {
                Content::File(path) => Some(file_stamp(path)),
                _ => container.clone(),
            };
            let known = hash(&(label, format!("{:?}", item.attributes)));
            (item.id.clone(), format!("{} {known:016x}", file.unwrap_or_default()))
        });
        Self { items: stamps.collect() }
    }

    fn path(folder: &Path) -> PathBuf {
        let mut name = folder.as_os_str().to_owned();
        name.push(".json");
        name.into()
    }

    /// Reads the record; empty if there is none or it cannot be parsed, so that all items are added
    /// again.
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = Self::path(folder);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the record atomically.
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = Self::path(folder);
        let written = || {
            let mut file = tempfile::NamedTempFile::new_in(FOLDER)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok::<(), anyhow::Error>(())
        };
        written().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Size and modification time of a file; empty if it cannot be read, which is reported when it is
/// decoded.
fn file_stamp(path: &Path) -> String {
    let Ok(file) = fs::metadata(path) else { return String::new() };
    let time = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", file.len(), time.unwrap_or_default().as_nanos())
}

/// The stamp of a file, or of all files of a folder.
fn container_stamp(path: &Path) -> String {
    let Ok(entries) = fs::read_dir(path) else { return file_stamp(path) };
    let mut stamps: Vec<(PathBuf, String)> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .map(|path| (path.clone(), file_stamp(&path)))
        .collect();
    stamps.sort();
    format!("{:016x}", hash(&stamps))
}

fn hash(of: &impl Hash) -> u64 {
    let mut hash = DefaultHasher::new();
    of.hash(&mut hash);
    hash.finish()
}
