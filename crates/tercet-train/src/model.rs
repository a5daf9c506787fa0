//! The model file: one `.safetensors` with weights, and all that is needed to use them.
//!
//! The tensors are the weights, named and laid out as PyTorch would (`head.weight` is D×features),
//! so that `load_state_dict` of the same network takes them. The metadata key `tercet` holds a
//! [`ModelCard`] as JSON.

use std::collections::BTreeMap;
use std::io::Seek;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Tensor, TensorData};
use image::DynamicImage;
use ndarray::Array2;
use rayon::prelude::*;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use tercet::calibration::Calibration;
use tercet::{Distance, Metric, OpenSet, ParameterError};

use crate::data::{DataError, Examples, Input};
use crate::encoder::{Encoder, EncoderConfig, InputShape};
use crate::files::{At, FileError, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::printable::printable_path;
use crate::sharing::hide_folders;
use crate::views::Views;
use crate::{reading, safetensors_head};

/// The version of the file format that this build writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The metadata key that holds the card.
const KEY: &str = "tercet";

/// Images embedded at once.
const CHUNK: usize = 64;

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of the file format: [`FORMAT`].
    pub format: u32,
    /// The architecture and its options.
    pub encoder: EncoderConfig,
    /// How an item becomes the encoder's input.
    pub preprocessing: Input,
    /// The distance in which the embeddings are compared.
    pub distance: Distance,
    /// Whether embeddings are L2-normalised.
    pub normalized: bool,
    /// Distance below which two images are the same: the most accurate one on held-out classes.
    pub threshold: Option<f64>,
    /// Distances below which two images are the same, by target false accept rate as text.
    pub thresholds: BTreeMap<String, f64>,
    /// From a distance to the probability of *same*, learnt on pairs of held-out classes, of which
    /// every second was the same. None without such pairs, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// What queries of unknown and of known classes meet in a gallery, measured on held-out classes:
    /// the thresholds and probabilities of searches follow from it. None without such classes, and
    /// in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_set: Option<OpenSet>,
    /// Where the weights come from.
    pub provenance: Provenance,
}

impl ModelCard {
    /// The card of a model file, without its weights.
    ///
    /// # Errors
    /// As [`Model::load`], but for damaged weights.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let (mut file, length) = reading::open(path).at("read the model", path)?;
        let refuse = |reason: String| ModelError::NotAModel { path: path.to_owned(), reason };
        let metadata = safetensors_head::metadata(&mut file, length).at("read the model", path)?;
        let metadata = metadata.map_err(refuse)?;
        let card = metadata.get(KEY).ok_or_else(|| refuse(without_card()))?;
        Self::from_json(card).map_err(|reason| refuse(format!("its metadata `{KEY}`: {reason}")))
    }

    /// The card in the content of a file.
    pub(crate) fn of(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let refuse = |reason: String| ModelError::NotAModel { path: path.to_owned(), reason };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| refuse(error.to_string()))?;
        let card = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let card = card.ok_or_else(|| refuse(without_card()))?;
        Self::from_json(card).map_err(|reason| refuse(format!("its metadata `{KEY}`: {reason}")))
    }

    /// Reads a card as a file holds it. The error is what is wrong with it.
    ///
    /// # Errors
    /// A format that is newer than [`FORMAT`] or not named; fields that are missing or out of range.
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
        // Files of earlier versions hold the paths of the machine that trained them.
        hide_folders(&mut card.provenance.config);
        Ok(card)
    }

    /// The probability that two items at this distance are the same, if before looking at them
    /// either was as likely.
    pub fn probability(&self, distance: f32) -> Option<f64> {
        self.calibration.as_ref().map(|calibration| calibration.probability(distance))
    }
}

fn without_card() -> String {
    format!("it has no metadata `{KEY}`; expected a file written by `tercet train`")
}

/// Where weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of Tercet that trained them.
    pub tercet: String,
    /// The merged configuration of the run; of paths only the names of files.
    pub config: serde_json::Value,
    /// The seed that, with configuration and data, makes the run reproducible.
    pub seed: u64,
    /// The classes that were kept apart; none known in files of earlier versions.
    #[serde(default)]
    pub held_out: Vec<String>,
    /// Fingerprint of ids and labels of the data.
    pub data: String,
    /// What the judgement on held-out classes said.
    pub results: serde_json::Value,
}

/// Why a model could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a safetensors file, or a damaged one.
    #[error("{} is not a model file: {reason}", printable_path(path))]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The options in the file make no network.
    #[error(transparent)]
    Encoder(#[from] ParameterError),
    /// The items to embed could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The weights could not be collected.
    #[error("cannot collect the weights: {0}")]
    Collect(String),
    /// The network gave no numbers, or none that are finite.
    #[error("no embeddings: {0}")]
    Embed(String),
}

