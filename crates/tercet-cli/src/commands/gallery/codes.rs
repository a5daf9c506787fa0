//! Measures the recall of the codes of a quantised gallery.

use std::fmt;

use serde_json::{Value, json};
use tercet_gallery::{CodeRecall, WriteGallery};

use crate::table::{count, share};
use crate::{General, progress};

/// The command warns if the recall is below this share.
const WARN_BELOW: f64 = 0.95;

/// A measurement that can be printed.
pub(super) struct Measured(CodeRecall);

impl Measured {
    pub(super) fn of(recall: CodeRecall) -> Self {
        Self(recall)
    }

    pub(super) fn document(&self) -> Value {
        json!(self.0)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(recall) = self;
        write!(
            f,
            "codes find {} of the ten nearest ({} queries, {} candidates each)",
            share(recall.recall_at_10),
            count(recall.sample),
            count(recall.candidates)
        )
    }
}

/// Measures the codes, if the gallery has any and its size has changed by more than a tenth since
/// the last measurement, and warns if their recall is low.
pub(super) fn measure(
    general: &General,
    location: &str,
    writer: &mut dyn WriteGallery,
) -> anyhow::Result<Option<Measured>> {
    if writer.settings().quantization.is_none() {
        return Ok(None);
    }
    let info = tercet_gallery::reader(location)?.info()?;
    let is_recent = |codes: &CodeRecall| info.items.abs_diff(codes.rows) * 10 <= codes.rows;
    if info.items == 0 || info.codes.as_ref().is_some_and(is_recent) {
        return Ok(None);
    }
    let spinner = progress::spinner(general, "measuring the codes");
    let measured = writer.measure_codes();
    spinner.finish_and_clear();
    let measured = measured?;
    if let Some(recall) = measured.as_ref().filter(|recall| recall.recall_at_10 < WARN_BELOW) {
        progress::remark(
            general,
            format!(
                "warning: the codes find only {} of the ten nearest (below {}): search with --exact, \
                 or create the gallery without --quantize",
                share(recall.recall_at_10),
                share(WARN_BELOW)
            ),
        );
    }
    Ok(measured.map(Measured))
}
