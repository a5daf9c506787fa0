//! The new vectors of an upgrade, while they are computed beside the gallery.
//!
//! `GALLERY/upgrade/plan.json` says what is done, and `GALLERY/upgrade/vectors` is a gallery with the
//! vectors that are ready. Both survive a kill; the gallery itself is not changed.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tercet::Adapter;
use tercet_gallery::{
    Carried, Duplicates, Error, Item, Origin, ReadGallery, Settings, Staged, Vectors, WriteGallery,
};
use tercet_train::files::write_atomically;
use tercet_train::shell;

use super::Apply;
use crate::exit::Usage;

/// The version of the plan's format.
const FORMAT: u32 = 1;

/// Items that are listed at once.
const PAGE: usize = 1000;

/// What an upgrade does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    format: u32,
    /// Fingerprint of the new model.
    pub(super) model: String,
    pub(super) apply: Apply,
    /// How vectors are carried over that the new model cannot compute; none if every picture existed
    /// and nothing else was possible.
    pub(super) carried: Option<Carried>,
    /// The map of carried vectors; none if they are kept as they are.
    pub(super) adapter: Option<Adapter>,
}

impl Plan {
    pub(super) fn new(
        model: &str,
        apply: Apply,
        carried: Option<Carried>,
        adapter: Option<Adapter>,
    ) -> Self {
        Self { format: FORMAT, model: model.to_owned(), apply, carried, adapter }
    }

    /// Maps old vectors into the space of the new model.
    pub(super) fn carry(&self, old: Array2<f32>) -> anyhow::Result<(Array2<f32>, Origin)> {
        Ok(match &self.adapter {
            Some(adapter) => (adapter.apply(old.view())?, Origin::Adapted),
            None => (old, Origin::Kept),
        })
    }
}

/// The folder of an upgrade that is not complete.
pub(super) struct Staging {
    folder: PathBuf,
}

impl Staging {
    pub(super) fn of(gallery: &str) -> Self {
        Self { folder: Path::new(gallery).join("upgrade") }
    }

    fn plan_file(&self) -> PathBuf {
        self.folder.join("plan.json")
    }

    /// The location of the staged vectors.
    pub(super) fn vectors(&self) -> String {
        self.folder.join("vectors").display().to_string()
    }

    /// The plan of an upgrade that is not complete; `None` if there is none.
    pub(super) fn plan(&self) -> anyhow::Result<Option<Plan>> {
        let path = self.plan_file();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let plan: Plan = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is damaged or of another version: discard this upgrade with --rollback",
                path.display()
            )
        })?;
        anyhow::ensure!(
            plan.format == FORMAT,
            "{} has format {}, this version knows {FORMAT}: update Tercet",
            path.display(),
            plan.format
        );
        Ok(Some(plan))
    }

    /// Whether there is anything of an upgrade that is not complete.
    pub(super) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// Begins an upgrade: from now on it can be continued.
    pub(super) fn begin(&self, plan: &Plan) -> anyhow::Result<()> {
        self.discard()?; // what a kill has left of an earlier one
        let folder = &self.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(write_atomically(&self.plan_file(), &serde_json::to_vec_pretty(plan)?)?)
    }

    /// Removes everything. The plan goes first: without it, what a kill leaves is never continued.
    pub(super) fn discard(&self) -> anyhow::Result<()> {
        for path in [self.plan_file(), PathBuf::from(self.vectors()), self.folder.clone()] {
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            match removed {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.with_context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        Ok(())
    }

    /// Opens the staged vectors for writing; creates them if that was not done yet.
    pub(super) fn writer(
        &self,
        settings: Settings,
        model: &[u8],
    ) -> anyhow::Result<Box<dyn WriteGallery>> {
        let location = self.vectors();
        match tercet_gallery::create_with_model(&location, settings, model) {
            Err(Error::AlreadyThere { .. }) => Ok(tercet_gallery::writer(&location)?),
            created => Ok(created?),
        }
    }

    /// The plan, if it is for this model and action; an error if it is for others.
    pub(super) fn plan_for(
        &self,
        gallery: &str,
        model: &str,
        apply: Apply,
    ) -> anyhow::Result<Option<Plan>> {
        let Some(plan) = self.plan()? else { return Ok(None) };
        if plan.model == model && plan.apply == apply {
            return Ok(Some(plan));
        }
        bail!(Usage(format!(
            "{gallery} has an unfinished upgrade (--apply {}, to the model {}): continue that one, or discard it with: {}",
            plan.apply.name(),
            plan.model,
            shell::command(["tercet", "upgrade", gallery, "--rollback"])
        )))
    }
}

/// An item of the gallery whose new vector is not staged yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) label: Option<String>,
    /// The fingerprint of its vector.
    pub(super) replaces: String,
}

/// The items of `gallery` that have no staged vector, or one that replaces an earlier vector.
pub(super) fn pending(
    gallery: &dyn ReadGallery,
    staged: &dyn ReadGallery,
) -> anyhow::Result<Vec<Pending>> {
    let mut ready: HashMap<String, String> = HashMap::new();
    each_item(staged, |item| {
        ready.insert(item.id.clone(), Staged::replaces(&item).unwrap_or_default().to_owned());
        Ok(())
    })?;
    let mut pending = Vec::new();
    let mut from = None;
    loop {
        let page = gallery.items(from, PAGE)?;
        let ids: Vec<&str> = page.items.iter().map(|item| item.id.as_str()).collect();
        let vectors = gallery.vectors(&ids)?;
        for (item, vector) in page.items.iter().zip(vectors.outer_iter()) {
            let replaces = Staged::fingerprint(vector);
            if ready.get(&item.id) != Some(&replaces) {
                let (id, label) = (item.id.clone(), item.label.clone());
                pending.push(Pending { id, label, replaces });
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(pending);
        }
    }
}

/// Calls `take` for each item.
pub(super) fn each_item(
    gallery: &dyn ReadGallery,
    mut take: impl FnMut(Item) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut from = None;
    loop {
        let page = gallery.items(from, PAGE)?;
        page.items.into_iter().try_for_each(&mut take)?;
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Stages the vectors of some items.
pub(super) fn stage(
    staged: &mut dyn WriteGallery,
    items: &[&Pending],
    rows: &Array2<f32>,
    origin: Option<Origin>,
) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let model = staged.settings().model.clone();
    let vectors = Vectors { model: &model, rows: rows.view() };
    let items: Vec<Item> =
        items.iter().map(|item| Staged::item(&item.id, &item.replaces, origin)).collect();
    staged.add(vectors, &items, Duplicates::Replace)?;
    Ok(())
}
