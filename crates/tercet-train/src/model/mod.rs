//! The model file: one `.safetensors` with the weights and everything that is needed to use them.
//!
//! The weights have PyTorch's names and layout (`head.weight` is D×features), so that
//! `load_state_dict` of the same network accepts them. The metadata key `tercet` contains a
//! [`ModelCard`] as JSON. The files of a [backbone](Backbone) are tensors of bytes whose names start
//! with `backbone/`.

mod backbone;
mod card;
mod embedding;
mod error;
mod frozen;
mod packing;
mod vector_cache;

use std::io::Seek;
use std::ops::ControlFlow;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::Device;
use image::DynamicImage;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde_json::Value;
use tercet::{Distance, Metric};

use crate::data::{Examples, Standardization, Texts};
use crate::encoder::{Encoder, EncoderConfig, EncoderOptions, InputShape, LinearHeadConfig};
use crate::files::{At, FileError, write_atomically};
use crate::fingerprint::Fingerprint;
use crate::views::Views;
use crate::{reading, safetensors_head};
use card::KEY;
use embedding::{CHUNK, matrix};

pub use backbone::{
    Backbone, BackboneCard, BackboneOptions, Files, OfFiles, OfPath, Opened, Opener, is_encoder,
    use_opener,
};
pub use card::{CompatibleWith, FORMAT, ModelCard, Provenance};
pub use embedding::{embed_with, normalize_rows, prefix};
pub use error::ModelError;

pub(crate) use backbone::open as open_backbone;
pub(crate) use embedding::{embed, images, values};
pub(crate) use frozen::{Embedded, embedded};

/// Number of vectors of a backbone that are embedded at once.
const VECTORS: usize = 4096;

/// A trained encoder, ready to embed.
#[derive(Debug)]
pub struct Model {
    /// The metadata of the file.
    pub card: ModelCard,
    /// A hash of the file's bytes. Embeddings store it, so that they are compared only with
    /// embeddings of the same model.
    pub fingerprint: String,
    backbone: Option<Opened>,
    encoder: Encoder,
    device: Device,
}

