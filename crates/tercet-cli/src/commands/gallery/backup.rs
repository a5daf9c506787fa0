//! `tercet gallery backup`: copies a gallery.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::table::count;
use crate::{General, progress};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Folder of the gallery, which may be in use.
    gallery: String,
    /// A new or empty folder for the copy.
    destination: PathBuf,
}

impl Backup {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let reader = tercet_gallery::reader(&self.gallery)?;
        let spinner = progress::spinner(general, "copying");
        let done = reader.back_up(&self.destination);
        spinner.finish_and_clear();
        let done = done?;
        let document = json!({
            "gallery": tercet_gallery::shown(&self.gallery),
            "backup": self.destination.display().to_string(),
            "items": done.items,
            "bytes": done.bytes,
            "generation": done.generation,
        });
        super::super::print(general, &document, || {
            format!(
                "copied {} items to {}: {} bytes, as of change {}",
                count(done.items as usize),
                self.destination.display(),
                count(done.bytes as usize),
                done.generation
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
