//! Training that starts from a model file instead of fresh weights.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tercet::ParameterError;

use super::TrainError;
use super::settings::{ImageSize, TrainConfig};
use crate::encoder::Encoder;
use crate::files::At;
use crate::fingerprint::Fingerprint;
use crate::model::{ModelCard, ModelError};

/// The model file that a run starts from.
pub(super) struct Start {
    path: PathBuf,
    bytes: Vec<u8>,
    pub(super) card: ModelCard,
    pub(super) fingerprint: String,
}

impl Start {
    /// Reads the file that the configuration names; none if it names none.
    pub(super) fn of(config: &TrainConfig) -> Result<Option<Self>, TrainError> {
        let Some(path) = &config.from else { return Ok(None) };
        let bytes = fs::read(path).at("read the model", path).map_err(ModelError::from)?;
        let card = ModelCard::of(&bytes, path)?;
        if card.backbone.is_some() {
            return Err(ParameterError {
                parameter: "from",
                got: path.display().to_string(),
                expected: "a model without a backbone: train a new head with --backbone".to_owned(),
            }
            .into());
        }
        config.check_start(&card, path)?;
        let mut hash = Fingerprint::new();
        hash.bytes(&bytes);
        let fingerprint = hash.hex();
        Ok(Some(Self { path: path.clone(), bytes, card, fingerprint }))
    }

    /// The encoder with the weights of the file.
    pub(super) fn put_into(&self, encoder: Encoder) -> Result<Encoder, TrainError> {
        Ok(encoder.with_weights(self.bytes.clone(), &self.path)?)
    }

    /// A warning if classes are held out now that the model was trained on.
    pub(super) fn seen_before(&self, data: &str, held_out: &[String]) -> Option<String> {
        seen_before(&self.card, &self.path, data, held_out)
    }
}

/// A warning if classes are held out now that the model of `card` was trained on.
pub(super) fn seen_before(
    card: &ModelCard,
    path: &Path,
    data: &str,
    held_out: &[String],
) -> Option<String> {
    let provenance = &card.provenance;
    if provenance.data != data || held_out.is_empty() {
        return None; // nothing is known about other data
    }
    let before: BTreeSet<&String> = provenance.held_out.iter().collect();
    let seen = held_out.iter().filter(|class| !before.contains(class)).count();
    (seen > 0).then(|| {
        format!(
            "{seen} of the {} held-out classes were trained on by {}, so the figures on them are too good: leave --seed and --holdout out to keep the same classes apart as that model did",
            held_out.len(),
            path.display()
        )
    })
}

/// Keys whose values the model file determines.
const DECIDED: [&str; 12] = [
    "encoder",
    "embedding-dim",
    "width",
    "depth",
    "hidden",
    "pooling",
    "size",
    "channels",
    "fit",
    "filter",
    "standardize",
    "pretrained",
];

/// Groups of keys that belong together. If none of a group is given, all of them are taken from the
/// training of the model.
const TOGETHER: [&[&str]; 2] = [
    &[
        "objective",
        "distance",
        "normalize",
        "selection",
        "penalty",
        "margin",
        "reduction",
        "temperature",
    ],
    &["seed", "holdout", "holdout-by", "holdout-classes", "validation"],
];

impl TrainConfig {
    /// The configuration that continues a model. The file determines the architecture with its
    /// options and the preprocessing; the objective and the held-out classes are those of its
    /// training unless `given` sets others. `self` has the defaults of the source.
    ///
    /// # Errors
    /// A key of `given` that contradicts the model file.
    pub fn continuing(
        self,
        card: &ModelCard,
        path: &Path,
        given: &toml::Table,
    ) -> Result<Self, ParameterError> {
        let decided = Self { from: Some(path.to_owned()), ..self }.decided_by(card);
        let decided = with_keys(decided, card, given);
        let asked: Self = given.clone().try_into().unwrap_or_default();
        let (asked, fixed) = (table(&asked), table(&decided));
        for key in DECIDED {
            if given.contains_key(key) && asked.get(key) != fixed.get(key) {
                let word = |value: Option<&toml::Value>| {
                    value.map(|value| value.to_string().trim_matches('"').to_owned())
                };
                return Err(ParameterError {
                    parameter: key,
                    got: word(asked.get(key)).unwrap_or_default(),
                    expected: match word(fixed.get(key)) {
                        Some(value) => format!(
                            "{value}, as in {}: --from takes it from the file, so leave --{key} out",
                            path.display()
                        ),
                        None => format!(
                            "nothing, since --from takes the weights from {}: leave --{key} out",
                            path.display()
                        ),
                    },
                });
            }
        }
        Ok(decided)
    }

    /// Whether a new run that starts from a model file may have another value of this key.
    pub fn can_change_with_from(key: &str) -> bool {
        !DECIDED.contains(&key) && key != "from"
    }

    fn decided_by(self, card: &ModelCard) -> Self {
        let options = card.encoder.options();
        let mut config = Self {
            encoder: card.encoder.name().to_owned(),
            embedding_dim: options.embedding_dim,
            width: options.width,
            depth: options.depth,
            hidden: options.hidden,
            pooling: options.pooling,
            pretrained: None,
            ..self
        };
        match &card.preprocessing {
            crate::data::Input::Images(images) => {
                let (height, width) = (images.height, images.width);
                config.size = Some(ImageSize { height, width });
                config.channels = Some(images.channels);
                config.fit = images.fit;
                config.filter = images.filter;
            }
            crate::data::Input::Vectors(vectors) => config.standardize = !vectors.mean.is_empty(),
            crate::data::Input::Texts(_) => {}
        }
        config
    }

    /// Checks that a stored configuration agrees with the file that it starts from.
    fn check_start(&self, card: &ModelCard, path: &Path) -> Result<(), ParameterError> {
        let fixed = table(&self.clone().decided_by(card));
        let own = table(self);
        match DECIDED.into_iter().find(|key| own.get(*key) != fixed.get(*key)) {
            None => Ok(()),
            Some(key) => Err(ParameterError {
                parameter: key,
                got: own.get(key).map_or_else(|| "not set".to_owned(), toml::Value::to_string),
                expected: format!(
                    "{}, as in {}",
                    fixed.get(key).map_or_else(|| "nothing".to_owned(), toml::Value::to_string),
                    path.display()
                ),
            }),
        }
    }
}

/// A configuration that takes each group of keys of which `given` has none from the training of the
/// model.
fn with_keys(config: TrainConfig, card: &ModelCard, given: &toml::Table) -> TrainConfig {
    let Ok(toml::Value::Table(trained)) = toml::Value::try_from(&card.provenance.config) else {
        return config;
    };
    let mut keys = table(&config);
    for group in TOGETHER {
        if group.iter().any(|key| given.contains_key(*key)) {
            continue;
        }
        for key in group {
            match trained.get(*key) {
                Some(value) => keys.insert((*key).to_owned(), value.clone()),
                None => keys.remove(*key),
            };
        }
    }
    // A model of another version may have keys that this version does not know.
    keys.try_into().unwrap_or(config)
}

fn table(config: &TrainConfig) -> toml::Table {
    toml::Table::try_from(config).unwrap_or_default()
}
