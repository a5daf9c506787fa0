//! Measures the recall of the codes and sets how many candidates they propose.

use std::time::Instant;

use super::catalogue::MeasuredCodes;
use super::recall::{NEAREST, Queries, Sample};
use super::snapshot::Snapshot;
use super::writer::Writer;
use crate::{CodeRecall, Error, WriteGallery};

/// Queries of each of the two samples.
const SAMPLE: usize = 128;

/// The number of candidates is doubled until this share of the nearest is found.
const ENOUGH: f64 = 0.99;

/// The largest multiple of candidates: beyond it, an exact search is hardly slower.
const MOST: usize = 64;

/// Measures the codes of a gallery, and saves the result in the catalogue.
pub(super) fn measure(writer: &mut Writer) -> Result<Option<CodeRecall>, Error> {
    let began = Instant::now();
    if writer.settings().quantization.is_none() {
        return Ok(None);
    }
    let snapshot = Snapshot::take(&writer.folder, None)?;
    let samples = [
        Sample::draw(&snapshot, SAMPLE, Queries::InPlace)?,
        Sample::draw(&snapshot, SAMPLE, Queries::Moved)?,
    ];
    let mut factor = 1;
    let (candidates, recall) = loop {
        let candidates = snapshot.candidates(NEAREST, factor);
        let mut least = 1.0_f64;
        for sample in &samples {
            let queries = sample.queries.view();
            let found = snapshot.nearest_of_candidates(queries, NEAREST, candidates)?;
            let Some(found) = found else { return Ok(None) };
            least = least.min(sample.recall(&found));
        }
        if least >= ENOUGH || factor >= MOST || candidates >= snapshot.rows() {
            break (candidates, least);
        }
        factor *= 2;
    };
    let recall = CodeRecall {
        rows: snapshot.head.items as u64,
        recall_at_10: recall,
        sample: samples.iter().map(|sample| sample.queries.nrows()).sum(),
        candidates,
        seconds: began.elapsed().as_secs_f64(),
    };
    drop(snapshot);
    writer.change(|catalogue| {
        let mut head = catalogue.head()?;
        head.generation += 1;
        catalogue.set_codes(&MeasuredCodes { factor, recall: recall.clone() })?;
        catalogue.set_head(&head)
    })?;
    Ok(Some(recall))
}
