//! The metadata of a model file: all that is needed to use the weights, and their origin.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use tercet::calibration::Calibration;
use tercet::{Distance, OpenSet};

use super::ModelError;
use super::backbone::BackboneCard;
use crate::data::Input;
use crate::encoder::{EncoderConfig, InputShape};
use crate::files::At;
use crate::sharing::hide_folders;
use crate::{reading, safetensors_head};

/// The version of the file format that this build writes, and the newest it reads.
pub const FORMAT: u32 = 2;

/// The version of files without a backbone, which earlier versions read as well.
const WITHOUT_BACKBONE: u32 = 1;

/// The metadata key of the card.
pub(super) const KEY: &str = "tercet";

/// The metadata of a model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of the file format: [`FORMAT`], or 1 for a file without a backbone.
    pub format: u32,
    /// The architecture and its options.
    pub encoder: EncoderConfig,
    /// The preprocessing of an item into the input of the encoder, or of the backbone in front of
    /// it.
    pub preprocessing: Input,
    /// The frozen encoder whose vectors the encoder takes; by default it takes the items themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneCard>,
    /// The distance with which the embeddings are compared.
    pub distance: Distance,
    /// Whether embeddings are L2-normalised.
    pub normalized: bool,
    /// The numbers of components for which prefixes of the embeddings were trained too (Matryoshka
    /// representation learning), without the whole length; empty if they were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matryoshka: Vec<usize>,
    /// The distance below which two images count as the same: the threshold with the highest
    /// accuracy on held-out classes.
    pub threshold: Option<f64>,
    /// The distances below which two images count as the same, for each target false accept rate
    /// (as text).
    pub thresholds: BTreeMap<String, f64>,
    /// The probability that a pair is the same as a function of its distance, fitted to pairs of
    /// held-out classes, half of which were the same. None without such pairs, and in files of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The distances of queries of unknown and of known classes to a gallery, measured on held-out
    /// classes; the thresholds and probabilities of searches are derived from them. None without
    /// such classes, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_set: Option<OpenSet>,
    /// The older model in whose galleries queries of this model can be searched, if it was trained
    /// for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatible: Option<CompatibleWith>,
    /// The origin of the weights.
    pub provenance: Provenance,
}

impl ModelCard {
    /// The card of a model file, without its weights.
    ///
    /// # Errors
    /// The errors of [`Model::load`](super::Model::load), except damaged weights.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let (mut file, length) = reading::open(path).at("read the model", path)?;
        let refuse = |reason: String| ModelError::NotAModel { path: path.to_owned(), reason };
        let metadata = safetensors_head::metadata(&mut file, length).at("read the model", path)?;
        let metadata = metadata.map_err(refuse)?;
        let card = metadata.get(KEY).ok_or_else(|| refuse(without_card()))?;
        Self::from_json(card).map_err(|reason| refuse(format!("its metadata `{KEY}`: {reason}")))
    }

    /// Reads the card from the content of a file.
    pub(crate) fn of(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::NotAModel { path: path.to_owned(), reason };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| refuse(error.to_string()))?;
        let card = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let card = card.ok_or_else(|| refuse(without_card()))?;
        Self::from_json(card).map_err(|reason| refuse(format!("its metadata `{KEY}`: {reason}")))
    }

    /// Reads a card from its JSON. The error says what is wrong with it.
    ///
    /// # Errors
    /// A format that is newer than [`FORMAT`] or missing; fields that are missing or out of range.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let card: serde_json::Value =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        match card.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found > u64::from(FORMAT) => {
                return Err(format!(
                    "format {found}, newer than the {FORMAT} that this version reads: update Tercet"
                ));
            }
            Some(_) => {}
            None => return Err("no format version".to_owned()),
        }
        let mut card: Self = serde_json::from_value(card).map_err(|error| error.to_string())?;
        // Files of earlier versions contain paths of the machine on which they were trained.
        hide_folders(&mut card.provenance.config);
        Ok(card)
    }

    /// The version of the file format of a model with or without a backbone.
    pub(crate) fn format(backbone: bool) -> u32 {
        if backbone { FORMAT } else { WITHOUT_BACKBONE }
    }

    /// The input of the encoder: items, or the vectors of the backbone.
    pub fn encoder_input(&self) -> InputShape {
        match &self.backbone {
            Some(backbone) => InputShape::vectors(backbone.vectors.dimensions),
            None => self.preprocessing.shape(),
        }
    }

    /// The number of components of an embedding.
    pub fn dimensions(&self) -> usize {
        self.encoder.embedding_dim(self.encoder_input())
    }

    /// The probability that two items at this distance are the same, if the prior probability is
    /// 1/2.
    pub fn probability(&self, distance: f32) -> Option<f64> {
        self.calibration.as_ref().map(|calibration| calibration.probability(distance))
    }
}

fn without_card() -> String {
    format!("it has no metadata `{KEY}`; expected a file written by `tercet train`")
}

/// The older model with which a model is compatible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompatibleWith {
    /// Fingerprint of the older model.
    pub fingerprint: String,
    /// Weight of the triplets with its vectors.
    pub weight: f64,
}

/// The origin of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of Tercet that trained them.
    pub tercet: String,
    /// The complete configuration of the run; paths are reduced to the names of files.
    pub config: serde_json::Value,
    /// The seed, which makes the run reproducible together with configuration and data.
    pub seed: u64,
    /// The held-out classes; empty in files of earlier versions.
    #[serde(default)]
    pub held_out: Vec<String>,
    /// Fingerprint of ids and labels of the data.
    pub data: String,
    /// The results of the evaluation on held-out classes.
    pub results: serde_json::Value,
}
