//! Groups as folders of pictures.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use tercet_train::data::{Catalogue, Content};

use super::BySize;
use crate::{General, interrupt, progress};

/// Where pictures go that are in no group with others.
const ALONE: &str = "alone";

/// How the pictures came into the folders.
#[derive(Debug, Default, Serialize)]
pub(super) struct Placed {
    linked: usize,
    copied: usize,
}

/// Refuses a folder that holds something, before the long work.
pub(super) fn check(folder: &Path) -> anyhow::Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!("--folders {} is not empty: name a new folder", folder.display()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// Puts every picture into the folder of its group: `group-1`, the largest, and so on.
pub(super) fn place(
    general: &General,
    root: &Path,
    pictures: &Catalogue,
    groups: &BySize,
) -> anyhow::Result<Placed> {
    let bar = progress::bar(general, "placing", pictures.len());
    let digits = groups.groups.len().to_string().len();
    let mut placed = Placed::default();
    let mut taken = HashSet::new();
    for (item, group) in groups.of_items.iter().enumerate() {
        let with_others = group.filter(|&group| groups.groups[group as usize - 1].len() > 1);
        let folder =
            with_others.map_or_else(|| ALONE.to_owned(), |group| format!("group-{group:0digits$}"));
        let folder = root.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let id = &pictures.items[item].id;
        let mut name = id.replace(['/', '\\'], "_");
        let whole = pictures.items[item].attributes.crop.is_none();
        let file = match &pictures.items[item].content {
            Content::File(path) if whole => Some(path),
            // Drawn from elsewhere, or cut out of a larger picture: written anew.
            _ => {
                name += ".png";
                None
            }
        };
        let mut to = folder.join(&name);
        let mut copy = 2;
        while !taken.insert(to.clone()) {
            to = folder.join(format!("{copy}_{name}"));
            copy += 1;
        }
        match file {
            Some(from) if fs::hard_link(from, &to).is_ok() => placed.linked += 1,
            Some(from) => {
                fs::copy(from, &to).with_context(|| {
                    format!("cannot copy {} to {}", from.display(), to.display())
                })?;
                placed.copied += 1;
            }
            None => {
                let picture = pictures.image(item)?;
                picture.save(&to).with_context(|| format!("cannot write {}", to.display()))?;
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
