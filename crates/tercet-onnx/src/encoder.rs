//! The encoder of an ONNX file, which is used in the same way as a model.

use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use prost::Message;
use tercet::ParameterError;
use tercet_train::data::{DataError, Examples, Input, Preprocessing, Standardization};
use tercet_train::files::FileError;
use tercet_train::fingerprint::Fingerprint;
use tercet_train::model::{ModelCard, ModelError, embed_with};
use tercet_train::onnx::CARD;
use tercet_train::pretrained;
use tercet_train::reading;
use tercet_train::trainer::ImageSize;
use tercet_train::views::Views;
use tract_onnx::pb::ModelProto;

use crate::input::{Item, Refusal, Seen};
use crate::network::Network;
use crate::{Layout, OnnxError, OnnxOptions};

/// The batch size, if the file does not set one.
const BATCH: usize = 8;

/// A network in an ONNX file that computes embeddings of images or vectors.
#[derive(Debug)]
pub struct OnnxEncoder {
    network: Network,
    seen: Seen,
    input: Input,
    normalize: bool,
    /// The model card, which files of `tercet export` contain.
    pub card: Option<ModelCard>,
    /// The batch size, if the file accepts any but its graph works for this one only. The caller
    /// should report it, because it is slower.
    pub fixed_batch: Option<usize>,
    /// A stable hash of the file's bytes and of the options.
    pub fingerprint: String,
}

impl OnnxEncoder {
    /// Reads a file and prepares it for inference.
    ///
    /// # Errors
    /// The file is missing, is not ONNX, is not an encoder of images or vectors, or contains
    /// operations that cannot be run; an option contradicts the file or is missing.
    pub fn load(path: &Path, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let bytes = reading::read(path).map_err(|source| FileError {
            action: "read the encoder",
            path: path.to_owned(),
            source,
        })?;
        let unusable = |reason: String| OnnxError::Unusable { path: path.to_owned(), reason };
        let proto = ModelProto::decode(&*bytes)
            .map_err(|error| unusable(format!("it is not ONNX: {error}")))?;
        let graph = proto
            .graph
            .as_ref()
            .filter(|graph| !graph.node.is_empty())
            .ok_or_else(|| unusable("it is not ONNX: it has no graph".to_owned()))?;
        let seen =
            Seen::of(graph, options.size, options.layout).map_err(|refusal| match refusal {
                Refusal::File(reason) => unusable(reason),
                Refusal::Option(error) => OnnxError::Option(error),
            })?;
        if let Some(name) = &options.output {
            let names: Vec<_> = graph.output.iter().map(|output| &*output.name).collect();
            if !names.contains(&&**name) {
                return Err(OnnxError::Option(ParameterError {
                    parameter: "output",
                    got: format!("`{name}`"),
                    expected: format!("one of {}", names.join(", ")),
                }));
            }
        }
        let card = card(&proto).map_err(unusable)?;
        let input = match &card {
            Some(card) => {
                seen.must_be(&card.preprocessing).map_err(unusable)?;
                standardized_inside(&card.preprocessing, options)?
            }
            None => prepared(&seen, options)?,
        };
        let network =
            |batch| Network::new(&proto, path, seen.shape(batch), options.output.as_deref());
        let (network, fixed_batch) = match seen.batch {
            Some(batch) => (network(batch).map_err(unusable)?, None),
            None => any_batch(network).map_err(unusable)?,
        };

        let mut hash = Fingerprint::new();
        hash.bytes(&bytes);
        hash.text(&serde_json::to_string(&input).map_err(|error| unusable(error.to_string()))?);
        hash.text(&format!("{:?} {:?} {}", seen.item, options.output, options.normalize));
        Ok(Self {
            network,
            seen,
            input,
            normalize: options.normalize,
            card,
            fixed_batch,
            fingerprint: hash.hex(),
        })
    }

    /// The preprocessing of an item.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Whether embeddings are L2-normalised, by the options or within the file.
    pub fn is_normalized(&self) -> bool {
        self.normalize || self.card.as_ref().is_some_and(|card| card.normalized)
    }

