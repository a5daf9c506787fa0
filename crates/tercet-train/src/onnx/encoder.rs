//! Runs the encoder of an ONNX file on images.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::input::{Refusal, Seen};
use super::network::Network;
use super::{CARD, Layout, OnnxError};
use crate::data::{DataError, Examples, Fit, Input, Preprocessing};
use crate::files::At;
use crate::fingerprint::Fingerprint;
use crate::model::{FORMAT, ModelCard, ModelError, embed_with, normalize_rows};
use crate::pretrained;
use crate::views::Views;

/// Images that pass through a network at once, where the file leaves that open.
const BATCH: usize = 8;

/// How to use a file that does not say so itself. Files of [`export`](super::export) do, and take
/// only `normalize`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OnnxOptions {
    /// Width and height, where the file takes any.
    pub size: Option<(u32, u32)>,
    /// How pictures of another shape are fitted in. Default `crop`.
    pub fit: Option<Fit>,
    /// Subtracted from each channel, whose values are between 0 and 1. Default: ImageNet's for three
    /// channels, 0 for one.
    pub mean: Option<Vec<f32>>,
    /// Each channel is divided by this afterwards. Default: ImageNet's for three channels, 1 for one.
    pub std: Option<Vec<f32>>,
    /// The order of the axes, where the file does not tell.
    pub layout: Option<Layout>,
    /// The output that holds the embeddings. Default: the first.
    pub output: Option<String>,
    /// L2-normalise the embeddings. Default no.
    pub normalize: bool,
}

/// A network in an ONNX file that turns images into embeddings.
#[derive(Debug)]
pub struct OnnxEncoder {
    network: Network,
    input: Seen,
    preprocessing: Preprocessing,
    normalize: bool,
    /// The card of a file of [`export`](super::export).
    pub card: Option<ModelCard>,
    /// Stable hash of the file's bytes and of the options.
    pub fingerprint: String,
}

impl OnnxEncoder {
    /// Reads a file and makes it ready to run.
    ///
    /// # Errors
    /// A file that is missing, no ONNX, no encoder of images, or has operations that cannot be run;
    /// options that contradict it or are missing.
    pub fn load(path: &Path, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let bytes = fs::read(path).at("read the encoder", path)?;
        Self::from_bytes(&bytes, path, options)
    }

    /// As [`load`](Self::load), of a file's content; weights stored apart are found beside `path`.
    pub(super) fn from_bytes(
        bytes: &[u8],
        path: &Path,
        options: &OnnxOptions,
    ) -> Result<Self, OnnxError> {
        let unusable = |reason: String| OnnxError::Unusable { path: path.to_owned(), reason };
        let proto = ModelProto::decode(bytes)
            .map_err(|error| unusable(format!("it is not ONNX: {error}")))?;
        let graph = proto
            .graph
            .as_ref()
            .filter(|graph| !graph.node.is_empty())
            .ok_or_else(|| unusable("it is not ONNX: it has no graph".to_owned()))?;
        let input = Seen::of(graph, options.size, options.layout).map_err(|refusal| {
            match refusal {
                Refusal::File(reason) => unusable(reason),
                Refusal::Option { option, got, expected } => {
                    OnnxError::Option { option, got, expected }
                }
            }
        })?;
        if let Some(name) = options.output.as_ref() {
            let names: Vec<_> = graph.output.iter().map(|output| &*output.name).collect();
            if !names.contains(&&**name) {
                return Err(OnnxError::Option {
                    option: "output",
                    got: format!("`{name}`"),
                    expected: format!("one of {}", names.join(", ")),
                });
            }
        }
        let card = card(&proto).map_err(unusable)?;
        if let Some(card) = &card {
            let prepared = card.preprocessing.images();
            let prepared = prepared.map_err(|error| unusable(error.to_string()))?;
            input.must_be(prepared).map_err(unusable)?;
        }
        let preprocessing = preprocessing(&input, card.as_ref(), options)?;
        let shape = input.shape(input.batch.unwrap_or(BATCH)).to_vec();
        let network =
            Network::new(&proto, path, shape, options.output.as_deref()).map_err(unusable)?;

        let mut hash = Fingerprint::new();
        hash.bytes(bytes);
        hash.bytes(format!("{preprocessing:?} {:?} {:?} {}", input.layout, options.output, options.normalize).as_bytes());
        Ok(Self {
            network,
            input,
            preprocessing,
            normalize: options.normalize,
            card,
            fingerprint: hash.hex(),
        })
    }

