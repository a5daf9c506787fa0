//! What an exported graph says of itself: names, meaning of input and output, the card.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, ModelProto, StringStringEntryProto};

use super::{CARD, IMAGES, OUTPUT, VECTORS};
use crate::data::{Input, Preprocessing, Standardization};
use crate::model::ModelCard;

/// Names input and output, says what they mean, and puts the card into the metadata.
pub(super) fn sign(proto: &mut ModelProto, card: &ModelCard, json: String) -> Result<(), String> {
    proto.producer_name = "tercet".to_owned();
    proto.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    proto.metadata_props = vec![StringStringEntryProto { key: CARD.to_owned(), value: json }];
    let graph = proto.graph.as_mut().ok_or("the trace has no graph")?;
    graph.name = card.encoder.name().to_owned();
    let ([input], [output]) = (&graph.input[..], &graph.output[..]) else {
        return Err(format!(
            "the trace has {} inputs and {} outputs: expected one of each",
            graph.input.len(),
            graph.output.len()
        ));
    };
    let (name, meaning, what) = match &card.preprocessing {
        Input::Images(Preprocessing { channels, width, height, .. }) => (
            IMAGES,
            format!(
                "float32, N×C×H×W: pixels from 0 to 255, {}; mean and std are applied inside",
                if *channels == 1 { "grey" } else { "red, green, blue" }
            ),
            format!("images of {width}×{height} pixels"),
        ),
        Input::Vectors(Standardization { dimensions, .. }) => (
            VECTORS,
            "float32, N×D: as they are; mean and std are applied inside".to_owned(),
            format!("vectors of {dimensions} components"),
        ),
    };
    let names = HashMap::from([
        (input.name.clone(), name.to_owned()),
        (output.name.clone(), OUTPUT.to_owned()),
    ]);
    rename(graph, &names);
    graph.input[0].doc_string = meaning;
    graph.output[0].doc_string = format!(
        "float32, N×D{}: compare by {} distance",
        if card.normalized { " of length 1" } else { "" },
        card.distance
    );
    proto.doc_string = format!(
        "Embeds {what}. The metadata property `{CARD}` holds, as JSON, how items are prepared, the \
         distance, thresholds, and where the weights come from."
    );
    Ok(())
}

fn rename(graph: &mut GraphProto, names: &HashMap<String, String>) {
    let boundaries = graph.input.iter_mut().chain(&mut graph.output).map(|value| &mut value.name);
    let edges = graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
    for name in boundaries.chain(edges) {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    }
}
