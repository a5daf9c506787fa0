//! ONNX encoders as backbones of models.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use prost::Message;
use serde_json::{Value, json};
use tercet_train::Views;
use tercet_train::data::{Examples, Input, TextInput};
use tercet_train::model::{
    Backbone, BackboneOptions, Files, ModelError, Opened, Opener, use_opener,
};
use tercet_train::trainer::ImageSize;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataLocation;

use crate::encoder::{Beside, read};
use crate::texts::TextFiles;
use crate::{OnnxEncoder, OnnxError, OnnxOptions};

/// The names of the files in a model file.
pub(crate) const GRAPH: &str = "model.onnx";
const TOKENIZER: &str = "tokenizer.json";
const OPTIONS: &str = "options.json";

/// Makes ONNX encoders available as the backbones of models, for the whole process.
pub fn use_as_backbones() {
    use_opener(Opener { of_path, of_files });
}

impl Backbone for OnnxEncoder {
    fn input(&self) -> &Input {
        self.input()
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn embed(
        &self,
        examples: &Examples,
        items: &[u32],
        views: Views,
        progress: &dyn Fn(usize) -> ControlFlow<()>,
    ) -> Result<Array2<f32>, ModelError> {
        self.embed(examples, items, views, progress)
    }

    fn forward(&self, values: Vec<f32>, count: usize) -> Result<Array2<f32>, ModelError> {
        self.rows(values, count)
    }
}

/// Opens an ONNX file, or a folder of sentence-transformers.
fn of_path(path: &Path, options: &BackboneOptions) -> Result<Opened, String> {
    let files = TextFiles::at(path)?;
    let graph = read(&files.graph).map_err(|error| error.to_string())?;
    let beside = Beside::Files(&files);
    let encoder = OnnxEncoder::new(path, &graph, &beside, &onnx_options(options));
    let encoder = encoder.map_err(reason)?;
    refuse_separate_weights(&graph)?;
    let mut stored = Files::new();
    let (size, fit) = (options.size, options.fit);
    let mut written = json!({ "size": size, "fit": fit, "mean": options.mean, "std": options.std });
    if let Input::Texts(input) = encoder.input() {
        stored.insert(TOKENIZER.to_owned(), files.tokenizer()?);
        written = json!({ "texts": input });
    }
    stored.insert(OPTIONS.to_owned(), written.to_string().into_bytes());
    stored.insert(GRAPH.to_owned(), graph);
    Ok(Opened { backbone: Arc::new(encoder), files: stored })
}

/// Opens the files that [`of_path`] stored in a model file.
fn of_files(files: &Files) -> Result<Arc<dyn Backbone>, String> {
    let file = |name: &str| {
        files.get(name).ok_or_else(|| format!("the model file has no backbone/{name}"))
    };
    let unreadable = |error: serde_json::Error| format!("its backbone/{OPTIONS}: {error}");
    let written: Value = serde_json::from_slice(file(OPTIONS)?).map_err(unreadable)?;
    let field = |name: &str| written.get(name).cloned().unwrap_or_default();
    let (path, graph) = (Path::new(GRAPH), file(GRAPH)?);
    let encoder = match field("texts") {
        Value::Null => {
            let options = BackboneOptions {
                size: serde_json::from_value(field("size")).map_err(unreadable)?,
                fit: serde_json::from_value(field("fit")).map_err(unreadable)?,
                mean: serde_json::from_value(field("mean")).map_err(unreadable)?,
                std: serde_json::from_value(field("std")).map_err(unreadable)?,
            };
            let input = TextInput::default();
            let beside = Beside::Stored { tokenizer: &[], input: &input };
            OnnxEncoder::new(path, graph, &beside, &onnx_options(&options))
        }
        texts => {
            let input: TextInput = serde_json::from_value(texts).map_err(unreadable)?;
            let beside = Beside::Stored { tokenizer: file(TOKENIZER)?, input: &input };
            OnnxEncoder::new(path, graph, &beside, &OnnxOptions::default())
        }
    };
    Ok(Arc::new(encoder.map_err(reason)?))
}

fn onnx_options(options: &BackboneOptions) -> OnnxOptions {
    OnnxOptions {
        size: options.size.map(|(height, width)| ImageSize { height, width }),
        fit: options.fit,
        mean: options.mean.clone(),
        std: options.std.clone(),
        ..OnnxOptions::default()
    }
}

/// The reason alone: the caller names the path.
fn reason(error: OnnxError) -> String {
    match error {
        OnnxError::Unusable { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// A model file contains its backbone, so the graph must contain its weights.
fn refuse_separate_weights(graph: &[u8]) -> Result<(), String> {
    let proto = ModelProto::decode(graph).map_err(|error| error.to_string())?;
    let is_separate = |location: Option<i32>| location == Some(DataLocation::External as i32);
    let separate = proto
        .graph
        .iter()
        .flat_map(|graph| &graph.initializer)
        .find(|tensor| is_separate(tensor.data_location));
    match separate {
        None => Ok(()),
        Some(tensor) => Err(format!(
            "its weights `{}` are in a separate file: expected one file with the graph and its \
             weights, as onnx.save(onnx.load(IN), OUT) in Python writes it",
            tensor.name
        )),
    }
}