    /// Embeds items in the order given; each is the mean of its views.
    ///
    /// # Shapes
    /// - examples: prepared with [`Views::input`] of [`input`](Self::input)
    /// - result: N×D
    ///
    /// `progress` receives the number of items that are done, and may stop the computation.
    ///
    /// # Errors
    /// Those of [`Model::embed`](tercet_train::Model::embed), and an output without one row per
    /// item.
    ///
    /// # Panics
    /// If the images are smaller than the network's input.
    pub fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let forward = |values: Vec<f32>, _| self.forward(values).map_err(ModelError::Embed);
        let shape = self.input.shape();
        let normalize = self.is_normalized();
        embed_with(&forward, shape, examples, items, views, normalize, progress)
    }

    /// The embeddings of items, one row each; images are N×C×H×W.
    fn forward(&self, values: Vec<f32>) -> Result<Vec<f32>, String> {
        match self.seen.item {
            Item::Image { layout: Layout::Nhwc, channels, size: ImageSize { height, width } } => {
                let plane = height as usize * width as usize;
                self.network.forward(&channels_last(&values, channels, plane))
            }
            _ => self.network.forward(&values),
        }
    }
}

/// A network that accepts a batch of any size, or the one batch size that its graph supports
/// although its input accepts any: exporters often fix a batch of 1 in a `Reshape`. If neither
/// works, the error is the one of the default batch size.
fn any_batch(
    network: impl Fn(usize) -> Result<Network, String>,
) -> Result<(Network, Option<usize>), String> {
    let usual = network(BATCH);
    let rows = match &usual {
        Ok(network) => network.rows(),
        Err(_) => Err(1),
    };
    let Err(rows) = rows else { return usual.map(|network| (network, None)) };
    for batch in [rows, 1] {
        if (1..BATCH).contains(&batch)
            && let Ok(network) = network(batch)
            && network.rows().is_ok()
        {
            return Ok((network, Some(batch)));
        }
    }
    usual.map(|network| (network, None))
}

/// Converts N×C×H×W to N×H×W×C.
fn channels_last(images: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    images
        .chunks_exact(channels * plane)
        .flat_map(|image| (0..plane).flat_map(move |at| image[at..].iter().step_by(plane).copied()))
        .collect()
}

/// The model card that `tercet export` writes into the metadata.
fn card(proto: &ModelProto) -> Result<Option<ModelCard>, String> {
    let Some(entry) = proto.metadata_props.iter().find(|entry| entry.key == CARD) else {
        return Ok(None);
    };
    let bad = |reason: String| format!("its metadata `{CARD}`: {reason}");
    ModelCard::from_json(&entry.value).map(Some).map_err(bad)
}

/// The input of a graph of `tercet export`. The graph standardises its input, so it receives pixels
/// and vectors without standardisation.
fn standardized_inside(prepared: &Input, options: &OnnxOptions) -> Result<Input, OnnxError> {
    refuse_given(options, "none: the file says how items are prepared; leave it out")?;
    Ok(match prepared {
        Input::Images(prepared) => {
            let channels = prepared.channels as usize;
            let (mean, std) = (vec![0.0; channels], vec![1.0 / 255.0; channels]);
            Input::Images(Preprocessing { mean, std, ..prepared.clone() })
        }
        Input::Vectors(prepared) => Input::Vectors(Standardization::none(prepared.dimensions)),
    })
}

/// The input of any other graph, of which only the shape is known.
fn prepared(seen: &Seen, options: &OnnxOptions) -> Result<Input, OnnxError> {
    let (channels, size) = match seen.item {
        Item::Image { channels, size, .. } => (channels as u32, size),
        Item::Vector { dimensions } => {
            refuse_given(options, "none: the encoder takes vectors; leave it out")?;
            return Ok(Input::Vectors(Standardization::none(dimensions)));
        }
    };
    let (mean, std) = match channels {
        1 => (vec![0.0], vec![1.0]),
        _ => (pretrained::MEAN.to_vec(), pretrained::STD.to_vec()),
    };
    let preprocessing = Preprocessing {
        fit: options.fit.unwrap_or_default(),
        mean: options.mean.clone().unwrap_or(mean),
        std: options.std.clone().unwrap_or(std),
        ..Preprocessing::new(size.width, size.height, channels)
    };
    preprocessing.check().map_err(|error| match error {
        DataError::Parameter(error) => OnnxError::Option(error),
        error => OnnxError::Option(ParameterError {
            parameter: "size",
            got: error.to_string(),
            expected: "an image".to_owned(),
        }),
    })?;
    Ok(Input::Images(preprocessing))
}

/// Refuses options for the preprocessing of images.
fn refuse_given(options: &OnnxOptions, expected: &str) -> Result<(), OnnxError> {
    let given = [
        ("fit", options.fit.is_some()),
        ("mean", options.mean.is_some()),
        ("std", options.std.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(OnnxError::Option(ParameterError {
            parameter: option,
            got: "given".to_owned(),
            expected: expected.to_owned(),
        })),
        None => Ok(()),
    }
}
