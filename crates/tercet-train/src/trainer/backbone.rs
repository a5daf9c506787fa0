//! The frozen encoder in front of the head that a run trains.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use super::TrainError;
use super::events::{Event, Surroundings};
use super::settings::{ImageSize, TrainConfig};
use crate::data::{Catalogue, DataError, Fit, PrepareOptions};
use crate::model::{self, BackboneOptions, Embedded, ModelError, Opened};

/// Opens the encoder that the configuration names; none if it names none.
pub(super) fn open(config: &TrainConfig) -> Result<Option<Opened>, TrainError> {
    let Some(path) = &config.backbone else { return Ok(None) };
    let options = BackboneOptions {
        size: config.size.map(|ImageSize { height, width }| (height, width)),
        fit: (config.fit != Fit::default()).then_some(config.fit),
        mean: config.backbone_mean.clone(),
        std: config.backbone_std.clone(),
    };
    Ok(Some(model::open_backbone(path, &options)?))
}

/// The vectors of the encoder for all items of a catalogue; none if interrupted.
pub(super) fn embedded(
    opened: &Opened,
    catalogue: Catalogue,
    options: &PrepareOptions<'_>,
    around: &Surroundings,
) -> Result<Option<Embedded>, TrainError> {
    let preparing = |done, total| (around.watch)(Event::Preparing { done, total });
    let progress = |done, total| {
        preparing(done, total);
        match around.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let backbone = &*opened.backbone;
    let embedded = match model::embedded(catalogue, backbone, options, &preparing, &progress) {
        Err(ModelError::Data(DataError::Interrupted)) => return Ok(None),
        embedded => embedded?,
    };
    if let Some(problem) = &embedded.problem {
        (around.watch)(Event::Warning(format!(
            "the vectors of the backbone are not stored for later runs: {problem}"
        )));
    }
    Ok(Some(embedded))
}