    /// How a picture becomes the network's input.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Whether embeddings are L2-normalised, by the options or within the file.
    pub fn is_normalized(&self) -> bool {
        self.normalize || self.card.as_ref().is_some_and(|card| card.normalized)
    }

    /// Embeds items in the order given; each is the mean of its views.
    ///
    /// # Shapes
    /// - examples: prepared with [`Views::preprocessing`] of [`preprocessing`](Self::preprocessing)
    /// - result: N×D
    ///
    /// `progress` hears how many are done and may break off.
    ///
    /// # Errors
    /// As [`Model::embed`](crate::Model::embed).
    ///
    /// # Panics
    /// If the pictures are smaller than the network's input.
    pub fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let shape = Input::Images(self.preprocessing.clone()).shape();
        let forward = |images: Vec<f32>| self.forward(images);
        let mut embeddings = embed_with(&forward, shape, examples, items, views, progress)?;
        if self.normalize {
            normalize_rows(&mut embeddings);
        }
        Ok(embeddings)
    }

    /// The embeddings of images, N×C×H×W, row by row.
    pub(super) fn forward(&self, images: Vec<f32>) -> Result<Vec<f32>, ModelError> {
        let images = match self.input.layout {
            Layout::Nchw => images,
            Layout::Nhwc => self.channels_last(&images),
        };
        self.network.forward(&images).map_err(ModelError::Embed)
    }

    fn channels_last(&self, images: &[f32]) -> Vec<f32> {
        let plane = self.input.height * self.input.width;
        images
            .chunks_exact(self.input.channels * plane)
            .flat_map(|image| {
                (0..plane).flat_map(move |at| image[at..].iter().step_by(plane).copied())
            })
            .collect()
    }
}

/// The card that [`export`](super::export) puts into the metadata.
fn card(proto: &ModelProto) -> Result<Option<ModelCard>, String> {
    let Some(entry) = proto.metadata_props.iter().find(|entry| entry.key == CARD) else {
        return Ok(None);
    };
    let bad = |error: serde_json::Error| format!("its metadata `{CARD}`: {error}");
    let card: serde_json::Value = serde_json::from_str(&entry.value).map_err(bad)?;
    match card.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(FORMAT) => Err(format!(
            "its metadata has format {found}, newer than the {FORMAT} that this version reads: \
             update Tercet"
        )),
        _ => serde_json::from_value(card).map(Some).map_err(bad),
    }
}

fn preprocessing(
    input: &Seen,
    card: Option<&ModelCard>,
    options: &OnnxOptions,
) -> Result<Preprocessing, OnnxError> {
    if let Some(Input::Images(prepared)) = card.map(|card| &card.preprocessing) {
        for (option, given) in [
            ("fit", options.fit.is_some()),
            ("mean", options.mean.is_some()),
            ("std", options.std.is_some()),
        ] {
            if given {
                return Err(OnnxError::Option {
                    option,
                    got: "given".to_owned(),
                    expected: "none: the file says how images are prepared; drop it".to_owned(),
                });
            }
        }
        // The graph standardises by itself: it takes pixels as they are.
        let (mean, std) = (vec![0.0; input.channels], vec![1.0 / 255.0; input.channels]);
        return Ok(Preprocessing { mean, std, ..prepared.clone() });
    }
    let mut preprocessing =
        Preprocessing::new(input.width as u32, input.height as u32, input.channels as u32);
    let (mean, std) = match input.channels {
        1 => (vec![0.0], vec![1.0]),
        _ => (pretrained::MEAN.to_vec(), pretrained::STD.to_vec()),
    };
    preprocessing.fit = options.fit.unwrap_or_default();
    preprocessing.mean = options.mean.clone().unwrap_or(mean);
    preprocessing.std = options.std.clone().unwrap_or(std);
    preprocessing.check().map_err(|error| match error {
        DataError::Parameter { parameter, got, expected } => {
            OnnxError::Option { option: parameter, got, expected }
        }
        error => OnnxError::Option {
            option: "size",
            got: error.to_string(),
            expected: "an image".to_owned(),
        },
    })?;
    Ok(preprocessing)
}
