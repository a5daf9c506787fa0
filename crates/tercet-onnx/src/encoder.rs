//! The encoder of an ONNX file, which is used in the same way as a model.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use prost::Message;
use tercet::ParameterError;
use tercet_train::data::{DataError, Examples, Input, Preprocessing, Standardization, TextInput};
use tercet_train::files::FileError;
use tercet_train::fingerprint::Fingerprint;
use tercet_train::model::{ModelCard, ModelError, embed_with, normalize_rows};
use tercet_train::onnx::CARD;
use tercet_train::pretrained;
use tercet_train::reading;
use tercet_train::trainer::ImageSize;
use tercet_train::views::Views;
use tract_onnx::pb::{GraphProto, ModelProto};

use crate::claims;
use crate::input::{Item, Refusal, Seen};
use crate::network::Network;
use crate::texts::{TextEncoder, TextFiles, TextGraph};
use crate::{Layout, OnnxError, OnnxOptions};

/// The batch size, if the file does not set one.
const BATCH: usize = 8;

/// A network in an ONNX file that computes embeddings of images, vectors or texts.
#[derive(Debug)]
pub struct OnnxEncoder {
    runner: Runner,
    input: Input,
    normalize: bool,
    /// The model card, which files of `tercet export` contain.
    pub card: Option<ModelCard>,
    /// The batch size, if the file accepts any but its graph works for this one only. The caller
    /// should report it, because it is slower.
    pub fixed_batch: Option<usize>,
    /// A stable hash of the file's bytes and of the options; for texts also of the tokeniser.
    pub fingerprint: String,
}

/// Where the tokeniser of an encoder of texts is, and how texts enter the encoder.
pub(crate) enum Beside<'a> {
    /// In the files beside the graph.
    Files(&'a TextFiles),
    /// In a model file, with the graph.
    Stored {
        /// The content of `tokenizer.json`.
        tokenizer: &'a [u8],
        /// How texts enter the encoder.
        input: &'a TextInput,
    },
}

/// What computes the rows.
#[derive(Debug)]
enum Runner {
    /// A network of images or vectors.
    Numbers { network: Network, seen: Seen },
    /// A network of texts, with its tokeniser.
    Texts(Box<TextEncoder>),
}

impl OnnxEncoder {
    /// Reads a file and prepares it for inference. An encoder of texts may also be given as a folder
    /// of sentence-transformers.
    ///
    /// # Errors
    /// The file is missing, is not ONNX, is not an encoder of images, vectors or texts, or contains
    /// operations that cannot be run; an option contradicts the file or is missing; a file beside the
    /// graph of an encoder of texts is missing or belongs to another model.
    pub fn load(path: &Path, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let files = TextFiles::at(path)
            .map_err(|reason| OnnxError::Unusable { path: path.to_owned(), reason })?;
        let bytes = read(&files.graph)?;
        Self::new(path, &bytes, &Beside::Files(&files), options)
    }

    /// Prepares the content of a file; `path` is used in errors, and to find weights in separate
    /// files.
    pub(crate) fn new(
        path: &Path,
        bytes: &[u8],
        beside: &Beside<'_>,
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
        output_must_exist(graph, options)?;
        claims::check(graph).map_err(unusable)?;
        let control_flow = claims::control_flow(graph).map(str::to_owned);
        let unusable = |reason: String| {
            unusable(match &control_flow {
                None => reason,
                Some(operation) => format!(
                    "its graph has control flow (`{operation}`), expected a graph that runs all of its \
                     operations: {reason}"
                ),
            })
        };
        if TextGraph::reads_tokens(graph) {
            return Self::of_texts(path, proto, bytes, beside, options);
        }
        if path.is_dir() {
            let inputs: Vec<_> = graph.input.iter().map(|input| &*input.name).collect();
            let inputs = inputs.join(", ");
            return Err(unusable(format!(
                "its graph has the inputs {inputs}: expected input_ids and attention_mask; an encoder \
                 of images or vectors is named by its .onnx file"
            )));
        }
        refuse_for_texts(options)?;
        let seen =
            Seen::of(graph, options.size, options.layout).map_err(|refusal| match refusal {
                Refusal::File(reason) => unusable(reason),
                Refusal::Option(error) => OnnxError::Option(error),
            })?;
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
        hash.bytes(bytes);
        hash.text(&serde_json::to_string(&input).map_err(|error| unusable(error.to_string()))?);
        hash.text(&format!("{:?} {:?} {}", seen.item, options.output, options.normalize));
        Ok(Self {
            runner: Runner::Numbers { network, seen },
            input,
            normalize: options.normalize,
            card,
            fixed_batch,
            fingerprint: hash.hex(),
        })
    }

