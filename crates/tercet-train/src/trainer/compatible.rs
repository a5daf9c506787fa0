//! Training that stays compatible with an older model: its vectors of the training items are further
//! frozen positives, negatives and anchors.
//!
//! With the objective L, the new embeddings E of a batch and the old model's vectors F of the same
//! items, a step minimises L(E) + w·L(E ∪ F), where F receives no gradient. The second term contains
//! every triplet of new and old vectors: a new anchor is attracted by the old vectors of its class,
//! and an old anchor attracts the new ones ("harmonic embedding", FaceNet, arXiv 1503.03832, section
//! 5.7; backward-compatible training, Shen et al., arXiv 2003.11942). New queries can then be searched
//! in a gallery of old vectors.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;
use tercet::cross_model::Case;
use tercet::{CrossModel, FalseNegatives, Labels, Metric, Objective, Outcome, ParameterError};

use super::events::{Event, Surroundings};
use super::settings::TrainConfig;
use super::{TrainError, start_model};
use crate::data::{Catalogue, DataError, Examples, PrepareOptions};
use crate::model::{CompatibleWith, Model, ModelCard, ModelError};
use crate::views::Views;

/// The older model of a run, before its vectors are known.
pub(super) struct OldModel {
    path: PathBuf,
    model: Model,
    weight: f64,
}

/// The older model of a run with its vectors.
pub(super) struct Compatible {
    path: PathBuf,
    pub(super) with: CompatibleWith,
    /// Its vector of each item of the source, one per row.
    vectors: Array2<f32>,
    card: ModelCard,
}

impl OldModel {
    /// Reads the file that the configuration names; none if it names none.
    pub(super) fn of(config: &TrainConfig) -> Result<Option<Self>, TrainError> {
        let Some(path) = &config.compatible else { return Ok(None) };
        let model = Model::load(path)?;
        let (own, old) = (config.loss()?.metric(), model.metric());
        if own != old {
            let flags = match (old.normalize, own.normalize) {
                (true, false) => format!("--distance {} --normalize", old.distance),
                _ => format!("--distance {}", old.distance),
            };
            return Err(ParameterError {
                parameter: "compatible",
                got: format!("{}, whose vectors are compared by {old} distances", path.display()),
                expected: format!(
                    "the {own} distances of this run's objective: choose an objective of those of the old model, such as with {flags}"
                ),
            }
            .into());
        }
        Ok(Some(Self { path: path.clone(), model, weight: config.compatible_weight() }))
    }

    /// Embeds all items with the old model, as that model prepares them; none if interrupted.
    /// `originals` are the items of `examples` as the source has them.
    pub(super) fn with_vectors(
        self,
        config: &TrainConfig,
        examples: &Examples,
        originals: Catalogue,
        around: &Surroundings,
    ) -> Result<Option<Compatible>, TrainError> {
        let Self { path, model, weight } = self;
        let input = examples.input().shape();
        let own = config.encoder_config()?.embedding_dim(input);
        let old = model.card.dimensions();
        if own != old {
            return Err(ParameterError {
                parameter: "embedding-dim",
                got: own.to_string(),
                expected: format!(
                    "{old}, as in {}, with whose vectors the new ones are compared: give --embedding-dim {old}",
                    path.display()
                ),
            }
            .into());
        }
        let options = PrepareOptions {
            skip_bad: false,
            interrupted: Some(around.stop),
            cache_limit_bytes: config.cache_limit.0.saturating_sub(examples.cached_bytes()),
        };
        let progress = |done, total| (around.watch)(Event::Preparing { done, total });
        let prepared = Examples::prepare(originals, &model.card.preprocessing, &options, &progress);
        let (prepared, _) = match prepared {
            Err(DataError::Interrupted) => return Ok(None),
            prepared => prepared?,
        };
        let items: Vec<u32> = (0..prepared.len() as u32).collect();
        let go_on = |_: usize| match around.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let vectors = match model.embed(&prepared, &items, Views::Single, &go_on) {
            Err(ModelError::Data(DataError::Interrupted)) => return Ok(None),
            vectors => vectors?,
        };
        let with = CompatibleWith { fingerprint: model.fingerprint.clone(), weight };
        Ok(Some(Compatible { path, with, vectors, card: model.card }))
    }
}

impl Compatible {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The old model's vectors of some items.
    pub(super) fn vectors_of(&self, items: &[u32]) -> Array2<f32> {
        let rows: Vec<usize> = items.iter().map(|&item| item as usize).collect();
        self.vectors.select(Axis(0), &rows)
    }

    /// A warning if classes are held out now that the old model was trained on.
    pub(super) fn seen_before(&self, data: &str, held_out: &[String]) -> Option<String> {
        start_model::seen_before(&self.card, &self.path, data, held_out)
    }

    /// Adds w·L(E ∪ F) and its gradient to the outcome of L(E); returns L(E ∪ F). It is evaluated on
    /// whole embeddings, since galleries contain whole old vectors and not prefixes of them. With w = 0
    /// nothing is computed.
    pub(super) fn add_to(
        &self,
        outcome: &mut Outcome,
        objective: &Objective,
        false_negatives: Option<FalseNegatives>,
        embeddings: ArrayView2<f32>,
        items: &[u32],
        labels: &Labels,
    ) -> Result<Option<f64>, TrainError> {
        let weight = self.with.weight;
        if weight == 0.0 {
            return Ok(None);
        }
        let old = self.vectors_of(items);
        let mut mixed = objective.evaluation(embeddings, labels);
        if let Some(rule) = false_negatives {
            mixed = mixed.without_false_negatives(rule);
        }
        let mixed = mixed.frozen(old.view(), labels).frozen_anchors().run()?;
        outcome.gradient.scaled_add(weight as f32, &mixed.gradient);
        Ok(Some(mixed.value))
    }

