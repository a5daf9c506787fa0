//! `tercet gallery compact`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::index::{Built, Indexing};
use crate::General;
use crate::table::count;

#[derive(Debug, Args)]
pub(super) struct Compact {
    /// Folder or address of the gallery.
    gallery: String,
    #[command(flatten)]
    indexing: Indexing,
}

impl Compact {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        self.indexing.check(&self.gallery)?;
        let mut writer = tercet_gallery::writer(&self.gallery)?;
        let done = writer.compact()?;
        let built = self.indexing.build(general, &mut *writer)?;
        let document = json!({
            "gallery": tercet_gallery::shown(&self.gallery),
            "rows": done.rows,
            "bytes": done.bytes,
            "index": Built::document(built.as_ref()),
        });
        super::super::print(general, &document, || {
            let mut text = format!(
                "the room of {} removed items was given back: {} bytes",
                count(done.rows as usize),
                count(done.bytes as usize)
            );
            if let Some(built) = &built {
                text += &format!("\n{built}");
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
