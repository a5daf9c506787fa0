//! `.safetensors`: the tensor `embeddings`, and labels, ids and model as metadata.

use ::safetensors::tensor::{Dtype, SafeTensors};
use ndarray::Array2;
use serde_json::{Map, Value, json};

use super::{Embeddings, OutOfRange};

/// The largest length of a header; readers of the format refuse longer ones.
const HEADER_LIMIT: usize = 100_000_000;

/// The tensor `embeddings` (N×D f32), and the metadata `labels` and `ids` (JSON lists) and `model`.
/// The same embeddings give the same bytes. The library's own writer does not guarantee that,
/// because it stores metadata in a hash map.
pub(super) fn write(embeddings: &Embeddings) -> Result<Vec<u8>, String> {
    let list = |list: &Option<Vec<String>>| {
        list.as_ref().map(|list| Value::from(list.clone()).to_string())
    };
    let metadata: Map<String, Value> = [
        ("ids", list(&embeddings.ids)),
        ("labels", list(&embeddings.labels)),
        ("model", embeddings.model.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))))
    .collect();
    let (rows, columns) = embeddings.vectors.dim();
    let tensor = json!({
        "dtype": "F32",
        "shape": [rows, columns],
        "data_offsets": [0, 4 * rows * columns],
    });
    let mut header = json!({ "__metadata__": metadata, "embeddings": tensor }).to_string();
    // The values start at a multiple of 8 bytes.
    let length = header.len().next_multiple_of(8);
    header.extend(std::iter::repeat_n(' ', length - header.len()));
    if length > HEADER_LIMIT {
        return Err(format!(
            "its labels and ids would take {length} bytes, and this format holds at most {HEADER_LIMIT}: write .parquet instead"
        ));
    }
    let mut bytes = Vec::with_capacity(8 + length + 4 * rows * columns);
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(embeddings.vectors.iter().flat_map(|value| value.to_le_bytes()));
    Ok(bytes)
}

pub(super) fn read(bytes: &[u8]) -> Result<(Embeddings, OutOfRange), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let view = file
        .tensor("embeddings")
        .map_err(|_| format!("it has no tensor `embeddings`, but {:?}", file.names()))?;
    let &[rows, columns] = view.shape() else {
        return Err(format!(
            "`embeddings` has shape {:?}, expected rows × dimensions",
            view.shape()
        ));
    };
    let mut beyond = OutOfRange::default();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            view.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        }
        Dtype::F16 => view
            .data()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| half::f16::from_le_bytes(b).to_f32())
            .collect(),
        Dtype::BF16 => view
            .data()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&b| half::bf16::from_le_bytes(b).to_f32())
            .collect(),
        Dtype::F64 => {
            let numbers = view.data().as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b));
            numbers.enumerate().map(|(place, value)| beyond.narrow(value, place)).collect()
        }
        other => {
            return Err(format!("`embeddings` has type {other:?}, expected F32, F16, BF16 or F64"));
        }
    };
    let vectors =
        Array2::from_shape_vec((rows, columns), values).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let list = |key: &str| -> Result<Option<Vec<String>>, String> {
        let Some(text) = metadata.get(key) else { return Ok(None) };
        let list: Vec<String> = serde_json::from_str(text)
            .map_err(|error| format!("its metadata `{key}` is no list of texts: {error}"))?;
        if list.len() == rows {
            Ok(Some(list))
        } else {
            Err(format!("its metadata `{key}` has {} entries for {rows} rows", list.len()))
        }
    };
    let embeddings = Embeddings {
        labels: list("labels")?,
        ids: list("ids")?,
        model: metadata.get("model").cloned(),
        vectors,
    };
    Ok((embeddings, beyond))
}
