//! The evidence for the decisions of a gallery, cached while the gallery stays nearly the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tercet::open_set::GallerySize;
use tercet_gallery::ReadGallery;
use tercet_train::decision::{Evidence, SAMPLE, Sample};
use tercet_train::model::ModelCard;

/// A gallery that changes is not sampled again within this time, unless its size changes by more
/// than a tenth.
const SAMPLE_AGE: Duration = Duration::from_secs(10);

/// The cached evidence; computed when it is first needed.
#[derive(Default)]
pub(crate) struct Evidences {
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    evidence: Arc<Evidence>,
    /// The version of the gallery.
    version: String,
    items: u64,
    at: Instant,
}

impl Evidences {
    /// Returns the evidence, and the size of the gallery. It may read a sample, so it must not be
    /// called from asynchronous code.
    pub(crate) fn of(
        &self,
        reader: &dyn ReadGallery,
        card: Option<&ModelCard>,
    ) -> Result<(Arc<Evidence>, GallerySize), tercet_gallery::Error> {
        let info = reader.info()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            let much = kept.items.abs_diff(info.items) > kept.items / 10;
            let same = kept.version == info.version;
            if same || !much && kept.at.elapsed() < SAMPLE_AGE {
                return Ok((kept.evidence.clone(), info.size()));
            }
        }
        let (items, vectors) = tercet_gallery::sample::with_vectors(reader, info.items, SAMPLE)?;
        let labels = items.into_iter().map(|item| item.label).collect();
        let sample = Sample { vectors, labels };
        let evidence = Arc::new(Evidence::new(card, info.settings.metric, Some(&sample))?);
        *kept = Some(Kept {
            evidence: evidence.clone(),
            version: info.version.clone(),
            items: info.items,
            at: Instant::now(),
        });
        Ok((evidence, info.size()))
    }
}
