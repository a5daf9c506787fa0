//! `tercet gallery compact`: frees the space of removed items.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::codes::{self, Measured};
use super::index::{Built, Indexing};
use super::lock::Waiting;
use crate::table::count;
use crate::{General, progress};

#[derive(Debug, Args)]
pub(super) struct Compact {
    /// Folder or address of the gallery.
    gallery: String,
    #[command(flatten)]
    indexing: Indexing,
    #[command(flatten)]
    waiting: Waiting,
}

/// How long to wait for readers that still need the log: servers refresh every few seconds.
const READERS: Duration = Duration::from_secs(10);

impl Compact {
    pub(super) fn run(self, general: &General) -> anyhow::Result<ExitCode> {
        self.indexing.check(&self.gallery)?;
        let mut writer = self.waiting.writer(general, &self.gallery)?;
        let done = writer.compact()?;
        let built = self.indexing.build(general, &mut *writer)?;
        let codes = codes::measure(general, &self.gallery, &mut *writer)?;
        let began = Instant::now();
        let emptied = loop {
            match writer.empty_log()? {
                false if began.elapsed() < READERS => thread::sleep(Duration::from_millis(100)),
                emptied => break emptied,
            }
        };
        if !emptied {
            progress::remark(
                general,
                "warning: another process reads the gallery as it was, so that removed items can \
                 still be read from its log: end that process and run compact again",
            );
        }
        let document = json!({
            "gallery": tercet_gallery::shown(&self.gallery),
            "rows": done.rows,
            "bytes": done.bytes,
            "index": Built::document(built.as_ref()),
            "codes": codes.as_ref().map(Measured::document),
            "log_emptied": emptied,
        });
        super::super::print(general, &document, || {
            let mut text = format!(
                "gave back the room of {} removed items: {} bytes",
                count(done.rows as usize),
                count(done.bytes as usize)
            );
            if let Some(codes) = &codes {
                text += &format!("\n{codes}");
            }
            if let Some(built) = &built {
                text += &format!("\n{built}");
            }
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
