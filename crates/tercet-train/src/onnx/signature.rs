//! The documentation inside of an exported graph.

use super::{CARD, IMAGES, OUTPUT, VECTORS};
use crate::data::{Input, Preprocessing, Standardization, TextInput};
use crate::model::ModelCard;
use crate::onnx_graph::messages::{Axis, GraphMessage, Shape, TensorType, Type, Value, kind};

/// Declares input and output with their meaning.
pub(super) fn declare(graph: &mut GraphMessage, card: &ModelCard) {
    card.encoder.name().clone_into(&mut graph.name);
    let input = match &card.preprocessing {
        Input::Images(Preprocessing { channels, height, width, .. }) => rows(
            IMAGES,
            &[*channels, *height, *width].map(|side| side as usize),
            format!(
                "N×C×H×W: pixels from 0 to 255, {}; mean and std are applied inside",
                if *channels == 1 { "grey" } else { "red, green, blue" }
            ),
        ),
        Input::Vectors(Standardization { dimensions, .. }) => {
            let meaning = "N×D: as they are; mean and std are applied inside";
            rows(VECTORS, &[*dimensions], meaning.to_owned())
        }
        Input::Texts(TextInput { max_tokens, .. }) => {
            rows(VECTORS, &[*max_tokens], "N×T: tokens".to_owned())
        }
    };
    let dimensions = card.dimensions();
    let length = if card.normalized { " of length 1" } else { "" };
    let meaning = format!("N×D{length}: compare by {} distance", card.distance);
    graph.input = vec![input];
    graph.output = vec![rows(OUTPUT, &[dimensions], meaning)];
}

/// The description of the file in words.
pub(super) fn describe(card: &ModelCard) -> String {
    let what = match &card.preprocessing {
        Input::Images(Preprocessing { width, height, .. }) => {
            format!("images of {width}×{height} pixels")
        }
        Input::Vectors(Standardization { dimensions, .. }) => {
            format!("vectors of {dimensions} components")
        }
        Input::Texts(TextInput { max_tokens, .. }) => format!("texts of {max_tokens} tokens"),
    };
    format!(
        "Embeds {what}. The metadata property `{CARD}` holds, as JSON, how items are prepared, the \
         distance, thresholds, and where the weights come from."
    )
}

/// A float32 value with any number of items of this shape.
fn rows(name: &str, sides: &[usize], meaning: String) -> Value {
    let batch = Axis { dim_value: None, dim_param: Some("batch".to_owned()) };
    let sides = sides.iter().map(|&side| Axis { dim_value: Some(side as i64), dim_param: None });
    let shape = Shape { dim: std::iter::once(batch).chain(sides).collect() };
    let tensor = TensorType { elem_type: kind::TENSOR_FLOAT, shape: Some(shape) };
    Value {
        name: name.to_owned(),
        r#type: Some(Type { tensor_type: Some(tensor) }),
        doc_string: meaning,
    }
}
