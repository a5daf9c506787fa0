//! Writes groups as folders of pictures or text files.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use tercet_train::data::{Catalogue, Content, Item};
use tercet_train::fingerprint::Fingerprint;

use super::BySize;
use crate::exit::Usage;
use crate::{General, commands, interrupt, progress};

/// The folder of the pictures that are in no group with others.
const ALONE: &str = "alone";

/// The longest file name in bytes. File systems allow 255; the number of a copy is added in front.
const LONGEST_NAME: usize = 240;

/// The longest path on Linux in bytes, without its terminator.
const LONGEST_PATH: usize = 4_095;

/// Bytes for `/group-N/` and for the number of a copy.
const GROUP_LENGTH: usize = 40;

/// How many pictures were linked, and how many copied.
#[derive(Debug, Default, Serialize)]
pub(super) struct Placed {
    linked: usize,
    copied: usize,
}

/// Creates the folder before the long work; refuses one that is not empty or cannot be written.
pub(super) fn check(folder: &Path) -> anyhow::Result<()> {
    if fs::metadata(folder).is_ok_and(|there| !there.is_dir()) {
        bail!(Usage(format!("--folders {} is a file: name a new folder", folder.display())));
    }
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if entries.next().is_some() {
        bail!(Usage(format!("--folders {} is not empty: name a new folder", folder.display())));
    }
    commands::check_writable(&folder.join("picture"))
}

/// Refuses a folder whose own path leaves no space for the names of the pictures.
pub(super) fn check_names(folder: &Path, pictures: &Catalogue) -> anyhow::Result<()> {
    let root = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let longest = names(pictures).iter().map(String::len).max().unwrap_or(0);
    let length = root.as_os_str().len() + GROUP_LENGTH + longest;
    if length > LONGEST_PATH {
        bail!(Usage(format!(
            "--folders {}: paths in it would take {length} bytes, and the system allows {LONGEST_PATH}: name a folder with a shorter path",
            folder.display()
        )));
    }
    Ok(())
}

/// A unique file name for every picture: its id with slashes replaced. Of a name that is too long
/// for a file system the end is used, preceded by a hash of the whole id.
fn names(pictures: &Catalogue) -> Vec<String> {
    let mut taken = HashSet::new();
    let name = |item: &Item| {
        let mut name = item.id.replace(['/', '\\', '\0'], "_");
        if file_of(item).is_none() {
            name += if item.content.text().is_some() { ".txt" } else { ".png" };
        }
        name = shortened(name, &item.id);
        let mut free = name.clone();
        let mut copy = 2;
        while !taken.insert(free.clone()) {
            free = format!("{copy}_{name}");
            copy += 1;
        }
        free
    };
    pictures.items.iter().map(name).collect()
}

fn shortened(name: String, id: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let mut hash = Fingerprint::new();
    hash.text(id);
    let hash = hash.hex();
    let mut from = name.len() - (LONGEST_NAME - hash.len() - 1);
    while !name.is_char_boundary(from) {
        from += 1;
    }
    format!("{hash}_{}", &name[from..])
}

/// The file to link; `None` for a picture that is embedded or cut out of a larger one, which is
/// written as a new file.
fn file_of(item: &Item) -> Option<&Path> {
    match &item.content {
        Content::File(path) if item.attributes.crop.is_none() => Some(path),
        _ => None,
    }
}

/// Links a picture, or copies it where that is not possible. A symbolic link is resolved first: a
/// hard link to it would be a symbolic link again, whose relative target is wrong in the new
/// folder.
fn link(from: &Path, to: &Path) -> anyhow::Result<bool> {
    let file = fs::canonicalize(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::hard_link(&file, to).is_ok() {
        return Ok(true);
    }
    fs::copy(&file, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(false)
}

/// Writes every picture into the folder of its group: `group-1` is the largest, and so on.
pub(super) fn place(
    general: &General,
    root: &Path,
    pictures: &Catalogue,
    groups: &BySize,
) -> anyhow::Result<Placed> {
    let bar = progress::bar(general, "placing", pictures.len());
    let digits = groups.groups.len().to_string().len();
    let mut placed = Placed::default();
    let names = names(pictures);
    for (item, group) in groups.of_items.iter().enumerate() {
        let with_others = group.filter(|&group| groups.groups[group as usize - 1].len() > 1);
        let folder =
            with_others.map_or_else(|| ALONE.to_owned(), |group| format!("group-{group:0digits$}"));
        let folder = root.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let to = folder.join(&names[item]);
        match file_of(&pictures.items[item]) {
            Some(from) if link(from, &to)? => placed.linked += 1,
            Some(_) => placed.copied += 1,
            None => {
                let written = || format!("cannot write {}", to.display());
                match pictures.items[item].content.text() {
                    Some(text) => fs::write(&to, format!("{text}\n")).with_context(written)?,
                    None => pictures.image(item)?.save(&to).with_context(written)?,
                }
                placed.copied += 1;
            }
        }
        bar.inc(1);
        if interrupt::asked().is_break() {
            bail!(crate::exit::Interrupted(format!(
                "interrupted: {} of {} pictures are in {}",
                item + 1,
                pictures.len(),
                root.display()
            )));
        }
    }
    bar.finish_and_clear();
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use tercet::Labels;

    use super::*;

    #[test]
    fn names_are_short_distinct_and_always_the_same() {
        let long = |start: &str| format!("{start}/{}/あ.jpg", "é".repeat(200));
        let ids = ["a/b_c.png".into(), "a_b/c.png".into(), long("x"), long("y"), "d\0.jpg".into()];
        let items: Vec<Item> =
            ids.iter().map(|id: &String| Item::new(id.clone(), Content::File(id.into()))).collect();
        let labels = Labels::from_iter([0; 5]);
        let pictures = Catalogue::new("images:x".to_owned(), items, labels);
        let got = names(&pictures);
        assert_eq!((&*got[0], &*got[1], &*got[4]), ("a_b_c.png", "2_a_b_c.png", "d_.jpg"));
        assert!(got[2] != got[3] && got[2].ends_with("あ.jpg"), "{got:?}");
        assert!(got.iter().all(|name| name.len() <= LONGEST_NAME + 2), "{got:?}");
        assert_eq!(got, names(&pictures));
        let deep = "d/".repeat(2_000);
        assert!(check_names(Path::new(&deep), &pictures).is_err());
    }
}
