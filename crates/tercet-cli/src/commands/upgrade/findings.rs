//! What is known about an upgrade before anything is changed, and the plan that follows from it.

use std::collections::BTreeSet;

use anyhow::bail;
use serde::Serialize;
use tercet_gallery::{Carried, Origin, ReadGallery};
use tercet_train::model::{Model, ModelCard};

use super::measure::{self, Comparable, Measured, Metrics};
use super::pairs::Pairs;
use super::pictures::Pictures;
use super::recommend::{Action, Recommendation, recommend};
use super::staging::{Plan, each_item};
use super::{Apply, Upgrade};
use crate::commands::gallery;
use crate::commands::gallery::model::Chosen;
use crate::exit::Usage;
use crate::{General, progress};

/// How many items have a picture.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Found {
    pub(super) found: usize,
    pub(super) missing: usize,
}

impl Found {
    fn share(self) -> f64 {
        self.found as f64 / (self.found + self.missing).max(1) as f64
    }
}

/// What is known before anything is changed.
pub(super) struct Findings {
    pub(super) pictures: Found,
    pub(super) measured: Measured,
    pub(super) recommendation: Recommendation,
    pub(super) old_model: String,
}

impl Upgrade {
    pub(super) fn findings(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        pictures: &Pictures,
        new: &Model,
    ) -> anyhow::Result<Findings> {
        let old = self.old_model(reader)?;
        let (mut found, mut missing) = (0, 0);
        each_item(reader, |item| {
            if pictures.has(&item.id) {
                found += 1
            } else {
                missing += 1
            }
            Ok(())
        })?;
        let found = Found { found, missing };
        let metrics = Metrics { old: reader.settings().metric, new: new.metric() };
        let held_out = held_out(&new.card, old.as_ref().map(|old| &old.card));
        let of_gallery = match found.found {
            0 => None,
            _ => Some(Pairs::of_gallery(general, reader, pictures, old.as_ref(), new, &held_out)?),
        };
        let measured = match (&self.measure, of_gallery) {
            (Some(source), of_gallery) => {
                let Some(old) = &old else {
                    bail!(Usage(format!(
                        "{} keeps no model: name the one that made its vectors with --old MODEL, so that it can embed {source}",
                        self.gallery
                    )));
                };
                let on = Pairs::of_source(general, source, old, new)?;
                // No item is both measured on and fitted to.
                match of_gallery.map(|to| to.without_classes_of(&on)) {
                    Some(to) if to.len() >= measure::LEAST_PAIRS => {
                        measure::measured(&on, &to, true, metrics)?
                    }
                    _ => measure::measure(&on, &BTreeSet::new(), metrics)?,
                }
            }
            (None, Some(pairs)) => measure::measure(&pairs, &held_out, metrics)?,
            (None, None) => bail!(Usage(format!(
                "no picture of the items of {} was found: say where they are with --pictures SOURCE, or measure on other items with --measure SOURCE",
                self.gallery
            ))),
        };
        let recommendation = recommend(&measured.crossed, found.share());
        let old_model = reader.settings().model.clone();
        Ok(Findings { pictures: found, measured, recommendation, old_model })
    }

    /// The model that made the gallery's vectors, if it is known.
    fn old_model(&self, reader: &dyn ReadGallery) -> anyhow::Result<Option<Model>> {
        if self.old.is_none() && !reader.info()?.has_model {
            return Ok(None);
        }
        gallery::model::of(reader, &self.gallery, self.old.as_deref()).map(Some)
    }

    /// Decides how vectors are carried over that the new model does not compute.
    pub(super) fn plan(
        &self,
        general: &General,
        reader: &dyn ReadGallery,
        pictures: &Pictures,
        new: &Chosen,
        apply: Apply,
    ) -> anyhow::Result<Plan> {
        let findings = self.findings(general, reader, pictures, &new.model)?;
        let measured = findings.measured;
        let recommended = &findings.recommendation;
        if recommended.action == Action::Refuse {
            progress::remark(general, format!("warning: not recommended: {}", recommended.reason));
        }
        let carried = |origin, Comparable { scale, shift }: Comparable| Carried {
            origin,
            model: reader.settings().model.clone(),
            scale,
            shift,
        };
        let value = |case: &str| measured.crossed.table.get(case).map(|found| found.map_at_r);
        let keeps_better = value("new_old") >= value("new_adapted");
        let adapter = measured.adapter;
        let fingerprint = &new.model.fingerprint;
        let planned = |carried, adapter| Plan::new(fingerprint, apply, carried, adapter);
        Ok(match (apply, measured.kept, adapter) {
            (Apply::Keep, Some(kept), _) => planned(Some(carried(Origin::Kept, kept)), None),
            (Apply::Keep, None, _) => bail!(Usage(
                "the vectors of the two models have other dimensions or another metric: --apply keep is not possible, --apply adapter is".to_owned()
            )),
            (Apply::Backfill, Some(kept), adapter) if adapter.is_none() || keeps_better => {
                planned(Some(carried(Origin::Kept, kept)), None)
            }
            (Apply::Adapter | Apply::Backfill, _, Some(adapter)) => {
                planned(Some(carried(Origin::Adapted, measured.adapted)), Some(adapter))
            }
            (Apply::Backfill, None, None) if findings.pictures.missing == 0 => planned(None, None),
            (Apply::Backfill, _, None) => bail!(
                "{} items have no picture any more, and too few pairs are left to fit an adapter for their vectors: name their pictures with --pictures SOURCE",
                findings.pictures.missing
            ),
            (Apply::Adapter, _, None) => bail!(
                "too few items with pictures to fit an adapter: name their pictures with --pictures SOURCE"
            ),
        })
    }
}

/// The classes that the new model has held out, and the old one too, if that is known.
fn held_out(new: &ModelCard, old: Option<&ModelCard>) -> BTreeSet<String> {
    let classes = |card: &ModelCard| -> BTreeSet<String> {
        card.provenance.held_out.iter().cloned().collect()
    };
    let new = classes(new);
    match old.map(classes) {
        Some(old) if !old.is_empty() => new.intersection(&old).cloned().collect(),
        _ => new,
    }
}
