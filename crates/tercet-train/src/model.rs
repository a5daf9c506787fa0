//! The model file: one `.safetensors` with the weights and everything that is needed to use them.
//!
//! The weights have PyTorch's names and layout (`head.weight` is D×features), so that
//! `load_state_dict` of the same network accepts them. The metadata key `tercet` contains a
//! [`ModelCard`] as JSON.

use std::collections::BTreeMap;
use std::io::Seek;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Tensor, TensorData};
use image::DynamicImage;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tercet::calibration::Calibration;
use tercet::{Distance, Metric, OpenSet, ParameterError};

use crate::backbone::{self, Backbone, BackboneCard, Files};
use crate::data::{DataError, Examples, Input, Texts};
use crate::encoder::{Encoder, EncoderConfig, InputShape};
use crate::files::{At, FileError, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::printable::printable_path;
use crate::sharing::hide_folders;
use crate::views::Views;
use crate::{reading, safetensors_head};

/// The version of the file format that this build writes, and the newest it reads.
pub const FORMAT: u32 = 2;

/// The version of files without a backbone, which earlier versions read as well.
const WITHOUT_BACKBONE: u32 = 1;

/// The start of the names of tensors that are files of a backbone.
const BACKBONE: &str = "backbone/";

/// The metadata key of the card.
const KEY: &str = "tercet";

/// Number of vectors of a backbone that are embedded at once.
const VECTORS: usize = 4096;

/// Number of images that are embedded at once.
const CHUNK: usize = 64;

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
    /// The origin of the weights.
    pub provenance: Provenance,
}

impl ModelCard {
    /// The card of a model file, without its weights.
    ///
    /// # Errors
    /// The errors of [`Model::load`], except damaged weights.
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

/// Why a model could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a safetensors file with a card, or is damaged.
    #[error("{} is not a model file: {reason}", printable_path(path))]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The options in the file do not describe a valid network.
    #[error(transparent)]
    Encoder(#[from] ParameterError),
    /// A backbone that cannot be used.
    #[error("the backbone of {} cannot be used: {reason}", printable_path(path))]
    Backbone {
        /// The path of the backbone, or of the model file that contains it.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The items to embed could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The weights could not be collected.
    #[error("cannot collect the weights: {0}")]
    Collect(String),
    /// The network returned no values, or values that are not finite.
    #[error("no embeddings: {0}")]
    Embed(String),
}

/// A trained encoder, ready to embed.
#[derive(Debug)]
pub struct Model {
    /// The metadata of the file.
    pub card: ModelCard,
    /// A hash of the file's bytes. Embeddings store it, so that they are compared only with
    /// embeddings of the same model.
    pub fingerprint: String,
    backbone: Option<Arc<dyn Backbone>>,
    encoder: Encoder,
    device: Device,
}

impl Model {
    /// Reads a model file; the model computes on the CPU.
    ///
    /// # Errors
    /// A file that is missing, damaged, not a Tercet model, or of a newer format. Every error has
    /// the path.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let (mut file, length) = reading::open(path).at("read the model", path)?;
        let head = safetensors_head::metadata(&mut file, length).at("read the model", path)?;
        head.map_err(|reason| ModelError::NotAModel { path: path.to_owned(), reason })?;
        file.rewind().at("read the model", path)?;
        let bytes = reading::read_opened(file, length).at("read the model", path)?;
        Self::from_bytes(bytes, path)
    }

    /// Reads a model from the content of a file; `path` is used in errors.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self, ModelError> {
        let device = Device::flex();
        let card = ModelCard::of(&bytes, path)?;
        let mut hash = Fingerprint::new();
        hash.bytes(&bytes);
        let fingerprint = hash.hex();
        card.preprocessing.check()?;
        let (backbone, bytes) = match &card.backbone {
            None => (None, bytes),
            Some(of) => {
                let (files, weights) = apart(&bytes, path)?;
                of.vectors.check()?;
                let input = card.preprocessing.texts()?;
                (Some(backbone::reopen(&files, input, path)?), weights)
            }
        };
        let encoder = card.encoder.init(card.encoder_input(), &device)?;
        let encoder = encoder.with_weights(bytes, path)?;
        Ok(Self { card, fingerprint, backbone, encoder: encoder.valid(), device })
    }

