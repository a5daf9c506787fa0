//! Folders of text files, one folder per class, or with such folders inside of parts.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::layout::Layout;
use crate::data::walk::{Walk, is_image};
use crate::data::{Attributes, BadItem, Catalogue, Content, DataError, Item, Part, Text};
use crate::printable::{exact_name, printable};
use crate::reading;

/// Endings of files that are texts; files without an ending are texts as well.
const ENDINGS: [&str; 3] = ["txt", "text", "md"];

/// The number of files that are looked at to recognise a folder of texts.
const LOOKED_AT: usize = 200;

/// The text files below a folder, grouped by the folders directly in it.
struct Found {
    /// Path from the root with `/` between the parts, and path on disk.
    texts: Vec<(String, PathBuf)>,
    /// The number of other files, by their ending.
    others: BTreeMap<String, usize>,
}

/// The text files of a folder as items, sorted by the bytes of their paths. The class is the name of
/// the folder directly below the root, or below the part (`train`, `val`, `test`, `query`,
/// `gallery`) if all folders there are parts.
pub(super) fn catalogue(source: String, root: &Path) -> Result<Catalogue, DataError> {
    let mut walk = Walk::new(&[]);
    let mut found = Found { texts: Vec::new(), others: BTreeMap::new() };
    found.add(&mut walk, root, "", &mut HashSet::new())?;
    let mut tops: Vec<&str> =
        found.texts.iter().filter_map(|(id, _)| Some(id.split_once('/')?.0)).collect();
    tops.dedup();
    let has_parts = Layout::parts_alone(&tops).is_some()
        && found.texts.iter().all(|(id, _)| id.matches('/').count() != 1);
    let (mut items, mut classes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut outside = Vec::new();
    for (id, path) in &found.texts {
        let mut names = id.split('/');
        let part = if has_parts { names.next().and_then(Part::named) } else { None };
        let (Some(class), Some(_)) = (names.next(), names.next()) else {
            outside.push(id);
            continue;
        };
        match text(path) {
            Ok(text) => {
                let text = Content::Text(Text::new(Arc::from(&**path), text.trim()));
                let parts = part.into_iter().collect();
                let attributes = Attributes { parts, ..Attributes::default() };
                items.push(Item { id: id.clone(), content: text, attributes });
                classes.push(class.to_owned());
            }
            Err(reason) => {
                bad.push(BadItem { id: id.clone(), path: exact_name(path.as_os_str()), reason });
            }
        }
    }
    let others: Vec<String> =
        found.others.iter().map(|(ending, count)| format!("{count} .{ending}")).collect();
    if items.is_empty() && bad.is_empty() {
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" (other files: {})", others.join(", ")),
        };
        return Err(DataError::Nothing {
            path: root.to_owned(),
            found: format!("{} text files in class folders{others}", items.len()),
            expected: "one folder per class with text files in it (.txt, .text, .md or no ending)"
                .to_owned(),
        });
    }
    if let Some(first) = outside.first() {
        walk.note(format!(
            "text files outside of any class folder, left out: {} (the first is `{}`)",
            outside.len(),
            printable(first)
        ));
    }
    if !others.is_empty() {
        let others = printable(&others.join(", ")).into_owned();
        walk.note(format!("files that are not texts by their name, left out ({others})"));
    }
    let labels = classes.into_iter().collect();
    Ok(Catalogue { bad, problems: walk.problems(root), ..Catalogue::new(source, items, labels) })
}

/// Whether the folders in a folder have text files and no images, by the first files in them.
pub(super) fn has_texts(root: &Path) -> bool {
    let mut folders = vec![(root.to_owned(), 0)];
    let (mut looked_at, mut texts) = (0, 0);
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { return false };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if depth < 2 {
                    folders.push((path, depth + 1));
                }
                continue;
            }
            looked_at += 1;
            let name = exact_name(&entry.file_name());
            if is_image(&name) {
                return false;
            }
            texts += usize::from(depth > 0 && path.extension().is_some() && is_text(&name));
            if looked_at >= LOOKED_AT {
                return texts > 0;
            }
        }
    }
    texts > 0
}

fn is_text(name: &str) -> bool {
    match Path::new(name).extension() {
        None => true,
        Some(ending) => ENDINGS.iter().any(|text| ending.eq_ignore_ascii_case(text)),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let text = reading::read_text(path).map_err(|error| error.to_string())?;
    match text.trim().is_empty() {
        true => Err("it is empty, expected a text".to_owned()),
        false => Ok(text),
    }
}

impl Found {
    /// Adds the files of a folder, at any depth. `id` is the path of the folder from the root. Each
    /// folder is entered only once, so that links cannot cause an endless loop.
    fn add(
        &mut self,
        walk: &mut Walk,
        folder: &Path,
        id: &str,
        entered: &mut HashSet<PathBuf>,
    ) -> Result<(), DataError> {
        let real = fs::canonicalize(folder)
            .map_err(|reason| DataError::Unreadable { path: folder.to_owned(), reason })?;
        if !entered.insert(real) {
            return Ok(());
        }
        for (name, path) in walk.entries(folder)? {
            let name = exact_name(&name);
            let own = if id.is_empty() { name.clone() } else { format!("{id}/{name}") };
            if path.is_dir() {
                self.add(walk, &path, &own, entered)?;
            } else if is_text(&name) {
                self.texts.push((own, path));
            } else {
                let ending = Path::new(&name).extension().unwrap_or_default();
                let ending = ending.to_string_lossy().to_lowercase();
                *self.others.entry(ending).or_default() += 1;
            }
        }
        Ok(())
    }
}
