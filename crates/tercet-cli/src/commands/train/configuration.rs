//! The configuration of a run: what was given, over defaults that suit its source and model.

use std::path::{Path, PathBuf};

use anyhow::bail;
use tercet_train::model::ModelCard;
use tercet_train::pretrained::StateDict;
use tercet_train::shell;
use tercet_train::trainer::{OnCollapse, TrainConfig};

use crate::exit::Usage;

/// The configuration of a run: the keys that were given, over the defaults that suit their source and
/// the model or the pretrained weights that it starts from.
///
/// # Errors
/// Unknown keys, invalid values, a model or weights that cannot be read, a model without a source.
pub fn configuration(given: toml::Table) -> anyhow::Result<TrainConfig> {
    // An invalid source is reported when it is read.
    let source = given.get("source").and_then(toml::Value::as_str);
    let mut defaults = source
        .and_then(|source| source.parse().ok())
        .map_or_else(TrainConfig::default, |source| TrainConfig::suited_to(&source));
    if given.contains_key("backbone") {
        defaults = defaults.on_a_backbone();
    }
    if let Some(path) = given.get("from").and_then(toml::Value::as_str).map(PathBuf::from) {
        let card = ModelCard::load(&path)?;
        if source.is_none() {
            bail!(Usage(without_source(&card, &path)));
        }
        defaults = defaults.continuing(&card, &path, &given)?;
    }
    if let Some(path) = given.get("pretrained").and_then(toml::Value::as_str).map(Path::new) {
        let weights = StateDict::read(path)?.published()?;
        defaults = defaults.fine_tuning(weights, path, &given)?;
    }
    let mut merged = toml::Table::try_from(defaults)?;
    if OBJECTIVE_KEYS.iter().any(|key| given.contains_key(*key)) {
        // An objective that the user has chosen must not be replaced by an easier one without
        // their request.
        merged.insert("on-collapse".to_owned(), OnCollapse::Warn.to_string().into());
    }
    merged.extend(given);
    Ok(merged.try_into()?)
}

/// The settings that define an objective.
const OBJECTIVE_KEYS: [&str; 9] = [
    "objective",
    "distance",
    "normalize",
    "selection",
    "penalty",
    "margin",
    "reduction",
    "temperature",
    "curriculum",
];

/// The error message if `--from` is given without a source. The model file contains the name of the
/// folder on which it was trained, but not its location.
fn without_source(card: &ModelCard, path: &Path) -> String {
    let trained = card.provenance.config.get("source").and_then(serde_json::Value::as_str);
    format!(
        "--from needs a SOURCE to train on (the model was trained on {}): tercet train SOURCE --from {}",
        trained.unwrap_or("an unknown one"),
        shell::word(path)
    )
}