    /// Whether a file is a model of Tercet, not another safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_model(path: &Path) -> Result<bool, FileError> {
        let (mut file, length) = reading::open(path).at("read", path)?;
        let metadata = safetensors_head::metadata(&mut file, length).at("read", path)?;
        Ok(metadata.is_ok_and(|metadata| metadata.contains_key(KEY)))
    }

    /// Writes a model file without a backbone, completely or not at all. The same card and weights
    /// give the same bytes.
    ///
    /// # Errors
    /// A path that cannot be written.
    pub fn save(card: &ModelCard, encoder: &Encoder, path: &Path) -> Result<(), ModelError> {
        Self::save_with(card, encoder, None, path)
    }

    /// Like [`save`](Self::save), with the files of a backbone: tensors of bytes whose names start
    /// with `backbone/`.
    pub(crate) fn save_with(
        card: &ModelCard,
        encoder: &Encoder,
        files: Option<&Files>,
        path: &Path,
    ) -> Result<(), ModelError> {
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
        let mut bytes = store.get_bytes().map_err(collect)?;
        if let Some(files) = files {
            bytes = together(&bytes, files).map_err(ModelError::Collect)?;
        }
        Ok(write_atomically(path, &bytes)?)
    }

    /// The network, in inference mode.
    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The metric with which embeddings of this model are compared.
    pub fn metric(&self) -> Metric {
        Metric { distance: self.card.distance, normalize: self.card.normalized }
    }

    /// Embeds items in the given order; the embedding of an item is the mean over its views.
    ///
    /// # Shapes
    /// - examples: prepared with [`Views::input`] of the card's preprocessing
    /// - result: N×D, normalised if the card says so
    ///
    /// `progress` is called with the number of items that are done, and can stop the call.
    ///
    /// # Errors
    /// An item that can no longer be read; embeddings that are not finite;
    /// [`DataError::Interrupted`] if `progress` stopped the call.
    ///
    /// # Panics
    /// If the images are smaller than the encoder's input.
    pub fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        if let Some(backbone) = &self.backbone {
            let Some(texts) = examples.texts() else {
                let source = examples.catalogue().source.clone();
                return Err(DataError::NotTexts { text: source, found: "no texts" }.into());
            };
            let texts: Vec<&str> = items.iter().map(|&item| texts.text(item)).collect();
            return self.embed_vectors(backbone.embed(&texts, progress)?);
        }
        let shape = self.card.preprocessing.shape();
        let device = &self.device;
        let forward =
            |inputs, count| values(self.encoder.forward(images(inputs, count, shape, device)));
        let normalize = self.card.normalized;
        embed_with(&forward, shape, examples, items, views, normalize, progress)
    }

    /// The embeddings of vectors of the backbone.
    fn embed_vectors(&self, vectors: Array2<f32>) -> Result<Array2<f32>, ModelError> {
        let Some(BackboneCard { vectors: of, .. }) = &self.card.backbone else { return Ok(vectors) };
        if vectors.ncols() != of.dimensions {
            let (got, expected) = (vectors.ncols(), of.dimensions);
            return Err(ModelError::Embed(format!(
                "the backbone gives {got} components, expected {expected}"
            )));
        }
        let shape = self.card.encoder_input();
        let mut rows = Vec::new();
        for some in vectors.axis_chunks_iter(Axis(0), VECTORS) {
            let values = some.outer_iter().flat_map(|row| of.apply(row)).collect();
            rows.extend(self::values(
                self.encoder.forward(images(values, some.nrows(), shape, &self.device)),
            )?);
        }
        let mut embeddings = matrix(rows, vectors.nrows())?;
        if self.card.normalized {
            normalize_rows(&mut embeddings);
        }
        Ok(embeddings)
    }

    /// Embeds pictures as [`decode_file`](crate::data::decode_file) and
    /// [`decode_bytes`](crate::data::decode_bytes) return them, in the given order.
    ///
    /// # Errors
    /// The model takes vectors; a picture without pixels; embeddings that are not finite.
    pub fn embed_images(&self, images: &[DynamicImage]) -> Result<Array2<f32>, ModelError> {
        let preprocessing = self.card.preprocessing.images()?;
        let prepare = |image| preprocessing.apply(image);
        let prepared: Vec<Vec<u8>> = images.par_iter().map(prepare).collect::<Result<_, _>>()?;
        self.embed_prepared(&prepared)
    }

    /// Embeds texts that are no items of a source, in the given order.
    ///
    /// # Errors
    /// The model takes no texts; an empty text, with its number; embeddings that are not finite.
    pub fn embed_texts(&self, texts: &[&str]) -> Result<Array2<f32>, ModelError> {
        let examples = Examples::Texts(Texts::of(texts, self.card.preprocessing.texts()?)?);
        let items: Vec<u32> = (0..texts.len() as u32).collect();
        self.embed(&examples, &items, Views::Single, &|_| ControlFlow::Continue(()))
    }

    /// Embeds pictures that the card's [`Preprocessing::apply`](crate::data::Preprocessing::apply)
    /// prepared, in the given order. If many pictures wait, these bytes take less memory than the
    /// decoded pictures.
    ///
    /// # Shapes
    /// - each picture: C×H×W bytes
    /// - result: N×D, normalised if the card says so
    ///
    /// # Errors
    /// The model takes vectors; a picture of another size; embeddings that are not finite.
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
    /// Loads the weights from the content of a model file; `path` is used in errors.
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

