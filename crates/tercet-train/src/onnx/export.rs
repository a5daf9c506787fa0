//! A model as an ONNX graph.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter, Opset};
use ndarray::Array2;
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::{OnnxEncoder, OnnxError, OnnxOptions, signature};
use crate::encoder::Encoder;
use crate::model::{Model, ModelCard, images, input_shape, normalize_rows, values};

/// The operator set of exported graphs.
pub const OPSET: i64 = Opset::V18.version();

/// Keeps the norm of a zero embedding from dividing by zero; far below the square of any norm that
/// a float can have in the company of a threshold.
const TINY: f64 = 1e-24;

/// Largest difference between graph and model that [`check`] takes for rounding, as a share of the
/// largest component.
const TOLERANCE: f32 = 1e-4;

/// Images of noise that [`check`] compares: more than one pass takes.
const CHECKED: usize = 9;

/// The bytes of an ONNX file; the same model gives the same.
///
/// The graph is the model from pixels to what is compared: it standardises,
/// `x = (pixel/255 − mean)/std`, embeds, and normalises where the model's card says so.
///
/// # Shapes
/// - input `images`: N×C×H×W, float32, pixels from 0 to 255, RGB or grey; N is free
/// - output `embeddings`: N×D, float32
///
/// The card (sizes, fit, filter, distance, thresholds, provenance) is JSON in the metadata property
/// `tercet`.
///
/// # Errors
/// A forward pass with an operation that ONNX or the exporter does not know.
pub fn export(model: &Model) -> Result<Vec<u8>, OnnxError> {
    let card = &model.card;
    let refuse =
        |reason: String| OnnxError::Export { encoder: card.encoder.name(), reason };
    let shape = input_shape(&card.preprocessing);
    let device = Device::flex();
    let batch = |rows| {
        Tensor::<4>::zeros([rows, shape.channels, shape.height, shape.width], &device)
    };
    let axes = InputSpec::new([
        AxisSpec::dynamic("batch"),
        AxisSpec::Static,
        AxisSpec::Static,
        AxisSpec::Static,
    ]);
    // A trace sees numbers only: two batches tell which of them is the batch.
    let traced = OnnxExporter::new()
        .opset(Opset::V18)
        .export_dynamic(model.encoder(), batch(2), batch(3), &[axes], |encoder, images| {
            embed(encoder, card, images)
        })
        .map_err(|error| refuse(error.to_string()))?;
    let mut proto = ModelProto::decode(traced.as_bytes())
        .map_err(|error| refuse(error.to_string()))?;
    let json = serde_json::to_string(card).map_err(|error| refuse(error.to_string()))?;
    signature::sign(&mut proto, card, json).map_err(refuse)?;
    Ok(proto.encode_to_vec())
}

/// From pixels to what is compared.
fn embed(encoder: &Encoder, card: &ModelCard, pixels: Tensor<4>) -> Tensor<2> {
    let device = pixels.device();
    let channels = card.preprocessing.mean.len();
    let plane = |values: Vec<f32>| {
        Tensor::<4>::from_data(TensorData::new(values, [1, channels, 1, 1]), &device)
    };
    let (mean, std) = (&card.preprocessing.mean, &card.preprocessing.std);
    let scale = std.iter().map(|std| 1.0 / (255.0 * std)).collect();
    let shift = mean.iter().zip(std).map(|(mean, std)| -mean / std).collect();
    let embeddings = encoder.forward(pixels * plane(scale) + plane(shift));
    if !card.normalized {
        return embeddings;
    }
    let squares = (embeddings.clone() * embeddings.clone()).sum_dim(1);
    embeddings / squares.add_scalar(TINY).sqrt()
}

/// Runs an exported graph and its model on the same noise, and gives the largest difference between
/// their embeddings.
///
/// # Errors
/// A graph that cannot be run, or differs by more than rounding.
pub fn check(model: &Model, bytes: &[u8]) -> Result<f32, OnnxError> {
    let encoder = model.card.encoder.name();
    let refuse = |reason: String| OnnxError::Export { encoder, reason };
    let graph = OnnxEncoder::from_bytes(bytes, Path::new(""), &OnnxOptions::default())
        .map_err(|error| refuse(error.to_string()))?;
    let preprocessing = &model.card.preprocessing;
    let shape = input_shape(preprocessing);
    let plane = shape.height * shape.width;
    let count = CHECKED * shape.channels * plane;
    let noise = |at: usize| ((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as f32;
    let pixels: Vec<f32> = (0..count).map(noise).collect();
    let standardised = pixels.iter().enumerate().map(|(at, pixel)| {
        let channel = at / plane % shape.channels;
        (pixel / 255.0 - preprocessing.mean[channel]) / preprocessing.std[channel]
    });

    let images = images(standardised.collect(), CHECKED, shape, &Device::flex());
    let rows = values(model.encoder().forward(images)).map_err(|error| refuse(error.to_string()))?;
    let mut expected = Array2::from_shape_vec((CHECKED, rows.len() / CHECKED), rows)
        .map_err(|error| refuse(error.to_string()))?;
    if model.card.normalized {
        normalize_rows(&mut expected);
    }
    let got = graph.forward(pixels).map_err(|error| refuse(error.to_string()))?;
    if got.len() != expected.len() {
        return Err(refuse(format!("it gives {} numbers, the model {}", got.len(), expected.len())));
    }
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let difference = expected
        .iter()
        .zip(&got)
        .map(|(expected, got)| (expected - got).abs())
        .fold(0.0, |a: f32, b| if b > a || b.is_nan() { b } else { a });
    if difference <= TOLERANCE * largest.max(1.0) {
        return Ok(difference);
    }
    Err(refuse(format!("the graph differs from the model by {difference}, of at most {largest}")))
}