    /// An encoder of texts.
    fn of_texts(
        path: &Path,
        proto: ModelProto,
        bytes: &[u8],
        beside: &Beside<'_>,
        options: &OnnxOptions,
    ) -> Result<Self, OnnxError> {
        let unusable = |reason: String| OnnxError::Unusable { path: path.to_owned(), reason };
        let expected = "none: the encoder takes texts; leave it out";
        refuse_given(options, expected)?;
        let given = [("size", options.size.is_some()), ("layout", options.layout.is_some())];
        refuse_first(given, expected)?;
        let graph = proto.graph.as_ref().ok_or_else(|| unusable("it has no graph".to_owned()))?;
        let graph = TextGraph::of(graph, options.output.as_deref()).map_err(unusable)?;
        let (tokenizer, input, folder) = match beside {
            Beside::Files(files) => {
                let tokenizer = files.tokenizer().map_err(unusable)?;
                let input = files.input(options).map_err(unusable)?;
                (Cow::Owned(tokenizer), input, files.graph.parent().and_then(Path::to_str))
            }
            Beside::Stored { tokenizer, input } => {
                input.check().map_err(|error| unusable(error.to_string()))?;
                (Cow::Borrowed(*tokenizer), (*input).clone(), None)
            }
        };
        let mut hash = Fingerprint::new();
        hash.bytes(bytes);
        hash.bytes(&tokenizer);
        hash.text(&format!("{input:?} {:?}", options.output));
        let encoder = TextEncoder::new(proto, &graph, folder, &tokenizer, input.clone());
        Ok(Self {
            runner: Runner::Texts(Box::new(encoder.map_err(unusable)?)),
            normalize: input.normalize,
            input: Input::Texts(input),
            card: None,
            fixed_batch: None,
            fingerprint: hash.hex(),
        })
    }

    /// The vectors of images or vectors that are prepared, one row each.
    pub(crate) fn rows(&self, values: Vec<f32>, count: usize) -> Result<Array2<f32>, ModelError> {
        let Runner::Numbers { network, seen } = &self.runner else {
            return Err(ModelError::Embed("the encoder takes texts, no numbers".to_owned()));
        };
        let rows = forward(network, seen, values).map_err(ModelError::Embed)?;
        if rows.iter().any(|value| !value.is_finite()) {
            let reason = "the network gave values that are not finite";
            return Err(ModelError::Embed(reason.to_owned()));
        }
        let dimensions = rows.len().checked_div(count).unwrap_or_default();
        let mut rows = Array2::from_shape_vec((count, dimensions), rows)
            .map_err(|error| ModelError::Embed(error.to_string()))?;
        if self.is_normalized() {
            normalize_rows(&mut rows);
        }
        Ok(rows)
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
    /// Those of [`Model::embed`](tercet_train::Model::embed), an output without one row per item, and
    /// examples that are no texts for an encoder of texts.
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
        let (network, seen) = match &self.runner {
            Runner::Numbers { network, seen } => (network, seen),
            Runner::Texts(encoder) => {
                let Some(texts) = examples.texts() else {
                    return Err(ModelError::Embed("the encoder takes texts".to_owned()));
                };
                let texts: Vec<&str> = items.iter().map(|&item| texts.text(item)).collect();
                return encoder.embed(&texts, progress);
            }
        };
        let forward =
            |values: Vec<f32>, _| forward(network, seen, values).map_err(ModelError::Embed);
        let shape = self.input.shape();
        let normalize = self.is_normalized();
        embed_with(&forward, shape, examples, items, views, normalize, progress)
    }

    /// Embeds texts that are no items of a source, in the order given.
    ///
    /// # Errors
    /// The encoder takes images or vectors; a text without any token; embeddings that are not
    /// finite.
    pub fn embed_texts(&self, texts: &[&str]) -> Result<Array2<f32>, ModelError> {
        match &self.runner {
            Runner::Texts(encoder) => encoder.embed(texts, &|_| ControlFlow::Continue(())),
            Runner::Numbers { .. } => {
                Err(ModelError::Embed("the encoder takes images or vectors, no texts".to_owned()))
            }
        }
    }
}

/// The content of a graph's file.
pub(crate) fn read(graph: &Path) -> Result<Vec<u8>, FileError> {
    let action = "read the encoder";
    reading::read(graph).map_err(|source| FileError { action, path: graph.to_owned(), source })
}

/// The embeddings of items, one row each; images are N×C×H×W.
fn forward(network: &Network, seen: &Seen, values: Vec<f32>) -> Result<Vec<f32>, String> {
    match seen.item {
        Item::Image { layout: Layout::Nhwc, channels, size: ImageSize { height, width } } => {
            let plane = height as usize * width as usize;
            network.forward(&channels_last(&values, channels, plane))
        }
        _ => network.forward(&values),
    }
}

/// Refuses the name of an output that the graph does not have.
fn output_must_exist(graph: &GraphProto, options: &OnnxOptions) -> Result<(), OnnxError> {
    let Some(name) = &options.output else { return Ok(()) };
    let names: Vec<_> = graph.output.iter().map(|output| &*output.name).collect();
    match names.contains(&&**name) {
        true => Ok(()),
        false => Err(OnnxError::Option(ParameterError {
            parameter: "output",
            got: format!("`{name}`"),
            expected: format!("one of {}", names.join(", ")),
        })),
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
        Input::Texts(prepared) => Input::Texts(prepared.clone()),
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
    refuse_first(given, expected)
}

/// Refuses options for the preprocessing of texts.
fn refuse_for_texts(options: &OnnxOptions) -> Result<(), OnnxError> {
    let given = [
        ("max-tokens", options.max_tokens.is_some()),
        ("token-pooling", options.pooling.is_some()),
    ];
    refuse_first(given, "none: the encoder takes no texts; leave it out")
}

/// Refuses the first of some options that is given.
fn refuse_first<const N: usize>(
    options: [(&'static str, bool); N],
    expected: &str,
) -> Result<(), OnnxError> {
    match options.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(OnnxError::Option(ParameterError {
            parameter: option,
            got: "given".to_owned(),
            expected: expected.to_owned(),
        })),
        None => Ok(()),
    }
}