/// A trained encoder, ready to embed.
#[derive(Debug)]
pub struct Model {
    /// What the file says of itself.
    pub card: ModelCard,
    /// Stable hash of the file's bytes: embeddings carry it, so that they are compared only with
    /// embeddings of the same model.
    pub fingerprint: String,
    encoder: Encoder,
    device: Device,
}

impl Model {
    /// Reads a model file, to compute on the CPU.
    ///
    /// # Errors
    /// A file that is missing, damaged, no Tercet model, or of a newer format; each names the file.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let (mut file, length) = reading::open(path).at("read the model", path)?;
        let head = safetensors_head::metadata(&mut file, length).at("read the model", path)?;
        head.map_err(|reason| ModelError::NotAModel { path: path.to_owned(), reason })?;
        file.rewind().at("read the model", path)?;
        let bytes = reading::read_opened(file, length).at("read the model", path)?;
        Self::from_bytes(bytes, path)
    }

    /// The model in the content of a file; `path` names it in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self, ModelError> {
        let device = Device::flex();
        let card = ModelCard::of(&bytes, path)?;
        let mut hash = Fingerprint::new();
        hash.bytes(&bytes);
        let fingerprint = hash.hex();
        card.preprocessing.check()?;
        let encoder = card.encoder.init(card.preprocessing.shape(), &device)?;
        let encoder = encoder.with_weights(bytes, path)?;
        Ok(Self { card, fingerprint, encoder: encoder.valid(), device })
    }

    /// Whether a file is a model rather than something else in the same container.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_model(path: &Path) -> Result<bool, FileError> {
        let (mut file, length) = reading::open(path).at("read", path)?;
        let metadata = safetensors_head::metadata(&mut file, length).at("read", path)?;
        Ok(metadata.is_ok_and(|metadata| metadata.contains_key(KEY)))
    }

    /// Writes a model file, whole or not at all. The same card and weights give the same bytes.
    ///
    /// # Errors
    /// A path that cannot be written.
    pub fn save(card: &ModelCard, encoder: &Encoder, path: &Path) -> Result<(), ModelError> {
        let json =
            serde_json::to_string(card).map_err(|error| ModelError::Collect(error.to_string()))?;
        let mut store = SafetensorsStore::from_bytes(None)
            .clear_metadata()
            .metadata(KEY, json)
            .with_to_adapter(BurnToPyTorchAdapter)
            .skip_enum_variants(true);
        let collect =
            |error: burn::store::SafetensorsStoreError| ModelError::Collect(error.to_string());
        encoder.valid().save_into(&mut store).map_err(collect)?;
        let bytes = store.get_bytes().map_err(collect)?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// The network, in inference mode.
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// How embeddings of this model are compared.
    pub fn metric(&self) -> Metric {
        Metric { distance: self.card.distance, normalize: self.card.normalized }
    }

    /// Embeds items in the order given; each is the mean of its views.
    ///
    /// # Shapes
    /// - examples: prepared with [`Views::input`] of the card's
    /// - result: N×D, normalised if the card says so
    ///
    /// `progress` hears how many are done and may break off.
    ///
    /// # Errors
    /// An item that can no longer be read; embeddings that are not finite;
    /// [`DataError::Interrupted`] if broken off.
    ///
    /// # Panics
    /// If the pictures are smaller than the encoder's input.
    pub fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let shape = self.card.preprocessing.shape();
        let mut embeddings =
            embed(&self.encoder, shape, examples, items, views, &self.device, progress)?;
        if self.card.normalized {
            normalize_rows(&mut embeddings);
        }
        Ok(embeddings)
    }

    /// Embeds pictures as [`decode_file`](crate::data::decode_file) and
    /// [`decode_bytes`](crate::data::decode_bytes) give them, in the order given.
    ///
    /// # Errors
    /// A model of vectors; a picture without pixels; embeddings that are not finite.
    pub fn embed_images(&self, images: &[DynamicImage]) -> Result<Array2<f32>, ModelError> {
        let preprocessing = self.card.preprocessing.images()?;
        let prepare = |image| preprocessing.apply(image);
        let prepared: Vec<Vec<u8>> = images.par_iter().map(prepare).collect::<Result<_, _>>()?;
        self.embed_prepared(&prepared)
    }

    /// Embeds pictures that went through the card's [`Preprocessing::apply`](crate::data::Preprocessing::apply), in the order given:
    /// where many are under way, keep these bytes and let the decoded picture go.
    ///
    /// # Shapes
    /// - each picture: C×H×W bytes
    /// - result: N×D, normalised if the card says so
    ///
    /// # Errors
    /// A model of vectors; a picture of another size; embeddings that are not finite.
    pub fn embed_prepared(&self, pictures: &[Vec<u8>]) -> Result<Array2<f32>, ModelError> {
        let preprocessing = self.card.preprocessing.images()?;
        let (shape, item_len) = (self.card.preprocessing.shape(), preprocessing.item_len());
        if let Some(other) = pictures.iter().find(|picture| picture.len() != item_len) {
            let got = other.len();
            return Err(ModelError::Embed(format!(
                "a picture has {got} bytes, expected {item_len} of the model's preprocessing"
            )));
        }
        let mut rows = Vec::new();
        for chunk in pictures.chunks(CHUNK) {
            let mut inputs = vec![0.0; chunk.len() * item_len];
            for (input, pixels) in inputs.chunks_exact_mut(item_len).zip(chunk) {
                preprocessing.standardize(pixels, input);
            }
            let images = images(inputs, chunk.len(), shape, &self.device);
            rows.extend(values(self.encoder.forward(images))?);
        }
        let mut embeddings = matrix(rows, pictures.len())?;
        if self.card.normalized {
            normalize_rows(&mut embeddings);
        }
        Ok(embeddings)
    }
}