/// The content of a safetensors file with the files of a backbone as further tensors.
fn together(bytes: &[u8], files: &Files) -> Result<Vec<u8>, String> {
    let told = |error: safetensors::SafeTensorError| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(told)?;
    let own = SafeTensors::deserialize(bytes).map_err(told)?;
    let mut tensors = own.tensors();
    for (name, content) in files {
        let view = TensorView::new(Dtype::U8, vec![content.len()], content).map_err(told)?;
        tensors.push((format!("{BACKBONE}{name}"), view));
    }
    safetensors::serialize(tensors, header.metadata().clone()).map_err(told)
}

/// The files of the backbone in a model file, and the content of a file without them.
fn apart(bytes: &[u8], path: &Path) -> Result<(Files, Vec<u8>), ModelError> {
    let refuse = |error: safetensors::SafeTensorError| ModelError::NotAModel {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let all = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let is_file = |name: &str| name.starts_with(BACKBONE);
    let (files, weights): (Vec<_>, Vec<_>) =
        all.tensors().into_iter().partition(|(name, _)| is_file(name));
    let content = |(name, view): (String, TensorView<'_>)| {
        (name[BACKBONE.len()..].to_owned(), view.data().to_vec())
    };
    let weights = safetensors::serialize(weights, header.metadata().clone()).map_err(refuse)?;
    Ok((files.into_iter().map(content).collect(), weights))
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
    embed_with(&forward, shape, examples, items, views, false, progress)
}

/// Embeds items with any network, chunk by chunk. The embedding of an item is the mean over its V
/// views, `e = (1/V) Σ f(view)`. With `normalize` it is the mean of unit vectors, normalised again:
/// `e = m/|m|` with `m = (1/V) Σ f(view)/|f(view)|`, so that a graph that includes the
/// normalisation gives the same.
///
/// # Shapes
/// - `forward` is called with N×C×H×W values of one view (vectors: N×D) and N, and returns N×D'
/// - `shape`: the input of the network; examples may be larger if `views` need that
/// - result: one row for each of `items`
///
/// `progress` is called with the number of items that are done, and can stop the call.
///
/// # Errors
/// The errors of `forward`; an item that can no longer be read; embeddings that are not finite;
/// [`DataError::Interrupted`] if `progress` stopped the call.
///
/// # Panics
/// If the images are smaller than `shape`.
pub fn embed_with(
    forward: &dyn Fn(Vec<f32>, usize) -> Result<Vec<f32>, ModelError>,
    shape: InputShape,
    examples: &Examples,
    items: &[u32],
    views: Views,
    normalize: bool,
    progress: &dyn Fn(usize) -> ControlFlow<()>,
) -> Result<Array2<f32>, ModelError> {
    let windows = views.windows(examples.input().shape(), shape.width, shape.height);
    let share = 1.0 / windows.len() as f32;
    let (mut rows, mut done) = (Vec::new(), 0);
    for chunk in items.chunks(CHUNK) {
        let mut mean: Option<Array2<f32>> = None;
        for &window in &windows {
            let view = forward(examples.window(chunk, window)?, chunk.len())?;
            let mut view = matrix(view, chunk.len())?;
            if normalize {
                normalize_rows(&mut view);
            }
            match &mut mean {
                Some(mean) => mean.scaled_add(share, &view),
                None => mean = Some(view * share),
            }
        }
        if let Some(mut mean) = mean {
            if normalize {
                normalize_rows(&mut mean);
            }
            rows.extend(mean);
        }
        done += chunk.len();
        if progress(done).is_break() {
            return Err(DataError::Interrupted.into());
        }
    }
    matrix(rows, items.len())
}

/// The values of embeddings as a matrix, if all are finite.
fn matrix(numbers: Vec<f32>, rows: usize) -> Result<Array2<f32>, ModelError> {
    if numbers.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Embed("the network gave values that are not finite".to_owned()));
    }
    let dimensions = numbers.len().checked_div(rows).unwrap_or_default();
    Array2::from_shape_vec((rows, dimensions), numbers)
        .map_err(|error| ModelError::Embed(error.to_string()))
}

/// A batch of values as the encoder's input, N×C×H×W.
pub(crate) fn images(
    values: Vec<f32>,
    count: usize,
    shape: InputShape,
    device: &Device,
) -> Tensor<4> {
    let shape = [count, shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The values of a tensor, row by row.
pub(crate) fn values(tensor: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    tensor.try_into_vec_as::<f32>().map_err(|error| ModelError::Embed(format!("{error:?}")))
}

/// Scales rows to length 1; rows of length 0 are unchanged.
pub fn normalize_rows(embeddings: &mut Array2<f32>) {
    for mut row in embeddings.outer_iter_mut() {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
    }
}