    /// Retrieval of old and new queries in galleries of old and new vectors, on the held-out items.
    pub(super) fn measure(
        &self,
        new: ArrayView2<f32>,
        items: &[u32],
        labels: &Labels,
        metric: Metric,
        seed: u64,
    ) -> Result<CrossModel, TrainError> {
        let old = self.vectors_of(items);
        let cases = [
            ("old_old", old.view(), old.view()),
            ("new_old", new, old.view()),
            ("old_new", old.view(), new),
            ("new_new", new, new),
        ]
        .map(|(name, queries, gallery)| Case { name, queries, gallery, metric });
        Ok(CrossModel::measure(&cases, labels, seed)?)
    }
}

/// The compatibility of a finished run, as `tercet train --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Compatibility {
    /// The file of the older model.
    pub model: PathBuf,
    /// What the new model is compatible with.
    #[serde(flatten)]
    pub with: CompatibleWith,
    /// Old and new queries in galleries of old and new vectors, on the held-out classes; none if no
    /// classes were held out.
    #[serde(flatten)]
    pub measured: Option<CrossModel>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::array;
    use tercet::{Distance, Selection, TripletLoss};

    use super::*;
    use crate::data::{Input, Standardization};
    use crate::encoder::{EncoderConfig, EncoderOptions};
    use crate::model::{FORMAT, Provenance};

    fn compatible(weight: f64) -> Compatible {
        let options = EncoderOptions::default();
        let card = ModelCard {
            format: FORMAT,
            encoder: EncoderConfig::named("linear-head", options).unwrap(),
            preprocessing: Input::Vectors(Standardization::none(2)),
            backbone: None,
            distance: Distance::Euclidean,
            normalized: false,
            matryoshka: Vec::new(),
            threshold: None,
            thresholds: BTreeMap::new(),
            calibration: None,
            open_set: None,
            compatible: None,
            provenance: Provenance {
                tercet: String::new(),
                config: serde_json::Value::Null,
                seed: 0,
                held_out: Vec::new(),
                data: String::new(),
                results: serde_json::Value::Null,
            },
        };
        let with = CompatibleWith { fingerprint: "old".into(), weight };
        let vectors = array![[9.0_f32, 9.0], [0.0, 0.2], [1.0, 0.1], [0.3, 0.4], [2.0, 2.1]];
        Compatible { path: "old".into(), with, vectors, card }
    }

    #[test]
    fn the_added_gradient_is_that_of_all_triplets_of_old_and_new_vectors() {
        let new = array![[0.1_f32, 0.0], [0.9, 0.3], [0.2, 0.8], [1.7, 1.9]];
        let (items, labels) = ([1, 2, 3, 4], Labels::from_iter([0, 0, 1, 1]));
        let objective: Objective = TripletLoss::batch_all().into();
        let own = objective.evaluate(new.view(), &labels).unwrap();
        // The definition: all eight vectors in one batch, of which only the first four may move.
        let old = compatible(0.0).vectors_of(&items);
        let all = ndarray::concatenate![Axis(0), new, old];
        let joint = objective.evaluate(all.view(), &labels.chain(&labels)).unwrap();
        for weight in [0.0, 0.5, 2.0] {
            let mut outcome = own.clone();
            let mixed = compatible(weight)
                .add_to(&mut outcome, &objective, None, new.view(), &items, &labels)
                .unwrap();
            assert_eq!(mixed.is_some(), weight > 0.0);
            if let Some(mixed) = mixed {
                assert!((mixed - joint.value).abs() < 1e-6, "{mixed} {}", joint.value);
            }
            for ((row, column), &got) in outcome.gradient.indexed_iter() {
                let expected =
                    own.gradient[[row, column]] + weight as f32 * joint.gradient[[row, column]];
                assert!((got - expected).abs() < 1e-6, "{got} {expected}");
            }
            assert_eq!((outcome.value, outcome.census), (own.value, own.census));
        }
    }

    #[test]
    fn false_negatives_are_ignored_among_old_vectors_too() {
        let new = array![[0.1_f32, 0.0], [0.9, 0.3], [0.2, 0.8], [1.7, 1.9]];
        let (items, labels) = ([1, 2, 3, 4], Labels::from_iter([0, 0, 1, 1]));
        let objective: Objective = TripletLoss::facenet().with_selection(Selection::All).into();
        let rule = Some(FalseNegatives::default());
        let mut outcome = objective.evaluate(new.view(), &labels).unwrap();
        let got = compatible(1.0)
            .add_to(&mut outcome, &objective, rule, new.view(), &items, &labels)
            .unwrap()
            .unwrap();
        let all = ndarray::concatenate![Axis(0), new, compatible(0.0).vectors_of(&items)];
        let joint = labels.chain(&labels);
        let expected = objective.evaluation(all.view(), &joint);
        let unfiltered = expected.run().unwrap();
        let expected = expected.without_false_negatives(FalseNegatives::default()).run().unwrap();
        assert!(expected.census.filtered > 0 && unfiltered.value != expected.value);
        assert!((got - expected.value).abs() < 1e-6, "{got} {}", expected.value);
    }
}