impl Encoder {
    /// The network with the weights in the content of a model file; `path` names it in errors.
    pub(crate) fn with_weights(mut self, bytes: Vec<u8>, path: &Path) -> Result<Self, ModelError> {
        let mut store = SafetensorsStore::from_bytes(Some(bytes))
            .with_from_adapter(PyTorchToBurnAdapter)
            .skip_enum_variants(true);
        let loaded = self.load_from(&mut store);
        let refuse = |reason| ModelError::NotAModel { path: path.to_owned(), reason };
        loaded.map_err(|error| refuse(error.to_string()))?;
        Ok(self)
    }
}

/// Embeds items with an encoder in inference mode; see [`embed_with`].
pub(crate) fn embed(
    encoder: &Encoder,
    shape: InputShape,
    examples: &Examples,
    items: &[u32],
    views: Views,
    device: &Device,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Array2<f32>, ModelError> {
    let forward = |inputs, count| values(encoder.forward(images(inputs, count, shape, device)));
    embed_with(&forward, shape, examples, items, views, progress)
}

/// Embeds items with any network, chunk by chunk. Each embedding is the mean over its views.
///
/// # Shapes
/// - `forward` gets N×C×H×W values of one view (vectors: N×D) and N, and gives N×D'
/// - `shape`: what enters the network; examples may be larger, as `views` need them
/// - result: one row for each of `items`
///
/// `progress` hears how many are done and may break off.
///
/// # Errors
/// What `forward` gives; an item that can no longer be read; embeddings that are not finite;
/// [`DataError::Interrupted`] if broken off.
///
/// # Panics
/// If the images are smaller than `shape`.
pub fn embed_with(
    forward: &dyn Fn(Vec<f32>, usize) -> Result<Vec<f32>, ModelError>,
    shape: InputShape,
    examples: &Examples,
    items: &[u32],
    views: Views,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Array2<f32>, ModelError> {
    let windows = views.windows(examples.input().shape(), shape.width, shape.height);
    let (mut rows, mut done) = (Vec::new(), 0);
    for chunk in items.chunks(CHUNK) {
        let mut mean: Vec<f32> = Vec::new();
        for &window in &windows {
            let embeddings = forward(examples.window(chunk, window)?, chunk.len())?;
            mean.resize(embeddings.len(), 0.0);
            let share = 1.0 / windows.len() as f32;
            mean.iter_mut().zip(embeddings).for_each(|(mean, value)| *mean += share * value);
        }
        rows.extend(mean);
        done += chunk.len();
        if progress(done).is_break() {
            return Err(DataError::Interrupted.into());
        }
    }
    matrix(rows, items.len())
}

/// The numbers of embeddings as a matrix, if all are finite.
fn matrix(numbers: Vec<f32>, rows: usize) -> Result<Array2<f32>, ModelError> {
    if numbers.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Embed("the network gave values that are not finite".to_owned()));
    }
    let dimensions = numbers.len().checked_div(rows).unwrap_or_default();
    Array2::from_shape_vec((rows, dimensions), numbers)
        .map_err(|error| ModelError::Embed(error.to_string()))
}

/// A batch of numbers as the encoder's input, N×C×H×W.
pub(crate) fn images(
    values: Vec<f32>,
    count: usize,
    shape: InputShape,
    device: &Device,
) -> Tensor<4> {
    let shape = [count, shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The numbers of a tensor, row by row.
pub(crate) fn values(tensor: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| ModelError::Embed(format!("{error:?}")))
}

/// Brings rows to length 1; those of length 0 stay.
pub fn normalize_rows(embeddings: &mut Array2<f32>) {
    for mut row in embeddings.outer_iter_mut() {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
    }
}
