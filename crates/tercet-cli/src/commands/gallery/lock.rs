//! Waits for a gallery that another process is writing.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use tercet_gallery::{Error, WriteGallery};

use crate::{General, interrupt, progress};

#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// How long to wait while another process writes the gallery; 0 fails at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

impl Waiting {
    /// Opens a gallery for writing, as soon as no other process is writing it.
    pub(crate) fn writer(
        &self,
        general: &General,
        location: &str,
    ) -> anyhow::Result<Box<dyn WriteGallery>> {
        let (patience, began) = (Duration::from_secs(self.wait), Instant::now());
        let mut told = false;
        loop {
            let error = match tercet_gallery::writer(location) {
                Err(error @ Error::Locked { .. }) => error,
                opened => return Ok(opened?),
            };
            if began.elapsed() >= patience || interrupt::asked().is_break() {
                return Err(error).with_context(|| {
                    format!("waited {} s, --wait SECONDS waits longer", began.elapsed().as_secs())
                });
            }
            if !told {
                progress::remark(general, format!("{error} (for at most {} s)", self.wait));
                told = true;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
