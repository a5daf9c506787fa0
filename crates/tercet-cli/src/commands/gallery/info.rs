//! `tercet gallery info`: describes a gallery.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tercet_gallery::Verified;

use super::codes::Measured;
use super::index::Built;
use crate::table::count;
use crate::{General, progress};

/// The most classes that the text lists.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Info {
    /// Folder or address of the gallery.
    gallery: String,
    /// Read everything and compare it with its checksums.
    #[arg(long)]
    verify: bool,
}

impl Info {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        let reader = tercet_gallery::reader(&self.gallery)?;
        let info = reader.info()?;
        let verified = self
            .verify
            .then(|| {
                let spinner = progress::spinner(general, "reading everything");
                let verified = reader.verify();
                spinner.finish_and_clear();
                verified
            })
            .transpose()?;
        let mut document = json!(info);
        if let (Some(verified), Some(document)) = (&verified, document.as_object_mut()) {
            document.insert("verified".to_owned(), json!(verified));
        }
        super::super::print(general, &document, || text(&info, verified))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(info: &tercet_gallery::Info, verified: Option<Verified>) -> String {
    let settings = &info.settings;
    let mut text = format!(
        "{}\n{:<11} {} of {} classes",
        info.location,
        "items",
        count(info.items as usize),
        count(info.labels.len())
    );
    let mut line = |name: &str, value: String| {
        let _ = write!(text, "\n{name:<11} {value}");
    };
    line("vectors", format!("{} dimensions, {}", settings.dimensions, settings.metric));
    let kept = if info.has_model { "kept in the gallery" } else { "not kept in the gallery" };
    line("model", format!("{}, {kept}", settings.model));
    if let Some(carried) = &info.carried {
        line("", carried.announcement(info.items));
    }
    if let Some(previous) = &info.previous_model {
        line(
            "before",
            format!(
                "the version of model {previous} is kept: tercet upgrade --finish or --rollback"
            ),
        );
    }
    if let Some(kind) = settings.quantization {
        let found = match &info.codes {
            Some(codes) => Measured::of(codes.clone()).to_string(),
            None => "not measured yet: tercet gallery compact measures them".to_owned(),
        };
        line("codes", format!("{}, {found}", kind.name()));
    }
    if let Some(index) = &info.index {
        line("index", Built(index.clone()).to_string());
        let later = info.items.saturating_sub(index.rows);
        if later > 0 {
            line("", format!("{} items added since are measured beside it", count(later as usize)));
        }
    }
    if info.removed > 0 {
        line(
            "removed",
            format!("{} vectors still take room: tercet gallery compact", info.removed),
        );
    }
    line(
        "on disk",
        format!(
            "{} bytes (log {}), changed {} times",
            count(info.bytes as usize),
            count(info.log_bytes as usize),
            info.generation
        ),
    );
    let mut largest: Vec<(&String, &u64)> = info.labels.iter().collect();
    largest.sort_by_key(|&(name, &items)| (std::cmp::Reverse(items), name));
    let shown = largest.iter().take(SHOWN).map(|(name, items)| format!("{name} {items}"));
    let shown: Vec<String> = shown.collect();
    if !shown.is_empty() {
        let more = if largest.len() > SHOWN { ", …" } else { "" };
        line("classes", shown.join(", ") + more);
    }
    if let Some(verified) = verified {
        line(
            "verified",
            format!("{} vectors and {} items are whole", verified.rows, verified.items),
        );
    }
    text
}
