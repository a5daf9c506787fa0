//! Export of a model as an ONNX graph.

use prost::Message;

use super::{CARD, IMAGES, OUTPUT, OnnxError, VECTORS, signature};
use crate::data::Input;
use crate::model::{Model, ModelCard};
use crate::onnx_graph::messages::{self, OperatorSet, Property};
use crate::onnx_graph::{Flow, Graph};

/// The operator set of exported graphs.
pub const OPSET: i64 = 17;

/// The version of the file format that belongs to this operator set.
const FORMAT: i64 = 8;

/// The addend that avoids the division of a zero embedding by zero. It is too small to change other
/// norms.
const TINY: f32 = 1e-24;

/// The bytes of an ONNX file; the same model gives the same bytes.
///
/// The graph computes embeddings that can be compared from items as they are: it standardises,
/// embeds, and normalises if the model's card says so. Batch norms are in inference mode.
///
/// # Shapes
/// - input `images`: N×C×H×W, float32, pixels from 0 to 255, RGB or grey; or `vectors`: N×D,
///   float32, not standardised. N is free.
/// - output `embeddings`: N×D, float32
///
/// The card (sizes, fit, filter, distance, thresholds, provenance) is stored as JSON in the
/// metadata property `tercet`.
///
/// # Errors
/// Weights that cannot be read; a model with a backbone, whose graph only `tercet_onnx::export` can
/// join with that of the head.
pub fn export(model: &Model) -> Result<Vec<u8>, OnnxError> {
    if model.backbone().is_some() {
        let reason = format!("it has a backbone: {}", tercet::FULL_BUILD);
        return Err(OnnxError { encoder: model.card.encoder.name(), reason });
    }
    written(model, &model.card)
}

/// The head of a model with a backbone as an ONNX file of its own, from the vectors of the backbone
/// to embeddings; otherwise as [`export`].
///
/// # Errors
/// Weights that cannot be read.
pub fn export_head(model: &Model) -> Result<Vec<u8>, OnnxError> {
    match &model.card.backbone {
        None => export(model),
        Some(backbone) => {
            let preprocessing = Input::Vectors(backbone.vectors.clone());
            let head = ModelCard { preprocessing, backbone: None, ..model.card.clone() };
            written(model, &head)
        }
    }
}

/// The encoder of a model as a file, with a card.
fn written(model: &Model, card: &ModelCard) -> Result<Vec<u8>, OnnxError> {
    let refuse = |reason: String| OnnxError { encoder: card.encoder.name(), reason };
    let mut graph = Graph::default();
    let (name, unit) = match card.preprocessing {
        Input::Images(_) => (IMAGES, 255.0),
        Input::Vectors(_) => (VECTORS, 1.0),
        Input::Texts(_) => return Err(refuse("it takes texts, not numbers".to_owned())),
    };
    let items = graph.input(name);
    let items = standardised(&mut graph, items, card, unit);
    let mut rows = model.encoder().graph(&mut graph, &items);
    if card.normalized {
        rows = graph.normalize(&rows, TINY);
    }
    let mut graph = graph.finish(rows, OUTPUT).map_err(refuse)?;
    signature::declare(&mut graph, card);
    let json = serde_json::to_string(card).map_err(|error| refuse(error.to_string()))?;
    let file = messages::Model {
        ir_version: FORMAT,
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        producer_name: "tercet".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: signature::describe(card),
        graph: Some(graph),
        metadata_props: vec![Property { key: CARD.to_owned(), value: json }],
    };
    Ok(file.encode_to_vec())
}

/// (x/unit − mean)/std for each channel; vectors without mean are not changed.
fn standardised(graph: &mut Graph, items: Flow, card: &ModelCard, unit: f32) -> Flow {
    let (mean, std) = card.preprocessing.statistics();
    if mean.is_empty() {
        return items;
    }
    let scale: Vec<f32> = std.iter().map(|std| 1.0 / (unit * std)).collect();
    let shift: Vec<f32> = mean.iter().zip(std).map(|(mean, std)| -mean / std).collect();
    let axes = match card.preprocessing {
        Input::Images(_) => 4,
        Input::Vectors(_) | Input::Texts(_) => 2,
    };
    graph.scale_and_shift(&items, &scale, &shift, axes)
}
