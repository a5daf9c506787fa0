//! Runs the encoder of an ONNX file on images.

use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use prost::Message;
use rayon::prelude::*;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::input::{Input, Refusal};
use super::{CARD, Layout, OnnxError};
use crate::data::{Fit, Pixels, Preprocessing};
use crate::files::At;
use crate::fingerprint::Fingerprint;
use crate::model::{FORMAT, ModelCard, ModelError, embed_with, input_shape, normalize_rows};
use crate::views::Views;

/// Images that pass through a network at once, where the file leaves that open.
const BATCH: usize = 8;

/// Mean and standard deviation of ImageNet's pixels: what encoders trained on photographs expect.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

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
    plan: Arc<TypedRunnableModel>,
    input: Input,
    /// Images that one pass of the plan takes.
    batch: usize,
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
        let input = Input::of(graph, options.size, options.layout).map_err(|refusal| {
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
            input.must_be(&card.preprocessing).map_err(unusable)?;
        }
        let preprocessing = preprocessing(&input, card.as_ref(), options)?;
        let batch = input.batch.unwrap_or(BATCH);
        let plan = plan(&proto, path, &input, batch, options.output.as_deref())
            .map_err(|error| unusable(error))?;

        let mut hash = Fingerprint::new();
        hash.bytes(bytes);
        hash.bytes(format!("{preprocessing:?} {:?} {:?} {}", input.layout, options.output, options.normalize).as_bytes());
        Ok(Self {
            plan,
            input,
            batch,
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
    /// - pixels: prepared with [`Views::preprocessing`] of [`preprocessing`](Self::preprocessing)
    /// - result: N×D
    ///
    /// `progress` hears how many are done and may break off.
    ///
    /// # Errors
    /// As [`Model::embed`](crate::Model::embed).
    ///
    /// # Panics
    /// If the pixels are smaller than the network's input.
    pub fn embed(
        &self,
        pixels: &Pixels,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        let shape = input_shape(&self.preprocessing);
        let forward = |images: Vec<f32>| self.forward(images);
        let mut embeddings = embed_with(&forward, shape, pixels, items, views, progress)?;
        if self.normalize {
            normalize_rows(&mut embeddings);
        }
        Ok(embeddings)
    }

    /// The embeddings of images, row by row.
    ///
    /// # Shapes
    /// - images: N×C×H×W, as [`preprocessing`](Self::preprocessing) makes them
    pub(super) fn forward(&self, images: Vec<f32>) -> Result<Vec<f32>, ModelError> {
        let image = self.input.channels * self.input.height * self.input.width;
        let parts: Vec<_> = images
            .par_chunks(self.batch * image)
            .map(|part| self.pass(part, image).map_err(ModelError::Embed))
            .collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    /// One pass; a part that is smaller than the batch is filled up with zeros.
    fn pass(&self, images: &[f32], image: usize) -> Result<Vec<f32>, String> {
        let count = images.len() / image;
        let mut values = match self.input.layout {
            Layout::Nchw => images.to_vec(),
            Layout::Nhwc => images.chunks_exact(image).flat_map(|image| self.interleave(image)).collect(),
        };
        values.resize(self.batch * image, 0.0);
        let told = |error: TractError| format!("{error:#}");
        let tensor = Tensor::from_shape(&self.input.shape(self.batch), &values).map_err(told)?;
        let outputs = guarded(|| self.plan.run(tvec!(tensor.into_tvalue())).map_err(told))??;
        let output = outputs.first().ok_or("the network has no output")?;
        let output = output.cast_to::<f32>().map_err(told)?;
        let (rows, components) = match output.shape() {
            &[rows, components, ..] if output.len() == rows * components => (rows, components),
            shape => return Err(not_vectors(shape)),
        };
        if rows != self.batch {
            return Err(not_vectors(output.shape()));
        }
        let view = output.to_plain_array_view::<f32>().map_err(told)?;
        Ok(view.iter().copied().take(count * components).collect())
    }

    /// From planes to values side by side.
    fn interleave<'a>(&self, image: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let plane = self.input.height * self.input.width;
        (0..plane).flat_map(move |at| image[at..].iter().step_by(plane).copied())
    }
}

fn not_vectors(shape: &[usize]) -> String {
    let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
    format!(
        "the network's output is {}: expected a row of numbers for each image; another output may \
         be chosen with --output",
        sides.join("×")
    )
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
    input: &Input,
    card: Option<&ModelCard>,
    options: &OnnxOptions,
) -> Result<Preprocessing, OnnxError> {
    if let Some(card) = card {
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
        let channels = card.preprocessing.channels as usize;
        let mut preprocessing = card.preprocessing.clone();
        (preprocessing.mean, preprocessing.std) = (vec![0.0; channels], vec![1.0 / 255.0; channels]);
        return Ok(preprocessing);
    }
    let mut preprocessing =
        Preprocessing::new(input.width as u32, input.height as u32, input.channels as u32);
    let (mean, std) = match input.channels {
        1 => (vec![0.0], vec![1.0]),
        _ => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
    };
    preprocessing.fit = options.fit.unwrap_or_default();
    preprocessing.mean = options.mean.clone().unwrap_or(mean);
    preprocessing.std = options.std.clone().unwrap_or(std);
    preprocessing.check().map_err(|error| match error {
        crate::data::DataError::Parameter { parameter, got, expected } => {
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

/// Makes a graph ready to run on batches of one size.
fn plan(
    proto: &ModelProto,
    path: &Path,
    input: &Input,
    batch: usize,
    output: Option<&str>,
) -> Result<Arc<TypedRunnableModel>, String> {
    let folder = path.parent().and_then(Path::to_str);
    let fact = InferenceFact::dt_shape(f32::datum_type(), input.shape(batch));
    // Shapes noted inside the file may be those of another batch.
    let reader = tract_onnx::onnx().with_ignore_value_info(true);
    let plan = || -> TractResult<Arc<TypedRunnableModel>> {
        let mut model = reader.parse(proto, folder)?.model;
        if let Some(name) = output {
            model = model.with_outputs_by_name([name])?;
        }
        model.with_input_fact(0, fact)?.into_optimized()?.into_runnable()
    };
    guarded(plan)?.map_err(|error| format!("{error:#}"))
}

/// The reader of graphs is not ours: where it panics on a malformed one, that is an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("its graph is malformed: {}", text.unwrap_or("unknown reason"))
    })
}
