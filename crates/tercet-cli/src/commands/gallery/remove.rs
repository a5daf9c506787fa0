//! `tercet gallery remove`: removes items.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use tercet_gallery::ReadGallery;

use super::lock::Waiting;
use crate::General;
use crate::exit::Usage;
use crate::table::count;

/// Items that are read at once.
const PAGE: usize = 10_000;

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Folder or address of the gallery.
    gallery: String,
    /// Ids of the items to remove: all of them, or none.
    ids: Vec<String>,
    /// Remove all items of a class.
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
}

impl Remove {
    pub(super) fn run(mut self, general: &General) -> anyhow::Result<ExitCode> {
        if self.ids.is_empty() && self.label.is_empty() {
            bail!(Usage("name the items to remove: ids, or --label".to_owned()));
        }
        let mut writer = self.waiting.writer(general, &self.gallery)?;
        let reader = tercet_gallery::reader(&self.gallery)?;
        for label in &self.label {
            let of_class = labelled(&*reader, label)?;
            if of_class.is_empty() {
                bail!("the gallery holds nothing of class `{label}`; nothing was removed");
            }
            self.ids.extend(of_class);
        }
        // An open reader would keep the removed pictures in the log.
        drop(reader);
        self.ids.sort();
        self.ids.dedup();
        writer.remove(&self.ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let info = tercet_gallery::reader(&self.gallery)?.info()?;
        let document = json!({
            "gallery": info.location,
            "items": info.items,
            "removed": self.ids.len(),
        });
        super::super::print(general, &document, || {
            format!(
                "{} removed, {} items in {}",
                count(self.ids.len()),
                count(info.items as usize),
                info.location
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The ids of all items of a class.
fn labelled(reader: &dyn ReadGallery, label: &str) -> anyhow::Result<Vec<String>> {
    let (mut ids, mut from) = (Vec::new(), None);
    loop {
        let page = reader.items(from, PAGE)?;
        let own = page.items.into_iter().filter(|item| item.label.as_deref() == Some(label));
        ids.extend(own.map(|item| item.id));
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(ids),
        }
    }
}