impl Model {
    /// Reads a model file, or an [encoder of another program](is_encoder); the model computes on the
    /// CPU.
    ///
    /// # Errors
    /// The errors of [`file_of`](Self::file_of) and [`from_bytes`](Self::from_bytes).
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        Self::from_bytes(Self::file_of(path)?, path)
    }

    /// The content of a model file. An [encoder of another program](is_encoder) becomes a model with
    /// that encoder as its backbone and the identity as its head, whose embeddings are the encoder's
    /// vectors, scaled to length 1.
    ///
    /// # Errors
    /// A file that is missing, damaged or not a Tercet model; an encoder that cannot be used. Every
    /// error has the path.
    pub fn file_of(path: &Path) -> Result<Vec<u8>, ModelError> {
        if is_encoder(path) {
            return Self::of_encoder(path);
        }
        let (mut file, length) = reading::open(path).at("read the model", path)?;
        let head = safetensors_head::metadata(&mut file, length).at("read the model", path)?;
        head.map_err(|reason| ModelError::NotAModel { path: path.to_owned(), reason })?;
        file.rewind().at("read the model", path)?;
        Ok(reading::read_opened(file, length).at("read the model", path)?)
    }

    fn of_encoder(path: &Path) -> Result<Vec<u8>, ModelError> {
        let opened = open_backbone(path, &BackboneOptions::default())?;
        let vectors = Standardization::none(opened.dimensions()?);
        let encoder = EncoderConfig::named(LinearHeadConfig::NAME, EncoderOptions::default())?;
        let head = encoder.init(InputShape::vectors(vectors.dimensions), &Device::flex())?;
        let card = ModelCard {
            format: FORMAT,
            encoder,
            preprocessing: opened.backbone.input().clone(),
            backbone: Some(BackboneCard::new(path, &*opened.backbone, vectors)),
            distance: Distance::default(),
            normalized: true,
            matryoshka: Vec::new(),
            threshold: None,
            thresholds: Default::default(),
            calibration: None,
            open_set: None,
            compatible: None,
            provenance: Provenance {
                tercet: env!("CARGO_PKG_VERSION").to_owned(),
                config: Value::Object(serde_json::Map::new()),
                seed: 0,
                held_out: Vec::new(),
                data: String::new(),
                results: Value::Null,
            },
        };
        Self::file(&card, &head, Some(&opened.files))
    }

    /// Reads a model from the content of a file; `path` is used in errors.
    ///
    /// # Errors
    /// A damaged file, one that is not a Tercet model, or of a newer format; a backbone that cannot be
    /// used. Every error has the path.
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
                let (files, weights) = packing::unpack(&bytes, path)?;
                of.vectors.check()?;
                (Some(backbone::reopen(files, path)?), weights)
            }
        };
        let encoder = card.encoder.init(card.encoder_input(), &device)?;
        let encoder = encoder.with_weights(bytes, path)?;
        Ok(Self { card, fingerprint, backbone, encoder: encoder.valid(), device })
    }

    /// Whether a file is a model of Tercet, not another safetensors file, or an [encoder of another
    /// program](is_encoder).
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_model(path: &Path) -> Result<bool, FileError> {
        if is_encoder(path) {
            return Ok(true);
        }
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

    /// Like [`save`](Self::save), with the files of a backbone.
    pub(crate) fn save_with(
        card: &ModelCard,
        encoder: &Encoder,
        files: Option<&Files>,
        path: &Path,
    ) -> Result<(), ModelError> {
        Ok(write_atomically(path, &Self::file(card, encoder, files)?)?)
    }

    fn file(
        card: &ModelCard,
        encoder: &Encoder,
        files: Option<&Files>,
    ) -> Result<Vec<u8>, ModelError> {
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
        match files {
            None => Ok(bytes),
            Some(files) => packing::pack(&bytes, files).map_err(ModelError::Collect),
        }
    }

    /// The frozen encoder in front of the network, with its files.
    pub fn backbone(&self) -> Option<&Opened> {
        self.backbone.as_ref()
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
    /// [`DataError::Interrupted`](crate::data::DataError::Interrupted) if `progress` stopped the call.
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
        if let (Some(Opened { backbone, .. }), Some(_)) = (&self.backbone, examples.texts()) {
            return self.embed_vectors(backbone.embed(examples, items, views, progress)?);
        }
        let shape = self.card.preprocessing.shape();
        let device = &self.device;
        let forward = |inputs, count| match &self.backbone {
            None => values(self.encoder.forward(images(inputs, count, shape, device))),
            Some(Opened { backbone, .. }) => {
                let embeddings = self.embed_vectors(backbone.forward(inputs, count)?)?;
                Ok(embeddings.into_iter().collect())
            }
        };
        let normalize = self.card.normalized;
        embed_with(&forward, shape, examples, items, views, normalize, progress)
    }

    /// The embeddings of vectors of the backbone.
    fn embed_vectors(&self, vectors: Array2<f32>) -> Result<Array2<f32>, ModelError> {
        let Some(BackboneCard { vectors: of, .. }) = &self.card.backbone else {
            return Ok(vectors);
        };
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
            rows.extend(self::values(self.encoder.forward(images(
                values,
                some.nrows(),
                shape,
                &self.device,
            )))?);
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

    /// Embeds texts that are no items of a source, in the given order. `progress` is called with the
    /// number of texts that are done, and can stop the call.
    ///
    /// # Errors
    /// The model takes no texts; an empty text, with its number; embeddings that are not finite;
    /// [`DataError::Interrupted`](crate::data::DataError::Interrupted) if `progress` stopped the call.
    pub fn embed_texts(
        &self,
        texts: &[&str],
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let examples = Examples::Texts(Texts::of(texts, self.card.preprocessing.texts()?)?);
        let items: Vec<u32> = (0..texts.len() as u32).collect();
        self.embed(&examples, &items, Views::Single, progress)
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
            match &self.backbone {
                None => {
                    let images = images(inputs, chunk.len(), shape, &self.device);
                    rows.extend(values(self.encoder.forward(images))?);
                }
                Some(Opened { backbone, .. }) => {
                    rows.extend(self.embed_vectors(backbone.forward(inputs, chunk.len())?)?);
                }
            }
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
