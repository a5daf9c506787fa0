//! A model as an ONNX graph.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use burn_onnx::export::{AxisSpec, ExportError, InputSpec, OnnxExporter, OnnxModel, Opset};
use ndarray::Array2;
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::network::Network;
use super::{OnnxError, signature};
use crate::data::Input;
use crate::encoder::InputShape;
use crate::model::{Model, ModelCard, images, normalize_rows, values};

/// The operator set of exported graphs.
pub const OPSET: i64 = Opset::V18.version();

/// Keeps a zero embedding from being divided by zero; too small to change any other's norm.
const TINY: f64 = 1e-24;

/// Largest difference between graph and model that [`check`] takes for rounding, as a share of the
/// largest component, or of 1.
const TOLERANCE: f32 = 1e-4;

/// Items of noise that [`check`] compares.
const CHECKED: usize = 5;

/// The bytes of an ONNX file; the same model gives the same.
///
/// The graph is the model from what an item is to what is compared: it standardises, embeds, and
/// normalises where the model's card says so. Batch norms are as in inference.
///
/// # Shapes
/// - input `images`: N×C×H×W, float32, pixels from 0 to 255, RGB or grey; or `vectors`: N×D,
///   float32, as the source has them. N is free.
/// - output `embeddings`: N×D, float32
///
/// The card (sizes, fit, filter, distance, thresholds, provenance) is JSON in the metadata property
/// `tercet`.
///
/// # Errors
/// A forward pass with an operation that ONNX or the exporter does not know.
pub fn export(model: &Model) -> Result<Vec<u8>, OnnxError> {
    let card = &model.card;
    let refuse = |reason: String| OnnxError::Export { encoder: card.encoder.name(), reason };
    let traced = trace(model).map_err(|error| refuse(error.to_string()))?;
    let mut proto =
        ModelProto::decode(traced.as_bytes()).map_err(|error| refuse(error.to_string()))?;
    let json = serde_json::to_string(card).map_err(|error| refuse(error.to_string()))?;
    signature::sign(&mut proto, card, json).map_err(refuse)?;
    Ok(proto.encode_to_vec())
}

/// Runs the forward pass on a device that notes what it does. It sees numbers only: batches of two
/// sizes tell which of them is the batch.
fn trace(model: &Model) -> Result<OnnxModel, ExportError> {
    let card = &model.card;
    let InputShape { channels, height, width } = card.preprocessing.shape();
    let device = Device::flex();
    let exporter = OnnxExporter::new().opset(Opset::V18);
    let batch = AxisSpec::dynamic("batch");
    match card.preprocessing {
        Input::Images(_) => {
            let axes = [batch, AxisSpec::Static, AxisSpec::Static, AxisSpec::Static];
            let images = |rows| Tensor::<4>::zeros([rows, channels, height, width], &device);
            exporter.export_dynamic(
                model.encoder(),
                images(2),
                images(3),
                &[InputSpec::new(axes)],
                |encoder, images: Tensor<4>| {
                    normalized(card, encoder.forward(standardised(card, images, 255.0)))
                },
            )
        }
        Input::Vectors(_) => {
            let vectors = |rows| Tensor::<2>::zeros([rows, channels], &device);
            exporter.export_dynamic(
                model.encoder(),
                vectors(2),
                vectors(3),
                &[InputSpec::new([batch, AxisSpec::Static])],
                |encoder, vectors: Tensor<2>| {
                    let [rows, components] = vectors.dims();
                    let vectors = vectors.reshape([rows, components, 1, 1]);
                    normalized(card, encoder.forward(standardised(card, vectors, 1.0)))
                },
            )
        }
    }
}

/// (x/unit − mean)/std, channel by channel; vectors may be left as they are.
fn standardised(card: &ModelCard, items: Tensor<4>, unit: f32) -> Tensor<4> {
    let (mean, std) = card.preprocessing.statistics();
    if mean.is_empty() {
        return items;
    }
    let device = items.device();
    let channels = |values: Vec<f32>| {
        Tensor::<4>::from_data(TensorData::new(values, [1, mean.len(), 1, 1]), &device)
    };
    let scale = channels(std.iter().map(|std| 1.0 / (unit * std)).collect());
    let shift = channels(mean.iter().zip(std).map(|(mean, std)| -mean / std).collect());
    items * scale + shift
}

fn normalized(card: &ModelCard, embeddings: Tensor<2>) -> Tensor<2> {
    if !card.normalized {
        return embeddings;
    }
    let squares = (embeddings.clone() * embeddings.clone()).sum_dim(1);
    embeddings / squares.add_scalar(TINY).sqrt()
}

/// Runs an exported graph in another engine than the model's, both on the same noise, and gives the
/// largest difference between their embeddings.
///
/// # Errors
/// A graph that cannot be run, or differs by more than rounding.
pub fn check(model: &Model, bytes: &[u8]) -> Result<f32, OnnxError> {
    let card = &model.card;
    let refuse = |reason: String| OnnxError::Export { encoder: card.encoder.name(), reason };
    let proto = ModelProto::decode(bytes).map_err(|error| refuse(error.to_string()))?;
    let shape @ InputShape { channels, height, width } = card.preprocessing.shape();
    // Two at once: the last pass is not full.
    let (sides, unit) = match card.preprocessing {
        Input::Images(_) => (vec![2, channels, height, width], 255.0),
        Input::Vectors(_) => (vec![2, channels], 1.0),
    };
    let network = Network::new(&proto, Path::new(""), sides, None).map_err(refuse)?;

    let plane = height * width;
    let noise = |at: usize| ((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as f32 / 255.0;
    let noise: Vec<f32> = (0..CHECKED * channels * plane).map(noise).collect();
    let (mean, std) = card.preprocessing.statistics();
    let standardised = noise.iter().enumerate().map(|(at, value)| {
        let channel = at / plane % channels;
        match mean.get(channel) {
            Some(mean) => (value - mean) / std[channel],
            None => *value,
        }
    });
    let items = images(standardised.collect(), CHECKED, shape, &Device::flex());
    let rows = values(model.encoder().forward(items)).map_err(|error| refuse(error.to_string()))?;
    let mut expected = Array2::from_shape_vec((CHECKED, rows.len() / CHECKED), rows)
        .map_err(|error| refuse(error.to_string()))?;
    if card.normalized {
        normalize_rows(&mut expected);
    }

    let items: Vec<f32> = noise.iter().map(|value| value * unit).collect();
    let got = network.forward(&items).map_err(refuse)?;
    if got.len() != expected.len() {
        return Err(refuse(format!("it gives {} numbers, the model {}", got.len(), expected.len())));
    }
    let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
    let differences = expected.iter().zip(&got).map(|(expected, got)| (expected - got).abs());
    let difference = differences.fold(0.0_f32, |most, new| if new > most || new.is_nan() { new } else { most });
    if difference <= TOLERANCE * largest {
        return Ok(difference);
    }
    Err(refuse(format!("the graph differs from the model by {difference}, of at most {largest}")))
}
