//! Reads from an ONNX file which inputs and output of a BERT-like graph are used, and the size of its
//! vocabulary.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, ValueInfoProto};

/// What an input of the graph receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Ids,
    Mask,
    Kinds,
}

impl Role {
    const ALL: [Self; 3] = [Self::Ids, Self::Mask, Self::Kinds];

    fn name(self) -> &'static str {
        match self {
            Self::Ids => IDS,
            Self::Mask => "attention_mask",
            Self::Kinds => "token_type_ids",
        }
    }
}

/// The input by which an encoder of texts is recognised.
const IDS: &str = "input_ids";

/// Outputs with the embedding of a text or of its tokens, the best first.
const OUTPUTS: [&str; 3] = ["sentence_embedding", "last_hidden_state", "token_embeddings"];

/// The inputs and the output of an encoder of texts.
#[derive(Debug)]
pub(crate) struct TextGraph {
    /// The inputs in the order of the file, and whether each has 32 bits instead of 64.
    pub(super) inputs: Vec<(Role, bool)>,
    pub(crate) output: String,
    /// The name and the number of rows of the embeddings of tokens, if they were found.
    vocabulary: Option<(String, usize)>,
}

impl TextGraph {
    /// Whether a graph reads tokens, and not images or vectors.
    pub(crate) fn reads_tokens(graph: &GraphProto) -> bool {
        graph.input.iter().any(|input| input.name == IDS)
    }

    /// Reads a graph; `output` is the name of an output if the user gave one, which exists. The error
    /// says what was found and what is expected.
    pub(crate) fn of(graph: &GraphProto, output: Option<&str>) -> Result<Self, String> {
        // Old files list their weights among the inputs.
        let weights: Vec<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
        let given: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !weights.contains(&&*input.name)).collect();
        let names: Vec<&str> = given.iter().map(|input| &*input.name).collect();
        let found = names.join(", ");
        let expected = "expected input_ids, attention_mask and optionally token_type_ids";
        let mut inputs = Vec::new();
        for input in given {
            let Some(role) = Role::ALL.into_iter().find(|role| role.name() == input.name) else {
                return Err(format!("it has the inputs {found}: {expected}"));
            };
            inputs.push((role, is_short(input)?));
        }
        for role in [Role::Ids, Role::Mask] {
            if !inputs.iter().any(|(given, _)| *given == role) {
                return Err(format!("it has the inputs {found}, no {}: {expected}", role.name()));
            }
        }
        let outputs: Vec<&str> = graph.output.iter().map(|output| &*output.name).collect();
        let known = OUTPUTS.into_iter().find(|name| outputs.contains(name));
        let output = output.or(known).or(outputs.first().copied());
        let output = output.ok_or("it has no output")?.to_owned();
        Ok(Self { inputs, output, vocabulary: vocabulary(graph) })
    }

    /// The name and the number of rows of the embeddings of tokens, if they were found.
    pub(crate) fn vocabulary(&self) -> Option<(&str, usize)> {
        self.vocabulary.as_ref().map(|(name, rows)| (&**name, *rows))
    }
}

/// Whether an input of whole numbers has 32 bits instead of 64.
fn is_short(input: &ValueInfoProto) -> Result<bool, String> {
    let kind = match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(TensorType(tensor)) => DataType::try_from(tensor.elem_type).ok(),
        _ => None,
    };
    match kind {
        Some(DataType::Int64) => Ok(false),
        Some(DataType::Int32) => Ok(true),
        other => {
            let got = other.map_or("unknown", |kind| kind.as_str_name()).to_lowercase();
            Err(format!("its input `{}` is {got}, expected int64 N×T", input.name))
        }
    }
}

/// The matrix from which rows are taken by the ids of tokens.
fn vocabulary(graph: &GraphProto) -> Option<(String, usize)> {
    let mut ids = vec![IDS];
    for node in &graph.node {
        let (Some(first), Some(output)) = (node.input.first(), node.output.first()) else {
            continue;
        };
        if ["Cast", "Identity"].contains(&&*node.op_type) && ids.contains(&&**first) {
            ids.push(output);
        }
        if node.op_type == "Gather" && node.input.get(1).is_some_and(|by| ids.contains(&&**by)) {
            let matrix = graph.initializer.iter().find(|tensor| tensor.name == *first)?;
            let rows = usize::try_from(*matrix.dims.first()?).ok()?;
            return Some((matrix.name.clone(), rows));
        }
    }
    None
}
